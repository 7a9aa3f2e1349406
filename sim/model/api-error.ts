/**
 * The refusals of the API: code, HTTP status and text. Clients must go by the code; the real cloud uses the same code
 * with different statuses, so the status may be overridden here too.
 *
 * @module
 */

/** A refusal, before it has a request id. */
export type ApiError = {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly accessDeniedDetail?: Readonly<Record<string, string>>;
};

/** Sources: the error tables of the API references of ECS and VPC. */
const ERRORS = {
  MissingParameter: [400, "An input parameter that is mandatory for processing this request is not supplied"],
  InvalidParameter: [400, "The specified parameter is not valid"],
  "InvalidAction.NotFound": [404, "Specified api is not found, please check your url and method"],
  "InvalidRegionId.NotFound": [404, "The specified RegionId does not exist"],
  "InvalidAccessKeyId.NotFound": [404, "Specified access key is not found"],
  "InvalidAccessKeyId.Inactive": [400, "Specified access key is disabled"],
  IncompleteSignature: [400, "The request signature does not conform to Aliyun standards"],
  SignatureDoesNotMatch: [400, "Specified signature does not match our calculation"],
  SignatureNonceUsed: [400, "Specified signature nonce was used already"],
  "InvalidTimeStamp.Format": [400, "Specified time stamp or date value is not well formatted"],
  "InvalidTimeStamp.Expired": [400, "Specified time stamp or date value is expired"],
  MissingSecurityToken: [400, "SecurityToken is mandatory for this action"],
  "InvalidSecurityToken.MismatchWithAccessKey": [400, "Specified SecurityToken mismatch with the AccessKey"],
  "InvalidSecurityToken.Expired": [400, "Specified SecurityToken is expired"],
  "Forbidden.RAM": [
    403,
    "User not authorized to operate on the specified resource, or this API doesn't support RAM",
  ],
  "Throttling.User": [400, "Request was denied due to user flow control"],
  "Operation.Conflict": [403, "The operation may conflict with others"],
  OperationConflict: [403, "Your request conflicts with a previous one that has not been processed"],
  IdempotentParameterMismatch: [
    400,
    "The request uses a client token of a previous request with other parameters",
  ],
  "InvalidVSwitchId.NotFound": [404, "The specified VSwitchId does not exist"],
  "InvalidVSwitchId.IpNotEnough": [403, "The specified VSwitch has not enough IP addresses"],
  "InvalidVSwitchId.IpInvalid": [
    400,
    "The specified IP address is not one of the VSwitch's usable addresses",
  ],
  "QuotaExceeded.PrivateIpAddress": [400, "The quota of private IP addresses of the VSwitch is exceeded"],
  "InvalidSecurityGroupId.NotFound": [404, "The specified SecurityGroupId does not exist"],
  MaxEniCountExceeded: [403, "The maximum number of elastic network interfaces in the region is exceeded"],
  "InvalidEniId.NotFound": [404, "The specified elastic network interface does not exist"],
  "InvalidInstanceId.NotFound": [404, "The specified InstanceId does not exist"],
  "InvalidEcsId.NotFound": [404, "The specified ECS instance does not exist"],
  "InvalidOperation.InvalidEniState": [403, "The operation is not allowed in the current state of the ENI"],
  "InvalidOperation.InvalidEcsState": [
    403,
    "The operation is not allowed in the current state of the instance",
  ],
  "InvalidOperation.InvalidEniType": [403, "The operation is not allowed for this type of ENI"],
  "InvalidOperation.EniServiceManaged": [403, "The ENI is managed by a cloud service"],
  "InvalidOperation.AvailabilityZoneMismatch": [403, "The ENI and the instance are in different zones"],
  "InvalidOperation.DetachPrimaryEniNotAllowed": [403, "The primary ENI of an instance cannot be detached"],
  "InvalidOperation.Ipv4CountExceeded": [
    403,
    "The maximum number of private IP addresses of the ENI is exceeded",
  ],
  "InvalidOperation.Ipv6CountExceeded": [403, "The maximum number of IPv6 addresses of the ENI is exceeded"],
  "InvalidOperation.Ipv6NotSupport": [403, "The instance type does not support IPv6"],
  "InvalidVSwitch.Ipv6NotTurnOn": [403, "IPv6 is not enabled for the VSwitch"],
  "InvalidParameter.EniNotBelongEcs": [400, "The ENI is not attached to the specified instance"],
  EniPerInstanceLimitExceeded: [403, "The maximum number of ENIs of the instance type is exceeded"],
  "InvalidIp.Address": [403, "The specified IPv6 address is invalid"],
  "InvalidIp.IpAssigned": [403, "The specified IP address is assigned already"],
  "InvalidIp.IpRepeated": [400, "The specified IP addresses contain one more than once"],
  "InvalidIp.IpUnassigned": [400, "The specified IP address is not assigned to the ENI"],
  "InvalidIp.PrimaryIp": [400, "The primary IP address of an ENI cannot be unassigned"],
  InternalError: [500, "The request processing has failed due to some unknown error"],
  ServiceUnavailable: [503, "The request has failed due to a temporary failure of the server"],
} as const satisfies Record<string, readonly [status: number, message: string]>;

export type ErrorCode = keyof typeof ERRORS;

/** The refusal with `code`; `about` names the thing and follows the text. `status` replaces the usual one. */
export function apiError(code: ErrorCode, about?: string, status?: number): ApiError {
  const [usualStatus, text] = ERRORS[code];
  const message = about === undefined ? `${text}.` : `${text}: ${about}.`;
  return { status: status ?? usualStatus, code, message };
}

/** Status and text of a code that an operator asks for; codes that are not in the table get 400. */
export function errorOfCode(code: string, status?: number): ApiError {
  if (Object.hasOwn(ERRORS, code)) {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- looked up in the line above
    return apiError(code as ErrorCode, undefined, status);
  }
  const usual = code.startsWith("Throttling") || !code.startsWith("Internal") ? 400 : 500;
  return { status: status ?? usual, code, message: "The request was refused." };
}
