// Mentions end to end: who is told and who is not, what is counted, and that both survive the processes that do it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, Watcher, newPerson } from './lib/client.mjs';
import { until } from './lib/wait.mjs';

const cluster = new Cluster({ copies: { gateway: 2, messaging: 2 } });
let rest, owner, ann, bob, cid, team, channel;

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  [owner, ann, bob, cid] = await Promise.all(['owner', 'ann', 'bob', 'cid'].map((name) => newPerson(rest, name)));
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'mentions', joining: 'open' });
  for (const person of [ann, bob, cid]) await join(person);
  channel = await make({ name: 'general' });
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

const join = (person, to = team) => person.rest.ok('PUT', `/v1/teams/${to.id}/members/${person.id}`, {});
const make = (fields) => owner.rest.ok('POST', '/v1/channels', { team_id: team.id, ...fields });
const post = (person, content, to = channel) => person.rest.ok('POST', `/v1/channels/${to.id}/messages`, { content });
const reply = (person, message, content) => person.rest.ok('POST', `/v1/channels/${message.channel_id}/messages/${message.id}/replies`, { content });
const get = (person, message) => person.rest.ok('GET', `/v1/channels/${message.channel_id}/messages/${message.id}`);
const mark = (person, to, message_id) => person.rest.ok('PUT', `/v1/channels/${to.id}/read`, message_id ? { message_id } : {});
async function unread(person, of = channel) {
  return (await person.rest.ok('GET', '/v1/unread')).items.find((item) => item.channel_id === of.id);
}
async function socket(person, { gateway = 0, query = '', since, topics = [`user:${person.id}`] } = {}) {
  const s = new Socket(cluster.ws(gateway) + query, { token: person.token });
  await s.opened;
  await s.frame('hello');
  s.send({ op: 'subscribe', topics, since, ref: 1 });
  s.subscribed = (await s.frame('subscribed')).data;
  return s;
}
const told = (message) => (f) => f.type === 'user_mentioned' && f.data.message_id === message.id;
/** Everything that was told before this one has arrived when this one has: a person's stream is in order. */
async function marker(person, sockets) {
  const last = await post(owner, `<@${person.id}> marker`);
  for (const s of sockets) await s.frame(told(last));
}

