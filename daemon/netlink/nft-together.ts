/**
 * Texts for nft(8) that are wanted at the same time, by one process: at the agent's start there is one for each ENI, and
 * a process reads all of the node's tables first.
 *
 * @module
 */
import { type Result } from "../../proto/result.ts";

/** Carries out one text, or says why not. */
export type NftRun = (text: string) => Promise<Result<void>>;

/**
 * What comes in one turn of the event loop is one transaction. Where that is refused each text is tried alone, so that
 * nobody hears of another's fault; so the texts have to be such that their order does not matter.
 */
export function openNftTogether(run: NftRun): NftRun {
  let waiting: { readonly text: string; readonly resolve: (outcome: Result<void>) => void }[] = [];
  const flush = async (): Promise<void> => {
    const all = waiting;
    waiting = [];
    const together = await run(all.map(({ text }) => text).join("\n"));
    for (const { text, resolve } of all)
      resolve(together.ok || all.length === 1 ? together : await run(text));
  };
  return (text) =>
    new Promise((resolve) => {
      waiting.push({ text, resolve });
      if (waiting.length === 1) setImmediate(() => void flush());
    });
}
