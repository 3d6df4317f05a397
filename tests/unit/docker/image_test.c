#include "docker/image.h"

#include <stdlib.h>
#include <zlib.h>

#include "archive/tar.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "clear.h"
#include "tap.h"

/*
 * Archives are made from rows of text in which these words stand for what is computed: @1 @2 the digests of
 * the two layers, @C the digest of the row's config, @V @W two layer directories of engine 20.10.
 */
#define NS "abcdefghijklmnop2345"
#define MINE "dind.invalid/" NS "/docker.io/library/"
#define OTHER "dind.invalid/zbcdefghijklmnop2345/docker.io/library/"
#define V "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define W "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ROOTFS "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:@1\",\"sha256:@2\"]}"
#define CONFIG "{\"architecture\":\"amd64\",\"os\":\"linux\"," ROOTFS "}"
#define MANIFEST                                                                                             \
	"[{\"Config\":\"@C.json\",\"RepoTags\":[\"evil:1\"],\"Layers\":[\"@V/layer.tar\",\"@W/"              \
	"layer.tar\"]}]"
#define OCI_MANIFEST "{\"config\":{\"digest\":\"sha256:@C\"}}"
#define LAYER1 "the first layer"
#define LAYER2 "{ a second one that looks like JSON"
enum { LAYER_SIZE = 2048 };

struct file {
	const char *name, *content;
	char type; /* 0: a file; for links content is the target */
};

struct row {
	const char *name;
	const char *rule;     /* NULL: accepted */
	const char *config;   /* NULL: CONFIG */
	const char *manifest; /* NULL: MANIFEST; "": there is none */
	const char *drop;     /* a file of the base that is left out */
	const char *id;       /* that is asked for */
	int export_only;      /* it goes by an engine's id: refused for LOAD */
	struct file add[4];   /* before the manifest */
};

static char digest1[HASH_HEX_MAX], digest2[HASH_HEX_MAX], digest_config[HASH_HEX_MAX];
static char digest_oci[HASH_HEX_MAX]; /* of OCI_MANIFEST */

static void
expand(const char *text, struct buf *out)
{
	for (; *text != '\0'; text++) {
		const char *word = text[0] != '@'   ? NULL
		                   : text[1] == '1' ? digest1
		                   : text[1] == '2' ? digest2
		                   : text[1] == 'C' ? digest_config
		                   : text[1] == 'M' ? digest_oci
		                   : text[1] == 'V' ? V
		                   : text[1] == 'W' ? W
		                                    : NULL;

		if (word != NULL)
			buf_adds(out, word);
		else
			buf_add(out, text, 1);
		text += word != NULL;
	}
}

static void
put(struct buf *out, char type, const char *name, const void *bytes, size_t len)
{
	struct buf n = { 0 }, link = { 0 };
	char none[] = "";
	struct tar_entry t = { .type = type ? (enum tar_type)type : TAR_FILE, .uname = none, .gname = none };
	struct err e = { 0 };

	expand(name, &n);
	if (type && bytes != NULL)
		expand(bytes, &link);
	t.name = (char *)(uintptr_t)buf_text(&n);
	t.link = (char *)(uintptr_t)buf_text(&link);
	t.mode = 0755;
	t.mtime = 1795450836;
	t.uid = 12;
	t.size = type ? 0 : len;
	if (tar_write_header(out, &t, &e) < 0)
		printf("# %s\n", e.text);
	if (!type)
		buf_add(out, bytes, len);
	tar_write_pad(out, t.size);
	buf_done(&n);
	buf_done(&link);
}

/* The layer of that name: a tar of one file, whose name is the first thing in it. */
static void
layer(const char *text, struct buf *out)
{
	put(out, 0, text, "x", 1);
	tar_write_end(out);
}

static void
layer_digest(const char *text, char hex[HASH_HEX_MAX])
{
	struct buf b = { 0 };

	layer(text, &b);
	hash_once(HASH_SHA256, buf_ptr(&b), buf_len(&b), hex);
	buf_done(&b);
}

static void
put_text(struct buf *out, const char *name, const char *text)
{
	struct buf b = { 0 };

	if (strncmp(text, LAYER1, strlen(LAYER1)) == 0 || strcmp(text, LAYER2) == 0)
		layer(text, &b);
	else
		expand(text, &b);
	put(out, 0, name, buf_text(&b), buf_len(&b));
	buf_done(&b);
}

static int
dropped(const struct row *r, const char *name)
{
	return r->drop != NULL && strcmp(r->drop, name) == 0;
}

static void
make(const struct row *r, struct buf *out)
{
	const char *config = r->config != NULL ? r->config : CONFIG;
	struct buf b = { 0 };

	expand(config, &b);
	hash_once(HASH_SHA256, buf_text(&b), buf_len(&b), digest_config);
	buf_clear(&b);
	expand(OCI_MANIFEST, &b);
	hash_once(HASH_SHA256, buf_text(&b), buf_len(&b), digest_oci);
	buf_clear(&b);
	expand(config, &b);
	if (!dropped(r, "@C.json"))
		put(out, 0, "@C.json", buf_text(&b), buf_len(&b));
	put(out, '5', "@V/", NULL, 0);
	put_text(out, "@V/VERSION", "1.0");
	put_text(out, "@V/json", "{}");
	if (!dropped(r, "@V/layer.tar"))
		put_text(out, "@V/layer.tar", LAYER1);
	if (!dropped(r, "@W/layer.tar"))
		put_text(out, "@W/layer.tar", LAYER2);
	for (size_t i = 0; i < 4 && r->add[i].name != NULL; i++)
		if (r->add[i].type)
			put(out, r->add[i].type, r->add[i].name, r->add[i].content, 0);
		else
			put_text(out, r->add[i].name, r->add[i].content);
	if (r->manifest == NULL || r->manifest[0] != '\0')
		put_text(out, "manifest.json", r->manifest ? r->manifest : MANIFEST);
	put_text(out, "repositories", "{\"evil\":{\"1\":\"@W\"}}");
	tar_write_end(out);
	buf_done(&b);
}

