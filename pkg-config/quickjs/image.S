/*
 * The memory, in a section at an address of its own (the linker is told), so that nothing else moves when its contents
 * change: the image, or one empty page in the program that makes the image.
 */
    .section .heap, "aw", %progbits
    .global heap
    .balign PAGE_BYTES
heap:
#ifdef WITH_IMAGE
    .incbin "heap.image"
#else
    .skip PAGE_BYTES
#endif

    .section .note.GNU-stack, "", %progbits
