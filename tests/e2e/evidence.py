"""Evidence: each artifact has a record of how it was built and a signed statement, and whatever was changed is found."""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import base64
import copy
import glob
import gzip
import hashlib
import json
import os
import signal
import subprocess
import tempfile
import urllib.parse

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import rgw
import taskcluster
from engine import Engine
from proxy import SLOW, Proxy, program, slug
from tap import cleanup, contains, equal, lacks, main, ok, test, until

here = {}
DOCKER = "/usr/bin/docker"
SECRET, PUBLIC = "sekrit-9f3b1c", "release-7"
DOCKERFILE = b"""ARG BASE=busybox:1.36
FROM ${BASE} AS build
ARG TOKEN
ARG VERSION
RUN echo "$VERSION" >/version
FROM busybox:1.36
COPY --from=build /version /version
COPY note /note
"""


def setup():
    here["dir"] = tempfile.mkdtemp(prefix="dind-evidence.", dir="/tmp")
    cleanup(subprocess.call, ["rm", "-rf", here["dir"]])
    here["key"], here["public"] = make_key("signer")
    here["engine"] = Engine()
    cleanup(here["engine"].stop)
    here["engine"].start().image("busybox:1.36")
    here["base"] = json.loads(here["engine"].docker("image", "inspect", "busybox:1.36", program=DOCKER).stdout)[0]["Id"]


def make_key(name, mode=0o600):
    """A key of its own, by another implementation than ours: paths of both halves."""
    key = Ed25519PrivateKey.generate()
    private, public = os.path.join(here["dir"], name + ".pem"), os.path.join(here["dir"], name + ".pub")
    with open(private, "wb") as f:
        f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    os.chmod(private, mode)
    with open(public, "wb") as f:
        f.write(key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


def proxy(**settings):
    p = Proxy(here["engine"].socket, uploader=True, **settings)
    cleanup(p.stop)
    p.start()
    return ready(p)


def ready(p):
    """Until then the uploader takes SIGTERM as any program does, and its signer still reads the key."""
    until(lambda: "uploader: ready: " in p.log(200), "the uploader is ready", 20 * SLOW)
    return p


def signing(**settings):
    return proxy(**{"evidence.key": here["key"], "evidence.builder": "https://ci.test/workers", "audit.publicBuildArgs": ["VERSION"], **settings})


def declare(more=None, **artifacts):
    return {"features": {"dind": True}, "dind": {"artifacts": {name: {"image": image, **(more or {})} for name, image in artifacts.items()}}}


def new_task(p, payload):
    task = p.task(payload=payload)
    cleanup(task.end)
    return task


def good(task, *words, **more):
    done = task.docker(*words, program=DOCKER, **more)
    ok(done.returncode == 0, "docker %s: status %d\n%s" % (" ".join(words), done.returncode, done.stdout))
    return done.stdout


def context(note="hello\n", dockerfile=DOCKERFILE):
    path = tempfile.mkdtemp(dir=here["dir"])
    for name, data in (("Dockerfile", dockerfile), ("note", note.encode())):
        with open(os.path.join(path, name), "wb") as f:
            f.write(data)
        os.utime(os.path.join(path, name), (1700000000, 1700000000))
    os.utime(path, (1700000000, 1700000000))
    return path


def build(task, name, path, *words):
    return good(task, "build", "-t", name, *words, path)


def image_id(task, name):
    return json.loads(good(task, "image", "inspect", name))[0]["Id"]


def ctl(p, *words, status=0):
    done = subprocess.run(
        [program("dindctl"), "--config", p.config, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120 * SLOW
    )
    equal(done.returncode, status, "dindctl %s: %s%s" % (" ".join(words), done.stdout, done.stderr))
    return done.stdout if status == 0 else done.stderr


def write(name, data):
    path = os.path.join(here["dir"], name)
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else json.dumps(data).encode())
    return path


def verified(envelope, public):
    """The statement in an envelope, checked by the rules of DSSE and by python3-cryptography, not by us."""
    equal(sorted(envelope), ["payload", "payloadType", "signatures"], "members of the envelope")
    equal(envelope["payloadType"], "application/vnd.in-toto+json")
    body = base64.b64decode(envelope["payload"], validate=True)
    kind = envelope["payloadType"].encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)
    with open(public, "rb") as f:
        key = serialization.load_pem_public_key(f.read())
    (signature,) = envelope["signatures"]
    key.verify(base64.b64decode(signature["sig"], validate=True), signed)
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    equal(signature["keyid"], hashlib.sha256(der).hexdigest(), "the key's id")
    return json.loads(body)


