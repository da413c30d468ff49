//! Streams mutated from the corpus, many at once: their answers are not known, so only what must hold of every one is
//! checked. Each ends within a bound, each answer reaches the client that asked, each request that an origin saw
//! was answered to a client and counted by the proxy, and every byte that an origin got can be read strictly.
//!
//! A stream follows from the seed and its number alone. `HOSTILE_STREAMS` sets how many, `HOSTILE_SEED` from what,
//! `HOSTILE_STREAM` runs a single one; `HARING_BINARY` takes another build of the proxy.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use haring::base::rng::Rng;

use super::client::RawClient;
use super::oracle::{self, Response};
use super::recorder::{Event, Recorder};
use super::{cases, requests};
use crate::support::*;

/// Streams of a run, both drivers together.
const STREAMS: u64 = 20_000;
/// Clients at once.
const CLIENTS: u64 = 12;
/// Messages of the corpus that are taken; long ones are slow and say little more.
const MESSAGE_MAX: usize = 3000;
/// Streams between two harmless requests of a client.
const SENTINEL_EVERY: u64 = 50;
/// Failures after which a run gives up.
const FAILURES_MAX: usize = 10;
/// The listeners that streams go to: none of those whose options let violations pass on purpose.
const LISTENERS: [&str; 4] = ["strict", "strict", "names_deleted", "wait_body"];
/// What the proxy may say itself.
const REFUSALS: &[u16] = &[400, 405, 413, 414, 422, 431, 501, 505];

const WORDS: &[&str] = &[
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "content-length: 35\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Expect: 100-continue\r\n",
    "Upgrade: foo\r\nConnection: upgrade\r\n",
    "Host: b\r\n",
    "GET /inner HTTP/1.1\r\nHost: i\r\n\r\n",
    "POST /inner HTTP/1.1\r\nHost: i\r\nContent-Length: 3\r\n\r\nabc",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "0\r\n\r\n",
    "3\r\nabc\r\n",
    "5;a=\"b\"\r\n",
    "ffffffffffff\r\n",
    "chunked",
    ", ",
    "\r\n\r\n",
    "X-Trailer: 1\r\n",
    ":",
    "\t",
    "http://b/",
    "HEAD ",
];
const LINE_ENDS: &[&str] =
    &["\n", "\r", "\r\r\n", "\n\n", "\r\n\r\n", " \r\n", "\r\n ", "\r\n\t", "\0\r\n", "", "\u{b}", "\r\n:"];
const NUMBERS: &[&str] = &[
    "0",
    "00",
    "1",
    "2",
    "4",
    "10",
    "35",
    "-1",
    "+1",
    "255",
    "256",
    "65536",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "0x10",
    "1e3",
];

/// What streams are made of.
struct Corpus {
    /// Messages that are refused, most of them.
    all: Vec<Vec<u8>>,
    /// Those that go on to an origin: a change to one of these gets further.
    good: Vec<Vec<u8>>,
}

impl Corpus {
    fn new() -> Corpus {
        let mut cases = cases::requests();
        cases.retain(|case| case.bytes.len() <= MESSAGE_MAX);
        let good = |case: &&cases::RequestCase| !case.origin.is_empty() && case.stays_open;
        Corpus {
            good: cases.iter().filter(good).map(|case| case.bytes.clone()).collect(),
            all: cases.into_iter().map(|case| case.bytes).collect(),
        }
    }
    fn message(&self, rng: &mut Rng) -> &[u8] {
        let list = if rng.below(4) == 0 { &self.all } else { &self.good };
        &list[rng.below(list.len() as u64) as usize]
    }
}

/// A stream: where it goes, its bytes, and how large its pieces are.
fn stream(corpus: &Corpus, seed: u64, number: u64) -> (&'static str, Vec<u8>, usize) {
    let mut rng = Rng::new(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
    let mut bytes = Vec::new();
    for _ in 0..1 + rng.below(4) {
        bytes.extend_from_slice(corpus.message(&mut rng));
    }
    // Some stay as they are: what is accepted goes deeper than what is refused.
    for _ in 0..rng.below(5) {
        mutate(&mut rng, corpus, &mut bytes);
    }
    let piece = match rng.below(4) {
        0 => 1 + bytes.len() / (1 + rng.below(6) as usize),
        1 => 1 + rng.below(100) as usize + bytes.len() / 20,
        _ => usize::MAX,
    };
    (LISTENERS[rng.below(LISTENERS.len() as u64) as usize], bytes, piece)
}

fn pick<'a, T>(rng: &mut Rng, list: &'a [T]) -> &'a T {
    &list[rng.below(list.len() as u64) as usize]
}

