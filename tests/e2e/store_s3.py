"""dind-uploader and S3: a real radosgw, with a proxy between them that spoils what passes.

What is put is read back and compared; after every test the bucket has no multipart upload that is open, and no log,
result or journal has the secret.
"""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import glob
import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from email.utils import formatdate

from fault import FaultProxy
from proxy import BUILD, SANITIZED, SLOW
from rgw import Radosgw
from spooled import make_dirs, record_of, seal
from tap import Skip, cleanup, contains, equal, lacks, main, ok, test, until

NAME = "public/image.tar.zst"
MIB = 1024 * 1024
BIG = os.urandom(28 * MIB + 12345)  # four parts
SMALL = BIG[:100000]
PART = "^PUT .*partNumber="
OBJECT = r"^PUT /[^?]*\.zst$"
RECORD = r"^PUT /[^?]*\.json$"
COMPLETE = r"^POST .*[?&]uploadId="
CREATE = r"^POST .*[?&]uploads="
here = {}
numbers = itertools.count(1)


class Host:
    """A worker's spool, a bucket, and the uploader between them."""

    def __init__(self, proxied=True, bucket=True, endpoint=None, **more):
        self.dir = tempfile.mkdtemp(prefix="dind-s3.")
        self.spool, self.log = self.dir + "/spool", self.dir + "/uploader.log"
        self.process, self.leftovers = None, False
        self.bucket = "b%d-%d" % (os.getpid(), next(numbers))
        if bucket:
            here["s3"].bucket(self.bucket)
        self.proxy = FaultProxy(here["s3"].endpoint) if proxied else None
        make_dirs(self.spool)
        os.mkdir(self.dir + "/keys", 0o700)
        self.keys()
        s3 = {
            "endpoint": endpoint or (self.proxy.endpoint if proxied else here["s3"].endpoint),
            "bucket": self.bucket,
            "prefix": "dind/",
            "credentials": self.dir + "/keys/s3.json",
            **more,
        }
        config = {
            "stateDir": self.dir + "/state",
            "spool": {"dir": self.spool},
            "store": {"type": "s3", "dir": self.dir + "/store", "s3": s3},
            "log": {"level": "debug"},
        }
        with open(self.dir + "/config.json", "w") as f:
            json.dump(config, f)
        cleanup(self.stop)

    def keys(self, access=None, secret=None, mode=0o600):
        path = self.dir + "/keys/s3.json"
        with open(path + ".new", "w") as f:
            json.dump({"accessKeyId": access or here["s3"].access, "secretAccessKey": secret or here["s3"].secret}, f)
        os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)

    # --- as dind-image export does

    def seal(self, data=BIG, task="Task_%d", run=0, name=NAME, expires=None, lie=None):
        task = task % next(numbers) if "%d" in task else task
        record = record_of(task, name, data, run, expires=expires)
        spooled = seal(self.spool, record, lie or data)
        return Artifact(self, spooled, "dind/%s/%d/%s" % (task, run, name), data, record)

    # --- the uploader

    def start(self):
        reports = "log_path=%s/report:exitcode=99:abort_on_error=0" % self.dir
        env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        env.update(ASAN_OPTIONS=reports, UBSAN_OPTIONS=reports + ":print_stacktrace=1")
        with open(self.log, "ab") as log:
            words = [os.path.join(BUILD, "dind-uploader"), "--config", self.dir + "/config.json"]
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)

    def crash(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def asked(self):
        """Requests for artifacts: without those of the housekeeping."""
        return [what for what in self.proxy.seen if "max-uploads=" not in what]

    def peak(self):
        """MiB that it had at most."""
        with open("/proc/%d/status" % self.process.pid) as f:
            return int(re.search(r"VmHWM:\s*(\d+)", f.read()).group(1)) // 1024

    def stop(self):
        try:
            if self.process is not None and self.process.poll() is None:
                with open("/proc/%d/cmdline" % self.process.pid) as f:
                    lacks(f.read(), here["s3"].secret)
                self.process.terminate()
                equal(self.process.wait(20 * SLOW), 0, "exit status of dind-uploader")
            reports = [open(p).read() for p in glob.glob(self.dir + "/report*")]
            ok(not reports, "\n".join(reports))
            for path in [self.log, *(p for p in glob.glob(self.spool + "/*/*/*") if not p.endswith("/data"))]:
                if os.path.exists(path):
                    lacks(open(path, errors="replace").read(), here["s3"].secret, "Signature=")
            if not self.leftovers:
                equal(here["s3"].uploads(self.bucket), [], "multipart uploads that are open")
        finally:
            if self.proxy:
                self.proxy.stop()
            subprocess.call(["rm", "-rf", self.dir])

    def said(self):
        return open(self.log, errors="replace").read()


class Artifact:
    def __init__(self, host, spooled, key, data, record):
        self.host, self.spooled, self.key, self.data, self.record = host, spooled, key, data, record

    def path(self, state, file):
        return os.path.join(self.host.spool, state, self.spooled, file)

    def state(self):
        return next((s for s in ("done", "failed", "uploading", "ready") if os.path.isdir(self.path(s, ""))), "gone")

    def ended(self, seconds=60):
        state = until(lambda: self.state() in ("done", "failed") and self.state(), "the artifact ends\n" + self.host.said(), seconds * SLOW)
        return state, json.load(open(self.path(state, "result.json")))

    def journal(self):
        try:
            return [json.loads(line) for line in open(self.path("uploading", "journal"))]
        except OSError:
            return []

    def done(self, seconds=60):
        """It is done, and the bucket has its bytes and its record."""
        state, result = self.ended(seconds)
        ok(state == "done", "the artifact is %s: %s\n%s" % (state, result, self.host.said()))
        s3, bucket = here["s3"], self.host.bucket
        equal(result["url"], "s3://%s/%s" % (bucket, self.key))
        status, headers, body = s3.request("GET", "/%s/%s" % (bucket, self.key))
        equal((status, headers.get("x-amz-meta-sha256"), headers.get("content-type")), (200, self.record["sha256"], "application/zstd"))
        ok(body == self.data, "the bucket has other bytes")
        stored = json.loads(s3.request("GET", "/%s/%s.json" % (bucket, self.key))[2])
        equal({k: v for k, v in stored.items() if k != "stored"}, self.record, "the record")
        equal(os.listdir(self.path("done", "")).count("journal"), 0, "journals left")
        return result

    def failed(self, *texts, seconds=60):
        state, result = self.ended(seconds)
        ok(state == "failed", "the artifact is %s" % state)
        contains(result["error"], *texts)
        return result


def through(data=BIG, **faults):
    """An artifact through the uploader, with faults: {kind: (match, options)}"""
    host = Host()
    for kind, (match, options) in faults.items():
        host.proxy.fault(kind, match, **options)
    artifact = host.seal(data)
    host.start()
    return host, artifact


# --- what it does when all is well


@test("a small image is one PUT, then its record; in a few megabytes of memory")
def small():
    host, artifact = through(SMALL)
    artifact.done()
    equal([re.sub(r" /\S*?(\.json)?$", r" \1", what) for what in host.asked()], ["GET .json", "HEAD ", "PUT ", "HEAD ", "PUT .json"])
    ok(SANITIZED or host.peak() <= 32, "%d MiB" % host.peak())


@test("a large one is a multipart upload of 8 MiB parts; memory stays as it is")
def large():
    host, artifact = through(BIG * 8)
    artifact.done()
    equal((host.proxy.count(PART), host.proxy.count(CREATE), host.proxy.count(COMPLETE)), (29, 1, 1))
    ok(SANITIZED or host.peak() <= 32, "%d MiB" % host.peak())


@test("exactly 8 MiB, and one byte more")
def boundary():
    for size, puts, parts in ((8 * MIB, 1, 0), (8 * MIB + 1, 0, 2)):
        host, artifact = through(BIG[:size])
        artifact.done()
        equal((host.proxy.count(OBJECT), host.proxy.count(PART)), (puts, parts), "requests for %d bytes" % size)


@test("names that need escaping; no prefix")
def names():
    host = Host(prefix="")
    artifacts = [host.seal(SMALL, name=n) for n in ("public/a b+c@d=e,f;(g)'h!*~&$.tar", "p/%41#?x:y[z].tar.gz", 'q/<"&>.tar')]
    for a in artifacts:
        a.key = a.key.replace("dind/", "", 1)
    host.start()
    for a in artifacts:
        state, result = a.ended()
        ok(state == "done", str(result))
        equal(here["s3"].request("GET", "/%s/%s" % (host.bucket, a.key))[2] == SMALL, True, "bytes of " + a.key)


@test("a name instead of an address; the bucket in the host's name")
def by_name():
    for path_style in (True, False):
        host = Host(proxied=False, endpoint=here["s3"].endpoint.replace("127.0.0.1", "localhost"), pathStyle=path_style)
        artifact = host.seal(BIG)
        host.start()
        artifact.done()
        ok(SANITIZED or host.peak() <= 32, "%d MiB" % host.peak())


@test("many at once")
def many():
    host = Host()
    artifacts = [host.seal(BIG[i : i + 9 * MIB]) for i in range(8)]
    host.start()
    for a in artifacts:
        a.done()
    ok(SANITIZED or host.peak() <= 32, "%d MiB" % host.peak())


@test("progress is told while parts go")
def progress():
    host, artifact = through(slow=(PART, {"rate": 4 * MIB, "times": 0}))

    def seen():
        try:
            return json.load(open(artifact.path("uploading", "progress.json")))
        except OSError:
            return {"done": 0}

    first = until(lambda: 0 < seen()["done"] < len(BIG) and seen(), "some progress", 30, 0.005)
    equal(first["total"], len(BIG))
    artifact.done()


# --- the same and other content


@test("the same content again is done at once; other content is refused and changes nothing")
def again():
    host, first = through()
    first.done()
    sent = host.proxy.count(PART)
    task = first.key.split("/")[1]
    subprocess.check_call(["rm", "-r", first.path("done", "")])
    host.seal(BIG, task=task).done()
    equal(host.proxy.count(PART), sent, "parts sent")
    subprocess.check_call(["rm", "-r", first.path("done", "")])
    other = host.seal(SMALL, task=task)
    other.failed("the store has another 'public/image.tar.zst' of task %s already" % task)
    subprocess.check_call(["rm", "-r", first.path("failed", "")])
    equal(here["s3"].request("HEAD", "/%s/%s" % (host.bucket, first.key))[1]["x-amz-meta-sha256"], first.record["sha256"])


@test("an object without a record is of a put that died: the same is kept, another is replaced")
def no_record():
    for before, puts in ((SMALL, 0), (b"other", 1)):
        host = Host()
        artifact = host.seal(SMALL)
        sha256 = hashlib.sha256(before).hexdigest()
        here["s3"].request("PUT", "/%s/%s" % (host.bucket, artifact.key), body=before, x_amz_meta_sha256=sha256, content_type="application/zstd")
        host.start()
        artifact.done()
        equal(host.proxy.count(OBJECT), puts, "PUTs")


@test("a record that has expired, or is damaged, is replaced")
def replaced():
    for text in (b"{", b"[]", None):
        host = Host()
        artifact = host.seal(SMALL)
        old = json.dumps(dict(artifact.record, sha256="0" * 64, expires="2020-01-01T00:00:00Z")).encode()
        here["s3"].request("PUT", "/%s/%s.json" % (host.bucket, artifact.key), body=text or old)
        host.start()
        artifact.done()


@test("a record that appears meanwhile: the same is fine")
def race():
    host, artifact = through(SMALL, drop=(RECORD, {}))
    artifact.done()
    equal(host.proxy.count(RECORD), 2, "tries; the second met the first's with 412")


@test("what changed in the spool never becomes visible")
def damaged():
    host = Host()
    for data in (SMALL, BIG):
        lie = data[:-1] + bytes([data[-1] ^ 1])
        artifact = host.seal(data, lie=lie)
        if host.process is None:
            host.start()
        artifact.failed("damaged in the spool")
    equal(here["s3"].keys(host.bucket), [], "objects")


# --- faults on the way


def survives(title, kind, match, data=BIG, tries=None, **options):
    @test("survives: " + title)
    def fault():
        host = Host()
        f = host.proxy.fault(kind, match, **options)
        artifact = host.seal(data)
        host.start()
        artifact.done(120)
        ok(f.hits > f.skip, "the fault was met")
        if tries is not None:
            equal(host.proxy.count(match), tries, "requests")


survives("a part that is reset", "reset", PART + "2", at=3 * MIB, tries=2)
survives("a part that is reset three times", "reset", PART + "2", at=3 * MIB, times=3, tries=4)
survives("a PUT that is reset", "reset", OBJECT, SMALL, at=5000, tries=2)
survives("a part that is refused with 503", "status", PART + "1", times=3, tries=4)
survives("a part that is refused with 503 before it was sent", "status", PART + "1", early=True, tries=2)
survives("a part that is refused with 500", "status", PART + "3", status=500, code="InternalError", tries=2)
survives("a part that is refused with 400 RequestTimeout", "status", PART + "4", status=400, code="RequestTimeout", tries=2)
survives("a proxy's 502 without XML", "status", "^HEAD", status=502, code="", tries=3)
survives("a 429 with Retry-After", "status", PART + "1", status=429, code="", headers=("Retry-After: 1",), tries=2)
survives("a part whose byte is flipped", "corrupt", PART + "2", at=MIB, tries=2)
survives("a PUT whose byte is flipped", "corrupt", OBJECT, SMALL, at=77, tries=2)
survives("the lost answer to a part", "drop", PART + "2", tries=2)
survives("the lost answer to a PUT", "drop", OBJECT, SMALL, tries=2)
survives("the lost answer to CreateMultipartUpload: the first one is aborted", "drop", CREATE, tries=2)
survives("the lost answer to Complete", "drop", COMPLETE)
survives("Complete answered 200 with an error", "error200", COMPLETE, code="InternalError", tries=2)
survives("Complete answered 500", "status", COMPLETE, status=500, code="InternalError", tries=2)
survives("an upload that the store forgot, at a part", "status", PART + "3", status=404, code="NoSuchUpload")
survives("a part that Complete does not find", "status", COMPLETE, status=400, code="InvalidPart")
survives("an answer that is cut", "cut", CREATE, at=50, tries=2)
survives("a record whose answer is cut", "cut", r"^GET .*\.json", SMALL, at=10)
survives("a connection that is slow", "slow", PART + "1", rate=4 * MIB, tries=1)


@test("survives: a part that stalls, one that is never answered (their times pass, about a minute)")
def stalls():
    host, artifact = through(stall=(PART + "1", {"at": MIB}), hang=(PART + "2", {}))
    artifact.done(150)
    equal((host.proxy.count(PART + "1"), host.proxy.count(PART + "2")), (2, 2))
    contains(host.said(), "it takes less than 1 KiB/s for 30 s", "no answer for 60 s")


@test("survives: a clock that is wrong is taken from the store")
def skew():
    wrong = "Date: " + formatdate(time.time() + 1200, usegmt=True)
    host, artifact = through(SMALL, status=(r"^GET .*\.json", {"status": 403, "code": "RequestTimeTooSkewed", "headers": (wrong,)}))
    artifact.done()
    contains(host.said(), "requests are signed by the store's")  # once to +20 minutes, and back
    equal(host.proxy.count(r"^GET .*\.json"), 3, "the lie, the refusal, the right one")


@test("survives: new credentials in the file when the old ones are refused")
def rotated():
    host = Host()
    host.keys(secret="not-the-secret")
    artifact = host.seal(SMALL)
    host.start()
    artifact.failed("SignatureDoesNotMatch")
    host.keys()
    host.seal(SMALL).done()  # read anew when the store refused
    contains(host.said(), "other credentials were read from")


@test("survives: the store is away for a while")
def away():
    host = Host()
    artifact = host.seal()
    host.proxy.fault("status", ".", times=6, status=503, early=True)
    host.start()
    artifact.done(120)


@test("a redirect is not followed")
def redirect():
    trap = FaultProxy(here["s3"].endpoint)
    cleanup(trap.stop)
    host, artifact = through(SMALL, redirect=("^PUT", {"location": trap.endpoint + "/x", "times": 0}))
    artifact.failed("status 307", "a redirect is not followed")
    equal(trap.seen, [], "requests at the other place")


# --- what is wrong for good


@test("wrong secret: the error says what to look at")
def wrong_secret():
    host = Host()
    host.keys(secret="not-the-secret")
    artifact = host.seal(BIG)
    host.start()
    result = artifact.failed("403", "SignatureDoesNotMatch", "secretAccessKey")
    lacks(result["error"], "not-the-secret")
    equal((result["fault"], len(host.asked())), ("worker", 1), "no blind try")


@test("wrong key id: the error says what to look at")
def wrong_id():
    host = Host()
    host.keys(access="NOBODY")
    artifact = host.seal(SMALL)
    host.start()
    artifact.failed("403", "InvalidAccessKeyId", "accessKeyId")
    equal(len(host.asked()), 1, "no blind try")


@test("no such bucket: the error says what to look at")
def no_bucket():
    host = Host(bucket=False)
    artifact = host.seal(BIG)
    host.start()
    artifact.failed("404", "NoSuchBucket", "store.s3.bucket")
    equal(len(host.asked()), 1, "no blind try")


@test("a failure for good aborts the multipart upload")
def aborted():
    host, artifact = through(status=(PART + "3", {"status": 403, "code": "AccessDenied", "times": 0}))
    artifact.failed("(part 3): status 403 AccessDenied", "may not do this")
    equal((host.proxy.count("^DELETE"), here["s3"].keys(host.bucket)), (1, []))


@test("nobody listens: tried with pauses, then failed")
def nobody():
    host = Host(proxied=False, endpoint="http://127.0.0.1:1")
    artifact = host.seal(SMALL)
    host.start()
    until(lambda: "try 3 of 8" in host.said(), "some tries", 30)
    equal(artifact.state(), "uploading")
    contains(host.said(), "cannot reach 127.0.0.1:1")


@test("a certificate that nobody vouches for: refused, nothing is sent")
def untrusted():
    if not shutil.which("openssl"):
        raise Skip("needs the openssl program")
    place = tempfile.mkdtemp(prefix="dind-tls.")
    cleanup(subprocess.call, ["rm", "-rf", place])
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", place + "/key", "-out", place + "/cert"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place + "/cert", place + "/key")
    listener = socket.create_server(("127.0.0.1", 0))
    cleanup(listener.close)
    got = []

    def serve():
        try:
            while True:
                sock, _ = listener.accept()
                try:
                    with context.wrap_socket(sock, server_side=True) as tls:
                        got.append(tls.recv(100))
                except OSError:
                    pass
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    host = Host(proxied=False, endpoint="https://127.0.0.1:%d" % listener.getsockname()[1])
    artifact = host.seal(SMALL)
    host.start()
    artifact.failed("no trust in the certificate of 127.0.0.1", "self")
    equal([g for g in got if g], [], "bytes that the impostor got")


@test("credentials that others can read, or that are none, are refused at the start")
def bad_keys():
    for mode, text, says in ((0o644, None, "others may use it (mode 644)"), (0o600, '{"accessKeyId": "x", sekritsekrit', "is not JSON")):
        host = Host()
        host.keys(mode=mode)
        if text:
            with open(host.dir + "/keys/s3.json", "w") as f:
                f.write(text)
        host.start()
        ok(host.process.wait(10 * SLOW) != 0, "it ends")
        contains(host.said(), says)


# --- crashes


def crash_at(title, match, after=lambda h, a: True, kind="stall", at=0, skip=0, check=None):
    @test("killed " + title)
    def crash():
        host = Host()
        f = host.proxy.fault(kind, match, at=at, skip=skip)
        artifact = host.seal()
        host.start()
        until(lambda: f.hits > f.skip and after(host, artifact), "the moment\n" + host.said(), 30 * SLOW)
        host.crash()
        host.proxy.faults.clear()
        before = list(host.proxy.seen)
        host.start()
        artifact.done()
        if check:
            check(host, artifact, [what for what in host.proxy.seen[len(before) :]])


def other_parts(host, artifact):
    return sum("part" in line for line in artifact.journal()) == 3


def one_part(host, artifact, seen):
    equal(sum(1 for what in seen if re.search(PART, what)), 1, "parts sent by the second run")
    equal(sum(1 for what in seen if re.search(CREATE, what)), 0, "uploads begun by the second run")


crash_at("in the middle of a part: only that part is sent again", PART + "4", other_parts, at=MIB, check=one_part)
crash_at("before the answer to CreateMultipartUpload: it is aborted, another begun", CREATE, kind="hang")
crash_at("before the answer to Complete: the object is there", COMPLETE, kind="hang", after=lambda h, a: here["s3"].keys(h.bucket))
crash_at("before the record", RECORD, kind="stall")
crash_at("before the answer to the record", RECORD, kind="hang", after=lambda h, a: len(here["s3"].keys(h.bucket)) == 2)
crash_at("while it looks", r"^GET .*\.json", kind="hang")


@test("killed twice, in the middle of parts")
def twice():
    host = Host()
    artifact = host.seal()
    for part in ("2", "3"):
        f = host.proxy.fault("stall", PART + part, at=MIB)
        host.start()
        until(lambda: f.hits, "part %s" % part, 30 * SLOW)
        host.crash()
        host.proxy.faults.clear()
    host.start()
    artifact.done()


@test("killed in the middle of a part, and the store forgot the upload")
def forgotten():
    host = Host()
    f = host.proxy.fault("stall", PART + "4", at=MIB)
    artifact = host.seal()
    host.start()
    until(lambda: f.hits and other_parts(host, artifact), "the moment", 30 * SLOW)
    host.crash()
    host.proxy.faults.clear()
    upload = next(line["upload"] for line in artifact.journal() if "upload" in line)
    here["s3"].request("DELETE", "/%s/%s" % (host.bucket, artifact.key), [("uploadId", upload)])
    host.start()
    artifact.done()


@test("a journal that is damaged counts up to the damage")
def damaged_journal():
    host = Host()
    f = host.proxy.fault("stall", PART + "4", at=MIB)
    artifact = host.seal()
    host.start()
    until(lambda: f.hits and other_parts(host, artifact), "the moment", 30 * SLOW)
    host.crash()
    host.proxy.faults.clear()
    path = artifact.path("uploading", "journal")
    lines = open(path).read().split("\n")
    lines[3] = lines[3].replace("etag", "ETAG")
    with open(path, "w") as out:
        out.write("\n".join(lines) + '{"part":')
    before = len(host.proxy.seen)
    host.start()
    artifact.done()
    equal(sum(1 for what in host.proxy.seen[before:] if re.search(PART, what)), 3, "parts sent again")


@test("SIGTERM leaves what is under way as it is; the next start goes on")
def term():
    host = Host()
    f = host.proxy.fault("stall", PART + "4", at=MIB)
    artifact = host.seal()
    host.start()
    until(lambda: f.hits and other_parts(host, artifact), "the moment", 30 * SLOW)
    host.process.terminate()
    equal(host.process.wait(20 * SLOW), 0)
    host.proxy.faults.clear()
    before = len(host.proxy.seen)
    host.start()
    artifact.done()
    one_part(host, artifact, host.proxy.seen[before:])


def setup():
    here["s3"] = here.get("server", Radosgw)()
    cleanup(here["s3"].stop)
    here["s3"].__enter__()


if __name__ == "__main__":
    main(setup)
