"""Stock clients through the proxy see what they see directly: every client, every engine, outputs equal but for ids and times."""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import difflib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile

import engine
from engine import CACHE, Engine, EngineError
from proxy import Proxy
from tap import Failed, Skip, cleanup, equal, main, ok, test

CLIENTS = os.path.join(engine.ROOT, "tests", "lib")
DOCKERFILE = """FROM busybox:1.36
LABEL made.by=matrix
ENV GREETING="hello you"
COPY data /data
RUN cat /data >/copy && echo built
CMD ["cat", "/copy"]
"""


def context():
    path = tempfile.mkdtemp(prefix="dind-matrix.")
    cleanup(shutil.rmtree, path)
    for name, text in (("Dockerfile", DOCKERFILE), ("Failing", "FROM busybox:1.36\nRUN exit 7\n"), ("data", "data\n")):
        with open(os.path.join(path, name), "w") as f:
            f.write(text)
    return path


# --- clients: function(socket, context) -> text of all that the client showed


def command_line(docker):
    def run(path, directory):
        shown = []

        def say(*words, hide=None, binary=False):
            done = subprocess.run([docker, *words], stdin=subprocess.DEVNULL, capture_output=True, env=client_env(path), cwd=directory)
            text = tarball(done.stdout) if binary else (done.stdout + done.stderr).decode()
            lines = [line for line in text.split("\n") if not hide or hide not in line]
            shown.append("$ docker %s\n%s\n(%d)" % (" ".join(words), "\n".join(lines), done.returncode))

        say("version", "--format", "{{.Server.Version}} {{.Server.Os}} {{.Server.Arch}}")
        say("build", "--no-cache", "-t", "m:1", ".")
        say("build", "--no-cache", "-q", "-t", "m:quiet", ".")
        say("build", "--no-cache", "-f", "Failing", ".")
        say("build", "-t", "m:none", "-f", "Missing", ".")
        say("tag", "m:1", "example.com/team/m:2")
        say("images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}", hide="busybox")
        say("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}", "m")
        say("images", "-q", "--no-trunc", "--filter", "label=made.by=matrix", "--filter", "reference=m:1")
        say("image", "inspect", "m:1")
        say("inspect", "--format", "{{json .Config.Env}} {{.Os}} {{.Size}}", "m:1")
        say("image", "inspect", "no-such-image:1")
        say("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Size}}|{{.Comment}}", "m:1")
        say("save", "m:1", "example.com/team/m:2", binary=True)
        say("save", "no-such-image:1")
        say("tag", "no-such-image:1", "x:1")
        say("rmi", "no-such-image:1")
        say("rmi", "example.com/team/m:2", "m:quiet")
        say("rmi", "m:1")
        return "\n".join(shown)

    return run


def client_env(path):
    config = os.path.join(CACHE, "docker-config")
    os.makedirs(config, exist_ok=True)
    env = dict(os.environ, DOCKER_HOST="unix://" + path, DOCKER_CONFIG=config, DOCKER_BUILDKIT="0", LC_ALL="C.UTF-8")
    return {k: v for k, v in env.items() if k.lower() not in ("http_proxy", "https_proxy", "docker_context")}


def program_of(words):
    def run(path, directory):
        done = subprocess.run(words + [path, directory], capture_output=True, text=True, env=client_env(path))
        return "%s\n%s(%d)" % (done.stdout, done.stderr, done.returncode)

    return run


def tarball(data):
    """Names and metadata of a saved tarball as text."""
    if not data:
        return ""
    with tarfile.open(fileobj=io.BytesIO(data)) as t:
        members = {m.name: m for m in t}
        out = sorted("%s %s %o" % (m.name, m.type, m.mode & 0o7777) for m in members.values())
        for name in ("manifest.json", "repositories", "index.json"):
            if name in members:
                out.append("%s: %s" % (name, json.dumps(plain(json.load(t.extractfile(name))), sort_keys=True)))
    return "\n".join(out)


def plain(metadata):
    """LayerSources is an object by digest: as a list by size it has an order."""
    for image in metadata if isinstance(metadata, list) else []:
        if "LayerSources" in image:
            image["LayerSources"] = sorted(image["LayerSources"].values(), key=lambda source: source["size"])
    return metadata


