"""A machine of its own for tests: a real systemd as PID 1, on a root of its own.

    m = Machine(binds={"/run/docker.sock": engine.socket}).start()
    m.run("systemctl", "start", "dind-proxyd")
    m.path("/run/dind-proxy/control.sock")      # as seen from here
    m.stop()

Debian 12 from debootstrap (made once, kept in the cache) lies below a file system in memory; mounts, processes, network,
host name and control groups are namespaces of their own. Nothing that it does is seen on the host, and nothing stays.
"""
import atexit
import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import engine
from tap import Failed, Skip, ok, until

PACKAGES = (
    "systemd,systemd-sysv,init-system-helpers,procps,ca-certificates,logrotate,libevent-core-2.1-7,libhttp-parser2.9,libjansson4,"
    "libcurl4,libssl3,libseccomp2,libsystemd0,zlib1g,libzstd1,liblz4-1,liblzma5,libbz2-1.0"
)

# Runs in new namespaces: $1 lower root, $2 an empty directory, $3... pairs of guest and host path to bind.
BOOT = r"""
set -eu
lower=$1 d=$2
shift 2
mount -t tmpfs -o mode=755 tmpfs "$d"
mkdir "$d/upper" "$d/work" "$d/root"
mount -t overlay -o "lowerdir=$lower,upperdir=$d/upper,workdir=$d/work" overlay "$d/root"
r=$d/root
cp -a "$r/var" "$d/var" # an ordinary file system for what services keep
mount --bind "$d/var" "$r/var"
mount -t proc -o nosuid,nodev,noexec proc "$r/proc"
mount --bind "$r/proc/sys" "$r/proc/sys"
mount -o remount,bind,ro,nosuid,nodev,noexec "$r/proc/sys"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$r/sys"
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$r/sys/fs/cgroup"
mount -t tmpfs -o mode=755,nosuid tmpfs "$r/dev"
for n in null zero full random urandom tty; do
	: >"$r/dev/$n"
	mount --bind "/dev/$n" "$r/dev/$n"
done
mkdir "$r/dev/pts" "$r/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$r/dev/pts"
ln -s pts/ptmx "$r/dev/ptmx"
ln -s /proc/self/fd "$r/dev/fd"
mount -t tmpfs -o mode=1777 tmpfs "$r/dev/shm"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$r/run"
mount -t tmpfs -o mode=1777 tmpfs "$r/tmp"
while [ $# -gt 0 ]; do
	mkdir -p "$r$(dirname "$1")"
	if [ -d "$2" ]; then mkdir -p "$r$1"; else : >"$r$1"; fi
	mount --bind "$2" "$r$1"
	shift 2
done
: >"$r/etc/machine-id"
echo machine >"$r/etc/hostname"
# what is the kernel's is the host's
for u in systemd-modules-load systemd-sysctl systemd-remount-fs systemd-udevd systemd-pstore systemd-timesyncd; do
	ln -sf /dev/null "$r/etc/systemd/system/$u.service"
done
for u in sys-kernel-debug sys-kernel-tracing sys-kernel-config sys-fs-fuse-connections dev-hugepages; do
	ln -sf /dev/null "$r/etc/systemd/system/$u.mount"
done
ip link set lo up
cd "$r"
mkdir -p .host
pivot_root . .host
umount -l /.host
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	setpriv --bounding-set=-sys_module,-sys_time,-sys_boot,-sys_rawio,-syslog,-audit_control,-wake_alarm,-mac_admin \
	/lib/systemd/systemd --unit=multi-user.target --show-status=no --log-target=journal
"""


def base():
    """The root that all machines share and none changes."""
    root = os.path.join(engine.CACHE, "machine-12-" + hashlib.sha256(PACKAGES.encode()).hexdigest()[:8])
    with alone("machine"):
        if os.path.isdir(root):
            return root
        with tempfile.TemporaryDirectory(prefix="dind-machine.") as new:
            os.chmod(new, 0o755)
            engine._debootstrap(["debootstrap", "--variant=minbase", "--include=" + PACKAGES, "bookworm", new, engine._mirror()])
            shutil.rmtree(os.path.join(new, "var/cache/apt/archives"))
            shutil.rmtree(os.path.join(new, "var/lib/apt/lists"))
            subprocess.run(["rm", "-rf", root + ".new"], check=True)
            subprocess.run(["cp", "-a", new, root + ".new"], check=True)
        os.rename(root + ".new", root)
    return root


