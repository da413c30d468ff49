//! What configurations say about cipher suites, groups and versions, in OpenSSL's words, as rustls takes it.
//!
//! A string that works with OpenSSL mostly names much that does not exist here (CBC, DHE, static RSA): such
//! words are known and select nothing. A word that OpenSSL would not know either is a warning, and a string
//! that selects nothing at all is an error, since nothing could be negotiated.

use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::{cipher_suite as suites, kx_group as groups};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

use super::suites::is_suite;

/// What a string selects.
#[derive(Clone, Debug)]
pub struct Selection<T> {
    /// In order of preference; never empty.
    pub chosen: Vec<T>,
    /// Words that exist in OpenSSL and select nothing here.
    pub skipped: Vec<String>,
    /// What to warn of: unknown words.
    pub warnings: Vec<String>,
}

impl<T> Selection<T> {
    fn new() -> Selection<T> {
        Selection { chosen: Vec::new(), skipped: Vec::new(), warnings: Vec::new() }
    }
    fn skip(&mut self, word: &str) {
        self.skipped.push(word.to_owned());
    }
}

/// Strings are longer than this in no configuration.
const TEXT_MAX: usize = 16 * 1024;

/// A suite of TLS 1.2 as cipher strings describe it.
struct Suite {
    suite: &'static SupportedCipherSuite,
    /// OpenSSL's name.
    name: &'static str,
    /// The name in RFCs.
    standard: &'static str,
    /// Words that select it.
    words: &'static [&'static str],
    /// Bits of the key, for `@STRENGTH`.
    bits: u16,
}

/// Words that select each of them.
macro_rules! suite {
    ($suite:ident, $name:literal, $bits:literal, [$($word:literal),*]) => {
        Suite {
            suite: &suites::$suite,
            name: $name,
            standard: stringify!($suite),
            words: &[
                $($word,)*
                "ALL", "DEFAULT", "HIGH", "kECDHE", "kEECDH", "ECDHE", "EECDH", "ECDH",
                "TLSv1.2",
            ],
            bits: $bits,
        }
    };
}

/// The suites in OpenSSL's own order.
const SUITES: [Suite; 6] = [
    suite!(
        TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        256,
        ["aECDSA", "ECDSA", "AESGCM", "FIPS", "AES", "AES256", "SUITEB128", "SUITEB192"]
    ),
    suite!(
        TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES256-GCM-SHA384",
        256,
        ["aRSA", "AESGCM", "FIPS", "AES", "AES256"]
    ),
    suite!(
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        256,
        ["aECDSA", "ECDSA", "CHACHA20"]
    ),
    suite!(
        TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305",
        256,
        ["aRSA", "CHACHA20"]
    ),
    suite!(
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        128,
        ["aECDSA", "ECDSA", "AESGCM", "FIPS", "AES", "AES128", "SUITEB128", "SUITEB128ONLY"]
    ),
    suite!(
        TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256",
        128,
        ["aRSA", "AESGCM", "FIPS", "AES", "AES128"]
    ),
];

/// Words of OpenSSL that select none of these.
const OTHER_WORDS: &[&str] = &[
    "COMPLEMENTOFDEFAULT",
    "COMPLEMENTOFALL",
    "MEDIUM",
    "LOW",
    "EXP",
    "EXPORT",
    "EXPORT40",
    "EXPORT56",
    "eNULL",
    "NULL",
    "aNULL",
    "kRSA",
    "RSA",
    "kDHr",
    "kDHd",
    "kDH",
    "kDHE",
    "kEDH",
    "DHE",
    "EDH",
    "DH",
    "ADH",
    "aDH",
    "aDSS",
    "DSS",
    "AECDH",
    "kECDHr",
    "kECDHe",
    "kECDH",
    "aECDH",
    "aPSK",
    "kPSK",
    "kRSAPSK",
    "kECDHEPSK",
    "kDHEPSK",
    "PSK",
    "SRP",
    "kSRP",
    "aSRP",
    "aKRB5",
    "kKRB5",
    "KRB5",
    "kGOST",
    "kGOST18",
    "aGOST",
    "aGOST01",
    "aGOST12",
    "aGOST89",
    "GOST",
    "GOST89MAC",
    "GOST94",
    "aFZA",
    "kFZA",
    "eFZA",
    "FZA",
    "AESCCM",
    "AESCCM8",
    "CAMELLIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "ARIA",
    "ARIA128",
    "ARIA256",
    "ARIAGCM",
    "SEED",
    "IDEA",
    "3DES",
    "DES",
    "RC4",
    "RC2",
    "MD5",
    "SHA",
    // Of codes for message authentication, which no suite with AEAD has.
    "SHA1",
    "SHA256",
    "SHA384",
    "SSLv2",
    "SSLv3",
    "TLSv1",
    "TLSv1.0",
    "TLSv1.1",
    "CBC",
    "GOST2012",
];

