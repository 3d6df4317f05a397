"""The end of a task, at any moment of its builds, many times: nothing runs for it any more, and nothing of it stays.

Each task has one build in some phase when it is ended. Everything is compared with how it was before the first task:
images, containers, sockets, files, descriptors. Then the same while the engine dies and comes back.

The same run each time; DIND_SEED is another one, DIND_TASKS a longer one.
"""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import http.client
import json
import os
import random
import shutil
import signal
import threading
import time

from engine import Engine, UnixHTTP, children
from proxy import SLOW, Proxy
from script import answer, built, chunked_answer, context, image_id, line, wire
from tap import Failed, cleanup, contains, equal, main, ok, test, until

TASKS = int(os.environ.get("DIND_TASKS", "48"))
SEED = int(os.environ.get("DIND_SEED", "1"))  # the same run each time; another seed is another run
TOGETHER = 4  # tasks at a time
LATE = 60 * SLOW  # seconds until the engine of a busy machine has ended what it was told to end; printed, not asserted
here = {}


def setup():
    print("# DIND_SEED=%d DIND_TASKS=%d" % (SEED, TASKS))
    here["engine"] = Engine()
    cleanup(here["engine"].stop)
    here["engine"].start().image("busybox:1.36")
    here["proxy"] = Proxy(here["engine"].socket, **{"limits.hostBuilds": 64, "log.level": "info"})
    cleanup(here["proxy"].stop)
    here["proxy"].start()
    here["proxy"].task().end()  # what is made once is there now: directories, connections that stay
    here["before"] = footprint()


def footprint():
    """Everything that a task could leave behind."""
    engine, proxy = here["engine"], here["proxy"]
    files = []
    for part in ("run", "state", "spool"):
        for directory, _, names in os.walk(os.path.join(proxy.dir, part)):
            files += [os.path.join(directory, n) for n in names] + [directory]
    return {"images": engine.images(), "containers": engine.containers(), "files": sorted(files), "descriptors": descriptors()}


def descriptors():
    """{program: number} of dind-proxyd's processes."""
    pids = [here["proxy"].daemon.pid] + here["proxy"].children()
    return [sum(not is_log(pid, fd) for fd in os.listdir("/proc/%d/fd" % pid)) for pid in pids]


def is_log(pid, fd):
    """A task's own audit log, of which some stay open."""
    try:
        return "/audit/tasks/" in os.readlink("/proc/%d/fd/%s" % (pid, fd))
    except OSError:
        return False


# --- phases: each begins a build of a task and returns when it is there; what it returns is closed after the end


def connect(task, path, **fields):
    c = UnixHTTP(task.socket, 60 * SLOW)
    c.putrequest("POST", "/v1.41/build?" + path)
    c.putheader("Content-Type", "application/x-tar")
    for name, value in fields.items():
        c.putheader(name.replace("_", "-"), value)
    c.endheaders()
    return c


def begin(task, dockerfile, path="t=app:1", **files):
    body = context(dockerfile, **files)
    c = connect(task, path, Content_Length=str(len(body)))
    c.send(body)
    return c


def output(c):
    answer = c.getresponse()
    return answer.read().decode()


def uploading(task, random):
    """Part of the context is here."""
    c = connect(task, "t=app:1", Transfer_Encoding="chunked")
    body = context("FROM busybox:1.36\nCOPY big /\n", big=os.urandom(1 << 19))[: random.choice((0, 600, 70000, 400000))]
    if body:
        c.send(b"%x\r\n%s\r\n" % (len(body), body))
    return c


def running(task, random):
    """A step runs, perhaps after others."""
    c = begin(task, "FROM busybox:1.36\nLABEL of=%s\nRUN : %s; sleep 600\n" % (task.id, task.id))
    until(lambda: running_for(task), "the step runs", LATE)
    return c


def somewhere(task, random):
    """Any moment of a build of many short steps."""
    c = begin(task, "FROM scratch\nCOPY f /f\n" + "".join("LABEL s%d=%s\n" % (n, task.id) for n in range(8)), f=b"x")
    time.sleep(random.random() * 1.0)
    return c


def between(task, random):
    """Any moment of a build whose steps end at once."""
    c = begin(task, "FROM busybox:1.36\n" + "".join("RUN : %s %d\n" % (task.id, n) for n in range(3)))
    time.sleep(random.random() * 2.5)
    return c


def given_up(task, random):
    """The client went away in the middle; the task goes on for a moment."""
    somewhere(task, random).close()
    time.sleep(random.choice((0, 0.01, 0.1)))
    return begin(task, "FROM scratch\nLABEL after=%s\n" % task.id, "")


