/**
 * Logs of the calls that only later ops files have, answered by Linux 6.18: the model gives the same answers, and an altered one is found.
 */
import { describe, expect, it } from 'vitest';
import { filesInMemory } from '../input.ts';
import { opsItems } from '../ops.ts';
import { SELF } from '../opsSnapshot.ts';
import { type CheckReport, checkInput } from './check.ts';
import { Player } from './player.ts';

const LIMITS = `# opfuzz format 1 seed 1 ops 8 window 0x200000000000-0x200000060000 mode 0
1 mlockall(MCL_CURRENT) = 0 <flt 0>
2 fork() = child 4
3 @4 mlockall(MCL_CURRENT) = 0 <flt 0>
4 munlockall() = 0 <flt 0>
5 setrlimit(RLIMIT_AS, now+10000) = 0 <flt 0>
6 mmap(0x200000000000, 12288, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = -1 ENOMEM (Cannot allocate memory) <flt 0>
7 mmap(0x200000000000, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = 0x200000000000 <flt 0>
8 setrlimit(RLIMIT_AS, RLIM_INFINITY) = 0 <flt 0>
9 fill(2) = 0 <flt 0>
10 mmap(0x200000004000, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = 0x200000004000 <flt 0>
11 mmap(0x200000006000, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = 0x200000006000 <flt 0>
12 munmap(0x200000000000, 4096) = 0 <flt 0>
13 mprotect(0x200000000000, 4096, PROT_READ) = -1 ENOMEM (Cannot allocate memory) <flt 0>
14 mmap(0x200000008000, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = 0x200000008000 <flt 0>
15 mmap(0x20000000a000, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = -1 ENOMEM (Cannot allocate memory) <flt 0>
16 shmget(s2, 10000) = 0 <flt 0>
17 shmat(s2, 0x200000010000, 0) = -1 ENOMEM (Cannot allocate memory) <flt 0>
18 @4 shmat(s2, 0x200000010000, SHM_RDONLY) = 0x200000010000 <flt 0>
19 @4 touch_read(0x200000010000, 8192) = 0 <flt 2>
20 @4 mincore(0x200000010000, 12288) = 0 vec=110 <flt 0>
21 @4 shmdt(0x200000010000) = 0 <flt 0>
22 setrlimit(RLIMIT_MEMLOCK, 4096) = 0 <flt 0>
23 setuid(65534) = 0 <flt 0>
24 mlock(0x200000001000, 8192) = -1 ENOMEM (Cannot allocate memory) <flt 0>
25 process_vm_readv(child 4, 0x200000001000, 4096) = -1 EPERM (Operation not permitted) <flt 0>
26 setuid(0) = -1 EPERM (Operation not permitted) <flt 0>
27 @4 setuid(65534) = 0 <flt 0>
28 process_vm_readv(child 4, 0x200000001000, 4096) = -1 EFAULT (Bad address) <flt 0>
29 process_madvise(child 4, 0x200000001000, 4096, MADV_COLD) = -1 EPERM (Operation not permitted) <flt 0>
30 process_madvise(self, 0x200000001000, 4096, MADV_COLD) = 4096 <flt 0>
31 overcommit(2) = 0 <flt 0>
32 mmap(NULL, 35184372088832, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = -1 ENOMEM (Cannot allocate memory) <flt 0>
33 overcommit(1) = 0 <flt 0>
34 @4 mmap(NULL, 17592186044416, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x6ffff7c00000 <flt 0>
34 @4 munmap(0x6ffff7c00000, 17592186044416) = 0 <flt 0>
35 child_exit(4)
36 prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) = 0 <flt 0>
37 prctl(PR_SET_MDWE, 0, 0, 0, 0) = -1 EPERM (Operation not permitted) <flt 0>
38 mprotect(0x200000001000, 4096, PROT_READ|PROT_EXEC) = -1 EACCES (Permission denied) <flt 0>
39 prctl(PR_SET_THP_DISABLE, 1, PR_THP_DISABLE_EXCEPT_ADVISED, 0, 0) = 0 <flt 0>
40 prctl(PR_SET_THP_DISABLE, 0, PR_THP_DISABLE_EXCEPT_ADVISED, 0, 0) = -1 EINVAL (Invalid argument) <flt 0>
41 prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) = 0 <flt 0>
snapshot 41
self pgtables_kb=48
vma 200000001000-200000002000 rw-p 00000000 flags=rd wr mr mw me ac mg
vma 200000004000-200000005000 r--p 00000000 flags=rd mr mw me mg
vma 200000006000-200000007000 r--p 00000000 flags=rd mr mw me mg
vma 200000008000-200000009000 r--p 00000000 flags=rd mr mw me mg
internal 200000001000-200000002000 pgoff=8589934593 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
internal 200000004000-200000005000 pgoff=8589934596 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
internal 200000006000-200000007000 pgoff=8589934598 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
internal 200000008000-200000009000 pgoff=8589934600 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
end`;

