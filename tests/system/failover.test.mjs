// Promise 1 and 3 across the loss of the database server: a standby that lacks acknowledged rows is promoted, a backup is put back
// under running processes, and a synchronous standby takes over. No process is restarted. Every client is told once and plainly
// that its position is void; nothing of the lost history (rights, tokens, keys, positions) is used; what PostgreSQL kept is whole.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, Watcher, newPerson } from './lib/client.mjs';
import { assertLogWhole, assertNonceOnce, assertPlain, assertSawAll, messagesOf, missingOf, teamStream, userStream } from './lib/story.mjs';
import { random, seed, sleep, until } from './lib/wait.mjs';

const rnd = random(seed);
const scale = Number(process.env.GUILDHALL_TEST_SCALE ?? 1); // long form: more load before and after each step
const cluster = new Cluster({ copies: { gateway: 2, messaging: 2 }, servers: 3, environment: { GUILDHALL_WS_HEARTBEAT_MS: '5000' } });
const [first, second, third] = cluster.servers;
const world = { channels: [], people: [], watchers: [], acked: [] };
let pids;

const readyChecks = async (copy) => (await (await fetch(`http://127.0.0.1:${copy.opsPort}/readyz`)).json()).checks;
const standbySaid = async (copy) => (await readyChecks(copy)).find((check) => check.name === 'standby');

before(async () => {
  await cluster.start();
  pids = cluster.all().map((copy) => copy.child.pid);
  const rest = new Rest([cluster.api]);
  world.rest = rest;
  world.owner = await newPerson(rest, 'owner');
  for (let i = 0; i < 4; i++) world.people.push(await newPerson(rest, 'member'));
  world.team = await world.owner.rest.ok('POST', '/v1/teams', { name: 'two histories', joining: 'open' });
  for (const person of world.people) await person.rest.ok('PUT', `/v1/teams/${world.team.id}/members/${person.id}`, {});
  for (const name of ['one', 'two']) world.channels.push(await world.owner.rest.ok('POST', '/v1/channels', { name, team_id: world.team.id }));
  world.secret = await world.owner.rest.ok('POST', '/v1/channels', { name: 'secret', team_id: world.team.id, private: true });
  for (const person of [world.owner, ...world.people.slice(0, 3)])
    for (let i = 0; i < 2; i++) world.watchers.push(Object.assign(new Watcher([cluster.ws(0), cluster.ws(1)], person.token, [`team:${world.team.id}`, `user:${person.id}`], { name: `${person.username}/${i}`, compress: i === 1 }), { person }));
  await Promise.all(world.watchers.map((w) => w.ready));
}, { timeout: 120000 });

after(async () => {
  for (const watcher of world.watchers) watcher.stop();
  await cluster.destroy();
}, { timeout: 120000 });

/** Posts until stopped, by several people into several channels; every answer 2xx is noted with its phase. */
function load() {
  let running = true;
  const done = [world.owner, world.people[0], world.people[3]].map(async (person, p) => {
    for (let n = 0; running; n++) {
      const channel = world.channels[(n + p) % world.channels.length];
      const nonce = `${world.acked.length}-${p}-${n}-${Math.floor(rnd() * 1e9)}`;
      const began = world.phase;
      const answer = await person.rest.sure('POST', `/v1/channels/${channel.id}/messages`, { content: `message ${nonce}`, nonce });
      assert.equal(answer.status, 201, answer.text);
      world.acked.push({ id: answer.json.id, seq: answer.json.seq, channel: channel.id, nonce, began, phase: world.phase });
      await sleep(rnd() * 20);
    }
  });
  const ended = Promise.allSettled(done);
  return async () => {
    running = false;
    for (const poster of await ended) if (poster.status === 'rejected') throw poster.reason;
  };
}
const enough = (ms) => sleep(ms * scale);

async function allReady() {
  await Promise.all(cluster.all().map((copy) => copy.ready(60000)));
  assert.deepEqual(cluster.all().map((copy) => copy.child?.pid), pids, 'no process ended or was restarted');
  assert.deepEqual(cluster.unexpected, []);
}

