/**
 * Probes: somebody beside the program. What they do is done by the model like anything else, so that it costs what it costs and changes what the kernel would
 * change, and nothing more.
 *
 *   bloat                  counts page tables over time; only looks (acts/bloat.ts)
 *   pressure:STEPS         the program is in a group that may have so much memory, always or by a schedule (acts/pressure.ts)
 *   snapshot:METHOD@OP     saves memory as it is before an operation (acts/snapshot.ts)
 *   dirty:METHOD/PERIOD    asks again and again which pages were written (acts/dirtyRounds.ts)
 */
import { UsageError } from '../base/assert.ts';
import { PAGE_SIZE, parseSize } from '../base/units.ts';
import type { FeatureSetting } from '../mm/index.ts';
import { METHODS, type MethodName } from '../workloads/liveSnapshot/method.ts';
import type { ActKind } from './acts/act.ts';
import { Bloat } from './acts/bloat.ts';
import { DirtyRounds, type Period } from './acts/dirtyRounds.ts';
import { Pressure, type PressureStep } from './acts/pressure.ts';
import { SnapshotProbe } from './acts/snapshot.ts';

/** One probe. */
export interface Probe extends ActKind {
  /** It is there in every column, not a column of its own. */
  readonly isAround: boolean;
  /** The program notices: it is not only looked at. */
  readonly isFelt: boolean;
}

/** A kind of probes, and how one is written. */
interface ProbeForm {
  readonly word: string;
  /** What is written after `--probe`. */
  readonly form: string;
  readonly text: string;
  /** Reads what stands behind `word:`; null where that is none. */
  parse(rest: string, name: string): Omit<Probe, 'name'> | null;
}

/** Methods that need a switch which is off in the reference kernel. */
const NEEDS: { readonly [Name in MethodName]?: readonly FeatureSetting[] } = {
  'soft-dirty': [{ name: 'softDirty', value: 'on' }],
};
const methodOf = (text: string): MethodName | null => METHODS.find((each) => each === text) ?? null;
const ROUND_METHODS = METHODS.filter((each) => each !== 'fork');

const NS: Readonly<Record<string, number>> = { s: 1e9, ms: 1e6, us: 1e3 };

/** Reads `100ms`, `1s`, `50us`, `1000ops`; null where that is none. */
function periodOf(text: string): Period | null {
  const [, digits = '', unit = ''] = /^([1-9]\d{0,8})(ms|us|s|ops)$/.exec(text) ?? [];
  if (digits === '') return null;
  return unit === 'ops'
    ? { unit: 'ops', every: Number(digits) }
    : { unit: 'ns', every: Number(digits) * (NS[unit] as number) };
}

/** Reads `24M`, `max@5000`, `-8M@2s`: a limit, or memory that is asked back, and when; null where that is none. */
function stepOf(text: string): PressureStep | null {
  const [, minus = '', size = '', digits = '0', unit] =
    /^(-?)(\w+)(?:@(\d{1,12})(us|ms|s)?)?$/.exec(text) ?? [];
  const isMax = minus === '' && size === 'max';
  const bytes = isMax ? Number.POSITIVE_INFINITY : parseSize(size);
  if (bytes === null || bytes < PAGE_SIZE) return null;
  const at =
    unit === undefined
      ? ({ unit: 'op', value: Number(digits) } as const)
      : ({ unit: 'ns', value: Number(digits) * (NS[unit] as number) } as const);
  return { text, what: minus === '' ? 'limit' : 'reclaim', bytes, at };
}

function parsePressure(rest: string, name: string): Omit<Probe, 'name'> | null {
  const parts = rest.split(',');
  const [device, ...more] = parts.filter((part) => part.startsWith('swap='));
  const swap = device === undefined ? 0 : parseSize(device.slice('swap='.length));
  const steps = parts.filter((part) => !part.startsWith('swap=')).map(stepOf);
  if (swap === null || more.length > 0 || steps.length === 0) return null;
  const wanted = steps.filter((step) => step !== null);
  if (wanted.length < steps.length) return null;
  return {
    needs: [],
    bounds: ['some'],
    isAround: true,
    isFelt: true,
    begin: (setting) => new Pressure({ steps: wanted, swap }, name, setting),
  };
}

function parseSnapshot(rest: string, name: string): Omit<Probe, 'name'> | null {
  const [, word = '', digits = ''] = /^([a-z-]+)@(\d{1,12})$/.exec(rest) ?? [];
  const method = methodOf(word);
  if (method === null || digits === '') return null;
  return {
    needs: NEEDS[method] ?? [],
    bounds: ['least', 'most'],
    isAround: false,
    isFelt: true,
    begin: (setting) => new SnapshotProbe({ method, op: Number(digits) }, name, setting),
  };
}

function parseDirty(rest: string, name: string): Omit<Probe, 'name'> | null {
  const [word = '', written = ''] = rest.split('/');
  const method = methodOf(word);
  const period = periodOf(written);
  if (method === null || method === 'fork' || period === null) return null;
  return {
    needs: NEEDS[method] ?? [],
    bounds: ['least', 'most'],
    isAround: false,
    isFelt: true,
    begin: (setting) => new DirtyRounds({ method, period }, name, setting),
  };
}

const FORMS: readonly ProbeForm[] = [
  {
    word: 'bloat',
    form: 'bloat',
    text: 'page tables over time, in every column',
    parse: (rest) =>
      rest === ''
        ? {
            needs: [],
            bounds: [null],
            isAround: true,
            isFelt: false,
            isForThreads: true,
            begin: () => new Bloat(),
          }
        : null,
  },
  {
    word: 'pressure',
    form: 'pressure:STEPS with STEPS as 64M or 64M,24M@1000,max@2s,-8M@5000,swap=64M',
    text: 'the program may have so much memory, from an operation or a time on; -8M: so much is asked back; in every column',
    parse: parsePressure,
  },
  {
    word: 'snapshot',
    form: `snapshot:METHOD@OP with METHOD ${METHODS.join(', ')}`,
    text: 'memory is saved as it is before operation OP',
    parse: parseSnapshot,
  },
  {
    word: 'dirty',
    form: `dirty:METHOD/PERIOD with METHOD ${ROUND_METHODS.join(', ')} and PERIOD as 100ms or 1000ops`,
    text: 'written pages are asked for again and again',
    parse: parseDirty,
  },
];

/** Every form in words, for help texts and errors. */
export const PROBE_FORMS: readonly Pick<ProbeForm, 'form' | 'text'>[] = FORMS;

/** Reads a probe; throws UsageError with what would be right. */
export function parseProbe(text: string): Probe {
  const [, word = '', rest = ''] = /^([a-z]*):?(.*)$/.exec(text) ?? [];
  const form = FORMS.find((each) => each.word === word);
  const name = `probe ${text}`;
  const probe = form?.parse(rest, name) ?? null;
  if (probe !== null) return { ...probe, name };
  const wanted = form === undefined ? FORMS.map((each) => each.form).join(', ') : form.form;
  throw new UsageError(`no probe '${text}'`, form === undefined ? `one of ${wanted}` : wanted);
}
