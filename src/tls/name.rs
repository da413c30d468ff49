//! Distinguished names (X.501): comparing them and printing them as HAProxy and OpenSSL do.
//!
//! A name is taken as the DER of its whole SEQUENCE. Two names are equal if their canonical forms are:
//! as OpenSSL has it, strings of any type are compared as UTF-8, without regard to ASCII case, outer
//! spaces and the number of inner ones.

use super::der::{self, Element, Reader, tag};

/// One attribute of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The attribute's type, as an OID's contents.
    pub oid: &'a [u8],
    /// Its value.
    pub value: Element<'a>,
    /// The number of the set (relative distinguished name) it belongs to.
    pub set: usize,
}

/// The attributes in their order; nothing if the name is malformed.
pub fn entries(name: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut outer = Reader::new(name);
    let mut sets = outer.sequence()?;
    let mut entries = Vec::new();
    let mut set = 0;
    while !sets.is_empty() {
        let mut attributes = Reader::new(sets.expect(tag::SET)?);
        while !attributes.is_empty() {
            let mut attribute = attributes.sequence()?;
            let oid = attribute.expect(tag::OID)?;
            let value = attribute.element()?;
            entries.push(Entry { oid, value, set });
        }
        set += 1;
    }
    outer.is_empty().then_some(entries)
}

/// The form in which names are compared. The canonical form of a name's first sets is a prefix of the
/// name's, as constraints of directory names need it.
pub fn canonical(name: &[u8]) -> Option<Vec<u8>> {
    let entries = entries(name)?;
    let mut out = Vec::with_capacity(name.len());
    for group in entries.chunk_by(|a, b| a.set == b.set) {
        let mut members: Vec<Vec<u8>> = group.iter().map(canonical_entry).collect();
        // A set has no order.
        members.sort_unstable();
        let members = members.concat();
        out.extend_from_slice(&(members.len() as u32).to_be_bytes());
        out.extend_from_slice(&members);
    }
    Some(out)
}

fn canonical_entry(entry: &Entry<'_>) -> Vec<u8> {
    let (kind, value) = match utf8(entry.value) {
        Some(text) => {
            let words = text.split(|c: char| c.is_ascii_whitespace()).filter(|word| !word.is_empty());
            (tag::UTF8_STRING, words.collect::<Vec<_>>().join(" ").to_ascii_lowercase().into_bytes())
        }
        None => (entry.value.tag, entry.value.contents.to_vec()),
    };
    let mut out = Vec::with_capacity(entry.oid.len() + value.len() + 9);
    out.extend_from_slice(&(entry.oid.len() as u32).to_be_bytes());
    out.extend_from_slice(entry.oid);
    out.push(kind);
    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
    out.extend_from_slice(&value);
    out
}

/// The text of a string of any type; nothing if it is no string or not well-formed.
pub fn utf8(value: Element<'_>) -> Option<String> {
    let bytes = value.contents;
    match value.tag {
        tag::UTF8_STRING => String::from_utf8(bytes.to_vec()).ok(),
        tag::PRINTABLE_STRING | tag::IA5_STRING | tag::VISIBLE_STRING | tag::TELETEX_STRING => {
            // What a TeletexString means depends on whom one asks; OpenSSL takes Latin-1.
            Some(bytes.iter().map(|byte| char::from(*byte)).collect())
        }
        tag::BMP_STRING if bytes.len().is_multiple_of(2) => {
            let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()
        }
        tag::UNIVERSAL_STRING if bytes.len().is_multiple_of(4) => {
            let codes =
                bytes.chunks_exact(4).map(|code| u32::from_be_bytes([code[0], code[1], code[2], code[3]]));
            codes.map(char::from_u32).collect()
        }
        _ => None,
    }
}

