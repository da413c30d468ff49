//! A reload in place: the files are read again beside what runs, and a model without a mistake takes the place of
//! the one in force.
//!
//! Until nothing can fail any more, nothing changes: the load works on a stage of the registry, new addresses are
//! bound before old ones close. Listeners are kept by their address with all that waits in them. Sessions in
//! progress end under the model that they began with; what begins takes the new one.

mod losses;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use super::args::Options;
use super::files;
use super::listeners;
use super::manager::Manager;
use super::recorded::{Began, Recorded};
use crate::base::clock;
use crate::base::id::ServerId;
use crate::config;
use crate::control::{self, Control, Cores, ProcessLimit, log_sink, servers};
use crate::diag::{Form, Level, Report, Span};
use crate::engine::accept::BindLine;
use crate::engine::mailbox::Door;
use crate::engine::threads::CoreHandles;
use crate::model::{Global, Model, Server};
use crate::state::proxy::FrontendStatus;
use crate::state::server::{Operational, admin};
use crate::state::{Registry, ServerState};

/// Syslog levels of what is said of a reload.
const LEVEL_ALERT: u8 = 1;
const LEVEL_NOTICE: u8 = 5;

/// What came of a reload.
pub(super) struct Outcome {
    /// Whether the new configuration is in force; if not, the one before is.
    pub(super) is_success: bool,
    /// What was found, and what came of it.
    pub(super) text: String,
}

/// All that a reload needs.
pub(super) struct Reloader {
    /// The command line of the start: it names the files.
    pub(super) options: Options,
    /// The working directory of the start.
    pub(super) directory: String,
    /// The environment of the start, before the configuration changed it.
    pub(super) environment: HashMap<String, String>,
    pub(super) control: Rc<Control>,
    pub(super) cores: CoreHandles,
    /// The model of the data threads.
    pub(super) in_force: Arc<ArcSwap<Model>>,
    /// The listeners of that model.
    pub(super) lines: std::cell::RefCell<Vec<Arc<BindLine>>>,
    pub(super) manager: Rc<Manager>,
    /// `maxconn` of a configuration that sets none.
    pub(super) maxconn_default: u32,
    /// Connections that fit into the memory the process may use (`-m`).
    pub(super) connections_by_memory: Option<u32>,
    /// One reload at a time.
    pub(super) turn: Mutex<()>,
}

impl Reloader {
    /// Reloads, and tells everybody what came of it. What another process has `recorded` need not be in reach.
    pub(super) async fn run(&self, recorded: Recorded) -> Outcome {
        let _turn = self.turn.lock().await;
        let control = &*self.control;
        self.manager.reloading();
        let mut report = Report::default();
        let result = self.attempt(recorded, &mut report).await;
        let form = Form { pid: std::process::id(), rich: false, color: false, diag: self.options.diag };
        let mut text = report.render(form);
        if !text.is_empty() && !control.model().global.quiet {
            log_sink::write_stderr(&control.log, text.trim_end());
        }
        let (level, priority, said) = match &result {
            Ok(()) => (Level::Notice, LEVEL_NOTICE, "Loading success.".to_owned()),
            Err(why) => {
                let said = format!("Reload failed: {why} The configuration in force stays as it is.");
                (Level::Alert, LEVEL_ALERT, said)
            }
        };
        log_sink::tell(control, level, &said);
        log_sink::say(control, priority, &said);
        text.push_str(&crate::diag::render_line(level, form.pid, &said));
        control.admin.startup_logs.replace(text.clone());
        self.manager.reloaded(if result.is_ok() { "Ready." } else { &said });
        Outcome { is_success: result.is_ok(), text }
    }

    async fn attempt(&self, recorded: Recorded, report: &mut Report) -> Result<(), String> {
        if self.control.admin.stopping.get() {
            return Err("the process is stopping.".into());
        }
        let registry = self.control.model().registry.clone();
        // What an earlier model alone had may have been let go by now.
        registry.sweep();
        let (options, environment) = (self.options.clone(), self.environment.clone());
        let threads_registry = registry.clone();
        let world = Began { environment, recorded, record: None };
        // Beside the control thread: names are resolved, and large files take their time.
        let read = tokio::task::spawn_blocking(move || read(&options, &threads_registry, world));
        let result = match read.await {
            Ok((model, read)) => {
                *report = read;
                match model {
                    Ok(model) => self.apply(model, report),
                    Err(why) => Err(why),
                }
            }
            Err(error) => Err(format!("it could not be read: {error}.")),
        };
        if result.is_err() {
            registry.discard_staged_maps();
            registry.sweep();
        }
        result
    }

