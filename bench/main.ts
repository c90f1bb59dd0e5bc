/**
 * `npm run bench -- [--json] [--tiny] [--only NAME]`: runs the benchmarks and prints what they found. README.md says what is measured.
 */
import { parseArgs } from 'node:util';
import type { Row } from './benchmark.ts';
import { BENCHMARKS } from './benchmarks.ts';
import { References } from './references.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    tiny: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
  },
});

const isWanted = (rows: readonly string[]): boolean =>
  values.only.length === 0 || rows.some((row) => values.only.some((only) => row.startsWith(only)));

const number = (n: number | null): string => (n === null ? '-' : String(n));

/** One row as text: the numbers in columns, the note below. */
function text(row: Row): string {
  const { bench, ours, reference, ratio, unit, hash, note } = row;
  const columns = [bench.padEnd(22), number(ours).padStart(9), number(reference).padStart(9)];
  const line = `${columns.join(' ')} ${unit.padEnd(10)} ratio ${number(ratio).padStart(7)}  hash ${hash}`;
  return note === undefined ? line : `${line}\n    ${note}`;
}

const wanted = BENCHMARKS.filter(({ rows }) => isWanted(rows));
if (wanted.length === 0) {
  console.error(
    `no benchmark is called ${values.only.join(', ')}; there are ${BENCHMARKS.flatMap(({ rows }) => rows).join(', ')}`,
  );
  process.exit(2);
}
const references = new References();
const found: Row[] = [];
for (const benchmark of wanted) {
  const rows = benchmark.run({ tiny: values.tiny, references });
  found.push(...rows);
  if (!values.json) for (const row of rows) console.log(text(row));
}
if (values.json) console.log(JSON.stringify(found, null, 2));
