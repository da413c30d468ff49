//! Sessions in progress: list them, end them.

use crate::control::admin::{Call, Command, Flow, Severity};
use crate::model::bind::CliLevel::{Admin, Operator};

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { words: &["show", "sess"], arguments: "[help|<id>|all]", text: "report the list of current sessions, or one of them", level: Operator, run: show },
    Command { words: &["shutdown", "session"], arguments: "<id>", text: "kill a specific session", level: Admin, run: shutdown },
];

const HELP: &str = "Usage: show sess [help|<id>|all]
  help   show this help
  <id>   show one session, by the identifier its line begins with
  all    show every session (the default)
";

fn show(call: &mut Call<'_>) -> Flow {
    let wanted = call.arg(2).to_owned();
    match &*wanted {
        "help" => return call.say(Severity::Info, HELP),
        "" | "all" => {
            for line in call.control.cores.list_sessions() {
                call.print(line.trim_end_matches('\n'));
                call.print("\n");
            }
        }
        id => {
            let lines = call.control.cores.list_sessions();
            match lines.iter().find(|line| line.split(':').next() == Some(id)) {
                Some(line) => call.print(format!("{}\n", line.trim_end_matches('\n'))),
                None => return call.error("Session not found."),
            }
        }
    }
    Flow::Done
}

fn shutdown(call: &mut Call<'_>) -> Flow {
    if !call.arg(2).starts_with("0x") {
        return call.error("Session pointer expected (use 'show sess').");
    }
    if call.control.cores.shutdown_session(call.arg(2)) {
        Flow::Done
    } else {
        call.error("No such session (use 'show sess').")
    }
}

#[cfg(test)]
mod tests {
    use crate::control::mock::{ask, control};
    use crate::model::bind::CliLevel::Admin;

    #[test]
    fn sessions_are_listed_and_ended() {
        let control = control();
        for (line, expected) in [
            ("show sess", "0x1: proto=tcpv4 fe=fe\n0x2: proto=tcpv4 fe=fe\n"),
            ("show sess 0x2", "0x2: proto=tcpv4 fe=fe\n"),
            ("show sess 0x3", "Session not found.\n"),
            ("shutdown session", "Session pointer expected (use 'show sess').\n"),
            ("shutdown session 0x9", "No such session (use 'show sess').\n"),
            ("shutdown session 0x1", ""),
        ] {
            assert_eq!(ask(&control, Admin, line), expected, "{line}");
        }
    }
}
