import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { failed, ok, type Result } from "../../proto/result.ts";
import { Secret } from "../core/config/secret.ts";
import {
  type CredentialOptions,
  openCredentials,
  reveal,
  type RevealedCredentials,
  staticCredentials,
} from "./credentials.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "terway-credentials-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const INLINE = { accessKeyId: new Secret("inline-id"), accessKeySecret: new Secret("inline-secret") };
const ENV = { ALIBABA_CLOUD_ACCESS_KEY_ID: "env-id", ALIBABA_CLOUD_ACCESS_KEY_SECRET: "env-secret" };
const ROLE = { accessKeyId: "STS.1", accessKeySecret: "role-secret", securityToken: "role-token" };

function writeSecret(id: string, secret: string): void {
  writeFileSync(join(dir, "access-key-id"), id);
  writeFileSync(join(dir, "access-key-secret"), secret);
}

/** Of a provider with these sources: what it gives, with nothing hidden. */
async function current(sources: Partial<CredentialOptions>): Promise<Result<RevealedCredentials>> {
  const provider = openCredentials({
    secretDir: dir,
    env: {},
    fetchRoleCredentials: async () => ok(ROLE),
    ...sources,
  });
  const found = await provider.current();
  return found.ok ? ok(reveal(found.value)) : found;
}

