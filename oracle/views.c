/* SPDX-License-Identifier: MIT */
/*
 * Makes calls and accesses that it is told, and prints what /proc says of itself: the blocks of smaps inside a window, smaps_rollup, the
 * lines of status about memory, statm, and pagemap without frame numbers. All it prints is the kernel's text, unchanged.
 *
 *   call NR A B C D E F        a system call, decimal or 0x
 *   memfd BYTES FD             a memfd of that size, as descriptor FD
 *   touch r|w ADDR PAGES       the first word of each page
 *   fork                       a child that waits, numbered from 0
 *   child K r|w ADDR PAGES     an access by child K
 *   swap                       there is swap space until the end
 *   view                       prints
 *
 * Its own memory is there before the first view and stays as it is, so that two views differ by what was asked for. One CPU, so that what lies in
 * a per-CPU list is found again.
 */
#include "guard.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, MAX_CHILDREN = 8, MAX_INPUT = 1 << 16, WORDS = 1 << 15 };
static const uintptr_t WINDOW = 0x100000000000, WINDOW_END = 0x100008000000;

struct child { pid_t pid; int ask, answer; };
struct request { char kind; uintptr_t addr; long pages; };

static char input[MAX_INPUT], text[1 << 20];
static uint64_t words[WORDS];
static struct child children[MAX_CHILDREN];
static int nr_children;

static void die(const char *what) { perror(what); exit(1); }

static void put(const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = write(1, bytes, length);
		if (n <= 0) die("write");
		bytes += n;
		length -= n;
	}
}

/* Reads a file of /proc/self whole. */
static size_t slurp(const char *path)
{
	size_t length = 0;
	int fd = open(path, O_RDONLY);
	if (fd < 0) die(path);
	for (ssize_t n; (n = read(fd, text + length, sizeof(text) - 1 - length)) > 0; length += n) ;
	close(fd);
	text[length] = 0;
	return length;
}

static void show_smaps(void)
{
	int inside = 0;
	slurp("/proc/self/smaps");
	for (char *line = text, *end; *line; line = end) {
		unsigned long start, stop;
		end = strchr(line, '\n') + 1;
		if (sscanf(line, "%lx-%lx ", &start, &stop) == 2 && strchr(line, '-') - line < 17)
			inside = start >= WINDOW && start < WINDOW_END;
		if (inside) put(line, end - line);
	}
}

static void show_status(void)
{
	slurp("/proc/self/status");
	for (char *line = text, *end; *line; line = end) {
		end = strchr(line, '\n') + 1;
		if (!strncmp(line, "Vm", 2) || !strncmp(line, "Rss", 3)) put(line, end - line);
	}
}

static void show_pagemap(void)
{
	char line[64];
	int fd = open("/proc/self/pagemap", O_RDONLY);
	if (fd < 0 || pread(fd, words, sizeof(words), WINDOW / PAGE * 8) != sizeof(words)) die("pagemap");
	close(fd);
	for (long i = 0; i < WORDS; i++)
		if (words[i]) put(line, snprintf(line, sizeof(line), "%lx %lx\n", WINDOW + i * PAGE, words[i] >> 55));
}

static void view(void)
{
	put("smaps\n", 6);
	show_smaps();
	put("rollup\n", 7);
	put(text, slurp("/proc/self/smaps_rollup"));
	put("status\n", 7);
	show_status();
	put("statm\n", 6);
	put(text, slurp("/proc/self/statm"));
	put("pagemap\n", 8);
	show_pagemap();
	put("end\n", 4);
}

static void touch(char kind, uintptr_t addr, long pages)
{
	for (long i = 0; i < pages; i++) {
		volatile uint64_t *word = (uint64_t *)(addr + i * PAGE);
		if (kind == 'w') *word = 1;
		else (void)*word;
	}
}

static void serve(int ask, int answer)
{
	struct request r;
	while (read(ask, &r, sizeof(r)) == sizeof(r)) {
		touch(r.kind, r.addr, r.pages);
		if (write(answer, "x", 1) != 1) break;
	}
	_exit(0);
}

static void make_child(void)
{
	int ask[2], answer[2];
	if (pipe(ask) || pipe(answer)) die("pipe");
	pid_t pid = fork();
	if (pid < 0) die("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(ask[0], answer[1]);
	}
	children[nr_children++] = (struct child){ pid, ask[1], answer[0] };
}

static void ask_child(int k, struct request r)
{
	char c;
	if (write(children[k].ask, &r, sizeof(r)) != sizeof(r) || read(children[k].answer, &c, 1) != 1) die("child");
}

static void run(char *line)
{
	long n[8] = { 0 };
	char kind = 0;
	int k;
	if (sscanf(line, "call %li %li %li %li %li %li %li", n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6) >= 1) {
		char answer[32];
		long r = syscall(n[0], n[1], n[2], n[3], n[4], n[5], n[6]);
		put(answer, snprintf(answer, sizeof(answer), "%ld\n", r));
	} else if (sscanf(line, "memfd %li %i", n, &k) == 2) {
		int fd = syscall(SYS_memfd_create, "view", 0);
		if (fd < 0 || ftruncate(fd, n[0]) || dup2(fd, k) != k || close(fd)) die("memfd");
	} else if (sscanf(line, "touch %c %li %li", &kind, n, n + 1) == 3) {
		touch(kind, n[0], n[1]);
	} else if (sscanf(line, "child %d %c %li %li", &k, &kind, n, n + 1) == 4) {
		ask_child(k, (struct request){ kind, n[0], n[1] });
	} else if (!strcmp(line, "fork")) {
		make_child();
	} else if (!strcmp(line, "swap")) {
		guard_swap();
	} else if (!strcmp(line, "view")) {
		view();
	} else {
		fprintf(stderr, "no such line: %s\n", line);
		exit(1);
	}
}

/* Brings in, for good, what this program is made of. */
static void settle(void)
{
	unsigned long start, stop;
	char perms[8];
	slurp("/proc/self/maps");
	for (char *line = text, *end; *line; line = end) {
		end = strchr(line, '\n') + 1;
		if (sscanf(line, "%lx-%lx %7s", &start, &stop, perms) == 3 && perms[0] == 'r')
			madvise((void *)start, stop - start, perms[1] == 'w' ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	}
}

int main(void)
{
	cpu_set_t cpus;
	size_t length = 0;
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	for (ssize_t n; (n = read(0, input + length, sizeof(input) - 1 - length)) > 0; length += n) ;
	settle();
	for (char *line = strtok(input, "\n"); line; line = strtok(NULL, "\n")) run(line);
	for (int i = 0; i < nr_children; i++) kill(children[i].pid, SIGKILL);
	guard_undo();
	return 0;
}
