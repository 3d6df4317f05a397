#!/usr/bin/python3
"""The services under a real systemd, PID 1 of a machine of its own, installed from the Debian package."""
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))

import json
import socket
import subprocess
import threading

import engine
from machine import Load, Machine, package
from proxy import payload, slug
from script import context, request
from tap import Failed, cleanup, contains, equal, lacks, main, ok, test, until

RESTARTS = 100
UNITS = ("dind-proxyd", "dind-uploader")
it = None  # the machine

# RFC 8410's example
AUDIT_KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n"
AUDIT_PUBLIC = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"


class Builds:
    """One build after the other on a task's socket, each with a step that takes a while; how each of them ended."""

    DOCKERFILE = "FROM busybox:1.36\nRUN sleep 3\n"

    def __init__(self, path):
        self.path, self.ends, self.odd = path, {"built": 0, "told": 0, "not begun": 0}, []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self):
        message = request("POST", "/v1.41/build?nocache=1", body=context(self.DOCKERFILE))
        while not self.stopping.is_set():
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(60)
                data = b""
                try:
                    s.connect(self.path)
                    s.sendall(message)
                    while not data.endswith(b"0\r\n\r\n") and b"Connection: close" not in data:
                        more = s.recv(65536)
                        if not more:
                            break
                        data += more
                except OSError:
                    pass
            self._judge(data)

    def _judge(self, data):
        if b"Successfully built" in data:
            self.ends["built"] += 1
        elif b"service-stopping" in data:
            self.ends["told"] += 1
        elif not data:
            self.ends["not begun"] += 1  # the service ended before it had read the request
        else:
            self.odd.append(data[-600:])

    def stop(self):
        self.stopping.set()
        self.thread.join(90)


class Task:
    """A registered task of the service inside of the machine."""

    def __init__(self, **artifacts):
        self.task_id = slug()
        answer = control("POST", "/v1/tasks", {"taskId": self.task_id, "runId": 0, "payload": payload(**artifacts)}, want=201)
        self.id, self.inside = answer["id"], answer["socket"]
        cleanup(self.end)

    @property
    def socket(self):
        return it.path(self.inside)

    def file(self):
        """What a container has mounted: (device, inode)."""
        st = os.stat(self.socket)
        return st.st_dev, st.st_ino

    def ping(self):
        return engine.call(self.socket, "GET", "/_ping")[0]

    def docker(self, *words, **more):
        return engine.docker(self.socket, *words, **more)

    def end(self):
        control("DELETE", "/v1/tasks/" + self.id)


def control(method, target, body=None, want=200):
    status, answer = engine.call(it.path("/run/dind-proxy/control.sock"), method, target, body)
    equal(status, want, "%s %s: %s" % (method, target, answer))
    return answer


def main_pid(unit="dind-proxyd"):
    return int(it.show(unit, "MainPID"))


def stored():
    return int(it.show("dind-proxyd", "NFileDescriptorStore"))


def known():
    return {t["id"] for t in control("GET", "/v1/tasks")}


