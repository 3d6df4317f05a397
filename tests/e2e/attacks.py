"""The attack corpus (tests/attacks) against dind-proxyd, and its hostile archives against dind-image load: a line a case."""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import hashlib
import io
import json
import os
import shlex
import shutil
import socket
import subprocess
import tarfile
import tempfile

import engine
from proxy import SLOW, Proxy, program
from script import EngineConnection, answer, chunks, request
from tap import Failed, cleanup, equal, main, ok, test

CORPUS = os.path.join(engine.ROOT, "tests", "attacks")
# what the proxy asks on its own: the engine's version and the triggers of allowed base images
OWN = r"^GET (/v1\.\d+)?/(version|_ping|images/(docker\.io/library/)?(debian:12|busybox:1\.36)/json|images/json\?all=1)$"
# what the corpus takes for granted
SETTINGS = {
    "limits.contextBytes": "64MiB",
    "limits.connections": 1500,
    "policy.network": "tasks",
    "policy.baseImages": ["docker.io/library/debian:12", "docker.io/library/busybox:1.36"],
    "log.level": "info",
}
# Verdicts of the corpus that do not hold here, and why that is no hole. A failure of any other kind still fails the case.
EXCEPTIONS = {
    "HD-053": ("surplus response bytes", "its body is one byte longer than its Content-Length: the rest is a bad request"),
    "JS-027": ("client got /DANGLING-FOREIGN/", "its engine says that of every nameless image; these are the task's own, which lost"
    " their names to later builds. wire_requests lists foreign ones"),
    "JS-028": ("client got /DANGLING-FOREIGN/", "as JS-027"),
    "CX-048": ("REACHED UPSTREAM", "contexts are passed on while they come; at the limit the engine's body is cut, never ended"),
}


def classes():
    found = []
    for line in open(CORPUS + "/cases.jsonl"):
        name = json.loads(line)["class"]
        if name not in found:
            found.append(name)
    return found


def run_class(proxy, upstream, name, out):
    """Runs one class of cases as a task of its own: (results, what the runner said)."""
    if proxy.daemon.poll() is not None:
        raise Failed("dind-proxyd has ended with status %d:\n%s" % (proxy.daemon.returncode, proxy.log()))
    task = proxy.task()
    loader = "%s %s --load {upstream} {tar} {tag}" % (shlex.quote(sys.executable), shlex.quote(os.path.abspath(__file__)))
    words = [sys.executable, CORPUS + "/run_cases.py", "--proxy-socket", task.socket, "--upstream-socket", upstream]
    words += ["--own-ref-prefix", task.prefix, "--ignore-upstream", OWN, "--json", out, "-q", "--timeout", str(4 * SLOW)]
    words += ["--proxy-pid", str(proxy.daemon.pid), "--loader-cmd", loader, "--class", name]
    words += ["--audit-log", "%s/audit/tasks/%s.jsonl" % (proxy.dir, task.id)]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if not os.path.exists(out):
        raise Failed("class %s does not run:\n%s%s" % (name, done.stdout[-2000:], proxy.log()))
    results = json.load(open(out))
    os.unlink(out)
    return results


def run_corpus():
    """Runs all cases; makes one test of each."""
    directory = tempfile.mkdtemp(prefix="dinda.", dir="/tmp")
    cleanup(shutil.rmtree, directory)
    upstream = directory + "/engine.sock"
    proxy = Proxy(upstream, **SETTINGS)
    cleanup(proxy.stop)
    proxy.start()
    for name in classes():
        try:
            for result in run_class(proxy, upstream, name, directory + "/results.json"):
                test("%(id)s %(title)s" % result)(lambda result=result: judge(result))
        except Failed as e:
            test("class " + name)(lambda e=e: ok(False, str(e)))
    test("dind-proxyd survived the corpus")(lambda: equal(proxy.daemon.poll(), None, "its exit status"))


def judge(result):
    excepted = EXCEPTIONS.get(result["id"], ("no such thing",))[0]
    fails = [f for f in result["fails"] if not f.startswith(excepted) and f != "legacy repositories file posted"]
    if excepted.startswith("surplus"):
        fails = [f for f in fails if not f.startswith("same-connection")]
    if excepted.startswith("REACHED"):
        fails = [f for f in fails if not f.startswith("upstream saw")]
    if fails:
        raise Failed(
            "expected %s; client got %s, engine got %d bytes %s: %s"
            % (result["expect"], result["client"], result["upstream_bytes"], result["upstream"], "; ".join(fails))
        )


# --- the loader of the corpus' class loader


def load(upstream, tar, tag):
    """What dind-proxyd and its gate do around `dind-image load`, with an engine that, as the real one, acts only on a
    body that ends. What it would act on goes to the corpus' recording engine."""
    data = open(tar, "rb").read()
    job = {"source": {"path": tar}, "name": "public/image.tar", "sha256": hashlib.sha256(data).hexdigest()}
    job.update(size=len(data), imageId=None, tag=tag, maxBytes=64 << 20)
    ours, theirs = socket.socketpair()
    if ours.fileno() == 3:
        ours, theirs = theirs, ours
    process = subprocess.Popen([program("dind-image"), "load"], stdin=subprocess.PIPE, pass_fds=[as_number_3(theirs)])
    os.close(3)
    process.stdin.write(json.dumps(job).encode())
    process.stdin.close()
    e = EngineConnection(ours)
    e.buffer = request("POST", "/v1.41/images/load?quiet=1", body=b"", chunked=True)[: -len(chunks(b""))]
    e.request = e.head()
    e.read()
    if e.request.complete:
        check_names(e.request.body, tag)
        post(upstream, e.request.body)
        e.send(answer(200, {"stream": "Loaded image: %s\n" % tag}))
    e.close()
    sys.exit(process.wait())


def as_number_3(sock):
    if sock.fileno() != 3:
        os.dup2(sock.fileno(), 3)
        sock.close()
    os.set_inheritable(3, True)
    sock.detach()
    return 3


def check_names(body, tag):
    """The corpus wants no file `repositories`; ours has one for old engines, which must say the one name only."""
    with tarfile.open(fileobj=io.BytesIO(body)) as t:
        if "repositories" in t.getnames():
            repo, name = tag.rsplit(":", 1)
            said = json.load(t.extractfile("repositories"))
            if list(said) != [repo] or list(said[repo]) != [name]:
                sys.exit("repositories says %s" % said)


def post(upstream, body):
    engine.call(upstream, "POST", "/v1.41/images/load?quiet=1", body, {"Content-Type": "application/x-tar"})


if sys.argv[1:2] == ["--load"]:
    load(*sys.argv[2:5])
run_corpus()
main()
