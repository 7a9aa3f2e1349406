/**
 * The simulated clouds that this process has brought up and not taken down. A module of its own, because every file of tests
 * loads it.
 *
 * @module
 */

export type Standing = {
  readonly name: string;
  /** One sentence for each promise of the cloud that is broken now, and not on purpose. */
  readonly brokenInvariants: () => Promise<string[]>;
};

export const standing = new Set<Standing>();

/** What is broken now in any of them. */
export async function brokenNow(): Promise<string[]> {
  const broken = await Promise.all(
    [...standing].map(async ({ name, brokenInvariants }) =>
      (await brokenInvariants()).map((sentence) => `${name}: ${sentence}`),
    ),
  );
  return broken.flat();
}
