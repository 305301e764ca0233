"""What `images.py build` does: has Berth build images and try them, and writes down what came of it.

The lock says for each image what it was built from and what came out. It is the same for the same images: no dates, no places, in the
order of names. Packages are those of Debian that the image adds to the one that it starts from.
"""

import json
import subprocess
import sys
import tomllib

# The command line's own words for where an image comes from: those that Berth brings.
ORIGINS = ("gallery", "part")
OF_BERTH = "berth/"
TRIAL = "trial-"
# Anything but a build is over within this, in seconds.
SECONDS_MAX = 120
HEAD = """# What `./dev images build` built last: written by it, and read by people. An image's packages are those that it adds to its base.
# The tag's last part and the id depend on the machine's further certificates, the id on the time of the build too.
"""


class BuildError(Exception):
    """An image is not as it should be, or nobody says how it is."""


def build(given, pins):
    """0 where all that was asked for is there and was tried well; 1 where some of it is not, 2 where there is no such image."""
    try:
        known = {view["name"]: view for view in listed(given.berth)}
        unknown = sorted(set(given.names) - known.keys())
        if unknown:
            print(f"error: there is no image {', '.join(unknown)}; there are {', '.join(sorted(known))}", file=sys.stderr)
            return 2
        wanted, failed, lock = with_bases(given.names or known, known), [], read(given.lock)
        for name in wanted:
            try:
                lock[name] = entry(built(given.berth, name), pins)
            except BuildError as error:
                failed.append(name)
                print(f"error: {name}: {error}", file=sys.stderr)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    subtract_bases(lock, wanted)
    # Images that are no more go.
    given.lock.write_text(text_of({name: lock[name] for name in sorted(lock) if name in known}))
    print(f"{len(wanted) - len(failed)} of {len(wanted)} images are built and tried", file=sys.stderr)
    return int(bool(failed))


def with_bases(names, known):
    """These images, each behind what it starts from."""
    wanted = []

    def want(name):
        base = known[name]["base"].removeprefix(OF_BERTH)
        if base in known and base not in wanted:
            want(base)
        if name not in wanted:
            wanted.append(name)

    for name in sorted(names):
        want(name)
    return wanted


def listed(berth):
    """What Berth has for agents, or for images to start from."""
    views = json.loads(said(berth, "images", "--json"))
    return [view for view in views if view["origin"]["origin"] in ORIGINS]


def built(berth, name):
    """Builds it and has it tried; how that goes, and why it failed, comes on stderr from Berth itself."""
    view = carried_out(berth, "build", name, "built")
    if view["state"]["state"] != "ready":
        raise BuildError(f"it was built and is {view['state']['state'].replace('_', ' ')}")
    # What another Berth on the same engine built is not built again, and this one has not tried it.
    if not view["smoke"]:
        view = carried_out(berth, "smoke", name, "tried")
    if not view["smoke"]["passed"]:
        raise BuildError(f"what was tried failed: {'; '.join(view['smoke']['failed'])}")
    return view


def carried_out(berth, verb, name, participle):
    done = subprocess.run([berth, "--json", "images", verb, name], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise BuildError(f"it was not {participle}")
    return json.loads(done.stdout)


def entry(view, pins):
    found = current(view)
    return {
        "version": view["version"],
        "base": view["base"],
        "reference": found["reference"],
        "id": found["Id"],
        "size_bytes": view["state"]["size_bytes"],
        "pinned": [f"{pin.source} {pin.version}" for pin in pins if pin.image == view["name"]],
        "packages": packages(found["Id"]),
    }


def current(view):
    """The image on the engine: others with its name, of another Berth or another checkout, differ in size or are older."""
    tags = said("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", OF_BERTH + view["name"]).split()
    found = []
    for tag in tags:
        if not tag.partition(":")[2].startswith((TRIAL, "<none>")):
            for image in json.loads(said("docker", "image", "inspect", tag)):
                if image["Size"] == view["state"]["size_bytes"]:
                    found.append({**image, "reference": tag})
    if not found:
        raise BuildError(f"{view['name']} is ready, and the engine has no image of its name and size: do `docker` and Berth ask the same one?")
    return max(found, key=lambda image: image["Created"])


def packages(image):
    """Debian's packages in an image, read by a container of it that can do nothing else."""
    cage = ["--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--user", "1000:1000", "--entrypoint", "dpkg-query"]
    lines = said("docker", "run", *cage, image, "--show", "--showformat", "${Package} ${Version}\\n").splitlines()
    return sorted(line for line in lines if line)


def subtract_bases(lock, wanted):
    """Leaves each of these the packages that its base has not."""
    whole = {name: set(lock[name]["packages"]) for name in wanted if name in lock}
    for name in whole:
        base = whole.get(lock[name]["base"].removeprefix(OF_BERTH), set())
        lock[name]["packages"] = sorted(whole[name] - base)


def read(path):
    return tomllib.loads(path.read_text()) if path.exists() else {}


def text_of(lock):
    """As TOML. Names are letters, digits and dashes, which it takes as they are."""
    sections = []
    for name, fields in lock.items():
        lines = [f"[{name}]"]
        for key, value in fields.items():
            if isinstance(value, list) and value:
                lines += [f"{key} = [", *(f"  {toml(each)}," for each in value), "]"]
            else:
                lines.append(f"{key} = {toml(value)}")
        sections.append("\n".join(lines) + "\n")
    return HEAD + "".join(f"\n{section}" for section in sections)


def toml(value):
    """What JSON writes of a text, a number or an empty list is the same there."""
    return json.dumps(value, ensure_ascii=False)


def said(*command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{command[0]} does not answer: {error}") from None
    if done.returncode:
        raise BuildError(f"{' '.join(command)} failed ({done.returncode}): {done.stderr.strip()}")
    return done.stdout
