"""What `berth-agent` knows of the image that it is in: `image.toml`, and the words in dollar signs that its texts may name.

The fields are explained in agent-images/README.md. Berth has refused a file with a field that nobody knows before the image was
built; here only what is used is read.
"""

import os
import string
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

# Whose arguments are put in the place of a whole argument of a command.
SPLICED = ("arguments", "resume")


@dataclass(frozen=True)
class Interface:
    """Where a provider's programs look for its key and its address, and where it is unless Berth says otherwise."""

    key_variable: str
    base_url_variable: str
    base_url: str


INTERFACES = {
    "anthropic": Interface("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "https://api.anthropic.com"),
    "openai": Interface("OPENAI_API_KEY", "OPENAI_BASE_URL", "https://api.openai.com/v1"),
    "gemini": Interface("GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "https://generativelanguage.googleapis.com"),
}


class ImageError(Exception):
    """The image says something that cannot be carried out."""


@dataclass(frozen=True)
class Mode:
    """One way to start the agent's program: `headless` or `interactive`."""

    command: list
    resume: list
    # `stdin` or `argument`; a person at a terminal brings none.
    prompt: str = "stdin"


@dataclass(frozen=True)
class Provider:
    """A provider that the agent can work with."""

    name: str
    model: str | None
    environment: dict
    arguments: list

    @property
    def interface(self):
        try:
            return INTERFACES[self.name]
        except KeyError:
            raise ImageError(f"image.toml names the provider `{self.name}`; there are {', '.join(INTERFACES)}") from None


@dataclass(frozen=True)
class FirstRun:
    """A file of the home that keeps the agent from asking."""

    path: str
    # What is merged into it, or what is written where there is none.
    json: object = None
    text: str | None = None


@dataclass(frozen=True)
class Image:
    title: str
    modes: dict
    providers: list
    environment: dict = field(default_factory=dict)
    first_run: list = field(default_factory=list)
    persona: str | None = None

    @classmethod
    def read(cls, path):
        try:
            raw = tomllib.loads(Path(path).read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ImageError(f"{path} cannot be read: {error}") from None
        modes = {
            name: Mode(raw[name].get("command", []), raw[name].get("resume", []), raw[name].get("prompt", "stdin"))
            for name in ("headless", "interactive")
            if name in raw
        }
        providers = [
            Provider(each["name"], each.get("model"), each.get("environment", {}), each.get("arguments", []))
            for each in raw.get("provider", [])
        ]
        first_run = [FirstRun(each["path"], each.get("json"), each.get("text")) for each in raw.get("first_run", [])]
        title = raw.get("title", raw.get("name", "the agent"))
        return cls(title, modes, providers, raw.get("environment", {}), first_run, raw.get("persona"))

    def mode(self, name):
        mode = self.modes.get(name)
        if mode is None or not mode.command:
            raise ImageError(f"{self.title} has no program that works as `{name}`")
        return mode


class Words:
    """What stands for `${model}`, `${key}` and the like. A name without a value is an error where it is used."""

    def __init__(self, values):
        self.values = {name: value for name, value in values.items() if value is not None}

    def filled(self, thing):
        """The same text, list or table, keys included, with its names replaced."""
        if isinstance(thing, str):
            return self._text(thing)
        if isinstance(thing, list):
            return [self.filled(each) for each in thing]
        if isinstance(thing, dict):
            return {self._text(key): self.filled(value) for key, value in thing.items()}
        return thing

    def command(self, command, **spliced):
        """A command's arguments. What `arguments` and `resume` stand for takes the place of their names, or comes last."""
        filled = []
        for argument in command:
            name = argument[2:-1] if argument.startswith("${") and argument.endswith("}") else None
            if name in SPLICED:
                filled += self.filled(spliced.pop(name, []))
            else:
                filled.append(self._text(argument))
        for name in SPLICED:
            filled += self.filled(spliced.pop(name, []))
        return filled

    def _text(self, text):
        try:
            return string.Template(text).substitute(self.values)
        except KeyError as error:
            raise ImageError(f"image.toml names ${{{error.args[0]}}}, which has no value here, in {text!r}") from None
        except ValueError as error:
            raise ImageError(f"image.toml has a dollar sign that stands for nothing in {text!r} ({error}); write $$") from None


def chosen(image, environment=os.environ):
    """The first provider whose key is there; `None` where the image names none at all."""
    for provider in image.providers:
        if environment.get(provider.interface.key_variable):
            return provider
    if image.providers:
        names = " or ".join(provider.name for provider in image.providers)
        raise ImageError(
            f"the agent has no key for {names}: give it a secret in Settings › Secrets, or by `berth secrets grant`"
        )
    return None


def words_of(provider, home, workspace, environment=os.environ):
    """What the image's texts may name before a conversation has begun."""
    values = {"home": str(home), "workspace": str(workspace), "model": environment.get("BERTH_MODEL") or None}
    if provider is not None:
        interface = provider.interface
        key = environment[interface.key_variable]
        values["model"] = values["model"] or provider.model
        values |= {"key": key, "key_tail": key[-20:]}
        values["base_url"] = environment.get(interface.base_url_variable) or interface.base_url
    return Words(values)
