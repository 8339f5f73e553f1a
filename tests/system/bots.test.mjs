// Bots, the scopes of their tokens, and what ends them: over HTTP and real sockets.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { until } from './lib/wait.mjs';

const cluster = new Cluster();
const all = ['read', 'write', 'channels', 'moderate', 'teams'];
let rest, owner, stranger, team, channel;
let bots = 0;

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  owner = await newPerson(rest, 'owner');
  stranger = await newPerson(rest, 'stranger');
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'bots', joining: 'open' });
  channel = await owner.rest.ok('POST', '/v1/channels', { name: 'general', team_id: team.id });
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

async function newBot(person = owner) {
  return person.rest.ok('POST', '/v1/bots', { username: `bot${++bots}_${Date.now().toString(36)}` });
}

async function newToken(bot, scopes, person = owner) {
  const token = await person.rest.ok('POST', `/v1/bots/${bot.id}/tokens`, { label: scopes.join(' '), scopes });
  return { ...token, rest: rest.as(token.token) };
}

async function problem(answer, status, code, why) {
  const got = await answer;
  assert.equal(got.status, status, got.text);
  assert.equal(got.json.code, code);
  if (why !== undefined) assert.equal(got.json.why, why);
  return got;
}

test('a bot is made, read, changed, listed and deleted by its owner', async () => {
  const made = await owner.rest.call('POST', '/v1/bots', { username: 'helper', display_name: 'Helper', bio: 'beep' });
  assert.equal(made.status, 201);
  assert.equal(made.headers.get('location'), `/v1/bots/${made.json.id}`);
  assert.equal(made.json.bot, true);
  assert.equal(made.json.owner_id, owner.id);
  assert.deepEqual((await owner.rest.ok('GET', `/v1/bots/${made.json.id}`)), made.json);
  const changed = await owner.rest.ok('PATCH', `/v1/bots/${made.json.id}`, { display_name: null, tagline: 'at your service' });
  assert.equal(changed.display_name, null);
  assert.equal(changed.tagline, 'at your service');
  assert.equal((await stranger.rest.ok('GET', `/v1/users/${made.json.id}`)).bot, true);
  const other = await newBot();
  const listed = await owner.rest.ok('GET', '/v1/bots?limit=1');
  assert.equal(listed.items.length, 1);
  const further = await owner.rest.ok('GET', listed.next);
  assert.deepEqual([...listed.items, ...further.items].map((b) => b.id).sort(), [made.json.id, other.id].sort());
  assert.equal((await owner.rest.call('DELETE', `/v1/bots/${other.id}`)).status, 204);
  await problem(owner.rest.call('GET', `/v1/bots/${other.id}`), 404, 'not_found');
  await problem(owner.rest.call('POST', '/v1/bots', { username: 'helper' }), 409, 'conflict');
  await problem(owner.rest.call('POST', '/v1/bots', { username: 'helper2', password: 'long enough it is' }), 422, 'field_invalid');
});

test('a bot belongs to its owner alone and cannot sign in', async () => {
  const bot = await newBot();
  const token = await newToken(bot, all);
  await problem(stranger.rest.call('GET', `/v1/bots/${bot.id}`), 404, 'not_found');
  await problem(stranger.rest.call('PATCH', `/v1/bots/${bot.id}`, { bio: 'mine' }), 404, 'not_found');
  await problem(stranger.rest.call('DELETE', `/v1/bots/${bot.id}`), 404, 'not_found');
  await problem(stranger.rest.call('GET', `/v1/bots/${bot.id}/tokens`), 404, 'not_found');
  await problem(stranger.rest.call('POST', `/v1/bots/${bot.id}/tokens`, { label: 'x', scopes: ['read'] }), 404, 'not_found');
  await problem(stranger.rest.call('DELETE', `/v1/bots/${bot.id}/tokens/${token.id}`), 404, 'not_found');
  await problem(rest.call('POST', '/v1/sessions', { username: bot.username, password: 'anything at all' }), 401, 'wrong_credentials');
  for (const path of ['/v1/bots', '/v1/sessions']) await problem(token.rest.call('GET', path), 403, 'forbidden', 'scope:account');
  await problem(token.rest.call('POST', '/v1/bots', { username: 'botsbot' }), 403, 'forbidden', 'scope:account');
  await problem(token.rest.call('PATCH', '/v1/me', { bio: 'x' }), 403, 'forbidden', 'scope:account');
  assert.equal((await token.rest.ok('GET', '/v1/me')).id, bot.id);
});

