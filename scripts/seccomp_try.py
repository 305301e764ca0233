#!/usr/bin/env python3
"""`scripts/seccomp_try.py IMAGE`: what the browser image's seccomp profile is good for, tried on the engine.

Chromium shows a page with the profile as it is, and no page where any one of its additions is missing. Then what a process can reach in a
sandbox with the engine's own profile is set beside what it can reach with this one. Exit 0 only if each addition is
needed, and nothing is open beside what the README says of it.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "agent-images/browser"))
import seccomp  # noqa: E402

SECONDS_MAX = 60
# As Berth's sandboxes are.
SANDBOX = (
    "--rm -i --init --network none --cap-drop ALL --security-opt no-new-privileges --read-only --user 1000:1000 --memory 2g --pids-limit 512"
    " --shm-size 512m --tmpfs /tmp:rw,nosuid,nodev,mode=1777 --tmpfs /run:rw,nosuid,nodev"
    " --tmpfs /home/agent:rw,nosuid,nodev,uid=1000,gid=1000"
).split()
# What agent-images/README.md says that it opens, in the words of seccomp_probe.py.
OPEN = {
    "user namespace",
    "user namespace with processes and network",
    "chroot within it",
    "interfaces and traffic control within it",
}
WORD = "the page is here"
PAGE = f"data:text/html,<title>x</title>{WORD.replace(' ', '%20')}"
CHROMIUM = ["timeout", "20", "chromium", "--headless", "--user-data-dir=/tmp/profile", "--dump-dom", PAGE]


def in_sandbox(image, profile, command, given=""):
    options = list(SANDBOX)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        if profile is not None:
            json.dump(profile, file)
            file.flush()
            options += ["--security-opt", f"seccomp={file.name}"]
        return subprocess.run(
            ["docker", "run", *options, image, *command],
            input=given,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )


def why(done):
    """What Chromium said when it gave up, of all that it says, and how it ended."""
    end = "no page within 20 s" if done.returncode == 124 else f"exit {done.returncode}"
    words = re.search(r"(No usable sandbox|Zygote could not fork|Check failed: [^:\n]+)", done.stderr)
    return f"{end}: {words.group(1)}" if words else end


def try_additions(image):
    whole = in_sandbox(image, seccomp.profile(), CHROMIUM)
    works = WORD in whole.stdout
    print(f"{'ok' if works else 'FAILED'} Chromium with the whole profile{'' if works else f': {why(whole)}'}", flush=True)
    all_needed = works
    for name in seccomp.ADDITIONS:
        done = in_sandbox(image, seccomp.profile(without=name), CHROMIUM)
        fails = WORD not in done.stdout
        all_needed = all_needed and fails
        print(f"{'ok' if fails else 'FAILED'} without {name}: {why(done) if fails else 'it works all the same'}", flush=True)
    return all_needed


def compare(image):
    probe = (HERE / "seccomp_probe.py").read_text()
    columns = []
    for profile in (None, seccomp.profile()):
        lines = in_sandbox(image, profile, ["python3", "-"], probe).stdout.splitlines()
        columns.append({line[7:].partition(":")[0]: line for line in lines})
    is_open = {name for name, line in columns[1].items() if line.startswith("open ")}
    print(f"\n{'engine default':<16}{'this profile':<16}")
    for name in columns[1]:
        words = [column.get(name, "?").split(" ")[0] for column in columns]
        print(f"{words[0]:<16}{words[1]:<16}{columns[1][name][7:]}")
    # A probe that broke off tells less in one column than in the other, or only what is open.
    is_as_said = is_open == OPEN and len(columns[1]) > len(OPEN) and columns[0].keys() == columns[1].keys()
    print("ok: open is what is said to be" if is_as_said else f"FAILED: open are {', '.join(sorted(is_open)) or 'none'}")
    return is_as_said


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    results = [try_additions(sys.argv[1]), compare(sys.argv[1])]
    sys.exit(0 if all(results) else 1)
