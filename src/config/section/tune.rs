//! Tuning of the process (manual, sections 3.2 and 3.4). Most knobs of HAProxy turn machinery that
//! is not here: they are accepted, each with the reason, so that configurations load unchanged.

use super::global::{GlobalDraft, GlobalParser, number, time};
use crate::config::keyword::keywords;
use crate::config::loading::Loading;
use crate::config::shape;
use crate::config::words::{Words, within};
use crate::model::global::AcceptFamily;

/// Connections accepted before the others have their turn, without `tune.maxaccept`.
pub const MAXACCEPT: usize = 16;

/// The smallest buffer: a request line and some header fields must fit.
const BUFSIZE_MIN: u64 = 1024;
/// The largest buffer.
const BUFSIZE_MAX: u64 = 256 << 20;

keywords! {
    /// Knobs that turn something.
    pub LIMITS: GlobalParser, "3.2";
    "maxconn" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=i64::from(i32::MAX), |n| g.global.maxconn = (n > 0).then_some(n as u32))), "Connections that the process accepts at once.";
    "maxconnrate" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=i64::from(i32::MAX), |n| g.global.maxconnrate = n as u32)), "Connections accepted per second at most.";
    "maxsessrate" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=i64::from(i32::MAX), |n| g.global.maxsessrate = n as u32)), "Sessions accepted per second at most.";
    "maxpipes" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=i64::from(i32::MAX), |n| g.global.maxpipes = Some(n as usize))), "Pipes for forwarding in the kernel.";
    "nosplice" "" GLOBAL => Parse(|g, w, l| { g.global.nosplice = true; w.end(l.report); }), "Never forwards in the kernel.";
    "noepoll" "" GLOBAL => Refused("epoll is the one driver that every kernel has; choose with 'tune.driver'"), "Does not use epoll.";
    "spread-checks" "<0..50, in percent>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=50, |n| g.global.spread_checks = n as u32)), "Randomness in the times of checks.";
    "max-spread-checks" "<delay in milliseconds>" GLOBAL => Parse(|g, w, l| time(w, l, |ms| g.global.max_spread_checks_ms = ms)), "The most randomness in the times of checks.";
    "tune.bufsize" "<size>" GLOBAL => Parse(bufsize), "The size of a buffer, and so of the largest head of a message.";
    "tune.maxrewrite" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=i64::from(i32::MAX), |n| g.global.maxrewrite = n as usize)), "Room in a buffer for what is added to heads.";
    "tune.http.maxhdr" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 1..=32767, |n| g.global.headers_max = n as usize)), "Header fields of a message at most.";
    "tune.http.logurilen" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 1..=i64::from(i32::MAX), |n| g.global.log_uri_len = n as usize)), "Bytes of a URI in a log line.";
    "tune.http.cookielen" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=i64::from(i32::MAX), |n| g.global.cookie_len = n as usize)), "Bytes of a captured cookie.";
    "tune.maxaccept" "<number>" GLOBAL => Parse(maxaccept), "Connections accepted at one wake-up of a listener.";
    "tune.pipesize" "<size>" GLOBAL => Parse(pipesize), "The size of pipes for forwarding in the kernel.";
    "tune.stick-counters" "<number>" GLOBAL => Parse(stick_counters), "Entries of stick tables that a session tracks at most.";
    "tune.vars.check-max-size" "<size>" GLOBAL => Parse(|g, w, l| size(w, l, |n| g.global.var_limits.check = n)), "Bytes that the variables of a check take at most.";
    "tune.vars.global-max-size" "<size>" GLOBAL => Parse(|g, w, l| size(w, l, |n| g.global.var_limits.global = n)), "Bytes that all variables take at most.";
    "tune.vars.proc-max-size" "<size>" GLOBAL => Parse(|g, w, l| size(w, l, |n| g.global.var_limits.process = n)), "Bytes that variables of scope 'proc', and all others with them, take at most.";
    "tune.vars.reqres-max-size" "<size>" GLOBAL => Parse(|g, w, l| size(w, l, |n| g.global.var_limits.message = n)), "Bytes that the variables of a request and its response take at most.";
    "tune.vars.sess-max-size" "<size>" GLOBAL => Parse(|g, w, l| size(w, l, |n| g.global.var_limits.session = n)), "Bytes that the variables of a session, and of its transaction, take at most.";
    "tune.vars.txn-max-size" "<size>" GLOBAL => Parse(|g, w, l| size(w, l, |n| g.global.var_limits.transaction = n)), "Bytes that the variables of a transaction, and of its messages, take at most.";
    "dns-accept-family" "<family>[,...]" GLOBAL => Parse(dns_families), "Families of addresses that are asked for while running: 'ipv4', 'ipv6', or 'auto' for IPv6 if there is a route for it.";
    "tune.idle-pool.shared" "{ full | on | off }" GLOBAL => Parse(idle_pool), "Whether a core without an idle connection to a server asks the others for one.";
}

