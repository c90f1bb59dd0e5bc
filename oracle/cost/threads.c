/* SPDX-License-Identifier: MIT */
/* Signals, and what two threads of one process cost each other: flushes of the TLB, and locks. */
#include "cost.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static void discard(char *p, size_t len) { must(madvise(p, len, MADV_DONTNEED), "MADV_DONTNEED"); }

static void on_nothing(int signal) { (void)signal; }
static void on_segv(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	if (mprotect((void *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1)), PAGE, RW) != 0) _exit(9);
}

static void trapped(struct series *s, size_t step)
{
	char *p = room(HUGE_PAGE);

	fill(p, HUGE_PAGE);
	for (begin(); more(s, 80);) {
		mprotect(p, HUGE_PAGE, PROT_NONE);
		struct span t = span_begin();
		write_each(p + PAGE, HUGE_PAGE - PAGE, step);
		add(s, span_end(&t) / (double)((HUGE_PAGE - PAGE + step - 1) / step));
		mprotect(p, HUGE_PAGE, RW);
	}
	unroom(p, HUGE_PAGE);
}

void measure_signals(void)
{
	struct series *self = series("signal_self");
	struct sigaction action = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };

	signal(SIGUSR1, on_nothing);
	for (begin(); more(self, 150);) {
		struct span t = span_begin();
		for (int i = 0; i < 100; i++) syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), SIGUSR1);
		add(self, span_end(&t) / 100);
	}
	sigaction(SIGSEGV, &action, NULL);
	trapped(series("sigsegv_mprotect_seq"), PAGE);
	trapped(series("sigsegv_mprotect_split"), 2 * PAGE);
	signal(SIGSEGV, SIG_DFL);
}

/* ---- a second thread that is asleep, spins, or reads ---- */

enum mood { ALONE, SLEEPING, SPINNING, READING };
static atomic_bool is_over, is_there;
static atomic_ulong rounds_done;
static char *read_here;

static void *companion(void *mood)
{
	enum { READ_PAGES = 256 };

	pin_to(other_cpu);
	atomic_store(&is_there, true);
	for (unsigned long i = 0; !atomic_load(&is_over); i++) {
		if ((enum mood)(uintptr_t)mood == SLEEPING) usleep(50000);
		else if ((enum mood)(uintptr_t)mood == READING) read_each(read_here, READ_PAGES * PAGE, PAGE);
		else atomic_store_explicit(&rounds_done, i, memory_order_relaxed);
	}
	return NULL;
}

static void flushes(enum mood mood, const char *name)
{
	static const int sizes[] = { 1, 16, 64, 512 };
	char *p = room(2 * HUGE_PAGE);
	pthread_t thread;

	fill(p, 2 * HUGE_PAGE);
	read_here = p + HUGE_PAGE;
	atomic_store(&is_over, false);
	atomic_store(&is_there, false);
	if (mood != ALONE) {
		pthread_create(&thread, NULL, companion, (void *)(uintptr_t)mood);
		while (!atomic_load(&is_there)) usleep(100);
	}
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		struct series *drop = series("tlb_dontneed_%d_%s", sizes[k], name), *protect = series("tlb_mprotect_%d_%s", sizes[k], name);
		size_t len = (size_t)sizes[k] * PAGE;
		for (begin(); more(drop, 100);) {
			fill(p, len);
			struct span t = span_begin();
			mprotect(p, len, PROT_READ);
			add(protect, span_end(&t));
			mprotect(p, len, RW);
			t = span_begin();
			discard(p, len);
			add(drop, span_end(&t));
		}
	}
	if (mood != ALONE) {
		atomic_store(&is_over, true);
		pthread_join(thread, NULL);
	}
	unroom(p, 2 * HUGE_PAGE);
}

/* ---- two threads at work ---- */

enum work { NOTHING, FAULTS, MAPS, PROTECTIONS };
struct worker {
	enum work work;
	int cpu;
	char *memory;
	atomic_ulong done;
	pthread_t thread;
};
static atomic_bool may_begin;

static void *work(void *argument)
{
	enum { CALLS = 32 };
	struct worker *w = argument;

	pin_to(w->cpu);
	if (w->work == FAULTS) *(volatile char *)w->memory = 1;
	while (!atomic_load(&may_begin)) __builtin_ia32_pause();
	while (!atomic_load(&is_over)) {
		if (w->work == FAULTS) {
			write_each(w->memory + PAGE, HUGE_PAGE - PAGE, PAGE);
			discard(w->memory + PAGE, HUGE_PAGE - PAGE);
			atomic_fetch_add(&w->done, TABLE - 1);
			continue;
		}
		for (int i = 0; i < CALLS; i++) {
			if (w->work == MAPS) munmap(mmap(NULL, PAGE, PROT_READ, PRIVATE, -1, 0), PAGE);
			else mprotect(w->memory, PAGE, i & 1 ? RW : PROT_READ);
		}
		atomic_fetch_add(&w->done, CALLS);
	}
	return NULL;
}

/* Both for a while; nanoseconds for one thing that a thread does. Figures of two threads end in _a and _b. */
static void together(const char *name, enum work a, enum work b, bool in_one_vma)
{
	enum { WHILE_US = 12000, TIMES = 20 };
	struct series *first = b == NOTHING ? series("%s", name) : series("%s_a", name), *second = b == NOTHING ? NULL : series("%s_b", name);
	char *both = room(2 * HUGE_PAGE), *own = room(HUGE_PAGE);

	for (begin(); more(first, TIMES);) {
		struct worker w[2] = {
			{ .work = a, .cpu = own_cpu, .memory = both },
			{ .work = b, .cpu = other_cpu, .memory = in_one_vma ? both + HUGE_PAGE : own },
		};
		int nr = b == NOTHING ? 1 : 2;
		atomic_store(&is_over, false);
		atomic_store(&may_begin, false);
		for (int i = 0; i < nr; i++) pthread_create(&w[i].thread, NULL, work, &w[i]);
		usleep(300);
		uint64_t began = now_ns();
		atomic_store(&may_begin, true);
		usleep(WHILE_US);
		atomic_store(&is_over, true);
		for (int i = 0; i < nr; i++) pthread_join(w[i].thread, NULL);
		double ns = (double)(now_ns() - began);
		if (atomic_load(&w[0].done) == 0 || (nr == 2 && atomic_load(&w[1].done) == 0)) continue;
		add(first, ns / (double)atomic_load(&w[0].done));
		if (nr == 2) add(second, ns / (double)atomic_load(&w[1].done));
	}
	unroom(both, 2 * HUGE_PAGE);
	unroom(own, HUGE_PAGE);
}

void measure_threads(void)
{
	flushes(ALONE, "alone");
	if (other_cpu == own_cpu) {
		cannot("thr tlb", "there is one CPU");
		return;
	}
	flushes(SLEEPING, "sleeping");
	flushes(SPINNING, "spinning");
	flushes(READING, "reading");
	together("thr_fault_1", FAULTS, NOTHING, false);
	together("thr_fault_2", FAULTS, FAULTS, false);
	together("thr_fault_2_same_vma", FAULTS, FAULTS, true);
	together("thr_mmap_1", MAPS, NOTHING, false);
	together("thr_mmap_2", MAPS, MAPS, false);
	together("thr_mprotect_1", PROTECTIONS, NOTHING, false);
	together("thr_mprotect_2", PROTECTIONS, PROTECTIONS, false);
	together("thr_fault_vs_mmap", FAULTS, MAPS, false);
	together("thr_fault_vs_mprotect", FAULTS, PROTECTIONS, false);
}
