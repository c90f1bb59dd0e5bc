/* SPDX-License-Identifier: MIT */
/* Calls that make, cut and join VMAs; the same with few and many VMAs around. */
#include "cost.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* So many of each in a batch: alternate pages of a range of twice as many. */
enum { BATCH = 96, RANGE = 2 * BATCH * PAGE };

static char *map_at(char *p, size_t len, int prot)
{
	return mmap(p, len, prot, PRIVATE | MAP_FIXED, -1, 0);
}
/* Every second page of a range, by a call; returns nanoseconds for one. */
#define EACH_SECOND(from, call) ({ \
	struct span t_ = span_begin(); \
	for (int i = 0; i < BATCH; i++) { char *at = p + (2 * (size_t)i + (from)) * PAGE; call; } \
	span_end(&t_) / BATCH; })

static void parts(void)
{
	struct series *fresh = series("mmap_fixed_new_vma"), *both = series("mmap_fixed_merge_both"), *below = series("mmap_fixed_merge_prev"),
		      *whole = series("munmap_whole_vma"), *split = series("munmap_split"), *trim = series("munmap_trim"),
		      *many = series("munmap_many_vmas_per_vma");
	char *p = room(RANGE);

	for (begin(); more(fresh, 150);) {
		munmap(p, RANGE);
		add(fresh, EACH_SECOND(0, map_at(at, PAGE, RW)));
		add(both, EACH_SECOND(1, map_at(at, PAGE, RW)));
		add(split, EACH_SECOND(1, munmap(at, PAGE)));
		add(whole, EACH_SECOND(0, munmap(at, PAGE)));
		map_at(p, PAGE, RW);
		struct span t = span_begin();
		for (size_t i = 1; i <= BATCH; i++) map_at(p + i * PAGE, PAGE, RW);
		add(below, span_end(&t) / BATCH);
		t = span_begin();
		for (size_t i = BATCH; i > 0; i--) munmap(p + i * PAGE, PAGE);
		add(trim, span_end(&t) / BATCH);
		EACH_SECOND(0, map_at(at, PAGE, RW));
		t = span_begin();
		munmap(p, RANGE);
		add(many, span_end(&t) / BATCH);
	}
}

static void written_parts(void)
{
	struct series *cut = series("mprotect_split_faulted"), *join = series("mprotect_merge_faulted"), *hole = series("munmap_split_faulted"),
		      *many = series("munmap_vmas_faulted_per_vma");

	for (begin(); more(cut, 120);) {
		char *p = room(RANGE + PAGE);
		fill(p, RANGE + PAGE);
		add(cut, EACH_SECOND(1, mprotect(at, PAGE, PROT_READ)));
		add(join, EACH_SECOND(1, mprotect(at, PAGE, RW)));
		add(hole, EACH_SECOND(1, munmap(at, PAGE)));
		struct span t = span_begin();
		munmap(p, RANGE + PAGE);
		add(many, span_end(&t) / (BATCH + 1));
	}
}

static void protections(void)
{
	struct series *cut = series("mprotect_split"), *join = series("mprotect_merge"), *whole = series("mprotect_whole_vma");
	static const int sizes[] = { 1, 64, 512, 16384 };

	for (begin(); more(cut, 120);) {
		char *p = room(RANGE + PAGE);
		add(cut, EACH_SECOND(1, mprotect(at, PAGE, PROT_READ)));
		add(join, EACH_SECOND(1, mprotect(at, PAGE, RW)));
		unroom(p, RANGE + PAGE);
	}
	char *one = room(HUGE_PAGE);
	for (begin(); more(whole, 150);) {
		struct span t = span_begin();
		for (int i = 0; i < BATCH; i++) mprotect(one, HUGE_PAGE, i & 1 ? RW : PROT_READ);
		add(whole, span_end(&t) / BATCH);
	}
	unroom(one, HUGE_PAGE);
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		struct series *ro = series("mprotect_ro_%d", sizes[k]), *rw = series("mprotect_rw_%d", sizes[k]);
		size_t len = (size_t)sizes[k] * PAGE;
		char *p = room(len);
		fill(p, len);
		for (begin(); more(ro, 200);) {
			struct span t = span_begin();
			mprotect(p, len, PROT_READ);
			add(ro, span_end(&t));
			t = span_begin();
			mprotect(p, len, RW);
			add(rw, span_end(&t));
		}
		unroom(p, len);
	}
}

static void pairs(void)
{
	struct series *bare = series("mmap_munmap_1p"), *written = series("mmap_touch_munmap_1p");

	for (begin(); more(bare, 150);) {
		struct span t = span_begin();
		for (int i = 0; i < BATCH; i++) munmap(mmap(NULL, PAGE, PROT_READ, PRIVATE, -1, 0), PAGE);
		add(bare, span_end(&t) / BATCH);
		t = span_begin();
		for (int i = 0; i < BATCH; i++) {
			char *p = mmap(NULL, PAGE, RW, PRIVATE, -1, 0);
			*(volatile char *)p = 1;
			munmap(p, PAGE);
		}
		add(written, span_end(&t) / BATCH);
	}
}