/* Runs the filter over bytes in steps; returns its end, with e. splits counts layer ends. Steps of an odd
 * size go the short way where it is open. */
static int
filter(const struct image_ask *ask, const struct buf *bytes, size_t step, size_t high, struct image_facts *f,
    struct buf *out, size_t *splits, struct err *e)
{
	struct filter *x = image_filter_new(ask, f);
	struct buf in = { 0 }, part = { 0 };
	size_t given = 0, len = buf_len(bytes), n;
	int rc = FILTER_MORE;

	*splits = 0;
	while (rc == FILTER_MORE) {
		n = len - given < step ? len - given : step;
		if (step % 2 == 1)
			given += go_clear(x, &in, buf_ptr(bytes) + given, n, out);
		n = len - given < n ? len - given : n;
		buf_add(&in, buf_ptr(bytes) + given, n);
		given += n;
		do {
			rc = x->run(x, &in, given == len, &part, high, e);
			n = buf_move(&part, out, buf_len(&part));
			*splits += image_at_layer_end(x) != NULL;
		} while (rc == FILTER_MORE && (n > 0 || image_at_layer_end(x)));
	}
	filter_free(x);
	buf_done(&in);
	buf_done(&part);
	return rc;
}

static int
same(const struct buf *a, const struct buf *b)
{
	return buf_len(a) == buf_len(b) &&
	       (buf_len(a) == 0 || memcmp(buf_ptr(a), buf_ptr(b), buf_len(a)) == 0);
}

/* The names of an archive, and the text of one of its files. */
static void
list(const struct buf *archive, const char *wanted, struct buf *names, struct buf *text)
{
	struct tar_reader *r = tar_reader_new();
	struct buf in = { 0 };
	const uint8_t *data;
	struct err e = { 0 };
	size_t len;
	int event;

	buf_add(&in, buf_ptr(archive), buf_len(archive));
	while ((event = tar_read(r, &in, 1, &data, &len, &e)) > 0 && event != TAR_EOF) {
		const struct tar_entry *t = tar_reader_entry(r);

		if (event == TAR_ENTRY)
			buf_printf(names, "%s ", t->name);
		if (event == TAR_DATA && strcmp(t->name, wanted) == 0)
			buf_add(text, data, len);
	}
	is_int(event, TAR_EOF, "the output is an archive");
	tar_reader_free(r);
	buf_done(&in);
}

static const char *const one_tag[] = { "app:1" };

