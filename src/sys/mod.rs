//! Every unsafe block and raw system call.
//!
//! Each function is safe to call with any arguments; each `unsafe` block says why it is sound.
//! Sockets are always non-blocking and close-on-exec.

pub mod epoll;
pub mod event;
pub mod log_fd;
pub mod memory;
pub mod passing;
pub mod pipe;
pub mod pooled;
pub mod process;
pub mod ring;
pub mod socket;
pub mod waker;

use std::io;

/// Turns a system call's -1 into the error it left.
fn check(result: libc::c_long) -> io::Result<usize> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as usize) }
}
