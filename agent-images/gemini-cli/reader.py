"""Gemini CLI's `stream-json`: lines for the beginning, for pieces of what the model says, for tools, and for the result."""

import re

import berth_reader
from berth_reader import dig, model_failed, one_line, tame, tool_call, tool_error, whole

TITLE = "Gemini CLI"
# What it says on standard error beside what went wrong: each time, or where its own code was.
NOISE = re.compile(r"YOLO mode is enabled|\[STARTUP\]|\s+at .*[:)]\d*|Warning: 256-color")
STATUS = re.compile(r'(?:failed with status |^\s*status: |"code":\s*)([45]\d\d)\b')


class Reader(berth_reader.Reader):
    session_unknown = r"Error resuming session: |Invalid session identifier"

    def __init__(self):
        super().__init__()
        self.has_result = False
        self.status = None
        # What the model has said of a line that has not ended.
        self.piece = ""

    def event(self, event):
        kind = event.get("type")
        if kind == "message" and event.get("role") == "assistant":
            return self._said(str(event.get("content") or ""))
        lines = [self._line(), self._other(kind, event)]
        return "\n".join(line for line in lines if line) or None

    def _said(self, text):
        whole_lines, end, self.piece = (self.piece + text).rpartition("\n")
        if len(self.piece) > berth_reader.TEXT_CHARS_MAX:
            whole_lines, end, self.piece = whole_lines + end + self.piece, "\n", ""
        return whole_lines if end else None

    def _line(self):
        piece, self.piece = self.piece, ""
        return tame(piece)

    def _other(self, kind, event):
        if kind == "init":
            self.session, self.model = event.get("session_id"), event.get("model")
        elif kind == "tool_use":
            return tool_call(event.get("tool_name"), event.get("parameters"))
        elif kind == "tool_result" and event.get("status") == "error":
            return tool_error(dig(event, "error", "message") or event.get("output"))
        elif kind == "error":
            return one_line(f"✗ {event.get('message')}")
        elif kind == "result":
            self._result(event)
        return None

    def _result(self, event):
        self.has_result = True
        stats = event.get("stats")
        read, cached, total = (whole(dig(stats, name)) for name in ("input_tokens", "cached", "total_tokens"))
        if total:
            # Its own count of the output leaves out what was thought, which is paid for as output.
            output = max(total - read, whole(dig(stats, "output_tokens")))
            self.use(input=max(read - cached, 0), output=output, cache_read=cached)
        if event.get("status") != "error":
            self.recovered()
            return
        said = str(dig(event, "error", "message") or "it does not say why")
        found = STATUS.search(said)
        status = int(found.group(1)) if found else self.status
        if status is not None or "API Error" in said:
            self.fail(*model_failed(TITLE, status, said))
        else:
            self.fail(f"{TITLE}: {said}", said)

    def complaint(self, line):
        found = STATUS.search(line)
        if found:
            self.status = int(found.group(1))
        return None if NOISE.match(line) else line

    def ended(self, status):
        if status == 0 and not self.has_result and self.error is None:
            self.fail(f"{TITLE} ended without a result")
        return self._line() or None
