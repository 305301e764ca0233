//! A server of files on this machine, in the clear and over TLS by an authority that nobody trusts but who is told to.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, USER_AGENT},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Over TLS or in the clear.
    pub(crate) security: Security,
    /// Without its query.
    pub(crate) path: String,
    pub(crate) status: u16,
    /// What the program calls itself.
    pub(crate) agent: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    Tls,
    Plain,
}

/// The server. It ends when it is dropped.
pub(crate) struct Server {
    host: String,
    tls_port: u16,
    plain_port: u16,
    authority: String,
    shared: Arc<Shared>,
    _running: JoinSet<()>,
}

struct Shared {
    folder: Utf8PathBuf,
    seen: Mutex<Vec<Seen>>,
}

impl Server {
    /// Serves what will be in the folder, under the name of this machine.
    pub(crate) async fn start(folder: &Utf8Path) -> Self {
        let (host, address) = this_machine().await;
        let (authority, acceptor) = certified(&host);
        let shared = Arc::new(Shared { folder: folder.to_owned(), seen: Mutex::default() });
        let mut running = JoinSet::new();
        let mut ports = [0; 2];
        for (port, acceptor) in ports.iter_mut().zip([Some(acceptor), None]) {
            let listener = TcpListener::bind((address, 0)).await.unwrap();
            *port = listener.local_addr().unwrap().port();
            running.spawn(accept(listener, acceptor, shared.clone()));
        }
        let [tls_port, plain_port] = ports;
        Self { host, tls_port, plain_port, authority, shared, _running: running }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self, security: Security) -> u16 {
        match security {
            Security::Tls => self.tls_port,
            Security::Plain => self.plain_port,
        }
    }

    pub(crate) fn origin(&self, security: Security) -> String {
        let scheme = match security {
            Security::Tls => "https",
            Security::Plain => "http",
        };
        format!("{scheme}://{}:{}", self.host, self.port(security))
    }

    /// The authority's certificate, in PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }
}

/// The name of this machine, and where it leads. An address of loopback would not do: no program asks a proxy for one.
async fn this_machine() -> (String, IpAddr) {
    let name = rustix::system::uname().nodename().to_str().unwrap().to_owned();
    let found = tokio::net::lookup_host((name.as_str(), 0)).await;
    let found = found.ok().and_then(|mut found| found.next());
    let address = found.unwrap_or_else(|| panic!("this machine's own name, `{name}`, does not resolve here")).ip();
    assert_ne!(name, "localhost", "this machine has no name of its own");
    (name, address)
}

/// An authority's certificate, and what proves to be that host by it.
fn certified(host: &str) -> (String, TlsAcceptor) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "Berth's test of tools");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name.push(DnType::CommonName, host);
    let certificate = params.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (authority.pem(), TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else { return };
        let (acceptor, shared) = (acceptor.clone(), shared.clone());
        connections.spawn(async move {
            match acceptor {
                // Who does not trust it hangs up here, and says so.
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => serve(stream, Security::Tls, shared).await,
                    Err(_distrusted) => {}
                },
                None => serve(stream, Security::Plain, shared).await,
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, security: Security, shared: Arc<Shared>) {
    let service = service_fn(async |request| Ok::<_, Infallible>(answer(&request, security, &shared)));
    // How it ended, the client knows.
    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn answer(request: &Request<Incoming>, security: Security, shared: &Shared) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let (status, kind, body) = match read(&shared.folder, path) {
        Some((kind, body)) => (StatusCode::OK, kind, body),
        None => (StatusCode::NOT_FOUND, "text/plain", Vec::new()),
    };
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default().to_owned();
    let seen = Seen { security, path: path.to_owned(), status: status.as_u16(), agent };
    shared.seen.lock().unwrap().push(seen);
    Response::builder().status(status).header(CONTENT_TYPE, kind).body(Full::new(body.into())).unwrap()
}

/// What is at a path, with its type. A folder is its index.
fn read(folder: &Utf8Path, path: &str) -> Option<(&'static str, Vec<u8>)> {
    let is_clean = !path.split('/').any(|part| part == "..");
    let place = is_clean.then(|| folder.join(path.trim_start_matches('/')))?;
    let index = ["index.html", "index.json"].map(|name| place.join(name));
    let file = [place].into_iter().chain(index).find(|file| file.is_file())?;
    let kind = match file.extension() {
        Some("html") => "text/html",
        Some("json" | "info") => "application/json",
        _ => "application/octet-stream",
    };
    Some((kind, std::fs::read(file).ok()?))
}
