//! The runtime API: `stats socket` (manual: management, section 9.3).
//!
//! A [`Command`] is one row: its words, the level that it needs, its arguments, what it does and the
//! function that does it. [`mod@line`] takes a connection's bytes apart, [`exec`] finds and runs the
//! rows, [`socket`] does the I/O. A command is synchronous and only fills a buffer; what must wait
//! says so by its [`Flow`].

pub mod cmd;
pub mod exec;
mod hand_over;
pub mod line;
pub mod page_orders;
pub mod shared;
pub mod socket;

use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use super::Control;
use crate::base::doc::{DocEntry, Support};
use crate::engine::orders::Tell;
use crate::model::bind::CliLevel;

pub use shared::Shared;
pub use socket::{AdminListener, serve};

/// One command of the runtime API.
pub struct Command {
    /// The words that call it.
    pub words: &'static [&'static str],
    /// Its arguments, as `help` shows them.
    pub arguments: &'static str,
    /// What it does, as `help` shows it; in parentheses if it does not list the command.
    pub text: &'static str,
    /// The level that it needs.
    pub level: CliLevel,
    /// Does it.
    pub run: fn(&mut Call<'_>) -> Flow,
}

impl Command {
    /// Whether `help` lists it.
    pub fn is_listed(&self) -> bool {
        !self.text.starts_with('(')
    }
    /// What it says about itself.
    fn document(&self, support: Support) -> DocEntry {
        let words = self.words.join(" ");
        DocEntry {
            signature: format!("{words} {}", self.arguments).trim_end().to_owned(),
            kind: "command",
            sections: vec![self.level.name()],
            text: self.text.trim_matches(['(', ')']).to_owned(),
            support,
            name: words.into(),
        }
    }
}

/// The rest of an answer, made part by part while the client reads.
pub struct Parts(Box<Fill>);

/// Makes the next part.
type Fill = dyn FnMut(&mut Vec<u8>) -> bool;

impl Parts {
    /// `fill` appends some [`PART_BYTES`] bytes, or less if finding them takes its time, and says whether more may
    /// follow.
    pub fn new(fill: impl FnMut(&mut Vec<u8>) -> bool + 'static) -> Parts {
        Parts(Box::new(fill))
    }
    /// Appends the next part; false behind the last one.
    pub fn fill(&mut self, out: &mut Vec<u8>) -> bool {
        (self.0)(out)
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Parts")
    }
}

/// What comes of a question to the data threads: text, and what follows it.
pub struct Later(Pin<Box<dyn Future<Output = (Vec<u8>, Flow)>>>);

impl Later {
    /// A flow that waits for something.
    pub fn flow(future: impl Future<Output = (Vec<u8>, Flow)> + 'static) -> Flow {
        Flow::Later(Later(Box::pin(future)))
    }
    /// Waits for it.
    pub async fn get(self) -> (Vec<u8>, Flow) {
        self.0.await
    }
}

impl std::fmt::Debug for Later {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Later")
    }
}

/// How long a data thread may take to answer; one that is stuck must not hold up the answer of the others.
const PATIENCE: Duration = Duration::from_millis(500);

/// Asks a data thread; nothing if it does not answer in time.
pub async fn ask<T: Send + 'static>(question: impl FnOnce(Tell<T>)) -> Vec<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    question(Box::new(move |answer| {
        let _ = sender.send(answer); // the connection may be gone
    }));
    match tokio::time::timeout(PATIENCE, receiver).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// About so many bytes of an answer are made before the client has read those before them.
pub const PART_BYTES: usize = 32 * 1024;

/// What follows a command.
#[derive(Debug)]
pub enum Flow {
    /// The next command.
    Done,
    /// More of the answer.
    Parts(Parts),
    /// More of the answer, once another thread has answered a question.
    Later(Later),
    /// The end of the connection (`quit`).
    Quit,
    /// The listening sockets for another process, then the end of the connection (`_getsocks`).
    GiveListeners,
    /// A pause, until the time is over or the condition holds (`wait`).
    Wait {
        /// The longest, in milliseconds.
        ms: u64,
        /// What ends it early.
        until: Option<Until>,
    },
    /// New lines of a ring until the client sends anything (`show events <ring> -w`).
    Follow {
        /// The ring.
        ring: String,
        /// The number of the first line that was not shown yet.
        from: u64,
        /// What stands at the end of each line.
        end: u8,
    },
}

