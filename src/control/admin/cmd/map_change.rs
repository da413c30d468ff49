//! Maps and ACL files: change them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::map::{ACL, MAP, What, find, find_any, version};
use crate::control::Control;
use crate::control::admin::{Call, Command, Flow, Parts, Severity};
use crate::control::map_writeback;
use crate::model::bind::CliLevel::Admin;
use crate::state::maps::LiveMap;

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { words: &["add", "map"], arguments: "[@<ver>] <map> <key> <val>", text: "add a map entry (payload supported instead of key/val)", level: Admin, run: |call| add(call, MAP) },
    Command { words: &["add", "acl"], arguments: "[@<ver>] <acl> <pattern>", text: "add an acl entry", level: Admin, run: |call| add(call, ACL) },
    Command { words: &["set", "map"], arguments: "<map> [<key>|#<ref>] <value>", text: "change a map entry, or add one whose key is new", level: Admin, run: set },
    Command { words: &["del", "map"], arguments: "<map> [<key>|#<ref>]", text: "delete map entries matching <key>", level: Admin, run: |call| del(call, MAP) },
    Command { words: &["del", "acl"], arguments: "<acl> [<key>|#<ref>]", text: "delete acl entries matching <key>", level: Admin, run: |call| del(call, ACL) },
    Command { words: &["clear", "map"], arguments: "[@<ver>] <map>", text: "clear the contents of this map", level: Admin, run: |call| clear(call, MAP) },
    Command { words: &["clear", "acl"], arguments: "[@<ver>] <acl>", text: "clear the contents of this acl", level: Admin, run: |call| clear(call, ACL) },
    Command { words: &["prepare", "map"], arguments: "<map>", text: "prepare a new version for atomic map replacement", level: Admin, run: |call| prepare(call, MAP) },
    Command { words: &["prepare", "acl"], arguments: "<acl>", text: "prepare a new version for atomic ACL replacement", level: Admin, run: |call| prepare(call, ACL) },
    Command { words: &["commit", "map"], arguments: "@<ver> <map>", text: "commit the map at this version", level: Admin, run: |call| commit(call, MAP) },
    Command { words: &["commit", "acl"], arguments: "@<ver> <acl>", text: "commit the ACL at this version", level: Admin, run: |call| commit(call, ACL) },
];

/// A reference behind `#0x`: `None` if the word is a key, an error if it is malformed.
fn reference(word: &[u8]) -> Option<Result<u64, &'static str>> {
    let digits = word.strip_prefix(b"#0x")?;
    let text = std::str::from_utf8(digits).unwrap_or("");
    Some(u64::from_str_radix(text, 16).map_err(|_| "Malformed identifier. Please use #<id> or <file>."))
}

fn count(control: &Control, added: usize, freed: usize) {
    let process = &control.process;
    process.patterns_added.fetch_add(added as u64, Relaxed);
    process.patterns_freed.fetch_add(freed as u64, Relaxed);
}

fn add(call: &mut Call<'_>, what: What) -> Flow {
    let (wanted, at) = version(call, 2);
    let words = call.words.len().saturating_sub(at);
    // A payload without a line is as good as none.
    let payload = call.payload.filter(|payload| !payload.is_empty());
    if what.is_map {
        if words < 3 && !(payload.is_some() && words >= 1) {
            return call.error(
                "'add map' expects three parameters (map identifier, key and value) \
                 or one parameter (map identifier) and a payload",
            );
        }
    } else if words < 2 && !(payload.is_some() && words >= 1) {
        return call.error("'add acl' expects two parameters: ACL identifier and pattern.");
    }
    let Some(map) = find_any(call, at, what) else { return Flow::Done };
    if map.is_map != what.is_map {
        return call.error(if map.is_map {
            "This ACL is shared with a map containing samples. You must use the command 'add map' to add values."
        } else {
            "This is a list of patterns, without values. You must use the command 'add acl' to add to it."
        });
    }
    if let Some(payload) = payload {
        return add_payload(call, map, wanted, payload.to_vec(), what);
    }
    let value = if what.is_map { call.bytes(at + 2) } else { &[] };
    let (added, outcome) = add_lines(&map, wanted, std::iter::once((call.bytes(at + 1), value)), what);
    count(call.control, added, 0);
    if added > 0 {
        map_writeback::changed(call.control, &map);
    }
    match outcome {
        Ok(()) => Flow::Done,
        Err(text) => call.error(&text),
    }
}

