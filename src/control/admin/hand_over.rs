//! Gives the listening sockets to another process (`_getsocks`, `expose-fd listeners`).
//!
//! The sockets are duplicates: both processes accept on them until this one is told to finish, so that no
//! connection is refused or lost in between. See [`crate::wire::socket_transfer`] for what is sent.

use std::io;
use std::os::fd::{AsFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};

use super::ask;
use super::socket::Duplex;
use crate::control::Control;
use crate::engine::orders::Given;
use crate::sys::passing;
use crate::wire::socket_transfer::{BATCH, Label};

/// How long the other process may take to take a message.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a full socket is tried again.
const FULL_STEP: Duration = Duration::from_millis(2);

/// Sends all of them.
///
/// # Errors
/// The other process left or was too slow, or the connection cannot carry descriptors (TCP).
pub(super) async fn give<S: Duplex>(control: &Rc<Control>, stream: &mut S) -> io::Result<()> {
    let mut all: Vec<Given> = Vec::new();
    for core in 0..control.threads {
        let given = ask(|tell| control.cores.give_listeners(core, tell)).await;
        // Threads that share a socket have duplicates of the same one.
        let is_new = |given: &Given| !given.is_shared || all.iter().all(|known| known.line != given.line);
        let new: Vec<Given> = given.into_iter().filter(is_new).collect();
        all.extend(new);
    }
    let socket = stream.as_raw_fd();
    let count = i32::try_from(all.len()).unwrap_or(i32::MAX);
    send(socket, &count.to_ne_bytes(), &[]).await?;
    for batch in all.chunks(BATCH) {
        let mut labels = Vec::new();
        for given in batch {
            let interface = given.interface.clone().unwrap_or_default().into_bytes();
            Label { namespace: Vec::new(), interface }.write(&mut labels);
        }
        send(socket, &labels, batch).await?;
        let mut acknowledged = [0; 4];
        timeout(PATIENCE, stream.read_exact(&mut acknowledged))
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
    }
    Ok(())
}

/// Sends one message with its descriptors, which go with its first byte.
async fn send(socket: RawFd, mut bytes: &[u8], given: &[Given]) -> io::Result<()> {
    let mut passed: Vec<_> = given.iter().map(|given| given.fd.as_fd()).collect();
    let deadline = Instant::now() + PATIENCE;
    while !bytes.is_empty() {
        match passing::send(socket, bytes, &passed) {
            Ok(sent) => {
                bytes = &bytes[sent..];
                passed.clear();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                tokio::time::sleep(FULL_STEP).await;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
