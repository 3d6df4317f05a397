"""dind-uploader and Taskcluster: what it asks, what it makes of the answers, what it leaves behind.

Against the deployment of tests/lib/taskcluster.py; or, with TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID and
TASKCLUSTER_ACCESS_TOKEN (and TASKCLUSTER_CERTIFICATE, TASKCLUSTER_TASK_QUEUE_ID) set, against a real one: there the tests
that need unfriendly answers are skipped.
"""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import glob
import hashlib
import json
import os
import signal
import subprocess
import tempfile
import time

import taskcluster
from engine import Engine
from proxy import BUILD, SLOW, Proxy
from spooled import make_dirs, record_of, seal, session
from tap import Skip, cleanup, contains, equal, lacks, main, ok, test, until
from taskcluster import Deployment, Fault, Real, npm_modules, stamp

NAME = "public/image.tar.zst"
BIG = 3 * 1024 * 1024
here = {}


def real_one():
    root = os.environ.get("TASKCLUSTER_ROOT_URL")
    if not root:
        return None
    credentials = {"clientId": os.environ["TASKCLUSTER_CLIENT_ID"], "accessToken": os.environ["TASKCLUSTER_ACCESS_TOKEN"]}
    if os.environ.get("TASKCLUSTER_CERTIFICATE"):
        credentials["certificate"] = os.environ["TASKCLUSTER_CERTIFICATE"]
    return Real(root, credentials)


def deployment():
    """A fresh one for each test, or the real one."""
    tc = real_one() or Deployment()
    cleanup(tc.close)
    return tc


def fake():
    if os.environ.get("TASKCLUSTER_ROOT_URL"):
        raise Skip("needs answers that a real deployment does not give when asked")
    return deployment()


