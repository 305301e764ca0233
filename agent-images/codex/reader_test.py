"""How `codex exec --json` (0.171.0) is read: lines that it really printed, against a scripted model."""

import json
import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent.parent / "base"))
from reading_test import read

THREAD = "01a22387-e3c8-7020-b61f-6cd902f10365"
STARTED = {"type": "thread.started", "thread_id": THREAD}
WORKED = [
    STARTED,
    {"type": "turn.started"},
    {"type": "item.started", "item": {"id": "item_0", "type": "command_execution", "command": "/bin/bash -lc 'ls missing'", "aggregated_output": "", "exit_code": None, "status": "in_progress"}},
    {"type": "item.completed", "item": {"id": "item_0", "type": "command_execution", "command": "/bin/bash -lc 'ls missing'", "aggregated_output": "ls: cannot access 'missing'\n", "exit_code": 2, "status": "failed"}},
    {"type": "item.started", "item": {"id": "item_1", "type": "file_change", "changes": [{"path": "/workspace/hello.txt", "kind": "add"}], "status": "in_progress"}},
    {"type": "item.completed", "item": {"id": "item_1", "type": "file_change", "changes": [{"path": "/workspace/hello.txt", "kind": "add"}], "status": "completed"}},
    {"type": "item.completed", "item": {"id": "item_2", "type": "agent_message", "text": "Done."}},
    {"type": "turn.completed", "usage": {"input_tokens": 3579, "cached_input_tokens": 400, "cache_write_input_tokens": 0, "output_tokens": 123, "reasoning_output_tokens": 10}},
]


def failed(message):
    return [STARTED, {"type": "turn.started"}, {"type": "error", "message": message}, {"type": "turn.failed", "error": {"message": message}}]


def token_count(**tokens):
    return {"type": "event_msg", "payload": {"type": "token_count", "info": {"total_token_usage": tokens, "model_context_window": 258400}}}


class CodexReader(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name)
        patched = mock.patch.dict(os.environ, {"HOME": folder.name})
        patched.start()
        self.addCleanup(patched.stop)

    def keep(self, *events):
        place = self.home / f".codex/sessions/2026/11/28/rollout-2026-11-28T19-00-00-{THREAD}.jsonl"
        place.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"timestamp": "2026-11-28T19:00:00.000Z", "ordinal": number, **event}) for number, event in enumerate(events)]
        place.write_text("\n".join(lines) + "\n")

    def test_work_becomes_text_a_conversation_and_its_use(self):
        reader, text = read("codex", WORKED)
        self.assertEqual(
            text,
            "→ shell /bin/bash -lc 'ls missing'\n✗ exited with 2: ls: cannot access 'missing'\n→ add /workspace/hello.txt\nDone.",
        )
        self.assertEqual(reader.session, THREAD)
        self.assertEqual(reader.usage, {"input": 3179, "output": 123, "cache_read": 400, "cache_write": 0})
        self.assertIsNone(reader.error)

    def test_the_model_is_what_the_conversation_s_file_names(self):
        self.keep({"type": "turn_context", "payload": {"cwd": "/workspace", "model": "gpt-6-sol"}})
        self.assertEqual(read("codex", WORKED)[0].model, "gpt-6-sol")

    def test_what_a_conversation_used_before_is_not_counted_again(self):
        self.keep(token_count(input_tokens=1234, cached_input_tokens=200, output_tokens=56), token_count(input_tokens=2000, cached_input_tokens=300, cache_write_input_tokens=0, output_tokens=100))
        reader, _ = read("codex", WORKED, session=THREAD)
        self.assertEqual(reader.usage, {"input": 1479, "output": 23, "cache_read": 100, "cache_write": 0})

    def test_a_turn_that_broke_off_has_the_use_that_the_file_says(self):
        self.keep(token_count(input_tokens=1234, cached_input_tokens=200, output_tokens=56))
        self.assertEqual(read("codex", WORKED[:4])[0].usage, {"input": 1034, "output": 56, "cache_read": 200, "cache_write": 0})

    def test_a_refusal_of_the_model_says_what_to_do(self):
        url = "url: http://127.0.0.1:7817/model/openai/v1/responses"
        bad = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "no such parameter"}})
        cases = [
            (f"unexpected status 401 Unauthorized: a wrong key, {url}", "refused the key (401)", "a wrong key"),
            (bad, "did not take the request (400)", "no such parameter\n"),
            ("exceeded retry limit, last status: 429 Too Many Requests", "wants fewer requests (429)", "Too Many"),
            ("We’re currently experiencing high demand, which may cause temporary errors.", "overloaded", "Wait a while"),
            ("Connection failed: error sending request", "the model did not answer", "Connection failed"),
        ]
        for message, title, detail in cases:
            with self.subTest(message):
                reader, _ = read("codex", failed(message), status=1)
                self.assertIn(title, reader.error["title"])
                self.assertIn(detail, reader.error["detail"])

    def test_a_second_try_that_went_well_is_no_failure(self):
        again = {"type": "error", "message": "Reconnecting... 1/3 (unexpected status 502 Bad Gateway: x)"}
        reader, text = read("codex", [STARTED, again, *WORKED[1:]])
        self.assertIsNone(reader.error)
        self.assertIn("✗ Reconnecting... 1/3", text)

    def test_a_conversation_that_is_gone_is_known_by_its_words(self):
        said = "Error: thread/resume: thread/resume failed: no rollout found for thread id 0cb916db-26aa-40f2-86b5-1ba81b225fd2 (code -32600)"
        self.assertTrue(read("codex", [], errors=[said], status=1)[0].is_session_unknown)


if __name__ == "__main__":
    unittest.main()
