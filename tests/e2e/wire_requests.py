"""Requests are parsed strictly, judged one by one, and printed anew."""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")
import json

from script import answer, built, chunked_answer, chunks, context, image_id, request, unpack, wire
from tap import contains, equal, lacks, main, ok

UP = "/v1.41/build?t=app:1"


@wire("pipelined requests are judged one by one")
def pipelined(rig):
    c = rig.client()
    c.send(request("GET", "/_ping") + request("GET", "/v1.41/containers/json") + request("GET", "/_ping"))
    equal(c.answer().status, 200, "first")
    refusal = c.answer()
    equal(refusal.status, 403, "second")
    third = c.answer()
    if refusal.get("connection").lower() == "close":
        equal(third, None, "after a refusal that closes")
    else:
        equal(third.body, b"OK", "third")
    rig.engine.untouched()


@wire("a request behind a build is not taken for its body")
def pipelined_build(rig):
    c = rig.client()
    c.send(request("POST", UP, body=context(), chunked=True) + request("POST", "/v1.41/containers/x/kill"))
    e = rig.engine.expect("POST", "/build")
    equal(sorted(unpack(e.read().body)), ["Dockerfile", "f"], "the engine's context")
    equal(e.buffer, b"", "what follows the context at the engine")
    e.send(chunked_answer(*built(image_id("a"), rig.task.prefix + "docker.io/library/app:1")))
    e.close()
    ok(c.answer().complete, "the build's answer")
    equal(c.answer().status, 403, "the answer to the second request")


@wire("keep-alive: each request has an engine connection of its own, in normal form")
def keep_alive(rig):
    c = rig.client()
    for n in range(10):
        c.send(request("GET", "/v1.41/images/json", fields={"X-Mine": "1", "User-Agent": "me", "Accept": "*/*"}))
        e = rig.engine.expect("GET", "/images/json")
        equal(e.request.get("connection").lower(), "close", "Connection")
        lacks(e.request.raw.decode().lower(), "x-mine", "user-agent: me", "accept:")
        e.send(answer(200, []))
        e.close()
        equal(c.answer().json, [], "answer %d" % n)


@wire("Expect: 100-continue is answered before the body, after the judgement")
def expect_continue(rig):
    body = context()
    whole = request("POST", UP, body=body, fields={"Expect": "100-continue"})
    c = rig.client()
    c.send(whole[: -len(body)])
    equal(c.answer(skip_100=False).status, 100, "interim answer")
    c.send(body)
    e = rig.engine.expect("POST", "/build")
    e.read()
    equal(e.request.get("expect"), "", "the field is not passed on")
    e.send(chunked_answer(*built(image_id("a"), rig.task.prefix + "docker.io/library/app:1")))
    e.close()
    equal(c.answer().status, 200, "final answer")


@wire("Expect: 100-continue of a refused request gets the refusal only")
def expect_refused(rig):
    c = rig.client()
    c.send(request("POST", "/v1.41/images/load", body=b"x", fields={"Expect": "100-continue"})[:-1])
    equal(c.answer(skip_100=False).status, 403, "first answer")
    rig.engine.untouched()


@wire("HTTP/1.0 is served and closed")
def http_1_0(rig):
    c = rig.ask("GET", "/_ping", version="HTTP/1.0")
    reply = c.answer()
    equal((reply.status, reply.body), (200, b"OK"), "answer")
    equal(c.ended(), b"", "what follows it")


@wire("HTTP/1.0: a stream ends with the connection, without chunks")
def http_1_0_stream(rig):
    mine = rig.build("app:1", image_id("a"))
    c = rig.ask("GET", "/v1.41/images/%s/history" % mine, version="HTTP/1.0")
    e = rig.engine.expect("GET", "/images/.*/history")
    e.send(chunked_answer(b'[{"Id":"%s","Tags":null}' % mine.encode(), b"]"))
    e.close()
    reply = c.answer()
    equal(reply.get("transfer-encoding"), "", "Transfer-Encoding")
    equal(reply.json[0]["Id"], mine, "the answer")
    equal(c.ended(), b"", "what follows it")


@wire("counted, chunked and oddly chunked bodies give the engine the same context")
def framings(rig):
    body, seen = context(), []
    odd = request("POST", UP, body=b"", chunked=True)[: -len(b"0\r\n\r\n")] + chunks(body, size=7)
    for whole in (request("POST", UP, body=body), request("POST", UP, body=body, chunked=True), odd):
        c = rig.client()
        c.send(whole)
        e = rig.engine.expect("POST", "/build")
        seen.append(e.read().body)
        ok(e.request.complete, "the engine gets the end of the body")
        e.send(chunked_answer(*built(image_id("a"), rig.task.prefix + "docker.io/library/app:1")))
        e.close()
        equal(c.answer().status, 200, "status")
    ok(seen[0] and seen.count(seen[0]) == 3, "all three are the same bytes")


@wire("names of the task are mapped there and back")
def mapping(rig):
    c = rig.ask("POST", "/v1.41/build?t=app:1&t=other/app", body=context())
    e = rig.engine.expect("POST", "/build")
    e.read()
    contains(e.request.target, "t=dind.invalid%2F" + rig.task.id)
    e.send(chunked_answer(*built(image_id("a"), rig.task.prefix + "docker.io/library/app:1")))
    e.close()
    text = c.answer().text
    contains(text, "Successfully tagged app:1")
    lacks(text, "dind.invalid")


