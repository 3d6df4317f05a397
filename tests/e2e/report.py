"""The report of a task: made by dindctl and as an artifact, with a real engine; looked at in a real browser."""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import hashlib
import json
import os
import shutil
import subprocess
import tempfile

import engine
from browser import Browser, find
from proxy import Proxy, payload, program, slug
from tap import Skip, cleanup, contains, equal, lacks, main, ok, test

here = {}
IMAGE, REPORT = "public/image.tar.zst", "public/dind-report.html"


def setup():
    here["dir"] = tempfile.mkdtemp(prefix="dind-report.", dir="/tmp")
    cleanup(shutil.rmtree, here["dir"])
    here["engine"] = engine.Engine()
    cleanup(here["engine"].stop)
    here["engine"].start().image("busybox:1.36")
    here["proxy"] = Proxy(here["engine"].socket, uploader=True)
    cleanup(here["proxy"].stop)
    here["proxy"].start()
    if find():
        here["browser"] = Browser()


def build(task, name, dockerfile):
    return task.docker("build", "-t", name, "-", program="/usr/bin/docker", stdin=dockerfile)


def work():
    """A task that builds, fails, saves, is refused, and hands over."""
    task = here["proxy"].task(payload=payload(**{IMAGE: "app:1"}))
    equal(build(task, "app:1", "FROM busybox:1.36\nRUN sleep 0.4; dd if=/dev/urandom of=/x bs=1M count=3\n").returncode, 0)
    ok(build(task, "bad:1", "FROM busybox:1.36\nRUN sleep 0.2; exit 3\n").returncode != 0, "a failing build")
    equal(build(task, "app:2", "FROM app:1\nRUN sleep 0.3; echo 2 >/two\n").returncode, 0)
    equal(task.docker("save", "-o", here["dir"] + "/x.tar", "app:1", "app:2", program="/usr/bin/docker").returncode, 0)
    ok(build(task, "no:1", "FROM registry.example.com/secret/base\n").returncode != 0, "a base that is not allowed")
    for _ in range(3):
        equal(task.call("POST", "/v1.41/containers/create", {"Image": "app:1"})[0], 403)
    equal(task.call("GET", "/v1.41/volumes")[0], 403)
    task.call("GET", "/v1.41/%3Cscript%3Ealert(1)%3C/script%3E")
    return task


