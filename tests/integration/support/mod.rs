//! What every test stands on: the real binary, origins, clients, receivers and the programs people use.
//!
//! Nothing here waits for luck: every wait is for a condition and has a limit, and every
//! address is the test's own (a loopback address per part, or a descriptor handed over).

pub mod client;
pub mod nameserver;
pub mod origin;
pub mod programs;
pub mod proxy;
pub mod secure;
pub mod syslog;
pub mod websocket;
pub mod wire;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub use client::{Client, Response};
pub use origin::{Origin, Reply, Request};
pub use proxy::Proxy;
pub use secure::{Certificate, SecureClient, client_config};
pub use syslog::Syslog;
pub use wire::{Fault, Way, Wire};

/// The longest anything may take before a test gives up on it.
pub const LIMIT: Duration = Duration::from_secs(15);

/// How a test section for HTTP usually begins. On a machine that has no time for the test, nothing of it is late:
/// the time-outs are longer than any wait of a test, and a check has more time than its interval.
pub const HTTP_DEFAULTS: &str = "
defaults
    mode http
    timeout connect 10s
    timeout client 1m
    timeout server 1m
    timeout check 10s
";

/// The same for TCP.
pub const TCP_DEFAULTS: &str = "
defaults
    mode tcp
    timeout connect 10s
    timeout client 1m
    timeout server 1m
    timeout check 10s
";

/// One of the two ways the engine waits for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The ring.
    IoUring,
    /// Readiness.
    Epoll,
}

impl Driver {
    /// The value of the environment variable that chooses it.
    pub fn name(self) -> &'static str {
        match self {
            Driver::IoUring => "io_uring",
            Driver::Epoll => "epoll",
        }
    }
}

/// Runs a test once on each driver, the ring only where the kernel grants it.
pub fn both_drivers(test: impl Fn(Driver)) {
    static RING: OnceLock<Result<(), String>> = OnceLock::new();
    let ring =
        RING.get_or_init(|| haring::net::driver::choose(haring::model::global::Driver::IoUring).map(drop));
    match ring {
        Ok(()) => {
            println!("-- on io_uring");
            test(Driver::IoUring);
        }
        Err(reason) => println!("-- io_uring is skipped: {reason}"),
    }
    println!("-- on epoll");
    test(Driver::Epoll);
}

/// Whether the tests that take minutes are wanted as well.
pub fn slow_tests() -> bool {
    std::env::var_os("HARING_SLOW").is_some_and(|value| value == "1")
}

/// Looks again and again until `condition` holds; says whether it did before the limit.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// A loopback address of this test alone: no other test can take a port of it, so a port that was
/// given up can be taken again.
pub fn own_address() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Relaxed);
    let process = 16 + (std::process::id() % 200) as u8;
    IpAddr::V4(Ipv4Addr::new(127, process, (number / 250) as u8, (number % 250) as u8 + 1))
}

/// A folder that goes away with its owner.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new empty one.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("haring-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Folder(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file in it and returns the path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file of the test");
        path.to_str().expect("a plain name").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
