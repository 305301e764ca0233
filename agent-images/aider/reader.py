"""Reads what aider says to a person, and the file in which it counts what it used.

Its own name for a conversation is a file, which `berth-aider` finds by the step: the step's id stands for it.
"""

import json
import os
import re
from pathlib import Path

import berth_reader
from berth_reader import dig, model_failed

TITLE = "aider"
USE_BYTES_MAX = 16 * 1024 * 1024

# How the library that it asks models by names what went wrong; by the status that is behind it.
FAILED = re.compile(r"^litellm\.(\w+): (.*)")
STATUS = {
    "AuthenticationError": 401,
    "BadGatewayError": 502,
    "BadRequestError": 400,
    "ContextWindowExceededError": 400,
    "InternalServerError": 500,
    "NotFoundError": 404,
    "PermissionDeniedError": 403,
    "RateLimitError": 429,
    "ServiceUnavailableError": 503,
    "UnprocessableEntityError": 422,
}


class Reader(berth_reader.Reader):
    def begin(self):
        self.session = os.environ.get("BERTH_STEP") or None
        self.has_answered = False
        self.cached = {"write": 0, "hit": 0}

    def plain(self, line):
        if found := re.match(r"Model: [a-z]+/(\S+) with ", line):
            self.model = found.group(1)
        elif found := FAILED.match(line):
            self.fail(*model_failed(TITLE, STATUS.get(found.group(1)), found.group(2)))
        elif line.startswith("Tokens: "):
            self.has_answered = True
            for count, what in re.findall(r"([\d.]+[kM]?) cache (write|hit)", line):
                self.cached[what] += rounded(count)
            self.recovered()
        elif re.match(r"Only \d+ reflections allowed", line):
            self.fail(f"{TITLE}: the model's edits do not fit the files", "It tried several times. Another model may do better.")
        return line


    def ended(self, status):
        written, read = self.cached["write"], self.cached["hit"]
        for event in sent():
            self.use(input=dig(event, "prompt_tokens"), output=dig(event, "completion_tokens"))
        if self.usage:
            # What went into a cache is counted twice in what it says was sent, and what came from one once.
            self.usage |= {"input": max(0, self.usage["input"] - 2 * written - read), "cache_read": read, "cache_write": written}
        if status == 0 and self.error is None and not self.has_answered:
            self.fail(f"{TITLE} ended without an answer of the model", "What it said last is above.")


def rounded(count):
    """A number as it is said to a person: `900`, `2.3k`, `12k`."""
    factor = {"k": 1_000, "M": 1_000_000}.get(count[-1], 1)
    try:
        return round(float(count.rstrip("kM")) * factor)
    except ValueError:
        return 0


def sent():
    """What is written of each answer of this run."""
    try:
        with open(Path(os.environ.get("HOME", "/home/agent"), ".aider/berth-use.jsonl"), "rb") as file:
            lines = file.read(USE_BYTES_MAX).splitlines()
    except OSError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if dig(event, "event") == "message_send":
            yield dig(event, "properties")
