//! Whom a stranger's doings are charged to.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

/// Bits of an IPv6 address that tell networks apart: the smallest network that anybody is given, who then has all of its addresses.
const IPV6_BITS: u8 = 64;

/// The network of somebody who has proved no identity: an IPv4 address, or a /64 of IPv6.
///
/// An IPv4 address is scarce, so it stands for itself: a wider network would let a neighbour in a hosting centre shut others out. Addresses
/// of IPv6 cost nothing within a /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(_) => Self(address.to_canonical()),
            IpAddr::V6(address) => Self(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - IPV6_BITS))))),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/{IPV6_BITS}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_of_ipv6_has_one_share_whatever_address_he_takes() {
        let of = |address: &str| Network::from(address.parse::<IpAddr>().expect("an address")).to_string();
        assert_eq!(of("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
        assert_eq!(of("2001:db8:1:2:ffff:ffff:ffff:ffff"), "2001:db8:1:2::/64");
        assert_eq!((of("192.0.2.7").as_str(), of("::ffff:192.0.2.7").as_str()), ("192.0.2.7", "192.0.2.7"));
    }
}