test('a token is shown once, listed without its text and refused when it asks for nonsense', async () => {
  const bot = await newBot();
  const expires_at = new Date(Date.now() + 3600e3).toISOString();
  const made = await owner.rest.call('POST', `/v1/bots/${bot.id}/tokens`, { label: 'ci', scopes: ['write', 'read', 'read'], expires_at });
  assert.equal(made.status, 201);
  assert.match(made.json.token, /^ghs_/);
  assert.deepEqual(made.json.scopes, ['read', 'write']);
  assert.equal(made.json.expires_at, expires_at);
  const listed = await owner.rest.ok('GET', `/v1/bots/${bot.id}/tokens`);
  assert.deepEqual(listed.items.map((t) => t.id), [made.json.id]);
  assert.equal('token' in listed.items[0], false);
  assert.equal(JSON.stringify(listed).includes(made.json.token), false);
  assert.equal(cluster.copies.api[0].log().includes(made.json.token), false);
  for (const [body, field] of [
    [{ scopes: ['read'] }, 'label'], [{ label: '', scopes: ['read'] }, 'label'], [{ label: 'x'.repeat(65), scopes: ['read'] }, 'label'],
    [{ label: 'x' }, 'scopes'], [{ label: 'x', scopes: [] }, 'scopes'], [{ label: 'x', scopes: ['account'] }, 'scopes'],
    [{ label: 'x', scopes: 'read' }, 'scopes'], [{ label: 'x', scopes: [7] }, 'scopes'],
    [{ label: 'x', scopes: ['read'], expires_at: '2001-01-01T00:00:00Z' }, 'expires_at'], [{ label: 'x', scopes: ['read'], days: 3 }, 'days'],
  ]) {
    const answer = await problem(owner.rest.call('POST', `/v1/bots/${bot.id}/tokens`, body), 422, 'field_invalid');
    assert.equal(answer.json.field, field);
  }
});

test('a repeated key makes no second token and does not show the first again', async () => {
  const bot = await newBot();
  const body = { label: 'once', scopes: ['read'] };
  const headers = { 'idempotency-key': `token-${bot.id}` };
  const first = await owner.rest.ok('POST', `/v1/bots/${bot.id}/tokens`, body, headers);
  const again = await owner.rest.ok('POST', `/v1/bots/${bot.id}/tokens`, body, headers);
  assert.deepEqual(again, { ...first, token: null });
  assert.equal((await owner.rest.ok('GET', `/v1/bots/${bot.id}/tokens`)).items.length, 1);
});