def host_pid(inside):
    """The process that has this number inside."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            numbers = re.search(r"^NSpid:(.*)$", open("/proc/%s/status" % pid).read(), re.M).group(1).split()
            same = os.readlink("/proc/%s/ns/pid" % pid) == os.readlink("/proc/%d/ns/pid" % it.init)
        except OSError:
            continue
        if same and numbers[-1] == str(inside):
            return int(pid)
    raise Failed("no process %s inside of the machine" % inside)


def status(pid):
    return dict(line.rstrip("\n").split(":\t", 1) for line in open("/proc/%d/status" % pid) if ":\t" in line)


def override(unit, text):
    """Settings of a unit for the rest of the test."""
    place = "/run/systemd/system/%s.service.d/test.conf" % unit
    os.makedirs(os.path.dirname(it.path(place)), exist_ok=True)
    with open(it.path(place), "w") as f:
        f.write("[Service]\n" + text)
    it.run("systemctl", "daemon-reload")

    def back():
        os.unlink(it.path(place))
        it.run("systemctl", "daemon-reload")

    cleanup(back)


def set_up():
    global it
    deb = package()
    private = engine.Engine()
    cleanup(private.stop)
    private.start().image("busybox:1.36")
    it = Machine({"/run/docker.sock": private.socket})
    cleanup(it.stop)
    it.start()
    it.install(deb)
    it.run("chgrp", "docker", "/run/docker.sock")  # the engine's own group has another number there
    for unit in UNITS:
        until(lambda: it.show(unit, "ActiveState") == "active", "%s is active:\n%s" % (unit, it.journal(unit)))
    place = it.path("/etc/dind-proxy/config.json")  # the load below is a flood by the usual limit
    with open(place) as f:
        settings = json.load(f)
    settings.setdefault("limits", {})["requestRate"] = 100000
    with open(place, "w") as f:
        json.dump(settings, f)
    it.run("systemctl", "reload", "dind-proxyd")


@test("both services are ready, and say how they are")
def ready():
    for unit, text in zip(UNITS, ("0 tasks", "0 artifacts")):
        equal(it.show(unit, "ActiveState", "SubState", "Type"), ["active", "running", "notify"], unit)
        contains(it.show(unit, "StatusText"), text)
    task = Task()
    until(lambda: "1 tasks" in it.show("dind-proxyd", "StatusText"), "the status tells of the task", 15)
    equal(task.ping(), 200)
    for unit in UNITS:
        lacks(it.journal(unit), "cannot be told", "going on without")


@test("systemd has nothing to object to the units, and rates them well")
def rated():
    said = it.run("systemd-analyze", "verify", "--man=no", *("/lib/systemd/system/%s.service" % u for u in UNITS)).stdout
    equal(said.strip(), "", "systemd-analyze verify")
    for unit in UNITS:
        said = it.run("systemd-analyze", "security", "--no-pager", unit + ".service").stdout
        exposure = float(re.search(r"Overall exposure level for .*: ([0-9.]+)", said).group(1))
        ok(exposure <= 2.0, "exposure of %s is %.1f:\n%s" % (unit, exposure, "\n".join(x for x in said.split("\n") if "✗" in x)))


@test("the front has no group docker, no rights and no network; the gate alone has the group")
def rights():
    own, docker = (it.run("getent", "group", name).stdout.split(":")[2] for name in ("dind-proxy", "docker"))
    front = host_pid(main_pid())
    gate, keeper, spawner = sorted(engine.children(front), key=lambda p: open("/proc/%d/comm" % p).read())
    names = [open("/proc/%d/comm" % p).read().strip() for p in (gate, keeper, spawner)]
    equal(names, ["dind-gate", "dind-keeper", "dind-spawner"])
    for pid, groups in ((front, []), (spawner, []), (keeper, []), (gate, sorted([own, docker])), (host_pid(main_pid("dind-uploader")), [own])):
        s = status(pid)
        equal(sorted(s["Groups"].split()), groups, "groups of %s" % s["Name"])
        equal([s[n] for n in ("CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp")], ["0" * 16] * 3 + ["1", "2"], s["Name"])
        ok(s["Uid"].split()[1] != "0", "%s is root" % s["Name"])
    lines = open("/proc/%d/net/dev" % front).read().strip().split("\n")[2:]
    equal([line.split(":")[0].strip() for line in lines], ["lo"], "networks of the front")


@test("build, tag, save and upload go through the sandbox")
def main_job():
    task = Task(**{"public/image.tar.zst": "app:1"})
    built = task.docker("build", "-t", "app:1", "-", stdin="FROM busybox:1.36\nRUN echo hello >/hello\n", env={"DOCKER_BUILDKIT": "0"})
    equal(built.returncode, 0, built.stdout)
    equal(task.docker("tag", "app:1", "app:2").returncode, 0)
    control("POST", "/v1/tasks/%s/finish" % task.id, want=202)

    def settled():
        a = control("GET", "/v1/tasks/%s/artifacts" % task.id)
        return a and a[0]["state"] in ("done", "failed") and a[0]

    artifact = until(settled, "the artifact is done", 60, every=0.1)
    equal(artifact["state"], "done", str(artifact) + it.journal("dind-uploader"))
    found = it.run("find", "/var/lib/dind-proxy/store", "-name", "image.tar.zst", "-size", "+1k").stdout.split()
    equal(len(found), 1, "the artifact in the store")


@test("a hundred restarts under load: nobody is refused, sockets stay the same files, a build finishes or is told why not")
def restarts():
    tasks = [Task() for _ in range(3)]
    files = [t.file() for t in tasks]
    equal(stored(), 1 + len(tasks), "stored descriptors")
    load, builds = Load(tasks[0].socket), Builds(tasks[1].socket)
    pids = set()
    for n in range(RESTARTS):
        until(lambda n=load.answered: load.answered > n + 20, "the load is served", 30)
        if n % 10 == 0:  # let one get to its end
            until(lambda n=builds.ends["built"]: builds.ends["built"] > n, "a build is built: %s %s" % (builds.ends, builds.odd), 60)
        it.run("systemctl", "restart", "dind-proxyd")
        pids.add(main_pid())
    until(lambda n=load.answered: load.answered > n + 20, "the load is served", 30)
    load.stop()
    builds.stop()
    equal(len(pids), RESTARTS, "processes")
    equal(builds.odd, [], "builds that ended without a word: %s" % builds.ends)
    ok(builds.ends["built"] >= 10 and builds.ends["told"] > 0, "some finished, some were told: %s" % builds.ends)
    log = it.run("cat", "/var/log/dind-proxy/tasks/%s.jsonl" % tasks[1].id).stdout
    told = [r for r in map(json.loads, log.splitlines()) if r.get("rule") == "service-stopping" and r["event"] == "decision"]
    ok(len(told) >= builds.ends["told"], "%d records for %s" % (len(told), builds.ends))
    equal(load.refused, [], "refused connections of %d" % (load.answered + load.cut))
    ok(load.cut <= RESTARTS * 8, "%d requests were cut, %d answered" % (load.cut, load.answered))
    equal([t.file() for t in tasks], files, "the sockets' files")
    ok({t.id for t in tasks} <= known(), "all tasks are known")
    equal([t.ping() for t in tasks], [200] * 3)
    equal(stored(), 1 + len(tasks), "stored descriptors")


@test("a crash under load: the same")
def crash():
    task = Task()
    file, load = task.file(), Load(task.socket)
    for _ in range(3):
        until(lambda n=load.answered: load.answered > n + 20, "the load is served", 30)
        before = main_pid()
        it.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "dind-proxyd")
        until(lambda: main_pid() not in (0, before) and it.show("dind-proxyd", "ActiveState") == "active", "it is back", 20)
    until(lambda n=load.answered: load.answered > n + 20, "the load is served", 30)
    load.stop()
    equal(load.refused, [], "refused connections of %d" % (load.answered + load.cut))
    equal(task.file(), file, "the socket's file")
    ok(task.id in known(), "the task is known")


@test("a service that hangs is replaced by the watchdog, with its sockets")
def watchdog():
    override("dind-proxyd", "WatchdogSec=2\n")
    it.run("systemctl", "restart", "dind-proxyd")
    task = Task()
    file, before = task.file(), main_pid()
    time.sleep(5)
    equal(main_pid(), before, "a service that does not hang")
    it.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "dind-proxyd")
    until(lambda: main_pid() not in (0, before) and it.show("dind-proxyd", "ActiveState") == "active", "another one is there", 60)
    equal((task.ping(), task.file()), (200, file))


@test("systemd itself starts anew: the sockets are still kept, the service still heard")
def reexec():
    task = Task()
    file = task.file()
    it.run("systemctl", "daemon-reexec")
    until(lambda: it.run("systemctl", "is-system-running", check=False).stdout.strip() == "running", "systemd is back", 30)
    other = Task()
    until(lambda: stored() == 3, "the new task's socket is stored")
    it.run("systemctl", "restart", "dind-proxyd")
    equal((task.file(), task.ping(), other.ping()), (file, 200, 200))


@test("the stored socket goes with its task")
def ended():
    task = Task()
    equal(stored(), 2)
    task.end()
    until(lambda: stored() == 1, "it is not stored any more")
    ok(not os.path.exists(os.path.dirname(task.socket)), "the socket's directory is still there")


@test("a stored socket of a task that is not known any more is closed")
def unknown():
    task, stays = Task(), Task()
    file = stays.file()
    override("dind-proxyd", "RestartSec=2\n")
    it.run("systemctl", "kill", "--kill-whom=all", "--signal=KILL", "dind-proxyd")
    until(lambda: it.show("dind-proxyd", "SubState") == "auto-restart", "it waits for its restart")
    it.run("rm", "-r", "/var/lib/dind-proxy/tasks/" + task.id)
    until(lambda: it.show("dind-proxyd", "ActiveState") == "active", "it is back")
    until(lambda: stored() == 2, "the socket is not stored any more")
    contains(it.journal("dind-proxyd"), "1 stored socket")
    with socket.socket(socket.AF_UNIX) as s:
        equal(s.connect_ex(task.socket), 111, "connect: refused")
    equal((stays.file(), stays.ping()), (file, 200))


@test("a removed socket file is made anew, whatever is stored")
def removed():
    task = Task()
    os.unlink(task.socket)
    it.run("systemctl", "restart", "dind-proxyd")
    equal((task.ping(), stored()), (200, 2))


@test("wrong settings cost no socket: the service comes back when they are mended")
def wrong_settings():
    task = Task()
    file, place = task.file(), it.path("/etc/dind-proxy/config.json")
    good = open(place).read()
    try:
        with open(place, "w") as f:
            f.write('{"limits": {"builds": "many"}}')
        it.run("systemctl", "restart", "dind-proxyd", check=False)
        until(lambda: "must be an integer" in it.journal("dind-proxyd"), "it says what is wrong")
        until(lambda: int(it.show("dind-proxyd", "NRestarts")) > 6, "it goes on trying", 30)
    finally:
        with open(place, "w") as f:
            f.write(good)
    until(lambda: it.show("dind-proxyd", "ActiveState") == "active", "it is back")
    equal((task.file(), task.ping()), (file, 200))


@test("whoever renames the audit log reloads the service: it goes on in a new file, and over the next restart")
def rotation():
    log = "/var/log/dind-proxy/audit.jsonl"
    Task()
    it.run("mv", log, log + "-20261123")
    it.run("systemctl", "reload", "dind-proxyd")
    until(lambda: os.path.exists(it.path(log)), "there is a new file")
    until(lambda: it.show("dind-proxyd", "ActiveState") == "active", "it has reloaded")
    it.run("systemctl", "restart", "dind-proxyd")
    Task()
    contains(it.run("dindctl", "audit", "verify").stdout, " files, records 1 to ", "good")
    it.run("systemctl", "reload", "dind-uploader")
    until(lambda: it.show("dind-uploader", "ActiveState") == "active", "the uploader has reloaded")


def settings(text):
    place = it.path("/etc/dind-proxy/config.json")
    good = open(place).read()

    def put(text):
        with open(place, "w") as f:
            f.write(text)
        it.run("systemctl", "restart", "dind-proxyd")

    put(text)
    cleanup(put, good)


@test("the audit log's key reaches the keeper alone, although its file is root's: checkpoints are signed")
def audit_key():
    it.run("sh", "-c", "umask 077; cat >/etc/dind-proxy/audit.key", stdin=AUDIT_KEY)
    it.run("sh", "-c", "cat >/tmp/audit.pub", stdin=AUDIT_PUBLIC)
    cleanup(it.run, "rm", "/etc/dind-proxy/audit.key", "/tmp/audit.pub")
    it.run("systemctl", "restart", "dind-proxyd")
    Task()
    it.run("systemctl", "restart", "dind-proxyd")
    said = it.run("dindctl", "audit", "verify", "--key", "/tmp/audit.pub").stdout
    contains(said, "1 of 1 checkpoints are signed with this key", "good")
    front = host_pid(main_pid())
    ok(not os.access("/proc/%d/root/etc/dind-proxy/audit.key" % front, os.R_OK) or not open("/proc/%d/root/etc/dind-proxy/audit.key" % front).read(), "the unit hides the file")


def in_journal(*matches):
    lines = it.run("journalctl", "-q", "--no-pager", "-a", "-o", "json", "-t", "dind-audit", *matches, check=False).stdout
    return [json.loads(line) for line in lines.splitlines()]


def in_log():
    return open(it.path("/var/log/dind-proxy/audit.jsonl")).read().splitlines()


@test("journald gets the same records with fields; when it hangs or is away, nobody waits, and it is told")
def journal():
    settings('{"audit": {"journal": true}}')
    task = Task()
    equal(task.ping(), 200)
    equal(engine.call(task.socket, "POST", "/containers/create", {"Image": "x"})[0], 403)
    until(lambda: in_journal("DIND_TASK=" + task.task_id, "DIND_DECISION=deny", "PRIORITY=5"), "the refusal is there", 20)
    lines = set(in_log())
    found = in_journal("DIND_ID=" + task.id)
    ok(len(found) >= 5 and all(r["MESSAGE"] in lines for r in found), "the same lines: %s" % found)
    equal({r["DIND_RULE"] for r in found if r.get("DIND_DECISION") == "deny"}, {"container-run"}, str(found))
    for break_it, mend in (
        (("systemctl", "kill", "--signal=STOP", "systemd-journald"), ("systemctl", "kill", "--signal=CONT", "systemd-journald")),
        (("mv", "/run/systemd/journal/socket", "/run/systemd/journal/away"), ("mv", "/run/systemd/journal/away", "/run/systemd/journal/socket")),
    ):
        task = Task()  # whose rate is not used up
        told = len([r for r in in_journal() if "DIND_LEFT_OUT" in r])
        before = len(in_log())
        it.run(*break_it)
        try:
            for _ in range(600):
                equal(task.ping(), 200)
        finally:
            it.run(*mend)
        ok(len(in_log()) >= before + 1200, "all records are in the file")

        def complete():
            equal(task.ping(), 200)
            return len([r for r in in_journal() if "DIND_LEFT_OUT" in r]) > told

        until(complete, "journald is told that records were left out", 30, every=0.3)


@test("systemctl reload: the new policy is there when it returns; a wrong file fails, says why, and changes nothing")
def reloaded():
    place = it.path("/etc/dind-proxy/config.json")
    task, good, pid = Task(), open(place).read(), main_pid()
    before = control("GET", "/v1/policy")

    def write(text):
        with open(place + ".new", "w") as f:
            f.write(text)
        os.chmod(place + ".new", 0o644)
        os.rename(place + ".new", place)

    try:
        tree = json.loads(good)
        tree.setdefault("policy", {})["memory"] = "1GiB"
        write(json.dumps(tree))
        it.run("systemctl", "reload", "dind-proxyd")
        now = control("GET", "/v1/policy")
        equal((now["version"], now["policy"]["memory"]), (before["version"] + 1, 1 << 30))
        status, said = engine.call(task.socket, "POST", "/v1.41/build?memory=%d" % (2 << 30), b"", {"Content-Type": "application/x-tar"})
        equal(status, 403, said)
        write('{"policy": {"memory": "lots"}}')
        failed = it.run("systemctl", "reload", "dind-proxyd", check=False)
        ok(failed.returncode != 0, "systemctl reload of a wrong file")
        contains(it.journal("dind-proxyd"), "'policy.memory' must be", "policy %d goes on" % now["version"])
        equal(control("GET", "/v1/policy")["version"], now["version"])
        equal((it.show("dind-proxyd", "ActiveState"), main_pid(), task.ping()), ("active", pid, 200))
    finally:
        write(good)
        it.run("systemctl", "reload", "dind-proxyd")
    equal(control("GET", "/v1/policy")["hash"], before["hash"], "as before")


@test("the store's keys reach the uploader, and only it, although their file is root's")
def credentials():
    keys = '{"accessKeyId": "AK", "secretAccessKey": "SK"}'
    it.run("sh", "-c", "umask 077; cat >/etc/dind-proxy/s3.json", stdin=keys)
    cleanup(it.run, "rm", "/etc/dind-proxy/s3.json")
    it.run("systemctl", "restart", "dind-uploader")
    root = "/proc/%d/root" % host_pid(main_pid("dind-uploader"))
    equal(open(root + "/run/credentials/dind-uploader.service/s3.json").read(), keys)
    equal(open(root + "/etc/dind-proxy/s3.json").read() if os.access(root + "/etc/dind-proxy/s3.json", os.R_OK) else "", "")


@test("the key that signs evidence reaches the signer, although its file is root's")
def evidence_key():
    place, key = it.path("/etc/dind-proxy/config.json"), "/etc/dind-proxy/provenance.pem"
    good = open(place).read()
    made = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], stdout=subprocess.PIPE, text=True, check=True).stdout
    it.run("sh", "-c", "umask 077; cat >" + key, stdin=made)
    cleanup(it.run, "rm", key)

    def settings(text):
        with open(place, "w") as f:
            f.write(text)
        it.run("systemctl", "restart", "dind-uploader")

    tree = json.loads(good)
    tree["evidence"] = {"key": key}
    settings(json.dumps(tree))
    try:
        contains(it.journal("dind-uploader"), "statements are signed with key")
        pid = host_pid(main_pid("dind-uploader"))
        children = open("/proc/%d/task/%d/children" % (pid, pid)).read().split()
        equal([open("/proc/%s/comm" % c).read().strip() for c in children], ["dind-signer"])
        equal(it.show("dind-uploader", "ActiveState"), "active")
    finally:
        settings(good)


@test("stopped, they leave no socket; started again, they know their tasks")
def stopped():
    task = Task()
    it.run("systemctl", "stop", *UNITS)
    ok(not os.path.exists(it.path("/run/dind-proxy")), "/run/dind-proxy is still there")
    for unit in UNITS:
        equal(it.show(unit, "Result"), "success", unit)
    it.run("systemctl", "start", *UNITS)
    ok(task.id in known(), "the task is known")
    equal((task.ping(), stored()), (200, 2))


if __name__ == "__main__":
    main(set_up)
