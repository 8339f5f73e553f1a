// Pings and pongs, reserved bits, reserved opcodes.
import { BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, frame, ping, pong, text } from '../frames.mjs';
import { ENDS, ask, chopped, operation } from './lib.mjs';

const bytes125 = Buffer.alloc(125, 0xfe);
const ten = Array.from({ length: 10 }, (_, i) => `payload-${i}`);

const pings = [
  { name: 'a ping without payload', send: [ping()], hear: ['pong '] },
  { name: 'a ping with text', send: [ping('Hello, world!')], hear: ['pong Hello, world!'] },
  { name: 'a ping with bytes that are no text', send: [ping(Buffer.from([0, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0, 0xff]))], hear: ['pong \x00\xff\xfe\xfd\xfc\xfb\x00\xff'] },
  { name: 'a ping of 125 bytes', send: [ping(bytes125)], hear: [`pong ${bytes125.toString('latin1')}`] },
  { name: 'a ping of 125 bytes in single bytes', send: [chopped(ping(bytes125), 1)], hear: [`pong ${bytes125.toString('latin1')}`] },
  { name: 'a ping of 126 bytes', send: [ping(Buffer.alloc(126, 0xfe))], hear: ENDS(1002) },
  { name: 'a ping of 65536 bytes', send: [ping(Buffer.alloc(65536, 0xfe))], hear: ENDS(1002) },
  { name: 'a pong that nobody asked for', send: [pong()], hear: [] },
  { name: 'a pong with payload that nobody asked for', send: [pong('unsolicited')], hear: [] },
  { name: 'a pong that nobody asked for, then a ping', send: [pong('unsolicited'), ping('ping')], hear: ['pong ping'] },
  { name: 'a pong of 126 bytes', send: [pong(Buffer.alloc(126))], hear: ENDS(1002) },
  { name: 'ten pings', send: [Buffer.concat(ten.map((one) => ping(one)))], hear: ten.map((one) => `pong ${one}`) },
  { name: 'ten pings in single bytes', send: [chopped(Buffer.concat(ten.map((one) => ping(one))), 1)], hear: ten.map((one) => `pong ${one}`) },
  { name: 'a thousand pings', send: [Buffer.concat(Array.from({ length: 1000 }, (_, i) => ping(`${i}`)))], hear: Array.from({ length: 1000 }, (_, i) => `pong ${i}`) },
  { name: 'a ping before a close in the same piece is answered first', send: [Buffer.concat([ping('first'), close(1000)])], hear: ['pong first', ...ENDS(1000)] },
];

const named = { [CONTINUATION]: 'a continuation', [TEXT]: 'text', [BINARY]: 'binary', [CLOSE]: 'a close', [PING]: 'a ping', [PONG]: 'a pong' };
const payloads = { [TEXT]: operation(9), [BINARY]: 'x', [CLOSE]: Buffer.from([3, 0xe8]), [PING]: 'x', [PONG]: 'x' };
const rsv = [1, 2, 3, 4, 5, 6, 7].flatMap((bits) => [
  ...[TEXT, BINARY, CLOSE, PING, PONG].map((opcode) => ({
    name: `reserved bits ${bits.toString(2).padStart(3, '0')} on ${named[opcode]}`, send: [frame(opcode, payloads[opcode], { rsv: bits })], hear: ENDS(1002) })),
  { name: `reserved bits ${bits.toString(2).padStart(3, '0')} on a continuation`,
    send: [frame(TEXT, operation(9).subarray(0, 5), { fin: false }), frame(CONTINUATION, operation(9).subarray(5), { rsv: bits })], hear: ENDS(1002) },
  { name: `reserved bits ${bits.toString(2).padStart(3, '0')} between an operation and a ping`, send: [ask(1), text(operation(2), { rsv: bits }), ping()], hear: ['answer 1', ...ENDS(1002)] },
  { name: `reserved bits ${bits.toString(2).padStart(3, '0')} in single bytes`,
    send: [chopped(Buffer.concat([ask(1), text(operation(2), { rsv: bits }), ping()]), 1)], hear: ['answer 1', ...ENDS(1002)] },
]);

const opcodes = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode) => [
  { name: `the reserved opcode ${opcode}`, send: [frame(opcode)], hear: ENDS(1002) },
  { name: `the reserved opcode ${opcode} with a payload`, send: [frame(opcode, 'reserved opcode payload')], hear: ENDS(1002) },
  { name: `the reserved opcode ${opcode} behind an operation`, send: [ask(1), frame(opcode), ping()], hear: ['answer 1', ...ENDS(1002)] },
  { name: `the reserved opcode ${opcode} in single bytes behind an operation`, send: [chopped(Buffer.concat([ask(1), frame(opcode, 'x'), ping()]), 1)], hear: ['answer 1', ...ENDS(1002)] },
  { name: `the reserved opcode ${opcode} between fragments`, send: [text('{', { fin: false }), frame(opcode, 'x')], hear: ENDS(1002) },
]);

export const families = [
  { family: 'pings and pongs', cases: pings },
  { family: 'reserved bits', cases: rsv },
  { family: 'opcodes', cases: opcodes },
];
