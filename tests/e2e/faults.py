"""dind-proxyd while something below it fails: its disk, its memory, the way to the engine, the engine itself.

A scripted engine writes down what it was asked. Whatever fails: what it was asked is in the audit log, as allowed, and
was there before; the client gets an answer or a cut one, never a wrong one; the service goes on, or is started again
with its tasks. The everyday run takes a fixed part of the calls; DIND_CRASH_ALL=1 takes all of them.
"""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import collections
import http.client
import json
import mmap
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile

import strace
from engine import Engine, UnixHTTP, call, children
from proxy import SANITIZED, Proxy, payload
from script import ScriptedEngine, answer, built, chunked_answer, context, image_id, saved
from strace import Strace
from tap import Failed, cleanup, equal, main, ok, skip_all, test, until

ALL = bool(os.environ.get("DIND_CRASH_ALL"))
HERE = os.path.dirname(os.path.abspath(__file__))
MINE = image_id("a")


def setup():
    if SANITIZED:
        skip_all("only the plain build runs under strace")
    strace.need()


class Rig:
    """A service with one task; an engine that does what it is asked."""

    # what an engine is asked for a task: method, path without version, the rule that allows it
    ASKED = (
        ("POST", r"/build", "build"),
        ("POST", r"/images/.+/tag", "image-tag"),
        ("GET", r"/images/get", "image-save"),
        ("DELETE", r"/images/.+", "image-remove"),
        ("GET", r"/images/.+/history", "image-history"),
    )

    def __init__(self, environment=None):
        self.dir = tempfile.mkdtemp(prefix="dindf.", dir="/tmp")
        cleanup(shutil.rmtree, self.dir)
        self.engine = ScriptedEngine(self.dir + "/engine.sock")
        cleanup(self.engine.close)
        self.proxy = Proxy(self.engine.path, **{"log.level": "warn", "limits.requestRate": 100000})
        cleanup(self.proxy.stop)
        self.environment = environment or {}
        self.proxy.start()
        self.task = self.proxy.task()
        self.script()

    def script(self):
        tar = saved(self.task.prefix + "docker.io/library/app:1", 5000)[1]

        def say(method, path, *words):
            def handle(c):
                c.read()
                for word in words:
                    c.send(word)
                c.close()

            self.engine.handlers.append((method, path, handle))

        say("POST", "/build", chunked_answer(*built(MINE, self.task.prefix + "docker.io/library/app:1")))
        say("POST", "/images/.+/tag", answer(201, b""))
        say("GET", "/images/get", chunked_answer(tar, kind="application/x-tar"))
        say("GET", "/images/.+/history", answer(200, []))
        say("GET", "/images/json", answer(200, []))
        say("DELETE", "/images/.+", answer(200, [{"Untagged": self.task.prefix + "docker.io/library/app:2"}]))

    def ask(self, method, target, body=None):
        """(status, body); status None when there was no whole answer."""
        c = UnixHTTP(self.task.socket, timeout=30)
        try:
            c.request(method, "/v1.41" + target, body, {"Content-Type": "application/x-tar"} if body else {})
            reply = c.getresponse()
            return reply.status, reply.read()
        except (OSError, http.client.HTTPException):
            return None, b""
        finally:
            c.close()

    def round(self):
        """The requests of a task's life, one after the other: their statuses."""
        return [
            self.ask("POST", "/build?t=app:1", context())[0],
            self.ask("POST", "/images/app:1/tag?repo=app&tag=2")[0],
            self.ask("GET", "/images/app:1/history")[0],
            self.ask("GET", "/images/get?names=app:1")[0],
            self.ask("POST", "/containers/create", b"{}")[0],
            self.ask("DELETE", "/images/app:2")[0],
        ]

    GOOD = [200, 201, 200, 200, 403, 200]

    def recorded(self):
        """No request is at the engine that is not in the log as allowed."""
        asked, allowed = collections.Counter(), collections.Counter()
        for first in self.engine.seen:
            method, target, _ = first.split(" ")
            path = re.sub(r"^/v1\.\d+", "", target.partition("?")[0])
            rule = next((r for m, p, r in self.ASKED if m == method and re.fullmatch(p, path)), None)
            if rule:
                asked[rule] += 1
        for line in open(self.proxy.dir + "/audit/audit.jsonl", "rb").read().split(b"\n"):
            try:
                record = json.loads(line)
            except ValueError:
                continue  # torn: not counted
            if record["event"] == "decision" and record["decision"] == "allow":
                allowed[record["rule"]] += 1
        for rule, count in asked.items():
            ok(count <= allowed[rule], "the engine was asked %d times for %s; %d were recorded\n%s" % (count, rule, allowed[rule], dict(allowed)))
        return asked

    def revive(self):
        """Starts it again if it has ended; the task is there."""
        if self.proxy.daemon.poll() is not None:
            self.proxy.start_daemon()
        again = self.proxy.good("GET", self.task.path)
        equal((again["id"], again["socket"]), (self.task.id, self.task.socket), "the task")


