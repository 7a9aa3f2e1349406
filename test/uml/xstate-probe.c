/*
 * Gives a stopped child its own extended registers back in a buffer that holds the legacy part and the header alone, as a
 * kernel of User Mode Linux does with a buffer that is too short. Prints "refused" or "accepted", and whether a register of
 * the part that was given has its value.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHORT 576
#define XMM0 160

int main(void) {
  pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    _exit(0);
  }
  if (child < 0 || waitpid(child, NULL, 0) != child) return 2;
  static _Alignas(64) unsigned char state[SHORT], after[SHORT];
  struct iovec part = {state, sizeof state};
  if (ptrace(PTRACE_GETREGSET, child, (void *)NT_X86_XSTATE, &part) != 0) return 2;
  memset(state + XMM0, 0x5a, 16);
  state[512] |= 2; /* XSTATE_BV: the SSE component is there */
  part.iov_len = sizeof state;
  long given = ptrace(PTRACE_SETREGSET, child, (void *)NT_X86_XSTATE, &part);
  struct iovec read = {after, sizeof after};
  ptrace(PTRACE_GETREGSET, child, (void *)NT_X86_XSTATE, &read);
  puts(given == 0 ? "accepted" : "refused");
  puts(memcmp(state + XMM0, after + XMM0, 16) == 0 ? "register set" : "register not set");
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  return 0;
}
