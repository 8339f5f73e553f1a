// Promise 3: one total order per stream. Writers at three apis, two messaging processes and moderation commit into the same streams
// at once, two gateways deliver, one messaging is killed again and again. What every socket saw is the log, read with psql.
//   GUILDHALL_TEST_SCALE (1): how long.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Watcher, newPerson } from './lib/client.mjs';
import { assertLogWhole, assertNonceOnce, assertPlain, messagesOf, missingOf, numberOf, teamStream } from './lib/story.mjs';
import { random, seed, sleep, until } from './lib/wait.mjs';

const rnd = random(seed);
const scale = Number(process.env.GUILDHALL_TEST_SCALE ?? 1);
const cluster = new Cluster({ copies: { api: 3, messaging: 2, gateway: 2 }, supervise: true, environment: { GUILDHALL_WS_HEARTBEAT_MS: '5000' } });
const world = { teams: [], people: [], watchers: [], acked: [] };
let rest;

before(async () => {
  await cluster.start();
  rest = new Rest(cluster.copies.api.map((copy) => `http://127.0.0.1:${copy.httpPort}`));
  world.owner = await newPerson(rest, 'owner');
  for (let i = 0; i < 3; i++) world.people.push(await newPerson(rest, 'member'));
  for (let t = 0; t < 2; t++) {
    const team = await world.owner.rest.ok('POST', '/v1/teams', { name: `order ${t}`, joining: 'open' });
    team.channels = [];
    for (let c = 0; c < 2; c++) team.channels.push(await world.owner.rest.ok('POST', '/v1/channels', { name: `${t}-${c}`, team_id: team.id }));
    for (const person of world.people.slice(0, 2)) await person.rest.ok('PUT', `/v1/teams/${team.id}/members/${person.id}`, {});
    world.teams.push(team);
  }
  for (const person of [world.owner, world.people[0], world.people[1]])
    for (let gateway = 0; gateway < 2; gateway++)
      world.watchers.push(new Watcher([cluster.ws(gateway)], person.token, world.teams.map((team) => `team:${team.id}`), { name: `${person.username} on gateway ${gateway}` }));
  await Promise.all(world.watchers.map((w) => w.ready));
}, { timeout: 120000 });

after(async () => {
  for (const watcher of world.watchers) watcher.stop();
  await cluster.destroy();
}, { timeout: 120000 });

