//! Lets name servers of all kinds answer, in made time.

use simple_dns::rdata::{RData, SRV};
use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

use super::*;
use crate::diag::Span;
use crate::resolvers::Nameserver;

/// A machine, its clock, and the questions and events it has given out.
struct Bench {
    machine: Machine,
    now: Millis,
    sent: Vec<Sent>,
    events: Vec<Event>,
}

#[derive(Clone, Debug)]
struct Sent {
    nameserver: usize,
    port: u32,
    id: u16,
    bytes: Vec<u8>,
}

impl Sent {
    fn kind(&self) -> TYPE {
        match Packet::parse(&self.bytes).unwrap().questions[0].qtype {
            QTYPE::TYPE(kind) => kind,
            other => panic!("{other:?}"),
        }
    }
    /// The answer with these records: addresses, or `target:port:weight[=address]` of services.
    fn answer(&self, records: &[&str]) -> Vec<u8> {
        let mut packet = Packet::parse(&self.bytes).unwrap().into_reply();
        let owner = packet.questions[0].qname.clone();
        for text in records {
            let data = match text.parse::<IpAddr>() {
                Ok(address) => address_data(address),
                Err(_) => {
                    let (service, address) = text.split_once('=').unwrap_or((text, ""));
                    let parts: Vec<&str> = service.split(':').collect();
                    let target = simple_dns::Name::new_unchecked(parts[0]);
                    if let Ok(address) = address.parse() {
                        let more = ResourceRecord::new(target.clone(), CLASS::IN, 1, address_data(address));
                        packet.additional_records.push(more);
                    }
                    let (port, weight) = (parts[1].parse().unwrap(), parts[2].parse().unwrap());
                    RData::SRV(SRV { priority: 0, weight, port, target })
                }
            };
            packet.answers.push(ResourceRecord::new(owner.clone(), CLASS::IN, 1, data));
        }
        packet.build_bytes_vec().unwrap()
    }
    fn error(&self, code: RCODE) -> Vec<u8> {
        let mut packet = Packet::parse(&self.bytes).unwrap().into_reply();
        *packet.rcode_mut() = code;
        packet.build_bytes_vec().unwrap()
    }
}

fn address_data(address: IpAddr) -> RData<'static> {
    match address {
        IpAddr::V4(v4) => RData::A(simple_dns::rdata::A { address: v4.into() }),
        IpAddr::V6(v6) => RData::AAAA(simple_dns::rdata::AAAA { address: v6.into() }),
    }
}

const V4: Families = Families { v4: true, v6: false };

fn bench_with(families: Families, transports: &[Transport], change: impl FnOnce(&mut Resolvers)) -> Bench {
    let mut settings = Resolvers::new("dns", Span::NONE);
    for (at, transport) in transports.iter().enumerate() {
        settings.nameservers.push(Nameserver {
            name: format!("ns{at}").into(),
            transport: *transport,
            address: ([127, 0, 0, 1], 53).into(),
            connections_max: 0,
            counters: Arc::default(),
        });
    }
    change(&mut settings);
    let machine = Machine::new(Arc::new(settings), families);
    Bench { machine, now: 10_000, sent: Vec::new(), events: Vec::new() }
}