def docker_py():
    words = ["/usr/bin/python3", os.path.join(CLIENTS, "client_docker_py.py")]
    if subprocess.run(["/usr/bin/python3", "-c", "import docker"], stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("python3-docker is not installed")
    return program_of(words)


def dockerode():
    if not shutil.which("npm") or not shutil.which("node"):
        raise Skip("npm is not installed")
    home = os.path.join(CACHE, "node")
    if not os.path.exists(os.path.join(home, "node_modules", "dockerode")):
        os.makedirs(home, exist_ok=True)
        words = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", home, "dockerode@4"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=180)
        if done.returncode != 0:
            raise Skip("dockerode cannot be had here: " + (done.stdout + done.stderr).strip()[-200:])
    return program_of(["node", os.path.join(CLIENTS, "client_dockerode.js"), home])


def cli_20():
    return command_line("/usr/bin/docker")


def cli_28():
    for path in ("/usr/local/bin/docker", "/usr/bin/docker"):
        if os.path.exists(path) and re.search(r"version (2[89]|[3-9]\d)\.", subprocess.getoutput(path + " --version")):
            return command_line(path)
    try:
        return command_line(engine.release_path("sid").split(":")[1] + "/docker")
    except EngineError as e:
        raise Skip(str(e)) from None


def normal(text, directory):
    text = text.replace(directory, "CONTEXT")
    text = re.sub(r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z| ?[+-]\d\d:?\d\d( [A-Z]+)?)", "TIME", text)
    text = re.sub(r'("Created": ?)\d+', r"\1TIME", text)
    text = re.sub(r"(sha256:)?\b[0-9a-f]{64}\b", "ID", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "ID", text)
    for pattern, same in MEANT:
        text = re.sub(pattern, same, text)
    return sort_blocks(text)


# What the proxy changes on purpose: (what is seen, what both sides are taken for).
MEANT = (
    (r'"Parent": ?"ID"', '"Parent": ""'),  # no ids that are not the task's
    (r'"Data": (null|\{[^{}]*\})', '"Data": null'),  # no paths of the host
    (r"no such image: \S+: (No such image: )", r"\1"),  # one text for all that a task cannot see
    (r"(RUN exit 7\n ---> Running in ID\n)(?: ---> Removed|Removing) intermediate container ID\n", r"\1"),  # forcerm=1
)


# lists whose order is that of random ids or equal times; how many layers a removal names depends on them, too
UNORDERED = r"ID$|\S+:\S+ (ID|[\d.]+[kM]?B)$|\S+ b'[0-9]' [0-7]+$|(Untagged|Deleted): "


def sort_blocks(text):
    out, block = [], []
    for line in text.split("\n") + [""]:
        if re.match(UNORDERED, line):
            block.append(line)
        else:
            out += sorted(set(block)) + [line]
            block = []
    return "\n".join(out)


def compare(client, version):
    run = client()
    try:
        running = Engine(version=version)
    except EngineError as e:
        raise Skip(str(e)) from None
    cleanup(running.stop)
    running.start().image("busybox:1.36")
    directory = context()
    before = running.images()
    direct = normal(run(running.socket, directory), directory)
    equal(running.images().keys(), before.keys(), "images after the direct run")
    proxy = Proxy(running.socket)
    cleanup(proxy.stop)
    task = proxy.start().task()
    through = normal(run(task.socket, directory), directory)
    task.end()
    equal(running.images(), before, "images after the task's end")
    difference(direct, through)


def difference(direct, through):
    lines = list(difflib.unified_diff(direct.split("\n"), through.split("\n"), "directly", "through the proxy", lineterm="", n=2))
    ok("(0)" in direct, "the client works directly:\n" + direct[:1500])
    if lines:
        raise Failed("\n".join(lines[:60]))


for version in engine.ENGINES:
    for name, client in (("docker 20.10", cli_20), ("docker 28", cli_28), ("docker-py", docker_py), ("dockerode", dockerode)):
        if (name, version) in {("docker 28", "trixie"), ("dockerode", "trixie"), ("docker-py", "trixie")}:
            continue  # two engines tell enough about each client; the third is for the oldest client
        test("%s with the engine of %s" % (name, version))(lambda c=client, v=version: compare(c, v))

main()
