//! Pipes and splice(2): bytes from socket to socket that never enter user space.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::check;

/// The two ends of a pipe, non-blocking.
#[derive(Debug)]
pub struct Pipe {
    /// Where bytes come out.
    pub read: OwnedFd,
    /// Where bytes go in.
    pub write: OwnedFd,
}

impl Pipe {
    /// A pipe, of `size` bytes if the kernel allows it (0: as it comes).
    pub fn new(size: usize) -> io::Result<Pipe> {
        let mut ends = [0; 2];
        // SAFETY: the pointer names two ints that live for the call.
        check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) }.into())?;
        // SAFETY: pipe2 made both descriptors just now.
        let pipe =
            unsafe { Pipe { read: OwnedFd::from_raw_fd(ends[0]), write: OwnedFd::from_raw_fd(ends[1]) } };
        if size > 0 {
            // SAFETY: no memory is involved. A refusal leaves the default size, which serves too.
            unsafe { libc::fcntl(pipe.write.as_raw_fd(), libc::F_SETPIPE_SZ, size as libc::c_int) };
        }
        Ok(pipe)
    }
}

/// Moves up to `len` bytes between a pipe and a non-blocking socket. `more` says that others will follow:
/// without them, the kernel would hold the last segment back for 200 ms.
pub fn splice(from: RawFd, to: RawFd, len: usize, more: bool) -> io::Result<usize> {
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK | if more { libc::SPLICE_F_MORE } else { 0 };
    // SAFETY: null offsets are allowed for pipes and sockets; no memory of ours is involved.
    check(unsafe { libc::splice(from, std::ptr::null_mut(), to, std::ptr::null_mut(), len, flags) }
        as libc::c_long)
}
