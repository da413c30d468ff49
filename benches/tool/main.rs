//! What `benches/versus` needs beside the programs it compares, in one program: origins, a load generator and
//! the cheapest possible forwarder. It is an example of the package, so that `cargo install` leaves it alone.
//!
//! ```text
//! versus-tool origin  [--exchange PORT:RECEIVE:SEND]... [--http PORT]...
//! versus-tool floor   --listen ADDRESS --server ADDRESS
//! versus-tool load    --target ADDRESS --connections N --seconds S [--warm S]
//!                     (--exchange SEND:RECEIVE | --http PATH [--paths FILE] [--body BYTES] [--close])
//!                     [--rate PER_SECOND [--poisson]] [--sources N] [--process PID...]
//! ```
//!
//! Everything runs on one thread over an edge-triggered epoll; the caller pins it.

mod floor;
mod histogram;
mod load;
mod origin;
mod sys;

use std::collections::HashMap;
use std::process::ExitCode;

/// The options of the command line: each name with its values in order, empty for a flag.
struct Options(HashMap<String, Vec<String>>);

impl Options {
    fn parse(words: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut found: HashMap<String, Vec<String>> = HashMap::new();
        let mut last = None;
        for word in words {
            match (word.strip_prefix("--"), &last) {
                (Some(name), _) => {
                    found.entry(name.to_owned()).or_default();
                    last = Some(name.to_owned());
                }
                (None, Some(name)) => found.entry(name.clone()).or_default().push(word),
                (None, None) => return Err(format!("'{word}' belongs to no option")),
            }
        }
        Ok(Options(found))
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    fn maybe<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(word) = self.all(name).last() else { return Ok(None) };
        word.parse().map(Some).map_err(|_| format!("--{name} cannot be '{word}'"))
    }

    fn get<T: std::str::FromStr>(&self, name: &str) -> Result<T, String> {
        self.maybe(name)?.ok_or_else(|| format!("--{name} is needed"))
    }
}

/// The numbers of a word such as `9000:64:64`.
fn numbers<const N: usize>(word: &str) -> Result<[usize; N], String> {
    let parsed: Result<Vec<usize>, _> = word.split(':').map(str::parse).collect();
    let wrong = || format!("'{word}' is not {N} numbers with ':' between them");
    parsed.map_err(|_| wrong())?.try_into().map_err(|_| wrong())
}

fn run() -> Result<(), String> {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let options = Options::parse(words)?;
    match &*command {
        "origin" => origin::run(&options),
        "floor" => floor::run(&options),
        "load" => load::run(&options),
        _ => Err("versus-tool origin | floor | load (see the head of benches/tool/main.rs)".into()),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("versus-tool: {message}");
            ExitCode::FAILURE
        }
    }
}
