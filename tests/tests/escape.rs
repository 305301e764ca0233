//! The escape kit: what a program tries that wants out of its sandbox another way than it may. It is run inside a sandbox of each
//! policy, against a server of this machine that must never be connected to; but for `bridge`, which gives that up and not everything.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and so do its helpers; what a policy gives up is printed"
)]

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{TcpListener, TcpStream},
};

use berth_tests::{
    TestApp,
    app::RUN_TIME_MAX,
    docker::{label, role},
    sample, until,
};
use engine::contract::hardening::{Declared, violations_of};
use wire::{
    Phase,
    call::{ChangeQueue, CreateTask, DuplicateAgent, ShowRun, UpdateAgent},
    network::NetworkPolicy,
    queue::Slots,
    task::NewTask,
};

/// Tries everything once, and prints a line for each try: its name, and what came of it. `OUTSIDE` and `API` are ports of this machine.
const KIT: &str = r"
import errno, os, socket, threading, time

PROXY = ('127.0.0.1', 7817)

def tell(name, attempt):
    try:
        came = attempt()
    except OSError as error:
        came = 'blocked: %s' % (error.strerror or error)
    print('TRY %s: %s' % (name, came), flush=True)

def tcp(host, port, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(3)
        s.connect((host, port))
        return 'REACHED'

def udp(host, port, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        s.sendto(b'x', (host, port))
        s.recv(1)
        return 'REACHED'

def proxied(raw, to=PROXY):
    with socket.create_connection(to, timeout=20) as s:
        s.sendall(raw)
        s.settimeout(20)
        head = s.recv(4096)
        return head.split(b'\r\n')[0].decode(errors='replace') if head else 'closed'

def get(url):
    host = url.split('/')[2]
    return proxied(('GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' % (url, host)).encode())

def connect(authority):
    return proxied(('CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n' % (authority, authority)).encode())

def gateway():
    for line in open('/proc/net/route').read().splitlines()[1:]:
        fields = line.split()
        if fields[1] == '00000000':
            return socket.inet_ntoa(bytes.fromhex(fields[2])[::-1])
    raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))

tell('direct address', lambda: tcp('1.1.1.1', 443))
tell('this machine by the gateway', lambda: tcp(gateway(), OUTSIDE))
tell('the app by the gateway', lambda: tcp(gateway(), API))
tell('another sandbox', lambda: tcp(NEIGHBOUR, 8000))
tell('another sandbox over UDP', lambda: udp(NEIGHBOUR, 8000))
tell('its own name', lambda: socket.getaddrinfo(socket.gethostname(), 80) and 'found')
tell('direct, the host as Docker has it', lambda: tcp('172.17.0.1', OUTSIDE))
tell('direct metadata', lambda: tcp('169.254.169.254', 80))
tell('direct IPv6', lambda: tcp('2606:4700:4700::1111', 443, socket.AF_INET6))
tell('UDP', lambda: udp('1.1.1.1', 443))
tell('UDP over IPv6', lambda: udp('2606:4700:4700::1111', 443, socket.AF_INET6))
tell('DNS to a server', lambda: udp('8.8.8.8', 53))
tell('a name', lambda: socket.getaddrinfo('example.com', 443) and 'REACHED')
tell('raw socket', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) and 'REACHED')
tell('this machine by its loopback', lambda: tcp('127.0.0.1', OUTSIDE))
tell('the app itself', lambda: tcp('127.0.0.1', API))

for name in ['127.0.0.1', 'localhost', 'LOCALHOST.', '0x7f000001', '2130706433', '0177.0.0.1', '127.1', '0.0.0.0', '[::1]', '[::ffff:127.0.0.1]']:
    tell('proxy to %s' % name, lambda: get('http://%s:%d/' % (name, OUTSIDE)))
    tell('tunnel to %s' % name, lambda: connect('%s:%d' % (name, OUTSIDE)))
tell('proxy to the app', lambda: get('http://127.0.0.1:%d/api/call' % API))
tell('tunnel to the app', lambda: connect('127.0.0.1:%d' % API))
for name in ['169.254.169.254', '[fd00:ec2::254]', '168.63.129.16', '100.100.100.200', '10.0.0.1', '192.168.1.1', '172.17.0.1', '224.0.0.1', '[fe80::1]', '[64:ff9b::7f00:1]']:
    tell('proxy to %s' % name, lambda: get('http://%s/latest/meta-data/' % name))
    tell('tunnel to %s' % name, lambda: connect('%s:443' % name))
for port in [22, 25, 465, 6379, 2375]:
    tell('tunnel to port %d' % port, lambda: connect('1.1.1.1:%d' % port))

