// What one gateway lets in: each limit met on real sockets, its refusal spelled for clients and counted for operators, and whoever is
// within it untouched.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { until } from './lib/wait.mjs';

// The first gateway limits by address, account and time, the second by rates and by what waits; loopback is the edge of both.
const limits = [
  { GUILDHALL_WS_SOCKETS_PER_ADDRESS: '3', GUILDHALL_WS_SOCKETS_PER_ACCOUNT: '2', GUILDHALL_WS_HANDSHAKE_MS: '2500', GUILDHALL_WS_AUTH_MS: '3000' },
  { GUILDHALL_WS_HANDSHAKES_PER_S_ADDRESS: '5', GUILDHALL_WS_QUEUE_TOTAL_BYTES: '200000', GUILDHALL_WS_QUEUE_BYTES: '10000000', GUILDHALL_WS_QUEUE_MS: '600000',
    GUILDHALL_WS_SNDBUF_BYTES: '16384' },
];
const cluster = new Cluster({ copies: { gateway: 2 }, environment: (copy) => (copy?.service === 'gateway' ? limits[copy.number - 1] : {}) });
let rest, owner, team, channel;
let people = 0;
const someone = () => newPerson(rest, `person${++people}`);
const refused = async (cause, number = 0) => (await cluster.copies.gateway[number].metrics())[`guildhall_gateway_refused_total{cause="${cause}"}`];
const open = (person, { address, number = 0, query = '' } = {}) =>
  new Socket(cluster.ws(number) + query, { token: person?.token, headers: address ? { 'x-forwarded-for': address } : {} });
const end = async (...sockets) => {
  for (const socket of sockets) socket.end();
  await Promise.all(sockets.map((socket) => socket.closed));
};

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  owner = await someone();
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'limits' });
  channel = await owner.rest.ok('POST', '/v1/channels', { name: 'general', team_id: team.id });
}, { timeout: 120000 });
after(async () => {
  assert.deepEqual(cluster.unexpected, [], 'no process ended');
  await cluster.destroy();
}, { timeout: 60000 });

test('the fourth socket of an address is 429, of one network of IPv6 too, and the next comes in when one has gone', async () => {
  for (const addresses of [Array(4).fill('192.0.2.10'), ['1', '2', '3', 'ffff'].map((host) => `2001:db8:0:7::${host}`)]) {
    const before = await refused('address_sockets');
    const there = addresses.slice(0, 3).map((address) => open(null, { address }));
    await Promise.all(there.map((socket) => socket.opened));
    await assert.rejects(open(null, { address: addresses[3] }).opened, { status: 429 });
    assert.equal(await refused('address_sockets'), before + 1);
    const [elsewhere, edge] = [open(null, { address: '198.51.100.1' }), open(null)];
    await Promise.all([elsewhere.opened, edge.opened]);
    await end(there[0]);
    let next;
    await until('there is room again', async () => {
      next = open(null, { address: addresses[3] });
      return next.opened.then(() => true, () => false);
    });
    await end(...there.slice(1), elsewhere, edge, next);
  }
});

test('the third socket of an account is closed with 4429, and the two that were there go on', async () => {
  const person = await someone();
  const there = [open(person), open(person)];
  await Promise.all(there.map((socket) => socket.frame('hello', { ms: 30000 })));
  const third = open(person);
  const { code, reason } = await third.closed;
  assert.deepEqual({ code, reason }, { code: 4429, reason: 'too many sockets of this account' });
  assert.equal(await refused('account_sockets'), 1);
  for (const socket of there) socket.send({ op: 'ping' });
  await Promise.all(there.map((socket) => socket.frame('pong')));
  await end(there[0]);
  await until('there is room again', async () => {
    const next = open(person);
    const came = await Promise.race([next.frame('hello').then(() => true, () => false), next.closed.then(() => false)]);
    await end(next);
    return came;
  });
  await end(there[1]);
});

