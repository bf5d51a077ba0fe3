#include <config.h>

#include "base/enc.h"

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "tap.h"

/* -- vectors -- */

static const struct {
	const char *bytes;
	size_t len;
	const char *plain, *url;
} vectors[] = {
    /* RFC 4648, 10 */
    {"", 0, "", ""}, {"f", 1, "Zg==", "Zg"}, {"fo", 2, "Zm8=", "Zm8"},
    {"foo", 3, "Zm9v", "Zm9v"}, {"foob", 4, "Zm9vYg==", "Zm9vYg"},
    {"fooba", 5, "Zm9vYmE=", "Zm9vYmE"}, {"foobar", 6, "Zm9vYmFy", "Zm9vYmFy"},
    /* RFC 7515, C */
    {"\x03\xec\xff\xe0\xc1", 5, "A+z/4ME=", "A-z_4ME"},
    /* RFC 7515, A.1.1: the line break is CR LF */
    {"{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}", 30,
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"},
    {"\0\0\0", 3, "AAAA", "AAAA"},
    {"\xff\xff\xff\xff", 4, "/////w==", "_____w"}};

static bool
decodes_to(int (*decode)(const char *, size_t, struct buf *), const char *text,
    size_t text_len, const char *bytes, size_t len)
{
	struct buf b = BUF_INIT;
	bool same = decode(text, text_len, &b) == 0 && b.len == len &&
	    (len == 0 || memcmp(b.data, bytes, len) == 0);

	buf_release(&b);
	return same;
}

static void
test_vectors(void)
{
	struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		buf_clear(&b);
		b64_encode(vectors[i].bytes, vectors[i].len, &b);
		is(buf_str(&b), vectors[i].plain, "base64, row %zu", i);
		buf_clear(&b);
		b64url_encode(vectors[i].bytes, vectors[i].len, &b);
		is(buf_str(&b), vectors[i].url, "base64url, row %zu", i);
		ok(decodes_to(b64_decode, vectors[i].plain,
		       strlen(vectors[i].plain), vectors[i].bytes,
		       vectors[i].len),
		    "base64 back, row %zu", i);
		ok(decodes_to(b64url_decode, vectors[i].url,
		       strlen(vectors[i].url), vectors[i].bytes,
		       vectors[i].len),
		    "base64url back, row %zu", i);
	}
	buf_release(&b);
}

/* Every length to 300, every byte at every place of a group. */
static void
test_round_trip(void)
{
	unsigned char bytes[300];
	struct buf plain = BUF_INIT, url = BUF_INIT;
	size_t i, len, bad = 0;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7 + 3);
	for (len = 0; len <= sizeof(bytes); len++) {
		buf_clear(&plain);
		buf_clear(&url);
		b64_encode(bytes, len, &plain);
		b64url_encode(bytes, len, &url);
		bad += plain.len != (len + 2) / 3 * 4;
		bad += url.len != (len * 4 + 2) / 3;
		bad += !decodes_to(
		    b64_decode, buf_str(&plain), plain.len, (char *)bytes, len);
		bad += !decodes_to(
		    b64url_decode, buf_str(&url), url.len, (char *)bytes, len);
	}
	is_int((long long)bad, 0, "what was encoded decodes to itself");
	buf_release(&plain);
	buf_release(&url);
}

/* -- strictness -- */

struct refused {
	const char *name, *text;
};

static const struct refused url_refused[] = {{"padding", "Zg=="},
    {"padding, one", "Zm8="}, {"padding after a full group", "Zm9v="},
    {"padding alone", "="}, {"one letter", "Z"},
    {"one letter behind a group", "Zm9vY"}, {"one letter without a bit", "A"},
    {"one letter without a bit behind a group", "AAAAA"},
    {"the plain alphabet's +", "A+z_"}, {"the plain alphabet's /", "A-z/"},
    {"a space", "Zm 9v"}, {"a line break", "Zm9v\n"},
    {"a break within", "Zm\r\n9v"}, {"spare bits, two letters", "Zh"},
    {"spare bits, the lowest of four", "ZB"},
    {"spare bits, three letters", "Zm9"},
    {"spare bits, the higher of two", "Zm-"},
    {"a byte above ASCII", "Zm\xc3\xa9"}, {"a control character", "Zm9\x01"},
    {"a dot", "Zm9v.Zm9v"}};

