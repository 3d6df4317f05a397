"""A real S3 server on loopback: Ceph's radosgw with one monitor and one OSD that keeps everything in memory.

    with Radosgw() as s3:  s3.endpoint, s3.access, s3.secret; s3.bucket("name"), s3.request("GET", "/name/key")

Debian's packages radosgw, ceph-mon and ceph-osd are installed when they are missing and we are root; else Skip says why.
request() signs with a signer of its own, so that ours is judged by two others.
"""
import datetime
import hashlib
import hmac
import http.client
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
import uuid

from tap import Failed, Skip, until

PACKAGES = ("radosgw", "ceph-mon", "ceph-osd")
PROGRAMS = ("radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph", "ceph-authtool", "monmaptool")
POLICY = "/usr/sbin/policy-rc.d"

CONFIG = """[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{mon},v1:127.0.0.1:{mon1}]
mon_initial_members = a
auth_allow_insecure_global_id_reclaim = false
keyring = {dir}/keyring
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
mon_tick_interval = 1
public_network = 127.0.0.0/8
ms_bind_ipv4 = true
ms_bind_ipv6 = false
ms_bind_before_connect = false
run_dir = {dir}/run
admin_socket = {dir}/run/$name.asok
log_file = {dir}/log/$name.log
pid_file = {dir}/run/$name.pid
crash_dir = {dir}/run
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
osd_pool_default_pg_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_max_pg_per_osd = 1000
mon_data_avail_crit = 1
mon_data_avail_warn = 1
[mon.a]
mon_data = {dir}/mon
[osd.0]
keyring = {dir}/osd0/keyring
osd_data = {dir}/osd0
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_class_dir = {classes}
osd_memory_target = 939524096
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
[client.admin]
rgw_frontends = beast endpoint=127.0.0.1:{port}
rgw_thread_pool_size = 32
rgw_gc_obj_min_wait = 2
rgw_gc_processor_period = 3
rgw_gc_processor_max_time = 60
rgw_dns_name = localhost
"""


def _missing():
    return [p for p in PROGRAMS if not shutil.which(p)]


def need():
    """Makes sure that the programs are there, or raises Skip."""
    if not _missing():
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Skip("needs the packages %s (install them as root)" % ", ".join(PACKAGES))
    policy = not os.path.exists(POLICY)  # what is installed must not be started
    if policy:
        with open(POLICY, "w") as f:
            f.write("#!/bin/sh\nexit 101\n")
        os.chmod(POLICY, 0o755)
    try:
        env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
            done = subprocess.run(["apt-get", *words], env=env, capture_output=True, text=True)
    finally:
        if policy:
            os.unlink(POLICY)
    if _missing():
        raise Skip("the packages %s cannot be installed: %s" % (", ".join(PACKAGES), done.stderr.strip()[-300:]))


def free_ports(offsets):
    """A port such that it and those that many above it are free."""
    for _ in range(100):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        try:
            for offset in offsets:
                with socket.socket() as s:
                    s.bind(("127.0.0.1", port + offset))
            return port
        except (OSError, OverflowError):
            continue
    raise Failed("no free ports")


class Client:
    """S3 as we need it to look at what is there; path style."""

    def __init__(self, endpoint, access, secret, region="us-east-1"):
        self.endpoint, self.access, self.secret, self.region = endpoint, access, secret, region
        self.host = endpoint.split("://")[1]

    def _sign(self, method, path, query, body, extra):
        now = datetime.datetime.now(datetime.timezone.utc)
        stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        headers = dict(extra, host=self.host)
        headers["x-amz-date"] = stamp
        headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
        names = ";".join(sorted(headers))
        lines = "".join("%s:%s\n" % (n, headers[n]) for n in sorted(headers))
        canonical = "\n".join([method, path, query, lines, names, headers["x-amz-content-sha256"]])
        scope = "%s/%s/s3/aws4_request" % (day, self.region)
        text = "AWS4-HMAC-SHA256\n%s\n%s\n%s" % (stamp, scope, hashlib.sha256(canonical.encode()).hexdigest())
        key = ("AWS4" + self.secret).encode()
        for word in (day, self.region, "s3", "aws4_request"):
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (self.access, scope, names, signature)
        return headers

    def request(self, method, path, query=(), body=b"", **headers):
        """-> status, headers (names in lower case), body"""
        path = urllib.parse.quote(path, safe="/-_.~")
        query = "&".join("%s=%s" % tuple(urllib.parse.quote(w, safe="-_.~") for w in pair) for pair in sorted(query))
        signed = self._sign(method, path, query, body, {k.replace("_", "-"): v for k, v in headers.items()})
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request(method, path + ("?" + query if query else ""), body, signed)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def bucket(self, name):
        status, _, body = self.request("PUT", "/" + name)
        if status != 200:
            raise Failed("bucket %s: %d %r" % (name, status, body))
        return name

    def keys(self, bucket):
        return re.findall(r"<Key>([^<]*)</Key>", self.request("GET", "/" + bucket)[2].decode())

    def uploads(self, bucket):
        """Multipart uploads that are open: [(key, upload id)]"""
        text = self.request("GET", "/" + bucket, [("uploads", "")])[2].decode()
        return re.findall(r"<Upload>.*?<Key>([^<]*)</Key><UploadId>([^<]*)</UploadId>", text)

    def parts(self, bucket, key, upload):
        text = self.request("GET", "/%s/%s" % (bucket, key), [("uploadId", upload)])[2].decode()
        return [int(n) for n in re.findall(r"<PartNumber>(\d+)</PartNumber>", text)]


