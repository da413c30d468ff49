//! Syslog frames (RFC 3164, RFC 5424) and HAProxy's other log formats (manual, section 4.2 `log`).
//!
//! One line becomes one frame per target, since targets differ in format, facility and length.
//! Nothing is sent here. Times are local, as HAProxy's are; the second is formatted once per thread
//! and reused until the next one, as a time zone is a search.

use std::cell::RefCell;
use std::io::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// How a line is framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// None was asked for: [`Format::Rfc3164`] if there is a host name to send, else
    /// [`Format::Local`] (manual, section 4.2 `log`).
    #[default]
    Unspecified,
    /// RFC 3164 without the host name: what `/dev/log` expects.
    Local,
    /// RFC 3164.
    Rfc3164,
    /// RFC 5424.
    Rfc5424,
    /// Facility and level, then the text.
    Priority,
    /// The level, then the text: what systemd understands.
    Short,
    /// The level and the time, then the text.
    Timed,
    /// The time, then the text.
    Iso,
    /// The text alone.
    Raw,
}

/// What stands before the text, besides the time.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// `kern` 0 ... `local7` 23.
    pub facility: u8,
    /// `emerg` 0 ... `debug` 7.
    pub level: u8,
    /// `log-send-hostname`; RFC 3164 asks for one and gets `localhost` without.
    pub hostname: Option<&'a str>,
    /// `log-tag`; nothing is written for an empty one.
    pub tag: &'a str,
    /// The process.
    pub pid: u32,
    /// `log-format-sd` (RFC 5424 only).
    pub structured_data: Option<&'a [u8]>,
}

/// Appends the frame of `message`, cut so that it takes no more than `len_max` bytes with the line
/// end it is given. Line ends the message itself ends with are dropped.
pub fn frame(
    format: Format,
    header: &Header<'_>,
    wall_us: u64,
    message: &[u8],
    len_max: usize,
    out: &mut Vec<u8>,
) {
    let format = match (format, header.hostname) {
        (Format::Unspecified, Some(name)) if !name.is_empty() => Format::Rfc3164,
        (Format::Unspecified, _) => Format::Local,
        (format, _) => format,
    };
    let start = out.len();
    priority(format, header, out);
    let time = match format {
        Format::Unspecified | Format::Local | Format::Rfc3164 => Some(Time::Legacy),
        Format::Rfc5424 | Format::Timed | Format::Iso => Some(Time::Iso),
        Format::Priority | Format::Short | Format::Raw => None,
    };
    if format == Format::Rfc5424 {
        out.extend_from_slice(b"1 ");
    }
    if let Some(time) = time {
        local_time(time, wall_us, out);
        out.push(b' ');
    }
    origin(format, header, out);
    let end = message.iter().rposition(|byte| !matches!(byte, b'\n' | 0)).map_or(0, |last| last + 1);
    out.extend_from_slice(&message[..end]);
    out.truncate(start + len_max.saturating_sub(1).min(out.len() - start));
    out.push(b'\n');
}

/// `<134>`, or `<6>` where the facility does not count.
fn priority(format: Format, header: &Header<'_>, out: &mut Vec<u8>) {
    let value = match format {
        Format::Unspecified | Format::Local | Format::Rfc3164 | Format::Rfc5424 | Format::Priority => {
            u32::from(header.facility) * 8 + u32::from(header.level)
        }
        Format::Short | Format::Timed => u32::from(header.level),
        Format::Iso | Format::Raw => return,
    };
    out.push(b'<');
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.push(b'>');
}

/// `host tag[pid]: `, or RFC 5424's host, application, process, message id and structured data, of
/// which absent ones are `-` (section 6.2).
fn origin(format: Format, header: &Header<'_>, out: &mut Vec<u8>) {
    let hostname = header.hostname.filter(|name| !name.is_empty());
    let pid = itoa::Buffer::new().format(header.pid).to_owned();
    match format {
        Format::Unspecified | Format::Local | Format::Rfc3164 => {
            if format == Format::Rfc3164 {
                out.extend_from_slice(hostname.unwrap_or("localhost").as_bytes());
                out.push(b' ');
            }
            if !header.tag.is_empty() {
                out.extend_from_slice(header.tag.as_bytes());
                out.push(b'[');
                out.extend_from_slice(pid.as_bytes());
                out.extend_from_slice(b"]: ");
            }
        }
        Format::Rfc5424 => {
            let tag = if header.tag.is_empty() { "-" } else { header.tag };
            let data = header.structured_data.filter(|data| !data.is_empty()).unwrap_or(b"-");
            let parts = [hostname.unwrap_or("-").as_bytes(), tag.as_bytes(), pid.as_bytes(), b"-", data];
            for part in parts {
                out.extend_from_slice(part);
                out.push(b' ');
            }
        }
        Format::Priority | Format::Short | Format::Timed | Format::Iso | Format::Raw => {}
    }
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// `Nov  2 15:00:00` (RFC 3164 section 4.1.2).
    Legacy,
    /// `2026-11-02T15:00:00.123456+01:00`.
    Iso,
}

