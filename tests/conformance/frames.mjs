// Frames of RFC 6455 as bytes, right ones and wrong ones, and the bytes of a server read as frames.
import { randomBytes } from 'node:crypto';

export const CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;
export const RSV1 = 4, RSV2 = 2, RSV3 = 1;

/** One frame of a client. form: how the length is written (7, 16, 64 bits), the shortest unless told; length: what it says, the truth
 *  unless told; mask: its four bytes, null: it is not masked. */
export function frame(opcode, payload = '', { fin = true, rsv = 0, mask = randomBytes(4), form, length } = {}) {
  const body = Buffer.from(payload);
  const says = BigInt(length ?? body.length);
  const bits = form ?? (says < 126n ? 7 : says < 65536n ? 16 : 64);
  const head = Buffer.alloc(2 + (bits === 7 ? 0 : bits === 16 ? 2 : 8));
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = (mask ? 0x80 : 0) | (bits === 7 ? Number(says) : bits === 16 ? 126 : 127);
  if (bits === 16) head.writeUInt16BE(Number(says), 2);
  if (bits === 64) head.writeBigUInt64BE(says, 2);
  if (!mask) return Buffer.concat([head, body]);
  const masked = Buffer.alloc(body.length);
  for (let i = 0; i < body.length; i++) masked[i] = body[i] ^ mask[i & 3];
  return Buffer.concat([head, mask, masked]);
}

export const text = (payload, options) => frame(TEXT, payload, options);
export const binary = (payload, options) => frame(BINARY, payload, options);
export const ping = (payload, options) => frame(PING, payload, options);
export const pong = (payload, options) => frame(PONG, payload, options);

/** A close frame; code null: without any payload. */
export function close(code = 1000, reason = '', options) {
  if (code === null) return frame(CLOSE, '', options);
  const head = Buffer.alloc(2);
  head.writeUInt16BE(code);
  return frame(CLOSE, Buffer.concat([head, Buffer.from(reason)]), options);
}

/** One message in fragments, which are cut at every `size` bytes or are the given pieces; between(i): bytes to put behind fragment i. */
export function fragments(opcode, payload, { size, pieces, rsv = 0, between = () => Buffer.alloc(0) } = {}) {
  const body = Buffer.from(payload);
  pieces ??= Array.from({ length: Math.max(1, Math.ceil(body.length / size)) }, (_, i) => body.subarray(i * size, (i + 1) * size));
  return Buffer.concat(pieces.flatMap((piece, i) => {
    const last = i === pieces.length - 1;
    return [frame(i === 0 ? opcode : CONTINUATION, piece, { fin: last, rsv: i === 0 ? rsv : 0 }), last ? Buffer.alloc(0) : between(i)];
  }));
}

/** Whole frames at the beginning of what a server sent; throws where it breaks the RFC itself. Returns [frames, bytes used]. */
export function read(bytes) {
  const frames = [];
  let at = 0;
  while (bytes.length - at >= 2) {
    const opcode = bytes[at] & 0x0f;
    let length = bytes[at + 1] & 0x7f, head = 2;
    if (bytes[at + 1] & 0x80) throw new Error('a server must not mask');
    if (length === 126) {
      if (bytes.length - at < 4) break;
      length = bytes.readUInt16BE(at + 2);
      head = 4;
      if (length < 126) throw new Error('a length that is not the shortest');
    } else if (length === 127) {
      if (bytes.length - at < 10) break;
      length = Number(bytes.readBigUInt64BE(at + 2));
      head = 10;
      if (length < 65536) throw new Error('a length that is not the shortest');
    }
    if (bytes.length - at < head + length) break;
    frames.push({ fin: (bytes[at] & 0x80) !== 0, rsv: (bytes[at] >> 4) & 7, opcode, payload: bytes.subarray(at + head, at + head + length) });
    if (opcode >= CLOSE && (length > 125 || !frames.at(-1).fin)) throw new Error('a control frame that is too long or in fragments');
    at += head + length;
  }
  return [frames, at];
}