describe('who is named', () => {
  test('is told on his own topic on every gateway, with these keys; nobody else is', async () => {
    const [first, second] = [await socket(ann), await socket(ann, { gateway: 1 })];
    const [others, author] = [await socket(cid), await socket(bob)];
    const text = `<@${ann.id}> look at <#${channel.id}>, \`<@${cid.id}>\``;
    const message = await post(bob, text);
    assert.equal(message.content, text);
    assert.deepEqual(message.mentions, { users: [ann.id], roles: [], everyone: false, here: false, channels: [channel.id] });
    for (const s of [first, second]) {
      const event = await s.frame(told(message));
      assert.deepEqual(Object.keys(event).sort(), ['data', 'timestamp', 'type']);
      assert.deepEqual(event.data, { channel_id: channel.id, message_id: message.id, user_id: bob.id, username: bob.username, content: text, how: 'user' });
    }
    await marker(cid, [others]);
    await marker(bob, [author]);
    for (const s of [others, author]) assert.equal(s.frames.filter(told(message)).length, 0);
    for (const s of [first, second, others, author]) s.end();
  });

  test('is shown by his UUID in messages, lists, events and history; what mentions nobody stays as it is stored', async () => {
    const s = await socket(cid, { topics: [`channel:${channel.id}`] });
    const text = `<@${ann.id}> <:wave:${channel.id}> @here`;
    const message = await post(bob, text);
    assert.equal((await s.frame((f) => f.data?.message_id === message.id)).data.content, text);
    const edited = await bob.rest.ok('PATCH', `/v1/channels/${channel.id}/messages/${message.id}`, { content: `<@${cid.id}> instead` });
    assert.deepEqual(edited.mentions.users, [cid.id]);
    assert.equal((await s.frame((f) => f.type === 'message_updated' && f.data.message_id === message.id)).data.content, `<@${cid.id}> instead`);
    const list = await cid.rest.ok('GET', `/v1/channels/${channel.id}/messages?limit=5`);
    assert.deepEqual(list.items.find((m) => m.id === message.id).mentions, edited.mentions);
    const history = await bob.rest.ok('GET', `/v1/channels/${channel.id}/messages/${message.id}/history`);
    assert.deepEqual(history.items.map((e) => e.content), [text]);
    const nobody = await post(bob, '<@00000000-0000-8000-9400-000000000000> <@nobody> <@> <#>');
    assert.deepEqual(nobody.mentions.users, []);
    assert.equal(nobody.content, '<@5> <@nobody> <@> <#>');
    s.end();
  });

  test('is told of an answer, once when he is named in it too', async () => {
    const s = await socket(ann);
    const question = await post(ann, 'a question');
    const [plain, named] = [await reply(bob, question, 'an answer'), await reply(bob, question, `<@${ann.id}> an answer`)];
    assert.equal((await s.frame(told(plain))).data.how, 'reply');
    assert.equal((await s.frame(told(named))).data.how, 'user');
    await reply(ann, question, 'my own');
    await marker(ann, [s]);
    assert.equal(s.frames.filter((f) => f.type === 'user_mentioned').length, 3);
    s.end();
  });

  test('is not told of what he may not read, and it counts nothing', async () => {
    const secret = await make({ name: 'secret', private: true });
    await owner.rest.ok('PUT', `/v1/channels/${secret.id}/members/${bob.id}`, {});
    const [outside, inside] = [await socket(ann), await socket(bob)];
    const message = await post(owner, `<@${ann.id}> <@${bob.id}>`, secret);
    assert.deepEqual(message.mentions.users, [bob.id]);
    await inside.frame(told(message));
    await marker(ann, [outside]);
    assert.equal(outside.frames.filter(told(message)).length, 0);
    assert.equal(await unread(ann, secret), undefined);
    assert.equal((await unread(bob, secret)).mentions, 1);
    const linked = await post(ann, `<#${secret.id}>`);
    assert.deepEqual(linked.mentions.channels, [], 'a channel that the author cannot see is not linked');
    outside.end();
    inside.end();
  });

  test('learns nothing any more of a message that was deleted, also when he resumes', async () => {
    const s = await socket(ann, { query: '?resume=1' });
    const since = { generation: s.subscribed.generation, streams: Object.fromEntries(Object.entries(s.subscribed.streams).map(([stream, at]) => [stream, at.seq])) };
    const message = await post(bob, `<@${ann.id}> a slip of the tongue`);
    await s.frame(told(message));
    s.end();
    assert.equal((await bob.rest.call('DELETE', `/v1/channels/${channel.id}/messages/${message.id}`)).status, 204);
    const kept = await post(bob, `<@${ann.id}> what stays`);
    const again = await socket(ann, { gateway: 1, query: '?resume=1', since });
    await again.frame(told(kept));
    assert.ok(Object.values(again.subscribed.streams).every((at) => at.recovered));
    assert.ok(!JSON.stringify(again.frames).includes('slip of the tongue'));
    again.end();
  });

  test('forty at once are told exactly once each', async () => {
    const crowd = [];
    while (crowd.length < 40) crowd.push(...await Promise.all([0, 1, 2, 3].map(() => newPerson(rest, 'crowd'))));
    for (const person of crowd) await join(person);
    const sockets = await Promise.all(crowd.map((person, i) => socket(person, { gateway: i % 2 })));
    const names = crowd.map((person) => `<@${person.id}>`).join(' ');
    const message = await post(bob, names);
    assert.equal(message.mentions.users.length, 40);
    await Promise.all(sockets.map((s) => s.frame(told(message), { ms: 30000 })));
    const after = await post(bob, `${names} again`);
    await Promise.all(sockets.map((s) => s.frame(told(after), { ms: 30000 })));
    for (const s of sockets) assert.deepEqual(s.frames.filter((f) => f.type === 'user_mentioned').map((f) => f.data.message_id), [message.id, after.id]);
    for (const s of sockets) s.end();
  });
});

