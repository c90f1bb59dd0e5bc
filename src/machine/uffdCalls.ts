/**
 * Calls on userfaultfd descriptors and on pagemap: from an operation to the function of mm/ that does it, and back to what the program reads in its
 * structures.
 *
 * Only UFFDIO_COPY may have to wait, when its source is missing itself.
 *
 * Linux   fs/userfaultfd.c: userfaultfd_ioctl, userfaultfd_read_iter; fs/proc/task_mmu.c: do_pagemap_cmd
 */
import { EAGAIN, EBADF, EFAULT, EINVAL, ENOTTY } from '../abi/errno.ts';
import { UFFDIO_WRITEPROTECT_MODE_WP } from '../abi/userfaultfd.ts';
import { type Addr, PAGE_SIZE } from '../base/units.ts';
import type { Mm } from '../mm/mm.ts';
import { pagemapScan } from '../mm/pagemapScan.ts';
import type { ScanRegion } from '../mm/pagemapScanOutput.ts';
import { OK, refused, type SysResult } from '../mm/result.ts';
import { isWait, type UffdContext, type UffdMessage } from '../mm/uffdContext.ts';
import { type FillResult, UffdFill } from '../mm/uffdFill.ts';
import { uffdMove } from '../mm/uffdMove.ts';
import { uffdWriteProtect } from '../mm/uffdProtect.ts';
import { isValidRange } from '../mm/uffdRange.ts';
import { uffdRegister, uffdRelease, uffdUnregister } from '../mm/userfaultfd.ts';
import { VM_SHARED } from '../mm/vmFlags.ts';
import type { WaitingCall } from '../mm/waitingCalls.ts';
import type { Caller } from './memoryCalls.ts';
import type { Chosen } from './op.ts';
import { failure, type Outcome, outcomeOf } from './outcome.ts';
import { UffdCharges } from './uffdCharges.ts';
import type { UffdIoctlName, UffdOp, UffdRequest } from './uffdOp.ts';

/** The output field of an ioctl that goes over pages. */
export type DoneField = 'copy' | 'zeropage' | 'mapped' | 'updated' | 'move';

/** What an ioctl wrote into its structure. */
export type IoctlOutput =
  | { readonly what: 'api'; readonly api: number; readonly features: number; readonly ioctls: bigint }
  | { readonly what: 'register'; readonly ioctls: number }
  /** `done` null: the field was not written. */
  | { readonly what: 'done'; readonly field: DoneField; readonly done: number | null }
  /** `walkEnd` null: not written. */
  | { readonly what: 'scan'; readonly walkEnd: Addr | null; readonly regions: readonly ScanRegion[] };

/** A message as its reader gets it: a fork brings a descriptor. */
export type ReadMessage =
  | Exclude<UffdMessage, { readonly event: 'fork' }>
  | { readonly event: 'fork'; readonly fd: number };

const atOnce = (outcome: Outcome): WaitingCall<Outcome> => ({ step: () => outcome });

/** Starts one such call, which is charged when it is over. */
export function startUffdCall(caller: Caller, op: UffdOp, chosen: Chosen): WaitingCall<Outcome> {
  const charges = new UffdCharges(caller.machine.kernel.work);
  charges.begin();
  const call = started(caller, op, chosen);
  return {
    step: () => {
      const came = call.step();
      if (!isWait(came)) charge(charges, caller, op, came);
      return came;
    },
  };
}

/** Charges a call that is over. What was refused before anything was done costs an empty call. */
function charge(charges: UffdCharges, caller: Caller, op: UffdOp, outcome: Outcome): void {
  if (outcome.kind === 'messages') charges.endRead(outcome.messages.length);
  else if (outcome.kind === 'ioctl' && outcome.output?.what === 'scan')
    charges.endScan(outcome.output.regions.length);
  else if (op.call === 'uffd_ioctl' && outcome.kind === 'ioctl' && op.request !== null)
    chargeIoctl(charges, op.request, outcome, isSharedAt(caller, op));
  else charges.endRead(0);
}

