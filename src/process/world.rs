//! The real world for the configuration: files, the resolver, the environment.

use std::io;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};

use crate::config::World;
use crate::sample::expr::Files;

/// The system this process runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Files for System {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        let known = World::resolve(self, name).ok()?;
        known.iter().find_map(|address| if let IpAddr::V4(v4) = address { Some(*v4) } else { None })
    }
}

impl World for System {
    /// Asks `getaddrinfo(3)`; it blocks, so this is for starts and checks only.
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut addresses = Vec::new();
        for address in (host, 0).to_socket_addrs()? {
            if !addresses.contains(&address.ip()) {
                addresses.push(address.ip());
            }
        }
        Ok(addresses)
    }

    fn directory(&self, path: &str) -> Option<Vec<String>> {
        let entries = std::fs::read_dir(path).ok()?;
        let files = entries.flatten().filter(|entry| entry.path().is_file());
        Some(files.filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn hostname(&self) -> Option<String> {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
        Some(name.trim_end().to_string()).filter(|name| !name.is_empty())
    }

    fn env_names(&self) -> Vec<String> {
        std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_world_answers() {
        assert!(System.read("/proc/self/cmdline").is_ok());
        assert!(System.read("/nonexistent").is_err());
        assert_eq!(System.resolve("127.0.0.1").unwrap(), ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(System.env("PATH").is_some(), System.env_names().iter().any(|name| name == "PATH"));
        assert_eq!(System.env("HARING_NO_SUCH_VARIABLE"), None);
    }
}