/// What ends a `wait` early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// The server can be deleted.
    ServerRemovable {
        /// Its backend.
        backend: String,
        /// Its name.
        server: String,
    },
    /// The backend can be deleted.
    BackendRemovable {
        /// Its name.
        backend: String,
    },
}

/// How feedback tells its severity (`set severity-output`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SeverityOutput {
    #[default]
    None,
    Number,
    String,
}

/// Severities of feedback, numbered as in syslog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Severity {
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
}

impl SeverityOutput {
    /// What stands before feedback of this severity.
    pub fn prefix(self, severity: Severity) -> String {
        match self {
            SeverityOutput::None => String::new(),
            SeverityOutput::Number => format!("[{}]: ", severity as u8),
            SeverityOutput::String => {
                let name = match severity {
                    Severity::Error => "err",
                    Severity::Warning => "warning",
                    Severity::Notice => "notice",
                    Severity::Info => "info",
                };
                format!("[{name}]: ")
            }
        }
    }
}

/// What a `stats socket` line grants to a connection.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// `level`.
    pub level: CliLevel,
    /// `expose-fd listeners`: another process may take the listening sockets over.
    pub exposes_listeners: bool,
}

impl From<CliLevel> for Grant {
    fn from(level: CliLevel) -> Grant {
        Grant { level, exposes_listeners: false }
    }
}

/// What a connection remembers from one command to the next.
#[derive(Clone, Debug)]
pub struct Session {
    /// The level now; `operator` and `user` lower it.
    pub level: CliLevel,
    /// The level of the socket, which decides what statistics show.
    pub socket_level: CliLevel,
    /// `expose-fd listeners` of the socket.
    pub exposes_listeners: bool,
    /// `prompt i`: more than one line is read.
    pub interactive: bool,
    /// `prompt p`: a prompt follows each answer.
    pub prompt: bool,
    /// `prompt timed`: the prompt tells the uptime.
    pub timed: bool,
    /// `expert-mode on`.
    pub expert: bool,
    /// `experimental-mode on`.
    pub experimental: bool,
    /// `set severity-output`.
    pub severity: SeverityOutput,
    /// `set timeout cli`, in milliseconds.
    pub timeout_ms: u64,
    /// No line end follows the present command's answer.
    pub no_line_end: bool,
}

impl Session {
    /// A fresh connection to a socket that grants this.
    pub fn new(grant: impl Into<Grant>, timeout_ms: u64) -> Session {
        let Grant { level, exposes_listeners } = grant.into();
        Session {
            level,
            socket_level: level,
            exposes_listeners,
            interactive: false,
            prompt: false,
            timed: false,
            expert: false,
            experimental: false,
            severity: SeverityOutput::None,
            timeout_ms,
            no_line_end: false,
        }
    }
}

/// One command being carried out.
pub struct Call<'a> {
    /// The control thread.
    pub control: &'a Rc<Control>,
    /// The connection's settings.
    pub session: &'a mut Session,
    /// The words of the command.
    pub words: &'a [Vec<u8>],
    /// The payload, if one was sent.
    pub payload: Option<&'a [u8]>,
    /// The answer.
    pub out: &'a mut Vec<u8>,
}

impl Call<'_> {
    /// Word number `index`; empty if there is none, or if it is not text.
    pub fn arg(&self, index: usize) -> &str {
        self.words.get(index).and_then(|word| std::str::from_utf8(word).ok()).unwrap_or("")
    }
    /// Word number `index` as bytes; empty if there is none.
    pub fn bytes(&self, index: usize) -> &[u8] {
        self.words.get(index).map_or(&[], Vec::as_slice)
    }
    /// Adds text to the answer as it stands.
    pub fn print(&mut self, text: impl AsRef<[u8]>) {
        self.out.extend_from_slice(text.as_ref());
    }
    /// Feedback: one line end at its end, the severity before it if the client wants it.
    pub fn say(&mut self, severity: Severity, text: &str) -> Flow {
        let prefix = self.session.severity.prefix(severity);
        self.print(prefix);
        self.print(text.trim_end_matches('\n'));
        self.print("\n");
        Flow::Done
    }
    /// Says what went wrong.
    pub fn error(&mut self, text: &str) -> Flow {
        self.say(Severity::Error, text)
    }
    /// Whether the connection has this level; says `Permission denied` if not.
    pub fn may(&mut self, level: CliLevel) -> bool {
        let allowed = self.session.level >= level;
        if !allowed {
            self.error("Permission denied");
        }
        allowed
    }
}
