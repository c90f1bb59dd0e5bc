/* SPDX-License-Identifier: MIT */
#ifndef FAULTLINE_PAGES_H
#define FAULTLINE_PAGES_H

#include "case.h"

/* Remembers the lines of /proc/PID/status that observe_status() counts from. */
void pages_settled(pid_t pid);
/* Prints `-> kB` of one line of status; VmSwap and VmLck as they are, the others counted from pages_settled(). */
void pages_status(pid_t pid, int which);
/* Prints kB figures of smaps, added up over the VMAs that meet the range: `-> Rss 8 Anonymous 8`, or those of `mask` without names. */
void pages_figures(pid_t pid, uint64_t addr, uint64_t len, uint64_t mask);
/* Prints what pagemap says as runs: `-> a!*4 -*2 guard`. */
void pages_states(pid_t pid, uint64_t addr, uint64_t nr_pages);
/* Prints one pagemap word without its page frame or swap offset. */
void pages_word(pid_t pid, uint64_t addr);
/* Prints which pages are part of a large folio, as runs: `-> L*512`, `s` for small, `-` for none. */
void pages_folios(pid_t pid, uint64_t addr, uint64_t nr_pages);

#endif
