/**
 * Keeps the node's own firewall open for packets of pods: looks every few seconds, because Docker and firewalld write their
 * rules anew when they start.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type ForwardAccept, type ForwardOutcome } from "../firewall/forward.ts";
import { type Log } from "./log.ts";

/** A look is one to three processes of 10 ms. */
const LOOK_MS = 5000;

/** Resolves after the first look; goes on until it is disposed of. The rules stay then: pods keep running. */
export async function keepForwarding(accept: ForwardAccept, log: Log): Promise<AsyncDisposable> {
  const say = openSay(log);
  const stop = new AbortController();
  say(await accept.ensure());
  const watching = (async () => {
    while (!stop.signal.aborted) {
      await sleep(LOOK_MS, undefined, { signal: stop.signal, ref: false }).catch(() => undefined);
      if (!stop.signal.aborted) say(await accept.ensure());
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await watching;
    },
  };
}

/** Takes our rules away: the way to uninstall. */
export async function stopForwarding(accept: ForwardAccept, log: Log): Promise<void> {
  openSay(log)(await accept.remove());
}

/** The same refusal is said once, until it is another one or none. */
function openSay(log: Log): (outcome: ForwardOutcome) => void {
  let said = "";
  return ({ changed, refused }) => {
    if (changed.length > 0)
      log.info({ chains: changed }, "the rules that let packets of pods pass were put right");
    const now = refused.join("\n");
    if (now !== said && refused.length > 0)
      log.warn({ reasons: refused }, "the node's firewall may drop packets of pods");
    said = now;
  };
}
