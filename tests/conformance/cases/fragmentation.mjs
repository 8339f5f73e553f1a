// Messages in fragments, what may stand between them and what may not.
import { BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, fragments, frame, ping, pong, text } from '../frames.mjs';
import { ENDS, ask, chopped, operation } from './lib.mjs';

const op = operation(1, 60);
const start = (n = 10) => text(op.subarray(0, n), { fin: false });
const more = (from, to) => frame(CONTINUATION, op.subarray(from, to), { fin: false });
const last = (from = 10) => frame(CONTINUATION, op.subarray(from));

export const family = 'fragmentation';
export const cases = [
  ...[[PING, 'a ping'], [PONG, 'a pong'], [CLOSE, 'a close']].flatMap(([opcode, name]) => [
    { name: `${name} in two fragments`, send: [frame(opcode, 'x', { fin: false }), frame(CONTINUATION, 'y')], hear: ENDS(1002) },
    { name: `${name} that says it goes on, alone`, send: [frame(opcode, '', { fin: false })], hear: ENDS(1002) },
    { name: `${name} that says it goes on, between fragments`, send: [start(), frame(opcode, '', { fin: false })], hear: ENDS(1002) },
  ]),
  { name: 'two fragments', send: [start(), last()], hear: ['answer 1'] },
  { name: 'two fragments in one piece', send: [Buffer.concat([start(), last()])], hear: ['answer 1'] },
  { name: 'two fragments in single bytes', send: [chopped(Buffer.concat([start(), last()]), 1)], hear: ['answer 1'] },
  { name: 'a ping between two fragments', send: [start(), ping('between'), last()], hear: ['pong between', 'answer 1'] },
  { name: 'a ping between two fragments, in one piece', send: [Buffer.concat([start(), ping('between'), last()])], hear: ['pong between', 'answer 1'] },
  { name: 'a ping between two fragments, in single bytes', send: [chopped(Buffer.concat([start(), ping('between'), last()]), 1)], hear: ['pong between', 'answer 1'] },
  { name: 'a pong between two fragments', send: [start(), pong('between'), last()], hear: ['answer 1'] },
  { name: 'pings of 125 bytes between sixty fragments of one byte', send: [fragments(TEXT, op, { size: 1, between: () => ping(Buffer.alloc(125, 'p')) })],
    hear: [...Array(59).fill(`pong ${'p'.repeat(125)}`), 'answer 1'] },
  { name: 'a close between two fragments', send: [start(), close(1000)], hear: ENDS(1000) },
  { name: 'sixty fragments of one byte in single bytes', send: [chopped(fragments(TEXT, op, { size: 1 }), 1)], hear: ['answer 1'] },
  { name: 'fragments without a byte, first, between and last', send: [fragments(TEXT, op, { pieces: ['', op.subarray(0, 20), '', '', op.subarray(20), ''] })], hear: ['answer 1'] },
  { name: 'three fragments without a byte', send: [fragments(TEXT, '', { pieces: ['', '', ''] })], hear: ENDS(4400) },
  { name: 'a binary message in fragments', send: [fragments(BINARY, Buffer.alloc(100, 0xff), { size: 30 })], hear: ENDS(1003) },
  { name: 'a text that another text interrupts', send: [start(), ask(2)], hear: ENDS(1002) },
  { name: 'a text that a binary frame interrupts', send: [start(), frame(BINARY, 'x')], hear: ENDS(1002) },
  { name: 'a text that a beginning interrupts', send: [start(), start()], hear: ENDS(1002) },
  { name: 'a last fragment without a first', send: [last(0)], hear: ENDS(1002) },
  { name: 'a middle fragment without a first', send: [more(0, 10)], hear: ENDS(1002) },
  { name: 'a last fragment behind a whole message', send: [ask(2), last(0)], hear: ['answer 2', ...ENDS(1002)] },
  { name: 'a last fragment behind the last fragment', send: [start(), last(), last(0)], hear: ['answer 1', ...ENDS(1002)] },
  { name: 'a middle fragment behind the last fragment, in single bytes', send: [chopped(Buffer.concat([start(), last(), more(0, 4)]), 1)], hear: ['answer 1', ...ENDS(1002)] },
  { name: 'one message in fragments after the other', send: [start(), last(), start(5), more(5, 30), last(30)], hear: ['answer 1', 'answer 1'] },
  { name: 'the same with pings everywhere', send: [ping('a'), start(), ping('b'), ping('c'), last(), ping('d'), start(5), more(5, 30), ping('e'), last(30), ping('f')],
    hear: ['pong a', 'pong b', 'pong c', 'answer 1', 'pong d', 'pong e', 'answer 1', 'pong f'] },
  ...[1, 2, 3, 16, 59, 60].map((size) => ({ name: `fragments of ${size} bytes`, send: [fragments(TEXT, op, { size })], hear: ['answer 1'] })),
  ...[64, 256, 1300, 4096, 65535].map((size) => ({ name: `65536 bytes in fragments of ${size}`, send: () => [fragments(TEXT, operation(1, 65536), { size })], hear: ['answer 1'] })),
];
