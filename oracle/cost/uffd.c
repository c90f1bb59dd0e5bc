/* SPDX-License-Identifier: MIT */
/* userfaultfd: its ioctls by size of the call, write protection, scanning, and faults that a thread answers. */
#include "cost.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <linux/userfaultfd.h>
#include <unistd.h>

enum {
	MISSING = 1, WP = 2, MINOR = 4,
	F_SIGBUS = 1 << 7, F_MINOR_SHMEM = 1 << 10, F_WP_SHMEM = 1 << 12, F_WP_UNPOPULATED = 1 << 13, F_WP_ASYNC = 1 << 15, F_MOVE = 1 << 16,
};
static const int batches[] = { 1, 4, 16, 64, 512 };
enum { BATCHES = sizeof(batches) / sizeof(batches[0]) };

static void discard(char *p, size_t len) { must(madvise(p, len, MADV_DONTNEED), "MADV_DONTNEED"); }

/* Goes over 512 pages, `n` in an ioctl; nanoseconds a page. */
#define OVER(n, call) ({ \
	struct span t_ = span_begin(); \
	for (size_t off = 0; off < HUGE_PAGE; off += (size_t)(n) * PAGE) must(call, #call); \
	span_end(&t_) / TABLE; })

static void fills(void)
{
	int fd = uffd_open(0);
	char *to = room(HUGE_PAGE + PAGE), *from = room(HUGE_PAGE);

	fill(from, HUGE_PAGE);
	uffd_register(fd, to, HUGE_PAGE, MISSING);
	/* The page beside it keeps the table. */
	*(volatile char *)(to + HUGE_PAGE) = 1;
	for (int k = 0; k < BATCHES; k++) {
		int n = batches[k];
		struct series *copy = series("uffd_copy_%d", n), *zero = series("uffd_zeropage_%d", n);
		for (begin(); more(copy, 120);) {
			add(copy, OVER(n, uffd_copy(fd, to + off, from + off, (size_t)n * PAGE)));
			discard(to, HUGE_PAGE - PAGE), discard(to + HUGE_PAGE - PAGE, PAGE);
			add(zero, OVER(n, uffd_zero(fd, to + off, (size_t)n * PAGE)));
			discard(to, HUGE_PAGE - PAGE), discard(to + HUGE_PAGE - PAGE, PAGE);
		}
	}
	unroom(to, HUGE_PAGE + PAGE);
	unroom(from, HUGE_PAGE);
	close(fd);
}

static void moves(void)
{
	int fd = uffd_open(F_MOVE);
	if (fd < 0) {
		cannot("uffd_move", "this kernel has no UFFDIO_MOVE");
		return;
	}
	char *a = room(HUGE_PAGE), *b = room(HUGE_PAGE);
	uffd_register(fd, a, HUGE_PAGE, MISSING);
	uffd_register(fd, b, HUGE_PAGE, MISSING);
	for (size_t off = 0; off < HUGE_PAGE; off += PAGE) must(uffd_zero(fd, a + off, PAGE), "UFFDIO_ZEROPAGE");
	write_each(a, HUGE_PAGE, PAGE);
	for (int k = 0; k < BATCHES; k++) {
		int n = batches[k];
		struct series *s = series("uffd_move_%d", n);
		for (begin(); more(s, 120);) {
			add(s, OVER(n, uffd_move(fd, b + off, a + off, (size_t)n * PAGE)));
			char *was = a;
			a = b, b = was;
		}
	}
	struct series *other = series("uffd_move_1_reversed");
	for (begin(); more(other, 120);) {
		add(other, OVER(1, uffd_move(fd, b + HUGE_PAGE - PAGE - off, a + off, PAGE)));
		char *was = a;
		a = b, b = was;
	}
	unroom(a, HUGE_PAGE);
	unroom(b, HUGE_PAGE);
	enum { BLOCKS = 16 };
	size_t len = (size_t)BLOCKS * HUGE_PAGE;
	struct series *huge = series("uffd_move_thp_2m");
	a = huge_room(len), b = huge_room(len);
	uffd_register(fd, b, len, MISSING);
	for (begin(); setup_huge_pages() && more(huge, 40);) {
		fill(a, len);
		struct span t = span_begin();
		for (size_t off = 0; off < len; off += HUGE_PAGE) must(uffd_move(fd, b + off, a + off, HUGE_PAGE), "UFFDIO_MOVE");
		add(huge, span_end(&t) / BLOCKS);
		discard(b, len);
	}
	unroom(a, len);
	unroom(b, len);
	close(fd);
}

