/* SPDX-License-Identifier: MIT */
/*
 * cost scenarios ROUNDS MS   reads scenarios from its input and measures them
 *
 *   scenario ID WAITS      a name, and whether the time that passes counts or, when it was preempted, the time it used
 *   WORD NUMBER …          a line a step: bench/costFidelity/scenario.ts has what each does
 *   run                    its end
 *
 * Each round runs every scenario once, in a process of its own: a turn that does not count, then some that do. Prints `time ID ns ns …`, a
 * line a scenario and round, or `failed ID why`.
 */
#include "cost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WINDOW ((char *)0x200000000000)
#define WINDOW_LEN ((size_t)PAGE << 22)
enum { ARGUMENTS = 5, SLOTS = 4, STEPS = 1 << 20, SCENARIOS = 400, TURNS = 9 };

static const char *const words[] = {
	"map", "mapfile", "unmap", "advise", "protect", "move", "resize", "write", "read", "contents", "lock", "unlock", "mincore", "file", "uffd",
	"register", "copy", "moveto", "zero", "continue", "wp", "scan", "fork", "reap", "answer", "silence", "thread", "join", "begin", "end",
};
enum word {
	MAP, MAPFILE, UNMAP, ADVISE, PROTECT, MOVE, RESIZE, WRITE, READ, CONTENTS, LOCK, UNLOCK, MINCORE, FILE_, UFFD,
	REGISTER, COPY, MOVETO, ZERO, CONTINUE, WP, SCAN, FORK, REAP, ANSWER, SILENCE, THREAD, JOIN, BEGIN, END, WORDS,
};
struct step {
	unsigned char word;
	uint32_t number[ARGUMENTS];
};
static struct scenario {
	int id;
	bool waits;
	const struct step *steps;
	int nr;
} scenarios[SCENARIOS];
static int nr_scenarios;
/* Shared, so that a fork does not copy what maps it. */
static struct step *steps;
static int nr_steps;

static void bad(const char *what)
{
	fprintf(stderr, "cost scenarios: %s\n", what);
	exit(2);
}

static void read_scenarios(void)
{
	static char line[256];
	char word[16];

	while (fgets(line, sizeof(line), stdin)) {
		struct step s = { 0 };
		int at = 0;
		if (sscanf(line, "%15s%n", word, &at) != 1) continue;
		struct scenario *open = &scenarios[nr_scenarios];
		if (strcmp(word, "scenario") == 0) {
			int waits = 0;
			if (nr_scenarios == SCENARIOS - 1 || sscanf(line + at, "%d %d", &open->id, &waits) != 2) bad(line);
			open->waits = waits, open->steps = steps + nr_steps, open->nr = 0;
			continue;
		}
		if (strcmp(word, "run") == 0) {
			nr_scenarios++;
			continue;
		}
		while (s.word < WORDS && strcmp(words[s.word], word) != 0) s.word++;
		if (s.word == WORDS || nr_steps == STEPS) bad(line);
		char *next = line + at;
		for (int i = 0; i < ARGUMENTS; i++) s.number[i] = (uint32_t)strtoul(next, &next, 0);
		steps[nr_steps++] = s;
		open->nr++;
	}
}

/* ---- the process that carries one out ---- */

static int files[SLOTS] = { -1, -1, -1, -1 }, uffds[SLOTS] = { -1, -1, -1, -1 }, pagemap = -1, hold = -1;
static pid_t child;
static double timed_ns;
static bool waits;
static struct span stretch;

static struct {
	int uffd, how;
	char *base, *from;
	pthread_t thread;
	atomic_bool is_last;
} answering;

static void *answer(void *unused)
{
	struct uffd_msg message;

	(void)unused;
	for (bool is_over = false; !is_over;) {
		if (read(answering.uffd, &message, sizeof(message)) != sizeof(message)) continue;
		is_over = atomic_load(&answering.is_last);
		char *at = (char *)(message.arg.pagefault.address & ~(uint64_t)(PAGE - 1)), *from = answering.from + (at - answering.base);
		long result = answering.how == 0   ? uffd_copy(answering.uffd, at, from, PAGE)
			      : answering.how == 1 ? uffd_zero(answering.uffd, at, PAGE)
			      : answering.how == 2 ? uffd_continue(answering.uffd, at, PAGE)
			      : answering.how == 3 ? uffd_move(answering.uffd, at, from, PAGE)
						   : uffd_protect(answering.uffd, at, PAGE, false);
		must(result, "answer");
	}
	return NULL;
}

