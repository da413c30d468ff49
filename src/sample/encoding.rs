//! JSON and CBOR (RFC 8949) for log formats: an object with its keys, and the values in it
//! (manual, section 8.2.6, flags `json` and `cbor`).
//!
//! Only writing, only what formats need. CBOR comes as hexadecimal digits unless the format is
//! binary, so that it passes through what expects text.

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Json,
    Cbor,
}

/// Writes values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values {
    encoding: Encoding,
    /// CBOR as it is, without digits.
    binary: bool,
}

/// An object being written.
#[derive(Debug)]
pub(super) struct Object {
    values: Values,
    is_first: bool,
}

impl Encoding {
    pub(super) fn values(self, binary: bool) -> Values {
        Values { encoding: self, binary }
    }
    /// Begins an object.
    pub(super) fn object(self, binary: bool, out: &mut Vec<u8>) -> Object {
        let values = self.values(binary);
        match self {
            Encoding::Json => out.push(b'{'),
            // How many keys follow is told by the end.
            Encoding::Cbor => values.put(&[MAP_BEGIN], out),
        }
        Object { values, is_first: true }
    }
}

impl Object {
    pub(super) fn key(&mut self, name: &str, out: &mut Vec<u8>) {
        if self.values.encoding == Encoding::Json && !self.is_first {
            out.extend_from_slice(b", ");
        }
        self.is_first = false;
        self.values.text(name.as_bytes(), out);
        if self.values.encoding == Encoding::Json {
            out.extend_from_slice(b": ");
        }
    }
    pub(super) fn end(self, out: &mut Vec<u8>) {
        match self.values.encoding {
            Encoding::Json => out.push(b'}'),
            Encoding::Cbor => self.values.put(&[BREAK], out),
        }
    }
}

// Initial bytes: the major type in the upper three bits.
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1 << 5;
const BYTES: u8 = 2 << 5;
const TEXT: u8 = 3 << 5;
const MAP_BEGIN: u8 = 5 << 5 | 31;
const FALSE: u8 = 7 << 5 | 20;
const TRUE: u8 = 7 << 5 | 21;
const BREAK: u8 = 7 << 5 | 31;

impl Values {
    pub(super) fn text(self, text: &[u8], out: &mut Vec<u8>) {
        match self.encoding {
            Encoding::Json => json_string(text, out),
            Encoding::Cbor => {
                self.head(TEXT, text.len() as u64, out);
                self.put(text, out);
            }
        }
    }
    /// Bytes that are no text, which JSON does not tell apart.
    pub(super) fn bytes(self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.encoding {
            Encoding::Json => json_string(bytes, out),
            Encoding::Cbor => {
                self.head(BYTES, bytes.len() as u64, out);
                self.put(bytes, out);
            }
        }
    }
    pub(super) fn int(self, n: i64, out: &mut Vec<u8>) {
        match self.encoding {
            Encoding::Json => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
            Encoding::Cbor if n < 0 => self.head(NEGATIVE, !n as u64, out),
            Encoding::Cbor => self.head(UNSIGNED, n as u64, out),
        }
    }
    pub(super) fn bool(self, flag: bool, out: &mut Vec<u8>) {
        match (self.encoding, flag) {
            (Encoding::Json, true) => out.extend_from_slice(b"true"),
            (Encoding::Json, false) => out.extend_from_slice(b"false"),
            (Encoding::Cbor, true) => self.put(&[TRUE], out),
            (Encoding::Cbor, false) => self.put(&[FALSE], out),
        }
    }

    /// The head of a CBOR item, its argument as short as it can be (RFC 8949 section 3).
    fn head(self, major: u8, argument: u64, out: &mut Vec<u8>) {
        let bytes = argument.to_be_bytes();
        let (info, from) = match argument {
            0..24 => return self.put(&[major | argument as u8], out),
            24..0x100 => (24, 7),
            0x100..0x1_0000 => (25, 6),
            0x1_0000..0x1_0000_0000 => (26, 4),
            _ => (27, 0),
        };
        self.put(&[major | info], out);
        self.put(&bytes[from..], out);
    }

    fn put(self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.binary {
            true => out.extend_from_slice(bytes),
            false => bytes.iter().for_each(|byte| hex(*byte, out)),
        }
    }
}

fn hex(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

/// A JSON string. Bytes that are no UTF-8 are taken for Latin-1: a log line must stay valid JSON
/// whatever a client sends.
fn json_string(text: &[u8], out: &mut Vec<u8>) {
    let escape = |byte: u8, out: &mut Vec<u8>| {
        out.extend_from_slice(b"\\u00");
        hex(byte, out);
    };
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'"' | b'\\' => out.extend([b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0..32 | 127 => escape(byte, out),
                _ => out.push(byte),
            }
        }
        chunk.invalid().iter().for_each(|byte| escape(*byte, out));
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let written = |encoding: Encoding, write: &dyn Fn(Values, &mut Vec<u8>)| {
            let mut out = Vec::new();
            write(encoding.values(false), &mut out);
            String::from_utf8(out).unwrap()
        };
        // From appendix A of RFC 8949.
        for (n, json, cbor) in [
            (0, "0", "00"),
            (23, "23", "17"),
            (24, "24", "1818"),
            (100, "100", "1864"),
            (1000, "1000", "1903E8"),
            (1_000_000, "1000000", "1A000F4240"),
            (1_000_000_000_000, "1000000000000", "1B000000E8D4A51000"),
            (-1, "-1", "20"),
            (-100, "-100", "3863"),
            (-1000, "-1000", "3903E7"),
        ] {
            assert_eq!(written(Encoding::Json, &|v, out| v.int(n, out)), json);
            assert_eq!(written(Encoding::Cbor, &|v, out| v.int(n, out)), cbor);
        }
        for (text, json, cbor) in [
            (&b""[..], r#""""#, "60"),
            (b"a", r#""a""#, "6161"),
            (b"\"\\", r#""\"\\""#, "62225C"),
            (b"\n\t\r\x00\x7f", r#""\n\t\r\u0000\u007F""#, "650A090D007F"),
            ("\u{fc}".as_bytes(), "\"\u{fc}\"", "62C3BC"),
            (b"a\xffb", r#""a\u00FFb""#, "6361FF62"),
        ] {
            let got = written(Encoding::Json, &|v, out| v.text(text, out));
            assert_eq!(got, json);
            assert!(serde_json::from_str::<String>(&got).is_ok(), "{got}");
            assert_eq!(written(Encoding::Cbor, &|v, out| v.text(text, out)), cbor);
        }
        assert_eq!(written(Encoding::Json, &|v, out| v.bytes(b"\x00\xff", out)), r#""\u0000\u00FF""#);
        assert_eq!(written(Encoding::Cbor, &|v, out| v.bytes(b"\x00\xff", out)), "4200FF");
    }
}
