//! A name server of the tests' own, over UDP and TCP: it says the truth, errors, lies or nothing, as a closure has
//! it, and what it does can be changed while it runs.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use simple_dns::rdata::{A, AAAA, CNAME, RData, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

use super::{LIMIT, own_address, wait_until};

/// A question.
#[derive(Clone, Debug)]
pub struct Asked {
    /// As it came.
    pub bytes: Vec<u8>,
    /// The name, in lower case.
    pub name: String,
    /// `A`, `AAAA` or `SRV`.
    pub kind: &'static str,
    /// Whether it came over TCP.
    pub over_tcp: bool,
    /// Where it came from.
    pub from: SocketAddr,
}

impl Asked {
    fn read(bytes: &[u8], over_tcp: bool, from: SocketAddr) -> Option<Asked> {
        let packet = Packet::parse(bytes).ok()?;
        let question = packet.questions.first()?;
        let kind = match question.qtype {
            QTYPE::TYPE(TYPE::A) => "A",
            QTYPE::TYPE(TYPE::AAAA) => "AAAA",
            QTYPE::TYPE(TYPE::SRV) => "SRV",
            _ => "?",
        };
        let name = question.qname.to_string().to_lowercase();
        Some(Asked { bytes: bytes.to_vec(), name, kind, over_tcp, from })
    }

    /// An answer with these records: an address, `cname:<target>`, or `<target>:<port>:<weight>[=<address>]`.
    pub fn answer(&self, records: &[&str]) -> Vec<u8> {
        self.answer_for(&self.name, records)
    }

    /// The same, but the records are said to be of another name.
    pub fn answer_for(&self, name: &str, records: &[&str]) -> Vec<u8> {
        let mut packet = Packet::parse(&self.bytes).expect("it was read").into_reply();
        let mut owner = Name::new_unchecked(name);
        for text in records {
            if let Some(target) = text.strip_prefix("cname:") {
                let target = Name::new_unchecked(target);
                packet.answers.push(record(&owner, RData::CNAME(CNAME(target.clone()))));
                owner = target;
            } else if let Ok(address) = text.parse() {
                packet.answers.push(record(&owner, address_data(address)));
            } else {
                let (service, address) = text.split_once('=').unwrap_or((text, ""));
                let mut parts = service.split(':');
                let target = Name::new_unchecked(parts.next().expect("a target"));
                let mut number = || parts.next().and_then(|part| part.parse().ok()).expect("a number");
                let (port, weight) = (number(), number());
                if let Ok(address) = address.parse() {
                    packet.additional_records.push(record(&target, address_data(address)));
                }
                let data = RData::SRV(SRV { priority: 0, weight, port, target });
                packet.answers.push(record(&owner, data));
            }
        }
        packet.build_bytes_vec_compressed().expect("a message")
    }

    /// An error: `NXDOMAIN`, `REFUSED` or `SERVFAIL`.
    pub fn error(&self, code: &str) -> Vec<u8> {
        let mut packet = Packet::parse(&self.bytes).expect("it was read").into_reply();
        *packet.rcode_mut() = match code {
            "NXDOMAIN" => RCODE::NameError,
            "REFUSED" => RCODE::Refused,
            _ => RCODE::ServerFailure,
        };
        packet.build_bytes_vec().expect("a message")
    }

    /// An answer that says of itself that it was cut off.
    pub fn truncated(&self) -> Vec<u8> {
        let mut packet = Packet::parse(&self.bytes).expect("it was read").into_reply();
        packet.set_flags(PacketFlag::TRUNCATION);
        packet.build_bytes_vec().expect("a message")
    }
}

fn record<'a>(owner: &Name<'a>, data: RData<'a>) -> ResourceRecord<'a> {
    ResourceRecord::new(owner.clone(), CLASS::IN, 1, data)
}

fn address_data(address: IpAddr) -> RData<'static> {
    match address {
        IpAddr::V4(v4) => RData::A(A { address: v4.into() }),
        IpAddr::V6(v6) => RData::AAAA(AAAA { address: v6.into() }),
    }
}

type Behaviour = Box<dyn FnMut(&Asked) -> Vec<Vec<u8>> + Send>;

struct Shared {
    behaviour: Mutex<Behaviour>,
    asked: Mutex<Vec<Asked>>,
    count: AtomicUsize,
    delay_ms: AtomicUsize,
    stop: AtomicBool,
}

impl Shared {
    fn reply(&self, bytes: &[u8], over_tcp: bool, from: SocketAddr) -> Vec<Vec<u8>> {
        let Some(asked) = Asked::read(bytes, over_tcp, from) else { return Vec::new() };
        self.count.fetch_add(1, SeqCst);
        let mut kept = self.asked.lock().expect("no panic while writing");
        if kept.len() < KEPT {
            kept.push(asked.clone());
        }
        drop(kept);
        (self.behaviour.lock().expect("no panic while answering"))(&asked)
    }
}

