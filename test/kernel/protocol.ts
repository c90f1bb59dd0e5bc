/**
 * The protocol of the oracle (oracle/README.md): cases as the lines it reads, its output as observations.
 */
import type { Case, CaseStep } from '../spec/caseFile.ts';
import { TOP_ALIGNED, TOP_PAGES } from '../spec/caseSetup.ts';
import { type AccessOp, PAGE, type PlainStep, type Step } from '../spec/caseStep.ts';
import { smallSteps } from '../spec/caseTarget.ts';
import { type Expectation, parseTrap, parseVmas } from '../spec/expectation.ts';
import { isPageStep } from '../spec/pageStep.ts';
import { address, hex, pageLine } from './pageLines.ts';

const OPEN = { rw: 2, ro: 0, wo: 1 } as const;

/** Operations without operands are written as they are. */
const isPlain = (step: Step): step is PlainStep => Object.keys(step).length === 1;

const limitLine = (step: Extract<Step, { op: 'limit' }>): string =>
  step.aboveUse ? `limitplus ${step.resource} ${step.bytes / PAGE}` : `limit ${step.resource} ${step.bytes}`;

const mapLine = (step: Extract<Step, { op: 'map' }>): string =>
  `map ${address(step.addr)} ${step.len} ${step.prot} ${hex(step.flags)} ${step.fd ?? -1} ${step.offset}`;

const remapLine = (step: Extract<Step, { op: 'remap' }>): string =>
  `remap ${address(step.addr)} ${step.oldLen} ${step.newLen} ${step.flags} ${address(step.newAddr)}`;

const accessLine = (step: Extract<Step, { op: AccessOp }>): string =>
  `${step.op} ${address(step.addr)} ${step.nrPages}${step.stride === undefined ? '' : ` ${step.stride}`}`;

/** Writes one step in the protocol of the oracle: usually one line. */
function linesOf(step: Step): string[] {
  if (isPageStep(step)) return [pageLine(step)];
  if (isPlain(step)) return [step.op];
  switch (step.op) {
    case 'map':
      return [mapLine(step)];
    case 'unmap':
    case 'lock':
    case 'unlock':
    case 'seal':
    case 'mbind0':
    case 'mincore':
    case 'uffdunreg':
    case 'name':
      return [`${step.op} ${address(step.addr)} ${step.len}`];
    case 'prot':
    case 'adv':
    case 'lock2':
    case 'mbind':
    case 'msync':
    case 'uffdreg':
      return [`${step.op} ${address(step.addr)} ${step.len} ${step.arg}`];
    case 'remap':
      return [remapLine(step)];
    case 'touch':
    case 'read':
    case 'touchto':
    case 'readto':
      return [accessLine(step)];
    case 'val':
    case 'pfn':
    case 'slots':
    case 'tables':
      return [`${step.op} ${address(step.addr)} ${step.nrPages}`];
    case 'padv':
    case 'padvparent':
      return [`${step.op} ${step.advice} ${step.ranges.map((r) => `${address(r.addr)} ${r.len}`).join(' ')}`];
    case 'brk':
    case 'lockall':
    case 'crefs':
    case 'fill':
    case 'ksmall':
    case 'overcommit':
    case 'at':
    case 'drop':
      return [`${step.op} ${step.arg}`];
    case 'comm':
    case 'limit':
      return [step.op === 'comm' ? `comm ${step.arg / 2}` : limitLine(step)];
    case 'fd':
      return [`memfd ${step.slot} ${step.nrPages}`];
    case 'fillfd':
    case 'shmget':
      return [`${step.op} ${step.slot} ${step.nrPages}`];
    case 'file':
      return [`file ${step.slot} ${step.nrPages} ${OPEN[step.access]}`];
    case 'dir':
    case 'devnull':
    case 'devzero':
      return [`${step.op} ${step.slot}`];
    case 'seals':
      return [`seals ${step.slot} ${step.arg}`];
    case 'shmat':
      return [`shmat ${step.slot} ${address(step.addr)}`];
    case 'commit':
    case 'gather':
      return smallSteps(step).flatMap(linesOf);
  }
}

/** What a case needs besides its steps, as lines before them. */
const setupOf = (c: Case): string[] => [
  ...(c.steps.some(({ step }) => isPageStep(step)) ? ['settle'] : []),
  ...(c.steps.some((s) => s.expected.kind === 'answer' && s.expected.text.includes('swap')) ? ['swap'] : []),
  ...(TOP_ALIGNED.has(c.id) ? [`plug ${TOP_PAGES}`] : []),
];

/** A case as the oracle reads it. */
export interface Script {
  readonly text: string;
  /** For each line of the script, the number of the step it came from; -1 for one that belongs to none. */
  readonly stepOf: readonly number[];
}

/** Writes a case as the oracle reads it, under the name `id`. */
export const scriptOf = (c: Case, id: string): Script => {
  const lines = setupOf(c);
  const stepOf: number[] = lines.map(() => -1);
  for (const [i, { step }] of c.steps.entries()) {
    for (const line of linesOf(step)) {
      lines.push(line);
      stepOf.push(i);
    }
  }
  return { text: [`case ${id}`, ...lines, 'end', ''].join('\n'), stepOf };
};

/** What the kernel gave in one case. */
export interface CaseObservation {
  /** One entry a step, in the notation of the case file. */
  readonly steps: readonly Expectation[];
  /** Lines that belong to no step: why a process died, why there is no swap. */
  readonly notes: readonly string[];
}

const strip = (text: string): string => text.replace(/^(?:->|:|=) ?/, '');

const toExpectation = (step: CaseStep, texts: readonly string[]): Expectation => {
  const op = step.step.op;
  if (op === 'touch' || op === 'read' || op === 'touchto' || op === 'readto')
    return { kind: 'traps', traps: texts.map(parseTrap) };
  if (op === 'commit' || op === 'gather') {
    // The many small calls inside must all work; the first that did not is what is shown.
    const failed = texts.find((text) => !/^-> (0|B\+\d+)$/.test(text));
    return failed === undefined ? { kind: 'nothing' } : { kind: 'answer', text: failed };
  }
  if (texts.length === 0) return { kind: 'nothing' };
  if (op === 'vmas' && texts[0]?.startsWith('=> ')) return parseVmas(texts[0].slice(3));
  return { kind: 'answer', text: texts.map(strip).join('; ') };
};

/** Reads the output of the oracle for `scripts`, which are named by their index. */
export const parseOutput = (
  cases: readonly Case[],
  scripts: readonly Script[],
  output: string,
): CaseObservation[] => {
  const seen = cases.map((c) => ({ texts: c.steps.map((): string[] => []), notes: [] as string[] }));
  let current = -1;
  for (const line of output.split('\n')) {
    const header = /^case (\d+)$/.exec(line);
    const answer = /^(\d+) (.*)$/.exec(line);
    if (header !== null) current = Number(header[1]);
    else if (answer !== null && current >= 0) {
      const step = scripts[current]?.stepOf[Number(answer[1])] ?? -1;
      if (step >= 0) seen[current]?.texts[step]?.push(answer[2] as string);
      else if (answer[2] !== '-> 0') seen[current]?.notes.push(answer[2] as string);
    } else if (line !== '' && line !== 'end' && current >= 0) seen[current]?.notes.push(line);
  }
  return seen.map(({ texts, notes }, i) => ({
    steps: texts.map((t, k) => toExpectation((cases[i] as Case).steps[k] as CaseStep, t)),
    notes,
  }));
};
