//! Chooses the driver of the process: io_uring where the kernel allows it, else epoll.

use crate::model::global::Driver;
use crate::sys::ring::Ring;

/// The driver that was chosen, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Whether it is io_uring.
    pub uring: bool,
    /// Why, for the log and `show info`.
    pub reason: String,
}

/// Decides the driver for the process.
///
/// # Errors
/// `io_uring` was demanded and the kernel refuses it.
pub fn choose(wanted: Driver) -> Result<Choice, String> {
    let choice = |uring, reason: String| Ok(Choice { uring, reason });
    match (wanted, Ring::new(8, 16)) {
        (Driver::Epoll, _) => choice(false, "set by tune.driver".into()),
        (Driver::IoUring, Ok(_)) => choice(true, "set by tune.driver".into()),
        (Driver::IoUring, Err(error)) => Err(format!(
            "'tune.driver io_uring': the kernel refuses io_uring ({error}); use 'auto' or 'epoll'"
        )),
        (Driver::Auto, Ok(_)) => choice(true, "available".into()),
        (Driver::Auto, Err(error)) => choice(false, format!("io_uring is refused: {error}")),
    }
}
