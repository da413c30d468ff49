//! The environment as the configuration sees it: the process's variables, the predefined ones, and
//! what `setenv` and its kin changed on the lines read so far (manual, section 2.3).
//!
//! It is not the process's own environment: nothing here calls `setenv(3)`, which other threads
//! could not survive. The changes lie over the [`World`]'s variables. Expressions ask this object, and the
//! start puts [`Environment::changes`] into the process's environment before it makes a thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;

use super::syntax::{Line, Prefix};
use super::{Input, Settings, World};
use crate::diag::{Report, closest};
use crate::log::formats;
use crate::model::global::EnvironmentChanges;
use crate::sample::expr::Files;

/// Default log formats, predefined so that a configuration can extend them.
const FORMATS: &[(&str, &str)] = &[
    ("HAPROXY_HTTP_LOG_FMT", formats::HTTP),
    ("HAPROXY_HTTP_CLF_LOG_FMT", formats::HTTP_CLF),
    ("HAPROXY_HTTPS_LOG_FMT", formats::HTTPS),
    ("HAPROXY_TCP_LOG_FMT", formats::TCP),
    ("HAPROXY_TCP_CLF_LOG_FMT", formats::TCP_CLF),
];

/// Variables by name, over those of a [`World`].
pub struct Environment<'a> {
    world: &'a dyn World,
    /// `None` hides the world's variable.
    changes: HashMap<String, Option<String>>,
    /// After `resetenv` the world's variables are hidden but for those in `changes`.
    world_hidden: bool,
    /// `-L` was given: `localpeer` changes nothing.
    peer_is_fixed: bool,
    /// The directory that relative paths start from (`default-path`); the process's own without one.
    base: RefCell<PathBuf>,
}

impl std::fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("changes", &self.changes).finish_non_exhaustive()
    }
}

impl Files for Environment<'_> {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        match self.placed(path).to_str() {
            Some(path) => self.world.read(path),
            None => self.world.read(path),
        }
    }
    fn host(&self, name: &str) -> Option<std::net::Ipv4Addr> {
        self.world.host(name)
    }
    fn variable(&self, name: &str) -> Option<String> {
        self.get(name)
    }
}

impl<'a> Environment<'a> {
    /// Has relative paths start from a directory.
    pub fn start_from(&self, base: PathBuf) {
        self.base.replace(base);
    }
    /// Where a path leads.
    pub fn placed(&self, path: &str) -> PathBuf {
        self.base.borrow().join(path)
    }
    /// The world's variables and nothing else.
    pub fn bare(world: &'a dyn World) -> Self {
        Environment {
            world,
            changes: HashMap::new(),
            world_hidden: false,
            peer_is_fixed: false,
            base: RefCell::default(),
        }
    }

    /// The environment at the first line of a configuration.
    pub fn new(world: &'a dyn World, settings: &Settings, inputs: &[Input]) -> Self {
        let mut this = Environment::bare(world);
        for (name, value) in FORMATS {
            this.set(name, value);
        }
        this.set("HAPROXY_BRANCH", super::features::BRANCH);
        if this.get("HAPROXY_STARTUP_VERSION").is_none() {
            this.set("HAPROXY_STARTUP_VERSION", super::features::VERSION);
        }
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        this.set("HAPROXY_CFGFILES", &names.join(";"));
        if settings.master_worker {
            this.set("HAPROXY_MWORKER", "1");
        }
        this.peer_is_fixed = settings.local_peer.is_some();
        if let Some(peer) = settings.local_peer.clone().or_else(|| world.hostname()) {
            this.set("HAPROXY_LOCALPEER", &peer);
        }
        this
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<String> {
        match self.changes.get(name) {
            Some(value) => value.clone(),
            None if self.world_hidden => None,
            None => self.world.env(name),
        }
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.changes.insert(name.to_string(), Some(value.to_string()));
    }

    /// Everything that differs from the world's environment.
    pub fn changes(&self) -> EnvironmentChanges {
        let mut changes: Vec<_> = self.changes.clone().into_iter().collect();
        changes.sort_unstable();
        EnvironmentChanges { reset: self.world_hidden, changes }
    }

    /// The name of a set variable that `name` may have meant.
    pub fn suggestion(&self, name: &str) -> Option<String> {
        let mut names: Vec<String> = self.world.env_names();
        names.retain(|known| !self.world_hidden && !self.changes.contains_key(known));
        names.extend(self.changes.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name.clone()));
        names.sort();
        closest(name, names.iter().map(String::as_str)).map(str::to_string)
    }