static void begin_answers(const struct step *s)
{
	answering.uffd = uffds[s->number[0]], answering.how = (int)s->number[1];
	answering.base = WINDOW + (size_t)s->number[2] * PAGE, answering.from = WINDOW + (size_t)s->number[3] * PAGE;
	atomic_store(&answering.is_last, false);
	pthread_create(&answering.thread, NULL, answer, NULL);
}

static void fork_child(void)
{
	int ends[2];
	char byte;

	must(pipe(ends), "pipe");
	child = (pid_t)must(fork(), "fork");
	if (child == 0) {
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(ends[0]);
	hold = ends[1];
}
static void reap_child(void)
{
	close(hold);
	waitpid(child, NULL, 0);
}

/* Every second word is small, so about half can be saved; the state makes every page another one. */
static void fill_half(char *p, size_t len)
{
	static uint64_t state = 88172645463325252u;
	uint64_t *word = (uint64_t *)p;

	for (size_t i = 0; i < len / sizeof(*word); i++) {
		state ^= state << 7;
		state ^= state >> 9;
		word[i] = i & 1 ? state & 0xff : state;
	}
}

static void do_file(int slot, size_t len)
{
	files[slot] = (int)must(memfd_create("cost", MFD_CLOEXEC), "memfd_create");
	must(ftruncate(files[slot], (off_t)len), "ftruncate");
}

static void do_step(const struct step *s)
{
	static unsigned char seen[1 << 16];
	const uint32_t *n = s->number;
	char *p = WINDOW + (size_t)n[0] * PAGE, *second = WINDOW + (size_t)n[1] * PAGE, *third = WINDOW + (size_t)n[2] * PAGE;
	size_t len = (size_t)n[1] * PAGE, last = (size_t)n[3] * PAGE;

	switch ((enum word)s->word) {
	case MAP: must((long)mmap(p, len, (int)n[2], PRIVATE | MAP_FIXED, -1, 0), "mmap"); break;
	case MAPFILE: must((long)mmap(p, len, RW, MAP_FIXED | (n[3] ? MAP_SHARED : MAP_PRIVATE), files[n[2]], 0), "mmap"); break;
	case UNMAP: must(munmap(p, len), "munmap"); break;
	case ADVISE: must(madvise(p, len, (int)n[2]), "madvise"); break;
	case PROTECT: must(mprotect(p, len, (int)n[2]), "mprotect"); break;
	case MOVE: must((long)mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED | (int)n[3], third), "mremap"); break;
	case RESIZE: must((long)mremap(p, len, (size_t)n[2] * PAGE, 0), "mremap"); break;
	case WRITE: write_each(p, len, (size_t)n[2] * PAGE); break;
	case READ: read_each(p, len, (size_t)n[2] * PAGE); break;
	case CONTENTS: fill_half(p, len); break;
	case LOCK: must(mlock(p, len), "mlock"); break;
	case UNLOCK: must(munlock(p, len), "munlock"); break;
	case MINCORE: must(mincore(p, len, seen), "mincore"); break;
	case FILE_: do_file((int)n[0], len); break;
	case UFFD: uffds[n[0]] = (int)must(uffd_open(n[1]), "userfaultfd"); break;
	case REGISTER: uffd_register(uffds[n[0]], second, (size_t)n[2] * PAGE, n[3]); break;
	case COPY: must(uffd_copy(uffds[n[0]], second, third, last), "UFFDIO_COPY"); break;
	case MOVETO: must(uffd_move(uffds[n[0]], second, third, last), "UFFDIO_MOVE"); break;
	case ZERO: must(uffd_zero(uffds[n[0]], second, (size_t)n[2] * PAGE), "UFFDIO_ZEROPAGE"); break;
	case CONTINUE: must(uffd_continue(uffds[n[0]], second, (size_t)n[2] * PAGE), "UFFDIO_CONTINUE"); break;
	case WP: must(uffd_protect(uffds[n[0]], second, (size_t)n[2] * PAGE, n[3] != 0), "UFFDIO_WRITEPROTECT"); break;
	case SCAN: must(scan_written(pagemap, p, len, n[2] != 0), "PAGEMAP_SCAN"); break;
	case FORK: fork_child(); break;
	case REAP: reap_child(); break;
	case ANSWER: begin_answers(s); break;
	case SILENCE:
		atomic_store(&answering.is_last, true);
		*(volatile char *)p = 1;
		pthread_join(answering.thread, NULL);
		break;
	case BEGIN: stretch = span_begin(); break;
	case END: timed_ns += waits ? span_shared(&stretch) : span_end(&stretch); break;
	default: break;
	}
}

