//! A control thread for tests: a small model, and data threads that only note what they are asked.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::admin::{Session, exec, line};
use super::{Control, Cores, ProcessLimit, admin};
use crate::base::clock;
use crate::base::id::ServerId;
use crate::engine::fault::Point;
use crate::engine::orders::{SESSIONS_AT_ONCE, Shown, Tell, core_of};
use crate::log::queue::LogQueue;
use crate::model::Model;
use crate::model::bind::CliLevel;
use crate::net::timer::Kill;
use crate::sample::facts::ProcessFacts;
use crate::state::{ProxyState, ServerState};
use crate::stats::fixture;

thread_local! {
    static CALLS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Data threads that note what they are asked; see [`calls`].
pub(crate) struct MockCores(ServerId);

fn note(text: String) {
    CALLS.with(|calls| calls.borrow_mut().push(text));
}

/// What was asked of the data threads on this thread since the last look.
pub(crate) fn calls() -> Vec<String> {
    CALLS.with(|calls| std::mem::take(&mut *calls.borrow_mut()))
}

impl Cores for MockCores {
    fn shutdown_server_sessions(&self, server: &Arc<ServerState>, _: Kill) {
        note(format!("shutdown sessions {}/{}", server.backend, server.name));
    }
    fn wake_queue(&self, backend: &Arc<ProxyState>) {
        note(format!("wake_queue {}", backend.name));
    }
    fn pause_frontend(&self, frontend: &Arc<ProxyState>) {
        note(format!("pause {}", frontend.name));
    }
    fn resume_frontend(&self, frontend: &Arc<ProxyState>) {
        note(format!("resume {}", frontend.name));
    }
    fn stop_frontend(&self, frontend: &Arc<ProxyState>) {
        note(format!("stop {}", frontend.name));
    }
    fn sessions(&self, core: usize, after: u64, tell: Tell<Shown>) {
        // Two threads; the sessions of one number modulo two are those of one thread.
        let numbers = (after + 1..=SESSIONS).filter(|number| core_of(*number, 2) == core);
        tell(numbers.take(SESSIONS_AT_ONCE).map(session).collect());
    }
    fn idle(&self, core: usize, tell: Tell<(ServerId, u32)>) {
        tell(vec![(self.0, core as u32 + 3)]);
    }
    fn shutdown_session(&self, number: u64) {
        note(format!("shutdown session {number}"));
    }
    fn limit_process(&self, limit: ProcessLimit) -> bool {
        note(format!("{limit:?}"));
        true
    }
    fn soft_stop(&self) {
        note("soft stop".into());
    }
    fn order_fault(&self, point: Point) {
        note(format!("fault {point:?}"));
    }
}

/// How many sessions there are.
pub(crate) const SESSIONS: u64 = 2000;

fn session(number: u64) -> Shown {
    let named = |name: &str, id| ((Arc::from(name), id), true);
    let is_idle = number > 2;
    Shown {
        number,
        thread: core_of(number, 2) + 1,
        source: Some(([192, 0, 2, 1], 1000).into()),
        listener: (None, 1, "127.0.0.1:8080".into()),
        frontend: named("fe", 2),
        backend: (!is_idle).then(|| named("be", 3)),
        server: (!is_idle).then(|| ((Arc::from("s1"), 1), "127.0.0.1:8001".into())),
        age_ms: number * 1000,
        expires_ms: (number != 2).then_some(5000),
        is_idle,
        is_killed: false,
        ended: (number, 10, 20),
    }
}

/// A control thread over [`fixture::model`].
pub(crate) fn control() -> Rc<Control> {
    control_with(|_| {})
}

/// The same over a model that was changed first.
pub(crate) fn control_with(change: impl FnOnce(&mut Model)) -> Rc<Control> {
    let mut model = fixture::model();
    change(&mut model);
    control_of(Arc::new(model))
}

/// The same over a model of one's own, whose second proxy has a server.
pub(crate) fn control_of(model: Arc<Model>) -> Rc<Control> {
    let server = model.proxies[1].servers[0].state.ident;
    Rc::new(Control {
        model: RefCell::new(model),
        log: Arc::new(LogQueue::new(1024, 1 << 20, || {})),
        process: Arc::new(ProcessFacts { pid: 4242, ..ProcessFacts::default() }),
        cores: Box::new(MockCores(server)),
        started: clock::read(),
        driver: "epoll (test)".into(),
        threads: 2,
        maxconn: Cell::new(1000),
        descriptors_max: 1024,
        admin: admin::Shared::default(),
    })
}

/// The answer to one command, without the empty line that follows it.
pub(crate) fn ask(control: &Rc<Control>, level: CliLevel, command: &str) -> String {
    answer(control, level, command, None)
}

/// The answer to one command of an expert.
pub(crate) fn ask_as_expert(control: &Rc<Control>, command: &str) -> String {
    let mut session = Session::new(CliLevel::Admin, 10_000);
    session.expert = true;
    let words: Vec<Vec<u8>> = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    let mut out = Vec::new();
    exec::run(control, &mut session, &words, None, &mut out);
    String::from_utf8(out).unwrap()
}

/// The answer to one command with a payload.
pub(crate) fn ask_with(control: &Rc<Control>, level: CliLevel, command: &str, payload: &[u8]) -> String {
    answer(control, level, command, Some(payload))
}

/// The parts that the answer to one command is made of.
pub(crate) fn parts(control: &Rc<Control>, command: &str) -> Vec<Vec<u8>> {
    let words: Vec<Vec<u8>> = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    let mut out = Vec::new();
    let mut session = Session::new(CliLevel::Admin, 10_000);
    let flow = exec::run(control, &mut session, &words, None, &mut out);
    let mut made = vec![out];
    let mut flow = flow;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    while let admin::Flow::Later(later) = flow {
        let (text, next) = runtime.block_on(later.get());
        made.push(text);
        flow = next;
    }
    if let admin::Flow::Parts(mut parts) = flow {
        let mut more = true;
        while more {
            let mut part = Vec::new();
            more = parts.fill(&mut part);
            made.push(part);
        }
    }
    made
}

fn answer(control: &Rc<Control>, level: CliLevel, command: &str, payload: Option<&[u8]>) -> String {
    let mut reader = line::Reader::default();
    reader.feed(format!("{command}\n").as_bytes());
    let request = reader.take().unwrap().expect("a command");
    let mut session = Session::new(level, 10_000);
    let mut out = Vec::new();
    let flow = exec::run(control, &mut session, &request.commands[0], payload, &mut out);
    let mut flow = flow;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    while let admin::Flow::Later(later) = flow {
        let (text, next) = runtime.block_on(later.get());
        out.extend_from_slice(&text);
        flow = next;
    }
    if let admin::Flow::Parts(mut parts) = flow {
        while parts.fill(&mut out) {}
    }
    String::from_utf8(out).unwrap()
}
