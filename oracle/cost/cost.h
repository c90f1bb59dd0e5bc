/* SPDX-License-Identifier: MIT */
/*
 * What the programs that measure costs share: a clock that knows of disturbances, samples by name, memory to work in.
 *
 * A sample is the time of a batch, divided by how many there were in it. Where the thread was preempted meanwhile, its CPU time is taken
 * instead of the time that passed. Samples are printed at the end of each group, a line a figure: `NAME sample sample …`.
 */
#ifndef FAULTLINE_COST_H
#define FAULTLINE_COST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

enum { PAGE = 4096, TABLE = 512, HUGE_PAGE = TABLE * PAGE, MANY = 256 };
enum { RW = PROT_READ | PROT_WRITE, PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };

/* Samples of one figure. */
struct series {
	char name[48];
	double samples[MANY];
	int count;
};

/* How much is measured: milliseconds a figure and round, and whether what is long is left out. */
extern int budget_ms;
extern bool is_quick;
/* Set by a signal: everything ends at the next sample. */
extern volatile bool is_stopping;
/* The CPU that measures, and another one; the same where there is only one. */
extern int own_cpu, other_cpu;

/* Finds the samples of a figure, or begins them. */
struct series *series(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Begins to count the time that a loop may take. */
void begin(void);
/* Whether another sample is wanted: at most `most`, at least three, and no more once the time is over. */
bool more(const struct series *s, int most);
void add(struct series *s, double ns);
/* Prints all samples and forgets them. */
void print_samples(void);
/* Says that figures cannot be had here, and why. */
void cannot(const char *names, const char *why);

uint64_t now_ns(void);
/* One stretch of time. */
struct span {
	uint64_t wall, cpu, shared;
	long switches;
};
struct span span_begin(void);
/* Nanoseconds since then without the reading of the clock. */
double span_end(const struct span *s);
/* The same for what waits for another CPU: the time that passed, whoever ran meanwhile. */
double span_passed(const struct span *s);
/* The same for threads and children that take turns on one CPU: what they used together, if others ran in between. */
double span_shared(const struct span *s);

/* Ends the program when a call failed. */
long must(long result, const char *what);
/* Private memory of small pages at a multiple of 2 MiB, with nothing next to it; `unroom` gives it back. */
char *room(size_t len);
/* The same that may have huge pages. */
char *huge_room(size_t len);
void unroom(char *p, size_t len);
/* Makes all pages present. */
void fill(char *p, size_t len);
/* An access to each `step` bytes. */
void write_each(char *p, size_t len, size_t step);
void read_each(char *p, size_t len, size_t step);
/* Megabytes that can be had. */
long free_mib(void);

/* Runs on one CPU only. */
void pin_to(int cpu);

/* userfaultfd: opens one (-1 with a reason when it cannot be had), registers memory (1 missing, 2 write-protect, 4 minor). */
int uffd_open(uint64_t features);
void uffd_register(int fd, void *p, size_t len, uint64_t mode);
long uffd_copy(int fd, void *to, const void *from, size_t len);
long uffd_zero(int fd, void *to, size_t len);
long uffd_continue(int fd, void *to, size_t len);
long uffd_move(int fd, void *to, void *from, size_t len);
long uffd_protect(int fd, void *p, size_t len, bool on);
/* PAGEMAP_SCAN for written pages; returns how many ranges. With `protect` they are protected again. */
long scan_written(int pagemap, void *p, size_t len, bool protect);

/* setup.c: what is changed for the whole machine while this runs. */
bool setup_swap(void);
bool setup_huge_pages(void);
void setup_undo(void);

/* scenario.c */
void run_scenarios(int rounds);

/* Groups. */
void measure_base(void);
void measure_vmas(void);
void measure_many_vmas(void);
void measure_moves(void);
void measure_faults(void);
void measure_huge(void);
void measure_files(void);
void measure_zaps(void);
void measure_inspection(void);
void measure_fork(void);
void measure_uffd(void);
void measure_uffd_faults(void);
void measure_signals(void);
void measure_threads(void);
void measure_swap(void);

#endif
