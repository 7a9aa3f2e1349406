/**
 * In place of node:fs for `daemon/netlink/doomed.ts`, which writes its requests to a socket: counted when they have had their
 * effect.
 *
 * @module
 */
import { write as realWrite } from "node:fs";
import { point } from "./point.ts";

export { read } from "node:fs";

type Done = (error: NodeJS.ErrnoException | null, written: number, bytes: Uint8Array) => void;

export function write(fd: number, bytes: Uint8Array, done: Done): void {
  realWrite(fd, bytes, (error, written, buffer) => {
    point("netlink: delete-link group");
    done(error, written, buffer);
  });
}
