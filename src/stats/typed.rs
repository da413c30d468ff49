//! Statistics as typed lines, one per field (management manual, section 9.2):
//! `F.2.0.8.bin.1:MCPP:u64:123`.

use super::Subject;
use super::columns::{self, TABLE};
use super::field::{Tags, Value};

/// One object's lines; with `describe` each ends with the column's meaning.
pub fn lines(subject: &Subject<'_>, describe: bool, out: &mut Vec<u8>) {
    let prefix = format!("{}.{}.{}.", subject.kind().letter(), subject.proxy.id, subject.number());
    for (position, column) in TABLE.iter().enumerate() {
        let value = column.value(subject);
        if value.is_empty() {
            continue;
        }
        out.extend_from_slice(prefix.as_bytes());
        out.extend_from_slice(itoa::Buffer::new().format(position).as_bytes());
        out.push(b'.');
        out.extend_from_slice(column.name.as_bytes());
        out.extend_from_slice(b".1:");
        let tags = columns::tags(column, subject.kind());
        field(&value, tags, column.persistent, describe.then_some(column.text), out);
    }
}

/// Tags, type, value and the description if wanted: the part that `show info` shares.
pub fn field(value: &Value<'_>, tags: Tags, persistent: bool, description: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(tags.0.as_bytes());
    out.extend_from_slice(if persistent { b"P:" } else { b"V:" });
    out.extend_from_slice(value.type_name().as_bytes());
    out.push(b':');
    value.write_plain(out);
    if let Some(text) = description {
        out.extend_from_slice(b":\"");
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
    out.push(b'\n');
}