@contextlib.contextmanager
def alone(name):
    """Two tests may want the same thing made at the same time."""
    os.makedirs(engine.CACHE, exist_ok=True)
    with open(os.path.join(engine.CACHE, name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def package():
    """The Debian package of the sources as they are: path."""
    parts = [os.path.join(engine.ROOT, d) for d in ("Makefile", "src", "include", "systemd", "packaging", "docs", "README.md")]
    files = [os.path.join(top, f) for part in parts for top, _, names in os.walk(part) for f in names]
    newest = max(os.path.getmtime(f) for f in files + [p for p in parts if os.path.isfile(p)])
    with alone("package"):
        made = glob.glob(os.path.join(engine.ROOT, "build", "dind-proxy_*.deb"))
        if len(made) != 1 or os.path.getmtime(made[0]) < newest:
            for old in made:
                os.unlink(old)
            done = subprocess.run(["make", "-s", "deb"], cwd=engine.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            ok(done.returncode == 0, "make deb: status %d:\n%s" % (done.returncode, done.stdout))
            made = glob.glob(os.path.join(engine.ROOT, "build", "dind-proxy_*.deb"))
    return made[0]


def cgroup_mount():
    for line in open("/proc/mounts"):
        _, point, kind, options, *_ = line.split()
        if kind == "cgroup2" and "rw" in options.split(","):
            return point
    raise Skip("no control groups of version 2 that can be written: systemd cannot boot here")


class Machine:
    def __init__(self, binds=None):
        self.binds = binds or {}
        self.process = self.init = None
        self.dir = self.group = None

    def start(self, seconds=90):
        if os.geteuid() != 0:
            raise Skip("only root can boot a systemd in namespaces")
        lower, groups = base(), cgroup_mount()
        self.dir = tempfile.mkdtemp(prefix="dind-machine.", dir="/tmp")
        self.group = os.path.join(groups, os.path.basename(self.dir))
        os.mkdir(self.group)
        atexit.register(self.stop)
        enter = 'echo $$ >"$0/cgroup.procs"; exec "$@"'
        unshare = "unshare --mount --net --pid --uts --ipc --cgroup --fork --kill-child --propagation private".split()
        pairs = [p for pair in self.binds.items() for p in pair]
        self.process = subprocess.Popen(
            ["sh", "-c", enter, self.group, *unshare, "sh", "-c", BOOT, "boot", lower, self.dir, *pairs],
            stdin=subprocess.DEVNULL,
            stdout=open(self.dir + ".log", "ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        until(self._booted, "systemd has booted", seconds, every=0.1)
        return self

    def _booted(self):
        if self.process.poll() is not None:
            raise Failed("the machine does not boot:\n" + engine.tail(self.dir + ".log"))
        self.init = next(iter(engine.children(self.process.pid)), None)
        if self.init is None or not os.path.exists(self.path("/run/systemd/private")):
            return False
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        if state == "degraded":
            raise Failed("the machine boots with failed units:\n" + self.run("systemctl", "--failed", "--no-legend").stdout)
        return state == "running"

    def path(self, inside):
        return "/proc/%d/root%s" % (self.init, inside)

    def run(self, *words, check=True, timeout=120, stdin=None):
        """Runs a program inside as root: CompletedProcess with text."""
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(
            ["nsenter", "--all", "--target", str(self.init), *words],
            stdin=subprocess.DEVNULL if stdin is None else None,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
            timeout=timeout,
        )
        ok(not check or done.returncode == 0, "%s: status %d:\n%s" % (" ".join(words), done.returncode, done.stdout))
        return done

    def install(self, deb):
        """dpkg -i of a package that lies here: what it said."""
        place = "/root/" + os.path.basename(deb)
        shutil.copy(deb, self.path(place))
        return self.run("dpkg", "-i", place).stdout

    def show(self, unit, *names):
        """Properties of a unit: one value, or a list of them."""
        words = [w for name in names for w in ("-p", name)]
        lines = self.run("systemctl", "show", unit, *words).stdout.splitlines()
        values = dict(line.split("=", 1) for line in lines)
        return values[names[0]] if len(names) == 1 else [values[n] for n in names]

    def journal(self, unit, lines=40):
        return self.run("journalctl", "--no-pager", "-q", "-o", "cat", "-n", str(lines), "-u", unit, check=False).stdout

    def stop(self):
        if self.process is None:
            return
        if self.init is not None and self.process.poll() is None:
            os.kill(self.init, signal.SIGKILL)  # the rest dies with it
        elif self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process = None
        self._remove_groups()
        for path in (self.dir, self.dir + ".log"):
            shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.path.exists(path) and os.unlink(path)

    def _remove_groups(self):
        end = time.monotonic() + 10
        while os.path.isdir(self.group):
            for top, _, _ in os.walk(self.group, topdown=False):
                try:
                    os.rmdir(top)
                except OSError:
                    pass  # its last process is on its way out
            if time.monotonic() > end:
                raise Failed("control group %s cannot be removed" % self.group)
            time.sleep(0.05)


class Load:
    """Clients that connect to a socket without a pause, one request each; want: what an answer begins with."""

    def __init__(self, path, want=b"HTTP/1.1 200 ", clients=4):
        self.path, self.want = path, want
        self.answered, self.cut, self.refused = 0, 0, []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._work, daemon=True) for _ in range(clients)]
        for t in self.threads:
            t.start()

    def _work(self):
        while not self.stopping.is_set():
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(30)
                try:
                    s.connect(self.path)
                except OSError as e:
                    self.refused.append(repr(e))
                    continue
                answer = self._ask(s)
                if answer.startswith(self.want):
                    self.answered += 1
                elif answer.startswith(b"HTTP/1.1 429 "):
                    self.stopping.wait(0.1)  # faster than a task may ask
                else:
                    self.cut += 1  # it was being served when the service ended

    @staticmethod
    def _ask(s):
        try:
            s.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return s.recv(65536)
        except OSError:
            return b""

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join(60)
