/* SPDX-License-Identifier: MIT */
/* vma_pair VMAS PAIRS: splits and joins vmas of two pages by mprotect of the first one, among VMAS of them. */
#include "bench.h"

#define BASE 0x100000000000ul
enum { STRIDE = 4 * PAGE, STEP = 7919 };

int main(int argc, char **argv)
{
	if (argc != 3) return 2;
	ulong_t vmas = strtoul(argv[1], NULL, 10), pairs = strtoul(argv[2], NULL, 10);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	for (ulong_t i = 0; i < vmas; i++)
		if (mmap((void *)(BASE + i * STRIDE), 2 * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED) die("mmap");
	uint64_t began = now_ns();
	for (ulong_t j = 0; j < pairs; j++) {
		void *addr = (void *)(BASE + j * STEP % vmas * STRIDE);
		if (mprotect(addr, PAGE, PROT_READ) || mprotect(addr, PAGE, PROT_READ | PROT_WRITE)) die("mprotect");
	}
	uint64_t ns = now_ns() - began;
	struct end_state state = nothing_seen();
	look(&state, BASE, BASE + vmas * STRIDE, BASE);
	print_result(ns, state);
	return 0;
}
