//! From a validated model to a running process.

use super::args::Options;
use super::check::Loaded;

/// Starts the process on `loaded`; returns when it ends, with its exit code, or with the reason why it
/// did not start.
pub fn start(_options: &Options, loaded: Loaded) -> Result<u8, String> {
    let proxies = loaded.model.proxies.len();
    Err(format!("the configuration is valid ({proxies} proxies) but this build cannot start it yet"))
}
