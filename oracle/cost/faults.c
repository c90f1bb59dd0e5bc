/* SPDX-License-Identifier: MIT */
/* Page faults: private memory, huge pages, shared memory and files, copies after a fork. */
#include "cost.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Pages 1 to 511 below one page table that is there. */
enum { FEW = TABLE - 1, STREAM = 256 << 20, MIDDLE = 4096 };

static double timed_writes(char *p, size_t pages)
{
	struct span t = span_begin();

	write_each(p, pages * PAGE, PAGE);
	return span_end(&t) / (double)pages;
}
static double timed_reads(char *p, size_t pages)
{
	struct span t = span_begin();

	read_each(p, pages * PAGE, PAGE);
	return span_end(&t) / (double)pages;
}
static void discard(char *p, size_t len) { must(madvise(p, len, MADV_DONTNEED), "MADV_DONTNEED"); }

static void few_pages(void)
{
	struct series *write = series("fault_anon_write"), *read = series("fault_anon_read_zero"), *copy = series("fault_zero_to_write"),
		      *there = series("touch_resident");
	char *block = room(HUGE_PAGE), *p = block + PAGE;

	*(volatile char *)block = 1;
	for (begin(); more(write, 200);) {
		add(write, timed_writes(p, FEW));
		discard(p, FEW * PAGE);
	}
	for (begin(); more(read, 200);) {
		add(read, timed_reads(p, FEW));
		add(there, timed_reads(p, FEW));
		add(copy, timed_writes(p, FEW));
		discard(p, FEW * PAGE);
	}
	unroom(block, HUGE_PAGE);
}

/* Blocks of 512 KiB, ten of them or 512. */
enum { BLOCK_LEN = 128 * PAGE, SOME_BLOCKS = 10, MANY_BLOCKS = 512 };

/* Any of the blocks copied to `to`, nanoseconds a page. */
static double timed_copy(char *to, const char *blocks, unsigned nr_blocks)
{
	static unsigned random = 1;

	random = random * 1103515245 + 12345;
	struct span t = span_begin();
	memcpy(to, blocks + (random >> 8) % nr_blocks * (size_t)BLOCK_LEN, BLOCK_LEN);
	return span_end(&t) / (BLOCK_LEN / PAGE);
}

/*
 * Blocks copied at random to where nothing is: a fault in the middle of a copy costs more than one by a single store, because the copy is taken up again, and
 * finds no translation of what it copies from either. And to where the pages are: in loops of their own, because a fault leaves the caches full of what it
 * cleared, its records and tables, and a copy between two series of faults takes half as long again as one of many in a row.
 */
static void copied_pages(void)
{
	struct series *fault = series("fault_anon_copied"), *there = series("copy_4k_among_5m"), *far = series("copy_4k_among_256m");
	char *from = room((size_t)MANY_BLOCKS * BLOCK_LEN), *to = room(HUGE_PAGE);

	fill(from, (size_t)MANY_BLOCKS * BLOCK_LEN);
	fill(to, BLOCK_LEN + PAGE);
	for (begin(); more(fault, 200);) {
		discard(to, BLOCK_LEN);
		add(fault, timed_copy(to, from, SOME_BLOCKS));
	}
	for (begin(); more(there, 200);) add(there, timed_copy(to, from, SOME_BLOCKS));
	for (begin(); more(far, 200);) add(far, timed_copy(to, from, MANY_BLOCKS));
	unroom(from, (size_t)MANY_BLOCKS * BLOCK_LEN);
	unroom(to, HUGE_PAGE);
}

/* First writes to memory that was discarded just before: so many pages, tables kept. What comes back is colder the more there is. */
static void reused(int pages)
{
	struct series *s = series("fault_anon_write_reused_%d", pages);
	char *p = room((size_t)(pages + TABLE) * PAGE);

	fill(p, (size_t)(pages + TABLE) * PAGE);
	for (begin(); more(s, 60);) {
		/* One page of each table stays, so that the tables do. */
		for (int i = 0; i < pages; i += TABLE) discard(p + (size_t)i * PAGE, (pages - i < FEW ? pages - i : FEW) * (size_t)PAGE);
		struct span t = span_begin();
		write_each(p, (size_t)pages * PAGE, PAGE);
		add(s, span_end(&t) / (pages - pages / TABLE));
	}
	unroom(p, (size_t)(pages + TABLE) * PAGE);
}

static void many_pages(void)
{
	struct series *write = series("fault_anon_write_256m"), *read = series("fault_anon_read_256m"), *table = series("fault_zero_new_pt");
	char *p = room(STREAM);

	for (begin(); more(write, 12);) {
		add(write, timed_writes(p, STREAM / PAGE));
		discard(p, STREAM);
		add(read, timed_reads(p, STREAM / PAGE));
		discard(p, STREAM);
	}
	unroom(p, STREAM);
	size_t len = 1ul << 30;
	p = room(len);
	for (begin(); more(table, 60);) {
		struct span t = span_begin();
		read_each(p, len, HUGE_PAGE);
		add(table, span_end(&t) / (double)(len / HUGE_PAGE));
		discard(p, len);
	}
	unroom(p, len);
}

