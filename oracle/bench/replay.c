/* SPDX-License-Identifier: MIT */
/*
 * replay FILE: carries out the memory operations of a recording on the running kernel, as bench/kernelReplay.ts writes them.
 *
 * The file starts with the open files (`f`) and the vmas at the start (`v`), which are not timed. Each operation names the process that
 * does it; a process forks the others where the recording forked them. A child does all of its operations at the fork, while its
 * parent waits, and goes on living until the recording says that it ended. Time is counted where a process works, not where it waits.
 * Numbers are hexadecimal.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_FILES = 4096, MAX_PROCESSES = 256, NR_ARGS = 7, MAX_WRONG_SHOWN = 5 };

/* A recording lies in these two parts of the address space once it is relocated; this program itself lies in neither. */
static const ulong_t windows[][2] = { { 0x300000000000, 0x400000000000 }, { 0x580000000000, 0x600000000000 } };

struct op {
	int process;
	char call;
	long arg[NR_ARGS];
	long expected;
};

struct shared {
	uint64_t ns;
	unsigned long done, wrong;
};

static struct op *ops;
static size_t nr_ops;
static int files[MAX_FILES];
static struct shared *shared;
static pid_t pids[MAX_PROCESSES];
static int leave[MAX_PROCESSES][2];
static volatile char sink;

static long args_of(char call)
{
	switch (call) {
	case 'm': return 6;
	case 'r': return 5;
	case 'p': case 'a': case 'l': case 's': case 't': return 3;
	case 'u': case 'L': return 2;
	default: return 1;
	}
}

static void open_file(int index, long size, int writable)
{
	char path[64];
	int fd = memfd_create("recorded", 0);

	if (fd < 0 || index >= MAX_FILES || ftruncate(fd, size)) die("memfd");
	if (size < 1l << 28) fallocate(fd, 0, 0, size);
	files[index] = fd;
	if (writable) return;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	files[index] = open(path, O_RDONLY);
	if (files[index] < 0) die(path);
}

static void start_vma(const long *arg)
{
	int fd = arg[4] < 0 ? -1 : files[arg[4]];
	void *at = (void *)arg[0];

	if (mmap(at, arg[1], arg[2], arg[3] | MAP_FIXED_NOREPLACE, fd, arg[5]) != at) die("a vma of the start");
	if (arg[6]) *(volatile char *)(arg[0] + arg[1] - PAGE) = 1;
}

static int read_numbers(FILE *in, long *to, long n)
{
	for (long i = 0; i < n; i++)
		if (fscanf(in, "%lx", (ulong_t *)&to[i]) != 1) return 0;
	return 1;
}

static void read_input(const char *path)
{
	FILE *in = fopen(path, "r");
	char kind[2];
	long arg[NR_ARGS];
	size_t room = 0;

	if (!in) die(path);
	while (fscanf(in, "%1s", kind) == 1) {
		if (kind[0] == 'f') {
			if (!read_numbers(in, arg, 3)) die("a file");
			open_file(arg[0], arg[1], arg[2]);
		} else if (kind[0] == 'v') {
			if (!read_numbers(in, arg, 7)) die("a vma");
			start_vma(arg);
		} else {
			if (nr_ops == room) ops = realloc(ops, (room = room * 2 + 1024) * sizeof *ops);
			struct op *op = &ops[nr_ops++];
			op->call = kind[0];
			if (!read_numbers(in, arg, 1) || !read_numbers(in, op->arg, args_of(op->call))) die("an operation");
			op->process = arg[0];
			if (!read_numbers(in, &op->expected, 1)) die("an expected answer");
		}
	}
	fclose(in);
}

static void touch(const long *arg)
{
	for (ulong_t addr = arg[0]; addr < (ulong_t)(arg[0] + arg[1]); addr += PAGE) {
		if (arg[2]) *(volatile char *)addr = 1;
		else sink = *(volatile char *)addr;
	}
}

static long carry_out(const struct op *op)
{
	const long *a = op->arg;
	long ret = 0;

	switch (op->call) {
	case 'm': ret = syscall(SYS_mmap, a[0], a[1], a[2], a[3], a[4] < 0 ? -1 : files[a[4]], a[5]); break;
	case 'u': ret = syscall(SYS_munmap, a[0], a[1]); break;
	case 'p': ret = syscall(SYS_mprotect, a[0], a[1], a[2]); break;
	case 'r': ret = syscall(SYS_mremap, a[0], a[1], a[2], a[3], a[4]); break;
	case 'a': ret = syscall(SYS_madvise, a[0], a[1], a[2]); break;
	case 'l': ret = syscall(SYS_mlock2, a[0], a[1], a[2]); break;
	case 'L': ret = syscall(SYS_munlock, a[0], a[1]); break;
	case 's': ret = syscall(SYS_msync, a[0], a[1], a[2]); break;
	case 't': touch(a); break;
	}
	return ret == -1 ? -errno : ret;
}

static void play(int self, size_t from);

/* Returns how long the parent waited for the child, which is not the parent's work. */
static uint64_t fork_child(int child, size_t next)
{
	char byte;
	int finished[2];

	if (pipe(leave[child]) || pipe(finished)) die("pipe");
	pid_t pid = fork();
	if (pid < 0) die("fork");
	if (pid == 0) {
		/* Whoever holds a writing end keeps the child of that pipe alive. */
		for (int i = 0; i < MAX_PROCESSES; i++)
			if (pids[i] || i == child) close(leave[i][1]);
		memset(pids, 0, sizeof pids);
		play(child, next);
		byte = 1;
		if (write(finished[1], &byte, 1) != 1) die("pipe");
		while (read(leave[child][0], &byte, 1) > 0) {}
		_exit(0);
	}
	pids[child] = pid;
	close(leave[child][0]);
	uint64_t began = now_ns();
	if (read(finished[0], &byte, 1) != 1) die("pipe");
	close(finished[0]);
	close(finished[1]);
	return now_ns() - began;
}

static void end_child(int child)
{
	if (pids[child] == 0) return;
	close(leave[child][1]);
	waitpid(pids[child], NULL, 0);
	pids[child] = 0;
}

static void play(int self, size_t from)
{
	uint64_t began = now_ns(), waited = 0;
	unsigned long done = 0, wrong = 0;

	for (size_t i = from; i < nr_ops; i++) {
		const struct op *op = &ops[i];
		if (op->process != self) continue;
		done++;
		if (op->call == 'F') waited += fork_child(op->arg[0], i + 1);
		else if (op->call == 'X') end_child(op->arg[0]);
		else {
			long got = carry_out(op);
			if (got == op->expected) continue;
			if (++wrong <= MAX_WRONG_SHOWN)
				fprintf(stderr, "operation %zu %c(%lx, %lx, %lx, %lx, %lx): %lx, recorded %lx\n", i, op->call, op->arg[0],
					op->arg[1], op->arg[2], op->arg[3], op->arg[4], got, op->expected);
		}
	}
	shared->ns += now_ns() - began - waited;
	shared->done += done;
	shared->wrong += wrong;
}

int main(int argc, char **argv)
{
	if (argc != 2) return 2;
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) die("shared");
	read_input(argv[1]);
	play(0, 0);
	struct end_state state = nothing_seen();
	for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) look(&state, windows[i][0], windows[i][1], 0);
	for (int child = 0; child < MAX_PROCESSES; child++) end_child(child);
	printf("done %lu\nwrong %lu\n", shared->done, shared->wrong);
	print_result(shared->ns, state);
	return 0;
}
