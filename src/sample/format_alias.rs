//! The aliases of log formats, one row each (manual, section 8.2.6).

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::facts::{Direction, RequestLine};
use super::fetch::target;
use super::format::{Unsafe, Writer, encode};
use super::timers::Timers;
use super::value::write_ip;
use crate::tls::connection::TlsFacts;

/// One alias.
#[derive(Debug)]
pub struct Alias {
    /// Its name, without the `%`.
    pub name: &'static str,
    /// What it prints.
    pub doc: &'static str,
    /// Prints it.
    pub write: fn(&mut Writer<'_, '_>),
}

const fn row(name: &'static str, doc: &'static str, write: fn(&mut Writer<'_, '_>)) -> Alias {
    Alias { name, doc, write }
}

/// Every alias but `%o`, which sets the flags of those after it.
pub const ALIASES: &[Alias] = &[
    row("B", "bytes sent to the client", |w| w.growing(w.context.txn.bytes_to_client as i64)),
    row("CC", "captured request cookie", |w| {
        w.text(w.context.txn.request_cookie.as_deref().unwrap_or_default())
    }),
    row("CS", "captured response cookie", |w| {
        w.text(w.context.txn.response_cookie.as_deref().unwrap_or_default())
    }),
    row("H", "host name", |w| w.text(w.context.process.hostname.as_bytes())),
    row("HM", "HTTP method", |w| http(w, |line| line.method)),
    row("HP", "request target without its query", |w| http(w, before_query)),
    row("HPO", "path alone", |w| http(w, |line| target::path(line.target))),
    row("HQ", "query with its '?'", |w| http(w, query)),
    row("HU", "request target", |w| http(w, |line| line.target)),
    row("HV", "HTTP version", |w| {
        http(w, |line| if line.version.is_empty() { b"HTTP/0.9" } else { line.version })
    }),
    row("ID", "unique id", |w| w.text(w.context.txn.unique_id.as_deref().unwrap_or_default())),
    row("OG", "when the line was made", |w| {
        let txn = w.context.txn;
        w.text(match (txn.logged_early, txn.time.end_us) {
            (true, _) => b"txn_response",
            (false, 0) => b"unspec",
            (false, _) => b"txn_close",
        })
    }),
    row("ST", "status code", |w| {
        w.int(if w.context.txn.status == 0 { -1 } else { i64::from(w.context.txn.status) })
    }),
    row("T", "accept date, UTC", |w| date(w, accept_us, Style::Utc)),
    row("Ta", "active time of the request", |w| w.growing(Timers::of(w.context).active())),
    row("Tc", "connect time", |w| w.int(Timers::of(w.context).connect())),
    row("Td", "data transfer time", |w| w.int(Timers::of(w.context).data())),
    row("Th", "handshake time", |w| w.int(Timers::of(w.context).handshake())),
    row("Ti", "idle time", |w| w.int(Timers::of(w.context).idle())),
    row("Tl", "accept date, local with zone", |w| date(w, accept_us, Style::LocalZone)),
    row("Tq", "Th + Ti + TR", |w| w.int(Timers::of(w.context).until_request())),
    row("TR", "time to receive the request", |w| w.int(Timers::of(w.context).request())),
    row("Tr", "response time", |w| w.int(Timers::of(w.context).response())),
    row("Ts", "accept date, seconds since 1970", |w| w.int_or_hex(accept_us(w) / 1_000_000, 4)),
    row("Tt", "total time", |w| w.growing(Timers::of(w.context).total())),
    row("Tu", "total time as the user saw it", |w| w.growing(Timers::of(w.context).user())),
    row("Tw", "time in queues", |w| w.int(Timers::of(w.context).queue())),
    row("U", "bytes received from the client", |w| w.int(w.context.txn.bytes_from_client as i64)),
    row("ac", "connections of the process", |w| w.int(i64::from(w.context.txn.conn_counts.process))),
    row("b", "backend", backend),
    row("bc", "connections of the backend", |w| w.int(i64::from(w.context.txn.conn_counts.backend))),
    row("bi", "address used towards the server", |w| address(w, w.context.txn.backend_source)),
    row("bp", "port used towards the server", |w| port(w, w.context.txn.backend_source)),
    row("bq", "requests before it in the backend's queue", |w| w.int(i64::from(w.context.txn.backend_queue))),
    row("ci", "client address", |w| match w.context.session {
        // A client of a Unix socket has no address, but its listener has a number.
        Some(session) if session.source.is_none() => w.text(b"unix"),
        session => address(w, session.and_then(|session| session.source)),
    }),
    row("cp", "client port", |w| match w.context.session {
        Some(session) if session.source.is_none() => w.int(i64::from(session.listener_id)),
        session => port(w, session.and_then(|session| session.source)),
    }),
    row("f", "frontend", frontend),
    row("fc", "connections of the frontend", |w| w.int(i64::from(w.context.txn.conn_counts.frontend))),
    row("fi", "frontend address", |w| address(w, w.context.session.and_then(|session| session.destination))),
    row("fp", "frontend port", |w| port(w, w.context.session.and_then(|session| session.destination))),
    row("ft", "frontend, with '~' after it for TLS", frontend_of_transport),
    row("hr", "captured request headers", |w| captures(w, Direction::Request)),
    row("hrl", "captured request headers, as a list", |w| capture_list(w, Direction::Request)),
    row("hs", "captured response headers", |w| captures(w, Direction::Response)),
    row("hsl", "captured response headers, as a list", |w| capture_list(w, Direction::Response)),
    row("lc", "lines logged by the frontend", |w| {
        let count = w.context.session.map_or(0, |session| session.frontend.log_count.load(Relaxed));
        w.int_or_hex(u64::from(count), 4);
    }),
    row("ms", "milliseconds of the accept date", |w| {
        let ms = accept_us(w) / 1000 % 1000;
        if w.hex() {
            w.int_or_hex(ms, 2);
        } else {
            w.int_padded(ms, 3);
        }
    }),
    row("pid", "process id", |w| w.int_or_hex(u64::from(w.context.process.pid), 4)),
    row("r", "request line", request_line),
    row("rc", "retries, with '+' after a redispatch", |w| {
        if w.context.txn.redispatched {
            // An encoding takes the number alone.
            w.out.push(b'+');
        }
        w.int(i64::from(w.context.txn.retries));
    }),
    row("rt", "number of the session", |w| {
        w.int_or_hex(w.context.session.map_or(0, |s| s.number & 0xffff_ffff), 4)
    }),
    row("s", "server", |w| match &w.context.txn.server {
        Some(server) => w.text(server.name.as_bytes()),
        None => w.text(w.context.txn.service.unwrap_or("<NOSRV>").as_bytes()),
    }),
    row("sc", "connections of the server", |w| w.int(i64::from(w.context.txn.conn_counts.server))),
    row("si", "server address", |w| address(w, w.context.txn.backend_destination)),
    row("sp", "server port", |w| port(w, w.context.txn.backend_destination)),
    row("sq", "requests before it in the server's queue", |w| w.int(i64::from(w.context.txn.server_queue))),
    row("sslc", "TLS ciphers; none without TLS", |w| w.text(tls(w).map_or("", TlsFacts::suite).as_bytes())),
    row("sslv", "TLS version; none without TLS", |w| w.text(tls(w).map_or("", TlsFacts::version).as_bytes())),
    row("t", "accept date, local with milliseconds", |w| date(w, accept_us, Style::LocalMillis)),
    row("tr", "request date, local with milliseconds", |w| date(w, request_us, Style::LocalMillis)),
    row("trg", "request date, UTC", |w| date(w, request_us, Style::Utc)),
    row("trl", "request date, local with zone", |w| date(w, request_us, Style::LocalZone)),
    row("ts", "how the session ended", |w| {
        let letters = [w.context.txn.ended.letter(), w.context.txn.ended_in.letter()];
        w.out.extend(letters);
    }),
    row("tsc", "how the session ended, and its cookies", |w| {
        let txn = w.context.txn;
        let letters = [
            txn.ended.letter(),
            txn.ended_in.letter(),
            txn.cookie_request.letter(),
            txn.cookie_response.letter(),
        ];
        w.out.extend(letters);
    }),
];

