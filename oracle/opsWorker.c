/* SPDX-License-Identifier: MIT */
/*
 * The executor of an ops file: carries out the operations one after the other and writes down what came of them. Nothing else uses the
 * window; whatever the executor itself needs is touched before each stretch of operations and after each fork, so that every fault
 * counted is one of the operation.
 *
 * It is a program of its own without a C library, so that all it has to touch is four pages: struct own. It lies above the window with the
 * memory that it shares with the observer. Executed once without address randomisation, it forks an executor for each sequence. That one
 * builds the surroundings that src/replay/play/executor.ts describes, because a mapping that the kernel places outside the window joins what
 * it touches; they are made after the fork, for memory of a forked process joins nothing.
 *
 * Everybody is a child of the observer (CLONE_PARENT), which takes away who ended, and uses the same table of descriptors, so that a file
 * opened in one process is known to all.
 */
#include "opsWorker.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* The surroundings: thread-local storage, the C library, its zeroed data, a hole, the loader's data, the loader up to the vdso. */
#define TLS 0x7ffff7dd1000UL
#define LIBC 0x7ffff7dd4000UL
#define BSS 0x7ffff7fa9000UL
#define BSS_END 0x7ffff7fb6000UL
#define LOADER_DATA 0x7ffff7fc0000UL
#define LOADER 0x7ffff7fc2000UL

/* A page of a file that only the handler of signals reads: with it a child takes three tables when its first signal comes. */
#define HANDLER_PAGE 0x300000000000UL

/* Where faults are made for their number. */
#define STIR_AT 0x340000000000UL
enum { STACK_BYTES = 3 * OPS_PG, CHECK_MS = 500, STIR_BYTES = 64 * OPS_PG };

/* All memory that is written here: the stack and these variables. */
static struct {
	char stack[STACK_BYTES];
	struct thread main;
} own __attribute__((aligned(4096)));

extern char __executable_start[];

/* The compiler may make calls of these. */
void *memset(void *to, int byte, size_t n)
{
	for (size_t i = 0; i < n; i++) ((volatile char *)to)[i] = (char)byte;
	return to;
}
void *memcpy(void *to, const void *from, size_t n)
{
	for (size_t i = 0; i < n; i++) ((volatile char *)to)[i] = ((const char *)from)[i];
	return to;
}

/* ---- loads and stores that may trap ---- */

struct thread *main_thread(void) { return &own.main; }

static uint32_t faults(void)
{
	struct thread *t = this_thread();
	bare(SYS_getrusage, SHARED->uffd ? RUSAGE_THREAD : RUSAGE_SELF, &t->usage);
	return (uint32_t)(t->usage.ru_minflt + t->usage.ru_majflt);
}

/* Faults from here on belong to the next operation. */
static void count_faults(struct thread *t)
{
	t->faults = faults();
	t->major = (uint32_t)t->usage.ru_majflt;
}

static void charge_faults(struct thread *t, struct op *op)
{
	uint32_t now = faults();
	op->faults = now - t->faults;
	op->major = (uint32_t)t->usage.ru_majflt - t->major;
	t->faults = now;
	t->major = (uint32_t)t->usage.ru_majflt;
}

static const uint64_t trap_signals = 1UL << (SIGSEGV - 1) | 1UL << (SIGBUS - 1);

/* A trap in here, when an operation has taken this program's own memory, is the end. */
static void on_trap(int signal, siginfo_t *info, void *context)
{
	struct thread *t = this_thread();
	(void)context;
	t->signal = signal;
	t->code = info->si_code;
	t->at = (uint64_t)info->si_addr;
	if (!SHARED->uffd) {
		uint32_t before = faults();
		bare(SYS_mprotect, HANDLER_PAGE, OPS_PG, PROT_READ);
		(void)*(volatile char *)HANDLER_PAGE;
		t->faults += faults() - before;
	}
	bare(SYS_rt_sigprocmask, SIG_UNBLOCK, &trap_signals, 0, 8);
	__builtin_longjmp(t->jump, 1);
}

/* The kernel wants a way back from a handler; it is never taken. */
static void no_way_back(void) { __builtin_trap(); }

static void handle_traps(void)
{
	struct { void (*handler)(int, siginfo_t *, void *); uint64_t flags; void (*restorer)(void); uint64_t mask; } action = {
		on_trap, SA_SIGINFO | 0x04000000 /* SA_RESTORER */, no_way_back, trap_signals,
	};
	bare(SYS_rt_sigaction, SIGSEGV, &action, 0, 8);
	bare(SYS_rt_sigaction, SIGBUS, &action, 0, 8);
}

