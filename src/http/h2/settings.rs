//! What each side takes: the configured values, what is announced of them, and what the peer announces
//! (RFC 9113 section 6.5).

use super::frame::{self, PAYLOAD_MAX, PAYLOAD_MIN};
use super::hpack::TABLE_SIZE;
use super::{Reason, Role};
use crate::base::clock::Millis;

/// The windows that every connection starts with (RFC 9113 section 6.9.2), in bytes.
pub const WINDOW: u32 = 65_535;
/// The largest window, in bytes.
pub const WINDOW_MAX: u32 = 0x7fff_ffff;

/// What HAProxy's `tune.h2.*` and its like set for the connections of one side. [`Settings::default`] has HAProxy's
/// defaults; 0 turns a limit off where HAProxy's does.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `tune.bufsize`: bytes of a header block, of a decoded head, and of the least that a stream may receive ahead.
    pub buffer_size: u32,
    /// `tune.http.maxhdr`: fields of a head, each cookie by itself.
    pub fields_max: u32,
    /// `tune.h2.fe|be.initial-window-size`: bytes that a stream may receive ahead at first, and at least.
    pub window: u32,
    /// `tune.h2.fe|be.rxbuf`: bytes that a connection holds for streams whose consumers are slow.
    pub receive_buffer: u32,
    /// `tune.h2.fe|be.max-concurrent-streams`; 0 for no limit.
    pub streams_max: u32,
    /// `tune.h2.fe.max-total-streams`: how many streams until the client is asked to go; 0 for no limit.
    pub streams_total: u32,
    /// `tune.h2.fe|be.max-frames-at-once`: frames until others get their turn; 0 for no limit.
    pub frames_at_once: u32,
    /// `tune.h2.fe.max-rst-at-once`: RST_STREAM frames until others get their turn; 0 for no limit.
    pub resets_at_once: u32,
    /// `tune.h2.fe|be.glitches-threshold`: glitches until the connection is ended; 0 for no limit.
    pub glitches_threshold: u32,
    /// `tune.h2.header-table-size`: bytes of the table that the peer may use.
    pub header_table_size: u32,
    /// `tune.h2.max-frame-size`: bytes of payload that are taken, at least 16384.
    pub frame_size: u32,
    /// WebSockets may come as extended CONNECT (RFC 8441): not under `h2-workaround-bogus-websocket-clients`.
    pub extended_connect: bool,
    /// `option accept-unsafe-violations-in-http-request|response`.
    pub accept_unsafe: bool,
    /// `idle-ping`, in milliseconds; 0 for none.
    pub idle_ping: Millis,
    /// How long a stream may want to send and be kept from it by the peer's windows, in milliseconds: `timeout
    /// client` or `timeout server`; 0 for ever.
    pub stall_timeout: Millis,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            buffer_size: 16_384,
            fields_max: 101,
            window: 16_384,
            receive_buffer: 1_600 << 10,
            streams_max: 100,
            streams_total: 0,
            frames_at_once: 0,
            resets_at_once: 0,
            glitches_threshold: 0,
            header_table_size: TABLE_SIZE as u32,
            frame_size: PAYLOAD_MIN,
            extended_connect: true,
            accept_unsafe: false,
            idle_ping: 0,
            stall_timeout: 0,
        }
    }
}

/// The names of settings (RFC 9113 section 6.5.2, RFC 8441, RFC 9218).
mod name {
    pub(super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(super) const ENABLE_PUSH: u16 = 2;
    pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(super) const MAX_FRAME_SIZE: u16 = 5;
    pub(super) const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub(super) const ENABLE_CONNECT_PROTOCOL: u16 = 8;
    pub(super) const NO_RFC7540_PRIORITIES: u16 = 9;
}

impl Settings {
    /// Appends the SETTINGS frame that a connection starts with: what differs from the protocol's defaults. `streams`
    /// is how many clients are told to open at once, 0 for no limit.
    pub fn write(&self, role: Role, streams: u32, out: &mut Vec<u8>) {
        let mut list = Vec::with_capacity(6);
        if self.header_table_size as usize != TABLE_SIZE {
            list.push((name::HEADER_TABLE_SIZE, self.header_table_size));
        }
        match role {
            Role::Client => list.push((name::ENABLE_PUSH, 0)),
            Role::Server if self.extended_connect => list.push((name::ENABLE_CONNECT_PROTOCOL, 1)),
            Role::Server => {}
        }
        if role == Role::Server && streams != 0 {
            list.push((name::MAX_CONCURRENT_STREAMS, streams));
        }
        if self.window != WINDOW {
            list.push((name::INITIAL_WINDOW_SIZE, self.window.min(WINDOW_MAX)));
        }
        if self.payload_max() != PAYLOAD_MIN {
            list.push((name::MAX_FRAME_SIZE, self.payload_max()));
        }
        list.push((name::MAX_HEADER_LIST_SIZE, self.buffer_size));
        frame::write_settings(&list, out);
    }
    /// The largest payload taken, in bytes.
    pub fn payload_max(&self) -> u32 {
        self.frame_size.clamp(PAYLOAD_MIN, PAYLOAD_MAX)
    }
}

/// What the peer takes.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its window for each new stream, in bytes.
    pub window: u32,
    /// The largest payload, in bytes.
    pub payload_max: u32,
    /// How many streams at once, if it has said so.
    pub streams_max: Option<u32>,
    /// The table that its decoder has room for, in bytes.
    pub header_table_size: u32,
    /// It understands extended CONNECT.
    pub extended_connect: bool,
}