    /// Puts a model in force, or says why not.
    fn apply(&self, mut model: Model, report: &mut Report) -> Result<(), String> {
        let before = self.control.model();
        let global = &mut model.global;
        global.maxconn = self.options.maxconn.or(global.maxconn);
        global.quiet |= self.options.is_silent();
        global.no_reuseport |= self.options.switches.no_reuseport;
        keep_what_stays(&before, &mut model, report);
        let model = Arc::new(model);
        let threads = self.control.threads;
        let current = self.lines.borrow().clone();
        let (kept, mut bound) = listeners::rebind(&current, &model, threads, report);
        if !report.has_alerts() {
            bound.take_paths(report);
        }
        if !report.has_alerts() {
            bound.listen(report);
        }
        if let Some(first) = first_alert(report) {
            bound.withdraw();
            return Err(first);
        }
        bound.keep_paths();
        // From here on nothing fails.
        let unavailable: Vec<Arc<ServerState>> = servers_of(&model).filter(is_in_maintenance).collect();
        let changed_maps = losses::changed_maps(&model);
        let mut lost = losses::of_tables(&before, &model);
        lost.extend(losses::of_servers(&before, &model));
        lost.extend(model.certificates.succeed(&before.certificates));
        model.adopt();
        lost.extend(losses::of_maps(&changed_maps));
        self.apply_limits(&before.global, &model.global);
        model.apply_fullconn(self.control.maxconn.get());
        model.global.set_variables(&self.control.process);
        self.in_force.store(model.clone());
        self.control.model.replace(model.clone());
        let opened = bound.cores.iter().flatten().map(|socket| socket.line.clone());
        let mut lines: Vec<Arc<BindLine>> = kept.clone();
        for line in opened {
            if !lines.iter().any(|known| Arc::ptr_eq(known, &line)) {
                // An operator's order to stop was given to what was there before.
                line.proxy.state.frontend_status.store(FrontendStatus::Open as u8, Relaxed);
                lines.push(line);
            }
        }
        for (core, sockets) in bound.cores.drain(..).enumerate() {
            let kept = kept.iter().map(|line| Door::Keep { ident: line.ident, line: line.clone() });
            let doors = kept.chain(sockets.into_iter().map(Door::Open)).collect();
            self.cores.change_model(core, model.clone(), doors);
        }
        self.lines.replace(lines);
        let watched =
            before.proxies.iter().flat_map(|proxy| &proxy.servers).filter(|server| is_watched(server));
        self.settle(&model, &unavailable, &watched.map(|server| server.state.ident).collect());
        for text in lost {
            log_sink::say(&self.control, LEVEL_NOTICE, &text);
            report.notice(Span::NONE, text);
        }
        Ok(())
    }

    /// Limits of the whole process that the configuration has changed; those changed at run time stay otherwise.
    fn apply_limits(&self, before: &Global, now: &Global) {
        if before.maxconn != now.maxconn {
            let maxconn = now.maxconn.unwrap_or(self.maxconn_default);
            let maxconn = maxconn.min(self.connections_by_memory.unwrap_or(u32::MAX));
            self.control.maxconn.set(maxconn);
            self.cores.limit_process(ProcessLimit::Connections(maxconn));
        }
        if before.maxconnrate != now.maxconnrate {
            self.cores.limit_process(ProcessLimit::ConnectionRate(now.maxconnrate));
        }
        if before.maxsessrate != now.maxsessrate {
            self.cores.limit_process(ProcessLimit::SessionRate(now.maxsessrate));
        }
    }

    /// Brings servers, checks and queues in order with the new model.
    fn settle(&self, model: &Model, unavailable: &[Arc<ServerState>], watched: &HashSet<ServerId>) {
        for server in unavailable.iter().filter(|server| !is_in_maintenance(server)) {
            servers::leaves_maintenance(&self.control, server);
        }
        // What a check brought down that is there no more, nothing else would bring up.
        for server in
            model.proxies.iter().flat_map(|proxy| &proxy.servers).filter(|server| !is_watched(server))
        {
            let state = &server.state;
            let was_watched = watched.contains(&state.ident) && state.operational() == Operational::Stopped;
            if was_watched && !is_in_maintenance(state) {
                state.set_operational(Operational::Running);
            }
        }
        control::checks::start(&self.control);
        control::resolvers::start(&self.control);
        for proxy in model.proxies.iter().filter(|proxy| proxy.is_backend) {
            proxy.state.touch();
            for server in &proxy.servers {
                if server.state.operational() == Operational::Stopped {
                    self.cores.hand_on_queue(&server.state);
                }
            }
            self.cores.wake_queue(&proxy.state);
        }
    }
}

fn servers_of(model: &Model) -> impl Iterator<Item = Arc<ServerState>> + '_ {
    model.proxies.iter().flat_map(|proxy| &proxy.servers).map(|server| server.state.clone())
}

/// Whether something tells whether it is up.
fn is_watched(server: &Server) -> bool {
    server.check.is_some() || server.agent.is_some() || server.track.is_some()
}

fn is_in_maintenance(server: &Arc<ServerState>) -> bool {
    server.admin() & admin::MAINT != 0
}

fn first_alert(report: &Report) -> Option<String> {
    let first = report.diagnostics.iter().find(|found| found.level == Level::Alert)?;
    Some(format!("{}.", first.message.trim_end_matches('.')))
}

