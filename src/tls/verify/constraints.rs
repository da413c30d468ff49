//! Name constraints (RFC 5280, section 4.2.1.10) as OpenSSL applies them.

use super::error::VerifyError;
use crate::tls::certificate::Certificate;
use crate::tls::der::{self, Element, Reader, tag};
use crate::tls::name;

/// The product of names and constraints above which a certificate is refused unread.
const COMPARISONS_MAX: usize = 1 << 20;

/// Kinds of GeneralName that are told apart here.
const OTHER: u8 = 0xa0;
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const DIRECTORY: u8 = 0xa4;
const URI: u8 = 0x86;
const ADDRESS: u8 = 0x87;

/// One subtree.
struct Subtree<'a> {
    base: Element<'a>,
    /// Whether it has a minimum other than 0, or a maximum: RFC 5280 has no use for these.
    is_bounded: bool,
}

/// The constraints of one CA.
pub(crate) struct Constraints<'a> {
    permitted: Vec<Subtree<'a>>,
    excluded: Vec<Subtree<'a>>,
}

impl<'a> Constraints<'a> {
    /// From the contents of the extension; nothing if it is malformed.
    pub(crate) fn parse(contents: &'a [u8]) -> Option<Constraints<'a>> {
        let mut parts = Reader::new(contents);
        let permitted = subtrees(parts.optional(tag::constructed(0)).unwrap_or_default())?;
        let excluded = subtrees(parts.optional(tag::constructed(1)).unwrap_or_default())?;
        parts.is_empty().then_some(Constraints { permitted, excluded })
    }
    /// Whether they are about host names and addresses only.
    pub(crate) fn is_of_hosts(&self) -> bool {
        self.permitted.iter().chain(&self.excluded).all(|subtree| matches!(subtree.base.tag, DNS | ADDRESS))
    }
    /// Whether the certificate's names may stand below the CA. A leaf's common name counts as a host name
    /// if it has no other.
    pub(crate) fn check(&self, certificate: &Certificate, is_leaf: bool) -> Result<(), VerifyError> {
        let entries = name::entries(certificate.subject()).ok_or(VerifyError::UNSUPPORTED_NAME_SYNTAX)?;
        let names = entries.len() + certificate.alternative_names().count();
        if names * (self.permitted.len() + self.excluded.len()) > COMPARISONS_MAX {
            return Err(VerifyError::UNSPECIFIED);
        }
        if !entries.is_empty() {
            let subject =
                Element { tag: DIRECTORY, contents: certificate.subject(), whole: certificate.subject() };
            self.check_name(subject)?;
            for entry in entries.iter().filter(|entry| entry.oid == name::EMAIL_ADDRESS) {
                if entry.value.tag != tag::IA5_STRING {
                    return Err(VerifyError::UNSUPPORTED_NAME_SYNTAX);
                }
                self.check_name(Element { tag: EMAIL, ..entry.value })?;
            }
        }
        for name in certificate.alternative_names() {
            self.check_name(name)?;
        }
        let has_host_name = certificate.alternative_names().any(|name| name.tag == DNS);
        if is_leaf && !has_host_name {
            for entry in entries.iter().filter(|entry| entry.oid == name::COMMON_NAME) {
                let text = name::utf8(entry.value).ok_or(VerifyError::UNSUPPORTED_NAME_SYNTAX)?;
                let text = text.trim_end_matches('\0');
                if text.contains('\0') {
                    return Err(VerifyError::UNSUPPORTED_NAME_SYNTAX);
                }
                if looks_like_host(text.as_bytes()) {
                    self.check_name(Element { tag: DNS, contents: text.as_bytes(), whole: b"" })?;
                }
            }
        }
        Ok(())
    }
    /// Permitted subtrees of the name's kind must have it in one of them, excluded ones in none.
    fn check_name(&self, name: Element<'_>) -> Result<(), VerifyError> {
        let is_kin = |subtree: &&Subtree<'_>| {
            subtree.base.tag == name.tag
                && (name.tag != OTHER || other_kind(subtree.base) == other_kind(name))
        };
        let (mut asked, mut is_within) = (false, false);
        for subtree in self.permitted.iter().filter(is_kin) {
            if subtree.is_bounded {
                return Err(VerifyError::SUBTREE_MINMAX);
            }
            asked = true;
            is_within = is_within || within(name, subtree.base)?;
        }
        if asked && !is_within {
            return Err(VerifyError::PERMITTED_VIOLATION);
        }
        for subtree in self.excluded.iter().filter(is_kin) {
            if subtree.is_bounded {
                return Err(VerifyError::SUBTREE_MINMAX);
            }
            if within(name, subtree.base)? {
                return Err(VerifyError::EXCLUDED_VIOLATION);
            }
        }
        Ok(())
    }
}

