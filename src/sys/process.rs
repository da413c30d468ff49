//! The process: limits, identity, root directory, daemon, signals to others.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::check;

/// Raises the limit on open descriptors to `wanted`, or as far as allowed; returns the limit in force.
pub fn raise_descriptor_limit(wanted: Option<u64>) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer names a struct that lives for the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return 1024;
    }
    let target = wanted.unwrap_or(limit.rlim_max);
    let mut raised = libc::rlimit { rlim_cur: target, rlim_max: limit.rlim_max.max(target) };
    // SAFETY: as above.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raised) } == 0 {
        return target;
    }
    raised = libc::rlimit { rlim_cur: target.min(limit.rlim_max), rlim_max: limit.rlim_max };
    // SAFETY: as above.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raised) } == 0 {
        raised.rlim_cur
    } else {
        limit.rlim_cur
    }
}

/// The limit on open descriptors in force.
pub fn descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer names a struct that lives for the call.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } {
        0 => limit.rlim_cur,
        _ => u64::MAX,
    }
}

/// The number that the next descriptor would have.
pub fn lowest_free_descriptor() -> io::Result<RawFd> {
    // SAFETY: no memory is involved.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) }.into())?;
    // SAFETY: eventfd made the descriptor just now.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }.as_raw_fd())
}

/// Puts an empty file in the place of a descriptor's, so that whatever is done with it fails.
///
/// Closing it would free its number, which the next file to be opened would get: its owner would then use,
/// and close, that of another owner.
pub fn take_file_away(fd: RawFd) -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::fcntl(fd, libc::F_GETFD) }.into())?;
    // SAFETY: no memory is involved.
    let empty = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) }.into())?;
    // SAFETY: eventfd made the descriptor just now.
    let empty = unsafe { OwnedFd::from_raw_fd(empty as RawFd) };
    // SAFETY: no memory is involved. The number stays its owner's.
    check(unsafe { libc::dup3(empty.as_raw_fd(), fd, libc::O_CLOEXEC) }.into()).map(drop)
}

/// Enters a root directory (`chroot`).
pub fn change_root(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the string is NUL-terminated and lives for the call.
    check(unsafe { libc::chroot(path.as_ptr()) }.into())?;
    std::env::set_current_dir("/")
}

/// Becomes another group and user; supplementary groups are given up.
pub fn change_identity(uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    if let Some(gid) = gid {
        // SAFETY: an empty list needs no memory. Not root: there is nothing to give up.
        if unsafe { libc::getuid() } == 0 {
            // SAFETY: as above.
            check(unsafe { libc::setgroups(0, std::ptr::null()) }.into())?;
        }
        // SAFETY: no memory is involved.
        check(unsafe { libc::setgid(gid) }.into())?;
    }
    if let Some(uid) = uid {
        // SAFETY: no memory is involved.
        check(unsafe { libc::setuid(uid) }.into())?;
    }
    Ok(())
}

/// Takes from this process and what it starts the way to gain rights through a program's owner or
/// capabilities (PR_SET_NO_NEW_PRIVS). Threads made later inherit it.
pub fn forbid_new_privileges() -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into()).map(drop)
}

/// Lets a crash leave a core of any size that the hard limit permits (`set-dumpable`). To be called last:
/// a change of the owner takes the permission away.
pub fn allow_core_dumps() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer names a struct that lives for the call.
    check(unsafe { libc::getrlimit(libc::RLIMIT_CORE, &mut limit) }.into())?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above.
    check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &limit) }.into())?;
    // SAFETY: no memory is involved.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) }.into()).map(drop)
}

