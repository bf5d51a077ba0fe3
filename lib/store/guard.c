#include <config.h>

#include "store/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "base/date.h"
#include "base/err.h"
#include "store/folder.h"

int
guard_open(int root, struct err *err)
{
	const char *name;
	int fd, own = folder_open_parent(root, GUARD_FILE, &name, true, err);

	if (own == -1)
		return -1;
	fd = openat(own, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		err_sys(err, folder_code(errno), GUARD_FILE);
	close(own);
	return fd;
}

int
guard_lock(int fd, int type, enum guard what, int wait_ms)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	struct flock range = {
	    .l_type = (short)type,
	    .l_whence = SEEK_SET,
	    .l_start = (off_t)what,
	    .l_len = 1,
	};
	int64_t until = date_mono_ms() + wait_ms;

	while (fcntl(fd, F_OFD_SETLK, &range) == -1) {
		if (errno != EINTR && errno != EAGAIN && errno != EACCES)
			return -1;
		if (date_mono_ms() >= until) {
			errno = EAGAIN;
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

int
guard_take(int root, enum guard what, int wait_ms, struct err *err)
{
	int fd = guard_open(root, err);

	if (fd == -1 || guard_lock(fd, F_WRLCK, what, wait_ms) == 0)
		return fd;
	if (errno == EAGAIN)
		err_set(err, ERR_LATER, GUARD_FILE ": held by another process");
	else
		err_sys(err, ERR_IO, "locking " GUARD_FILE);
	close(fd);
	return -1;
}
