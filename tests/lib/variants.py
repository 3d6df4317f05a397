"""Spellings of requests: every trick known with paths, versions, escapes, queries, form bodies, heads and framing, around
each route that a task may use. Systematic first, then pairs of two tricks drawn with a seed: the same list every run.

    for v in variants(seed=1, pairs=1000):
        v.name, v.route, v.raw
"""
import io
import random
import tarfile
from urllib.parse import quote

HOST = b"Host: docker"
BOUNDARY = "multipart/form-data; boundary=b"


def tar(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as t:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


CONTEXT = tar(("Dockerfile", b"FROM scratch\nLABEL made=here\n"))


class Draft:
    """A request in parts, before it is printed; every part is bytes and may be anything."""

    def __init__(self, route, method, path, query=(), body=None):
        self.route, self.method, self.version, self.api = route, method, b"HTTP/1.1", b"/v1.41"
        self.path, self.query = path, [tuple(p) for p in query]
        self.fields, self.body, self.coded = [HOST], body, None  # coded: the body as it goes out
        self.before, self.end, self.gap, self.behind = b"", b"\r\n", b" ", b""
        self.target_is = self.query_is = None
        self.length = True
        if body is not None:
            self.fields.append(b"Content-Type: application/x-tar")

    def copy(self):
        other = Draft.__new__(Draft)
        other.__dict__.update(self.__dict__)
        other.fields, other.query = list(self.fields), list(self.query)
        return other

    def target(self):
        if self.target_is is not None:
            return self.target_is
        query = self.query_is
        if query is None:
            query = b"&".join(k + b"=" + quote(v, safe="").encode() for k, v in self.query)
        return self.api + self.path + (b"?" + query if query else b"")

    def raw(self):
        fields = list(self.fields)
        coded = self.coded if self.coded is not None else self.body or b""
        if self.length and (self.body is not None or self.coded is not None or self.method == b"POST"):
            fields.append(b"Content-Length: %d" % len(coded))
        first = self.before + self.method + self.gap + self.target() + self.gap + self.version
        return self.end.join([first, *fields]) + self.end * 2 + coded + self.behind


ROUTES = (
    Draft("ping", b"GET", b"/_ping"),
    Draft("ping", b"HEAD", b"/_ping"),
    Draft("version", b"GET", b"/version"),
    Draft("list", b"GET", b"/images/json", [(b"all", b"1")]),
    Draft("save", b"GET", b"/images/get", [(b"names", b"app:1")]),
    Draft("inspect", b"GET", b"/images/app:1/json"),
    Draft("history", b"GET", b"/images/app:1/history"),
    Draft("save", b"GET", b"/images/app:1/get"),
    Draft("tag", b"POST", b"/images/app:1/tag", [(b"repo", b"team/new"), (b"tag", b"2")]),
    Draft("remove", b"DELETE", b"/images/app:1"),
    Draft("build", b"POST", b"/build", [(b"t", b"new:1"), (b"labels", b'{"a":"b"}')], CONTEXT),
)


class Variant:
    def __init__(self, name, route, raw):
        self.name, self.route, self.raw = name, route, raw


# --- tricks: each is (name, function(draft) that changes it, or None when it does not fit the route)


def setting(**parts):
    def change(d):
        for part, value in parts.items():
            setattr(d, part, value)
        return d

    return change


def path_tricks(d):
    """Every way to write the path; d is the route's own draft."""
    path = d.path
    for at in [i for i, c in enumerate(path) if c == ord("/")]:
        for text in (b"//", b"/./", b"/x/../", b"/%2e/", b"/x/%2e%2e/", b"%2f", b"%2F", b"\\", b"/%2f", b"/;/", b"/.%00/"):
            yield "path %d %r" % (at, text), setting(path=path[:at] + text + path[at + 1 :])
    for at in range(1, len(path)):
        yield "escaped byte %d" % at, setting(path=path[:at] + b"%%%02x" % path[at] + path[at + 1 :])
        if path[at : at + 1].isalpha():
            yield "upper case byte %d" % at, setting(path=path[:at] + path[at : at + 1].upper() + path[at + 1 :])
    for tail in TAILS:
        yield "path ends %r" % tail, setting(path=path + tail)
    full = d.target()
    for form in FORMS:
        yield "target %r" % form, setting(target_is=form.replace(b"@", full, 1))
    for api in APIS:
        yield "version %r" % api, setting(api=api)


TAILS = (
    *(b"/", b"//", b"/.", b"/..", b";x", b";", b"%00", b"%0a", b"%0d%0a", b"%20", b"%3fall=1", b"%3f", b"%23", b"#", b"#x", b"+"),
    *(b"/json", b"/get", b"/tag", b"%", b"%z", b"%zz", b"%c0%af", b"\x00", b"\x01", b"\x7f", b"\xff", b"\xc0\xaf", b"\t", b" x"),
    *(b"?", b"??", b"?#", b"@", b"*", b"{}", b"|", b"^", b"`", b'"', b"<>", b"$(id)", b"%s%n", b"!", b"'", b"(", b",", b"=", b"&x=1"),
)
FORMS = (
    *(b"http://docker@", b"HTTP://docker@", b"https://docker@", b"unix://@", b"http://u:p@docker@", b"x:@", b"foo://bar@", b"//docker@"),
    *(b"http:@", b"*", b"@ @", b"\\@", b".@", b"./@", b"@#", b"@#?networkmode=host", b"#@", b"?@", b"", b"/", b"%2f@", b"http://", b"docker:80"),
)
APIS = (
    *(b"", b"/v1.12", b"/v1.22", b"/v1.24", b"/v1.40", b"/v1.41", b"/v1.42", b"/v1.99", b"/v1.11", b"/v01.41", b"/v1.041", b"/v1.41.0"),
    *(b"/v1.41.", b"/v1", b"/v.", b"/v...", b"/v1..41", b"/v99999999999999999999.1", b"/V1.41", b"/v1.41/v1.41", b"/v1.4%31", b"/%761.41"),
    *(b"/v+1.41", b"/v-1.41", b"/v1,41", b"/v1.4a", b"/v2.0", b"/v1.41%2f", b"/v1.41/libpod", b"/v\xd9\xa1.41", b"/1.41", b"/v1.41;x", b"/v0x1.41"),
)


def method_tricks(d):
    for method in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"CONNECT", b"FOO", b"PRI", b"get", b"Get",
                   b"GETX", b"G\x00T", b"", b"GET\t", b"POST,GET", b"PROPFIND", b"M-SEARCH", b"\xffGET", b"G" * 30, b"LINK", b"SOURCE", b"PURGE"):
        yield "method %r" % method, setting(method=method)
    for version in (b"HTTP/1.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/1.10", b"HTTP/1", b"HTTP/01.1", b"HTTP/1.01", b"HTTP/2.0", b"HTTP/2", b"HTTP/3.0",
                    b"http/1.1", b"HTTP/1.1 ", b"HTTP/1.1 x", b"HTTP/1.1\t", b"HTTP/1,1", b"HTTP/+1.1", b"HTTP/1.1\x00", b"", b"HTTPS/1.1", b"ICE/1.0"):
        yield "protocol %r" % version, setting(version=version)
    for before in (b"\r\n", b"\n", b" ", b"\r\n\r\n", b"\xef\xbb\xbf", b"\x00", b"\t", b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        yield "before %r" % before, setting(before=before)
    for gap in (b"  ", b"\t", b"\x0b", b"", b"\r", b"\xc2\xa0", b" \t"):
        yield "gap %r" % gap, setting(gap=gap)
    for end in (b"\n", b"\r", b"\n\r", b"\r\r\n", b" \r\n", b"\x85", b"\r\n "):
        yield "line end %r" % end, setting(end=end)


EVIL = (
    *((b"networkmode", b"host"), (b"networkmode", b"container:x"), (b"remote", b"http://127.0.0.1/x"), (b"t", b"debian:12"), (b"t", b"dind.invalid/x/y:1")),
    *((b"names", b"debian:12"), (b"repo", b"debian"), (b"tag", b"12"), (b"extrahosts", b"a:1.2.3.4"), (b"cachefrom", b'["debian:12"]'), (b"version", b"2")),
    *((b"session", b"s"), (b"outputs", b"[]"), (b"squash", b"1"), (b"cgroupparent", b"/"), (b"securityopt", b"x"), (b"platform", b"linux/arm64")),
    *((b"force", b"1"), (b"noprune", b"0"), (b"all", b"0"), (b"filters", b"{}"), (b"q", b"1"), (b"dockerfile", b"../x"), (b"memory", b"64m"), (b"x", b"y")),
)


def query_tricks(d):
    own = b"&".join(k + b"=" + quote(v, safe="").encode() for k, v in d.query)
    for key, value in EVIL:
        pair = key + b"=" + quote(value, safe="").encode()
        yield "also %r" % pair, setting(query_is=(own + b"&" if own else b"") + pair)
        yield "first %r" % pair, setting(query_is=pair + (b"&" + own if own else b""))
        for spelled in (key.upper(), key.capitalize(), b"%%%02X%s" % (key[0], key[1:]), key + b"[]", b"+" + key, key + b"%20", key + b"%00", b"%EF%BB%BF" + key):
            yield "key %r" % spelled, setting(query_is=(own + b"&" if own else b"") + spelled + b"=" + quote(value, safe="").encode())
        for glue in (b";", b"&;", b"%26", b"#&", b"&&", b"&=&", b"?", b"&amp;", b"\x00", b"%0d%0a&", b"%zz&", b"%&", b"=1&a%", b" ", b"\r\n", b"&%u0026"):
            yield "glue %r %r" % (glue, pair), setting(query_is=(own or b"a=b") + glue + pair)
    for key, value in d.query:
        rest = b"&".join(k + b"=" + quote(v, safe="").encode() for k, v in d.query if k != key)
        for text in respelled(key, value):
            yield "value %r" % text, setting(query_is=text + (b"&" + rest if rest else b""))


def respelled(key, value):
    """One pair in other words: some mean the same, some do not."""
    plain, every = quote(value, safe="").encode(), b"".join(b"%%%02x" % c for c in value)
    yield from (key + b"=" + every, b"".join(b"%%%02X" % c for c in key) + b"=" + plain, key + b"=" + plain + b"&", b"&" + key + b"=" + plain)
    yield from (key + b"=" + plain + b"&" + key + b"=" + plain, key + b"=&" + key + b"=" + plain, key, key + b"=", key + b"==" + plain)
    for tail in (b"%00", b"%0a", b"%20", b"+", b"%", b"%f", b"%zz", b"%ff", b"%c0%80", b";", b"#x", b"\xff", b"%ed%a0%80", b"%E2%80%AE", b"@", b"%2f..%2fx", b"%3adebian"):
        yield key + b"=" + plain + tail
        yield key + b"=" + tail + plain
    yield key + b"=" + b"a" * 70000


FORM = b"networkmode=host&t=victim/x:1&repo=victim&tag=9&names=debian:12&remote=http://127.0.0.1/"
MULTIPART = b"".join(b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % tuple(p.split(b"=", 1)) for p in FORM.split(b"&")) + b"--b--\r\n"
FORM_TYPES = (
    *("application/x-www-form-urlencoded", "APPLICATION/X-WWW-FORM-URLENCODED", "application/x-www-form-urlencoded; charset=utf-8"),
    *(" application/x-www-form-urlencoded", "application/x-www-form-urlencoded;", "multipart/mixed; boundary=b", BOUNDARY, BOUNDARY.upper(), "text/plain", ""),
)
EDGE = tar(("Dockerfile", b"FROM scratch\nLABEL made=here\n"))[:2048].ljust(4096, b"\0")  # what the engine's builder peeks at


def body_tricks(d):
    for kind in FORM_TYPES:
        field = b"Content-Type: " + kind.encode()
        for name, body in (("form", FORM), ("multipart", MULTIPART), ("tar and form", EDGE + FORM), ("tar and multipart", EDGE + MULTIPART)):
            for coding in ("counted", "chunked"):
                yield "%s as %r, %s" % (name, kind, coding), with_body(field, body, coding == "chunked")
    for field in (b"Content-Encoding: gzip", b"Content-Encoding: identity", b"X-HTTP-Method-Override: POST", b"Content-Type: application/x-tar"):
        yield "field %r" % field, lambda d, field=field: add_field(d, field)


def with_body(field, body, chunked):
    def change(d):
        d.fields = [f for f in d.fields if not f.startswith(b"Content-Type")] + [field]
        d.coded = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
        if chunked:
            d.fields.append(b"Transfer-Encoding: chunked")
            d.length = False
        return d

    return change


def add_field(d, *fields, first=False):
    d.fields = list(fields) + d.fields if first else d.fields + list(fields)
    return d


FIELDS = (
    *(b"Host: other", b"host: docker", b"X: a\r\n b", b"X: a\r\n\tb", b" X: a", b"\tX: a", b"X : a", b"X\t: a", b": a", b"X", b"", b"X: a\nY: b", b"X: a\rY: b"),
    *(b"X: a\x00b", b"X: a\x01b", b"X: a\x7fb", b"X: a\xffb", b"X\x00: a", b"X\xff: a", b"X(y): a", b"X y: a", b'"X": a', b"X: " + b"a" * 70000, b"X: a\r\r\n"),
    *(b"Expect: 100-continue", b"Expect: 100-CONTINUE", b"Expect: 200-ok", b"Expect: 100-continue, foo", b"Expect:", b"Expect: 100-continue\r\nExpect: x"),
    *(b"Upgrade: h2c", b"Upgrade: websocket\r\nConnection: Upgrade", b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk"),
    *(b"Upgrade: tcp\r\nConnection: upgrade", b"Connection: close", b"Connection: keep-alive", b"Connection: Transfer-Encoding", b"Connection: Content-Length"),
    *(b"Connection: Host, X-Registry-Config", b"Connection: close, keep-alive", b"Proxy-Connection: keep-alive", b"Keep-Alive: 1", b"TE: trailers", b"Trailer: Host"),
    *(b"Trailer: Content-Length", b"X-Registry-Config: e30=", b"X-Registry-Auth: e30=", b"X-Registry-Config: !!", b"X-Forwarded-For: 1", b"Forwarded: for=1", b"Cookie: a"),
    *(b"X-Original-URL: /containers/json", b"X-Rewrite-URL: /containers/json", b"Range: bytes=0-1", b"If-Match: *", b"Accept-Encoding: gzip", b"Authorization: Basic eDp4"),
    *(b"\r\n".join(b"X%d: a" % n for n in range(90)), b"\r\n".join(b"X%d: a" % n for n in range(120)), b"Via: 1.1 x", b"Max-Forwards: 0", b"Date: x"),
)
HOSTS = (b"", b"Host:", b"Host: ", b"Host: a b", b"Host: a/b", b"Host: a\x00", b"Host: a\r\nHost: a", b"host:docker", b"Host: %2Fvar%2Frun", b"Host : docker", b"Host: [::1]:80",
         b"Host: a,b", b"Host: \xff", b"Host: a@b", b"Host: docker\r\n ", b"Host: a?b", b"Host: a#b", b"H\xc3\xb6st: a")
LENGTHS = (
    *(b"", b"+%d", b"-%d", b"0%d", b"%d,%d", b"%d, %d", b"0x%x", b"%d ", b"%d;x", b"%d.0", b"%de0", b"\t%d", b"%d\x0b", b"9223372036854775807", b"9223372036854775808"),
    *(b"18446744073709551616", b"00000000000000000000000000000", b"0", b"%d\r\nContent-Length: %d", b"%d\r\nContent-Length: 0", b"%d\r\nContent-Length: 9", b"%d\r\n "),
)
CODINGS = (
    *(b"chunked", b"Chunked", b"CHUNKED", b" chunked", b"chunked ", b"\tchunked", b"xchunked", b"chunkedx", b"chunked, chunked", b"identity", b"identity, chunked"),
    *(b"chunked, identity", b"gzip, chunked", b"gzip", b",chunked", b"chunked,", b"", b"\x0bchunked", b"\xa0chunked", b"chunked;q=1", b'"chunked"', b"chun\x00ked"),
    *(b"chunked\r\nTransfer-Encoding: chunked", b"chunked\r\nTransfer-Encoding: identity", b"identity\r\nTransfer-Encoding: chunked", b"\r\n chunked", b"chunked\r\n x", b"deflate"),
)
CODING_NAMES = (b"Transfer-Encoding", b"transfer-encoding", b"Transfer_Encoding", b"Transfer-Encoding ", b"X-Transfer-Encoding", b"Transfer-Encoding\x00", b"\xc5\xbfransfer-Encoding")
# the first line of a chunk of all of the body, and what stands behind the body and behind the last chunk
CHUNKS = (
    *(b"%x\r\n", b"%X\r\n", b"0%x\r\n", b"0000000%x\r\n", b"00000000000000000000000000000000000000%x\r\n", b"0x%x\r\n", b"+%x\r\n", b"-%x\r\n", b" %x\r\n", b"%x \r\n", b"%x\t\r\n"),
    *(b"%x;a\r\n", b"%x;a=b\r\n", b'%x;a="\r\n"\r\n', b"%x;a\nb\r\n", b"%x;a\rb\r\n", b"%x\n", b"%x\r", b"%x\r\r\n", b"%x,\r\n", b"%xg\r\n", b"%x\x00\r\n", b"\r\n%x\r\n", b"%x;" + b"a" * 5000 + b"\r\n"),
    *(b"ffffffffffffffff\r\n", b"7fffffffffffffff\r\n", b"10000000000000000\r\n", b"fffffffffffffffff\r\n", b"\r\n", b"g\r\n", b"%x\r\n\r\n"),
)
CHUNK_ENDS = (b"", b"\n", b"\r", b"\n\r", b"x\r\n", b"\r\nx", b"\r\n\r\n", b" \r\n", b"\x00\r\n")
LAST_CHUNKS = (b"0\r\nX: a\r\n\r\n", b"0\r\nContent-Length: 5\r\n\r\n", b"0\n\n", b"0\r\n\n", b"0\n\r\n", b"00\r\n\r\n", b"0000000000000000000\r\n\r\n", b"\r\n\r\n", b"0;x\r\n\r\n", b"-0\r\n\r\n",
               b"0x0\r\n\r\n", b"0\r\n", b"0", b"", b"0\r\n\r", b"0\r\n x\r\n\r\n", b"0\r\n: x\r\n\r\n")


def head_tricks(d):
    for field in FIELDS:
        yield "field %r" % field[:60], lambda d, field=field: add_field(d, field)
        if len(field) < 1000:
            yield "first field %r" % field[:60], lambda d, field=field: add_field(d, field, first=True)
    for host in HOSTS:
        yield "host %r" % host, lambda d, host=host: setting(fields=[host] + [f for f in d.fields if f != HOST])(d)


def frame_tricks(d):
    size = len(d.body or b"")
    for text in LENGTHS:
        value = text.replace(b"%d", b"%d" % size).replace(b"%x", b"%x" % size)
        yield "length %r" % text, framed(d, [b"Content-Length: " + value], d.body or b"")
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (size, d.body) if size else b"0\r\n\r\n"
    for value in CODINGS:
        yield "coding %r" % value, framed(d, [b"Transfer-Encoding: " + value], chunked)
    for name in CODING_NAMES:
        yield "coding field %r" % name, framed(d, [name + b": chunked"], chunked)
        yield "both, coding field %r" % name, framed(d, [b"Content-Length: %d" % len(chunked), name + b": chunked"], chunked)
        yield "both, other order %r" % name, framed(d, [name + b": chunked", b"Content-Length: 0"], chunked)
    yield "chunked in 1.0", lambda d: setting(version=b"HTTP/1.0")(framed(d, [b"Transfer-Encoding: chunked"], chunked)(d))
    yield "chunked and closed", framed(d, [b"Transfer-Encoding: chunked", b"Connection: close"], chunked)
    if not size:
        return
    for line in CHUNKS:
        yield "chunk %r" % line[:40], framed(d, [b"Transfer-Encoding: chunked"], line.replace(b"%x", b"%x" % size).replace(b"%X", b"%X" % size) + d.body + b"\r\n0\r\n\r\n")
    for end in CHUNK_ENDS:
        yield "chunk end %r" % end, framed(d, [b"Transfer-Encoding: chunked"], b"%x\r\n%s%s0\r\n\r\n" % (size, d.body, end))
    for last in LAST_CHUNKS:
        yield "last chunk %r" % last, framed(d, [b"Transfer-Encoding: chunked"], b"%x\r\n%s\r\n%s" % (size, d.body, last))


def framed(_, fields, coded):
    def change(d):
        d.fields, d.coded, d.length = d.fields + fields, coded, False
        return d

    return change


SMUGGLED = b"GET /v1.41/containers/json HTTP/1.1\r\nHost: smuggled\r\n\r\n"


def behind_tricks(d):
    """What a careless reader takes for a request of its own, or for the rest of this one."""
    yield "behind: a request", setting(behind=SMUGGLED)
    yield "behind: CRLF and a request", setting(behind=b"\r\n" + SMUGGLED)
    yield "behind: an HTTP/2 preface", setting(behind=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    yield "behind: junk", setting(behind=b"\x00\x01junk\r\n\r\n")
    for fields in ([b"Content-Length: 0"], [b"Content-Length:"], [b"Content-Length: 5", b"Transfer-Encoding: chunked"], [b"Content-Length: %d" % len(SMUGGLED)]):
        yield "a request as body, %r" % fields, framed(d, fields, SMUGGLED)
    yield "a request in a chunk's end", framed(d, [b"Transfer-Encoding: chunked"], b"0\r\n" + SMUGGLED)


FAMILIES = (path_tricks, method_tricks, query_tricks, body_tricks, head_tricks, frame_tricks, behind_tricks)


def applied(draft, *changes):
    d = draft.copy()
    for change in changes:
        d = change(d)
    return d.raw()


def variants(seed=1, pairs=1000):
    dice, found, seen = random.Random(seed), [], set()

    def keep(draft, name, raw):
        if raw not in seen:
            seen.add(raw)
            found.append(Variant("%s %s: %s" % (draft.method.decode(), draft.path.decode(), name), draft.route, raw))

    tricks = {d: [list(family(d)) for family in FAMILIES] for d in ROUTES}
    for d in ROUTES:
        for family in tricks[d]:
            for name, change in family:
                keep(d, name, applied(d, change))
    for _ in range(pairs):
        d = dice.choice(ROUTES)
        one, two = (dice.choice(family) for family in dice.sample(tricks[d], 2))
        keep(d, one[0] + " + " + two[0], applied(d, one[1], two[1]))
    return found
