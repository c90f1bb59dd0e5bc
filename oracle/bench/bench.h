/* SPDX-License-Identifier: MIT */
/*
 * What every reference program of the benchmarks needs: the clock, and a look at a part of the own address space.
 *
 * Each program does one benchmark's work once and prints `name value` lines: `ns` (time of the work), `vmas` and `hash` (the
 * address space afterwards, as bench/endState.ts computes it of the model).
 */
#ifndef FAULTLINE_BENCH_H
#define FAULTLINE_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

typedef unsigned long ulong_t;
enum { PAGE = 4096 };

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Bytes of page tables. */
static inline ulong_t page_tables(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	char line[256];
	ulong_t kb = 0;

	if (!status) die("/proc/self/status");
	while (fgets(line, sizeof line, status))
		if (sscanf(line, "VmPTE: %lu", &kb) == 1) break;
	fclose(status);
	return kb * 1024;
}

struct end_state {
	unsigned vmas;
	uint32_t hash;
};

/* FNV-1a over `start-end perms\n`, addresses without leading zeroes and counted from `origin`. */
static inline void look(struct end_state *state, ulong_t low, ulong_t high, ulong_t origin)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[8192], text[128], perms[8];
	ulong_t start, end;

	if (!maps) die("/proc/self/maps");
	while (fgets(line, sizeof line, maps)) {
		if (sscanf(line, "%lx-%lx %4s", &start, &end, perms) != 3) continue;
		if (start < low || end > high) continue;
		snprintf(text, sizeof text, "%lx-%lx %s\n", start - origin, end - origin, perms);
		for (const char *c = text; *c; c++) state->hash = (state->hash ^ (unsigned char)*c) * 16777619u;
		state->vmas++;
	}
	fclose(maps);
}

static inline struct end_state nothing_seen(void)
{
	return (struct end_state){ 0, 2166136261u };
}

static inline void print_result(uint64_t ns, struct end_state state)
{
	printf("ns %lu\nvmas %u\nhash %08x\n", (ulong_t)ns, state.vmas, state.hash);
}

/* Maps `pages` pages that stay small, at a multiple of 1 GiB, with nothing reserved. */
static inline char *map_small(ulong_t pages)
{
	ulong_t len = pages * PAGE, gib = 1ul << 30;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	char *room = mmap(NULL, len + gib, PROT_NONE, flags, -1, 0);

	if (room == MAP_FAILED) die("mmap");
	char *base = (char *)(((ulong_t)room + gib - 1) & ~(gib - 1));
	if (munmap(room, len + gib)) die("munmap");
	if (mmap(base, len, PROT_READ | PROT_WRITE, flags | MAP_FIXED, -1, 0) != base) die("mmap");
	if (madvise(base, len, MADV_NOHUGEPAGE)) die("madvise");
	return base;
}

/* Prints the time and how many of the pages are resident. */
static inline void print_pages(uint64_t ns, char *base, ulong_t pages)
{
	unsigned char *resident = malloc(pages);
	ulong_t found = 0;

	if (!resident || mincore(base, pages * PAGE, resident)) die("mincore");
	for (ulong_t i = 0; i < pages; i++) found += resident[i] & 1;
	printf("ns %lu\nresident %lu\n", (ulong_t)ns, found);
}

#endif
