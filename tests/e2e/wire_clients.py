"""Clients that vanish, stall, read slowly or come in numbers cost what the limits say, and no more."""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")
import threading
import time

from proxy import SANITIZED, SLOW
from script import WAIT, answer, built, chunked_answer, context, image_id, line, request, saved, unpack, wire
from tap import Skip, equal, lacks, main, ok, until

UP = "/v1.41/build?t=app:1"
MIB = 1 << 20


def closed_at_once(e, since):
    e.ended(5 * SLOW)
    ok(time.monotonic() - since < 1.0 * SLOW, "the engine's connection ends within a second")


@wire("a client that vanishes during its upload takes the engine's connection with it")
def vanish_upload(rig):
    c = rig.ask("POST", UP, body=context(big=b"\0" * (8 * MIB)), chunked=True)
    e = rig.engine.expect("POST", "/build")
    e.fill()
    since = time.monotonic()
    c.drop()
    closed_at_once(e, since)
    ok(not e.read().complete, "the engine's upload is cut, not ended")
    rig.alive()


@wire("a client that vanishes during a step stops the build")
def vanish_step(rig):
    c = rig.ask("POST", UP, body=context())
    e = rig.engine.expect("POST", "/build")
    e.read()
    e.send(chunked_answer(line(stream="Step 1/1 : RUN sleep 1000"), end=False))
    while b"sleep 1000" not in c.buffer:
        c.fill(WAIT)
    since = time.monotonic()
    c.drop()
    closed_at_once(e, since)


@wire("a client that vanishes before the engine's first byte stops the build")
def vanish_silence(rig):
    c = rig.ask("POST", UP, body=context())
    e = rig.engine.expect("POST", "/build")
    e.read()
    since = time.monotonic()
    c.drop()
    closed_at_once(e, since)


def save(rig, size):
    """A task saves its image: client, engine, and the tarball that the engine would send."""
    mine, tar = saved(rig.task.prefix + "docker.io/library/app:1", size)
    rig.build("app:1", mine)
    c = rig.ask("GET", "/v1.41/images/get?names=app:1")
    return c, rig.engine.expect("GET", "/images/get"), tar


@wire("a client that vanishes during a save ends it")
def vanish_save(rig):
    c, e, tar = save(rig, 16 * MIB)
    e.send(chunked_answer(tar[: 8 * MIB], kind="application/x-tar", end=False))
    c.fill()
    since = time.monotonic()
    c.drop()
    closed_at_once(e, since)
    rig.alive()


@wire("a client that does not read its save does not grow memory")
def slow_reader(rig):
    if SANITIZED:
        raise Skip("memory figures mean nothing under sanitizers")
    before = rig.proxy.memory()
    c, e, tar = save(rig, 64 * MIB)
    e.send(chunked_answer(tar, kind="application/x-tar"))
    until(e.held_up, "the engine's stream is held up")
    ok(not e.broken, "the engine's connection is held, not closed")
    grown = rig.proxy.memory("VmHWM") - before
    ok(grown < 8 * MIB, "memory grew by %d KiB while 64 MiB waited" % (grown >> 10))
    reply = c.answer()
    ok(reply.complete, "it goes on when the client reads again")
    contents = unpack(reply.body)
    ok(sum(map(len, contents.values())) > 64 * MIB, "nothing is lost")
    lacks(contents["manifest.json"].decode(), "dind.invalid")
    rig.alive()


@wire("an engine that does not take a context does not grow memory")
def slow_engine(rig):
    if SANITIZED:
        raise Skip("memory figures mean nothing under sanitizers")
    before = rig.proxy.memory()
    c = rig.ask("POST", UP, body=context(big=b"\0" * (64 * MIB)))
    rig.engine.expect("POST", "/build")
    until(c.held_up, "the client is held up")
    ok(c.quiet(0), "the client is not refused")
    grown = rig.proxy.memory("VmHWM") - before
    ok(grown < 8 * MIB, "memory grew by %d KiB while 64 MiB waited" % (grown >> 10))
    rig.alive()


def took(start):
    return time.monotonic() - start


@wire("a head that does not end is cut off in time", **{"limits.headTime": 1})
def slow_head(rig):
    c, start = rig.client(), time.monotonic()
    c.send(b"GET /_ping HTTP/1.1\r\nHost: d\r\nX: ")
    reply = c.answer()
    ok(reply is None or reply.status == 408, "a 408 or the end: %s" % (reply and reply.first))
    c.ended()
    ok(0.9 < took(start) < 5 * SLOW, "after the head's time, not %.1f s" % took(start))
    rig.alive()


@wire("a head that trickles is cut off in time", **{"limits.headTime": 1})
def trickling_head(rig):
    c, start = rig.client(), time.monotonic()
    c.send(b"GET /_ping HTTP/1.1\r\n")
    while c.quiet(0.1) and took(start) < 10 * SLOW:
        c.send(b"X: y\r\n")
    ok(took(start) < 5 * SLOW, "each byte does not buy new time")


