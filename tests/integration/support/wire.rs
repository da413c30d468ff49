//! A bad wire: a relay between two parties that spoils what passes in one direction of its first connection.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use super::LIMIT;

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They come one by one.
    Bytes,
    /// They come in pieces of so many, with a pause of so many milliseconds before each.
    Slow(usize, u64),
    /// After so many both directions are reset.
    Reset(usize),
    /// After so many both directions end.
    Close(usize),
    /// After so many this direction ends, the other goes on.
    HalfClose(usize),
    /// After so many nothing comes any more, and nothing ends.
    Hole(usize),
}

/// The direction that is spoiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the side that connects to its peer.
    There,
    /// Back to the side that connects.
    Back,
}

/// A running relay; what it carries ends with it.
pub struct Wire {
    address: SocketAddr,
    spoils: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Wire {
    /// Relays to `target` without a fault until [`Wire::spoil`].
    pub fn to(target: SocketAddr, way: Way, fault: Fault) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (spoils, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (spoiling, ending) = (spoils.clone(), ended.clone());
        std::thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                if ending.load(SeqCst) {
                    return;
                }
                let Ok(far) = TcpStream::connect(target) else { continue };
                if matches!(fault, Fault::Slow(..)) {
                    // What a slow wire takes is acknowledged before long.
                    for side in [&near, &far] {
                        let _ = socket2::SockRef::from(side).set_recv_buffer_size(512 * 1024);
                    }
                }
                let fault = spoiling.swap(false, SeqCst).then_some(fault);
                for (way_now, from, into) in [(Way::There, &near, &far), (Way::Back, &far, &near)] {
                    let (from, into) = (from.try_clone().expect("a copy"), into.try_clone().expect("a copy"));
                    let fault = fault.filter(|_| way == way_now);
                    let ending = ending.clone();
                    std::thread::spawn(move || carry(from, into, fault, &ending));
                }
            }
        });
        Wire { address, spoils, ended }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection suffers the fault, those after it do not.
    pub fn spoil(&self) {
        self.spoils.store(true, SeqCst);
    }

    /// Whether the fault has met a connection.
    pub fn has_struck(&self) -> bool {
        !self.spoils.load(SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.ended.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn carry(mut from: TcpStream, mut into: TcpStream, fault: Option<Fault>, ended: &AtomicBool) {
    let _ = into.set_nodelay(true);
    let (step, pause_ms) = match fault {
        Some(Fault::Bytes) => (1, 0),
        Some(Fault::Slow(step, pause_ms)) => (step, pause_ms),
        _ => (65536, 0),
    };
    let mut left = match fault {
        Some(Fault::Reset(count) | Fault::Close(count) | Fault::HalfClose(count) | Fault::Hole(count)) => {
            count
        }
        _ => usize::MAX,
    };
    let mut part = vec![0; step];
    while left > 0 {
        let room = step.min(left);
        let Ok(count @ 1..) = from.read(&mut part[..room]) else {
            let _ = into.shutdown(Shutdown::Write);
            return;
        };
        if pause_ms > 0 {
            std::thread::sleep(Duration::from_millis(pause_ms));
        }
        if into.write_all(&part[..count]).is_err() {
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
        left -= count;
    }
    match fault {
        Some(Fault::Reset(_)) => {
            for stream in [&from, &into] {
                // A copy of the descriptor lives in the other direction, so a close alone would end nothing:
                // disconnecting is what resets.
                let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
                disconnect(stream);
            }
        }
        Some(Fault::Close(_)) => {
            let _ = into.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        }
        Some(Fault::HalfClose(_)) => {
            let _ = into.shutdown(Shutdown::Write);
        }
        _ => {
            // Nothing comes and nothing ends, for as long as the test runs.
            let started = std::time::Instant::now();
            while !ended.load(SeqCst) && started.elapsed() < LIMIT {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Breaks a connection with a reset, however many copies of its descriptor there are.
fn disconnect(stream: &TcpStream) {
    use std::os::fd::AsRawFd as _;
    // SAFETY: zero bytes are a valid sockaddr.
    let mut nowhere: libc::sockaddr = unsafe { std::mem::zeroed() };
    nowhere.sa_family = libc::AF_UNSPEC as libc::sa_family_t;
    // SAFETY: the pointer names a sockaddr that lives for the call.
    unsafe { libc::connect(stream.as_raw_fd(), &nowhere, size_of::<libc::sockaddr>() as libc::socklen_t) };
}
