/* SPDX-License-Identifier: MIT */
/*
 * Arguments of the ioctls of userfaultfd and of PAGEMAP_SCAN: `uN, NAME, {field=value, ...}`, or NULL for the structure. Fields stand in
 * the order of the structure; their names are for the reader.
 */
#include "ops.h"

#include <stdlib.h>
#include <string.h>

static const struct { const char *name; int fields; } calls[NR_UFFD_CALLS] = {
	[UFFD_API] = { "UFFDIO_API", 2 },
	[UFFD_REGISTER] = { "UFFDIO_REGISTER", 3 },
	[UFFD_UNREGISTER] = { "UFFDIO_UNREGISTER", 2 },
	[UFFD_WAKE] = { "UFFDIO_WAKE", 2 },
	[UFFD_COPY] = { "UFFDIO_COPY", 4 },
	[UFFD_ZEROPAGE] = { "UFFDIO_ZEROPAGE", 3 },
	[UFFD_MOVE] = { "UFFDIO_MOVE", 4 },
	[UFFD_WRITEPROTECT] = { "UFFDIO_WRITEPROTECT", 3 },
	[UFFD_CONTINUE] = { "UFFDIO_CONTINUE", 3 },
	[UFFD_POISON] = { "UFFDIO_POISON", 3 },
};
enum { SCAN_FIELDS = 11, FIRST_FIELD = 2 };

/* Reads a number, `set` (1), or a place in what is copied from. Returns where it ends, or NULL. */
static const char *read_field(const char *text, uint64_t *value)
{
	char *end;

	if (strncmp(text, "set", 3) == 0) {
		*value = 1;
		return text + 3;
	}
	if (strncmp(text, "bufend-", 7) == 0) {
		*value = COPY_AT + COPY_BYTES - strtoull(text + 7, &end, 0);
		return end;
	}
	if (strncmp(text, "buf", 3) == 0) {
		*value = COPY_AT;
		if (text[3] != '+') return text + 3;
		*value += strtoull(text + 4, &end, 0);
		return end;
	}
	*value = strtoull(text, &end, 0);
	return end > text ? end : NULL;
}

/* Reads `{a=1, b=2}` or NULL. */
static int read_fields(struct op *op, const char *text, int wanted)
{
	int nr = 0;

	op->now = strncmp(text, "NULL", 4) == 0;
	if (op->now) return 0;
	if (*text++ != '{') return -1;
	for (; nr < wanted; nr++) {
		text = strchr(text, '=');
		if (!text) return -1;
		text = read_field(text + 1, &op->arg[FIRST_FIELD + nr]);
		if (!text || (*text != ',' && *text != '}')) return -1;
	}
	return *text == '}' ? 0 : -1;
}

static int parse_scan(struct op *op, const char *args)
{
	char *end;

	op->kind = OP_SCAN;
	op->arg[0] = WHO_SELF;
	if (strncmp(args, "child ", 6) == 0) {
		op->arg[0] = strtoul(args + 6, &end, 10);
		args = end;
	} else if (strncmp(args, "self", 4) == 0) args += 4;
	if (strncmp(args, ", PAGEMAP_SCAN, ", 16) != 0) return -1;
	return read_fields(op, args + 16, SCAN_FIELDS);
}

int uffd_parse(struct op *op, const char *args)
{
	char *end;

	if (strncmp(args, "pagemap ", 8) == 0) return parse_scan(op, args + 8);
	if (*args != 'u') return -1;
	op->kind = OP_UFFD_IOCTL;
	op->arg[0] = strtoul(args + 1, &end, 10);
	if (strncmp(end, ", ", 2) != 0) return -1;
	const char *name = end + 2, *comma = strchr(name, ',');
	for (int i = 0; comma && i < NR_UFFD_CALLS; i++) {
		if (strlen(calls[i].name) != (size_t)(comma - name) || strncmp(calls[i].name, name, comma - name) != 0) continue;
		op->arg[1] = i;
		return read_fields(op, comma + 2, calls[i].fields);
	}
	return -1;
}
