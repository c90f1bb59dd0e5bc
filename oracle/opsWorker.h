/* SPDX-License-Identifier: MIT */
/* What the two parts of the executor share. */
#ifndef FAULTLINE_OPS_WORKER_H
#define FAULTLINE_OPS_WORKER_H

#include "ops.h"
#include "opsBare.h"

/* Added to the number of an operation where it is stored, so that one sees who stored it and how. */
enum { CHILD_STAMP = 0x100000, COPY_STAMP = 0x400000, FILE_STAMP = 0x800000 };

#define SHARED ((struct ops_shared *)SHARED_AT)

/* opsCalls.c: what must be there before faults are counted: buffers, descriptors of processes. Returns 0 when the operation is to be left out. */
int call_prepare(struct op *op);
/* opsCalls.c: makes the call. Returns its result, or -errno. */
long call_make(struct op *op);
/* opsCalls.c: undoes what call_prepare opened. */
void call_finish(void);

#endif
