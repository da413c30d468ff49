//! What is wrong with a configuration, where, and what to do about it.
//!
//! Parsing never stops at the first mistake: every room that reads configuration text pushes
//! [`Diagnostic`]s into a [`Report`] and goes on with a guess.
#![forbid(unsafe_code)]

mod render;
mod suggest;

pub use render::{render_haproxy, render_rich};
pub use suggest::{closest, did_you_mean};

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
}

/// The text of one file, kept for rendering.
#[derive(Debug)]
pub struct Source {
    /// Its name as the user gave it.
    pub name: String,
    /// Its lines, without their ends.
    pub lines: Vec<String>,
}

/// Every file read, and everything found in them.
#[derive(Debug, Default)]
pub struct Report {
    /// Files by [`FileId`].
    pub sources: Vec<Source>,
    /// Findings in the order of discovery.
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Adds a finding.
    pub fn push(&mut self, level: Level, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.diagnostics.push(Diagnostic { level, span, message: message.into(), help: None });
        self.diagnostics.last_mut().expect("just pushed")
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