static __attribute__((noinline)) void touch_pages(uint64_t addr, uint64_t len, int write, uint64_t stamp)
{
	for (uint64_t at = addr; at < addr + len; at += OPS_PG) {
		if (write) *(volatile uint64_t *)at = stamp;
		else (void)*(volatile uint64_t *)at;
	}
}

/* One access a page, ascending. Returns 0, or the signal that stopped it. */
static __attribute__((noinline)) int touch(uint64_t addr, uint64_t len, int write, uint64_t stamp)
{
	struct thread *t = this_thread();
	if (__builtin_setjmp(t->jump) != 0) return this_thread()->signal;
	touch_pages(addr, len, write, stamp);
	return 0;
}

static __attribute__((noinline)) void read_stamps(void)
{
	if (__builtin_setjmp(this_thread()->jump) != 0) bare(SYS_exit_group, 4);
	for (uint32_t i = 0; i < SHARED->nr_ranges; i++)
		for (uint32_t page = SHARED->ranges[i].from; page < SHARED->ranges[i].to; page++)
			SHARED->stamps[page] = *(volatile uint64_t *)(WINDOW + page * OPS_PG);
}

/* ---- own memory ---- */

static void map_at(uint64_t start, uint64_t end, int fd, int write)
{
	int flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE | (fd < 0 ? MAP_ANONYMOUS : 0);
	long got = bare(SYS_mmap, start, end - start, fd < 0 ? PROT_READ | PROT_WRITE : PROT_NONE, flags, fd, 0);
	if (got != (long)start) bare(SYS_exit_group, 5);
	if (write) touch_pages(start, end - start, 1, 1);
}

/* Fills the memory area of the kernel's choice from the thread-local storage to the lowest page of the vdso. What stands for files cannot
 * be accessed, so that nothing makes it present. */
static void build_surroundings(void)
{
	map_at(TLS, LIBC, -1, 1);
	map_at(LIBC, BSS, EXECUTOR_FD, 0);
	map_at(BSS, BSS_END, -1, 1);
	map_at(LOADER_DATA, LOADER, -1, 1);
	map_at(LOADER, SHARED->kernel_pages, EXECUTOR_FD, 0);
	map_at(HANDLER_PAGE, HANDLER_PAGE + OPS_PG, EXECUTOR_FD, 0);
}

static void rewrite(uint64_t start, uint64_t end)
{
	for (volatile char *p = (char *)start; p < (char *)end; p += OPS_PG) *p = *p;
}

/* Makes also that memory present which only an operation on all memory would notice. */
static void settle_all(void)
{
	bare(SYS_madvise, SHARED_AT, (sizeof(struct ops_shared) + OPS_PG - 1) & -OPS_PG, MADV_POPULATE_WRITE);
	rewrite(TLS, LIBC);
	rewrite(BSS, BSS_END);
	rewrite(LOADER_DATA, LOADER);
	for (uint64_t at = SHARED->vdso; at < SHARED->vdso_end; at += OPS_PG) (void)*(volatile char *)at;
}

void settle_main(void) { rewrite((uint64_t)&own, (uint64_t)(&own + 1)); }

/* Sees to it that nothing of ours faults in the next operation. */
static void settle(void)
{
	const Elf64_Phdr *code = (const Elf64_Phdr *)(__executable_start + ((const Elf64_Ehdr *)__executable_start)->e_phoff);
	for (volatile char *p = __executable_start; p < __executable_start + code->p_memsz; p += OPS_PG) (void)*p;
	settle_main();
	for (uint64_t at = SHARED_AT; at < SHARED_AT + sizeof(struct ops_shared); at += PMD_BYTES) (void)*(volatile char *)at;
	if (SHARED->uffd) threads_settle();
	if (SHARED->all_present) settle_all();
}

/* ---- children ---- */

static void child_main(uint32_t number) __attribute__((noreturn));

/* Waits for a child's answer; ends the sequence when the child is dead. */
static void wait_for(struct child_slot *slot, uint32_t seen)
{
	while (bare_wait(&slot->answer, seen, CHECK_MS) != 0) {
		struct pollfd p = { .fd = slot->pidfd, .events = POLLIN };
		if (bare(SYS_poll, &p, 1, 0) == 1 && __atomic_load_n(&slot->answer, __ATOMIC_ACQUIRE) == seen) bare(SYS_exit_group, 3);
	}
}

