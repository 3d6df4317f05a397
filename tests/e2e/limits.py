"""Each limit exactly at it and just over it: what is refused names its setting, and nothing else suffers."""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")
import gzip
import os
import socket
import statistics
import subprocess
import threading
import time

from engine import Engine
from proxy import SANITIZED, SLOW, Proxy
from script import PACES, Rig, Wire, answer, built, chunked_answer, context, image_id, line, pack, request, saved
from tap import Skip, cleanup, contains, equal, main, ok, test, until

BUILD = "/v1.41/build?t=%s"
OFTEN = {"limits.requestRate": 10000}  # where another limit is looked at


here = {}  # engine: one for the tests that need a real one


def setup():
    here["engine"] = Engine()
    cleanup(here["engine"].stop)
    here["engine"].start().image("busybox:1.36")


def limit(name, **settings):
    """A test of function(rig); bytes at all paces are the wire_ tests' matter."""
    return lambda function: test(name)(lambda: function(Rig(PACES[0], **settings)))


def refused(reply, status, rule, *words):
    """The refusal has this status, and its text names rule and setting."""
    ok(reply is not None, "there is an answer")
    equal(reply.status, status, "status: %s" % reply.text[:500])
    contains(reply.json["message"], "rule: " + rule, *words)


def build(rig, name, body=None, task=None):
    """A build under way: client and engine."""
    c = client(rig, task)
    c.send(request("POST", BUILD % name, body=body or context()))
    e = rig.engine.expect("POST", "/build")
    e.read()
    return c, e


def client(rig, task):
    mine, rig.task = rig.task, task or rig.task
    try:
        return rig.client()
    finally:
        rig.task = mine


def ends(c, e, task, name, letter):
    e.send(chunked_answer(*built(image_id(letter), task.prefix + "docker.io/library/" + name)))
    e.close()
    equal(c.answer().status, 200, "the build's answer")


def ping(rig, task=None):
    c = client(rig, task)
    c.send(request("GET", "/_ping"))
    return c, c.answer()


# --- connections, builds, requests


@limit("limits.connections: the last one is served, one more is refused, and a place that is free is used", **{"limits.connections": 3})
def connections(rig):
    held = [ping(rig)[0] for _ in range(2)]
    c, reply = ping(rig)
    equal(reply.status, 200, "the third of three")
    refused(ping(rig)[1], 429, "limit-connections", "limits.connections")
    c.send(request("GET", "/_ping"))
    equal(c.answer().status, 200, "an open connection goes on")
    other = rig.proxy.task()
    equal(ping(rig, other)[1].status, 200, "another task is served")
    held.pop().drop()
    until(lambda: ping(rig)[1].status == 200, "there is room again")


@limit("limits.hostConnections: of all tasks together", **{"limits.hostConnections": 2})
def host_connections(rig):
    other = rig.proxy.task()
    held = [ping(rig)[0], ping(rig, other)[0]]
    refused(ping(rig)[1], 503, "limit-host-connections", "limits.hostConnections")
    equal(rig.proxy.control("GET", "/healthz")[0], 200, "the control socket is not a task's")
    held.pop().drop()
    until(lambda: ping(rig)[1].status == 200, "there is room again")


@limit("limits.builds: the last one runs, one more is refused, the connection lives", **{"limits.builds": 2})
def builds(rig):
    under_way = [build(rig, "app:%d" % n) for n in range(2)]
    c = rig.ask("POST", BUILD % "app:3", body=context())
    refused(c.answer(), 429, "limit-builds", "limits.builds")
    other = rig.proxy.task()
    ends(*build(rig, "app:1", task=other), other, "app:1", "d")
    for n, (mine, e) in enumerate(under_way):
        ends(mine, e, rig.task, "app:%d" % n, "ab"[n])
    rig.build("app:3", image_id("c"))


@limit("limits of a task itself are below the host's", **{"limits.builds": 2, "limits.connections": 9})
def narrower(rig):
    task = rig.proxy.task(limits={"builds": 1, "connections": 2})
    mine = build(rig, "app:1", task=task)
    c = client(rig, task)
    c.send(request("POST", BUILD % "app:2", body=context()))
    refused(c.answer(), 429, "limit-builds", "limits.builds")
    refused(ping(rig, task)[1], 429, "limit-connections", "limits.connections")
    ends(*mine, task, "app:1", "a")
    status, said = rig.proxy.control("POST", "/v1/tasks", {"taskId": "x", "runId": 0, "payload": {"features": {"dind": True}}, "limits": {"builds": 3}})
    equal(status, 400, "more than the host's")
    contains(said["message"], "limits.builds")