test('every scope opens its calls and no others', async () => {
  const bot = await newBot();
  await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${bot.id}`);
  const calls = {
    read: ['GET', `/v1/channels/${channel.id}/messages`],
    write: ['POST', `/v1/channels/${channel.id}/messages`, { content: 'beep' }],
    channels: ['PATCH', `/v1/channels/${channel.id}`, { topic: 'beep' }],
    moderate: ['GET', `/v1/teams/${team.id}/bans`],
    teams: ['PATCH', `/v1/teams/${team.id}`, { description: 'beep' }],
  };
  for (const scope of all) {
    const token = await newToken(bot, [scope]);
    for (const [needed, call] of Object.entries(calls)) {
      const answer = await token.rest.call(...call);
      if (needed === scope) assert.notEqual(answer.json?.why, `scope:${needed}`, `${scope} opens ${call[1]}: ${answer.text}`);
      else await problem(answer, 403, 'forbidden', `scope:${needed}`);
    }
  }
});

test('a bot joins an open team by itself, posts, and is seen as a bot', async () => {
  const bot = await newBot();
  const token = await newToken(bot, all);
  assert.equal((await token.rest.ok('PUT', `/v1/teams/${team.id}/members/${bot.id}`)).user.bot, true);
  const socket = new Socket(cluster.ws() + `?detail=1&topics=channel:${channel.id}`, { token: owner.token });
  await socket.frame('subscribed');
  const posted = await token.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'I am a bot' });
  assert.equal(posted.author.bot, true);
  const frame = await socket.frame((f) => f.type === 'channel_message' && f.data.message_id === posted.id);
  assert.equal(frame.data.message.author.bot, true);
  socket.end();
});

test('a socket asks for read, and typing and presence for write', async () => {
  const bot = await newBot();
  await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${bot.id}`);
  const writes = await newToken(bot, ['write']);
  const refused = new Socket(cluster.ws(), { token: writes.token });
  assert.equal((await refused.closed).code, 4403);
  const reads = await newToken(bot, ['read']);
  const socket = new Socket(cluster.ws() + `?topics=channel:${channel.id}`, { token: reads.token });
  await socket.frame('subscribed');
  socket.send({ op: 'typing', channel_id: channel.id, is_typing: true, ref: 1 });
  assert.equal((await socket.frame((f) => f.data.ref === 1)).data.code, 'forbidden');
  socket.send({ op: 'presence', status: 'dnd', ref: 2 });
  assert.equal((await socket.frame((f) => f.data.ref === 2)).data.code, 'forbidden');
  const posted = await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'for bots' });
  await socket.frame((f) => f.type === 'channel_message' && f.data.message_id === posted.id);
  socket.end();
});

