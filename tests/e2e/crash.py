"""The road of an artifact, lost at every system call: killed before each that changes something, and each failing once.

Every step (export into the spool, upload to each kind of store, the service's own registry and journals, load) runs once
undisturbed under strace; then again for each call that was seen, with a kill (or an error of the disk) at that call. At
once nothing is visible that is not whole; after a restart the artifact is where it belongs, with the right hash, and
nothing is left: in the spool, in the store, in the engine.

The everyday run takes a fixed part of the calls of each step; DIND_CRASH_ALL=1 takes all of them.
"""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import glob
import hashlib
import http.client
import itertools
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import strace
from engine import Engine, UnixHTTP
from proxy import SANITIZED, Proxy, payload, program, slug
from rgw import Radosgw
from script import context
from spooled import STATES, make_dirs, record_of, seal, session, spooled_id
from strace import FILES, SENDS, Strace, points
from tap import Failed, cleanup, contains, equal, main, ok, skip_all, test, until
from taskcluster import Deployment, stamp

ALL = bool(os.environ.get("DIND_CRASH_ALL"))
NAME = "public/image.tar.zst"
MIB = 1 << 20
KILL = "signal=SIGKILL"
DISK = ("openat", "write", "fsync", "fdatasync", "rename", "mkdir", "link", "ftruncate")  # what a bad or full disk fails
here, stops = {}, []  # what several tests need, and what ends it
numbers = itertools.count(1)


def setup():
    if SANITIZED:
        skip_all("only the plain build runs under strace")
    strace.need()
    cleanup(lambda: [stop() for stop in reversed(stops)])


def once(name, make):
    """What several tests need, made when the first of them does."""
    if name not in here:
        here[name] = make()
    return here[name]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def read(path):
    with open(path, "rb") as f:
        return f.read()


# --- the driver


