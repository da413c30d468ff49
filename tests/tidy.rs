//! Checks the order of the modules: which module may look at which, what decisions may not touch,
//! and the small habits that reviewers would otherwise have to repeat.
//!
//! Every rule is a function over text that returns its complaints, so that each is shown below to
//! find what it is there to find; one test then runs them all over the tree.

mod dependencies;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The modules below the line, which do what the modules above decide.
const DOING: &[&str] = &["sys", "net", "engine", "control", "process"];

/// The widest line, strings aside.
const COLUMNS_MAX: usize = 120;

/// A source file in the forms that rules want.
struct Source {
    /// Its path below `src`, or from the root for other files.
    path: String,
    /// As it is.
    text: String,
    /// Without comments, and with empty strings.
    code: String,
    /// With comments, but with empty strings.
    unquoted: String,
    /// `code` without what is compiled for tests only.
    shipped: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let (code, unquoted) = (strip(text, false), strip(text, true));
        let shipped = without_tests(&code);
        Source { path: path.into(), text: text.into(), code, unquoted, shipped }
    }
    /// The module it belongs to: the first directory, or nothing for the library's own files.
    fn room(&self) -> &str {
        self.path.split_once('/').map_or("", |(room, _)| room)
    }
}

/// The text with the contents of strings removed, and comments too unless they are kept. Lines stay.
fn strip(text: &str, keep_comments: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    let newlines = |from: usize, to: usize, out: &mut Vec<u8>| {
        out.extend(bytes[from..to].iter().filter(|byte| **byte == b'\n'));
    };
    while at < bytes.len() {
        let rest = &bytes[at..];
        let word_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let end = if rest.starts_with(b"//") {
            let end = at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            if keep_comments {
                out.extend_from_slice(&bytes[at..end]);
            }
            end
        } else if rest.starts_with(b"/*") {
            let end = find(bytes, at + 2, b"*/");
            newlines(at, end, &mut out);
            end
        } else if let Some(hashes) = raw_string(rest).filter(|_| !word_before || rest[0] == b'"') {
            let close = [&b"\""[..], &b"#".repeat(hashes)].concat();
            let open = at + rest.iter().position(|byte| *byte == b'"').expect("a raw string has quotes");
            let end = find(bytes, open + 1, &close);
            out.extend_from_slice(b"\"");
            newlines(at, end, &mut out);
            out.extend_from_slice(b"\"");
            end
        } else if rest[0] == b'"' {
            let mut end = at + 1;
            while end < bytes.len() && bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            let end = (end + 1).min(bytes.len());
            out.extend_from_slice(b"\"");
            newlines(at, end, &mut out);
            out.extend_from_slice(b"\"");
            end
        } else if let Some(length) = character(rest) {
            out.extend_from_slice(b"''");
            at + length
        } else {
            out.push(rest[0]);
            at + 1
        };
        at = end;
    }
    String::from_utf8(out).expect("only whole characters were removed")
}

/// The place behind the next `what` from `from` on.
fn find(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    let found = bytes[from..].windows(what.len()).position(|window| window == what);
    found.map_or(bytes.len(), |found| from + found + what.len())
}

/// The number of hashes if a raw string starts here.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let after = rest.strip_prefix(b"br").or_else(|| rest.strip_prefix(b"r"))?;
    let hashes = after.iter().take_while(|byte| **byte == b'#').count();
    (after.get(hashes) == Some(&b'"')).then_some(hashes)
}

/// The length of a character literal if one starts here; a lifetime is none.
fn character(rest: &[u8]) -> Option<usize> {
    if rest[0] != b'\'' {
        return None;
    }
    if rest.get(1) == Some(&b'\\') {
        return rest.iter().skip(3).position(|byte| *byte == b'\'').map(|end| end + 4);
    }
    let width = std::str::from_utf8(&rest[1..rest.len().min(5)])
        .map_or_else(|error| error.valid_up_to(), str::len)
        .min(4);
    let first = std::str::from_utf8(&rest[1..1 + width]).ok()?.chars().next()?.len_utf8();
    (rest.get(1 + first) == Some(&b'\'')).then_some(first + 2)
}

