"""From the engine to S3: our export and upload beside their stages alone, and beside pipelines of stock tools.

The image is made here, half of it random, half of it text. The store is a radosgw on loopback that keeps all in memory.
"""
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

from engine import Engine, UnixHTTP, children
from figures import Figures
from proxy import Proxy, payload
from rgw import Radosgw
from sections import MIB, ROUNDS

SIZE = int(os.environ.get("ARTIFACT_SIZE", "1024"))  # MiB of the image
NAME = "public/image.tar.zst"
RANDOM, TEXT = os.urandom(MIB), b"".join(b"line %d of a text that repeats itself, nearly\n" % n for n in range(30000))[:MIB]
AFTER, WHOLE, CPU = "after the first byte, s", "end to end, s", "CPU of it, s"


def context(label):
    """A build context in pieces of 1 MiB."""
    text = b"FROM scratch\nCOPY big /big\nLABEL of=%s\n" % label.encode()
    for name, data, size in (("Dockerfile", text, len(text)), ("big", None, SIZE * MIB)):
        info = tarfile.TarInfo(name)
        info.size = size
        yield info.tobuf(tarfile.USTAR_FORMAT)
        if data is not None:
            yield data + b"\0" * (-len(data) % 512)
        else:
            for n in range(SIZE):
                yield RANDOM[n:] + RANDOM[:n] if n % 2 else TEXT
    yield b"\0" * 1024


def build(path, name, label):
    c = UnixHTTP(path, timeout=3600)
    fields = {"Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"}
    c.request("POST", "/build?nocache=1&t=" + name, context(label), fields, encode_chunked=True)
    said = c.getresponse().read()
    if b"Successfully tagged" not in said:
        sys.exit("bench: %s" % said[-500:])


