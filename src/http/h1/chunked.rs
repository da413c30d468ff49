//! The chunked transfer coding (RFC 9112 section 7.1), decoded as ranges over the caller's buffer.
//!
//! It is stricter than the head: chunk framing takes no bare LF, since a peer that disagrees about
//! where a chunk ends disagrees about where the next message starts. Chunk extensions are checked
//! and dropped. The decoder keeps no bytes: what it has not consumed is given to it again.

use crate::http::uri::hex_digit;

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
pub struct BadChunk {
    /// What is wrong, for `show errors`.
    pub reason: &'static str,
    /// Where in the bytes at hand: the beginning of what is refused.
    pub offset: usize,
}

impl BadChunk {
    fn behind(self, bytes: usize) -> BadChunk {
        BadChunk { offset: self.offset + bytes, ..self }
    }
}

fn bad(reason: &'static str) -> BadChunk {
    BadChunk { reason, offset: 0 }
}

/// Decodes one body. Feed it the bytes at hand, act on the event, drop what it says, repeat.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    state: State,
    /// Bytes of size lines beyond what the data pays for; see [`EXCESS_MAX`].
    excess: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// A size line comes.
    #[default]
    Size,
    /// So many bytes of the chunk are yet to come.
    Data(u64),
    /// The line end after a chunk's data comes.
    DataEnd,
    /// The trailer section comes; so many bytes of it were searched for its end.
    Trailers { seen: usize },
    /// Nothing belongs to the body any more.
    Done,
}

/// The longest size line, extensions included. It must fit in the buffer whole.
pub const SIZE_LINE_MAX: usize = 4096;

/// The longest trailer section. It must fit in the buffer whole.
pub const TRAILERS_MAX: usize = 8192;

/// Chunks are smaller than 2^52: no peer that keeps sizes in floating point numbers sees another
/// size than this proxy, and no sum of sizes overflows.
const CHUNK_BITS: u32 = 52;

/// Bytes of size lines allowed beyond [`FREE_LINE`] per chunk and beyond twice the data: tiny chunks
/// with long extensions make a proxy read much for little (the class of CVE-2023-39326).
const EXCESS_MAX: u64 = 16 * 1024;

/// What a size line may take without being counted: 13 digits, CRLF and some change.
const FREE_LINE: u64 = 24;

impl Decoder {
    /// A decoder at the start of a body.
    pub fn new() -> Self {
        Self::default()
    }

    /// What stands at the start of `bytes`. An error changes nothing: asked again, it is found again.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Event, BadChunk> {
        let before = self.clone();
        let found = self.look(bytes);
        if found.is_err() {
            *self = before;
        }
        found
    }

    fn look(&mut self, bytes: &[u8]) -> Result<Event, BadChunk> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match self.state {
                State::Size => {
                    let Some((size, line)) = size_line(rest).map_err(|bad| bad.behind(at))? else {
                        return Ok(Event::NeedMore { consumed: at });
                    };
                    self.excess = (self.excess + (line as u64).saturating_sub(FREE_LINE))
                        .saturating_sub(size.saturating_mul(2));
                    if self.excess > EXCESS_MAX {
                        return Err(bad("too many chunk extensions").behind(at));
                    }
                    at += line;
                    self.state = if size == 0 { State::Trailers { seen: 0 } } else { State::Data(size) };
                }
                State::Data(left) => {
                    if rest.is_empty() {
                        return Ok(Event::NeedMore { consumed: at });
                    }
                    let taken = left.min(rest.len() as u64);
                    self.state = if taken == left { State::DataEnd } else { State::Data(left - taken) };
                    return Ok(Event::Data { start: at, end: at + taken as usize });
                }
                State::DataEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        at += 2;
                        self.state = State::Size;
                    }
                    [] | [b'\r'] => return Ok(Event::NeedMore { consumed: at }),
                    _ => return Err(bad("chunk data not followed by a line end").behind(at)),
                },
                State::Trailers { seen } => {
                    return match trailers_end(rest, seen).map_err(|bad| bad.behind(at))? {
                        Some(end) => {
                            self.state = State::Done;
                            Ok(Event::End { trailers_start: at, end: at + end })
                        }
                        None => {
                            self.state = State::Trailers { seen: rest.len() };
                            Ok(Event::NeedMore { consumed: at })
                        }
                    };
                }
                State::Done => return Err(bad("the chunked body has ended already")),
            }
        }
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }
}

