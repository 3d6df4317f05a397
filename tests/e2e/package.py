#!/usr/bin/python3
"""The Debian package: what lintian says, and its life on a machine: installed, upgraded, removed, purged."""
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))

import engine
from machine import Load, Machine, package
from proxy import payload, slug
from tap import Skip, cleanup, contains, equal, main, ok, test, until

UNITS = ("dind-proxyd", "dind-uploader")
PROGRAMS = ("/usr/sbin/dind-proxyd", "/usr/sbin/dind-uploader", "/usr/bin/dindctl")
it = deb = None


def set_up():
    global it, deb
    deb = package()
    it = Machine()
    cleanup(it.stop)
    it.start()


def control(method, target, body=None):
    return engine.call(it.path("/run/dind-proxy/control.sock"), method, target, body)


def version_of(path):
    return subprocess.check_output(["dpkg-deb", "-f", path, "Version"], text=True).strip()


def next_version():
    """The same package under a higher version."""
    place = tempfile.mkdtemp(prefix="dind-deb.")
    cleanup(shutil.rmtree, place)
    root, version = os.path.join(place, "root"), version_of(deb) + "+next"
    subprocess.run(["dpkg-deb", "-R", deb, root], check=True)
    text = open(root + "/DEBIAN/control").read()
    with open(root + "/DEBIAN/control", "w") as f:
        f.write(re.sub(r"(?m)^Version: .*$", "Version: " + version, text))
    made = os.path.join(place, "dind-proxy_%s_amd64.deb" % version)
    subprocess.run(["dpkg-deb", "-Znone", "--root-owner-group", "-b", root, made], check=True, stdout=subprocess.DEVNULL)
    return made, version


def active():
    for unit in UNITS:
        until(lambda: it.show(unit, "ActiveState") == "active", "%s is active:\n%s" % (unit, it.journal(unit)))


@test("lintian has nothing to say")
def lintian():
    if not shutil.which("lintian"):
        raise Skip("lintian is not installed")
    words = ["lintian", "--no-cfg", "--allow-root", "--display-info", "--pedantic", "--fail-on", "error,warning", deb]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = [line for line in done.stdout.split("\n") if re.match(r"[EWIPX]:", line)]
    equal((said, done.returncode), ([], 0))


@test("installed: both services run and start with the machine, and everything has its manual page")
def installed():
    said = it.install(deb)
    equal([line for line in said.split("\n") if re.search(r"(?i)warning|error|fail", line)], [])
    active()
    for unit in UNITS:
        equal(it.run("systemctl", "is-enabled", unit).stdout.strip(), "enabled")
    version = version_of(deb)
    for program in PROGRAMS:
        name = os.path.basename(program)
        contains(it.run(program, "--version").stdout, "%s %s" % (name, version))
        section = "8" if "sbin" in program else "1"
        with gzip.open(it.path("/usr/share/man/man%s/%s.%s.gz" % (section, name, section)), "rt") as f:
            contains(f.readline(), "dind\\-proxy " + version)
    ok(os.path.exists(it.path("/usr/share/man/man5/dind-proxy-config.5.gz")), "dind-proxy-config(5)")
    contains(it.run("dindctl", "config", "check").stdout, "good")
    equal(it.run("dindctl", "task", "list", "--json").stdout.strip(), "[]")


@test("its directories belong to its user, and nobody else can look into them")
def directories():
    rows = {
        "/etc/dind-proxy": "root 755",
        "/run/dind-proxy": "dind-proxy 711",
        "/run/dind-proxy/control.sock": "dind-proxy 600",
        "/var/lib/dind-proxy": "dind-proxy 700",
        "/var/lib/dind-proxy/spool": "dind-proxy 700",
        "/var/lib/dind-proxy/store": "dind-proxy 700",
        "/var/log/dind-proxy": "dind-proxy 750",
        "/var/log/dind-proxy/audit.jsonl": "dind-proxy 600",
    }
    said = it.run("stat", "-c", "%n %U %a", *rows).stdout.strip().split("\n")
    equal(said, ["%s %s" % row for row in rows.items()])
    equal(it.run("id", "-nG", "dind-proxy").stdout.strip(), "dind-proxy", "groups of the user: docker is the gate's alone")


@test("the shells can read the completions")
def completions():
    bash = it.path("/usr/share/bash-completion/completions/dindctl")
    script = '. "$0"; COMP_WORDS=(dindctl task ""); COMP_CWORD=2; _dindctl; echo "${COMPREPLY[@]}"'
    said = subprocess.run(["bash", "-c", script, bash], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    equal(said.strip(), "start list show report credentials finish evidence end")
    if shutil.which("zsh"):
        zsh = it.path("/usr/share/zsh/vendor-completions/_dindctl")
        done = subprocess.run(["zsh", "-n", zsh], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        equal((done.returncode, done.stdout), (0, ""))


@test("upgraded: settings stay, tasks stay, their sockets are the same files, and nobody is refused")
def upgraded():
    config = it.path("/etc/dind-proxy/config.json")
    with open(config, "w") as f:
        f.write('{"limits": {"builds": 3}}')
    task = {"taskId": slug(), "runId": 0, "payload": payload()}
    status, answer = control("POST", "/v1/tasks", task)
    equal(status, 201, str(answer))
    place = it.path(answer["socket"])
    file, before = os.stat(place).st_ino, it.show("dind-proxyd", "MainPID")
    load = Load(place, b"HTTP/1.1 ")  # there is no engine: any answer will do
    made, version = next_version()
    it.install(made)
    active()
    load.stop()
    equal(load.refused, [], "refused connections of %d" % (load.answered + load.cut))
    ok(load.answered > 100 and load.cut <= 16, "%d requests were answered, %d cut" % (load.answered, load.cut))
    ok(it.show("dind-proxyd", "MainPID") != before, "the service was not restarted")
    equal(os.stat(place).st_ino, file, "the socket's file")
    equal(open(config).read(), '{"limits": {"builds": 3}}')
    equal(it.run("dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}", "dind-proxy").stdout, version + " installed")
    status, answer = control("GET", "/v1/tasks/" + answer["id"])
    equal((status, answer.get("state")), (200, "running"))


@test("removed: the services are gone, settings and state stay; installed again, it goes on")
def removed():
    it.run("dpkg", "-r", "dind-proxy")
    for unit in UNITS:
        equal(it.show(unit, "LoadState", "ActiveState"), ["not-found", "inactive"])
    for path, there in (("/etc/dind-proxy/config.json", 1), ("/var/lib/dind-proxy/tasks", 1), ("/usr/sbin/dind-proxyd", 0)):
        equal(os.path.exists(it.path(path)), bool(there), path)
    it.install(deb)
    active()
    equal(len(control("GET", "/v1/tasks")[1]), 1, "tasks")


@test("purged: nothing is left but the user")
def purged():
    with open(it.path("/etc/dind-proxy/s3.json"), "w") as f:
        f.write("{}")
    it.run("dpkg", "-P", "dind-proxy")
    words = ["find", "/etc", "/lib/systemd", "/run", "/usr", "/var", "-xdev", "-name", "*dind*", "-not", "-path", "/var/lib/dpkg/*"]
    left = it.run(*words, check=False).stdout.split()
    equal([p for p in left if not p.startswith("/run/systemd/")], [])
    equal(it.run("pgrep", "-l", "dind", check=False).stdout, "")
    equal(it.run("dpkg", "--audit").stdout, "")
    contains(it.run("getent", "passwd", "dind-proxy").stdout, "/usr/sbin/nologin")


if __name__ == "__main__":
    main(set_up)