/** Every watcher was told, and from then on it sees what the log has. */
async function assertTold(storyBefore) {
  for (const watcher of world.watchers) {
    await until(`${watcher.name} has its answer`, () => watcher.story.slice(storyBefore.get(watcher)).some((e) => e.answer && e.since && e.answer.generation !== e.since.generation), 60000);
    const story = watcher.story.slice(storyBefore.get(watcher));
    const answers = story.filter((e) => e.answer && e.since && e.answer.generation !== e.since.generation);
    assert.equal(answers.length, 1, `${watcher.name} was told once: ${JSON.stringify(answers)}`);
    const [{ answer, since }] = answers;
    assert.deepEqual(Object.keys(since.streams).filter((s) => answer.streams[s]?.recovered !== false), [], `${watcher.name}: every stream named was answered recovered:false`);
    // Who was connected all the time was sent away with a word; a machine that stood still may have lost him before (4408).
    const close = story.findIndex((e) => e.close !== undefined);
    assert.ok(story[close].close !== 1012 || story.slice(0, close).some((e) => e.reconnect !== undefined), `${watcher.name}: a reconnect frame before the close: ${JSON.stringify(story.slice(0, 20))}`);
    assert.ok([1012, 4408, 1006].includes(story[close].close), `${watcher.name}: ${JSON.stringify(story[close])}`);
    assertPlain(watcher);
  }
}
async function assertAllSaw(pg) {
  let messages = 0;
  for (const watcher of world.watchers) {
    const entitled = world.channels.filter((c) => c !== world.channels[0] || watcher.person !== world.people[1]); // banned from it
    messages += await assertSawAll(watcher, pg, new Set(entitled.map((c) => c.id)));
  }
  return messages;
}
const marks = () => new Map(world.watchers.map((w) => [w, w.story.length]));

/** Positions of the history before, shown to both gateways by hand. */
async function assertOldPositionsRefused(old) {
  for (let gateway = 0; gateway < 2; gateway++) {
    const socket = new Socket(`${cluster.ws(gateway)}?resume=1`, { token: world.owner.token });
    await socket.frame('hello', { ms: 30000 });
    socket.send({ op: 'subscribe', topics: [`team:${world.team.id}`, `user:${world.owner.id}`], since: old, ref: 'old' });
    const said = await socket.frame((f) => f.type === 'subscribed' && f.data.ref === 'old', { ms: 30000 });
    for (const stream of Object.keys(old.streams)) assert.equal(said.data.streams[stream]?.recovered, false, `${stream} on gateway ${gateway}: ${JSON.stringify(said.data)}`);
    socket.end();
  }
}

