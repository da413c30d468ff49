//! What rules ask of the proxy they stand in, once all of it is known: a capture slot, a page of an
//! `http-errors` section.

use super::draft::Draft;
use super::loading::Loading;
use crate::model::proxy::{Capture, ErrorPage};
use crate::rules::{Rule, RuleSet};
use crate::sample::facts::Direction;

/// Gives every rule of a draft what it asks for.
pub fn rules(draft: &mut Draft, loading: &mut Loading<'_>) {
    let mut lists = [
        (RuleSet::TcpConnection, std::mem::take(&mut draft.tcp_connection)),
        (RuleSet::TcpSession, std::mem::take(&mut draft.tcp_session)),
        (RuleSet::TcpContent, std::mem::take(&mut draft.tcp_content)),
        (RuleSet::TcpResponse, std::mem::take(&mut draft.tcp_response)),
        (RuleSet::HttpRequest, std::mem::take(&mut draft.http_request)),
        (RuleSet::HttpResponse, std::mem::take(&mut draft.http_response)),
        (RuleSet::HttpAfterResponse, std::mem::take(&mut draft.http_after_response)),
        (RuleSet::HttpRequest, std::mem::take(&mut draft.stats.rules)),
    ];
    for (set, list) in &mut lists {
        for rule in list.iter_mut() {
            capture(rule, *set, draft, loading);
            section(rule, loading);
        }
    }
    let [connection, session, content, tcp_response, request, response, after, stats] = lists;
    draft.tcp_connection = connection.1;
    draft.tcp_session = session.1;
    draft.tcp_content = content.1;
    draft.tcp_response = tcp_response.1;
    draft.http_request = request.1;
    draft.http_response = response.1;
    draft.http_after_response = after.1;
    draft.stats.rules = stats.1;
}

/// `capture ... len N`: a slot of its own behind those that lines declared.
fn capture(rule: &mut Rule, set: RuleSet, draft: &mut Draft, loading: &mut Loading<'_>) {
    let Some(len) = rule.wanted_capture() else { return };
    if !draft.kind.is_frontend() {
        let message = format!(
            "'{}': {} has no frontend capability, so it has no captures of its own",
            set.name(),
            draft.title()
        );
        loading.report.alert(rule.span, message).help("use 'capture ... id <n>' with a slot of the frontend");
        return;
    }
    let slots = match set.direction() {
        Direction::Request => &mut draft.request_captures,
        Direction::Response => &mut draft.response_captures,
    };
    slots.push(Capture { name: None, len });
    rule.assign_capture(slots.len() - 1);
}

/// `errorfiles <name>`: the page for the rule's status.
fn section(rule: &mut Rule, loading: &mut Loading<'_>) {
    let Some((name, status)) = rule.wanted_section() else { return };
    match loading.http_errors.get(name) {
        Some(pages) => {
            let page = pages.get(&status).and_then(|page| match &**page {
                ErrorPage::File(bytes) => Some(bytes.clone()),
                ErrorPage::Location { .. } | ErrorPage::Reply(_) => None,
            });
            if page.is_none() {
                let message = format!(
                    "status '{status}' referenced by an http reply not declared in http-errors section '{name}'"
                );
                loading.report.warning(rule.span, message);
            }
            rule.give_section(page);
        }
        None => {
            let near = loading.nearest(name, loading.http_errors.keys().map(String::as_str));
            let message = format!("unable to find http-errors section '{name}' for 'errorfiles'");
            let found = loading.report.alert(rule.span, message);
            if let Some(near) = near {
                found.help(format!("did you mean '{near}'?"));
            }
        }
    }
}
