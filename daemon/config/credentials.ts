/**
 * What the agent signs its calls with: the mounted Secret, `eni_conf`, the environment or the instance's RAM role, the
 * first that is there. Looked up anew for each call, so that a rotated Secret is used at once.
 *
 * @module
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type EniConf } from "../core/config/eni-conf.ts";
import { Secret } from "../core/config/secret.ts";

export type CredentialSource =
  | "Secret alibaba-addon-secret"
  | "access_key of eni_conf"
  | "environment"
  | "RAM role of the instance";

export type Credentials = {
  readonly accessKeyId: string;
  readonly accessKeySecret: Secret;
  /** Only with temporary credentials. */
  readonly securityToken?: Secret;
  readonly source: CredentialSource;
};

/** The same with nothing hidden: what a signer needs. */
export type RevealedCredentials = {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  readonly securityToken?: string;
  readonly source?: string;
};

export type StaticSources = {
  readonly secretDir: string;
  readonly inline?: EniConf["inlineCredentials"];
  readonly env: Readonly<Record<string, string | undefined>>;
};

export type CredentialOptions = StaticSources & {
  /** Asked for each call where nothing else is there; keeps what it fetched as long as it is good. */
  readonly fetchRoleCredentials: () => Promise<Result<RevealedCredentials>>;
};

export type CredentialProvider = {
  /** For one call. Never throws; the fault names the file or variable that is wrong. */
  readonly current: () => Promise<Result<Credentials>>;
};

const ID_FILE = "access-key-id";
const SECRET_FILE = "access-key-secret";
const ID_VARIABLE = "ALIBABA_CLOUD_ACCESS_KEY_ID";
const SECRET_VARIABLE = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
const TOKEN_VARIABLE = "ALIBABA_CLOUD_SECURITY_TOKEN";

/** Reads of a Secret that changes while it is read. */
const READS_MAX = 3;

/** Nothing is read before `current` is called. */
export function openCredentials(options: CredentialOptions): CredentialProvider {
  return {
    current: async () => {
      const found = await staticCredentials(options);
      if (!found.ok) return found;
      if (found.value !== undefined) return ok(found.value);
      const role = await options.fetchRoleCredentials();
      if (role.ok) return ok(ofRole(role.value));
      // A service that does not answer says nothing about the role.
      const isDown = role.fault.kind === "metadata" && role.fault.isAbsent !== true;
      return failed(isDown ? role.fault : noneAtAll(options.secretDir, role.fault));
    },
  };
}

/** For the one who signs, never for a log. */
export function reveal(credentials: Credentials): RevealedCredentials {
  const { accessKeyId, accessKeySecret, securityToken, source } = credentials;
  const key = { accessKeyId, accessKeySecret: accessKeySecret.reveal(), source };
  return securityToken === undefined ? key : { ...key, securityToken: securityToken.reveal() };
}

/** The first of Secret, `eni_conf` and environment; `undefined` where none of them gives any. */
export async function staticCredentials(sources: StaticSources): Promise<Result<Credentials | undefined>> {
  const mounted = await readSecret(sources.secretDir);
  if (!mounted.ok || mounted.value !== undefined) return mounted;
  if (sources.inline !== undefined) {
    const { accessKeyId, accessKeySecret } = sources.inline;
    return ok({ accessKeyId: accessKeyId.reveal(), accessKeySecret, source: "access_key of eni_conf" });
  }
  return fromEnvironment(sources.env);
}

async function readSecret(dir: string): Promise<Result<Credentials | undefined>> {
  const paths = [join(dir, ID_FILE), join(dir, SECRET_FILE)] as const;
  // The two files are replaced together, by a symbolic link: a pair is only good where neither changed meanwhile.
  for (let read = 0; read < READS_MAX; read += 1) {
    const before = await stampsOf(paths);
    const [id, secret] = await Promise.all(paths.map(readTrimmed));
    if (id === undefined || secret === undefined) throw new Error("two paths give two readings");
    if (before !== (await stampsOf(paths))) continue;
    if (!id.ok) return id;
    if (!secret.ok) return secret;
    if (id.value === "" && secret.value === "") return ok(undefined);
    if (id.value === "") return half(paths[0], paths[1]);
    if (secret.value === "") return half(paths[1], paths[0]);
    const accessKeySecret = new Secret(secret.value);
    return ok({ accessKeyId: id.value, accessKeySecret, source: "Secret alibaba-addon-secret" });
  }
  return failed(fault(dir, "CredentialsUnreadable", "the files change while they are read", "wait a moment"));
}

async function stampsOf(paths: readonly string[]): Promise<string> {
  const stamps = paths.map(async (path) => {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
      return [dev, ino, size, mtimeNs, ctimeNs].join(" ");
    } catch {
      return "none";
    }
  });
  return (await Promise.all(stamps)).join("\n");
}

/** Empty where there is no such file. */
async function readTrimmed(path: string): Promise<Result<string>> {
  try {
    return ok((await readFile(path, "utf8")).trim());
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    if (code === "ENOENT" || code === "ENOTDIR") return ok("");
    const remedy = "let the agent read the mounted Secret alibaba-addon-secret";
    return failed(fault(path, "CredentialsUnreadable", `the file cannot be read: ${code}`, remedy));
  }
}

function half(missing: string, there: string): Result<never> {
  const message = `the file is missing or empty, while ${there} is there`;
  const remedy = `give both ${ID_FILE} and ${SECRET_FILE} in the Secret alibaba-addon-secret, or neither`;
  return failed(fault(missing, "CredentialsIncomplete", message, remedy));
}

function fromEnvironment(env: StaticSources["env"]): Result<Credentials | undefined> {
  const [id, secret, token] = [ID_VARIABLE, SECRET_VARIABLE, TOKEN_VARIABLE].map(
    (name) => env[name]?.trim() ?? "",
  );
  if (id === undefined || secret === undefined || token === undefined)
    throw new Error("three names give three values");
  if (id === "" && secret === "") return ok(undefined);
  if (id === "" || secret === "") {
    const [missing, there] = id === "" ? [ID_VARIABLE, SECRET_VARIABLE] : [SECRET_VARIABLE, ID_VARIABLE];
    const message = `the environment variable is missing or empty, while ${there} is set`;
    return failed(fault(missing, "CredentialsIncomplete", message, `set ${missing} too, or neither`));
  }
  const accessKeySecret = new Secret(secret);
  const found: Credentials = { accessKeyId: id, accessKeySecret, source: "environment" };
  return ok(token === "" ? found : { ...found, securityToken: new Secret(token) });
}

function ofRole({ accessKeyId, accessKeySecret, securityToken }: RevealedCredentials): Credentials {
  const found: Credentials = {
    accessKeyId,
    accessKeySecret: new Secret(accessKeySecret),
    source: "RAM role of the instance",
  };
  return securityToken === undefined ? found : { ...found, securityToken: new Secret(securityToken) };
}

function noneAtAll(secretDir: string, role: Fault): Fault {
  const why = role.kind === "metadata" ? role.reason : role.kind;
  return fault(
    secretDir,
    "CredentialsMissing",
    `no Secret there, no access_key in eni_conf, none in the environment, and no RAM role (${why})`,
    "create the Secret alibaba-addon-secret with access-key-id and access-key-secret, or give the instance a RAM role",
  );
}

/** No request was made, so there is no request id. */
function fault(target: string, code: string, message: string, remedy: string): Fault {
  return { kind: "cloud", action: "credentials", target, code, message, requestId: "none", remedy };
}