/// Lines of a payload that are added with one publication. Checks and other commands go on between two, and a
/// rule that changes the same map waits for one at most.
const LINES_PER_PART: usize = 256;

/// One entry per line; those before a bad line stay.
fn add_payload(
    call: &Call<'_>,
    map: Arc<LiveMap>,
    wanted: Option<u32>,
    payload: Vec<u8>,
    what: What,
) -> Flow {
    let control = call.control.clone();
    let prefix = call.session.severity.prefix(Severity::Error);
    let mut from = 0;
    Flow::Parts(Parts::new(move |out| {
        let mut bad = None;
        let mut end = from;
        let mut entries = Vec::new();
        while end < payload.len() && entries.len() < LINES_PER_PART && bad.is_none() {
            let line_end = memchr::memchr(b'\n', &payload[end..]).map_or(payload.len(), |at| end + at);
            let line = &payload[end..line_end];
            end = line_end + 1;
            if line.is_empty() {
                continue;
            }
            let blank = line.iter().position(|byte| matches!(byte, b' ' | b'\t'));
            match blank {
                Some(at) if what.is_map => entries.push((&line[..at], line[at..].trim_ascii_start())),
                None if what.is_map => {
                    bad = Some(format!("Missing value for key '{}'.", String::from_utf8_lossy(line)));
                }
                _ => entries.push((line, &[][..])),
            }
        }
        from = end;
        if !entries.is_empty() {
            let (added, outcome) = add_lines(&map, wanted, entries.into_iter(), what);
            count(&control, added, 0);
            if added > 0 {
                map_writeback::changed(&control, &map);
            }
            bad = outcome.err().or(bad);
        }
        if let Some(text) = &bad {
            out.extend_from_slice(format!("{prefix}{text}\n").as_bytes());
        }
        bad.is_none() && from < payload.len()
    }))
}

/// Adds entries to the current version, or to one that is prepared: how many, and what is wrong with the next.
fn add_lines<'t>(
    map: &LiveMap,
    wanted: Option<u32>,
    mut entries: impl Iterator<Item = (&'t [u8], &'t [u8])>,
    what: What,
) -> (usize, Result<(), String>) {
    let is_current = wanted.is_none_or(|version| version == map.current_version());
    let mut added = 0;
    let outcome = if is_current {
        let outcome;
        (added, outcome) = map.add_all(entries);
        outcome.map_err(|error| format!("{}.", error.0))
    } else {
        let version = wanted.unwrap_or_default();
        entries.try_for_each(|(key, value)| match map.add_to(version, key, value) {
            Some(Ok(_)) => {
                added += 1;
                Ok(())
            }
            Some(Err(error)) => Err(format!("{}.", error.0)),
            None => Err(format!("Version number in the future, please use 'prepare {}' before.", what.word)),
        })
    };
    (added, outcome)
}

