/* SPDX-License-Identifier: MIT */
/*
 * What a snapshot of an ops file shows of one process, read from outside while it waits: VmPTE, the lines of smaps inside the window, and
 * runs of pages. First words of pages are read by the process itself where it may and a page is present, which maps nothing; the
 * rest comes through /proc/PID/mem.
 *
 * Files of a process are opened once. Of smaps only the beginning is read: an executor has nothing below the window.
 */
#include "ops.h"
#include "vma_iter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

/* Bits of pagemap that are shown, and two of our own in what it has for frames. */
enum { PRESENT = 63, SWAP = 62, FILE_PAGE = 61, GUARD = 58, EXCLUSIVE = 56, SOFT_DIRTY = 55, ZERO = 1, HUGE = 2, UNREADABLE = 3 };
/* Entries of pagemap that a program without privileges does not see whole: the number of a swap device, which for a marker is one that there is not,
 * and what the marker stands for. */
enum { UFFD_WP = 57, TYPE_MASK = 0x1f, MARKER = 31, MARKER_SHIFT = 5, MARKER_WP = 4, MARKER_POISON = 5, MARKER_GUARD = 6 };
#define SHOWN (BIT(PRESENT) | BIT(SWAP) | BIT(FILE_PAGE) | BIT(GUARD) | BIT(EXCLUSIVE) | BIT(SOFT_DIRTY))

/* All but soft-dirty. */
#define ALL_CATEGORIES 0x17fUL

enum { SMAPS_BYTES = 32 << 20, SMAPS_TAIL = 65536, MAX_LABELS = 4096, MAX_RECORDS = MAX_PAGES + 1 };

/* The files of a process; pid 0: none are open. */
struct view { pid_t pid; int status, smaps, pagemap, mem; };
static struct view views[MAX_CHILDREN + 1];
static uint64_t words[MAX_PAGES], nr_pages;
static struct ops_shared *shared;
static int have_iter, nr_labels;
static int internals_wanted = 1;
static uint64_t labels[MAX_LABELS];
static struct vma_record records[MAX_RECORDS];

static int open_of(pid_t pid, const char *name)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) { perror(path); exit(2); }
	return fd;
}

static void forget(struct view *v)
{
	if (v->pid == 0) return;
	close(v->status);
	close(v->smaps);
	close(v->pagemap);
	close(v->mem);
	v->pid = 0;
}

static struct view *view_of(uint32_t slot, pid_t pid)
{
	struct view *v = &views[slot];

	if (v->pid == pid) return v;
	forget(v);
	*v = (struct view){ pid, open_of(pid, "status"), open_of(pid, "smaps"), open_of(pid, "pagemap"), open_of(pid, "mem") };
	return v;
}

void view_forget(void)
{
	nr_labels = 0;
	for (int i = 0; i <= MAX_CHILDREN; i++) forget(&views[i]);
}

/* Prints a number of kB in the process's status; `key` begins with a newline and ends with a colon. */
static void print_kb(const char *text, const char *key)
{
	const char *line = strstr(text, key);
	out_decimal(line ? atol(line + strlen(key)) : 0);
}

