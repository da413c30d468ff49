//! What is added while running is made by the rules by which the files were read.

use std::fmt::Debug;

use super::{Model, Proxy, Server};

/// Makes what the runtime API adds. It reads no files and asks no name servers: it is called by the thread that
/// everything else of the process waits for.
pub trait Maker: Debug + Send + Sync {
    /// A server of a backend of `model`: its address and options as words.
    fn server(&self, model: &Model, backend: &Proxy, name: &str, words: &[String]) -> Made<Server>;
    /// A backend with the settings of a defaults section, at a place of `model`.
    fn backend(&self, model: &Model, order: &NewBackend<'_>) -> Made<Proxy>;
    /// The names of the defaults sections that backends may be made from.
    fn defaults(&self) -> Vec<&str>;
    /// The names of the sets of options that servers of a backend may be made from; an empty one is the set
    /// without a name.
    fn default_servers(&self, backend: &Proxy) -> Vec<String>;
    /// What servers may be told, for `add server help`.
    fn options(&self) -> Vec<&'static str>;
}

/// `add backend`
#[derive(Clone, Copy, Debug)]
pub struct NewBackend<'a> {
    /// Its name.
    pub name: &'a str,
    /// The defaults section.
    pub from: &'a str,
    /// `mode`, if the order says it.
    pub mode: Option<&'a str>,
    /// `guid`
    pub guid: Option<&'a str>,
    /// Its number.
    pub id: u32,
    /// Its place in the model.
    pub index: u32,
}

/// What was made, and what there is to say about it.
#[derive(Debug)]
pub struct Made<T> {
    /// Nothing if something is wrong.
    pub thing: Option<T>,
    /// Lines for whoever asked, the most important one first.
    pub told: Vec<String>,
}

impl<T> Made<T> {
    /// Nothing, for this reason.
    pub fn nothing(why: impl Into<String>) -> Made<T> {
        Made { thing: None, told: vec![why.into()] }
    }
}
