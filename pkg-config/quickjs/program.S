/* The bytecode of the plugin as read-only data. */
    .section .rodata
    .global program_start, program_end
    .balign 16
program_start:
    .incbin "program.bytecode"
program_end:
    .section .note.GNU-stack, "", %progbits
