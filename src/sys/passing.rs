//! Descriptors in messages of a Unix socket (SCM_RIGHTS, unix(7)).

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::check;

/// The most descriptors of one message: the kernel's limit (SCM_MAX_FD).
pub const PASSED_MAX: usize = 253;

/// Memory for the control message of so many descriptors, aligned as its header wants it.
fn control_space() -> Vec<u64> {
    // SAFETY: it only computes.
    let bytes = unsafe { libc::CMSG_SPACE((PASSED_MAX * size_of::<RawFd>()) as u32) } as usize;
    vec![0; bytes.div_ceil(size_of::<u64>())]
}

/// Sends bytes, at least one, and at most [`PASSED_MAX`] descriptors with them; never waits.
///
/// # Errors
/// `WouldBlock` while the peer has not read enough, `InvalidInput` for too many descriptors, and what sendmsg(2) names.
pub fn send(socket: RawFd, bytes: &[u8], passed: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if passed.len() > PASSED_MAX || bytes.is_empty() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut piece = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = control_space();
    // SAFETY: an all-zero msghdr is a valid empty one.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    if !passed.is_empty() {
        let length = (passed.len() * size_of::<RawFd>()) as u32;
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: it only computes.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(length) } as _;
        // SAFETY: the control memory has room for one header and PASSED_MAX descriptors, is aligned for the
        // header, and lives until the end of the function.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(length) as _;
            let data = libc::CMSG_DATA(header).cast::<RawFd>();
            for (at, fd) in passed.iter().enumerate() {
                data.add(at).write_unaligned(fd.as_raw_fd());
            }
        }
    }
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the header names memory that lives for the call, which only reads it.
    check(unsafe { libc::sendmsg(socket, &raw const message, flags) } as libc::c_long)
}

/// Receives bytes and the descriptors that came with them, close-on-exec; 0 bytes are the end.
///
/// # Errors
/// What recvmsg(2) names; `InvalidData` when more descriptors came than one message may carry (they are closed).
pub fn receive(socket: RawFd, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut piece = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut control = control_space();
    // SAFETY: an all-zero msghdr is a valid empty one.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(control.as_slice()) as _;
    // SAFETY: the header names memory that is exclusively borrowed for the call.
    let count =
        check(unsafe { libc::recvmsg(socket, &raw mut message, libc::MSG_CMSG_CLOEXEC) } as libc::c_long)?;
    let mut passed = Vec::new();
    // SAFETY: the kernel has filled the control memory with whole headers, which the macros walk within the
    // length that it has set; each descriptor in them was made for this process and has no other owner.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let length = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(header).cast::<RawFd>();
                for at in 0..length / size_of::<RawFd>() {
                    passed.push(OwnedFd::from_raw_fd(data.add(at).read_unaligned()));
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    if message.msg_flags & libc::MSG_CTRUNC != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "some of the descriptors were lost"));
    }
    Ok((count, passed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn descriptors_come_out_as_they_went_in() {
        let (here, there) = UnixStream::pair().unwrap();
        let pairs: Vec<_> = (0..PASSED_MAX).map(|_| UnixStream::pair().unwrap()).collect();
        for count in [0, 1, 2, PASSED_MAX] {
            let passed: Vec<_> = pairs.iter().take(count).map(|(near, _)| near.as_fd()).collect();
            assert_eq!(send(here.as_raw_fd(), b"labels", &passed).unwrap(), 6);
            let mut bytes = [0; 100];
            let (length, got) = receive(there.as_raw_fd(), &mut bytes).unwrap();
            assert_eq!((&bytes[..length], got.len()), (&b"labels"[..], count));
            for (fd, (_, far)) in got.into_iter().zip(&pairs) {
                UnixStream::from(fd).write_all(b"x").unwrap();
                let mut byte = [0];
                (&*far).read_exact(&mut byte).unwrap();
            }
        }
        assert!(send(here.as_raw_fd(), b"", &[]).is_err());
        let too_many = vec![here.as_fd(); PASSED_MAX + 1];
        assert_eq!(send(here.as_raw_fd(), b"x", &too_many).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        drop(here);
        assert_eq!(receive(there.as_raw_fd(), &mut [0; 10]).unwrap().0, 0);
    }
}
