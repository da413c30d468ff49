//! The load generator. Closed loop: each connection sends again as soon as it is answered. Open loop (`--rate`):
//! requests are due at times fixed beforehand, whatever the answers do, and a latency counts from the time a
//! request was due, not from when a connection was free to send it: a stall is seen by every request that should
//! have been sent during it (no coordinated omission).
//!
//! Counting starts after the warm-up, when connections are up; the processors' counters are read from /proc/stat
//! at both ends of that window, so that setting up connections is no part of a keep-alive figure.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::histogram::Histogram;
use crate::origin::{content_length, head_end};
use crate::sys::{self, BUFFER, Poll};
use crate::{Options, numbers};

/// Failed exchanges after which a run is given up.
const ERRORS_MAX: u64 = 1000;

/// The longest response head.
const HEAD_MAX: usize = 16 * 1024;

/// What an exchange looks like.
enum Shape {
    /// So many bytes are the answer.
    Exchange(usize),
    /// An HTTP response is.
    Http { close: bool },
}

/// When requests are due in an open loop.
struct Schedule {
    next: Instant,
    interval: Duration,
    poisson: bool,
}

struct Connection {
    stream: TcpStream,
    /// The request under way and what is left of it.
    request: usize,
    sent: usize,
    /// The answer: its head as far as it came, then what is left of the body; none while it has not begun.
    head: Vec<u8>,
    left: Option<usize>,
    /// Since when the request counts, if one is under way.
    due: Option<Instant>,
}

enum Outcome {
    Waits,
    Answered,
    Failed(&'static str),
}

/// A small generator of random numbers (xorshift64*): the same load in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Between 0 (excluded) and 1.
    fn share(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

impl Connection {
    /// Goes on with the exchange under way.
    fn run(&mut self, shape: &Shape, requests: &[Vec<u8>], buffer: &mut [u8]) -> Outcome {
        if self.due.is_none() {
            // Nothing is under way: the only news can be the end.
            return match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Outcome::Waits,
                Ok(0) => Outcome::Failed("closed while idle"),
                Ok(_) => Outcome::Failed("an answer nobody asked for"),
                Err(_) => Outcome::Failed("broken while idle"),
            };
        }
        if let Err(what) = self.write(requests) {
            return Outcome::Failed(what);
        }
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Outcome::Failed("closed before the answer was complete"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Outcome::Waits,
                Err(_) => return Outcome::Failed("cannot receive"),
            };
            match self.take(&buffer[..count], shape) {
                Ok(false) if count < buffer.len() => return Outcome::Waits,
                Ok(false) => {}
                Ok(true) if self.sent < requests[self.request].len() => {
                    return Outcome::Failed("answered before the request was sent");
                }
                Ok(true) => return Outcome::Answered,
                Err(what) => return Outcome::Failed(what),
            }
        }
    }

    /// Sends what it can of the request.
    fn write(&mut self, requests: &[Vec<u8>]) -> Result<(), &'static str> {
        let request = &requests[self.request];
        while self.sent < request.len() {
            match self.stream.write(&request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Err("cannot send"),
            }
        }
        Ok(())
    }

    /// Takes received bytes into account; true at the end of the answer.
    fn take(&mut self, bytes: &[u8], shape: &Shape) -> Result<bool, &'static str> {
        let (left, count) = match (self.left, shape) {
            (Some(left), _) => (left, bytes.len()),
            (None, Shape::Exchange(receive)) => (*receive, bytes.len()),
            (None, Shape::Http { .. }) => {
                self.head.extend_from_slice(bytes);
                let Some(end) = head_end(&self.head) else {
                    return if self.head.len() < HEAD_MAX { Ok(false) } else { Err("a head without end") };
                };
                let count = self.head.len() - end;
                if !self.head.starts_with(b"HTTP/1.1 2") {
                    return Err("a status other than 2xx");
                }
                let length = content_length(&self.head[..end]).ok_or("an answer without Content-Length")?;
                (length, count)
            }
        };
        self.left = Some(left.checked_sub(count).ok_or("more bytes than the answer has")?);
        Ok(self.left == Some(0))
    }

    fn begin(&mut self, request: usize, due: Instant) {
        (self.request, self.sent, self.left, self.due) = (request, 0, None, Some(due));
        self.head.clear();
    }
}

