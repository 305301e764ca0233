"""How aider (0.86.2) is read: lines that it really printed, against a scripted model."""

import json
import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent.parent / "base"))
from reading_test import read

BEGUN = ["", "Aider v0.86.2", "Model: anthropic/claude-sonnet-5-5 with diff edit format", "Git repo: none", "Repo-map: disabled", ""]
ANSWERED = [
    "Here it is.",
    "",
    "hello.txt",
    "```",
    "<<<<<<< SEARCH",
    "=======",
    '{"a": 1}',
    ">>>>>>> REPLACE",
    "```",
    "",
    "Tokens: 2.4k sent, 100 cache write, 200 cache hit, 67 received.",
    "",
    "hello.txt",
    "Applied edit to hello.txt",
]


def message_send(**tokens):
    return {"event": "message_send", "properties": {"main_model": "anthropic/REDACTED", "edit_format": "diff", **tokens, "cost": 0}, "time": 1795892046}


class AiderReader(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.use = Path(folder.name, ".aider/berth-use.jsonl")
        self.use.parent.mkdir()
        patched = mock.patch.dict(os.environ, {"HOME": folder.name, "BERTH_STEP": "01a22387-e3c8"})
        patched.start()
        self.addCleanup(patched.stop)

    def keep(self, *events):
        self.use.write_text("".join(json.dumps(event) + "\n" for event in ({"event": "launched", "properties": {}}, *events)))

    def test_what_it_says_is_forwarded_and_learned_from(self):
        self.keep(message_send(prompt_tokens=2445, completion_tokens=67, total_tokens=2512))
        reader, text = read("aider", [*BEGUN, *ANSWERED])
        self.assertEqual(text.splitlines(), [*BEGUN, *ANSWERED])
        self.assertEqual((reader.session, reader.model), ("01a22387-e3c8", "claude-sonnet-5-5"))
        self.assertEqual(reader.usage, {"input": 2045, "output": 67, "cache_read": 200, "cache_write": 100})
        self.assertIsNone(reader.error)

    def test_answers_are_summed(self):
        self.keep(message_send(prompt_tokens=1000, completion_tokens=10), {"event": "exit"}, message_send(prompt_tokens=3000, completion_tokens=5))
        reader, _ = read("aider", [*BEGUN, "Tokens: 1.0k sent, 10 received.", "Tokens: 3.0k sent, 1.5k cache hit, 5 received."])
        self.assertEqual(reader.usage, {"input": 2500, "output": 15, "cache_read": 1500, "cache_write": 0})

    def test_a_refusal_of_the_model_is_a_failure_though_it_ends_with_zero(self):
        cases = [
            ("litellm.AuthenticationError: AuthenticationError: OpenAIException - a wrong key", "refused the key (401)"),
            ("litellm.BadRequestError: OpenAIException - no such parameter", "did not take the request (400)"),
            ("litellm.NotFoundError: AnthropicException - model: x", "does not know the model (404)"),
            ("litellm.InternalServerError: InternalServerError: OpenAIException - out of order", "overloaded (500)"),
            ("litellm.APIConnectionError: Connection error.", "the model did not answer"),
        ]
        for line, title in cases:
            with self.subTest(line):
                self.assertIn(title, read("aider", [*BEGUN, line])[0].error["title"])

    def test_an_answer_after_a_failure_takes_it_back(self):
        again = ["litellm.RateLimitError: RateLimitError: x", "Retrying in 0.2 seconds..."]
        self.assertIsNone(read("aider", [*BEGUN, *again, *ANSWERED])[0].error)

    def test_edits_that_never_fit_are_a_failure(self):
        reader, _ = read("aider", [*BEGUN, *ANSWERED, "Only 3 reflections allowed, stopping."])
        self.assertIn("edits do not fit", reader.error["title"])

    def test_an_end_without_an_answer_is_a_failure(self):
        self.assertIn("without an answer", read("aider", BEGUN)[0].error["title"])
        self.assertIsNone(read("aider", BEGUN, status=1)[0].error)


if __name__ == "__main__":
    unittest.main()
