"""How `opencode run --format json` (1.18.33) is read: lines that it really printed, against a scripted model."""

import json
import os
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent.parent / "base"))
from reading_test import read

SESSION = "ses_ddc89f558ffemhkC8pE4eP133O"


def part(kind, **fields):
    return {"type": kind, "timestamp": 1795891269651, "sessionID": SESSION, "part": {"id": "prt_2237", "messageID": "msg_2237", "sessionID": SESSION, **fields}}


def tool(name, given, **state):
    return part("tool_use", type="tool", tool=name, callID="toolu_1", state={"status": "completed", "input": given, "output": "", **state})


def finish(reason, **tokens):
    return part("step_finish", type="step-finish", reason=reason, tokens=tokens, cost=0)


WORKED = [
    part("step_start", type="step-start"),
    tool("write", {"content": "hello\n", "filePath": "/workspace/hello.txt"}),
    tool("apply_patch", {"patchText": "*** Begin Patch\n*** Add File: a.txt\n+hello\n*** Update File: b.txt\n-x\n*** End Patch\n"}),
    tool("bash", {"command": "false", "description": "Fails"}, status="error", error="exit code 1"),
    finish("tool-calls", total=1390, input=1034, output=51, reasoning=5, cache={"write": 100, "read": 200}),
    part("step_start", type="step-start"),
    part("text", type="text", text="Done.", time={"start": 1795891269745, "end": 1795891269747}),
    finish("stop", total=2412, input=2045, output=67, reasoning=0, cache={"write": 100, "read": 200}),
]


def api_error(status):
    data = {"message": f"the model server says {status}", "statusCode": status, "isRetryable": False, "metadata": {"url": "http://127.0.0.1:7817/model/anthropic/v1/messages"}}
    return {"type": "error", "timestamp": 1795891382050, "sessionID": SESSION, "error": {"name": "APIError", "data": data}}


class OpencodeReader(unittest.TestCase):
    def test_work_becomes_text_a_conversation_and_its_use(self):
        reader, text = read("opencode", WORKED)
        self.assertEqual(
            text, "→ write /workspace/hello.txt\n→ add a.txt\n→ update b.txt\n→ bash false\n✗ exit code 1\nDone."
        )
        self.assertEqual(reader.session, SESSION)
        self.assertEqual(reader.usage, {"input": 3079, "output": 123, "cache_read": 400, "cache_write": 200})
        self.assertIsNone(reader.error)

    def test_the_model_is_the_one_of_the_settings(self):
        config = json.dumps({"provider": {"openai": {"models": {"gpt-6-sol": {}}}, "compatible": {"models": {"gpt-6-sol": {}}}}})
        for content, model in [(config, "gpt-6-sol"), ("{", None), ("[]", None), ('{"provider": {"x": {"models": {}}}}', None)]:
            with self.subTest(content), mock.patch.dict(os.environ, {"OPENCODE_CONFIG_CONTENT": content}):
                self.assertEqual(read("opencode", WORKED)[0].model, model)

    def test_a_refusal_of_the_model_says_what_to_do(self):
        for status, title in [(401, "refused the key (401)"), (404, "does not know the model"), (500, "overloaded (500)")]:
            with self.subTest(status):
                reader, text = read("opencode", [api_error(status)], status=1)
                self.assertIn(title, reader.error["title"])
                self.assertEqual(text, f"✗ the model server says {status}")

    def test_an_error_of_its_own_is_reported_as_it_is(self):
        error = {"name": "UnknownError", "data": {"message": "Unexpected server error.", "ref": "err_de84037a"}}
        reader, _ = read("opencode", [{"type": "error", "sessionID": SESSION, "error": error}], status=1)
        self.assertEqual(reader.error["title"], "opencode: Unexpected server error.")
        self.assertIn("err_de84037a", reader.error["detail"])

    def test_a_step_that_went_well_takes_an_error_back(self):
        self.assertIsNone(read("opencode", [api_error(500), *WORKED])[0].error)

    def test_a_conversation_that_is_gone_is_known_by_its_words(self):
        self.assertTrue(read("opencode", [], errors=["\x1b[91m\x1b[1mError: \x1b[0mSession not found"], status=1)[0].is_session_unknown)


if __name__ == "__main__":
    unittest.main()
