"""The mutants apply to the checkout as it is, and what is said of them is checked before hours are spent."""

import re
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutants import CHECKOUT
from mutants_of_the_guest import MUTANTS


class Mutants(unittest.TestCase):
    def test_each_has_a_name_of_its_own(self):
        names = [mutant.name for mutant in MUTANTS]
        self.assertEqual(len(names), len(set(names)))

    def test_each_applies_exactly_once_and_changes_something(self):
        for mutant in MUTANTS:
            with self.subTest(mutant.name):
                self.assertEqual(mutant.count(CHECKOUT), 1)
                self.assertNotEqual(mutant.old, mutant.new)

    def test_each_names_tests_that_there_are(self):
        sources = [path for folder in ("crates", "tests") for path in (CHECKOUT / folder).rglob("*.rs")]
        texts = [path.read_text() for path in sources]
        for mutant in MUTANTS:
            for _, name in mutant.tests:
                with self.subTest(mutant.name, test=name):
                    function = re.compile(rf"\bfn {name.rsplit('::', 1)[-1]}\b")
                    self.assertTrue(any(function.search(text) for text in texts))


if __name__ == "__main__":
    unittest.main()