/// TLS of the client's connection.
fn tls<'w>(w: &Writer<'w, '_>) -> Option<&'w TlsFacts> {
    w.context.session?.connection.as_ref()?.tls.as_deref()
}

fn frontend_of_transport(w: &mut Writer<'_, '_>) {
    if tls(w).is_none() {
        return frontend(w);
    }
    let mut name = w.context.session.map_or(Vec::new(), |session| session.frontend.name.as_bytes().to_vec());
    name.push(b'~');
    w.text(&name);
}

fn frontend(w: &mut Writer<'_, '_>) {
    w.text(w.context.session.map_or(b"", |session| session.frontend.name.as_bytes()));
}

/// The backend, which is the frontend itself until one is chosen.
fn backend(w: &mut Writer<'_, '_>) {
    match &w.context.txn.backend {
        Some(backend) => w.text(backend.name.as_bytes()),
        None => frontend(w),
    }
}

fn address(w: &mut Writer<'_, '_>, address: Option<SocketAddr>) {
    use std::io::Write;
    let Some(ip) = address.map(|address| address.ip()) else { return w.text(b"") };
    match (w.hex(), ip) {
        (false, ip) => w.quoted(|out| write_ip(ip, out)),
        // Writing to a vector cannot fail.
        (true, IpAddr::V4(v4)) => drop(write!(w.out, "{:08X}", u32::from(v4))),
        (true, IpAddr::V6(v6)) => drop(write!(w.out, "{:032X}", u128::from(v6))),
    }
}