static const struct row rows[] = {
	{ .name = "an image" },
	{ .name = "the id that was asked for", .id = "sha256:@C" },
	{ .name = "another id", .rule = "image-id", .id = "sha256:" V },
	{ .name = "no manifest", .rule = "image-manifest", .manifest = "" },
	{ .name = "a manifest that is not JSON", .rule = "image-manifest", .manifest = "{{{" },
	{ .name = "a manifest of no image", .rule = "image-manifest", .manifest = "[]" },
	{ .name = "a manifest that is no array", .rule = "image-manifest", .manifest = "{}" },
	{ .name = "a manifest of null", .rule = "image-manifest", .manifest = "[null]" },
	{ .name = "two images",
	    .rule = "image-manifest",
	    .manifest = "[{\"Config\":\"@C.json\"},{\"Config\":\"@C.json\",\"RepoTags\":[\"host:1\"]}]" },
	{ .name = "a key twice",
	    .rule = "image-manifest",
	    .manifest = "[{\"Config\":\"@C.json\",\"RepoTags\":[],\"RepoTags\":[\"host:1\"]}]" },
	{ .name = "a key in another case",
	    .rule = "image-manifest",
	    .manifest = "[{\"Config\":\"@C.json\",\"repotags\":[\"host:1\"],\"Layers\":[]}]" },
	{ .name = "a parent",
	    .rule = "image-manifest",
	    .manifest = "[{\"Config\":\"@C.json\",\"Parent\":\"sha256:@C\",\"Layers\":[]}]" },
	{ .name = "a manifest twice",
	    .rule = "image-duplicate",
	    .add = { { "manifest.json", MANIFEST, 0 } } },
	{ .name = "a layer twice", .rule = "image-duplicate", .add = { { "@V/layer.tar", "x", 0 } } },
	{ .name = "a file where a layer was linked",
	    .rule = "image-duplicate",
	    .drop = "@V/layer.tar",
	    .add = { { "@V/layer.tar", "../@W/layer.tar", '2' }, { "@V/layer.tar", LAYER1, 0 } } },
	{ .name = "a manifest as link",
	    .rule = "image-member",
	    .manifest = "",
	    .add = { { "manifest.json", "zz.json", '2' } } },
	{ .name = "an unknown member", .rule = "image-member", .add = { { "zz.json", "[]", 0 } } },
	{ .name = "a way out", .rule = "image-member", .add = { { "../x", "x", 0 } } },
	{ .name = "a way out through a layer", .rule = "image-member", .add = { { "@V/../x", "x", 0 } } },
	{ .name = "an absolute name", .rule = "image-member", .add = { { "/manifest.json", "x", 0 } } },
	{ .name = "a name with a dot", .rule = "image-member", .add = { { "./manifest.json", "x", 0 } } },
	{ .name = "a hard link",
	    .rule = "image-member",
	    .drop = "@V/layer.tar",
	    .add = { { "@V/layer.tar", "/etc/passwd", '1' } } },
	{ .name = "a device", .rule = "image-member", .add = { { "@V/layer.tar", NULL, '4' } } },
	{ .name = "a FIFO", .rule = "image-member", .add = { { "@V/layer.tar", NULL, '6' } } },
	{ .name = "a directory as layer",
	    .rule = "image-member",
	    .drop = "@V/layer.tar",
	    .add = { { "@V/layer.tar/", NULL, '5' } } },
	{ .name = "upper-case hex",
	    .rule = "image-member",
	    .add = { { "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/json", "{}", 0 } } },
	{ .name = "a link to the host",
	    .rule = "image-link",
	    .drop = "@V/layer.tar",
	    .add = { { "@V/layer.tar", "/etc/passwd", '2' } } },
	{ .name = "a link that climbs",
	    .rule = "image-link",
	    .drop = "@V/layer.tar",
	    .add = { { "@V/layer.tar", "../../@W/layer.tar", '2' } } },
	{ .name = "a link to a config",
	    .rule = "image-link",
	    .drop = "@V/layer.tar",
	    .add = { { "@V/layer.tar", "../@C.json", '2' } } },
	{ .name = "a link to nothing",
	    .rule = "image-layer",
	    .drop = "@V/layer.tar",
	    .add = { { "@V/layer.tar", "../@1.tar", '2' } } },
	{ .name = "a link to itself",
	    .rule = "image-layer",
	    .drop = "@V/layer.tar",
	    .add = { { "@V/layer.tar", "../@V/layer.tar", '2' } } },
	{ .name = "a link to another layer than the config says",
	    .rule = "image-layer",
	    .drop = "@V/layer.tar",
	    .add = { { "@V/layer.tar", "../@W/layer.tar", '2' } } },
	{ .name = "a link to the layer, of skopeo",
	    .drop = "@V/layer.tar",
	    .add = { { "@V/layer.tar", "../@1.tar", '2' }, { "@1.tar", LAYER1, 0 } } },
	{ .name = "a repeated layer, of engine 20.10",
	    .config =
	        "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:@1\",\"sha256:@2\",\"sha256:@1\"]}}",
	    .manifest =
	        "[{\"Config\":\"@C.json\",\"Layers\":[\"@V/layer.tar\",\"@W/layer.tar\",\"@C/layer.tar\"]}]",
	    .add = { { "@C/layer.tar", "../@V/layer.tar", '2' } } },
	{ .name = "no config", .rule = "image-config", .drop = "@C.json" },
	{ .name = "a config outside",
	    .rule = "image-config",
	    .manifest = "[{\"Config\":\"../../etc/hostname\",\"Layers\":[]}]" },
	{ .name = "a layer as config",
	    .rule = "image-config",
	    .manifest = "[{\"Config\":\"@V/layer.tar\",\"Layers\":[]}]" },
	{ .name = "a config under another digest",
	    .rule = "image-config",
	    .drop = "@C.json",
	    .add = { { "@C.json", CONFIG " ", 0 } } },
	{ .name = "a config that is no object", .rule = "image-config", .config = "[]" },
	{ .name = "a config with a key twice", .rule = "image-config", .config = "{" ROOTFS "," ROOTFS "}" },
	{ .name = "a config with another rootfs for the engine",
	    .rule = "image-config",
	    .config = "{" ROOTFS ",\"Rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}" },
	{ .name = "the same in Unicode",
	    .rule = "image-config",
	    .config = "{" ROOTFS ",\"rootf\xc5\xbf\":{\"type\":\"layers\",\"diff_ids\":[]}}" },
	{ .name = "the same one level down",
	    .rule = "image-config",
	    .config = "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:@1\",\"sha256:@2\"],\"DIFF_"
	              "IDS\":[]}}" },
	{ .name = "an image for windows",
	    .rule = "image-config",
	    .config = "{\"os\":\"windows\"," ROOTFS "}" },
	{ .name = "an architecture that is none",
	    .rule = "image-config",
	    .config = "{\"architecture\":\"\\u001b[2J\"," ROOTFS "}" },
	{ .name = "fewer layers than the config has",
	    .rule = "image-layers",
	    .manifest = "[{\"Config\":\"@C.json\",\"Layers\":[\"@V/layer.tar\"]}]" },
	{ .name = "layers that are left out", .rule = "image-layer", .drop = "@V/layer.tar" },
	{ .name = "a layer outside",
	    .rule = "image-layer",
	    .manifest = "[{\"Config\":\"@C.json\",\"Layers\":[\"../../etc/hostname\",\"@W/layer.tar\"]}]" },
	{ .name = "layers in another order",
	    .rule = "image-layer",
	    .manifest = "[{\"Config\":\"@C.json\",\"Layers\":[\"@W/layer.tar\",\"@V/layer.tar\"]}]" },
	{ .name = "another layer",
	    .rule = "image-layer",
	    .drop = "@V/layer.tar",
	    .add = { { "@V/layer.tar", LAYER1 "!", 0 } } },
	{ .name = "a layer that is no string",
	    .rule = "image-layers",
	    .manifest = "[{\"Config\":\"@C.json\",\"Layers\":[7,\"@W/layer.tar\"]}]" },
	{ .name = "a layer that no one names",
	    .rule = "image-member",
	    .add = { { "@C/layer.tar", LAYER1 " stowaway", 0 } } },
	{ .name = "a layer that is no tar",
	    .rule = "image-contents",
	    .drop = "@V/layer.tar",
	    .add = { { "@V/layer.tar", "text", 0 } } },
	{ .name = "a layer that is no tar, and looks like metadata",
	    .rule = "image-contents",
	    .drop = "@W/layer.tar",
	    .manifest = "[{\"Config\":\"@C.json\",\"Layers\":[\"@V/layer.tar\",\"blobs/sha256/@2\"]}]",
	    .add = { { "blobs/sha256/@2", "{ text", 0 } } },
	{ .name = "no rootfs", .rule = "image-layers", .config = "{\"os\":\"linux\"}" },
	{ .name = "a damaged gzip layer",
	    .rule = "image-layer",
	    .drop = "@V/layer.tar",
	    .add = { { "@V/layer.tar", "\x1f\x8b\x08oops, this is none", 0 } } },
	{ .name = "a bzip2 layer",
	    .rule = "image-layer",
	    .drop = "@V/layer.tar",
	    .add = { { "@V/layer.tar", "BZh91AY", 0 } } },
	{ .name = "an OCI layout: blobs, and an index that means something else",
	    .manifest = "[{\"Config\":\"blobs/sha256/@C\",\"RepoTags\":null,\"Layers\":[\"blobs/sha256/@1\","
	                "\"@W/layer.tar\"],\"LayerSources\":{}}]",
	    .drop = "@V/layer.tar",
	    .add = { { "blobs/sha256/@C", CONFIG, 0 }, { "blobs/sha256/@1", LAYER1, 0 },
	        { "index.json",
	            "{\"manifests\":[{\"annotations\":{\"io.containerd.image.name\":\"evil/x\"}}]}", 0 },
	        { "oci-layout", "{}", 0 } } },
	{ .name = "the id of an OCI manifest",
	    .id = "sha256:@M",
	    .export_only = 1,
	    .add = { { "blobs/sha256/@M", OCI_MANIFEST, 0 } } },
	{ .name = "the id of an OCI manifest that is not there", .rule = "image-id", .id = "sha256:@M" },
	{ .name = "the id of a blob that is no manifest",
	    .rule = "image-id",
	    .id = "sha256:@1",
	    .add = { { "blobs/sha256/@1", "{}", 0 } } },
	{ .name = "the id of a blob that is not its digest",
	    .rule = "image-id",
	    .id = "sha256:" W,
	    .add = { { "blobs/sha256/" W, OCI_MANIFEST, 0 } } },
	{ .name = "an OCI layout: a layer that looks like metadata",
	    .drop = "@W/layer.tar",
	    .manifest = "[{\"Config\":\"@C.json\",\"Layers\":[\"@V/layer.tar\",\"blobs/sha256/@2\"]}]",
	    .add = { { "blobs", NULL, '5' }, { "blobs/sha256/", NULL, '5' }, { "blobs/sha256/@2", LAYER2, 0 },
	        { "blobs/sha256/" V, "{\"v1\":1}", 0 } } },
};