def ticks(pid):
    """Seconds of CPU that a process has used."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0


class Field:
    def __enter__(self):
        free = shutil.disk_usage("/tmp").free // MIB
        if free < 8 * SIZE:
            sys.exit("bench: this needs about %d MiB on /tmp, which has %d" % (8 * SIZE, free))
        self.dir, self.numbers = tempfile.mkdtemp(prefix="dind-bench."), 0
        self.s3, self.engine = Radosgw(), Engine()
        try:
            self.s3.__enter__().bucket("bench")
            self.engine.start()
            build(self.engine.socket, "bench:artifact", "direct")
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        keys = self.dir + "/s3.json"
        with open(keys, "w") as f:
            f.write('{"accessKeyId": "%s", "secretAccessKey": "%s"}' % (self.s3.access, self.s3.secret))
        os.chmod(keys, 0o600)
        store = {"store.type": "s3", "store.s3.endpoint": self.s3.endpoint, "store.s3.bucket": "bench", "store.s3.credentials": keys}
        self.proxy = Proxy(self.engine.socket, uploader=True, **store, **{"limits.contextBytes": "64GiB", "log.level": "warn"})
        self.proxy.start()
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.env.update(RCLONE_CONFIG="/dev/null", RCLONE_CONFIG_S_TYPE="s3", RCLONE_CONFIG_S_PROVIDER="Ceph")
        self.env.update(RCLONE_CONFIG_S_ENDPOINT=self.s3.endpoint, RCLONE_CONFIG_S_REGION="us-east-1", no_proxy="*")
        self.env.update(RCLONE_CONFIG_S_ACCESS_KEY_ID=self.s3.access, RCLONE_CONFIG_S_SECRET_ACCESS_KEY=self.s3.secret)

    def __exit__(self, *_):
        if hasattr(self, "proxy"):
            self.proxy.stop()
        self.engine.stop()
        self.s3.stop()
        shutil.rmtree(self.dir)

    def key(self):
        self.numbers += 1
        return "s:bench/stock-%d" % self.numbers

    def shell(self, script):
        """Seconds of a pipeline; $SAVE is the command that saves the image."""
        save = "curl -sS --unix-socket %s http://docker/images/bench:artifact/get" % self.engine.socket
        start = time.monotonic()
        subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script.replace("$SAVE", save)], cwd=self.dir, env=self.env, check=True)
        return time.monotonic() - start

    def forget(self, *keys):
        for key in keys:
            subprocess.run(["rclone", "deletefile", key], env=self.env, check=True)


def save_alone(field):
    """Seconds after the first byte, into a file for the stages behind it."""
    c = UnixHTTP(field.engine.socket, timeout=3600)
    c.request("GET", "/images/bench:artifact/get")
    answer = c.getresponse()
    with open(field.dir + "/tar", "wb") as f:
        f.write(answer.read(1))
        start = time.monotonic()
        while data := answer.read(MIB):
            f.write(data)
    return time.monotonic() - start


def ours(field, figures):
    label = "ours-%d" % field.numbers
    field.numbers += 1
    task = field.proxy.task(payload=payload(**{NAME: "bench:ours"}))
    build(task.socket, "bench:ours", label)
    watch = Watch(field.proxy)
    start = time.monotonic()
    field.proxy.good("POST", task.path + "/finish", status=202)
    first = sealed = None
    while True:
        artifact = field.proxy.good("GET", task.path + "/artifacts")[0]
        watch.look()
        now = time.monotonic()
        if first is None and (artifact.get("phase") in ("streaming", "sealing") or artifact["state"] not in ("queued", "exporting", "declared")):
            first = now
        if sealed is None and artifact["state"] not in ("queued", "exporting", "declared"):
            sealed = now
        if artifact["state"] in ("done", "failed"):
            break
        time.sleep(0.02)
    if artifact["state"] != "done":
        sys.exit("bench: %s" % artifact)
    figures.add(AFTER, "ours", now - first)
    figures.add("of it until it was sealed, s", "ours", sealed - first)
    figures.add(WHOLE, "ours", now - start)
    figures.add(CPU, "ours", watch.cpu())
    task.end()
    key = "%s/0/%s" % (task.task_id, NAME)
    field.forget("s:bench/" + key, "s:bench/%s.json" % key)
    return watch.peaks()


class Watch:
    """CPU and peak memory of all our processes, of dind-image too, which comes and goes."""

    def __init__(self, proxy):
        self.proxy, self.seen = proxy, {}
        self.before = ticks(proxy.uploader.pid)

    def look(self):
        spawned = [p for child in self.proxy.children() for p in children(child)]
        for pid in [self.proxy.daemon.pid, self.proxy.uploader.pid, *self.proxy.children(), *spawned]:
            try:
                with open("/proc/%d/comm" % pid) as f:
                    name = f.read().strip()
                peak = self.proxy.memory("VmHWM", pid) / MIB
            except (OSError, ValueError):
                continue  # it ended between two looks
            cpu, most = self.seen.get((name, pid), (0, 0))
            self.seen[name, pid] = max(cpu, ticks(pid)), max(most, peak)

    def cpu(self):
        of_images = sum(cpu for (name, _), (cpu, _) in self.seen.items() if name == "dind-image")
        return of_images + ticks(self.proxy.uploader.pid) - self.before

    def peaks(self):
        most = {}
        for (name, _), (_, peak) in self.seen.items():
            most[name] = max(peak, most.get(name, 0))
        return most


def artifacts(show, goals):
    if not shutil.which("rclone"):
        sys.exit("bench: this needs rclone (tests/lib/deps bench)")
    figures, memory = Figures(["save", "zstd", "upload", "ours", "zstd|rclone", "gzip, PUT"]), Figures(["peak MiB"])
    with Field() as field:
        for n in range(ROUNDS):
            sides = [_stages, _ours, _pipe, _old]
            for side in sides[n % 4 :] + sides[: n % 4]:
                side(field, figures, memory)
    show("An image of %d MiB into S3" % SIZE, figures)
    show("Memory of it", memory)
    _judge(figures, memory, goals)


def _stages(field, figures, _):
    figures.add(AFTER, "save", save_alone(field))
    figures.add(AFTER, "zstd", field.shell("zstd -3 -T2 -q -f tar -o tar.zst"))
    key = field.key()
    figures.add(AFTER, "upload", field.shell("rclone copyto tar.zst " + key))
    field.forget(key)


def _ours(field, figures, memory):
    for name, peak in ours(field, figures).items():
        memory.add(name, "peak MiB", peak)


def _pipe(field, figures, _):
    key = field.key()
    figures.add(WHOLE, "zstd|rclone", field.shell("$SAVE | zstd -3 -T2 -q | rclone rcat " + key))
    field.forget(key)


def _old(field, figures, _):
    """As the workers before did it: a file, its hash, one PUT."""
    key = field.key()
    script = "$SAVE | gzip -6 >tar.gz; sha256sum tar.gz >/dev/null; rclone copyto --s3-upload-cutoff 5G tar.gz " + key
    figures.add(WHOLE, "gzip, PUT", field.shell(script))
    field.forget(key)


def _judge(figures, memory, goals):
    bound = max(*(figures.median(AFTER, side) for side in ("save", "zstd", "upload")), figures.median(CPU, "ours") / os.cpu_count())
    goals.most("export and upload after the first byte, by the slowest stage or CPU / cores", figures.median(AFTER, "ours") / bound, 1.2, " ×")
    goals.most("end to end, by save | zstd | rclone rcat", figures.ratio(WHOLE, "ours", "zstd|rclone"), 0.8, " ×")
    goals.most("end to end, by save, gzip, hash, PUT", figures.ratio(WHOLE, "ours", "gzip, PUT"), 0.3, " ×")
    goals.most("peak memory of any process", max(memory.median(row, "peak MiB") for row in memory.order), 32, " MiB")
