//! TLS options of `bind` lines (manual, section 5.1), of `ssl-f-use` lines and of lines in a `crt-list`, which
//! know a part of them.
//!
//! They are only collected here. What they name is read when everything is known ([`crate::config::tls`]).

use std::sync::Arc;

use super::bind::{BindParser, BindSettings, text, value};
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::words::Words;
use crate::diag::Span;
use crate::tls::options::{self, Options, Verify};

keywords! {
    /// TLS options of listeners. Without `ssl` they have no effect, as in HAProxy.
    pub TABLE: BindParser, "5.1";
    "ssl" "" BIND => Parse(|b, w, _| b.tls.ssl = Some(w.last_span())), "Speaks TLS.";
    "allow-0rtt" "" BIND => NoAction("no early data are taken: clients send their first request once the handshake is over"), "Takes early data.";
    "alpn" "<protocols>" BIND => Parse(alpn), "Protocols that TLS may negotiate; what is not spoken here is not offered.";
    "ca-file" "<cafile>" BIND => Parse(|b, w, l| b.tls.options.authorities = file(w, l)), "Who signs clients' certificates.";
    "ca-ignore-err" "[all | <errorID>,...]" BIND => Parse(|b, w, l| b.tls.ignored_above = file(w, l)), "Errors of chains to ignore.";
    "ca-sign-file" "<cafile>" BIND => NoAction("it has no effect without 'generate-certificates'"), "Signs generated certificates.";
    "ca-sign-pass" "<passphrase>" BIND => NoAction("it has no effect without 'generate-certificates'"), "The passphrase of 'ca-sign-file'.";
    "ca-verify-file" "<cafile>" BIND => Parse(|b, w, l| b.tls.options.more_authorities = file(w, l)), "Who signs clients' certificates, not told to clients.";
    "ciphers" "<ciphers>" BIND => Parse(|b, w, l| b.tls.options.ciphers = file(w, l)), "Ciphers up to TLS 1.2.";
    "ciphersuites" "<ciphersuites>" BIND => Parse(|b, w, l| b.tls.options.suites = file(w, l)), "Ciphers of TLS 1.3.";
    "client-sigalgs" "<sigalgs>" BIND => Refused("limiting the signatures of clients is not available yet"), "Signatures of clients.";
    "crl-file" "<crlfile>" BIND => Parse(|b, w, l| b.tls.options.revoked = file(w, l)), "Revoked certificates.";
    "crt" "<cert>" BIND => Parse(|b, w, l| certificate(b, w, l, false)), "A certificate: a file, or a directory of them.";
    "crt-ignore-err" "<errors>" BIND => Parse(|b, w, l| b.tls.ignored = file(w, l)), "Errors of certificates to ignore.";
    "crt-list" "<file>" BIND => Parse(list), "A list of certificates.";
    "curves" "<curves>" BIND => Parse(|b, w, l| b.tls.options.curves = file(w, l)), "Elliptic curves.";
    "default-crt" "<cert>" BIND => Parse(|b, w, l| certificate(b, w, l, true)), "The certificate of clients without a name.";
    "ecdhe" "<named curve>" BIND => Parse(|b, w, l| b.tls.options.curves = file(w, l)), "An elliptic curve.";
    "ech" "<dir>" BIND => Refused("encrypted client hello is not available"), "Encrypted client hello.";
    "force-sslv3" "" BIND => Refused("SSLv3 is broken and not spoken; remove the option, or write 'ssl-min-ver TLSv1.2'"), "SSLv3 only.";
    "force-tlsv10" "" BIND => Refused("TLS 1.0 is not spoken; remove the option, or write 'ssl-min-ver TLSv1.2'"), "TLS 1.0 only.";
    "force-tlsv11" "" BIND => Refused("TLS 1.1 is not spoken; remove the option, or write 'ssl-min-ver TLSv1.2'"), "TLS 1.1 only.";
    "force-tlsv12" "" BIND => Parse(|b, _, _| set_versions(&mut b.tls.options, Some(false), Some(false))), "TLS 1.2 only.";
    "force-tlsv13" "" BIND => Parse(|b, _, _| set_versions(&mut b.tls.options, Some(true), Some(true))), "TLS 1.3 only.";
    "generate-certificates" "" BIND => Refused("making certificates for each name is not available yet; name certificates with 'crt'"), "Makes certificates by itself.";
    "ktls" "{ on | off }" BIND => NoAction("records are sealed in this process in any case"), "TLS in the kernel.";
    "no-alpn" "" BIND => Parse(|b, _, _| b.tls.options.protocols = Some(Arc::default())), "No protocol negotiation.";
    "no-ca-names" "" BIND => Parse(|b, _, _| b.tls.options.hides_authorities = Some(true)), "Does not tell clients whose certificates are taken.";
    "no-sslv3" "" BIND => NoAction("SSLv3 is not spoken"), "No SSLv3.";
    "no-strict-sni" "" BIND => Parse(|b, _, _| b.tls.strict = Some(false)), "Any name is taken.";
    "no-tls-tickets" "" BIND => Parse(|b, _, _| b.tls.tickets = Some(false)), "No session tickets.";
    "no-tlsv10" "" BIND => NoAction("TLS 1.0 is not spoken"), "No TLS 1.0.";
    "no-tlsv11" "" BIND => NoAction("TLS 1.1 is not spoken"), "No TLS 1.1.";
    "no-tlsv12" "" BIND => Parse(|b, _, _| b.tls.options.oldest_is_13 = Some(true)), "No TLS 1.2.";
    "no-tlsv13" "" BIND => Parse(|b, _, _| b.tls.options.newest_is_13 = Some(false)), "No TLS 1.3.";
    "npn" "<protocols>" BIND => NoAction("clients negotiate protocols by ALPN since 2014"), "Protocols that TLS may negotiate, the old way.";
    "prefer-client-ciphers" "" BIND => Parse(|b, _, _| b.tls.prefers_client = Some(true)), "The client's order of ciphers counts.";
    "sigalgs" "<sigalgs>" BIND => Refused("limiting our own signatures is not available yet"), "Signatures.";
    "ssl-max-ver" "<version>" BIND => Parse(|b, w, l| newest(&mut b.tls.options, w, l)), "The newest TLS version.";
    "ssl-min-ver" "<version>" BIND => Parse(|b, w, l| oldest(&mut b.tls.options, w, l)), "The oldest TLS version.";
    "strict-sni" "" BIND => Parse(|b, _, _| b.tls.strict = Some(true)), "Unknown names are refused.";
    "tls-ticket-keys" "<keyfile>" BIND => Parse(ticket_keys), "Keys of session tickets.";
    "tls-tickets" "" BIND => Parse(|b, _, _| b.tls.tickets = Some(true)), "Session tickets.";
    "verify" "{ none | optional | required }" BIND => Parse(verify), "Whether clients show certificates.";
}

