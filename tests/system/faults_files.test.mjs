// Promise 5 without files: an api and a gateway that may open few, under more connections than that. Who is too many is told so or waits,
// the process does not spin, who is there already goes on, and when there are files again everybody gets in.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createConnection } from 'node:net';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { Cluster } from './lib/cluster.mjs';
import { Fire, long } from './lib/fire.mjs';
import { sleep, until } from './lib/wait.mjs';

const most = { api: 200, gateway: 200 };
const cluster = new Cluster({ prefix: (copy) => (most[copy.service] ? ['prlimit', `--nofile=${most[copy.service]}:${most[copy.service]}`] : []) });
const [api] = cluster.copies.api;
const [gateway] = cluster.copies.gateway;
const filesOf = (copy) => readdirSync(`/proc/${copy.child.pid}/fd`).length;
let fire, stop;

before(async () => {
  await cluster.start();
  fire = await Fire.light(cluster, { people: 1 });
  stop = fire.load();
}, { timeout: 120000 });
after(async () => {
  fire?.end();
  await cluster.destroy();
}, { timeout: 120000 });

/** The share of one processor that a process uses while the load goes on. Processor time: a busy machine makes it less, never more. */
async function share(copy) {
  const [cpu, at] = [copy.cpuSeconds(), Date.now()];
  await sleep(long ? 10000 : 2000);
  return ((copy.cpuSeconds() - cpu) * 1000) / (Date.now() - at);
}
const goesOn = async (what) => {
  const had = fire.watchers.map((watcher) => watcher.events.length);
  await until(`${what}: who is there goes on`, () => fire.watchers.every((watcher, i) => watcher.events.length > had[i] + 5), 60000);
};
/** A websocket that tries: what became of it. */
function knock() {
  const ws = new WebSocket(cluster.ws(), { headers: { authorization: `Bearer ${fire.owner.token}` }, perMessageDeflate: false });
  const said = new Promise((done) => {
    ws.once('message', () => done('in'));
    ws.once('unexpected-response', (_rq, rs) => done(rs.statusCode) || ws.terminate());
    ws.once('error', (error) => done(error.code ?? error.message));
  });
  ws.on('error', () => {});
  return { ws, said };
}

test('a gateway without files refuses by name, does not spin and takes sockets again', { timeout: 180000 }, async () => {
  const quiet = await share(gateway);
  const alone = filesOf(gateway);
  // More than it gives itself of the files that it may have.
  const first = Array.from({ length: 150 }, knock);
  const said = await Promise.all(first.map((one) => one.said));
  const refused = said.filter((word) => word !== 'in');
  assert.ok(refused.length > 0 && refused.length < 150, JSON.stringify(said));
  assert.deepEqual([...new Set(refused)], [503]);
  await goesOn('a full gateway');
  for (const { ws } of first) ws.terminate();
  // Fewer than it has reckoned with: none is left when it wants to accept.
  await until('the sockets are closed', () => filesOf(gateway) <= alone);
  execFileSync('prlimit', ['--pid', String(gateway.child.pid), `--nofile=${filesOf(gateway) + 3}:${most.gateway}`]);
  const second = Array.from({ length: 60 }, knock);
  const heard = [];
  for (const one of second) one.said.then((word) => heard.push(word));
  await until('some are refused', () => heard.filter((word) => word === 503).length > 0, 30000);
  const knocking = await share(gateway);
  await goesOn('a gateway without files');
  assert.ok(knocking < quiet + 0.3, `it spins: ${knocking} of a processor, ${quiet} before`);
  execFileSync('prlimit', ['--pid', String(gateway.child.pid), `--nofile=${most.gateway}:${most.gateway}`]);
  for (const { ws } of second) ws.terminate();
  await until('it takes sockets again', async () => {
    const one = knock();
    const word = await one.said;
    one.ws.terminate();
    return word === 'in';
  }, 60000);
  console.log(`# ${refused.length} of 150 refused; ${knocking.toFixed(2)} of a processor without files, ${quiet.toFixed(2)} with; heard ${[...new Set(heard)]}`);
});

test('an api with few files never runs out of them: who is too many waits, and is answered', { timeout: 180000 }, async () => {
  const quiet = await share(api);
  // Callers who ask and stay, for as long as they may; they come again when they are sent away. More than there are files.
  let answered = 0;
  const idle = Array.from({ length: 400 }, () => {
    const caller = {};
    const call = () => {
      caller.socket = createConnection(api.httpPort, '127.0.0.1').on('error', () => {}).on('close', () => caller.over || setTimeout(call, 500));
      caller.socket.on('data', () => answered++);
      caller.socket.write(`GET /v1/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${fire.owner.token}\r\n\r\n`);
    };
    call();
    return caller;
  });
  await until('more were answered than there are files', () => answered > 400, 60000);
  assert.ok(filesOf(api) < most.api, `${filesOf(api)} files of ${most.api}`);
  assert.equal(await api.isReady(), true, 'its own port answers');
  const metrics = await api.metrics();
  assert.ok(Object.keys(metrics).length > 10);
  await goesOn('an api with more connections than files');
  // And some who ask nothing at all: nothing is done for them.
  for (const caller of idle) {
    caller.over = true;
    caller.socket.destroy();
  }
  const mute = Array.from({ length: 20 }, () => createConnection(api.httpPort, '127.0.0.1').on('error', () => {}));
  const holding = await share(api);
  assert.ok(holding < quiet + 0.3, `it spins: ${holding} of a processor, ${quiet} before`);
  for (const socket of mute) socket.destroy();
  // Everybody at once, each on a connection of his own.
  const asked = await Promise.all(Array.from({ length: 300 }, () => fire.owner.rest.sure('GET', '/v1/me', undefined, { headers: { connection: 'close' }, ms: 60000 })));
  assert.ok(asked.every((answer) => answer.status === 200));
  console.log(`# ${holding.toFixed(2)} of a processor with mute connections, ${quiet.toFixed(2)} before; ${filesOf(api)} files`);
});

test('nothing was lost meanwhile', { timeout: 120000 }, async () => {
  await stop();
  await fire.judge();
});
