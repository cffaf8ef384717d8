/** Requests in JSON and answers to them. */
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { AxpyError } from 'axpy';

/** What a client is told, instead of an answer. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly headers: OutgoingHttpHeaders = {},
  ) {
    super(message);
  }
}

/** Somebody may try again after so many seconds. */
export const unavailable = (message: string, seconds = 1) =>
  new Refusal(503, message, { 'Retry-After': String(seconds) });

/** @returns what the body is as JSON @throws Refusal for more than `most` bytes, and for what is no JSON */
export async function readJson(request: IncomingMessage, most: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  // Where it is too long the connection is still needed, for the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > most) throw new Refusal(413, `expected a body of at most ${most} bytes, got more`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)));
  } catch (error) {
    throw new Refusal(400, `expected a body of JSON, got ${(error as Error).message}`);
  }
}

/** What the client has to mend. */
const mistakes = new Set(['AXPY_DATA', 'AXPY_SHAPE', 'AXPY_DTYPE', 'AXPY_INDEX', 'AXPY_ARGUMENT']);

/** What a client is told of an error; null where it is none of its business. */
export function refusalOf(error: unknown): Refusal | null {
  if (error instanceof Refusal) return error;
  if (!(error instanceof AxpyError)) return null;
  const { code, message } = error;
  if (mistakes.has(code)) return new Refusal(400, message);
  if (code === 'AXPY_QUEUE_FULL' || code === 'AXPY_CLOSED') return unavailable(message);
  if (code === 'AXPY_TIMEOUT') return new Refusal(504, message);
  return null;
}
