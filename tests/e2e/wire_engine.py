"""The engine fails, lies or dies: the client sees a clean error or a cut answer, and never waits for ever."""
import queue
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")
from script import WAIT, answer, built, chunked_answer, context, image_id, line, saved, wire
from tap import contains, equal, lacks, main, ok, until

UP = "/v1.41/build?t=app:1"


def failure(c):
    reply = c.answer()
    ok(reply is not None, "the client gets an answer")
    ok(reply.status in (500, 502, 503, 504), "an error of the engine's side: %s %s" % (reply.first, reply.text))
    ok(reply.json["message"], "the error says what happened")
    return reply


@wire("no engine: an error that says so; the engine comes back: all is well")
def refuses(rig):
    rig.engine.vanish()
    failure(rig.ask("GET", "/v1.41/images/json"))
    failure(rig.ask("POST", UP, body=context(big=b"\0" * (4 << 20))))
    rig.engine.listen()
    c = rig.ask("GET", "/v1.41/images/json")
    e = rig.engine.expect("GET", "/images/json")
    e.send(answer(200, []))
    e.close()
    equal(c.answer().json, [], "answer")


@wire("the engine dies before its head")
def before_head(rig):
    c = rig.ask("GET", "/v1.41/images/json")
    rig.engine.expect("GET", "/images/json").close()
    failure(c)
    rig.alive()


@wire("the engine dies in its head")
def in_head(rig):
    c = rig.ask("GET", "/v1.41/images/json")
    e = rig.engine.expect("GET", "/images/json")
    e.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    e.close()
    failure(c)


@wire("the engine dies during the upload without a word")
def during_upload(rig):
    c = rig.ask("POST", UP, body=context(big=b"\0" * (8 << 20)), chunked=True)
    e = rig.engine.expect("POST", "/build")
    while len(e.buffer) < 65536:
        e.fill()
    e.drop()
    failure(c)
    rig.alive()


@wire("the engine dies after the upload, before its head")
def after_upload(rig):
    c = rig.ask("POST", UP, body=context())
    e = rig.engine.expect("POST", "/build")
    e.read()
    e.close()
    failure(c)


@wire("the engine dies in a small counted answer")
def in_counted(rig):
    c = rig.ask("GET", "/v1.41/images/json")
    e = rig.engine.expect("GET", "/images/json")
    e.send(answer(200, b"[" + b" " * 100 + b"]")[:-50])
    e.close()
    reply = c.answer()
    ok(reply.status >= 500 or not reply.complete, "an error or a cut answer, not a whole one: %s" % reply.first)


def cut(c):
    """The answer that began must not look whole, or tells the error in its last record."""
    reply = c.answer()
    equal(reply.status, 200, "status")
    ok(not reply.complete or "errorDetail" in reply.text, "a cut answer does not look whole: %r" % reply.text[-300:])
    c.ended()


@wire("the engine dies between two chunks of build output")
def between_chunks(rig):
    c = rig.ask("POST", UP, body=context())
    e = rig.engine.expect("POST", "/build")
    e.read()
    e.send(chunked_answer(line(stream="Step 1/1 : FROM scratch\n"), end=False))
    e.close()
    cut(c)
    rig.alive()


@wire("the engine dies in a chunk of build output")
def in_chunk(rig):
    c = rig.ask("POST", UP, body=context())
    e = rig.engine.expect("POST", "/build")
    e.read()
    e.send(chunked_answer(line(stream="Step 1/1 : FROM scratch\n"), end=False) + b'40\r\n{"stream":"half a li')
    e.close()
    cut(c)


@wire("the engine dies in the middle of a saved image")
def in_save(rig):
    mine, tar = saved(rig.task.prefix + "docker.io/library/app:1", 300000)
    rig.build("app:1", mine)
    c = rig.ask("GET", "/v1.41/images/get?names=app:1")
    e = rig.engine.expect("GET", "/images/get")
    e.send(chunked_answer(tar[:200000], kind="application/x-tar", end=False))
    e.close()
    reply = c.answer()
    ok(reply is not None, "an error, or an answer that is cut: not just the end")
    ok(reply.status >= 500 or not reply.complete, "an error or a cut answer, not a whole one")


@wire("the engine's saved image is no image")
def no_image(rig):
    rig.build("app:1", image_id("a"))
    c = rig.ask("GET", "/v1.41/images/get?names=app:1")
    e = rig.engine.expect("GET", "/images/get")
    e.send(chunked_answer(context(big=b"x" * 300000), kind="application/x-tar"))
    e.close()
    reply = c.answer()
    ok(reply is None or reply.status >= 500 or not reply.complete, "an error or a cut answer, not a whole one")


@wire("a 101 of the engine is never believed")
def switching(rig):
    for method, target in (("GET", "/v1.41/images/json"), ("POST", UP)):
        for fields in ({}, {"Connection": "Upgrade", "Upgrade": "h2c"}):
            rig.engine.handlers = [(method, ".*/(json|build)", switch)]
            c = rig.ask(method, target, body=context() if method == "POST" else None, fields=fields)
            reply = c.answer()
            ok(reply.status >= 400, "an error, not %s" % reply.first)
            lacks(reply.text + c.buffer.decode("latin-1"), "HIJACKED")
            c.drop()
    ok(rig.engine.seen, "the engine was asked")


def switch(e):
    lacks(e.request.raw.decode().lower(), "upgrade")
    if e.request.method == "POST":
        e.read()
    e.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nHIJACKED")


LIES = {
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
    "both framings": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n[]",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n[]",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n[]",
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\n[]\r\n0\r\n\r\n",
    "no JSON": answer(200, b"<html>"),
}


