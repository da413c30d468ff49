//! Frames (RFC 9113 sections 4.1 and 6): the head that each starts with, and those that are written whole.
//!
//! Whether a frame may come when it comes is not decided here: that takes the state of its connection.

use super::{Reason, StreamId};

/// The length of the head of a frame.
pub const HEAD_LEN: usize = 9;
/// What a client sends first (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The payload that every peer takes (RFC 9113 section 4.2), in bytes.
pub const PAYLOAD_MIN: u32 = 16_384;
/// The largest payload that a peer may offer to take, in bytes.
pub const PAYLOAD_MAX: u32 = 0xff_ffff;

/// A frame's type. Unknown ones are possible and to be ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(pub u8);

impl Kind {
    /// Body bytes.
    pub const DATA: Kind = Kind(0);
    /// A field section, or its start.
    pub const HEADERS: Kind = Kind(1);
    /// Deprecated advice, checked for its length and ignored.
    pub const PRIORITY: Kind = Kind(2);
    /// The end of a stream.
    pub const RST_STREAM: Kind = Kind(3);
    /// What the sender takes.
    pub const SETTINGS: Kind = Kind(4);
    /// A stream that the server opens.
    pub const PUSH_PROMISE: Kind = Kind(5);
    /// A question whether the peer is there.
    pub const PING: Kind = Kind(6);
    /// The end of a connection.
    pub const GOAWAY: Kind = Kind(7);
    /// Leave to send more.
    pub const WINDOW_UPDATE: Kind = Kind(8);
    /// The rest of a field section.
    pub const CONTINUATION: Kind = Kind(9);
}

/// Flags of frames; what a bit means depends on the type.
pub mod flag {
    /// SETTINGS, PING: the answer to one.
    pub const ACK: u8 = 0x1;
    /// DATA, HEADERS: the last of the stream.
    pub const END_STREAM: u8 = 0x1;
    /// HEADERS, CONTINUATION: the last of the field section.
    pub const END_HEADERS: u8 = 0x4;
    /// DATA, HEADERS: the payload starts with the length of the padding at its end.
    pub const PADDED: u8 = 0x8;
    /// HEADERS: five octets of priority stand before the fields.
    pub const PRIORITY: u8 = 0x20;
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Bytes of payload.
    pub len: u32,
    /// The type.
    pub kind: Kind,
    /// The flags, those without a meaning included.
    pub flags: u8,
    /// The stream; the reserved bit is dropped.
    pub stream: StreamId,
}

impl FrameHead {
    /// Reads one.
    pub fn parse(bytes: &[u8; HEAD_LEN]) -> FrameHead {
        let [a, b, c, kind, flags, stream @ ..] = *bytes;
        let stream = StreamId(u32::from_be_bytes(stream) & StreamId::MAX.0);
        FrameHead { len: u32::from_be_bytes([0, a, b, c]), kind: Kind(kind), flags, stream }
    }
    /// The bytes of it.
    pub fn bytes(self) -> [u8; HEAD_LEN] {
        let [_, a, b, c] = self.len.to_be_bytes();
        let [s, t, u, v] = self.stream.0.to_be_bytes();
        [a, b, c, self.kind.0, self.flags, s, t, u, v]
    }
    /// Whether all the bits of `flags` are set.
    pub fn has(self, flags: u8) -> bool {
        self.flags & flags == flags
    }
}

/// Appends a frame.
pub fn write(kind: Kind, flags: u8, stream: StreamId, payload: &[u8], out: &mut Vec<u8>) {
    let head = FrameHead { len: payload.len() as u32, kind, flags, stream };
    out.extend_from_slice(&head.bytes());
    out.extend_from_slice(payload);
}

