// Conversations end to end: one for a set of people whoever opens it, seen by them and by nobody else, by REST and on sockets, also
// while processes die.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, Watcher, newPerson } from './lib/client.mjs';
import { until } from './lib/wait.mjs';

const cluster = new Cluster({ copies: { gateway: 2, messaging: 2, moderation: 2 }, supervise: true });
let rest, owner, ann, bob, cy, team;

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  [owner, ann, bob, cy] = await people(4);
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'those around', joining: 'open' });
  for (const person of [ann, bob, cy]) await person.rest.ok('PUT', `/v1/teams/${team.id}/members/${person.id}`, {});
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

const people = (count) => Promise.all(Array.from({ length: count }, () => newPerson(rest, 'talker')));
const open = (person, others, fields = {}) => person.rest.call('POST', '/v1/direct', { user_ids: others.map((other) => other.id), ...fields });
async function opened(person, others, fields) {
  const answer = await open(person, others, fields);
  assert.ok(answer.status === 200 || answer.status === 201, answer.text);
  return answer.json;
}
const post = (person, channel, content) => person.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content });
const ids = (list) => list.map((item) => item.id).sort();
async function socket(person, topics, { gateway = 0, query = '' } = {}) {
  const s = new Socket(cluster.ws(gateway) + query, { token: person.token });
  await s.opened;
  await s.frame('hello');
  s.send({ op: 'subscribe', topics, ref: 1 });
  assert.deepEqual((await s.frame('subscribed')).data.topics, topics);
  return s;
}
async function refused(call, status, { why, field, code } = {}) {
  const answer = await call;
  assert.equal(answer.status, status, answer.text);
  if (why !== undefined) assert.equal(answer.json.why, why, answer.text);
  if (field !== undefined) assert.equal(answer.json.field, field, answer.text);
  if (code !== undefined) assert.equal(answer.json.code, code, answer.text);
}
/** Everything about one channel that a socket got, without what only this connection is told. */
const about = (s, channel) => s.frames.filter((f) => f.data?.channel_id === channel.id);
const types = (frames) => frames.map((f) => f.type);

