/* SPDX-License-Identifier: MIT */
/*
 * Seed 000 on the running kernel: one concurrent compaction of a heap, as src/experiments/compaction.ts describes it.
 *
 *   compaction MODE ACCESS PAGES BATCH THREADS RUNS
 *       MODE     protnone, copy, continue or move
 *       ACCESS   random, random-read or sequential (the application faults on every page), or collector (THREADS of them, BATCH pages at a time)
 *       PAGES    of the heap: half dense, half fragmented
 *
 * Prints nanoseconds of arming, running and finishing (of the run whose sum is the median), minor faults, pages given back, and how many vmas more
 * there were at the most of 32 looks. Each run is a process of its own; every page of the result is looked at.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, WORDS = PAGE / 8, LINES = 64, OBJECT = 256, OBJECTS = PAGE / OBJECT, MOST_BATCH = 64, MOST_THREADS = 16, MOST_RUNS = 16, LOOKS = 32 };

/* UFFDIO_MOVE and the features around it are younger than many headers. */
struct move {
	uint64_t dst, src, len, mode;
	int64_t move;
};
#define MOVE _IOWR(0xAA, 0x05, struct move)
#define FEATURE_MINOR_SHMEM (1UL << 10)
#define FEATURE_MOVE (1UL << 16)

enum mode { PROTNONE, COPY, CONTINUE, MOVE_PAGES, MODES };
static const char *const mode_names[MODES] = { "protnone", "copy", "continue", "move" };
enum access { RANDOM, RANDOM_READ, SEQUENTIAL, COLLECTOR, ACCESSES };
static const char *const access_names[ACCESSES] = { "random", "random-read", "sequential", "collector" };

struct result {
	uint64_t arm, run, finish, minor_faults, given_back, more_vmas;
};

/* Who produces pages has a buffer to gather them in and, where pages are moved, a pile of such as may be filled. */
struct producer {
	char *buffer;
	char **pile;
	size_t piled;
	unsigned nr;
};

static enum mode mode;
static enum access access_kind;
static size_t pages, dense, targets, batch, nr_threads;
static char *heap, *back, *fragments;
static int uffd = -1;
static struct producer producers[MOST_THREADS];

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	_exit(1);
}
/* Time of this process, which others that run meanwhile do not lengthen; with several threads the time that passes. */
static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(nr_threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000UL + t.tv_nsec;
}
static uint64_t minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}
static uint64_t vmas(void)
{
	static char text[4 * PAGE];
	uint64_t lines = 0;
	int fd = open("/proc/self/maps", O_RDONLY);
	ssize_t n;

	if (fd < 0) fail("/proc/self/maps");
	while ((n = read(fd, text, sizeof text)) > 0)
		for (ssize_t i = 0; i < n; i++) lines += text[i] == '\n';
	close(fd);
	return lines;
}
static bool is_file(void) { return mode == PROTNONE || mode == CONTINUE; }

static char *map(size_t bytes, int fd)
{
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

	if (at == MAP_FAILED) fail("mmap");
	if (fd < 0) madvise(at, bytes, MADV_NOHUGEPAGE);
	return at;
}
static void advise(char *at, size_t bytes, int advice)
{
	if (madvise(at, bytes, advice)) fail("madvise");
}
static uint64_t pages_in(char *at, size_t bytes)
{
	unsigned char *in = malloc(bytes / PAGE);
	uint64_t n = 0;

	if (in == NULL || mincore(at, bytes, in)) fail("mincore");
	for (size_t i = 0; i < bytes / PAGE; i++) n += in[i] & 1;
	free(in);
	return n;
}
static void protect(char *at, size_t bytes, int prot)
{
	if (mprotect(at, bytes, prot)) fail("mprotect");
}

/* The first word of every page is its number; the rest of its lines hold something, too. */
static void mark(char *at, size_t count, uint64_t first)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t line = 0; line < LINES; line++) ((uint64_t *)(at + i * PAGE))[line * WORDS / LINES] = line;
		*(uint64_t *)(at + i * PAGE) = first + i;
	}
}

static void fill(void)
{
	if (is_file()) {
		size_t bytes = (targets + pages / 2) * PAGE;
		int fd = memfd_create("heap", MFD_CLOEXEC);

		if (fd < 0 || ftruncate(fd, bytes)) fail("memfd_create");
		heap = map(targets * PAGE, fd);
		back = map(bytes, fd);
		fragments = back + targets * PAGE;
		mark(heap, dense, 0);
		for (size_t i = 0; i < dense; i++) (void)*(volatile char *)(back + i * PAGE);
	} else {
		heap = map(pages * PAGE, -1);
		back = map(pages * PAGE, -1);
		fragments = back + dense * PAGE;
		mark(heap, pages, 0);
	}
	if (is_file()) mark(fragments, pages / 2, dense);
	for (unsigned i = 0; i < nr_threads; i++) {
		struct producer *p = &producers[i];

		p->nr = i;
		p->buffer = map(MOST_BATCH * PAGE, -1);
		memset(p->buffer, 1, MOST_BATCH * PAGE);
		p->pile = malloc((pages + MOST_BATCH) * sizeof *p->pile);
		if (p->pile == NULL) fail("malloc");
		memset(p->pile, 1, (pages + MOST_BATCH) * sizeof *p->pile); /* no faults later */
		char *spare = map(MOST_BATCH * PAGE, -1);
		memset(spare, 1, MOST_BATCH * PAGE);
		for (p->piled = 0; p->piled < MOST_BATCH; p->piled++) p->pile[p->piled] = spare + p->piled * PAGE;
	}
}

