//! Writes log lines to their targets (manual, section 4.2 `log`), on a thread of its own.
//!
//! A target that takes no more for now (a log daemon that is slower than a burst, a full pipe) has its lines
//! wait in a backlog of its own, bounded in bytes, while the thread sleeps until it takes some again; the other
//! targets go on. What does not fit there is dropped and counted. So a log server that hangs costs its own
//! lines, and neither traffic nor checks nor anybody else's lines.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Control;
use super::log_outputs::{Datagrams, FdOutput};
use super::ring::{Ring, SIZE_DEFAULT};
use crate::diag::{Level, render_line};
use crate::log::queue::{Line, LogQueue};
use crate::log::target::{self, Address, Sampling, Target};
use crate::model::{Model, RingSettings};
use crate::sys::event::Doorbell;
use crate::sys::log_fd;
use crate::wire::syslog::{self, Format, Header};

/// Lines taken from the queue before backlogs are looked at again.
const BATCH: usize = 256;
/// The longest that the end of the process waits for slow targets, as long as they take anything.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// The longest it waits for targets that take nothing.
const DRAIN_IDLE_MAX: Duration = Duration::from_millis(100);
/// The longest that the end of the process waits for this thread, which may hang in a file system.
const END_MAX: Duration = Duration::from_secs(2);
/// How long lines gather after some were written. Ringing for each line, and waking for it, cost a
/// fifth of the processor time per logged request; a single line still leaves at once.
const GATHER: Duration = Duration::from_millis(2);
/// How often a target is tried again that cannot be waited for.
const RETRY: Duration = Duration::from_millis(10);

/// What the writer shares with the control thread.
#[derive(Debug, Default)]
pub struct Shared {
    /// Rings by name, filled by the writer.
    rings: Mutex<BTreeMap<String, Ring>>,
    /// Set to end the writer once it has written what is there.
    ending: AtomicBool,
    ended: Mutex<bool>,
    end: Condvar,
}

impl Shared {
    /// The rings. The writer waits meanwhile: to be held for a copy, not for work.
    pub fn rings(&self) -> MutexGuard<'_, BTreeMap<String, Ring>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the writer is made with.
pub struct Setup {
    /// Lines come from here.
    pub queue: Arc<LogQueue>,
    /// The bell that the queue rings.
    pub bell: Arc<Doorbell>,
    /// What it shares.
    pub shared: Arc<Shared>,
    /// The process to name in lines.
    pub pid: u32,
    /// The host to name in lines (`log-send-hostname`).
    pub hostname: Option<String>,
    /// The rings.
    pub rings: HashMap<String, RingSettings>,
}

impl Setup {
    /// As a model wants it.
    pub fn new(
        model: &Model,
        queue: Arc<LogQueue>,
        bell: Arc<Doorbell>,
        shared: Arc<Shared>,
        pid: u32,
    ) -> Setup {
        Setup {
            queue,
            bell,
            shared,
            pid,
            hostname: model.global.log_hostname.clone(),
            rings: model.rings.clone(),
        }
    }
}

/// Starts the thread.
///
/// # Errors
/// The system cannot start another thread.
pub fn start(setup: Setup) -> io::Result<()> {
    std::thread::Builder::new().name("haring-log".into()).spawn(move || {
        // A panic costs the lines in the backlogs, not the log.
        while catch_unwind(AssertUnwindSafe(|| Writer::new(&setup).run())).is_err() {}
        *setup.shared.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        setup.shared.end.notify_all();
    })?;
    Ok(())
}

/// Has the writer write what is there, waiting a little for slow targets, and end (at stop).
pub fn finish(shared: &Shared, queue: &LogQueue) {
    shared.ending.store(true, SeqCst);
    queue.ring();
    let ended = shared.ended.lock().unwrap_or_else(PoisonError::into_inner);
    // A writer that hangs in a file system is left behind.
    let _ = shared.end.wait_timeout_while(ended, END_MAX, |ended| !*ended);
}

/// Logs a message of the control thread itself to the process's own targets.
pub fn say(control: &Control, level: u8, message: &str) {
    let model = control.model();
    control.log.send(Line {
        targets: model.global.log.clone(),
        level,
        wall_us: crate::base::clock::read().wall_us,
        tag: model.global.tag(),
        message: message.as_bytes().to_vec(),
        structured_data: None,
    });
}

/// Says something on standard error, in HAProxy's form, by the writer: a terminal that is not read must not
/// hold anybody up. A quiet process and a daemon say nothing.
pub fn tell(control: &Control, level: Level, message: &str) {
    if level == Level::Warning {
        control.process.warnings.fetch_add(1, Relaxed);
    }
    let model = control.model();
    if !model.global.quiet && !model.global.daemon {
        tell_queue(&control.log, level, message);
    }
}

/// The same where there is no control thread.
pub fn tell_queue(log: &LogQueue, level: Level, message: &str) {
    write_stderr(log, render_line(level, std::process::id(), message).trim_end());
}

/// Lines for standard error that have their form already.
pub fn write_stderr(log: &LogQueue, text: &str) {
    log.send(Line {
        targets: target::events("stderr"),
        level: 0,
        wall_us: crate::base::clock::read().wall_us,
        tag: "".into(),
        message: text.as_bytes().to_vec(),
        structured_data: None,
    });
}

fn make_frame(
    pid: u32,
    hostname: Option<&str>,
    line: &Line,
    target: &Target,
    format: Format,
    len: usize,
    out: &mut Vec<u8>,
) {
    let header = Header {
        facility: target.facility,
        // What is more urgent than `minlevel` is lowered to it.
        level: line.level.max(target.level_min),
        hostname,
        tag: &line.tag,
        pid,
        structured_data: line.structured_data.as_deref(),
    };
    syslog::frame(format, &header, line.wall_us, &line.message, len, out);
}

/// Whether this line is among those a target wants; counts it.
fn is_sampled(target: &Target) -> bool {
    target.sampling.as_ref().is_none_or(|sampling| is_next_sampled(sampling, &target.seen))
}

/// `sample 1,3:5`: of every five lines the first and the third. Only the writer counts.
fn is_next_sampled(sampling: &Sampling, seen: &AtomicU32) -> bool {
    let place = seen.load(Relaxed) % sampling.size.max(1) + 1;
    seen.store(place, Relaxed);
    sampling.ranges.iter().any(|(low, high)| (*low..=*high).contains(&place))
}

/// The outputs, opened when first needed.
struct Writer<'a> {
    setup: &'a Setup,
    udp: HashMap<SocketAddr, Datagrams<UdpSocket>>,
    unix: HashMap<String, Datagrams<UnixDatagram>>,
    fds: HashMap<i32, FdOutput>,
    frame: Vec<u8>,
    /// What is waited for, kept to reuse its memory.
    wanted: Vec<log_fd::Wanted>,
}

