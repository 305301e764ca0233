//! What a tunnel begins with. A tunnel was allowed for a host; TLS says in the clear for which host it is, and the two must agree.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;
use tokio_rustls::rustls::server::Acceptor;

use crate::bounds::Bounds;
use crate::denied::WrongOpening;
use crate::policy::Host;
use crate::target::Target;

/// The first byte of a TLS record that carries a handshake (RFC 8446 §5.1).
pub(crate) const HANDSHAKE: u8 = 0x16;
/// The longest opening; half of what rustls itself would hold. A client hello has 2 KB with the largest keys of today.
const HELLO_BYTES_MAX: usize = 32 << 10;
/// The port on which nothing but TLS is spoken.
const TLS_PORT: u16 = 443;

/// Why a tunnel ends at its beginning.
#[derive(Debug)]
pub(crate) enum NoOpening {
    Wrong(WrongOpening),
    Broken(io::Error),
}

impl From<io::Error> for NoOpening {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// Reads what a client begins with, and returns it to be sent on: nothing where the client ends at once.
pub(crate) async fn opening(
    from: &mut (impl AsyncRead + Unpin),
    target: &Target,
    bounds: &Bounds,
) -> Result<Vec<u8>, NoOpening> {
    let too_slow = |_| NoOpening::Wrong(WrongOpening::TooSlow);
    let mut bytes = Vec::new();
    let first = from.read_buf(&mut bytes);
    // Of other protocols it may be the host that speaks first.
    let count = if target.port == TLS_PORT {
        timeout(bounds.hello_time_max, first).await.map_err(too_slow)??
    } else {
        first.await?
    };
    match bytes.first() {
        Some(&HANDSHAKE) => {
            debug_assert_eq!(count, bytes.len(), "invariant: it read into an empty buffer");
            let rest = rest_of_hello(from, &mut bytes);
            let named = timeout(bounds.hello_time_max, rest).await.map_err(too_slow)??;
            compare(named.as_ref(), &target.host).map_err(NoOpening::Wrong)?;
            Ok(bytes)
        }
        Some(_) if target.port == TLS_PORT => Err(NoOpening::Wrong(WrongOpening::NotTls)),
        Some(_) | None => Ok(bytes),
    }
}

/// Reads on until the client hello is whole, and says which host it names.
async fn rest_of_hello(from: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Result<Option<Host>, NoOpening> {
    let unreadable = || NoOpening::Wrong(WrongOpening::Unreadable);
    let mut acceptor = Acceptor::default();
    let mut taken = 0;
    loop {
        while taken < bytes.len() {
            let mut rest = &bytes[taken..];
            taken += acceptor.read_tls(&mut rest).map_err(|_| unreadable())?;
            match acceptor.accept() {
                Ok(Some(accepted)) => {
                    let named = accepted.client_hello().server_name().map(str::parse).transpose();
                    return named.map_err(|_| unreadable());
                }
                Ok(None) => {}
                Err(_) => return Err(unreadable()),
            }
        }
        if bytes.len() >= HELLO_BYTES_MAX || from.read_buf(bytes).await? == 0 {
            return Err(unreadable());
        }
    }
}

fn compare(named: Option<&Host>, asked: &Host) -> Result<(), WrongOpening> {
    match (named, asked) {
        // An address is no server name, and a name of one label is none in full (RFC 6066 §3): Java gives neither. The
        // connection goes to an address of that host all the same.
        (None, Host::Address(_)) => Ok(()),
        (None, Host::Name(name)) if !name.contains('.') => Ok(()),
        (None, Host::Name(_)) => Err(WrongOpening::NoServerName),
        (Some(named), asked) if named == asked => Ok(()),
        (Some(named), _) => Err(WrongOpening::OtherServerName(named.clone())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn begun(bytes: &[u8], port: u16) -> Result<Vec<u8>, NoOpening> {
        let bounds = Bounds { hello_time_max: Duration::from_millis(50), ..Bounds::default() };
        let (mut client, mut gateway) = tokio::io::duplex(1 << 20);
        client.write_all(bytes).await.unwrap();
        opening(&mut gateway, &Target { host: "web.test".parse().unwrap(), port }, &bounds).await
    }

    #[tokio::test]
    async fn nothing_but_tls_goes_to_port_443() {
        for bytes in [&b"SSH-2.0-x\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", b"\x17\x03\x03\x00\x01a", b"\0"] {
            assert!(matches!(begun(bytes, 443).await, Err(NoOpening::Wrong(WrongOpening::NotTls))), "{bytes:?}");
            assert_eq!(begun(bytes, 22).await.unwrap(), bytes);
        }
        assert!(matches!(begun(b"", 443).await, Err(NoOpening::Wrong(WrongOpening::TooSlow))));
    }

    #[test]
    fn a_name_in_full_has_to_be_given_and_nothing_else_has() {
        let host = |text: &str| text.parse::<Host>().unwrap();
        for asked in ["127.0.0.1", "[::1]", "intranet"] {
            assert_eq!(compare(None, &host(asked)), Ok(()), "{asked}");
        }
        assert_eq!(compare(None, &host("web.test")), Err(WrongOpening::NoServerName));
        assert_eq!(compare(Some(&host("other")), &host("intranet")), Err(WrongOpening::OtherServerName(host("other"))));
    }

    /// Records of one byte each, of a hello that would be allowed to be longer than all of them.
    #[tokio::test]
    async fn a_hello_is_bounded() {
        let hello = [&b"\x01\x00\xff\xff"[..], &[0; HELLO_BYTES_MAX / 6]].concat();
        let records: Vec<u8> = hello.iter().flat_map(|byte| [0x16, 3, 1, 0, 1, *byte]).collect();
        assert!(matches!(begun(&records, 443).await, Err(NoOpening::Wrong(WrongOpening::Unreadable))));
    }
}