/// Appends SETTINGS.
pub fn write_settings(settings: &[(u16, u32)], out: &mut Vec<u8>) {
    let len = settings.len() * 6;
    let head = FrameHead { len: len as u32, kind: Kind::SETTINGS, flags: 0, stream: StreamId::CONNECTION };
    out.extend_from_slice(&head.bytes());
    for (name, value) in settings {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends RST_STREAM.
pub fn write_reset(stream: StreamId, reason: Reason, out: &mut Vec<u8>) {
    write(Kind::RST_STREAM, 0, stream, &reason.0.to_be_bytes(), out);
}

/// Appends PING, or the answer to one.
pub fn write_ping(flags: u8, payload: [u8; 8], out: &mut Vec<u8>) {
    write(Kind::PING, flags, StreamId::CONNECTION, &payload, out);
}

/// Appends GOAWAY: streams after `last` were not and will not be looked at.
pub fn write_goaway(last: StreamId, reason: Reason, out: &mut Vec<u8>) {
    let mut payload = [0; 8];
    payload[..4].copy_from_slice(&last.0.to_be_bytes());
    payload[4..].copy_from_slice(&reason.0.to_be_bytes());
    write(Kind::GOAWAY, 0, StreamId::CONNECTION, &payload, out);
}

/// Appends WINDOW_UPDATE; `increment` is 1 to 2^31-1.
pub fn write_window_update(stream: StreamId, increment: u32, out: &mut Vec<u8>) {
    write(Kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes(), out);
}

/// The big-endian number at the start of `bytes`, which must hold four.
pub fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// What is left of a payload without padding: `None` when there is more padding than payload.
pub fn unpadded(head: FrameHead, payload: &[u8]) -> Option<&[u8]> {
    if !head.has(flag::PADDED) {
        return Some(payload);
    }
    let (padding, rest) = payload.split_first()?;
    Some(&rest[..rest.len().checked_sub(usize::from(*padding))?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_survive_writing_and_reading() {
        for (len, kind, flags, stream) in
            [(0, 0, 0, 0), (16_384, 1, 0x25, 1), (PAYLOAD_MAX, 0xff, 0xff, StreamId::MAX.0)]
        {
            let head = FrameHead { len, kind: Kind(kind), flags, stream: StreamId(stream) };
            assert_eq!(FrameHead::parse(&head.bytes()), head);
        }
        let reserved = [0, 0, 1, 0, 0, 0x80, 0, 0, 3];
        assert_eq!(FrameHead::parse(&reserved).stream, StreamId(3), "the reserved bit is ignored");
    }

    #[test]
    fn frames_are_written_as_section_6_has_them() {
        let mut out = Vec::new();
        write_settings(&[(2, 0), (4, 65_535)], &mut out);
        assert_eq!(out, b"\0\0\x0c\x04\0\0\0\0\0\0\x02\0\0\0\0\0\x04\0\0\xff\xff");
        out.clear();
        write_reset(StreamId(5), Reason::CANCEL, &mut out);
        assert_eq!(out, b"\0\0\x04\x03\0\0\0\0\x05\0\0\0\x08");
        out.clear();
        write_ping(flag::ACK, *b"01234567", &mut out);
        assert_eq!(out, b"\0\0\x08\x06\x01\0\0\0\x0001234567");
        out.clear();
        write_goaway(StreamId(7), Reason::ENHANCE_YOUR_CALM, &mut out);
        assert_eq!(out, b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x07\0\0\0\x0b");
        out.clear();
        write_window_update(StreamId(1), 1000, &mut out);
        assert_eq!(out, b"\0\0\x04\x08\0\0\0\0\x01\0\0\x03\xe8");
        assert_eq!(number(&out[9..]), 1000);
    }

    #[test]
    fn padding_goes() {
        let head = |flags| FrameHead { len: 0, kind: Kind::DATA, flags, stream: StreamId(1) };
        for (flags, payload, expected) in [
            (0, &b"\x02ab"[..], Some(&b"\x02ab"[..])),
            (flag::PADDED, b"\x02ab\0\0", Some(b"ab")),
            (flag::PADDED, b"\x02\0\0", Some(b"")),
            (flag::PADDED, b"\x03\0\0", None),
            (flag::PADDED, b"\0", Some(b"")),
            (flag::PADDED, b"", None),
        ] {
            assert_eq!(unpadded(head(flags), payload), expected, "{payload:?}");
        }
    }

    #[test]
    fn reasons_have_names() {
        assert_eq!(Reason::ENHANCE_YOUR_CALM.to_string(), "ENHANCE_YOUR_CALM (11)");
        assert_eq!(Reason(99).to_string(), "UNKNOWN (99)");
    }
}
