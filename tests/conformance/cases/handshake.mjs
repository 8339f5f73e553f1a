// The upgrade: what opens a socket, what is refused with which status, and what else the answer must say.
// Rows: { name, request (options of request(), or bytes), status, has: {header: value}, hasNot: [header], chop, then, hear }
import { ping } from '../frames.mjs';
import { ENDS } from './lib.mjs';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const good = (headers, rest) => ({ headers, ...rest });
const refused = (status, rows) => Object.entries(rows).map(([name, request]) => ({ name, request, status }));

const opens = {
  'a plain upgrade': good({}),
  'names of headers in any case': good({ Upgrade: null, upgrade: 'websocket', Connection: null, CONNECTION: 'Upgrade' }),
  'values in any case': good({ Upgrade: 'WebSocket', Connection: 'upgrade' }),
  'a list in Connection': good({ Connection: 'keep-alive, Upgrade' }),
  'two Connection headers': good({ Connection: ['keep-alive', 'Upgrade'] }),
  'a list in Upgrade': good({ Upgrade: 'h2c, websocket' }),
  'blanks around values': good({ Upgrade: '  websocket \t', 'Sec-WebSocket-Version': ' 13 ' }),
  'a subprotocol that nobody has': good({ 'Sec-WebSocket-Protocol': 'chat, superchat' }),
  'an extension that nobody has': good({ 'Sec-WebSocket-Extensions': 'x-unknown; a=1; b="c"' }),
  'the absolute form of the target': good({}, { line: 'GET http://conformance/v1/ws HTTP/1.1' }),
  'a query': good({}, { path: '/v1/ws?resume=1&x=y' }),
  'fifteen KiB of headers': good({ 'X-Long': 'x'.repeat(15000) }),
  'an origin that is listed': good({ Origin: 'https://chat.example' }),
  'an origin in other letters': good({ Origin: 'https://CHAT.example' }),
  'an origin below a listed domain': good({ Origin: 'https://a.b.apps.example' }),
};

export const family = 'handshake';
export const cases = [
  ...Object.entries(opens).map(([name, request]) => ({ name, request, status: 101, hasNot: ['sec-websocket-protocol', 'sec-websocket-extensions'] })),
  { name: 'the key of the RFC', request: { key: KEY }, status: 101, has: { 'sec-websocket-accept': 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', upgrade: 'websocket', connection: 'Upgrade' } },
  ...[1, 2, 3, 100].map((chop) => ({ name: `in pieces of ${chop}`, request: {}, chop, status: 101 })),
  { name: 'a frame in the same piece as the request', request: {}, then: ping('at once'), status: 101, hear: ['pong at once'] },
  { name: 'garbage behind the request', request: {}, then: Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), status: 101, hear: ENDS(1002) },
  { name: 'a second request behind the first', request: {}, then: Buffer.from('\x16\x03\x01\x02\x00'), status: 101, hear: ENDS(1002) },
  ...refused(426, {
    'no Upgrade': good({ Upgrade: null }), 'another Upgrade': good({ Upgrade: 'h2c' }), 'no Connection': good({ Connection: null }), 'another Connection': good({ Connection: 'close' }),
    'no version': good({ 'Sec-WebSocket-Version': null }), 'version 8': good({ 'Sec-WebSocket-Version': '8' }), 'version 0': good({ 'Sec-WebSocket-Version': '0' }),
    'version 14': good({ 'Sec-WebSocket-Version': '14' }), 'version 13 with a zero in front': good({ 'Sec-WebSocket-Version': '013' }), 'versions in a list': good({ 'Sec-WebSocket-Version': '13, 8' }),
    'a version that is no number': good({ 'Sec-WebSocket-Version': 'x' }), 'no websocket at all': good({ Upgrade: null, Connection: null, 'Sec-WebSocket-Key': null, 'Sec-WebSocket-Version': null }),
  }).map((row) => ({ ...row, has: { 'sec-websocket-version': '13', upgrade: 'websocket' } })),
  ...refused(400, {
    'no key': good({ 'Sec-WebSocket-Key': null }), 'an empty key': good({ 'Sec-WebSocket-Key': '' }), 'a key of 15 bytes': good({ 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAA' }),
    'a key of 17 bytes': good({ 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAAA=' }), 'a key that is not base64': good({ 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZ!==' }),
    'two keys': good({ 'Sec-WebSocket-Key': [KEY, KEY] }), 'two versions': good({ 'Sec-WebSocket-Version': ['13', '13'] }),
    'no Host': good({ Host: null }), 'two Hosts': good({ Host: ['a', 'b'] }), 'a body': good({ 'Content-Length': '5' }), 'a body in chunks': good({ 'Transfer-Encoding': 'chunked' }),
    'a header without a colon': good({}, { line: 'GET /v1/ws HTTP/1.1\r\nno colon' }), 'a header without a name': good({}, { line: 'GET /v1/ws HTTP/1.1\r\n: x' }),
    'a blank before the colon': good({}, { line: 'GET /v1/ws HTTP/1.1\r\nA : x' }), 'a folded header': good({}, { line: 'GET /v1/ws HTTP/1.1\r\nA: x\r\n y' }),
    'a NUL in a header': good({ 'X-Nul': 'a\0b' }), 'a bare line feed': good({ 'X-Feed': 'a\nb: c' }), 'no target': good({}, { line: 'GET HTTP/1.1' }),
    'a target without a slash': good({}, { line: 'GET v1/ws HTTP/1.1' }), 'nonsense': good({}, { line: 'nonsense' }), 'extensions that are no list': good({ 'Sec-WebSocket-Extensions': 'permessage-deflate;' }),
    'two Origins': good({ Origin: ['https://chat.example', 'https://chat.example'] }),
  }),
  ...refused(403, {
    'another origin': good({ Origin: 'https://evil.example' }), 'another scheme': good({ Origin: 'http://chat.example' }), 'another port': good({ Origin: 'https://chat.example:8443' }),
    'the origin as a part of another': good({ Origin: 'https://chat.example.evil.example' }), 'no origin by name': good({ Origin: 'null' }), 'the domain itself': good({ Origin: 'https://apps.example' }),
    'an empty origin': good({ Origin: '' }),
  }),
  ...refused(404, { 'another path': good({}, { path: '/' }), 'a path below': good({}, { path: '/v1/ws/x' }) }),
  ...refused(405, { POST: good({}, { line: 'POST /v1/ws HTTP/1.1' }), HEAD: good({}, { line: 'HEAD /v1/ws HTTP/1.1' }), 'get in small letters': good({}, { line: 'get /v1/ws HTTP/1.1' }) })
    .map((row) => ({ ...row, has: { allow: 'GET' } })),
  ...refused(505, { 'HTTP/1.0': good({}, { line: 'GET /v1/ws HTTP/1.0' }), 'HTTP/2.0': good({}, { line: 'GET /v1/ws HTTP/2.0' }) }),
  ...refused(431, { 'more than 16 KiB of headers': good({ 'X-Long': 'x'.repeat(17000) }), 'a thousand headers': good({ 'X-Many': Array(1000).fill('0123456789') }), 'a line without an end': Buffer.alloc(20000, 'x'),
    'a megabyte of headers': good({ 'X-Long': 'x'.repeat(1 << 20) }) }),
  ...refused(400, { 'a TLS hello': Buffer.concat([Buffer.from([0x16, 3, 1, 2, 0, 1, 0]), Buffer.from('\r\n\r\n')]), 'an empty line': Buffer.from('\r\n\r\n') }),
];
