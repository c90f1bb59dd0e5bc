/* SPDX-License-Identifier: MIT */
/* write_fault PAGES: the first write to each of PAGES small pages of private anonymous memory. */
#include "bench.h"

int main(int argc, char **argv)
{
	if (argc != 2) return 2;
	ulong_t pages = strtoul(argv[1], NULL, 10);
	volatile char *base = map_small(pages);

	/* Memory that this machine has to find first is slow the first time: a turn that does not count. */
	for (ulong_t i = 0; i < pages; i++) base[i * PAGE] = 1;
	if (madvise((void *)base, pages * PAGE, MADV_DONTNEED)) die("madvise");
	uint64_t began = now_ns();
	for (ulong_t i = 0; i < pages; i++) base[i * PAGE] = 1;
	uint64_t ns = now_ns() - began;
	print_pages(ns, (void *)base, pages);
	return 0;
}
