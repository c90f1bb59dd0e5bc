/* SPDX-License-Identifier: MIT */
/*
 * Seed 002 on the running kernel: what a buffer costs that is given back and used again, and fork with empty page tables (seed 003).
 *
 *   freeBuffers records CHUNKS PURGE THREADS MS RUNS   threads copy one of CHUNKS chunks of 512 KiB, at random, into a buffer of their own, find a record in it by
 *                                                      bisection and give the buffer back in the way PURGE; prints records a second of CPU time and faults in
 *                                                      100 records, of the run in which that is most
 *   freeBuffers fork TABLES WAY RUNS                   a page of each 2 MiB is written and given back, page by page (WAY none), or all again by one call (WAY
 *                                                      call); prints microseconds of CPU time of fork and VmPTE in KiB, of the
 *                                                      fastest run
 *
 * PURGE: none dontneed free munmap, or two calls that stand for vrange: syscall (an empty one), read-lock (mincore of a page), vma-flag (DONTDUMP, DODUMP).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIZE (512UL << 10)
#define WORDS (SIZE / 8)
#define PAGE 4096UL
#define TABLE (512 * PAGE)
#define MOST_THREADS 64

enum purge { NONE, DONTNEED, FREE, MUNMAP, SYSCALL, READ_LOCK, VMA_FLAG };
static const char *const NAMES[] = { "none", "dontneed", "free", "munmap", "syscall", "read-lock", "vma-flag" };

struct worker {
	pthread_t thread;
	uint64_t records, cpu_ns, faults;
	uint32_t seed;
	void *buffer;
};
static enum purge purge;
static uint64_t **chunks;
static unsigned nr_chunks;
static volatile int go;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}
static void *map(size_t len)
{
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED) fail("mmap");
	return at;
}
static uint64_t ns_of(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}
static uint64_t faults_of_thread(void)
{
	struct rusage used;

	getrusage(RUSAGE_THREAD, &used);
	return used.ru_minflt;
}

static void *take(void *buffer)
{
	unsigned char resident;

	switch (purge) {
	case MUNMAP: return map(SIZE);
	case SYSCALL: syscall(SYS_getppid); break;
	case READ_LOCK: mincore(buffer, PAGE, &resident); break;
	case VMA_FLAG: madvise(buffer, SIZE, MADV_DODUMP); break;
	default: break;
	}
	return buffer;
}
static void give_back(void *buffer)
{
	unsigned char resident;

	switch (purge) {
	case NONE: break;
	case DONTNEED: madvise(buffer, SIZE, MADV_DONTNEED); break;
	case FREE: madvise(buffer, SIZE, MADV_FREE); break;
	case MUNMAP: munmap(buffer, SIZE); break;
	case SYSCALL: syscall(SYS_getppid); break;
	case READ_LOCK: mincore(buffer, PAGE, &resident); break;
	case VMA_FLAG: madvise(buffer, SIZE, MADV_DONTDUMP); break;
	}
}
static uint32_t next(uint32_t *state)
{
	*state = *state * 1103515245U + 12345U;
	return *state >> 8;
}
static void record(void **buffer, uint32_t *state)
{
	uint64_t *at, key = next(state) % WORDS, low = 0, high = WORDS;

	*buffer = take(*buffer);
	at = *buffer;
	memcpy(at, chunks[next(state) % nr_chunks], SIZE);
	while (low < high) {
		uint64_t middle = (low + high) / 2;

		if (at[middle] < key) low = middle + 1;
		else high = middle;
	}
	if (at[low] != key) {
		fprintf(stderr, "key %lu is not found\n", (unsigned long)key);
		exit(1);
	}
	give_back(at);
}
static void *work(void *arg)
{
	struct worker *w = arg;
	void *buffer = w->buffer;
	uint64_t cpu, faults;

	record(&buffer, &w->seed);
	while (!go) sched_yield();
	cpu = ns_of(CLOCK_THREAD_CPUTIME_ID);
	faults = faults_of_thread();
	while (go == 1) {
		record(&buffer, &w->seed);
		w->records++;
	}
	w->cpu_ns = ns_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
	w->faults = faults_of_thread() - faults;
	if (purge != MUNMAP) munmap(buffer, SIZE);
	return NULL;
}
static void records(int nr_threads, unsigned ms, int runs)
{
	struct worker workers[MOST_THREADS];
	uint64_t best = 0, faults = 0;

	for (int run = 0; run < runs; run++) {
		uint64_t all = 0, cpu = 0, taken = 0;

		memset(workers, 0, sizeof workers);
		go = 0;
		/* Before there are stacks of threads: side by side, in one vma with the chunks. So each is cut out of it when a flag of it changes. */
		for (int i = 0; i < nr_threads && purge != MUNMAP; i++) workers[i].buffer = map(SIZE);
		for (int i = 0; i < nr_threads; i++) {
			workers[i].seed = 7 + run * MOST_THREADS + i;
			if (pthread_create(&workers[i].thread, NULL, work, &workers[i])) fail("pthread_create");
		}
		usleep(20000);
		go = 1;
		usleep(ms * 1000);
		go = 2;
		for (int i = 0; i < nr_threads; i++) {
			pthread_join(workers[i].thread, NULL);
			all += workers[i].records;
			cpu += workers[i].cpu_ns;
			taken += workers[i].faults;
		}
		if (cpu == 0 || all == 0 || all * 1000000000ULL / cpu < best) continue;
		best = all * 1000000000ULL / cpu;
		faults = 100 * taken / all;
	}
	printf("%lu %lu\n", (unsigned long)best, (unsigned long)faults);
}