impl<'a> Writer<'a> {
    fn new(setup: &'a Setup) -> Self {
        Writer {
            setup,
            udp: HashMap::new(),
            unix: HashMap::new(),
            fds: HashMap::new(),
            frame: Vec::new(),
            wanted: Vec::new(),
        }
    }

    /// Writes until it is told to end.
    fn run(mut self) {
        let queue = &self.setup.queue;
        loop {
            let taken = self.write_some(BATCH);
            let waiting = self.flush();
            if self.setup.shared.ending.load(SeqCst) && taken == 0 {
                return self.drain();
            }
            if taken == BATCH {
                continue;
            }
            if taken > 0 {
                // Lines come in bursts: those of the next moment are taken together, without being rung for.
                self.wait(Some(GATHER), false);
            } else if queue.prepare_sleep() {
                self.wait(waiting.then_some(RETRY).filter(|_| self.is_short()), true);
            }
        }
    }

    /// Writes everything that is in the queue, waiting a little for slow targets.
    fn drain(mut self) {
        let begun = Instant::now();
        let mut idle_since = begun;
        let mut before = usize::MAX;
        loop {
            let taken = self.write_some(BATCH);
            let waiting = self.flush();
            let left = self.backlog();
            if taken > 0 || left < before {
                idle_since = Instant::now();
            }
            before = left;
            if taken == 0
                && (!waiting || idle_since.elapsed() > DRAIN_IDLE_MAX || begun.elapsed() > DRAIN_MAX)
            {
                return;
            }
            if waiting {
                self.wait(Some(RETRY), false);
            }
        }
    }