def done(task, random):
    """Images with names, without, built from each other."""
    contains(output(begin(task, "FROM busybox:1.36\nLABEL of=%s\n" % task.id)), "Successfully built")
    contains(output(begin(task, "FROM app:1\nLABEL next=1\n", random.choice(("t=app:1", "t=app:2&t=x/y:z", "")))), "Successfully built")
    equal(task.call("POST", "/images/app:1/tag?repo=other&tag=1"), (201, ""), "tag")


def failed(task, random):
    """Steps that went well before one that did not."""
    c = begin(task, "FROM busybox:1.36\nLABEL of=%s\nLABEL two=2\nRUN exit 3\n" % task.id)
    contains(output(c), "returned a non-zero code: 3")


def saving(task, random):
    """Part of a tarball is on its way."""
    output(begin(task, "FROM busybox:1.36\nCOPY big /\n", big=os.urandom(4 << 20)))
    c = UnixHTTP(task.socket, 60 * SLOW)
    c.request("GET", "/images/app:1/get")
    c.getresponse().read(70000)
    return c


PHASES = (uploading, running, somewhere, between, given_up, done, failed, saving)


def running_for(task):
    listed = here["engine"].call("GET", "/containers/json?all=1")[1]
    return [c["Id"] for c in listed if task.id in c["Command"]]


def names_of(task):
    return [n for names in here["engine"].images().values() for n in names if task.id in n]


def live_and_end(number):
    """One task, ended in one phase: seconds until nothing ran for it."""
    chance, phase = random.Random("%d/%d" % (SEED, number)), PHASES[number % len(PHASES)]
    task = here["proxy"].task()
    c = phase(task, chance)
    start = time.monotonic()
    answer = task.end()
    equal(answer["state"], "ended", "task %d (%s): %s" % (number, phase.__name__, answer))
    what = "task %d, ended in '%s', has nothing in the engine" % (number, phase.__name__)
    until(lambda: not running_for(task) and not names_of(task), what, LATE)
    seconds = time.monotonic() - start
    ok(not os.path.exists(task.socket), "the socket of task %d" % number)
    if c is not None:
        c.close()
    return phase.__name__, seconds


