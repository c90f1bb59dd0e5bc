/* SPDX-License-Identifier: MIT */
/*
 * Volatile ranges on a kernel that has none: what would be purged is discarded and marked with UFFDIO_POISON, which raises SIGBUS as a purged page does,
 * is EFAULT for the kernel, and travels with fork, mremap and mprotect. NOVOLATILE discards the markers that it finds, by the page map.
 *
 * Which pages are volatile is noted here, a flag for each page of each process. Which of them may go is asked of the kernel at each purge: a page goes from
 * everybody who has its frame, if it is volatile for all of them and locked by none; frames are those of /proc/self/pagemap, locks those of smaps.
 * Nothing here knows ranges.
 *
 * Reads steps from standard input, `WHO WHAT NUMBERS`, pages counted from the start of the window, and prints one line for each. WHO is the number
 * of a process: 0 at first, a fork names its child. An argument `forget` makes children begin without volatile pages: a mistake for tests to find.
 *
 *   volatile P N, novolatile P N   0, 1 or an error
 *   read P, write P WORD           value WORD, SIGBUS, SIGSEGV; of the first word of the page
 *   copyin P WORD, copyout P       the same by read(2) and write(2): value WORD, or EFAULT
 *   peek P OTHER                   the same page of another process, by process_vm_readv
 *   lock P N, unlock P N           0 or an error
 *   map P N, unmap P N, protect P N PROT, advise P N ADVICE, move P N TO FLAGS, resize P N M
 *   fork CHILD, exit               0
 *   lazy                           kB of lazily freed pages, as smaps counts them
 *   purge                          pages N: so many went
 *
 * Needs root (frames, userfaultfd) and no swap in use for this process.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define BASE 0x200000000000UL
#define PAGE 4096UL
#define PAGES 256
#define PROCESSES 4
#define PRESENT (1ULL << 63)
#define SWAPPED (1ULL << 62)
#define FRAME ((1ULL << 55) - 1)

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef UFFDIO_POISON
struct uffdio_poison { struct uffdio_range range; uint64_t mode; int64_t updated; };
#define UFFDIO_POISON _IOWR(UFFDIO, 0x08, struct uffdio_poison)
#endif
#define FEATURE_POISON (1ULL << 14)

struct command { char what[16]; long a[4]; };
struct reply { char text[48]; };
struct census { uint64_t frame[PAGES]; unsigned char is_volatile[PAGES], is_locked[PAGES]; };

static int to[PROCESSES][2], from[PROCESSES][2];
static unsigned char is_volatile[PAGES];
static pid_t pids[PROCESSES];
static int forgets, uffd, pagemap, pipes[2];
static sigjmp_buf out;
static siginfo_t caught;

static char *at(long page) { return (char *)(BASE + page * PAGE); }

static void die(const char *what)
{
	perror(what);
	_exit(2);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)context;
	caught = *info;
	siglongjmp(out, sig);
}

/* What belongs to a process of its own: its page map and its userfaultfd. */
static void begin(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = FEATURE_POISON };

	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (pagemap < 0 || uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || pipe(pipes))
		die("begin");
}

static void words_of(long page, long pages, uint64_t *words)
{
	if (pread(pagemap, words, pages * 8, (BASE / PAGE + page) * 8) != pages * 8)
		die("pagemap");
}

/* The zero page, by a page that was read and never written. */
static uint64_t zero_frame(void)
{
	static uint64_t frame;
	uint64_t word;
	volatile char *page;

	if (frame)
		return frame;
	page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	(void)*page;
	if (pread(pagemap, &word, 8, (uintptr_t)page / PAGE * 8) != 8)
		die("pagemap");
	munmap((void *)page, PAGE);
	return frame = word & FRAME;
}

static void answer(struct reply *r, long result)
{
	if (result == -1)
		strcpy(r->text, strerrorname_np(errno));
	else
		sprintf(r->text, "%ld", result);
}

static void touch(struct reply *r, long page, int is_write, long word)
{
	volatile uint64_t *p = (volatile uint64_t *)at(page);
	int sig = sigsetjmp(out, 1);

	if (sig) {
		int is_there = (uintptr_t)caught.si_addr / PAGE == (uintptr_t)p / PAGE;

		sprintf(r->text, "%s %d%s", sig == SIGBUS ? "SIGBUS" : "SIGSEGV", caught.si_code, is_there ? "" : " elsewhere");
		return;
	}
	if (is_write)
		*p = word;
	sprintf(r->text, "value %lu", *p);
}

