"""Reads what `cursor-agent --print --output-format stream-json` prints, as its maker documents it
(<https://cursor.com/docs/cli/reference/output-format>): an event a line, and where it fails, words on standard error and no last event.
"""

import re

import berth_reader
from berth_reader import dig, one_line, text_of, tool_call, tool_error

TITLE = "Cursor"
NO_KEY = re.compile(r"CURSOR_API_KEY|[Aa]uthentication required|[Nn]ot logged in|[Uu]nauthorized|[Ii]nvalid API key|API key is invalid")


class Reader(berth_reader.Reader):
    session_unknown = "(?i)(chat|session|conversation) .{0,80}not found|no (chat|session|conversation) (found|with)"

    def begin(self):
        self.has_ended = False
        self.complaints = []

    def event(self, event):
        self.session = event.get("session_id") or self.session
        kind = event.get("type")
        if kind == "system":
            self.model = event.get("model") or self.model
        elif kind == "assistant":
            return text_of(dig(event, "message", "content")).strip() or None
        elif kind == "tool_call":
            return tool(event)
        elif kind == "result":
            self.has_ended = True
            if usage := event.get("usage"):
                self.use(
                    input=usage.get("inputTokens"),
                    output=usage.get("outputTokens"),
                    cache_read=usage.get("cacheReadTokens"),
                    cache_write=usage.get("cacheWriteTokens"),
                )
            if event.get("is_error") or event.get("subtype") not in (None, "success"):
                self.fail(f"{TITLE}: {one_line(event.get('result') or event.get('subtype'))}")
        return None

    def complaint(self, line):
        self.complaints = [*self.complaints[-19:], line]
        return line

    def ended(self, status):
        if self.error or (status == 0 and self.has_ended):
            return
        said = "\n".join(self.complaints)
        if status and NO_KEY.search(said):
            hint = (
                "Give the agent a secret whose variable is CURSOR_API_KEY, bound to the host api2.cursor.sh "
                "(header Authorization, format `Bearer {}`), in Settings › Secrets."
            )
            self.fail(f"{TITLE} has no key that its service takes", f"{said}\n{hint}")
        elif status == 0:
            self.fail(f"{TITLE} ended without saying that it was done", said)


def tool(event):
    """A call: the name of its one key, `writeToolCall` for example, and what it is about."""
    called = event.get("tool_call") or {}
    name, about = next(((name, about) for name, about in called.items() if isinstance(about, dict)), ("tool", {}))
    if event.get("subtype") == "started":
        given = about.get("args")
        if name == "function":
            name, given = about.get("name"), {"command": about.get("arguments")}
        return tool_call(str(name).removesuffix("ToolCall"), given)
    for bad in ("error", "failure", "rejected"):
        found = dig(about, "result", bad)
        if found is not None:
            words = found if isinstance(found, str) else next((dig(found, key) for key in ("message", "error", "stderr", "reason", "errorMessage") if dig(found, key)), bad)
            return tool_error(words)
    return None
