/* SPDX-License-Identifier: MIT */
#ifndef FAULTLINE_OBSERVE_H
#define FAULTLINE_OBSERVE_H

#include "case.h"

/* Chooses how VMAs are read: by the BPF iterator, or from smaps when that is refused or not wanted (then *why says why). */
void observe_open(int use_bpf, const char **why);
/* Forgets the labels of the case before. */
void observe_reset(void);
/* Prints the VMAs of the window in the notation: `=> [0,2) rw-p o=B+0 a1 ac | ...`. */
void observe_vmas(pid_t pid);
/* Prints `-> N`, the number of VMAs in the window. */
void observe_vma_count(pid_t pid);
/* Prints what each page is: `p1!`, `-`, `guard`, `swap`. */
/* Frames by their first appearance; with `slots` places in swap. */
void observe_pages(pid_t pid, uint64_t addr, uint64_t nr_pages, int slots);
/* Prints which 2 MiB ranges of [addr, +nr_pages) have a page table: one letter each, `1`, `0`, or `-` where nothing is mapped. */
void observe_tables(pid_t pid, uint64_t addr, uint64_t nr_pages);
/* Prints `map_count = max-3`. */
void observe_count(pid_t pid);
/* Reads a file of /proc/PID line by line through a static buffer; proc_next_line() returns NULL at its end. */
void proc_lines(pid_t pid, const char *name);
char *proc_next_line(void);
/* Retires the labels of pages that were freed: the next page with such a number is another page. */
void observe_freed_pages(void);

#endif
