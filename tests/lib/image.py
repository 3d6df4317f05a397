"""dind-image by itself, as dind-proxyd starts it: a job on standard input, an engine's connection as descriptor 3."""
import hashlib
import json
import os
import socket
import subprocess
import tempfile

from proxy import SLOW, program

NS = "abcdefghijklmnop2345"
SAVE = "GET /images/get?names=%s HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"
LOAD = "POST /images/load?quiet=1 HTTP/1.1\r\nHost: docker\r\nConnection: close\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n"
STATES = ("incoming", "ready", "uploading", "done", "failed")


def run(verb, path, head, job, seconds=300):
    """The last event."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(head.encode())
        done = subprocess.run(
            ["sh", "-c", 'exec 3<&%d; exec "$0" "$1"' % s.fileno(), program("dind-image"), verb],
            input=json.dumps(job).encode(),
            stdout=subprocess.PIPE,
            pass_fds=[s.fileno()],
            timeout=seconds * SLOW,
        )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return events[-1] if events else {"event": "nothing", "status": done.returncode}


def export(engine, name, path, image_id=None, artifact="public/image.tar.zst", tags=("app:1",)):
    """Exports an image of an engine to a file: the last event, whose fields are those of record.json."""
    with tempfile.TemporaryDirectory(prefix="dind-spool.", dir=os.path.dirname(path)) as spool:
        for state in STATES:
            os.mkdir(os.path.join(spool, state), 0o700)
        job = {"spool": spool, "session": NS, "taskId": "t", "runId": 0, "name": artifact, "contentType": "application/zstd", "expires": None}
        job.update(imageId=image_id, image=tags[0], tags=list(tags), level=0, maxBytes=0)
        last = run("export", engine.socket, SAVE % name, job)
        if last["event"] == "done":
            os.rename(os.path.join(spool, "ready", last["id"], "data"), path)
    return last


def load(engine, path, tag, image_id=None, have=None, most=0):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while piece := f.read(1 << 20):
            digest.update(piece)
    job = {"source": {"path": path}, "name": os.path.basename(path), "sha256": digest.hexdigest(), "size": os.path.getsize(path), "imageId": image_id}
    job.update(tag=tag, maxBytes=most)
    if have is not None:
        job["have"] = have
    return run("load", engine.socket, LOAD, job)


def index(path):
    """The index of an artifact in zstd form, read as include/archive/frames.h says; None when there is none."""
    with open(path, "rb") as f:
        f.seek(max(0, os.path.getsize(path) - 65536))
        tail = f.read()
    if tail[-8:] != b"dindfrm1":
        return None
    return json.loads(tail[-16 - int.from_bytes(tail[-16:-8], "little") : -16])


def without(path, have, into):
    """A copy of an artifact that lacks the layers of have (a chain that the image begins with)."""
    i = index(path)
    kept = [d for d, h in zip(i["layers"], have) if d == h]
    with open(path, "rb") as f, open(into, "wb") as out:
        for row in i["frames"]:
            if row["diffId"] is None or row["diffId"] not in kept or row["diffId"] in i["layers"][len(kept) :]:
                f.seek(row["offset"])
                out.write(f.read(row["size"]))
    return into