/* The kernel reads (is_out) or writes the page on behalf of the process. */
static void copy(struct reply *r, long page, int is_out, uint64_t word)
{
	ssize_t n;

	if (!is_out && write(pipes[1], &word, 8) != 8)
		die("pipe");
	n = is_out ? write(pipes[1], at(page), 8) : read(pipes[0], at(page), 8);
	if (n == 8 && is_out && read(pipes[0], &word, 8) != 8)
		die("pipe");
	if (n == 8) {
		sprintf(r->text, "value %lu", word);
		return;
	}
	strcpy(r->text, strerrorname_np(errno));
	if (!is_out) {
		/* Some of it may be gone from the pipe, or nothing. */
		close(pipes[0]);
		close(pipes[1]);
		if (pipe(pipes))
			die("pipe");
	}
}

static void peek(struct reply *r, long page, pid_t pid)
{
	uint64_t word = 0;
	struct iovec here = { &word, 8 }, there = { at(page), 8 };

	if (process_vm_readv(pid, &here, 1, &there, 1, 0) == 8)
		sprintf(r->text, "value %lu", word);
	else
		strcpy(r->text, strerrorname_np(errno));
}

static int has_hole(long page, long pages)
{
	unsigned char there[PAGES];

	return mincore(at(page), pages * PAGE, there) != 0;
}

/* Which pages of the window are locked in memory. */
static void locked_pages(unsigned char *is_locked)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	unsigned long start = 0, end = 0, low, high;
	char line[256];

	if (!smaps)
		die("smaps");
	memset(is_locked, 0, PAGES);
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &low, &high) == 2) {
			start = low;
			end = high;
		}
		if (strncmp(line, "VmFlags:", 8) || !strstr(line, " lo") || start < BASE || end > BASE + PAGES * PAGE)
			continue;
		memset(is_locked + (start - BASE) / PAGE, 1, (end - start) / PAGE);
	}
	fclose(smaps);
}

/* Why such a range cannot be marked, the lowest reason first, or NULL. */
static const char *why_not(long page, long pages, int on)
{
	unsigned char is_locked[PAGES];

	if (pages <= 0)
		return "EINVAL";
	if (!on)
		return has_hole(page, pages) ? "ENOMEM" : NULL;
	locked_pages(is_locked);
	for (long i = page; i < page + pages; i++)
		if (has_hole(i, 1) || is_locked[i])
			return is_locked[i] ? "EINVAL" : "ENOMEM";
	return NULL;
}

static void mark(struct reply *r, long page, long pages, int on)
{
	uint64_t words[PAGES];
	long found = 0;

	if (why_not(page, pages, on)) {
		strcpy(r->text, why_not(page, pages, on));
		return;
	}
	words_of(page, pages, words);
	for (long i = 0; i < pages; i++) {
		if (!on && words[i] & SWAPPED) {
			if (madvise(at(page + i), PAGE, MADV_DONTNEED_LOCKED))
				die("a marker that stays");
			found = 1;
		}
		is_volatile[page + i] = on;
	}
	answer(r, found);
}

static void forget_holes(void)
{
	for (long i = 0; i < PAGES; i++)
		if (has_hole(i, 1))
			is_volatile[i] = 0;
}

static void move(struct reply *r, long page, long pages, long dest, long flags)
{
	unsigned char there[PAGES];
	void *came;

	for (long i = 0; i < pages; i++)
		there[i] = !has_hole(page + i, 1);
	came = (void *)syscall(SYS_mremap, at(page), pages * PAGE, pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | flags, at(dest));
	answer(r, came == MAP_FAILED ? -1 : 0);
	/* One that fails in the middle has moved the VMAs before: their place is empty. The two ranges do not overlap then. */
	for (long i = 0; i < pages; i++)
		if (there[i] && (came != MAP_FAILED || has_hole(page + i, 1))) {
			is_volatile[dest + i] = is_volatile[page + i];
			is_volatile[page + i] = 0;
		}
	forget_holes();
}

static void resize(struct reply *r, long page, long pages, long now)
{
	void *came = mremap(at(page), pages * PAGE, now * PAGE, 0);

	answer(r, came == MAP_FAILED ? -1 : 0);
	forget_holes();
}

