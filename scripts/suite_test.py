"""How `./dev test` counts, seen from outside: with a cargo that says what a test wants to be said."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent
OK = "     Running unittests src/lib.rs (target/debug/deps/a-1)\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured\n"
BROKEN = "     Running tests/b.rs (target/debug/deps/b-1)\ntest result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured\n"
CRASHED = "     Running tests/c.rs (target/debug/deps/c-1)\nrunning 4 tests\n"
DOC_TWICE = "   Doc-tests a\ntest result: ok. 1 passed; 0 failed;\ntest result: ok. 2 passed; 0 failed;\n"


class Counting(unittest.TestCase):
    def suite(self, says, status, part="cargo_tests trial"):
        """The last line and the exit status of a suite of one part, whose cargo `says` that and ends so."""
        with tempfile.TemporaryDirectory() as folder:
            cargo = Path(folder, "cargo")
            cargo.write_text(f"#!/bin/sh\ncat <<'END'\n{says}END\nexit {status}\n")
            cargo.chmod(0o755)
            script = f"""
                set -euo pipefail
                cd '{CHECKOUT}'
                source scripts/say.sh; source scripts/needs.sh; source scripts/suite.sh
                DEV='{folder}'; mkdir "$DEV/log"
                part_trial() {{ {part}; }}
                suite trial
            """
            done = subprocess.run(
                ["bash", "-c", script],
                env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            return done.stdout.splitlines()[-1], done.returncode

    def test_results_of_all_binaries_are_added(self):
        self.assertEqual(self.suite(OK + OK, 0), ("6 passed, 0 failed", 0))

    def test_a_failed_test_fails_the_suite(self):
        self.assertEqual(self.suite(OK + BROKEN, 101), ("5 passed, 1 failed", 1))

    def test_a_binary_without_a_result_counts_as_failed(self):
        self.assertEqual(self.suite(OK + CRASHED, 101), ("3 passed, 1 failed", 1))
        self.assertEqual(self.suite(CRASHED + BROKEN + OK, 101), ("5 passed, 2 failed", 1))

    def test_what_does_not_compile_counts_as_failed(self):
        self.assertEqual(self.suite("error: could not compile\n", 101), ("0 passed, 1 failed", 1))

    def test_no_test_at_all_counts_as_failed(self):
        self.assertEqual(self.suite("", 0), ("0 passed, 1 failed", 1))

    def test_documentation_tests_with_two_results_hide_no_failure(self):
        self.assertEqual(self.suite(DOC_TWICE, 0), ("3 passed, 0 failed", 0))
        self.assertEqual(self.suite(DOC_TWICE + BROKEN, 101), ("5 passed, 1 failed", 1))

    def test_whatever_clippy_says_of_what_it_compiles_counts_as_failed(self):
        lints = "checked clippy lints cargo --all-targets"
        self.assertEqual(self.suite("", 0, lints), ("1 passed, 0 failed", 0))
        self.assertEqual(self.suite("warning: this could be simpler\n", 0, lints), ("0 passed, 1 failed", 1))
        self.assertEqual(self.suite("", 101, lints), ("0 passed, 1 failed", 1))


class Images(unittest.TestCase):
    """The part that builds images, with a Python that writes down what it is called with, and fails for one image."""

    def images(self, **environment):
        with tempfile.TemporaryDirectory() as folder:
            calls = Path(folder, "calls")
            for name, script in {
                "cargo": "exit 0",
                "python": f"""
                    echo "$*" >>{calls}
                    for last do :; done
                    [ "$3" != build ] || printf '[%s]\\nreference = "berth/%s:1-a"\\n' $last $last >>{folder}/image.lock
                    [ $last != {environment.pop("broken", "none")} ]""",
            }.items():
                Path(folder, name).write_text(f"#!/bin/sh\n{script}\n")
                Path(folder, name).chmod(0o755)
            script = f"""
                set -euo pipefail
                cd '{CHECKOUT}'
                source scripts/say.sh; source scripts/needs.sh; source scripts/suite.sh
                DEV='{folder}' PYTHON='{folder}/python'; mkdir "$DEV/log"
                suite images
            """
            done = subprocess.run(
                ["bash", "-c", script],
                env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", **environment},
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            lines = calls.read_text().splitlines()
        return done.stdout.splitlines(), [line.split()[-1] for line in lines if " build " in line], lines

    def folders(self):
        return sorted(path.parent.name for path in CHECKOUT.glob("agent-images/*/image.toml"))

    def test_each_image_is_a_test_and_what_is_left_out_is_said(self):
        output, built, _ = self.images(BERTH_TEST_IMAGES="base script")
        self.assertEqual((output[-1], built), ("2 passed, 0 failed", ["base", "script"]))
        left_out = [name for name in self.folders() if name not in built]
        self.assertIn(f"images that were not built: {' '.join(left_out)} (BERTH_TEST_IMAGES=all builds them)", output)

    def test_all_are_built_where_that_is_asked_for(self):
        output, built, _ = self.images(BERTH_TEST_IMAGES="all")
        self.assertEqual(built, self.folders())
        self.assertFalse([line for line in output if "not built" in line])

    def test_an_image_that_fails_is_a_failed_test_and_the_others_are_built(self):
        output, built, _ = self.images(BERTH_TEST_IMAGES="base script", broken="base")
        self.assertEqual((output[-1], built), ("1 passed, 1 failed", ["base", "script"]))
        self.assertIn("failed: image base", output)

    def test_the_browsers_profile_and_desktop_are_tried_on_what_was_built(self):
        _, _, lines = self.images(BERTH_TEST_IMAGES="base browser")
        self.assertIn("-B scripts/seccomp_try.py berth/browser:1-a", lines)
        self.assertIn("-B scripts/vnc_try.py berth/browser:1-a", lines)


if __name__ == "__main__":
    unittest.main()
