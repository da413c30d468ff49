//! `set-var-fmt` in checks: `set-var` and `unset-var` are converters and need nothing here.

use super::http_check::render;
use super::script::{SetCondition, SetFormat};
use crate::sample::Value;
use crate::sample::facts::Context;
use crate::sample::vars::Scope;

/// Gives the variable its formatted value, if the conditions hold.
pub fn set_format(set: &SetFormat, context: &Context<'_>) {
    let text = render(&set.format, context);
    let id = set.variable.id;
    let old = match set.variable.scope {
        Scope::Check => context.check_vars.and_then(|vars| vars.get(id)),
        Scope::Proc => {
            let vars = context.process.vars.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            vars.iter().find(|(other, _)| *other == id).map(|(_, value)| value.clone())
        }
        _ => None,
    };
    if !set.conditions.iter().all(|condition| holds(*condition, old.as_ref(), &text)) {
        return;
    }
    let value = Value::Str(text.into());
    match set.variable.scope {
        Scope::Check => {
            if let Some(vars) = context.check_vars {
                vars.set(id, value);
            }
        }
        Scope::Proc => {
            let mut vars = context.process.vars.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            match vars.iter_mut().find(|(other, _)| *other == id) {
                Some((_, old)) => *old = value,
                None => vars.push((id, value)),
            }
        }
        // A check has no session; the configuration lets no other scope in.
        _ => {}
    }
}

fn holds(condition: SetCondition, old: Option<&Value<'static>>, new: &[u8]) -> bool {
    let old_text = match old {
        Some(Value::Str(text) | Value::Bin(text)) => Some(&text[..]),
        _ => None,
    };
    match condition {
        SetCondition::IfExists => old.is_some(),
        SetCondition::IfNotExists => old.is_none(),
        SetCondition::IfEmpty => new.is_empty(),
        SetCondition::IfNotEmpty => !new.is_empty(),
        SetCondition::IfSet => old.is_some(),
        SetCondition::IfNotSet => old.is_none(),
        SetCondition::IfGreater => old_text.is_some_and(|old| old < new),
        SetCondition::IfLess => old_text.is_some_and(|old| old > new),
    }
}