fn port(w: &mut Writer<'_, '_>, address: Option<SocketAddr>) {
    match address {
        Some(address) => w.int_or_hex(u64::from(address.port()), 4),
        None => w.text(b""),
    }
}

const BAD_REQUEST: &[u8] = b"<BADREQ>";

fn http(w: &mut Writer<'_, '_>, part: for<'l> fn(&RequestLine<'l>) -> &'l [u8]) {
    match w.context.txn.logged_request() {
        Some(line) => w.encoded(part(&line), Unsafe::Uri),
        None => w.encoded(BAD_REQUEST, Unsafe::Uri),
    }
}

fn before_query<'l>(line: &RequestLine<'l>) -> &'l [u8] {
    &line.target[..memchr::memchr(b'?', line.target).unwrap_or(line.target.len())]
}

fn query<'l>(line: &RequestLine<'l>) -> &'l [u8] {
    memchr::memchr(b'?', line.target).map_or(b"", |at| &line.target[at..])
}

fn request_line(w: &mut Writer<'_, '_>) {
    let Some(line) = w.context.txn.logged_request() else { return w.encoded(BAD_REQUEST, Unsafe::Uri) };
    w.quoted(|out| {
        for (at, part) in [line.method, line.target, line.version].into_iter().enumerate() {
            if at > 0 && !part.is_empty() {
                out.push(b' ');
            }
            encode(part, Unsafe::Uri, out);
        }
    });
}

/// `{a|b}`; nothing when nothing is captured.
fn captures(w: &mut Writer<'_, '_>, of: Direction) {
    let txn = w.context.txn;
    let slots = txn.capture_slots(of);
    if slots == 0 {
        return;
    }
    w.quoted(|out| {
        out.push(b'{');
        for slot in 0..slots {
            if slot > 0 {
                out.push(b'|');
            }
            encode(txn.captured(of, slot).as_deref().unwrap_or_default(), Unsafe::Header, out);
        }
        out.push(b'}');
    });
}

fn capture_list(w: &mut Writer<'_, '_>, of: Direction) {
    let txn = w.context.txn;
    for slot in 0..txn.capture_slots(of) {
        if slot > 0 {
            w.out.push(b' ');
        }
        w.element(txn.captured(of, slot).as_deref(), Unsafe::Header);
    }
}

// --- dates ---------------------------------------------------------------------------------

