/* SPDX-License-Identifier: MIT */
/* uffd_wp PAGES: UFFDIO_WRITEPROTECT of PAGES small pages that are not there, with WP_UNPOPULATED: a marker for each. Prints `vmpte`, too. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "bench.h"

#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

int main(int argc, char **argv)
{
	if (argc != 2) return 2;
	ulong_t pages = strtoul(argv[1], NULL, 10), before = page_tables();
	char *base = map_small(pages);
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_UNPOPULATED };
	struct uffdio_register reg = { .range = { (ulong_t)base, pages * PAGE }, .mode = UFFDIO_REGISTER_MODE_WP };
	struct uffdio_writeprotect wp = { .range = reg.range, .mode = UFFDIO_WRITEPROTECT_MODE_WP };

	if (fd < 0) die("userfaultfd");
	if (ioctl(fd, UFFDIO_API, &api)) die("UFFDIO_API");
	if (ioctl(fd, UFFDIO_REGISTER, &reg)) die("UFFDIO_REGISTER");
	uint64_t began = now_ns();
	if (ioctl(fd, UFFDIO_WRITEPROTECT, &wp)) die("UFFDIO_WRITEPROTECT");
	printf("ns %lu\nvmpte %lu\n", (ulong_t)(now_ns() - began), page_tables() - before);
	return 0;
}
