//! Counts the system calls of another process's threads (ptrace): which call, how often, and how many
//! entries each `io_uring_enter` hands over. A tool such as strace would do, but this needs no package and
//! its counting begins and ends where the test says.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

/// `PTRACE_GET_SYSCALL_INFO` (Linux 5.3), not in every C library's list.
const GET_SYSCALL_INFO: libc::c_long = 0x420e;
/// `PTRACE_EVENT_STOP`.
const EVENT_STOP: i32 = 128;
/// `PTRACE_SYSCALL_INFO_ENTRY`.
const INFO_ENTRY: u8 = 1;

/// `struct ptrace_syscall_info` as far as it concerns an entry.
#[repr(C)]
#[derive(Default)]
struct SyscallInfo {
    operation: u8,
    padding: [u8; 3],
    architecture: u32,
    instruction: u64,
    stack: u64,
    number: u64,
    arguments: [u64; 6],
    rest: [u64; 2],
}

/// What was counted of one thread.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// By name.
    pub calls: BTreeMap<String, u64>,
    /// Entries handed to the ring.
    pub submissions: u64,
}

/// A process being watched; it must end before this is joined.
pub struct Tracer {
    counting: Arc<AtomicBool>,
    counts: Arc<Mutex<BTreeMap<u32, Counts>>>,
    thread: JoinHandle<()>,
}

impl Tracer {
    /// Watches these threads. An error when this machine does not permit it.
    pub fn attach(threads: &[u32]) -> io::Result<Tracer> {
        let counting = Arc::new(AtomicBool::new(false));
        let counts: Arc<Mutex<BTreeMap<u32, Counts>>> = Arc::default();
        let (ready, attached) = mpsc::channel();
        let (on, into, threads) = (counting.clone(), counts.clone(), threads.to_vec());
        // All of ptrace belongs to the thread that attaches.
        let thread = std::thread::spawn(move || trace(&threads, &ready, &on, &into));
        match attached.recv().expect("the tracer says how it went") {
            Ok(()) => Ok(Tracer { counting, counts, thread }),
            Err(error) => {
                let _ = thread.join();
                Err(error)
            }
        }
    }

    /// Counts from now on, or stops.
    pub fn count(&self, on: bool) {
        self.counting.store(on, SeqCst);
    }

    /// What was counted, by thread.
    pub fn counts(&self) -> BTreeMap<u32, Counts> {
        self.counts.lock().expect("the tracer runs").clone()
    }

    /// Waits for the end of the tracing, which is the end of the process.
    pub fn join(self) {
        self.thread.join().expect("the tracer ends with the process");
    }
}

pub fn request(what: libc::c_long, thread: u32, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: none of the requests made here but GET_SYSCALL_INFO names memory, and that names a struct
    // of the size it says which lives for the call.
    let result = unsafe { libc::syscall(libc::SYS_ptrace, what, libc::c_long::from(thread), address, data) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn trace(
    threads: &[u32],
    ready: &mpsc::Sender<io::Result<()>>,
    counting: &AtomicBool,
    counts: &Mutex<BTreeMap<u32, Counts>>,
) {
    for thread in threads {
        let seized = request(libc::PTRACE_SEIZE.into(), *thread, 0, libc::PTRACE_O_TRACESYSGOOD as usize)
            .and_then(|()| request(libc::PTRACE_INTERRUPT.into(), *thread, 0, 0));
        if let Err(error) = seized {
            let _ = ready.send(Err(error));
            return;
        }
    }
    let mut going = 0;
    loop {
        let mut status = 0;
        // SAFETY: the pointer names an integer that lives for the call. Only what this thread traces is
        // waited for: other children are their owners' affair.
        let thread = unsafe { libc::waitpid(-1, &mut status, libc::__WALL | libc::__WNOTHREAD) };
        if thread < 0 {
            return; // nothing is left to wait for
        }
        if !libc::WIFSTOPPED(status) {
            continue;
        }
        let thread = thread as u32;
        let signal = libc::WSTOPSIG(status);
        let pass_on = if status >> 16 == EVENT_STOP {
            going += 1;
            0
        } else if signal == libc::SIGTRAP | 0x80 {
            if counting.load(SeqCst) {
                note(thread, counts);
            }
            0
        } else {
            signal as usize
        };
        // The thread may have been killed meanwhile; its end is then the next thing heard of it.
        let _ = request(libc::PTRACE_SYSCALL.into(), thread, 0, pass_on);
        if going == threads.len() {
            going += 1;
            let _ = ready.send(Ok(()));
        }
    }
}

fn note(thread: u32, counts: &Mutex<BTreeMap<u32, Counts>>) {
    let mut info = SyscallInfo::default();
    let place = std::ptr::from_mut(&mut info) as usize;
    if request(GET_SYSCALL_INFO, thread, size_of::<SyscallInfo>(), place).is_err()
        || info.operation != INFO_ENTRY
    {
        return;
    }
    let mut counts = counts.lock().expect("the test only reads");
    let own = counts.entry(thread).or_default();
    *own.calls.entry(name(info.number as libc::c_long)).or_default() += 1;
    if info.number as libc::c_long == libc::SYS_io_uring_enter {
        own.submissions += info.arguments[1];
    }
}

/// The calls that the engine makes; another is shown by its number.
fn name(number: libc::c_long) -> String {
    let known = [
        (libc::SYS_recvfrom, "recvfrom"),
        (libc::SYS_sendto, "sendto"),
        (libc::SYS_sendmsg, "sendmsg"),
        (libc::SYS_read, "read"),
        (libc::SYS_write, "write"),
        (libc::SYS_writev, "writev"),
        (libc::SYS_splice, "splice"),
        (libc::SYS_io_uring_enter, "io_uring_enter"),
        (libc::SYS_epoll_pwait, "epoll_wait"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_epoll_wait, "epoll_wait"),
        (libc::SYS_epoll_ctl, "epoll_ctl"),
        (libc::SYS_accept4, "accept4"),
        (libc::SYS_socket, "socket"),
        (libc::SYS_connect, "connect"),
        (libc::SYS_shutdown, "shutdown"),
        (libc::SYS_close, "close"),
        (libc::SYS_getsockopt, "getsockopt"),
        (libc::SYS_setsockopt, "setsockopt"),
        (libc::SYS_getsockname, "getsockname"),
        (libc::SYS_getpeername, "getpeername"),
        (libc::SYS_fcntl, "fcntl"),
        (libc::SYS_futex, "futex"),
        (libc::SYS_madvise, "madvise"),
        (libc::SYS_mmap, "mmap"),
        (libc::SYS_munmap, "munmap"),
        (libc::SYS_mprotect, "mprotect"),
        (libc::SYS_clock_gettime, "clock_gettime"),
    ];
    let found = known.iter().find(|(known, _)| *known == number);
    found.map_or_else(|| format!("call {number}"), |(_, name)| (*name).to_owned())
}