@limit("limits.hostBuilds: of all tasks together", **{"limits.hostBuilds": 1})
def host_builds(rig):
    other = rig.proxy.task()
    mine = build(rig, "app:1")
    c = client(rig, other)
    c.send(request("POST", BUILD % "app:1", body=context()))
    refused(c.answer(), 503, "limit-host-builds", "limits.hostBuilds")
    ends(*mine, rig.task, "app:1", "a")
    ends(*build(rig, "app:1", task=other), other, "app:1", "b")


@limit("limits.requestRate: ten seconds' worth, then 429; later there is room again", **{"limits.requestRate": 2})
def request_rate(rig):
    c, start = rig.client(), time.monotonic()
    c.send(request("GET", "/_ping") * 22)
    statuses = [c.answer().status for _ in range(20)]
    equal(statuses, [200] * 20, "the first twenty")
    reply = c.answer()
    if time.monotonic() - start > 0.5:  # one more had room
        reply = c.answer()
    refused(reply, 429, "limit-request-rate", "limits.requestRate")
    equal(c.ended(), b"", "a connection ends with such a refusal")
    equal(ping(rig, rig.proxy.task())[1].status, 200, "another task is served")
    until(lambda: ping(rig)[1].status == 200, "there is room again", every=0.1)
    records = [r for r in rig.task.audit() if r.get("rule") == "limit-request-rate" and r["event"] == "decision"]
    ok(0 < len(records) <= 2 + time.monotonic() - start, "at most one record a second: %d" % len(records))


@limit("requests that nobody waits for: memory is bounded by the client's reading", **OFTEN)
def unread_answers(rig):
    if SANITIZED:
        raise Skip("memory figures mean nothing under sanitizers")
    rig.alive()
    before, c = rig.proxy.memory(), rig.client()
    c.send(request("GET", "/v1.41/containers/json") * 100000)  # 4 MiB in, 30 MiB of refusals out
    until(c.held_up, "the client is held up")
    grown = rig.proxy.memory("VmHWM") - before
    ok(grown < 4 << 20, "memory grew by %d KiB" % (grown >> 10))
    for n in range(1000):
        equal(c.answer().status, 403, "answer %d" % n)
    c.drop()
    rig.alive()


@limit("requests that nobody waits for: the answers are whole and in order, also after a half-close", **OFTEN)
def pipelined(rig):
    c = rig.client()
    c.send((request("GET", "/v1.41/containers/json") + request("GET", "/v1.41/volumes")) * 1500)
    c.half_close()
    for n in range(3000):
        contains(c.answer().text, "volume" if n % 2 else "rule: container-list")
    equal(c.ended(), b"", "what follows the last")


# --- names and images


@limit("limits.images: as many as allowed, no more, and again after docker rmi", **{"limits.images": 2})
def images(rig):
    rig.build("a:1", image_id("a"))
    rig.build("b:1", image_id("b"))
    c = rig.ask("POST", BUILD % "c:1", body=context())
    refused(c.answer(), 403, "limit-images", "limits.images")
    remove(rig, "b:1", image_id("b"))
    rig.build("c:1", image_id("c"))


def remove(rig, name, identity=None):
    mapped = rig.task.prefix + "docker.io/library/" + name
    c = rig.ask("DELETE", "/v1.41/images/" + name)
    e = rig.engine.expect("DELETE", "/images/.*")
    e.send(answer(200, [{"Untagged": mapped}] + [{"Deleted": identity}] * bool(identity)))
    e.close()
    equal(c.answer().status, 200, "docker rmi")


