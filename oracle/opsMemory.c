/* SPDX-License-Identifier: MIT */
/*
 * A memory cgroup for the sequences that limit memory: made when such a sequence begins, with its executor in it, and removed when the sequence ends, also
 * when this program is killed: a helper waits for the end of a pipe, and removes it then. Both versions of the interface are known; in version 1, which has
 * no memory.reclaim, everything that can go is asked to (force_empty).
 */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define V1 "/sys/fs/cgroup/memory"
#define V2 "/sys/fs/cgroup"
enum { TRIES = 100, TRY_US = 20000, AGES = 60, AGE_US = 100000 };

static char group[128];
static int version, helper_pipe = -1;
static pid_t helper;

/* Returns 0, or the errno. */
static int write_to(const char *file, const char *text)
{
	char path[192];
	int error = 0;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) return errno;
	if (write(fd, text, strlen(text)) < 0) error = errno;
	close(fd);
	return error;
}

static uint64_t usage(void)
{
	char path[192], text[32];

	snprintf(path, sizeof(path), "%s/%s", group, version == 1 ? "memory.usage_in_bytes" : "memory.current");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0) close(fd);
	text[n > 0 ? n : 0] = '\0';
	return strtoull(text, NULL, 10);
}

/* It goes once the last process in it is gone. */
static void remove_group(void)
{
	for (int i = 0; i < TRIES && rmdir(group) != 0 && errno == EBUSY; i++) usleep(TRY_US);
}

static void start_helper(void)
{
	int ends[2];
	char byte;

	if (pipe2(ends, O_CLOEXEC) != 0) return;
	helper = fork();
	if (helper != 0) {
		close(ends[0]);
		helper_pipe = ends[1];
		return;
	}
	setsid();
	for (int sig = 1; sig < NSIG; sig++) signal(sig, SIG_IGN);
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(ends[1]);
	while (read(ends[0], &byte, 1) < 0 && errno == EINTR) {}
	remove_group();
	_exit(0);
}

int memory_begin(pid_t pid)
{
	char text[16];

	version = access(V1 "/memory.limit_in_bytes", F_OK) == 0 || access(V1 "/memory.usage_in_bytes", F_OK) == 0 ? 1 : 2;
	snprintf(group, sizeof(group), "%s/faultline-ops-%d", version == 1 ? V1 : V2, getpid());
	if (mkdir(group, 0755) != 0) return -1;
	start_helper();
	snprintf(text, sizeof(text), "%d\n", pid);
	return helper_pipe >= 0 && write_to("cgroup.procs", text) == 0 ? 0 : -1;
}

void memory_end(void)
{
	if (helper_pipe < 0) return;
	close(helper_pipe);
	waitpid(helper, NULL, 0);
	helper_pipe = -1;
}

static int limit(uint64_t bytes)
{
	char text[32];

	if (bytes == NO_LIMIT) snprintf(text, sizeof(text), version == 1 ? "-1\n" : "max\n");
	else snprintf(text, sizeof(text), "%lu\n", bytes);
	return write_to(version == 1 ? "memory.limit_in_bytes" : "memory.max", text);
}

/* ---- pages that are active ---- */

/* Of /proc/PID/pagemap and /proc/kpageflags. */
#define PAGE_PRESENT (1UL << 63)
#define PFN_MASK ((1UL << 55) - 1)
#define FLAG_ACTIVE (1UL << 6)
#define FLAG_UNEVICTABLE (1UL << 18)
#define FLAG_ZERO_PAGE (1UL << 24)

/* Whether a page of the window of `pid` is on a list of active ones. */
static int has_active(pid_t pid, int flags_fd, const struct ops_shared *shared)
{
	static uint64_t words[MAX_PAGES];
	char path[32];
	uint64_t flags;
	int found = 0;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t bytes = fd < 0 ? 0 : pread(fd, words, (shared->window_end - WINDOW) / OPS_PG * 8, WINDOW / OPS_PG * 8);
	if (fd >= 0) close(fd);
	for (ssize_t i = 0; i < bytes / 8 && !found; i++) {
		if (!(words[i] & PAGE_PRESENT) || pread(flags_fd, &flags, 8, (words[i] & PFN_MASK) * 8) != 8) continue;
		found = (flags & FLAG_ACTIVE) && !(flags & (FLAG_UNEVICTABLE | FLAG_ZERO_PAGE));
	}
	return found;
}

/*
 * Active pages become inactive only when the kernel sees how many there are, by figures that it brings up to date every two seconds. Where
 * there are any, everything that can go has gone only after that.
 */
static int has_any_active(const struct ops_shared *shared, pid_t pid)
{
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC), found = fd >= 0 && has_active(pid, fd, shared);

	for (int i = 0; i < MAX_CHILDREN && fd >= 0 && !found; i++)
		if (shared->child[i].pid) found = has_active(shared->child[i].pid, fd, shared);
	if (fd >= 0) close(fd);
	return found;
}

static int reclaim(uint64_t bytes, const struct ops_shared *shared, pid_t pid)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu\n", bytes);
	uint64_t before = usage();
	int error = 0;
	for (int i = 0; i < AGES; i++) {
		error = version == 2 ? write_to("memory.reclaim", text) : write_to("memory.force_empty", "1\n");
		if (error != (version == 2 ? EAGAIN : 0) || shared->swap_pages == 0 || !has_any_active(shared, pid)) break;
		usleep(AGE_US);
	}
	if (version == 2 || error) return error;
	return before < bytes + usage() ? EAGAIN : 0;
}

void memory_call(struct op *op, const struct ops_shared *shared, pid_t pid)
{
	op->error = op->kind == OP_MEMORY_MAX ? limit(op->arg[0]) : reclaim(op->arg[0], shared, pid);
	op->plain = 1;
}
