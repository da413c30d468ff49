//! The numbers and names of OpenSSL 3 for what can be wrong with a chain of certificates.
//!
//! Configurations tell them (`crt-ignore-err`, `ca-ignore-err`), fetches return them (`ssl_c_err` and its
//! kin) and `x509_v_err_str` names them.

use std::fmt;

/// One of OpenSSL's numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyError(u8);

#[allow(missing_docs)]
impl VerifyError {
    pub const OK: VerifyError = VerifyError(0);
    pub const UNSPECIFIED: VerifyError = VerifyError(1);
    pub const UNABLE_TO_GET_ISSUER_CERT: VerifyError = VerifyError(2);
    pub const UNABLE_TO_GET_CRL: VerifyError = VerifyError(3);
    pub const UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY: VerifyError = VerifyError(6);
    pub const CERT_SIGNATURE_FAILURE: VerifyError = VerifyError(7);
    pub const CRL_SIGNATURE_FAILURE: VerifyError = VerifyError(8);
    pub const CERT_NOT_YET_VALID: VerifyError = VerifyError(9);
    pub const CERT_HAS_EXPIRED: VerifyError = VerifyError(10);
    pub const CRL_NOT_YET_VALID: VerifyError = VerifyError(11);
    pub const CRL_HAS_EXPIRED: VerifyError = VerifyError(12);
    pub const ERROR_IN_CERT_NOT_BEFORE_FIELD: VerifyError = VerifyError(13);
    pub const ERROR_IN_CERT_NOT_AFTER_FIELD: VerifyError = VerifyError(14);
    pub const ERROR_IN_CRL_LAST_UPDATE_FIELD: VerifyError = VerifyError(15);
    pub const ERROR_IN_CRL_NEXT_UPDATE_FIELD: VerifyError = VerifyError(16);
    pub const DEPTH_ZERO_SELF_SIGNED_CERT: VerifyError = VerifyError(18);
    pub const SELF_SIGNED_CERT_IN_CHAIN: VerifyError = VerifyError(19);
    pub const UNABLE_TO_GET_ISSUER_CERT_LOCALLY: VerifyError = VerifyError(20);
    pub const UNABLE_TO_VERIFY_LEAF_SIGNATURE: VerifyError = VerifyError(21);
    pub const CERT_CHAIN_TOO_LONG: VerifyError = VerifyError(22);
    pub const CERT_REVOKED: VerifyError = VerifyError(23);
    pub const PATH_LENGTH_EXCEEDED: VerifyError = VerifyError(25);
    pub const INVALID_PURPOSE: VerifyError = VerifyError(26);
    pub const KEYUSAGE_NO_CERTSIGN: VerifyError = VerifyError(32);
    pub const UNABLE_TO_GET_CRL_ISSUER: VerifyError = VerifyError(33);
    pub const UNHANDLED_CRITICAL_EXTENSION: VerifyError = VerifyError(34);
    pub const KEYUSAGE_NO_CRL_SIGN: VerifyError = VerifyError(35);
    pub const UNHANDLED_CRITICAL_CRL_EXTENSION: VerifyError = VerifyError(36);
    pub const PROXY_CERTIFICATES_NOT_ALLOWED: VerifyError = VerifyError(40);
    pub const INVALID_EXTENSION: VerifyError = VerifyError(41);
    pub const DIFFERENT_CRL_SCOPE: VerifyError = VerifyError(44);
    pub const PERMITTED_VIOLATION: VerifyError = VerifyError(47);
    pub const EXCLUDED_VIOLATION: VerifyError = VerifyError(48);
    pub const SUBTREE_MINMAX: VerifyError = VerifyError(49);
    pub const UNSUPPORTED_CONSTRAINT_TYPE: VerifyError = VerifyError(51);
    pub const UNSUPPORTED_CONSTRAINT_SYNTAX: VerifyError = VerifyError(52);
    pub const UNSUPPORTED_NAME_SYNTAX: VerifyError = VerifyError(53);
    pub const CRL_PATH_VALIDATION_ERROR: VerifyError = VerifyError(54);
    pub const HOSTNAME_MISMATCH: VerifyError = VerifyError(62);
    pub const IP_ADDRESS_MISMATCH: VerifyError = VerifyError(64);
    pub const EE_KEY_TOO_SMALL: VerifyError = VerifyError(66);
    pub const CA_KEY_TOO_SMALL: VerifyError = VerifyError(67);
    pub const CA_MD_TOO_WEAK: VerifyError = VerifyError(68);
    pub const UNSUPPORTED_SIGNATURE_ALGORITHM: VerifyError = VerifyError(76);
    pub const INVALID_CA: VerifyError = VerifyError(79);
    pub const EC_KEY_EXPLICIT_PARAMS: VerifyError = VerifyError(94);
}