static void watch(size_t bytes, int how)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_MISSING_SHMEM | FEATURE_MINOR_SHMEM | FEATURE_MOVE };
	struct uffdio_register r = { .range = { (uintptr_t)heap, bytes }, .mode = how };

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &r)) fail("userfaultfd");
}

static void arm(void)
{
	if (mode == PROTNONE) protect(heap, targets * PAGE, PROT_NONE);
	else if (mode == CONTINUE) {
		advise(heap, targets * PAGE, MADV_DONTNEED);
		watch(targets * PAGE, UFFDIO_REGISTER_MODE_MISSING | 1 << 2 /* MINOR */);
	} else {
		if (mremap(heap, pages * PAGE, pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, back) == MAP_FAILED) fail("mremap");
		watch(pages * PAGE, UFFDIO_REGISTER_MODE_MISSING);
	}
}

static void update(char *page)
{
	for (size_t line = 0; line < LINES; line++) ((volatile uint64_t *)page)[line * WORDS / LINES] += 1;
}
static void gather(char *page, size_t target)
{
	char *from = fragments + 2 * (target - dense) * PAGE;

	for (int i = 0; i < OBJECTS; i++) memcpy(page + i * OBJECT, from + 2 * i * OBJECT, OBJECT);
}

static void hand_over(size_t target, char *source, size_t count)
{
	char *at = heap + target * PAGE;
	struct uffdio_copy copy = { .dst = (uintptr_t)at, .src = (uintptr_t)source, .len = count * PAGE };
	struct move move = { .dst = copy.dst, .src = copy.src, .len = copy.len };
	struct { struct uffdio_range range; uint64_t mode; int64_t mapped; } map_it = { { copy.dst, copy.len }, 0, 0 };

	if (mode == PROTNONE) protect(at, count * PAGE, PROT_READ | PROT_WRITE);
	else if (mode == COPY ? ioctl(uffd, UFFDIO_COPY, &copy) : mode == CONTINUE ? ioctl(uffd, _IOWR(0xAA, 0x07, map_it), &map_it) : ioctl(uffd, MOVE, &move))
		fail(mode_names[mode]);
}

/* All of them dense or all gathered. */
static void produce(struct producer *p, size_t target, size_t count)
{
	bool is_dense = target < dense;
	char *source = back + target * PAGE;

	if (!is_dense && mode == COPY) source = p->buffer;
	/* The newest ones, which lie side by side. */
	if (!is_dense && mode == MOVE_PAGES) source = p->pile[p->piled -= count];
	for (size_t i = 0; i < count; i++)
		if (is_dense) update(source + i * PAGE);
		else gather(source + i * PAGE, target + i);
	hand_over(target, source, count);
	if (is_dense || mode != MOVE_PAGES) return;
	for (size_t i = 0; i < 2 * count; i++) p->pile[p->piled++] = fragments + (2 * (target - dense) + i) * PAGE;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	produce(&producers[0], ((char *)info->si_addr - heap) / PAGE, 1);
}

static size_t *shuffled(void)
{
	size_t *order = malloc(targets * sizeof *order);
	uint32_t seed = 7;

	if (order == NULL) fail("malloc");
	for (size_t i = 0; i < targets; i++) order[i] = i;
	for (size_t i = targets - 1; access_kind != SEQUENTIAL && i > 0; i--) {
		seed = seed * 1103515245 + 12345;
		size_t j = (seed >> 4) % (i + 1), of = order[i];
		order[i] = order[j];
		order[j] = of;
	}
	return order;
}

static uint64_t mutate(const size_t *order, uint64_t *looking)
{
	uint64_t most = 0;

	for (size_t i = 0; i < targets; i++) {
		volatile uint64_t *word = (volatile uint64_t *)(heap + order[i] * PAGE) + 1;
		if (access_kind == RANDOM_READ) (void)*word;
		else *word = 1;
		if (i % (targets / LOOKS) == 0) {
			uint64_t begun = now(), n = vmas();
			if (n > most) most = n;
			*looking += now() - begun;
		}
	}
	return most;
}

