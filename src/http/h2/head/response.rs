//! Block -> response (RFC 9113 section 8.3.2).

use super::{Bad, Length, Rules, judge, whole};
use crate::http::h2::hpack::Block;
use crate::http::{Fields, Known, Response, Text, Version};

/// What a response's head says beside what the message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The length that it gives for the body.
    pub length: Option<u64>,
    /// 1xx: another head follows.
    pub is_interim: bool,
}

/// Reads a response into `into`, cleared first.
pub fn response(block: Block<'_>, into: &mut Response, rules: Rules) -> Result<ResponseHead, Bad> {
    into.clear();
    into.version = Version::Http2;
    match whole(block, &mut into.fields, |block, fields| read(block, fields, rules)) {
        Ok((status, length)) => {
            into.status = status;
            Ok(ResponseHead { length: length.0, is_interim: status < 200 })
        }
        Err(bad) => {
            into.clear();
            Err(bad)
        }
    }
}

fn read(block: &mut Block<'_>, fields: &mut Fields, rules: Rules) -> Result<(u16, Length), Bad> {
    let (mut status, mut length, mut has_fields) = (None::<Text>, Length::default(), false);
    while let Some(field) = block.next(fields)? {
        let name = fields.bytes(field.name);
        if name.first() == Some(&b':') {
            if has_fields {
                return Err(Bad::Malformed("pseudo-header field behind a field"));
            }
            if name != b":status" {
                return Err(Bad::Malformed("unknown pseudo-header field"));
            }
            if status.replace(field.value).is_some() {
                return Err(Bad::Malformed("repeated pseudo-header field"));
            }
            continue;
        }
        has_fields = true;
        let value = fields.bytes(field.value);
        let known = judge(name, value, rules)?;
        if known == Known::ContentLength && !length.take(value)? {
            continue;
        }
        fields.push_known(field.name, field.value, known);
    }
    let status = status.ok_or(Bad::Malformed("no :status"))?;
    let status = match *fields.bytes(status) {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => return Err(Bad::Malformed("invalid :status")),
    };
    // Section 8.6: a stream cannot be switched to another protocol.
    if status == 101 {
        return Err(Bad::Malformed("status 101"));
    }
    Ok((status, length))
}
