"""Ownership, at random: two hostile tasks on one real engine, and a model that knows every answer before it comes.

The model is three dictionaries: what the engine has (World), and what each task owns (Owner). A step is chosen by
chance, its answer is predicted, then it is sent; after each step that changes something the engine's own list is
compared with the model, and now and then what dind-proxyd keeps of both tasks. The host's images and those of a third
namespace must never change. At random steps dind-proxyd is killed in the middle of a request and started again.

The same run each time; DIND_SEED is another one, DIND_STEPS a longer one.
"""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import copy
import http.client
import io
import json
import os
import random
import re
import tarfile
import threading
import time
import urllib.parse

from engine import Engine, UnixHTTP
from proxy import SLOW, Proxy
from script import context
from tap import Failed, cleanup, equal, main, ok, test, until

STEPS = int(os.environ.get("DIND_STEPS", "750"))
SEED = int(os.environ.get("DIND_SEED", "1"))  # the same run each time; another seed is another run
IMAGES = 24  # of one task; above it, removals come more often
HOST = "victim.example/private:1"
THIRD = "dind.invalid/" + "z" * 20 + "/docker.io/library/app:1"
NAMES = (
    "app:1 app:2 app lib/tool:1 localhost:5000/x:1 example.com/team/py:3 abc:1 db busybox:1.36 docker.io/library/app:1 "
    "index.docker.io/app:2 a__b/c-d.e:V1.0 beef/x:1 docker.io/lib/tool"
).split()
LIKE_IDS = "cafe:1 deadbeef sha256:1 sha256 0123456789ab:latest".split()
BAD = ["App:1", "app:", "dind.invalid/x/app:1", "app:1@sha256:12", "a..b", "f" * 64, "app@sha256:" + "0" * 64]
here = {}


# --- names, as distribution/reference reads them; written again on purpose

COMPONENT = r"[a-z0-9]+(?:(?:\.|__|_|-+)[a-z0-9]+)*"
PATH = re.compile(r"(%s(?:/%s)*)(?::(\w[\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?" % (COMPONENT, COMPONENT), re.ASCII)
IS_ID = re.compile(r"(sha256:)?([0-9a-f]{1,64})")


def parse(text):
    """(repository, tag, digest), or None for what is no name."""
    if re.fullmatch("[0-9a-f]{64}", text) or "dind.invalid" in text.lower():
        return None
    domain, slash, rest = text.partition("/")
    if not slash or not ("." in domain or ":" in domain or domain == "localhost"):
        domain, rest = "docker.io", text
    domain = "docker.io" if domain == "index.docker.io" else domain
    m = PATH.fullmatch(rest)
    if not m:
        return None
    path = m[1] if "/" in m[1] or domain != "docker.io" else "library/" + m[1]
    return domain + "/" + path, m[2] or "", m[3] or ""


def canonical(text, tag=None):
    repository, own, digest = parse(text)
    return repository + ("@" + digest if digest else ":" + (tag or own or "latest"))


def familiar(name):
    name = name[len("docker.io/") :] if name.startswith("docker.io/") else name
    return name[len("library/") :] if name.startswith("library/") and name.count("/") == 1 else name


def like_id(text):
    repository = familiar(parse(text)[0])
    return repository == "sha256" or re.fullmatch("[0-9a-f]{4,64}", repository) is not None


# --- the model


class World:
    """The engine: ids with their parents, names; and what a removal does to them."""

    def __init__(self, listed=()):
        self.parent, self.names, self.created, self.labels, self.size = {}, {}, {}, {}, {}
        for i in listed:
            self.parent[i["Id"]] = i["ParentId"]
            self.created[i["Id"]] = i["Created"]
            self.labels[i["Id"]] = i.get("Labels") or {}
            self.size[i["Id"]] = i["Size"]
            for name in i.get("RepoTags") or []:
                if name != "<none>:<none>":
                    self.names[name] = i["Id"]

    def state(self):
        return {i: sorted(n for n, to in self.names.items() if to == i) for i in self.parent}

    def named(self, image):
        return any(to == image for to in self.names.values())

    def children(self, image):
        return [i for i, p in self.parent.items() if p == image]

    def chain(self, image):
        while image in self.parent:
            yield image
            image = self.parent[image]

    def remove(self, name, prune):
        """DELETE of a name: the ids that go, or None when it is not there."""
        image = self.names.pop(name, None)
        if image is None:
            return None
        gone = []
        while image and not self.named(image) and not self.children(image):
            gone.append(image)
            image = self.parent.pop(image) if prune else self.parent.pop(image) and ""
        return gone


