// Calls that the typed client would never make: any path, any bytes, any header.
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';

export interface RawResult {
  readonly code: number;
  readonly message: string;
  readonly response: Buffer | undefined;
}

/** One unary call on a connection of its own. Never rejects: the outcome is what is tested. */
export function rawCall(
  address: string,
  path: string,
  request: Buffer = Buffer.alloc(0),
  headers: Readonly<Record<string, string>> = {},
): Promise<RawResult> {
  const client = new Client(`unix:${address}`, credentials.createInsecure());
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(headers)) metadata.set(key, value);
  const same = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      path,
      same,
      same,
      request,
      metadata,
      { deadline: Date.now() + 10_000 },
      (error: ServiceError | null, response?: Buffer) => {
        client.close();
        resolve({ code: error?.code ?? 0, message: error?.details ?? '', response });
      },
    );
  });
}
