//! TLS in the `global` section (manual, section 3.1): defaults of lines, directories, bounds.

use std::sync::Arc;

use super::bind::BindSettings;
use super::bind_tls::DEFAULTS;
use super::global::{GlobalDraft, GlobalParser, number};
use crate::config::keyword::{Does, keywords};
use crate::config::loading::Loading;
use crate::config::shape;
use crate::config::tls::{ExtraFiles, TlsLoading};
use crate::config::words::Words;
use crate::diag::closest;
use crate::tls::options::Options;

keywords! {
    /// TLS.
    pub TABLE: GlobalParser, "3.1";
    "ca-base" "<dir>" GLOBAL => Parse(|_, w, l| base(w, l, |tls| &mut tls.ca_base)), "The directory of files of authorities.";
    "crt-base" "<dir>" GLOBAL => Parse(|_, w, l| base(w, l, |tls| &mut tls.crt_base)), "The directory of certificates.";
    "key-base" "<dir>" GLOBAL => NoAction("it has no effect outside 'crt-store' sections, which are refused"), "The directory of keys.";
    "issuers-chain-path" "<dir>" GLOBAL => Refused("completing chains from a directory is not available yet; put the issuers behind the certificate"), "Issuers that complete chains.";
    "maxsslconn" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=i64::from(i32::MAX), |n| g.global.maxsslconn = n as u32)), "TLS connections at once.";
    "maxsslrate" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=i64::from(i32::MAX), |n| g.global.maxsslrate = n as u32)), "TLS sessions per second.";
    "noktls" "" GLOBAL => NoAction("records are sealed in this process in any case"), "No TLS in the kernel.";
    "ocsp-update.disable" "[on | off]" GLOBAL => NoAction("OCSP answers are not fetched; those in '.ocsp' files are shown to clients"), "No updates of OCSP answers.";
    "ocsp-update.httpproxy" "<address>[:port]" GLOBAL => NoAction("OCSP answers are not fetched; those in '.ocsp' files are shown to clients"), "The proxy of OCSP updates.";
    "ocsp-update.maxdelay" "<number>" GLOBAL => NoAction("OCSP answers are not fetched; those in '.ocsp' files are shown to clients"), "The most seconds between OCSP updates.";
    "ocsp-update.mindelay" "<number>" GLOBAL => NoAction("OCSP answers are not fetched; those in '.ocsp' files are shown to clients"), "The fewest seconds between OCSP updates.";
    "ocsp-update.mode" "[on | off]" GLOBAL => Parse(ocsp_update), "Whether OCSP answers are updated.";
    "ssl-default-bind-ciphers" "<ciphers>" GLOBAL => Parse(|_, w, l| string(w, l, |tls| &mut tls.bind.options.ciphers)), "Ciphers of listeners up to TLS 1.2.";
    "ssl-default-bind-ciphersuites" "<ciphersuites>" GLOBAL => Parse(|_, w, l| string(w, l, |tls| &mut tls.bind.options.suites)), "Ciphers of listeners with TLS 1.3.";
    "ssl-default-bind-client-sigalgs" "<sigalgs>" GLOBAL => Refused("limiting signatures is not available yet"), "Signatures of clients.";
    "ssl-default-bind-curves" "<curves>" GLOBAL => Parse(|_, w, l| string(w, l, |tls| &mut tls.bind.options.curves)), "Elliptic curves of listeners.";
    "ssl-default-bind-options" "{ no-sslv3 | no-tlsv10 | no-tlsv11 | no-tlsv12 | no-tlsv13 | force-sslv3 | force-tlsv10 | force-tlsv11 | force-tlsv12 | force-tlsv13 | ssl-min-ver <version> | ssl-max-ver <version> | no-tls-tickets | tls-tickets | prefer-client-ciphers | strict-sni | no-strict-sni }..." GLOBAL => Parse(default_bind_options), "TLS options of listeners.";
    "ssl-default-bind-sigalgs" "<sigalgs>" GLOBAL => Refused("limiting signatures is not available yet"), "Signatures of listeners.";
    "ssl-default-server-ciphers" "<ciphers>" GLOBAL => Parse(|_, w, l| string(w, l, |tls| &mut tls.server.ciphers)), "Ciphers towards servers up to TLS 1.2.";
    "ssl-default-server-ciphersuites" "<ciphersuites>" GLOBAL => Parse(|_, w, l| string(w, l, |tls| &mut tls.server.suites)), "Ciphers towards servers with TLS 1.3.";
    "ssl-default-server-client-sigalgs" "<sigalgs>" GLOBAL => Refused("limiting signatures is not available yet"), "Client signatures towards servers.";
    "ssl-default-server-curves" "<curves>" GLOBAL => Parse(|_, w, l| string(w, l, |tls| &mut tls.server.curves)), "Elliptic curves towards servers.";
    "ssl-default-server-options" "{ no-sslv3 | no-tlsv10 | no-tlsv11 | no-tlsv12 | no-tlsv13 | force-tlsv10 | force-tlsv11 | force-tlsv12 | force-tlsv13 | ssl-min-ver <version> | ssl-max-ver <version> | no-tls-tickets | renegotiate | no-renegotiate }..." GLOBAL => Parse(default_server_options), "TLS options towards servers.";
    "ssl-default-server-sigalgs" "<sigalgs>" GLOBAL => Refused("limiting signatures is not available yet"), "Signatures towards servers.";
    "ssl-dh-param-file" "<file>" GLOBAL => NoAction("Diffie-Hellman over finite fields is not spoken"), "Parameters of Diffie-Hellman.";
    "ssl-engine" "<name> [algo <algorithms>]" GLOBAL => NoAction("OpenSSL is not used, so that it has no engines here"), "An engine of OpenSSL.";
    "ssl-load-extra-del-ext" "" GLOBAL => Parse(|_, _, l| l.tls.replaces_extension = true), "Names of files beside certificates.";
    "ssl-load-extra-files" "<none|all|bundle|sctl|ocsp|issuer|key>*" GLOBAL => Parse(extra_files), "Files beside certificates.";
    "ssl-mode-async" "" GLOBAL => NoAction("OpenSSL is not used, so that it has no engines here"), "Asynchronous engines of OpenSSL.";
    "ssl-passphrase-cmd" "<cmd> <args> ..." GLOBAL => Refused("keys with passphrases are not available; write the key without one"), "The program that knows passphrases.";
    "ssl-propquery" "<query>" GLOBAL => NoAction("OpenSSL is not used"), "Properties of OpenSSL's algorithms.";
    "ssl-provider" "<name>" GLOBAL => NoAction("OpenSSL is not used"), "A provider of OpenSSL.";
    "ssl-provider-path" "<path>" GLOBAL => NoAction("OpenSSL is not used"), "The directory of providers.";
    "ssl-security-level" "<0..2>" GLOBAL => Parse(security_level), "OpenSSL's level of security. Accepted without effect: suites, keys and chains are those of level 2; higher levels are refused.";
    "ssl-server-verify" "{ none | required }" GLOBAL => Parse(server_verify), "Whether servers' certificates are verified.";
    "ssl-skip-self-issued-ca" "" GLOBAL => NoAction("chains are sent as their files have them; leave the root out of the file"), "Leaves roots out of chains.";
    "acme.scheduler" "{ auto | off }" GLOBAL => NoAction("it has no effect without 'acme' sections, which are refused"), "The renewal of certificates.";
    "jwt.decrypt_alg_list" "<list>" GLOBAL => NoAction("the features that would use it are refused"), "Algorithms of encrypted tokens.";
    "jwt.decrypt_enc_list" "<list>" GLOBAL => NoAction("the features that would use it are refused"), "Ciphers of encrypted tokens.";
    "tune.ssl.cachesize" "<number>" GLOBAL => Parse(cache_size), "TLS sessions kept.";
    "tune.ssl.capture-buffer-size" "<number>" GLOBAL => NoAction("hellos are kept as long as a fetch needs them, within the size of a buffer"), "Bytes of hellos kept.";
    "tune.ssl.capture-cipherlist-size" "<number>" GLOBAL => NoAction("hellos are kept as long as a fetch needs them, within the size of a buffer"), "Bytes of hellos kept, the old name.";
    "tune.ssl.certificate-compression" "{ auto | off }" GLOBAL => NoAction("certificates are sent uncompressed"), "Compressed certificates.";
    "tune.ssl.default-dh-param" "<number>" GLOBAL => NoAction("Diffie-Hellman over finite fields is not spoken"), "Bits of Diffie-Hellman.";
    "tune.ssl.force-private-cache" "" GLOBAL => NoAction("there is one process, and no cache is shared with others"), "A session cache per process.";
    "tune.ssl.hard-maxrecord" "<number>" GLOBAL => Parse(|g, w, l| record_size(w, l, &mut g.global.tls_records.most)), "The largest TLS record.";
    "tune.ssl.keylog" "{ on | off }" GLOBAL => NoAction("secrets of sessions are not kept; fetches of them have no value"), "Keeps session keys for debugging.";
    "tune.ssl.keyupdate-rate-limit" "<limit>" GLOBAL => NoAction("at most 32 key updates are taken in a row without data between them"), "Key updates per second.";
    "tune.ssl.lifetime" "<timeout>" GLOBAL => Parse(lifetime), "How long TLS sessions are kept.";
    "tune.ssl.maxrecord" "<number>" GLOBAL => Parse(|g, w, l| record_size(w, l, &mut g.global.tls_records.first)), "The largest TLS record while a stream is new.";
    "tune.ssl.ocsp-update.maxdelay" "<number>" GLOBAL => NoAction("OCSP answers are not fetched; those in '.ocsp' files are shown to clients"), "The most seconds between OCSP updates, the old name.";
    "tune.ssl.ocsp-update.mindelay" "<number>" GLOBAL => NoAction("OCSP answers are not fetched; those in '.ocsp' files are shown to clients"), "The fewest seconds between OCSP updates, the old name.";
    "tune.ssl.ssl-ctx-cache-size" "<number>" GLOBAL => NoAction("it has no effect without 'generate-certificates', which is refused"), "Generated certificates kept.";
    "httpclient.ssl.ca-file" "<cafile>" GLOBAL => NoAction("the features that would use it are refused"), "Who signs certificates for the internal HTTP client.";
    "httpclient.ssl.verify" "[none | required]" GLOBAL => NoAction("the features that would use it are refused"), "Whether the internal HTTP client verifies certificates.";
}

