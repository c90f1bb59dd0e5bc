/* SPDX-License-Identifier: MIT */
/* What the parts of caserun share: the window, a parsed step, the messages from a case process to the observer. */
#ifndef FAULTLINE_CASE_H
#define FAULTLINE_CASE_H

#include <stdint.h>
#include <sys/types.h>

#define PG 4096UL
#define WINDOW 0x100000000000UL            /* B of the notation: nothing else is mapped in the 64 GiB above it */
#define WINDOW_END (WINDOW + (64UL << 30))
#define FAR 0x200000000000UL               /* where `fill` puts its VMAs */
#define ANCHOR (WINDOW + (256UL << 30))    /* a touched page here makes the table of the 512 GiB around the window */

enum op {
	OP_MAP, OP_UNMAP, OP_PROT, OP_REMAP, OP_TOUCH, OP_READ, OP_VAL, OP_PFN, OP_ADV, OP_PADV, OP_PADVPARENT, OP_LOCK, OP_LOCK2,
	OP_UNLOCK, OP_LOCKALL, OP_UNLOCKALL, OP_CREFS, OP_SEAL, OP_MBIND, OP_MBIND0, OP_MINCORE, OP_MSYNC, OP_BRK, OP_LIMIT, OP_LIMITPLUS,
	OP_UID, OP_FILL, OP_COUNT, OP_FORK, OP_FORKHOLD, OP_FORKDROP, OP_ENDCHILD, OP_EXITED, OP_MEMFD, OP_FILLFD, OP_FILE, OP_DIR,
	OP_SHMGET, OP_SHMAT, OP_UFFD, OP_UFFDREG, OP_UFFDUNREG, OP_KSMALL, OP_MDWE, OP_COMM, OP_VMAS, OP_VMACOUNT, OP_SMAPS,
	OP_OVERCOMMIT, OP_SWAP, OP_PLUG, OP_TOUCHTO, OP_READTO, OP_AT, OP_DROP, OP_NAME, OP_SEALS, OP_DEVNULL, OP_DEVZERO, OP_TABLES,
	OP_SETTLE, OP_VMPTE, OP_FAULTS, OP_FIGURES, OP_STATUS, OP_PM, OP_WORD, OP_FOLIO, OP_SUM, OP_ADVEACH, OP_VMREAD, OP_VMWRITE,
	OP_TRUNCATE, OP_PUNCH, OP_FREAD, OP_FWRITE, OP_PUT, OP_FVAL, OP_UFFDOPEN, OP_UFFDWP, OP_UFFDPOISON, OP_UFFDCOPY, OP_UFFDZERO,
	OP_UFFDMOVE, OP_UFFDCONT, OP_RACE, OP_UOPEN, OP_UAPI, OP_UREG, OP_UUNREG, OP_UFILL, OP_UWP, OP_UWAKE, OP_UCLOSE, OP_UREAD, OP_UCOUNT,
	OP_UPOLL, OP_SCAN, OP_BG, OP_JOIN, OP_MEMWRITE, OP_PMREAD,
	OP_PROTEACH, OP_SIG, OP_UMOVERS, OP_UBLOCK, OP_UDUP, OP_PIN, OP_UNPIN, OP_VMSPLICE, OP_PIPEVAL, OP_OWNWORD,
	OP_VFORK, OP_SLOTS, OP_UWRITE, OP_KSM, NR_OPS,
};

enum { MAX_ARGS = 16, MAX_STEPS = 16384, NR_FDS = 3, MAX_SEEN = 1024, MAX_HELD = 64 };

struct step {
	enum op op;
	int nr_args;
	uint32_t from_brk;               /* bit i: argument i counts from the first brk seen */
	uint32_t from_last;              /* bit i: argument i counts from the last address outside the window */
	uint64_t arg[MAX_ARGS];
};

/* Reads one line into *step. Returns 0, or -1 with the reason in *why. */
int step_parse(char *line, struct step *step, const char **why);

/* A message from a case process. Every one is answered with a byte, so that the process waits until it was handled. */
enum ask { ASK_TEXT, ASK_LOCK, ASK_VMAS, ASK_VMACOUNT, ASK_PFN, ASK_TABLES, ASK_COUNT, ASK_OVERCOMMIT, ASK_SWAP,
	ASK_SETTLED, ASK_STATUS, ASK_FIGURES, ASK_PM, ASK_WORD, ASK_FOLIO, ASK_END };
struct message {
	enum ask ask;
	int step;
	pid_t pid;
	uint64_t arg[3];
	char text[600];
};

/* Runs the steps in this process (and in the children they ask for), talking to the observer over `fd`; never returns. */
void case_run(const struct step *steps, int nr_steps, int fd) __attribute__((noreturn));

/* What the processes of one case tell each other; shared memory made before any of them. */
struct shared {
	volatile int next_step;          /* where the parent goes on when this child has ended */
	volatile int dropped;            /* forkdrop: the parent has unmapped the window */
	volatile int turn;               /* which of the held processes goes on: 0 is the first of the case */
	volatile int nr_held;            /* forkhold counts from 1 */
	volatile pid_t held[MAX_HELD];
	volatile uint64_t last;          /* the last address a mapping got outside the window */
};
extern struct shared *shared;

/* Returns the number of VMAs of a process: the lines of its maps but [vsyscall]; -1 when it cannot be read. */
long vma_count(const char *maps_path);
long read_number(const char *path);

#endif
