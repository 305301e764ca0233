"""Reads what `codex exec --json` prints, one event a line, and the files in which Codex keeps its conversations.

The use that it says at the end of a turn is that of the whole conversation: what was used before this run is in the conversation's file.
"""

import json
import os
import re
from pathlib import Path

import berth_reader
from berth_reader import dig, objects, one_line, tool_call, tool_error, whole

TITLE = "Codex"
# A conversation's file is read up to here.
ROLLOUT_BYTES_MAX = 256 * 1024 * 1024


class Reader(berth_reader.Reader):
    session_unknown = "no rollout found for|[Nn]o (saved )?session found|thread/resume failed"

    def begin(self):
        self.before = kept(self.session)[0] if self.session else {}

    def event(self, event):
        kind = event.get("type")
        if kind == "thread.started":
            self.session = event.get("thread_id") or self.session
        elif kind in ("item.started", "item.completed"):
            item = event.get("item")
            return self.item(item, kind == "item.completed") if isinstance(item, dict) else None
        elif kind == "turn.completed":
            self.recovered()
            self.count(event.get("usage") or {})
        elif kind == "turn.failed":
            self.fail(*failure(dig(event, "error", "message")))
        elif kind == "error":
            # Of a try that is made again as well; a turn that comes to its end takes it back.
            message = event.get("message")
            self.fail(*failure(message))
            return tool_error(dig(said(message), "message") or message)
        return None

    def item(self, item, is_over):
        kind = item.get("type")
        if kind == "command_execution":
            if not is_over:
                return tool_call("shell", item)
            code = item.get("exit_code")
            return tool_error(f"exited with {code}: {last_line(item.get('aggregated_output'))}") if code else None
        if kind == "mcp_tool_call":
            if not is_over:
                return tool_call(f"{item.get('server')}.{item.get('tool')}", item.get("arguments"))
            return tool_error(dig(item, "error", "message")) if item.get("status") == "failed" else None
        if not is_over:
            return None
        if kind in ("agent_message", "reasoning"):
            return str(item.get("text", ""))
        if kind == "file_change":
            changes = [tool_call(str(change.get("kind")), change) for change in objects(item.get("changes"))]
            return "\n".join([*changes, *([tool_error("not changed")] if item.get("status") == "failed" else [])])
        if kind == "web_search":
            return tool_call("web search", item)
        if kind == "error":
            return one_line(f"! {item.get('message')}")
        return None

    def count(self, usage):
        own = {name: whole(count) - self.before.get(name, 0) for name, count in usage.items()}
        cached, written = own.get("cached_input_tokens", 0), own.get("cache_write_input_tokens", 0)
        self.use(
            input=own.get("input_tokens", 0) - cached - written,
            output=own.get("output_tokens"),
            cache_read=cached,
            cache_write=written,
        )

    def ended(self, status):
        total, self.model = kept(self.session) if self.session else ({}, None)
        if self.usage is None and total:
            # It broke off before it said so itself.
            self.count(total)


def kept(session):
    """What a conversation used until now, and the model that it is with, by the file that Codex keeps of it."""
    total, model = {}, None
    home = Path(os.environ.get("HOME", "/home/agent"), ".codex/sessions")
    for path in sorted(home.rglob(f"rollout-*-{session}.jsonl"))[-1:]:
        with open(path, "rb") as file:
            for line in file.read(ROLLOUT_BYTES_MAX).splitlines():
                if b'"token_count"' not in line and b'"turn_context"' not in line:
                    continue
                try:
                    event = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if dig(event, "type") == "turn_context":
                    model = dig(event, "payload", "model") or model
                elif dig(event, "payload", "type") == "token_count":
                    found = dig(event, "payload", "info", "total_token_usage")
                    total = {name: whole(count) for name, count in found.items()} if isinstance(found, dict) else total
    return total, model if isinstance(model, str) else None


def said(message):
    """The provider's own object in what Codex says of an error, which may be its JSON; `None` where it is not."""
    try:
        return dig(json.loads(message), "error")
    except (TypeError, ValueError, RecursionError):
        return None


def failure(message):
    """Title and detail for what a turn failed with."""
    error = said(message)
    found = re.search(r"\bstatus:? (\d{3})\b", str(message))
    if found:
        status = int(found.group(1))
    elif error:
        # What the provider did not take is all that is said in its own words.
        status = 400
    else:
        # A reply of 500 and more is put in other words, its number left out.
        status = 500 if "experiencing high demand" in str(message) else None
    return berth_reader.model_failed(TITLE, status, dig(error, "message") or message)


def last_line(output):
    return next((line for line in reversed(str(output or "").splitlines()) if line.strip()), "it said nothing")