    /// Sleeps until a target takes lines again, the bell rings (if `bell`), or the time has passed.
    fn wait(&mut self, timeout: Option<Duration>, bell: bool) {
        let mut all = std::mem::take(&mut self.wanted);
        all.clear();
        if bell {
            all.push(log_fd::Wanted::readable(self.setup.bell.descriptor()));
        }
        let datagrams = self.udp.values().filter_map(Datagrams::wanted);
        let datagrams = datagrams.chain(self.unix.values().filter_map(Datagrams::wanted));
        let fds = self.fds.iter().filter(|(_, output)| !output.backlog.is_empty()).map(|(fd, _)| *fd);
        let ready = datagrams.filter(|(_, short)| !short).map(|(fd, _)| fd).chain(fds);
        all.extend(ready.map(log_fd::Wanted::writable));
        log_fd::wait(&mut all, timeout);
        self.wanted = all;
        if bell {
            self.setup.bell.answer();
        }
    }

    fn is_short(&self) -> bool {
        self.udp.values().any(|output| output.short) || self.unix.values().any(|output| output.short)
    }

    /// Bytes that wait.
    fn backlog(&self) -> usize {
        self.udp.values().map(|output| output.bytes).sum::<usize>()
            + self.unix.values().map(|output| output.bytes).sum::<usize>()
            + self.fds.values().map(|output| output.backlog.len()).sum::<usize>()
    }

    /// Writes up to `most` lines; tells how many there were.
    fn write_some(&mut self, most: usize) -> usize {
        for taken in 0..most {
            let Some(line) = self.setup.queue.take() else { return taken };
            for target in line.targets.iter() {
                if line.level > target.level || !is_sampled(target) {
                    continue;
                }
                let mut frame = std::mem::take(&mut self.frame);
                frame.clear();
                let mut format = target.format;
                let mut len = target.len;
                let mut hostname = self.setup.hostname.as_deref();
                if let Address::Ring(name) = &target.address {
                    // A ring has one form for all its lines; where that names a host, it names one.
                    let ring = self.setup.rings.get(name);
                    format = ring.and_then(|ring| ring.format).unwrap_or(Format::Raw);
                    // The end of the line is not kept.
                    len = ring.and_then(|ring| ring.len).map_or(len, |most| len.min(most + 1));
                    hostname = hostname.or_else(|| (format == Format::Rfc3164).then_some("localhost"));
                }
                make_frame(self.setup.pid, hostname, &line, target, format, len, &mut frame);
                if !self.send(&target.address, &frame) {
                    self.setup.queue.drop_some(1);
                }
                self.frame = frame;
            }
        }
        most
    }

    fn send(&mut self, address: &Address, frame: &[u8]) -> bool {
        match address {
            Address::Udp(to) => self.udp.entry(*to).or_insert_with(Datagrams::new).send(to, frame),
            Address::Unix(path) => match self.unix.get_mut(path) {
                Some(output) => output.send(path, frame),
                None => self.unix.entry(path.clone()).or_insert_with(Datagrams::new).send(path, frame),
            },
            Address::Fd(number) => self.fds.entry(*number).or_default().send(*number, frame),
            Address::Ring(name) => {
                let size = self.setup.rings.get(name).map_or(SIZE_DEFAULT, |ring| ring.size);
                let mut rings = self.setup.shared.rings();
                let ring = match rings.entry(name.clone()) {
                    std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
                    std::collections::btree_map::Entry::Vacant(place) => place.insert(Ring::new(size)),
                };
                ring.push(frame.strip_suffix(b"\n").unwrap_or(frame));
                true
            }
        }
    }

    /// Writes what waits, as far as it is taken; true if some still waits.
    fn flush(&mut self) -> bool {
        let mut lost = 0;
        let mut waiting = false;
        for (to, output) in &mut self.udp {
            lost += output.flush(to);
            waiting |= !output.waiting.is_empty();
        }
        for (path, output) in &mut self.unix {
            lost += output.flush(path);
            waiting |= !output.waiting.is_empty();
        }
        for (number, output) in &mut self.fds {
            lost += u64::from(output.flush(*number).is_err());
            waiting |= !output.backlog.is_empty();
        }
        self.setup.queue.drop_some(lost);
        waiting
    }
}

/// Writes what is in the queue, on this thread.
#[cfg(test)]
pub fn drain(control: &Control) {
    let setup = setup_of(control);
    Writer::new(&setup).drain();
}

#[cfg(test)]
fn setup_of(control: &Control) -> Setup {
    let bell = Arc::new(Doorbell::new().expect("a descriptor"));
    let shared = control.admin.log.clone();
    Setup::new(&control.model(), control.log.clone(), bell, shared, control.process.pid)
}

