"""Answers reach the client whole: early ones, refusals in the middle of an upload, those to a client that half-closed."""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")
import queue

from script import WAIT, answer, built, chunked_answer, context, image_id, line, request, wire
from tap import contains, equal, main, ok

BIG = 8 << 20  # more than all socket buffers and budgets between client and engine


@wire("an early answer of the engine survives the upload")
def early_answer(rig):
    c = rig.ask("POST", "/v1.41/build?t=app:1", body=context(big=b"\0" * BIG), chunked=True)
    e = rig.engine.expect("POST", "/build")
    while len(e.buffer) < 65536:
        e.fill()
    e.send(answer(500, {"message": "no space left on device"}))
    e.close()  # with bytes unread: the proxy's writes fail now
    reply = c.answer()
    equal(reply.status, 500, "status of the early answer")
    contains(reply.text, "no space left on device")
    rig.alive()


@wire("an early answer while the client still has its upload to send is not held back")
def early_answer_at_once(rig):
    c = rig.client()
    whole = request("POST", "/v1.41/build?t=app:1", body=context(big=b"\0" * BIG))
    c.send(whole[: BIG // 2])
    e = rig.engine.expect("POST", "/build")
    while len(e.buffer) < 65536:
        e.fill()
    e.send(answer(500, {"message": "the disk is full"}))
    reply = c.answer()  # half of the body was never sent
    equal(reply.status, 500, "status")
    contains(reply.text, "the disk is full")


def refused_upload(rig, chunked, dockerfile_last):
    body = context("FROM example.com/theirs:1\n", dockerfile_last, big=b"\0" * BIG)
    c = rig.ask("POST", "/v1.41/build?t=app:1", body=body, chunked=chunked)
    ok(c.sent(), "the client can send all before it reads: the rest is read and thrown away")
    reply = c.answer()
    equal(reply.status, 403, "status of the refusal")
    contains(reply.text, "example.com/theirs:1")
    equal(reply.get("connection").lower(), "close", "Connection field of a refusal in the middle of a body")
    c.half_close()
    equal(c.ended(), b"", "what follows the refusal")


@wire("a refusal in the middle of a counted upload is read by the client")
def refusal_counted(rig):
    refused_upload(rig, chunked=False, dockerfile_last=False)


@wire("a refusal in the middle of a chunked upload is read by the client")
def refusal_chunked(rig):
    refused_upload(rig, chunked=True, dockerfile_last=False)


@wire("a Dockerfile at the end of the context is judged before the engine can act on it")
def refusal_at_the_end(rig):
    taken = queue.Queue()
    rig.engine.handlers.append(("POST", "/build", lambda e: taken.put(e.read())))
    refused_upload(rig, chunked=True, dockerfile_last=True)
    if any("/build" in line for line in rig.engine.seen):  # then it never gets the end of the context
        ok(not taken.get(timeout=WAIT).complete, "the engine's upload is cut, not ended")


@wire("a refusal by path of a request with a body is read by the client")
def refusal_by_path(rig):
    c = rig.ask("POST", "/v1.41/containers/create", body=b"\0" * BIG)
    ok(c.sent(), "the client can send all before it reads")
    reply = c.answer()
    equal(reply.status, 403, "status")
    ok(reply.json["message"], "the refusal says why")
    rig.engine.untouched()


@wire("a client that half-closes after its request still gets its answer")
def half_close(rig):
    c = rig.ask("GET", "/v1.41/images/json")
    c.half_close()
    e = rig.engine.expect("GET", "/images/json")
    ok(e.quiet(), "the engine sees no end before its answer")
    e.send(answer(200, []))
    e.close()
    reply = c.answer()
    equal((reply.status, reply.json), (200, []), "answer")
    equal(c.ended(), b"", "what follows the answer")


@wire("a build of a client that half-closes runs to its end")
def half_close_build(rig):
    c = rig.ask("POST", "/v1.41/build?t=app:1", body=context(), chunked=True)
    c.half_close()
    e = rig.engine.expect("POST", "/build")
    ok(e.read().complete, "the engine gets the whole context")
    ok(e.quiet(), "the engine sees no end before its answer: it would cancel the build")
    one, *more = built(image_id("a"), rig.task.prefix + "docker.io/library/app:1")
    e.send(chunked_answer(one, end=False))
    ok(not e.eof, "the engine sees no end during its answer")
    e.send(b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in more) + b"0\r\n\r\n")
    reply = c.answer()
    ok(reply.complete, "the output ends as it should")
    contains(reply.text, "Successfully tagged app:1")


@wire("build output is passed on while the build runs")
def output_at_once(rig):
    c = rig.ask("POST", "/v1.41/build?t=app:1", body=context())
    e = rig.engine.expect("POST", "/build")
    e.read()
    e.send(chunked_answer(line(stream="Step 1/2 : FROM scratch\n"), end=False))
    while b"Step 1/2" not in c.buffer:
        c.fill(WAIT)
    e.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(line(stream="done")), line(stream="done")))
    contains(c.answer().text, "done")


@wire("HEAD is answered without a body")
def head(rig):
    c = rig.ask("HEAD", "/_ping")
    equal(c.answer(to="HEAD").status, 200, "status")
    c.send(request("GET", "/_ping"))
    equal(c.answer().body, b"OK", "the next answer starts where the head ended")


@wire("surplus bytes of the engine are dropped")
def surplus(rig):
    c = rig.ask("GET", "/v1.41/images/json")
    e = rig.engine.expect("GET", "/images/json")
    e.send(answer(200, []) + answer(200, ["smuggled"]))
    e.close()
    equal(c.answer().json, [], "the answer")
    c.send(request("GET", "/_ping"))
    equal(c.answer().body, b"OK", "the next answer")


@wire("a redirect of the engine is not followed")
def redirect(rig):
    c = rig.ask("GET", "/v1.41/images/json")
    e = rig.engine.expect("GET", "/images/json")
    e.send(answer(301, b"", fields={"Location": "/v1.41/containers/json"}))
    e.close()
    ok(c.answer().status >= 300, "the client gets no success")
    ok(not any("containers" in line for line in rig.engine.seen), "nobody asks for the Location")


@wire("an interim answer of the engine is not an answer")
def interim(rig):
    c = rig.ask("GET", "/v1.41/images/json")
    e = rig.engine.expect("GET", "/images/json")
    e.send(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(200, []))
    e.close()
    equal(c.answer(skip_100=False).status, 200, "status")


main()