def failing(rig, inject, path=None, good=False):
    """One round while that fails; then one that must be all right."""
    with Strace(pid=rig.proxy.daemon.pid, inject=inject, calls=[inject.split(":")[0]], path=path, follow=False) as traced:
        statuses = rig.round()
    for got, want in zip(statuses, rig.GOOD):
        # 404: of a request before it that failed
        ok(got in (want, 500, 503, 507, 404, None) or (good and got), "statuses %s" % statuses)
    ok(rig.proxy.daemon.poll() is None, "dind-proxyd lives\n" + rig.proxy.log())
    rig.recorded()
    equal(rig.round(), rig.GOOD, "the round after it\n" + rig.proxy.log())
    rig.recorded()
    return traced.injected


@test("the audit log fails at its Nth write, whole or in part: nothing is asked of the engine without a record")
def audit_write():
    rig = Rig()
    equal(rig.round(), rig.GOOD, "undisturbed")
    ok(sum(rig.recorded().values()) >= 5, "what the engine is asked is seen")
    path = rig.proxy.dir + "/audit/audit.jsonl"
    met = 0
    for n in range(1, 13, 1 if ALL else 2):
        for what in ("error=ENOSPC", "error=EIO", "retval=7"):
            met += failing(rig, "write:%s:when=%d" % (what, n), path)
    ok(met > 12, "most were met: %d" % met)


@test("the audit log's disk is full for good: every request is refused, none reaches the engine; then all is well again")
def audit_full():
    rig = Rig()
    before = None
    with Strace(pid=rig.proxy.daemon.pid, inject="write:error=ENOSPC:when=1+", calls=["write"], path=rig.proxy.dir + "/audit/audit.jsonl", follow=False):
        before = list(rig.engine.seen)
        statuses = rig.round()
        ok(all(s is not None and s >= 400 for s in statuses), "all are refused: %s" % statuses)
        mutating = [first for first in rig.engine.seen[len(before) :] if not first.startswith("GET /version")]
        equal(mutating, [], "what the engine was asked")
    equal(rig.round(), rig.GOOD, "after it")
    rig.recorded()


@test("the journal of what a task owns fails at its Nth write or sync: what is not on the disk is not the task's")
def journal():
    rig = Rig()
    rig.round()
    path = "%s/state/tasks/%s/owned.jsonl" % (rig.proxy.dir, rig.task.id)
    met = 0
    for call in ("write", "fdatasync", "ftruncate"):
        for n in range(1, 5):
            rig.ask("DELETE", "/images/app:1")  # so that there is something to learn
            met += failing(rig, "%s:error=%s:when=%d" % (call, ("EIO", "ENOSPC")[n % 2], n), path)
    ok(met >= 4, "some were met: %d" % met)
    names = sorted(name for image in rig.proxy.good("GET", rig.task.path)["owned"] for name in image["names"])
    rig.proxy.crash()
    rig.proxy.start_daemon()
    again = sorted(name for image in rig.proxy.good("GET", rig.task.path)["owned"] for name in image["names"])
    equal(again, names, "what the task owns after a crash")


