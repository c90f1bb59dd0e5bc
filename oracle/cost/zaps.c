/* SPDX-License-Identifier: MIT */
/* Giving memory back, filling it, locking it, looking at it. */
#include "cost.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void discard(char *p, size_t len) { must(madvise(p, len, MADV_DONTNEED), "MADV_DONTNEED"); }

/* Advice about (or, with -1, munmap of) so many resident pages in one call. */
static void by_size(const char *name, int advice, int largest)
{
	static const int sizes[] = { 1, 8, 64, 512, 4096, 32768, 262144, 1048576 };

	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]) && sizes[k] <= largest && !is_stopping; k++) {
		struct series *s = series("%s_%d", name, sizes[k]);
		size_t len = (size_t)sizes[k] * PAGE;
		if (free_mib() < (long)(len >> 19) + 1024 || (is_quick && sizes[k] > 262144)) {
			cannot(s->name, is_quick ? "left out by --quick" : "too little memory is free");
			break;
		}
		char *p = room(len);
		for (begin(); more(s, 150);) {
			fill(p, len);
			struct span t = span_begin();
			must(advice < 0 ? munmap(p, len) : madvise(p, len, advice), name);
			add(s, span_end(&t));
			if (advice < 0) must((long)mmap(p, len, RW, PRIVATE | MAP_FIXED, -1, 0), "mmap"), must(madvise(p, len, MADV_NOHUGEPAGE), "madvise");
			if (is_quick && len >= (256u << 20) && s->count > 0) break;
		}
		unroom(p, len);
	}
}

static void written_again(void)
{
	struct series *s = series("write_after_madv_free");
	char *p = room(HUGE_PAGE);

	for (begin(); more(s, 120);) {
		fill(p, HUGE_PAGE);
		must(madvise(p, HUGE_PAGE, MADV_FREE), "MADV_FREE");
		struct span t = span_begin();
		write_each(p, HUGE_PAGE, PAGE);
		add(s, span_end(&t) / TABLE);
	}
	unroom(p, HUGE_PAGE);
}

/* Memory without pages: no tables, tables without entries, tables that go. */
static void empty(void)
{
	struct series *none = series("madv_dontneed_1g_empty"), *entries = series("madv_dontneed_511_none"), *tables = series("madv_dontneed_pt_reclaim");
	size_t len = 1ul << 30, blocks = len / HUGE_PAGE;
	char *p = room(len);

	for (begin(); more(none, 150);) {
		struct span t = span_begin();
		discard(p, len);
		add(none, span_end(&t));
	}
	for (begin(); more(entries, 30);) {
		read_each(p + HUGE_PAGE - PAGE, len - HUGE_PAGE + PAGE, HUGE_PAGE);
		struct span t = span_begin();
		for (size_t i = 0; i < blocks; i++) madvise(p + i * HUGE_PAGE, HUGE_PAGE - PAGE, MADV_DONTNEED);
		add(entries, span_end(&t) / (double)blocks);
		t = span_begin();
		discard(p, len);
		add(tables, span_end(&t) / (double)blocks);
	}
	unroom(p, len);
}

static void populate(const char *name, int pages, int advice, bool is_huge)
{
	struct series *s = series("%s", name);
	size_t len = (size_t)pages * PAGE;
	char *p = is_huge ? huge_room(len) : room(len);

	for (begin(); more(s, pages > 10000 ? 12 : 120);) {
		struct span t = span_begin();
		must(madvise(p, len, advice), name);
		add(s, span_end(&t) / pages);
		discard(p, len);
	}
	unroom(p, len);
}

static void populates(void)
{
	struct series *again = series("populate_write_resident");

	populate("populate_read_512", 512, MADV_POPULATE_READ, false);
	populate("populate_read_65536", 65536, MADV_POPULATE_READ, false);
	populate("populate_write_512", 512, MADV_POPULATE_WRITE, false);
	populate("populate_write_65536", 65536, MADV_POPULATE_WRITE, false);
	if (setup_huge_pages()) {
		populate("populate_read_65536_thp", 65536, MADV_POPULATE_READ, true);
		populate("populate_write_65536_thp", 65536, MADV_POPULATE_WRITE, true);
	}
	char *p = room(HUGE_PAGE);
	fill(p, HUGE_PAGE);
	for (begin(); more(again, 150);) {
		struct span t = span_begin();
		fill(p, HUGE_PAGE);
		add(again, span_end(&t) / TABLE);
	}
	unroom(p, HUGE_PAGE);
}

static void locks(void)
{
	struct series *absent = series("mlock_absent_512"), *there = series("mlock_resident_512"), *off = series("munlock_512");
	char *p = room(HUGE_PAGE);

	for (begin(); more(absent, 120);) {
		struct span t = span_begin();
		if (mlock(p, HUGE_PAGE) != 0) {
			cannot("mlock_absent_512 mlock_resident_512 munlock_512", "the limit for locked memory is below 2 MiB");
			break;
		}
		add(absent, span_end(&t) / TABLE);
		t = span_begin();
		munlock(p, HUGE_PAGE);
		add(off, span_end(&t) / TABLE);
		t = span_begin();
		mlock(p, HUGE_PAGE);
		add(there, span_end(&t) / TABLE);
		munlock(p, HUGE_PAGE);
		discard(p, HUGE_PAGE);
	}
	unroom(p, HUGE_PAGE);
}

void measure_zaps(void)
{
	by_size("madv_dontneed", MADV_DONTNEED, 1048576);
	by_size("madv_free", MADV_FREE, 262144);
	by_size("munmap", -1, 262144);
	written_again();
	empty();
	populates();
	locks();
}

void measure_inspection(void)
{
	enum { PAGES = 65536 };
	static unsigned char seen[PAGES];
	static uint64_t entries[PAGES];
	struct series *absent = series("mincore_absent"), *there = series("mincore_resident"), *map = series("pagemap_read_resident"),
		      *cold = series("madv_cold_512"), *one = series("mincore_1");
	size_t len = (size_t)PAGES * PAGE;
	char *p = room(len);
	int fd = (int)must(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), "pagemap");

	for (begin(); more(absent, 40);) {
		struct span t = span_begin();
		must(mincore(p, len, seen), "mincore");
		add(absent, span_end(&t) / PAGES);
	}
	fill(p, len);
	for (begin(); more(there, 40);) {
		struct span t = span_begin();
		must(mincore(p, len, seen), "mincore");
		add(there, span_end(&t) / PAGES);
		t = span_begin();
		must(pread(fd, entries, sizeof(entries), (off_t)((uintptr_t)p / PAGE * 8)), "pagemap");
		add(map, span_end(&t) / PAGES);
	}
	for (begin(); more(one, 200);) {
		enum { CALLS = 100 };
		struct span t = span_begin();
		for (int i = 0; i < CALLS; i++) must(mincore(p, PAGE, seen), "mincore");
		add(one, span_end(&t) / CALLS);
	}
	for (begin(); more(cold, 100);) {
		struct span t = span_begin();
		must(madvise(p, HUGE_PAGE, MADV_COLD), "MADV_COLD");
		add(cold, span_end(&t) / TABLE);
	}
	close(fd);
	unroom(p, len);
}