/* What the containerd store reads says the same. */
static void
check_oci(const struct buf *out, const struct image_facts *f)
{
	struct buf names = { 0 }, text = { 0 }, want = { 0 };
	char *path = mem_printf("blobs/sha256/%s", f->manifest_id + 7), hex[HASH_HEX_MAX];

	list(out, "index.json", &names, &text);
	buf_printf(&want, "\"digest\":\"%s\"", f->manifest_id);
	ok(strstr(buf_text(&text), buf_text(&want)) != NULL, "index.json names our manifest");
	ok(strstr(buf_text(&text), "\"io.containerd.image.name\":\"app:1\"") != NULL, "under our name");
	ok(strstr(buf_text(&text), "evil") == NULL, "and no other");
	buf_clear(&text);
	buf_clear(&want);
	list(out, path, &names, &text);
	hash_once(HASH_SHA256, buf_ptr(&text), buf_len(&text), hex);
	is_str(f->manifest_id + 7, hex, "which is there");
	buf_printf(&want, "\"digest\":\"sha256:%s\",\"size\":", digest_config);
	ok(strstr(buf_text(&text), buf_text(&want)) != NULL, "with that config");
	buf_clear(&want);
	buf_printf(&want, "layer.v1.tar\",\"digest\":\"%s\",\"size\":%zu}", f->layers[0].diff_id,
	    (size_t)LAYER_SIZE);
	ok(strstr(buf_text(&text), buf_text(&want)) != NULL, "and those layers");
	free(path);
	buf_done(&names);
	buf_done(&text);
	buf_done(&want);
}

static void
check_output(const struct row *r, const struct buf *out, const char *tag, const struct image_facts *f)
{
	struct buf names = { 0 }, text = { 0 }, want = { 0 };

	list(out, "manifest.json", &names, &text);
	buf_printf(&want, "\"RepoTags\":[\"%s\"],", tag);
	ok(strstr(buf_text(&text), buf_text(&want)) != NULL, "the manifest has our name");
	ok(strstr(buf_text(&text), "evil") == NULL, "and no other");
	buf_clear(&want);
	if (f->manifest_id[0] == '\0')
		buf_printf(&want, "%s.json manifest.json repositories ", digest_config);
	else
		buf_printf(&want, "%s.json blobs/sha256/%s index.json oci-layout manifest.json repositories ",
		    digest_config, f->manifest_id + 7);
	ok(buf_len(&names) > buf_len(&want) &&
	        strcmp(buf_text(&names) + buf_len(&names) - buf_len(&want), buf_text(&want)) == 0,
	    "metadata comes last");
	if (r->rule != NULL)
		printf("# %s\n", buf_text(&names));
	buf_done(&names);
	buf_done(&text);
	buf_done(&want);
}

