//! The chunked transfer coding (RFC 9112 section 7.1), decoded as ranges over the caller's buffer.

/// What the decoder found at the start of the bytes it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// More bytes are needed; `consumed` bytes were framing and can be dropped.
    NeedMore {
        /// Bytes to drop from the front.
        consumed: usize,
    },
    /// `start..end` of the given bytes is body; drop up to `end` afterwards.
    Data {
        /// First byte of body.
        start: usize,
        /// One past the last byte of body at hand.
        end: usize,
    },
    /// The body ended and the trailer section stands at `trailers_start..end - 2` (it may be
    /// empty); drop up to `end`.
    End {
        /// First byte of the trailer section.
        trailers_start: usize,
        /// One past the empty line that ends the message.
        end: usize,
    },
}

/// A chunked body that is not one: refuse it, close both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk(pub &'static str);

/// Decodes one body. Feed it the bytes at hand, act on the event, drop what it says, repeat.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
}

impl Decoder {
    /// A decoder at the start of a body.
    pub fn new() -> Self {
        Self::default()
    }
    /// What stands at the start of `bytes`.
    pub fn next(&mut self, _bytes: &[u8]) -> Result<Event, BadChunk> {
        let _ = self.state;
        Ok(Event::NeedMore { consumed: 0 })
    }
}

/// Writes a chunk's size line.
pub fn write_size_line(_len: usize, _out: &mut Vec<u8>) {}
