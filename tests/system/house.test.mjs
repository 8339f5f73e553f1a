// The house dialect end to end: REST answers, and every given event of the socket with exactly its keys, on the topics that it
// belongs to and on no other.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { until } from './lib/wait.mjs';

const cluster = new Cluster({ copies: { gateway: 2, messaging: 2 } });
let rest, owner, member, other, outsider, team, channel;
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  [owner, member, other, outsider] = [await newPerson(rest, 'owner'), await newPerson(rest, 'member'), await newPerson(rest, 'other'), await newPerson(rest, 'outsider')];
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'house', joining: 'open' });
  for (const person of [member, other]) await person.rest.ok('PUT', `/v1/teams/${team.id}/members/${person.id}`, {});
  channel = await owner.rest.ok('POST', '/v1/channels', { name: 'general', team_id: team.id });
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

async function socket(person, topics, { gateway = 0, query = '', compress = false } = {}) {
  const s = new Socket(cluster.ws(gateway) + query, { token: person.token, compress });
  await s.opened;
  await s.frame('hello');
  if (topics) {
    s.send({ op: 'subscribe', topics, ref: 1 });
    const subscribed = await s.frame('subscribed');
    assert.deepEqual(subscribed.data.topics, topics);
  }
  return s;
}
const keys = (object) => Object.keys(object).sort();
function exactly(event, type, wanted) {
  assert.deepEqual(keys(event), ['data', 'timestamp', 'type'], 'an event has exactly three keys');
  assert.match(event.timestamp, time);
  assert.equal(event.type, type);
  assert.deepEqual(keys(event.data), wanted.sort(), `${type} has exactly its keys`);
}

