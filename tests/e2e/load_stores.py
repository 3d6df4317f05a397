"""Images loaded for tasks from every store: a real engine, a real radosgw, the deployment of tests/lib/taskcluster.py,
the official Taskcluster client, and what networks, stores and hostile tasks do to it.

What is loaded is run or inspected; after every test nothing of it is in the spool, and the engine has only what it had.
"""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import glob
import hashlib
import io
import itertools
import json
import os
import subprocess
import tarfile
import threading

import taskcluster
from engine import Engine
from fault import FaultProxy
from proxy import SLOW, Proxy, payload, slug
from rgw import Radosgw
from tap import Failed, Skip, cleanup, contains, equal, lacks, main, ok, test, until
from taskcluster import Deployment, Fault, npm_modules, stamp

NAME = "public/image.tar.zst"
DOCKER = "/usr/bin/docker"
MIB = 1024 * 1024
CONTENT = "^/api/queue/.*/artifact-content/"
START = "^/api/object/v1/start-download/"
GET = "^/s3/"
here = {}
numbers = itertools.count(1)


def setup():
    here["engine"] = Engine()
    cleanup(here["engine"].stop)
    here["engine"].start().image("busybox:1.36")
    here["before"] = here["engine"].images()
    try:
        here["s3"] = Radosgw().__enter__()
        cleanup(here["s3"].stop)
    except Skip as e:
        here["s3"] = e


def images():
    return here["engine"].images()


def run(image, *words):
    done = here["engine"].docker("run", "--rm", image, *words, program=DOCKER)
    equal(done.returncode, 0, done.stdout)
    return done.stdout


# --- a host for each store


class Host:
    """dind-proxyd and dind-uploader with one store; tasks of it."""

    def __init__(self, **store):
        self.tasks = []
        self.proxy = Proxy(here["engine"].socket, uploader=True, **{"store." + k: v for k, v in store.items()})
        cleanup(self.stop)
        self.proxy.start()
        until(lambda: "uploader: ready" in self.proxy.log(1000), "the uploader is ready", 10 * SLOW)

    def stop(self):
        if self.proxy is None:
            return
        proxy, self.proxy = self.proxy, None
        try:
            for task in self.tasks:
                task.end()
            until(lambda: self.left(proxy) == [], "nothing is left in the spool", 10 * SLOW)
            lacks(proxy.log(100000), "X-Amz-Signature", "Signature=")
        finally:
            proxy.stop()
        equal(images(), here["before"], "images on the engine")

    def left(self, proxy=None):
        return glob.glob((proxy or self.proxy).dir + "/spool/fetch/*/*")

    def task(self, task_id=None, **more):
        task = self.proxy.task(task_id, **more)
        self.tasks.append(task)
        return task

    def load(self, task, image, **more):
        body = {"taskId": task.task_id, "runId": task.run_id, "image": image, **more}
        try:
            return self.proxy.control("POST", "/v1/images/load", body, timeout=60 * SLOW)
        except TimeoutError:
            raise Failed("no answer to a load of %s\n%s\n%s" % (image, self.left(), self.proxy.log(40))) from None

    def good(self, task, image, **more):
        status, answer = self.load(task, image, **more)
        equal(status, 200, "load: %s\n%s" % (answer, self.proxy.log(20)))
        return answer

    def bad(self, task, image, want, fault, *texts, **more):
        status, answer = self.load(task, image, **more)
        equal((status, answer.get("fault")), (want, fault), "status and fault: %s" % answer)
        contains(answer["message"], *texts)
        return answer


def of(task_id, name=NAME, **more):
    return {"type": "task-image", "taskId": task_id, "path": name, **more}


class Local(Host):
    def __init__(self):
        super().__init__(type="local")  # below the proxy's own directory

    def index(self, namespace, entry):
        os.makedirs(self.proxy.dir + "/store/.index", exist_ok=True)
        with open(self.proxy.dir + "/store/.index/%s.json" % namespace, "w") as f:
            json.dump(entry, f)

    def maker(self, run_id=0, task_id=None, names=None):
        return self.task(task_id, run_id=run_id, payload=payload(**(names or {NAME: "app:1"})))


