//! What fetches (`ssl_c_*`, `ssl_f_*`, `ssl_s_*`) and `show ssl cert` tell of a certificate, in the forms that
//! HAProxy and OpenSSL give them.

use std::fmt::Write;

use sha1::{Digest, Sha1};

use super::certificate::{Certificate, KeyKind};
use super::crl::Crl;
use super::der::{self, Element, Reader, tag};
use super::name;

/// A distinguished name as the arguments of `ssl_c_s_dn` and its kin ask for it: an entry of it by its short
/// name (`CN`) and occurrence, or without one the whole in the format `rfc2253` or, by default, on one line.
/// `name` is the DER of the whole name. Nothing if there is no such entry, or a NUL stands within a value.
pub fn distinguished(name: &[u8], entry: &[u8], occurrence: i64, format: &[u8]) -> Option<Vec<u8>> {
    if !entry.is_empty() {
        return name::entry(name, entry, occurrence);
    }
    match format {
        b"" => name::oneline(name),
        b"rfc2253" => name::rfc2253(name).map(String::into_bytes),
        _ => None,
    }
}

/// `RSA2048`, `EC256`; nothing for other kinds of keys.
pub fn key_algorithm(certificate: &Certificate) -> Option<String> {
    let kind = match certificate.key_kind() {
        KeyKind::Rsa => "RSA",
        KeyKind::Ec => "EC",
        KeyKind::Dsa => "DSA",
        KeyKind::RsaPss | KeyKind::Ed25519 | KeyKind::Ed448 | KeyKind::Other => return None,
    };
    Some(format!("{kind}{}", certificate.key_bits()))
}

/// The end of its life: `YYMMDDhhmmssZ`.
pub fn not_after(certificate: &Certificate) -> Option<&[u8]> {
    short_time(certificate.not_after())
}
/// The start of its life: `YYMMDDhhmmssZ`.
pub fn not_before(certificate: &Certificate) -> Option<&[u8]> {
    short_time(certificate.not_before())
}

/// A time of this century with two digits for its year.
fn short_time((kind, text): (u8, &[u8])) -> Option<&[u8]> {
    match kind {
        tag::GENERALIZED_TIME if text.len() >= 12 => text.strip_prefix(b"20"),
        tag::UTC_TIME if text.len() >= 10 && text[0] < b'5' => Some(text),
        _ => None,
    }
}

/// The serial number's magnitude without the zero before it that DER may have.
pub fn serial(certificate: &Certificate) -> Vec<u8> {
    magnitude(certificate.serial())
}

fn magnitude(integer: &[u8]) -> Vec<u8> {
    let is_negative = integer.first().is_some_and(|first| first & 0x80 != 0);
    let mut bytes = integer.to_vec();
    if is_negative {
        let mut carry = true;
        for byte in bytes.iter_mut().rev() {
            let (inverted, overflows) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (inverted, overflows);
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros.min(bytes.len().saturating_sub(1)));
    bytes
}

/// The SHA-1 of the whole certificate.
pub fn sha1(der: &[u8]) -> [u8; 20] {
    Sha1::digest(der).into()
}

/// OpenSSL's short name of the algorithm of the signature: `RSA-SHA256`, `ecdsa-with-SHA256`. Nothing if it is
/// none of the usual ones.
pub fn signature_algorithm(certificate: &Certificate) -> Option<&'static str> {
    algorithm(certificate.signed_algorithm()).map(|(short, _)| short)
}

