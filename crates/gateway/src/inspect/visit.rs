//! A tunnel to an inspected host, from its TLS on.

use std::convert::Infallible;
use std::io::Cursor;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, HeaderValue, UPGRADE};
use hyper::http::request::Parts as Head;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, Uri, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, Chain, Join, ReadHalf, WriteHalf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use super::{Cleaner, Inspected};
use crate::bounds::{Bounds, HEAD_BYTES_MAX, HEADERS_MAX};
use crate::denied::{Denied, WrongOpening};
use crate::headers::{self, strip_hop_by_hop, strip_request};
use crate::hello::{HANDSHAKE, NoOpening, opening};
use crate::ledger::{Begun, NamedSecret, Way};
use crate::open::Open;
use crate::passage::{Asked, Passage, Rules, shortened};
use crate::policy::{Policy, Refusal};
use crate::reply::{Counted, Reading, Reply};
use crate::respond::{self, Body};
use crate::serve::Gateway;
use crate::stop::Stop;
use crate::target::Target;
use crate::upstream::{Client, Connector, UpstreamError, reason_of};

/// The usual port of what is inspected.
const HTTPS_PORT: u16 = 443;

/// A tunnel whose program has been told that it may begin.
pub(crate) struct Visit {
    target: Target,
    inspected: Inspected,
    config: Arc<ServerConfig>,
    client: OnUpgrade,
    /// One of the sandbox's open requests, until there are requests of its own.
    permit: OwnedSemaphorePermit,
}

/// Makes ready to answer TLS in the host's stead. Nothing is connected to and nothing written down: that is each request's.
pub(crate) async fn begin(
    passage: &Passage,
    target: Target,
    inspected: Inspected,
    request: Request<Incoming>,
    permit: OwnedSemaphorePermit,
) -> Result<Visit, Stop> {
    let authority = passage.ledger.authority().await.map_err(|missing| Denied::Credential(missing.reason))?;
    let config = authority.shown_as(&target.host).map_err(|error| Denied::Credential(respond::chain(&error)))?;
    Ok(Visit { target, inspected, config, client: hyper::upgrade::on(request), permit })
}

impl Visit {
    /// Serves the program's requests until it or the gateway ends.
    pub(crate) async fn run(self, gateway: &Gateway, passage: &Passage) {
        let Self { target, inspected, config, client, permit } = self;
        let Ok(client) = client.await.inspect_err(|error| tracing::debug!(%error, "a tunnel was never begun")) else {
            return;
        };
        let opened = secured(TokioIo::new(client), config, &target, &gateway.bounds).await;
        drop(permit);
        let stream = match opened {
            Ok(stream) => stream,
            Err(NoOpening::Broken(error)) => return tracing::debug!(%error, "a tunnel broke off at its beginning"),
            Err(NoOpening::Wrong(why)) => {
                let asked = Asked {
                    host: Some(target.host.to_string()),
                    port: Some(target.port),
                    method: Method::CONNECT.to_string(),
                    path: String::new(),
                    is_inspected: true,
                };
                return passage.refused(&asked, Denied::Opening { host: target.host, why });
            }
        };
        // The connections to the host are this tunnel's alone.
        let endpoint = inspected.endpoint.clone();
        let connector = Connector { dialer: gateway.dialer.clone(), endpoint, owner: gateway.owner.clone() };
        let room = Room { gateway, passage, target: &target, client: connector.into_client() };
        let service = service_fn(|request| {
            let answered = room.answer(request);
            async { Ok::<_, Infallible>(Box::pin(answered).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(gateway.bounds.head_time_max)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an inspected connection of a sandbox broke off");
        }
    }
}

/// A stream of which the beginning was read already.
type Reread<Io> = Join<Chain<Cursor<Vec<u8>>, ReadHalf<Io>>, WriteHalf<Io>>;

/// Opens TLS with the program, for the host that the tunnel was asked for.
async fn secured<Io>(
    client: Io,
    config: Arc<ServerConfig>,
    target: &Target,
    bounds: &Bounds,
) -> Result<TlsStream<Reread<Io>>, NoOpening>
where
    Io: AsyncRead + AsyncWrite,
{
    let (mut from_client, to_client) = tokio::io::split(client);
    let opened = async {
        let hello = opening(&mut from_client, target, bounds).await?;
        match hello.first() {
            Some(&HANDSHAKE) => {}
            Some(_) => return Err(NoOpening::Wrong(WrongOpening::NotInspected("it is not TLS".to_owned()))),
            None => return Err(NoOpening::Broken(std::io::ErrorKind::UnexpectedEof.into())),
        }
        let stream = tokio::io::join(Cursor::new(hello).chain(from_client), to_client);
        let accepted = TlsAcceptor::from(config).accept(stream).await;
        accepted.map_err(|error| NoOpening::Wrong(WrongOpening::NotInspected(respond::chain(&error))))
    };
    timeout(bounds.hello_time_max, opened).await.unwrap_or(Err(NoOpening::Wrong(WrongOpening::TooSlow)))
}

/// Where the requests of one tunnel are answered.
struct Room<'a> {
    gateway: &'a Gateway,
    passage: &'a Passage,
    target: &'a Target,
    client: Client<Counted>,
}

/// A secret for one request.
struct Key<'a> {
    inspected: &'a Inspected,
    value: SecretString,
}

impl Room<'_> {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let asked = Asked {
            host: Some(self.target.host.to_string()),
            port: Some(self.target.port),
            is_inspected: true,
            ..Asked::of(&request)
        };
        let rules = self.passage.rules();
        let answered = self.exchange(&rules, request).await;
        answered.unwrap_or_else(|stop| stop.respond(self.passage, &asked))
    }

    async fn exchange(&self, rules: &Rules, request: Request<Incoming>) -> Result<Response<Body>, Stop> {
        headers::check(&request)?;
        let permit = self.passage.open()?;
        check(&request, self.target)?;
        if rules.policy == Policy::Closed {
            return Err(Denied::Policy(Refusal::Closed).into());
        }
        // As it stands now: a secret that was taken back, or bound elsewhere, goes nowhere.
        let inspected = rules.inspected_at(self.target);
        let inspected = inspected.ok_or_else(|| Denied::NoLongerInspected(self.target.host.clone()))?;
        let (head, body) = request.into_parts();
        let key = Key::of(self.passage, inspected, &head).await?;
        let begun = Begun {
            sandbox: self.passage.sandbox,
            host: self.target.host.to_string(),
            port: self.target.port,
            method: shortened(head.method.as_str()),
            path: shortened(head.uri.path()),
            way: Way::Inspected,
            secret: key.as_ref().map(Key::named),
        };
        let is_head = head.method == Method::HEAD;
        let head = onward(head, inspected, key.as_ref())?;
        let open = Open::begin(self.passage, begun, permit).await?;
        let request = Request::from_parts(head, Counted::new(body, open.up.clone()));
        let host = || self.target.host.clone();
        let replied = timeout(self.gateway.bounds.reply_time_max, self.client.request(request)).await;
        let response = match replied {
            Ok(Ok(response)) if !response.status().is_informational() => response,
            Ok(Ok(_)) => {
                let error = std::io::Error::other("it wants to speak something else than HTTP").into();
                return Err(Stop::failed(open, &UpstreamError::NoReply(host(), error)));
            }
            Ok(Err(error)) => return Err(Stop::failed(open, &reason_of(error, &self.target.host))),
            Err(_elapsed) => return Err(Stop::failed(open, &UpstreamError::RepliedTooLate(host()))),
        };
        Ok(self.reply(response, open, key.as_ref(), is_head))
    }

    fn reply(
        &self,
        response: Response<Incoming>,
        mut open: Open,
        key: Option<&Key<'_>>,
        is_head: bool,
    ) -> Response<Body> {
        let (mut head, body) = response.into_parts();
        open.answered(head.status.as_u16());
        strip_hop_by_hop(&mut head.headers);
        head.version = Version::HTTP_11;
        head.extensions.clear();
        let reading = match key {
            None => Reading::Nothing,
            Some(key) => {
                key.clean(&mut head.headers);
                // What is taken out of a reply changes its length; a HEAD's is of a body that does not come.
                if !is_head {
                    head.headers.remove(CONTENT_LENGTH);
                }
                Reading::Cleaned(key.cleaner())
            }
        };
        Response::from_parts(head, Reply::body(body, open, reading, self.gateway.bounds.silence_time_max))
    }
}

