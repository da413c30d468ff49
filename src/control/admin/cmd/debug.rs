//! `debug dev`: faults on order, for experts (manual: management, section 9.3 "debug dev").
//!
//! The manual leaves the list to `help`. Names are HAProxy's where it has such a command; `panic` differs in
//! what it hits, since here a panic costs one connection and not the process.

use std::os::fd::RawFd;
use std::sync::atomic::Ordering::Relaxed;

use crate::control::admin::{Call, Command, Flow, Severity};
use crate::engine::fault::POINTS;
use crate::model::bind::CliLevel::Admin;
use crate::sys;

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { words: &["debug", "dev", "panic"], arguments: "[request|connect|response|tunnel|thread]", text: "(make the next connection that comes to this point panic, or a data thread; experts only)", level: Admin, run: |call| expert(call, panic) },
    Command { words: &["debug", "dev", "close"], arguments: "<fd>", text: "(take this descriptor's file away from the process; experts only)", level: Admin, run: |call| expert(call, close) },
    Command { words: &["debug", "dev", "exit"], arguments: "[code]", text: "(end the process at once; experts only)", level: Admin, run: |call| expert(call, exit) },
];

fn expert(call: &mut Call<'_>, run: fn(&mut Call<'_>) -> Flow) -> Flow {
    if call.session.expert {
        call.control.process.debug_commands.fetch_add(1, Relaxed);
        return run(call);
    }
    call.error("This command is restricted to expert mode only: send 'expert-mode on' first.")
}

fn panic(call: &mut Call<'_>) -> Flow {
    let name = match call.arg(3) {
        "" => "request",
        name => name,
    };
    match POINTS.iter().find(|(known, _)| *known == name) {
        Some((_, point)) => {
            call.control.cores.order_fault(*point);
            Flow::Done
        }
        None => {
            let names = POINTS.map(|(name, _)| name).join(", ");
            call.error(&format!("'{name}' is no point to panic at; use one of {names}."))
        }
    }
}

fn close(call: &mut Call<'_>) -> Flow {
    let Ok(fd) = call.arg(3).parse::<RawFd>() else {
        return call.error("'debug dev close' expects the number of a descriptor ('show fd' lists them).");
    };
    match sys::process::take_file_away(fd) {
        Ok(()) => call.say(Severity::Info, &format!("Descriptor {fd} leads nowhere now.")),
        Err(error) => call.error(&format!("Descriptor {fd}: {error}.")),
    }
}

fn exit(call: &mut Call<'_>) -> Flow {
    let code = match call.arg(3) {
        "" => 1,
        text => match text.parse::<u8>() {
            Ok(code) => code,
            Err(_) => return call.error("'debug dev exit' expects a code from 0 to 255."),
        },
    };
    std::process::exit(code.into());
}

#[cfg(test)]
mod tests {
    use crate::control::mock;
    use crate::model::bind::CliLevel::Admin;

    #[test]
    fn experts_only_and_with_right_arguments() {
        let control = mock::control();
        for row in super::COMMANDS {
            let text = mock::ask(&control, Admin, &row.words.join(" "));
            assert!(text.contains("expert-mode on"), "{text}");
        }
        for (line, expected) in [
            ("debug dev panic nowhere", "use one of request, connect"),
            ("debug dev close x", "expects the number"),
            ("debug dev close 1000000", "Bad file descriptor"),
            ("debug dev exit 256", "from 0 to 255"),
        ] {
            let text = mock::ask_as_expert(&control, line);
            assert!(text.contains(expected), "{line}: {text}");
        }
        assert_eq!(mock::calls(), [""; 0]);
        assert_eq!(mock::ask_as_expert(&control, "debug dev panic response"), "");
        assert_eq!(mock::calls(), ["fault Response"]);
    }
}
