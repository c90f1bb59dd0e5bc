/* SPDX-License-Identifier: MIT */
/*
 * What a snapshot of an ops file shows of one process, read from outside while it waits: VmPTE, the lines of smaps inside the window, and
 * runs of pages. Reading a word through /proc/PID/mem maps nothing where a page is present, and only there it is done.
 */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BIT(n) (1UL << (n))
#ifndef PAGEMAP_SCAN
struct page_region { uint64_t start, end, categories; };
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_PFNZERO BIT(5)
#define PAGE_IS_HUGE BIT(6)
#endif

enum { MAX_PAGES = MAX_WINDOW / OPS_PG };
enum { ZERO = 2, HUGE = 4 };

static const char *const figures[] = {
	"Rss", "Shared_Clean", "Shared_Dirty", "Private_Clean", "Private_Dirty", "Anonymous", "LazyFree",
	"AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", "Swap", "Locked",
};

int ops_wait(uint32_t *word, uint32_t old, long milliseconds)
{
	struct timespec limit = { milliseconds / 1000, milliseconds % 1000 * 1000000 };

	if (__atomic_load_n(word, __ATOMIC_ACQUIRE) == old)
		syscall(SYS_futex, word, FUTEX_WAIT, old, milliseconds < 0 ? NULL : &limit, NULL, 0);
	return __atomic_load_n(word, __ATOMIC_ACQUIRE) == old;
}

void ops_ring(uint32_t *word)
{
	__atomic_add_fetch(word, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static int open_of(pid_t pid, const char *name)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) { perror(path); exit(2); }
	return fd;
}

static char *text_of(pid_t pid, const char *name)
{
	static char text[8 << 20];
	int fd = open_of(pid, name);
	size_t size = 0;

	for (ssize_t n; size < sizeof(text) - 1 && (n = read(fd, text + size, sizeof(text) - 1 - size)) > 0;) size += n;
	close(fd);
	text[size] = '\0';
	return text;
}

static void print_tables(pid_t pid)
{
	const char *line = strstr(text_of(pid, "status"), "VmPTE:");
	printf(" pgtables_kb=%ld\n", line ? atol(line + 6) : 0);
}

static void print_figure(const char *line)
{
	size_t name = strcspn(line, ":");
	long value = atol(line + name + 1);

	for (size_t i = 0; value != 0 && i < sizeof(figures) / sizeof(*figures); i++)
		if (strlen(figures[i]) == name && strncmp(figures[i], line, name) == 0) printf(" %s=%ld", figures[i], value);
}

/* A first line of a VMA begins with its address, the others with a capital letter; VmFlags is the last. */
static void print_vmas(pid_t pid, uint64_t window_end)
{
	uint64_t start, end;
	char *save, perms[8], offset[24];
	int inside = 0, name;

	for (char *line = strtok_r(text_of(pid, "smaps"), "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (*line < 'A' || *line > 'Z') {
			if (sscanf(line, "%lx-%lx %7s %23s %*s %*s %n", &start, &end, perms, offset, &name) < 4) continue;
			inside = start < window_end && end > WINDOW;
			if (inside) printf("vma %lx-%lx %s %s%s%s", start, end, perms, offset, line[name] ? " " : "", line + name);
		} else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
			char *last = line + strlen(line);
			while (last > line && last[-1] == ' ') *--last = '\0';
			printf(" flags=%s\n", line + 9);
		} else if (inside) print_figure(line);
	}
}

/* Notes which pages are the zero page and which belong to a huge page. */
static void scan(int fd, uint64_t window_end, uint8_t *kinds)
{
	static struct page_region regions[MAX_PAGES];
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .start = WINDOW, .end = window_end, .vec = (uintptr_t)regions, .vec_len = MAX_PAGES,
		.category_anyof_mask = PAGE_IS_PFNZERO | PAGE_IS_HUGE, .return_mask = PAGE_IS_PFNZERO | PAGE_IS_HUGE,
	};
	int nr = ioctl(fd, PAGEMAP_SCAN, &arg);

	if (nr < 0) { perror("PAGEMAP_SCAN"); exit(2); }
	for (int i = 0; i < nr; i++)
		for (uint64_t at = regions[i].start; at < regions[i].end; at += OPS_PG) {
			if (regions[i].categories & PAGE_IS_PFNZERO) kinds[(at - WINDOW) / OPS_PG] |= ZERO;
			if (regions[i].categories & PAGE_IS_HUGE) kinds[(at - WINDOW) / OPS_PG] |= HUGE;
		}
}

static void print_run(uint64_t from, uint64_t to, uint64_t word, uint8_t kind, uint64_t stamp)
{
	char flags[9] = "--------";

	if (word & BIT(63)) flags[0] = 'P';
	if (word & BIT(62)) flags[1] = 'S';
	if (word & BIT(61)) flags[2] = 'F';
	if (word & BIT(56)) flags[3] = 'X';
	if (word & BIT(55)) flags[4] = 'D';
	if (word & BIT(58)) flags[5] = 'G';
	if (kind & ZERO) flags[6] = 'Z';
	if (kind & HUGE) flags[7] = 'H';
	if (strcmp(flags, "--------") != 0)
		printf("pg %lx-%lx %s v=%lu\n", WINDOW + from * OPS_PG, WINDOW + to * OPS_PG, flags, stamp);
}

static void print_pages(pid_t pid, uint64_t window_end)
{
	static uint64_t words[MAX_PAGES];
	static uint8_t kinds[MAX_PAGES];
	uint64_t nr = (window_end - WINDOW) / OPS_PG, from = 0, last_stamp = 0;
	const uint64_t shown = BIT(63) | BIT(62) | BIT(61) | BIT(58) | BIT(56) | BIT(55);
	int fd = open_of(pid, "pagemap"), mem = open_of(pid, "mem");

	memset(kinds, 0, sizeof(kinds));
	if (pread(fd, words, nr * 8, WINDOW / OPS_PG * 8) != (ssize_t)(nr * 8)) { perror("pagemap"); exit(2); }
	scan(fd, window_end, kinds);
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t stamp = 0;
		words[i] &= shown;
		if ((words[i] & BIT(63)) && !(kinds[i] & ZERO) && pread(mem, &stamp, 8, WINDOW + i * OPS_PG) != 8) {
			fprintf(stderr, "page %lx of %d: %s\n", WINDOW + i * OPS_PG, pid, strerror(errno));
			exit(2);
		}
		if (i > 0 && (words[i] != words[i - 1] || kinds[i] != kinds[i - 1] || stamp != last_stamp)) {
			print_run(from, i, words[i - 1], kinds[i - 1], last_stamp);
			from = i;
		}
		last_stamp = stamp;
	}
	if (nr > 0) print_run(from, nr, words[nr - 1], kinds[nr - 1], last_stamp);
	close(fd);
	close(mem);
}

void ops_view(pid_t pid, uint64_t window_end)
{
	print_tables(pid);
	print_vmas(pid, window_end);
	print_pages(pid, window_end);
}