/// The size and the length of a size line; `None` if it has not ended yet.
///
/// `chunk-size [ chunk-ext ] CRLF`. Blanks after the size, which the grammar does not have, pass as
/// they do with HAProxy: old servers pad the size with them. Extensions may not hold controls,
/// unbalanced quotes or backslashes outside quotes, which others could take for the line's end.
fn size_line(bytes: &[u8]) -> Result<Option<(u64, usize)>, BadChunk> {
    let mut size = 0_u64;
    let mut at = 0;
    while let Some(digit) = bytes.get(at).and_then(|byte| hex_digit(*byte)) {
        size = size << 4 | u64::from(digit);
        if size >> CHUNK_BITS != 0 {
            return Err(bad("chunk size too large"));
        }
        at += 1;
        if at > SIZE_LINE_MAX {
            return Err(bad("chunk size line too long"));
        }
    }
    if at == 0 && !bytes.is_empty() {
        return Err(bad("invalid chunk size"));
    }
    while let Some(b' ' | b'\t') = bytes.get(at) {
        at += 1;
    }
    if let Some(b';') = bytes.get(at) {
        let (mut quoted, mut escaped) = (false, false);
        while let Some(byte @ (b'\t' | 0x20..=0x7e | 0x80..)) = bytes.get(at) {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'\\' => return Err(bad("backslash in a chunk extension")),
                b'"' => quoted = !quoted,
                _ => {}
            }
            at += 1;
        }
        if at < bytes.len() && (quoted || escaped) {
            return Err(bad("open quote in a chunk extension"));
        }
    }
    if at + 2 > SIZE_LINE_MAX {
        return Err(bad("chunk size line too long"));
    }
    match bytes[at..] {
        [b'\r', b'\n', ..] => Ok(Some((size, at + 2))),
        [] | [b'\r'] => Ok(None),
        _ => Err(bad("invalid character in a chunk size line")),
    }
}

/// Where the trailer section with its empty line ends; `None` if it has not ended yet.
fn trailers_end(bytes: &[u8], seen: usize) -> Result<Option<usize>, BadChunk> {
    if bytes.starts_with(b"\r\n") {
        return Ok(Some(2));
    }
    let searched = &bytes[..bytes.len().min(TRAILERS_MAX)];
    for at in memchr::memchr_iter(b'\n', &searched[seen.min(searched.len())..]).map(|at| seen + at) {
        if at == 0 || searched[at - 1] != b'\r' {
            return Err(bad("bare LF in the trailer section"));
        }
        if at >= 3 && searched[at - 2] == b'\n' {
            return Ok(Some(at + 1));
        }
    }
    if bytes.len() >= TRAILERS_MAX {
        return Err(bad("trailer section too large"));
    }
    Ok(None)
}

/// Writes a chunk's size line.
pub fn write_size_line(len: usize, out: &mut Vec<u8>) {
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|digit| b"0123456789abcdef"[len >> (digit * 4) & 15]));
    out.extend_from_slice(b"\r\n");
}

