//! What the extensions of each certificate in a chain allow: being a CA, the purpose, the length of the path.

use super::{Purpose, Refused, VerifyError, Walk};
use crate::tls::certificate::{self, Certificate, KeyKind, extended, key_usage, netscape};

/// How much of a CA a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Authority {
    No,
    Yes,
    /// A self-signed certificate of version 1 or 2, which can say nothing about it.
    OldRoot,
    /// keyUsage has keyCertSign, basicConstraints is missing.
    ByUsage,
    /// By Netscape's certificate type.
    ByNetscape,
}

fn authority(certificate: &Certificate) -> Authority {
    if certificate.lacks_usage(key_usage::KEY_CERT_SIGN) {
        return Authority::No;
    }
    match certificate.extensions.basic {
        Some(basic) if basic.is_ca => Authority::Yes,
        Some(_) => Authority::No,
        None if certificate.version() == 1 && certificate.is_self_signed() => Authority::OldRoot,
        None if certificate.extensions.key_usage.is_some() => Authority::ByUsage,
        None if certificate.extensions.netscape.is_some_and(|bits| bits & netscape::ANY_CA != 0) => {
            Authority::ByNetscape
        }
        None => Authority::No,
    }
}

/// Whether the certificate may be used for the purpose, as a CA's or as a leaf.
fn fits(certificate: &Certificate, purpose: Purpose, is_authority: bool) -> bool {
    let (extended_bits, usage, netscape_bit) = match purpose {
        Purpose::Client => {
            (extended::CLIENT, key_usage::DIGITAL_SIGNATURE | key_usage::KEY_AGREEMENT, netscape::CLIENT)
        }
        Purpose::Server => (
            extended::SERVER | extended::GATED,
            key_usage::DIGITAL_SIGNATURE | key_usage::KEY_ENCIPHERMENT | key_usage::KEY_AGREEMENT,
            netscape::SERVER,
        ),
    };
    let lacks_netscape = |bit: u16| certificate.extensions.netscape.is_some_and(|bits| bits & bit == 0);
    if certificate.extensions.extended.is_some_and(|bits| bits & extended_bits == 0) {
        return false;
    }
    if is_authority {
        return match authority(certificate) {
            Authority::No => false,
            Authority::ByNetscape => !lacks_netscape(netscape::SSL_CA),
            Authority::Yes | Authority::OldRoot | Authority::ByUsage => true,
        };
    }
    !certificate.lacks_usage(usage) && !lacks_netscape(netscape_bit)
}

impl Walk<'_> {
    /// Extensions of the whole chain, from the leaf up.
    pub(super) fn check_extensions(&mut self) -> Result<(), Refused> {
        let mut between = 0u32;
        let count = self.chain.len();
        for depth in 0..count {
            let certificate = self.chain[depth].clone();
            if certificate.extensions.is_invalid {
                self.report(VerifyError::INVALID_EXTENSION, depth)?;
            }
            if certificate.extensions.has_unknown_critical {
                self.report(VerifyError::UNHANDLED_CRITICAL_EXTENSION, depth)?;
            }
            if certificate.extensions.is_proxy {
                self.report(VerifyError::PROXY_CERTIFICATES_NOT_ALLOWED, depth)?;
            }
            let authority = authority(&certificate);
            // Above the leaf, only a root may leave open whether it is a CA.
            let is_doubtful = depth + 1 < count && authority != Authority::Yes;
            if depth > 0 && (authority == Authority::No || is_doubtful) {
                self.report(VerifyError::INVALID_CA, depth)?;
            }
            if count > 1
                && certificate.key_kind() == KeyKind::Ec
                && !certificate::names_curve(certificate.key_algorithm())
            {
                self.report(VerifyError::EC_KEY_EXPLICIT_PARAMS, depth)?;
            }
            if !fits(&certificate, self.policy.purpose, depth > 0) {
                self.report(VerifyError::INVALID_PURPOSE, depth)?;
            }
            let path_length = certificate.extensions.basic.and_then(|basic| basic.path_length);
            if depth > 1 && path_length.is_some_and(|length| between > length) {
                self.report(VerifyError::PATH_LENGTH_EXCEEDED, depth)?;
            }
            if depth > 0 && !certificate.is_self_issued() {
                between += 1;
            }
        }
        Ok(())
    }
}
