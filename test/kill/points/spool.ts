/**
 * In place of node:fs for `daemon/spool/spool.ts`: what is removed or set aside is counted.
 *
 * @module
 */
import { type PathLike, renameSync as realRename, type RmOptions, rmSync as realRemove } from "node:fs";
import { point } from "./point.ts";

export {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  watch,
} from "node:fs";

export function renameSync(from: PathLike, to: PathLike): void {
  realRename(from, to);
  point("spool: set aside");
}

export function rmSync(path: PathLike, options: RmOptions): void {
  realRemove(path, options);
  point("spool: removed");
}