static void
test_row(const struct row *r, enum image_mode mode)
{
	static const size_t steps[][2] = { { 1 << 20, 1 << 20 }, { 1, 1 << 20 }, { 777, 1 } };
	struct buf archive = { 0 }, first = { 0 }, id = { 0 }, again = { 0 };
	struct image_ask ask = { .mode = mode, .tag_count = 1, .tags = one_tag };
	static struct image_facts f;
	struct err e = { 0 };
	size_t splits;

	make(r, &archive);
	if (r->id != NULL) {
		expand(r->id, &id);
		ask.id = buf_text(&id);
	}
	for (size_t i = 0; i < 3; i++) {
		struct buf out = { 0 };
		int rc = filter(&ask, &archive, steps[i][0], steps[i][1], &f, &out, &splits, &e);

		is_int(rc, r->rule ? -1 : FILTER_DONE, r->name);
		is_str(e.rule, r->rule, rc < 0 ? e.text : "no rule");
		if (i > 0)
			ok(rc < 0 || same(&out, &first), "the same bytes however they come");
		else
			buf_move(&out, &first, buf_len(&out));
		buf_done(&out);
	}
	if (r->rule == NULL) {
		is_int(f.tar_bytes, buf_len(&first), "its size");
		is_str(f.layers[1].diff_id + 7, digest2, "its layers");
		is_int(f.layers[0].size, LAYER_SIZE, "their sizes");
		ok(splits == 0 || mode == IMAGE_EXPORT, "ends of layers for EXPORT");
		is_int(f.manifest_id[0] != '\0', mode == IMAGE_LOAD, "an OCI manifest for LOAD");
		check_output(r, &first, one_tag[0], &f);
		if (mode == IMAGE_LOAD)
			check_oci(&first, &f);
		ask.id = NULL;
		is_int(filter(&ask, &first, 1 << 20, 1 << 20, &f, &again, &splits, &e), FILTER_DONE,
		    "what comes out goes in");
		ok(same(&first, &again), "and comes out as it is");
	} else {
		is_int(e.status, 400, "status");
	}
	buf_done(&archive);
	buf_done(&first);
	buf_done(&again);
	buf_done(&id);
}

/* Cut anywhere, or with a byte behind its end: refused, and no metadata has gone out. */
static void
test_cuts(void)
{
	static const struct row plain = { .name = "plain" };
	struct image_ask ask = { .mode = IMAGE_LOAD, .tag_count = 1, .tags = one_tag };
	static struct image_facts f;
	struct buf archive = { 0 }, tail = { 0 };
	size_t bad = 0, splits, whole;
	struct err e = { 0 };

	make(&plain, &archive);
	whole = buf_len(&archive);
	for (size_t n = 0; n<whole; n += n % 512> 2 && n % 512 < 509 ? 101 : 1) {
		struct buf cut = { 0 }, out = { 0 };
		int rc;

		buf_add(&cut, buf_ptr(&archive), n);
		rc = filter(&ask, &cut, 4096, 1 << 20, &f, &out, &splits, &e);
		if (rc == FILTER_DONE)
			/* only `repositories` may lack, which is not read, and padding: tar may end behind
			 * any file's bytes */
			bad += n < whole - 1024 - 1024 - 511;
		else
			bad += memmem(buf_text(&out), buf_len(&out), "manifest.json", 13) != NULL;
		buf_done(&cut);
		buf_done(&out);
	}
	is_int(bad, 0, "cut anywhere");
	buf_add(&archive, "x", 1);
	is_int(filter(&ask, &archive, 4096, 1 << 20, &f, &tail, &splits, &e), -1, "a byte behind the end");
	is_str(e.rule, "image-tar", "image-tar");
	buf_clear(&tail);
	buf_clear(&archive);
	make(&plain, &archive);
	make(&plain, &archive);
	is_int(
	    filter(&ask, &archive, 4096, 1 << 20, &f, &tail, &splits, &e), -1, "a second archive behind it");
	is_str(e.rule, "image-tar", "image-tar");
	buf_done(&archive);
	buf_done(&tail);
}

static void
gzip(const void *bytes, size_t len, struct buf *out)
{
	z_stream z = { 0 };
	size_t room = len / 100 + 1024;

	deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
	z.next_in = (Bytef *)(uintptr_t)bytes;
	z.avail_in = (unsigned)len;
	z.next_out = buf_reserve(out, room);
	z.avail_out = (unsigned)room;
	deflate(&z, Z_FINISH);
	buf_commit(out, room - z.avail_out);
	deflateEnd(&z);
}

/* Layers as registries send them: checked for what comes out of them, kept as they are; and limits. */
/* The containerd store knows a compressed layer by what it is compressed to. */
static void
check_zipped(const struct buf *archive, const struct buf *zipped)
{
	struct image_ask ask = { .mode = IMAGE_LOAD, .tag_count = 1, .tags = one_tag };
	struct buf out = { 0 }, names = { 0 }, text = { 0 }, want = { 0 };
	static struct image_facts f;
	char hex[HASH_HEX_MAX], *path;
	struct err e = { 0 };
	size_t splits;

	for (size_t step = 1; step < 1 << 20; step += (1 << 20) - 2) {
		buf_clear(&out);
		buf_clear(&text);
		buf_clear(&want);
		is_int(filter(&ask, archive, step, 1 << 20, &f, &out, &splits, &e), FILTER_DONE, "loaded");
		path = mem_printf("blobs/sha256/%s", f.manifest_id + 7);
		list(&out, path, &names, &text);
		free(path);
		hash_once(HASH_SHA256, buf_ptr(zipped), buf_len(zipped), hex);
		buf_printf(&want, "layer.v1.tar+gzip\",\"digest\":\"sha256:%s\",\"size\":%zu}", hex,
		    buf_len(zipped));
		ok(strstr(buf_text(&text), buf_text(&want)) != NULL, "its own digest, size and type");
	}
	buf_done(&out);
	buf_done(&names);
	buf_done(&text);
	buf_done(&want);
}

