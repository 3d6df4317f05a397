"""Artifacts in a spool, as `dind-image export` leaves them."""
import base64
import hashlib
import json
import os

STATES = ("incoming", "ready", "uploading", "done", "failed")


def make_dirs(spool):
    for state in STATES:
        os.makedirs(os.path.join(spool, state), 0o700)


def session(task_id, run_id=0):
    """A task's namespace; not the one that dind-proxyd would choose."""
    return base64.b32encode(hashlib.sha256(("%s/%d" % (task_id, run_id)).encode()).digest()).decode()[:20].lower()


def spooled_id(of_session, name):
    return "%s-%s" % (of_session, hashlib.sha256(name.encode()).hexdigest()[:16])


def record_of(task_id, name, data, run_id=0, **more):
    sha256 = hashlib.sha256(data).hexdigest()
    record = {
        "taskId": task_id,
        "runId": run_id,
        "session": session(task_id, run_id),
        "name": name,
        "contentType": "application/zstd",
        "sha256": sha256,
        "sha512": hashlib.sha512(data).hexdigest(),
        "tarSha256": sha256,
        "imageId": "sha256:" + sha256,
        "image": "app:1",
        "created": "2026-11-24T16:07:11.000Z",
        "size": len(data),
        "tarSize": 10240,
        "layers": [],
    }
    return {key: value for key, value in {**record, **more}.items() if value is not None}


def seal(spool, record, data):
    """Puts it into ready/, with one rename; its id in the spool."""
    spooled = spooled_id(record["session"], record["name"])
    place = os.path.join(spool, "incoming", spooled)
    os.mkdir(place, 0o700)
    with open(place + "/data", "wb") as f:
        f.write(data)
    with open(place + "/record.json", "w") as f:
        json.dump(record, f)
    os.rename(place, os.path.join(spool, "ready", spooled))
    return spooled
