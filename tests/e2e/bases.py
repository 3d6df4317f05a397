"""Base images that are not on the host: refused before the build, or pulled first and judged like those that are there.

Registries (Debian's docker-registry) live on loopback in the engine's own network namespace; what they were asked for is
in their logs.
"""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import base64
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile

import engine
from engine import Engine
from proxy import Proxy
from tap import Skip, cleanup, contains, equal, lacks, main, ok, test, until

REGISTRY = "/usr/bin/docker-registry"
DOCKER = "/usr/bin/docker"
OPEN, LOCKED, DENIED = "127.0.0.1:5000", "127.0.0.1:5001", "127.0.0.1:5002"
USER, PASSWORD = "mallory", "correct-horse-battery"
HASHED = "$2b$04$ZPk4ZlgBGdBI2OD7ABoH4.evSFujqsQErA5YRFtSRjHYIydnQWFOC"  # bcrypt of it
CONFIG = """version: 0.1
log: {level: info, accesslog: {disabled: false}}
storage: {filesystem: {rootdirectory: %(root)s}, delete: {enabled: true}}
http: {addr: "%(addr)s"}
"""
LOCK = "auth: {htpasswd: {realm: private, path: %s}}\n"
here = {}


class Registry:
    def __init__(self, addr, locked=False):
        self.dir = os.path.join(here["dir"], addr.replace(":", "-"))
        os.mkdir(self.dir)
        text = CONFIG % {"root": self.dir + "/data", "addr": addr}
        if locked:
            with open(self.dir + "/htpasswd", "w") as f:
                f.write("%s:%s\n" % (USER, HASHED))
            text += LOCK % (self.dir + "/htpasswd")
        with open(self.dir + "/config.yml", "w") as f:
            f.write(text)
        self.log = self.dir + "/log"
        inside = ["nsenter", "-t", str(engine.children(here["engine"].process.pid)[0]), "-n"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([*inside, REGISTRY, "serve", self.dir + "/config.yml"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        cleanup(self.stop)
        until(lambda: "listening on" in open(self.log).read(), "the registry listens", 20)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    def asked(self):
        """The requests that it has seen."""
        return re.findall(r'"((?:GET|HEAD|POST|PUT|PATCH) [^" ]+)', open(self.log).read())


def setup():
    if not os.access(REGISTRY, os.X_OK):
        raise Skip("docker-registry is not installed")
    here["dir"] = tempfile.mkdtemp(prefix="dindr.", dir="/tmp")
    cleanup(shutil.rmtree, here["dir"])
    here["engine"] = Engine()
    cleanup(here["engine"].stop)
    here["engine"].start().image("busybox:1.36")
    for name, addr in (("open", OPEN), ("locked", LOCKED), ("denied", DENIED)):
        here[name] = Registry(addr, locked=name == "locked")
    here["proxy"] = Proxy(here["engine"].socket)
    cleanup(here["proxy"].stop)
    here["proxy"].start()


def host(*words, **more):
    done = here["engine"].docker(*words, program=DOCKER, **more)
    ok(done.returncode == 0, "docker %s: %s" % (" ".join(words), done.stdout))
    return done.stdout


def publish(name, dockerfile, *config):
    """An image that the registry has and the host has not: its digest."""
    host("build", "-t", name, "-", stdin=dockerfile)
    digest = re.search(r"digest: (sha256:\w+)", host(*config, "push", name)).group(1)
    host("rmi", name)
    return digest


def task(**policy):
    t = here["proxy"].task(policy=policy)
    cleanup(t.end)
    return t


def build(t, dockerfile, *words, config=()):
    return t.docker(*config, "build", "-t", "app:1", *words, "-", stdin=dockerfile, program=DOCKER)


def built(t, dockerfile, *words, **more):
    done = build(t, dockerfile, *words, **more)
    ok(done.returncode == 0 and "Successfully tagged app:1" in done.stdout, "the build succeeds: " + done.stdout)
    return done.stdout


def refused(t, dockerfile, *words, **more):
    """What the client reads; the engine starts no step."""
    done = build(t, dockerfile, *words, **more)
    ok(done.returncode != 0, "the build is refused: " + done.stdout)
    lacks(done.stdout, "Step 1/", "Successfully")
    return done.stdout


def content(t, path):
    return here["engine"].docker("run", "--rm", t.prefix + "docker.io/library/app:1", "cat", path, program=DOCKER).stdout


@test("a base that is not on the host is a 404 before the build when the policy does not pull")
def no_pull():
    publish(OPEN + "/off:1", "FROM busybox:1.36\nRUN echo off >/which\n")
    t, before = task(baseImages=["**"]), here["open"].asked()
    said = refused(t, "FROM busybox:1.36 AS first\nRUN echo x >/x\nFROM %s/off:1\nCOPY --from=first /x /x\n" % OPEN)
    contains(said, "base image '%s/off:1' is not on this host" % OPEN, "policy.pull", "base-image-missing")
    contains(refused(t, "FROM busybox:1.36\nCOPY --from=%s/off:1 /which /\n" % OPEN), "base-image-missing")
    contains(refused(t, "FROM busybox:1.36\n", "--pull"), "policy.pull")
    equal(here["open"].asked(), before, "what the registry was asked")
    equal({r["rule"] for r in t.audit() if r.get("decision") == "deny"}, {"base-image-missing", "build-pull"}, "rules in the audit log")


@test("with policy.pull it is pulled before the build, FROM and COPY --from alike")
def pull():
    publish(OPEN + "/on:1", "FROM busybox:1.36\nRUN echo on >/which\n")
    publish(OPEN + "/copied:1", "FROM busybox:1.36\nRUN echo copied >/copied\n")
    t = task(baseImages=[OPEN + "/*"], pull=True)
    built(t, "FROM %s/on:1\nCOPY --from=%s/copied:1 /copied /copied\n" % (OPEN, OPEN))
    equal(content(t, "/which") + content(t, "/copied"), "on\ncopied\n", "what was built")
    contains(str(here["open"].asked()), "/v2/on/manifests/1", "/v2/copied/manifests/1")
    contains(refused(t, "FROM %s/nothing:1\n" % OPEN), "base image '%s/nothing:1'" % OPEN, "base-image-missing")


@test("ONBUILD triggers of a pulled base are judged")
def triggers():
    for name, trigger in (("add", "ADD http://127.0.0.1:1/x /x"), ("foreign", "COPY --from=%s/x /x /x" % DENIED), ("run", "RUN echo triggered >/on")):
        publish("%s/onbuild-%s:1" % (OPEN, name), "FROM busybox:1.36\nONBUILD %s\n" % trigger)
    t = task(baseImages=[OPEN + "/*"], pull=True)
    contains(refused(t, "FROM %s/onbuild-add:1\n" % OPEN), "ONBUILD", "add-url", "onbuild-add")
    contains(refused(t, "FROM %s/onbuild-foreign:1\n" % OPEN), "ONBUILD", "base-image", DENIED)
    built(t, "FROM %s/onbuild-run:1\n" % OPEN)
    equal(content(t, "/on"), "triggered\n", "what the trigger made")
    equal(here["denied"].asked(), [], "what the denied registry was asked")


@test("docker build --pull asks the registry anew, a build without it does not")
def anew():
    first = publish(OPEN + "/moves:1", "FROM busybox:1.36\nRUN echo first >/which\n")
    t = task(baseImages=[OPEN + "/*"], pull=True)
    built(t, "FROM %s/moves:1\nRUN true\n" % OPEN)
    host("tag", OPEN + "/moves:1", "kept:1")
    second = publish(OPEN + "/moves:1", "FROM busybox:1.36\nRUN echo second >/which\n")
    host("tag", "kept:1", OPEN + "/moves:1")  # as a host that pulled it before it moved
    before = here["open"].asked()
    built(t, "FROM %s/moves:1\nRUN true\n" % OPEN)
    equal(content(t, "/which"), "first\n", "built without --pull")
    equal(here["open"].asked(), before, "what the registry was asked without --pull")
    built(t, "FROM %s/moves:1\nRUN true\n" % OPEN, "--pull")
    equal(content(t, "/which"), "second\n", "built with --pull")
    ok(first != second and here["open"].asked() != before, "the registry was asked")


def client_config(password=PASSWORD):
    path = tempfile.mkdtemp(dir=here["dir"])
    auth = base64.b64encode(("%s:%s" % (USER, password)).encode()).decode()
    with open(path + "/config.json", "w") as f:
        json.dump({"auths": {LOCKED: {"auth": auth}}}, f)
    return "--config", path


@test("registry credentials are passed on only with policy.registryAuth, and are in no log")
def credentials():
    config = client_config()
    publish(LOCKED + "/private:1", "FROM busybox:1.36\nRUN echo private >/which\n", *config)
    source = "FROM %s/private:1\n" % LOCKED
    said = refused(task(baseImages=["**"], pull=True), source, config=config)
    contains(said, "cannot be pulled", "base-image-missing")
    t = task(baseImages=["**"], pull=True, registryAuth=True)
    said += refused(t, source, config=client_config("wrong-" + PASSWORD))
    said += refused(t, source)
    ok(not here["engine"].call("GET", "/images/%s/private:1/json" % LOCKED)[0] == 200, "nothing was pulled so far")
    said += built(t, source, config=config)
    equal(content(t, "/which"), "private\n", "what was built")
    for word in (PASSWORD, base64.b64encode(PASSWORD.encode()).decode()[:16], base64.b64encode(("%s:%s" % (USER, PASSWORD)).encode()).decode()[:20]):
        lacks(said, word)
        for path in glob.glob(here["proxy"].dir + "/**", recursive=True):
            if os.path.isfile(path):
                ok(word.encode() not in open(path, "rb").read(), "%s is not in %s" % (word, path))


@test("patterns and digest pins decide which bases there are")
def patterns():
    digest = publish(OPEN + "/pinned:1", "FROM busybox:1.36\nRUN echo pinned >/which\n")
    other = publish(OPEN + "/pinned:2", "FROM busybox:1.36\nRUN echo other >/which\n")
    publish(OPEN + "/team/deep:1", "FROM busybox:1.36\nRUN echo deep >/which\n")
    one_level = task(baseImages=[OPEN + "/*"], pull=True)
    contains(refused(one_level, "FROM %s/team/deep:1\n" % OPEN), "base-image", "team/deep")
    contains(refused(one_level, "FROM busybox:1.36\n"), "base-image")
    built(task(baseImages=[OPEN + "/team/**"], pull=True), "FROM %s/team/deep:1\n" % OPEN)
    t = task(baseImages=["%s/pinned@%s" % (OPEN, digest)], pull=True)
    for name in ("pinned:1", "pinned:2", "pinned@" + other, "pinned"):
        contains(refused(t, "FROM %s/%s\n" % (OPEN, name)), "base-image")
    built(t, "FROM %s/pinned@%s\n" % (OPEN, digest))
    equal(content(t, "/which"), "pinned\n", "what was built")


@test("a registry that the policy does not name is never contacted")
def never_contacted():
    t = task(baseImages=[OPEN + "/*", "docker.io/library/busybox"], pull=True)
    for source in (
        "FROM %s/x:1\n" % DENIED,
        "ARG R=%s\nFROM ${R}/x:1\n" % DENIED,
        "FROM busybox:1.36\nCOPY --from=%s/x:1 /a /a\n" % DENIED,
        "FROM busybox:1.36\nONBUILD COPY --from=%s/x:1 /a /a\n" % DENIED,
        "FROM %s/x@sha256:%s\n" % (DENIED, "a" * 64),
    ):
        contains(refused(t, source), "base-image", DENIED)
        contains(refused(t, source, "--pull"), "base-image", DENIED)
    contains(refused(t, "ARG R\nFROM $R/x:1\n", "--build-arg", "R=" + DENIED), "base-image")
    equal(here["denied"].asked(), [], "what it was asked")


main(setup)
