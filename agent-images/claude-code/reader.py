"""Claude Code's `stream-json`: lines for the beginning, for what the model says and what tools answer, and for the result."""

import berth_reader
from berth_reader import dig, failed_tools, model_failed, one_line, said_by_model

TITLE = "Claude Code"


class Reader(berth_reader.Reader):
    session_unknown = r"No conversation found with session ID"

    def __init__(self):
        super().__init__()
        self.has_result = False

    def event(self, event):
        kind = event.get("type")
        if kind == "system":
            return self._system(event)
        if kind == "assistant":
            message = event.get("message")
            # Its own words for a failed call come as if the model had said them; the result has them again.
            return None if dig(message, "model") == "<synthetic>" else said_by_model(message)
        if kind == "user":
            return failed_tools(event.get("message"))
        if kind == "result":
            return self._result(event)
        return None

    def _system(self, event):
        if event.get("subtype") == "init":
            self.session, self.model = event.get("session_id"), event.get("model")
        if event.get("subtype") == "api_retry":
            status = event.get("error_status") or "no answer"
            return one_line(f"✗ the model failed ({status}): try {event.get('attempt')} of {event.get('max_retries')}")
        return None

    def _result(self, event):
        self.has_result = True
        self.session = event.get("session_id") or self.session
        self._used(event)
        if event.get("is_error") is not True and event.get("subtype") in (None, "success"):
            self.recovered()
            return None
        errors = event.get("errors")
        said = event.get("result") or "; ".join(map(str, errors if isinstance(errors, list) else [])) or event.get("subtype")
        status = event.get("api_error_status")
        if isinstance(status, int) or str(said).startswith("API Error"):
            self.fail(*model_failed(TITLE, status, said))
        else:
            self.fail(f"{TITLE}: {said}", said)
        return None

    def _used(self, event):
        """By model, where it says so: `usage` leaves out what its subagents used, and `modelUsage` counts the whole conversation,
        earlier runs included."""
        models = event.get("model_usage_since_last_result")
        for used in models.values() if isinstance(models, dict) else []:
            self.use(
                input=dig(used, "inputTokens"),
                output=dig(used, "outputTokens"),
                cache_read=dig(used, "cacheReadInputTokens"),
                cache_write=dig(used, "cacheCreationInputTokens"),
            )
        if not isinstance(models, dict):
            self.use(
                input=dig(event, "usage", "input_tokens"),
                output=dig(event, "usage", "output_tokens"),
                cache_read=dig(event, "usage", "cache_read_input_tokens"),
                cache_write=dig(event, "usage", "cache_creation_input_tokens"),
            )

    def ended(self, status):
        if status == 0 and not self.has_result and self.error is None:
            self.fail(f"{TITLE} ended without a result")
