/* SPDX-License-Identifier: MIT */
/*
 * Runs ops files on the running kernel and prints them with the kernel's answers. README.md and docs/ops-files.md have the format.
 *
 * This process reads, looks and prints. Each sequence is carried out by an executor (opsWorker.c), a small program that is part of this one
 * and was executed once; the two share memory, and the executor is asked to do all operations up to the next snapshot at once.
 */
#include "guard.h"
#include "ops.h"
#include "opsBare.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SECONDS = 60, MOST_SWAP_SECONDS = 1, IN_BYTES = 65536, TICK_MS = 100, LINE = 512, STACK_LIMIT = 8 << 20 };

#define FORMAT "# opfuzz format 1 "
#define UFFD_FORMAT "# opfuzz-uffd format 1 "
/* Of the swap device of a sequence with userfaultfd. */
#define SWAP_PAGES (1UL << 18)

static struct ops_shared *shared;
static char (*texts)[LINE];
static pid_t executor;

/* The executor's program, put into this one by the Makefile. */
extern const char executor_image[], executor_image_end[];
__asm__(".section .rodata\nexecutor_image:\n\t.incbin \"" EXECUTOR "\"\nexecutor_image_end:\n\t.byte 0\n\t.text\n");

/* ---- surroundings ---- */

/*
 * The kernel's collapser starts to scan at once when a process asks for huge pages and nobody had before, which would be in the middle of
 * a sequence. So there is always somebody: then it comes by every ten seconds only.
 */
static void always_somebody_with_huge_pages(void)
{
	pid_t parent = getpid();

	if (fork() != 0) return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	madvise(mmap(NULL, 4UL << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4UL << 20, MADV_HUGEPAGE);
	while (getppid() == parent) pause();
	_exit(0);
}

/* Returns a CPU that no other of us has taken, or the one we are on. The lock ends with this process. */
static int free_cpu(void)
{
	char path[64];
	cpu_set_t allowed;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed)) continue;
		snprintf(path, sizeof(path), "/tmp/faultline-oracle.cpu%d", cpu);
		int fd = guard_open(path);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) return cpu;
		if (fd >= 0) close(fd);
	}
	return sched_getcpu();
}

/* One CPU for everybody: pages that wait in a per-CPU list are then found again. */
static void stay_on_one_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu < 0 ? free_cpu() : cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0) { perror("--cpu"); exit(2); }
}

static void make_shared(void)
{
	int fd = memfd_create("ops", MFD_CLOEXEC);

	if (ftruncate(fd, (sizeof(*shared) + OPS_PG - 1) & -OPS_PG) != 0 || dup3(fd, SHARED_FD, O_CLOEXEC) < 0) { perror("memory"); exit(2); }
	close(fd);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, SHARED_FD, 0);
	texts = mmap(NULL, (size_t)MAX_OPS * LINE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < NR_FILES; i++) shared->shm[i] = -1;
	strcpy(shared->files, "/tmp/faultline-ops");
	mkdir(shared->files, 0777);
	chmod(shared->files, 0777);
}

/* Tells the executor where the kernel put its stack, which it leaves, and the pages of the vdso, up to which it fills. */
static void find_places(pid_t pid)
{
	char path[64], line[512];
	uint64_t start, end;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	FILE *maps = fopen(path, "r");
	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx", &start, &end) != 2) continue;
		if (strstr(line, "[stack]")) shared->stack = start, shared->stack_end = end;
		else if (strstr(line, "[vdso]")) shared->vdso = start, shared->vdso_end = end;
		if (start > SHARED_AT + sizeof(*shared) && shared->kernel_pages == 0) shared->kernel_pages = start;
	}
	if (maps) fclose(maps);
}

