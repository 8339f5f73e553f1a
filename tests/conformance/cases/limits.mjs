// Sizes up to 16 MiB where the limit is raised, the limit itself to the byte, and many messages one behind the other.
import { BINARY, CONTINUATION, TEXT, binary, fragments, frame, text } from '../frames.mjs';
import { ENDS, ask, chopped, operation } from './lib.mjs';

const KIB = 1024, MIB = 1024 * KIB;
const sizes = [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB];
const say = (size) => (size < MIB ? `${size / KIB} KiB` : `${size / MIB} MiB`);

export const families = [
  { family: 'sizes', cases: [
    ...sizes.map((size) => ({ name: `text of ${say(size)}`, send: () => [ask(1, size)], hear: ['answer 1'] })),
    ...sizes.map((size) => ({ name: `binary of ${say(size)}`, send: () => [binary(Buffer.alloc(size, 0xfe))], hear: ENDS(1003) })),
    ...[64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB].map((size) => ({ name: `text of 1 MiB in fragments of ${size}`, send: () => [fragments(TEXT, operation(1, MIB), { size })], hear: ['answer 1'] })),
    ...[256 * KIB, MIB, 4 * MIB].map((size) => ({ name: `text of 16 MiB in fragments of ${say(size)}`, send: () => [fragments(TEXT, operation(1, 16 * MIB), { size })], hear: ['answer 1'] })),
    ...[KIB, 64 * KIB].map((size) => ({ name: `binary of 4 MiB in fragments of ${size}`, send: () => [fragments(BINARY, Buffer.alloc(4 * MIB, 0xfe), { size })], hear: ENDS(1003) })),
    ...[64, 128, 256, 512, KIB, 2 * KIB].map((chop) => ({ name: `text of 64 KiB in pieces of ${chop}`, send: () => [chopped(ask(1, 64 * KIB), chop)], hear: ['answer 1'] })),
    { name: 'text of 1 MiB in pieces of 4 KiB', send: () => [chopped(ask(1, MIB), 4 * KIB)], hear: ['answer 1'] },
    { name: 'text of 4 KiB in single bytes', send: () => [chopped(ask(1, 4 * KIB), 1)], hear: ['answer 1'] },
    ...[30, 128, KIB, 4 * KIB].map((size) => ({ name: `a thousand messages of ${size} bytes`, send: () => [Buffer.concat(Array.from({ length: 1000 }, (_, i) => ask(i, size)))],
      hear: Array.from({ length: 1000 }, (_, i) => `answer ${i}`) })),
  ] },
  { family: 'limits', cases: [
    { name: 'a byte more than 16 MiB is refused by its header', send: [frame(TEXT, '', { length: 16 * MIB + 1 })], hear: ENDS(1009) },
    { name: 'the largest length there is is refused by its header', send: [frame(BINARY, '', { length: (1n << 63n) - 1n })], hear: ENDS(1009) },
    { name: 'the limit as it is shipped', on: 'narrow', send: [ask(1, 65536)], hear: ['answer 1'] },
    { name: 'a byte more', on: 'narrow', send: [ask(1, 65537)], hear: ENDS(1009) },
    { name: 'a byte more, by its header alone', on: 'narrow', send: [frame(TEXT, '', { length: 65537 })], hear: ENDS(1009) },
    { name: 'a byte more of binary', on: 'narrow', send: [binary(Buffer.alloc(65537))], hear: ENDS(1009) },
    { name: 'the limit in fragments', on: 'narrow', send: [fragments(TEXT, operation(1, 65536), { size: 1000 })], hear: ['answer 1'] },
    { name: 'a byte more in fragments', on: 'narrow', send: [fragments(TEXT, operation(1, 65537), { size: 1000 })], hear: ENDS(1009) },
    { name: 'a byte more, by the header of the last fragment', on: 'narrow', send: [text(operation(1, 65536), { fin: false }), frame(CONTINUATION, '', { length: 1 }).subarray(0, 6)], hear: ENDS(1009) },
    { name: 'the limit, and the limit again', on: 'narrow', send: [ask(1, 65536), ask(2, 65536)], hear: ['answer 1', 'answer 2'] },
    { name: 'a frame that says more than comes, and an end', send: [ask(1, 1000).subarray(0, 500), { end: true }], hear: ['end'] },
  ] },
];
