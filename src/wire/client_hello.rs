//! TLS hello messages in bytes that are only passed on (RFC 8446 sections 4.1.2 and 5.1; RFC 6066
//! section 3 for the server name; RFC 7301 section 3.1 for ALPN).
//!
//! It is not a TLS stack: nothing is verified but lengths, and nothing is answered. TCP mode looks at
//! the first flight of a client to choose a backend by name, and gives the bytes on untouched.
//!
//! Parsing starts over with each arrival: a hello is one or two packets, and a state to keep between
//! them would cost more than it saves. A message that stands in one record is borrowed; only one cut over
//! several records is joined into memory of its own.

use std::borrow::Cow;
use std::ops::Range;

/// The longest hello that is looked at; clients send some 2 kB with post-quantum key shares.
const HELLO_MAX: usize = 64 * 1024;
/// The longest record payload (RFC 8446 section 5.1); a hello is never encrypted.
const RECORD_MAX: usize = 1 << 14;
/// Bytes of a record header: type, version, length.
const RECORD_HEADER: usize = 5;
/// Bytes of a handshake header: type and length.
const MESSAGE_HEADER: usize = 4;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// What the bytes so far tell.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// It may become one; more bytes are needed.
    Partial,
    /// It is there.
    Complete(T),
    /// It is something else, whatever follows.
    Foreign,
}

impl<T> Found<T> {
    /// What was found, if it is there.
    pub fn complete(self) -> Option<T> {
        match self {
            Found::Complete(found) => Some(found),
            Found::Partial | Found::Foreign => None,
        }
    }
    fn map<U>(self, then: impl FnOnce(T) -> Found<U>) -> Found<U> {
        match self {
            Found::Partial => Found::Partial,
            Found::Complete(found) => then(found),
            Found::Foreign => Found::Foreign,
        }
    }
}

/// A handshake message: its type and its body.
#[derive(Debug)]
struct Message<'a> {
    kind: u8,
    body: Cow<'a, [u8]>,
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |n, byte| n << 8 | usize::from(*byte))
}

/// The first handshake message, out of as many records as it takes.
fn message(bytes: &[u8]) -> Found<Message<'_>> {
    let mut joined: Vec<u8> = Vec::new();
    let mut rest = bytes;
    loop {
        // Each byte is judged as soon as it is there: another protocol is known by its first one.
        match rest {
            [] => return Found::Partial,
            [HANDSHAKE] | [HANDSHAKE, 3] | [HANDSHAKE, 3, _] | [HANDSHAKE, 3, _, _] => return Found::Partial,
            [HANDSHAKE, 3, ..] => {}
            _ => return Found::Foreign,
        }
        let len = number(&rest[3..RECORD_HEADER]);
        if len == 0 || len > RECORD_MAX {
            return Found::Foreign;
        }
        let end = (RECORD_HEADER + len).min(rest.len());
        let fragment = &rest[RECORD_HEADER..end];
        let is_whole = end == RECORD_HEADER + len;
        if joined.is_empty()
            && let [kind, a, b, c, body @ ..] = fragment
        {
            let wanted = number(&[*a, *b, *c]);
            if let Some(body) = body.get(..wanted) {
                return Found::Complete(Message { kind: *kind, body: Cow::Borrowed(body) });
            }
        }
        joined.extend_from_slice(fragment);
        if let [kind, a, b, c, body @ ..] = &joined[..] {
            let wanted = number(&[*a, *b, *c]);
            if wanted > HELLO_MAX {
                return Found::Foreign;
            }
            if body.len() >= wanted {
                let kind = *kind;
                joined.drain(..MESSAGE_HEADER);
                joined.truncate(wanted);
                return Found::Complete(Message { kind, body: Cow::Owned(joined) });
            }
        }
        if !is_whole {
            return Found::Partial;
        }
        rest = &rest[end..];
    }
}

/// The type of the handshake message that `bytes` begin with, once all of it is there: 1 for a client's
/// hello, 2 for a server's.
pub fn message_type(bytes: &[u8]) -> Found<u8> {
    message(bytes).map(|message| Found::Complete(message.kind))
}

