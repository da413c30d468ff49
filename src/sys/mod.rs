//! Every unsafe block and raw system call.
//!
//! Each function is safe to call with any arguments; each `unsafe` block says why it is sound.

pub mod log_fd;