/// The code without the items under `#[cfg(test)]`; lines stay.
fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        let item = &rest[at..];
        let mut depth = 0;
        let end = item.char_indices().skip("#[cfg(test)]".len()).find(|(_, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0 && matches!(c, ';' | '}')
        });
        let end = end.map_or(item.len(), |(end, _)| end + 1);
        out.extend(item[..end].chars().filter(|c| *c == '\n'));
        rest = &item[end..];
    }
    out.push_str(rest);
    out
}

/// Whether `word` stands in `line` with no letter beside it.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(part)
            && !line[at + word.len()..].chars().next().is_some_and(part)
    })
}

/// Complaints about the lines of `text` that `wrong` finds something in.
fn lines(source: &Source, text: &str, wrong: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let numbered = text.lines().enumerate();
    numbered
        .filter_map(|(at, line)| wrong(line).map(|what| format!("{}:{}: {what}", source.path, at + 1)))
        .collect()
}

/// The modules in the order in which the library declares them.
fn rooms(library: &str) -> Vec<String> {
    let declared = library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    declared.map(str::to_owned).collect()
}

/// A module looks only at modules that stand above it.
fn looks_down(source: &Source, rooms: &[String]) -> Vec<String> {
    let place = |room: &str| rooms.iter().position(|other| other == room);
    let Some(own) = place(source.room()) else { return Vec::new() };
    lines(source, &source.code, |line| {
        let mut names = Vec::new();
        for (at, _) in line.match_indices("crate::") {
            let path = &line[at + "crate::".len()..];
            match path.strip_prefix('{') {
                Some(group) => names.extend(group.split(',').map(first_word)),
                None => names.push(first_word(path)),
            }
        }
        let low = names.into_iter().find(|name| place(name).is_some_and(|place| place > own));
        low.map(|low| format!("{} looks down at {low}, which stands below it", source.room()))
    })
}

fn first_word(path: &str) -> &str {
    let path = path.trim_start();
    &path[..path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len())]
}

/// A module above the line decides: it waits for nothing and touches nothing outside.
fn does_things(source: &Source) -> Vec<String> {
    if DOING.contains(&source.room()) || source.room().is_empty() {
        return Vec::new();
    }
    let clock = source.path == "base/clock.rs";
    lines(source, &source.shipped, |line| {
        for word in
            ["async", ".await", "tokio", "std::fs", "fs::File", "TcpStream", "TcpListener", "UdpSocket"]
        {
            if has_word(line, word) {
                return Some(format!("'{word}' above the line"));
            }
        }
        let reads = ["Instant::now", "SystemTime::now"].into_iter().find(|word| has_word(line, word));
        reads.filter(|_| !clock).map(|word| format!("'{word}' outside base/clock.rs"))
    })
}

/// The head of a module above the line forbids unsafe code.
fn permits_unsafe(source: &Source, rooms: &[String]) -> Vec<String> {
    let head = rooms.iter().any(|room| source.path == format!("{room}/mod.rs") && !DOING.contains(&&**room));
    let wrong = head && !source.code.contains("#![forbid(unsafe_code)]");
    wrong.then(|| format!("{}: lacks #![forbid(unsafe_code)]", source.path)).into_iter().collect()
}

/// Unsafe blocks and tokio have their modules.
fn strays(source: &Source) -> Vec<String> {
    lines(source, &source.code, |line| {
        if source.room() != "sys" && has_word(line, "unsafe") {
            return Some("unsafe code outside sys".into());
        }
        let tokio = has_word(line, "tokio") && !["control", "process"].contains(&source.room());
        tokio.then(|| "tokio outside control and process".into())
    })
}