fn bench(nameservers: usize) -> Bench {
    bench_with(V4, &vec![Transport::Udp; nameservers], |_| {})
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn wish(had: Had) -> Wish {
    Wish { group: 1, options: Arc::default(), had }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

impl Bench {
    fn collect(&mut self) {
        while let Some(output) = self.machine.output() {
            match output {
                Output::Send { nameserver, port, id, bytes } => {
                    self.sent.push(Sent { nameserver, port, id, bytes });
                }
                Output::Event(event) => self.events.push(event),
                Output::Close { .. } => {}
            }
        }
    }
    /// Lets time pass, with every tick that is due meanwhile.
    fn pass(&mut self, ms: Millis) {
        let end = self.now + ms;
        while let Some(due) = self.machine.due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.machine.tick(self.now);
            self.collect();
        }
        self.now = end;
    }
    fn server(&mut self, host: &str) -> RequesterId {
        let id = self.machine.server(name(host), wish(Had::Nothing), self.now);
        self.pass(0);
        id
    }
    /// The questions since the last look.
    fn sent(&mut self) -> Vec<Sent> {
        self.collect();
        std::mem::take(&mut self.sent)
    }
    fn events(&mut self) -> Vec<Event> {
        self.collect();
        std::mem::take(&mut self.events)
    }
    fn receive(&mut self, to: &Sent, bytes: &[u8]) {
        self.machine.received(to.nameserver, to.port, bytes, self.now);
        self.collect();
    }
    fn counter(&self, nameserver: usize, counter: Counter) -> u64 {
        self.machine.settings.nameservers[nameserver].counters.get(counter)
    }
}

#[test]
fn the_first_valid_answer_counts_and_the_name_is_asked_for_again() {
    let mut bench = bench(2);
    let server = bench.server("web.test");
    let asked = bench.sent();
    assert_eq!(asked.iter().map(|sent| sent.nameserver).collect::<Vec<_>>(), [0, 1]);
    assert!(asked.iter().all(|sent| sent.kind() == TYPE::A && sent.port != STREAM));
    bench.receive(&asked[1], &asked[1].answer(&["10.0.0.1"]));
    assert_eq!(bench.events(), [Event::Answered { requester: server, nameserver: Some(1) }]);
    assert_eq!(bench.machine.choose(server, None), Choice::Take(ip("10.0.0.1")));
    // The other one is too late.
    bench.receive(&asked[0], &asked[0].answer(&["10.0.0.9"]));
    assert!(bench.events().is_empty());
    assert_eq!((bench.counter(0, Counter::Outdated), bench.counter(1, Counter::Valid)), (1, 1));
    bench.pass(999);
    assert!(bench.sent().is_empty());
    bench.pass(1);
    let again = bench.sent();
    assert_eq!(again.len(), 2);
    bench.receive(&again[0], &again[0].answer(&["10.0.0.2"]));
    assert_eq!(bench.machine.choose(server, Some(ip("10.0.0.1"))), Choice::Take(ip("10.0.0.2")));
}

#[test]
fn only_the_asked_name_server_and_the_asked_question_are_believed() {
    let mut bench = bench(2);
    bench.server("web.test");
    let asked = bench.sent();
    let good = asked[0].answer(&["6.6.6.6"]);
    // From the other name server, to another port, with another number, about another name.
    bench.machine.received(1, asked[1].port, &good, bench.now);
    bench.machine.received(0, asked[0].port + 1, &good, bench.now);
    bench.machine.received(0, STREAM, &good, bench.now);
    let mut other = good.clone();
    other[1] ^= 1;
    bench.receive(&asked[0], &other);
    let mut other = good.clone();
    other[13] ^= 1;
    bench.receive(&asked[0], &other);
    bench.receive(&asked[0], &asked[0].bytes.clone());
    bench.receive(&asked[0], &good[..1]);
    assert!(bench.events().is_empty());
    assert_eq!(bench.counter(0, Counter::Valid), 0);
    // None of these has ended the wait.
    bench.receive(&asked[0], &asked[0].answer(&["10.0.0.1"]));
    assert_eq!(bench.events().len(), 1);
}

#[test]
fn silence_is_asked_again_and_given_up() {
    let mut bench = bench_with(V4, &[Transport::Udp], |settings| settings.hold.timeout = 2500);
    let server = bench.server("web.test");
    let first = bench.sent();
    bench.pass(1000);
    let second = bench.sent();
    bench.pass(1000);
    assert_eq!((first.len(), second.len(), bench.sent().len()), (1, 1, 1));
    assert!(bench.events().is_empty());
    bench.pass(1000);
    let failed = |is_held| Event::Failed { requester: server, status: Status::Timeout, is_held };
    assert_eq!(bench.events(), [failed(false)], "nothing was ever valid for 3000 ms");
    assert_eq!(bench.counter(0, Counter::Timeout), 3);
    // Asked again after `timeout resolve`; a late answer to an earlier question of the run is welcome.
    bench.pass(1000);
    let early = bench.sent();
    bench.pass(1500);
    bench.receive(&early[0], &early[0].answer(&["10.0.0.1"]));
    assert_eq!(bench.events(), [Event::Answered { requester: server, nameserver: Some(0) }]);
    bench.pass(1000 + 3000);
    assert_eq!(bench.events(), [failed(false)], "4000 ms after the last valid answer");
}

#[test]
fn what_was_valid_is_held() {
    let mut bench = bench_with(V4, &[Transport::Udp], |settings| settings.hold.nx = 5000);
    let server = bench.server("web.test");
    let asked = bench.sent();
    bench.receive(&asked[0], &asked[0].answer(&["10.0.0.1"]));
    bench.machine.choose(server, None);
    bench.events();
    let mut held = Vec::new();
    for _ in 0..20 {
        bench.pass(500);
        for sent in bench.sent() {
            bench.receive(&sent, &sent.error(RCODE::NameError));
        }
        for event in bench.events() {
            let Event::Failed { status: Status::Nx, is_held, .. } = event else { panic!("{event:?}") };
            held.push(is_held);
        }
    }
    assert!(held.first() == Some(&true), "{held:?}");
    assert_eq!(held.last(), Some(&false), "{held:?}");
    assert_eq!(bench.machine.choose(server, None), Choice::Nothing);
}

#[test]
fn the_other_family_is_asked_when_all_have_failed() {
    let mut bench = bench_with(Families::BOTH, &[Transport::Udp; 2], |settings| settings.retries = 2);
    bench.server("web.test");
    let asked = bench.sent();
    assert!(asked.iter().all(|sent| sent.kind() == TYPE::AAAA));
    bench.receive(&asked[0], &asked[0].error(RCODE::NameError));
    // The same name server cannot answer for the other one.
    bench.receive(&asked[0], &asked[0].error(RCODE::NameError));
    assert!(bench.sent().is_empty());
    bench.receive(&asked[1], &asked[1].error(RCODE::ServerFailure));
    let other = bench.sent();
    assert!(other.len() == 2 && other.iter().all(|sent| sent.kind() == TYPE::A));
    for sent in &other {
        bench.receive(sent, &sent.error(RCODE::Refused));
    }
    assert!(bench.sent().is_empty() && bench.events().is_empty());
    bench.pass(1000);
    let back = bench.sent();
    assert!(back.len() == 2 && back.iter().all(|sent| sent.kind() == TYPE::AAAA));
    for sent in &back {
        bench.receive(sent, &sent.error(RCODE::Refused));
    }
    let last = bench.sent();
    assert!(last.len() == 2 && last.iter().all(|sent| sent.kind() == TYPE::A));
    for sent in &last {
        bench.receive(sent, &sent.error(RCODE::Refused));
    }
    let events = bench.events();
    assert!(
        matches!(events[..], [Event::Failed { status: Status::Refused, is_held: true, .. }]),
        "{events:?}"
    );
}

#[test]
fn what_does_not_fit_comes_over_tcp() {
    let mut bench = bench(1);
    let server = bench.server("web.test");
    let asked = bench.sent();
    let mut cut = Packet::parse(&asked[0].bytes).unwrap().into_reply();
    cut.set_flags(PacketFlag::TRUNCATION);
    bench.receive(&asked[0], &cut.build_bytes_vec().unwrap());
    let over_tcp = bench.sent();
    assert_eq!(over_tcp.iter().map(|sent| sent.port).collect::<Vec<_>>(), [STREAM]);
    let many: Vec<String> = (1..200).map(|at| format!("10.0.0.{at}")).collect();
    let long = over_tcp[0].answer(&many.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(long.len() > 512);
    // Over UDP it would be too long.
    bench.receive(&asked[0], &long);
    assert_eq!(bench.counter(0, Counter::TooBig), 1);
    bench.receive(&over_tcp[0], &long);
    assert_eq!(bench.events(), [Event::Answered { requester: server, nameserver: Some(0) }]);
    assert_eq!((bench.counter(0, Counter::Truncated), bench.counter(0, Counter::Sent)), (1, 2));
    // A connection that fails leaves the question to the next round.
    bench.pass(1000);
    let asked = bench.sent();
    bench.receive(&asked[0], &cut_answer(&asked[0]));
    let over_tcp = bench.sent();
    bench.machine.unsent(0, STREAM, over_tcp[0].id, bench.now);
    bench.pass(1000);
    assert_eq!(bench.sent().len(), 1);
    assert_eq!(bench.counter(0, Counter::SendError), 1);
}

fn cut_answer(sent: &Sent) -> Vec<u8> {
    let mut cut = Packet::parse(&sent.bytes).unwrap().into_reply();
    cut.set_flags(PacketFlag::TRUNCATION);
    cut.build_bytes_vec().unwrap()
}

#[test]
fn servers_that_share_a_name_share_its_resolution() {
    let mut bench = bench(1);
    let servers: Vec<_> = (0..5).map(|_| bench.server("web.test")).collect();
    let asked = bench.sent();
    assert_eq!(asked.len(), 1);
    bench.receive(&asked[0], &asked[0].answer(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]));
    let events = bench.events();
    let by: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Answered { nameserver, .. } => *nameserver,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(by, [Some(0), None, None, None, None]);
    let mut taken = Vec::new();
    for server in &servers {
        taken.push(bench.machine.choose(*server, None));
    }
    let take = |text| Choice::Take(ip(text));
    assert_eq!(
        taken,
        [take("10.0.0.1"), take("10.0.0.2"), take("10.0.0.3"), Choice::Nothing, Choice::Nothing]
    );
    for server in servers {
        bench.machine.leave(server, bench.now);
    }
    assert_eq!(bench.machine.table.sizes(), (0, 0, 0, 0));
}

#[test]
fn services_keep_their_slots() {
    let mut bench = bench_with(V4, &[Transport::Udp], |settings| settings.hold.nx = 0);
    bench.machine.service(name("_http._tcp.test"), vec![(Slot(1), None), (Slot(2), None)], bench.now);
    bench.pass(0);
    let round = |bench: &mut Bench, records: &[&str]| {
        let asked = bench.sent();
        assert_eq!(asked.len(), 1);
        if records.is_empty() {
            bench.receive(&asked[0], &asked[0].error(RCODE::NameError));
        } else {
            bench.receive(&asked[0], &asked[0].answer(records));
        }
        let events = bench.events();
        bench.pass(1000);
        events
            .into_iter()
            .map(|event| match event {
                Event::Assigned { slot, target, port, weight, addresses } => {
                    format!("{} {target}:{port} {weight} {addresses:?}", slot.0)
                }
                Event::Released { slot } => format!("{} free", slot.0),
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    let first = round(&mut bench, &["a.test:80:10=10.0.0.1", "b.test:81:20", "c.test:82:30"]);
    assert_eq!(first, ["1 a.test:80 10 [10.0.0.1]", "2 b.test:81 20 []"]);
    // One goes, its slot takes the one that waited; the other keeps its own.
    let second = round(&mut bench, &["c.test:82:30", "b.test:81:5"]);
    assert_eq!(second, ["1 free", "2 b.test:81 5 []", "1 c.test:82 30 []"]);
    // The errors of a name server that is out of its mind count once `resolve_retries` is used up.
    assert_eq!(round(&mut bench, &[]), [""; 0]);
    assert_eq!(round(&mut bench, &[]), [""; 0]);
    assert_eq!(round(&mut bench, &[]), [""; 0]);
    let asked = bench.sent();
    let events = bench.events();
    assert!(asked.is_empty() || !events.is_empty(), "{events:?}");
}

#[test]
fn slots_keep_what_they_had_before_a_reload() {
    let mut bench = bench(1);
    let had = |host: &str, port| Some((name(host), port));
    let slots = vec![(Slot(1), had("gone.test", 80)), (Slot(2), None), (Slot(3), had("b.test", 81))];
    bench.machine.service(name("_http._tcp.test"), slots, bench.now);
    bench.pass(0);
    let asked = bench.sent();
    bench.receive(&asked[0], &asked[0].answer(&["a.test:80:1", "b.test:82:1", "b.test:81:1"]));
    let told: Vec<String> = bench
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Assigned { slot, target, port, .. } => format!("{} {target}:{port}", slot.0),
            Event::Released { slot } => format!("{} free", slot.0),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, ["1 free", "1 a.test:80", "2 b.test:82", "3 b.test:81"]);
}

#[test]
fn servers_keep_addresses_and_records_over_a_reload() {
    let hold = |settings: &mut Resolvers| settings.hold.obsolete = 60_000;
    let mut before = bench_with(V4, &[Transport::Udp], hold);
    let servers = [(); 3].map(|()| before.server("web.test"));
    let asked = before.sent();
    before.receive(&asked[0], &asked[0].answer(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]));
    for (server, address) in servers.iter().zip(["10.0.0.1", "10.0.0.2", "10.0.0.3"]) {
        assert_eq!(before.machine.choose(*server, None), Choice::Take(ip(address)));
    }
    // The first two leave their slots: what is left keeps the last one, though lower ones are free.
    let mut after = bench_with(V4, &[Transport::Udp], hold);
    after.now = before.now;
    after.machine.inherit(&before.machine);
    let had = before.machine.used_by(servers[2]).map_or(Had::Nothing, Had::Told);
    let slots = [Had::Nothing, Had::Nothing, had]
        .map(|had| after.machine.server(name("web.test"), wish(had), after.now));
    after.machine.forget_inheritance();
    assert_eq!(after.machine.used_by(slots[2]), Some(ip("10.0.0.3")));
    after.pass(0);
    let asked = after.sent();
    after.receive(&asked[0], &asked[0].answer(&["10.0.0.1"]));
    let chosen = slots.map(|slot| after.machine.choose(slot, None));
    // What an answer has no more stays for `hold obsolete`, as it would without the reload.
    assert_eq!(chosen[2], Choice::Keep);
    assert!(chosen[..2].iter().all(|chosen| *chosen != Choice::Take(ip("10.0.0.3"))), "{chosen:?}");
    assert!(chosen[..2].contains(&Choice::Take(ip("10.0.0.1"))), "{chosen:?}");
}

#[test]
fn rules_take_what_is_known() {
    let mut bench = bench(1);
    let Ruling::Waits(first) = bench.machine.rule(name("a.test"), Prefer::V4, bench.now) else { panic!() };
    let Ruling::Waits(second) = bench.machine.rule(name("a.test"), Prefer::V4, bench.now) else { panic!() };
    bench.pass(0);
    let asked = bench.sent();
    assert_eq!(asked.len(), 1);
    bench.receive(&asked[0], &asked[0].answer(&["10.0.0.1", "10.0.0.2"]));
    let told: Vec<_> = bench.events();
    let ruled = |requester, text: &str| Event::Ruled { requester, address: Some(ip(text)) };
    assert_eq!(told, [ruled(first, "10.0.0.1"), ruled(second, "10.0.0.2")], "each the next one");
    bench.machine.leave(first, bench.now);
    bench.machine.leave(second, bench.now);
    bench.pass(9999);
    assert!(bench.sent().is_empty(), "nobody wants it, so nobody asks");
    assert_eq!(
        bench.machine.rule(name("a.test"), Prefer::V4, bench.now),
        Ruling::Known(Some(ip("10.0.0.1")))
    );
    bench.pass(1);
    assert_eq!(bench.machine.table.sizes(), (0, 0, 0, 0), "hold valid is over");
}

#[test]
fn a_rule_that_leaves_leaves_nothing_behind() {
    let mut bench = bench(1);
    let Ruling::Waits(rule) = bench.machine.rule(name("a.test"), Prefer::V4, bench.now) else { panic!() };
    bench.pass(0);
    let asked = bench.sent();
    bench.machine.leave(rule, bench.now);
    assert_eq!(bench.machine.table.sizes(), (0, 0, 0, 0));
    bench.receive(&asked[0], &asked[0].answer(&["10.0.0.1"]));
    assert!(bench.events().is_empty());
    assert_eq!(bench.counter(0, Counter::Outdated), 1);
}

#[test]
fn names_that_clients_choose_are_bounded() {
    let mut bench = bench(1);
    let server = bench.server("web.test");
    let mut full = 0;
    for at in 0..RULE_NAMES_MAX + 10 {
        if bench.machine.rule(name(&format!("n{at}.test")), Prefer::V4, bench.now) == Ruling::Full {
            full += 1;
        }
    }
    assert_eq!(full, 10);
    // They are asked for in portions.
    bench.sent();
    bench.machine.tick(bench.now);
    assert_eq!(bench.sent().len(), ASKS_MAX);
    bench.machine.leave(server, bench.now);
}

#[test]
fn more_names_than_can_be_asked_all_have_their_turn() {
    let mut bench = bench_with(V4, &[Transport::Udp], |settings| settings.timeout_resolve_ms = 10);
    for at in 0..20 * ASKS_MAX {
        bench.machine.server(name(&format!("n{at}.test")), wish(Had::Nothing), bench.now);
    }
    let mut names = std::collections::HashSet::new();
    for _ in 0..25 {
        bench.pass(ASK_PAUSE_MS);
        for sent in bench.sent() {
            names.insert(Packet::parse(&sent.bytes).unwrap().questions[0].qname.to_string());
            bench.receive(&sent, &sent.answer(&["10.0.0.1"]));
        }
    }
    assert_eq!(names.len(), 20 * ASKS_MAX);
}

#[test]
fn a_trigger_asks_at_once_unless_the_answer_is_fresh() {
    let mut bench = bench_with(V4, &[Transport::Udp], |settings| {
        settings.timeout_resolve_ms = 60_000;
        settings.hold.valid = 5000;
    });
    let server = bench.server("web.test");
    let asked = bench.sent();
    bench.receive(&asked[0], &asked[0].answer(&["10.0.0.1"]));
    bench.pass(4999);
    bench.machine.trigger(server, bench.now);
    bench.pass(0);
    assert!(bench.sent().is_empty());
    bench.pass(1);
    bench.machine.trigger(server, bench.now);
    bench.pass(0);
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn a_section_without_name_servers_fails_in_time() {
    let mut bench = bench(0);
    bench.server("web.test");
    bench.pass(3000);
    assert!(matches!(bench.events()[..], [Event::Failed { status: Status::Timeout, is_held: true, .. }]));
}

#[test]
fn memory_does_not_grow_with_time() {
    let mut bench = bench(2);
    let server = bench.server("web.test");
    for round in 0..1000u32 {
        for sent in bench.sent() {
            match round % 4 {
                0 => bench.receive(&sent, &sent.answer(&["10.0.0.1"])),
                1 => bench.receive(&sent, &sent.error(RCODE::ServerFailure)),
                2 => bench.receive(&sent, &cut_answer(&sent)),
                _ => {}
            }
        }
        bench.events();
        bench.pass(250);
        let (resolutions, requesters, queries, timers) = bench.machine.table.sizes();
        assert!(resolutions == 1 && requesters == 1 && timers == 1 && queries <= 2 * QUERIES_KEPT_MAX + 2);
    }
    bench.machine.leave(server, bench.now);
    assert_eq!(bench.machine.table.sizes(), (0, 0, 0, 0));
}
