//! Names of HAProxy 3.5 that no table here knows: `docs/compatibility.md` lists them.
//!
//! A test holds the list of HAProxy's names (`tests/names/haproxy-3.5.tsv`, as its own `-dKall` prints
//! them) against the tables and this list, so that each name is either known, with what becomes of it, or
//! stands here. A change that adds one of these to a table takes it out.

/// A group of names of one kind that are missing for one reason.
pub struct Absent {
    /// The kind, as chapters of the manual name it.
    pub kind: &'static str,
    /// The names.
    pub names: &'static [&'static str],
    /// Why they are not there, or what answers in their place.
    pub why: &'static str,
}

/// Every group, by kind.
pub const ABSENT: &[Absent] = &[
    Absent {
        kind: "command",
        names: &[
            "abort ssl crl-file",
            "add ssl jwt",
            "commit ssl crl-file",
            "del ssl crl-file",
            "del ssl jwt",
            "dump ssl cert",
            "new ssl crl-file",
            "set ssl crl-file",
            "set ssl ocsp-response",
            "set ssl tls-key",
            "show ssl crl-file",
            "show ssl jwt",
            "show ssl ocsp-response",
            "show ssl ocsp-updates",
            "show ssl providers",
            "show ssl sni",
            "show tls-keys",
            "update ssl ocsp-response",
        ],
        why: "certificates are not changed at run time yet",
    },
    Absent {
        kind: "command",
        names: &["acme challenge_ready", "acme renew", "acme status"],
        why: "certificates are not fetched from an authority yet",
    },
    Absent {
        kind: "command",
        names: &[
            "debug counters",
            "debug dev abort",
            "debug dev bug",
            "debug dev check",
            "debug dev deadlock",
            "debug dev delay",
            "debug dev fd",
            "debug dev hash",
            "debug dev hex",
            "debug dev log",
            "debug dev loop",
            "debug dev sched",
            "debug dev stream",
            "debug dev sym",
            "debug dev task",
            "debug dev tkill",
            "debug dev warn",
            "debug dev write",
        ],
        why: "they are for developers of HAProxy",
    },
    Absent {
        kind: "command",
        names: &[
            "@!<pid>",
            "@<relative pid>",
            "@master",
            "_loadstatus",
            "_send_status",
            "hard-reload",
            "mcli-debug-mode",
            "reload",
            "show proc",
        ],
        why: "they are of the master's runtime API, which is not available yet: one process plays both parts",
    },
    Absent {
        kind: "command",
        names: &[
            "disable dynamic-cookie backend",
            "enable dynamic-cookie backend",
            "set dynamic-cookie-key backend",
        ],
        why: "the key is set in the configuration",
    },
    Absent {
        kind: "command",
        names: &["set anon global-key", "set anon off", "set anon on", "show anon"],
        why: "the runtime API does not anonymise",
    },
    Absent { kind: "command", names: &["httpclient"], why: "there is no internal HTTP client" },
    Absent {
        kind: "command",
        names: &["set profiling", "show trace"],
        why: "there is no profiler and no tracer inside",
    },
    Absent { kind: "command", names: &["show dev", "show libs"], why: "not available yet" },
    Absent {
        kind: "converter",
        names: &["jwt_decrypt_cert", "jwt_decrypt_jwk", "jwt_decrypt_secret"],
        why: "tokens are verified, but not decrypted yet",
    },
    Absent { kind: "directive", names: &["tune.chksize"], why: "HAProxy's checks have buffers of their own" },
    Absent {
        kind: "fetch",
        names: &[
            "internal.htx.data",
            "internal.htx.free",
            "internal.htx.free_data",
            "internal.htx.has_eom",
            "internal.htx.nbblks",
            "internal.htx.size",
            "internal.htx.used",
            "internal.htx_blk.data",
            "internal.htx_blk.hdrname",
            "internal.htx_blk.hdrval",
            "internal.htx_blk.size",
            "internal.htx_blk.start_line",
            "internal.htx_blk.type",
        ],
        why: "they show HAProxy's internal representation of messages",
    },
    Absent {
        kind: "fetch",
        names: &[
            "bs.aborted",
            "bs.debug_str",
            "bs.id",
            "bs.rst_code",
            "fs.aborted",
            "fs.debug_str",
            "fs.id",
            "fs.rst_code",
        ],
        why: "they show the streams of HAProxy's multiplexers",
    },
    Absent { kind: "fetch", names: &["fcgi.docroot", "fcgi.index"], why: "FastCGI is not available yet" },
    Absent { kind: "fetch", names: &["spoe.engine-id"], why: "filters are not available yet" },
    Absent {
        kind: "fetch",
        names: &["sc1_clr_gpc"],
        why: "'sc_clr_gpc' with the number as argument does the same",
    },
    Absent {
        kind: "filter",
        names: &[
            "bwlim-in",
            "bwlim-out",
            "cache",
            "comp-req",
            "comp-res",
            "compression",
            "fcgi-app",
            "spoe",
            "trace",
        ],
        why: "filters are not available yet: a 'filter' line is refused",
    },
    Absent {
        kind: "flag",
        names: &["-dA"],
        why: "the program needs no library beside libc: copy the file itself",
    },
];

/// Whether a name is listed as absent.
pub fn is_absent(kind: &str, name: &str) -> bool {
    ABSENT.iter().any(|group| group.kind == kind && group.names.contains(&name))
}

/// A value of a keyword that is known otherwise.
pub struct Partly {
    /// The keyword.
    pub keyword: &'static str,
    /// The value or form that is refused.
    pub value: &'static str,
    /// Why.
    pub why: &'static str,
    /// A section that asks for it, and is refused.
    pub example: &'static str,
}

const fn partly(
    keyword: &'static str,
    value: &'static str,
    why: &'static str,
    example: &'static str,
) -> Partly {
    Partly { keyword, value, why, example }
}

/// What is refused of keywords that work otherwise.
pub const PARTLY: &[Partly] = &[
    partly("bind", "quic4@, quic6@", "QUIC is not available yet", "frontend f\nbind quic4@:1"),
    partly("bind", "mptcp@", "Multipath TCP is not available yet", "frontend f\nbind mptcp@:1"),
    partly("bind", "rhttp@", "reverse HTTP is not available", "frontend f\nbind rhttp@b/s"),
    partly(
        "server proto",
        "h2, fcgi",
        "only HTTP/1 is spoken to servers yet",
        "backend b\nserver s 1.1.1.1:1 proto h2",
    ),
    partly("mode", "log, spop, haterm", "only 'tcp' and 'http' are there", "backend b\nmode log"),
    partly("balance", "log-hash, sticky", "they are for 'mode log'", "backend b\nbalance log-hash a"),
    partly("chroot", "auto", "name an empty directory", "global\nchroot auto"),
    partly("log", "profile", "log profiles are not available yet", "global\nlog stderr profile p local0"),
    partly(
        "stick-table",
        "peers",
        "peers are not available yet",
        "backend b\nstick-table type ip size 1k peers p",
    ),
    partly(
        "ring",
        "backing-file, server, timeout, log-tag",
        "a ring is kept in memory only",
        "ring r\nbacking-file /x",
    ),
    partly(
        "do-log",
        "profile",
        "log profiles are not available yet",
        "frontend f\nbind :1\nhttp-request do-log profile p",
    ),
];