const SEALS = `# opfuzz format 1 seed 1 ops 8 window 0x200000000000-0x200000060000 mode 0
1 memfd_create(m0, MFD_ALLOW_SEALING) = 0 <flt 0>
2 ftruncate(m0, 12288) = 0 <flt 0>
3 file_write(m0, 0, 8192) = 8192 <flt 0>
4 mmap(0x200000000000, 12288, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, m0, 0) = 0x200000000000 <flt 0>
5 fork() = child 0
6 @0 touch_write(0x200000001000, 4096) = 0 <flt 1>
7 touch_read(0x200000000000, 8192) = 0 <flt 1>
snapshot 7
self pgtables_kb=60
vma 200000000000-200000003000 rw-s 00000000 /memfd:m0 (deleted) Rss=8 Shared_Dirty=4 Private_Dirty=4 flags=rd wr sh mr mw me ms
internal 200000000000-200000003000 pgoff=0 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
pg 200000000000-200000001000 P-FX---- v=8388611
pg 200000001000-200000002000 P-F----- v=1048582
child 0 pgtables_kb=48
vma 200000000000-200000003000 rw-s 00000000 /memfd:m0 (deleted) Rss=4 Shared_Dirty=4 flags=rd wr sh mr mw me ms
internal 200000000000-200000003000 pgoff=0 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
pg 200000001000-200000002000 P-F----- v=1048582
end
8 add_seals(m0, F_SEAL_WRITE) = -1 EBUSY (Device or resource busy) <flt 0>
9 munmap(0x200000000000, 12288) = 0 <flt 0>
10 @0 munmap(0x200000000000, 12288) = 0 <flt 0>
11 @0 add_seals(m0, F_SEAL_WRITE|F_SEAL_GROW) = 0 <flt 0>
12 file_write(m0, 0, 4096) = -1 EPERM (Operation not permitted) <flt 0>
13 ftruncate(m0, 16384) = -1 EPERM (Operation not permitted) <flt 0>
14 fallocate(m0, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 0, 4096) = -1 EPERM (Operation not permitted) <flt 0>
15 ftruncate(m0, 4096) = 0 <flt 0>
16 mmap(0x200000000000, 8192, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, m0, 0) = -1 EPERM (Operation not permitted) <flt 0>
17 mmap(0x200000000000, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED, m0, 0) = 0x200000000000 <flt 0>
18 touch_write(0x200000000000, 8192) = -1 SIGBUS {si_code=BUS, si_addr=0x200000001000} <flt 1>
19 ftruncate(f3, 0) = -1 EBADF (Bad file descriptor) <flt 0>
20 mmap(0x200000000000, 8192, PROT_READ, MAP_PRIVATE|MAP_FIXED, f3, 0) = -1 EBADF (Bad file descriptor) <flt 0>
21 memfd_create(m0, MFD_CLOEXEC) = 0 <flt 0>
22 add_seals(m0, F_SEAL_GROW) = -1 EPERM (Operation not permitted) <flt 0>
23 file_write(m0, 4096, 8192) = 8192 <flt 0>
24 fallocate(m0, 0, 0, 20480) = 0 <flt 0>
25 mmap(0x200000000000, 20480, PROT_READ, MAP_SHARED|MAP_FIXED, m0, 0) = 0x200000000000 <flt 0>
26 mincore(0x200000000000, 20480) = 0 vec=01100 <flt 0>
27 touch_read(0x200000000000, 4096) = 0 <flt 1>
28 mincore(0x200000000000, 20480) = 0 vec=11100 <flt 0>
29 process_vm_writev(child 0, 0x200000000000, 4096) = -1 EFAULT (Bad address) <flt 0>
30 mmap(0x200000010000, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = 0x200000010000 <flt 0>
31 process_vm_writev(self, 0x200000010000, 12288) = 8192 <flt 2>
snapshot 31
self pgtables_kb=60
vma 200000000000-200000005000 r--s 00000000 /memfd:m0 (deleted) Rss=12 Private_Dirty=12 flags=rd sh mr mw me ms
vma 200000010000-200000012000 rw-p 00000000 Rss=8 Private_Dirty=8 Anonymous=8 flags=rd wr mr mw me ac
internal 200000000000-200000005000 pgoff=0 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
internal 200000010000-200000012000 pgoff=8589934608 anon=1 root=1 parent=1 children=1 vmas=1 chain=1
pg 200000000000-200000001000 P-FX---- v=0
pg 200000001000-200000003000 P-FX---- v=8388631
pg 200000010000-200000012000 P--X---- v=4194335
child 0 pgtables_kb=36
end
32 mremap(0x200000010000, 8192, 8192, MREMAP_MAYMOVE|MREMAP_DONTUNMAP, NULL) = 0x7ffff7fbe000 <flt 0>
32 munmap(0x7ffff7fbe000, 8192) = 0 <flt 0>
33 msync(0x200000000000, 4096, MS_SYNC|MS_ASYNC) = -1 EINVAL (Invalid argument) <flt 0>
34 mseal(0x200000000000, 4096, 0) = 0 <flt 0>
35 munmap(0x200000000000, 4096) = -1 EPERM (Operation not permitted) <flt 0>`;