/// Short names of attributes by OID, as OpenSSL prints them.
const SHORT_NAMES: &[(&[u8], &str)] = &[
    (b"\x55\x04\x03", "CN"),
    (b"\x55\x04\x04", "SN"),
    (b"\x55\x04\x05", "serialNumber"),
    (b"\x55\x04\x06", "C"),
    (b"\x55\x04\x07", "L"),
    (b"\x55\x04\x08", "ST"),
    (b"\x55\x04\x09", "street"),
    (b"\x55\x04\x0a", "O"),
    (b"\x55\x04\x0b", "OU"),
    (b"\x55\x04\x0c", "title"),
    (b"\x55\x04\x0d", "description"),
    (b"\x55\x04\x0f", "businessCategory"),
    (b"\x55\x04\x10", "postalAddress"),
    (b"\x55\x04\x11", "postalCode"),
    (b"\x55\x04\x12", "postOfficeBox"),
    (b"\x55\x04\x14", "telephoneNumber"),
    (b"\x55\x04\x29", "name"),
    (b"\x55\x04\x2a", "GN"),
    (b"\x55\x04\x2b", "initials"),
    (b"\x55\x04\x2c", "generationQualifier"),
    (b"\x55\x04\x2d", "x500UniqueIdentifier"),
    (b"\x55\x04\x2e", "dnQualifier"),
    (b"\x55\x04\x41", "pseudonym"),
    (b"\x55\x04\x48", "role"),
    (b"\x55\x04\x61", "organizationIdentifier"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", "emailAddress"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x02", "unstructuredName"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x08", "unstructuredAddress"),
    (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01", "UID"),
    (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x03", "mail"),
    (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", "DC"),
    (b"\x2b\x06\x01\x04\x01\x82\x37\x3c\x02\x01\x01", "jurisdictionL"),
    (b"\x2b\x06\x01\x04\x01\x82\x37\x3c\x02\x01\x02", "jurisdictionST"),
    (b"\x2b\x06\x01\x04\x01\x82\x37\x3c\x02\x01\x03", "jurisdictionC"),
];

/// The OID of a common name.
pub const COMMON_NAME: &[u8] = b"\x55\x04\x03";
/// The OID of an e-mail address in a name.
pub const EMAIL_ADDRESS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01";

fn short_name(oid: &[u8]) -> Option<&'static str> {
    SHORT_NAMES.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name)
}
/// The short name, or the numbers.
fn label(oid: &[u8]) -> String {
    short_name(oid).map_or_else(|| der::dotted(oid).unwrap_or_default(), str::to_owned)
}

/// A value for programs that end strings at a NUL: nothing if a NUL stands within it, and one NUL of
/// those at its end (HAProxy does so).
fn unsplit(bytes: &[u8]) -> Option<&[u8]> {
    let Some(nul) = bytes.iter().position(|byte| *byte == 0) else { return Some(bytes) };
    bytes[nul..].iter().all(|byte| *byte == 0).then(|| &bytes[..=nul])
}

/// The value of an attribute by its short name or numbers: the `occurrence`th from the beginning, or
/// from the end if that is negative.
pub fn entry(name: &[u8], wanted: &[u8], occurrence: i64) -> Option<Vec<u8>> {
    let entries = entries(name)?;
    let is_wanted = |entry: &&Entry<'_>| label(entry.oid).as_bytes().eq_ignore_ascii_case(wanted);
    let skipped = usize::try_from(occurrence.unsigned_abs().checked_sub(1)?).ok()?;
    let found = if occurrence < 0 {
        entries.iter().rev().filter(is_wanted).nth(skipped)
    } else {
        entries.iter().filter(is_wanted).nth(skipped)
    };
    unsplit(found?.value.contents).map(<[u8]>::to_vec)
}

/// `/C=FR/CN=name`; nothing for a name without attributes or with a NUL within a value.
pub fn oneline(name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for entry in entries(name)? {
        out.push(b'/');
        out.extend_from_slice(label(entry.oid).as_bytes());
        out.push(b'=');
        out.extend_from_slice(unsplit(entry.value.contents)?);
    }
    (!out.is_empty()).then_some(out)
}

/// `CN=name,C=FR` (RFC 2253); nothing for a name without attributes or with a NUL within a value.
pub fn rfc2253(name: &[u8]) -> Option<String> {
    let entries = entries(name)?;
    let mut out = String::new();
    let mut previous = None;
    for entry in entries.iter().rev() {
        unsplit(entry.value.contents)?;
        if let Some(set) = previous.replace(entry.set) {
            out.push(if set == entry.set { '+' } else { ',' });
        }
        out.push_str(&label(entry.oid));
        out.push('=');
        print_value(entry, &mut out);
    }
    (!out.is_empty()).then_some(out)
}

/// `C = FR, CN = name`, as certificates are described to people.
pub fn spaced(name: &[u8]) -> Option<String> {
    let entries = entries(name)?;
    let mut out = String::new();
    let mut previous = None;
    for entry in &entries {
        if let Some(set) = previous.replace(entry.set) {
            out.push_str(if set == entry.set { " + " } else { ", " });
        }
        out.push_str(&label(entry.oid));
        out.push_str(" = ");
        print_value(entry, &mut out);
    }
    Some(out)
}

/// A value with what RFC 2253 escapes; in hexadecimal if the attribute or the value's type is unknown.
fn print_value(entry: &Entry<'_>, out: &mut String) {
    use std::fmt::Write;
    let Some(text) = short_name(entry.oid).and_then(|_| utf8(entry.value)) else {
        out.push('#');
        for byte in entry.value.whole {
            let _ = write!(out, "{byte:02X}");
        }
        return;
    };
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        let is_edge = (at == 0 && matches!(byte, b' ' | b'#')) || (at == last && byte == b' ');
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            _ if is_edge => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OID, tag and value of an attribute.
    type Attribute<'a> = (&'a [u8], u8, &'a [u8]);

    /// A name of sets of attributes.
    fn build(sets: &[&[Attribute<'_>]]) -> Vec<u8> {
        let wrap = |tag: u8, contents: &[u8]| {
            assert!(contents.len() < 0x80);
            [&[tag, contents.len() as u8], contents].concat()
        };
        let sets: Vec<u8> = sets
            .iter()
            .flat_map(|set| {
                let members = set.iter().flat_map(|(oid, kind, value)| {
                    wrap(tag::SEQUENCE, &[wrap(tag::OID, oid), wrap(*kind, value)].concat())
                });
                wrap(tag::SET, &members.collect::<Vec<_>>())
            })
            .collect();
        wrap(tag::SEQUENCE, &sets)
    }

    const C: &[u8] = b"\x55\x04\x06";
    const O: &[u8] = b"\x55\x04\x0a";
    const OU: &[u8] = b"\x55\x04\x0b";
    const CN: &[u8] = COMMON_NAME;
    const P: u8 = tag::PRINTABLE_STRING;
    const U: u8 = tag::UTF8_STRING;

    #[test]
    fn comparing() {
        let name = |kind, text: &[u8]| canonical(&build(&[&[(CN, kind, text)]])).expect("a name");
        let same = name(U, b"Ab C");
        assert_eq!(same, name(P, b" aB   c "));
        assert_eq!(same, name(tag::BMP_STRING, b"\0A\0b\0 \0c"));
        assert_eq!(same, name(tag::UNIVERSAL_STRING, b"\0\0\0A\0\0\0b\0\0\0 \0\0\0c"));
        assert_ne!(same, name(U, b"AbC"));
        // What is no string is compared byte by byte.
        assert_ne!(name(tag::OCTET_STRING, b"a"), name(tag::OCTET_STRING, b"A"));
        assert_ne!(name(U, b"a"), name(tag::OCTET_STRING, b"a"));
        // Sets have no order, but the sequence of sets has one.
        let (c, cn) = ((C, P, &b"FR"[..]), (CN, P, &b"x"[..]));
        assert_eq!(canonical(&build(&[&[c, cn]])), canonical(&build(&[&[cn, c]])));
        assert_ne!(canonical(&build(&[&[c], &[cn]])), canonical(&build(&[&[cn], &[c]])));
        assert_ne!(canonical(&build(&[&[c], &[cn]])), canonical(&build(&[&[c, cn]])));
        let whole = canonical(&build(&[&[c], &[cn]])).expect("a name");
        assert!(whole.starts_with(&canonical(&build(&[&[c]])).expect("a name")));
        assert_eq!(canonical(&build(&[])), Some(Vec::new()));
        assert_eq!(canonical(b"\x30\x01\x31"), None);
    }

    #[test]
    fn single_entries() {
        let name = build(&[
            &[(OU, U, b"one")],
            &[(CN, U, b"name")],
            &[(OU, U, b"two")],
            &[(b"\x2a\x03", U, b"own")],
        ]);
        for (wanted, occurrence, expected) in [
            ("CN", 1, Some("name")),
            ("cn", 1, Some("name")),
            ("OU", 1, Some("one")),
            ("OU", 2, Some("two")),
            ("OU", -1, Some("two")),
            ("OU", -2, Some("one")),
            ("OU", 3, None),
            ("OU", 0, None),
            ("OU", i64::MIN, None),
            ("1.2.3", 1, Some("own")),
            ("O", 1, None),
        ] {
            let found = entry(&name, wanted.as_bytes(), occurrence);
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{wanted} {occurrence}");
        }
        let split = build(&[&[(CN, U, b"good\0evil")], &[(O, U, b"padded\0\0")]]);
        assert_eq!(entry(&split, b"CN", 1), None);
        assert_eq!(entry(&split, b"O", 1).as_deref(), Some(&b"padded\0"[..]));
        assert_eq!((oneline(&split), rfc2253(&split)), (None, None));
    }

    #[test]
    fn whole_names() {
        let name = build(&[
            &[(C, P, b"FR")],
            &[(O, U, b"Some, Company"), (OU, U, b" x#")],
            &[(CN, U, "é\n".as_bytes())],
        ]);
        assert_eq!(oneline(&name).as_deref(), Some("/C=FR/O=Some, Company/OU= x#/CN=é\n".as_bytes()));
        assert_eq!(rfc2253(&name).as_deref(), Some("CN=\\C3\\A9\\0A,OU=\\ x#+O=Some\\, Company,C=FR"));
        assert_eq!(
            spaced(&name).as_deref(),
            Some("C = FR, O = Some\\, Company + OU = \\ x#, CN = \\C3\\A9\\0A")
        );
        let odd = build(&[&[(b"\x2a\x03", U, b"a")], &[(CN, tag::OCTET_STRING, b"b")]]);
        assert_eq!(rfc2253(&odd).as_deref(), Some("CN=#040162,1.2.3=#0C0161"));
        assert_eq!((oneline(&build(&[])), rfc2253(&build(&[]))), (None, None));
    }
}
