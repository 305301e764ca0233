//! What a hostile agent with the guest's own uid tries; the container tests run it inside a sandbox.
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
use nix::unistd::{Pid, Uid, getppid, setuid};

const GUEST: &str = "/berth/berth-guest";

fn main() {
    let mut lines = Vec::new();
    let mut tried = |name: String, has_succeeded: bool| {
        lines.push(format!("{} {name}", if has_succeeded { "BROKEN" } else { "held" }));
    };
    // PID 1, and the shim above this process.
    for pid in [Pid::from_raw(1), getppid()] {
        let who = if pid.as_raw() == 1 { "guest" } else { "shim" };
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

    let name = SocketAddr::from_abstract_name("berth-guest").expect("a valid name");
    tried("take the socket's name".into(), UnixListener::bind_addr(&name).is_ok());
    tried("speak over the socket".into(), is_answered(&name));
    tried("become the connector".into(), setuid(Uid::from_raw(64_000)).is_ok());

    tried("read the guest's program".into(), File::open(GUEST).is_ok());
    tried("write the guest's program".into(), OpenOptions::new().write(true).open(GUEST).is_ok());
    tried("remove the guest's program".into(), fs::remove_file(GUEST).is_ok());
    tried("move the guest's program".into(), fs::rename(GUEST, "/berth/x").is_ok());
    tried("add a file beside it".into(), File::create("/berth/x").is_ok());
    tried("move the folder".into(), fs::rename("/berth", "/x").is_ok());

    // What these do is seen from outside: the guest must still answer.
    for signal in Signal::iterator() {
        let _ = kill(Pid::from_raw(1), signal);
    }
    lines.push("signalled the guest".into());
    let text = lines.join("\n") + "\n";
    std::io::stdout().write_all(text.as_bytes()).expect("standard output is open");
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
