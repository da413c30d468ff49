//! What every keyword's parser may reach: the report, the world outside, live objects, and the
//! sections that are not proxies.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::address::{AddressError, Scope};
use super::environment::Environment;
use super::section::bind::BindSettings;
use super::syntax::Word;
use super::tls::TlsLoading;
use super::words::{self, Words};
use super::{Settings, World};
use crate::base::text;
use crate::diag::{Report, Span, closest};
use crate::model::RingSettings;
use crate::model::proxy::ErrorPage;
use crate::resolvers::Resolvers;
use crate::sample::acl::AclSet;
use crate::sample::expr::{EXPOSE, Files as _, Named, ParseContext, Phase};
use crate::state::Registry;

/// Findings after which no more suggestions are made.
const SUGGESTIONS_MAX: usize = 50;

/// Where relative paths start (manual, section 3.1 `default-path`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultPath {
    /// Where the process was started.
    Current,
    /// The folder of the configuration's file.
    Config,
    /// The folder above that.
    Parent,
    /// This one.
    Origin(String),
}

/// Contents of files by their paths, or why they could not be read.
pub type KeptFiles = HashMap<PathBuf, Result<Arc<[u8]>, String>>;

/// The state of a load.
pub struct Loading<'a> {
    /// Findings.
    pub report: &'a mut Report,
    /// Settings of the command line.
    pub settings: &'a Settings,
    /// Live objects.
    pub registry: &'a Arc<Registry>,
    /// Files and names.
    pub world: &'a dyn World,
    /// The environment as the configuration left it.
    pub environment: &'a Environment<'a>,
    /// `unix-bind prefix`
    pub unix_prefix: String,
    /// `unix-bind mode|uid|gid`: defaults of `bind` lines.
    pub unix_bind: BindSettings,
    /// `http-errors` sections: pages by status.
    pub http_errors: HashMap<String, HashMap<u16, Arc<ErrorPage>>>,
    /// Stick tables and userlists: read before everything that may name one.
    pub named: Named,
    /// Lines could not be read at all: names that they may have declared are not missed.
    pub lost_lines: bool,
    /// Names on lines whose first word looks like a mistyped section: they are not missed.
    pub lost_names: Vec<String>,
    /// A keyword is unknown: what it may have set is not missed.
    pub lost_settings: bool,
    /// `ring` sections: capacity.
    pub rings: HashMap<String, RingSettings>,
    /// `resolvers` sections in order of declaration.
    pub resolvers: Vec<Arc<Resolvers>>,
    /// The ACLs of the proxies that are finished.
    pub acls: Vec<AclSet>,
    /// What `global` says about TLS, and certificates that were read.
    pub tls: TlsLoading,
    files: KeptFiles,
    /// Whether files that are read now are kept for what is added while running.
    pub keeps_files: bool,
    kept_files: KeptFiles,
    /// `default-path`
    pub default_path: DefaultPath,
    /// GUIDs, and the place of each.
    guids: HashMap<String, Span>,
}

impl<'a> Loading<'a> {
    /// Nothing read yet.
    pub fn new(
        settings: &'a Settings,
        registry: &'a Arc<Registry>,
        world: &'a dyn World,
        environment: &'a Environment<'a>,
        report: &'a mut Report,
    ) -> Self {
        Loading {
            report,
            settings,
            registry,
            world,
            environment,
            unix_prefix: String::new(),
            unix_bind: BindSettings::default(),
            http_errors: HashMap::new(),
            named: Named::default(),
            lost_lines: false,
            lost_names: Vec::new(),
            lost_settings: false,
            rings: HashMap::new(),
            resolvers: Vec::new(),
            acls: Vec::new(),
            tls: TlsLoading::default(),
            files: HashMap::new(),
            keeps_files: false,
            kept_files: HashMap::new(),
            default_path: DefaultPath::Current,
            guids: HashMap::new(),
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
            files: self.environment,
            phase,
            proxy,
            acls,
            named: &self.named,
        }
    }