fn accept_us(w: &Writer<'_, '_>) -> u64 {
    w.context.session.map_or(w.context.now.wall_us, |session| session.accepted.wall_us)
}

fn request_us(w: &Writer<'_, '_>) -> u64 {
    match w.context.txn.time.first_byte_wall_us {
        0 => accept_us(w),
        began => began,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `06/Feb/2009:12:14:14.655`
    LocalMillis,
    /// `06/Feb/2009:12:14:14 +0100`
    LocalZone,
    /// `06/Feb/2009:11:14:14 +0000`
    Utc,
}

fn date(w: &mut Writer<'_, '_>, when: fn(&Writer<'_, '_>) -> u64, style: Style) {
    let us = when(w);
    write_date(us, style, w.out);
}

/// A second as text: most lines of a second share it.
struct Second {
    second: u64,
    text: [u8; 20],
    zone: [u8; 5],
}

thread_local! {
    static LOCAL: RefCell<Second> = const { RefCell::new(Second { second: u64::MAX, text: [0; 20], zone: [0; 5] }) };
    static UTC: RefCell<Second> = const { RefCell::new(Second { second: u64::MAX, text: [0; 20], zone: [0; 5] }) };
}

/// Writes a moment as logs show when a connection was accepted: `06/Feb/2009:12:14:14.655`.
pub(crate) fn write_accept_date(us: u64, out: &mut Vec<u8>) {
    write_date(us, Style::LocalMillis, out);
}

fn write_date(us: u64, style: Style, out: &mut Vec<u8>) {
    let cache = if style == Style::Utc { &UTC } else { &LOCAL };
    cache.with_borrow_mut(|cached| {
        let second = us / 1_000_000;
        if cached.second != second {
            cached.fill(second, style == Style::Utc);
        }
        out.extend_from_slice(&cached.text);
        if style == Style::LocalMillis {
            out.push(b'.');
            write_padded(us / 1000 % 1000, 3, out);
        } else {
            out.push(b' ');
            out.extend_from_slice(&cached.zone);
        }
    });
}

impl Second {
    fn fill(&mut self, second: u64, utc: bool) {
        const MONTHS: [&[u8; 3]; 12] =
            [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
        let zone = if utc { TimeZone::UTC } else { TimeZone::system() };
        let at = Timestamp::from_second(second as i64).unwrap_or_default().to_zoned(zone);
        let offset = at.offset().seconds();
        let (sign, minutes) = (if offset < 0 { b'-' } else { b'+' }, offset.unsigned_abs() / 60);
        let mut text = Vec::with_capacity(25);
        write_padded(at.day() as u64, 2, &mut text);
        text.push(b'/');
        text.extend_from_slice(MONTHS[(at.month() as usize - 1) % 12]);
        text.push(b'/');
        write_padded(at.year() as u64, 4, &mut text);
        for part in [at.hour(), at.minute(), at.second()] {
            text.push(b':');
            write_padded(part as u64, 2, &mut text);
        }
        text.push(sign);
        write_padded(u64::from(minutes / 60), 2, &mut text);
        write_padded(u64::from(minutes % 60), 2, &mut text);
        self.text.copy_from_slice(&text[..20]);
        self.zone.copy_from_slice(&text[20..25]);
        self.second = second;
    }
}

/// Appends the last `width` digits of `n`, zeros in front.
pub(super) fn write_padded(n: u64, width: u32, out: &mut Vec<u8>) {
    out.extend((0..width).rev().map(|place| b'0' + (n / 10u64.pow(place) % 10) as u8));
}

#[cfg(test)]
mod tests {
    use crate::diag::Span;
    use crate::sample::LogFormat;
    use crate::sample::expr::Phase;
    use crate::sample::facts::{ConnectionCounts, CookieRequest, CookieResponse, Ended, EndedIn};
    use crate::sample::testing::{World, told};

    fn written(world: &World, text: &str) -> String {
        let (format, report) =
            world.parsing(Phase::Log, |context| LogFormat::parse(text, Span::NONE, context));
        let mut out = Vec::new();
        format.unwrap_or_else(|| panic!("{text}: {}", told(&report))).write(&world.context(), true, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn world() -> World {
        let mut world = World::request("GET http://localhost/r/4?q=4 HTTP/1.1", &["Host: localhost"]);
        let start = world.session.accepted.mono_us;
        world.txn.time.first_byte_us = start + 5_000;
        world.txn.time.request_us = start + 8_000;
        world.txn.time.queued_us = start + 8_000;
        world.txn.time.connected_us = start + 9_000;
        world.txn.time.response_us = start + 20_000;
        world.txn.time.end_us = start + 30_000;
        world.txn.status = 200;
        world.txn.bytes_to_client = 1234;
        world.txn.backend = Some(world.registry.proxy("app"));
        world.txn.server = Some(world.registry.server("app", "s1").0);
        world.txn.conn_counts = ConnectionCounts { process: 4, frontend: 3, backend: 2, server: 1 };
        world
    }

    #[test]
    fn every_alias() {
        let mut world = world();
        world.txn.request_captures = vec![Some(b"a|b".as_slice().into()), None, Some(b"c".as_slice().into())];
        world.txn.ended = Ended::ServerTimeout;
        world.txn.ended_in = EndedIn::Headers;
        world.txn.cookie_request = CookieRequest::Valid;
        world.txn.cookie_response = CookieResponse::None;
        world.txn.redispatched = true;
        world.txn.retries = 3;
        for (text, expected) in [
            ("%HM", "GET"),
            ("%HP", "http://localhost/r/4"),
            ("%HPO", "/r/4"),
            ("%HQ", "?q=4"),
            ("%HU", "http://localhost/r/4?q=4"),
            ("%HV", "HTTP/1.1"),
            ("%hr", "{a#7Cb||c}"),
            ("%hrl", "a#7Cb - c"),
            ("%{+Q}hrl", "\"a#7Cb\" \"\" \"c\""),
            ("%hs|", "|"),
            ("%ts %tsc", "sH sHVN"),
            ("%rc", "+3"),
            ("%ci:%cp %{+X}ci:%{+X}cp", "192.0.2.1:50000 C0000201:C350"),
            ("%fi:%fp", "127.0.0.1:80"),
            ("%bi:%bp %si:%sp", "-:- -:-"),
            ("%T", "14/Nov/2023:22:13:20 +0000"),
            ("%Ts %ms", "1700000000 123"),
            ("%{+X}Ts %{+X}pid", "6553F100 1092"),
            ("%H %pid %ID", "box 4242 -"),
            ("%Th/%Ti/%TR/%Tq/%Tw/%Tc/%Tr/%Td/%Ta/%Tt/%Tu", "0/5/3/8/0/1/11/10/25/30/25"),
            ("%f %ft %b %s", "web web app s1"),
            ("%{+Q}b %{+Q}CC %CS", "\"app\" \"\" -"),
            ("%lc %lc", "0 0"),
            ("%rt %sslc %OG", "1 - txn_close"),
        ] {
            assert_eq!(written(&world, text), expected, "{text}");
        }
        world.txn.logged_early = true;
        assert_eq!(written(&world, "%B %Ta %Tt"), "+1234 +25 +30");
        world.txn.status = 0;
        world.txn.server = None;
        assert_eq!(written(&world, "%ST %s"), "-1 <NOSRV>");
        world.txn.has_request = false;
        assert_eq!(written(&world, "%{+Q}r %HM"), "\"<BADREQ>\" <BADREQ>");
    }

    #[test]
    fn request_lines_are_safe_to_print_and_as_received() {
        let mut world = World::request("GET http://hostname#frag HTTP/1.1", &["Host: hostname"]);
        assert_eq!(written(&world, "%r"), "GET http://hostname#23frag HTTP/1.1");
        world.txn.request_line = b"GET /\"\x01\xff{} HTTP/1.0".to_vec();
        assert_eq!(written(&world, "%r"), "GET /#22#01#FF{} HTTP/1.0");
        world.txn.request.set_target(b"/rewritten");
        assert_eq!(written(&world, "%HU"), "/#22#01#FF{}");
    }
}