/// A path or a list, into a setting.
fn base(words: &mut Words<'_>, loading: &mut Loading<'_>, of: fn(&mut TlsLoading) -> &mut Option<String>) {
    let Some(word) = words.expect(loading.report, "a directory as argument") else { return };
    *of(&mut loading.tls) = Some(word.text.clone());
    words.end(loading.report);
}

fn string(
    words: &mut Words<'_>,
    loading: &mut Loading<'_>,
    of: fn(&mut TlsLoading) -> &mut Option<Arc<str>>,
) {
    let Some(word) = words.expect(loading.report, "a list as argument") else { return };
    *of(&mut loading.tls) = Some(word.text.as_str().into());
    words.end(loading.report);
}

/// Options that mean something to listeners only.
const ONLY_BIND: &[&str] = &["prefer-client-ciphers", "strict-sni", "no-strict-sni"];

/// Options of `bind` lines for all of them.
fn default_bind_options(_: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let mut settings = BindSettings { tls: loading.tls.bind.clone(), ..BindSettings::default() };
    defaults(&mut settings, words, loading);
    loading.tls.bind = settings.tls;
}

/// Options of `server` lines for all of them: those that the versions are limited by mean the same there.
fn default_server_options(_: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let mut settings = BindSettings::default();
    settings.tls.options = loading.tls.server.clone();
    settings.tls.tickets = loading.tls.server_tickets;
    for odd in words.rest().into_iter().filter(|word| ONLY_BIND.contains(word)) {
        let message = format!("'ssl-default-server-options' : unknown option '{odd}'");
        loading.report.alert(words.span(), message);
    }
    defaults(&mut settings, words, loading);
    loading.tls.server_tickets = settings.tls.tickets;
    loading.tls.server = Options { verify: None, ..settings.tls.options };
}

