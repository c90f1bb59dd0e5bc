/* SPDX-License-Identifier: MIT */
#ifndef FAULTLINE_OPS_H
#define FAULTLINE_OPS_H

#include <stdint.h>
#include <sys/types.h>

/* What an ops file speaks about; the executor uses nothing in this window itself. */
#define WINDOW 0x200000000000UL
#define MAX_WINDOW (64UL << 20)
/* Where the executor and the observer have the memory they share; far from the window and from what the kernel places. */
#define SHARED_AT 0x100000000000UL
#define OPS_PG 4096UL
/* An address that stands for the result of the line before it, if that lies outside the window. */
#define PLACED 1UL

enum { MAX_OPS = 16384, MAX_CHILDREN = 256 };

enum op_kind {
	OP_MMAP, OP_MUNMAP, OP_MPROTECT, OP_MREMAP, OP_MADVISE, OP_MLOCK, OP_MLOCK2, OP_MUNLOCK, OP_PRCTL,
	OP_TOUCH_READ, OP_TOUCH_WRITE, OP_CHILD_TOUCH_READ, OP_CHILD_TOUCH_WRITE, OP_FORK, OP_CHILD_EXIT, OP_NOP,
	OP_SNAPSHOT,
};

/* One line of the file, and what came of it. */
struct op {
	uint32_t number;
	uint32_t kind;
	uint64_t arg[6];
	char name[16]; /* of prctl; empty: NULL */
	/* the rest is written by the executor */
	int64_t result;
	uint64_t at;       /* si_addr of the signal */
	uint32_t faults;
	int32_t error;  /* errno, or 0 */
	int32_t signal; /* SIGSEGV, SIGBUS, or 0 */
	int32_t code;    /* si_code of the signal */
	int32_t skipped; /* not carried out: nothing was placed outside the window, or the child is gone */
	uint64_t placed; /* what PLACED stood for */
};

enum child_command { CHILD_IDLE, CHILD_READ, CHILD_WRITE, CHILD_EXIT };

/* How the executor speaks to a child. A futex word changes when the other side has something to do. */
struct child_slot {
	uint32_t ask, answer; /* futexes: numbers of the last request and the last answer */
	uint32_t command;
	uint32_t stamp;
	uint64_t addr, len;
	uint64_t at;       /* si_addr of the signal */
	int32_t signal, code;
	int32_t pid; /* 0: not living */
};

/* How the observer speaks to the executor. */
struct ops_shared {
	uint32_t ask, answer; /* futexes, as above */
	uint32_t from, until; /* operations to carry out */
	uint64_t window_end;
	struct child_slot child[MAX_CHILDREN];
	struct op ops[MAX_OPS];
};

/* opsParse.c: reads one line into `op`. Returns 0, 1 for a line that is no operation (part of a snapshot), -1 with `why`. */
int ops_parse(char *line, struct op *op, const char **why);
/* opsWorker.c: the executor; never returns. `fd` is the memory to share. */
void ops_worker(int fd) __attribute__((noreturn));
/* opsView.c: prints one process of a snapshot, without its first line's name. */
void ops_view(pid_t pid, uint64_t window_end);
/* opsView.c: waits until *word is no longer `old`, at most `milliseconds` (-1: for ever). Returns 0 when it changed. */
int ops_wait(uint32_t *word, uint32_t old, long milliseconds);
/* opsView.c: adds 1 to *word and wakes who waits for it. */
void ops_ring(uint32_t *word);

#endif
