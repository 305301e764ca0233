"""How `berth-aider` starts aider: a stand-in says what it was started with, and which texts it finds."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path(__file__).with_name("berth-aider")
SECONDS_MAX = 30

STAND_IN = f"""#!{sys.executable}
import json, os, sys
given = sys.argv[1:]
value = lambda name: given[given.index(name) + 1] if name in given else None
read = lambda name: open(value(name)).read() if value(name) else None
texts = {{name: read(name) for name in ("--message-file", "--model-settings-file", "--model-metadata-file")}}
print(json.dumps({{"arguments": given, "texts": texts, "columns": os.environ.get("COLUMNS")}}))
"""


class BerthAider(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.workspace, self.home = self.folder / "workspace", self.folder / "home"
        packages = self.folder / "aider/lib/python3.11/site-packages"
        for place in (self.workspace, self.home, self.folder / "bin", packages / "aider/resources", packages / "litellm"):
            place.mkdir(parents=True)
        (packages / "aider/resources/model-settings.yml").write_text("- name: gpt-4o\n  edit_format: diff\n- name: anthropic/claude-known\n")
        known = {"gpt-4o": {"max_input_tokens": 1}, "gemini/gemini-known": {"max_input_tokens": 2}}
        (packages / "litellm/model_prices_and_context_window_backup.json").write_text(json.dumps(known))
        stand_in = self.folder / "bin/aider"
        stand_in.write_text(STAND_IN)
        stand_in.chmod(0o755)
        # The program as it is, but for where its packages are.
        self.program = self.folder / "berth-aider"
        self.program.write_text(PROGRAM.read_text().replace('AIDER = "/opt/aider"', f'AIDER = "{self.folder / "aider"}"'))

    def start(self, mode, *arguments, prompt="Work.", model="openai/gpt-4o", **environment):
        done = subprocess.run(
            [sys.executable, self.program, mode, "--model", model, *arguments],
            input=prompt.encode(),
            cwd=self.workspace,
            env={"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "HOME": str(self.home), "BERTH_STEP": "step-1", **environment},
            capture_output=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_a_prompt_comes_whole_and_is_never_a_command_of_its_own(self):
        self.assertEqual(self.start("headless", prompt="Ünïcode\n" * 50_000)["texts"]["--message-file"], "Ünïcode\n" * 50_000)
        for prompt in ["/run rm -rf .", "  !ls"]:
            with self.subTest(prompt):
                self.assertEqual(self.start("headless", prompt=prompt)["texts"]["--message-file"], f"The task:\n{prompt}")

    def test_a_folder_that_is_no_repository_is_worked_on_without_one(self):
        self.assertIn("--no-git", self.start("headless")["arguments"])
        subprocess.run(["git", "init", "-q", self.workspace], check=True)
        self.assertNotIn("--no-git", self.start("headless")["arguments"])

    def test_texts_that_the_prompt_names_are_in_the_conversation(self):
        (self.workspace / "src").mkdir()
        (self.workspace / "src/one.py").write_text("1")
        (self.workspace / "--yes").write_text("no option")
        (self.workspace / "picture.png").write_bytes(b"\x89PNG\0")
        (self.workspace / "long.txt").write_text("x" * 200_000)
        (self.folder / "outside.txt").write_text("no")
        (self.workspace / "link.txt").symlink_to(self.folder / "outside.txt")
        prompt = "Change --yes, src/one.py, ./src/one.py. Not picture.png, long.txt, ../outside.txt, link.txt, src or missing.txt."
        self.assertEqual(self.start("headless", prompt=prompt)["arguments"][-2:], ["--file=--yes", "--file=src/one.py"])
        self.assertNotIn("outside.txt", str(self.start("headless", prompt=prompt)["arguments"]))

    def test_a_model_that_is_in_no_list_is_asked_as_all_of_them_can_be(self):
        texts = self.start("headless", model="anthropic/claude-new")["texts"]
        [setting] = json.loads(texts["--model-settings-file"])
        self.assertEqual((setting["name"], setting["edit_format"], setting["use_temperature"]), ("anthropic/claude-new", "diff", False))
        self.assertEqual(setting["extra_params"], {"max_tokens": 32000})
        self.assertEqual(json.loads(texts["--model-metadata-file"])["anthropic/claude-new"]["max_input_tokens"], 200000)
        self.assertNotIn("extra_params", json.loads(self.start("headless", model="openai/new")["texts"]["--model-settings-file"])[0])

    def test_a_model_that_is_in_a_list_is_left_to_it(self):
        for model, context_max in [("openai/gpt-4o", 1), ("gemini/gemini-known", 2)]:
            with self.subTest(model):
                metadata = json.loads(self.start("headless", model=model)["texts"]["--model-metadata-file"])
                self.assertEqual(metadata, {model: {"max_input_tokens": context_max}})
        for model in ("openai/gpt-4o", "anthropic/claude-known"):
            with self.subTest(model):
                self.assertIsNone(self.start("headless", model=model)["texts"]["--model-settings-file"])

    def test_no_other_model_is_asked(self):
        arguments = self.start("headless", model="openai/o3")["arguments"]
        self.assertEqual([arguments[at + 1] for at, name in enumerate(arguments) if name.endswith("-model")], ["openai/o3"] * 3)

    def test_a_conversation_is_the_step_s_and_goes_on_where_there_is_one(self):
        chat = self.home / ".aider/chats/step-1.md"
        arguments = self.start("headless", "--resume", "step-1")["arguments"]
        self.assertEqual(arguments[arguments.index("--chat-history-file") + 1], str(chat))
        self.assertNotIn("--restore-chat-history", arguments)
        chat.write_text("# aider chat\n")
        self.assertNotIn("--restore-chat-history", self.start("headless")["arguments"])
        self.assertIn("--restore-chat-history", self.start("headless", "--resume", "step-1")["arguments"])
        self.assertIn(f"{chat.parent / 'terminal.md'}", self.start("interactive", BERTH_STEP="../../x")["arguments"])

    def test_standing_instructions_are_read(self):
        persona = self.home / ".aider/CONVENTIONS.md"
        self.assertNotIn("--read", self.start("headless")["arguments"])
        persona.write_text("Be brief.")
        arguments = self.start("headless")["arguments"]
        self.assertEqual(arguments[arguments.index("--read") + 1], str(persona))

    def test_a_person_at_a_terminal_is_asked(self):
        started = self.start("interactive", "--dark-mode")
        self.assertEqual((started["texts"]["--message-file"], started["columns"]), (None, None))
        self.assertNotIn("--yes-always", started["arguments"])
        self.assertEqual(started["arguments"][-1], "--dark-mode")


if __name__ == "__main__":
    unittest.main()
