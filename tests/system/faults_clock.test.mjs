// Clocks that jump by an hour, either way, under load: of one process, of all, of PostgreSQL too. Ids stay unique, streams keep their
// order, nothing is lost, sessions live. Timeouts are the monotonic clock's, so nothing ends or waits for an hour either.
//   GUILDHALL_TEST_LONG=1: every process alone, and longer.
import assert from 'node:assert/strict';
import { chmodSync, closeSync, existsSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Cluster, build } from './lib/cluster.mjs';
import { Fire, long } from './lib/fire.mjs';
import { sleep, until } from './lib/wait.mjs';

const library = join(build, 'tests/lib/libskew.so');
const folder = mkdtempSync(join(tmpdir(), 'guildhall-clock-'));
chmodSync(folder, 0o755); // PostgreSQL, which is another user, reads its clock here
const file = (name) => join(folder, name);
function jump(name, seconds) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(seconds));
  const fd = openSync(file(name), existsSync(file(name)) ? 'r+' : 'w'); // in place: it is mapped
  writeSync(fd, bytes, 0, 8, 0);
  closeSync(fd);
}
const faked = (name) => ({ LD_PRELOAD: library, SKEW_FILE: file(name) });
const cluster = new Cluster({ copies: { gateway: 2, messaging: 2 }, environment: (copy) => (copy ? faked(copy.name) : {}) });
cluster.pg.environment = faked('postgres');
const names = () => [...cluster.all().map((copy) => copy.name), 'postgres'];
let fire;

before(async () => {
  for (const name of names()) jump(name, 0);
  await cluster.start();
  fire = await Fire.light(cluster);
}, { timeout: 120000 });
after(async () => {
  fire?.end();
  await cluster.destroy();
  rmSync(folder, { recursive: true, force: true });
}, { timeout: 120000 });

const dateOf = async () => Date.parse((await fetch(`${cluster.api}/v1/openapi.json`)).headers.get('date'));
test('the clocks of this test are the ones that processes see', async () => {
  assert.ok(Math.abs((await dateOf()) - Date.now()) < 600000);
  jump('api-1', 3600);
  await until('api is an hour ahead', async () => (await dateOf()) - Date.now() > 3000000);
  jump('postgres', -3600);
  await until('PostgreSQL is an hour behind', () => Date.now() - Number(cluster.pg.psql('SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint')) > 3000000);
  jump('api-1', 0);
  jump('postgres', 0);
});

const all = () => names().filter((name) => name !== 'postgres');
const steps = [
  ['one messaging ahead', () => ['messaging-1'], 3600],
  ['both messagings back', () => ['messaging-1', 'messaging-2'], -3600],
  ['PostgreSQL ahead', () => ['postgres'], 3600],
  ['all but PostgreSQL ahead', all, 3600],
  ['everything back', names, -3600],
  ['everything right again', names, 0],
  ...(long ? ['moderation-1', 'presence-1', 'api-1', 'gateway-1', 'messaging-2', 'postgres'].flatMap((name) => [3600, -3600, 0].map((by) => [`${name} by ${by} s`, () => [name], by])) : []),
];
test('an hour either way, one process or all: no session ends, ids are unique, every stream keeps its order, nothing is lost', { timeout: 600000 }, async () => {
  const connects = fire.watchers.map((watcher) => watcher.connects);
  const tokens = fire.people.map((person) => person.rest);
  const stop = fire.load();
  for (const [name, which, seconds] of steps) {
    const before = fire.acked.length;
    for (const one of which()) jump(one, seconds);
    await sleep(long ? 5000 : 1500);
    for (const rest of tokens) assert.equal((await rest.sure('GET', '/v1/me')).status, 200, `${name}: the session lives`);
    await until(`${name}: posting goes on`, () => fire.acked.length > before + 10, 30000);
    await until(`${name}: sockets hear it`, () => fire.watchers.every((watcher) => watcher.events.length >= before), 30000);
  }
  await stop();
  await Promise.all(cluster.all().map((copy) => copy.ready(60000)));
  const compared = await fire.judge();
  assert.deepEqual(fire.watchers.map((watcher) => watcher.connects), connects, `no socket was closed: ${JSON.stringify(fire.watchers.map((watcher) => watcher.closes))}`);
  const ids = fire.acked.map((ack) => ack.id);
  assert.equal(new Set(ids).size, ids.length, 'every id is another one');
  // A bad guess of the time would end leases: of nodes, of presence, of jobs.
  for (const copy of cluster.all()) assert.ok(!/"event":"node_lost"/.test(copy.log()), `${copy.name} lost its node`);
  console.log(`# ${ids.length} acknowledged over ${steps.length} jumps, ${compared} deliveries compared`);
});
