// permessage-deflate (RFC 7692): what is agreed upon for each combination of parameters, messages of all sizes in both directions, in fragments and
// pieces, RSV1 where it must not be, what is no deflate data, and bombs.
import { constants, deflateRawSync } from 'node:zlib';
import { BINARY, CLOSE, CONTINUATION, PING, PONG, RSV1, RSV2, RSV3, TEXT, fragments, frame, ping, text } from '../frames.mjs';
import { ENDS, ask, chopped, operation } from './lib.mjs';

const KIB = 1024, MIB = 1024 * KIB;
const ANSWER = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';

/** As a message travels: one flush, without its last four bytes. */
export function deflated(payload, { level = 6, windowBits = 15, memLevel = 8, strategy } = {}) {
  const all = deflateRawSync(payload, { level, windowBits, memLevel, strategy, finishFlush: constants.Z_SYNC_FLUSH });
  return all.subarray(0, all.length - 4);
}

const packed = (opcode, payload, options) => frame(opcode, deflated(payload, options), { rsv: RSV1 });
const packedAsk = (ref, size, options) => packed(TEXT, operation(ref, size), options);
/* JSON of `size` bytes that does not compress to nothing. */
const full = (ref, size) => {
  const whole = (filler) => JSON.stringify({ op: 'ping', ref, filler });
  return whole(Array.from({ length: size - whole('').length }, (_, i) => 'abcdefghijklmnopqrstuvwxyz0123456789'[(i * 7919 + ((i * i) >> 3)) % 36]).join(''));
};

const serverBits = [null, 8, 9, 10, 11, 12, 13, 14, 15];
const clientBits = [null, '', 8, 9, 12, 15];
export const combinations = [];
for (const server of serverBits)
  for (const client of clientBits)
    for (const serverContext of [false, true])
      for (const clientContext of [false, true]) {
        const parameters = [serverContext && 'server_no_context_takeover', clientContext && 'client_no_context_takeover',
          server !== null && `server_max_window_bits=${server}`, client !== null && `client_max_window_bits${client === '' ? '' : `=${client}`}`].filter(Boolean);
        combinations.push({ offer: ['permessage-deflate', ...parameters].join('; '), agreed: ANSWER + (server === null ? '' : `; server_max_window_bits=${server}`), clientBits: client || 15 });
      }

const declined = ['server_no_context_takeover=1', 'client_no_context_takeover=1', 'server_max_window_bits', 'server_max_window_bits=7', 'server_max_window_bits=16', 'server_max_window_bits=08',
  'server_max_window_bits=x', 'client_max_window_bits=7', 'client_max_window_bits=16', 'client_max_window_bits=0', 'unknown', 'unknown=1', 'server_no_context_takeover; server_no_context_takeover',
  'client_max_window_bits; client_max_window_bits', 'server_max_window_bits=9; server_max_window_bits=9', 'mux'];

const sizes = [21, 64, 125, 126, 127, 128, 1000, 4096, 16384, 32768, 65535, 65536, 131072];
const on = { offer: 'permessage-deflate' };
const op = deflated(operation(1, 60));

/* Many last blocks that hold nothing. */
const lasts = (count) => Buffer.concat(Array(count).fill(Buffer.from([0x03, 0x00])));

