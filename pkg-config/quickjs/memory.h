/*
 * The engine's memory: one region, whose end is the limit. It is laid out for a process that lives for a millisecond: the part
 * that each run needs is asked of the kernel at once, because a page fault costs more than what the page is needed for.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include "quickjs.h"

extern const JSMallocFunctions memory_functions;

/* To be called once, before all else. False: the kernel gave none. */
bool memory_open(void);

#endif
