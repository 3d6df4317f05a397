"""Exported images: what they are, and that all engines and stock tools take them, whole and in parts.

Engines: Debian's 20.10, 26 and 28 with graph drivers, and 28 with the containerd store. One that cannot be had here is
skipped.
"""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile

import image
from engine import Engine, EngineError
from tap import Skip, cleanup, contains, equal, lacks, main, ok, test

KINDS = {
    "20.10": ("bookworm", {}),
    "26": ("trixie", {}),
    "28": ("sid", {}),
    "28 containerd": ("sid", {"features": {"containerd-snapshotter": True}}),
}
CONTAINERD = "28 containerd"
SHELL_LAYERS = 'FROM busybox:1.36\nCOPY big /big\nRUN true\nRUN true\n'
APP = 'FROM base:1\nCOPY new /new\nRUN true\nRUN echo made >/made\nRUN rm /big\nCMD ["cat", "/new", "/made"]\n'
BIG = 3 * 1024 * 1024
here = {"engines": {}, "artifacts": {}, "why": {}}


def setup():
    here["dir"] = tempfile.mkdtemp(prefix="dind-archive.")
    cleanup(shutil.rmtree, here["dir"], True)
    here["big"] = os.urandom(BIG // 2) * 2
    for kind in KINDS:
        start(kind)


def start(kind):
    """An engine of that kind, with app:1 upon base:1."""
    try:
        e = Engine(version=KINDS[kind][0], config=KINDS[kind][1])
        cleanup(e.stop)
        e.start().image("busybox:1.36")
    except EngineError as problem:
        here["why"][kind] = "no engine %s here: %s" % (kind, str(problem).strip()[-200:].replace("\n", " "))
        return
    build(e, "base:1", SHELL_LAYERS, big=here["big"])
    build(e, "app:1", APP, new=b"hello\n")
    here["engines"][kind] = e


def path(name):
    return os.path.join(here["dir"], name.replace(" ", "-"))


def engine(kind):
    if kind in here["why"]:
        raise Skip(here["why"][kind])
    return here["engines"][kind]


def build(e, name, dockerfile, **files):
    with tempfile.TemporaryDirectory(prefix="dind-context.") as context:
        for file, data in dict(files, Dockerfile=dockerfile.encode()).items():
            with open(os.path.join(context, file), "wb") as f:
                f.write(data)
        done = e.docker("build", "--network=none", "-t", name, context, env={"DOCKER_BUILDKIT": "0"}, program="/usr/bin/docker")
    ok(done.returncode == 0, done.stdout)


def inspect(e, name):
    status, answer = e.call("GET", "/images/%s/json" % name)
    return answer if status == 200 else None


def artifact(kind, name="app:1"):
    """An image of that engine as artifact, made once: (last event, file)."""
    key = kind, name
    if key not in here["artifacts"]:
        file = path("%s-%s.tar.zst" % key)
        last = image.export(engine(kind), name, file, inspect(engine(kind), name)["Id"], tags=(name,))
        equal(last["event"], "done", json.dumps(last))
        here["artifacts"][key] = last, file
    return here["artifacts"][key]


def unpacked(file):
    """The tar in an artifact, by the stock tool."""
    done = subprocess.run(["zstd", "-dqc", file], capture_output=True)
    ok(done.returncode == 0, done.stderr)
    return done.stdout


def forget(e, *names):
    for name in names:
        e.call("DELETE", "/images/%s?force=1" % name)


def each(title, kinds=KINDS):
    """A test for each kind of engine."""

    def keep(function):
        for kind in kinds:
            test(title % kind)(lambda kind=kind: function(kind))
        return function

    return keep


@each("an artifact of engine %s is a tarball for stock tools, with an index of its layers")
def form(kind):
    last, file = artifact(kind)
    ok(subprocess.call(["zstd", "-tq", file]) == 0, "zstd -t")
    tar = unpacked(file)
    equal(hashlib.sha256(tar).hexdigest(), last["tarSha256"], "sha256 of the tarball")
    index, data = image.index(file), open(file, "rb").read()
    equal(index["imageId"], last["imageId"])
    equal(index["layers"], inspect(engine(kind), "app:1")["RootFS"]["Layers"], "layers")
    at = 0
    for row in index["frames"]:
        frame = data[row["offset"] : row["offset"] + row["size"]]
        equal(row["offset"], at, "frames lie one behind the other")
        equal(hashlib.sha256(frame).hexdigest(), row["sha256"], "sha256 of a frame")
        alone = subprocess.run(["zstd", "-dqc"], input=frame, capture_output=True).stdout
        equal(len(alone), row["tarSize"], "size of a frame")
        at += row["size"]
    members = tarfile.open(fileobj=io.BytesIO(tar)).getmembers()
    equal([m.name for m in members][-2:], ["manifest.json", "repositories"], "metadata is last")
    ok(all(m.isfile() and m.uid == m.gid == m.mtime == 0 for m in members), "nothing but files of nobody's time")
    ok(len(data) - at < 65536, "the index is in the tail")


@each("an artifact of engine %s has one image with the names that were typed")
def names(kind):
    last, file = artifact(kind)
    tar = tarfile.open(fileobj=io.BytesIO(unpacked(file)))
    manifest = json.load(tar.extractfile("manifest.json"))
    equal(len(manifest), 1)
    equal(manifest[0]["RepoTags"], ["app:1"])
    equal(list(json.load(tar.extractfile("repositories"))), ["app"])
    lacks(tar.getnames(), "index.json", "oci-layout")
    equal("sha256:" + hashlib.sha256(tar.extractfile(manifest[0]["Config"]).read()).hexdigest(), last["imageId"])
    for layer in manifest[0]["Layers"]:
        ok(tar.getmember(layer).isfile(), layer)


@each("the same image of engine %s gives the same bytes")
def deterministic(kind):
    last, file = artifact(kind)
    e = engine(kind)
    again = image.export(e, "app:1", path("again"), tags=("app:1",))
    equal(again["sha256"], last["sha256"], "sha256 of a second export")
    e.call("POST", "/images/app:1/tag?repo=other&tag=2")
    cleanup(forget, e, "other:2")
    by_other_name = image.export(e, "other:2", path("again"), tags=("app:1",))
    equal(by_other_name["sha256"], last["sha256"], "sha256 of an export by another name")
    for ending in ("tar", "tar.gz", "tar.lz4"):
        sums = {image.export(e, "app:1", path("again"), artifact="a." + ending, tags=("app:1",))["sha256"] for _ in range(2)}
        equal(len(sums), 1, "sums of two exports as " + ending)


@test("what engines have in common is the same in their artifacts")
def across_engines():
    """28 has its layers by digest, 20.10 by an id of its own; the config of an image loaded elsewhere stays."""
    last, file = artifact("28")
    sums = {}
    for kind in ("26", "28"):
        e = engine(kind)
        equal(image.load(e, file, "dind.invalid/images/x:1", last["imageId"])["event"], "done")
        cleanup(forget, e, "dind.invalid/images/x:1")
        sums[kind] = {r["diffId"]: r["sha256"] for r in frames_of(e, "dind.invalid/images/x:1")}
    equal(sums["26"], sums["28"], "frames of one image in two engines")


def frames_of(e, name):
    equal(image.export(e, name, path("frames"), tags=("app:1",))["event"], "done")
    return [r for r in image.index(path("frames"))["frames"] if r["diffId"]]


@each("an artifact of engine %s passes skopeo inspect and skopeo copy")
def skopeo(kind):
    last, file = artifact(kind)
    tar = path("skopeo.tar")
    with open(tar, "wb") as f:
        f.write(unpacked(file))
    done = subprocess.run(["skopeo", "inspect", "docker-archive:" + tar], capture_output=True, text=True)
    ok(done.returncode == 0, done.stderr)
    layers = json.loads(done.stdout)["Layers"]
    equal(len(layers), len(last["layers"]))
    into = path("skopeo-out")
    cleanup(shutil.rmtree, into, True)
    done = subprocess.run(["skopeo", "copy", "-q", "docker-archive:" + tar, "oci:%s:x" % into], capture_output=True, text=True)
    ok(done.returncode == 0, done.stderr)


@each("an artifact of engine %s loads in podman")
def podman(kind):
    if not shutil.which("podman"):
        raise Skip("podman is not installed")
    last, file = artifact(kind)
    root = path("podman")
    words = ["podman", "--root", root, "--runroot", root + "-run", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]
    cleanup(shutil.rmtree, root, True)
    cleanup(shutil.rmtree, root + "-run", True)
    info = subprocess.run(words + ["info"], capture_output=True, text=True)
    if info.returncode != 0:
        raise Skip("podman does not run here: " + info.stderr.strip()[-200:])
    with open(path("podman.tar"), "wb") as f:
        f.write(unpacked(file))
    done = subprocess.run(words + ["load", "-q", "-i", path("podman.tar")], capture_output=True, text=True)
    ok(done.returncode == 0, done.stderr)
    got = subprocess.run(words + ["image", "inspect", "app:1"], capture_output=True, text=True)
    equal("sha256:" + json.loads(got.stdout)[0]["Id"], last["imageId"])


@each("every engine's artifact loads in engine %s with its own docker load")
def docker_load(kind):
    e = engine(kind)
    for source in KINDS:
        if source in here["why"]:
            continue
        last, file = artifact(source)
        with open(path("load.tar"), "wb") as f:
            f.write(unpacked(file))
        name = inspect(e, "app:1")["Id"]
        done = e.docker("load", "-i", path("load.tar"), program="/usr/bin/docker")
        ok(done.returncode == 0, done.stdout)
        got = inspect(e, "app:1")
        equal(got["RootFS"]["Layers"], [l["diffId"] for l in last["layers"]], "layers of %s" % source)
        ok(kind == CONTAINERD or got["Id"] == last["imageId"], "its id")
        runs(e, "app:1")
        e.call("POST", "/images/%s/tag?repo=app&tag=1" % name)


def runs(e, name):
    done = e.docker("run", "--rm", "--network=none", name, program="/usr/bin/docker")
    equal((done.returncode, done.stdout), (0, "hello\nmade\n"), "what the image does")


@each("every engine's artifact loads in engine %s with dind-image, which knows the id")
def dind_load(kind):
    e = engine(kind)
    for source in KINDS:
        if source in here["why"]:
            continue
        last, file = artifact(source)
        tag = "dind.invalid/images/%s:latest" % source.replace(" ", "-")
        cleanup(forget, e, tag)
        got = image.load(e, file, tag, last["imageId"])
        equal(got["event"], "done", json.dumps(got))
        known = got["manifestId"] if kind == CONTAINERD else got["imageId"]
        equal(got["imageId"], last["imageId"])
        equal(inspect(e, tag)["Id"], known, "id of %s" % source)
        equal([t for t in inspect(e, tag)["RepoTags"] if t.startswith("dind")], [tag])
        runs(e, tag)


@test("Python's zstandard, which taskgraph uses, reads all frames")
def python_zstandard():
    """Its documentation says that stream_reader() stops behind the first frame unless read_across_frames is given."""
    try:
        import zstandard
    except ImportError:
        raise Skip("python3-zstandard is not installed")
    last, file = artifact("20.10")
    with open(file, "rb") as f, zstandard.ZstdDecompressor().stream_reader(f, read_across_frames=True) as r:
        names = tarfile.open(mode="r|", fileobj=r, bufsize=zstandard.DECOMPRESSION_RECOMMENDED_OUTPUT_SIZE).getnames()
    equal(names[-2:], ["manifest.json", "repositories"], "the last members")
    with open(file, "rb") as f, zstandard.ZstdDecompressor().stream_reader(f) as r:
        equal(sum(map(len, iter(lambda: r.read(131072), b""))), last["tarSize"], "bytes when it is not given (zstandard %s)" % zstandard.__version__)


def tar_of(*entries):
    """A layer: entries are (name, changes of the TarInfo) or bytes that go in as they are."""
    out = io.BytesIO()
    for entry in entries:
        if isinstance(entry, bytes):
            out.write(entry)
            continue
        info = tarfile.TarInfo(entry[0])
        for key, value in entry[1].items():
            setattr(info, key, value)
        out.write(info.tobuf(tarfile.PAX_FORMAT if info.pax_headers else tarfile.GNU_FORMAT))
    return out.getvalue() + bytes(1024)


def image_of(layer, config=None, manifest=None, behind=b"", **members):
    """A tarball of one image with one layer; members are those before the metadata, by name."""
    diff = hashlib.sha256(layer).hexdigest()
    config = config or json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["x"]}, "rootfs": {"type": "layers", "diff_ids": ["sha256:" + diff]}}).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    files = {diff + ".tar": layer, **members, name: config}
    files["manifest.json"] = json.dumps(manifest(name, diff) if manifest else [{"Config": name, "RepoTags": ["evil:1"], "Layers": [diff + ".tar"]}]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue() + behind


GOOD = tar_of(("etc", {"type": tarfile.DIRTYPE, "mode": 0o755}), ("bin/su", {"mode": 0o4755}), ("dev/null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}))
SPARSE = bytearray(tarfile.TarInfo("huge").tobuf(tarfile.GNU_FORMAT))
SPARSE[156:157] = b"S"
SPARSE[483:495] = b"77777777777\0"  # its real size
SPARSE[148:156] = b" " * 8
SPARSE[148:156] = b"%06o\0 " % sum(SPARSE)
SPARSE = bytes(SPARSE)
HOSTILE = {  # by name: a tarball, and the rule that refuses it
    "two images": (image_of(GOOD, manifest=lambda c, d: [{"Config": c, "RepoTags": ["evil:1"], "Layers": [d + ".tar"]}] * 2), "image-manifest"),
    "a key in another case": (image_of(GOOD, manifest=lambda c, d: [{"Config": c, "repotags": ["evil:1"], "Layers": [d + ".tar"]}]), "image-manifest"),
    "a layer outside": (image_of(GOOD, manifest=lambda c, d: [{"Config": c, "Layers": ["../../etc/hostname"]}]), "image-layer"),
    "a config outside": (image_of(GOOD, manifest=lambda c, d: [{"Config": "../../etc/hostname", "Layers": [d + ".tar"]}]), "image-config"),
    "an unknown member": (image_of(GOOD, **{"../x": b"x"}), "image-member"),
    "something behind the end": (image_of(GOOD, behind=b"x" * 512), "image-tar"),
    "a second tarball": (image_of(GOOD) + image_of(GOOD), "image-tar"),
    "a stowaway": (image_of(GOOD, **{"a" * 64 + ".tar": GOOD}), "image-member"),
    "a layer that is no tar": (image_of(b"x" * 2048), "image-contents"),
    "a way out": (image_of(tar_of(("../../tmp/x", {}))), "image-contents"),
    "a link to a way out": (image_of(tar_of(("a", {"type": tarfile.LNKTYPE, "linkname": "../../etc/shadow"}))), "image-contents"),
    "a disk": (image_of(tar_of(("sda", {"type": tarfile.BLKTYPE, "devmajor": 8, "devminor": 0}))), "image-contents"),
    "dev/mem": (image_of(tar_of(("mem", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 1}))), "image-contents"),
    "a whiteout of all": (image_of(tar_of((".wh...", {}))), "image-contents"),
    "a redirect of overlayfs": (image_of(tar_of(("a", {"type": tarfile.DIRTYPE, "pax_headers": {"SCHILY.xattr.trusted.overlay.redirect": "/x"}}))), "image-contents"),
    "a sparse file": (image_of(tar_of(SPARSE)), "image-contents"),
}


@each("hostile tarballs leave engine %s as it was")
def hostile(kind):
    e = engine(kind)
    before = e.images()
    for name, (data, rule) in HOSTILE.items():
        with open(path("hostile.tar"), "wb") as f:
            f.write(data)
        got = image.load(e, path("hostile.tar"), "dind.invalid/images/hostile:1")
        equal((got["event"], got.get("rule")), ("error", rule), "%s: %s" % (name, got.get("message")))
    equal(e.images(), before, "images")
    with open(path("hostile.tar"), "wb") as f:
        f.write(image_of(GOOD))
    got = image.load(e, path("hostile.tar"), "dind.invalid/images/hostile:1")
    cleanup(forget, e, "dind.invalid/images/hostile:1")
    equal(got["event"], "done", "without the trick it loads: %s" % got.get("message"))
    equal([t for t in inspect(e, "dind.invalid/images/hostile:1")["RepoTags"] if "evil" in t], [], "names")


def emptied(kind):
    """The engine without any image; the artifacts of all are made. For the last tests: its images do not come back."""
    for source in KINDS:
        if source not in here["why"]:
            artifact(source), artifact(source, "base:1")
    e = engine(kind)
    for i in e.images():
        e.call("DELETE", "/images/%s?force=1" % i)
    e.call("POST", "/images/prune?filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D")
    equal(e.images(), {}, "images")
    return e


@each("only the layers that engine %s lacks are needed", [k for k in KINDS if k != CONTAINERD])
def in_parts(kind):
    e = emptied(kind)
    for source in [k for k in KINDS if k not in here["why"]]:
        base, base_file = artifact(source, "base:1")
        last, file = artifact(source)
        have = [l["diffId"] for l in base["layers"]]
        part = image.without(file, have, path("part"))
        ok(os.path.getsize(part) < 65536 < os.path.getsize(file), "%d bytes instead of %d" % (os.path.getsize(part), os.path.getsize(file)))
        refused = image.load(e, part, "dind.invalid/images/app:1", last["imageId"], have)
        equal((refused["event"], refused["rule"]), ("error", "image-parts"), "an engine that has no base")
        equal(e.images(), {}, "images after that")
        equal(image.load(e, base_file, "dind.invalid/images/base:1", base["imageId"])["event"], "done")
        got = image.load(e, part, "dind.invalid/images/app:1", last["imageId"], have)
        equal((got["event"], got.get("leftOut")), ("done", len(have)), json.dumps(got))
        equal(inspect(e, "dind.invalid/images/app:1")["Id"], last["imageId"])
        runs(e, "dind.invalid/images/app:1")
        unsaid = image.load(e, part, "dind.invalid/images/other:1", last["imageId"], have[:-1])
        equal((unsaid["event"], unsaid["rule"]), ("error", "image-layer"), "a layer missing that is not said to be there")
        lied = image.load(e, part, "dind.invalid/images/other:1", last["imageId"])
        equal((lied["event"], lied["rule"]), ("error", "image-layer"), "nothing said to be there")
        equal(inspect(e, "dind.invalid/images/other:1"), None, "what was refused")
        forget(e, "dind.invalid/images/app:1", "dind.invalid/images/base:1")
        equal(e.images(), {}, "images at the end")


@each("engine %s refuses an image in parts and keeps nothing of it", [CONTAINERD])
def not_in_parts(kind):
    base, base_file = artifact(kind, "base:1")
    last, file = artifact(kind)
    e = emptied(kind)
    have = [l["diffId"] for l in base["layers"]]
    part = image.without(file, have, path("part"))
    equal(image.load(e, base_file, "dind.invalid/images/base:1", base["imageId"])["event"], "done")
    got = image.load(e, part, "dind.invalid/images/app:1", last["imageId"], have)
    equal((got["event"], got["rule"]), ("error", "image-parts"), "image in parts")
    equal(inspect(e, "dind.invalid/images/app:1"), None)
    equal([n for names in e.images().values() for n in names], ["dind.invalid/images/base:1"])


if __name__ == "__main__":
    main(setup)
