//! What `-v` and `-vv` say.
//!
//! Test harnesses and packagers read HAProxy's shape: the third word of the first line is the
//! version, and a line `  TARGET  = linux-glibc` names the platform.

use super::args::VersionForm;
use crate::config::features::{BRANCH, DATE, FEATURES, VERSION};

/// The text for a form, with its line feed.
pub fn text(form: VersionForm) -> String {
    match form {
        VersionForm::Line => line(),
        VersionForm::Everything => line() + &everything(),
        VersionForm::Plain => format!("{VERSION}\n"),
        VersionForm::Short => format!("{}\n", VERSION.split('-').next().unwrap_or(VERSION)),
        VersionForm::Branch => format!("{BRANCH}\n"),
    }
}

fn line() -> String {
    let mut out = format!(
        "HAProxy version {VERSION} {DATE} - Haring {}, a drop-in replacement for HAProxy\n",
        env!("CARGO_PKG_VERSION")
    );
    let kernel = |name: &str| std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    let (system, release, version) = (kernel("ostype"), kernel("osrelease"), kernel("version"));
    if !release.trim().is_empty() {
        out.push_str(&format!(
            "Running on: {} {} {} {}\n",
            system.trim(),
            release.trim(),
            version.trim(),
            std::env::consts::ARCH
        ));
    }
    out
}

fn everything() -> String {
    let target = if cfg!(target_env = "musl") { "linux-musl" } else { "linux-glibc" };
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let (detected, built): (Vec<_>, Vec<_>) =
        FEATURES.iter().partition(|(name, _)| name.starts_with("HAVE_WORKING_"));
    let list = |features: &[&(&str, bool)]| -> String {
        features.iter().map(|(name, there)| format!(" {}{name}", if *there { '+' } else { '-' })).collect()
    };
    format!(
        "Build options : \n  TARGET  = {target}\n  CC      = rustc\n  PROFILE = {profile}\n\
         \nFeature list :{}\nDetected feature list :{}\n\
         \nDefault settings :\n  bufsize = 16384, maxrewrite = 1024\n\
         \nAvailable polling systems :\n  io_uring : taken when the kernel allows it\n  epoll    : taken otherwise, or by tune.driver\n\
         \nAvailable multiplexer protocols :\n         h1 : mode=HTTP  side=FE|BE\n  <default> : mode=TCP   side=FE|BE\n\
         \nBuilt with the Prometheus exporter as a service\n\
         \nAvailable services : prometheus-exporter\n\nAvailable filters : none\n\n",
        list(&built),
        list(&detected),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harnesses_find_what_they_look_for() {
        let text = text(VersionForm::Everything);
        let first = text.lines().next().unwrap();
        assert_eq!(first.split(' ').nth(2), Some("3.5-dev5-haring"));
        assert!(first.starts_with("HAProxy version ") && first.contains("Haring"));
        assert!(text.lines().any(|line| line.starts_with("  TARGET  = linux-")));
        assert!(text.contains(" +THREAD") && text.contains(" -LUA"));
    }

    #[test]
    fn bare_versions() {
        for (form, expected) in [
            (VersionForm::Plain, "3.5-dev5-haring\n"),
            (VersionForm::Short, "3.5\n"),
            (VersionForm::Branch, "3.5\n"),
        ] {
            assert_eq!(text(form), expected);
        }
    }
}
