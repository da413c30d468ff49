//! Finds the row of a command, checks the caller's level, runs it; helps with what it does not know.

use std::rc::Rc;

use super::cmd;
use super::line::WORDS_MAX;
use super::{Call, Command, Flow, Session};
use crate::control::Control;
use crate::diag;
use crate::model::bind::CliLevel;

/// The letters of an unknown command that others are compared with.
const WANTED_MAX: usize = 64;
/// The most suggestions for a mistyped command.
const SUGGESTIONS_MAX: usize = 5;

/// Runs one command; its answer is appended to `out`.
pub fn run(
    control: &Rc<Control>,
    session: &mut Session,
    words: &[Vec<u8>],
    payload: Option<&[u8]>,
    out: &mut Vec<u8>,
) -> Flow {
    let mut call = Call { control, session, words, payload, out };
    if words.is_empty() {
        return Flow::Done;
    }
    if words.len() > WORDS_MAX {
        return call.error(&format!("Too many arguments. Commands must have at most {WORDS_MAX} arguments."));
    }
    match find(words) {
        Some(command) if call.may(command.level) => (command.run)(&mut call),
        Some(_) => Flow::Done,
        None => {
            let text = usage(words, call.session.level, false);
            call.error(&text)
        }
    }
}

/// The row whose words begin the command; the one with most words if several do.
fn find(words: &[Vec<u8>]) -> Option<&'static Command> {
    let matches = |command: &&Command| {
        command.words.len() <= words.len()
            && command.words.iter().zip(words).all(|(known, given)| known.as_bytes() == &given[..])
    };
    cmd::all().filter(matches).max_by_key(|command| command.words.len())
}

/// The text of `help`, or the one about an unknown command: rows that begin with the words that
/// are right, or those that look alike, or all.
pub fn usage(words: &[Vec<u8>], level: CliLevel, is_help: bool) -> String {
    let words: Vec<String> = words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let words = if is_help { &words[1.min(words.len())..] } else { &words[..] };
    let visible = || cmd::all().filter(|command| command.is_listed() && command.level <= level);
    let common = |command: &Command| {
        command.words.iter().zip(words).take_while(|(known, given)| **known == given.as_str()).count()
    };
    let length = visible().map(common).max().unwrap_or(0);
    let mut text = if is_help {
        "The following commands are valid at this level:\n".to_owned()
    } else {
        let first = words.first().map_or("", String::as_str);
        format!("Unknown command: '{first}', but maybe one of the following ones is a better match:\n")
    };

    let mut shown: Vec<&Command> = Vec::new();
    if words.len() > length {
        let wanted = words[length..].join(" ");
        let mut left: Vec<(String, &Command)> = visible()
            .filter(|command| common(command) == length && command.words.len() > length)
            .map(|command| (command.words[length..].join(" "), command))
            .collect();
        while shown.len() < SUGGESTIONS_MAX {
            let nearest = diag::closest(&wanted, left.iter().map(|(name, _)| name.as_str()));
            let Some(nearest) = nearest.map(str::to_owned) else { break };
            shown.extend(left.iter().filter(|(name, _)| *name == nearest).map(|(_, command)| *command));
            left.retain(|(name, _)| *name != nearest);
        }
    }
    if shown.is_empty() {
        shown = visible().filter(|command| common(command) == length).collect();
        if !is_help && shown.len() > SUGGESTIONS_MAX {
            // Nothing is near: the least far, so that the mistake stays in sight.
            let wanted = words[length.min(words.len())..].join(" ");
            let wanted: String = wanted.chars().take(WANTED_MAX).collect();
            shown.sort_by_cached_key(|command| diag::distance(&wanted, &command.words[length..].join(" ")));
            shown.truncate(SUGGESTIONS_MAX);
        }
    }
    let mut lines: Vec<String> = shown.iter().map(|command| usage_line(command)).collect();
    lines.sort_unstable();
    lines.dedup();
    text.push_str(&lines.concat());
    for command in cmd::basic::ALWAYS_SHOWN {
        text.push_str(command);
    }
    text
}

