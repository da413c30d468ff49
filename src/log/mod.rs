//! Finished sessions: in which form they are logged, and the queue that
//! takes lines from the data threads to the writer without ever blocking them.
#![forbid(unsafe_code)]

pub mod formats;
pub mod queue;
pub mod target;
