/* SPDX-License-Identifier: MIT */
/* The clock, the samples, and memory to work in: cost.h. */
#include "cost.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { FIGURES = 400, LEAST = 3 };

int budget_ms = 60, own_cpu, other_cpu;
bool is_quick;
volatile bool is_stopping;

static struct series figures[FIGURES];
static int nr_figures;
static uint64_t loop_began;

struct series *series(const char *format, ...)
{
	char name[sizeof(figures[0].name)];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	for (int i = 0; i < nr_figures; i++)
		if (strcmp(figures[i].name, name) == 0) return &figures[i];
	if (nr_figures == FIGURES) abort();
	strcpy(figures[nr_figures].name, name);
	return &figures[nr_figures++];
}

void begin(void) { loop_began = now_ns(); }

bool more(const struct series *s, int most)
{
	if (is_stopping || s->count >= most || s->count >= MANY) return false;
	return s->count < LEAST || now_ns() - loop_began < budget_ms * 1000000ull;
}

void add(struct series *s, double ns)
{
	if (s->count < MANY && !is_stopping) s->samples[s->count++] = ns;
}

void print_samples(void)
{
	for (int i = 0; i < nr_figures; i++) {
		struct series *s = &figures[i];
		if (s->count == 0) continue;
		printf("%s", s->name);
		for (int k = 0; k < s->count; k++) printf(" %.6g", s->samples[k]);
		printf("\n");
		s->count = 0;
	}
	fflush(stdout);
	nr_figures = 0;
}

void cannot(const char *names, const char *why)
{
	printf("cannot %s: %s\n", names, why);
	fflush(stdout);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
uint64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

static long switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw;
}

/* CPU time of all threads of this process and of the children that it waited for. */
static uint64_t shared_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	uint64_t children = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000u + (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID) + children * 1000u;
}

/* What reading the clocks adds to a stretch: the least that an empty one takes. */
static double empty_wall, empty_cpu;

static void learn_empty(void)
{
	empty_wall = empty_cpu = 1e9;
	for (int i = 0; i < 200; i++) {
		uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID), wall = now_ns();
		double passed = (double)(now_ns() - wall), used = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu);
		if (passed < empty_wall) empty_wall = passed;
		if (used < empty_cpu) empty_cpu = used;
	}
}

struct span span_begin(void)
{
	struct span s;

	if (empty_wall == 0) learn_empty();
	s.switches = switches();
	s.shared = shared_ns();
	s.cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	s.wall = now_ns();
	return s;
}

double span_passed(const struct span *s)
{
	double ns = (double)(now_ns() - s->wall) - empty_wall;

	return ns > 0 ? ns : 0;
}

double span_shared(const struct span *s)
{
	double passed = span_passed(s), used = (double)(shared_ns() - s->shared);

	return used > 0 && used < passed ? used : passed;
}

double span_end(const struct span *s)
{
	double passed = span_passed(s);
	double used = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - s->cpu) - empty_cpu;

	return switches() != s->switches && used > 0 ? used : passed;
}

long must(long result, const char *what)
{
	if (result == -1) {
		fflush(stdout);
		perror(what);
		setup_undo();
		exit(1);
	}
	return result;
}

/* Memory on both sides that cannot be touched keeps neighbours away, and what is in it from merging. */
static char *apart(size_t len)
{
	size_t all = len + 2 * (size_t)HUGE_PAGE;
	char *p = mmap(NULL, all, PROT_NONE, PRIVATE, -1, 0);

	must((long)p, "mmap");
	char *at = (char *)(((uintptr_t)p + 2 * HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
	must(munmap(p, at - p), "munmap");
	must(munmap(at + len, p + all - (at + len)), "munmap");
	must(mprotect(at, len, RW), "mprotect");
	return at;
}
char *room(size_t len)
{
	char *p = apart(len);

	must(madvise(p, len, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE");
	return p;
}
char *huge_room(size_t len)
{
	char *p = apart(len);

	must(madvise(p, len, MADV_HUGEPAGE), "MADV_HUGEPAGE");
	return p;
}
void unroom(char *p, size_t len) { must(munmap(p, len), "munmap"); }
void fill(char *p, size_t len) { must(madvise(p, len, MADV_POPULATE_WRITE), "MADV_POPULATE_WRITE"); }

void write_each(char *p, size_t len, size_t step)
{
	for (size_t at = 0; at < len; at += step) *(volatile char *)(p + at) = 1;
}
void read_each(char *p, size_t len, size_t step)
{
	for (size_t at = 0; at < len; at += step) (void)*(volatile char *)(p + at);
}

long free_mib(void)
{
	char line[128];
	long kib = 0;
	FILE *info = fopen("/proc/meminfo", "r");

	while (info && fgets(line, sizeof(line), info))
		if (sscanf(line, "MemAvailable: %ld", &kib) == 1) break;
	if (info) fclose(info);
	return kib / 1024;
}

void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}