/// Options that a line of a `crt-list` may have in brackets, and an `ssl-f-use` line.
pub const PER_CERTIFICATE: &[&str] = &[
    "allow-0rtt",
    "alpn",
    "ca-file",
    "ca-verify-file",
    "ciphers",
    "ciphersuites",
    "client-sigalgs",
    "crl-file",
    "curves",
    "ecdhe",
    "ktls",
    "no-alpn",
    "no-ca-names",
    "npn",
    "sigalgs",
    "ssl-max-ver",
    "ssl-min-ver",
    "verify",
];

/// Options that `ssl-default-bind-options` may have.
pub const DEFAULTS: &[&str] = &[
    "force-sslv3",
    "force-tlsv10",
    "force-tlsv11",
    "force-tlsv12",
    "force-tlsv13",
    "no-sslv3",
    "no-strict-sni",
    "no-tls-tickets",
    "no-tlsv10",
    "no-tlsv11",
    "no-tlsv12",
    "no-tlsv13",
    "prefer-client-ciphers",
    "ssl-max-ver",
    "ssl-min-ver",
    "strict-sni",
    "tls-tickets",
];

/// A certificate that a line names.
#[derive(Clone, Debug)]
pub struct CertificateName {
    /// As it is written.
    pub path: String,
    /// Where.
    pub span: Span,
    /// `default-crt`.
    pub is_default: bool,
}

