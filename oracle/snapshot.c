/* SPDX-License-Identifier: MIT */
/*
 * Takes a snapshot of its own memory, as src/workloads/liveSnapshot does in the model, step by step as it is told, and prints the pages that are not in it
 * as they were. test/kernel/snapshot.kernel.test.ts hands the same steps to the model.
 *
 *   memory anon|shmem|file PAGES HUGEPAGE      once, first: what it is made of; HUGEPAGE is 0 or 1
 *   method NAME snapshot|precopy scan|read     once, second; how pages that hold something are found
 *   write PAGE WORD · read PAGE · discard PAGE what the guest does
 *   arm                                        pages are brought in, if the method does so, and protected; or a child is forked
 *   save FIRST END                             saves pages that are not saved yet (precopy: copies them)
 *   round                                      precopy: copies what was written since
 *   finish                                     saves the rest, compares, prints and ends
 *
 * prints `lost PAGE HELD SAVED` by page, then `messages N` (writes that userfaultfd told of) and `end`; or `refused CALL ERRNO` and nothing else.
 *
 * What memory held is known from the steps: looking would bring pages in.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guard.h"

/* Of Linux 6.4 and 6.7; older headers do not have it. */
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef PAGEMAP_SCAN
struct page_region {
	uint64_t start, end, categories;
};
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
enum { PM_SCAN_WP_MATCHING = 1 };
enum { PAGE_IS_WRITTEN = 2, PAGE_IS_PRESENT = 8, PAGE_IS_SWAPPED = 16, PAGE_IS_PFNZERO = 32 };
#endif

enum { PAGE = 4096, ROOM = 512 };
#define HUGE_PAGE (2ul << 20)

static char *mem;
static size_t nr_pages;
static int is_file, is_shmem;
static char method[32];
static int precopy, reads_all;
/* What was stored last, what memory held at the time of the snapshot, and the image: shared, because a child may write it. */
static uint64_t *stored, *held;
static char *image;
static unsigned char *done, *dirty;
static int uffd = -1, pagemap_fd = -1;
static volatile int nr_messages;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void refused(const char *call)
{
	printf("refused %s %s\n", call, strerrorname_np(errno));
	exit(0);
}

static void *shared_room(size_t len)
{
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED) die("mmap");
	return at;
}

/* A file in the folder of the machine that takes userfaultfd for files: its page cache has all of it. */
static int file_of_zeros(size_t len)
{
	char name[] = "/tmp/faultline-snapshot-XXXXXX";
	static char zeros[1 << 16];
	int fd = mkstemp(name);

	if (fd < 0) die(name);
	unlink(name);
	for (size_t at = 0; at < len; at += sizeof zeros)
		if (write(fd, zeros, len - at < sizeof zeros ? len - at : sizeof zeros) < 0) die("write");
	return fd;
}

