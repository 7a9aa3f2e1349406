#include "memory.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "system.h"

/* Stdin of 1 MiB makes some 40 MB of values at most; a loop without end must not take the node's memory. */
#define MEMORY_MAX ((size_t)64 << 20)
/* Sizes have four steps between powers of two, so a block is larger than was asked for by a fifth at most. */
#define STEPS 4

/* Before each block. The size does not count it. */
typedef struct Block {
    size_t size;
    struct Block *next_free;
} Block;

/* At the start of the memory. All zero where there is no image. */
typedef struct {
    /* Bytes that came with the executable: whole pages. */
    size_t image_length;
    void *root;
    char *top;
    Block *free_blocks[64 * STEPS];
} State;

/* image.S */
extern char heap[];

static State *const state = (State *)(void *)heap;
static char *const end = heap + MEMORY_MAX;

static size_t whole_pages(size_t length) {
    return (length + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

bool memory_open(void **root) {
    if (state->top == NULL) {
        state->image_length = whole_pages(sizeof *state);
        state->top = (char *)(state + 1);
    }
    *root = state->root;
    char *rest = heap + state->image_length;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    return mmap(rest, (size_t)(end - rest), PROT_READ | PROT_WRITE, flags, -1, 0) == rest;
}

void memory_write(int fd, void *root) {
    state->root = root;
    state->image_length = whole_pages((size_t)(state->top - heap));
    write_all(fd, heap, state->image_length);
}

static unsigned magnitude(size_t size) {
    return 63 - (unsigned)__builtin_clzll(size);
}

static size_t round_up(size_t size) {
    if (size < 64) return 64;
    const size_t step = (size_t)1 << (magnitude(size) - 2);
    return (size + step - 1) & ~(step - 1);
}

static Block **free_list(size_t size) {
    const unsigned power = magnitude(size);
    return &state->free_blocks[power * STEPS + ((size >> (power - 2)) & (STEPS - 1))];
}

static Block *block_of(const void *bytes) {
    return (Block *)(uintptr_t)bytes - 1;
}

static void *allocate(void *opaque, size_t size) {
    (void)opaque;
    if (size > MEMORY_MAX) return NULL;
    size = round_up(size);
    Block **list = free_list(size);
    Block *block = *list;
    if (block != NULL) {
        *list = block->next_free;
        return block + 1;
    }
    if ((size_t)(end - state->top) < sizeof *block + size) return NULL;
    block = (Block *)(void *)state->top;
    state->top += sizeof *block + size;
    block->size = size;
    return block + 1;
}

static void *allocate_zeroed(void *opaque, size_t count, size_t size) {
    size_t length;
    if (__builtin_mul_overflow(count, size, &length)) return NULL;
    void *bytes = allocate(opaque, length);
    return bytes == NULL ? NULL : memset(bytes, 0, length);
}

static bool is_newest(const Block *block) {
    return (const char *)(block + 1) + block->size == state->top;
}

static void release(void *opaque, void *bytes) {
    (void)opaque;
    if (bytes == NULL) return;
    Block *block = block_of(bytes);
    if (is_newest(block)) {
        state->top = (char *)block;
        return;
    }
    Block **list = free_list(block->size);
    block->next_free = *list;
    *list = block;
}

static size_t usable_size(const void *bytes) {
    return bytes == NULL ? 0 : block_of(bytes)->size;
}

static void *reallocate(void *opaque, void *bytes, size_t size) {
    if (bytes == NULL) return allocate(opaque, size);
    Block *block = block_of(bytes);
    if (size <= block->size) return bytes;
    if (size > MEMORY_MAX) return NULL;
    /* Texts grow piece by piece: the newest block grows where it is. */
    const size_t more = round_up(size) - block->size;
    if (is_newest(block) && more <= (size_t)(end - state->top)) {
        state->top += more;
        block->size += more;
        return bytes;
    }
    void *larger = allocate(opaque, size);
    if (larger == NULL) return NULL;
    memcpy(larger, bytes, block->size);
    release(opaque, bytes);
    return larger;
}

const JSMallocFunctions memory_functions = {
    .js_calloc = allocate_zeroed,
    .js_malloc = allocate,
    .js_free = release,
    .js_realloc = reallocate,
    .js_malloc_usable_size = usable_size,
};
