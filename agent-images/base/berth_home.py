"""What `berth-agent` writes into the home: first-run files, standing instructions, conversations and what was said of use.

Nothing is written through a link that leads out of the home, and each file is whole or as it was: it is written beside its place and
then put there.
"""

import json
import os
import re
import tempfile
from pathlib import Path

PERSONA_BYTES_MAX = 1024 * 1024
FILE_BYTES_MAX = 16 * 1024 * 1024
SESSION_CHARS_MAX = 200
RECORDS_KEPT_MAX = 500

BEGIN = "<!-- berth:begin (written anew at every start; what is outside of these lines stays) -->"
END = "<!-- berth:end -->"

# Ids become file names and arguments of programs.
ID = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.:-]{{0,{SESSION_CHARS_MAX - 1}}}")


class HomeError(Exception):
    """A file of the home cannot be written, or must not be."""


def is_id(text):
    return isinstance(text, str) and ID.fullmatch(text) is not None


class Home:
    """The agent's home; `say` tells a person what was done with a file of theirs."""

    def __init__(self, folder, say):
        self.folder = Path(folder)
        self.say = say

    def place(self, path):
        """Where a file of the home really is, which is in the home."""
        home = self.folder.resolve()
        place = (home / path).resolve()
        if not place.is_relative_to(home) or place == home:
            raise HomeError(f"~/{path} is not in the home: it leads to {place}")
        return place

    def read(self, path):
        """A text of the home; `None` where there is none."""
        place = self.place(path)
        try:
            if place.stat().st_size > FILE_BYTES_MAX:
                raise HomeError(f"~/{path} is larger than {FILE_BYTES_MAX // 1024 // 1024} MiB")
            return place.read_text()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise HomeError(f"~/{path} cannot be read: {error}") from None

    def write(self, path, text):
        place = self.place(path)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            mode = place.stat().st_mode & 0o777 if place.exists() else 0o600
            handle, beside = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
            try:
                with os.fdopen(handle, "w") as file:
                    file.write(text)
                os.chmod(beside, mode)
                os.replace(beside, place)
            except BaseException:
                os.unlink(beside)
                raise
        except OSError as error:
            raise HomeError(f"~/{path} cannot be written: {error}") from None

    # First-run files

    def prepare(self, first_run):
        """Sees to a first-run file, its words already filled in."""
        found = self.read(first_run.path)
        if first_run.text is not None:
            if found is None:
                self.write(first_run.path, first_run.text)
            return
        there = self._parsed(first_run.path, found)
        wanted = merged(there, first_run.json)
        if wanted != there or found is None:
            self.write(first_run.path, json.dumps(wanted, indent=2, ensure_ascii=False) + "\n")

    def _parsed(self, path, text):
        """The object in a JSON file; a file that has none is put aside."""
        if text is None or not text.strip():
            return {}
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            why = str(error)
        else:
            if isinstance(value, dict):
                return value
            why = "it holds no object"
        place = self.place(path)
        os.replace(place, place.with_name(f"{place.name}.broken"))
        self.say(f"~/{path} is no JSON that can be used ({why}): it is kept as ~/{path}.broken, and a new one begun")
        return {}

    # Standing instructions

    def instruct(self, path, text):
        """Puts the text between the two marks of that file, or takes the marks and what is between them away."""
        found = self.read(path)
        own = "\n".join(without_marks((found or "").splitlines()))
        if text:
            body = "\n".join(line for line in text.strip().splitlines() if line.strip() not in (BEGIN, END))
            wanted = f"{BEGIN}\n{body}\n{END}\n" + (f"\n{own.strip()}\n" if own.strip() else "")
            if wanted != found:
                self.write(path, wanted)
        elif found is not None and BEGIN in found:
            if own.strip():
                self.write(path, own.strip() + "\n")
            else:
                self.place(path).unlink()

    # What is kept of a step

    def session(self, step):
        """The conversation of a step's last attempt."""
        text = (self.read(f".berth/sessions/{step}") or "").strip() if is_id(step) else ""
        return text if is_id(text) else None

    def keep_session(self, step, session):
        if is_id(step) and is_id(session):
            self.write(f".berth/sessions/{step}", session + "\n")
            self._forget_older(".berth/sessions")

    def keep_record(self, step, attempt, record):
        if is_id(step):
            self.write(f".berth/runs/{step}-{attempt}.json", json.dumps(record, ensure_ascii=False) + "\n")
            self._forget_older(".berth/runs")

    def _forget_older(self, folder):
        files = [entry for entry in os.scandir(self.place(folder)) if entry.is_file(follow_symlinks=False)]
        files.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime, reverse=True)
        for entry in files[RECORDS_KEPT_MAX:]:
            os.unlink(entry.path)


def merged(there, wanted):
    """Objects join, lists unite, and whatever else is there stays."""
    if isinstance(there, dict) and isinstance(wanted, dict):
        return there | {key: merged(there[key], value) if key in there else value for key, value in wanted.items()}
    if isinstance(there, list) and isinstance(wanted, list):
        return there + [value for value in wanted if value not in there]
    return there


def without_marks(lines):
    """The lines outside of the marks. Without its end a beginning is only a line."""
    kept, since_begin = [], None
    for line in lines:
        mark = line.strip()
        if mark == BEGIN:
            kept += since_begin or []
            since_begin = []
        elif mark == END:
            since_begin = None
        else:
            (kept if since_begin is None else since_begin).append(line)
    return kept + (since_begin or [])


def instructions(persona, memory):
    """The standing instructions, out of the persona's file and the memory's folder, each of which may be missing."""
    parts = []
    if persona:
        try:
            with open(persona, "rb") as file:
                raw = file.read(PERSONA_BYTES_MAX + 1)
            if len(raw) > PERSONA_BYTES_MAX:
                raise HomeError(f"the persona is larger than {PERSONA_BYTES_MAX // 1024 // 1024} MiB")
            parts.append(raw.decode().strip())
        except (OSError, UnicodeDecodeError) as error:
            raise HomeError(f"the persona cannot be read: {error}") from None
    if memory:
        shared = Path(memory).parent / "shared"
        parts.append(
            "# Memory\n\n"
            f"Your memory is the folder `{memory}`: Markdown files that you wrote in earlier tasks. Look there for what concerns "
            "the task before you begin. Before you end, write down what will be of use later, briefly and one subject to a file, and "
            "correct what is no longer true.\n\n"
            f"`{shared}` is the memory that all agents of this home share: put there what the others should know as well."
        )
    return "\n\n".join(part for part in parts if part)
