"""`seccomp.json` is what `seccomp.py` prints, and allows no more than it means to: calls are put through the rules as the engine would."""

import json
import subprocess
import sys
import unittest
from pathlib import Path

import seccomp

FOLDER = Path(__file__).parent
SIGCHLD = 17
REGISTER = 2**64 - 1


def compared(argument, value):
    return {
        "SCMP_CMP_EQ": lambda: value == argument["value"],
        "SCMP_CMP_LT": lambda: value < argument["value"],
        "SCMP_CMP_MASKED_EQ": lambda: value & argument["value"] == argument["valueTwo"],
    }[argument["op"]]()


def is_allowed(call, *arguments, without=None):
    """Whether a rule allows it: all of its comparisons hold, on whole registers."""
    for rule in seccomp.profile(without)["syscalls"]:
        if call in rule["names"] and rule["action"] == "SCMP_ACT_ALLOW":
            if all(compared(one, arguments[one["index"]] & REGISTER) for one in rule.get("args", [])):
                return True
    return False


class Profile(unittest.TestCase):
    def test_the_file_is_what_the_script_prints(self):
        printed = subprocess.run([sys.executable, "-B", FOLDER / "seccomp.py"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(printed, (FOLDER / "seccomp.json").read_text(), "python3 seccomp.py >seccomp.json")
        self.assertEqual(json.loads(printed), seccomp.profile())

    def test_no_rule_compares_an_argument_twice(self):
        # The engine would take one of the two for enough.
        for rule in seccomp.profile()["syscalls"]:
            indexes = [argument["index"] for argument in rule.get("args", [])]
            self.assertEqual(len(indexes), len(set(indexes)), rule)

    def test_a_call_is_named_once_unless_its_arguments_are_compared(self):
        plain = [name for rule in seccomp.profile()["syscalls"] if not rule.get("args") for name in rule["names"]]
        compared_too = {name for rule in seccomp.profile()["syscalls"] if rule.get("args") for name in rule["names"]}
        self.assertEqual(len(plain), len(set(plain)))
        self.assertEqual(compared_too & set(plain), set(), "a rule without arguments would make the others void")

    def test_namespaces_are_those_of_chromium(self):
        user, pid, net, mounts = seccomp.NEWUSER, seccomp.NEWPID, seccomp.NEWNET, seccomp.NEWNS
        for flags in (0, user, user | pid | net, pid):
            self.assertTrue(is_allowed("clone", flags | SIGCHLD), hex(flags))
        for flags in (mounts, net, user | mounts, user | net, user | pid, user | pid | net | mounts, seccomp.NEWIPC, seccomp.NEWUTS):
            self.assertFalse(is_allowed("clone", flags | SIGCHLD), hex(flags))
        self.assertTrue(is_allowed("unshare", user))
        for flags in (mounts, net, user | mounts, user | net, 0x80, 0):
            self.assertFalse(is_allowed("unshare", flags), hex(flags))

    def test_each_addition_is_needed_for_its_call(self):
        calls = {
            "clone-user": ("clone", seccomp.NEWUSER),
            "clone-user-pid-net": ("clone", seccomp.NEWUSER | seccomp.NEWPID | seccomp.NEWNET),
            "clone-pid": ("clone", seccomp.NEWPID),
            "unshare-user": ("unshare", seccomp.NEWUSER),
            "chroot": ("chroot",),
        }
        self.assertEqual(calls.keys(), seccomp.ADDITIONS.keys())
        for name, call in calls.items():
            self.assertTrue(is_allowed(*call))
            self.assertFalse(is_allowed(*call, without=name))

    def test_what_only_a_capability_allows_is_not_allowed(self):
        for call in ("mount", "umount2", "pivot_root", "setns", "bpf", "perf_event_open", "keyctl", "add_key", "open_tree", "fsopen"):
            self.assertFalse(is_allowed(call), call)
        for call in ("userfaultfd", "io_uring_setup", "kexec_load", "init_module", "sethostname", "clone3", "socketcall"):
            self.assertFalse(is_allowed(call), call)

    def test_sockets_are_of_networks_and_of_what_is_asked_of_the_kernel_about_them(self):
        cloexec = 0x80000
        for family, kind, protocol in [(1, 1, 0), (2, 1 | cloexec, 0), (10, 2, 0), (2, 2, 17), (16, 3, 0), (16, 3, 4), (16, 2, 15)]:
            self.assertTrue(is_allowed("socket", family, kind, protocol), (family, kind, protocol))
        # AF_PACKET, raw, netfilter, IPsec, audit, AF_KEY, AF_ALG, AF_VSOCK, AF_XDP
        for family, kind, protocol in [
            (17, 3, 0), (2, 3, 1), (10, 3, 58), (16, 3, 12), (16, 3, 6), (16, 3, 9), (15, 3, 2), (38, 5, 0), (40, 1, 0), (44, 3, 0)
        ]:  # fmt: skip
            self.assertFalse(is_allowed("socket", family, kind, protocol), (family, kind, protocol))

    def test_no_option_of_netfilter_is_reached_also_not_by_the_half_that_the_kernel_ignores(self):
        self.assertTrue(is_allowed("setsockopt", 3, 0, 11))
        self.assertTrue(is_allowed("setsockopt", 3, 41, 67))
        for level in (0, 41):
            for option in (64, 65, 96, 128):
                for high in (0, 1 << 32, 0xFFFFFFFF << 32):
                    self.assertFalse(is_allowed("setsockopt", 3, level, option | high), (level, option))
                    self.assertFalse(is_allowed("setsockopt", 3, level | 1 << 32, option | high), (level, option))


if __name__ == "__main__":
    unittest.main()
