//! The commands, by subject.

pub mod absent;
mod authorities;
pub mod basic;
mod certificates;
pub mod debug;
pub mod events;
pub mod frontend;
pub mod map;
pub mod map_change;
pub mod process;
pub mod roster;
pub mod server;
pub mod server_set;
pub mod session;
pub mod stat;
pub mod table;
pub mod variable;

use super::Command;
use crate::base::doc::{DocEntry, Support};

/// The tables of every subject.
static TABLES: &[&[Command]] = &[
    basic::COMMANDS,
    stat::COMMANDS,
    server::COMMANDS,
    server_set::COMMANDS,
    roster::COMMANDS,
    frontend::COMMANDS,
    map::COMMANDS,
    map_change::COMMANDS,
    certificates::COMMANDS,
    authorities::COMMANDS,
    table::COMMANDS,
    session::COMMANDS,
    process::COMMANDS,
    events::COMMANDS,
    variable::COMMANDS,
    debug::COMMANDS,
    absent::COMMANDS,
];

/// Every command.
pub fn all() -> impl Iterator<Item = &'static Command> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// The commands for the manual.
pub fn documentation() -> Vec<DocEntry> {
    let is_absent = |command: &Command| absent::COMMANDS.iter().any(|other| other.words == command.words);
    let support = |command: &Command| match is_absent(command) {
        true => Support::Refused("the command answers that it is not available"),
        false => Support::Full,
    };
    all().map(|command| command.document(support(command))).collect()
}
