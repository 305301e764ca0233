"""A program from its start to its end: its output forwarded as it comes, signals passed on, and nothing left behind.

The program leads a session of its own, without a terminal. What it leaves without a parent becomes a child of this process
(PR_SET_CHILD_SUBREAPER, prctl(2)), so that none of it outlives the work, whatever group it has moved to.
"""

import ctypes
import os
import selectors
import signal
import subprocess
import time

CHUNK_BYTES = 64 * 1024
# A longer line of output is left out where it has to be read; one that is forwarded as it comes may be of any length.
LINE_BYTES_MAX = 8 * 1024 * 1024
TAIL_BYTES_MAX = 4096
# From a signal to the end of whatever is still there.
GRACE_SECONDS = 5
# What children of children are looked for in, one after the other, when all is to end.
KILL_ROUNDS_MAX = 1000
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
PR_SET_CHILD_SUBREAPER = 36


def write_all(data):
    while data:
        data = data[os.write(1, data):]


def ending(status):
    """How a process ended, in words."""
    if status >= 0:
        return f"exited with {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was ended by {name}"


class Lines:
    """Cuts bytes into lines; of a line that is too long only that it was is told."""

    def __init__(self):
        self.rest = b""
        self.is_skipping = False

    def feed(self, chunk):
        *whole, self.rest = (self.rest + chunk).split(b"\n")
        for line in whole:
            if self.is_skipping:
                self.is_skipping = False
            else:
                yield self._text(line)
        if len(self.rest) > LINE_BYTES_MAX:
            if not self.is_skipping:
                yield f"… a line of more than {LINE_BYTES_MAX // 1024 // 1024} MiB was left out"
            self.is_skipping, self.rest = True, b""

    def last(self):
        """What came without an end of line."""
        rest, self.rest = self.rest, b""
        return [self._text(rest)] if rest and not self.is_skipping else []

    @staticmethod
    def _text(line):
        return line.removesuffix(b"\r").decode(errors="replace")


class Run:
    """The program at work. `status` is negative where a signal ended it; `signal` is what this process was told meanwhile."""

    def __init__(self, command, stdin, reader, learned):
        self.reader = reader
        self.learned = learned
        self.status = None
        self.signal = None
        self.process = None
        self.tail = b""
        self.lines = {"out": Lines(), "err": Lines()}
        self._deadline = None
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        # What comes while the program starts is passed on when it has.
        self._before = {number: signal.signal(number, self._told) for number in (*PASSED_ON, signal.SIGCHLD)}
        self._wakeup_before = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        try:
            self.process = subprocess.Popen(
                command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, start_new_session=True
            )
        except BaseException:
            self._release()
            raise
        if self.signal is not None:
            self._pass_on(self.signal)

    def to_the_end(self):
        """Forwards until the program has ended and all that it wrote is read."""
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._woken, selectors.EVENT_READ, "woken")
                for name, stream in (("out", self.process.stdout), ("err", self.process.stderr)):
                    os.set_blocking(stream.fileno(), False)
                    selector.register(stream, selectors.EVENT_READ, name)
                while not self._has_ended():
                    for key, _ in selector.select(self._patience()):
                        if not self._read(key) and key.data != "woken":
                            selector.unregister(key.fileobj)
            self._drain()
        finally:
            self._end_all()
            self._release()

    def last_lines(self):
        text = self.tail.decode(errors="replace")
        if len(self.tail) == TAIL_BYTES_MAX and "\n" in text[:-1]:
            text = text.partition("\n")[2]
        return text.rstrip("\n")

    # Output

    def _read(self, key):
        """Takes what is there; false at its end."""
        try:
            chunk = os.read(key.fd, CHUNK_BYTES)
        except BlockingIOError:
            return True
        if key.data != "woken" and chunk:
            self._take(key.data, chunk)
        return bool(chunk)

    def _take(self, name, chunk):
        if self.reader is None:
            self.forward(chunk)
            return
        for line in self.lines[name].feed(chunk):
            self._line(name, line)

    def _line(self, name, line):
        text = self.reader.err(line) if name == "err" else self.reader.out(line)
        if text is not None:
            self.forward(f"{text}\n".encode(errors="replace"))
        self.learned()

    def forward(self, data):
        """To whoever watches; the last of it is kept for a report."""
        self.tail = (self.tail + data[-TAIL_BYTES_MAX:])[-TAIL_BYTES_MAX:]
        write_all(data)

    def _drain(self):
        """What the program wrote before its end is in the pipes, which hold no more than their capacity: others that have them
        open may go on writing for as long as they like."""
        for name, stream in (("out", self.process.stdout), ("err", self.process.stderr)):
            rest = 16 * CHUNK_BYTES
            while rest > 0:
                try:
                    chunk = os.read(stream.fileno(), min(rest, CHUNK_BYTES))
                except BlockingIOError:
                    break
                if not chunk:
                    break
                rest -= len(chunk)
                self._take(name, chunk)
            for line in self.lines[name].last() if self.reader else []:
                self._line(name, line)
            stream.close()

    # Signals and ends

    def _told(self, number, _frame):
        if number == signal.SIGCHLD:
            return
        if self.signal is None:
            self.signal = number
            self._deadline = time.monotonic() + GRACE_SECONDS
        self._pass_on(number)

    def _pass_on(self, number):
        if self.process is not None and self.process.returncode is None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                pass

    def _patience(self):
        return None if self._deadline is None else max(0, self._deadline - time.monotonic())

    def _has_ended(self):
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._deadline = None
            self._pass_on(signal.SIGKILL)
        if self.status is None:
            self._reap_strangers()
            self.status = self.process.poll()
        return self.status is not None

    def _reap_strangers(self):
        """Children that came to this process when their parent ended. The program itself is left for its own wait."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None or found.si_pid == self.process.pid:
                return
            os.waitpid(found.si_pid, 0)

    def _end_all(self):
        """Ends whatever the program left. Those below a child that is killed become children themselves."""
        for _ in range(KILL_ROUNDS_MAX):
            children = children_of_this()
            if not children:
                return
            for child in children:
                try:
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                except (ProcessLookupError, ChildProcessError):
                    pass

    def _release(self):
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._woken)
        os.close(self._waker)


def children_of_this():
    """The children of this process, by /proc/PID/stat (proc(5)): the parent is the second field behind the name."""
    found, own = [], str(os.getpid())
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    fields = file.read().decode(errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            if fields[1] == own:
                found.append(int(entry))
    return found
