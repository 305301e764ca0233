//! What registries ask for, from where `docker login` left it: docker's own configuration, or the helper that it names.
//!
//! It is asked for when an image is fetched, goes into that one request, and is kept nowhere. What a helper says of a success is never
//! passed on; what it says of a failure is, cut, since a person has to mend it.

use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bollard::Docker;
use camino::{Utf8Path, Utf8PathBuf};
use docker_credential::{CredentialRetrievalError, DockerCredential};
use secrecy::{ExposeSecret as _, SecretString};

use crate::ImageRef;
use crate::find::{Environment, FILE_BYTES_MAX};

/// Docker Hub, as configurations name it.
const HUB: &str = "https://index.docker.io/v1/";
/// The header that brings a credential to an engine (Docker Engine API, "Authentication").
const HEADER: &str = "X-Registry-Auth";
/// How long a helper may take: it may ask the person for the password of their keyring.
const HELPER_BOUND: Duration = Duration::from_mins(1);
/// What helpers say, as a failure, where they have nothing (docker-credential-helpers, `credentials.NewErrCredentialsNotFound`).
const NOTHING_FOUND: &str = "credentials not found";
/// How much of what a helper says of a failure is passed on, in characters.
const WORDS_MAX: usize = 200;

/// Why nobody knows whether there is a credential.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialError {
    /// Docker's configuration cannot be read, or makes no sense.
    #[error("docker's configuration {path} cannot be read or makes no sense, so no credentials of it were used")]
    Configuration {
        /// The file.
        path: Utf8PathBuf,
    },
    /// The helper that it names cannot be run, or answers nonsense.
    #[error("the credential helper that docker's configuration {path} names cannot be run, or answers nonsense")]
    NoHelper {
        /// The file.
        path: Utf8PathBuf,
    },
    /// The helper failed.
    #[error("the credential helper {helper} failed: {words}")]
    Helper {
        /// Its program.
        helper: String,
        /// The beginning of what it said.
        words: String,
    },
    /// It did not end.
    #[error("the credential helper did not answer within {} s", HELPER_BOUND.as_secs())]
    TooSlow,
}

/// The folder of docker's configuration of this process's person.
pub(super) fn usual_folder() -> Option<Utf8PathBuf> {
    let environment = Environment::of_this_process(None);
    environment.docker_config.or_else(|| environment.home.map(|home| home.join(".docker")))
}

