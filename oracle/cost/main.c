/* SPDX-License-Identifier: MIT */
/*
 * cost measure [--quick] [--budget MS] GROUP …   measures the figures of these groups once
 * cost scenarios [--swap] [--budget MS] ROUNDS    measures the scenarios it reads (scenario.c)
 *
 * Prints a line `group NAME` when one begins, its samples (cost.h) when it is over, and `cannot FIGURES: why` for what this machine or user does not allow.
 * SIGINT and SIGTERM end it after the sample it is at, with what it has; what it set up is undone also when it is killed.
 */
#include "../guard.h"
#include "cost.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct group {
	const char *name;
	void (*measure)(void);
} groups[] = {
	{ "base", measure_base }, { "vmas", measure_vmas }, { "many-vmas", measure_many_vmas }, { "moves", measure_moves },
	{ "faults", measure_faults }, { "huge", measure_huge }, { "files", measure_files }, { "zaps", measure_zaps },
	{ "inspection", measure_inspection }, { "fork", measure_fork }, { "uffd", measure_uffd }, { "uffd-faults", measure_uffd_faults },
	{ "signals", measure_signals }, { "threads", measure_threads }, { "swap", measure_swap },
};
enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };

static void on_stop(int signal)
{
	(void)signal;
	is_stopping = true;
}

/* The last two CPUs that may be used: the first one of a machine has most of its interrupts. */
static void choose_cpus(void)
{
	cpu_set_t set;

	own_cpu = other_cpu = 0;
	if (sched_getaffinity(0, sizeof(set), &set) != 0) return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set)) other_cpu = own_cpu, own_cpu = cpu;
	if (!CPU_ISSET(other_cpu, &set)) other_cpu = own_cpu;
}

static const struct group *group_of(const char *name)
{
	for (int i = 0; i < GROUPS; i++)
		if (strcmp(groups[i].name, name) == 0) return &groups[i];
	fprintf(stderr, "cost: no group %s\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	struct sigaction stop = { .sa_handler = on_stop };
	const struct group *asked[GROUPS];
	int nr = 0, rounds = 0;
	bool with_swap = false, is_scenarios = argc > 1 && strcmp(argv[1], "scenarios") == 0;

	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0) is_quick = true;
		else if (strcmp(argv[i], "--budget") == 0 && i + 1 < argc) budget_ms = atoi(argv[++i]);
		else if (strcmp(argv[i], "--swap") == 0) with_swap = true;
		else if (is_scenarios) rounds = atoi(argv[i]);
		else if (nr < GROUPS) asked[nr++] = group_of(argv[i]);
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	guard_lock();
	choose_cpus();
	pin_to(own_cpu);
	/* Allowed to root only; elsewhere the samples are disturbed more often. */
	setpriority(PRIO_PROCESS, 0, -15);
	if (with_swap && !setup_swap()) cannot("swap", "no swap device could be made");
	if (is_scenarios) run_scenarios(rounds);
	for (int i = 0; i < nr && !is_stopping; i++) {
		printf("group %s\n", asked[i]->name);
		fflush(stdout);
		asked[i]->measure();
		print_samples();
	}
	setup_undo();
	return is_stopping ? 130 : 0;
}