/// What a word selects: places in [`SUITES`].
enum Meaning {
    Suites(Vec<usize>),
    /// Something that is not here.
    Elsewhere,
    Unknown,
}

/// The meaning of `A+B+...`: what all parts select.
fn meaning(word: &str) -> Meaning {
    let named = SUITES.iter().position(|suite| suite.name == word || suite.standard == word);
    if let Some(at) = named {
        return Meaning::Suites(vec![at]);
    }
    let mut left: Vec<usize> = (0..SUITES.len()).collect();
    for part in word.split('+') {
        let is_other = OTHER_WORDS.contains(&part) || is_suite(part);
        if !is_other
            && !SUITES[0].words.contains(&part)
            && !SUITES.iter().any(|suite| suite.words.contains(&part))
        {
            return Meaning::Unknown;
        }
        left.retain(|at| SUITES[*at].words.contains(&part));
    }
    if left.is_empty() { Meaning::Elsewhere } else { Meaning::Suites(left) }
}

/// The suites of TLS 1.2 that a cipher string selects (`ciphers`; openssl-ciphers(1)).
///
/// # Errors
/// It selects none.
pub fn ciphers(text: &str) -> Result<Selection<SupportedCipherSuite>, String> {
    check_length(text)?;
    let mut found = Selection::new();
    let mut active: Vec<usize> = Vec::new();
    // Those still to be added, in the order in which they would be.
    let mut waiting: Vec<usize> = (0..SUITES.len()).collect();
    for word in text.split([':', ',', ';', ' ', '\t']).filter(|word| !word.is_empty()) {
        if let Some(command) = word.strip_prefix('@') {
            match command {
                "STRENGTH" => active.sort_by_key(|at| std::cmp::Reverse(SUITES[*at].bits)),
                // All of ours have 128 bits: they pass levels up to 3.
                _ if command
                    .strip_prefix("SECLEVEL=")
                    .is_some_and(|level| level.parse::<u8>().is_ok_and(|l| l <= 5)) =>
                {
                    if matches!(command.as_bytes().last(), Some(b'4' | b'5')) {
                        active.retain(|at| SUITES[*at].bits == 256);
                        waiting.retain(|at| SUITES[*at].bits == 256);
                    }
                }
                _ => found.warnings.push(format!("'{word}' is no command of a cipher string")),
            }
            continue;
        }
        if word.starts_with("PROFILE=") {
            found.skip(word);
            active.append(&mut waiting);
            continue;
        }
        let (sign, name) = match word.as_bytes()[0] {
            sign @ (b'!' | b'-' | b'+') => (sign, &word[1..]),
            _ => (b' ', word),
        };
        let selected = match meaning(name) {
            Meaning::Suites(selected) => selected,
            Meaning::Elsewhere => {
                found.skip(word);
                continue;
            }
            Meaning::Unknown => {
                found.warnings.push(format!("'{name}' is no cipher that OpenSSL or we know"));
                continue;
            }
        };
        let is_selected = |at: &usize| selected.contains(at);
        match sign {
            b'!' => {
                active.retain(|at| !is_selected(at));
                waiting.retain(|at| !is_selected(at));
            }
            b'-' => {
                // What was taken out comes first when it is taken in again.
                let taken: Vec<usize> = active.extract_if(.., |at| is_selected(at)).collect();
                waiting.splice(..0, taken);
            }
            b'+' => {
                let moved: Vec<usize> = active.extract_if(.., |at| is_selected(at)).collect();
                active.extend(moved);
            }
            _ => active.extend(waiting.extract_if(.., |at| is_selected(at))),
        }
    }
    if active.is_empty() {
        return Err(format!(
            "'{}' selects no cipher of TLS 1.2 that exists here: there are ECDHE-ECDSA and ECDHE-RSA with \
             AES128-GCM-SHA256, AES256-GCM-SHA384 and CHACHA20-POLY1305",
            shorten(text)
        ));
    }
    found.chosen = active.into_iter().map(|at| *SUITES[at].suite).collect();
    Ok(found)
}