static void shared_fills(void)
{
	int fd = uffd_open(F_MINOR_SHMEM), file = (int)must(memfd_create("cost", MFD_CLOEXEC), "memfd_create");
	if (fd < 0) {
		cannot("uffd_continue", "no minor faults of shared memory here");
		return;
	}
	must(ftruncate(file, HUGE_PAGE), "ftruncate");
	char *view = mmap(NULL, HUGE_PAGE, RW, MAP_SHARED, file, 0), *p = room(HUGE_PAGE);
	must((long)mmap(p, HUGE_PAGE, RW, MAP_SHARED | MAP_FIXED, file, 0), "mmap");
	write_each(view, HUGE_PAGE, PAGE);
	uffd_register(fd, p, HUGE_PAGE, MINOR);
	for (int k = 0; k < BATCHES; k++) {
		int n = batches[k];
		struct series *s = series("uffd_continue_%d", n);
		for (begin(); more(s, 120);) {
			add(s, OVER(n, uffd_continue(fd, p + off, (size_t)n * PAGE)));
			discard(p, HUGE_PAGE);
		}
	}
	uffd_register(fd, p, HUGE_PAGE, MISSING);
	struct series *copy = series("uffd_copy_shmem_1");
	char *from = room(HUGE_PAGE);
	fill(from, HUGE_PAGE);
	for (begin(); more(copy, 80);) {
		must(madvise(view, HUGE_PAGE, MADV_REMOVE), "MADV_REMOVE");
		add(copy, OVER(1, uffd_copy(fd, p + off, from + off, PAGE)));
	}
	unroom(from, HUGE_PAGE);
	munmap(view, HUGE_PAGE);
	unroom(p, HUGE_PAGE);
	close(fd);
	close(file);
}

static void protect_pages(int fd, int pages)
{
	struct series *on = series("uffd_wp_on_%d", pages), *off = series("uffd_wp_off_%d", pages);
	size_t len = (size_t)pages * PAGE;
	char *p = room(len);

	fill(p, len);
	uffd_register(fd, p, len, WP);
	for (begin(); more(on, 120);) {
		struct span t = span_begin();
		must(uffd_protect(fd, p, len, true), "UFFDIO_WRITEPROTECT");
		add(on, span_end(&t));
		t = span_begin();
		must(uffd_protect(fd, p, len, false), "UFFDIO_WRITEPROTECT");
		add(off, span_end(&t));
	}
	unroom(p, len);
}

static void protect_holes(int fd, int pages)
{
	struct series *on = series("uffd_wp_on_none_%d", pages), *again = series("uffd_wp_on_marked_%d", pages), *off = series("uffd_wp_off_none_%d", pages);
	size_t len = (size_t)pages * PAGE;
	char *p = room(len);

	uffd_register(fd, p, len, WP);
	for (begin(); more(on, 120);) {
		struct span t = span_begin();
		must(uffd_protect(fd, p, len, true), "UFFDIO_WRITEPROTECT");
		add(on, span_end(&t));
		t = span_begin();
		must(uffd_protect(fd, p, len, true), "UFFDIO_WRITEPROTECT");
		add(again, span_end(&t));
		t = span_begin();
		must(uffd_protect(fd, p, len, false), "UFFDIO_WRITEPROTECT");
		add(off, span_end(&t));
		/* Of large ranges the tables go. Of small ones they stay: the call alone is asked for. */
		if (pages >= TABLE) discard(p, len);
	}
	unroom(p, len);
}

