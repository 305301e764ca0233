//! The typed calls over HTTP, as any client of `berth serve` makes them.

use std::time::Duration;

use camino::Utf8Path;
use reqwest::StatusCode;
use serde::Deserialize;
use wire::{Call, ErrorView, Request};

/// Longer than any call takes; building an image is asked for through the command line.
const CALL_TIME_MAX: Duration = Duration::from_mins(1);

/// What a server writes into its data folder.
#[derive(Debug, Deserialize)]
struct ServerFile {
    address: String,
    token: String,
    pid: u32,
}

/// Why a call has no reply.
#[derive(Debug)]
pub enum CallError {
    /// The server does not answer, or not whole.
    Away(reqwest::Error),
    /// It answers with that.
    Refused(ErrorView),
}

/// A client of one running server.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Scheme, host and port.
    pub address: String,
    /// What shows that it may call.
    pub token: String,
    /// The server's process.
    pub pid: u32,
}

impl Client {
    /// The client of the server that announced itself in that data folder.
    ///
    /// # Panics
    /// Where none did.
    pub fn of(home: &Utf8Path) -> Self {
        let path = home.join("server.json");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("`{path}` cannot be read: {error}"));
        let ServerFile { address, token, pid } = serde_json::from_str(&text).expect("server.json is JSON");
        // With or without a scheme: the announcement and the command line's first line need not agree.
        let address = if address.contains("://") { address } else { format!("http://{address}") };
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(CALL_TIME_MAX)
            .build()
            .expect("a client without TLS needs nothing from the system");
        Self { http, address, token, pid }
    }

    /// Makes a call.
    ///
    /// # Errors
    /// What the server answers in place of a reply.
    ///
    /// # Panics
    /// Where it does not answer, or with something else than JSON.
    pub async fn call<C: Call>(&self, call: C) -> Result<C::Reply, ErrorView> {
        match self.try_call(call).await {
            Ok(reply) => Ok(reply),
            Err(CallError::Refused(error)) => Err(error),
            Err(CallError::Away(error)) => panic!("the server does not answer: {error:?}"),
        }
    }

    /// Makes a call to a server that may be gone.
    ///
    /// # Errors
    /// Where it does not answer, and what it answers in place of a reply.
    ///
    /// # Panics
    /// Where it answers with something else than JSON.
    pub async fn try_call<C: Call>(&self, call: C) -> Result<C::Reply, CallError> {
        let request: Request = call.into();
        let response = self
            .http
            .post(format!("{}/api/call", self.address))
            .bearer_auth(&self.token)
            .json(&request)
            .send()
            .await
            .map_err(CallError::Away)?;
        let status = response.status();
        let body = response.bytes().await.map_err(CallError::Away)?;
        if status == StatusCode::OK {
            Ok(serde_json::from_slice(&body).unwrap_or_else(|error| {
                panic!("{request:?} is answered with {}: {error}", String::from_utf8_lossy(&body))
            }))
        } else {
            Err(CallError::Refused(serde_json::from_slice(&body).unwrap_or_else(|error| {
                panic!("{request:?} is refused ({status}) with {}: {error}", String::from_utf8_lossy(&body))
            })))
        }
    }

    /// A fresh link that lets one browser in.
    ///
    /// # Panics
    /// Where the server gives none.
    pub async fn link(&self) -> String {
        #[derive(Deserialize)]
        struct Link {
            link: String,
        }
        let response = self
            .http
            .post(format!("{}/api/link", self.address))
            .bearer_auth(&self.token)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .expect("the server gives a link");
        response.json::<Link>().await.expect("a link is JSON").link
    }

    /// The status of a request made by hand.
    ///
    /// # Panics
    /// Where the server does not answer.
    pub async fn status_of(&self, request: impl FnOnce(&reqwest::Client) -> reqwest::RequestBuilder) -> StatusCode {
        request(&self.http).send().await.expect("the server answers").status()
    }
}