static void do_fork(struct op *op)
{
	uint32_t number = 0;
	int pidfd = -1;

	if (op->arg[0] < MAX_CHILDREN) number = op->arg[0];
	else while (number < MAX_CHILDREN - 1 && SHARED->child[number].ask != 0) number++;
	struct child_slot *slot = &SHARED->child[number];
	op->skipped = slot->pid != 0;
	if (op->skipped) return;
	slot->answer = 0;
	slot->ask = 1;
	long pid = bare(SYS_clone, CLONE_PARENT | CLONE_FILES | CLONE_PIDFD | SIGCHLD, 0, &pidfd, 0, 0);
	if (pid == 0) child_main(number);
	op->result = pid < 0 ? -1 : (int64_t)number;
	op->error = pid < 0 ? -pid : 0;
	if (pid < 0) {
		slot->ask = 0;
		return;
	}
	settle();
	slot->pidfd = pidfd;
	wait_for(slot, 0);
	slot->pid = pid;
	if (SHARED->uffd) threads_forked(slot, pid);
	count_faults(this_thread());
}

/* Waits until the child has let go of its address space, which is before anybody is told that it ended. */
static void end_child(struct op *op)
{
	struct child_slot *slot = op->arg[0] < MAX_CHILDREN ? &SHARED->child[op->arg[0]] : 0;

	op->skipped = !slot || slot->pid == 0;
	if (op->skipped) return;
	struct pollfd p = { .fd = slot->pidfd, .events = POLLIN };
	slot->command = EXIT;
	bare_ring(&slot->ask);
	while (bare(SYS_poll, &p, 1, -1) != 1) {}
	bare(SYS_close, slot->pidfd);
	slot->pid = 0;
}

/* ---- operations ---- */

static void counted_call(struct op *op)
{
	struct thread *t = this_thread();

	op->skipped = !call_prepare(op);
	if (op->kind > OP_PRCTL || SHARED->uffd) count_faults(t);
	if (op->skipped) return;
	long result = call_make(op);
	charge_faults(t, op);
	op->error = result < 0 && result >= -4095 ? -result : 0;
	op->result = op->error ? -1 : result;
	if (op->kind > OP_PRCTL) call_finish();
}

/* Empties the batches of this CPU, in which pages wait to be put on a list, or on another, and are in use meanwhile: advice does so first. */
void drain_batches(void) { bare(SYS_madvise, HANDLER_PAGE, OPS_PG, MADV_COLD); }

/* Carries out an operation in this process: the same way for all, so that only the operation can make a difference. */
void do_operation(struct op *op)
{
	if (op->kind == OP_FORK) { do_fork(op); return; }
	if (op->kind != OP_TOUCH_READ && op->kind != OP_TOUCH_WRITE) { counted_call(op); return; }
	struct thread *t = this_thread();
	if (SHARED->uffd) count_faults(t);
	op->signal = touch(op->arg[0], op->arg[1], op->kind == OP_TOUCH_WRITE, op->number + (op->by < 0 ? 0 : CHILD_STAMP));
	charge_faults(t, op);
	op->code = t->code;
	op->at = t->at;
}

static void perform(struct op *op)
{
	do_operation(op);
	drain_batches();
}

