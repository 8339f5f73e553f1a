// Promises 1 to 4 under fire: processes die at random under load, PostgreSQL restarts, the bus loses frames. Afterwards the
// clients' own records must agree with the log: every acknowledged message once, in order, for everyone entitled and nobody
// else; nothing written on a right that a committed ban had taken away.
//   GUILDHALL_TEST_KILLS (20), GUILDHALL_TEST_SEED: to repeat or to lengthen a run. GUILDHALL_TEST_LONG=1: 50 kills of every process.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Watcher, newPerson } from './lib/client.mjs';
import { long } from './lib/fire.mjs';
import { random, seed, sleep, until } from './lib/wait.mjs';

const rnd = random(seed);
const pick = (list) => list[Math.floor(rnd() * list.length)];

const cluster = new Cluster({
  copies: { gateway: 2, messaging: 2 },
  supervise: true,
  environment: { GUILDHALL_FAULT_BUS_DROP_PERCENT: '5', GUILDHALL_WS_HEARTBEAT_MS: '2000' },
});
const kills = Number(process.env.GUILDHALL_TEST_KILLS ?? (long ? 50 * cluster.all().length : 20));
const world = { channels: [], people: [], watchers: [], acked: [], refused: [] };

before(async () => {
  await cluster.start();
  const rest = new Rest([cluster.api]);
  world.owner = await newPerson(rest, 'owner');
  world.people = [];
  for (let i = 0; i < 6; i++) world.people.push(await newPerson(rest, 'member'));
  world.outsider = await newPerson(rest, 'outsider');
  world.team = await world.owner.rest.ok('POST', '/v1/teams', { name: 'under fire', joining: 'open' });
  for (const person of world.people) await person.rest.ok('PUT', `/v1/teams/${world.team.id}/members/${person.id}`, {});
  for (let i = 0; i < 4; i++) {
    const secret = i === 3;
    const channel = await world.owner.rest.ok('POST', '/v1/channels', { name: `channel ${i}`, team_id: world.team.id, private: secret });
    channel.entitled = secret ? [world.owner, world.people[0], world.people[1]] : [world.owner, ...world.people];
    if (secret) for (const person of channel.entitled.slice(1)) await world.owner.rest.ok('PUT', `/v1/channels/${channel.id}/members/${person.id}`, {});
    world.channels.push(channel);
  }
  const urls = [cluster.ws(0), cluster.ws(1)];
  for (const person of [world.owner, ...world.people])
    world.watchers.push(Object.assign(new Watcher(urls, person.token, [`team:${world.team.id}`, `user:${person.id}`], { name: person.username, compress: world.watchers.length % 2 === 1 }), { person }));
  await Promise.all(world.watchers.map((w) => w.ready));
}, { timeout: 120000 });

after(async () => {
  for (const watcher of world.watchers) watcher.stop();
  await cluster.destroy();
}, { timeout: 120000 });

test(`messages survive ${kills} kills of all processes, a restart and a crash of PostgreSQL and a lossy bus (seed ${seed})`, { timeout: 400000 + kills * 10000 }, async () => {
  let running = true;
  const posters = world.channels.flatMap((channel) => channel.entitled.slice(0, 3).map(async (person, p) => {
    for (let n = 0; running; n++) {
      const nonce = `${channel.id}-${p}-${n}`;
      const answer = await person.rest.sure('POST', `/v1/channels/${channel.id}/messages`, { content: `message ${nonce}`, nonce });
      assert.equal(answer.status, 201, answer.text);
      world.acked.push({ id: answer.json.id, channel: channel.id, seq: answer.json.seq, nonce });
      await sleep(rnd() * (long ? 400 : 15)); // the records of a long run have to fit into memory
    }
  }));

  const victims = cluster.all();
  for (let k = 0; k < kills; k++) {
    await sleep(300 + rnd() * 900);
    const copy = victims[k % victims.length];
    copy.kill9();
    if (k === Math.floor(kills / 3)) {
      await cluster.pg.stop('SIGINT');
      await cluster.pg.start();
    }
    if (k === Math.floor((2 * kills) / 3)) {
      await cluster.pg.stop('SIGQUIT');
      await cluster.pg.start();
    }
    if (k % 4 === 1) pick(world.watchers).drop();
    await until(`${copy.name} is back`, () => copy.isReady(), 60000);
  }
  running = false;
  await Promise.all(posters);
  await Promise.all(cluster.all().map((copy) => copy.ready(60000)));

  // What the log says, by REST: the truth that the records are held against.
  const log = new Map();
  for (const channel of world.channels) {
    let url = `/v1/channels/${channel.id}/messages?limit=100`;
    const messages = [];
    while (url) {
      const page = await world.owner.rest.ok('GET', url);
      messages.push(...page.items);
      url = page.next;
    }
    log.set(channel.id, messages.reverse());
  }
  const total = [...log.values()].reduce((n, list) => n + list.length, 0);
  const times = new Map();
  for (const [channel, list] of log) for (const m of list) times.set(`${channel} ${m.id}`, (times.get(`${channel} ${m.id}`) ?? 0) + 1);
  for (const ack of world.acked) assert.equal(times.get(`${ack.channel} ${ack.id}`), 1, `acknowledged message ${ack.nonce}: how many times it is in the channel`);
  const nonces = [...log.values()].flat().map((m) => m.content);
  assert.equal(new Set(nonces).size, nonces.length, 'a message was written twice');

  for (const watcher of world.watchers) {
    const entitled = world.channels.filter((c) => c.entitled.includes(watcher.person));
    const wanted = entitled.flatMap((c) => log.get(c.id)).sort((a, b) => a.seq - b.seq).map((m) => m.id);
    const seen = () => watcher.events.filter((e) => e.type === 'channel_message').map((e) => e.data.message_id);
    await until(`${watcher.name} saw all ${wanted.length} messages (saw ${seen().length})`, () => seen().length >= wanted.length, 60000).catch((error) => {
      const missing = wanted.filter((id) => !seen().includes(id));
      throw new Error(`${error.message}; missing ${missing.length} of ${wanted.length}, not recovered ${JSON.stringify(watcher.notRecovered)}, errors ${JSON.stringify(watcher.errors.slice(0, 5))}`);
    });
    assert.deepEqual(watcher.notRecovered, [], `${watcher.name}: rights did not change, so every resume recovers`);
    assert.deepEqual(watcher.errors.filter((e) => e.code === 'not_growing'), [], `${watcher.name}: seq grows`);
    assert.deepEqual(seen(), wanted, `${watcher.name} saw exactly the log's messages in the log's order`);
  }
  assert.deepEqual(cluster.unexpected, [], 'nothing ended but by our kills');
  console.log(`# ${world.acked.length} acknowledged, ${total} in the log, ${cluster.all().map((c) => `${c.name} ${c.kills}`).join(', ')} kills`);
});

