// Limits with their headers, by token, address, name and channel; and what a new password ends.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { until } from './lib/wait.mjs';

const cluster = new Cluster({
  environment: {
    GUILDHALL_LIMIT_REQUESTS_PER_S: '50',
    GUILDHALL_LIMIT_POSTS_PER_5S: '5',
    GUILDHALL_LIMIT_LOGINS_PER_MIN: '8',
    GUILDHALL_LIMIT_GUESSES_PER_MIN: '4',
    GUILDHALL_LIMIT_REGISTRATIONS_PER_H: '3',
    GUILDHALL_LIMIT_STRANGERS_PER_S: '20',
  },
});
let rest, owner, member, team, channel, other_channel;
let addresses = 0;

// Each from an address of his own, as far as the process can tell: it trusts the proxy in front, which is this test.
const somewhere = () => rest.from(`192.0.2.${++addresses}`);
const someone = (name) => newPerson(somewhere(), name);
const limit_headers = ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset'];

function limited(answer, code = 'rate_limited') {
  assert.equal(answer.status, 429, answer.text);
  assert.equal(answer.json.code, code);
  assert.ok(Number(answer.headers.get('retry-after')) >= 1);
  for (const name of limit_headers) assert.match(answer.headers.get(name) ?? '', /^\d+$/, name);
}

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  owner = await someone('owner');
  member = await someone('member');
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'limits', joining: 'open' });
  await member.rest.ok('PUT', `/v1/teams/${team.id}/members/${member.id}`);
  channel = await owner.rest.ok('POST', '/v1/channels', { name: 'general', team_id: team.id });
  other_channel = await owner.rest.ok('POST', '/v1/channels', { name: 'other', team_id: team.id });
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

test('every answer says what is left of the limit that is nearest to its end', async () => {
  const nobody = somewhere();
  const answers = [
    [200, await owner.rest.call('GET', '/v1/me')],
    [201, await owner.rest.call('POST', '/v1/teams', { name: 'headers' })],
    [204, await owner.rest.call('PUT', `/v1/channels/${channel.id}/members/${member.id}`).then(() => owner.rest.call('DELETE', `/v1/channels/${channel.id}/members/${member.id}`))],
    [400, await owner.rest.call('POST', '/v1/teams', '{')],
    [401, await nobody.call('GET', '/v1/me')],
    [401, await nobody.as('ghs_wrong').call('GET', '/v1/me')],
    [403, await member.rest.call('PATCH', `/v1/teams/${team.id}`, { name: 'mine' })],
    [404, await nobody.call('GET', '/v1/nothing')],
    [404, await owner.rest.call('GET', `/v1/teams/${channel.id}`)],
    [405, await nobody.call('PUT', '/v1/me')],
    [204, await nobody.call('OPTIONS', '/v1/me')],
    [413, await owner.rest.call('POST', '/v1/teams', JSON.stringify({ name: 'x'.repeat(300000) }))],
    [415, await owner.rest.call('POST', '/v1/teams', 'name=x', { 'content-type': 'text/plain' })],
    [422, await owner.rest.call('POST', '/v1/teams', { name: '' })],
  ];
  for (const [status, answer] of answers) {
    assert.equal(answer.status, status, answer.text);
    for (const name of limit_headers) assert.match(answer.headers.get(name) ?? '', /^\d+$/, `${name} of a ${status}`);
    assert.equal(answer.headers.get('retry-after'), null);
  }
  const first = answers[0][1];
  assert.equal(first.headers.get('ratelimit-limit'), '50');
  assert.ok(Number(first.headers.get('ratelimit-remaining')) < 50);
});

test('the sixth post within 5 s in a channel is 429, and another channel is not concerned', async () => {
  const answers = [];
  for (let i = 0; i < 7; i++) answers.push(await owner.rest.call('POST', `/v1/channels/${channel.id}/messages`, { content: `${i}` }));
  assert.deepEqual(answers.slice(0, 5).map((a) => a.status), [201, 201, 201, 201, 201]);
  assert.equal(answers[0].headers.get('ratelimit-limit'), '5');
  assert.equal(answers[0].headers.get('ratelimit-remaining'), '4');
  limited(answers.find((a) => a.status === 429));
  assert.equal((await owner.rest.call('POST', `/v1/channels/${other_channel.id}/messages`, { content: 'there' })).status, 201);
  assert.equal((await owner.rest.call('GET', `/v1/channels/${channel.id}/messages`)).status, 200);
});