describe("openCredentials()", () => {
  it("takes the Secret before eni_conf before the environment before the RAM role", async () => {
    const all = { inline: INLINE, env: ENV };
    writeSecret(" secret-id\n", "secret-secret\r\n");
    expect(await current(all)).toEqual(
      ok({
        accessKeyId: "secret-id",
        accessKeySecret: "secret-secret",
        source: "Secret alibaba-addon-secret",
      }),
    );
    writeSecret("", "\n");
    expect(await current(all)).toEqual(
      ok({ accessKeyId: "inline-id", accessKeySecret: "inline-secret", source: "access_key of eni_conf" }),
    );
    expect(await current({ env: { ...ENV, ALIBABA_CLOUD_SECURITY_TOKEN: "env-token" } })).toEqual(
      ok({
        accessKeyId: "env-id",
        accessKeySecret: "env-secret",
        securityToken: "env-token",
        source: "environment",
      }),
    );
    expect(await current({ env: ENV })).toEqual(
      ok({ accessKeyId: "env-id", accessKeySecret: "env-secret", source: "environment" }),
    );
    expect(await current({})).toEqual(ok({ ...ROLE, source: "RAM role of the instance" }));
  });

  it("does not ask for the role where something else is there", async () => {
    let asked = 0;
    const fetchRoleCredentials = async () => {
      asked += 1;
      return ok(ROLE);
    };
    await current({ env: ENV, fetchRoleCredentials });
    expect(asked).toBe(0);
    await current({ fetchRoleCredentials });
    expect(asked).toBe(1);
  });

  it("uses a rotated Secret for the next call, mounted as Kubernetes does", async () => {
    const put = (version: string): void => {
      mkdirSync(join(dir, version));
      writeFileSync(join(dir, version, "access-key-id"), `id-${version}`);
      writeFileSync(join(dir, version, "access-key-secret"), `secret-${version}`);
      symlinkSync(version, join(dir, "..data_tmp"));
      renameSync(join(dir, "..data_tmp"), join(dir, "..data"));
    };
    const provider = openCredentials({ secretDir: dir, env: {}, fetchRoleCredentials: async () => ok(ROLE) });
    const keys = async () => {
      const found = await provider.current();
      return found.ok ? [found.value.accessKeyId, found.value.accessKeySecret.reveal()] : found.fault;
    };
    put("1");
    symlinkSync("..data/access-key-id", join(dir, "access-key-id"));
    symlinkSync("..data/access-key-secret", join(dir, "access-key-secret"));
    expect(await keys()).toEqual(["id-1", "secret-1"]);
    put("2");
    expect(await keys()).toEqual(["id-2", "secret-2"]);
  });

  it("reads again where the Secret was rotated while it was read", async () => {
    const [idFile, secretFile] = [join(dir, "access-key-id"), join(dir, "access-key-secret")];
    const old = join(dir, "old-id");
    // A pipe holds the reader until somebody writes: by then both files have been replaced.
    execFileSync("mkfifo", [old]);
    symlinkSync(old, idFile);
    writeFileSync(secretFile, "secret-1");
    const pending = current({});
    const pipe = await open(old, "w");
    writeFileSync(join(dir, "new-id"), "id-2");
    writeFileSync(join(dir, "new-secret"), "secret-2");
    renameSync(join(dir, "new-id"), idFile);
    renameSync(join(dir, "new-secret"), secretFile);
    await pipe.write("id-1");
    await pipe.close();
    expect(await pending).toEqual(
      ok({ accessKeyId: "id-2", accessKeySecret: "secret-2", source: "Secret alibaba-addon-secret" }),
    );
  });

  it("names the file that is missing from half a Secret", async () => {
    writeFileSync(join(dir, "access-key-id"), "id");
    const remedy =
      "give both access-key-id and access-key-secret in the Secret alibaba-addon-secret, or neither";
    const fault = {
      kind: "cloud",
      action: "credentials",
      code: "CredentialsIncomplete",
      requestId: "none",
      remedy,
    };
    expect(await current({ env: ENV })).toEqual(
      failed({
        ...fault,
        target: join(dir, "access-key-secret"),
        message: `the file is missing or empty, while ${join(dir, "access-key-id")} is there`,
      }),
    );
    writeSecret("\n", "secret");
    expect(await current({ env: ENV })).toEqual(
      failed({
        ...fault,
        target: join(dir, "access-key-id"),
        message: `the file is missing or empty, while ${join(dir, "access-key-secret")} is there`,
      }),
    );
  });

  it("names a file that cannot be read", async () => {
    mkdirSync(join(dir, "access-key-id"));
    expect(await current({})).toEqual(
      failed({
        kind: "cloud",
        action: "credentials",
        target: join(dir, "access-key-id"),
        code: "CredentialsUnreadable",
        message: "the file cannot be read: EISDIR",
        requestId: "none",
        remedy: "let the agent read the mounted Secret alibaba-addon-secret",
      }),
    );
  });

  it("names the variable that is missing from half an environment", async () => {
    expect(await current({ env: { ALIBABA_CLOUD_ACCESS_KEY_SECRET: "x" } })).toEqual(
      failed({
        kind: "cloud",
        action: "credentials",
        target: "ALIBABA_CLOUD_ACCESS_KEY_ID",
        code: "CredentialsIncomplete",
        message: "the environment variable is missing or empty, while ALIBABA_CLOUD_ACCESS_KEY_SECRET is set",
        requestId: "none",
        remedy: "set ALIBABA_CLOUD_ACCESS_KEY_ID too, or neither",
      }),
    );
  });

  it("says that there are none, and why the role gave none", async () => {
    const fault = {
      kind: "metadata",
      path: "ram/security-credentials/",
      reason: "404",
      isAbsent: true,
    } as const;
    expect(await current({ fetchRoleCredentials: async () => failed(fault) })).toEqual(
      failed({
        kind: "cloud",
        action: "credentials",
        target: dir,
        code: "CredentialsMissing",
        message: "no Secret there, no access_key in eni_conf, none in the environment, and no RAM role (404)",
        requestId: "none",
        remedy:
          "create the Secret alibaba-addon-secret with access-key-id and access-key-secret, or give the instance a RAM role",
      }),
    );
  });

  it("does not take a metadata service that is down for an instance without a role", async () => {
    const fault = { kind: "metadata", path: "ram/security-credentials/", reason: "HTTP 503" } as const;
    expect(await current({ fetchRoleCredentials: async () => failed(fault) })).toEqual(failed(fault));
  });
});

describe("staticCredentials()", () => {
  it("gives nothing where neither Secret nor eni_conf nor environment has any", async () => {
    expect(await staticCredentials({ secretDir: join(dir, "none"), env: {} })).toEqual(ok(undefined));
  });

  it("gives what does not show when it is printed", async () => {
    writeSecret("id", "topsecret");
    const found = await staticCredentials({ secretDir: dir, env: {} });
    expect(inspect(found, { depth: 5 }) + JSON.stringify(found)).not.toContain("topsecret");
  });
});
