"""What `berth-agent` does, seen from outside: an image.toml, a home and a prompt come in; a program starts, with real processes."""

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
from pathlib import Path

PROGRAM = Path(__file__).with_name("berth-agent")
SECONDS_MAX = 30
STEP = "0198c0de-0000-7000-8000-000000000001"

IMAGE = """
title = "Fake"

[headless]
command = ["fake", "-p", "${arguments}", "${resume}", "--end"]
resume = ["--resume", "${session}"]

[interactive]
command = ["fake", "interactive"]
resume = ["--resume", "${session}"]

[[provider]]
name = "anthropic"
model = "a-model"
arguments = ["--model", "${model}"]
environment = { FAKE_URL = "${base_url}", FAKE_TAIL = "${key_tail}" }

[[provider]]
name = "openai"
model = "o-model"

[environment]
FAKE_ALWAYS = "$$5 in ${home}"
"""

# Prints what it was given, as one JSON object.
TELLS = """
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "prompt": sys.stdin.read(), "environment": dict(os.environ), "folder": os.getcwd()}))
"""

READER = """
import berth_reader

class Reader(berth_reader.Reader):
    session_unknown = "no such conversation"

    def event(self, event):
        if event["type"] == "session":
            self.session = event["id"]
        elif event["type"] == "use":
            self.model = "m"
            self.use(input=event["input"], output=2)
        elif event["type"] == "error":
            self.fail("the model is away", event["why"])
        elif event["type"] == "text":
            return event["text"]

    def complaint(self, line):
        return None if line.startswith("noise") else line

    def ended(self, status):
        return self.model and f"{self.model} ended with {status}"
"""


