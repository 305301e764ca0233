"""Makes what the tools fetch: a repository of git, one of apt, and the registries of pip, npm, cargo and Go, each with one package
that holds a content which nothing else has. All of them are files, served as they are.

    packages.py FOLDER ORIGIN CONTENT
"""

import base64
import gzip
import hashlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import zipfile

folder, origin, content = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
VERSION = "1.0.0"


def write(path, data):
    path = folder / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def tar(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(packed.getvalue())


def zipped(files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


def git():
    """As git's dumb protocol wants it (gitprotocol-http(5)): files, with a list of them."""
    clean = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    for who in ["AUTHOR", "COMMITTER"]:
        clean |= {f"GIT_{who}_NAME": "A test", f"GIT_{who}_EMAIL": "test@example.test"}

    def run(*arguments, cwd):
        subprocess.run(["git", *arguments], cwd=cwd, env=clean, check=True, stdout=subprocess.DEVNULL)

    write("git/work/content", content + "\n")
    work = folder / "git/work"
    run("init", "--quiet", "--initial-branch=main", cwd=work)
    run("add", "content", cwd=work)
    run("commit", "--quiet", "--message", "A sample", cwd=work)
    run("clone", "--quiet", "--bare", "work", "sample.git", cwd=folder / "git")
    run("update-server-info", cwd=folder / "git/sample.git")


def apt():
    """A flat repository (sources.list(5)) with a package (deb(5))."""
    fields = f"Package: berth-sample\nVersion: {VERSION}\nArchitecture: all\nMaintainer: A test <test@example.test>\nDescription: A sample\n"
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": tar({"./control": fields}),
        "data.tar.gz": tar({"./usr/share/berth-sample/content": content + "\n"}),
    }
    package = b"!<arch>\n"
    for name, data in members.items():
        package += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode()
        package += data + b"\n" * (len(data) % 2)
    name = f"berth-sample_{VERSION}_all.deb"
    write(f"apt/{name}", package)
    digest = hashlib.sha256(package).hexdigest()
    write("apt/Packages", f"{fields}Filename: ./{name}\nSize: {len(package)}\nSHA256: {digest}\n\n")


def pip():
    """A simple index (PEP 503) with a wheel (PEP 427)."""
    info = f"berth_sample-{VERSION}.dist-info"
    files = {
        "berth_sample.py": f"CONTENT = {content!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: berth-sample\nVersion: {VERSION}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }

    def line(name, text):
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        return f"{name},sha256={digest},{len(text.encode())}\n"

    record = f"{info}/RECORD"
    files[record] = "".join(line(name, text) for name, text in files.items()) + f"{record},,\n"
    name = f"berth_sample-{VERSION}-py3-none-any.whl"
    wheel = zipped(files)
    write(f"pip/files/{name}", wheel)
    digest = hashlib.sha256(wheel).hexdigest()
    write("pip/simple/berth-sample/index.html", f'<!DOCTYPE html>\n<a href="../../files/{name}#sha256={digest}">{name}</a>\n')


def npm():
    manifest = {"name": "berth-sample", "version": VERSION, "main": "index.js"}
    package = tar({"package/package.json": json.dumps(manifest), "package/index.js": f"module.exports = {json.dumps(content)}\n"})
    file = f"npm/files/berth-sample-{VERSION}.tgz"
    write(file, package)
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(package).digest()).decode()
    dist = {"tarball": f"{origin}/{file}", "integrity": integrity}
    whole = {"name": "berth-sample", "dist-tags": {"latest": VERSION}, "versions": {VERSION: {**manifest, "dist": dist}}}
    write("npm/berth-sample/index.json", json.dumps(whole))


def cargo():
    """A sparse registry: <https://doc.rust-lang.org/cargo/reference/registry-index.html>"""
    top = f"berth-sample-{VERSION}"
    manifest = f'[package]\nname = "berth-sample"\nversion = "{VERSION}"\nedition = "2021"\n'
    package = tar({f"{top}/Cargo.toml": manifest, f"{top}/src/lib.rs": f"// {content}\n"})
    write(f"cargo/files/{top}.crate", package)
    write("cargo/config.json", json.dumps({"dl": origin + "/cargo/files/{crate}-{version}.crate"}))
    digest = hashlib.sha256(package).hexdigest()
    entry = {"name": "berth-sample", "vers": VERSION, "deps": [], "cksum": digest, "features": {}, "yanked": False}
    write("cargo/be/rt/berth-sample", json.dumps(entry) + "\n")


def go():
    """A module proxy: <https://go.dev/ref/mod#goproxy-protocol>"""
    base, version = "go/berth.test/sample/@v", f"v{VERSION}"
    module = "module berth.test/sample\n"
    write(f"{base}/list", version + "\n")
    write(f"{base}/{version}.info", json.dumps({"Version": version, "Time": "2026-01-01T00:00:00Z"}))
    write(f"{base}/{version}.mod", module)
    top = f"berth.test/sample@{version}"
    write(f"{base}/{version}.zip", zipped({f"{top}/go.mod": module, f"{top}/content": content + "\n"}))


for make in [git, apt, pip, npm, cargo, go]:
    make()
