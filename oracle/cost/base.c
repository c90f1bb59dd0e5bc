/* SPDX-License-Identifier: MIT */
/* Entering the kernel, moving data, changing from one thread to another. */
#include "cost.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CALLS = 1000, BLOCK = 64, DATA = 128 << 20 };

#define BARRIER() __asm__ volatile("" ::: "memory")

static long futex(atomic_uint *word, int op, unsigned value)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void calls(void)
{
	struct series *null = series("syscall_null"), *timer = series("timer_read"), *wake = series("futex_wake_nobody");
	static atomic_uint word;

	for (begin(); more(null, 200);) {
		struct span s = span_begin();
		for (int i = 0; i < CALLS; i++) syscall(SYS_getppid);
		add(null, span_end(&s) / CALLS);
		s = span_begin();
		for (int i = 0; i < CALLS; i++) now_ns();
		add(timer, span_end(&s) / CALLS);
		s = span_begin();
		for (int i = 0; i < CALLS; i++) futex(&word, FUTEX_WAKE, 1);
		add(wake, span_end(&s) / CALLS);
	}
}

/* A block of pages cleared or copied: always the same page, or ever further on. */
static void data(struct series *s, char *to, const char *from, bool is_hot)
{
	size_t at = 0;

	for (begin(); more(s, 200); at = (at + (size_t)BLOCK * PAGE) % DATA) {
		struct span t = span_begin();
		for (size_t i = 0; i < BLOCK; i++) {
			size_t off = is_hot ? 0 : at + i * PAGE;
			if (from) memcpy(to + off, from + off, PAGE);
			else memset(to + off, 0, PAGE);
			BARRIER();
		}
		add(s, span_end(&t) / BLOCK);
	}
}

static void huge_clear(void)
{
	struct series *s = series("clear_2m_cold");
	char *p = huge_room(DATA);
	size_t at = 0;

	fill(p, DATA);
	for (begin(); more(s, 64); at = (at + HUGE_PAGE) % DATA) {
		struct span t = span_begin();
		memset(p + at, 0, HUGE_PAGE);
		BARRIER();
		add(s, span_end(&t));
	}
	unroom(p, DATA);
}

/* Two threads that hand a turn to each other. */
static struct {
	int there[2], back[2], cpu;
	atomic_uint turn;
	atomic_bool is_over;
} game;
enum { TURNS = 50 };

static void *pipe_partner(void *unused)
{
	char byte;

	(void)unused;
	pin_to(game.cpu);
	while (read(game.there[0], &byte, 1) == 1 && byte != 'q')
		if (write(game.back[1], &byte, 1) != 1) break;
	return NULL;
}

static void by_pipe(struct series *s, int cpu)
{
	pthread_t partner;
	char byte = 't';

	must(pipe(game.there) | pipe(game.back), "pipe");
	game.cpu = cpu;
	pthread_create(&partner, NULL, pipe_partner, NULL);
	for (begin(); more(s, 100);) {
		struct span t = span_begin();
		for (int i = 0; i < TURNS; i++) must(write(game.there[1], &byte, 1) == 1 && read(game.back[0], &byte, 1) == 1 ? 0 : -1, "pipe");
		add(s, (cpu == own_cpu ? span_shared(&t) : span_passed(&t)) / (2 * TURNS));
	}
	byte = 'q';
	must(write(game.there[1], &byte, 1), "pipe");
	pthread_join(partner, NULL);
	for (int i = 0; i < 2; i++) close(game.there[i]), close(game.back[i]);
}

static void *futex_partner(void *unused)
{
	(void)unused;
	pin_to(game.cpu);
	while (!atomic_load(&game.is_over)) {
		if (atomic_load(&game.turn) == 0) {
			futex(&game.turn, FUTEX_WAIT, 0);
			continue;
		}
		atomic_store(&game.turn, 0);
		futex(&game.turn, FUTEX_WAKE, 1);
	}
	return NULL;
}

/* With `call` one sees what waking alone costs who wakes: the partner has long been asleep. */
static void by_futex(struct series *s, int cpu, struct series *call)
{
	pthread_t partner;

	atomic_store(&game.turn, 0);
	atomic_store(&game.is_over, false);
	game.cpu = cpu;
	pthread_create(&partner, NULL, futex_partner, NULL);
	usleep(2000);
	for (begin(); more(s, 100);) {
		struct span t = span_begin();
		for (int i = 0; i < TURNS; i++) {
			atomic_store(&game.turn, 1);
			futex(&game.turn, FUTEX_WAKE, 1);
			while (atomic_load(&game.turn) == 1) futex(&game.turn, FUTEX_WAIT, 1);
		}
		add(s, (cpu == own_cpu ? span_shared(&t) : span_passed(&t)) / (2 * TURNS));
	}
	for (begin(); call && more(call, 40);) {
		usleep(500);
		atomic_store(&game.turn, 1);
		struct span t = span_begin();
		futex(&game.turn, FUTEX_WAKE, 1);
		add(call, span_end(&t));
		while (atomic_load(&game.turn) == 1) futex(&game.turn, FUTEX_WAIT, 1);
	}
	atomic_store(&game.is_over, true);
	atomic_store(&game.turn, 1);
	futex(&game.turn, FUTEX_WAKE, 1);
	pthread_join(partner, NULL);
}

void measure_base(void)
{
	char *p = room(DATA), *q = room(DATA);

	calls();
	fill(p, DATA);
	fill(q, DATA);
	data(series("clear_4k_hot"), p, NULL, true);
	data(series("clear_4k_cold"), p, NULL, false);
	data(series("copy_4k_hot"), p, q, true);
	data(series("copy_4k_cold"), p, q, false);
	unroom(p, DATA);
	unroom(q, DATA);
	huge_clear();
	by_pipe(series("switch_pipe_same_cpu"), own_cpu);
	by_futex(series("switch_futex_same_cpu"), own_cpu, NULL);
	if (other_cpu == own_cpu) return;
	by_pipe(series("switch_pipe_cross_cpu"), other_cpu);
	by_futex(series("switch_futex_cross_cpu"), other_cpu, series("wake_cross_cpu_call"));
}
