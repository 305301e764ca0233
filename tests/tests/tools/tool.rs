//! The tools, and what is expected of each.

use crate::server::Security;

/// A tool that is tried. How, `try.sh` says by its name.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// As the document calls it.
    pub(crate) title: &'static str,
    /// What of all that Berth sets it takes: all of these, and no more.
    pub(crate) needs: &'static [&'static str],
    /// What it asks the server for in the end.
    pub(crate) path: &'static str,
    pub(crate) security: Security,
    /// What is in the name that it gives itself, in lower case.
    pub(crate) agent: &'static str,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Works,
    /// It cannot be helped by anything in its environment.
    Fails {
        why: &'static str,
    },
}

const fn works(
    name: &'static str,
    title: &'static str,
    needs: &'static [&'static str],
    path: &'static str,
    agent: &'static str,
) -> Tool {
    Tool { name, title, needs, path, security: Security::Tls, agent, verdict: Verdict::Works }
}

/// In the order of the document.
pub(crate) const TOOLS: &[Tool] = &[
    works("curl", "curl", &["https_proxy", "CURL_CA_BUNDLE"], "/file/curl", "curl/"),
    works("wget", "wget", &["https_proxy", "SYSTEM_WGETRC"], "/file/wget", "wget/"),
    works("git", "git clone", &["https_proxy", "GIT_SSL_CAINFO"], "/git/sample.git/info/refs", "git/"),
    Tool {
        security: Security::Plain,
        ..works("apt", "apt-get, HTTP", &["http_proxy"], "/apt/./berth-sample_1.0.0_all.deb", "apt")
    },
    works("apt-https", "apt-get, HTTPS", &["https_proxy", "APT_CONFIG"], "/apt/./berth-sample_1.0.0_all.deb", "apt"),
    works("pip", "pip install", &["https_proxy", "PIP_CERT"], "/pip/files/berth_sample-1.0.0-py3-none-any.whl", "pip/"),
    works("npm", "npm install", &["https_proxy", "NODE_EXTRA_CA_CERTS"], "/npm/files/berth-sample-1.0.0.tgz", "npm/"),
    works(
        "node-fetch",
        "Node's fetch",
        &["https_proxy", "NODE_USE_ENV_PROXY", "NODE_EXTRA_CA_CERTS"],
        "/file/node-fetch",
        "node",
    ),
    Tool {
        verdict: Verdict::Fails { why: "does not work: its fetch knows of no proxy, before Node 22.21 and 24" },
        ..works("node-18-fetch", "Node's fetch, older", &[], "/file/node-18-fetch", "node")
    },
    works(
        "cargo",
        "cargo vendor",
        &["https_proxy", "CARGO_HTTP_CAINFO"],
        "/cargo/files/berth-sample-1.0.0.crate",
        "cargo/",
    ),
    works(
        "go",
        "go mod download",
        &["https_proxy", "SSL_CERT_FILE"],
        "/go/berth.test/sample/@v/v1.0.0.zip",
        "go-http-client/",
    ),
    works("requests", "Python requests", &["https_proxy", "REQUESTS_CA_BUNDLE"], "/file/requests", "python-requests/"),
    works("httpx", "Python httpx", &["https_proxy", "SSL_CERT_FILE"], "/file/httpx", "python-httpx/"),
    works("java-httpclient", "Java's HttpClient", &["JAVA_TOOL_OPTIONS"], "/file/java-httpclient", "java-http-client/"),
    works(
        "java-urlconnection",
        "Java's HttpURLConnection",
        &["JAVA_TOOL_OPTIONS"],
        "/file/java-urlconnection",
        "java/",
    ),
];