static void
test_sizes(void)
{
	static char zeros[4 * 1024 * 1024];
	static struct image_facts f;
	struct image_ask ask = { .mode = IMAGE_EXPORT, .tag_count = 1, .tags = one_tag };
	struct buf archive = { 0 }, out = { 0 }, zipped = { 0 };
	char hex[HASH_HEX_MAX], *config;
	struct err e = { 0 };
	size_t splits;

	hash_once(HASH_SHA256, zeros, sizeof zeros, hex);
	gzip(zeros, sizeof zeros, &zipped);
	config = mem_printf("{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\"]}}", hex);
	hash_once(HASH_SHA256, config, strlen(config), digest_config);
	put(&archive, 0, "@1.tar.gz", buf_ptr(&zipped), buf_len(&zipped));
	put_text(&archive, "@C.json", config);
	put_text(&archive, "manifest.json", "[{\"Config\":\"@C.json\",\"Layers\":[\"@1.tar.gz\"]}]");
	tar_write_end(&archive);
	is_int(filter(&ask, &archive, 999, 1 << 20, &f, &out, &splits, &e), FILTER_DONE, "a gzip layer");
	is_int(f.layers[0].size, sizeof zeros, "its size is what comes out");
	is_int(splits, 1, "a frame ends behind it");
	check_zipped(&archive, &zipped);
	ask.max_bytes = 2 * 1024 * 1024;
	is_int(filter(&ask, &archive, 999, 1 << 20, &f, &out, &splits, &e), -1, "a bomb");
	is_str(e.rule, "limit-image-bytes", "limit-image-bytes");
	is_int(e.status, 413, "413");
	ask.max_bytes = 2048;
	is_int(filter(&ask, &archive, 999, 1 << 20, &f, &out, &splits, &e), -1, "too large a tarball");
	is_str(e.rule, "limit-image-bytes", "limit-image-bytes");
	free(config);
	buf_done(&archive);
	buf_done(&out);
	buf_done(&zipped);
}

static void
test_counts(void)
{
	static char big[4 * 1024 * 1024 + 1];
	static struct image_facts f;
	struct image_ask ask = { .mode = IMAGE_LOAD, .tag_count = 1, .tags = one_tag };
	struct buf archive = { 0 }, out = { 0 };
	struct err e = { 0 };
	size_t splits;

	for (unsigned i = 0; i <= 10000; i++) {
		char *name = mem_printf("%064x/json", i);

		put_text(&archive, name, "");
		free(name);
	}
	tar_write_end(&archive);
	is_int(filter(&ask, &archive, 1 << 20, 1 << 20, &f, &out, &splits, &e), -1, "10,001 members");
	is_str(e.rule, "image-members", "image-members");

	memset(big, ' ', sizeof big);
	buf_clear(&archive);
	put(&archive, 0, "manifest.json", big, sizeof big);
	is_int(filter(&ask, &archive, 1 << 20, 1 << 20, &f, &out, &splits, &e), -1, "a large manifest");
	is_str(e.rule, "image-metadata", "image-metadata");

	buf_clear(&archive);
	for (int i = 0; i < 5; i++) {
		char *name = mem_printf("%064x.json", (unsigned)i);

		put(&archive, 0, name, big, sizeof big - 1);
		free(name);
	}
	is_int(filter(&ask, &archive, 1 << 20, 1 << 20, &f, &out, &splits, &e), -1, "20 MiB of metadata");
	is_str(e.rule, "image-metadata", "image-metadata");
	buf_done(&archive);
	buf_done(&out);
}

static void
test_layer_count(int count)
{
	static struct image_facts f;
	struct image_ask ask = { .mode = IMAGE_LOAD, .tag_count = 1, .tags = one_tag };
	struct buf archive = { 0 }, out = { 0 }, config = { 0 }, manifest = { 0 };
	struct err e = { 0 };
	size_t splits;
	int rc;

	buf_adds(&config, "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[");
	buf_adds(&manifest, "[{\"Config\":\"@C.json\",\"Layers\":[");
	for (int i = 0; i < count; i++) {
		buf_printf(&config, "%s\"sha256:%s\"", i ? "," : "", digest1);
		buf_printf(&manifest, "%s\"@V/layer.tar\"", i ? "," : "");
	}
	buf_adds(&config, "]}}");
	buf_adds(&manifest, "]}]");
	hash_once(HASH_SHA256, buf_text(&config), buf_len(&config), digest_config);
	if (count > 0)
		put_text(&archive, "@V/layer.tar", LAYER1);
	put_text(&archive, "@C.json", buf_text(&config));
	put_text(&archive, "manifest.json", buf_text(&manifest));
	tar_write_end(&archive);
	rc = filter(&ask, &archive, 1 << 20, 1 << 20, &f, &out, &splits, &e);
	is_int(rc, count <= 127 ? FILTER_DONE : -1, "0, 127, 128 layers");
	is_int(f.layer_count, count <= 127 ? count : 0, "their number");
	is_str(e.rule, count <= 127 ? NULL : "image-layers", "image-layers above 127");
	buf_done(&archive);
	buf_done(&out);
	buf_done(&config);
	buf_done(&manifest);
}

