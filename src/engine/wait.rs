//! Waits of a session: for readability, writability or a wake-up, until its deadline or its death.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Core;
use super::silence::Drain;
use crate::base::clock::{self, Millis};
use crate::net::buffer::Filled;
use crate::net::timer::{Kill, NEVER, Stop, Ticket};
use crate::net::{Buffer, Stream, Then};
use crate::sample::facts::Ended;

/// The moment `timeout_ms` from now; [`NEVER`] without a time-out.
pub fn after(timeout_ms: Option<u64>) -> Millis {
    match timeout_ms {
        Some(ms) => clock::cached().millis() + ms,
        None => NEVER,
    }
}

/// Polls `what` until it is ready, the deadline passes, or the session is ordered to die.
pub async fn until<T>(
    core: &Core,
    ticket: &Rc<Ticket>,
    deadline: Millis,
    mut what: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<T, Stop> {
    poll_fn(|context| {
        if let Poll::Ready(value) = what(context) {
            return Poll::Ready(Ok(value));
        }
        match core.wheel.check(ticket, deadline, context.waker()) {
            Some(stop) => Poll::Ready(Err(stop)),
            None => Poll::Pending,
        }
    })
    .await
}

/// Waits until there is something to read.
pub async fn readable(
    core: &Core,
    ticket: &Rc<Ticket>,
    deadline: Millis,
    stream: &mut Stream,
) -> Result<(), Stop> {
    until(core, ticket, deadline, |context| stream.poll_readable(context)).await
}

/// Waits until there is room to write.
pub async fn writable(
    core: &Core,
    ticket: &Rc<Ticket>,
    deadline: Millis,
    stream: &mut Stream,
) -> Result<(), Stop> {
    until(core, ticket, deadline, |context| stream.poll_writable(context)).await
}

/// Waits until a full socket has room, as long as its reader takes something within `limit`.
async fn room(core: &Core, ticket: &Rc<Ticket>, limit: Millis, stream: &mut Stream) -> Result<(), Stop> {
    let mut drain = Drain::default();
    let mut since = clock::cached().millis();
    loop {
        let due = since.saturating_add(limit);
        let now = clock::cached().millis();
        if limit != NEVER && drain.look(now, since, limit, || stream.unacknowledged()) {
            since = now;
            continue;
        }
        match writable(core, ticket, due.min(drain.next(limit)), stream).await {
            Err(Stop::Timeout) if clock::cached().millis() < due => {}
            result => return result,
        }
    }
}

/// Waits for a moment.
pub async fn sleep(core: &Core, ticket: &Rc<Ticket>, milliseconds: u64) -> Result<(), Stop> {
    match until(core, ticket, after(Some(milliseconds)), |_| Poll::<()>::Pending).await {
        Err(Stop::Timeout) => Ok(()),
        Err(stop) => Err(stop),
        Ok(()) => Ok(()),
    }
}

/// Why writing stopped.
#[derive(Debug)]
pub enum WriteError {
    /// The peer is gone.
    Broken,
    /// Time passed or the session was killed.
    Stopped(Stop),
}

/// Writes all of `bytes`; the time-out starts anew with each progress. With [`Then::End`] our direction ends behind
/// them, in the same segment.
pub async fn write_all(
    core: &Core,
    ticket: &Rc<Ticket>,
    timeout_ms: Option<u64>,
    stream: &mut Stream,
    mut bytes: &[u8],
    then: Then,
) -> Result<(), WriteError> {
    while !bytes.is_empty() {
        match stream.try_write(bytes, then) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                room(core, ticket, timeout_ms.unwrap_or(NEVER), stream).await.map_err(WriteError::Stopped)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Err(WriteError::Broken),
        }
    }
    if then == Then::End {
        stream.shutdown_write();
    }
    Ok(())
}

/// Bytes that are read and thrown away behind our end: closing on unread bytes would reset the connection under
/// what was sent (RFC 9112 section 9.6). And how long that may take.
const DRAIN_BYTES_MAX: usize = 256 * 1024;
const DRAIN_MS: u64 = 1000;

/// Reads what the peer still sends once our direction has ended, within bounds, until it ends too.
pub async fn drain(core: &Core, ticket: &Rc<Ticket>, stream: &mut Stream) {
    let deadline = after(Some(DRAIN_MS));
    let mut left = DRAIN_BYTES_MAX;
    while left > 0 {
        let mut buffer = Buffer::lease();
        match buffer.fill(stream) {
            Ok(Filled::Bytes { count, .. }) => left = left.saturating_sub(count),
            Ok(Filled::Nothing) => {
                drop(buffer); // a wait pins none
                if readable(core, ticket, deadline, stream).await.is_err() {
                    return;
                }
            }
            Ok(Filled::End | Filled::Full) | Err(_) => return,
        }
    }
}

/// The letter of a session that was ended by an order.
pub(super) fn killed(kill: Kill) -> Ended {
    match kill {
        Kill::Operator | Kill::Shutdown => Ended::Killed,
        Kill::ServerDown => Ended::Down,
        Kill::ServerUp => Ended::Up,
        Kill::Resource => Ended::Resource,
    }
}
