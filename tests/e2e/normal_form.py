"""One normal form: of all spellings of a request (tests/lib/variants.py) one passes; the others are refused without a byte
for the engine. Each variant goes to a task's socket, and to a real engine unless it is refused and would write there; what is forwarded must mean to the engine what
the client's own bytes would have meant, with the task's names in place of the host's.

DIND_VARIANTS=all takes every variant there is, not a drawn part.
"""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import io
import json
import os
import random
import re
import select
import shutil
import socket
import tarfile
import tempfile
import threading
from urllib.parse import parse_qsl

import variants
from engine import Engine
from proxy import SLOW, Proxy
from script import answer, built, chunked_answer, context, request, unpack
from tap import Failed, cleanup, equal, main, ok, test, until

COUNT = 3000
REFUSALS = (400, 403, 404, 413, 414, 417, 431, 501, 505)
NO_CONTEXT = "Cannot locate specified Dockerfile"  # the engine's own answer, and status, to a build without a body
# the proxy's own look at what the tasks' images take, now and then; a task's list can look the same
SWEEP = b"GET /v1.41/images/json?all=1 HTTP/1.1\r\nHost: docker\r\nUser-Agent: dind-proxy\r\nConnection: close\r\n\r\n"
LOOK_UP = re.compile(rb"GET /version HTTP/1\.1\r\n")  # without a version in the path: no task's request looks so
here = {}


# --- an engine that keeps what it gets, and whose answers change nothing