describe('roles and everyone', () => {
  test('@everyone and @here take the permission for it, and count for all', async () => {
    const room = await make({ name: 'everyone' });
    assert.equal((await post(bob, '@everyone', room)).mentions.everyone, false);
    assert.equal((await post(bob, '@here', room)).mentions.here, false);
    assert.equal((await unread(ann, room)).mentions, 0);
    assert.equal((await post(owner, '@everyone', room)).mentions.everyone, true);
    assert.equal((await post(owner, 'I am @here', room)).mentions.here, true);
    assert.equal((await post(owner, 'mail@everyone.example', room)).mentions.everyone, false);
    const counted = await unread(ann, room);
    assert.equal(counted.mentions, 2);
    assert.equal(counted.unread, 5);
    assert.equal((await unread(owner, room)).mentions, 0);
    const role = await owner.rest.ok('POST', `/v1/teams/${team.id}/roles`, { name: 'loud', permissions: ['mention_everyone'] });
    await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${bob.id}/roles/${role.id}`, {});
    assert.equal((await post(bob, '@everyone', room)).mentions.everyone, true);
    await owner.rest.call('DELETE', `/v1/teams/${team.id}/members/${bob.id}/roles/${role.id}`);
    assert.equal((await post(bob, '@everyone', room)).mentions.everyone, false);
    assert.equal((await unread(ann, room)).mentions, 3);
  });

  test('a role counts for who holds it when it is counted, and quiet ones are not for everybody to call', async () => {
    const room = await make({ name: 'roles' });
    const [open, quiet] = [await owner.rest.ok('POST', `/v1/teams/${team.id}/roles`, { name: 'crew', mentionable: true }), await owner.rest.ok('POST', `/v1/teams/${team.id}/roles`, { name: 'quiet' })];
    for (const role of [open, quiet]) await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${ann.id}/roles/${role.id}`, {});
    const s = await socket(ann);
    const message = await post(bob, `<@&${open.id}> <@&${quiet.id}>`, room);
    assert.deepEqual(message.mentions.roles, [open.id]);
    assert.ok(message.content.startsWith(`<@&${open.id}> <@&`));
    assert.ok(!message.content.includes(quiet.id));
    assert.deepEqual((await post(owner, `<@&${quiet.id}>`, room)).mentions.roles, [quiet.id]);
    assert.equal((await unread(ann, room)).mentions, 2);
    assert.equal((await unread(cid, room)).mentions, 0);
    await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${cid.id}/roles/${open.id}`, {});
    assert.equal((await unread(cid, room)).mentions, 1);
    await marker(ann, [s]);
    assert.equal(s.frames.filter(told(message)).length, 0, 'a role is counted, not told');
    s.end();
  });
});

describe('conversations', () => {
  test('people in a group are called, others are not, and nobody calls everyone', async () => {
    const group = await bob.rest.ok('POST', '/v1/direct', { user_ids: [ann.id, cid.id] });
    const outsider = await newPerson(rest, 'outsider');
    const [inside, outside] = [await socket(ann), await socket(outsider)];
    const message = await post(bob, `<@${ann.id}> <@${outsider.id}> @everyone @here <#${channel.id}>`, group);
    assert.deepEqual(message.mentions, { users: [ann.id], roles: [], everyone: false, here: false, channels: [] });
    assert.equal((await inside.frame(told(message))).data.channel_id, group.id);
    assert.deepEqual([(await unread(ann, group)).unread, (await unread(ann, group)).mentions], [1, 1]);
    assert.deepEqual([(await unread(cid, group)).unread, (await unread(cid, group)).mentions], [1, 0]);
    assert.equal(await unread(outsider, group), undefined);
    await join(outsider);
    await marker(outsider, [outside]);
    assert.equal(outside.frames.filter(told(message)).length, 0);
    // Once he is in it he is called, and what came before is no news to him; once he has gone he is not called any more.
    await bob.rest.ok('PUT', `/v1/channels/${group.id}/members/${outsider.id}`, {});
    assert.deepEqual([(await unread(outsider, group)).unread, (await unread(outsider, group)).mentions], [0, 0]);
    const welcome = await post(bob, `<@${outsider.id}> welcome`, group);
    await outside.frame(told(welcome));
    assert.deepEqual([(await unread(outsider, group)).unread, (await unread(outsider, group)).mentions], [1, 1]);
    assert.equal((await bob.rest.call('DELETE', `/v1/channels/${group.id}/members/${outsider.id}`)).status, 204);
    const behind = await post(bob, `<@${outsider.id}> gone`, group);
    assert.deepEqual(behind.mentions.users, []);
    await marker(outsider, [outside]);
    assert.equal(outside.frames.filter(told(behind)).length, 0);
    inside.end();
    outside.end();
  });
});

