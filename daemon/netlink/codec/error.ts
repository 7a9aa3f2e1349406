/**
 * Answers: NLMSG_ERROR (which also says success), NLMSG_DONE, and Linux's names of error numbers.
 *
 * With NETLINK_EXT_ACK on, the kernel says in words what it did not like, and at which byte of the request. With
 * NETLINK_CAP_ACK on, it does not send the whole request back.
 *
 * @module
 */
import { readFields, schema, text, u16, u32, type ValuesOf, writeFields } from "./attribute.ts";
import { HEADER_BYTES, NLM_F, NLMSG, type RawMessage } from "./header.ts";
import { align4, DecodeError, type Span, spanOf, Writer } from "./wire.ts";

/** NLMSGERR_ATTR_*. */
const EXT_ACK = schema({
  /** What the kernel says: `"Invalid gateway"`. */
  message: text(1),
  /** Byte of the request, from the start of its header, of the attribute in question. */
  offset: u32(2),
  /** Number of the attribute that is missing. */
  missingType: u16(5),
  /** Byte of the nest that it is missing in; the message itself where there is none. */
  missingNest: u32(6),
});

/** What the kernel says beside the error number. All of it may be missing. */
export type ExtAck = ValuesOf<typeof EXT_ACK>;

/** The kernel's answer to one request. */
export type Ack = {
  /** 0: success. Else a positive error number, which `errnoName` names. */
  readonly errno: number;
  /** Type and sequence number of the request. */
  readonly request: { readonly type: number; readonly seq: number };
} & ExtAck;

/** The end of a dump. */
export type Done = {
  /** 0: the dump is whole. Else what ended it early. */
  readonly errno: number;
} & ExtAck;

const ERRNO_BYTES = 4;

/** Reads an NLMSG_ERROR. */
export function decodeAck(message: Omit<RawMessage, "port">): Ack {
  const span = spanOf(message.payload);
  const { view, end } = span;
  const least = ERRNO_BYTES + HEADER_BYTES;
  if (end < least) throw new DecodeError(`NLMSG_ERROR of ${end} bytes, not ${least}`, 0);
  // The request stands here whole (so long as its own header says) or as its header only.
  const whole = ERRNO_BYTES + align4(view.getUint32(ERRNO_BYTES, true));
  const start = message.flags & NLM_F.CAPPED ? least : Math.max(least, whole);
  return {
    errno: positiveErrno(span),
    request: {
      type: view.getUint16(ERRNO_BYTES + 4, true),
      seq: view.getUint32(ERRNO_BYTES + 8, true),
    },
    ...readExtAck(message.flags, span, start),
  };
}

/** Reads an NLMSG_DONE. Old kernels send it without an error number: then the dump is whole. */
export function decodeDone(message: Omit<RawMessage, "port">): Done {
  const span = spanOf(message.payload);
  if (span.end < ERRNO_BYTES) return { errno: 0 };
  return { errno: positiveErrno(span), ...readExtAck(message.flags, span, ERRNO_BYTES) };
}

/** The NLMSG_ERROR of a kernel with NETLINK_CAP_ACK, for tests and simulated kernels. */
export function encodeAck(ack: Ack): Omit<RawMessage, "port"> {
  const { errno, request, ...extAck } = ack;
  const writer = new Writer();
  writer.i32(-errno);
  writer.u32(HEADER_BYTES);
  writer.u16(request.type);
  writer.u16(NLM_F.REQUEST);
  writer.u32(request.seq);
  writer.u32(0);
  const before = writer.length;
  writeFields(writer, EXT_ACK, extAck);
  const flags = NLM_F.CAPPED | (writer.length > before ? NLM_F.ACK_TLVS : 0);
  return { type: NLMSG.ERROR, flags, seq: request.seq, payload: writer.take() };
}

function positiveErrno({ view }: Span): number {
  const errno = view.getInt32(0, true);
  if (errno > 0) throw new DecodeError(`error number ${errno} is positive`, 0);
  return errno === 0 ? 0 : -errno;
}

function readExtAck(flags: number, { view, end }: Span, start: number): ExtAck {
  if ((flags & NLM_F.ACK_TLVS) === 0) return {};
  if (start > end) throw new DecodeError("the request in NLMSG_ERROR is cut off", end);
  return readFields({ view, start, end }, EXT_ACK);
}

/** Numbers of Linux on x64 and arm64, from 1: asm-generic/errno-base.h and asm-generic/errno.h. `-`: not in use. */
const ERRNO_NAMES = `
EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD
EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV ENODEV ENOTDIR
EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS
EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP
- ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI
EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT - EBFONT ENOSTR
ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM
EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD
ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE
EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN
ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT
ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM
EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD
ENOTRECOVERABLE ERFKILL EHWPOISON`
  .trim()
  .split(/\s+/);

/** `"EEXIST"` of 17; `"errno 999"` of a number that has no name. The kernel's own 524 (ENOTSUPP) gets out at times. */
export function errnoName(errno: number): string {
  const name = errno === 524 ? "ENOTSUPP" : ERRNO_NAMES[errno - 1];
  return name === undefined || name === "-" ? `errno ${errno}` : name;
}