const FILE_ON_DISK = `# opfuzz format 1 seed 1 ops 8 window 0x200000000000-0x200000060000 mode 0
1 open(f0, 8) = 0 <flt 0>
2 mmap(0x200000030000, 32768, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, f0, 0) = 0x200000030000 <flt 0>
3 touch_read(0x200000030000, 4096) = 0 <flt 1>
4 touch_write(0x200000031000, 8192) = 0 <flt 2>
snapshot 4
self pgtables_kb=60
vma 200000030000-200000038000 rw-s 00000000 /f0 (deleted) Rss=32 Private_Clean=24 Private_Dirty=8 flags=rd wr sh mr mw me ms
internal 200000030000-200000038000 pgoff=0 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
pg 200000030000-200000031000 P-FX---- v=0
pg 200000031000-200000033000 P-FX---- v=4
pg 200000033000-200000038000 P-FX---- v=0
end
5 msync(0x200000030000, 8192, MS_SYNC) = 0 <flt 0>
6 touch_write(0x200000031000, 8192) = 0 <flt 1>
snapshot 6
self pgtables_kb=60
vma 200000030000-200000038000 rw-s 00000000 /f0 (deleted) Rss=32 Private_Clean=24 Private_Dirty=8 flags=rd wr sh mr mw me ms
internal 200000030000-200000038000 pgoff=0 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
pg 200000030000-200000031000 P-FX---- v=0
pg 200000031000-200000033000 P-FX---- v=6
pg 200000033000-200000038000 P-FX---- v=0
end
7 msync(0x200000030000, 32768, MS_SYNC) = 0 <flt 0>
8 madvise(0x200000030000, 32768, MADV_PAGEOUT) = 0 <flt 0>
snapshot 8
self pgtables_kb=60
vma 200000030000-200000038000 rw-s 00000000 /f0 (deleted) flags=rd wr sh mr mw me ms
internal 200000030000-200000038000 pgoff=0 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
end
9 mincore(0x200000030000, 32768) = 0 vec=00000000 <flt 0>
10 touch_read(0x200000032000, 4096) = 0 <flt 1>
11 mincore(0x200000030000, 32768) = 0 vec=00100000 <flt 0>
snapshot 11
self pgtables_kb=60
vma 200000030000-200000038000 rw-s 00000000 /f0 (deleted) Rss=4 Private_Clean=4 flags=rd wr sh mr mw me ms
internal 200000030000-200000038000 pgoff=0 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
pg 200000032000-200000033000 P-FX---- v=6
end
12 touch_write(0x200000031000, 4096) = 0 <flt 1>
13 fallocate(f0, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 8192, 8192) = 0 <flt 0>
14 mincore(0x200000030000, 32768) = 0 vec=01000000 <flt 0>
15 touch_read(0x200000032000, 8192) = 0 <flt 2>
16 madvise(0x200000030000, 32768, MADV_WILLNEED) = 0 <flt 0>
17 mincore(0x200000030000, 32768) = 0 vec=11111111 <flt 0>
snapshot 17
self pgtables_kb=60
vma 200000030000-200000038000 rw-s 00000000 /f0 (deleted) Rss=12 Private_Clean=8 Private_Dirty=4 flags=rd wr sh mr mw me ms
internal 200000030000-200000038000 pgoff=0 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
pg 200000031000-200000032000 P-FX---- v=12
pg 200000032000-200000034000 P-FX---- v=0
end
18 ftruncate(f0, 40960) = 0 <flt 0>
19 mmap(0x200000040000, 40960, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED, f0, 0) = 0x200000040000 <flt 0>
20 touch_read(0x200000040000, 40960) = 0 <flt 3>
snapshot 20
self pgtables_kb=60
vma 200000030000-200000038000 rw-s 00000000 /f0 (deleted) Rss=12 Shared_Clean=8 Shared_Dirty=4 flags=rd wr sh mr mw me ms
vma 200000040000-20000004a000 rw-p 00000000 /f0 (deleted) Rss=40 Shared_Clean=8 Shared_Dirty=4 Private_Clean=28 flags=rd wr mr mw me ac
internal 200000030000-200000038000 pgoff=0 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
internal 200000040000-20000004a000 pgoff=0 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
pg 200000031000-200000032000 P-F----- v=12
pg 200000032000-200000034000 P-F----- v=0
pg 200000040000-200000041000 P-FX---- v=0
pg 200000041000-200000042000 P-F----- v=12
pg 200000042000-200000044000 P-F----- v=0
pg 200000044000-20000004a000 P-FX---- v=0
end
21 file_write(f0, 36864, 4096) = 4096 <flt 0>
22 fork() = child 0
23 @0 touch_read(0x200000040000, 40960) = 0 <flt 1>
24 @0 touch_write(0x200000049000, 4096) = 0 <flt 1>
25 msync(0x200000030000, 32768, MS_SYNC) = 0 <flt 0>
snapshot 25
self pgtables_kb=60
vma 200000030000-200000038000 rw-s 00000000 /f0 (deleted) Rss=12 Shared_Clean=12 flags=rd wr sh mr mw me ms
vma 200000040000-20000004a000 rw-p 00000000 /f0 (deleted) Rss=40 Shared_Clean=36 Private_Dirty=4 flags=rd wr mr mw me ac
internal 200000030000-200000038000 pgoff=0 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
internal 200000040000-20000004a000 pgoff=0 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
pg 200000031000-200000032000 P-F----- v=12
pg 200000032000-200000034000 P-F----- v=0
pg 200000040000-200000041000 P-F----- v=0
pg 200000041000-200000042000 P-F----- v=12
pg 200000042000-200000049000 P-F----- v=0
pg 200000049000-20000004a000 P-FX---- v=8388629
child 0 pgtables_kb=48
vma 200000030000-200000038000 rw-s 00000000 /f0 (deleted) flags=rd wr sh mr mw me ms
vma 200000040000-20000004a000 rw-p 00000000 /f0 (deleted) Rss=40 Shared_Clean=36 Private_Dirty=4 Anonymous=4 flags=rd wr mr mw me ac
internal 200000030000-200000038000 pgoff=0 anon=0 root=0 parent=0 children=0 vmas=0 chain=0
internal 200000040000-20000004a000 pgoff=0 anon=1 root=1 parent=1 children=1 vmas=1 chain=1
pg 200000040000-200000041000 P-F----- v=0
pg 200000041000-200000042000 P-F----- v=12
pg 200000042000-200000049000 P-F----- v=0
pg 200000049000-20000004a000 P--X---- v=1048600
end`;