function chargeIoctl(
  charges: UffdCharges,
  request: UffdRequest,
  { result, output }: Extract<Outcome, { kind: 'ioctl' }>,
  isShared: boolean,
): void {
  const pages = output?.what === 'done' ? Math.max(0, output.done ?? 0) / PAGE_SIZE : 0;
  switch (request.name) {
    case 'UFFDIO_API':
    case 'UFFDIO_WAKE':
      charges.endRead(0);
      return;
    case 'UFFDIO_REGISTER':
    case 'UFFDIO_UNREGISTER':
      charges.endRegister(result.kind === 'errno');
      return;
    case 'UFFDIO_WRITEPROTECT':
      charges.endProtect((request.mode & UFFDIO_WRITEPROTECT_MODE_WP) !== 0);
      return;
    case 'UFFDIO_MOVE':
      charges.endMove();
      return;
    case 'UFFDIO_COPY':
      charges.endFill('copy', pages, isShared);
      return;
    case 'UFFDIO_ZEROPAGE':
      charges.endFill('zeropage', pages, isShared);
      return;
    case 'UFFDIO_CONTINUE':
      charges.endFill('continue', pages, isShared);
      return;
    case 'UFFDIO_POISON':
      charges.endFill('poison', pages, isShared);
      return;
  }
}

/** Tells whether an ioctl is about memory that is mapped shared. */
function isSharedAt({ process }: Caller, { fd, request }: Extract<UffdOp, { call: 'uffd_ioctl' }>): boolean {
  const descriptor = process.files.get(fd);
  if (descriptor?.kind !== 'uffd' || request === null || request.name === 'UFFDIO_API') return false;
  const at = 'dst' in request ? request.dst : request.start;
  return ((descriptor.context.mm.vmas.at(at)?.flags ?? 0) & VM_SHARED) !== 0;
}

function started(caller: Caller, op: UffdOp, chosen: Chosen): WaitingCall<Outcome> {
  if (op.call === 'pagemap_scan') return atOnce(scan(caller, op));
  if (op.call === 'uffd_read') return atOnce(readUffd(caller, op, chosen));
  const descriptor = caller.process.files.get(op.fd);
  if (descriptor === null) return atOnce(failure(EBADF, 'bad-fd'));
  if (descriptor.kind !== 'uffd') return atOnce(failure(ENOTTY, 'bad-fd'));
  const { context } = descriptor;
  return op.request === null
    ? atOnce(unreadable(context, op.name, caller.mm))
    : startIoctl(caller, context, op.request);
}

const written = (result: SysResult, output: IoctlOutput | null): Outcome => ({
  kind: 'ioctl',
  result: outcomeOf(result),
  output,
});

const doneOutcome = (field: DoneField, result: FillResult): Outcome =>
  written(result, { what: 'done', field, done: result.done });

/** Starts an ioctl whose structure can be read. */
function startIoctl(caller: Caller, context: UffdContext, request: UffdRequest): WaitingCall<Outcome> {
  switch (request.name) {
    case 'UFFDIO_API': {
      const { privileged } = caller.mm;
      const { api, features, ioctls, ...result } = context.handshake(
        request.api,
        request.features,
        privileged,
      );
      return atOnce(written(result, { what: 'api', api, features, ioctls }));
    }
    case 'UFFDIO_REGISTER': {
      const { ioctls, ...result } = uffdRegister(context, request);
      return atOnce(written(result, ioctls === null ? null : { what: 'register', ioctls }));
    }
    case 'UFFDIO_UNREGISTER':
      return atOnce(written(uffdUnregister(context, request), null));
    case 'UFFDIO_WAKE':
      return atOnce(wake(context, request));
    case 'UFFDIO_WRITEPROTECT':
      return atOnce(written(uffdWriteProtect(context, request), null));
    case 'UFFDIO_MOVE': {
      const { dst: start, src: source, len, mode } = request;
      return atOnce(doneOutcome('move', uffdMove(context, { start, source, len, mode }, caller.mm)));
    }
    case 'UFFDIO_COPY': {
      const { dst: start, src: source, len, mode, buffer } = request;
      const from = buffer === undefined ? { source } : { source, buffer };
      const fill = new UffdFill(context, 'copy', { start, len, mode, ...from }, caller);
      const call = filling('copy', fill);
      const isOwn = context.mm === caller.mm;
      return holding(caller, context, isOwn ? call : caller.machine.using(context.mm, call));
    }
    case 'UFFDIO_ZEROPAGE':
      return filling('zeropage', new UffdFill(context, 'zeropage', request, caller));
    case 'UFFDIO_CONTINUE':
      return filling('mapped', new UffdFill(context, 'continue', request, caller));
    case 'UFFDIO_POISON':
      return filling('updated', new UffdFill(context, 'poison', request, caller));
  }
}