class Owner:
    """A task, and what it owns: ids, and names that stand for them."""

    def __init__(self, task, shared):
        self.task, self.shared, self.ids, self.names = task, shared, [], {}

    def mapped(self, name):
        return self.task.prefix + re.sub(r"^([^/:]+):(\d+)/", r"\1__\2/", name)

    def own_names(self, world, image):
        """What the task sees of an image's names, familiar."""
        all_of_it = [n[len(self.task.prefix) :] for n, to in world.names.items() if to == image and n.startswith(self.task.prefix)]
        typed = [re.sub(r"^([^/]+?)__(\d+)/", r"\1:\2/", n) for n in all_of_it if not n.startswith("removed/")]
        return sorted(familiar(n) for n in typed)

    def names_of(self, image):
        return [n for n, i in self.names.items() if i == image]

    def by_id(self, text):
        m = IS_ID.fullmatch(text)
        if not m or len(m[2]) < 4:
            return None
        found = [i for i in self.ids if i[7:].startswith(m[2])]
        return found[0] if len(found) == 1 else None

    def look(self, text):
        """("name", canonical) or ("id", id), or a status."""
        parsed = parse(text)
        if parsed is None and not IS_ID.fullmatch(text):
            return 400
        if parsed and canonical(text) in self.names:
            return "name", canonical(text)
        image = self.by_id(text)
        return ("id", image) if image else 404

    def in_engine(self, found, world):
        """The id that the engine has for what look() found, or None."""
        kind, what = found
        image = world.names.get(self.mapped(what)) if kind == "name" else what
        return image if image in world.parent else None

    def learn(self, image):
        if image not in self.ids:
            self.ids.append(image)

    def name(self, name, image):
        self.learn(image)
        self.names.pop(name, None)
        self.names[name] = image

    def forget(self, image):
        if image in self.ids:
            self.ids.remove(image)
        self.names = {n: i for n, i in self.names.items() if i != image}

    def state(self):
        return {i: sorted(map(familiar, self.names_of(i))) for i in self.ids}


# --- a run


class Ask:
    """A request that was chosen and what is known about its answer; check(answer, body) changes the model."""

    def __init__(self, method, target, check, body=None, touches=(), read=None):
        self.method, self.target, self.check, self.body = method, target, check, body
        self.touches = touches  # mapped names that a crash in the middle may leave as before or as after
        self.read = read  # bytes of the answer to read, None: all


