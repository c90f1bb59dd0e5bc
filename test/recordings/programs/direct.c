/* Reads a file by direct I/O into memory that was never touched: the kernel pins the pages, and no fault shows. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, LENGTH = 1 << 20, RW = PROT_READ | PROT_WRITE };

static char *map(void)
{
	return mmap(NULL, LENGTH, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int main(void)
{
	static char block[65536];
	int fd = open("/srv/demo/direct.data", O_RDWR | O_CREAT | O_TRUNC, 0600);
	memset(block, 1, sizeof(block));
	for (int i = 0; i < 16; i++)
		if (write(fd, block, sizeof(block)) < 0) perror("write");
	close(fd);
	fd = open("/srv/demo/direct.data", O_RDWR | O_DIRECT);
	long bytes = 0;
	for (int i = 0; i < 12; i++) {
		char *stays = map(), *goes;
		bytes += pread(fd, stays + 16 * PAGE, 8 * PAGE, 0) + pread(fd, stays + 64 * PAGE, (i + 1) * PAGE, 16 * PAGE);
		goes = map();
		bytes += pread(fd, goes, PAGE, 0);
		munmap(goes, LENGTH);
	}
	printf("%ld\n", bytes);
	fflush(stdout);
	sleep(100);
}
