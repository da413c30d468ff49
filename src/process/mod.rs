//! The program: its command line, and the part of it that each command runs.
//!
//! `haproxy -c`, `-cc`, `-v` and the verbs end here; a start goes on in [`start`].

pub mod absent;
mod args;
pub mod check;
pub mod console;
mod cpus;
pub mod files;
mod hand_over;
pub mod listeners;
pub mod manager;
pub mod manual;
pub mod panics;
mod recorded;
mod reload;
mod reload_request;
pub mod run;
pub mod signals;
pub mod start;
pub mod verbs;
pub mod version;
pub mod welcome;
pub mod world;

use std::process::ExitCode;
use std::thread::available_parallelism;

use self::args::{ArgsError, Command, Options};
use self::console::{Console, put};
use self::world::System;
use crate::config::condition::{Facts, evaluate_argument};
use crate::config::environment::Environment;
use crate::config::{self, Input, Settings, World};
use crate::diag::Report;
use crate::model::Model;
use crate::state::Registry;

/// The whole program.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let program = arguments.next().unwrap_or_else(|| "haring".into());
    let program = program.rsplit('/').next().unwrap_or(&program).to_string();
    let arguments: Vec<String> = arguments.collect();
    let command = match args::parse(&arguments) {
        Ok(command) => command,
        Err(ArgsError(text)) => {
            // Without a word, everything; with a mistake, the mistake must stay in sight.
            let usage = match text.is_empty() {
                true => args::usage(&program),
                false => {
                    eprintln!("{program}: {text}\n");
                    args::short_usage(&program)
                }
            };
            eprint!("{}{usage}", version::text(args::VersionForm::Line));
            return ExitCode::FAILURE;
        }
    };
    let command = match command {
        Command::Run(options) => Command::Run(Box::new(Options { arguments, ..*options })),
        other => other,
    };
    ExitCode::from(run(command, &program))
}

fn run(command: Command, program: &str) -> u8 {
    match command {
        Command::Version(form) => {
            put(&version::text(form));
            0
        }
        Command::Help => {
            put(&args::usage(program));
            0
        }
        Command::HelpOf(verb) => {
            put(&args::usage_of(program, verb));
            0
        }
        Command::Condition(options, text) => condition(&options, &text),
        Command::Check(options) => {
            let code = check::check(&options, &load);
            if code != check::INVALID {
                lists(&options);
            }
            code
        }
        Command::Dump(options, dump) => verbs::dump(&options, dump),
        Command::Format(options) => verbs::format(&options),
        Command::Doc(keyword) => verbs::doc(keyword.as_deref()),
        Command::Reload(pid) => verbs::reload(pid),
        Command::Manual(page) => {
            put(&page.text());
            0
        }
        Command::Run(options) => {
            let console = Console::new(&options);
            let loaded = match check::read(&options, &console, &load) {
                Ok(loaded) => loaded,
                Err(code) => return code,
            };
            lists(&options);
            start::start(&options, loaded, &console).unwrap_or_else(|text| {
                console.alert(&text);
                1
            })
        }
    }
}

/// Builds the model with a registry of its own, as a first start does.
fn load(inputs: &[Input], settings: &Settings, world: &dyn World, report: &mut Report) -> Option<Model> {
    let cores = available_parallelism().map_or(1, usize::from);
    config::load(inputs, settings, &Registry::new(cores), world, report)
}

/// `-dL` and `-dK`: what is listed once the configuration is known to be right.
fn lists(options: &Options) {
    if options.dump_libraries {
        put(&verbs::libraries());
    }
    if let Some(classes) = &options.dump_keywords {
        put(&verbs::keywords(classes));
    }
}

/// `-cc`.
fn condition(options: &Options, text: &str) -> u8 {
    let environment = Environment::new(&System, &options.settings(), &[]);
    let facts = Facts { environment: &environment, switches: &options.switches };
    match evaluate_argument(text, &facts) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(text) => {
            Console::new(options).alert(&text);
            2
        }
    }
}