fn defaults(settings: &mut BindSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let keyword = words.keyword();
    let index = super::bind_index();
    if words.is_done() {
        loading.report.alert(words.span(), format!("'{keyword}' expects an option"));
    }
    while let Some(word) = words.take_word() {
        let row = index.get(&word.text).filter(|row| DEFAULTS.contains(&row.name));
        match row.map(|row| (row, row.does)) {
            Some((_, Does::Parse(parse))) => parse(settings, words, loading),
            Some((row, Does::NoAction(_))) => shape::read_option(row.name, row.args, words, loading.report),
            Some((row, Does::Refused(why) | Does::Removed(why))) => {
                loading.report.alert(word.span, format!("'{keyword} {}' : {why}", row.name));
            }
            None => {
                let message = format!("'{keyword}' : unknown option '{}'", word.text);
                let near = closest(&word.text, DEFAULTS.iter().copied());
                let help = match near {
                    Some(near) => format!("did you mean '{near}' maybe ?"),
                    None => format!("known are {}", DEFAULTS.join(", ")),
                };
                loading.report.alert(word.span, message).help(help);
                return;
            }
        }
    }
}

/// Levels above 2 ask for more than is kept to here.
fn security_level(_: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(level) = words.integer(loading.report) else { return };
    words.end(loading.report);
    let span = words.last_span();
    match level {
        0..=2 => {}
        3..=5 => {
            let message = format!("'ssl-security-level {level}' : levels above 2 are not available yet");
            let help =
                "RSA keys of 2048 bits and SHA-256 are taken; name stronger certificates and limit 'ciphers'";
            loading.report.alert(span, message).help(help);
        }
        _ => {
            loading
                .report
                .alert(span, format!("'ssl-security-level' expects a level from 0 to 5, got {level}"));
        }
    }
}

