//! Each entry of `tests/hostile/http2`: frames, and all that the connection says to them.
//!
//! `send` gives bytes as they are. `client` has the connection speak to a server. `set` changes a setting. Entries
//! start behind the preface and both sides' settings, but for those with `raw`. `whole` ones are not cut into pieces;
//! `windows` keeps WINDOW_UPDATE among what is said. `expect` is everything said, separated by ` | `, `ends` the last
//! of it, `has` a part of it, `not` what is no part of it.

use haring::http::h2::{Role, Settings};

use crate::script::Bench;
use crate::text::{self, Entry};

fn settings(entry: &Entry) -> Settings {
    let mut settings = Settings::default();
    for (_, text) in entry.iter().filter(|(word, _)| word == "set") {
        let (name, value) = text.split_once(' ').expect("a name and a value");
        let value: u32 = value.parse().expect("a number");
        match name {
            "streams_max" => settings.streams_max = value,
            "streams_total" => settings.streams_total = value,
            "glitches_threshold" => settings.glitches_threshold = value,
            "stall_timeout" => settings.stall_timeout = value.into(),
            "idle_ping" => settings.idle_ping = value.into(),
            "window" => settings.window = value,
            "receive_buffer" => settings.receive_buffer = value,
            "frames_at_once" => settings.frames_at_once = value,
            "resets_at_once" => settings.resets_at_once = value,
            "buffer_size" => settings.buffer_size = value,
            "fields_max" => settings.fields_max = value,
            "extended_connect" => settings.extended_connect = value != 0,
            _ => panic!("no such setting: {name}"),
        }
    }
    settings
}

/// Runs an entry; what is wrong with what was said.
fn run(entry: &Entry, piece: usize) -> Result<(), String> {
    let has = |name: &str| entry.iter().any(|(word, _)| word == name);
    let role = if has("client") { Role::Client } else { Role::Server };
    let mut bench = Bench::new(role, settings(entry));
    if !has("raw") {
        let start = if role == Role::Server {
            "preface | settings | settings-ack"
        } else {
            "settings | settings-ack"
        };
        bench.run(start, 1000);
        bench.said.clear();
    }
    text::raw(entry).chunks(piece).for_each(|piece| bench.feed(piece));
    for (word, line) in entry {
        if word == "frames" {
            bench.run(&expanded(line), piece);
        }
    }
    let mut said = bench.said.clone();
    if !has("windows") {
        said.retain(|said| !said.starts_with("WINDOW"));
    }
    if piece < 1000 {
        // In pieces DATA comes in pieces too.
        said = merged(said);
    }
    let all = said.join(" | ");
    for (word, expected) in entry {
        let is_right = match word.as_str() {
            "expect" => all == *expected,
            "ends" => said.last() == Some(expected),
            "has" => said.contains(expected),
            "not" => !said.contains(expected),
            _ => true,
        };
        if !is_right {
            let shown = if all.len() > 600 { &all[all.len() - 600..] } else { &all };
            return Err(format!("{word} {expected}\nbut {shown}"));
        }
    }
    Ok(())
}

/// A line with its repetitions, `\(text*count)`, written out.
fn expanded(line: &str) -> String {
    let Some((before, rest)) = line.split_once("\\(") else { return line.to_owned() };
    let (inside, after) = rest.split_once(')').expect("a closing parenthesis");
    let (text, count) = inside.split_once('*').unwrap_or((inside, "1"));
    format!("{before}{}{}", text.repeat(count.parse().expect("a count")), expanded(after))
}

/// Joins the pieces of DATA that came one after the other.
fn merged(said: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let parts = |text: &str| -> Option<(u32, u32, bool)> {
        let mut words = text.strip_prefix("data ")?.split(' ');
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next().is_some()))
    };
    for text in said {
        let before = out.last().and_then(|last| parts(last)).filter(|last| !last.2);
        match (before, parts(&text)) {
            (Some((stream, len, _)), Some((same, more, end))) if stream == same => {
                out.pop();
                out.push(format!("data {stream} {}{}", len + more, if end { " end" } else { "" }));
            }
            _ => out.push(text),
        }
    }
    out
}

#[test]
fn every_sequence_is_answered_as_the_table_says() {
    let entries = text::folder("http2");
    assert!(entries.len() >= 100, "only {} entries", entries.len());
    let wanted = std::env::var("HOSTILE_CASE").ok();
    let mut wrong = Vec::new();
    for entry in &entries {
        let name = entry[0].1.clone();
        if wanted.as_ref().is_some_and(|wanted| !name.starts_with(wanted)) {
            continue;
        }
        assert!(
            entry.iter().any(|(word, _)| ["expect", "ends", "has"].contains(&&**word)),
            "{name} expects nothing"
        );
        for piece in [100_000, 1, 7] {
            let is_long = entry.iter().any(|(word, _)| word == "whole");
            if piece < 1000 && is_long {
                continue;
            }
            if let Err(error) = run(entry, piece) {
                wrong.push(format!("{name}, in pieces of {piece}: {error}"));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n\n"));
}
