"""Qwen Code's lines as version 0.24.4 printed them, ids shortened and lists of tools left out."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "base"))

from reading_test import read

SESSION = "9090f8d1-3ca9-4b71-8b66-1a7192c2feb7"
INIT = {
    "type": "system",
    "subtype": "init",
    "uuid": SESSION,
    "session_id": SESSION,
    "cwd": "/workspace",
    "tools": [],
    "mcp_servers": [],
    "model": "qwen3-coder-plus",
    "permission_mode": "yolo",
}
GOAL = {
    "type": "stream_event",
    "uuid": "u",
    "session_id": SESSION,
    "parent_tool_use_id": None,
    "event": {"type": "goal_state", "goal_state": {"v": 2, "goal": None, "activity": "idle"}},
}
RETRY = {"type": "system", "subtype": "retry", "session_id": SESSION, "data": {"reason": "retry", "attempt": 1, "maxRetries": 5}}


def assistant(part, usage):
    message = {"id": "m", "type": "message", "role": "assistant", "model": "qwen3-coder-plus", "content": [part], "usage": usage}
    return {"type": "assistant", "uuid": "u", "session_id": SESSION, "parent_tool_use_id": None, "message": message}


CALL = assistant(
    {"type": "tool_use", "id": "call_11", "name": "write_file", "input": {"file_path": "/workspace/hello.txt", "content": "hello\n"}},
    {"input_tokens": 1234, "output_tokens": 56, "cache_read_input_tokens": 200, "total_tokens": 1290},
)
DONE = assistant(
    {"type": "text", "text": "Done: wrote hello.txt"},
    {"input_tokens": 2345, "output_tokens": 67, "cache_read_input_tokens": 200, "total_tokens": 2412},
)
# In a conversation that was gone on with: its use is that of earlier runs too.
RESULT = {
    "type": "result",
    "subtype": "success",
    "session_id": SESSION,
    "is_error": False,
    "num_turns": 2,
    "result": "Done: wrote hello.txt",
    "usage": {"input_tokens": 8269, "output_tokens": 257, "cache_read_input_tokens": 800, "total_tokens": 8526},
    "permission_denials": [],
}


def answered(content, is_error):
    part = {"type": "tool_result", "tool_use_id": "call_11", "is_error": is_error, "content": content}
    return {"type": "user", "uuid": "u", "session_id": SESSION, "message": {"role": "user", "content": [part]}}


def failed(message):
    usage = {"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0}
    result = {"type": "result", "subtype": "error_during_execution", "session_id": SESSION, "is_error": True, "usage": usage}
    return [INIT, GOAL, assistant({"type": "text", "text": message}, usage), result | {"error": {"message": message}}]


class QwenCode(unittest.TestCase):
    def test_a_run_that_did_its_work(self):
        answer = answered("Successfully created and wrote to new file: /workspace/hello.txt.", False)
        reader, text = read("qwen-code", [INIT, GOAL, CALL, answer, DONE, RESULT])
        self.assertEqual(text, "→ write_file /workspace/hello.txt\nDone: wrote hello.txt")
        self.assertEqual((reader.session, reader.model), (SESSION, "qwen3-coder-plus"))
        self.assertEqual(reader.usage, {"input": 3179, "output": 123, "cache_read": 400, "cache_write": 0})
        self.assertIsNone(reader.error)

    def test_a_call_that_failed_is_told_once(self):
        for message, title in [
            ("[API Error: 401 the fake says 401]", "Qwen Code: the model's provider refused the key (401)"),
            ("[API Error: Connection error.]", "Qwen Code: the model did not answer"),
            ("Reached max session turns", "Qwen Code: Reached max session turns"),
        ]:
            with self.subTest(message):
                reader, text = read("qwen-code", failed(message), status=1)
                self.assertEqual(reader.error["title"], title)
                self.assertIn(message, reader.error["detail"])
                self.assertEqual(text, "" if "API Error" in message else message)
                self.assertIsNone(reader.usage)

    def test_another_try_is_no_error(self):
        line = "Retrying in 2s (attempt 1/5): [API Error: 503 the fake says 503]"
        reader, text = read("qwen-code", [INIT, RETRY, DONE, RESULT], [line])
        self.assertIsNone(reader.error)
        self.assertEqual(text.splitlines(), [line, "Done: wrote hello.txt"])

    def test_a_tool_that_failed_is_a_line(self):
        _, text = read("qwen-code", [INIT, CALL, answered("[Operation Cancelled] Reason: x", True), DONE, RESULT])
        self.assertIn("\n✗ [Operation Cancelled] Reason: x\n", text)

    def test_an_end_without_a_result(self):
        self.assertEqual(read("qwen-code", [INIT])[0].error["title"], "Qwen Code ended without a result")

    def test_a_conversation_that_is_not_there(self):
        line = "No saved session found with ID 11111111-2222-4333-8444-555555555555. Run `qwen --resume` without an ID to choose."
        self.assertTrue(read("qwen-code", [], [line], status=1)[0].is_session_unknown)


if __name__ == "__main__":
    unittest.main()
