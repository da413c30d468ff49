//! Messages before there is a log: to a person, to a script, or to none.

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write};

use super::args::Options;
use crate::config::features;
use crate::diag::{Form, Level, Report, render_line};

/// Where messages go and in which form.
#[derive(Debug)]
pub struct Console {
    form: Form,
    silent: bool,
    /// The notices that go before the first message were shown.
    introduced: Cell<bool>,
    /// All that was said, in HAProxy's form, whether it was shown or not.
    said: RefCell<String>,
    warnings: Cell<u64>,
}

/// Bytes of what was said that are kept.
const SAID_MAX: usize = 64 * 1024;

impl Console {
    /// Rich at a terminal, HAProxy's form elsewhere; colours unless `NO_COLOR` is set.
    pub fn new(options: &Options) -> Self {
        let rich = std::io::stderr().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Console {
            form: Form { pid: std::process::id(), rich, color: rich && !no_color, diag: options.diag },
            silent: options.is_silent(),
            introduced: Cell::new(false),
            said: RefCell::default(),
            warnings: Cell::new(0),
        }
    }

    /// One error that has no place in a file.
    pub fn alert(&self, text: &str) {
        self.message(Level::Alert, text);
    }

    /// One message that has no place in a file.
    pub fn message(&self, level: Level, text: &str) {
        self.keep(&render_line(level, self.form.pid, text), u64::from(level == Level::Warning));
        if !self.silent {
            self.write(&(self.introduction() + &render_line(level, self.form.pid, text)));
        }
    }

    /// Everything in a report.
    pub fn report(&self, report: &Report) {
        let warnings = report.diagnostics.iter().filter(|found| found.level == Level::Warning).count();
        self.keep(&report.render(Form { rich: false, ..self.form }), warnings as u64);
        if self.silent || report.shown(self.form).next().is_none() {
            return;
        }
        self.write(&(self.introduction() + &report.render(self.form)));
    }

    fn keep(&self, text: &str, warnings: u64) {
        self.warnings.set(self.warnings.get() + warnings);
        let mut said = self.said.borrow_mut();
        let whole = said.len() + text.len() <= SAID_MAX;
        said.push_str(if whole { text } else { "" });
    }

    /// What was said so far (`show startup-logs`).
    pub fn said(&self) -> String {
        self.said.borrow().clone()
    }

    /// Warnings among it.
    pub fn warnings(&self) -> u64 {
        self.warnings.get()
    }

    /// A line for the result, on standard output.
    pub fn result(&self, text: &str) {
        if !self.silent {
            put(text);
        }
    }

    /// HAProxy names itself before its first message; a person at a terminal knows.
    fn introduction(&self) -> String {
        if self.form.rich || self.introduced.replace(true) {
            return String::new();
        }
        let version = format!("haproxy version is {}", features::VERSION);
        let mut out = render_line(Level::Notice, self.form.pid, &version);
        if let Ok(path) = std::env::current_exe() {
            let path = format!("path to executable is {}", path.display());
            out.push_str(&render_line(Level::Notice, self.form.pid, &path));
        }
        out
    }

    fn write(&self, text: &str) {
        // There is nowhere left to complain to.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Writes to standard output; a reader that went away (`| head`) is no failure.
pub fn put(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
