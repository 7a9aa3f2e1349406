/**
 * In place of `daemon/netlink/libc.ts` for the netlink thread: each send(2) that changes something and each write(2) to
 * /proc/sys is counted when it has returned.
 *
 * @module
 */
import { send as realSend, write as realWrite } from "../../../daemon/netlink/libc.ts";
import { changesIn } from "../messages.ts";
import { point } from "./point.ts";

export {
  abort,
  bind,
  C,
  close,
  errno,
  open,
  recv,
  setns,
  setsockopt,
  socket,
} from "../../../daemon/netlink/libc.ts";

export const send: typeof realSend = (fd, bytes, length, flags) => {
  const sent = realSend(fd, bytes, length, flags);
  const changes = changesIn(bytes.subarray(0, length));
  if (changes.length > 0) point(`netlink: ${changes.join(" ")}`);
  return sent;
};

export const write: typeof realWrite = (fd, bytes, length) => {
  const written = realWrite(fd, bytes, length);
  point("sysctl");
  return written;
};
