"""An HTTP proxy on loopback that spoils what passes, as networks and stores do.

    with FaultProxy("127.0.0.1:9000") as p:
        p.fault("reset", r"PUT .*partNumber=2", at=100000)
        p.endpoint, p.seen

A fault hits the requests whose "METHOD target" matches, `times` times (0 = always), after leaving out the first `skip`:

    reset     the connection is reset when `at` bytes of the request's body are here
    stall     nothing more is read or said when `at` bytes of the body are here
    corrupt   one bit of byte `at` of the request's body is flipped
    status    `status` and `code` are answered, nothing is passed on; early=True: before the body is read
    error200  status 200 and an <Error> with `code` are answered, nothing is passed on
    redirect  a 307 to `location`
    drop      the request is passed on; its answer is lost, the connection closed
    hang      the request is passed on; its answer never comes
    cut       the answer's body ends `at` bytes early: the connection is closed after them
    damage    one bit of byte `at` of the answer's body is flipped
    slow      the request's body is taken at `rate` bytes a second
"""
import re
import socket
import struct
import threading
import time

PIECE = 64 * 1024


class Fault:
    def __init__(self, kind, match, at=0, times=1, skip=0, status=503, code="SlowDown", early=False, location="", rate=0, headers=()):
        self.kind, self.match, self.at, self.times, self.skip = kind, re.compile(match), at, times, skip
        self.status, self.code, self.early, self.location, self.rate, self.headers = status, code, early, location, rate, headers
        self.hits = 0


class Gone(Exception):
    """The connection is over."""


class Head:
    def __init__(self, data):
        self.raw = data
        lines = data.decode("latin-1").split("\r\n")
        self.first = lines[0]
        self.fields = {n.strip().lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:] if line)}

    @property
    def length(self):
        return int(self.fields.get("content-length", "0"))


class Stream:
    def __init__(self, sock):
        self.sock, self.held = sock, b""

    def head(self):
        while b"\r\n\r\n" not in self.held:
            self.held += self.more()
        data, _, self.held = self.held.partition(b"\r\n\r\n")
        return Head(data + b"\r\n\r\n")

    def more(self):
        data = self.sock.recv(PIECE)
        if not data:
            raise Gone()
        return data

    def body(self, length):
        """Pieces of a body of that length."""
        while length > 0:
            data = self.held or self.more()
            self.held = data[length:]
            yield data[:length]
            length -= len(data[:length])

    def chunked(self):
        """Pieces of a chunked body, framing and all."""
        while True:
            while b"\r\n" not in self.held:
                self.held += self.more()
            line, _, self.held = self.held.partition(b"\r\n")
            size = int(line.split(b";")[0], 16)
            yield line + b"\r\n"
            yield from self.body(size + 2)
            if size == 0:
                return


class FaultProxy:
    def __init__(self, target):
        host, _, port = target.replace("http://", "").partition(":")
        self.target = (host, int(port))
        self.faults, self.seen, self.lock = [], [], threading.Lock()
        self.stopping = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.endpoint = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def fault(self, kind, match, **more):
        one = Fault(kind, match, **more)
        self.faults.append(one)
        return one

    def count(self, match):
        with self.lock:
            return sum(1 for what in self.seen if re.search(match, what))

    def _accept(self):
        while not self.stopping.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        client, server = Stream(sock), None
        try:
            while True:
                head = client.head()
                if server is None:
                    server = Stream(socket.create_connection(self.target))
                self._exchange(client, server, head)
        except (OSError, Gone):
            pass
        finally:
            sock.close()
            if server is not None:
                server.sock.close()

    def _choose(self, what):
        with self.lock:
            self.seen.append(what)
            for f in self.faults:
                if f.match.search(what):
                    f.hits += 1
                    if f.hits > f.skip and (f.times == 0 or f.hits <= f.skip + f.times):
                        return f
        return Fault("", "")

    def _exchange(self, client, server, head):
        f = self._choose(" ".join(head.first.split(" ")[:2]))
        if f.kind in ("status", "error200", "redirect"):
            self._answer(client, head, f)
            return
        server.sock.sendall(head.raw)
        self._pass_body(client, server, head.length, f)
        answer = server.head()
        while re.match(r"(?!HTTP/)|HTTP/1.1 1", answer.first):  # Swift sends more behind its 100 than it should
            answer = server.head()
        if f.kind == "drop":
            for _ in self._answer_body(server, head, answer):
                pass
            raise Gone()
        if f.kind == "hang":
            self._hold()
        client.sock.sendall(answer.raw)
        at = 0
        for data in self._answer_body(server, head, answer):
            if f.kind == "cut" and at + len(data) > f.at:
                client.sock.sendall(data[: f.at - at])
                raise Gone()
            if f.kind == "damage" and at <= f.at < at + len(data):
                data = self._flip(data, f.at - at)
            client.sock.sendall(data)
            at += len(data)

    def _answer_body(self, server, head, answer):
        if head.first.startswith("HEAD ") or answer.first.split(" ")[1] in ("204", "304"):
            return ()
        if answer.fields.get("transfer-encoding", "").lower() == "chunked":
            return server.chunked()
        return server.body(answer.length)

    @staticmethod
    def _flip(data, at):
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    def _hold(self):
        self.stopping.wait()
        raise Gone()

    def _pass_body(self, client, server, length, f):
        at = 0
        for data in client.body(length):
            if f.kind in ("reset", "stall") and at + len(data) > f.at:
                server.sock.close()
                if f.kind == "stall":
                    self._hold()
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raise Gone()
            if f.kind == "corrupt" and at <= f.at < at + len(data):
                data = self._flip(data, f.at - at)
            server.sock.sendall(data)
            at += len(data)
            if f.kind == "slow":
                time.sleep(len(data) / f.rate)

    def _answer(self, client, head, f):
        if not f.early:
            for _ in client.body(head.length):
                pass
        status, code, extra = f.status, f.code, list(f.headers)
        if f.kind == "error200":
            status = 200
        if f.kind == "redirect":
            status, code = 307, "TemporaryRedirect"
            extra.append("Location: " + f.location)
        text = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>%s</Code><Message>made up</Message><RequestId>r-1</RequestId></Error>' % code
        body = b"" if head.first.startswith("HEAD ") else text.encode()
        lines = ["HTTP/1.1 %d Made-Up" % status, "Content-Type: application/xml", "Content-Length: %d" % len(text), *extra, "", ""]
        client.sock.sendall("\r\n".join(lines).encode() + body)
        if f.early:
            raise Gone()
