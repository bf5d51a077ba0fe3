#include <config.h>

#include "store/lease.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "base/json.h"
#include "store/store.h"
#include "tap.h"

#define NAME "issue_cert_www.example.com"
#define LOCK "locks/" NAME ".lock"

enum { PATH_SIZE = 512, PROCESSES = 16, ROUNDS = 50 };

static char root[PATH_SIZE];
static struct store *store;

static const char *
in_root(const char *path)
{
	static char full[2 * PATH_SIZE];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	return full;
}

static void
write_lock(const char *text)
{
	FILE *f = fopen(in_root(LOCK), "w");

	if (!f || fputs(text, f) == EOF || fclose(f) == EOF) {
		perror(LOCK);
		exit(99);
	}
}

/* As a refresher not ours does: same file, new contents. */
static void
rewrite_lock(const char *text)
{
	int fd = open(in_root(LOCK), O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd == -1 || write(fd, text, strlen(text)) == -1)
		exit(99);
	close(fd);
}

static void
set_mtime(time_t ago)
{
	struct timespec times[2];

	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= ago;
	times[1] = times[0];
	utimensat(AT_FDCWD, in_root(LOCK), times, 0);
}

/* A time so many seconds ago as CertMagic writes it. */
static const char *
ago(time_t seconds)
{
	static char text[4][DATE_MAX];
	static int turn;

	turn = (turn + 1) % 4;
	return date_format_nano(time(NULL) - seconds, 123456789, text[turn]);
}

/* CertMagic's whole file. */
static void
certmagic_lock(time_t created, time_t updated)
{
	char text[PATH_SIZE];

	snprintf(text, sizeof(text),
	    "{\"created\":\"%s\","
	    "\"updated\":\"%s\"}\n",
	    ago(created), ago(updated));
	write_lock(text);
}

static const char *
lock_text(void)
{
	static char text[PATH_SIZE];
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;

	if (store_get(store, LOCK, sizeof(text) - 1, &b, NULL, &err) == -1)
		snprintf(text, sizeof(text), "error %d", (int)err.code);
	else
		snprintf(text, sizeof(text), "%s", buf_str(&b));
	buf_release(&b);
	return text;
}

/* A member of the lock file's object, "" when it is not there. */
static const char *
member(const char *name)
{
	static char out[2][PATH_SIZE];
	static int turn;
	const char *text = lock_text(), *value = "";
	struct err err = ERR_INIT;
	struct json *o = json_parse("lock", text, strlen(text), &err);

	turn = !turn;
	if (o)
		json_get_string("lock", o, name, JSON_OPTIONAL, &value, &err);
	snprintf(out[turn], sizeof(out[turn]), "%s", value);
	json_free(o);
	return out[turn];
}

static ino_t
inode(void)
{
	struct stat st;

	return stat(in_root(LOCK), &st) == -1 ? 0 : st.st_ino;
}

static bool
is_held(const char *text, const char *what)
{
	struct err err = ERR_INIT;
	struct lease *l = lease_try(store, NAME, &err);

	lease_release(l);
	return fails(l ? 0 : -1, &err, ERR_LATER, text, "%s", what);
}

static bool
is_free(const char *what)
{
	struct err err = ERR_INIT;
	struct lease *l = lease_try(store, NAME, &err);
	bool got = ok_err(l ? 0 : -1, &err, "%s", what);

	lease_release(l);
	return got;
}

static struct lease *
take(void)
{
	struct err err = ERR_INIT;
	struct lease *l = lease_try(store, NAME, &err);

	if (!l) {
		fprintf(stderr, "%s\n", err.text);
		exit(99);
	}
	return l;
}

/* -- taking and giving back ------------------------------------------------ */

static void
test_take(void)
{
	char host[64] = "", want[PATH_SIZE];
	struct err err = ERR_INIT;
	struct stat st;
	struct lease *l, *other;
	time_t sec;
	long nsec;

	l = lease_try(store, NAME, &err);
	if (!ok_err(l ? 0 : -1, &err, "a free lock is taken"))
		exit(1);
	ok(stat(in_root(LOCK), &st) == 0 && (st.st_mode & 07777) == 0644,
	    "the file has CertMagic's mode");
	ok(stat(in_root("locks"), &st) == 0 && (st.st_mode & 07777) == 0700,
	    "and its folder, too");
	ok(strncmp(lock_text(), "{\"created\":\"", 12) == 0 &&
	        strchr(lock_text(), '\n') == strrchr(lock_text(), '\n'),
	    "it is one line and begins as CertMagic's");
	ok(date_parse(member("created"), strlen(member("created")), &sec,
	       &nsec) == 0 &&
	        labs((long)(time(NULL) - sec)) < 60,
	    "with the time it was made");
	is_int((long long)strlen(member("created")),
	    sizeof("2026-11-22T06:03:17.123456789Z") - 1,
	    "to the nanosecond, whatever its last digits");
	is(member("updated"), member("created"), "when it was updated");
	gethostname(host, sizeof(host) - 1);
	snprintf(want, sizeof(want), "%s:%ld:", host, (long)getpid());
	ok(strncmp(member("owner"), want, strlen(want)) == 0,
	    "and its owner, %s...", want);
	snprintf(want, sizeof(want), "held by %s pid %ld since 20", host,
	    (long)getpid());
	is_held(want, "the second is told who has it");
	other = lease_try(store, "register_acme_account", &err);
	ok(other != NULL, "another lock is free");
	lease_release(other);
	ok_err(lease_check(l, &err), &err, "the first still has it");
	lease_release(l);
	is(lock_text(), "error 66", "the file goes with the lease");
	is_free("and the lock is free again");
	lease_release(NULL);
}

