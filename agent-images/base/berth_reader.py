"""How an agent's own output becomes text for a person, and what is learned from it.

An image's `reader.py` has a class `Reader` that derives from the one here. It gets each line of the program's standard output that is
a JSON object (`event`), each other one (`plain`), and each line of its standard error (`complaint`); what these return is printed, as is
what `ended` has left to say. Whatever a program says is hostile: texts out of JSON are cut, and their control characters taken out.
"""

import json
import re

TEXT_CHARS_MAX = 64 * 1024
LINE_CHARS_MAX = 240
TITLE_CHARS_MAX = 200
DETAIL_CHARS_MAX = 4000

# Everything that moves a terminal's cursor or rings its bell; tabs and new lines are text.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# What a tool is asked to touch, in the order in which it is looked for.
TOUCHED = (
    *("command", "cmd", "file_path", "filePath", "absolute_path", "path", "notebook_path", "dir_path"),
    *("pattern", "query", "url", "description", "prompt"),
)


class Reader:
    """What was learned: `session`, `model`, `usage`, and `error` where the program could not do its work.

    `usage` counts each token once: what came from a cache is no part of `input`.
    """

    # What the program says, on either output, where the conversation that it is to go on with is not there.
    session_unknown = None

    def __init__(self):
        self.session = None
        self.model = None
        self.usage = None
        self.error = None
        self.is_session_unknown = False

    def begin(self):
        """Called before the program starts."""

    def event(self, event):
        """The text for a JSON object of the output; `None` prints nothing."""
        return json.dumps(event, ensure_ascii=False)

    def plain(self, line):
        """The text for any other line."""
        return line

    def complaint(self, line):
        """The text for a line of standard error."""
        return line

    def ended(self, status):
        """Called with the exit status when all was read; the text that is still to be said."""

    # What `berth-agent` calls

    def out(self, line):
        """The text for a line of standard output."""
        self._look(line)
        if line.lstrip().startswith("{"):
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                event = None
            if isinstance(event, dict):
                return self._event(event, line)
        return self.plain(line)

    def _event(self, event, line):
        try:
            text = self.event(event)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            # The program says it in another way than its reader knows.
            text = line
        return None if text is None else tame(text)

    def err(self, line):
        """The text for a line of standard error."""
        self._look(line)
        return self.complaint(line)

    def _look(self, line):
        if self.session_unknown is not None and re.search(self.session_unknown, line):
            self.is_session_unknown = True

    # For images

    def fail(self, title, detail=""):
        """The program could not do its work; `recovered` takes that back."""
        self.error = {"title": one_line(title, TITLE_CHARS_MAX), "detail": tame(str(detail))[:DETAIL_CHARS_MAX]}

    def recovered(self):
        self.error = None

    def use(self, **tokens):
        """Adds to the usage."""
        usage = self.usage or {"input": 0, "output": 0, "cache_read": 0, "cache_write": 0}
        self.usage = {name: count + whole(tokens.get(name)) for name, count in usage.items()}


def whole(value):
    """A count, whatever was said."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else 0


def dig(value, *path):
    """What is at that place of nested objects; `None` where nothing is."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def objects(value):
    """The objects of a list, whatever it really is."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def tame(text):
    """Without control characters, and not too long."""
    text = CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
    cut = len(text) - TEXT_CHARS_MAX
    return text if cut <= 0 else f"{text[:TEXT_CHARS_MAX]}\n… {cut} more characters"


def one_line(text, chars_max=LINE_CHARS_MAX):
    text = " ".join(tame(str(text)).split())
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"


def tool_call(name, given):
    """A line for a tool call: its name and what it touches."""
    given = given if isinstance(given, dict) else {}
    touched = next((given[key] for key in TOUCHED if isinstance(given.get(key), (str, list)) and given[key]), "")
    if isinstance(touched, list):
        touched = " ".join(str(each) for each in touched)
    return one_line(f"→ {name} {touched}")


def tool_error(text):
    """A line for a tool that failed."""
    return one_line(f"✗ {text or 'failed'}")


def text_of(content):
    """The text in a message's content, which is a text or a list of parts."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in objects(content) if isinstance(part.get("text"), str))


def said_by_model(message):
    """The lines for a message of the model in Anthropic's form: its texts, and its calls of tools."""
    lines = []
    for part in objects(dig(message, "content")):
        if part.get("type") == "text" and part.get("text"):
            lines.append(part["text"])
        elif part.get("type") == "tool_use":
            lines.append(tool_call(part.get("name"), part.get("input")))
    return "\n".join(lines) or None


def failed_tools(message):
    """The lines for those of the tools' answers in Anthropic's form that say that a tool failed."""
    failed = [part for part in objects(dig(message, "content")) if part.get("is_error") is True]
    return "\n".join(tool_error(text_of(part.get("content"))) for part in failed) or None


def model_failed(title, status, said):
    """Title and detail for a call of the model that failed for good with that HTTP status, in words that say what to do."""
    said = one_line(said, 1000)
    look = "Look at the run's requests (`berth requests RUN`)."
    if status == 401:
        why, hint = "the model's provider refused the key", "Look at the secret in Settings › Secrets, and at what it is bound to."
    elif status == 402:
        why, hint = "no money is left for the model", "Look at the budgets in Costs, and at the account with the provider."
    elif status == 403:
        why, hint = "the model may not be asked", f"{look} Either Berth refused it, or the provider did for this key."
    elif status == 404:
        why, hint = "the model's provider does not know the model", "Choose another model for the agent."
    elif status == 429:
        why, hint = "the model's provider wants fewer requests", "Wait a while and retry the run, or raise the account's limits."
    elif status in (400, 413, 422):
        why = "the model's provider did not take the request"
        hint = "The model's name and the length of the conversation are what it is most often about."
    elif isinstance(status, int) and status >= 500:
        why, hint = "the model's provider is out of order or overloaded", "Wait a while and retry the run."
    else:
        return f"{title}: the model did not answer", f"{said}\n{look}"
    return f"{title}: {why} ({status})", f"{said}\n{hint}"
