/**
 * What is appended to a file, while it is.
 *
 * @module
 */
import { type FileHandle, open } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";

const EVERY_MS = 100;
const PIECE_BYTES = 65_536;

/** Gives `onText` what comes, at the latest so many milliseconds later, and to `stop` the rest. A file that is not there yet is waited for. */
export function followFile(
  path: string,
  onText: (text: string) => void,
): { readonly stop: () => Promise<void> } {
  const decoder = new StringDecoder("utf8");
  const piece = new Uint8Array(PIECE_BYTES);
  let file: FileHandle | undefined;
  const read = async (): Promise<void> => {
    file ??= await open(path).catch(() => undefined);
    for (;;) {
      const bytes = (await file?.read(piece, 0, PIECE_BYTES))?.bytesRead ?? 0;
      if (bytes === 0) return;
      onText(decoder.write(piece.subarray(0, bytes)));
    }
  };
  let reading = Promise.resolve();
  const timer = setInterval(() => {
    reading = reading.then(read);
  }, EVERY_MS);
  return {
    async stop() {
      clearInterval(timer);
      await reading.then(read);
      await file?.close();
    },
  };
}
