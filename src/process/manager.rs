//! The service manager, if there is one (sd_notify(3)).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The way to it.
#[derive(Debug)]
pub struct Manager(Option<UnixDatagram>);

impl Manager {
    /// Finds it by `NOTIFY_SOCKET`.
    pub fn find() -> Manager {
        Manager(std::env::var_os("NOTIFY_SOCKET").and_then(|path| Self::connect(&path).ok()))
    }

    fn connect(path: &std::ffi::OsStr) -> std::io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        match path.as_bytes() {
            [b'@', name @ ..] => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
            _ => socket.connect(path)?,
        }
        // A manager that does not read must not stop the process.
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Tells it something.
    pub fn tell(&self, text: &str) {
        let Some(socket) = &self.0 else { return };
        let _ = socket.send(text.as_bytes()); // a manager that does not listen is none
    }

    /// Tells it that a reload begins; [`Manager::reloaded`] must follow.
    pub fn reloading(&self) {
        let now = crate::sys::process::monotonic_us();
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=Reloading Configuration.\n"));
    }

    /// Tells it that the process serves, and what came of the reload.
    pub fn reloaded(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}\n"));
    }
}