smuggled = b'GET http://127.0.0.1:%d/smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n' % OUTSIDE
tell('length beside chunks', lambda: proxied(b'POST http://127.0.0.1:%d/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' % OUTSIDE + smuggled))
tell('chunks of two kinds', lambda: proxied(b'POST http://127.0.0.1:%d/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n' % OUTSIDE + smuggled))
tell('a folded header', lambda: proxied(b'GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: a\r\nX: b\r\n c: d\r\n\r\n' % OUTSIDE))
tell('two hosts', lambda: proxied(b'GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: a\r\nHost: 127.0.0.1:%d\r\n\r\n' % (OUTSIDE, OUTSIDE)))
tell('a line within a tunnel', lambda: connect('nothing.invalid:443 HTTP/1.1\r\nX: y\r\n\r\nCONNECT 127.0.0.1:%d' % OUTSIDE))
tell('a route that is none', lambda: proxied(b'POST /model/anthropic/../../v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n'))

# A second proxy inside leads nowhere that the first does not.
relay = socket.create_server(('127.0.0.1', 9999))
def serve():
    inside, _ = relay.accept()
    with inside, socket.create_connection(PROXY, timeout=20) as s:
        s.sendall(inside.recv(4096))
        inside.sendall(s.recv(4096))
threading.Thread(target=serve, daemon=True).start()
tell('a second proxy', lambda: proxied(b'GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' % OUTSIDE, ('127.0.0.1', 9999)))

# A thousand that say nothing to the end; then all is as before.
held = []
def crowd():
    for _ in range(1000):
        s = socket.create_connection(PROXY, timeout=20)
        s.sendall(b'GET http://127.0.0.1')
        held.append(s)
    return 'held %d' % len(held)
tell('a crowd', crowd)
open('crowd', 'w').close()
while not os.path.exists('go'):
    time.sleep(0.05)
for s in held:
    s.close()
time.sleep(1)
tell('after the crowd', lambda: get('http://127.0.0.1:%d/' % OUTSIDE))
print('KIT DONE', flush=True)
";

/// What came of each try.
type Tried = BTreeMap<String, String>;

/// Runs the kit in a sandbox of that policy, from which nothing reaches this machine.
async fn tried(policy: NetworkPolicy) -> Tried {
    let outside = TcpListener::bind("0.0.0.0:0").unwrap();
    outside.set_nonblocking(true).unwrap();
    let app = TestApp::start().await;
    let tried = tried_in(&app, policy, &outside, "127.0.0.9").await;
    let came = outside.accept();
    assert!(
        matches!(&came, Err(error) if error.kind() == ErrorKind::WouldBlock),
        "it was reached: {came:?}\n{tried:#?}"
    );
    tried
}

async fn set_policy(app: &TestApp, policy: NetworkPolicy) {
    let change = UpdateAgent { agent: "script".to_owned(), network: Some(policy), ..UpdateAgent::default() };
    app.call(change).await.unwrap();
}

/// Runs the kit in a sandbox of that policy, with that address for another sandbox.
async fn tried_in(app: &TestApp, policy: NetworkPolicy, outside: &TcpListener, neighbour: &str) -> Tried {
    set_policy(app, policy).await;
    let api = url::Url::parse(app.link()).unwrap().port().unwrap();
    let outside = outside.local_addr().unwrap().port();
    let facts = format!("OUTSIDE = {outside}\nAPI = {api}\nNEIGHBOUR = '{neighbour}'\n");
    let prompt = format!("```python\n{facts}{KIT}\n```\n");
    let task = NewTask { prompt, ..NewTask::default() };
    let created = app.call(CreateTask { task }).await.unwrap();
    let workspace = app.leaves_file(&created, "crowd").await;
    // The app answers while a thousand connections wait inside.
    app.run(["ls", "--json"]).await.good();
    std::fs::write(workspace.join("go"), b"").unwrap();
    let run = created.run.to_string();
    let phase = until("the kit to be through", RUN_TIME_MAX, async || {
        let phase = app.call(ShowRun { run: run.clone() }).await.unwrap().summary.phase;
        phase.is_final().then_some(phase)
    })
    .await;
    let printed = app.run(["logs", &run]).await.good().text();
    assert_eq!(phase, Phase::Completed, "{printed}");
    assert!(printed.contains("KIT DONE"), "{printed}");
    let tries = printed.lines().filter_map(|line| line.trim_start().strip_prefix("TRY ")?.split_once(": "));
    tries.map(|(name, came)| (name.to_owned(), came.to_owned())).collect()
}

