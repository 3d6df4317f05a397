"""The audit log is evidence: one chain, signed, over restarts, crashes and files; what is done to it afterwards is found."""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from proxy import Proxy, program
from script import ScriptedEngine
from tap import cleanup, contains, equal, main, ok, test, until

here = {}


def run(*words, **more):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


def setup():
    here["dir"] = tempfile.mkdtemp(prefix="dind-audit.", dir="/tmp")
    cleanup(shutil.rmtree, here["dir"])
    here["engine"] = ScriptedEngine(here["dir"] + "/engine.sock", "at once")
    cleanup(here["engine"].close)
    here["key"], here["public"] = here["dir"] + "/audit.key", here["dir"] + "/audit.pub"
    os.umask(0o077)
    for words in (("genpkey", "-algorithm", "ed25519", "-out", here["key"]), ("pkey", "-in", here["key"], "-pubout", "-out", here["public"])):
        done = run("openssl", *words)
        equal(done.returncode, 0, done.stdout)
    os.umask(0o022)


def start(**settings):
    proxy = Proxy(here["engine"].path, **{"audit.key": here["key"], **settings})
    cleanup(proxy.stop)
    here["engine"].proxy = proxy.start()
    return proxy


def work(proxy, task, count):
    """So many requests, each with two records."""
    for n in range(count):
        status = task.call("GET", "/_ping")[0] if n % 3 else task.call("POST", "/containers/create", {"Image": "x"})[0]
        equal(status, 200 if n % 3 else 403, "request %d" % n)


def ctl(proxy, *words):
    done = run(program("dindctl"), "--config", proxy.config, *words)
    return done.returncode, done.stdout


def good(proxy, *words):
    status, said = ctl(proxy, "audit", "verify", "--json", *words)
    equal(status, 0, said)
    return json.loads(said)


def head(proxy):
    """Where the chain ends, when no record is on its way any more."""
    path, log = proxy.dir + "/state/audit/head", proxy.dir + "/audit/audit.jsonl"

    def same():
        last = open(log).read().strip().rsplit("\n", 1)[-1]
        return last and int(open(path).read().split()[0]) == json.loads(last)["seq"]

    until(same, "the head has come to the last record", 10)
    return path


@test("what is written is one chain, its checkpoints are signed, and the head is kept outside of it")
def chain():
    proxy = start(**{"audit.checkpointRecords": 20})
    task = proxy.task()
    work(proxy, task, 30)
    proxy.restart()
    said = good(proxy, "--key", here["public"], "--task", task.id)
    equal((said["first"], said["headKnown"], said["keyGiven"]), (1, True, True))
    ok(said["goodSignatures"] == said["checkpoints"] >= 4, said)
    ok(said["compared"] >= 60, "records that are the same in the task's log: %s" % said)
    status, text = ctl(proxy, "audit", "verify")
    equal(status, 0, text)
    contains(text, "checkpoints, not checked", "good")
    text = run(program("dindctl"), "--config", proxy.config, "audit", "show", "--json").stdout
    life = [r["what"] for r in map(json.loads, text.strip().split("\n")) if r.get("event") == "service"]
    equal(life, ["start", "stop", "start"], "a start without a stop before it was a crash")


CHANGES = {
    "a changed record": (lambda a: a[:9] + [a[9].replace("T", "t", 1)] + a[10:], 11, "does not follow"),
    "a removed record": (lambda a: a[:9] + a[10:], 10, "record 10 is missing"),
    "two records that are swapped": (lambda a: a[:9] + [a[10], a[9]] + a[11:], 10, "record 10 is missing"),
    "a repeated record": (lambda a: a[:9] + [a[4]] + a[9:], 10, "stands behind record 9"),
    "a line that is no record": (lambda a: a[:9] + ["{}"] + a[9:], 10, "is not a record"),
    "a checkpoint's signature": (lambda a: [x.replace('"sig":"', '"sig":"0')[:-3] + '"}' if "checkpoint" in x else x for x in a], None, "signature is wrong"),
    "records that are cut off": (lambda a: a[:-3], None, "are missing at the end"),
    "the last record": (lambda a: a[:-1] + [a[-1].replace("20", "21", 1)], None, "the head of the chain says so"),
    "all records": (lambda a: [], None, "there is no record"),
}