class Recorder:
    def __init__(self, path):
        self.requests, self.connections = [], 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen(64)
        self.say = answer(409, {"message": "recorded"})
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with sock:
            sock.settimeout(10 * SLOW)
            data = sock.recv(262144)
            if LOOK_UP.match(data):
                sock.sendall(answer(200, {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64"}))
                return
            mine = [data]
            self.requests.append(mine)  # before anything is answered: the client's answer comes after this
            while not whole(b"".join(mine)):
                data = sock.recv(262144)
                if not data:
                    return
                mine.append(data)
            sock.sendall(self.say)

    def taken(self):
        got, self.requests = [b"".join(parts) for parts in self.requests], []
        return got


def whole(data):
    """A request in normal form is complete."""
    head, end, body = data.partition(b"\r\n\r\n")
    return bool(end) and (b"\r\nTransfer-Encoding: chunked" not in head or body.endswith(b"0\r\n\r\n"))


# --- a client that sends bytes and reads answers strictly


class Peer:
    def __init__(self, path):
        self.s, self.buffer, self.eof = socket.socket(socket.AF_UNIX), b"", False
        self.s.connect(path)

    def send(self, data):
        try:
            self.s.sendall(data)
        except OSError:
            pass  # it may have heard enough

    def more(self, seconds):
        if self.eof or not select.select([self.s], [], [], seconds)[0]:
            return False
        try:
            data = self.s.recv(1 << 20)
        except OSError:
            data = b""
        self.buffer, self.eof = self.buffer + data, not data
        return bool(data)

    def answer(self, seconds, head_only):
        """(status, fields, body) of the next final answer; None when there is none in time, or none before the end."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.more(seconds):
                ok(not self.buffer or not self.eof, "the stream ends in a head: %r" % self.buffer[:300])
                return None
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        ok(re.fullmatch(rb"HTTP/1\.[01] \d{3} [ -~]+", first), "a status line: %r" % first)
        fields = dict((k.lower(), v.strip()) for k, _, v in (line.decode("latin-1").partition(":") for line in lines))
        ok(len(fields) == len(lines), "each field once: %r" % head)
        status = int(first[9:12])
        if status == 100:
            return self.answer(seconds, head_only)
        return status, fields, b"" if head_only or status in (204, 304) else self.body(fields, seconds)

    def body(self, fields, seconds):
        if fields.get("transfer-encoding") == "chunked":
            return b"".join(iter(lambda: self.chunk(seconds), b""))
        size = int(fields["content-length"]) if "content-length" in fields else 1 << 62
        while len(self.buffer) < size and self.more(seconds):
            pass
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        ok(len(data) == size or "content-length" not in fields, "the body has %d bytes, not %d" % (len(data), size))
        return data

    def chunk(self, seconds):
        while b"\r\n" not in self.buffer:
            ok(self.more(seconds), "the stream ends in a chunked body")
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        size = int(line, 16)
        while len(self.buffer) < size + 2:
            ok(self.more(seconds), "the stream ends in a chunk")
        data, self.buffer = self.buffer[:size], self.buffer[size + 2 :]
        return data

    def rest(self):
        """Half-closes; what comes until the end."""
        try:
            self.s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        while self.more(5 * SLOW):
            pass
        ok(self.eof, "the connection is closed after the client has closed its side")
        return self.buffer

    def close(self):
        self.s.close()


def reads_head(raw):
    return raw.lstrip(b"\r\n").startswith(b"HEAD ")


def through(raw):
    """One variant on the task's socket: (status or None, body) of its one answer."""
    p = Peer(here["task"].socket)
    try:
        p.send(raw)
        got = p.answer(0.15 * SLOW, reads_head(raw))
        if got is None:  # it waits for more: there is none
            rest = p.rest()
            got = Peer.answer(_Replay(rest), 0, reads_head(raw)) if rest else (None, {}, b"")
            return got[0], got[2]
        status, fields, body = got
        if fields.get("connection", "").lower() == "close" or "connection: close" in raw.decode("latin-1").lower():
            left = p.rest()
            # a refusal that was said before the method was known has a body, even to HEAD
            ok(not left or reads_head(raw) and len(left) == int(fields["content-length"]), "bytes behind the answer: %r" % left[:200])
        else:
            usable(p)
        return status, body
    finally:
        p.close()


class _Replay(Peer):
    def __init__(self, data):
        self.buffer, self.eof = data, True


def usable(p):
    """The connection was left open: what stood behind the request has its own answer, or the next request has."""
    p.send(request("GET", "/containers/probe/json"))  # answered by the proxy itself
    got = p.answer(5 * SLOW, False)
    ok(got is not None and got[0] in REFUSALS, "a connection that is kept open takes another request: %s" % (got,))
    p.rest()


# --- what leaves the proxy (threats.md A.6 in one expression, and the values that must never be there)

HEAD = re.compile(
    rb"(GET|HEAD|POST|DELETE) (/v1\.\d\d(?:/_ping|/version|/build|/images/json|/images/get|/images/[A-Za-z0-9_.:/@-]+))"
    rb"(\?[a-z]+=[A-Za-z0-9._~%-]*(?:&[a-z]+=[A-Za-z0-9._~%-]*)*)? HTTP/1\.1\r\n"
    rb"Host: docker\r\nUser-Agent: dind-proxy\r\nConnection: close"
    rb"(\r\nContent-Length: 0|\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked)?"
)
KEYS = {
    "build": "t dockerfile buildargs labels target cachefrom nocache rm forcerm version memory memswap cpushares cpuperiod cpuquota cpusetcpus"
    " cpusetmems shmsize ulimits networkmode",
    "save": "names",
    "tag": "repo tag",
    "list": "all",
    "remove": "noprune",
}
PATHS = {
    "ping": "/_ping",
    "version": "/version",
    "build": "/build",
    "list": "/images/json",
    "save": "/images/get",
    "inspect": "/images/@/json",
    "history": "/images/@/history",
    "tag": "/images/@/tag",
    "remove": "/images/@",
}


def split(raw):
    """A forwarded request's (route, pairs of its query); fails when it is not in normal form."""
    head, _, body = raw.partition(b"\r\n\r\n")
    m = HEAD.fullmatch(head)
    ok(m, "the forwarded head is in normal form: %r" % head)
    path, query = m.group(2).decode()[6:], parse_qsl((m.group(3) or b"?")[1:].decode(), keep_blank_values=True, strict_parsing=bool(m.group(3)))
    own = re.escape("/images/" + here["task"].prefix) + r"[a-z0-9._/-]+(:[\w.-]+)?|/images/" + here["id"]
    plain = re.sub(own, "/images/@", path, count=1) if path.startswith("/images/") and path not in ("/images/json", "/images/get") else path
    ok(not set(path.split("/")[1:]) & {"", ".", ".."}, "no odd segment: %s" % path)
    methods = {b"POST": ("tag", "build"), b"DELETE": ("remove",), b"HEAD": ("ping",)}.get(m.group(1))
    routes = [r for r, p in PATHS.items() if p == plain and (r in methods if methods else r not in ("tag", "build", "remove"))]
    ok(len(routes) == 1, "a route of the table: %s %s" % (m.group(1), path))
    check_query(routes[0], query)
    check_body(routes[0], m.group(4), body)
    return routes[0], query


def check_query(route, query):
    keys = [k for k, _ in query]
    ok(set(keys) <= set(KEYS.get(route, "").split()), "known keys: %s" % keys)
    ok(all(keys.count(k) == 1 or k in ("t", "names") for k in keys), "each key once: %s" % keys)
    for key, value in query:
        if key in ("t", "names", "repo"):
            ok(value.startswith(here["task"].prefix) or value == here["id"], "%s is the task's own: %s" % (key, value))
        if key in ("rm", "forcerm", "version", "nocache", "all", "noprune"):
            equal(value, "1", key)
    if route == "build":
        ok({"rm", "forcerm", "version"} <= set(keys) and {"cachefrom", "nocache"} & set(keys), "forced keys: %s" % keys)
        ok(dict(query).get("networkmode", "none") == "none", "the network: %s" % query)


def check_body(route, framing, body):
    if route != "build":
        equal(body, b"", "body")
        return
    ok(framing, "a build has a body")
    ok(whole(b"\r\nTransfer-Encoding: chunked\r\n\r\n" + body), "its end")
    equal(unpack(dechunked(body))["Dockerfile"], b"FROM scratch\nLABEL made=here\n", "the Dockerfile")


def dechunked(data):
    out = b""
    while data:
        line, _, data = data.partition(b"\r\n")
        size = int(line, 16)
        out, data = out + data[:size], data[size + 2 :]
    return out


# --- what bytes mean to a real engine


def direct(raw, seconds):
    """The real engine's first answer to these bytes: (status, body), or None."""
    p = Peer(here["engine"].socket)
    try:
        p.send(raw)
        got = p.answer(seconds, reads_head(raw))
        return got and (got[0], got[2])
    except Failed:
        return None
    finally:
        p.close()


def names_of_image():
    return set(here["engine"].call("GET", "/images/%s/json" % here["id"])[1]["RepoTags"])


def restore():
    """The image has its two names again, and no others."""
    for name in (set(names_of_image()) - here["names"]):
        here["engine"].call("DELETE", "/images/" + name)
    for name in here["names"] - names_of_image():
        repo, tag = name.rsplit(":", 1)
        here["engine"].call("POST", "/images/%s/tag?repo=%s&tag=%s" % (here["id"], repo, tag))


def plain(name):
    """A name as the task would say it."""
    mapped = here["task"].prefix
    return name[len(mapped) :].removeprefix("docker.io/").removeprefix("library/") if name.startswith(mapped) else name


def meaning(route, raw):
    """What these bytes do on a real engine, in words that do not depend on whose names they use."""
    changes = route in ("tag", "remove")
    before = changes and names_of_image()
    got = direct(raw, 20 * SLOW)
    after = changes and names_of_image()
    if changes:
        restore()
    if got is None or got[0] not in (200, 201):
        return got and got[0]
    if changes:
        return sorted(plain(n) for n in after - before), sorted(plain(n) for n in before - after)
    return MEANINGS[route](got[1])


def of_save(body):
    with tarfile.open(fileobj=io.BytesIO(body)) as t:
        manifest = json.load(t.extractfile("manifest.json"))
    return sorted((m["Config"], sorted(plain(n) for n in m["RepoTags"] or [])) for m in manifest)


def of_build(body):
    lines = [json.loads(line) for line in body.split(b"\r\n") if line]
    said = "".join(line.get("stream", "") for line in lines)
    ids = [line["aux"]["ID"] for line in lines if "aux" in line] or re.findall(r"^sha256:\w+", said)  # q=1 says the latter only
    image = here["engine"].call("GET", "/images/%s/json" % ids[-1])[1] if ids else {}
    tags = sorted(plain(n) for n in image.get("RepoTags", ()))
    if ids:
        here["engine"].call("DELETE", "/images/%s?force=1" % ids[-1])
    return ids and image["Config"]["Labels"], tags, [line["error"] for line in lines if "error" in line]


MEANINGS = {
    "ping": lambda body: True,  # HEAD is asked as GET
    "version": lambda body: json.loads(body)["Version"],
    "list": lambda body: len(json.loads(body)) > 0,
    "inspect": lambda body: json.loads(body)["Id"],
    "history": lambda body: [h["CreatedBy"] for h in json.loads(body)],
    "save": of_save,
    "build": of_build,
}


# --- the tests


def setup():
    here["engine"] = Engine()
    cleanup(here["engine"].stop)
    here["engine"].start().image("busybox:1.36")
    here["dir"] = tempfile.mkdtemp(prefix="dindn.", dir="/tmp")
    cleanup(shutil.rmtree, here["dir"])
    here["recorder"] = Recorder(here["dir"] + "/engine.sock")
    cleanup(here["recorder"].listener.close)
    here["proxy"] = Proxy(here["dir"] + "/engine.sock", **{"limits.requestRate": 100000, "log.level": "info"})
    cleanup(here["proxy"].stop)
    here["proxy"].start()
    here["task"] = here["proxy"].task()
    own_image()
    everything = variants.variants()
    if os.environ.get("DIND_VARIANTS") != "all":
        everything = random.Random(1).sample(everything, COUNT // SLOW)
    here["variants"] = everything


def own_image():
    """One image: on the real engine under the host's name and the task's; the proxy learns it from a build's answer."""
    e, mapped = here["engine"], here["task"].prefix + "docker.io/library/app:1"
    here["id"] = e.call("GET", "/images/busybox:1.36/json")[1]["Id"]
    here["names"] = {"busybox:1.36", "app:1", mapped}
    restore()
    here["recorder"].say = chunked_answer(*built(here["id"], mapped))
    p = Peer(here["task"].socket)
    p.send(request("POST", "/build?t=app:1", body=context(), fields={"Connection": "close"}))
    got = p.answer(5 * SLOW, False)
    p.close()
    ok(got and b"Successfully" in got[2], "the task owns its image: %s" % (got,))
    here["recorder"].say = answer(409, {"message": "recorded"})
    here["recorder"].taken()


def judge(v):
    """Sends a variant; returns what was forwarded, or None. Fails when a rule of the normal form is broken."""
    status, body = through(v.raw)
    recorded = body_says(body, "recorded") or status == 409 and v.raw.startswith(b"HEAD")
    got = [g for g in here["recorder"].taken() if g != SWEEP or recorded and v.route == "list"][: 1 if recorded and v.route == "list" else None]
    ok(len(got) <= 1, "at most one request goes on: %s" % got)
    if recorded:
        ok(got and whole(got[0]), "an answer of the engine needs a request")
        return got[0]
    if not got:
        ok(status is None or status in REFUSALS or status == 500 and body_says(body, NO_CONTEXT), "refused: %s %s" % (status, body))
        ok(status is None or status in (200, 404) or not body or "message" in json.loads(body), "says why: %r" % body)
        return None
    if v.route == "build" and not whole(got[0]):
        return None  # the context was passed on while it came; it was never ended, so nothing was built
    raise Failed("answered %s %r, and yet the engine got %r" % (status, body[:200], got[0][:300]))


def body_says(body, word):
    return word.encode() in body


@test("one spelling passes; the others are refused without a byte for the engine")
def one_spelling():
    failures, here["forwarded"] = [], []
    for v in here["variants"]:
        try:
            forwarded = judge(v)
            if forwarded:
                split(forwarded)
                here["forwarded"].append((v, forwarded))
        except Exception as e:
            here["recorder"].taken()
            failures.append("%s\n  %r\n  %s" % (v.name, v.raw[:400], e if isinstance(e, Failed) else repr(e)))
    print("# %d variants, %d forwarded as %d requests" % (len(here["variants"]), len(here["forwarded"]), len({f for _, f in here["forwarded"]})))
    ok(not failures, "%d variants:\n%s" % (len(failures), "\n".join(failures[:40])))


@test("what is forwarded means to a real engine what the client's bytes mean to it")
def differential():
    known, failures = {}, []
    for v, forwarded in here.get("forwarded", ()):
        try:
            route, _ = split(forwarded)
            if forwarded not in known:
                known[forwarded] = meaning(route, forwarded)
            equal(known[forwarded], meaning(route, v.raw), "forwarded, and as sent")
        except Exception as e:
            failures.append("%s\n  %r\n  %r\n  %s" % (v.name, v.raw[:300], forwarded[:300], e if isinstance(e, Failed) else repr(e)))
    ok(not failures, "%d of %d:\n%s" % (len(failures), len(here["forwarded"]), "\n".join(failures[:40])))


@test("every variant of a reading route is sent to the real engine: many that are refused it would have served")
def served_directly():
    """Else the differential would show nothing. Those that write are only sent when the proxy forwards them."""
    forwarded = {v.raw for v, _ in here.get("forwarded", ())}
    served = refused = 0
    for v in here["variants"]:
        if v.raw in forwarded or v.route in ("build", "remove", "tag"):
            continue
        got = direct(v.raw, 0.3 * SLOW)
        served += got is not None and got[0] == 200
        refused += 1
    print("# of %d refused variants of reading routes, the engine itself serves %d" % (refused, served))
    ok(served > refused // 10, "the differential sees something: %d" % served)


@test("the task is served as before")
def alive():
    here["recorder"].say = answer(200, b"OK", "text/plain")
    equal(until(lambda: here["task"].call("GET", "/_ping"), "an answer")[0], 200, "ping")
    equal(here["proxy"].daemon.poll(), None, "dind-proxyd runs")


main(setup)
