"""The examples work as they are written: the worker runs the task definitions in examples/tasks."""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import glob
import json
import os
import shutil
import subprocess
import tempfile

from engine import ROOT, Engine
from proxy import BUILD, Proxy, slug
from tap import cleanup, contains, equal, main, ok, test

here = {}
EXAMPLES = os.path.join(ROOT, "examples")


def setup():
    here["engine"] = running = Engine()
    cleanup(running.stop)
    running.start().image("busybox:1.36").image("debian:12")
    here["dir"] = tempfile.mkdtemp(prefix="dind-examples.")
    cleanup(shutil.rmtree, here["dir"])
    shutil.copy("/usr/bin/docker", here["dir"])
    done = running.docker("build", "-t", "client", here["dir"], "-f", "-", stdin="FROM debian:12\nCOPY docker /usr/bin/\n", env={"DOCKER_BUILDKIT": "0"})
    ok(done.returncode == 0, done.stdout)
    here["before"] = running.images(), running.containers()
    here["proxy"] = Proxy(running.socket, uploader=True)
    cleanup(here["proxy"].stop)
    here["proxy"].start()


def worker(task, task_id, **changes):
    """Runs examples/worker on a task of examples/tasks; some of its payload is changed to what is there without a network."""
    definition = json.load(open(os.path.join(EXAMPLES, "tasks", task)))
    definition["payload"].update(changes)
    path = os.path.join(here["dir"], task)
    with open(path, "w") as f:
        json.dump(definition, f)
    env = dict(
        os.environ,
        PATH=BUILD + ":" + os.environ["PATH"],
        DOCKER_HOST="unix://" + here["engine"].socket,
        DINDCTL_OPTS="--config " + here["proxy"].config,
    )
    done = subprocess.run([EXAMPLES + "/worker", path, task_id], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


@test("every payload in examples/tasks is one that dind-proxyd takes")
def payloads():
    for path in glob.glob(EXAMPLES + "/tasks/*.json"):
        definition = json.load(open(path))
        body = {"taskId": slug(), "runId": 0, "payload": definition["payload"]}
        status, answer = here["proxy"].control("POST", "/v1/tasks", body)
        ok(status in (200, 201), "%s: %s %s" % (path, status, answer))
        if status == 201:
            here["proxy"].good("DELETE", "/v1/tasks/" + answer["id"])


@test("the worker runs a task that builds, and one in the image that was built")
def two_tasks():
    maker = slug()
    status, out = worker("multi-stage.json", maker, image="client")
    equal(status, 0, "status of the worker:\n" + out)
    contains(out, "Successfully tagged app:1", "public/app.tar.zst")
    image = {"type": "task-image", "taskId": maker, "path": "public/app.tar.zst"}
    status, out = worker("use-image.json", slug(), image=image, command=["cat", "/result"])
    equal(status, 0, "status of the worker:\n" + out)
    contains(out, "made")
    equal((here["engine"].images(), here["engine"].containers()), here["before"], "images and containers on the engine")


@test("a task that fails makes the worker fail, and is ended all the same")
def failing_task():
    status, out = worker("multi-stage.json", slug(), image="client", command=["sh", "-c", "echo FROM scratch | docker build -t x -; docker ps; exit 3"])
    equal(status, 3, "status of the worker:\n" + out)
    contains(out, "rule: ")
    equal((here["engine"].images(), here["engine"].containers()), here["before"], "images and containers on the engine")


@test("task start: a claim as the queue gives it, with the scope that the operator asks for; star patterns; told twice; ended twice")
def scopes():
    proxy = Proxy(here["engine"].socket, **{"task.scope": "docker-worker:feature:dind", "task.pool": "proj/ci"})
    cleanup(proxy.stop)
    proxy.start()

    def start(*scopes, dind=True):
        claim = {
            "status": {"taskId": slug(), "state": "running"},
            "runId": 0,
            "task": {"payload": {"features": {"dind": dind}}, "scopes": list(scopes), "expires": "2030-01-01T00:00:00Z", "metadata": {}},
            "credentials": {"clientId": "task-client/x", "accessToken": "secret", "certificate": "{}"},
        }
        done = subprocess.run(
            [BUILD + "/dindctl", "--config", proxy.config, "task", "start", "--task", "-", "--json"],
            input=json.dumps(claim), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )
        return done.returncode, done.stdout, done.stderr, claim

    for good in ("docker-worker:feature:dind", "docker-worker:*", "*", "docker-worker:feature:dind:proj/ci", "docker-worker:feature:dind:proj/*"):
        status, out, err, claim = start("a", good)
        equal((status, err), (0, ""), good)
        ok(os.path.exists(json.loads(out)["socket"]), good)
        proxy.good("DELETE", "/v1/tasks/" + json.loads(out)["id"])
    for bad in ("docker-worker:feature:din", "docker-worker:feature:dind:other/*", "docker-worker:*:dind", "assume:docker-worker:feature:dind"):
        status, out, err, claim = start(bad)
        equal(status, 1, bad)
        contains(err, "docker-worker:feature:dind:proj/ci")
        equal(proxy.good("GET", "/v1/tasks"), [], "nothing is registered")
    status, out, err, claim = start(dind=False)
    equal((status, json.loads(out)["enabled"]), (0, False), "a task that does not ask needs no scope")

    status, out, err, claim = start("*")
    task = json.loads(out)
    again = subprocess.run([BUILD + "/dindctl", "--config", proxy.config, "task", "start", "--task", "-", "--json"], input=json.dumps(claim), stdout=subprocess.PIPE, text=True)
    equal((again.returncode, json.loads(again.stdout)["socket"]), (0, task["socket"]), "told twice")
    kept = os.path.join(proxy.dir, "state/tasks", task["id"], "credentials.json")
    reclaim = {"status": {}, "credentials": {"clientId": "task-client/x", "accessToken": "fresh", "certificate": "{}"}}
    done = subprocess.run([BUILD + "/dindctl", "--config", proxy.config, "task", "credentials", task["id"]], input=json.dumps(reclaim), text=True)
    equal((done.returncode, json.load(open(kept))["accessToken"], oct(os.stat(kept).st_mode & 0o777)), (0, "fresh", "0o600"))
    for _ in range(2):
        proxy.good("POST", "/v1/tasks/%s/finish" % task["id"], status=202)
    for _ in range(2):
        proxy.good("DELETE", "/v1/tasks/" + task["id"])
    ok(not os.path.exists(kept), "the credentials are gone")


main(setup)
