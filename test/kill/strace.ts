/**
 * System calls of a program by strace(1), and its death right before one of them.
 *
 * @module
 */

/** The `count`-th call of this name. */
export type SystemCall = { readonly name: string; readonly count: number };

/** What no other program, nor the disk, can tell: a kill there is one at the next call. */
const PRIVATE: ReadonlySet<string> = new Set([
  "arch_prctl",
  "brk",
  "clock_gettime",
  "execve",
  "fcntl",
  "geteuid",
  "getpid",
  "getrandom",
  "mmap",
  "mprotect",
  "munmap",
  "rt_sigaction",
  "rt_sigprocmask",
  "set_tid_address",
  "sigaltstack",
]);

/** Command that executes a program and writes its system calls to the file. */
export function traced(file: string): readonly string[] {
  return ["strace", "-f", "-o", file];
}

/** Command that executes a program and kills it when it enters this call, which does not happen any more. */
export function killedAt({ name, count }: SystemCall): readonly string[] {
  const inject = `inject=${name}:signal=SIGKILL:when=${count}`;
  return ["strace", "-f", "-o", "/dev/null", "-e", `trace=${name}`, "-e", inject];
}

/** The calls in a trace that somebody else can tell of, in their order. */
export function systemCalls(trace: string): readonly SystemCall[] {
  const counts = new Map<string, number>();
  return trace.split("\n").flatMap((line) => {
    const name = /^\d+ +([a-z_0-9]+)\(/.exec(line)?.[1];
    if (name === undefined) return [];
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    return PRIVATE.has(name) ? [] : [{ name, count }];
  });
}