fn mutate(rng: &mut Rng, corpus: &Corpus, bytes: &mut Vec<u8>) {
    let length = bytes.len();
    let at = rng.below(length as u64 + 1) as usize;
    let end = at + rng.below((length - at).min(40) as u64 + 1) as usize;
    match rng.below(14) {
        0 if at < length => bytes[at] ^= 1 << rng.below(8),
        1 if at < length => bytes[at] = *pick(rng, b"\0\t\n\x0b\x0c\r :;,#@\\\"\x7f\x80\xa0\xff"),
        2 => drop(bytes.drain(at..end)),
        3 => {
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        4 => {
            let other = corpus.message(rng);
            let from = rng.below(other.len() as u64 + 1) as usize;
            bytes.splice(at..end, other[from..].iter().copied());
        }
        5 | 6 => {
            let Some((_, after)) = line(bytes, at) else { return };
            let start = after - if bytes[..after].ends_with(b"\r\n") { 2 } else { 1 };
            bytes.splice(start..after, pick(rng, LINE_ENDS).bytes());
        }
        7 => {
            // A line again, anywhere a line may stand.
            let Some((start, after)) = line(bytes, at) else { return };
            let copy = bytes[start..after].to_vec();
            let place = line(bytes, rng.below(length as u64) as usize).map_or(length, |(start, _)| start);
            bytes.splice(place..place, copy);
        }
        8 => {
            let Some((start, after)) = line(bytes, at) else { return };
            drop(bytes.drain(start..after));
        }
        9 | 10 => {
            let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|more| at + more) else {
                return;
            };
            let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            bytes.splice(start..start + digits, pick(rng, NUMBERS).bytes());
        }
        11 => {
            let place = line(bytes, at).map_or(at, |(start, _)| start);
            bytes.splice(place..place, pick(rng, WORDS).bytes());
        }
        12 => drop(bytes.splice(at..at, pick(rng, WORDS).bytes())),
        _ => bytes.truncate(at),
    }
}

/// The line around a place: where it starts and where the next one does.
fn line(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let at = at.min(bytes.len());
    let start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let after = at + bytes[at..].iter().position(|byte| *byte == b'\n')? + 1;
    Some((start, after))
}

/// The answers in what a client received to the end of its connection.
fn answers(mut bytes: &[u8]) -> Result<Vec<Response>, String> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let origin = |response: &Response| oracle::text(&response.fields, "x-origin");
        let head_only = |response: &Response| {
            let origin = origin(response);
            origin.is_empty() || origin.split(' ').nth(1) == Some("HEAD")
        };
        let read = oracle::response(bytes, head_only, true)?;
        let (response, len) = read.ok_or("it ends in the middle of an answer")?;
        bytes = &bytes[len..];
        if origin(&response).is_empty() && response.status != 100 {
            // The proxy's own word is its last. It has no body where the request was known to be HEAD.
            let length = oracle::text(&response.fields, "content-length").parse().unwrap_or(usize::MAX);
            if !REFUSALS.contains(&response.status) {
                return Err(format!("the proxy says {}", response.status));
            }
            if !bytes.is_empty() && bytes.len() != length {
                return Err(format!("behind a refusal: \"{}\"", bytes.escape_ascii()));
            }
            bytes = &[];
        }
        found.push(response);
    }
    Ok(found)
}

struct Run<'a> {
    proxy: &'a Proxy,
    recorder: &'a Recorder,
    corpus: &'a Corpus,
    seed: u64,
    next: AtomicU64,
    end: u64,
    failures: Mutex<Vec<String>>,
    /// Requests that reached the origin and came back.
    forwarded: AtomicU64,
}