@limit("limits.names: as many as allowed, for tags and builds, and again after docker rmi", **{"limits.names": 3})
def names(rig):
    rig.build("a:1", image_id("a"))
    tag(rig, "a:1", "two")
    c = rig.ask("POST", "/v1.41/build?t=x:1&t=y:1", body=context())
    refused(c.answer(), 403, "limit-names", "limits.names")
    tag(rig, "a:1", "three")
    c = rig.ask("POST", "/v1.41/images/a:1/tag?repo=a&tag=four")
    refused(c.answer(), 403, "limit-names", "limits.names")
    tag(rig, "a:1", "three")  # a name that it has is no new one
    c.send(request("GET", "/_ping"))
    equal(c.answer().status, 200, "the connection lives")
    remove(rig, "a:two")
    tag(rig, "a:1", "four")


def tag(rig, image, name):
    c = rig.ask("POST", "/v1.41/images/%s/tag?repo=a&tag=%s" % (image, name))
    e = rig.engine.expect("POST", "/images/.*/tag")
    e.send(answer(201))
    e.close()
    equal(c.answer().status, 201, "docker tag")


SIDE_BY_SIDE = {"limits.builds": 8}


@limit("limits.images: builds side by side do not pass it, each stage counts", **{"limits.images": 3}, **SIDE_BY_SIDE)
def images_side_by_side(rig):
    two_stages = context("FROM scratch AS one\nCOPY f /f\nFROM scratch\nCOPY --from=one /f /f\n", f=b"x")
    first = build(rig, "a:1", two_stages)
    second = build(rig, "b:1")
    refused(rig.ask("POST", BUILD % "c:1", body=context()).answer(), 403, "limit-images", "limits.images")
    second[0].drop()  # given up: its place is free when the engine has ended it
    second[1].ended()
    second[1].close()
    until(lambda: rig.task.show()["now"]["builds"] == 1, "the second is over")
    refused(rig.ask("POST", BUILD % "c:1", body=two_stages).answer(), 403, "limit-images", "would add 2", "limits.images")
    third = build(rig, "c:1")
    ends(*first, rig.task, "a:1", "a")
    ends(*third, rig.task, "c:1", "c")
    rig.build("d:1", image_id("d"))  # a stage's id was not told of: two images so far
    refused(rig.ask("POST", BUILD % "e:1", body=context()).answer(), 403, "limit-images", "limits.images")


@limit("limits.names: builds and tags side by side do not pass it", **{"limits.names": 3}, **SIDE_BY_SIDE)
def names_side_by_side(rig):
    rig.build("a:1", image_id("a"))
    under_way = build(rig, "b:1")
    tagging = rig.ask("POST", "/v1.41/images/a:1/tag?repo=a&tag=two")
    e = rig.engine.expect("POST", "/images/.*/tag")
    refused(rig.ask("POST", "/v1.41/images/a:1/tag?repo=a&tag=three").answer(), 403, "limit-names", "limits.names")
    refused(rig.ask("POST", BUILD % "c:1", body=context()).answer(), 403, "limit-names", "limits.names")
    again = build(rig, "a:1")  # a name that it has is no new one
    e.send(answer(404, {"message": "no"}))
    e.close()
    equal(tagging.answer().status, 404, "a tag that failed")
    tag(rig, "a:1", "three")
    refused(rig.ask("POST", "/v1.41/images/a:1/tag?repo=a&tag=two").answer(), 403, "limit-names", "limits.names")
    ends(*under_way, rig.task, "b:1", "b")
    ends(*again, rig.task, "a:1", "c")
    equal(sum(len(i["names"]) for i in rig.task.show()["owned"]), 3, "names")


@limit("limits.requestNames: names in one request", **{"limits.requestNames": 2})
def request_names(rig):
    c = rig.ask("POST", "/v1.41/build?t=a:1&t=a:2&t=a:3", body=context())
    refused(c.answer(), 403, "limit-request-names", "limits.requestNames")
    c = rig.ask("POST", "/v1.41/build?t=a:1&t=a:2", body=context())
    e = rig.engine.expect("POST", "/build")
    e.read()
    ends(c, e, rig.task, "a:1", "a")
    c = rig.ask("GET", "/v1.41/images/get?names=a:1&names=a:2&names=a:1")
    refused(c.answer(), 403, "limit-request-names", "limits.requestNames")


# --- bytes

EXACT = 10240  # a Dockerfile of one block and a file that fill a tar of this size


def filled(size):
    return context("FROM scratch\nCOPY f /\n", f=b"x" * (size - 3 * 512 - 1024))