keywords! {
    /// Knobs of machinery that is not here.
    pub TABLE: GlobalParser, "3.2";
    "busy-polling" "" GLOBAL => NoAction("the drivers sleep when there is nothing to do; latency does not depend on it"), "Polls without sleeping.";
    "maxcompcpuusage" "<0..100>" GLOBAL => NoAction("compression is refused"), "The CPU usage above which less is compressed.";
    "maxcomprate" "<number>" GLOBAL => NoAction("compression is refused"), "Bytes compressed per second.";
    "maxzlibmem" "<number>" GLOBAL => NoAction("compression is refused"), "Memory for compression.";
    "no-memory-trimming" "" GLOBAL => NoAction("the allocator gives memory back by itself"), "Does not give memory back to the system.";
    "noevports" "" GLOBAL => NoAction("it is about another operating system"), "Does not use event ports.";
    "nogetaddrinfo" "" GLOBAL => NoAction("names are resolved by the system's resolver in any case"), "Resolves names with gethostbyname.";
    "nokqueue" "" GLOBAL => NoAction("it is about another operating system"), "Does not use kqueue.";
    "nopoll" "" GLOBAL => NoAction("poll(2) is never used"), "Does not use poll.";
    "profiling.memory" "{ on | off }" GLOBAL => NoAction("there is no profiler inside"), "Memory profiling.";
    "profiling.tasks" "{ auto | on | off | lock | no-lock | memory | no-memory }..." GLOBAL => NoAction("there is no profiler inside"), "Task profiling.";
    "tune.applet.zero-copy-forwarding" "{ on | off }" GLOBAL => NoAction("answers made here are written without a copy in any case"), "Forwards answers without a copy.";
    "tune.buffers.limit" "<number>" GLOBAL => NoAction("buffers are bounded by connections: an idle one holds none"), "Buffers at most.";
    "tune.buffers.reserve" "<number>" GLOBAL => NoAction("buffers are bounded by connections: an idle one holds none"), "Buffers kept for emergencies.";
    "tune.bufsize.large" "<size>" GLOBAL => NoAction("there is one size of buffers"), "The size of large buffers.";
    "tune.bufsize.small" "<size>" GLOBAL => NoAction("there is one size of buffers"), "The size of small buffers.";
    "tune.cli.max-payload-size" "<size>" GLOBAL => NoAction("the runtime API has its own limit"), "The largest payload of a command.";
    "tune.comp.maxlevel" "<number>" GLOBAL => NoAction("compression is refused"), "The compression level.";
    "tune.defaults.purge" "[{ all | none | <element[,...]> }]" GLOBAL => NoAction("defaults sections are kept as text, which is small"), "Which defaults sections are forgotten.";
    "tune.disable-fast-forward" "" GLOBAL => NoAction("forwarding has one path"), "Does not forward fast.";
    "tune.disable-zero-copy-forwarding" "" GLOBAL => NoAction("forwarding has one path"), "Does not forward without copies.";
    "tune.epoll.mask-events" "<event[,...]>" GLOBAL => NoAction("the epoll driver asks for the events that it needs"), "Events to ignore.";
    "tune.events.max-events-at-once" "<number>" GLOBAL => NoAction("it is internal to HAProxy's scheduler"), "Asynchronous events handled at once.";
    "tune.fail-alloc" "<percent>" GLOBAL => NoAction("it is for developers of HAProxy"), "Lets allocations fail.";
    "tune.fd.edge-triggered" "{ on | off }" GLOBAL => NoAction("the driver chooses"), "Edge-triggered events.";
    "tune.fd.tables" "{ shared | per-thread-group }" GLOBAL => Parse(fd_tables), "Descriptor tables. Accepted without effect: threads are not grouped.";
    "tune.glitches.kill.cpu-usage" "<number>" GLOBAL => NoAction("a threshold of glitches ends connections whatever the CPU does"), "The CPU usage above which suspicious connections are closed.";
    "tune.h1.be.glitches-threshold" "<number>" GLOBAL => NoAction("malformed messages end their connection at once"), "Oddities that close a connection.";
    "tune.h1.fe.glitches-threshold" "<number>" GLOBAL => NoAction("malformed messages end their connection at once"), "Oddities that close a connection.";
    "tune.h1.zero-copy-fwd-recv" "{ on | off }" GLOBAL => NoAction("forwarding has one path"), "Receives without a copy.";
    "tune.h1.zero-copy-fwd-send" "{ on | off }" GLOBAL => NoAction("forwarding has one path"), "Sends without a copy.";
    "tune.idletimer" "<0..65535, in milliseconds>" GLOBAL => Parse(idle_timer), "The pause after which a stream counts as new.";
    "tune.listener.default-shards" "{ by-process | by-thread | by-group }" GLOBAL => NoAction("every data thread has a socket of its own"), "How many sockets share an address.";
    "tune.listener.multi-queue" "{ on | fair | off }" GLOBAL => NoAction("a thread with many connections hands new ones over by itself"), "How connections are spread over threads.";
    "tune.lua.bool-sample-conversion" "{ normal | pre-3.1-bug }" GLOBAL => NoAction("Lua is refused"), "How Lua sees booleans.";
    "tune.lua.burst-timeout" "<timeout>" GLOBAL => NoAction("Lua is refused"), "How long Lua may run at a stretch.";
    "tune.lua.forced-yield" "<number>" GLOBAL => NoAction("Lua is refused"), "Instructions that Lua runs at a stretch.";
    "tune.lua.log.loggers" "{ on | off }" GLOBAL => NoAction("Lua is refused"), "Whether Lua logs to loggers.";
    "tune.lua.log.stderr" "{ on | auto | off }" GLOBAL => NoAction("Lua is refused"), "Whether Lua logs to stderr.";
    "tune.lua.maxmem" "<number>" GLOBAL => NoAction("Lua is refused"), "Memory of Lua.";
    "tune.lua.openlibs" "[all | none | <lib>[,<lib>...]]" GLOBAL => NoAction("Lua is refused"), "Libraries of Lua.";
    "tune.lua.service-timeout" "<timeout>" GLOBAL => NoAction("Lua is refused"), "How long a Lua service may take.";
    "tune.lua.session-timeout" "<timeout>" GLOBAL => NoAction("Lua is refused"), "How long a Lua action may take.";
    "tune.lua.task-timeout" "<timeout>" GLOBAL => NoAction("Lua is refused"), "How long a Lua task may take.";
    "tune.max-checks-per-thread" "<number>" GLOBAL => NoAction("checks run on the control thread and never delay traffic"), "Checks at once per thread.";
    "tune.maxpollevents" "<number>" GLOBAL => NoAction("the driver chooses"), "Events taken per poll.";
    "tune.max-rules-at-once" "<number>" GLOBAL => NoAction("rules yield by themselves when they wait"), "Rules run at a stretch.";
    "tune.memory.hot-size" "<number>" GLOBAL => NoAction("the allocator caches by itself"), "Memory cached per thread.";
    "tune.notsent-lowat.client" "<size>" GLOBAL => NoAction("the kernel's default is kept"), "Unsent bytes in the kernel, towards clients.";
    "tune.notsent-lowat.server" "<size>" GLOBAL => NoAction("the kernel's default is kept"), "Unsent bytes in the kernel, towards servers.";
    "tune.pattern.cache-size" "<number>" GLOBAL => NoAction("patterns are looked up in sorted structures, without a cache"), "Cached results of patterns.";
    "tune.peers.max-updates-at-once" "<number>" GLOBAL => NoAction("peers are refused"), "Updates sent to peers at a stretch.";
    "tune.pool-high-fd-ratio" "<number>" GLOBAL => NoAction("idle connections are bounded per server with 'pool-max-conn'"), "Descriptors above which idle connections are closed.";
    "tune.pool-low-fd-ratio" "<number>" GLOBAL => NoAction("idle connections are bounded per server with 'pool-max-conn'"), "Descriptors above which idle connections are not kept.";
    "tune.pt.zero-copy-forwarding" "{ on | off }" GLOBAL => NoAction("forwarding has one path"), "Forwards TCP without a copy.";
    "tune.renice.runtime" "<-20..19>" GLOBAL => Parse(|g, w, l| number(w, l, -20..=19, |n| g.global.nice = Some(n as i8))), "The process's priority while running.";
    "tune.renice.startup" "<-20..19>" GLOBAL => NoAction("lines are carried out once all are read; the service manager or nice(1) sets the priority until then"), "The process's priority at start.";
    "tune.rcvbuf.backend" "<size>" GLOBAL => NoAction("it is for datagrams of 'mode log', which is refused"), "Kernel buffers.";
    "tune.rcvbuf.frontend" "<size>" GLOBAL => NoAction("it is for datagrams of 'log-forward', which is refused"), "Kernel buffers.";
    "tune.rcvbuf.client" "<size>" GLOBAL => NoAction("the kernel sizes its buffers by itself"), "Kernel buffers.";
    "tune.rcvbuf.server" "<size>" GLOBAL => NoAction("the kernel sizes its buffers by itself"), "Kernel buffers.";
    "tune.sndbuf.backend" "<size>" GLOBAL => NoAction("it is for datagrams of 'mode log', which is refused"), "Kernel buffers.";
    "tune.sndbuf.frontend" "<size>" GLOBAL => NoAction("it is for datagrams of 'log-forward', which is refused"), "Kernel buffers.";
    "tune.sndbuf.client" "<size>" GLOBAL => NoAction("the kernel sizes its buffers by itself"), "Kernel buffers.";
    "tune.sndbuf.server" "<size>" GLOBAL => NoAction("the kernel sizes its buffers by itself"), "Kernel buffers.";
    "tune.recv_enough" "<size>" GLOBAL => NoAction("the driver chooses"), "Bytes after which reading pauses.";
    "tune.ring.queues" "<number>" GLOBAL => NoAction("the queue to the log writer has its own size"), "Queues before rings.";
    "tune.runqueue-depth" "<number>" GLOBAL => NoAction("it is internal to HAProxy's scheduler"), "Tasks run at a stretch.";
    "tune.sched.low-latency" "{ on | off }" GLOBAL => NoAction("it is internal to HAProxy's scheduler"), "A scheduler for low latency.";
    "tune.streams-elasticity" "<number>" GLOBAL => NoAction("streams are limited by tune.h2.fe.max-concurrent-streams alone"), "How streams are rationed.";
    "tune.takeover-other-tg-connections" "<value>" GLOBAL => NoAction("threads are not grouped"), "Takes idle connections of other groups.";
    "tune.zlib.memlevel" "<number>" GLOBAL => NoAction("compression is refused"), "Memory of compression.";
    "tune.zlib.windowsize" "<number>" GLOBAL => NoAction("compression is refused"), "The window of compression.";
    "tune.h2.be.glitches-threshold" "<number>" GLOBAL => NoAction("HTTP/2 is not spoken to servers yet"), "Oddities that close a connection.";
    "tune.h2.be.initial-window-size" "<number>" GLOBAL => NoAction("HTTP/2 is not spoken to servers yet"), "The first window, towards servers.";
    "tune.h2.be.max-concurrent-streams" "<number>" GLOBAL => NoAction("HTTP/2 is not spoken to servers yet"), "Streams at once, towards servers.";
    "tune.h2.be.max-frames-at-once" "<number>" GLOBAL => NoAction("HTTP/2 is not spoken to servers yet"), "Frames at a stretch, towards servers.";
    "tune.h2.be.rxbuf" "<size>" GLOBAL => NoAction("HTTP/2 is not spoken to servers yet"), "Receive buffers, towards servers.";
    "tune.h2.fe.glitches-threshold" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=i64::from(i32::MAX), |n| g.global.h2.glitches_threshold = n as u32)), "Glitches of a client after which its HTTP/2 connection ends; 0 for no limit.";
    "tune.h2.fe.initial-window-size" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=i64::from(i32::MAX), |n| (g.global.h2.window, g.h2_own_window) = (n as u32, true))), "Bytes that a client may send ahead on a new stream.";
    "tune.h2.fe.max-concurrent-streams" "<number> [rq-load <value>] [min <number>]" GLOBAL => Parse(client_streams), "Streams that a client may have open at once.";
    "tune.h2.fe.max-frames-at-once" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=i64::from(i32::MAX), |n| g.global.h2.frames_at_once = n as u32)), "Frames of a client that are read until other connections have their turn; 0 for no limit.";
    "tune.h2.fe.max-rst-at-once" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=i64::from(i32::MAX), |n| g.global.h2.resets_at_once = n as u32)), "RST_STREAM frames of a client that are read until other connections have their turn; 0 for no limit.";
    "tune.h2.fe.max-total-streams" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=i64::from(i32::MAX), |n| g.global.h2.streams_total = n as u32)), "Streams of a client after which it is asked to open another connection; 0 for no limit.";
    "tune.h2.fe.rxbuf" "<size>" GLOBAL => Parse(|g, w, l| if let Some(size) = shape_size(w, l) { g.global.h2.receive_buffer = size }), "Bytes of bodies that a client may have sent and that wait, in all streams of a connection.";
    "tune.h2.header-table-size" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=65536, |n| g.global.h2.header_table_size = n as u32)), "Bytes of the table by which HTTP/2 compresses heads.";
    "tune.h2.initial-window-size" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=i64::from(i32::MAX), |n| if !g.h2_own_window { g.global.h2.window = n as u32 })), "Bytes that a peer may send ahead on a new stream.";
    "tune.h2.log-errors" "{ none | connection | stream }" GLOBAL => NoAction("errors of peers end in no log line of their own yet"), "Which errors of HTTP/2 are logged.";
    "tune.h2.max-concurrent-streams" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 0..=i64::from(i32::MAX), |n| if !g.h2_own_streams { g.global.h2.streams_max = n as u32 })), "Streams that a peer may have open at once.";
    "tune.h2.max-frame-size" "<number>" GLOBAL => Parse(|g, w, l| number(w, l, 16384..=16777215, |n| g.global.h2.frame_size = n as u32)), "The largest frame that is taken.";
    "tune.h2.zero-copy-fwd-send" "{ on | off }" GLOBAL => NoAction("forwarding has one path"), "Sends without a copy.";
    "h2-workaround-bogus-websocket-clients" "" GLOBAL => Parse(|g, w, l| { g.global.h2.extended_connect = false; w.end(l.report) }), "Does not offer WebSockets over HTTP/2 (RFC 8441).";
    "limited-quic" "" GLOBAL => NoAction("QUIC is not spoken"), "QUIC with an old OpenSSL.";
    "no-quic" "" GLOBAL => NoAction("QUIC is not spoken"), "No QUIC.";
    "tune.quic.be.cc.cubic-min-losses" "<number>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards servers.";
    "tune.quic.fe.cc.cubic-min-losses" "<number>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards clients.";
    "tune.quic.be.cc.hystart" "{ on | off }" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards servers.";
    "tune.quic.fe.cc.hystart" "{ on | off }" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards clients.";
    "tune.quic.be.cc.max-frame-loss" "<number>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards servers.";
    "tune.quic.fe.cc.max-frame-loss" "<number>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards clients.";
    "tune.quic.be.cc.max-win-size" "<size>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards servers.";
    "tune.quic.fe.cc.max-win-size" "<size>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards clients.";
    "tune.quic.be.cc.reorder-ratio" "<0..100>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards servers.";
    "tune.quic.fe.cc.reorder-ratio" "<0..100>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards clients.";
    "tune.quic.be.max-idle-timeout" "<timeout>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards servers.";
    "tune.quic.fe.max-idle-timeout" "<timeout>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards clients.";
    "tune.quic.be.sec.glitches-threshold" "<number>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards servers.";
    "tune.quic.fe.sec.glitches-threshold" "<number>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards clients.";
    "tune.quic.fe.sec.retry-threshold" "<number>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards clients.";
    "tune.quic.fe.sock-per-conn" "{ default-on | force-off }" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards clients.";
    "tune.quic.be.stream.data-ratio" "<0..100>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards servers.";
    "tune.quic.fe.stream.data-ratio" "<0..100>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards clients.";
    "tune.quic.be.stream.max-concurrent" "<number>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards servers.";
    "tune.quic.fe.stream.max-concurrent" "<number>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards clients.";
    "tune.quic.fe.stream.max-total" "<number>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards clients.";
    "tune.quic.be.stream.rxbuf" "<size>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards servers.";
    "tune.quic.fe.stream.rxbuf" "<size>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards clients.";
    "tune.quic.be.tx.pacing" "{ on | off }" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards servers.";
    "tune.quic.fe.tx.pacing" "{ on | off }" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards clients.";
    "tune.quic.be.tx.udp-gso" "{ on | off }" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards servers.";
    "tune.quic.fe.tx.udp-gso" "{ on | off }" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC towards clients.";
    "tune.quic.listen" "{ on | off }" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC.";
    "tune.quic.mem.tx-max" "<size>" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC.";
    "tune.quic.zero-copy-fwd-send" "{ on | off }" GLOBAL => NoAction("QUIC is not spoken yet"), "Tunes QUIC.";
}

