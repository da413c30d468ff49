//! Reading the configuration, and `-c`: reading it and saying what came of it.
//!
//! Exit codes are HAProxy's: 0 valid, 1 errors (or warnings with `-dW`), 2 valid but without a
//! listener. What builds the model is handed in, so that this flow can be tested without it.

use super::args::Options;
use super::console::Console;
use super::files;
use super::listeners;
use super::world::System;
use crate::config::{Input, Settings, World};
use crate::diag::{Level, Report};
use crate::model::Model;

/// Builds a model out of files, as [`crate::config::load`] does.
pub type Load<'a> = &'a dyn Fn(&[Input], &Settings, &dyn World, &mut Report) -> Option<Model>;

/// The files are right; see [`check`] for the rest.
pub const VALID: u8 = 0;
/// Errors were found.
pub const INVALID: u8 = 1;

/// What was read.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub model: Model,
    /// Whether it has warnings.
    pub warnings: bool,
    /// What was found, and the files' text.
    pub report: Report,
}

/// The files of the command line, read from the directory of `-C`.
pub fn inputs(options: &Options, console: &Console) -> Result<Vec<Input>, u8> {
    if let Some(directory) = &options.directory
        && let Err(error) = std::env::set_current_dir(directory)
    {
        console.alert(&format!("Could not change to directory {directory} : {}", files::cause(&error)));
        return Err(INVALID);
    }
    files::inputs(&options.files).map_err(|text| {
        console.alert(&text);
        INVALID
    })
}

/// Reads the configuration and shows what was found. Without a usable one: the exit code.
pub fn read(options: &Options, console: &Console, load: Load<'_>) -> Result<Loaded, u8> {
    let inputs = inputs(options, console)?;
    let mut report = Report::default();
    let model = load(&inputs, &options.settings(), &System, &mut report);
    if options.diag
        && let Some(model) = &model
    {
        crate::config::exposure::look(model, &mut report);
    }
    if let Some(model) = &model {
        let usable = core_affinity::get_core_ids().map_or(0, |cpus| cpus.len());
        super::cpus::look(&model.global, usable, &mut report);
    }
    console.report(&report);
    let Some(model) = model.filter(|_| !report.has_alerts()) else {
        if !report.has_alerts() {
            console.alert("config : Fatal errors found in configuration.");
        }
        return Err(INVALID);
    };
    // With -dD its findings count as warnings.
    let diag = options.diag && report.diagnostics.iter().any(|d| d.level == Level::Diag);
    let warnings = report.has_warnings() || diag;
    if warnings && (options.zero_warning || model.global.zero_warning) {
        console.alert("Some warnings were found and 'zero-warning' is set. Aborting.");
        return Err(INVALID);
    }
    Ok(Loaded { model, warnings, report })
}

/// `-c`: the exit code.
pub fn check(options: &Options, load: Load<'_>) -> u8 {
    let console = Console::new(options);
    let loaded = match read(options, &console, load) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let mut report = loaded.report;
    let known = report.diagnostics.len();
    listeners::look(&loaded.model, &mut report);
    if report.has_alerts() {
        report.diagnostics.drain(..known);
        console.report(&report);
        return INVALID;
    }
    if loaded.warnings {
        console.result("Warnings were found.\n");
    }
    if !has_listener(&loaded.model) {
        console.result("No enabled listener found: a process cannot start on this configuration alone.\n");
    }
    if options.names_files {
        console.result(&format!("Configuration file is valid : {}\n", options.files.join(", ")));
    } else if options.verbose {
        console.result("Configuration file is valid\n");
    }
    VALID
}

/// Whether anything would listen; the runtime API counts.
pub fn has_listener(model: &Model) -> bool {
    !model.global.stats_sockets.is_empty()
        || model.proxies.iter().any(|proxy| !proxy.disabled && !proxy.binds.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Span;
    use crate::model::{Bind, BindAddress, Shared};
    use crate::state::Registry;

    fn model(listens: bool, zero_warning: bool) -> Model {
        let shared = Shared::bare(Registry::new(1));
        let mut model = Model::new(shared, Vec::new(), Default::default());
        model.global.zero_warning = zero_warning;
        if listens {
            model.global.stats_sockets.push(Bind::bare(BindAddress::Unix("/nonexistent/socket".into())));
        }
        model
    }

    #[test]
    fn exit_codes() {
        for (alert, warning, listens, dash_dw, zero_warning, expected) in [
            (false, false, true, false, false, VALID),
            (false, true, true, false, false, VALID),
            (false, true, true, true, false, INVALID),
            (false, true, true, false, true, INVALID),
            (false, false, true, true, true, VALID),
            (true, false, true, false, false, INVALID),
            (false, false, false, false, false, VALID),
            (false, true, false, true, false, INVALID),
        ] {
            let options = Options { quiet: true, zero_warning: dash_dw, ..Options::default() };
            let code = check(&options, &|_, _, _, report| {
                if alert {
                    report.alert(Span::NONE, "wrong");
                }
                if warning {
                    report.warning(Span::NONE, "odd");
                }
                Some(model(listens, zero_warning))
            });
            assert_eq!(code, expected, "{alert} {warning} {listens} {dash_dw} {zero_warning}");
        }
        let quiet = || Options { quiet: true, ..Options::default() };
        assert_eq!(check(&quiet(), &|_, _, _, _| None), INVALID);
        let missing = Options { files: vec!["/nonexistent.cfg".into()], ..quiet() };
        assert_eq!(check(&missing, &|_, _, _, _| unreachable!("nothing to load")), INVALID);
    }
}
