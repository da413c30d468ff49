//! TLS options of `server` lines (manual, section 5.2), for traffic and for checks.

use std::sync::Arc;

use super::bind::{text, value};
use super::bind_tls;
use super::server::{ServerParser, ServerSettings};
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::syntax::Word;
use crate::config::words::Words;
use crate::diag::Span;
use crate::tls::options::{Options, Verify};

keywords! {
    /// TLS options of servers. Without `ssl` or `check-ssl` they have no effect, as in HAProxy.
    pub TABLE: ServerParser, "5.2";
    "ssl" "" SERVER => Parse(|s, w, _| s.tls.ssl = Some(w.last_span())), "Speaks TLS to the server.";
    "allow-0rtt" "" SERVER => NoAction("no early data are sent: requests follow the handshake"), "Sends early data.";
    "alpn" "<protocols>" SERVER => Parse(|s, w, l| s.tls.options.protocols = bind_tls::protocols(w, l)), "Protocols that TLS may negotiate; what is not spoken here is not offered.";
    "ca-file" "<cafile>" SERVER => Parse(|s, w, l| s.tls.options.authorities = string(w, l)), "Who signs the server's certificate.";
    "check-alpn" "<protocols>" SERVER => Parse(|s, w, l| s.tls.check_protocols = bind_tls::protocols(w, l)), "Protocols that TLS may negotiate in checks.";
    "check-sni" "<sni>" SERVER => Parse(|s, w, l| s.tls.check_name = string(w, l)), "The name given to TLS in checks.";
    "check-sni-auto" "" SERVER => Parse(|s, _, _| s.tls.no_check_name_of_host = false), "Takes the name given to TLS from the check.";
    "check-ssl" "" SERVER => Parse(|s, w, _| s.tls.check_ssl = Some(w.last_span())), "Speaks TLS in checks.";
    "ciphers" "<ciphers>" SERVER => Parse(|s, w, l| s.tls.options.ciphers = string(w, l)), "Ciphers up to TLS 1.2.";
    "ciphersuites" "<ciphersuites>" SERVER => Parse(|s, w, l| s.tls.options.suites = string(w, l)), "Ciphers of TLS 1.3.";
    "client-sigalgs" "<sigalgs>" SERVER => Refused("limiting signatures is not available yet"), "Signatures of clients.";
    "crl-file" "<crlfile>" SERVER => Parse(|s, w, l| s.tls.options.revoked = string(w, l)), "Revoked certificates.";
    "crt" "<cert>" SERVER => Parse(certificate), "The certificate shown to the server.";
    "curves" "<curves>" SERVER => Parse(|s, w, l| s.tls.options.curves = string(w, l)), "Elliptic curves.";
    "force-sslv3" "" SERVER => Refused("SSLv3 is broken and not spoken; remove the option"), "SSLv3 only.";
    "force-tlsv10" "" SERVER => Refused("TLS 1.0 is not spoken; remove the option"), "TLS 1.0 only.";
    "force-tlsv11" "" SERVER => Refused("TLS 1.1 is not spoken; remove the option"), "TLS 1.1 only.";
    "force-tlsv12" "" SERVER => Parse(|s, _, _| bind_tls::set_versions(&mut s.tls.options, Some(false), Some(false))), "TLS 1.2 only.";
    "force-tlsv13" "" SERVER => Parse(|s, _, _| bind_tls::set_versions(&mut s.tls.options, Some(true), Some(true))), "TLS 1.3 only.";
    "ktls" "{ on | off }" SERVER => NoAction("records are sealed in this process in any case"), "TLS in the kernel.";
    "no-check-sni-auto" "" SERVER => Parse(|s, _, _| s.tls.no_check_name_of_host = true), "Undoes 'check-sni-auto'.";
    "no-check-ssl" "" SERVER => Parse(|s, _, _| s.tls.no_check_ssl()), "Undoes 'check-ssl'.";
    "no-renegotiate" "" SERVER => NoAction("a session is never negotiated anew"), "Refuses renegotiation.";
    "no-sni-auto" "" SERVER => Parse(|s, _, _| s.tls.no_name_of_host = true), "Undoes 'sni-auto'.";
    "no-ssl" "" SERVER => Parse(|s, _, _| s.tls.ssl = None), "Undoes 'ssl'.";
    "no-ssl-reuse" "" SERVER => Parse(|s, _, _| s.tls.never_resumes = true), "Sessions of TLS are not resumed.";
    "no-sslv3" "" SERVER => NoAction("SSLv3 is not spoken"), "No SSLv3.";
    "no-tls-tickets" "" SERVER => Parse(|s, _, _| s.tls.tickets = Some(false)), "No session tickets.";
    "no-tlsv10" "" SERVER => NoAction("TLS 1.0 is not spoken"), "No TLS 1.0.";
    "no-tlsv11" "" SERVER => NoAction("TLS 1.1 is not spoken"), "No TLS 1.1.";
    "no-tlsv12" "" SERVER => Parse(|s, _, _| s.tls.options.oldest_is_13 = Some(true)), "No TLS 1.2.";
    "no-tlsv13" "" SERVER => Parse(|s, _, _| s.tls.options.newest_is_13 = Some(false)), "No TLS 1.3.";
    "no-verifyhost" "" SERVER => Parse(|s, _, _| s.tls.verify_host = None), "Undoes 'verifyhost'.";
    "npn" "<protocols>" SERVER => NoAction("servers negotiate protocols by ALPN since 2014"), "Protocols that TLS may negotiate, the old way.";
    "renegotiate" "" SERVER => NoAction("a session is never negotiated anew"), "Takes renegotiation.";
    "sigalgs" "<sigalgs>" SERVER => Refused("limiting our own signatures is not available yet"), "Signatures.";
    "sni" "<expression>" SERVER => Parse(name), "The name given to TLS.";
    "sni-auto" "" SERVER => Parse(|s, _, _| s.tls.no_name_of_host = false), "Takes the name given to TLS from the request.";
    "ssl-max-ver" "<version>" SERVER => Parse(|s, w, l| bind_tls::newest(&mut s.tls.options, w, l)), "The newest TLS version.";
    "ssl-min-ver" "<version>" SERVER => Parse(|s, w, l| bind_tls::oldest(&mut s.tls.options, w, l)), "The oldest TLS version.";
    "ssl-reuse" "" SERVER => Parse(|s, _, _| s.tls.never_resumes = false), "Sessions of TLS are resumed.";
    "tls-tickets" "" SERVER => Parse(|s, _, _| s.tls.tickets = Some(true)), "Session tickets.";
    "verify" "{ none | required }" SERVER => Parse(verify), "Whether the server's certificate is verified.";
    "verifyhost" "<hostname>" SERVER => Parse(|s, w, l| s.tls.verify_host = string(w, l)), "The name that the certificate must have.";
}

