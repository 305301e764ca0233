//! What a crash leaves behind.

/// Takes from this process, and from those that it starts, the right to leave a core file: all that it holds would be in there. The
/// collectors of systems go by the same limit (`man 5 core`).
#[cfg(unix)]
pub(crate) fn leave_no_core() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Core);
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum }) {
        tracing::warn!(%error, "a crash may leave a core file with secrets in it");
    }
}

#[cfg(not(unix))]
pub(crate) fn leave_no_core() {}