static const struct refused plain_refused[] = {{"no padding", "Zg"},
    {"no padding, three letters", "Zm8"}, {"too little padding", "Zg="},
    {"too much padding", "Zm8=="}, {"three", "Zg==="}, {"padding alone", "="},
    {"a group of padding", "===="}, {"padding after a full group", "Zm9v===="},
    {"padding after a full group, two", "Zm9v=="},
    {"letters behind padding", "Zg==Zg=="}, {"letters within padding", "Zg=Z="},
    {"one letter", "Z"}, {"one letter and padding", "Z==="},
    {"one letter without a bit and padding", "A==="},
    {"the other alphabet's -", "A-z/"}, {"the other alphabet's _", "A+z_"},
    {"spare bits, two letters", "Zh=="}, {"spare bits, three letters", "Zm9="},
    {"a form feed", "Zm9v\f"}, {"a byte above ASCII", "Zm\xc3\xa9"}};

/* Refused, and what was there stays as it was. */
static void
check_refused(const char *what,
    int (*decode)(const char *, size_t, struct buf *), const char *name,
    const char *text, size_t len)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "before");
	is_int(decode(text, len, &b), -1, "%s: %s is refused", what, name);
	ok(b.len == 6 && strcmp(buf_str(&b), "before") == 0,
	    "%s: %s changes nothing", what, name);
	buf_release(&b);
}

static void
test_strict(void)
{
	size_t i;

	for (i = 0; i < sizeof(url_refused) / sizeof(*url_refused); i++)
		check_refused("base64url", b64url_decode, url_refused[i].name,
		    url_refused[i].text, strlen(url_refused[i].text));
	for (i = 0; i < sizeof(plain_refused) / sizeof(*plain_refused); i++)
		check_refused("base64", b64_decode, plain_refused[i].name,
		    plain_refused[i].text, strlen(plain_refused[i].text));
	check_refused("base64url", b64url_decode, "NUL", "Zm9\0", 4);
	check_refused("base64", b64_decode, "NUL", "Zm9\0", 4);
}

/* Exactly the 64 letters are letters. */
static void
test_alphabets(void)
{
	size_t c, plain = 0, url = 0;
	char text[4] = "AAAA";
	struct buf b = BUF_INIT;

	for (c = 0; c < 256; c++) {
		text[1] = (char)c;
		url += b64url_decode(text, 4, &b) == 0;
		plain += b64_decode(text, 4, &b) == 0;
	}
	is_int((long long)url, 64, "base64url: letters");
	is_int((long long)plain, 64, "base64: letters");
	buf_release(&b);
}

static void
test_blanks(void)
{
	static const char folded[] = " Zm9v\r\n\tYm\nFyZ g = \n= \n";

	ok(decodes_to(b64_decode, folded, strlen(folded), "foobarf", 7),
	    "base64: white space anywhere is skipped");
	ok(decodes_to(b64_decode, " \n", 2, "", 0), "base64: nothing but that");
	ok(decodes_to(b64url_decode, "Zm9vYmFy", 4, "foo", 3),
	    "only as much is read as was given");
}

static void
test_ceiling(void)
{
	struct buf b = {.max = 5};

	buf_puts(&b, "ab");
	is_int(b64url_decode("Zm9vYg", 6, &b), -1, "more than fits");
	is(buf_str(&b), "ab", "more than fits: unchanged");
	is_int(b64url_decode("Zm9v", 4, &b), 0, "just as much as fits");
	is(buf_str(&b), "abfoo", "appended");
	buf_release(&b);
	is_int(b64_decode("Zm9vYmFy", 8, &b), -1, "more than fits at all");
	ok(b.len == 0, "more than fits at all: unchanged");
	buf_release(&b);
}

/* -- others -- */

static void
test_hex(void)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "x");
	hex_encode("\x00\x01\x9a\xbf\xff", 5, &b);
	is(buf_str(&b), "x00019abfff", "hex: lower case, appended");
	hex_encode("", 0, &b);
	is(buf_str(&b), "x00019abfff", "hex: nothing");
	buf_release(&b);
}

/* The first three are the vectors that FNV's authors give. */
static void
test_fnv(void)
{
	is_int(fnv1a32("", 0), 0x811c9dc5, "FNV-1a of nothing");
	is_int(fnv1a32("a", 1), 0xe40c292c, "FNV-1a of a");
	is_int(fnv1a32("foobar", 6), 0xbf9cf968, "FNV-1a of foobar");
	is_int(fnv1a32("foobar", 7), 0x0c1c9eb8, "FNV-1a of a NUL, too");
	is_int(fnv1a32("\xff\x00\x00\x01", 4), 0xc48fb86d,
	    "FNV-1a: bytes have no sign");
}

int
main(void)
{
	test_vectors();
	test_round_trip();
	test_strict();
	test_alphabets();
	test_blanks();
	test_ceiling();
	test_hex();
	test_fnv();
	return done();
}