def hash_file(path, kind):
    with open(path, "rb") as f:
        return hashlib.new(kind, f.read()).hexdigest()


def one_artifact(p, payload, name="public/image.tar.gz", finish=True):
    """A task that builds app:1 and hands it over: task, artifact as GET .../artifacts tells of it, file."""
    task = new_task(p, payload)
    build(task, "app:1", context(), "--build-arg", "TOKEN=" + SECRET, "--build-arg", "VERSION=" + PUBLIC, "--label", "who=me")
    artifact = task.finish()[name]
    equal(artifact["state"], "done", str(artifact))
    return task, artifact, p.artifact(task.task_id, name)


@test("a record says what an artifact is, how it was built and of what, and holds no secret")
def record():
    p = signing()
    path, task = context(), new_task(p, declare(**{"public/image.tar.gz": "app:1"}))
    build(task, "app:1", path, "--build-arg", "TOKEN=" + SECRET, "--build-arg", "VERSION=" + PUBLIC)
    good(task, "tag", "app:1", "other:2")
    wanted = image_id(task, "app:1")
    artifact = task.finish()["public/image.tar.gz"]
    r, file = artifact["evidence"], p.artifact(task.task_id, "public/image.tar.gz")
    equal((r["version"], r["kind"], r["name"], r["contentType"]), (1, "artifact", "public/image.tar.gz", "application/gzip"))
    equal((r["sha256"], r["sha512"], r["size"]), (hash_file(file, "sha256"), hash_file(file, "sha512"), os.path.getsize(file)))
    with gzip.open(file) as f:
        tar = f.read()
    equal(r["tar"], {"sha256": hashlib.sha256(tar).hexdigest(), "size": len(tar)})
    seen = json.loads(here["engine"].docker("image", "inspect", wanted, program=DOCKER).stdout)[0]
    equal((r["image"]["id"], r["image"]["name"]), (wanted, "app:1"))
    equal([layer["diffId"] for layer in r["image"]["layers"]], seen["RootFS"]["Layers"], "layers")
    equal(r["builtBy"], {"taskId": task.task_id, "runId": 0})
    version = json.loads(here["engine"].docker("version", "--format", "{{json .Server}}", program=DOCKER).stdout)["Version"]
    equal((r["engine"]["version"], r["build"]["engine"]), (version, version))
    equal((r["builder"]["id"], r["builder"]["name"]), ("https://ci.test/workers", "dind-proxy"))
    b = r["build"]
    equal((b["dockerfile"]["path"], b["dockerfile"]["sha256"]), ("Dockerfile", hashlib.sha256(DOCKERFILE).hexdigest()))
    equal([(x["name"], x["id"], x["own"]) for x in b["bases"]], [("busybox:1.36", here["base"], False)], "base images")
    equal(b["parameters"]["buildargs"], {"TOKEN": "(redacted)", "VERSION": PUBLIC})
    equal((b["names"], b["cache"], b["stages"]), (["app:1"], "private", 2))
    ok(b["started"] <= b["finished"] <= r["created"], "times in their order")
    ok(len(b["context"]["sha256"]) == 64 and b["context"]["entries"] >= 2 and b["context"]["size"] % 512 == 0, str(b["context"]))
    for place in ("state", "spool", "store"):
        for name in glob.glob("%s/%s/**" % (p.dir, place), recursive=True):
            if os.path.isfile(name) and not name.endswith((".tar.gz", "/data")):
                lacks(open(name, "rb").read().decode("latin-1"), SECRET)
    with open(file + ".json") as f:
        equal(json.load(f)["evidence"]["build"], b, "the record beside the artifact")


