//! `stats` lines of proxies: the statistics page (manual, section 4.2).

use super::ProxyParser;
use crate::config::draft::{Draft, StatsDraft};
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::words::Words;
use crate::rules::action::Action;
use crate::rules::reply::STATS_REALM;
use crate::rules::{self, RuleSet};
use crate::sample::expr::Phase;

keywords! {
    /// The statistics page.
    pub TABLE: ProxyParser, "4.2";
    "stats admin" "{ if | unless } <condition>" PROXIES => Parse(admin), "Allow actions on servers from the page under a condition.";
    "stats auth" "<user>:<password>" ALL => Parse(auth), "Ask for one of these users before showing the page.";
    "stats enable" "" ALL => Parse(enable), "Show the page with its default settings.";
    "stats hide-version" "" ALL => Parse(hide_version), "Do not show the version. The default.";
    "stats http-request" "{ allow | deny | auth [realm <realm>] } [{ if | unless } <condition>]" PROXIES => Parse(http_request), "Who may see the page.";
    "stats realm" "<realm>" ALL => Parse(realm), "The realm that the browser shows when it asks for a password.";
    "stats refresh" "<delay>" ALL => Parse(refresh), "Reload the page by itself.";
    "stats scope" "{ <name> | . }" ALL => Parse(scope), "Show these proxies only.";
    "stats show-desc" "[<description>]" ALL => Parse(show_desc), "Show a description.";
    "stats show-legends" "" ALL => Parse(|d, w, l| flag(d, w, l, |s| &mut s.show_legends)), "Show more details on the page.";
    "stats show-modules" "" ALL => Parse(|d, w, l| flag(d, w, l, |s| &mut s.show_modules)), "Show the counters of modules.";
    "stats show-node" "[<name>]" ALL => Parse(show_node), "Show the node's name.";
    "stats show-version" "" ALL => Parse(|d, w, l| flag(d, w, l, |s| &mut s.show_version)), "Show the version.";
    "stats uri" "<prefix>" ALL => Parse(uri), "Where the page is.";
}

/// The words after `stats` that HAProxy names when it meets another.
pub const EXPECTED: &str = "expects 'admin', 'uri', 'realm', 'auth', 'scope', 'enable', 'hide-version', \
                            'show-node', 'show-desc' , 'show-legends' or 'show-version'";

/// The draft's settings. The first line of a proxy's own drops all that it inherited, as HAProxy
/// does: a page is described in one place.
fn own(draft: &mut Draft) -> &mut StatsDraft {
    if draft.stats.inherited && !draft.inheriting {
        draft.stats = StatsDraft::default();
    }
    draft.stats.inherited = draft.inheriting;
    draft.stats.enabled = true;
    &mut draft.stats
}

fn enable(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    words.end(loading.report);
    own(draft);
}

fn flag(
    draft: &mut Draft,
    words: &mut Words<'_>,
    loading: &mut Loading<'_>,
    of: fn(&mut StatsDraft) -> &mut bool,
) {
    words.end(loading.report);
    *of(own(draft)) = true;
}

/// The one line that does not switch the page on by itself.
fn hide_version(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    words.end(loading.report);
    if draft.stats.inherited && !draft.inheriting {
        draft.stats = StatsDraft::default();
    }
    draft.stats.show_version = false;
}

fn uri(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    match words.text() {
        Some(uri) => own(draft).uri = Some(uri.into()),
        None => {
            loading.report.alert(words.span(), "'uri' needs an URI prefix");
        }
    }
    words.end(loading.report);
}

fn realm(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    match words.text() {
        Some(realm) => own(draft).realm = Some(realm.into()),
        None => {
            loading.report.alert(words.span(), "'realm' needs an realm name");
        }
    }
    words.end(loading.report);
}

fn auth(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    match words.text() {
        Some(account) => {
            let (user, password) = account.split_once(':').unwrap_or((account, ""));
            own(draft).users.push((user.into(), password.into()));
        }
        None => {
            loading.report.alert(words.span(), "'auth' needs a user:password account");
        }
    }
    words.end(loading.report);
}

fn scope(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    match words.text() {
        Some(name) => own(draft).scope.push(name.into()),
        None => {
            loading.report.alert(words.span(), "'scope' needs a proxy name");
        }
    }
    words.end(loading.report);
}

fn refresh(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(seconds) = words.time_s(loading.report) {
        own(draft).refresh_s = (seconds != 0).then_some(seconds);
    }
    words.end(loading.report);
}

fn show_node(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let name = words.text().unwrap_or("");
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
        let message = "'stats show-node' invalid node name - should be a string \
                       with digits(0-9), letters(A-Z, a-z), hyphen(-) or underscode(_)";
        loading.report.alert(words.last_span(), message);
        return;
    }
    words.end(loading.report);
    own(draft).show_node = Some(name.into());
}

fn show_desc(draft: &mut Draft, words: &mut Words<'_>, _loading: &mut Loading<'_>) {
    let text = words.take_rest().join(" ");
    own(draft).show_description = Some(text.into());
}

fn admin(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    own(draft);
    if let Some(condition) = draft.required_condition(words, Phase::HttpRequest, loading) {
        draft.stats.admin.push(condition);
    }
}

fn http_request(draft: &mut Draft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    own(draft);
    if draft.stats.rules.last().is_some_and(|rule| rule.condition.is_none()) {
        loading.report.warning(
            words.span(),
            "previous 'stats' action has no condition attached, further entries are NOOP",
        );
    }
    let span = words.span();
    let rest = words.take_rest();
    let mut context = loading.context(Phase::HttpRequest, Some(&draft.name), &draft.acls);
    if let Some(mut rule) = rules::keyword::parse(RuleSet::HttpRequest, &rest, span, &mut context) {
        // The page has a realm of its own, whatever proxy it belongs to.
        if let Action::Auth(realm) = &mut rule.action
            && rest.get(1).copied() != Some("realm")
        {
            *realm = STATS_REALM.into();
        }
        draft.stats.rules.push(rule);
    }
}