static void after_fork(void)
{
	struct series *copy = series("fault_cow_copy"), *reuse = series("fault_cow_reuse"), *none = series("write_after_mprotect_cycle");
	char *block = room(HUGE_PAGE), *p = block + PAGE;

	fill(block, HUGE_PAGE);
	for (begin(); more(copy, 100);) {
		int hold[2];
		char byte;
		must(pipe(hold), "pipe");
		pid_t child = (pid_t)must(fork(), "fork");
		if (child == 0) {
			close(hold[1]);
			_exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
		}
		close(hold[0]);
		add(copy, timed_writes(p, FEW));
		close(hold[1]);
		waitpid(child, NULL, 0);
		child = (pid_t)must(fork(), "fork");
		if (child == 0) _exit(0);
		waitpid(child, NULL, 0);
		add(reuse, timed_writes(p, FEW));
	}
	for (begin(); more(none, 100);) {
		mprotect(block, HUGE_PAGE, PROT_READ);
		mprotect(block, HUGE_PAGE, RW);
		add(none, timed_writes(p, FEW));
	}
	unroom(block, HUGE_PAGE);
}

void measure_faults(void)
{
	few_pages();
	copied_pages();
	reused(128);
	reused(2048);
	reused(MIDDLE);
	reused(16384);
	many_pages();
	after_fork();
}

/* ---- huge pages ---- */

enum { BLOCKS = 32, BLOCKS_LEN = BLOCKS * HUGE_PAGE };

static void huge_faults(char *p)
{
	struct series *write = series("fault_thp_write"), *read = series("fault_thp_read_zero"), *copy = series("fault_thp_zero_to_write"),
		      *drop = series("madv_dontneed_thp"), *drop_zero = series("madv_dontneed_huge_zero");

	for (begin(); more(write, 60);) {
		struct span t = span_begin();
		write_each(p, BLOCKS_LEN, HUGE_PAGE);
		add(write, span_end(&t) / BLOCKS);
		t = span_begin();
		discard(p, BLOCKS_LEN);
		add(drop, span_end(&t) / BLOCKS);
	}
	for (begin(); more(read, 60);) {
		struct span t = span_begin();
		read_each(p, BLOCKS_LEN, HUGE_PAGE);
		add(read, span_end(&t) / BLOCKS);
		t = span_begin();
		discard(p, BLOCKS_LEN);
		add(drop_zero, span_end(&t) / BLOCKS);
		read_each(p, BLOCKS_LEN, HUGE_PAGE);
		t = span_begin();
		write_each(p, BLOCKS_LEN, HUGE_PAGE);
		add(copy, span_end(&t) / BLOCKS);
		discard(p, BLOCKS_LEN);
	}
}

/* One block after the other, each given back before the next: it comes out of the cache. */
static void hot_blocks(char *p)
{
	struct series *write = series("fault_thp_write_hot"), *copy = series("fault_thp_zero_to_write_hot");

	for (begin(); more(write, 80);) {
		struct span t = span_begin();
		*(volatile char *)p = 1;
		add(write, span_end(&t));
		discard(p, HUGE_PAGE);
		(void)*(volatile char *)p;
		t = span_begin();
		*(volatile char *)p = 1;
		add(copy, span_end(&t));
		discard(p, HUGE_PAGE);
	}
}

/* The rest of a huge page whose mapping was split. */
static void parts_left(char *p)
{
	struct series *s = series("madv_dontneed_thp_parts");

	for (begin(); more(s, 40);) {
		fill(p, BLOCKS_LEN);
		for (size_t i = 0; i < BLOCKS; i++) madvise(p + i * HUGE_PAGE + 5 * PAGE, PAGE, MADV_DONTNEED);
		struct span t = span_begin();
		discard(p, BLOCKS_LEN);
		add(s, span_end(&t) / (BLOCKS * (TABLE - 1.0)));
	}
}

/* Advice about a page of each block, then about another one of the same. */
static void pieces(char *p, int advice, struct series *first, struct series *second)
{
	for (begin(); more(first, 40);) {
		fill(p, BLOCKS_LEN);
		struct span t = span_begin();
		for (size_t i = 0; i < BLOCKS; i++) madvise(p + i * HUGE_PAGE + 5 * PAGE, PAGE, advice);
		add(first, span_end(&t) / BLOCKS);
		t = span_begin();
		for (size_t i = 0; i < BLOCKS; i++) madvise(p + i * HUGE_PAGE + 11 * PAGE, PAGE, advice);
		add(second, span_end(&t) / BLOCKS);
		discard(p, BLOCKS_LEN);
	}
}

