//! Writes log lines to their targets (manual, section 4.2 `log`).
//!
//! Nothing here blocks: datagrams are sent without waiting, descriptors are written only when they
//! are ready, rings are memory. What a target does not take is dropped and counted, since a log
//! server that hangs must not hang the traffic.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::Control;
use super::ring::{Ring, SIZE_DEFAULT};
use crate::log::queue::Line;
use crate::log::target::{Address, Sampling, Target};
use crate::sys::log_fd;
use crate::wire::syslog::{self, Header};

/// Lines written before other tasks of the control thread get their turn.
const BATCH: usize = 256;
/// Bytes kept for a descriptor that is not ready; more is dropped.
const BACKLOG_MAX: usize = 256 * 1024;
/// A Unix socket that refused is not tried again before this.
const RECONNECT: Duration = Duration::from_secs(1);
/// The longest that [`drain`] waits for slow descriptors.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// How long lines gather after some were written. Ringing for each line, and waking for it, cost a
/// fifth of the processor time per logged request; a single line still leaves at once.
const GATHER: Duration = Duration::from_millis(2);
/// How often descriptors that were not ready are tried again.
const RETRY: Duration = Duration::from_millis(10);

/// The outputs, opened when first needed.
#[derive(Debug, Default)]
pub struct Sink {
    udp: HashMap<SocketAddr, UdpSocket>,
    unix: HashMap<String, UnixOutput>,
    fds: HashMap<i32, FdOutput>,
    frame: Vec<u8>,
    dropped: u64,
}

#[derive(Debug, Default)]
struct UnixOutput {
    socket: Option<UnixDatagram>,
    failed: Option<Instant>,
}

/// Whole lines wait here, so that one write takes many and none is torn.
#[derive(Debug, Default)]
struct FdOutput {
    backlog: Vec<u8>,
}

/// Takes lines from the queue for ever; `doorbell` is notified when lines came while it slept.
pub async fn run(control: Rc<Control>, doorbell: Arc<tokio::sync::Notify>) {
    loop {
        let taken = write_some(&control, BATCH);
        let waiting = control.admin.sink.borrow_mut().flush();
        if taken == BATCH {
            tokio::task::yield_now().await;
        } else if taken > 0 {
            // Lines come in bursts: those of the next moment are taken together, without being rung for.
            tokio::time::sleep(GATHER).await;
        } else if waiting {
            // A descriptor is full: look again soon, or when lines come.
            if control.log.prepare_sleep() {
                let _ = tokio::time::timeout(RETRY, doorbell.notified()).await;
            }
        } else if control.log.prepare_sleep() {
            doorbell.notified().await;
        }
    }
}

/// Writes everything that is in the queue, waiting a little for slow descriptors (at stop).
pub fn drain(control: &Control) {
    let deadline = Instant::now() + DRAIN_MAX;
    loop {
        let taken = write_some(control, BATCH);
        let waiting = control.admin.sink.borrow_mut().flush();
        if taken == 0 && (!waiting || Instant::now() >= deadline) {
            return;
        }
        if waiting {
            std::thread::sleep(RETRY);
        }
    }
}

/// Lines dropped so far, by the queue and by targets.
pub fn dropped(control: &Control) -> u64 {
    control.log.dropped() + control.admin.sink.borrow().dropped
}

/// Logs a message of the control thread itself to the process's own targets.
pub fn say(control: &Control, level: u8, message: &str) {
    let model = control.model();
    let tag = model.global.log_tag.clone().unwrap_or_else(default_tag);
    control.log.send(Line {
        targets: model.global.log.clone(),
        level,
        wall_us: crate::base::clock::read().wall_us,
        tag: tag.into(),
        message: message.as_bytes().to_vec(),
        structured_data: None,
    });
}

/// The tag of lines without `log-tag`: the name the program was started by.
pub fn default_tag() -> String {
    let name = std::env::args_os().next().map(std::path::PathBuf::from);
    let base =
        name.as_deref().and_then(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned());
    base.filter(|name| !name.is_empty()).unwrap_or_else(|| "haproxy".to_owned())
}

/// Writes up to `most` lines; tells how many there were.
fn write_some(control: &Control, most: usize) -> usize {
    let model = control.model();
    let mut sink = control.admin.sink.borrow_mut();
    for taken in 0..most {
        let Some(line) = control.log.take() else { return taken };
        for target in line.targets.iter() {
            if line.level > target.level || !is_sampled(target) {
                continue;
            }
            let mut frame = std::mem::take(&mut sink.frame);
            frame.clear();
            make_frame(control.process.pid, model.global.log_hostname.as_deref(), &line, target, &mut frame);
            match &target.address {
                Address::Ring(name) => {
                    let size = model.rings.get(name).copied().unwrap_or(SIZE_DEFAULT);
                    let mut rings = control.admin.rings.borrow_mut();
                    let ring = rings.entry(name.clone()).or_insert_with(|| Ring::new(size));
                    ring.push(frame.strip_suffix(b"\n").unwrap_or(&frame));
                }
                address => sink.send(address, &frame),
            }
            sink.frame = frame;
        }
    }
    most
}

