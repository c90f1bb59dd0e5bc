/* SPDX-License-Identifier: MIT */
/* What the parts of opsrun share: operations, and the memory through which the observer speaks to the executor and it to its children. */
#ifndef FAULTLINE_OPS_H
#define FAULTLINE_OPS_H

#include <stdint.h>
#include <sys/types.h>

/* What an ops file speaks about; the executor uses nothing in this window itself. */
#define WINDOW 0x200000000000UL
#define MAX_WINDOW (64UL << 20)
/* Where the executor and the observer have the memory they share. The executor's image is linked beside it (Makefile): above the window, so
 * that smaps shows the window first, and far from what the kernel places. */
#define SHARED_AT 0x400010000000UL
#define OPS_PG 4096UL
#define PMD_BYTES (2UL << 20)
/* An address that stands for the result of the line before it, if that lies outside the window. */
#define PLACED (~1UL)
/* The limit that is none. */
#define NO_LIMIT (~3UL)
/* WHO of process_vm_readv, process_vm_writev and process_madvise; otherwise a child. */
#define WHO_SELF (~0UL)

enum {
	MAX_OPS = 16384, MAX_CHILDREN = 256, MAX_PAGES = MAX_WINDOW / OPS_PG, MAX_RANGES = 4096, NR_FILES = 4,
	IO_BYTES = 65536, MAX_IOVECS = 1024, VEC_BYTES = 1 << 19, MAX_UFFDS = 512, NR_WORKERS = 3, NR_THREADS = NR_WORKERS + 1,
	MAX_REGIONS = 64,
};
/* Descriptors of the executor and all its children, who share their table. */
enum { SHARED_FD = 40, EXECUTOR_FD = 41, MEMFD_FD = 900, FILE_FD = MEMFD_FD + NR_FILES, MEMFD_RO_FD = MEMFD_FD - 1, PAGEMAP_FD = 890 };
/* What userfaultfd copies from: pages that are there, up to memory that is not mapped. */
#define COPY_AT 0x330000000000UL
enum { COPY_BYTES = 8 << 20 };

enum op_kind {
	OP_MMAP, OP_MUNMAP, OP_MPROTECT, OP_MREMAP, OP_MADVISE, OP_MLOCK, OP_MLOCK2, OP_MUNLOCK, OP_MLOCKALL, OP_MUNLOCKALL, OP_MSYNC,
	OP_MSEAL, OP_PRCTL, /* up to here: the system call and nothing else */
	OP_TOUCH_READ, OP_TOUCH_WRITE, OP_MINCORE, OP_VM_READ, OP_VM_WRITE, OP_PROCESS_MADVISE, OP_MEMFD, OP_OPEN,
	OP_FTRUNCATE, OP_FALLOCATE, OP_FILE_WRITE, OP_ADD_SEALS, OP_SHMGET, OP_SHMAT, OP_SHMDT, OP_SETRLIMIT, OP_SETUID, OP_FILL,
	OP_OVERCOMMIT, OP_USERFAULTFD, OP_UFFD_IOCTL, OP_UFFD_READ, OP_UFFD_CLOSE, OP_SCAN, OP_FORK, OP_CHILD_EXIT, OP_NOP, OP_MEMORY_MAX,
	OP_MEMORY_RECLAIM, OP_SNAPSHOT,
};

/* The ioctls of userfaultfd, as arg[1] of an operation; their arguments begin at arg[2]. */
enum uffd_call {
	UFFD_API, UFFD_REGISTER, UFFD_UNREGISTER, UFFD_WAKE, UFFD_COPY, UFFD_ZEROPAGE, UFFD_MOVE, UFFD_WRITEPROTECT, UFFD_CONTINUE, UFFD_POISON,
	NR_UFFD_CALLS,
};
/* What the kernel has not written. */
#define UNTOUCHED 0x5a5a5a5a5a5a5a5aUL

/* One line of the file, and what came of it. */
struct op {
	uint32_t number;
	uint16_t kind;
	int16_t by; /* the child that does it; -1: the process itself */
	uint64_t arg[14];
	char name[16];  /* of prctl; empty: NULL */
	uint8_t plain;  /* printed without the faults */
	uint8_t uffd;   /* the format is opfuzz-uffd */
	uint8_t now;    /* setrlimit: added to what is used; an ioctl: NULL is passed */
	/* the rest is written by the executor */
	uint16_t skipped; /* not carried out: nothing was placed outside the window, or a child is gone */
	uint32_t faults, major; /* of the faults, those that were major */
	uint32_t nr_out;        /* messages, regions: so many, in ops_shared.vec */
	uint16_t slept;         /* 1 and the number of the worker that slept in it; of a child: 1 */
	uint32_t joined;        /* 1 and the index of the operation that ended the sleep */
	uint64_t out[3];        /* fields of the structure as the kernel left them */
	int64_t result;
	uint64_t at;     /* si_addr of the signal */
	uint64_t placed; /* what PLACED stood for */
	int32_t error;   /* errno, or 0 */
	int32_t signal;  /* SIGSEGV, SIGBUS, or 0 */
	int32_t code;    /* si_code of the signal */
	uint32_t vec;    /* mincore: where its bytes begin in ops_shared.vec */
};

