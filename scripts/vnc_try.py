#!/usr/bin/env python3
"""`scripts/vnc_try.py IMAGE [FOLDER]`: sees the desktop of the browser image through a VNC client that is not Berth's (gvnccapture).

The client is led to the sandbox's loopback as Berth's pipe leads there, by a process inside that dials the port. What it draws must be, to
the pixel, what `import` finds inside. The two pictures are left in the folder, if one is given.

The pointer is no part of the desktop's picture: `import` leaves it out, and a client draws it itself. So it is put into the last corner,
which is not compared.
"""

import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from seccomp_try import SANDBOX, seccomp

SECONDS_MAX = 60
VNC_PORT = 5901
# gvnccapture adds this to the display that it is given.
FIRST_PORT = 5900
COMPARED = "1264x784+0+0"
# A picture that moves says nothing: the page is drawn, and nothing blinks.
SCENE = """
printf '<title>Ready</title><body style="background:linear-gradient(90deg,#c03020,#2050c0)"><h1>A page &#128640;' >/tmp/page.html
berth-browser file:///tmp/page.html >/dev/null 2>&1 &
xdotool search --sync --onlyvisible --name '^Ready' >/dev/null
xdotool mousemove 1279 799
until import -window root /tmp/one.png && sleep 0.5 && import -window root /tmp/two.png && cmp -s /tmp/one.png /tmp/two.png; do :; done
echo ready
cat
"""
DIAL = f"exec 3<>/dev/tcp/127.0.0.1/{VNC_PORT}; cat <&3 & exec cat >&3"


def docker(*arguments, **options):
    return subprocess.run(["docker", *arguments], timeout=SECONDS_MAX, check=True, capture_output=True, **options).stdout


def lead(listener, container):
    """One connection, into the sandbox and back."""
    connection, _ = listener.accept()
    with connection:
        subprocess.run(["docker", "exec", "-i", container, "bash", "-c", DIAL], stdin=connection, stdout=connection, check=False)


def pictures(image, folder):
    name = f"berth-vnc-try-{os.getpid()}"
    with tempfile.NamedTemporaryFile("w", suffix=".json") as profile:
        profile.write(seccomp.text(seccomp.profile()))
        profile.flush()
        options = [*SANDBOX, "--name", name, "--security-opt", f"seccomp={profile.name}"]
        sandbox = subprocess.Popen(
            ["docker", "run", *options, image, "berth-desktop", "bash", "-euc", SCENE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            if sandbox.stdout.readline().strip() != "ready":
                raise SystemExit("the scene is not there")
            with socket.create_server(("127.0.0.1", 0)) as listener:
                port = listener.getsockname()[1]
                threading.Thread(target=lead, args=(listener, name), daemon=True).start()
                subprocess.run(
                    ["gvnccapture", "--quiet", f"127.0.0.1:{port - FIRST_PORT}", folder / "client.png"], timeout=SECONDS_MAX, check=True
                )
            (folder / "inside.png").write_bytes(docker("exec", name, "import", "-display", ":1", "-window", "root", "png:-"))
        finally:
            sandbox.stdin.close()
            sandbox.wait(SECONDS_MAX)


def compare(image, folder):
    pictures(image, folder)
    facts = ["identify", "-format", "%w x %h, %k colours", folder / "client.png"]
    print(subprocess.run(facts, capture_output=True, text=True, check=True).stdout)
    compared = ["compare", "-metric", "AE", *(f"{folder}/{name}.png[{COMPARED}]" for name in ("client", "inside")), "null:"]
    different = subprocess.run(compared, capture_output=True, text=True, check=False).stderr.strip()
    print(f"{'ok' if different == '0' else 'FAILED'}: {different} pixels differ")
    return int(different != "0")


def main():
    if len(sys.argv) == 3:
        return compare(sys.argv[1], Path(sys.argv[2]))
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        return compare(sys.argv[1], Path(folder))


if __name__ == "__main__":
    sys.exit(main())
