//! Addresses that an endpoint on the internet cannot have: whoever names one wants to reach something inside.
//!
//! Forms of IPv6 that carry an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo, ISATAP) count as what they carry, or
//! are refused as a whole where a translator on the way might unwrap them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is wrong with an address: `private`, `loopback` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} address")]
pub struct Refused(pub &'static str);

/// Whether an address may be connected to.
///
/// # Errors
/// It is not one of the public internet.
pub fn check(ip: IpAddr) -> Result<(), Refused> {
    let kind = match ip {
        IpAddr::V4(ip) => kind_of_v4(ip),
        IpAddr::V6(ip) => kind_of_v6(ip),
    };
    kind.map_or(Ok(()), |kind| Err(Refused(kind)))
}

/// By the IANA registry of special-purpose addresses.
fn kind_of_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let kind = match ip.octets() {
        [0, ..] => "unspecified",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "private",
        [127, ..] => "loopback",
        [169, 254, ..] => "link-local",
        [100, 64..=127, ..] => "carrier-grade NAT",
        // Azure's own: DNS, health probes and the wire server answer there from inside a virtual network.
        [168, 63, 129, 16] => "platform",
        [192, 0, 0, _] | [192, 31, 196, _] | [192, 52, 193, _] | [192, 175, 48, _] => "special-purpose",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "documentation",
        [192, 88, 99, _] => "6to4 relay",
        [198, 18..=19, ..] => "benchmarking",
        [224..=239, ..] => "multicast",
        [240..=255, ..] => "reserved",
        _ => return None,
    };
    Some(kind)
}

fn kind_of_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let segments = ip.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    let kind = match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => "unspecified",
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        [0, 0, 0, 0, 0, 0xffff, high, low] => {
            return Some(kind_of_v4(embedded(high, low)).unwrap_or("IPv4-mapped"));
        }
        [0, 0, 0, 0, 0xffff, 0, ..] => "IPv4-translated",
        [0, 0, 0, 0, 0, 0, ..] => "IPv4-compatible",
        [0x64, 0xff9b, ..] => "NAT64",
        [0x100, 0, 0, 0, ..] => "discard-only",
        [0x2001, 0, ..] => "Teredo",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "documentation",
        [0x2001, second, ..] if second < 0x200 => "special-purpose",
        [0x2002, ..] => "6to4",
        [0x5f00, ..] => "segment-routing",
        [0xfc00..=0xfdff, ..] => "unique-local",
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xfec0..=0xfeff, ..] => "site-local",
        [0xff00..=0xffff, ..] => "multicast",
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => "ISATAP",
        // Only this block is given out.
        [0x2000..=0x3fff, ..] => return None,
        _ => "reserved",
    };
    Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inside_can_be_named_in_any_form() {
        for (address, kind) in [
            ("0.0.0.0", "unspecified"),
            ("10.1.2.3", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("169.254.169.254", "link-local"),
            ("100.64.0.1", "carrier-grade NAT"),
            ("100.127.255.255", "carrier-grade NAT"),
            ("168.63.129.16", "platform"),
            ("192.0.0.192", "special-purpose"),
            ("192.0.2.1", "documentation"),
            ("198.51.100.1", "documentation"),
            ("203.0.113.1", "documentation"),
            ("192.88.99.1", "6to4 relay"),
            ("198.19.0.1", "benchmarking"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "link-local"),
            ("::ffff:8.8.8.8", "IPv4-mapped"),
            ("::7f00:1", "IPv4-compatible"),
            ("::ffff:0:10.0.0.1", "IPv4-translated"),
            ("64:ff9b::a9fe:a9fe", "NAT64"),
            ("64:ff9b:1::a00:1", "NAT64"),
            ("100::1", "discard-only"),
            ("2001::1", "Teredo"),
            ("2001:db8::1", "documentation"),
            ("3fff::1", "documentation"),
            ("2001:2::1", "special-purpose"),
            ("2001:20::1", "special-purpose"),
            ("2002:7f00:1::1", "6to4"),
            ("5f00::1", "segment-routing"),
            ("fc00::1", "unique-local"),
            ("fd00:ec2::254", "unique-local"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
            ("2a00::5efe:a00:1", "ISATAP"),
            ("2a00::200:5efe:a00:1", "ISATAP"),
            ("4000::1", "reserved"),
        ] {
            assert_eq!(check(address.parse().unwrap()), Err(Refused(kind)), "{address}");
        }
    }

    #[test]
    fn the_internet_can_be_named() {
        for address in
            ["8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.255.255", "100.128.0.1", "192.0.1.1", "223.255.255.1"]
        {
            assert_eq!(check(address.parse().unwrap()), Ok(()), "{address}");
        }
        for address in ["2606:4700::1111", "2a00:1450:4001:80b::200e", "2001:4860:4860::8888"] {
            assert_eq!(check(address.parse().unwrap()), Ok(()), "{address}");
        }
    }
}
