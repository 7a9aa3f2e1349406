/**
 * Who calls, and does the signature prove it? Both signatures of the API are understood; what cannot be proved is
 * refused with the code of the real API.
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Action, isAction, productOf, productOfVersion } from "../model/action-names.ts";
import { type ApiError, apiError } from "../model/api-error.ts";
import { type Model } from "../model/model.ts";
import { type KnownCredential } from "../model/role-credentials.ts";
import { type ApiRequest } from "../model/submit.ts";
import { type Incoming, parseForm } from "./incoming.ts";
import { type NonceCache } from "./nonce-cache.ts";
import { ACS3_ALGORITHM, acs3Signature, isSameText, legacySignature, sha256Hex } from "./signature.ts";

const MOST_SKEW_MS = 15 * 60_000;

/** What the call says of itself, whatever its signature. */
export type Claim = {
  /** Empty where it is absent. */
  readonly action: string;
  readonly version: string;
  readonly accessKeyId: string;
  readonly securityToken: string;
  readonly nonce: string;
  readonly timestamp: string;
  /** Of query and form body. */
  readonly parameters: Readonly<Record<string, string>>;
  /** Of what was sent before the signature can be looked at. */
  readonly incomplete: ApiError | undefined;
  /** True where the signature was made with this secret. */
  readonly isSignedWith: (secret: string) => boolean;
};

/** Reads who calls and what is wanted. */
export function readClaim(incoming: Incoming): Claim {
  const isForm = incoming.headerOf("content-type").startsWith("application/x-www-form-urlencoded");
  const form = isForm ? parseForm(incoming.body.toString("utf8")) : {};
  const parameters = { ...incoming.query, ...form };
  return incoming.headerOf("authorization").startsWith("ACS3-")
    ? acs3Claim(incoming, parameters)
    : legacyClaim(incoming, parameters);
}

/** Proves a claim and finds its action. The order of the checks is that of the real API as far as it is known. */
export function verifyClaim(
  claim: Claim,
  model: Model,
  nonces: NonceCache,
  wallMs: number,
): Result<ApiRequest, ApiError> {
  if (claim.incomplete !== undefined) return failed(claim.incomplete);
  const credential = model.credential(claim.accessKeyId);
  if (credential === undefined) return failed(apiError("InvalidAccessKeyId.NotFound", claim.accessKeyId));
  const clockMs = model.signatureClockMs(wallMs);
  const refusal = refuseTime(claim.timestamp, clockMs) ?? refuseToken(claim, credential, clockMs);
  if (refusal !== undefined) return failed(refusal);
  if (!claim.isSignedWith(credential.accessKeySecret)) return failed(apiError("SignatureDoesNotMatch"));
  if (!nonces.use(claim.accessKeyId, claim.nonce, wallMs)) return failed(apiError("SignatureNonceUsed"));
  const action = knownAction(claim);
  if (action === undefined) {
    return failed(apiError("InvalidAction.NotFound", `${claim.action} of version ${claim.version}`));
  }
  const { accessKeyId, parameters } = claim;
  return ok({ action, parameters, accessKeyId, policy: credential.policy });
}

function knownAction(claim: Claim): Action | undefined {
  const { action, version } = claim;
  return isAction(action) && productOf(action) === productOfVersion(version) ? action : undefined;
}

function refuseTime(timestamp: string, clockMs: number): ApiError | undefined {
  const atMs = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(timestamp) ? Date.parse(timestamp) : Number.NaN;
  if (Number.isNaN(atMs)) return apiError("InvalidTimeStamp.Format", timestamp);
  if (Math.abs(clockMs - atMs) <= MOST_SKEW_MS) return undefined;
  const apart = Math.round(Math.abs(clockMs - atMs) / 1000);
  return apiError("InvalidTimeStamp.Expired", `${timestamp} is ${apart} s from the server's time`);
}