/// Owner and mode of a Unix socket (`uid`, `gid`, `mode` of a bind line).
pub fn set_ownership(path: &Path, uid: Option<u32>, gid: Option<u32>, mode: Option<u32>) -> io::Result<()> {
    if uid.is_some() || gid.is_some() {
        std::os::unix::fs::chown(path, uid, gid)?;
    }
    if let Some(mode) = mode {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Goes to the background: the parent ends with 0 and the caller goes on in a new session.
///
/// Must be called before any thread is started.
pub fn daemonize() -> io::Result<()> {
    // SAFETY: the process has one thread, so the child may go on with everything.
    match check(unsafe { libc::fork() }.into())? {
        0 => {}
        // SAFETY: ends the parent without running the child's destructors twice.
        _ => unsafe { libc::_exit(0) },
    }
    // SAFETY: no memory is involved.
    check(unsafe { libc::setsid() }.into())?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for fd in 0..3 {
        use std::os::fd::AsRawFd;
        // SAFETY: no memory is involved; the standard descriptors are the process's own.
        check(unsafe { libc::dup2(null.as_raw_fd(), fd) }.into())?;
    }
    Ok(())
}

/// The process and the user at the other end of a Unix socket: of a listener, those that made it listen.
pub fn peer_of(socket: RawFd) -> io::Result<(i32, u32)> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    let place = (&raw mut peer).cast();
    // SAFETY: the kernel writes at most `size` bytes into `peer`, which lives for the call.
    let result = unsafe { libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_PEERCRED, place, &mut size) };
    check(result.into())?;
    Ok((peer.pid, peer.uid))
}

/// The user whose rights this process has.
pub fn effective_user() -> u32 {
    // SAFETY: no memory is involved.
    unsafe { libc::geteuid() }
}

/// Sets the priority of this thread, and of threads that it starts from now on (setpriority(2)).
///
/// # Errors
/// A higher priority needs rights.
pub fn set_priority(nice: i32) -> io::Result<()> {
    // SAFETY: setpriority takes no pointer.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sends a signal to a process (`-sf`, `-st`).
pub fn signal(pid: i32, number: i32) -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::kill(pid, number) }.into()).map(drop)
}

/// Removes a file of an open folder, wherever the root directory is now.
pub fn remove_in(folder: RawFd, name: &std::ffi::OsStr) -> io::Result<()> {
    let name = CString::new(name.as_bytes())?;
    // SAFETY: the string is NUL-terminated and lives for the call.
    check(unsafe { libc::unlinkat(folder, name.as_ptr(), 0) }.into()).map(drop)
}

/// CLOCK_MONOTONIC in microseconds, as the service manager counts.
pub fn monotonic_us() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer names a struct that lives for the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000
}

/// Changes the environment of the process and of what it starts: everything goes first if `reset`, and a
/// variable without a value is taken away. Must be called before any thread is started.
pub fn change_environment(reset: bool, changes: &[(String, Option<String>)]) {
    let before: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    for name in before.iter().filter(|_| reset) {
        // SAFETY: no other thread reads the environment, since there is none.
        unsafe { std::env::remove_var(name) };
    }
    for (name, value) in changes.iter().filter(|(name, _)| !name.is_empty() && !name.contains(['=', '\0'])) {
        match value.as_ref().filter(|value| !value.contains('\0')) {
            // SAFETY: as above, and the name is one.
            Some(value) => unsafe { std::env::set_var(name, value) },
            // SAFETY: as above.
            None => unsafe { std::env::remove_var(name) },
        }
    }
}

/// Whether the process has root's rights.
pub fn is_root() -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::geteuid() == 0 }
}

/// Whether there is a process of this number.
pub fn is_alive(pid: i32) -> bool {
    match signal(pid, 0) {
        Ok(()) => true,
        Err(error) => error.raw_os_error() == Some(libc::EPERM),
    }
}

/// The host's name.
pub fn hostname() -> String {
    let mut buffer = [0u8; 256];
    // SAFETY: pointer and length describe `buffer`, with room left for the NUL.
    let result = unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len() - 1) };
    let end = buffer.iter().position(|byte| *byte == 0).unwrap_or(0);
    if result == 0 { String::from_utf8_lossy(&buffer[..end]).into_owned() } else { String::from("localhost") }
}

/// Resident memory of the process.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
