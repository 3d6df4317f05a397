"""Each process does its work, and cannot do what it must not: asked of the kernel, and tried inside of it."""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import glob
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess

import engine
from engine import Engine
from inject import AVAILABLE, Inside
from proxy import SANITIZED, Proxy, payload, program
from tap import Skip, cleanup, contains, equal, main, ok, skip_all, test, until

USER = "nobody"
NAME = "public/image.tar.zst"
here = {}


def setup():
    if os.geteuid() != 0 or SANITIZED:
        skip_all("only root's plain build gives up anything")
    here["engine"] = Engine()
    cleanup(here["engine"].stop)
    here["engine"].start().image("busybox:1.36")


class Traced(Proxy):
    """Both programs under strace; the traces are in the directory of the proxy."""

    def _spawn(self, name):
        words = ["strace", "-f", "-qq", "-o", "%s/trace.%s" % (self.dir, name), program(name), "--config", self.config]
        with open(os.path.join(self.dir, name + ".log"), "ab") as log:
            return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")

    def traces(self):
        return "".join(open(p, errors="replace").read() for p in glob.glob(self.dir + "/trace.*"))


def new_proxy(kind=Proxy, **settings):
    proxy = kind(here["engine"].socket, uploader=True, **settings)
    cleanup(proxy.stop)
    return proxy


def ready(proxy):
    """Starts it, and waits until the uploader is confined too."""
    proxy.start()
    until(lambda: "uploader: ready" in proxy.log(), "the uploader is ready")
    return proxy


def start_as(user):
    """A proxy of that user, with a copy of dind-image that the user can reach wherever the source lies."""
    proxy = new_proxy(user=user, **{"programs.image": "/tmp/dind-image.%d" % os.getpid()})
    image = "/tmp/dind-image.%d" % os.getpid()
    shutil.copy(program("dind-image"), image)
    cleanup(lambda: os.path.exists(image) and os.unlink(image))
    return ready(proxy)


def facts(pid):
    """/proc/PID/status as a dictionary."""
    return dict(line.rstrip("\n").split(":\t", 1) for line in open("/proc/%d/status" % pid) if ":\t" in line)


def gone(pid):
    """Ended; whoever adopted it may not have looked yet."""
    try:
        return facts(pid)["State"].startswith("Z")
    except OSError:
        return True


def processes(proxy):
    """{name: pid} of all that runs."""
    found = {"front": proxy.daemon.pid, "uploader": proxy.uploader.pid}
    for pid in proxy.children():
        found[facts(pid)["Name"]] = pid
    return found


def job(proxy):
    """Build, hand over, load: every program does its work."""
    maker = proxy.task(payload=payload(**{NAME: "app:1"}))
    done = maker.docker("build", "-t", "app:1", "-", program="/usr/bin/docker", stdin="FROM busybox:1.36\nRUN echo app >/app\n")
    equal(done.returncode, 0, done.stdout)
    equal(maker.finish()[NAME]["state"], "done", "the artifact's state")
    user = proxy.task()
    status, loaded = user.load(maker.task_id, NAME)
    equal(status, 200, "load: %s" % loaded)
    maker.end()
    user.end()


def no_rights(pid, name):
    f = facts(pid)
    for key, want in (("Seccomp", "2"), ("NoNewPrivs", "1"), ("Groups", "")):
        equal(f[key].strip(), want, "%s of the %s" % (key, name))
    for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        equal(int(f[key], 16), 0, "%s of the %s" % (key, name))
    limits = open("/proc/%d/limits" % pid).read()
    ok(re.search(r"Max core file size +0 +0 ", limits), "no core file of the %s" % name)


@test("every process has no capabilities, no way to new ones, a filter, and no core file")
def given_up():
    proxy = ready(new_proxy())
    job(proxy)
    running = processes(proxy)
    equal(sorted(running), ["dind-gate", "dind-keeper", "dind-spawner", "front", "uploader"], "processes")
    for name, pid in running.items():
        if name != "dind-gate":  # it keeps the groups that open the engine's socket
            no_rights(pid, name)
        equal(facts(pid)["Seccomp"], "2", "Seccomp of " + name)
        equal(int(facts(pid)["CapEff"], 16), 0, "CapEff of " + name)
        equal(os.stat("/proc/%d/mem" % pid).st_uid, 0, "who may look into " + name)


@test("with 'user' set all but the gate are that user, and all directories are the user's")
def other_user():
    proxy, who = start_as(USER), pwd.getpwnam(USER)
    job(proxy)
    for name, pid in processes(proxy).items():
        uid = 0 if name == "dind-gate" else who.pw_uid
        equal(facts(pid)["Uid"].split(), [str(uid)] * 4, "Uid of " + name)
        if uid:
            equal(facts(pid)["Gid"].split(), [str(who.pw_gid)] * 4, "Gid of " + name)
            no_rights(pid, name)
    for name in ("run", "run/tasks", "state", "state/tasks", "spool", "spool/ready", "audit", "store"):
        equal(os.stat(os.path.join(proxy.dir, name)).st_uid, who.pw_uid, "owner of " + name)
    control = os.stat(proxy.control_socket)
    equal((stat.S_IMODE(control.st_mode), control.st_uid), (0o600, who.pw_uid), "the control socket")
    proxy.restart()
    job(proxy)