test(`an asynchronous standby that lacks acknowledged rows is promoted (seed ${seed})`, { timeout: 300000 }, async () => {
  const [, banned, guest] = world.people;
  assert.match((await standbySaid(cluster.copies.messaging[0])).detail, /^no synchronous standby \(0 others\)/);
  await second.follow(first);
  for (const copy of [cluster.copies.api[0], cluster.copies.messaging[1], cluster.copies.moderation[0], cluster.copies.presence[0]])
    await until(`${copy.name} sees the standby`, async () => /^no synchronous standby \(1 others\)/.test((await standbySaid(copy)).detail), 30000);

  // What the standby will know: `banned` is banned from the first channel, `guest` is not in the secret one.
  await world.owner.rest.ok('PUT', `/v1/channels/${world.channels[0].id}/bans/${banned.id}`, { motive: 'test' });
  world.phase = 'common';
  const stop = load();
  await enough(1000);
  await first.caughtUp(second);
  const known = world.acked.filter((ack) => ack.phase === 'common').length;
  await second.cutOff();
  await first.psql('SELECT 1');
  world.phase = 'lost';
  await enough(700);

  // What it will not know. Both rights are used, so that the processes keep the judgements.
  await world.owner.rest.ok('DELETE', `/v1/channels/${world.channels[0].id}/bans/${banned.id}`);
  await until('the ban is lifted', async () => (await banned.rest.call('POST', `/v1/channels/${world.channels[0].id}/messages`, { content: 'back' })).status === 201);
  await world.owner.rest.ok('PUT', `/v1/channels/${world.secret.id}/members/${guest.id}`, {});
  await guest.rest.ok('POST', `/v1/channels/${world.secret.id}/messages`, { content: 'in' });
  const late = await newPerson(world.rest, 'late');
  await late.rest.ok('PUT', `/v1/teams/${world.team.id}/members/${late.id}`, {});
  const lateSocket = new Socket(`${cluster.ws(0)}?topics=team:${world.team.id}&resume=1`, { token: late.token });
  await lateSocket.frame('subscribed');
  await late.rest.ok('POST', `/v1/channels/${world.channels[1].id}/messages`, { content: 'I was never here' });
  await enough(300);
  const before = messagesOf(first);
  const old = { generation: world.watchers[0].generation, streams: { ...world.watchers[0].positions } };
  const story = marks();

  await first.stop('SIGQUIT');
  world.phase = 'between';
  await enough(500);
  second.promote();
  cluster.pg = second;
  world.phase = 'new';
  await allReady();
  await assertTold(story);
  assert.match((await standbySaid(cluster.copies.messaging[0])).detail, /^no synchronous standby/);

  // Caches of the lost history are not used.
  const post = (person, channel) => person.rest.sure('POST', `/v1/channels/${channel.id}/messages`, { content: 'x', nonce: `cache-${Math.floor(rnd() * 1e9)}` });
  for (let copy = 0; copy < 4; copy++) { // either messaging
    assert.equal((await post(banned, world.channels[0])).json.code, 'not_found', 'the ban holds again');
    assert.equal((await post(guest, world.secret)).json.code, 'not_found', 'he never came in');
    assert.equal((await guest.rest.sure('GET', `/v1/channels/${world.secret.id}/messages`)).json.code, 'not_found');
  }
  const gone = await late.rest.sure('GET', '/v1/me');
  assert.equal(gone.status, 401, 'nobody knows this token any more');
  assert.equal(gone.json.code, 'unauthenticated');
  assert.equal((await lateSocket.closed).code, 1012);
  const again = new Socket(cluster.ws(1), { token: late.token });
  await again.closed;
  assert.ok([4401, undefined].includes(again.close.code) || again.close.code === 1006, JSON.stringify(again.close));

  await enough(700);
  await stop();
  await assertOldPositionsRefused(old);

  // The log of the new primary is whole; what it had before is all there; what was acknowledged since is there.
  assertLogWhole(second);
  assertNonceOnce(second);
  const missing = missingOf(second, world.acked);
  assert.deepEqual(missing.filter((ack) => ack.phase === 'common' && ack.began === 'common').slice(0, 3), [], 'nothing that the standby had is lost');
  assert.deepEqual(missing.filter((ack) => ack.phase === 'new' && ack.began !== 'lost').slice(0, 3), [], 'nothing acknowledged by the new primary is lost');
  assert.ok(missing.length > 0, 'the standby lacked acknowledged rows, or this test proves nothing');
  // Numbers that existed twice with different content: the case that all this is about.
  const now = new Map(messagesOf(second).map((m) => [`${m.stream} ${m.seq}`, m.id]));
  const twice = before.filter((m) => now.has(`${m.stream} ${m.seq}`) && now.get(`${m.stream} ${m.seq}`) !== m.id);
  assert.ok(twice.length > 0, 'numbers existed twice');
  const both = world.watchers.flatMap((w) => w.events).length;
  const shown = await assertAllSaw(second);
  await allReady();
  world.acked = world.acked.filter((ack) => !missing.includes(ack));
  console.log(`# failover: ${known} messages before the cut, ${missing.length} acknowledged and lost with the old primary (asynchronous), ${twice.length} numbers existed twice, `
    + `${world.acked.filter((a) => a.phase === 'new').length} acknowledged afterwards, ${shown} deliveries behind the plain word checked, ${both} events in all`);
});