fn extra_files(_: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let mut extra = ExtraFiles { bundle: false, ocsp: false, issuer: false, key: false };
    while let Some(word) = words.take_word() {
        match word.text.as_str() {
            "none" => extra = ExtraFiles { bundle: false, ocsp: false, issuer: false, key: false },
            "all" => extra = ExtraFiles { bundle: true, ocsp: true, issuer: true, key: true },
            "bundle" => extra.bundle = true,
            "ocsp" => extra.ocsp = true,
            "issuer" => extra.issuer = true,
            "key" => extra.key = true,
            "sctl" => {} // clients get these within certificates
            other => {
                let message = format!(
                    "'ssl-load-extra-files' expects 'none', 'all', 'bundle', 'sctl', 'ocsp', 'issuer' or 'key' but \
                     got '{other}'"
                );
                loading.report.alert(word.span, message);
            }
        }
    }
    loading.tls.extra = extra;
}

fn ocsp_update(_: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if words.on_off(loading.report) == Some(true) {
        let message = "'ocsp-update.mode on' : fetching OCSP answers is not available yet";
        loading.report.alert(words.last_span(), message).help("keep '.ocsp' files beside the certificates");
    }
    words.end(loading.report);
}

fn server_verify(_: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = words.expect(loading.report, "'none' or 'required'") else { return };
    match word.text.as_str() {
        "none" => loading.tls.servers_unverified = true,
        "required" => loading.tls.servers_unverified = false,
        other => {
            let message = format!("'ssl-server-verify' expects 'none' or 'required' but got '{other}'");
            loading.report.alert(word.span, message);
        }
    }
    words.end(loading.report);
}

fn cache_size(_: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let mut most = loading.tls.sessions_max;
    number(words, loading, 0..=i64::from(i32::MAX), |n| most = n as usize);
    loading.tls.sessions_max = most;
}

fn lifetime(_: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(seconds) = words.time_s(loading.report) {
        loading.tls.lifetime_s = u32::try_from(seconds).unwrap_or(u32::MAX);
    }
    words.end(loading.report);
}

/// Bytes of plaintext in a record; 0 for as many as there may be.
fn record_size(words: &mut Words<'_>, loading: &mut Loading<'_>, to: &mut usize) {
    number(words, loading, 0..=16384, |n| *to = n as usize);
}