static size_t share(size_t from, size_t to, size_t nr)
{
	return nr == nr_threads ? to : from + (to - from) / batch * nr / nr_threads * batch;
}
static void *collect(void *of)
{
	struct producer *p = of;
	const size_t parts[2][2] = { { 0, dense }, { dense, targets } };

	for (int part = 0; part < 2; part++) {
		size_t end = share(parts[part][0], parts[part][1], p->nr + 1);
		for (size_t at = share(parts[part][0], parts[part][1], p->nr); at < end; at += batch)
			produce(p, at, end - at < batch ? end - at : batch);
	}
	return NULL;
}

static void finish(void)
{
	if (is_file()) advise(fragments, pages / 2 * PAGE, MADV_REMOVE);
	else advise(back, pages * PAGE, MADV_DONTNEED);
	if (mode == PROTNONE) protect(heap, targets * PAGE, PROT_READ | PROT_WRITE);
}

static void check(void)
{
	for (size_t i = 0; i < targets; i++)
		if (*(uint64_t *)(heap + i * PAGE) != (i < dense ? i + 1 : dense + 2 * (i - dense))) {
			fprintf(stderr, "page %zu holds %lu\n", i, *(uint64_t *)(heap + i * PAGE));
			_exit(1);
		}
}

static void size(size_t nr_pages)
{
	pages = nr_pages;
	dense = pages / 2;
	targets = dense + pages / 4;
}

static struct result one_run(void)
{
	pthread_t threads[MOST_THREADS];
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	struct result r = { 0 };
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(sched_getcpu(), &first);
	if (nr_threads == 1) sched_setaffinity(0, sizeof first, &first);
	fill();
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	size_t *order = shuffled();
	uint64_t before = vmas(), most = before, given_back = mode == CONTINUE ? pages_in(heap, targets * PAGE) : 0;
	uint64_t looking = 0, faults = minor_faults(), t0 = now();

	arm();
	uint64_t t1 = now();
	if (access_kind == COLLECTOR) {
		for (unsigned i = 1; i < nr_threads; i++)
			if (pthread_create(&threads[i], NULL, collect, &producers[i])) fail("pthread_create");
		collect(&producers[0]);
		for (unsigned i = 1; i < nr_threads; i++) pthread_join(threads[i], NULL);
	} else most = mutate(order, &looking);
	uint64_t t2 = now();
	r.minor_faults = minor_faults() - faults;
	given_back += is_file() ? pages_in(fragments, pages / 2 * PAGE) : pages_in(back, pages * PAGE);
	uint64_t t3 = now();
	finish();
	uint64_t t4 = now();

	check();
	r = (struct result){ t1 - t0, t2 - t1 - looking, t4 - t3, r.minor_faults, given_back, most > before ? most - before : 0 };
	munmap(heap, (is_file() ? targets : pages) * PAGE);
	munmap(back, is_file() ? (targets + pages / 2) * PAGE : pages * PAGE);
	if (uffd >= 0) close(uffd);
	uffd = -1;
	free(order);
	return r;
}

static int by_sum(const void *a, const void *b)
{
	const struct result *x = a, *y = b;
	uint64_t one = x->arm + x->run + x->finish, other = y->arm + y->run + y->finish;

	return (one > other) - (one < other);
}
static int named(const char *name, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(name, names[i])) return i;
	fprintf(stderr, "%s: not known\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	struct result *results = mmap(NULL, sizeof(struct result) * MOST_RUNS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int runs = argc == 7 ? atoi(argv[6]) : 0;

	if (runs < 1 || runs > MOST_RUNS || results == MAP_FAILED) {
		fprintf(stderr, "usage: compaction MODE ACCESS PAGES BATCH THREADS RUNS\n");
		return 2;
	}
	mode = named(argv[1], mode_names, MODES);
	access_kind = named(argv[2], access_names, ACCESSES);
	size_t nr_pages = strtoul(argv[3], NULL, 10);
	batch = strtoul(argv[4], NULL, 10);
	nr_threads = strtoul(argv[5], NULL, 10);
	if (nr_pages < 512 || nr_pages % 512 || batch < 1 || batch > MOST_BATCH || nr_threads < 1 || nr_threads > MOST_THREADS) return 2;
	for (int i = 0; i < runs; i++) {
		pid_t pid = fork();
		int status;

		if (pid < 0) fail("fork");
		if (pid == 0) {
			/* A small one first, so that no code of ours is met for the first time later. */
			size(512);
			one_run();
			size(nr_pages);
			results[i] = one_run();
			_exit(0);
		}
		if (waitpid(pid, &status, 0) != pid || status != 0) return 1;
	}
	qsort(results, runs, sizeof *results, by_sum);
	const struct result *r = &results[runs / 2];
	printf("%lu %lu %lu %lu %lu %lu\n", r->arm, r->run, r->finish, r->minor_faults, r->given_back, r->more_vmas);
	return 0;
}