static void
test_names(void)
{
	char longest[300];
	struct err err = ERR_INIT;
	struct lease *l = lease_try(store, "issue_cert_*.example.com", &err);
	struct stat st;

	ok(l &&
	        stat(in_root("locks/issue_cert_wildcard_.example.com.lock"),
	            &st) == 0,
	    "a wildcard's lock is spelled as CertMagic does");
	lease_release(l);
	l = lease_try(store, "../../../etc/x", &err);
	ok(l && stat(in_root("locks/etcx.lock"), &st) == 0,
	    "a name cannot leave the folder");
	lease_release(l);
	fails(lease_try(store, " ", &err) ? 0 : -1, &err, ERR_CONFIG, NULL,
	    "an empty name is refused");
	memset(longest, 'a', 299);
	longest[299] = '\0';
	fails(lease_try(store, longest, &err) ? 0 : -1, &err, ERR_CONFIG, NULL,
	    "a name too long, too");
}

/* -- CertMagic's locks ----------------------------------------------------- */

static void
test_certmagic(void)
{
	certmagic_lock(3600, 3);
	is_held(
	    "held by another program since", "CertMagic's lock holds us off");
	certmagic_lock(3600, 9);
	is_held(NULL, "until it is ten seconds old");
	certmagic_lock(3600, 12);
	is_free("then it is taken over");
	is(lock_text(), "error 66", "and removed as ours");
	write_lock("{\"id\":\"x\",\"created\":\"2020-01-01T00:00:00+02:00\","
	           "\"updated\":\"2020-01-01T00:00:00.5+02:00\"}");
	is_free("whatever else it says");
}

static void
test_updated(void)
{
	char text[PATH_SIZE];

	snprintf(text, sizeof(text),
	    "{\"created\":\"%s\","
	    "\"updated\":\"0001-01-01T00:00:00Z\"}",
	    ago(2));
	write_lock(text);
	is_held(NULL, "without an update the time it was made counts");
	snprintf(text, sizeof(text), "{\"created\":\"%s\"}", ago(20));
	write_lock(text);
	is_free("also when that is old");
	certmagic_lock(0, -8);
	is_held(NULL, "a clock a little ahead");
	certmagic_lock(0, -3600);
	is_held(NULL, "and far ahead, while its holder writes");
	set_mtime(60);
	is_free("but not when nobody has written for long");
}

static void
test_malformed(void)
{
	static const char *const bad[] = {"", "{", "[]", "null",
	    "{\"created\":5}", "{\"updated\":\"yesterday\"}", "{}", "\x80\xff"};
	char *big = xcalloc(1, 10001);
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_lock(bad[i]);
		is_held("just writing", "a malformed file is taken as new");
		set_mtime(11);
		is_free("until it has been so for ten seconds");
	}
	memset(big, ' ', 10000);
	write_lock(big);
	is_held(NULL, "one too large is malformed");
	set_mtime(11);
	is_free("and no more");
	free(big);
}

static void
test_links(void)
{
	struct err err = ERR_INIT;

	ok(symlink("elsewhere", in_root(LOCK)) == 0, "a link in its place");
	fails(lease_try(store, NAME, &err) ? 0 : -1, &err, ERR_PERMISSION, NAME,
	    "is refused");
	unlink(in_root(LOCK));
	ok(mkdir(in_root(LOCK), 0700) == 0, "a folder in its place");
	is_held(NULL, "holds us off");
	set_mtime(11);
	fails(lease_try(store, NAME, &err) ? 0 : -1, &err, ERR_IO, NAME,
	    "and is not removed");
	rmdir(in_root(LOCK));
}

/* -- keeping --------------------------------------------------------------- */

