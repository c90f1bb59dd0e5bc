/**
 * The scan for empty page tables of seed 003: how long the model takes for a table. One VMA with 25,600 tables (50 GiB), of which every second one holds a page,
 * is scanned whole. No table goes, so that each round does the same; then one scan frees what is empty.
 */
import { MADV_DONTNEED, MAP_NORESERVE } from '../src/abi/mman.ts';
import { scanTables } from '../src/mm/index.ts';
import type { Benchmark, Row, Run } from './benchmark.ts';
import { hashOf } from './endState.ts';
import { BASE, FIXED_PRIVATE, mapAt, newMachine, PAGE, PID } from './machine.ts';
import { nowNs, summarize, takeTurns } from './rounds.ts';

const TABLE = 512 * PAGE;

export const ptScan: Benchmark = { rows: ['pt-scan'], run };

function run({ tiny }: Run): Row[] {
  const [tables, rounds] = tiny ? [64, 1] : [25_600, 15];
  const { machine, mm, events } = newMachine({}, { ptReclaim: 'async', ptScan: { minAge: 1e9 } });
  machine.tableReclaim.clock = () => 0;
  mapAt(machine, BASE, tables * TABLE, FIXED_PRIVATE | MAP_NORESERVE);
  for (let table = 0; table < tables; table++) {
    const addr = BASE + table * TABLE;
    machine.apply(PID, { call: 'touch', addr, len: PAGE, access: 'write', by: 'user' });
    if (table % 2 === 1) machine.apply(PID, { call: 'madvise', addr, len: PAGE, advice: MADV_DONTNEED });
  }
  const ours = (): number => {
    const began = nowNs();
    const { tables: seen } = scanTables(mm);
    return (nowNs() - began) / seen;
  };
  const times = takeTurns(rounds, tiny ? 0 : 5, ours, () => null);
  machine.kernel.setPtScan({ minAge: 0 });
  const began = nowNs();
  const { freed } = scanTables(mm);
  const freeNs = (nowNs() - began) / tables;
  const row = { bench: 'pt-scan', ...summarize(times), unit: 'ns/table' };
  const hash = hashOf(`${mm.pages.nrPtes} ${freed} ${events.count}`);
  const note = `no kernel has the scan; ${Math.round(1e9 / row.ours)} tables a second, ${Math.round(freeNs)} ns a table where every second one goes`;
  return [{ ...row, hash, note: tiny ? 'no kernel has the scan' : note }];
}
