#!/usr/bin/env python3
"""Prints `seccomp.json`, the profile of this image's sandboxes: `python3 seccomp.py >seccomp.json`.

It is Docker's default profile as it is for a sandbox, which has no capability and runs programs of its engine's own word size, with
what Chromium's sandbox needs beside it, and without what a process could reach only because of that. What each addition is for, what
they open and how that was tried is in ../README.md.

Format: Docker's, <https://docs.docker.com/engine/security/seccomp/>. Without a list of architectures the filter is for the engine's own,
and a call of another kind, a 32-bit program's, ends its process: such calls are numbered otherwise, and `socketcall` hides its arguments.
"""

import json
import sys

# What the default profile (moby/profiles, 2026) allows whatever the arguments are, of the calls that x86_64 or aarch64 have. A name that
# an engine does not know is left out by it.
ALLOWED = """
    accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown clock_adjtime clock_getres
    clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
    epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit
    exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl
    fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue
    futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid
    geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid
    getrlimit getrusage getsid getsockname gettid gettimeofday getuid getxattr getxattrat inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioctl ioprio_get
    ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen
    listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack membarrier
    memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr
    mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock
    munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe
    pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6
    pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages
    removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max
    sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
    sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
    semtimedop sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid
    setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setuid setxattr
    setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statmount
    statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun
    timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink
    unlinkat uretprobe utime utimensat utimes vfork vmsplice wait4 waitid write writev
""".split()

# These by their first argument: nothing but the execution domains of Linux, and the question which one it is.
PERSONALITIES = [0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF]

# clone(2), unshare(2)
NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
NAMESPACES = NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET
ENOSYS = 38

# socket(2), netlink(7)
UNIX, INET, INET6, NETLINK = 1, 2, 10, 16
STREAM, DATAGRAM, TYPE_MASK = 1, 2, 0xF
ROUTE, SOCK_DIAG, KOBJECT_UEVENT = 0, 4, 15

# setsockopt(2): levels whose options are the same in every namespace, and those beside which netfilter has put its own from 64 on.
SOL_IP, SOL_SOCKET, SOL_TCP, SOL_UDP, SOL_IPV6, SOL_SCTP, SOL_NETLINK, SOL_TLS, SOL_MPTCP = 0, 1, 6, 17, 41, 132, 270, 282, 284
NETFILTER_OPTIONS = 64
# IPV6_RECVTCLASS, _TCLASS, _AUTOFLOWLABEL, _ADDR_PREFERENCES, _MINHOPCOUNT, _ORIGDSTADDR, _RECVFRAGSIZE
IPV6_OPTIONS_ABOVE = [66, 67, 70, 72, 73, 74, 77]


def equal(index, value):
    return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}


def below(index, value):
    return {"index": index, "value": value, "op": "SCMP_CMP_LT"}


def masked(index, mask, value):
    """Docker calls the mask the value, and what must come out of it the second."""
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}


def allow(names, *arguments, comment=None, **when):
    rule = {"names": names, "action": "SCMP_ACT_ALLOW"}
    if arguments:
        rule["args"] = list(arguments)
    if comment:
        rule["comment"] = comment
    return rule | when


# Several arguments of one rule must all be so; of several rules for a call one is enough.
DEFAULT = [
    allow(ALLOWED),
    allow(["process_vm_readv", "process_vm_writev", "ptrace"], includes={"minKernel": "4.8"}),
    *(allow(["personality"], equal(0, value)) for value in PERSONALITIES),
    allow(["arch_prctl", "modify_ldt"], includes={"arches": ["amd64"]}),
    allow(["clone"], masked(0, NAMESPACES, 0)),
    # Its arguments lie in memory, where no filter reads: the C library takes `clone` where there is no `clone3`.
    {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
]

ADDITIONS = {
    "clone-user": allow(
        ["clone"], masked(0, NAMESPACES, NEWUSER), comment="Chromium tries whether it may have a user namespace of its own"
    ),
    "clone-user-pid-net": allow(
        ["clone"], masked(0, NAMESPACES, NEWUSER | NEWPID | NEWNET), comment="the zygote, in namespaces without processes and network"
    ),
    "clone-pid": allow(["clone"], masked(0, NAMESPACES, NEWPID), comment="each renderer, by itself in a namespace of processes"),
    "unshare-user": allow(["unshare"], equal(0, NEWUSER), comment="gives the capabilities of the first namespace away"),
    "chroot": allow(["chroot"], comment="takes the file system from the zygote and its renderers"),
}

# Who makes a user namespace has all capabilities in it, and so reaches parts of the kernel that are closed otherwise: these remain closed.
SOCKETS = [
    allow(["socket"], equal(0, UNIX)),
    *(allow(["socket"], equal(0, family), masked(1, TYPE_MASK, kind)) for family in (INET, INET6) for kind in (STREAM, DATAGRAM)),
    *(allow(["socket"], equal(0, NETLINK), equal(2, protocol)) for protocol in (ROUTE, SOCK_DIAG, KOBJECT_UEVENT)),
    # An option is compared with what may be, never with what may not: the kernel reads half of the register, the filter all of it.
    *(
        allow(["getsockopt", "setsockopt"], equal(1, level))
        for level in (SOL_SOCKET, SOL_TCP, SOL_UDP, SOL_SCTP, SOL_NETLINK, SOL_TLS, SOL_MPTCP)
    ),
    *(allow(["getsockopt", "setsockopt"], equal(1, level), below(2, NETFILTER_OPTIONS)) for level in (SOL_IP, SOL_IPV6)),
    *(allow(["getsockopt", "setsockopt"], equal(1, SOL_IPV6), equal(2, option)) for option in IPV6_OPTIONS_ABOVE),
]


def profile(without=None):
    """The profile, or what it would be without one of the additions."""
    additions = [rule for name, rule in ADDITIONS.items() if name != without]
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": DEFAULT + additions + SOCKETS}


def text(of):
    """One rule a line, so that a change of one is a line."""
    rules = ",\n".join(f"    {json.dumps(rule)}" for rule in of["syscalls"])
    return f'{{\n  "defaultAction": "{of["defaultAction"]}",\n  "syscalls": [\n{rules}\n  ]\n}}\n'


if __name__ == "__main__":
    sys.stdout.write(text(profile()))
