"""Runs dind-proxyd and dind-uploader of one build variant for a test, and talks to their control socket."""
import atexit
import base64
import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

import engine
from tap import Failed, ok, until

BUILD = os.path.join(engine.ROOT, os.environ.get("DIND_BUILD", "build/plain"))
SANITIZED = os.path.basename(BUILD) != "plain"
SLOW = 4 if SANITIZED else 1  # deadlines of tests are multiplied by this


def program(name):
    return os.path.join(BUILD, name)


def slug():
    """A taskId as Taskcluster makes them."""
    return base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")


def payload(**artifacts):
    """A payload with dind on; artifacts: name=image with '/' in names given by a dict as payload(**{...})."""
    made = {name: {"image": image} for name, image in artifacts.items()}
    return {"features": {"dind": True}, "dind": {"artifacts": made}} if made else {"features": {"dind": True}}


class Task:
    """A registered task: its socket, and its calls on the control API."""

    def __init__(self, proxy, task_id, run_id, answer):
        self.proxy, self.task_id, self.run_id, self.answer = proxy, task_id, run_id, answer
        self.id, self.socket = answer["id"], answer["socket"]
        self.path = "/v1/tasks/" + self.id
        self.prefix = "dind.invalid/%s/" % self.id

    def show(self):
        return self.proxy.good("GET", self.path)

    def docker(self, *words, **more):
        return engine.docker(self.socket, *words, **more)

    def call(self, method, target, body=None, headers=None, timeout=60):
        return engine.call(self.socket, method, target, body, headers, timeout)

    def finish(self, seconds=120):
        """Finishes the task and waits until every artifact is done or failed: {name: artifact}."""
        self.proxy.good("POST", self.path + "/finish", status=202)
        return until(self._settled, "the artifacts are done or failed", seconds * SLOW, every=0.1)

    def _settled(self):
        artifacts = self.proxy.good("GET", self.path + "/artifacts")
        return all(a["state"] in ("done", "failed") for a in artifacts) and {a["name"]: a for a in artifacts}

    def load(self, task_id, path, **more):
        image = dict({"type": "task-image", "taskId": task_id, "path": path}, **more)
        body = {"taskId": self.task_id, "runId": self.run_id, "image": image}
        return self.proxy.control("POST", "/v1/images/load", body, timeout=120 * SLOW)

    def end(self):
        return self.proxy.good("DELETE", self.path)

    def audit(self):
        """The records of the task's audit log."""
        path = os.path.join(self.proxy.dir, "audit", "tasks", self.id + ".jsonl")
        return [json.loads(line) for line in open(path, "rb").read().split(b"\n") if line]