@test("the same context has the same hash, another has another, and a tag of an id leads to its build")
def contexts():
    p = signing()
    task = new_task(p, declare(**{"a.tar": "a:1", "b.tar": "b:1", "c.tar": "c:1"}))
    build(task, "a:1", context("one\n"))
    build(task, "x:1", context("two\n"))
    build(task, "c:1", context("one\n", b"FROM busybox:1.36\nCOPY note /other\n"))
    good(task, "tag", image_id(task, "x:1"), "b:1")
    done = task.finish()
    a, b, c = (done[n]["evidence"]["build"] for n in ("a.tar", "b.tar", "c.tar"))
    ok(a["context"]["sha256"] != b["context"]["sha256"] != c["context"]["sha256"], "hashes of the contexts")
    equal(a["dockerfile"], b["dockerfile"], "one Dockerfile")
    equal(b["names"], ["x:1"], "the build behind a tag")
    again = new_task(p, declare(**{"a.tar": "a:1"}))
    build(again, "a:1", context("one\n"))
    equal(again.finish()["a.tar"]["evidence"]["build"]["context"], a["context"], "the same files, another task")


@test("an image that was built from own images has the builds of these as ancestors")
def ancestors():
    p = signing()
    task = new_task(p, {"features": {"dind": True}, "dind": {"artifacts": {"c.tar": {"image": "c:1"}, "page.html": {"report": True}}}})
    build(task, "a:1", context("a\n"))
    build(task, "b:1", context(dockerfile=b"FROM a:1\nRUN echo b >/b\n"))
    build(task, "c:1", context(dockerfile=b"FROM busybox:1.36\nCOPY --from=b:1 /b /b\nRUN true >/c\n"))
    ids = {name: image_id(task, name + ":1") for name in "ab"}
    p.crash()
    p.start_daemon()
    both = task.finish()
    equal(both["page.html"]["state"], "done", "what is no image has no statement: %s" % both["page.html"])
    ok("provenance" not in both["page.html"], str(both["page.html"]))
    equal(sorted(json.loads(ctl(p, "task", "evidence", task.id))["artifacts"]), ["c.tar", "page.html"])
    done = both["c.tar"]
    equal(done["state"], "done", str(done))
    r = done["evidence"]
    bases = [(x["name"], x["id"], x["own"]) for x in r["build"]["bases"]]
    equal(bases, [("busybox:1.36", here["base"], False), ("b:1", ids["b"], True)])
    equal([(x["image"], x["names"]) for x in r["ancestors"]], [(ids["b"], ["b:1"]), (ids["a"], ["a:1"])], "over a crash")


@test("an image whose build is not known has a record that says so")
def unknown():
    p = signing()
    task = new_task(p, declare(**{"a.tar": "a:1"}))
    build(task, "a:1", context())
    p._end(p.daemon, "dind-proxyd")
    journal = "%s/state/tasks/%s/owned.jsonl" % (p.dir, task.id)
    with open(journal) as f:
        lines = [json.loads(line) for line in f]
    ok(any([line.pop("build", None) for line in lines]), "the journal knew it")
    with open(journal, "w") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)
    p.start_daemon()
    artifact = task.finish()["a.tar"]
    equal(artifact["evidence"]["build"], None)
    contains(artifact["evidence"]["buildUnknown"], "not known")
    statement = verified(artifact["provenance"], here["public"])
    equal(statement["predicate"]["buildDefinition"]["resolvedDependencies"], [])
    ok("startedOn" not in statement["predicate"]["runDetails"]["metadata"], "no times are invented")


