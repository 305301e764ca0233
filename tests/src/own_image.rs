//! Images of a test's own.

use camino_tempfile::Utf8TempDir;

use crate::docker::{Docker, docker};

/// An image that is made for one test and removed with it.
#[derive(Debug)]
pub struct OwnImage {
    /// What it is called.
    pub tag: String,
    _context: Utf8TempDir,
}

impl OwnImage {
    /// Builds it, without a network.
    pub fn build(name: &str, dockerfile: &str) -> Self {
        Self::build_with(name, dockerfile, &[])
    }

    /// With files of this machine's in the context.
    pub fn build_with(name: &str, dockerfile: &str, files: &[(&str, &str)]) -> Self {
        let context = camino_tempfile::tempdir().expect("a context can be written");
        for (name, path) in files {
            std::fs::copy(path, context.path().join(name)).expect("a context can be written");
        }
        std::fs::write(context.path().join("Dockerfile"), dockerfile).expect("a context can be written");
        let tag = format!("berth-test/{name}:{}", std::process::id());
        docker(&["build", "--quiet", "--network", "none", "--tag", &tag, context.path().as_str()]);
        Self { tag, _context: context }
    }
}

impl Drop for OwnImage {
    fn drop(&mut self) {
        let id = Docker::of_this_machine()
            .try_run(&["image", "inspect", "--format", "{{.Id}}", &self.tag])
            .unwrap_or_default();
        let adapted = format!("berth/adapted:{}-{}", id.trim().trim_start_matches("sha256:"), user());
        for image in [&self.tag, &adapted] {
            let _gone_already = Docker::of_this_machine().try_run(&["rmi", "--force", image]);
        }
    }
}

/// Whom sandboxes run as: the person, or 1000 where that is root.
pub fn user() -> String {
    let own = nix::unistd::geteuid();
    if own.is_root() { "1000".to_owned() } else { own.to_string() }
}
