/* SPDX-License-Identifier: MIT */
/* fork PAGES TIMES: forks with PAGES small pages resident; the child exits at once, which is not timed. */
#include <sys/wait.h>
#include <unistd.h>
#include "bench.h"

int main(int argc, char **argv)
{
	if (argc != 3) return 2;
	ulong_t pages = strtoul(argv[1], NULL, 10), times = strtoul(argv[2], NULL, 10);
	char *base = map_small(pages);
	uint64_t ns = 0;

	if (madvise(base, pages * PAGE, MADV_POPULATE_WRITE)) die("madvise");
	for (ulong_t i = 0; i < times; i++) {
		uint64_t began = now_ns();
		pid_t child = fork();

		if (child == 0) _exit(0);
		ns += now_ns() - began;
		if (child < 0 || waitpid(child, NULL, 0) != child) die("fork");
	}
	print_pages(ns, base, pages);
	return 0;
}
