//! Counts the locked instructions of a thread, one instruction at a time (ptrace): each is a read and a write of
//! memory that other cores may write too, which is what keeps two threads from doing twice the work of one.
//!
//! Plain stores to shared memory are not seen.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::tracer::request;

/// How long the stepping may take: a request is some hundred thousand instructions of the debug build, each a
/// change of process.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest instruction there is (AMD64 Architecture Programmer's Manual, volume 3, 1.1).
const INSTRUCTION_MAX: usize = 15;

/// What was seen of the thread.
#[derive(Debug, Default)]
pub struct Steps {
    /// All instructions.
    pub instructions: u64,
    /// Locked ones, by their address.
    pub locked: BTreeMap<u64, u64>,
}

/// Steps through a thread until `stop`, and leaves it running. `ready` is set once each step is counted.
pub fn steps(process: u32, thread: u32, ready: &AtomicBool, stop: &AtomicBool) -> io::Result<Steps> {
    let memory = File::open(format!("/proc/{process}/mem"))?;
    // On one processor each step is a change of process; on two, one has to be woken each time.
    share_processor(thread)?;
    request(libc::PTRACE_SEIZE.into(), thread, 0, 0)?;
    request(libc::PTRACE_INTERRUPT.into(), thread, 0, 0)?;
    let mut seen: HashMap<u64, bool> = HashMap::new();
    let mut steps = Steps::default();
    let begun = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: the pointer names an integer that lives for the call.
        let changed = unsafe { libc::waitpid(thread as i32, &mut status, libc::__WALL) };
        if changed < 0 {
            return Err(io::Error::last_os_error());
        }
        if !libc::WIFSTOPPED(status) {
            return Err(io::Error::other("the thread has ended"));
        }
        ready.store(true, SeqCst);
        let late = begun.elapsed() > PATIENCE;
        if late || stop.load(SeqCst) {
            request(libc::PTRACE_DETACH.into(), thread, 0, 0)?;
            return if late { Err(io::Error::other("this machine is too slow for it")) } else { Ok(steps) };
        }
        let at = instruction_pointer(thread)?;
        let locked = *seen.entry(at).or_insert_with(|| {
            let mut bytes = [0; INSTRUCTION_MAX];
            memory.read_at(&mut bytes, at).is_ok_and(|count| is_locked(&bytes[..count]))
        });
        steps.instructions += 1;
        if locked {
            *steps.locked.entry(at).or_default() += 1;
        }
        let stopped_for = libc::WSTOPSIG(status);
        let pass_on = if stopped_for == libc::SIGTRAP { 0 } else { stopped_for as usize };
        request(libc::PTRACE_SINGLESTEP.into(), thread, 0, pass_on)?;
    }
}

/// Has this thread and another run on the first processor that this one may use.
fn share_processor(thread: u32) -> io::Result<()> {
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: a set is made of integers, and each call gets its size and a pointer that lives for the call.
    unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size, &mut allowed) != 0 {
            return Err(io::Error::last_os_error());
        }
        let first = (0..libc::CPU_SETSIZE as usize).find(|processor| libc::CPU_ISSET(*processor, &allowed));
        libc::CPU_SET(first.unwrap_or(0), &mut one);
        for each in [0, thread as i32] {
            if libc::sched_setaffinity(each, size, &one) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

fn instruction_pointer(thread: u32) -> io::Result<u64> {
    // SAFETY: all registers may be zero.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    let place = std::ptr::from_mut(&mut registers) as usize;
    request(libc::PTRACE_GETREGS.into(), thread, 0, place)?;
    Ok(registers.rip)
}

/// Whether an instruction has the lock prefix, or is an exchange with memory, which locks by itself.
fn is_locked(bytes: &[u8]) -> bool {
    let mut rest = bytes.iter().copied();
    let mut opcode = 0;
    for byte in rest.by_ref() {
        match byte {
            0xf0 => return true,
            // Other prefixes, and REX.
            0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf2 | 0xf3 | 0x40..=0x4f => {}
            _ => {
                opcode = byte;
                break;
            }
        }
    }
    matches!(opcode, 0x86 | 0x87) && rest.next().is_some_and(|operands| operands >> 6 != 3)
}