test('more than 50 requests at once with one token are limited, other tokens are not', async () => {
  const person = await someone('busy');
  const answers = await Promise.all(Array.from({ length: 120 }, () => person.rest.call('GET', '/v1/me')));
  limited(answers.find((a) => a.status === 429));
  assert.ok(answers.filter((a) => a.status === 200).length >= 40);
  const again = await somewhere().ok('POST', '/v1/sessions', { username: person.username, password: person.password });
  assert.equal((await rest.as(again.token).call('GET', '/v1/me')).status, 200);
});

test('slow mode is 429 slow_mode with the seconds to wait, and whoever manages the channel is exempt', async () => {
  const slow = await owner.rest.ok('POST', '/v1/channels', { name: 'slow', team_id: team.id });
  await owner.rest.ok('PATCH', `/v1/channels/${slow.id}`, { slow_mode_s: 30 });
  const path = `/v1/channels/${slow.id}/messages`;
  assert.equal((await member.rest.call('POST', path, { content: 'one' })).status, 201);
  const refused = await member.rest.call('POST', path, { content: 'two' });
  limited(refused, 'slow_mode');
  const wait = Number(refused.headers.get('retry-after'));
  assert.ok(wait > 5 && wait <= 30, `${wait} s`);
  for (const content of ['one', 'two']) assert.equal((await owner.rest.call('POST', path, { content })).status, 201);
});

test('strangers are counted by address: further tokens are refused unseen, one in use goes on', async () => {
  const here = somewhere();
  const person = await newPerson(here, 'neighbour');
  const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => here.as(`ghs_${String(i).padStart(43, 'x')}`).call('GET', '/v1/me')));
  for (const answer of answers) assert.ok([401, 429].includes(answer.status), answer.text);
  limited(answers.find((a) => a.status === 429));
  assert.ok(answers.filter((a) => a.status === 401).length >= 15);
  assert.equal((await somewhere().as('ghs_wrong').call('GET', '/v1/me')).status, 401, 'another address');
  await until('the address is let in again', async () => (await person.rest.call('GET', '/v1/me')).status === 200);
});

test('a login is refused in the same way whether the account exists or not, and by name after some guesses', async () => {
  const person = await someone('known');
  const hashes = async () => (await cluster.copies.api[0].metrics()).guildhall_auth_password_hashes_total;
  for (const username of [person.username, `nobody_${Date.now().toString(36)}`]) {
    const from = somewhere();
    const login = (name, password = 'wrong password') => from.call('POST', '/v1/sessions', { username: name, password });
    // The one that opened the session in newPerson counts for the known name.
    const before = await hashes();
    const answers = [];
    for (let i = 0; i < 6; i++) answers.push(await login(i % 2 ? username.toUpperCase() : username));
    const wrong = answers.filter((a) => a.status === 401);
    assert.equal(await hashes() - before, wrong.length, 'each costs the same work');
    assert.ok(wrong.length >= 3 && wrong.length <= 4, `${wrong.length}`);
    for (const answer of wrong) {
      const { code, title, detail, field, why } = answer.json;
      assert.deepEqual({ code, title, detail, field, why }, { code: 'wrong_credentials', title: wrong[0].json.title, detail: wrong[0].json.detail, field: undefined, why: undefined });
    }
    limited(answers.at(-1));
    assert.equal(answers.at(-1).headers.get('ratelimit-limit'), '4');
    limited(await somewhere().call('POST', '/v1/sessions', { username, password: person.password }), 'rate_limited');
  }
});