#[cfg(test)]
mod tests {
    use super::super::log_outputs::BACKLOG_MAX;
    use super::*;
    use crate::control::mock;
    use crate::log::target::{Format, Targets};
    use crate::model::bind::CliLevel::Admin;
    use std::io::Read;
    use std::os::fd::AsRawFd;

    fn target(address: Address) -> Target {
        Target {
            span: crate::diag::Span::NONE,
            address,
            format: Format::Rfc3164,
            len: 1024,
            facility: 16,
            level: 7,
            level_min: 0,
            sampling: None,
            seen: AtomicU32::new(0),
        }
    }

    fn line(targets: &Targets, level: u8, message: &str) -> Line {
        Line {
            targets: targets.clone(),
            level,
            wall_us: 0,
            tag: "haproxy".into(),
            message: message.as_bytes().to_vec(),
            structured_data: None,
        }
    }

    fn received(socket: &UdpSocket) -> Vec<String> {
        socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 2048];
        let mut all = Vec::new();
        while let Ok(count) = socket.recv(&mut buffer) {
            all.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
        }
        all
    }

    #[test]
    fn samples_the_lines_asked_for() {
        for (ranges, size, expected) in [
            (vec![(1, 1), (3, 3)], 5, "x.x..x.x..x."),
            (vec![(2, 3)], 3, ".xx.xx.xx.xx"),
            (vec![(1, 1)], 1, "xxxxxxxxxxxx"),
        ] {
            let sampling = Sampling { ranges, size };
            let seen = AtomicU32::new(0);
            let taken: String =
                (0..12).map(|_| if is_next_sampled(&sampling, &seen) { 'x' } else { '.' }).collect();
            assert_eq!(taken, expected);
        }
    }

    #[test]
    fn datagrams_obey_level_and_length() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = Address::Udp(server.local_addr().unwrap());
        let control = mock::control();
        let targets: Targets = Arc::new([
            Arc::new(Target { level: 5, level_min: 4, ..target(address.clone()) }),
            Arc::new(Target { len: 60, format: Format::Raw, level: 2, ..target(address) }),
        ]);
        control.log.send(line(&targets, 6, "too calm for both"));
        control.log.send(line(&targets, 5, "a notice"));
        control.log.send(line(&targets, 1, &"an alert ".repeat(20)));
        drain(&control);
        let all = received(&server);
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all[0].starts_with("<133>") && all[0].ends_with(" haproxy[4242]: a notice\n"), "{all:?}");
        assert!(all[1].starts_with("<132>"), "an alert is lowered to minlevel: {all:?}");
        assert_eq!(all[2].len(), 60, "cut to its length");
        assert_eq!(control.log.dropped(), 0);
    }

    #[test]
    fn descriptors_get_whole_lines() {
        let (mut reader, writer) = io::pipe().unwrap();
        let control = mock::control();
        let fd = Address::Fd(writer.as_raw_fd());
        let targets: Targets = Arc::new([Arc::new(Target { format: Format::Raw, ..target(fd) })]);
        for number in 0..500 {
            control.log.send(line(&targets, 6, &format!("line {number} {}", "x".repeat(80))));
        }
        drain(&control);
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), 500);
        assert!(text.lines().enumerate().all(|(at, line)| line.starts_with(&format!("line {at} x"))));
    }

    #[test]
    fn unix_sockets_are_found_again() {
        let path = std::env::temp_dir().join(format!("haring-log-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let control = mock::control();
        let name = path.to_str().unwrap().to_owned();
        let unix = Address::Unix(name.clone());
        let targets: Targets = Arc::new([Arc::new(Target { format: Format::Raw, ..target(unix) })]);
        let read = |server: &UnixDatagram| {
            let mut buffer = [0; 64];
            let count = server.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..count]).into_owned()
        };
        control.log.send(line(&targets, 6, "nobody listens"));
        drain(&control);
        assert_eq!(control.log.dropped(), 1);
        for message in ["first\n", "second\n"] {
            let server = UnixDatagram::bind(&path).unwrap();
            control.log.send(line(&targets, 6, message));
            drain(&control);
            assert_eq!(read(&server), message);
            drop(server);
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn rings_are_shown() {
        let control = mock::control_with(|model| {
            let settings = |format| RingSettings {
                size: 1000,
                description: "why".into(),
                format,
                ..RingSettings::default()
            };
            model.rings.insert("cut".into(), RingSettings { len: Some(4), ..settings(None) });
            model.rings.insert("buf".into(), settings(Some(Format::Short)));
            model.rings.insert("raw".into(), settings(None));
            model.rings.insert("old".into(), settings(Some(Format::Rfc3164)));
        });
        for name in ["raw", "old", "cut"] {
            let targets: Targets = Arc::new([Arc::new(target(Address::Ring(name.into())))]);
            control.log.send(line(&targets, 6, "hello"));
        }
        let ring = Address::Ring("buf".into());
        let targets: Targets = Arc::new([Arc::new(Target { format: Format::Short, ..target(ring) })]);
        control.log.send(line(&targets, 6, "hello"));
        drain(&control);
        for (asked, expected) in [
            ("show events buf", "<6>hello\n"),
            ("show events raw", "hello\n"),
            ("show events cut", "hell\n"),
            ("show events stdout", "Nothing to report for this sink\n"),
            ("show events buf -n", ""),
            ("show events nope", "No such event sink\n"),
            ("show events buf -x", "unknown option\n"),
        ] {
            assert_eq!(mock::ask(&control, Admin, asked), expected, "{asked}");
        }
        let old = mock::ask(&control, Admin, "show events old");
        assert!(
            old.starts_with("<134>") && old.contains(" localhost ") && old.ends_with(": hello\n"),
            "{old}"
        );
        let list = mock::ask(&control, Admin, "show events");
        for row in [
            "stdout     : type=fd, 0 dropped, standard output (fd#1)",
            "buf        : type=buffer, 0 dropped, why",
        ] {
            assert!(list.contains(&format!("\n    {row}\n")), "{list}");
        }
    }

    #[test]
    fn a_target_nobody_reads_costs_its_own_lines_only() {
        let (_reader, writer) = io::pipe().unwrap();
        let path = std::env::temp_dir().join(format!("haring-log-dead-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let _unread = UnixDatagram::bind(&path).unwrap();
        let (mut good, to_good) = io::pipe().unwrap();
        let control = mock::control();
        let dead = [Address::Fd(writer.as_raw_fd()), Address::Unix(path.to_str().unwrap().to_owned())];
        let mut targets: Vec<_> = dead.into_iter().map(|address| Arc::new(target(address))).collect();
        targets.push(Arc::new(Target { format: Format::Raw, ..target(Address::Fd(to_good.as_raw_fd())) }));
        let targets: Targets = targets.into();
        let setup = setup_of(&control);
        let mut output = Writer::new(&setup);
        let count = 2 * BACKLOG_MAX / 900;
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            good.read_to_end(&mut all).unwrap();
            all.iter().filter(|byte| **byte == b'\n').count()
        });
        for number in 0..count {
            control.log.send(line(&targets, 6, &format!("{number} {}", "y".repeat(880))));
            output.write_some(BATCH);
            output.flush();
            // A reader that reads has the time to.
            while output.fds[&to_good.as_raw_fd()].backlog.len() > BACKLOG_MAX / 2 {
                output.wait(Some(RETRY), false);
                output.flush();
            }
        }
        output.drain();
        drop(to_good);
        assert_eq!(reader.join().unwrap(), count, "all lines reach the reader");
        let lost = control.log.dropped();
        assert!(lost > count as u64 / 2, "what does not fit is counted: {lost}");
        assert!(lost < 2 * count as u64, "and what fits is kept: {lost}");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_slow_reader_of_datagrams_gets_every_line() {
        let path = std::env::temp_dir().join(format!("haring-log-slow-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let server = UnixDatagram::bind(&path).unwrap();
        let control = mock::control();
        let unix = Address::Unix(path.to_str().unwrap().to_owned());
        let targets: Targets = Arc::new([Arc::new(Target { format: Format::Raw, ..target(unix) })]);
        let setup = setup_of(&control);
        let mut output = Writer::new(&setup);
        for number in 0..900 {
            control.log.send(line(&targets, 6, &number.to_string()));
        }
        while output.write_some(BATCH) > 0 {}
        assert!(output.flush(), "the socket takes a few datagrams only");
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 64];
            let read = |_| server.recv(&mut buffer).map(|count| buffer[..count].to_vec()).unwrap();
            (0..900).map(read).collect::<Vec<_>>()
        });
        while output.flush() {
            output.wait(None, false);
        }
        let all = reader.join().unwrap();
        assert!(
            all.iter().enumerate().all(|(at, line)| line == format!("{at}\n").as_bytes()),
            "{:?}",
            all[0]
        );
        assert_eq!(control.log.dropped(), 0);
        std::fs::remove_file(&path).unwrap();
    }
}
