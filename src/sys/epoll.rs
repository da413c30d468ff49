//! epoll, edge-triggered: what io_uring's polls are where io_uring is forbidden.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::check;

/// Events taken per call.
const EVENTS_MAX: usize = 256;

/// An epoll descriptor and its room for events.
#[derive(Debug)]
pub struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    /// An empty one.
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: no memory is involved.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into())?;
        // SAFETY: epoll_create1 made the descriptor just now.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
        Ok(Epoll { fd, events: Vec::new() })
    }

    /// Its descriptor, which is readable while something is ready.
    pub fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Watches `fd` for `events` (epoll bits, edge-triggered); `again` changes a watch that exists.
    pub fn watch(&self, fd: RawFd, events: u32, token: u64, again: bool) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events | libc::EPOLLET as u32, u64: token };
        let operation = if again { libc::EPOLL_CTL_MOD } else { libc::EPOLL_CTL_ADD };
        // SAFETY: the pointer names an event that lives for the call.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd, &mut event) }.into()).map(drop)
    }

    /// Stops watching `fd`; closing a descriptor does so by itself.
    pub fn unwatch(&self, fd: RawFd) {
        let none = std::ptr::null_mut();
        // SAFETY: the kernel takes no event for a removal.
        unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, none) };
    }

    /// Waits for events or the time to pass, and reports each as `(token, epoll bits)`. Tells whether more may
    /// be there.
    pub fn wait(&mut self, timeout: Option<Duration>, mut fired: impl FnMut(u64, u32)) -> io::Result<bool> {
        // Rounded up: waking before a deadline would only mean to wait again.
        let milliseconds = timeout.map_or(-1, |time| time.as_nanos().div_ceil(1_000_000) as i32);
        // Made when first needed: a set that is never waited on has none.
        self.events.resize(EVENTS_MAX, libc::epoll_event { events: 0, u64: 0 });
        let room = self.events.len() as i32;
        // SAFETY: pointer and length describe `events`, exclusively borrowed for the call.
        let count = check(
            unsafe { libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), room, milliseconds) }
                .into(),
        );
        match count {
            Ok(count) => {
                self.events[..count].iter().for_each(|event| fired(event.u64, event.events));
                Ok(count == self.events.len())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error),
        }
    }
}
