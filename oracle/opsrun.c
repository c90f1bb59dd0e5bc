/* SPDX-License-Identifier: MIT */
/*
 * Runs ops files (opfuzz format 1) on the running kernel and prints them with the kernel's answers. README.md has the format.
 *
 * This process reads and prints. Each sequence is carried out by an executor (opsWorker.c), which is this program executed anew without
 * address randomisation; the two share memory, and the executor is asked to do all operations up to the next snapshot at once.
 */
#include "guard.h"
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_SECONDS = 60, TICK_MS = 100, SHARED_FD = 100, LINE = 512 };

static struct ops_shared *shared;
static char (*texts)[LINE];
static int shared_fd;

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

/* One CPU for everybody: pages that wait in a per-CPU list are then found again. */
static void stay_on_one_cpu(void)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Asks the executor for operations, or waits until it is ready for some. Returns 0, or -1 when it died or takes too long. */
static int ask(pid_t pid, uint32_t from, uint32_t until, int ready)
{
	uint32_t seen = __atomic_load_n(&shared->answer, __ATOMIC_ACQUIRE);
	int status;

	if (!ready) seen = 0;
	shared->from = from;
	shared->until = until;
	if (ready) ops_ring(&shared->ask);
	for (int tick = 0; tick < MAX_SECONDS * 1000 / TICK_MS; tick++) {
		if (ops_wait(&shared->answer, seen, TICK_MS) == 0) return 0;
		if (waitpid(pid, &status, WNOHANG) == pid) {
			printf("died with status 0x%x\n", status);
			return -1;
		}
	}
	printf("died after more than %d seconds\n", MAX_SECONDS);
	return -1;
}

static void print_signal(const struct op *op)
{
	const char *code = op->signal == SIGBUS ? "BUS" : op->code == SEGV_MAPERR ? "SEGV_MAPERR" : op->code == SEGV_ACCERR ? "SEGV_ACCERR" : "?";
	printf(" = -1 %s {si_code=%s, si_addr=0x%lx}", op->signal == SIGBUS ? "SIGBUS" : "SIGSEGV", code, op->at);
}

static void print_result(const struct op *op)
{
	if (op->signal) print_signal(op);
	else if (op->error) printf(" = -1 %s (%s)", strerrorname_np(op->error), strerror(op->error));
	else if (op->kind == OP_FORK) printf(" = child %ld", op->result);
	else if (op->kind == OP_MMAP || op->kind == OP_MREMAP) printf(" = 0x%lx", op->result);
	else printf(" = %ld", op->result);
}

/* Prints an operation as it was written, with the address that `placed` stood for. */
static void print_op(const struct op *op, const char *text)
{
	const char *placed = op->placed ? strstr(text, "placed") : NULL;

	if (op->skipped) return;
	if (placed) printf("%.*s0x%lx%s", (int)(placed - text), text, op->placed, placed + strlen("placed"));
	else fputs(text, stdout);
	if (op->kind == OP_CHILD_EXIT || op->kind == OP_NOP) { printf("\n"); return; }
	print_result(op);
	if (op->kind != OP_FORK && op->kind != OP_CHILD_TOUCH_READ && op->kind != OP_CHILD_TOUCH_WRITE) printf(" <flt %u>", op->faults);
	printf("\n");
}

static void print_snapshot(pid_t pid, uint32_t number)
{
	printf("snapshot %u\nself", number);
	ops_view(pid, shared->window_end);
	for (int k = 0; k < MAX_CHILDREN; k++) {
		if (shared->child[k].pid == 0) continue;
		printf("child %d", k);
		ops_view(shared->child[k].pid, shared->window_end);
	}
	printf("end\n");
}

static pid_t start_executor(void)
{
	static char *const argv[] = { "opsrun", "--execute", NULL };
	static char *const envp[] = { NULL };
	pid_t pid = fork();

	if (pid == 0) {
		setpgid(0, 0);
		personality(ADDR_NO_RANDOMIZE);
		dup2(shared_fd, SHARED_FD);
		execve("/proc/self/exe", argv, envp);
		_exit(2);
	}
	setpgid(pid, pid);
	return pid;
}

