/* Four threads touch the same pages in step: first writes, reads against writes, writes after reads, copies after a fork. */
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGES = 2000, THREADS = 4, ROUNDS = 6, PAGE = 4096 };
static char *memory;
static pthread_barrier_t step;

static void touch(int round, long id, volatile char *page)
{
	switch (round) {
	case 1:
		if (id & 1) (void)page[0];
		else page[8] = 2;
		return;
	case 2:
		(void)page[0];
		page[id] = 3;
		return;
	case 4:
		(void)page[0];
		return;
	default:
		page[id] = 1;
	}
}

static void *work(void *argument)
{
	long id = (long)argument;
	for (int round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&step);
		for (long i = 0; i < PAGES; i++) touch(round, id, memory + i * PAGE);
		pthread_barrier_wait(&step);
		if (id != 0) continue;
		if (round == 2 && fork() == 0) pause();
		if (round < ROUNDS - 1 && round != 2 && round != 4) madvise(memory, PAGES * PAGE, MADV_DONTNEED);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_barrier_init(&step, NULL, THREADS);
	for (long i = 0; i < THREADS; i++) pthread_create(threads + i, NULL, work, (void *)i);
	for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
	puts("done");
	sleep(100);
}
