#!/usr/bin/python3
"""The figures: metrics that Prometheus' own parser reads, as documented; the port on loopback; the dashboard; dindctl top."""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")
import engine
from proxy import program
from script import Rig, answer, built, chunked_answer, context, image_id, request
from tap import Skip, cleanup, contains, equal, lacks, main, ok, test, until

ROWS = re.compile(r"^\| `([a-z_]+)` \| (gauge|counter|histogram) \| ([^|]*) \|", re.M)


def documented():
    with open(os.path.join(engine.ROOT, "docs/metrics.md")) as f:
        return {name: (kind, [x.strip() for x in labels.split(",") if x.strip()]) for name, kind, labels in ROWS.findall(f.read())}


def http(port, text, address="127.0.0.1"):
    with socket.create_connection((address, port), timeout=20) as s:
        s.sendall(text)
        data = b""
        while True:
            more = s.recv(65536)
            if not more:
                return data.decode()
            data += more


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def metrics(rig):
    """The raw text: what curl would get."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(rig.proxy.control_socket)
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = b""
        while True:
            more = s.recv(65536)
            if not more:
                break
            data += more
    head, _, body = data.partition(b"\r\n\r\n")
    contains(head.decode(), "200 OK", "text/plain; version=0.0.4")
    return body.decode()


def samples(text):
    """{(name, labels as text): value}"""
    return {m.group(1): float(m.group(2)) for m in re.finditer(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", text, re.M)}


def work(rig):
    """A build, a refusal, an engine that fails."""

    def on_build(c):
        c.read()
        c.send(chunked_answer(*built(image_id("a"), rig.task.prefix + "docker.io/library/app:1")))
        c.close()

    rig.engine.handlers.append(("POST", "/build", on_build))
    equal(rig.ask("POST", "/v1.41/build?t=app:1", body=context()).answer().status, 200)
    equal(rig.ask("GET", "/v1.41/containers/json").answer().status, 403)
    equal(rig.ask("POST", "/v1.41/build?networkmode=host", body=context()).answer().status, 403)


@test("all that is documented is there, with its type and labels, and nothing else; Prometheus' parser reads it")
def format():
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError:
        raise Skip("python3-prometheus-client is not installed")
    rig = Rig()
    work(rig)
    until(lambda: "dind_proxy_engine_info{" in metrics(rig), "the engine has told its version")
    text, doc = metrics(rig), documented()
    ok(len(doc) > 20, "documented: %s" % sorted(doc))
    families = list(text_string_to_metric_families(text))
    seen = {}
    for f in families:
        name = f.name + ("_total" if f.type == "counter" else "")
        seen[name] = f.type
        equal(f.type, doc[name][0], name)
        for s in f.samples:
            own = {k for k in s.labels if k != "le"}
            equal(sorted(own), sorted(doc[name][1]) if own or doc[name][1] else [], "labels of " + name)
            ok(rig.task.id not in str(s.labels) and rig.task.task_id not in str(s.labels), "a task's name in a label")
    equal(sorted(seen), sorted(doc), "metrics")
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        equal((done.returncode, done.stdout), (0, ""), "promtool")


@test("they count what happens")
def values():
    rig = Rig()
    work(rig)
    rig.engine.vanish()
    ok(rig.ask("GET", "/v1.41/images/json").answer().status >= 500, "no engine")
    s = samples(metrics(rig))
    want = {
        "dind_proxy_tasks": 1,
        "dind_proxy_requests_total": 4,
        'dind_proxy_refused_total{rule="container-list"}': 1,
        'dind_proxy_refused_total{rule="build-network"}': 1,
        'dind_proxy_builds_total{result="built"}': 1,
        'dind_proxy_builds_total{result="failed"}': 0,
        'dind_proxy_build_seconds_count{result="built"}': 1,
        'dind_proxy_request_seconds_count{route="build"}': 1,
        "dind_proxy_failures_total": 1,
        "dind_proxy_images": 1,
        "dind_proxy_names": 1,
        'dind_proxy_reloads_total{result="taken"}': 0,
    }
    equal({k: s.get(k) for k in want}, want)
    ok(s['dind_proxy_bytes_total{direction="in"}'] > 1000, "bytes of the context: %s" % s)
    ok(s["process_resident_memory_bytes"] > 1 << 20, "memory: %s" % s)
    ok(abs(s["process_start_time_seconds"] - time.time()) < 300, "start: %s" % s)
    le = [v for k, v in s.items() if k.startswith('dind_proxy_request_seconds_bucket{route="build"')]
    equal(le, sorted(le), "buckets add up")


@test("the port on loopback answers GET /metrics and GET /healthz, and nothing else")
def port():
    number = free_port()
    rig = Rig(**{"metrics.port": number})
    work(rig)
    head, _, body = http(number, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").partition("\r\n\r\n")
    contains(head, "HTTP/1.1 200 OK", "text/plain; version=0.0.4", "Connection: close")
    contains(body, 'dind_proxy_builds_total{result="built"} 1\n')
    equal({x for x in samples(body) if "seconds" not in x and "process" not in x} - set(samples(metrics(rig))), set(), "the same figures")
    contains(http(number, b"GET /healthz HTTP/1.0\r\n\r\n"), "200 OK", '{"ok": true}')
    for text, status in (
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "405"),
        (b"DELETE /v1/tasks/x HTTP/1.1\r\nHost: x\r\n\r\n", "405"),
        (b"GET /v1/tasks HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        (b"GET /metrics?x HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        (b"\x16\x03\x01\r\n\r\n", "400"),
        (b"GET /" + b"x" * 4000, "400"),
    ):
        contains(http(number, text).split("\r\n")[0], status)
    idle = [socket.create_connection(("127.0.0.1", number)) for _ in range(40)]
    rig.alive()
    for s in idle:
        s.close()
    until(lambda: "200 OK" in http(number, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), "served after idlers")
    with open("/proc/net/tcp") as f:
        listening = [line.split()[1] for line in f if line.split()[3] == "0A" and line.split()[1].endswith(":%04X" % number)]
    equal(listening, ["0100007F:%04X" % number], "where it listens")


@test("an address that is not loopback is no setting")
def address():
    done = subprocess.run(
        [program("dindctl"), "config", "check", "/dev/stdin"], input='{"metrics": {"port": 9, "address": "0.0.0.0"}}', stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    equal(done.returncode, 1)
    contains(done.stderr, "metrics.address")


@test("the dashboard is JSON, and asks for metrics that there are")
def dashboard():
    with open(os.path.join(engine.ROOT, "examples/monitoring/grafana-dashboard.json")) as f:
        tree = json.load(f)
    doc = documented()
    known = set(doc) | {n + s for n, (kind, _) in doc.items() if kind == "histogram" for s in ("_bucket", "_sum", "_count")}
    asked = set()

    def walk(v):
        if isinstance(v, dict):
            for k, x in v.items():
                if k in ("expr", "query") and isinstance(x, str):
                    asked.update(re.findall(r"\b(?:dind_proxy|process)_[a-z_]+\b", x))
                walk(x)
        elif isinstance(v, list):
            for x in v:
                walk(x)

    walk(tree)
    equal(asked - known, set(), "metrics that nobody has")
    plain = {re.sub(r"_(bucket|sum|count)$", "", n) if n not in doc else n for n in asked}
    equal(set(doc) - plain - {"dind_proxy_saved_bytes_total", "process_start_time_seconds"}, set(), "metrics without a panel")
    ids = [p["id"] for p in tree["panels"]]
    equal(len(ids), len(set(ids)), "ids of panels")


@test("alive and ready: 503 says what is missing")
def ready():
    rig = Rig()
    equal(rig.proxy.control("GET", "/healthz"), (200, {"ok": True}))
    status, said = rig.proxy.control("GET", "/readyz")
    equal((status, said["engine"], said["spool"], said["message"]), (200, True, True, "ready"))
    rig.engine.vanish()
    status, said = rig.proxy.control("GET", "/readyz")
    equal((status, said["engine"], said["spool"]), (503, False, True))
    contains(said["message"], "engine")
    rig.engine.listen()
    os.rename(rig.proxy.dir + "/spool", rig.proxy.dir + "/spool.away")
    status, said = rig.proxy.control("GET", "/readyz")
    os.rename(rig.proxy.dir + "/spool.away", rig.proxy.dir + "/spool")
    equal((status, said["engine"], said["spool"]), (503, True, False))
    contains(said["message"], "spool")


@test("top: printed once into a pipe")
def top_once():
    rig = Rig()
    work(rig)
    done = subprocess.run([program("dindctl"), "--control", rig.proxy.control_socket, "top"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60)
    equal(done.returncode, 0)
    contains(done.stdout, "1 tasks", "policy 1 (enforce)", rig.task.task_id, "running", "2 refused", "memory")
    lacks(done.stdout, "\x1b")
    done = subprocess.run([program("dindctl"), "--control", rig.proxy.control_socket, "--json", "top"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60)
    equal(json.loads(done.stdout)["list"][0]["id"], rig.task.id)


class Terminal:
    """dindctl top on a terminal of its own."""

    def __init__(self, rig):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(program("dindctl"), ["dindctl", "--control", rig.proxy.control_socket, "top", "--interval", "1"])
        cleanup(self.close)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.text, self.status = "", None

    def read(self):
        while select.select([self.fd], [], [], 0.05)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return self.text
            if not data:
                break
            self.text += data.decode("utf-8", "replace")
        return self.text

    def flags(self):
        return termios.tcgetattr(self.fd)[3] & (termios.ICANON | termios.ECHO)

    def ended(self):
        self.read()
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.status = os.waitstatus_to_exitcode(status)
        return pid != 0

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@test("top on a terminal: drawn anew, q ends it, the terminal is as it was")
def top_screen():
    rig = Rig()
    t = Terminal(rig)
    before = t.flags()
    until(lambda: rig.task.task_id in t.read(), "the task is shown")
    equal(t.flags(), 0, "keys are read one by one")
    contains(t.text, "\x1b[?1049h", "q: quit")
    other = rig.proxy.task()
    until(lambda: other.task_id in t.read(), "a new task is shown")
    rig.proxy.restart()
    until(lambda: t.read().rstrip().endswith("q: quit \x1b[0m"), "it goes on while the service restarts")
    os.write(t.fd, b"x")
    os.write(t.fd, b"q")
    until(t.ended, "q ends it")
    equal(t.status, 0)
    ok(t.text.rstrip().endswith("\x1b[?1049l"), "the screen before is back: %r" % t.text[-40:])
    equal(t.flags(), before, "the terminal's settings")


@test("top on a terminal: a signal restores it, too")
def top_signal():
    rig = Rig()
    t = Terminal(rig)
    until(lambda: rig.task.task_id in t.read(), "the task is shown")
    os.kill(t.pid, signal.SIGTERM)
    until(t.ended, "it ends")
    ok(t.text.rstrip().endswith("\x1b[?1049l"), "the screen before is back")
    ok(t.flags() != 0, "the terminal's settings")


if __name__ == "__main__":
    main()
