//! TLS, and HTTP/2 on it.

use std::sync::Arc;

use bytes::Bytes;
use gateway::{Bounds, Family, Outcome};
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::world::{KEY, PLACEHOLDER, World, here, post, routed, status};

/// A certificate authority that nobody trusts but who is told to.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    pub(crate) fn acceptor(&self, name: &str, protocols: &[&str]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        TlsConnector::from(Arc::new(builder.with_no_client_auth()))
    }
}

/// A provider that speaks what it is told to, and says what it was sent.
async fn provider(authority: &Authority, protocol: &'static str) -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = authority.acceptor("model.test", &[protocol]);
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
                    let key = request.headers().get("x-api-key").map(|key| key.to_str().unwrap() == KEY);
                    let said =
                        format!("{:?} {:?} {} {key:?} ", request.version(), request.method(), request.uri().path());
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from(
                        [said.into_bytes(), body.to_vec()].concat(),
                    ))))
                });
                let io = TokioIo::new(stream);
                // The test looks at what the client got.
                let _ = match protocol {
                    "h2" => {
                        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                            .serve_connection(io, service)
                            .await
                    }
                    _ => hyper::server::conn::http1::Builder::new().serve_connection(io, service).await,
                };
            });
        }
    });
    (port, serving)
}

fn ask() -> String {
    post("/model/provider/v1/messages/count_tokens", &format!("x-api-key: {PLACEHOLDER}\r\n"), "{}")
}

#[tokio::test]
async fn a_provider_is_reached_by_whichever_http_it_speaks() {
    for (protocol, version) in [("h2", "HTTP/2.0"), ("http/1.1", "HTTP/1.1")] {
        let authority = Authority::new();
        let (port, _serving) = provider(&authority, protocol).await;
        let rules = routed(Family::Anthropic, &format!("https://model.test:{port}"));
        let world = World::with(rules, Bounds::default(), &[("model.test", &[here()])], authority.pem());
        for _ in 0..2 {
            let reply = world.ask(ask()).await;
            assert_eq!(status(&reply), 200, "{reply}");
            assert!(reply.contains(&format!("{version} POST /v1/messages/count_tokens Some(true) {{}}")), "{reply}");
        }
        assert!(world.ended().await.iter().all(|ended| ended.outcome == Outcome::Whole));
        // The second went over the first one's connection.
        assert_eq!(world.names.asked.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_provider_whose_certificate_nobody_vouches_for_gets_nothing() {
    let authority = Authority::new();
    let (port, _serving) = provider(&authority, "h2").await;
    for (name, trusted) in [("model.test", Vec::new()), ("other.test", authority.pem())] {
        let rules = routed(Family::Anthropic, &format!("https://{name}:{port}"));
        let world = World::with(rules, Bounds::default(), &[(name, &[here()])], trusted);
        let reply = world.ask(ask()).await;
        assert!(status(&reply) == 502 && reply.contains("TLS with"), "{reply}");
        assert!(!reply.contains(KEY));
    }
}
