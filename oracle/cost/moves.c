/* SPDX-License-Identifier: MIT */
/* mremap: moving, growing, shrinking. */
#include "cost.h"

enum { BATCH = 96, WINDOW = 160 << 20 };

static void move(char *from, char *to, size_t len, int more_flags)
{
	must((long)mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED | more_flags, to), "mremap");
}

/* There and back. */
static void whole(struct series *s, char *p, char *q, size_t len)
{
	for (begin(); more(s, 150);) {
		struct span t = span_begin();
		move(p, q, len, 0);
		move(q, p, len, 0);
		add(s, span_end(&t) / 2);
	}
}

/* Every second page of a resident range, somewhere else, one apart. */
static void pages_out(struct series *s, char *p, char *q, int flags)
{
	size_t len = (2 * BATCH + 1) * (size_t)PAGE;

	for (begin(); more(s, 100);) {
		must((long)mmap(p, len, RW, PRIVATE | MAP_FIXED, -1, 0), "mmap");
		fill(p, len);
		struct span t = span_begin();
		for (size_t i = 0; i < BATCH; i++) move(p + (2 * i + 1) * PAGE, q + 2 * i * PAGE, PAGE, flags);
		add(s, span_end(&t) / BATCH);
		munmap(p, len);
		munmap(q, len);
	}
}

static void resize(char *p)
{
	struct series *grow = series("mremap_grow_in_place"), *shrink = series("mremap_shrink");

	must((long)mmap(p, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0), "mmap");
	for (begin(); more(grow, 150);) {
		struct span t = span_begin();
		for (size_t i = 1; i <= BATCH; i++) must((long)mremap(p, i * PAGE, (i + 1) * PAGE, 0), "mremap");
		add(grow, span_end(&t) / BATCH);
		t = span_begin();
		for (size_t i = BATCH; i > 0; i--) must((long)mremap(p, (i + 1) * PAGE, i * PAGE, 0), "mremap");
		add(shrink, span_end(&t) / BATCH);
	}
	munmap(p, PAGE);
}

void measure_moves(void)
{
	static const struct {
		const char *name;
		int pages, off;
	} sizes[] = {
		{ "mremap_move_1", 1, 0 }, { "mremap_move_64", 64, 0 }, { "mremap_move_512_unaligned", 512, 1 },
		{ "mremap_move_512_pmd", 512, 0 }, { "mremap_move_32768_unaligned", 32768, 1 }, { "mremap_move_32768_pmd", 32768, 0 },
	};
	char *p = room(2 * (size_t)WINDOW), *q = p + WINDOW;
	struct series *empty = series("mremap_move_vma_untouched");

	munmap(p, 2 * (size_t)WINDOW);
	must((long)mmap(p, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0), "mmap");
	for (begin(); more(empty, 150);) {
		struct span t = span_begin();
		for (int i = 0; i < 32; i++) move(p, q, PAGE, 0), move(q, p, PAGE, 0);
		add(empty, span_end(&t) / 64);
	}
	munmap(p, PAGE);
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		size_t len = (size_t)sizes[k].pages * PAGE;
		must((long)mmap(p, len, RW, PRIVATE | MAP_FIXED, -1, 0), "mmap");
		must(madvise(p, len, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE");
		fill(p, len);
		whole(series("%s", sizes[k].name), p, q + sizes[k].off * PAGE, len);
		munmap(p, len);
	}
	pages_out(series("mremap_move_split_1"), p, q, 0);
	pages_out(series("mremap_dontunmap_1"), p, q, MREMAP_DONTUNMAP);
	resize(p);
}
