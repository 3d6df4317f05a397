#!/usr/bin/env python3
"""Real Docker engines for tests and the demo.

Each engine is private: its own mount, network and PID namespace, its own data below one directory. Two engines in one
network namespace would delete each other's docker0; the PID namespace takes every container with it when the engine
ends, whatever happened before. Nothing of the host's engine, if there is one, is touched.

As a program (for shell scripts):
    engine.py start DIR [--version bookworm|trixie|sid]     prints nothing; DIR/docker.sock answers when it returns
    engine.py stop DIR                                      ends it and removes DIR
    engine.py image SOCKET busybox:1.36|debian:12           loads a base image, made from Debian packages
"""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.environ.get("DIND_CACHE") or os.path.join(ROOT, "build", "cache")
ENGINES = ("bookworm", "trixie", "sid")
NEWER = ("docker.io", "containerd", "docker-cli")  # since trixie the client is a package of its own


class EngineError(Exception):
    pass


class UnixHTTP(http.client.HTTPConnection):
    """http.client over a unix socket."""

    def __init__(self, path, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def call(path, method, target, body=None, headers=None, timeout=60):
    """One request on a unix socket: (status, parsed JSON or text or None)."""
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    c = UnixHTTP(path, timeout)
    try:
        c.request(method, target, body, headers)
        answer = c.getresponse()
        data = answer.read()
        kind = answer.headers.get("Content-Type", "")
        return answer.status, json.loads(data) if data and "json" in kind else data.decode("utf-8", "replace")
    finally:
        c.close()


class Engine:
    """A running engine. version is the Debian release that its packages come from; config is its daemon.json."""

    def __init__(self, directory=None, version="bookworm", config=None):
        self.own = directory is None
        self.dir = directory or tempfile.mkdtemp(prefix="dind-engine.")
        self.socket = os.path.join(self.dir, "docker.sock")
        self.log = os.path.join(self.dir, "log")
        self.path = release_path(version)
        self.config = config or {}
        self.process = None

    def start(self, seconds=60):
        os.makedirs(self.dir, exist_ok=True)
        with open(os.path.join(self.dir, "daemon.json"), "w") as f:
            json.dump(self.config, f)  # empty as it may be: /dev/null is no JSON for newer engines
        script = (
            'ip link set lo up; cd "$0"; exec dockerd --config-file "$0/daemon.json" --data-root "$0/root"'
            ' --exec-root "$0/exec" --pidfile "$0/pid" -H "unix://$0/docker.sock" --exec-opt native.cgroupdriver=cgroupfs'
        )
        unshare = "unshare --mount --net --pid --fork --kill-child --mount-proc --propagation slave".split()
        self.process = subprocess.Popen(
            unshare + ["sh", "-c", script, self.dir],
            stdin=subprocess.DEVNULL,
            stdout=open(self.log, "ab"),
            stderr=subprocess.STDOUT,
            env=dict(os.environ, PATH=self.path),
            start_new_session=True,
        )
        with open(os.path.join(self.dir, "keeper"), "w") as f:
            f.write("%d" % self.process.pid)
        self._wait(seconds)
        return self

    def _wait(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                if call(self.socket, "GET", "/_ping", timeout=5)[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        self.stop(keep=True)
        raise EngineError("the engine does not answer; the end of its log:\n" + tail(self.log))

    def call(self, method, target, body=None, headers=None, timeout=60):
        return call(self.socket, method, target, body, headers, timeout)

    def image(self, name):
        load_base(self.socket, name)
        return self

    def images(self):
        """{id: [names]} of all images, intermediate ones too."""
        return {i["Id"]: i.get("RepoTags") or [] for i in self.call("GET", "/images/json?all=1")[1]}

    def containers(self):
        return [c["Id"] for c in self.call("GET", "/containers/json?all=1")[1]]

    def docker(self, *words, **more):
        return docker(self.socket, *words, **more)

    def stop(self, keep=False):
        stop(self.dir, self.process, keep)


def stop(directory, process=None, keep=False):
    """Ends the engine of a directory and what runs in it; its data is gone too, unless it is to be kept."""
    try:
        keeper = int(open(os.path.join(directory, "keeper")).read())
    except (OSError, ValueError):
        keeper = None
    if keeper and _is_keeper(keeper):
        daemon = children(keeper)
        _remove_containers(os.path.join(directory, "docker.sock"))
        for pid in daemon:
            _kill(pid, signal.SIGTERM)
        if not _gone(keeper, process, 15):
            for pid in daemon + [keeper]:
                _kill(pid, signal.SIGKILL)  # PID 1 of the namespace: the rest dies with it
            _gone(keeper, process, 10)
    if not keep:
        _unmount(directory)
        shutil.rmtree(directory, ignore_errors=True)


def _remove_containers(path):
    """Else dockerd would wait ten seconds for each, and a killed one would leave its cgroup behind."""
    try:
        for c in call(path, "GET", "/containers/json?all=1", timeout=5)[1]:
            call(path, "DELETE", "/containers/%s?force=1" % c["Id"], timeout=20)
    except (OSError, ValueError, TypeError):
        pass  # no engine, or a damaged one: the kill that follows does it


def _is_keeper(pid):
    try:
        return b"unshare" in open("/proc/%d/cmdline" % pid, "rb").read()
    except OSError:
        return False


def children(pid):
    try:
        return [int(p) for p in open("/proc/%d/task/%d/children" % (pid, pid)).read().split()]
    except OSError:
        return []


def _kill(pid, number):
    try:
        os.kill(pid, number)
    except OSError:
        pass


def _gone(pid, process, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process is not None and process.poll() is not None or not _is_keeper(pid):
            return True
        time.sleep(0.02)
    return False


def _unmount(directory):
    """The engine's mounts died with its namespace; this is for those that leaked into ours."""
    points = [line.split()[1] for line in open("/proc/mounts")]
    for point in sorted((p for p in points if p.startswith(directory + "/")), reverse=True):
        subprocess.call(["umount", "-l", point], stderr=subprocess.DEVNULL)


def tail(path, lines=25):
    try:
        return "".join(open(path, errors="replace").readlines()[-lines:])
    except OSError as e:
        return str(e)


def docker(path, *words, program="docker", stdin=None, cwd=None, env=None, timeout=300, background=False):
    """Runs a docker client on a socket: CompletedProcess with text, or Popen in the background."""
    config = os.path.join(CACHE, "docker-config")
    os.makedirs(config, exist_ok=True)
    given = dict(os.environ, DOCKER_CONFIG=config, DOCKER_HOST="unix://" + path, LC_ALL="C.UTF-8", **(env or {}))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "DOCKER_CONTEXT"):
        given.pop(name, None)
    settings = {"cwd": cwd, "env": given, "stderr": subprocess.STDOUT, "stdout": subprocess.PIPE, "text": True}
    if background:
        return subprocess.Popen([program, *words], stdin=subprocess.DEVNULL, start_new_session=True, **settings)
    if stdin is None:
        settings["stdin"] = subprocess.DEVNULL
    return subprocess.run([program, *words], input=stdin, timeout=timeout, **settings)


def _mirror():
    """The mirror that apt uses here for this release."""
    words = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Codename: bookworm"]
    found = subprocess.run(words, capture_output=True, text=True).stdout.split()
    if not found:
        raise EngineError("apt-get knows no mirror of bookworm: run 'apt-get update'")
    return found[0].rstrip("/")


def release_path(version):
    """PATH with the engine and client of a Debian release first; runc and iptables always are the host's."""
    if version == "bookworm":
        return "/usr/sbin:/usr/bin:/sbin:/bin"
    root = os.path.join(CACHE, "engine-" + version)
    if not os.path.exists(os.path.join(root, ".done")):
        _fetch_release(version, root)
    return "%s/usr/sbin:%s/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin" % (root, root)


def _fetch_release(version, root):
    """Unpacks newer packages beside the system, through an apt with its own lists, so that the host's is as before."""
    shutil.rmtree(root, ignore_errors=True)
    os.makedirs(os.path.join(root, "apt", "lists", "partial"))
    os.makedirs(os.path.join(root, "apt", "archives", "partial"))
    with open(os.path.join(root, "apt", "sources.list"), "w") as f:
        f.write("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n" % (_mirror(), version))
    a = os.path.join(root, "apt")
    apt = ["apt-get", "-qq", "-o", "Dir::Etc::SourceList=%s/sources.list" % a, "-o", "Dir::Etc::SourceParts=-"]
    apt += ["-o", "Dir::State::Lists=%s/lists" % a, "-o", "Dir::Cache=%s" % a, "-o", "APT::Sandbox::User=root"]
    apt += ["-o", "Dir::State::Status=/dev/null", "-o", "Acquire::Languages=none"]
    for words in (["update"], ["download", *NEWER]):
        done = subprocess.run(apt + words, cwd=a, capture_output=True, text=True)
        if done.returncode != 0:
            shutil.rmtree(root, ignore_errors=True)
            raise EngineError("Debian's %s cannot be had here: %s" % (version, done.stderr.strip()[-300:]))
    for deb in sorted(n for n in os.listdir(a) if n.endswith(".deb")):
        subprocess.run(["dpkg-deb", "-x", os.path.join(a, deb), root], check=True)
    shutil.rmtree(a)
    open(os.path.join(root, ".done"), "w").close()


def load_base(path, name):
    """Puts busybox:1.36 or debian:12 on an engine: what a host of a worker has pulled beforehand."""
    if call(path, "GET", "/images/%s/json" % name)[0] == 200:
        return
    tar, changes = BASES[name]()
    repo, tag = name.split(":")
    query = urllib.parse.urlencode({"fromSrc": "-", "repo": repo, "tag": tag, "changes": changes}, doseq=True)
    with open(tar, "rb") as body:
        status, answer = call(path, "POST", "/images/create?" + query, body, timeout=300)
    if status != 200 or '"error"' in str(answer):
        raise EngineError("import of %s: %s %s" % (name, status, answer))


def _cached(name, make):
    """A file below the cache that make(path) writes; complete or not there, also with two makers at once."""
    path = os.path.join(CACHE, name)
    if not os.path.exists(path):
        os.makedirs(CACHE, exist_ok=True)
        new = "%s.%d" % (path, os.getpid())
        try:
            make(new)
            os.rename(new, path)
        finally:
            if os.path.exists(new):
                os.unlink(new)
    return path


def _busybox():
    def make(path):
        with tempfile.TemporaryDirectory() as root:
            for d in ("bin", "etc", "tmp", "root"):
                os.mkdir(os.path.join(root, d))
            os.chmod(os.path.join(root, "tmp"), 0o1777)
            shutil.copy("/bin/busybox", os.path.join(root, "bin", "busybox"))
            for applet in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
                if applet != "busybox":
                    os.symlink("busybox", os.path.join(root, "bin", applet))
            with open(os.path.join(root, "etc", "passwd"), "w") as f:
                f.write("root:x:0:0:root:/root:/bin/sh\n")
            _tar(root, path)

    return _cached("busybox.tar", make), ['CMD ["sh"]', "ENV PATH=/bin"]


def _debian():
    def make(path):
        # not below a directory that may be mounted nodev: debootstrap makes device nodes
        with tempfile.TemporaryDirectory(prefix="dind-debootstrap.") as root:
            _debootstrap(["debootstrap", "--variant=minbase", "bookworm", root, _mirror()])
            shutil.rmtree(os.path.join(root, "var/cache/apt/archives"), ignore_errors=True)
            shutil.rmtree(os.path.join(root, "var/lib/apt/lists"), ignore_errors=True)
            os.makedirs(os.path.join(root, "var/cache/apt/archives/partial"))
            os.makedirs(os.path.join(root, "var/lib/apt/lists/partial"))
            _tar(root, path, "--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*")

    return _cached("debian-12.tar", make), ['CMD ["bash"]', "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]


def _debootstrap(words):
    """Runs it and shows how far it is: it takes about half a minute."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    live, steps, last, shown = sys.stderr.isatty(), 0, [], 0.0
    for line in process.stdout:
        steps, last = steps + 1, (last + [line])[-20:]
        if time.monotonic() - shown > (0.1 if live else 10):
            shown = time.monotonic()
            text = "    debootstrap makes debian:12, step %d: %s" % (steps, line.strip()[:60])
            sys.stderr.write("\r\033[K" + text if live else text + "\n")
            sys.stderr.flush()
    if live:
        sys.stderr.write("\r\033[K")
    if process.wait() != 0:
        raise EngineError("debootstrap: " + "".join(last))


def _tar(root, path, *more):
    # same bytes for the same files: the image keeps its id from run to run
    words = ["tar", "--sort=name", "--mtime=2024-01-01 00:00Z", "--numeric-owner", *more, "-C", root, "-cf", path, "."]
    subprocess.run(words, check=True)


BASES = {"busybox:1.36": _busybox, "debian:12": _debian}


def _main(words):
    try:
        if words[0] == "start":
            Engine(os.path.abspath(words[1]), words[3] if words[2:3] == ["--version"] else "bookworm").start()
        elif words[0] == "stop":
            stop(os.path.abspath(words[1]))
        elif words[0] == "image":
            load_base(words[1], words[2])
        else:
            raise IndexError
    except IndexError:
        sys.exit(__doc__)
    except (EngineError, KeyError, OSError) as e:
        sys.exit("engine: %s" % e)


if __name__ == "__main__":
    _main(sys.argv[1:])
