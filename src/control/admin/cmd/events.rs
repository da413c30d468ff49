//! Rings: `show events`.

use std::fmt::Write as _;

use crate::control::admin::{Call, Command, Flow, Severity};
use crate::control::ring::{Ring, SIZE_DEFAULT};
use crate::model::bind::CliLevel::{Operator, User};
use crate::sample::conv::flow::RING_DEFAULT;

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { words: &["show", "events"], arguments: "[<ring>] [-w] [-n] [-0]", text: "show the lines of a ring, or list the rings", level: User, run: show },
];

/// Outputs that keep nothing to show; what they could not take counts among the dropped logs.
const DESCRIPTORS: [(&str, u8); 2] = [("stdout", 1), ("stderr", 2)];

fn show(call: &mut Call<'_>) -> Flow {
    let name = call.arg(2).to_owned();
    let model = call.control.model();
    if name.is_empty() {
        let mut text = String::from(
            "Supported events sinks are listed below. Add -0(zero), -w(wait), -n(new). Any key to stop.\n",
        );
        let rings = call.control.admin.log.rings();
        let mut named: Vec<_> = model.rings.iter().collect();
        named.sort_unstable_by_key(|(_, ring)| ring.place);
        let dropped = |name: &str| rings.get(name).map_or(0, |ring| ring.dropped());
        for (name, number) in DESCRIPTORS {
            let _ = writeln!(text, "    {name:<10} : type=fd, 0 dropped, standard output (fd#{number})");
        }
        let _ = writeln!(
            text,
            "    {RING_DEFAULT:<10} : type=buffer, {} dropped, debugging events",
            dropped(RING_DEFAULT)
        );
        for (name, ring) in named {
            let _ = writeln!(
                text,
                "    {name:<10} : type=buffer, {} dropped, {}",
                dropped(name),
                ring.description
            );
        }
        drop(rings);
        return call.say(Severity::Warning, &text);
    }
    if !call.may(Operator) {
        return Flow::Done;
    }
    if DESCRIPTORS.iter().any(|(known, _)| *known == name) {
        return call.say(Severity::Notice, "Nothing to report for this sink");
    }
    if name != RING_DEFAULT && !model.rings.contains_key(&name) {
        return call.error("No such event sink");
    }
    let (mut follow, mut only_new, mut end) = (false, false, b'\n');
    for index in 3..call.words.len() {
        match call.arg(index) {
            "-w" => follow = true,
            "-n" => only_new = true,
            "-0" => end = 0,
            "-nw" | "-wn" => (follow, only_new) = (true, true),
            _ => return call.error("unknown option"),
        }
    }
    let size = model.rings.get(&name).map_or(SIZE_DEFAULT, |ring| ring.size);
    let mut rings = call.control.admin.log.rings();
    let ring = rings.entry(name.clone()).or_insert_with(|| Ring::new(size));
    let mut out = Vec::new();
    let from = if only_new { ring.next() } else { ring.read(0, end, &mut out) };
    drop(rings);
    call.print(out);
    if follow { Flow::Follow { ring: name, from, end } } else { Flow::Done }
}
