//! What `bind` and `server` lines, and the lines of a `crt-list`, say about TLS.

use std::sync::Arc;

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Version {
    Tls12,
    Tls13,
}

/// Whether the peer must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Verify {
    #[default]
    None,
    Optional,
    Required,
}

/// How large records are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordSizes {
    /// Plaintext in the first records after an idle time (`tune.ssl.maxrecord`); 0 for no limit.
    pub first: usize,
    /// Plaintext in any record (`tune.ssl.hard-maxrecord`); 0 for no limit.
    pub most: usize,
    /// How long nothing was sent for an idle time (`tune.idletimer`), in milliseconds.
    pub idle_ms: u64,
}

/// The versions of HTTP that are spoken to clients behind TLS.
pub const WITH_CLIENTS: &[&[u8]] = &[b"h2", b"http/1.1", b"http/1.0"];
/// The versions of HTTP that are spoken to servers behind TLS.
pub const WITH_SERVERS: &[&[u8]] = &[b"http/1.1", b"http/1.0"];

/// Settings that a line may leave to another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options {
    /// `alpn`, in order of preference; empty for `no-alpn`.
    pub protocols: Option<Arc<[Box<[u8]>]>>,
    /// `ciphers`: up to TLS 1.2.
    pub ciphers: Option<Arc<str>>,
    /// `ciphersuites`: of TLS 1.3.
    pub suites: Option<Arc<str>>,
    /// `curves`, `ecdhe`.
    pub curves: Option<Arc<str>>,
    /// The oldest and the newest version, if they are limited; true for TLS 1.3.
    pub oldest_is_13: Option<bool>,
    /// See `oldest_is_13`.
    pub newest_is_13: Option<bool>,
    /// `verify`.
    pub verify: Option<Verify>,
    /// `ca-file`: the authorities that sign the peer's certificate, named to clients.
    pub authorities: Option<Arc<str>>,
    /// `ca-verify-file`: more authorities that may sign it.
    pub more_authorities: Option<Arc<str>>,
    /// `crl-file`.
    pub revoked: Option<Arc<str>>,
    /// `no-ca-names`.
    pub hides_authorities: Option<bool>,
}

impl Options {
    /// These settings, and those of `base` where these say nothing.
    #[must_use]
    pub fn over(&self, base: &Options) -> Options {
        fn either<T: Clone>(own: &Option<T>, base: &Option<T>) -> Option<T> {
            own.clone().or_else(|| base.clone())
        }
        Options {
            protocols: either(&self.protocols, &base.protocols),
            ciphers: either(&self.ciphers, &base.ciphers),
            suites: either(&self.suites, &base.suites),
            curves: either(&self.curves, &base.curves),
            oldest_is_13: either(&self.oldest_is_13, &base.oldest_is_13),
            newest_is_13: either(&self.newest_is_13, &base.newest_is_13),
            verify: either(&self.verify, &base.verify),
            authorities: either(&self.authorities, &base.authorities),
            more_authorities: either(&self.more_authorities, &base.more_authorities),
            revoked: either(&self.revoked, &base.revoked),
            hides_authorities: either(&self.hides_authorities, &base.hides_authorities),
        }
    }

    /// The protocols to offer: of those that are spoken if they are known, else (in TCP mode) whatever both ends
    /// speak.
    pub fn offered(&self, spoken: Option<&[&[u8]]>, default: &[&[u8]]) -> Vec<Vec<u8>> {
        let Some(wished) = &self.protocols else {
            return default.iter().map(|name| name.to_vec()).collect();
        };
        let offered = wished.iter().filter(|name| spoken.is_none_or(|spoken| spoken.contains(&&***name)));
        offered.map(|name| name.to_vec()).collect()
    }

    /// Whether no setting is a file.
    pub fn names_no_file(&self) -> bool {
        self.authorities.is_none() && self.more_authorities.is_none() && self.revoked.is_none()
    }

    /// The versions that are spoken; none if the limits leave none.
    pub fn versions(&self) -> Vec<Version> {
        let mut versions = Vec::with_capacity(2);
        if self.newest_is_13 != Some(false) {
            versions.push(Version::Tls13);
        }
        if self.oldest_is_13 != Some(true) {
            versions.push(Version::Tls12);
        }
        versions
    }
}

/// The protocols of an `alpn` list (`h2,http/1.1`).
///
/// # Errors
/// A name is empty or too long.
pub fn protocols(text: &str) -> Result<Arc<[Box<[u8]>]>, String> {
    text.split(',')
        .map(|name| match name.len() {
            1..=255 => Ok(Box::from(name.as_bytes())),
            _ => Err(format!("protocol names have 1 to 255 characters: '{name}' in '{text}'")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_settings_stand_over_inherited_ones() {
        let base = Options {
            verify: Some(Verify::Required),
            oldest_is_13: Some(true),
            ciphers: Some("A".into()),
            ..Options::default()
        };
        let own = Options { verify: Some(Verify::None), ..Options::default() };
        let both = own.over(&base);
        assert_eq!((both.verify, both.ciphers.as_deref()), (Some(Verify::None), Some("A")));
        assert_eq!(both.versions(), [Version::Tls13]);
        let old = Options { newest_is_13: Some(false), ..Options::default() };
        assert_eq!(old.versions(), [Version::Tls12]);
        assert!(old.over(&base).versions().is_empty());
        assert_eq!(Options::default().versions(), [Version::Tls13, Version::Tls12]);
    }

    #[test]
    fn protocol_lists() {
        let list = protocols("h2,http/1.1").unwrap();
        assert_eq!((&*list[0], &*list[1]), (&b"h2"[..], &b"http/1.1"[..]));
        assert!(protocols("h2,").is_err() && protocols("").is_err());
    }
}
