//! A control thread for tests: a small model, and data threads that only note what they are asked.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::admin::{Session, exec, line};
use super::{Control, Cores, ProcessLimit, admin};
use crate::base::clock;
use crate::engine::fault::Point;
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
pub struct MockCores;

fn note(text: String) {
    CALLS.with(|calls| calls.borrow_mut().push(text));
}

/// What was asked of the data threads on this thread since the last look.
pub fn calls() -> Vec<String> {
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
    fn list_sessions(&self) -> Vec<String> {
        vec!["0x1: proto=tcpv4 fe=fe".into(), "0x2: proto=tcpv4 fe=fe\n".into()]
    }
    fn shutdown_session(&self, id: &str) -> bool {
        id == "0x1"
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

/// A control thread over [`fixture::model`].
pub fn control() -> Rc<Control> {
    control_with(|_| {})
}

/// The same over a model that was changed first.
pub fn control_with(change: impl FnOnce(&mut Model)) -> Rc<Control> {
    let mut model = fixture::model();
    change(&mut model);
    Rc::new(Control {
        model: RefCell::new(Arc::new(model)),
        log: Arc::new(LogQueue::new(1024, 1 << 20, || {})),
        process: Arc::new(ProcessFacts { pid: 4242, ..ProcessFacts::default() }),
        cores: Box::new(MockCores),
        started: clock::read(),
        driver: "epoll (test)".into(),
        threads: 2,
        maxconn: Cell::new(1000),
        descriptors_max: 1024,
        admin: admin::Shared::default(),
    })
}

/// The answer to one command, without the empty line that follows it.
pub fn ask(control: &Rc<Control>, level: CliLevel, command: &str) -> String {
    answer(control, level, command, None)
}

/// The answer to one command of an expert.
pub fn ask_as_expert(control: &Rc<Control>, command: &str) -> String {
    let mut session = Session::new(CliLevel::Admin, 10_000);
    session.expert = true;
    let words: Vec<Vec<u8>> = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    let mut out = Vec::new();
    exec::run(control, &mut session, &words, None, &mut out);
    String::from_utf8(out).unwrap()
}

/// The answer to one command with a payload.
pub fn ask_with(control: &Rc<Control>, level: CliLevel, command: &str, payload: &[u8]) -> String {
    answer(control, level, command, Some(payload))
}

/// The parts that the answer to one command is made of.
pub fn parts(control: &Rc<Control>, command: &str) -> Vec<Vec<u8>> {
    let words: Vec<Vec<u8>> = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    let mut out = Vec::new();
    let mut session = Session::new(CliLevel::Admin, 10_000);
    let flow = exec::run(control, &mut session, &words, None, &mut out);
    let mut made = vec![out];
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
    let request = reader.next().unwrap().expect("a command");
    let mut session = Session::new(level, 10_000);
    let mut out = Vec::new();
    let flow = exec::run(control, &mut session, &request.commands[0], payload, &mut out);
    if let admin::Flow::Parts(mut parts) = flow {
        while parts.fill(&mut out) {}
    }
    String::from_utf8(out).unwrap()
}
