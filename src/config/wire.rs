//! What rules ask of the configuration once all of it is known: a page of an `http-errors` section.

use super::draft::Draft;
use super::loading::Loading;
use crate::model::proxy::ErrorPage;
use crate::rules::Rule;

/// Gives every rule of a draft what it asks for.
pub fn rules(draft: &mut Draft, loading: &mut Loading<'_>) {
    let lists = [
        &mut draft.tcp_connection,
        &mut draft.tcp_session,
        &mut draft.tcp_content,
        &mut draft.tcp_response,
        &mut draft.http_request,
        &mut draft.http_response,
        &mut draft.http_after_response,
        &mut draft.stats.rules,
    ];
    for rule in lists.into_iter().flatten() {
        section(rule, loading);
    }
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