@limit("limits.contextBytes: exactly as many, plain and compressed; one more is refused", **{"limits.contextBytes": EXACT})
def context_bytes(rig):
    body = filled(EXACT)
    equal(len(body), EXACT, "size of the context")
    ends(*build(rig, "a:1", body), rig.task, "a:1", "a")
    ends(*build(rig, "a:2", gzip.compress(body)), rig.task, "a:2", "b")
    more = filled(EXACT + 1)
    for what in (more, gzip.compress(more), gzip.compress(context(f=b"\0" * (64 << 20)))):
        c = rig.ask("POST", BUILD % "b:1", body=what, chunked=True)
        refused(c.answer(), 413, "limit-context-bytes", "limits.contextBytes")
    rig.build("b:1", image_id("c"))


@limit("limits.contextEntries: exactly as many; one more is refused", **{"limits.contextEntries": 20})
def context_entries(rig):
    def files(count):
        return pack([("Dockerfile", b"FROM scratch\nCOPY . /\n")] + [("f%d" % n, b"") for n in range(count)])

    ends(*build(rig, "a:1", files(19)), rig.task, "a:1", "a")
    c = rig.ask("POST", BUILD % "b:1", body=files(20), chunked=True)
    refused(c.answer(), 413, "limit-context-entries", "limits.contextEntries")
    rig.build("b:1", image_id("c"))


def image(rig, size):
    """The task has an image, and this is its tarball."""
    identity, tar = saved(rig.task.prefix + "docker.io/library/app:1", size)
    rig.build("app:1", identity)
    return tar


def save(rig, tar):
    c = rig.ask("GET", "/v1.41/images/get?names=app:1")
    e = rig.engine.expect("GET", "/images/get")
    e.send(chunked_answer(tar, kind="application/x-tar"))
    e.close()
    return c.answer()


ONE = len(saved("dind.invalid/" + "a" * 20 + "/docker.io/library/app:1", 300000)[1])


@limit("limits.imageBytes: exactly as many are saved; a layer that says it is larger is refused before anything is sent", **{"limits.imageBytes": ONE})
def image_bytes(rig):
    ok(save(rig, image(rig, 300000)).complete, "an image of just this size")
    refused(save(rig, image(rig, 320000)), 413, "limit-image-bytes", "limits.imageBytes")
    refused(save(rig, image(rig, 4000000)), 413, "limit-image-bytes", "limits.imageBytes")
    rig.alive()


SMALL = len(saved("dind.invalid/" + "a" * 20 + "/docker.io/library/app:1", 20000)[1])


@limit("limits.imageBytes: what passes it before anything was sent is refused with words", **{"limits.imageBytes": SMALL})
def small_image(rig):
    ok(save(rig, image(rig, 20000)).complete, "an image of just this size")
    refused(save(rig, image(rig, 40000)), 413, "limit-image-bytes", "limits.imageBytes")
    tar = image(rig, 20000)
    equal(save(rig, tar[:5000]).status, 502, "a tarball that the engine cuts at once")
    rig.alive()


@limit("limits.imageBytes: an artifact just this large is exported; a larger one fails with words", uploader=True, **{"limits.imageBytes": ONE})
def export_bytes(rig):
    for size, state in ((300000, "done"), (320000, "failed")):
        given = {"features": {"dind": True}, "dind": {"artifacts": {"public/a.tar": {"image": "app:1"}}}}
        rig.task = rig.proxy.task(payload=given)
        tar = image(rig, size)
        rig.engine.handlers = [("GET", "/images/get", lambda e: (e.send(chunked_answer(tar, kind="application/x-tar")), e.close()))]
        done = rig.task.finish()["public/a.tar"]
        rig.engine.handlers = []
        equal(done["state"], state, str(done))
    contains(str(done), "limits.imageBytes")


@limit("limits.savedBytes: all of them, then no more", **{"limits.savedBytes": 2 * ONE})
def saved_bytes(rig):
    tar = image(rig, 300000)
    equal([save(rig, tar).complete for _ in range(2)], [True, True], "two saves, all that is allowed")
    c = rig.ask("GET", "/v1.41/images/get?names=app:1")
    refused(c.answer(), 403, "limit-saved-bytes", "limits.savedBytes")
    c.send(request("GET", "/_ping"))
    equal(c.answer().status, 200, "the connection lives")