/// What no policy lets through.
fn none_got_out(tried: &BTreeMap<String, String>) {
    assert!(tried.len() > 60, "{tried:#?}");
    for (name, came) in tried {
        assert!(!came.contains("REACHED") && !came.contains(" 200 "), "{name}: {came}\n{tried:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_gets_out_of_a_closed_sandbox() {
    let tried = tried(NetworkPolicy::Closed).await;
    none_got_out(&tried);
    // There is nobody to ask.
    assert_eq!(tried["proxy to 127.0.0.1"], "blocked: Connection refused", "{tried:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_gets_out_of_a_sandbox_with_an_empty_list() {
    let tried = tried(NetworkPolicy::default()).await;
    none_got_out(&tried);
    for name in ["proxy to 127.0.0.1", "tunnel to 127.0.0.1", "tunnel to port 22", "a second proxy", "after the crowd"]
    {
        assert!(tried[name].contains(" 403 "), "{name}: {tried:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_this_machine_is_reached_from_an_open_sandbox() {
    let tried = tried(NetworkPolicy::Open { hosts: Vec::new() }).await;
    none_got_out(&tried);
    for name in ["proxy to 127.0.0.1", "tunnel to 169.254.169.254", "tunnel to port 25", "tunnel to the app"] {
        assert!(tried[name].contains(" 403 "), "{name}: {tried:#?}");
    }
}

/// Serves on every address that it has until it is let go.
const NEIGHBOUR: &str = r"
import os, socket, time
server = socket.create_server(('0.0.0.0', 8000))
open('serves', 'w').close()
while not os.path.exists('go'):
    time.sleep(0.05)
";

/// What a sandbox on a network of its own gives up is not asserted, since it is this machine's network that decides, but printed.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_network_of_its_own_a_sandbox_reaches_neither_berth_nor_another_sandbox() {
    let outside = TcpListener::bind("0.0.0.0:0").unwrap();
    outside.set_nonblocking(true).unwrap();
    let app = TestApp::start().await;
    set_policy(&app, NetworkPolicy::Bridge).await;
    // Another agent: one home is used by one sandbox at a time.
    let duplicate = DuplicateAgent { agent: "script".to_owned(), name: "neighbour".to_owned() };
    app.call(duplicate).await.unwrap();
    app.call(ChangeQueue { slots: Some(Slots::Fixed { count: 2 }), ..ChangeQueue::default() }).await.unwrap();
    let prompt = format!("```python\n{NEIGHBOUR}\n```\n");
    let task = NewTask { prompt, agent: Some("neighbour".to_owned()), ..NewTask::default() };
    let neighbour = app.call(CreateTask { task }).await.unwrap();
    let workspace = app.leaves_file(&neighbour, "serves").await;

    let networks = app.networks();
    let containers = app.containers();
    let [network] = networks.as_slice() else { panic!("one network for one sandbox: {networks:#?}") };
    let container = containers.iter().find(|container| role(container) == "sandbox").unwrap();
    assert_eq!((network["Driver"].as_str(), network["EnableIPv6"].as_bool()), (Some("bridge"), Some(false)));
    assert_eq!((role(network), label(network, "berth.sandbox")), ("network", label(container, "berth.sandbox")));
    let name = network["Name"].as_str().unwrap();
    let declared = Declared { has_network: true, ..Declared::default() };
    assert_eq!(violations_of(container, &declared), Vec::<String>::new(), "hardened as every other");
    let address = container["NetworkSettings"]["Networks"][name]["IPAddress"].as_str().unwrap().to_owned();
    assert!(TcpStream::connect((address.as_str(), 8000)).is_ok(), "it serves, and this machine is on its network");

    let tried = tried_in(&app, NetworkPolicy::Bridge, &outside, &address).await;
    until("the kit's network to go", RUN_TIME_MAX, async || (app.networks().len() == 1).then_some(())).await;
    assert!(TcpStream::connect((address.as_str(), 8000)).is_ok(), "it served all along");
    for (name, came) in &tried {
        // There is no gateway, no address of IPv6, and no capability that could make up for it.
        let goes_nowhere = ["proxy to", "tunnel to", "a crowd", "raw socket", "another sandbox", "the app"];
        let is_held = goes_nowhere.iter().any(|what| name.starts_with(what)) || name.contains("IPv6");
        assert!(!is_held || came.starts_with("blocked: "), "{name}: {came}\n{tried:#?}");
    }
    assert_eq!(
        tried["this machine by its loopback"], "blocked: Connection refused",
        "its loopback is the sandbox's own"
    );
    assert_eq!(tried["its own name"], "found");
    let given_up = [
        "direct address",
        "this machine by the gateway",
        "direct, the host as Docker has it",
        "direct metadata",
        "UDP",
        "DNS to a server",
        "a name",
    ];
    for name in given_up {
        println!("given up: {name}: {}", tried[name]);
    }
    sample::write(&workspace, "go", "");
    app.reaches(&neighbour, Phase::Completed).await;
    app.is_swept().await;
}
