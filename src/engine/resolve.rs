//! Names that rules resolve (`do-resolve`): a question to the control thread, and the wait for its answer.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rustc_hash::FxHashMap;

use super::Core;
use crate::resolvers::Resolvers;
use crate::resolvers::options::Prefer;
use crate::wire::dns::Name;

/// What a rule asks of the control thread.
#[derive(Debug)]
pub enum ResolveOrder {
    /// Resolve a name.
    Ask {
        /// The core that asks, from 1.
        core: usize,
        /// Its number for the answer.
        token: u64,
        /// Whose name servers.
        resolvers: Arc<Resolvers>,
        /// The name.
        name: Name,
        /// The family to prefer.
        prefer: Prefer,
    },
    /// Nobody waits for that answer any more.
    Forget {
        /// The core that asked.
        core: usize,
        /// Its number.
        token: u64,
    },
}

#[derive(Default)]
struct Question {
    answer: Option<Option<IpAddr>>,
    waker: Option<Waker>,
}

/// The names that one core waits for.
#[derive(Default)]
pub struct Names {
    next: Cell<u64>,
    open: RefCell<FxHashMap<u64, Question>>,
}

impl Names {
    /// An answer came.
    pub fn answer(&self, token: u64, address: Option<IpAddr>) {
        if let Some(question) = self.open.borrow_mut().get_mut(&token) {
            question.answer = Some(address);
            if let Some(waker) = question.waker.take() {
                waker.wake();
            }
        }
    }
}

/// A question under way; whoever drops it does not wait any more.
pub struct Asked {
    core: Rc<Core>,
    token: u64,
    is_answered: bool,
}

impl Asked {
    /// Asks for a name.
    pub fn ask(core: &Rc<Core>, resolvers: &Arc<Resolvers>, name: Name, prefer: Prefer) -> Asked {
        let token = core.names.next.get() + 1;
        core.names.next.set(token);
        core.names.open.borrow_mut().insert(token, Question::default());
        let resolvers = resolvers.clone();
        (core.setup.resolve_orders)(ResolveOrder::Ask { core: core.index, token, resolvers, name, prefer });
        Asked { core: core.clone(), token, is_answered: false }
    }
    /// Waits for the answer: the address, if there is one.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<IpAddr>> {
        let mut open = self.core.names.open.borrow_mut();
        let Some(question) = open.get_mut(&self.token) else { return Poll::Ready(None) };
        match question.answer {
            Some(address) => {
                self.is_answered = true;
                Poll::Ready(address)
            }
            None => {
                question.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.core.names.open.borrow_mut().remove(&self.token);
        if !self.is_answered {
            let (core, token) = (self.core.index, self.token);
            (self.core.setup.resolve_orders)(ResolveOrder::Forget { core, token });
        }
    }
}
