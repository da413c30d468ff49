//! What rules say about the packets of a connection: marks, TOS, and a silent end.

use crate::net::Stream;
use crate::rules::{Effects, PacketFields};
use crate::sys::socket;

/// Gives the client's connection the mark and the TOS that rules have asked for since the last call.
pub(super) fn mark_client(effects: &mut Effects, client: &Stream) {
    if effects.client_packets != PacketFields::default() {
        mark(client, std::mem::take(&mut effects.client_packets));
    }
}

/// Gives a connection a mark and a TOS. What the system refuses (a mark needs CAP_NET_ADMIN) does
/// not hinder the traffic.
fn mark(stream: &Stream, fields: PacketFields) {
    if let Some(mark) = fields.mark {
        socket::set_mark(stream.fd(), mark);
    }
    if let Some(tos) = fields.tos {
        socket::set_tos(stream.fd(), tos);
    }
}

/// `silent-drop`: the client must not learn that the connection is over (manual, section 4.4).
///
/// Without `rst-ttl` nothing at all is sent, if the system allows it (CAP_NET_ADMIN); else a reset
/// goes out that dies at the first router, or after as many as the rule says.
pub(super) fn drop_silently(client: &mut Stream, rst_ttl: Option<u8>) {
    if rst_ttl.is_none() && socket::set_repair(client.fd()) {
        return;
    }
    socket::set_hop_limit(client.fd(), rst_ttl.unwrap_or(1));
    client.reset_on_close();
}