fn make_frame(pid: u32, hostname: Option<&str>, line: &Line, target: &Target, out: &mut Vec<u8>) {
    let header = Header {
        facility: target.facility,
        // What is more urgent than `minlevel` is lowered to it.
        level: line.level.max(target.level_min),
        hostname,
        tag: &line.tag,
        pid,
        structured_data: line.structured_data.as_deref(),
    };
    syslog::frame(target.format, &header, line.wall_us, &line.message, target.len, out);
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

impl Sink {
    fn send(&mut self, address: &Address, frame: &[u8]) {
        let sent = match address {
            Address::Udp(to) => self.send_udp(*to, frame),
            Address::Unix(path) => self.send_unix(path, frame),
            Address::Fd(number) => self.send_fd(*number, frame),
            Address::Ring(_) => true,
        };
        self.dropped += u64::from(!sent);
    }
    fn send_udp(&mut self, to: SocketAddr, frame: &[u8]) -> bool {
        let socket = match self.udp.entry(to) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(place) => match open_udp(to) {
                Ok(socket) => place.insert(socket),
                Err(_) => return false,
            },
        };
        // A refusal that an earlier datagram met is reported here, so one more try is fair.
        match socket.send(frame).or_else(|_| socket.send(frame)) {
            Ok(_) => true,
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    self.udp.remove(&to); // the route may have changed, and with it our own address
                }
                false
            }
        }
    }
    fn send_unix(&mut self, path: &str, frame: &[u8]) -> bool {
        if !self.unix.contains_key(path) {
            self.unix.insert(path.to_owned(), UnixOutput::default());
        }
        self.unix.get_mut(path).is_some_and(|output| output.send(path, frame))
    }
    fn send_fd(&mut self, number: i32, frame: &[u8]) -> bool {
        let output = self.fds.entry(number).or_default();
        if output.backlog.len() + frame.len() > log_fd::ATOMIC_MAX && output.flush(number).is_err() {
            return false;
        }
        let fits = output.backlog.len() + frame.len() <= BACKLOG_MAX;
        if fits {
            output.backlog.extend_from_slice(frame);
        }
        fits
    }
    /// Writes what waits for descriptors; true if some still waits.
    fn flush(&mut self) -> bool {
        let mut waiting = false;
        for (number, output) in &mut self.fds {
            if output.flush(*number).is_err() {
                self.dropped += 1;
            }
            waiting |= !output.backlog.is_empty();
        }
        waiting
    }
}

impl UnixOutput {
    fn send(&mut self, path: &str, frame: &[u8]) -> bool {
        for _ in 0..2 {
            if self.socket.is_none() && !self.connect(path) {
                return false;
            }
            let Some(socket) = &self.socket else { return false };
            match socket.send(frame) {
                Ok(_) => return true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // The log daemon was restarted: its new socket has to be found.
                Err(_) => self.socket = None,
            }
        }
        false
    }
    fn connect(&mut self, path: &str) -> bool {
        if self.failed.is_some_and(|at| at.elapsed() < RECONNECT) {
            return false;
        }
        let open = || {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            socket.set_nonblocking(true)?;
            Ok::<_, io::Error>(socket)
        };
        self.socket = open().ok();
        self.failed = self.socket.is_none().then(Instant::now);
        self.socket.is_some()
    }
}

impl FdOutput {
    /// Writes as many whole lines as the descriptor takes; an error means that they were lost.
    fn flush(&mut self, number: i32) -> io::Result<()> {
        let mut done = 0;
        let outcome = loop {
            let rest = &self.backlog[done..];
            if rest.is_empty() {
                break Ok(());
            }
            match log_fd::write_if_ready(number, &rest[..whole_lines(rest)]) {
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) => {
                    done = self.backlog.len();
                    break Err(error);
                }
            }
        };
        self.backlog.drain(..done);
        outcome
    }
}

/// The length of the whole lines that one write may have; a line that is longer goes in pieces.
fn whole_lines(bytes: &[u8]) -> usize {
    if bytes.len() <= log_fd::ATOMIC_MAX {
        return bytes.len();
    }
    let window = &bytes[..log_fd::ATOMIC_MAX];
    memchr::memrchr(b'\n', window).map_or(window.len(), |at| at + 1)
}

/// A socket for one log server: connected, so that the kernel looks for the way once and not per line.
fn open_udp(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if to.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(dropped(&control), 0);
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
        assert_eq!(dropped(&control), 1);
        control.admin.sink.borrow_mut().unix.clear();
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
            model.rings.insert("buf".into(), 1000);
        });
        let ring = Address::Ring("buf".into());
        let targets: Targets = Arc::new([Arc::new(Target { format: Format::Short, ..target(ring) })]);
        control.log.send(line(&targets, 6, "hello"));
        drain(&control);
        for (asked, expected) in [
            ("show events buf", "<6>hello\n"),
            ("show events buf -n", ""),
            ("show events nope", "No such event sink\n"),
            ("show events buf -x", "unknown option\n"),
        ] {
            assert_eq!(mock::ask(&control, Admin, asked), expected, "{asked}");
        }
        assert!(
            mock::ask(&control, Admin, "show events").contains("\n    buf        : type=buffer, 0 dropped")
        );
    }

    #[test]
    fn a_descriptor_nobody_reads_costs_lines_and_no_time() {
        let (_reader, writer) = io::pipe().unwrap();
        let control = mock::control();
        let fd = Address::Fd(writer.as_raw_fd());
        let targets: Targets = Arc::new([Arc::new(target(fd))]);
        let before = Instant::now();
        for _ in 0..600 {
            control.log.send(line(&targets, 6, &"y".repeat(900)));
            write_some(&control, BATCH);
        }
        assert!(before.elapsed() < Duration::from_secs(5));
        assert!(dropped(&control) > 100, "{}", dropped(&control));
    }
}
