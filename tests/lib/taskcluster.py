"""A small Taskcluster deployment for tests: queue, object service, index and the bucket behind pre-signed URLs.

    with Deployment() as tc: tc.root_url, tc.create_task(), tc.claim(task_id), tc.faults.append(Fault(...))

It answers what real ones (v106) answer, the unfriendly answers included: a second createArtifact of an `object` artifact
is a 500, `contentLength` with it makes finishArtifact a 500 for ever, a run that is over takes nothing (409), and so on.
Every MAC is verified here by the formula, and once more by the `hawk` package under node when that can be had.

Real(root_url, credentials) has the same calls (create_task, claim, ..) for a real deployment.
"""
import base64
import hashlib
import hmac
import http.client
import http.server
import json
import os
import re
import socket
import struct
import subprocess
import threading
import time
import urllib.parse
from email.utils import formatdate

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NPM = os.path.join(ROOT, "build", "npm")
PACKAGES = ["taskcluster-client@87.1.3", "hawk@9.0.1"]
SCRIPT = os.path.join(ROOT, "tests", "lib", "taskcluster_node.mjs")
WINDOW = 15 * 60  # seconds that a Hawk timestamp may be off
GRACE = 5 * 60  # and a certificate's start and end
URL_SECONDS = 45 * 60
REASONS = ("file-missing-on-worker", "invalid-resource-on-worker", "too-large-file-on-worker", "file-not-readable-on-worker")


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ".%03dZ" % (int(seconds * 1000) % 1000)


def from_stamp(text):
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text):
        raise Refused(400, "InputValidationError", "%r is not a date-time" % text)
    import calendar

    whole, _, rest = text[:-1].partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + (rest or "0"))


def slug():
    return base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")


def b64(data):
    return base64.b64encode(data).decode()


def mac(key, text):
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()


def satisfies(have, wanted):
    return any(s == wanted or (s.endswith("*") and wanted.startswith(s[:-1])) for s in have)


# --- Hawk, both sides, by the formula


def hawk_mac(key, ts, nonce, method, resource, host, port, hash_, ext):
    text = "hawk.1.header\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n" % (ts, nonce, method, resource, host.lower(), port, hash_ or "", ext or "")
    return b64(mac(key, text))


def hawk_hash(content_type, body):
    kind = content_type.split(";")[0].strip().lower().encode()
    return b64(hashlib.sha256(b"hawk.1.payload\n" + kind + b"\n" + body + b"\n").digest())


def hawk_header(credentials, method, url):
    at = urllib.parse.urlsplit(url)
    port = at.port or (443 if at.scheme == "https" else 80)
    resource = at.path + ("?" + at.query if at.query else "")
    ext = ""
    if credentials.get("certificate"):
        ext = b64(json.dumps({"certificate": json.loads(credentials["certificate"])}).encode())
    ts, nonce = int(time.time()), slug()[:8]
    value = hawk_mac(credentials["accessToken"], ts, nonce, method, resource, at.hostname, port, "", ext)
    more = ', ext="%s"' % ext if ext else ""
    return 'Hawk id="%s", ts="%d", nonce="%s"%s, mac="%s"' % (credentials["clientId"], ts, nonce, more, value)


def temporary(issuer, client_id, scopes, start, expiry):
    """Temporary credentials that a permanent client issues for a name of its choice."""
    seed = slug() + slug()
    start, expiry = int(start * 1000), int(expiry * 1000)
    text = "\n".join(
        ["version:1", "clientId:" + client_id, "issuer:" + issuer["clientId"], "seed:" + seed, "start:%d" % start, "expiry:%d" % expiry, "scopes:"]
        + scopes
    )
    certificate = {"version": 1, "scopes": scopes, "start": start, "expiry": expiry, "seed": seed}
    certificate.update(signature=b64(mac(issuer["accessToken"], text)), issuer=issuer["clientId"])
    token = base64.urlsafe_b64encode(mac(issuer["accessToken"], seed)).decode().rstrip("=")
    return {"clientId": client_id, "accessToken": token, "certificate": json.dumps(certificate)}


# --- node: the hawk package and the official client