class S3(Local):
    def __init__(self, proxied=False):
        if isinstance(here["s3"], Skip):
            raise here["s3"]
        self.s3, self.bucket = here["s3"], "load%d-%d" % (os.getpid(), next(numbers))
        self.s3.bucket(self.bucket)
        self.fault = FaultProxy(self.s3.endpoint) if proxied else None
        keys = "/tmp/dind-keys.%d.%s" % (os.getpid(), self.bucket)
        os.mkdir(keys, 0o700)
        cleanup(subprocess.call, ["rm", "-rf", keys])
        with open(os.open(keys + "/s3.json", os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            json.dump({"accessKeyId": self.s3.access, "secretAccessKey": self.s3.secret}, f)
        endpoint = self.fault.endpoint if proxied else self.s3.endpoint
        Host.__init__(self, type="s3", s3={"endpoint": endpoint, "bucket": self.bucket, "prefix": "dind/", "credentials": keys + "/s3.json"})

    def index(self, namespace, entry):
        self.s3.request("PUT", "/%s/dind/.index/%s.json" % (self.bucket, namespace), body=json.dumps(entry).encode())


class Taskcluster(Host):
    def __init__(self, kind="s3"):
        self.tc, self.kind = Deployment(), kind
        cleanup(self.tc.close)
        super().__init__(type="taskcluster", taskcluster={"rootUrl": self.tc.root_url, "storageType": kind})

    def index(self, namespace, entry):
        self.tc.indexed[namespace] = entry["taskId"]

    def maker(self, run_id=0, task_id=None, names=None):
        if run_id:
            self.tc.rerun(task_id)
        task_id = task_id or self.tc.create_task()
        credentials = self.tc.claim(task_id, run_id)
        expires = stamp(self.tc.now() + 7200)
        return self.task(task_id, run_id=run_id, payload=payload(**(names or {NAME: "app:1"})), credentials=credentials, expires=expires)

    def user(self, *scopes, **more):
        """A task that wants an image, with credentials of these scopes."""
        task_id = self.tc.create_task()
        return self.task(task_id, credentials=self.tc.claim(task_id, scopes=scopes), **more)

    def put(self, data, name=NAME, **more):
        """An artifact that somebody made somehow: its taskId."""
        task_id = self.tc.create_task(state="completed")
        self.tc.put(task_id, name, data, **{"kind": self.kind, **more})
        return task_id


STORES = {"local": Local, "s3": S3, "taskcluster s3": Taskcluster, "taskcluster object": lambda: Taskcluster("object")}


def build(task, name, dockerfile):
    done = task.docker("build", "-t", name, "-", stdin=dockerfile, program=DOCKER)
    equal(done.returncode, 0, done.stdout)


def made(host, text, **more):
    """An artifact, made on this host, whose image has gone from the engine: (taskId, what was said of it)."""
    maker = host.maker(**more)
    build(maker, "app:1", "FROM busybox:1.36\nRUN echo %s >/text\nCMD cat /text\n" % text)
    done = maker.finish()[NAME]
    equal(done["state"], "done", str(done))
    maker.end()
    return maker.task_id, done


@test("every store: task-image and indexed-image, the latest run, a hit, the last user's end")
def every_store():
    for word, kind in STORES.items():
        try:
            host = kind()
        except Skip:
            continue  # of the packages; the other tests say so
        task_id, done = made(host, "first")
        host.index("project.images.app", {"taskId": task_id})
        user = host.task()
        first = host.good(user, of(task_id))
        equal((first["id"], first["cached"], first["taskId"], first["runId"]), (done["imageId"], False, task_id, 0), word)
        equal((first.get("sha256", done["sha256"]), first["size"]), (done["sha256"], done["size"]), word)
        equal(run(first["name"]), "first\n", word)
        other = host.task()
        again = host.good(other, {"type": "indexed-image", "namespace": "project.images.app", "path": NAME})
        equal((again["name"], again["cached"], again["fetched"]), (first["name"], True, 0), word)
        _, second_run = made(host, "second", run_id=1, task_id=task_id)
        latest = host.good(user, of(task_id))
        equal((latest["runId"], latest["id"]), (1, second_run["imageId"]), word)
        equal(host.good(user, of(task_id, runId=0))["name"], first["name"], word)
        equal(run(latest["name"]), "second\n", word)
        host.bad(user, of(task_id, "public/other.tar"), 404, "task")
        host.bad(user, of(slug()), 404, "task")
        host.bad(user, {"type": "indexed-image", "namespace": "no.such", "path": NAME}, 404, "task")
        host.bad(user, {"type": "indexed-image", "namespace": "../x", "path": NAME}, 400, "task", "namespace")
        host.bad(user, {"type": "docker-image", "path": NAME}, 400, "task", "task-image")
        user.end()
        equal(run(first["name"]), "first\n", "held by the other")
        other.end()
        equal(images(), here["before"], word)
        host.stop()


@test("a second image that shares all but one small layer moves less than 1 MiB")
def shared_layers():
    for kind in (S3, Taskcluster):
        host = kind()
        maker = host.maker(names={NAME: "app:1", "public/second.tar.zst": "app:2"})
        build(maker, "app:1", "FROM busybox:1.36\nRUN head -c 12000000 /dev/urandom >/big\n")
        build(maker, "app:2", "FROM app:1\nRUN echo small >/small\n")
        done = maker.finish()
        maker.end()
        user = host.task()
        first, second = [host.good(user, of(maker.task_id, name)) for name in (NAME, "public/second.tar.zst")]
        ok(first["fetched"] >= 12000000, "the first is fetched: %s" % first)
        ok(second["fetched"] < MIB, "the second moves less than 1 MiB: %s" % second)
        ok(second["saved"] > 11 * MIB, "and says what that saved: %s" % second)
        equal(second["id"], done["public/second.tar.zst"]["imageId"], "its id")
        equal(run(second["name"], "cat", "/small"), "small\n", "and it runs")
        metrics = host.proxy.good("GET", "/metrics")
        contains(str(metrics), "dind_proxy_image_load_saved_bytes_total %d\n" % (first["saved"] + second["saved"]))
        host.stop()


@test("an object's hash is seen: it is fetched whole, whatever the engine has")
def object_whole():
    host = Taskcluster("object")
    task_id, done = made(host, "whole")
    user = host.user()
    equal(host.good(user, of(task_id))["sha256"], done["sha256"])


@test("one fetch for all who want the same at the same time; each is asked for")
def single_flight():
    host = Taskcluster()
    task_id, done = made(host, "same")
    users, answers = [host.user() for _ in range(4)], [None] * 4
    host.tc.requests.clear()

    def work(n):
        answers[n] = host.load(users[n], of(task_id))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    equal({a[0] for a in answers}, {200}, str(answers))
    equal(len({a[1]["name"] for a in answers}), 1, "one name")
    ranges = [r["headers"].get("Range") for r in host.tc.seen("GET", GET)]
    data = [r for r in ranges if r != "bytes=0-0"]
    ok(data and len(data) == len(set(data)), "the bytes are fetched once: %s" % ranges)
    asked = {r["client"] for r in host.tc.seen("GET", CONTENT)}
    equal(len(asked), 4, "and each of the four is asked for by its own credentials")


@test("a private image: with the task's own credentials, also when it is here; never with another's")
def private():
    host = Taskcluster()
    name = "private/image.tar"
    task_id = host.put(tarball(), name)
    scope = "queue:get-artifact:" + name
    may, may_not = host.user(scope), host.user("queue:get-artifact:public/*")
    host.bad(may_not, of(task_id, name), 403, "task", "403 InsufficientScopes")
    first = host.good(may, of(task_id, name))
    host.bad(may_not, of(task_id, name), 403, "task", "403")
    nobody = host.task(host.tc.create_task())
    host.bad(nobody, of(task_id, name), 403, "task", "403")
    given = host.tc.claim(nobody.task_id, scopes=[scope])
    answer = host.good(nobody, of(task_id, name), credentials=given)
    equal((answer["name"], answer["cached"]), (first["name"], True))
    host.bad(nobody, of(task_id, name), 403, "task", "403")
    host.bad(nobody, of(task_id, name), 400, "task", "credentials", credentials={"clientId": 1})
    for secret in (given["accessToken"], json.loads(given["certificate"])["seed"]):
        lacks(host.proxy.log(100000), secret)


@test("where the store knows no tasks, the scopes that the worker gave decide")
def scopes():
    host = Local()
    name = "private/image.tar.zst"
    maker = host.maker(names={name: "app:1"})
    build(maker, "app:1", "FROM busybox:1.36\nRUN echo x >/x\n")
    maker.finish()
    host.bad(host.task(), of(maker.task_id, name), 403, "task", "queue:get-artifact")
    host.good(host.task(scopes=["queue:get-artifact:private/*"]), of(maker.task_id, name))
    host.good(host.task(), of(maker.task_id, name), scopes=["queue:get-artifact:" + name])


# --- formats


def tarball():
    """docker save of an image that no engine here keeps, once for all tests."""
    if "tar" not in here:
        engine = here["engine"]
        done = engine.docker("build", "-t", "made:1", "-", stdin="FROM busybox:1.36\nRUN head -c 3000000 /dev/urandom >/big; echo made >/text\n", program=DOCKER)
        equal(done.returncode, 0, done.stdout)
        saved = subprocess.run([DOCKER, "-H", "unix://" + engine.socket, "save", "made:1"], stdout=subprocess.PIPE, check=True).stdout
        here["id"] = json.loads(engine.docker("image", "inspect", "made:1", program=DOCKER).stdout)[0]["Id"]
        engine.docker("rmi", "made:1", program=DOCKER)
        here["tar"] = saved
    return here["tar"]


def packed(*words):
    return subprocess.run(words, input=tarball(), stdout=subprocess.PIPE, check=True).stdout


@test("tar, gz, zst, lz4 by whoever made them; with Content-Encoding gzip as well")
def formats():
    for kind in ("s3", "object"):
        host = Taskcluster(kind)
        user = host.user()
        gzipped = packed("gzip", "-1")
        rows = [
            ("public/image.tar", tarball(), {}),
            ("public/image.tar.gz", gzipped, {}),
            ("public/image.tar.zst", packed("zstd", "-3"), {}),
            ("public/image.tar.lz4", packed("lz4", "-1"), {}),
        ]
        if kind == "s3":
            rows.append(("public/dockerImage.tar", gzipped, {"encoding": "gzip"}))
        for name, data, more in rows:
            answer = host.good(user, of(host.put(data, name, **more), name))
            equal(answer["id"], here["id"], name)
            want = tarball() if more else data
            equal(answer["sha256"], hashlib.sha256(want).hexdigest(), "sha256 is over what is decoded: " + name)
        for name, data, encoding, text in (
            ("public/a.tar", tarball(), "gzip", "said to be gzip"),
            ("public/b.tar", gzipped, "br", "Content-Encoding 'br'"),
            ("public/c.tar", gzipped[:-20], "gzip", "cut off"),
        ):
            if kind == "s3":
                host.bad(user, of(host.put(data, name, encoding=encoding), name), 502, "task" if encoding == "br" else "service", text)
        host.stop()


@test("the official client uploads, we load")
def official():
    modules, reason = npm_modules()
    if modules is None:
        raise Skip(reason)
    host = Taskcluster("object")
    task_id = host.tc.create_task()
    path = host.proxy.dir + "/upload.tar.zst"
    data = packed("zstd", "-3")
    with open(path, "wb") as f:
        f.write(data)
    words = ["node", taskcluster.SCRIPT, modules, "upload", host.tc.root_url, task_id, "0", NAME, path, stamp(host.tc.now() + 3600)]
    env = dict(os.environ, TEST_CREDENTIALS=json.dumps(host.tc.claim(task_id)))
    done = subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    equal(done.returncode, 0, "upload: " + done.stdout)
    answer = host.good(host.user(), of(task_id))
    equal((answer["id"], answer["sha256"]), (here.get("id"), hashlib.sha256(data).hexdigest()))


# --- what the deployment may answer


@test("error, reference, unknown, expired and lost artifacts: whose fault it was, and why")
def unfriendly():
    host = Taskcluster()
    tc, user = host.tc, host.user()
    task_id = tc.create_task(state="completed")
    tc.put(task_id, "public/e.tar", None, "error", reason="file-missing-on-worker", message="no \x1b[31m image")
    tc.put(task_id, "public/r.tar", None, "reference", url="http://127.0.0.1:1/secret")
    tc.put(task_id, "public/l.tar", None, "holy")
    tc.put(task_id, "public/x.tar", tarball(), expires=-10)
    tc.put(task_id, "public/n.tar", None)
    tc.put(task_id, "public/h.tar", tarball(), "object", hashes={"md5": "x"})
    tc.put(task_id, "public/w.tar", tarball(), "object", hashes={"sha256": "0" * 64})
    rows = [
        ("public/e.tar", 424, "task", "file-missing-on-worker: no \\x1b[31m image"),
        ("public/r.tar", 400, "task", "reference"),
        ("public/l.tar", 400, "task", "'holy'"),
        ("public/x.tar", 410, "task", "410"),
        ("public/n.tar", 404, "task", "NoSuchKey"),
        ("public/h.tar", 502, "task", "neither a sha256 nor a sha512"),
        ("public/w.tar", 502, "service", "what the store sent is not the artifact"),
    ]
    for name, status, fault, text in rows:
        host.bad(user, of(task_id, name), status, fault, text)
    fresh = tc.create_task()
    tc.tasks[fresh]["runs"] = []
    host.bad(user, of(fresh), 404, "task", "no run")
    again = host.put(tarball(), "public/image.tar")
    tc.rerun(again)
    host.bad(user, of(again, "public/image.tar"), 404, "task")  # "latest" is the newest run, whatever it has
    equal(host.good(user, of(again, "public/image.tar", runId=0))["id"], here["id"])


AGAIN = [  # the look at the first byte comes first: skip=1 is the download
    Fault("GET", CONTENT, "status", 2, status=503),
    Fault("GET", CONTENT, "garbage"),
    Fault("GET", CONTENT, "close", 2),
    Fault("GET", "/status$", "status", 1, status=502, body=b"<html>bad gateway</html>"),
    Fault("GET", GET, "status", 2, status=500, body=b"<Error><Code>InternalError</Code></Error>"),
    Fault("GET", GET, "close"),
    Fault("GET", GET, "close", 2, skip=1),
    Fault("GET", GET, "status", 1, skip=1, status=503, body=b"<Error><Code>SlowDown</Code></Error>"),
    Fault("GET", GET, "cut", 1, skip=1),
    Fault("GET", GET, "cut", 3, skip=1),
]


@test("what passes is tried again, at every step")
def passes():
    host = Taskcluster()
    for fault in AGAIN:
        name = "public/image.tar"
        task_id, user = host.put(tarball(), name), host.user()
        host.tc.faults[:] = [fault]
        equal(host.good(user, of(task_id, name))["id"], here["id"], str(fault.what))
        equal(fault.times, 0, "the fault was met: " + str(fault.what))
        user.end()


@test("an URL that has expired is asked for anew")
def expired():
    for kind in ("s3", "object"):
        host, name = Taskcluster(kind), "private/image.tar"
        task_id, user = host.put(tarball(), name), host.user("queue:get-artifact:*")
        host.tc.faults.append(Fault("GET", GET, "expire", 1, skip=2))
        equal(host.good(user, of(task_id, name))["id"], here["id"], kind)
        equal(host.tc.faults[0].times, 0)
        host.stop()


@test("a download that is cut goes on where it was, as long as the bytes are the same")
def resumed():
    host, name = Taskcluster(), "public/image.tar"
    task_id, user = host.put(tarball(), name), host.user()
    host.tc.faults.append(Fault("GET", GET, "cut", 1, skip=2))
    answer = host.good(user, of(task_id, name))
    seen = host.tc.seen("GET", GET)
    ranges = [r["headers"].get("Range") for r in seen]
    equal(ranges[:3], ["bytes=0-0", "bytes=0-0", None])
    ok(len(ranges) == 4 and int(ranges[3][6:-1]) > 0, "goes on: %s" % ranges)
    ok(seen[3]["headers"].get("If-Match", "").startswith('"'), "only with the same bytes")
    equal(answer["fetched"], len(tarball()), "nothing came twice")


@test("what was replaced, or corrupted, on the way is not loaded; nothing is believed of a page in its place")
def changed():
    name = "public/image.tar"
    for kind, fault, text in (
        ("s3", Fault("GET", GET, "garbage", 9, skip=2), "ETag"),
        ("s3", Fault("GET", GET, "status", 9, skip=2, status=307, headers={"Location": "http://127.0.0.1:1/"}), "redirects are not followed"),
        ("object", Fault("GET", GET, "corrupt", 9), "what the store sent is not the artifact"),
        ("object", Fault("GET", GET, "garbage", 9, skip=2), "ETag"),
        ("object", Fault("PUT", START, "status", 9, status=307, headers={"Location": "http://127.0.0.1:1/"}), "redirects are not followed"),
    ):
        host = Taskcluster(kind)
        task_id, user = host.put(tarball(), name), host.user()
        host.tc.faults.append(fault)
        status, answer = host.load(user, of(task_id, name))
        equal((status, answer.get("fault")), (502, "service"), "%s %s: %s" % (kind, fault.what, answer))
        contains(answer["message"], text)
        host.stop()

    host = Taskcluster()
    task_id, user = host.put(tarball(), name), host.user()
    path = host.tc.s3_path((task_id, 0, name))

    def replace(_):
        host.tc.bucket[path] = (tarball()[:-1024] + os.urandom(1024), "application/x-tar", "")

    host.tc.faults += [Fault("GET", GET, "cut", 1, skip=2), Fault("GET", GET, replace, 1, skip=2)]
    host.bad(user, of(task_id, name), 502, "service", "replaced")


@test("a store that sends no parts serves all the same")
def no_ranges():
    host = Taskcluster()
    host.tc.ranges = False
    task_id, done = made(host, "whole")
    host.tc.faults.append(Fault("GET", GET, "cut", 1, skip=2))
    equal(host.good(host.user(), of(task_id))["id"], done["imageId"])


@test("nobody answers: it ends, as the service's fault")
def away():
    host = Taskcluster()
    task_id, user = host.put(tarball(), "public/image.tar"), host.user()
    host.tc.server.shutdown()
    host.tc.server.server_close()
    host.bad(user, of(task_id, "public/image.tar"), 503, "service", "given up after 8 tries")


@test("S3 through a proxy that spoils: cuts, resets and errors pass, damage does not")
def spoiled_s3():
    host = S3(proxied=True)
    task_id, done = made(host, "spoiled")
    data = r"^GET /[^?]*\.zst$"
    for kind, more in (("status", {"times": 2}), ("cut", {"at": 1000, "times": 2}), ("drop", {}), ("error200", {})):
        fault = host.fault.fault(kind, data, **more)
        user = host.task()
        answer = host.good(user, of(task_id))
        equal((answer["id"], answer["cached"]), (done["imageId"], False), kind)
        ok(fault.hits >= fault.times, "the fault was met: " + kind)
        user.end()
    host.fault.fault("damage", data, at=500, times=0)
    host.bad(host.task(), of(task_id), 502, "service", "is not what its index says")


# --- hostile tarballs (storage.md D3), and those who die on the way


def rewritten(change):
    """The tarball with its members (name, type, data) as change() makes them."""
    members = []
    with tarfile.open(fileobj=io.BytesIO(tarball())) as t:
        for m in t:
            members.append([m, t.extractfile(m).read() if m.isfile() else b""])
    change(members)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for m, data in members:
            m.size = len(data) if m.isfile() else 0
            t.addfile(m, io.BytesIO(data))
    return out.getvalue()


def member(name, data=b"", kind=tarfile.REGTYPE, link=""):
    m = tarfile.TarInfo(name)
    m.type, m.linkname = kind, link
    return [m, data]


def find(members, suffix):
    return next(i for i, (m, _) in enumerate(members) if m.name.endswith(suffix))


def edit_manifest(members, change):
    at = find(members, "manifest.json")
    manifest = json.loads(members[at][1])
    change(manifest)
    members[at][1] = json.dumps(manifest).encode()


def flip_layer(members):
    at = max(range(len(members)), key=lambda i: len(members[i][1]))
    data = bytearray(members[at][1])
    data[len(data) // 2] ^= 1
    members[at][1] = bytes(data)


def edit_config(members):
    manifest = json.loads(members[find(members, "manifest.json")][1])
    at = find(members, manifest[0]["Config"])
    members[at][1] = members[at][1].replace(b'"Cmd"', b'"cmD"', 1)


HOSTILE = {
    "a second image": lambda m: edit_manifest(m, lambda j: j.append(j[0])),
    "a second manifest": lambda m: m.append(list(m[find(m, "manifest.json")])),
    "a manifest that is a link": lambda m: m.insert(find(m, "manifest.json"), member("manifest.json", b"", tarfile.SYMTYPE, "zz.json")),
    "a way out": lambda m: m.insert(0, member("../../etc/x", b"x")),
    "an absolute path": lambda m: m.insert(0, member("/etc/x", b"x")),
    "a layer that is elsewhere": lambda m: edit_manifest(m, lambda j: j[0]["Layers"].__setitem__(0, "../../etc/hostname")),
    "a link to the host": lambda m: m.insert(0, member("layer.tar", b"", tarfile.SYMTYPE, "/etc/passwd")),
    "a device": lambda m: m.insert(0, member("dev", b"", tarfile.CHRTYPE)),
    "one bit of a layer": flip_layer,
    "an edited config": edit_config,
    "no manifest": lambda m: m.pop(find(m, "manifest.json")),
}


@test("hostile tarballs are refused with a reason, by the rule that refused them, and leave nothing")
def hostile():
    host = Taskcluster()
    user = host.user()
    for word, change in HOSTILE.items():
        name = "public/image.tar"
        answer = host.bad(user, of(host.put(rewritten(change), name), name), 400, "task")
        ok(answer["rule"] not in ("image-load", "image-fetch") and len(answer["message"]) > 20, "%s: %s" % (word, answer))
        until(lambda: host.left() == [], "nothing is in the spool after " + word)
    name = "public/image.tar"
    evil = rewritten(lambda m: edit_manifest(m, lambda j: j[0].__setitem__("RepoTags", ["victim:latest"])))
    equal(host.good(user, of(host.put(evil, name), name))["id"], here["id"])
    ok(not any("victim" in str(i) for i in images()), "names in a tarball are nobody's")
    bomb = subprocess.run(["sh", "-c", "head -c 400000000 /dev/zero | gzip -9"], stdout=subprocess.PIPE, check=True).stdout
    for encoding in ("", "gzip"):
        answer = host.load(user, of(host.put(bomb, "public/b.tar", encoding=encoding), "public/b.tar"))
        ok(answer[0] >= 400, str(answer))


@test("limits.imageBytes bounds what is fetched, also out of a Content-Encoding")
def bounded():
    host = Taskcluster.__new__(Taskcluster)
    host.tc, host.kind = Deployment(), "s3"
    cleanup(host.tc.close)
    host.tasks = []
    store = {"store.type": "taskcluster", "store.taskcluster.rootUrl": host.tc.root_url}
    host.proxy = Proxy(here["engine"].socket, uploader=True, **store, **{"limits.imageBytes": MIB})
    cleanup(host.stop)
    host.proxy.start()
    user = host.user()
    bomb = subprocess.run(["sh", "-c", "head -c 40000000 /dev/zero | gzip -9"], stdout=subprocess.PIPE, check=True).stdout
    host.bad(user, of(host.put(bomb, "public/b.tar", encoding="gzip"), "public/b.tar"), 413, "task")
    host.bad(user, of(host.put(tarball(), "public/b.tar"), "public/b.tar"), 413, "task", "limits.imageBytes")


@test("an uploader that dies on the way begins anew; a proxyd that dies leaves nothing")
def killed():
    host, name = Taskcluster(), "public/image.tar"
    task_id, user = host.put(tarball(), name), host.user()
    stall = Fault("GET", GET, "stall", 1, skip=2)
    host.tc.faults.append(stall)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(host.load(user, of(task_id, name))))
    thread.start()
    until(lambda: stall.times == 0, "it is fetched", 20 * SLOW)
    host.proxy.uploader.kill()
    host.proxy.uploader.wait()
    host.proxy.start_uploader()
    thread.join(60 * SLOW)
    ok(answers and answers[0][0] == 200, str(answers))
    user.end()
    stall.times, stall.skip = 1, 2
    user = host.user()

    def lost():
        try:
            host.load(user, of(task_id, name))
        except OSError:
            pass

    thread = threading.Thread(target=lost)
    thread.start()
    until(lambda: stall.times == 0, "it is fetched again", 20 * SLOW)
    ok(host.left(), "it lies in the spool")
    host.proxy.crash()
    thread.join(20 * SLOW)
    host.proxy.start_daemon()
    until(lambda: host.left() == [], "the next one removes it", 10 * SLOW)


@test("without dind-uploader a load says so")
def no_uploader():
    host, name = Taskcluster(), "public/image.tar"
    task_id, user = host.put(tarball(), name), host.user()
    host.proxy._end(host.proxy.uploader, "dind-uploader")
    host.bad(user, of(task_id, name), 503, "worker", "dind-uploader does not take the request")
    host.proxy.start_uploader()
    equal(host.good(user, of(task_id, name))["id"], here["id"])


@test("a layer that went meanwhile is fetched after all")
def vanished():
    host = Taskcluster()
    maker = host.maker(names={NAME: "app:1", "public/second.tar.zst": "app:2"})
    build(maker, "app:1", "FROM busybox:1.36\nRUN head -c 2000000 /dev/urandom >/big\n")
    build(maker, "app:2", "FROM app:1\nRUN echo small >/small\n")
    maker.finish()
    maker.end()
    first, second = host.task(), host.task()
    held = host.good(first, of(maker.task_id))

    def gone(_):  # between the list and the load
        first.end()

    rest = Fault("GET", GET, gone, 1, skip=3)  # the look, the look again, the index, and then the rest
    host.tc.faults.append(rest)
    answer = host.good(second, of(maker.task_id, "public/second.tar.zst"))
    equal(rest.times, 0)
    ok(held["name"] != answer["name"] and answer["fetched"] > 2000000 and answer["saved"] == 0, str(answer))
    equal(run(answer["name"], "cat", "/small"), "small\n")


main(setup)