/// The parts of the last second formatted on this thread.
struct Second {
    epoch_s: u64,
    legacy: Vec<u8>,
    iso_date: Vec<u8>,
    iso_offset: Vec<u8>,
}

thread_local! {
    static LAST: RefCell<Second> = const {
        // No log line is written in the year 584942417355, so nothing matches this.
        RefCell::new(Second { epoch_s: u64::MAX, legacy: Vec::new(), iso_date: Vec::new(), iso_offset: Vec::new() })
    };
}

/// Appends a local time, given in microseconds since the Unix epoch.
pub fn local_time(time: Time, wall_us: u64, out: &mut Vec<u8>) {
    let epoch_s = wall_us / 1_000_000;
    LAST.with_borrow_mut(|last| {
        if last.epoch_s != epoch_s {
            *last = format_second(epoch_s, &TimeZone::system());
        }
        match time {
            Time::Legacy => out.extend_from_slice(&last.legacy),
            Time::Iso => {
                out.extend_from_slice(&last.iso_date);
                // Writing to a vector does not fail.
                let _ = write!(out, ".{:06}", wall_us % 1_000_000);
                out.extend_from_slice(&last.iso_offset);
            }
        }
    });
}

fn format_second(epoch_s: u64, zone: &TimeZone) -> Second {
    let timestamp = Timestamp::from_second(epoch_s as i64).unwrap_or(Timestamp::UNIX_EPOCH);
    let local = timestamp.to_zoned(zone.clone());
    Second {
        epoch_s,
        legacy: local.strftime("%b %e %H:%M:%S").to_string().into_bytes(),
        iso_date: local.strftime("%Y-%m-%dT%H:%M:%S").to_string().into_bytes(),
        iso_offset: local.strftime("%:z").to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL_US: u64 = 1_793_631_600_000_042; // Mon Nov  2 15:00:00 2026 UTC

    fn line(format: Format, hostname: Option<&str>, tag: &str, len_max: usize) -> String {
        let header =
            Header { facility: 16, level: 6, hostname, tag, pid: 42, structured_data: Some(b"[a b=\"c\"]") };
        let mut out = b"kept ".to_vec();
        frame(format, &header, WALL_US, b"text\n\n\0", len_max, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn time(time: Time) -> String {
        let mut out = Vec::new();
        local_time(time, WALL_US, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn frames() {
        let (legacy, iso) = (time(Time::Legacy), time(Time::Iso));
        for (format, hostname, tag, expected) in [
            (Format::Unspecified, None, "haring", format!("<134>{legacy} haring[42]: text\n")),
            (Format::Unspecified, Some("web1"), "haring", format!("<134>{legacy} web1 haring[42]: text\n")),
            (Format::Local, Some("web1"), "haring", format!("<134>{legacy} haring[42]: text\n")),
            (Format::Rfc3164, Some("web1"), "haring", format!("<134>{legacy} web1 haring[42]: text\n")),
            (Format::Rfc3164, None, "", format!("<134>{legacy} localhost text\n")),
            (
                Format::Rfc5424,
                Some("web1"),
                "haring",
                format!("<134>1 {iso} web1 haring 42 - [a b=\"c\"] text\n"),
            ),
            (Format::Rfc5424, None, "", format!("<134>1 {iso} - - 42 - [a b=\"c\"] text\n")),
            (Format::Priority, None, "haring", "<134>text\n".into()),
            (Format::Short, None, "haring", "<6>text\n".into()),
            (Format::Timed, None, "haring", format!("<6>{iso} text\n")),
            (Format::Iso, None, "haring", format!("{iso} text\n")),
            (Format::Raw, None, "haring", "text\n".into()),
        ] {
            assert_eq!(line(format, hostname, tag, 1024), format!("kept {expected}"), "{format:?}");
        }
    }

    #[test]
    fn lines_are_cut_with_their_header() {
        for (len_max, expected) in
            [(10, "kept <134>text\n"), (8, "kept <134>te\n"), (4, "kept <13\n"), (0, "kept \n")]
        {
            assert_eq!(line(Format::Priority, None, "", len_max), expected);
        }
    }

    #[test]
    fn times() {
        let second = WALL_US / 1_000_000;
        for (zone, legacy, iso) in [
            (TimeZone::UTC, "Nov  2 15:00:00", "2026-11-02T15:00:00+00:00"),
            (TimeZone::fixed(jiff::tz::offset(-5)), "Nov  2 10:00:00", "2026-11-02T10:00:00-05:00"),
            (TimeZone::fixed(jiff::tz::offset(10)), "Nov  3 01:00:00", "2026-11-03T01:00:00+10:00"),
        ] {
            let found = format_second(second, &zone);
            assert_eq!(String::from_utf8(found.legacy).unwrap(), legacy);
            assert_eq!(String::from_utf8([found.iso_date, found.iso_offset].concat()).unwrap(), iso);
        }
        assert_eq!(&time(Time::Iso)[19..26], ".000042");
        let (first, again) = (time(Time::Legacy), time(Time::Legacy));
        assert_eq!(first, again);
    }
}
