//! Pipes for splicing, pooled per core: a direction holds one only while bytes are in it.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::AsRawFd;

use super::descriptors;
use crate::sys::pipe::Pipe;

/// Free pipes a core keeps.
const POOL_MAX: usize = 64;

thread_local! {
    static POOL: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
    static LENT: Cell<usize> = const { Cell::new(0) };
    static LIMITS: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Sets this core's limits: the most pipes lent at a time, and their size in bytes (0: the kernel's).
pub fn configure(pipes_max: usize, pipe_size: usize) {
    LIMITS.with(|cell| cell.set((pipes_max, pipe_size)));
}

/// A pipe on loan with the count of bytes in it.
#[derive(Debug)]
pub struct LentPipe {
    pipe: Option<Pipe>,
    /// Bytes in it.
    pub held: usize,
}

impl LentPipe {
    /// Lends one; an error when the limit is reached or the kernel has none.
    pub fn lend() -> io::Result<LentPipe> {
        let (pipes_max, size) = LIMITS.with(Cell::get);
        if LENT.with(Cell::get) >= pipes_max {
            return Err(io::Error::other("maxpipes reached"));
        }
        let pipe = match POOL.with(|pool| pool.borrow_mut().pop()) {
            Some(pipe) => pipe,
            None => {
                let pipe = Pipe::new(size)?;
                // Bytes can be copied; a connection cannot do without its descriptors.
                if descriptors::is_reserved(pipe.write.as_raw_fd(), descriptors::Use::Client) {
                    return Err(io::Error::from_raw_os_error(libc::EMFILE));
                }
                pipe
            }
        };
        LENT.with(|lent| lent.set(lent.get() + 1));
        Ok(LentPipe { pipe: Some(pipe), held: 0 })
    }
    /// The pipe.
    pub fn pipe(&self) -> &Pipe {
        self.pipe.as_ref().expect("a lent pipe is there until it is dropped")
    }
}

impl Drop for LentPipe {
    fn drop(&mut self) {
        let pipe = self.pipe.take();
        let _ = LENT.try_with(|lent| lent.set(lent.get().saturating_sub(1)));
        // Bytes left in a pipe belong to a connection that died: such a pipe is not used again.
        if self.held == 0 {
            let _ = POOL.try_with(|pool| {
                let mut pool = pool.borrow_mut();
                if pool.len() < POOL_MAX {
                    pool.extend(pipe);
                }
            });
        }
    }
}
