"""TAP for end-to-end tests: a file is a list of functions, each one test.

    from tap import test, main, equal, contains
    @test("an early answer survives the upload")
    def early_answer(): ...
    main()

A test fails by raising (Failed for a check, anything else for an accident), is skipped by raising Skip, and may leave
work for later with cleanup(). `FILE.py word...` runs only the tests whose name has one of the words.
"""
import os
import signal
import sys
import time
import traceback

_tests = []
_cleanups = []


class Failed(Exception):
    pass


class Skip(Exception):
    pass


def test(name):
    def keep(function):
        _tests.append((name, function))
        return function

    return keep


def cleanup(function, *args):
    """Calls function(*args) when the test (or, outside of one, the file) ends; last in, first out."""
    _cleanups.append((function, args))


def ok(good, text):
    if not good:
        raise Failed(text)


def equal(got, want, text="value"):
    if got != want:
        raise Failed("%s\n got: %s\nwant: %s" % (text, _short(got), _short(want)))


def contains(text, *parts):
    for part in parts:
        if part not in text:
            raise Failed("%s is not in: %s" % (_short(part), _short(text, 4000)))


def lacks(text, *parts):
    for part in parts:
        if part in text:
            raise Failed("%s must not be in: %s" % (_short(part), _short(text, 4000)))


def until(fact, text, seconds=10, every=0.02):
    """Waits until fact() is true and returns it; a wait for an event that has no descriptor to wait on."""
    end = time.monotonic() + seconds
    while True:
        value = fact()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed("not within %g s: %s" % (seconds, text))
        time.sleep(every)


def _short(value, most=1200):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= most else text[: most // 2] + " [...] " + text[-most // 2 :]


def _say(text):
    for line in text.rstrip("\n").split("\n"):
        print("# " + line.encode("ascii", "backslashreplace").decode())


def _run_cleanups(keep=0):
    good = True
    while len(_cleanups) > keep:
        function, args = _cleanups.pop()
        try:
            function(*args)
        except Exception as e:  # the others must still run
            _say("cleanup: " + (str(e) if isinstance(e, Failed) else traceback.format_exc()))
            good = False
    return good


def _run(number, name, function):
    mark, note = len(_cleanups), None
    verdict, start = "ok", time.monotonic()
    try:
        function()
    except Skip as e:
        note = " # SKIP " + str(e)
    except Failed as e:
        verdict = "not ok"
        where = traceback.extract_tb(e.__traceback__)[1:]
        here = [f for f in where if not f.filename.endswith(os.sep + "tap.py")]
        _say("%s at %s" % (e, ", ".join("%s:%d" % (os.path.basename(f.filename), f.lineno) for f in here)))
    except Exception:
        verdict = "not ok"
        _say(traceback.format_exc())
    if not _run_cleanups(mark):
        verdict = "not ok"
    print("%s %d - %s%s" % (verdict, number, name, note or " (%.1f s)" % (time.monotonic() - start)))
    sys.stdout.flush()
    return verdict == "ok"


def skip_all(reason):
    print("1..0 # SKIP " + reason)
    sys.exit(0)


def main(setup=None):
    """Runs setup(), then every test; prints the plan; exits 1 on any failure."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # clean up then, too
    words = sys.argv[1:]
    chosen = [t for t in _tests if not words or any(w in t[0] for w in words)]
    good, count = True, 0
    try:
        if setup:
            setup()
        for count, (name, function) in enumerate(chosen, 1):
            good = _run(count, name, function) and good
    except Skip as e:
        _run_cleanups()
        skip_all(str(e))
    except Failed as e:
        _say("set-up: " + str(e))
        count, good = count + 1, False
        print("not ok %d - set-up" % count)
    finally:
        clean = _run_cleanups()
    if not clean:
        count, good = count + 1, False
        print("not ok %d - clean-up of the file" % count)
    print("1..%d" % count)
    sys.exit(0 if good else 1)