/// The engine to ask for an image: with the credential for its registry, where the person has one.
pub(super) async fn with_credential(
    docker: &Docker,
    folder: Option<&Utf8Path>,
    image: &ImageRef,
) -> Result<Docker, CredentialError> {
    let Some(folder) = folder else { return Ok(docker.clone()) };
    let path = folder.join("config.json");
    let server = server_of(image);
    // It reads a file and runs a program.
    let asked = tokio::task::spawn_blocking(move || header_for(&path, &server));
    let header = match tokio::time::timeout(HELPER_BOUND, asked).await {
        Ok(Ok(header)) => header?,
        Ok(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
        Err(_elapsed) => return Err(CredentialError::TooSlow),
    };
    let Some(header) = header else { return Ok(docker.clone()) };
    // Not by the client library's own parameter: it writes base64 of the usual alphabet, where engines read that of URLs (RFC 4648,
    // section 5) and take what they cannot read for no credential at all.
    Ok(docker.clone().with_request_modifier(move |mut request| {
        let headers = request.headers_mut();
        if let Ok(value) = header.expose_secret().parse() {
            headers.insert(HEADER, value);
        }
        if let Some(value) = headers.get_mut(HEADER) {
            // So that no debug output shows it.
            value.set_sensitive(true);
        }
        request
    }))
}

/// The registry of a reference, as configurations name it. What has neither a dot nor a port is an account on Docker Hub.
fn server_of(image: &ImageRef) -> String {
    let first = image.as_str().split_once('/').map_or("", |(first, _)| first);
    let is_host = first.contains(['.', ':']) || first == "localhost";
    match first {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => HUB.to_owned(),
        host if is_host => host.to_owned(),
        _ => HUB.to_owned(),
    }
}

/// The value of the header for a registry; `None` where there is no credential for it.
fn header_for(path: &Utf8Path, server: &str) -> Result<Option<SecretString>, CredentialError> {
    let configuration = || CredentialError::Configuration { path: path.to_owned() };
    let file = match File::open(path) {
        Ok(file) => file.take(FILE_BYTES_MAX),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(_) => return Err(configuration()),
    };
    let found = match docker_credential::get_credential_from_reader(file, server) {
        Ok(found) => found,
        Err(CredentialRetrievalError::NoCredentialConfigured) => return Ok(None),
        Err(CredentialRetrievalError::HelperFailure { stdout, stderr, .. })
            if [&stdout, &stderr].into_iter().any(|said| said.to_lowercase().contains(NOTHING_FOUND)) =>
        {
            return Ok(None);
        }
        Err(CredentialRetrievalError::HelperFailure { helper, stdout, stderr }) => {
            let said = [stdout, stderr].join(" ");
            let words = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(WORDS_MAX).collect();
            return Err(CredentialError::Helper { helper, words });
        }
        Err(CredentialRetrievalError::HelperCommunicationError | CredentialRetrievalError::MalformedHelperResponse) => {
            return Err(CredentialError::NoHelper { path: path.to_owned() });
        }
        Err(
            CredentialRetrievalError::CredentialDecodingError
            | CredentialRetrievalError::CredentialMismatchError
            | CredentialRetrievalError::ConfigNotFound
            | CredentialRetrievalError::ConfigReadError,
        ) => return Err(configuration()),
    };
    // <https://docs.docker.com/reference/api/engine/#section/Authentication>
    let text = SecretString::from(
        match found {
            DockerCredential::IdentityToken(token) => serde_json::json!({ "identitytoken": token }),
            DockerCredential::UsernamePassword(username, password) => {
                serde_json::json!({ "username": username, "password": password, "serveraddress": server })
            }
        }
        .to_string(),
    );
    Ok(Some(URL_SAFE.encode(text.expose_secret()).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(config: &str, server: &str) -> Result<Option<serde_json::Value>, CredentialError> {
        let folder = camino_tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        let header = header_for(&path, server)?;
        Ok(header.map(|header| serde_json::from_slice(&URL_SAFE.decode(header.expose_secret()).unwrap()).unwrap()))
    }

    #[test]
    fn a_reference_names_its_registry() {
        for (image, server) in [
            ("debian", HUB),
            ("debian:12", HUB),
            ("someone/thing:1", HUB),
            ("docker.io/library/debian", HUB),
            ("ghcr.io/a/b", "ghcr.io"),
            ("localhost/a", "localhost"),
            ("127.0.0.1:5000/a:b", "127.0.0.1:5000"),
        ] {
            assert_eq!(server_of(&ImageRef::parse(image).unwrap()), server, "{image}");
        }
    }

    #[test]
    fn what_login_left_in_the_file_is_found_for_its_registry_alone() {
        // `ada:pass:wo>d`
        let config = r#"{"auths": {"ghcr.io": {"auth": "YWRhOnBhc3M6d28+ZA=="}, "quay.io": {}}}"#;
        let found = asked(config, "ghcr.io").unwrap().unwrap();
        assert_eq!((&found["username"], &found["password"]), (&"ada".into(), &"pass:wo>d".into()));
        for other in ["quay.io", "ghcr.io.evil.example", HUB] {
            assert_eq!(asked(config, other).unwrap(), None, "{other}");
        }
        let token = r#"{"auths": {"https://index.docker.io/v1/": {"identitytoken": "t"}}}"#;
        assert_eq!(asked(token, HUB).unwrap().unwrap(), serde_json::json!({ "identitytoken": "t" }));
        assert!(matches!(header_for(Utf8Path::new("/no/such/config.json"), HUB), Ok(None)));
    }

    #[test]
    fn what_cannot_be_read_is_said_without_a_word_of_it() {
        for config in ["hunter2", r#"{"auths": {"ghcr.io": {"auth": "hunter2!"}}}"#] {
            let error = asked(config, "ghcr.io").unwrap_err();
            assert!(matches!(error, CredentialError::Configuration { .. }), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
        let missing = asked(r#"{"credsStore": "no-such-helper-of-berth"}"#, HUB).unwrap_err();
        assert!(matches!(missing, CredentialError::NoHelper { .. }), "{missing}");
    }
}
