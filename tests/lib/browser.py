"""A headless Chromium, spoken to over a pipe (DevTools protocol): pages are loaded, and asked how they look and what they did."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from tap import Failed, cleanup

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def find():
    """The browser's path, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="dind-browser.", dir="/tmp")
        cleanup(shutil.rmtree, self.dir, True)
        ours, theirs = os.pipe(), os.pipe()  # it reads commands from 3, and writes to 4
        words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-background-networking"]
        words += ["--disable-component-update", "--disable-sync", "--remote-debugging-pipe", "--user-data-dir=" + self.dir + "/profile", "about:blank"]

        def wire():
            # what goes to 3 may itself be 4
            read, write = os.dup(ours[0]), os.dup(theirs[1])
            os.dup2(read, 3)
            os.dup2(write, 4)

        with open(self.dir + "/log", "wb") as log:
            self.process = subprocess.Popen([find(), *words], preexec_fn=wire, close_fds=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        os.close(ours[0])
        os.close(theirs[1])
        self.to, self.back = ours[1], theirs[0]
        cleanup(self.stop)
        self.number, self.rest, self.events = 0, b"", []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = None
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    session = None

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        os.close(self.to)
        os.close(self.back)

    def _read(self, until):
        """The next message."""
        while b"\0" not in self.rest:
            left = until - time.monotonic()
            ready = left > 0 and select.select([self.back], [], [], left)[0]
            data = os.read(self.back, 1 << 20) if ready else b""
            if not data:
                raise Failed("the browser does not answer:\n" + open(self.dir + "/log", errors="replace").read()[-2000:])
            self.rest += data
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + 60
        while True:
            answer = self._read(until)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise Failed("%s: %s" % (method, answer["error"]))
                return answer["result"]
            self.events.append(answer)

    def open(self, path):
        """Loads a file; returns when it is loaded."""
        self.events = []
        self.call("Page.navigate", url="file://" + path)
        until = time.monotonic() + 60
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self._read(until))

    def script(self, text):
        """The value of a piece of JavaScript: ours, the page's policy does not hold for it."""
        result = self.call("Runtime.evaluate", expression=text, returnByValue=True)
        if "exceptionDetails" in result:
            raise Failed("%s: %s" % (text, result["exceptionDetails"]))
        return result["result"].get("value")

    def asked_for(self):
        """URLs of all requests since open()."""
        return [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]

    def complaints(self):
        """What stands in the console."""
        names = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Page.javascriptDialogOpening")
        return [e for e in self.events if e.get("method") in names]

    def look(self, width, scheme="light", media="screen"):
        """From here on the window is so wide, and so on."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path):
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    def paper(self):
        """The page as PDF."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])
