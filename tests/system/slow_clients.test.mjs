// An api without an edge before it, whose workers are all held by clients that send their requests byte by byte.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, newPerson } from './lib/client.mjs';
import { until } from './lib/wait.mjs';

const WORKERS = 6;
const cluster = new Cluster({ environment: { GUILDHALL_HTTP_WORKERS: String(WORKERS), GUILDHALL_HTTP_REQUEST_MS: '1500' } });
let rest, person;

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  person = await newPerson(rest, 'quick');
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

/** Sends `head`, then `bytes` again and again until the other side ends; what it heard. */
function trickle(head, bytes) {
  const { hostname, port } = new URL(cluster.api);
  const client = { text: '', ended: false };
  const socket = connect(Number(port), hostname, () => socket.write(head));
  const drip = setInterval(() => socket.writable && socket.write(bytes), 100);
  socket.on('data', (data) => (client.text += data)).on('error', () => {}).on('close', () => {
    clearInterval(drip);
    client.ended = true;
  }).on('end', () => socket.destroy());
  client.end = () => socket.destroy();
  return client;
}

const post = 'POST /v1/teams HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n';
for (const [what, head, bytes, answer] of [
  ['a body', () => `${post}Authorization: Bearer ${person.token}\r\nContent-Length: 100000\r\n\r\n`, ' ', /^HTTP\/1\.1 503 .*Connection: close.*the body took too long.*"late"/s],
  ['a body in chunks', () => `${post}Authorization: Bearer ${person.token}\r\nTransfer-Encoding: chunked\r\n\r\n`, '1\r\n \r\n', /^HTTP\/1\.1 503 .*Connection: close.*"late"/s],
  ['a body that nobody will read', () => `${post}Content-Length: 10000000\r\n\r\n`, ' ', /^HTTP\/1\.1 4\d\d .*Connection: close/s],
  ['a head', () => 'GET /v1/me HTTP/1.1\r\nX-Slow: ', 'x', /^(HTTP\/1\.1 4.*)?$/s],
])
  test(`many who send ${what} byte by byte are ended, and keep nobody else from being answered`, { timeout: 120000 }, async () => {
    const slow = Array.from({ length: WORKERS }, () => trickle(head(), bytes));
    const answers = await Promise.all(Array.from({ length: 4 }, () => person.rest.sure('GET', '/v1/me')));
    assert.deepEqual(answers.map((a) => a.status), [200, 200, 200, 200]);
    await until('all of them are ended', () => slow.every((client) => client.ended), 60000);
    for (const client of slow) assert.match(client.text, answer);
  });
