"""The main job on a real engine: tasks build, tag, save and hand over images, and leave nothing behind."""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import hashlib
import io
import json
import os
import signal
import subprocess
import tarfile
import tempfile
import threading

from engine import Engine
from proxy import SLOW, Proxy, payload, slug
from tap import cleanup, contains, equal, lacks, main, ok, test, until

here = {}  # engine, proxy: one of each for the whole file
DOCKER = "/usr/bin/docker"
APP = "FROM busybox:1.36\nRUN echo %s >/who\nCMD [\"cat\", \"/who\"]\n"


def setup():
    here["engine"] = Engine()
    cleanup(here["engine"].stop)
    here["engine"].start().image("busybox:1.36")
    here["before"] = footprint()
    here["proxy"] = Proxy(here["engine"].socket, uploader=True)
    cleanup(here["proxy"].stop)
    here["proxy"].start()


def footprint():
    return here["engine"].images(), here["engine"].containers()


def docker(task, *words, **more):
    return task.docker(*words, program=DOCKER, **more)


def good(task, *words, **more):
    done = docker(task, *words, **more)
    ok(done.returncode == 0, "docker %s: status %d\n%s" % (" ".join(words), done.returncode, done.stdout))
    return done.stdout


def refused(task, *words, **more):
    done = docker(task, *words, **more)
    ok(done.returncode != 0, "docker %s must be refused, and says: %s" % (" ".join(words), done.stdout))
    return done.stdout


def build(task, name, dockerfile, *words):
    return good(task, "build", "-t", name, *words, "-", stdin=dockerfile)


def directory(**files):
    """A build context on the disk; names with '__' for '.'."""
    path = tempfile.mkdtemp(prefix="dind-context.")
    cleanup(subprocess.call, ["rm", "-rf", path])
    for name, text in files.items():
        with open(os.path.join(path, name.replace("__", ".")), "w") as f:
            f.write(text)
    return path


def new_task(**more):
    task = here["proxy"].task(**more)
    cleanup(task.end)
    return task


def run(image):
    """The worker's own docker run, on the engine itself."""
    return here["engine"].docker("run", "--rm", image, program=DOCKER).stdout


@test("build, tag, images, inspect, history, save and rmi work with the stock client")
def basics():
    task = new_task()
    path = directory(Dockerfile="FROM busybox:1.36\nCOPY greeting /\nRUN cat /greeting >/said\n", greeting="hello\n")
    out = good(task, "build", "-t", "app:1", path)
    contains(out, "Successfully tagged app:1", "Step 3/3")
    lacks(out, "dind.invalid", task.id)
    good(task, "tag", "app:1", "example.com/team/app:2")
    listed = good(task, "images", "--format", "{{.Repository}}:{{.Tag}}").split()
    equal(sorted(listed), ["app:1", "example.com/team/app:2"], "docker images")
    seen = json.loads(good(task, "image", "inspect", "app:1"))[0]
    equal(sorted(seen["RepoTags"]), ["app:1", "example.com/team/app:2"], "RepoTags")
    contains(good(task, "history", "app:1"), "cat /greeting")
    equal(json.loads(good(task, "inspect", "app:1"))[0]["Id"], seen["Id"], "docker inspect")
    tar = os.path.join(path, "saved.tar")
    good(task, "save", "-o", tar, "app:1")
    with tarfile.open(tar) as t:
        manifest = json.load(t.extractfile("manifest.json"))
    equal([m["RepoTags"] for m in manifest], [["app:1"]], "names in the saved tarball")
    contains(good(task, "rmi", "example.com/team/app:2"), "Untagged: example.com/team/app:2")
    good(task, "rmi", "app:1")
    equal(good(task, "images", "-q"), "", "docker images at the end")
    contains(refused(task, "image", "inspect", "app:1"), "No such image")


@test("what a task may not do is refused with a message that says why")
def refusals():
    task = new_task()
    build(task, "app:1", APP % "me")
    empty = os.path.join(directory(empty=""), "empty")
    for words in (
        ["run", "--rm", "app:1"],
        ["ps"],
        ["exec", "x", "sh"],
        ["pull", "debian:12"],
        ["push", "app:1"],
        ["load", "-i", empty],
        ["volume", "ls"],
        ["network", "ls"],
        ["system", "df"],
        ["image", "prune", "-f"],
        ["import", empty, "x:1"],
        ["build", "--network", "host", "-"],
        ["build", "--security-opt", "seccomp=unconfined", "-"],
        ["build", "--add-host", "a:1.2.3.4", "-"],
    ):
        out = refused(task, *words, stdin=APP % "x")
        # exec asks for the container first; the client words the 404 itself
        contains(out, "No such container" if words[0] == "exec" else "rule: ")
        ok(len(out) > 20, "docker %s: the refusal explains itself: %s" % (" ".join(words), out))
    refused(task, "build", "-", stdin="FROM victim.example/private:1\n")
    refused(task, "build", "-", stdin="FROM busybox:1.36\nADD http://127.0.0.1/x /x\n")
    rules = {r.get("rule") for r in task.audit() if r.get("decision") == "deny"}
    ok(len(rules) >= 8, "the audit log names the rules: %s" % sorted(map(str, rules)))


