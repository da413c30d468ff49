//! Takes the bytes of a connection apart: lines, commands on a line, words, payloads
//! (manual: management, section 9.3).
//!
//! A line ends at a line feed. Commands on it are separated by `;`. Words are separated by blanks.
//! A backslash takes the meaning from `;`, a blank or another backslash. A line whose last word
//! begins with `<<` is followed by a payload for its last command, up to a line that holds just what
//! follows the `<<` (nothing, as a rule).

/// The longest line, and the longest payload, a client may send.
pub const PAYLOAD_MAX: usize = 64 << 20;
/// The longest line.
pub const LINE_MAX: usize = 1 << 20;
/// The longest end mark of a payload.
const PATTERN_MAX: usize = 64;
/// The most words of a command.
pub const WORDS_MAX: usize = 64;

/// A line and what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The commands, each as its words; an empty command has none.
    pub commands: Vec<Vec<Vec<u8>>>,
    /// What the last command gets besides its words.
    pub payload: Option<Vec<u8>>,
}

/// Gathers bytes until a whole request is there.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    /// Bytes of `buffer` known to hold no line feed.
    scanned: usize,
    open: Option<OpenPayload>,
}

#[derive(Debug)]
struct OpenPayload {
    request: Request,
    pattern: Vec<u8>,
    payload: Vec<u8>,
}

/// Why reading cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLong {
    /// The line.
    Line,
    /// The payload.
    Payload,
}

impl TooLong {
    /// What the client is told.
    pub fn message(self) -> &'static str {
        match self {
            TooLong::Line => "The command line is too long.",
            TooLong::Payload => "The payload is too big.",
        }
    }
}

impl Reader {
    /// Takes bytes as they arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }
    /// Whether a payload is being read, which has a prompt of its own.
    pub fn in_payload(&self) -> bool {
        self.open.is_some()
    }
    /// The next whole request. What the connection's end cuts short is none: half of a command, or of a payload, may
    /// do something else than the whole.
    pub fn take(&mut self) -> Result<Option<Request>, TooLong> {
        let mut start = 0;
        let outcome = loop {
            let from = self.scanned.max(start);
            let line_end = match memchr::memchr(b'\n', &self.buffer[from..]) {
                Some(at) => from + at,
                None => {
                    self.scanned = self.buffer.len();
                    let limit = if self.open.is_some() { PAYLOAD_MAX } else { LINE_MAX };
                    if self.buffer.len() - start > limit {
                        break Err(if self.open.is_some() { TooLong::Payload } else { TooLong::Line });
                    }
                    break Ok(None);
                }
            };
            let line = &self.buffer[start..line_end];
            start = line_end + 1;
            match &mut self.open {
                Some(open) if *line == *open.pattern => break Ok(self.open.take().map(OpenPayload::close)),
                Some(open) => {
                    if open.payload.len() + line.len() > PAYLOAD_MAX {
                        break Err(TooLong::Payload);
                    }
                    open.payload.extend_from_slice(line);
                    open.payload.push(b'\n');
                }
                None => {
                    let (request, pattern) = parse(line.strip_suffix(b"\r").unwrap_or(line));
                    match pattern {
                        Some(pattern) => {
                            self.open = Some(OpenPayload { request, pattern, payload: Vec::new() });
                        }
                        None => break Ok(Some(request)),
                    }
                }
            }
        };
        self.buffer.drain(..start);
        self.scanned = self.scanned.saturating_sub(start);
        outcome
    }
}

impl OpenPayload {
    fn close(mut self) -> Request {
        self.payload.pop();
        self.request.payload = Some(self.payload);
        self.request
    }
}

