/* SPDX-License-Identifier: MIT */
/* map_unmap VMAS TIMES: maps and unmaps two pages, among VMAS of one page with holes of one page between them. */
#include "bench.h"

int main(int argc, char **argv)
{
	if (argc != 3) return 2;
	ulong_t vmas = strtoul(argv[1], NULL, 10), times = strtoul(argv[2], NULL, 10);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *base = mmap(NULL, 2 * vmas * PAGE, PROT_NONE, flags, -1, 0);

	if (base == MAP_FAILED) die("mmap");
	for (ulong_t i = 0; i < vmas; i++)
		if (munmap(base + (2 * i + 1) * PAGE, PAGE)) die("munmap");
	uint64_t began = now_ns();
	for (ulong_t j = 0; j < times; j++) {
		void *addr = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
		if (addr == MAP_FAILED || munmap(addr, 2 * PAGE)) die("mmap and munmap");
	}
	uint64_t ns = now_ns() - began;
	struct end_state state = nothing_seen();
	look(&state, (ulong_t)base, (ulong_t)base + 2 * vmas * PAGE, (ulong_t)base);
	print_result(ns, state);
	return 0;
}
