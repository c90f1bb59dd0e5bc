/* SPDX-License-Identifier: MIT */
/* zap PAGES: MADV_DONTNEED of PAGES small pages that were written. */
#include "bench.h"

int main(int argc, char **argv)
{
	if (argc != 2) return 2;
	ulong_t pages = strtoul(argv[1], NULL, 10);
	char *base = map_small(pages);

	if (madvise(base, pages * PAGE, MADV_POPULATE_WRITE)) die("madvise");
	uint64_t began = now_ns();
	if (madvise(base, pages * PAGE, MADV_DONTNEED)) die("madvise");
	uint64_t ns = now_ns() - began;
	print_pages(ns, base, pages);
	return 0;
}