void measure_vmas(void)
{
	pairs();
	parts();
	written_parts();
	protections();
}

/* ---- the same among many VMAs ---- */

enum { PICKS = 64 };

/* A range with `vmas` VMAs of a page each: readable, and readable and writable, in turn. */
static char *crowd(int vmas)
{
	char *p = mmap(NULL, (size_t)vmas * PAGE, PROT_READ, PRIVATE, -1, 0);

	must((long)p, "mmap");
	for (int i = 0; i < vmas; i += 2) must((long)map_at(p + (size_t)i * PAGE, PAGE, RW), "mmap");
	return p;
}

static void among(char *p, int vmas, int label)
{
	struct series *map = series("mmap_at_%d_vmas", label), *unmap = series("munmap_at_%d_vmas", label),
		      *protect = series("mprotect_at_%d_vmas", label), *fault = series("fault_zero_at_%d_vmas", label);
	char *placed[PICKS];

	for (begin(); more(map, 120);) {
		/* No two neighbours are alike. */
		struct span t = span_begin();
		for (int i = 0; i < PICKS; i++) placed[i] = mmap(NULL, PAGE, i & 1 ? PROT_EXEC : PROT_EXEC | PROT_READ, PRIVATE, -1, 0);
		add(map, span_end(&t) / PICKS);
		t = span_begin();
		for (int i = 0; i < PICKS; i++) munmap(placed[i], PAGE);
		add(unmap, span_end(&t) / PICKS);
		if (vmas < 500) continue; /* the picks would be the same ones again */
		for (int i = 0; i < PICKS; i++) placed[i] = p + (size_t)(random() % (vmas / 2)) * 2 * PAGE;
		t = span_begin();
		for (int i = 0; i < PICKS; i++) mprotect(placed[i], PAGE, PROT_WRITE);
		add(protect, span_end(&t) / PICKS);
		for (int i = 0; i < PICKS; i++) mprotect(placed[i], PAGE, RW);
		t = span_begin();
		for (int i = 0; i < PICKS; i++) (void)*(volatile char *)placed[i];
		add(fault, span_end(&t) / PICKS);
		for (int i = 0; i < PICKS; i++) madvise(placed[i], PAGE, MADV_DONTNEED);
	}
}

static void read_all(struct series *s, const char *path, int vmas)
{
	static char text[1 << 16];

	for (begin(); more(s, 40);) {
		int fd = (int)must(open(path, O_RDONLY | O_CLOEXEC), path);
		struct span t = span_begin();
		while (read(fd, text, sizeof(text)) > 0) {}
		add(s, span_end(&t) / vmas);
		close(fd);
	}
}

/* struct procmap_query, which the headers of the system may not have yet. */
struct query_args {
	uint64_t size, flags, address, found[6];
	uint32_t of_file[4];
	uint64_t texts[2];
};
#define IOCTL_QUERY _IOWR('f', 17, struct query_args)

static void texts(char *p, int vmas, int label)
{
	read_all(series("proc_maps_per_vma_%d", label), "/proc/self/maps", vmas);
	read_all(series("proc_smaps_per_vma_%d", label), "/proc/self/smaps", vmas);
	struct series *query = series("procmap_query_at_%d_vmas", label);
	int fd = (int)must(open("/proc/self/maps", O_RDONLY | O_CLOEXEC), "maps");
	for (begin(); more(query, 60);) {
		struct span t = span_begin();
		for (int i = 0; i < PICKS; i++) {
			struct query_args q = { .size = sizeof(q), .address = (uintptr_t)p + (size_t)(random() % vmas) * PAGE };
			must(ioctl(fd, IOCTL_QUERY, &q), "PROCMAP_QUERY");
		}
		add(query, span_end(&t) / PICKS);
	}
	close(fd);
}

void measure_many_vmas(void)
{
	static const int crowds[] = { 10, 1000, 10000, 60000 };

	for (size_t k = 0; k < sizeof(crowds) / sizeof(crowds[0]) && !is_stopping; k++) {
		struct series *all = series("munmap_all_%d_per_vma", crowds[k]);
		int vmas = crowds[k] > 100 ? crowds[k] - 30 : crowds[k];
		char *p = crowd(vmas);
		among(p, vmas, crowds[k]);
		if (crowds[k] == 1000 || crowds[k] == 10000) texts(p, vmas, crowds[k]);
		struct span t = span_begin();
		munmap(p, (size_t)vmas * PAGE);
		add(all, span_end(&t) / vmas);
	}
}
