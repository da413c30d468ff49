//! Converters that work with variables (manual, section 7.3.1).

use super::Converter;
use crate::sample::arg::{Arg, ArgType, Args, CheckContext};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};
use crate::sample::vars::{SetCondition, VarName};

use ArgType::{Str, Variable};

/// Rows.
pub const TABLE: &[Converter] = &[
    Converter::new(
        "set-var",
        Type::Any,
        Type::Any,
        "Keeps the value in a variable, if all conditions allow; hands it on.",
        set_var,
    )
    .args(1, &[Variable, Str, Str, Str, Str])
    .check(check_set_var)
    .same_output(),
    Converter::new("unset-var", Type::Any, Type::Any, "Forgets a variable; hands the value on.", unset_var)
        .args(1, &[Variable])
        .same_output(),
    Converter::new(
        "concat",
        Type::Str,
        Type::Str,
        "Appends a text, a variable's value and another text.",
        concat,
    )
    .cuts()
    .args(1, &[Str, Str, Str])
    .check(check_concat),
    Converter::new(
        "add_item",
        Type::Str,
        Type::Str,
        "As 'concat', with a delimiter only between what is not empty.",
        add_item,
    )
    .cuts()
    .args(2, &[Str, Str, Str])
    .check(check_add_item),
];

fn check_set_var(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    for arg in args.iter().skip(1) {
        let Arg::Str(condition) = arg else { continue };
        let condition = String::from_utf8_lossy(condition);
        if SetCondition::find(condition.as_bytes()).is_none() {
            return Err(format!("unknown condition \"{condition}\""));
        }
    }
    Ok(())
}

fn set_var<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let name = args.variable(0)?;
    let conditions = (1..args.len()).filter_map(|at| SetCondition::find(args.text(at)));
    let allowed = conditions.into_iter().all(|condition| condition.allows(name, &value, context));
    // A value that was not kept does not go on either.
    (allowed && name.set(context, value.clone())).then_some(value)
}

fn unset_var<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    args.variable(0)?.unset(context);
    Some(value)
}

/// Turns the second argument into a variable, where one is named.
fn name_variable(args: &mut [Arg]) -> Result<(), String> {
    if let Some(Arg::Str(name)) = args.get(1)
        && !name.is_empty()
    {
        let name = String::from_utf8_lossy(name).into_owned();
        let variable =
            VarName::parse(&name).map_err(|_| format!("failed to register variable name '{name}'"))?;
        args[1] = Arg::Variable(variable);
    }
    Ok(())
}

fn check_concat(args: &mut Vec<Arg>, _: &mut CheckContext<'_, '_>) -> Result<(), String> {
    name_variable(args)
}

fn concat<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let mut out = value.into_bytes(Type::Str)?.into_owned();
    out.extend_from_slice(args.text(0));
    if let Some(held) = args.variable(1).and_then(|name| name.get(context)) {
        held.write(&mut out);
    }
    out.extend_from_slice(args.text(2));
    Some(Value::string(out))
}

fn check_add_item(args: &mut Vec<Arg>, check: &mut CheckContext<'_, '_>) -> Result<(), String> {
    let _ = check;
    name_variable(args)?;
    if args.as_slice().variable(1).is_none() && args.as_slice().text(2).is_empty() {
        return Err("one of the optional arguments has to be nonempty".into());
    }
    Ok(())
}

fn add_item<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
    let held = args.variable(1).and_then(|name| name.get(context));
    let mut item = Vec::new();
    if let Some(held) = held {
        held.write(&mut item);
    }
    item.extend_from_slice(args.text(2));
    let mut out = value.into_bytes(Type::Str)?.into_owned();
    if !out.is_empty() && !item.is_empty() {
        out.extend_from_slice(args.text(0));
    }
    out.append(&mut item);
    Some(Value::string(out))
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check};

    #[test]
    fn variables() {
        check(
            &World::default(),
            &[
                ("int(5),set-var(txn.vc_a),add(1)", "6"),
                ("var(txn.vc_a)", "5"),
                ("int(7),set-var(txn.vc_a,ifnotset)", "-"),
                ("var(txn.vc_a)", "5"),
                ("int(4),set-var(txn.vc_a,ifgt,ifset)", "4"),
                ("var(txn.vc_a)", "4"),
                ("str(''),set-var(txn.vc_a,ifnotempty)", "-"),
                ("var(txn.vc_a)", "4"),
                ("int(9),set-var(proc.vc_p,ifnotexists)", "-"),
                ("int(9),set-var(proc.vc_p,ifexists,ifnotset)", "9"),
                ("str(x),concat(<,txn.vc_a,>)", "x<4>"),
                ("str(x),concat(<,txn.vc_none,>)", "x<>"),
                ("str(x),concat('-')", "x-"),
                ("str(x),add_item(;,txn.vc_a)", "x;4"),
                ("str(''),add_item(;,txn.vc_a)", "4"),
                ("str(x),add_item(;,txn.vc_none)", "x"),
                ("str(x),add_item(;,,s)", "x;s"),
                ("str(x),unset-var(txn.vc_a)", "x"),
                ("var(txn.vc_a)", "-"),
            ],
        );
        for (text, message) in [
            ("int(1),set-var(txn.vc_a,ifmaybe)", "unknown condition \"ifmaybe\""),
            ("int(1),set-var(vc_a)", "must be start by its scope"),
            ("str(x),concat(a,vc)", "failed to register variable name 'vc'"),
            ("str(x),add_item(;,'')", "one of the optional arguments has to be nonempty"),
        ] {
            let (found, _) = alert(text, Phase::HttpRequest);
            assert!(found.contains(message), "{text}: {found}");
        }
    }
}
