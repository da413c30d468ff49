//! Answers to errors: `errorfile`, `errorloc`, `errorfiles`, `http-error` (manual, section 4.2).

use std::sync::Arc;

use super::ProxyParser;
use crate::config::draft::{Draft, ErrorLine};
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::words::Words;
use crate::model::proxy::ErrorPage;
use crate::rules::action::Action;
use crate::rules::{self, RuleSet};
use crate::sample::expr::Phase;

keywords! {
    /// Answers to errors.
    pub TABLE: ProxyParser, "4.2";
    "errorfile" "<code> <file>" ALL => Parse(errorfile), "Answer an error with the contents of a file, a whole response.";
    "errorfiles" "<name> [<code> ...]" ALL => Parse(errorfiles), "Answer errors as an 'http-errors' section says.";
    "errorloc" "<code> <url>" ALL => Parse(|d, w, l| errorloc(d, w, l, 302)), "Answer an error with a redirection (302).";
    "errorloc302" "<code> <url>" ALL => Parse(|d, w, l| errorloc(d, w, l, 302)), "Answer an error with a redirection (302).";
    "errorloc303" "<code> <url>" ALL => Parse(|d, w, l| errorloc(d, w, l, 303)), "Answer an error with a redirection that is fetched with GET (303).";
    "http-error" "status <code> [content-type <type>] [{ file | errorfile | string | ... } <arg>] [hdr <name> <fmt>]*" ALL => Parse(http_error), "Answer an error with a response described on the line.";
    "errorloc301" "<code> <url>" ALL => Removed("use 'errorloc302' or 'errorloc303'"), "Never existed, though it is often tried.";
}

/// The statuses that HAProxy answers by itself (manual, section 1.4.1).
pub const STATUSES: &[u16] = &[
    200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 414, 421, 422, 425, 429, 431, 500, 501, 502, 503, 504,
];

/// Takes a status that an error page may have.
pub fn status(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<u16> {
    let word = words.expect(loading.report, "<status_code> and <file/url> as arguments")?;
    let status = word.text.parse().ok().filter(|status| STATUSES.contains(status));
    if status.is_none() {
        // HAProxy warns and goes on; the line has no effect.
        let message = format!("status code '{}' not handled by '{}'", word.text, words.keyword());
        let list: Vec<String> = STATUSES.iter().map(u16::to_string).collect();
        loading.report.alert(word.span, message).help(format!("statuses are {}", list.join(", ")));
    }
    status
}

/// Takes a file and reads it as an error page.
pub fn page(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<Arc<ErrorPage>> {
    let word = words.expect(loading.report, "<status_code> and <file> as arguments")?;
    // "file@" and kin are for maps only; /dev/null is the documented way to close without an answer.
    let bytes = match word.text.as_str() {
        "/dev/null" => Arc::from([]),
        path => match loading.file(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let message = format!("error opening file <{path}> for '{}': {error}", words.keyword());
                loading.report.alert(word.span, message);
                return None;
            }
        },
    };
    if !bytes.is_empty() && !bytes.starts_with(b"HTTP/") {
        let message = format!(
            "unable to convert message in file '{}' to HTX: it does not start with a status line",
            word.text
        );
        loading.report.alert(word.span, message).help(
            "an error file is a whole HTTP response, head included, such as 'HTTP/1.1 503 Service Unavailable'",
        );
        return None;
    }
    Some(Arc::new(ErrorPage::File(bytes)))
}

fn errorfile(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(status) = status(words, loading) else { return };
    if let Some(page) = page(words, loading) {
        draft.error_lines.push(ErrorLine::Page(status, page));
    }
    words.end(loading.report);
}

fn errorloc(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>, code: u16) {
    let Some(status) = status(words, loading) else { return };
    let Some(url) = words.expect(loading.report, "<status_code> and <url> as arguments") else { return };
    let page = ErrorPage::Location { code, location: url.text.as_str().into() };
    draft.error_lines.push(ErrorLine::Page(status, Arc::new(page)));
    words.end(loading.report);
}

fn errorfiles(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(name) = words.expect(loading.report, "<name> as argument") else { return };
    let mut statuses = Vec::new();
    while !words.is_done() {
        statuses.extend(status(words, loading));
    }
    draft.error_lines.push(ErrorLine::Section(name.text.as_str().into(), statuses, name.span));
}

/// `http-error` says an answer in the words of `http-request return`, whose parser reads it;
/// references to other pages are taken here, since they are known only when all is read.
fn http_error(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let texts = words.rest();
    let Some(at) = texts.iter().position(|word| *word == "status") else {
        loading.report.alert(words.span(), "'http-error' : missing status code");
        return;
    };
    let mut of_status = Words::new(words.line, 1 + at + 1);
    let Some(code) = status(&mut of_status, loading) else { return };
    let argument_of =
        |name: &str| texts.iter().position(|word| *word == name).map(|at| words.line.words.get(1 + at + 1));
    if texts.contains(&"default-errorfiles") {
        draft.error_lines.push(ErrorLine::BuiltIn(code));
        return;
    }
    if let Some(name) = argument_of("errorfiles") {
        match name {
            Some(name) => {
                draft.error_lines.push(ErrorLine::Section(name.text.as_str().into(), vec![code], name.span));
            }
            None => {
                loading.report.alert(words.span(), "'http-error' : 'errorfiles' expects <name> as argument");
            }
        }
        return;
    }
    if let Some(at) = texts.iter().position(|word| *word == "errorfile") {
        let mut of_file = Words::new(words.line, 1 + at + 1);
        if let Some(page) = page(&mut of_file, loading) {
            draft.error_lines.push(ErrorLine::Page(code, page));
        }
        return;
    }
    let mut all = vec!["return"];
    all.extend(&texts);
    let span = words.span();
    let mut context = loading.context(Phase::HttpRequest, Some(&draft.name), &draft.acls);
    let rule = rules::keyword::parse(RuleSet::HttpRequest, &all, span, &mut context);
    if let Some(Action::Return(spec)) = rule.map(|rule| rule.action) {
        draft.error_lines.push(ErrorLine::Page(code, Arc::new(ErrorPage::Reply(spec))));
    }
}
