/**
 * snapshotProbe CALIBRATION BYTES: saves a guest of that size with holes (workload:live-snapshot) and prints as JSON how long that took, the most memory that
 * this process had meanwhile, and what was counted.
 */
import { readFileSync } from 'node:fs';
import type { Calibration } from '../src/machine/index.ts';
import { parseThreadedSpec, runThreaded } from '../src/workloads/index.ts';
import { nowNs } from './rounds.ts';
import type { SnapshotProbed } from './snapshot.ts';

const [file = '', bytes = ''] = process.argv.slice(2);
const calibration: Calibration = { name: 'bench', ...JSON.parse(readFileSync(file, 'utf8')) };
const spec = parseThreadedSpec(`live-snapshot,method=wp-unpopulated,size=${bytes},touched=5`);
if (spec === null) throw new Error('there is no live-snapshot');
const began = nowNs();
const { figures, report } = runThreaded(spec, { calibration });
const seconds = (nowNs() - began) / 1e9;
const probed: SnapshotProbed = {
  seconds,
  // In kB, of which Linux says it is the most there was.
  maxBytes: process.resourceUsage().maxRSS * 1024,
  lost: figures['pages lost'] ?? Number.NaN,
  counted: JSON.stringify({ figures, elapsedNs: report.elapsedNs }),
};
console.log(JSON.stringify(probed));
