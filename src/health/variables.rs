//! `set-var` and `set-var-fmt` in checks.

use super::http_check::render;
use super::script::{NewValue, SetCondition, SetVariable};
use crate::sample::Value;
use crate::sample::facts::Context;

/// Gives the variable its new value, if there is one and the conditions hold.
pub fn set(set: &SetVariable, context: &Context<'_>) {
    let value = match &set.value {
        NewValue::Expr(expr) => match expr.eval(context) {
            Some(value) => value,
            None => return,
        },
        NewValue::Format(format) => Value::Str(render(format, context).into()),
    };
    let old = set.variable.get(context);
    if set.conditions.iter().all(|condition| holds(*condition, old.as_ref(), &value)) {
        set.variable.set(context, value);
    }
}

/// Whether a condition holds (manual, section 7.3.1 `set-var`).
fn holds(condition: SetCondition, old: Option<&Value<'static>>, new: &Value<'_>) -> bool {
    // Scalars are never empty.
    let is_empty = matches!(new, Value::Str(text) | Value::Bin(text) if text.is_empty());
    match condition {
        SetCondition::IfExists | SetCondition::IfSet => old.is_some(),
        SetCondition::IfNotExists | SetCondition::IfNotSet => old.is_none(),
        SetCondition::IfEmpty => is_empty,
        SetCondition::IfNotEmpty => !is_empty,
        SetCondition::IfGreater => compare(old, new) == Some(std::cmp::Ordering::Greater),
        SetCondition::IfLess => compare(old, new) == Some(std::cmp::Ordering::Less),
    }
}

/// How the variable's value compares with the new one; values of different kinds do not.
fn compare(old: Option<&Value<'static>>, new: &Value<'_>) -> Option<std::cmp::Ordering> {
    Some(match (old?, new) {
        (Value::Int(old), Value::Int(new)) => old.cmp(new),
        (Value::Bool(old), Value::Bool(new)) => old.cmp(new),
        (Value::Str(old) | Value::Bin(old), Value::Str(new) | Value::Bin(new)) => old.cmp(new),
        (Value::Ip(old), Value::Ip(new)) => old.cmp(new),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_as_the_manual_says() {
        use SetCondition::*;
        let text = |text: &'static str| Value::Str(text.as_bytes().into());
        for (condition, old, new, expected) in [
            (IfExists, None, text("x"), false),
            (IfNotExists, None, text("x"), true),
            (IfSet, Some(text("")), text("x"), true),
            (IfEmpty, None, text(""), true),
            (IfEmpty, None, Value::Int(0), false),
            (IfNotEmpty, None, Value::Int(0), true),
            (IfGreater, Some(Value::Int(5)), Value::Int(4), true),
            (IfLess, Some(Value::Int(5)), Value::Int(4), false),
            (IfLess, Some(text("a")), text("b"), true),
            (IfGreater, Some(text("a")), Value::Int(1), false),
        ] {
            assert_eq!(holds(condition, old.as_ref(), &new), expected, "{condition:?} {old:?} {new:?}");
        }
    }
}