/* Layers that the engine is said to have; have is in order, 1 and 2 the layers of the image, 3 another. */
static const struct {
	struct row row;
	const char *have;
	int any_id;
	size_t left_out;
} partial[] = {
	{ { .name = "nothing is left out" }, "12", 0, 0 },
	{ { .name = "the base is left out", .drop = "@V/layer.tar" }, "1", 0, 1 },
	{ { .name = "a longer chain", .drop = "@V/layer.tar" }, "123", 0, 1 },
	{ { .name = "a chain that goes another way then", .drop = "@V/layer.tar" }, "13", 0, 1 },
	{ { .name = "it has nothing", .rule = "image-layer", .drop = "@V/layer.tar" }, "", 0, 0 },
	{ { .name = "it has another base", .rule = "image-layer", .drop = "@V/layer.tar" }, "31", 0, 0 },
	{ { .name = "it has only the top", .rule = "image-layer", .drop = "@W/layer.tar" }, "2", 0, 0 },
	{ { .name = "the top is left out too", .rule = "image-layer", .drop = "@W/layer.tar" }, "1", 0, 0 },
	{ { .name = "no id vouches for it", .rule = "image-layer", .drop = "@V/layer.tar" }, "1", 1, 0 },
	{ { .name = "a name that no layer has",
	      .rule = "image-layer",
	      .manifest = "[{\"Config\":\"@C.json\",\"Layers\":[\"../../etc/passwd\",\"@W/layer.tar\"]}]",
	      .drop = "@V/layer.tar" },
	    "1", 0, 0 },
	{ { .name = "the name of a config",
	      .rule = "image-layer",
	      .manifest = "[{\"Config\":\"@C.json\",\"Layers\":[\"@V.json\",\"@W/layer.tar\"]}]",
	      .drop = "@V/layer.tar" },
	    "1", 0, 0 },
	{ { .name = "a link to it",
	      .rule = "image-layer",
	      .drop = "@V/layer.tar",
	      .add = { { "@V/layer.tar", "../@1.tar", '2' } } },
	    "1", 0, 0 },
	{ { .name = "a layer that comes again above",
	      .rule = "image-layer",
	      .config = "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:@1\",\"sha256:@2\",\"sha256:"
	                "@1\"]}}",
	      .manifest = "[{\"Config\":\"@C.json\",\"Layers\":[\"@V/layer.tar\",\"@W/layer.tar\",\"@V/"
	                  "layer.tar\"]}]",
	      .drop = "@V/layer.tar" },
	    "12", 0, 0 },
	{ { .name = "a layer that comes again below",
	      .config = "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:@1\",\"sha256:@1\",\"sha256:"
	                "@2\"]}}",
	      .manifest = "[{\"Config\":\"@C.json\",\"Layers\":[\"@V/layer.tar\",\"@V/layer.tar\",\"@W/"
	                  "layer.tar\"]}]",
	      .drop = "@V/layer.tar" },
	    "11", 0, 2 },
};

static void
test_partial(size_t n, size_t step)
{
	struct buf archive = { 0 }, out = { 0 }, names = { 0 }, text = { 0 }, id = { 0 };
	struct image_ask ask = { .mode = IMAGE_LOAD, .tag_count = 1, .tags = one_tag };
	static struct image_facts f;
	static char ids[4][REFERENCE_ID_MAX];
	const char *have[4];
	struct err e = { 0 };
	size_t splits;

	make(&partial[n].row, &archive);
	expand("sha256:@C", &id);
	ask.id = partial[n].any_id ? NULL : buf_text(&id);
	snprintf(ids[1], sizeof ids[1], "sha256:%.64s", digest1);
	snprintf(ids[2], sizeof ids[2], "sha256:%.64s", digest2);
	snprintf(ids[3], sizeof ids[3], "sha256:%s", V);
	for (; partial[n].have[ask.have_count] != '\0'; ask.have_count++)
		have[ask.have_count] = ids[partial[n].have[ask.have_count] - '0'];
	ask.have = have;
	is_int(filter(&ask, &archive, step, 1 << 20, &f, &out, &splits, &e),
	    partial[n].row.rule ? -1 : FILTER_DONE, partial[n].row.name);
	is_str(e.rule, partial[n].row.rule, "rule");
	if (partial[n].row.rule == NULL) {
		is_int(f.left_out, partial[n].left_out, "so many are left out");
		is_str(f.layers[0].diff_id, ids[1], "and are named all the same");
		list(&out, "manifest.json", &names, &text);
		ok(strstr(buf_text(&text), "[\"" V "/layer.tar\"") != NULL, "in the manifest too");
		ok((strstr(buf_text(&names), V "/layer.tar") == NULL) == (f.left_out > 0), "but not there");
	}
	buf_done(&archive);
	buf_done(&out);
	buf_done(&names);
	buf_done(&text);
	buf_done(&id);
}

