//! Commands about the connection itself: help, prompt, levels, time-out.

use crate::base::units::{TimeUnit, parse_time};
use crate::control::admin::{Call, Command, Flow, Severity, SeverityOutput, exec};
use crate::model::bind::CliLevel::{self, Admin, Operator, User};

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { words: &["help"], arguments: "[<command>]", text: "(list matching or all commands)", level: User, run: help },
    Command { words: &["prompt"], arguments: "[help | n | i | p | timed]*", text: "(change the prompt and whether many lines are read)", level: User, run: prompt },
    Command { words: &["_getsocks"], arguments: "", text: "(hands the listening sockets to another process, where 'expose-fd listeners' allows it)", level: User, run: |call| if call.session.exposes_listeners { Flow::GiveListeners } else { Flow::Quit } },
    Command { words: &["quit"], arguments: "", text: "(disconnect)", level: User, run: |_| Flow::Quit },
    Command { words: &["echo"], arguments: "<text>", text: "print the text", level: User, run: echo },
    Command { words: &["operator"], arguments: "", text: "lower the level of this connection to operator", level: Operator, run: |call| lower(call, Operator) },
    Command { words: &["user"], arguments: "", text: "lower the level of this connection to user", level: User, run: |call| lower(call, User) },
    Command { words: &["expert-mode"], arguments: "[on|off]", text: "(allow or forbid the commands for experts: debug dev)", level: Admin, run: |call| mode(call, "expert-mode") },
    Command { words: &["experimental-mode"], arguments: "[on|off]", text: "(accepted for scripts: no command is experimental)", level: Admin, run: |call| mode(call, "experimental-mode") },
    Command { words: &["set", "timeout"], arguments: "[cli] <delay>", text: "change a time-out; its unit is seconds", level: User, run: set_timeout },
    Command { words: &["set", "severity-output"], arguments: "[none|number|string]", text: "show severities in feedback", level: User, run: set_severity },
    Command { words: &["show", "cli", "level"], arguments: "", text: "show the level of this connection", level: User, run: show_level },
    Command { words: &["show", "cli", "timeout"], arguments: "", text: "show the time-out of this connection", level: User, run: |call| {
        let text = crate::base::units::print_time_ms(call.session.timeout_ms);
        call.say(Severity::Info, &text)
    } },
];

/// What every help text ends with.
pub const ALWAYS_SHOWN: [&str; 3] = [
    "  help [<command>]                        : list matching or all commands\n",
    "  prompt [help | n | i | p | timed ]*     : toggle interactive mode with prompt\n",
    "  quit                                    : disconnect\n",
];

const PROMPT_USAGE: &str = "Usage: prompt [help | n | i | p | timed]*
Changes the prompt and whether more than one line is read. Options:
  help    show this help
  n       one line only, no prompt
  i       many lines, no prompt
  p       many lines and a prompt
  timed   show the uptime in the prompt, or stop it
Without an option: p, or n if that is p already.
";

fn help(call: &mut Call<'_>) -> Flow {
    let text = exec::usage(call.words, call.session.level, true);
    call.say(Severity::Info, &text)
}

fn prompt(call: &mut Call<'_>) -> Flow {
    let mut mode = None;
    let mut timed = false;
    for index in 1..call.words.len() {
        match call.arg(index) {
            "n" => mode = Some((false, false)),
            "i" => mode = Some((true, false)),
            "p" => mode = Some((true, true)),
            "timed" => timed = true,
            "help" => return call.say(Severity::Info, PROMPT_USAGE),
            _ => return call.error(PROMPT_USAGE),
        }
    }
    let session = &mut *call.session;
    if timed {
        session.timed = !session.timed;
        mode = mode.or(Some((true, true)));
    }
    (session.interactive, session.prompt) = match mode {
        Some(mode) => mode,
        None if session.interactive && session.prompt => (false, false),
        None => (true, true),
    };
    Flow::Done
}

fn echo(call: &mut Call<'_>) -> Flow {
    let text = call.words[1..].join(&b' ');
    let prefix = call.session.severity.prefix(Severity::Info);
    call.print(prefix);
    call.print(text);
    call.print("\n");
    Flow::Done
}

fn lower(call: &mut Call<'_>, level: CliLevel) -> Flow {
    call.session.no_line_end = call.arg(1) == "-";
    call.session.level = level;
    (call.session.expert, call.session.experimental) = (false, false);
    Flow::Done
}

fn mode(call: &mut Call<'_>, name: &str) -> Flow {
    call.session.no_line_end = call.arg(2) == "-";
    let word = call.arg(1).to_owned();
    let flag = match name {
        "expert-mode" => &mut call.session.expert,
        _ => &mut call.session.experimental,
    };
    if word.is_empty() {
        let state = if *flag { "ON" } else { "OFF" };
        return call.say(Severity::Info, &format!("{name} is {state}"));
    }
    *flag = word == "on";
    Flow::Done
}

fn set_timeout(call: &mut Call<'_>) -> Flow {
    if call.arg(2) != "cli" {
        return call.error("'set timeout' only supports 'cli'.");
    }
    if call.arg(3).is_empty() {
        return call.error("Expects an integer value.");
    }
    match parse_time(call.arg(3), TimeUnit::Second) {
        Ok(seconds) if seconds > 0 => {
            call.session.timeout_ms = seconds.saturating_mul(1000);
            Flow::Done
        }
        _ => call.error("Invalid timeout value."),
    }
}

fn set_severity(call: &mut Call<'_>) -> Flow {
    call.session.no_line_end = call.arg(3) == "-";
    call.session.severity = match call.arg(2) {
        "none" => SeverityOutput::None,
        "number" => SeverityOutput::Number,
        "string" => SeverityOutput::String,
        _ => return call.error("one of 'none', 'number', 'string' is a required argument"),
    };
    Flow::Done
}

fn show_level(call: &mut Call<'_>) -> Flow {
    let name = match call.session.level {
        Admin => "admin",
        Operator => "operator",
        User => "user",
    };
    call.say(Severity::Info, name)
}
