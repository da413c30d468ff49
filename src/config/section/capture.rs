//! Captures: what of a request and a response is kept for the logs (manual, sections 4.2, 8.8).

use super::ProxyParser;
use crate::config::draft::Draft;
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::words::Words;
use crate::model::proxy::{Capture, CookieCapture};

keywords! {
    /// Captures.
    pub TABLE: ProxyParser, "4.2";
    "capture cookie" "<name> len <length>" FRONTEND => Parse(cookie), "Keep a cookie of the request and of the response for the logs.";
    "capture request" "header <name> len <length>" FRONTEND => Parse(request), "Keep a header field of the request for the logs.";
    "capture response" "header <name> len <length>" FRONTEND => Parse(response), "Keep a header field of the response for the logs.";
    "declare capture" "{ request | response } len <length>" FRONTEND => Parse(declare), "Make a capture slot that rules fill.";
}

fn cookie(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let (Some(name), true) = (words.text(), words.take("len")) else {
        loading.report.alert(words.span(), "'capture' expects 'cookie' <cookie_name> 'len' <len>");
        return;
    };
    let Some(len) = words.unsigned(loading.report) else { return };
    words.end(loading.report);
    // `name=` is the whole name, without it any cookie that begins so is meant.
    let (name, is_prefix) = name.strip_suffix('=').map_or((name, true), |name| (name, false));
    draft.cookie_capture = Some(CookieCapture { name: name.into(), is_prefix, len: len as usize });
}

fn request(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    draft.request_captures.extend(header(words, loading));
}

fn response(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    draft.response_captures.extend(header(words, loading));
}

fn header(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<Capture> {
    let name = if words.take("header") { words.text() } else { None };
    let (Some(name), true) = (name, words.take("len")) else {
        let message = format!("'{}' expects 'header' <header_name> 'len' <len>", words.keyword());
        loading.report.alert(words.span(), message);
        return None;
    };
    let len = words.unsigned(loading.report)? as usize;
    words.end(loading.report);
    Some(Capture { name: Some(name.into()), len })
}

fn declare(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let side = words.text();
    let slots = match side {
        Some("request") => &mut draft.request_captures,
        Some("response") => &mut draft.response_captures,
        _ => {
            let message = "'declare capture' supports 'request' or 'response' as direction";
            loading.report.alert(words.last_span(), message);
            return;
        }
    };
    if !words.take("len") {
        loading.report.alert(words.span(), "missing 'len' keyword");
        return;
    }
    let Some(len) = words.unsigned(loading.report) else { return };
    if len == 0 {
        loading.report.alert(words.last_span(), "a positive 'len' is required");
        return;
    }
    words.end(loading.report);
    slots.push(Capture { name: None, len: len as usize });
}
