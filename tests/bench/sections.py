"""The parts of the benchmark. Each takes rounds over its sides, one after the other, and judges its goals."""
import json
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time

import engine
from figures import Figures
from proxy import Proxy, payload, slug
from sides import Field, Ours, tool
from tap import Failed, until

MIB = 1 << 20
SIZE = int(os.environ.get("SIZE", "512"))  # MiB of a bulk body and of a build
ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = int(os.environ.get("SECONDS", "2"))  # of each run of small requests
TASKS = int(os.environ.get("TASKS", "1000"))
ALL = os.environ.get("SIDES", "direct splice relay haproxy nginx socat ours").split()
SAVE, BUILD, PING, LIST = "/images/x/get", "/build?t=x", "/_ping", "/v1.41/images/json"


def load(mode, side, connections, amount, target):
    words = [tool("load"), mode, side.socket, str(connections), str(amount), target]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise Failed("%s: %s" % (" ".join(words), done.stderr))
    return [float(v) for v in done.stdout.split()]


class Holding:
    """A client that holds what it has, until the measurement is over."""

    def __init__(self, mode, side, connections, amount, target):
        words = [tool("load"), mode, side.socket, str(connections), str(amount), target]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise Failed("%s did not get ready" % " ".join(words))

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


def shuffled(field):
    """Every round in another order: nobody always comes after the same one."""
    sides = list(field.sides.items())
    random.shuffle(sides)
    return sides


def build_x(side):
    """Ours gives a task only what it owns."""
    if isinstance(side, Ours):
        load("up", side, 1, 1, BUILD)


def small(show, goals):
    """Rate and latency of small requests on kept connections; ping, and a list that depends on who asks."""
    figures = Figures(ALL)
    field = Field(1, ALL)
    try:
        for _ in range(ROUNDS):
            for name, side in shuffled(field):
                for target, what in ((PING, "ping"), (LIST, "list of images")):
                    for n in (1, 32):
                        before = side.cpu()
                        rate, p50, p99 = load("small", side, n, SECONDS, target)
                        row = "%s, %d connection%s" % (what, n, "s" if n > 1 else "")
                        figures.add(row + ": requests/s", name, rate)
                        figures.add(row + ": p50 µs", name, p50)
                        figures.add(row + ": p99 µs", name, p99)
                        if name != "direct":
                            figures.add(row + ": CPU µs", name, (side.cpu() - before) / rate / SECONDS * 1e6)
    finally:
        field.close()
    show("Small requests", figures)
    for n in ("1 connection", "32 connections"):
        row = "ping, %s: " % n
        goals.least("small-request rate, %s, by HAProxy's" % n, figures.ratio(row + "requests/s", "ours", "haproxy"), 2, " ×")
        goals.most("small-request p99, %s, by HAProxy's" % n, figures.ratio(row + "p99 µs", "ours", "haproxy"), 1, " ×")


def bulk(show, goals):
    """One body up (a build context) and one down (a saved image). Down, what lies inside a layer needs no inspection; up,
    every byte of a context is read as a tar and hashed."""
    figures = Figures(ALL)
    field = Field(SIZE, ALL)
    try:
        if "ours" in field.sides:
            build_x(field.sides["ours"])
        for _ in range(ROUNDS):
            for name, side in shuffled(field):
                for mode, amount, target, what in (("down", 0, SAVE, "download"), ("up", SIZE, BUILD, "upload, inspected by ours")):
                    before = side.cpu()
                    seconds = load(mode, side, 1, amount, target)[0]
                    figures.add(what + ": GiB/s", name, SIZE / 1024 / seconds)
                    if name != "direct":
                        figures.add(what + ": CPU s/GiB", name, (side.cpu() - before) * 1024 / SIZE)
    finally:
        field.close()
    show("One bulk body of %d MiB in chunks of 32 KiB" % SIZE, figures)
    goals.least("download without inspection, by the plain relay's", figures.ratio("download: GiB/s", "ours", "relay"), 0.9, " ×")
    goals.most("its CPU per GiB, by the plain relay's", figures.ratio("download: CPU s/GiB", "ours", "relay"), 1.25, " ×")


def memory(show, goals):
    """At start, for idle connections, and at the highest under 100 bulk streams."""
    names = [n for n in ALL if n != "direct"]
    figures = Figures(names)
    figures.columns = names + ["ours, front"]
    for name in names:
        _memory_idle(figures, name)
        for direction in ("up", "down"):
            for how in ("flowing", "slow", "stalled"):
                _memory_bulk(figures, name, direction, how)
    show("Memory, MiB of RSS (idle connections: KiB each)", figures)
    ours = "ours, front"
    goals.most("RSS at start, front", figures.median("at start", ours), 6, " MiB")
    goals.most("per idle connection that made a request, 9,000", figures.median("KiB per idle connection, 9000 that asked", ours), 1.5, " KiB")
    for direction in ("up", "down"):
        for how in ("flowing", "slow", "stalled"):
            row = "peak, 100 streams %s, %s" % (direction, how)
            goals.most(row, figures.median(row, ours), 20, " MiB")


