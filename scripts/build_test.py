"""Where `./dev` puts the guest, with a cargo that builds what a test wants to be built."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent
CARGO = """#!/bin/sh
folder=target/x86_64-unknown-linux-musl/guest
mkdir -p $folder
printf %s "$BUILT" >$folder/berth-guest
"""


class PuttingTheGuest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        # Where `locate` of the core looks: beside the programs, by the architecture in Rust's words.
        self.beside = self.folder / "target/debug/berth-guest-x86_64"
        cargo = self.folder / "cargo"
        cargo.write_text(CARGO)
        cargo.chmod(0o755)

    def build(self, built):
        """Builds a guest that is these letters; what `BERTH_GUEST` says then."""
        script = f"""
            set -euo pipefail
            cd '{self.folder}'
            source '{CHECKOUT}/scripts/say.sh'; source '{CHECKOUT}/scripts/build.sh'
            guest_target() {{ echo x86_64-unknown-linux-musl; }}
            build_guest
            echo "$BERTH_GUEST"
        """
        env = {**os.environ, "BUILT": built, "PATH": f"{self.folder}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, timeout=30, check=True)
        return Path(done.stdout.strip())

    def test_a_program_that_is_called_by_itself_finds_the_guest_beside_it(self):
        exported = self.build("one")
        self.assertEqual(self.beside.read_text(), "one")
        self.assertEqual(exported.read_text(), "one")

    def test_the_copy_follows_the_guest_and_is_left_alone_where_that_is_the_same(self):
        self.build("one")
        before = self.beside.stat()
        self.build("one")
        self.assertEqual((self.beside.stat().st_ino, self.beside.stat().st_mtime_ns), (before.st_ino, before.st_mtime_ns))
        self.build("two")
        self.assertEqual(self.beside.read_text(), "two")
        self.assertEqual([path.name for path in self.beside.parent.iterdir()], [self.beside.name])


if __name__ == "__main__":
    unittest.main()
