//! Conditions: ACLs joined by and, or, not (manual, section 7.2).
//!
//! The tests are in [`super::acl`], whose words the conditions share.

use std::sync::Arc;

use super::acl::{Acl, Test, Truth};
use super::expr::{Fault, ParseContext};
use super::facts::Context;
use crate::diag::{Span, did_you_mean};

/// `if` or `unless` and what follows.
#[derive(Debug)]
pub struct Condition {
    negated: bool,
    /// Any of these must hold, each of all its terms.
    suites: Vec<Vec<Term>>,
}

/// An ACL or its opposite.
#[derive(Debug)]
struct Term {
    negated: bool,
    acl: Arc<Acl>,
}

impl Condition {
    /// Parses the words from `if` or `unless` on; on a mistake reports it and returns `None`.
    pub fn parse(words: &[&str], span: Span, context: &mut ParseContext<'_>) -> Option<Condition> {
        match Condition::try_parse(words, span, context) {
            Ok(condition) => condition,
            Err(fault) => {
                let message = format!("error detected while parsing condition : {}", fault.message);
                context.report.alert(span, message).help = fault.help;
                None
            }
        }
    }

    /// `None` where an ACL is named whose own line is wrong.
    fn try_parse(
        words: &[&str],
        span: Span,
        context: &mut ParseContext<'_>,
    ) -> Result<Option<Condition>, Fault> {
        let (negated, words) = match words {
            ["if", rest @ ..] => (false, rest),
            ["unless", rest @ ..] => (true, rest),
            _ => return Err("conditions must start with either 'if' or 'unless'".to_owned().into()),
        };
        let mut suites = vec![Vec::new()];
        let mut words = words.iter();
        let mut negate = false;
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case("or") || *word == "||" {
                suites.push(Vec::new());
                negate = false;
                continue;
            }
            let name = word.trim_start_matches('!');
            negate ^= (word.len() - name.len()) % 2 == 1;
            if name.is_empty() {
                continue;
            }
            let acl = if name == "{" {
                let rest = words.as_slice();
                let close = rest.iter().position(|word| *word == "}");
                let close = close.ok_or_else(|| Fault {
                    message: "missing closing '}' in condition".to_owned(),
                    help: rest.iter().find_map(|word| advice_on(word)),
                })?;
                words = rest[close + 1..].iter();
                Arc::new(Acl::new("", Test::parse(&rest[..close], span, context)?))
            } else {
                if context.acls.is_broken(name) {
                    // Its own line says what is wrong.
                    return Ok(None);
                }
                context.acls.get(name, context.registry, context.place(span)).ok_or_else(|| Fault {
                    message: format!("no such ACL : '{name}'"),
                    help: advice_on(name).or_else(|| did_you_mean(name, context.acls.names())),
                })?
            };
            warn_if_never(&acl, span, context);
            if let Some(suite) = suites.last_mut() {
                suite.push(Term { negated: negate, acl });
            }
            negate = false;
        }
        // As in HAProxy, an alternative without any ACL is none, and a condition without any holds never.
        suites.retain(|suite| !suite.is_empty());
        if suites.is_empty() {
            let holds = if negated { "always" } else { "never" };
            let message = format!("a condition without any ACL: the rule {holds} applies");
            context.report.notice(span, message).help = Some("name an ACL, or remove the last word".into());
        }
        Ok(Some(Condition { negated, suites }))
    }

    /// Whether any test asks for bytes as they were received, before any parsing.
    pub fn asks_buffers(&self) -> bool {
        use crate::sample::fetch::Source::{EitherBuffer, RequestBuffer, ResponseBuffer};
        let tests = self.suites.iter().flatten().flat_map(|term| term.acl.tests());
        tests
            .map(|test| test.expr.source())
            .any(|source| matches!(source, RequestBuffer | ResponseBuffer | EitherBuffer))
    }
    /// Whether it holds; what cannot be known yet counts as no.
    pub fn holds(&self, context: &Context<'_>) -> bool {
        self.evaluate(context, true) == Truth::Yes
    }
    /// Whether it holds, or cannot be known yet.
    pub fn test(&self, context: &Context<'_>) -> Truth {
        self.evaluate(context, false)
    }
    fn evaluate(&self, context: &Context<'_>, is_final: bool) -> Truth {
        let mut outcome = Truth::No;
        for suite in &self.suites {
            let mut all = Truth::Yes;
            for term in suite {
                all = all.min(term.acl.test(context, is_final).negate_if(term.negated));
                if all != Truth::Yes {
                    break;
                }
            }
            outcome = outcome.max(all);
            if outcome == Truth::Yes {
                break;
            }
        }
        outcome.negate_if(self.negated)
    }
}

/// What to write instead of a word that looks like syntax and is none.
fn advice_on(name: &str) -> Option<String> {
    if name.eq_ignore_ascii_case("and") || name == "&&" {
        return Some("ACLs that follow one another must all match: leave the word out".into());
    }
    if name.eq_ignore_ascii_case("not") {
        return Some("write '!' before the ACL to negate it".into());
    }
    if name.starts_with('{') || name.ends_with('}') {
        return Some("an anonymous ACL needs a blank after '{' and before '}'".into());
    }
    None
}

/// Warns of an ACL all of whose tests need data that do not exist here.
fn warn_if_never(acl: &Acl, span: Span, context: &mut ParseContext<'_>) {
    let phase = context.phase;
    if acl.tests().any(|test| test.expr.source().exists_in(phase)) {
        return;
    }
    let place = phase.name();
    let message = if acl.name.is_empty() {
        let keyword = acl.first.test.expr.fetch_name();
        format!(
            "anonymous acl will never match because it uses keyword '{keyword}' which is incompatible with '{place}'"
        )
    } else {
        let name = &acl.name;
        format!(
            "acl '{name}' will never match because it only involves keywords that are incompatible with '{place}'"
        )
    };
    let advice = acl.first.test.expr.source().advice(phase);
    context.report.warning(span, message).help = advice.map(str::to_owned);
}