/// What the TLS options of a line say.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct TlsSettings {
    /// `ssl`, and where.
    pub ssl: Option<Span>,
    pub certificates: Vec<CertificateName>,
    /// `crt-list` files.
    pub lists: Vec<(String, Span)>,
    pub options: Options,
    pub strict: Option<bool>,
    pub tickets: Option<bool>,
    pub prefers_client: Option<bool>,
    pub ticket_keys: Option<(String, Span)>,
    /// `crt-ignore-err`, `ca-ignore-err`
    pub ignored: Option<Arc<str>>,
    pub ignored_above: Option<Arc<str>>,
}

impl TlsSettings {
    /// These settings, and those of `base` where these say nothing.
    #[must_use]
    pub fn over(&self, base: &TlsSettings) -> TlsSettings {
        TlsSettings {
            options: self.options.over(&base.options),
            strict: self.strict.or(base.strict),
            tickets: self.tickets.or(base.tickets),
            prefers_client: self.prefers_client.or(base.prefers_client),
            ..self.clone()
        }
    }
}

fn file(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<Arc<str>> {
    text(words, loading).map(Arc::from)
}

fn certificate(
    settings: &mut BindSettings,
    words: &mut Words<'_>,
    loading: &mut Loading<'_>,
    is_default: bool,
) {
    let Some(word) = value(words, loading) else { return };
    settings.tls.certificates.push(CertificateName { path: word.text.clone(), span: word.span, is_default });
}

fn list(settings: &mut BindSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    settings.tls.lists.push((word.text.clone(), word.span));
}

fn ticket_keys(settings: &mut BindSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    settings.tls.ticket_keys = Some((word.text.clone(), word.span));
}

fn alpn(settings: &mut BindSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    settings.tls.options.protocols = protocols(words, loading);
}

/// A list of protocols, or an alert.
pub fn protocols(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<Arc<[Box<[u8]>]>> {
    let word = value(words, loading)?;
    match options::protocols(&word.text) {
        Ok(protocols) => Some(protocols),
        Err(message) => {
            loading.report.alert(word.span, format!("'alpn' : {message}"));
            None
        }
    }
}

fn verify(settings: &mut BindSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    settings.tls.options.verify = Some(match word.text.as_str() {
        "none" => Verify::None,
        "optional" => Verify::Optional,
        "required" => Verify::Required,
        other => {
            let message = format!(
                "'verify' : unknown verify method '{other}', only 'none', 'optional', and 'required' are supported"
            );
            loading.report.alert(word.span, message);
            return;
        }
    });
}

/// Limits the versions to one.
pub fn set_versions(options: &mut Options, oldest: Option<bool>, newest: Option<bool>) {
    (options.oldest_is_13, options.newest_is_13) = (oldest, newest);
}

/// `ssl-min-ver`: what is older than TLS 1.2 is not spoken, and need not be forbidden.
pub fn oldest(options: &mut Options, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    match version(&word.text) {
        Some(Some(is_13)) => options.oldest_is_13 = Some(is_13),
        Some(None) => {
            options.oldest_is_13 = Some(false);
            let message =
                format!("'ssl-min-ver {}' : the oldest version that is spoken is TLSv1.2", word.text);
            loading.report.notice(word.span, message);
        }
        None => unknown_version("ssl-min-ver", &word.text, word.span, loading),
    }
}

/// `ssl-max-ver`
pub fn newest(options: &mut Options, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    match version(&word.text) {
        Some(Some(is_13)) => options.newest_is_13 = Some(is_13),
        Some(None) => {
            let message = format!("'ssl-max-ver {}' : only TLSv1.2 and TLSv1.3 are spoken", word.text);
            loading
                .report
                .alert(word.span, message)
                .help("write 'ssl-max-ver TLSv1.2', or remove the option");
        }
        None => unknown_version("ssl-max-ver", &word.text, word.span, loading),
    }
}

/// Whether a version is TLS 1.3; nothing within for those that are not spoken.
fn version(text: &str) -> Option<Option<bool>> {
    match text {
        "SSLv3" | "TLSv1.0" | "TLSv1.1" => Some(None),
        "TLSv1.2" => Some(Some(false)),
        "TLSv1.3" => Some(Some(true)),
        _ => None,
    }
}

fn unknown_version(option: &str, text: &str, span: Span, loading: &mut Loading<'_>) {
    let message = format!("'{option}' : unknown version '{text}'");
    loading.report.alert(span, message).help("known are SSLv3, TLSv1.0, TLSv1.1, TLSv1.2 and TLSv1.3");
}
