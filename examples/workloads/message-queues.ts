// Queues that grow while messages arrive and are emptied at random: each queue is one buffer that realloc() doubles, so mremap moves it.
// Written buffers that moved lie side by side and never merge on 6.18; seed 004 is about these.
//   npx faultline compare examples/workloads/message-queues.ts --set mergePgoffOnMove=on --set mergeAcrossAnonVma=on
import { FIRST_TASK, numberParam, PAGE_SIZE, Task, type Workload } from 'faultline/workloads';

const workload: Workload = {
  name: 'message-queues',
  title: 'buffers that double when they are full and are freed when they are read',
  text: 'Every message is written behind the last one of a random queue; a full buffer is doubled, one queue in fifty messages is emptied.',
  params: {
    queues: { default: 200, unit: 'queues', text: 'how many queues', min: 1 },
    messages: { default: 10_000, unit: 'messages', text: 'how many messages, a page each' },
  },
  *program(params, prng) {
    const w = new Task(FIRST_TASK);
    const queues = Array.from({ length: numberParam(params, 'queues') }, () => ({
      buffer: 0,
      room: 0,
      used: 0,
    }));
    for (let i = 0; i < numberParam(params, 'messages'); i++) {
      const queue = prng.pick(queues);
      if (queue.used > 0 && prng.below(50) === 0) {
        yield* w.munmap(queue.buffer, queue.room);
        Object.assign(queue, { buffer: 0, room: 0, used: 0 });
      }
      if (queue.used === queue.room) {
        const room = Math.max(4 * PAGE_SIZE, 2 * queue.room);
        queue.buffer =
          queue.room === 0 ? yield* w.mmap(room) : yield* w.mremap(queue.buffer, queue.room, room);
        queue.room = room;
      }
      yield* w.touch(queue.buffer + queue.used, PAGE_SIZE, 'write', i + 1);
      queue.used += PAGE_SIZE;
    }
    for (const { buffer, used } of queues) if (used > 0) yield* w.expectMemory(buffer, used);
  },
};

export default workload;