describe('REST', () => {
  test('an account is created, signs in and shows itself', async () => {
    const me = await member.rest.ok('GET', '/v1/me');
    assert.match(me.id, uuid);
    assert.match(me.created_at, time);
    assert.equal(me.username, member.username);
    assert.equal(me.bot, false);
    for (const key of ['display_name', 'avatar_url']) assert.equal(me[key], null);
    assert.equal(member.session.user.id, me.id);
    assert.equal(JSON.stringify(me).includes('password'), false);
    const seen = await other.rest.ok('GET', `/v1/users/${member.id}`);
    assert.equal(seen.username, member.username);
    assert.equal(seen.email, undefined);
    const found = await other.rest.ok('GET', `/v1/users?query=${member.username}`);
    assert.ok(found.items.some((u) => u.id === member.id));
    const patched = await member.rest.ok('PATCH', '/v1/me', { display_name: 'Mem Ber' });
    assert.equal(patched.display_name, 'Mem Ber');
  });

  test('creating answers 201 with Location, and a taken username 409', async () => {
    const username = `taken_${Date.now().toString(36)}`;
    const answer = await rest.call('POST', '/v1/accounts', { username, password: 'long enough' });
    assert.equal(answer.status, 201);
    assert.equal(answer.headers.get('location'), `/v1/users/${answer.json.id}`);
    const again = await rest.call('POST', '/v1/accounts', { username: username, password: 'long enough' });
    assert.equal(again.status, 409);
    assert.equal(again.json.code, 'conflict');
  });

  test('sessions are listed and end: the token is refused at once and its sockets close with 4401', async () => {
    const second = await rest.ok('POST', '/v1/sessions', { username: member.username, password: member.password });
    const s = new Socket(cluster.ws(1), { token: second.token });
    const hello = await s.frame('hello');
    assert.equal(hello.data.session_id, second.session_id);
    const list = await member.rest.ok('GET', '/v1/sessions');
    assert.ok(list.items.some((x) => (x.id ?? x.session_id) === second.session_id));
    const ended = await member.rest.call('DELETE', `/v1/sessions/${second.session_id}`);
    assert.equal(ended.status, 204);
    assert.equal((await s.closed).code, 4401);
    assert.equal((await rest.as(second.token).call('GET', '/v1/me')).status, 401);
    assert.equal((await member.rest.call('GET', '/v1/me')).status, 200);
    const third = await rest.ok('POST', '/v1/sessions', { username: member.username, password: member.password });
    assert.equal((await rest.as(third.token).call('DELETE', '/v1/sessions/current')).status, 204);
    assert.equal((await rest.as(third.token).call('GET', '/v1/me')).status, 401);
  });

  test('teams are shown, changed, joined and left', async () => {
    const seen = await member.rest.ok('GET', `/v1/teams/${team.id}`);
    for (const key of ['id', 'name', 'description', 'icon_url', 'owner_id', 'member_count', 'created_at']) assert.ok(key in seen, key);
    assert.equal(seen.owner_id, owner.id);
    assert.equal(seen.member_count, 3);
    assert.ok((await member.rest.ok('GET', '/v1/teams')).items.some((t) => t.id === team.id));
    assert.equal((await owner.rest.ok('PATCH', `/v1/teams/${team.id}`, { description: 'a house' })).description, 'a house');
    assert.equal((await member.rest.call('PATCH', `/v1/teams/${team.id}`, { description: 'mine' })).status, 403);
    const members = await member.rest.ok('GET', `/v1/teams/${team.id}/members?limit=2`);
    assert.equal(members.items.length, 2);
    assert.ok(members.next);
    const rest2 = await member.rest.ok('GET', members.next);
    assert.deepEqual([...members.items, ...rest2.items].map((m) => m.user.id).sort(), [owner.id, member.id, other.id].sort());
    const visitor = await newPerson(rest, 'visitor');
    await visitor.rest.ok('PUT', `/v1/teams/${team.id}/members/${visitor.id}`, {});
    assert.equal((await visitor.rest.call('DELETE', `/v1/teams/${team.id}/members/${visitor.id}`)).status, 204);
    assert.equal((await visitor.rest.call('GET', `/v1/channels/${channel.id}/messages`)).status, 404);
    const closed = await owner.rest.ok('POST', '/v1/teams', { name: 'closed', joining: 'invite' });
    assert.ok([403, 404].includes((await visitor.rest.call('PUT', `/v1/teams/${closed.id}/members/${visitor.id}`, {})).status));
    assert.equal((await owner.rest.call('DELETE', `/v1/teams/${closed.id}`)).status, 204);
    assert.equal((await owner.rest.call('GET', `/v1/teams/${closed.id}`)).status, 404);
  });

  test('history pages by before and after without a hole', async () => {
    const room = await owner.rest.ok('POST', '/v1/channels', { name: 'history', team_id: team.id });
    const posted = [];
    for (let i = 0; i < 7; i++) posted.push((await owner.rest.ok('POST', `/v1/channels/${room.id}/messages`, { content: `m${i}` })).id);
    let url = `/v1/channels/${room.id}/messages?limit=3`;
    const seen = [];
    for (let n = 0; url && n < 10; n++) {
      const page = await member.rest.ok('GET', url);
      seen.push(...page.items.map((m) => m.id));
      url = page.next;
    }
    assert.deepEqual(seen, posted.toReversed?.() ?? [...posted].reverse());
    const later = await member.rest.ok('GET', `/v1/channels/${room.id}/messages?after=${posted[2]}&limit=2`);
    assert.deepEqual(later.items.map((m) => m.id).sort(), [posted[3], posted[4]].sort());
    const one = await member.rest.ok('GET', `/v1/channels/${room.id}/messages/${posted[0]}`);
    for (const key of ['id', 'channel_id', 'author', 'content', 'parent_message_id', 'reply_count', 'reactions', 'pinned', 'attachments', 'embeds', 'mentions', 'nonce', 'created_at', 'edited_at', 'seq']) assert.ok(key in one, key);
    assert.equal(one.author.id, owner.id);
  });

  test('a nonce and an Idempotency-Key make a repeat harmless, and another body under them is refused', async () => {
    const path = `/v1/channels/${channel.id}/messages`;
    const nonce = randomUUID();
    const first = await member.rest.call('POST', path, { content: 'once', nonce });
    const second = await member.rest.call('POST', path, { content: 'once', nonce });
    assert.equal(second.status, 201);
    assert.equal(second.json.id, first.json.id);
    const otherBody = await member.rest.call('POST', path, { content: 'twice', nonce });
    assert.equal(otherBody.status, 422);
    const key = { 'idempotency-key': randomUUID() };
    const a = await owner.rest.call('POST', '/v1/teams', { name: 'idem' }, key);
    const b = await owner.rest.call('POST', '/v1/teams', { name: 'idem' }, key);
    assert.equal(a.status, 201);
    assert.equal(b.status, 201);
    assert.deepEqual(b.json, a.json);
    assert.equal((await owner.rest.call('POST', '/v1/teams', { name: 'other' }, key)).status, 422);
  });

  test('unread counts what came after the mark', async () => {
    const room = await owner.rest.ok('POST', '/v1/channels', { name: 'unread', team_id: team.id });
    await member.rest.ok('PUT', `/v1/channels/${room.id}/read`, {});
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push((await owner.rest.ok('POST', `/v1/channels/${room.id}/messages`, { content: `u${i}` })).id);
    const count = async () => (await member.rest.ok('GET', '/v1/unread')).items.find((u) => u.channel_id === room.id)?.unread ?? 0;
    assert.equal(await count(), 3);
    const s = await socket(member, [`user:${member.id}`]);
    await member.rest.ok('PUT', `/v1/channels/${room.id}/read`, { message_id: ids[1] });
    assert.equal(await count(), 1);
    const event = await s.frame('unread_updated');
    assert.equal(event.data.channel_id, room.id);
    await member.rest.ok('PUT', `/v1/channels/${room.id}/read`, {});
    assert.equal(await count(), 0);
    s.end();
  });

  test('edits keep their history and a deleted message is gone', async () => {
    const path = `/v1/channels/${channel.id}/messages`;
    const message = await member.rest.ok('POST', path, { content: 'first words' });
    assert.equal((await other.rest.call('PATCH', `${path}/${message.id}`, { content: 'not mine' })).status, 403);
    const edited = await member.rest.ok('PATCH', `${path}/${message.id}`, { content: 'second words' });
    assert.equal(edited.content, 'second words');
    assert.match(edited.edited_at, time);
    const history = await owner.rest.ok('GET', `${path}/${message.id}/history`);
    assert.ok(JSON.stringify(history).includes('first words'));
    assert.equal((await owner.rest.call('DELETE', `${path}/${message.id}`)).status, 204);
    assert.equal((await owner.rest.call('GET', `${path}/${message.id}`)).status, 404);
  });

  test('presence and status are kept and shown', async () => {
    await member.rest.ok('PUT', '/v1/me/status', { message: 'building', emoji: '🔨' });
    const shown = await other.rest.ok('GET', `/v1/users/${member.id}/presence`);
    assert.deepEqual(shown.custom_status, { message: 'building', emoji: '🔨', expires_at: null });
    assert.equal((await member.rest.call('DELETE', '/v1/me/status')).status, 204);
    assert.equal((await other.rest.ok('GET', `/v1/users/${member.id}/presence`)).custom_status, null);
    await member.rest.ok('PUT', '/v1/me/presence', { status: 'dnd' });
    assert.equal((await member.rest.ok('GET', '/v1/me/presence')).chosen, 'dnd');
    await member.rest.ok('PUT', '/v1/me/presence', { status: 'online' });
  });
});