static void map_memory(const char *backing, size_t pages, int hugepage)
{
	size_t len = pages * PAGE;
	char *room = mmap(NULL, len + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *at = (char *)(((uintptr_t)room + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
	int fd = -1, flags = MAP_PRIVATE | MAP_ANONYMOUS;

	is_shmem = !strcmp(backing, "shmem");
	is_file = !strcmp(backing, "file");
	if (is_shmem) {
		fd = memfd_create("guest", 0);
		if (fd < 0 || ftruncate(fd, (off_t)len)) die("memfd");
		flags = MAP_SHARED;
	}
	if (is_file) {
		fd = file_of_zeros(len);
		flags = MAP_PRIVATE;
	}
	mem = mmap(at, len, PROT_READ | PROT_WRITE, flags | MAP_FIXED | MAP_NORESERVE, fd, 0);
	if (mem == MAP_FAILED) die("mmap of the guest");
	if (madvise(mem, len, hugepage ? MADV_HUGEPAGE : MADV_NOHUGEPAGE)) die("madvise");
	nr_pages = pages;
	stored = calloc(pages, sizeof *stored);
	held = calloc(pages, sizeof *held);
	image = shared_room(len);
	done = shared_room(pages);
	dirty = shared_room(pages);
}

static uint64_t *word_of(size_t page)
{
	return (uint64_t *)(mem + page * PAGE);
}

static void save_page(size_t page)
{
	memcpy(image + page * PAGE, mem + page * PAGE, PAGE);
	done[page] = 1;
}

static void protect(size_t first, size_t end, int on)
{
	struct uffdio_writeprotect wp = {
		.range = { (uintptr_t)word_of(first), (end - first) * PAGE },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	if (ioctl(uffd, UFFDIO_WRITEPROTECT, &wp)) die("UFFDIO_WRITEPROTECT");
}

static struct page_region regions[ROOM];

/* One PAGEMAP_SCAN from *at on; returns the regions and moves *at to where it stopped. */
static int scan(uintptr_t *at, size_t end, uint64_t mask, uint64_t inverted, uint64_t returned, int protects, int silent)
{
	struct pm_scan_arg arg = {
		.size = sizeof arg,
		.flags = protects ? PM_SCAN_WP_MATCHING : 0,
		.start = *at,
		.end = (uintptr_t)word_of(end),
		.vec = silent ? 0 : (uintptr_t)regions,
		.vec_len = silent ? 0 : ROOM,
		.category_mask = mask,
		.category_inverted = inverted,
		.return_mask = returned,
	};
	int nr = ioctl(pagemap_fd, PAGEMAP_SCAN, &arg);

	if (nr < 0) die("PAGEMAP_SCAN");
	*at = arg.walk_end;
	return nr;
}

static void save_range(size_t first, size_t end)
{
	uintptr_t at = (uintptr_t)word_of(first);

	if (reads_all) {
		for (size_t page = first; page < end; page++)
			if (!done[page]) save_page(page);
		return;
	}
	while (at < (uintptr_t)word_of(end)) {
		int nr = scan(&at, end, PAGE_IS_PRESENT | PAGE_IS_PFNZERO, PAGE_IS_PFNZERO, 0, 0, 0);

		for (int i = 0; i < nr; i++)
			for (uintptr_t a = regions[i].start; a < regions[i].end; a += PAGE) {
				size_t page = (a - (uintptr_t)mem) / PAGE;

				if (!done[page]) save_page(page);
			}
	}
	memset(done + first, 1, end - first);
}

/* Answers writes to protected pages: saves the page before it changes, or notes that it was written. */
static void *answer(void *unused)
{
	(void)unused;
	for (;;) {
		struct pollfd wait = { uffd, POLLIN, 0 };
		struct uffd_msg message;
		size_t page;

		poll(&wait, 1, -1);
		if (read(uffd, &message, sizeof message) != sizeof message) continue;
		if (message.event != UFFD_EVENT_PAGEFAULT) continue;
		nr_messages++;
		page = (message.arg.pagefault.address - (uintptr_t)mem) / PAGE;
		if (precopy) dirty[page] = 1;
		else if (!done[page]) save_page(page);
		protect(page, page + 1, 0);
	}
	return NULL;
}

/* ---- fork: the child saves what it is told through a pipe ---- */

static int orders[2], answers[2];

static void fork_child(void)
{
	size_t range[2];
	char ok = 1;

	if (pipe(orders) || pipe(answers)) die("pipe");
	fflush(stdout);
	if (fork()) return;
	pagemap_fd = open("/proc/self/pagemap", O_RDONLY);
	close(orders[1]);
	while (read(orders[0], range, sizeof range) == sizeof range) {
		save_range(range[0], range[1]);
		if (write(answers[1], &ok, 1) != 1) _exit(1);
	}
	_exit(0);
}

static void save_by_child(size_t first, size_t end)
{
	size_t range[2] = { first, end };
	char ok;

	if (write(orders[1], range, sizeof range) != sizeof range || read(answers[0], &ok, 1) != 1) die("child");
}

/* ---- arming ---- */

static int is(const char *name)
{
	return !strcmp(method, name);
}

static void open_uffd(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register all = {
		.range = { (uintptr_t)mem, nr_pages * PAGE },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0) die("userfaultfd");
	if (ioctl(uffd, UFFDIO_API, &api)) refused("UFFDIO_API");
	if (ioctl(uffd, UFFDIO_REGISTER, &all)) refused("UFFDIO_REGISTER");
}

static void arm(void)
{
	uint64_t features = UFFD_FEATURE_PAGEFAULT_FLAG_WP;
	uintptr_t at = (uintptr_t)mem;
	pthread_t reader;

	pagemap_fd = open("/proc/self/pagemap", O_RDONLY);
	if (pagemap_fd < 0) die("pagemap");
	if (is("fork")) {
		fork_child();
		return;
	}
	if (is("wp-unpopulated")) features |= UFFD_FEATURE_WP_UNPOPULATED;
	if (is("wp-async")) features |= UFFD_FEATURE_WP_ASYNC;
	if (is("pre-read"))
		for (size_t page = 0; page < nr_pages; page++) *(volatile uint64_t *)word_of(page);
	if (is("populate-read") && madvise(mem, nr_pages * PAGE, MADV_POPULATE_READ)) die("MADV_POPULATE_READ");
	open_uffd(features);
	if (is("wp-async")) {
		while (at < (uintptr_t)word_of(nr_pages)) scan(&at, nr_pages, PAGE_IS_WRITTEN, 0, 0, 1, 1);
		return;
	}
	if (pthread_create(&reader, NULL, answer, NULL)) die("thread");
	protect(0, nr_pages, 1);
}

static void save(size_t first, size_t end)
{
	if (is("fork")) save_by_child(first, end);
	else {
		save_range(first, end);
		if (!precopy) protect(first, end, 0);
	}
}

static void copy_again(size_t page, int is_there)
{
	if (is_there) save_page(page);
	else memset(image + page * PAGE, 0, PAGE);
	done[page] = 1;
}

static void copy_round(void)
{
	uintptr_t at = (uintptr_t)mem;

	if (!is("wp-async")) {
		for (size_t page = 0; page < nr_pages; page++) {
			if (!dirty[page]) continue;
			dirty[page] = 0;
			protect(page, page + 1, 1);
			copy_again(page, 1);
		}
		return;
	}
	while (at < (uintptr_t)word_of(nr_pages)) {
		uint64_t there = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
		int nr = scan(&at, nr_pages, PAGE_IS_WRITTEN, 0, there, 1, 0);

		for (int i = 0; i < nr; i++)
			for (uintptr_t a = regions[i].start; a < regions[i].end; a += PAGE)
				copy_again((a - (uintptr_t)mem) / PAGE, (regions[i].categories & there) != 0);
	}
}

static int differs(size_t page)
{
	static char expected[PAGE];

	memcpy(expected, &held[page], sizeof held[page]);
	return memcmp(image + page * PAGE, expected, PAGE) != 0;
}

static void finish(void)
{
	if (precopy) {
		copy_round();
		memcpy(held, stored, nr_pages * sizeof *held);
	} else save(0, nr_pages);
	for (size_t page = 0; page < nr_pages; page++) {
		uint64_t saved = *(uint64_t *)(image + page * PAGE);

		if (differs(page)) printf("lost %zu %lu %lu\n", page, held[page], saved);
	}
	printf("messages %d\nend\n", nr_messages);
	exit(0);
}

static void discard(size_t page)
{
	if (madvise(word_of(page), PAGE, is_shmem ? MADV_REMOVE : MADV_DONTNEED)) die("madvise");
	stored[page] = 0;
}

static void step(const char *line)
{
	char word[32], use[16], find[16], backing[16];
	unsigned long a, b;
	int huge;

	if (sscanf(line, "memory %15s %lu %d", backing, &a, &huge) == 3) map_memory(backing, a, huge);
	else if (sscanf(line, "method %31s %15s %15s", method, use, find) == 3) {
		precopy = !strcmp(use, "precopy");
		reads_all = !strcmp(find, "read");
	} else if (sscanf(line, "write %lu %lu", &a, &b) == 2) *(volatile uint64_t *)word_of(a) = stored[a] = b;
	else if (sscanf(line, "read %lu", &a) == 1) *(volatile uint64_t *)word_of(a);
	else if (sscanf(line, "discard %lu", &a) == 1) discard(a);
	else if (sscanf(line, "save %lu %lu", &a, &b) == 2) save(a, b);
	else if (sscanf(line, "%31s", word) == 1 && !strcmp(word, "arm")) {
		arm();
		memcpy(held, stored, nr_pages * sizeof *held);
	} else if (!strcmp(word, "round")) copy_round();
	else if (!strcmp(word, "finish")) finish();
	else die(line);
}

int main(void)
{
	char line[256];

	guard_share();
	while (fgets(line, sizeof line, stdin)) step(line);
	return 1;
}
