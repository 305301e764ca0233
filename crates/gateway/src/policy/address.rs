//! Which addresses are not the public internet's: IANA's special-purpose registries (RFC 6890 and what came after it), and for IPv6 all
//! that is outside of 2000::/3, from which global unicast is given out (RFC 4291 §2.4).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// What an address is that is not public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPublic {
    /// This machine.
    Loopback,
    /// A network of the person's own, or a carrier's.
    Private,
    /// One link; clouds answer there with credentials (169.254.169.254).
    LinkLocal,
    /// Many listeners.
    Multicast,
    /// Reserved, for documentation, or for benchmarks; on some machines such an address is the machine itself.
    Reserved,
    /// IPv4 within IPv6 by translation or a tunnel.
    Embedded,
}

impl NotPublic {
    /// Whether a person can allow it for one host.
    pub fn can_be_granted(self) -> bool {
        match self {
            Self::Loopback | Self::Private => true,
            Self::LinkLocal | Self::Multicast | Self::Reserved | Self::Embedded => false,
        }
    }
}

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "which is this machine itself",
            Self::Private => "in a private network",
            Self::LinkLocal => "which is link-local, where clouds keep credentials",
            Self::Multicast => "which is multicast",
            Self::Reserved => "which is reserved",
            Self::Embedded => "which is an IPv4 address within IPv6",
        })
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// <https://www.iana.org/assignments/iana-ipv4-special-registry>, and multicast.
const SPECIAL_V4: [(Ipv4Net, NotPublic); 18] = [
    (v4(127, 0, 0, 0, 8), NotPublic::Loopback),
    // "This network"; Linux connects 0.0.0.0 to the machine itself.
    (v4(0, 0, 0, 0, 8), NotPublic::Loopback),
    (v4(10, 0, 0, 0, 8), NotPublic::Private),
    (v4(172, 16, 0, 0, 12), NotPublic::Private),
    (v4(192, 168, 0, 0, 16), NotPublic::Private),
    // Carriers' own; one cloud answers with credentials at 100.100.100.200.
    (v4(100, 64, 0, 0, 10), NotPublic::Private),
    (v4(169, 254, 0, 0, 16), NotPublic::LinkLocal),
    // One cloud's metadata, in what is otherwise public (Azure's wire server).
    (v4(168, 63, 129, 16, 32), NotPublic::LinkLocal),
    (v4(224, 0, 0, 0, 4), NotPublic::Multicast),
    (v4(192, 0, 0, 0, 24), NotPublic::Reserved),
    (v4(192, 0, 2, 0, 24), NotPublic::Reserved),
    (v4(192, 31, 196, 0, 24), NotPublic::Reserved),
    (v4(192, 52, 193, 0, 24), NotPublic::Reserved),
    (v4(192, 88, 99, 0, 24), NotPublic::Reserved),
    (v4(198, 18, 0, 0, 15), NotPublic::Reserved),
    (v4(198, 51, 100, 0, 24), NotPublic::Reserved),
    (v4(203, 0, 113, 0, 24), NotPublic::Reserved),
    (v4(240, 0, 0, 0, 4), NotPublic::Reserved),
];

/// <https://www.iana.org/assignments/iana-ipv6-special-registry>, and multicast.
const SPECIAL_V6: [(Ipv6Net, NotPublic); 8] = [
    // Unique local; one cloud answers with credentials at fd00:ec2::254.
    (v6(0xfc00, 0, 0, 7), NotPublic::Private),
    (v6(0xfe80, 0, 0, 10), NotPublic::LinkLocal),
    (v6(0xff00, 0, 0, 8), NotPublic::Multicast),
    // NAT64, well known and local.
    (v6(0x64, 0xff9b, 0, 32), NotPublic::Embedded),
    // 6to4.
    (v6(0x2002, 0, 0, 16), NotPublic::Embedded),
    // Protocol assignments: Teredo, ORCHID and others.
    (v6(0x2001, 0, 0, 23), NotPublic::Reserved),
    // Documentation, old and new.
    (v6(0x2001, 0xdb8, 0, 32), NotPublic::Reserved),
    (v6(0x3fff, 0, 0, 20), NotPublic::Reserved),
];

/// From which global unicast addresses are given out.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

/// What an address is, where it is not public.
pub fn not_public(address: IpAddr) -> Option<NotPublic> {
    match address.to_canonical() {
        IpAddr::V4(address) => SPECIAL_V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, why)| *why),
        IpAddr::V6(Ipv6Addr::LOCALHOST | Ipv6Addr::UNSPECIFIED) => Some(NotPublic::Loopback),
        IpAddr::V6(address) => SPECIAL_V6
            .iter()
            .find(|(net, _)| net.contains(&address))
            .map(|(_, why)| *why)
            .or_else(|| (!GLOBAL_V6.contains(&address)).then_some(NotPublic::Reserved)),
    }
}
