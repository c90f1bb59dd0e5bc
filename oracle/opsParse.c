/* SPDX-License-Identifier: MIT */
/*
 * The lines of an ops file: `NUMBER call(args)`, and ` = result` behind it, which is not read but for the number of a child.
 * Arguments are numbers or names of constants joined by `|`; the address may be `placed`.
 */
#include "ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

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

#define NAME(x) { #x, x }
static const struct { const char *name; uint64_t value; } names[] = {
	NAME(PROT_NONE), NAME(PROT_READ), NAME(PROT_WRITE), NAME(PROT_EXEC),
	NAME(MAP_SHARED), NAME(MAP_PRIVATE), NAME(MAP_DROPPABLE), NAME(MAP_FIXED), NAME(MAP_ANONYMOUS), NAME(MAP_NORESERVE),
	NAME(MAP_POPULATE), NAME(MAP_FIXED_NOREPLACE), NAME(MAP_LOCKED), NAME(MAP_STACK), NAME(MAP_NONBLOCK), NAME(MAP_GROWSDOWN),
	NAME(MREMAP_MAYMOVE), NAME(MREMAP_FIXED), NAME(MREMAP_DONTUNMAP), NAME(MLOCK_ONFAULT),
	NAME(MADV_NORMAL), NAME(MADV_RANDOM), NAME(MADV_SEQUENTIAL), NAME(MADV_WILLNEED), NAME(MADV_DONTNEED), NAME(MADV_FREE),
	NAME(MADV_REMOVE), NAME(MADV_DONTFORK), NAME(MADV_DOFORK), NAME(MADV_MERGEABLE), NAME(MADV_UNMERGEABLE),
	NAME(MADV_HUGEPAGE), NAME(MADV_NOHUGEPAGE), NAME(MADV_DONTDUMP), NAME(MADV_DODUMP), NAME(MADV_WIPEONFORK),
	NAME(MADV_KEEPONFORK), NAME(MADV_COLD), NAME(MADV_PAGEOUT), NAME(MADV_POPULATE_READ), NAME(MADV_POPULATE_WRITE),
	NAME(MADV_DONTNEED_LOCKED), NAME(MADV_COLLAPSE), NAME(MADV_GUARD_INSTALL), NAME(MADV_GUARD_REMOVE),
	NAME(PR_SET_VMA), NAME(PR_SET_VMA_ANON_NAME),
	{ "NULL", 0 }, { "placed", PLACED },
};

static const struct { const char *name; uint32_t kind; int min_args, max_args; } calls[] = {
	{ "mmap", OP_MMAP, 6, 6 }, { "munmap", OP_MUNMAP, 2, 2 }, { "mprotect", OP_MPROTECT, 3, 3 }, { "mremap", OP_MREMAP, 4, 5 },
	{ "madvise", OP_MADVISE, 3, 3 }, { "mlock", OP_MLOCK, 2, 2 }, { "mlock2", OP_MLOCK2, 3, 3 }, { "munlock", OP_MUNLOCK, 2, 2 },
	{ "prctl", OP_PRCTL, 5, 5 }, { "touch_read", OP_TOUCH_READ, 2, 2 }, { "touch_write", OP_TOUCH_WRITE, 2, 2 },
	{ "child_touch_read", OP_CHILD_TOUCH_READ, 3, 3 }, { "child_touch_write", OP_CHILD_TOUCH_WRITE, 3, 3 },
	{ "fork", OP_FORK, 0, 0 }, { "child_exit", OP_CHILD_EXIT, 1, 1 }, { "nop", OP_NOP, 0, 0 },
};

/* Reads `A|B|0x10`; returns -1 for a word that is neither a number nor known. */
static int read_value(char *text, uint64_t *value)
{
	char *save, *end;

	*value = 0;
	for (char *word = strtok_r(text, "|", &save); word; word = strtok_r(NULL, "|", &save)) {
		uint64_t n = strtoull(word, &end, 0);
		size_t i = 0;
		while (*end && i < sizeof(names) / sizeof(*names) && strcmp(names[i].name, word) != 0) i++;
		if (*end && i == sizeof(names) / sizeof(*names)) return -1;
		*value |= *end ? names[i].value : n;
	}
	return 0;
}

static int read_args(struct op *op, char *text, int *nr)
{
	char *save;

	for (char *arg = strtok_r(text, ",", &save); arg; arg = strtok_r(NULL, ",", &save), ++*nr) {
		while (*arg == ' ') arg++;
		if (*nr == 6) return -1;
		if (*arg == '"') {
			arg[strcspn(arg + 1, "\"") + 1] = '\0';
			snprintf(op->name, sizeof(op->name), "%s", arg + 1);
		} else if (read_value(arg, &op->arg[*nr]) != 0) return -1;
	}
	return 0;
}

int ops_parse(char *line, struct op *op, const char **why)
{
	char *name, *open, *close;
	size_t i = 0;
	int nr = 0;

	memset(op, 0, sizeof(*op));
	if (sscanf(line, "snapshot %u", &op->number) == 1) {
		op->kind = OP_SNAPSHOT;
		return 0;
	}
	if (*line < '0' || *line > '9') return 1;
	op->number = strtoul(line, &name, 10);
	while (*name == ' ') name++;
	open = strchr(name, '(');
	close = open ? strchr(open, ')') : NULL;
	*why = "no call with its arguments in parentheses";
	if (!close) return -1;
	*open = *close = '\0';
	*why = "not an operation of an ops file";
	while (i < sizeof(calls) / sizeof(*calls) && strcmp(calls[i].name, name) != 0) i++;
	if (i == sizeof(calls) / sizeof(*calls)) return -1;
	op->kind = calls[i].kind;
	*why = "an argument that is neither a number nor the name of a constant";
	if (read_args(op, open + 1, &nr) != 0) return -1;
	*why = "too few arguments, or too many";
	if (nr < calls[i].min_args || nr > calls[i].max_args) return -1;
	if (op->kind == OP_FORK && sscanf(close + 1, " = child %lu", &op->arg[0]) != 1) op->arg[0] = MAX_CHILDREN;
	return 0;
}
