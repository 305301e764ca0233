"""Reads what `copilot --output-format json` prints, and the folders in which Copilot keeps its conversations.

The output says which conversation it was at its end only, and nothing of tokens. Both are in `~/.copilot/session-state`: a folder for
each conversation, and in it, at each end, the use of the conversation up to there.
"""

import json
import os
from pathlib import Path

import berth_reader
from berth_reader import dig, model_failed, one_line, tool_call, tool_error, whole

TITLE = "Copilot"
# A conversation's file is read up to here.
EVENTS_BYTES_MAX = 256 * 1024 * 1024
QUIET = ("report_intent",)


class Reader(berth_reader.Reader):
    session_unknown = "No session, task, or name matched|No session found|[Ss]ession .{0,80} not found"

    def begin(self):
        self.there = conversations()
        self.before = used(self.session) if self.session else {}
        # Its output has GitHub's names for models.
        self.model = os.environ.get("COPILOT_MODEL")
        self.status = None

    def event(self, event):
        kind, data = event.get("type"), event.get("data") or {}
        if kind == "user.message" and self.session is None:
            self.session = next(iter(conversations() - self.there), None)
        elif kind == "assistant.message":
            return str(data.get("content") or "").strip() or None
        elif kind == "tool.execution_start" and data.get("toolName") not in QUIET:
            return called(data)
        elif kind == "tool.execution_complete" and data.get("success") is False:
            return tool_error(dig(data, "error", "message") or dig(data, "result", "content"))
        elif kind == "model.call_failure":
            self.status = data.get("statusCode")
        elif kind == "assistant.turn_retry":
            return one_line(f"! asks again: {data.get('reason')}")
        elif kind == "session.error":
            message = data.get("message")
            self.fail(*model_failed(TITLE, data.get("statusCode") or self.status, message))
            return tool_error(message)
        elif kind == "result":
            self.session = event.get("sessionId") or self.session
        return None

    def ended(self, status):
        if self.session is None:
            return
        for model, tokens in used(self.session).items():
            before = self.before.get(model, {})
            own = {name: count - before.get(name, 0) for name, count in tokens.items()}
            if any(own.values()):
                read, written = own.get("cacheReadTokens", 0), own.get("cacheWriteTokens", 0)
                self.use(
                    input=own.get("inputTokens", 0) - read - written,
                    output=own.get("outputTokens"),
                    cache_read=read,
                    cache_write=written,
                )


def called(data):
    given = data.get("arguments")
    if isinstance(given, str):
        # A patch names its files in lines of its own.
        files = [line[4:] for line in given.splitlines() if line.startswith("*** ") and " File: " in line]
        return one_line(f"→ {data.get('toolName')} {', '.join(files)}")
    return tool_call(data.get("toolName"), given)


def state():
    return Path(os.environ.get("HOME", "/home/agent"), ".copilot/session-state")


def conversations():
    try:
        return {entry.name for entry in os.scandir(state()) if entry.is_dir() and not entry.name.startswith(".")}
    except FileNotFoundError:
        return set()


def used(session):
    """What a conversation used until its last end: tokens by model."""
    found = {}
    try:
        with open(state() / session / "events.jsonl", "rb") as file:
            lines = file.read(EVENTS_BYTES_MAX).splitlines()
    except OSError:
        return {}
    for line in lines:
        if b'"session.shutdown"' not in line:
            continue
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        metrics = dig(event, "data", "accountingSnapshot", "modelMetrics") or dig(event, "data", "modelMetrics")
        if dig(event, "type") == "session.shutdown" and isinstance(metrics, dict):
            found = metrics
    return {
        model: {name: whole(count) for name, count in dig(metric, "usage").items()}
        for model, metric in found.items()
        if isinstance(dig(metric, "usage"), dict)
    }