static const struct {
	const char *file, *in, *out; /* out NULL: the file is left out */
} saves[] = {
	{ "manifest.json",
	    "[{\"Config\":\"@C.json\",\"RepoTags\":[\"" MINE "app:1\",\"host:1\",\"" OTHER
	    "app:1\"],\"Layers\":[\"@V/layer.tar\"]},{\"Config\":\"x\",\"RepoTags\":null}]",
	    "[{\"Config\":\"@C.json\",\"RepoTags\":[\"app:1\"],\"Layers\":[\"@V/"
	    "layer.tar\"]},{\"Config\":\"x\",\"RepoTags\":null}]" },
	{ "manifest.json", "[{\"RepoTags\":[\"host:1\"],\"Note\":\"" OTHER "x\"}]",
	    "[{\"RepoTags\":null,\"Note\":\"(hidden)\"}]" },
	{ "repositories", "{\"" MINE "app\":{\"1\":\"@V\",\"2\":\"@V\"},\"host\":{\"1\":\"@V\"}}",
	    "{\"app\":{\"1\":\"@V\",\"2\":\"@V\"}}" },
	{ "repositories", "{\"dind.invalid/" NS "/localhost__5000/a/b\":{\"1\":\"@V\"}}",
	    "{\"localhost:5000/a/b\":{\"1\":\"@V\"}}" },
	{ "repositories", "{\"host\":{\"1\":\"@V\"}}", NULL },
	{ "index.json",
	    "{\"manifests\":[{\"digest\":\"d\",\"annotations\":{\"io.containerd.image.name\":\"" MINE
	    "app:a\",\"org.opencontainers.image.ref.name\":\"a\"}},{\"digest\":\"d\",\"annotations\":{\"io."
	    "containerd."
	    "image.name\":\"docker.io/library/host:1\",\"org.opencontainers.image.ref.name\":\"1\"}}]}",
	    "{\"manifests\":[{\"digest\":\"d\",\"annotations\":{\"io.containerd.image.name\":\"docker.io/"
	    "library/"
	    "app:a\",\"org.opencontainers.image.ref.name\":\"a\"}},{\"digest\":\"d\"}]}" },
};

/* docker save: the members and their order as the engine sent them, but for the names. */
static void
test_save(void)
{
	for (size_t i = 0; i < sizeof saves / sizeof *saves; i++) {
		struct image_ask ask = { .mode = IMAGE_SAVE, .ns = NS };
		struct buf archive = { 0 }, out = { 0 }, names = { 0 }, text = { 0 }, want = { 0 };
		struct err e = { 0 };
		size_t splits;

		put_text(&archive, "@C.json", "{\"a\":\"" MINE "x\"}");
		put(&archive, '5', "@V/", NULL, 0);
		put_text(&archive, saves[i].file, saves[i].in);
		put_text(&archive, "@V/layer.tar", "not hashed here");
		put(&archive, '2', "@W/layer.tar", "../@V/layer.tar", 0);
		put_text(&archive, "blobs/sha256/@1", "nor this");
		tar_write_end(&archive);
		is_int(filter(&ask, &archive, i + 1, i * 300 + 1, NULL, &out, &splits, &e), FILTER_DONE,
		    saves[i].in);
		list(&out, saves[i].file, &names, &text);
		expand(saves[i].out ? saves[i].out : "", &want);
		is_str(buf_text(&text), buf_text(&want), "its names are the task's");
		buf_clear(&want);
		buf_printf(&want, "%s.json " V "/ %s%s" V "/layer.tar " W "/layer.tar blobs/sha256/%s ",
		    digest_config, saves[i].out ? saves[i].file : "", saves[i].out ? " " : "", digest1);
		is_str(buf_text(&names), buf_text(&want), "its members are the engine's");
		is_int(
		    memcmp(buf_ptr(&out), buf_ptr(&archive), 1024 + 512), 0, "with their owners and times");
		buf_done(&archive);
		buf_done(&out);
		buf_done(&names);
		buf_done(&text);
		buf_done(&want);
	}
}

static void
test_tags(void)
{
	static const char *const tags[] = { "app:1", "app:2", "localhost:5000/a", "reg.example/b:3" };
	static const struct row plain = { .name = "plain" };
	static struct image_facts f;
	struct image_ask ask = { .mode = IMAGE_EXPORT, .tag_count = 4, .tags = tags };
	struct buf archive = { 0 }, out = { 0 }, names = { 0 }, text = { 0 }, want = { 0 };
	struct err e = { 0 };
	size_t splits;

	make(&plain, &archive);
	is_int(filter(&ask, &archive, 4096, 1 << 20, &f, &out, &splits, &e), FILTER_DONE, "several names");
	list(&out, "repositories", &names, &text);
	expand("{\"app\":{\"1\":\"@2\",\"2\":\"@2\"},\"localhost:5000/a\":{\"latest\":\"@2\"},\"reg.example/"
	       "b\":{\"3\":\"@2\"}}",
	    &want);
	is_str(buf_text(&text), buf_text(&want), "repositories");
	is_int(splits, 2, "one frame a layer");
	is_str(f.architecture, "amd64", "architecture");
	is_str(f.os, "linux", "os");
	buf_done(&archive);
	buf_done(&out);
	buf_done(&names);
	buf_done(&text);
	buf_done(&want);
}

int
main(void)
{
	layer_digest(LAYER1, digest1);
	layer_digest(LAYER2, digest2);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		test_row(&rows[i], IMAGE_EXPORT);
		if (!rows[i].export_only)
			test_row(&rows[i], IMAGE_LOAD);
	}
	for (size_t i = 0; i < sizeof partial / sizeof *partial; i++) {
		test_partial(i, 1 << 20);
		test_partial(i, 1);
	}
	test_cuts();
	test_sizes();
	test_counts();
	test_layer_count(0);
	test_layer_count(127);
	test_layer_count(128);
	test_save();
	test_tags();
	return tap_end();
}
