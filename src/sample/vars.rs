//! Variables: named values with the life time of their scope (manual, section 2.8).
//!
//! Names are numbered process-wide when the configuration is loaded, so that a lookup compares
//! numbers. The list of names only grows: a later configuration finds its variables again.

use std::cell::{Cell, RefCell};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

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
            give(&vars.list.borrow());
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
            Scope::Sess => context.session.map(|session| &**session.vars()),
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
    /// Gives it a value if every condition holds; false if one does not, where its scope does not
    /// exist, or when there is no room (`tune.vars.*`): then it has no value any more.
    pub fn set_if(self, conditions: &[SetCondition], context: &Context<'_>, value: Value<'_>) -> bool {
        conditions.iter().all(|condition| condition.allows(self, &value, context)) && self.set(context, value)
    }
    /// Gives it a value; false where its scope does not exist, or when there is no room.
    pub fn set(self, context: &Context<'_>, value: Value<'_>) -> bool {
        if !self.has_room(context, &value) {
            self.unset(context);
            return false;
        }
        if self.scope == Scope::Proc {
            let mut list = context.process.vars.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let value = value.into_owned();
            match list.iter_mut().find(|(id, _)| *id == self.id) {
                Some((_, old)) => *old = value,
                None => list.push((self.id, value)),
            }
            return true;
        }
        let counted = context.process.limits.vars.counts_all();
        self.list(context).map(|vars| vars.set(self.id, value.into_owned(), counted)).is_some()
    }
    /// Whether the limits leave room for a value in the place of the one it has.
    fn has_room(self, context: &Context<'_>, value: &Value<'_>) -> bool {
        let limits = &context.process.limits.vars;
        if *limits == VarLimits::default() {
            return true;
        }
        let (txn, session) = (context.txn, context.session.map_or(0, |session| session.vars().size.get()));
        let process = || {
            let list = context.process.vars.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            list.iter().map(|(_, value)| size_of_variable(value)).sum::<usize>() + TOTAL.load(Relaxed)
        };
        let message = txn.request_vars.size.get() + txn.response_vars.size.get();
        let transaction = message + txn.vars.size.get();
        let check = context.check_vars.map_or(0, |vars| vars.size.get());
        let (old, new) = (self.get(context).map_or(0, |old| size_of_variable(&old)), size_of_variable(value));
        let fits = |limit: usize, used: usize| limit == 0 || used + new - old.min(used + new) <= limit;
        let is_message = matches!(self.scope, Scope::Req | Scope::Res);
        // Each scope includes those that live shorter (manual, section 3.2 `tune.vars`).
        (!is_message || fits(limits.message, message))
            && (!(is_message || self.scope == Scope::Txn) || fits(limits.transaction, transaction))
            && (self.scope != Scope::Check || fits(limits.check, check))
            && (self.scope == Scope::Proc || fits(limits.session, session + transaction + check))
            && (!limits.counts_all() || {
                let used = process();
                fits(limits.process, used) && fits(limits.global, used)
            })
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

/// How many bytes variables may take (`tune.vars.*-max-size`); 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VarLimits {
    /// `global`: of all scopes together.
    pub global: usize,
    /// `proc`: the same; the scope of the process includes all others.
    pub process: usize,
    /// `sess`
    pub session: usize,
    /// `txn`
    pub transaction: usize,
    /// `reqres`
    pub message: usize,
    /// `check`
    pub check: usize,
}

impl VarLimits {
    /// Whether what all sessions hold must be known.
    fn counts_all(&self) -> bool {
        self.global != 0 || self.process != 0
    }
}

/// What a variable takes besides the text of its value, as HAProxy counts it.
const VARIABLE_BYTES: usize = 80;

fn size_of_variable(value: &Value<'_>) -> usize {
    VARIABLE_BYTES + value.bytes().map_or(0, <[u8]>::len)
}

/// The bytes of all variables but those of the process, while a limit asks for them.
static TOTAL: AtomicUsize = AtomicUsize::new(0);

/// A condition of `set-var(name,condition...)` (manual, section 7.3.1 `set-var`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SetCondition {
    IfExists,
    IfNotExists,
    IfEmpty,
    IfNotEmpty,
    IfSet,
    IfNotSet,
    IfGreater,
    IfLess,
}