/* What the executor and its children are asked for. */
enum command { RUN, VIEW, EXIT, STIR };

/* How the executor speaks to a child. A futex word changes when the other side has something to do. */
struct child_slot {
	uint32_t ask, answer; /* futexes: numbers of the last request and the last answer */
	uint32_t command, op; /* which one to carry out */
	int32_t pid;          /* 0: not living */
	int32_t pidfd;
	int32_t wchan_fd;
	int32_t seen_pid; /* stays when it has ended: a message may speak of it */
	uint32_t asleep; /* 1 and the index of the operation in which it sleeps */
	uint32_t awaited; /* what `answer` is when it has done it */
	uint64_t unused[2]; /* a line of the cache each */
};

/* Pages of the window whose first words are wanted. */
struct page_range { uint32_t from, to; };

struct ops_shared {
	uint32_t spawn;       /* futex: numbers of the executors wanted */
	uint32_t ask, answer; /* futexes, as above */
	uint32_t command, viewed; /* VIEW: of which child; MAX_CHILDREN: of the process itself */
	uint32_t stir; /* STIR: how many times 64 faults */
	uint32_t from, until;     /* RUN: operations to carry out */
	uint32_t nr_ops, nr_ranges;
	uint32_t all_present; /* all memory of the executor shall be present, because something asks for all */
	uint32_t vec_used;
	int32_t pid; /* of the executor */
	int32_t shm[NR_FILES]; /* System V identifiers; -1: none */
	uint64_t filled; /* where the next mapping of fill goes */
	uint32_t uffd;        /* the format is opfuzz-uffd */
	uint32_t nr_joins;    /* sleeps that ended in this stretch */
	uint32_t nr_uffds;    /* userfaultfd contexts made so far */
	uint64_t memfd_bytes; /* of m0, which is there from the beginning */
	int32_t tid[NR_WORKERS];
	uint32_t asleep[NR_WORKERS]; /* 1 and the index of the operation in which it sleeps */
	int32_t uffd_fd[MAX_UFFDS]; /* -1: closed */
	uint64_t swap_pages; /* of the swap device that the sequence has, or 0 */
	uint32_t in_group;    /* the sequence has a memory cgroup: what the executor has outside the window may be in swap, too */
	uint64_t window_end, stack, stack_end;
	uint64_t kernel_pages, vdso, vdso_end; /* the first page of the kernel's, and its code */
	char files[64]; /* directory of regular files */
	int32_t prepared_fd; /* what a call got ready: a descriptor of a process, or 0 */
	uint64_t base;       /* and what it counts from */
	struct child_slot child[MAX_CHILDREN];
	struct op ops[MAX_OPS];
	struct page_range ranges[MAX_RANGES];
	uint64_t stamps[MAX_PAGES];
	uint8_t io[NR_THREADS][IO_BYTES] __attribute__((aligned(4096)));
	uint64_t iovecs[2 * MAX_IOVECS] __attribute__((aligned(4096)));
	uint8_t vec[VEC_BYTES];
};

/* opsParse.c: reads one line into `op`. Returns 0, 1 for a line that is no operation (part of a snapshot), -1 with `why`. */
int ops_parse(const char *line, struct op *op, int uffd, const char **why);

/* opsUffdParse.c: reads the arguments of userfaultfd calls. `args` begins behind the parenthesis. Returns 0, or -1. */
int uffd_parse(struct op *op, const char *args);
/* opsUffdPrint.c: the lines of the format opfuzz-uffd. */
void uffd_print_op(const struct ops_shared *shared, const struct op *op, const char *text);
void uffd_print_joins(const struct ops_shared *shared, uint32_t i);
void out_categories(uint64_t bits);
void uffd_print_contexts(const struct ops_shared *shared, pid_t pid);
void out_result(const struct op *op);

/* opsPrint.c: what is printed waits until it is flushed. `text`: the operation as it was written, up to its last parenthesis. */
void out_text(const char *text, size_t length);
void out_string(const char *text);
void out_decimal(int64_t value);
void out_hex(uint64_t value);
void out_flush(void);
void out_op(const struct op *op, const char *text, const uint8_t *vec);

/* opsView.c: has the lines `internal` printed from here on; `why` not, when the kernel's structures cannot be read: then it returns -1. */
int view_internals(const char **why);
/* Whether the next snapshots have `internal` lines, where they can be read. */
void view_want_internals(int wanted);
/* opsView.c: prints one process of a snapshot, without its first line's name. `slot`: its child, MAX_CHILDREN for the executor. */
void view_process(struct ops_shared *shared, uint32_t slot, pid_t pid);
/* opsView.c: lets go of the processes that were seen, and of their numbers. */
void view_forget(void);

/* opsDisk.c: mounts a file system for regular files, once. */
void disk_mount(const char *directory);

/* opsMemory.c: puts a process into a memory cgroup made for it. Returns 0, or -1. */
int memory_begin(pid_t pid);
/* Limits it, or gets its memory back. Returns 0, or -1 when the executor is dead. */
int memory_call(struct op *op);
/* Removes it, when its processes are gone. */
void memory_end(void);

/* opsrun.c: asks the executor for `command`. Returns 0, or -1 when it died or takes too long, which is printed. */
int ops_ask(uint32_t command);

#endif
