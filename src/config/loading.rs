//! What every keyword's parser may reach: the report, the world outside, live objects, and the
//! sections that are not proxies.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Settings, World};
use crate::diag::{Report, Span};
use crate::model::userlist::UserList;
use crate::model::proxy::ErrorPage;
use crate::sample::acl::AclSet;
use crate::sample::expr::{ParseContext, Phase};
use crate::state::Registry;

/// The state of a load.
pub struct Loading<'a> {
    /// Findings.
    pub report: &'a mut Report,
    /// Settings of the command line.
    pub settings: &'a Settings,
    /// Live objects.
    pub registry: &'a Arc<Registry>,
    /// Files, names, environment.
    pub world: &'a dyn World,
    /// `userlist` sections.
    pub userlists: HashMap<String, Arc<UserList>>,
    /// `http-errors` sections: pages by status.
    pub http_errors: HashMap<String, HashMap<u16, Arc<ErrorPage>>>,
    /// `ring` sections: capacity.
    pub rings: HashMap<String, u64>,
    files: HashMap<String, Result<Arc<[u8]>, String>>,
    addresses: HashMap<String, Option<IpAddr>>,
}

impl<'a> Loading<'a> {
    /// Nothing read yet.
    pub fn new(
        settings: &'a Settings,
        registry: &'a Arc<Registry>,
        world: &'a dyn World,
        report: &'a mut Report,
    ) -> Self {
        Loading {
            report,
            settings,
            registry,
            world,
            userlists: HashMap::new(),
            http_errors: HashMap::new(),
            rings: HashMap::new(),
            files: HashMap::new(),
            addresses: HashMap::new(),
        }
    }

    /// What the parsers of expressions, conditions, formats and rules need.
    pub fn context<'c>(
        &'c mut self,
        phase: Phase,
        proxy: Option<&'c str>,
        acls: &'c AclSet,
    ) -> ParseContext<'c> {
        ParseContext {
            report: &mut *self.report,
            registry: self.registry,
            files: self.world,
            phase,
            proxy,
            acls,
        }
    }

    /// A file's bytes; read once per load however many proxies name it.
    pub fn file(&mut self, path: &str) -> Result<Arc<[u8]>, String> {
        if let Some(known) = self.files.get(path) {
            return known.clone();
        }
        let read = self.world.read(path).map(Arc::from).map_err(|error| error_text(&error));
        self.files.insert(path.to_owned(), read.clone());
        read
    }

    /// The first address of a host name, IPv4 before IPv6 as HAProxy prefers it here; asked once.
    pub fn address_of(&mut self, host: &str) -> Option<IpAddr> {
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            return Some(address);
        }
        if let Some(known) = self.addresses.get(host) {
            return *known;
        }
        let found = self.world.resolve(host).ok().and_then(|all| {
            all.iter().find(|address| address.is_ipv4()).or_else(|| all.first()).copied()
        });
        self.addresses.insert(host.to_owned(), found);
        found
    }

    /// The number of a user or group called `name` in a file of the form of `/etc/passwd`.
    pub fn id_in(&mut self, path: &str, name: &str) -> Option<u32> {
        let bytes = self.file(path).ok()?;
        String::from_utf8_lossy(&bytes).lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
        })
    }

    /// Where a span lies, as `file:line`, for messages that name another place.
    pub fn place(&self, span: Span) -> String {
        let name = self.report.sources.get(span.file as usize).map_or("-", |source| source.name.as_str());
        format!("{name}:{}", span.line)
    }
}

/// An error of the system in its own words, without Rust's "(os error N)".
fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