describe('edits and bots', () => {
  test('who is named by an edit is told then, once; who was told by the first text is not told again', async () => {
    const [first, second] = [await socket(ann), await socket(cid)];
    const message = await post(bob, `<@${ann.id}> first`);
    await first.frame(told(message));
    const edit = (content) => bob.rest.ok('PATCH', `/v1/channels/${channel.id}/messages/${message.id}`, { content });
    await edit(`<@${ann.id}> <@${cid.id}> second`);
    const event = await second.frame(told(message));
    assert.equal(event.data.how, 'user');
    assert.equal(event.data.content, `<@${ann.id}> <@${cid.id}> second`);
    await edit('nobody');
    await edit(`<@${cid.id}> <@${ann.id}> third`);
    await marker(ann, [first]);
    await marker(cid, [second]);
    for (const s of [first, second]) assert.equal(s.frames.filter(told(message)).length, 1);
    first.end();
    second.end();
  });

  test('who is timed out calls nobody, by a post or by an edit', async () => {
    const shouter = await newPerson(rest, 'shouter');
    await join(shouter);
    const s = await socket(ann);
    const message = await post(shouter, 'quiet');
    await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${shouter.id}/timeout`, { until: new Date(Date.now() + 3600000).toISOString() });
    for (const [method, path] of [['POST', ''], ['PATCH', `/${message.id}`]]) {
      const answer = await shouter.rest.call(method, `/v1/channels/${channel.id}/messages${path}`, { content: `<@${ann.id}> loud` });
      assert.equal(answer.status, 403);
    }
    await marker(ann, [s]);
    assert.equal(s.frames.filter(told(message)).length, 0);
    assert.equal((await get(ann, message)).content, 'quiet');
    s.end();
  });

  test('a bot is told on its own topic as people are, and tells', async () => {
    const bot = await bob.rest.ok('POST', '/v1/bots', { username: `caller-${Date.now() % 1000000}` });
    const { token } = await bob.rest.ok('POST', `/v1/bots/${bot.id}/tokens`, { label: 'all', scopes: ['read', 'write'] });
    await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${bot.id}`, {});
    const asBot = { id: bot.id, token, rest: rest.as(token) };
    const [own, other] = [await socket(asBot), await socket(ann)];
    const called = await post(bob, `<@${bot.id}> are you there?`);
    await own.frame(told(called));
    const answer = await post(asBot, `<@${ann.id}> yes`);
    assert.equal((await other.frame(told(answer))).data.user_id, bot.id);
    own.end();
    other.end();
  });
});

describe('unread', () => {
  test('a mark by one socket reaches the others on both gateways with the same numbers as REST', async () => {
    const room = await make({ name: 'marks' });
    const messages = [];
    for (const text of ['one', `<@${ann.id}> two`, '@everyone three', 'four']) messages.push(await post(owner, text, room));
    const sockets = [await socket(ann), await socket(ann, { gateway: 1 })];
    for (const [at, unreadWanted, mentionsWanted] of [[3, 0, 0], [0, 3, 2], [1, 2, 1]]) {
      const from = sockets.map((s) => s.frames.length);
      const answer = await mark(ann, room, messages[at].id);
      const wanted = { channel_id: room.id, team_id: team.id, unread: unreadWanted, mentions: mentionsWanted, last_read_id: messages[at].id };
      for (const [i, s] of sockets.entries()) assert.deepEqual((await s.frame('unread_updated', { from: from[i] })).data, wanted);
      for (const shown of [answer, await unread(ann, room)]) {
        assert.equal(shown.unread, unreadWanted);
        assert.equal(shown.mentions, mentionsWanted);
        assert.equal(shown.last_read_id, messages[at].id);
        assert.equal(shown.last_message_id, messages[3].id);
      }
    }
    assert.equal((await ann.rest.call('PUT', `/v1/channels/${room.id}/read`, { message_id: room.id })).status, 404);
    for (const s of sockets) s.end();
  });

  test('who joins starts with everything read, in the team and in a private channel', async () => {
    const [room, secret] = [await make({ name: 'before' }), await make({ name: 'before, hidden', private: true })];
    for (const to of [room, secret]) for (const text of ['one', '@everyone two', 'three']) await post(owner, text, to);
    const late = await newPerson(rest, 'late');
    await join(late);
    assert.deepEqual([(await unread(late, room)).unread, (await unread(late, room)).mentions], [0, 0]);
    await post(owner, '@everyone four', secret);
    await post(owner, '@everyone four', room);
    await owner.rest.ok('PUT', `/v1/channels/${secret.id}/members/${late.id}`, {});
    assert.deepEqual([(await unread(late, room)).unread, (await unread(late, room)).mentions], [1, 1]);
    assert.deepEqual([(await unread(late, secret)).unread, (await unread(late, secret)).mentions], [0, 0]);
    await post(owner, `<@${late.id}> five`, secret);
    assert.deepEqual([(await unread(late, secret)).unread, (await unread(late, secret)).mentions], [1, 1]);
  });

  test('edits and deletions change what is counted', async () => {
    const room = await make({ name: 'counted' });
    const message = await post(owner, `<@${ann.id}>`, room);
    const gone = await post(owner, `<@${ann.id}>`, room);
    assert.equal((await unread(ann, room)).mentions, 2);
    await owner.rest.ok('PATCH', `/v1/channels/${room.id}/messages/${message.id}`, { content: 'nobody' });
    assert.equal((await unread(ann, room)).mentions, 1);
    await owner.rest.call('DELETE', `/v1/channels/${room.id}/messages/${gone.id}`);
    assert.deepEqual([(await unread(ann, room)).unread, (await unread(ann, room)).mentions], [1, 0]);
  });
});

