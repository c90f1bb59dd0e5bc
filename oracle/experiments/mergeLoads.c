/* SPDX-License-Identifier: MIT */
/*
 * The loads of `faultline reproduce 004` on the running kernel. Prints one number: how many VMAs the load has at its end.
 *
 *   mergeLoads reserve-commit PAGES              a PROT_NONE reservation, each page made writable and written in the order that
 *                                                standard input lists (numbers from 0)
 *   mergeLoads realloc OPERATIONS TOUCH HOLE     2000 blocks that grow, shrink, move and are freed; TOUCH all, none or half
 *   mergeLoads slide PAGES SOURCES               every second page moved next to the one before; SOURCES one or independent
 *
 * The same calls at the same distances as src/workloads, so that both have the same count. Needs no privileges.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PG 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static void die(const char *what)
{
	fprintf(stderr, "mergeLoads: %s: %s\n", what, strerror(errno));
	exit(1);
}

static char *map(void *at, size_t len, int prot, int flags)
{
	char *p = mmap(at, len, prot, ANON | flags | (at ? MAP_FIXED : 0), -1, 0);

	if (p == MAP_FAILED) die("mmap");
	return p;
}

static char *move(char *from, size_t old, size_t new, char *to)
{
	char *p = to ? mremap(from, old, new, MREMAP_MAYMOVE | MREMAP_FIXED, to) : mremap(from, old, new, MREMAP_MAYMOVE);

	if (p == MAP_FAILED) die("mremap");
	return p;
}

static void write_pages(char *p, size_t pages)
{
	for (size_t i = 0; i < pages; i++) *(volatile char *)(p + i * PG) = 1;
}

/* Calls `each` for every line of /proc/self/maps without allocating memory. */
static void each_vma(void (*each)(uintptr_t start, uintptr_t end))
{
	static char text[1 << 24];
	size_t len = 0;
	ssize_t n;
	int fd = open("/proc/self/maps", O_RDONLY);

	if (fd < 0) die("/proc/self/maps");
	while (len < sizeof(text) - 1 && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0) len += n;
	close(fd);
	text[len] = 0;
	for (char *line = text; *line; line = strchr(line, '\n') + 1) {
		char *rest;
		uintptr_t start = strtoull(line, &rest, 16);

		each(start, strtoull(rest + 1, NULL, 16));
	}
}

static uintptr_t from, to, lowest;
static int counted;

static void count_one(uintptr_t start, uintptr_t end)
{
	(void)end;
	counted += start >= from && start < to;
}

static int vmas(char *start, char *end)
{
	from = (uintptr_t)start, to = (uintptr_t)end, counted = 0;
	each_vma(count_one);
	return counted;
}

static int all_vmas(void) { return vmas(NULL, (char *)UINTPTR_MAX); }

static int reserve_commit(size_t pages)
{
	char *heap = map(NULL, pages * PG, PROT_NONE, 0);
	unsigned long page;

	while (scanf("%lu", &page) == 1) {
		if (page >= pages) die("a page outside of the reservation");
		if (mprotect(heap + page * PG, PG, RW)) die("mprotect");
		write_pages(heap + page * PG, 1);
	}
	return vmas(heap, heap + pages * PG);
}

/* The mapping area begins above this: programs, heaps and what is mapped without randomisation lie below or far above. */
#define AREA 0x700000000000UL

static void find_lowest(uintptr_t start, uintptr_t end)
{
	(void)end;
	if (start > AREA && start < lowest) lowest = start;
}

/* Fills every gap of the mapping area, so that the next mapping lands below everything; then leaves one hole. */
static void leave_one_hole(size_t pages)
{
	char *p;

	lowest = UINTPTR_MAX;
	each_vma(find_lowest);
	do p = map(NULL, PG, PROT_NONE, 0);
	while ((uintptr_t)p > lowest);
	munmap(p, PG);
	if (!pages) return;
	map(NULL, PG, PROT_READ, 0);
	p = map(NULL, pages * PG, PROT_NONE, 0);
	map(NULL, PG, PROT_READ, 0);
	if (munmap(p, pages * PG)) die("munmap");
}

static unsigned seed = 42;
static unsigned next(void) { return (seed = seed * 1103515245 + 12345) >> 8; }

static int realloc_load(long operations, const char *touch, size_t hole)
{
	enum { SLOTS = 2000 };
	static struct { char *p; size_t n; } block[SLOTS];

	leave_one_hole(hole);
	int base = all_vmas();
	while (operations-- > 0) {
		int i = next() % SLOTS;
		unsigned r = next();

		if (!block[i].p) {
			block[i].n = 4 + r % 12;
			block[i].p = map(NULL, block[i].n * PG, RW, MAP_NORESERVE);
		} else if (r % 8 == 0) {
			if (munmap(block[i].p, block[i].n * PG)) die("munmap");
			block[i].p = NULL;
			continue;
		} else {
			size_t old = block[i].n, n = r % 4 ? old + 1 + (r >> 4) % old : old - (r >> 4) % (old / 2 + 1);

			if (n > 64) n = 4;
			if (n < 1) n = 1;
			block[i].p = move(block[i].p, old * PG, n * PG, NULL);
			block[i].n = n;
		}
		if (!strcmp(touch, "all") || (!strcmp(touch, "half") && (r >> 3 & 1))) write_pages(block[i].p, block[i].n);
	}
	return all_vmas() - base;
}

static int slide(size_t pages, int independent)
{
	char *heap = map(NULL, 2 * pages * PG, RW, 0);

	if (independent) munmap(heap, 2 * pages * PG);
	else write_pages(heap, 2 * pages);
	for (size_t i = 0; i < pages; i++) {
		if (independent) map(heap + 2 * i * PG, PG, RW, 0);
		write_pages(heap + 2 * i * PG, 1);
	}
	for (size_t i = 1; i < pages; i++) move(heap + 2 * i * PG, PG, PG, heap + i * PG);
	munmap(heap + pages * PG, pages * PG);
	return vmas(heap, heap + pages * PG);
}

int main(int argc, char **argv)
{
	const char *load = argc > 1 ? argv[1] : "";
	long n = argc > 2 ? atol(argv[2]) : 0;

	if (!strcmp(load, "reserve-commit") && argc == 3) printf("%d\n", reserve_commit(n));
	else if (!strcmp(load, "realloc") && argc == 5) printf("%d\n", realloc_load(n, argv[3], atol(argv[4])));
	else if (!strcmp(load, "slide") && argc == 4) printf("%d\n", slide(n, !strcmp(argv[3], "independent")));
	else {
		fprintf(stderr, "mergeLoads: reserve-commit PAGES | realloc OPERATIONS TOUCH HOLE | slide PAGES SOURCES\n");
		return 2;
	}
	return 0;
}