static void collapse(char *p)
{
	struct series *s = series("madv_collapse_2m");
	enum { SOME = 4 };

	for (begin(); more(s, 30);) {
		must(madvise(p, BLOCKS_LEN, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE");
		fill(p, SOME * HUGE_PAGE);
		must(madvise(p, BLOCKS_LEN, MADV_HUGEPAGE), "MADV_HUGEPAGE");
		struct span t = span_begin();
		long result = madvise(p, SOME * HUGE_PAGE, 25 /* MADV_COLLAPSE */);
		double ns = span_end(&t) / SOME;
		discard(p, BLOCKS_LEN);
		if (result != 0) {
			cannot("madv_collapse_2m", "MADV_COLLAPSE fails");
			return;
		}
		add(s, ns);
	}
}

void measure_huge(void)
{
	if (!setup_huge_pages()) {
		cannot("huge", "huge pages are off");
		return;
	}
	char *p = huge_room(BLOCKS_LEN);
	huge_faults(p);
	hot_blocks(p);
	parts_left(p);
	pieces(p, MADV_DONTNEED, series("dontneed_1_thp_mapped"), series("dontneed_1_thp_pte_mapped"));
	pieces(p, MADV_FREE, series("madv_free_1_thp_mapped"), series("madv_free_1_small"));
	collapse(p);
	unroom(p, BLOCKS_LEN);
}

/* ---- shared memory and files ---- */

enum { FILE_PAGES = 2048, FILE_LEN = FILE_PAGES * PAGE, AROUND = 16 };

static void shared(void)
{
	struct series *fresh = series("fault_shmem_write_new"), *cached = series("fault_shmem_write_cached"), *around = series("fault_shmem_read_around"),
		      *cow = series("fault_private_file_cow"), *punch = series("madv_remove_per_page"), *drop = series("madv_dontneed_shmem_512");
	int fd = (int)must(memfd_create("cost", MFD_CLOEXEC), "memfd_create");

	must(ftruncate(fd, FILE_LEN), "ftruncate");
	char *a = mmap(NULL, FILE_LEN, RW, MAP_SHARED, fd, 0), *b = mmap(NULL, FILE_LEN, RW, MAP_SHARED, fd, 0),
	     *own = mmap(NULL, FILE_LEN, RW, MAP_PRIVATE, fd, 0);
	for (begin(); more(fresh, 40);) {
		add(fresh, timed_writes(a, FILE_PAGES));
		add(cached, timed_writes(b, FILE_PAGES));
		double ns = 0;
		for (size_t at = 0; at < FILE_LEN; at += HUGE_PAGE) {
			struct span t = span_begin();
			discard(b + at, HUGE_PAGE);
			ns += span_end(&t);
		}
		add(drop, ns / FILE_PAGES);
		struct span t = span_begin();
		read_each(b, FILE_LEN, AROUND * PAGE);
		add(around, span_end(&t) / (FILE_PAGES / AROUND));
		add(cow, timed_writes(own, FILE_PAGES));
		discard(own, FILE_LEN);
		t = span_begin();
		must(madvise(a, FILE_LEN, MADV_REMOVE), "MADV_REMOVE");
		add(punch, span_end(&t) / FILE_PAGES);
	}
	munmap(a, FILE_LEN);
	munmap(b, FILE_LEN);
	munmap(own, FILE_LEN);
	close(fd);
}

static long minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

static int scratch_file(void)
{
	static char block[1 << 16];
	char name[] = "/var/tmp/faultline-cost-XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0) return -1;
	unlink(name);
	memset(block, 'x', sizeof(block));
	for (size_t at = 0; at < FILE_LEN; at += sizeof(block))
		if (write(fd, block, sizeof(block)) != sizeof(block)) return -1;
	fsync(fd);
	return fd;
}

static void on_disk(void)
{
	struct series *read = series("fault_file_read"), *cow = series("fault_file_private_cow");
	int fd = scratch_file();

	if (fd < 0) {
		cannot("fault_file_read fault_file_private_cow", "no room for a file in /var/tmp");
		return;
	}
	char *p = mmap(NULL, FILE_LEN, RW, MAP_PRIVATE, fd, 0);
	for (begin(); more(read, 60);) {
		long before = minor_faults();
		struct span t = span_begin();
		read_each(p, FILE_LEN, AROUND * PAGE);
		double ns = span_end(&t);
		long faults = minor_faults() - before;
		add(read, ns / (double)(faults > 0 ? faults : 1));
		discard(p, FILE_LEN);
		add(cow, timed_writes(p, FILE_PAGES));
		discard(p, FILE_LEN);
	}
	munmap(p, FILE_LEN);
	close(fd);
}

void measure_files(void)
{
	shared();
	on_disk();
}