static void print_tables(const struct view *v)
{
	char text[8192];
	ssize_t n = pread(v->status, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	out_string(" pgtables_kb=");
	print_kb(text, "\nVmPTE:");
	if (shared->swap_pages && !shared->in_group) {
		out_string(" swap_kb=");
		print_kb(text, "\nVmSwap:");
	}
	out_string("\n");
}

/* ---- VMAs ---- */

static uint64_t hex_of(const char **text)
{
	uint64_t value = 0;
	for (;; ++*text) {
		unsigned c = (unsigned char)**text;
		if (c >= '0' && c <= '9') value = value << 4 | (c - '0');
		else if (c >= 'a' && c <= 'f') value = value << 4 | (c - 'a' + 10);
		else return value;
	}
}

/* Figures by the length of their names, so that few need to be compared. */
static int is_shown(const char *line, size_t length)
{
	switch (length) {
	case 3: return memcmp(line, "Rss", 3) == 0;
	case 4: return memcmp(line, "Swap", 4) == 0;
	case 7: return shared->swap_pages && !shared->uffd && memcmp(line, "SwapPss", 7) == 0;
	case 6: return memcmp(line, "Locked", 6) == 0;
	case 8: return memcmp(line, "LazyFree", 8) == 0;
	case 9: return memcmp(line, "Anonymous", 9) == 0;
	case 12: return memcmp(line, "Shared_Clean", 12) == 0 || memcmp(line, "Shared_Dirty", 12) == 0;
	case 13: return line[0] == 'P' ? memcmp(line, "Private_", 8) == 0 : memcmp(line, "AnonHugePages", 13) == 0 || memcmp(line, "FilePmdMapped", 13) == 0;
	case 14: return memcmp(line, "ShmemPmdMapped", 14) == 0;
	default: return 0;
	}
}

static void print_figure(const char *line)
{
	size_t length = 0;

	while (line[length] != ':' && line[length] != '\n') length++;
	if (line[length] == '\n' || !is_shown(line, length)) return;
	long value = 0;
	for (const char *p = line + length + 1; *p != '\n'; p++)
		if (*p >= '0' && *p <= '9') value = value * 10 + (*p - '0');
	if (value == 0) return;
	out_text(" ", 1);
	out_text(line, length);
	out_text("=", 1);
	out_decimal(value);
}

/* The name of a mapping; a regular file of the sequence without the directory it was made in. */
static void print_name(const char *name, const char *end)
{
	size_t length = strlen(shared->files);

	if (name == end) return;
	out_text(" ", 1);
	if ((size_t)(end - name) > length && memcmp(name, shared->files, length) == 0) name += length;
	out_text(name, end - name);
}

static void mark_unreadable(uint64_t start, uint64_t end)
{
	for (uint64_t at = start < WINDOW ? WINDOW : start; at < end && at < shared->window_end; at += OPS_PG)
		words[(at - WINDOW) / OPS_PG] |= BIT(UNREADABLE);
}

/* A first line of a VMA: addresses, permissions, offset, device, inode, name. Returns whether the VMA is in the window. */
static int print_head(const char *line, const char *newline)
{
	const char *p = line;
	uint64_t start = hex_of(&p);
	p++;
	uint64_t end = hex_of(&p);

	if (start >= shared->window_end || end <= WINDOW) return 0;
	if (p[1] != 'r') mark_unreadable(start, end);
	const char *name = p + 6; /* behind the permissions */
	for (int i = 0; i < 3; i++) {
		name += strcspn(name, " \n");
		if (i == 0) {
			out_string("vma ");
			out_text(line, name - line);
		}
		while (*name == ' ') name++;
	}
	print_name(name, newline);
	return 1;
}

/*
 * A first line of a VMA begins with its address, the others with a capital letter; VmFlags is the last. The buffer is read again for
 * every so many lines, since the kernel makes the text of a few VMAs at a time.
 */
static void print_vmas(const struct view *v)
{
	static char *text;
	size_t size = 0;
	int inside = 0;

	if (!text) text = malloc(SMAPS_BYTES);
	char *line = text;
	for (;;) {
		ssize_t n = size < SMAPS_BYTES - SMAPS_TAIL ? pread(v->smaps, text + size, SMAPS_TAIL, size) : 0;
		if (n <= 0) return;
		size += n;
		for (char *newline; (newline = memchr(line, '\n', text + size - line)); line = newline + 1) {
			if (*line < 'A' || *line > 'Z') {
				const char *p = line;
				if (hex_of(&p) >= shared->window_end) return;
				inside = print_head(line, newline);
			} else if (inside && *line == 'V' && memcmp(line, "VmFlags:", 8) == 0) {
				const char *last = newline;
				while (last[-1] == ' ') last--;
				out_string(" flags=");
				out_text(line + 9, last > line + 9 ? last - line - 9 : 0);
				out_string("\n");
			} else if (inside) print_figure(line);
		}
	}
}

/* ---- what only the kernel's own structures show ---- */

/*
 * A number stands for an address, throughout a sequence. When an anon_vma is freed another may get its address at once, and nothing in the
 * structures tells: who reads the log must know which anon_vmas have gone.
 */
static void print_label(const char *name, uint64_t what)
{
	int i = 0;

	out_string(name);
	while (what && i < nr_labels && labels[i] != what) i++;
	if (what && i == nr_labels && i < MAX_LABELS) labels[nr_labels++] = what;
	out_decimal(what ? i + 1 : 0);
}

static void print_internals(pid_t pid)
{
	long nr = have_iter && internals_wanted ? vma_iter_read(pid, records, MAX_RECORDS) : 0;

	if (nr < 0) { perror("VMAs by BPF"); exit(2); }
	for (const struct vma_record *r = records; r < records + nr; r++) {
		if (r->start >= shared->window_end) break;
		out_string("internal ");
		out_hex(r->start);
		out_string("-");
		out_hex(r->end);
		out_string(" pgoff=");
		out_decimal(r->pgoff);
		print_label(" anon=", r->anon_vma);
		print_label(" root=", r->root);
		print_label(" parent=", r->parent);
		out_string(" children=");
		out_decimal(r->nr_children);
		out_string(" vmas=");
		out_decimal(r->nr_active_vmas);
		out_string(" chain=");
		out_decimal(r->chain_length);
		out_string("\n");
	}
}

void view_want_internals(int wanted) { internals_wanted = wanted; }

int view_internals(const char **why)
{
	have_iter = vma_iter_open(WINDOW, WINDOW + MAX_WINDOW, why) == 0;
	return have_iter ? 0 : -1;
}

/* ---- pages ---- */

/* Notes which pages are the zero page and which belong to a huge page. */
static void scan(const struct view *v)
{
	static struct page_region regions[MAX_PAGES];
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .start = WINDOW, .end = shared->window_end, .vec = (uintptr_t)regions, .vec_len = MAX_PAGES,
		.category_anyof_mask = PAGE_IS_PFNZERO | PAGE_IS_HUGE, .return_mask = PAGE_IS_PFNZERO | PAGE_IS_HUGE,
	};
	int nr = ioctl(v->pagemap, PAGEMAP_SCAN, &arg);

	if (nr < 0) { perror("PAGEMAP_SCAN"); exit(2); }
	for (int i = 0; i < nr; i++)
		for (uint64_t at = regions[i].start; at < regions[i].end; at += OPS_PG) {
			if (regions[i].categories & PAGE_IS_PFNZERO) words[(at - WINDOW) / OPS_PG] |= BIT(ZERO);
			if (regions[i].categories & PAGE_IS_HUGE) words[(at - WINDOW) / OPS_PG] |= BIT(HUGE);
		}
}

