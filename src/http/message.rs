//! Requests and responses as spans over one arena of bytes.

//!
//! Fields remember what their name means ([`Known`]) and a message remembers which of those names
//! it carries, so that asking for an absent `Connection` costs one test of a bit.

use super::Method;
use super::known::Known;

/// A piece of a message's arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text {
    start: u32,
    len: u32,
}

impl Text {
    /// The `len` bytes from `start` on.
    pub fn new(start: usize, len: usize) -> Text {
        Text { start: start as u32, len: len as u32 }
    }
    /// Whether there is nothing in it.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
    /// How many bytes.
    pub fn len(self) -> usize {
        self.len as usize
    }
    /// Where it starts in the arena.
    pub fn start(self) -> usize {
        self.start as usize
    }
    /// One past where it ends in the arena.
    pub fn end(self) -> usize {
        self.start as usize + self.len as usize
    }
}

/// One header field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name as received; compare with [`slice::eq_ignore_ascii_case`].
    pub name: Text,
    /// Its value, trimmed, with obs-fold replaced by spaces.
    pub value: Text,
    /// What its name means.
    pub known: Known,
    /// It was written here (by a rule, an error file), not received: what a peer says of its own connection
    /// is never passed on, what is written here is meant.
    pub written: bool,
}

/// The protocol version of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
    /// HTTP/2
    Http2,
}

impl Version {
    /// `1.0`, `1.1`, `2.0`: what `req.ver` gives.
    pub fn number(self) -> &'static str {
        match self {
            Version::Http10 => "1.0",
            Version::Http11 => "1.1",
            Version::Http2 => "2.0",
        }
    }
    /// `HTTP/1.0`, `HTTP/1.1`, `HTTP/2.0`: what a start line carries, and what logs show of those that have none.
    pub fn token(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
            Version::Http2 => "HTTP/2.0",
        }
    }
}

/// The arena and the field list that requests and responses share.
///
/// Order, case and repetition of fields are kept. An arena only grows while its message lives;
/// [`Fields::clear`] keeps the capacity for the next message of the connection.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    arena: Vec<u8>,
    list: Vec<Field>,
    /// The [`Known::bit`]s of the fields in `list`, exactly.
    present: u32,
    /// The same of fields that were written here; it may have those of fields that are gone.
    written: u32,
}

