/**
 * Server reflection (grpcurl and the like). What answers is loaded when somebody asks for the first time: it takes some 20 ms,
 * which every start would have to wait for.
 *
 * @module
 */
import {
  type handleBidiStreamingCall,
  type MethodDefinition,
  type Server,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { type PackageDefinition } from "@grpc/proto-loader";

const METHOD = "ServerReflectionInfo";
/** Both are in use; the second is the older one. */
const SERVICES = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

type Method = { readonly definition: MethodDefinition<object, object>; readonly handle: Handle };
type Handle = handleBidiStreamingCall<object, object>;
/** By path. */
type Methods = ReadonlyMap<string, Method>;

/** `definition`: what the server is asked about. */
export function addReflection(server: Server, definition: PackageDefinition): void {
  let loading: Promise<Methods> | undefined;
  let loaded: Methods | undefined;
  const load = async (): Promise<Methods> => {
    loading ??= loadMethods(definition);
    loaded = await loading;
    return loaded;
  };
  for (const service of SERVICES) {
    const path = `/${service}/${METHOD}`;
    // A message is read when the handler has begun to listen, and it is loaded by then.
    const method = (): Method => methodAt(loaded, path);
    const handle: Handle = (call) => {
      load().then(
        (methods) => methodAt(methods, path).handle(call),
        (error: unknown) => call.destroy(error instanceof Error ? error : new Error(String(error))),
      );
    };
    server.addService(
      {
        [METHOD]: {
          path,
          requestStream: true,
          responseStream: true,
          requestSerialize: (value: object) => method().definition.requestSerialize(value),
          requestDeserialize: (bytes) => method().definition.requestDeserialize(bytes),
          responseSerialize: (value: object) => method().definition.responseSerialize(value),
          responseDeserialize: (bytes) => method().definition.responseDeserialize(bytes),
        },
      },
      { [METHOD]: handle },
    );
  }
}

async function loadMethods(definition: PackageDefinition): Promise<Methods> {
  const { ReflectionService } = await import("@grpc/reflection");
  const methods = new Map<string, Method>();
  new ReflectionService(definition).addToServer({
    addService(service: ServiceDefinition, implementation: UntypedServiceImplementation) {
      const method = service[METHOD];
      if (method === undefined) return;
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one method of the service, a stream both ways
      methods.set(method.path, { definition: method, handle: implementation[METHOD] as Handle });
    },
  });
  return methods;
}

function methodAt(methods: Methods | undefined, path: string): Method {
  const method = methods?.get(path);
  if (method === undefined) throw new Error(`@grpc/reflection does not serve ${path}`);
  return method;
}