/// The suites of TLS 1.3 that a list names (`ciphersuites`).
///
/// # Errors
/// It names none that exists here.
pub fn ciphersuites(text: &str) -> Result<Selection<SupportedCipherSuite>, String> {
    check_length(text)?;
    let mut found: Selection<SupportedCipherSuite> = Selection::new();
    for word in text.split([':', ',', ' ']).filter(|word| !word.is_empty()) {
        let suite = match word {
            "TLS_AES_128_GCM_SHA256" | "TLS13-AES-128-GCM-SHA256" => suites::TLS13_AES_128_GCM_SHA256,
            "TLS_AES_256_GCM_SHA384" | "TLS13-AES-256-GCM-SHA384" => suites::TLS13_AES_256_GCM_SHA384,
            "TLS_CHACHA20_POLY1305_SHA256" | "TLS13-CHACHA20-POLY1305-SHA256" => {
                suites::TLS13_CHACHA20_POLY1305_SHA256
            }
            "TLS_AES_128_CCM_SHA256"
            | "TLS_AES_128_CCM_8_SHA256"
            | "TLS_SHA256_SHA256"
            | "TLS_SHA384_SHA384" => {
                found.skip(word);
                continue;
            }
            // HAProxy's manual tells that suites of TLS 1.2 may stand here; they belong to 'ciphers'.
            _ if is_suite(word) || SUITES.iter().any(|suite| suite.standard == word) => {
                found.skip(word);
                continue;
            }
            _ => {
                found.warnings.push(format!("'{word}' is no cipher suite of TLS 1.3"));
                continue;
            }
        };
        if !found.chosen.contains(&suite) {
            found.chosen.push(suite);
        }
    }
    if found.chosen.is_empty() {
        return Err(format!(
            "'{}' names no cipher suite of TLS 1.3 that exists here: there are TLS_AES_128_GCM_SHA256, \
             TLS_AES_256_GCM_SHA384 and TLS_CHACHA20_POLY1305_SHA256",
            shorten(text)
        ));
    }
    Ok(found)
}

/// A group of key exchange.
pub type Group = &'static dyn SupportedKxGroup;

/// Groups that OpenSSL has and that are not here.
const OTHER_GROUPS: &[&str] = &[
    "p-521",
    "secp521r1",
    "x448",
    "p-224",
    "secp224r1",
    "p-192",
    "prime192v1",
    "secp192r1",
    "secp256k1",
    "secp384r1mlkem1024",
    "mlkem512",
    "brainpoolp256r1",
    "brainpoolp384r1",
    "brainpoolp512r1",
    "brainpoolp256r1tls13",
    "brainpoolp384r1tls13",
    "brainpoolp512r1tls13",
    "ffdhe2048",
    "ffdhe3072",
    "ffdhe4096",
    "ffdhe6144",
    "ffdhe8192",
    "x25519kyber768draft00",
    "curvesm2",
    "sm2",
];

/// Adds a group unless it is there.
fn add(chosen: &mut Vec<Group>, group: Group) {
    if !chosen.iter().any(|known| known.name() == group.name()) {
        chosen.push(group);
    }
}

/// The groups that a list names (`curves`, `ecdhe`).
///
/// # Errors
/// It names none that exists here.
pub fn curves(text: &str) -> Result<Selection<Group>, String> {
    check_length(text)?;
    let mut found: Selection<Group> = Selection::new();
    for word in text.split([':', '/', ',', ' ']).filter(|word| !word.is_empty()) {
        // OpenSSL 3.5 marks a group that may be missing, and one to send a key share of.
        let name = word.trim_start_matches(['?', '*']).to_ascii_lowercase();
        let group = match &*name {
            "x25519" => groups::X25519,
            "p-256" | "prime256v1" | "secp256r1" => groups::SECP256R1,
            "p-384" | "secp384r1" => groups::SECP384R1,
            "x25519mlkem768" => groups::X25519MLKEM768,
            "secp256r1mlkem768" => groups::SECP256R1MLKEM768,
            "mlkem768" => groups::MLKEM768,
            "mlkem1024" => groups::MLKEM1024,
            "default" | "auto" => {
                let defaults = rustls::crypto::aws_lc_rs::DEFAULT_KX_GROUPS.iter();
                defaults.for_each(|group| add(&mut found.chosen, *group));
                continue;
            }
            name if OTHER_GROUPS.contains(&name) => {
                found.skip(word);
                continue;
            }
            _ => {
                found.warnings.push(format!("'{word}' is no group of key exchange that OpenSSL or we know"));
                continue;
            }
        };
        add(&mut found.chosen, group);
    }
    if found.chosen.is_empty() {
        return Err(format!(
            "'{}' names no group of key exchange that exists here: there are X25519MLKEM768, X25519, P-256, P-384, \
             SecP256r1MLKEM768, MLKEM768 and MLKEM1024",
            shorten(text)
        ));
    }
    Ok(found)
}

fn check_length(text: &str) -> Result<(), String> {
    if text.len() <= TEXT_MAX {
        return Ok(());
    }
    Err(format!("the list has {} bytes, more than the {TEXT_MAX} that are read", text.len()))
}

/// A string for a message.
fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 {
        text.to_owned()
    } else {
        text.chars().take(57).collect::<String>() + "..."
    }
}

