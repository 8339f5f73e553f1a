// The end of a connection: what a close frame may say, what is answered, and that nothing counts behind it.
import { CLOSE, close, frame, ping, text } from '../frames.mjs';
import { ENDS, ask, chopped } from './lib.mjs';

const valid = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
const invalid = [0, 1, 100, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 5001, 32768, 65535];

export const family = 'close';
export const cases = [
  { name: 'a close without payload is answered', send: [close(null)], hear: ENDS(1000) },
  { name: 'a close with one byte', send: [frame(CLOSE, 'x')], hear: ENDS(1002) },
  { name: 'a close with a code', send: [close(1000)], hear: ENDS(1000) },
  { name: 'a close with a code and a reason', send: [close(1000, 'Hello, wörld ☃')], hear: ENDS(1000) },
  { name: 'a close with the longest reason', send: [close(1000, 'x'.repeat(123))], hear: ENDS(1000) },
  { name: 'a close with a reason too long', send: [close(1000, 'x'.repeat(124))], hear: ENDS(1002) },
  { name: 'a close in single bytes', send: [chopped(close(1000, 'bye'), 1)], hear: ENDS(1000) },
  ...valid.map((code) => ({ name: `the code ${code}`, send: [close(code)], hear: ENDS(code) })),
  ...valid.map((code) => ({ name: `the code ${code} with a reason`, send: [close(code, 'because')], hear: ENDS(code) })),
  ...invalid.map((code) => ({ name: `the code ${code}, which nobody may send`, send: [close(code)], hear: ENDS(1002) })),
  ...invalid.map((code) => ({ name: `the code ${code}, which nobody may send, with a reason`, send: [close(code, 'because')], hear: ENDS(1002) })),
  ...[[0xff], [0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xcf, 0x83, 0xce, 0xbc, 0xce, 0xb5, 0xed, 0xa0, 0x80, 0x65], [0xc3], [0xe2, 0x82], [0xf4, 0x90, 0x80, 0x80]].map((reason) => ({
    name: `a reason that is not UTF-8: ${reason.map((b) => b.toString(16))}`, send: [close(1000, Buffer.from(reason))], hear: ENDS(1007) })),
  { name: 'an operation, then a close', send: [ask(1), close(1000)], hear: ['answer 1', ...ENDS(1000)] },
  { name: 'an operation and a close in one piece', send: [Buffer.concat([ask(1), close(3000)])], hear: ['answer 1', ...ENDS(3000)] },
  { name: 'two closes', send: [Buffer.concat([close(1000), close(1001)])], hear: ENDS(1000) },
  { name: 'a ping behind a close', send: [Buffer.concat([close(1000), ping('too late')])], hear: ENDS(1000) },
  { name: 'an operation behind a close', send: [Buffer.concat([close(1000), ask(1)])], hear: ENDS(1000) },
  { name: 'garbage behind a close', send: [Buffer.concat([close(1000), Buffer.alloc(1000, 0xff)])], hear: ENDS(1000) },
  { name: '256 KiB behind a close', send: () => [Buffer.concat([close(1000), ask(1, 262144)])], hear: ENDS(1000) },
  { name: '256 KiB, then a close and a ping', send: () => [Buffer.concat([ask(1, 262144), close(1000), ping()])], hear: ['answer 1', ...ENDS(1000)] },
  { name: 'a close in the middle of a message', send: [text('{"op":', { fin: false }), close(1001)], hear: ENDS(1001) },
  { name: 'our close behind a failure is answered, and nothing else counts', send: [Buffer.concat([frame(3), close(1002), ping('late'), ask(1)])], hear: ENDS(1002) },
  { name: 'much that comes behind a failure does not take the word away', send: () => [Buffer.concat([frame(3), Buffer.alloc(300000, 0x41)])], hear: ENDS(1002) },
  { name: 'our close that is not answered: we end it ourselves', mute: true, send: [text('no JSON')], hear: ENDS(4400) },
  { name: 'a dialect\'s own code for what is no operation', send: [text('no JSON'), { pause: 'close 4400' }, close(4400)], hear: ENDS(4400) },
];
