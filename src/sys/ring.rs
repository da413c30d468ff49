//! An io_uring that only watches: multishot polls, one per direction of a descriptor.
//!
//! Bytes move by direct non-blocking calls; the ring tells when that is worth a try. A multishot
//! poll stays armed for the life of a connection and fires on each edge, so a kept-alive connection
//! costs no submission after its first.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use io_uring::{IoUring, opcode, squeue, types};

use crate::base::clock;

/// A poll that fired or ended.
#[derive(Clone, Copy, Debug)]
pub struct Fired {
    /// The token it was armed with.
    pub token: u64,
    /// What happened (poll(2) bits); 0 when the poll itself failed.
    pub events: u32,
    /// Whether it stays armed.
    pub armed: bool,
}

/// The token of operations whose end is of no interest.
const IGNORED: u64 = u64::MAX;

/// The ring of one thread.
pub struct Ring {
    ring: IoUring,
    /// Polls that are armed or whose end has not been told yet: each holds its file.
    polls: usize,
}

impl Ring {
    /// A ring with the best set-up the kernel allows. Must be made on the thread that uses it.
    ///
    /// # Errors
    /// The kernel has no io_uring, forbids it, or has no multishot poll (before 5.13).
    pub fn new(entries: u32, completions: u32) -> io::Result<Ring> {
        let mut last = None;
        for step in 0..3 {
            let mut builder = IoUring::builder();
            builder.setup_cqsize(completions).setup_clamp().dontfork();
            match step {
                // Completions are made when this thread asks for them, not by interrupting it.
                0 => builder.setup_single_issuer().setup_defer_taskrun().setup_coop_taskrun(),
                1 => builder.setup_coop_taskrun(),
                _ => &mut builder,
            };
            match builder.build(entries) {
                Ok(ring) if ring.params().is_feature_ext_arg() => return Ok(Ring { ring, polls: 0 }),
                Ok(_) => last = Some(io::Error::other("io_uring lacks EXT_ARG (Linux 5.11)")),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::from(io::ErrorKind::Unsupported)))
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: the entries made here name no memory: a poll or a cancellation by number.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            self.ring.submit()?; // the queue is full
        }
    }

    /// Arms a multishot poll of `fd` for `events` (poll(2) bits).
    pub fn watch(&mut self, fd: RawFd, events: i16, token: u64) -> io::Result<()> {
        let entry = opcode::PollAdd::new(types::Fd(fd), events as u16 as u32).multi(true).build();
        self.push(&entry.user_data(token))?;
        self.polls += 1;
        Ok(())
    }

    /// Disarms the poll armed with `token`.
    pub fn unwatch(&mut self, token: u64) -> io::Result<()> {
        // Not PollRemove: that one gives up (EALREADY) on a poll that is firing in the same moment,
        // which then would hold the file open for ever; a cancellation waits its turn.
        self.push(&opcode::AsyncCancel::new(token).build().user_data(IGNORED))
    }

    /// Hands over what was queued and has the kernel make the completions that are due, without waiting.
    fn look(&mut self) -> io::Result<usize> {
        /// `IORING_ENTER_GETEVENTS` (io_uring_enter(2)); deferred completions are made with it only.
        const GET_EVENTS: u32 = 1;
        let queued = self.ring.submission().len() as u32;
        // SAFETY: no argument is given, and the entries made here name no memory.
        unsafe { self.ring.submitter().enter::<libc::sigset_t>(queued, 0, GET_EVENTS, None) }
    }

    /// Hands over what was queued, waits for something to fire or the time to pass, and reports what fired.
    pub fn wait(&mut self, timeout: Option<Duration>, mut fired: impl FnMut(Fired)) -> io::Result<()> {
        let result = match timeout {
            // No timer is started for no time.
            Some(Duration::ZERO) => self.look(),
            Some(timeout) => {
                let time = types::Timespec::from(timeout);
                let arguments = types::SubmitArgs::new().timespec(&time);
                self.ring.submitter().submit_with_args(1, &arguments)
            }
            None => self.ring.submit_and_wait(1),
        };
        match result {
            Ok(_) => {}
            Err(error) if matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY)) => {}
            Err(error) => return Err(error),
        }
        for completion in self.ring.completion() {
            if completion.user_data() != IGNORED {
                let armed = io_uring::cqueue::more(completion.flags());
                self.polls -= usize::from(!armed);
                let events = u32::try_from(completion.result()).unwrap_or(0);
                fired(Fired { token: completion.user_data(), events, armed });
            }
        }
        Ok(())
    }

    /// Lets go of every file: takes all polls back and waits until the kernel has done so, for so long at most.
    /// Without this a file lives on until the kernel takes the ring down, some milliseconds after its last user
    /// has ended: peers would see the end late, and ports would stay taken.
    ///
    /// # Errors
    /// The ring is broken, or the kernel was not done in time.
    pub fn release(&mut self, patience: Duration) -> io::Result<()> {
        let everything = types::CancelBuilder::any();
        // Before Linux 5.19 it is refused; polls of closed descriptors were taken back one by one already.
        self.push(&opcode::AsyncCancel2::new(everything).build().user_data(IGNORED))?;
        let end = clock::read().mono_us + patience.as_micros() as u64;
        while self.polls > 0 {
            let left = end.saturating_sub(clock::read().mono_us);
            if left == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.wait(Some(Duration::from_micros(left)), |_| {})?;
        }
        Ok(())
    }
}
