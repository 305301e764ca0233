"""How `copilot` tells Copilot to ask a model, by the model and its provider."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path(__file__).with_name("copilot")
SECONDS_MAX = 30


class Copilot(unittest.TestCase):
    def start(self, *arguments, **environment):
        """What it is started with, and what of its environment the script sets."""
        with tempfile.TemporaryDirectory() as folder:
            stand_in = Path(folder, "node")
            stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$*"\nenv | grep -E "WIRE|MODEL_ID" | sort\n')
            stand_in.chmod(0o755)
            environment |= {"PATH": f"{folder}:{os.environ['PATH']}"}
            done = subprocess.run([PROGRAM, *arguments], env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
        given, *variables = done.stdout.splitlines()
        return given, variables

    def test_openai_s_own_models_are_asked_by_responses(self):
        for model, variables in [
            ("gpt-6-sol", ["COPILOT_PROVIDER_WIRE_API=responses"]),
            ("o3", ["COPILOT_PROVIDER_WIRE_API=responses"]),
            ("gpt-oss-120b", []),
            ("openai/gpt-5.4", []),
            ("qwen3-coder:30b", []),
        ]:
            with self.subTest(model):
                given = self.start("-p", "a  b", COPILOT_PROVIDER_TYPE="openai", COPILOT_MODEL=model)
                self.assertEqual(given, ("/opt/copilot/index.js -p a  b", variables))

    def test_what_a_person_set_is_left(self):
        set_by_hand = {"COPILOT_PROVIDER_TYPE": "openai", "COPILOT_MODEL": "gpt-6-sol", "COPILOT_PROVIDER_WIRE_API": "completions"}
        self.assertEqual(self.start(**set_by_hand)[1], ["COPILOT_PROVIDER_WIRE_API=completions"])

    def test_anthropic_s_models_are_known_by_github_s_names_for_them(self):
        for model, variables in [
            ("claude-sonnet-4-5", ["COPILOT_PROVIDER_MODEL_ID=claude-sonnet-4.5", "COPILOT_PROVIDER_WIRE_MODEL=claude-sonnet-4-5"]),
            ("claude-sonnet-4-5-20250929", ["COPILOT_PROVIDER_MODEL_ID=claude-sonnet-4.5", "COPILOT_PROVIDER_WIRE_MODEL=claude-sonnet-4-5-20250929"]),
            ("claude-sonnet-5", []),
            ("claude-sonnet-4-20250514", []),
        ]:
            with self.subTest(model):
                self.assertEqual(self.start(COPILOT_PROVIDER_TYPE="anthropic", COPILOT_MODEL=model)[1], variables)

    def test_without_a_provider_of_one_s_own_it_starts_as_well(self):
        self.assertEqual(self.start("--version"), ("/opt/copilot/index.js --version", []))


if __name__ == "__main__":
    unittest.main()
