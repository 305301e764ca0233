"""How `copilot --output-format json` (1.0.102) is read: lines that it really printed, against a scripted model."""

import json
import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent.parent / "base"))
from reading_test import read

SESSION = "11fd7db9-7356-468a-ad24-26792a08a4fc"


def event(kind, **data):
    return {"type": kind, "data": data, "id": "afd626b8-cbc9-40c2-bfec-ba61f7a2a363", "timestamp": "2026-11-28T18:45:48.484Z"}


PATCH = "*** Begin Patch\n*** Add File: hello.txt\n+hello\n*** Update File: b.txt\n@@\n-x\n*** End Patch\n"
END = {"type": "result", "timestamp": "2026-11-28T18:45:48.623Z", "sessionId": SESSION, "exitCode": 0, "usage": {"premiumRequests": 0, "totalApiDurationMs": 31}}
WORKED = [
    event("user.message", content="MAKE hello.txt", turnId="0"),
    event("assistant.turn_start", turnId="0"),
    event("assistant.message", model="gpt-6-sol", content="", toolRequests=[{"toolCallId": "call_1", "name": "apply_patch", "arguments": PATCH}]),
    event("tool.execution_start", toolCallId="call_1", toolName="apply_patch", arguments=PATCH, turnId="0"),
    event("tool.execution_complete", toolCallId="call_1", success=True, result={"content": "Added 1 file(s): /workspace/hello.txt"}),
    event("tool.execution_start", toolCallId="call_2", toolName="bash", arguments={"command": "false", "description": "Fails"}),
    event("tool.execution_complete", toolCallId="call_2", success=False, error={"message": "exited with 1"}),
    event("assistant.message_delta", deltaContent="Do"),
    event("assistant.message", model="gpt-6-sol", content="Done.", toolRequests=[]),
    END,
]


def refused(status, message):
    return [
        event("model.call_failure", model="gpt-6-sol", statusCode=status, errorMessage="{}"),
        event("assistant.turn_retry", turnId="0", reason="api_error"),
        event("session.error", errorType="query", message=message, statusCode=status),
        END | {"exitCode": 1},
    ]


def after(act, lines):
    """Lines that come after something has happened, the run having begun before."""
    act()
    yield from lines


class CopilotReader(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.conversations = Path(folder.name, ".copilot/session-state")
        patched = mock.patch.dict(os.environ, {"HOME": folder.name, "COPILOT_MODEL": "gpt-6-sol"})
        patched.start()
        self.addCleanup(patched.stop)

    def keep(self, session, *ends):
        folder = self.conversations / session
        folder.mkdir(parents=True, exist_ok=True)
        lines = [event("user.message", content="session.shutdown")]
        for tokens in ends:
            lines.append(event("session.shutdown", accountingSnapshot={"modelMetrics": {"gpt-6-sol": {"requests": {"count": 2}, "usage": tokens}}}))
        (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def test_work_becomes_text_a_conversation_and_its_use(self):
        self.keep(SESSION, {"inputTokens": 3579, "outputTokens": 123, "cacheReadTokens": 400, "cacheWriteTokens": 100, "reasoningTokens": 10})
        reader, text = read("copilot", WORKED)
        self.assertEqual(text, "→ apply_patch Add File: hello.txt, Update File: b.txt\n→ bash false\n✗ exited with 1\nDone.")
        self.assertEqual((reader.session, reader.model), (SESSION, "gpt-6-sol"))
        self.assertEqual(reader.usage, {"input": 3079, "output": 123, "cache_read": 400, "cache_write": 100})
        self.assertIsNone(reader.error)

    def test_what_a_conversation_used_before_is_not_counted_again(self):
        before, then = {"inputTokens": 1000, "outputTokens": 10}, {"inputTokens": 2500, "outputTokens": 25, "cacheReadTokens": 500}
        self.keep(SESSION, before)
        reader, _ = read("copilot", after(lambda: self.keep(SESSION, before, then), WORKED), session=SESSION)
        self.assertEqual(reader.usage, {"input": 1000, "output": 15, "cache_read": 500, "cache_write": 0})

    def test_a_run_that_is_cut_short_knows_its_conversation(self):
        self.keep("another", {"inputTokens": 1})
        reader, _ = read("copilot", after(lambda: self.keep(SESSION), WORKED[:4]))
        self.assertEqual(reader.session, SESSION)

    def test_a_refusal_of_the_model_says_what_to_do(self):
        for status, title in [(401, "refused the key (401)"), (400, "did not take the request"), (500, "overloaded (500)")]:
            with self.subTest(status):
                reader, text = read("copilot", refused(status, f"{status} on purpose"), status=1)
                self.assertIn(title, reader.error["title"])
                self.assertEqual(text, f"! asks again: api_error\n✗ {status} on purpose")

    def test_a_conversation_that_is_gone_is_known_by_its_words(self):
        said = "Error: No session, task, or name matched '0cb916db-26aa-40f2-86b5-1ba81b225fd2'."
        self.assertTrue(read("copilot", [], errors=[said], status=1)[0].is_session_unknown)

    def test_what_copilot_kept_may_be_anything(self):
        self.keep(SESSION)
        for text in ["{", "[]", '{"type": "session.shutdown", "data": 7}', '{"type":"session.shutdown","data":{"modelMetrics":{"x":{"usage":[]},"y":4}}}']:
            with self.subTest(text):
                (self.conversations / SESSION / "events.jsonl").write_text(text)
                self.assertIsNone(read("copilot", WORKED)[0].usage)


if __name__ == "__main__":
    unittest.main()