class Run:
    def __init__(self, caches, seed):
        self.random, self.caches, self.step, self.serial, self.asked = random.Random(seed), caches, 0, 0, ""
        self.counts, self.before = {}, here["engine"].images()
        self.host_world = World(self.engine_list())
        self.proxy = Proxy(here["engine"].socket, **{"limits.requestRate": 100000, "log.level": "warn"})
        cleanup(self.proxy.stop)
        self.proxy.start()
        self.world = World(self.engine_list())
        self.makers, self.orphans, self.crashes = {}, set(), 0
        self.owners = [self.new_owner(n) for n in (0, 1)]

    def new_owner(self, n):
        shared = self.caches[n] == "shared"
        return Owner(self.proxy.task(policy={"cache": self.caches[n]}), shared)

    def engine_list(self):
        return here["engine"].call("GET", "/images/json?all=1")[1]

    # --- what may be asked for

    def some_id(self, image):
        digits = image[7:]
        cut = self.random.choice((2, 3, 4, 5, 6, 12, 12, 40, 63, 64, 64))
        return self.random.choice(("", "", "sha256:")) + digits[:cut] if self.random.random() < 0.7 else image

    def reference(self, owner, other):
        """Something to name an image by: mostly own, else somebody's."""
        r = self.random
        kind = r.random()
        if kind < 0.35 and owner.names:
            return familiar(r.choice(list(owner.names)))
        if kind < 0.6 and owner.ids:
            return self.some_id(r.choice(owner.ids))
        if kind < 0.7 and other.ids:
            return self.some_id(r.choice(other.ids))
        if kind < 0.75 and other.names:
            return r.choice((familiar, other.mapped))(r.choice(list(other.names)))
        if kind < 0.8:
            return r.choice([HOST, "private:1", THIRD, "victim.example/private"])
        if kind < 0.85:
            return self.some_id(r.choice(list(self.before)))
        if kind < 0.9 and owner.ids:  # a digest is not an id
            return "app@" + r.choice(owner.ids)
        return r.choice(NAMES + LIKE_IDS + BAD)

    def new_name(self):
        return self.random.choice(NAMES) if self.random.random() < 0.9 else self.random.choice(LIKE_IDS + BAD)

    def choose(self, owner, other):
        weights = {"build": 14, "tag": 18, "inspect": 16, "history": 6, "list": 8, "save": 6, "remove": 18}
        if len(owner.ids) > IMAGES:
            weights.update(remove=60)
        kind = self.random.choices(list(weights), list(weights.values()))[0]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return getattr(self, "ask_" + kind)(owner, other)

    # --- the requests

    def ask_inspect(self, owner, other):
        text = self.reference(owner, other)
        found = owner.look(text)

        def check(status, body):
            image = None if isinstance(found, int) else owner.in_engine(found, self.world)
            equal(status, found if isinstance(found, int) else 200 if image else 404, "inspect of %r: %s" % (text, body))
            if image:
                equal(body["Id"], image, "Id of %r" % text)
                equal(sorted(body["RepoTags"]), owner.own_names(self.world, image), "RepoTags of %r" % text)

        return Ask("GET", "/v1.41/images/%s/json" % quote(text), check)

    def ask_history(self, owner, other):
        text = self.reference(owner, other)
        found = owner.look(text)

        def check(status, body):
            image = None if isinstance(found, int) else owner.in_engine(found, self.world)
            equal(status, found if isinstance(found, int) else 200 if image else 404, "history of %r: %s" % (text, body))
            if image:
                chain = list(self.world.chain(image))
                want = [i if i in owner.ids else "<missing>" for i in chain] + ["<missing>"] * (len(body) - len(chain))
                equal([h["Id"] for h in body], want, "history of %r" % text)
                tags = [sorted(h["Tags"] or []) for h in body[: len(chain)]]
                equal(tags, [owner.own_names(self.world, i) for i in chain], "tags in the history of %r" % text)

        return Ask("GET", "/v1.41/images/%s/history" % quote(text), check)

    def ask_list(self, owner, other):
        r, query, filters = self.random, {}, {}
        if r.random() < 0.5:
            query["all"] = "1"
        if r.random() < 0.6:
            label = "k=%d" % r.randrange(4)
            choices = ({"reference": ["app"]}, {"reference": ["app:*", "*/tool:?"]}, {"dangling": ["true"]}, {"dangling": ["0"]})
            filters = r.choice(choices + ({"label": [label]}, {"label": ["k"]}, {"bogus": ["x"]}, {"since": [self.reference(owner, other)]}))
            query["filters"] = json.dumps(r.choice((filters, {k: {v: True for v in values} for k, values in filters.items()})))

        def check(status, body):
            want = self.listed(owner, filters, "all" in query)
            equal(status, want if isinstance(want, int) else 200, "list %s: %s" % (query, body))
            if status == 200:
                equal({i["Id"]: sorted(i["RepoTags"]) for i in body}, want, "list %s" % query)

        return Ask("GET", "/v1.41/images/json" + ("?" + urllib.parse.urlencode(query) if query else ""), check)

    def listed(self, owner, filters, everything):
        """{id: names} that a list shows, or a status."""
        if "bogus" in filters:
            return 400
        shown = {}
        for image in owner.ids:
            there = image in self.world.parent
            if there and (everything or self.world.named(image) or not self.world.children(image)):
                shown[image] = owner.own_names(self.world, image)
        after = None
        if "since" in filters:
            image = self.in_list(shown, filters["since"][0])
            if image is None:
                return 404
            after = self.world.created[image]
        result = {}
        for image, names in shown.items():
            kept = names
            if "reference" in filters:
                kept = [n for n in names if any(glob(p, n) or glob(p, n.rpartition(":")[0]) for p in filters["reference"])]
                if not kept:
                    continue
            if "dangling" in filters and (filters["dangling"][0] == "true") != (not names):
                continue
            if after is not None and self.world.created[image] <= after:
                continue
            if "label" in filters:
                key, eq, value = filters["label"][0].partition("=")
                labels = self.world.labels[image]
                if key not in labels or (eq and labels[key] != value):
                    continue
            result[image] = kept or ["<none>:<none>"]
        return result

    def in_list(self, shown, text):
        """The image that since= means: by a name in the list, else by the beginning of one id in it."""
        parsed = parse(text)
        for image, names in shown.items():
            if parsed and canonical(text) in map(canonical, names):
                return image
        m = IS_ID.fullmatch(text)
        found = [i for i in shown if m and i[7:].startswith(m[2])]
        return found[0] if len(found) == 1 else None

    def ask_save(self, owner, other):
        texts = [self.reference(owner, other) for _ in range(self.random.choice((1, 1, 1, 2, 3)))]
        wanted = [self.saved(owner, t) for t in texts]
        bad = [w for w in wanted if isinstance(w, int)]

        def check(status, body):
            if bad:
                equal(status, bad[0], "save of %s" % texts)
                return
            images, names = set(), set()
            for kind, what in wanted:
                image = self.world.names.get(owner.mapped(what)) if kind == "name" else what
                if image not in self.world.parent:
                    return ok(status >= 400, "save of %s, which the engine lost in a crash: %s" % (texts, status)) if kind == "id" else None
                images.add(image)
                names |= {familiar(what)} if kind == "name" else set()
            empty = any(self.world.size[i] == 0 for i in images)  # "empty export - not implemented"
            equal(status, 500 if empty else 200, "save of %s: %s" % (texts, body[:300]))
            if empty:
                return
            manifest = saved_manifest(body)
            equal({"sha256:" + m["Config"].replace(".json", "") for m in manifest}, images, "images in the tarball of %s" % texts)
            equal({n for m in manifest for n in m["RepoTags"] or []}, names, "names in the tarball of %s" % texts)

        wanted = [one for w in wanted if not isinstance(w, int) for one in w]
        if len(texts) == 1 and self.random.random() < 0.5:
            return Ask("GET", "/v1.41/images/%s/get" % quote(texts[0]), check, read=-1)
        return Ask("GET", "/v1.41/images/get?" + urllib.parse.urlencode([("names", t) for t in texts]), check, read=-1)

    def saved(self, owner, text):
        """[(kind, what)] that one name in a save stands for, or a status; a repository is all its tags."""
        parsed = parse(text)
        if parsed and not parsed[1] and not parsed[2]:
            tags = [n for n in owner.names if n.rpartition(":")[0] == parsed[0]]
            if tags:
                return [("name", n) for n in tags]
        found = owner.look(text)
        return found if isinstance(found, int) else [found]

    def ask_tag(self, owner, other):
        source, to = self.reference(owner, other), self.new_name()
        tag = self.random.choice(("", "", "5", "a.B_c"))
        found, parsed = owner.look(source), parse(to)
        good = parsed and not parsed[2] and not like_id(to)
        name = canonical(to, tag) if good else None
        new = owner.mapped(name) if good else None

        def check(status, body):
            if isinstance(found, int) or not good:
                return equal(status, found if isinstance(found, int) else 400, "tag of %r as %r: %s" % (source, to, body))
            image = owner.in_engine(found, self.world)
            equal(status, 201 if image else 404, "tag of %r as %r: %s" % (source, to, body))
            if image:
                self.world.names[new] = image
                owner.name(name, owner.names[found[1]] if found[0] == "name" else found[1])

        query = urllib.parse.urlencode({"repo": to, "tag": tag})
        return Ask("POST", "/v1.41/images/%s/tag?%s" % (quote(source), query), check, touches=[new])

    def ask_remove(self, owner, other):
        r, text = self.random, self.reference(owner, other)
        force, noprune = r.random() < 0.3, r.random() < 0.2
        found = owner.look(text)
        query = urllib.parse.urlencode({k: "1" for k, v in (("force", force), ("noprune", noprune)) if v})

        def check(status, body):
            if isinstance(found, int):
                return equal(status, found, "removal of %r: %s" % (text, body))
            kind, what = found
            names = [what] if kind == "name" else owner.names_of(what)
            if kind == "id" and len({n.rpartition(":")[0] for n in names}) > 1 and not force:
                return equal(status, 409, "removal of %r: %s" % (text, body))
            image = owner.names[what] if kind == "name" else what
            want, untagged, deleted = self.remove(owner, image, names, not noprune and not owner.shared and not other.shared)
            equal(status, want, "removal of %r: %s" % (text, body))
            if status != 200:
                return
            equal(sorted(one["Untagged"] for one in body if "Untagged" in one), sorted(map(familiar, untagged)), "Untagged of %r" % text)
            said = {one["Deleted"] for one in body if "Deleted" in one}
            equal(said & self.known, set(deleted), "Deleted of %r" % text)

        self.known = set(self.world.parent)
        touched = [owner.mapped(n) for n in (owner.names_of(found[1]) if found[0] == "id" else [found[1]])] if not isinstance(found, int) else []
        touched += [held(o, i) for o in self.owners for i in o.ids]
        return Ask("DELETE", "/v1.41/images/%s?%s" % (quote(text), query), check, touches=touched)

    def remove(self, owner, image, names, prune):
        """What a removal does: (status, names that go, ids that go)."""
        untagged, deleted = [], []
        if not names:  # by id, and it has no name of this task
            if self.elsewhere(owner, image):
                owner.forget(image)
                return 200, [], []
            if image not in self.world.parent:
                return 404, [], []
            self.world.names[held(owner, image)] = image
            deleted = self.world.remove(held(owner, image), prune)
        if names and set(names) == set(owner.names_of(image)):
            self.hold(owner, image)
        for name in names:
            gone = self.world.remove(owner.mapped(name), prune)
            owner.names.pop(name)
            if gone is None:
                for n in names:
                    owner.names.pop(n, None)
                return 404, untagged, deleted
            untagged.append(name)
            deleted += gone
        for gone in deleted:
            for o in self.owners:
                ok(o is owner or gone not in o.ids, "%s goes, which the other task owns" % gone)
            owner.forget(gone)
        return 200, untagged, deleted

    def elsewhere(self, owner, image):
        return any(o is not owner and (image in o.ids or owner_made(self.makers, image, o)) for o in self.owners)

    def hold(self, owner, image):
        """Before the last name of an image goes that the other task has without a name: it gets one that nobody can type."""
        for o in self.owners:
            if o is not owner and image in o.ids and not o.names_of(image) and image in self.world.parent:
                self.world.names[held(o, image)] = image
                return

    # --- builds

    def ask_build(self, owner, other):
        r = self.random
        names = [self.new_name() for _ in range(r.choice((0, 1, 1, 1, 2)))]
        base, copies = self.base(owner, other), r.random() < 0.5
        fails = r.random() < 0.12
        lines = ["FROM " + base] + ["LABEL k=%d" % r.randrange(4) for _ in range(r.choice((1, 1, 2)))]
        if r.random() < 0.5:
            self.serial += 1
            lines.append("LABEL unique=%d" % self.serial)
        lines += ["COPY f /f"] if copies else []
        lines += ["COPY missing /missing"] if fails else []
        query = [("t", n) for n in names] + [("nocache", "1")] * (r.random() < 0.15) + [("q", "1")] * (r.random() < 0.1)
        refused = self.refused(owner, names, base)
        given = [] if refused else list(dict.fromkeys(canonical(n) for n in names))

        def check(status, body):
            equal(status, refused or 200, "build %s -t %s: %s" % (lines, names, body))
            if refused:
                return
            results = [json.loads(line) for line in body.split("\n") if line.strip()]
            failed = any("error" in one for one in results)
            equal(failed, fails, "build %s fails: %s" % (lines, body))
            image = None if failed else result_of(results)
            steps = {s for one in results for s in re.findall("^ ---> ([0-9a-f]{12})$", one.get("stream", ""), re.M)}
            self.built(owner, image, given, steps, ("q", "1") in query)

        body = context("\n".join(lines) + "\n", f=b"content")
        target = "/v1.41/build?" + urllib.parse.urlencode(query)
        return Ask("POST", target, check, body=body, touches=[owner.mapped(n) for n in given])

    def base(self, owner, other):
        kind = self.random.random()
        if kind < 0.35:
            return "scratch"
        return "busybox:1.36" if kind < 0.5 else self.reference(owner, other)

    def refused(self, owner, names, base):
        """The status of a build that does not begin, or 0."""
        for n in names:
            parsed = parse(n)
            if not parsed or parsed[2] or like_id(n):
                return 400
        if base == "scratch":
            return 0
        found = owner.look(base)
        if isinstance(found, tuple):
            return 0 if owner.in_engine(found, self.world) else 404
        if found == 400:
            return 400
        parsed = parse(base)
        if not parsed or not re.fullmatch("docker.io/library/[^/]*", parsed[0]):
            return 403
        return 0 if canonical(base) == "docker.io/library/busybox:1.36" else 404

    def built(self, owner, image, names, steps, quiet):
        """Takes over what a build made; what was there before must still be as it was."""
        listed = World(self.engine_list())
        fresh = set(listed.parent) - set(self.world.parent)
        if image is not None:
            ok(image in listed.parent, "the built image %s is in the engine" % image)
            mine = image in owner.ids or image in fresh or owner_made(self.makers, image, owner)
            ok(mine or owner.shared, "a private cache gave %s, which is not the task's" % image)
            owner.learn(image)
            for name in names:
                owner.name(name, image)
                self.world.names[owner.mapped(name)] = image
        for i in fresh:
            ok(quiet or i[7:19] in steps or i == image, "the engine has a new image %s, which the build did not tell of" % i)
        for i in listed.parent:
            if i in fresh or i[7:19] in steps or quiet and image in listed.parent and i in listed.chain(image):
                self.makers.setdefault(i, set()).add(owner.task.id)
        for i in fresh | ({image} - {None}):
            self.world.parent[i] = listed.parent[i]
            for one in ("created", "labels", "size"):
                getattr(self.world, one)[i] = getattr(listed, one)[i]

    # --- sending and comparing

    def send(self, owner, ask):
        c = UnixHTTP(owner.task.socket, 60 * SLOW)
        try:
            head = {"Content-Type": "application/x-tar"} if ask.body else {}
            c.request(ask.method, ask.target, ask.body, head)
            answer = c.getresponse()
            data = answer.read()
        finally:
            c.close()
        self.no_secrets(ask, data)
        if ask.read or "json" not in (answer.headers.get("Content-Type") or ""):
            return answer.status, data
        return answer.status, data.decode() if ask.body and answer.status == 200 else json.loads(data or b"null")

    def no_secrets(self, ask, data):
        """No answer tells of a namespace that was not in the question."""
        asked = urllib.parse.unquote_plus(ask.target).encode() + (ask.body or b"")
        for secret in [o.task.id.encode() for o in self.owners] + [b"z" * 20]:
            ok(secret not in data or secret in asked, "an answer tells of a namespace: %r" % data[:2000])

    def compare_engine(self):
        listed = World(self.engine_list())
        equal(listed.state(), self.world.state(), "images of the engine")
        self.world.parent = listed.parent
        for image, names in self.host_world.state().items():
            ok(set(names) <= set(listed.state().get(image, ["?"])) or not names, "the host's image %s %s" % (image, names))

    def compare_owned(self, o):
        owned = {i["id"]: sorted(i["names"]) for i in o.task.show()["owned"]}
        equal(owned, o.state(), "what the task owns")

    def compare_owners(self):
        for o in self.owners:
            self.compare_owned(o)
            check = self.ask_list(o, o).check  # with whatever filters: they do not matter here
            answer = self.send(o, Ask("GET", "/v1.41/images/json?all=1", check))[1]
            equal({i["Id"]: sorted(i["RepoTags"]) for i in answer}, self.listed(o, {}, True), "docker images -a")

    def crash(self, owner, ask):
        """Kills dind-proxyd in the middle of a request: what it was about may have happened or not, all else holds."""
        before, owned = copy.deepcopy(self.world), [copy.deepcopy(o.state()) for o in self.owners]
        client = threading.Thread(target=self.send_dying, args=(owner, ask))
        client.start()
        time.sleep(self.random.choice((0, 0.001, 0.003, 0.01, 0.03, 0.1)))
        self.proxy.crash()
        client.join()
        self.proxy.start_daemon()
        self.crashes += 1
        listed = self.settled()
        self.after_crash(owner, ask, before, listed)
        self.world = listed
        for o, was in zip(self.owners, owned):
            now = {i["id"]: [canonical(n) for n in i["names"]] for i in o.task.show()["owned"]}
            self.owned_after_crash(o, o is owner, ask, was, now)
            o.ids, o.names = list(now), {n: i for i, names in now.items() for n in names}

    def send_dying(self, owner, ask):
        try:
            self.send(owner, ask)
        except (OSError, http.client.HTTPException, ValueError):
            pass

    def settled(self):
        """The engine's list when it has stopped working."""
        last = [None]

        def same():
            time.sleep(0.03)
            now = World(self.engine_list())
            quiet = last[0] is not None and now.state() == last[0].state() and not here["engine"].containers()
            last[0] = now
            return quiet and now

        return until(same, "the engine has come to rest after a crash", 10 * SLOW)

    def after_crash(self, owner, ask, before, now):
        fresh, gone = set(now.parent) - set(before.parent), set(before.parent) - set(now.parent)
        ok(ask.method == "POST" and ask.body or not fresh, "new images after a crash in %s: %s" % (ask.target, fresh))
        ok(ask.method == "DELETE" or not gone, "images went in a crash in %s: %s" % (ask.target, gone))
        steps = self.steps_on_disk(owner)
        for i in now.parent:
            if i in fresh or i[7:19] in steps:
                self.makers.setdefault(i, set()).add(owner.task.id)
        self.orphans |= {i for i in fresh if not now.named(i)}  # of a build that nobody heard the end of
        for name in set(before.names) | set(now.names):
            same = before.names.get(name) == now.names.get(name)
            ok(same or name in ask.touches, "%s moved in a crash in %s" % (name, ask.target))
        for i in gone:
            for o in self.owners:
                ok(o is owner or i not in o.ids, "%s went in a crash in %s; the other task owns it" % (i, ask.target))

    def steps_on_disk(self, owner):
        """What the interrupted build told of before it was, cached steps too."""
        path = os.path.join(self.proxy.dir, "state", "tasks", owner.task.id, "owned.jsonl")
        return {json.loads(one).get("step") for one in open(path)}

    def owned_after_crash(self, o, acted, ask, was, now):
        if not acted:
            equal({i: sorted(map(familiar, n)) for i, n in now.items()}, was, "what the other task owns after a crash")
            return
        lost = set(was) - set(now)
        ok(ask.method == "DELETE" or not lost, "ids were forgotten in a crash in %s: %s" % (ask.target, lost))
        for image, names in now.items():
            for n in set(map(familiar, names)) ^ set(was.get(image, [])):
                ok(o.mapped(canonical(n)) in ask.touches, "the name %s changed in a crash in %s" % (n, ask.target))

    def end(self, n):
        """One task ends: the other keeps all, and nothing of it stays."""
        owner, others = self.owners[n], [o for o in self.owners if o is not self.owners[n]]
        owner.task.end()
        now = World(self.engine_list())
        left = [name for name in now.names if owner.task.id in name]
        equal(left, [], "names of the task after its end")
        for o in others:
            for image in o.ids:
                ok(image in now.parent or image not in self.world.parent, "%s went with a task; the other owns it" % image)
            for name in o.names:
                equal(now.names.get(o.mapped(name)), self.world.names.get(o.mapped(name)), "%s of the other task" % name)
        kept = {i for o in others for own in o.ids for i in now.chain(own)} | {i for i in self.before}
        kept |= {i for i, m in self.makers.items() if m & {o.task.id for o in others}}
        extra = [i for i in now.parent if i not in kept]
        lost_track = {i for orphan in self.orphans for i in now.chain(orphan)}
        equal([i for i in extra if i not in lost_track], [], "images left by the task")
        self.world = now

    def go(self, steps):
        for self.step in range(1, steps + 1):
            n = self.random.randrange(2)
            owner, other = self.owners[n], self.owners[1 - n]
            kind = self.random.random()
            if kind < 0.004:
                self.end(n)
                self.owners[n] = self.new_owner(n)
                continue
            ask = self.choose(owner, other)
            self.asked = "%s of task %d" % (ask.target, n)
            if kind < 0.014:
                self.crash(owner, ask)
            else:
                ask.check(*self.send(owner, ask))
            if ask.method != "GET":
                self.compare_engine()
                self.compare_owned(owner)
            if self.step % 50 == 0:
                self.compare_owners()

    def finish(self):
        self.compare_owners()
        for n in (0, 1):
            self.end(n)
            self.owners[n] = self.new_owner(n)
        now = here["engine"].images()
        for image in self.orphans & set(now):
            here["engine"].call("DELETE", "/images/%s?force=1" % image)
        left = here["engine"].images()
        equal(left, self.before, "images of the engine at the end")
        print("# %d steps: %s; %d crashes, %d images of interrupted builds were left" % (self.step, self.counts, self.crashes, len(now) - len(left)))