static void lazy(struct reply *r)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	unsigned long start, end, kb, sum = 0;
	char line[256];
	int is_inside = 0;

	while (smaps && fgets(line, sizeof(line), smaps))
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			is_inside = start >= BASE && end <= BASE + PAGES * PAGE;
		else if (is_inside && sscanf(line, "LazyFree: %lu kB", &kb) == 1)
			sum += kb;
	if (!smaps)
		die("smaps");
	fclose(smaps);
	sprintf(r->text, "%lu", sum);
}

static void poison(const unsigned char *which)
{
	for (long i = 0; i < PAGES; i++) {
		struct uffdio_register reg = { .range = { (uintptr_t)at(i), PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING };
		struct uffdio_poison p = { .range = reg.range };

		if (!which[i])
			continue;
		if (ioctl(uffd, UFFDIO_REGISTER, &reg) || madvise(at(i), PAGE, MADV_DONTNEED) || ioctl(uffd, UFFDIO_POISON, &p) ||
		    ioctl(uffd, UFFDIO_UNREGISTER, &reg.range))
			die("poison");
	}
}

static void take_census(int fd)
{
	static struct census c;
	uint64_t words[PAGES], zero = zero_frame();

	words_of(0, PAGES, words);
	for (long i = 0; i < PAGES; i++) {
		uint64_t frame = words[i] & PRESENT ? words[i] & FRAME : 0;

		c.frame[i] = frame == zero ? 0 : frame;
	}
	memcpy(c.is_volatile, is_volatile, PAGES);
	locked_pages(c.is_locked);
	if (write(fd, &c, sizeof(c)) != sizeof(c))
		die("census");
}

static void serve(int me);

static void carry_out(int me, const struct command *c, struct reply *r)
{
	const char *what = c->what;
	const long *a = c->a;
	unsigned char which[PAGES];

	if (!strcmp(what, "volatile")) mark(r, a[0], a[1], 1);
	else if (!strcmp(what, "novolatile")) mark(r, a[0], a[1], 0);
	else if (!strcmp(what, "read")) touch(r, a[0], 0, 0);
	else if (!strcmp(what, "write")) touch(r, a[0], 1, a[1]);
	else if (!strcmp(what, "copyin")) copy(r, a[0], 0, a[1]);
	else if (!strcmp(what, "copyout")) copy(r, a[0], 1, 0);
	else if (!strcmp(what, "peek")) peek(r, a[0], a[1]);
	else if (!strcmp(what, "map")) {
		answer(r, mmap(at(a[0]), a[1] * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
		memset(is_volatile + a[0], 0, a[1]);
	} else if (!strcmp(what, "unmap")) {
		answer(r, munmap(at(a[0]), a[1] * PAGE));
		memset(is_volatile + a[0], 0, a[1]);
	} else if (!strcmp(what, "protect")) answer(r, mprotect(at(a[0]), a[1] * PAGE, a[2]));
	else if (!strcmp(what, "advise")) answer(r, madvise(at(a[0]), a[1] * PAGE, a[2]));
	else if (!strcmp(what, "move")) move(r, a[0], a[1], a[2], a[3]);
	else if (!strcmp(what, "resize")) resize(r, a[0], a[1], a[2]);
	else if (!strcmp(what, "lock")) answer(r, mlock(at(a[0]), a[1] * PAGE));
	else if (!strcmp(what, "unlock")) answer(r, munlock(at(a[0]), a[1] * PAGE));
	else if (!strcmp(what, "lazy")) lazy(r);
	else if (!strcmp(what, "census")) take_census(from[me][1]);
	else if (!strcmp(what, "poison")) {
		if (read(to[me][0], which, PAGES) != PAGES)
			die("poison");
		poison(which);
	} else if (!strcmp(what, "fork")) {
		pid_t pid = fork();

		if (pid == 0) {
			if (forgets)
				memset(is_volatile, 0, PAGES);
			close(uffd);
			close(pagemap);
			close(pipes[0]);
			close(pipes[1]);
			begin();
			serve(a[0]);
		}
		answer(r, pid);
	} else {
		fprintf(stderr, "vrangePoison: unknown: %s\n", what);
		_exit(2);
	}
}

static void serve(int me)
{
	struct command c;
	struct reply r;

	while (read(to[me][0], &c, sizeof(c)) == sizeof(c)) {
		memset(&r, 0, sizeof(r));
		if (!strcmp(c.what, "exit")) {
			strcpy(r.text, "0");
			if (write(from[me][1], &r, sizeof(r)) != sizeof(r))
				_exit(2);
			_exit(0);
		}
		carry_out(me, &c, &r);
		if (write(from[me][1], &r, sizeof(r)) != sizeof(r))
			_exit(2);
	}
	_exit(0);
}

static void tell(int who, const void *what, size_t bytes)
{
	if (write(to[who][1], what, bytes) != (ssize_t)bytes)
		die("tell");
}

static void hear(int who, void *into, size_t bytes)
{
	for (size_t n = 0; n < bytes;) {
		ssize_t got = read(from[who][0], (char *)into + n, bytes - n);

		if (got <= 0)
			die("hear");
		n += got;
	}
}

static struct reply ask(int who, struct command c)
{
	struct reply r;

	tell(who, &c, sizeof(c));
	hear(who, &r, sizeof(r));
	return r;
}

/* Everybody's pages by frame: one goes if it is volatile for all who have it. */
static long purge(void)
{
	static struct census all[PROCESSES];
	static unsigned char which[PROCESSES][PAGES];
	struct command count = { "census", { 0 } }, go = { "poison", { 0 } };
	struct reply r;
	long pages = 0;

	memset(which, 0, sizeof(which));
	for (int p = 0; p < PROCESSES; p++) {
		memset(&all[p], 0, sizeof(all[p]));
		if (!pids[p])
			continue;
		tell(p, &count, sizeof(count));
		hear(p, &all[p], sizeof(all[p]));
		hear(p, &r, sizeof(r));
	}
	for (int p = 0; p < PROCESSES; p++)
		for (long i = 0; i < PAGES; i++) {
			int stays = 0, is_first = 1;

			if (!all[p].frame[i])
				continue;
			for (int q = 0; q < PROCESSES; q++)
				for (long j = 0; j < PAGES; j++)
					if (all[q].frame[j] == all[p].frame[i]) {
						stays |= !all[q].is_volatile[j] || all[q].is_locked[j];
						is_first &= q > p || (q == p && j >= i);
					}
			which[p][i] = !stays;
			pages += !stays && is_first;
		}
	for (int p = 0; p < PROCESSES; p++)
		if (pids[p]) {
			tell(p, &go, sizeof(go));
			tell(p, which[p], PAGES);
			hear(p, &r, sizeof(r));
		}
	return pages;
}

static void step(char *line)
{
	struct command c = { 0 };
	struct reply r = { 0 };
	int who;

	sscanf(line, "%d %15s %ld %ld %ld %ld", &who, c.what, &c.a[0], &c.a[1], &c.a[2], &c.a[3]);
	if (who < 0 || who >= PROCESSES || !pids[who]) {
		puts("nobody");
		return;
	}
	if (!strcmp(c.what, "purge")) {
		printf("pages %ld\n", purge());
		return;
	}
	if (!strcmp(c.what, "fork") && (c.a[0] <= 0 || c.a[0] >= PROCESSES || pids[c.a[0]])) {
		puts("taken");
		return;
	}
	if (!strcmp(c.what, "peek")) {
		if (c.a[1] < 0 || c.a[1] >= PROCESSES || !pids[c.a[1]]) {
			puts("nobody");
			return;
		}
		c.a[1] = pids[c.a[1]];
	}
	r = ask(who, c);
	if (!strcmp(c.what, "fork")) {
		pids[c.a[0]] = atol(r.text);
		strcpy(r.text, "0");
	}
	if (!strcmp(c.what, "exit"))
		pids[who] = 0;
	puts(r.text);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER };
	static char line[256];

	/* Batches of lazily freed pages are of a CPU. */
	cpu_set_t here;
	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	sched_setaffinity(0, sizeof(here), &here);
	forgets = argc > 1 && !strcmp(argv[1], "forget");
	signal(SIGCHLD, SIG_IGN);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	for (int p = 0; p < PROCESSES; p++)
		if (pipe(to[p]) || pipe(from[p]))
			die("pipe");
	pids[0] = fork();
	if (pids[0] == 0) {
		/* Whoever serves ends with who asks: only he has these ends. */
		for (int p = 0; p < PROCESSES; p++) {
			close(to[p][1]);
			close(from[p][0]);
		}
		begin();
		serve(0);
	}
	while (fgets(line, sizeof(line), stdin))
		step(line);
	for (int p = 0; p < PROCESSES; p++)
		if (pids[p])
			ask(p, (struct command){ "exit", { 0 } });
	return 0;
}
