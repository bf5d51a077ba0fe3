/*
 * Bytes as text: base64url as JOSE wants it (RFC 7515, 2: no padding, no line
 * breaks, no white space), plain base64, hex, and the FNV-1a hash by which
 * CertMagic names staples.  Decoders are strict: a byte outside the alphabet,
 * padding where none belongs, a length no encoder makes, or non-zero bits
 * beyond the last byte are refused.
 */
#ifndef BASE_ENC_H
#define BASE_ENC_H

#include <stddef.h>
#include <stdint.h>

struct buf;

void b64url_encode(const void *data, size_t len, struct buf *out);
int b64url_decode(const char *text, size_t len,
    struct buf *out); /* 0, or -1 and out unchanged */

/* Plain alphabet with padding (RFC 4648, 4). White space between is skipped
 * when decoding: people fold these values over lines. */
void b64_encode(const void *data, size_t len, struct buf *out);
int b64_decode(const char *text, size_t len, struct buf *out);

void hex_encode(const void *data, size_t len, struct buf *out); /* lower case */

uint32_t fnv1a32(const void *data, size_t len);

#endif
