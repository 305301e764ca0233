"""What readers are made of; and `read`, by which the tests of each image's reader read lines that its program really printed."""

import importlib.util
import json
import unittest
from pathlib import Path

import berth_reader

IMAGES = Path(__file__).parent.parent


def read(image, output, errors=(), status=0):
    """The reader of an image, and the text that it makes of these lines of a run that ended so; standard error comes first."""
    spec = importlib.util.spec_from_file_location(f"{image}_reader", IMAGES / image / "reader.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    reader = module.Reader()
    reader.begin()
    texts = [reader.err(line) for line in errors]
    texts += [reader.out(line if isinstance(line, str) else json.dumps(line)) for line in output]
    texts.append(reader.ended(status))
    return reader, "\n".join(text for text in texts if text is not None)


class Reading(unittest.TestCase):
    def test_a_tool_call_is_one_line_with_what_it_touches(self):
        self.assertEqual(berth_reader.tool_call("Bash", {"description": "d", "command": "ls\n  -l"}), "→ Bash ls -l")
        self.assertEqual(berth_reader.tool_call("shell", {"command": ["bash", "-lc", "ls"]}), "→ shell bash -lc ls")
        self.assertEqual(berth_reader.tool_call("Think", None), "→ Think")
        self.assertEqual(len(berth_reader.tool_call("Write", {"file_path": "x" * 9999})), berth_reader.LINE_CHARS_MAX)

    def test_texts_are_cut_and_lose_their_control_characters(self):
        self.assertEqual(berth_reader.tame("a\tb\r\nc\x1b]0;x\x07\x9b"), "a\tb\nc\ufffd]0;x\ufffd\ufffd")
        self.assertTrue(berth_reader.tame("x" * 70_000).endswith("\n… 4464 more characters"))

    def test_use_is_summed_and_only_counts_are_counted(self):
        reader = berth_reader.Reader()
        reader.use(input=3, output=True, cache_read="9")
        reader.use(input=4, output=-1, cache_write=2**60)
        self.assertEqual(reader.usage, {"input": 7, "output": 0, "cache_read": 0, "cache_write": 0})

    def test_a_failure_of_the_model_says_what_to_do(self):
        told = {401: "refused the key", 402: "no money", 403: "may not", 404: "does not know", 422: "did not take"}
        told |= {429: "fewer requests", 529: "overloaded"}
        for status, said in told.items():
            with self.subTest(status):
                title, detail = berth_reader.model_failed("Fake", status, "own\nwords")
                self.assertRegex(title, rf"^Fake: .*{said}.* \({status}\)$")
                self.assertEqual(detail.splitlines()[0], "own words")
                self.assertEqual(len(detail.splitlines()), 2)
        self.assertEqual(berth_reader.model_failed("Fake", None, "x")[0], "Fake: the model did not answer")


if __name__ == "__main__":
    unittest.main()