/// The line of the last chunk; the trailer section and an empty line follow it.
pub const LAST_CHUNK: &[u8] = b"0\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// A body, its trailers and what follows them.
    type Decoded = (Vec<u8>, Vec<u8>, Vec<u8>);

    /// Decodes `input` given in pieces that end at `cuts`: the body, the trailers and what is left.
    fn decode(input: &[u8], cuts: &[usize]) -> Result<Option<Decoded>, BadChunk> {
        let mut decoder = Decoder::new();
        let (mut buffer, mut body, mut fed) = (Vec::new(), Vec::new(), 0);
        for &cut in cuts.iter().chain([&input.len()]) {
            buffer.extend_from_slice(&input[fed..cut]);
            fed = cut;
            loop {
                match decoder.next(&buffer)? {
                    Event::NeedMore { consumed } => {
                        buffer.drain(..consumed);
                        break;
                    }
                    Event::Data { start, end } => {
                        body.extend_from_slice(&buffer[start..end]);
                        buffer.drain(..end);
                    }
                    Event::End { trailers_start, end } => {
                        let trailers = buffer[trailers_start..end - 2].to_vec();
                        buffer.drain(..end);
                        buffer.extend_from_slice(&input[fed..]);
                        return Ok(Some((body, trailers, buffer)));
                    }
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn decodes() {
        for (input, body, trailers, left) in [
            ("0\r\n\r\n", "", "", ""),
            ("3\r\nabc\r\n0\r\n\r\nGET", "abc", "", "GET"),
            ("A\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n", "0123456789x", "", ""),
            ("003;a=b;c=\"d;\\\"\"\r\nabc\r\n0;x\r\nT: 1\r\nU: 2\r\n\r\n", "abc", "T: 1\r\nU: 2\r\n", ""),
            ("3 \t\r\nabc\r\n0\r\n\r\n", "abc", "", ""),
        ] {
            let found = decode(input.as_bytes(), &[]).unwrap().unwrap();
            assert_eq!(found, (body.into(), trailers.into(), left.into()), "{input:?}");
        }
    }

    #[test]
    fn refuses() {
        let padded = format!("3;{}\r\nabc\r\n", "a".repeat(5000));
        let wasteful = format!("1;{}\r\na\r\n", "a".repeat(4000)).repeat(6);
        let trailers = format!("0\r\nA: {}\r\n\r\n", "b".repeat(9000));
        for input in [
            "\r\n",
            "x\r\n",
            "0x5\r\n",
            "+5\r\n",
            "-1\r\n",
            " 5\r\n",
            "5_0\r\n",
            ";a\r\n",
            "10000000000000\r\n",
            "3\nabc",
            "3\rabc",
            "3\r\nabcd\r\n",
            "3\r\nabc\n",
            "3\r\nabc0\r\n",
            "3;a\n",
            "3;\x01\r\n",
            "3;\"a\r\n",
            "3;a\\b\r\n",
            "3 a\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\n\n",
            &padded,
            &wasteful,
            &trailers,
        ] {
            assert!(decode(input.as_bytes(), &[]).is_err(), "{input:?}");
        }
        for input in ["", "3", "3\r", "3\r\nab", "3\r\nabc\r", "0\r\n", "0\r\nA: b\r\n", "0\r\n\r"] {
            assert_eq!(decode(input.as_bytes(), &[]), Ok(None), "{input:?}");
        }
    }

    #[test]
    fn pieces_change_nothing() {
        let mut rng = Rng::new(7);
        let valid: &[u8] = b"5;x=\"y\"\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nTr: 1\r\nAi: 2\r\n\r\nNEXT";
        for _ in 0..2000 {
            let mut input = valid.to_vec();
            if rng.below(2) == 0 {
                let at = rng.below(input.len() as u64) as usize;
                input[at] = b"\r\n0a;\"\\ \x00"[rng.below(9) as usize];
            }
            let mut cuts: Vec<_> =
                (0..rng.below(8)).map(|_| rng.below(input.len() as u64) as usize).collect();
            cuts.sort_unstable();
            let (whole, pieces) = (decode(&input, &[]), decode(&input, &cuts));
            // A piecewise read may see an error at another place first, never another message.
            assert_eq!(whole.is_err(), pieces.is_err(), "{:?} {cuts:?}", input.escape_ascii().to_string());
            if let (Ok(whole), Ok(pieces)) = (whole, pieces) {
                assert_eq!(whole, pieces, "{:?} {cuts:?}", input.escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn random_bytes_do_not_panic() {
        let mut rng = Rng::new(11);
        for _ in 0..20_000 {
            let input: Vec<_> =
                (0..rng.below(40)).map(|_| b"0123afF;\"\\\r\n \tx\x00"[rng.below(16) as usize]).collect();
            let _ = decode(&input, &[]);
        }
    }

    #[test]
    fn writes_size_lines() {
        for (len, expected) in [(0, "0\r\n"), (9, "9\r\n"), (16, "10\r\n"), (0xabcdef, "abcdef\r\n")] {
            let mut out = Vec::new();
            write_size_line(len, &mut out);
            assert_eq!(out, expected.as_bytes());
        }
    }
}