def ctl(*words):
    return subprocess.run([program("dindctl"), "--config", here["proxy"].config, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def browser():
    if not find():
        raise Skip("no Chromium: apt-get install --no-install-recommends chromium")
    return here["browser"]


BARS = """[...document.querySelectorAll("rect.bar")].map(b => {
    const r = b.getBoundingClientRect(), t = b.closest("svg").getBoundingClientRect();
    return {w: r.width, h: r.height, inside: r.left >= t.left - 1 && r.right <= t.right + 1, what: b.getAttribute("class"),
            name: b.closest(".row").querySelector("b").textContent};
})"""
TEXT = "document.body.innerText"


def looked_at(path):
    """The page is quiet: nothing is asked for, nothing complained of, nothing runs."""
    b = browser()
    b.open(path)
    equal(b.asked_for(), ["file://" + path], "requests")
    equal(b.complaints(), [], "complaints")
    equal(b.script("document.scripts.length + document.images.length + document.links.length"), 0, "scripts, images and links")
    equal(b.script("document.querySelectorAll('[style],[onload],[onerror],iframe,object,embed,form').length"), 0, "what the policy forbids")
    return b


@test("a task's builds, saves, uploads and refusals stand in its report, with bars, in a browser")
def in_browser():
    task = work()
    task.finish()
    page = here["dir"] + "/report.html"
    done = ctl("task", "report", task.id, "-o", page)
    equal((done.returncode, done.stdout, done.stderr), (0, "", ""))
    b = looked_at(page)
    text = b.script(TEXT)
    contains(text, task.task_id, "the build failed", "app:1, app:2", "registry.example.com/secret/base", "base-image", "container-run", "docker run is not available")
    contains(text, "GET /v1.41/%3Cscript%3Ealert(1)%3C/script%3E", IMAGE, "done")
    contains(text, *(i["id"] for i in task.show()["owned"] if i["names"]))
    bars = b.script(BARS)
    equal([(x["name"], x["what"]) for x in bars if "build" in x["what"]], [("app:1", "bar build"), ("bad:1", "bar build bad"), ("app:2", "bar build"), ("no:1", "bar build bad")])
    equal(sorted(x["what"] for x in bars if "build" not in x["what"]), ["bar export", "bar save", "bar upload"])
    ok(all(x["w"] >= 2 and x["h"] >= 8 and x["inside"] for x in bars), str(bars))
    task.end()
    alone = ctl("task", "report", "%s/0" % task.task_id)
    equal(alone.returncode, 0, alone.stderr)
    contains(alone.stderr, "from the audit log alone")
    contains(alone.stdout, "app:1, app:2", "not known to the service any more")


@test("declared as an artifact, it is made last, uploaded as text/html, and tells of the others")
def as_artifact():
    made = payload(**{IMAGE: "app:1", "public/none.tar": "none:1"})
    made["dind"]["artifacts"][REPORT] = {"report": True}
    task = here["proxy"].task(payload=made)
    equal(build(task, "app:1", "FROM busybox:1.36\nRUN echo 1 >/one\n").returncode, 0)
    artifacts = task.finish()
    equal({n: (a["state"], a.get("contentType")) for n, a in artifacts.items()}, {IMAGE: ("done", "application/zstd"), REPORT: ("done", "text/html"), "public/none.tar": ("failed", None)}, str(artifacts))
    report = artifacts[REPORT]
    ok("image" not in report and report["report"] is True, str(report))
    page = here["dir"] + "/artifact.html"
    shutil.copy(report["path"], page)
    with open(page, "rb") as f:
        raw = f.read()
    equal((len(raw), hashlib.sha256(raw).hexdigest()), (report["size"], report["sha256"]))
    text = raw.decode("ascii")
    contains(text, task.task_id, IMAGE, artifacts[IMAGE]["sha256"], "the task has no image &#39;none:1&#39;", "this page", REPORT)
    lacks(text, here["proxy"].dir)
    status, answer = here["proxy"].task().load(task.task_id, REPORT)
    equal(status, 400, "it is no image: %s" % answer)
    if find():
        contains(looked_at(page).script(TEXT), "this page")


@test("what is declared beside a report is refused with words")
def declared():
    for name, given, want in (
        ("public/a.tar", {"report": True}, "of a report must end in .html"),
        ("public/a.html", {"image": "app:1"}, "must end in .tar"),
        ("public/a.html", {"report": False}, "'payload.dind.artifacts['public/a.html'].report' must be true"),
        ("public/a.html", {"report": True, "image": "app:1"}, "must be left out beside 'report'"),
        ("public/logs/a.html", {"report": True}, "is reserved for the worker"),
        ("public/../a.html", {"report": True}, "must be a relative path"),
    ):
        made = {"features": {"dind": True}, "dind": {"artifacts": {name: given}}}
        status, answer = here["proxy"].control("POST", "/v1/tasks", {"taskId": slug(), "runId": 0, "payload": made})
        equal(status, 400, str(given))
        contains(answer["message"], want)


@test("it fits a small screen, paper, light and dark")
def shapes():
    b = browser()
    page = here["dir"] + "/report.html"
    b.open(page)
    colors = {}
    for width, scheme in ((1180, "light"), (1180, "dark"), (390, "light"), (320, "dark")):
        b.look(width, scheme)
        wide = b.script("document.documentElement.scrollWidth")
        ok(wide <= width, "%d pixels on a screen of %d" % (wide, width))
        cut = b.script("[...document.querySelectorAll('td,.name,h1')].filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display != 'inline-block').length")
        equal(cut, 0, "cells that are wider than their place")
        ok(all(x["w"] >= 1 and x["h"] >= 8 for x in b.script(BARS)), "bars on a screen of %d" % width)
        colors[scheme] = b.script("getComputedStyle(document.body).backgroundColor")
        b.picture("%s/%d-%s.png" % (here["dir"], width, scheme))
    ok(colors["light"] != colors["dark"], str(colors))
    pdf = b.paper()
    ok(pdf.startswith(b"%PDF") and len(pdf) > 10000, "it can be printed")


HOSTILE = [
    "<script>document.title='owned'</script>",
    "\"'><img src=http://127.0.0.1:9/x onerror=document.title='owned'>",
    "</style></title></head><body onload=document.title='owned'>",
    "<base href=http://127.0.0.1:9/><link rel=stylesheet href=x.css><meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "\u202egnp.exe\u2066\u200b\ufeff\u0085\u2028",
    "\x00\x1b[2J\x7f".replace("\x00", "\\u0000"),
]


@test("hostile text is text, wherever it stands")
def hostile():
    proxy = here["proxy"]
    task = proxy.task()
    path = "%s/audit/tasks/%s.jsonl" % (proxy.dir, task.id)
    with open(path, "w") as f:  # more than the front would ever let through
        for n, w in enumerate(HOSTILE):
            common = {"time": "2026-11-23T12:00:%02d.000Z" % n, "seq": n + 1, "task": w, "run": 0, "id": w, "conn": n, "req": 1}
            f.write(json.dumps({**common, "event": "decision", "decision": "deny", "rule": w, "reason": w, "method": w, "judged": w, "names": {"before": [w]}}) + "\n")
            f.write(json.dumps({**common, "event": "end", "rule": "build", "status": 200, "ms": 500, "close": w}) + "\n")
            f.write(json.dumps({**common, "event": "image", "what": "export-failed", "artifact": w, "reason": w}) + "\n")
        f.write("\x00\xff not a record\n")
    page = here["dir"] + "/hostile.html"
    done = ctl("task", "report", task.id, "-o", page)
    equal(done.returncode, 0, done.stderr)
    raw = open(page, "rb").read()
    equal([c for c in set(raw) if c > 0x7E or (c < 0x20 and c != 10)], [], "bytes that are not printable ASCII")
    b = looked_at(page)
    text = b.script(TEXT)
    contains(text, HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[3], "\\u{202e}gnp.exe\\u{2066}\\u{200b}")
    ok(b.script("document.title") != "owned", "nothing of it ran")
    ok(len(b.script(BARS)) == 2 * len(HOSTILE), "and the page is whole")


if __name__ == "__main__":
    main(setup)
