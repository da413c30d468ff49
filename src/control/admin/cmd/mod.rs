//! The commands, by subject.

pub mod absent;
pub mod basic;
pub mod events;
pub mod frontend;
pub mod map;
pub mod map_change;
pub mod process;
pub mod server;
pub mod server_set;
pub mod session;
pub mod stat;
pub mod variable;

use super::Command;

/// The tables of every subject.
static TABLES: &[&[Command]] = &[
    basic::COMMANDS,
    stat::COMMANDS,
    server::COMMANDS,
    server_set::COMMANDS,
    frontend::COMMANDS,
    map::COMMANDS,
    map_change::COMMANDS,
    session::COMMANDS,
    process::COMMANDS,
    events::COMMANDS,
    variable::COMMANDS,
    absent::COMMANDS,
];

/// Every command.
pub fn all() -> impl Iterator<Item = &'static Command> {
    TABLES.iter().flat_map(|table| table.iter())
}
