//! Variables of the process: look at one, set one (manual: management, section 9.3).

use std::net::IpAddr;
use std::sync::Arc;

use crate::base::clock;
use crate::control::admin::{Call, Command, Flow, Severity};
use crate::diag::{Level, Report, Span};
use crate::model::bind::CliLevel::Operator;
use crate::sample::acl::AclSet;
use crate::sample::expr::{Files, Named, ParseContext, Phase};
use crate::sample::facts::{Context, Direction, TransactionFacts};
use crate::sample::value::{Type, Value};
use crate::sample::vars::{Scope, SetCondition, VarName};
use crate::sample::{Expr, LogFormat};

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { words: &["get", "var"], arguments: "<name>", text: "retrieve contents of a process-wide variable", level: Operator, run: get },
    Command { words: &["set", "var"], arguments: "<name> [fmt|expr] {<fmt>|<expr>}", text: "set variable from an expression or a format", level: Operator, run: set },
];

/// The type of a value as the answer names it.
fn type_name(value: &Value<'_>) -> &'static str {
    match value {
        Value::Ip(IpAddr::V4(_)) => "ipv4",
        Value::Ip(IpAddr::V6(_)) => "ipv6",
        other => other.kind().name(),
    }
}

fn get(call: &mut Call<'_>) -> Flow {
    if call.bytes(2).is_empty() {
        return call.error("Missing process-wide variable identifier.");
    }
    let name = call.arg(2).to_owned();
    let id = name.strip_prefix("proc.").and_then(VarName::known);
    let vars = call.control.process.vars.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let found = vars.iter().find(|(other, _)| Some(*other) == id).map(|(_, value)| value.clone());
    drop(vars);
    let Some(value) = found else { return call.error("Variable not found.") };
    let mut text = format!("{name}: type={} value=<", type_name(&value)).into_bytes();
    let shown = value.into_bytes(Type::Str).unwrap_or_default();
    text.extend(shown.iter().map(|byte| if matches!(byte, b' '..=b'~') { *byte } else { b'.' }));
    text.push(b'>');
    call.say(Severity::Info, &String::from_utf8_lossy(&text))
}

/// Nothing that a client of the runtime API writes may read files.
struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _path: &str) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::PermissionDenied.into())
    }
}

fn set(call: &mut Call<'_>) -> Flow {
    if !call.session.experimental {
        return call.error("This command is restricted to experimental mode only.");
    }
    if call.bytes(2).is_empty() {
        return call.error("Missing process-wide variable identifier.");
    }
    if call.bytes(3).is_empty() {
        return call.error("Missing either 'expr', 'fmt' or expression.");
    }
    let (is_format, text) = match (call.arg(3), call.arg(4)) {
        (text, "") => (false, text.to_owned()),
        ("fmt", text) => (true, text.to_owned()),
        ("expr", text) => (false, text.to_owned()),
        (other, _) => {
            let text = format!("'set var': arg type must be either 'expr' or 'fmt' but got '{other}'.");
            return call.error(&text);
        }
    };
    let (name, conditions) = match SetCondition::split(call.arg(2)) {
        Ok((name, conditions)) if name.scope == Scope::Proc => (name, conditions),
        Ok(_) => {
            let text = format!(
                "'set var': cannot set variable '{}', only scope 'proc' is permitted here.",
                call.arg(2)
            );
            return call.error(&text);
        }
        Err(error) => return call.error(&error),
    };
    let mut report = Report::default();
    let (acls, named) = (AclSet::default(), Named::default());
    let registry = Arc::clone(&call.control.model().registry);
    let mut parsing = ParseContext {
        report: &mut report,
        registry: &registry,
        files: &NoFiles,
        phase: Phase::Config,
        proxy: None,
        acls: &acls,
        named: &named,
    };
    let facts = TransactionFacts::default();
    let context = Context {
        session: None,
        txn: &facts,
        direction: Direction::Request,
        now: clock::read(),
        process: &call.control.process,
        check_vars: None,
    };
    // An expression without a value leaves the variable as it was.
    let parsed = if is_format {
        LogFormat::parse(&text, Span::NONE, &mut parsing).map(|format| {
            let mut out = Vec::new();
            format.write(&context, false, &mut out);
            name.set_if(&conditions, &context, Value::string(out));
        })
    } else {
        Expr::parse(&text, Span::NONE, &mut parsing).map(|expr| {
            if let Some(value) = expr.eval(&context) {
                name.set_if(&conditions, &context, value);
            }
        })
    };
    match report.diagnostics.into_iter().find(|found| found.level == Level::Alert) {
        None if parsed.is_some() => Flow::Done,
        found => {
            let reason = found.map_or_else(|| "not understood".to_owned(), |found| found.message);
            call.error(&format!("'set var': {reason}."))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::control::admin::{Session, exec, line};
    use crate::control::mock::control;
    use crate::model::bind::CliLevel;

    #[test]
    fn variables_are_set_and_shown() {
        let control = control();
        let mut session = Session::new(CliLevel::Operator, 1000);
        for (command, experimental, expected) in [
            ("get var", false, "Missing process-wide variable identifier.\n"),
            ("get var proc.cli_x", false, "Variable not found.\n"),
            ("set var proc.cli_x int(5)", false, "This command is restricted to experimental mode only.\n"),
            ("set var proc.cli_x int(5),add(1)", true, ""),
            ("get var proc.cli_x", false, "proc.cli_x: type=sint value=<6>\n"),
            ("set var proc.cli_x expr str(a\\ b)", true, ""),
            ("get var proc.cli_x", false, "proc.cli_x: type=str value=<a b>\n"),
            ("set var proc.cli_y fmt <%[var(proc.cli_x)]>", true, ""),
            ("get var proc.cli_y", false, "proc.cli_y: type=str value=<<a b>>\n"),
            ("set var proc.cli_y ipv4(1.2.3.4)", true, ""),
            ("get var proc.cli_y", false, "proc.cli_y: type=ipv4 value=<1.2.3.4>\n"),
            ("set var proc.cli_y src", true, "'set var': fetch method 'src' extracts information from"),
            ("set var proc.cli_y what int(1)", true, "'set var': arg type must be either 'expr' or 'fmt'"),
            (
                "set var txn.cli_y int(1)",
                true,
                "'set var': cannot set variable 'txn.cli_y', only scope 'proc'",
            ),
            ("set var cli_y int(1)", true, "invalid variable name 'cli_y'"),
            ("set var proc.cli_y", true, "Missing either 'expr', 'fmt' or expression.\n"),
            ("get var txn.cli_y", false, "Variable not found.\n"),
        ] {
            session.experimental = experimental;
            let mut reader = line::Reader::default();
            reader.feed(format!("{command}\n").as_bytes());
            let request = reader.take().unwrap().expect("a command");
            let mut out = Vec::new();
            exec::run(&control, &mut session, &request.commands[0], None, &mut out);
            let found = String::from_utf8(out).unwrap();
            assert!(
                found.starts_with(expected) && found.is_empty() == expected.is_empty(),
                "{command}: {found}"
            );
        }
    }
}
