// Idempotency-Key on every POST of the route table: repeated, with another body, on another path, twice at once, after a
// failure and after restarts of who remembers. A POST route that has no case here fails the first test.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, newPerson } from './lib/client.mjs';

const cluster = new Cluster({ copies: { api: 2, messaging: 2, moderation: 2 } });
const routes = [...readFileSync(new URL('../../services/api/dialects/house/routes.tbl.h', import.meta.url), 'utf8')
  .matchAll(/^ROUTE\("POST",\s*"([^"]+)"/gm)].map((m) => m[1]);
let rest, owner, member, team, channel, root, bot;
let count = 0;
const name = (what) => `${what}${++count}_${Date.now().toString(36)}`;

const inTeam = () => `/v1/teams/${team.id}`;
const newChannel = () => owner.rest.ok('POST', '/v1/channels', { name: name('c'), team_id: team.id });
const newMember = async () => {
  const person = await newPerson(rest, 'm');
  await person.rest.ok('PUT', `${inTeam()}/members/${person.id}`);
  return person;
};

// Each makes a call that succeeds once: {path, body, by?}. `other`: a body that is fine as well, or undefined when the call has
// none. `secret`: what is shown only the first time.
const cases = {
  '/bots': { make: () => ({ path: '/v1/bots', body: { username: name('bot') } }), other: () => ({ username: name('other') }) },
  '/bots/{bot}/tokens': {
    make: () => ({ path: `/v1/bots/${bot.id}/tokens`, body: { label: 'one', scopes: ['read'] } }), other: () => ({ label: 'two', scopes: ['read'] }), secret: ['token'],
  },
  '/teams': { make: () => ({ path: '/v1/teams', body: { name: name('team') } }), other: () => ({ name: name('other') }) },
  '/teams/{team}/invites': { make: () => ({ path: `${inTeam()}/invites`, body: { max_uses: 3 } }), other: () => ({ max_uses: 4 }) },
  '/invites/{code}/accept': {
    make: async () => {
      const { code } = await owner.rest.ok('POST', `${inTeam()}/invites`, {});
      return { path: `/v1/invites/${code}/accept`, body: {}, by: await newPerson(rest, 'guest') };
    },
  },
  '/teams/{team}/roles': { make: () => ({ path: `${inTeam()}/roles`, body: { name: name('role') } }), other: () => ({ name: name('other') }) },
  '/channels': { make: () => ({ path: '/v1/channels', body: { name: name('c'), team_id: team.id, members: [member.id] } }), other: () => ({ name: name('other'), team_id: team.id }) },
  '/channels/{channel}/duplicate': { make: () => ({ path: `/v1/channels/${channel.id}/duplicate`, body: { name: name('copy') } }), other: () => ({ name: name('other') }) },
  '/direct': { make: async () => ({ path: '/v1/direct', body: { user_ids: [(await newPerson(rest, 'd')).id] } }), other: () => ({ user_ids: [member.id] }) },
  '/channels/{channel}/archive': { make: async () => ({ path: `/v1/channels/${(await newChannel()).id}/archive`, body: {} }) },
  '/channels/{channel}/restore': {
    make: async () => {
      const { id } = await newChannel();
      await owner.rest.ok('POST', `/v1/channels/${id}/archive`);
      return { path: `/v1/channels/${id}/restore`, body: {} };
    },
  },
  '/channels/{channel}/members/{user}/kick': {
    make: async () => {
      const person = await newMember();
      await person.rest.ok('PUT', `/v1/channels/${channel.id}/members/${person.id}`);
      return { path: `/v1/channels/${channel.id}/members/${person.id}/kick`, body: {} };
    },
  },
  '/channels/{channel}/messages': { make: () => ({ path: `/v1/channels/${channel.id}/messages`, body: { content: name('hello') } }), other: () => ({ content: 'other' }) },
  '/channels/{channel}/messages/{message}/replies': {
    make: () => ({ path: `/v1/channels/${channel.id}/messages/${root.id}/replies`, body: { content: name('hello') } }), other: () => ({ content: 'other' }),
  },
  '/channels/{channel}/webhooks': {
    make: async () => ({ path: `/v1/channels/${(await newChannel()).id}/webhooks`, body: { name: 'one' } }), other: () => ({ name: 'two' }), secret: ['token'],
  },
  '/channels/{channel}/commands/{command}': { make: () => ({ path: `/v1/channels/${channel.id}/commands/shrug`, body: { input: name('hello') } }), other: () => ({ input: 'other' }) },
};

// Why there is nothing to remember.
const exempt = {
  '/channels/{channel}/attachments': 'its body is no JSON: files.test.mjs repeats it',
  '/accounts': 'nobody is signed in whose key it could be, and its body holds a password',
  '/sessions': 'the same, and its answer is a secret',
  '/webhooks/{webhook}/{secret}': 'nobody is signed in: its keys are the webhook\'s own, and webhooks.test.mjs has them',
  '/channels/{channel}/typing': 'ephemeral: it is said again anyway',
};

const remembered = []; // what is repeated after the restart

before(async () => {
  await cluster.start();
  rest = new Rest(cluster.copies.api.map((copy) => `http://127.0.0.1:${copy.httpPort}`));
  [owner, member] = [await newPerson(rest, 'owner'), await newPerson(rest, 'member')];
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'keys', joining: 'open' });
  await member.rest.ok('PUT', `${inTeam()}/members/${member.id}`);
  channel = await newChannel();
  root = await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'root' });
  bot = await owner.rest.ok('POST', '/v1/bots', { username: name('bot') });
}, { timeout: 240000 });
after(() => cluster.destroy(), { timeout: 60000 });