@wire("images that are not the task's own are not listed, names or not")
def foreign_images(rig):
    mine, nameless = rig.build("app:1", image_id("a")), rig.build("app:2", image_id("b"))
    own, sister = rig.task.prefix + "docker.io/library/app:1", rig.task.prefix[:-1] + "x/docker.io/library/app:1"
    c = rig.ask("GET", "/v1.41/images/json?all=1")
    e = rig.engine.expect("GET", "/images/json")
    e.send(
        chunked_answer(
            json.dumps(
                [
                    {"Id": mine, "RepoTags": [own, sister, "debian:12"], "RepoDigests": ["debian@" + image_id("d")]},
                    {"Id": nameless, "RepoTags": ["<none>:<none>"], "ParentId": image_id("f")},
                    {"Id": image_id("c"), "RepoTags": ["debian:12"]},
                    {"Id": image_id("d"), "RepoTags": ["<none>:<none>"]},
                    {"Id": image_id("e"), "RepoTags": [sister]},
                ]
            ).encode()
        )
    )
    e.close()
    reply = c.answer()
    equal([i["Id"] for i in reply.json], [mine, nameless], "images listed")
    equal(reply.json[0]["RepoTags"], ["app:1"], "names listed")
    lacks(reply.text, "debian", "dind.invalid", "f" * 64)


@wire("an HTTP/2 preface is refused")
def preface(rig):
    c = rig.client()
    c.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    reply = c.answer()
    ok(reply.status in (400, 505), "refused: %s" % reply.first)
    equal(c.ended(), b"", "what follows the refusal")
    rig.engine.untouched()


BAD = {
    "both framings": "POST %s HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two different lengths": "POST %s HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a length with a sign": "POST %s HTTP/1.1\r\nHost: d\r\nContent-Length: +5\r\n\r\nhello",
    "a negative length": "POST %s HTTP/1.1\r\nHost: d\r\nContent-Length: -1\r\n\r\n",
    "a length beyond 64 bits": "POST %s HTTP/1.1\r\nHost: d\r\nContent-Length: 18446744073709551617\r\n\r\nx",
    "another transfer coding": "POST %s HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": "POST %s HTTP/1.0\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no host": "GET /_ping HTTP/1.1\r\n\r\n",
    "two hosts": "GET /_ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a folded line": "GET /_ping HTTP/1.1\r\nHost: d\r\nX: a\r\n b\r\n\r\n",
    "a space before the colon": "POST %s HTTP/1.1\r\nHost: d\r\nContent-Length : 5\r\n\r\nhello",
    "bare line feeds": "GET /_ping HTTP/1.1\nHost: d\n\n",
    "a NUL in a field": "GET /_ping HTTP/1.1\r\nHost: d\r\nX: a\0b\r\n\r\n",
    "no version": "GET /_ping\r\nHost: d\r\n\r\n",
    "a target that is no path": "GET http://d/_ping HTTP/1.1\r\nHost: d\r\n\r\n",
    "a tab in the request line": "GET\t/_ping HTTP/1.1\r\nHost: d\r\n\r\n",
    "a body on GET": "GET /v1.41/images/json HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\n\r\nhello",
}


@wire("bad heads get one 400 and the end of the connection")
def bad_heads(rig):
    for name, text in BAD.items():
        c = rig.client()
        c.send((text.replace("%s", UP) + "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n").encode())
        reply = c.answer()
        ok(reply, "%s: the connection ends without a word" % name)
        ok(reply.status in (400, 501, 505), "%s: %s" % (name, reply.first))
        equal(c.ended(), b"", "%s: what follows the refusal" % name)
    rig.engine.untouched()
    rig.alive()


BAD_CHUNKS = {
    "no size": b"\r\nhello\r\n",
    "hexadecimal with a prefix": b"0x5\r\nhello\r\n",
    "a sign": b"+5\r\nhello\r\n",
    "a space": b"5 \r\nhello\r\n",
    "a size beyond 64 bits": b"10000000000000000\r\nhello\r\n",
    "a wrong end": b"5\r\nhelloXX",
    "a bare line feed": b"5\nhello\r\n",
}


@wire("bad chunks get one 400, and the engine never sees the end of the body")
def bad_chunks(rig):
    body = context()
    head = request("POST", UP, body=b"", chunked=True)[: -len(b"0\r\n\r\n")]
    for name, bad in BAD_CHUNKS.items():
        c = rig.client()
        c.send(head + chunks(body[:-512], end=False) + bad + b"0\r\n\r\n" + request("GET", "/_ping"))
        reply = c.answer()
        ok(reply and reply.status == 400, "%s: %s" % (name, reply and reply.first))
        c.half_close()
        equal(c.ended(), b"", "%s: what follows the refusal" % name)
    while not rig.engine.connections.empty():
        _, e = rig.engine.connections.get()
        ok(not e.read().complete, "the engine's upload is cut, not ended")
    rig.alive()


@wire("an upload that ends too early is no build")
def short_upload(rig):
    body = context()
    c = rig.client()
    c.send(request("POST", UP, body=body)[:-600])
    c.half_close()
    reply = c.answer()
    ok(reply is None or reply.status == 400, "the client gets a 400 or nothing")
    while not rig.engine.connections.empty():
        _, e = rig.engine.connections.get()
        ok(not e.read().complete, "the engine's upload is cut, not ended")
    rig.alive()


main()
