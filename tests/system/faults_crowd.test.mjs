// Thousands of sockets over three gateways, with compression, while posts go on: gateways and messaging are killed, and gateways are
// restarted one by one. Every socket gets every message once and in order, over as many connections as it takes.
// GUILDHALL_TEST_LONG=1: 5,000 sockets.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { Cluster } from './lib/cluster.mjs';
import { Crowd, assertRight, unlimited } from './lib/crowd.mjs';
import { Fire, long } from './lib/fire.mjs';
import { sleep } from './lib/wait.mjs';

const sockets = long ? 5000 : 900;
const pause = long ? 1200 : 400; // between the posts of one poster in one channel: twelve of them
const cluster = new Cluster({
  copies: { gateway: 3, messaging: 2 },
  supervise: true,
  environment: { ...unlimited, GUILDHALL_LOG_LEVEL: 'warn', GUILDHALL_DRAIN_MS: long ? '5000' : '1500' },
});
let fire;
before(async () => {
  await cluster.start();
  fire = await Fire.light(cluster, { people: 3, channels: 3, gateways: [] });
});
after(() => cluster.destroy());

async function survive(t, harm) {
  const crowd = await Crowd.gather(fire, sockets);
  try {
    const stop = fire.load({ pause });
    await sleep(500);
    await harm(crowd);
    await sleep(500);
    await stop();
    const report = await crowd.settle();
    t.diagnostic(JSON.stringify(report));
    assertRight(report);
    await fire.judge();
    return report;
  } finally {
    crowd.end();
  }
}

test('gateways and messaging are killed', { timeout: 600000 }, async (t) => {
  const report = await survive(t, async () => {
    for (const copy of [...cluster.copies.gateway, ...cluster.copies.messaging, cluster.copies.gateway[0]]) {
      copy.kill9();
      await copy.ready(60000);
      await sleep(300);
    }
  });
  assert.ok(report.reconnects >= sockets, `${report.reconnects} connections were made anew`);
  assert.ok(report.recovered >= sockets, `${report.recovered} of them resumed`);
  assert.ok(report.compressed > 0, 'frames came compressed');
});

test('three gateways are restarted one by one', { timeout: 600000 }, async (t) => {
  const report = await survive(t, async () => {
    for (const copy of cluster.copies.gateway) {
      assert.equal((await copy.stop()).code, 0, `${copy.name} ends as it should`);
      copy.spawn();
      await copy.ready(60000);
    }
  });
  assert.ok(report.sent_away >= sockets, `${report.sent_away} were told when to come back`);
  assert.ok(report.recovered >= sockets, `${report.recovered} resumed`);
  const metrics = await Promise.all(cluster.copies.gateway.map((copy) => copy.metrics()));
  const from = (where) => metrics.reduce((sum, one) => sum + one[`guildhall_gateway_resumed_from_total{from="${where}"}`], 0);
  t.diagnostic(`resumed from memory ${from('memory')}, from the log ${from('log')}, nothing missed ${from('nothing')}`);
  assert.ok(from('memory') > 0, 'what was missed a moment ago is remembered');
});