def held(owner, image):
    """A name that no task can type: by it an image without names is removed, or kept while it is the other's."""
    return owner.task.prefix + "removed/%s:removed" % image[7:]


def owner_made(makers, image, owner):
    return owner.task.id in makers.get(image, ())


def quote(text):
    return urllib.parse.quote(text, safe="/:@")


def glob(pattern, name):
    return re.fullmatch(re.escape(pattern).replace(r"\*", "[^/]*").replace(r"\?", "[^/]"), name) is not None


def result_of(results):
    """The id that a build's output ends with."""
    for one in reversed(results):
        text = (one.get("aux") or {}).get("ID") or one.get("stream", "").strip()
        if re.fullmatch("sha256:[0-9a-f]{64}", text):
            return text
    raise Failed("no image id in the output of a build: %s" % results)


def saved_manifest(tarball):
    with tarfile.open(fileobj=io.BytesIO(tarball)) as t:
        return json.load(t.extractfile("manifest.json"))


def setup():
    print("# DIND_SEED=%d DIND_STEPS=%d" % (SEED, STEPS))
    engine = here["engine"] = Engine()
    cleanup(engine.stop)
    engine.start().image("busybox:1.36")
    host_build("FROM busybox:1.36\nLABEL k=1 secret=host\n", HOST)
    host_build("FROM scratch\nLABEL k=1\n", "victim.example/scratch:1")  # what a task may build as well
    host_build("FROM busybox:1.36\nLABEL third=1\n", THIRD)


def host_build(dockerfile, name):
    done = here["engine"].docker("build", "-t", name, "-", stdin=dockerfile, program="/usr/bin/docker")
    ok(done.returncode == 0, "the host's own build: %s" % done.stdout)


def run(caches, part):
    one = Run(caches, "%d %s" % (SEED, caches))
    cleanup(clear, set(one.before))
    try:
        one.go(int(STEPS * part))
        one.finish()
    except Failed as e:
        raise Failed("step %d (DIND_SEED=%d, %s), %s: %s" % (one.step, SEED, caches, one.asked, e))


def clear(kept):
    """After a failure: the next test begins with the host's images only."""
    for image in set(here["engine"].images()) - kept:
        here["engine"].call("DELETE", "/images/%s?force=1" % image)


@test("private caches: nothing of one task is reachable by the other")
def private():
    run(("private", "private"), 0.4)


@test("shared caches: both come to own the same ids, and neither takes them from the other")
def shared():
    run(("shared", "shared"), 0.4)


@test("a shared and a private cache side by side")
def mixed():
    run(("shared", "private"), 0.2)


main(setup)
