//! Field names that HTTP itself gives a meaning: looked up once, when a field is stored, so that
//! framing, persistence, routing and encoding compare a byte instead of a name.
//!
//! It is no list of all fields: a name stands here because something on the path of every request
//! asks for it.

macro_rules! known {
    ($($variant:ident = $name:literal,)*) => {
        /// What a field's name means to the proxy.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[allow(missing_docs)]
        #[repr(u8)]
        pub enum Known {
            $($variant,)*
            /// Any other name.
            #[default]
            Other,
        }

        impl Known {
            /// Every known name, in lower case.
            pub const ALL: &[(Known, &str)] = &[$((Known::$variant, $name),)*];
        }
    };
}

known! {
    Host = "host",
    Connection = "connection",
    ContentLength = "content-length",
    TransferEncoding = "transfer-encoding",
    Upgrade = "upgrade",
    KeepAlive = "keep-alive",
    ProxyConnection = "proxy-connection",
    Te = "te",
    Trailer = "trailer",
    Expect = "expect",
    Cookie = "cookie",
    SetCookie = "set-cookie",
    XForwardedFor = "x-forwarded-for",
    XForwardedProto = "x-forwarded-proto",
    Authorization = "authorization",
    ContentType = "content-type",
    CacheControl = "cache-control",
    Location = "location",
}

/// The sets of known names present in a message fit in this many bits.
const _: () = assert!(Known::ALL.len() <= 32);

impl Known {
    /// The meaning of a name in any case.
    #[inline]
    pub fn of(name: &[u8]) -> Known {
        let (known, lower): (Known, &[u8]) = match name.len() {
            2 => (Known::Te, b"te"),
            4 => (Known::Host, b"host"),
            6 if name[0] | 0x20 == b'c' => (Known::Cookie, b"cookie"),
            6 => (Known::Expect, b"expect"),
            7 if name[0] | 0x20 == b'u' => (Known::Upgrade, b"upgrade"),
            7 => (Known::Trailer, b"trailer"),
            8 => (Known::Location, b"location"),
            10 => match name[0] | 0x20 {
                b'c' => (Known::Connection, b"connection"),
                b's' => (Known::SetCookie, b"set-cookie"),
                _ => (Known::KeepAlive, b"keep-alive"),
            },
            12 => (Known::ContentType, b"content-type"),
            13 if name[0] | 0x20 == b'c' => (Known::CacheControl, b"cache-control"),
            13 => (Known::Authorization, b"authorization"),
            14 => (Known::ContentLength, b"content-length"),
            15 => (Known::XForwardedFor, b"x-forwarded-for"),
            16 => (Known::ProxyConnection, b"proxy-connection"),
            17 if name[0] | 0x20 == b't' => (Known::TransferEncoding, b"transfer-encoding"),
            17 => (Known::XForwardedProto, b"x-forwarded-proto"),
            _ => return Known::Other,
        };
        if name.eq_ignore_ascii_case(lower) { known } else { Known::Other }
    }

    /// Its bit in a set of names; [`Known::Other`] has none.
    #[inline]
    pub fn bit(self) -> u32 {
        if self == Known::Other { 0 } else { 1 << self as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_no_other_is() {
        for &(known, name) in Known::ALL {
            assert_eq!(Known::of(name.as_bytes()), known, "{name}");
            assert_eq!(Known::of(name.to_uppercase().as_bytes()), known, "{name}");
            let mut near = name.as_bytes().to_vec();
            *near.last_mut().unwrap() ^= 1;
            assert_eq!(Known::of(&near), Known::Other, "{name}");
        }
        assert_eq!(Known::of(b""), Known::Other);
    }
}
