/**
 * The two signatures of the API, computed from what came over the wire: ACS3-HMAC-SHA256, and the older one with
 * HMAC-SHA1 over the parameters.
 *
 * @module
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

export const ACS3_ALGORITHM = "ACS3-HMAC-SHA256";

/** What the signature of an ACS3 request covers. */
export type Acs3Parts = {
  readonly method: string;
  /** Of the query alone, decoded. */
  readonly query: Readonly<Record<string, string>>;
  /** The names as `SignedHeaders` lists them. */
  readonly signedHeaders: readonly string[];
  /** Value of a header, empty where it is absent. */
  readonly headerOf: (name: string) => string;
  /** Value of `x-acs-content-sha256`. */
  readonly bodyHash: string;
};

/** Hexadecimal, lower case. The path is `/`. */
export function acs3Signature(parts: Acs3Parts, secret: string): string {
  const headers = parts.signedHeaders.map((name) => `${name}:${parts.headerOf(name).trim()}\n`).join("");
  const canonical = [
    parts.method,
    "/",
    canonicalQuery(parts.query),
    headers,
    parts.signedHeaders.join(";"),
    parts.bodyHash,
  ].join("\n");
  const text = `${ACS3_ALGORITHM}\n${sha256Hex(canonical)}`;
  return createHmac("sha256", secret).update(text).digest("hex");
}

/** Base64. `parameters` are those of query and form body together; `Signature` is left out. */
export function legacySignature(
  method: string,
  parameters: Readonly<Record<string, string>>,
  secret: string,
): string {
  const { Signature: _, ...signed } = parameters;
  const text = [method, "/", canonicalQuery(signed)].map(percentEncode).join("&");
  return createHmac("sha1", `${secret}&`).update(text).digest("base64");
}

export function sha256Hex(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** Compares without telling by the time it takes how much was right. */
export function isSameText(a: string, b: string): boolean {
  const [first, second] = [Buffer.from(a), Buffer.from(b)];
  return first.length === second.length && timingSafeEqual(first, second);
}

/** RFC 3986: only letters, digits and `-_.~` stay. */
export function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${(char.codePointAt(0) ?? 0).toString(16).toUpperCase()}`,
  );
}

/** Sorted by name in the order of code units, as both signatures want it. */
function canonicalQuery(parameters: Readonly<Record<string, string>>): string {
  return Object.entries(parameters)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`)
    .join("&");
}
