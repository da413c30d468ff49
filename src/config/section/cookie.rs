//! Cookie persistence of a backend (manual, section 4.2 "cookie").

use super::ProxyParser;
use crate::config::draft::Draft;
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::words::Words;
use crate::model::proxy::{Cookie, CookieMode};
use crate::sample::expr::Phase;

keywords! {
    /// Persistence.
    pub TABLE: ProxyParser, "4.2";
    "cookie" "<name> [rewrite | insert | prefix] [indirect] [nocache] [postonly] [preserve] [httponly] [secure] [domain <domain>]* [maxidle <idle>] [maxlife <life>] [dynamic] [attr <value>]*" BACK => Parse(cookie), "Keep a client on a server by means of a cookie.";
    "dynamic-cookie-key" "<string>" BACK => Parse(dynamic_key), "The secret that values of dynamic cookies are made with.";
    "force-persist" "{ if | unless } <condition>" BACKEND => Parse(force), "Obey persistence even if the server is down.";
    "ignore-persist" "{ if | unless } <condition>" BACKEND => Parse(ignore), "Disobey persistence.";
    "persist rdp-cookie" "[(<name>)]" BACK => Parse(rdp), "Keep a client on the server that its RDP cookie names.";
}

fn cookie(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(name) = words.expect(loading.report, "<cookie_name> as argument") else { return };
    let mut cookie = Cookie {
        name: name.text.as_str().into(),
        mode: CookieMode::Passive,
        indirect: false,
        nocache: false,
        postonly: false,
        preserve: false,
        httponly: false,
        secure: false,
        domains: Vec::new(),
        maxidle_s: None,
        maxlife_s: None,
        attributes: Vec::new(),
        dynamic_key: None,
    };
    draft.cookie_dynamic = false;
    let mut modes = Vec::new();
    while let Some(word) = words.take_word() {
        let option = word.text.as_str();
        match option {
            "rewrite" => modes.push(CookieMode::Rewrite),
            "insert" => modes.push(CookieMode::Insert),
            "prefix" => modes.push(CookieMode::Prefix),
            "indirect" => cookie.indirect = true,
            "nocache" => cookie.nocache = true,
            "postonly" => cookie.postonly = true,
            "preserve" => cookie.preserve = true,
            "httponly" => cookie.httponly = true,
            "secure" => cookie.secure = true,
            "dynamic" => draft.cookie_dynamic = true,
            "maxidle" | "maxlife" => {
                let Some(value) = words.take_word() else {
                    let what = if option == "maxidle" { "<idletime>" } else { "<lifetime>" };
                    loading
                        .report
                        .alert(word.span, format!("'{option}' expects {what} in seconds as argument"));
                    return;
                };
                let Some(seconds) = crate::config::words::time_s(value, option, loading.report) else {
                    return;
                };
                let slot = if option == "maxidle" { &mut cookie.maxidle_s } else { &mut cookie.maxlife_s };
                *slot = (seconds != 0).then_some(seconds);
            }
            "domain" => {
                let Some(value) = words.take_word() else {
                    loading.report.alert(word.span, "'domain' expects <domain> as argument");
                    return;
                };
                if !value.text.contains('.') {
                    let message = format!(
                        "domain '{}' contains no embedded dot, this configuration may not work properly \
                         (see RFC6265#5.2.3)",
                        value.text
                    );
                    loading.report.warning(value.span, message);
                }
                let bad = value.text.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.".contains(*c));
                if let Some(bad) = bad {
                    let message =
                        format!("character '{bad}' is not permitted in domain name '{}'", value.text);
                    loading.report.alert(value.span, message);
                    return;
                }
                cookie.domains.push(value.text.as_str().into());
            }
            "attr" => {
                let Some(value) = words.take_word() else {
                    loading.report.alert(word.span, "'attr' expects <value> as argument");
                    return;
                };
                if let Some(bad) = value.text.bytes().find(|byte| byte.is_ascii_control() || *byte == b';') {
                    let message = format!("character '%x{bad:02X}' is not permitted in attribute value");
                    loading.report.alert(value.span, message);
                    return;
                }
                cookie.attributes.push(value.text.as_str().into());
            }
            _ => {
                let known = [
                    "rewrite", "insert", "prefix", "indirect", "nocache", "postonly", "preserve", "httponly",
                    "secure", "domain", "maxidle", "maxlife", "dynamic", "attr",
                ];
                let help = crate::diag::did_you_mean(option, known);
                let found = loading.report.alert(
                    word.span,
                    "'cookie' supports 'rewrite', 'insert', 'prefix', 'indirect', 'nocache', 'postonly', \
                     'domain', 'maxidle', 'dynamic', 'maxlife' and 'attr' options",
                );
                if let Some(help) = help {
                    found.help(help);
                }
                return;
            }
        }
    }
    if modes.iter().any(|mode| *mode != modes[0]) {
        let message = "cookie 'rewrite', 'insert' and 'prefix' modes are incompatible";
        loading.report.alert(words.span(), message);
    }
    cookie.mode = modes.first().copied().unwrap_or_default();
    if cookie.mode == CookieMode::Rewrite && cookie.indirect {
        loading.report.alert(words.span(), "cookie 'rewrite' and 'indirect' modes are incompatible");
    }
    if cookie.preserve && cookie.mode != CookieMode::Insert && !cookie.indirect {
        loading.report.alert(words.span(), "cookie 'preserve' requires at least 'insert' or 'indirect'");
    }
    draft.cookie = Some(cookie);
}

fn dynamic_key(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(key) = words.expect(loading.report, "<secret_key> as argument") {
        draft.dynamic_cookie_key = Some(key.text.as_str().into());
    }
    words.end(loading.report);
}

fn force(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let condition = draft.required_condition(words, Phase::Switching, loading);
    draft.force_persist.extend(condition);
}

fn ignore(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let condition = draft.required_condition(words, Phase::Switching, loading);
    draft.ignore_persist.extend(condition);
}

fn rdp(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let method = words.line.words[1].text.as_str();
    let name = match method.strip_prefix("rdp-cookie") {
        Some("") => Some("msts"),
        Some(rest) => rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')),
        None => None,
    };
    match name {
        Some("") | None => {
            loading.report.alert(words.span(), "'persist rdp-cookie(name)' requires an rdp cookie name");
        }
        Some(name) => draft.persist_rdp_cookie = Some(name.into()),
    }
    words.end(loading.report);
}