static void
test_refresh(void)
{
	struct lease *l = take();
	struct err err = ERR_INIT;
	char before[PATH_SIZE], created[PATH_SIZE], updated[PATH_SIZE];
	int64_t due = lease_due_ms(l);
	ino_t was = inode();

	ok(due > date_mono_ms() && due <= date_mono_ms() + LEASE_REFRESH_MS,
	    "a refresh is due in five seconds");
	snprintf(before, sizeof(before), "%s", lock_text());
	ok_err(lease_refresh(l, due - 1, &err), &err, "before that");
	is(lock_text(), before, "nothing is written");
	snprintf(created, sizeof(created), "%s", member("created"));
	snprintf(updated, sizeof(updated), "%s", member("updated"));
	ok_err(lease_refresh(l, due, &err), &err, "then");
	ok(strcmp(member("updated"), updated) > 0, "the update is newer");
	is(member("created"), created, "all else as it was");
	is_int((long long)strlen(lock_text()), (long long)strlen(before),
	    "the text as long");
	ok(inode() == was, "and the file the same");
	is_int(
	    lease_due_ms(l), due + LEASE_REFRESH_MS, "the next is due later");
	lease_release(l);
}

/* What a CertMagic process that had the lock before us may still do. */
static void
test_foreign_refresh(void)
{
	struct lease *l = take();
	struct err err = ERR_INIT;
	char text[PATH_SIZE], owner[PATH_SIZE];
	int64_t due = lease_due_ms(l);

	snprintf(owner, sizeof(owner), "%s", member("owner"));
	snprintf(text, sizeof(text),
	    "{\"created\":\"%s\","
	    "\"updated\":\"%s\"}\n",
	    member("created"), ago(0));
	rewrite_lock(text);
	ok_err(lease_check(l, &err), &err, "a missing owner loses nothing");
	ok_err(lease_refresh(l, due, &err), &err, "and is");
	is(member("owner"), owner, "written again");
	rewrite_lock("");
	ok_err(lease_check(l, &err), &err, "nor does an empty file");
	due += LEASE_REFRESH_MS;
	ok_err(lease_refresh(l, due, &err), &err, "which is");
	is(member("owner"), owner, "filled again");
	snprintf(text, sizeof(text),
	    "{\"created\":\"%s\",\"updated\":\"%s\","
	    "\"much\":\"%0300d\"}\n",
	    member("created"), ago(0), 0);
	rewrite_lock(text);
	due += LEASE_REFRESH_MS;
	ok_err(lease_refresh(l, due, &err), &err, "a longer text");
	is(member("owner"), owner, "is cut to ours");
	lease_release(l);
	is(lock_text(), "error 66", "and given back");
}

static void
is_lost(struct lease *l, const char *what)
{
	struct err err = ERR_INIT;
	char before[PATH_SIZE];

	snprintf(before, sizeof(before), "%s", lock_text());
	fails(lease_check(l, &err), &err, ERR_LATER, "lost", "%s: lost", what);
	fails(lease_refresh(l, lease_due_ms(l), &err), &err, ERR_LATER, "lost",
	    "%s: not refreshed", what);
	lease_release(l);
	is(lock_text(), before, "%s: left alone", what);
	unlink(in_root(LOCK));
}

static void
test_lost(void)
{
	struct lease *l = take(), *thief;
	char text[PATH_SIZE];

	unlink(in_root(LOCK));
	is_lost(l, "removed");
	l = take();
	unlink(in_root(LOCK));
	certmagic_lock(0, 0);
	is_lost(l, "replaced");
	l = take();
	snprintf(text, sizeof(text), "%s", lock_text());
	unlink(in_root(LOCK));
	write_lock(text);
	is_lost(l, "replaced by its very copy");
	l = take();
	snprintf(text, sizeof(text),
	    "{\"created\":\"%s\",\"updated\":\"%s\","
	    "\"owner\":\"x:1:2\"}",
	    member("created"), ago(0));
	rewrite_lock(text);
	is_lost(l, "another owner");
	l = take();
	snprintf(text, sizeof(text), "{\"created\":\"%s\",\"updated\":\"%s\"}",
	    ago(1), ago(0));
	rewrite_lock(text);
	is_lost(l, "made at another time");
	l = take();
	snprintf(text, sizeof(text), "{\"created\":\"%s\",\"updated\":\"%s\"}",
	    member("created"), ago(30));
	rewrite_lock(text);
	thief = take();
	is_held(NULL, "a stale lease is taken over");
	is_lost(l, "by another");
	lease_release(thief);
}

