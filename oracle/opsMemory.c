/* SPDX-License-Identifier: MIT */
/*
 * A memory cgroup for the sequences that limit memory: made when such a sequence begins, with its executor in it, and removed when the sequence ends, also
 * when this program is killed: a helper waits for the end of a pipe, and removes it then. Both versions of the interface are known; in version 1, which has
 * no memory.reclaim, a limit of nothing is asked for.
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
enum { TRIES = 100, TRY_US = 20000 };

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

/* ---- what is on the lists ---- */

/* Figures of memory.stat: what is where. */
static const char *const NAMES[] = { "inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable" };
enum { NR_FIGURES = sizeof(NAMES) / sizeof(*NAMES), UNEVICTABLE = NR_FIGURES - 1, MOST_ROUNDS = 32, ATTEMPTS = 3 };

/*
 * The kernel decides by these figures whether active pages become inactive, and brings them up to date every two seconds, or when somebody reads them and
 * enough has changed since: so the executor changes enough. Returns 0, or -1 when it is dead.
 */
static int look(uint64_t figures[NR_FIGURES])
{
	static char text[8192];
	char path[192];

	if (ops_ask(STIR) != 0) return -1;
	snprintf(path, sizeof(path), "%s/memory.stat", group);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0) close(fd);
	text[n > 0 ? n : 0] = '\0';
	for (int i = 0; i < NR_FIGURES; i++) {
		size_t length = strlen(NAMES[i]);
		const char *line = text;
		while (line && (strncmp(line, NAMES[i], length) != 0 || line[length] != ' ')) line = (line = strchr(line, '\n')) ? line + 1 : NULL;
		figures[i] = line ? strtoull(line + length, NULL, 10) : 0;
	}
	return 0;
}

static int has_any(const uint64_t figures[NR_FIGURES])
{
	for (int i = 0; i < UNEVICTABLE; i++)
		if (figures[i]) return 1;
	return 0;
}

/*
 * Asks until nothing changes any more. In version 1 a limit of nothing is asked for, which is refused once an attempt to get there has got nothing back, and
 * leaves the limit as it was; to ask for everything (memory.force_empty) would wait for all CPUs of the machine.
 */
static int reclaim(struct op *op)
{
	uint64_t before[NR_FIGURES], after[NR_FIGURES], had = usage(), bytes = op->arg[0];
	char text[32];

	snprintf(text, sizeof(text), "%lu\n", bytes);
	if (look(after) != 0) return -1;
	for (int i = 0; i < MOST_ROUNDS && has_any(after); i++) {
		memcpy(before, after, sizeof(before));
		for (int k = 0; k < ATTEMPTS; k++)
			op->error = version == 2 ? write_to("memory.reclaim", text) : write_to("memory.limit_in_bytes", "0\n");
		if (look(after) != 0) return -1;
		if (memcmp(before, after, sizeof(before)) == 0) break;
	}
	if (version == 1) op->error = had < bytes + usage() ? EAGAIN : 0;
	return 0;
}

int memory_call(struct op *op)
{
	op->plain = 1;
	if (op->kind == OP_MEMORY_RECLAIM) return reclaim(op);
	op->error = limit(op->arg[0]);
	return 0;
}