test('a request that trickles is cut, one that never authenticates is 4408', async () => {
  const before = await refused('slow_handshake');
  const silent = open(null);
  await silent.opened;
  const trickling = connect({ host: '127.0.0.1', port: cluster.copies.gateway[0].wsPort });
  trickling.on('error', () => {});
  trickling.on('data', () => {});
  const timer = setInterval(() => trickling.write('G'), 100);
  await new Promise((done) => trickling.once('close', done));
  clearInterval(timer);
  assert.equal(await refused('slow_handshake'), before + 1);
  assert.equal((await silent.closed).code, 4408);
  assert.equal(await refused('unauthenticated'), 1);
});

test('upgrades above the rate of an address are 429 with Retry-After, and other addresses are not concerned', async () => {
  const request = (address) => new Promise((done) => {
    const socket = connect({ host: '127.0.0.1', port: cluster.copies.gateway[1].wsPort }, () => socket.write('GET /v1/ws HTTP/1.1\r\nHost: x\r\n'
      + 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' + `X-Forwarded-For: ${address}\r\n\r\n`));
    socket.once('data', (bytes) => (socket.destroy(), done(bytes.toString())));
    socket.on('error', () => done(''));
  });
  const answers = await Promise.all(Array.from({ length: 40 }, () => request('192.0.2.20')));
  const statuses = answers.map((answer) => Number(answer.split(' ')[1]));
  assert.ok(statuses.filter((status) => status === 101).length >= 5, `${statuses}`);
  assert.ok(statuses.includes(429), `${statuses}`);
  for (const answer of answers.filter((text) => text.includes(' 429 '))) assert.match(answer, /\r\nRetry-After: \d+\r\n/);
  assert.equal(await refused('address_rate', 1), statuses.filter((status) => status === 429).length);
  assert.match(await request('192.0.2.21'), /^HTTP\/1\.1 101 /);
});

test('when all queues together are full, who does not read is closed and the others get everything', async () => {
  const query = `?topics=channel:${channel.id}`;
  const [reader, ...stuck] = Array.from({ length: 4 }, () => open(owner, { number: 1, query }));
  await Promise.all([reader, ...stuck].map((socket) => socket.frame('subscribed', { ms: 30000 })));
  for (const socket of stuck) socket.ws.pause();
  const metrics = () => cluster.copies.gateway[1].metrics();
  const posted = [];
  // What the kernels hold comes first; of the 10 MB a socket none of them comes near.
  while ((await metrics()).guildhall_gateway_queue_relieved_total === 0) {
    assert.ok(posted.length < 8000, 'nobody is closed');
    const batch = Array.from({ length: 10 }, (_, i) => owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: `${posted.length + i} `.padEnd(3900, 'x') }));
    posted.push(...(await Promise.all(batch)).map((message) => message.id));
  }
  await until('the reader has all', () => reader.frames.filter((f) => f.type === 'channel_message').length >= posted.length, 60000);
  assert.equal(reader.close, undefined);
  await until('the rest is within the bound', async () => (await metrics()).guildhall_gateway_queue_bytes <= 200000);
  const seen = await metrics();
  assert.equal(seen.guildhall_gateway_slow_readers_total, seen.guildhall_gateway_queue_relieved_total);
  await end(reader, ...stuck);
});

test('sockets are counted by dialect and state, and the turns of the loops are measured', async () => {
  const person = await someone();
  const [known, unknown] = [open(person), open(null)];
  await Promise.all([known.frame('hello', { ms: 30000 }), unknown.opened]);
  const state = async (name) => (await cluster.copies.gateway[0].metrics())[`guildhall_gateway_sockets_state{dialect="house",state="${name}"}`];
  await until('one is ready, one is not yet', async () => await state('ready') === 1 && await state('connecting') === 1);
  await end(known, unknown);
  await until('none is left', async () => await state('ready') === 0 && await state('connecting') === 0 && await state('closing') === 0);
  assert.ok((await cluster.copies.gateway[0].metrics()).guildhall_gateway_loop_lag_seconds_count > 0);
});