def disturbed(make, actions, calls=FILES, stride=1):
    """Runs the step of make() for each point of its calls, with each action in turn at that call."""
    with make() as world:
        seen = world.run(calls=calls)
        world.ended()
    chosen = points(seen, 1 if ALL else stride)
    met = 0
    for point, action in zip(chosen, itertools.cycle(actions)):
        with make() as world:
            try:
                met += world.run(point.inject(action), calls)
                world.stopped(action)
                world.run()
                world.ended()
            except Failed as e:
                raise Failed("%s at %s: %s" % (action, point, e))
    print("# %d of %d points, %d met" % (len(chosen), len(points(seen)), met))
    ok(met > len(chosen) // 2, "most points are met")


class World:
    """A step's directories. run() does the step; with an inject, True when that has happened."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="dind-crash.")
        self.spool, self.said = self.dir + "/spool", ""
        make_dirs(self.spool)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir)

    def spooled(self):
        """{state: [ids]} of the states that have any."""
        listed = {state: os.listdir(os.path.join(self.spool, state)) for state in STATES}
        return {state: ids for state, ids in listed.items() if ids}

    def whole(self):
        """What left incoming/ has a record, and the bytes that it speaks of."""
        for state in STATES[1:]:
            for one in os.listdir(os.path.join(self.spool, state)):
                place = os.path.join(self.spool, state, one)
                record = json.loads(read(place + "/record.json"))
                if state != "done" or os.path.exists(place + "/data"):
                    equal(sha256(read(place + "/data")), record["sha256"], "what lies in %s/" % state)
                if state in ("done", "failed"):
                    equal(json.loads(read(place + "/result.json"))["state"], state, "result.json")

    def program(self, words, inject=None, calls=None, **more):
        """Runs it to its end: was it disturbed? Without inject and with calls: what it called."""
        with open(self.dir + "/log", "ab") as log:
            more = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, **more}
            if calls is None:
                self.status = subprocess.run(words, timeout=120, **more).returncode
                return False
            traced = Strace(words, inject, calls=calls, **more)
        self.status = traced.wait()
        return traced.injected if inject else traced.calls()

    def stopped(self, action):
        """After the disturbance: a kill, or an error that is told and survived."""
        if action != KILL:
            ok(self.status >= 0, "it ended by signal %d\n%s" % (-self.status, self.log()))
        self.whole()

    def log(self):
        return read(self.dir + "/log").decode("utf-8", "replace")[-3000:]


# --- export


def saved():
    """What an engine's GET /images/get answers: the image's id, the body."""
    engine = once("engine", new_engine)
    body = context("FROM scratch\nCOPY f g /\n", f=os.urandom(MIB), g=b"words " * 40000)
    contains(ask(engine.socket, "POST", "/build?t=crash:1", body), b"Successfully tagged")
    return engine.call("GET", "/images/crash:1/json")[1]["Id"], ask(engine.socket, "GET", "/images/crash:1/get")


def ask(path, method, target, body=None):
    """The bytes of an answer."""
    c = UnixHTTP(path)
    c.request(method, target, body, {"Content-Type": "application/x-tar"})
    return c.getresponse().read()


def new_engine():
    engine = Engine()
    stops.append(engine.stop)
    return engine.start()


class Export(World):
    """dind-image export; this test is the engine that it reads from."""

    task_id = "Crash"

    def __init__(self):
        super().__init__()
        self.image_id, self.tar = once("saved", saved)

    def run(self, inject=None, calls=None):
        if "ready" in self.spooled():
            return False  # as dind-proxyd would: it is handed over
        ours, theirs = socket.socketpair()
        threading.Thread(target=self._answer, args=(ours,), daemon=True).start()
        job = {
            "spool": self.spool,
            "session": session(self.task_id),
            "taskId": self.task_id,
            "runId": 0,
            "name": NAME,
            "contentType": "application/zstd",
            "imageId": self.image_id,
            "image": "crash:1",
            "tags": ["crash:1"],
        }
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout:
            stdin.write(json.dumps(job).encode())
            stdin.seek(0)
            words = [program("dind-image"), "export"]
            give = {"stdin": stdin, "stdout": stdout, "preexec_fn": lambda: os.dup2(theirs.fileno(), 3), "pass_fds": (3,)}
            met = self.program(words, inject, calls, **give)
            theirs.close()
            stdout.seek(0)
            self.events = [json.loads(line) for line in stdout.read().split(b"\n") if line.endswith(b"}")]
        return met

    def _answer(self, sock):
        try:
            with sock:
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n")
                for at in range(0, len(self.tar), 100000):
                    piece = self.tar[at : at + 100000]
                    sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                sock.sendall(b"0\r\n\r\n")
        except OSError:
            pass  # it was killed

    def stopped(self, action):
        super().stopped(action)
        if action == KILL:
            return
        last = self.events[-1]["event"] if self.events else "nothing"
        if last == "error":
            ok("ready" not in self.spooled(), "what is told as failed was handed over")
            ok(self.events[-1]["status"] in (500, 507), "the status of %s" % self.events[-1])
            ok("incoming" not in self.spooled(), "a failed export leaves %s" % self.spooled())  # without a word: swept

    def ended(self):
        spooled = spooled_id(session(self.task_id), NAME)
        equal(self.spooled(), {"ready": [spooled]}, "the spool at the end\n" + self.log())
        place = os.path.join(self.spool, "ready", spooled)
        equal(sorted(os.listdir(place)), ["data", "record.json"], "files of the artifact")
        self.whole()
        data = read(place + "/data")
        equal(sha256(data), once("exported", lambda: sha256(data)), "the same image is the same bytes")


@test("export, killed at each call")
def export_killed():
    disturbed(Export, [KILL])


@test("export, each call failing once")
def export_failing():
    disturbed(Export, ["error=ENOSPC", "error=EIO"], DISK, 2)


# --- upload


class Upload(World):
    """dind-uploader, one artifact that lies in ready/."""

    size = 3 * MIB + 7

    def __init__(self):
        super().__init__()
        self.task_id = self.make_task()
        self.data = once("bytes of %d" % self.size, lambda: os.urandom(self.size))
        self.record = record_of(self.task_id, NAME, self.data, expires=stamp(time.time() + 3600))
        self.id = seal(self.spool, self.record, self.data)
        os.makedirs(self.dir + "/state/tasks/" + session(self.task_id))
        with open(self.dir + "/config.json", "w") as f:
            json.dump({"stateDir": self.dir + "/state", "spool": {"dir": self.spool}, "store": self.store()}, f)

    def make_task(self):
        return slug()

    def run(self, inject=None, calls=None):
        words = [program("dind-uploader"), "--config", self.dir + "/config.json", "--once"]
        return self.program(words, inject, calls, env=dict(os.environ, no_proxy="*"))

    def ended(self):
        equal(self.spooled(), {"done": [self.id]}, "the spool at the end\n" + self.log())
        equal(sorted(os.listdir(os.path.join(self.spool, "done", self.id))), ["record.json", "result.json"], "files of the artifact")
        self.whole()
        self.visible(True)

    def result(self, state):
        return json.loads(read("%s/%s/%s/result.json" % (self.spool, state, self.id)))

    def stopped(self, action):
        super().stopped(action)
        self.visible(False)


class Local(Upload):
    def store(self):
        return {"type": "local", "dir": self.dir + "/store"}

    def visible(self, must):
        """With its record an artifact is there: then with all its bytes."""
        place = "%s/store/%s/0/%s" % (self.dir, self.task_id, NAME)
        if os.path.exists(place + ".json"):
            equal(json.loads(read(place + ".json"))["sha256"], self.record["sha256"], "the record in the store")
            ok(read(place) == self.data, "the store has other bytes")
        if must:
            equal(sorted(os.listdir(os.path.dirname(place))), ["image.tar.zst", "image.tar.zst.json"], "files in the store")


@test("upload to a directory, killed at each call")
def local_killed():
    disturbed(Local, [KILL])


@test("upload to a directory, each call failing once")
def local_failing():
    disturbed(Local, ["error=ENOSPC", "error=EIO"], DISK, 3)


class S3(Upload):
    size = 17 * MIB + 5  # three parts

    def __init__(self):
        self.s3 = once("s3", new_s3)
        super().__init__()

    def store(self):
        keys = self.dir + "/s3.json"
        with open(keys, "w") as f:
            json.dump({"accessKeyId": self.s3.access, "secretAccessKey": self.s3.secret}, f)
        os.chmod(keys, 0o600)
        self.bucket = self.s3.bucket("crash-%d-%d" % (os.getpid(), next(numbers)))
        return {"type": "s3", "s3": {"endpoint": self.s3.endpoint, "bucket": self.bucket, "credentials": keys}}

    def visible(self, must):
        key = "%s/0/%s" % (self.task_id, NAME)
        keys = self.s3.keys(self.bucket)
        if key in keys:
            ok(self.s3.request("GET", "/%s/%s" % (self.bucket, key))[2] == self.data, "the bucket has other bytes")
        ok(key in keys or key + ".json" not in keys, "a record without its object")
        if must:
            equal(keys, [key, key + ".json"], "keys in the bucket")
            equal(self.s3.uploads(self.bucket), [], "multipart uploads that are open")


def new_s3():
    s3 = Radosgw()
    stops.append(s3.stop)
    return s3.__enter__()


class Small(S3):
    size = 20000


@test("upload of parts to S3, killed at each call")
def s3_killed():
    disturbed(S3, [KILL], stride=3)


@test("upload of parts to S3, killed at each send")
def s3_killed_sending():
    disturbed(S3, [KILL], SENDS, stride=60)


@test("upload of one piece to S3, killed at each call and send")
def s3_small_killed():
    disturbed(Small, [KILL], FILES + SENDS, stride=6)


@test("upload of parts to S3, each call failing once")
def s3_failing():
    disturbed(S3, ["error=ENOSPC", "error=EIO"], DISK[1:], 5)


class Queue(Upload):
    """Taskcluster, with pre-signed URLs."""

    kind = "s3"

    def __init__(self):
        self.tc = Deployment()
        super().__init__()
        with open("%s/state/tasks/%s/credentials.json" % (self.dir, session(self.task_id)), "w") as f:
            json.dump(self.tc.claim(self.task_id), f)

    def __exit__(self, *_):
        super().__exit__()
        self.tc.close()

    def make_task(self):
        return self.tc.create_task()

    def store(self):
        return {"type": "taskcluster", "taskcluster": {"rootUrl": self.tc.root_url + "/", "storageType": self.kind}}

    def visible(self, must):
        row = self.tc.artifacts.get((self.task_id, 0, NAME))
        stored = [body[0] for body in self.tc.bucket.values()]  # all of this one artifact
        for body in stored:
            ok(body == self.data, "the bucket has other bytes")
        if must:
            equal((row["storageType"], row["present"], len(stored)), (self.kind, True, 1), "the artifact")


class Object(Queue):
    """Taskcluster's object service. Its createArtifact works once: an answer that was lost is lost for good."""

    kind = "object"

    def ended(self):
        if "failed" in self.spooled():
            contains(self.result("failed")["error"], "if an answer was lost, the name is used up for this run")
            self.whole()
            return
        super().ended()


@test("upload to Taskcluster, killed at each call and send")
def queue_killed():
    disturbed(Queue, [KILL], FILES + SENDS, 4)


@test("upload to Taskcluster's object service, killed at each call and send")
def object_killed():
    disturbed(Object, [KILL], FILES + SENDS, 4)


@test("upload to Taskcluster, each call failing once")
def queue_failing():
    disturbed(Queue, ["error=ENOSPC", "error=EIO"], DISK[1:], 5)



# --- the service itself


class Lost(Exception):
    """The service went away, or refused, in the middle of what it was asked."""


class Job:
    """What a worker asks of dind-proxyd, step by step; after a loss it begins at the first again, as workers do."""

    def __init__(self, proxy):
        self.proxy, self.task_id, self.ending, self.label = proxy, slug(), False, slug()
        self.failed = None

    def ask(self, method, target, body=None, good=(200, 201, 202, 204)):
        try:
            status, answer = self.proxy.control(method, target, body)
        except (OSError, http.client.HTTPException) as e:
            raise Lost("%s %s: %r" % (method, target, e))
        if status not in good:
            raise Lost("%s %s: %d %s" % (method, target, status, answer))
        return answer

    def docker(self, method, target, body=None):
        try:
            return ask(self.task["socket"], method, target, body)
        except (OSError, http.client.HTTPException) as e:
            raise Lost("%s %s: %r" % (method, target, e))

    def work(self):
        if not self.ending:
            self.register()
            if self.task["state"] == "running":
                self.build()
            self.hand_over()
            self.ending = True
        self.ask("DELETE", "/v1/tasks/%s/0" % self.task_id)
        until(lambda: "no task" in str(self.ask("GET", self.path, good=(200, 404))), "the task is gone", 30)

    def register(self):
        body = {"taskId": self.task_id, "runId": 0, "payload": payload(**{NAME: "app:2"})}
        self.task = self.ask("POST", "/v1/tasks", body)
        self.path = "/v1/tasks/" + self.task["id"]
        self.ask("PUT", self.path + "/credentials", {"clientId": "c", "accessToken": "t"})

    def build(self):
        said = self.docker("POST", "/v1.41/build?t=app:1", context("FROM scratch\nCOPY f /\nLABEL of=%s\n" % self.label))
        if b"Successfully tagged" not in said:
            raise Lost("build: %r" % said)
        if said := self.docker("POST", "/v1.41/images/app:1/tag?repo=app&tag=2"):
            raise Lost("tag: %r" % said)

    def hand_over(self):
        self.ask("POST", self.path + "/finish")

        def settled():
            artifact = self.ask("GET", self.path + "/artifacts")[0]
            return artifact["state"] in ("ready", "failed") and artifact

        artifact = until(settled, "the artifact is in the spool", 60)
        self.failed = artifact.get("error") if artifact["state"] == "failed" else None


class Loading(Job):
    """A task that only has an image loaded."""

    def register(self):
        super().register()
        image = {"type": "task-image", "taskId": Export.task_id, "path": NAME}
        self.ask("POST", "/v1/images/load", {"taskId": self.task_id, "runId": 0, "image": image})

    def build(self):
        pass

    def hand_over(self):
        pass


class Service(World):
    """One dind-proxyd through all points; its front process is the one that is disturbed."""

    job, with_uploader = Job, False

    def __init__(self):
        self.proxy = once("proxy %d" % self.with_uploader, lambda: new_proxy(self.with_uploader))
        self.dir, self.spool, self.engine = self.proxy.dir, self.proxy.dir + "/spool", here["engine"]
        self.before = self.engine.images(), self.engine.containers()
        self.worker = self.job(self.proxy)

    def __exit__(self, *_):
        for one in os.listdir(self.spool + "/ready"):
            shutil.rmtree("%s/ready/%s" % (self.spool, one))

    def run(self, inject=None, calls=None):
        if calls is None:
            if self.proxy.daemon.poll() is not None:
                self.proxy.start_daemon()
            self.worker.work()
            return False
        with Strace(pid=self.proxy.daemon.pid, inject=inject, calls=calls, follow=False) as traced:
            try:
                self.worker.work()
            except Lost:
                ok(inject, "lost undisturbed\n" + self.proxy.log())
        if not inject:
            return traced.calls()
        return traced.injected or self.proxy.daemon.poll() is not None

    def stopped(self, action):
        if action == KILL and self.proxy.daemon.poll() is None:
            return  # it was not met
        if action == KILL:
            self.proxy.daemon.wait(20)
        else:
            ok(self.proxy.daemon.poll() is None, "it goes on\n" + self.proxy.log())
            self.proxy.restart()  # what it could not remove it removes then
        self.whole()

    def drop_unnamed(self):
        """A step's image whose line we died with: in the engine it has neither name nor label, it is nobody's."""
        images = self.engine.images()
        for image in set(images) - set(self.before[0]):
            if images[image] in ([], ["<none>:<none>"]):
                self.engine.call("DELETE", "/images/" + image)

    def ended(self):
        self.whole()
        spooled = self.spooled()
        equal(list(spooled), ["ready"] if self.worker.failed is None and self.job is Job else [], "the spool at the end: %s\n" % self.worker.failed + self.proxy.log())
        for part in ("state/tasks", "state/images", "run/tasks"):
            equal(os.listdir(os.path.join(self.dir, part)), [], part)
        self.drop_unnamed()
        equal((self.engine.images(), self.engine.containers()), self.before, "the engine at the end\n" + self.proxy.log())
        for line in read(self.dir + "/audit/audit.jsonl").split(b"\n")[:-1]:
            json.loads(line)


class ServiceLoading(Service):
    job, with_uploader = Loading, True

    def __init__(self):
        once("saved", saved)  # it is in the engine before and after
        super().__init__()
        once("stored", lambda: store_one(self.dir + "/store"))

    def stopped(self, action):
        super().stopped(action)
        ok(self.proxy.uploader.poll() is None, "dind-uploader lives")

    def ended(self):
        super().ended()
        until(lambda: not glob.glob(self.spool + "/fetch/*/*"), "requests to dind-uploader are gone", 30)


def store_one(store):
    """An artifact in the local store, all at once: it is swept."""
    with Export() as made:
        made.run()
        made.ended()
        place = "%s/task/0/%s" % (made.dir, NAME)
        os.makedirs(os.path.dirname(place))
        sealed = "%s/ready/%s" % (made.spool, spooled_id(session(Export.task_id), NAME))
        os.rename(sealed + "/data", place)
        os.rename(sealed + "/record.json", place + ".json")
        os.rename(made.dir + "/task", "%s/%s" % (store, Export.task_id))
    return True


def new_proxy(uploader):
    proxy = Proxy(once("engine", new_engine).socket, uploader, **{"log.level": "warn"})
    stops.append(proxy.stop)
    return proxy.start()


@test("dind-proxyd, killed at each call of a task's life")
def service_killed():
    disturbed(Service, [KILL], stride=6)


@test("dind-proxyd, each call of a task's life failing once")
def service_failing():
    disturbed(Service, ["error=ENOSPC", "error=EIO"], DISK, 14)


@test("dind-proxyd, killed at each call of an image's load and release")
def loading_killed():
    disturbed(ServiceLoading, [KILL], FILES + SENDS, 8)


@test("dind-proxyd, each call of an image's load and release failing once")
def loading_failing():
    disturbed(ServiceLoading, ["error=ENOSPC", "error=EIO"], DISK, 16)


main(setup)
