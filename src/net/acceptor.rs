//! A listening socket of this core.
//!
//! A poll of io_uring holds the file that it watches, and a ring is taken down some milliseconds after its
//! process has ended: a listening socket that the ring watched would outlive the process, accept connections
//! that no process serves, and keep the port from the next one. So the ring watches an epoll descriptor that watches
//! the socket, since epoll holds no file. It costs no call: the events of the epoll descriptor are never read,
//! whose readiness alone tells that the socket is worth a try.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::task::{Context, Poll};

use super::reactor::{self, Side};
use super::stream::Watch;
use crate::sys::epoll::Epoll;
use crate::sys::socket;

/// A listening socket, watched.
#[derive(Debug)]
pub struct Acceptor {
    // In the order of their ends: what watches goes before what is watched.
    watch: Watch,
    _gate: Option<Epoll>,
    fd: OwnedFd,
    /// Other processes, or other threads, accept on the same socket.
    shared: bool,
}

impl Acceptor {
    /// Takes a listening socket over. A `shared` one is never shut down, only left.
    ///
    /// # Errors
    /// The system is short of descriptors.
    pub fn new(fd: OwnedFd, shared: bool) -> io::Result<Acceptor> {
        let gate = match reactor::holds_files() {
            true => {
                let gate = Epoll::new()?;
                gate.watch(fd.as_raw_fd(), libc::EPOLLIN as u32, 0, false)?;
                Some(gate)
            }
            false => None,
        };
        let watched = gate.as_ref().map_or(fd.as_raw_fd(), Epoll::descriptor);
        Ok(Acceptor { watch: Watch(reactor::add(watched)), _gate: gate, fd, shared })
    }
    /// Waits until there may be a connection. Try, and wait again.
    pub fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        reactor::poll(self.watch.0, Side::Read, context)
    }
    /// Accepts one connection: `WouldBlock` when there is none, and the next wait is for a new one.
    pub fn accept(&self) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
        let result = socket::accept(self.fd.as_raw_fd());
        match &result {
            // Another process that shares the socket has suspended it: no connection comes before it listens again.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                reactor::clear(self.watch.0, Side::Read);
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                reactor::clear(self.watch.0, Side::Read);
                result
            }
            _ => result,
        }
    }
    /// The address it is bound to, if it is an IP address.
    pub fn local_address(&self) -> Option<SocketAddr> {
        socket::local_address(self.fd.as_raw_fd())
    }
    /// Releases the port, as `disable frontend` and SIGTTOU do: clients are refused. A shared socket goes on
    /// listening for the others.
    pub fn suspend(&self) {
        if !self.shared {
            let _ = socket::shutdown(self.fd.as_raw_fd(), Shutdown::Read);
        }
    }
    /// A duplicate for another process. From now on this one only leaves the socket, and never shuts it down.
    ///
    /// # Errors
    /// The system is short of descriptors.
    pub fn share(&mut self) -> io::Result<OwnedFd> {
        let copy = self.fd.try_clone()?;
        self.shared = true;
        Ok(copy)
    }
    /// Listens again.
    ///
    /// # Errors
    /// Another process has taken the port meanwhile.
    pub fn resume(&self, backlog: i32) -> io::Result<()> {
        if self.shared { Ok(()) } else { socket::listen(self.fd.as_raw_fd(), backlog) }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        // At once, even while something else holds the file.
        self.suspend();
        // A file that others hold would be watched for ever.
        reactor::unwatch(self.watch.0, self.fd.as_raw_fd());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::driver::Choice;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::task::Waker;
    use std::time::Duration;

    /// Waits as the core does, until the socket says that it is ready.
    fn wait(acceptor: &mut Acceptor) {
        let mut context = Context::from_waker(Waker::noop());
        while acceptor.poll_readable(&mut context).is_pending() {
            reactor::wait(Some(Duration::from_millis(10))).unwrap();
        }
    }

    fn accept_all(acceptor: &mut Acceptor, count: usize) -> Vec<OwnedFd> {
        let mut all = Vec::new();
        while all.len() < count {
            wait(acceptor);
            match acceptor.accept() {
                Ok((fd, _)) => all.push(fd),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        all
    }

    #[test]
    fn is_told_of_each_connection_and_gives_the_port_back() {
        for uring in [false, true] {
            let choice = Choice { uring, reason: String::new() };
            if reactor::install(&choice).is_err() {
                continue; // the system allows no io_uring
            }
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = free.local_addr().unwrap();
            drop(free);
            // By its number, as in a configuration: a port of the system's choice is given up with a pause.
            let listener = TcpListener::bind(address).unwrap();
            listener.set_nonblocking(true).unwrap();
            let mut acceptor = Acceptor::new(listener.into(), false).unwrap();
            for round in 0..3 {
                let clients: Vec<_> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
                assert_eq!(accept_all(&mut acceptor, 5).len(), 5, "round {round}");
                assert_eq!(acceptor.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
                drop(clients);
            }
            acceptor.suspend();
            assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            acceptor.resume(10).unwrap();
            let mut client = TcpStream::connect(address).unwrap();
            drop(accept_all(&mut acceptor, 1));
            assert_eq!(client.read(&mut [0]).unwrap_or(0), 0, "closed by the other side");
            drop(acceptor);
            // The ring was told to forget and has not been entered since: the port is free all the same.
            TcpListener::bind(address).unwrap();
            reactor::remove();
        }
    }
}
