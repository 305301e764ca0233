//! What a hostile agent with the guest's own uid tries; the container tests run it inside a sandbox.
//!
//! ```text
//! attacker               tries all of it on the guest and on the shim above itself
//! attacker against PID   tries to get at one process
//! attacker victim        says its pid and waits until its input ends: a program that does nothing for its own safety
//! attacker impostor      takes the guest's socket where nobody has it
//! attacker init          does nothing, as PID 1 of a container that has no guest
//! ```
//!
//! One line per attempt: `held <name>` where it was refused, `BROKEN <name>` where it succeeded. It kills nothing of
//! its own, so that each attempt is made.

use std::fs::{self, File, OpenOptions};
use std::io::{IoSliceMut, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::Duration;

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::{Pid, Uid, getppid, pause, setuid};

const GUEST: &str = "/berth/berth-guest";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => try_everything(),
        ["against", pid] => {
            let mut attempts = Attempts::default();
            attempts.on_process("victim", Pid::from_raw(pid.parse().expect("a pid")));
            attempts.tell();
        }
        ["victim"] => {
            let text = format!("{}\n", std::process::id());
            std::io::stdout().write_all(text.as_bytes()).expect("standard output is open");
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
        }
        ["impostor"] => {
            let _taken = UnixListener::bind_addr(&socket()).expect("nobody has the name");
            pause();
        }
        ["init"] => pause(),
        _ => std::process::exit(2),
    }
}

/// What was tried, a line each.
#[derive(Default)]
struct Attempts {
    lines: Vec<String>,
}

impl Attempts {
    fn add(&mut self, name: impl AsRef<str>, has_succeeded: bool) {
        self.lines.push(format!("{} {}", if has_succeeded { "BROKEN" } else { "held" }, name.as_ref()));
    }

    fn on_process(&mut self, who: &str, pid: Pid) {
        let mut tried = |name: String, has_succeeded: bool| self.add(name, has_succeeded);
        tried(format!("{who}: read memory"), File::open(format!("/proc/{pid}/mem")).is_ok());
        let writing = OpenOptions::new().write(true).open(format!("/proc/{pid}/mem"));
        tried(format!("{who}: write memory"), writing.is_ok());
        tried(format!("{who}: read environment"), fs::read(format!("/proc/{pid}/environ")).is_ok());
        tried(format!("{who}: open its pipe"), File::open(format!("/proc/{pid}/fd/0")).is_ok());
        tried(format!("{who}: read its program"), File::open(format!("/proc/{pid}/exe")).is_ok());
        tried(format!("{who}: trace"), ptrace::attach(pid).is_ok());
        let mut byte = [0; 1];
        let remote = [RemoteIoVec { base: 0x40_0000, len: 1 }];
        let copied = process_vm_readv(pid, &mut [IoSliceMut::new(&mut byte)], &remote);
        tried(format!("{who}: copy memory"), copied.is_ok());
    }

    fn tell(&self) {
        let text = self.lines.join("\n") + "\n";
        std::io::stdout().write_all(text.as_bytes()).expect("standard output is open");
    }
}

fn socket() -> SocketAddr {
    SocketAddr::from_abstract_name("berth-guest").expect("a valid name")
}

fn try_everything() {
    let mut attempts = Attempts::default();
    attempts.on_process("guest", Pid::from_raw(1));
    // The shim above this process.
    attempts.on_process("shim", getppid());

    let name = socket();
    let mut tried = |name: &str, has_succeeded: bool| attempts.add(name, has_succeeded);
    tried("take the socket's name", UnixListener::bind_addr(&name).is_ok());
    tried("speak over the socket", is_answered(&name));
    tried("become the connector", setuid(Uid::from_raw(64_000)).is_ok());

    tried("read the guest's program", File::open(GUEST).is_ok());
    tried("write the guest's program", OpenOptions::new().write(true).open(GUEST).is_ok());
    tried("remove the guest's program", fs::remove_file(GUEST).is_ok());
    tried("move the guest's program", fs::rename(GUEST, "/berth/x").is_ok());
    tried("add a file beside it", File::create("/berth/x").is_ok());
    tried("move the folder", fs::rename("/berth", "/x").is_ok());

    // What these do is seen from outside: the guest must still answer.
    for signal in Signal::iterator() {
        let _ = kill(Pid::from_raw(1), signal);
    }
    attempts.lines.push("signalled the guest".into());
    attempts.tell();
}

/// Sends the beginning of a multiplexed conversation and waits for a single byte.
fn is_answered(name: &SocketAddr) -> bool {
    let Ok(mut stream) = UnixStream::connect_addr(name) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let _ = stream.write_all(&[0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
    let _ = stream.write_all(&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 21]);
    let _ = stream.write_all(b"\0\0\0\x11{\"ask\":\"control\"}");
    // A second one must not be let in by the first.
    stream.read(&mut [0; 1]).is_ok_and(|count| count > 0)
}