/// Names by number.
const NAMES: [&str; 95] = [
    "X509_V_OK",
    "X509_V_ERR_UNSPECIFIED",
    "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT",
    "X509_V_ERR_UNABLE_TO_GET_CRL",
    "X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE",
    "X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE",
    "X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY",
    "X509_V_ERR_CERT_SIGNATURE_FAILURE",
    "X509_V_ERR_CRL_SIGNATURE_FAILURE",
    "X509_V_ERR_CERT_NOT_YET_VALID",
    "X509_V_ERR_CERT_HAS_EXPIRED",
    "X509_V_ERR_CRL_NOT_YET_VALID",
    "X509_V_ERR_CRL_HAS_EXPIRED",
    "X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD",
    "X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD",
    "X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD",
    "X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD",
    "X509_V_ERR_OUT_OF_MEM",
    "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT",
    "X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN",
    "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    "X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "X509_V_ERR_CERT_CHAIN_TOO_LONG",
    "X509_V_ERR_CERT_REVOKED",
    "X509_V_ERR_NO_ISSUER_PUBLIC_KEY",
    "X509_V_ERR_PATH_LENGTH_EXCEEDED",
    "X509_V_ERR_INVALID_PURPOSE",
    "X509_V_ERR_CERT_UNTRUSTED",
    "X509_V_ERR_CERT_REJECTED",
    "X509_V_ERR_SUBJECT_ISSUER_MISMATCH",
    "X509_V_ERR_AKID_SKID_MISMATCH",
    "X509_V_ERR_AKID_ISSUER_SERIAL_MISMATCH",
    "X509_V_ERR_KEYUSAGE_NO_CERTSIGN",
    "X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER",
    "X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION",
    "X509_V_ERR_KEYUSAGE_NO_CRL_SIGN",
    "X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION",
    "X509_V_ERR_INVALID_NON_CA",
    "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED",
    "X509_V_ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE",
    "X509_V_ERR_PROXY_CERTIFICATES_NOT_ALLOWED",
    "X509_V_ERR_INVALID_EXTENSION",
    "X509_V_ERR_INVALID_POLICY_EXTENSION",
    "X509_V_ERR_NO_EXPLICIT_POLICY",
    "X509_V_ERR_DIFFERENT_CRL_SCOPE",
    "X509_V_ERR_UNSUPPORTED_EXTENSION_FEATURE",
    "X509_V_ERR_UNNESTED_RESOURCE",
    "X509_V_ERR_PERMITTED_VIOLATION",
    "X509_V_ERR_EXCLUDED_VIOLATION",
    "X509_V_ERR_SUBTREE_MINMAX",
    "X509_V_ERR_APPLICATION_VERIFICATION",
    "X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE",
    "X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX",
    "X509_V_ERR_UNSUPPORTED_NAME_SYNTAX",
    "X509_V_ERR_CRL_PATH_VALIDATION_ERROR",
    "X509_V_ERR_PATH_LOOP",
    "X509_V_ERR_SUITE_B_INVALID_VERSION",
    "X509_V_ERR_SUITE_B_INVALID_ALGORITHM",
    "X509_V_ERR_SUITE_B_INVALID_CURVE",
    "X509_V_ERR_SUITE_B_INVALID_SIGNATURE_ALGORITHM",
    "X509_V_ERR_SUITE_B_LOS_NOT_ALLOWED",
    "X509_V_ERR_SUITE_B_CANNOT_SIGN_P_384_WITH_P_256",
    "X509_V_ERR_HOSTNAME_MISMATCH",
    "X509_V_ERR_EMAIL_MISMATCH",
    "X509_V_ERR_IP_ADDRESS_MISMATCH",
    "X509_V_ERR_DANE_NO_MATCH",
    "X509_V_ERR_EE_KEY_TOO_SMALL",
    "X509_V_ERR_CA_KEY_TOO_SMALL",
    "X509_V_ERR_CA_MD_TOO_WEAK",
    "X509_V_ERR_INVALID_CALL",
    "X509_V_ERR_STORE_LOOKUP",
    "X509_V_ERR_NO_VALID_SCTS",
    "X509_V_ERR_PROXY_SUBJECT_NAME_VIOLATION",
    "X509_V_ERR_OCSP_VERIFY_NEEDED",
    "X509_V_ERR_OCSP_VERIFY_FAILED",
    "X509_V_ERR_OCSP_CERT_UNKNOWN",
    "X509_V_ERR_UNSUPPORTED_SIGNATURE_ALGORITHM",
    "X509_V_ERR_SIGNATURE_ALGORITHM_MISMATCH",
    "X509_V_ERR_SIGNATURE_ALGORITHM_INCONSISTENCY",
    "X509_V_ERR_INVALID_CA",
    "X509_V_ERR_PATHLEN_INVALID_FOR_NON_CA",
    "X509_V_ERR_PATHLEN_WITHOUT_KU_KEY_CERT_SIGN",
    "X509_V_ERR_KU_KEY_CERT_SIGN_INVALID_FOR_NON_CA",
    "X509_V_ERR_ISSUER_NAME_EMPTY",
    "X509_V_ERR_SUBJECT_NAME_EMPTY",
    "X509_V_ERR_MISSING_AUTHORITY_KEY_IDENTIFIER",
    "X509_V_ERR_MISSING_SUBJECT_KEY_IDENTIFIER",
    "X509_V_ERR_EMPTY_SUBJECT_ALT_NAME",
    "X509_V_ERR_EMPTY_SUBJECT_SAN_NOT_CRITICAL",
    "X509_V_ERR_CA_BCONS_NOT_CRITICAL",
    "X509_V_ERR_AUTHORITY_KEY_IDENTIFIER_CRITICAL",
    "X509_V_ERR_SUBJECT_KEY_IDENTIFIER_CRITICAL",
    "X509_V_ERR_CA_CERT_MISSING_KEY_USAGE",
    "X509_V_ERR_EXTENSIONS_REQUIRE_VERSION_3",
    "X509_V_ERR_EC_KEY_EXPLICIT_PARAMS",
];

