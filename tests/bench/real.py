"""With a real engine: what the proxy adds to builds, saves and exports. The image's bytes lie on the disk several times
(engine, its staging): about 4 SIZE."""
import os
import shutil
import sys
import tarfile
import time

from engine import Engine, UnixHTTP, children
from figures import Figures
from proxy import Proxy, payload
from sections import MIB, ROUNDS

BUILD_SIZE = int(os.environ.get("BUILD_SIZE", "512"))  # MiB of the context
SAVE_SIZE = int(os.environ.get("SAVE_SIZE", "1024"))  # MiB of the image
BLOCK = os.urandom(MIB)  # does not compress; the engine and we must carry all of it
LIMITS = {"limits.contextBytes": "64GiB", "limits.requestRate": 100000, "log.level": "warn"}

def context(megabytes, dockerfile):
    """A build context in pieces of 1 MiB."""
    for name, data, size in (("Dockerfile", dockerfile.encode(), None), ("big", None, megabytes * MIB)):
        info = tarfile.TarInfo(name)
        info.size = len(data) if data is not None else size
        yield info.tobuf(tarfile.USTAR_FORMAT)
        if data is not None:
            yield data + b"\0" * (-len(data) % 512)
        else:
            yield from (BLOCK for _ in range(megabytes))
    yield b"\0" * 1024


def post(path, target, body):
    c = UnixHTTP(path, timeout=3600)
    c.request("POST", target, body, {"Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"}, encode_chunked=True)
    return finish(c)


def get(path, target):
    c = UnixHTTP(path, timeout=3600)
    c.request("GET", target)
    return finish(c)


def finish(c):
    answer, total, last = c.getresponse(), 0, b""
    while data := answer.read(MIB):
        total, last = total + len(data), data
    c.close()
    if answer.status != 200 or b"errorDetail" in last:
        sys.exit("bench: %d %s" % (answer.status, last[-500:]))
    return total


def timed(function, *args):
    start = time.monotonic()
    function(*args)
    return time.monotonic() - start


class Pair:
    """An engine, and a task of ours before it."""

    def __enter__(self):
        free = shutil.disk_usage("/tmp").free // MIB
        need = 6 * max(BUILD_SIZE, SAVE_SIZE)
        if free < need:
            sys.exit("bench: this needs about %d MiB on /tmp, which has %d" % (need, free))
        self.engine = Engine()
        try:
            self.engine.start()
            self.proxy = Proxy(self.engine.socket, uploader=True, **LIMITS)
            self.proxy.start()
            self.task = self.proxy.task()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if hasattr(self, "task"):
            self.task.end()
            self.proxy.stop()
        self.engine.stop()

    def sides(self, round_number):
        """Who comes first changes with each round."""
        both = [("direct", self.engine.socket), ("ours", self.task.socket)]
        return both if round_number % 2 else both[::-1]

    def peak(self):
        return self.proxy.memory("VmHWM") / MIB


def real(show, goals):
    figures = Figures(["direct", "ours"])
    with Pair() as pair:
        _build(pair, figures)
        _save(pair, figures)
        _export(pair, figures)
    show("A real engine, seconds", figures)
    ratio = figures.ratio("build, context of %d MiB" % BUILD_SIZE, "direct", "ours")
    goals.least("inspected upload in a real build, by direct's", ratio, 0.9, " ×")


def _build(pair, figures):
    dockerfile = "FROM scratch\nLABEL round=%d\n"  # the context is all there is to do
    for n in range(ROUNDS):
        for name, path in pair.sides(n):
            text = dockerfile % (2 * n + (name == "ours"))
            seconds = timed(post, path, "/build?t=bench:context&nocache=1", context(BUILD_SIZE, text))
            figures.add("build, context of %d MiB" % BUILD_SIZE, name, seconds)
    figures.add("peak MiB of the front after builds", "ours", pair.peak())


def _save(pair, figures):
    text = "FROM scratch\nCOPY big /big\n"
    for _, path in pair.sides(0):
        post(path, "/build?t=bench:save", context(SAVE_SIZE, text))
    for n in range(ROUNDS):
        for name, path in pair.sides(n):
            figures.add("save of %d MiB" % SAVE_SIZE, name, timed(get, path, "/images/bench:save/get"))
    figures.add("peak MiB of the front after saves", "ours", pair.peak())


def descendants(pid):
    found = children(pid)
    for child in found:
        found += children(child)
    return found


def _image_peak(pair):
    """MiB of the dind-image that runs now."""
    most = 0
    for pid in descendants(pair.proxy.daemon.pid):
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                if b"dind-image" in f.read():
                    most = max(most, pair.proxy.memory("VmHWM", pid) / MIB)
        except (OSError, ValueError):
            pass  # it ended between two looks
    return most


def _export(pair, figures):
    """From `finish` to `done`: saved, compressed, hashed, sealed, uploaded to the local store."""
    name, most = "public/image.tar.zst", 0
    task = pair.proxy.task(payload=payload(**{name: "bench:export"}))
    post(task.socket, "/build?t=bench:export", context(SAVE_SIZE, "FROM scratch\nCOPY big /big\n"))
    start = time.monotonic()
    pair.proxy.good("POST", task.path + "/finish", status=202)
    while not (done := task._settled()):
        most = max(most, _image_peak(pair))
        time.sleep(0.05)
    seconds = time.monotonic() - start
    if done[name]["state"] != "done":
        sys.exit("bench: %s" % done)
    figures.add("finish until done, %d MiB" % SAVE_SIZE, "ours", seconds)
    figures.add("peak MiB of dind-image", "ours", most)
    task.end()
