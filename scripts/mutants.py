"""`./dev mutants [NAME…]`: takes what keeps a sandbox safe away, piece by piece, and sees whether a test notices.

Each mutant is applied by itself to a copy of the checkout (target/mutants/tree), which has a target folder of its own. The named
tests must pass without it and fail with it. A mutant that survives, does not compile or no longer applies fails the whole.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDER = CHECKOUT / "target" / "mutants"
TREE = FOLDER / "tree"
TARGET = FOLDER / "build"
LOGS = FOLDER / "log"
# One mutant's builds and tests may take this long, in seconds.
SECONDS_MAX = 1800
# Not tracked, but needed to build or to test.
UNTRACKED = ["ui/dist", "ui/generated"]


@dataclass
class Mutant:
    """A text of a file that is replaced, and the tests, as (target, name), that must then fail."""

    name: str
    takes_away: str
    file: str
    old: str
    new: str
    tests: list
    builds: list = field(default_factory=list)

    def count(self, folder):
        """How often its text is there; it applies where that is once."""
        return (folder / self.file).read_text().count(self.old)

    def applied(self, folder):
        return (folder / self.file).read_text().replace(self.old, self.new)


def environment():
    """The guest as it ships takes minutes to optimise, which says nothing here."""
    own = {key: value for key, value in os.environ.items() if key not in ("BERTH_GUEST", "RUST_BACKTRACE")}
    own["CARGO_TARGET_DIR"] = str(TARGET)
    own.update(CARGO_PROFILE_GUEST_LTO="off", CARGO_PROFILE_GUEST_CODEGEN_UNITS="16", CARGO_PROFILE_GUEST_OPT_LEVEL="1")
    return own


def copy_checkout():
    """Brings the copy up to what the checkout is now. What is the same keeps its time, so that cargo builds no more than it must."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, check=True, text=True,
    )
    wanted = {name for name in listed.stdout.split("\0") if name and (CHECKOUT / name).is_file()}
    for untracked in UNTRACKED:
        folder = CHECKOUT / untracked
        wanted |= {str(path.relative_to(CHECKOUT)) for path in folder.rglob("*") if path.is_file()}
    for path in [path for path in TREE.rglob("*") if path.is_file()]:
        if str(path.relative_to(TREE)) not in wanted:
            path.unlink()
    for name in wanted:
        source, copy = CHECKOUT / name, TREE / name
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
            shutil.copymode(source, copy)


def seed_target():
    """What the checkout has built of other people's crates need not be built again."""
    if TARGET.exists():
        return
    for built in [path for path in CHECKOUT.glob("target/**/.fingerprint") if FOLDER not in path.parents]:
        profile = built.parent
        for part in (".fingerprint", "build", "deps"):
            to = TARGET / profile.relative_to(CHECKOUT / "target") / part
            to.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", "--reflink=auto", str(profile / part), str(to)], check=False)


def run(command, log):
    """Whether it ended in time, and what it printed."""
    with open(log, "ab") as file:
        file.write(f"\n$ {' '.join(command)}\n".encode())
        file.flush()
        begun = file.tell()
        child = subprocess.Popen(
            command, cwd=TREE, env=environment(), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            child.wait(SECONDS_MAX)
            in_time = True
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            in_time = False
    with open(log, "rb") as file:
        file.seek(begun)
        return in_time, child.returncode, file.read().decode(errors="replace")


def results(mutants, log):
    """How the tests of these mutants end now: name to `ok` or `FAILED`. `None` where something does not compile."""
    target = f"{os.uname().machine}-unknown-linux-musl"
    commands = []
    if any(mutant.builds for mutant in mutants):
        # The built programs' tests take the guest from the target folder.
        commands.append(["cargo", "build", "-p", "guest", "--profile", "guest", "--target", target])
        commands.append(["cargo", "build", *sorted({part for mutant in mutants for part in mutant.builds}, reverse=False)])
    tests = [test for mutant in mutants for test in mutant.tests]
    selected = [part for name in sorted({target for target, _ in tests}) for part in ("--test", name)]
    names = sorted({name for _, name in tests})
    commands.append(["cargo", "test", "--no-fail-fast", *selected, "--", "--exact", *names])
    said = ""
    for command in commands:
        in_time, status, said = run(command, log)
        if not in_time or (status != 0 and "test result: " not in said):
            return None
    # The contract's tests are made by a macro, in modules of their own.
    return {found[1]: found[2] for found in re.finditer(r"^test (\S+) \.\.\. (ok|FAILED)$", said, re.MULTILINE)}


def outcome_of(mutant):
    log = LOGS / f"{mutant.name}.log"
    log.unlink(missing_ok=True)
    if mutant.count(TREE) != 1:
        return "does not apply"
    path = TREE / mutant.file
    original = path.read_text()
    try:
        path.write_text(mutant.applied(TREE))
        found = results([mutant], log)
    finally:
        path.write_text(original)
    if found is None:
        return "does not build, or hangs"
    alive = [name for _, name in mutant.tests if found.get(name) != "FAILED"]
    return "survived: " + ", ".join(alive) if alive else "killed"


def main(names):
    from mutants_of_the_guest import MUTANTS

    known = {mutant.name for mutant in MUTANTS}
    for name in names:
        if name not in known:
            sys.exit(f"error: there is no mutant `{name}`; there are: {', '.join(sorted(known))}")
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    LOGS.mkdir(parents=True, exist_ok=True)
    TREE.mkdir(parents=True, exist_ok=True)
    seed_target()
    copy_checkout()
    print("without any mutant: ", end="", flush=True)
    (LOGS / "none.log").unlink(missing_ok=True)
    found = results(chosen, LOGS / "none.log")
    wrong = sorted({name for mutant in chosen for _, name in mutant.tests if (found or {}).get(name) != "ok"})
    if wrong:
        sys.exit(f"these do not pass: {', '.join(wrong)}; see {LOGS / 'none.log'}")
    print("all tests pass")
    lines, bad = [], 0
    for mutant in chosen:
        began = time.monotonic()
        outcome = outcome_of(mutant)
        bad += outcome != "killed"
        lines.append(f"{mutant.name:20} {time.monotonic() - began:6.0f} s  {outcome:9}  {mutant.takes_away}")
        print(lines[-1], flush=True)
    print(f"\n{len(chosen) - bad} killed, {bad} not; the logs: {LOGS}")
    return 1 if bad else 0


if __name__ == "__main__":
    # The list imports this file by its name, which must be the same module.
    sys.modules["mutants"] = sys.modules["__main__"]
    sys.path.insert(0, str(Path(__file__).parent))
    sys.exit(main(sys.argv[1:]))