    /// Obeys a line of the `global` section that changes the environment: `setenv` and its kin, and `localpeer`,
    /// which sets a variable too. Mistakes go to `report`.
    pub fn obey(&mut self, line: &Line, report: &mut Report) {
        if line.prefix != Prefix::None {
            return;
        }
        let words = line.texts();
        let keyword = words[0];
        match keyword {
            "setenv" | "presetenv" => match words[1..] {
                [name, value] => {
                    if name.contains('=') {
                        report.alert(
                            line.words[1].span,
                            format!("'{keyword}' failed on variable '{name}' : a name cannot contain '='"),
                        );
                    } else if keyword == "setenv" || self.get(name).is_none() {
                        self.set(name, value);
                    }
                }
                [] => {
                    report.alert(line.span, format!("'{keyword}' expects environment variable name"));
                }
                [name] => {
                    report.alert(
                        line.span,
                        format!("'{keyword}' expects environment variable value for '{name}'"),
                    );
                }
                [_, _, extra, ..] => {
                    report
                        .alert(
                            line.words[3].span,
                            format!("'{keyword}' cannot handle unexpected argument '{extra}'"),
                        )
                        .help("quote the value if it contains spaces");
                }
            },
            "unsetenv" => {
                if words.len() < 2 {
                    report.alert(line.span, "'unsetenv' expects at least one variable name");
                }
                for name in &words[1..] {
                    self.changes.insert((*name).to_string(), None);
                }
            }
            "resetenv" => {
                let kept: Vec<(String, String)> = words[1..]
                    .iter()
                    .filter_map(|name| self.get(name).map(|value| ((*name).to_string(), value)))
                    .collect();
                self.changes.clear();
                self.world_hidden = true;
                for (name, value) in kept {
                    self.set(&name, &value);
                }
            }
            "localpeer" => {
                if let ([peer], false) = (&words[1..], self.peer_is_fixed) {
                    self.set("HAPROXY_LOCALPEER", peer);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::syntax::Word;
    use crate::config::testing::Memory;
    use crate::diag::Span;

    fn obey(environment: &mut Environment<'_>, line: &str) -> Report {
        let words = line.split(' ').map(|text| Word { text: text.into(), span: Span::NONE }).collect();
        let mut report = Report::default();
        environment.obey(&Line { words, span: Span::NONE, prefix: Prefix::None }, &mut report);
        report
    }

    #[test]
    fn lines_change_it() {
        let world = Memory::default().variable("KEPT", "k").variable("LOST", "l");
        for (lines, name, expected) in [
            (&["setenv A 1"][..], "A", Some("1")),
            (&["setenv KEPT 2"], "KEPT", Some("2")),
            (&["presetenv KEPT 2", "presetenv B 3"], "KEPT", Some("k")),
            (&["presetenv B 3"], "B", Some("3")),
            (&["unsetenv KEPT LOST"], "KEPT", None),
            (&["resetenv KEPT"], "KEPT", Some("k")),
            (&["resetenv KEPT"], "LOST", None),
            (&["resetenv"], "HAPROXY_BRANCH", None),
            (&["localpeer p"], "HAPROXY_LOCALPEER", Some("p")),
            (&["maxconn 5"], "maxconn", None),
        ] {
            let mut environment = Environment::new(&world, &Settings::default(), &[]);
            for line in lines {
                assert!(obey(&mut environment, line).diagnostics.is_empty(), "{line}");
            }
            assert_eq!(environment.get(name).as_deref(), expected, "{lines:?} {name}");
        }
        let settings = Settings { local_peer: Some("L".into()), ..Settings::default() };
        let mut environment = Environment::new(&world, &settings, &[]);
        obey(&mut environment, "localpeer p");
        assert_eq!(environment.get("HAPROXY_LOCALPEER").as_deref(), Some("L"), "-L wins");
    }

    #[test]
    fn mistakes_and_suggestions() {
        let world = Memory::default().variable("PORT", "1");
        let mut environment = Environment::bare(&world);
        for (line, part) in [
            ("setenv", "expects environment variable name"),
            ("setenv A", "value for 'A'"),
            ("presetenv A b c", "unexpected argument 'c'"),
            ("setenv A=B c", "cannot contain '='"),
            ("unsetenv", "at least one"),
        ] {
            let report = obey(&mut environment, line);
            assert!(report.diagnostics[0].message.contains(part), "{line}: {report:?}");
        }
        assert_eq!(environment.suggestion("PROT").as_deref(), Some("PORT"));
        obey(&mut environment, "unsetenv PORT");
        assert_eq!(environment.suggestion("PROT"), None);
    }
}