test('a backup is put back under running processes', { timeout: 300000 }, async () => {
  world.phase = 'backup';
  let stop = load();
  await enough(500);
  const backup = second.backup();
  const kept = messagesOf(second).length;
  world.phase = 'after backup';
  await enough(700);
  const late = await newPerson(world.rest, 'unsaved');
  await stop();
  const old = { generation: world.watchers[0].generation, streams: { ...world.watchers[0].positions } };
  const before = messagesOf(second);
  const story = marks();

  // As docs/operations.md tells: not reachable for the processes until the log has its new name.
  await second.stop('SIGINT');
  second.restore(backup);
  await second.start({ socket: second.hiddenSocket() });
  const said = JSON.parse(cluster.ctlWith({ GUILDHALL_DB_URL: `host=${second.socket} user=guildhall dbname=guildhall` }, 'log', 'restored', '--json'));
  assert.notEqual(said.generation, said.before);
  await second.stop('SIGINT');
  await second.start();
  world.phase = 'restored';
  stop = load();
  await allReady();
  await assertTold(story);
  assert.equal((await late.rest.sure('GET', '/v1/me')).status, 401);
  await enough(700);
  await stop();
  await assertOldPositionsRefused(old);
  assertLogWhole(second);
  assertNonceOnce(second);
  const missing = missingOf(second, world.acked);
  assert.deepEqual(missing.filter((ack) => ack.phase !== 'after backup' && ack.phase !== 'backup').slice(0, 3), []);
  assert.ok(missing.length > 0, 'the backup lacked acknowledged rows');
  const now = new Map(messagesOf(second).map((m) => [`${m.stream} ${m.seq}`, m.id]));
  const twice = before.filter((m) => now.has(`${m.stream} ${m.seq}`) && now.get(`${m.stream} ${m.seq}`) !== m.id);
  assert.ok(twice.length > 0, 'numbers existed twice');
  const shown = await assertAllSaw(second);
  await allReady();
  world.acked = world.acked.filter((ack) => !missing.includes(ack));
  console.log(`# restore: ${kept} messages in the backup, ${missing.length} acknowledged after it, ${twice.length} numbers existed twice, ${shown} deliveries checked`);
});

test('with a synchronous standby nothing acknowledged is lost, and /readyz and doctor say whether there is one', { timeout: 300000 }, async () => {
  const doctor = () => JSON.parse(cluster.ctl('doctor', '--json', '--ops', cluster.all().map((copy) => `127.0.0.1:${copy.opsPort}`).join(',')));
  const finding = (subject) => doctor().findings.find((f) => f.subject === subject);
  assert.equal(finding('standby').kind, 'note');
  assert.match(finding('standby').detail, /^no synchronous standby/);
  assert.equal(finding('database').kind, 'ok', 'the first server of GUILDHALL_DB_URL is down; the primary is found');
  await third.follow(second, 'third');
  second.psql("ALTER SYSTEM SET synchronous_standby_names = 'third'");
  second.psql('SELECT pg_reload_conf()');
  for (const service of ['api', 'messaging', 'moderation', 'presence'])
    await until(`${service} sees it`, async () => /^1 synchronous/.test((await standbySaid(cluster.copies[service][0])).detail), 30000);
  assert.equal((await cluster.copies.api[0].metrics()).guildhall_database_synchronous_standbys ?? (await cluster.copies.api[0].metrics())['guildhall_database_synchronous_standbys{service="api"}'], 1);
  assert.equal(finding('standby').kind, 'ok');

  world.phase = 'synchronous';
  const stop = load();
  await enough(1500);
  const story = marks();
  await second.stop('SIGQUIT');
  await enough(300);
  third.promote();
  cluster.pg = third;
  await allReady();
  await assertTold(story);
  await enough(700);
  await stop();
  assertLogWhole(third);
  assertNonceOnce(third);
  assert.deepEqual(missingOf(third, world.acked).slice(0, 3), [], 'nothing acknowledged was lost');
  const shown = await assertAllSaw(third);
  await until('the standby is missed', async () => /^no synchronous standby/.test((await standbySaid(cluster.copies.api[0])).detail), 30000);
  assert.equal(finding('standby').kind, 'note');
  await allReady();
  console.log(`# synchronous: ${world.acked.length} acknowledged in all, none lost, ${shown} deliveries checked`);
});

test('nobody was shown what is not his, in any of the histories', () => {
  const secret = new Set([world.secret.id]);
  for (const watcher of world.watchers.filter((w) => ![world.owner, world.people[2]].includes(w.person)))
    assert.deepEqual(watcher.events.filter((e) => secret.has(e.data.channel_id)), [], watcher.name);
  for (const watcher of world.watchers)
    assert.deepEqual(watcher.events.filter((e) => e.stream !== teamStream(world.team.id) && e.stream !== userStream(watcher.person.id)), [], watcher.name);
});
