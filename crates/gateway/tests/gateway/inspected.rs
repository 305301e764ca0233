//! Hosts whose requests are read, so that a secret can be put into them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::policy::{Policy, Reach};
use gateway::{Bounds, Credential, Family, Inspected, Outcome, Rules, Slot, Way};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::hosts::read_request;
use crate::secure::Authority;
use crate::tunnel::head;
use crate::world::{BOUND, KEY, PLACEHOLDER, World, credential, grant, here, route, status, until};

const HOST: &str = "api.test";

fn header() -> Slot {
    Slot::header("Authorization", "token {}").unwrap()
}

fn inspected(port: u16, slot: Slot) -> Rules {
    let inspected = Inspected::new(HOST, port, slot, credential()).unwrap();
    Rules { policy: Policy::Allowlist(Vec::new()), routes: Vec::new(), inspected: vec![inspected] }
}

/// A host that speaks TLS, answers every request with the same bytes, and remembers what it was sent.
struct SecureHost {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    authority: Authority,
    _serving: JoinSet<()>,
}

impl SecureHost {
    /// Answers again and again on one connection, as long as it is asked to.
    async fn new(reply: &str) -> Self {
        let authority = Authority::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, acceptor) = (Arc::new(Mutex::new(Vec::new())), authority.acceptor(HOST, &[]));
        let (remembered, reply): (_, Arc<str>) = (seen.clone(), reply.into());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, seen, reply) = (acceptor.clone(), remembered.clone(), reply.clone());
                connections.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    loop {
                        let request = read_request(&mut stream).await;
                        if request.is_empty() {
                            return;
                        }
                        seen.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
                        // The gateway may have gone.
                        let _ = stream.write_all(reply.as_bytes()).await;
                    }
                });
            }
        });
        Self { port, seen, authority, _serving: serving }
    }

    /// One sandbox whose way to this host is inspected.
    fn world(&self, slot: Slot) -> World {
        self.world_with(inspected(self.port, slot))
    }

    fn world_with(&self, rules: Rules) -> World {
        World::with(rules, Bounds::default(), &[(HOST, &[here()]), ("other.test", &[here()])], self.authority.pem())
    }

    async fn seen(&self, count: usize) -> Vec<String> {
        until(|| Some(self.seen.lock().unwrap().clone()).filter(|seen| seen.len() >= count)).await
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// What a program inside trusts, where it was started with an inspected host.
async fn trusting(world: &World, protocols: &[&str]) -> TlsConnector {
    use gateway::Ledger as _;
    let authority = world.books.authority().await.unwrap();
    let pem = authority.vouch_for(&[HOST.parse().unwrap()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn tunnel(world: &World, port: u16) -> DuplexStream {
    let mut program = world.connect();
    let connect = format!("CONNECT {HOST}:{port} HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n");
    program.write_all(connect.as_bytes()).await.unwrap();
    let head = head(&mut program).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    program
}

async fn secured(world: &World, port: u16) -> TlsStream<DuplexStream> {
    let connector = trusting(world, &["h2", "http/1.1"]).await;
    let stream = connector.connect(ServerName::try_from(HOST).unwrap(), tunnel(world, port).await).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]), "nothing else is offered");
    stream
}

/// Asks once, and returns all that comes back.
async fn ask(world: &World, port: u16, request: &str) -> String {
    let mut stream = secured(world, port).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    // What is refused may end without the words of TLS for it.
    let _ = tokio::time::timeout(BOUND, stream.read_to_end(&mut reply)).await.expect("an answer and an end");
    String::from_utf8_lossy(&reply).into_owned()
}

fn get(port: u16, path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n{headers}\r\n")
}

fn carrying(port: u16, path: &str) -> String {
    get(port, path, &format!("Authorization: token {PLACEHOLDER}\r\n"))
}

#[tokio::test]
async fn the_key_takes_the_placeholders_place_and_does_not_come_back() {
    let host = SecureHost::new(&ok(&format!("you said {KEY}"))).await;
    let world = host.world(header());
    let reply = ask(&world, host.port, &carrying(host.port, "/v1/things?a=b%20c")).await;
    assert_eq!(status(&reply), 200, "{reply}");
    assert!(!reply.contains(KEY) && reply.contains(&format!("you said {PLACEHOLDER}")), "{reply}");
    let seen = host.seen(1).await.remove(0);
    assert!(seen.starts_with("GET /v1/things?a=b%20c HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("authorization: token {KEY}\r\n")), "{seen}");
    assert!(seen.contains(&format!("host: {HOST}:{}\r\n", host.port)) && !seen.contains(PLACEHOLDER), "{seen}");
    let begun = world.begun().remove(0);
    assert_eq!((begun.method.as_str(), begun.host.as_str(), begun.port), ("GET", HOST, host.port));
    assert_eq!((begun.path.as_str(), begun.way), ("/v1/things", Way::Inspected));
    assert_eq!(begun.secret.unwrap().name, "my key");
    let ended = world.ended().await.remove(0);
    assert_eq!((ended.status, ended.outcome), (Some(200), Outcome::Whole));
    assert_eq!(ended.down_bytes, ("you said ".len() + KEY.len()) as u64);
    assert_eq!(world.refused(), [""; 0]);
}

#[tokio::test]
async fn a_key_in_the_query_is_swapped_there_and_taken_out_of_what_echoes_the_address() {
    let location = format!("/next?key={KEY}");
    let reply = format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    let host = SecureHost::new(&reply).await;
    let world = host.world(Slot::query("key").unwrap());
    let reply = ask(&world, host.port, &get(host.port, &format!("/maps?a=1&key={PLACEHOLDER}&b=%20"), "")).await;
    assert!(reply.contains(&format!("location: /next?key={PLACEHOLDER}")) && !reply.contains(KEY), "{reply}");
    let seen = host.seen(1).await.remove(0);
    assert!(seen.starts_with(&format!("GET /maps?a=1&key={KEY}&b=%20 HTTP/1.1\r\n")), "{seen}");
    let begun = world.begun().remove(0);
    assert_eq!((begun.path.as_str(), begun.secret.unwrap().name.as_str()), ("/maps", "my key"));
}

#[tokio::test]
async fn a_placeholder_that_stands_elsewhere_stays_and_a_request_without_one_has_no_key() {
    let host = SecureHost::new(&ok("fine")).await;
    let world = host.world(header());
    let elsewhere = [
        get(host.port, &format!("/?token={PLACEHOLDER}"), &format!("X-Other: token {PLACEHOLDER}\r\n")),
        get(host.port, "/", &format!("Authorization: Bearer {PLACEHOLDER}\r\n")),
        get(host.port, "/", &format!("Authorization: token {PLACEHOLDER}x\r\n")),
        get(host.port, "/", ""),
        format!(
            "POST / HTTP/1.1\r\nHost: {HOST}:{}\r\nConnection: close\r\ncontent-length: {}\r\n\r\n{PLACEHOLDER}",
            host.port,
            PLACEHOLDER.len()
        ),
    ];
    for request in &elsewhere {
        let reply = ask(&world, host.port, request).await;
        assert!(status(&reply) == 200 && reply.contains("content-length: 4"), "{reply}");
    }
    let seen = host.seen(elsewhere.len()).await;
    assert!(seen.iter().all(|request| !request.contains(KEY)), "{seen:#?}");
    assert_eq!(seen.iter().filter(|request| request.contains(PLACEHOLDER)).count(), 4, "{seen:#?}");
    assert!(world.begun().iter().all(|begun| begun.secret.is_none() && begun.way == Way::Inspected));
}

#[tokio::test]
async fn another_sandboxs_placeholder_is_worth_nothing() {
    let host = SecureHost::new(&ok("fine")).await;
    let other = Credential { placeholder: "sk-placeholder-of-another".to_owned(), ..credential() };
    let mut rules = inspected(host.port, header());
    rules.inspected = vec![Inspected::new(HOST, host.port, header(), other).unwrap()];
    let world = host.world_with(rules);
    ask(&world, host.port, &carrying(host.port, "/")).await;
    let seen = host.seen(1).await.remove(0);
    assert!(seen.contains(PLACEHOLDER) && !seen.contains(KEY), "{seen}");
}

#[tokio::test]
async fn another_host_is_not_read_and_gets_what_was_sent() {
    let host = SecureHost::new(&ok("fine")).await;
    let mut rules = inspected(1, header());
    // The same name on another port, and another name.
    rules.policy = Policy::Allowlist(vec![grant(HOST, host.port, Reach::Private)]);
    let world = host.world_with(rules);
    let connector = host.authority.connector();
    let name = ServerName::try_from(HOST).unwrap();
    // It shows its own certificate, so nobody reads along.
    let mut stream = connector.connect(name, tunnel(&world, host.port).await).await.unwrap();
    stream.write_all(carrying(host.port, "/").as_bytes()).await.unwrap();
    let seen = host.seen(1).await.remove(0);
    assert!(seen.contains(PLACEHOLDER) && !seen.contains(KEY), "{seen}");
    assert_eq!(world.begun().remove(0).way, Way::Tunnel);
}

#[tokio::test]
async fn a_request_for_another_host_than_the_tunnels_goes_nowhere() {
    let host = SecureHost::new(&ok("fine")).await;
    let world = host.world(header());
    let port = host.port;
    let authorization = format!("Authorization: token {PLACEHOLDER}\r\n");
    for (request, expected) in [
        (format!("GET / HTTP/1.1\r\nHost: other.test\r\n{authorization}\r\n"), 421),
        (format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{authorization}\r\n"), 421),
        (format!("GET / HTTP/1.1\r\nHost: x@{HOST}:{port}\r\n{authorization}\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{authorization}\r\n"), 400),
        (format!("GET / HTTP/1.1\r\nHost: {HOST}:{port}\r\nHost: other.test\r\n{authorization}\r\n"), 400),
        (format!("GET https://other.test/ HTTP/1.1\r\nHost: {HOST}:{port}\r\n{authorization}\r\n"), 400),
        (format!("CONNECT other.test:443 HTTP/1.1\r\nHost: {HOST}:{port}\r\n{authorization}\r\n"), 400),
        (format!("OPTIONS * HTTP/1.1\r\nHost: {HOST}:{port}\r\n{authorization}\r\n"), 400),
    ] {
        let reply = ask(&world, port, &request).await;
        assert_eq!(status(&reply), expected, "{request}: {reply}");
    }
    assert!(host.seen.lock().unwrap().is_empty(), "nothing left");
    assert_eq!(world.refused().len(), 8, "and each is listed");
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_does_not_leave() {
    let host = SecureHost::new(&ok("fine")).await;
    let world = host.world(header());
    let begin = format!("POST / HTTP/1.1\r\nHost: {HOST}:{}\r\n", host.port);
    let hidden =
        format!("GET /hidden HTTP/1.1\r\nHost: {HOST}:{}\r\nAuthorization: token {PLACEHOLDER}\r\n\r\n", host.port);
    for framing in [
        "content-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "X-Folded: a\r\n b\r\n\r\n",
        "X-Spaced : a\r\n\r\n",
        "upgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ] {
        let reply = ask(&world, host.port, &format!("{begin}{framing}{hidden}")).await;
        assert!(reply.is_empty() || status(&reply) >= 400, "{framing:?}: {reply}");
    }
    assert!(host.seen.lock().unwrap().is_empty(), "neither it nor what was hidden behind it left");
    // With both, the length counts for nothing, and what follows the last chunk is no request of this connection.
    let both = format!("{begin}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}");
    ask(&world, host.port, &both).await;
    let seen = host.seen(1).await;
    assert!(seen.len() == 1 && !seen[0].contains("content-length") && !seen[0].contains("hidden"), "{seen:#?}");
}

#[tokio::test]
async fn tls_for_another_host_than_the_tunnels_is_refused() {
    let host = SecureHost::new(&ok("fine")).await;
    let world = host.world(header());
    let connector = trusting(&world, &[]).await;
    for (name, reason) in [("other.test", "opens TLS for `other.test`"), ("10.0.0.1", "without a server name")] {
        let connecting = connector.connect(ServerName::try_from(name).unwrap(), tunnel(&world, host.port).await);
        assert!(tokio::time::timeout(BOUND, connecting).await.expect("the tunnel is closed").is_err());
        let refused = until(|| world.refused().pop()).await;
        assert!(refused.contains(reason), "{refused}");
    }
    assert!(world.begun().is_empty());
}

#[tokio::test]
async fn a_program_that_cannot_be_read_is_told_apart() {
    let host = SecureHost::new(&ok("fine")).await;
    let world = host.world(header());
    // It believes the host's own authority alone.
    let name = || ServerName::try_from(HOST).unwrap();
    let untrusting = host.authority.connector().connect(name(), tunnel(&world, host.port).await);
    assert!(untrusting.await.is_err());
    let only_http2 = trusting(&world, &["h2"]).await;
    assert!(only_http2.connect(name(), tunnel(&world, host.port).await).await.is_err());
    let mut plain = tunnel(&world, host.port).await;
    plain.write_all(carrying(host.port, "/").as_bytes()).await.unwrap();
    assert_eq!(tokio::time::timeout(BOUND, plain.read(&mut [0; 8])).await.unwrap().unwrap_or(0), 0);
    let refused = until(|| Some(world.refused()).filter(|refused| refused.len() == 3)).await;
    assert!(refused.iter().all(|why| why.contains("is inspected")), "{refused:#?}");
    assert!(host.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn another_value_or_none_reaches_the_next_request_of_a_connection() {
    let host = SecureHost::new(&ok("fine")).await;
    let world = host.world(header());
    let mut stream = secured(&world, host.port).await;
    let request = carrying(host.port, "/").replace("Connection: close\r\n", "");
    let ask = async |stream: &mut TlsStream<DuplexStream>| {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        // In chunks, since a key might have been in it; what is refused ends with the connection.
        while !reply.ends_with(b"0\r\n\r\n")
            && tokio::time::timeout(BOUND, stream.read_buf(&mut reply)).await.unwrap().unwrap_or(0) > 0
        {}
        status(&String::from_utf8_lossy(&reply))
    };
    assert_eq!(ask(&mut stream).await, 200);
    *world.books.key.lock().unwrap() = "another-key".to_owned();
    assert_eq!(ask(&mut stream).await, 200);
    let seen = host.seen(2).await;
    assert!(seen[0].contains(&format!("token {KEY}\r\n")) && seen[1].contains("token another-key\r\n"), "{seen:#?}");
    let taken = Rules { policy: Policy::Open(Vec::new()), routes: Vec::new(), inspected: Vec::new() };
    world.rules.send_replace(Arc::new(taken));
    assert_eq!(ask(&mut stream).await, 403);
    assert_eq!(host.seen.lock().unwrap().len(), 2, "the third did not leave");
}

#[tokio::test]
async fn a_key_that_cannot_be_read_stops_the_request_that_wants_it() {
    let host = SecureHost::new(&ok("fine")).await;
    let world = host.world(header());
    world.books.key.lock().unwrap().clear();
    let reply = ask(&world, host.port, &carrying(host.port, "/")).await;
    assert!(status(&reply) == 403 && reply.contains("the keyring is locked"), "{reply}");
    assert_eq!(status(&ask(&world, host.port, &get(host.port, "/", "")).await), 200);
}

#[tokio::test]
async fn a_host_whose_certificate_nobody_vouches_for_gets_no_key() {
    let host = SecureHost::new(&ok("fine")).await;
    let names: &[(&str, &[std::net::IpAddr])] = &[(HOST, &[here()])];
    let world = World::with(inspected(host.port, header()), Bounds::default(), names, Vec::new());
    let reply = ask(&world, host.port, &carrying(host.port, "/")).await;
    assert!(status(&reply) == 502 && reply.contains("TLS with"), "{reply}");
    assert!(host.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn neither_a_route_nor_a_closed_agent_is_gone_around() {
    let host = SecureHost::new(&ok("fine")).await;
    let mut rules = inspected(host.port, header());
    rules.routes =
        vec![route("provider", Family::Anthropic, &format!("https://{HOST}:{}", host.port), Some(credential()))];
    let closed = Rules { policy: Policy::Closed, ..inspected(host.port, header()) };
    for (rules, reason) in [(rules, "base URL"), (closed, "reaches no host")] {
        let world = host.world_with(rules);
        let reply = world.ask(format!("CONNECT {HOST}:{} HTTP/1.1\r\n\r\n", host.port)).await;
        assert!(status(&reply) == 403 && reply.contains(reason), "{reply}");
    }
}

#[tokio::test]
async fn a_reply_comes_as_the_host_sends_it() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = World::with(inspected(port, header()), Bounds::default(), &[(HOST, &[here()])], authority.pem());
    let mut program = secured(&world, port).await;
    program.write_all(carrying(port, "/").as_bytes()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = authority.acceptor(HOST, &[]).accept(stream).await.unwrap();
    read_request(&mut stream).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await.unwrap();
    let mut reply = Vec::new();
    while !reply.ends_with(b"first\r\n") {
        let count =
            tokio::time::timeout(BOUND, program.read_buf(&mut reply)).await.expect("the first piece comes").unwrap();
        assert_ne!(count, 0);
    }
    stream.write_all(b"4\r\nlast\r\n0\r\n\r\n").await.unwrap();
    tokio::time::timeout(BOUND, program.read_to_end(&mut reply)).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&reply).contains("last"));
    assert_eq!(world.ended().await.remove(0).outcome, Outcome::Whole);
}

#[tokio::test]
async fn a_host_that_does_not_read_holds_the_program_back() {
    const SENT_MAX: usize = 64 << 20;
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = World::with(inspected(port, header()), Bounds::default(), &[(HOST, &[here()])], authority.pem());
    let mut program = secured(&world, port).await;
    let head = format!("PUT / HTTP/1.1\r\nHost: {HOST}:{port}\r\ncontent-length: {SENT_MAX}\r\n\r\n");
    program.write_all(head.as_bytes()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = authority.acceptor(HOST, &[]).accept(stream).await.unwrap();
    let piece = vec![b'x'; 64 << 10];
    let mut sent = 0;
    // Held by nobody in between but sockets and a few pieces: long before all of it, a write no longer ends.
    while sent < SENT_MAX {
        match tokio::time::timeout(Duration::from_secs(1), program.write_all(&piece)).await {
            Ok(written) => written.unwrap(),
            Err(_elapsed) => break,
        }
        sent += piece.len();
    }
    assert!(sent < SENT_MAX / 2, "{sent} bytes were taken though nobody read them");
    // And once it reads, all of it that was sent is there.
    let reading = async {
        let mut read = 0;
        let mut buffer = vec![0; 64 << 10];
        while read < sent {
            let count = stream.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0);
            read += count;
        }
    };
    // What the program's own TLS still holds goes on as well.
    let both = async { tokio::join!(reading, program.flush()) };
    let ((), flushed) = tokio::time::timeout(BOUND, both).await.unwrap();
    flushed.unwrap();
}

#[tokio::test]
async fn a_program_that_says_nothing_is_let_go() {
    let host = SecureHost::new(&ok("fine")).await;
    let bounds = Bounds {
        head_time_max: Duration::from_millis(200),
        hello_time_max: Duration::from_millis(200),
        ..Bounds::default()
    };
    let world = World::with(inspected(host.port, header()), bounds, &[(HOST, &[here()])], host.authority.pem());
    let mut silent = tunnel(&world, host.port).await;
    assert_eq!(tokio::time::timeout(BOUND, silent.read(&mut [0; 8])).await.unwrap().unwrap(), 0);
    let mut slow = secured(&world, host.port).await;
    slow.write_all(b"GET / HT").await.unwrap();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(BOUND, slow.read_to_end(&mut rest)).await.expect("it is let go");
    assert!(host.seen.lock().unwrap().is_empty());
}
