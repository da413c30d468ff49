//! Variables: named values with the life time of their scope (manual, section 2.8).
//!
//! Names are numbered process-wide when the configuration is loaded, so that a lookup compares
//! numbers. The list of names only grows: a later configuration finds its variables again.

use std::cell::RefCell;
use std::sync::Mutex;

use super::Value;
use super::facts::Context;

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

impl Scope {
    /// Every scope with its prefix.
    pub const ALL: [(&'static str, Scope); 6] = [
        ("proc", Scope::Proc),
        ("sess", Scope::Sess),
        ("txn", Scope::Txn),
        ("req", Scope::Req),
        ("res", Scope::Res),
        ("check", Scope::Check),
    ];
}

impl Scope {
    /// Gives every variable of the scope, by its name without the scope, in the order they were set.
    pub fn each(self, context: &Context<'_>, mut each: impl FnMut(&str, &Value<'static>)) {
        let names = NAMES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut give = |list: &[(u32, Value<'static>)]| {
            for (id, value) in list {
                each(names.get(*id as usize).map_or("", |name| name), value);
            }
        };
        if self == Scope::Proc {
            give(&context.process.vars.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        } else if let Some(vars) = (VarName { scope: self, id: 0 }).list(context) {
            give(&vars.0.borrow());
        }
    }
}

/// A variable's name, numbered at load time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VarName {
    /// Where it lives.
    pub scope: Scope,
    /// The name's number in the process-wide list of names.
    pub id: u32,
}

static NAMES: Mutex<Vec<Box<str>>> = Mutex::new(Vec::new());

impl VarName {
    /// The variable that `scope.name` means, numbered if it is new; else what is wrong with it.
    pub fn parse(text: &str) -> Result<VarName, String> {
        let wrong_scope = || {
            format!(
                "invalid variable name '{text}'. A variable name must be start by its scope. \
                 The scope can be 'proc', 'sess', 'txn', 'req', 'res' or 'check'"
            )
        };
        let (scope, name) = text.split_once('.').ok_or_else(wrong_scope)?;
        let (_, scope) = Scope::ALL.iter().find(|(prefix, _)| *prefix == scope).ok_or_else(wrong_scope)?;
        if let Some(at) = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.') {
            return Err(format!("invalid syntax at char '{}'", &name[at..]));
        }
        if name.is_empty() {
            return Err(format!("invalid variable name '{text}': the name after the scope is missing"));
        }
        let mut names = NAMES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let id = names.iter().position(|known| **known == *name).unwrap_or_else(|| {
            names.push(name.into());
            names.len() - 1
        });
        Ok(VarName { scope: *scope, id: id as u32 })
    }
    /// The number of a name without its scope, if any configuration used it (`get var`, `set var`).
    pub fn known(name: &str) -> Option<u32> {
        let names = NAMES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        names.iter().position(|known| **known == *name).map(|id| id as u32)
    }
    /// Its name with its scope.
    pub fn text(self) -> String {
        let scope = Scope::ALL.iter().find(|(_, scope)| *scope == self.scope).map_or("", |(name, _)| name);
        let names = NAMES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        format!("{scope}.{}", names.get(self.id as usize).map_or("", |name| name))
    }
    fn list<'a>(self, context: &Context<'a>) -> Option<&'a Vars> {
        match self.scope {
            Scope::Proc => None,
            Scope::Sess => context.session.map(|session| &session.vars),
            Scope::Txn => Some(&context.txn.vars),
            Scope::Req => Some(&context.txn.request_vars),
            Scope::Res => Some(&context.txn.response_vars),
            Scope::Check => context.check_vars,
        }
    }
    /// Its value now.
    pub fn get(self, context: &Context<'_>) -> Option<Value<'static>> {
        if self.scope == Scope::Proc {
            let list = context.process.vars.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            return list.iter().find(|(id, _)| *id == self.id).map(|(_, value)| value.clone());
        }
        self.list(context)?.get(self.id)
    }
    /// Gives it a value; false where its scope does not exist.
    pub fn set(self, context: &Context<'_>, value: Value<'_>) -> bool {
        if self.scope == Scope::Proc {
            let mut list = context.process.vars.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let value = value.into_owned();
            match list.iter_mut().find(|(id, _)| *id == self.id) {
                Some((_, old)) => *old = value,
                None => list.push((self.id, value)),
            }
            return true;
        }
        self.list(context).map(|vars| vars.set(self.id, value.into_owned())).is_some()
    }
    /// Forgets its value; false if it had none.
    pub fn unset(self, context: &Context<'_>) -> bool {
        if self.scope == Scope::Proc {
            let mut list = context.process.vars.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let before = list.len();
            list.retain(|(id, _)| *id != self.id);
            return list.len() < before;
        }
        self.list(context).is_some_and(|vars| vars.unset(self.id))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::testing::World;

    #[test]
    fn each_scope_keeps_its_own() {
        let world = World::default();
        let context = world.context();
        for (index, scope) in ["proc", "sess", "txn", "req", "res"].iter().enumerate() {
            let name = VarName::parse(&format!("{scope}.same_name")).unwrap();
            assert_eq!(name.text(), format!("{scope}.same_name"));
            assert_eq!(name.get(&context), None);
            assert!(name.set(&context, Value::Int(index as i64)));
            assert_eq!(name.get(&context), Some(Value::Int(index as i64)));
        }
        let name = VarName::parse("txn.same_name").unwrap();
        assert!(name.unset(&context) && !name.unset(&context));
        assert!(VarName::parse("proc.same_name").unwrap().get(&context).is_some());
        assert!(!VarName::parse("check.x").unwrap().set(&context, Value::Int(1)), "no check, no scope");
    }

    #[test]
    fn names_are_checked() {
        for (text, part) in [
            ("foo", "must be start by its scope"),
            ("tx.a", "scope"),
            ("txn.a-b", "'-b'"),
            ("txn.", "missing"),
        ] {
            let error = VarName::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