def work(numbers, function):
    """Runs function(number) for all numbers, some at a time; the first failure is raised at the end."""
    waiting, results, bad, lock = list(numbers), [], [], threading.Lock()

    def worker():
        while True:
            with lock:
                if not waiting or bad:
                    return
                number = waiting.pop(0)
            try:
                result = function(number)
                with lock:
                    results.append(result)
            except Exception as e:
                with lock:
                    bad.append(e)

    threads = [threading.Thread(target=worker) for _ in range(TOGETHER)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if bad:
        raise bad[0]
    return results


def not_more(now, before):
    """Descriptors that were lingering when we began may have gone; all else is the same."""
    fewer = all(a <= b for a, b in zip(now["descriptors"], before["descriptors"]))
    return fewer and {**now, "descriptors": 0} == {**before, "descriptors": 0}


def end_all():
    for one in here["proxy"].good("GET", "/v1/tasks"):
        here["proxy"].control("DELETE", "/v1/tasks/" + one["id"], timeout=LATE)


def nothing_left():
    """As it was before the first task; descriptors may close a moment later."""
    before = here["before"]
    try:
        until(lambda: not_more(footprint(), before), "", LATE, every=0.1)
    except Failed:
        now = footprint()
        for part, want in before.items():
            equal(now[part], want, part + " at the end")
    equal(here["proxy"].good("GET", "/v1/tasks"), [], "tasks")


@test("a task that is ended at any moment of its builds leaves nothing, at once")
def ends():
    cleanup(end_all)
    results = work(range(TASKS), live_and_end)
    for phase in PHASES:
        times = sorted(s for name, s in results if name == phase.__name__)
        print("# %-10s %3d ended, nothing ran after %.2f s (median), %.2f s (most)" % (phase.__name__, len(times), times[len(times) // 2], times[-1]))
    nothing_left()


@test("a task with more names than one round of cleaning takes leaves none")
def many_names():
    cleanup(end_all)
    task = here["proxy"].task()
    output(begin(task, "FROM busybox:1.36\nLABEL of=%s\n" % task.id))
    here["engine"].call("POST", "/images/%sdocker.io/library/app:1/tag?repo=host.example/kept&tag=1" % task.prefix)
    for n in range(150):
        equal(task.call("POST", "/images/app:1/tag?repo=many&tag=%d" % n)[0], 201, "tag")
    equal(task.end()["state"], "ended", "state")
    equal(names_of(task), [], "names in the engine")
    here["engine"].call("DELETE", "/images/host.example/kept:1")
    nothing_left()


@test("the engine dies while tasks are ended and comes back: the cleaning goes on by itself")
def engine_dies():
    cleanup(end_all)
    tasks = [here["proxy"].task() for _ in range(12)]

    def prepare(n):
        phase = (done, failed, uploading, somewhere, done, given_up)[n % 6]
        return phase(tasks[n], random.Random("%d/dies/%d" % (SEED, n)))

    work(range(len(tasks)), prepare)
    kept = here["proxy"].task()
    output(begin(kept, "FROM busybox:1.36\nLABEL of=%s\n" % kept.id))
    killer = threading.Timer(0.1, kill_engine)
    killer.start()
    answers = work(range(len(tasks)), lambda n: here["proxy"].control("DELETE", tasks[n].path, timeout=LATE)[1]["state"])
    killer.join()
    ok(set(answers) <= {"ended", "cleaning"}, "states: %s" % answers)
    print("# %d of %d tasks were still being cleaned when the engine died" % (answers.count("cleaning"), len(tasks)))
    here["engine"].start()
    until(lambda: len(here["proxy"].good("GET", "/v1/tasks")) == 1, "all tasks are cleaned up", 4 * LATE, every=0.2)
    left = [n for names in here["engine"].images().values() for n in names if any(t.id in n for t in tasks)]
    equal(left, [], "names of the ended tasks")
    equal(kept.call("GET", "/images/app:1/json")[0], 200, "the image of the task that goes on")
    kept.end()
    nothing_left()


def kill_engine():
    """As a power cut would end it, with all that runs in it; its data stays, but for what is in /run."""
    for pid in children(here["engine"].process.pid) + [here["engine"].process.pid]:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    here["engine"].process.wait()
    os.unlink(here["engine"].socket)
    os.unlink(os.path.join(here["engine"].dir, "pid"))
    shutil.rmtree(os.path.join(here["engine"].dir, "exec"), ignore_errors=True)


@wire("what the engine says after a build was cancelled is learned, and the end of the task waits for it")
def last_words(rig):
    c = rig.ask("POST", "/v1.41/build?t=app:1", body=context("FROM scratch\nLABEL a=b\nLABEL c=d\n"))
    e = rig.engine.expect("POST", "/build")
    e.read()
    e.send(chunked_answer(line(stream=" ---> 0123456789ab\n"), end=False))
    until(lambda: c.fill() and b"0123456789ab" in c.buffer, "the client sees the step")
    c.drop()
    e.ended()  # half-closed: the engine cancels, but the build was through already
    rest = chunked_answer(*built(image_id("c"), rig.task.prefix + "docker.io/library/app:1"))
    e.send(rest.partition(b"\r\n\r\n")[2])
    named = [{"id": image_id("c"), "names": ["app:1"]}]
    until(lambda: rig.task.show()["owned"] == named, "the image and its name are recorded")
    until(lambda: rig.task.show()["now"]["builds"] == 0, "it counts no more")
    c = rig.ask("POST", "/v1.41/build?t=app:2", body=context())
    e = rig.engine.expect("POST", "/build")
    e.read()
    ending = threading.Thread(target=rig.task.end)
    ending.start()
    e.ended()
    ok(not any("/images/json" in first for first in rig.engine.seen), "nothing is cleaned while the build is not over")
    e.send(answer(500, {"message": "cancelled"}))
    e.close()
    swept = rig.engine.expect("GET", "/images/json")
    swept.send(answer(200, []))
    swept.close()
    ending.join()


@wire("an image in the making of another task, on the same base, is not cleaned with a task that ends")
def neighbours_step(rig):
    base, own, step, foreign = (image_id(c) for c in "bcde")  # the scripted engine's busybox is b
    c = rig.ask("POST", "/v1.41/build", body=context("FROM busybox:1.36\nLABEL a=b\nLABEL c=d\n"))
    e = rig.engine.expect("POST", "/build")
    e.read()
    e.send(chunked_answer(*(line(stream=" ---> %s\n" % i[7:19]) for i in (base, step, own)), line(aux={"ID": own})))
    e.close()
    equal(c.answer().status, 200, "status")
    ending = threading.Thread(target=rig.task.end)
    ending.start()

    def image(number, parent, *names):
        return {"Id": number, "ParentId": parent, "RepoTags": list(names) or None, "Created": int(time.time()), "Size": 1}

    listed = [image(foreign, base), image(own, step), image(step, base), image(base, "", "busybox:1.36")]
    asked = []

    def answers():
        """The engine's part of it, as long as the cleaning goes on; lists are asked for by others, too."""
        got, e = rig.engine._next() or (None, None)
        if e is not None:
            asked.append(e.request.first)
            gone = [i["Id"] for i in listed if any("DELETE" in one and i["Id"][7:] in one for one in asked)]
            e.send(answer(201) if e.request.method == "POST" else answer(200, [i for i in listed if i["Id"] not in gone] if got == "/images/json" else []))
            e.close()
        return not ending.is_alive()

    until(answers, "the cleaning is over", LATE)
    for kept in (base, foreign):
        ok(not any(kept[7:] in one for one in asked), "%s is left alone: %s" % (kept, asked))
    ok(any(step[7:] in one for one in asked), "its own step is cleaned: %s" % asked)


main(setup)
