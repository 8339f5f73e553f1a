// Promise 3 across a cut: the bus, and then all there is, between the publishers and one gateway is silent or refused for a while.
// Nothing is restarted, sockets stay open, and afterwards everything has arrived once and in order.
//   GUILDHALL_TEST_LONG=1: cuts of 30 s instead of 8 s.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { basename, dirname, join } from 'node:path';
import { Cluster } from './lib/cluster.mjs';
import { Fire, long } from './lib/fire.mjs';
import { Wire } from './lib/proxy.mjs';
import { sleep, until } from './lib/wait.mjs';

const cutMs = long ? 30000 : 8000;
const wires = { pub: new Map(), rpc: new Map() };
/** The addresses as gateway 1 sees them: each with a wire of its own. */
const wired = (addresses, kind) => addresses.split(',').map((address) => {
  const to = address.replace('ipc://', '');
  const from = join(dirname(to), `wire-${basename(to)}`);
  if (!wires[kind].has(from)) wires[kind].set(from, new Wire(from, to));
  return `ipc://${from}`;
}).join(',');
const cluster = new Cluster({
  copies: { gateway: 2, messaging: 2 },
  environment: (copy, c) => {
    if (copy?.name !== 'gateway-1') return {};
    const env = {};
    env.GUILDHALL_PUB_PEERS = wired(['api', 'messaging', 'moderation', 'presence'].map((service) => c.addresses(service, 'pub')).join(','), 'pub');
    for (const service of ['api', 'messaging', 'moderation', 'presence']) env[`GUILDHALL_RPC_${service.toUpperCase()}`] = wired(c.addresses(service, 'rpc'), 'rpc');
    return env;
  },
});
const gateway = cluster.copies.gateway[0];
const each = (kinds, act) => Promise.all(kinds.flatMap((kind) => [...wires[kind].values()].map(act)));
const pids = () => cluster.all().map((copy) => copy.child.pid);
let fire, begun;

before(async () => {
  cluster.environment(gateway); // names the wires
  await each(['pub', 'rpc'], (wire) => wire.open());
  await cluster.start();
  begun = pids();
  fire = await Fire.light(cluster);
}, { timeout: 120000 });
after(async () => {
  fire?.end();
  await cluster.destroy();
  await each(['pub', 'rpc'], (wire) => wire.refuse());
}, { timeout: 120000 });

const cuts = [
  { name: 'the bus is silent', kinds: ['pub'], cut: (wire) => wire.silence(), mend: (wire) => wire.speak() },
  { name: 'the bus is refused', kinds: ['pub'], cut: (wire) => wire.refuse(), mend: (wire) => wire.open() },
  { name: 'bus and calls are silent', kinds: ['pub', 'rpc'], cut: (wire) => wire.silence(), mend: (wire) => wire.speak() },
];
for (const { name, kinds, cut, mend } of cuts) {
  test(`${name} for ${cutMs / 1000} s between every process and a gateway: everything arrives, once and in order, and nothing is restarted`, { timeout: 300000 }, async () => {
    const connects = fire.watchers.map((watcher) => watcher.connects);
    const stop = fire.load();
    await sleep(500);
    await each(kinds, cut);
    const since = Date.now();
    await until('the gateway says that it hears nothing', async () => !(await gateway.isReady()), 30000);
    await sleep(cutMs - (Date.now() - since));
    assert.equal(await gateway.isReady(), false, 'not while it is cut off');
    const during = fire.acked.length;
    await each(kinds, mend);
    await gateway.ready(60000);
    await sleep(500);
    await stop();
    assert.ok(fire.acked.length > during, 'posting went on');
    const compared = await fire.judge();
    assert.deepEqual(fire.watchers.map((watcher) => watcher.connects), connects, `no socket was closed for it: ${JSON.stringify(fire.watchers.map((watcher) => watcher.closes))}`);
    assert.deepEqual(pids(), begun, 'nothing was restarted');
    console.log(`# ${fire.acked.length} acknowledged, ${compared} deliveries compared`);
  });
}