def _note(figures, row, name, side, field="VmRSS", base=(0, 0), scale=1.0):
    """Notes all processes, and of ours the front; returns both."""
    total = side.memory(field)
    figures.add(row, name, (total - base[0]) * scale)
    front = 0
    if isinstance(side, Ours):
        front = side.proxy.memory(field) / MIB
        figures.add(row, "ours, front", (front - base[1]) * scale)
    return total, front


def _memory_idle(figures, name):
    for count, asked, row in ((1000, 0, "1000 untouched"), (9000, 1, "9000 that asked")):
        if name == "socat" and count > 1000:
            continue  # a process for each
        field = Field(1, [name])
        try:
            side = field.sides[name]
            if count == 1000:
                base = _note(figures, "at start", name, side)
            else:
                base = side.memory(), side.proxy.memory() / MIB if isinstance(side, Ours) else 0
            held = Holding("hold", side, count, asked, PING)
            _note(figures, "KiB per idle connection, " + row, name, side, base=base, scale=1024 / count)
            held.end()
        finally:
            field.close()


def _memory_bulk(figures, name, direction, how):
    field = Field(16, [name])
    try:
        side = field.sides[name]
        build_x(side)
        if how == "flowing":
            load(direction, side, 100, 16 if direction == "up" else 0, BUILD if direction == "up" else SAVE)
        elif direction == "up":
            target = BUILD + ("stall" if how == "stalled" else "slow")
            if how == "stalled":
                Holding("stall", side, 100, 16, target).end()
            else:
                load("up", side, 100, 4, target)
        else:
            Holding("stall" if how == "stalled" else "slow", side, 100, 0, SAVE).end()
        _note(figures, "peak, 100 streams %s, %s" % (direction, how), name, side, "VmHWM" if name != "socat" else "VmRSS")
    finally:
        field.close()


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Control:
    """A kept connection to the control socket: what is measured is the call, not curl."""

    def __init__(self, path):
        self.c = engine.UnixHTTP(path, timeout=60)

    def call(self, method, target, body=None):
        text = json.dumps(body).encode() if body is not None else None
        self.c.request(method, target, text, {"Content-Type": "application/json"} if text else {})
        answer = self.c.getresponse()
        data = answer.read()
        if answer.status not in (200, 201):
            raise Failed("%s %s: %d %s" % (method, target, answer.status, data))
        return json.loads(data) if data else None


def tasks(show, goals):
    """Tasks are made and ended beside 1,000 others; then the service is started anew with all of them."""
    figures = Figures(["ours"])
    field = Field(1, [])
    run = tempfile.mkdtemp(prefix="bench.", dir="/dev/shm")  # sockets lie on a tmpfs, as in /run; state lies on the disk
    proxy = Proxy(field.engine.socket, **{"log.level": "info", "runDir": run})
    proxy.control_socket = run + "/control.sock"
    try:
        proxy.start()
        control = Control(proxy.control_socket)
        make = lambda: control.call("POST", "/v1/tasks", {"taskId": slug(), "runId": 0, "payload": payload()})["id"]
        for _ in range(TASKS):
            make()
        made, ended = [], []
        for _ in range(200):
            start = time.monotonic()
            one = make()
            middle = time.monotonic()
            control.call("DELETE", "/v1/tasks/" + one)
            made.append((middle - start) * 1000)
            ended.append((time.monotonic() - middle) * 1000)
        for what, values in (("create", made), ("destroy", ended)):
            for share in (0.5, 0.99):
                figures.add("task %s at %d: p%d ms" % (what, TASKS, share * 100), "ours", percentile(values, share))
        figures.add("RSS with %d tasks, MiB" % TASKS, "ours", proxy.memory() / MIB)
        for _ in range(ROUNDS):
            proxy._end(proxy.daemon, "dind-proxyd")
            figures.add("start to ready with %d tasks: ms" % TASKS, "ours", _start(proxy))
    finally:
        proxy.stop()
        shutil.rmtree(run, ignore_errors=True)
        field.close()
    show("Tasks", figures)
    goals.most("task create at %d, p99" % TASKS, figures.median("task create at %d: p99 ms" % TASKS, "ours"), 5, " ms")
    goals.most("start to ready with %d tasks" % TASKS, figures.median("start to ready with %d tasks: ms" % TASKS, "ours"), 50, " ms")


def _start(proxy):
    """ms from exec to READY=1."""
    path = os.path.join(proxy.dir, "notify")
    if os.path.exists(path):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(30)
        os.environ["NOTIFY_SOCKET"] = path
        start = time.monotonic()
        proxy.daemon = proxy._spawn("dind-proxyd")
        del os.environ["NOTIFY_SOCKET"]
        while b"READY=1" not in s.recv(4096):
            pass
        took = (time.monotonic() - start) * 1000
    until(proxy._answers, "dind-proxyd answers", 15)
    return took