impl<'a> Key<'a> {
    /// The secret as it is now, where the request has the placeholder in its place.
    async fn of(passage: &Passage, inspected: &'a Inspected, head: &Head) -> Result<Option<Self>, Denied> {
        let credential = &inspected.credential;
        if !inspected.slot.has(&credential.placeholder, &head.headers, head.uri.query()) {
            return Ok(None);
        }
        let value = passage.ledger.credential(credential.secret).await;
        Ok(Some(Self { inspected, value: value.map_err(|missing| Denied::Credential(missing.reason))? }))
    }

    fn named(&self) -> NamedSecret {
        let credential = &self.inspected.credential;
        NamedSecret { id: credential.secret, name: credential.name.clone() }
    }

    fn cleaner(&self) -> Cleaner {
        Cleaner::new(&self.inspected.slot, &self.value, &self.inspected.credential.placeholder)
    }

    fn clean(&self, headers: &mut hyper::HeaderMap) {
        Cleaner::clean_head(&self.inspected.slot, &self.value, &self.inspected.credential.placeholder, headers);
    }
}

/// Refuses what is for another host than the tunnel, and what is no plain request.
fn check(request: &Request<Incoming>, target: &Target) -> Result<(), Denied> {
    let uri = request.uri();
    if request.method() == Method::CONNECT || uri.authority().is_some() || !uri.path().starts_with('/') {
        return Err(Denied::Malformed("within an inspected connection a request names its path alone"));
    }
    if request.headers().contains_key(UPGRADE) {
        return Err(Denied::Upgrade);
    }
    let said = request.headers().get(HOST).ok_or(Denied::Malformed("it has no Host"))?;
    let said: Uri =
        said.to_str().ok().and_then(|said| said.parse().ok()).ok_or(Denied::Malformed("its Host is none"))?;
    let said = Target::read(&said, Some(HTTPS_PORT))?;
    if said == *target {
        return Ok(());
    }
    Err(Denied::OtherHost { host: target.host.clone(), named: said.host })
}

/// The head of a request as the host gets it.
fn onward(mut head: Head, inspected: &Inspected, key: Option<&Key<'_>>) -> Result<Head, Denied> {
    strip_request(&mut head.headers);
    head.version = Version::HTTP_11;
    head.extensions.clear();
    let mut query = head.uri.query().map(str::to_owned);
    if let Some(Key { value, .. }) = key {
        inspected.slot.put(value, &mut head.headers, &mut query)?;
        // Of a reply that is packed nothing can be taken out.
        head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    let path = head.uri.path();
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    let whole = format!("{}{path}{query}", inspected.endpoint.origin());
    head.uri = whole.parse().map_err(|_| Denied::Malformed("its path is none"))?;
    Ok(head)
}
