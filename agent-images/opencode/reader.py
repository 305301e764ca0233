"""Reads what `opencode run --format json` prints: an event for each finished part of an answer."""

import json
import os
import re

import berth_reader
from berth_reader import dig, model_failed, one_line, tool_call, tool_error, whole

TITLE = "opencode"
# How a patch names its files (the format that OpenAI's models are trained on).
PATCHED = re.compile(r"^\*\*\* (Add|Update|Delete) File: (.+)$", re.MULTILINE)


class Reader(berth_reader.Reader):
    session_unknown = "Session not found"

    def begin(self):
        self.model = model_of(os.environ.get("OPENCODE_CONFIG_CONTENT"))

    def event(self, event):
        self.session = event.get("sessionID") or self.session
        kind, part = event.get("type"), event.get("part") or {}
        if kind in ("text", "reasoning"):
            return str(part["text"]).strip()
        if kind == "tool_use":
            return tool(part)
        if kind == "step_finish":
            self.recovered()
            tokens = part.get("tokens") or {}
            self.use(
                input=tokens.get("input"),
                # What it thought is apart, and is paid for as output.
                output=whole(tokens.get("output")) + whole(tokens.get("reasoning")),
                cache_read=dig(tokens, "cache", "read"),
                cache_write=dig(tokens, "cache", "write"),
            )
            return None
        if kind == "error":
            return self.failed(event.get("error") or {})
        return None

    def failed(self, error):
        message = dig(error, "data", "message") or error.get("message") or error.get("name")
        status = dig(error, "data", "statusCode")
        if error.get("name") in ("APIError", "ProviderAuthError") or status:
            self.fail(*model_failed(TITLE, status, message))
        else:
            self.fail(f"{TITLE}: {one_line(message)}", json.dumps(error.get("data"), ensure_ascii=False))
        return tool_error(message)


def tool(part):
    state = part.get("state") or {}
    given = state.get("input") or {}
    patch = PATCHED.findall(str(given.get("patchText", "")))
    lines = [tool_call(what.lower(), {"path": path}) for what, path in patch] or [tool_call(part.get("tool"), given)]
    if state.get("status") == "error":
        lines.append(tool_error(state.get("error")))
    return "\n".join(lines)


def model_of(config):
    """The one model that the image's own settings name; its output names none."""
    try:
        providers = json.loads(config or "{}").get("provider", {}).values()
        return next((model for provider in providers for model in provider.get("models", {})), None)
    except (ValueError, AttributeError):
        return None
