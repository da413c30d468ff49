//! Maps and ACL files: look at them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::control::admin::{Call, Command, Flow, PART_BYTES, Parts};
use crate::model::bind::CliLevel::Admin;
use crate::pattern::file::source;
use crate::pattern::{Kind, PatternSet, Place, Subject};
use crate::state::maps::LiveMap;

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { words: &["show", "map"], arguments: "[@<ver>] [map]", text: "report available maps or dump a map's contents", level: Admin, run: |call| show(call, MAP) },
    Command { words: &["show", "acl"], arguments: "[@<ver>] [acl]", text: "report available acls or dump an acl's contents", level: Admin, run: |call| show(call, ACL) },
    Command { words: &["get", "map"], arguments: "<map> <value>", text: "report the keys and values matching a sample for a map", level: Admin, run: |call| get(call, MAP) },
    Command { words: &["get", "acl"], arguments: "<acl> <value>", text: "report the patterns matching a sample for an ACL", level: Admin, run: |call| get(call, ACL) },
];

/// Which of the two a command is about.
#[derive(Clone, Copy)]
pub struct What {
    /// It is about maps.
    pub is_map: bool,
    /// Its word.
    pub word: &'static str,
    /// What messages call it.
    pub title: &'static str,
}

/// Maps.
pub const MAP: What = What { is_map: true, word: "map", title: "map" };
/// ACL files.
pub const ACL: What = What { is_map: false, word: "acl", title: "ACL" };

/// The map that word number `index` names: `#<number>`, or the file's name as configured.
pub fn find(call: &mut Call<'_>, index: usize, what: What) -> Option<Arc<LiveMap>> {
    find_where(call, index, what, false)
}

/// As [`find`], maps and ACLs alike.
pub fn find_any(call: &mut Call<'_>, index: usize, what: What) -> Option<Arc<LiveMap>> {
    find_where(call, index, what, true)
}

fn find_where(call: &mut Call<'_>, index: usize, what: What, any: bool) -> Option<Arc<LiveMap>> {
    let text = String::from_utf8_lossy(call.bytes(index)).into_owned();
    let registry = &call.control.model().registry;
    let found = match text.strip_prefix('#') {
        Some(number) => {
            let number: Option<u32> = number.parse().ok();
            // The newest, should a reload have left an older one of the same number.
            registry.maps().into_iter().rev().find(|(id, _)| Some(*id) == number).map(|(_, map)| map)
        }
        None => registry.map_by_name(source(&text).1),
    };
    let found = found.filter(|map| any || map.is_used_by(what.is_map));
    if found.is_none() {
        call.error(&format!("Unknown {} identifier. Please use #<id> or <file>.", what.title));
    }
    found
}

/// The number behind `@`, and where the words after it start.
pub fn version(call: &Call<'_>, index: usize) -> (Option<u32>, usize) {
    match call.arg(index).strip_prefix('@') {
        Some(number) => (Some(number.parse().unwrap_or(0)), index + 1),
        None => (None, index),
    }
}

fn show(call: &mut Call<'_>, what: What) -> Flow {
    let (wanted, at) = version(call, 2);
    if call.bytes(at).is_empty() {
        call.print("# id (file) description\n");
        for (id, map) in call.control.model().registry.maps() {
            if map.is_used_by(what.is_map) {
                call.print(format!(
                    "{id} ({}) {}. curr_ver={} next_ver={} entry_cnt={}\n",
                    map.name,
                    map.description(),
                    map.current_version(),
                    map.next_version(),
                    map.len()
                ));
            }
        }
        return Flow::Done;
    }
    let Some(map) = find(call, at, what) else { return Flow::Done };
    let set = match wanted {
        Some(version) => map.version(version),
        None => Some(map.snapshot()),
    };
    let Some(set) = set else { return Flow::Done };
    contents(set, map.is_map)
}

