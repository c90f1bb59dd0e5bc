/* SPDX-License-Identifier: MIT */
/*
 * Seed 000 on the running kernel, what takes a moment.
 *
 *   movePages limit               a reservation of which every second page is made writable until that fails: prints how many vmas there are then
 *   movePages refused ARMED       mremap of 3 vmas that were one, to a fixed address, registered with userfaultfd or not (1, 0): prints 1 for EFAULT, else 0
 *   movePages cost WAY PAGES      WAY is copy or move: prints picoseconds a page of ioctls of so many pages each, of the fastest of 200 rounds
 *
 * Everything is memory of this process and goes with it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define BLOCK (512 * PAGE)
#define RW (PROT_READ | PROT_WRITE)

/* UFFDIO_MOVE is younger than many headers. */
struct move {
	uint64_t dst, src, len, mode;
	int64_t move;
};
#define MOVE _IOWR(0xAA, 0x05, struct move)

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}
static char *map(size_t len, int prot)
{
	char *at = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED) fail("mmap");
	return at;
}
/* Whole blocks of 2 MiB, of small pages. */
static char *blocks(size_t len)
{
	char *at = (char *)(((uintptr_t)map(len + BLOCK, RW) + BLOCK - 1) & ~(BLOCK - 1));

	madvise(at, len, MADV_NOHUGEPAGE);
	return at;
}
static int open_uffd(char *at, size_t len)
{
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register r = { .range = { (uintptr_t)at, len }, .mode = UFFDIO_REGISTER_MODE_MISSING };

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &r)) fail("userfaultfd");
	return fd;
}

static int vmas(void)
{
	char line[512];
	int n = 0;
	FILE *f = fopen("/proc/self/maps", "r");

	/* The last one is in no address space. */
	while (f && fgets(line, sizeof line, f)) n += strstr(line, "[vsyscall]") == NULL;
	if (f) fclose(f);
	return n;
}
static int limit(void)
{
	size_t pages = 140000;
	char *at = map(pages * PAGE, PROT_NONE);

	vmas(); /* stdio takes its memory before */
	for (size_t i = 1; i < pages; i += 2)
		if (mprotect(at + i * PAGE, PAGE, RW)) return vmas();
	errno = 0;
	fail("mprotect never failed");
	return 0;
}

static int refused(int armed)
{
	char *at = blocks(BLOCK), *to = blocks(BLOCK);

	memset(at, 1, BLOCK);
	if (mprotect(at + PAGE, PAGE, PROT_READ)) fail("mprotect");
	if (armed) open_uffd(at, BLOCK);
	if (mremap(at, BLOCK, BLOCK, MREMAP_MAYMOVE | MREMAP_FIXED, to) != MAP_FAILED) return 0;
	if (errno != EFAULT) fail("mremap");
	return 1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}
static double cost(const char *way, size_t pages)
{
	char *src = blocks(BLOCK), *dst = blocks(BLOCK);
	int fd = open_uffd(dst, BLOCK), is_move = !strcmp(way, "move");
	double best = 1e18;

	for (int round = 0; round < 200; round++) {
		memset(src, 1, BLOCK);
		double t0 = now();

		for (size_t i = 0; i + pages <= 512; i += pages) {
			struct uffdio_copy c = { .dst = (uintptr_t)dst + i * PAGE, .src = (uintptr_t)src + i * PAGE, .len = pages * PAGE };
			struct move m = { .dst = c.dst, .src = c.src, .len = c.len };

			while (is_move ? ioctl(fd, MOVE, &m) : ioctl(fd, UFFDIO_COPY, &c)) {
				if (errno != EAGAIN) fail(way);
				if (m.move > 0) {
					m.dst += m.move;
					m.src += m.move;
					m.len -= m.move;
				}
				m.move = 0;
			}
		}
		double ns = (now() - t0) / (512 / pages * pages);

		if (ns < best) best = ns;
		madvise(dst, BLOCK, MADV_DONTNEED);
	}
	return best;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "limit")) printf("%d\n", limit());
	else if (argc == 3 && !strcmp(argv[1], "refused")) printf("%d\n", refused(atoi(argv[2])));
	else if (argc == 4 && !strcmp(argv[1], "cost")) printf("%.0f\n", cost(argv[2], atoi(argv[3])) * 1000);
	else {
		fprintf(stderr, "usage: movePages limit | refused ARMED | cost copy|move PAGES\n");
		return 2;
	}
	return 0;
}
