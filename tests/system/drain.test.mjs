// What SIGTERM does to a gateway with clients: not ready, nobody new, everybody is told when to come back, in batches over the time that
// is given for it, and it ends with 0.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { Cluster } from './lib/cluster.mjs';
import { Rest, newPerson } from './lib/client.mjs';
import { until } from './lib/wait.mjs';

const drainMs = 4000, clients = 80;
const cluster = new Cluster({ environment: { GUILDHALL_DRAIN_MS: String(drainMs), GUILDHALL_GATEWAY_LOOPS: '2' } });
before(() => cluster.start());
after(() => cluster.destroy());

function connect(token) {
  const client = { frames: [], closed: null };
  client.ready = new Promise((done, failed) => {
    const socket = new WebSocket(`${cluster.ws()}?resume=1`, { headers: { authorization: `Bearer ${token}` } });
    socket.on('message', (data) => {
      const frame = JSON.parse(data);
      client.frames.push({ ...frame, at: performance.now() });
      if (frame.type === 'hello') done();
    });
    socket.on('close', (code) => { client.closed = { code, at: performance.now() }; failed(new Error(`closed ${code}`)); });
    socket.on('error', failed);
  });
  return client;
}

test('a gateway that ends sends its clients away in jittered batches', { timeout: 120000 }, async () => {
  const [gateway] = cluster.copies.gateway;
  const person = await newPerson(new Rest(cluster.api), 'drained');
  const all = Array.from({ length: clients }, () => connect(person.token));
  await Promise.all(all.map((client) => client.ready));

  const ended = gateway.stop('SIGTERM');
  await until('it says that it is not ready', async () => (await fetch(`http://127.0.0.1:${gateway.opsPort}/readyz`)).status === 503, 10000);
  await until('nobody new is taken', () => connect(person.token).ready.then(() => false, () => true), 10000);
  assert.ok(all.some((client) => client.closed === null), 'not everybody is sent away at once');
  await until('all are gone', () => all.every((client) => client.closed !== null), 60000);
  assert.equal((await ended).code, 0);

  const told = all.map((client) => client.frames.filter((frame) => frame.type === 'reconnect'));
  for (const [i, frames] of told.entries()) {
    assert.equal(frames.length, 1, 'each is told once');
    assert.equal(all[i].closed.code, 1012);
    assert.ok(all[i].closed.at >= frames[0].at, 'and closed afterwards');
    const { after_ms: afterMs } = frames[0].data;
    assert.ok(Number.isInteger(afterMs) && afterMs >= 0 && afterMs <= drainMs, `after_ms ${afterMs}`);
  }
  // Jitter: when to come back differs, and so does when it is said.
  const when = told.map(([frame]) => frame.data.after_ms);
  assert.ok(new Set(when).size > clients / 4, `only ${new Set(when).size} different times`);
  assert.ok(Math.max(...when) - Math.min(...when) > drainMs / 4);
  const said = told.map(([frame]) => frame.at);
  assert.ok(Math.max(...said) - Math.min(...said) > drainMs / 3, 'batches are spread over the time that is given');
});
