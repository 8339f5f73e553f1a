// Text must be UTF-8: what is, passes; what is not, is closed with 1007 in a whole frame, in fragments cut at any place, and at its first
// wrong byte although the frame says that more is to come.
import { CONTINUATION, TEXT, fragments, frame, text } from '../frames.mjs';
import { ENDS, chopped, hex } from './lib.mjs';

/* Beginnings and ends of what each length of a character can say. */
const points = [0x20, 0x7f, 0x80, 0x7ff, 0x800, 0xfff, 0x1000, 0xcfff, 0xd7ff, 0xe000, 0xfffd, 0xfffe, 0xffff, 0x10000, 0x1fffe, 0x1ffff, 0x3ffff, 0x40000,
  0xfffff, 0x100000, 0x10fffe, 0x10ffff, 0x1f600, 0x3ba, 0x20ac];
const valid = [...points.map((point) => String.fromCodePoint(point)), 'κόσμε', 'Hello-µ@ßöäüàá-UTF-8!!', '日本語', 'e\u0301', '👩‍👩‍👧', 'ﷺ'];

const invalid = [
  [0x80], [0xbf], [0x80, 0xbf], [0x80, 0xbf, 0x80], // continuations without a beginning
  [0xc0], [0xdf], [0xe0], [0xef], [0xf0], [0xf7], [0xf8], [0xfb], [0xfc], [0xfd], [0xfe], [0xff], // beginnings without their ends
  [0xfe, 0xfe, 0xff, 0xff],
  [0xe0, 0x80], [0xe2, 0x82], [0xf0, 0x90, 0x80], [0xf8, 0x80, 0x80, 0x80], [0xfc, 0x80, 0x80, 0x80, 0x80], [0xdf, 0xdf], [0xef, 0xbf], [0xf7, 0xbf, 0xbf],
  [0xc0, 0xaf], [0xe0, 0x80, 0xaf], [0xf0, 0x80, 0x80, 0xaf], [0xf8, 0x80, 0x80, 0x80, 0xaf], [0xfc, 0x80, 0x80, 0x80, 0x80, 0xaf], // overlong /
  [0xc1, 0xbf], [0xe0, 0x9f, 0xbf], [0xf0, 0x8f, 0xbf, 0xbf], [0xf8, 0x87, 0xbf, 0xbf, 0xbf], // the largest overlong ones
  [0xc0, 0x80], [0xe0, 0x80, 0x80], [0xf0, 0x80, 0x80, 0x80], // overlong NUL
  [0xed, 0xa0, 0x80], [0xed, 0xad, 0xbf], [0xed, 0xae, 0x80], [0xed, 0xaf, 0xbf], [0xed, 0xb0, 0x80], [0xed, 0xbe, 0x80], [0xed, 0xbf, 0xbf], // surrogates
  [0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80], [0xed, 0xaf, 0xbf, 0xed, 0xbf, 0xbf], // in pairs
  [0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xf7, 0xbf, 0xbf, 0xbf], [0xf8, 0x88, 0x80, 0x80, 0x80], [0xfd, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf], // beyond
  [0xc3, 0x28], [0xe2, 0x28, 0xa1], [0xe2, 0x82, 0x28], [0xf0, 0x28, 0x8c, 0xbc], [0xf0, 0x90, 0x28, 0xbc], [0xf0, 0x28, 0x8c, 0x28],
];

const said = (inner) => Buffer.concat([Buffer.from('{"op":"ping","ref":"'), Buffer.from(inner), Buffer.from('"}')]);

/* Where the first wrong byte of `bytes` is, when an ASCII character follows: by the decoder of the platform, prefix by prefix. */
function firstWrong(bytes) {
  for (let n = 1; n <= bytes.length; n++) {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    try {
      decoder.decode(Buffer.from(bytes.slice(0, n)), { stream: true });
    } catch {
      return n - 1;
    }
  }
  return bytes.length; // the character behind it
}

const names = (one) => [...one].map((c) => `U+${c.codePointAt(0).toString(16)}`).join(' ');
const greek = [0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xcf, 0x83, 0xce, 0xbc, 0xce, 0xb5];

export const families = [
  { family: 'UTF-8, valid', cases: valid.flatMap((one) => {
    const whole = said(one);
    return [
      { name: `${names(one)} in one frame`, send: [text(whole)], hear: [`answer ${one}`] },
      { name: `${names(one)} in fragments of one byte`, send: [fragments(TEXT, whole, { size: 1 })], hear: [`answer ${one}`] },
      { name: `${names(one)} in single bytes`, send: [chopped(text(whole), 1)], hear: [`answer ${one}`] },
    ];
  }) },
  { family: 'UTF-8, invalid', cases: invalid.flatMap((one) => {
    const whole = said([...Buffer.from('κόσμε'), ...one, ...Buffer.from('edited')]);
    return [
      { name: `${hex(one)} in one frame`, send: [text(whole)], hear: ENDS(1007) },
      { name: `${hex(one)} in fragments of one byte`, send: [fragments(TEXT, whole, { size: 1 })], hear: ENDS(1007) },
      { name: `${hex(one)} alone`, send: [text(Buffer.from(one))], hear: ENDS(1007) },
      { name: `${hex(one)} at the end of a frame, before a last one`, send: [text(Buffer.from(one), { fin: false }), frame(CONTINUATION, 'x')], hear: ENDS(1007) },
    ];
  }) },
  { family: 'UTF-8, cut off', cases: ['é', '€', '𝄞'].flatMap((character) => Array.from({ length: Buffer.from(character).length - 1 }, (_, i) => {
    const part = Buffer.from(character).subarray(0, i + 1);
    return [
      { name: `${hex(part)} at the end of a message`, send: [text(Buffer.concat([Buffer.from('"'), part]))], hear: ENDS(1007) },
      { name: `${hex(part)} at the end of the last fragment`, send: [fragments(TEXT, '', { pieces: ['"', part] })], hear: ENDS(1007) },
      { name: `${hex(part)} and an empty last fragment`, send: [fragments(TEXT, '', { pieces: ['"', part, ''] })], hear: ENDS(1007) },
    ];
  }).flat()) },
  { family: 'UTF-8, told at once', cases: invalid.flatMap((one) => {
    const bytes = [...greek, ...one];
    const wrong = greek.length + firstWrong(one);
    const whole = text(Buffer.concat([Buffer.from(bytes), Buffer.alloc(200, 'x')])); // header 4, mask 4
    return [
      { name: `${hex(one)}: up to the wrong byte, and no further`, send: [whole.subarray(0, 8 + wrong + 1)], hear: ENDS(1007) },
      { name: `${hex(one)}: up to the wrong byte in single bytes`, send: [chopped(whole.subarray(0, 8 + wrong + 1), 1)], hear: ENDS(1007) },
      { name: `${hex(one)}: in a fragment, and no other follows`, send: [text(Buffer.concat([Buffer.from(bytes), Buffer.from('x')]), { fin: false })], hear: ENDS(1007) },
    ];
  }) },
];