const INTERNALS = `# opfuzz format 1 seed 1 ops 8 window 0x200000000000-0x200000060000 mode 0
1 mmap(0x200000000000, 12288, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = 0x200000000000 <flt 0>
2 touch_write(0x200000000000, 12288) = 0 <flt 3>
3 mprotect(0x200000001000, 4096, PROT_READ) = 0 <flt 0>
4 fork() = child 0
5 @0 fork() = child 1
6 @1 touch_write(0x200000002000, 4096) = 0 <flt 1>
snapshot 6
self pgtables_kb=60
vma 200000000000-200000001000 rw-p 00000000 Rss=4 Shared_Dirty=4 Anonymous=4 flags=rd wr mr mw me ac
vma 200000001000-200000002000 r--p 00000000 Rss=4 Shared_Dirty=4 Anonymous=4 flags=rd mr mw me ac
vma 200000002000-200000003000 rw-p 00000000 Rss=4 Shared_Dirty=4 Anonymous=4 flags=rd wr mr mw me ac
internal 200000000000-200000001000 pgoff=8589934592 anon=1 root=1 parent=1 children=4 vmas=3 chain=1
internal 200000001000-200000002000 pgoff=8589934593 anon=1 root=1 parent=1 children=4 vmas=3 chain=1
internal 200000002000-200000003000 pgoff=8589934594 anon=1 root=1 parent=1 children=4 vmas=3 chain=1
pg 200000000000-200000003000 P------- v=2
child 0 pgtables_kb=48
vma 200000000000-200000001000 rw-p 00000000 Rss=4 Shared_Dirty=4 Anonymous=4 flags=rd wr mr mw me ac
vma 200000001000-200000002000 r--p 00000000 Rss=4 Shared_Dirty=4 Anonymous=4 flags=rd mr mw me ac
vma 200000002000-200000003000 rw-p 00000000 Rss=4 Shared_Dirty=4 Anonymous=4 flags=rd wr mr mw me ac
internal 200000000000-200000001000 pgoff=8589934592 anon=2 root=1 parent=1 children=1 vmas=1 chain=2
internal 200000001000-200000002000 pgoff=8589934593 anon=3 root=1 parent=1 children=1 vmas=1 chain=2
internal 200000002000-200000003000 pgoff=8589934594 anon=4 root=1 parent=1 children=1 vmas=1 chain=2
pg 200000000000-200000003000 P------- v=2
child 1 pgtables_kb=48
vma 200000000000-200000001000 rw-p 00000000 Rss=4 Shared_Dirty=4 Anonymous=4 flags=rd wr mr mw me ac
vma 200000001000-200000002000 r--p 00000000 Rss=4 Shared_Dirty=4 Anonymous=4 flags=rd mr mw me ac
vma 200000002000-200000003000 rw-p 00000000 Rss=4 Private_Dirty=4 Anonymous=4 flags=rd wr mr mw me ac
internal 200000000000-200000001000 pgoff=8589934592 anon=5 root=1 parent=2 children=0 vmas=1 chain=3
internal 200000001000-200000002000 pgoff=8589934593 anon=6 root=1 parent=3 children=0 vmas=1 chain=3
internal 200000002000-200000003000 pgoff=8589934594 anon=7 root=1 parent=4 children=0 vmas=1 chain=3
pg 200000000000-200000002000 P------- v=2
pg 200000002000-200000003000 P--X---- v=1048582
end
7 munmap(0x200000000000, 12288) = 0 <flt 0>
8 child_exit(0)
9 mmap(0x200000004000, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = 0x200000004000 <flt 0>
10 touch_write(0x200000004000, 4096) = 0 <flt 1>
snapshot 10
self pgtables_kb=60
vma 200000004000-200000005000 rw-p 00000000 Rss=4 Private_Dirty=4 Anonymous=4 flags=rd wr mr mw me ac
internal 200000004000-200000005000 pgoff=8589934596 anon=8 root=8 parent=8 children=1 vmas=1 chain=1
pg 200000004000-200000005000 P--X---- v=10
child 1 pgtables_kb=48
vma 200000000000-200000001000 rw-p 00000000 Rss=4 Private_Dirty=4 Anonymous=4 flags=rd wr mr mw me ac
vma 200000001000-200000002000 r--p 00000000 Rss=4 Private_Dirty=4 Anonymous=4 flags=rd mr mw me ac
vma 200000002000-200000003000 rw-p 00000000 Rss=4 Private_Dirty=4 Anonymous=4 flags=rd wr mr mw me ac
internal 200000000000-200000001000 pgoff=8589934592 anon=5 root=1 parent=2 children=0 vmas=1 chain=3
internal 200000001000-200000002000 pgoff=8589934593 anon=6 root=1 parent=3 children=0 vmas=1 chain=3
internal 200000002000-200000003000 pgoff=8589934594 anon=7 root=1 parent=4 children=0 vmas=1 chain=3
pg 200000000000-200000002000 P--X---- v=2
pg 200000002000-200000003000 P--X---- v=1048582
end`;