static void async_writes(int fd)
{
	struct series *there = series("fault_wp_async"), *marker = series("fault_wp_async_marker");
	char *p = room(HUGE_PAGE);

	uffd_register(fd, p, HUGE_PAGE, WP);
	for (begin(); more(there, 120);) {
		must(uffd_protect(fd, p, HUGE_PAGE, true), "UFFDIO_WRITEPROTECT");
		struct span t = span_begin();
		write_each(p, HUGE_PAGE, PAGE);
		add(marker, span_end(&t) / TABLE);
		must(uffd_protect(fd, p, HUGE_PAGE, true), "UFFDIO_WRITEPROTECT");
		t = span_begin();
		write_each(p, HUGE_PAGE, PAGE);
		add(there, span_end(&t) / TABLE);
		discard(p, HUGE_PAGE);
	}
	unroom(p, HUGE_PAGE);
}

static void scans(int fd)
{
	enum { PAGES = 65536 };
	struct series *absent = series("pagemap_scan_absent"), *clean = series("pagemap_scan_clean"), *written = series("pagemap_scan_written"),
		      *again = series("pagemap_scan_wp_written"), *some = series("pagemap_scan_wp_alternate");
	int map = (int)must(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), "pagemap");
	size_t len = (size_t)PAGES * PAGE;
	char *p = room(len);
#define SCAN(protect) ({ \
	struct span t_ = span_begin(); \
	must(scan_written(map, p, len, protect), "PAGEMAP_SCAN"); \
	span_end(&t_) / PAGES; })

	uffd_register(fd, p, len, WP);
	for (begin(); more(absent, 60);) add(absent, SCAN(false));
	fill(p, len);
	for (begin(); more(written, 15);) {
		write_each(p, len, PAGE);
		add(written, SCAN(false));
		add(again, SCAN(true));
		add(clean, SCAN(false));
		write_each(p, len, 2 * PAGE);
		add(some, SCAN(true));
	}
	unroom(p, len);
	close(map);
}

void measure_uffd(void)
{
	int fd = uffd_open(0);
	if (fd < 0) {
		cannot("uffd", "userfaultfd is not allowed");
		return;
	}
	close(fd);
	fills();
	moves();
	shared_fills();
	fd = uffd_open(F_WP_UNPOPULATED | F_WP_ASYNC);
	if (fd < 0) {
		cannot("uffd_wp", "this kernel has no asynchronous write protection");
		return;
	}
	static const int sizes[] = { 1, 64, 512, 65536 };
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) protect_pages(fd, sizes[k]), protect_holes(fd, sizes[k]);
	async_writes(fd);
	scans(fd);
	close(fd);
}

/* ---- faults that somebody answers ---- */

enum how { COPY, ZEROPAGE, CONTINUE, MOVE, PROTECTED, WAYS };
static const char *const way_names[WAYS] = { "copy", "zeropage", "continue", "move", "wp" };
static struct {
	enum how how;
	int fd, cpu;
	char *base, *from;
} answer;

static void resolve(uint64_t address)
{
	char *at = (char *)(address & ~(uint64_t)(PAGE - 1));
	char *from = answer.from + (at - answer.base);

	switch (answer.how) {
	case COPY: uffd_copy(answer.fd, at, from, PAGE); return;
	case ZEROPAGE: uffd_zero(answer.fd, at, PAGE); return;
	case CONTINUE: uffd_continue(answer.fd, at, PAGE); return;
	case MOVE: uffd_move(answer.fd, at, from, PAGE); return;
	default: uffd_protect(answer.fd, at, PAGE, false); return;
	}
}

/* Sleeps in read, or asks again and again. The fault that comes after the flag is set is the last one. */
static atomic_bool is_last;
static void *answerer(void *unused)
{
	struct uffd_msg message;

	(void)unused;
	pin_to(answer.cpu);
	for (bool is_over = false; !is_over;) {
		if (read(answer.fd, &message, sizeof(message)) != sizeof(message)) continue;
		is_over = atomic_load(&is_last);
		resolve(message.arg.pagefault.address);
	}
	return NULL;
}

