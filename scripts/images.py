"""`images.py update [--check] [NAME…]`: what is pinned in agent-images/versions.toml, and what newer versions there are.

Who knows is asked by its own client, so that a person's settings for it hold: npm, pip, and on the Debian that images start from apt.
Comments and order in the file stay.
"""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
VERSIONS = CHECKOUT / "agent-images" / "versions.toml"
# The Debian of `debian:bookworm-slim`; another one's apt knows other versions.
DEBIAN = "bookworm"
# A look-up may take this long, in seconds.
SECONDS_MAX = 120
# What becomes an argument of a build is a version and nothing else.
VERSION = re.compile(r"[0-9][0-9A-Za-z.+:~_-]{0,99}")


class LookUpError(Exception):
    """Nobody says what is newest."""


@dataclass(frozen=True)
class Pin:
    """A version that an image is built with: the Dockerfile's argument, and where it is from, as `npm:@scope/package`."""

    image: str
    argument: str
    source: str
    version: str

    @property
    def package(self):
        return self.source.partition(":")[2]


def pins_of(text):
    """All pins of a versions.toml, in order."""
    return [
        Pin(image, argument, pin["from"], pin["version"])
        for image, arguments in tomllib.loads(text).items()
        for argument, pin in arguments.items()
    ]


def pinned(text, pin, version):
    """The same file with another version in that pin; everything else in it stays as it is."""
    section = re.compile(rf"(^\[{re.escape(pin.image)}\][^\n]*\n)(.*?)(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
    entry = re.compile(rf'(^{re.escape(pin.argument)}\s*=\s*\{{.*?\bversion\s*=\s*")[^"]*(")', re.MULTILINE)
    changed = section.sub(lambda found: found[1] + entry.sub(rf"\g<1>{version}\g<2>", found[2], count=1), text, count=1)
    expected = [Pin(each.image, each.argument, each.source, version) if each == pin else each for each in pins_of(text)]
    if pins_of(changed) != expected:
        form = f"{pin.argument} = {{ from = …, version = … }}"
        raise LookUpError(f"{pin.argument} of {pin.image} is not written on one line, as `{form}`")
    return changed


def newest(pin):
    """The newest version that is meant for everybody."""
    kind = pin.source.partition(":")[0]
    if kind not in SOURCES:
        raise LookUpError(f"nobody is known who has `{pin.source}`; there are {', '.join(SOURCES)}")
    version = SOURCES[kind](pin.package)
    if not VERSION.fullmatch(version):
        raise LookUpError(f"{kind} says {version[:100]!r}, which is no version")
    return version


def newest_of_npm(package):
    return str(json.loads(said("npm", "view", package, "dist-tags.latest", "--json")))


def newest_of_pypi(package):
    # `NAME (VERSION)`, then all others.
    lines = said(sys.executable, "-m", "pip", "index", "versions", "--disable-pip-version-check", package).splitlines()
    return lines[0].rpartition("(")[2].rstrip(") ") if lines else ""


def newest_of_debian(package):
    release = re.search(r"^VERSION_CODENAME=(\S+)", Path("/etc/os-release").read_text(), re.MULTILINE)
    if release is None or release[1] != DEBIAN:
        raise LookUpError(f"only apt of Debian {DEBIAN} knows its packages")
    found = re.search(r"^ *Candidate: (\S+)", said("apt-cache", "policy", package), re.MULTILINE)
    return found[1] if found else ""


SOURCES = {"npm": newest_of_npm, "pypi": newest_of_pypi, "debian": newest_of_debian}


def said(*command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LookUpError(f"{command[0]} does not answer: {error}") from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise LookUpError(f"{' '.join(command)} failed: {''.join(last) or f'exit {done.returncode}'}")
    return done.stdout


def is_newer(version, other):
    """By their numbers; the rest of a version decides only where those are the same."""
    numbers = [[int(number) for number in re.findall(r"\d+", each)] for each in (version, other)]
    return (numbers[0], version) > (numbers[1], other)


def update(given):
    """Pins what is newest, and prints what changed; 1 where something could not be looked up."""
    text, failures = given.versions.read_text(), 0
    known = {pin.image for pin in pins_of(text)}
    unknown = sorted(set(given.names) - known)
    if unknown:
        print(f"error: nothing is pinned for {', '.join(unknown)}; there are {', '.join(sorted(known))}", file=sys.stderr)
        return 2
    for pin in pins_of(text):
        if given.names and pin.image not in given.names:
            continue
        try:
            version = newest(pin)
            if is_newer(version, pin.version):
                text = pinned(text, pin, version)
                print(f"{pin.image}: {pin.package} {pin.version} -> {version}")
        except (LookUpError, ValueError) as error:
            failures += 1
            print(f"error: {pin.image}: {pin.package}: {error}", file=sys.stderr)
    if not given.check and text != given.versions.read_text():
        given.versions.write_text(text)
    return int(failures > 0)


def main():
    parser = argparse.ArgumentParser(prog="images.py", description="What agents' images are built from.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("update", help="look for newer versions, and pin them")
    command.add_argument("names", nargs="*", metavar="NAME", help="only of these images")
    command.add_argument("--check", action="store_true", help="only print what is newer")
    command.add_argument("--versions", type=Path, default=VERSIONS, metavar="FILE", help="another versions.toml")
    command.set_defaults(carry_out=update)
    given = parser.parse_args()
    return given.carry_out(given)


if __name__ == "__main__":
    sys.exit(main())
