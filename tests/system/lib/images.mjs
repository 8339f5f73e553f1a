// Images as cameras and browsers write them.
import { constants, deflateRawSync, deflateSync } from 'node:zlib';

/* zlib's own came after node 18. */
function crc(bytes) {
  let c = ~0;
  for (const byte of bytes) {
    c ^= byte;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xEDB88320 : c >>> 1;
  }
  return ~c >>> 0;
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc(body), body.length + 4);
  return out;
}
function pngHead(width, height, kind) {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set(kind, 8);
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head)]);
}

/** Of one colour; when it is not honest, of fewer bytes than it says. */
export function png(width, height, { honest = true } = {}) {
  const pixels = honest ? Buffer.alloc((1 + 3 * width) * height, 0x40) : Buffer.alloc(1000);
  if (honest) for (let y = 0; y < height; y++) pixels[y * (1 + 3 * width)] = 0;
  return Buffer.concat([pngHead(width, height, [8, 2, 0, 0, 0]), chunk('IDAT', deflateSync(pixels)), chunk('IEND', Buffer.alloc(0))]);
}

/** All of it black and there, 16 bits a channel and interlaced: a thousandth of its pixels in bytes, and none of them before the last. */
export function pngBomb(width, height) {
  const mib = 1 << 20, count = Math.ceil((8 * width * height + 2 * 15 * (height + 8)) / mib);
  const zeros = deflateRawSync(Buffer.alloc(mib), { level: 9, finishFlush: constants.Z_FULL_FLUSH });
  const end = Buffer.from([0x03, 0x00, 0, 0, 0, 1]); // an empty last block; Adler-32 of zeros
  end.writeUInt16BE((count * mib) % 65521, 2);
  return Buffer.concat([pngHead(width, height, [16, 6, 0, 0, 1]),
    chunk('IDAT', Buffer.concat([Buffer.from([0x78, 0x9C]), ...Array(count).fill(zeros), end])), chunk('IEND', Buffer.alloc(0))]);
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

/** A GIF of one pixel and more frames than anybody shows. */
export function gifOfFrames(count) {
  const frame = Buffer.from([0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0]);
  return Buffer.concat([Buffer.from([...Buffer.from('GIF89a'), 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 255, 255, 255]), ...Array(count).fill(frame), Buffer.from([0x3B])]);
}

/** A progressive JPEG, 8192 pixels wide and 128 `times` high, of one colour. Each bit of each coefficient has a scan of its own, 2,649 of them, for which all
 * blocks are looked at again, and which says in few bytes that nothing changes. All of that is as the standard has it. */
export function jpegOfScans(times) {
  const u16 = (n) => [n >> 8, n & 255], run = 16384, blocks = run * times;
  // One code of one bit in either table, which is 0: a DC coefficient as before, and a run of 2^14 blocks without others (14 bits more, also 0).
  const table = (kind, symbol) => segment(0xC4, Buffer.from([kind, 1, ...Array(15).fill(0), symbol]));
  const scan = (component, k, high, low, bits) => Buffer.concat([segment(0xDA, Buffer.from([1, component, 0, k, k, (high << 4) | low])), Buffer.alloc(Math.ceil(bits / 8))]);
  const scans = [];
  for (let component = 1; component <= 3; component++) {
    scans.push(scan(component, 0, 0, 0, blocks));
    for (let k = 1; k < 64; k++)
      for (let low = 13; low >= 0; low--) scans.push(scan(component, k, low === 13 ? 0 : low + 1, low, 15 * times));
  }
  return Buffer.concat([Buffer.from([0xFF, 0xD8]), segment(0xDB, Buffer.from([0, ...Array(64).fill(1)])),
    segment(0xC2, Buffer.from([8, ...u16(128 * times), ...u16(8192), 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])), table(0x00, 0x00), table(0x10, 0xE0),
    ...scans, Buffer.from([0xFF, 0xD9])]);
}

/** A WebP of one colour, whose pixels take no bits at all: as a picture, or as one that moves. */
export function webp(width, height, { frames = 0 } = {}) {
  const bits = [];
  const put = (value, count) => { for (let i = 0; i < count; i++) bits.push(Math.floor(value / 2 ** i) & 1); };
  put(0x2F, 8);
  put(width - 1, 14);
  put(height - 1, 14);
  put(1, 1); // it has transparency
  put(0, 3 + 1 + 1 + 1); // version; no transform, no cache of colours, one group of codes
  for (const symbol of [0x40, 0x40, 0x40, 0xFF, 0]) { // green, red, blue, alpha, distance: each has one symbol, of no bits
    put(1, 1);
    put(0, 1);
    put(1, 1);
    put(symbol, 8);
  }
  const pixels = Buffer.alloc(Math.ceil(bits.length / 8));
  bits.forEach((bit, i) => { pixels[i >> 3] |= bit << (i & 7); });
  const part = (name, data) => Buffer.concat([Buffer.from(name, 'latin1'), u32(data.length), data, Buffer.alloc(data.length & 1)]);
  const u24 = (n) => Buffer.from([n & 255, (n >> 8) & 255, n >> 16]);
  const u32 = (n) => Buffer.concat([u24(n & 0xFFFFFF), Buffer.from([n >>> 24])]);
  const size = Buffer.concat([u24(width - 1), u24(height - 1)]);
  const frame = part('ANMF', Buffer.concat([Buffer.alloc(6), size, u24(100), Buffer.from([0]), part('VP8L', pixels)]));
  const parts = frames === 0 ? part('VP8L', pixels)
    : Buffer.concat([part('VP8X', Buffer.concat([Buffer.from([0x12, 0, 0, 0]), size])), part('ANIM', Buffer.alloc(6)), ...Array(frames).fill(frame)]);
  return part('RIFF', Buffer.concat([Buffer.from('WEBP'), parts]));
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