keywords! {
    /// Features that are not there, and settings of such.
    pub ABSENT: GlobalParser, "3.1";
    "51degrees-allow-unmatched" "{ on | off }" GLOBAL => Refused("device detection by 51Degrees is not available"), "A setting of device detection by 51Degrees.";
    "51degrees-cache-size" "<number>" GLOBAL => Refused("device detection by 51Degrees is not available"), "A setting of device detection by 51Degrees.";
    "51degrees-data-file" "<file path>" GLOBAL => Refused("device detection by 51Degrees is not available"), "A setting of device detection by 51Degrees.";
    "51degrees-difference" "<number>" GLOBAL => Refused("device detection by 51Degrees is not available"), "A setting of device detection by 51Degrees.";
    "51degrees-drift" "<number>" GLOBAL => Refused("device detection by 51Degrees is not available"), "A setting of device detection by 51Degrees.";
    "51degrees-property-name-list" "[<string> ...]" GLOBAL => Refused("device detection by 51Degrees is not available"), "A setting of device detection by 51Degrees.";
    "51degrees-property-separator" "<char>" GLOBAL => Refused("device detection by 51Degrees is not available"), "A setting of device detection by 51Degrees.";
    "51degrees-use-performance-graph" "{ on | off }" GLOBAL => Refused("device detection by 51Degrees is not available"), "A setting of device detection by 51Degrees.";
    "51degrees-use-predictive-graph" "{ on | off }" GLOBAL => Refused("device detection by 51Degrees is not available"), "A setting of device detection by 51Degrees.";
    "deviceatlas-json-file" "<path>" GLOBAL => Refused("device detection by DeviceAtlas is not available"), "A setting of device detection by DeviceAtlas.";
    "deviceatlas-log-level" "<value>" GLOBAL => Refused("device detection by DeviceAtlas is not available"), "A setting of device detection by DeviceAtlas.";
    "deviceatlas-properties-cookie" "<name>" GLOBAL => Refused("device detection by DeviceAtlas is not available"), "A setting of device detection by DeviceAtlas.";
    "deviceatlas-separator" "<char>" GLOBAL => Refused("device detection by DeviceAtlas is not available"), "A setting of device detection by DeviceAtlas.";
    "wurfl-cache-size" "<size>" GLOBAL => Refused("device detection by WURFL is not available"), "A setting of device detection by WURFL.";
    "wurfl-data-file" "<file path>" GLOBAL => Refused("device detection by WURFL is not available"), "A setting of device detection by WURFL.";
    "wurfl-information-list" "[<capability>]*" GLOBAL => Refused("device detection by WURFL is not available"), "A setting of device detection by WURFL.";
    "wurfl-information-list-separator" "<char>" GLOBAL => Refused("device detection by WURFL is not available"), "A setting of device detection by WURFL.";
    "wurfl-patch-file" "[<file path>]" GLOBAL => Refused("device detection by WURFL is not available"), "A setting of device detection by WURFL.";
    "external-check" "[preserve-env]" GLOBAL => Refused("external checks are not available"), "A setting of external checks.";
    "lua-load" "<file> [<arg>...]" GLOBAL => Refused("Lua is not available"), "A setting of Lua.";
    "lua-load-per-thread" "<file> [<arg>...]" GLOBAL => Refused("Lua is not available"), "A setting of Lua.";
    "lua-prepend-path" "<string> [<type>]" GLOBAL => Refused("Lua is not available"), "A setting of Lua.";
    "cluster-secret" "<secret>" GLOBAL => NoAction("it makes QUIC tokens, and QUIC is not spoken"), "A secret that nodes share.";
    "httpclient.resolvers.disabled" "<on | off>" GLOBAL => NoAction("there is no internal HTTP client that rules could use"), "Whether the internal HTTP client resolves names.";
    "httpclient.resolvers.id" "<resolvers id>" GLOBAL => NoAction("there is no internal HTTP client that rules could use"), "The resolvers of the internal HTTP client.";
    "httpclient.resolvers.prefer" "{ ipv4 | ipv6 }" GLOBAL => NoAction("there is no internal HTTP client that rules could use"), "The family that the internal HTTP client prefers.";
    "httpclient.retries" "<number>" GLOBAL => NoAction("there is no internal HTTP client that rules could use"), "Retries of the internal HTTP client.";
    "httpclient.timeout.connect" "<timeout>" GLOBAL => NoAction("there is no internal HTTP client that rules could use"), "How long the internal HTTP client waits for a connection.";
}

