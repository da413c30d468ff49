//! Whether a certificate is a host's (RFC 6125), with HAProxy's rules for wildcards.

use std::net::IpAddr;

use crate::tls::certificate::Certificate;
use crate::tls::der::tag;
use crate::tls::name;

const DNS: u8 = tag::context(2);
const ADDRESS: u8 = tag::context(7);

/// Whether the certificate is for `host`: a name, or an address as text.
///
/// A name must be among the DNS names of subjectAltName; a certificate without any is asked for its common
/// names. An address must be among the addresses there, or, as HAProxy has it, be written as a name.
pub fn is_for(certificate: &Certificate, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() {
        return false;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        if certificate.alternative_names().any(|name| name.tag == ADDRESS && name.contents == octets) {
            return true;
        }
    }
    let mut has_names = false;
    for name in certificate.alternative_names().filter(|name| name.tag == DNS) {
        has_names = true;
        if matches(name.contents, host.as_bytes()) {
            return true;
        }
    }
    if has_names {
        return false;
    }
    let entries = name::entries(certificate.subject()).unwrap_or_default();
    let mut common = entries.iter().filter(|entry| entry.oid == name::COMMON_NAME);
    common.any(|entry| name::utf8(entry.value).is_some_and(|text| matches(text.as_bytes(), host.as_bytes())))
}

/// Whether a name with at most one `*`, in its first label, stands for `host`. The star stands for no dot,
/// and alone for at least one character; a name with a NUL stands for nothing.
pub fn matches(pattern: &[u8], host: &[u8]) -> bool {
    if pattern.contains(&0) {
        return false;
    }
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let label = |text: &[u8]| text.iter().position(|byte| *byte == b'.');
    let (Some(pattern_end), Some(host_end)) = (label(pattern), label(host)) else { return false };
    let (first, label) = (&pattern[..pattern_end], &host[..host_end]);
    let Some(star) = first.iter().position(|byte| *byte == b'*') else { return false };
    let (before, after) = (&first[..star], &first[star + 1..]);
    !after.contains(&b'*')
        && !label.is_empty()
        && label.len() + 1 >= first.len()
        && pattern[pattern_end..].eq_ignore_ascii_case(&host[host_end..])
        && label[..before.len()].eq_ignore_ascii_case(before)
        && label[label.len() - after.len()..].eq_ignore_ascii_case(after)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, host, expected) in [
            ("a.example", "A.EXAMPLE", true),
            ("*.example", "a.example", true),
            ("*.example", "a.b.example", false),
            ("*.example", "example", false),
            ("*.example", ".example", false),
            ("w*.example", "www.example", true),
            ("w*.example", "w.example", true),
            ("*w.example", "www.example", true),
            ("w*w.example", "ww.example", true),
            ("w*w.example", "w.example", false),
            ("w*w.example", "wxw.example", true),
            ("*.*.example", "a.b.example", false),
            ("a.*.example", "a.b.example", false),
            ("**.example", "aa.example", false),
            ("*", "example", false),
            ("a.example\0.evil", "a.example", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), host.as_bytes()), expected, "{pattern} {host}");
        }
    }

    #[test]
    fn certificates() {
        let key = KeyPair::generate().expect("a key");
        let make = |common: &str, names: &[&str], addresses: &[&str]| {
            let mut params = CertificateParams::new(Vec::new()).expect("no names");
            params.distinguished_name.push(DnType::CommonName, common);
            for name in names {
                params.subject_alt_names.push(SanType::DnsName((*name).try_into().expect("a name")));
            }
            for address in addresses {
                params.subject_alt_names.push(SanType::IpAddress(address.parse().expect("an address")));
            }
            let certificate = params.self_signed(&key).expect("a certificate");
            Certificate::parse(certificate.der()).expect("a certificate")
        };
        let full = make("common.example", &["a.example", "*.b.example"], &["192.0.2.1", "2001:db8::1"]);
        let bare = make("common.example", &[], &[]);
        let addressed = make("common.example", &[], &["192.0.2.1"]);
        for (certificate, host, expected) in [
            (&full, "a.example", true),
            (&full, "a.example.", true),
            (&full, "x.b.example", true),
            (&full, "common.example", false),
            (&full, "192.0.2.1", true),
            (&full, "2001:db8:0::1", true),
            (&full, "192.0.2.2", false),
            (&full, "", false),
            (&bare, "common.example", true),
            (&bare, "a.example", false),
            (&addressed, "common.example", true),
            (&addressed, "192.0.2.1", true),
        ] {
            assert_eq!(is_for(certificate, host), expected, "{host}");
        }
    }
}
