//! `haproxy.cfg` text -> tokens -> syntax -> [`Model`], or diagnostics; never stops at the first mistake.
#![forbid(unsafe_code)]

pub mod syntax;
pub mod environment;
pub mod lexer;
pub mod features;
pub mod condition;
pub mod preprocess;
pub mod read;
pub mod address;
pub mod keyword;
pub mod tls;
pub mod words;
pub mod shape;
pub mod loading;
pub mod draft;
pub mod section;
pub mod audit;
pub mod exposure;
pub mod wire;
pub mod finish_server;
pub mod finish;
pub mod build;
pub mod later;
pub mod doc;
pub mod layout;
pub mod modern;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::diag::Report;
use crate::model::Model;
use crate::sample::expr::Files;
use crate::state::Registry;

/// One configuration file's name and bytes, in the order of `-f`.
#[derive(Debug)]
pub struct Input {
    /// Its name as given.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Settings of the command line that change how a configuration is read.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `-dr`: a server name that does not resolve is no error.
    pub no_resolve: bool,
    /// `-4`: names are resolved to IPv4 only, whatever `dns-accept-family` says.
    pub ipv4_only: bool,
    /// `-L`: the local peer's name.
    pub local_peer: Option<String>,
    /// `-n`: overrides `maxconn`.
    pub maxconn: Option<u32>,
    /// `-W` or `-Ws`.
    pub master_worker: bool,
    /// `-dS`, `-dR` and kin: what the command line switches off, for `enabled()` in conditions.
    pub switches: features::Switches,
}

/// Reads files and resolves names for the configuration; tests answer from memory.
pub trait World: Files {
    /// Addresses of a host name.
    fn resolve(&self, host: &str) -> std::io::Result<Vec<std::net::IpAddr>>;
    /// A variable of the environment.
    fn env(&self, name: &str) -> Option<String>;
    /// The names of all variables of the environment, for suggestions.
    fn env_names(&self) -> Vec<String> {
        Vec::new()
    }
    /// The names of the files in a directory; nothing if it is none.
    fn directory(&self, _path: &str) -> Option<Vec<String>> {
        None
    }
    /// The host's name, which is the local peer's without `-L` and `localpeer`.
    fn hostname(&self) -> Option<String> {
        None
    }
}

/// Builds the model. What is wrong is in `report`; the model is `None` when it has alerts, and nothing has changed
/// then.
///
/// Live objects that the registry has already are left as they are; the model changes them when it comes into force
/// ([`Model::adopt`]). New ones are in the registry once the load has succeeded; should the model never come into
/// force, [`Registry::sweep`] forgets them.
pub fn load(
    inputs: &[Input],
    settings: &Settings,
    registry: &Arc<Registry>,
    world: &dyn World,
    report: &mut Report,
) -> Option<Model> {
    let known = report.diagnostics.len();
    let reading = read::read(inputs, settings, world, report);
    if let Some(threads) = threads(&reading.sections).filter(|_| registry.is_empty()) {
        registry.set_cores(threads);
    }
    let stage = registry.stage();
    let mut loading = loading::Loading::new(settings, &stage, world, &reading.environment, report);
    let built = build::build(&reading.sections, &mut loading);
    let (mut model, bases) = finish::finish(built, &mut loading);
    let later = later::Later::keep(&reading.sections, &model, bases, &mut loading);
    model.maker = Some(Arc::new(later));
    // What was found late goes to its line: people read their file from top to bottom.
    report.diagnostics[known..].sort_by_key(|found| (found.span.file, found.span.line));
    if report.has_alerts() {
        registry.discard_staged_maps();
        return None;
    }
    stage.commit();
    Some(model)
}

/// The last `nbthread` of the global sections. It is looked for before anything is built, since
/// counters are made with a block per thread.
fn threads(sections: &[syntax::Section]) -> Option<usize> {
    let lines =
        sections.iter().filter(|section| section.head.words[0].text == "global").flat_map(|s| &s.lines);
    let mut values =
        lines.filter(|line| line.words[0].text == "nbthread").filter_map(|line| line.words.get(1));
    values.next_back()?.text.parse().ok().filter(|threads| *threads > 0)
}
