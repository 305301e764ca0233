"""`images.py build`, with a berth and a docker that say what a test wants to hear."""

import json
import os
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

PROGRAM = Path(__file__).with_name("images.py")
# `berth images --json` and `berth --json images build|smoke NAME` out of files; what is built and tried is written down.
BERTH = """#!/bin/sh
cd "$SAID"
case "$*" in
"images --json") cat images ;;
"--json images build "*) echo "$4" >>built; cat "image-$4" || { echo "Failed: $4" >&2; exit 1; } ;;
"--json images smoke "*) echo "$4" >>tried; cat "tried-$4" || { echo "Failed: $4" >&2; exit 1; } ;;
*) exit 2 ;;
esac
"""
# `docker image ls … NAME`, `docker image inspect TAG` and `docker run … IMAGE --show …` out of files.
DOCKER = """#!/bin/sh
cd "$SAID"
for last do :; done
case "$*" in
"image ls "*) cat "tags-${last#berth/}" ;;
"image inspect "*) cat "inspect-$(echo "$last" | tr /: __)" ;;
run*) for word do case $word in sha256:*) cat "packages-${word#sha256:}" ;; esac; done ;;
*) exit 2 ;;
esac
"""


def view(name, base, state="ready", smoke=True, origin="gallery", size=100):
    return {
        "name": name,
        "version": "1.0",
        "origin": {"origin": origin},
        "base": base,
        "state": {"state": state, "size_bytes": size, "built_at": "2026-11-28T19:00:00Z"},
        "smoke": {"passed": smoke, "tried": 2, "failed": [] if smoke else ["xvnc: exit 1"], "at": "2026-11-28T19:00:00Z"},
    }


class Building(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.lock = self.folder / "image.lock"
        for name, script in (("berth", BERTH), ("docker", DOCKER)):
            (self.folder / name).write_text(script)
            (self.folder / name).chmod(0o755)
        self.views = []
        self.image(view("base", "debian:bookworm-slim", origin="part"), ["bash 5", "python3 3.11"])
        self.image(view("coder", "berth/base"), ["bash 5", "coder-tool 2", "python3 3.12"])
        self.image(view("other", "debian:bookworm-slim"), ["bash 5"])
        self.views.append(view("mine", "", origin="reference"))

    def image(self, its_view, packages):
        """An image as Berth and the engine have it."""
        name = its_view["name"]
        self.views = [known for known in self.views if known["name"] != name] + [its_view]
        self.says(f"image-{name}", json.dumps(its_view))
        self.says(f"tags-{name}", f"berth/{name}:1.0-abc\nberth/{name}:trial-1\n")
        self.says(f"inspect-berth_{name}_1.0-abc", self.inspected(f"sha256:{name}"))
        self.says(f"packages-{name}", "".join(f"{package}\n" for package in packages))

    def inspected(self, id_, size=100, created="2026-11-28T18:00:00Z"):
        return json.dumps([{"Id": id_, "Size": size, "Created": created}])

    def says(self, name, text):
        (self.folder / name).write_text(text)

    def build(self, *names):
        self.says("images", json.dumps(self.views))
        env = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "SAID": str(self.folder)}
        command = [sys.executable, "-B", PROGRAM, "build", "--lock", self.lock, *names]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    def built(self):
        return (self.folder / "built").read_text().split()

    def locked(self):
        return tomllib.loads(self.lock.read_text())

    def test_all_are_built_each_behind_its_base_and_written_down(self):
        done = self.build()
        self.assertEqual((done.returncode, done.stderr), (0, "3 of 3 images are built and tried\n"))
        self.assertEqual(self.built(), ["base", "coder", "other"])
        self.assertEqual(list(self.locked()), ["base", "coder", "other"])
        self.assertEqual(
            self.locked()["coder"],
            {
                "version": "1.0",
                "base": "berth/base",
                "reference": "berth/coder:1.0-abc",
                "id": "sha256:coder",
                "size_bytes": 100,
                "pinned": [],
                "packages": ["coder-tool 2", "python3 3.12"],
            },
        )

    def test_the_lock_is_the_same_for_the_same_images_and_has_no_dates(self):
        self.build()
        before = self.lock.read_text()
        self.build("other")
        self.assertEqual(self.lock.read_text(), before)
        self.assertNotIn("2026", before)
        self.assertNotIn(str(self.folder), before)

    def test_what_is_named_is_built_with_its_base_and_the_rest_of_the_lock_stays(self):
        self.build("other")
        self.build("coder")
        self.assertEqual(self.built(), ["other", "base", "coder"])
        self.assertEqual(list(self.locked()), ["base", "coder", "other"])

    def test_an_image_that_is_no_more_goes_from_the_lock(self):
        self.build()
        self.views = [known for known in self.views if known["name"] != "other"]
        self.build("base")
        self.assertEqual(list(self.locked()), ["base", "coder"])

    def test_what_fails_is_told_and_the_others_are_built(self):
        self.build()
        (self.folder / "image-coder").unlink()
        self.says("packages-other", "bash 6\n")
        done = self.build()
        self.assertEqual(done.returncode, 1)
        self.assertIn("Failed: coder", done.stderr)
        self.assertIn("error: coder: it was not built", done.stderr)
        self.assertIn("2 of 3", done.stderr)
        self.assertEqual(self.locked()["other"]["packages"], ["bash 6"])

    def test_what_was_not_tried_or_tried_in_vain_is_not_written_down(self):
        for its_view, why in (
            (view("coder", "berth/base", smoke=False), "what was tried failed: xvnc: exit 1"),
            (view("coder", "berth/base") | {"smoke": None}, "it was not tried"),
            (view("coder", "berth/base", state="not_built"), "it was built and is not built"),
        ):
            with self.subTest(why):
                self.image(its_view, [])
                done = self.build()
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"error: coder: {why}", done.stderr)
                self.assertNotIn("coder", self.locked())

    def test_what_another_berth_built_is_tried_by_this_one(self):
        self.image(view("coder", "berth/base") | {"smoke": None}, ["coder-tool 2"])
        self.says("tried-coder", json.dumps(view("coder", "berth/base")))
        done = self.build()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.folder / "tried").read_text(), "coder\n")
        self.assertIn("coder", self.locked())

    def test_of_several_builds_on_the_engine_the_one_of_its_size_that_is_newest_is_meant(self):
        self.says("tags-other", "".join(f"berth/other:1.0-{tag}\n" for tag in ("abc", "def", "ghi")))
        self.says("inspect-berth_other_1.0-def", self.inspected("sha256:newer", created="2026-11-28T18:30:00Z"))
        self.says("inspect-berth_other_1.0-ghi", self.inspected("sha256:larger", size=101, created="2026-11-28T18:59:00Z"))
        self.says("packages-newer", "bash 7\n")
        self.build("other")
        self.assertEqual(self.locked()["other"]["id"], "sha256:newer")
        self.assertEqual(self.locked()["other"]["packages"], ["bash 7"])

    def test_an_engine_that_is_another_one_is_told(self):
        self.says("tags-other", "")
        done = self.build("other")
        self.assertEqual(done.returncode, 1)
        self.assertIn("do `docker` and Berth ask the same one?", done.stderr)

    def test_a_name_that_is_not_there_is_told_with_those_that_are(self):
        done = self.build("coda", "mine")
        self.assertEqual(done.returncode, 2)
        self.assertIn("there is no image coda, mine; there are base, coder, other", done.stderr)


if __name__ == "__main__":
    unittest.main()
