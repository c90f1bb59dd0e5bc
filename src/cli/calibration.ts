/**
 * Reads calibrations: the measured figures that times are modelled with. One comes with the program.
 *
 * A file that is not one, that has a schema which we do not know, or that lacks a figure which prices need is refused with its name, the place, and
 * what would be right.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { type Place, UsageError } from '../base/assert.ts';
import { CALIBRATION_SCHEMA, type Calibration, CostTable } from '../machine/index.ts';

/** Name of the calibration that comes with the program. */
export const BUNDLED_NAME = 'linux-6.18-x86_64';

type Checked = Omit<Calibration, 'name'>;

/** Reads the calibration in a file, by default the one that comes with the program. Throws UsageError. */
export function loadCosts(path?: string): CostTable {
  const file = path ?? fileURLToPath(new URL(`../../calibration/${BUNDLED_NAME}.json`, import.meta.url));
  const json = parse(read(file), file);
  // A test has checked ours, and loading the checker takes longer than all of this program.
  const checked = path === undefined ? (json as Checked) : check(json, file);
  const name = basename(file).replace(/\.json(\.gz)?$/, '');
  try {
    return new CostTable({ name, ...checked });
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(error.message, error.wanted, placeOf(file));
    throw error;
  }
}

/** Returns what is in a file if it is a calibration. */
function check(json: unknown, file: string): Checked {
  const z = createRequire(import.meta.url)('zod/mini') as typeof import('zod/mini');
  const time = z.number().check(z.nonnegative());
  const figure = z.object({ name: z.string(), unit: z.string(), median: time, floor: z.nullish(time) });
  // A line may begin below 0: that of large calls, drawn down to none.
  const line = z.object({ name: z.string(), fixedNs: z.number(), perPageNs: z.number() });
  const parsed = z
    .object({
      schema: z.literal(CALIBRATION_SCHEMA),
      measured: z.string(),
      primitives: z.array(figure),
      models: z.array(line),
    })
    .safeParse(json);
  if (!parsed.success) throw refusal(file, json, parsed.error.issues[0]);
  return parsed.data;
}

const placeOf = (file: string, line = 0, column = 0): Place => ({ file, line, column });

const WANTED = `a calibration: JSON with "schema": "${CALIBRATION_SCHEMA}", as calibration/${BUNDLED_NAME}.json`;

function read(file: string): string {
  try {
    const bytes = readFileSync(file);
    return (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--calibration ${file} cannot be read: ${message}`, WANTED);
  }
}

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // Engines name the place as "position N" or as "line L column C".
    const message = error instanceof Error ? error.message : '';
    const position = /position (\d+)/.exec(message)?.[1];
    const before = text.slice(0, position === undefined ? text.length : Number(position)).split('\n');
    const column = (before.at(-1)?.length ?? 0) + 1;
    throw new UsageError('this is not JSON', WANTED, placeOf(file, before.length, column));
  }
}

type Issue = import('zod/mini').core.$ZodIssue;

/** What is wrong, and where in the file: `primitives[3].median`. */
function refusal(file: string, json: unknown, issue: Issue | undefined): UsageError {
  const schema = typeof json === 'object' && json !== null && 'schema' in json ? json.schema : undefined;
  if (schema !== CALIBRATION_SCHEMA)
    return new UsageError(
      schema === undefined ? 'this has no "schema"' : `schema ${JSON.stringify(schema)} is not known`,
      `"schema": "${CALIBRATION_SCHEMA}"`,
      placeOf(file),
    );
  const where = (issue?.path ?? [])
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('');
  return new UsageError(
    `${where.slice(1) || 'the file'} is wrong or missing`,
    wantedBy(issue),
    placeOf(file),
  );
}

function wantedBy(issue: Issue | undefined): string {
  if (issue?.code === 'invalid_type')
    return `${issue.expected === 'array' ? 'a list' : `a ${issue.expected}`} there`;
  return issue?.code === 'too_small' ? `${String(issue.minimum)} or more` : WANTED;
}
