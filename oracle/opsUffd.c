/* SPDX-License-Identifier: MIT */
/* The calls of userfaultfd and PAGEMAP_SCAN, as a thread of the executor makes them; what came of them is left in the operation. */
#include "opsWorker.h"

#include <fcntl.h>

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, anyof, returned;
};
enum { SCAN_NR = 0xc0606610, NR_WORDS = 6, EVENT_FORK = 0x13 };

static const struct { uint32_t nr; int fields, out; } calls[NR_UFFD_CALLS] = {
	[UFFD_API] = { 0xc018aa3f, 2, 0 },        [UFFD_REGISTER] = { 0xc020aa00, 3, 3 },     [UFFD_UNREGISTER] = { 0x8010aa01, 2, -1 },
	[UFFD_WAKE] = { 0x8010aa02, 2, -1 },      [UFFD_COPY] = { 0xc028aa03, 4, 4 },         [UFFD_ZEROPAGE] = { 0xc020aa04, 3, 3 },
	[UFFD_MOVE] = { 0xc028aa05, 4, 4 },       [UFFD_WRITEPROTECT] = { 0xc018aa06, 3, -1 }, [UFFD_CONTINUE] = { 0xc020aa07, 3, 3 },
	[UFFD_POISON] = { 0xc020aa08, 3, 3 },
};

/* Fills what is copied from, as far as `op` copies. */
void uffd_fill(const struct op *op)
{
	uint64_t src = op->arg[3] & -OPS_PG, len = op->arg[4] + OPS_PG;

	if (op->kind != OP_UFFD_IOCTL || op->arg[1] != UFFD_COPY || src < COPY_AT || src >= COPY_AT + COPY_BYTES) return;
	if (len > COPY_AT + COPY_BYTES - src) len = COPY_AT + COPY_BYTES - src;
	for (uint64_t at = src; at < src + len; at += 8) *(volatile uint64_t *)at = op->number | BUFFER_STAMP;
}

static long make_context(const struct op *op)
{
	long fd = bare(SYS_userfaultfd, op->arg[0]);

	if (fd < 0) return fd;
	SHARED->uffd_fd[SHARED->nr_uffds] = fd;
	return SHARED->nr_uffds++;
}

static long call_ioctl(struct op *op)
{
	uint64_t words[NR_WORDS] = { 0 };
	int out = calls[op->arg[1]].out, fields = calls[op->arg[1]].fields, fd = SHARED->uffd_fd[op->arg[0]];

	for (int i = 0; i < fields; i++) words[i] = op->arg[2 + i];
	if (out == fields) words[out] = UNTOUCHED;
	long ret = bare(SYS_ioctl, fd, calls[op->arg[1]].nr, op->now ? 0 : words);
	for (int i = 0; i < 3 && out >= 0; i++) op->out[i] = words[out + i];
	return ret;
}

static long read_message(struct op *op)
{
	volatile uint64_t *message = (volatile uint64_t *)(SHARED->vec + op->vec + op->nr_out * 32);
	long ret = bare(SYS_read, SHARED->uffd_fd[op->arg[0]], message, 32);

	if (ret < 0) return ret;
	if ((uint8_t)message[0] == EVENT_FORK) {
		SHARED->uffd_fd[SHARED->nr_uffds % MAX_UFFDS] = (int32_t)message[1];
		message[1] = SHARED->nr_uffds++;
	}
	op->nr_out++;
	return 0;
}

static long scan(struct op *op)
{
	const uint64_t *a = op->arg + 2;
	struct scan_arg arg = {
		.size = a[0], .flags = a[1], .start = a[2], .end = a[3], .walk_end = UNTOUCHED, .vec_len = a[5], .max_pages = a[6],
		.inverted = a[7], .mask = a[8], .anyof = a[9], .returned = a[10],
	};

	op->vec = (SHARED->vec_used + 7) & ~7U;
	if (op->vec + MAX_REGIONS * 24 > VEC_BYTES) op->vec = 0;
	arg.vec = a[4] == 1 ? (uint64_t)(SHARED->vec + op->vec) : a[4];
	long ret = bare(SYS_ioctl, SHARED->prepared_fd > 0 ? SHARED->prepared_fd : threads_pagemap(), SCAN_NR, op->now ? 0 : &arg);
	if (ret > 0) SHARED->vec_used = op->vec + ret * 24;
	op->out[0] = arg.walk_end;
	return ret;
}

long uffd_call(struct op *op)
{
	switch (op->kind) {
	case OP_USERFAULTFD: return make_context(op);
	case OP_UFFD_IOCTL: return call_ioctl(op);
	case OP_UFFD_READ: return read_message(op);
	case OP_SCAN: return scan(op);
	default: {
		long ret = bare(SYS_close, SHARED->uffd_fd[op->arg[0]]);
		SHARED->uffd_fd[op->arg[0]] = -1;
		return ret;
	}
	}
}

/* Opens what a scan of a child needs. */
void uffd_prepare(struct op *op)
{
	char path[32] = "/proc/", *p = path + 6, digits[12];
	const char *rest = "/pagemap";
	int d = 0, pid;

	uffd_fill(op);
	if (op->kind != OP_SCAN || op->arg[0] == WHO_SELF) return;
	pid = SHARED->child[op->arg[0]].pid;
	do digits[d++] = (char)('0' + pid % 10); while ((pid /= 10) != 0);
	while (d > 0) *p++ = digits[--d];
	for (; *rest; rest++) *p++ = *rest;
	*p = '\0';
	SHARED->prepared_fd = bare(SYS_open, path, O_RDONLY | O_CLOEXEC);
}
