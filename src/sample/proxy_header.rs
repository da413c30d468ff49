//! The PROXY protocol header that goes in front of what a server is sent (manual, section 5.2
//! `send-proxy` and its kin): which version, and which fields besides the addresses.
//!
//! It stands with the expressions since its own fields are made of them.

use std::net::SocketAddr;

use super::facts::Context;
use super::format::LogFormat;
use crate::wire::proxy_protocol::{self, V2Writer, kind};

/// Which version of the header is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// `send-proxy`: text.
    #[default]
    V1,
    /// `send-proxy-v2`: binary, with fields.
    V2,
}

/// Which fields `proxy-v2-options` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `crc32c`.
    pub crc32c: bool,
    /// `unique-id`.
    pub unique_id: bool,
    /// `authority`.
    pub authority: bool,
    /// `ssl`, and every option about certificates.
    pub ssl: bool,
}

/// What the header of a server says.
#[derive(Debug, Default)]
pub struct ProxyHeader {
    /// Its version.
    pub version: Version,
    /// Fields that are ready made.
    pub options: Options,
    /// `set-proxy-v2-tlv-fmt`: fields of the user's own.
    pub fields: Vec<(u8, LogFormat)>,
    /// `pp2-never-send-local`: checks speak as if for a client.
    pub never_local: bool,
}

impl ProxyHeader {
    /// Appends the header of a connection that carries a client's session.
    pub fn for_client(&self, context: &Context<'_>, out: &mut Vec<u8>) {
        let addresses = context.session.map_or((None, None), |session| (session.source, session.destination));
        self.write(addresses, context, out);
    }

    /// Appends the header of a health check between two addresses.
    pub fn for_check(
        &self,
        local: Option<SocketAddr>,
        peer: Option<SocketAddr>,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) {
        let speaks_for_itself = self.version == Version::V2 && !self.never_local;
        self.write(if speaks_for_itself { (None, None) } else { (local, peer) }, context, out);
    }

    fn write(
        &self,
        (source, destination): (Option<SocketAddr>, Option<SocketAddr>),
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) {
        if self.version == Version::V1 {
            return proxy_protocol::write_v1(source, destination, out);
        }
        let mut header = V2Writer::begin(source, destination, out);
        let mut value = Vec::new();
        for (kind, format) in &self.fields {
            value.clear();
            format.write_bytes(context, &mut value);
            header.field(*kind, &value);
        }
        if self.options.crc32c {
            header.checksum();
        }
        if self.options.authority
            && let Some(connection) = context.session.and_then(|session| session.connection.as_deref())
            && let Some(name) = connection.proxy_fields().of_kind(kind::AUTHORITY).next()
        {
            header.field(kind::AUTHORITY, name);
        }
        if self.options.unique_id && context.session.is_some() {
            // Without 'unique-id-format' it is there and empty, as HAProxy has it.
            header.field(kind::UNIQUE_ID, context.txn.unique_id.as_deref().unwrap_or_default());
        }
        if self.options.ssl {
            // No client speaks TLS: no bit is set, and no certificate was verified.
            header.field(kind::SSL, &[0; 5]);
        }
        header.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Span;
    use crate::sample::expr::Phase;
    use crate::sample::testing::World;
    use crate::wire::proxy_protocol::{Progress, parse};

    fn format(world: &World, text: &str) -> LogFormat {
        let (format, _) =
            world.parsing(Phase::Switching, |context| LogFormat::parse(text, Span::NONE, context));
        format.expect("a format")
    }

    #[test]
    fn fields_stand_in_haproxys_order() {
        let mut world = World::default();
        world.session.own_connection().proxy_header =
            Some(Box::from(&b"\x02\0\x05a.net\xec\0\x03\0\x01\xff"[..]));
        world.txn.unique_id = Some(Box::from(&b"id-1"[..]));
        let header = ProxyHeader {
            version: Version::V2,
            options: Options { crc32c: true, unique_id: true, authority: true, ssl: true },
            fields: vec![
                (0xea, format(&world, "%[src]")),
                (0xeb, format(&world, "%[fc_pp_tlv(1)]")),
                (0xec, format(&world, "%[fc_pp_tlv(0xec)]")),
            ],
            never_local: false,
        };
        let mut out = Vec::new();
        header.for_client(&world.context(), &mut out);
        let Ok(Progress::Complete { header: read, .. }) = parse(&out) else { panic!("{out:?}") };
        assert_eq!(read.addresses, world.session.source.zip(world.session.destination));
        let fields: Vec<(u8, &[u8])> = read.fields.filter(|(kind, _)| *kind != kind::CRC32C).collect();
        let expected: [(u8, &[u8]); 6] = [
            (0xea, b"192.0.2.1"),
            (0xeb, b""),
            (0xec, b"\0\x01\xff"),
            (2, b"a.net"),
            (5, b"id-1"),
            (0x20, &[0; 5]),
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn checks_speak_for_themselves() {
        let world = World::default();
        let (local, peer) = (Some("10.0.0.1:5".parse().unwrap()), Some("10.0.0.2:80".parse().unwrap()));
        for (version, never_local, start) in [
            (Version::V1, false, &b"PROXY TCP4 10.0.0.1 10.0.0.2 5 80\r\n"[..]),
            (Version::V2, false, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"),
            (Version::V2, true, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x01\x0a\0\0\x02\0\x05\0\x50"),
        ] {
            let header = ProxyHeader { version, never_local, ..ProxyHeader::default() };
            let mut out = Vec::new();
            header.for_check(local, peer, &world.context(), &mut out);
            assert_eq!(out, start, "{version:?} {never_local}");
        }
    }
}
