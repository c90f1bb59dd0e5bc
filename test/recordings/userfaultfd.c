/* SPDX-License-Identifier: MIT */
/*
 * Uses userfaultfd in every way that strace prints: a thread fills pages that others miss, with COPY from anonymous memory and from a file, ZEROPAGE, WAKE, and
 * stops writes of its own with COPY and WP; SIGBUS instead of messages in a second context; calls that are refused.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PG = 4096, PAGES = 64 };
static char *heap, *from, *quiet;
static int uffd, by_signal;

static int context(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	return fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0 ? fd : -1;
}
static int reg(int fd, void *at, size_t len, uint64_t mode)
{
	struct uffdio_register r = { .range = { (uintptr_t)at, len }, .mode = mode };
	return ioctl(fd, UFFDIO_REGISTER, &r);
}
static int copy(int fd, void *to, void *source, size_t len, uint64_t mode)
{
	struct uffdio_copy c = { .dst = (uintptr_t)to, .src = (uintptr_t)source, .len = len, .mode = mode };
	return ioctl(fd, UFFDIO_COPY, &c);
}
static int zero(int fd, void *at, size_t len, uint64_t mode)
{
	struct uffdio_zeropage z = { .range = { (uintptr_t)at, len }, .mode = mode };
	return ioctl(fd, UFFDIO_ZEROPAGE, &z);
}
static int range(int fd, unsigned long what, void *at, size_t len)
{
	struct uffdio_range r = { (uintptr_t)at, len };
	return ioctl(fd, what, &r);
}

/* Fills what is missed: even pages with zeros, odd ones with a copy; every eighth is filled first and woken then. */
static void *pager(void *unused)
{
	struct pollfd p = { .fd = uffd, .events = POLLIN };

	(void)unused;
	for (int served = 0; served < PAGES; served++) {
		struct uffd_msg m;
		if (poll(&p, 1, 5000) != 1 || read(uffd, &m, sizeof(m)) != sizeof(m)) exit(3);
		char *page = (char *)(uintptr_t)(m.arg.pagefault.address & ~(PG - 1ul));
		int nr = (int)((page - heap) / PG), later = nr % 8 == 7;
		if (nr % 2) copy(uffd, page, from + nr * PG, PG, later ? UFFDIO_COPY_MODE_DONTWAKE : 0);
		else zero(uffd, page, PG, 0);
		if (later) range(uffd, UFFDIO_WAKE, page, PG);
	}
	return NULL;
}
static void *worker(void *half)
{
	int first = (int)(intptr_t)half * PAGES / 2;

	for (int i = first; i < first + PAGES / 2; i++) {
		volatile char *p = heap + i * PG;
		if (i % 3) *p = (char)i;
		else (void)*p;
	}
	return NULL;
}
static sigjmp_buf again;
static void on_bus(int signal, siginfo_t *info, void *unused)
{
	(void)signal, (void)unused;
	copy(by_signal, (void *)((uintptr_t)info->si_addr & ~(PG - 1ul)), from, PG, 0);
	siglongjmp(again, 1);
}

int main(void)
{
	int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	pthread_t threads[3];

	heap = mmap(NULL, PAGES * PG, prot, flags, -1, 0);
	from = mmap(NULL, PAGES * PG, prot, flags, -1, 0);
	memset(from, 'f', PAGES * PG);
	uffd = context(0);
	if (uffd < 0 || reg(uffd, heap, PAGES * PG, UFFDIO_REGISTER_MODE_MISSING)) return 2;
	pthread_create(&threads[0], NULL, pager, NULL);
	for (intptr_t i = 0; i < 2; i++) pthread_create(&threads[1 + i], NULL, worker, (void *)i);
	for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);

	/* Refused: there already, no length, half a page off, not registered, a mode without registration. */
	copy(uffd, heap, from, PG, 0);
	copy(uffd, heap, from, 0, 0);
	copy(uffd, heap + 8, from, PG, 0);
	copy(uffd, from, heap, PG, 0);
	copy(uffd, heap, from, PG, UFFDIO_COPY_MODE_WP);
	ioctl(uffd, UFFDIO_COPY, NULL);
	zero(uffd, heap, PG, 0);
	/* Several at once, some of them there. */
	madvise(heap, 16 * PG, MADV_DONTNEED);
	copy(uffd, heap + 8 * PG, from, PG, 0);
	copy(uffd, heap, from, 16 * PG, 0);
	zero(uffd, heap + 9 * PG, 7 * PG, UFFDIO_ZEROPAGE_MODE_DONTWAKE);
	range(uffd, UFFDIO_UNREGISTER, heap + 32 * PG, 16 * PG);
	memset(heap + 9 * PG, 'w', 4 * PG);

	/* Without messages: whoever misses a page gets SIGBUS, and provides it. */
	struct sigaction how = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_NODEFER };
	sigaction(SIGBUS, &how, NULL);
	quiet = mmap(NULL, 16 * PG, prot, flags, -1, 0);
	by_signal = context(UFFD_FEATURE_SIGBUS);
	reg(by_signal, quiet, 16 * PG, UFFDIO_REGISTER_MODE_MISSING);
	for (volatile int i = 0; i < 8; i++)
		if (sigsetjmp(again, 1) == 0 || 1) ((volatile char *)quiet)[i * PG] = 'q';
	copy(by_signal, quiet + 8 * PG, quiet, 8 * PG, 0);
	close(by_signal);
	munmap(from, PAGES / 2 * PG);
	return heap[10 * PG] == 'w' && quiet[9 * PG] == 'q' ? 0 : 1;
}