/// The short and the long name of an algorithm of signatures, from the contents of its AlgorithmIdentifier.
fn algorithm(identifier: &[u8]) -> Option<(&'static str, &'static str)> {
    Some(match Reader::new(identifier).expect(tag::OID)? {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last] => match last {
            2 => ("RSA-MD2", "md2WithRSAEncryption"),
            4 => ("RSA-MD5", "md5WithRSAEncryption"),
            5 => ("RSA-SHA1", "sha1WithRSAEncryption"),
            10 => ("RSASSA-PSS", "rsassaPss"),
            11 => ("RSA-SHA256", "sha256WithRSAEncryption"),
            12 => ("RSA-SHA384", "sha384WithRSAEncryption"),
            13 => ("RSA-SHA512", "sha512WithRSAEncryption"),
            14 => ("RSA-SHA224", "sha224WithRSAEncryption"),
            _ => return None,
        },
        b"\x2a\x86\x48\xce\x3d\x04\x01" => ("ecdsa-with-SHA1", "ecdsa-with-SHA1"),
        b"\x2a\x86\x48\xce\x3d\x04\x03\x01" => ("ecdsa-with-SHA224", "ecdsa-with-SHA224"),
        b"\x2a\x86\x48\xce\x3d\x04\x03\x02" => ("ecdsa-with-SHA256", "ecdsa-with-SHA256"),
        b"\x2a\x86\x48\xce\x3d\x04\x03\x03" => ("ecdsa-with-SHA384", "ecdsa-with-SHA384"),
        b"\x2a\x86\x48\xce\x3d\x04\x03\x04" => ("ecdsa-with-SHA512", "ecdsa-with-SHA512"),
        b"\x2a\x86\x48\xce\x38\x04\x03" => ("DSA-SHA1", "dsaWithSHA1"),
        b"\x60\x86\x48\x01\x65\x03\x04\x03\x02" => ("dsa_with_SHA256", "dsa_with_SHA256"),
        b"\x2b\x65\x70" => ("ED25519", "ED25519"),
        b"\x2b\x65\x71" => ("ED448", "ED448"),
        b"\x60\x86\x48\x01\x65\x03\x04\x03\x11" => ("id-ml-dsa-44", "ML-DSA-44"),
        b"\x60\x86\x48\x01\x65\x03\x04\x03\x12" => ("id-ml-dsa-65", "ML-DSA-65"),
        b"\x60\x86\x48\x01\x65\x03\x04\x03\x13" => ("id-ml-dsa-87", "ML-DSA-87"),
        _ => return None,
    })
}

/// The certificates one after the other (`ssl_c_chain_der`).
pub fn chain_der<'a>(chain: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    chain.into_iter().flatten().copied().collect()
}

/// `DNS:a.example, IP Address:192.0.2.1`; nothing without alternative names.
pub fn alternative_names(certificate: &Certificate) -> Option<String> {
    let mut out = String::new();
    for (at, name) in certificate.alternative_names().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        print_general_name(name, &mut out);
    }
    (!out.is_empty()).then_some(out)
}

fn print_general_name(general: Element<'_>, out: &mut String) {
    let text = String::from_utf8_lossy(general.contents);
    let _ = match general.tag {
        0xa0 => print_other_name(general.contents, out),
        0x81 => write!(out, "email:{text}"),
        0x82 => write!(out, "DNS:{text}"),
        0xa3 => write!(out, "X400Name:<unsupported>"),
        0xa4 => write!(out, "DirName:{}", name::spaced(general.contents).unwrap_or_default()),
        0xa5 => write!(out, "EdiPartyName:<unsupported>"),
        0x86 => write!(out, "URI:{text}"),
        0x87 => match general.contents {
            [a, b, c, d] => write!(out, "IP Address:{a}.{b}.{c}.{d}"),
            address if address.len() == 16 => {
                out.push_str("IP Address");
                address
                    .chunks(2)
                    .try_for_each(|pair| write!(out, ":{:X}", u16::from(pair[0]) << 8 | u16::from(pair[1])))
            }
            _ => write!(out, "IP Address:<invalid>"),
        },
        0x88 => write!(out, "Registered ID:{}", der::dotted(general.contents).unwrap_or_default()),
        _ => write!(out, "<unsupported>"),
    };
}

/// The kinds of otherName that are texts.
fn print_other_name(contents: &[u8], out: &mut String) -> std::fmt::Result {
    let mut parts = Reader::new(contents);
    let kind = parts.expect(tag::OID).unwrap_or_default();
    let value = parts.expect(tag::constructed(0)).and_then(|value| Reader::new(value).element());
    let label = match kind {
        b"\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03" => Some("UPN"),
        b"\x2b\x06\x01\x05\x05\x07\x08\x05" => Some("XmppAddr"),
        b"\x2b\x06\x01\x05\x05\x07\x08\x07" => Some("SRVName"),
        b"\x2b\x06\x01\x05\x05\x07\x08\x08" => Some("NAIRealm"),
        b"\x2b\x06\x01\x05\x05\x07\x08\x09" => Some("SmtpUTF8Mailbox"),
        _ => None,
    };
    match (label, value.and_then(name::utf8)) {
        (Some(label), Some(text)) => write!(out, "othername:{label}:{text}"),
        _ => write!(out, "othername:{}:<unsupported>", der::dotted(kind).unwrap_or_default()),
    }
}