const post = (call, key, body = call.body) => (call.by ?? owner).rest.call('POST', call.path, body, { 'idempotency-key': key });

function same(first, again, secret = []) {
  assert.equal(again.status, first.status, again.text);
  assert.deepEqual(again.json, first.json && { ...first.json, ...Object.fromEntries(secret.map((field) => [field, null])) });
  assert.equal(again.headers.get('location'), first.headers.get('location'));
}

function blamesTheKey(answer) {
  assert.equal(answer.status, 422, answer.text);
  assert.equal(answer.json.field, 'Idempotency-Key');
}

test('every POST route is either walked here or has nothing to remember', () => {
  assert.ok(routes.length > 10);
  assert.deepEqual(routes.filter((route) => !cases[route] && !exempt[route]), []);
  assert.deepEqual([...Object.keys(cases), ...Object.keys(exempt)].filter((route) => !routes.includes(route)), []);
});

for (const [route, { make, other, secret }] of Object.entries(cases)) {
  test(`POST ${route}: a repeat gives the first answer, the key is for nothing else`, async () => {
    const call = await make();
    const key = randomUUID();
    const first = await post(call, key);
    assert.ok(first.status >= 200 && first.status < 300, first.text);
    same(first, await post(call, key), secret);
    same(first, await post(call, key), secret);
    if (other) blamesTheKey(await post(call, key, other()));
    const elsewhere = route === '/teams' ? { path: '/v1/channels', body: { name: 'x', team_id: team.id } } : { path: '/v1/teams', body: { name: 'elsewhere' } };
    blamesTheKey(await post({ ...elsewhere, by: call.by }, key));
    remembered.push({ route, call, key, first, secret });
  });

  test(`POST ${route}: two at once with one key are one`, async () => {
    const call = await make();
    const key = randomUUID();
    const answers = await Promise.all(Array.from({ length: 4 }, () => post(call, key)));
    // One that came in between may be told to come back; asked again it gets the answer of the first.
    for (let i = 0; i < answers.length; i++) for (let n = 0; answers[i].status === 503 && n < 50; n++) answers[i] = await post(call, key);
    const shown = answers.find((a) => (secret ?? []).every((field) => a.json?.[field])) ?? answers[0];
    for (const answer of answers) {
      if (answer !== shown) same(shown, answer, secret);
    }
    assert.ok(shown.status >= 200 && shown.status < 300, shown.text);
  });

  test(`POST ${route}: what failed is not remembered`, async () => {
    const call = await make();
    const key = randomUUID();
    assert.equal((await post(call, key, { ...call.body, no_such_field: 1 })).status, 422);
    const again = await post(call, key);
    assert.ok(again.status >= 200 && again.status < 300, again.text);
  });
}

test('the same key of another person is another key', async () => {
  const key = randomUUID();
  const call = { path: '/v1/teams', body: { name: name('mine') } };
  const [mine, theirs] = [await post(call, key), await post({ ...call, by: member }, key)];
  assert.equal(mine.status, 201);
  assert.equal(theirs.status, 201);
  assert.notEqual(mine.json.id, theirs.json.id);
});

test('a refused call may be repeated with its key once it is allowed', async () => {
  const closed = await owner.rest.ok('POST', '/v1/channels', { name: name('c'), team_id: team.id, private: true });
  const call = { path: `/v1/channels/${closed.id}/messages`, body: { content: 'let me in' }, by: member };
  const key = randomUUID();
  assert.equal((await post(call, key)).status, 404);
  await owner.rest.ok('PUT', `/v1/channels/${closed.id}/members/${member.id}`);
  assert.equal((await post(call, key)).status, 201);
});

test('a key is 1 to 255 characters', async () => {
  const call = { path: '/v1/teams', body: { name: name('team') } };
  for (const key of ['', 'k'.repeat(256)]) blamesTheKey(await post(call, key));
  assert.equal((await post(call, 'k'.repeat(255))).status, 201);
});

test('every answer is still the first one after api, messaging and moderation have been restarted', { timeout: 180000 }, async () => {
  const restarted = ['api', 'messaging', 'moderation'].flatMap((service) => cluster.copies[service]);
  for (const copy of restarted) await copy.stop();
  for (const copy of restarted) copy.spawn();
  for (const copy of cluster.all()) await copy.ready(60000);
  assert.equal(remembered.length, Object.keys(cases).length);
  for (const { route, call, key, first, secret } of remembered) {
    let again = await post(call, key);
    for (let n = 0; again.status === 503 && n < 50; n++) again = await post(call, key);
    assert.equal(again.status, first.status, `${route}: ${again.text}`);
    same(first, again, secret);
  }
});