fn usage_line(command: &Command) -> String {
    let call = format!("{} {}", command.words.join(" "), command.arguments);
    format!("  {:<40}: {}\n", call.trim_end(), command.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn the_longest_row_wins() {
        for (line, expected) in [
            ("show info typed", Some("show info")),
            ("show servers state be", Some("show servers state")),
            ("shutdown sessions server be/s1", Some("shutdown sessions server")),
            ("show", None),
            ("shows info", None),
        ] {
            let found = find(&words(line)).map(|command| command.words.join(" "));
            assert_eq!(found.as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn helps_with_what_is_unknown() {
        let text = usage(&words("show inf"), CliLevel::Admin, false);
        let head = "Unknown command: 'show', but maybe one of the following ones is a better match:\n";
        assert!(text.starts_with(head) && text.contains("\n  show info "), "{text}");
        assert!(!text.contains("  disable server"), "{text}");
        // However far off, the answer stays short.
        for line in ["zzzzzzzz", "show", "show zzzzzzz", "set", "x y z"] {
            let text = usage(&words(line), CliLevel::Admin, false);
            let lines = text.lines().count();
            assert!(
                text.contains("  quit  ") && (5..=1 + SUGGESTIONS_MAX + 3).contains(&lines),
                "{line}: {text}"
            );
        }
        let text = usage(&words("help clear"), CliLevel::Admin, true);
        assert!(text.starts_with("The following commands are valid at this level:\n"));
        assert!(
            text.contains("  clear counters [all|server <bk>/<srv> [force]]")
                && !text.contains("  show info")
        );
    }

    #[test]
    fn rows_are_unique_and_described() {
        let mut names: Vec<String> = cmd::all().map(|command| command.words.join(" ")).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn long_answers_are_made_as_they_are_read() {
        use crate::control::mock;
        use crate::state::table::{KeyType, testing};
        use crate::stats::fixture;
        let table = testing::table(KeyType::Integer, 20_000, &[]);
        (0..20_000u32).for_each(|key| drop(table.find_or_create(&key.to_be_bytes(), 1)));
        let control = mock::control_with(|model| {
            let registry = model.registry.clone();
            let mut many = fixture::proxy(&registry, "many", 10, 2);
            many.is_backend = true;
            let server = |id: u32| fixture::server(&registry, "many", &format!("s{id}"), id, false);
            many.servers = (1..=5_000).map(server).collect();
            many.table = Some(table);
            model.proxies.push(many.into());
        });
        let registry = control.model().registry.clone();
        let lines: String = (0..50_000).map(|number| format!("key{number} value{number}\n")).collect();
        registry.map("/big.map", true).0.load_text(lines.as_bytes()).unwrap();
        registry.map("/big.lst", false).0.load_text(lines.as_bytes()).unwrap();
        for (command, rows) in [
            ("show stat", 5_000 + 4 + 1 + 1),
            ("show stat typed", 5_000 * 60),
            ("show stat json", 0),
            ("show servers state", 5_000 + 2 + 2),
            ("show servers conn", 5_000 + 2 + 1),
            ("show table t", 20_000 + 1),
            ("show map /big.map", 50_000),
            ("show acl /big.lst", 50_000),
        ] {
            let parts = mock::parts(&control, command);
            // A part, and the object that went over it.
            let longest = parts.iter().map(Vec::len).max().unwrap();
            assert!(longest < 2 * super::super::PART_BYTES, "{command}: {longest} bytes ahead of the reader");
            let whole = parts.concat();
            let found = whole.iter().filter(|byte| **byte == b'\n').count();
            assert!(
                found >= rows && whole.len() > 200_000,
                "{command}: {found} lines, {} bytes",
                whole.len()
            );
        }
        // Entries come in the order in which they were added.
        let text = String::from_utf8(mock::parts(&control, "show map /big.map").concat()).unwrap();
        let mut keys = text.lines().map(|line| line.split(' ').nth(1).unwrap());
        assert!(
            (0..50_000).all(|number| keys.next() == Some(&*format!("key{number}"))) && keys.next().is_none()
        );
    }
}
