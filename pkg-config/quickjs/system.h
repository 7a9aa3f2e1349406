/*
 * What the plugin's process does outside itself. A function that can fail returns 0 or an errno; ETIMEDOUT is the deadline's.
 */
#ifndef SYSTEM_H
#define SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Beside the errnos of keep_file. */
enum { NOT_OWNED = -1, WRITABLE_BY_OTHERS = -2, FULL = -3 };

/*
 * Ends the process with the error object that the build has put in, which it takes from the same source as all others:
 * for when the program's own words cannot be had (no memory, no stack, a bug).
 */
_Noreturn void last_words(void);

/* A crash ends in last_words() from here on; a reader that goes away does not end the process. */
void catch_crashes(void);

/* Writes all of `bytes` as far as there is a reader. */
void write_all(int fd, const char *bytes, size_t length);

/* Standard input to its end, or `room` bytes of it. */
int read_stdin(uint8_t *bytes, size_t room, size_t *length);

/* By device and inode; false where one of them cannot be looked at. */
bool is_same_file(const char *one, const char *other);

/* Of the file that a symbolic link leads to. */
int owner_of(const char *path, uid_t *owner);

/* The deadline counts from here and is for reading and writing as well. */
int agent_connect(const char *path, uint32_t deadline_ms);
int agent_write(const uint8_t *bytes, size_t length);

/* Waits for something to read; `*length` is 0 at the end. */
int agent_read(uint8_t *bytes, size_t room, size_t *length);

/* The promises of `Spool` in cni/core/done.ts. */
int keep_file(const char *directory, const char *name, const char *text, size_t length, uint32_t files_max);

#endif
