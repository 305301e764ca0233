//! What the agents of a soak are told to do. Every byte that they print is known beforehand.

/// The file in which an agent leaves the hash of what it says it printed.
pub(crate) const WITNESS: &str = "sha256";
/// The file that gets one line each time that the agent is started.
pub(crate) const BEGAN: &str = "began";

/// Output of numbered lines that no two tasks share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    /// Tells one task's lines from another's.
    pub(crate) seed: u32,
    /// How many.
    pub(crate) count: u32,
    /// What is appended to each line, in bytes.
    pub(crate) padding: u32,
    /// How many are printed at once.
    pub(crate) batch: u32,
    /// How long to wait after each batch, in milliseconds.
    pub(crate) pause_ms: u32,
}

impl Lines {
    /// The whole output, from the first line to the last, without the marks around it.
    pub(crate) fn expected(self) -> Vec<u8> {
        let padding = "x".repeat(self.padding as usize);
        (0..self.count).flat_map(|number| format!("{number:08} {:08x} {padding}\n", self.seed).into_bytes()).collect()
    }

    /// A block that prints them, leaves `files` more files, and then a proof.
    fn block(self, files: u32, last: &str) -> String {
        let Self { seed, count, padding, batch, pause_ms } = self;
        format!(
            r#"```python
import hashlib, pathlib, sys, time
place = pathlib.Path("/workspace")
with open(place / "{BEGAN}", "a") as began:
    began.write("once\n")
digest = hashlib.sha256()
out = sys.stdout.buffer
out.write(b"<begin>\n")
padding = "x" * {padding}
for first in range(0, {count}, {batch}):
    text = "".join("%08d %08x %s\n" % (n, {seed}, padding) for n in range(first, min(first + {batch}, {count}))).encode()
    digest.update(text)
    out.write(text)
    out.flush()
    time.sleep({pause_ms} / 1000)
out.write(b"<end>\n")
out.flush()
for number in range({files}):
    (place / ("file-%03d" % number)).write_text("%08x %d\n" % ({seed}, number))
(place / "{WITNESS}").write_text(digest.hexdigest())
{last}
```
"#
        )
    }

    /// A task that prints them and completes.
    pub(crate) fn prompt(self, files: u32) -> String {
        format!("# A task of a soak\n\n{}", self.block(files, ""))
    }

    /// A task that prints them, and then works on until somebody ends it.
    pub(crate) fn endless(self) -> String {
        format!("# A task of a soak that does not end\n\n{}", self.block(0, "time.sleep(3600)"))
    }

    /// A task that fails the first time that it runs in its home, and completes the next time.
    pub(crate) fn failing_once(self, mark: &str) -> String {
        let last = format!(
            r#"mark = pathlib.Path("/home/agent") / "{mark}"
if not mark.exists():
    mark.write_text("here")
    raise SystemExit(3)
mark.unlink()"#
        );
        format!("# A task of a soak that fails once\n\n{}", self.block(0, &last))
    }
}

/// What of an output is the task's own: between the marks, without the carriage returns of a terminal. What has begun and not
/// ended is what there is of it; `None` where it has not begun.
pub(crate) fn own(output: &[u8]) -> Option<Vec<u8>> {
    let clean: Vec<u8> = output.iter().copied().filter(|&byte| byte != b'\r').collect();
    let find = |needle: &[u8]| clean.windows(needle.len()).rposition(|window| window == needle);
    // The agent echoes a block before it runs it, with a bar before each line: there the words are followed by no line's end.
    let begin = find(b"\n<begin>\n")? + b"\n<begin>\n".len();
    let end = find(b"\n<end>\n").filter(|&end| end + 1 >= begin).map_or(clean.len(), |end| end + 1);
    Some(clean[begin..end].to_vec())
}

/// Where two outputs part, in words; `None` where `found` is how `expected` begins.
pub(crate) fn parting(expected: &[u8], found: &[u8]) -> Option<String> {
    let at = expected.iter().zip(found).position(|(one, other)| one != other);
    let shown = |bytes: &[u8], at: usize| {
        String::from_utf8_lossy(&bytes[at.saturating_sub(20).min(bytes.len())..(at + 30).min(bytes.len())]).into_owned()
    };
    match at {
        Some(at) => Some(format!("at byte {at}: expected {:?}, found {:?}", shown(expected, at), shown(found, at))),
        None if found.len() > expected.len() => {
            Some(format!("{} bytes too many: {:?}", found.len() - expected.len(), shown(found, expected.len())))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: Lines = Lines { seed: 7, count: 5, padding: 3, batch: 2, pause_ms: 0 };

    #[test]
    fn what_is_expected_is_what_python_prints() {
        let code = LINES.prompt(0);
        let code = code.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
        let folder = camino_tempfile::tempdir().unwrap();
        let code = code.replace("/workspace", folder.path().as_str());
        let ran = std::process::Command::new("python3").args(["-c", &code]).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        let mut output = b"echo\n".to_vec();
        output.extend(&ran.stdout);
        assert_eq!(own(&output).unwrap(), LINES.expected());
        let said = std::fs::read_to_string(folder.path().join(WITNESS)).unwrap();
        assert_eq!(said, hex::encode(<sha2::Sha256 as sha2::Digest>::digest(LINES.expected())));
    }

    #[test]
    fn what_is_lost_doubled_or_changed_is_told_from_what_is_cut_off() {
        let expected = LINES.expected();
        assert_eq!(parting(&expected, &expected[..20]), None);
        assert!(parting(&expected, &expected[1..]).is_some(), "lost");
        let mut doubled = expected.clone();
        doubled.extend(&expected[..4]);
        assert!(parting(&expected, &doubled).unwrap().contains("4 bytes too many"));
    }

    #[test]
    fn an_output_that_did_not_end_is_what_there_is_of_it() {
        assert_eq!(own(b"x\r\n<begin>\r\n00\r\n11"), Some(b"00\n11".to_vec()));
        assert_eq!(own(b"  | out.write(b\"<begin>\\n\")\n"), None);
        assert_eq!(own(b"\n<begin>\n<end>\n"), Some(Vec::new()));
    }
}
