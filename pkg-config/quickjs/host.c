/*
 * The plugin's process: gives the program the one global `host` (its promises are in cni/quickjs/host.ts) and starts it.
 * What can fail gives the program the name of an errno; nothing here decides what that means for the run. The process
 * ends without giving memory back, and always with something on standard output.
 *
 * Linked without an image (image.S) it is another program, for the build: it makes the image.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"
#include "quickjs.h"
#include "system.h"

/* An eighth of what a process usually has, ulimit -s. */
#define STACK_MAX (1u << 20)
#define STDIN_MAX ((1u << 20) + 1)
#define READ_BYTES 65536

extern char **environ;

static uint8_t stdin_bytes[STDIN_MAX];

/* Freed with js_free by whoever asked for it. There is a NUL behind it. */
typedef struct {
    char *bytes;
    size_t length;
} Text;

/* ---- Values of the engine ---- */

/* `undefined` for 0. */
static JSValue failure_name(JSContext *ctx, int number) {
    static const struct {
        int number;
        const char *name;
    } names[] = {
#define NAME(error) {error, #error}
        NAME(NOT_OWNED), NAME(WRITABLE_BY_OTHERS), NAME(FULL),
        NAME(EACCES), NAME(EAGAIN),  NAME(EBADF),        NAME(ECONNREFUSED), NAME(ECONNRESET), NAME(EDQUOT),
        NAME(EEXIST), NAME(EFBIG),   NAME(EINVAL),       NAME(EIO),          NAME(EISDIR),     NAME(ELOOP),
        NAME(EMFILE), NAME(ENFILE),  NAME(ENAMETOOLONG), NAME(ENODEV),       NAME(ENOENT),     NAME(ENOMEM),
        NAME(ENOSPC), NAME(ENOTDIR), NAME(ENOTSOCK),     NAME(EPERM),        NAME(EPIPE),      NAME(EPROTOTYPE),
        NAME(EROFS),  NAME(ENXIO),   NAME(ENOBUFS),      NAME(ESTALE),       NAME(ETIMEDOUT),  NAME(EXDEV),
    };
    if (number == 0) return JS_UNDEFINED;
    for (size_t at = 0; at < sizeof names / sizeof *names; at++)
        if (names[at].number == number) return JS_NewString(ctx, names[at].name);
    char other[32];
    snprintf(other, sizeof other, "errno %d", number);
    return JS_NewString(ctx, other);
}

/*
 * How many bytes at `at` are one character of UTF-8 (RFC 3629 section 4), or, negated, how many of them one U+FFFD stands
 * for: the longest beginning of a character, as in the WHATWG Encoding Standard, section 8.1.1.
 */
static int character(const uint8_t *at, const uint8_t *end) {
    if (at[0] < 0x80) return 1;
    const int length = at[0] >= 0xc2 && at[0] <= 0xdf ? 2 : (at[0] & 0xf0) == 0xe0 ? 3 : at[0] >= 0xf0 && at[0] <= 0xf4 ? 4 : 0;
    if (length == 0) return -1;
    /* Not: longer than needed, surrogates, above U+10FFFF. */
    const uint8_t low = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;
    if (end - at < 2 || at[1] < low || at[1] > high) return -1;
    for (int next = 2; next < length; next++)
        if (end - at <= next || (at[next] & 0xc0) != 0x80) return -next;
    return length;
}

static JSValue decode_utf8(JSContext *ctx, const uint8_t *bytes, size_t length) {
    const uint8_t *const end = bytes + length, *at = bytes;
    int count = 1;
    while (at < end && (count = character(at, end)) > 0) at += count;
    if (at == end) return JS_NewStringLen(ctx, (const char *)bytes, length);
    /* One bad byte becomes three. */
    size_t used = (size_t)(at - bytes);
    char *repaired = js_malloc(ctx, used + 3 * (length - used));
    if (repaired == NULL) return JS_EXCEPTION;
    memcpy(repaired, bytes, used);
    for (; at < end; at += abs(count)) {
        count = character(at, end);
        memcpy(repaired + used, count > 0 ? (const char *)at : "\xef\xbf\xbd", count > 0 ? (size_t)count : 3);
        used += count > 0 ? (size_t)count : 3;
    }
    const JSValue text = JS_NewStringLen(ctx, repaired, used);
    js_free(ctx, repaired);
    return text;
}