class Host:
    """The directories of a worker's host, with what dind-proxyd and dind-image would put there, and the uploader."""

    def __init__(self, tc, storage_type, **settings):
        self.tc, self.storage_type = tc, storage_type
        self.dir = tempfile.mkdtemp(prefix="dind-tc.")
        self.spool, self.log = self.dir + "/spool", self.dir + "/uploader.log"
        self.process = None
        for name in ("state/tasks", "store"):
            os.makedirs(os.path.join(self.dir, name), 0o700)
        make_dirs(self.spool)
        config = {
            "stateDir": self.dir + "/state",
            "spool": {"dir": self.spool},
            "store": {
                "type": "taskcluster",
                "dir": self.dir + "/store",
                "taskcluster": {"rootUrl": tc.root_url + "/", "storageType": storage_type},
            },
            "log": {"level": "debug"},
        }
        with open(self.dir + "/config.json", "w") as f:
            json.dump(config, f)
        cleanup(self.stop)

    # --- as dind-proxyd does

    def task_dir(self, task_id):
        return os.path.join(self.dir, "state", "tasks", session(task_id))

    def credentials(self, task_id, credentials):
        os.makedirs(self.task_dir(task_id), 0o700, exist_ok=True)
        path = self.task_dir(task_id) + "/credentials.json"
        with open(path + ".new", "w") as f:
            json.dump(credentials, f)
        os.chmod(path + ".new", 0o600)
        os.rename(path + ".new", path)
        return credentials

    def end_task(self, task_id):
        subprocess.check_call(["rm", "-r", self.task_dir(task_id)])

    # --- as dind-image export does

    def seal(self, task_id, name=NAME, data=None, size=BIG, expires=3600, content_type="application/zstd", error=None):
        data = os.urandom(size) if data is None else data
        more = {"created": stamp(time.time()), "contentType": content_type}
        if error:
            more.update(error, sha256=None, sha512=None, tarSha256=None, imageId=None)
        if expires is not None:
            more["expires"] = stamp(self.tc.now() + expires)
        spooled = seal(self.spool, record_of(task_id, name, data, **more), data)
        return Artifact(self, spooled, name, data)

    # --- the uploader

    def start(self):
        reports = "log_path=%s/report:exitcode=99:abort_on_error=0" % self.dir
        env = dict(os.environ, ASAN_OPTIONS=reports, UBSAN_OPTIONS=reports + ":print_stacktrace=1", no_proxy="*")
        with open(self.log, "ab") as log:
            words = [os.path.join(BUILD, "dind-uploader"), "--config", self.dir + "/config.json"]
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)

    def crash(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        try:
            if self.process is not None and self.process.poll() is None:
                self.process.terminate()
                equal(self.process.wait(20 * SLOW), 0, "exit status of dind-uploader")
            reports = [open(p).read() for p in glob.glob(self.dir + "/report*")]
            ok(not reports, "\n".join(reports))
            self.check_secrets()
        finally:
            subprocess.call(["rm", "-rf", self.dir])

    def check_secrets(self):
        """No credential, and no pre-signed URL, in the log and in what is left of the spool."""
        secrets = ["X-Amz-", self.tc.client["accessToken"]]
        for path in glob.glob(self.dir + "/state/tasks/*/credentials.json"):
            credentials = json.load(open(path))
            secrets += [credentials.get("accessToken", "X-Amz-"), json.loads(credentials.get("certificate", '{"seed": "X-Amz-"}')).get("seed", "X-Amz-")]
        left = [p for p in glob.glob(self.spool + "/*/*/*") if not p.endswith("/data") and "/uploading/" not in p]
        for path in left + [self.log]:
            if os.path.exists(path):
                text = open(path, errors="replace").read()
                for secret in secrets:
                    ok(secret not in text, "a secret stands in %s" % os.path.basename(path))
        ok(not [p for p in left if p.endswith("upload.json")], "upload.json goes when the put is over")

    def said(self):
        return open(self.log, errors="replace").read()


class Artifact:
    def __init__(self, host, spooled, name, data):
        self.host, self.spooled, self.name, self.data = host, spooled, name, data

    def path(self, state, file):
        return os.path.join(self.host.spool, state, self.spooled, file)

    def state(self):
        for state in ("done", "failed", "uploading", "ready"):
            if os.path.exists(os.path.dirname(self.path(state, "x"))):
                return state
        return "gone"

    def ended(self, seconds=60):
        """Waits for the end: (state, result.json)."""
        state = until(lambda: self.state() in ("done", "failed", "gone") and self.state(), "the artifact is done or failed", seconds * SLOW)
        return state, json.load(open(self.path(state, "result.json"))) if state != "gone" else {}

    def done(self):
        state, result = self.ended()
        ok(state == "done", "the artifact is %s: %s\n%s" % (state, result, self.host.said()))
        return result

    def failed(self, fault, *texts):
        state, result = self.ended()
        ok(state == "failed", "the artifact is %s" % state)
        contains(result["error"], *texts)
        lacks(result["error"], "X-Amz", "Signature=")
        equal(result.get("fault"), fault, "whose fault it was: " + result["error"])
        return result


def claimed(tc, storage_type, seconds=1200):
    """A host with a claimed task, and the task's id."""
    host = Host(tc, storage_type)
    task_id = tc.create_task()
    host.credentials(task_id, tc.claim(task_id, seconds=seconds))
    return host, task_id


def uploaded(storage_type, tc=None, **seal):
    """One artifact through the uploader."""
    tc = tc or deployment()
    host, task_id = claimed(tc, storage_type)
    artifact = host.seal(task_id, **seal)
    host.start()
    return tc, task_id, artifact, artifact.done()


def calls(tc):
    """What was asked, in order: method and the path's word."""
    words = []
    for r in tc.requests:
        path = r["path"].split("?")[0]
        word = "s3" if path.startswith("/s3/") else next(w for w in ("upload", "finish-upload", "artifacts", "artifact-info", "?") if "/%s/" % w in path or w == "?")
        words.append("%s %s" % (r["method"], word))
    return words


def stored(tc, task_id, name=NAME):
    """The bytes that the deployment has."""
    row = tc.find_artifact((task_id, 0, name))
    if row["storageType"] == "s3":
        return tc.bucket[tc.s3_path((task_id, 0, name))][0]
    return tc.bucket["/s3/objects/" + taskcluster.urllib.parse.quote(row["objectName"], safe="/")][0]


S3_CALLS = ["POST artifacts", "PUT s3"]
OBJECT_CALLS = ["POST artifacts", "PUT upload", "PUT s3", "POST finish-upload", "PUT artifacts"]


@test("s3: the queue is asked once, then the bytes go to the URL it gave")
def s3_road():
    tc, task_id, artifact, result = uploaded("s3", fake())
    equal(calls(tc), S3_CALLS)
    equal(stored(tc, task_id) == artifact.data, True, "same bytes")
    body = json.loads(tc.requests[0]["body"])
    equal(body["contentLength"], len(artifact.data))
    equal(tc.requests[0]["scopes"][0], "queue:create-artifact:%s/0" % task_id, "the only scope that was used")
    equal(tc.requests[0]["scopes"][1:], tc.anonymous)
    put = tc.requests[1]["headers"]
    equal((put["Content-Type"], put["Content-Length"], put["Expect"]), ("application/zstd", str(len(artifact.data)), None))
    equal(put["Authorization"], None, "no credentials for the bucket")
    equal(result["url"], "%s/api/queue/v1/task/%s/runs/0/artifacts/public%%2Fimage.tar.zst" % (tc.root_url, task_id))
    equal(result["storageType"], "s3")
    equal((tc.wrong_macs, "hash=" in tc.requests[0]["headers"]["Authorization"]), ([], True))


@test("object: created, uploaded, finished with both hashes; never a contentLength")
def object_road():
    tc, task_id, artifact, result = uploaded("object", fake())
    equal(calls(tc), OBJECT_CALLS)
    equal(stored(tc, task_id) == artifact.data, True, "same bytes")
    equal("contentLength" in json.loads(tc.requests[0]["body"]), False, "contentLength breaks finishArtifact")
    hashes = json.loads(tc.requests[3]["body"])["hashes"]
    equal(hashes, {"sha256": hashlib.sha256(artifact.data).hexdigest(), "sha512": hashlib.sha512(artifact.data).hexdigest()})
    equal(tc.requests[2]["headers"]["Content-Encoding"], "identity")
    equal([r["client"] and r["client"].split("/")[0] for r in tc.requests], ["task-client", "artifact-upload", None, "artifact-upload", "task-client"])
    equal((result["storageType"], tc.wrong_macs), ("object", []))


@test("object: less than 8192 bytes go inside of the request")
def object_inline():
    for size, inline in ((1, True), (8191, True), (8192, False)):
        tc, task_id, artifact, _ = uploaded("object", fake(), size=size)
        equal("PUT s3" not in calls(tc), inline, "%d bytes inline" % size)
        equal(stored(tc, task_id), artifact.data)


@test("every MAC is right in the eyes of the hawk package too")
def independent():
    tc, *_ = uploaded("object", fake())
    if tc.no_hawk:
        raise Skip(tc.no_hawk)
    equal((tc.hawk.asked, tc.wrong_macs), (4, []), "requests verified")


@test("the official client downloads what was uploaded")
def official():
    modules, reason = npm_modules()
    if modules is None:
        raise Skip(reason)
    for kind, size in (("s3", BIG), ("object", BIG), ("object", 5000)):
        for name in (NAME, "private/dir with space/100%/a?b#c&d+e.tar"):
            tc, task_id, artifact, _ = uploaded(kind, name=name, size=size)
            for run in ("0", "latest"):
                file = artifact.host.dir + "/downloaded"
                words = ["node", taskcluster.SCRIPT, modules, "download", tc.root_url, task_id, run, name, file]
                env = dict(os.environ, TEST_CREDENTIALS=json.dumps(tc.client))
                done = subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
                equal(done.returncode, 0, "downloadArtifact of %s %s: %s" % (kind, name, done.stdout))
                contains(done.stdout, "application/zstd")
                same = hashlib.sha256(open(file, "rb").read()).hexdigest() == hashlib.sha256(artifact.data).hexdigest()
                ok(same, "same bytes as uploaded: %s %s" % (kind, name))


@test("the official client finds a byte that changed in the bucket")
def corrupted():
    modules, reason = npm_modules()
    tc = fake()
    if modules is None:
        raise Skip(reason)
    tc.faults.append(Fault("PUT", "^/s3/", "corrupt"))
    tc, task_id, artifact, _ = uploaded("object", tc)
    words = ["node", taskcluster.SCRIPT, modules, "download", tc.root_url, task_id, "0", NAME, artifact.host.dir + "/downloaded"]
    done = subprocess.run(words, env=dict(os.environ, TEST_CREDENTIALS=json.dumps(tc.client)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ok(done.returncode != 0, "the download fails")
    contains(done.stdout, "hash does not match")


HTML = b"<html><head><title>502 Bad Gateway</title></head></html>"
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
TIMEOUT = b"<Error><Code>RequestTimeout</Code><Message>Your socket connection timed out.</Message></Error>"
CREATE, FINISH, UPLOAD, FINISH_UPLOAD = r"/artifacts/", r"/artifacts/", r"/object/v1/upload/", r"/finish-upload/"

PASSING = [  # each alone, for both storage types where it applies: the artifact is done all the same
    ("s3", Fault("POST", CREATE, "status", 3, status=502, body=HTML)),
    ("s3", Fault("POST", CREATE, "lost")),
    ("s3", Fault("POST", CREATE, "close", 2)),
    ("s3", Fault("POST", CREATE, "garbage")),
    ("s3", Fault("POST", CREATE, "cut")),
    ("s3", Fault("POST", CREATE, "status", 1, status=429, headers={"Retry-After": "1"})),
    ("s3", Fault("PUT", "^/s3/", "status", 3, status=503, body=SLOW_DOWN)),
    ("s3", Fault("PUT", "^/s3/", "status", 1, status=400, body=TIMEOUT)),
    ("s3", Fault("PUT", "^/s3/", "reset", 3, at=1000000)),
    ("s3", Fault("PUT", "^/s3/", "lost", 2)),
    ("s3", Fault("PUT", "^/s3/", "expire")),
    ("s3", Fault("PUT", "^/s3/", "garbage")),
    ("object", Fault("POST", CREATE, "status", 3, status=502, body=HTML)),
    ("object", Fault("POST", CREATE, "close", 3)),
    ("object", Fault("POST", CREATE, "status", 2, status=500)),
    ("object", Fault("PUT", UPLOAD, "lost")),
    ("object", Fault("PUT", UPLOAD, "garbage")),
    ("object", Fault("PUT", UPLOAD, "status", 3, status=500, body=b"{}")),
    ("object", Fault("PUT", "^/s3/", "reset", 2, at=1)),
    ("object", Fault("PUT", "^/s3/", "lost")),
    ("object", Fault("PUT", "^/s3/", "expire")),
    ("object", Fault("POST", FINISH_UPLOAD, "lost")),
    ("object", Fault("POST", FINISH_UPLOAD, "status", 3, status=502, body=HTML)),
    ("object", Fault("POST", FINISH_UPLOAD, "garbage")),
    ("object", Fault("PUT", FINISH, "lost")),
    ("object", Fault("PUT", FINISH, "garbage")),
    ("object", Fault("PUT", FINISH, "status", 3, status=503, body=HTML)),
]


@test("what passes is tried again: %d faults, one at a time" % len(PASSING))
def passing():
    for kind, fault in PASSING:
        what = "%s %s %s %s" % (kind, fault.method, fault.what, fault.more)
        tc = fake()
        tc.faults.append(fault)
        tc, task_id, artifact, _ = uploaded(kind, tc)
        equal(fault.times, 0, "the fault was met: " + what)
        ok(stored(tc, task_id) == artifact.data, "same bytes after " + what)
        if kind == "object":
            sent = len([r for r in tc.seen("PUT", "^/s3/") if r["fault"] != "reset"])
            late = fault.method == "PUT" and fault.path.pattern == FINISH or fault.path.pattern == FINISH_UPLOAD
            ok(not late or sent == 1, "the bytes are not sent again after " + what)


@test("the bytes are sent anew to a fresh URL, with the same question to the queue")
def renewal():
    for kind, path, again in (("s3", CREATE, "POST"), ("object", UPLOAD, "PUT")):
        tc = fake()
        tc.faults.append(Fault("PUT", "^/s3/", "expire"))
        uploaded(kind, tc)
        asked = tc.seen(again, path)
        equal(len(asked), 2, kind)
        equal(asked[0]["body"], asked[1]["body"], "same body")
        if kind == "object":
            equal(len(tc.seen("POST", CREATE)), 1, "the queue is asked once")


REFUSED = [  # at once, with one request to where it happens
    ("s3", Fault("PUT", "^/s3/", "status", 9, status=403, body=b"<Error><Code>SignatureDoesNotMatch</Code></Error>"), "service", "403 SignatureDoesNotMatch"),
    ("s3", Fault("PUT", "^/s3/", "status", 9, status=307, headers={"Location": "http://127.0.0.1:1/"}), "service", "redirects are not followed"),
    ("s3", Fault("POST", CREATE, "status", 9, status=301, headers={"Location": "http://127.0.0.1:1/"}), "service", "redirects are not followed"),
    ("s3", Fault("POST", CREATE, "status", 9, status=403, body=b'{"code": "InsufficientScopes", "message": "missing\\n\\nx"}'), "worker", "403 InsufficientScopes: missing"),
    ("s3", Fault("POST", CREATE, "status", 9, status=409, body=b'{"code": "RequestConflict", "message": "there is"}'), "task", "409 RequestConflict: there is"),
    ("object", Fault("POST", FINISH_UPLOAD, "status", 9, status=409, body=b'{"code": "RequestConflict"}'), "service", "finishUpload: status 409"),
    ("object", Fault("PUT", FINISH, "status", 9, status=400, body=b'{"code": "InputError"}'), "service", "finishArtifact: status 400"),
    ("object", Fault("PUT", UPLOAD, "status", 9, status=200, body=b'{"uploadMethod": {}}'), "service", "takes no upload by URL"),
]


@test("what cannot pass fails at once, and says whose fault it is")
def refused():
    for kind, fault, whose, text in REFUSED:
        tc = fake()
        tc.faults.append(fault)
        host, task_id = claimed(tc, kind)
        artifact = host.seal(task_id)
        host.start()
        artifact.failed(whose, text)
        equal(fault.times, 8, "asked once: " + text)
        ok(os.path.exists(artifact.path("failed", "data")), "what was sealed is kept")


@test("an URL that is refused as expired twice is no clock's fault")
def expired_twice():
    tc = fake()
    tc.faults.append(Fault("PUT", "^/s3/", "expire", 9))
    host, task_id = claimed(tc, "s3")
    artifact = host.seal(task_id)
    host.start()
    artifact.failed("service", "403 AccessDenied: Request has expired")
    equal(calls(tc), S3_CALLS * 2)


@test("object: a lost answer of createArtifact costs the name, and is said after three 500s")
def burned():
    tc = fake()
    tc.faults.append(Fault("POST", CREATE, "lost"))
    host, task_id = claimed(tc, "object")
    artifact = host.seal(task_id)
    host.start()
    artifact.failed("service", "500 InternalServerError", "the name is used up for this run")
    equal(len(tc.requests), 4, "one that was lost, three 500s")


@test("object: a finishArtifact that never says so is believed when the artifact is there")
def finish_500():
    tc = fake()

    def break_it(_):
        for row in tc.artifacts.values():
            row["withLength"] = True  # what makes upstream answer 500 for ever

    tc.faults.append(Fault("PUT", UPLOAD, break_it))
    tc, task_id, artifact, _ = uploaded("object", tc)
    equal(calls(tc)[-2:], ["PUT artifacts", "GET artifact-info"])
    equal(stored(tc, task_id) == artifact.data, True, "same bytes")


@test("a run that is over takes nothing: one request, then it is said")
def run_over():
    tc = deployment()
    for kind in ("s3", "object"):
        host, task_id = claimed(tc, kind)
        tc.resolve(task_id)
        artifact = host.seal(task_id)
        host.start()
        artifact.failed("task", "createArtifact: status 409 RequestConflict")


@test("s3: the same content again is fine, another type is not")
def same_again():
    tc = deployment()
    host, task_id = claimed(tc, "s3")
    data = os.urandom(1000)
    host.start()
    host.seal(task_id, data=data).done()
    other = Host(tc, "s3")
    credentials = json.load(open(host.task_dir(task_id) + "/credentials.json"))
    other.credentials(task_id, credentials)
    other.start()
    other.seal(task_id, data=data, expires=3660).done()
    third = Host(tc, "s3")
    third.credentials(task_id, credentials)
    third.start()
    third.seal(task_id, data=data, expires=3720, content_type="application/x-tar").failed("task", "409")


@test("an end behind the task's own is the worker's fault; none at all as well; one that has passed is the task's")
def ends():
    tc = deployment()
    host, task_id = claimed(tc, "s3")
    host.start()
    host.seal(task_id, "public/late.tar", expires=2 * 86400, size=100).failed("worker", "400 InputError")
    host.seal(task_id, "public/none.tar", expires=None, size=100).failed("worker", "no 'expires'")
    host.seal(task_id, "public/past.tar", expires=-10, size=100).failed("task", "has expired at")


@test("the worker's new credentials are used as soon as they are there")
def hot_swap():
    tc = fake()
    host, task_id = claimed(tc, "s3", seconds=-600)  # expired, and their grace as well
    artifact = host.seal(task_id)
    host.start()
    until(lambda: tc.seen("POST", CREATE), "the expired ones were refused")
    time.sleep(1.5)  # nothing may happen now, there is nothing to wait for
    equal((len(tc.requests), artifact.state()), (1, "uploading"))
    fresh = host.credentials(task_id, tc.task_credentials(task_id))
    artifact.done()
    equal(tc.requests[1]["client"], fresh["clientId"])
    equal(calls(tc), ["POST artifacts"] + S3_CALLS)


@test("credentials that are replaced on the way are used from the next request on")
def swap_between():
    tc = fake()
    host, task_id = claimed(tc, "object")
    artifact = host.seal(task_id)
    fresh = []
    tc.faults.append(Fault("PUT", "^/s3/", lambda _: fresh.append(host.credentials(task_id, tc.task_credentials(task_id, seconds=2400)))))
    host.start()
    artifact.done()
    equal(tc.requests[-1]["client"], fresh[0]["clientId"])


@test("fresh credentials that are refused as well end it")
def refused_twice():
    tc = fake()
    host, task_id = claimed(tc, "s3", seconds=-600)
    artifact = host.seal(task_id)
    host.start()
    until(lambda: tc.seen("POST", CREATE), "the expired ones were refused")
    host.credentials(task_id, tc.task_credentials(task_id, seconds=-500))
    artifact.failed("worker", "credentials were refused", "ext.certificate.expiry < now", "they expired at 20", "and so were those that the worker sent since")


@test("credentials of another task are refused, before anything is created")
def other_task():
    tc = fake()
    host, task_id = claimed(tc, "s3")
    other = tc.create_task()
    host.credentials(task_id, tc.claim(other))
    artifact = host.seal(task_id)
    host.start()
    until(lambda: tc.seen("POST", CREATE), "they were refused")
    host.credentials(task_id, tc.task_credentials(other))
    artifact.failed("worker", "credentials were refused (status 401 AuthenticationFailed: Supplied credentials do not satisfy authorizedScopes")
    equal(tc.artifacts, {})


@test("a task that has ended took its credentials along: the upload fails and says so")
def task_ended():
    tc = fake()
    host, task_id = claimed(tc, "s3", seconds=-600)
    artifact = host.seal(task_id)
    host.start()
    until(lambda: tc.seen("POST", CREATE), "the expired ones were refused")
    # not the spool: the uploader must not end only because of that
    kept = host.task_dir(task_id) + "/credentials.json"
    os.unlink(kept)
    os.rmdir(host.task_dir(task_id))
    until(lambda: "the task has ended" in host.said(), "it is said")
    until(lambda: artifact.state() in ("failed", "gone"), "the artifact has failed")


@test("a clock that is 40 minutes off is corrected by the queue's answer")
def clock():
    for offset in (2400, -2400):
        for kind in ("s3", "object"):
            tc = fake()
            tc.offset = offset
            uploaded(kind, tc)
            equal(calls(tc), ["POST artifacts"] + (S3_CALLS if kind == "s3" else OBJECT_CALLS), "one request more")


STEPS = [("s3", "POST", CREATE), ("s3", "PUT", "^/s3/")] + [
    ("object", "PUT", UPLOAD),
    ("object", "PUT", "^/s3/"),
    ("object", "POST", FINISH_UPLOAD),
    ("object", "PUT", FINISH),
]


@test("an uploader that was killed goes on where it was, at every step")
def killed():
    for kind, method, path in STEPS:
        tc = fake()
        fault = Fault(method, path, "stall")
        tc.faults.append(fault)
        host, task_id = claimed(tc, kind)
        artifact = host.seal(task_id)
        host.start()
        until(lambda: fault.times == 0, "the step %s %s is reached" % (method, path))
        host.crash()
        if kind == "object":
            equal(oct(os.stat(artifact.path("uploading", "upload.json")).st_mode & 0o777), "0o600")
        host.start()
        artifact.done()
        ok(stored(tc, task_id) == artifact.data, "same bytes")
        if kind == "object":
            equal(len(tc.seen("POST", CREATE)), 1, "the queue was asked once")


@test("an uploader that is killed before it hears an answer goes on")
def killed_after():
    for kind, method, path in STEPS[1:]:
        tc = fake()
        host, task_id = claimed(tc, kind)
        artifact = host.seal(task_id)
        tc.faults.append(Fault(method, path, lambda _, host=host: host.crash()))
        host.start()
        until(lambda: host.process.poll() is not None, "it was killed")
        host.start()
        artifact.done()
        ok(stored(tc, task_id) == artifact.data, "same bytes")


@test("what changed in the spool is never heard of")
def damaged():
    tc = fake()
    for kind in ("s3", "object"):
        host, task_id = claimed(tc, kind)
        artifact = host.seal(task_id)
        with open(artifact.path("ready", "data"), "r+b") as f:
            f.seek(BIG // 2)
            f.write(b"x" if artifact.data[BIG // 2] != ord("x") else b"y")
        host.start()
        artifact.failed("worker", "damaged in the spool")
    equal(tc.requests, [])


@test("more than 5 GiB are an error artifact, which says why")
def too_large():
    tc = deployment()
    host, task_id = claimed(tc, "s3")
    artifact = host.seal(task_id, size=10)
    size = 5 * 1024**3 + 1
    os.truncate(artifact.path("ready", "data"), size)  # nothing of it takes disk
    record = json.load(open(artifact.path("ready", "record.json")))
    with open(artifact.path("ready", "record.json"), "w") as f:
        json.dump(dict(record, size=size), f)
    host.start()
    artifact.failed("task", "5368709121 bytes", "5 GiB at most")
    if isinstance(tc, Deployment):
        row = tc.find_artifact((task_id, 0, NAME))
        equal((row["storageType"], row["reason"]), ("error", "too-large-file-on-worker"))
        contains(row["message"], "5 GiB at most")


@test("the whole road: built, exported and uploaded with the credentials that the worker registers and replaces")
def whole_road():
    tc = fake()
    engine = Engine()
    cleanup(engine.stop)
    engine.start().image("busybox:1.36")
    store = {"type": "taskcluster", "taskcluster": {"rootUrl": tc.root_url, "storageType": "object"}}
    proxy = Proxy(engine.socket, uploader=True, **{"store": store})
    cleanup(proxy.stop)
    proxy.start()
    task_id = tc.create_task()
    names = {NAME: {"image": "app:1"}, "public/none.tar": {"image": "none:1"}}
    task = proxy.task(
        task_id,
        payload={"features": {"dind": True}, "dind": {"artifacts": names}},
        expires=stamp(tc.now() + 7200),
        credentials=tc.claim(task_id, seconds=-600),
    )
    cleanup(task.end)
    done = task.docker("build", "-t", "app:1", "-", stdin="FROM busybox:1.36\nRUN echo x >/x\n", program="/usr/bin/docker")
    equal(done.returncode, 0, done.stdout)
    proxy.good("POST", task.path + "/finish", status=202)
    until(lambda: tc.seen("POST", CREATE), "credentials that have expired are refused", 60 * SLOW)
    proxy.good("PUT", task.path + "/credentials", tc.task_credentials(task_id), status=204)
    ended = until(task._settled, "both are through", 60 * SLOW)
    image, none = ended[NAME], ended["public/none.tar"]
    equal((image["state"], image["storageType"]), ("done", "object"), str(image))
    equal(hashlib.sha256(stored(tc, task_id)).hexdigest(), image["sha256"])
    equal(image["url"], "%s/api/queue/v1/task/%s/runs/0/artifacts/public%%2Fimage.tar.zst" % (tc.root_url, task_id))
    equal((none["state"], none["fault"]), ("failed", "task"), str(none))
    contains(none["error"], "the task has no image 'none:1'")
    row = tc.find_artifact((task_id, 0, "public/none.tar"))
    equal((row["storageType"], row["reason"], row["message"]), ("error", "file-missing-on-worker", none["error"]))
    lacks(proxy.log(1000), "X-Amz")


ERROR = {"errorReason": "file-missing-on-worker", "errorMessage": "there is no app:1"}


@test("why there is no artifact is an artifact, also when the queue is away for a while")
def error_artifact():
    tc = fake()
    tc.faults.append(Fault("POST", CREATE, "status", 2, status=503))
    for kind in ("s3", "object"):
        host, task_id = claimed(tc, kind)
        artifact = host.seal(task_id, data=b"", error=ERROR)
        host.start()
        artifact.failed("task", "there is no app:1")
        row = tc.find_artifact((task_id, 0, NAME))
        equal((row["storageType"], row["reason"], row["message"]), ("error", "file-missing-on-worker", "there is no app:1"))


@test("four at a time, and all arrive")
def many():
    tc, count = deployment(), 10
    for kind in ("s3", "object"):
        host, task_id = claimed(tc, kind)
        artifacts = [host.seal(task_id, "public/%d.tar.zst" % n, size=100000 + n) for n in range(count)]
        host.start()
        for a in artifacts:
            a.done()


@test("the service gets what it asks for: no retry before the Retry-After of its answer")
def retry_after():
    tc = fake()
    tc.faults.append(Fault("POST", CREATE, "status", 1, status=503, headers={"Retry-After": "2"}))
    start = time.monotonic()
    uploaded("s3", tc)
    ok(time.monotonic() - start >= 2, "2 s have passed")


main()
