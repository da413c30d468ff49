//! `set-var` and `set-var-fmt` in checks.

use super::http_check::render;
use super::script::{NewValue, SetVariable};
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
    set.variable.set_if(&set.conditions, context, value);
}
