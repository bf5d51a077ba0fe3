#include <config.h>

#include "run/tlsalpn01.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "base/log.h"
#include "base/name.h"
#include "pki/alpn.h"
#include "run/pending.h"
#include "store/token.h"

enum {
	PROVEN_KEPT = 8,
	PROVEN_MS = 60 * 60 * 1000, /* well within their validity */

	RECORD_HEADER = 5,
	RECORD_MAX = 16384, /* RFC 8446, 5.1 */
	TYPE_HANDSHAKE = 22,
	MESSAGE_HEADER = 4,
	CLIENT_HELLO = 1,

	LATER_MAX = 16 * 1024 /* after the hello: a Finished is all */
};

static const char protocol[] = "acme-tls/1";

static const char priorities[] =
    "%SERVER_PRECEDENCE:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

/* alert, TLS 1.2, two bytes: fatal, decode_error (RFC 8446, 6) */
const unsigned char tlsalpn01_alert[HELLO_ALERT_LEN] = {21, 3, 3, 0, 2, 2, 50};

/*
 * A certificate made for a challenge.  A CA probes from several places within
 * seconds, so the last few are kept; a handshake under way holds on to its own.
 */
struct proof {
	unsigned refs;
	int64_t made_ms, used_ms;
	struct token token;
	struct alpn_cert *cert;
};

struct tlsalpn01 {
	struct pending *pending;
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
	struct proof *kept[PROVEN_KEPT];
};

struct handshake {
	struct tlsalpn01 *t;
	gnutls_session_t session;
	int fd;
	struct buf hello; /* read before the descriptor is */
	size_t hello_read;
	size_t later;        /* bytes read from the descriptor */
	struct proof *proof; /* chosen, or NULL */
	int failed;          /* GnuTLS's code, or 0 */
};

/* -- the hello ----------------------------------------------------------- */

/* A message spread over records (RFC 8446, 5.1): the contents of those seen so
 * far, put together. */
struct message {
	size_t have, want;
	uint32_t header; /* its type and length, as they come in */
};

/* False when it cannot be a hello. */
static bool
message_add(struct message *m, const unsigned char *p, size_t n)
{
	if (n > 0 && m->have == 0 && p[0] != CLIENT_HELLO)
		return false;
	for (; n > 0 && m->have < MESSAGE_HEADER; p++, n--, m->have++)
		m->header = m->header << 8 | *p;
	m->have += n;
	if (m->have >= MESSAGE_HEADER)
		m->want = MESSAGE_HEADER + (m->header & 0xffffff);
	return m->want <= HELLO_MAX - RECORD_HEADER;
}

/* False when these bytes cannot be the beginning of a record of a hello. */
static bool
is_record(const unsigned char *p, size_t len)
{
	size_t record;

	if ((len > 0 && p[0] != TYPE_HANDSHAKE) || (len > 1 && p[1] != 3))
		return false;
	if (len < RECORD_HEADER)
		return true;
	record = (size_t)p[3] << 8 | p[4];
	return record > 0 && record <= RECORD_MAX;
}

enum hello
tlsalpn01_hello(const void *data, size_t len)
{
	struct message m = {.want = MESSAGE_HEADER};
	const unsigned char *p = data;

	for (;;) {
		size_t record, here;

		if (!is_record(p, len))
			return HELLO_BAD;
		if (len < RECORD_HEADER)
			return HELLO_MORE;
		record = (size_t)p[3] << 8 | p[4];
		p += RECORD_HEADER;
		len -= RECORD_HEADER;
		here = record < len ? record : len;
		if (!message_add(&m, p, here))
			return HELLO_BAD;
		if (m.have >= m.want)
			return HELLO_READY;
		if (here < record)
			return HELLO_MORE;
		p += record;
		len -= record;
	}
}

/* -- proofs -------------------------------------------------------------- */

static void
proof_drop(struct proof *p)
{
	if (!p || --p->refs > 0)
		return;
	alpn_cert_free(p->cert);
	free(p);
}

static struct proof *
proof_hold(struct proof *p)
{
	p->refs++;
	return p;
}

static struct proof *
proof_new(const struct token *token)
{
	struct err err = ERR_INIT;
	struct alpn_cert *cert = alpn_cert_new(
	    &token->identifier, token->key_authorization, time(NULL), &err);
	struct proof *p;

	if (!cert) {
		log_err(token->identifier.value, &err);
		return NULL;
	}
	p = xcalloc(1, sizeof(*p));
	p->refs = 1;
	p->made_ms = date_mono_ms();
	p->token = *token;
	p->cert = cert;
	return p;
}