test('a message sent after a committed ban is refused, whichever process dies meanwhile, and the person banned hears nothing later', { timeout: 300000 }, async () => {
  const open = world.channels[0];
  const candidates = world.people.slice(2, 6);
  const ownerWatcher = world.watchers[0];
  const seesBan = (person) => until('the owner sees the ban', () => ownerWatcher.events.find((e) => e.type === 'user_banned' && e.data.user_id === person.id), 30000);
  /* The first ban of a channel gives it a key of its own, a change of everybody's rights, behind which no resume recovers. It is not among
   * those that are looked at. */
  const first = await newPerson(world.owner.rest, 'first');
  await first.rest.ok('PUT', `/v1/teams/${world.team.id}/members/${first.id}`, {});
  await world.owner.rest.ok('PUT', `/v1/channels/${open.id}/bans/${first.id}`, { motive: 'test' });
  await seesBan(first);
  for (const person of candidates) {
    const watcher = world.watchers.find((w) => w.person === person);
    let posting = true;
    let bannedAt = null;
    const poster = (async () => {
      for (let n = 0; posting; n++) {
        const begun = bannedAt;
        const answer = await person.rest.sure('POST', `/v1/channels/${open.id}/messages`, { content: `from ${person.username} ${n}`, nonce: `ban-${person.id}-${n}` });
        if (begun) assert.ok(answer.status === 403 || answer.status === 404, `after the ban: ${answer.status} ${answer.text}`);
        else assert.ok([201, 403, 404].includes(answer.status), answer.text);
        if (answer.status === 201) world.lastPost = answer.json;
      }
    })();
    const owner = (async () => {
      for (let n = 0; posting; n++) await world.owner.rest.sure('POST', `/v1/channels/${open.id}/messages`, { content: `noise ${n}`, nonce: `noise-${person.id}-${n}` });
    })();
    await sleep(200 + rnd() * 300);
    pick(cluster.copies[pick(['messaging', 'moderation', 'gateway'])]).kill9();
    const answer = await world.owner.rest.sure('PUT', `/v1/channels/${open.id}/bans/${person.id}`, { motive: 'test' });
    assert.ok([200, 201].includes(answer.status), answer.text);
    bannedAt = Date.now();
    await sleep(600);
    posting = false;
    await Promise.all([poster, owner]);
    await Promise.all(cluster.all().map((copy) => copy.ready(60000)));

    // The ban's place in the log is known from what the owner was shown.
    const ban = await seesBan(person);
    const late = watcher.events.filter((e) => e.stream === ban.stream && e.seq > ban.seq && e.data.channel_id === open.id);
    assert.deepEqual(late, [], `${person.username} was shown something of the channel behind his ban`);
    const own = ownerWatcher.events.filter((e) => e.stream === ban.stream && e.seq > ban.seq && e.data.user_id === person.id && e.type === 'channel_message');
    assert.deepEqual(own, [], `${person.username} wrote behind his ban`);
    // Nobody else lost anything meanwhile: the keys of all changed under their feet.
    const messages = [];
    for (let url = `/v1/channels/${open.id}/messages?limit=100`; url;) {
      const page = await world.owner.rest.ok('GET', url);
      messages.push(...page.items);
      url = page.next;
    }
    const wanted = messages.reverse().map((m) => m.id);
    for (const w of world.watchers.filter((x) => !candidates.slice(0, candidates.indexOf(person) + 1).includes(x.person))) {
      const seen = () => w.events.filter((e) => e.type === 'channel_message' && e.data.channel_id === open.id).map((e) => e.data.message_id);
      if (w.notRecovered.length > 0) continue; // told plainly: it has to refetch
      await until(`${w.name} saw all of the open channel (${seen().length} of ${wanted.length})`, () => seen().length >= wanted.length, 30000);
      assert.deepEqual(seen(), wanted, `${w.name} saw the log's messages in the log's order`);
    }
    await until(`${person.username} is told of the ban`, () => watcher.events.some((e) => e.type === 'user_banned' && e.data.channel_id === open.id), 30000);
  }
});

test('nobody outside the private channel saw anything of it, and an outsider may not even subscribe', async () => {
  const secret = world.channels[3];
  for (const watcher of world.watchers.filter((w) => !secret.entitled.includes(w.person)))
    assert.deepEqual(watcher.events.filter((e) => e.data.channel_id === secret.id), [], watcher.name);
  const answer = await world.outsider.rest.call('GET', `/v1/channels/${secret.id}/messages`);
  assert.equal(answer.status, 404);
});
