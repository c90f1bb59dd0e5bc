/* SPDX-License-Identifier: MIT */
/*
 * The executor of a sequence with userfaultfd: three worker threads, a conductor, and the children.
 *
 * All of them are on one CPU with real-time priorities, the conductor with the lowest. So whenever the conductor runs, nobody else can: an
 * operation has ended, or what runs it sleeps. That it sleeps inside userfaultfd, and not for a moment in something else, is what the kernel
 * says of the place (wchan). Who is released by an operation runs after it, since an operation runs above everybody, and in the order of
 * priorities: workers by number, then children.
 */
#include "opsWorker.h"

#include <fcntl.h>
#include <linux/prctl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { FIFO = 1, TOP = 90, WORKER = 50, CHILD_PRIORITY = 30, CONDUCTOR = 10, PAUSE_NS = 20000, MOST_PAUSES = 500000 };

/* What a worker is made of; all of its own memory that it writes. */
struct slot {
	char stack[THREAD_STACK];
	struct thread thread;
} __attribute__((aligned(4096)));
#define SLOTS ((struct slot *)THREADS_AT)

static int wchan_fds[NR_WORKERS];
static int pagemap_fd;

struct thread *this_thread(void)
{
	uint64_t here = (uint64_t)__builtin_frame_address(0);
	if (!SHARED->uffd || here < THREADS_AT || here >= THREADS_AT + NR_WORKERS * sizeof(struct slot)) return main_thread();
	return &SLOTS[(here - THREADS_AT) / sizeof(struct slot)].thread;
}

int thread_number(void)
{
	const struct thread *t = this_thread();
	return t == main_thread() ? NR_WORKERS : (int)(((uint64_t)t - THREADS_AT) / sizeof(struct slot));
}

static void set_priority(int tid, int priority)
{
	int param = priority;
	if (bare(SYS_sched_setscheduler, tid, FIFO, &param) != 0) bare(SYS_exit_group, 6);
}

void threads_settle(void)
{
	for (uint64_t at = THREADS_AT; at < THREADS_AT + NR_WORKERS * sizeof(struct slot); at += OPS_PG) *(volatile char *)at = *(volatile char *)at;
	for (uint64_t at = COPY_AT; at < COPY_AT + COPY_BYTES; at += PMD_BYTES) (void)*(volatile char *)at;
}

/* ---- workers ---- */

static void worker_main(void) __attribute__((noreturn, used));
static void worker_main(void)
{
	struct thread *t = this_thread();

	for (;;) {
		while (bare_wait(&t->ask, t->answer, -1) != 0) {}
		for (uint64_t at = (uint64_t)&SLOTS[thread_number()], end = at + sizeof(struct slot); at < end; at += OPS_PG)
			*(volatile char *)at = *(volatile char *)at;
		do_operation(t->op);
		__atomic_store_n(&t->answer, t->ask, __ATOMIC_RELEASE);
	}
}

/* A thread begins on a stack of its own; the address of worker_main is on it. */
__asm__("start_thread:\n\tmov $56, %eax\n\tsyscall\n\ttest %rax, %rax\n\tjnz 1f\n\txor %ebp, %ebp\n\tcall worker_main\n1:\tret\n");
long start_thread(uint64_t flags, void *stack, int *parent, int *child);

static int open_text(const char *before, int number, const char *after)
{
	char path[64], digits[12];
	int n = 0, d = 0;

	while (before[n]) path[n] = before[n], n++;
	do digits[d++] = (char)('0' + number % 10); while ((number /= 10) != 0);
	while (d > 0) path[n++] = digits[--d];
	for (int i = 0; i == 0 || after[i - 1]; i++) path[n++] = after[i];
	return bare(SYS_open, path, O_RDONLY | O_CLOEXEC);
}

