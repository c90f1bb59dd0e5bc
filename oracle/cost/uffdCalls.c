/* SPDX-License-Identifier: MIT */
/* The ioctls of userfaultfd and pagemap. Their numbers are here where the headers of the system may be older than the kernel. */
#include "cost.h"

#include <fcntl.h>
#include <linux/types.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
struct move_args {
	uint64_t to, from, len, mode;
	int64_t moved;
};
#define IOCTL_MOVE _IOWR(UFFDIO, 0x05, struct move_args)
struct continue_args {
	struct uffdio_range range;
	uint64_t mode;
	int64_t mapped;
};
#define IOCTL_CONTINUE _IOWR(UFFDIO, 0x07, struct continue_args)
struct region_args {
	uint64_t start, end, categories;
};
struct scan_args {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, anyof, returned;
};
#define IOCTL_SCAN _IOWR('f', 16, struct scan_args)
enum { WRITTEN = 2, WP_MATCHING = 1, CHECK_WPASYNC = 2, REGIONS = 1 << 16 };

int uffd_open(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0) fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (fd < 0) return -1;
	if (ioctl(fd, UFFDIO_API, &api) == 0) return fd;
	close(fd);
	return -1;
}
void uffd_register(int fd, void *p, size_t len, uint64_t mode)
{
	struct uffdio_register r = { .range = { (uintptr_t)p, len }, .mode = mode };

	must(ioctl(fd, UFFDIO_REGISTER, &r), "UFFDIO_REGISTER");
}
long uffd_copy(int fd, void *to, const void *from, size_t len)
{
	struct uffdio_copy c = { .dst = (uintptr_t)to, .src = (uintptr_t)from, .len = len };

	return ioctl(fd, UFFDIO_COPY, &c);
}
long uffd_zero(int fd, void *to, size_t len)
{
	struct uffdio_zeropage z = { .range = { (uintptr_t)to, len } };

	return ioctl(fd, UFFDIO_ZEROPAGE, &z);
}
long uffd_continue(int fd, void *to, size_t len)
{
	struct continue_args c = { .range = { (uintptr_t)to, len } };

	return ioctl(fd, IOCTL_CONTINUE, &c);
}
long uffd_move(int fd, void *to, void *from, size_t len)
{
	struct move_args m = { .to = (uintptr_t)to, .from = (uintptr_t)from, .len = len };

	return ioctl(fd, IOCTL_MOVE, &m);
}
long uffd_protect(int fd, void *p, size_t len, bool on)
{
	struct uffdio_writeprotect w = { .range = { (uintptr_t)p, len }, .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0 };

	return ioctl(fd, UFFDIO_WRITEPROTECT, &w);
}
long scan_written(int pagemap, void *p, size_t len, bool protect)
{
	static struct region_args regions[REGIONS];
	struct scan_args s = {
		.size = sizeof(s), .flags = protect ? WP_MATCHING | CHECK_WPASYNC : 0, .start = (uintptr_t)p, .end = (uintptr_t)p + len,
		.vec = (uintptr_t)regions, .vec_len = REGIONS, .mask = WRITTEN, .returned = WRITTEN,
	};

	return ioctl(pagemap, IOCTL_SCAN, &s);
}