    /// A file's bytes; read once per load however many proxies name it.
    pub fn file(&mut self, path: &str) -> Result<Arc<[u8]>, String> {
        let placed = self.environment.placed(path);
        let known = self.files.get(&placed).cloned();
        let read = known.unwrap_or_else(|| {
            let read = self.environment.read(path).map(Arc::from).map_err(|error| text::of_error(&error));
            self.files.insert(placed.clone(), read.clone());
            read
        });
        if self.keeps_files {
            self.kept_files.insert(placed, read.clone());
        }
        read
    }

    /// The files that were kept.
    pub fn take_kept_files(&mut self) -> KeptFiles {
        std::mem::take(&mut self.kept_files)
    }

    /// Has the contents of files known.
    pub fn take_files(&mut self, files: &KeptFiles) {
        self.files.clone_from(files);
    }

    /// The GUIDs so far.
    pub fn guids(&self) -> impl Iterator<Item = &str> {
        self.guids.keys().map(String::as_str)
    }

    /// A GUID that no other object has, or an alert.
    pub fn guid(&mut self, keyword: &str, word: &Word) -> Option<String> {
        let problem = match (words::check_guid(&word.text), self.guids.get(&word.text)) {
            (Err(problem), _) => problem,
            (Ok(()), Some(other)) => format!("'{}' is already used at {}", word.text, self.place(*other)),
            (Ok(()), None) => {
                self.guids.insert(word.text.clone(), word.span);
                return Some(word.text.clone());
            }
        };
        self.report.alert(word.span, format!("'{keyword}' : {problem}"));
        None
    }

    /// Whether an experimental directive may be used; an alert if not (manual, section 3.1
    /// `expose-experimental-directives`).
    pub fn experimental(&mut self, words: &Words<'_>) -> bool {
        if !self.named.experimental {
            let message = format!("'{}' directive is experimental", words.keyword());
            self.report.alert(words.span(), message).help(EXPOSE);
        }
        self.named.experimental
    }

    /// What readers of addresses need.
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            environment: self.environment,
            world: self.world,
            settings: self.settings,
            unix_prefix: &self.unix_prefix,
        }
    }

    /// Reports a text that is no address.
    pub fn address_error(&mut self, prefix: &str, span: Span, error: AddressError) {
        let found = self.report.alert(span, format!("{prefix}{}", error.message));
        if let Some(help) = error.help {
            found.help(help);
        }
    }

    /// The number of a user or group called `name` in a file of the form of `/etc/passwd`.
    pub fn id_in(&mut self, path: &str, name: &str) -> Option<u32> {
        let bytes = self.file(path).ok()?;
        String::from_utf8_lossy(&bytes).lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
        })
    }

    /// The known name nearest to a mistyped one. After many findings it is not looked for any more:
    /// the search is linear, and a file that is wrong all over must not take minutes to say so.
    pub fn nearest<'n>(&self, name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
        if self.report.diagnostics.len() > SUGGESTIONS_MAX {
            return None;
        }
        // Sorted, so that of equally near names the same one is suggested every time.
        let mut known: Vec<&str> = known.into_iter().collect();
        known.sort_unstable();
        closest(name, known).map(str::to_owned)
    }

    /// Has relative paths start where `default-path` wants it for the file of this line.
    pub fn enter(&self, span: Span) {
        let file = self.report.sources.get(span.file as usize).map_or("", |source| source.name.as_str());
        let folder = Path::new(file).parent().map(Path::to_owned).unwrap_or_default();
        self.environment.start_from(match &self.default_path {
            DefaultPath::Current => PathBuf::new(),
            DefaultPath::Config => folder,
            DefaultPath::Parent => folder.join(".."),
            DefaultPath::Origin(path) => PathBuf::from(path),
        });
    }

    /// Where a span lies, as `file:line`, for messages that name another place.
    pub fn place(&self, span: Span) -> String {
        let name = self.report.sources.get(span.file as usize).map_or("-", |source| source.name.as_str());
        format!("{name}:{}", span.line)
    }
}