/// Nothing is left for later without saying so where users see it.
fn unfinished(source: &Source) -> Vec<String> {
    lines(source, &source.unquoted, |line| {
        let words =
            [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!"), concat!("unimpl", "emented!")];
        let also = [concat!("dbg", "!("), concat!("allow(dead", "_code"), concat!("allow(un", "used")];
        let found = words.into_iter().chain(also).find(|word| line.contains(word));
        found.map(|word| format!("'{word}'"))
    })
}

/// Every file says first what it is.
fn untold(source: &Source) -> Vec<String> {
    let told = source.text.starts_with("//! ");
    (!told).then(|| format!("{}: does not start by telling what it is", source.path)).into_iter().collect()
}

/// Lines fit a screen; a long string is a text, not a line, and a line of several strings is a table's row.
fn wide(source: &Source) -> Vec<String> {
    lines(source, &source.unquoted, |line| {
        let columns = line.chars().count();
        let row = !line.trim_start().starts_with("//") && line.matches('"').count() >= 4;
        (columns > COLUMNS_MAX && !row).then(|| format!("{columns} columns"))
    })
}

/// A keyword is defined once: no two rows of a kind share a name and a place.
fn defined_twice(entries: &[haring::config::doc::DocEntry]) -> Vec<String> {
    let mut seen: HashMap<_, Vec<&[&str]>> = HashMap::new();
    let mut complaints = Vec::new();
    for entry in entries {
        let places = seen.entry((entry.kind, &*entry.name)).or_default();
        let meets = |other: &&[&str]| {
            other.is_empty()
                || entry.sections.is_empty()
                || other.iter().any(|place| entry.sections.contains(place))
        };
        if places.iter().any(meets) {
            complaints.push(format!("{} '{}' has two rows", entry.kind, entry.name));
        }
        places.push(&entry.sections);
    }
    complaints
}

/// Modules that landed before what will use them, by the start of their paths.
const AWAITING_USERS: &[&str] = &["http/h2/", "tls/"];

/// Functions, constants and type aliases that are public and that nothing but their own tests names. The
/// compiler does not tell: to it, all that is public in a public module is used by somebody. `elsewhere` is
/// code outside of `src` that uses the library.
fn unused(sources: &[Source], elsewhere: &[Source]) -> Vec<String> {
    let part = |c: char| !(c.is_alphanumeric() || c == '_');
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let used =
        sources.iter().map(|source| &source.shipped).chain(elsewhere.iter().map(|source| &source.code));
    for word in used.flat_map(|text| text.split(part)) {
        *seen.entry(word).or_default() += 1;
    }
    let mut complaints = Vec::new();
    for source in
        sources.iter().filter(|source| !AWAITING_USERS.iter().any(|start| source.path.starts_with(start)))
    {
        complaints.extend(lines(source, &source.shipped, |line| {
            let line = line.trim_start();
            let item =
                ["pub fn ", "pub const fn ", "pub async fn ", "pub const ", "pub static ", "pub type "]
                    .iter()
                    .find_map(|start| line.strip_prefix(start))?;
            let name = first_word(item);
            (seen.get(name) == Some(&1)).then(|| format!("nothing uses '{name}'"))
        }));
    }
    complaints
}

/// Every Rust file below `directory`.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("the directory is readable").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The files below `directory` of the package, named from there.
fn sources(directory: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut found = Vec::new();
    files(&root, &mut found);
    found.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("a source file is text");
        let name = path.strip_prefix(&root).expect("below the root").to_str().expect("a plain name");
        Source::new(name, &text)
    };
    found.iter().map(read).collect()
}

/// Files that are compiled for tests only: `#[cfg(test)] mod name;` stands in their parent.
fn test_files(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let parent = source.path.strip_suffix("mod.rs").map_or_else(
            || format!("{}/", source.path.trim_end_matches(".rs").trim_start_matches("lib")),
            str::to_owned,
        );
        for (at, marker) in source.code.match_indices("#[cfg(test)]") {
            let item = source.code[at + marker.len()..].trim_start();
            let item = item.trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
            if let Some((name, _)) = item.strip_prefix("mod ").and_then(|item| item.split_once([';', ' '])) {
                found.push(format!("{parent}{name}"));
            }
        }
    }
    found
}

