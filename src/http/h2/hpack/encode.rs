//! Fields -> block (RFC 7541 section 6).

use super::table::{ENTRY_OVERHEAD, Found, Table};
use super::{TABLE_SIZE, integer, statics};

/// What the value of a field is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Worth {
    /// It repeats from message to message: an entry in the peer's table is well spent.
    Entry,
    /// It is written as it is: each entry costs the peer memory and pushes another one out.
    Nothing,
    /// No hop on the way may keep it (RFC 7541 section 7.1.3).
    Secret,
}

fn worth(name: &[u8]) -> Worth {
    match name {
        b":authority"
        | b"accept"
        | b"accept-encoding"
        | b"accept-language"
        | b"accept-ranges"
        | b"access-control-allow-credentials"
        | b"access-control-allow-headers"
        | b"access-control-allow-methods"
        | b"access-control-allow-origin"
        | b"alt-svc"
        | b"cache-control"
        | b"content-encoding"
        | b"content-language"
        | b"content-security-policy"
        | b"content-type"
        | b"grpc-accept-encoding"
        | b"grpc-encoding"
        | b"grpc-status"
        | b"permissions-policy"
        | b"referrer-policy"
        | b"server"
        | b"strict-transport-security"
        | b"te"
        | b"user-agent"
        | b"vary"
        | b"via"
        | b"x-content-type-options"
        | b"x-forwarded-proto"
        | b"x-frame-options"
        | b"x-powered-by"
        | b"x-xss-protection" => Worth::Entry,
        b"authorization" | b"cookie" | b"proxy-authorization" | b"set-cookie" => Worth::Secret,
        _ => Worth::Nothing,
    }
}

/// A value of at most this many bytes is worth an entry.
const REPEATED_LEN_MAX: usize = 512;

/// What this side has sent on a connection.
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    /// The smallest size since the last block when the size has changed: the peer is told it, then the present one.
    changed: Option<usize>,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder { table: Table::new(TABLE_SIZE), changed: None }
    }
}

impl Encoder {
    /// The peer takes a table of `size` bytes. This side uses no more than the default of it.
    pub fn set_table_max(&mut self, size: usize) {
        let size = size.min(TABLE_SIZE);
        if size != self.table.max() {
            self.changed = Some(self.changed.unwrap_or(size).min(size));
            self.table.set_max(size);
        }
    }
    /// Starts a block: tells of a changed size of the table. To be called once before the fields of each.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        let Some(smallest) = self.changed.take() else { return };
        if smallest < self.table.max() {
            integer::write(0x20, 5, smallest, out);
        }
        integer::write(0x20, 5, self.table.max(), out);
    }
    /// Appends a field; its name is written in lower case.
    pub fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let mut lower = [0; NAME_LEN_MAX];
        match lower.get_mut(..name.len()) {
            Some(lower) => {
                lower.copy_from_slice(name);
                lower.make_ascii_lowercase();
                self.lower_field(lower, value, out);
            }
            // No name that is known is as long.
            None => {
                out.push(0);
                integer::write(0, 7, name.len(), out);
                out.extend(name.iter().map(u8::to_ascii_lowercase));
                string(value, out);
            }
        }
    }
    fn lower_field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let of_name = statics::index_of_name(name);
        if let Some(index) = of_name.and_then(|first| statics::index_of_field(first, value)) {
            integer::write(0x80, 7, index, out);
            return;
        }
        let worth = worth(name);
        if worth == Worth::Secret {
            return literal(0x10, 4, of_name, name, value, out);
        }
        let size = name.len() + value.len() + ENTRY_OVERHEAD;
        // An entry that pushes most of the table out is worth less than what it pushes out.
        if worth == Worth::Nothing || value.len() > REPEATED_LEN_MAX || size > self.table.max() / 2 {
            return literal(0, 4, of_name, name, value, out);
        }
        let found = self.table.find(name, value);
        if let Some(Found::Field(place)) = found {
            integer::write(0x80, 7, place + FIRST_DYNAMIC, out);
            return;
        }
        let of_table = found.map(|found| match found {
            Found::Name(place) | Found::Field(place) => place + FIRST_DYNAMIC,
        });
        literal(0x40, 6, of_name.or(of_table), name, value, out);
        self.table.insert(name, value);
    }
}

/// The index of the newest entry of the dynamic table.
const FIRST_DYNAMIC: usize = statics::ENTRIES.len() + 1;

/// Names up to this length are looked up.
const NAME_LEN_MAX: usize = 64;

fn literal(pattern: u8, bits: u32, index: Option<usize>, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    integer::write(pattern, bits, index.unwrap_or(0), out);
    if index.is_none() {
        string(name, out);
    }
    string(value, out);
}

fn string(bytes: &[u8], out: &mut Vec<u8>) {
    integer::write(0, 7, bytes.len(), out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(encoder: &mut Encoder, fields: &[(&str, &str)]) -> String {
        let mut out = Vec::new();
        encoder.begin(&mut out);
        for (name, value) in fields {
            encoder.field(name.as_bytes(), value.as_bytes(), &mut out);
        }
        out.escape_ascii().to_string()
    }

    #[test]
    fn what_repeats_is_sent_once() {
        let mut encoder = Encoder::default();
        let fields = [(":status", "200"), ("Server", "a"), ("date", "x"), ("X-Frame-Options", "DENY")];
        assert_eq!(
            block(&mut encoder, &fields),
            r"\x88v\x01a\x0f\x12\x01x@\x0fx-frame-options\x04DENY",
            "names of the static table by index"
        );
        assert_eq!(block(&mut encoder, &fields), r"\x88\xbf\x0f\x12\x01x\xbe");
        assert_eq!(block(&mut encoder, &[("server", "b")]), r"v\x01b");
        assert_eq!(block(&mut encoder, &[("x-frame-options", "SAME")]), r"\x7f\x00\x04SAME");
    }

    #[test]
    fn secrets_are_never_indexed() {
        let mut encoder = Encoder::default();
        for _ in 0..2 {
            assert_eq!(block(&mut encoder, &[("Authorization", "x")]), r"\x1f\x08\x01x");
            assert_eq!(block(&mut encoder, &[("Set-Cookie", "a=b")]), r"\x1f(\x03a=b");
        }
    }

    #[test]
    fn changes_of_size_are_told_once() {
        let mut encoder = Encoder::default();
        encoder.field(b"server", b"a", &mut Vec::new());
        encoder.set_table_max(0);
        encoder.set_table_max(100_000);
        assert_eq!(
            block(&mut encoder, &[("server", "a")]),
            r" ?\xe1\x1fv\x01a",
            "0, then 4096, and an empty table"
        );
        assert_eq!(block(&mut encoder, &[("server", "a")]), r"\xbe");
        encoder.set_table_max(4096);
        assert_eq!(block(&mut encoder, &[("server", "a")]), r"\xbe");
        encoder.set_table_max(0);
        assert_eq!(block(&mut encoder, &[("server", "a")]), r" \x0f\'\x01a");
    }

    #[test]
    fn long_values_and_names_are_written_as_they_are() {
        let mut encoder = Encoder::default();
        let (name, value) = ("X-".repeat(50), "v".repeat(600));
        let mut out = Vec::new();
        encoder.field(name.as_bytes(), b"1", &mut out);
        assert_eq!(out, [b"\0\x64", name.to_lowercase().as_bytes(), b"\x011"].concat());
        for _ in 0..2 {
            out.clear();
            encoder.field(b"server", value.as_bytes(), &mut out);
            assert_eq!(out[..5], *b"\x0f\x27\x7f\xd9\x03");
        }
    }
}