static unsigned long vm_pte(void)
{
	char line[256];
	unsigned long kib = 0;
	FILE *status = fopen("/proc/self/status", "r");

	if (!status) fail("/proc/self/status");
	while (fgets(line, sizeof line, status))
		if (sscanf(line, "VmPTE: %lu", &kib) == 1) break;
	fclose(status);
	return kib;
}
static void forks(unsigned long tables, int covers, int runs)
{
	char *area = map((tables + 1) * TABLE);
	uint64_t best = ~0ULL;

	area = (char *)(((uintptr_t)area + TABLE - 1) & ~(TABLE - 1));
	madvise(area, tables * TABLE, MADV_NOHUGEPAGE);
	for (unsigned long i = 0; i < tables; i++) {
		area[i * TABLE] = 1;
		madvise(area + i * TABLE, PAGE, MADV_DONTNEED);
	}
	if (covers) madvise(area, tables * TABLE, MADV_DONTNEED);
	for (int run = 0; run < runs; run++) {
		uint64_t start = ns_of(CLOCK_THREAD_CPUTIME_ID), ns;
		pid_t child = fork();

		if (child == 0) _exit(0);
		ns = ns_of(CLOCK_THREAD_CPUTIME_ID) - start;
		if (child < 0) fail("fork");
		waitpid(child, NULL, 0);
		if (ns < best) best = ns;
	}
	printf("%lu %lu\n", (unsigned long)(best / 1000), vm_pte());
}

int main(int argc, char **argv)
{
	/* As what measures prices does: allowed to root only, elsewhere it is disturbed more often. */
	setpriority(PRIO_PROCESS, 0, -15);
	if (argc == 5 && !strcmp(argv[1], "fork")) {
		forks(strtoul(argv[2], NULL, 10), !strcmp(argv[3], "call"), atoi(argv[4]));
		return 0;
	}
	if (argc != 7 || strcmp(argv[1], "records")) {
		fprintf(stderr, "usage: see the head of freeBuffers.c\n");
		return 2;
	}
	nr_chunks = strtoul(argv[2], NULL, 10);
	for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
		if (!strcmp(argv[3], NAMES[i])) purge = i;
	chunks = calloc(nr_chunks, sizeof *chunks);
	for (unsigned i = 0; i < nr_chunks; i++) {
		chunks[i] = map(SIZE);
		for (uint64_t j = 0; j < WORDS; j++) chunks[i][j] = j;
	}
	records(atoi(argv[4]), atoi(argv[5]), atoi(argv[6]));
	return 0;
}