impl Fields {
    /// Empties it, keeping the capacity.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.list.clear();
        self.present = 0;
        self.written = 0;
    }
    /// Appends bytes to the arena and names them.
    pub fn store(&mut self, bytes: &[u8]) -> Text {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        Text::new(start, bytes.len())
    }
    /// Appends bytes that the arena holds already.
    pub fn store_again(&mut self, range: std::ops::Range<usize>) -> Text {
        let text = Text::new(self.arena.len(), range.len());
        self.arena.extend_from_within(range);
        text
    }
    /// Appends what `write` appends to the arena and names it.
    pub fn store_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Text, E> {
        let start = self.arena.len();
        write(&mut self.arena)?;
        Ok(Text::new(start, self.arena.len() - start))
    }
    /// Forgets what was stored from `len` on; nothing may refer to it.
    pub fn truncate_arena(&mut self, len: usize) {
        self.arena.truncate(len);
    }
    /// The bytes of a piece.
    #[inline]
    pub fn bytes(&self, text: Text) -> &[u8] {
        &self.arena[text.start()..text.end()]
    }
    /// The bytes of a piece, to be changed in place (normalising case, replacing obs-fold).
    pub fn bytes_mut(&mut self, text: Text) -> &mut [u8] {
        &mut self.arena[text.start()..text.end()]
    }
    /// The fields in order.
    pub fn list(&self) -> &[Field] {
        &self.list
    }
    /// Adds a field whose pieces are in the arena already.
    #[inline]
    pub fn push(&mut self, name: Text, value: Text) {
        self.push_known(name, value, Known::of(self.bytes(name)));
    }
    /// [`Fields::push`] where the meaning of the name is known.
    #[inline]
    pub fn push_known(&mut self, name: Text, value: Text, known: Known) {
        self.present |= known.bit();
        self.list.push(Field { name, value, known, written: false });
    }
    /// Every `(name, value)` in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> {
        self.list.iter().map(|field| (self.bytes(field.name), self.bytes(field.value)))
    }
    /// The values of the fields called `name`, in order.
    pub fn all<'a>(&'a self, name: &'a [u8]) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let known = Known::of(name);
        let list = if self.may_have(known) { &self.list[..] } else { &[] };
        list.iter()
            .filter(move |field| self.is_called(field, known, name))
            .map(|field| self.bytes(field.value))
    }
    /// The value of the first field called `name`.
    pub fn first(&self, name: &[u8]) -> Option<&[u8]> {
        self.position(name).map(|index| self.bytes(self.list[index].value))
    }
    /// The place of the first field called `name`.
    pub fn position(&self, name: &[u8]) -> Option<usize> {
        let known = Known::of(name);
        if !self.may_have(known) {
            return None;
        }
        self.list.iter().position(|field| self.is_called(field, known, name))
    }
    /// Whether there is a field called `name`.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.position(name).is_some()
    }
    /// Whether there is a field with that meaning.
    #[inline]
    pub fn has(&self, known: Known) -> bool {
        self.present & known.bit() != 0
    }
    /// The values of the fields with that meaning, in order.
    #[inline]
    pub fn all_known(&self, known: Known) -> impl DoubleEndedIterator<Item = &[u8]> {
        let list = if self.has(known) { &self.list[..] } else { &[] };
        list.iter().filter(move |field| field.known == known).map(|field| self.bytes(field.value))
    }
    /// Adds a field that is written here at the end.
    pub fn append(&mut self, name: &[u8], value: &[u8]) {
        let (name, value) = (self.store(name), self.store(value));
        self.push(name, value);
        self.mark_written(self.list.len() - 1);
    }
    /// Removes every field called `name`; tells how many there were.
    pub fn remove(&mut self, name: &[u8]) -> usize {
        if !self.may_have(Known::of(name)) {
            return 0;
        }
        self.remove_where(|n, _| n.eq_ignore_ascii_case(name))
    }
    /// Removes the fields for which `predicate(name, value)` holds; tells how many.
    pub fn remove_where(&mut self, mut predicate: impl FnMut(&[u8], &[u8]) -> bool) -> usize {
        let arena = &self.arena;
        let before = self.list.len();
        let mut present = 0;
        self.list.retain(|field| {
            let name = &arena[field.name.start()..field.name.end()];
            let value = &arena[field.value.start()..field.value.end()];
            let keep = !predicate(name, value);
            if keep {
                present |= field.known.bit();
            }
            keep
        });
        self.present = present;
        before - self.list.len()
    }
    /// Removes every field called `name` and adds one.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.append(name, value);
    }
    /// Gives field number `index` another value.
    pub fn set_value(&mut self, index: usize, value: &[u8]) {
        let text = self.store(value);
        self.list[index].value = text;
        self.mark_written(index);
    }
    fn mark_written(&mut self, index: usize) {
        self.list[index].written = true;
        self.written |= self.list[index].known.bit();
    }
    /// The values of the fields with that meaning that were written here, in order.
    pub fn written(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        let list = if self.written & known.bit() != 0 { &self.list[..] } else { &[] };
        let written = list.iter().filter(move |field| field.known == known && field.written);
        written.map(|field| self.bytes(field.value))
    }
    /// Gives field number `index` another piece of the arena as its value.
    pub fn set_value_text(&mut self, index: usize, value: Text) {
        self.list[index].value = value;
    }
    /// Removes field number `index`.
    pub fn remove_at(&mut self, index: usize) {
        let known = self.list.remove(index).known;
        if known != Known::Other && !self.list.iter().any(|field| field.known == known) {
            self.present &= !known.bit();
        }
    }
    /// Whether a name of this meaning can be there: unknown names always can.
    #[inline]
    fn may_have(&self, known: Known) -> bool {
        known == Known::Other || self.has(known)
    }
    #[inline]
    fn is_called(&self, field: &Field, known: Known, name: &[u8]) -> bool {
        field.known == known && (known != Known::Other || self.bytes(field.name).eq_ignore_ascii_case(name))
    }
    /// Bytes the arena holds now (its growth is bounded by the limits of the rules that edit it).
    pub fn arena_len(&self) -> usize {
        self.arena.len()
    }
}

