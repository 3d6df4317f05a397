"""What is measured: the engine itself, relays and proxies of others in front of it, and ours. Each is a unix socket and processes."""
import os
import resource
import shutil
import signal
import subprocess
import tempfile

import engine
from proxy import BUILD, Proxy
from tap import until

MOST = (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200) // 2  # connections; each is one more to the engine
TOOLS = os.path.join(BUILD, "tests", "bench")
PATHS = r"(/v1\.[0-9]+)?/(_ping|version|info|build|images/json|images/get|images/.+/(json|history|tag|get))"

HAPROXY = """
global
    log stdout format raw local0
    maxconn {most}
defaults
    mode http
    log global
    option httplog
    timeout connect 10s
    timeout client 10m
    timeout server 10m
frontend task
    bind unix@{socket} mode 666
    http-request deny unless {{ path_reg ^{paths}$ }}
    http-request deny if {{ path_end /exec }} or {{ url_param(networkmode) host }}
    default_backend engine
backend engine
    server engine unix@{engine}
"""

NGINX = """
daemon off;
worker_processes 2;
pid {dir}/nginx.pid;
error_log {dir}/nginx.error;
events {{ worker_connections {most}; }}
http {{
    access_log {dir}/nginx.log;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    client_max_body_size 0;
    keepalive_requests 100000000;
    keepalive_timeout 600;
    upstream engine {{ server unix:{engine}; keepalive 64; keepalive_requests 100000000; }}
    server {{
        listen unix:{socket};
        location / {{ return 403; }}
        location ~ ^{paths}$ {{
            proxy_pass http://engine;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_read_timeout 600;
        }}
    }}
}}
"""


def tool(name):
    return os.path.join(TOOLS, name)


def family(pid):
    """The process and all below it."""
    return [pid] + [p for child in engine.children(pid) for p in family(child)]


def _first_line(path):
    try:
        with open(path) as f:
            return f.readline()
    except OSError:
        return ""  # it ended between two looks


class Side:
    """One way to the engine. Processes are ended by pid when the measurement is over."""

    def __init__(self, name, directory):
        self.name, self.dir = name, directory
        self.socket = os.path.join(directory, name + ".sock")
        self.process = None

    def spawn(self, *words):
        with open(os.path.join(self.dir, self.name + ".out"), "ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(lambda: os.path.exists(self.socket), "%s listens" % self.name, 15)
        return self

    def pids(self):
        return family(self.process.pid) if self.process else []

    def cpu(self):
        """Seconds used so far, with children that have ended."""
        total = 0
        for pid in self.pids():
            stat = _first_line("/proc/%d/stat" % pid).rpartition(")")[2].split()
            total += sum(int(v) for v in stat[13:15]) / os.sysconf("SC_CLK_TCK") if stat else 0
            if os.path.isdir("/proc/%d/task" % pid):
                for thread in os.listdir("/proc/%d/task" % pid):
                    line = _first_line("/proc/%d/task/%s/schedstat" % (pid, thread))
                    total += int(line.split()[0]) / 1e9 if line else 0
        return total

    def memory(self, field="VmRSS"):
        """MiB of all its processes."""
        total = 0
        for pid in self.pids():
            try:
                with open("/proc/%d/status" % pid) as f:
                    total += sum(int(line.split()[1]) for line in f if line.startswith(field + ":"))
            except OSError:
                pass
        return total / 1024

    def stop(self):
        if self.process:
            for pid in reversed(self.pids()):
                try:
                    os.kill(pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Ours(Side):
    """dind-proxyd with one task and its usual settings, but for what limits load: a task that is measured is a flood."""

    SETTINGS = {
        "log.level": "info",
        "limits.requestRate": 100000,
        "limits.connections": 10000,
        "limits.hostConnections": 100000,
        "limits.builds": 1000,
        "limits.hostBuilds": 1000,
        "limits.contextBytes": "64GiB",
    }

    def __init__(self, engine_socket, **settings):
        self.proxy = Proxy(engine_socket, **{**self.SETTINGS, **settings})
        super().__init__("dind-proxy", self.proxy.dir)
        self.proxy.start()
        self.process = self.proxy.daemon
        self.task = self.proxy.task()
        self.socket = self.task.socket

    def stop(self):
        self.task.end()
        self.proxy.stop()


class Field:
    """A scripted engine, and everything in front of it: a dict of sides by name, in the order they are shown."""

    def __init__(self, mib, names):
        self.dir = tempfile.mkdtemp(prefix="bench.", dir="/tmp")
        os.chmod(self.dir, 0o777)  # nginx's workers are another user
        self.engine = Side("engine", self.dir)
        self.sides = {}
        try:
            self.engine.spawn(tool("engine"), self.engine.socket, str(mib))
            for name in names:
                self.sides[name] = getattr(self, "_" + name.replace("-", "_"))()
        except BaseException:
            self.close()
            raise

    def _direct(self):
        side = Side("direct", self.dir)
        side.socket = self.engine.socket
        return side

    def _splice(self):
        side = Side("splice", self.dir)
        return side.spawn(tool("relay"), "splice", side.socket, self.engine.socket)

    def _relay(self):
        side = Side("relay", self.dir)
        return side.spawn(tool("relay"), "copy", side.socket, self.engine.socket)

    def _written(self, name, template):
        side = Side(name, self.dir)
        path = os.path.join(self.dir, name + ".conf")
        with open(path, "w") as f:
            f.write(template.format(dir=self.dir, socket=side.socket, engine=self.engine.socket, paths=PATHS, most=MOST))
        return side, path

    def _haproxy(self):
        side, path = self._written("haproxy", HAPROXY)
        return side.spawn("haproxy", "-f", path)

    def _nginx(self):
        side, path = self._written("nginx", NGINX)
        return side.spawn("nginx", "-p", self.dir, "-c", path)

    def _socat(self):
        side = Side("socat", self.dir)
        listen = "UNIX-LISTEN:%s,fork,backlog=4096" % side.socket
        return side.spawn("socat", listen, "UNIX-CONNECT:" + self.engine.socket)

    def _ours(self):
        return Ours(self.engine.socket)

    def close(self):
        for side in self.sides.values():
            side.stop()
        self.engine.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