@test("the way to the engine fails at the gate: an answer that says so, and the next request is all right")
def gate():
    rig = Rig()
    rig.round()
    pid = next(p for p in rig.proxy.children() if open("/proc/%d/comm" % p).read() == "dind-gate\n")
    for call, errors in (("connect", ("ECONNREFUSED", "ENOENT", "EACCES", "EAGAIN", "EINTR")), ("socket", ("EMFILE", "ENOBUFS")), ("write", ("EPIPE",))):
        for error in errors:
            for n in (1, 3):
                with Strace(pid=pid, inject="%s:error=%s:when=%d" % (call, error, n), calls=[call], follow=False):
                    statuses = rig.round()
                ok(all(got in (want, 500, 502, 503, 504, 404, None) for got, want in zip(statuses, rig.GOOD)), "%s %s: %s" % (call, error, statuses))
                rig.revive()
                equal(rig.round(), rig.GOOD, "after %s of %s\n%s" % (error, call, rig.proxy.log()))
                rig.recorded()


@test("a helper process is killed: the service ends with its name, and is started again with its tasks")
def helpers():
    for name in ("dind-gate", "dind-spawner"):
        rig = Rig()
        rig.round()
        pid = next(p for p in rig.proxy.children() if open("/proc/%d/comm" % p).read() == name + "\n")
        os.kill(pid, signal.SIGKILL)
        equal(rig.proxy.daemon.wait(20), 1, "exit status")
        ok(name.split("-")[1] + " has gone" in rig.proxy.log(), rig.proxy.log())
        rig.revive()
        equal(rig.round(), rig.GOOD, "after it")
        rig.recorded()


# --- memory


class Scarce(Rig):
    """The front's allocations are counted, and fail when this test says so."""

    def __init__(self):
        self.place = tempfile.mkdtemp(prefix="dind-malloc.")
        cleanup(shutil.rmtree, self.place)
        source, library = os.path.join(HERE, "../lib/failmalloc.c"), self.place + "/failmalloc.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
        with open(self.place + "/words", "wb") as f:
            f.write(bytes(16))
        file = os.open(self.place + "/words", os.O_RDWR)
        self.words = mmap.mmap(file, 16)
        os.close(file)
        os.environ.update(LD_PRELOAD=library, DIND_FAILMALLOC=self.place + "/words")
        cleanup(lambda: [os.environ.pop(n) for n in ("LD_PRELOAD", "DIND_FAILMALLOC")])
        super().__init__()

    @property
    def count(self):
        return struct.unpack("Q", self.words[0:8])[0]

    def fail_at(self, count):
        self.words[8:16] = struct.pack("Q", count)


