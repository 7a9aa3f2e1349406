/*
 * The engine's memory: one region at a fixed address, whose end is the limit. Its beginning can be written to a file (the
 * image) and linked into the executable: such a process finds all that the engine and the program have made of
 * themselves, pointers included, and has only to go on. Making it anew took most of the time of a run.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include "quickjs.h"

extern const JSMallocFunctions memory_functions;

/*
 * To be called once, before all else. `*root` is what memory_write() was given when the image was made, NULL without an
 * image. False: the kernel gave no memory.
 */
bool memory_open(void **root);

/* The memory as it is, for memory_open() of another process with the same code at the same addresses. */
void memory_write(int fd, void *root);

#endif