/* What paging out does depends on swap space, so nobody shall add some meanwhile. */
static int pages_out(uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		if (shared->ops[i].kind == OP_MADVISE && shared->ops[i].arg[2] == MADV_PAGEOUT) return 1;
	return 0;
}

static void run_sequence(uint32_t nr)
{
	fflush(stdout);
	if (pages_out(nr)) guard_lock();
	shared->ask = shared->answer = 0;
	memset(shared->child, 0, sizeof(shared->child));
	pid_t pid = start_executor();
	int dead = ask(pid, 0, 0, 0);

	for (uint32_t from = 0, until; !dead && from < nr; from = until) {
		for (until = from; until < nr && shared->ops[until].kind != OP_SNAPSHOT; until++) {}
		dead = ask(pid, from, until, 1);
		if (dead) break;
		for (uint32_t i = from; i < until; i++) print_op(&shared->ops[i], texts[i]);
		if (until < nr) print_snapshot(pid, shared->ops[until++].number);
	}
	kill(-pid, SIGKILL);
	while (waitpid(-pid, NULL, 0) > 0 || errno == EINTR) {}
	guard_undo();
	fflush(stdout);
}

/* In a file with results the second line of a number has the address at which the kernel had placed the first. */
static int is_of_placed(const struct op *op)
{
	if (op == shared->ops || op->number != op[-1].number || (op->kind != OP_MUNMAP && op->kind != OP_MREMAP)) return 0;
	return op->arg[0] != PLACED && (op->arg[0] < WINDOW || op->arg[0] >= shared->window_end);
}

/* Keeps an operation and its text up to the end of its arguments, which is what is printed again. */
static int add_line(char *line, uint32_t nr)
{
	static char copy[LINE];
	struct op *op = &shared->ops[nr];
	const char *why = "too many operations";
	int kind;

	snprintf(copy, sizeof(copy), "%s", line);
	kind = nr < MAX_OPS ? ops_parse(copy, op, &why) : -1;
	if (kind < 0) {
		fprintf(stderr, "%s: %s", why, line);
		exit(2);
	}
	if (kind > 0) return 0;
	int length = strcspn(line, ")") + 1, name = strcspn(line, "(") + 1, addr = strcspn(line, ",");
	if (is_of_placed(op)) {
		op->arg[0] = PLACED;
		snprintf(texts[nr], LINE, "%.*splaced%.*s", name, line, length - addr, line + addr);
	} else snprintf(texts[nr], LINE, "%.*s", length, line);
	return 1;
}

int main(int argc, char **argv)
{
	static char in[65536], out[65536], line[LINE];
	uint32_t nr = 0;
	int open_sequence = 0;

	if (argc > 1 && strcmp(argv[1], "--execute") == 0) ops_worker(SHARED_FD);
	setvbuf(stdin, in, _IOFBF, sizeof(in));
	setvbuf(stdout, out, _IOFBF, sizeof(out));
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	stay_on_one_cpu();
	always_somebody_with_huge_pages();
	shared_fd = memfd_create("ops", MFD_CLOEXEC);
	if (ftruncate(shared_fd, sizeof(*shared)) != 0) { perror("memory"); return 2; }
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd, 0);
	texts = mmap(NULL, (size_t)MAX_OPS * LINE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	while (fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "# opfuzz format 1 ", 18) != 0) {
			if (open_sequence) nr += add_line(line, nr);
			continue;
		}
		if (open_sequence) run_sequence(nr);
		const char *window = strstr(line, " window ");
		uint64_t start = 0, end = 0;
		if (!window || sscanf(window, " window %lx-%lx", &start, &end) != 2 || start != WINDOW || end > WINDOW + MAX_WINDOW) {
			fprintf(stderr, "the window must begin at 0x%lx and have at most %lu bytes: %s", WINDOW, MAX_WINDOW, line);
			return 2;
		}
		shared->window_end = end;
		nr = 0;
		open_sequence = 1;
		fputs(line, stdout);
	}
	if (open_sequence) run_sequence(nr);
	return 0;
}
