"""`images.py update`, with an npm, a pip and an apt that say what a test wants to hear."""

import os
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

import images

PROGRAM = Path(__file__).with_name("images.py")
VERSIONS = """# What is pinned.

[base]
NODE = { from = "pypi:nodes", version = "24.1.0" }   # Long-term support.
OTHER = { version = "1.0", from = "npm:other" }

# The first is what a person reads.
[coder]
CODER = { from = "npm:@scope/coder", version = "1.9.0" }
NODE = { from = "npm:nodes", version = "24.1.0" }
"""
# `npm view PACKAGE …` and `pip index versions … PACKAGE` out of files.
NPM = '#!/bin/sh\ncat "$NEWEST/npm-$(echo "$2" | tr / _)" || { echo "npm error 404 $2" >&2; exit 1; }\n'
PIP = """
import os, sys
*_, package = sys.argv
print(open(f"{os.environ['NEWEST']}/pypi-{package}").read())
"""


class Updating(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.versions = self.folder / "versions.toml"
        self.versions.write_text(VERSIONS)
        npm = self.folder / "npm"
        npm.write_text(NPM)
        npm.chmod(0o755)
        (self.folder / "pip.py").write_text(PIP)
        self.newest("npm-other", '"1.0"')
        self.newest("npm-nodes", '"24.1.0"')
        self.newest("npm-@scope_coder", '"1.10.0"')
        self.newest("pypi-nodes", "nodes (24.2.0)\nAvailable versions: 24.2.0, 24.1.0")

    def newest(self, name, said):
        (self.folder / name).write_text(said)

    def update(self, *arguments):
        env = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "PYTHONPATH": str(self.folder), "NEWEST": str(self.folder)}
        command = [sys.executable, "-B", PROGRAM, "update", "--versions", self.versions, *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    def test_what_is_newer_is_pinned_and_said_and_the_rest_of_the_file_stays(self):
        done = self.update()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, "base: nodes 24.1.0 -> 24.2.0\ncoder: @scope/coder 1.9.0 -> 1.10.0\n")
        expected = VERSIONS.replace('"pypi:nodes", version = "24.1.0"', '"pypi:nodes", version = "24.2.0"').replace("1.9.0", "1.10.0")
        self.assertEqual(self.versions.read_text(), expected)
        self.assertEqual(self.update().stdout, "")

    def test_a_check_writes_nothing(self):
        self.assertIn("1.9.0 -> 1.10.0", self.update("--check").stdout)
        self.assertEqual(self.versions.read_text(), VERSIONS)

    def test_only_what_is_named_is_looked_up(self):
        (self.folder / "pypi-nodes").unlink()
        self.assertEqual(self.update("coder").stdout, "coder: @scope/coder 1.9.0 -> 1.10.0\n")

    def test_a_name_that_is_not_there_is_told_with_those_that_are(self):
        done = self.update("coda")
        self.assertEqual(done.returncode, 2)
        self.assertIn("nothing is pinned for coda; there are base, coder", done.stderr)

    def test_a_look_up_that_fails_leaves_the_others_done_and_is_an_error(self):
        (self.folder / "npm-other").unlink()
        done = self.update()
        self.assertEqual(done.returncode, 1)
        self.assertIn("error: base: other: npm view other dist-tags.latest --json failed: npm error 404 other", done.stderr)
        self.assertIn("1.10.0", self.versions.read_text())

    def test_an_older_version_is_not_gone_back_to(self):
        self.newest("npm-@scope_coder", '"1.8.99"')
        self.assertNotIn("coder", self.update().stdout)

    def test_what_is_no_version_never_gets_into_the_file(self):
        for said in ('"2\\"; evil"', '{"a": 1}', "", '"latest"'):
            with self.subTest(said):
                self.newest("npm-@scope_coder", said)
                done = self.update("coder")
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertEqual(self.versions.read_text(), VERSIONS)

    def test_a_pin_over_several_lines_is_refused_and_not_half_written(self):
        text = '[a]\nX.from = "npm:other"\nX.version = "0.9"\n'
        self.versions.write_text(text)
        done = self.update()
        self.assertIn("X of a is not written on one line", done.stderr)
        self.assertEqual(self.versions.read_text(), text)


class Pinned(unittest.TestCase):
    def test_what_is_pinned_has_a_known_source_a_version_and_a_place_in_its_dockerfile(self):
        text = images.VERSIONS.read_text()
        self.assertTrue(tomllib.loads(text))
        for pin in images.pins_of(text):
            with self.subTest(pin):
                self.assertIn(pin.source.partition(":")[0], images.SOURCES)
                self.assertRegex(pin.version, images.VERSION)
                dockerfile = images.VERSIONS.parent / pin.image / "Dockerfile"
                self.assertIn(f"ARG {pin.argument}\n", dockerfile.read_text())


if __name__ == "__main__":
    unittest.main()
