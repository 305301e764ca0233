"""Which of the two ways to speak OpenAI's language `berth-opencode` has opencode take, by the model."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path(__file__).with_name("berth-opencode")
SECONDS_MAX = 30


class BerthOpencode(unittest.TestCase):
    def start(self, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            stand_in = Path(folder, "opencode")
            stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
            stand_in.chmod(0o755)
            environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
            done = subprocess.run([PROGRAM, *arguments], env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=True)
        return done.stdout.splitlines()

    def test_openai_s_own_models_are_asked_by_responses_and_others_by_completions(self):
        for model, asked in [
            ("openai/gpt-6-sol", "openai/gpt-6-sol"),
            ("openai/o3", "openai/o3"),
            ("openai/gpt-oss-120b", "compatible/gpt-oss-120b"),
            ("openai/qwen3-coder:30b", "compatible/qwen3-coder:30b"),
            ("openai/openai/gpt-5.4", "compatible/openai/gpt-5.4"),
            ("anthropic/claude-sonnet-5-5", "anthropic/claude-sonnet-5-5"),
            ("google/gemini-3.8-flash", "google/gemini-3.8-flash"),
        ]:
            with self.subTest(model):
                self.assertEqual(self.start("--model", model), ["--model", asked])

    def test_the_command_comes_before_its_options(self):
        given = self.start("--model", "openai/gpt-6-sol", "run", "--format", "json", "--session", "ses_1")
        self.assertEqual(given, ["run", "--model", "openai/gpt-6-sol", "--format", "json", "--session", "ses_1"])


if __name__ == "__main__":
    unittest.main()