static void print_range(const char *name, uint64_t from, uint64_t to)
{
	out_string(name);
	out_hex(WINDOW + from * OPS_PG);
	out_string("-");
	out_hex(WINDOW + to * OPS_PG);
}

/* Two columns more, and the first word only of a page that is there. */
static void print_uffd_columns(uint64_t word, uint64_t stamp)
{
	const char marker[] = { word & BIT(MARKER_POISON) ? 'p' : word & BIT(MARKER_GUARD) ? 'g' : word & BIT(MARKER_WP) ? 'w' : '-' };

	out_text(word & BIT(UFFD_WP) ? "W" : "-", 1);
	out_text(marker, 1);
	if (word & BIT(PRESENT)) {
		out_string(" v=");
		out_decimal(stamp);
	}
	out_string("\n");
}

static void print_run(uint64_t from, uint64_t to, uint64_t word, uint64_t stamp)
{
	static const struct { int bit; char letter; } columns[] = {
		{ PRESENT, 'P' }, { SWAP, 'S' }, { FILE_PAGE, 'F' }, { EXCLUSIVE, 'X' }, { SOFT_DIRTY, 'D' }, { GUARD, 'G' }, { ZERO, 'Z' }, { HUGE, 'H' },
	};
	char flags[] = " -------- v=";

	if (word == 0) return;
	for (int i = 0; i < 8; i++)
		if (word & BIT(columns[i].bit)) flags[i + 1] = columns[i].letter;
	print_range("pg ", from, to);
	if (shared->uffd) {
		out_text(flags, 9);
		print_uffd_columns(word, stamp);
		return;
	}
	out_text(flags, sizeof(flags) - 1);
	out_decimal(stamp);
	out_string("\n");
}