/// The version that a client's hello offers at most, as major and minor number; the old hello of SSLv2
/// is understood, too.
pub fn offered_version(bytes: &[u8]) -> Found<(u8, u8)> {
    match bytes.first() {
        None => Found::Partial,
        Some(&HANDSHAKE) => message(bytes).map(|message| match (message.kind, &message.body[..]) {
            (CLIENT_HELLO, [major, minor, ..]) => Found::Complete((*major, *minor)),
            _ => Found::Foreign,
        }),
        Some(_) => version_of_v2(bytes),
    }
}

/// The version in a hello of SSLv2's form: length, type, version, then the lengths of three blocks and
/// these. A set high bit makes a length of two bytes, otherwise a third tells the padding.
fn version_of_v2(bytes: &[u8]) -> Found<(u8, u8)> {
    let (header, mask) = if bytes[0] & 0x80 != 0 { (2, 0x7f) } else { (3, 0x3f) };
    let Some(kind) = bytes.get(header) else { return Found::Partial };
    if *kind != CLIENT_HELLO {
        return Found::Foreign;
    }
    let Some([major, minor, lengths @ ..]) = bytes.get(header + 1..header + 9) else {
        return Found::Partial;
    };
    let (ciphers, session, challenge) =
        (number(&lengths[..2]), number(&lengths[2..4]), number(&lengths[4..6]));
    let len = number(&[bytes[0] & mask, bytes[1]]);
    let padding = if header == 3 { usize::from(bytes[2]) } else { 0 };
    let blocks = ciphers + session + challenge;
    let is_sane = ciphers % 3 == 0 && matches!(session, 0 | 16) && (16..=32).contains(&challenge);
    if !is_sane || len != 9 + blocks {
        return Found::Foreign;
    }
    if bytes.len() < header + 9 + blocks + padding {
        Found::Partial
    } else {
        Found::Complete((*major, *minor))
    }
}

/// A client's hello. Its parts are given as places in its body, so that they can be taken out whether the
/// body is borrowed or not.
#[derive(Debug)]
pub struct ClientHello<'a> {
    body: Cow<'a, [u8]>,
    ciphers: Range<usize>,
    extensions: Option<Range<usize>>,
}

/// Reads length-prefixed blocks off a body.
struct Reader<'b> {
    body: &'b [u8],
    at: usize,
    end: usize,
}

impl Reader<'_> {
    fn skip(&mut self, len: usize) -> Option<Range<usize>> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.end)?;
        Some(std::mem::replace(&mut self.at, end)..end)
    }
    fn number(&mut self, width: usize) -> Option<usize> {
        let place = self.skip(width)?;
        self.body.get(place).map(number)
    }
    /// A block behind a length of `width` bytes.
    fn block(&mut self, width: usize) -> Option<Range<usize>> {
        let len = self.number(width)?;
        self.skip(len)
    }
    fn is_done(&self) -> bool {
        self.at == self.end
    }
}

/// Extensions that are looked at (IANA's list of TLS extension types).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
#[allow(missing_docs)]
pub enum Extension {
    ServerName = 0,
    SupportedGroups = 10,
    SignatureAlgorithms = 13,
    Alpn = 16,
    SessionTicket = 35,
    KeyShare = 51,
}

