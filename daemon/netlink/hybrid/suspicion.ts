/**
 * What was heard and not yet compared with what is known. Most of it is what we did ourselves; what is not is a reason to
 * look. Of each object only the newest word counts, so it cannot grow beyond the number of objects by much; where it would,
 * that is a reason to look too.
 *
 * @module
 */
import { type HybridThing, isSameThing } from "../../core/hybrid/things.ts";
import { IFF } from "../codec/link-base.ts";
import { type Link } from "../codec/link.ts";
import { type NetworkEvent } from "./event.ts";
import { type Model } from "./pass.ts";
import { GROUP } from "../../core/datapath/layout.ts";

/** Words that are kept. */
const WORDS_MAX = 50_000;

export type Suspicion = {
  add(event: NetworkEvent): void;
  /** Whether something heard is other than known. Forgets it all. */
  isWrong(model: Model): boolean;
  /** What was heard until now is covered by a look that begins now. */
  clear(): void;
};

export function openSuspicion(): Suspicion {
  const things = new Map<string, HybridThing | undefined>();
  const links = new Map<number, Link | undefined>();
  let isTooMuch = false;
  let isTableTouched = false;

  function clear(): void {
    things.clear();
    links.clear();
    isTooMuch = false;
    isTableTouched = false;
  }

  return {
    add(event) {
      if (event.kind === "link") links.set(event.index, event.link);
      else if (event.kind === "table") isTableTouched = true;
      else things.set(event.key, event.thing);
      isTooMuch ||= things.size > WORDS_MAX;
    },
    isWrong(model) {
      const isWrong =
        isTooMuch ||
        // Ours too, after a table was loaded: that costs one look more.
        isTableTouched ||
        [...things].some(([key, thing]) => isOther(model.actual.get(key), thing)) ||
        [...links].some(([index, link]) => isOtherLink(model, index, link));
      clear();
      return isWrong;
    },
    clear,
  };
}

function isOther(known: HybridThing | undefined, heard: HybridThing | undefined): boolean {
  if (known === undefined || heard === undefined) return known !== heard;
  return !isSameThing(known, heard);
}

function isOtherLink({ desired, devices }: Model, index: number, link: Link | undefined): boolean {
  if (link === undefined) return true;
  if (index === devices.uplink.ifIndex) return wordOf(link) !== wordOf(devices.uplinkLink);
  const { overlay } = desired;
  if (overlay === undefined) return true;
  const { address, mtu, group } = link;
  const isUp = (link.flags & IFF.UP) !== 0;
  return !isUp || address !== overlay.mac || mtu !== overlay.mtu || group !== GROUP.overlay;
}

/** What of the uplink matters: whether it is up decides about the routes by it. */
function wordOf({ flags, mtu, address }: Link): string {
  return `${flags & IFF.UP} ${mtu} ${address}`;
}