/// `ipv4`, `ipv6`, `auto`, in any combination.
fn dns_families(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = words.expect(loading.report, "a comma-delimited list of 'ipv4' and 'ipv6'") else {
        return;
    };
    let mut wanted = AcceptFamily { v4: false, v6: false, auto: false };
    for family in word.text.split(',') {
        match family {
            "ipv4" => wanted.v4 = true,
            "ipv6" => wanted.v6 = true,
            "auto" => wanted.auto = true,
            _ => {
                let message = format!(
                    "'dns-accept-family' expects a comma-delimited list of 'ipv4' and 'ipv6' but got '{}'",
                    word.text
                );
                loading.report.alert(word.span, message).help("'auto' takes IPv6 if there is a route for it");
                return;
            }
        }
    }
    words.end(loading.report);
    global.global.accept_family = wanted;
}

fn bufsize(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(size) = words.size(loading.report) else { return };
    words.end(loading.report);
    if !(BUFSIZE_MIN..=BUFSIZE_MAX).contains(&size) {
        let message =
            format!("'tune.bufsize' expects a size from {BUFSIZE_MIN} to {BUFSIZE_MAX}, got {size}");
        loading.report.alert(words.last_span(), message);
        return;
    }
    global.global.bufsize = size as usize;
}

fn fd_tables(_: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if !loading.experimental(words) {
        return;
    }
    shape::read("tune.fd.tables", "{ shared | per-thread-group }", words, loading.report);
    words.end(loading.report);
}