impl VerifyError {
    /// OpenSSL's number.
    pub fn number(self) -> u8 {
        self.0
    }
    /// OpenSSL's name: `X509_V_ERR_CERT_HAS_EXPIRED`, `X509_V_OK`.
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }
    /// Words for people, where OpenSSL's tools have some that people look for; otherwise the name's.
    pub fn words(self) -> String {
        let words = match self {
            VerifyError::OK => "ok",
            VerifyError::UNABLE_TO_GET_ISSUER_CERT => "unable to get issuer certificate",
            VerifyError::UNABLE_TO_GET_CRL => "unable to get certificate CRL",
            VerifyError::CERT_SIGNATURE_FAILURE => "certificate signature failure",
            VerifyError::CRL_SIGNATURE_FAILURE => "CRL signature failure",
            VerifyError::CERT_NOT_YET_VALID => "certificate is not yet valid",
            VerifyError::CERT_HAS_EXPIRED => "certificate has expired",
            VerifyError::CRL_NOT_YET_VALID => "CRL is not yet valid",
            VerifyError::CRL_HAS_EXPIRED => "CRL has expired",
            VerifyError::DEPTH_ZERO_SELF_SIGNED_CERT => "self-signed certificate",
            VerifyError::SELF_SIGNED_CERT_IN_CHAIN => "self-signed certificate in certificate chain",
            VerifyError::UNABLE_TO_GET_ISSUER_CERT_LOCALLY => "unable to get local issuer certificate",
            VerifyError::UNABLE_TO_VERIFY_LEAF_SIGNATURE => "unable to verify the first certificate",
            VerifyError::CERT_CHAIN_TOO_LONG => "certificate chain too long",
            VerifyError::CERT_REVOKED => "certificate revoked",
            VerifyError::PATH_LENGTH_EXCEEDED => "path length constraint exceeded",
            VerifyError::INVALID_PURPOSE => "unsuitable certificate purpose",
            VerifyError::UNHANDLED_CRITICAL_EXTENSION => "unhandled critical extension",
            VerifyError::HOSTNAME_MISMATCH => "hostname mismatch",
            VerifyError::IP_ADDRESS_MISMATCH => "IP address mismatch",
            VerifyError::EE_KEY_TOO_SMALL => "EE certificate key too weak",
            VerifyError::CA_KEY_TOO_SMALL => "CA certificate key too weak",
            VerifyError::CA_MD_TOO_WEAK => "CA signature digest algorithm too weak",
            VerifyError::INVALID_CA => "invalid CA certificate",
            _ => return self.name().trim_start_matches("X509_V_ERR_").replace('_', " ").to_ascii_lowercase(),
        };
        words.into()
    }
}

