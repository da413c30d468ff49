//! The tasks of one core, and its turn: run what is runnable, wait for readiness, look at the clock.
//!
//! Why not monoio, which the first version ran on: its readiness is one operation per wait (with
//! epoll, two calls of poll(2) per wait), armed and completed anew for each request on each side,
//! and its runtime is closed to another driver. A keep-alive request at 64 connections cost 1.0 to
//! 1.3 times HAProxy's processor time there (three pairs on a busy machine); watching each connection
//! once and for all brought it to 0.9 (`benches/quick`).
//!
//! A waker is a task's number: cloning one costs nothing, and a task that is runnable already is
//! not queued twice. A task that wakes itself goes to the back of the queue.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::reactor;
use crate::base::calls;
use crate::base::clock::{self, Millis};
use crate::sys::waker;

type Boxed = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Default)]
struct Task {
    future: Option<Boxed>,
    generation: u32,
    calls: u32,
    runnable: bool,
}

#[derive(Default)]
struct Executor {
    tasks: Vec<Task>,
    free: Vec<u32>,
    runnable: VecDeque<u32>,
}

thread_local! {
    static EXECUTOR: RefCell<Executor> = RefCell::default();
    static STOP: Cell<bool> = const { Cell::new(false) };
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

/// The part of a task's number that tells it from earlier tasks of its place.
const GENERATION_MASK: u32 = 0x7fff_ffff;

fn number(index: u32, generation: u32) -> usize {
    ((generation & GENERATION_MASK) as usize) << 32 | index as usize
}

/// Makes a task runnable: what wakers do.
fn wake(number: usize) {
    EXECUTOR.with(|executor| {
        let mut executor = executor.borrow_mut();
        let (index, generation) = (number as u32, (number >> 32) as u32);
        let Some(task) = executor.tasks.get_mut(index as usize) else { return };
        if task.generation & GENERATION_MASK == generation && !task.runnable {
            task.runnable = true;
            executor.runnable.push_back(index);
        }
    });
}

/// Starts a task on this core.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    let future: Boxed = Box::pin(future);
    EXECUTOR.with(|executor| {
        let mut executor = executor.borrow_mut();
        let index = executor.free.pop().unwrap_or_else(|| {
            executor.tasks.push(Task::default());
            executor.tasks.len() as u32 - 1
        });
        let task = &mut executor.tasks[index as usize];
        task.future = Some(future);
        task.calls = 0;
        task.runnable = true;
        executor.runnable.push_back(index);
    });
}

/// Runs the task at the front of the queue.
fn run_next() {
    let taken = EXECUTOR.with(|executor| {
        let mut executor = executor.borrow_mut();
        let index = executor.runnable.pop_front()?;
        let task = &mut executor.tasks[index as usize];
        task.runnable = false;
        task.calls = task.calls.wrapping_add(1);
        calls::set_current(task.calls);
        Some((index, task.generation, task.future.take()?))
    });
    let Some((index, generation, mut future)) = taken else { return };
    let waker = waker::make(number(index, generation));
    let poll = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
    if matches!(poll, Ok(Poll::Pending)) {
        EXECUTOR.with(|executor| executor.borrow_mut().tasks[index as usize].future = Some(future));
        return;
    }
    // A panic ends the task that made it, which is one connection, and nothing else. What it shared
    // with others is consistent: shared state changes by single atomic steps or behind guards.
    if poll.is_err() {
        PANICS.with(|panics| panics.set(panics.get() + 1));
    }
    // Dropping may wake and spawn others, and what a panic left half done may panic again.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
    EXECUTOR.with(|executor| {
        let mut executor = executor.borrow_mut();
        let task = &mut executor.tasks[index as usize];
        task.generation = task.generation.wrapping_add(1);
        task.runnable = false;
        executor.free.push(index);
    });
}

/// Panics of tasks that were caught on this thread.
pub fn panics() -> u32 {
    PANICS.with(Cell::get)
}

/// Ends [`run`] after the current turn.
pub fn stop() {
    STOP.with(|stop| stop.set(true));
}

/// Runs this core's tasks until [`stop`]. `idle` tells how long nothing is due; `tick` is called
/// once per turn with the clock just read.
pub fn run(idle: impl Fn() -> Duration, mut tick: impl FnMut(Millis)) -> io::Result<()> {
    waker::install(wake);
    STOP.with(|stop| stop.set(false));
    while !STOP.with(Cell::get) {
        // As many as were runnable at the start: a task that becomes runnable meanwhile waits for the next turn.
        let count = EXECUTOR.with(|executor| executor.borrow().runnable.len());
        (0..count).for_each(|_| run_next());
        if STOP.with(Cell::get) {
            break; // no task is left to wait for
        }
        let busy = EXECUTOR.with(|executor| !executor.borrow().runnable.is_empty());
        reactor::wait(Some(if busy { Duration::ZERO } else { idle() }))?;
        tick(clock::refresh().millis());
    }
    // Tasks own streams, which tell the reactor of their end: they go before it.
    let tasks = EXECUTOR.with(|executor| std::mem::take(&mut *executor.borrow_mut()));
    drop(tasks);
    Ok(())
}

/// Lets the other runnable tasks go first.
pub fn yield_now(context: &mut Context<'_>) {
    context.waker().wake_by_ref();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::driver::Choice;
    use std::rc::Rc;

    #[test]
    fn runs_tasks_in_turn_and_lets_a_yielding_one_wait() {
        reactor::install(&Choice { uring: false, reason: String::new() }).unwrap();
        let order = Rc::new(RefCell::new(Vec::new()));
        for name in ["a", "b"] {
            let order = order.clone();
            spawn(async move {
                for round in 0..2 {
                    order.borrow_mut().push((name, round));
                    let mut yielded = false;
                    std::future::poll_fn(|context| {
                        if std::mem::replace(&mut yielded, true) {
                            return Poll::Ready(());
                        }
                        yield_now(context);
                        Poll::Pending
                    })
                    .await;
                }
                if name == "b" {
                    stop();
                }
            });
        }
        spawn(async { panic!("one task's own") });
        run(|| Duration::from_millis(10), |_| {}).unwrap();
        assert_eq!(*order.borrow(), [("a", 0), ("b", 0), ("a", 1), ("b", 1)]);
        assert_eq!(panics(), 1, "the others went on");
        reactor::remove();
    }
}
