/* SPDX-License-Identifier: MIT */
/*
 * The lines of an ops file: `NUMBER [@K] call(args)`, and ` = result` behind it, which is not read but for the number of a child.
 * Arguments are numbers, names of constants joined by `|`, names of files, processes; the address may be `placed`.
 */
#include "ops.h"

#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>

/* What older headers do not have. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8
#define MFD_EXEC 16
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif
#ifndef PR_MDWE_NO_INHERIT
#define PR_MDWE_NO_INHERIT 2
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif
#ifndef PR_THP_DISABLE_EXCEPT_ADVISED
#define PR_THP_DISABLE_EXCEPT_ADVISED 2
#endif

#define NAME(x) { #x, sizeof(#x) - 1, x }
static const struct { const char *name; size_t length; uint64_t value; } names[] = {
	NAME(PROT_READ), NAME(PROT_WRITE), NAME(MAP_PRIVATE), NAME(MAP_FIXED), NAME(MAP_ANONYMOUS), NAME(PROT_NONE), NAME(PROT_EXEC),
	NAME(MAP_SHARED), NAME(MAP_SHARED_VALIDATE), NAME(MAP_DROPPABLE), NAME(MAP_NORESERVE), NAME(MAP_SYNC), NAME(MAP_HUGETLB),
	NAME(MAP_POPULATE), NAME(MAP_FIXED_NOREPLACE), NAME(MAP_LOCKED), NAME(MAP_STACK), NAME(MAP_NONBLOCK), NAME(MAP_GROWSDOWN),
	NAME(PROT_GROWSDOWN), NAME(PROT_GROWSUP),
	NAME(MREMAP_MAYMOVE), NAME(MREMAP_FIXED), NAME(MREMAP_DONTUNMAP), NAME(MLOCK_ONFAULT), NAME(MCL_CURRENT), NAME(MCL_FUTURE),
	NAME(MCL_ONFAULT), NAME(MS_ASYNC), NAME(MS_SYNC), NAME(MS_INVALIDATE),
	NAME(MADV_NORMAL), NAME(MADV_RANDOM), NAME(MADV_SEQUENTIAL), NAME(MADV_WILLNEED), NAME(MADV_DONTNEED), NAME(MADV_FREE),
	NAME(MADV_REMOVE), NAME(MADV_DONTFORK), NAME(MADV_DOFORK), NAME(MADV_MERGEABLE), NAME(MADV_UNMERGEABLE),
	NAME(MADV_HUGEPAGE), NAME(MADV_NOHUGEPAGE), NAME(MADV_DONTDUMP), NAME(MADV_DODUMP), NAME(MADV_WIPEONFORK),
	NAME(MADV_KEEPONFORK), NAME(MADV_COLD), NAME(MADV_PAGEOUT), NAME(MADV_POPULATE_READ), NAME(MADV_POPULATE_WRITE),
	NAME(MADV_DONTNEED_LOCKED), NAME(MADV_COLLAPSE), NAME(MADV_GUARD_INSTALL), NAME(MADV_GUARD_REMOVE),
	NAME(PR_SET_VMA), NAME(PR_SET_VMA_ANON_NAME), NAME(PR_SET_MDWE), NAME(PR_MDWE_REFUSE_EXEC_GAIN), NAME(PR_MDWE_NO_INHERIT),
	NAME(PR_SET_MEMORY_MERGE), NAME(PR_SET_THP_DISABLE), NAME(PR_THP_DISABLE_EXCEPT_ADVISED),
	NAME(MFD_CLOEXEC), NAME(MFD_ALLOW_SEALING), NAME(MFD_HUGETLB), NAME(MFD_NOEXEC_SEAL), NAME(MFD_EXEC),
	NAME(F_SEAL_SEAL), NAME(F_SEAL_SHRINK), NAME(F_SEAL_GROW), NAME(F_SEAL_WRITE), NAME(F_SEAL_FUTURE_WRITE), NAME(F_SEAL_EXEC),
	NAME(FALLOC_FL_KEEP_SIZE), NAME(FALLOC_FL_PUNCH_HOLE), NAME(FALLOC_FL_ZERO_RANGE), NAME(FALLOC_FL_COLLAPSE_RANGE),
	NAME(FALLOC_FL_INSERT_RANGE), NAME(FALLOC_FL_UNSHARE_RANGE),
	NAME(SHM_RDONLY), NAME(SHM_RND), NAME(SHM_REMAP), NAME(SHM_EXEC),
	NAME(O_CLOEXEC), NAME(O_NONBLOCK), { "UFFD_USER_MODE_ONLY", 19, 1 },
	NAME(RLIMIT_AS), NAME(RLIMIT_DATA), NAME(RLIMIT_MEMLOCK), NAME(RLIMIT_STACK), NAME(RLIM_INFINITY),
	{ "NULL", 4, 0 }, { "placed", 6, PLACED }, { "max", 3, NO_LIMIT }, { "self", 4, WHO_SELF },
};

/* The letter of `file` is what its first argument must name: m, f, a or s (m or f), or none. */
static const struct { const char *name; uint32_t kind; int min_args, max_args; char file; } calls[] = {
	{ "mmap", OP_MMAP, 6, 6, 0 }, { "munmap", OP_MUNMAP, 2, 2, 0 }, { "mprotect", OP_MPROTECT, 3, 3, 0 },
	{ "mremap", OP_MREMAP, 4, 5, 0 }, { "madvise", OP_MADVISE, 3, 3, 0 }, { "touch_read", OP_TOUCH_READ, 2, 2, 0 },
	{ "touch_write", OP_TOUCH_WRITE, 2, 2, 0 }, { "mlock", OP_MLOCK, 2, 2, 0 }, { "mlock2", OP_MLOCK2, 3, 3, 0 },
	{ "munlock", OP_MUNLOCK, 2, 2, 0 }, { "mlockall", OP_MLOCKALL, 1, 1, 0 }, { "munlockall", OP_MUNLOCKALL, 0, 0, 0 },
	{ "msync", OP_MSYNC, 3, 3, 0 }, { "mseal", OP_MSEAL, 3, 3, 0 }, { "mincore", OP_MINCORE, 2, 2, 0 }, { "prctl", OP_PRCTL, 5, 5, 0 },
	{ "child_touch_read", OP_TOUCH_READ, 3, 3, 0 }, { "child_touch_write", OP_TOUCH_WRITE, 3, 3, 0 },
	{ "fork", OP_FORK, 0, 0, 0 }, { "child_exit", OP_CHILD_EXIT, 1, 1, 0 }, { "nop", OP_NOP, 0, 0, 0 },
	{ "process_vm_readv", OP_VM_READ, 3, 3, 0 }, { "process_vm_writev", OP_VM_WRITE, 3, 3, 0 },
	{ "process_madvise", OP_PROCESS_MADVISE, 4, 4, 0 }, { "memfd_create", OP_MEMFD, 2, 2, 'm' }, { "open", OP_OPEN, 2, 2, 'f' },
	{ "ftruncate", OP_FTRUNCATE, 2, 2, 'a' }, { "fallocate", OP_FALLOCATE, 4, 4, 'a' }, { "file_write", OP_FILE_WRITE, 3, 3, 'a' },
	{ "add_seals", OP_ADD_SEALS, 2, 2, 'a' }, { "shmget", OP_SHMGET, 2, 2, 's' }, { "shmat", OP_SHMAT, 3, 3, 's' },
	{ "shmdt", OP_SHMDT, 1, 1, 0 }, { "setrlimit", OP_SETRLIMIT, 2, 2, 0 }, { "setuid", OP_SETUID, 1, 1, 0 },
	{ "userfaultfd", OP_USERFAULTFD, 1, 1, 0 }, { "uffd_read", OP_UFFD_READ, 2, 2, 0 }, { "close", OP_UFFD_CLOSE, 1, 1, 0 },
	{ "memory.max", OP_MEMORY_MAX, 1, 1, 0 }, { "memory.reclaim", OP_MEMORY_RECLAIM, 1, 1, 0 },
	{ "fill", OP_FILL, 1, 1, 0 }, { "overcommit", OP_OVERCOMMIT, 1, 1, 0 },
};
enum { MAX_ARGS = 6, NR_NAMES = sizeof(names) / sizeof(*names), NR_CALLS = sizeof(calls) / sizeof(*calls) };

