/* SPDX-License-Identifier: MIT */
/*
 * What lines of the format opfuzz-uffd have that others have not: fields of structures, messages, regions, who sleeps and who woke up, and
 * the state of userfaultfd contexts and of the memfd.
 */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Events of userfaultfd, and flags of its fault messages. */
enum { EVENT_PAGEFAULT = 0x12, EVENT_FORK, EVENT_REMAP, EVENT_REMOVE, EVENT_UNMAP };

/* What is put between names. */
static void out_names(uint64_t bits, const char *const *names, int nr)
{
	int any = 0;

	for (int i = 0; i < nr; i++) {
		if (!(bits >> i & 1)) continue;
		if (any++) out_string("|");
		out_string(names[i]);
	}
	if (!any) out_string("0");
}

void out_categories(uint64_t bits)
{
	static const char *const names[] = { "WPALLOWED", "WRITTEN", "FILE", "PRESENT", "SWAPPED", "PFNZERO", "HUGE", "SOFT_DIRTY", "GUARD" };
	out_names(bits, names, sizeof(names) / sizeof(*names));
}

static void out_field(const char *name, uint64_t value)
{
	out_string(name);
	out_string("=0x");
	out_hex(value);
}

/* ---- fields ---- */

static void out_done(const struct op *op)
{
	static const char *const names[NR_UFFD_CALLS] = {
		[UFFD_COPY] = "copy", [UFFD_ZEROPAGE] = "zeropage", [UFFD_MOVE] = "move", [UFFD_CONTINUE] = "mapped", [UFFD_POISON] = "updated",
	};

	if (op->now || !names[op->arg[1]]) return;
	out_string(" {");
	out_string(names[op->arg[1]]);
	out_string("=");
	if (op->out[0] == UNTOUCHED) out_string("untouched");
	else out_decimal((int64_t)op->out[0]);
	out_string("}");
}

static void out_ioctl(const struct op *op)
{
	if (op->arg[1] == UFFD_API && !op->now) {
		out_field(" {api", op->out[0]);
		out_field(", features", op->out[1]);
		out_field(", ioctls", op->out[2]);
		out_string("}");
	} else if (op->arg[1] == UFFD_REGISTER && op->error == 0) {
		out_field(" {ioctls", op->out[0]);
		out_string("}");
	} else out_done(op);
}

static void out_scan(const struct ops_shared *shared, const struct op *op)
{
	const uint64_t *region = (const uint64_t *)(shared->vec + op->vec);

	out_string(" {walk_end=");
	if (op->out[0] == UNTOUCHED) out_string("untouched");
	else {
		out_string("0x");
		out_hex(op->out[0]);
	}
	if (op->result > 0) out_string(", regions=[");
	for (int64_t i = 0; op->error == 0 && i < op->result; i++, region += 3) {
		if (i > 0) out_string(", ");
		out_hex(region[0]);
		out_string("-");
		out_hex(region[1]);
		out_string(" ");
		out_categories(region[2]);
	}
	out_string(op->result > 0 ? "]}" : "}");
}

/* ---- messages ---- */

static void out_thread(const struct ops_shared *shared, int32_t tid)
{
	out_string(" ptid=");
	for (int t = 0; t < NR_WORKERS; t++)
		if (tid && shared->tid[t] == tid) {
			out_string("w");
			out_decimal(t);
			return;
		}
	for (int k = 0; k < MAX_CHILDREN; k++)
		if (tid && shared->child[k].seen_pid == tid) {
			out_string("child");
			out_decimal(k);
			return;
		}
	out_decimal(tid);
}

static void out_message(const struct ops_shared *shared, const uint64_t *message)
{
	static const char *const flags[] = { "WRITE", "WP", "MINOR" };
	static const char *const ranges[] = { " {REMAP from", " {REMOVE start", " {UNMAP start" };
	uint8_t event = (uint8_t)message[0];

	if (event == EVENT_PAGEFAULT) {
		out_string(" {PAGEFAULT flags=");
		out_names(message[1], flags, 3);
		out_field(" addr", message[2]);
		out_thread(shared, (int32_t)message[3]);
	} else if (event == EVENT_FORK) {
		out_string(" {FORK ufd=u");
		out_decimal((int64_t)message[1]);
	} else {
		out_field(event <= EVENT_UNMAP && event >= EVENT_REMAP ? ranges[event - EVENT_REMAP] : " {? start", message[1]);
		out_field(event == EVENT_REMAP ? " to" : " end", message[2]);
		if (event == EVENT_REMAP) {
			out_string(" len=");
			out_decimal((int64_t)message[3]);
		}
	}
	out_string("}");
}

static void out_read(const struct ops_shared *shared, const struct op *op)
{
	const uint64_t *message = (const uint64_t *)(shared->vec + op->vec);

	out_string(" =");
	for (uint32_t i = 0; i < op->nr_out; i++, message += 4) out_message(shared, message);
	if (op->error) {
		out_string(" ");
		out_string(strerrorname_np(op->error));
	}
}

