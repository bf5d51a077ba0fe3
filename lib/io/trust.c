#include <config.h>

#include "io/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "io/http.h"

static int
ca_memory_fill(struct ca_memory *m, const struct buf *pem, struct err *err)
{
	int fd = memfd_create("ca", MFD_CLOEXEC);

	if (fd == -1)
		return err_sys(err, ERR_SOFTWARE, "memory for CA certificates");
	if (file_write_all(fd, pem->data, pem->len) == -1 ||
	    fmt_fit(m->path, sizeof(m->path), "/proc/self/fd/%d", fd) == -1) {
		err_sys(err, ERR_SOFTWARE, "memory for CA certificates");
		close(fd);
		return -1;
	}
	m->fd = fd;
	return 0;
}

/* errno tells why not. */
static bool
file_is_readable(const char *path)
{
	struct stat st;

	if (stat(path, &st) == -1 || access(path, R_OK) == -1)
		return false;
	errno = EINVAL;
	return S_ISREG(st.st_mode);
}

/*
 * A bundle in one file, because a folder of certificates costs three times as
 * much to read.  Where libcurl was built with a bundle that is the one.
 */
static const char *
system_file(struct trust *trust, const char *built_in, struct err *err)
{
	static const char *const usual[] = {
	    "/etc/ssl/certs/ca-certificates.crt",
	    "/etc/pki/tls/certs/ca-bundle.crt",
	    "/etc/ssl/cert.pem",
	};
	size_t i;

	if (trust->system)
		return trust->system;
	if (built_in && file_is_readable(built_in))
		trust->system = xstrdup(built_in);
	for (i = 0; !trust->system && i < sizeof(usual) / sizeof(usual[0]); i++)
		if (file_is_readable(usual[i]))
			trust->system = xstrdup(usual[i]);
	if (!trust->system)
		err_set(err, ERR_CONFIG,
		    "this system has no bundle of CA "
		    "certificates, not %s nor another",
		    usual[0]);
	return trust->system;
}

static const char *
wide_file(struct trust *trust, const char *built_in, struct err *err)
{
	const char *system;
	struct buf both = BUF_INIT;
	int rc = -1;

	if (trust->wide.fd != -1)
		return trust->wide.path;
	system = system_file(trust, built_in, err);
	if (!system)
		return NULL;
	if (file_read(AT_FDCWD, system, BUF_MAX / 2, FILE_FOLLOW, &both, err) ==
	    -1) {
		err_wrap(err, "CA certificates");
		err->code = ERR_CONFIG;
		goto out;
	}
	buf_puts(&both, "\n");
	buf_put(&both, trust->extra.data, trust->extra.len);
	rc = ca_memory_fill(&trust->wide, &both, err);
out:
	buf_release(&both);
	return rc == 0 ? trust->wide.path : NULL;
}

const char *
trust_file(
    struct trust *trust, bool wide, const char *built_in, struct err *err)
{
	if (trust->extra.len == 0)
		return system_file(trust, built_in, err);
	if (trust->only || !wide)
		return trust->narrow.path;
	return wide_file(trust, built_in, err);
}

bool
trust_is_narrow(const struct trust *trust, const char *file)
{
	return file == trust->narrow.path && !trust->only;
}

static int
take_extra(struct trust *trust, const void *pem, size_t len, struct err *err)
{
	if (len == 0)
		return err_set(
		    err, ERR_CONFIG, "the bundle of trusted CAs is empty");
	trust->extra.max = BUF_MAX / 2;
	if (buf_add(&trust->extra, pem, len) == -1)
		return err_set(
		    err, ERR_CONFIG, "the bundle of trusted CAs is too large");
	return ca_memory_fill(&trust->narrow, &trust->extra, err);
}

int
trust_open(
    struct trust *trust, const struct http_config *config, struct err *err)
{
	*trust = (struct trust){
	    .only = config->extra_ca_only, .narrow.fd = -1, .wide.fd = -1};
	if (trust->only && !config->extra_ca)
		return err_set(err, ERR_CONFIG,
		    "no CA is to be trusted: there is no bundle");
	if (config->extra_ca &&
	    take_extra(trust, config->extra_ca, config->extra_ca_len, err) ==
	        -1)
		return -1;
	if (config->ca_file && !trust->only) {
		if (!file_is_readable(config->ca_file))
			return err_sys(err, ERR_CONFIG, "CA certificates: %s",
			    config->ca_file);
		trust->system = xstrdup(config->ca_file);
	}
	return 0;
}

void
trust_close(struct trust *trust)
{
	if (trust->narrow.fd != -1)
		close(trust->narrow.fd);
	if (trust->wide.fd != -1)
		close(trust->wide.fd);
	buf_release(&trust->extra);
	free(trust->system);
}