/// What the TLS options of a line say.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct ServerTls {
    /// `ssl`, and where.
    pub ssl: Option<Span>,
    /// `check-ssl`, and where.
    pub check_ssl: Option<Span>,
    /// `no-check-ssl`: checks are plain although traffic is not.
    pub plain_checks: bool,
    pub options: Options,
    pub certificate: Option<(String, Span)>,
    pub verify_host: Option<Arc<str>>,
    pub never_resumes: bool,
    pub tickets: Option<bool>,
    /// `sni`
    pub name: Option<Word>,
    /// `no-sni-auto`
    pub no_name_of_host: bool,
    pub check_name: Option<Arc<str>>,
    pub check_protocols: Option<Arc<[Box<[u8]>]>>,
    pub no_check_name_of_host: bool,
}

impl ServerTls {
    fn no_check_ssl(&mut self) {
        (self.check_ssl, self.plain_checks) = (None, true);
    }
}

fn string(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<Arc<str>> {
    text(words, loading).map(Arc::from)
}

fn certificate(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    settings.tls.certificate = Some((word.text.clone(), word.span));
}

fn name(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    settings.tls.name = Some(word.clone());
}

fn verify(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = value(words, loading) else { return };
    settings.tls.options.verify = Some(match word.text.as_str() {
        "none" => Verify::None,
        "required" => Verify::Required,
        other => {
            let message = format!(
                "'verify' : unknown verify method '{other}', only 'none' and 'required' are supported"
            );
            loading.report.alert(word.span, message);
            return;
        }
    });
}
