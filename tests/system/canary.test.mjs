// The canary of the installation, and what makes a gateway ready: that publishers are heard, and nothing of the database.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { Cluster } from './lib/cluster.mjs';
import { until } from './lib/wait.mjs';

const cluster = new Cluster({ copies: { gateway: 2, messaging: 2 } });
before(() => cluster.start());
after(() => cluster.destroy());

const total = async (services, name) => {
  let sum = 0;
  for (const service of services) for (const copy of cluster.copies[service]) sum += (await copy.metrics())[name];
  return sum;
};

test('one canary goes through the whole installation, and every gateway measures it', { timeout: 120000 }, async () => {
  const senders = ['messaging', 'moderation'];
  for (const gateway of cluster.copies.gateway)
    await until(`${gateway.name} has measured two canaries`, async () => (await gateway.metrics()).guildhall_gateway_canary_seconds_count >= 2, 60000);
  // Each was committed by one of the three that could have.
  const sent = await total(senders, 'guildhall_canaries_sent_total');
  const [[rows, pause]] = cluster.pg.rows(`SELECT count(*), coalesce(extract(epoch FROM min(gap)), 5) FROM
    (SELECT created_at - lag(created_at) OVER (ORDER BY seq) AS gap FROM log.events WHERE rank = 3 AND id = 1) e`);
  assert.ok(Number(rows) >= sent, `${rows} in the log, ${sent} sent`);
  assert.ok(Number(pause) > 2, `two within ${pause} s`); // 5 s apart, or more when a busy machine is late
  for (const gateway of cluster.copies.gateway) {
    const at = (await gateway.metrics()).guildhall_gateway_canary_timestamp_seconds;
    assert.ok(Math.abs(Date.now() / 1000 - at) < 60, `the last one was committed at ${at}`);
  }
});

const unready = async (copy) => {
  const answer = await fetch(`http://127.0.0.1:${copy.opsPort}/readyz`);
  const { checks } = await answer.json();
  return answer.status === 503 ? checks.filter((check) => !check.ok).map((check) => check.name) : [];
};

test('a gateway is red when a publisher is not heard any more, and green again by itself', { timeout: 120000 }, async () => {
  const [publisher] = cluster.copies.presence;
  const gateways = cluster.copies.gateway;
  publisher.child.kill('SIGSTOP');
  const stopped = Date.now();
  try {
    for (const gateway of gateways) await until(`${gateway.name} is red`, async () => (await unready(gateway)).includes('bus'), 60000);
    assert.ok(Date.now() - stopped > 2000, 'a short silence is nothing');
  } finally {
    publisher.child.kill('SIGCONT');
  }
  for (const gateway of gateways) await gateway.ready(60000);
});

test('an outage of the database moves no gateway', { timeout: 120000 }, async () => {
  await cluster.pg.stop();
  const began = Date.now();
  let looks = 0;
  while (Date.now() - began < 5000) {
    for (const gateway of cluster.copies.gateway) assert.deepEqual(await unready(gateway), [], 'while the database is away');
    looks++;
    await new Promise((done) => setTimeout(done, 250));
  }
  assert.ok(looks > 5);
  await cluster.pg.start();
  for (const copy of cluster.all()) await copy.ready(60000);
});