/* ---- several threads ---- */

static struct lane {
	const struct step *steps;
	int nr, cpu;
	uint64_t ended;
	pthread_t thread;
} lanes[2];
static atomic_int nr_ready;
static atomic_bool may_begin;

static void *run_lane(void *argument)
{
	struct lane *lane = argument;

	pin_to(lane->cpu == 0 ? own_cpu : other_cpu);
	atomic_fetch_add(&nr_ready, 1);
	while (!atomic_load(&may_begin)) __builtin_ia32_pause();
	for (int i = 0; i < lane->nr; i++) do_step(&lane->steps[i]);
	lane->ended = now_ns();
	return NULL;
}

static void side_by_side(const struct step *s, int nr)
{
	int nr_lanes = 0;

	for (int i = 0; i < nr; i++) {
		if (s[i].word == THREAD && nr_lanes < 2) lanes[nr_lanes++] = (struct lane){ .steps = &s[i + 1], .cpu = (int)s[i].number[0] };
		else if (s[i].word != JOIN && nr_lanes > 0) lanes[nr_lanes - 1].nr++;
	}
	atomic_store(&nr_ready, 0);
	atomic_store(&may_begin, false);
	for (int i = 0; i < nr_lanes; i++) pthread_create(&lanes[i].thread, NULL, run_lane, &lanes[i]);
	while (atomic_load(&nr_ready) < nr_lanes) usleep(100);
	uint64_t began = now_ns(), ended = 0;
	atomic_store(&may_begin, true);
	for (int i = 0; i < nr_lanes; i++) {
		pthread_join(lanes[i].thread, NULL);
		if (lanes[i].ended > ended) ended = lanes[i].ended;
	}
	timed_ns += (double)(ended - began);
}

/* ---- rounds ---- */

static void turn(const struct scenario *c)
{
	timed_ns = 0;
	for (int i = 0; i < c->nr; i++) {
		if (c->steps[i].word == THREAD) {
			side_by_side(&c->steps[i], c->nr - i);
			break;
		}
		do_step(&c->steps[i]);
	}
	munmap(WINDOW, WINDOW_LEN);
	for (int i = 0; i < SLOTS; i++) {
		if (files[i] >= 0) close(files[i]);
		if (uffds[i] >= 0) close(uffds[i]);
		files[i] = uffds[i] = -1;
	}
}

static void run_one(const struct scenario *c)
{
	uint64_t began = now_ns();

	waits = c->waits;
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	turn(c);
	printf("time %d", c->id);
	for (int i = 0; i < TURNS && (i < 2 || now_ns() - began < budget_ms * 1000000ull) && !is_stopping; i++) {
		turn(c);
		printf(" %.6g", timed_ns);
	}
	printf("\n");
	fflush(stdout);
	_exit(0);
}

void run_scenarios(int rounds)
{
	steps = mmap(NULL, STEPS * sizeof(*steps), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must((long)steps, "mmap");
	read_scenarios();
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < nr_scenarios && !is_stopping; i++) {
			pid_t pid = (pid_t)must(fork(), "fork");
			int status = 0;
			if (pid == 0) run_one(&scenarios[i]);
			waitpid(pid, &status, 0);
			if (status != 0) printf("failed %d status %#x\n", scenarios[i].id, (unsigned)status);
			fflush(stdout);
		}
	}
}
