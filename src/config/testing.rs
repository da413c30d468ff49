//! A world in memory, for tests.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use super::World;
use crate::sample::expr::Files;

/// Files, variables and host names from memory.
#[derive(Debug, Default)]
pub struct Memory {
    files: HashMap<String, Vec<u8>>,
    variables: HashMap<String, String>,
    hosts: HashMap<String, Vec<IpAddr>>,
}

impl Memory {
    /// Adds a file.
    pub fn file(mut self, path: &str, bytes: &[u8]) -> Self {
        self.files.insert(path.to_string(), bytes.to_vec());
        self
    }
    /// Adds a variable of the environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_string(), value.to_string());
        self
    }
    /// Adds a host and its addresses.
    pub fn host(mut self, name: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|a| a.parse().expect("an address")).collect();
        self.hosts.insert(name.to_string(), addresses);
        self
    }
}

impl Files for Memory {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        let known = self.hosts.get(name)?.iter();
        known.copied().find_map(|address| if let IpAddr::V4(v4) = address { Some(v4) } else { None })
    }
}

impl World for Memory {
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.hosts.get(host).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn env(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
    fn env_names(&self) -> Vec<String> {
        self.variables.keys().cloned().collect()
    }
}