/* Reads one word: a number, the name of a constant, of a file, or `child K`. */
static int read_word(const char *word, size_t length, uint64_t *value)
{
	char *end;

	if (length == 4 && strncmp(word, "m0ro", 4) == 0) {
		*value = MEMFD_RO_FD;
		return 0;
	}
	if (length == 2 && strchr("mfs", word[0]) && word[1] >= '0' && word[1] < '0' + NR_FILES) {
		*value = (word[0] == 'm' ? MEMFD_FD : word[0] == 'f' ? FILE_FD : 0) + word[1] - '0';
		return 0;
	}
	if (length >= 2 && *word == 'u' && word[1] >= '0' && word[1] <= '9') word++, length--;
	if (strncmp(word, "child ", 6) == 0) word += 6, length -= 6;
	if ((*word >= '0' && *word <= '9') || *word == '-') {
		*value = strtoull(word, &end, 0);
		return end == word + length ? 0 : -1;
	}
	for (int i = 0; i < NR_NAMES; i++) {
		if (names[i].length != length || memcmp(names[i].name, word, length) != 0) continue;
		*value = names[i].value;
		return 0;
	}
	return -1;
}

/* Reads `A|B|0x10`, up to `end`. */
static int read_value(const char *text, const char *end, uint64_t *value)
{
	uint64_t one;

	*value = 0;
	for (const char *bar; text < end; text = bar + 1) {
		bar = memchr(text, '|', end - text);
		if (!bar) bar = end;
		if (read_word(text, bar - text, &one) != 0) return -1;
		*value |= one;
	}
	return 0;
}

