/* SPDX-License-Identifier: MIT */
/*
 * Seed 001 on the running kernel: protecting a range that was never touched, writing to it, and which stores nobody hears of.
 *
 *   protectRange protect METHOD BYTES HUGE WRITES_OF_FOUR RUNS
 *   protectRange lost METHOD PAGES
 *
 * METHOD is default, pre-read, populate-read, wp-unpopulated, no-uffd or (lost) wp-async; HUGE is 0 or 1; WRITES_OF_FOUR is -1 for protecting alone.
 * `protect` prints nanoseconds of filling in, protecting, taking protection away, the KiB of page tables that came, nanoseconds and minor faults of the
 * writes, of the fastest run; `lost` prints the number of lost stores. Everything is memory of this process and goes with it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define GIB (1UL << 30)
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* PAGEMAP_SCAN is younger than many headers. */
struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, anyof, returned;
};
struct region {
	uint64_t start, end, categories;
};
#define SCAN _IOWR('f', 16, struct scan)
#define WRITTEN 2

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}
static long tables_kib(void)
{
	char line[128];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof line, f)) sscanf(line, "VmPTE: %ld", &kib);
	if (f) fclose(f);
	return kib;
}
static long minor_faults(void)
{
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return use.ru_minflt;
}
static int open_uffd(uint64_t features)
{
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = { .api = UFFD_API, .features = features | UFFD_FEATURE_PAGEFAULT_FLAG_WP };

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api)) fail("userfaultfd");
	return fd;
}
static void register_wp(int fd, char *at, size_t len)
{
	struct uffdio_register r = { .range = { (uintptr_t)at, len }, .mode = UFFDIO_REGISTER_MODE_WP };

	if (ioctl(fd, UFFDIO_REGISTER, &r)) fail("UFFDIO_REGISTER");
}
static void protect(int fd, char *at, size_t len, int on)
{
	struct uffdio_writeprotect w = { .range = { (uintptr_t)at, len }, .mode = on };

	if (ioctl(fd, UFFDIO_WRITEPROTECT, &w)) fail("UFFDIO_WRITEPROTECT");
}
static void store(char *at) { *(volatile char *)at = 1; }
static void load(char *at) { (void)*(volatile char *)at; }

static void prefault(const char *method, char *at, size_t len)
{
	if (!strcmp(method, "pre-read"))
		for (size_t i = 0; i < len; i += PAGE) load(at + i);
	if (!strcmp(method, "populate-read") && madvise(at, len, MADV_POPULATE_READ)) fail("MADV_POPULATE_READ");
}

struct result {
	double prefault, protect, unprotect, write;
	long tables, faults;
};

/* One run of `protect`. */
static struct result run(const char *method, size_t len, int huge, int of_four)
{
	struct result r = { 0 };
	char *all = mmap(NULL, len + GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *at = (char *)(((uintptr_t)all + GIB - 1) & ~(GIB - 1));
	int plain = !strcmp(method, "no-uffd"), fd = -1;
	uint64_t features = of_four >= 0 ? UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_ASYNC
		: !strcmp(method, "wp-unpopulated") ? UFFD_FEATURE_WP_UNPOPULATED : 0;
	long tables;
	double t0, t1, t2;

	if (all == MAP_FAILED) fail("mmap");
	if (madvise(at, len, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE)) fail("madvise");
	tables = tables_kib();
	if (!plain) {
		fd = open_uffd(features);
		register_wp(fd, at, len);
		t0 = now();
		prefault(method, at, len);
		t1 = now();
		protect(fd, at, len, 1);
		t2 = now();
		r.prefault = t1 - t0;
		r.protect = t2 - t1;
	}
	r.tables = tables_kib() - tables;
	if (of_four < 0) {
		t0 = now();
		if (!plain) protect(fd, at, len, 0);
		r.unprotect = now() - t0;
	} else {
		r.faults = minor_faults();
		t0 = now();
		for (size_t i = 0; i < len / PAGE; i++)
			if ((int)(i % 4) < of_four) store(at + i * PAGE);
		r.write = now() - t0;
		r.faults = minor_faults() - r.faults;
	}
	munmap(all, len + GIB);
	if (fd >= 0) close(fd);
	return r;
}

static int heard_fd;
static char *heard_end;
static long heard;

static void *reader(void *unused)
{
	struct uffd_msg m;

	(void)unused;
	while (read(heard_fd, &m, sizeof m) == sizeof m) {
		char *at = (char *)(uintptr_t)(m.arg.pagefault.address & ~(PAGE - 1));

		if (at < heard_end) heard++;
		protect(heard_fd, at, PAGE, 0);
		if (at >= heard_end) break;
	}
	return NULL;
}

static long lost(const char *method, long pages)
{
	int async = !strcmp(method, "wp-async");
	size_t len = (pages + 1) * PAGE;
	char *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;

	if (at == MAP_FAILED) fail("mmap");
	madvise(at, len, MADV_NOHUGEPAGE);
	for (long i = 0; i < pages; i += 4) {
		store(at + i * PAGE);
		load(at + (i + 1) * PAGE);
	}
	store(at + pages * PAGE);
	heard_fd = open_uffd(async ? UFFD_FEATURE_WP_ASYNC : !strcmp(method, "wp-unpopulated") ? UFFD_FEATURE_WP_UNPOPULATED : 0);
	heard_end = at + pages * PAGE;
	register_wp(heard_fd, at, len);
	prefault(method, at, len);
	protect(heard_fd, at, len, 1);
	if (!async && pthread_create(&thread, NULL, reader, NULL)) fail("pthread_create");
	for (long i = 0; i <= pages; i++) store(at + i * PAGE);
	if (!async) pthread_join(thread, NULL);
	else {
		int fd = open("/proc/self/pagemap", O_RDONLY);
		struct region *regions = calloc(pages, sizeof *regions);
		struct scan s = { .size = sizeof s, .start = (uintptr_t)at, .end = (uintptr_t)heard_end, .vec = (uintptr_t)regions,
			.vec_len = pages, .mask = WRITTEN, .returned = WRITTEN };
		long n = fd < 0 ? -1 : ioctl(fd, SCAN, &s);

		if (n < 0) fail("PAGEMAP_SCAN");
		for (long i = 0; i < n; i++) heard += (regions[i].end - regions[i].start) / PAGE;
	}
	return pages - heard;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "lost")) {
		printf("%ld\n", lost(argv[2], atol(argv[3])));
		return 0;
	}
	if (argc != 7 || strcmp(argv[1], "protect")) {
		fprintf(stderr, "usage: protectRange protect METHOD BYTES HUGE WRITES_OF_FOUR RUNS | lost METHOD PAGES\n");
		return 2;
	}
	struct result best = { 0 };

	for (int i = 0; i < atoi(argv[6]); i++) {
		struct result r = run(argv[2], strtoull(argv[3], NULL, 10), atoi(argv[4]), atoi(argv[5]));

		if (i == 0 || r.prefault + r.protect + r.write < best.prefault + best.protect + best.write) best = r;
	}
	printf("%.0f %.0f %.0f %ld %.0f %ld\n", best.prefault, best.protect, best.unprotect, best.tables, best.write, best.faults);
	return 0;
}