/// The certificate's policies by their numbers: `2.5.29.32.0, 1.2.3`. Nothing if it has none.
pub fn policies(certificate: &Certificate) -> Option<String> {
    let list = Reader::new(certificate.policies()?);
    let identifiers = list.filter_map(|policy| der::dotted(Reader::new(policy.contents).expect(tag::OID)?));
    let identifiers: Vec<String> = identifiers.collect();
    (!identifiers.is_empty()).then(|| identifiers.join(", "))
}

/// Whether the certificate has this policy, in dotted numbers (`ssl_c_policies(<oid>)`).
pub fn has_policy(certificate: &Certificate, wanted: &str) -> bool {
    let mut list = Reader::new(certificate.policies().unwrap_or_default());
    list.any(|policy| {
        let identifier = Reader::new(policy.contents).expect(tag::OID).and_then(der::dotted);
        identifier.is_some_and(|identifier| identifier == wanted)
    })
}

/// `Sep 13 21:20:24 2019 GMT`, from seconds since the epoch.
pub fn readable_time(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => time.strftime("%b %e %H:%M:%S %Y GMT").to_string(),
        Err(_) => "Bad time value".into(),
    }
}

/// Bytes in hexadecimal with capital letters.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02X}");
        out
    })
}

/// The lines of `show ssl cert <file>` that are of the certificate itself.
pub fn describe(certificate: &Certificate) -> String {
    let mut out = String::new();
    let time = |seconds: Option<i64>| seconds.map_or_else(|| "Bad time value".into(), readable_time);
    let line = |name: &[u8]| String::from_utf8_lossy(&name::oneline(name).unwrap_or_default()).into_owned();
    let _ = writeln!(out, "Serial: {}", hex(&serial(certificate)));
    let _ = writeln!(out, "notBefore: {}", time(certificate.begins()));
    let _ = writeln!(out, "notAfter: {}", time(certificate.expires()));
    let _ = writeln!(out, "Subject Alternative Name: {}", alternative_names(certificate).unwrap_or_default());
    let _ = writeln!(out, "Algorithm: {}", key_algorithm(certificate).unwrap_or_default());
    let _ = writeln!(out, "SHA1 FingerPrint: {}", hex(&sha1(certificate.der())));
    let _ = writeln!(out, "Subject: {}", line(certificate.subject()));
    let _ = writeln!(out, "Issuer: {}", line(certificate.issuer()));
    out
}

/// The lines of `show ssl crl-file` for one list; entries above `entries_max` are only counted.
pub fn describe_list(list: &Crl, entries_max: usize) -> String {
    let mut out = String::new();
    let time = |seconds: Option<i64>| seconds.map_or_else(|| "NONE".into(), readable_time);
    let issuer = name::oneline(list.issuer()).unwrap_or_default();
    let _ = writeln!(out, "Version {}", list.version());
    let algorithm = algorithm(list.signature_algorithm()).map_or("unknown", |(_, long)| long);
    let _ = writeln!(out, "Signature Algorithm: {algorithm}");
    let _ = writeln!(out, "Issuer: {}", String::from_utf8_lossy(&issuer));
    let _ = writeln!(out, "Last Update: {}", time(list.made()));
    let _ = writeln!(out, "Next Update: {}", time(list.next()));
    if list.is_empty() {
        out.push_str("No Revoked Certificates.\n");
        return out;
    }
    out.push_str("Revoked Certificates:\n");
    for (serial, date) in list.entries().take(entries_max) {
        let _ = writeln!(out, "    Serial Number: {}", hex(&magnitude(serial)));
        let _ = writeln!(out, "        Revocation Date: {}", time(date));
    }
    if list.len() > entries_max {
        let _ = writeln!(out, "    ... and {} more", list.len() - entries_max);
    }
    out
}

#[cfg(test)]
mod tests;
