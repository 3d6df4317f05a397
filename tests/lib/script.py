"""A scripted client and a scripted engine around the real dind-proxyd, for behaviour that depends on exact bytes.

    @wire("an early answer survives the upload")
    def early_answer(rig):
        c = rig.client()                    # a connection to the task's socket
        c.send(request("GET", "/v1.41/images/json"))
        e = rig.engine.expect("GET", "/images/json")    # the engine's side: head is read
        e.send(answer(200, b"[]"))
        equal(c.answer().status, 200)

Each such test runs three times: at once, one byte at a time (each is taken by the peer before the next goes out) and
with the smallest socket buffers. The engine answers pings, versions and look-ups of base images by itself.
"""
import fcntl
import hashlib
import io
import json
import os
import queue
import re
import select
import shutil
import socket
import struct
import tarfile
import tempfile
import termios
import threading
import time

from proxy import SLOW, Proxy
from tap import Failed, cleanup, ok, test, until

WAIT = 10 * SLOW  # seconds for anything that must happen
SINGLE = 1500  # bytes that go out one by one at each end of a message; the middle of a long one says nothing new
PACES = ("at once", "byte by byte", "tiny buffers")


class Message:
    """A head and a body as they came; complete says that the framing was kept to its end."""

    def __init__(self, first, fields, raw):
        self.first, self.fields, self.raw = first, fields, raw
        self.body, self.complete = b"", False

    @property
    def status(self):
        return int(self.first.split(" ")[1])

    @property
    def method(self):
        return self.first.split(" ")[0]

    @property
    def target(self):
        return self.first.split(" ")[1]

    def all(self, name):
        return [v for k, v in self.fields if k.lower() == name]

    def get(self, name):
        return (self.all(name) or [""])[0]

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")


class Wire:
    """One end of a connection. What is sent goes out in the background and in order, so that a script may send on
    both ends of a pipe that is full; sent() waits for it."""

    def __init__(self, sock, pace="at once"):
        self.s, self.pace, self.buffer, self.eof = sock, pace, b"", False
        self.out, self.sender, self.broken = queue.Queue(), None, False
        if pace == "tiny buffers":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)

    # --- out

    def send(self, data):
        self._do(self._send, data)

    def half_close(self):
        self._do(self.s.shutdown, socket.SHUT_WR)

    def close(self):
        """After all that was sent."""
        self._do(self.s.close)

    def drop(self):
        """At once, whatever is under way."""
        self.broken = True
        try:
            self.s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.s.close()

    def sent(self, seconds=None):
        """Waits until all is out; False when the peer no longer takes it."""
        done = threading.Event()
        self._do(done.set)
        ok(done.wait(seconds or 3 * WAIT), "the peer takes what is sent")
        return not self.broken

    def _do(self, function, *args):
        self.out.put((function, args))
        if self.sender is None:
            self.sender = threading.Thread(target=self._work, daemon=True)
            self.sender.start()

    def _work(self):
        while True:
            function, args = self.out.get()
            try:
                function(*args)
            except (OSError, ValueError):  # ValueError: closed here meanwhile
                self.broken = True

    def _send(self, data):
        if self.broken:
            return
        if self.pace == "byte by byte":
            self._send_single(data[:SINGLE])
            self.s.sendall(data[SINGLE:-SINGLE])
            data = data[SINGLE:][-SINGLE:]
            self._send_single(data)
        else:
            self.s.sendall(data)

    def _send_single(self, data):
        for n in range(len(data)):
            self.s.sendall(data[n : n + 1])
            self._taken()

    def _taken(self):
        """Waits until the peer has read what was sent; not for long: it may have no reason to read now."""
        end = time.monotonic() + 0.02
        while self._unread() and time.monotonic() < end:
            os.sched_yield()

    def _unread(self):
        """What the peer has not read yet, in the kernel's measure."""
        return struct.unpack("i", fcntl.ioctl(self.s, termios.TIOCOUTQ, b"\0\0\0\0"))[0]

    def held_up(self, seconds=0.3):
        """The peer takes nothing for a while, though there is something."""
        before = self._unread()
        time.sleep(seconds)  # an absence has no event
        return before > 0 and self._unread() == before

    # --- in

    def fill(self, seconds=WAIT):
        """Reads once more into the buffer; False at the end (a reset is an end)."""
        if self.eof:
            return False
        if not select.select([self.s], [], [], seconds)[0]:
            raise Failed("nothing came within %g s; so far: %r" % (seconds, self.buffer[-300:]))
        try:
            data = self.s.recv(262144)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        self.eof = not data
        return bool(data)

    def quiet(self, seconds=0.2):
        """Nothing comes, not even the end, in a while: what must not happen has no event to wait for."""
        return not self.buffer and not self.eof and not select.select([self.s], [], [], seconds)[0]

    def ended(self, seconds=WAIT):
        """Waits for the end of the stream; returns what came before it."""
        while self.fill(seconds):
            pass
        return self.buffer

    def head(self):
        """The next head, or None at the end of the stream."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill():
                if self.buffer:
                    raise Failed("the stream ends in a head: %r" % self.buffer[-300:])
                return None
        raw, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").split("\r\n")
        fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines]
        ok(all(len(f) == 2 for f in fields), "every line of the head is a field: %r" % raw)
        return Message(first, fields, raw)

    def body(self, message, bodyless=False):
        """Reads the message's body by its framing; without any: until the end for answers."""
        if bodyless:
            message.complete = True
        elif message.get("transfer-encoding").lower() == "chunked":
            self._chunks(message)
        elif message.get("content-length"):
            self._counted(message, int(message.get("content-length")))
        elif message.first.startswith("HTTP/"):
            message.body, message.complete = self.ended(), True
            self.buffer = b""
        else:
            message.complete = True
        return message

    def _counted(self, message, count):
        while len(self.buffer) < count and self.fill():
            pass
        message.body, self.buffer = self.buffer[:count], self.buffer[count:]
        message.complete = len(message.body) == count

    def _chunks(self, message):
        parts = []
        while not message.complete:
            line = self._line()
            if line is None:
                break
            ok(re.fullmatch(rb"[0-9a-fA-F]+", line), "a chunk starts with its size: %r" % line)
            size = int(line, 16)
            while len(self.buffer) < size + 2 and self.fill():
                pass
            parts.append(self.buffer[:size])
            if len(self.buffer) < size + 2:
                break
            ok(self.buffer[size : size + 2] == b"\r\n", "a chunk ends with CRLF")
            self.buffer = self.buffer[size + 2 :]
            message.complete = size == 0
        message.body = b"".join(parts)

    def _line(self):
        while b"\r\n" not in self.buffer:
            if not self.fill():
                return None
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def answer(self, to="GET", skip_100=True):
        """The next answer as a client reads it; None when the stream ends instead."""
        message = self.head()
        while message and skip_100 and message.status == 100:
            message = self.head()
        if message:
            ok(re.fullmatch(r"HTTP/1\.[01] \d{3} [ -~]+", message.first), "a status line: %r" % message.first)
            self.body(message, bodyless=to == "HEAD" or message.status in (100, 204, 304))
        return message


