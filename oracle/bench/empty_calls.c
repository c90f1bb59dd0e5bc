/* SPDX-License-Identifier: MIT */
/* empty_calls PAIRS: pairs of system calls that do nothing. */
#define _GNU_SOURCE
#include "bench.h"
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 2) return 2;
	ulong_t pairs = strtoul(argv[1], NULL, 10);
	uint64_t began = now_ns();
	for (ulong_t j = 0; j < pairs; j++) {
		syscall(SYS_getppid);
		syscall(SYS_getppid);
	}
	uint64_t ns = now_ns() - began;
	print_result(ns, nothing_seen());
	return 0;
}