class Radosgw(Client):
    def __init__(self):
        need()
        self.port = free_ports((0, 10, 11))
        self.dir = tempfile.mkdtemp(prefix="dind-rgw.")
        self.processes = []
        super().__init__("http://127.0.0.1:%d" % self.port, "AKTEST", "sekritsekrit")

    def __enter__(self):
        try:
            self._configure()
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def _run(self, *words, seconds=60):
        done = subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=seconds)
        if done.returncode != 0:
            raise Failed("%s: %s" % (" ".join(words[:3]), done.stderr[-2000:]))

    def _serve(self, *words):
        out = open(os.path.join(self.dir, "log", words[0] + ".out"), "w")
        self.processes.append(subprocess.Popen(words, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT))
        out.close()

    def _configure(self):
        d, mon = self.dir, self.port + 10
        for name in ("mon", "osd0", "run", "log"):
            os.mkdir(os.path.join(d, name))
        self.env = dict(os.environ, CEPH_CONF=d + "/ceph.conf")
        self.fsid = str(uuid.uuid4())
        classes = next((p for p in ("/usr/lib/%s-linux-gnu/rados-classes" % os.uname().machine, "/usr/lib/rados-classes") if os.path.isdir(p)), "")
        with open(d + "/ceph.conf", "w") as f:
            f.write(CONFIG.format(fsid=self.fsid, mon=mon, mon1=mon + 1, dir=d, port=self.port, classes=classes))
        address = "[v2:127.0.0.1:%d,v1:127.0.0.1:%d]" % (mon, mon + 1)
        self._run("monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", address, d + "/monmap")
        self._run("ceph-authtool", "--create-keyring", d + "/keyring", "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        caps = [word for part in ("mon", "osd", "mgr") for word in ("--cap", part, "allow *")]
        self._run("ceph-authtool", d + "/keyring", "--gen-key", "-n", "client.admin", *caps)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--keyring", d + "/keyring", "--monmap", d + "/monmap", "--mon-data", d + "/mon")

    def _start(self):
        d, osd = self.dir, str(uuid.uuid4())
        self._serve("ceph-mon", "-i", "a", "--mon-data", d + "/mon", "-f")
        self._run("ceph", "osd", "new", osd)
        self._run("ceph-authtool", "--create-keyring", d + "/osd0/keyring", "--gen-key", "-n", "osd.0")
        caps = ("mon", "allow profile osd", "osd", "allow *", "mgr", "allow profile osd")
        self._run("ceph", "auth", "add", "osd.0", *caps, "-i", d + "/osd0/keyring")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._serve("ceph-osd", "-i", "0", "-f")
        self._run(
            "radosgw-admin", "user", "create", "--uid=t", "--display-name=t", "--access-key=" + self.access, "--secret-key=" + self.secret
        )
        self._serve("radosgw", "-n", "client.admin", "-f")
        until(self._answers, "radosgw answers", 60, 0.1)

    def _answers(self):
        if any(p.poll() is not None for p in self.processes):
            raise Failed("a part of radosgw has ended; see " + self.dir)
        try:
            return self.request("GET", "/")[0] == 200
        except OSError:
            return False

    def stop(self):
        for p in reversed(self.processes):
            p.kill()  # nothing of it is kept
            p.wait()
        self.processes = []
        shutil.rmtree(self.dir, ignore_errors=True)


if __name__ == "__main__":
    start = time.monotonic()
    with Radosgw() as one:
        print("%s after %.1f s; access key %s, secret key %s; Enter ends it" % (one.endpoint, time.monotonic() - start, one.access, one.secret))
        input()
