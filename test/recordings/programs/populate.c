/* Pages that come by calls: populated and locked mappings of files, memfds, shared and private memory; children that exec. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, LENGTH = 1 << 20, HALF = LENGTH / 2, RW = PROT_READ | PROT_WRITE };
extern char **environ;

static char *map(int prot, int flags, int fd)
{
	return mmap(NULL, LENGTH, prot, flags | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
}

static void touch(volatile char *at, int from, int to, int by)
{
	for (int i = from; i < to; i += by) (void)at[i * PAGE];
}

static void store(char *at, int to, int by)
{
	for (int i = 0; i < to; i += by) at[i * PAGE] = 1;
}

static void fill(int fd, int blocks)
{
	char block[65536];
	memset(block, 1, sizeof(block));
	while (blocks-- > 0)
		if (write(fd, block, sizeof(block)) < 0) perror("write");
}

static void run_programs(char *memory)
{
	for (int i = 0; i < 5; i++) {
		char *arguments[] = { "true", NULL };
		pid_t spawned;
		posix_spawn(&spawned, "/bin/true", NULL, NULL, arguments, environ);
		waitpid(spawned, NULL, 0);
		if (system("true") != 0) return;
		pid_t forked = fork();
		if (forked == 0) {
			store(memory, 20, 1);
			execl("/bin/true", "true", NULL);
		}
		waitpid(forked, NULL, 0);
		store(memory, 30, 1);
	}
}

int main(void)
{
	int file = open("/srv/demo/popfile", O_RDWR | O_CREAT | O_TRUNC, 0600);
	fill(file, 16);
	map(PROT_READ, MAP_SHARED | MAP_POPULATE, file);
	map(RW, MAP_PRIVATE | MAP_POPULATE, file);
	char *read_only = map(PROT_READ, MAP_PRIVATE, file);
	mlock(read_only, HALF);
	madvise(read_only + HALF, HALF, MADV_POPULATE_READ);

	int memfd = memfd_create("m", 0);
	fill(memfd, 4);
	if (ftruncate(memfd, LENGTH) != 0) return 1;
	char *of_memfd = map(RW, MAP_SHARED, memfd);
	touch(of_memfd, 0, 100, 3);
	mlock(of_memfd, HALF);
	map(RW, MAP_PRIVATE | MAP_POPULATE, memfd);

	char *private = map(RW, MAP_PRIVATE | MAP_POPULATE, -1);
	char *shared = map(RW, MAP_SHARED | MAP_POPULATE, -1);
	private[5] = shared[7] = 1;
	char *locked = map(RW, MAP_PRIVATE | MAP_LOCKED, -1);
	char *sparse = map(RW, MAP_SHARED, -1);
	store(sparse, 256, 5);
	touch(sparse, 0, 256, 2);
	run_programs(private);

	mlockall(MCL_CURRENT | MCL_FUTURE);
	*map(RW, MAP_PRIVATE, -1) = 1;
	memset(malloc(300000), 1, 300000);
	munlockall();
	if (fork() == 0) {
		private[0] = sparse[0] = locked[PAGE] = 1;
		sleep(100);
	}
	puts("done");
	sleep(100);
}
