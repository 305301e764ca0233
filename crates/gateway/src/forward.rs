//! Requests of plain HTTP in absolute form (RFC 9112 §3.2.2): one connection to the host for each.

use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::rt::Executor as _;
use hyper::{Request, Response, Uri, Version};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::bounds::{HEAD_BYTES_MAX, HEADERS_MAX};
use crate::denied::Denied;
use crate::headers::{strip_hop_by_hop, strip_request};
use crate::ledger::{Begun, Way};
use crate::open::Open;
use crate::passage::{Passage, Rules, shortened};
use crate::reply::{Counted, Reading, Reply};
use crate::respond::Body;
use crate::route::authority;
use crate::serve::Gateway;
use crate::stop::Stop;
use crate::target::Target;
use crate::upstream::UpstreamError;

const HTTP_PORT: u16 = 80;

pub(crate) async fn answer(
    gateway: &Gateway,
    passage: &Passage,
    rules: &Rules,
    request: Request<Incoming>,
    permit: OwnedSemaphorePermit,
) -> Result<Response<Body>, Stop> {
    match request.uri().scheme_str() {
        Some("http") => {}
        Some("https") => return Err(Denied::NotByConnect.into()),
        Some(_) | None => return Err(Denied::Scheme.into()),
    }
    let target = Target::read(request.uri(), Some(HTTP_PORT))?;
    let allowed = target.judge(rules)?;
    let addresses = gateway.dialer.resolve(&target.host, &allowed).await?;
    let begun = Begun {
        sandbox: passage.sandbox,
        host: target.host.to_string(),
        port: target.port,
        method: shortened(request.method().as_str()),
        path: shortened(request.uri().path()),
        way: Way::Forward,
        secret: None,
    };
    let open = Open::begin(passage, begun, permit).await?;
    let stream = match gateway.dialer.connect(&target.host, target.port, &addresses).await {
        Ok(stream) => stream,
        Err(error) => return Err(Stop::failed(open, &error)),
    };
    exchange(gateway, stream, &target, request, open).await
}

async fn exchange(
    gateway: &Gateway,
    stream: TcpStream,
    target: &Target,
    request: Request<Incoming>,
    mut open: Open,
) -> Result<Response<Body>, Stop> {
    let up = open.up.clone();
    let request = onward(request, target).map(|client| Counted::new(client, up));
    let no_reply = |error: hyper::Error| UpstreamError::NoReply(target.host.clone(), Box::new(error));
    let sent = async {
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(no_reply)?;
        // Ends when the reply's body is dropped.
        gateway.owner.execute(connection);
        sender.send_request(request).await.map_err(no_reply)
    };
    let outcome = timeout(gateway.bounds.reply_time_max, sent)
        .await
        .unwrap_or_else(|_elapsed| Err(UpstreamError::RepliedTooLate(target.host.clone())));
    match outcome {
        // Nothing was asked for that changes the protocol.
        Ok(response) if response.status().is_informational() => {
            let error = std::io::Error::other("it wants to speak something else than HTTP");
            Err(Stop::failed(open, &UpstreamError::NoReply(target.host.clone(), Box::new(error))))
        }
        Ok(response) => {
            let (mut head, body) = response.into_parts();
            open.answered(head.status.as_u16());
            strip_hop_by_hop(&mut head.headers);
            head.version = Version::HTTP_11;
            let reply = Reply::body(body, open, Reading::Nothing, gateway.bounds.silence_time_max);
            Ok(Response::from_parts(head, reply))
        }
        Err(error) => Err(Stop::failed(open, &error)),
    }
}

/// The request as the host gets it: in origin form, with the `Host` of its target whatever the client said.
fn onward(request: Request<Incoming>, target: &Target) -> Request<Incoming> {
    let (mut head, body) = request.into_parts();
    strip_request(&mut head.headers);
    let host = authority(&target.host, target.port, HTTP_PORT);
    head.headers.insert(HOST, HeaderValue::from_str(&host).expect("invariant: a host is ASCII"));
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
    head.version = Version::HTTP_11;
    Request::from_parts(head, body)
}
