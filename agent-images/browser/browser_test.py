"""What `berth-browser` hands to Chromium and its list of authorities, with programs that write down how they were called."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path(__file__).with_name("berth-browser")
RECORDS = """#!/bin/sh
printf '%s\\n' "$@" >>"$RECORD/{name}"
{then}
"""
# Two that nobody vouches for (openssl req -x509 -newkey ed25519 -days 2).
AUTHORITIES = [
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", f"/CN={name}", "-days", "2", "-keyout", "/dev/null"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in ("one", "two")
]


class BerthBrowser(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.home = self.folder / "home"
        self.tools = self.folder / "tools"
        self.tools.mkdir()
        self.tool("chromium")
        self.tool("xdpyinfo")
        self.tool("certutil", 'case $1 in -N) touch "${3#sql:}/cert9.db" ;; -A) cat >/dev/null ;; esac')
        self.tool("berth-desktop", 'exec env DISPLAY=:1 XDPYINFO=0 python3 "$@"')

    def tool(self, name, then=""):
        path = self.tools / name
        path.write_text(RECORDS.format(name=name, then=then))
        path.chmod(0o755)

    def start(self, *arguments, **environment):
        """Starts it where no sandbox is asked for, so that this machine's namespaces do not matter."""
        env = {
            "HOME": str(self.home),
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "RECORD": str(self.folder),
            "DISPLAY": ":1",
            "BERTH_BROWSER_SANDBOX": "off",
            "SSL_CERT_FILE": str(self.folder / "none.pem"),
        }
        return subprocess.run(
            ["python3", "-B", PROGRAM, *arguments], env=env | environment, capture_output=True, text=True, timeout=30, check=False
        )

    def called(self, name):
        record = self.folder / name
        lines = record.read_text().splitlines() if record.exists() else []
        record.unlink(missing_ok=True)
        return lines

    def test_without_a_gateway_nothing_is_proxied(self):
        self.start("http://x/")
        self.assertEqual(self.called("chromium"), [f"--user-data-dir={self.home}/.config/chromium", "--no-sandbox", "http://x/"])

    def test_it_goes_out_by_the_gateway_and_not_to_loopback(self):
        self.start(http_proxy="http://127.0.0.1:1", https_proxy="http://127.0.0.1:2", no_proxy="localhost, 127.0.0.1,::1")
        arguments = self.called("chromium")
        self.assertIn("--proxy-server=http=http://127.0.0.1:1;https=http://127.0.0.1:2", arguments)
        self.assertIn("--proxy-bypass-list=localhost;127.0.0.1;[::1]", arguments)

    def test_the_weaker_way_is_said(self):
        self.assertIn("without its own sandbox, as asked", self.start().stderr)
        self.assertIn("without its own sandbox, as asked", self.start("--without-sandbox", BERTH_BROWSER_SANDBOX="").stderr)
        self.assertNotIn("--without-sandbox", self.called("chromium"))

    def test_authorities_come_and_go_with_the_sandbox(self):
        bundle = self.folder / "bundle.pem"
        bundle.write_text("".join(AUTHORITIES) + "-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n")
        self.start(SSL_CERT_FILE=str(bundle))
        calls = self.called("certutil")
        self.assertEqual((calls.count("-N"), calls.count("-A"), calls.count("-D"), calls.count("C,,")), (1, 2, 0, 2))
        self.start(SSL_CERT_FILE=str(bundle))
        self.assertEqual(self.called("certutil"), [])
        bundle.write_text(AUTHORITIES[0])
        self.start(SSL_CERT_FILE=str(bundle))
        calls = self.called("certutil")
        self.assertEqual((calls.count("-A"), calls.count("-D")), (0, 1))

    def test_a_profile_that_another_sandbox_holds_is_left_alone(self):
        profile = self.home / ".config/chromium"
        profile.mkdir(parents=True)
        (profile / "berth-lock").write_text("pid:[1]")
        with open(profile / "berth-lock") as held:
            subprocess.run(["flock", "--exclusive", str(held.fileno())], pass_fds=[held.fileno()], check=True)
            done = self.start()
            self.assertEqual(done.returncode, 75)
            self.assertIn("in use in another sandbox", done.stderr)
            self.assertEqual(self.called("chromium"), [])
            (profile / "berth-lock").write_text(os.readlink("/proc/self/ns/pid"))
            self.assertEqual(self.start().returncode, 0)
            self.assertNotEqual(self.called("chromium"), [])

    def test_without_a_display_the_desktop_comes_first_and_not_for_headless(self):
        self.tool("xdpyinfo", "exit ${XDPYINFO:-1}")
        self.start("http://x/")
        self.assertIn("http://x/", self.called("berth-desktop"))
        self.assertIn("http://x/", self.called("chromium"))
        self.start("--headless", "http://x/")
        self.assertEqual(self.called("berth-desktop"), [])
        self.assertIn("--headless", self.called("chromium"))


if __name__ == "__main__":
    unittest.main()