describe('the given events', () => {
  test('message, reply, edit and delete reach the channel topic with exactly their keys', async () => {
    const s = await socket(other, [`channel:${channel.id}`], { gateway: 1 });
    const path = `/v1/channels/${channel.id}/messages`;
    const message = await member.rest.ok('POST', path, { content: 'hello' });
    const posted = await s.frame('channel_message');
    exactly(posted, 'channel_message', ['channel_id', 'message_id', 'user_id', 'username', 'content']);
    assert.deepEqual(posted.data, { channel_id: channel.id, message_id: message.id, user_id: member.id, username: member.username, content: 'hello' });
    const reply = await owner.rest.ok('POST', `${path}/${message.id}/replies`, { content: 'hello yourself' });
    const replied = await s.frame('message_reply');
    exactly(replied, 'message_reply', ['channel_id', 'message_id', 'parent_message_id', 'user_id', 'username', 'content']);
    assert.equal(replied.data.parent_message_id, message.id);
    assert.equal(s.frames.filter((f) => f.type === 'channel_message' && f.data.message_id === reply.id).length, 0, 'a reply is not also a channel_message');
    assert.equal((await owner.rest.ok('GET', `${path}/${message.id}`)).reply_count, 1);
    assert.deepEqual((await owner.rest.ok('GET', `${path}/${message.id}/replies`)).items.map((m) => m.id), [reply.id]);
    await member.rest.ok('PATCH', `${path}/${message.id}`, { content: 'hello again' });
    exactly(await s.frame('message_updated'), 'message_updated', ['channel_id', 'message_id', 'content']);
    await member.rest.call('DELETE', `${path}/${message.id}`);
    exactly(await s.frame('message_deleted'), 'message_deleted', ['channel_id', 'message_id']);
    s.end();
  });

  test('channel_created on global, channel_updated with exactly what changed, channel_deleted', async () => {
    const everywhere = await socket(member, ['global']);
    const stranger = await socket(outsider, ['global']);
    const room = await owner.rest.ok('POST', '/v1/channels', { name: 'new room', team_id: team.id });
    const created = await everywhere.frame((f) => f.type === 'channel_created' && f.data.channel_id === room.id);
    exactly(created, 'channel_created', ['channel_id', 'channel_name']);
    const s = await socket(member, [`channel:${room.id}`]);
    await owner.rest.ok('PATCH', `/v1/channels/${room.id}`, { topic: 'all things' });
    const updated = await s.frame('channel_updated');
    exactly(updated, 'channel_updated', ['channel_id', 'topic']);
    assert.equal((await member.rest.call('PATCH', `/v1/channels/${room.id}`, { topic: 'no' })).status, 403);
    assert.equal((await owner.rest.call('DELETE', `/v1/channels/${room.id}`)).status, 204);
    exactly(await s.frame('channel_deleted'), 'channel_deleted', ['channel_id']);
    assert.equal((await owner.rest.call('POST', `/v1/channels/${room.id}/messages`, { content: 'too late' })).status, 404);
    const secret = await owner.rest.ok('POST', '/v1/channels', { name: 'secret', team_id: team.id, private: true });
    const marker = await owner.rest.ok('POST', '/v1/channels', { name: 'marker', team_id: team.id });
    await everywhere.frame((f) => f.type === 'channel_created' && f.data.channel_id === marker.id);
    assert.equal(everywhere.frames.some((f) => f.data?.channel_id === secret.id), false, 'a private channel is not announced to those who cannot read it');
    assert.equal(stranger.frames.some((f) => f.type === 'channel_created'), false);
    const mine = await owner.rest.ok('GET', `/v1/channels?team=${team.id}`);
    assert.ok(mine.items.some((c) => c.id === secret.id));
    const theirs = await member.rest.ok('GET', `/v1/channels?team=${team.id}`);
    assert.equal(theirs.items.some((c) => c.id === secret.id), false);
    for (const x of [everywhere, stranger, s]) x.end();
  });

  test('the creator of a private channel is told of it on global', async () => {
    const s = await socket(owner, ['global']);
    const secret = await owner.rest.ok('POST', '/v1/channels', { name: 'mine', team_id: team.id, private: true });
    await s.frame((f) => f.type === 'channel_created' && f.data.channel_id === secret.id);
    s.end();
  });

  test('joining, roles, leaving, kick, ban and unban, on the channel and on the user topic', async () => {
    const room = await owner.rest.ok('POST', '/v1/channels', { name: 'moderated', team_id: team.id });
    const watching = await socket(member, [`channel:${room.id}`]);
    const own = await socket(other, [`user:${other.id}`], { gateway: 1 });
    await other.rest.ok('PUT', `/v1/channels/${room.id}/members/${other.id}`, {});
    exactly(await watching.frame((f) => f.type === 'member_joined' && f.data.user_id === other.id), 'member_joined', ['channel_id', 'user_id', 'username']);
    await owner.rest.ok('PATCH', `/v1/channels/${room.id}/members/${other.id}`, { role: 'moderator' });
    const role = await watching.frame('member_role_updated');
    exactly(role, 'member_role_updated', ['channel_id', 'user_id', 'username', 'new_role']);
    assert.equal(role.data.new_role, 'moderator');
    assert.ok((await member.rest.ok('GET', `/v1/channels/${room.id}/members`)).items.some((m) => m.user.id === other.id && m.role === 'moderator'));
    assert.equal((await other.rest.call('DELETE', `/v1/channels/${room.id}/members/${other.id}`)).status, 204);
    exactly(await watching.frame('member_left'), 'member_left', ['channel_id', 'user_id', 'username']);
    await other.rest.ok('PUT', `/v1/channels/${room.id}/members/${other.id}`, {});
    assert.equal((await member.rest.call('POST', `/v1/channels/${room.id}/members/${other.id}/kick`, {})).status, 403);
    assert.equal((await owner.rest.call('POST', `/v1/channels/${room.id}/members/${other.id}/kick`, {})).status, 204);
    exactly(await watching.frame('user_kicked'), 'user_kicked', ['channel_id', 'user_id']);
    exactly(await own.frame('user_kicked'), 'user_kicked', ['channel_id']);
    assert.equal(watching.frames.filter((f) => f.type === 'member_left').length, 1, 'a kick is not also member_left');
    await owner.rest.ok('PUT', `/v1/channels/${room.id}/bans/${other.id}`, { motive: 'noise' });
    const banned = await watching.frame('user_banned');
    exactly(banned, 'user_banned', ['channel_id', 'user_id', 'motive']);
    assert.equal(banned.data.motive, 'noise');
    exactly(await own.frame('user_banned'), 'user_banned', ['channel_id', 'motive']);
    assert.ok([403, 404].includes((await other.rest.call('POST', `/v1/channels/${room.id}/messages`, { content: 'let me in' })).status));
    assert.equal((await other.rest.call('GET', `/v1/channels/${room.id}/messages`)).status, 404);
    const ban = await owner.rest.ok('GET', `/v1/channels/${room.id}/bans/${other.id}`);
    for (const key of ['user', 'motive', 'by', 'created_at', 'expires_at']) assert.ok(key in ban, key);
    assert.equal((await owner.rest.call('DELETE', `/v1/channels/${room.id}/bans/${other.id}?motive=calm`)).status, 204);
    exactly(await watching.frame('user_unbanned'), 'user_unbanned', ['channel_id', 'user_id', 'motive']);
    exactly(await own.frame('user_unbanned'), 'user_unbanned', ['channel_id', 'motive']);
    await other.rest.ok('POST', `/v1/channels/${room.id}/messages`, { content: 'back' });
    await watching.frame((f) => f.type === 'channel_message' && f.data.content === 'back');
    for (const x of [watching, own]) x.end();
  });

  test('a team ban takes everything away and an unban allows to come back', async () => {
    const victim = await newPerson(rest, 'victim');
    await victim.rest.ok('PUT', `/v1/teams/${team.id}/members/${victim.id}`, {});
    const s = await socket(victim, [`team:${team.id}`, `user:${victim.id}`]);
    assert.equal((await member.rest.call('PUT', `/v1/teams/${team.id}/bans/${victim.id}`, { motive: 'no' })).status, 403);
    await owner.rest.ok('PUT', `/v1/teams/${team.id}/bans/${victim.id}`, { motive: 'yes' });
    await s.frame((f) => f.type === 'team_user_banned' || f.type === 'team_member_left');
    const from = s.frames.length;
    const m = await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'after the ban' });
    assert.equal((await victim.rest.call('GET', `/v1/teams/${team.id}`)).status, 404);
    assert.ok([403, 404].includes((await victim.rest.call('PUT', `/v1/teams/${team.id}/members/${victim.id}`, {})).status));
    await owner.rest.ok('GET', `/v1/teams/${team.id}/bans/${victim.id}`);
    assert.equal((await owner.rest.call('DELETE', `/v1/teams/${team.id}/bans/${victim.id}`)).status, 204);
    await victim.rest.ok('PUT', `/v1/teams/${team.id}/members/${victim.id}`, {});
    await s.frame((f) => f.type === 'team_user_unbanned');
    assert.equal(s.frames.slice(from).some((f) => f.data?.message_id === m.id), false);
    s.end();
  });

  test('typing by REST and by socket ends by itself and is not repeated within 3 s', async () => {
    const s = await socket(member, [`channel:${channel.id}`]);
    const typist = await socket(other, [`channel:${channel.id}`]);
    typist.send({ op: 'typing', channel_id: channel.id, is_typing: true });
    typist.send({ op: 'typing', channel_id: channel.id, is_typing: true });
    const typing = await s.frame('user_typing');
    exactly(typing, 'user_typing', ['channel_id', 'user_id', 'username', 'is_typing']);
    assert.deepEqual([typing.data.user_id, typing.data.is_typing], [other.id, true]);
    await s.frame((f) => f.type === 'user_typing' && f.data.is_typing === false, { ms: 15000 });
    assert.equal(s.frames.filter((f) => f.type === 'user_typing' && f.data.is_typing && f.data.user_id === other.id).length, 1);
    assert.equal((await owner.rest.call('POST', `/v1/channels/${channel.id}/typing`, {})).status, 204);
    await s.frame((f) => f.type === 'user_typing' && f.data.user_id === owner.id);
    for (const x of [s, typist]) x.end();
  });

  test('presence shows who is here, over several sockets', async () => {
    const watching = await socket(owner, [`team:${team.id}`]);
    const from = watching.frames.length;
    const a = await socket(other, null);
    const b = await socket(other, null, { gateway: 1 });
    const here = await watching.frame((f) => f.type === 'presence_updated' && f.data.user_id === other.id && f.data.status === 'online', { from, ms: 15000 }).catch(async (error) => {
      // it may have been online already from a test before
      const p = await owner.rest.ok('GET', `/v1/users/${other.id}/presence`);
      if (p.status === 'online') return true;
      throw error;
    });
    assert.ok(here);
    b.send({ op: 'presence', status: 'dnd' });
    await watching.frame((f) => f.type === 'presence_updated' && f.data.user_id === other.id && f.data.status === 'dnd', { from });
    b.send({ op: 'presence', status: 'invisible' });
    await watching.frame((f) => f.type === 'presence_updated' && f.data.user_id === other.id && f.data.status === 'offline', { from });
    b.send({ op: 'presence', status: 'online' });
    for (const x of [watching, a, b]) x.end();
  });
});