const REUSED = `# opfuzz format 1 seed 1 ops 8 window 0x200000000000-0x200000060000 mode 0
1 mmap(0x200000000000, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = 0x200000000000 <flt 0>
2 touch_write(0x200000000000, 4096) = 0 <flt 1>
snapshot 2
self pgtables_kb=60
vma 200000000000-200000001000 rw-p 00000000 Rss=4 Private_Dirty=4 Anonymous=4 flags=rd wr mr mw me ac
internal 200000000000-200000001000 pgoff=8589934592 anon=1 root=1 parent=1 children=1 vmas=1 chain=1
pg 200000000000-200000001000 P--X---- v=2
end
3 munmap(0x200000000000, 4096) = 0 <flt 0>
4 mmap(0x200000004000, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = 0x200000004000 <flt 0>
5 touch_write(0x200000004000, 4096) = 0 <flt 1>
snapshot 5
self pgtables_kb=60
vma 200000004000-200000005000 rw-p 00000000 Rss=4 Private_Dirty=4 Anonymous=4 flags=rd wr mr mw me ac
internal 200000004000-200000005000 pgoff=8589934596 anon=2 root=2 parent=2 children=1 vmas=1 chain=1
pg 200000004000-200000005000 P--X---- v=5
end`;

const check = (log: string): CheckReport =>
  checkInput('log', () => opsItems(filesInMemory('log', { '': log })), { verify: 'every' });

