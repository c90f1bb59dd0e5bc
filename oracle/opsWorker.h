/* SPDX-License-Identifier: MIT */
/* What the two parts of the executor share. */
#ifndef FAULTLINE_OPS_WORKER_H
#define FAULTLINE_OPS_WORKER_H

#include "ops.h"
#include "opsBare.h"

#include <sys/resource.h>

/* Added to the number of an operation where it is stored, so that one sees who stored it and how. */
enum { CHILD_STAMP = 0x100000, BUFFER_STAMP = 0x200000, COPY_STAMP = 0x400000, FILE_STAMP = 0x800000 };

#define SHARED ((struct ops_shared *)SHARED_AT)

/* Where the threads of a sequence with userfaultfd have their own memory. */
#define THREADS_AT 0x320000000000UL
enum { THREAD_STACK = 5 * OPS_PG };

/* What a thread knows of itself. */
struct thread {
	void *jump[5];
	volatile int signal, code;
	volatile uint64_t at;
	uint32_t faults, major; /* charged so far, before the next operation */
	uint32_t ask, answer;   /* futexes, of a worker */
	struct op *op;
	struct rusage usage;
};

/* opsWorker.c: the thread that began, in any process. */
struct thread *main_thread(void);
/* opsWorker.c: carries out an operation in this thread. */
void do_operation(struct op *op);
/* opsWorker.c: makes what the thread that began writes its own again after a fork. */
void settle_main(void);
/* opsWorker.c: empties the batches of pages of this CPU. */
void drain_batches(void);

/* opsThreads.c: who is asking, and its number; the thread that began has the highest. */
struct thread *this_thread(void);
int thread_number(void);
/* opsThreads.c: starts the workers; makes their memory present again after a fork; gives a child its priority. */
void threads_begin(void);
void threads_settle(void);
void threads_in_child(void);
/* opsThreads.c: takes note of a new child; carries out operation `i`, up to its end or until it sleeps. */
void threads_forked(struct child_slot *slot, int pid);
void threads_run(uint32_t i);
int threads_pagemap(void);

/* opsUffd.c: the same as the functions of opsCalls.c for userfaultfd. */
void uffd_prepare(struct op *op);
long uffd_call(struct op *op);

/* opsCalls.c: makes a memfd with this name and descriptor. */
long make_memfd(const char *name, uint64_t fd, uint64_t flags);
/* opsCalls.c: what must be there before faults are counted: buffers, descriptors of processes. Returns 0 when the operation is to be left out. */
int call_prepare(struct op *op);
/* opsCalls.c: makes the call. Returns its result, or -errno. */
long call_make(struct op *op);
/* opsCalls.c: undoes what call_prepare opened. */
void call_finish(void);

#endif
