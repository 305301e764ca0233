"""The contract of the image with a program that no registry has: a stand-in speaks as its maker documents it, `berth-agent` runs it.

The stand-in is this test's; the image has the real one or is not built. Its failure to be built is tried with a `curl` that reaches
nothing.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).parent
BASE = HERE.parent / "base"
SECONDS_MAX = 30

sys.path.insert(0, str(BASE))
from reading_test import read

SESSION = "c6b62c6f-7ead-4fd6-9922-e952131177ff"

# Says what the documentation says that it does; what it was started with and given goes into a file.
STAND_IN = f'''#!{sys.executable}
import json, os, sys
prompt = sys.stdin.read()
with open(os.environ["STARTED"], "a") as file:
    file.write(json.dumps({{"arguments": sys.argv[1:], "prompt": prompt, "key": os.environ.get("CURSOR_API_KEY")}}) + "\\n")
if not os.environ.get("CURSOR_API_KEY"):
    print("Error: Authentication required. Please run 'agent login' first, or set CURSOR_API_KEY environment variable.", file=sys.stderr)
    sys.exit(1)
resumed = sys.argv[sys.argv.index("--resume") + 1] if "--resume" in sys.argv else None
if resumed == "gone":
    print("Error: Chat gone not found", file=sys.stderr)
    sys.exit(1)
session = resumed or "{SESSION}"
def say(**event):
    print(json.dumps({{**event, "session_id": session}}), flush=True)
say(type="system", subtype="init", apiKeySource="env", cwd=os.getcwd(), model="Composer 2", permissionMode="default")
say(type="user", message={{"role": "user", "content": [{{"type": "text", "text": prompt}}]}})
say(type="assistant", message={{"role": "assistant", "content": [{{"type": "text", "text": "I'll write it."}}]}})
call = {{"args": {{"path": "hello.txt", "fileText": "hello", "toolCallId": "tool_1"}}}}
say(type="tool_call", subtype="started", call_id="tool_1", tool_call={{"writeToolCall": call}})
open("hello.txt", "w").write("hello")
done = {{"success": {{"path": "hello.txt", "linesCreated": 1, "fileSize": 5}}}}
say(type="tool_call", subtype="completed", call_id="tool_1", tool_call={{"writeToolCall": {{**call, "result": done}}}})
say(type="assistant", message={{"role": "assistant", "content": [{{"type": "text", "text": "Done."}}]}})
say(type="result", subtype="success", duration_ms=5234, duration_api_ms=5234, is_error=False, result="I'll write it.Done.", request_id="10e11780")
'''


class CursorAgent(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name in ("bin", "home", "workspace"):
            (self.folder / name).mkdir()
        program = self.folder / "bin/cursor-agent"
        program.write_text(STAND_IN)
        program.chmod(0o755)
        self.report = self.folder / "report.json"

    def work(self, prompt, attempt=1, **environment):
        return subprocess.run(
            [sys.executable, BASE / "berth-agent", "headless", "--image", HERE],
            input=prompt.encode(),
            cwd=self.folder / "workspace",
            env={
                "PATH": f"{self.folder / 'bin'}:{HERE}:{os.environ['PATH']}",
                "HOME": str(self.folder / "home"),
                "PYTHONDONTWRITEBYTECODE": "1",
                "STARTED": str(self.folder / "started"),
                "BERTH_REPORT": str(self.report),
                "BERTH_STEP": "step",
                "BERTH_ATTEMPT": str(attempt),
                "CURSOR_API_KEY": "placeholder",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS_MAX,
            check=False,
        )

    def started(self):
        return [json.loads(line) for line in (self.folder / "started").read_text().splitlines()]

    def test_it_works_on_a_prompt_and_is_read(self):
        done = self.work("Write hello.txt.\n")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(done.stdout.decode(), "--- Cursor\nI'll write it.\n→ write hello.txt\nDone.\n")
        self.assertFalse(self.report.exists())
        record = json.loads((self.folder / "home/.berth/runs/step-1.json").read_text())
        self.assertEqual(record, {"session": SESSION, "usage": None, "model": "Composer 2"})
        self.assertEqual(
            self.started(),
            [{"arguments": ["--print", "--output-format", "stream-json", "--force"], "prompt": "Write hello.txt.\n", "key": "placeholder"}],
        )

    def test_a_later_attempt_goes_on_with_the_conversation(self):
        self.work("One.")
        self.assertEqual(self.work("Two.", attempt=2).returncode, 0)
        self.assertEqual(self.started()[1]["arguments"][-2:], ["--resume", SESSION])

    def test_a_conversation_that_is_gone_is_begun_anew(self):
        sessions = self.folder / "home/.berth/sessions"
        sessions.mkdir(parents=True)
        (sessions / "step").write_text("gone\n")
        self.assertEqual(self.work("Two.", attempt=2).returncode, 0)
        self.assertEqual([("--resume" in one["arguments"]) for one in self.started()], [True, False])

    def test_the_model_that_was_chosen_is_asked_for(self):
        self.work("One.", BERTH_MODEL="gpt-5.4")
        self.assertEqual(self.started()[0]["arguments"][:2], ["--model", "gpt-5.4"])

    def test_standing_instructions_come_before_the_prompt_that_begins(self):
        persona = self.folder / "persona.md"
        persona.write_text("Be brief.\n")
        self.work("One.", BERTH_PERSONA=str(persona))
        self.work("Two.", attempt=2, BERTH_PERSONA=str(persona))
        first, second = (one["prompt"] for one in self.started())
        self.assertIn("Be brief.", first)
        self.assertTrue(first.endswith("\nOne."), first)
        self.assertEqual(second, "Two.")

    def test_without_a_key_it_says_which_secret_it_needs(self):
        done = self.work("One.", CURSOR_API_KEY="")
        self.assertEqual(done.returncode, 1)
        error = json.loads(self.report.read_text())["error"]
        self.assertEqual(error["title"], "Cursor has no key that its service takes")
        self.assertIn("CURSOR_API_KEY, bound to the host api2.cursor.sh", error["detail"])


class CursorReader(unittest.TestCase):
    def test_a_tool_that_failed_is_said(self):
        call = {"type": "tool_call", "subtype": "completed", "call_id": "t", "session_id": SESSION}
        for result, text in [
            ({"failure": {"command": "false", "exitCode": 1, "stderr": "no"}}, "✗ no"),
            ({"rejected": {"reason": "a rule"}}, "✗ a rule"),
            ({"error": "whatever"}, "✗ whatever"),
            ({"success": {}}, ""),
        ]:
            with self.subTest(result):
                self.assertEqual(read("cursor", [call | {"tool_call": {"shellToolCall": {"args": {}, "result": result}}}])[1], text)

    def test_an_end_without_a_result_is_no_success(self):
        self.assertIn("without saying", read("cursor", [{"type": "system", "subtype": "init", "session_id": SESSION}])[0].error["title"])


class CursorImage(unittest.TestCase):
    def test_where_the_installer_cannot_be_reached_the_build_says_so(self):
        dockerfile = (HERE / "Dockerfile").read_text().replace("\\\n", " ")
        command = re.search(r"^RUN (.*cursor\.com/install.*)$", dockerfile, re.MULTILINE).group(1)
        with tempfile.TemporaryDirectory() as folder:
            curl = Path(folder, "curl")
            curl.write_text("#!/bin/sh\necho \"curl: (6) Could not resolve host: cursor.com\" >&2\nexit 6\n")
            curl.chmod(0o755)
            done = subprocess.run(
                ["sh", "-c", command.replace("/tmp/", f"{folder}/")], env={"PATH": f"{folder}:{os.environ['PATH']}"}, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
            )
        self.assertEqual(done.returncode, 1)
        for words in ["Could not resolve host: cursor.com", "https://cursor.com/install could not be reached", "has no package in any registry", "Build this image again where that address can be reached"]:
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
