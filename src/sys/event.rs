//! An event descriptor: the doorbell of a thread.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::check;

/// A doorbell: rung by any thread, waited for by one.
#[derive(Debug)]
pub struct Doorbell(OwnedFd);

impl Doorbell {
    /// A silent doorbell.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no memory is involved.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) }.into())?;
        // SAFETY: eventfd made the descriptor just now.
        Ok(Doorbell(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
    }
    /// Rings; a full counter is rung already.
    pub fn ring(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight bytes are at the pointer for the call.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }
    /// Silences it.
    pub fn answer(&self) {
        let mut count = [0u8; 8];
        // SAFETY: eight bytes are at the pointer for the call.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
    /// Its descriptor, to wait on while it lives.
    pub fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }
    /// Another descriptor of the same doorbell, to wait on.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }
}
