"""Kills a program, or fails it, at the Nth of its system calls: strace(1), "inject".

    run = Strace(["dind-uploader", ..])
    for point in points(run.calls()):                  what it calls when nothing is in its way
        Strace(words, point.inject("signal=SIGKILL")).wait()
    with Strace(pid=4711, inject="write:error=ENOSPC:when=2+"): ..

A call's number counts calls of that name; each process counts for itself. A signal comes before the call is made, so the
points of all calls that change something are all the states in which a program can be lost.
"""
import collections
import os
import re
import shutil
import signal
import subprocess
import tempfile

from tap import Skip, until

FILES = "write pwrite64 fsync fdatasync rename renameat renameat2 unlink unlinkat rmdir link linkat mkdir mkdirat ftruncate".split()
SENDS = ["sendto", "sendmsg"]


def need():
    if not shutil.which("strace") or os.geteuid() != 0:
        raise Skip("needs strace and root")


class Point(collections.namedtuple("Point", "call number what")):
    def inject(self, action, and_later=False):
        return "%s:%s:when=%d%s" % (self.call, action, self.number, "+" if and_later else "")

    def __str__(self):
        return "%s %d, %s" % (self.call, self.number, self.what)


def points(calls, stride=1):
    """Of the calls, each stride-th, and the last; without what goes to the log."""
    numbers, found = collections.Counter(), {}
    for process, call, what in calls:
        numbers[process, call] += 1
        if not what.startswith("2<"):
            found.setdefault((call, numbers[process, call]), what)
    every = [Point(call, number, what) for (call, number), what in found.items()]
    return every if stride == 1 else every[stride // 2 :: stride] + every[-1:]


class Strace:
    """A program that runs (words) or is joined (pid) under strace. It ends as the program does."""

    def __init__(self, words=None, inject=None, pid=None, calls=FILES, follow=True, path=None, **more):
        handle, self.log = tempfile.mkstemp(prefix="dind-strace.")
        os.close(handle)
        prefix = ["strace", *(["-f"] if follow else []), "-o", self.log, "-e", "signal=none", "-s", "64", "-y", "-e", "trace=" + ",".join(calls)]
        prefix += ["-e", "inject=" + inject] if inject else []
        prefix += ["-P", path] if path else []
        if pid is None:
            self.process = subprocess.Popen([*prefix, "-qq", *words], **more)
        else:
            self._join(prefix, pid)

    def _join(self, prefix, pid):
        news = tempfile.TemporaryFile()
        self.process = subprocess.Popen([*prefix, "-p", str(pid)], stdin=subprocess.DEVNULL, stdout=news, stderr=news)

        def joined():
            news.seek(0)
            return b"attached" in news.read() or self.process.poll() is not None

        until(joined, "strace has joined process %d" % pid, 20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()

    def wait(self, seconds=120):
        """The program's status, as of subprocess: negative for a signal."""
        try:
            return self.process.wait(seconds)
        finally:
            self.leave()

    def leave(self):
        """The program goes on without strace, unless it was started here: then it has ended, or is killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
        if os.path.exists(self.log):
            self.text = open(self.log, errors="replace").read()
            os.unlink(self.log)

    @property
    def injected(self):
        return "INJECTED" in self.text or self.process.returncode == -signal.SIGKILL

    def calls(self):
        """What was called, in order: (process, name, what)."""
        self.leave()
        found = []
        for line in self.text.split("\n"):
            if m := re.match(r"(\d+ +)?(\w+)\((.*)", line):
                found.append((m.group(1), m.group(2), re.sub(r"(?<=/)dind[-.][^/\"]*", "*", m.group(3))[:90]))
        return found
