/* SPDX-License-Identifier: MIT */
/*
 * Runs cases on the running kernel: reads them from stdin, prints what was observed. README.md has the protocol.
 *
 * This process observes and prints. Each case runs in a process forked from it (steps.c), which has nothing mapped in the
 * window and asks the observer, over a socket, for everything that needs privileges or memory of its own.
 *
 * What a case finds is made repeatable. Address choice: every gap above the lowest mapping of the mmap area is plugged,
 * and the highest gap that is left ends TOP_PAGES pages above a multiple of 2 MiB, below a written page. Heap: there is one of a few touched
 * pages, as after the first malloc() of a program.
 */
#include "case.h"
#include "guard.h"
#include "observe.h"
#include "pages.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CASE_SECONDS = 60, TOP_PAGES = 100, HEAP_PAGES = 33, TABLE_PAGES = 512, HEAP_WITHIN = 1 << 30, HEAP_GROWTH = 64 << 20 };

static struct step steps[MAX_STEPS];

long read_number(const char *path)
{
	char buf[32];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);
	if (fd >= 0) close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return atol(buf);
}

long vma_count(const char *maps_path)
{
	static char buf[65536];
	static const char vsyscall[] = "ffffffffff600000-";
	int fd = open(maps_path, O_RDONLY | O_CLOEXEC);
	long lines = 0;

	if (fd < 0) return -1;
	for (ssize_t n; (n = read(fd, buf, sizeof(buf) - 1)) > 0;) {
		buf[n] = '\0';
		for (char *p = buf; (p = strchr(p, '\n')); p++) lines++;
		lines -= strncmp(buf, vsyscall, sizeof(vsyscall) - 1) == 0 || strstr(buf, "\nffffffffff600000-") != NULL;
	}
	close(fd);
	return lines;
}

/* Returns the start of the lowest mapping of the mmap area, which no stack limit brings below 0x6aaa.... */
static uintptr_t lowest_mapping(void)
{
	static char buf[32768];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, buf, sizeof(buf) - 1);
	uintptr_t at = 0;

	close(fd);
	buf[n > 0 ? n : 0] = '\0';
	for (char *line = buf; at < 0x600000000000; line = strchr(line, '\n') + 1) at = strtoul(line, NULL, 16);
	return at;
}

