/**
 * What is to happen later: a queue ordered by due time, and by insertion for equal times.
 *
 * @module
 */

type Entry = { readonly dueMs: number; readonly order: number; readonly run: () => void };

/** Things to run at a time of the model's clock. */
export type Agenda = {
  /** Runs `run` once when the clock reaches `dueMs`. */
  at(dueMs: number, run: () => void): void;
  /** The time of the earliest entry. */
  nextDueMs(): number | undefined;
  /** Takes out the earliest entry that is due at `nowMs` or before. */
  takeDue(nowMs: number): Entry | undefined;
};

/** An empty agenda (a binary heap). */
export function createAgenda(): Agenda {
  const heap: Entry[] = [];
  let inserted = 0;
  return {
    at: (dueMs, run) => {
      heap.push({ dueMs, order: inserted++, run });
      siftUp(heap, heap.length - 1);
    },
    nextDueMs: () => heap[0]?.dueMs,
    takeDue: (nowMs) => {
      const first = heap[0];
      if (first === undefined || first.dueMs > nowMs) return undefined;
      const last = heap.pop();
      if (heap.length > 0 && last !== undefined) {
        heap[0] = last;
        siftDown(heap);
      }
      return first;
    },
  };
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}

function siftUp(heap: Entry[], from: number): void {
  let child = from;
  while (child > 0) {
    const parent = (child - 1) >> 1;
    if (!swapIfBefore(heap, child, parent)) return;
    child = parent;
  }
}

function siftDown(heap: Entry[]): void {
  let parent = 0;
  for (;;) {
    const left = heap[2 * parent + 1];
    const right = heap[2 * parent + 2];
    if (left === undefined) return;
    const child = right !== undefined && isBefore(right, left) ? 2 * parent + 2 : 2 * parent + 1;
    if (!swapIfBefore(heap, child, parent)) return;
    parent = child;
  }
}

function swapIfBefore(heap: Entry[], a: number, b: number): boolean {
  const [first, second] = [heap[a], heap[b]];
  if (first === undefined || second === undefined || !isBefore(first, second)) return false;
  heap[a] = second;
  heap[b] = first;
  return true;
}
