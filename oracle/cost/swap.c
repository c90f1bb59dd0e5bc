/* SPDX-License-Identifier: MIT */
/* Pages on their way to compressed memory and back. */
#include "cost.h"

#include <string.h>
#include <unistd.h>

enum { PAGES = 2048, LEN = PAGES * PAGE, MOVE = 1 << 16, MISSING = 1 };
enum contents { ZERO, HALF, RANDOM, KINDS };

static void contents(char *p, enum contents kind)
{
	static uint64_t state = 0x9e3779b97f4a7c15u;
	uint64_t *word = (uint64_t *)p;

	if (kind == ZERO) {
		memset(p, 0, LEN);
		return;
	}
	for (size_t i = 0; i < LEN / sizeof(*word); i++) {
		state ^= state << 7;
		state ^= state >> 9;
		/* Every second word is small: about half of the page can be saved. */
		word[i] = kind == HALF && (i & 1) ? state & 0xff : state;
	}
}

static void out(char *p) { must(madvise(p, LEN, MADV_PAGEOUT), "MADV_PAGEOUT"); }
static void discard(char *p) { must(madvise(p, LEN, MADV_DONTNEED), "MADV_DONTNEED"); }

static bool is_out(char *p)
{
	static unsigned char seen[PAGES];
	int there = 0;

	must(mincore(p, LEN, seen), "mincore");
	for (int i = 0; i < PAGES; i++) there += seen[i] & 1;
	return there < PAGES / 8;
}

/* Out and in again by reading; what did not go out is no sample. */
static void there_and_back(char *p, enum contents kind, const char *name)
{
	struct series *go = series("swap_out_%s", name), *come = series("swap_in_%s", name);

	for (int tries = 0, is_done = (begin(), 0); !is_done && tries < 40 && more(go, 15); tries++) {
		contents(p, kind);
		struct span t = span_begin();
		out(p);
		double ns = span_end(&t);
		if (!is_out(p)) continue;
		add(go, ns / PAGES);
		t = span_begin();
		read_each(p, LEN, PAGE);
		add(come, span_end(&t) / PAGES);
		discard(p);
		fill(p, LEN);
	}
}

static void rest(char *p)
{
	struct series *write = series("swap_in_half_write"), *drop = series("madv_dontneed_swapped"), *moved = series("uffd_move_swapped");
	int fd = uffd_open(MOVE);
	char *to = room(LEN);

	if (fd >= 0) uffd_register(fd, to, LEN, MISSING);
	for (begin(); more(write, 12);) {
		contents(p, HALF);
		out(p);
		struct span t = span_begin();
		write_each(p, LEN, PAGE);
		add(write, span_end(&t) / PAGES);
		contents(p, HALF);
		out(p);
		t = span_begin();
		discard(p);
		add(drop, span_end(&t) / PAGES);
		if (fd < 0) continue;
		contents(p, HALF);
		out(p);
		t = span_begin();
		long result = uffd_move(fd, to, p, LEN);
		double ns = span_end(&t) / PAGES;
		if (result == 0) add(moved, ns);
		discard(to);
		discard(p);
	}
	if (fd >= 0) close(fd);
	unroom(to, LEN);
}

void measure_swap(void)
{
	static const char *const names[KINDS] = { "zero", "half", "random" };

	if (!setup_swap()) {
		cannot("swap", "no swap device in compressed memory could be made (needs root and zram)");
		return;
	}
	char *p = room(LEN);
	fill(p, LEN);
	for (enum contents kind = ZERO; kind < KINDS && !is_stopping; kind++) there_and_back(p, kind, names[kind]);
	if (!is_stopping) rest(p);
	unroom(p, LEN);
}