@test("two tasks build app:1 at the same time, and each has its own")
def two_tasks():
    tasks, outputs = [new_task(), new_task()], [None, None]

    def work(n):
        outputs[n] = docker(tasks[n], "build", "-t", "app:1", "-", stdin=APP % ("task%d" % n))

    threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for n, task in enumerate(tasks):
        equal(outputs[n].returncode, 0, outputs[n].stdout)
        equal(run(task.prefix + "docker.io/library/app:1"), "task%d\n" % n, "what app:1 of task %d prints" % n)
        equal(good(task, "images", "--format", "{{.Repository}}:{{.Tag}}").split(), ["app:1"], "docker images")
    theirs = json.loads(good(tasks[1], "image", "inspect", "app:1"))[0]["Id"]
    for name in (theirs, theirs[7:19], "%sdocker.io/library/app:1" % tasks[1].prefix):
        refused(tasks[0], "image", "inspect", name)
        refused(tasks[0], "build", "-", stdin="FROM %s\n" % name)
        refused(tasks[0], "tag", name, "stolen:1")
        refused(tasks[0], "save", "-o", os.path.join(directory(), "saved.tar"), name)
        refused(tasks[0], "rmi", name)
    tasks[0].end()
    equal(run(tasks[1].prefix + "docker.io/library/app:1"), "task1\n", "task 1 after task 0 ended")


@test("two tasks with the same image: ending one leaves the other's")
def same_image():
    one, two = new_task(policy={"cache": "shared"}), new_task(policy={"cache": "shared"})
    for task in (one, two):
        build(task, "same:1", "FROM busybox:1.36\nRUN echo same >/same\n")
    ids = [json.loads(good(task, "image", "inspect", "same:1"))[0]["Id"] for task in (one, two)]
    equal(ids[0], ids[1], "the image id: the shared cache served the second")
    one.end()
    good(two, "image", "inspect", "same:1")
    good(two, "save", "-o", os.path.join(directory(), "saved.tar"), "same:1")


@test("FROM and COPY --from of own images and stages, multi-stage, --target, build-args")
def own_bases():
    task = new_task()
    build(task, "base:1", "FROM busybox:1.36\nRUN echo base >/base\n")
    build(task, "next:1", "FROM base:1\nRUN test -f /base && echo next >/next\n")
    build(task, "copy:1", "FROM busybox:1.36\nCOPY --from=next:1 /next /copied\nRUN grep next /copied\n")
    identity = json.loads(good(task, "image", "inspect", "base:1"))[0]["Id"]
    build(task, "byid:1", "FROM %s\nRUN test -f /base\n" % identity)
    build(task, "byid:2", "FROM %s\nRUN test -f /base\n" % identity[7:19])
    stages = (
        "ARG BASE=busybox:1.36\nFROM $BASE AS one\nARG WHO\nRUN echo $WHO >/one\n"
        "FROM one AS two\nRUN echo two >/two\nFROM scratch\nCOPY --from=two /one /two /\n"
    )
    build(task, "stages:1", stages, "--build-arg", "WHO=somebody")
    build(task, "stages:two", stages, "--build-arg", "WHO=somebody", "--target", "two")
    contains(run(task.prefix + "docker.io/library/stages:two") or "empty", "empty")
    out = here["engine"].docker("run", "--rm", task.prefix + "docker.io/library/stages:two", "cat", "/one", program=DOCKER)
    equal(out.stdout, "somebody\n", "what the build-arg left")
    lacks(json.dumps(task.audit()), "somebody")


@test("the build cache serves a task its own steps, and nobody else's")
def cache():
    one, two = new_task(), new_task()
    text = "FROM busybox:1.36\nRUN head -c 16 /dev/urandom | md5sum >/random\n"
    build(one, "random:1", text)
    contains(build(one, "random:2", text), "Using cache")
    lacks(build(two, "random:1", text), "Using cache")


