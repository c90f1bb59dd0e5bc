/* SPDX-License-Identifier: MIT */
/*
 * The lines of the protocol (README.md) as struct step. A line is a word and numbers: addresses and lengths in bytes,
 * flags as the system call takes them; `brk+N` counts from the first break the case has seen, `last+N` from the address
 * that the last mapping outside the window got.
 */
#include "case.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct { const char *name; int at_least, at_most; } ops[NR_OPS] = {
	[OP_MAP] = { "map", 6, 6 },               /* addr len prot flags fd offset; fd: slot, or -1 */
	[OP_UNMAP] = { "unmap", 2, 2 },           /* addr len */
	[OP_PROT] = { "prot", 3, 3 },             /* addr len prot */
	[OP_REMAP] = { "remap", 5, 5 },           /* addr old_len new_len flags new_addr */
	[OP_TOUCH] = { "touch", 2, 3 },           /* addr pages [bytes from one to the next] */
	[OP_READ] = { "read", 2, 3 },             /* addr pages [bytes from one to the next] */
	[OP_VAL] = { "val", 2, 2 },               /* addr pages */
	[OP_PFN] = { "pfn", 2, 2 },               /* addr pages */
	[OP_ADV] = { "adv", 3, 3 },               /* addr len advice */
	[OP_PADV] = { "padv", 3, MAX_ARGS },      /* advice (addr len)... */
	[OP_PADVPARENT] = { "padvparent", 3, MAX_ARGS },
	[OP_LOCK] = { "lock", 2, 2 },             /* addr len */
	[OP_LOCK2] = { "lock2", 3, 3 },           /* addr len flags */
	[OP_UNLOCK] = { "unlock", 2, 2 },         /* addr len */
	[OP_LOCKALL] = { "lockall", 1, 1 },       /* flags */
	[OP_CREFS] = { "crefs", 1, 1 },           /* what is written to clear_refs */
	[OP_UNLOCKALL] = { "unlockall", 0, 0 },
	[OP_SEAL] = { "seal", 2, 2 },             /* addr len */
	[OP_MBIND] = { "mbind", 3, 3 },           /* addr len mode; the node mask names node 0 */
	[OP_MBIND0] = { "mbind0", 2, 2 },         /* addr len; default policy, no node mask */
	[OP_MINCORE] = { "mincore", 2, 2 },       /* addr len */
	[OP_MSYNC] = { "msync", 3, 3 },           /* addr len flags */
	[OP_BRK] = { "brk", 1, 1 },               /* bytes from the first break seen */
	[OP_LIMIT] = { "limit", 2, 2 },           /* resource bytes */
	[OP_LIMITPLUS] = { "limitplus", 2, 2 },   /* resource pages: current use plus these */
	[OP_UID] = { "uid", 0, 0 },
	[OP_FILL] = { "fill", 1, 1 },             /* k: until map_count is max_map_count - k */
	[OP_COUNT] = { "count", 0, 0 },
	[OP_FORK] = { "fork", 0, 0 },
	[OP_FORKHOLD] = { "forkhold", 0, 0 },
	[OP_FORKDROP] = { "forkdrop", 0, 0 },
	[OP_ENDCHILD] = { "endchild", 0, 0 },
	[OP_EXITED] = { "exited", 0, 0 },
	[OP_MEMFD] = { "memfd", 2, 2 },           /* slot pages */
	[OP_FILLFD] = { "fillfd", 2, 2 },         /* slot pages */
	[OP_FILE] = { "file", 3, 3 },             /* slot pages access: O_RDWR, O_RDONLY, O_WRONLY */
	[OP_DIR] = { "dir", 1, 1 },               /* slot */
	[OP_SHMGET] = { "shmget", 2, 2 },         /* slot pages */
	[OP_SHMAT] = { "shmat", 2, 2 },           /* slot addr */
	[OP_UFFD] = { "uffd", 0, 0 },
	[OP_UFFDREG] = { "uffdreg", 3, 3 },       /* addr len mode */
	[OP_UFFDUNREG] = { "uffdunreg", 2, 2 },   /* addr len */
	[OP_KSMALL] = { "ksmall", 1, 1 },
	[OP_MDWE] = { "mdwe", 0, 0 },
	[OP_COMM] = { "comm", 1, 1 },             /* unit in pages the change is rounded to; 0: only start counting */
	[OP_VMAS] = { "vmas", 0, 0 },
	[OP_VMACOUNT] = { "vmacount", 0, 0 },
	[OP_SMAPS] = { "smaps", 0, 0 },
	[OP_OVERCOMMIT] = { "overcommit", 1, 1 }, /* mode; undone after the case */
	[OP_PLUG] = { "plug", 1, 1 },             /* pages mapped at the top of the highest gap */
	[OP_SWAP] = { "swap", 0, 0 },             /* there is swap space until the end of the case */
	[OP_TOUCHTO] = { "touchto", 2, 2 },       /* addr pages: as touch, but the first trap ends it */
	[OP_READTO] = { "readto", 2, 2 },         /* addr pages */
	[OP_TABLES] = { "tables", 2, 2 },         /* addr pages */
	[OP_AT] = { "at", 1, 1 },                 /* which process goes on: 0 the first, else the forkholds from 1 */
	[OP_DROP] = { "drop", 1, 1 },             /* that process ends; it is not the one that goes on */
	[OP_NAME] = { "name", 2, 2 },             /* addr len: PR_SET_VMA_ANON_NAME */
	[OP_SEALS] = { "seals", 2, 2 },           /* slot F_SEAL_* */
	[OP_DEVNULL] = { "devnull", 1, 1 },       /* slot */
	[OP_DEVZERO] = { "devzero", 1, 1 },       /* slot */
	[OP_SETTLE] = { "settle", 0, 0 },         /* from here on page tables and faults are counted */
	[OP_VMPTE] = { "vmpte", 0, 0 },
	[OP_FAULTS] = { "faults", 0, 0 },
	[OP_FIGURES] = { "figures", 3, 3 },       /* addr len; bit i: the i-th figure, 0: all that are not zero */
	[OP_STATUS] = { "status", 1, 1 },         /* which line, by its number in pages.c */
	[OP_PM] = { "pm", 2, 2 },                 /* addr pages */
	[OP_WORD] = { "word", 1, 1 },             /* addr */
	[OP_FOLIO] = { "folio", 2, 2 },           /* addr pages */
	[OP_SUM] = { "sum", 2, 2 },               /* addr pages */
	[OP_ADVEACH] = { "adveach", 5, 5 },       /* addr times bytes-from-one-to-the-next len advice */
	[OP_VMREAD] = { "vmread", 3, 3 },         /* addr pages; 0 of this process, 1 of its parent */
	[OP_VMWRITE] = { "vmwrite", 3, 3 },
	[OP_TRUNCATE] = { "truncate", 2, 2 },     /* slot pages */
	[OP_PUNCH] = { "punch", 3, 3 },           /* slot page pages */
	[OP_FREAD] = { "fread", 4, 4 },           /* slot page addr pages: from the file into memory */
	[OP_FWRITE] = { "fwrite", 4, 4 },         /* slot page addr pages: from memory into the file */
	[OP_PUT] = { "put", 3, 3 },               /* slot page value */
	[OP_FVAL] = { "fval", 3, 3 },             /* slot page pages */
	[OP_UFFDOPEN] = { "uffdopen", 1, 1 },     /* features */
	[OP_UFFDWP] = { "uffdwp", 3, 3 },         /* addr len; 1 protects, 0 does not */
	[OP_UFFDPOISON] = { "uffdpoison", 2, 2 }, /* addr len */
	[OP_UFFDCOPY] = { "uffdcopy", 3, 3 },     /* addr pages mode */
	[OP_UFFDZERO] = { "uffdzero", 2, 2 },     /* addr len */
	[OP_UFFDMOVE] = { "uffdmove", 3, 3 },     /* to from len */
	[OP_UFFDCONT] = { "uffdcont", 2, 2 },     /* addr len */
	[OP_RACE] = { "race", 3, 3 },             /* addr pages times */
	[OP_UOPEN] = { "uopen", 3, 3 },           /* context flags features; all ones: no handshake */
	[OP_UAPI] = { "uapi", 3, 3 },             /* context api features */
	[OP_UREG] = { "ureg", 5, 5 },             /* context addr len mode; the structure: 0 writable, 1 read-only, 2 not there */
	[OP_UUNREG] = { "uunreg", 3, 3 },         /* context addr len */
	[OP_UFILL] = { "ufill", 8, 8 },           /* context what dst, source: kind and address, len mode structure */
	[OP_UWP] = { "uwp", 4, 4 },               /* context addr len mode */
	[OP_UWAKE] = { "uwake", 3, 3 },           /* context addr len */
	[OP_UCLOSE] = { "uclose", 1, 1 },         /* context */
	[OP_UREAD] = { "uread", 4, 4 },           /* context reads bytes; 1: into memory that is not there */
	[OP_UCOUNT] = { "ucount", 1, 1 },         /* context */
	[OP_UPOLL] = { "upoll", 1, 1 },           /* context */
	[OP_SCAN] = { "scan", 13, 13 },           /* start end size flags vec vec_len max_pages, the four masks, whose memory: 0 one's own, else a forkhold; 1: no structure, 2: another ioctl */
	[OP_BG] = { "bg", 2, MAX_ARGS },          /* thread what and its arguments, as uffdSteps.c numbers them */
	[OP_JOIN] = { "join", 1, 1 },             /* thread */
	[OP_MEMWRITE] = { "memwrite", 2, 2 },     /* addr pages: through /proc/self/mem */
	[OP_PMREAD] = { "pmread", 2, 2 },         /* bytes offset: of /proc/self/pagemap */
	[OP_PROTEACH] = { "proteach", 5, 5 },     /* addr times bytes-from-one-to-the-next len prot; how many calls worked */
	[OP_SIG] = { "sig", 1, 1 },               /* thread: SIGUSR1 */
	[OP_UMOVERS] = { "umovers", 4, 4 },       /* context to from pages: two move the same pages at once */
	[OP_UBLOCK] = { "ublock", 2, 2 },         /* context; 1 makes it blocking, 0 not */
	[OP_UDUP] = { "udup", 2, 2 },             /* context, and the number of its second descriptor */
	[OP_PIN] = { "pin", 2, 2 },               /* addr pages: a fixed buffer of io_uring */
	[OP_UNPIN] = { "unpin", 0, 0 },
	[OP_VMSPLICE] = { "vmsplice", 1, 1 },     /* addr: the page is put into a pipe */
	[OP_OWNWORD] = { "ownword", 1, 1 },       /* addr: the word of pagemap as the process itself reads it */
	[OP_VFORK] = { "vfork", 0, 0 },           /* a child that borrows the memory, and its end */
	[OP_SLOTS] = { "slots", 2, 2 },           /* addr pages: places in swap by their first appearance */
	[OP_UWRITE] = { "uwrite", 1, 1 },         /* context */
	[OP_KSM] = { "ksm", 2, 2 },               /* addr pages: until the kernel has merged them, for they are equal */
	[OP_PIPEVAL] = { "pipeval", 0, 0 },       /* the first byte of what is in the pipe */
};

int step_parse(char *line, struct step *step, const char **why)
{
	char *rest, *word = strtok_r(line, " \t\n", &rest);

	memset(step, 0, sizeof(*step));
	*why = "an empty line";
	if (!word) return -1;
	*why = "an unknown operation";
	int op = 0;
	while (op < NR_OPS && strcmp(ops[op].name, word) != 0) op++;
	if (op == NR_OPS) return -1;
	step->op = op;
	while ((word = strtok_r(NULL, " \t\n", &rest))) {
		char *end;
		*why = "too many arguments";
		if (step->nr_args == MAX_ARGS) return -1;
		if (strncmp(word, "brk+", 4) == 0) step->from_brk |= 1u << step->nr_args, word += 4;
		else if (strncmp(word, "last+", 5) == 0) step->from_last |= 1u << step->nr_args, word += 5;
		errno = 0;
		step->arg[step->nr_args++] = strtoull(word, &end, 0);
		*why = "not a number";
		if (*end || end == word || errno) return -1;
	}
	*why = "the wrong number of arguments";
	return step->nr_args < ops[op].at_least || step->nr_args > ops[op].at_most ? -1 : 0;
}
