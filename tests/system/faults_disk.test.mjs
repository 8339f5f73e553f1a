// Promise 1 on a full disk. Where PostgreSQL's tables, and then its write-ahead log, find no room, a post is refused by name and nothing
// that was acknowledged is lost; when there is room again everything goes on without a restart of Guildhall.
import assert from 'node:assert/strict';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Fire, long } from './lib/fire.mjs';
import { sleep, until } from './lib/wait.mjs';

const cluster = new Cluster({ copies: { messaging: 2 } });
const { pg } = cluster;
let fire, begun, tables, wal, why;

before(async () => {
  try {
    tables = pg.mount('tables', 128);
    wal = pg.mount('wal', 32);
  } catch (error) {
    why = `no file system of its own can be mounted here: ${String(error.stderr ?? error.message).trim()}`;
    return;
  }
  pg.data = join(tables, 'data');
  pg.initdb = ['-X', join(wal, 'data'), '--wal-segsize=1'];
  pg.settings = ['-c', 'min_wal_size=2MB', '-c', 'max_wal_size=8MB'];
  pg.kept = true;
  await cluster.start();
  begun = cluster.all().map((copy) => copy.child.pid);
  fire = await Fire.light(cluster);
}, { timeout: 120000 });
after(async () => {
  fire?.end();
  await cluster.destroy();
}, { timeout: 120000 });

/** Fills a file system to its last byte, and again what is freed, until the function that it returns is called. */
function fill(folder) {
  const path = join(folder, 'ballast');
  const fd = openSync(path, 'w');
  const more = () => {
    for (let size = 1 << 20; size >= 1; size >>= 1) {
      try {
        for (;;) if (writeSync(fd, Buffer.alloc(size)) < size) break;
      } catch (error) {
        if (error.code !== 'ENOSPC') throw error;
      }
    }
  };
  more();
  const timer = setInterval(more, 20);
  return () => {
    clearInterval(timer);
    closeSync(fd);
    rmSync(path);
  };
}

for (const { name, where, ends } of [
  { name: 'tables', where: () => tables, ends: false },
  { name: 'write-ahead log', where: () => wal, ends: true },
]) {
  test(`no room for PostgreSQL's ${name}: posts are refused by name, nothing acknowledged is lost, and it goes on when there is room`, { timeout: 300000 }, async (t) => {
    if (why) return t.skip(why);
    const refused = [];
    const stop = fire.load({ ms: 120000 });
    await sleep(500);
    const free = fill(where());
    // A post of its own, which is not repeated: what does the caller get to hear? Long ones need room soon.
    await until('posts are refused', async () => {
      try {
        const answer = await fire.owner.rest.call('POST', `/v1/channels/${fire.channels[0].id}/messages`, { content: 'x'.repeat(1900) });
        if (answer.status === 201) fire.acked.push({ id: answer.json.id, channel: fire.channels[0].id, seq: answer.json.seq });
        else refused.push(answer);
      } catch (error) {
        if (error.name !== 'TimeoutError') throw error;
        assert.fail('a post without an answer');
      }
      return refused.length >= (long ? 200 : 20);
    }, 120000, 5);
    for (const answer of refused) {
      assert.equal(answer.status, 503, answer.text);
      assert.ok(['busy', 'late'].includes(answer.json.code), answer.text);
      assert.match(answer.headers.get('content-type'), /^application\/problem\+json/);
    }
    if (ends) await until('PostgreSQL ended of it', () => pg.ends > 0, 60000);
    const during = fire.acked.length;
    free();
    await until('posts are taken again', () => fire.acked.length > during + 20, 120000);
    await stop();
    await Promise.all(cluster.all().map((copy) => copy.ready(60000)));
    const compared = await fire.judge();
    assert.deepEqual(cluster.all().map((copy) => copy.child.pid), begun, 'nothing was restarted');
    console.log(`# ${fire.acked.length} acknowledged, ${refused.length} refused, ${compared} deliveries compared, PostgreSQL ended ${pg.ends ?? 0} times`);
    return undefined;
  });
}
