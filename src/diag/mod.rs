//! What is wrong with a configuration, where, and what to do about it.
//!
//! Parsing never stops at the first mistake: every module that reads configuration text pushes
//! [`Diagnostic`]s into a [`Report`] and goes on with a guess.
#![forbid(unsafe_code)]

mod render;
mod suggest;

pub use render::{Form, render_haproxy, render_line, render_rich};
pub use suggest::{closest, did_you_mean, distance};

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A file of the source map.
pub type FileId = u32;

/// A place in the configuration: bytes `start..end` of line `line` (counted from 1) of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Which file; `u32::MAX` when the text comes from elsewhere (command line, runtime API).
    pub file: FileId,
    /// Line number from 1; 0 when there is none.
    pub line: u32,
    /// First byte in the line.
    pub start: u32,
    /// One past the last byte in the line.
    pub end: u32,
}

impl Span {
    /// Text that stands in no file.
    pub const NONE: Span = Span { file: u32::MAX, line: 0, start: 0, end: 0 };
}

/// How bad it is, in HAProxy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Worth knowing; never fails a start.
    Notice,
    /// Shown with `-dD` only.
    Diag,
    /// Probably not meant; fails the start with `-dW`.
    Warning,
    /// The configuration cannot be used.
    Alert,
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// Where; [`Span::NONE`] when no place is to blame.
    pub span: Span,
    /// What is wrong, in one sentence without an end mark, as HAProxy words it where it does.
    pub message: String,
    /// What to do about it, if that is known.
    pub help: Option<String>,
    /// Whether even HAProxy's form shows the line and points at the place, as it does for mistakes
    /// of quoting.
    pub excerpt: bool,
}

/// The text of one file, kept for rendering.
#[derive(Debug)]
pub struct Source {
    /// Its name as the user gave it.
    pub name: String,
    /// Its lines, without their ends.
    pub lines: Vec<String>,
}

/// What was being done when something was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// The configuration was read: what is wrong is wrong with it.
    #[default]
    Load,
    /// A right configuration was put into force: the system refused something.
    Start,
}

/// Every file read, and everything found in them.
#[derive(Debug, Default)]
pub struct Report {
    /// What was being done.
    pub stage: Stage,
    /// Files by [`FileId`].
    pub sources: Vec<Source>,
    /// Findings in the order of discovery, each once.
    pub diagnostics: Vec<Diagnostic>,
    /// Place of each finding by a hash of what makes it the same: the directives of a `defaults`
    /// section are read anew for each proxy, so the same finding may come thousands of times.
    seen: HashMap<u64, usize>,
}

impl Report {
    /// Adds a finding, or returns the same one found before.
    pub fn push(&mut self, level: Level, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        let message = message.into();
        let mut hasher = DefaultHasher::new();
        (level as u8, span, &message).hash(&mut hasher);
        let hash = hasher.finish();
        let same = self.seen.get(&hash).copied().filter(|index| {
            let known = self.diagnostics.get(*index);
            known.is_some_and(|d| d.level == level && d.span == span && d.message == message)
        });
        let index = same.unwrap_or_else(|| {
            self.diagnostics.push(Diagnostic { level, span, message, help: None, excerpt: false });
            self.seen.insert(hash, self.diagnostics.len() - 1);
            self.diagnostics.len() - 1
        });
        &mut self.diagnostics[index]
    }
    /// A report about the start with what an earlier one has read.
    pub fn of_start(read: Report) -> Report {
        Report { stage: Stage::Start, sources: read.sources, ..Report::default() }
    }
    /// Forgets what was found.
    pub fn clear(&mut self) {
        self.diagnostics.clear();
        self.seen.clear();
    }
    /// Adds an error.
    pub fn alert(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Level::Alert, span, message)
    }
    /// Adds a warning.
    pub fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Level::Warning, span, message)
    }
    /// Adds a notice.
    pub fn notice(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Level::Notice, span, message)
    }
    /// Whether the configuration cannot be used.
    pub fn has_alerts(&self) -> bool {
        self.diagnostics.iter().any(|d| d.level == Level::Alert)
    }
    /// Whether there are warnings.
    pub fn has_warnings(&self) -> bool {
        self.diagnostics.iter().any(|d| d.level == Level::Warning)
    }
}

impl Diagnostic {
    /// Says what to do about it.
    pub fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }
}