describe('opening', () => {
  test('of two who open it at once from both sides, again and again, there is one conversation, told once to each', async () => {
    const [a, b] = await people(2);
    const sockets = [await socket(a, [`user:${a.id}`]), await socket(b, [`user:${b.id}`], { gateway: 1 })];
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => (i % 2 ? open(a, [b]) : open(b, [a]))));
    const channel = answers[0].json;
    for (const answer of answers) assert.equal(answer.json.id, channel.id, answer.text);
    assert.equal(answers.filter((answer) => answer.status === 201).length, 1);
    assert.equal(answers.find((answer) => answer.status === 201).headers.get('location'), `/v1/channels/${channel.id}`);
    assert.deepEqual([channel.kind, channel.team_id, channel.name], ['direct', null, '']);
    assert.deepEqual(ids(channel.members), ids([a, b]));
    for (const s of sockets) {
      const told = await s.frame('conversation_created');
      assert.deepEqual({ ...told.data, user_ids: [...told.data.user_ids].sort() }, { channel_id: channel.id, kind: 'direct', user_ids: ids([a, b]) });
    }
    await post(a, channel, 'the end');
    for (const s of sockets) {
      await s.frame('channel_message');
      assert.deepEqual(types(about(s, channel)).filter((type) => type !== 'unread_updated'), ['conversation_created', 'channel_message']);
      s.end();
    }
    for (const person of [a, b]) {
      assert.deepEqual(ids((await person.rest.ok('GET', '/v1/direct')).items), [channel.id]);
      assert.deepEqual(ids((await person.rest.ok('GET', `/v1/channels/${channel.id}`)).members), ids([a, b]));
    }
  });

  test('a group has a name and up to fifty people, each of whom is told once', { timeout: 120000 }, async () => {
    const all = await people(50);
    const [first, ...others] = all;
    const watched = [first, all[20], all[49]];
    const sockets = [];
    for (const person of watched) sockets.push(await socket(person, [`user:${person.id}`], { gateway: 1 }));
    const made = await open(first, others, { name: 'everyone' });
    assert.equal(made.status, 201, made.text);
    const group = made.json;
    assert.deepEqual([group.kind, group.name, group.members.length], ['group', 'everyone', 50]);
    for (const s of sockets) assert.equal((await s.frame('conversation_created')).data.user_ids.length, 50);
    assert.equal((await opened(all[33], all.filter((p) => p !== all[33]))).id, group.id);
    for (const person of all) assert.deepEqual(ids((await person.rest.ok('GET', '/v1/direct')).items), [group.id]);
    await post(all[7], group, 'hello all');
    for (const s of sockets) {
      await s.frame('channel_message');
      assert.equal(about(s, group).filter((f) => f.type === 'conversation_created').length, 1);
      s.end();
    }
    const told = cluster.pg.rows('SELECT id, count(*) FROM log.events WHERE rank = 2 AND kind = 121 GROUP BY 1');
    assert.ok(told.length >= 50);
    assert.deepEqual(told.filter(([, count]) => count !== '1'), [], 'nobody is told twice');
    const extra = await newPerson(rest, 'late');
    await refused(first.rest.call('PUT', `/v1/channels/${group.id}/members/${extra.id}`, {}), 409, { code: 'at_limit' });
    await refused(open(extra, all), 422, { field: 'user_ids' });
  });

  test('what is no set of people is refused by its field', async () => {
    await refused(open(ann, []), 422, { field: 'user_ids' });
    await refused(open(ann, [ann]), 422, { field: 'user_ids' });
    await refused(open(ann, [bob, bob]), 422, { field: 'user_ids' });
    await refused(open(ann, [bob, { id: team.id }]), 422, { field: 'user_ids' });
    await refused(open(ann, [{ id: 'nobody' }]), 422, { field: 'user_ids' });
    await refused(open(ann, [bob], { name: 'us two' }), 422, { field: 'name' });
    await refused(open(ann, [bob, cy], { name: 'x'.repeat(101) }), 422, { field: 'name' });
    await refused(open(ann, [bob], { topic: 'x' }), 422, { field: 'topic' });
    await refused(ann.rest.call('POST', '/v1/direct', {}), 422, { field: 'user_ids' });
    await refused(ann.rest.call('POST', '/v1/direct', '{"user_ids":'), 400);
    await refused(ann.rest.call('GET', '/v1/direct?limit=0'), 422, { field: 'limit' });
    await refused(rest.call('GET', '/v1/direct'), 401);
  });

  test('conversations are listed by their newest message, in pages', async () => {
    const [one, ...others] = await people(6);
    const made = [];
    for (const other of others) made.push(await opened(one, [other]));
    await post(others[1], made[1], 'up again');
    const wanted = [made[1], made[4], made[3], made[2], made[0]].map((channel) => channel.id);
    assert.deepEqual((await one.rest.ok('GET', '/v1/direct')).items.map((channel) => channel.id), wanted);
    const paged = [];
    for (let url = '/v1/direct?limit=2'; url;) {
      const page = await one.rest.ok('GET', url);
      paged.push(...page.items.map((channel) => channel.id));
      url = page.next;
    }
    assert.deepEqual(paged, wanted);
  });
});

