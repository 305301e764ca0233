"""Gemini CLI's lines as version 0.61.0 printed them, ids and times shortened."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "base"))

from reading_test import read

INIT = {"type": "init", "timestamp": "T", "session_id": "24d70dcf-841e-40aa-9904-95ca50a59763", "model": "gemini-3.8-flash"}
PROMPT = {"type": "message", "timestamp": "T", "role": "user", "content": "Write hello.txt please\n"}
CALL = {
    "type": "tool_use",
    "timestamp": "T",
    "tool_name": "write_file",
    "tool_id": "write_file__write_file_1795892717855_0",
    "parameters": {"file_path": "/workspace/hello.txt", "content": "hello\n"},
}
ANSWER = {"type": "tool_result", "timestamp": "T", "tool_id": "write_file__write_file_1795892717855_0", "status": "success"}
STATS = {"total_tokens": 3702, "input_tokens": 3579, "output_tokens": 113, "cached": 400, "input": 3179, "duration_ms": 448}
RESULT = {"type": "result", "timestamp": "T", "status": "success", "stats": STATS | {"models": {"gemini-3.8-flash": STATS}}}
NOTHING = {name: 0 for name in STATS}


def said(text):
    return {"type": "message", "timestamp": "T", "role": "assistant", "content": text, "delta": True}


def failed(message):
    return {"type": "result", "timestamp": "T", "status": "error", "error": {"type": "unknown", "message": message}, "stats": NOTHING}


class GeminiCli(unittest.TestCase):
    def test_a_run_that_did_its_work(self):
        reader, text = read("gemini-cli", [INIT, PROMPT, CALL, ANSWER, said("Done: wrote hello.txt"), RESULT])
        self.assertEqual(text, "→ write_file /workspace/hello.txt\nDone: wrote hello.txt")
        self.assertEqual((reader.session, reader.model), (INIT["session_id"], INIT["model"]))
        # What was thought is output too: 123 of the total are not what was read.
        self.assertEqual(reader.usage, {"input": 3179, "output": 123, "cache_read": 400, "cache_write": 0})
        self.assertIsNone(reader.error)

    def test_pieces_of_what_is_said_become_its_lines(self):
        _, text = read("gemini-cli", [INIT, said("One l"), said("ine.\nAnother"), said(" line."), CALL, said("Last"), RESULT])
        self.assertEqual(text, "One line.\nAnother line.\n→ write_file /workspace/hello.txt\nLast")

    def test_what_was_said_before_a_sudden_end_is_not_lost(self):
        reader, text = read("gemini-cli", [INIT, said("half a li")])
        self.assertEqual(text, "half a li")
        self.assertEqual(reader.error["title"], "Gemini CLI ended without a result")

    def test_a_refused_key(self):
        message = '[API Error: {"error":{"code":401,"message":"the fake says 401","status":"UNAUTHENTICATED"}}]'
        reader, _ = read("gemini-cli", [INIT, PROMPT, failed(message)], status=145)
        self.assertEqual(reader.error["title"], "Gemini CLI: the model's provider refused the key (401)")
        self.assertIsNone(reader.usage)

    def test_the_status_of_a_failure_may_be_on_standard_error_alone(self):
        errors = [
            'Attempt 4 failed with status 503. Retrying with backoff... _ApiError: {"error":{"code":503,"message":"the fake says 503"}}',
            "    at throwErrorIfNotOK (file:///usr/local/lib/node_modules/@google/gemini-cli/bundle/chunk-JDPZ4CE3.js:271412:24)",
            "    at process.processTicksAndRejections (node:internal/process/task_queues:105:5) {",
            "  status: 503",
            "Attempt 5 failed: the fake says 503. Max attempts reached",
            "YOLO mode is enabled. All tool calls will be automatically approved.",
        ]
        reader, text = read("gemini-cli", [INIT, failed("[API Error: the fake says 503]")], errors, status=247)
        self.assertEqual(reader.error["title"], "Gemini CLI: the model's provider is out of order or overloaded (503)")
        self.assertEqual(text.splitlines(), [errors[0], errors[3], errors[4]])

    def test_a_failure_that_was_recovered_from_is_none(self):
        reader, _ = read("gemini-cli", [INIT, said("Done"), RESULT], ["Attempt 1 failed with status 503. Retrying with backoff..."])
        self.assertIsNone(reader.error)

    def test_a_tool_that_failed_is_a_line(self):
        error = {"type": "E", "message": "File not found: /workspace/a"}
        answer = {"type": "tool_result", "tool_id": "x", "status": "error", "error": error}
        self.assertEqual(read("gemini-cli", [INIT, answer, RESULT])[1], "✗ File not found: /workspace/a")

    def test_a_conversation_that_is_not_there(self):
        line = 'Error resuming session: Invalid session identifier "11111111-2222-4333-8444-555555555555".'
        self.assertTrue(read("gemini-cli", [], [line], status=42)[0].is_session_unknown)


if __name__ == "__main__":
    unittest.main()