test('changing the scopes of a token closes its sockets, and it is judged by the new ones at once', async () => {
  const bot = await newBot();
  await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${bot.id}`);
  const token = await newToken(bot, ['read', 'write']);
  const other = await newToken(bot, ['read']);
  const socket = new Socket(cluster.ws() + `?topics=user:${bot.id}`, { token: token.token });
  const stays = new Socket(cluster.ws() + `?topics=user:${bot.id}`, { token: other.token });
  await Promise.all([socket.frame('subscribed'), stays.frame('subscribed')]);
  await token.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'while I may' });
  const renamed = await owner.rest.ok('PATCH', `/v1/bots/${bot.id}/tokens/${token.id}`, { label: 'renamed' });
  assert.equal(renamed.label, 'renamed');
  assert.deepEqual(renamed.scopes, ['read', 'write']);
  const cut = await owner.rest.ok('PATCH', `/v1/bots/${bot.id}/tokens/${token.id}`, { scopes: ['read'] });
  assert.deepEqual(cut.scopes, ['read']);
  await problem(token.rest.call('POST', `/v1/channels/${channel.id}/messages`, { content: 'no more' }), 403, 'forbidden', 'scope:write');
  assert.equal((await socket.closed).code, 1012);
  const told = await stays.frame((f) => f.type === 'session_revoked' && f.data.session_id === token.id);
  assert.equal(told.data.why, 'changed');
  const back = new Socket(cluster.ws(), { token: token.token });
  await back.frame('hello');
  back.end();
  await owner.rest.ok('PATCH', `/v1/bots/${bot.id}/tokens/${token.id}`, { scopes: ['write'] });
  const refused = new Socket(cluster.ws(), { token: token.token });
  assert.equal((await refused.closed).code, 4403);
  assert.equal(stays.close, undefined);
  stays.end();
});

test('a revoked token ends at once and its sockets close; others go on', async () => {
  const bot = await newBot();
  const token = await newToken(bot, all);
  const other = await newToken(bot, all);
  const socket = new Socket(cluster.ws(), { token: token.token });
  const stays = new Socket(cluster.ws(), { token: other.token });
  await Promise.all([socket.frame('hello'), stays.frame('hello')]);
  assert.equal((await owner.rest.call('DELETE', `/v1/bots/${bot.id}/tokens/${token.id}`)).status, 204);
  await problem(token.rest.call('GET', '/v1/me'), 401, 'unauthenticated');
  assert.equal((await socket.closed).code, 4401);
  assert.equal((await other.rest.call('GET', '/v1/me')).status, 200);
  assert.equal(stays.close, undefined);
  stays.end();
  await problem(owner.rest.call('DELETE', `/v1/bots/${bot.id}/tokens/${token.id}`), 404, 'not_found');
});

test('a deleted bot is gone from teams, and its messages stay without an author', async () => {
  const bot = await newBot();
  const token = await newToken(bot, all);
  await token.rest.ok('PUT', `/v1/teams/${team.id}/members/${bot.id}`);
  const posted = await token.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'last words' });
  const socket = new Socket(cluster.ws(), { token: token.token });
  await socket.frame('hello');
  assert.equal((await owner.rest.call('DELETE', `/v1/bots/${bot.id}`)).status, 204);
  assert.equal((await socket.closed).code, 4403);
  await problem(token.rest.call('GET', '/v1/me'), 401, 'unauthenticated');
  await until('the membership is gone', async () =>
    (await owner.rest.call('GET', `/v1/teams/${team.id}/members/${bot.id}`)).status === 404);
  await until('the author is null', async () =>
    (await owner.rest.ok('GET', `/v1/channels/${channel.id}/messages/${posted.id}`)).author === null);
});

test('bots are locked out with their owner, and end with him', async () => {
  const person = await newPerson(rest, 'botowner');
  const bot = await newBot(person);
  const token = await newToken(bot, all, person);
  const socket = new Socket(cluster.ws(), { token: token.token });
  await socket.frame('hello');
  cluster.ctl('user', 'disable', person.username);
  assert.equal((await socket.closed).code, 4403);
  await problem(token.rest.call('GET', '/v1/me'), 401, 'unauthenticated', 'disabled');
  cluster.ctl('user', 'disable', person.username, '--enable');
  await until('the bot is back', async () => (await token.rest.call('GET', '/v1/me')).status === 200);
  const second = new Socket(cluster.ws(), { token: token.token });
  await second.frame('hello');
  assert.equal((await person.rest.call('GET', '/v1/me')).status, 401, 'the session of the person himself has ended');
  const again = rest.as((await rest.as(null).ok('POST', '/v1/sessions', { username: person.username, password: person.password })).token);
  assert.equal((await again.call('DELETE', '/v1/me', { password: person.password })).status, 204);
  assert.equal((await second.closed).code, 4403);
  await problem(token.rest.call('GET', '/v1/me'), 401, 'unauthenticated');
  await until('the bot is erased', async () => (await owner.rest.call('GET', `/v1/users/${bot.id}`)).status === 404);
});

test('the operator tells everybody who is signed in, also a bot', async () => {
  const bot = await newBot();
  const token = await newToken(bot, ['read']);
  const sockets = [owner.token, stranger.token, token.token].map((t) => new Socket(cluster.ws() + '?topics=global', { token: t }));
  await Promise.all(sockets.map((s) => s.frame('subscribed')));
  const until = new Date(Date.now() + 3600e3).toISOString();
  const { id } = JSON.parse(cluster.ctl('announce', '--title', 'Update', '--text', 'Tonight.', '--until', until, '--json'));
  for (const socket of sockets) {
    const { data } = await socket.frame('operator_announcement');
    assert.deepEqual(data, { announcement_id: id, title: 'Update', text: 'Tonight.', until });
    socket.end();
  }
  assert.throws(() => cluster.ctl('announce', '--title', 'no text'));
  assert.throws(() => cluster.ctl('announce', '--title', 'x', '--text', 'y', '--until', '2001-01-01T00:00:00Z'));
});

test('an announcement that a socket missed is resumed', async () => {
  const first = new Socket(cluster.ws() + '?resume=1&topics=global', { token: stranger.token });
  const { data } = await first.frame('subscribed');
  first.end();
  cluster.ctl('announce', '--title', 'Missed', '--text', 'It was short.');
  const second = new Socket(cluster.ws(), { token: stranger.token });
  await second.frame('hello');
  const streams = Object.fromEntries(Object.entries(data.streams).map(([stream, at]) => [stream, at.seq]));
  second.send({ op: 'subscribe', topics: ['global'], since: { generation: data.generation, streams }, ref: 1 });
  assert.equal((await second.frame('operator_announcement')).data.title, 'Missed');
  assert.ok(Object.values((await second.frame('subscribed')).data.streams).every((s) => s.recovered));
  second.end();
});