static void read_words(const struct view *v)
{
	static uint64_t raw[MAX_PAGES];

	if (pread(v->pagemap, raw, nr_pages * 8, WINDOW / OPS_PG * 8) != (ssize_t)(nr_pages * 8)) { perror("pagemap"); exit(2); }
	for (uint64_t i = 0; i < nr_pages; i++) {
		words[i] |= raw[i] & SHOWN;
		if (!shared->uffd) continue;
		words[i] |= raw[i] & BIT(UFFD_WP);
		if ((raw[i] & BIT(SWAP)) && (raw[i] & TYPE_MASK) == MARKER) words[i] |= (raw[i] >> MARKER_SHIFT & 7) << MARKER_WP;
	}
}

static int has_stamp(uint64_t i) { return (words[i] & BIT(PRESENT)) && !(words[i] & BIT(ZERO)); }

/* Has the process read what it may read, and reads the rest. Returns -1 when it died of that. */
static int read_stamps(const struct view *v, uint32_t slot)
{
	uint32_t nr = 0;
	int asleep = slot < MAX_CHILDREN && shared->child[slot].asleep;

	for (uint64_t i = 0; i < nr_pages; i++) {
		if (!has_stamp(i)) continue;
		int outside = asleep || (words[i] & BIT(UNREADABLE)) || (nr == MAX_RANGES && shared->ranges[nr - 1].to != i);
		if (outside && pread(v->mem, &shared->stamps[i], 8, WINDOW + i * OPS_PG) != 8) {
			fprintf(stderr, "page %lx of %d: %s\n", WINDOW + i * OPS_PG, v->pid, strerror(errno));
			exit(2);
		}
		if (outside) continue;
		if (nr > 0 && shared->ranges[nr - 1].to == i) shared->ranges[nr - 1].to++;
		else shared->ranges[nr++] = (struct page_range){ i, i + 1 };
	}
	shared->nr_ranges = nr;
	shared->viewed = slot;
	return nr == 0 ? 0 : ops_ask(VIEW);
}

static void print_pages(const struct view *v, uint32_t slot)
{
	uint64_t from = 0, last = 0, last_stamp = 0;

	read_words(v);
	scan(v);
	if (read_stamps(v, slot) != 0) return;
	for (uint64_t i = 0; i < nr_pages; i++) {
		uint64_t stamp = has_stamp(i) ? shared->stamps[i] : 0, word = words[i] & ~BIT(UNREADABLE);
		if (i > 0 && (word != last || stamp != last_stamp)) {
			print_run(from, i, last, last_stamp);
			from = i;
		}
		last = word;
		last_stamp = stamp;
	}
	print_run(from, nr_pages, last, last_stamp);
}

/* What a scan of the whole window says of each page that is mapped. */
static void print_categories(const struct view *v)
{
	static struct page_region regions[MAX_PAGES];
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .start = WINDOW, .end = shared->window_end, .vec = (uintptr_t)regions, .vec_len = MAX_PAGES,
		.return_mask = ALL_CATEGORIES,
	};
	int nr = ioctl(v->pagemap, PAGEMAP_SCAN, &arg);

	if (nr < 0) { perror("PAGEMAP_SCAN"); exit(2); }
	for (int i = 0; i < nr; i++) {
		print_range("cat ", (regions[i].start - WINDOW) / OPS_PG, (regions[i].end - WINDOW) / OPS_PG);
		out_string(" ");
		out_categories(regions[i].categories);
		out_string("\n");
	}
}

void view_process(struct ops_shared *of, uint32_t slot, pid_t pid)
{
	const struct view *v = view_of(slot, pid);

	shared = of;
	nr_pages = (shared->window_end - WINDOW) / OPS_PG;
	memset(words, 0, nr_pages * sizeof(*words));
	print_tables(v);
	print_vmas(v);
	if (!shared->uffd) print_internals(pid);
	print_pages(v, slot);
	if (shared->uffd) print_categories(v);
}
