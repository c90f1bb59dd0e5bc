/**
 * Open files of mappings that were there before the recording began.
 *
 * execve maps one open file several times, so the vmas of a path found at the start share one; vmas of a file opened later do not
 * share with them.
 */
import type { Machine } from '../../machine/index.ts';
import type { MappedFile } from '../../mm/index.ts';
import type { MapsLine } from '../maps.ts';

/** The open files of one start: one per path. */
export class StartFiles {
  readonly #machine: Machine;
  readonly #opened = new Map<string, MappedFile>();

  /** @param machine  where the objects belong */
  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Returns the open file of a mapping found at the start. */
  open(line: MapsLine): MappedFile {
    let file = this.#opened.get(line.name);
    if (file === undefined) {
      const { kernel } = this.#machine;
      const object = this.#machine.fileObject(line.name, () =>
        kernel.newFileObject({ path: line.name, kind: 'regular', dev: line.dev, inode: line.inode }),
      );
      file = kernel.openFile(object, {
        readable: true,
        writable: line.perms[1] === 'w' && line.perms[3] === 's',
      });
      this.#opened.set(line.name, file);
    }
    return file;
  }
}