impl SetCondition {
    /// Every condition by name.
    pub const NAMES: [(&'static str, SetCondition); 8] = [
        ("ifexists", SetCondition::IfExists),
        ("ifnotexists", SetCondition::IfNotExists),
        ("ifempty", SetCondition::IfEmpty),
        ("ifnotempty", SetCondition::IfNotEmpty),
        ("ifset", SetCondition::IfSet),
        ("ifnotset", SetCondition::IfNotSet),
        ("ifgt", SetCondition::IfGreater),
        ("iflt", SetCondition::IfLess),
    ];
    /// The condition of a name.
    pub fn find(name: &[u8]) -> Option<SetCondition> {
        Self::NAMES.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, condition)| *condition)
    }
    /// A variable and the conditions behind it, as `proc.name,ifset`; a name without scope is a mistake.
    pub fn split(text: &str) -> Result<(VarName, Box<[SetCondition]>), String> {
        let mut parts = text.split(',').map(str::trim);
        let name = VarName::parse(parts.next().unwrap_or_default())?;
        let find = |part: &str| {
            SetCondition::find(part.as_bytes()).ok_or_else(|| format!("unknown condition \"{part}\""))
        };
        Ok((name, parts.map(find).collect::<Result<_, _>>()?))
    }
    /// Whether it lets `value` become the value of `name`.
    pub fn allows(self, name: VarName, value: &Value<'_>, context: &Context<'_>) -> bool {
        let is_empty = || value.bytes().is_some_and(<[u8]>::is_empty);
        match self {
            // A variable of the process exists from the moment that the configuration names it.
            SetCondition::IfExists if name.scope == Scope::Proc => true,
            SetCondition::IfNotExists if name.scope == Scope::Proc => false,
            SetCondition::IfExists | SetCondition::IfSet => name.get(context).is_some(),
            SetCondition::IfNotExists | SetCondition::IfNotSet => name.get(context).is_none(),
            SetCondition::IfEmpty => is_empty(),
            SetCondition::IfNotEmpty => !is_empty(),
            SetCondition::IfGreater | SetCondition::IfLess => match (name.get(context), value) {
                (Some(Value::Int(old)), Value::Int(new)) => match self {
                    SetCondition::IfGreater => old > *new,
                    _ => old < *new,
                },
                // Other types cannot be ordered: the condition holds.
                _ => true,
            },
        }
    }
}

/// The variables of one scope. Few per scope: a list beats a map.
///
/// Setting one needs no exclusive access, because a converter (`set-var`) may do it in the middle
/// of an evaluation.
#[derive(Debug, Default)]
pub struct Vars {
    list: RefCell<Vec<(u32, Value<'static>)>>,
    /// Their bytes.
    size: Cell<usize>,
    /// How many of these [`TOTAL`] has in it.
    counted: Cell<usize>,
}

impl Vars {
    /// The value of variable `id`.
    pub fn get(&self, id: u32) -> Option<Value<'static>> {
        self.list.borrow().iter().find(|(other, _)| *other == id).map(|(_, value)| value.clone())
    }
    /// Gives variable `id` a value; `counted` tells whether the process has a limit.
    pub fn set(&self, id: u32, value: Value<'static>, counted: bool) {
        let mut list = self.list.borrow_mut();
        let new = size_of_variable(&value);
        let old = match list.iter_mut().find(|(other, _)| *other == id) {
            Some((_, old)) => size_of_variable(&std::mem::replace(old, value)),
            None => {
                list.push((id, value));
                0
            }
        };
        self.size.set(self.size.get() + new - old);
        self.settle(counted);
    }
    /// Forgets variable `id`; false if it had no value.
    pub fn unset(&self, id: u32) -> bool {
        let mut list = self.list.borrow_mut();
        let Some(at) = list.iter().position(|(other, _)| *other == id) else { return false };
        let (_, value) = list.remove(at);
        self.size.set(self.size.get() - size_of_variable(&value));
        self.settle(false);
        true
    }
    /// Forgets all.
    pub fn clear(&self) {
        self.list.borrow_mut().clear();
        self.size.set(0);
        self.settle(false);
    }
    /// Brings the sum of all in line; without a limit nothing was and nothing is added.
    fn settle(&self, counted: bool) {
        if counted || self.counted.get() != 0 {
            let old = self.counted.replace(self.size.get());
            // Two's complement: what became less is taken off.
            TOTAL.fetch_add(self.size.get().wrapping_sub(old), Relaxed);
        }
    }
}

