//! One sandbox's way out, with books that remember and names that resolve as a test says.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gateway::policy::{Grant, HostRule, Policy, Ports, Reach};
use gateway::{
    Authority, Begun, Bounds, Credential, CredentialMissing, Ended, Family, Gateway, Ledger, Passage, RefusedRequest,
    Resolve, Route, Rules, Settings, Stopped, Ticket,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use wire::ids::{SandboxId, SecretId};
use wire::secret::CredentialKind;

/// How long anything may take that a test waits for.
pub(crate) const BOUND: Duration = Duration::from_secs(20);
/// What the sandbox holds.
pub(crate) const PLACEHOLDER: &str = "sk-placeholder-of-this-agent";
/// What only the gateway knows.
pub(crate) const KEY: &str = "sk-real-1234567890";

/// What the books say.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) begun: Vec<Begun>,
    pub(crate) ended: Vec<(Ticket, Ended)>,
    pub(crate) refused: Vec<(Option<String>, String)>,
}

#[derive(Default)]
pub(crate) struct Books {
    pub(crate) written: Mutex<Written>,
    pub(crate) key: Mutex<String>,
    pub(crate) stop: Mutex<Option<Stopped>>,
    authority: Mutex<Option<Arc<Authority>>>,
}

#[async_trait]
impl Ledger for Books {
    async fn credential(&self, _secret: SecretId) -> Result<secrecy::SecretString, CredentialMissing> {
        let key = self.key.lock().unwrap().clone();
        if key.is_empty() {
            return Err(CredentialMissing { reason: "the keyring is locked".to_owned() });
        }
        Ok(key.into())
    }

    async fn authority(&self) -> Result<Arc<Authority>, CredentialMissing> {
        let mut authority = self.authority.lock().unwrap();
        Ok(authority.get_or_insert_with(|| Arc::new(Authority::generate().unwrap())).clone())
    }

    async fn begin(&self, request: Begun) -> Result<Ticket, Stopped> {
        if let Some(stopped) = self.stop.lock().unwrap().clone() {
            return Err(stopped);
        }
        let mut written = self.written.lock().unwrap();
        written.begun.push(request);
        Ok(Ticket(i64::try_from(written.begun.len()).unwrap()))
    }

    fn end(&self, ticket: Ticket, ended: Ended) {
        self.written.lock().unwrap().ended.push((ticket, ended));
    }

    fn refused(&self, refused: RefusedRequest) {
        self.written.lock().unwrap().refused.push((refused.host, refused.why.to_string()));
    }
}

/// Answers, in turn; the last one again and again.
#[derive(Default)]
pub(crate) struct Names {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let known = answers.get_mut(name).ok_or_else(|| io::Error::other("no such name"))?;
        Ok(if known.len() > 1 { known.remove(0) } else { known[0].clone() })
    }
}

pub(crate) struct World {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) passage: Arc<Passage>,
    pub(crate) books: Arc<Books>,
    pub(crate) names: Arc<Names>,
    pub(crate) rules: watch::Sender<Arc<Rules>>,
    serving: Mutex<JoinSet<()>>,
}

pub(crate) fn here() -> IpAddr {
    Ipv4Addr::LOCALHOST.into()
}

pub(crate) fn grant(host: &str, port: u16, reach: Reach) -> Grant {
    Grant { hosts: HostRule::One(host.parse().unwrap()), ports: Ports::One(port), reach }
}

/// What allows a name to be at this machine, on a port.
pub(crate) fn only(host: &str, port: u16) -> Rules {
    Rules {
        policy: Policy::Allowlist(vec![grant(host, port, Reach::Private)]),
        routes: Vec::new(),
        inspected: Vec::new(),
    }
}

pub(crate) fn credential() -> Credential {
    let secret = SecretId::max();
    Credential { secret, name: "my key".to_owned(), placeholder: PLACEHOLDER.to_owned(), kind: CredentialKind::Key }
}

pub(crate) fn route(name: &str, family: Family, base: &str, credential: Option<Credential>) -> Route {
    Route::new(name, family, &base.parse().unwrap(), Reach::Private, credential).unwrap()
}

/// Nothing but that one route, with a secret.
pub(crate) fn routed(family: Family, base: &str) -> Rules {
    let route = route("provider", family, base, Some(credential()));
    Rules { policy: Policy::Allowlist(Vec::new()), routes: vec![route], inspected: Vec::new() }
}

impl World {
    pub(crate) fn new(rules: Rules) -> Self {
        Self::with(rules, Bounds::default(), &[], Vec::new())
    }

    pub(crate) fn with(rules: Rules, bounds: Bounds, names: &[(&str, &[IpAddr])], extra_pem: Vec<u8>) -> Self {
        let resolver = Arc::new(Names::default());
        for (name, addresses) in names {
            resolver.answers.lock().unwrap().entry((*name).to_owned()).or_default().push(addresses.to_vec());
        }
        let settings = Settings { extra_pem, resolver: resolver.clone(), bounds };
        let gateway = Arc::new(Gateway::new(settings).unwrap());
        let books = Arc::new(Books { key: Mutex::new(KEY.to_owned()), ..Books::default() });
        let (rules, receiver) = watch::channel(Arc::new(rules));
        let sandbox = SandboxId::nil();
        let passage = gateway.passage(sandbox, receiver, books.clone());
        Self { gateway, passage, books, names: resolver, rules, serving: Mutex::default() }
    }

    /// A program's connection to the gateway.
    pub(crate) fn connect(&self) -> DuplexStream {
        let (program, io) = tokio::io::duplex(16 << 10);
        let (gateway, passage) = (self.gateway.clone(), self.passage.clone());
        self.serving.lock().unwrap().spawn(async move { gateway.serve(io, passage).await });
        program
    }

    /// Sends bytes and returns all that comes back until the gateway closes.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> String {
        let mut program = self.connect();
        program.write_all(request.as_ref()).await.unwrap();
        let mut reply = Vec::new();
        tokio::time::timeout(BOUND, program.read_to_end(&mut reply)).await.expect("the gateway answers").unwrap();
        String::from_utf8_lossy(&reply).into_owned()
    }

    /// How all that was begun ended, once it has.
    pub(crate) async fn ended(&self) -> Vec<Ended> {
        until(|| {
            let written = self.books.written.lock().unwrap();
            (written.begun.len() == written.ended.len())
                .then(|| written.ended.iter().map(|(_, ended)| ended.clone()).collect())
        })
        .await
    }

    pub(crate) fn begun(&self) -> Vec<Begun> {
        self.books.written.lock().unwrap().begun.clone()
    }

    pub(crate) fn refused(&self) -> Vec<String> {
        self.books.written.lock().unwrap().refused.iter().map(|(_, why)| why.clone()).collect()
    }

    /// Ends every connection of a program, as when the pipe breaks.
    pub(crate) fn break_pipe(&self) {
        self.serving.lock().unwrap().abort_all();
    }
}

/// Waits for a fact.
pub(crate) async fn until<T>(mut fact: impl FnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = fact() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, looking).await.expect("it comes to be")
}

/// A request to a route, with a body.
pub(crate) fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:3128\r\nConnection: close\r\ncontent-type: application/json\r\n{headers}content-length: \
         {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn status(reply: &str) -> u16 {
    reply.split(' ').nth(1).unwrap_or_else(|| panic!("no reply: {reply:?}")).parse().unwrap()
}