/// A request head.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method, known or not.
    pub method: Method,
    /// Its token as received.
    pub method_text: Text,
    /// The request target as received or rewritten (RFC 9112 section 3.2).
    pub target: Text,
    /// The version the client speaks.
    pub version: Version,
    /// The target was put together from the parts that HTTP/2 sends: an HTTP/1 server gets its path alone. Not so after
    /// `set-uri`.
    pub has_parts: bool,
    /// The protocol of an extended CONNECT (RFC 8441), empty otherwise. The message itself is a GET with `Upgrade`.
    pub protocol: Text,
    /// The header fields. `Host` is there exactly once if the request carried one; fields that
    /// frame the message are there for rules and logs to see, and the encoder skips them.
    pub fields: Fields,
}

impl Request {
    /// Empties it, keeping capacity.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.method = Method::default();
        self.method_text = Text::default();
        self.target = Text::default();
        self.version = Version::default();
        self.has_parts = false;
        self.protocol = Text::default();
    }
    /// The request target.
    pub fn target(&self) -> &[u8] {
        self.fields.bytes(self.target)
    }
    /// The method's token.
    pub fn method_bytes(&self) -> &[u8] {
        self.fields.bytes(self.method_text)
    }
    /// Gives it another target.
    pub fn set_target(&mut self, target: &[u8]) {
        self.target = self.fields.store(target);
    }
    /// Gives it another method.
    pub fn set_method(&mut self, token: &[u8]) {
        self.method_text = self.fields.store(token);
        self.method = Method::from_token(token);
    }
}

/// A response head.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The status code, 100 to 999; 0 when there is no response yet.
    pub status: u16,
    /// The reason phrase as received.
    pub reason: Text,
    /// The version the server speaks.
    pub version: Version,
    /// The header fields.
    pub fields: Fields,
}

impl Response {
    /// Empties it, keeping capacity.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.status = 0;
        self.reason = Text::default();
        self.version = Version::default();
    }
    /// The reason phrase.
    pub fn reason(&self) -> &[u8] {
        self.fields.bytes(self.reason)
    }
    /// Gives it another status and reason.
    pub fn set_status(&mut self, status: u16, reason: &[u8]) {
        self.status = status;
        self.reason = self.fields.store(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_keep_order_and_case() {
        let mut fields = Fields::default();
        fields.append(b"Host", b"a");
        fields.append(b"X-One", b"1");
        fields.append(b"x-one", b"2");
        assert_eq!(fields.all(b"X-ONE").collect::<Vec<_>>(), [b"1", b"2"]);
        fields.set_value(0, b"b.example");
        assert_eq!(fields.first(b"host"), Some(&b"b.example"[..]));
        assert_eq!(fields.remove(b"X-One"), 2);
        fields.set(b"Host", b"c");
        assert_eq!(fields.iter().collect::<Vec<_>>(), [(&b"Host"[..], &b"c"[..])]);
    }

    #[test]
    fn knows_which_known_names_are_there() {
        let mut fields = Fields::default();
        assert!(!fields.has(Known::Connection));
        fields.append(b"CONNECTION", b"close");
        fields.append(b"connection", b"x");
        fields.append(b"Via", b"1.1 a");
        assert_eq!(fields.all_known(Known::Connection).next(), Some(&b"close"[..]));
        fields.remove_at(0);
        assert!(fields.has(Known::Connection));
        assert_eq!(fields.remove(b"connection"), 1);
        assert!(!fields.has(Known::Connection));
        assert_eq!(fields.first(b"via"), Some(&b"1.1 a"[..]));
        fields.clear();
        assert!(!fields.contains(b"via"));
    }
}
