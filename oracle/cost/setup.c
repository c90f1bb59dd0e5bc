/* SPDX-License-Identifier: MIT */
/*
 * What measuring changes for the whole machine: a swap device in compressed memory, and huge pages for who asks for them. A helper process that
 * ignores signals waits for the end of a pipe and puts everything back, also when this program is killed.
 */
#include "cost.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#define ZRAM "/sys/class/zram-control"
#define ENABLED "/sys/kernel/mm/transparent_hugepage/enabled"
enum { SWAP_MIB = 192, PREFER = SWAP_FLAG_PREFER | 32000 };

/* A change and who undoes it. */
struct change {
	int pipe;
	pid_t helper;
};
static struct change swap_change = { -1, 0 }, huge_change = { -1, 0 };

static bool read_word(const char *path, char *word, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, word, size - 1);

	if (fd >= 0) close(fd);
	word[n > 0 ? n : 0] = '\0';
	word[strcspn(word, "\n")] = '\0';
	return n > 0;
}
static bool write_word(const char *path, const char *word)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, word, strlen(word)) == (ssize_t)strlen(word);

	if (fd >= 0) close(fd);
	return done;
}

/* Returns true in the helper, when it is time to undo. */
static bool start_helper(struct change *change)
{
	int ends[2];
	char byte;

	if (pipe2(ends, O_CLOEXEC) != 0) return false;
	change->helper = fork();
	if (change->helper != 0) {
		close(ends[0]);
		change->pipe = ends[1];
		return false;
	}
	setsid();
	for (int sig = 1; sig < NSIG; sig++) signal(sig, SIG_IGN);
	/* What it inherited of other changes would keep their helpers waiting, and output open would keep its reader. */
	for (int fd = 0; fd < 64; fd++)
		if (fd != ends[0]) close(fd);
	while (read(ends[0], &byte, 1) < 0 && errno == EINTR) {}
	return true;
}

static void undo(struct change *change)
{
	if (change->pipe < 0) return;
	close(change->pipe);
	waitpid(change->helper, NULL, 0);
	change->pipe = -1;
}

void setup_undo(void)
{
	undo(&swap_change);
	undo(&huge_change);
}

/* What mkswap writes: a version, the last page, and the mark at the end of the first page. */
static bool make_swap(const char *device)
{
	static char first[PAGE];
	unsigned info[2] = { 1, SWAP_MIB * 256 - 1 };

	memcpy(first + 1024, info, sizeof(info));
	memcpy(first + PAGE - 10, "SWAPSPACE2", 10);
	int fd = open(device, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, first, sizeof(first));
	if (fd >= 0) close(fd);
	return n == PAGE && swapon(device, PREFER) == 0;
}

bool setup_swap(void)
{
	char number[16], device[32], path[64], size[16];

	if (swap_change.pipe >= 0) return true;
	if (!read_word(ZRAM "/hot_add", number, sizeof(number))) return false;
	snprintf(device, sizeof(device), "/dev/zram%s", number);
	snprintf(path, sizeof(path), "/sys/block/zram%s/disksize", number);
	if (start_helper(&swap_change)) {
		swapoff(device);
		write_word(ZRAM "/hot_remove", number);
		_exit(0);
	}
	snprintf(size, sizeof(size), "%dM", SWAP_MIB);
	if (write_word(path, size) && make_swap(device)) return true;
	undo(&swap_change);
	return false;
}

bool setup_huge_pages(void)
{
	char setting[64];

	if (!read_word(ENABLED, setting, sizeof(setting))) return false;
	if (strstr(setting, "[never]") == NULL) return true;
	if (access(ENABLED, W_OK) != 0) return false;
	if (start_helper(&huge_change)) {
		write_word(ENABLED, "never");
		_exit(0);
	}
	return write_word(ENABLED, "madvise");
}