@test("a context can come with .dockerignore, from another Dockerfile, and as a compressed tar")
def contexts():
    task = new_task()
    path = directory(
        Dockerfile="FROM scratch\nCOPY . /\n", __dockerignore="secret\n", secret="s", other="FROM scratch\nCOPY keep /\n", keep="k"
    )
    good(task, "build", "-t", "a:1", path)
    good(task, "build", "-t", "a:2", "-f", os.path.join(path, "other"), path)
    good(task, "build", "-t", "a:3", "-f", "-", path, stdin="FROM scratch\nCOPY keep /k\n")
    for option in ("z", "j", "J"):
        tar = subprocess.run(["tar", "-C", path, "-c" + option, "."], stdout=subprocess.PIPE, check=True).stdout
        done = subprocess.run(
            [DOCKER, "-H", "unix://" + task.socket, "build", "-t", "a:tar" + option.lower(), "-"], input=tar, capture_output=True
        )
        equal(done.returncode, 0, "tar -%s: %s" % (option, done.stdout + done.stderr))
    saved = subprocess.run([DOCKER, "-H", "unix://" + task.socket, "save", "a:1"], stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as t:
        layer = json.load(t.extractfile("manifest.json"))[0]["Layers"][0]
        with tarfile.open(fileobj=io.BytesIO(t.extractfile(layer).read())) as inner:
            names = inner.getnames()
    ok("keep" in names and "secret" not in names, "the ignored file is not in the image: %s" % names)


def building():
    """Containers of build steps on the engine."""
    return here["engine"].containers()


@test("Ctrl-C during RUN stops the build in the engine at once")
def interrupt_run():
    task, before = new_task(), building()
    client = docker(task, "build", "-t", "slow:1", directory(Dockerfile="FROM busybox:1.36\nRUN sleep 600\n"), background=True)
    until(lambda: len(building()) > len(before), "the step runs", 20 * SLOW)
    client.send_signal(signal.SIGINT)
    until(lambda: building() == before, "the step's container is gone", 5 * SLOW)
    client.wait(10 * SLOW)
    equal(good(task, "images", "-q"), "", "docker images")


@test("Ctrl-C during the upload leaves nothing in the engine")
def interrupt_upload():
    task, before = new_task(), footprint()
    path = directory(Dockerfile="FROM scratch\nCOPY big /\n")
    pipe = os.path.join(path, "context")
    os.mkfifo(pipe)  # a context that never ends
    client = subprocess.Popen(
        ["sh", "-c", "exec %s -H unix://%s build -t up:1 - <%s" % (DOCKER, task.socket, pipe)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    head = io.BytesIO()
    with tarfile.open(fileobj=head, mode="w") as t:
        info = tarfile.TarInfo("Dockerfile")
        info.size = 24
        t.addfile(info, io.BytesIO(b"FROM scratch\nCOPY big /\n"))
        info = tarfile.TarInfo("big")
        info.size = 1 << 30
        head.seek(0, 2)
        head.write(info.tobuf())
        with open(pipe, "wb") as out:
            out.write(head.getvalue() + b"\0" * (4 << 20))
            out.flush()  # the client has read nearly all of it: the upload is under way
            client.send_signal(signal.SIGINT)
            client.wait(10 * SLOW)
            try:
                out.flush()
            except BrokenPipeError:
                pass
    until(lambda: footprint() == before, "the engine is as before", 10 * SLOW)
    build(task, "app:1", APP % "alive")


@test("a restart of dind-proxyd keeps tasks, images and names; so does a crash")
def restart():
    proxy, task = here["proxy"], new_task()
    build(task, "app:1", APP % "kept")
    good(task, "tag", "app:1", "app:2")
    for end in (proxy.restart, lambda: (proxy.crash(), proxy.start_daemon())):
        end()
        again = here["proxy"].good("POST", "/v1/tasks", {"taskId": task.task_id, "runId": 0, "payload": payload()})
        equal((again["id"], again["socket"]), (task.id, task.socket), "the same task again")
        listed = good(task, "images", "--format", "{{.Repository}}:{{.Tag}}").split()
        equal(sorted(listed), ["app:1", "app:2"], "docker images after it")
        build(task, "app:3", "FROM app:1\nRUN grep kept /who\n")
        good(task, "rmi", "app:3")


@test("a build that runs when dind-proxyd crashes is stopped, and leaves nothing")
def crash_in_build():
    proxy, task, before = here["proxy"], new_task(), building()
    client = docker(task, "build", "-t", "slow:1", directory(Dockerfile="FROM busybox:1.36\nRUN sleep 600\n"), background=True)
    until(lambda: len(building()) > len(before), "the step runs", 20 * SLOW)
    proxy.crash()
    until(lambda: building() == before, "the step's container is gone", 10 * SLOW)
    equal(client.wait(10 * SLOW) != 0, True, "the client ends with an error")
    proxy.start_daemon()
    equal(good(task, "images", "-q"), "", "docker images")


@test("finish: the artifact is in the store; a later task loads and runs it; ends leave nothing")
def artifact():
    proxy, before = here["proxy"], footprint()
    name = "public/image.tar.zst"
    maker = proxy.task(payload=payload(**{name: "my-image"}))
    build(maker, "my-image", APP % "artifact")
    done = maker.finish()[name]
    equal(done["state"], "done", "state: %s" % done)
    made = open(proxy.artifact(maker.task_id, name), "rb").read()
    equal(len(made), done["size"], "size")
    equal(hashlib.sha256(made).hexdigest(), done["sha256"], "sha256")
    tar = subprocess.run(["zstd", "-dc"], input=made, stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as t:
        manifest = json.load(t.extractfile("manifest.json"))
        config = t.extractfile(manifest[0]["Config"]).read()
    equal(manifest[0]["RepoTags"], ["my-image:latest"], "names in the artifact")
    equal("sha256:" + hashlib.sha256(config).hexdigest(), done["imageId"], "image id")
    contains(refused(maker, "build", "-", stdin=APP % "late"), "rule: ")
    user = proxy.task(payload={"features": {"dind": True}, "image": {"type": "task-image", "taskId": maker.task_id, "path": name}})
    status, loaded = user.load(maker.task_id, name)
    equal(status, 200, "load: %s" % loaded)
    equal(loaded["id"], done["imageId"], "id of the loaded image")
    equal(run(loaded["name"]), "artifact\n", "what the loaded image prints")
    sockets = [maker.socket, user.socket]
    maker.end()
    equal(run(loaded["name"]), "artifact\n", "after the maker's end")
    user.end()
    equal(footprint(), before, "images and containers on the engine")
    left = [p for s in sockets for p in (s, os.path.dirname(s)) if os.path.exists(p)]
    equal(left, [], "sockets")
    equal(traces(proxy, maker, user), [], "files of the tasks")


def traces(proxy, *tasks):
    """Files that still name one of the tasks or tell of it, but for the audit log and the store."""
    words = [w.encode() for t in tasks for w in (t.id, t.task_id)]
    found = []
    for part in ("run", "state", "spool"):
        for directory, _, names in os.walk(os.path.join(proxy.dir, part)):
            paths = [os.path.join(directory, n) for n in names]
            found += [p for p in paths if any(w in p.encode() for w in words)]
            found += [p for p in paths if os.path.isfile(p) and any(w in open(p, "rb").read() for w in words)]
            found += [directory] if any(w in os.path.basename(directory).encode() for w in words) else []
    return sorted(set(found))


@test("a task whose artifact was never built has a failed artifact that says so")
def missing_artifact():
    task = new_task(payload=payload(**{"public/none.tar.zst": "never:built"}))
    done = task.finish()["public/none.tar.zst"]
    equal(done["state"], "failed", "state")
    contains(json.dumps(done), "never:built")


@test("an artifact that does not exist, or was changed in the store, is not loaded")
def damaged_artifact():
    proxy, name = here["proxy"], "public/image.tar.zst"
    maker, user = new_task(payload=payload(**{name: "app:1"})), new_task()
    build(maker, "app:1", APP % "good")
    maker.finish()
    before = here["engine"].images()
    ok(user.load(slug(), name)[0] in (404, 424), "an unknown task's artifact")
    ok(user.load(maker.task_id, "public/other.tar")[0] in (404, 424), "an unknown artifact")
    ok(user.load(maker.task_id, "../../" + name)[0] in (400, 404), "a path that leaves")
    path = proxy.artifact(maker.task_id, name)
    data = bytearray(open(path, "rb").read())
    data[len(data) // 2] ^= 1
    os.chmod(path, 0o600)
    with open(path, "wb") as f:
        f.write(data)
    status, answer = user.load(maker.task_id, name)
    ok(status >= 400, "a changed artifact: %s %s" % (status, answer))
    equal(here["engine"].images(), before, "images on the engine")


@test("a task without features.dind gets no socket; bad registrations are refused")
def registration():
    proxy = here["proxy"]
    body = {"taskId": slug(), "runId": 0, "payload": {"features": {"dind": False}}}
    equal(proxy.good("POST", "/v1/tasks", body)["enabled"], False, "enabled")
    for bad in ({}, {"taskId": "x/../y", "runId": 0, "payload": payload()}, {"taskId": slug(), "runId": -1, "payload": payload()}):
        status, answer = proxy.control("POST", "/v1/tasks", bad)
        equal(status, 400, "status for %s: %s" % (bad, answer))
        ok(answer["message"], "the refusal says why")
    task = new_task()
    other = {"taskId": task.task_id, "runId": 0, "payload": payload(**{"public/a.tar": "a"})}
    equal(proxy.control("POST", "/v1/tasks", other)[0], 409, "the same task with another body")
    equal(proxy.good("DELETE", "/v1/tasks/" + slug()) is not None, True, "ending an unknown task is fine")


@test("when all tasks have ended the engine is as before")
def nothing_left():
    equal(footprint(), here["before"], "images and containers")
    equal(here["proxy"].good("GET", "/v1/tasks"), [], "tasks")
    until(lambda: here["proxy"].descriptors() < 40, "descriptors are closed")


main(setup)