@wire("answers that break the framing are errors")
def lies(rig):
    for name, bad in LIES.items():
        c = rig.ask("GET", "/v1.41/images/json")
        e = rig.engine.expect("GET", "/images/json")
        e.send(bad)
        e.close()
        reply = c.answer()
        ok(reply is not None and reply.status == 502, "%s: %s" % (name, reply and reply.first))
        c.drop()
    rig.alive()


@wire("a small answer that is too large is cut off and is an error", **{"limits.answerBytes": 65536})
def too_large(rig):
    mine = rig.build("app:1", image_id("a"))
    c = rig.ask("GET", "/v1.41/images/app:1/json")
    e = rig.engine.expect("GET", "/images/.*/json")
    e.send(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n')
    e.send((b"10000\r\n" + b" " * 65536 + b"\r\n") * 64)
    equal(failure(c).status, 502, "status")
    until(lambda: not e.sent(), "the engine's connection is closed")
    ok(mine, "image")


@wire("a build that fails at the engine keeps the engine's words")
def build_fails(rig):
    c = rig.ask("POST", UP, body=context())
    e = rig.engine.expect("POST", "/build")
    e.read()
    words = "The command '/bin/sh -c false' returned a non-zero code: 1"
    e.send(chunked_answer(line(stream="Step 1/1"), line(errorDetail={"code": 1, "message": words}, error=words)))
    e.close()
    reply = c.answer()
    ok(reply.complete, "the output ends as it should")
    contains(reply.text, words)
    equal(rig.task.call("GET", "/v1.41/images/app:1/json")[0], 404, "a failed build makes no name")


@wire("an error of the engine is passed on with its status and words, names mapped")
def error_passed(rig):
    mine = rig.build("app:1", image_id("a"))
    name = rig.task.prefix + "docker.io/library/app:1"
    c = rig.ask("GET", "/v1.41/images/app:1/json")
    e = rig.engine.expect("GET", "/images/.*/json")
    e.send(answer(500, {"message": "layer of %s is damaged" % name}))
    e.close()
    reply = c.answer()
    equal(reply.status, 500, "status")
    contains(reply.text, "damaged")
    lacks(reply.text, "dind.invalid")
    ok(mine, "image")


@wire("the service restarts: a build is told so in its own stream, others in their answer, and there are records")
def restarted(rig):
    c = rig.ask("POST", UP, body=context())
    e = rig.engine.expect("POST", "/build")
    e.read()
    e.send(chunked_answer(line(stream="Step 1/1 : FROM scratch"), end=False))
    while b"Step 1/1" not in c.buffer:
        c.fill()
    other = rig.ask("GET", "/v1.41/images/json")
    rig.engine.expect("GET", "/images/json")
    rig.proxy.restart()
    reply = c.answer()
    ok(reply.status == 200 and reply.complete, "the build's output ends as it should: %s" % reply.first)
    contains(reply.text, '"errorDetail"', "service-stopping")
    reply = other.answer()
    equal(reply.status, 503)
    contains(reply.text, "service-stopping")
    records = [r for r in rig.task.audit() if r.get("rule") == "service-stopping" and r["event"] == "decision"]
    equal(sorted(r["judged"] for r in records), ["/build", "/images/json"], "records")
    rig.alive()


def lose_engine(rig):
    """A call that fails: who answers next may be another engine."""
    c = rig.ask("GET", "/v1.41/images/json")
    rig.engine.expect("GET", "/images/json").drop()
    equal(c.answer().status, 502, "a call that fails")


def ready(rig):
    return rig.proxy.control("GET", "/readyz")


@wire("an engine that was never tested gets no build, and is not ready")
def untested_engine(rig):
    mine = rig.build("app:1", image_id("a"))
    until(lambda: ready(rig)[0] == 200, "ready")
    known = rig.engine.VERSION
    for api in ("1.40", "1.52", "1.99"):
        rig.engine.VERSION = dict(known, Version="99.0", ApiVersion=api)
        lose_engine(rig)
        until(lambda: "speaks API %s" % api in ready(rig)[1]["message"], "not ready, with API " + api)
        equal(ready(rig)[0], 503, "readyz")
        before = len(rig.engine.seen)
        reply = rig.ask("POST", "/build?t=app:1", body=context()).answer()
        equal(reply.status, 503, "a build")
        contains(reply.text, "rule: engine-untested", "engine.newestApi", "1." + api.partition(".")[2])
        ok(not any("/build" in one for one in rig.engine.seen[before:]), "the engine hears nothing of it")
    rig.engine.VERSION = known
    lose_engine(rig)
    until(lambda: ready(rig)[0] == 200, "ready again")
    rig.build("app:2", image_id("b"))
    ok(mine, "image")


@wire("a build waits until the engine has told again what it is")
def build_waits(rig):
    until(lambda: ready(rig)[0] == 200, "ready")
    held = queue.Queue()
    rig.engine.handlers = [("GET", "/version", held.put)]
    lose_engine(rig)
    c = rig.ask("POST", UP, body=context())
    e = held.get(timeout=WAIT)
    ok(c.quiet(), "no answer yet")
    ok(not any("/build" in one for one in rig.engine.seen), "the engine has not heard of the build")
    e.send(answer(200, rig.engine.VERSION))
    e.close()
    build = rig.engine.expect("POST", "/build")
    build.read()
    build.send(chunked_answer(*built(image_id("a"), rig.task.prefix + "docker.io/library/app:1")))
    build.close()
    equal(c.answer().status, 200, "the build")
    lose_engine(rig)
    c = rig.ask("POST", UP, body=context())
    held.get(timeout=WAIT).drop()
    equal(c.answer().status, 502, "an engine that does not tell")


main()