/* Reads the arguments between the parentheses; returns how many there are, or -1. */
static int read_args(struct op *op, const char *text, const char *close)
{
	int nr = 0;

	while (text < close) {
		while (*text == ' ') text++;
		if (nr == MAX_ARGS) return -1;
		const char *end = text;
		if (*text == '"') {
			size_t length = strcspn(++text, "\"");
			if (length >= sizeof(op->name) || text + length >= close) return -1;
			memcpy(op->name, text, length);
			end = text + length + 1;
		} else {
			while (end < close && *end != ',') end++;
			if (strncmp(text, "now+", 4) == 0) op->now = 1, text += 4;
			if (read_value(text, end, &op->arg[nr]) != 0) return -1;
		}
		nr++;
		text = *end == ',' ? end + 1 : end;
	}
	return nr;
}

/* Makes one form of two: child_touch_…(K, …) is @K touch_…(…) printed without faults; child_exit is nobody's own doing. */
static void normalise(struct op *op, const char *call)
{
	if (strncmp(call, "child_touch_", 12) == 0) {
		op->by = op->arg[0] < MAX_CHILDREN ? (int)op->arg[0] : MAX_CHILDREN - 1;
		op->arg[0] = op->arg[1];
		op->arg[1] = op->arg[2];
		op->plain = 1;
	}
	if (op->kind == OP_FORK || op->kind == OP_CHILD_EXIT || op->kind == OP_NOP) op->plain = 1;
	if (op->kind == OP_UFFD_READ || op->kind == OP_UFFD_CLOSE) op->plain = 1;
}

static int names_file(char kind, uint64_t value, const char *text)
{
	switch (kind) {
	case 'm': return *text == 'm';
	case 'f': return *text == 'f';
	case 's': return *text == 's' && value < NR_FILES;
	case 'a': return *text == 'm' || *text == 'f';
	default: return 1;
	}
}

static int parse_call(const char *name, struct op *op, const char **why)
{
	const char *open = strchr(name, '('), *close = open ? strchr(open, ')') : NULL;
	int i = 0;

	*why = "no call with its arguments in parentheses";
	if (!close) return -1;
	*why = "not an operation of an ops file";
	size_t length = open - name;
	*why = "no ioctl of userfaultfd or pagemap";
	if (strncmp(name, "ioctl(", 6) == 0) return uffd_parse(op, open + 1);
	*why = "not an operation of an ops file";
	while (i < NR_CALLS && (strncmp(calls[i].name, name, length) != 0 || calls[i].name[length] != '\0')) i++;
	if (i == NR_CALLS) return -1;
	op->kind = calls[i].kind;
	*why = "an argument that is neither a number nor a name known here";
	int nr = read_args(op, open + 1, close);
	if (nr < 0 || !names_file(calls[i].file, op->arg[0], open + 1)) return -1;
	*why = "too few arguments, or too many";
	if (op->uffd && (op->kind == OP_VM_READ || op->kind == OP_VM_WRITE) && nr == 2) {
		op->arg[2] = op->arg[1], op->arg[1] = op->arg[0], op->arg[0] = WHO_SELF;
		nr = 3;
	}
	if (nr < calls[i].min_args || nr > calls[i].max_args) return -1;
	normalise(op, name);
	if (op->kind != OP_FORK) return 0;
	/* Where children may be born late they are numbered in their order. */
	op->arg[0] = !op->uffd && strncmp(close + 1, " = child ", 9) == 0 ? strtoul(close + 10, NULL, 10) : MAX_CHILDREN;
	return 0;
}

int ops_parse(const char *line, struct op *op, int uffd, const char **why)
{
	char *rest;

	memset(op, 0, sizeof(*op));
	op->uffd = uffd;
	op->by = -1;
	if (strncmp(line, "snapshot ", 9) == 0) {
		op->number = strtoul(line + 9, NULL, 10);
		op->kind = OP_SNAPSHOT;
		return 0;
	}
	if (*line < '0' || *line > '9') return 1;
	op->number = strtoul(line, &rest, 10);
	while (*rest == ' ') rest++;
	if (*rest == '@') {
		unsigned long by = strtoul(rest + 1, &rest, 10);
		*why = "no such child";
		if (by >= MAX_CHILDREN) return -1;
		op->by = (int)by;
		while (*rest == ' ') rest++;
	}
	/* What became of an operation that slept is an answer. */
	if (strncmp(rest, "join(", 5) == 0 || strncmp(rest, "child_join(", 11) == 0) return 1;
	return parse_call(rest, op, why);
}