class Proxy:
    """dind-proxyd, and dind-uploader when asked for, with everything they keep below one new directory.

    settings are rows of include/base/settings.h by their full names: Proxy(socket, **{"limits.builds": 3}).
    """

    def __init__(self, engine_socket, uploader=False, **settings):
        self.dir = tempfile.mkdtemp(prefix="dind.", dir="/tmp")  # short: names of unix sockets have 107 bytes
        os.chmod(self.dir, 0o755)
        self.reports = os.path.join(self.dir, "reports")
        os.mkdir(self.reports)
        os.chmod(self.reports, 0o1777)
        self.config = os.path.join(self.dir, "config.json")
        self.control_socket = os.path.join(self.dir, "run", "control.sock")
        self.with_uploader = uploader
        self.daemon = self.uploader = None
        self.stopped = []  # exit statuses of programs that we ended
        self._write_config(engine_socket, settings)
        atexit.register(self._kill_all)

    def _write_config(self, engine_socket, settings):
        rows = {
            "engine.socket": engine_socket,
            "runDir": self.dir + "/run",
            "stateDir": self.dir + "/state",
            "audit.dir": self.dir + "/audit",
            "spool.dir": self.dir + "/spool",
            "store.type": "local",
            "store.dir": self.dir + "/store",
            "programs.image": program("dind-image"),
            "log.level": "debug",
        }
        tree = {}
        for key, value in {**rows, **settings}.items():
            *above, last = key.split(".")
            place = tree
            for name in above:
                place = place.setdefault(name, {})
            place[last] = value
        with open(self.config, "w") as f:
            json.dump(tree, f, indent=1)

    # --- life

    def start(self):
        if not os.access(program("dind-proxyd"), os.X_OK):
            raise Failed("%s is not built" % program("dind-proxyd"))
        self.start_daemon()
        if self.with_uploader:
            self.start_uploader()
        return self

    def start_daemon(self):
        self.daemon = self._spawn("dind-proxyd")
        until(self._answers, "dind-proxyd answers on its control socket", 15 * SLOW)

    def start_uploader(self):
        self.uploader = self._spawn("dind-uploader")

    def _spawn(self, name):
        reports = "log_path=%s/%s:exitcode=99:abort_on_error=0" % (self.reports, name)
        env = dict(os.environ, ASAN_OPTIONS=reports, UBSAN_OPTIONS=reports + ":print_stacktrace=1")
        with open(os.path.join(self.dir, name + ".log"), "ab") as log:
            words = [program(name), "--config", self.config]
            return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd="/")

    def _answers(self):
        if self.daemon.poll() is not None:
            raise Failed("dind-proxyd ended with status %d at its start:\n%s" % (self.daemon.returncode, self.log()))
        try:
            return self.control("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def restart(self):
        """Ends dind-proxyd as systemd would, and starts it again with the same directories."""
        self._end(self.daemon, "dind-proxyd")
        self.start_daemon()

    def crash(self):
        """Ends dind-proxyd as a power cut would."""
        for pid in [self.daemon.pid] + self.children():
            os.kill(pid, signal.SIGKILL)
        self.daemon.wait(10)

    def _end(self, process, name):
        if process is None or process.poll() is not None:
            if process is not None and process.returncode not in (0, -signal.SIGKILL):
                self.stopped.append("%s had ended by itself with status %d" % (name, process.returncode))
            return
        process.terminate()
        try:
            process.wait(20 * SLOW)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.stopped.append("%s did not end within %d s of SIGTERM" % (name, 20 * SLOW))
            return
        if process.returncode != 0:
            self.stopped.append("%s ended with status %d on SIGTERM" % (name, process.returncode))

    def stop(self):
        """Ends both, fails on bad exits and on sanitizer reports, removes the directory."""
        children = self.children()
        self._end(self.uploader, "dind-uploader")
        self._end(self.daemon, "dind-proxyd")
        left = [p for p in children if _ended_late(p)]
        bad = self.stopped + ["process %d outlived dind-proxyd" % p for p in left] + self._reports()
        if bad:
            bad.append("the end of its log:\n" + self.log())
        shutil.rmtree(self.dir, ignore_errors=True)
        ok(not bad, "\n".join(bad))

    def _kill_all(self):
        for process in (self.daemon, self.uploader):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _reports(self):
        return [os.path.basename(p) + ":\n" + engine.tail(p, 40) for p in glob.glob(self.reports + "/*")]

    def log(self, lines=30):
        return "".join(engine.tail(p, lines) for p in sorted(glob.glob(self.dir + "/*.log")))

    # --- what is asked of it

    def control(self, method, target, body=None, timeout=60):
        return engine.call(self.control_socket, method, target, body, timeout=timeout)

    def good(self, method, target, body=None, status=200, timeout=60):
        got, answer = self.control(method, target, body, timeout)
        ok(got == status, "%s %s: status %d, expected %d: %s" % (method, target, got, status, answer))
        return answer

    def task(self, task_id=None, run_id=0, **more):
        """Registers a task (payload: dind on, no artifacts; further fields of the body as keywords)."""
        task_id = task_id or slug()
        body = {"taskId": task_id, "runId": run_id, "payload": payload(), **more}
        return Task(self, task_id, run_id, self.good("POST", "/v1/tasks", body, status=201))

    def artifact(self, task_id, path):
        """The file of an artifact in the local store."""
        found = [p for p in glob.glob(self.dir + "/store/**", recursive=True) if p.endswith("/" + path) and task_id in p]
        ok(len(found) == 1, "%s of task %s is in the store once, not %s" % (path, task_id, found))
        return found[0]

    # --- what it uses

    def children(self):
        return engine.children(self.daemon.pid) if self.daemon and self.daemon.poll() is None else []

    def memory(self, field="VmRSS", pid=None):
        """Bytes, of /proc/PID/status."""
        for line in open("/proc/%d/status" % (pid or self.daemon.pid)):
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        return 0

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.daemon.pid))


def _ended_late(pid):
    """Is it still there some time after its parent has gone?"""
    end = time.monotonic() + 5
    while os.path.exists("/proc/%d" % pid):
        if time.monotonic() > end:
            return True
        time.sleep(0.02)
    return False
