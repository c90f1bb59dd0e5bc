/* SPDX-License-Identifier: MIT */
/*
 * The observer's eyes: VMAs, pages and counts of a case process, printed in the notation of the case file. Labels (a1, a2
 * for anon_vmas; p1, p2 for pages) go by first appearance within a case, over all its processes.
 *
 * A physical page that was freed may come back at once under the same number, as another page. Before each step is
 * answered the labelled pages are looked up in /proc/kpagecount and kpageflags; the label of one that nobody maps and no
 * list holds is retired. The same could happen to the address of an anon_vma; no case makes one after it lost another
 * that it had shown.
 */
#include "observe.h"
#include "vma_iter.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MAX_VMAS = 4096 };

static int have_iter, kpagecount, kpageflags;
static struct vma_record vmas[MAX_VMAS];
static uint64_t anon_vmas[MAX_SEEN], pages[MAX_SEEN], places[MAX_SEEN];
static int nr_anon_vmas, nr_pages_seen, nr_places_seen;

/* The low 8 bits (access and MAY) are the permissions column; `??` stands for what /proc does not name. */
static const char flag_names[64][3] = {
	[3] = "sh", [8] = "gd", [9] = "um", [10] = "pf", [11] = "gu", [12] = "uw", [13] = "lo", [14] = "io", [15] = "sr", [16] = "rr",
	[17] = "dc", [18] = "de", [19] = "lf", [20] = "ac", [21] = "nr", [22] = "ht", [23] = "sf", [24] = "ar", [25] = "wf", [26] = "dd",
	[27] = "sd", [28] = "mm", [29] = "hg", [30] = "nh", [31] = "mg", [37] = "ss", [40] = "dp", [41] = "ui", [42] = "sl",
};

void observe_open(int use_bpf, const char **why)
{
	*why = "asked for";
	have_iter = use_bpf && vma_iter_open(WINDOW, WINDOW_END, why) == 0;
	kpagecount = open("/proc/kpagecount", O_RDONLY | O_CLOEXEC);
	kpageflags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
}

void observe_reset(void) { nr_anon_vmas = nr_pages_seen = nr_places_seen = 0; }

static int label(uint64_t *seen, int *nr, uint64_t what)
{
	for (int i = 0; i < *nr; i++)
		if (seen[i] == what) return i + 1;
	if (*nr < MAX_SEEN) seen[*nr] = what;
	return ++*nr;
}

/* ---- VMAs ---- */

static char chunk[65536];
static size_t chunk_at, chunk_end;
static int chunk_fd = -1;

void proc_lines(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	chunk_fd = open(path, O_RDONLY | O_CLOEXEC);
	chunk_at = chunk_end = 0;
}
char *proc_next_line(void)
{
	for (;;) {
		char *begin = chunk + chunk_at, *newline = memchr(begin, '\n', chunk_end - chunk_at);
		if (newline) {
			*newline = '\0';
			chunk_at = newline + 1 - chunk;
			return begin;
		}
		memmove(chunk, begin, chunk_end - chunk_at);
		chunk_end -= chunk_at, chunk_at = 0;
		ssize_t n = chunk_fd < 0 ? 0 : read(chunk_fd, chunk + chunk_end, sizeof(chunk) - chunk_end);
		if (n <= 0) break;
		chunk_end += n;
	}
	if (chunk_fd >= 0) close(chunk_fd);
	chunk_fd = -1;
	return NULL;
}

static uint64_t flags_of_codes(char *codes)
{
	uint64_t flags = 0;
	char *rest;

	for (char *code = strtok_r(codes, " ", &rest); code; code = strtok_r(NULL, " ", &rest))
		for (int bit = 0; bit < 64; bit++)
			if (strcmp(flag_names[bit], code) == 0) flags |= 1UL << bit;
	return flags;
}
/* What smaps shows: no anon_vma, and no pgoff of anonymous memory. */
static long vmas_from_smaps(pid_t pid)
{
	long n = 0;
	int in_window = 0;

	proc_lines(pid, "smaps");
	for (char *l; (l = proc_next_line());) {
		unsigned long start, end, offset, inode;
		char perms[5];
		if (sscanf(l, "%lx-%lx %4s %lx %*s %lu", &start, &end, perms, &offset, &inode) == 5) {
			in_window = start >= WINDOW && start < WINDOW_END && n < MAX_VMAS;
			if (!in_window) continue;
			vmas[n] = (struct vma_record){ .start = start, .end = end, .pgoff = offset / PG, .file = inode != 0 };
			vmas[n].flags = (perms[0] == 'r') | (perms[1] == 'w') << 1 | (perms[2] == 'x') << 2 | (perms[3] == 's') << 7;
			n++;
		} else if (in_window && strncmp(l, "VmFlags:", 8) == 0) {
			vmas[n - 1].flags |= flags_of_codes(l + 8);
		}
	}
	return n;
}

static long read_vmas(pid_t pid)
{
	return have_iter ? vma_iter_read(pid, vmas, MAX_VMAS) : vmas_from_smaps(pid);
}