describe('what the kernel answered', () => {
  it.each([
    ['limits, users, settings', LIMITS],
    ['seals, sizes, copies', SEALS],
    ['a file and its disk', FILE_ON_DISK],
    ['anon_vmas of a family', INTERNALS],
  ])('the model answers: %s', (_name, log) => {
    expect(check(log).differences).toEqual([]);
  });
});

describe('an altered answer is found', () => {
  it.each<[what: string, log: string, text: string, replacement: string, kind: string, told: string]>([
    ['a page that mincore tells', SEALS, 'vec=01100', 'vec=01110', 'result', 'mincore'],
    ['what a file held', SEALS, 'v=8388631', 'v=8388630', 'page', 'pages of process 1'],
    ['bytes of a copy', SEALS, '12288) = 8192', '12288) = 4096', 'result', 'process_vm'],
    ['a new file', SEALS, 'MFD_CLOEXEC) = 0', 'MFD_CLOEXEC) = -1 EMFILE (…)', 'result', 'memfd_create'],
    ['a seal', SEALS, '16384) = -1 EPERM (Operation not permitted)', '16384) = 0', 'result', 'ftruncate'],
    ['a map limit', LIMITS, '= 0x200000008000', '= -1 ENOMEM (…)', 'result', 'mmap'],
    ['a user', LIMITS, 'setuid(0) = -1 EPERM', 'setuid(0) = -1 EINVAL', 'result', 'set_uid'],
    ['a setting', LIMITS, 'overcommit(2) = 0', 'overcommit(2) = -1 EINVAL (…)', 'result', 'overcommit'],
    ['a page offset', INTERNALS, 'pgoff=8589934592 ', 'pgoff=8589934593 ', 'internals', 'pgoff of'],
    ['which anon_vma', INTERNALS, 'anon=2 ', 'anon=1 ', 'internals', 'anon_vma of'],
    ['which root', INTERNALS, 'anon=2 root=1', 'anon=2 root=9', 'internals', 'root anon_vma of'],
    ['which parent', INTERNALS, 'parent=2', 'parent=1', 'internals', 'parent anon_vma of'],
    ['children', INTERNALS, 'children=4', 'children=3', 'internals', 'number of children'],
    ['vmas of an anon_vma', INTERNALS, 'vmas=3', 'vmas=2', 'internals', 'number of vmas'],
    ['the length of a chain', INTERNALS, 'chain=3', 'chain=2', 'internals', 'chain length'],
    ['one that is still there', INTERNALS, 'anon=8 root=8', 'anon=5 root=5', 'internals', 'anon_vma of'],
  ])('%s', (_name, log, text, replacement, kind, told) => {
    expect(log).toContain(text);
    const [first] = check(log.replace(text, replacement)).differences;
    expect(first).toMatchObject({ kind, what: expect.stringContaining(told) });
  });

  it('but an anon_vma may have the number of one that is gone: the kernel uses its address again', () => {
    const again = REUSED.replace('anon=2 root=2 parent=2', 'anon=1 root=1 parent=1');
    expect([REUSED, again].map((log) => check(log).differences)).toEqual([[], []]);
  });
});

