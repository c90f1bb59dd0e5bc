/* SPDX-License-Identifier: MIT */
/*
 * Seed 000 on the running kernel: every second page of a range that is in swap is brought side by side elsewhere, one ioctl a page.
 *
 *   slideSwapped WAY PAGES      WAY is copy or move, PAGES of the range, an even number up to 32768
 *
 * Prints nanoseconds of the slide and of giving the old range up, pages read from swap, KiB resident afterwards, pages written out again later. Sets up
 * a swap device in compressed memory for the time that it takes (../cost/setup.c), which needs root: where it cannot, it prints nothing but why.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../cost/cost.h"

/* UFFDIO_MOVE is younger than many headers. */
struct move {
	uint64_t dst, src, len, mode;
	int64_t move;
};
#define MOVE_IOCTL _IOWR(0xAA, 0x05, struct move)
enum { MOST_PAGES = 32768, TRIES = 20 };

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	setup_undo();
	exit(1);
}
/* Time of this process, which others that run meanwhile do not lengthen. */
static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000UL + t.tv_nsec;
}
/* kB of the process in `key`, which includes the colon. */
static uint64_t kib(const char *file, const char *key)
{
	char line[256];
	unsigned long value = 0;
	FILE *f = fopen(file, "r");

	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, key, strlen(key))) value = strtoul(line + strlen(key), NULL, 10);
	if (f) fclose(f);
	return value;
}
static uint64_t resident(void) { return kib("/proc/self/smaps_rollup", "Anonymous:"); }
static uint64_t swapped(void) { return kib("/proc/self/smaps_rollup", "Swap:"); }

static char *map(size_t bytes)
{
	char *at = mmap(NULL, bytes, RW, PRIVATE, -1, 0);

	if (at == MAP_FAILED) fail("mmap");
	madvise(at, bytes, MADV_NOHUGEPAGE);
	return at;
}

/* Writes all of it out; what was touched a moment ago may take more than one call. */
static void page_out(char *at, size_t bytes, uint64_t wanted_kib)
{
	for (int i = 0; i < TRIES && swapped() < wanted_kib; i++)
		if (madvise(at, bytes, MADV_PAGEOUT)) fail("MADV_PAGEOUT");
	errno = EIO;
	if (swapped() < wanted_kib) fail("MADV_PAGEOUT left pages");
}

int main(int argc, char **argv)
{
	size_t pages = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	bool is_move = argc == 3 && !strcmp(argv[1], "move");

	if (pages < 2 || pages % 2 || pages > MOST_PAGES || (!is_move && strcmp(argv[1], "copy"))) {
		fprintf(stderr, "usage: slideSwapped copy|move PAGES\n");
		return 2;
	}
	if (!setup_swap()) {
		fprintf(stderr, "needs root and zram\n");
		return 3;
	}
	size_t bytes = pages * PAGE;
	char *from = map(bytes), *to = map(bytes);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register r = { .range = { (uintptr_t)to, bytes }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	uint64_t state = 0x9e3779b97f4a7c15u;

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &r)) fail("userfaultfd");
	/* About half of each page can be saved. */
	for (size_t i = 0; i < bytes / sizeof(state); i++) {
		state ^= state << 7;
		state ^= state >> 9;
		((uint64_t *)from)[i] = i & 1 ? state & 0xff : state;
	}
	for (size_t i = 0; i < pages; i++) *(uint64_t *)(from + i * PAGE) = i;
	page_out(from, bytes, bytes / 1024);

	uint64_t before = resident(), t0 = now();

	for (size_t i = 0; i < pages / 2; i++) {
		struct uffdio_copy c = { .dst = (uintptr_t)to + i * PAGE, .src = (uintptr_t)from + 2 * i * PAGE, .len = PAGE };
		struct move m = { .dst = c.dst, .src = c.src, .len = PAGE };

		while (is_move ? ioctl(fd, MOVE_IOCTL, &m) : ioctl(fd, UFFDIO_COPY, &c))
			if (errno != EAGAIN) fail(argv[1]);
	}
	uint64_t ns = now() - t0;
	/* A copy makes a page, and brings the one that it reads in, too. */
	uint64_t copied = is_move ? 0 : bytes / 2 / 1024, read = resident() - before - copied;

	t0 = now();
	if (madvise(from, bytes, MADV_DONTNEED)) fail("MADV_DONTNEED");
	ns += now() - t0;
	uint64_t left = resident() - before, out_before = swapped();

	page_out(to, bytes / 2, bytes / 2 / 1024);
	uint64_t out_again = swapped() - out_before;

	for (size_t i = 0; i < pages / 2; i++)
		if (*(uint64_t *)(to + i * PAGE) != 2 * i) {
			errno = EIO;
			fail("a page holds something else");
		}
	setup_undo();
	printf("%lu %lu %lu %lu\n", ns, read * 1024 / PAGE, left, out_again * 1024 / PAGE);
	return 0;
}
