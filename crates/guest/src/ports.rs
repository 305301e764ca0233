//! Which TCP ports listen: asked from the kernel (NETLINK_SOCK_DIAG, sock_diag(7)), else read from `/proc/net`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use pipe::limits::PORTS_MAX;
use pipe::message::Port;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 0x001;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u8 = 10;
const HEADER_BYTES: usize = 16;
const REQUEST_BYTES: usize = HEADER_BYTES + 56;
/// Port and address in an `inet_diag_msg`: family, state, timer, retransmissions, then an `inet_diag_sockid`.
const SOURCE_PORT_AT: usize = 4;
const SOURCE_ADDRESS_AT: usize = 8;
const BUFFER_BYTES: usize = 32 * 1024;
/// Datagrams of one answer; more than [`PORTS_MAX`] ports need.
const DATAGRAMS_MAX: usize = 64;

/// Asks which ports listen.
#[derive(Debug)]
pub(crate) struct Listening {
    socket: Option<OwnedFd>,
}

impl Listening {
    pub(crate) fn new() -> Self {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkSockDiag);
        Self { socket: socket.ok() }
    }

    /// All that listen now, at most [`PORTS_MAX`].
    pub(crate) fn now(&self) -> Vec<Port> {
        let asked = self.socket.as_ref().and_then(|socket| ask_both(socket).ok());
        let ports = asked.unwrap_or_else(read_proc);
        ports.into_iter().take(PORTS_MAX).collect()
    }
}

fn ask_both(socket: &OwnedFd) -> io::Result<BTreeSet<Port>> {
    let mut ports = BTreeSet::new();
    for family in [AF_INET, AF_INET6] {
        ask(socket, family, &mut ports)?;
    }
    Ok(ports)
}

fn ask(socket: &OwnedFd, family: u8, ports: &mut BTreeSet<Port>) -> io::Result<()> {
    send(socket.as_raw_fd(), &request(family), MsgFlags::empty())?;
    let mut buffer = vec![0; BUFFER_BYTES];
    // A dump is there when the question has been sent: the kernel answers within it.
    for _ in 0..DATAGRAMS_MAX {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        if parse(&buffer[..length], ports)? == Progress::Done {
            return Ok(());
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// `nlmsghdr` and `inet_diag_req_v2`, in the machine's own byte order.
fn request(family: u8) -> [u8; REQUEST_BYTES] {
    let mut request = [0; REQUEST_BYTES];
    request[0..4].copy_from_slice(&u32::try_from(REQUEST_BYTES).unwrap_or_default().to_ne_bytes());
    request[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    request[HEADER_BYTES] = family;
    request[HEADER_BYTES + 1] = IPPROTO_TCP;
    request[HEADER_BYTES + 4..HEADER_BYTES + 8].copy_from_slice(&(1_u32 << TCP_LISTEN).to_ne_bytes());
    request
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    More,
    Done,
}

fn parse(mut datagram: &[u8], ports: &mut BTreeSet<Port>) -> io::Result<Progress> {
    while let Some(header) = datagram.get(..HEADER_BYTES) {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let body = datagram.get(HEADER_BYTES..length).ok_or(io::ErrorKind::InvalidData)?;
        match u16::from_ne_bytes([header[4], header[5]]) {
            NLMSG_DONE => return Ok(Progress::Done),
            NLMSG_ERROR => return Err(io::ErrorKind::Unsupported.into()),
            SOCK_DIAG_BY_FAMILY => ports.extend(parse_socket(body)),
            _ => {}
        }
        let aligned = length.next_multiple_of(4);
        datagram = datagram.get(aligned..).unwrap_or_default();
    }
    Ok(Progress::More)
}

fn parse_socket(body: &[u8]) -> Option<Port> {
    let (family, state) = (*body.first()?, *body.get(1)?);
    if state != TCP_LISTEN {
        return None;
    }
    let port: [u8; 2] = body.get(SOURCE_PORT_AT..SOURCE_PORT_AT + 2)?.try_into().ok()?;
    let address: [u8; 16] = body.get(SOURCE_ADDRESS_AT..SOURCE_ADDRESS_AT + 16)?.try_into().ok()?;
    let [a, b, c, d, ..] = address;
    let address = match family {
        AF_INET => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        AF_INET6 => IpAddr::V6(Ipv6Addr::from(address)),
        _ => return None,
    };
    Some(Port { port: u16::from_be_bytes(port), address })
}

fn read_proc() -> BTreeSet<Port> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut ports = parse_proc(&read("/proc/net/tcp"));
    ports.extend(parse_proc(&read("/proc/net/tcp6")));
    ports
}

/// Lines of `/proc/net/tcp{,6}`, proc_pid_net(5): `sl local_address rem_address st …`, `st` 0A is LISTEN.
fn parse_proc(text: &str) -> BTreeSet<Port> {
    text.lines().filter_map(parse_proc_line).collect()
}

fn parse_proc_line(line: &str) -> Option<Port> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    if fields.nth(1)? != "0A" {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Each group of eight digits is a word in the machine's byte order.
    let mut bytes = Vec::with_capacity(16);
    for group in address.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(group).ok()?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        _ => return None,
    };
    Some(Port { port, address })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_kernel_and_proc_name_the_same_listeners_and_no_connection() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap();
        let _connection = std::net::TcpStream::connect(address).unwrap();
        let ours = Port { port: address.port(), address: address.ip() };
        let listening = Listening::new();
        let asked = ask_both(listening.socket.as_ref().unwrap()).unwrap();
        assert!(asked.contains(&ours), "{asked:?}");
        assert!(read_proc().contains(&ours));
        drop(first);
        assert!(!ask_both(listening.socket.as_ref().unwrap()).unwrap().contains(&ours));
    }

    #[test]
    fn addresses_of_proc_are_read_in_the_machines_order() {
        let line = "  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 1";
        let port = Port { port: 8080, address: Ipv4Addr::LOCALHOST.into() };
        assert_eq!(parse_proc_line(line), Some(port));
        let line6 = "0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0";
        assert_eq!(parse_proc_line(line6), Some(Port { port: 80, address: Ipv6Addr::LOCALHOST.into() }));
        assert_eq!(parse_proc_line("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn a_short_datagram_is_an_error_and_no_panic() {
        let mut message = request(AF_INET).to_vec();
        message.truncate(40);
        assert!(parse(&message, &mut BTreeSet::new()).is_err());
        assert_eq!(parse(&[0; 3], &mut BTreeSet::new()).unwrap(), Progress::More);
    }
}