fn subtrees(list: &[u8]) -> Option<Vec<Subtree<'_>>> {
    let mut list = Reader::new(list);
    let mut found = Vec::new();
    while !list.is_empty() {
        let mut parts = list.sequence()?;
        let base = parts.element()?;
        let minimum = parts.optional(tag::context(0)).map_or(Some(0), der::unsigned)?;
        let maximum = parts.optional(tag::context(1));
        found.push(Subtree { base, is_bounded: minimum != 0 || maximum.is_some() });
    }
    Some(found)
}

/// The type of an otherName.
fn other_kind<'a>(name: Element<'a>) -> Option<&'a [u8]> {
    Reader::new(name.contents).expect(tag::OID)
}

/// Whether a name lies in a subtree of its kind.
fn within(name: Element<'_>, base: Element<'_>) -> Result<bool, VerifyError> {
    match name.tag {
        DIRECTORY => {
            let canonical = |name| name::canonical(name).ok_or(VerifyError::UNSUPPORTED_NAME_SYNTAX);
            Ok(canonical(name.contents)?.starts_with(&canonical(base.contents)?))
        }
        DNS => Ok(host_within(name.contents, base.contents)),
        EMAIL => email_within(name.contents, base.contents),
        URI => uri_within(name.contents, base.contents),
        ADDRESS => address_within(name.contents, base.contents),
        _ => Err(VerifyError::UNSUPPORTED_CONSTRAINT_TYPE),
    }
}

fn ends_with(text: &[u8], end: &[u8]) -> bool {
    text.len() >= end.len() && text[text.len() - end.len()..].eq_ignore_ascii_case(end)
}

/// `example.com` has itself and all below; an empty one has everything.
fn host_within(host: &[u8], base: &[u8]) -> bool {
    if base.is_empty() {
        return true;
    }
    ends_with(host, base)
        && (host.len() == base.len() || base[0] == b'.' || host[host.len() - base.len() - 1] == b'.')
}

/// `.example.com` has the mailboxes of hosts below it, `example.com` those of that host, `a@example.com`
/// the one mailbox.
fn email_within(email: &[u8], base: &[u8]) -> Result<bool, VerifyError> {
    let at = |text: &[u8]| text.iter().rposition(|byte| *byte == b'@');
    let Some(separator) = at(email) else { return Err(VerifyError::UNSUPPORTED_NAME_SYNTAX) };
    let (mailbox, host) = (&email[..separator], &email[separator + 1..]);
    let base = match at(base) {
        None if base.starts_with(b".") => return Ok(email.len() > base.len() && ends_with(email, base)),
        None => base,
        Some(0) => &base[1..],
        Some(separator) => {
            if base[..separator].contains(&0) || mailbox.contains(&0) {
                return Err(VerifyError::UNSUPPORTED_NAME_SYNTAX);
            }
            if base[..separator] != *mailbox {
                return Ok(false);
            }
            &base[separator + 1..]
        }
    };
    Ok(host.eq_ignore_ascii_case(base))
}

/// The host of a URI: `.example.com` has hosts below it, `example.com` the one host.
fn uri_within(uri: &[u8], base: &[u8]) -> Result<bool, VerifyError> {
    let colon = uri.iter().position(|byte| *byte == b':');
    let rest = colon.and_then(|colon| uri[colon..].strip_prefix(b"://"));
    let Some(rest) = rest else { return Err(VerifyError::UNSUPPORTED_NAME_SYNTAX) };
    let end =
        rest.iter().position(|byte| *byte == b':').or_else(|| rest.iter().position(|byte| *byte == b'/'));
    let host = &rest[..end.unwrap_or(rest.len())];
    if host.is_empty() {
        return Err(VerifyError::UNSUPPORTED_NAME_SYNTAX);
    }
    if base.starts_with(b".") {
        return Ok(host.len() > base.len() && ends_with(host, base));
    }
    Ok(host.eq_ignore_ascii_case(base))
}