/// The shards looked through at a time: some ten thousand entries.
const SHARDS_PER_PART: usize = 32;

/// The entries of a set in the order of their addition. Finding that order takes a look at all of them, which is
/// done piece by piece as well.
fn contents(set: Arc<PatternSet>, is_map: bool) -> Flow {
    // Some shards at a time are put in order, and then merged: a million places sorted at once would hold the
    // control thread for a tenth of a second.
    let mut runs: Vec<std::vec::IntoIter<Place>> = Vec::new();
    let mut heads = BinaryHeap::new();
    let mut shards = Some(0);
    Flow::Parts(Parts::new(move |out| {
        if let Some(first) = shards {
            let mut run = Vec::new();
            shards = Some(first + SHARDS_PER_PART);
            for shard in first..first + SHARDS_PER_PART {
                match set.places(shard) {
                    Some(found) => run.extend(found),
                    None => shards = None,
                }
            }
            run.sort_unstable();
            let mut run = run.into_iter();
            heads.extend(run.next().map(|head| Reverse((head, runs.len()))));
            runs.push(run);
            return true;
        }
        while out.len() < PART_BYTES {
            let Some(Reverse((place, run))) = heads.pop() else { return false };
            heads.extend(runs[run].next().map(|head| Reverse((head, run))));
            let entry = set.at(place);
            out.extend_from_slice(format!("0x{:x} ", entry.id).as_bytes());
            out.extend_from_slice(entry.key);
            if is_map {
                out.push(b' ');
                out.extend_from_slice(entry.value);
            }
            out.push(b'\n');
        }
        true
    }))
}

fn get(call: &mut Call<'_>, what: What) -> Flow {
    if call.bytes(2).is_empty() || call.bytes(3).is_empty() {
        return call.error(&format!("Missing {} identifier and/or key.", what.title));
    }
    let sought = call.bytes(3).to_vec();
    let Some(map) = find_any(call, 2, what) else { return Flow::Done };
    let set = map.snapshot();
    for (kind, ignore_case) in map.uses() {
        look_up(call, &set, kind, ignore_case, &sought, what);
    }
    Flow::Done
}

fn look_up(call: &mut Call<'_>, set: &PatternSet, kind: Kind, ignore_case: bool, sought: &[u8], what: What) {
    use crate::pattern::Input;
    let text = String::from_utf8_lossy(sought);
    let subject = match kind.input() {
        Input::Int | Input::Bool => text.parse().ok().map(Subject::Int),
        Input::Ip => text.parse().ok().map(Subject::Ip),
        Input::Bytes | Input::Any => Some(Subject::Bytes(sought)),
    };
    let case = if ignore_case { "insensitive" } else { "sensitive" };
    call.print(format!("type={}, case={case}", kind.name()));
    let (found, key) = if what.is_map { ("found", "key") } else { ("match", "pattern") };
    // A truth is compared with no pattern, and nothing with existence.
    if kind == Kind::Bool && matches!(subject, Some(Subject::Int(n)) if n != 0) {
        return call.print(format!(", {found}=yes, idx=list, {key}=unknown\n"));
    }
    let subject = subject.filter(|_| kind != Kind::Found);
    let hit = subject.and_then(|subject| set.find(kind, ignore_case, subject));
    let Some(hit) = hit else {
        return call.print(format!(", {found}=no\n"));
    };
    // Where HAProxy keeps it, so that tools read what they know.
    let is_tree = match kind {
        Kind::Str | Kind::Beg => !ignore_case,
        kind => kind == Kind::Ip,
    };
    let index = if is_tree { "tree" } else { "list" };
    call.print(format!(", {found}=yes, idx={index}, {key}=\""));
    call.print(set.by_id(hit.id).map_or(&b""[..], |entry| entry.key));
    call.print("\"");
    if what.is_map {
        call.print(", value=\"");
        call.print(hit.value);
        call.print("\", type=\"str\"");
    }
    call.print("\n");
}