static bool
proof_is_for(const struct proof *p, const struct token *token, int64_t now)
{
	return p && now - p->made_ms < PROVEN_MS &&
	    strcmp(p->token.key_authorization, token->key_authorization) == 0 &&
	    identifier_equal(&p->token.identifier, &token->identifier);
}

/* The place to keep another: an empty one, else the longest unused. */
static struct proof **
proof_place(struct tlsalpn01 *t)
{
	struct proof **place = &t->kept[0];

	for (size_t i = 0; i < PROVEN_KEPT; i++) {
		if (!t->kept[i])
			return &t->kept[i];
		if (t->kept[i]->used_ms < (*place)->used_ms)
			place = &t->kept[i];
	}
	return place;
}

/* Held for the caller; NULL when none could be made. */
static struct proof *
proof_get(struct tlsalpn01 *t, const struct token *token)
{
	int64_t now = date_mono_ms();
	struct proof **place = NULL, *p;

	for (size_t i = 0; i < PROVEN_KEPT && !place; i++)
		if (proof_is_for(t->kept[i], token, now))
			place = &t->kept[i];
	if (!place) {
		p = proof_new(token);
		if (!p)
			return NULL;
		place = proof_place(t);
		proof_drop(*place);
		*place = p;
	}
	(*place)->used_ms = now;
	return proof_hold(*place);
}

/* -- choosing ------------------------------------------------------------ */

/*
 * CertMagic keeps one file for each name and answers both kinds of probe from
 * it, so a token of another type will do where there is none of ours.
 */
static enum fit
token_fits(const struct token *token, const void *sni)
{
	char name[NAME_MAX_LEN + 1];

	identifier_sni(&token->identifier, name);
	if (!name_equal(name, sni))
		return FIT_NOT;
	return strcmp(token->type, "tls-alpn-01") == 0 ? FIT_BEST : FIT_ENOUGH;
}

/* The name asked for, checked and in lower case. 0 or -1. */
static int
asked_name(gnutls_session_t session, struct identifier *out)
{
	struct err err = ERR_INIT;
	char name[NAME_MAX_LEN + 1];
	size_t len = sizeof(name);
	unsigned type;

	/* It comes with a NUL behind it that len does not count. */
	if (gnutls_server_name_get(session, name, &len, &type, 0) != 0 ||
	    type != GNUTLS_NAME_DNS || strlen(name) != len)
		return -1;
	return identifier_parse(name, out, &err);
}

static bool
asked_protocol(gnutls_session_t session)
{
	gnutls_datum_t chosen;

	return gnutls_alpn_get_selected_protocol(session, &chosen) == 0 &&
	    chosen.size == sizeof(protocol) - 1 &&
	    memcmp(chosen.data, protocol, chosen.size) == 0;
}

/* Called when the hello has been read (once more after a HelloRetryRequest):
 * the one decision. GNUTLS_ALPN_MANDATORY lets a client pass that offers no
 * protocol at all. */
static int
decide(gnutls_session_t session)
{
	struct handshake *h = gnutls_session_get_ptr(session);
	struct identifier sni;
	struct token token;

	proof_drop(h->proof);
	h->proof = NULL;
	if (!asked_protocol(session))
		return GNUTLS_E_NO_APPLICATION_PROTOCOL;
	if (asked_name(session, &sni) == -1 ||
	    !pending_find(
	        h->t->pending, sni.value, token_fits, sni.value, &token))
		return GNUTLS_E_UNRECOGNIZED_NAME;
	h->proof = proof_get(h->t, &token);
	return h->proof ? 0 : GNUTLS_E_INTERNAL_ERROR;
}

/* Hands over what was decided; ownership stays here. */
static int
retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
    gnutls_pcert_st **certs, unsigned *n_certs, gnutls_ocsp_data_st **ocsp,
    unsigned *n_ocsp, gnutls_privkey_t *key, unsigned *flags)
{
	struct handshake *h = gnutls_session_get_ptr(session);

	(void)info;
	if (!h->proof)
		return -1;
	*certs = alpn_cert_pcert(h->proof->cert);
	*n_certs = 1;
	*ocsp = NULL;
	*n_ocsp = 0;
	*key = alpn_cert_privkey(h->proof->cert);
	*flags = 0;
	return 0;
}

/* -- what all share ------------------------------------------------------ */

struct tlsalpn01 *
tlsalpn01_open(struct pending *pending, struct err *err)
{
	struct tlsalpn01 *t = xcalloc(1, sizeof(*t));
	int rc;

	t->pending = pending;
	rc = gnutls_certificate_allocate_credentials(&t->credentials);
	if (rc == 0)
		rc = gnutls_priority_init2(&t->priority, priorities, NULL,
		    GNUTLS_PRIORITY_INIT_DEF_APPEND);
	if (rc != 0) {
		err_set(err, ERR_SOFTWARE, "TLS parameters: %s",
		    gnutls_strerror(rc));
		tlsalpn01_close(t);
		return NULL;
	}
	gnutls_certificate_set_retrieve_function3(t->credentials, retrieve);
	return t;
}

