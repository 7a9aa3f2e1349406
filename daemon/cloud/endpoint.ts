/**
 * Where an API is: `http://HOST[:PORT]`, `https://HOST[:PORT]` or `HOST[:PORT]` (HTTPS).
 *
 * @module
 */

/** `host` carries the port where one was given; that is how the SDK wants it. */
export type Endpoint = { readonly protocol: "HTTP" | "HTTPS"; readonly host: string };

const ENDPOINT = /^(?:(https?):\/\/)?((?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?)\/?$/i;

/** `undefined` where the text is no endpoint (a path, a user, another scheme). */
export function parseEndpoint(text: string): Endpoint | undefined {
  const [, scheme = "https", host] = ENDPOINT.exec(text) ?? [];
  if (host === undefined) return undefined;
  return { protocol: scheme.toLowerCase() === "http" ? "HTTP" : "HTTPS", host };
}

/**
 * The endpoints inside the VPC. They are always named: left to itself the SDK takes the public ones for many regions,
 * which a node without Internet access cannot reach.
 */
export function defaultEndpoint(product: "ecs" | "vpc", region: string): string {
  return `${product}-vpc.${region}.aliyuncs.com`;
}
