"""What matrix.py lets docker-py do: SOCKET CONTEXT."""
import io
import json
import sys
import tarfile

import docker
import docker.errors

socket, context = sys.argv[1:]
client = docker.DockerClient(base_url="unix://" + socket, version="auto")


def show(what, value):
    print("%s: %s" % (what, json.dumps(value, sort_keys=True, default=str, indent=1)))


def fails(what, function, *args, **more):
    try:
        function(*args, **more)
        print("%s: no error" % what)
    except (docker.errors.APIError, docker.errors.BuildError) as e:
        print("%s: %s %s" % (what, type(e).__name__, getattr(e, "explanation", None) or getattr(e, "msg", e)))


show("ping", client.ping())
show("version", client.version()["Version"])
image, log = client.images.build(path=context, tag="py:1", nocache=True, rm=True)
show("log", list(log))
fails("failing build", client.images.build, path=context, dockerfile="Failing", nocache=True, rm=True, forcerm=True)
image.tag("example.com/team/py", "2")
image.reload()
show("image", image.attrs)
show("list", sorted(t for i in client.images.list() for t in i.tags if "busybox" not in t))
show("named", sorted(t for i in client.images.list(name="py") for t in i.tags))
show("history", [[h["CreatedBy"], h["Size"]] for h in image.history()])
with tarfile.open(fileobj=io.BytesIO(b"".join(image.save(named="py:1")))) as t:
    show("saved", json.load(t.extractfile("manifest.json"))[0]["RepoTags"])
fails("unknown image", client.images.get, "no-such-image:1")
fails("unknown tag", client.api.tag, "no-such-image:1", "x")
show("removed", client.api.remove_image("example.com/team/py:2"))
client.images.remove("py:1")
fails("removed image", client.images.get, "py:1")
