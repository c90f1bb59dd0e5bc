/* SPDX-License-Identifier: MIT */
/* What opsrun prints: a buffer with its own formatting, because printf would take most of this program's time, and the lines of operations. */
#include "ops.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { OUT_BYTES = 1 << 20 };
static char out[OUT_BYTES];
static size_t used;

void out_flush(void)
{
	for (size_t done = 0; done < used;) {
		ssize_t n = write(STDOUT_FILENO, out + done, used - done);
		if (n < 0 && errno != EINTR) exit(errno == EPIPE ? 0 : 2);
		if (n > 0) done += n;
	}
	used = 0;
}

void out_text(const char *text, size_t length)
{
	if (used + length > OUT_BYTES) out_flush();
	memcpy(out + used, text, length);
	used += length;
}

void out_string(const char *text) { out_text(text, strlen(text)); }

static void out_number(uint64_t value, unsigned base)
{
	char digits[20], *p = digits + sizeof(digits);

	do *--p = "0123456789abcdef"[value % base]; while ((value /= base) != 0);
	out_text(p, digits + sizeof(digits) - p);
}

void out_decimal(int64_t value)
{
	if (value < 0) out_text("-", 1);
	out_number(value < 0 ? -(uint64_t)value : (uint64_t)value, 10);
}

void out_hex(uint64_t value) { out_number(value, 16); }

static void out_signal(const struct op *op)
{
	out_string(op->signal != SIGBUS ? " = -1 SIGSEGV {si_code=" : op->uffd ? " = -1 SIGBUS {si_code=BUS_ADRERR" : " = -1 SIGBUS {si_code=BUS");
	if (op->signal != SIGBUS) out_string(op->code == SEGV_MAPERR ? "SEGV_MAPERR" : op->code == SEGV_ACCERR ? "SEGV_ACCERR" : "?");
	out_string(", si_addr=0x");
	out_hex(op->at);
	out_string("}");
}

void out_result(const struct op *op)
{
	if (op->signal) out_signal(op);
	else if (op->error) {
		out_string(" = -1 ");
		out_string(strerrorname_np(op->error));
		out_string(" (");
		out_string(strerror(op->error));
		out_string(")");
	} else if (op->kind == OP_MMAP || op->kind == OP_MREMAP || op->kind == OP_SHMAT) {
		out_string(" = 0x");
		out_hex(op->result);
	} else {
		out_string(op->kind == OP_FORK ? " = child " : " = ");
		out_decimal(op->result);
	}
}

static void out_vec(const struct op *op, const uint8_t *vec)
{
	out_string(" vec=");
	for (uint64_t i = 0; i < (op->arg[1] + OPS_PG - 1) / OPS_PG && op->vec + i < VEC_BYTES; i++) out_text(vec[op->vec + i] & 1 ? "1" : "0", 1);
}

void out_op(const struct op *op, const char *text, const uint8_t *vec)
{
	const char *placed = op->placed ? strstr(text, "placed") : NULL;

	if (op->skipped) return;
	if (placed) {
		out_text(text, placed - text);
		out_string("0x");
		out_hex(op->placed);
		out_string(placed + strlen("placed"));
	} else out_string(text);
	if (op->kind != OP_CHILD_EXIT && op->kind != OP_NOP) out_result(op);
	if (op->kind == OP_MINCORE && op->error == 0) out_vec(op, vec);
	if (!op->plain) {
		out_string(" <flt ");
		out_decimal(op->faults);
		out_string(">");
	}
	out_string("\n");
}
