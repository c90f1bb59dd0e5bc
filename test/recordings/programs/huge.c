/* Three threads fault at once on the same huge pages: writes, reads, writes. Then a child breaks some up, and so does its parent. */
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, THREADS = 3, ROUNDS = 3 };
static const long HUGE = 2L << 20, LENGTH = 128L << 20;
static char *memory;
static pthread_barrier_t step;

static void *work(void *argument)
{
	long id = (long)argument;
	for (int round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&step);
		for (long at = 0; at < LENGTH; at += HUGE) {
			volatile char *page = memory + at + id * 10 * PAGE;
			if (round == 1) (void)*page;
			else *page = 1;
		}
		pthread_barrier_wait(&step);
		if (id == 0 && round < ROUNDS - 1) madvise(memory, LENGTH, MADV_DONTNEED);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	memory = mmap((void *)0x10000000000, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	madvise(memory, LENGTH, MADV_HUGEPAGE);
	pthread_barrier_init(&step, NULL, THREADS);
	for (long i = 0; i < THREADS; i++) pthread_create(threads + i, NULL, work, (void *)i);
	for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
	if (fork() == 0) {
		memory[0] = memory[2 * HUGE] = 1;
		madvise(memory + 4 * HUGE, 100 * PAGE, MADV_DONTNEED);
		sleep(100);
	}
	memory[HUGE] = 1;
	madvise(memory + 10 * HUGE, 7 * PAGE, MADV_FREE);
	mprotect(memory + 15 * HUGE, 10 * PAGE, PROT_READ);
	puts("done");
	sleep(100);
}
