/* SPDX-License-Identifier: MIT */
/* fork, and the end of the child, by how much there is to copy. */
#include "cost.h"

#include <sys/wait.h>
#include <unistd.h>

static void one(int most, const char *name, int size)
{
	struct series *copy = size ? series("%s_%d", name, size) : series("%s", name);
	struct series *end = size ? series("%s_%d_exit", name, size) : series("%s_exit", name);

	for (begin(); more(copy, most);) {
		int hold[2];
		char byte;
		must(pipe(hold), "pipe");
		struct span t = span_begin();
		pid_t child = (pid_t)must(fork(), "fork");
		if (child == 0) {
			close(hold[1]);
			_exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
		}
		add(copy, span_end(&t));
		close(hold[0]);
		t = span_begin();
		close(hold[1]);
		waitpid(child, NULL, 0);
		add(end, span_shared(&t));
	}
}

static void vmas(void)
{
	static const int counts[] = { 100, 1000, 10000 };

	for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]) && !is_stopping; k++) {
		size_t len = (size_t)counts[k] * 2 * PAGE;
		char *p = room(len);
		munmap(p, len);
		for (size_t at = 0; at < len; at += 2 * PAGE) must((long)mmap(p + at, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0), "mmap");
		one(40, "fork_vmas", counts[k]);
		write_each(p, len, 2 * PAGE);
		one(40, "fork_vmas_faulted", counts[k]);
		unroom(p, len);
	}
}

/* Page tables without entries: a page of each 2 MiB is written and given back. fork makes as many for the child, out of memory that is in no cache where they are many. */
static void empty_tables(int tables)
{
	size_t len = (size_t)tables * HUGE_PAGE;
	char *p = room(len);

	for (size_t at = 0; at < len; at += HUGE_PAGE) {
		*(volatile char *)(p + at) = 1;
		must(madvise(p + at, PAGE, MADV_DONTNEED), "MADV_DONTNEED");
	}
	one(40, "fork_empty_tables", tables);
	unroom(p, len);
}

void measure_fork(void)
{
	static const int pages[] = { 512, 4096, 65536, 262144 };

	one(150, "fork_base", 0);
	empty_tables(512);
	empty_tables(16384);
	vmas();
	for (size_t k = 0; k < sizeof(pages) / sizeof(pages[0]) && !is_stopping; k++) {
		size_t len = (size_t)pages[k] * PAGE;
		if (free_mib() < (long)(len >> 19) + 512) {
			cannot("fork_pages_262144", "too little memory is free");
			break;
		}
		char *p = room(len);
		fill(p, len);
		one(40, "fork_pages", pages[k]);
		unroom(p, len);
	}
	if (!setup_huge_pages()) return;
	size_t len = 128ul * HUGE_PAGE;
	char *p = huge_room(len);
	fill(p, len);
	one(40, "fork_thp", 128);
	unroom(p, len);
}