@test("a service that ran as root goes on as another user, with all that it had")
def change_of_user():
    proxy = start_as("")
    task = proxy.task()
    build = ("build", "-t", "app:1", "-")
    equal(task.docker(*build, program="/usr/bin/docker", stdin="FROM busybox:1.36\n").returncode, 0, "a build as root")
    proxy._end(proxy.uploader, "dind-uploader")
    text = open(proxy.config).read()
    contains(text, '"user": ""')
    with open(proxy.config, "w") as f:
        f.write(text.replace('"user": ""', '"user": "%s"' % USER))
    proxy.restart()
    proxy.start_uploader()
    listed = task.docker("images", "-q", "app:1", program="/usr/bin/docker")
    ok(listed.returncode == 0 and listed.stdout.strip(), "the task's image is still there: %s" % listed.stdout)
    equal(facts(proxy.daemon.pid)["Uid"].split()[0], str(pwd.getpwnam(USER).pw_uid), "Uid of the front")
    job(proxy)


@test("no program asks the kernel for anything that its filter does not know")
def nothing_missing():
    if not shutil.which("strace"):
        raise Skip("no strace")
    proxy = ready(new_proxy(Traced))
    job(proxy)
    for traced in (proxy.uploader, proxy.daemon):  # strace itself takes no signals
        os.kill(engine.children(traced.pid)[0], signal.SIGTERM)
        equal(traced.wait(30), 0, "status on SIGTERM")
    refused = [line for line in proxy.traces().split("\n") if "ENOSYS" in line or "SIGSYS" in line]
    # libc asks for clone3 first, whose flags a filter cannot see
    equal([line for line in refused if "clone3(" not in line], [], "calls that were refused")


def address(path):
    """A sockaddr_un."""
    return b"\1\0" + path.encode() + b"\0" * (108 - len(path))


def inside(pid, attempts, name):
    if not AVAILABLE:
        raise Skip("needs root on x86-64")
    got = {}
    with Inside(pid) as p:
        for call, *arguments in [a[1:] for a in attempts]:
            got[call + " " + " ".join(str(a) for a in arguments)] = p.call(call, *arguments)
    want = dict(zip(got, [a[0] for a in attempts]))
    equal(got, want, "what happened inside of the %s" % name)


INET, READ, MAKE = 2, 0, 0o101


@test("the front reads and writes its own directories, and nothing else")
def front_files():
    proxy = ready(new_proxy())
    task = proxy.task()
    state, audit = proxy.dir + "/state/tasks/" + task.id, proxy.dir + "/audit"
    attempts = [
        ("ok", "open", state + "/task.json", READ),
        ("ok", "open", audit + "/audit.jsonl", READ),
        ("EACCES", "open", "/etc/passwd", READ),
        ("EACCES", "open", "/proc/self/maps", READ),
        ("EACCES", "open", proxy.config, READ),
        ("EACCES", "open", "/tmp/of-the-front", MAKE, 0o600),
        ("EACCES", "open", proxy.dir + "/spool/ready/of-the-front", MAKE, 0o600),
        ("EACCES", "open", proxy.dir + "/store/of-the-front", MAKE, 0o600),
        ("EACCES", "unlink", audit + "/audit.jsonl"),
        ("EACCES", "rename", audit + "/audit.jsonl", audit + "/gone"),
        ("EACCES", "open", proxy.dir + "/state/audit/head", READ),
        ("ENOSYS", "socket", INET, 1, 0),
        ("ENOSYS", "kill", 1, 0),
    ]
    inside(proxy.daemon.pid, attempts, "front")
    equal(proxy.control("GET", "/healthz")[0], 200, "it goes on as if nothing had been")


@test("a front that connects to the engine's socket, forks or executes is killed")
def front_killed():
    for attempt in (("connect", 0, address(here["engine"].socket), 110), ("fork",), ("execve", "/bin/sh", 0, 0), ("ptrace", 0, 0, 0, 0)):
        proxy = ready(new_proxy())
        children = proxy.children()
        inside(proxy.daemon.pid, [("killed", *attempt)], "front")
        until(lambda: all(map(gone, children)), "gate and spawner end with it")
        proxy.daemon.returncode = -signal.SIGKILL  # the injector has seen it end


@test("the gate opens no file and no other network; one that executes is killed, and the service ends")
def gate():
    proxy = ready(new_proxy())
    pid = processes(proxy)["dind-gate"]
    attempts = [
        ("ok", "socket", 1, 1, 0),
        ("ENOSYS", "open", "/etc/passwd", READ),
        ("ENOSYS", "openat", -100, proxy.config, READ),
        ("ENOSYS", "mkdir", "/tmp/of-the-gate", 0o700),
        ("ENOSYS", "unlink", proxy.control_socket),
        ("ENOSYS", "socket", INET, 1, 0),
        ("ENOSYS", "kill", proxy.daemon.pid, 0),
    ]
    inside(pid, attempts, "gate")
    equal(proxy.control("GET", "/readyz")[0], 200, "it goes on as if nothing had been")
    inside(pid, [("killed", "execve", "/bin/sh", 0, 0)], "gate")
    equal(proxy.daemon.wait(10), 1, "the status of a front without its gate")
    contains(proxy.log(), "the gate has gone")
    proxy.daemon.returncode = -signal.SIGKILL  # it was meant to