/// Reads the files. It blocks.
fn read(options: &Options, registry: &Arc<Registry>, mut world: Began) -> (Result<Model, String>, Report) {
    clock::refresh();
    let mut report = Report::default();
    let inputs = match world.recorded.inputs.take().unwrap_or_else(|| files::inputs(&options.files)) {
        Ok(inputs) => inputs,
        Err(text) => {
            report.alert(Span::NONE, text.clone()).help(
                "a process that has changed its root directory or its user reads only what it can reach still; \
                 'haring reload <pid>' reads for it",
            );
            return (Err(format!("{text}.")), report);
        }
    };
    let model = config::load(&inputs, &options.settings(), registry, &world, &mut report);
    if options.diag
        && let Some(model) = &model
    {
        config::exposure::look(model, &mut report);
    }
    let Some(model) = model else {
        let first = first_alert(&report).unwrap_or_else(|| "fatal errors found in configuration.".into());
        return (Err(first), report);
    };
    if report.has_warnings() && (options.zero_warning || model.global.zero_warning) {
        return (Err("some warnings were found and 'zero-warning' is set.".into()), report);
    }
    if !super::check::has_listener(&model) {
        return (Err("neither a 'bind' line nor a 'stats socket' is left to serve.".into()), report);
    }
    (Ok(model), report)
}

/// Settings that take effect at the start only: a change is told, and the value of the start stays.
fn keep_what_stays(before: &Model, model: &mut Model, report: &mut Report) {
    let mut tell = |what: &str| {
        report
            .warning(Span::NONE, format!("{what} has changed: that takes effect at the next restart"))
            .help("what the process was started with stays until then");
    };
    macro_rules! stay {
        ($($what:literal $field:ident,)*) => {$(
            if model.global.$field != before.global.$field {
                tell($what);
                model.global.$field.clone_from(&before.global.$field);
            }
        )*};
    }
    stay! {
        "'nbthread'" nbthread,
        "'cpu-map'" cpu_map,
        "'tune.driver'" driver,
        "'ulimit-n'" ulimit_n,
        "'tune.renice.runtime'" nice,
        "'daemon'" daemon,
        "'pidfile'" pidfile,
        "'user' or 'uid'" uid,
        "'group' or 'gid'" gid,
        "'chroot'" chroot,
        "'set-dumpable'" dumpable,
        "'insecure-setuid-wanted'" insecure_setuid,
        "'noreuseport'" no_reuseport,
        "the environment ('setenv' and its kin)" environment,
        "'node'" node,
        "'log-send-hostname'" log_hostname,
        "'stats maxconn'" stats_maxconn,
        "'tune.bufsize'" bufsize,
        "'tune.pipesize'" pipesize,
        "'maxpipes'" maxpipes,
        "'nosplice'" nosplice,
        "'http-err-codes' or 'http-fail-codes'" counted_statuses,
        "'tune.vars.*-max-size'" var_limits,
    }
    let sockets = |model: &Model| {
        let all = model.global.stats_sockets.iter();
        all.map(|bind| (bind.address.clone(), bind.level, bind.expose_fd)).collect::<Vec<_>>()
    };
    if sockets(model) != sockets(before) {
        tell("'stats socket'");
        model.global.stats_sockets.clone_from(&before.global.stats_sockets);
    }
    if model.rings != before.rings {
        tell("a 'ring' section");
        model.rings.clone_from(&before.rings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::Memory;
    use crate::config::{Input, Settings};

    fn load(text: &str, registry: &Arc<Registry>) -> Model {
        let input = Input { name: "x.cfg".into(), bytes: text.into() };
        let mut report = Report::default();
        let model = config::load(&[input], &Settings::default(), registry, &Memory::default(), &mut report);
        model.unwrap_or_else(|| panic!("{:?}", report.diagnostics))
    }

    #[test]
    fn what_only_a_start_can_change_stays_and_is_told() {
        let registry = Registry::new(1);
        let text = |bufsize: u32, log: u32, ring: &str| {
            format!(
                "global\ntune.bufsize {bufsize}\ntune.http.logurilen {log}\n{ring}\nfrontend f\nbind :1\ntimeout client 1s\n"
            )
        };
        let before = load(&text(16384, 1024, ""), &registry);
        let mut after = load(&text(32768, 100, "ring r\nsize 1000\n"), &registry);
        let mut report = Report::default();
        keep_what_stays(&before, &mut after, &mut report);
        let told: Vec<_> = report.diagnostics.iter().map(|found| found.message.as_str()).collect();
        assert!(told.len() == 2 && told[0].starts_with("'tune.bufsize' has changed"), "{told:?}");
        assert!(told[1].starts_with("a 'ring' section has changed"), "{told:?}");
        assert_eq!((after.global.bufsize, after.global.log_uri_len), (16384, 100));
        assert!(after.rings.is_empty());
        let mut same = load(&text(16384, 7, ""), &registry);
        let mut report = Report::default();
        keep_what_stays(&before, &mut same, &mut report);
        assert!(report.diagnostics.is_empty(), "{:?}", report.diagnostics);
    }
}
