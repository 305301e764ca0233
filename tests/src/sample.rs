//! Task files for the agent `script`.

use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};

/// A task file with these blocks of `sh`, in order.
pub fn script(blocks: &[&str]) -> String {
    let mut text = String::from("# A task of a test\n");
    for block in blocks {
        let _infallible = write!(text, "\n```sh\n{}\n```\n", block.trim_end());
    }
    text
}

/// The same with front matter in front.
pub fn script_with(front_matter: &str, blocks: &[&str]) -> String {
    format!("---\n{}\n---\n{}", front_matter.trim(), script(blocks))
}

/// A task that writes its own proof: `SEED` decides a stream of `mebibytes` MiB, which goes to the output, and its SHA-256 to
/// `/workspace/sha256`. It says when it began and when it is half way, and appends one line to `/workspace/began` each time
/// it is started. In the middle it waits until `/workspace/go` is there, so that a test decides what happens meanwhile.
///
/// The stream is base64 in lines, so that a terminal shows it as it is; carriage returns that a terminal adds are not counted.
pub fn witness(seed: u32, mebibytes: u32) -> String {
    let block = format!(
        r#"
import base64, hashlib, os, pathlib, random, sys, time
place = pathlib.Path("/workspace")
with open(place / "began", "a") as began:
    began.write("once\n")
stream = random.Random({seed})
digest = hashlib.sha256()
def say(text):
    digest.update(text)
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()
def half():
    for _ in range({mebibytes} * 8):
        say(base64.encodebytes(stream.randbytes(48 * 1024)))
say(b"<begin>\n")
half()
(place / "half").write_text("here")
while not (place / "go").exists():
    time.sleep(0.02)
half()
say(b"<end>\n")
(place / "sha256").write_text(digest.hexdigest())
"#
    );
    format!("# A witness of its own output\n\n```python\n{}\n```\n", block.trim())
}

/// The part of an output from `<begin>` to `<end>` and its line, without the carriage returns of a terminal.
///
/// # Panics
/// Where either is missing.
pub fn witnessed(output: &[u8]) -> Vec<u8> {
    let clean: Vec<u8> = output.iter().copied().filter(|&byte| byte != b'\r').collect();
    let find = |needle: &[u8]| clean.windows(needle.len()).rposition(|window| window == needle);
    let (begin, end) = (b"<begin>\n".as_slice(), b"<end>\n".as_slice());
    // The agent echoes a block before it runs it, so that the words stand in the output more than once: the last count.
    let (from, to) = (find(begin).expect("the output begins"), find(end).expect("the output ends"));
    clean[from..to + end.len()].to_vec()
}

/// Writes a file and returns its path.
///
/// # Panics
/// Where it cannot be written.
pub fn write(folder: &Utf8Path, name: &str, content: impl AsRef<[u8]>) -> Utf8PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap_or_else(|error| panic!("`{path}` cannot be written: {error}"));
    path
}