/// Everything of one run.
struct Load {
    target: SocketAddr,
    shape: Shape,
    requests: Vec<Vec<u8>>,
    sources: u64,
    opened: u64,
    poll: Poll,
    random: Random,
    connections: Vec<Option<Connection>>,
    /// Connections without a request under way (open loop).
    idle: VecDeque<usize>,
    /// Requests that are due and wait for a connection (open loop).
    backlog: VecDeque<Instant>,
    schedule: Option<Schedule>,
    counting: bool,
    completed: u64,
    errors: u64,
    first_error: Option<&'static str>,
    latency: Histogram,
}

impl Load {
    fn open(&mut self, at: usize) -> Result<(), String> {
        let source =
            (self.sources > 0).then(|| Ipv4Addr::new(127, 0, 1, (self.opened % self.sources) as u8 + 1));
        self.opened += 1;
        let stream = sys::connect(self.target, source).map_err(|error| format!("connect: {error}"))?;
        self.poll.add(&stream, at).map_err(|error| format!("epoll: {error}"))?;
        let connection = Connection { stream, request: 0, sent: 0, head: Vec::new(), left: None, due: None };
        self.connections[at] = Some(connection);
        Ok(())
    }

    /// Gives a free connection its next request, or lets it wait for one.
    fn next(&mut self, at: usize) {
        match (&self.schedule, self.backlog.pop_front()) {
            (None, _) => self.send(at, Instant::now()),
            (Some(_), Some(due)) => self.send(at, due),
            (Some(_), None) => self.idle.push_back(at),
        }
    }

    fn send(&mut self, at: usize, due: Instant) {
        let request = match self.requests.len() {
            1 => 0,
            count => (self.random.next() % count as u64) as usize,
        };
        let Some(connection) = &mut self.connections[at] else { return };
        connection.begin(request, due);
        // The answer cannot be here already: an edge will tell of it, as it tells of a failure.
        let _ = connection.write(&self.requests);
    }

    /// Lets a connection do what it can.
    fn advance(&mut self, at: usize, buffer: &mut [u8]) -> Result<(), String> {
        let Some(connection) = &mut self.connections[at] else { return Ok(()) };
        let answered = match connection.run(&self.shape, &self.requests, buffer) {
            Outcome::Waits => return Ok(()),
            Outcome::Answered => true,
            Outcome::Failed(what) => {
                self.errors += 1;
                self.first_error.get_or_insert(what);
                if self.errors > ERRORS_MAX {
                    return Err(format!(
                        "{ERRORS_MAX} errors, the first: {}",
                        self.first_error.unwrap_or(what)
                    ));
                }
                false
            }
        };
        if let Some(due) = connection.due.take()
            && answered
            && self.counting
        {
            self.completed += 1;
            self.latency.add(due.elapsed().as_nanos() as u64);
        }
        if !answered || matches!(self.shape, Shape::Http { close: true }) {
            self.connections[at] = None;
            self.idle.retain(|other| *other != at);
            self.open(at)?;
        }
        self.next(at);
        Ok(())
    }

    /// Sends what is due; returns how long until the next is.
    fn due(&mut self, now: Instant) -> Option<Duration> {
        while let Some(schedule) = &mut self.schedule
            && schedule.next <= now
        {
            let due = schedule.next;
            let factor = if schedule.poisson { -self.random.share().ln() } else { 1.0 };
            schedule.next += schedule.interval.mul_f64(factor);
            match self.idle.pop_front() {
                Some(at) => self.send(at, due),
                None => self.backlog.push_back(due),
            }
        }
        self.schedule.as_ref().map(|schedule| schedule.next - now)
    }
}

/// The counters of all processors, as JSON.
fn processors() -> Result<String, String> {
    let text = std::fs::read_to_string("/proc/stat").map_err(|error| format!("/proc/stat: {error}"))?;
    let lines = text.lines().filter(|line| line.starts_with("cpu"));
    let entries: Vec<String> = lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap_or_default();
            format!("\"{name}\": [{}]", words.collect::<Vec<_>>().join(", "))
        })
        .collect();
    Ok(format!("{{{}}}", entries.join(", ")))
}

/// The processor time that processes have taken so far, in ticks; one that has gone counts no more.
fn process_ticks(processes: &[String]) -> u64 {
    let ticks = |process: &String| {
        let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name, in brackets, may have spaces in it: counting starts behind it (proc(5), fields 14 and 15).
        let values: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        Some(values.get(11)?.parse::<u64>().ok()? + values.get(12)?.parse::<u64>().ok()?)
    };
    processes.iter().filter_map(ticks).sum()
}