describe('a request without answers', () => {
  const HEADER = '# opfuzz format 1 seed 1 ops 3 window 0x200000000000-0x200000060000 mode 0';
  const placedOf = (...lines: readonly string[]): string[] => {
    const seen: string[] = [];
    const player = new Player(
      {},
      {
        operation: ({ op }, outcome) =>
          seen.push(`${op.call} ${outcome.kind === 'value' ? outcome.why : outcome.kind}`),
      },
    );
    player.play(opsItems(filesInMemory('log', { '': [HEADER, ...lines].join('\n') })));
    expect(player.machine.process(SELF)?.mm?.mapCount).toBe(7);
    return seen;
  };
  const MAP = 'mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)';

  it('uses the place of the line before', () => {
    expect(placedOf(`1 ${MAP}`, '1 munmap(placed, 4096)')).toEqual(['mmap ok', 'munmap ok']);
  });
  it('leaves out what has no such place', () => {
    const inWindow = 'mmap(0x200000000000, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0)';
    expect(
      placedOf(
        `1 ${inWindow}`,
        '1 munmap(placed, 4096)',
        '2 munmap(placed, 4096)',
        '3 munmap(0x200000000000, 4096)',
      ),
    ).toEqual(['mmap ok', 'munmap ok']);
  });
});
