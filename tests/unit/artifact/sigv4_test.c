#include "artifact/sigv4.h"

#include "base/buf.h"
#include "tap.h"

/*
 * The vectors of the AWS Signature Version 4 test suite (service "service", names as there) and of the S3
 * documentation ("Signature Calculations: Examples").
 */
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define TOKEN                                                                                                \
	"AQoDYXdzEPT//////////"                                                                              \
	"wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTfl"                 \
	"fKD8YUuwthAx7mSEI/qkPpKPi/"                                                                         \
	"kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvl"                      \
	"Rd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+"                                    \
	"scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rv"                                                           \
	"x3iSIlTJabIQwj2ICCR/oLxBA=="

static const struct sigv4_scope suite = { "us-east-1", "service", 1440938160 }; /* 20150830T123600Z */
static const struct sigv4_key suite_key = { "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL };
static const struct sigv4_key with_token = { "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	TOKEN };
static const struct sigv4_scope s3 = { "us-east-1", "s3", 1369353600 }; /* 20130524T000000Z */
static const struct sigv4_key s3_key = { "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	NULL };

struct row {
	const char *name, *method, *path;
	struct sigv4_pair query[4], headers[5];
	const char *payload, *target, *signed_names, *signature;
};

static const struct row suite_rows[] = {
	{ "get-vanilla", "GET", "/", { { 0 } }, { { 0 } }, EMPTY, "/", "host;x-amz-date",
	    "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
	{ "get-vanilla-query-order-key-case", "GET", "/", { { "Param2", "value2" }, { "Param1", "value1" } },
	    { { 0 } }, EMPTY, "/?Param1=value1&Param2=value2", "host;x-amz-date",
	    "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
	{ "get-vanilla-utf8-query", "GET", "/", { { "\xe1\x88\xb4", "bar" } }, { { 0 } }, EMPTY,
	    "/?%E1%88%B4=bar", "host;x-amz-date",
	    "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04" },
	{ "get-unreserved", "GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
	    { { 0 } }, { { 0 } }, EMPTY,
	    "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "host;x-amz-date",
	    "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f" },
	{ "get-utf8", "GET", "/\xe1\x88\xb4", { { 0 } }, { { 0 } }, EMPTY, "/%E1%88%B4", "host;x-amz-date",
	    "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85" },
	{ "get-header-value-trim", "GET", "/", { { 0 } },
	    { { "my-header2", " \"a   b   c\" " }, { "my-header1", " value1" } }, EMPTY, "/",
	    "host;my-header1;my-header2;x-amz-date",
	    "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
	{ "post-vanilla", "POST", "/", { { 0 } }, { { 0 } }, EMPTY, "/", "host;x-amz-date",
	    "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
	{ "post-header-key-sort", "POST", "/", { { 0 } }, { { "my-header1", "value1" } }, EMPTY, "/",
	    "host;my-header1;x-amz-date",
	    "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c" },
	{ "post-header-value-case", "POST", "/", { { 0 } }, { { "my-header1", "VALUE1" } }, EMPTY, "/",
	    "host;my-header1;x-amz-date",
	    "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d" },
	{ "post-x-www-form-urlencoded", "POST", "/", { { 0 } },
	    { { "content-type", "application/x-www-form-urlencoded" } },
	    "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e", "/",
	    "content-type;host;x-amz-date",
	    "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a" },
};

static const struct row s3_rows[] = {
	{ "S3: GET with a range", "GET", "/test.txt", { { 0 } },
	    { { "range", "bytes=0-9" }, { "x-amz-content-sha256", EMPTY } }, EMPTY, "/test.txt",
	    "host;range;x-amz-content-sha256;x-amz-date",
	    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
	{ "S3: PUT", "PUT", "/test$file.text", { { 0 } },
	    { { "date", "Fri, 24 May 2013 00:00:00 GMT" },
	        { "x-amz-content-sha256",
	            "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072" },
	        { "x-amz-storage-class", "REDUCED_REDUNDANCY" } },
	    "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072", "/test%24file.text",
	    "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	    "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
	{ "S3: a word without a value", "GET", "/", { { "lifecycle", "" } },
	    { { "x-amz-content-sha256", EMPTY } }, EMPTY,
	    "/?lifecycle=", "host;x-amz-content-sha256;x-amz-date",
	    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
	{ "S3: list", "GET", "/", { { "prefix", "J" }, { "max-keys", "2" } },
	    { { "x-amz-content-sha256", EMPTY } }, EMPTY, "/?max-keys=2&prefix=J",
	    "host;x-amz-content-sha256;x-amz-date",
	    "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
};

static size_t
count(const struct sigv4_pair *pairs, size_t most)
{
	size_t n = 0;

	while (n < most && pairs[n].name != NULL)
		n++;
	return n;
}

static void
check(const struct row *t, const char *host, const struct sigv4_scope *scope, const struct sigv4_key *key)
{
	struct sigv4_request r = { t->method, host, t->path, t->query, count(t->query, 4), t->headers,
		count(t->headers, 5), t->payload };
	struct buf target = { 0 }, headers = { 0 };
	char want[512];

	sigv4_sign(&r, scope, key, &target, &headers);
	(void)snprintf(want, sizeof want,
	    "authorization: AWS4-HMAC-SHA256 Credential=%s/%.8s/us-east-1/%s/aws4_request, "
	    "SignedHeaders=%s, Signature=%s\n",
	    key->id, scope == &suite ? "20150830" : "20130524", scope->service, t->signed_names,
	    t->signature);
	is_str(strstr(buf_text(&headers), "authorization: "), want, t->name);
	is_str(buf_text(&target), t->target, t->name);
	buf_done(&target);
	buf_done(&headers);
}

/* post-sts-header-before: the token is signed. */
static void
test_token(void)
{
	struct sigv4_request r = { .method = "POST", .host = "example.amazonaws.com", .path = "/" };
	struct buf target = { 0 }, headers = { 0 };

	r.payload_sha256 = EMPTY;
	sigv4_sign(&r, &suite, &with_token, &target, &headers);
	ok(strstr(buf_text(&headers), "x-amz-security-token: " TOKEN "\n") != NULL, "the token is sent");
	ok(strstr(buf_text(&headers),
	       "SignedHeaders=host;x-amz-date;x-amz-security-token, "
	       "Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead\n") != NULL,
	    "post-sts-header-before");
	ok(strstr(buf_text(&headers), suite_key.secret) == NULL, "the secret is not");
	buf_done(&target);
	buf_done(&headers);
}

static void
test_escape(void)
{
	struct buf b = { 0 };

	sigv4_escape(&b, "/a b+c:d@e=f&g*h'(i)!~%", 1);
	is_str(buf_text(&b), "/a%20b%2Bc%3Ad%40e%3Df%26g%2Ah%27%28i%29%21~%25", "in a path");
	buf_clear(&b);
	sigv4_escape(&b, "a/b\x7f\xff", 0);
	is_str(buf_text(&b), "a%2Fb%7F%FF", "in a query");
	buf_done(&b);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof suite_rows / sizeof suite_rows[0]; i++)
		check(&suite_rows[i], "example.amazonaws.com", &suite, &suite_key);
	for (size_t i = 0; i < sizeof s3_rows / sizeof s3_rows[0]; i++)
		check(&s3_rows[i], "examplebucket.s3.amazonaws.com", &s3, &s3_key);
	test_token();
	test_escape();
	return tap_end();
}
