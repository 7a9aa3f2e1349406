/*
 * Preloaded into the kernel of User Mode Linux. That kernel keeps the extended registers of its processes in a buffer of
 * fixed size (HOST_FP_SIZE of arch/x86/um) and gives it to PTRACE_SETREGSET; the outer kernel accepts nothing shorter than
 * what the processor has (xstateregs_set() in arch/x86/kernel/fpu/regset.c: EFAULT), and with AMX that is 11 KB. So the
 * buffer is padded here, and the components that lie beyond it are marked as in their initial state: the guest has no way
 * to use them. Where the processor has no more than the buffer holds, nothing is changed.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define XSTATE_LEAF 0x0d
#define XSTATE_MAX 65536
/* Intel SDM volume 1, 13.4: XSTATE_BV is the first word of the header, which follows the 512 legacy bytes. */
#define XSTATE_BV 512
#define XSTATE_HEADER_END 576

/* Bytes of the extended state, all components that the outer kernel enabled. */
static uint32_t size_of_all(void) {
  uint32_t features = 0, enabled = 0, max = 0, rest = 0;
  __cpuid_count(XSTATE_LEAF, 0, features, enabled, max, rest);
  return enabled;
}

/* The components that end beyond `length`. */
static uint64_t beyond(size_t length) {
  uint64_t mask = 0;
  for (int component = 2; component < 63; component++) {
    uint32_t size = 0, offset = 0, flags = 0, rest = 0;
    __cpuid_count(XSTATE_LEAF, component, size, offset, flags, rest);
    if (size != 0 && (flags & 1) == 0 && (size_t)offset + size > length) mask |= 1ull << component;
  }
  return mask;
}

long ptrace(enum __ptrace_request request, ...) {
  va_list arguments;
  va_start(arguments, request);
  pid_t pid = va_arg(arguments, pid_t);
  void *address = va_arg(arguments, void *);
  void *data = va_arg(arguments, void *);
  va_end(arguments);
  if (request == PTRACE_SETREGSET && (uintptr_t)address == NT_X86_XSTATE) {
    const struct iovec *given = data;
    size_t all = size_of_all();
    if (given->iov_len >= XSTATE_HEADER_END && given->iov_len < all && all <= XSTATE_MAX) {
      /* Not on the stack: the kernel's are 16 KB. It has one thread, and is not interrupted by itself here. */
      static _Alignas(64) unsigned char state[XSTATE_MAX];
      uint64_t present = 0;
      memset(state, 0, all);
      memcpy(state, given->iov_base, given->iov_len);
      memcpy(&present, state + XSTATE_BV, sizeof present);
      present &= ~beyond(given->iov_len);
      memcpy(state + XSTATE_BV, &present, sizeof present);
      struct iovec padded = {.iov_base = state, .iov_len = all};
      return syscall(SYS_ptrace, (long)request, (long)pid, address, &padded);
    }
  }
  /* The system call stores what a peek reads, the function returns it: ptrace(2), "C library/kernel differences". */
  if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
    long word = 0;
    if (syscall(SYS_ptrace, (long)request, (long)pid, address, &word) < 0) return -1;
    errno = 0;
    return word;
  }
  return syscall(SYS_ptrace, (long)request, (long)pid, address, data);
}