@test("memory: an allocation that fails ends the service by its own word, or a request; never more than that")
def memory():
    rig = Scarce()
    rig.round()
    before = rig.count
    rig.round()
    total = rig.count - before
    ended = survived = 0
    for n in range(1, total, 1 if ALL else total // 40):
        rig.fail_at(rig.count + n)
        statuses = rig.round()
        rig.fail_at(0)
        if any(got is None for got in statuses):
            try:
                until(lambda: rig.proxy.daemon.poll() is not None, "it ends", 1)
            except Failed:
                pass
        status = rig.proxy.daemon.poll()
        rig.recorded()
        if status is None:
            survived += 1
            ok(all(got in (want, None, 400, 404, 413, 500, 502, 503, 507) for got, want in zip(statuses, rig.GOOD)), "allocation %d: %s" % (n, statuses))
        else:
            ended += 1
            equal(status, -signal.SIGABRT, "allocation %d: how it ended\n%s" % (n, rig.proxy.log()))
        rig.revive()
        equal(rig.round(), rig.GOOD, "after allocation %d had failed\n%s" % (n, rig.proxy.log()))
    print("# %d allocations a round; %d ended it, %d did not" % (total, ended, survived))
    ok(ended > 0, "some ended it")


# --- the engine


class Dying:
    """A real engine that is killed and comes back, and a service that stays."""

    def __init__(self):
        self.engine = Engine()
        cleanup(self.engine.stop)
        self.engine.start().image("busybox:1.36")
        self.proxy = Proxy(self.engine.socket, **{"log.level": "warn"})
        cleanup(self.proxy.stop)
        self.proxy.start()

    def kill(self):
        """As a crash would: what it had begun is left on its disk."""
        for pid in children(self.engine.process.pid) + [self.engine.process.pid]:
            os.kill(pid, signal.SIGKILL)
        self.engine.process.wait()

    def revive(self):
        for name in ("pid", "docker.sock"):
            if os.path.exists(self.engine.dir + "/" + name):
                os.unlink(self.engine.dir + "/" + name)
        self.engine.start()


def begin(task, method, target, body=None, part=None):
    """A request whose body is sent in part (a number of bytes), or whole."""
    c = UnixHTTP(task.socket, timeout=60)
    c.putrequest(method, "/v1.41" + target)
    if body is not None:
        c.putheader("Content-Type", "application/x-tar")
        c.putheader("Content-Length", str(len(body)))
    c.endheaders()
    if body is not None:
        c.send(body[:part])
    return c


def ends_badly(c):
    """An error, or an answer that is cut or says so; in time."""
    try:
        reply = c.getresponse()
        data = reply.read()
        ok(reply.status >= 500 or b"errorDetail" in data or b'"error"' in data, "%d %s" % (reply.status, data[-300:]))
    except (OSError, http.client.HTTPException):
        pass  # cut
    finally:
        c.close()


BIG = {"big": os.urandom(20 << 20)}


def in_upload(task):
    return begin(task, "POST", "/build?t=up:1", context("FROM scratch\nCOPY big /\n", **BIG), 10 << 20)


def in_step(task):
    c = begin(task, "POST", "/build?t=step:1", context("FROM busybox:1.36\nRUN sleep 600\n"))
    until(lambda: running(task), "the step runs", 30)
    return c


def in_save(task):
    """The engine gives a big image; nobody reads on."""
    c = begin(task, "GET", "/images/get?names=big:1")
    c.sock.recv(1)
    return c


def in_export(task):
    task.proxy.good("POST", task.path + "/finish", status=202)


def running(task):
    return call(task.proxy.engine_socket, "GET", "/containers/json")[1]


@test("the engine is killed during an upload, a step, a save and an export: each ends with an error; then all is well")
def engine_dies():
    d = Dying()
    d.proxy.engine_socket = d.engine.socket
    for state in (in_upload, in_step, in_save, in_export):
        task = d.proxy.task(payload=payload(**{"public/image.tar": "big:1"}))
        c = begin(task, "POST", "/build?t=big:1", context("FROM scratch\nCOPY big /\n", **BIG))
        equal(c.getresponse().read().count(b"Successfully tagged"), 1, "build")
        c.close()
        c = state(task)
        d.kill()
        if c is not None:
            ends_badly(c)
        d.revive()
        if state is in_export:
            artifact = until(lambda: settled(task), "the artifact is in the spool, or failed", 60)
            ok(artifact["state"] == "ready" or artifact["error"], "the artifact: %s" % artifact)
        else:
            c = begin(task, "POST", "/build?t=again:1", context("FROM big:1\nLABEL a=b\n"))
            ok(b"Successfully tagged again:1" in c.getresponse().read(), "a build after it (%s)\n%s" % (state.__name__, d.proxy.log()))
            c.close()
        task.end()
        until(lambda: d.proxy.control("GET", task.path)[0] == 404, "the task is gone", 60)
        names = [name for image in d.engine.images().values() for name in image if "dind.invalid" in name]
        equal(names, [], "what is left of it in the engine")


def settled(task):
    artifact = task.proxy.good("GET", task.path + "/artifacts")[0]
    return artifact["state"] in ("ready", "failed") and artifact


main(setup)
