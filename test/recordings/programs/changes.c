/* Three threads read and write at random while the first thread discards, protects, frees and forks; a handler makes protected pages writable again. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGES = 1024, THREADS = 3, STEPS = 60, PAGE = 4096, MOST = 64 };
static char *memory;
static volatile int stop;

static unsigned next(unsigned *state)
{
	return *state = *state * 1103515245 + 12345;
}

static void unprotect(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	mprotect((void *)((unsigned long)info->si_addr & ~(PAGE - 1UL)), PAGE, PROT_READ | PROT_WRITE);
}

static void *work(void *argument)
{
	unsigned state = (long)argument * 7919;
	while (!stop) {
		unsigned random = next(&state);
		volatile char *page = memory + (random >> 8) % PAGES * PAGE;
		if (random & 0x40000000) (void)*page;
		else *page = random;
	}
	return NULL;
}

static void change(int step, char *at, long length)
{
	static int children;
	switch (step % 5) {
	case 0:
		madvise(at, length, MADV_DONTNEED);
		return;
	case 1:
		mprotect(at, length, PROT_READ);
		return;
	case 2:
		mprotect(at, length, PROT_READ | PROT_WRITE);
		return;
	case 3:
		madvise(at, length, MADV_FREE);
		return;
	}
	if (step % 25 != 4 || children == 4) {
		madvise(memory, PAGES * PAGE, step % 2 ? MADV_COLD : MADV_DONTNEED);
		return;
	}
	children++;
	if (fork() != 0) return;
	for (int i = 0; i < 50; i++) memory[i * PAGE] = 1;
	pause();
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = unprotect, .sa_flags = SA_SIGINFO };
	pthread_t threads[THREADS];
	unsigned state = 1;
	sigaction(SIGSEGV, &action, NULL);
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (long i = 0; i < THREADS; i++) pthread_create(threads + i, NULL, work, (void *)i);
	for (int step = 0; step < STEPS; step++) {
		unsigned random = next(&state);
		change(step, memory + (random >> 8) % (PAGES - MOST) * PAGE, (1 + (random >> 20) % MOST) * PAGE);
		usleep(500);
	}
	stop = 1;
	for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
	puts("done");
	sleep(100);
}