fn complain(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_library_is_in_order() {
    let mut sources = sources("src");
    let library = sources.iter().find(|source| source.path == "lib.rs").expect("the library's root");
    let rooms = rooms(&library.code);
    assert!(rooms.len() > 10, "{rooms:?}");
    let tests = test_files(&sources);
    for source in &mut sources {
        if tests
            .iter()
            .any(|test| source.path.strip_prefix(&**test).is_some_and(|rest| rest.starts_with(['.', '/'])))
        {
            source.shipped.clear();
        }
    }
    let mut complaints = Vec::new();
    for source in &sources {
        complaints.extend(looks_down(source, &rooms));
        complaints.extend(does_things(source));
        complaints.extend(permits_unsafe(source, &rooms));
        complaints.extend(strays(source));
        complaints.extend(unfinished(source));
        complaints.extend(untold(source));
        complaints.extend(wide(source));
    }
    let elsewhere: Vec<_> = ["tests", "benches"].into_iter().flat_map(self::sources).collect();
    complaints.extend(unused(&sources, &elsewhere));
    complain(&complaints);
}

#[test]
fn the_tests_are_in_order() {
    let mut complaints = Vec::new();
    for source in sources("tests").iter().chain(&sources("benches")) {
        complaints.extend(unfinished(source));
        complaints.extend(untold(source));
        complaints.extend(wide(source));
    }
    complain(&complaints);
}

#[test]
fn keywords_are_defined_once() {
    let entries = haring::config::doc::all();
    assert!(entries.len() > 300, "{}", entries.len());
    complain(&defined_twice(&entries));
}

/// Words between backticks in a document that are paths of this repository, and targets of its links.
fn named_paths(text: &str) -> Vec<&str> {
    let plain = |word: &&str| {
        !word.contains(|c: char| c.is_whitespace() || "<>*{}()$@:".contains(c))
            && !word.starts_with(['/', '-'])
    };
    let tops = ["src/", "tests/", "docs/", "benches/", "config/"];
    let quoted = text.split('`').skip(1).step_by(2).filter(plain);
    let paths = quoted.filter(|word| tops.iter().any(|top| word.starts_with(top)) || word.ends_with(".rs"));
    let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let files = links.map(|target| target.split('#').next().unwrap_or("")).filter(plain);
    paths.chain(files.filter(|target| !target.is_empty())).collect()
}

/// The documents name files that are there: a path from the root, from `src`, or from the document.
#[test]
fn documents_name_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = Vec::new();
    for directory in ["", "docs", "docs/decisions", "docs/benchmark"] {
        let entries = std::fs::read_dir(root.join(directory)).expect("the directory is there");
        let paths = entries.map(|entry| entry.expect("the directory is readable").path());
        documents.extend(paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    assert!(documents.len() > 15, "{documents:?}");
    let mut complaints = Vec::new();
    for document in documents {
        let text = std::fs::read_to_string(&document).expect("a document is text");
        let beside = document.parent().expect("a directory");
        let is_there = |path: &str| {
            [root, &root.join("src"), beside]
                .iter()
                .any(|place| place.join(path.trim_end_matches('/')).exists())
        };
        let missing = named_paths(&text).into_iter().filter(|path| !is_there(path));
        complaints.extend(missing.map(|path| format!("{}: there is no '{path}'", document.display())));
    }
    complain(&complaints);
    assert_eq!(
        named_paths("see `src/a.rs`, `net/b.rs`, `x y`, [c](d.md#e), `-x`"),
        ["src/a.rs", "net/b.rs", "d.md"]
    );
}

#[test]
fn every_rule_can_fail() {
    type Rule = fn(&Source) -> Vec<String>;
    fn order(source: &Source) -> Vec<String> {
        looks_down(source, &["base", "config", "engine"].map(str::to_owned))
    }
    fn forbids(source: &Source) -> Vec<String> {
        permits_unsafe(source, &["base", "engine"].map(str::to_owned))
    }
    let long = "x".repeat(COLUMNS_MAX + 1);
    let wide_code = format!("//! A\nlet {long} = 1;\n");
    let wide_comment = format!("//! A\n// {long}\n");
    let wide_string = format!("//! A\nlet x = \"{long}\";\n");
    let wide_text = format!("//! A\nlet x = r#\"\n{long} \" \n\"#;\n");
    let wide_row = format!("//! A\n(\"a\", \"b\", {long}),\n");
    let wide_remark = format!("//! A\n// \"a\" \"b\" {long}\n");
    let cases: &[(Rule, &str, &str, usize)] = &[
        (order, "base/a.rs", "use crate::engine::Core;", 1),
        (order, "base/a.rs", "use crate::{base, engine::Core};", 1),
        (order, "base/a.rs", "fn f() -> crate::config::X {}", 1),
        (order, "engine/a.rs", "use crate::base::X;", 0),
        (order, "base/a.rs", "// use crate::engine::Core;\nlet x = \"crate::engine\";", 0),
        (order, "main.rs", "use crate::engine::Core;", 0),
        (does_things, "config/a.rs", "async fn f() { g().await }", 1),
        (does_things, "config/a.rs", "fn f() { std::fs::read(\"a\") }\nuse std::net::TcpStream;", 2),
        (does_things, "config/a.rs", "let now = Instant::now();", 1),
        (does_things, "base/clock.rs", "let now = Instant::now();", 0),
        (does_things, "engine/a.rs", "async fn f() { Instant::now() }", 0),
        (does_things, "config/a.rs", "#[cfg(test)]\nmod tests { fn f() { std::fs::read(\"}\") } }", 0),
        (does_things, "config/a.rs", "#[cfg(test)]\nmod tests;\nfn f() { std::fs::read() }", 1),
        (does_things, "config/a.rs", "let asynchronous = '\"'; // std::fs\n/* std::fs */", 0),
        (forbids, "base/mod.rs", "//! A", 1),
        (forbids, "base/mod.rs", "//! A\n#![forbid(unsafe_code)]", 0),
        (forbids, "base/mod.rs", "//! #![forbid(unsafe_code)]", 1),
        (forbids, "engine/mod.rs", "//! A", 0),
        (strays, "engine/a.rs", "unsafe { f() }", 1),
        (strays, "sys/a.rs", "unsafe { f() }", 0),
        (strays, "sys/a.rs", "tokio::spawn(f)", 1),
        (strays, "control/a.rs", "tokio::spawn(f)", 0),
        (strays, "engine/a.rs", "forbid(unsafe_code)", 0),
        (unfinished, "base/a.rs", concat!("// TO", "DO later"), 1),
        (unfinished, "base/a.rs", concat!("unimpl", "emented!()"), 1),
        (unfinished, "base/a.rs", concat!("let x = \"FIX", "ME\";"), 0),
        (untold, "base/a.rs", "use std::io;", 1),
        (untold, "base/a.rs", "//! A.", 0),
        (wide, "base/a.rs", &wide_code, 1),
        (wide, "base/a.rs", &wide_comment, 1),
        (wide, "base/a.rs", &wide_string, 0),
        (wide, "base/a.rs", &wide_text, 0),
        (wide, "base/a.rs", &wide_row, 0),
        (wide, "base/a.rs", &wide_remark, 1),
    ];
    for (rule, path, text, expected) in cases {
        let complaints = rule(&Source::new(path, text));
        assert_eq!(complaints.len(), *expected, "{path}\n{text}\n{complaints:?}");
    }
}

#[test]
fn what_nothing_uses_is_found() {
    let text = "//! A\npub fn a() { b() }\npub fn b() {}\n#[cfg(test)]\nmod tests { fn f() { a() } }";
    let here = [Source::new("base/a.rs", text)];
    assert_eq!(unused(&here, &[]).len(), 1);
    let bench = [Source::new("micro/a.rs", "//! A\nfn f() { a() }")];
    assert!(unused(&here, &bench).is_empty());
}

#[test]
fn a_second_row_is_found() {
    let entry = |name: &'static str, kind, sections: &[&'static str]| haring::config::doc::DocEntry {
        name: name.into(),
        kind,
        signature: name.to_owned(),
        sections: sections.to_vec(),
        support: haring::config::doc::Support::Full,
        text: "Text.".to_owned(),
    };
    let cases = [
        (entry("mode", "directive", &["listen"]), 1),
        (entry("mode", "directive", &["global"]), 0),
        (entry("mode", "fetch", &["listen"]), 0),
        (entry("modes", "directive", &["listen"]), 0),
        (entry("mode", "directive", &[]), 1),
    ];
    for (second, expected) in cases {
        let entries = [entry("mode", "directive", &["frontend", "listen"]), second];
        assert_eq!(defined_twice(&entries).len(), expected, "{:?}", entries[1]);
    }
}

#[test]
fn test_files_are_known_by_their_parents() {
    let sources = [
        Source::new("config/mod.rs", "pub mod a;\n#[cfg(test)]\nmod tests;\n"),
        Source::new("control/checks.rs", "#[cfg(test)]\npub(crate) mod mock;\n"),
    ];
    assert_eq!(test_files(&sources), ["config/tests", "control/checks/mock"]);
}
