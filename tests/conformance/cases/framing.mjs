// Lengths in each of the three forms, for text (operations padded to the size) and binary (which the house dialect closes with 1003 when it
// is whole, so the frame was understood), and how they may come in.
import { binary, text, frame, TEXT, BINARY, PING } from '../frames.mjs';
import { ENDS, ask, chopped, operation } from './lib.mjs';

const sizes = [21, 64, 124, 125, 126, 127, 128, 65535, 65536, 65537];
const binarySizes = [0, 125, 126, 127, 128, 65535, 65536];

export const family = 'framing';
export const cases = [
  { name: 'a text frame without a byte is a message, and no operation', send: [text('')], hear: ENDS(4400) },
  ...sizes.map((size) => ({ name: `a text frame of ${size} bytes`, send: () => [ask(1, size)], hear: ['answer 1'] })),
  ...sizes.map((size) => ({ name: `a text frame of ${size} bytes in pieces of 997`, send: () => [chopped(ask(1, size), 997)], hear: ['answer 1'] })),
  ...sizes.filter((size) => size < 200).map((size) => ({ name: `a text frame of ${size} bytes in single bytes`, send: () => [chopped(ask(1, size), 1)], hear: ['answer 1'] })),
  ...binarySizes.map((size) => ({ name: `a binary frame of ${size} bytes`, send: () => [binary(Buffer.alloc(size, 0xfe))], hear: ENDS(1003) })),
  ...binarySizes.map((size) => ({ name: `a binary frame of ${size} bytes in pieces of 997`, send: () => [chopped(binary(Buffer.alloc(size, 0xfe)), 997)], hear: ENDS(1003) })),
  { name: 'two frames in one piece', send: [Buffer.concat([ask(1), ask(2)])], hear: ['answer 1', 'answer 2'] },
  { name: 'a hundred frames in one piece', send: [Buffer.concat(Array.from({ length: 100 }, (_, i) => ask(i)))], hear: Array.from({ length: 100 }, (_, i) => `answer ${i}`) },
  { name: 'a hundred frames in pieces of 7', send: [chopped(Buffer.concat(Array.from({ length: 100 }, (_, i) => ask(i))), 7)], hear: Array.from({ length: 100 }, (_, i) => `answer ${i}`) },
  { name: 'a frame with the beginning of the next, then the rest', send: () => {
    const both = Buffer.concat([ask(1), ask(2)]);
    return [both.subarray(0, both.length - 9), { pause: 'answer 1' }, both.subarray(both.length - 9)];
  }, hear: ['answer 1', 'answer 2'] },
  // Masks
  ...[[0, 0, 0, 0], [0xff, 0xff, 0xff, 0xff], [1, 2, 3, 4], [0, 0, 0, 0x80]].map((mask) => ({
    name: `the mask ${mask}`, send: [ask(1, 130, { mask: Buffer.from(mask) })], hear: ['answer 1'] })),
  ...[[TEXT, operation(1)], [BINARY, 'x'], [PING, 'x'], [10, ''], [8, Buffer.from([3, 0xe8])], [TEXT, '']].map(([opcode, payload]) => ({
    name: `an unmasked frame of opcode ${opcode} with ${payload.length} bytes`, send: [frame(opcode, payload, { mask: null })], hear: ENDS(1002) })),
  { name: 'an unmasked frame behind a good one', send: [ask(1), frame(TEXT, operation(2), { mask: null })], hear: ['answer 1', ...ENDS(1002)] },
  // Lengths that are not the shortest, or cannot be
  ...[0, 1, 125].map((size) => ({ name: `${size} bytes with a length of 16 bits`, send: [text('x'.repeat(size), { form: 16 })], hear: ENDS(1002) })),
  ...[0, 1, 125, 126, 65535].map((size) => ({ name: `${size} bytes with a length of 64 bits`, send: [text('x'.repeat(size), { form: 64 })], hear: ENDS(1002) })),
  { name: 'a length with its highest bit set', send: [frame(TEXT, '', { length: 1n << 63n })], hear: ENDS(1002) },
  { name: 'a length of all ones', send: [frame(TEXT, '', { length: (1n << 64n) - 1n })], hear: ENDS(1002) },
  { name: 'a wrong length is told before a byte of the payload', send: [frame(TEXT, '', { form: 16, length: 5 })], hear: ENDS(1002) },
];
