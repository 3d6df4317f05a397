#!/usr/bin/python3
"""The image of docker/: the services in containers beside a worker, without systemd."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))

import engine
import machine
from proxy import payload, slug
from tap import cleanup, contains, equal, lacks, main, ok, test, until

WALLS = "--read-only --tmpfs /tmp --cap-drop ALL --cap-add SETUID --cap-add SETGID --cap-add CHOWN"
WALLS = (WALLS + " --security-opt no-new-privileges").split()
# There is no network here: what apt would fetch is in the base already.
BULKY = ("usr/share/doc", "usr/share/locale", "usr/share/zoneinfo", "usr/share/i18n", "usr/lib/x86_64-linux-gnu/gconv", "usr/lib/udev")
APT = '#!/bin/sh\nfor word; do case $word in *.deb) exec dpkg -i "$word" ;; esac; done\n'
host = place = None  # the engine; a directory that is the same path inside and outside


def docker(*words, **more):
    done = host.docker(*words, **more)
    equal(done.returncode, 0, "docker %s: %s" % (" ".join(words), done.stdout))
    return done.stdout.strip()


def control(method, target, body=None):
    return engine.call(place + "/run/control.sock", method, target, body, timeout=120)


def make_base():
    """debian:12 with what the package depends on."""
    with tempfile.TemporaryDirectory(prefix="dind-base.") as d:
        os.makedirs(d + "/usr/local/sbin")
        with open(d + "/usr/local/sbin/apt-get", "w") as f:
            f.write(APT)
        os.chmod(d + "/usr/local/sbin/apt-get", 0o755)
        words = ["tar", "-c", "-f", "-", "--exclude=./dev/*", *("--exclude=./" + p for p in BULKY)]
        tar = subprocess.Popen([*words, "-C", machine.base(), ".", "-C", d, "usr/local/sbin/apt-get"], stdout=subprocess.PIPE)
        env = dict(os.environ, DOCKER_HOST="unix://" + host.socket)
        subprocess.run(["docker", "import", "-", "base:1"], stdin=tar.stdout, env=env, check=True, stdout=subprocess.DEVNULL)
        equal(tar.wait(), 0, "tar")


def set_up():
    global host, place
    deb = machine.package()
    host = engine.Engine()
    cleanup(host.stop)
    host.start().image("busybox:1.36")
    place = tempfile.mkdtemp(prefix="dind-sidecar.", dir="/tmp")
    cleanup(shutil.rmtree, place)
    make_base()
    env = dict(os.environ, DOCKER_HOST="unix://" + host.socket, DOCKER_BUILDKIT="0", DIND_DEB=deb)
    words = [os.path.join(engine.ROOT, "docker", "image"), "-t", "dind-proxy", "--build-arg", "BASE=base:1"]
    done = subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    equal(done.returncode, 0, done.stdout[-3000:])
    settings = json.load(open(os.path.join(engine.ROOT, "docker", "config.json")))
    with open(place + "/config.json", "w") as f:
        json.dump(dict(settings, runDir=place + "/run"), f)
    os.mkdir(place + "/run")
    start()


def start():
    shared = ["-v", place + "/config.json:/etc/dind-proxy/config.json:ro", "-v", "state:/var/lib/dind-proxy"]
    own = ["-v", host.socket + ":/var/run/docker.sock", "-v", place + "/run:" + place + "/run", "-v", "logs:/var/log/dind-proxy"]
    docker("run", "-d", "--name", "front", *WALLS, "--network", "none", *own, *shared, "dind-proxy", "dind-proxyd")
    docker("run", "-d", "--name", "uploader", *WALLS, "--no-healthcheck", *shared, "dind-proxy", "dind-uploader")
    until(lambda: ready(), "the service answers: " + docker("logs", "front"), 30)


def ready():
    try:
        return control("GET", "/readyz")[0] == 200
    except OSError:
        return False


@test("a task's container builds through its socket, and the image becomes an artifact")
def main_job():
    body = {"taskId": slug(), "runId": 0, "payload": payload(**{"public/image.tar.zst": "app:1"})}
    status, task = control("POST", "/v1/tasks", body)
    equal(status, 201, str(task))
    mounts = ["-v", "%s:/var/run/docker.sock:ro" % task["socket"]]
    # a container that mounts what the worker was told, and the client of this host as the task's
    said = docker("run", "--rm", "--network", "none", *mounts, "busybox:1.36", "ls", "-l", "/var/run/docker.sock")
    contains(said, "srw-rw-rw-")
    dockerfile = "FROM busybox:1.36\nRUN echo hello >/hello\n"
    built = engine.docker(task["socket"], "build", "-t", "app:1", "-", stdin=dockerfile, env={"DOCKER_BUILDKIT": "0"})
    equal(built.returncode, 0, built.stdout)
    equal(control("POST", "/v1/tasks/%s/finish" % task["id"])[0], 202)

    def settled():
        found = control("GET", "/v1/tasks/%s/artifacts" % task["id"])[1]
        return found[0]["state"] in ("done", "failed") and found[0]

    artifact = until(settled, "the artifact is done", 60, every=0.1)
    equal(artifact["state"], "done", str(artifact) + docker("logs", "uploader"))
    equal(control("DELETE", "/v1/tasks/" + task["id"])[0], 200)


@test("only the gate is root, and no process has a capability")
def rights():
    # the engine has a PID namespace of its own: its processes are looked at from there
    keeper = engine.children(int(open(os.path.join(host.dir, "keeper")).read()))[0]
    script = 'for p in $(pgrep ^dind-); do grep -E "^(Name|Uid|CapPrm|Seccomp):" /proc/$p/status; done'
    words = ["nsenter", "-t", str(keeper), "--mount", "--pid", "sh", "-c", script]
    said = subprocess.run(words, stdout=subprocess.PIPE, text=True).stdout
    rows = [dict(line.split(":\t") for line in ("Name:\t" + part).strip().split("\n")) for part in said.split("Name:\t")[1:]]
    users = {(r["Name"], r["Uid"].split("\t")[1] == "0") for r in rows}
    equal(users, {("dind-proxyd", False), ("dind-gate", True), ("dind-keeper", False), ("dind-spawner", False), ("dind-uploader", False)}, said)
    equal({(r["CapPrm"], r["Seccomp"]) for r in rows}, {("0" * 16, "2")}, said)


@test("its health check is good, and it stops at once when it is told to")
def health():
    words = json.loads(docker("inspect", "-f", "{{json .Config.Healthcheck.Test}}", "front"))
    equal(docker("exec", "front", *words[1:]), "[]")
    equal(docker("exec", "-u", "dind-proxy", "front", "dindctl", "task", "list", "--json"), "[]")
    lacks(docker("logs", "front"), "error", "cannot")
    for name in ("front", "uploader"):
        docker("stop", "-t", "20", name)
        equal(docker("inspect", "-f", "{{.State.ExitCode}}", name), "0", docker("logs", name))
    ok(not os.path.exists(place + "/run/control.sock"), "the control socket is gone")


@test("started again, it knows its tasks")
def again():
    docker("start", "front", "uploader")
    until(ready, "the service answers", 30)
    body = {"taskId": slug(), "runId": 0, "payload": payload()}
    equal(control("POST", "/v1/tasks", body)[0], 201)
    docker("restart", "front")
    until(ready, "the service answers", 30)
    equal([t["taskId"] for t in control("GET", "/v1/tasks")[1]], [body["taskId"]])


if __name__ == "__main__":
    main(set_up)