/* Executes the executor's program, without address randomisation and with a stack that does not move the mmap area. */
static void start_zygote(void)
{
	static char *const argv[] = { "executor", NULL };
	static char *const envp[] = { NULL };
	struct rlimit limit;
	int fd = memfd_create("executor", MFD_CLOEXEC);
	size_t size = executor_image_end - executor_image;

	if (write(fd, executor_image, size) != (ssize_t)size) { perror("executor"); exit(2); }
	pid_t pid = fork();
	if (pid == 0) {
		getrlimit(RLIMIT_STACK, &limit);
		limit.rlim_cur = STACK_LIMIT;
		setrlimit(RLIMIT_STACK, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		personality(ADDR_NO_RANDOMIZE);
		dup2(fd, EXECUTOR_FD);
		fcntl(SHARED_FD, F_SETFD, 0);
		dup2(STDERR_FILENO, STDIN_FILENO);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		fexecve(EXECUTOR_FD, argv, envp);
		_exit(2);
	}
	close(fd);
	executor = pid;
	while (bare_wait(&shared->answer, 0, TICK_MS) != 0)
		if (waitpid(pid, NULL, WNOHANG) == pid) { fprintf(stderr, "the executor cannot be started\n"); exit(2); }
	find_places(pid);
}

/* ---- one sequence ---- */

/* Waits for the next answer. Returns 0, or -1 when the executor died or takes too long. */
static int wait_for_answer(uint32_t seen)
{
	char text[64];
	int status;

	for (int tick = 0; tick < MAX_SECONDS * 1000 / TICK_MS; tick++) {
		if (bare_wait(&shared->answer, seen, TICK_MS) == 0) return 0;
		if (executor > 0 && waitpid(executor, &status, WNOHANG) == executor) {
			snprintf(text, sizeof(text), "died with status 0x%x\n", status);
			out_string(text);
			return -1;
		}
	}
	snprintf(text, sizeof(text), "died after more than %d seconds\n", MAX_SECONDS);
	out_string(text);
	return -1;
}

int ops_ask(uint32_t command)
{
	uint32_t seen = __atomic_load_n(&shared->answer, __ATOMIC_ACQUIRE);

	shared->command = command;
	bare_ring(&shared->ask);
	return wait_for_answer(seen);
}

/* Every how many-th snapshot of a sequence has `internal` lines, and how many snapshots there were. */
static uint32_t internals_every = 1, nr_snapshots;

static void print_snapshot(uint32_t number)
{
	view_want_internals(++nr_snapshots % internals_every == 0);
	out_string("snapshot ");
	out_decimal(number);
	out_string("\nself");
	view_process(shared, MAX_CHILDREN, executor);
	for (int k = 0; k < MAX_CHILDREN; k++) {
		if (shared->child[k].pid == 0) continue;
		out_string("child ");
		out_decimal(k);
		view_process(shared, k, shared->child[k].pid);
	}
	if (shared->uffd) uffd_print_contexts(shared, executor);
	out_string("end\n");
}

static int has_kind(uint32_t nr, uint16_t kind)
{
	for (uint32_t i = 0; i < nr; i++)
		if (shared->ops[i].kind == kind) return 1;
	return 0;
}

static int begin_sequence(uint32_t nr)
{
	shared->ask = shared->answer = 0;
	shared->nr_ops = nr;
	shared->all_present = has_kind(nr, OP_MLOCKALL);
	shared->prepared_fd = 0;
	shared->filled = 0;
	shared->pid = executor = 0;
	shared->nr_uffds = 0;
	for (int i = 0; i < NR_WORKERS; i++) shared->asleep[i] = 0;
	for (int i = 0; i < MAX_CHILDREN; i++) shared->child[i].asleep = shared->child[i].seen_pid = 0;
	bare_ring(&shared->spawn);
	int dead = wait_for_answer(0);
	executor = __atomic_load_n(&shared->pid, __ATOMIC_ACQUIRE);
	return dead;
}

/* Pages of the swap device that is there, or 0. */
static uint64_t has_swap;

static void end_swap(void)
{
	if (has_swap) guard_undo();
	has_swap = 0;
}

/* Ends whoever is left; children are found by their group, which those who were ended before have left behind as zombies. */
static void end_sequence(void)
{
	view_forget();
	if (executor > 0) kill(-executor, SIGKILL);
	while (executor > 0 && (waitpid(-executor, NULL, 0) > 0 || errno == EINTR)) {}
	memory_end();
	for (int i = 0; i < MAX_CHILDREN; i++) shared->child[i].ask = shared->child[i].pid = 0;
	for (int i = 0; i < NR_FILES; i++) {
		if (shared->shm[i] >= 0) shmctl(shared->shm[i], IPC_RMID, NULL);
		shared->shm[i] = -1;
	}
	if (shared->swap_pages == 0) guard_undo();
	out_flush();
}

/* ---- swap ---- */

static struct timespec swap_since;

/* Sequences that follow each other at once share a device, but nobody else is kept waiting for long. */
static void begin_swap(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (has_swap && now.tv_sec - swap_since.tv_sec >= MOST_SWAP_SECONDS) end_swap();
	if (has_swap) return;
	if (guard_swap_pages(shared->swap_pages) != 0) {
		fprintf(stderr, "no swap device can be made, or there is one already\n");
		exit(2);
	}
	has_swap = shared->swap_pages;
	swap_since = now;
}

static int is_of_memory(const struct op *op) { return op->kind == OP_MEMORY_MAX || op->kind == OP_MEMORY_RECLAIM; }

/* Where the stretch of operations that can be asked for at once ends: before what this process does itself, or when there is no more room. */
static uint32_t end_of_stretch(uint32_t from, uint32_t nr)
{
	uint64_t vec = 0;
	uint32_t until = from;

	for (; until < nr; until++) {
		const struct op *op = &shared->ops[until];
		if (op->kind == OP_SNAPSHOT || op->kind == OP_OVERCOMMIT || is_of_memory(op)) break;
		if (op->kind == OP_MINCORE && (vec += op->arg[1] / OPS_PG + 1) > VEC_BYTES && until > from) break;
	}
	return until;
}

static void set_overcommit(struct op *op)
{
	op->skipped = op->by >= 0 && shared->child[op->by].pid == 0;
	if (op->skipped) return;
	op->error = guard_overcommit((int)op->arg[0]) == 0 ? 0 : EPERM;
}

static void print_op(uint32_t i)
{
	if (shared->uffd) {
		uffd_print_op(shared, &shared->ops[i], texts[i]);
		uffd_print_joins(shared, i);
	} else out_op(&shared->ops[i], texts[i], shared->vec);
}

static void run_sequence(uint32_t nr)
{
	nr_snapshots = 0;
	if (has_kind(nr, OP_OPEN)) disk_mount(shared->files);
	if (has_swap != shared->swap_pages) end_swap();
	if (shared->swap_pages) begin_swap();
	else if (has_kind(nr, OP_OVERCOMMIT)) guard_lock();
	else guard_share();
	shared->in_group = has_kind(nr, OP_MEMORY_MAX) || has_kind(nr, OP_MEMORY_RECLAIM);
	/* What is shared is charged to us, so that it stays. */
	if (shared->in_group) madvise(shared, (sizeof(*shared) + OPS_PG - 1) & -OPS_PG, MADV_POPULATE_WRITE);
	int dead = begin_sequence(nr);
	if (shared->in_group && memory_begin(executor) != 0) {
		fprintf(stderr, "no memory cgroup can be made\n");
		exit(2);
	}
	for (uint32_t from = 0, until; !dead && from < nr; from = until) {
		until = end_of_stretch(from, nr);
		shared->from = from;
		shared->until = until;
		shared->vec_used = shared->nr_joins = 0;
		dead = until > from ? ops_ask(RUN) : 0;
		if (dead) break;
		for (uint32_t i = from; i < until; i++) print_op(i);
		if (until == nr) break;
		struct op *op = &shared->ops[until];
		if (op->kind == OP_MINCORE) continue;
		if (op->kind == OP_SNAPSHOT) print_snapshot(op->number);
		else {
			if (is_of_memory(op)) dead = memory_call(op);
			else set_overcommit(op);
			if (dead) break;
			out_op(op, texts[until], NULL);
		}
		until++;
	}
	end_sequence();
}

/* ---- input ---- */

/* In a file with results the second line of a number has the address at which the kernel had placed the first. */
static int is_of_placed(const struct op *op)
{
	if (op == shared->ops || op->number != op[-1].number || (op->kind != OP_MUNMAP && op->kind != OP_MREMAP)) return 0;
	return op->arg[0] != PLACED && (op->arg[0] < WINDOW || op->arg[0] >= shared->window_end);
}

/* Keeps an operation and its text up to the end of its arguments, which is what is printed again. */
static int add_line(const char *line, uint32_t nr)
{
	struct op *op = &shared->ops[nr];
	const char *why = "too many operations";
	int kind = nr < MAX_OPS ? ops_parse(line, op, shared->uffd, &why) : -1;

	if (kind < 0) {
		fprintf(stderr, "%s: %s", why, line);
		exit(2);
	}
	if (kind > 0) return 0;
	int length = strcspn(line, ")") + 1;
	if (is_of_placed(op)) {
		int name = strcspn(line, "(") + 1, addr = strcspn(line, ",");
		op->arg[0] = PLACED;
		snprintf(texts[nr], LINE, "%.*splaced%.*s", name, line, length - addr, line + addr);
	} else {
		memcpy(texts[nr], line, length);
		texts[nr][length] = '\0';
	}
	return 1;
}

static void read_header(const char *line)
{
	const char *window = strstr(line, " window "), *swap = strstr(line, " swap ");
	uint64_t start = 0, end = 0;

	if (!window || sscanf(window, " window %lx-%lx", &start, &end) != 2 || start != WINDOW || end > WINDOW + MAX_WINDOW) {
		fprintf(stderr, "the window must begin at 0x%lx and have at most %lu bytes: %s", WINDOW, MAX_WINDOW, line);
		exit(2);
	}
	shared->window_end = end;
	const char *memfd = strstr(line, " memfd ");
	shared->uffd = strncmp(line, UFFD_FORMAT, strlen(UFFD_FORMAT)) == 0;
	shared->memfd_bytes = memfd ? strtoul(memfd + 7, NULL, 10) : 0;
	shared->swap_pages = swap ? strtoul(swap + 6, NULL, 10) : shared->uffd ? SWAP_PAGES : 0;
	out_string(line);
}

/* Reads a line with its newline. Returns 0 at the end. While there is nothing to read, there is no swap device. */
static int read_line(char *line, size_t size)
{
	static char in[IN_BYTES];
	static ssize_t at, end;
	size_t length = 0;

	while (length < size - 1) {
		if (at == end) {
			struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
			if (has_swap && poll(&p, 1, 0) == 0) end_swap();
			at = 0;
			end = read(STDIN_FILENO, in, sizeof(in));
			if (end <= 0) end = 0;
			if (end == 0) break;
		}
		line[length++] = in[at++];
		if (line[length - 1] == '\n') break;
	}
	line[length] = '\0';
	return length > 0;
}

static void read_sequences(void)
{
	static char line[LINE];
	uint32_t nr = 0;
	int open_sequence = 0;

	while (read_line(line, sizeof(line))) {
		int header = strncmp(line, FORMAT, strlen(FORMAT)) == 0 || strncmp(line, UFFD_FORMAT, strlen(UFFD_FORMAT)) == 0;
		if (!header && strcmp(line, "end of sequence\n") != 0) {
			if (open_sequence) nr += add_line(line, nr);
			continue;
		}
		if (open_sequence) run_sequence(nr);
		if (header) read_header(line);
		nr = 0;
		open_sequence = header;
	}
	if (open_sequence) run_sequence(nr);
	end_swap();
}

int main(int argc, char **argv)
{
	const char *why;
	int cpu = -1, internals = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--cpu") == 0 && i + 1 < argc) cpu = atoi(argv[++i]);
		else if (strcmp(argv[i], "--internals") == 0) internals = 1;
		else if (strncmp(argv[i], "--internals=", 12) == 0 && atoi(argv[i] + 12) > 0) internals = internals_every = atoi(argv[i] + 12);
		else {
			fprintf(stderr, "usage: opsrun [--cpu N] [--internals[=N]] < some.ops\n");
			return 2;
		}
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	/* System V segments and mounts then go with us, whatever happens. */
	if (unshare(CLONE_NEWIPC | CLONE_NEWNS) == 0) mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	stay_on_one_cpu(cpu);
	always_somebody_with_huge_pages();
	make_shared();
	shared->stir = sysconf(_SC_NPROCESSORS_ONLN) + 1;
	start_zygote();
	if (internals && view_internals(&why) != 0) fprintf(stderr, "no internals: %s\n", why);
	read_sequences();
	return 0;
}
