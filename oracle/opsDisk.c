/* SPDX-License-Identifier: MIT */
/*
 * A small file system for the regular files of sequences: ext4 in memory behind a loop device that reads nothing ahead, so that a fault brings
 * in the page it is about and no other. It is mounted in a mount namespace of our own and the device clears itself, so it goes with us
 * whatever happens. Where there is no mkfs.ext4 or no loop device, files are made in the directory itself, and what is read ahead of them
 * differs from machine to machine.
 */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISK_BYTES (512L << 20)
enum { MAX_TRIES = 20 };

/* Returns a loop device that shows a file in memory, with its path in `path`, or -1. */
static int make_device(char *path, size_t size)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), backing = memfd_create("disk", MFD_CLOEXEC), device = -1;
	struct loop_config config = { .fd = backing, .block_size = OPS_PG, .info = { .lo_flags = LO_FLAGS_AUTOCLEAR } };

	for (int i = 0; control >= 0 && ftruncate(backing, DISK_BYTES) == 0 && i < MAX_TRIES; i++) {
		snprintf(path, size, "/dev/loop%d", ioctl(control, LOOP_CTL_GET_FREE));
		device = open(path, O_RDWR | O_CLOEXEC);
		if (device >= 0 && ioctl(device, LOOP_CONFIGURE, &config) == 0) break;
		if (device >= 0) close(device); /* somebody else was faster */
		device = -1;
	}
	if (control >= 0) close(control);
	close(backing);
	return device;
}

static int make_file_system(char *path)
{
	char *argv[] = { "mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-N", "256", "-O", "^has_journal", path, NULL };
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		/* Not by stdio: closing its input would put the offset that we share back to what it has not handed out yet. */
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		for (int fd = 0; fd <= 2; fd++) dup2(null, fd);
		execvp(argv[0], argv);
		execv("/usr/sbin/mkfs.ext4", argv);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	return status == 0 ? 0 : -1;
}

void disk_mount(const char *directory)
{
	static int tried;
	char path[32];

	if (tried++) return;
	int device = make_device(path, sizeof(path));
	int mounted = device >= 0 && make_file_system(path) == 0 && ioctl(device, BLKRASET, 0UL) == 0 &&
		mount(path, directory, "ext4", MS_NOATIME, "discard") == 0 && chmod(directory, 0777) == 0;
	if (!mounted) fprintf(stderr, "regular files are read ahead: no ext4 on a loop device (%s)\n", strerror(errno));
	if (device >= 0) close(device);
}