/// The versions of a bind or server line: what `ssl-min-ver`, `ssl-max-ver`, `no-tlsv1x` and `force-tlsv1x` say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    least: Option<Version>,
    most: Option<Version>,
    without_12: bool,
    without_13: bool,
}

/// A version that exists here, or one that does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    Older,
    Tls12,
    Tls13,
}

const NO_OLDER: &str = "SSLv3, TLSv1.0 and TLSv1.1 do not exist here; TLSv1.2 and TLSv1.3 do";

impl Version {
    fn parse(text: &str) -> Result<Version, String> {
        match text {
            "SSLv3" | "TLSv1.0" | "TLSv1.1" => Ok(Version::Older),
            "TLSv1.2" => Ok(Version::Tls12),
            "TLSv1.3" => Ok(Version::Tls13),
            "" => Err("needs a version: TLSv1.2 or TLSv1.3".into()),
            _ => Err(format!("'{text}' is no version of TLS; there are TLSv1.2 and TLSv1.3")),
        }
    }
}

impl Versions {
    /// Whether `word` is one that [`Versions::set`] takes.
    pub fn is_word(word: &str) -> bool {
        matches!(word, "ssl-min-ver" | "ssl-max-ver")
            || matches!(
                word.strip_prefix("no-").or_else(|| word.strip_prefix("force-")),
                Some("sslv3" | "tlsv10" | "tlsv11" | "tlsv12" | "tlsv13")
            )
    }
    /// Takes a word in, with the argument that `ssl-min-ver` and `ssl-max-ver` have. What it answers is a notice.
    ///
    /// # Errors
    /// The word asks for a version that is not here, or the argument is none.
    pub fn set(&mut self, word: &str, argument: &str) -> Result<Option<String>, String> {
        let mut notice = None;
        match word {
            "ssl-min-ver" => {
                let version = Version::parse(argument).map_err(|error| format!("'ssl-min-ver' {error}"))?;
                if version == Version::Older {
                    notice = Some(format!("'ssl-min-ver {argument}' means TLSv1.2: {NO_OLDER}"));
                }
                self.least = Some(version);
            }
            "ssl-max-ver" => {
                let version = Version::parse(argument).map_err(|error| format!("'ssl-max-ver' {error}"))?;
                if version == Version::Older {
                    return Err(format!("'ssl-max-ver {argument}' leaves no version: {NO_OLDER}"));
                }
                self.most = Some(version);
            }
            "no-sslv3" | "no-tlsv10" | "no-tlsv11" => {}
            "no-tlsv12" => self.without_12 = true,
            "no-tlsv13" => self.without_13 = true,
            "force-tlsv12" => (self.least, self.most) = (Some(Version::Tls12), Some(Version::Tls12)),
            "force-tlsv13" => (self.least, self.most) = (Some(Version::Tls13), Some(Version::Tls13)),
            "force-sslv3" | "force-tlsv10" | "force-tlsv11" => {
                return Err(format!("'{word}' leaves no version: {NO_OLDER}"));
            }
            _ => return Err(format!("'{word}' says nothing about versions")),
        }
        Ok(notice)
    }
    /// What this line leaves open is filled in from the defaults of `ssl-default-bind-options` and its like.
    pub fn or(self, defaults: Versions) -> Versions {
        if self == Versions::default() {
            return defaults;
        }
        Versions { least: self.least.or(defaults.least), most: self.most.or(defaults.most), ..self }
    }
    /// The versions to offer. As in HAProxy, `no-tlsv1x` counts only where no range is set.
    ///
    /// # Errors
    /// None is left.
    pub fn chosen(&self) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
        let has_range = self.least.is_some() || self.most.is_some();
        let (least, most) = (self.least.unwrap_or(Version::Tls12), self.most.unwrap_or(Version::Tls13));
        let has = |version, is_without: bool| (least..=most).contains(&version) && (has_range || !is_without);
        let mut chosen = Vec::new();
        if has(Version::Tls13, self.without_13) {
            chosen.push(&rustls::version::TLS13);
        }
        if has(Version::Tls12, self.without_12) {
            chosen.push(&rustls::version::TLS12);
        }
        if chosen.is_empty() {
            return Err(if has_range {
                "'ssl-min-ver' is above 'ssl-max-ver': no version is left".into()
            } else {
                "'no-tlsv12' and 'no-tlsv13' leave no version".into()
            });
        }
        Ok(chosen)
    }
    /// What to warn of: words that have no effect beside others.
    pub fn warning(&self) -> Option<&'static str> {
        let has_range = self.least.is_some() || self.most.is_some();
        (has_range && (self.without_12 || self.without_13))
            .then_some("'no-tlsv12' and 'no-tlsv13' have no effect beside 'ssl-min-ver', 'ssl-max-ver' or 'force-tlsv1x'")
    }
}

#[cfg(test)]
mod tests;