describe('the socket', () => {
  test('the first frame says hello, whichever way a client authenticates', async () => {
    const ways = [
      new Socket(cluster.ws(), { token: member.token }),
      new Socket(`${cluster.ws()}?token=${member.token}`),
      new Socket(cluster.ws()),
    ];
    await ways[2].opened;
    ways[2].send({ op: 'authenticate', token: member.token });
    for (const s of ways) {
      const hello = await s.frame('hello');
      assert.equal(s.frames[0].type, 'hello');
      assert.deepEqual(keys(hello.data), ['heartbeat_ms', 'max_frame_bytes', 'server', 'session_id', 'user_id']);
      assert.equal(hello.data.user_id, member.id);
      s.end();
    }
  });

  test('topics in the query subscribe at once', async () => {
    const s = await socket(member, null, { query: `?topics=channel:${channel.id},user:${member.id}` });
    const subscribed = await s.frame('subscribed');
    assert.deepEqual(subscribed.data.topics.sort(), [`channel:${channel.id}`, `user:${member.id}`].sort());
    await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'to topics' });
    await s.frame('channel_message');
    s.end();
  });

  test('a topic that may not be had is refused alone, the others are subscribed', async () => {
    const s = await socket(outsider, null);
    s.send({ op: 'subscribe', topics: [`channel:${channel.id}`, `user:${outsider.id}`, `user:${member.id}`, `team:${team.id}`, 'global', 'nonsense'], ref: 'r' });
    const subscribed = await s.frame('subscribed');
    assert.deepEqual(subscribed.data.topics.sort(), ['global', `user:${outsider.id}`].sort());
    assert.equal(subscribed.data.ref, 'r');
    await until('four refusals', () => s.frames.filter((f) => f.type === 'error' && f.data.ref === 'r').length === 4);
    s.end();
  });

  test('unsubscribe ends a topic, ping answers pong', async () => {
    const s = await socket(member, [`channel:${channel.id}`]);
    s.send({ op: 'unsubscribe', topics: [`channel:${channel.id}`] });
    await s.frame('unsubscribed');
    await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'unheard' });
    s.send({ op: 'ping', ref: 7 });
    await s.frame('pong');
    assert.equal(s.frames.some((f) => f.type === 'channel_message'), false);
    s.end();
  });

  test('detail=1 adds the full object, an event comes once however many topics match', async () => {
    const s = await socket(member, [`channel:${channel.id}`, `team:${team.id}`], { query: '?detail=1' });
    const m = await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'in full' });
    const event = await s.frame((f) => f.type === 'channel_message' && f.data.message_id === m.id);
    assert.equal(event.data.message.id, m.id);
    assert.equal(event.data.message.author.id, owner.id);
    s.send({ op: 'ping' });
    await s.frame('pong');
    assert.equal(s.frames.filter((f) => f.data?.message_id === m.id).length, 1);
    s.end();
  });

  test('what was missed follows a resume on the other gateway, once and in order', async () => {
    const s = await socket(member, [`channel:${channel.id}`], { query: '?resume=1' });
    const first = await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'one' });
    const event = await s.frame((f) => f.data?.message_id === first.id);
    assert.deepEqual(keys(event), ['data', 'seq', 'stream', 'timestamp', 'type']);
    const subscribed = await s.frame('subscribed');
    s.end();
    const missed = [];
    for (let i = 0; i < 5; i++) missed.push((await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: `missed ${i}` })).id);
    const again = await socket(member, null, { gateway: 1, query: '?resume=1' });
    again.send({ op: 'subscribe', topics: [`channel:${channel.id}`], since: { generation: subscribed.data.generation, streams: { [event.stream]: event.seq } }, ref: 2 });
    const answer = await again.frame('subscribed');
    assert.equal(answer.data.streams[event.stream].recovered, true);
    const live = await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'live' });
    await again.frame((f) => f.data?.message_id === live.id);
    assert.deepEqual(again.frames.filter((f) => f.type === 'channel_message').map((f) => f.data.message_id), [...missed, live.id]);
    again.end();
  });

  test('with compression the same comes, live and in a resume, compressed once for everybody', async () => {
    const gateway = cluster.copies.gateway[1];
    const offers = [false, { threshold: 0 }, { threshold: 0, serverMaxWindowBits: 9 }, { threshold: 0, serverMaxWindowBits: 9, clientMaxWindowBits: 10, serverNoContextTakeover: true },
      ...Array(8).fill({ threshold: 0 })];
    const topics = [`channel:${channel.id}`];
    const sockets = await Promise.all(offers.map((compress) => socket(member, topics, { gateway: 1, query: '?resume=1', compress })));
    const before = await gateway.metrics();
    const contents = ['short', 'a sentence that comes again and again. '.repeat(30), JSON.stringify(Array.from({ length: 300 }, (_, i) => (i * i) % 97))];
    const live = [];
    for (const content of contents) live.push(await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content }));
    const got = await Promise.all(sockets.map(async (s) => {
      await s.frame((f) => f.data?.message_id === live.at(-1).id);
      return s.frames.filter((f) => f.type === 'channel_message');
    }));
    assert.deepEqual(got[0].map((f) => f.data.content), contents);
    for (const frames of got) assert.deepEqual(frames, got[0]);
    const since = { generation: sockets[0].frames.find((f) => f.type === 'subscribed').data.generation, streams: { [got[0][0].stream]: got[0][0].seq } };
    for (const s of sockets) s.end();
    const resumed = await Promise.all(offers.map((compress) => socket(member, null, { gateway: 1, query: '?resume=1', compress })));
    for (const s of resumed) s.send({ op: 'subscribe', topics, since });
    for (const s of resumed) {
      await s.frame((f) => f.data?.message_id === live.at(-1).id);
      assert.deepEqual(s.frames.filter((f) => f.type === 'channel_message'), got[0].slice(1));
      s.end();
    }
    await until('the metrics were told', async () => {
      const after = await gateway.metrics();
      const grew = (name) => after[`guildhall_gateway_${name}_total`] - before[`guildhall_gateway_${name}_total`];
      // Eleven sockets, three events live and two in a resume. How many share one compression depends on how many loops there are.
      return grew('compressed_sent') === 55 && grew('frames_compressed') > 0 && grew('frames_compressed') <= 55 && grew('compressed_saved_bytes') > 0 && grew('messages_inflated') >= 11;
    });
  });

  test('an impossible position is told plainly', async () => {
    const probe = await socket(member, [`channel:${channel.id}`], { query: '?resume=1' });
    const subscribed = await probe.frame('subscribed');
    const [stream] = Object.keys(subscribed.data.streams);
    for (const since of [{ generation: 'another', streams: { [stream]: 1 } }, { generation: subscribed.data.generation, streams: { [stream]: 10 ** 9 } }]) {
      const s = await socket(member, null, { query: '?resume=1' });
      s.send({ op: 'subscribe', topics: [`channel:${channel.id}`], since });
      assert.equal((await s.frame('subscribed')).data.streams[stream].recovered, false);
      s.end();
    }
    probe.end();
  });

  test('a change of rights in between is told plainly, never filtered', async () => {
    const room = await owner.rest.ok('POST', '/v1/channels', { name: 'now and then', team_id: team.id, private: true });
    const s = await socket(other, [`team:${team.id}`], { query: '?resume=1' });
    const subscribed = await s.frame('subscribed');
    const position = Object.fromEntries(Object.entries(subscribed.data.streams).map(([k, v]) => [k, v.seq]));
    s.end();
    await owner.rest.ok('PUT', `/v1/channels/${room.id}/members/${other.id}`, {});
    await owner.rest.ok('POST', `/v1/channels/${room.id}/messages`, { content: 'seen by members' });
    const again = await socket(other, null, { query: '?resume=1' });
    again.send({ op: 'subscribe', topics: [`team:${team.id}`], since: { generation: subscribed.data.generation, streams: position } });
    assert.ok(Object.values((await again.frame('subscribed')).data.streams).some((x) => x.recovered === false));
    again.end();
  });

  test('being added to a private channel and removed from it takes effect on a living socket', async () => {
    const room = await owner.rest.ok('POST', '/v1/channels', { name: 'in and out', team_id: team.id, private: true });
    const s = await socket(other, [`team:${team.id}`]);
    await owner.rest.ok('POST', `/v1/channels/${room.id}/messages`, { content: 'before' });
    await owner.rest.ok('PUT', `/v1/channels/${room.id}/members/${other.id}`, {});
    const during = await owner.rest.ok('POST', `/v1/channels/${room.id}/messages`, { content: 'during' });
    await s.frame((f) => f.data?.message_id === during.id);
    assert.equal((await owner.rest.call('DELETE', `/v1/channels/${room.id}/members/${other.id}`)).status, 204);
    const afterwards = await owner.rest.ok('POST', `/v1/channels/${room.id}/messages`, { content: 'after' });
    const marker = await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'marker' });
    await s.frame((f) => f.data?.message_id === marker.id);
    const contents = s.frames.filter((f) => f.data?.channel_id === room.id && f.type === 'channel_message').map((f) => f.data.content);
    assert.deepEqual(contents, ['during']);
    assert.equal(s.frames.some((f) => f.data?.message_id === afterwards.id), false);
    s.end();
  });

  test('joining a team opens its stream on a living global subscription', async () => {
    const newcomer = await newPerson(rest, 'newcomer');
    const s = await socket(newcomer, ['global']);
    await newcomer.rest.ok('PUT', `/v1/teams/${team.id}/members/${newcomer.id}`, {});
    await until('the newcomer hears of new channels', async () => {
      const room = await owner.rest.ok('POST', '/v1/channels', { name: 'heard', team_id: team.id });
      return s.frame((f) => f.type === 'channel_created' && f.data.channel_id === room.id, { ms: 500 }).catch(() => null);
    });
    s.end();
  });

  test('an erased account: its sockets close with 4403, its name is null in the history, its token is refused', async () => {
    const leaver = await newPerson(rest, 'leaver');
    await leaver.rest.ok('PUT', `/v1/teams/${team.id}/members/${leaver.id}`, {});
    const m = await leaver.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'I was here' });
    const s = await socket(leaver, null);
    const answer = await leaver.rest.call('DELETE', '/v1/me', { password: leaver.password });
    assert.equal(answer.status, 204, answer.text);
    assert.equal((await s.closed).code, 4403);
    assert.equal((await leaver.rest.call('GET', '/v1/me')).status, 401);
    await until('the author is null', async () => (await owner.rest.ok('GET', `/v1/channels/${channel.id}/messages/${m.id}`)).author === null);
    await until('the membership is gone', async () => (await owner.rest.call('GET', `/v1/teams/${team.id}/members/${leaver.id}`)).status === 404);
  });
});