class EngineConnection(Wire):
    """A connection that dind-proxyd made to the engine; request is its head."""

    request = None

    def read(self):
        return self.body(self.request)


class ScriptedEngine:
    """Listens as the engine; hands out connections whose head has been read, in the order in which they came."""

    VERSION = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64"}
    BASES = ("debian:12", "busybox:1.36")

    def __init__(self, path, pace="at once"):
        self.path, self.pace = path, pace
        self.seen = []  # first lines of all requests
        self.connections = queue.Queue()
        self.open = set()
        self.proxy = None  # whose end ends the waiting
        self.handlers = []  # (method, regex of the path without version, function(connection))
        self.listen()

    def listen(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o666)
        self.listener.listen(64)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def vanish(self):
        """No engine any more: connects are refused."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        os.unlink(self.path)

    def close(self):
        if os.path.exists(self.path):
            self.vanish()
        for c in list(self.open):
            c.drop()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        c = EngineConnection(sock, self.pace)
        self.open.add(c)
        try:
            c.request = c.head()
        except (Failed, OSError):
            return
        if c.request is None:
            return
        self.seen.append(c.request.first)
        path = re.sub(r"^/v1\.\d+", "", c.request.target.partition("?")[0])
        for method, pattern, function in self.handlers:
            if method == c.request.method and re.fullmatch(pattern, path):
                return function(c)
        if not self._answer_alone(c, path):
            self.connections.put((path, c))

    def _answer_alone(self, c, path):
        method = c.request.method
        if path == "/_ping" and method in ("GET", "HEAD"):
            body = b"" if method == "HEAD" else b"OK"
            c.send(answer(200, body, "text/plain; charset=utf-8", {"Api-Version": "1.41", "Ostype": "linux"}))
        elif path == "/version":
            c.send(answer(200, self.VERSION))
        elif any(path in ("/images/%s/json" % n, "/images/docker.io/library/%s/json" % n) for n in self.BASES):
            c.send(answer(200, {"Id": "sha256:" + "b" * 64, "RepoTags": [], "Config": {}, "RootFS": {}}))
        else:
            return False
        c.close()
        return True

    def expect(self, method, path):
        """The next connection, which must be for this method and path (without version and query)."""
        text = "the engine is asked for %s %s; it saw %s" % (method, path, self.seen)
        got, c = until(self._next, text, WAIT)
        while got == "/images/json" and c.request.target.endswith("?all=1") and not re.fullmatch(path, got):
            c.send(answer(200, []))  # the proxy counts what images take, some seconds after a build
            c.close()
            got, c = until(self._next, text, WAIT)
        ok(c.request.method == method and re.fullmatch(path, got), "%s %s is %s" % (method, path, c.request.first))
        return c

    def _next(self):
        try:
            return self.connections.get(timeout=0.2)
        except queue.Empty:
            ok(self.proxy is None or self.proxy.daemon.poll() is None, "dind-proxyd has ended")
            return None

    def untouched(self):
        """No request came but those that the proxy makes for itself."""
        own = re.compile(r"(GET|HEAD) (/v1\.\d+)?(/_ping|/version)(\?| )")
        others = [line for line in self.seen if not own.match(line)]
        ok(not others, "nothing reaches the engine, but this did: %s" % others)


class Rig:
    """dind-proxyd with a scripted engine and one task."""

    def __init__(self, pace="at once", **settings):
        self.pace = pace
        self.dir = tempfile.mkdtemp(prefix="dindw.", dir="/tmp")
        cleanup(shutil.rmtree, self.dir)
        self.engine = ScriptedEngine(os.path.join(self.dir, "engine.sock"), pace)
        cleanup(self.engine.close)
        self.proxy = Proxy(self.engine.path, **settings)
        cleanup(self.proxy.stop)
        self.engine.proxy = self.proxy.start()
        self.task = self.proxy.task()

    def client(self):
        s = socket.socket(socket.AF_UNIX)
        s.connect(self.task.socket)
        c = Wire(s, self.pace)
        cleanup(c.drop)
        return c

    def ask(self, *words, **more):
        """Starts one request on a connection of its own."""
        c = self.client()
        c.send(request(*words, **more))
        return c

    def build(self, name, image_id):
        """The task builds an image; the engine says that it has this id."""
        c = self.ask("POST", "/v1.41/build?t=" + name, body=context())
        e = self.engine.expect("POST", "/build")
        e.read()
        e.send(chunked_answer(*built(image_id, self.task.prefix + "docker.io/library/" + name)))
        e.close()
        reply = c.answer()
        ok(reply.status == 200 and reply.complete, "the build succeeds: %s %s" % (reply.first, reply.text))
        c.close()
        return image_id

    def alive(self):
        """The proxy still serves this task."""
        c = self.ask("GET", "/_ping")
        ok(c.answer().body == b"OK", "the task is still served")


def wire(name, **settings):
    """A test of function(rig), once for each pace."""

    def keep(function):
        for pace in PACES:
            test("%s (%s)" % (name, pace))(lambda pace=pace: function(Rig(pace, **settings)))
        return function

    return keep


# --- bytes


def request(method, target, body=None, chunked=False, fields=None, version="HTTP/1.1"):
    head = {"Host": "docker"}
    if body is not None:
        head["Content-Type"] = "application/x-tar"
        head.update({"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(body))})
    head.update(fields or {})
    lines = "".join("%s: %s\r\n" % pair for pair in head.items())
    return ("%s %s %s\r\n%s\r\n" % (method, target, version, lines)).encode() + (
        b"" if body is None else chunks(body) if chunked else body
    )


def chunks(data, size=32768, end=True):
    parts = [data[n : n + size] for n in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + (b"0\r\n\r\n" if end else b"")


def answer(status, body=b"", kind="application/json", fields=None):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode() + b"\n"
    head = {"Content-Type": kind, "Content-Length": str(len(body)), **(fields or {})}
    lines = "".join("%s: %s\r\n" % pair for pair in head.items())
    return ("HTTP/1.1 %d %s\r\n%s\r\n" % (status, REASONS.get(status, "Whatever"), lines)).encode() + body


REASONS = {200: "OK", 201: "Created", 404: "Not Found", 500: "Internal Server Error", 101: "Switching Protocols"}


def chunked_answer(*parts, kind="application/json", end=True):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n" % kind.encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + (b"0\r\n\r\n" if end else b"")


def line(**record):
    """A line of build output."""
    return json.dumps(record).encode() + b"\r\n"


def built(image_id, name):
    """The lines with which a classic build ends."""
    return (
        line(stream="Step 1/1 : FROM scratch"),
        line(aux={"ID": image_id}),
        line(stream="Successfully built %s\n" % image_id[7:19]),
        line(stream="Successfully tagged %s\n" % name),
    )


def context(dockerfile="FROM scratch\nCOPY f /f\n", dockerfile_last=False, **files):
    """A build context as tar; files: name=content (default one file f)."""
    entries = list((files or {"f": b"x"}).items())
    entries.insert(len(entries) if dockerfile_last else 0, ("Dockerfile", dockerfile.encode()))
    return pack(entries)


def pack(entries):
    """A tar of (name, bytes)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def saved(name, size):
    """An image as engine 20.10 saves it, with one layer of about this size: (its id, the tarball)."""
    layer = pack([("big", b"x" * size)])
    rootfs = {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    digest, directory = hashlib.sha256(config).hexdigest(), "1" * 64
    manifest = [{"Config": digest + ".json", "RepoTags": [name], "Layers": [directory + "/layer.tar"]}]
    entries = [(directory + "/VERSION", b"1.0"), (directory + "/json", b"{}"), (directory + "/layer.tar", layer)]
    entries += [(digest + ".json", config), ("manifest.json", json.dumps(manifest).encode())]
    return "sha256:" + digest, pack(entries)


def unpack(tar):
    """{name: bytes} of a tar's regular files."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as t:
        return {m.name: t.extractfile(m).read() for m in t if m.isfile()}


def image_id(letter):
    return "sha256:" + letter * 64
