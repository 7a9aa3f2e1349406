/**
 * Where an API of the cloud is reached.
 *
 * @module
 */

const ENDPOINT = /^(?:(https?):\/\/)?([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::(\d{1,5}))?\/?$/;

/**
 * `ecs-vpc.cn-hangzhou.aliyuncs.com`, `https://host:443`, `http://127.0.0.1:8080` to a URL without a path. Without a
 * protocol it is https.
 */
export function parseEndpoint(text: string): string | undefined {
  const [, protocol = "https", name, port] = ENDPOINT.exec(text) ?? [];
  if (name === undefined || (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)))
    return undefined;
  return `${protocol}://${name}${port === undefined ? "" : `:${port}`}`;
}