/// More questions than this are counted but not kept.
const KEPT: usize = 10_000;
/// How long a thread waits before it looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(20);

/// A name server; stopped when dropped.
pub struct Nameserver {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Nameserver {
    /// Sends what the closure returns for a question, each part as a message of its own.
    pub fn new(behaviour: impl FnMut(&Asked) -> Vec<Vec<u8>> + Send + 'static) -> Nameserver {
        let tcp = TcpListener::bind((own_address(), 0)).expect("a free port");
        let address = tcp.local_addr().expect("an address");
        let udp = UdpSocket::bind(address).expect("the address is the test's own");
        udp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        tcp.set_nonblocking(true).expect("a listener");
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(Box::new(behaviour)),
            asked: Mutex::default(),
            count: AtomicUsize::new(0),
            delay_ms: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let (of_udp, of_tcp) = (shared.clone(), shared.clone());
        let threads = vec![
            std::thread::spawn(move || serve_udp(&udp, &of_udp)),
            std::thread::spawn(move || serve_tcp(&tcp, &of_tcp)),
        ];
        Nameserver { address, shared, threads }
    }

    /// Tells these records of one name, as [`Asked::answer`] reads them, and knows no other.
    pub fn of(name: &str, records: &[&str]) -> Nameserver {
        let made = Nameserver::new(|_| Vec::new());
        made.tell(name, records);
        made
    }

    /// From now on it does this.
    pub fn set(&self, behaviour: impl FnMut(&Asked) -> Vec<Vec<u8>> + Send + 'static) {
        *self.shared.behaviour.lock().expect("no panic while answering") = Box::new(behaviour);
    }

    /// From now on it tells these records of a name, and knows no other.
    pub fn tell(&self, name: &str, records: &[&str]) {
        let name = name.to_owned();
        let records: Vec<String> = records.iter().map(|&record| record.to_owned()).collect();
        self.set(move |asked| {
            let texts: Vec<&str> = records.iter().map(String::as_str).collect();
            let of_kind = |text: &&str| match text.parse::<IpAddr>() {
                Ok(address) => asked.kind == if address.is_ipv4() { "A" } else { "AAAA" },
                Err(_) => text.starts_with("cname:") || asked.kind == "SRV",
            };
            vec![match asked.name == name {
                true => asked.answer(&texts.into_iter().filter(of_kind).collect::<Vec<_>>()),
                false => asked.error("NXDOMAIN"),
            }]
        });
    }

    /// From now on answers over UDP leave only so long after their questions.
    pub fn answer_after(&self, delay: Duration) {
        self.shared.delay_ms.store(delay.as_millis() as usize, SeqCst);
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The questions it got.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().expect("no panic while writing").clone()
    }

    /// How many questions it got.
    pub fn count(&self) -> usize {
        self.shared.count.load(SeqCst)
    }

    /// Waits until it got `more` questions from now on.
    pub fn wait_asked(&self, more: usize) {
        let wanted = self.count() + more;
        assert!(wait_until(LIMIT, || self.count() >= wanted), "asked {} times, not {wanted}", self.count());
    }
}

impl Drop for Nameserver {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve_udp(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; 65536];
    let mut waiting: VecDeque<(Instant, Vec<u8>, SocketAddr)> = VecDeque::new();
    while !shared.stop.load(SeqCst) {
        if let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let due = Instant::now() + Duration::from_millis(shared.delay_ms.load(SeqCst) as u64);
            let replies = shared.reply(&buffer[..len], false, from);
            waiting.extend(replies.into_iter().map(|reply| (due, reply, from)));
        }
        while waiting.front().is_some_and(|(due, ..)| *due <= Instant::now()) {
            if let Some((_, reply, to)) = waiting.pop_front() {
                let _ = socket.send_to(&reply, to);
            }
        }
    }
}

fn serve_tcp(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    while !shared.stop.load(SeqCst) {
        let Ok((stream, from)) = listener.accept() else {
            std::thread::sleep(PATIENCE / 10);
            continue;
        };
        let shared = shared.clone();
        threads.push(std::thread::spawn(move || serve_stream(stream, from, &shared)));
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn serve_stream(mut stream: TcpStream, from: SocketAddr, shared: &Shared) {
    stream.set_nonblocking(false).expect("a stream");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let (mut input, mut part) = (Vec::new(), [0; 4096]);
    while !shared.stop.load(SeqCst) {
        match stream.read(&mut part) {
            Ok(0) => return,
            Ok(len) => input.extend_from_slice(&part[..len]),
            Err(_) => continue,
        }
        while input.len() >= 2 {
            let end = 2 + usize::from(u16::from_be_bytes([input[0], input[1]]));
            if input.len() < end {
                break;
            }
            let message: Vec<u8> = input.drain(..end).skip(2).collect();
            for reply in shared.reply(&message, true, from) {
                let len = u16::try_from(reply.len()).expect("a message").to_be_bytes();
                if stream.write_all(&[&len[..], &reply].concat()).is_err() {
                    return;
                }
            }
        }
    }
}