@test("the keeper changes the audit log's directory, and nothing else; without it the service ends")
def keeper():
    proxy = ready(new_proxy())
    pid, audit = processes(proxy)["dind-keeper"], proxy.dir + "/audit"
    attempts = [
        ("ok", "open", audit + "/audit.jsonl", READ),
        ("EACCES", "open", proxy.dir + "/state/audit/head", 1),
        ("EACCES", "open", "/etc/passwd", READ),
        ("EACCES", "mkdir", "/tmp/of-the-keeper", 0o700),
        ("ENOSYS", "socket", 1, 1, 0),
        ("ENOSYS", "socket", INET, 1, 0),
        ("ENOSYS", "kill", proxy.daemon.pid, 0),
    ]
    inside(pid, attempts, "keeper")
    equal(proxy.control("GET", "/healthz")[0], 200, "it goes on as if nothing had been")
    inside(pid, [("killed", "execve", "/bin/sh", 0, 0)], "keeper")
    equal(proxy.daemon.wait(10), 1, "the status of a front without its keeper")
    contains(proxy.log(), "keeper has gone")
    proxy.daemon.returncode = -signal.SIGKILL  # it was meant to


@test("the spawner executes dind-image, and nothing else")
def spawner():
    proxy = ready(new_proxy())
    attempts = [
        ("EACCES", "execve", "/bin/sh", 0, 0),
        ("EACCES", "open", "/etc/shadow", READ),
        ("EACCES", "open", proxy.dir + "/state/tasks", READ),
        ("EACCES", "mkdir", "/tmp/of-the-spawner", 0o700),
        ("ENOSYS", "socket", 1, 1, 0),
        ("EPERM", "kill", proxy.daemon.pid, 0),
    ]
    inside(processes(proxy)["dind-spawner"], attempts, "spawner")
    job(proxy)


@test("the uploader sees spool and store, no network and no engine")
def uploader():
    proxy = ready(new_proxy())
    task = proxy.task()
    attempts = [
        ("ok", "open", proxy.dir + "/spool/ready", READ),
        ("EACCES", "open", proxy.dir + "/state/tasks/" + task.id + "/task.json", READ),
        ("EACCES", "open", "/etc/passwd", READ),
        ("EACCES", "mkdir", "/tmp/of-the-uploader", 0o700),
        ("ENOSYS", "socket", 1, 1, 0),
        ("ENOSYS", "socket", INET, 1, 0),
        ("killed", "connect", 0, address(here["engine"].socket), 110),
    ]
    inside(proxy.uploader.pid, attempts, "uploader")
    proxy.uploader.returncode = -signal.SIGKILL


def pause_engine():
    """dockerd takes connections (the kernel does) and says nothing."""
    keeper = int(open(os.path.join(here["engine"].dir, "keeper")).read())
    daemon = engine.children(keeper)[0]
    os.kill(daemon, signal.SIGSTOP)
    cleanup(os.kill, daemon, signal.SIGCONT)
    return daemon


@test("dind-image writes below the spool only, and ends with the front, whatever it waits for")
def export():
    proxy = ready(new_proxy())
    task = proxy.task(payload=payload(**{NAME: "app:1"}))
    task.docker("build", "-t", "app:1", "-", program="/usr/bin/docker", stdin="FROM busybox:1.36\n")
    daemon = pause_engine()
    proxy.good("POST", task.path + "/finish", status=202)
    spawner_pid = processes(proxy)["dind-spawner"]
    until(lambda: any(facts(p).get("Seccomp_filters") == "2" for p in engine.children(spawner_pid)), "dind-image waits for the engine")
    pid = engine.children(spawner_pid)[0]
    no_rights(pid, "dind-image")
    attempts = [
        ("ok", "open", proxy.dir + "/spool/incoming/other", MAKE, 0o600),
        ("ok", "unlink", proxy.dir + "/spool/incoming/other"),
        ("EACCES", "open", proxy.dir + "/store", READ),
        ("EACCES", "open", "/etc/passwd", READ),
        ("EACCES", "open", "/tmp/of-the-image", MAKE, 0o600),
        ("ENOSYS", "socket", 1, 1, 0),
        ("ENOSYS", "socket", INET, 1, 0),
        ("ENOSYS", "kill", proxy.daemon.pid, 0),
    ]
    inside(pid, attempts, "dind-image")
    os.kill(proxy.daemon.pid, signal.SIGKILL)
    proxy.daemon.wait(10)
    until(lambda: gone(pid), "dind-image is gone")
    os.kill(daemon, signal.SIGCONT)


main(setup)