@test("the statement is in-toto v1 with SLSA provenance v1, field by field, and another implementation finds it signed")
def statement():
    p = signing()
    task, artifact, file = one_artifact(p, declare({"provenance": True}, **{"public/image.tar.gz": "app:1"}))
    s, r = verified(artifact["provenance"], here["public"]), artifact["evidence"]
    equal(sorted(s), ["_type", "predicate", "predicateType", "subject"])
    equal((s["_type"], s["predicateType"]), ("https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1"))
    equal(s["subject"], [{"name": "public/image.tar.gz", "digest": {"sha256": hash_file(file, "sha256"), "sha512": hash_file(file, "sha512")}}])
    equal(sorted(s["predicate"]), ["buildDefinition", "runDetails"])
    d, run = s["predicate"]["buildDefinition"], s["predicate"]["runDetails"]
    equal(sorted(d), ["buildType", "externalParameters", "internalParameters", "resolvedDependencies"])
    equal(d["buildType"], "urn:dind-proxy:docker-build:v1")
    equal((d["externalParameters"]["image"], d["externalParameters"]["dockerfile"]), ("app:1", "Dockerfile"))
    equal(d["externalParameters"]["parameters"]["buildargs"], {"TOKEN": "(redacted)", "VERSION": PUBLIC})
    equal(d["internalParameters"]["record"], {k: v for k, v in r.items() if k != "storageType"}, "the record is in it")
    found = {x["name"]: x["digest"]["sha256"] for x in d["resolvedDependencies"]}
    equal(found["Dockerfile"], hashlib.sha256(DOCKERFILE).hexdigest())
    equal((found["build context"], found["busybox:1.36"]), (r["build"]["context"]["sha256"], here["base"][7:]))
    equal(sorted(run), ["builder", "byproducts", "metadata"])
    equal(run["builder"]["id"], "https://ci.test/workers")
    ok(set(run["builder"]["version"]) == {"dind-proxy", "docker"}, str(run["builder"]))
    ok(run["metadata"]["invocationId"].startswith(task.task_id + "/0/"), str(run["metadata"]))
    equal((run["metadata"]["startedOn"], run["metadata"]["finishedOn"]), (r["build"]["started"], r["build"]["finished"]))
    equal(run["byproducts"][0], {"name": "image", "digest": {"sha256": r["image"]["id"][7:]}})
    lacks(json.dumps(s), SECRET)
    stated = file + ".provenance.json"
    size, kind = os.path.getsize(stated), "application/vnd.in-toto.provenance+dsse"
    wanted = {"name": "public/image.tar.gz.provenance.json", "sha256": hash_file(stated, "sha256"), "size": size, "contentType": kind}
    equal(artifact["provenanceArtifact"], wanted)
    hashes = json.loads(ctl(p, "task", "evidence", task.id))["artifacts"]
    equal(hashes, {"public/image.tar.gz": {"sha256": hash_file(file, "sha256")}, wanted["name"]: {"sha256": wanted["sha256"]}})
    with open(file + ".provenance.json") as f:
        equal(json.load(f), artifact["provenance"], "the statement as an artifact of its own")
    with open(file + ".provenance.json.json") as f:
        equal(json.load(f)["contentType"], "application/vnd.in-toto.provenance+dsse")
    # the same by OpenSSL's own program
    body = base64.b64decode(artifact["provenance"]["payload"])
    pae = write("pae", b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(body), body))
    sig = write("sig", base64.b64decode(artifact["provenance"]["signatures"][0]["sig"]))
    words = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", here["public"], "-rawin", "-in", pae, "-sigfile", sig]
    equal(subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).returncode, 0, "openssl pkeyutl -verify")


def leaves(value, path=()):
    """Paths of all values in a JSON value that hold no other values."""
    if isinstance(value, dict) and value:
        return [p for k, v in value.items() for p in leaves(v, path + (k,))]
    if isinstance(value, list) and value:
        return [p for i, v in enumerate(value) for p in leaves(v, path + (i,))]
    return [path]


def changed(value, path):
    """A copy with one leaf changed, in the form that it had where that has a form."""
    out = copy.deepcopy(value)
    at = out
    for key in path[:-1]:
        at = at[key]
    old = at[path[-1]]
    if isinstance(old, bool) or old is None:
        at[path[-1]] = not old
    elif isinstance(old, int):
        at[path[-1]] = old + 1
    elif isinstance(old, str) and len(old) in (64, 71, 128) and old[-1] in "0123456789abcdef":
        at[path[-1]] = old[:-1] + ("0" if old[-1] != "0" else "1")
    else:
        at[path[-1]] = "changed" if isinstance(old, str) else ["changed"]
    return out


