#include <config.h>

#include "store/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "pki/hash.h"

enum { SWEEP_AGE_S = 3600 };

/* -- walking -------------------------------------------------------------- */

enum err_code
folder_code(int e)
{
	switch (e) {
	case ENOENT:
		return ERR_ABSENT;
	case EACCES:
	case EPERM:
	case ELOOP:
		return ERR_PERMISSION;
	default:
		return ERR_IO;
	}
}

static bool
is_link(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode);
}

int
folder_enter(int dirfd, const char *name, bool create, struct err *err)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dirfd, name, flags);

	if (fd == -1 && errno == ENOENT && create) {
		if (file_mkdirs(dirfd, name, err) == -1)
			return -1;
		fd = openat(dirfd, name, flags);
	}
	if (fd != -1)
		return fd;
	if (errno == ENOTDIR && is_link(dirfd, name))
		errno = ELOOP;
	return err_sys(err, folder_code(errno), "folder %s", name);
}

int
folder_walk(
    int root, const char *path, size_t len, bool create, struct err *err)
{
	char name[FOLDER_NAME_SIZE];
	const char *end = path + len;
	int fd, next;
	size_t part;

	fd = fcntl(root, F_DUPFD_CLOEXEC, 0);
	if (fd == -1)
		return err_sys(err, ERR_IO, "opening the root");
	for (; fd != -1 && path < end; path += part + (path[part] == '/')) {
		part = strcspn(path, "/");
		if (part > (size_t)(end - path))
			part = (size_t)(end - path);
		snprintf(name, sizeof(name), "%.*s", (int)part, path);
		next = folder_enter(fd, name, create, err);
		close(fd);
		fd = next;
	}
	return fd;
}

int
folder_open(int root, const char *path, bool create, struct err *err)
{
	return folder_walk(root, path, strlen(path), create, err);
}

int
folder_open_parent(
    int root, const char *key, const char **base, bool create, struct err *err)
{
	const char *slash = strrchr(key, '/');

	*base = slash ? slash + 1 : key;
	return folder_walk(
	    root, key, slash ? (size_t)(slash - key) : 0, create, err);
}

int
folder_each(int folder,
    int (*each)(void *arg, int folder, const char *name, struct err *err),
    void *arg, struct err *err)
{
	const struct dirent *entry;
	DIR *dir;
	int fd, rc = 0;

	fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd == -1 ? NULL : fdopendir(fd);
	if (!dir) {
		rc = err_sys(err, folder_code(errno), "reading a folder");
		if (fd != -1)
			close(fd);
		return rc;
	}
	while (rc == 0) {
		errno = 0;
		entry = readdir(dir);
		if (!entry)
			break;
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			rc = each(arg, folder, entry->d_name, err);
	}
	if (rc == 0 && errno != 0)
		rc = err_sys(err, ERR_IO, "reading a folder");
	closedir(dir);
	return rc;
}

int
folder_sync(int folder, struct err *err)
{
	return file_sync_parent(folder, ".", err);
}

int
folder_add(int folder, const char *name, const void *data, size_t len,
    bool sync, struct err *err)
{
	int rc = 0;
	int fd = openat(folder, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd == -1)
		return err_sys(err, folder_code(errno), "creating %s", name);
	if (fchmod(fd, 0600) == -1 || file_write_all(fd, data, len) == -1 ||
	    (sync && fsync(fd) == -1))
		rc = err_sys(err, ERR_IO, "writing %s", name);
	if (close(fd) == -1 && rc == 0)
		rc = err_sys(err, ERR_IO, "writing %s", name);
	if (rc == -1)
		unlinkat(folder, name, 0);
	return rc;
}

/* -- temporary names ------------------------------------------------------ */

void
folder_temp(const char *name, const char *kind, char out[FOLDER_NAME_SIZE])
{
	uint64_t number;

	hash_random(&number, sizeof(number));
	snprintf(out, FOLDER_NAME_SIZE, ".%.200s.%016" PRIx64 ".%.8s", name,
	    number, kind);
}

static bool
ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && strcmp(name + n - m, end) == 0;
}

static bool
is_draft(const char *name)
{
	return name[0] == '.' && ends_with(name, ".new");
}

bool
folder_is_temp(const char *name)
{
	return is_draft(name) || (name[0] == '.' && ends_with(name, ".tmp"));
}

struct sweep {
	time_t now;
	bool alone; /* no draft has a living maker */
};

static int
sweep_one(void *arg, int folder, const char *name, struct err *err)
{
	const struct sweep *s = arg;
	struct err ignored = ERR_INIT;
	struct stat st;

	(void)err;
	if (!folder_is_temp(name) ||
	    fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return 0;
	if ((s->alone && is_draft(name)) || s->now - st.st_mtime > SWEEP_AGE_S)
		file_remove(folder, name, &ignored);
	return 0;
}

void
folder_sweep(int folder, bool alone)
{
	struct sweep s = {.now = time(NULL), .alone = alone};
	struct err ignored = ERR_INIT;

	folder_each(folder, sweep_one, &s, &ignored);
}