class BerthAgent(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        self.home, self.workspace, self.share, self.programs = (self.folder / name for name in ("home", "ws", "share", "bin"))
        for each in (self.home, self.workspace, self.share, self.programs):
            each.mkdir()
        self.report = self.folder / "report.json"
        self.image(IMAGE)
        self.program(TELLS)

    def image(self, text, more=""):
        (self.share / "image.toml").write_text(text + more)

    def reader(self):
        (self.share / "reader.py").write_text(READER)

    def program(self, code):
        path = self.programs / "fake"
        path.write_text(f"#!{sys.executable} -u\n{textwrap.dedent(code)}")
        path.chmod(0o755)

    def environment(self, given):
        bare = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
        ours = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "BERTH_STEP": STEP,
            "BERTH_ATTEMPT": "1",
            "BERTH_REPORT": str(self.report),
            "ANTHROPIC_API_KEY": "sk-a-key-of-more-than-twenty-characters",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return {name: value for name, value in (bare | ours | given).items() if value is not None}

    def start(self, mode="headless", **environment):
        process = subprocess.Popen(
            [sys.executable, PROGRAM, mode, "--image", self.share],
            cwd=self.workspace,
            env=self.environment(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def carry_out(self, mode="headless", prompt="Do it.", **environment):
        process = self.start(mode, **environment)
        output, _ = process.communicate(prompt, timeout=SECONDS_MAX)
        return process.returncode, output

    def told(self, mode="headless", prompt="Do it.", **environment):
        status, output = self.carry_out(mode, prompt, **environment)
        self.assertEqual(status, 0, output)
        return json.loads(output.splitlines()[-1])

    def error(self):
        return json.loads(self.report.read_text())["error"]

    def record(self, attempt=1):
        return json.loads((self.home / f".berth/runs/{STEP}-{attempt}.json").read_text())


class Starting(BerthAgent):
    def test_the_program_gets_its_arguments_the_prompt_and_the_folder(self):
        told = self.told(prompt="Write ${this} down.\n")
        self.assertEqual(told["arguments"], ["-p", "--model", "a-model", "--end"])
        self.assertEqual(told["prompt"], "Write ${this} down.\n")
        self.assertEqual(told["folder"], str(self.workspace))
        self.assertFalse(self.report.exists())

    def test_the_environment_is_the_images_and_the_providers(self):
        told = self.told(ANTHROPIC_BASE_URL="http://127.0.0.1:7817/model/anthropic")["environment"]
        self.assertEqual(told["FAKE_ALWAYS"], f"$5 in {self.home}")
        self.assertEqual(told["FAKE_URL"], "http://127.0.0.1:7817/model/anthropic")
        self.assertEqual(told["FAKE_TAIL"], "an-twenty-characters")

    def test_without_an_address_the_provider_is_where_it_always_is(self):
        self.assertEqual(self.told()["environment"]["FAKE_URL"], "https://api.anthropic.com")

    def test_the_provider_is_the_first_whose_key_is_there(self):
        both = self.told(OPENAI_API_KEY="sk-o")
        self.assertIn("a-model", both["arguments"])
        other = self.told(ANTHROPIC_API_KEY="", OPENAI_API_KEY="sk-o")
        self.assertEqual(other["arguments"], ["-p", "--end"])
        self.assertNotIn("FAKE_URL", other["environment"])

    def test_without_a_key_it_says_what_to_grant(self):
        status, output = self.carry_out(ANTHROPIC_API_KEY=None)
        self.assertEqual(status, 78)
        self.assertIn("no key for anthropic or openai: give it a secret in Settings › Secrets", self.error()["title"])
        self.assertIn("`berth secrets grant`", output)

    def test_an_agent_that_names_no_provider_needs_no_key(self):
        self.image('title = "Plain"\n[headless]\ncommand = ["fake"]\n')
        self.assertEqual(self.told(ANTHROPIC_API_KEY=None)["arguments"], [])

    def test_the_model_is_the_one_that_a_person_chose(self):
        self.assertIn("another", self.told(BERTH_MODEL="another")["arguments"])

    def test_a_prompt_may_come_as_an_argument(self):
        self.image('[headless]\nprompt = "argument"\ncommand = ["fake", "-p=${prompt}"]\n')
        told = self.told(prompt="-x $HOME ${model}")
        self.assertEqual((told["arguments"], told["prompt"]), (["-p=-x $HOME ${model}"], ""))

    def test_a_prompt_that_is_no_argument_is_refused_before_the_program_starts(self):
        self.image('[headless]\nprompt = "argument"\ncommand = ["fake", "${prompt}"]\n')
        self.assertEqual(self.carry_out(prompt="x" * 200_000)[0], 65)
        self.assertIn("longer than", self.error()["title"])
        self.assertEqual(self.carry_out(prompt=" \n")[0], 65)
        self.assertEqual(self.error()["title"], "the task is empty")

    def test_a_long_prompt_comes_on_standard_input(self):
        self.assertEqual(len(self.told(prompt="x" * 2_000_000)["prompt"]), 2_000_000)

    def test_a_name_without_a_value_is_said_with_where_it_stands(self):
        self.image('[headless]\ncommand = ["fake", "--at=${nowhere}"]\n')
        self.assertEqual(self.carry_out()[0], 78)
        self.assertIn("${nowhere}, which has no value here, in '--at=${nowhere}'", self.error()["title"])

    def test_a_program_that_is_not_there_is_named(self):
        for mode in ("headless", "interactive"):
            with self.subTest(mode):
                self.image(f'[{mode}]\ncommand = ["not-there"]\n')
                self.assertEqual(self.carry_out(mode)[0], 127)
                self.assertEqual(self.error()["title"], "not-there did not start: No such file or directory")

    def test_interactive_takes_the_place_of_berth_agent(self):
        self.program("import os, sys; print(os.getpid(), sys.argv[1:])")
        process = self.start("interactive")
        output, _ = process.communicate("", timeout=SECONDS_MAX)
        self.assertEqual(output.splitlines()[-1], f"{process.pid} ['interactive', '--model', 'a-model']")


class Home(BerthAgent):
    FIRST_RUN = """
[[first_run]]
path = ".fake/settings.json"
[first_run.json]
asked = true
approved = ["${key_tail}"]
[first_run.json.projects."${workspace}"]
trusted = true

[[first_run]]
path = ".fake/notes.txt"
text = "of ${home}"
"""

    def settings(self):
        return json.loads((self.home / ".fake/settings.json").read_text())

    def write(self, path, text):
        place = self.home / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def test_first_run_files_are_written_before_the_program_starts(self):
        self.image(IMAGE, self.FIRST_RUN)
        self.program("import os, sys; sys.exit(not os.path.exists(os.environ['HOME'] + '/.fake/settings.json'))")
        self.assertEqual(self.carry_out()[0], 0)
        self.assertEqual(
            self.settings(),
            {"asked": True, "approved": ["an-twenty-characters"], "projects": {str(self.workspace): {"trusted": True}}},
        )
        self.assertEqual((self.home / ".fake/notes.txt").read_text(), f"of {self.home}")
        self.assertEqual(stat.S_IMODE((self.home / ".fake/settings.json").stat().st_mode), 0o600)

    def test_what_is_there_stays_and_is_joined(self):
        self.image(IMAGE, self.FIRST_RUN)
        own = {"asked": False, "approved": ["x"], "theme": "dark", "projects": {"/other": {"trusted": False}}}
        self.write(".fake/settings.json", json.dumps(own)).chmod(0o640)
        self.write(".fake/notes.txt", "mine")
        self.told()
        joined = {"approved": ["x", "an-twenty-characters"], "projects": own["projects"] | {str(self.workspace): {"trusted": True}}}
        self.assertEqual(self.settings(), own | joined)
        self.assertEqual((self.home / ".fake/notes.txt").read_text(), "mine")
        self.assertEqual(stat.S_IMODE((self.home / ".fake/settings.json").stat().st_mode), 0o640)

    def test_a_file_that_says_all_that_already_is_not_touched(self):
        self.image(IMAGE, self.FIRST_RUN)
        self.told()
        before = (self.home / ".fake/settings.json").stat()
        self.told()
        self.assertEqual((self.home / ".fake/settings.json").stat().st_ino, before.st_ino)

    def test_broken_json_is_put_aside_and_said(self):
        self.image(IMAGE, self.FIRST_RUN)
        for text in ("{broken", "[1]", "[" * 100_000):
            with self.subTest(text[:10]):
                self.write(".fake/settings.json", text)
                status, output = self.carry_out()
                self.assertEqual(status, 0, output)
                self.assertIn("it is kept as ~/.fake/settings.json.broken", output)
                self.assertEqual((self.home / ".fake/settings.json.broken").read_text(), text)
                self.assertIs(self.settings()["asked"], True)

    def test_nothing_is_written_through_a_link_out_of_the_home(self):
        self.image(IMAGE, self.FIRST_RUN)
        outside = self.workspace / "theirs"
        outside.mkdir()
        (self.home / ".fake").symlink_to(outside)
        status, output = self.carry_out()
        self.assertEqual(status, 0, output)
        self.assertIn("left alone: ~/.fake/settings.json is not in the home", output)
        self.assertEqual(list(outside.iterdir()), [])

    def test_a_link_within_the_home_is_followed_and_stays_one(self):
        self.image(IMAGE, self.FIRST_RUN)
        real = self.write("dotfiles/settings.json", '{"theme": "light"}')
        (self.home / ".fake").mkdir()
        (self.home / ".fake/settings.json").symlink_to(real)
        self.told()
        self.assertTrue((self.home / ".fake/settings.json").is_symlink())
        self.assertEqual(json.loads(real.read_text())["theme"], "light")
        self.assertIs(json.loads(real.read_text())["asked"], True)

    def test_standing_instructions_stand_between_their_marks_at_every_start(self):
        self.image('persona = ".fake/AGENT.md"\n' + IMAGE)
        persona = self.folder / "persona.md"
        persona.write_text("You are careful.\n<!-- berth:end -->\nAnd brief.\n")
        self.told(BERTH_PERSONA=str(persona))
        place = self.home / ".fake/AGENT.md"
        self.assertEqual(place.read_text().splitlines()[1:], ["You are careful.", "And brief.", "<!-- berth:end -->"])

        place.write_text("Mine, above.\n" + place.read_text() + "\nMine, below.\n")
        persona.write_text("You are bold.")
        self.told(BERTH_PERSONA=str(persona))
        text = place.read_text()
        self.assertNotIn("careful", text)
        for kept in ("You are bold.", "Mine, above.", "Mine, below."):
            self.assertEqual(text.count(kept), 1, text)
        self.told(BERTH_PERSONA=str(persona))
        self.assertEqual(place.read_text(), text)

        self.told()
        self.assertEqual(place.read_text().split(), ["Mine,", "above.", "Mine,", "below."])

    def test_standing_instructions_that_nobody_wants_any_more_leave_no_file(self):
        self.image('persona = ".fake/AGENT.md"\n' + IMAGE)
        self.told(BERTH_MEMORY="/home/agent/clawvault/a")
        self.assertTrue((self.home / ".fake/AGENT.md").exists())
        self.told()
        self.assertFalse((self.home / ".fake/AGENT.md").exists())

    def test_a_beginning_without_its_end_takes_nothing_away(self):
        self.image('persona = "AGENT.md"\n' + IMAGE)
        self.told(BERTH_MEMORY="/m/a")
        place = self.home / "AGENT.md"
        place.write_text(place.read_text().replace("<!-- berth:end -->", "Mine."))
        self.told(BERTH_MEMORY="/m/b")
        self.assertIn("Mine.", place.read_text())

    def test_the_memory_and_what_is_shared_are_named(self):
        self.image('persona = "AGENT.md"\n' + IMAGE)
        self.told(BERTH_MEMORY="/home/agent/clawvault/a")
        text = (self.home / "AGENT.md").read_text()
        self.assertIn("`/home/agent/clawvault/a`", text)
        self.assertIn("`/home/agent/clawvault/shared`", text)

    def test_a_persona_that_cannot_be_read_ends_the_start(self):
        self.image('persona = "AGENT.md"\n' + IMAGE)
        self.assertEqual(self.carry_out(BERTH_PERSONA=str(self.folder / "gone.md"))[0], 78)
        self.assertIn("the persona cannot be read", self.error()["title"])


class Reading(BerthAgent):
    def setUp(self):
        super().setUp()
        self.reader()

    def test_events_become_text_and_other_lines_pass(self):
        self.program(r"""
            import sys
            print('{"type": "text", "text": "one\\u001b[31m\\ntwo"}')
            print('plain {')
            print('{"type": "other"}')
            print('{"no": "type"}')
            print('{broken')
            print('[1]')
            print('noise', file=sys.stderr)
            print('complaint', file=sys.stderr)
            print('{"type": "use", "input": 1}')
        """)
        status, output = self.carry_out()
        self.assertEqual(status, 0)
        lines = ["one\N{REPLACEMENT CHARACTER}[31m", "two", "plain {", '{"no": "type"}', "{broken", "[1]"]
        self.assertEqual(sorted(output.splitlines()[1:]), sorted([*lines, "complaint", "m ended with 0"]))

    def test_output_arrives_while_the_program_runs(self):
        self.program("""
            import os, sys, time
            print('{"type": "text", "text": "here"}', flush=True)
            while not os.path.exists('go'):
                time.sleep(0.05)
        """)
        process = self.start()
        process.stdin.write("Do it.")
        process.stdin.close()
        while process.stdout.readline() != "here\n":
            self.assertIsNone(process.poll())
        (self.workspace / "go").touch()
        self.assertEqual(process.wait(SECONDS_MAX), 0)

    def test_a_line_without_an_end_does_not_fill_the_memory(self):
        self.program("""
            import sys
            for _ in range(20):
                sys.stdout.write('x' * 1024 * 1024)
            print()
            print('{"type": "text", "text": "after"}')
        """)
        status, output = self.carry_out()
        self.assertEqual(output.splitlines()[1:], ["… a line of more than 8 MiB was left out", "after"])

    def test_what_was_said_of_the_conversation_and_of_use_is_kept(self):
        self.program("""
            print('{"type": "session", "id": "s-1"}')
            print('{"type": "use", "input": 5}')
            print('{"type": "use", "input": 7}')
        """)
        self.assertEqual(self.carry_out(BERTH_ATTEMPT="3")[0], 0)
        usage = {"input": 12, "output": 4, "cache_read": 0, "cache_write": 0}
        self.assertEqual(self.record(3), {"session": "s-1", "usage": usage, "model": "m"})

    def test_an_end_that_looks_well_without_the_work_is_an_error(self):
        self.program("""print('{"type": "error", "why": "401"}')""")
        self.assertEqual(self.carry_out()[0], 1)
        self.assertEqual(self.error(), {"title": "the model is away", "detail": "401"})

    def test_a_failure_keeps_its_status_and_its_last_lines(self):
        self.program("import sys; print('last words', file=sys.stderr); sys.exit(7)")
        self.assertEqual(self.carry_out()[0], 7)
        self.assertEqual(self.error(), {"title": "Fake exited with 7", "detail": "last words"})

    def test_a_program_that_is_killed_is_told_by_its_signal(self):
        self.program("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        self.assertEqual(self.carry_out()[0], 137)
        self.assertEqual(self.error()["title"], "Fake was ended by SIGKILL")

    def test_without_a_reader_output_passes_byte_for_byte(self):
        (self.share / "reader.py").unlink()
        self.program("""print('{"type": "text", "text": "x"}', end='')""")
        self.assertTrue(self.carry_out()[1].endswith('\n{"type": "text", "text": "x"}'))


class Resuming(BerthAgent):
    # Says its session, and what it was called with.
    RESUMES = """
        import sys
        print('{"type": "session", "id": "s-%d"}' % len(sys.argv))
        print(*sys.argv[1:])
    """

    def setUp(self):
        super().setUp()
        self.reader()

    def test_a_later_attempt_goes_on_with_the_conversation(self):
        self.program(self.RESUMES)
        self.carry_out()
        _, output = self.carry_out(BERTH_ATTEMPT="2")
        self.assertIn("-p --model a-model --resume s-5 --end", output)

    def test_a_first_attempt_and_another_step_begin_anew(self):
        self.program(self.RESUMES)
        self.carry_out()
        for given in ({}, {"BERTH_ATTEMPT": "2", "BERTH_STEP": "another"}):
            with self.subTest(given):
                self.assertIn("-p --model a-model --end", self.carry_out(**given)[1])

    def test_a_conversation_that_was_cut_short_is_gone_on_with(self):
        self.program("""
            import os, signal
            print('{"type": "session", "id": "cut"}', flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        """)
        self.carry_out()
        self.program(self.RESUMES)
        self.assertIn("--resume cut", self.carry_out(BERTH_ATTEMPT="2")[1])

    def test_a_conversation_is_known_as_soon_as_it_has_begun(self):
        self.program("""
            import os, time
            parent = os.getppid()
            print('{"type": "session", "id": "begun"}', flush=True)
            print('{"type": "text", "text": "ready"}', flush=True)
            while os.getppid() == parent:
                time.sleep(0.05)
        """)
        process = self.start()
        process.stdin.write("Do it.")
        process.stdin.close()
        while process.stdout.readline() != "ready\n":
            self.assertIsNone(process.poll())
        process.kill()
        process.wait(SECONDS_MAX)
        self.program(self.RESUMES)
        self.assertIn("--resume begun", self.carry_out(BERTH_ATTEMPT="2")[1])

    def test_a_conversation_that_is_gone_begins_anew_and_says_so(self):
        self.program(self.RESUMES)
        self.carry_out()
        self.program("""
            import sys
            if '--resume' in sys.argv:
                sys.exit('no such conversation: s-5')
            print('{"type": "session", "id": "new"}')
            print('read', sys.stdin.read())
        """)
        status, output = self.carry_out(BERTH_ATTEMPT="2")
        self.assertEqual(status, 0, output)
        self.assertIn("a new one begins", output)
        self.assertIn("read Do it.", output)
        self.assertEqual(self.record(2)["session"], "new")
        self.assertFalse(self.report.exists())

    def test_any_other_failure_of_a_resumed_run_is_one(self):
        self.program(self.RESUMES)
        self.carry_out()
        self.program("import sys; print('again', end=' '); sys.exit(3)")
        status, output = self.carry_out(BERTH_ATTEMPT="2")
        self.assertEqual((status, output.count("again")), (3, 1))

    def test_a_session_that_is_no_id_is_not_kept(self):
        for session in ("--evil", "a/b", "x" * 300, ""):
            with self.subTest(session[:10]):
                self.program(f"import json; print(json.dumps({{'type': 'session', 'id': {session!r}}}))")
                self.carry_out()
                self.assertIsNone(self.record()["session"])
                self.assertFalse((self.home / ".berth/sessions" / STEP).exists())

    def test_a_person_at_the_terminal_goes_on_with_it_too(self):
        self.program(self.RESUMES)
        self.carry_out()
        self.assertIn("interactive --model a-model --resume s-5", self.carry_out("interactive", BERTH_ATTEMPT="2")[1])


class Ending(BerthAgent):
    def started(self, code):
        """The process, when the program has said that it is ready."""
        self.program(code)
        process = self.start()
        process.stdin.write("Do it.")
        process.stdin.close()
        while process.stdout.readline() != "ready\n":
            self.assertIsNone(process.poll())
        return process

    def gone(self, name):
        """Whether the process whose number is in that file has ended, within a while."""
        number, deadline = int((self.workspace / name).read_text()), time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                if Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    return True
            except (FileNotFoundError, ProcessLookupError):
                return True
            time.sleep(0.05)
        return False

    def test_a_signal_is_passed_on_and_the_program_may_end_in_its_own_way(self):
        process = self.started("""
            import signal, sys, time
            def end(number, frame):
                print('ending', flush=True)
                sys.exit(0)
            signal.signal(signal.SIGTERM, end)
            print('ready', flush=True)
            while True:
                time.sleep(1)
        """)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(SECONDS_MAX), 143)
        self.assertIn("ending", process.stdout.read())
        self.assertFalse(self.report.exists())

    def test_a_program_that_does_not_end_is_killed_after_a_grace(self):
        process = self.started("""
            import os, signal, time
            open('pid', 'w').write(str(os.getpid()))
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print('ready', flush=True)
            while True:
                time.sleep(1)
        """)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(SECONDS_MAX), 143)
        self.assertTrue(self.gone("pid"))

    ORPHANS = """
        import os, subprocess, sys
        code = "import os, signal, subprocess, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); signal.signal(15, signal.SIG_IGN)"
        code += "; sys.argv[2:] and subprocess.Popen([sys.executable, '-c', sys.argv[2], 'inner'], start_new_session=True); time.sleep(600)"
        subprocess.Popen([sys.executable, '-c', code, 'outer', code], start_new_session=True)
        while not (os.path.exists('inner') and open('inner').read() and open('outer').read()):
            pass
        print('ready', flush=True)
    """

    def test_nothing_outlives_the_end_of_the_program(self):
        process = self.started(self.ORPHANS)
        self.assertEqual(process.wait(SECONDS_MAX), 0)
        self.assertTrue(self.gone("outer") and self.gone("inner"))

    def test_nothing_outlives_a_signal(self):
        process = self.started(self.ORPHANS + "    import time\n        time.sleep(600)\n")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(SECONDS_MAX), 143)
        self.assertTrue(self.gone("outer") and self.gone("inner"))

    def test_a_reader_that_goes_away_ends_the_program(self):
        process = self.started("""
            import os, time
            open('pid', 'w').write(str(os.getpid()))
            print('ready', flush=True)
            while True:
                print('more', flush=True)
                time.sleep(0.05)
        """)
        process.stdout.close()
        self.assertEqual(process.wait(SECONDS_MAX), 141)
        self.assertTrue(self.gone("pid"))


if __name__ == "__main__":
    unittest.main()