@test("what is changed, removed, swapped, inserted or cut off is found, and where")
def tampered():
    proxy = start(**{"audit.checkpointRecords": 20})
    work(proxy, proxy.task(), 20)
    kept = here["dir"] + "/head"
    shutil.copy(head(proxy), kept)
    lines = open(proxy.dir + "/audit/audit.jsonl").read().strip().split("\n")
    copy = here["dir"] + "/copy.jsonl"
    for name, (change, line, text) in {"nothing": (lambda a: a, None, ""), **CHANGES}.items():
        with open(copy, "w") as f:
            f.write("".join(x + "\n" for x in change(list(lines))))
        status, said = ctl(proxy, "audit", "verify", "--key", here["public"], "--head", kept, copy)
        equal(status, 0 if name == "nothing" else 1, "%s: %s" % (name, said))
        contains(said, "%s line %d: " % (copy, line) if line else "", text)
    other = here["dir"] + "/other"
    run("sh", "-c", "openssl genpkey -algorithm ed25519 | openssl pkey -pubout -out " + other)
    status, said = ctl(proxy, "audit", "verify", "--key", other)
    equal(status, 1, said)
    contains(said, "is not signed with this key")


@test("a task's own log that is not the host's is found")
def copies():
    proxy = start()
    task = proxy.task()
    work(proxy, task, 6)
    head(proxy)
    path = "%s/audit/tasks/%s.jsonl" % (proxy.dir, task.id)
    lines = open(path).read().strip().split("\n")
    words = ("audit", "verify", "--task", task.id)
    for change in (lines[:3] + lines[4:], lines[:3] + [lines[3].replace("T", "t", 1)] + lines[4:], lines[:-1], lines + [lines[-1]]):
        with open(path, "w") as f:
            f.write("".join(x + "\n" for x in change))
        status, said = ctl(proxy, *words)
        equal(status, 1, said)
        contains(said, path)
    with open(path, "w") as f:
        f.write("".join(x + "\n" for x in lines))
    equal(ctl(proxy, *words)[0], 0)


@test("a crash in the middle of a line: the bytes stay, a record says so, the chain goes on")
def torn():
    proxy = start()
    task = proxy.task()
    work(proxy, task, 5)
    head(proxy)
    proxy.crash()
    log = proxy.dir + "/audit/audit.jsonl"
    with open(log, "a") as f:
        f.write('{"time":"2026-11-23T')
    status, said = ctl(proxy, "audit", "verify")
    equal(status, 1, said)
    contains(said, "torn by a crash that the service has not seen yet")
    proxy.start_daemon()
    work(proxy, task, 3)
    equal(good(proxy, "--key", here["public"])["resumed"], 1)
    told = [r for r in records(log) if r.get("what") == "resumed"][0]["torn"]
    equal((told["bytes"], told["text"]), (25, '{\\x22time\\x22:\\x222026-11-23T'))


def records(path):
    found = []
    for line in open(path):
        try:
            found.append(json.loads(line))
        except ValueError:
            pass
    return found


@test("records that are cut off while the service is down are missed by it, too")
def cut():
    proxy = start()
    task = proxy.task()
    work(proxy, task, 10)
    head(proxy)
    proxy.crash()
    log = proxy.dir + "/audit/audit.jsonl"
    lines = open(log).readlines()
    with open(log, "w") as f:
        f.writelines(lines[:-4])
    proxy.start_daemon()
    equal([r["missing"] for r in records(log) if r.get("what") == "resumed"], [4])
    status, said = ctl(proxy, "audit", "verify")
    equal(status, 1, said)
    contains(said, "are missing between", "found at its start that 4 records")


