//! Opens a link in the person's browser without putting its code on a command line, where every user of the machine could
//! read it: what the browser is started with is a private page that leads there.

use std::{
    fs,
    io::{self, Write},
};

use camino::Utf8Path;

/// The page's name in the data folder. It stays: its code is good once and not for long, and the next one overwrites it.
const PAGE: &str = "open.html";

/// Whether there is a screen to open a browser on.
pub(super) fn has_screen() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !cfg!(target_os = "linux") || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")
}

/// Opens the link.
pub(super) fn open(data_folder: &Utf8Path, link: &str) -> io::Result<()> {
    let page = data_folder.join(PAGE);
    match fs::remove_file(&page) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&page)?.write_all(leading_to(link).as_bytes())?;
    ::open::that_detached(page.as_std_path())
}

/// A page that leads to that link of ours, which needs no escaping: an address and base64url.
fn leading_to(link: &str) -> String {
    format!(
        "<!doctype html><meta charset=\"utf-8\"><meta name=\"referrer\" content=\"no-referrer\">\
         <meta http-equiv=\"refresh\" content=\"0; url={link}\"><title>Berth</title>\n"
    )
}