/* See the top: plugs the gaps of the mmap area and brings its lower end to where it shall be. */
static void plug_gaps(void)
{
	uintptr_t lowest = lowest_mapping(), at;

	do {
		at = (uintptr_t)mmap(NULL, PG, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	} while (at > lowest && at != (uintptr_t)MAP_FAILED);
	uintptr_t down = at / (TABLE_PAGES * PG) * TABLE_PAGES * PG + TOP_PAGES * PG;
	if (down >= at) down -= TABLE_PAGES * PG;
	mmap((void *)down, at - down, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	/* A written page with access that no case asks for: so there is a page table, and nothing merges with it. */
	mprotect((void *)down, PG, PROT_READ | PROT_WRITE | PROT_EXEC);
	*(volatile char *)down = 1;
}

/* See the top. Touched in this process, it is inherited by the cases, where it cannot grow: growth makes a second VMA. */
static void make_heap(void)
{
	char *heap = sbrk(HEAP_PAGES * PG);
	for (size_t i = 0; i < HEAP_PAGES; i++) heap[i * PG] = 1;
}

/*
 * The kernel's collapser starts to scan at once when a process asks for huge pages and nobody had before, which would be in the middle of
 * a case. So there is always somebody: then it comes by every ten seconds only.
 */
static pid_t always_somebody_with_huge_pages(void)
{
	pid_t parent = getpid(), somebody = fork();

	if (somebody != 0) return somebody;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	madvise(mmap(NULL, TABLE_PAGES * PG, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), TABLE_PAGES * PG, MADV_HUGEPAGE);
	while (getppid() == parent) pause();
	_exit(0);
}

/* One CPU: a page just freed or waiting in a per-CPU list is then found again by the same case. */
static void stay_on_one_cpu(void)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void answer(const struct message *m)
{
	observe_freed_pages();
	if (m->ask == ASK_END) return;
	if (m->ask == ASK_LOCK) { guard_lock(); return; }
	printf("%d ", m->step);
	switch (m->ask) {
	case ASK_TEXT: printf("%s\n", m->text); break;
	case ASK_VMAS: observe_vmas(m->pid); break;
	case ASK_VMACOUNT: observe_vma_count(m->pid); break;
	case ASK_PFN: observe_pages(m->pid, m->arg[0], m->arg[1], (int)m->arg[2]); break;
	case ASK_TABLES: observe_tables(m->pid, m->arg[0], m->arg[1]); break;
	case ASK_COUNT: observe_count(m->pid); break;
	case ASK_OVERCOMMIT: printf(guard_overcommit((int)m->arg[0]) == 0 ? "-> 0\n" : "-> cannot be set here\n"); break;
	case ASK_SWAP: guard_swap(); break;
	case ASK_SETTLED: pages_settled(m->pid); printf("-> 0\n"); break;
	case ASK_STATUS: pages_status(m->pid, (int)m->arg[0]); break;
	case ASK_FIGURES: pages_figures(m->pid, m->arg[0], m->arg[1], m->arg[2]); break;
	case ASK_PM: pages_states(m->pid, m->arg[0], m->arg[1]); break;
	case ASK_WORD: pages_word(m->pid, m->arg[0]); break;
	case ASK_FOLIO: pages_folios(m->pid, m->arg[0], m->arg[1]); break;
	case ASK_LOCK:
	case ASK_END: break;
	}
}

/* Answers the case process until it ends, dies or has run for too long. */
static void observe(int fd, pid_t pid)
{
	time_t deadline = time(NULL) + CASE_SECONDS;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	static struct message m;
	int status;

	while (time(NULL) < deadline) {
		int ready = poll(&p, 1, 100);
		if (ready > 0) {
			if (recv(fd, &m, sizeof(m), 0) != sizeof(m)) break;
			answer(&m);
			send(fd, "k", 1, MSG_NOSIGNAL);
			if (m.ask == ASK_END) return;
		} else if (waitpid(pid, &status, WNOHANG) == pid) {
			printf("died with status 0x%x\n", status);
			return;
		}
	}
	printf("died after more than %d seconds\n", CASE_SECONDS);
}

static void run_case(const char *id, int nr_steps)
{
	int ends[2];

	printf("case %s\n", id);
	fflush(stdout);
	observe_reset();
	memset(shared, 0, sizeof(*shared));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) { perror("socketpair"); exit(2); }
	pid_t pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		close(ends[0]);
		case_run(steps, nr_steps, ends[1]);
	}
	setpgid(pid, pid);
	close(ends[1]);
	observe(ends[0], pid);
	kill(-pid, SIGKILL);
	while (waitpid(-pid, NULL, 0) > 0) {}
	close(ends[0]);
	guard_undo();
	printf("end\n");
	fflush(stdout);
}

/*
 * Without randomisation the stack and the mmap area would lie where cases at the very top of the address space map. With it the heap may
 * lie just below a multiple of 1 GiB, and would need one more table when it grows: then another address is drawn.
 */
static void randomise(char **argv)
{
	int persona = personality(0xffffffff);
	if (!(persona & ADDR_NO_RANDOMIZE) && (uintptr_t)sbrk(0) % HEAP_WITHIN < HEAP_WITHIN - HEAP_GROWTH) return;
	personality(persona & ~ADDR_NO_RANDOMIZE);
	execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
	static char in[65536], out[65536], line[1024], id[64];
	const char *why = "";
	int nr_steps = 0, line_number = 0;

	int use_bpf = argc < 2 || strcmp(argv[1], "--smaps") != 0;

	randomise(argv);
	setvbuf(stdin, in, _IOFBF, sizeof(in)); /* no malloc: what a case finds shall not depend on it */
	setvbuf(stdout, out, _IOFBF, sizeof(out));
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t somebody = always_somebody_with_huge_pages();
	stay_on_one_cpu();
	shared = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	observe_open(use_bpf, &why);
	printf("vmas %s%s\n", *why ? "smaps: " : "bpf", why);
	make_heap();
	plug_gaps();

	while (fgets(line, sizeof(line), stdin)) {
		line_number++;
		if (sscanf(line, "case %63s", id) == 1) { nr_steps = 0; continue; }
		if (strcmp(line, "end\n") == 0) { run_case(id, nr_steps); continue; }
		if (nr_steps < MAX_STEPS && step_parse(line, &steps[nr_steps++], &why) == 0) continue;
		fprintf(stderr, "line %d: %s\n", line_number, nr_steps < MAX_STEPS ? why : "too many steps");
		return 2;
	}
	kill(somebody, SIGKILL);
	waitpid(somebody, NULL, 0);
	return 0;
}