@test("full files are put aside, the newest are kept, and all are one chain")
def rotation():
    proxy = start(**{"audit.fileSize": 16384, "audit.files": 3, "audit.checkpointRecords": 50})
    task = proxy.task()
    work(proxy, task, 150)
    names = sorted(os.path.basename(p) for p in glob.glob(proxy.dir + "/audit/audit*"))
    equal(len(names), 4, str(names))
    ok(all(os.path.getsize(proxy.dir + "/audit/" + n) < 16384 + 4096 for n in names), "no file is much larger")
    said = good(proxy, "--key", here["public"])
    equal((said["files"], said["goodSignatures"]), (4, said["checkpoints"]))
    ok(said["first"] > 1, "the oldest are gone: %s" % said)
    status, text = ctl(proxy, "audit", "show", "--json")
    seen = [json.loads(line)["seq"] for line in text.strip().split("\n")]
    equal(seen, list(range(said["first"], said["last"] + 1)), "show reads all files in their order")
    status, text = ctl(proxy, "audit", "verify", *sorted((proxy.dir + "/audit/" + n for n in names[1:]), reverse=True))
    equal(status, 0, "in any order: " + text)
    status, text = ctl(proxy, "audit", "verify", *(proxy.dir + "/audit/" + n for n in (names[0], names[2], names[3])))
    equal(status, 1, text)
    contains(text, "records", "are missing between")


@test("a log that somebody else renames goes on in a new file at SIGHUP")
def renamed():
    proxy = start()
    task = proxy.task()
    work(proxy, task, 5)
    log = proxy.dir + "/audit/audit.jsonl"
    os.rename(log, log + "-20261123")
    work(proxy, task, 5)
    os.kill(proxy.daemon.pid, signal.SIGHUP)
    until(lambda: os.path.exists(log) and os.path.getsize(log) > 0, "there is a new file")
    work(proxy, task, 5)
    equal(good(proxy, "--key", here["public"], "--task", task.id)["files"], 2)
    head(proxy)
    proxy.crash()  # and over a crash with an empty file
    head_seq = records(log)[-1]["seq"]
    os.rename(log, log + "-20261124")
    proxy.start_daemon()
    ok(good(proxy, "--key", here["public"])["last"] > head_seq, "the sequence goes on")


@test("show: by task, decision, rule and time")
def show():
    proxy = start()
    one, two = proxy.task(), proxy.task()
    work(proxy, one, 9)
    time.sleep(0.01)  # times are in milliseconds: the two tasks' differ
    work(proxy, two, 3)
    everything = json.loads("[%s]" % ctl(proxy, "audit", "show", "--json")[1].strip().replace("\n", ","))
    moment = [r for r in everything if r.get("id") == two.id and r["event"] == "decision"][0]["time"]
    for words, want in (
        (("--decision", "deny"), 4),
        (("--task", one.id, "--decision", "deny"), 3),
        (("--task", "%s/0" % two.task_id, "--rule", "ping"), 2),
        (("--since", moment, "--decision", "deny"), 1),
        (("--until", moment, "--decision", "deny"), 3),
        (("--until", "2020-01-01"), 0),
    ):
        status, said = ctl(proxy, "audit", "show", "--json", *words)
        found = [r for r in map(json.loads, filter(None, said.split("\n"))) if r["event"] == "decision"]
        equal((status, len(found)), (0, want), str(words))
    status, said = ctl(proxy, "audit", "show", "--decision", "deny")
    contains(said, "TIME", "RULE", "POST /containers/create", "why")
    equal(ctl(proxy, "audit", "show", "--until", "noon")[0], 2)


@test("a key that cannot be used is an error at the start, none is none")
def keys():
    proxy = Proxy(here["engine"].path, **{"audit.key": here["public"]})
    cleanup(proxy.stop)
    done = run(program("dind-proxyd"), "--config", proxy.config, timeout=30)
    equal(done.returncode, 1, done.stdout)
    contains(done.stdout, "cannot start", "audit.key")
    without = start(**{"audit.key": here["dir"] + "/none"})
    work(without, without.task(), 3)
    equal(good(without)["checkpoints"], 0)


if __name__ == "__main__":
    main(setup)
