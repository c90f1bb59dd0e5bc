/* SPDX-License-Identifier: MIT */
/* many_vmas VMAS LOOKUPS GAPS: builds VMAS of one page, looks pages up, searches room, removes all; prints ns of each phase. */
#include "bench.h"

#define BASE 0x100000000000ul
enum { STRIDE = 2 * PAGE, STEP = 7919 };

int main(int argc, char **argv)
{
	if (argc != 4) return 2;
	ulong_t vmas = strtoul(argv[1], NULL, 10), lookups = strtoul(argv[2], NULL, 10), gaps = strtoul(argv[3], NULL, 10);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	uint64_t t0 = now_ns();

	for (ulong_t i = 0; i < vmas; i++)
		if (mmap((void *)(BASE + i * STRIDE), PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, -1, 0) == MAP_FAILED)
			die("mmap");
	uint64_t t1 = now_ns();
	for (ulong_t j = 0; j < lookups; j++)
		if (mprotect((void *)(BASE + j * STEP % vmas * STRIDE), PAGE, PROT_READ | PROT_WRITE)) die("mprotect");
	uint64_t t2 = now_ns();
	for (ulong_t j = 0; j < gaps; j++) {
		void *addr = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
		if (addr == MAP_FAILED || munmap(addr, 2 * PAGE)) die("mmap and munmap");
	}
	uint64_t t3 = now_ns();
	struct end_state state = nothing_seen();
	look(&state, BASE, BASE + vmas * STRIDE, BASE);
	uint64_t t4 = now_ns();
	if (munmap((void *)BASE, vmas * STRIDE)) die("munmap");
	uint64_t t5 = now_ns();
	printf("build %lu\nlookup %lu\ngap %lu\nteardown %lu\n", (ulong_t)(t1 - t0), (ulong_t)(t2 - t1), (ulong_t)(t3 - t2),
	       (ulong_t)(t5 - t4));
	print_result(t5 - t0, state);
	return 0;
}
