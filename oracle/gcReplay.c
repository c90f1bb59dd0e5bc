/* SPDX-License-Identifier: MIT */
/*
 * The calls and faults of a run of the workload compacting-gc, once more, on the running kernel: one operation a line of standard input, in the
 * order in which the model carried them out, all by one thread. Prints one line for each:
 *
 *   call    RESULT vmas N rss KB      0 or the errno of the call; how many VMAs the window has then, and what of it is resident
 *   touch   signal | faults N         one access: it got SIGBUS or SIGSEGV, or was served by N page faults
 *
 * Addresses are those of the model less SHIFT, where this program has nothing. Needs userfaultfd and memfd, no privileges where
 * vm.unprivileged_userfaultfd is set.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SHIFT 0x100000000000UL
#define LOW 0x6f0000000000UL
#define HIGH 0x700000000000UL

#ifndef UFFDIO_MOVE
struct uffdio_move { uint64_t dst, src, len, mode; int64_t move; };
#define UFFDIO_MOVE _IOWR(UFFDIO, 0x05, struct uffdio_move)
#endif

static sigjmp_buf out;
static int fds[1024];
static uint64_t a[6];

static void on_signal(int sig) { siglongjmp(out, sig); }

static void touch(int is_write)
{
	volatile uint64_t *p = (volatile uint64_t *)(a[0] - SHIFT);
	struct rusage before, after;

	if (sigsetjmp(out, 1)) {
		puts("signal");
		return;
	}
	getrusage(RUSAGE_SELF, &before);
	if (is_write)
		*p = 1;
	else
		(void)*p;
	getrusage(RUSAGE_SELF, &after);
	printf("faults %ld\n", after.ru_minflt - before.ru_minflt);
}

/* The window's part of smaps, read into memory that is there already. */
static char text[1 << 24];

static void window(long *vmas, long *rss)
{
	int fd = open("/proc/self/smaps", O_RDONLY);
	size_t len = 0;
	ssize_t n;
	int inside = 0;
	char *line;

	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	close(fd);
	text[len] = 0;
	*vmas = *rss = 0;
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		unsigned long start, end;
		long kb;

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
			inside = start >= LOW && start < HIGH;
			*vmas += inside;
		} else if (inside && sscanf(line, "Rss: %ld kB", &kb) == 1)
			*rss += kb;
	}
}

static long range_ioctl(unsigned long which)
{
	struct uffdio_range r = { a[1] - SHIFT, a[2] };
	struct uffdio_register reg = { .range = r, .mode = a[3] };

	return ioctl(fds[a[0]], which, which == UFFDIO_REGISTER ? (void *)&reg : (void *)&r);
}

static long open_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = a[1] };

	fds[a[0]] = syscall(SYS_userfaultfd, O_CLOEXEC);
	return fds[a[0]] < 0 ? -1 : ioctl(fds[a[0]], UFFDIO_API, &api);
}

static long map(void)
{
	int fd = a[4] == UINT64_MAX ? -1 : fds[a[4]];
	void *at = mmap((void *)(a[0] - SHIFT), a[1], a[2], a[3] | MAP_FIXED, fd, a[5]);

	return at == MAP_FAILED ? -1 : 0;
}

static long call(const char *what)
{
	char *at = (char *)(a[0] - SHIFT);

	if (!strcmp(what, "mmap")) return map();
	if (!strcmp(what, "munmap")) return munmap(at, a[1]);
	if (!strcmp(what, "mprotect")) return mprotect(at, a[1], a[2]);
	if (!strcmp(what, "madvise")) return madvise(at, a[1], a[2]);
	if (!strcmp(what, "mremap"))
		return syscall(SYS_mremap, at, a[1], a[2], a[3], a[4] - SHIFT) == -1 ? -1 : 0;
	if (!strcmp(what, "memfd")) return (fds[a[0]] = memfd_create("heap", 0)) < 0 ? -1 : 0;
	if (!strcmp(what, "ftruncate")) return ftruncate(fds[a[0]], a[1]);
	if (!strcmp(what, "userfaultfd")) return open_uffd();
	if (!strcmp(what, "register")) return range_ioctl(UFFDIO_REGISTER);
	if (!strcmp(what, "unregister")) return range_ioctl(UFFDIO_UNREGISTER);
	if (!strcmp(what, "copy")) {
		struct uffdio_copy c = { .dst = a[1] - SHIFT, .len = a[2], .src = a[3] - SHIFT };

		return ioctl(fds[a[0]], UFFDIO_COPY, &c);
	}
	if (!strcmp(what, "move")) {
		struct uffdio_move m = { .dst = a[1] - SHIFT, .len = a[2], .src = a[3] - SHIFT };

		return ioctl(fds[a[0]], UFFDIO_MOVE, &m);
	}
	if (!strcmp(what, "continue")) {
		struct uffdio_continue c = { .range = { a[1] - SHIFT, a[2] } };

		return ioctl(fds[a[0]], UFFDIO_CONTINUE, &c);
	}
	if (!strcmp(what, "zeropage")) {
		struct uffdio_zeropage z = { .range = { a[1] - SHIFT, a[2] } };

		return ioctl(fds[a[0]], UFFDIO_ZEROPAGE, &z);
	}
	fprintf(stderr, "gcReplay: unknown: %s\n", what);
	exit(2);
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_NODEFER };
	static char line[256], what[32];
	long vmas, rss;

	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	memset(text, 1, sizeof(text));
	while (fgets(line, sizeof(line), stdin)) {
		memset(a, 0, sizeof(a));
		sscanf(line, "%31s %lu %lu %lu %lu %lu %lu", what, &a[0], &a[1], &a[2], &a[3], &a[4], &a[5]);
		if (!strcmp(what, "read") || !strcmp(what, "write")) {
			touch(what[0] == 'w');
			continue;
		}
		errno = 0;
		long result = call(what) == 0 ? 0 : errno;

		window(&vmas, &rss);
		printf("%s vmas %ld rss %ld\n", result == 0 ? "0" : strerrorname_np(result), vmas, rss);
	}
	return 0;
}
