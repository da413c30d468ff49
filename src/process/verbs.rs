//! What the verbs and the listing flags print.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use super::args::{Dump, FormatOptions, Options};
use super::console::{Console, put};
use super::world::System;
use super::{check, files, manual};
use crate::base::doc::DocEntry;
use crate::config::{layout, read, syntax};
use crate::diag::{Report, did_you_mean};

/// Columns of explanations.
const WIDTH: usize = 90;

/// `doc [KEYWORD]`: the exit code.
pub fn doc(keyword: Option<&str>) -> u8 {
    let Some(keyword) = keyword else {
        put(&keywords("all"));
        return 0;
    };
    let entries = manual::lookup(keyword);
    if entries.is_empty() {
        let all = manual::all();
        let hint = did_you_mean(keyword, all.iter().map(|entry| &*entry.name)).unwrap_or_default();
        complain(format!("unknown keyword '{keyword}' ; {hint}").trim_end_matches(" ; "));
        return 1;
    }
    let shown: Vec<String> = entries.iter().map(entry_text).collect();
    put(&shown.join("\n"));
    0
}

fn entry_text(entry: &DocEntry) -> String {
    let mut out = format!("{}\n    {}", entry.signature, entry.kind);
    if !entry.sections.is_empty() {
        out.push_str(&format!(", in: {}", entry.sections.join(", ")));
    }
    out.push('\n');
    let text = format!("{}\n{}", entry.text, entry.support.sentence());
    for paragraph in text.lines() {
        let mut line = String::from("   ");
        for word in paragraph.split_ascii_whitespace() {
            if line.len() + 1 + word.len() > WIDTH && !line.trim().is_empty() {
                out.push_str(&line);
                out.push('\n');
                line = String::from("   ");
            }
            line.push(' ');
            line.push_str(word);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Classes of `-dK` and the kinds of keywords they stand for; `cfg` is what no other class names.
const CLASSES: &[(&str, &[&str])] = &[
    ("acl", &["acl"]),
    ("cfg", &[]),
    ("cli", &["command"]),
    ("cnv", &["converter"]),
    ("flt", &["filter"]),
    ("smp", &["fetch"]),
    ("svc", &["service"]),
];

/// The keywords of the classes in a list separated by commas; `all` is every class, `help` lists them.
pub fn keywords(classes: &str) -> String {
    let mut out = String::new();
    let mut entries = manual::all();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let class_of = |entry: &DocEntry| {
        CLASSES.iter().find(|(_, kinds)| kinds.contains(&entry.kind)).map_or("cfg", |(class, _)| class)
    };
    for asked in classes.split(',') {
        if asked == "help" || (asked != "all" && !CLASSES.iter().any(|(class, _)| *class == asked)) {
            let known: Vec<&str> = CLASSES.iter().map(|(class, _)| *class).collect();
            out.push_str(&format!("# Known classes: all, {}\n", known.join(", ")));
            continue;
        }
        for (class, _) in CLASSES.iter().filter(|(class, _)| asked == "all" || asked == *class) {
            let mut found = entries.iter().filter(|entry| class_of(entry) == *class).peekable();
            if found.peek().is_some() {
                out.push_str(&format!("# List of registered {class} keywords:\n"));
            }
            for entry in found {
                out.push_str(&format!("{}\n", entry.signature));
            }
        }
    }
    out
}

/// `fmt`: the exit code.
pub fn format(options: &FormatOptions) -> u8 {
    let name = options.file.as_deref().unwrap_or("<standard input>");
    let bytes = match &options.file {
        Some(file) => fs::read(file),
        None => {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
        }
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => {
            complain(&format!("could not open {name} : {}", files::cause(&error)));
            return 1;
        }
    };
    let formatted = layout::format(&bytes);
    if options.check {
        if formatted != bytes {
            put(&format!("{name} would be reformatted\n"));
        }
        return u8::from(formatted != bytes);
    }
    match &options.file {
        Some(file) if options.write => {
            if formatted != bytes
                && let Err(error) = replace(file, &formatted)
            {
                complain(&format!("could not write {file} : {}", files::cause(&error)));
                return 1;
            }
        }
        _ => put_bytes(&formatted),
    }
    0
}

/// Writes beside the file and renames, so that a crash leaves the old or the new text, never half.
fn replace(file: &str, bytes: &[u8]) -> std::io::Result<()> {
    let target = fs::canonicalize(file)?;
    let mut name = target.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    fs::write(&name, bytes)?;
    let old = fs::metadata(&target)?;
    fs::set_permissions(&name, old.permissions())
        .and_then(|()| std::os::unix::fs::chown(&name, Some(old.uid()), Some(old.gid())))
        .and_then(|()| fs::rename(&name, &target))
        .inspect_err(|_| {
            let _ = fs::remove_file(&name);
        })
}

/// What goes wrong with a verb is between it and its user: no labels, no process id.
fn complain(text: &str) {
    eprintln!("haring: {text}");
}

fn put_bytes(bytes: &[u8]) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// `-dC`: the configuration as it is read, conditions and variables resolved. The exit code.
pub fn dump(options: &Options, dump: Dump) -> u8 {
    let console = Console::new(options);
    let inputs = match check::inputs(options, &console) {
        Ok(inputs) => inputs,
        Err(code) => return code,
    };
    let mut report = Report::default();
    let sections = read::sections(&inputs, &options.settings(), &System, &mut report);
    console.report(&report);
    let mut out = String::new();
    for section in &sections {
        dump_line(&section.head, "", dump, &mut out);
        for line in &section.lines {
            dump_line(line, "\t", dump, &mut out);
        }
    }
    put(&out);
    u8::from(report.has_alerts())
}

fn dump_line(line: &syntax::Line, indent: &str, dump: Dump, out: &mut String) {
    if dump.numbers {
        out.push_str(&format!("{}\t", line.span.line));
    }
    out.push_str(indent);
    let prefix = match line.prefix {
        syntax::Prefix::None => None,
        syntax::Prefix::No => Some("no".to_string()),
        syntax::Prefix::Default => Some("default".to_string()),
    };
    let words: Vec<String> =
        prefix.into_iter().chain(line.words.iter().map(|word| layout::quote(&word.text))).collect();
    out.push_str(&words.join(" "));
    out.push('\n');
}

/// `-dL`: the shared libraries of this process.
pub fn libraries() -> String {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut paths: Vec<&str> = maps
        .lines()
        .filter_map(|line| Some(&line[line.find('/')?..]))
        .filter(|path| path.contains(".so"))
        .collect();
    paths.sort_unstable();
    paths.dedup();
    let mut out = String::from("List of loaded object files:\n");
    for path in paths {
        out.push_str(&format!("  {path}\n"));
    }
    out
}

/// `reload`: has a process reload, says what it found, and fails if the configuration in force is the old one.
pub fn reload(pid: i32) -> u8 {
    match super::reload_request::ask(pid) {
        Ok(outcome) => {
            eprint!("{}", outcome.text);
            u8::from(!outcome.is_success)
        }
        Err(text) => {
            Console::new(&Options::default()).alert(&text);
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_wrapped() {
        let entry = DocEntry {
            name: "x".into(),
            kind: "directive",
            signature: "x <y>".into(),
            sections: vec!["global", "defaults"],
            text: "word ".repeat(60),
            support: Default::default(),
        };
        let text = entry_text(&entry);
        assert!(text.starts_with("x <y>\n    directive, in: global, defaults\n    word word"));
        assert!(text.lines().all(|line| line.len() <= WIDTH));
        assert_eq!(text.matches("word").count(), 60);
    }

    #[test]
    fn keywords_by_class() {
        assert!(keywords("cfg").contains("\n.if <condition>\n"));
        assert!(keywords("all").contains("streq(a,b)"));
        assert!(keywords("help").starts_with("# Known classes: all, acl, cfg"));
        assert_eq!(keywords("svc"), "");
    }
}
