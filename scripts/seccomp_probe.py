"""Runs inside a sandbox: what a process there can reach, a line each, as `open NAME` or `closed NAME: why`. For seccomp_try.py."""

import ctypes
import mmap
import os
import signal
import socket
import struct

NEWNS, NEWUTS, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x10000000, 0x20000000, 0x40000000
SYS = {
    "x86_64": {"clone": 56, "setns": 308, "bpf": 321, "keyctl": 250, "io_uring_setup": 425, "mount": 165},
    "aarch64": {"clone": 220, "setns": 268, "bpf": 280, "keyctl": 219, "io_uring_setup": 425, "mount": 40},
}[os.uname().machine]
LIBC = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    values = [ctypes.c_char_p(one) if isinstance(one, bytes) else ctypes.c_long(one) for one in arguments]
    if LIBC.syscall(ctypes.c_long(SYS[name]), *values) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def unshare(flags):
    checked(LIBC.unshare(flags))


def inside(flags, probe):
    """`probe` in a child with these namespaces and the id 0 in its own, where it has all capabilities."""
    uid, gid = os.getuid(), os.getgid()
    reader, writer = os.pipe()
    child = LIBC.syscall(ctypes.c_long(SYS["clone"]), ctypes.c_long(flags | signal.SIGCHLD), None, None, None, None)
    checked(child)
    if child == 0:
        try:
            for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(text)
            probe()
            os._exit(0)
        except OSError as error:
            os.write(writer, str(error).encode())
            os._exit(1)
    os.close(writer)
    why = os.read(reader, 1000).decode()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise OSError(0, why or f"killed by {signal.Signals(-status).name}")


def in_chromiums(probe):
    return lambda: inside(NEWUSER | NEWPID | NEWNET, probe)


def add_interface():
    """RTM_NEWLINK of rtnetlink(7): a bridge, by which a kernel module would be loaded."""
    kind = struct.pack("=HH", 8 + 3, 1) + b"bridge\0\0"[:7] + b"\0"
    kind = struct.pack("=HH", 4 + 6, 1) + b"bridge" + b"\0\0"
    body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + struct.pack("=HH", 4 + len(kind), 18) + kind
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
        route.send(struct.pack("=IHHII", 16 + len(body), 16, 0x605, 1, 0) + body)
        code = struct.unpack_from("=i", route.recv(4096), 16)[0]
    if code:
        raise OSError(-code, os.strerror(-code))


def word_size_of_others():
    """getpid by the gate of 32-bit programs, whose calls have other numbers."""
    if os.uname().machine != "x86_64":
        raise OSError(0, "not on this machine")
    child = os.fork()
    if child == 0:
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(bytes.fromhex("b814000000cd80c3"))
        run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
        os._exit(0 if run() > 0 else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise OSError(0, f"killed by {signal.Signals(-status).name}" if status < 0 else "refused")


PROBES = {
    "user namespace": lambda: inside(NEWUSER, lambda: None),
    "user namespace with processes and network": in_chromiums(lambda: None),
    "user namespace with mounts": lambda: inside(NEWUSER | NEWNS, lambda: None),
    "namespace of mounts within it": in_chromiums(lambda: unshare(NEWNS)),
    "namespace of host names within it": in_chromiums(lambda: unshare(NEWUTS)),
    "mount within it": in_chromiums(lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, 0)),
    "setns within it": in_chromiums(lambda: call("setns", os.open("/proc/self/ns/net", os.O_RDONLY), 0)),
    "chroot within it": in_chromiums(lambda: os.chroot("/tmp")),
    "host name within it": in_chromiums(lambda: socket.sethostname("other")),
    "netfilter within it": in_chromiums(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12).close()),
    "IPsec within it": in_chromiums(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 6).close()),
    "raw sockets within it": in_chromiums(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()),
    "packet sockets within it": in_chromiums(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()),
    "interfaces and traffic control within it": in_chromiums(add_interface),
    "kernel cryptography": lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET).close(),
    "io_uring": lambda: call("io_uring_setup", 1, 0),
    "bpf within it": in_chromiums(lambda: call("bpf", 0, 0, 0)),
    "keyrings": lambda: call("keyctl", 0, -3, 0),
    "calls of 32-bit programs": word_size_of_others,
}

for name, probe in PROBES.items():
    try:
        probe()
        print(f"open   {name}", flush=True)
    except OSError as error:
        # Bad arguments are looked at behind the filter.
        if error.errno in (14, 22):
            print(f"open   {name}", flush=True)
        else:
            print(f"closed {name}: {error}", flush=True)
