/**
 * The nonces of signed calls: each may be used once.
 *
 * @module
 */

/** Longer than a signature is accepted, before and after its time. */
const KEPT_MS = 40 * 60_000;
const MOST_ENTRIES = 100_000;

export type NonceCache = {
  /** False where the key has used the nonce before. */
  use(accessKeyId: string, nonce: string, wallMs: number): boolean;
};

/** Nonces of the last 40 minutes; at most 100,000. */
export function createNonceCache(): NonceCache {
  const seen = new Map<string, number>();
  return {
    use: (accessKeyId, nonce, wallMs) => {
      for (const [key, atMs] of seen) {
        if (wallMs - atMs <= KEPT_MS && seen.size <= MOST_ENTRIES) break;
        seen.delete(key);
      }
      const key = `${accessKeyId} ${nonce}`;
      if (seen.has(key)) return false;
      seen.set(key, wallMs);
      return true;
    },
  };
}
