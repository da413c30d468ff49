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
            Ok(condition) => Some(condition),
            Err(fault) => {
                let message = format!("error detected while parsing condition : {}", fault.message);
                context.report.alert(span, message).help = fault.help;
                None
            }
        }
    }

    fn try_parse(words: &[&str], span: Span, context: &mut ParseContext<'_>) -> Result<Condition, Fault> {
        let (negated, words) = match words {
            ["if", rest @ ..] => (false, rest),
            ["unless", rest @ ..] => (true, rest),
            _ => return Err("conditions must start with either 'if' or 'unless'".to_owned().into()),
        };
        let mut suites = vec![Vec::new()];
        let mut words = words.iter();
        let mut negate = false;
        while let Some(word) = words.next() {
            if *word == "or" || *word == "||" {
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
                let close =
                    close.ok_or_else(|| Fault::from("missing closing '}' in condition".to_owned()))?;
                words = rest[close + 1..].iter();
                Arc::new(Acl::new("", Test::parse(&rest[..close], span, context)?))
            } else {
                context.acls.get(name, context.registry, context.place(span)).ok_or_else(|| Fault {
                    message: format!("no such ACL : '{name}'"),
                    help: did_you_mean(name, context.acls.names()),
                })?
            };
            warn_if_never(&acl, span, context);
            if let Some(suite) = suites.last_mut() {
                suite.push(Term { negated: negate, acl });
            }
            negate = false;
        }
        if suites.iter().any(Vec::is_empty) {
            return Err("a condition without any ACL".to_owned().into());
        }
        Ok(Condition { negated, suites })
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