@test("dindctl artifact verify finds whatever was changed, and says what")
def tampering():
    p = signing()
    task, artifact, file = one_artifact(p, declare(**{"public/image.tar.gz": "app:1"}))
    name = "public/image.tar.gz"
    record, envelope = (json.loads(ctl(p, "artifact", "show", task.id, name, flag)) for flag in ("--record", "--provenance"))
    equal((record, envelope), (artifact["evidence"], artifact["provenance"]))
    r, e = write("r", record), write("e", envelope)
    signed = ["--provenance", e, "--key", here["public"]]
    contains(ctl(p, "artifact", "verify", file, "--record", r), "good: the file is what the record says; who wrote that is not known")
    contains(ctl(p, "artifact", "verify", file, *signed), "good: the file is what was signed", task.task_id + "/0", "image id: sha256:")
    contains(ctl(p, "artifact", "verify", file, "--record", r, *signed), "good: the file is what was signed")
    contains(ctl(p, "artifact", "verify", file, "--record", file + ".json", *signed), "good: the file is what was signed")
    # each field of the record, against the statement
    paths = [x for x in leaves(record) if x != ("storageType",)]
    ok(len(paths) > 35, "there are %d fields" % len(paths))
    for path in paths:
        words = ctl(p, "artifact", "verify", file, "--record", write("bad", changed(record, path)), *signed, status=1)
        contains(words, str(path[-1]) if not isinstance(path[-1], int) else str(path[-2]))
    # what the file itself shows, without any statement
    for path, what in (
        (("size",), "size differs: it is %d, the record says %d" % (record["size"], record["size"] + 1)),
        (("sha256",), "sha256 differs: it is " + record["sha256"]),
        (("sha512",), "sha512 differs: it is " + record["sha512"]),
        (("tar", "sha256"), "tarball sha256 differs: it is " + record["tar"]["sha256"]),
        (("tar", "size"), "tarball size differs: it is %d" % record["tar"]["size"]),
        (("image", "id"), "image id differs: it is " + record["image"]["id"]),
        (("image", "layers", 0, "diffId"), "layer 0 differs: it is " + record["image"]["layers"][0]["diffId"]),
        (("image", "layers", 0, "size"), "size of layer 0 differs"),
    ):
        contains(ctl(p, "artifact", "verify", file, "--record", write("bad", changed(record, path)), status=1), what)
    data = open(file, "rb").read()
    contains(ctl(p, "artifact", "verify", write("f", data[:-1]), *signed, status=1), "size differs")
    contains(ctl(p, "artifact", "verify", write("f", data[:100] + bytes([data[100] ^ 1]) + data[101:]), *signed, status=1), "sha256 differs")
    # the envelope
    said = json.loads(base64.b64decode(envelope["payload"]))
    said["subject"][0]["digest"]["sha256"] = "0" * 64
    forged = dict(envelope, payload=base64.b64encode(json.dumps(said).encode()).decode())
    contains(ctl(p, "artifact", "verify", file, "--provenance", write("bad", forged), "--key", here["public"], status=1), "is not good: payload")
    sig = envelope["signatures"][0]["sig"]
    for bad, what in (
        (dict(envelope, payloadType="text/plain"), "payloadType"),
        (dict(envelope, signatures=[]), "must have 1 to 16 signatures"),
        (dict(envelope, signatures=[dict(envelope["signatures"][0], sig=sig[:10] + ("A" if sig[10] != "A" else "B") + sig[11:])]), "is not good"),
        ([], "payloadType"),
        (b"\x00\xff", "b"),
    ):
        contains(ctl(p, "artifact", "verify", file, "--provenance", write("bad", bad), "--key", here["public"], status=1), what)
    # one that another key has signed, however well
    private, public = make_key("stranger")
    contains(ctl(p, "artifact", "verify", file, "--provenance", e, "--key", public, status=1), "no signature is that of key")
    contains(ctl(p, "artifact", "verify", file, "--provenance", e, status=2), "belong together")
    contains(ctl(p, "artifact", "verify", file, status=2), "--record or --provenance")
    contains(ctl(p, "artifact", "verify", file, "--provenance", e, "--key", private, status=1), "is no public key")


@test("without a key there are records and no statements, and a payload that wants one is told so")
def no_key():
    p = proxy()
    _, artifact, file = one_artifact(p, declare(**{"public/image.tar.gz": "app:1"}))
    ok("provenance" not in artifact and artifact["evidence"]["sha256"] == hash_file(file, "sha256"), str(artifact))
    equal(glob.glob(file + ".provenance*"), [])
    status, answer = p.control("POST", "/v1/tasks", {"taskId": slug(), "runId": 0, "payload": declare({"provenance": True}, **{"a.tar": "a"})})
    equal(status, 400)
    contains(answer["message"], "this host signs nothing (evidence.key)")


