"""What `berth-script` does, seen from outside: a text goes in, output, exit status and report come out."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path(__file__).with_name("berth-script")
SECONDS_MAX = 30


def fenced(language, code):
    return f"```{language}\n{code}\n```\n"


class BerthScript(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.workspace = Path(folder.name, "workspace")
        self.workspace.mkdir()
        self.report = Path(folder.name, "report.json")

    def carry_out(self, text, **environment):
        return subprocess.run(
            [sys.executable, PROGRAM],
            input=text if isinstance(text, bytes) else text.encode(),
            cwd=self.workspace,
            env={**os.environ, "BERTH_REPORT": str(self.report), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS_MAX,
            check=False,
        )

    def error(self):
        return json.loads(self.report.read_text())["error"]

    def test_blocks_run_in_order_in_the_current_folder(self):
        text = fenced("sh", "echo one >> log") + "Then:\n\n" + fenced("bash", "echo two >> log")
        text += fenced("python", "open('log', 'a').write('three\\n')")
        done = self.carry_out(text)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual((self.workspace / "log").read_text(), "one\ntwo\nthree\n")
        self.assertFalse(self.report.exists())

    def test_each_block_is_echoed_before_its_output(self):
        done = self.carry_out("# Title\n\n" + fenced("sh", "echo $((6 * 7))"))
        self.assertEqual(
            done.stdout.decode(),
            "--- block 1 of 1: sh, line 3\n  | echo $((6 * 7))\n42\n--- done: 1 of 1 blocks\n",
        )

    def test_a_long_block_is_echoed_in_part_and_run_whole(self):
        done = self.carry_out(fenced("sh", "\n".join(["echo x >> log"] * 100)))
        self.assertIn("… 60 more lines", done.stdout.decode())
        self.assertEqual((self.workspace / "log").read_text(), "x\n" * 100)

    def test_the_first_block_that_fails_ends_the_work(self):
        text = fenced("sh", "true") + fenced("python", "print('the last words')\nraise SystemExit(3)") + fenced("sh", "touch late")
        done = self.carry_out(text)
        self.assertEqual(done.returncode, 3)
        self.assertFalse((self.workspace / "late").exists())
        self.assertEqual(
            self.error(),
            {
                "title": "block 2 of 3 (python, line 4) exited with 3",
                "detail": "the last words",
                "block": 2,
                "language": "python",
                "line": 4,
                "exit_code": 3,
            },
        )

    def test_a_command_that_fails_inside_a_block_fails_the_block(self):
        for language, code in [("sh", "false\ntouch late"), ("bash", "false | true\ntouch late")]:
            with self.subTest(language):
                self.assertEqual(self.carry_out(fenced(language, code)).returncode, 1)
                self.assertFalse((self.workspace / "late").exists())

    def test_a_block_that_is_killed_reports_the_signal(self):
        done = self.carry_out(fenced("bash", "kill -KILL $$"))
        self.assertEqual(done.returncode, 137)
        self.assertEqual(self.error()["title"], "block 1 of 1 (bash, line 1) was ended by SIGKILL")
        self.assertEqual(self.error()["exit_code"], 137)

    def test_the_report_keeps_whole_last_lines_and_stays_small(self):
        self.carry_out(fenced("sh", "seq 100000\nexit 9"))
        lines = self.error()["detail"].split("\n")
        self.assertEqual(lines[-1], "100000")
        self.assertEqual(lines, [str(n) for n in range(int(lines[0]), 100001)])
        self.assertLess(len(self.error()["detail"]), 4097)

    def test_output_is_forwarded_byte_for_byte(self):
        code = "import sys\nfor n in range(2000): sys.stdout.buffer.write(bytes(range(256)) * 16)"
        done = self.carry_out(fenced("python", code))
        self.assertEqual(done.stdout.count(bytes(range(256))), 2000 * 16)

    def test_output_arrives_while_the_block_runs(self):
        process = subprocess.Popen(
            [sys.executable, PROGRAM], cwd=self.workspace, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        process.stdin.write(fenced("sh", "echo here\nuntil [ -e go ]; do sleep 0.05; done").encode())
        process.stdin.close()
        while b"here\n" != process.stdout.readline():
            self.assertIsNone(process.poll())
        (self.workspace / "go").touch()
        self.assertEqual(process.wait(SECONDS_MAX), 0)

    def test_standard_error_is_part_of_the_output(self):
        self.carry_out(fenced("sh", "echo why >&2\nexit 1"))
        self.assertEqual(self.error()["detail"], "why")

    def test_a_block_reads_nothing_of_the_task(self):
        done = self.carry_out(fenced("sh", "cat; echo read") + fenced("sh", "touch second"))
        self.assertEqual(done.returncode, 0)
        self.assertTrue((self.workspace / "second").exists())

    def test_a_background_process_does_not_hold_the_work_up_and_is_heard_later(self):
        text = fenced("sh", "(until [ -e go ]; do sleep 0.05; done; echo from behind; touch gone; exec sleep 60) &\necho $! > pid")
        text += fenced("sh", "touch go\nuntil [ -e gone ]; do sleep 0.05; done\nkill $(cat pid)")
        done = self.carry_out(text)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn(b"from behind", done.stdout)

    def test_a_flood_from_the_background_does_not_hold_the_work_up(self):
        done = self.carry_out(fenced("sh", "yes &\necho $! > pid") + fenced("sh", "kill $(cat pid)"))
        self.assertEqual(done.returncode, 0)

    def test_python_blocks_import_from_the_current_folder(self):
        (self.workspace / "near.py").write_text("VALUE = 5")
        self.assertEqual(self.carry_out(fenced("python", "import near\nassert near.VALUE == 5")).returncode, 0)

    def test_blocks_of_other_languages_are_skipped_and_named(self):
        done = self.carry_out(fenced("json", "{}") + fenced("", "x") + fenced("sh", "touch ran"))
        self.assertIn("skipped: a block of json, line 1", done.stdout.decode())
        self.assertIn("skipped: a block of no language, line 4", done.stdout.decode())
        self.assertTrue((self.workspace / "ran").exists())

    def test_fences_are_found_as_commonmark_finds_them(self):
        text = "- item\n\n  ~~~~ SH title=x\n  echo '```' > a\n  ~~~~\n\n> ```python\n> open('b', 'w')\n> ```\n\n    ```sh\n    touch c\n    ```\n"
        self.assertEqual(self.carry_out(text).returncode, 0)
        self.assertEqual(sorted(path.name for path in self.workspace.iterdir()), ["a", "b"])

    def test_a_task_without_a_block_says_what_it_must_contain(self):
        for text, found in [("", "no fenced block"), ("Do something.", "no fenced block"), (fenced("rust", "x"), "`rust` only")]:
            with self.subTest(text):
                self.assertEqual(self.carry_out(text).returncode, 65)
                self.assertIn(found, self.error()["detail"])
                self.assertIn("```bash", self.error()["detail"])

    def test_a_task_that_is_not_utf_8_is_refused(self):
        self.assertEqual(self.carry_out(b"\xff\n" + fenced("sh", "touch ran").encode()).returncode, 65)
        self.assertIn("not UTF-8", self.error()["title"])
        self.assertFalse((self.workspace / "ran").exists())

    def test_a_huge_block_runs(self):
        self.assertEqual(self.carry_out(fenced("sh", "# " + "x" * 500_000 + "\ntouch ran")).returncode, 0)
        self.assertTrue((self.workspace / "ran").exists())


if __name__ == "__main__":
    unittest.main()
