// Images as cameras and browsers write them.
import { deflateSync } from 'node:zlib';

/* zlib's own came after node 18. */
function crc(bytes) {
  let c = ~0;
  for (const byte of bytes) {
    c ^= byte;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xEDB88320 : c >>> 1;
  }
  return ~c >>> 0;
}

/** Of one colour; when it is not honest, of fewer bytes than it says. */
export function png(width, height, { honest = true } = {}) {
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc(body), body.length + 4);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const pixels = honest ? Buffer.alloc((1 + 3 * width) * height, 0x40) : Buffer.alloc(1000);
  if (honest) for (let y = 0; y < height; y++) pixels[y * (1 + 3 * width)] = 0;
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head), chunk('IDAT', deflateSync(pixels)), chunk('IEND', Buffer.alloc(0))]);
}

/** Two frames of one colour each. */
export function gif(width, height) {
  const u16 = (n) => [n & 255, n >> 8];
  const codes = []; // of 3 bits: clear, a zero, clear, ... : every pixel by itself
  for (let i = 0; i < width * height; i++) codes.push(4, 0);
  codes.push(5);
  const bits = codes.flatMap((code) => [code & 1, (code >> 1) & 1, code >> 2]);
  const data = Buffer.alloc(Math.ceil(bits.length / 8));
  bits.forEach((bit, i) => { data[i >> 3] |= bit << (i & 7); });
  const blocks = [];
  for (let at = 0; at < data.length; at += 255) blocks.push(Math.min(255, data.length - at), ...data.subarray(at, at + 255));
  const frame = [0x2C, 0, 0, 0, 0, ...u16(width), ...u16(height), 0, 2, ...blocks, 0];
  return Buffer.from([...Buffer.from('GIF89a'), ...u16(width), ...u16(height), 0x91, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0,
    0x21, 0xFF, 11, ...Buffer.from('NETSCAPE2.0'), 3, 1, 0, 0, 0, ...frame, ...frame, 0x3B]);
}

const hex = (text) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const segment = (mark, content) => Buffer.concat([Buffer.from([0xFF, mark, (content.length + 2) >> 8, (content.length + 2) & 255]), content]);
const exif = (tiff) => segment(0xE1, Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), tiff]));
const behindStart = (jpeg, ...more) => Buffer.concat([jpeg.subarray(0, 2), ...more, jpeg.subarray(2)]);

/** A JPEG with what a camera writes beside it: how it was held, its maker, a date of the position; XMP, captions, a comment, another picture. */
export function photographed(jpeg) {
  const tiff = Buffer.concat([hex('4d4d002a 00000008 0003 0112 0003 00000001 0006 0000 010f 0002 0000000d 00000032 8825 0004 00000001 0000003f 00000000'),
    Buffer.from('SECRET Cacme\0', 'latin1'), hex('0001 001d 0002 0000000b 00000051 00000000'), Buffer.from('SECRETdate\0', 'latin1')]);
  return Buffer.concat([behindStart(jpeg, exif(tiff), segment(0xE1, Buffer.from('http://ns.adobe.com/xap/1.0/\0<x>SECRET</x>', 'latin1')),
    segment(0xED, Buffer.from('Photoshop 3.0\0SECRET', 'latin1')), segment(0xFE, Buffer.from('SECRET'))), jpeg, Buffer.from('SECRET')]);
}

/** The same JPEG with what is to stay of that. */
export const turnedOnly = (jpeg) => behindStart(jpeg, exif(hex('4d4d002a 00000008 0001 0112 0003 00000001 0006 0000 00000000')));