void threads_begin(void)
{
	const uint64_t flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

	bare(SYS_mmap, THREADS_AT, NR_WORKERS * sizeof(struct slot), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0);
	bare(SYS_mmap, COPY_AT, COPY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0);
	make_memfd("m0", MEMFD_FD, MFD_CLOEXEC);
	bare(SYS_ftruncate, MEMFD_FD, SHARED->memfd_bytes);
	int fd = bare(SYS_open, "/proc/self/fd/900", O_RDONLY | O_CLOEXEC);
	bare(SYS_dup2, fd, MEMFD_RO_FD);
	bare(SYS_close, fd);
	pagemap_fd = bare(SYS_open, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	bare(SYS_madvise, (uint64_t)SHARED->vec & -OPS_PG, VEC_BYTES, MADV_POPULATE_WRITE);
	threads_settle();
	set_priority(0, TOP);
	for (int i = 0; i < NR_WORKERS; i++) {
		long tid = start_thread(flags, SLOTS[i].stack + THREAD_STACK - 64, 0, 0);
		if (tid < 0) bare(SYS_exit_group, 7);
		SHARED->tid[i] = tid;
		wchan_fds[i] = open_text("/proc/self/task/", tid, "/wchan");
		set_priority(tid, WORKER - i);
	}
	set_priority(0, CONDUCTOR);
}

void threads_in_child(void) { set_priority(0, CHILD_PRIORITY); }

/* ---- who sleeps ---- */

static int is_prefix(const char *text, const char *wanted)
{
	for (; *wanted; text++, wanted++)
		if (*text != *wanted) return 0;
	return 1;
}

/* Tells whether somebody who does not run waits for userfaultfd. */
static int waits_for_uffd(int wchan_fd)
{
	char place[64] = "";
	bare(SYS_pread64, wchan_fd, place, sizeof(place) - 1, 0);
	return is_prefix(place, "handle_userfault") || is_prefix(place, "userfaultfd_") || is_prefix(place, "dup_userfaultfd");
}

/* Waits until `*answer` is `asked` or its thread sleeps in userfaultfd; returns whether it has answered. */
static int has_answered(uint32_t *answer, uint32_t asked, int wchan_fd)
{
	struct { int64_t seconds, nanoseconds; } pause = { 0, PAUSE_NS };

	for (int i = 0; i < MOST_PAUSES; i++) {
		if (__atomic_load_n(answer, __ATOMIC_ACQUIRE) == asked) return 1;
		if (waits_for_uffd(wchan_fd)) return __atomic_load_n(answer, __ATOMIC_ACQUIRE) == asked;
		bare(SYS_nanosleep, &pause, 0);
	}
	bare(SYS_exit_group, 8);
	return 0;
}

static int is_done(int worker)
{
	struct thread *t = &SLOTS[worker].thread;
	return has_answered(&t->answer, t->ask, wchan_fds[worker]);
}

static int child_is_done(uint32_t k)
{
	struct child_slot *slot = &SHARED->child[k];
	return has_answered(&slot->answer, slot->awaited, slot->wchan_fd);
}

static void note_join(uint32_t slept, uint32_t i)
{
	SHARED->ops[slept - 1].joined = i + 1;
	SHARED->nr_joins++;
}

static int sleepers(void)
{
	int nr = 0;
	for (int t = 0; t < NR_WORKERS; t++) nr += SHARED->asleep[t] != 0;
	for (uint32_t k = 0; k < MAX_CHILDREN; k++) nr += SHARED->child[k].pid != 0 && SHARED->child[k].asleep != 0;
	return nr;
}

/* Notes who slept before and was released by operation `i`. */
static void see_who_woke(uint32_t i)
{
	for (int t = 0; t < NR_WORKERS; t++) {
		if (!SHARED->asleep[t] || SHARED->asleep[t] == i + 1 || !is_done(t)) continue;
		note_join(SHARED->asleep[t], i);
		SHARED->asleep[t] = 0;
	}
	for (uint32_t k = 0; k < MAX_CHILDREN; k++) {
		struct child_slot *slot = &SHARED->child[k];
		if (slot->pid == 0 || !slot->asleep || slot->asleep == i + 1 || !child_is_done(k)) continue;
		note_join(slot->asleep, i);
		slot->asleep = 0;
	}
}

/* ---- operations ---- */

/* Has a worker, or the conductor itself, carry out an operation above everybody. */
static void carry_out(struct op *op, int worker)
{
	int raised = sleepers() > 0, tid = worker < NR_WORKERS ? SHARED->tid[worker] : 0;

	if (raised || worker == NR_WORKERS) set_priority(tid, TOP);
	if (worker == NR_WORKERS) {
		settle_main();
		do_operation(op);
	} else {
		struct thread *t = &SLOTS[worker].thread;
		t->op = op;
		bare_ring(&t->ask);
		if (!is_done(worker)) op->slept = worker + 1;
		/* The copy is made: who goes on before the fork is over must not be charged for his own memory. */
		if (op->slept && op->kind == OP_FORK) settle_main(), threads_settle();
	}
	if (raised || worker == NR_WORKERS) set_priority(tid, worker < NR_WORKERS ? WORKER - worker : CONDUCTOR);
}

/* Reads message by message: who is released by one runs on before the next is read. */
static void read_messages(struct op *op, int worker, uint32_t i)
{
	op->vec = (SHARED->vec_used + 7) & ~7U;
	for (uint64_t left = op->arg[1]; left > 0 && op->error == 0; left--) {
		if (op->vec + (op->nr_out + 1) * 32 > VEC_BYTES) return;
		carry_out(op, worker);
		SHARED->vec_used = op->vec + op->nr_out * 32;
		see_who_woke(i);
	}
}

static int is_context(uint64_t number) { return number < SHARED->nr_uffds && SHARED->uffd_fd[number] >= 0; }

/* What the process can do while all its workers sleep: it must not sleep as well. */
static int is_for_conductor(const struct op *op)
{
	if (op->kind == OP_UFFD_IOCTL) return op->arg[1] != UFFD_COPY || op->now || op->arg[3] < WINDOW || op->arg[3] >= SHARED->window_end;
	return op->kind == OP_UFFD_READ || op->kind == OP_SCAN || op->kind == OP_UFFD_CLOSE || op->kind == OP_USERFAULTFD;
}

static int is_possible(const struct op *op, int worker)
{
	if (worker == NR_WORKERS && !is_for_conductor(op)) return 0;
	switch (op->kind) {
	case OP_UFFD_IOCTL:
	case OP_UFFD_READ:
	case OP_UFFD_CLOSE: return is_context(op->arg[0]);
	case OP_USERFAULTFD: return SHARED->nr_uffds < MAX_UFFDS;
	case OP_SCAN: return op->arg[0] == WHO_SELF || (op->arg[0] < MAX_CHILDREN && SHARED->child[op->arg[0]].pid != 0);
	case OP_FORK:
		for (int t = 0; t < NR_WORKERS; t++)
			if (SHARED->asleep[t] && SHARED->ops[SHARED->asleep[t] - 1].kind == OP_FORK) return 0;
		return 1;
	default: return 1;
	}
}

static void run_child(struct op *op, uint32_t i)
{
	struct child_slot *slot = op->by < MAX_CHILDREN ? &SHARED->child[op->by] : 0;

	op->skipped = !slot || slot->pid == 0 || slot->asleep;
	if (op->skipped) return;
	slot->command = 0; /* RUN */
	slot->op = i;
	slot->awaited = slot->answer + 1;
	bare_ring(&slot->ask);
	if (child_is_done(op->by)) return;
	op->slept = 1;
	slot->asleep = i + 1;
}

static void kill_child(struct op *op)
{
	struct child_slot *slot = op->arg[0] < MAX_CHILDREN ? &SHARED->child[op->arg[0]] : 0;

	op->skipped = !slot || slot->pid == 0;
	if (op->skipped) return;
	struct pollfd p = { .fd = slot->pidfd, .events = POLLIN };
	bare(SYS_kill, slot->pid, SIGKILL);
	while (bare(SYS_poll, &p, 1, -1) != 1) {}
	bare(SYS_close, slot->pidfd);
	bare(SYS_close, slot->wchan_fd);
	slot->pid = 0;
	slot->asleep = 0;
}

void threads_forked(struct child_slot *slot, int pid)
{
	slot->seen_pid = pid;
	slot->asleep = 0;
	slot->wchan_fd = open_text("/proc/", pid, "/wchan");
}

void threads_run(uint32_t i)
{
	struct op *op = &SHARED->ops[i];
	int worker = 0;

	if (op->kind == OP_NOP) return;
	if (op->kind == OP_CHILD_EXIT) kill_child(op);
	else if (op->by >= 0) run_child(op, i);
	else {
		while (worker < NR_WORKERS && SHARED->asleep[worker]) worker++;
		op->skipped = !is_possible(op, worker);
		if (op->skipped) return;
		if (op->kind == OP_UFFD_READ) read_messages(op, worker, i);
		else carry_out(op, worker);
		if (op->slept) SHARED->asleep[worker] = i + 1;
	}
	see_who_woke(i);
	drain_batches();
}

int threads_pagemap(void) { return pagemap_fd; }