impl Drop for Vars {
    fn drop(&mut self) {
        self.size.set(0);
        self.settle(false);
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
    fn conditions_hold_as_the_manual_says_in_every_scope() {
        let text = |text: &'static str| Value::Str(text.as_bytes().into());
        let some = |value: Value<'static>| Some(value);
        for (condition, old, new, expected) in [
            ("ifexists", None, text("x"), false),
            ("ifnotexists", None, text("x"), true),
            ("ifexists", some(text("")), text("x"), true),
            ("ifset", None, text("x"), false),
            ("ifset", some(text("")), text("x"), true),
            ("ifnotset", some(text("")), text("x"), false),
            ("ifempty", None, text(""), true),
            ("ifempty", None, text("x"), false),
            ("ifempty", None, Value::Int(0), false),
            ("ifnotempty", None, Value::Int(0), true),
            ("ifnotempty", None, text(""), false),
            ("ifgt", some(Value::Int(5)), Value::Int(4), true),
            ("ifgt", some(Value::Int(5)), Value::Int(5), false),
            ("iflt", some(Value::Int(5)), Value::Int(4), false),
            ("iflt", some(Value::Int(3)), Value::Int(4), true),
            // What cannot be ordered is set.
            ("ifgt", None, Value::Int(4), true),
            ("iflt", some(text("a")), text("b"), true),
            ("ifgt", some(text("a")), Value::Int(1), true),
        ] {
            for scope in ["proc", "sess", "txn", "req", "res"] {
                let world = World::default();
                let (name, conditions) =
                    SetCondition::split(&format!("{scope}.conditions,{condition}")).unwrap();
                if let Some(old) = old.clone() {
                    name.set(&world.context(), old);
                }
                let expected = match (scope, condition) {
                    // The configuration names it, so that it exists.
                    ("proc", "ifexists") => true,
                    ("proc", "ifnotexists") => false,
                    _ => expected,
                };
                let is_set = name.set_if(&conditions, &world.context(), new.clone());
                assert_eq!(is_set, expected, "{scope} {condition} {old:?} {new:?}");
                let kept = if expected { Some(new.clone()) } else { old.clone() };
                assert_eq!(name.get(&world.context()), kept, "{scope} {condition}");
            }
        }
        assert!(SetCondition::split("txn.x,ifso").is_err() && SetCondition::split("x,ifset").is_err());
    }

    #[test]
    fn a_scope_with_those_within_it_keeps_to_its_limit() {
        let text = |len: usize| Value::Str(vec![b'x'; len].into());
        let name = |text: &str| VarName::parse(text).unwrap();
        let limited = |set: fn(&mut VarLimits)| {
            let mut world = World::default();
            set(&mut world.process.limits.vars);
            world
        };
        // 1000 bytes are room for one variable of 900, and for the 20 more that it may grow.
        for (set, first, second) in [
            ((|limits| limits.message = 1000) as fn(&mut VarLimits), "req.l1", "res.l2"),
            (|limits| limits.transaction = 1000, "req.l1", "txn.l2"),
            (|limits| limits.transaction = 1000, "txn.l1", "res.l2"),
            (|limits| limits.session = 1000, "sess.l1", "txn.l2"),
            (|limits| limits.session = 1000, "txn.l1", "sess.l2"),
            (|limits| limits.process = 1000, "proc.l1", "proc.l2"),
            (|limits| limits.global = 1000, "proc.l1", "proc.l2"),
        ] {
            let world = limited(set);
            let context = world.context();
            assert!(name(first).set(&context, text(900)), "{first}");
            assert!(name(first).set(&context, text(920)), "{first} grows");
            assert!(!name(second).set(&context, text(10)), "{first} {second}");
            assert_eq!(name(second).get(&context), None);
            assert!(!name(first).set(&context, text(921)), "{first} outgrows");
            assert_eq!(name(first).get(&context), None, "what was not kept is gone");
            assert!(name(second).set(&context, text(10)), "room is given back");
        }
        // A limit of the transaction says nothing of the session's own.
        let world = limited(|limits| limits.transaction = 100);
        assert!(name("sess.l1").set(&world.context(), text(1000)));
        // The sum of all is one of the process: tests must not add to it at the same time.
        the_limit_of_the_process_counts_the_variables_of_all_sessions();
    }

    fn the_limit_of_the_process_counts_the_variables_of_all_sessions() {
        let mut world = World::default();
        world.process.limits.vars.process = 1 << 20;
        let other = World::default();
        let many = Value::Str(vec![b'x'; 700_000].into());
        let name = VarName::parse("txn.of_all").unwrap();
        let elsewhere = Context { txn: &other.txn, ..world.context() };
        assert!(name.set(&elsewhere, many.clone()));
        assert!(!name.set(&world.context(), many.clone()), "another transaction holds the room");
        other.txn.vars.clear();
        assert!(name.set(&world.context(), many));
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
