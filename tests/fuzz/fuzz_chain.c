/*
 * libFuzzer: bytes as a stored certificate, as a CA's answer and as a trust
 * input.  What the first certificate says is what is then wanted, so that the
 * checks behind the leaf's are reached too.
 */
#include <config.h>

#include "pki/cert.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char no_key[32];
	struct cert_want want = {.key_id = no_key};
	struct cert cert = {.names = NULL};
	struct err err = ERR_INIT;
	struct buf id = BUF_INIT;
	size_t n;

	if (cert_read("fuzz", data, size, &cert, &err) == 0) {
		(void)cert_ari_id(&cert, &id, &err);
		for (size_t i = 0; i < cert.n_names; i++)
			if (!cert_covers(&cert, &cert.names[i]))
				abort();
		want = (struct cert_want){.key_id = cert.key_id,
		    .names = cert.names,
		    .n_names = cert.n_names,
		    .must_staple = cert.must_staple,
		    .now = cert.not_before};
	}
	/* What may be installed can also be read, and used as a trust input. */
	if (cert_chain_check(data, size, &want, &err) == 0 &&
	    (want.key_id == no_key ||
	        cert_trust_check("fuzz", data, size, &n, &err) == -1))
		abort();
	(void)cert_trust_check("fuzz", data, size, &n, &err);
	buf_release(&id);
	cert_release(&cert);
	return 0;
}
