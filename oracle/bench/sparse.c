/* SPDX-License-Identifier: MIT */
/* sparse PAGES STRIDE: writes PAGES pages, STRIDE pages apart. Prints `vmpte`: bytes of page tables that this took. */
#include "bench.h"

int main(int argc, char **argv)
{
	if (argc != 3) return 2;
	ulong_t pages = strtoul(argv[1], NULL, 10), stride = strtoul(argv[2], NULL, 10);
	ulong_t before = page_tables();
	volatile char *base = map_small(pages * stride);

	uint64_t began = now_ns();
	for (ulong_t i = 0; i < pages; i++) base[i * stride * PAGE] = 1;
	printf("ns %lu\nvmpte %lu\n", (ulong_t)(now_ns() - began), page_tables() - before);
	return 0;
}
