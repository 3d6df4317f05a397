#!/usr/bin/python3
"""The policy's life: a reload is atomic in front and gate, a wrong file changes nothing, observing lets through what is
harmless and nothing else. The engine is scripted: what it reads is what was judged."""
import json
import os
import signal
import subprocess
import sys
import threading

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")
from proxy import program
from script import Rig, answer, built, chunked_answer, chunks, context, image_id, request
from tap import contains, equal, lacks, main, ok, test, until

GIB = 1 << 30


def rewrite(rig, **settings):
    """Changes rows of the settings file as an editor would: a new file in its place."""
    with open(rig.proxy.config) as f:
        tree = json.load(f)
    for key, value in settings.items():
        *above, last = key.split(".")
        place = tree
        for name in above:
            place = place.setdefault(name, {})
        place[last] = value
    with open(rig.proxy.config + ".new", "w") as f:
        json.dump(tree, f)
    os.rename(rig.proxy.config + ".new", rig.proxy.config)


def reload(rig, want=200):
    status, said = rig.proxy.control("POST", "/v1/reload")
    equal(status, want, "reload: %s" % said)
    return said


def dindctl(rig, *words):
    done = subprocess.run(
        [program("dindctl"), "--control", rig.proxy.control_socket, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def host_records(rig, **want):
    with open(rig.proxy.dir + "/audit/audit.jsonl") as f:
        records = [json.loads(line) for line in f]
    return [r for r in records if all(r.get(k) == v for k, v in want.items())]


def decisions(rig, **want):
    records = [r for r in rig.task.audit() if r["event"] == "decision"]
    return [r for r in records if all(r.get(k) == v for k, v in want.items())]


def build(rig, target):
    """Asks for a build that the engine answers by itself; the client's answer."""
    c = rig.ask("POST", target, body=context())
    reply = c.answer()
    c.close()
    return reply


def serve_builds(rig):
    def on_build(c):
        c.read()
        c.send(chunked_answer(*built(image_id("a"), rig.task.prefix + "docker.io/library/app:1")))
        c.close()

    rig.engine.handlers.append(("POST", "/build", on_build))


@test("a reload: the next request is judged by the new policy, which has a number, a hash and a record")
def taken():
    rig = Rig()
    serve_builds(rig)
    before = rig.proxy.good("GET", "/v1/policy")
    equal((before["version"], before["mode"], len(before["hash"])), (1, "enforce", 12))
    equal(build(rig, "/v1.41/build?memory=%d" % (2 * GIB)).status, 200)
    rewrite(rig, **{"policy.memory": "1GiB", "limits.builds": 1, "runDir": "/elsewhere"})
    said = reload(rig)
    equal(said["changed"], {"policy.memory": {"from": "0", "to": "1GiB"}, "limits.builds": {"from": "2", "to": "1"}})
    equal(said["restart"], ["runDir"], "what a restart takes")
    now = rig.proxy.good("GET", "/v1/policy")
    equal((now["version"], now["policy"]["memory"]), (2, GIB))
    ok(now["hash"] != before["hash"] and said["policy"] == {k: now[k] for k in ("version", "hash", "mode")}, "another hash: %s" % now)
    refused = build(rig, "/v1.41/build?memory=%d" % (2 * GIB))
    equal((refused.status, refused.json["message"].endswith("(rule: build-memory)")), (403, True), refused.text)
    equal(build(rig, "/v1.41/build?memory=%d" % GIB).status, 200)
    shown = rig.task.show()
    equal((shown["judgedBy"]["version"], shown["limits"]["builds"]), (2, 1))
    loaded = host_records(rig, event="policy", what="loaded")
    equal([r["policy"]["version"] for r in loaded], [2])
    equal([r["policy"]["version"] for r in decisions(rig)], [1, 2, 2], "versions in the records")
    rewrite(rig, **{"policy.memory": "0", "limits.builds": 2})
    equal(reload(rig)["policy"]["hash"], before["hash"], "the same words have the same hash again")


@test("a wrong file leaves the old policy: the answer, the log and the audit say what is wrong with it")
def wrong_file():
    rig = Rig()
    serve_builds(rig)
    with open(rig.proxy.config) as f:
        good = f.read()
    for text, want in (
        (good.replace('"log.level"', '"x"').replace("{", '{"limits": {"builds": "many"},', 1), "'limits.builds' must be"),
        ("{", "config.json"),
        (good[:-2] + ', "unknown": 1}', "unknown key 'unknown'"),
    ):
        with open(rig.proxy.config, "w") as f:
            f.write(text)
        status, said = rig.proxy.control("POST", "/v1/reload")
        equal((status, said["rule"]), (400, "settings"))
        contains(said["message"], want)
        code, out, err = dindctl(rig, "reload")
        equal((code, out), (1, ""))
        contains(err, want)
    os.unlink(rig.proxy.config)
    contains(reload(rig, want=400)["message"], "No such file")
    equal(rig.proxy.good("GET", "/v1/policy")["version"], 1)
    refused = host_records(rig, event="policy", what="refused")
    equal(len(refused), 7)
    contains(refused[0]["reason"], "'limits.builds' must be")
    contains(rig.proxy.log(200), "settings not taken, policy 1 goes on")
    equal(build(rig, "/v1.41/build").status, 200, "and it serves")
    with open(rig.proxy.config, "w") as f:
        f.write(good)
    equal(reload(rig)["policy"]["version"], 2)


@test("SIGHUP does the same, and opens the audit log anew")
def hangup():
    rig = Rig()
    rewrite(rig, **{"policy.memory": "1GiB"})
    os.rename(rig.proxy.dir + "/audit/audit.jsonl", rig.proxy.dir + "/audit/old.jsonl")
    os.kill(rig.proxy.daemon.pid, signal.SIGHUP)
    until(lambda: rig.proxy.good("GET", "/v1/policy")["version"] == 2, "the new policy is there")
    equal([r["policy"]["version"] for r in host_records(rig, event="policy")], [2], "in the new file")
    lacks(open(rig.proxy.dir + "/audit/old.jsonl").read(), '"loaded"')


@test("a request that was judged goes on with its policy, also in the gate; the next one on the connection has the new")
def under_way():
    rig = Rig()
    data = context(big=b"\0" * 400000)
    head = request("POST", "/v1.41/build?memory=%d" % (2 * GIB), body=b"", chunked=True)[: -len(b"0\r\n\r\n")]
    c = rig.client()
    c.send(head + chunks(data[:1024], end=False))
    until(lambda: decisions(rig), "it has been judged")
    rewrite(rig, **{"policy.memory": "1GiB"})
    equal(reload(rig)["policy"]["version"], 2)
    c.send(chunks(data[1024:]))  # only now the engine is asked
    e = rig.engine.expect("POST", "/build")
    contains(e.request.target, "memory=%d" % (2 * GIB))
    e.read()
    e.send(chunked_answer(*built(image_id("a"), rig.task.prefix + "docker.io/library/app:1")))
    e.close()
    equal(c.answer().status, 200)
    c.send(request("POST", "/v1.41/build?memory=%d" % (2 * GIB), body=context()))
    equal(c.answer().status, 403)
    equal([(r["decision"], r["policy"]["version"]) for r in decisions(rig)], [("allow", 1), ("deny", 2)])


@test("replaced twice: a request that nobody can judge any more ends with a named error")
def twice():
    rig = Rig()
    data = context(big=b"\0" * 400000)
    head = request("POST", "/v1.41/build", body=b"", chunked=True)[: -len(b"0\r\n\r\n")]
    c = rig.client()
    c.send(head + chunks(data[:1024], end=False))
    until(lambda: decisions(rig), "it has been judged")
    for cap in ("1GiB", "2GiB"):
        rewrite(rig, **{"policy.memory": cap})
        reload(rig)
    c.send(chunks(data[1024:]))
    reply = c.answer()
    equal(reply.status, 503)
    contains(reply.text, "policy-replaced")
    rig.engine.untouched()
    rig.alive()


@test("reloads under load: every request is judged by one policy, front and gate never disagree")
def atomic():
    rig = Rig(**{"limits.requestRate": 100000, "limits.builds": 100, "limits.hostBuilds": 100})
    serve_builds(rig)
    replies, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            replies.append(build(rig, "/v1.41/build?memory=%d" % (2 * GIB)))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for t in threads:
        t.start()
    for n in range(40):
        seen = len(replies)
        rewrite(rig, **{"policy.memory": "1GiB" if n % 2 == 0 else "4GiB"})
        equal(reload(rig)["policy"]["version"], n + 2)
        until(lambda seen=seen: len(replies) > seen + 3, "requests are served")
    stop.set()
    for t in threads:
        t.join(60)
    rules = {(r.status, r.json["message"].rpartition("rule: ")[2] if r.status != 200 else "") for r in replies}
    equal(rules - {(503, "policy-replaced)")}, {(200, ""), (403, "build-memory)")}, "answers")
    for r in decisions(rig):
        want = "deny" if r["policy"]["version"] % 2 == 0 else "allow"
        equal(r["decision"], want, "record of version %d" % r["policy"]["version"])


@test("observe: caps are let through and recorded; what would reach the host is refused as ever")
def observe():
    rig = Rig(**{"policy.mode": "observe", "policy.memory": "1GiB", "limits.requestNames": 1, "policy.baseImages": ["docker.io/library/alpine"]})
    serve_builds(rig)
    equal(build(rig, "/v1.41/build?memory=%d&t=a:1&t=b:1" % (2 * GIB)).status, 200)
    seen = decisions(rig)[-1]
    equal((seen["decision"], seen["rule"], seen["route"]), ("observed", "build-memory", "build"))
    contains(seen["reason"], "at most")
    equal([o["rule"] for o in seen["also"]], ["limit-request-names"])
    c = rig.ask("POST", "/v1.41/build", body=context("FROM debian:12\n"))
    equal(c.answer().status, 200, "a public base image outside of the patterns")
    contains(decisions(rig, decision="observed", rule="base-image")[0]["reason"], "debian:12")
    for target in ("networkmode=host", "remote=http://x/", "cgroupparent=/x", "pull=1"):
        reply = build(rig, "/v1.41/build?" + target)
        equal(reply.status, 403, target)
    c = rig.ask("POST", "/v1.41/build", body=context("FROM registry.example.com/secret:1\n"))
    equal(c.answer().status, 403, "an image of the host that is not public")
    equal(rig.task.show()["now"]["observed"], 3)
    metrics = rig.proxy.control("GET", "/metrics")[1]
    contains(metrics if isinstance(metrics, str) else metrics.decode(), 'dind_proxy_observed_total{rule="build-memory"} 1\n', 'dind_proxy_observed_total{rule="base-image"} 1\n')


@test("one task observes, the others enforce")
def one_task():
    rig = Rig(**{"policy.memory": "1GiB"})
    serve_builds(rig)
    target = "/v1.41/build?memory=%d" % (2 * GIB)
    equal(build(rig, target).status, 403)
    rig.task = rig.proxy.task(policy={"mode": "observe"})
    equal(rig.task.show()["judgedBy"]["mode"], "observe")
    equal(build(rig, target).status, 200)


def settings_file(rig, name, **settings):
    """A settings file of its own, which nothing but dindctl reads."""
    path = os.path.join(rig.proxy.dir, name)
    tree = {}
    for key, value in settings.items():
        group, last = key.split(".")
        tree.setdefault(group, {})[last] = value
    with open(path, "w") as f:
        json.dump(tree, f)
    return path


@test("replay: exactly those verdicts that another policy changes, and a status that says whether there are any")
def replay():
    rig = Rig(**{"policy.memory": "4GiB"})
    serve_builds(rig)
    first = rig.task
    equal(build(rig, "/v1.41/build?t=app:1&memory=%d&buildargs=%%7B%%22SECRET%%22%%3A%%22x%%22%%7D" % (2 * GIB)).status, 200)
    equal(build(rig, "/v1.41/build?memory=%d" % (8 * GIB)).status, 403)
    equal(build(rig, "/v1.41/build?networkmode=host").status, 403)
    c = rig.ask("POST", "/v1.41/build", body=context("FROM debian:12\n"))
    equal(c.answer().status, 200)
    c = rig.ask("POST", "/v1.41/build", body=context("FROM registry.example.com/base:1\n"))
    equal(c.answer().status, 403)
    equal(rig.ask("GET", "/v1.41/images/none:1/json").answer().status, 404)
    rig.task = rig.proxy.task(policy={"memory": "8GiB"})
    equal(build(rig, "/v1.41/build?memory=%d" % (8 * GIB)).status, 200)
    log = rig.proxy.dir + "/audit/audit.jsonl"
    lacks(open(log).read(), '"x"')

    same = settings_file(rig, "same.json", **{"policy.memory": "4GiB"})
    code, out, err = dindctl(rig, "policy", "replay", log, "--policy", same)
    equal((code, err), (0, ""), out)
    contains(out, "0 verdicts of ")

    new = settings_file(rig, "new.json", **{"policy.memory": "1GiB", "policy.baseImages": ["registry.example.com/*"]})
    code, out, err = dindctl(rig, "policy", "replay", log, "--policy", new, "--json")
    equal(code, 1, err)
    changes = [(c["task"], c["was"], c["is"]) for c in json.loads(out)["changes"]]
    task = "%s/0" % first.task_id
    equal(
        sorted(changes),
        sorted(
            [
                (task, "allow", "deny build-memory"),
                (task, "allow", "deny base-image"),
                (task, "deny base-image", "allow"),
            ]
        ),
    )
    code, out, err = dindctl(rig, "policy", "replay", log, "--policy", new)
    equal(code, 1)
    contains(out, "deny build-memory", "at most 1073741824 is allowed", "3 verdicts of ")
    code, out, err = dindctl(rig, "policy", "replay", log, "--policy", "/nonexistent")
    equal(code, 1)
    contains(err, "/nonexistent")


@test("explain: a request and its Dockerfile, by the service and by a file that it never saw")
def explain():
    rig = Rig()
    dockerfile = os.path.join(rig.proxy.dir, "Dockerfile")
    with open(dockerfile, "w") as f:
        f.write("FROM debian:12 AS build\nRUN true\nFROM scratch\nCOPY --from=build / /\n")
    head = ["-H", "Transfer-Encoding: chunked", "--dockerfile", dockerfile, "POST", "/v1.41/build?t=app:1"]
    code, out, err = dindctl(rig, "policy", "explain", "--json", "--task", rig.task.id, *head)
    equal(code, 0, err)
    said = json.loads(out)
    equal((said["decision"], said["policy"]["version"]), ("allow", 1))
    equal([b["mapped"] for b in said["bases"]], ["docker.io/library/debian:12"])
    contains(said["dockerfile"], "FROM docker.io/library/debian:12 AS build")
    contains(said["forwards"][0], rig.task.prefix.replace("/", "%2F"))
    narrow = settings_file(rig, "narrow.json", **{"policy.baseImages": []})
    code, out, err = dindctl(rig, "policy", "explain", "--json", "--policy", narrow, *head)
    equal((code, json.loads(out)["rule"]), (0, "base-image"), err)
    code, out, err = dindctl(rig, "policy", "explain", "GET", "/v1.41/containers/json")
    equal(code, 0)
    contains(out, "container-list")
    code, out, err = dindctl(rig, "policy", "show")
    contains(out, "docker.io/library/*")
    rig.engine.untouched()


if __name__ == "__main__":
    main()
