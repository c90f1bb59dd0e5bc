/**
 * The memory manager: one kernel, address spaces, the system calls on them, events and views.
 *
 * This is the door for other rings and for users of `faultline/mm`; what is not exported here is internal.
 */
export type { AnonVma } from './anonVma.ts';
export { brk } from './brk.ts';
export { CLEAR_REFS, clearRefs } from './clearRefs.ts';
export {
  CAUSES,
  type Cause,
  type EventSink,
  type MmEvent,
  PGOFF_UPDATES,
  type PgoffUpdate,
  type PurgeCause,
  VRANGE_EFFECTS,
  type VrangeEffect,
} from './events.ts';
export { accessPage, type FaultAccess, type FaultResult } from './fault.ts';
export {
  FEATURES,
  type FeatureInfo,
  type FeatureName,
  type FeatureSetting,
  type Features,
  isSetting,
  LINUX_6_18,
  PROFILES,
  parseFeatureSetting,
  TUNABLE_SETTINGS,
  withSettings,
} from './features.ts';
export { exitMm, forkMm } from './fork.ts';
export { BytesContents, FingerprintContents, type FrameContents, type SavedPage } from './frameContents.ts';
export { isHugeEligible } from './hugeEligible.ts';
export { adoptVma, type FoundVma } from './initial.ts';
export { DEFAULT_CONFIG, Kernel, type KernelConfig, type KernelStorage } from './kernel.ts';
export { Madvise, type MadviseRequest, madvise } from './madvise.ts';
export { mbind } from './mempolicy.ts';
export { MERGE_VERDICTS, type MergeVerdict } from './mergeVerdict.ts';
export { mincore, msync } from './mincore.ts';
export { Mlock, type MlockRequest, mlock, mlockall, munlock, munlockall } from './mlock.ts';
export { accountVm, linkVma, Mm, type Rlimit, type Rlimits } from './mm.ts';
export { type MmapRequest, mmap } from './mmap.ts';
export { mprotect } from './mprotect.ts';
export { type MremapRequest, mremap } from './mremap.ts';
export { mseal } from './mseal.ts';
export { munmap } from './munmap.ts';
export {
  entryState,
  PAGE_STATE,
  type PagemapBits,
  pagemapBits,
  pagemapRead,
  pagemapWord,
} from './pagemap.ts';
export { pagemapScan, type ScanRequest, type ScanResult } from './pagemapScan.ts';
export type { ScanRegion } from './pagemapScanOutput.ts';
export { NO_PAGEMAP_FLAGS, type PagemapRun, pagemapFlags, pagemapRuns, pagemapText } from './pagemapText.ts';
export { forEachPage, forEachWord, isLazyFree, type PageKind, type PageState, pageAt } from './pageState.ts';
export { processMadvise } from './processMadvise.ts';
export { type ProcessVm, ProcessVmCopy, processVm } from './processVm.ts';
export { type AnonVmaRow, mapsLine, mapsText, type VmaRow, vmaDisplayName, vmaRows } from './procfs.ts';
export { settleTables } from './ptReclaim.ts';
export { type ScanStop, scanTables } from './ptScan.ts';
export {
  RFC_SCAN,
  SCAN_TUNABLES,
  type ScanTunables,
  type TunableName,
  tunableText,
} from './ptScanTunables.ts';
export { isRefused, type SysResult, WHYS, type Why } from './result.ts';
export { clearFigures, figuresOf, gatherFigures, type MemoryFigures, noFigures, pssBytes } from './smaps.ts';
export { smapsBlock, smapsRollupText, smapsText } from './smapsText.ts';
export { statmText, statusText } from './statusText.ts';
export {
  forEachTable,
  PINS,
  type Pin,
  type TableCensus,
  type TablePlace,
  type TableRow,
  tableCensus,
} from './tableCensus.ts';
export type { Emptier, Emptying } from './tableHistory.ts';
export { CountingTlb, type Tlb } from './tlb.ts';
export { MISS, translate } from './translate.ts';
export {
  finished,
  isWait,
  UffdContext,
  type UffdMessage,
  UffdWait,
} from './uffdContext.ts';
export { type FillKind, type FillRequest, type FillResult, UffdFill } from './uffdFill.ts';
export { type UffdMoveRequest, uffdMove } from './uffdMove.ts';
export { type UffdWriteProtectRequest, uffdWriteProtect } from './uffdProtect.ts';
export { getUnmappedArea, type PlaceRequest, startGap } from './unmappedArea.ts';
export { type UffdRegisterRequest, uffdRegister, uffdRelease, uffdUnregister } from './userfaultfd.ts';
export { INVARIANT_NAMES, verifyAnonVmas, verifyAround, verifyKernel, verifyMm } from './verify.ts';
export { type FileObject, isAnonymousVma, isSharedMemory, type MappedFile, nrPagesOf, Vma } from './vma.ts';
export {
  kernelVmFlags,
  permsOf,
  VM_LOCKED,
  VM_SHARED,
  VM_STICKY,
  vmFlagCodes,
  vmFlagsOfCodes,
} from './vmFlags.ts';
export { type VrangeLock, type VrangeRequest, vrange, vrangeLockVerdict } from './vrange.ts';
export { type VrangeBytes, vrangeBytes } from './vrangeForms.ts';
export { type PurgeVerdict, PurgeVisit, purgeVolatile } from './vrangePurge.ts';
export { vrangesText } from './vrangesText.ts';
export type { VrangeBehavior, VrangeMode, VrangeNode, VrangeTree } from './vrangeTree.ts';
export { brkCall, forkCall, mmapCall, mremapCall, munmapCall, type WaitingCall } from './waitingCalls.ts';
export {
  type ChargeSink,
  FACT,
  FAULTED,
  type FactName,
  type FaultName,
  PATH,
  type PathName,
  WORK_NAMES,
  Work,
} from './work.ts';
