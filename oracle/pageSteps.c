/* SPDX-License-Identifier: MIT */
/*
 * The case process, second part: steps about pages.
 *
 * Faults and page tables are counted for the whole process, so the program itself must take no faults and make no tables while they are:
 * `settle` makes all of its own memory present, writable pages copied, and so does every fork on both sides. What is left are the
 * faults of the case; a case that does nothing counts 0 (rows of pages.cases say so).
 */
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef UFFDIO_POISON
#define UFFDIO_POISON _IOWR(0xAA, 0x08, struct uffd_range)
#endif
#ifndef UFFDIO_MOVE
#define UFFDIO_MOVE _IOWR(0xAA, 0x05, struct uffd_pages)
#endif

enum { STAMP = 200, MAX_PAGES_A_CALL = 1024 };

/* ---- this program's own memory ---- */

static int settled;
static long faults_before; /* charged before the case, or already told */

long charged_faults(void)
{
	struct rusage use;

	getrusage(RUSAGE_THREAD, &use);
	return use.ru_minflt + use.ru_majflt;
}

/* Populates what lies outside the window: writable private memory for writing, anything else for reading. */
static void populate_line(const char *line)
{
	char *end;
	unsigned long from = strtoul(line, &end, 16), to = strtoul(end + 1, &end, 16);
	const char *perms = end + 1;

	if (from >= WINDOW && from < FAR) return;
	if (perms[0] != 'r' || strncmp(perms, "rwx", 3) == 0) return;
	/* The heap stays as the case found it. */
	if (strstr(line, "[heap]")) return;
	madvise((void *)from, to - from, perms[1] == 'w' ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
}
static void populate_self(void)
{
	static char maps[65536];
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now); /* reads the page of the kernel's clock, which cannot be populated */
	clock_gettime(CLOCK_MONOTONIC, &now);
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t used = 0;

	for (ssize_t n; (n = read(fd, maps + used, sizeof(maps) - 1 - used)) > 0;) used += n;
	close(fd);
	maps[used] = '\0';
	for (char *line = maps, *newline; (newline = strchr(line, '\n')); line = newline + 1) {
		*newline = '\0';
		populate_line(line);
	}
}
void settle_again(long since)
{
	if (!settled) return;
	populate_self();
	faults_before += charged_faults() - since;
}
void settle_child(void)
{
	if (!settled) return;
	populate_self();
	faults_before = charged_faults();
}
static void settle(void)
{
	mmap((void *)ANCHOR, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	*(volatile char *)ANCHOR = 1;
	settled = 1;
	/* Once to have the code of all that follows present, once because the first time may itself have needed new pages. */
	populate_self();
	populate_self();
	ask(ASK_SETTLED, 0, 0, 0, "");
	faults_before = charged_faults();
	faults_before = charged_faults();
}
static void say_faults(void)
{
	long now = charged_faults();

	begin("");
	append("-> %ld", now - faults_before);
	faults_before = now;
	say_line();
}

/* ---- memory and files ---- */

/* The first bytes of the pages, added up; the first trap instead. */
static void sum(const struct step *s)
{
	unsigned long total = 0;

	begin("-> ");
	for (unsigned long i = 0; i < s->arg[1]; i++) {
		int v = access_byte(s->arg[0] + i * PG, 0, 0);
		if (v < 0) {
			append("SIG%d", trap_signal);
			say_line();
			return;
		}
		total += v;
	}
	append("%lu", total);
	say_line();
}
static long advise_each(const struct step *s)
{
	for (unsigned long i = 0; i < s->arg[1]; i++)
		if (syscall(SYS_madvise, s->arg[0] + i * s->arg[2], s->arg[3], s->arg[4]) != 0) return -1;
	return 0;
}
/* Returns how many calls worked before the first that did not. */
static long protect_each(const struct step *s)
{
	unsigned long i = 0;

	while (i < s->arg[1] && syscall(SYS_mprotect, s->arg[0] + i * s->arg[2], s->arg[3], s->arg[4]) == 0) i++;
	return i;
}
static long proc_file(const struct step *s)
{
	static char page[PG];
	int is_mem = s->op == OP_MEMWRITE, fd = open(is_mem ? "/proc/self/mem" : "/proc/self/pagemap", (is_mem ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	long done = 0, n = 0;

	memset(page, STAMP, sizeof(page));
	if (!is_mem) done = pread(fd, page, s->arg[0], s->arg[1]);
	else for (unsigned long i = 0; i < s->arg[1] && (n = pwrite(fd, page, PG, s->arg[0] + i * PG)) > 0; i++) done += n;
	int error = errno;
	close(fd);
	errno = error;
	return done == 0 && n < 0 ? n : done;
}

static void own_word(const struct step *s)
{
	uint64_t word = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t n = pread(fd, &word, sizeof(word), s->arg[0] / PG * sizeof(word));

	close(fd);
	begin("-> ");
	if (n == sizeof(word)) append("0x%lx", word);
	else append("-%s", strerrorname_np(errno));
	say_line();
}

/* ---- others who hold pages ---- */

static int ring = -1, ends[2] = { -1, -1 };
static long pin(const struct step *s)
{
	struct { uint32_t entries[2], flags, rest[27]; } parameters = { 0 };
	struct iovec buffer = { (void *)s->arg[0], s->arg[1] * PG };

	ring = syscall(SYS_io_uring_setup, 1, &parameters);
	return ring < 0 ? -1 : syscall(SYS_io_uring_register, ring, 0, &buffer, 1);
}
/* Has the kernel's scanner of equal pages look until these are one; puts its settings back. */
static long merge_equal(const struct step *s)
{
	static const char *const names[] = { "pages_to_scan", "sleep_millisecs", "run" }, *const wanted[] = { "10000", "1", "1" };
	char path[64], before[3][32] = { "" };
	uint64_t words[2] = { 0, 1 };
	int merged = 0;

	if (madvise((void *)s->arg[0], s->arg[1] * PG, MADV_MERGEABLE) < 0) return -1;
	int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", names[i]);
		int fd = open(path, O_RDWR | O_CLOEXEC);
		if (read(fd, before[i], sizeof(before[i]) - 1) <= 0 || write(fd, wanted[i], strlen(wanted[i])) < 0) errno = EPERM;
		close(fd);
	}
	for (int i = 0; i < 5000 && !merged; i++, usleep(1000))
		merged = pread(map, words, sizeof(words), s->arg[0] / PG * 8) == sizeof(words) && words[0] >> 63 && words[0] << 9 == words[1] << 9;
	for (int i = 2; i >= 0; i--) {
		snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", names[i]);
		int fd = open(path, O_WRONLY | O_CLOEXEC);
		if (write(fd, before[i], strlen(before[i])) < 0) errno = EPERM;
		close(fd);
	}
	close(map);
	errno = ETIMEDOUT;
	return merged ? 0 : -1;
}
static long unpin(void)
{
	long ret = syscall(SYS_io_uring_register, ring, 1, NULL, 0);

	close(ring);
	return ret;
}
static long splice_page(const struct step *s)
{
	struct iovec page = { (void *)s->arg[0], PG };

	if (pipe2(ends, O_CLOEXEC) < 0) return -1;
	return vmsplice(ends[1], &page, 1, 0);
}
static long pipe_value(void)
{
	unsigned char byte;

	return read(ends[0], &byte, 1) == 1 ? byte : -1;
}

/* One call on one range of the other side; on this side the same page again and again. */
static long copy_between(const struct step *s)
{
	static char page[PG];
	static struct iovec local[MAX_PAGES_A_CALL];
	struct iovec remote = { (void *)s->arg[0], s->arg[1] * PG };
	int nr = s->op == OP_VMREAD ? SYS_process_vm_readv : SYS_process_vm_writev;

	memset(page, STAMP, sizeof(page));
	for (unsigned long i = 0; i < s->arg[1] && i < MAX_PAGES_A_CALL; i++) local[i] = (struct iovec){ page, PG };
	return syscall(nr, s->arg[2] ? getppid() : getpid(), local, s->arg[1], &remote, 1, 0);
}
static void file_values(const struct step *s)
{
	int fd = fds[s->arg[0]];

	begin("->");
	for (unsigned long i = 0; i < s->arg[2]; i++) {
		unsigned char byte;
		if (pread(fd, &byte, 1, (s->arg[1] + i) * PG) == 1) append(" %d", byte);
		else append(" -");
	}
	say_line();
}
static long put(const struct step *s)
{
	char byte = (char)s->arg[2];
	return pwrite(fds[s->arg[0]], &byte, 1, s->arg[1] * PG);
}

/* ---- userfaultfd ---- */

/* What UFFDIO_POISON and UFFDIO_MOVE take; older headers do not have them. */
struct uffd_range {
	uint64_t start, len, mode;
	int64_t done;
};
struct uffd_pages {
	uint64_t to, from, len, mode;
	int64_t done;
};

static long uffd_open_with(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	return uffd < 0 ? -1 : ioctl(uffd, UFFDIO_API, &api);
}
static long uffd_copy(const struct step *s)
{
	static char pages[16 * PG];
	uint64_t len = s->arg[1] * PG > sizeof(pages) ? sizeof(pages) : s->arg[1] * PG;
	struct uffdio_copy copy = { .dst = s->arg[0], .src = (uintptr_t)pages, .len = len, .mode = s->arg[2] };

	memset(pages, STAMP, sizeof(pages));
	return ioctl(uffd, UFFDIO_COPY, &copy);
}
static long uffd_call(const struct step *s)
{
	struct uffdio_range range = { s->arg[0], s->arg[1] };
	struct uffdio_writeprotect wp = { .range = range, .mode = s->arg[2] };
	struct uffdio_zeropage zero = { .range = range };
	struct uffdio_continue cont = { .range = range };
	struct uffd_range poison = { .start = s->arg[0], .len = s->arg[1] };
	struct uffd_pages move = { s->arg[0], s->arg[1], s->arg[2], 0, 0 };

	switch (s->op) {
	case OP_UFFDWP: return ioctl(uffd, UFFDIO_WRITEPROTECT, &wp);
	case OP_UFFDZERO: return ioctl(uffd, UFFDIO_ZEROPAGE, &zero);
	case OP_UFFDCONT: return ioctl(uffd, UFFDIO_CONTINUE, &cont);
	case OP_UFFDPOISON: return ioctl(uffd, UFFDIO_POISON, &poison);
	default: return ioctl(uffd, UFFDIO_MOVE, &move);
	}
}

/* ---- two at once ---- */

static volatile unsigned long race_at, race_pages, race_rounds;
static volatile int race_stop;
static char race_stack[65536];

static int writes_again_and_again(void *nothing)
{
	cpu_set_t all;

	(void)nothing;
	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);
	/* One whole round more after the end, so that the pages are all there then. */
	for (int last = 0; !last; race_rounds++) {
		last = race_stop;
		for (unsigned long i = 0; i < race_pages; i++) *(volatile char *)(race_at + i * PG) = 7;
	}
	return 0;
}
/* DONTNEED of the whole range, again and again, while somebody else in this address space writes its pages. Any page reads as 0 or 7. */
static long race(const struct step *s)
{
	long wrong = 0;

	race_at = s->arg[0], race_pages = s->arg[1], race_stop = 0, race_rounds = 0;
	pid_t other = clone(writes_again_and_again, race_stack + sizeof(race_stack), CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, NULL);
	while (other > 0 && race_rounds == 0) sched_yield();
	for (unsigned long i = 0; i < s->arg[2] && other > 0; i++) {
		wrong |= syscall(SYS_madvise, s->arg[0], s->arg[1] * PG, MADV_DONTNEED);
		int seen = *(volatile char *)(s->arg[0] + i % s->arg[1] * PG);
		if (seen != 0 && seen != 7) wrong = -1;
	}
	race_stop = 1;
	waitpid(other, NULL, 0);
	return other > 0 ? wrong : -1;
}

/* ---- one step ---- */

static long plain_page_call(const struct step *s)
{
	const uint64_t *a = s->arg;

	switch (s->op) {
	case OP_ADVEACH: return advise_each(s);
	case OP_PROTEACH: return protect_each(s);
	case OP_MEMWRITE:
	case OP_PMREAD: return proc_file(s);
	case OP_PIN: return pin(s);
	case OP_UNPIN: return unpin();
	case OP_KSM: return merge_equal(s);
	case OP_VMSPLICE: return splice_page(s);
	case OP_PIPEVAL: return pipe_value();
	case OP_VMREAD:
	case OP_VMWRITE: return copy_between(s);
	case OP_TRUNCATE: return ftruncate(fds[a[0]], a[1] * PG);
	case OP_PUNCH: return fallocate(fds[a[0]], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, a[1] * PG, a[2] * PG);
	case OP_FREAD: return pread(fds[a[0]], (void *)a[2], a[3] * PG, a[1] * PG);
	case OP_FWRITE: return pwrite(fds[a[0]], (void *)a[2], a[3] * PG, a[1] * PG);
	case OP_PUT: return put(s);
	case OP_UFFDOPEN: return uffd_open_with(a[0]);
	case OP_UFFDCOPY: return uffd_copy(s);
	case OP_UFFDWP:
	case OP_UFFDPOISON:
	case OP_UFFDZERO:
	case OP_UFFDMOVE:
	case OP_UFFDCONT: return uffd_call(s);
	default: return race(s);
	}
}

int page_step(const struct step *s)
{
	if (s->op < OP_SETTLE) return 0;
	if (uffd_step(s)) return 1;
	switch (s->op) {
	case OP_SETTLE: settle(); break;
	case OP_VMPTE: ask(ASK_STATUS, 0, 0, 0, ""); break;
	case OP_STATUS: ask(ASK_STATUS, s->arg[0], 0, 0, ""); break;
	case OP_FAULTS: say_faults(); break;
	case OP_FIGURES: ask(ASK_FIGURES, s->arg[0], s->arg[1], s->arg[2], ""); break;
	case OP_PM: ask(ASK_PM, s->arg[0], s->arg[1], 0, ""); break;
	case OP_WORD: ask(ASK_WORD, s->arg[0], 0, 0, ""); break;
	case OP_FOLIO: ask(ASK_FOLIO, s->arg[0], s->arg[1], 0, ""); break;
	case OP_SUM: sum(s); break;
	case OP_OWNWORD: own_word(s); break;
	case OP_FVAL: file_values(s); break;
	default: say_result(plain_page_call(s));
	}
	return 1;
}
