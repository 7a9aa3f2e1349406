/**
 * A container image that only waits, made on the spot: one static executable of some hundred bytes in an OCI archive. No
 * compiler and no registry is needed.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** Name of the image in the runtime. */
export const PAUSE_IMAGE = "terway.test/pause:1";

type Machine = {
  /** `e_machine` (elf.h). */
  readonly elf: number;
  /** GOARCH, as image configurations say it. */
  readonly architecture: string;
  readonly code: readonly number[];
};

const MACHINES: Readonly<Partial<Record<NodeJS.Architecture, Machine>>> = {
  x64: {
    elf: 62,
    architecture: "amd64",
    // mov eax, 34 (pause); syscall; jmp to the start
    code: [0xb8, 0x22, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7],
  },
  arm64: {
    elf: 183,
    architecture: "arm64",
    // mov x0..x3, 0; mov x8, 73 (ppoll); svc 0; b to the start
    code: [0xd2800000, 0xd2800001, 0xd2800002, 0xd2800003, 0xd2800928, 0xd4000001, 0x17fffffa].flatMap(
      (word) => [word & 0xff, (word >>> 8) & 0xff, (word >>> 16) & 0xff, word >>> 24],
    ),
  },
};

function machineOf(architecture: NodeJS.Architecture): Machine {
  const machine = MACHINES[architecture];
  if (machine === undefined) throw new Error(`no code for ${architecture}: x64 and arm64 are known`);
  return machine;
}

const LOAD_ADDRESS = 0x400000n;
const HEADERS_BYTES = 64 + 56;

/** A static ELF executable (elf(5)) that waits until it is killed. */
export function pauseProgram(architecture: NodeJS.Architecture): Buffer {
  const { elf, code } = machineOf(architecture);
  const size = BigInt(HEADERS_BYTES + code.length);
  const file = Buffer.alloc(HEADERS_BYTES);
  // e_ident: 64 bit, little endian, version 1
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  // e_type ET_EXEC, e_machine, e_version, e_entry, e_phoff
  file.writeUInt16LE(2, 16);
  file.writeUInt16LE(elf, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(LOAD_ADDRESS + BigInt(HEADERS_BYTES), 24);
  file.writeBigUInt64LE(64n, 32);
  // e_ehsize, e_phentsize, e_phnum
  file.writeUInt16LE(64, 52);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(1, 56);
  // p_type PT_LOAD, p_flags read + execute, p_offset 0, p_vaddr, p_paddr, p_filesz, p_memsz, p_align
  file.writeUInt32LE(1, 64);
  file.writeUInt32LE(5, 68);
  file.writeBigUInt64LE(LOAD_ADDRESS, 80);
  file.writeBigUInt64LE(LOAD_ADDRESS, 88);
  file.writeBigUInt64LE(size, 96);
  file.writeBigUInt64LE(size, 104);
  file.writeBigUInt64LE(0x1000n, 112);
  return Buffer.concat([file, Buffer.from(code)]);
}

type Entry = { readonly name: string; readonly content: Buffer; readonly mode: number };

const BLOCK_BYTES = 512;

/** POSIX ustar, as tar(1) reads it. */
export function tarOf(entries: readonly Entry[]): Buffer {
  const blocks = entries.flatMap(({ name, content, mode }) => {
    const header = Buffer.alloc(BLOCK_BYTES);
    header.write(name, 0, 100, "ascii");
    header.write(`${mode.toString(8).padStart(7, "0")}\0`, 100);
    header.write("0000000\0", 108);
    header.write("0000000\0", 116);
    header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
    header.write("00000000000\0", 136);
    header.write("        0", 148);
    header.write("ustar\u000000", 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    const padding = Buffer.alloc((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES);
    return [header, content, padding];
  });
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK_BYTES)]);
}

const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));

/** The archive that `ctr images import` and `podman load` take (OCI image layout 1.0). */
export function pauseImage(architecture: NodeJS.Architecture): Buffer {
  const { architecture: goArchitecture } = machineOf(architecture);
  const blobs: Entry[] = [];
  const add = (mediaType: string, content: Buffer): object => {
    const digest = createHash("sha256").update(content).digest("hex");
    blobs.push({ name: `blobs/sha256/${digest}`, content, mode: 0o644 });
    return { mediaType, digest: `sha256:${digest}`, size: content.length };
  };
  const layer = tarOf([{ name: "pause", content: pauseProgram(architecture), mode: 0o755 }]);
  const platform = { architecture: goArchitecture, os: "linux" };
  const config = add(
    "application/vnd.oci.image.config.v1+json",
    json({
      ...platform,
      config: { Entrypoint: ["/pause"] },
      rootfs: { type: "layers", diff_ids: [`sha256:${createHash("sha256").update(layer).digest("hex")}`] },
    }),
  );
  const layers = [add("application/vnd.oci.image.layer.v1.tar", layer)];
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = add(mediaType, json({ schemaVersion: 2, mediaType, config, layers }));
  const annotations = {
    "io.containerd.image.name": PAUSE_IMAGE,
    "org.opencontainers.image.ref.name": PAUSE_IMAGE,
  };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, platform, annotations }] };
  return tarOf([
    { name: "oci-layout", content: json({ imageLayoutVersion: "1.0.0" }), mode: 0o644 },
    { name: "index.json", content: json(index), mode: 0o644 },
    ...blobs,
  ]);
}