/* Does what its slot asks for until it is told to end. */
static void child_main(uint32_t number)
{
	struct child_slot *slot = &SHARED->child[number];
	uint32_t seen = 1;

	bare(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	if (SHARED->uffd) threads_in_child();
	bare(SYS_mprotect, HANDLER_PAGE, OPS_PG, PROT_NONE);
	settle();
	bare_ring(&slot->answer);
	for (;;) {
		while (bare_wait(&slot->ask, seen, -1) != 0) {}
		seen = slot->ask;
		if (slot->command == EXIT) bare(SYS_exit_group, 0);
		if (slot->command == VIEW) read_stamps();
		else {
			struct op *op = &SHARED->ops[slot->op];
			/* It may lie across two pages: both are there and may be written, then. */
			*(volatile uint32_t *)&op->number = op->number;
			op->skipped = 0;
			*(volatile uint32_t *)&op->vec = op->vec;
			if (SHARED->in_group) settle(); /* what is its own may have been swapped */
			count_faults(this_thread());
			perform(op);
		}
		bare_ring(&slot->answer);
	}
}

static void ask_child(struct child_slot *slot, uint32_t command, uint32_t op)
{
	uint32_t seen = slot->answer;

	slot->command = command;
	slot->op = op;
	bare_ring(&slot->ask);
	wait_for(slot, seen);
}

static int is_outside(const struct op *op)
{
	return op->error == 0 && ((uint64_t)op->result < WINDOW || (uint64_t)op->result >= SHARED->window_end);
}

static void run(uint32_t i)
{
	struct op *op = &SHARED->ops[i];

	struct child_slot *slot = op->by < 0 ? 0 : &SHARED->child[op->by];

	op->skipped = slot && slot->pid == 0;
	if (op->skipped || op->kind == OP_NOP) return;
	if (op->kind == OP_CHILD_EXIT) { end_child(op); return; }
	if (op->arg[0] == PLACED) {
		const struct op *last = op - 1;
		int places = last->kind == OP_MMAP || last->kind == OP_MREMAP || last->kind == OP_SHMAT;
		op->skipped |= i == 0 || last->number != op->number || last->by != op->by || last->skipped || !places || !is_outside(last);
		op->arg[0] = op->placed = last->result;
	}
	if (op->skipped) return;
	if (slot) ask_child(slot, RUN, i);
	else perform(op);
}

/*
 * Makes so many faults that the kernel takes the figures of our memory cgroup for old (64 for each CPU, and 64 that this one keeps to itself), and leaves nothing
 * of it: the page of zeros, in tables that go again.
 */
static void stir(void)
{
	if (bare(SYS_mmap, STIR_AT, STIR_BYTES, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE | MAP_ANONYMOUS, -1, 0) != (long)STIR_AT) return;
	for (uint32_t i = 0; i < SHARED->stir; i++) {
		touch_pages(STIR_AT, STIR_BYTES, 0, 0);
		bare(SYS_madvise, STIR_AT, STIR_BYTES, MADV_DONTNEED);
	}
	bare(SYS_munmap, STIR_AT, STIR_BYTES);
	drain_batches(); /* a child that has ended may have left some */
}

/* ---- the program ---- */

static void executor_main(void) __attribute__((noreturn));
static void executor_main(void)
{
	uint32_t seen = 0;

	bare(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	bare(SYS_setpgid, 0, 0);
	build_surroundings();
	bare(SYS_madvise, SHARED_AT, (offsetof(struct ops_shared, ops) + SHARED->nr_ops * sizeof(struct op) + OPS_PG - 1) & -OPS_PG, MADV_POPULATE_WRITE);
	touch(0, 1, 0, 0);
	if (SHARED->uffd) threads_begin();
	settle();
	SHARED->pid = bare(SYS_getpid);
	bare_ring(&SHARED->answer);
	for (;;) {
		while (bare_wait(&SHARED->ask, seen, -1) != 0) {}
		seen = SHARED->ask;
		if (SHARED->in_group) settle();
		count_faults(&own.main);
		if (SHARED->command == RUN && SHARED->uffd)
			for (uint32_t i = SHARED->from; i < SHARED->until; i++) threads_run(i);
		else if (SHARED->command == RUN)
			for (uint32_t i = SHARED->from; i < SHARED->until; i++) run(i);
		else if (SHARED->command == STIR) stir();
		else if (SHARED->viewed == MAX_CHILDREN) read_stamps();
		else ask_child(&SHARED->child[SHARED->viewed], VIEW, 0);
		bare_ring(&SHARED->answer);
	}
}

/* Forks an executor each time one is wanted. */
static void __attribute__((used, noreturn)) zygote_main(void)
{
	uint32_t seen = 0;

	bare(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	uint64_t size = (sizeof(struct ops_shared) + OPS_PG - 1) & -OPS_PG;
	if (bare(SYS_mmap, SHARED_AT, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, SHARED_FD, 0) != (long)SHARED_AT)
		bare(SYS_exit_group, 2);
	handle_traps();
	bare_ring(&SHARED->answer);
	for (int with_stack = 1;; with_stack = 0) {
		while (bare_wait(&SHARED->spawn, seen, -1) != 0) {}
		seen = SHARED->spawn;
		if (with_stack) bare(SYS_munmap, SHARED->stack, SHARED->stack_end - SHARED->stack);
		if (bare(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0) executor_main();
	}
}

/* Leaves the kernel's stack, which would be 33 pages to touch. */
__asm__(".globl _start\n_start:\n\tlea own+12288(%rip), %rsp\n\txor %ebp, %ebp\n\tcall zygote_main\n\thlt\n");
_Static_assert(STACK_BYTES == 12288, "_start has it");