def refused_start(**settings):
    p = Proxy(here["engine"].socket, **settings)
    cleanup(p.stop)
    done = subprocess.run([program("dind-uploader"), "--config", p.config, "--once"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60 * SLOW)
    equal(done.returncode, 1, done.stdout)
    return done.stdout


@test("a key that others may read, that is none, or that is missing is refused at the start")
def bad_keys():
    private, public = make_key("open", mode=0o644)
    contains(refused_start(**{"evidence.key": private}), "has mode 0644", "expected 0600 or 0400")
    contains(refused_start(**{"evidence.key": public}), "others than its owner may use it")
    os.chmod(public, 0o600)
    contains(refused_start(**{"evidence.key": public}), "is no private key in PEM")
    contains(refused_start(**{"evidence.key": here["dir"] + "/nothing"}), "cannot be opened: No such file")
    contains(refused_start(**{"evidence.key": "signer.pem"}), "must be an absolute path")
    contains(refused_start(**{"evidence.upload": True}), "evidence.upload needs evidence.key")


def signer_of(p):
    """The process that has the key."""
    for pid in open("/proc/%d/task/%d/children" % (p.uploader.pid, p.uploader.pid)).read().split():
        if open("/proc/%s/comm" % pid).read().strip() == "dind-signer":
            return int(pid)
    return None


@test("the key is in a process that has no files and no network; without it nothing is uploaded")
def signer():
    p = signing()
    pid = until(lambda: signer_of(p), "there is a signer", 10 * SLOW)
    held = [os.readlink("/proc/%d/fd/%s" % (pid, n)) for n in os.listdir("/proc/%d/fd" % pid)]
    equal(len([f for f in held if f.startswith("socket:")]), 1, "sockets of the signer: %s" % held)
    lacks(" ".join(held), here["key"], "spool")
    os.kill(pid, signal.SIGKILL)
    task = new_task(p, declare(**{"a.tar": "a:1"}))
    build(task, "a:1", context())
    p.good("POST", task.path + "/finish", status=202)
    until(lambda: p.uploader.poll() is not None, "the uploader stops", 60 * SLOW)
    equal(p.uploader.returncode, 1)
    contains(p.log(), "the signer has gone")
    equal(glob.glob(p.dir + "/store/**/a.tar", recursive=True), [], "nothing is stored without its statement")
    p.start_uploader()
    artifact = task.finish()["a.tar"]
    verified(artifact["provenance"], here["public"])


@test("an uploader that is killed between an artifact and its statement goes on with the statement")
def resumed():
    p = signing(**{"evidence.upload": True})
    p._end(p.uploader, "dind-uploader")
    task = new_task(p, declare(**{"a.tar": "a:1"}))
    build(task, "a:1", context())
    p.good("POST", task.path + "/finish", status=202)
    sealed = until(lambda: glob.glob(p.dir + "/spool/ready/*"), "it is sealed", 60 * SLOW)[0]
    moved = p.dir + "/spool/uploading/" + os.path.basename(sealed)
    os.rename(sealed, moved)
    with open(moved + "/stored.json", "w") as f:
        json.dump({"path": "/where/it/went"}, f)
    os.unlink(moved + "/data")  # nobody needs it any more
    p.start_uploader()
    artifact = task.finish()["a.tar"]
    equal((artifact["state"], artifact["path"]), ("done", "/where/it/went"), str(artifact))
    equal(artifact["provenanceArtifact"]["name"], "a.tar.provenance.json")
    verified(json.load(open(p.artifact(task.task_id, "a.tar.provenance.json"))), here["public"])


@test("dindctl task evidence prints what the chain of trust of a task is to say")
def chain():
    p = signing()
    maker, artifact, file = one_artifact(p, declare(**{"public/image.tar.gz": "app:1"}))
    user = new_task(p, declare(**{"x.tar": "x:1"}))
    status, loaded = user.load(maker.task_id, "public/image.tar.gz")
    equal(status, 200, str(loaded))
    build(user, "x:1", context("x\n"))
    x = user.finish()["x.tar"]
    got = json.loads(ctl(p, "task", "evidence", user.id))
    sha256 = hash_file(file, "sha256")
    equal(got["environment"], {"imageHash": loaded["id"], "imageArtifactHash": "sha256:" + sha256})
    equal(got["artifacts"], {"x.tar": {"sha256": x["sha256"]}})
    equal([r["name"] for r in got["dindProxy"]["artifacts"]], ["x.tar"])
    (load,) = got["dindProxy"]["loads"]
    equal((load["kind"], load["taskId"], load["runId"], load["name"]), ("load", maker.task_id, 0, "public/image.tar.gz"))
    equal((load["localName"], load["loadedFor"]), (loaded["name"], {"taskId": user.task_id, "runId": 0}))
    p.restart()
    equal(json.loads(ctl(p, "task", "evidence", user.id)), got, "over a restart")
    # a task without a socket of its own, which only runs in the image
    other = slug()
    body = {"taskId": other, "runId": 2, "image": {"type": "task-image", "taskId": maker.task_id, "path": "public/image.tar.gz"}}
    equal(p.control("POST", "/v1/images/load", body, timeout=120 * SLOW)[0], 200)
    equal(json.loads(ctl(p, "task", "evidence", other + "/2"))["environment"]["imageHash"], loaded["id"])
    p.good("DELETE", "/v1/tasks/%s/2" % other)
    contains(ctl(p, "task", "evidence", other + "/2", status=1), "no image is loaded for it")
    contains(ctl(p, "task", "evidence", user.id, "--path", "y.tar", status=1), "no image was loaded from 'y.tar'")


@test("in Taskcluster the statement is an artifact of the run, of the same storage type as the image")
def in_taskcluster():
    for storage in ("s3", "object"):
        tc = taskcluster.Deployment()
        cleanup(tc.close)
        store = {"type": "taskcluster", "taskcluster": {"rootUrl": tc.root_url, "storageType": storage}}
        p = signing(**{"store": store, "evidence.upload": True})
        task_id = tc.create_task()
        more = {"expires": taskcluster.stamp(tc.now() + 7200), "credentials": tc.claim(task_id)}
        task = p.task(task_id, payload=declare(**{"public/a.tar.zst": "a:1"}), **more)
        cleanup(task.end)
        build(task, "a:1", context())
        artifact = task.finish()["public/a.tar.zst"]
        equal((artifact["state"], artifact["evidence"].get("storageType")), ("done", storage), str(artifact))
        name = "public/a.tar.zst.provenance.json"
        row = tc.find_artifact((task_id, 0, name))
        equal((row["storageType"], row["contentType"]), (storage, "application/vnd.in-toto.provenance+dsse"))
        path = tc.s3_path((task_id, 0, name)) if storage == "s3" else "/s3/objects/" + urllib.parse.quote(row["objectName"], safe="/")
        data = tc.bucket[path][0]
        equal(json.loads(data), artifact["provenance"])
        verified(json.loads(data), here["public"])
        lacks(p.log(1000), "X-Amz")


@test("in a bucket the statement lies beside the image, and its record beside both")
def in_s3():
    rgw.need()
    s3 = rgw.Radosgw()
    s3.__enter__()
    cleanup(s3.__exit__, None, None, None)
    s3.bucket("evidence")
    keys = write("s3.json", {"accessKeyId": s3.access, "secretAccessKey": s3.secret})
    os.chmod(keys, 0o600)
    store = {"type": "s3", "s3": {"endpoint": s3.endpoint, "bucket": "evidence", "credentials": keys}}
    p = signing(**{"store": store, "evidence.upload": True})
    task = new_task(p, declare(**{"public/a.tar": "a:1"}))
    build(task, "a:1", context())
    artifact = task.finish()["public/a.tar"]
    equal(artifact["state"], "done", str(artifact))
    key = task.task_id + "/0/public/a.tar"
    wanted = [key, key + ".json", key + ".provenance.json", key + ".provenance.json.json"]
    equal(sorted(s3.keys("evidence")), wanted)
    equal(json.loads(s3.request("GET", "/evidence/" + wanted[2])[2]), artifact["provenance"])
    equal(json.loads(s3.request("GET", "/evidence/" + wanted[3])[2])["kind"], "provenance")


main(setup)
