#include <config.h>

#include "base/enc.h"

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"

/* The two alphabets differ in their last two letters and in what becomes of a
 * last group that is not full (RFC 4648, 4 and 5; RFC 7515, 2). */
struct base64 {
	const char *letters;
	bool padded; /* and white space is skipped */
};

static const struct base64 plain = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true};

static const struct base64 url = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false};

/* -- encoding -- */

/* One to three bytes into four letters or fewer. */
static size_t
encode_group(
    const struct base64 *as, const unsigned char *in, size_t n, char out[4])
{
	uint32_t bits = (uint32_t)in[0] << 16;
	size_t i;

	if (n > 1)
		bits |= (uint32_t)in[1] << 8;
	if (n > 2)
		bits |= in[2];
	for (i = 0; i <= n; i++)
		out[i] = as->letters[bits >> (18 - 6 * i) & 0x3f];
	while (as->padded && i < 4)
		out[i++] = '=';
	return i;
}

static void
encode(const struct base64 *as, const unsigned char *in, size_t len,
    struct buf *out)
{
	char group[4];
	size_t n;

	while (len) {
		n = len < 3 ? len : 3;
		buf_put(out, group, encode_group(as, in, n, group));
		in += n;
		len -= n;
	}
	explicit_bzero(group, sizeof(group));
}

void
b64url_encode(const void *data, size_t len, struct buf *out)
{
	encode(&url, data, len, out);
}

void
b64_encode(const void *data, size_t len, struct buf *out)
{
	encode(&plain, data, len, out);
}

/* -- decoding -- */

struct decoder {
	const struct base64 *as;
	uint32_t bits; /* of the group so far */
	size_t n;      /* letters in it */
	size_t pads;   /* "=" seen */
	struct buf out;
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The group's whole bytes; the bits that are left over must be zero, or two
 * texts would mean the same bytes (RFC 4648, 3.5). */
static int
end_group(struct decoder *d)
{
	size_t spare = 6 * d->n % 8;
	uint32_t bits = d->bits >> spare;
	unsigned char bytes[3];
	size_t i, n = 6 * d->n / 8;
	int rc;

	if (d->n == 1 || d->bits != bits << spare)
		return -1;
	for (i = n; i-- > 0; bits >>= 8)
		bytes[i] = bits & 0xff;
	rc = buf_add(&d->out, bytes, n);
	explicit_bzero(bytes, sizeof(bytes));
	d->bits = 0;
	d->n = 0;
	return rc;
}

static int
decode_letter(struct decoder *d, char c)
{
	const char *at;

	if (d->as->padded && is_blank(c))
		return 0;
	if (d->as->padded && c == '=') {
		d->pads++;
		return 0;
	}
	at = c ? strchr(d->as->letters, c) : NULL;
	if (!at || d->pads)
		return -1;
	d->bits = d->bits << 6 | (uint32_t)(at - d->as->letters);
	return ++d->n == 4 ? end_group(d) : 0;
}

static int
decode_all(struct decoder *d, const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (decode_letter(d, text[i]) == -1)
			return -1;
	if (d->as->padded && d->pads != (d->n ? 4 - d->n : 0))
		return -1;
	return end_group(d);
}

/* Through a buf of its own with out's rules: out must not change on failure. */
static int
decode(const struct base64 *as, const char *text, size_t len, struct buf *out)
{
	struct decoder d = {
	    .as = as,
	    .out = {.max = out->max, .secret = out->secret},
	};
	int rc = decode_all(&d, text, len);

	if (rc == 0)
		rc = buf_add(out, d.out.data, d.out.len);
	buf_release(&d.out);
	return rc;
}

int
b64url_decode(const char *text, size_t len, struct buf *out)
{
	return decode(&url, text, len, out);
}

int
b64_decode(const char *text, size_t len, struct buf *out)
{
	return decode(&plain, text, len, out);
}

/* -- others -- */

void
hex_encode(const void *data, size_t len, struct buf *out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *in = data;
	char pair[2];
	size_t i;

	for (i = 0; i < len; i++) {
		pair[0] = digits[in[i] >> 4];
		pair[1] = digits[in[i] & 0x0f];
		buf_put(out, pair, sizeof(pair));
	}
	explicit_bzero(pair, sizeof(pair));
}

uint32_t
fnv1a32(const void *data, size_t len)
{
	const unsigned char *in = data;
	uint32_t hash = 2166136261;
	size_t i;

	for (i = 0; i < len; i++)
		hash = (hash ^ in[i]) * 16777619;
	return hash;
}