impl Run<'_> {
    /// Takes streams until none is left.
    fn client(&self, client: u64) {
        let mut number = 0;
        while let Some(stream) = self.take() {
            // Another address now and then: the ports of one would not last.
            number += 1;
            let source = IpAddr::V4(Ipv4Addr::new(127, 230, client as u8, (number / 5000 % 250) as u8 + 1));
            let mut failed = self.one(stream, source);
            if failed.is_ok() && number % SENTINEL_EVERY == 0 {
                failed = self.sentinel(stream, source);
            }
            if let Err(reason) = failed {
                let mut failures = self.failures.lock().expect("no client has panicked");
                failures.push(format!("stream {stream} of seed {}: {reason}", self.seed));
                if failures.len() > FAILURES_MAX {
                    return;
                }
            }
        }
    }

    fn take(&self) -> Option<u64> {
        let number = self.next.fetch_add(1, Relaxed);
        (number < self.end && self.failures.lock().is_ok_and(|list| list.len() < FAILURES_MAX))
            .then_some(number)
    }

    fn one(&self, number: u64, source: IpAddr) -> Result<(), String> {
        let (listen, bytes, piece) = stream(self.corpus, self.seed, number);
        let mut client = RawClient::connect_from(source, self.proxy.address(listen));
        let sent = || format!("\n    to {listen}, in pieces of {piece}: \"{}\"", bytes.escape_ascii());
        client.send(&bytes, piece);
        client.finish_sending();
        let received = client.rest().map_err(|reason| format!("{reason}{}", sent()))?;
        let answers = answers(&received)
            .map_err(|reason| format!("{reason}\n    got \"{}\"{}", received.escape_ascii(), sent()))?;
        for answer in &answers {
            self.claim(answer, &client.name()).map_err(|reason| format!("{reason}{}", sent()))?;
        }
        Ok(())
    }

    /// A harmless request on its own connection.
    fn sentinel(&self, number: u64, source: IpAddr) -> Result<(), String> {
        let mut client = RawClient::connect_from(source, self.proxy.address("strict"));
        let request = format!("GET /sentinel/{number} HTTP/1.1\r\nHost: sentinel\r\n\r\n");
        client.send(request.as_bytes(), usize::MAX);
        match client.response(false)? {
            Some(response) if response.status == 200 && response.body == b"seen" => {
                self.claim(&response, &client.name())
            }
            other => Err(format!("the request behind got {other:?}")),
        }
    }

    /// An answer of the origin belongs to the one client that asked for it, and is given once.
    fn claim(&self, answer: &Response, client: &str) -> Result<(), String> {
        let origin = oracle::text(&answer.fields, "x-origin");
        let mut words = origin.split(' ');
        let Some(number) = words.next().and_then(|number| number.parse().ok()) else { return Ok(()) };
        self.forwarded.fetch_add(1, Relaxed);
        let asked = self.recorder.shared().unclaimed.remove(&number);
        let Some(asked) = asked else { return Err(format!("answer {number} came twice")) };
        if words.nth(1) != Some(client) || !asked.starts_with(&format!("{client} ")) {
            return Err(format!("{client} got the answer to {asked}"));
        }
        Ok(())
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
}

/// Runs the streams of a range through a proxy; says how it went.
fn run(driver: Driver, corpus: &Corpus, seed: u64, first: u64, end: u64) {
    let recorder = Recorder::start();
    recorder.shared().claims = true;
    let mut proxy = requests::proxy_of(driver, &recorder.address().to_string(), 2);
    let started = Instant::now();
    let run = Run {
        proxy: &proxy,
        recorder: &recorder,
        corpus,
        seed,
        next: AtomicU64::new(first),
        end,
        failures: Mutex::default(),
        forwarded: AtomicU64::new(0),
    };
    std::thread::scope(|scope| {
        let run = &run;
        for client in 0..CLIENTS {
            scope.spawn(move || run.client(client));
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let forwarded = run.forwarded.load(Relaxed);
    let mut failures = run.failures.into_inner().expect("no client has panicked");
    let streams = (end - first) as f64;
    println!(
        "{} streams in {seconds:.1} s ({:.0}/s), {forwarded} requests sent on, seed {seed}",
        end - first,
        streams / seconds
    );
    if failures.is_empty() && !wait_until(LIMIT, || recorder.shared().unclaimed.is_empty()) {
        failures.push(format!("answers that nobody got: {:?}", recorder.shared().unclaimed));
    }
    let shared = recorder.shared();
    failures.extend(shared.events.iter().filter_map(|(_, event)| match event {
        Event::Bad(reason) => Some(format!("the origin got {reason}")),
        _ => None,
    }));
    let answered = shared.answered;
    drop(shared);
    failures.extend(super::panics(&proxy));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(proxy.is_running());
    let counted = |field: &str| -> u64 {
        let listeners = ["strict", "names_deleted", "wait_body"];
        listeners.iter().map(|name| proxy.stat(name, "s1", field).parse::<u64>().expect("a number")).sum()
    };
    assert_eq!(
        counted("hrsp_2xx") + counted("hrsp_4xx"),
        answered,
        "the proxy and the origin count differently"
    );
    assert_eq!(counted("hrsp_5xx"), 0);
    assert_eq!(forwarded, answered, "the clients and the origin count differently");
    assert!(end - first < 1000 || forwarded > (end - first) / 2, "only {forwarded} requests were sent on");
}

#[test]
fn no_stream_crashes_hangs_or_smuggles() {
    let corpus = Corpus::new();
    let seed = number("HOSTILE_SEED").unwrap_or(0x5eed);
    let streams = number("HOSTILE_STREAMS").unwrap_or(STREAMS);
    if let Some(one) = number("HOSTILE_STREAM") {
        return both_drivers(|driver| run(driver, &corpus, seed, one, one + 1));
    }
    // Other streams on each driver.
    let first = std::cell::Cell::new(0);
    both_drivers(|driver| {
        let begin = first.replace(first.get() + streams / 2);
        run(driver, &corpus, seed, begin, begin + streams / 2);
    });
}