void
tlsalpn01_close(struct tlsalpn01 *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < PROVEN_KEPT; i++)
		proof_drop(t->kept[i]);
	if (t->priority)
		gnutls_priority_deinit(t->priority);
	if (t->credentials)
		gnutls_certificate_free_credentials(t->credentials);
	free(t);
}

/* -- a handshake --------------------------------------------------------- */

/* GnuTLS goes on reading while there is something to pass over; no client
 * shall keep it at that. */
static ssize_t
pull_later(struct handshake *h, void *data, size_t size)
{
	ssize_t got = -1;

	errno = EMSGSIZE;
	if (h->later < LATER_MAX)
		got = recv(h->fd, data, size, 0);
	if (got == -1)
		gnutls_transport_set_errno(h->session, errno);
	else
		h->later += (size_t)got;
	return got;
}

static ssize_t
pull(gnutls_transport_ptr_t ptr, void *data, size_t size)
{
	struct handshake *h = ptr;
	size_t n = h->hello.len - h->hello_read;

	if (n == 0)
		return pull_later(h, data, size);
	if (n > size)
		n = size;
	memcpy(data, h->hello.data + h->hello_read, n);
	h->hello_read += n;
	return (ssize_t)n;
}

static ssize_t
push(gnutls_transport_ptr_t ptr, const void *data, size_t size)
{
	struct handshake *h = ptr;
	ssize_t put = send(h->fd, data, size, MSG_NOSIGNAL);

	if (put == -1)
		gnutls_transport_set_errno(h->session, errno);
	return put;
}

static int
set_up(struct handshake *h)
{
	gnutls_datum_t alpn = {.data = (unsigned char *)(uintptr_t)protocol,
	    .size = sizeof(protocol) - 1};
	gnutls_session_t s = h->session;
	int rc = gnutls_priority_set(s, h->t->priority);

	if (rc == 0)
		rc = gnutls_credentials_set(
		    s, GNUTLS_CRD_CERTIFICATE, h->t->credentials);
	if (rc == 0)
		rc = gnutls_alpn_set_protocols(
		    s, &alpn, 1, GNUTLS_ALPN_MANDATORY);
	if (rc != 0)
		return rc;
	gnutls_session_set_ptr(s, h);
	gnutls_handshake_set_post_client_hello_function(s, decide);
	gnutls_handshake_set_max_packet_length(s, HELLO_MAX);
	gnutls_transport_set_ptr(s, h);
	gnutls_transport_set_pull_function(s, pull);
	gnutls_transport_set_push_function(s, push);
	return 0;
}

struct handshake *
handshake_start(struct tlsalpn01 *t, int fd, struct buf *hello)
{
	struct handshake *h = xcalloc(1, sizeof(*h));

	h->t = t;
	h->fd = fd;
	if (gnutls_init(&h->session,
	        GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL |
	            GNUTLS_NO_TICKETS) != 0 ||
	    set_up(h) != 0) {
		handshake_free(h);
		return NULL;
	}
	h->hello = *hello;
	*hello = (struct buf)BUF_INIT;
	return h;
}

enum handshake_step
handshake_step(struct handshake *h)
{
	size_t had;
	int rc;

	/* Between the records of one message GnuTLS asks to be called again,
	 * although the next record is here. */
	do {
		had = h->hello_read;
		rc = gnutls_handshake(h->session);
	} while (rc == GNUTLS_E_AGAIN && h->hello_read > had);
	if (rc == GNUTLS_E_AGAIN || rc == GNUTLS_E_INTERRUPTED)
		return gnutls_record_get_direction(h->session) ?
		    HANDSHAKE_WRITE :
		    HANDSHAKE_READ;
	if (rc == 0) {
		gnutls_bye(h->session, GNUTLS_SHUT_WR);
		return HANDSHAKE_DONE;
	}
	h->failed = rc;
	gnutls_alert_send_appropriate(h->session, rc);
	return HANDSHAKE_REFUSED;
}

const char *
handshake_name(const struct handshake *h)
{
	return h->proof ? h->proof->token.identifier.value : "";
}

const char *
handshake_reason(const struct handshake *h)
{
	return gnutls_strerror(h->failed);
}

void
handshake_free(struct handshake *h)
{
	if (!h)
		return;
	if (h->session)
		gnutls_deinit(h->session);
	proof_drop(h->proof);
	buf_release(&h->hello);
	free(h);
}
