/**
 * What an executable file loads into memory.
 * Source: elf(5), Elf64_Ehdr and Elf64_Phdr, little-endian.
 *
 * @module
 */

/** One entry of the program header table; `flags` are PF_X 1, PF_W 2, PF_R 4. */
export type Segment = {
  readonly type: number;
  readonly flags: number;
  readonly address: number;
  /** As in the file, without the headers of the file itself; zeros behind them are not among them. */
  readonly bytes: Uint8Array;
};

/** Type and machine of the file, and its segments. Throws where it is not such a file. */
export function readElf(file: Buffer): {
  readonly type: number;
  readonly machine: number;
  readonly segments: readonly Segment[];
} {
  const [MAGIC, CLASS_64, LITTLE] = ["7f454c46", 2, 1];
  if (file.toString("hex", 0, 4) !== MAGIC || file[4] !== CLASS_64 || file[5] !== LITTLE) {
    throw new Error("not an ELF file of 64 bits, little-endian");
  }
  const [start, size, count] = [
    Number(file.readBigUInt64LE(32)),
    file.readUInt16LE(54),
    file.readUInt16LE(56),
  ];
  const segments = Array.from({ length: count }, (_, index) => {
    const at = start + index * size;
    const [offset, address, length] = [at + 8, at + 16, at + 32].map((field) =>
      Number(file.readBigUInt64LE(field)),
    );
    return {
      type: file.readUInt32LE(at),
      flags: file.readUInt32LE(at + 4),
      address: address ?? 0,
      bytes: file.subarray(Math.max(offset ?? 0, start + count * size), (offset ?? 0) + (length ?? 0)),
    };
  });
  return { type: file.readUInt16LE(16), machine: file.readUInt16LE(18), segments };
}
