"""Qwen Code's `stream-json`: lines for the beginning, for what the model says and what tools answer, and for the result."""

import re

import berth_reader
from berth_reader import dig, failed_tools, model_failed, one_line, said_by_model, whole

TITLE = "Qwen Code"
API_ERROR = re.compile(r"\[API Error: (?:(\d{3})\b)?")


class Reader(berth_reader.Reader):
    session_unknown = r"No saved session found with ID"

    def __init__(self):
        super().__init__()
        self.has_result = False

    def event(self, event):
        kind = event.get("type")
        if kind == "system" and event.get("subtype") == "init":
            self.session, self.model = event.get("session_id"), event.get("model")
        elif kind == "assistant":
            return self._assistant(event.get("message"))
        elif kind == "user":
            return failed_tools(event.get("message"))
        elif kind == "result":
            return self._result(event)
        return None

    def _assistant(self, message):
        """Its use is added up here: the result's is that of the whole conversation, earlier runs included."""
        read, cached = (whole(dig(message, "usage", name)) for name in ("input_tokens", "cache_read_input_tokens"))
        output = whole(dig(message, "usage", "output_tokens"))
        if read or output:
            self.use(input=max(read - cached, 0), output=output, cache_read=cached)
        text = said_by_model(message)
        # Its own words for a failed call come as if the model had said them; the result has them again.
        return None if text is not None and API_ERROR.match(text) else text

    def _result(self, event):
        self.has_result = True
        self.session = event.get("session_id") or self.session
        if event.get("is_error") is not True:
            self.recovered()
            return None
        said = str(dig(event, "error", "message") or event.get("result") or event.get("subtype"))
        found = API_ERROR.match(said)
        if found:
            self.fail(*model_failed(TITLE, int(found.group(1)) if found.group(1) else None, said))
        else:
            self.fail(f"{TITLE}: {one_line(said)}", said)
        return None

    def ended(self, status):
        if status == 0 and not self.has_result and self.error is None:
            self.fail(f"{TITLE} ended without a result")
