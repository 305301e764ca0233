"""How `./dev` gets what is missing: packages, and Rust with a curl that brings what a test wants to be brought."""

import hashlib
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent
# What is run in place of the real installer tells that it was, and how.
INSTALLER = '#!/bin/sh\necho "$@" >"$HOME/installed"\nmkdir -p "$HOME/.cargo/bin"\n'
INSTALLER += 'ln -s "$(command -v true)" "$HOME/.cargo/bin/cargo"\n'
CURL = """#!/bin/sh
while [ $# -gt 1 ]; do [ "$1" = --output ] && to=$2; shift; done
echo "$1" >>"$HOME/fetched"
case $1 in
    *.sha256) cat "$HOME/hash" >"$to" ;;
    *) cat "$HOME/installer" >"$to" ;;
esac
"""


class GettingRust(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name)
        tools = self.home / "tools"
        tools.mkdir()
        # All that the system has, but no Rust.
        for name in ["bash", "cat", "chmod", "cut", "dirname", "id", "ln", "mkdir", "sed", "sh", "sha256sum", "sort"]:
            (tools / name).symlink_to(subprocess.check_output(["which", name], text=True).strip())
        for name in ["tail", "tr", "true", "uname"]:
            (tools / name).symlink_to(subprocess.check_output(["which", name], text=True).strip())
        (tools / "curl").write_text(CURL)
        (tools / "curl").chmod(0o755)
        (self.home / "installer").write_text(INSTALLER)

    def get(self, published, system="debian"):
        """Gets Rust where `published` stands beside the installer; the finished process."""
        (self.home / "hash").write_text(published)
        script = f"""
            set -euo pipefail
            cd '{CHECKOUT}'
            DEV_BEFORE=$PATH
            mkdir() {{ :; }}; source scripts/say.sh; unset -f mkdir
            PATH=$DEV_BEFORE DEV=$HOME/dev; mkdir -p "$DEV/log"
            source scripts/needs.sh
            system() {{ echo {system}; }}
            if ! has cargo; then need_rust; fi
        """
        env = {key: value for key, value in os.environ.items() if key not in ("CARGO_HOME", "RUSTUP_HOME")}
        return subprocess.run(
            ["bash", "-c", script],
            env={**env, "HOME": str(self.home), "PATH": str(self.home / "tools")},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def test_the_published_installer_is_run_for_the_person_alone(self):
        done = self.get(hashlib.sha256(INSTALLER.encode()).hexdigest())
        asked = (self.home / "installed").read_text()
        wanted = re.search(r'^rust-version = "(.+)"$', (CHECKOUT / "Cargo.toml").read_text(), re.MULTILINE).group(1)
        self.assertIn(f"-y --profile minimal --default-toolchain {wanted} --component rustfmt,clippy", asked)
        self.assertIn("--target wasm32-unknown-unknown,", asked)
        self.assertIn(f"into {self.home}/.cargo", done.stderr)
        self.assertTrue(all(url.startswith("https://") for url in (self.home / "fetched").read_text().splitlines()))

    def test_a_hash_with_the_programs_name_behind_it_counts_too(self):
        self.get(hashlib.sha256(INSTALLER.encode()).hexdigest() + " *target/x/rustup-init\n")
        self.assertTrue((self.home / "installed").exists())

    def test_an_installer_that_is_not_the_published_one_is_not_run(self):
        done = self.get(hashlib.sha256(b"another").hexdigest())
        self.assertEqual(done.returncode, 1)
        self.assertIn("Fetching rustup: failed", done.stderr)
        self.assertFalse((self.home / "installed").exists())

    def test_a_hash_that_is_missing_is_no_permission(self):
        self.assertEqual(self.get("").returncode, 1)
        self.assertFalse((self.home / "installed").exists())

    def test_elsewhere_it_is_named_and_nothing_is_fetched(self):
        done = self.get("", system="fedora")
        self.assertEqual(done.returncode, 1)
        self.assertIn("missing: Rust", done.stderr)
        self.assertFalse((self.home / "fetched").exists())


class GettingPackages(unittest.TestCase):
    def test_every_purpose_keeps_a_log_of_its_own(self):
        with tempfile.TemporaryDirectory() as folder:
            script = f"""
                set -euo pipefail
                cd '{CHECKOUT}'
                source scripts/say.sh; source scripts/needs.sh
                DEV='{folder}'; mkdir "$DEV/log"
                system() {{ echo debian; }}
                can_be_root() {{ :; }}
                is_there() {{ [[ -e $DEV/installed ]]; }}
                apt_install() {{ echo "got $*"; touch "$DEV/installed"; }}
                need build engine
                rm "$DEV/installed"
                need base
            """
            subprocess.run(["bash", "-c", script], check=True, capture_output=True, timeout=30)
            logs = {log.name: log.read_text() for log in Path(folder, "log").iterdir()}
        self.assertEqual(set(logs), {"Installing-packages-for-build-engine.log", "Installing-packages-for-base.log"})
        self.assertEqual(logs["Installing-packages-for-base.log"], "got debootstrap\n")


if __name__ == "__main__":
    unittest.main()