def npm_modules():
    """The directory of the packages, installed when they are missing; None with a reason when that does not work."""
    if os.path.isdir(os.path.join(NPM, "node_modules", "taskcluster-client")):
        return NPM, None
    os.makedirs(NPM, exist_ok=True)
    words = ["npm", "install", "--prefix", NPM, "--no-audit", "--no-fund", "--loglevel=error", *PACKAGES]
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180, text=True)
    except (OSError, subprocess.TimeoutExpired) as e:
        return None, "npm: %s" % e
    if done.returncode != 0:
        return None, "npm cannot deliver %s" % " ".join(PACKAGES)
    return NPM, None


class HawkPackage:
    """`hawk` under node, one line a question; None of its code is ours."""

    def __init__(self, modules):
        self.lock = threading.Lock()
        self.asked = 0
        self.process = subprocess.Popen(["node", SCRIPT, modules, "hawk"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def verify(self, **question):
        with self.lock:
            self.asked += 1
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())["error"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


# --- the deployment


class Refused(Exception):
    """An answer of the API that is an error."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Fault:
    """What happens instead of (or after) a request's own work, for the next `times` requests that match.

    what: status (with body, headers), close (before the work), lost (after it), stall (silence), garbage (a 200 that is no
    JSON), cut (half of the answer), reset (after `at` bytes of the body), corrupt (a byte of the body is another),
    expire (the URL's time is over), or a function of the request. The first `skip` that match are left alone.
    """

    def __init__(self, method, path, what, times=1, skip=0, **more):
        self.method, self.path, self.what, self.times, self.more = method, re.compile(path), what, times, more
        self.skip = skip

    def hits(self, method, path):
        if self.times <= 0 or self.method != method or not self.path.search(path):
            return False
        self.skip -= 1
        return self.skip < 0


class Deployment:
    def __init__(self, hawk=True, anonymous=("queue:list-artifacts:*", "queue:get-artifact:public/*", "queue:status:*", "index:find-task:*")):
        self.client = {"clientId": "static/taskcluster/root", "accessToken": slug() + slug()}
        self.anonymous = list(anonymous)
        self.tasks, self.artifacts, self.objects, self.bucket, self.indexed = {}, {}, {}, {}, {}
        self.faults, self.requests = [], []
        self.ranges = True  # the bucket sends parts
        self.offset = 0  # seconds that its clock is ahead
        self.url_seconds = URL_SECONDS
        self.url_key = slug()
        self.wrong_macs = []  # where formula and package did not agree
        self.lock = threading.RLock()
        modules, self.no_hawk = npm_modules() if hawk else (None, "not asked for")
        self.hawk = HawkPackage(modules) if modules else None
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.home = self
        self.port = self.server.server_address[1]
        self.root_url = "http://127.0.0.1:%d" % self.port
        self.stopped = threading.Event()
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()
        if self.hawk:
            self.hawk.close()
            self.hawk = None

    def now(self):
        return time.time() + self.offset

    # --- what a test does

    def create_task(self, expires=86400, state="pending"):
        task_id = slug()
        self.tasks[task_id] = {"expires": self.now() + expires, "runs": [state]}
        return task_id

    def claim(self, task_id, run_id=0, seconds=1200, scopes=()):
        """Credentials as claimWork gives them."""
        self.tasks[task_id]["runs"][run_id] = "running"
        return self.task_credentials(task_id, run_id, seconds, scopes)

    def task_credentials(self, task_id, run_id=0, seconds=1200, scopes=()):
        until = self.now() + seconds
        name = "task-client/%s/%d/on/wg/w1/until/%d" % (task_id, run_id, until)
        own = ["queue:%s:%s/%d" % (verb, task_id, run_id) for verb in ("reclaim-task", "resolve-task", "create-artifact")]
        return temporary(self.client, name, own + list(scopes), min(self.now(), until) - 900, until)

    def resolve(self, task_id, run_id=0, state="completed"):
        self.tasks[task_id]["runs"][run_id] = state

    def rerun(self, task_id, state="pending"):
        self.tasks[task_id]["runs"].append(state)

    def put(self, task_id, name, data, kind="s3", run_id=0, encoding="", expires=3600, **row):
        """An artifact of a task, however it came there: the bytes as they are stored."""
        key = (task_id, run_id, name)
        row = {"storageType": kind, "present": True, "expires": self.now() + expires, "contentType": "application/x-tar", **row}
        path = self.s3_path(key)
        if kind == "object":
            row["objectName"] = "t/%s/%d/%s" % key
            path = "/s3/objects/" + urllib.parse.quote(row["objectName"], safe="/")
            hashes = {"sha256": hashlib.sha256(data).hexdigest(), "sha512": hashlib.sha512(data).hexdigest()}
            self.objects[row["objectName"]] = {"finished": True, "hashes": row.pop("hashes", hashes)}
        self.artifacts[key] = row
        if data is not None:
            self.bucket[path] = (data, "application/x-tar", encoding)
        return path

    def seen(self, method, path):
        """The requests so far that match."""
        return [r for r in self.requests if r["method"] == method and re.search(path, r["path"])]

    # --- who asks

    def authenticate(self, request):
        """(clientId, scopes) of who signed a request; (None, anonymous) when nobody did."""
        header = request["headers"].get("Authorization")
        if header is None:
            return None, self.anonymous
        if not header.startswith("Hawk "):
            raise Refused(401, "AuthenticationFailed", "Unauthorized: Bad header format")
        attributes = dict(re.findall(r'(\w+)="([^"\\]*)"', header[5:]))
        key, scopes = self.key_of(attributes)
        problem = self.check_mac(request, attributes, key)
        if self.hawk:
            theirs = self.ask_package(request, header, key)
            if bool(theirs) != bool(problem):
                self.wrong_macs.append((request["method"], request["path"], problem, theirs))
            problem = theirs or problem
        if problem:
            raise Refused(401, "AuthenticationFailed", "Unauthorized: " + problem)
        return attributes["id"], scopes + self.anonymous

    def key_of(self, attributes):
        ext = {}
        if attributes.get("ext"):
            try:
                ext = json.loads(base64.b64decode(attributes["ext"], validate=True))
            except ValueError:
                raise Refused(401, "AuthenticationFailed", "Failed to parse ext") from None
        certificate = ext.get("certificate")
        if certificate is None:
            if attributes.get("id") != self.client["clientId"]:
                raise Refused(401, "AuthenticationFailed", "Unauthorized: Client with clientId '%s' not found" % attributes.get("id"))
            key, scopes = self.client["accessToken"], ["*"]
        else:
            key, scopes = self.key_of_certificate(attributes["id"], certificate)
        wanted = ext.get("authorizedScopes")
        if wanted is not None:
            for scope in wanted:
                if not satisfies(scopes + self.anonymous, scope):
                    text = "Supplied credentials do not satisfy authorizedScopes; credentials have scopes:\n\n" + "\n".join(scopes)
                    raise Refused(401, "AuthenticationFailed", text)
            scopes = list(wanted)
        return key, scopes

    def key_of_certificate(self, client_id, c):
        now = self.now() * 1000
        ok = isinstance(c, dict) and c.get("version") == 1 and len(c.get("seed", "")) == 44
        if not ok or c.get("issuer") != self.client["clientId"]:
            raise Refused(401, "AuthenticationFailed", "ext.certificate is not valid")
        if c["start"] > now + GRACE * 1000:
            raise Refused(401, "AuthenticationFailed", "ext.certificate.start > now")
        if c["expiry"] < now - GRACE * 1000:
            raise Refused(401, "AuthenticationFailed", "ext.certificate.expiry < now")
        if c["expiry"] - c["start"] > 31 * 86400 * 1000:
            raise Refused(401, "AuthenticationFailed", "ext.certificate cannot last longer than 31 days!")
        lines = ["version:1", "clientId:" + client_id, "issuer:" + c["issuer"], "seed:" + c["seed"]]
        lines += ["start:%d" % c["start"], "expiry:%d" % c["expiry"], "scopes:"] + c["scopes"]
        if c["signature"] != b64(mac(self.client["accessToken"], "\n".join(lines))):
            raise Refused(401, "AuthenticationFailed", "ext.certificate.signature is not valid, or wrong clientId provided")
        token = mac(self.client["accessToken"], c["seed"])
        return base64.urlsafe_b64encode(token).decode().rstrip("="), list(c["scopes"])

    def check_mac(self, request, a, key):
        want = hawk_mac(key, a.get("ts"), a.get("nonce"), request["method"], request["path"], "127.0.0.1", self.port, a.get("hash"), a.get("ext"))
        if not hmac.compare_digest(want, a.get("mac", "")):
            return "Bad mac"
        if abs(self.now() - int(a["ts"])) > WINDOW:
            return "Stale timestamp"
        kind = request["headers"].get("Content-Type", "")
        if a.get("hash") and a["hash"] != hawk_hash(kind, request["body"]):
            return "Bad payload hash"
        return ""

    def ask_package(self, request, header, key):
        with_hash = ' hash="' in header
        return self.hawk.verify(
            method=request["method"],
            url=request["path"],
            host="127.0.0.1",
            port=self.port,
            authorization=header,
            key=key,
            offset=self.offset * 1000,
            payload=request["body"].decode("utf-8", "replace") if with_hash else None,
            contentType=request["headers"].get("Content-Type"),
        )

    # --- queue

    def run_of(self, task_id, run_id):
        task = self.tasks.get(task_id)
        if task is None or run_id >= len(task["runs"]):
            raise Refused(400, "InputError", "Task with taskId: `%s` does not exist, or has no run %d" % (task_id, run_id))
        return task, task["runs"][run_id]

    def create_artifact(self, task_id, run_id, name, body):
        kind = body.get("storageType")
        self.check_input(kind, body)
        task, state = self.run_of(task_id, run_id)
        if len(name) > 1024:
            raise Refused(500, "InternalServerError", "Internal Server Error, incidentId x.")
        if not all(0x20 <= ord(c) <= 0x7E for c in name):
            raise Refused(400, "InvalidRequestArguments", "The artifact name is not printable ASCII")
        if state in ("completed", "failed"):
            raise Refused(409, "RequestConflict", "Run %d was already resolved; artifacts cannot be created" % run_id)
        if state == "pending":
            raise Refused(400, "InputError", "Run %d has not been claimed" % run_id)
        expires = from_stamp(body["expires"])
        if expires > task["expires"] + 0.001:
            raise Refused(400, "InputError", "Artifact expires after task expires")
        if expires < self.now() - 900:
            raise Refused(400, "InputError", "Expires must be in the future")
        return self.keep_artifact((task_id, run_id, name), kind, body, expires)

    def check_input(self, kind, body):
        known = {
            "s3": {"contentType", "contentLength"},
            "object": {"contentType", "contentLength"},
            "error": {"reason", "message"},
            "reference": {"contentType", "url"},
        }.get(kind)
        problem = known is None or set(body) - known - {"storageType", "expires"} or "expires" not in body
        if not problem and kind != "error":
            problem = "contentType" not in body
        if not problem and kind == "error":
            problem = body.get("reason") not in REASONS or len(body.get("message", "x" * 5000)) > 4096
        if problem:
            raise Refused(400, "InputValidationError", "Schema validation failed!\nRejecting Schema: create-artifact-request.json")

    def keep_artifact(self, key, kind, body, expires):
        there = self.artifacts.get(key)
        if there is not None and kind == "object" and there["storageType"] == "object":
            raise Refused(500, "InternalServerError", "Internal Server Error, incidentId y.")  # and so it is
        if there is not None:
            same = there["storageType"] == kind and there.get("contentType") == body.get("contentType")
            same = same and (kind != "error" or there["reason"] == body["reason"])
            if not same or expires < there["expires"] - 0.001:
                raise Refused(409, "RequestConflict", "Artifact already exists, with different properties")
        row = self.artifacts.setdefault(key, {"storageType": kind, "present": kind != "object"})
        row.update(expires=expires, contentType=body.get("contentType"), body=body)
        row.update({k: body[k] for k in ("reason", "message", "url") if k in body})
        if kind == "s3":
            return self.answer_s3(key, body)
        return self.answer_object(key, body, row) if kind == "object" else {"storageType": kind}

    def answer_s3(self, key, body):
        path = self.s3_path(key)
        url = self.sign_url("PUT", path, self.url_seconds, {})
        return {"storageType": "s3", "contentType": body["contentType"], "expires": stamp(self.now() + URL_SECONDS), "putUrl": url}

    def s3_path(self, key):
        task_id, run_id, name = key
        bucket = "public-bucket" if name.startswith("public/") else "private-bucket"
        return "/s3/%s/%s/%d/%s" % (bucket, task_id, run_id, urllib.parse.quote(name, safe="/"))

    def answer_object(self, key, body, row):
        task_id, run_id, name = key
        full = "t/%s/%d/%s" % (task_id, run_id, name)
        row.update(objectName=full, uploadId=slug(), withLength="contentLength" in body)
        who = "artifact-upload/%s/%d/on/wg/w1" % (task_id, run_id)
        scopes = ["object:upload:testproj:" + full]
        return {
            "storageType": "object",
            "name": full,
            "projectId": "testproj",
            "uploadId": row["uploadId"],
            "expires": body["expires"],
            "credentials": temporary(self.client, who, scopes, self.now() - 900, self.now() + 86000),
        }

    def finish_artifact(self, key, body):
        row = self.artifacts.get(key)
        if row is None:
            raise Refused(404, "ResourceNotFound", "Artifact not found")
        if row["storageType"] != "object":
            raise Refused(400, "InputError", "Artifact is not of storage type object")
        if not row["present"] and row["uploadId"] != body.get("uploadId"):
            raise Refused(400, "InputError", "Incorrect uploadId")
        if not self.objects.get(row["objectName"], {}).get("finished"):
            raise Refused(400, "InputError", "Object storing artifact data does not exist")
        row["present"] = True
        if row["withLength"]:
            raise Refused(500, "InternalServerError", "Internal Server Error, incidentId z.")  # upstream's schema lacks it
        return None

    def find_artifact(self, key):
        row = self.artifacts.get(key)
        if row is None or not row["present"]:
            raise Refused(404, "ResourceNotFound", "Artifact not found")
        return row

    def artifact_content(self, key):
        row = self.find_artifact(key)
        if row["expires"] < self.now():
            raise Refused(410, "ResourceExpired", "Artifact has expired")
        kind = row["storageType"]
        if kind == "s3":
            path = self.s3_path(key)
            public = key[2].startswith("public/")
            return {"storageType": "s3", "url": self.root_url + path if public else self.sign_url("GET", path, 1800, {})}
        if kind == "object":
            scopes = ["object:download:" + row["objectName"]]
            given = temporary(self.client, "artifact-download/x", scopes, self.now() - 900, self.now() + 3600)
            return {"storageType": "object", "name": row["objectName"], "credentials": given}
        return {"storageType": kind, **{k: row[k] for k in ("reason", "message", "url") if k in row}}

    # --- object service

    def create_upload(self, name, body):
        there = self.objects.get(name)
        same = there and all(there[k] == body.get(k) for k in ("uploadId", "expires", "projectId"))
        if there and (there["finished"] or not same):
            raise Refused(409, "RequestConflict", "Object already exists")
        row = self.objects.setdefault(name, {"finished": False, "hashes": {}})
        row.update({k: body[k] for k in ("uploadId", "expires", "projectId")})
        methods = body["proposedUploadMethods"]
        method = {}
        if "dataInline" in methods:
            data = base64.b64decode(methods["dataInline"]["objectData"], validate=True)
            if len(data) >= 8192:
                raise Refused(400, "InputValidationError", "objectData is too long")
            self.bucket["/s3/objects/" + urllib.parse.quote(name, safe="/")] = (data, methods["dataInline"]["contentType"], "")
            method = {"dataInline": True}
        elif "putUrl" in methods:
            method = {"putUrl": self.put_method(name, methods["putUrl"])}
        return {"projectId": body["projectId"], "uploadId": body["uploadId"], "expires": body["expires"], "uploadMethod": method}

    def put_method(self, name, wanted):
        signed = {"content-type": wanted["contentType"], "content-length": str(wanted["contentLength"])}
        url = self.sign_url("PUT", "/s3/objects/" + urllib.parse.quote(name, safe="/"), self.url_seconds, signed)
        headers = {"Content-Type": wanted["contentType"], "Content-Length": str(wanted["contentLength"]), "Content-Encoding": "identity"}
        return {"url": url, "expires": stamp(self.now() + self.url_seconds), "headers": headers}

    def finish_upload(self, name, body):
        row = self.objects.get(name)
        if row is None:
            raise Refused(404, "ResourceNotFound", "Object not found")
        if row["uploadId"] != body.get("uploadId"):
            raise Refused(409, "RequestConflict", "uploadId does not match")
        hashes = body.get("hashes", {})
        for kind, length in (("sha256", 64), ("sha512", 128)):
            if kind in hashes and not re.fullmatch("[0-9a-f]{%d}" % length, hashes[kind]):
                raise Refused(400, "InputValidationError", "hashes.%s does not match the pattern" % kind)
        if row["finished"] and any(row["hashes"].get(k) != v for k, v in hashes.items()):
            raise Refused(409, "RequestConflict", "Hashes do not match")
        row["hashes"].update(hashes)
        row["finished"] = True
        return {}

    def start_download(self, name, body):
        row = self.objects.get(name)
        if row is None or not row["finished"]:
            raise Refused(404, "ResourceNotFound", "Object not found")
        if not body.get("acceptDownloadMethods", {}).get("getUrl"):
            raise Refused(406, "NoMatchingMethod", "No matching download method")
        url = self.sign_url("GET", "/s3/objects/" + urllib.parse.quote(name, safe="/"), 120, {})
        return {"method": "getUrl", "url": url, "expires": stamp(self.now() + 60), "hashes": row["hashes"]}

    # --- the bucket

    def sign_url(self, method, path, seconds, signed):
        query = [("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")]
        query += [("X-Amz-Date", "%d" % self.now()), ("X-Amz-Expires", str(seconds))]
        query += [("X-Amz-SignedHeaders", ";".join(sorted([*signed, "host"]))), ("x-id", "PutObject" if method == "PUT" else "GetObject")]
        text = urllib.parse.urlencode(query)
        return "%s%s?%s&X-Amz-Signature=%s" % (self.root_url, path, text, self.url_mac(method, path, text, signed))

    def url_mac(self, method, path, query, signed):
        return mac(self.url_key, "\n".join([method, path, query] + ["%s:%s" % kv for kv in sorted(signed.items())])).hex()

    def check_url(self, request, expired=False):
        path, _, query = request["path"].partition("?")
        query, _, signature = query.partition("&X-Amz-Signature=")
        values = dict(urllib.parse.parse_qsl(query))
        if not signature:
            if request["method"] == "GET" and path.startswith("/s3/public-bucket/"):
                return
            raise Refused(403, "AccessDenied", "Access Denied")
        names = [n for n in values.get("X-Amz-SignedHeaders", "").split(";") if n != "host"]
        signed = {n: request["headers"].get(n, "") for n in names}
        if signature != self.url_mac(request["method"], path, query, signed):
            raise Refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
        if expired or int(values["X-Amz-Date"]) + int(values["X-Amz-Expires"]) < self.now():
            raise Refused(403, "AccessDenied", "Request has expired")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # clients go away, and are made to


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "tc"

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return formatdate(self.server.home.now(), usegmt=True)

    def handle_any(self):
        self.home = self.server.home
        request = {"method": self.command, "path": self.path, "headers": self.headers, "body": b"", "client": None, "scopes": None, "status": 0}
        with self.home.lock:
            self.home.requests.append(request)
            fault = next((f for f in self.home.faults if f.hits(self.command, self.path)), None)
            if fault:
                fault.times -= 1
        request["fault"] = fault and fault.what
        try:
            self.answer(request, fault)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

    # --- in and out

    def read_body(self, request, fault):
        if self.headers.get("Transfer-Encoding"):
            raise Refused(501, "NotImplemented", "A header you provided implies functionality that is not implemented.")
        left = int(self.headers.get("Content-Length") or 0)
        if fault and fault.what == "reset":
            self.rfile.read(min(left, fault.more.get("at", 1)))
            return False
        parts = []
        while left > 0:
            part = self.rfile.read(min(left, 1 << 20))
            if not part:
                return False
            parts.append(part)
            left -= len(part)
        request["body"] = b"".join(parts)
        return True

    def send(self, request, status, headers, body, fault=None):
        request["status"] = status
        if fault and fault.what == "lost":
            return self.drop()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault and fault.what == "cut":
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            return self.drop()
        self.wfile.write(body)

    def drop(self):
        """A reset, not a polite end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def answer(self, request, fault):
        bucket = self.path.startswith("/s3/")
        what = fault.what if fault else None
        if what == "close" or not self.read_body(request, fault):
            return self.drop()
        if callable(what):
            what(request)
        elif what == "stall":
            self.home.stopped.wait(fault.more.get("seconds", 3600))
            return self.drop()
        elif what == "garbage":
            return self.send(request, 200, {"Content-Type": "text/html"}, b"<html>Welcome to the hotel</html>")
        elif what == "status":
            return self.send(request, fault.more["status"], fault.more.get("headers", {}), fault.more.get("body", b""))
        try:
            with self.home.lock:
                status, headers, body = self.work_bucket(request, what) if bucket else self.work_api(request)
        except Refused as e:
            status, headers, body = self.refusal(e, bucket)
        self.send(request, status, headers, body, fault)

    def refusal(self, e, bucket):
        if bucket:
            text = '<?xml version="1.0"?>\n<Error><Code>%s</Code><Message>%s</Message></Error>' % (e.code, e.message)
            return e.status, {"Content-Type": "application/xml"}, text.encode()
        body = {"code": e.code, "message": e.message + "\n\n---\n\n* method: x", "requestInfo": {"method": "x", "params": {}, "payload": {}}}
        more = {"www-authenticate": "hawk"} if e.status == 401 else {}
        return e.status, {"Content-Type": "application/json", **more}, json.dumps(body).encode()

    # --- the bucket

    def work_bucket(self, request, what):
        path = self.path.partition("?")[0]
        self.home.check_url(request, expired=what == "expire")
        if request["method"] == "PUT":
            if self.headers.get("Content-Length") is None:
                raise Refused(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
            data = request["body"]
            if what == "corrupt":
                data = bytes([data[0] ^ 1]) + data[1:]
            self.home.bucket[path] = (data, self.headers.get("Content-Type", ""), self.headers.get("Content-Encoding", ""))
            return 200, {"ETag": '"%s"' % hashlib.md5(data).hexdigest()}, b""
        if path not in self.home.bucket:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        return self.read_bucket(*self.home.bucket[path], what)

    def read_bucket(self, data, kind, encoding, what):
        """As S3 does: ranges, If-Match; what is stored with a Content-Encoding is sent with it."""
        headers = {"Content-Type": kind, "ETag": '"%s"' % hashlib.md5(data).hexdigest()}
        if encoding not in ("", "identity"):
            headers["Content-Encoding"] = encoding
        if self.headers.get("If-Match") not in (None, headers["ETag"]):
            raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        if what == "corrupt":
            data = data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not wanted or not self.home.ranges:
            return 200, headers, data
        first, last = int(wanted[1]), min(int(wanted[2] or len(data) - 1), len(data) - 1)
        if first >= len(data):
            raise Refused(416, "InvalidRange", "The requested range is not satisfiable")
        return 206, {**headers, "Content-Range": "bytes %d-%d/%d" % (first, last, len(data))}, data[first : last + 1]

    # --- the APIs: one row a call: method, path, scope, verb

    def work_api(self, request):
        path = self.path.partition("?")[0]
        for method, pattern, scope, verb in ROUTES:
            found = re.fullmatch(pattern, path)
            if not found or method != request["method"]:
                continue
            words = {k: urllib.parse.unquote(v) for k, v in found.groupdict().items()}
            who, scopes = self.home.authenticate(request)
            request.update(client=who, scopes=scopes)
            body = self.read_json(request) if method in ("PUT", "POST") else {}
            need = scope.format(**words, projectId=body.get("projectId", ""))
            if need and not satisfies(scopes, need):
                raise Refused(403, "InsufficientScopes", "Client ID %s does not have sufficient scopes and is missing the following scopes:\n\n%s" % (who, need))
            return verb(self.home, words, body)
        return 404, {"Content-Type": "application/json"}, b'{"error": "Not found"}'

    def read_json(self, request):
        if self.headers.get("Content-Type") != "application/json":
            raise Refused(400, "MalformedPayload", "Payload must be JSON with content-type: application/json")
        try:
            return json.loads(request["body"])
        except ValueError:
            raise Refused(400, "MalformedPayload", "Request body is not valid JSON") from None


def reply(value, status=200, **headers):
    return status, {"Content-Type": "application/json", **headers}, b"" if value is None else json.dumps(value).encode()


def key_of(home, words):
    task_id = words["task"]
    if "run" in words:
        return task_id, int(words["run"]), words["name"]
    task = home.tasks.get(task_id)
    if task is None:
        raise Refused(404, "ResourceNotFound", "Task not found")
    return task_id, len(task["runs"]) - 1, words["name"]


def redirect_to(home, words, _):
    key = key_of(home, words)
    row = home.find_artifact(key)
    if row["storageType"] == "error":
        return reply({"reason": row["reason"], "message": row["message"]}, 424)
    if row["storageType"] == "object":
        url = home.start_download(row["objectName"], {"acceptDownloadMethods": {"getUrl": True}})["url"]
    else:
        url = home.artifact_content(key)["url"]
    return reply({"storageType": row["storageType"], "url": url}, 303, Location=url)


def info(home, words, _):
    row = home.find_artifact(key_of(home, words))
    return reply({"name": words["name"], "storageType": row["storageType"], "expires": stamp(row["expires"]), "contentType": row["contentType"]})


def status(home, words, _):
    task = home.tasks.get(words["task"])
    if task is None:
        raise Refused(404, "ResourceNotFound", "Task not found")
    runs = [{"runId": n, "state": state} for n, state in enumerate(task["runs"])]
    return reply({"status": {"taskId": words["task"], "state": task["runs"][-1] if runs else "unscheduled", "runs": runs}})


def find_task(home, words, _):
    if words["name"] not in home.indexed:
        raise Refused(404, "ResourceNotFound", "Indexed task not found")
    return reply({"namespace": words["name"], "taskId": home.indexed[words["name"]], "rank": 0, "data": {}, "expires": stamp(home.now() + 86400)})


RUN = "/api/queue/v1/task/(?P<task>[^/]+)/runs/(?P<run>[0-9]+)"
TASK = "/api/queue/v1/task/(?P<task>[^/]+)"
NAME = "/(?P<name>.+)"  # the queue takes slashes raw as well
ONE = "/(?P<name>[^/]+)"  # the object service does not
GET = "queue:get-artifact:{name}"
ROUTES = [
    ("POST", RUN + "/artifacts" + NAME, "queue:create-artifact:{task}/{run}", lambda h, w, b: reply(h.create_artifact(w["task"], int(w["run"]), w["name"], b))),
    ("PUT", RUN + "/artifacts" + NAME, "queue:create-artifact:{task}/{run}", lambda h, w, b: reply(h.finish_artifact(key_of(h, w), b), 204)),
    ("GET", RUN + "/artifacts" + NAME, GET, redirect_to),
    ("GET", TASK + "/artifacts" + NAME, GET, redirect_to),
    ("GET", RUN + "/artifact-content" + NAME, GET, lambda h, w, b: reply(h.artifact_content(key_of(h, w)))),
    ("GET", TASK + "/artifact-content" + NAME, GET, lambda h, w, b: reply(h.artifact_content(key_of(h, w)))),
    ("GET", TASK + "/status", "queue:status:{task}", status),
    ("GET", RUN + "/artifact-info" + NAME, "queue:list-artifacts:{task}:{run}", info),
    ("PUT", "/api/object/v1/upload" + ONE, "object:upload:{projectId}:{name}", lambda h, w, b: reply(h.create_upload(w["name"], b))),
    ("POST", "/api/object/v1/finish-upload" + ONE, "object:upload:{projectId}:{name}", lambda h, w, b: reply(h.finish_upload(w["name"], b))),
    ("PUT", "/api/object/v1/start-download" + ONE, "object:download:{name}", lambda h, w, b: reply(h.start_download(w["name"], b))),
    ("GET", "/api/index/v1/task" + NAME, "index:find-task:{name}", find_task),
]


# --- a real one


class Real:
    """A deployment that is there already: makes and claims tasks with the credentials given."""

    def __init__(self, root_url, credentials):
        self.root_url, self.client = root_url.rstrip("/"), credentials
        self.pool = os.environ.get("TASKCLUSTER_TASK_QUEUE_ID", "built-in/dind-proxy-tests")

    def close(self):
        pass

    def now(self):
        return time.time()

    def call(self, method, path, body=None):
        url = self.root_url + "/api/" + path
        at = urllib.parse.urlsplit(url)
        kind = http.client.HTTPSConnection if at.scheme == "https" else http.client.HTTPConnection
        connection = kind(at.hostname, at.port, timeout=60)
        headers = {"Authorization": hawk_header(self.client, method, url), "Content-Type": "application/json"}
        connection.request(method, at.path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status >= 300:
            raise RuntimeError("%s %s: %d %s" % (method, path, answer.status, text[:300]))
        return json.loads(text) if text else None

    def create_task(self, expires=86400):
        task_id, now = slug(), time.time()
        task = {
            "taskQueueId": self.pool,
            "schedulerId": "-",
            "created": stamp(now),
            "deadline": stamp(now + 3600),
            "expires": stamp(now + expires),
            "payload": {},
            "metadata": {"name": "dind-proxy test", "description": "made by a test", "owner": "tests@example.com", "source": "https://example.com"},
        }
        self.call("PUT", "queue/v1/task/" + task_id, task)
        return task_id

    def claim(self, task_id, run_id=0, seconds=None, scopes=()):
        body = {"workerGroup": "dind-proxy", "workerId": "tests"}
        return self.call("POST", "queue/v1/task/%s/runs/%d/claim" % (task_id, run_id), body)["credentials"]

    def resolve(self, task_id, run_id=0, state="completed"):
        self.call("POST", "queue/v1/task/%s/runs/%d/completed" % (task_id, run_id))