/* ---- lines ---- */

static void out_answer(const struct ops_shared *shared, const struct op *op)
{
	if (op->kind == OP_UFFD_READ) out_read(shared, op);
	else if (op->kind == OP_USERFAULTFD && op->error == 0) {
		out_string(" = u");
		out_decimal(op->result);
	} else if (op->kind != OP_CHILD_EXIT && op->kind != OP_NOP) out_result(op);
	if (op->kind == OP_UFFD_IOCTL) out_ioctl(op);
	if (op->kind == OP_SCAN) out_scan(shared, op);
	if (!op->plain) {
		out_string(" <flt ");
		out_decimal(op->faults);
		if (op->major) {
			out_string(" maj ");
			out_decimal(op->major);
		}
		out_string(">");
	}
	out_string("\n");
}

void uffd_print_op(const struct ops_shared *shared, const struct op *op, const char *text)
{
	if (op->skipped) return;
	out_string(text);
	if (!op->slept) {
		out_answer(shared, op);
		return;
	}
	out_string(" = blocked");
	if (op->by < 0) {
		out_string(" ");
		out_decimal(op->slept - 1);
	}
	out_string("\n");
}

static void print_join(const struct ops_shared *shared, uint32_t number, const struct op *op)
{
	out_decimal(number);
	out_string(op->by < 0 ? " join(" : " child_join(");
	out_decimal(op->by < 0 ? op->slept - 1 : op->by);
	out_string(")");
	out_answer(shared, op);
}

/* Who woke up by operation `i`: workers by their number, then children. */
void uffd_print_joins(const struct ops_shared *shared, uint32_t i)
{
	const struct op *woke[NR_WORKERS + MAX_CHILDREN] = { 0 };
	int last = -1;

	for (uint32_t j = 0; shared->nr_joins > 0 && j <= i; j++) {
		const struct op *op = &shared->ops[j];
		if (op->joined != i + 1) continue;
		int who = op->by < 0 ? op->slept - 1 : NR_WORKERS + op->by;
		woke[who] = op;
		if (who > last) last = who;
	}
	for (int who = 0; who <= last; who++)
		if (woke[who]) print_join(shared, shared->ops[i].number, woke[who]);
}

/* ---- the end of a snapshot ---- */

static void print_context(pid_t pid, int number, int fd)
{
	char path[64], text[512];
	unsigned long pending = 0, total = 0;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	int info = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = info < 0 ? 0 : read(info, text, sizeof(text) - 1);
	if (info >= 0) close(info);
	text[n > 0 ? n : 0] = '\0';
	const char *p = strstr(text, "pending:"), *t = strstr(text, "total:"), *api = strstr(text, "API:");
	if (!p || !t || !api || sscanf(p, "pending: %lu", &pending) != 1 || sscanf(t, "total: %lu", &total) != 1) return;
	api += 4 + strspn(api + 4, " \t");
	out_string("uffd u");
	out_decimal(number);
	out_string(" pending=");
	out_decimal((int64_t)pending);
	out_string(" total=");
	out_decimal((int64_t)total);
	out_string(" API=");
	out_text(api, strcspn(api, "\n"));
	out_string("\n");
}

static void print_memfd(pid_t pid)
{
	char path[64];
	struct stat st;
	const char *comma = "";

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, MEMFD_FD);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) { perror(path); _exit(2); }
	out_string("memfd m0 size=");
	out_decimal(st.st_size);
	out_string(" blocks_kb=");
	out_decimal(st.st_blocks / 2);
	out_string(" data=");
	for (off_t hole = 0, data; (data = lseek(fd, hole, SEEK_DATA)) >= 0; comma = ",") {
		hole = lseek(fd, data, SEEK_HOLE);
		out_string(comma);
		out_hex((uint64_t)data);
		out_string("-");
		out_hex((uint64_t)hole);
	}
	out_string("\n");
	close(fd);
}

void uffd_print_contexts(const struct ops_shared *shared, pid_t pid)
{
	for (uint32_t i = 0; i < shared->nr_uffds; i++)
		if (shared->uffd_fd[i] >= 0) print_context(pid, (int)i, shared->uffd_fd[i]);
	print_memfd(pid);
	for (int t = 0; t < NR_WORKERS; t++) {
		if (!shared->asleep[t]) continue;
		out_string("blocked ");
		out_decimal(t);
		out_string(" op ");
		out_decimal(shared->ops[shared->asleep[t] - 1].number);
		out_string("\n");
	}
	for (int k = 0; k < MAX_CHILDREN; k++) {
		if (shared->child[k].pid == 0 || !shared->child[k].asleep) continue;
		out_string("blocked child ");
		out_decimal(k);
		out_string(" op ");
		out_decimal(shared->ops[shared->child[k].asleep - 1].number);
		out_string("\n");
	}
}