describe('talking', () => {
  test('everything that happens in it reaches its people on both topics, and nobody else', async () => {
    const [a, b, c] = await people(3);
    const group = await opened(a, [b, c], { name: 'three' });
    const inside = [];
    for (const [i, person] of [a, b, c].entries()) inside.push(await socket(person, [`user:${person.id}`], { gateway: i % 2 }));
    for (const person of [b, c]) inside.push(await socket(person, [`channel:${group.id}`], { gateway: 1 }));
    const outside = [await socket(owner, [`user:${owner.id}`, 'global', `team:${team.id}`]), await socket(ann, [`user:${ann.id}`, `team:${team.id}`])];
    outside[1].send({ op: 'subscribe', topics: [`channel:${group.id}`], ref: 'no' });
    assert.equal((await outside[1].frame((f) => f.type === 'error' && f.data.ref === 'no')).data.code, 'not_found');

    const message = await post(a, group, 'first');
    const reply = await b.rest.ok('POST', `/v1/channels/${group.id}/messages/${message.id}/replies`, { content: 'an answer' });
    const path = `/v1/channels/${group.id}/messages/${message.id}`;
    await b.rest.ok('PUT', `${path}/reactions/%F0%9F%91%8D`);
    await b.rest.ok('DELETE', `${path}/reactions/%F0%9F%91%8D`);
    await c.rest.ok('PUT', `${path}/pin`, {});
    await a.rest.ok('DELETE', `${path}/pin`);
    await a.rest.ok('PATCH', path, { content: 'first, changed' });
    assert.equal((await a.rest.ok('PATCH', `/v1/channels/${group.id}`, { name: 'renamed' })).name, 'renamed');
    await a.rest.ok('DELETE', path);
    const last = await post(c, group, 'last');
    const wanted = ['channel_message', 'message_reply', 'reaction_added', 'reaction_removed', 'message_pinned', 'message_unpinned',
      'message_updated', 'channel_updated', 'message_deleted', 'channel_message'];
    const personal = ['unread_updated', 'user_mentioned', 'conversation_created']; // of streams of their own
    for (const s of inside) {
      await s.frame((f) => f.type === 'channel_message' && f.data.message_id === last.id);
      assert.deepEqual(types(about(s, group)).filter((type) => !personal.includes(type)), wanted);
    }
    assert.equal(reply.parent_message_id, message.id);
    await post(ann, await opened(ann, [owner]), 'a mark');
    for (const s of outside) {
      await s.frame('channel_message');
      assert.deepEqual(about(s, group), [], 'nothing of it outside');
    }
    for (const s of [...inside, ...outside]) s.end();
  });

  test('what is unread is counted for each of them and read by each alone', async () => {
    const [a, b, c] = await people(3);
    const group = await opened(a, [b, c]);
    for (let i = 0; i < 3; i++) await post(a, group, `n ${i}`);
    const unread = async (person) => (await person.rest.ok('GET', '/v1/unread')).items.find((item) => item.channel_id === group.id)?.unread ?? 0;
    assert.equal(await unread(b), 3);
    assert.equal(await unread(c), 3);
    const s = await socket(b, [`user:${b.id}`]);
    await b.rest.ok('PUT', `/v1/channels/${group.id}/read`, {});
    assert.equal((await s.frame('unread_updated')).data.unread, 0);
    assert.equal(await unread(b), 0);
    assert.equal(await unread(c), 3);
    await post(b, group, 'one more');
    assert.equal(await unread(c), 4);
    s.end();
  });

  test('who is outside is answered as if there were nothing, also the owner of the team they are all in', async () => {
    const [a, b] = [ann, bob];
    const channel = await opened(a, [b]);
    const message = await post(a, channel, 'between us');
    const bot = await owner.rest.ok('POST', '/v1/bots', { username: `direct_out_${Date.now().toString(36)}` });
    await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${bot.id}`, {});
    const { token } = await owner.rest.ok('POST', `/v1/bots/${bot.id}/tokens`, { label: 'all', scopes: ['read', 'write', 'channels', 'moderate', 'teams'] });
    const nowhere = (await owner.rest.ok('POST', '/v1/channels', { name: 'gone', team_id: team.id })).id;
    await owner.rest.ok('DELETE', `/v1/channels/${nowhere}`);
    const calls = (id) => [
      ['GET', `/v1/channels/${id}`], ['PATCH', `/v1/channels/${id}`, { name: 'mine' }], ['DELETE', `/v1/channels/${id}`],
      ['GET', `/v1/channels/${id}/members`], ['PUT', `/v1/channels/${id}/members/${cy.id}`, {}],
      ['PATCH', `/v1/channels/${id}/members/${a.id}`, { role: 'owner' }], ['DELETE', `/v1/channels/${id}/members/${a.id}`],
      ['POST', `/v1/channels/${id}/members/${a.id}/kick`, {}], ['PUT', `/v1/channels/${id}/bans/${a.id}`, {}],
      ['GET', `/v1/channels/${id}/permissions`], ['GET', `/v1/channels/${id}/overrides`], ['POST', `/v1/channels/${id}/duplicate`, {}],
      ['GET', `/v1/channels/${id}/messages`], ['POST', `/v1/channels/${id}/messages`, { content: 'hello?' }],
      ['GET', `/v1/channels/${id}/messages/${message.id}`], ['DELETE', `/v1/channels/${id}/messages/${message.id}`],
      ['PUT', `/v1/channels/${id}/messages/${message.id}/pin`, {}], ['PUT', `/v1/channels/${id}/messages/${message.id}/reactions/%F0%9F%91%8D`],
      ['GET', `/v1/channels/${id}/pins`], ['PUT', `/v1/channels/${id}/read`, {}], ['POST', `/v1/channels/${id}/typing`, {}],
      ['POST', `/v1/channels/${id}/archive`, {}], ['POST', `/v1/channels/${id}/restore`, {}],
    ];
    const unlike = ({ status, json }) => ({ status, code: json?.code, why: json?.why, field: json?.field, title: json?.title });
    const absent = randomUUID().replace(/^(.{14})./, '$18').replace(/^(.{19})./, '$18');
    for (const [name, caller] of [['stranger', (await newPerson(rest, 'stranger')).rest], ['bot', rest.as(token)], ['member', cy.rest]])
      for (const [i, [method, path, body]] of calls(channel.id).entries()) {
        const there = await caller.call(method, path, body);
        const not = await caller.call(...calls(absent)[i]);
        assert.deepEqual(unlike(there), unlike(not), `${name}: ${method} ${path}`);
        assert.equal(there.status, 404, `${name}: ${method} ${path} ${there.text}`);
      }
    for (const [i, [method, path, body]] of calls(channel.id).entries()) {
      const there = await owner.rest.call(method, path, body);
      assert.deepEqual(unlike(there), unlike(await owner.rest.call(...calls(absent)[i])), `owner: ${method} ${path}`);
      assert.equal(there.status, 404, `owner: ${method} ${path} ${there.text}`);
    }
    assert.deepEqual((await a.rest.ok('GET', `/v1/channels/${channel.id}/messages`)).items.map((m) => m.content), ['between us']);
  });

  test('a bot talks with people when its token may, and an account that ended is a person without a name', async () => {
    const bot = await owner.rest.ok('POST', '/v1/bots', { username: `direct_bot_${Date.now().toString(36)}` });
    const token = async (scopes) => rest.as((await owner.rest.ok('POST', `/v1/bots/${bot.id}/tokens`, { label: 'x', scopes })).token);
    const [a, b, c] = await people(3);
    await refused((await token(['read', 'write'])).call('POST', '/v1/direct', { user_ids: [a.id] }), 403);
    const caller = await token(['read', 'write', 'channels']);
    const direct = await caller.ok('POST', '/v1/direct', { user_ids: [a.id] });
    assert.equal((await opened(a, [bot])).id, direct.id);
    await caller.ok('POST', `/v1/channels/${direct.id}/messages`, { content: 'beep' });
    assert.equal((await a.rest.ok('GET', `/v1/channels/${direct.id}/messages`)).items[0].author.bot, true);

    const pair = await opened(a, [b]), group = await opened(b, [a, c], { name: 'before' });
    await post(b, pair, 'from b');
    const s = await socket(a, [`user:${a.id}`]);
    assert.equal((await b.rest.call('DELETE', '/v1/me', { password: b.password })).status, 204);
    await refused(open(a, [b]), 422, { field: 'user_ids' });
    await refused(open(a, [b, c]), 422, { field: 'user_ids' });
    await until('the group is without him', async () => (await a.rest.ok('GET', `/v1/channels/${group.id}`)).members.length === 2);
    await s.frame((f) => f.type === 'member_left' && f.data.channel_id === group.id && f.data.user_id === b.id);
    await s.frame((f) => f.type === 'member_role_updated' && f.data.channel_id === group.id && f.data.new_role === 'owner');
    assert.deepEqual((await a.rest.ok('GET', `/v1/channels/${pair.id}/messages`)).items.map((m) => m.content), ['from b']);
    const left = (await a.rest.ok('GET', `/v1/channels/${pair.id}`)).members;
    assert.deepEqual(ids(left), ids([a, b]));
    await until('his name is gone', async () => !JSON.stringify(await a.rest.ok('GET', `/v1/channels/${pair.id}`)).includes(b.username));
    await post(a, group, 'still here');
    await owner.rest.ok('DELETE', `/v1/bots/${bot.id}`);
    await refused(open(a, [bot]), 422, { field: 'user_ids' });
    s.end();
  });
});

describe('people of a group', () => {
  test('anybody in it brings people in, only its owner puts them out, and leaving hands it on', async () => {
    const [a, b, c, d] = await people(4);
    const group = await opened(a, [b, c], { name: 'ours' });
    const place = (person) => `/v1/channels/${group.id}/members/${person.id}`;
    const news = await socket(d, [`user:${d.id}`], { gateway: 1 }), witness = await socket(b, [`user:${b.id}`]);
    await post(a, group, 'before d');
    await refused(d.rest.call('PUT', place(d), {}), 404);
    assert.equal((await a.rest.call('PUT', place(a), {})).status, 200, 'one is in it already');
    assert.equal((await c.rest.call('PUT', place(d), {})).status, 201);
    assert.equal((await c.rest.call('PUT', place(d), {})).status, 200);
    for (const s of [news, witness]) {
      const joined = await s.frame((f) => f.type === 'member_joined' && f.data.channel_id === group.id);
      assert.deepEqual(joined.data, { channel_id: group.id, user_id: d.id, username: d.username });
    }
    await post(a, group, 'with d');
    await news.frame((f) => f.type === 'channel_message' && f.data.content === 'with d');
    assert.deepEqual(types(about(news, group)).slice(0, 2).filter((type) => type !== 'unread_updated'), ['member_joined', 'channel_message']);
    assert.equal((await d.rest.ok('GET', `/v1/channels/${group.id}/messages`)).items.length, 2);
    const roles = Object.fromEntries((await d.rest.ok('GET', `/v1/channels/${group.id}/members`)).items.map((m) => [m.user.id, m.role]));
    assert.deepEqual(roles, { [a.id]: 'owner', [b.id]: 'member', [c.id]: 'member', [d.id]: 'member' });

    await refused(b.rest.call('DELETE', place(d)), 403, { why: 'channel_role' });
    await refused(b.rest.call('POST', `${place(d)}/kick`, {}), 403, { why: 'channel_role' });
    await refused(a.rest.call('PATCH', place(b), { role: 'moderator' }), 403, { why: 'conversation' });
    await refused(a.rest.call('PUT', `/v1/channels/${group.id}/bans/${b.id}`, { motive: 'x' }), 403, { why: 'conversation' });
    await refused(a.rest.call('PUT', place({ id: randomUUID() }), {}), 404);
    assert.equal((await a.rest.call('POST', `${place(d)}/kick`, {})).status, 204);
    assert.deepEqual((await news.frame('user_kicked')).data, { channel_id: group.id });
    await refused(d.rest.call('GET', `/v1/channels/${group.id}`), 404);
    await post(a, group, 'without d');
    await witness.frame((f) => f.type === 'channel_message' && f.data.content === 'without d');
    assert.ok(!JSON.stringify(news.frames).includes('without d'));

    assert.equal((await a.rest.call('DELETE', place(a))).status, 204);
    await witness.frame((f) => f.type === 'member_left' && f.data.user_id === a.id);
    const promoted = await witness.frame((f) => f.type === 'member_role_updated' && f.data.new_role === 'owner');
    assert.ok([b.id, c.id].includes(promoted.data.user_id));
    assert.deepEqual((await a.rest.ok('GET', '/v1/direct')).items, []);
    await refused(a.rest.call('POST', `/v1/channels/${group.id}/messages`, { content: 'ghost' }), 404);
    for (const s of [news, witness]) s.end();
  });

  test('the group for a set of people is the one that has exactly them now', async () => {
    const [a, b, c, d] = await people(4);
    const group = await opened(a, [b, c]);
    await a.rest.ok('PUT', `/v1/channels/${group.id}/members/${d.id}`, {});
    assert.equal((await opened(d, [a, b, c])).id, group.id);
    const other = await open(b, [a, c]);
    assert.equal(other.status, 201);
    assert.notEqual(other.json.id, group.id);
    await d.rest.ok('DELETE', `/v1/channels/${group.id}/members/${d.id}`);
    assert.equal((await opened(c, [a, b])).id, other.json.id, 'the set has one group, although two have these people');
    assert.equal((await open(d, [a, b, c])).status, 201);
  });

  test('two people stay two, and nobody leaves', async () => {
    const [a, b, c] = await people(3);
    const direct = await opened(a, [b]);
    const place = (person) => `/v1/channels/${direct.id}/members/${person.id}`;
    await refused(a.rest.call('PUT', place(c), {}), 409, { why: 'direct' });
    await refused(a.rest.call('DELETE', place(a)), 409, { why: 'direct' });
    await refused(a.rest.call('DELETE', place(b)), 409, { why: 'direct' });
    await refused(a.rest.call('POST', `${place(b)}/kick`, {}), 409, { why: 'direct' });
    assert.equal((await b.rest.ok('GET', `/v1/channels/${direct.id}/members`)).items.length, 2);
    await refused(a.rest.call('DELETE', `/v1/channels/${direct.id}`), 403);
    await refused(a.rest.call('POST', `/v1/channels/${direct.id}/duplicate`, {}), 403, { why: 'conversation' });
  });

  test('adding the same people at once from all sides ends with each of them once', async () => {
    const [a, b, c, ...more] = await people(9);
    const group = await opened(a, [b, c]);
    const answers = await Promise.all([a, b, c].flatMap((by) => more.map((person) => by.rest.sure('PUT', `/v1/channels/${group.id}/members/${person.id}`, {}))));
    assert.ok(answers.every((answer) => answer.status === 200 || answer.status === 201), answers.map((answer) => answer.status).join());
    assert.equal(answers.filter((answer) => answer.status === 201).length, more.length);
    assert.deepEqual(ids((await c.rest.ok('GET', `/v1/channels/${group.id}`)).members), ids([a, b, c, ...more]));
    assert.equal((await opened(more[5], [a, b, c, ...more.slice(0, 5)])).id, group.id);
  });
});

describe('what sockets see of them', () => {
  test('a conversation that begins while the topic is being opened is shown, whichever comes first', { timeout: 120000 }, async () => {
    for (let i = 0; i < 8; i++) {
      const [a, b] = await people(2);
      const s = new Socket(`${cluster.ws(i % 2)}?resume=1`, { token: b.token });
      await s.opened;
      await s.frame('hello');
      const made = open(a, [b]);
      s.send({ op: 'subscribe', topics: [`user:${b.id}`], ref: 1 });
      const channel = (await made).json;
      await s.frame('subscribed');
      const message = await post(a, channel, 'the first of all');
      await s.frame((f) => f.type === 'channel_message' && f.data.message_id === message.id);
      assert.equal(about(s, channel).filter((f) => f.type === 'channel_message').length, 1);
      s.end();
    }
  });

  test('a channel topic that is sooner than the news of its conversation misses nothing', { timeout: 120000 }, async () => {
    for (let i = 0; i < 6; i++) {
      const [a, b] = await people(2);
      const s = await socket(b, [`user:${b.id}`], { gateway: i % 2, query: '?resume=1' });
      const channel = await opened(a, [b]);
      const first = await post(a, channel, 'one');
      s.send({ op: 'subscribe', topics: [`channel:${channel.id}`], ref: 2 });
      await s.frame((f) => f.type === 'subscribed' && f.data.ref === 2);
      const second = await post(a, channel, 'two');
      await s.frame((f) => f.type === 'channel_message' && f.data.message_id === second.id);
      assert.deepEqual(about(s, channel).filter((f) => f.type === 'channel_message').map((f) => f.data.message_id), [first.id, second.id]);
      s.end();
    }
  });

  test('who was put out hears nothing more, a resume says so, and who is brought back is in it again', { timeout: 120000 }, async () => {
    const [a, b, c] = await people(3);
    const group = await opened(a, [b, c]);
    const place = `/v1/channels/${group.id}/members/${c.id}`;
    const s = await socket(c, [`user:${c.id}`, `channel:${group.id}`], { query: '?resume=1' });
    const subscribed = (await s.frame('subscribed')).data;
    const seen = await post(a, group, 'with him');
    const frame = await s.frame((f) => f.type === 'channel_message' && f.data.message_id === seen.id);
    assert.equal((await a.rest.call('POST', `${place}/kick`, {})).status, 204);
    const secret = await post(a, group, 'without him');
    await s.frame('user_kicked');
    const resumed = await socket(c, ['global'], { query: '?resume=1' });
    resumed.send({ op: 'subscribe', topics: [`user:${c.id}`], since: { generation: subscribed.generation, streams: { [frame.stream]: frame.seq } }, ref: 3 });
    const answer = (await resumed.frame((f) => f.type === 'subscribed' && f.data.ref === 3)).data.streams[frame.stream];
    assert.deepEqual(answer, { recovered: false });

    // Out and in again without a pause, many times: the streams overtake each other.
    for (let i = 0; i < 5; i++) {
      assert.equal((await b.rest.call('PUT', `/v1/channels/${group.id}/members/${c.id}`, {})).status, 201);
      if (i < 4) assert.equal((await a.rest.call('POST', `${place}/kick`, {})).status, 204);
    }
    const again = await post(b, group, 'with him again');
    for (const socketOf of [s, resumed]) {
      await socketOf.frame((f) => f.type === 'channel_message' && f.data.message_id === again.id);
      assert.ok(!JSON.stringify(socketOf.frames).includes(secret.id), 'nothing of the time between');
      socketOf.end();
    }
  });

  test('presence goes to those one has conversations with, until one leaves, and to nobody else', { timeout: 120000 }, async () => {
    const [a, b, c, d] = await people(4);
    await opened(a, [b]);
    const group = await opened(a, [c, d]);
    const watching = [await socket(b, [`user:${b.id}`]), await socket(c, [`user:${c.id}`], { gateway: 1 }), await socket(d, [`user:${d.id}`])];
    const stranger = await socket(ann, [`user:${ann.id}`, 'global', `team:${team.id}`]);
    const status = (s, word) => s.frame((f) => f.type === 'presence_updated' && f.data.user_id === a.id && f.data.status === word, { ms: 30000 });
    const own = await socket(a, [`user:${a.id}`], { gateway: 1 });
    for (const s of watching) assert.equal((await status(s, 'online')).data.chosen, undefined);
    own.send({ op: 'presence', status: 'dnd' });
    for (const s of watching) await status(s, 'dnd');
    await status(own, 'dnd');
    assert.deepEqual(own.frames.filter((f) => f.type === 'presence_updated' && f.data.user_id === a.id && f.data.chosen === undefined), [], 'once, with the choice');

    // One that begins shows who is there; one that was left shows no more.
    const e = await newPerson(rest, 'later'), late = await socket(e, [`user:${e.id}`]);
    await opened(a, [e]);
    await status(late, 'dnd');
    await a.rest.ok('DELETE', `/v1/channels/${group.id}/members/${a.id}`);
    let word = 'dnd';
    await until('presence knows that he left', async () => {
      const from = watching.map((s) => s.frames.length);
      word = word === 'idle' ? 'dnd' : 'idle';
      own.send({ op: 'presence', status: word });
      const at = (s, index) => s.frame((f) => f.type === 'presence_updated' && f.data.user_id === a.id && f.data.status === word, { from: index, ms: 30000 });
      await at(watching[0], from[0]);
      await post(c, group, `mark ${word}`);
      for (const [i, s] of watching.entries()) if (i > 0) await s.frame('channel_message', { from: from[i], ms: 30000 });
      return watching.every((s, i) => i === 0 || !s.frames.slice(from[i]).some((f) => f.type === 'presence_updated' && f.data.user_id === a.id));
    }, 60000);
    assert.ok(!stranger.frames.some((f) => f.type === 'presence_updated' && f.data.user_id === a.id));
    for (const s of [...watching, stranger, own, late]) s.end();
  });
});

describe('while processes die', () => {
  test('sockets resume over killed gateways: nothing is missing, nothing comes twice', { timeout: 120000 }, async () => {
    const [a, b, c] = await people(3);
    const pair = await opened(a, [b]), group = await opened(a, [b, c]);
    const urls = [cluster.ws(0), cluster.ws(1)];
    const watchers = [a, b, c].map((person) => new Watcher(urls, person.token, [`user:${person.id}`], { name: person.username }));
    await Promise.all(watchers.map((w) => w.ready));
    const sent = { [pair.id]: [], [group.id]: [] };
    for (let i = 0; i < 24; i++) {
      const channel = i % 3 === 0 ? pair : group;
      sent[channel.id].push((await post([a, b][i % 2], channel, `n ${i}`)).id);
      if (i % 8 === 4) cluster.copies.gateway[(i / 4) % 2 | 0].kill9();
    }
    const got = (w, channel) => w.events.filter((e) => e.type === 'channel_message' && e.data.channel_id === channel.id).map((e) => e.data.message_id);
    for (const [i, w] of watchers.entries()) {
      const mine = i === 2 ? [group] : [pair, group];
      await until(`${w.name} has all of it`, () => mine.every((channel) => got(w, channel).length >= sent[channel.id].length), 60000);
      assert.deepEqual(w.notRecovered, [], 'the log reaches back');
      for (const channel of [pair, group]) assert.deepEqual(got(w, channel), mine.includes(channel) ? sent[channel.id] : []);
      w.stop();
    }
    await Promise.all(cluster.all().map((copy) => copy.ready(60000)));
  });

  test('a conversation that was claimed by a messaging that died is the one that comes to be', { timeout: 120000 }, async () => {
    const [a, b] = await people(2);
    const s = await socket(b, [`user:${b.id}`]);
    const claims = () => Number(cluster.pg.psql('SELECT count(*) FROM moderation.conversations'));
    const channels = () => Number(cluster.pg.psql("SELECT count(*) FROM messaging.channels WHERE kind = 12"));
    cluster.pg.psql(`CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3); RETURN NEW; END $$;
      CREATE TRIGGER hold BEFORE INSERT ON messaging.channels FOR EACH ROW EXECUTE FUNCTION public.hold()`);
    const [claimed, there] = [claims(), channels()];
    const first = a.rest.call('POST', '/v1/direct', { user_ids: [b.id] }).catch((error) => ({ error }));
    await until('it is claimed', () => claims() === claimed + 1);
    for (const copy of cluster.copies.messaging) copy.kill9();
    assert.equal(channels(), there, 'there is a claim and no channel');
    cluster.pg.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    cluster.pg.psql('DROP TRIGGER hold ON messaging.channels; DROP FUNCTION public.hold()');
    await first;
    await Promise.all(cluster.copies.messaging.map((copy) => copy.ready(60000)));
    const answer = await b.rest.sure('POST', '/v1/direct', { user_ids: [a.id] });
    assert.ok(answer.status === 200 || answer.status === 201, answer.text);
    assert.equal(claims(), claimed + 1, 'the claim was found');
    assert.equal((await a.rest.sure('POST', '/v1/direct', { user_ids: [b.id] })).json.id, answer.json.id);
    assert.equal(channels(), there + 1);
    await post(a, answer.json, 'at last');
    await s.frame('channel_message', { ms: 30000 });
    assert.deepEqual(types(about(s, answer.json)).filter((type) => type !== 'unread_updated'), ['conversation_created', 'channel_message']);
    s.end();
  });
});
