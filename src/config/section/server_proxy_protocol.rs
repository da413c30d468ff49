//! Options of servers about the PROXY protocol header that they are sent (manual, section 5.2).

use std::sync::Arc;

use super::server::{ServerParser, ServerSettings};
use crate::config::draft::Draft;
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::words::Words;
use crate::diag::Span;
use crate::health::ServerCheck;
use crate::sample::LogFormat;
use crate::sample::acl::AclSet;
use crate::sample::expr::Phase;
use crate::sample::fetch::proxy_protocol::number;
use crate::sample::proxy_header::{Options, ProxyHeader, Version};

keywords! {
    /// The options.
    pub TABLE: ServerParser, "5.2";
    "check-send-proxy" "" SERVER => Parse(|s, _, _| s.check.send_proxy = true), "Sends a PROXY protocol header in checks, even to another address or port.";
    "no-check-send-proxy" "" SERVER => Parse(|s, _, _| s.check.send_proxy = false), "Undoes 'check-send-proxy'.";
    "no-send-proxy" "" SERVER => Parse(|s, _, _| s.proxy.v1 = false), "Undoes 'send-proxy'.";
    "no-send-proxy-v2" "" SERVER => Parse(|s, _, _| s.proxy.v2 = false), "Undoes 'send-proxy-v2'.";
    "no-send-proxy-v2-ssl" "" SERVER => Parse(|s, _, _| s.proxy.set_ssl(false)), "Undoes 'send-proxy-v2-ssl'.";
    "no-send-proxy-v2-ssl-cn" "" SERVER => Parse(|s, _, _| s.proxy.set_ssl(false)), "Undoes 'send-proxy-v2-ssl-cn'.";
    "proxy-v2-options" "<option>[,<option>]*" SERVER => Parse(options), "Fields of the PROXY protocol header of version 2: 'crc32c', 'unique-id', 'authority', 'ssl', 'ssl-cipher', 'cert-cn', 'cert-key', 'cert-sig'.";
    "send-proxy" "" SERVER => Parse(|s, _, _| s.proxy.v1 = true), "Sends a PROXY protocol header, which tells the server its client's address.";
    "send-proxy-v2" "" SERVER => Parse(|s, _, _| s.proxy.v2 = true), "Sends a PROXY protocol header of version 2.";
    "send-proxy-v2-ssl" "" SERVER => Parse(|s, _, _| s.proxy.set_ssl(true)), "Sends a PROXY protocol header of version 2 with what is known of the client's TLS.";
    "send-proxy-v2-ssl-cn" "" SERVER => Parse(|s, _, _| s.proxy.set_ssl(true)), "Sends a PROXY protocol header of version 2 with the name in the client's certificate.";
    "set-proxy-v2-tlv-fmt" "(<id>) <fmt>" SERVER => Parse(field), "Sends a field of one's own in the PROXY protocol header of version 2.";
}

/// What the options of a line say.
#[derive(Clone, Debug, Default)]
pub struct ProxySettings {
    v1: bool,
    v2: bool,
    options: Options,
    fields: Vec<(u8, String, Span)>,
}

impl ProxySettings {
    fn set_ssl(&mut self, on: bool) {
        self.v2 = on;
        self.options.ssl = on;
    }
    /// Whether a header is sent: of version 2 if both are asked for.
    fn version(&self) -> Option<Version> {
        match (self.v1, self.v2) {
            (_, true) => Some(Version::V2),
            (true, false) => Some(Version::V1),
            (false, false) => None,
        }
    }
}

/// The header that a server gets, if it gets one; the check learns whether it sends one, too.
///
/// A check of another address or port is not a check of the service, and begins like one only when
/// 'check-send-proxy' says so.
pub fn finish(
    settings: &ProxySettings,
    check: &mut ServerCheck,
    never_local: bool,
    draft: &Draft,
    loading: &mut Loading<'_>,
) -> Option<Arc<ProxyHeader>> {
    // ACLs are not used here: a format has no conditions.
    let none = AclSet::default();
    let mut context = loading.context(Phase::Switching, Some(&draft.name), &none);
    let fields = settings.fields.iter().filter_map(|(kind, text, span)| {
        LogFormat::parse(text, *span, &mut context).map(|format| (*kind, format))
    });
    // A format that is wrong is told, whether or not a header is sent.
    let fields = fields.collect();
    let version = settings.version()?;
    let header = Arc::new(ProxyHeader { version, options: settings.options, fields, never_local });
    check.send_proxy |= check.port.is_none() && check.addr.is_none();
    check.proxy_header = Some(header.clone());
    Some(header)
}

fn options(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = super::bind::value(words, loading) else { return };
    let options = &mut settings.proxy.options;
    for option in word.text.split(',') {
        match option {
            "crc32c" => options.crc32c = true,
            "unique-id" => options.unique_id = true,
            "authority" => options.authority = true,
            "ssl" | "ssl-cipher" | "cert-cn" | "cert-key" | "cert-sig" => options.ssl = true,
            other => {
                let message = format!("'{other}' : proxy v2 option not implemented");
                loading.report.alert(word.span, message).help(
                    "expected among 'crc32c', 'unique-id', 'authority', 'ssl', 'ssl-cipher', 'cert-cn', \
                     'cert-key', 'cert-sig'",
                );
                return;
            }
        }
    }
}

/// `set-proxy-v2-tlv-fmt(<id>) <fmt>`.
fn field(settings: &mut ServerSettings, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(keyword) = words.last() else { return };
    let id = keyword.text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    let Some(kind) = id.and_then(number) else {
        let message = format!("'{}' : expects a field type from 0 to 255 in parentheses", keyword.text);
        loading.report.alert(keyword.span, message).help("usage: set-proxy-v2-tlv-fmt(0xE0) <format>");
        words.take_word();
        return;
    };
    // At the end of the line there is no value: the field is empty.
    let (text, span) =
        words.take_word().map_or((String::new(), keyword.span), |word| (word.text.clone(), word.span));
    settings.proxy.fields.push((kind, text, span));
}
