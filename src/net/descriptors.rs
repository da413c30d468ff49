//! Descriptors in reserve: what is left when the process runs short, and for which purpose.
//!
//! A process that accepts until the kernel refuses has none left to reach a server for those it accepted, nor
//! for the operator's question why. So three limits stand below the kernel's: accepting and pipes
//! stop first, then connections to servers, and the last are for the control thread (runtime API, checks,
//! logs, files). The kernel gives the lowest free number, so the number of a new descriptor tells how many
//! are taken: the test costs one comparison and no call.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::sys::process;

/// What a descriptor is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A client connection, or a pipe (bytes are copied without one).
    Client,
    /// A connection to a server, for a client that is there already.
    Server,
}

/// Descriptors that clients leave to servers and to the control thread.
const CLIENT_RESERVE: u32 = 32;
/// Descriptors that connections to servers leave to the control thread.
const SERVER_RESERVE: u32 = 16;
const _: () = assert!(SERVER_RESERVE < CLIENT_RESERVE);

/// The limit of the process as last read.
static LIMIT: AtomicU32 = AtomicU32::new(u32::MAX);

/// Reads the limit anew: it may be changed from outside (prlimit) at any time.
pub fn refresh() {
    LIMIT.store(u32::try_from(process::descriptor_limit()).unwrap_or(u32::MAX), Relaxed);
}

/// The limit as last read.
pub fn limit() -> u32 {
    LIMIT.load(Relaxed)
}

/// Whether a descriptor that was just made belongs to the reserve that `user` must leave.
#[inline]
pub fn is_reserved(fd: RawFd, user: Use) -> bool {
    let reserve = match user {
        Use::Client => CLIENT_RESERVE,
        Use::Server => SERVER_RESERVE,
    };
    is_beyond(fd, LIMIT.load(Relaxed), reserve)
}

/// Half of a very low limit is enough of a reserve.
#[inline]
fn is_beyond(fd: RawFd, limit: u32, reserve: u32) -> bool {
    fd as u32 >= limit - reserve.min(limit / 2)
}

/// Whether there are descriptors for `user` now, seen by making one.
pub fn has_free(user: Use) -> bool {
    refresh();
    process::lowest_free_descriptor().is_ok_and(|fd| !is_reserved(fd, user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_for_others() {
        for (fd, limit, reserve, expected) in [
            (5, u32::MAX, CLIENT_RESERVE, false),
            (967, 1000, CLIENT_RESERVE, false),
            (968, 1000, CLIENT_RESERVE, true),
            (968, 1000, SERVER_RESERVE, false),
            (984, 1000, SERVER_RESERVE, true),
            (19, 40, CLIENT_RESERVE, false),
            (20, 40, CLIENT_RESERVE, true),
            (0, 0, CLIENT_RESERVE, true),
        ] {
            assert_eq!(is_beyond(fd, limit, reserve), expected, "{fd} of {limit}, {reserve} in reserve");
        }
    }
}