export const families = [
  { family: 'compression, agreed upon', cases: [
    ...combinations.map(({ offer, agreed, clientBits: bits }) => ({ name: offer, offer, agreed,
      send: () => [packed(TEXT, operation(1, 500), { windowBits: Math.max(9, bits) }), ask(2)], hear: ['answer 1', 'answer 2'] })),
    ...declined.map((parameters) => ({ name: `declined: ${parameters}`, offer: `permessage-deflate; ${parameters}`, agreed: null, send: [ask(1)], hear: ['answer 1'] })),
    ...declined.map((parameters) => ({ name: `the next one of the list behind: ${parameters}`, offer: `permessage-deflate; ${parameters}, permessage-deflate; server_max_window_bits=10`,
      agreed: `${ANSWER}; server_max_window_bits=10`, send: [packedAsk(1)], hear: ['answer 1'] })),
    { name: 'in the second of two headers', offer: ['x-unknown', 'permessage-deflate'], agreed: ANSWER, send: [packedAsk(1)], hear: ['answer 1'] },
    { name: 'the first of two good ones', offer: 'permessage-deflate; server_max_window_bits=11, permessage-deflate', agreed: `${ANSWER}; server_max_window_bits=11`, send: [packedAsk(1)], hear: ['answer 1'] },
    { name: 'a value in quotes', offer: 'permessage-deflate; server_max_window_bits="10"', agreed: `${ANSWER}; server_max_window_bits=10`, send: [packedAsk(1)], hear: ['answer 1'] },
    { name: 'another extension alone', offer: 'permessage-bzip2', agreed: null, send: [ask(1)], hear: ['answer 1'] },
    { name: 'compress=0 refuses it', offer: 'permessage-deflate', path: '/v1/ws?compress=0', agreed: null, send: [ask(1)], hear: ['answer 1'] },
  ] },
  { family: 'compression, messages', cases: [
    ...sizes.flatMap((size) => [
      { ...on, name: `${size} bytes`, send: () => [packedAsk(1, size)], hear: ['answer 1'] },
      { ...on, name: `${size} bytes in fragments of 7`, send: () => [fragments(TEXT, deflated(operation(1, size)), { size: 7, rsv: RSV1 })], hear: ['answer 1'] },
      { ...on, name: `${size} bytes in pieces of 3`, send: () => [chopped(packedAsk(1, size), 3)], hear: ['answer 1'] },
    ]),
    ...[1000, 4096, 65536, 131072].flatMap((size) => [
      { ...on, name: `${size} bytes with little to gain`, send: () => [packed(TEXT, full(1, size))], hear: ['answer 1'] },
      { ...on, name: `${size} bytes with little to gain in fragments of 500`, send: () => [fragments(TEXT, deflated(full(1, size)), { size: 500, rsv: RSV1 })], hear: ['answer 1'] },
      { ...on, name: `${size} bytes without compression`, send: () => [packed(TEXT, full(1, size), { level: 0 })], hear: ['answer 1'] },
      { ...on, name: `${size} bytes with fixed codes`, send: () => [packed(TEXT, full(1, size), { strategy: constants.Z_FIXED })], hear: ['answer 1'] },
      { ...on, name: `${size} bytes with a window of 9 bits and the least memory`, send: () => [packed(TEXT, full(1, size), { windowBits: 9, memLevel: 1 })], hear: ['answer 1'] },
    ]),
    ...[1, 9].map((level) => ({ ...on, name: `16 MiB at level ${level}`, send: () => [packedAsk(1, 16 * MIB, { level })], hear: ['answer 1'] })),
    { ...on, name: 'a thousand messages', send: () => [Buffer.concat(Array.from({ length: 1000 }, (_, i) => packedAsk(i, 200)))], hear: Array.from({ length: 1000 }, (_, i) => `answer ${i}`) },
    { ...on, name: 'compressed and plain in turn', send: () => [Buffer.concat(Array.from({ length: 100 }, (_, i) => (i % 2 ? ask(i) : packedAsk(i))))], hear: Array.from({ length: 100 }, (_, i) => `answer ${i}`) },
    { ...on, name: 'pings between compressed fragments', send: [fragments(TEXT, op, { size: 10, rsv: RSV1, between: (i) => ping(`${i}`) })],
      hear: [...Array.from({ length: Math.ceil(op.length / 10) - 1 }, (_, i) => `pong ${i}`), 'answer 1'] },
    { ...on, name: 'fragments without a byte', send: [fragments(TEXT, op, { pieces: ['', op.subarray(0, 9), '', op.subarray(9), ''], rsv: RSV1 })], hear: ['answer 1'] },
    { ...on, name: 'an empty message', send: [frame(TEXT, Buffer.from([0]), { rsv: RSV1 })], hear: ENDS(4400) },
    { ...on, name: 'an empty message in two fragments', send: [fragments(TEXT, '', { pieces: ['', Buffer.from([0])], rsv: RSV1 })], hear: ENDS(4400) },
    { ...on, name: 'a binary message', send: [packed(BINARY, Buffer.alloc(1000, 0xff))], hear: ENDS(1003) },
    { ...on, name: 'two blocks in one message', send: () => {
      const whole = operation(1, 60);
      const first = deflateRawSync(whole.subarray(0, 20), { finishFlush: constants.Z_SYNC_FLUSH });
      return [frame(TEXT, Buffer.concat([first, deflated(whole.subarray(20))]), { rsv: RSV1 })];
    }, hear: ['answer 1'] },
    { ...on, name: 'a last block and a byte behind it', send: [frame(TEXT, Buffer.concat([deflateRawSync(operation(1)), Buffer.from([0])]), { rsv: RSV1 })], hear: ['answer 1'] },
    { ...on, name: 'a last block in each of two fragments', send: () => {
      const whole = operation(1, 60);
      return [fragments(TEXT, '', { pieces: [deflateRawSync(whole.subarray(0, 20)), Buffer.concat([deflateRawSync(whole.subarray(20)), Buffer.from([0])])], rsv: RSV1 })];
    }, hear: ['answer 1'] },
    { ...on, name: 'text that is not UTF-8 when it is inflated', send: [packed(TEXT, Buffer.from([0x22, 0xc3, 0x28, 0x22]))], hear: ENDS(1007) },
    { ...on, name: 'text that is no UTF-8 before it is inflated, as it is', send: [packed(TEXT, operation(1, 300), { level: 9 })], hear: ['answer 1'] },
    { ...on, name: 'text that ends within a character when it is inflated', send: [packed(TEXT, Buffer.from([0x22, 0xe2, 0x82]))], hear: ENDS(1007) },
    { ...on, name: 'plain text that is not UTF-8 on such a socket', send: [text(Buffer.from([0xff]))], hear: ENDS(1007) },
  ] },
  { family: 'compression, misused', cases: [
    ...[PING, PONG, CLOSE].map((opcode) => ({ ...on, name: `RSV1 on a control frame of opcode ${opcode}`, send: [frame(opcode, '', { rsv: RSV1 })], hear: ENDS(1002) })),
    { ...on, name: 'RSV1 on a continuation of a compressed message', send: [frame(TEXT, op.subarray(0, 9), { fin: false, rsv: RSV1 }), frame(CONTINUATION, op.subarray(9), { rsv: RSV1 })], hear: ENDS(1002) },
    { ...on, name: 'RSV1 on a continuation of a plain message', send: [text('{', { fin: false }), frame(CONTINUATION, '}', { rsv: RSV1 })], hear: ENDS(1002) },
    ...[RSV2, RSV3, RSV1 | RSV2, RSV1 | RSV3, 7].map((rsv) => ({ ...on, name: `reserved bits ${rsv.toString(2).padStart(3, '0')}`, send: [frame(TEXT, op, { rsv })], hear: ENDS(1002) })),
    ...[3, 11].map((opcode) => ({ ...on, name: `RSV1 on the reserved opcode ${opcode}`, send: [frame(opcode, op, { rsv: RSV1 })], hear: ENDS(1002) })),
    { name: 'RSV1 where nothing was agreed upon', send: [frame(TEXT, op, { rsv: RSV1 })], hear: ENDS(1002) },
    { offer: 'permessage-deflate; unknown', name: 'RSV1 where the offer was declined', send: [frame(TEXT, op, { rsv: RSV1 })], hear: ENDS(1002) },
    { offer: 'permessage-deflate', path: '/v1/ws?compress=0', name: 'RSV1 where it was refused by the query', send: [frame(TEXT, op, { rsv: RSV1 })], hear: ENDS(1002) },
    { ...on, name: 'bytes that are no deflate data', send: [frame(TEXT, Buffer.alloc(20, 0xff), { rsv: RSV1 })], hear: ENDS(1007) },
    { ...on, name: 'plain text under RSV1', send: [text(operation(1), { rsv: RSV1 })], hear: ENDS(1007) },
    { ...on, name: 'a message that was cut', send: [frame(TEXT, op.subarray(0, 10), { rsv: RSV1 })], hear: ENDS(1007) },
    { ...on, name: 'a reference to before the beginning', send: [frame(TEXT, Buffer.from([0x4a, 0x04, 0x06, 0x00]), { rsv: RSV1 })], hear: ENDS(1007) },
    { ...on, name: 'a reference into the message before', send: () => {
      const whole = operation(1, 60);
      return [frame(TEXT, deflated(whole), { rsv: RSV1 }), frame(TEXT, deflateRawSync(whole, { dictionary: whole, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4), { rsv: RSV1 })];
    }, hear: ['answer 1', ...ENDS(1007)] },
    { ...on, name: 'a bomb of 64 MiB', send: () => [packed(TEXT, Buffer.alloc(64 * MIB, ' '), { level: 9 })], hear: ENDS(1009) },
    { ...on, name: 'a bomb of 64 MiB of binary, in fragments', send: () => [fragments(BINARY, deflated(Buffer.alloc(64 * MIB), { level: 9 }), { size: 10000, rsv: RSV1 })], hear: ENDS(1009) },
    { ...on, on: 'narrow', name: 'a bomb where 64 KiB are allowed', send: () => [packed(TEXT, Buffer.alloc(MIB, ' '), { level: 9 })], hear: ENDS(1009) },
    { ...on, on: 'narrow', name: 'the limit exactly', send: () => [packedAsk(1, 65536)], hear: ['answer 1'] },
    { ...on, on: 'narrow', name: 'a byte more', send: () => [packedAsk(1, 65537)], hear: ENDS(1009) },
    { ...on, on: 'narrow', name: 'the limit with nothing gained', send: () => [packed(TEXT, full(1, 65536), { level: 0 })], hear: ['answer 1'] },
    { ...on, on: 'narrow', name: 'more compressed bytes than the message may have', send: [frame(TEXT, '', { rsv: RSV1, length: 80000 })], hear: ENDS(1009) },
    { ...on, name: 'a hundred last blocks that hold nothing', send: [frame(TEXT, lasts(100), { rsv: RSV1 })], hear: ENDS(4400) },
    { ...on, name: 'ten thousand of them', send: [frame(TEXT, lasts(10000), { rsv: RSV1 })], hear: ENDS(1007) },
    { ...on, name: 'ten thousand blocks that hold nothing and are not the last', send: [frame(TEXT, Buffer.concat([...Array(10000).fill(Buffer.from([0, 0, 0, 0xff, 0xff])), op]), { rsv: RSV1 })], hear: ['answer 1'] },
  ] },
];
