"""A second S3 server on loopback, with code of its own: OpenStack Swift's s3api, one device.

    with Swift() as s3:  as rgw.Radosgw: s3.endpoint, s3.access, s3.secret, s3.bucket(), s3.request(), ..

Debian's swift-proxy, swift-account, swift-container and swift-object are never installed for a test: Skip says that they
are missing (tests/lib/deps swift installs them).
"""
import os
import shutil
import subprocess
import tempfile

from rgw import Client, free_ports
from tap import Failed, Skip, until

PROGRAMS = ("swift-proxy-server", "swift-account-server", "swift-container-server", "swift-object-server", "swift-ring-builder")
KINDS = ("object", "container", "account")

SECRETS = "[swift-hash]\nswift_hash_path_suffix = t\nswift_hash_path_prefix = t\n[storage-policy:0]\nname = p0\ndefault = yes\n"
STORAGE = """[DEFAULT]
devices = {dir}/node
mount_check = false
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {dir}/etc
log_address = /nonexistent
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
FILTERS = "catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink".split()
OPTIONS = {
    "cache": "memcache_servers = 127.0.0.1:{memcache}\n",
    "s3api": "s3_acl = false\nlocation = us-east-1\ndns_compliant_bucket_names = false\n",
    "tempauth": "user_test_tester = testing .admin\n",
    "versioned_writes": "allow_versioned_writes = true\nallow_object_versioning = true\n",
}


def need():
    missing = [p for p in PROGRAMS if not shutil.which(p)]
    if missing or os.geteuid() != 0:
        raise Skip("needs root and the packages swift-proxy, swift-account, swift-container and swift-object (tests/lib/deps swift)")


class Swift(Client):
    def __init__(self):
        need()
        self.port = free_ports((0, 10, 11, 12, 20))
        self.dir = tempfile.mkdtemp(prefix="dind-swift.")
        self.processes = []
        super().__init__("http://127.0.0.1:%d" % self.port, "test:tester", "testing")

    def __enter__(self):
        try:
            self._configure()
            for kind in KINDS:
                self._serve("swift-%s-server" % kind, "%s/etc/%s-server.conf" % (self.dir, kind))
            self._serve("swift-proxy-server", self.dir + "/etc/proxy-server.conf")
            until(self._answers, "Swift answers", 120, 0.2)  # the proxy listens before the others do
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def _write(self, name, text):
        with open(os.path.join(self.dir, "etc", name), "w") as f:
            f.write(text)

    def _configure(self):
        for part in ("etc", "node/d1", "log"):
            os.makedirs(os.path.join(self.dir, part))
        self._write("swift.conf", SECRETS)
        for n, kind in enumerate(KINDS):
            port = self.port + 10 + n
            self._write(kind + "-server.conf", STORAGE.format(dir=self.dir, port=port, kind=kind, user="root"))
            for words in (["create", "4", "1", "0"], ["add", "r1z1-127.0.0.1:%d/d1" % port, "1"], ["rebalance"]):
                done = subprocess.run(["swift-ring-builder", kind + ".builder", *words], cwd=self.dir + "/etc", capture_output=True, text=True)
                if done.returncode not in (0, 1):  # 1: a warning
                    raise Failed("swift-ring-builder: " + done.stdout + done.stderr)
        self._write("proxy-server.conf", self._proxy())

    def _proxy(self):
        text = "[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = %d\nworkers = 0\nuser = root\nswift_dir = %s/etc\nlog_address = /nonexistent\n" % (self.port, self.dir)
        text += "[pipeline:main]\npipeline = %s proxy-server\n" % " ".join(FILTERS)
        for name in FILTERS:
            text += "[filter:%s]\nuse = egg:swift#%s\n" % (name, "memcache" if name == "cache" else name)
            text += OPTIONS.get(name, "").format(memcache=self.port + 20)
        return text + "[app:proxy-server]\nuse = egg:swift#proxy\nallow_account_management = true\naccount_autocreate = true\n"

    def _serve(self, name, config):
        with open(os.path.join(self.dir, "log", name), "w") as out:
            self.processes.append(subprocess.Popen([name, config, "-v"], stdin=subprocess.DEVNULL, stdout=out, stderr=out))

    def _answers(self):
        if any(p.poll() is not None for p in self.processes):
            raise Failed("a part of Swift has ended:\n" + "".join(open(p).read()[-500:] for p in self._logs()))
        try:
            return self.request("PUT", "/started")[0] == 200
        except OSError:
            return False

    def _logs(self):
        return [os.path.join(self.dir, "log", name) for name in os.listdir(self.dir + "/log")]

    def stop(self):
        for p in reversed(self.processes):
            p.kill()  # nothing of it is kept
            p.wait()
        self.processes = []
        shutil.rmtree(self.dir, ignore_errors=True)
