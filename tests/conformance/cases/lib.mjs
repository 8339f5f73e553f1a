// What rows of cases are made of. A case is { name, send, hear } and may have { on, offer, agreed, path, mute }:
//   send   bytes one after the other, or { bytes, chop } for pieces that leave one by one; a function: made when its turn comes
//          (another object: { pause: WORD } waits until that was heard)
//   hear   the words that must come, in this order and no others; without 'end' the socket must still answer a ping afterwards
//   mute   a close frame is not answered
//   on     'wide' (16 MiB a message, the rule) or 'narrow' (the limit as it is shipped, 64 KiB)
import * as frames from '../frames.mjs';

export const ENDS = (code) => [`close ${code}`, 'end'];

/** An operation of exactly `size` bytes, blanks behind it; its answer is `answer REF`. */
export function operation(ref, size = 0) {
  const bytes = Buffer.from(JSON.stringify({ op: 'ping', ref }));
  if (size !== 0 && size < bytes.length) throw new Error(`an operation has ${bytes.length} bytes at least`);
  return size > bytes.length ? Buffer.concat([bytes, Buffer.alloc(size - bytes.length, ' ')]) : bytes;
}

export const ask = (ref, size, options) => frames.text(operation(ref, size), options);
export const chopped = (bytes, chop) => ({ bytes, chop });
export const hex = (bytes) => Buffer.from(bytes).toString('hex').replace(/(..)(?=.)/g, '$1 ');
