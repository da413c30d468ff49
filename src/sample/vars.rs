//! Variables: named values with the life time of their scope.

use std::cell::RefCell;

use super::Value;

/// Where a variable lives (manual, section 2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Scope {
    Proc,
    Sess,
    Txn,
    Req,
    Res,
    Check,
}

/// A variable's name, numbered at load time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VarName {
    /// Where it lives.
    pub scope: Scope,
    /// The name's number in the process-wide list of names.
    pub id: u32,
}

/// The variables of one scope. Few per scope: a list beats a map.
///
/// Setting one needs no exclusive access, because a converter (`set-var`) may do it in the middle
/// of an evaluation.
#[derive(Debug, Default)]
pub struct Vars(RefCell<Vec<(u32, Value<'static>)>>);

impl Vars {
    /// The value of variable `id`.
    pub fn get(&self, id: u32) -> Option<Value<'static>> {
        self.0.borrow().iter().find(|(other, _)| *other == id).map(|(_, value)| value.clone())
    }
    /// Gives variable `id` a value.
    pub fn set(&self, id: u32, value: Value<'static>) {
        let mut list = self.0.borrow_mut();
        match list.iter_mut().find(|(other, _)| *other == id) {
            Some((_, old)) => *old = value,
            None => list.push((id, value)),
        }
    }
    /// Forgets variable `id`; false if it had no value.
    pub fn unset(&self, id: u32) -> bool {
        let mut list = self.0.borrow_mut();
        let before = list.len();
        list.retain(|(other, _)| *other != id);
        list.len() < before
    }
    /// Forgets all.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}
