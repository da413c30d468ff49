//! Writes to inherited descriptors (stdout, stderr, `fd@N`) without blocking and without changing
//! their mode, which other processes may share.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// The most bytes that one write may have: a pipe that polls writable takes as many without blocking.
pub const ATOMIC_MAX: usize = libc::PIPE_BUF;

/// Writes up to [`ATOMIC_MAX`] bytes if the descriptor takes them now; `WouldBlock` if not.
pub fn write_if_ready(fd: i32, bytes: &[u8]) -> io::Result<usize> {
    let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: `poll` is one valid pollfd and the count says so; with a time-out of 0 it returns at once.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
    match ready {
        0 => return Err(io::ErrorKind::WouldBlock.into()),
        1 if poll.revents & libc::POLLNVAL != 0 => return Err(io::Error::from_raw_os_error(libc::EBADF)),
        1 => {}
        _ => return Err(io::Error::last_os_error()),
    }
    let len = bytes.len().min(ATOMIC_MAX);
    // SAFETY: the pointer and the length are those of a live slice, cut to its own length.
    let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), len) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

/// A descriptor that [`wait`] waits for.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Wanted(libc::pollfd);

impl Wanted {
    /// Until there is something to read.
    pub fn readable(fd: RawFd) -> Wanted {
        Wanted(libc::pollfd { fd, events: libc::POLLIN, revents: 0 })
    }
    /// Until there is room to write.
    pub fn writable(fd: RawFd) -> Wanted {
        Wanted(libc::pollfd { fd, events: libc::POLLOUT, revents: 0 })
    }
}

/// Waits until one of them is ready or the time has passed.
pub fn wait(wanted: &mut [Wanted], timeout: Option<Duration>) {
    let milliseconds = timeout.map_or(-1, |time| time.as_nanos().div_ceil(1_000_000) as i32);
    // SAFETY: `Wanted` is transparent over pollfd, and pointer and length are those of the slice. Whatever the
    // outcome, the caller looks for itself.
    unsafe { libc::poll(wanted.as_mut_ptr().cast(), wanted.len() as libc::nfds_t, milliseconds) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_full_pipe_never_blocks() {
        let (mut reader, writer) = io::pipe().unwrap();
        let line = [b'x'; ATOMIC_MAX];
        let mut sent = 0;
        let error = loop {
            match write_if_ready(writer.as_raw_fd(), &line) {
                Ok(count) => sent += count,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(sent >= ATOMIC_MAX);
        drop(writer);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), sent);
    }

    #[test]
    fn a_closed_descriptor_is_an_error() {
        assert_eq!(write_if_ready(i32::MAX, b"x").unwrap_err().raw_os_error(), Some(libc::EBADF));
    }
}