/* Half a surrogate pair becomes U+FFFD: the engine writes it as ED A0..BF xx, which is just as long. False: exception. */
static bool encode_utf8(JSContext *ctx, JSValueConst value, Text *text) {
    const char *own = JS_ToCStringLen(ctx, &text->length, value);
    if (own == NULL) return false;
    text->bytes = js_malloc(ctx, text->length + 1);
    if (text->bytes == NULL) return false;
    memcpy(text->bytes, own, text->length + 1);
    JS_FreeCString(ctx, own);
    uint8_t *byte = (uint8_t *)text->bytes;
    for (size_t at = 0; at + 2 < text->length; at++)
        if (byte[at] == 0xed && byte[at + 1] >= 0xa0) memcpy(byte + at, "\xef\xbf\xbd", 3);
    return true;
}

/* As encode_utf8, for the kernel: a NUL would cut the name. False: exception. */
static bool to_path(JSContext *ctx, JSValueConst value, Text *path) {
    if (!encode_utf8(ctx, value, path)) return false;
    if (strlen(path->bytes) == path->length) return true;
    JS_ThrowTypeError(ctx, "a path with a NUL");
    return false;
}

/* ---- What the program can call ---- */

#define CALL(name) static JSValue name(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
#define UNUSED_THIS (void)this_value, (void)argc

CALL(host_encode) {
    UNUSED_THIS;
    Text text;
    if (!encode_utf8(ctx, argv[0], &text)) return JS_EXCEPTION;
    const JSValue bytes = JS_NewUint8ArrayCopy(ctx, (const uint8_t *)text.bytes, text.length);
    js_free(ctx, text.bytes);
    return bytes;
}

CALL(host_decode) {
    UNUSED_THIS;
    size_t length;
    const uint8_t *bytes = JS_GetUint8Array(ctx, &length, argv[0]);
    return bytes == NULL && length > 0 ? JS_EXCEPTION : decode_utf8(ctx, bytes, length);
}

/* readStdin(bytesMax) */
CALL(host_read_stdin) {
    UNUSED_THIS;
    uint32_t most;
    size_t length;
    if (JS_ToUint32(ctx, &most, argv[0])) return JS_EXCEPTION;
    if (most > sizeof stdin_bytes) return JS_ThrowRangeError(ctx, "more of stdin than the host can hold");
    const int failure = read_stdin(stdin_bytes, most, &length);
    return failure == 0 ? JS_NewUint8ArrayCopy(ctx, stdin_bytes, length) : failure_name(ctx, failure);
}

/* isSameFile(one, other) */
CALL(host_is_same_file) {
    UNUSED_THIS;
    Text one, other;
    if (!to_path(ctx, argv[0], &one) || !to_path(ctx, argv[1], &other)) return JS_EXCEPTION;
    const bool same = is_same_file(one.bytes, other.bytes);
    js_free(ctx, one.bytes);
    js_free(ctx, other.bytes);
    return JS_NewBool(ctx, same);
}

/* ownerOf(path) */
CALL(host_owner_of) {
    UNUSED_THIS;
    Text path;
    uid_t owner;
    if (!to_path(ctx, argv[0], &path)) return JS_EXCEPTION;
    const int failure = owner_of(path.bytes, &owner);
    js_free(ctx, path.bytes);
    return failure == 0 ? JS_NewUint32(ctx, owner) : failure_name(ctx, failure);
}

/* connect(path, deadlineMs) */
CALL(host_connect) {
    UNUSED_THIS;
    Text path;
    uint32_t within_ms;
    if (JS_ToUint32(ctx, &within_ms, argv[1]) || !to_path(ctx, argv[0], &path)) return JS_EXCEPTION;
    const int failure = agent_connect(path.bytes, within_ms);
    js_free(ctx, path.bytes);
    return failure_name(ctx, failure);
}

/* write(bytes) */
CALL(host_write) {
    UNUSED_THIS;
    size_t length;
    const uint8_t *bytes = JS_GetUint8Array(ctx, &length, argv[0]);
    return bytes == NULL ? JS_EXCEPTION : failure_name(ctx, agent_write(bytes, length));
}

/* read() */
CALL(host_read) {
    UNUSED_THIS;
    (void)argv;
    static uint8_t bytes[READ_BYTES];
    size_t length;
    const int failure = agent_read(bytes, sizeof bytes, &length);
    return failure == 0 ? JS_NewUint8ArrayCopy(ctx, bytes, length) : failure_name(ctx, failure);
}

/* keepFile(directory, name, text, filesMax) */
CALL(host_keep_file) {
    UNUSED_THIS;
    Text directory, name, text;
    uint32_t files_max;
    if (JS_ToUint32(ctx, &files_max, argv[3])) return JS_EXCEPTION;
    if (!to_path(ctx, argv[0], &directory) || !to_path(ctx, argv[1], &name)) return JS_EXCEPTION;
    if (!encode_utf8(ctx, argv[2], &text)) return JS_EXCEPTION;
    return failure_name(ctx, keep_file(directory.bytes, name.bytes, text.bytes, text.length, files_max));
}

