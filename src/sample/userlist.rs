//! `userlist` sections: who may come in, and with which password (manual, section 12.1).

use std::collections::HashMap;

/// A list of users and the groups they are in.
#[derive(Clone, Debug, Default)]
pub struct UserList {
    /// Users by name.
    pub users: HashMap<Box<str>, User>,
    /// Every group that was declared.
    pub groups: Vec<Box<str>>,
}

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The password.
    pub password: Password,
    /// The user's groups.
    pub groups: Vec<Box<str>>,
}

/// A password as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// `insecure-password`: the password itself.
    Plain(Box<str>),
    /// `password`: a hash in the form of crypt(3).
    Crypt(Box<str>),
    /// None was given: nobody is this user.
    None,
}