test(`all sockets see one order per stream, the log's, while a messaging process is killed (seed ${seed})`, { timeout: 600000 }, async () => {
  let running = true;
  const writers = [];
  const writer = (act) => writers.push((async () => {
    for (let n = 0; running; n++) {
      await act(n);
      await sleep(rnd() * 10);
    }
  })());
  for (const team of world.teams) {
    for (const [p, person] of [world.owner, ...world.people.slice(0, 2)].entries()) {
      // Several at once of one person, through different apis: their order is the log's to decide, and is told in `seq`.
      writer(async (n) => {
        const answers = await Promise.all(team.channels.map((channel, c) => person.rest.sure('POST', `/v1/channels/${channel.id}/messages`, { content: `${p}-${n}-${c}`, nonce: `${p}-${n}-${c}` })));
        for (const [c, answer] of answers.entries()) {
          assert.equal(answer.status, 201, answer.text);
          world.acked.push({ id: answer.json.id, seq: answer.json.seq, channel: team.channels[c].id });
        }
      });
    }
    // messaging: edits and a changed channel
    writer(async (n) => {
      const [channel] = team.channels;
      const mine = await world.owner.rest.sure('POST', `/v1/channels/${channel.id}/messages`, { content: `edit me ${n}`, nonce: `edit-${n}` });
      world.acked.push({ id: mine.json.id, seq: mine.json.seq, channel: channel.id });
      assert.equal((await world.owner.rest.sure('PATCH', `/v1/channels/${channel.id}/messages/${mine.json.id}`, { content: `edited ${n}` })).status, 200);
      assert.equal((await world.owner.rest.sure('PATCH', `/v1/channels/${channel.id}`, { topic: `topic ${n}` })).status, 200);
    });
    // moderation, into the same stream: somebody comes and goes
    writer(async () => {
      const guest = world.people[2];
      const path = `/v1/teams/${team.id}/members/${guest.id}`;
      assert.ok([200, 201, 204, 409].includes((await guest.rest.sure('PUT', path, {})).status));
      assert.ok([200, 204, 404].includes((await guest.rest.sure('DELETE', path)).status));
    });
  }
  const victim = cluster.copies.messaging[1];
  const kills = Math.round(3 * scale);
  for (let k = 0; k < kills; k++) {
    await sleep(800 + rnd() * 800);
    victim.kill9();
    await until(`${victim.name} is back`, () => victim.isReady(), 60000);
  }
  await sleep(500);
  running = false;
  await Promise.all(writers);
  await Promise.all(cluster.all().map((copy) => copy.ready(60000)));

  assertLogWhole(cluster.pg);
  assertNonceOnce(cluster.pg);
  assert.deepEqual(missingOf(cluster.pg, world.acked).slice(0, 3), [], 'everything acknowledged is there, once');
  // The number that the writer was told is the log's.
  const seqs = new Map(messagesOf(cluster.pg).map((m) => [m.id, m.seq]));
  assert.deepEqual(world.acked.filter((ack) => seqs.get(ack.id) !== ack.seq).slice(0, 3), [], 'acknowledged with another number than the log has');

  /* Lines of the system are messages without an actor; this dialect shows none of them. */
  let events = 0;
  for (const team of world.teams) {
    const stream = teamStream(team.id);
    const audience = `team:${BigInt.asUintN(64, BigInt(numberOf(team.id)))}`;
    const log = cluster.pg.rows(`SELECT seq, kind FROM log.events WHERE rank = 1 AND id = ${numberOf(team.id)} AND audience = '${audience}' AND NOT (kind = 134 AND actor = 0) ORDER BY seq`).map(([seq, kind]) => ({ seq: Number(seq), kind }));
    const kindOf = new Map(log.map((e) => [e.seq, e.kind]));
    const seenBy = (watcher) => watcher.events.filter((e) => e.stream === stream && kindOf.has(e.seq)); // the owner reads the audit log, too
    // Which kinds this dialect tells at all is seen from what it told; each of them has to be told every time, to everybody.
    const told = new Set(world.watchers.flatMap((w) => seenBy(w).map((e) => kindOf.get(e.seq))));
    const typeOf = new Map();
    for (const watcher of world.watchers) {
      const first = watcher.story.find((e) => e.answer).answer.streams[stream].seq;
      const wanted = log.filter((e) => e.seq > first && told.has(e.kind)).map((e) => e.seq);
      await until(`${watcher.name} saw ${wanted.length} events of ${stream} (${seenBy(watcher).length})`, () => seenBy(watcher).length >= wanted.length, 60000);
      assert.deepEqual(seenBy(watcher).map((e) => e.seq), wanted, `${watcher.name} saw the log's events in the log's order`);
      for (const event of seenBy(watcher)) {
        const same = JSON.stringify([event.type, event.data, event.timestamp]);
        assert.equal(typeOf.get(event.seq) ?? same, same, `${watcher.name} saw the same under ${event.seq} as the others`);
        typeOf.set(event.seq, same);
      }
      events += wanted.length;
      assertPlain(watcher);
      assert.deepEqual(watcher.notRecovered, [], watcher.name);
    }
    assert.ok(told.size >= 4, `events of several owners: kinds ${[...told]}`);
  }
  assert.deepEqual(cluster.unexpected, [], 'nothing ended but by our kills');
  console.log(`# ${world.acked.length} messages acknowledged over 3 apis, ${events} deliveries compared with the log, ${victim.kills} kills of ${victim.name}`);
});
