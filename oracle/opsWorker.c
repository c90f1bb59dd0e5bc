/* SPDX-License-Identifier: MIT */
/*
 * The executor of an ops file: carries out the operations one after the other and writes down what came of them. Nothing else uses the
 * window; whatever the executor itself needs is touched before each stretch of operations and after each fork, so that every fault
 * counted is one of the operation.
 *
 * Outside the window it builds the surroundings that src/replay/play/executor.ts describes, because a mapping that the kernel places
 * there joins what it touches. The program is linked statically and has nothing of its own there but the stack and the vdso.
 */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

/* The surroundings: thread-local storage, the C library, its zeroed data, a hole, the loader's data, the loader up to the vdso. */
#define TLS 0x7ffff7dd1000UL
#define LIBC 0x7ffff7dd4000UL
#define BSS 0x7ffff7fa9000UL
#define BSS_END 0x7ffff7fb6000UL
#define LOADER_DATA 0x7ffff7fc0000UL
#define LOADER 0x7ffff7fc2000UL

/* A page of a file that only the handler of signals reads: with it a child takes three tables when its first signal comes. */
#define HANDLER_PAGE 0x300000000000UL

enum { CHILD_STAMP = 0x100000, MAX_OWN = 32 };

static struct ops_shared *shared;
static sigjmp_buf trapped;
static volatile int trap_signal, trap_code;
static volatile uint64_t trap_addr;
static struct rusage usage;
static struct { volatile char *start, *end; int writable; } own[MAX_OWN];
static int nr_own;

static void on_trap(int signal, siginfo_t *info, void *context)
{
	(void)context;
	trap_signal = signal;
	trap_code = info->si_code;
	trap_addr = (uint64_t)info->si_addr;
	(void)*(volatile char *)HANDLER_PAGE;
	siglongjmp(trapped, 1);
}

static __attribute__((noinline)) void touch_pages(uint64_t addr, uint64_t len, int write, uint64_t stamp)
{
	for (uint64_t at = addr; at < addr + len; at += OPS_PG) {
		if (write) *(volatile uint64_t *)at = stamp;
		else (void)*(volatile uint64_t *)at;
	}
}

/* One access a page, ascending. Returns 0, or the signal that stopped it. */
static int touch(uint64_t addr, uint64_t len, int write, uint64_t stamp)
{
	if (sigsetjmp(trapped, 1) != 0) return trap_signal;
	touch_pages(addr, len, write, stamp);
	return 0;
}

static void map_at(uint64_t start, uint64_t end, int fd, int write)
{
	int flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE | (fd < 0 ? MAP_ANONYMOUS : 0);
	if (mmap((void *)start, end - start, PROT_READ | PROT_WRITE, flags, fd, 0) != (void *)start) {
		perror("the surroundings of the window");
		_exit(2);
	}
	if (write) touch(start, end - start, 1, 1);
}

/* Fills the memory area of the kernel's choice from the thread-local storage to the lowest page of the vdso. */
static void build_surroundings(uint64_t vdso)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	map_at(TLS, LIBC, -1, 1);
	map_at(LIBC, BSS, fd, 0);
	map_at(BSS, BSS_END, -1, 1);
	map_at(LOADER_DATA, LOADER, -1, 1);
	map_at(LOADER, vdso, fd, 0);
	map_at(HANDLER_PAGE, HANDLER_PAGE + OPS_PG, fd, 0);
	close(fd);
}

/* Returns the start of the first mapping above `addr`; notes all mappings up to the stack that are our own, if `note`. */
static uint64_t read_maps(uint64_t addr, int note)
{
	static char text[16384];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t size = 0;
	uint64_t start, end, first = 0;
	char perms[8];

	for (ssize_t n; size < sizeof(text) - 1 && (n = read(fd, text + size, sizeof(text) - 1 - size)) > 0;) size += n;
	close(fd);
	text[size] = '\0';
	for (char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		if (sscanf(line, "%lx-%lx %7s", &start, &end, perms) != 3) continue;
		if (start >= addr && first == 0) first = start;
		/* Not the shared memory, not what stands for files here, nothing of the kernel's. */
		int ours = start < 0x10000000 || (start >= TLS && end <= LOADER && start != LIBC) || strstr(line, "[stack]") == strchr(line, '[');
		if (!note || !ours || !strchr(line, '\n') || perms[0] != 'r' || nr_own == MAX_OWN) continue;
		char *bracket = memchr(line, '[', strchr(line, '\n') - line);
		if (start >= LOADER && (!bracket || strncmp(bracket, "[stack]", 7) != 0)) continue;
		own[nr_own].start = (char *)start;
		own[nr_own].end = (char *)end;
		own[nr_own++].writable = perms[1] == 'w';
	}
	return first;
}

/* Sees to it that nothing of ours faults in the next operation. */
static void settle(void)
{
	for (int i = 0; i < nr_own; i++)
		for (volatile char *p = own[i].start; p < own[i].end; p += OPS_PG) {
			char c = *p;
			if (own[i].writable) *p = c;
		}
}

static uint32_t faults(void)
{
	getrusage(RUSAGE_SELF, &usage);
	return (uint32_t)(usage.ru_minflt + usage.ru_majflt);
}