test('logins are counted by address, and registrations apart from them', async () => {
  const from = somewhere();
  const logins = [];
  for (let i = 0; i < 10; i++) logins.push(await from.call('POST', '/v1/sessions', { username: `name${i}`, password: 'wrong password' }));
  assert.deepEqual(logins.slice(0, 8).map((a) => a.status), Array(8).fill(401));
  limited(logins.at(-1));
  const made = [];
  for (let i = 0; i < 4; i++) made.push(await from.call('POST', '/v1/accounts', { username: `reg${i}_${Date.now().toString(36)}`, password: 'long enough it is' }));
  assert.deepEqual(made.map((a) => a.status), [201, 201, 201, 429]);
  limited(made[3]);
  assert.ok(Number(made[3].headers.get('retry-after')) > 60);
  // One network of IPv6 is one address.
  const network = (host) => rest.from(`2001:db8:0:7::${host}`).call('POST', '/v1/accounts', { username: `v6_${host}_${Date.now().toString(36)}`, password: 'long enough it is' });
  const v6 = [];
  for (const host of ['1', '2', '3', 'ffff']) v6.push((await network(host)).status);
  assert.deepEqual(v6, [201, 201, 201, 429]);
});

test('a stolen token is no way to guess the password', async () => {
  const person = await someone('robbed');
  const answers = [];
  for (let i = 0; i < 6; i++) answers.push(await person.rest.call('PATCH', '/v1/me', { password: 'another long one', current_password: `guess number ${i}` }));
  assert.deepEqual(answers.slice(0, 4).map((a) => a.json.why), Array(4).fill('wrong_password'));
  limited(answers.at(-1));
});

test('a new password ends the other sessions and closes their sockets; those of the changing one stay', async () => {
  const person = await someone('changer');
  const other = await somewhere().ok('POST', '/v1/sessions', { username: person.username, password: person.password });
  const [mine, theirs] = [person.token, other.token].map((token) => new Socket(cluster.ws() + `?topics=user:${person.id}`, { token }));
  await Promise.all([mine.frame('subscribed'), theirs.frame('subscribed')]);
  await person.rest.ok('PATCH', '/v1/me', { password: 'a new long password', current_password: person.password });
  assert.equal((await theirs.closed).code, 4401);
  const revoked = await mine.frame('session_revoked');
  assert.equal(revoked.data.session_id, other.session_id);
  assert.equal((await rest.as(other.token).call('GET', '/v1/me')).status, 401);
  assert.equal((await person.rest.call('GET', '/v1/me')).status, 200);
  mine.send({ op: 'ping' });
  await mine.frame('pong');
  assert.equal(mine.close, undefined);
  mine.end();
});

test('too many sessions to name end all the same, and the changing one stays', async () => {
  const person = await someone('many');
  for (let i = 0; i < 70; i++) cluster.pg.psql(`INSERT INTO auth.sessions (id, account_id, token_hash, created_at_ms, last_used_at_ms)
    SELECT ${i + 1}, id, sha256('${i}'), 1, 1 FROM auth.accounts WHERE username = '${person.username}'`);
  const other = await somewhere().ok('POST', '/v1/sessions', { username: person.username, password: person.password });
  const [mine, theirs] = [person.token, other.token].map((token) => new Socket(cluster.ws() + `?topics=user:${person.id}`, { token }));
  await Promise.all([mine.frame('subscribed'), theirs.frame('subscribed')]);
  await person.rest.ok('PATCH', '/v1/me', { password: 'a new long password', current_password: person.password });
  assert.equal((await theirs.closed).code, 4401);
  const revoked = await mine.frame('session_revoked');
  assert.deepEqual(revoked.data, { session_id: null, but_session_id: person.session.session_id, why: 'revoked' });
  mine.send({ op: 'ping' });
  await mine.frame('pong');
  mine.end();
  assert.deepEqual((await person.rest.ok('GET', '/v1/sessions')).items.map((s) => s.session_id), [person.session.session_id]);
});

test('what was refused is counted by its limit', async () => {
  const metrics = await cluster.copies.api[0].metrics();
  for (const limit of ['requests', 'posts', 'logins', 'guesses', 'registrations', 'strangers'])
    assert.ok(metrics[`guildhall_http_limited_total{limit="${limit}"}`] > 0, limit);
});