impl fmt::Debug for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.name())
    }
}

/// The name of a number, if there is such an error.
pub fn name_of(number: i64) -> Option<&'static str> {
    usize::try_from(number).ok().and_then(|number| NAMES.get(number)).copied()
}

/// A set of errors that are let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ErrorSet([u64; 2]);

impl ErrorSet {
    /// None of them.
    pub const EMPTY: ErrorSet = ErrorSet([0; 2]);
    /// Every one.
    pub const ALL: ErrorSet = ErrorSet([u64::MAX; 2]);

    /// The value of `crt-ignore-err` or `ca-ignore-err`: `all`, or numbers and names between commas.
    /// The error names the word that is neither.
    pub fn parse(text: &str) -> Result<ErrorSet, String> {
        if text == "all" {
            return Ok(ErrorSet::ALL);
        }
        let mut set = ErrorSet::EMPTY;
        for word in text.split(',').map(str::trim) {
            let known = NAMES.iter().position(|name| *name == word);
            let number = known.or_else(|| word.parse().ok().filter(|number| (1..128).contains(number)));
            let Some(number) = number else {
                return Err(format!(
                    "'{word}' is no error of certificate verification (a number from 1 to 127, a name such as \
                     X509_V_ERR_CERT_HAS_EXPIRED, or 'all' alone)"
                ));
            };
            set.0[number / 64] |= 1 << (number % 64);
        }
        Ok(set)
    }
    /// With one more.
    pub fn with(mut self, error: VerifyError) -> ErrorSet {
        self.0[usize::from(error.0) / 64] |= 1 << (error.0 % 64);
        self
    }
    /// Whether it has this one.
    pub fn contains(&self, error: VerifyError) -> bool {
        self.0[usize::from(error.0) / 64] & 1 << (error.0 % 64) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names() {
        assert_eq!(name_of(0), Some("X509_V_OK"));
        assert_eq!(name_of(23), Some("X509_V_ERR_CERT_REVOKED"));
        assert_eq!(name_of(94), Some("X509_V_ERR_EC_KEY_EXPLICIT_PARAMS"));
        assert_eq!((name_of(95), name_of(-1)), (None, None));
        for (error, number, name) in [
            (VerifyError::CERT_HAS_EXPIRED, 10, "CERT_HAS_EXPIRED"),
            (VerifyError::UNABLE_TO_VERIFY_LEAF_SIGNATURE, 21, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
            (VerifyError::KEYUSAGE_NO_CRL_SIGN, 35, "KEYUSAGE_NO_CRL_SIGN"),
            (VerifyError::EXCLUDED_VIOLATION, 48, "EXCLUDED_VIOLATION"),
            (VerifyError::CRL_PATH_VALIDATION_ERROR, 54, "CRL_PATH_VALIDATION_ERROR"),
            (VerifyError::HOSTNAME_MISMATCH, 62, "HOSTNAME_MISMATCH"),
            (VerifyError::CA_MD_TOO_WEAK, 68, "CA_MD_TOO_WEAK"),
            (VerifyError::INVALID_CA, 79, "INVALID_CA"),
        ] {
            assert_eq!((error.number(), error.name()), (number, &*format!("X509_V_ERR_{name}")));
        }
        assert_eq!(VerifyError::SUBTREE_MINMAX.words(), "subtree minmax");
    }

    #[test]
    fn sets() {
        let set = ErrorSet::parse("10, X509_V_ERR_CERT_REVOKED,79").expect("a list");
        assert_eq!(
            set,
            ErrorSet::EMPTY
                .with(VerifyError::CERT_HAS_EXPIRED)
                .with(VerifyError::CERT_REVOKED)
                .with(VerifyError::INVALID_CA)
        );
        assert!(set.contains(VerifyError::CERT_REVOKED) && !set.contains(VerifyError::CERT_NOT_YET_VALID));
        assert_eq!(ErrorSet::parse("all"), Ok(ErrorSet::ALL));
        for wrong in ["", "0", "128", "-1", "expired", "10,,11", "all,10", "10;11"] {
            assert!(ErrorSet::parse(wrong).is_err(), "{wrong}");
        }
    }
}