@wire("an idle connection is closed in time", **{"limits.idleTime": 1})
def idle(rig):
    c = rig.ask("GET", "/_ping")
    equal(c.answer().body, b"OK", "answer")
    start = time.monotonic()
    equal(c.ended(), b"", "what comes on an idle connection")
    ok(took(start) < 5 * SLOW, "after the idle time")


@wire("an upload that stalls is cut off in time", **{"limits.stallTime": 1})
def stalled_upload(rig):
    c, start = rig.client(), time.monotonic()
    c.send(request("POST", UP, body=context())[:-700])
    reply = c.answer()
    ok(reply is None or reply.status in (400, 408), "a 408 or the end: %s" % (reply and reply.first))
    ok(took(start) < 6 * SLOW, "after the stall time")
    rig.alive()


@wire("a build that is silent is not a stall", **{"limits.stallTime": 1})
def silent_build(rig):
    c = rig.ask("POST", UP, body=context())
    e = rig.engine.expect("POST", "/build")
    e.read()
    ok(e.quiet(2.5), "the engine may be silent for longer than the stall time")
    e.send(chunked_answer(*built(image_id("a"), rig.task.prefix + "docker.io/library/app:1")))
    e.close()
    ok(c.answer().complete, "the build's answer")


@wire("a build that takes too long is ended", **{"limits.buildTime": 1})
def long_build(rig):
    c = rig.ask("POST", UP, body=context())
    e = rig.engine.expect("POST", "/build")
    e.read()
    start = time.monotonic()
    e.send(chunked_answer(line(stream="Step 1/1 : RUN sleep 1000"), end=False))
    e.ended()
    ok(took(start) < 6 * SLOW, "after the build time")
    reply = c.answer()
    ok(not reply.complete or "errorDetail" in reply.text, "the client sees that the build did not end well")


@wire("more connections than allowed are refused, and come back when others go", **{"limits.connections": 4})
def connections(rig):
    held = [rig.ask("GET", "/_ping") for _ in range(4)]
    for c in held:
        equal(c.answer().body, b"OK", "answer")
    extra = rig.ask("GET", "/_ping")
    reply = extra.answer()
    ok(reply is None or reply.status in (429, 503), "the fifth is refused: %s" % (reply and reply.first))
    extra.drop()
    held.pop().drop()

    def served():
        c = rig.ask("GET", "/_ping")
        reply = c.answer()
        c.drop()
        return reply is not None and reply.body == b"OK"

    until(served, "a free place is used again")


@wire("more builds than allowed are refused with words", **{"limits.builds": 1})
def builds(rig):
    first = rig.ask("POST", UP, body=context())
    e = rig.engine.expect("POST", "/build")
    e.read()
    second = rig.ask("POST", "/v1.41/build?t=app:2", body=context())
    reply = second.answer()
    equal(reply.status, 429, "status of the second")
    ok("build" in reply.json["message"], "the refusal says why")
    e.send(chunked_answer(*built(image_id("a"), rig.task.prefix + "docker.io/library/app:1")))
    e.close()
    equal(first.answer().status, 200, "the first goes on")
    rig.build("app:3", image_id("c"))


@wire("more requests a second than allowed are refused with words", **{"limits.requestRate": 5})
def request_rate(rig):
    def ping():
        c = rig.ask("GET", "/_ping")
        reply = c.answer()
        c.drop()
        return reply

    answers = [ping() for _ in range(80)]  # ten seconds' worth may come at once
    refused = [a for a in answers if a.status == 429]
    ok(0 < len(refused) < 80, "some of 80 requests at once are refused: %s" % [a.status for a in answers])
    ok("requestRate" in refused[0].json["message"], "the refusal says why")
    until(lambda: ping().status == 200, "there is room again")


@wire("connections that come and go leave no descriptor behind")
def descriptors(rig):
    rig.alive()
    before = rig.proxy.descriptors()
    for n in range(60):
        c = rig.client()
        c.send((b"", b"GET /_ping HT", request("GET", "/_ping"), request("POST", UP, body=context())[:-700])[n % 4])
        c.drop()
    until(lambda: rig.proxy.descriptors() <= before + 1, "the descriptors are as before (%d)" % before)
    rig.alive()


@wire("an end of the task ends what it has under way")
def end_of_task(rig):
    c = rig.ask("POST", UP, body=context())
    e = rig.engine.expect("POST", "/build")
    e.read()
    rig.engine.handlers += [("GET", "/images/json", lambda x: (x.send(answer(200, [])), x.close()))]
    start = time.monotonic()
    end = threading.Thread(target=rig.task.end)
    end.start()
    e.ended()
    ok(took(start) < 5 * SLOW, "the build is cancelled at once")
    e.close()
    end.join()
    reply = c.answer()
    ok(reply is None or not reply.complete or reply.status >= 400, "the client is told or cut")


main()
