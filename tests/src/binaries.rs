//! Where the programs under test are: beside the test's own, in `target/debug`.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

/// The checkout.
pub fn repository() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the checkout")
}

/// `target/debug`, or wherever this test was built.
pub fn folder() -> Utf8PathBuf {
    let own = std::env::current_exe().expect("a test knows its own path");
    let own = Utf8PathBuf::from_path_buf(own).expect("the checkout's path is UTF-8");
    let beside = own.parent().expect("a program lies in a folder");
    // A test lies in `deps` below the programs, an example in `examples`, any other program beside them.
    let is_below = beside.ends_with("deps") || beside.ends_with("examples");
    let folder = if is_below { beside.parent().expect("it lies below the programs") } else { beside };
    folder.to_owned()
}

/// A program under test.
///
/// # Panics
/// Where it has not been built.
pub fn program(name: &str) -> Utf8PathBuf {
    let path = folder().join(name);
    assert!(path.is_file(), "`{path}` is not there: run `./dev build`");
    path
}

/// The guest's program, which is built for another target than the rest.
///
/// # Panics
/// Where it has not been built.
pub fn guest() -> Utf8PathBuf {
    if let Ok(path) = std::env::var("BERTH_GUEST") {
        return path.into();
    }
    let target = folder().parent().expect("target/debug lies in target").to_owned();
    let triple = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let path = target.join(triple).join("guest/berth-guest");
    assert!(path.is_file(), "`{path}` is not there: run `./dev guest`");
    path
}

/// Whether the interface has been built into the programs, and not just its placeholder.
///
/// # Panics
/// Where it has not been.
pub fn assert_interface_is_built() {
    let module = repository().join("ui/dist/ui_bg.wasm");
    assert!(module.is_file(), "the interface is not built: run `./dev ui`, then `./dev build`");
}

/// Whether this machine has a program, by its name on `PATH`.
pub fn is_installed(name: &str) -> bool {
    Command::new("sh").args(["-c", "command -v \"$0\"", name]).output().is_ok_and(|found| found.status.success())
}