/* Does what its slot asks for until it is told to end. */
static void child_main(struct child_slot *slot)
{
	uint32_t seen = slot->ask;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	settle();
	ops_ring(&slot->answer);
	for (;;) {
		while (ops_wait(&slot->ask, seen, -1) != 0) {}
		seen = slot->ask;
		if (slot->command == CHILD_EXIT) _exit(0);
		slot->signal = touch(slot->addr, slot->len, slot->command == CHILD_WRITE, slot->stamp);
		slot->code = trap_code;
		slot->at = trap_addr;
		ops_ring(&slot->answer);
	}
}

static void do_fork(struct op *op)
{
	struct child_slot *slot = shared->child;

	if (op->arg[0] < MAX_CHILDREN) slot += op->arg[0];
	else while (slot < shared->child + MAX_CHILDREN - 1 && slot->ask != 0) slot++;
	op->skipped = slot->pid != 0;
	if (op->skipped) return;
	memset(slot, 0, sizeof(*slot));
	slot->ask = 1;
	pid_t pid = fork();
	if (pid == 0) child_main(slot);
	op->error = pid < 0 ? errno : 0;
	op->result = slot - shared->child;
	if (pid < 0) return;
	settle();
	while (ops_wait(&slot->answer, 0, -1) != 0) {}
	slot->pid = pid;
}

static void ask_child(struct op *op)
{
	struct child_slot *slot = op->arg[0] < MAX_CHILDREN ? &shared->child[op->arg[0]] : NULL;

	op->skipped = !slot || slot->pid == 0;
	if (op->skipped) return;
	slot->addr = op->arg[1];
	slot->len = op->arg[2];
	slot->stamp = op->number | CHILD_STAMP;
	slot->command = op->kind == OP_CHILD_EXIT ? CHILD_EXIT : op->kind == OP_CHILD_TOUCH_WRITE ? CHILD_WRITE : CHILD_READ;
	uint32_t seen = slot->answer;
	ops_ring(&slot->ask);
	if (op->kind == OP_CHILD_EXIT) {
		waitpid(slot->pid, NULL, 0);
		slot->pid = 0;
		return;
	}
	while (ops_wait(&slot->answer, seen, -1) != 0) {}
	op->signal = slot->signal;
	op->code = slot->code;
	op->at = slot->at;
}

static long make_call(const struct op *op)
{
	const uint64_t *a = op->arg;

	switch (op->kind) {
	case OP_MMAP: return syscall(SYS_mmap, a[0], a[1], a[2], a[3], a[4], a[5]);
	case OP_MUNMAP: return syscall(SYS_munmap, a[0], a[1]);
	case OP_MPROTECT: return syscall(SYS_mprotect, a[0], a[1], a[2]);
	case OP_MREMAP: return syscall(SYS_mremap, a[0], a[1], a[2], a[3], a[4]);
	case OP_MADVISE: return syscall(SYS_madvise, a[0], a[1], a[2]);
	case OP_MLOCK: return syscall(SYS_mlock, a[0], a[1]);
	case OP_MLOCK2: return syscall(SYS_mlock2, a[0], a[1], a[2]);
	case OP_MUNLOCK: return syscall(SYS_munlock, a[0], a[1]);
	case OP_PRCTL: return syscall(SYS_prctl, a[0], a[1], a[2], a[3], op->name[0] ? (uint64_t)op->name : 0);
	default: return 0;
	}
}

/* An operation of the process itself: the same way for all, so that only the operation can make a difference. */
static void run_own(struct op *op)
{
	uint32_t before = faults();

	if (op->kind == OP_TOUCH_READ || op->kind == OP_TOUCH_WRITE) {
		op->signal = touch(op->arg[0], op->arg[1], op->kind == OP_TOUCH_WRITE, op->number);
	} else {
		errno = 0;
		op->result = make_call(op);
		op->error = op->result == -1 ? errno : 0;
	}
	op->faults = faults() - before;
	op->code = trap_code;
	op->at = trap_addr;
}

static int is_outside(const struct op *op)
{
	return op->error == 0 && ((uint64_t)op->result < WINDOW || (uint64_t)op->result >= shared->window_end);
}

static void run(struct op *op)
{
	switch (op->kind) {
	case OP_FORK: do_fork(op); return;
	case OP_CHILD_TOUCH_READ:
	case OP_CHILD_TOUCH_WRITE:
	case OP_CHILD_EXIT: ask_child(op); return;
	case OP_NOP:
	case OP_SNAPSHOT: return;
	default: break;
	}
	if (op->arg[0] == PLACED) {
		const struct op *last = op - 1;
		op->skipped = op == shared->ops || last->number != op->number || (last->kind != OP_MMAP && last->kind != OP_MREMAP) || !is_outside(last);
		if (op->skipped) return;
		op->arg[0] = op->placed = last->result;
	}
	run_own(op);
}

void ops_worker(int fd)
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	uint32_t seen;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	shared = mmap((void *)SHARED_AT, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0);
	if (shared != (void *)SHARED_AT) { perror("shared memory"); _exit(2); }
	close(fd);
	seen = shared->ask;
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	build_surroundings(read_maps(LOADER_DATA, 0));
	read_maps(0, 1);
	touch(0, 1, 0, 0);
	settle();
	faults();
	ops_ring(&shared->answer);
	for (;;) {
		while (ops_wait(&shared->ask, seen, -1) != 0) {}
		seen = shared->ask;
		for (uint32_t i = shared->from; i < shared->until; i++) run(&shared->ops[i]);
		ops_ring(&shared->answer);
	}
}
