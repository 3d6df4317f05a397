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


main(setup)
