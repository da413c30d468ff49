//! The cheapest possible forwarder: what it costs is what the kernel asks of any proxy that moves bytes by
//! recv(2) and send(2). One server connection for each client connection, no parsing, no timers, no counters,
//! nothing to configure. It is a measure, not a proxy: a server that cannot be reached just ends the client.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::Options;
use crate::sys::{self, BUFFER, Event, Poll};

/// Connections accepted in one turn at most.
const ACCEPT_MAX: usize = 64;

const LISTENER: usize = usize::MAX;

/// One side of a pair.
struct End {
    stream: TcpStream,
    peer: usize,
    /// Received here, and not taken by the peer yet.
    pending: Vec<u8>,
    /// Nothing more will be received.
    ended: bool,
    /// The peer was told so.
    told: bool,
}

/// All connections; a place is used again only after the turn in which it became free, since events of that turn
/// may still name it.
struct Ends {
    all: Vec<Option<End>>,
    free: Vec<usize>,
    leaving: Vec<usize>,
}

impl Ends {
    fn place(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            self.all.len() - 1
        })
    }

    fn close(&mut self, at: usize) {
        let Some(end) = self.all[at].take() else { return };
        self.leaving.push(at);
        if self.all[end.peer].take().is_some() {
            self.leaving.push(end.peer);
        }
    }

    /// Moves what one side has received to the other. `all` says that the peer's end is known to be there, so
    /// that a short read must not be taken for the last one.
    fn pump(&mut self, at: usize, all: bool, buffer: &mut [u8]) {
        let Some(peer) = self.all[at].as_ref().map(|end| end.peer) else { return };
        let Ok([Some(from), Some(to)]) = self.all.get_disjoint_mut([at, peer]) else { return };
        let broken = loop {
            match step(from, to, all, buffer) {
                Step::Again => {}
                Step::Wait => break false,
                Step::Broken => break true,
            }
        };
        if broken || (from.told && to.told) {
            self.close(at);
        }
    }
}

enum Step {
    Again,
    Wait,
    Broken,
}

fn step(from: &mut End, to: &mut End, all: bool, buffer: &mut [u8]) -> Step {
    if !from.pending.is_empty() {
        return match to.stream.write(&from.pending) {
            Ok(count) => {
                from.pending.drain(..count);
                Step::Again
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Step::Wait,
            Err(_) => Step::Broken,
        };
    }
    if from.ended {
        if !from.told {
            from.told = true;
            let _ = to.stream.shutdown(Shutdown::Write);
        }
        return Step::Wait;
    }
    let count = match from.stream.read(buffer) {
        Ok(0) => {
            from.ended = true;
            return Step::Again;
        }
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Step::Wait,
        Err(_) => return Step::Broken,
    };
    match to.stream.write(&buffer[..count]) {
        Ok(sent) => from.pending.extend_from_slice(&buffer[sent..count]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            from.pending.extend_from_slice(&buffer[..count])
        }
        Err(_) => return Step::Broken,
    }
    // A short read has emptied the socket: the next edge tells when there is more.
    let drained = count < buffer.len() && !all && from.pending.is_empty();
    if drained { Step::Wait } else { Step::Again }
}

/// Forwards for ever.
pub fn run(options: &Options) -> Result<(), String> {
    let address: SocketAddr = options.get("listen")?;
    let server: SocketAddr = options.get("server")?;
    let listener = sys::listen(address).map_err(|error| format!("{address}: {error}"))?;
    let wrong = |error: std::io::Error| format!("epoll: {error}");
    let mut poll = Poll::new().map_err(wrong)?;
    poll.listen(&listener, LISTENER).map_err(wrong)?;
    let mut ends = Ends { all: Vec::new(), free: Vec::new(), leaving: Vec::new() };
    let mut events: Vec<Event> = Vec::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        poll.wait(None, &mut events).map_err(wrong)?;
        for event in &events {
            if event.token != LISTENER {
                // Either this side has something to give, or it can take again what the other gave.
                let peer = ends.all[event.token].as_ref().map(|end| end.peer);
                ends.pump(event.token, event.ended, &mut buffer);
                if let Some(peer) = peer.filter(|peer| {
                    ends.all[*peer].as_ref().is_some_and(|end| !end.pending.is_empty() || end.ended)
                }) {
                    ends.pump(peer, false, &mut buffer);
                }
                continue;
            }
            for _ in 0..ACCEPT_MAX {
                let accepted = sys::accept(&listener).map_err(|error| format!("accept: {error}"))?;
                let Some(client) = accepted else { break };
                let Ok(upstream) = sys::connect(server, None) else { continue };
                let (near, far) = (ends.place(), ends.place());
                for (stream, at, peer) in [(client, near, far), (upstream, far, near)] {
                    poll.add(&stream, at).map_err(wrong)?;
                    ends.all[at] = Some(End { stream, peer, pending: Vec::new(), ended: false, told: false });
                }
            }
        }
        ends.free.append(&mut ends.leaving);
    }
}