/// Parses a line; also the end mark if a payload follows.
fn parse(line: &[u8]) -> (Request, Option<Vec<u8>>) {
    let last = line.iter().rposition(|byte| is_blank(*byte)).map_or(0, |at| at + 1);
    let (line, pattern) = match line[last..].strip_prefix(b"<<") {
        Some(pattern) if pattern.len() <= PATTERN_MAX => (&line[..last], Some(pattern.to_vec())),
        _ => (line, None),
    };
    let commands = split(line).into_iter().map(words).collect();
    (Request { commands, payload: None }, pattern)
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// The commands of a line: at each `;` that no backslash precedes.
fn split(line: &[u8]) -> Vec<&[u8]> {
    let mut commands = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < line.len() {
        match line[at] {
            b'\\' => at += 1,
            b';' => {
                commands.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    commands.push(&line[start..]);
    commands
}

/// The words of a command, without the backslashes.
fn words(command: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = command.iter().copied();
    while let Some(byte) = bytes.next() {
        if is_blank(byte) {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        match byte {
            b'\\' => word.extend(bytes.next()),
            other => word.push(other),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(request: &Request) -> Vec<Vec<String>> {
        let text = |word: &Vec<u8>| String::from_utf8(word.clone()).unwrap();
        request.commands.iter().map(|words| words.iter().map(text).collect()).collect()
    }

    #[test]
    fn splits_commands_and_words() {
        for (line, expected) in [
            ("show info", &[&["show", "info"][..]][..]),
            ("show info;show  stat ", &[&["show", "info"], &["show", "stat"]]),
            ("a\\;b c\\ d \\\\", &[&["a;b", "c d", "\\"]]),
            (";a;", &[&[], &["a"], &[]]),
            ("a\\", &[&["a"]]),
            ("", &[&[]]),
        ] {
            let mut reader = Reader::default();
            reader.feed(line.as_bytes());
            reader.feed(b"\r\nnext");
            let request = reader.take().unwrap().unwrap();
            assert_eq!(texts(&request), expected, "{line}");
            assert_eq!(request.payload, None);
            assert_eq!(reader.take(), Ok(None), "a line ends with a line feed");
            reader.feed(b"\n");
            assert_eq!(texts(&reader.take().unwrap().unwrap()), [["next"]]);
            assert_eq!(reader.take(), Ok(None));
        }
    }

    #[test]
    fn payloads_end_at_their_mark() {
        for (bytes, payload) in [
            ("add map #0 <<\nk1 v1\nk2 v2;x\n\nquit\n", "k1 v1\nk2 v2;x"),
            ("add map #0 <<EOF\nk1 v1\n\nk2 v2\nEOF\nquit\n", "k1 v1\n\nk2 v2"),
            ("add map #0 <<\n\nquit\n", ""),
        ] {
            // Byte by byte, since a client's writes may be cut anywhere.
            let mut reader = Reader::default();
            let mut requests = Vec::new();
            for byte in bytes.bytes() {
                reader.feed(&[byte]);
                requests.extend(reader.take().unwrap());
            }
            assert_eq!(requests.len(), 2, "{bytes:?}");
            assert_eq!(texts(&requests[0]), [["add", "map", "#0"]]);
            assert_eq!(requests[0].payload.as_deref(), Some(payload.as_bytes()));
            assert_eq!(texts(&requests[1]), [["quit"]]);
        }
    }

    #[test]
    fn a_payload_goes_to_the_last_command_and_is_whole() {
        let mut reader = Reader::default();
        reader.feed(b"show info; add acl #1 <<\na\nb\n");
        assert_eq!(reader.take(), Ok(None));
        assert!(reader.in_payload());
        reader.feed(b"\n");
        let request = reader.take().unwrap().unwrap();
        assert!(!reader.in_payload());
        assert_eq!(texts(&request), [&["show", "info"][..], &["add", "acl", "#1"]]);
        assert_eq!(request.payload.as_deref(), Some(&b"a\nb"[..]));
    }

    #[test]
    fn endless_lines_are_refused() {
        let mut reader = Reader::default();
        reader.feed(&vec![b'x'; LINE_MAX + 1]);
        assert_eq!(reader.take(), Err(TooLong::Line));
    }
}