static void print_vma(const struct vma_record *v)
{
	printf("[%lu,%lu) %c%c%c%c o=", (v->start - WINDOW) / PG, (v->end - WINDOW) / PG, v->flags & 1 ? 'r' : '-',
	       v->flags & 2 ? 'w' : '-', v->flags & 4 ? 'x' : '-', v->flags & 0x80 ? 's' : 'p');
	if (!have_iter && !v->file) printf("?");
	else if (v->pgoff >= WINDOW / PG && v->pgoff < WINDOW_END / PG) printf("B+%lu", v->pgoff - WINDOW / PG);
	else printf("%lu", v->pgoff);
	if (!have_iter) {
		printf(" ?");
	} else if (v->anon_vma == 0) {
		printf(" unf");
	} else {
		int root = label(anon_vmas, &nr_anon_vmas, v->root), own = label(anon_vmas, &nr_anon_vmas, v->anon_vma);
		printf(" a%d", own);
		if (root != own || v->chain_length != 1) printf("<a%d,ch%lu", root, v->chain_length);
	}
	for (int bit = 0; bit < 64; bit++) {
		if (!(v->flags >> bit & 1) || (bit < 8 && bit != 3)) continue;
		printf(" %s", flag_names[bit][0] ? flag_names[bit] : "??");
	}
	if (v->file) printf(" file");
}

static long locked_pages(pid_t pid)
{
	long kib = 0;

	proc_lines(pid, "status");
	for (char *l; (l = proc_next_line());)
		if (strncmp(l, "VmLck:", 6) == 0) kib = atol(l + 6);
	return kib / 4;
}

void observe_vmas(pid_t pid)
{
	long n = read_vmas(pid), locked = locked_pages(pid);

	printf(n > 0 ? "=> " : n == 0 ? "=> (empty)" : "=> cannot be read");
	for (long i = 0; i < n; i++) {
		if (i > 0) printf(" | ");
		print_vma(&vmas[i]);
	}
	if (locked) printf("  locked_vm=%ld", locked);
	printf("\n");
}

void observe_vma_count(pid_t pid) { printf("-> %ld\n", read_vmas(pid)); }

void observe_count(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	printf("map_count = max%+ld\n", vma_count(path) - read_number("/proc/sys/vm/max_map_count"));
}

/* ---- pages ---- */

enum { KPF_LRU = 5, KPF_ANON = 12, KPF_SWAPCACHE = 13, KPF_SWAPBACKED = 14, KPF_ZERO_PAGE = 24 };
#define KPF_IN_USE (1UL << KPF_LRU | 1UL << KPF_ANON | 1UL << KPF_SWAPCACHE | 1UL << KPF_SWAPBACKED | 1UL << KPF_ZERO_PAGE)

void observe_freed_pages(void)
{
	for (int i = 0; i < nr_pages_seen && i < MAX_SEEN; i++) {
		uint64_t mapped = 1, flags = 0;
		if (pages[i] == 0) continue;
		if (pread(kpagecount, &mapped, 8, pages[i] * 8) != 8 || pread(kpageflags, &flags, 8, pages[i] * 8) != 8) continue;
		if (mapped == 0 && !(flags & KPF_IN_USE)) pages[i] = 0;
	}
}

void observe_pages(pid_t pid, uint64_t addr, uint64_t nr_pages, int slots)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	for (uint64_t i = 0; i < nr_pages; i++) {
		uint64_t word = 0, frame = 0;
		if (pread(fd, &word, 8, (addr / PG + i) * 8) != 8) word = 0;
		frame = word & ((1UL << 55) - 1);
		if (i > 0) printf(" ");
		if (slots) {
			int is_slot = !(word >> 63 & 1) && (word >> 62 & 1) && (word & 31) != 31;
			if (is_slot) printf("s%d", label(places, &nr_places_seen, frame));
			else printf("-");
			continue;
		}
		if (word >> 63 & 1) printf(frame ? "p%d%s" : "p?", label(pages, &nr_pages_seen, frame), word >> 56 & 1 ? "!" : "");
		else if (word >> 58 & 1) printf("guard");
		else if (word >> 62 & 1) printf("swap");
		else printf("-");
	}
	printf("\n");
	close(fd);
}

/* ---- page tables ---- */

/* What PAGEMAP_SCAN takes (Linux 6.7); older headers do not have it. */
struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, anyof, returned;
};
struct region {
	uint64_t start, end, categories;
};
enum { IS_WRITTEN = 1 << 1, PMD_PAGES = 512 };

/* An empty entry counts as written to unless it is write-protected; where there is no table there is nothing that could say so. */
static int has_table(int fd, uint64_t page)
{
	struct region region = { 0 };
	struct scan scan = { .size = sizeof(scan), .start = page, .end = page + PG, .vec = (uintptr_t)&region, .vec_len = 1,
			     .returned = IS_WRITTEN };

	return ioctl(fd, _IOWR('f', 16, struct scan), &scan) == 1 && (region.categories & IS_WRITTEN) != 0;
}

void observe_tables(pid_t pid, uint64_t addr, uint64_t nr_pages)
{
	long n = read_vmas(pid);
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	printf("-> ");
	for (uint64_t base = addr / PMD_PAGES / PG * PMD_PAGES * PG; base < addr + nr_pages * PG; base += PMD_PAGES * PG) {
		uint64_t page = 0;
		for (long i = 0; i < n && page == 0; i++)
			if (vmas[i].end > base && vmas[i].start < base + PMD_PAGES * PG)
				page = vmas[i].start > base ? vmas[i].start : base;
		printf("%c", page == 0 ? '-' : has_table(fd, page) ? '1' : '0');
	}
	printf("\n");
	close(fd);
}
