"""Claude Code's lines as version 2.1.332 printed them, ids and times shortened and what no reader looks at left out."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "base"))

from reading_test import read

SESSION = "b88c6501-8f9e-459f-9043-18f14976ef91"
INIT = {
    "type": "system",
    "subtype": "init",
    "cwd": "/workspace",
    "session_id": SESSION,
    "tools": [],
    "model": "claude-sonnet-5-5",
    "permissionMode": "bypassPermissions",
    "claude_code_version": "2.1.332",
}
RETRY = {
    "type": "system",
    "subtype": "api_retry",
    "attempt": 1,
    "max_retries": 6,
    "retry_delay_ms": 562,
    "error_status": 529,
    "error": "overloaded",
    "session_id": SESSION,
}
# What a message says of its use is from before it was written: one token of output.
USAGE = {"input_tokens": 1234, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 500, "output_tokens": 1}
SINCE = {"inputTokens": 2345, "outputTokens": 67, "cacheReadInputTokens": 500, "cacheCreationInputTokens": 100, "costUSD": 0.00566}
# In a conversation that was gone on with: `modelUsage` is that of earlier runs too.
RESULT = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "session_id": SESSION,
    "total_cost_usd": 0.01132,
    "usage": {"input_tokens": 2345, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 500, "output_tokens": 67},
    "modelUsage": {"claude-sonnet-5-5": {name: 2 * count for name, count in SINCE.items()}},
    "model_usage_since_last_result": {"claude-sonnet-5-5": SINCE},
    "num_turns": 2,
    "api_error_status": None,
    "result": "Done: wrote hello.txt",
}
OVERLOADED = "API Error: 529 the fake says overloaded_error. This is a server-side issue, usually temporary — try again in a moment."
NO_USE = {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0}
FAILED = {
    "type": "result",
    "subtype": "success",
    "is_error": True,
    "session_id": SESSION,
    "usage": NO_USE,
    "modelUsage": {},
    "num_turns": 1,
    "api_error_status": 529,
    "api_error_type": "overloaded_error",
    "result": OVERLOADED,
}


def assistant(part, model="claude-sonnet-5-5"):
    message = {"id": "msg_22", "type": "message", "role": "assistant", "model": model, "content": [part], "usage": USAGE}
    return {"type": "assistant", "message": message, "parent_tool_use_id": None, "session_id": SESSION, "uuid": "u"}


CALL = assistant(
    {"type": "tool_use", "id": "toolu_22", "name": "Write", "input": {"file_path": "/workspace/hello.txt", "content": "hello\n"}}
)
DONE = assistant({"type": "text", "text": "Done: wrote hello.txt"})


def answered(**answer):
    part = {"tool_use_id": "toolu_22", "type": "tool_result"} | answer
    return {"type": "user", "message": {"role": "user", "content": [part]}, "session_id": SESSION, "uuid": "u"}


class ClaudeCode(unittest.TestCase):
    def test_a_run_that_did_its_work(self):
        answer = answered(content="The file /workspace/hello.txt has been updated successfully.")
        reader, text = read("claude-code", [INIT, CALL, answer, DONE, RESULT])
        self.assertEqual(text, "→ Write /workspace/hello.txt\nDone: wrote hello.txt")
        self.assertEqual((reader.session, reader.model), (SESSION, "claude-sonnet-5-5"))
        self.assertEqual(reader.usage, {"input": 2345, "output": 67, "cache_read": 500, "cache_write": 100})
        self.assertIsNone(reader.error)

    def test_several_results_of_a_run_are_added_up(self):
        self.assertEqual(read("claude-code", [INIT, DONE, RESULT, DONE, RESULT])[0].usage["output"], 134)

    def test_without_its_count_by_model_that_of_the_run_is_taken(self):
        plain = {name: value for name, value in RESULT.items() if name != "model_usage_since_last_result"}
        self.assertEqual(read("claude-code", [INIT, plain])[0].usage, read("claude-code", [INIT, RESULT])[0].usage)

    def test_a_model_that_stays_away_is_told_once(self):
        words = assistant({"type": "text", "text": OVERLOADED}, "<synthetic>")
        reader, text = read("claude-code", [INIT, RETRY, words, FAILED], status=1)
        self.assertEqual(text, "✗ the model failed (529): try 1 of 6")
        self.assertEqual(reader.error["title"], "Claude Code: the model's provider is out of order or overloaded (529)")
        self.assertIn(OVERLOADED, reader.error["detail"])

    def test_a_model_that_is_out_of_reach(self):
        words = "API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)"
        reader, _ = read("claude-code", [INIT, FAILED | {"api_error_status": None, "result": words}], status=1)
        self.assertEqual(reader.error["title"], "Claude Code: the model did not answer")

    def test_another_try_is_no_error(self):
        self.assertIsNone(read("claude-code", [INIT, RETRY, DONE, RESULT])[0].error)

    def test_an_end_for_another_reason_says_which(self):
        ending = {"type": "result", "subtype": "error_max_turns", "is_error": True, "session_id": SESSION, "errors": ["Reached 3 turns"]}
        self.assertEqual(read("claude-code", [INIT, ending])[0].error["title"], "Claude Code: Reached 3 turns")

    def test_a_tool_that_failed_is_a_line(self):
        answer = answered(content=[{"type": "text", "text": "Exit code 137"}], is_error=True)
        self.assertIn("\n✗ Exit code 137\n", read("claude-code", [INIT, CALL, answer, DONE, RESULT])[1])

    def test_an_end_without_a_result(self):
        self.assertEqual(read("claude-code", [INIT, DONE])[0].error["title"], "Claude Code ended without a result")
        self.assertIsNone(read("claude-code", [INIT, DONE], status=143)[0].error)

    def test_a_conversation_that_is_not_there(self):
        line = "No conversation found with session ID: 11111111-2222-4333-8444-555555555555"
        self.assertTrue(read("claude-code", [], [line], status=1)[0].is_session_unknown)


if __name__ == "__main__":
    unittest.main()
