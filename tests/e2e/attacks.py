"""The attack corpus (tests/attacks) against dind-proxyd, and its hostile archives against dind-image load: a line a case."""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import hashlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import tempfile

import engine
from proxy import SLOW, Proxy, program
from tap import Failed, cleanup, contains, equal, main, ok, test

CORPUS = os.path.join(engine.ROOT, "tests", "attacks")
# what the proxy asks on its own: the engine's version and the triggers of allowed base images
OWN = r"^GET (/v1\.\d+)?/(version|_ping|images/(docker\.io/library/)?(debian:12|busybox:1\.36)/json)$"
HEAD = b"POST /v1.41/images/load?quiet=1 HTTP/1.1\r\nHost: docker\r\nConnection: close\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n"


def load(upstream, tar, tag):
    """What dind-proxyd and its gate do around `dind-image load`: the loader of the corpus' class loader."""
    data = open(tar, "rb").read()
    job = {"source": {"path": tar}, "name": "public/image.tar", "sha256": hashlib.sha256(data).hexdigest()}
    job.update(size=len(data), imageId=None, tag=tag, maxBytes=64 << 20)
    s = socket.socket(socket.AF_UNIX)
    s.connect(upstream)
    s.sendall(HEAD)
    number = os.dup2(s.fileno(), 3, inheritable=True) if s.fileno() != 3 else os.set_inheritable(3, True) or 3
    done = subprocess.run([program("dind-image"), "load"], input=json.dumps(job).encode(), pass_fds=[number])
    sys.exit(done.returncode)


def run_corpus():
    """Runs all cases; makes one test of each."""
    directory = tempfile.mkdtemp(prefix="dinda.", dir="/tmp")
    cleanup(shutil.rmtree, directory)
    upstream, out = directory + "/engine.sock", directory + "/results.json"
    proxy = Proxy(upstream, **{"limits.contextBytes": "64MiB", "log.level": "info"})
    cleanup(proxy.stop)
    task = proxy.start().task()
    loader = "%s %s --load {upstream} {tar} {tag}" % (shlex.quote(sys.executable), shlex.quote(os.path.abspath(__file__)))
    words = [sys.executable, CORPUS + "/run_cases.py", "--proxy-socket", task.socket, "--upstream-socket", upstream]
    words += ["--own-ref-prefix", task.prefix, "--ignore-upstream", OWN, "--json", out, "-q", "--timeout", str(4 * SLOW)]
    words += ["--proxy-pid", str(proxy.daemon.pid), "--loader-cmd", loader]
    words += ["--audit-log", "%s/audit/tasks/%s.jsonl" % (proxy.dir, task.id)]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ok(os.path.exists(out), "the corpus runs:\n" + done.stdout[-2000:] + proxy.log())
    results = json.load(open(out))
    for result in results:
        test("%(id)s %(title)s" % result)(lambda result=result: judge(result))
    test("every case of the corpus ran")(lambda: contains(done.stdout, "total %d," % len(results)))
    test("dind-proxyd survived the corpus")(lambda: equal(proxy.daemon.poll(), None, "its exit status"))


def judge(result):
    if not result["pass"]:
        raise Failed(
            "expected %s; client got %s, engine got %d bytes %s: %s"
            % (result["expect"], result["client"], result["upstream_bytes"], result["upstream"], "; ".join(result["fails"]))
        )


if sys.argv[1:2] == ["--load"]:
    load(*sys.argv[2:5])
try:
    run_corpus()
except Failed as e:
    test("the corpus runs")(lambda e=e: ok(False, str(e)))
main()