static void round_trips(struct series *s, enum how how, int cpu, bool is_spinning)
{
	int file = -1, fd = uffd_open(how == MOVE ? F_MOVE : how == CONTINUE ? F_MINOR_SHMEM : 0);
	enum { FAULTS = 128, LEN = FAULTS * PAGE };
	char *from = room(LEN), *p = room(LEN), *view = NULL;
	pthread_t thread;

	if (fd < 0) return;
	if (how == CONTINUE) {
		file = (int)must(memfd_create("cost", MFD_CLOEXEC), "memfd_create");
		must(ftruncate(file, LEN), "ftruncate");
		view = mmap(NULL, LEN, RW, MAP_SHARED, file, 0);
		write_each(view, LEN, PAGE);
		must((long)mmap(p, LEN, RW, MAP_SHARED | MAP_FIXED, file, 0), "mmap");
	}
	if (how == PROTECTED) fill(p, LEN);
	uffd_register(fd, p, LEN, how == CONTINUE ? MINOR : how == PROTECTED ? WP : MISSING);
	if (is_spinning) fcntl(fd, F_SETFL, O_NONBLOCK);
	answer.how = how, answer.fd = fd, answer.cpu = cpu, answer.base = p, answer.from = from;
	atomic_store(&is_last, false);
	pthread_create(&thread, NULL, answerer, NULL);
	for (begin(); more(s, 40);) {
		if (how == COPY || how == MOVE) fill(from, LEN);
		if (how == PROTECTED) must(uffd_protect(fd, p, LEN, true), "UFFDIO_WRITEPROTECT");
		else discard(p, LEN);
		struct span t = span_begin();
		write_each(p, LEN, PAGE);
		add(s, (cpu == own_cpu ? span_shared(&t) : span_passed(&t)) / FAULTS);
	}
	if (how == COPY || how == MOVE) fill(from, LEN);
	if (how == PROTECTED) must(uffd_protect(fd, p, LEN, true), "UFFDIO_WRITEPROTECT");
	else discard(p, LEN);
	atomic_store(&is_last, true);
	*(volatile char *)p = 1;
	pthread_join(thread, NULL);
	close(fd);
	unroom(from, LEN);
	unroom(p, LEN);
	if (view) munmap(view, LEN), close(file);
}

static void on_sigbus(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	resolve((uintptr_t)info->si_addr);
}

static void in_handler(void)
{
	struct series *s = series("uffd_sigbus_copy");
	int fd = uffd_open(F_SIGBUS);
	enum { LEN = 256 * PAGE };
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	if (fd < 0) return;
	char *p = room(LEN), *from = room(LEN);
	fill(from, LEN);
	uffd_register(fd, p, LEN, MISSING);
	answer.how = COPY, answer.fd = fd, answer.base = p, answer.from = from;
	sigaction(SIGBUS, &action, NULL);
	for (begin(); more(s, 80);) {
		discard(p, LEN);
		struct span t = span_begin();
		write_each(p, LEN, PAGE);
		add(s, span_end(&t) / (LEN / PAGE));
	}
	signal(SIGBUS, SIG_DFL);
	unroom(p, LEN);
	unroom(from, LEN);
	close(fd);
}

void measure_uffd_faults(void)
{
	int fd = uffd_open(F_MOVE);
	if (fd < 0) {
		cannot("uffd_fault uffd_sigbus", "userfaultfd is not allowed, or has no UFFDIO_MOVE");
		return;
	}
	close(fd);
	for (enum how how = COPY; how < WAYS && !is_stopping; how++) {
		round_trips(series("uffd_fault_%s_same_cpu", way_names[how]), how, own_cpu, false);
		if (other_cpu == own_cpu) continue;
		round_trips(series("uffd_fault_%s_cross_cpu", way_names[how]), how, other_cpu, false);
		round_trips(series("uffd_fault_%s_spin", way_names[how]), how, other_cpu, true);
	}
	in_handler();
}