fn set(call: &mut Call<'_>) -> Flow {
    if call.words.len() < 5 {
        return call.error("'set map' expects three parameters: map identifier, key and value.");
    }
    let Some(map) = find_any(call, 2, MAP) else { return Flow::Done };
    let outcome = match reference(call.bytes(3)) {
        Some(Ok(id)) if map.set_by_id(id, call.bytes(4)) => Ok(()),
        Some(Ok(_)) => Err("entry not found.".to_owned()),
        Some(Err(text)) => Err(text.to_owned()),
        // Where HAProxy refuses a new key, scripts that keep a map up to date want it added.
        None => match map.set(call.bytes(3), call.bytes(4)) {
            Ok(crate::state::maps::Upsert::Added) => {
                count(call.control, 1, 0);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{}.", error.0)),
        },
    };
    match outcome {
        Ok(()) => {
            map_writeback::changed(call.control, &map);
            Flow::Done
        }
        Err(text) => call.error(&text),
    }
}

fn del(call: &mut Call<'_>, what: What) -> Flow {
    if call.bytes(2).is_empty() || call.bytes(3).is_empty() {
        return call
            .error(&format!("This command expects two parameters: {} identifier and key.", what.title));
    }
    let Some(map) = find(call, 2, what) else { return Flow::Done };
    let removed = match reference(call.bytes(3)) {
        Some(Ok(id)) => usize::from(map.remove_by_id(id)),
        Some(Err(text)) => return call.error(text),
        None => map.remove(call.bytes(3)),
    };
    if removed == 0 {
        return call.error("Key not found.");
    }
    count(call.control, 0, removed);
    map_writeback::changed(call.control, &map);
    Flow::Done
}

fn clear(call: &mut Call<'_>, what: What) -> Flow {
    let (wanted, at) = version(call, 2);
    if call.bytes(at).is_empty() {
        return call.error(&format!("Missing {} identifier.", what.title));
    }
    let Some(map) = find(call, at, what) else { return Flow::Done };
    let before = map.len();
    match wanted {
        None => map.clear(),
        // A version that is not there is as empty as one that was cleared.
        Some(version) => {
            map.clear_version(version);
        }
    }
    count(call.control, 0, before.saturating_sub(map.len()));
    if map.is_dirty() {
        map_writeback::changed(call.control, &map);
    }
    Flow::Done
}

fn prepare(call: &mut Call<'_>, what: What) -> Flow {
    let Some(map) = find(call, 2, what) else { return Flow::Done };
    let version = map.prepare();
    call.say(Severity::Info, &format!("New version created: {version}"))
}

fn commit(call: &mut Call<'_>, what: What) -> Flow {
    let (Some(wanted), at) = version(call, 2) else {
        return call.error("Missing version number.");
    };
    if call.bytes(at).is_empty() {
        return call.error(&format!("Missing {} identifier.", what.title));
    }
    let Some(map) = find(call, at, what) else { return Flow::Done };
    let before = map.len();
    if !map.commit(wanted) {
        return call.error("Version number out of range.");
    }
    count(call.control, 0, before);
    map_writeback::changed(call.control, &map);
    Flow::Done
}

#[cfg(test)]
mod tests {
    use super::Flow;
    use crate::control::admin::{Session, exec};
    use crate::control::mock::{ask, ask_with, control};
    use crate::model::bind::CliLevel::{Admin, Operator};
    use crate::pattern::Kind;

    /// Answers with the references, which differ from run to run, taken out.
    fn without_references(text: &str) -> String {
        let line = |line: &str| match line.strip_prefix("0x").and_then(|rest| rest.split_once(' ')) {
            Some((_, rest)) => format!("{rest}\n"),
            None => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    }

    #[test]
    fn maps_are_shown_and_changed() {
        let control = control();
        let registry = control.model().registry.clone();
        let map = registry.map("/maps/a.map", true).0;
        map.load_text(b"k1 v1\nk2 v2\n").unwrap();
        map.describe(true, "a.cfg", 3);
        map.use_as(Kind::Str, false).unwrap();
        let list = registry.map("/acl/b.lst", false).0;
        list.load_text(b"10\n").unwrap();
        list.use_as(Kind::Str, false).unwrap();
        let known = "Unknown map identifier. Please use #<id> or <file>.\n";
        for (line, expected) in [
            (
                "show map",
                "# id (file) description\n0 (/maps/a.map) pattern loaded from file '/maps/a.map' used by map at file 'a.cfg' line 3. \
                 curr_ver=0 next_ver=0 entry_cnt=2\n",
            ),
            ("show map #0", "k1 v1\nk2 v2\n"),
            ("show map /maps/a.map", "k1 v1\nk2 v2\n"),
            ("show map file@/maps/a.map", "k1 v1\nk2 v2\n"),
            ("show map /maps/x.map", known),
            ("show acl #1", "10\n"),
            ("show acl #0", "Unknown ACL identifier. Please use #<id> or <file>.\n"),
            (
                "get map #0 k1",
                "type=str, case=sensitive, found=yes, idx=tree, key=\"k1\", value=\"v1\", type=\"str\"\n",
            ),
            ("get map #0 zz", "type=str, case=sensitive, found=no\n"),
            ("get acl #1 10", "type=str, case=sensitive, match=yes, idx=tree, pattern=\"10\"\n"),
            ("get map #0", "Missing map identifier and/or key.\n"),
            ("add map #0 k3 v3", ""),
            (
                "add map #0 k3",
                "'add map' expects three parameters (map identifier, key and value) or one parameter (map identifier) and a payload\n",
            ),
            ("add acl #1", "'add acl' expects two parameters: ACL identifier and pattern.\n"),
            (
                "add map #1 k v",
                "This is a list of patterns, without values. You must use the command 'add acl' to add to it.\n",
            ),
            (
                "add acl #0 k",
                "This ACL is shared with a map containing samples. You must use the command 'add map' to add values.\n",
            ),
            ("set map #0 k1 new", ""),
            ("set map #0 k4 v\\ 4", ""),
            ("set map #0 #0x7 x", "entry not found.\n"),
            ("set map #0 #0xzz x", "Malformed identifier. Please use #<id> or <file>.\n"),
            ("set map #0 k1", "'set map' expects three parameters: map identifier, key and value.\n"),
            ("set map nope k1 x", known),
            ("del map #0 k2", ""),
            ("del map #0 k2", "Key not found.\n"),
            ("del map #0", "This command expects two parameters: map identifier and key.\n"),
            ("show map #0", "k1 new\nk3 v3\nk4 v 4\n"),
            ("prepare map #0", "New version created: 1\n"),
            ("add map @1 #0 n 1", ""),
            ("add map @9 #0 n 1", "Version number in the future, please use 'prepare map' before.\n"),
            ("show map @1 #0", "n 1\n"),
            ("commit map #0", "Missing version number.\n"),
            ("commit map @1", "Missing map identifier.\n"),
            ("commit map @7 #0", "Version number out of range.\n"),
            ("commit map @1 #0", ""),
            ("show map #0", "n 1\n"),
            ("clear map", "Missing map identifier.\n"),
            ("clear map #0", ""),
            ("show map #0", ""),
        ] {
            assert_eq!(without_references(&ask(&control, Admin, line)), expected, "{line}");
        }
        assert_eq!(ask(&control, Operator, "show map"), "Permission denied\n");
    }

    #[test]
    fn references_name_entries() {
        let control = control();
        control.model().registry.map("m", true).0.load_text(b"a 1\nb 2\n").unwrap();
        let shown = ask(&control, Admin, "show map m");
        let second = shown.lines().nth(1).unwrap().split(' ').next().unwrap().to_owned();
        assert_eq!(ask(&control, Admin, &format!("set map m #{second} two")), "");
        assert_eq!(without_references(&ask(&control, Admin, "show map m")), "a 1\nb two\n");
        assert_eq!(ask(&control, Admin, &format!("del map m #{second}")), "");
        assert_eq!(without_references(&ask(&control, Admin, "show map m")), "a 1\n");
    }

    #[test]
    fn payloads_add_a_line_each() {
        let control = control();
        control.model().registry.map("m", true).0.load_text(b"").unwrap();
        for (payload, expected, after) in [
            ("a 1\nb  two words\n", "", "a 1\nb two words\n"),
            (
                "",
                "'add map' expects three parameters (map identifier, key and value) or one parameter (map identifier) and a payload\n",
                "a 1\nb two words\n",
            ),
            ("c 3\nd", "Missing value for key 'd'.\n", "a 1\nb two words\nc 3\n"),
        ] {
            assert_eq!(ask_with(&control, Admin, "add map m", payload.as_bytes()), expected);
            assert_eq!(without_references(&ask(&control, Admin, "show map m")), after);
        }
    }

    #[test]
    fn a_long_payload_is_added_in_parts() {
        let control = control();
        let map = control.model().registry.map("m", true).0;
        map.load_text(b"").unwrap();
        let payload: String = (0..10_000).map(|number| format!("k{number} v\n")).collect();
        let mut session = Session::new(Admin, 10_000);
        let words = [b"add".to_vec(), b"map".to_vec(), b"m".to_vec()];
        let mut out = Vec::new();
        let flow = exec::run(&control, &mut session, &words, Some(payload.as_bytes()), &mut out);
        let Flow::Parts(mut parts) = flow else { panic!("all at once") };
        let (mut count, mut before) = (1, 0);
        while parts.fill(&mut out) {
            count += 1;
            assert!(map.len() - before <= 1000, "others have their turn soon");
            before = map.len();
        }
        assert!(count > 10 && out.is_empty());
        assert_eq!(map.len(), 10_000);
    }
}
