//! Finished sessions: which side ended them and when, in which form they are logged, and the queue that
//! takes lines from the data threads to the writer without ever blocking them.
#![forbid(unsafe_code)]

pub mod formats;
pub mod outcome;
pub mod queue;
pub mod target;
