/* SPDX-License-Identifier: MIT */
/*
 * The observer's eyes for pages: pagemap, kpageflags, PAGEMAP_SCAN, and the figures of smaps and status, printed in the notation of
 * pages.cases.
 */
#include "pages.h"
#include "observe.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- status and smaps ---- */

static const char *const status_lines[] = { "VmPTE", "VmRSS", "RssAnon", "RssFile", "RssShmem", "VmSwap", "VmLck", "VmData", "VmSize" };
enum { NR_STATUS = sizeof(status_lines) / sizeof(status_lines[0]), VM_SWAP = 5, VM_LCK = 6 };
static long at_start[NR_STATUS];

static void read_status(pid_t pid, long *kib)
{
	for (int i = 0; i < NR_STATUS; i++) kib[i] = 0;
	proc_lines(pid, "status");
	for (char *l; (l = proc_next_line());)
		for (int i = 0; i < NR_STATUS; i++) {
			size_t length = strlen(status_lines[i]);
			if (strncmp(l, status_lines[i], length) == 0 && l[length] == ':') kib[i] = atol(l + length + 1);
		}
}
void pages_settled(pid_t pid) { read_status(pid, at_start); }
void pages_status(pid_t pid, int which)
{
	long now[NR_STATUS];

	read_status(pid, now);
	printf("-> %ld\n", now[which] - (which == VM_SWAP || which == VM_LCK ? 0 : at_start[which]));
}

static const char *const figures[] = { "Rss", "Pss", "Pss_Dirty", "Shared_Clean", "Shared_Dirty", "Private_Clean", "Private_Dirty",
	"Referenced", "Anonymous", "KSM", "LazyFree", "AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", "Swap", "SwapPss", "Locked" };
enum { NR_FIGURES = sizeof(figures) / sizeof(figures[0]) };

void pages_figures(pid_t pid, uint64_t addr, uint64_t len, uint64_t mask)
{
	long total[NR_FIGURES] = { 0 };
	int meets = 0, printed = 0;

	proc_lines(pid, "smaps");
	for (char *l; (l = proc_next_line());) {
		unsigned long start, end;
		if (sscanf(l, "%lx-%lx ", &start, &end) == 2) {
			meets = start < addr + len && end > addr;
			continue;
		}
		char *colon = meets ? strchr(l, ':') : NULL;
		if (!colon) continue;
		*colon = '\0';
		for (int i = 0; i < NR_FIGURES; i++)
			if (strcmp(l, figures[i]) == 0) total[i] += atol(colon + 1);
	}
	printf("->");
	for (int i = 0; i < NR_FIGURES; i++) {
		if (mask ? !(mask >> i & 1) : total[i] == 0) continue;
		if (mask) printf(" %ld", total[i]);
		else printf(" %s %ld", figures[i], total[i]);
		printed++;
	}
	printf(printed ? "\n" : " 0\n");
}

/* ---- pages ---- */

enum { KPF_COMPOUND_HEAD = 15, KPF_COMPOUND_TAIL = 16, KPF_ZERO_PAGE = 24, IS_HUGE = 1 << 6, MARKER_TYPE = 31 };
#define FRAME ((1UL << 55) - 1)
#define PRESENT(word) ((word) >> 63 & 1)
#define IS_MARKER(word) (((word) & 31) == MARKER_TYPE)

/* What PAGEMAP_SCAN takes (Linux 6.7); older headers do not have it. */
struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, anyof, returned;
};
struct region {
	uint64_t start, end, categories;
};

static int open_pagemap(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}
static uint64_t kpage_flags(uint64_t frame)
{
	static int fd = -1;
	uint64_t flags = 0;

	if (fd < 0) fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	return pread(fd, &flags, 8, frame * 8) == 8 ? flags : 0;
}
/* Tells whether a page is mapped by an entry of 2 MiB. */
static int is_huge(int pagemap, uint64_t page)
{
	struct region region = { 0 };
	struct scan scan = { .size = sizeof(scan), .start = page, .end = page + PG, .vec = (uintptr_t)&region, .vec_len = 1,
			     .mask = IS_HUGE, .returned = IS_HUGE };

	return ioctl(pagemap, _IOWR('f', 16, struct scan), &scan) == 1;
}

/* Runs of equal words, `word*n`. */
static char run_word[16];
static uint64_t run_length;

static void run_end(void)
{
	if (run_length > 1) printf(" %s*%lu", run_word, run_length);
	else if (run_length == 1) printf(" %s", run_word);
	run_length = 0;
}
static void run_add(const char *word)
{
	if (run_length > 0 && strcmp(run_word, word) != 0) run_end();
	snprintf(run_word, sizeof(run_word), "%s", word);
	run_length++;
}

/* Entries that are no pages: swap, markers, nothing. */
static const char *absent(uint64_t word)
{
	int wp = word >> 57 & 1;

	if (word >> 58 & 1) return wp ? "guardw" : "guard";
	if (!(word >> 62 & 1)) return word == 0 ? "-" : "?";
	if (!IS_MARKER(word)) return wp ? "sw" : "s";
	return (word >> 5 & 3) == 2 ? wp ? "poisonw" : "poison" : wp ? "wp" : "?";
}
static void describe(int fd, uint64_t page, uint64_t word, char *out, size_t size)
{
	if (!PRESENT(word)) {
		snprintf(out, size, "%s", absent(word));
		return;
	}
	int zero = kpage_flags(word & FRAME) >> KPF_ZERO_PAGE & 1, file = word >> 61 & 1;
	snprintf(out, size, "%c%s%s%s", zero ? 'z' : file ? 'f' : 'a', is_huge(fd, page) ? "h" : "", word >> 57 & 1 ? "w" : "",
		 word >> 56 & 1 ? "!" : "");
}

void pages_states(pid_t pid, uint64_t addr, uint64_t nr_pages)
{
	int fd = open_pagemap(pid);

	printf("->");
	for (uint64_t i = 0; i < nr_pages; i++) {
		uint64_t word = 0;
		char text[16];
		if (pread(fd, &word, 8, (addr / PG + i) * 8) != 8) word = 0;
		describe(fd, addr + i * PG, word, text, sizeof(text));
		run_add(text);
	}
	run_end();
	printf("\n");
	close(fd);
}

void pages_word(pid_t pid, uint64_t addr)
{
	int fd = open_pagemap(pid);
	uint64_t word = 0;

	if (pread(fd, &word, 8, addr / PG * 8) != 8) word = 0;
	if (PRESENT(word)) word &= ~FRAME;
	else if (!IS_MARKER(word)) word &= ~FRAME | 31;
	printf("-> 0x%lx\n", word);
	close(fd);
}

void pages_folios(pid_t pid, uint64_t addr, uint64_t nr_pages)
{
	int fd = open_pagemap(pid);

	printf("->");
	for (uint64_t i = 0; i < nr_pages; i++) {
		uint64_t word = 0;
		if (pread(fd, &word, 8, (addr / PG + i) * 8) != 8) word = 0;
		int large = PRESENT(word) && kpage_flags(word & FRAME) & (1UL << KPF_COMPOUND_HEAD | 1UL << KPF_COMPOUND_TAIL);
		run_add(!PRESENT(word) ? "-" : large ? "L" : "s");
	}
	run_end();
	printf("\n");
	close(fd);
}
