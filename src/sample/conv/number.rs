//! Converters of numbers (manual, section 7.3.1). Results saturate instead of wrapping.

use std::borrow::Cow;

use super::Converter;
use crate::sample::arg::{Arg, ArgType, Args};
use crate::sample::facts::Context;
use crate::sample::value::{Type, Value};

use ArgType::IntOrVariable;

const fn binary(name: &'static str, doc: &'static str, apply: super::Apply) -> Converter {
    Converter::new(name, Type::Int, Type::Int, doc, apply).args(1, &[IntOrVariable])
}
const fn unary(name: &'static str, output: Type, doc: &'static str, apply: super::Apply) -> Converter {
    Converter::new(name, Type::Int, output, doc, apply)
}

/// Rows.
pub const TABLE: &[Converter] = &[
    binary("add", "Adds a number or variable.", add),
    binary("sub", "Subtracts a number or variable.", sub),
    binary("mul", "Multiplies by a number or variable.", mul),
    binary("div", "Divides by a number or variable; by 0 it gives the greatest number.", div),
    binary("mod", "The rest of the division by a number or variable; 0 by 0.", modulo),
    binary("and", "The bits set in both.", and),
    binary("or", "The bits set in either.", or),
    binary("xor", "The bits set in one of both.", xor),
    unary("cpl", Type::Int, "All bits turned.", cpl),
    unary("neg", Type::Int, "The number with its sign turned.", neg),
    unary("bool", Type::Bool, "True unless it is 0.", truth),
    unary("not", Type::Bool, "True if it is 0.", not),
    unary("odd", Type::Bool, "True if it is odd.", odd),
    unary("even", Type::Bool, "True if it is even.", even),
    unary(
        "x509_v_err_str",
        Type::Str,
        "The name of an error of certificate verification, such as X509_V_ERR_CERT_HAS_EXPIRED, by its number.",
        verify_error,
    ),
    unary("htonl", Type::Bin, "The low 32 bits as four bytes, big-endian.", htonl),
];

macro_rules! operators {
    ($($function:ident $name:ident |$a:ident, $b:ident| $result:expr;)*) => {
        $(fn $function<'a>(value: Value<'a>, args: &'a [Arg], context: &Context<'a>) -> Option<Value<'a>> {
            let ($a, $b) = (value.as_int()?, args.number(0, context)?);
            Some(Value::Int($result))
        })*
    };
}
operators!(
    add add |a, b| a.saturating_add(b);
    sub sub |a, b| a.saturating_sub(b);
    mul mul |a, b| a.saturating_mul(b);
    div div |a, b| if b == 0 { i64::MAX } else { a.saturating_div(b) };
    modulo modulo |a, b| if b == 0 { 0 } else { a.wrapping_rem(b) };
    and and |a, b| a & b;
    or or |a, b| a | b;
    xor xor |a, b| a ^ b;
);

fn cpl<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(!value.as_int()?))
}
fn neg<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Int(value.as_int()?.saturating_neg()))
}
/// A number without a name stays a number.
fn verify_error<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    let number = value.as_int()?;
    Some(match crate::tls::verify::error::name_of(number) {
        Some(name) => Value::text(name.as_bytes()),
        None => Value::string(number.to_string().into_bytes()),
    })
}
fn truth<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(value.as_int()? != 0))
}
fn not<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(value.as_int()? == 0))
}
fn odd<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(value.as_int()? & 1 == 1))
}
fn even<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bool(value.as_int()? & 1 == 0))
}
fn htonl<'a>(value: Value<'a>, _: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    Some(Value::Bin(Cow::Owned((value.as_int()? as u32).to_be_bytes().to_vec())))
}

#[cfg(test)]
mod tests {
    use crate::sample::expr::Phase;
    use crate::sample::testing::{World, alert, check};
    use crate::sample::{Value, vars::VarName};

    #[test]
    fn arithmetic() {
        let world = World::default();
        VarName::parse("txn.number_two").unwrap().set(&world.context(), Value::text(b"2"));
        check(
            &world,
            &[
                ("int(5),add(3)", "8"),
                ("int(5),add(txn.number_two)", "7"),
                ("int(5),add(txn.number_absent)", "-"),
                ("int(5),sub(7)", "-2"),
                ("int(5),mul(-3)", "-15"),
                ("int(7),div(2)", "3"),
                ("int(7),div(0)", "9223372036854775807"),
                ("int(7),mod(4)", "3"),
                ("int(7),mod(0)", "0"),
                ("int(6),and(3)", "2"),
                ("int(6),or(1)", "7"),
                ("int(6),xor(3)", "5"),
                ("int(0),cpl", "-1"),
                ("int(9223372036854775807),add(1)", "9223372036854775807"),
                ("int(5),neg", "-5"),
                ("int(5),bool", "1"),
                ("int(5),not", "0"),
                ("int(5),odd", "1"),
                ("int(5),even", "0"),
                ("int(24930),htonl,hex", "00006162"),
                ("int(23),x509_v_err_str", "X509_V_ERR_CERT_REVOKED"),
                ("int(0),x509_v_err_str", "X509_V_OK"),
                ("str(10),x509_v_err_str", "X509_V_ERR_CERT_HAS_EXPIRED"),
                ("int(95),x509_v_err_str", "95"),
                ("int(-1),x509_v_err_str", "-1"),
                ("str(12),add(1)", "13"),
            ],
        );
        let (message, _) = alert("int(1),add(1x)", Phase::HttpRequest);
        assert!(message.contains("expects an integer or a variable name"), "{message}");
    }
}