@limit("limits.savedBytes: a save that goes over it is cut; saves side by side share it", **{"limits.savedBytes": 3 * ONE // 2})
def saved_side_by_side(rig):
    tar, ends_well = image(rig, 300000), []
    under_way = []
    for _ in range(2):
        c = rig.ask("GET", "/v1.41/images/get?names=app:1")
        under_way.append((c, rig.engine.expect("GET", "/images/get")))
    for _, e in under_way:
        e.send(chunked_answer(tar, kind="application/x-tar"))
    for c, _ in under_way:
        reply = c.answer()
        ends_well.append(reply.status == 200 and reply.complete)
    ok(not all(ends_well), "one of them is cut, and both when each had its part first: what is cut counts as well")
    contains(str(rig.task.audit()), "limits.savedBytes")
    rig.alive()


# --- time


@limit("limits.buildTime: a build within it is left alone, a longer one is told why it ends", **{"limits.buildTime": 2})
def build_time(rig):
    ends(*build(rig, "a:1"), rig.task, "a:1", "a")
    for early in (True, False):
        c, e = build(rig, "b:1")
        if early:
            e.send(chunked_answer(line(stream="Step 1/1 : RUN sleep 1000"), end=False))
        start = time.monotonic()
        e.ended()
        ok(1.5 < time.monotonic() - start < 4 * SLOW, "after its time")
        e.close()  # the engine is done with it: its place is free
        reply = c.answer()
        if not early:
            refused(reply, 504, "limit-build-time", "limits.buildTime")
    contains(str([r.get("close") for r in rig.task.audit()]), "limits.buildTime")
    until(lambda: rig.task.show()["now"]["builds"] == 0, "no build has a place any more")
    rig.build("c:1", image_id("c"))


# --- disk


def listed(rig, *sizes):
    rows = [{"Id": image_id("abcdef"[n]), "ParentId": "", "Created": int(time.time()), "Size": s, "RepoTags": []} for n, s in enumerate(sizes)]
    rig.engine.handlers = [("GET", "/images/json", lambda e: (e.send(chunked_answer(answer_body(rows))), e.close()))]


def answer_body(value):
    return answer(200, value).partition(b"\r\n\r\n")[2]


@limit("limits.diskBytes: all of it may be used; a byte more and builds are refused, and ended", **{"limits.diskBytes": 1000})
def disk_bytes(rig):
    listed(rig, 1000)
    rig.build("a:1", image_id("a"))
    until(lambda: rig.task.show()["now"]["disk"] == 1000, "it is counted", 15 * SLOW)
    c, e = build(rig, "b:1")
    listed(rig, 1001)
    e.send(chunked_answer(line(stream="Step 1/1 : RUN sleep 1000"), end=False))
    e.ended(30 * SLOW)
    e.close()
    contains(c.answer().text, "limits.diskBytes")
    c = rig.ask("POST", BUILD % "c:1", body=context())
    refused(c.answer(), 403, "limit-disk-bytes", "limits.diskBytes")
    equal(ping(rig)[1].status, 200, "the rest goes on")
    remove(rig, "a:1", image_id("a"))
    listed(rig)
    until(lambda: rig.task.show()["now"]["disk"] == 0, "it is counted", 15 * SLOW)
    rig.build("c:1", image_id("c"))


@limit("limits.diskFree: no builds on a full disk", **{"limits.diskFree": 1 << 60, "engine.dataRoot": "/tmp"})
def disk_free(rig):
    def answered():
        c = rig.ask("POST", BUILD % "c:1", body=context())
        return c.answer()

    time.sleep(1.2)  # looked at every second
    refused(answered(), 503, "limit-disk-free", "limits.diskFree")


def real(**settings):
    proxy = Proxy(here["engine"].socket, **settings)
    cleanup(proxy.stop)
    return proxy.start()


@test("limits.diskBytes: a build whose steps fill the disk is ended by a real engine's own figures")
def disk_growth():
    proxy = real(**{"limits.diskBytes": "8MiB"})
    task = proxy.task()
    cleanup(task.end)
    small = "FROM busybox:1.36\nRUN head -c 4000000 /dev/urandom >/f\nRUN sleep 12\n"
    done = task.docker("build", "-t", "small:1", "-", stdin=small, program="/usr/bin/docker")
    equal(done.returncode, 0, done.stdout)
    task.docker("rmi", "small:1", program="/usr/bin/docker")
    large = "FROM busybox:1.36\nRUN head -c 6000000 /dev/urandom >/f\nRUN head -c 6000000 /dev/urandom >/g\nRUN sleep 600\n"
    done = task.docker("build", "-t", "large:1", "-", stdin=large, program="/usr/bin/docker", timeout=120)
    ok(done.returncode != 0, "the build is ended")
    contains(done.stdout, "limits.diskBytes")
    until(lambda: not here["engine"].containers(), "its step has ended", 10 * SLOW)


# --- one floods, another builds: figures, never a verdict


class Flood:
    """Connections of a task that do nothing but ask."""

    def __init__(self, path, kind, connections=50):
        self.path, self.kind, self.going, self.sent = path, kind, True, 0
        self.threads = [threading.Thread(target=self._work, daemon=True) for _ in range(connections)]
        for t in self.threads:
            t.start()

    def _work(self):
        while self.going and self.kind == "no proxy":
            self.sent += 1  # what the same client costs that has no proxy to ask
        while self.going:
            try:
                s = socket.socket(socket.AF_UNIX)
                s.settimeout(1)
                s.connect(self.path)
                while self.going:
                    self._round(s)
                    if self.kind == "connections":
                        break
            except OSError:
                pass
            finally:
                s.close()

    def _round(self, s):
        if self.kind == "upload":
            s.sendall(request("POST", BUILD % "x", body=b"", chunked=True)[:-5] + b"8000\r\n" + b"\0" * 32768 + b"\r\n")
            while self.going:
                s.sendall(b"8000\r\n" + b"\0" * 32768 + b"\r\n")
                self.sent += 1
        s.sendall(request("GET", "/v1.41/containers/json") * (100 if self.kind == "pipelined" else 1))
        self.sent += 100 if self.kind == "pipelined" else 1
        if not s.recv(65536):
            raise OSError

    def stop(self):
        self.going = False
        for t in self.threads:
            t.join(5)


@test("information: what a flood of one task costs another one's build")
def flood():
    if SANITIZED:
        raise Skip("times mean nothing under sanitizers")
    proxy = real(**{"log.level": "warn"})
    flooder, builder = proxy.task(), proxy.task()
    cleanup(flooder.end)
    cleanup(builder.end)
    body = context("FROM busybox:1.36\nCOPY f /f\nRUN true\n", f=os.urandom(32 << 20))

    def once():
        start = time.monotonic()
        c = Wire(socket.socket(socket.AF_UNIX))
        c.s.connect(builder.socket)
        c.send(request("POST", BUILD % "app:1", body=body))
        reply = c.answer()
        ok(reply.status == 200 and "errorDetail" not in reply.text, reply.text)
        c.drop()
        return time.monotonic() - start

    once()
    for kind in ("no proxy", "one by one", "pipelined", "connections", "upload"):
        alone, beside, cpu = [], [], 0.0
        for _ in range(int(os.environ.get("ROUNDS", "3"))):
            alone.append(once())
            busy = in_process(flooder.socket, kind)
            cpu = cpu_time(proxy.daemon.pid)
            beside.append(once())
            cpu = (cpu_time(proxy.daemon.pid) - cpu) / beside[-1]
            busy.terminate()
            busy.wait()
        a, b = statistics.median(alone), statistics.median(beside)
        print("# flood %-11s build alone %.2f s, beside it %.2f s: %.2f times; the proxy takes %.0f %% of a CPU" % (kind, a, b, b / a, 100 * cpu))
    equal(proxy.control("GET", "/healthz")[0], 200, "the service is there")


def cpu_time(pid):
    fields = open("/proc/%d/stat" % pid).read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def in_process(path, kind):
    """The flood in a process of its own, and the last to get a CPU: what it costs itself is not the question."""
    words = [sys.executable, "-c", "import sys; sys.argv = ['limits']; import os; os.nice(19); import limits; limits.Flood(%r, %r); import time; time.sleep(600)" % (path, kind)]
    env = dict(os.environ, PYTHONPATH=os.path.dirname(os.path.abspath(__file__)), PYTHONDONTWRITEBYTECODE="1")
    return subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    main(setup)
