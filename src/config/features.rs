//! What this build can do, under the names HAProxy gives it: one list that `feature()` in
//! conditions, `enabled()` and the `-vv` output all read, so that they cannot disagree.
//!
//! A feature counts as present only when a configuration that asks for it works here.

/// HAProxy's version whose semantics are followed.
pub use crate::stats::info::VERSION;
/// Its branch.
pub const BRANCH: &str = "3.5";
/// Its date.
pub const DATE: &str = "2026/08/21";

/// Build features and whether they are there, in alphabetical order.
pub const FEATURES: &[(&str, bool)] = &[
    ("51DEGREES", false),
    ("ACCEPT4", true),
    ("BACKTRACE", false),
    ("CLOSEFROM", false),
    ("CPU_AFFINITY", true),
    ("CRYPT_H", true),
    ("DEVICEATLAS", false),
    ("DL", false),
    ("ECH", false),
    ("ENGINE", false),
    ("EPOLL", true),
    ("EVPORTS", false),
    ("GETADDRINFO", true),
    ("KQUEUE", false),
    ("KTLS", false),
    ("LIBATOMIC", false),
    ("LIBCRYPT", true),
    ("LINUX_CAP", false),
    ("LINUX_SPLICE", true),
    ("LINUX_TPROXY", false),
    ("LUA", false),
    ("MATH", false),
    ("MEMORY_PROFILING", false),
    ("NETFILTER", false),
    ("NS", false),
    ("OBSOLETE_LINKER", false),
    // The library is another one, but files ask for TLS by this word before a `bind ... ssl`.
    ("OPENSSL", true),
    ("OPENSSL_AWSLC", false),
    ("OPENSSL_WOLFSSL", false),
    ("OT", false),
    ("PCRE", false),
    ("PCRE2", true),
    ("PCRE2_JIT", false),
    ("PCRE_JIT", false),
    ("POLL", false),
    ("PRCTL", true),
    ("PROCCTL", false),
    ("PROMEX", true),
    ("PTHREAD_EMULATION", false),
    ("QUIC", false),
    ("QUIC_OPENSSL_COMPAT", false),
    ("RT", false),
    ("SHM_OPEN", false),
    ("SLZ", false),
    ("SSL", true),
    ("STATIC_PCRE", false),
    ("STATIC_PCRE2", false),
    ("TFO", true),
    ("THREAD", true),
    ("THREAD_DUMP", false),
    ("TPROXY", false),
    ("WURFL", false),
    ("ZLIB", false),
];

/// Whether a build feature is there; an unknown one is not.
pub fn feature(name: &str) -> bool {
    FEATURES.iter().any(|(known, there)| *known == name && *there)
}

/// What the command line switches off (`-dS`, `-dR`, ...); everything is on by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// `-dS`.
    pub no_splice: bool,
    /// `-dR`.
    pub no_reuseport: bool,
    /// `-de`.
    pub no_epoll: bool,
    /// `-dG`.
    pub no_getaddrinfo: bool,
    /// `-dF`.
    pub no_fast_forward: bool,
    /// `-dV`.
    pub no_server_verify: bool,
}

impl Switches {
    /// Whether an option is on now; an unknown one is not.
    pub fn enabled(&self, option: &str) -> bool {
        match option {
            "EPOLL" => !self.no_epoll,
            "SPLICE" => !self.no_splice,
            "GETADDRINFO" => !self.no_getaddrinfo,
            "REUSEPORT" => !self.no_reuseport,
            "FAST-FORWARD" => !self.no_fast_forward,
            "SERVER-SSL-VERIFY-NONE" => self.no_server_verify,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_sorted_and_honest() {
        assert!(FEATURES.windows(2).all(|pair| pair[0].0 < pair[1].0), "sorted, no duplicates");
        for (name, expected) in [
            ("THREAD", true),
            ("EPOLL", true),
            ("PROMEX", true),
            ("LUA", false),
            ("LIBCRYPT", true),
            ("OPENSSL", true),
            ("NO_SUCH", false),
            ("", false),
        ] {
            assert_eq!(feature(name), expected, "{name}");
        }
    }

    #[test]
    fn switches_switch_off() {
        let on = Switches::default();
        let off = Switches { no_splice: true, no_epoll: true, ..Switches::default() };
        for (option, default, changed) in [
            ("SPLICE", true, false),
            ("EPOLL", true, false),
            ("REUSEPORT", true, true),
            ("KQUEUE", false, false),
            ("SERVER-SSL-VERIFY-NONE", false, false),
        ] {
            assert_eq!((on.enabled(option), off.enabled(option)), (default, changed), "{option}");
        }
    }
}