/// The requests to choose from.
fn requests(options: &Options, target: SocketAddr) -> Result<(Shape, Vec<Vec<u8>>), String> {
    if let Some(word) = options.all("exchange").last() {
        let [send, receive] = numbers(word)?;
        return Ok((Shape::Exchange(receive), vec![vec![b'x'; send]]));
    }
    let close = options.has("close");
    let body: Option<usize> = options.maybe("body")?;
    let paths = match options.maybe::<String>("paths")? {
        Some(file) => {
            let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
            text.lines().map(str::to_owned).collect()
        }
        None => vec![options.get::<String>("http")?],
    };
    if paths.is_empty() {
        return Err("no path to ask for".into());
    }
    let build = |path: &String| {
        let method = if body.is_some() { "POST" } else { "GET" };
        let length = body.map_or(String::new(), |body| format!("Content-Length: {body}\r\n"));
        let close = if close { "Connection: close\r\n" } else { "" };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {target}\r\n{length}{close}\r\n");
        let mut bytes = head.into_bytes();
        bytes.resize(bytes.len() + body.unwrap_or(0), b'x');
        bytes
    };
    Ok((Shape::Http { close }, paths.iter().map(build).collect()))
}

/// Runs the load and prints what was seen, as JSON.
pub fn run(options: &Options) -> Result<(), String> {
    let target: SocketAddr = options.get("target")?;
    let connections: usize = options.get("connections")?;
    let seconds = Duration::from_secs_f64(options.get("seconds")?);
    let warm = Duration::from_secs_f64(options.maybe("warm")?.unwrap_or(0.5));
    let rate: Option<f64> = options.maybe("rate")?;
    let (shape, requests) = requests(options, target)?;
    sys::exact_timers();
    let begin = Instant::now();
    let mut load = Load {
        target,
        shape,
        requests,
        sources: options.maybe("sources")?.unwrap_or(0u64).min(250),
        opened: 0,
        poll: Poll::new().map_err(|error| format!("epoll: {error}"))?,
        random: Random(0x9E37_79B9_7F4A_7C15),
        connections: (0..connections).map(|_| None).collect(),
        idle: VecDeque::new(),
        backlog: VecDeque::new(),
        schedule: rate.map(|rate| Schedule {
            next: begin,
            interval: Duration::from_secs_f64(1.0 / rate),
            poisson: options.has("poisson"),
        }),
        counting: false,
        completed: 0,
        errors: 0,
        first_error: None,
        latency: Histogram::default(),
    };
    let mut buffer = vec![0; BUFFER];
    for at in 0..connections {
        load.open(at)?;
        load.next(at);
    }
    let mut events = Vec::new();
    let watched = options.all("process");
    let (mut window, mut before, mut ticks_before) = (None, String::new(), 0);
    loop {
        let now = Instant::now();
        let edge = match window {
            None if now - begin >= warm => {
                load.counting = true;
                (before, ticks_before) = (processors()?, process_ticks(watched));
                window = Some(Instant::now());
                continue;
            }
            None => begin + warm,
            Some(start) if now - start >= seconds => break,
            Some(start) => start + seconds,
        };
        let mut wait = edge - now;
        if let Some(next) = load.due(now) {
            wait = wait.min(next);
        }
        load.poll.wait(Some(wait), &mut events).map_err(|error| format!("epoll: {error}"))?;
        for event in &events {
            load.advance(event.token, &mut buffer)?;
        }
    }
    let (after, ticks) = (processors()?, process_ticks(watched) - ticks_before);
    let elapsed = window.map_or(0.0, |start| start.elapsed().as_secs_f64());
    let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)];
    let latency: Vec<String> = quantiles
        .iter()
        .map(|(name, share)| format!("\"{name}\": {:.1}", load.latency.quantile(*share) as f64 / 1000.0))
        .collect();
    let first_error = load.first_error.map_or("null".to_owned(), |what| format!("\"{what}\""));
    println!(
        "{{\"completed\": {}, \"seconds\": {elapsed:.6}, \"errors\": {}, \"first_error\": {first_error}, \
         \"unsent\": {}, \"process_ticks\": {ticks}, \"latency_us\": {{{}}}, \"before\": {before}, \"after\": {after}}}",
        load.completed,
        load.errors,
        load.backlog.len(),
        latency.join(", ")
    );
    Ok(())
}