function refuseToken(claim: Claim, credential: KnownCredential, clockMs: number): ApiError | undefined {
  if (credential.expiresMs !== undefined && credential.expiresMs <= clockMs) {
    return apiError("InvalidSecurityToken.Expired");
  }
  if (claim.securityToken === (credential.securityToken ?? "")) return undefined;
  const missing = claim.securityToken === "";
  return apiError(missing ? "MissingSecurityToken" : "InvalidSecurityToken.MismatchWithAccessKey");
}

function acs3Claim(incoming: Incoming, parameters: Claim["parameters"]): Claim {
  const { headerOf } = incoming;
  const match =
    /^ACS3-HMAC-SHA256 Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})$/.exec(
      headerOf("authorization"),
    );
  const [, accessKeyId = "", names = "", signature = ""] = match ?? [];
  const signedHeaders = names.split(";");
  const bodyHash = headerOf("x-acs-content-sha256");
  const incomplete =
    match === null
      ? apiError("IncompleteSignature", `Authorization is not of the form of ${ACS3_ALGORITHM}`)
      : refuseHeaders(incoming, signedHeaders);
  return {
    action: headerOf("x-acs-action"),
    version: headerOf("x-acs-version"),
    accessKeyId,
    securityToken: headerOf("x-acs-security-token"),
    nonce: headerOf("x-acs-signature-nonce"),
    timestamp: headerOf("x-acs-date"),
    parameters,
    incomplete,
    isSignedWith: (secret) => {
      const { method, query } = incoming;
      const expected = acs3Signature({ method, query, signedHeaders, headerOf, bodyHash }, secret);
      return bodyHash === sha256Hex(incoming.body) && isSameText(expected, signature);
    },
  };
}

/** Everything that steers the call must be there and be signed. */
function refuseHeaders(incoming: Incoming, signed: readonly string[]): ApiError | undefined {
  const needed = [
    "x-acs-action",
    "x-acs-version",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-content-sha256",
  ];
  const missing = needed.find((name) => incoming.headerOf(name) === "");
  if (missing !== undefined) return apiError("MissingParameter", missing);
  const mustBeSigned = ["host", ...incoming.headerNames.filter((name) => name.startsWith("x-acs-"))];
  const unsigned = mustBeSigned.find((name) => !signed.includes(name));
  return unsigned === undefined ? undefined : apiError("IncompleteSignature", `${unsigned} is not signed`);
}

/** Headers do not count here: old clients send x-acs-* without signing them. */
function legacyClaim(incoming: Incoming, parameters: Claim["parameters"]): Claim {
  const valueOf = (name: string): string => parameters[name] ?? "";
  const needed = [
    "Action",
    "Version",
    "AccessKeyId",
    "Signature",
    "SignatureMethod",
    "SignatureVersion",
    "SignatureNonce",
    "Timestamp",
  ];
  const missing = needed.find((name) => valueOf(name) === "");
  return {
    action: valueOf("Action"),
    version: valueOf("Version"),
    accessKeyId: valueOf("AccessKeyId"),
    securityToken: valueOf("SecurityToken"),
    nonce: valueOf("SignatureNonce"),
    timestamp: valueOf("Timestamp"),
    parameters,
    incomplete: missing === undefined ? refuseMethod(parameters) : apiError("MissingParameter", missing),
    isSignedWith: (secret) =>
      isSameText(legacySignature(incoming.method, parameters, secret), valueOf("Signature")),
  };
}

function refuseMethod(parameters: Claim["parameters"]): ApiError | undefined {
  const { SignatureMethod, SignatureVersion, Format } = parameters;
  if (SignatureMethod !== "HMAC-SHA1" || SignatureVersion !== "1.0") {
    return apiError("InvalidParameter", "SignatureMethod is HMAC-SHA1, SignatureVersion is 1.0");
  }
  return (Format ?? "JSON").toUpperCase() === "JSON"
    ? undefined
    : apiError("InvalidParameter", "Format is JSON");
}
