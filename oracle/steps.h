/* SPDX-License-Identifier: MIT */
/* What steps.c and pageSteps.c, the two parts of the case process, share. */
#ifndef FAULTLINE_STEPS_H
#define FAULTLINE_STEPS_H

#include "case.h"

#include <signal.h>

extern int fds[NR_FDS], uffd;

/* One line to the observer, put together piece by piece. */
void begin(const char *text);
void append(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_line(void);
/* `-> 0`, `-> -ENOMEM`, or a count of bytes. */
void say_result(long ret);
/* Has the observer print something about this process. */
void ask(enum ask what, uint64_t a, uint64_t b, uint64_t c, const char *text);
/* Loads or stores one byte; returns it, or -1 when the access trapped. */
int access_byte(unsigned long addr, int store, int value);
/* Signal of the last trap. */
extern volatile int trap_signal;

/* Makes the step if it is one of pageSteps.c; returns 0 if it is not. */
int page_step(const struct step *s);
/* Makes the step if it is one of uffdSteps.c; returns 0 if it is not. */
int uffd_step(const struct step *s);
/* A trap of one of its threads: goes on in that thread. Returns 0 if it was none of them. */
int thread_trapped(int signal, const siginfo_t *info);
/* This process is a new one: the threads are in its parent. */
void threads_are_gone(void);
/* Leaves a child behind, as the step forkhold does, from a thread. */
void fork_in_thread(void);
/* The process that was left behind with that number. */
pid_t held_process(int number);
/* Faults charged to this thread so far. */
long charged_faults(void);
/*
 * Makes all memory of this program itself present and its own, so that from here on only a case takes faults and makes page tables.
 * Does nothing before the step `settle`. `since`: the faults charged since then, up to now, are not the case's.
 */
void settle_again(long since);
/* The same in a new process, which starts to count at 0. */
void settle_child(void);

#endif