/// An address and its mask, one after the other.
fn address_within(address: &[u8], base: &[u8]) -> Result<bool, VerifyError> {
    if !matches!(address.len(), 4 | 16) {
        return Err(VerifyError::UNSUPPORTED_NAME_SYNTAX);
    }
    if !matches!(base.len(), 8 | 32) {
        return Err(VerifyError::UNSUPPORTED_CONSTRAINT_SYNTAX);
    }
    if address.len() * 2 != base.len() {
        return Ok(false);
    }
    let (network, mask) = base.split_at(address.len());
    let differs = |((byte, network), mask): ((&u8, &u8), &u8)| (byte ^ network) & mask != 0;
    Ok(!address.iter().zip(network).zip(mask).any(differs))
}

/// Whether a common name may be meant as a host's: labels of letters, digits, `-` and `_`, and a dot.
fn looks_like_host(text: &[u8]) -> bool {
    let mut has_dot = false;
    for (at, &byte) in text.iter().enumerate() {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            continue;
        }
        if at == 0 || at + 1 == text.len() {
            return false;
        }
        let neighbours = [text[at - 1], text[at + 1]];
        match byte {
            b'-' => {}
            b'.' if neighbours[1] != b'.' && !neighbours.contains(&b'-') => has_dot = true,
            _ => return false,
        }
    }
    has_dot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_within_subtrees() {
        let refused = Err(VerifyError::UNSUPPORTED_NAME_SYNTAX);
        for (kind, name, base, expected) in [
            (DNS, "a.example.com", "example.com", Ok(true)),
            (DNS, "EXAMPLE.com", "example.COM", Ok(true)),
            (DNS, "notexample.com", "example.com", Ok(false)),
            (DNS, "a.example.com", ".example.com", Ok(true)),
            (DNS, "example.com", ".example.com", Ok(false)),
            (DNS, "anything", "", Ok(true)),
            (EMAIL, "a@example.com", "example.com", Ok(true)),
            (EMAIL, "a@x.example.com", "example.com", Ok(false)),
            (EMAIL, "a@x.example.com", ".example.com", Ok(true)),
            (EMAIL, "a@example.com", "a@Example.com", Ok(true)),
            (EMAIL, "A@example.com", "a@example.com", Ok(false)),
            (EMAIL, "a@example.com", "@example.com", Ok(true)),
            (EMAIL, "a", "example.com", refused),
            (URI, "http://example.com/a", "example.com", Ok(true)),
            (URI, "http://example.com:80/a", "example.com", Ok(true)),
            (URI, "http://a.example.com", "example.com", Ok(false)),
            (URI, "http://a.example.com", ".example.com", Ok(true)),
            (URI, "urn:a", "example.com", refused),
            (URI, "http:///", "example.com", refused),
            (ADDRESS, "\u{1}\u{2}\u{3}\u{4}", "\u{1}\u{2}\0\0\u{7f}\u{7f}\0\0", Ok(true)),
            (ADDRESS, "\u{1}\u{3}\u{3}\u{4}", "\u{1}\u{2}\0\0\u{7f}\u{7f}\0\0", Ok(false)),
            (ADDRESS, "\u{1}\u{2}\u{3}", "\u{1}\u{2}\0\0\u{7f}\u{7f}\0\0", refused),
            (ADDRESS, "\u{1}\u{2}\u{3}\u{4}", "a", Err(VerifyError::UNSUPPORTED_CONSTRAINT_SYNTAX)),
            (0x88, "a", "a", Err(VerifyError::UNSUPPORTED_CONSTRAINT_TYPE)),
        ] {
            let element = |text: &'static str| Element { tag: kind, contents: text.as_bytes(), whole: b"" };
            assert_eq!(within(element(name), element(base)), expected, "{name:?} in {base:?}");
        }
    }

    #[test]
    fn common_names_meant_as_hosts() {
        for (text, expected) in [
            ("a.example", true),
            ("a-b.c_d", true),
            ("localhost", false),
            ("John Doe", false),
            (".a", false),
            ("a.", false),
            ("a..b", false),
            ("a-.b", false),
            ("-a.b", false),
            ("", false),
        ] {
            assert_eq!(looks_like_host(text.as_bytes()), expected, "{text}");
        }
    }
}
