// The library in a program of your own: commits a reservation in a bad order, with and without a proposal, and says why vmas stay apart.
// Run it with any loader for TypeScript: npx jiti examples/embed.ts
import { Machine, type Op } from 'faultline/machine';
import { Kernel, LINUX_6_18, mapsText } from 'faultline/mm';

const PAGE = 4096;

for (const mergeAcrossAnonVma of ['off', 'on'] as const) {
  const machine = new Machine(new Kernel({ ...LINUX_6_18, mergeAcrossAnonVma }));
  machine.kernel.emit = (event) => {
    if (event.kind === 'vmaMerge' && event.both === 'anon-vma-differs')
      console.log('op', event.op, 'joins one side only: the anon_vmas differ');
  };
  const program = machine.spawn();
  const call = (op: Op): number => {
    machine.kernel.opNr++;
    const outcome = machine.apply(program.pid, op);
    if (outcome.kind !== 'value') throw new Error(`${op.call} was refused: ${JSON.stringify(outcome)}`);
    return outcome.value;
  };
  const heap = call({ call: 'mmap', addr: 0, len: 3 * PAGE, prot: 0, flags: 0x22, fd: -1, offset: 0 });
  for (const page of [0, 2, 1]) {
    call({ call: 'mprotect', addr: heap + page * PAGE, len: PAGE, prot: 3 });
    call({ call: 'touch', addr: heap + page * PAGE, len: PAGE, access: 'write', by: 'user' });
  }
  console.log(`mergeAcrossAnonVma=${mergeAcrossAnonVma}\n${program.mm === null ? '' : mapsText(program.mm)}`);
}
