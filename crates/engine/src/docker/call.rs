//! One call to the engine: bounded, retried where it may be, its failure sorted by status and never by wording.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bollard::errors::Error;

use crate::{EngineError, ErrorKind, Result};

/// The first pause before a call is repeated.
pub(super) const RETRY_DELAY_MIN: Duration = Duration::from_millis(100);
/// How often a call is repeated after its first failure.
const RETRIES_MAX: usize = 3;
/// How much of an engine's words about a profile is passed on, in characters.
const PROFILE_WORDS_MAX: usize = 300;

/// Makes a call once, within `bound`.
pub(super) async fn bounded<T>(
    doing: impl Fn() -> String,
    bound: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T> {
    match tokio::time::timeout(bound, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(sorted(doing(), error)),
        Err(_elapsed) => Err(EngineError::new(
            ErrorKind::Transient,
            doing(),
            format!("the engine did not answer within {} s", bound.as_secs()),
        )),
    }
}

/// Makes a call that may be repeated, each time within `bound`, until it fails for another reason than a passing one.
pub(super) async fn idempotent<T, F>(doing: impl Fn() -> String, bound: Duration, call: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T, Error>>,
{
    let pauses =
        ExponentialBuilder::default().with_min_delay(RETRY_DELAY_MIN).with_max_times(RETRIES_MAX).with_jitter();
    (|| bounded(&doing, bound, call())).retry(pauses).when(|error| error.kind() == ErrorKind::Transient).await
}

/// Absent is an answer.
pub(super) fn optional<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sorts the client library's error by what to do about it.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the client library's enum grows with it; what is new to us is broken"
)]
pub(super) fn sorted(doing: String, error: Error) -> EngineError {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            let detail = if message.is_empty() { format!("the engine answered {status_code}") } else { message };
            EngineError::new(kind_of_status(status_code), doing, detail)
        }
        // What an instruction of a build said when it failed.
        Error::DockerStreamError { error } => EngineError::new(ErrorKind::Denied, doing, error),
        Error::SocketNotFoundError(path) => {
            EngineError::new(ErrorKind::Unreachable, doing, format!("there is no socket at {path}"))
        }
        Error::HyperLegacyError { err } if err.is_connect() => {
            EngineError::new(ErrorKind::Unreachable, doing, "nothing answers").caused_by(err)
        }
        Error::HyperLegacyError { err } => {
            EngineError::new(ErrorKind::Transient, doing, "the connection broke").caused_by(err)
        }
        Error::HyperResponseError { err } => {
            EngineError::new(ErrorKind::Transient, doing, "the connection broke").caused_by(err)
        }
        Error::IOError { err } => EngineError::new(ErrorKind::Transient, doing, "the connection broke").caused_by(err),
        Error::RequestTimeoutError => {
            EngineError::new(ErrorKind::Transient, doing, "the engine did not answer in time")
        }
        Error::UnsupportedURISchemeError { uri } => {
            EngineError::new(ErrorKind::Denied, doing, format!("{uri} cannot be reached from this system"))
        }
        other => EngineError::new(ErrorKind::Broken, doing, "the engine's answer makes no sense").caused_by(other),
    }
}

/// Whether an engine refuses something for a profile of system calls, where one was asked for. Old and new Docker Engines, and Podman, each
/// word it otherwise, with a status that says nothing; all name the facility.
pub(super) fn is_about_profile(error: &EngineError) -> bool {
    matches!(error.kind(), ErrorKind::Denied | ErrorKind::Broken)
        && error.detail().to_ascii_lowercase().contains("seccomp")
}

/// The same error as one of the profile, where it is about that. The engine's words are cut: some quote the whole profile.
pub(super) fn of_profile(error: EngineError) -> EngineError {
    if !is_about_profile(&error) {
        return error;
    }
    let detail: String = error.detail().chars().take(PROFILE_WORDS_MAX).collect();
    EngineError::new(ErrorKind::ProfileRefused, error.doing(), detail)
}

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        404 => ErrorKind::Gone,
        409 => ErrorKind::Conflict,
        408 | 429 | 502..=504 => ErrorKind::Transient,
        400..=499 => ErrorKind::Denied,
        _ => ErrorKind::Broken,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn answered(status_code: u16) -> Error {
        Error::DockerResponseServerError { status_code, message: "words".into() }
    }

    #[test]
    fn errors_are_sorted_by_status() {
        for (status, kind) in [
            (400, ErrorKind::Denied),
            (403, ErrorKind::Denied),
            (404, ErrorKind::Gone),
            (409, ErrorKind::Conflict),
            (429, ErrorKind::Transient),
            (500, ErrorKind::Broken),
            (503, ErrorKind::Transient),
        ] {
            let error = sorted("look".into(), answered(status));
            assert_eq!(error.kind(), kind, "{status}");
            assert_eq!(error.to_string(), "look: words");
        }
    }

    #[test]
    fn a_refused_profile_is_told_from_other_refusals() {
        for words in [
            "Decoding seccomp profile failed: invalid character 'n'",
            "linux seccomp: seccomp profiles are not supported on this daemon, you cannot specify a custom seccomp profile",
            "runc create failed: string SCMP_ACT_X is not a valid action for seccomp: unknown",
            "opening seccomp profile failed: open {}: no such file or directory",
        ] {
            let error = EngineError::new(ErrorKind::Broken, "start", words);
            assert_eq!(of_profile(error).kind(), ErrorKind::ProfileRefused, "{words}");
        }
        for (kind, words) in [(ErrorKind::Broken, "no space left on device"), (ErrorKind::Gone, "no image seccomp")] {
            assert_eq!(of_profile(EngineError::new(kind, "start", words)).kind(), kind, "{words}");
        }
        let long = EngineError::new(ErrorKind::Denied, "create", format!("seccomp {}", "ä".repeat(100_000)));
        assert_eq!(of_profile(long).detail().chars().count(), PROFILE_WORDS_MAX);
    }

    #[tokio::test]
    async fn a_passing_failure_is_retried_and_a_lasting_one_is_not() {
        for (status, calls_expected) in [(503, 1 + RETRIES_MAX), (404, 1), (500, 1)] {
            let calls = Cell::new(0);
            let result: Result<()> = idempotent(
                || "look".into(),
                Duration::from_secs(1),
                || {
                    calls.set(calls.get() + 1);
                    async move { Err(answered(status)) }
                },
            )
            .await;
            assert!(result.is_err());
            assert_eq!(calls.get(), calls_expected, "{status}");
        }
    }

    #[tokio::test]
    async fn a_call_that_never_ends_is_given_up_at_its_bound() {
        let started = tokio::time::Instant::now();
        let result: Result<()> = bounded(|| "look".into(), Duration::from_millis(70), std::future::pending()).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Transient);
        assert!(started.elapsed() >= Duration::from_millis(70));
    }
}
