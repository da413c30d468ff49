//! Commands of HAProxy that have nothing to act on here yet: they say so rather than seem unknown.

use crate::control::admin::{Call, Command, Flow};
use crate::model::bind::CliLevel::{Admin, Operator, User};

/// The rows; `help` leaves them out.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { words: &["show", "peers"], arguments: "", text: "(of HAProxy)", level: User, run: absent },
    Command { words: &["show", "cache"], arguments: "", text: "(of HAProxy)", level: User, run: absent },
    Command { words: &["show", "ssl"], arguments: "", text: "(of HAProxy)", level: User, run: absent },
    Command { words: &["show", "profiling"], arguments: "", text: "(of HAProxy)", level: Operator, run: absent },
    Command { words: &["show", "tasks"], arguments: "", text: "(of HAProxy)", level: Operator, run: absent },
    Command { words: &["dump", "stats-file"], arguments: "", text: "(of HAProxy)", level: User, run: absent },
    Command { words: &["trace"], arguments: "", text: "(of HAProxy)", level: Admin, run: absent },
];

fn absent(call: &mut Call<'_>) -> Flow {
    let text = format!("'{} {}' is not available in this version.", call.arg(0), call.arg(1));
    call.error(&text)
}
