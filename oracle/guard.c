/* SPDX-License-Identifier: MIT */
/*
 * The two things a case may change for the whole machine: the overcommit mode, and swap space. Before anything is changed
 * a helper process is started that ignores signals and waits for the end of a pipe; it puts things back when the pipe
 * closes, which happens at the end of the case and also when this program is killed, whatever the signal. A lock, held
 * until then, keeps a second run from taking our change for what it has to put back.
 */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#define OVERCOMMIT "/proc/sys/vm/overcommit_memory"
#define OVERCOMMIT_RATIO "/proc/sys/vm/overcommit_ratio"
#define OVERCOMMIT_KBYTES "/proc/sys/vm/overcommit_kbytes"
#define LOCK "/tmp/faultline-oracle.lock"
#define GATE "/tmp/faultline-oracle.gate"
#define ZRAM "/sys/class/zram-control"
#define PAGE_CLUSTER "/proc/sys/vm/page-cluster"
enum { SWAP_PAGE = 4096, SWAP_PAGES = (64 << 20) / SWAP_PAGE };

static int helper_pipe = -1, lock = -1, gate = -1;
static int overcommit = -1; /* helper_pipe, when the helper knows the old mode */
static pid_t helper;

static int read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
	if (fd >= 0) close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return n > 0 ? 0 : -1;
}
static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
	if (fd >= 0) close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

int guard_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0) return fd;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd >= 0) fchmod(fd, 0666);
	return fd;
}

/* Everybody goes through a gate, and who wants to be alone stays in it while he waits: those who share would otherwise keep him waiting. */
static void take_lock(int how)
{
	if (lock >= 0) return;
	if (gate < 0) gate = guard_open(GATE);
	lock = guard_open(LOCK);
	flock(gate, how);
	flock(lock, how);
	flock(gate, LOCK_UN);
}

void guard_lock(void) { take_lock(LOCK_EX); }
void guard_share(void) { take_lock(LOCK_SH); }

/* Returns 1 in the helper process, once there is something to undo; 0 in this one. */
static int start_helper(void)
{
	int ends[2];
	char byte;

	if (pipe2(ends, O_CLOEXEC) != 0) return 0;
	helper = fork();
	if (helper != 0) {
		close(ends[0]);
		helper_pipe = ends[1];
		return 0;
	}
	setsid();
	for (int sig = 1; sig < NSIG; sig++) signal(sig, SIG_IGN);
	close(ends[1]);
	while (read(ends[0], &byte, 1) < 0 && errno == EINTR) {}
	return 1;
}

void guard_undo(void)
{
	if (helper_pipe >= 0) {
		close(helper_pipe);
		waitpid(helper, NULL, 0);
	}
	if (lock >= 0) close(lock);
	helper_pipe = lock = overcommit = -1;
}

/*
 * In mode 2 every process of the machine is refused memory beyond the limit, whatever else runs here. The limit is therefore first
 * raised to 512 GiB more than the machine has promised, which may be much after mode 1; that is still below the terabyte that a case asks for.
 */
static int raise_limit(void)
{
	char text[32], info[4096];
	const char *promised = read_text("/proc/meminfo", info, sizeof(info)) == 0 ? strstr(info, "\nCommitted_AS:") : NULL;
	snprintf(text, sizeof(text), "%ld\n", (promised ? atol(promised + 14) : 0) + (512L << 20));
	return write_text(OVERCOMMIT_KBYTES, text);
}

/* The ratio and the kilobytes exclude each other: writing one sets the other to 0. */
static void restore_limit(const char *ratio, const char *kbytes)
{
	if (atol(kbytes) != 0) write_text(OVERCOMMIT_KBYTES, kbytes);
	else write_text(OVERCOMMIT_RATIO, ratio);
}

int guard_overcommit(int mode)
{
	char old[16], new[16], ratio[16], kbytes[32];

	guard_lock();
	snprintf(new, sizeof(new), "%d\n", mode);
	if (helper_pipe < 0 || overcommit != helper_pipe) {
		if (helper_pipe >= 0 || read_text(OVERCOMMIT, old, sizeof(old)) != 0 || read_text(OVERCOMMIT_RATIO, ratio, sizeof(ratio)) != 0 ||
		    read_text(OVERCOMMIT_KBYTES, kbytes, sizeof(kbytes)) != 0) return -1;
		if (start_helper()) {
			write_text(OVERCOMMIT, old);
			restore_limit(ratio, kbytes);
			_exit(0);
		}
		overcommit = helper_pipe;
	}
	return (mode == 2 && raise_limit() != 0) || write_text(OVERCOMMIT, new) != 0 ? -1 : 0;
}

/* Writes what mkswap writes: a version, the last page, and the mark at the end of the first page. */
static int make_swap(const char *device, long pages)
{
	static char page[SWAP_PAGE];
	/* The first page of the device is this one. */
	unsigned info[2] = { 1, pages };

	memcpy(page + 1024, info, sizeof(info));
	memcpy(page + SWAP_PAGE - 10, "SWAPSPACE2", 10);
	int fd = open(device, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, page, sizeof(page));
	if (fd >= 0) close(fd);
	return n == SWAP_PAGE && swapon(device, 0) == 0 ? 0 : -1;
}

static int has_swap(void)
{
	char swaps[512];
	return read_text("/proc/swaps", swaps, sizeof(swaps)) == 0 && strchr(swaps, '\n')[1] != '\0';
}

/* Makes a device with that many pages and swaps to it. `cluster`: how many pages are read at once from then on, as a power of two; NULL: as before. */
static int add_swap(long pages, const char *cluster)
{
	char number[16], device[32], path[64], size[24], old[16];

	if (helper_pipe >= 0 || read_text(PAGE_CLUSTER, old, sizeof(old)) != 0 || read_text(ZRAM "/hot_add", number, sizeof(number)) != 0) return -1;
	number[strcspn(number, "\n")] = '\0';
	snprintf(device, sizeof(device), "/dev/zram%s", number);
	snprintf(path, sizeof(path), "/sys/block/zram%s/disksize", number);
	if (start_helper()) {
		swapoff(device);
		if (cluster) write_text(PAGE_CLUSTER, old);
		write_text(ZRAM "/hot_remove", number);
		_exit(0);
	}
	snprintf(size, sizeof(size), "%ld", (pages + 1) * SWAP_PAGE);
	if (cluster) write_text(PAGE_CLUSTER, cluster);
	return write_text(path, size) == 0 && make_swap(device, pages) == 0 ? 0 : -1;
}

void guard_swap(void)
{
	guard_lock();
	printf(has_swap() || add_swap(SWAP_PAGES, NULL) == 0 ? "-> 0\n" : "-> no swap space and no zram\n");
}

int guard_swap_pages(long pages)
{
	guard_lock();
	return has_swap() ? -1 : add_swap(pages, "0");
}