describe('input', () => {
  test('what was shown may be sent back, however long its ids are; what is stored has at most 4000 characters', async () => {
    const text = `<@${ann.id}> `.repeat(180); // over 7000 characters as a client sees it
    const message = await post(bob, text);
    assert.equal(message.content, text);
    assert.deepEqual(message.mentions.users, [ann.id]);
    const again = await bob.rest.ok('PATCH', `/v1/channels/${channel.id}/messages/${message.id}`, { content: `${text}!` });
    assert.equal(again.content, `${text}!`);
    for (const content of ['x'.repeat(4001), `<@${ann.id}>`.repeat(400), '']) {
      const answer = await bob.rest.call('POST', `/v1/channels/${channel.id}/messages`, { content });
      assert.equal(answer.status, 422);
      assert.equal(answer.json.field, 'content');
    }
  });

  test('text that only looks like a mention is text', async () => {
    const strange = ['<@', '<@>', '<@&', '<#', '<:', '<::>', '`', '``<@`', '<@' + '9'.repeat(400) + '>', '@everyone'.repeat(400), '`'.repeat(4000), '<'.repeat(4000), '<@ffffffff-ffff-8fff-bfff-ffffffffffff>', '\\<@\u202e>', '@eveгyone'];
    for (const content of strange) {
      const message = await post(bob, content);
      assert.equal(message.content, content);
      assert.deepEqual(message.mentions, { users: [], roles: [], everyone: false, here: false, channels: [] });
    }
  });
});

describe('when processes end', () => {
  test('counts are the same from every copy of messaging and after a restart of all', async () => {
    const room = await make({ name: 'restart' });
    for (const text of ['one', `<@${ann.id}> two`, '@everyone three']) await post(owner, text, room);
    await mark(ann, room);
    await post(owner, `<@${ann.id}> four`, room);
    await post(owner, 'five', room);
    const before = await unread(ann, room);
    assert.deepEqual([before.unread, before.mentions], [2, 1]);
    for (const copy of cluster.copies.messaging) {
      await copy.stop('SIGTERM');
      const alone = await until('the other copy answers', async () => {
        const answer = await ann.rest.call('GET', '/v1/unread');
        return answer.status === 200 && answer.json.items.find((item) => item.channel_id === room.id);
      }, 60000);
      assert.deepEqual(alone, before);
      copy.spawn();
      await copy.ready(60000);
    }
    await until('all answer', async () => (await ann.rest.call('GET', '/v1/unread')).status === 200, 60000);
    assert.deepEqual(await unread(ann, room), before);
  });

  test('who was mentioned by a copy that died is told once all the same', { timeout: 180000 }, async () => {
    const watcher = new Watcher([cluster.ws(0), cluster.ws(1)], ann.token, [`user:${ann.id}`]);
    await watcher.ready;
    const wanted = [];
    for (let round = 0; round < 4; round++) {
      const copy = cluster.copies.messaging[round % 2];
      for (let n = 0; n < 6; n++) {
        const nonce = `round ${round} ${n}`;
        const sent = bob.rest.sure('POST', `/v1/channels/${channel.id}/messages`, { content: `<@${ann.id}> ${nonce}`, nonce });
        if (n === 3) copy.kill9();
        const answer = await sent;
        assert.equal(answer.status, 201, answer.text);
        wanted.push(answer.json.id);
      }
      await copy.exited;
      copy.spawn();
      await copy.ready(60000);
    }
    const notices = () => watcher.events.filter((e) => e.type === 'user_mentioned').map((e) => e.data.message_id);
    await until(`all ${wanted.length} were told`, () => wanted.every((id) => notices().includes(id)), 90000);
    const last = await post(owner, `<@${ann.id}> marker`);
    await until('the marker', () => notices().includes(last.id), 30000);
    assert.deepEqual(notices().filter((id) => wanted.includes(id)).sort(), [...wanted].sort(), 'once each');
    assert.deepEqual(watcher.notRecovered, []);
    watcher.stop();
    assert.deepEqual(cluster.unexpected, [], 'nothing ended but by our kills');
  });
});
