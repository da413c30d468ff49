//! Block -> trailer fields (RFC 9113 section 8.1).

use super::{Bad, Rules, judge, whole};
use crate::http::Fields;
use crate::http::h1::trailers::is_forbidden;
use crate::http::h2::hpack::Block;

/// Reads trailers into `into`, cleared first, without those that may not stand there.
pub fn trailers(block: Block<'_>, into: &mut Fields, rules: Rules) -> Result<(), Bad> {
    into.clear();
    let outcome = whole(block, into, |block, fields| {
        while let Some(field) = block.next(fields)? {
            let (name, value) = (fields.bytes(field.name), fields.bytes(field.value));
            if name.first() == Some(&b':') {
                return Err(Bad::Malformed("pseudo-header field in trailers"));
            }
            judge(name, value, rules)?;
            if !is_forbidden(name) {
                fields.push(field.name, field.value);
            }
        }
        Ok(())
    });
    if outcome.is_err() {
        into.clear();
    }
    outcome
}