impl Default for Peer {
    fn default() -> Peer {
        Peer {
            window: WINDOW,
            payload_max: PAYLOAD_MIN,
            streams_max: None,
            header_table_size: TABLE_SIZE as u32,
            extended_connect: false,
        }
    }
}

impl Peer {
    /// Takes the payload of SETTINGS, of whole settings, that came to `role`'s side. An error ends the connection.
    pub fn update(&mut self, payload: &[u8], role: Role) -> Result<(), (Reason, &'static str)> {
        for setting in payload.chunks_exact(6) {
            let value = frame::number(&setting[2..]);
            match u16::from_be_bytes([setting[0], setting[1]]) {
                name::HEADER_TABLE_SIZE => self.header_table_size = value,
                // Clients may say what they like of pushes, there are none; servers may not say 1 (section 6.5.2).
                name::ENABLE_PUSH if value > u32::from(role == Role::Server) => {
                    return Err((Reason::PROTOCOL_ERROR, "invalid SETTINGS_ENABLE_PUSH"));
                }
                name::MAX_CONCURRENT_STREAMS => self.streams_max = Some(value),
                name::INITIAL_WINDOW_SIZE if value > WINDOW_MAX => {
                    return Err((Reason::FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE too large"));
                }
                name::INITIAL_WINDOW_SIZE => self.window = value,
                name::MAX_FRAME_SIZE if !(PAYLOAD_MIN..=PAYLOAD_MAX).contains(&value) => {
                    return Err((Reason::PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE out of range"));
                }
                name::MAX_FRAME_SIZE => self.payload_max = value,
                // RFC 8441 section 3: 0 or 1, and never back to 0.
                name::ENABLE_CONNECT_PROTOCOL if value > 1 || (value == 0 && self.extended_connect) => {
                    return Err((Reason::PROTOCOL_ERROR, "invalid SETTINGS_ENABLE_CONNECT_PROTOCOL"));
                }
                name::ENABLE_CONNECT_PROTOCOL => self.extended_connect = value == 1,
                name::NO_RFC7540_PRIORITIES if value > 1 => {
                    return Err((Reason::PROTOCOL_ERROR, "invalid SETTINGS_NO_RFC7540_PRIORITIES"));
                }
                // Section 6.5.2: unknown ones are ignored. MAX_HEADER_LIST_SIZE is advice.
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(settings: &Settings, role: Role) -> Vec<(u16, u32)> {
        let mut out = Vec::new();
        settings.write(role, settings.streams_max, &mut out);
        let list = out[frame::HEAD_LEN..].chunks(6);
        list.map(|s| (u16::from_be_bytes([s[0], s[1]]), frame::number(&s[2..]))).collect()
    }

    #[test]
    fn only_what_differs_is_announced() {
        let settings = Settings::default();
        assert_eq!(written(&settings, Role::Server), [(8, 1), (3, 100), (4, 16_384), (6, 16_384)]);
        assert_eq!(written(&settings, Role::Client), [(2, 0), (4, 16_384), (6, 16_384)]);
        let settings = Settings {
            streams_max: 0,
            window: WINDOW,
            header_table_size: 65_536,
            frame_size: 32_768,
            extended_connect: false,
            ..settings
        };
        assert_eq!(written(&settings, Role::Server), [(1, 65_536), (5, 32_768), (6, 16_384)]);
    }

    #[test]
    fn the_peer_is_held_to_the_ranges() {
        for (name, value, role, expected) in [
            (1, u32::MAX, Role::Server, None),
            (2, 1, Role::Server, None),
            (2, 2, Role::Server, Some(Reason::PROTOCOL_ERROR)),
            (2, 1, Role::Client, Some(Reason::PROTOCOL_ERROR)),
            (2, 0, Role::Client, None),
            (3, 0, Role::Client, None),
            (4, WINDOW_MAX, Role::Server, None),
            (4, WINDOW_MAX + 1, Role::Server, Some(Reason::FLOW_CONTROL_ERROR)),
            (5, 16_383, Role::Server, Some(Reason::PROTOCOL_ERROR)),
            (5, 16_384, Role::Server, None),
            (5, PAYLOAD_MAX, Role::Server, None),
            (5, PAYLOAD_MAX + 1, Role::Server, Some(Reason::PROTOCOL_ERROR)),
            (8, 1, Role::Client, None),
            (8, 2, Role::Client, Some(Reason::PROTOCOL_ERROR)),
            (9, 2, Role::Server, Some(Reason::PROTOCOL_ERROR)),
            (0xffff, 7, Role::Server, None),
        ] {
            let mut out = Vec::new();
            frame::write_settings(&[(name, value)], &mut out);
            let found = Peer::default().update(&out[frame::HEAD_LEN..], role);
            assert_eq!(found.err().map(|(reason, _)| reason), expected, "{name} {value} {role:?}");
        }
        let mut peer = Peer::default();
        let mut out = Vec::new();
        frame::write_settings(&[(8, 1), (8, 0)], &mut out);
        assert!(peer.update(&out[frame::HEAD_LEN..], Role::Client).is_err(), "RFC 8441 section 3");
    }
}