/// `-1` is "no limit": as many as wait.
fn maxaccept(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    number(words, loading, -1..=i64::from(i32::MAX), |n| {
        global.global.maxaccept = match n {
            -1 => usize::MAX,
            0 => MAXACCEPT,
            n => n as usize,
        };
    });
}

/// At most 65535 ms, as in HAProxy.
fn idle_timer(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(ms) = words.time_ms(loading.report) else { return };
    if ms > 65535 {
        let message = format!("'tune.idletimer' takes at most 65535 ms, got {ms}");
        loading.report.alert(words.last_span(), message);
        return;
    }
    global.global.tls_records.idle_ms = ms;
    words.end(loading.report);
}

fn pipesize(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    if let Some(size) = words.size(loading.report) {
        global.global.pipesize = size as usize;
    }
    words.end(loading.report);
}

fn size(words: &mut Words<'_>, loading: &mut Loading<'_>, keep: impl FnOnce(usize)) {
    if let Some(size) = words.size(loading.report) {
        keep(usize::try_from(size).unwrap_or(usize::MAX));
    }
    words.end(loading.report);
}

/// `rq-load` and `min` are read for mistakes alone: the limit itself is announced.
fn client_streams(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let Some(word) = words.expect(loading.report, "an integer argument") else { return };
    let most = within(word, &words.keyword(), 0..=i64::from(i32::MAX), loading.report);
    if let Some(most) = most {
        (global.global.h2.streams_max, global.h2_own_streams) = (most as u32, true);
    }
    while let Some(word) = words.take_word() {
        match word.text.as_str() {
            "rq-load" => {
                let known = words
                    .text()
                    .is_some_and(|load| matches!(load, "auto" | "ignore") || load.parse::<u32>().is_ok());
                if !known {
                    let message = "'rq-load' expects 'auto', 'ignore' or a number of requests";
                    loading.report.alert(words.last_span(), message);
                }
            }
            "min" if words.text().is_some_and(|least| least.parse::<u32>().is_ok()) => {}
            other => {
                let message = format!("unexpected argument '{other}'");
                loading.report.alert(words.last_span(), message).help("'rq-load <value>' or 'min <number>'");
                return;
            }
        }
    }
}

/// A size that fits the windows of HTTP/2.
fn shape_size(words: &mut Words<'_>, loading: &mut Loading<'_>) -> Option<u32> {
    let size = words.size(loading.report)?;
    words.end(loading.report);
    Some(u32::try_from(size).unwrap_or(u32::MAX).min(i32::MAX as u32))
}

fn stick_counters(_: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    let mut counters = None;
    number(words, loading, 0..=100, |n| counters = Some(n as u8));
    loading.named.stick_counters = counters.or(loading.named.stick_counters);
}

fn idle_pool(global: &mut GlobalDraft, words: &mut Words<'_>, loading: &mut Loading<'_>) {
    global.global.idle_pool_shared = match words.text() {
        Some("on" | "full") => true,
        Some("off") => false,
        other => {
            let message = format!(
                "'tune.idle-pool.shared' expects 'full', 'on' or 'off' but got '{}'",
                other.unwrap_or("")
            );
            loading.report.alert(words.last_span(), message);
            return;
        }
    };
    words.end(loading.report);
}