static void
test_release_all(void)
{
	struct err err = ERR_INIT;
	struct lease *a = lease_try(store, "a", &err);
	struct lease *b = lease_try(store, "b", &err);
	struct lease *c = lease_try(store, NAME, &err);
	struct stat st;

	ok(a && b && c, "three leases");
	lease_release(b);
	unlink(in_root(LOCK));
	certmagic_lock(0, 0);
	lease_release_all();
	ok(stat(in_root("locks/a.lock"), &st) == -1, "all are given back");
	is_held("another program", "except one that was lost");
	lease_release(c);
	lease_release(a);
	unlink(in_root(LOCK));
}

/* -- processes that die ---------------------------------------------------- */

/* A child that holds the lock until it is killed; told through a pipe. */
static pid_t
holder(void)
{
	int ready[2];
	char c;
	pid_t pid;

	if (pipe(ready) == -1)
		exit(99);
	pid = fork();
	if (pid == 0) {
		take();
		if (write(ready[1], "x", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	if (read(ready[0], &c, 1) != 1)
		exit(99);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void
end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* The file with one member's value replaced. */
static void
forge(const char *name, const char *value)
{
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;
	const char *text = lock_text();
	struct json *o = json_parse("lock", text, strlen(text), &err);

	json_add_string(o, name, value);
	json_print(o, JSON_COMPACT, &b);
	rewrite_lock(buf_str(&b));
	json_free(o);
	buf_release(&b);
}

static void
test_killed(void)
{
	pid_t pid = holder();

	kill(pid, SIGSTOP);
	is_held(NULL, "a living process has the lock, stopped or not");
	end(pid);
	is_free("a dead one of this boot has not");
	end(holder());
	forge("owner", "otherhost.example:1:1");
	is_held("otherhost.example", "one of another host may live");
	unlink(in_root(LOCK));
	end(holder());
	forge("boot", "01234567-89ab-cdef-0123-456789abcdef");
	is_held(NULL, "one of another boot, too");
	unlink(in_root(LOCK));
	end(holder());
	forge("boot", "");
	is_held(NULL, "and one that does not say");
	unlink(in_root(LOCK));
}

/* -- a race ---------------------------------------------------------------- */

struct shared {
	_Atomic int arrived, round, won, holding, both, failed;
};

/* The last to arrive opens the gate; each round has two. */
static void
gate(struct shared *m, int *round)
{
	if (atomic_fetch_add(&m->arrived, 1) == PROCESSES - 1) {
		atomic_store(&m->arrived, 0);
		atomic_store(&m->round, *round + 1);
	}
	while (atomic_load(&m->round) == *round)
		sched_yield();
	++*round;
}

static _Noreturn void
race(struct shared *m, int me)
{
	struct err err = ERR_INIT;
	struct lease *l;
	int i, round = 0;

	for (i = 0; i < ROUNDS; i++) {
		if (me == 0 && i % 3 == 0)
			certmagic_lock(60, 60); /* stale */
		if (me == 0 && i % 3 == 1) {
			write_lock("");
			set_mtime(60);
		}
		gate(m, &round);
		l = lease_try(store, NAME, &err);
		if (l) {
			atomic_fetch_add(&m->won, 1);
			if (atomic_fetch_add(&m->holding, 1) != 0)
				atomic_fetch_add(&m->both, 1);
		} else if (err.code != ERR_LATER) {
			atomic_fetch_add(&m->failed, 1);
		}
		gate(m, &round);
		if (l && lease_check(l, &err) == -1)
			atomic_fetch_add(&m->failed, 1);
		if (l)
			atomic_fetch_sub(&m->holding, 1);
		lease_release(l);
		gate(m, &round);
	}
	_exit(0);
}

static void
test_race(void)
{
	struct shared *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int i, status, bad = 0;

	if (m == MAP_FAILED)
		exit(99);
	for (i = 0; i < PROCESSES; i++)
		if (fork() == 0)
			race(m, i);
	for (i = 0; i < PROCESSES; i++)
		if (wait(&status) == -1 || status != 0)
			bad++;
	is_int(bad, 0, "%d processes race for a lock", PROCESSES);
	is_int(atomic_load(&m->both), 0, "never have two of them got it");
	is_int(atomic_load(&m->won), ROUNDS, "one has in each of %d rounds",
	    ROUNDS);
	is_int(atomic_load(&m->failed), 0, "and the others were told so");
	munmap(m, sizeof(*m));
}

int
main(void)
{
	struct err err = ERR_INIT;

	snprintf(root, sizeof(root), "%s/store", tap_tmpdir());
	store = store_open(root, true, &err);
	if (!ok_err(store ? 0 : -1, &err, "a store"))
		return done();
	test_take();
	test_names();
	test_certmagic();
	test_updated();
	test_malformed();
	test_links();
	test_refresh();
	test_foreign_refresh();
	test_lost();
	test_release_all();
	test_killed();
	test_race();
	store_close(store);
	return done();
}