impl<'a> ClientHello<'a> {
    /// The hello that `bytes` begin with, once all of it is there.
    pub fn parse(bytes: &'a [u8]) -> Found<ClientHello<'a>> {
        // Something that is no hello need not be waited for.
        if bytes.get(RECORD_HEADER).is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Found::Foreign;
        }
        message(bytes).map(|message| {
            let parsed = (message.kind == CLIENT_HELLO).then(|| ClientHello::of(message.body)).flatten();
            parsed.map_or(Found::Foreign, Found::Complete)
        })
    }
    fn of(body: Cow<'a, [u8]>) -> Option<ClientHello<'a>> {
        let mut reader = Reader { body: &body, at: 0, end: body.len() };
        let (major, minor) = (reader.number(1)?, reader.number(1)?);
        // TLS 1.0 is the oldest one with extensions.
        if major < 3 || minor < 1 {
            return None;
        }
        reader.skip(32)?;
        if reader.block(1)?.len() > 32 {
            return None;
        }
        let ciphers = reader.block(2).filter(|list| !list.is_empty() && list.len() % 2 == 0)?;
        reader.block(1).filter(|methods| !methods.is_empty())?;
        let extensions = if reader.is_done() { None } else { Some(reader.block(2)?) };
        Some(ClientHello { ciphers, extensions, body })
    }

    /// Whether there is a list of extensions.
    pub fn has_extensions(&self) -> bool {
        self.extensions.is_some()
    }
    /// The place of an extension's data.
    pub fn extension(&self, wanted: Extension) -> Option<Range<usize>> {
        let mut reader = self.reader(self.extensions.clone()?);
        while !reader.is_done() {
            let kind = reader.number(2)?;
            let data = reader.block(2)?;
            if kind == wanted as usize {
                return Some(data);
            }
        }
        None
    }
    fn reader(&self, place: Range<usize>) -> Reader<'_> {
        Reader { body: &self.body, at: place.start, end: place.end }
    }
    /// Where the cipher suites stand.
    pub fn ciphers(&self) -> Range<usize> {
        self.ciphers.clone()
    }
    /// Where the host name stands, if the client tells one.
    pub fn server_name(&self) -> Option<Range<usize>> {
        const HOST_NAME: usize = 0;
        let list = self.reader(self.extension(Extension::ServerName)?).block(2)?;
        let mut names = self.reader(list);
        while !names.is_done() {
            let kind = names.number(1)?;
            let name = names.block(2)?;
            if kind == HOST_NAME {
                return Some(name);
            }
        }
        None
    }
    /// Where the protocol names of ALPN stand, in the client's order, until `each` says it has seen enough.
    pub fn protocols(&self, mut each: impl FnMut(Range<usize>) -> bool) {
        let list = self.extension(Extension::Alpn).and_then(|data| self.reader(data).block(2));
        let Some(list) = list else { return };
        let mut names = self.reader(list);
        while let Some(name) = names.block(1) {
            if each(name) {
                return;
            }
        }
    }
    /// Where the list of numbers stands that an extension consists of (groups, signature algorithms).
    pub fn numbers(&self, extension: Extension) -> Option<Range<usize>> {
        let list = self.reader(self.extension(extension)?).block(2)?;
        (list.len() >= 2).then_some(list)
    }
    /// The groups of the key shares, two bytes each; the shares themselves are left out.
    pub fn key_share_groups(&self) -> Option<Vec<u8>> {
        let list = self.reader(self.extension(Extension::KeyShare)?).block(2)?;
        let mut shares = self.reader(list);
        let mut groups = Vec::new();
        while !shares.is_done() {
            let group = shares.skip(2)?;
            shares.block(2)?;
            groups.extend_from_slice(self.body.get(group)?);
        }
        (!groups.is_empty()).then_some(groups)
    }
    /// The bytes of a place, which outlive the hello where its bytes do.
    pub fn bytes(&self, place: Range<usize>) -> Cow<'a, [u8]> {
        match &self.body {
            Cow::Borrowed(body) => Cow::Borrowed(body.get(place).unwrap_or_default()),
            Cow::Owned(body) => Cow::Owned(body.get(place).unwrap_or_default().to_vec()),
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    /// A hello as one record, with these extensions.
    pub(crate) fn hello(extensions: &[(u16, &[u8])]) -> Vec<u8> {
        records(&body(extensions), usize::MAX)
    }
    /// The handshake message alone.
    pub(crate) fn body(extensions: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 4, 0x13, 0x01, 0x0a, 0x0a, 1, 0]);
        let mut list = Vec::new();
        for (kind, data) in extensions {
            list.extend(kind.to_be_bytes());
            list.extend((data.len() as u16).to_be_bytes());
            list.extend(*data);
        }
        body.extend((list.len() as u16).to_be_bytes());
        body.extend(list);
        let len = (body.len() as u32).to_be_bytes();
        [&[1, len[1], len[2], len[3]], &body[..]].concat()
    }
    /// A message in records of at most `size` bytes.
    pub(crate) fn records(message: &[u8], size: usize) -> Vec<u8> {
        let record = |part: &[u8]| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat();
        message.chunks(size.min(message.len())).flat_map(record).collect()
    }
    /// The data of a server name extension.
    pub(crate) fn server_name(name: &str) -> Vec<u8> {
        let len = name.len() as u16;
        [&(len + 3).to_be_bytes()[..], &[0], &len.to_be_bytes(), name.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;

    fn name(bytes: &[u8]) -> Found<Option<Vec<u8>>> {
        ClientHello::parse(bytes)
            .map(|hello| Found::Complete(hello.server_name().map(|at| hello.bytes(at).into_owned())))
    }

    #[test]
    fn names_are_found_however_the_hello_is_cut() {
        let sni = server_name("example.org");
        let message = body(&[(0x1a1a, b""), (0, &sni), (16, b"\0\x0c\x02h2\x08http/1.1")]);
        for size in [usize::MAX, 100, 40, 7, 3, 1] {
            let bytes = records(&message, size);
            for len in 0..bytes.len() {
                assert_eq!(name(&bytes[..len]), Found::Partial, "{len} bytes of records of {size}");
                assert_eq!(message_type(&bytes[..len]), Found::Partial);
            }
            assert_eq!(name(&bytes), Found::Complete(Some(b"example.org".to_vec())), "records of {size}");
            assert_eq!(message_type(&bytes), Found::Complete(1));
            assert_eq!(offered_version(&bytes), Found::Complete((3, 3)));
            let more = [&bytes[..], b"anything"].concat();
            assert_eq!(
                name(&more),
                Found::Complete(Some(b"example.org".to_vec())),
                "what follows is not read"
            );
        }
    }

    #[test]
    fn other_bytes_are_known_early() {
        for bytes in [
            &b"G"[..],
            b"GET / HTTP/1.1\r\n",
            b"\x16\x02",
            b"\x17\x03\x03",
            b"\x16\x03\x01\0\0",
            b"\x16\x03\x01\xff\xff\x01",
            b"\x16\x03\x01\0\x04\x02",
        ] {
            assert_eq!(name(bytes), Found::Foreign, "{bytes:?}");
        }
        assert_eq!(message_type(b"\x16\x03\x03\0\x04\x02\0\0\0"), Found::Complete(2), "a server's hello");
    }

    #[test]
    fn lengths_that_lie_yield_nothing() {
        let sni = server_name("example.org");
        let sound = hello(&[(0, &sni)]);
        // Any single byte changed may change what is found, but never reads beyond a bound.
        for at in 5..sound.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut broken = sound.clone();
                broken[at] = byte;
                let _ = name(&broken);
                let _ = ClientHello::parse(&broken).complete().map(|hello| {
                    hello.protocols(|_| false);
                    hello.key_share_groups()
                });
            }
        }
        for (extensions, expected) in [
            (&[(0, &b"\0\xff\0\0\x01a"[..])][..], None),
            (&[(0, b"\0\x04\0\0\xff\x01a")], None),
            (&[(0, b"\0\x04\x07\0\x01a")], None),
            (&[(0, b"")], None),
            (&[(0, b"\0\x08\x07\0\x01a\0\0\x01b")], Some(b"b".to_vec())),
        ] {
            assert_eq!(name(&hello(extensions)), Found::Complete(expected), "{extensions:?}");
        }
    }

    #[test]
    fn lists_and_grease() {
        let bytes = hello(&[
            (10, b"\0\x04\x0a\x0a\0\x1d"),
            (13, b"\0\x02\x04\x03"),
            (35, b"tick"),
            (51, b"\0\x0b\x0a\x0a\0\x01\0\0\x1d\0\x02ab"),
        ]);
        let hello = ClientHello::parse(&bytes).complete().unwrap();
        let list = |place: Option<Range<usize>>| place.map(|place| hello.bytes(place).into_owned());
        assert_eq!(list(Some(hello.ciphers())).unwrap(), b"\x13\x01\x0a\x0a");
        assert_eq!(list(hello.numbers(Extension::SupportedGroups)).unwrap(), b"\x0a\x0a\0\x1d");
        assert_eq!(list(hello.numbers(Extension::SignatureAlgorithms)).unwrap(), b"\x04\x03");
        assert_eq!(list(hello.extension(Extension::SessionTicket)).unwrap(), b"tick");
        assert_eq!(hello.key_share_groups().unwrap(), b"\x0a\x0a\0\x1d");
    }

    #[test]
    fn hellos_of_the_old_form_tell_a_version() {
        let mut old = b"\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10".to_vec();
        assert_eq!(offered_version(&old), Found::Partial);
        old.extend([9; 0x15 + 0x10]);
        assert_eq!(offered_version(&old), Found::Complete((3, 1)));
        assert_eq!(offered_version(b"\x80\x2e\x01\x03\x01\0\x14\0\0\0\x10"), Found::Foreign);
        assert_eq!(offered_version(b"GET / HTTP/1.0"), Found::Foreign);
    }
}
