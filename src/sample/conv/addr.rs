//! Converters of addresses (manual, section 7.3.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Converter;
use crate::sample::arg::{Arg, ArgType};
use crate::sample::facts::Context;
use crate::sample::fetch::internal::address_of;
use crate::sample::value::{Type, Value};

/// Rows.
pub const TABLE: &[Converter] = &[Converter::new(
    "ipmask",
    Type::Ip,
    Type::Ip,
    "The address under a mask or prefix length of its family.",
    ipmask,
)
.args(1, &[ArgType::Mask4, ArgType::Mask6])];

fn ipmask<'a>(value: Value<'a>, args: &'a [Arg], _: &Context<'a>) -> Option<Value<'a>> {
    // An IPv6 address that holds an IPv4 one is masked as that.
    let address = match value.as_ip()? {
        IpAddr::V6(v6) => embedded_ipv4(v6).map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 => v4,
    };
    let masked = match (address, address_of(args.first())?, address_of(args.get(1))) {
        (IpAddr::V4(v4), IpAddr::V4(mask), _) => IpAddr::V4((u32::from(v4) & u32::from(mask)).into()),
        (IpAddr::V6(v6), _, Some(IpAddr::V6(mask))) => IpAddr::V6((u128::from(v6) & u128::from(mask)).into()),
        // Without a mask of its own, an IPv6 address has no result (the manual's word).
        _ => return None,
    };
    Some(Value::Ip(masked))
}

/// The IPv4 address in a mapped or compatible address (RFC 4291 section 2.5.5), or in one of 6to4
/// (RFC 3056).
fn embedded_ipv4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = v6.octets();
    let [a, b, c, d] = match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] if octets[8..10] == [0, 0] => {
            [octets[12], octets[13], octets[14], octets[15]]
        }
        [0x2002, ..] => [octets[2], octets[3], octets[4], octets[5]],
        _ => return None,
    };
    Some(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use crate::sample::testing::{World, check};

    #[test]
    fn masks() {
        check(
            &World::default(),
            &[
                ("ipv4(192.168.35.66),ipmask(24)", "192.168.35.0"),
                ("ipv4(192.168.35.66),ipmask(255.255.0.0)", "192.168.0.0"),
                ("ipv4(192.168.35.66),ipmask(0)", "0.0.0.0"),
                ("ipv6(2001:db8:1::1),ipmask(24)", "-"),
                ("ipv6(2001:db8:1::1),ipmask(24,32)", "2001:db8::"),
                ("ipv6(2001:db8:1::1),ipmask(24,ffff:ffff:ffff::)", "2001:db8:1::"),
                ("str(10.1.2.3),ipmask(8)", "10.0.0.0"),
                ("ipv6(::ffff:192.168.35.66),ipmask(24)", "192.168.35.0"),
                ("ipv6(::192.168.35.66),ipmask(24,64)", "192.168.35.0"),
                ("ipv6(2002:c0a8:2342::1),ipmask(24)", "192.168.35.0"),
            ],
        );
    }
}