/* end(status, stdout, stderr): does not come back. */
CALL(host_end) {
    UNUSED_THIS;
    Text out, err;
    int status;
    if (JS_ToInt32(ctx, &status, argv[0])) return JS_EXCEPTION;
    if (!encode_utf8(ctx, argv[1], &out) || !encode_utf8(ctx, argv[2], &err)) return JS_EXCEPTION;
    write_all(STDOUT_FILENO, out.bytes, out.length);
    write_all(STDERR_FILENO, err.bytes, err.length);
    _exit(status);
}

/* Of a name that is there twice, the first counts: as with getenv(3). */
static JSValue environment(JSContext *ctx) {
    const JSValue all = JS_NewObjectProto(ctx, JS_NULL);
    char **last = environ;
    while (*last != NULL) last++;
    while (last-- > environ) {
        const char *equals = strchr(*last, '=');
        if (equals == NULL || equals == *last) continue;
        const JSAtom name = JS_NewAtomLen(ctx, *last, (size_t)(equals - *last));
        const JSValue value = decode_utf8(ctx, (const uint8_t *)equals + 1, strlen(equals + 1));
        if (JS_SetProperty(ctx, all, name, value) < 0) return JS_EXCEPTION;
        JS_FreeAtom(ctx, name);
    }
    return all;
}

static const JSCFunctionListEntry calls[] = {
    JS_CFUNC_DEF("encode", 1, host_encode),       JS_CFUNC_DEF("decode", 1, host_decode),
    JS_CFUNC_DEF("readStdin", 1, host_read_stdin), JS_CFUNC_DEF("isSameFile", 2, host_is_same_file),
    JS_CFUNC_DEF("ownerOf", 1, host_owner_of),     JS_CFUNC_DEF("connect", 2, host_connect),
    JS_CFUNC_DEF("write", 1, host_write),          JS_CFUNC_DEF("read", 0, host_read),
    JS_CFUNC_DEF("keepFile", 4, host_keep_file),   JS_CFUNC_DEF("end", 3, host_end),
};

/* ---- The build: the engine with the program, up to where each process begins ---- */

static bool load_program(JSContext *ctx) {
    const JSValue global = JS_GetGlobalObject(ctx), host = JS_NewObject(ctx);
    if (JS_SetPropertyFunctionList(ctx, host, calls, sizeof calls / sizeof *calls)) return false;
    if (JS_SetPropertyStr(ctx, global, "host", host) < 0) return false;
    size_t length;
    if (read_stdin(stdin_bytes, sizeof stdin_bytes, &length) != 0) return false;
    const JSValue code = JS_ReadObject(ctx, stdin_bytes, length, JS_READ_OBJ_BYTECODE);
    return !JS_IsException(code) && !JS_IsException(JS_EvalFunction(ctx, code));
}

/* Bytecode from standard input, the image to standard output. */
static int make_image(void) {
    JSRuntime *runtime = JS_NewRuntime2(&memory_functions, NULL);
    JSContext *ctx = runtime == NULL ? NULL : JS_NewContextRaw(runtime);
    if (ctx == NULL) return 1;
    JS_SetMaxStackSize(runtime, STACK_MAX);
    /* One run leaves no cycles worth looking for; the rest is counted. */
    JS_SetGCThreshold(runtime, SIZE_MAX);
    const bool made = JS_AddIntrinsicBaseObjects(ctx) == 0 && JS_AddIntrinsicJSON(ctx) == 0 &&
                      JS_AddIntrinsicTypedArrays(ctx) == 0 && load_program(ctx);
    if (made) {
        memory_write(STDOUT_FILENO, ctx);
        return 0;
    }
    const char *why = JS_ToCString(ctx, JS_GetException(ctx));
    fprintf(stderr, "error: the program cannot be loaded: %s\n", why == NULL ? "no memory" : why);
    return 1;
}

/* ---- The plugin ---- */

/* Comes back only when the program could not come to its own end. */
static void start(JSContext *ctx) {
    JS_UpdateStackTop(JS_GetRuntime(ctx));
    const JSValue host = JS_GetPropertyStr(ctx, JS_GetGlobalObject(ctx), "host"), env = environment(ctx);
    if (JS_IsException(host) || JS_IsException(env)) return;
    if (JS_SetPropertyStr(ctx, host, "env", env) < 0) return;
    if (JS_SetPropertyStr(ctx, host, "userId", JS_NewUint32(ctx, geteuid())) < 0) return;
    JS_Call(ctx, JS_GetPropertyStr(ctx, host, "start"), host, 0, NULL);
}

int main(void) {
    void *ctx;
    catch_crashes();
    if (!memory_open(&ctx)) last_words();
    if (ctx == NULL) return make_image();
    start(ctx);
    last_words();
}
