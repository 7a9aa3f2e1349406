/*
 * Turns the bundled plugin into the engine's bytecode, on the machine that builds. The engine inside the plugin has no
 * parser, so it can run nothing but this.
 *
 *     compile IN.js OUT.bytecode
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "quickjs.h"

static void die(const char *what, const char *why) {
    fprintf(stderr, "compile: %s: %s\n", what, why);
    exit(1);
}

static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) die(path, "cannot be opened");
    long end = ftell(file);
    if (end < 0) die(path, "cannot be measured");
    rewind(file);
    *length = (size_t)end;
    char *text = malloc(*length + 1);
    if (text == NULL || fread(text, 1, *length, file) != *length) die(path, "cannot be read");
    text[*length] = '\0';
    fclose(file);
    return text;
}

int main(int argc, char **argv) {
    if (argc != 3) die("usage", "compile IN.js OUT.bytecode");
    size_t length, size;
    const char *source = read_file(argv[1], &length);
    JSContext *ctx = JS_NewContextRaw(JS_NewRuntime());
    if (ctx == NULL || JS_AddIntrinsicBaseObjects(ctx) || JS_AddIntrinsicEval(ctx)) die("engine", "out of memory");
    JSValue program =
        JS_Eval(ctx, source, length, "terway.js", JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_STRICT | JS_EVAL_FLAG_COMPILE_ONLY);
    if (JS_IsException(program)) die(argv[1], JS_ToCString(ctx, JS_GetException(ctx)));
    const uint8_t *bytecode =
        JS_WriteObject(ctx, &size, program, JS_WRITE_OBJ_BYTECODE | JS_WRITE_OBJ_STRIP_SOURCE | JS_WRITE_OBJ_STRIP_DEBUG);
    FILE *file = fopen(argv[2], "wb");
    if (bytecode == NULL || file == NULL) die(argv[2], "cannot be made");
    if (fwrite(bytecode, 1, size, file) != size || fclose(file) != 0) die(argv[2], "cannot be written");
    return 0;
}