const filling = (field: DoneField, fill: UffdFill): WaitingCall<Outcome> => ({
  step: () => {
    const step = fill.step();
    return isWait(step) ? step : doneOutcome(field, step);
  },
});

/** Keeps `context` open until `call` is over. Who closed its last descriptor meanwhile has not released it. */
function holding(
  { machine, process }: Caller,
  context: UffdContext,
  call: WaitingCall<Outcome>,
): WaitingCall<Outcome> {
  const { files } = process;
  files.hold(context);
  return {
    step: () => {
      const came = call.step();
      if (isWait(came)) return came;
      files.letGo(context);
      if (!machine.processes.some((each) => each.files.has(context))) uffdRelease(context);
      return came;
    },
  };
}

/** The structure cannot be read: what comes before that is asked all the same. */
function unreadable(context: UffdContext, name: UffdIoctlName, mm: Mm): Outcome {
  if (name === 'UFFDIO_WRITEPROTECT') return written(uffdWriteProtect(context, null), null);
  if (name === 'UFFDIO_MOVE') return written(uffdMove(context, null, mm), null);
  const isReady = name === 'UFFDIO_API' || context.features !== null;
  return written(isReady ? refused(EFAULT, 'bad-pointer') : refused(EINVAL, 'no-handshake'), null);
}

/** UFFDIO_WAKE. Refusals: EINVAL no-handshake, bad-range */
function wake(context: UffdContext, range: { readonly start: Addr; readonly len: number }): Outcome {
  if (context.features === null) return written(refused(EINVAL, 'no-handshake'), null);
  if (!isValidRange(range)) return written(refused(EINVAL, 'bad-range'), null);
  context.wake(range.start, range.len);
  return written(OK, null);
}

/** read(2) of one message after the other, which never waits here. Refusals: EBADF bad-fd · EINVAL no-handshake · EAGAIN no-message */
function readUffd(caller: Caller, op: Extract<UffdOp, { call: 'uffd_read' }>, chosen: Chosen): Outcome {
  const descriptor = caller.process.files.get(op.fd);
  const messages: ReadMessage[] = [];
  if (descriptor?.kind !== 'uffd') return { kind: 'messages', messages, error: failure(EBADF, 'bad-fd') };
  const { context } = descriptor;
  for (let i = 0; i < op.times; i++) {
    if (context.features === null)
      return { kind: 'messages', messages, error: failure(EINVAL, 'no-handshake') };
    const message = context.read();
    if (message === null) return { kind: 'messages', messages, error: failure(EAGAIN, 'no-message') };
    messages.push(message.event === 'fork' ? openForked(caller, message.context, chosen) : message);
  }
  return { kind: 'messages', messages, error: null };
}

/** The reader of a fork's message gets a descriptor for the child's context. */
function openForked({ process }: Caller, context: UffdContext, chosen: Chosen): ReadMessage {
  const fd = chosen.handle ?? process.files.lowestFree();
  process.files.set(fd, { kind: 'uffd', context });
  return { event: 'fork', fd };
}

function scan(
  { machine, process }: Caller,
  { target, request }: Extract<UffdOp, { call: 'pagemap_scan' }>,
): Outcome {
  const found = machine.targetMm(process, target);
  if ('kind' in found) return found;
  const { walkEnd, regions, ...result } = pagemapScan(found.mm, request);
  return written(result, request === null ? null : { what: 'scan', walkEnd, regions });
}
