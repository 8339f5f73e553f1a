// What stands behind crust beside messages: its rules over roles and overrides, settings, tokens, the team of its mount, the host
// that is its own, and the neighbour that knows people.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { until } from './lib/wait.mjs';

const SECRET = 'a secret of the installation, long enough';
const HOST = 'crust.example';
/* The first api makes opaque tokens, the second web tokens. */
const cluster = new Cluster({
  copies: { api: 2 },
  environment: (copy) => ({ GUILDHALL_HOST_CRUST: HOST, ...(copy?.name === 'api-2' ? { GUILDHALL_CRUST_JWT_SECRET: SECRET } : {}) }),
});
let opaque, web, owner, member, other, team;

/** One call with everything that a client could vary; the answer's envelope. */
function call(method, path, { token, query = {}, body, headers = {}, base = opaque } = {}) {
  const url = new URL(base + path);
  for (const [name, value] of Object.entries(query)) url.searchParams.append(name, value);
  const text = body === undefined ? '' : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const rq = http.request(url, { method, headers: {
      'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}), ...(text ? { 'content-length': Buffer.byteLength(text) } : {}), ...headers,
    } }, (rs) => {
      let got = '';
      rs.setEncoding('utf8').on('data', (part) => (got += part)).on('end', () => {
        let json = null;
        try {
          json = JSON.parse(got);
        } catch { /* text */ }
        resolve({ status: rs.statusCode, text: got, json, headers: rs.headers });
      });
    });
    rq.on('error', reject);
    rq.end(text);
  });
}
async function ok(...args) {
  const answer = await call(...args);
  assert.equal(answer.status, 200, `${args[0]} ${args[1]}: ${answer.status} ${answer.text}`);
  assert.ok(!answer.json.error, `${args[0]} ${args[1]}: ${answer.text}`);
  return answer.json.response ?? answer.json.success;
}
async function refused(message, ...args) {
  const answer = await call(...args);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json?.error?.message, message, answer.text);
}
const tokenOf = (person, environment = {}) =>
  JSON.parse(cluster.ctlWith(environment, 'token', 'create', '--dialect', 'crust', '--user', person.username, '--json'));
const id64 = (uuid) => {
  const h = uuid.replaceAll('-', '');
  const low = ((parseInt(h[16], 16) & 3) << 2) | (parseInt(h[17], 16) >> 2);
  return String((BigInt(`0x${h.slice(0, 12)}`) << 16n) | (BigInt(`0x${h.slice(13, 16)}`) << 4n) | BigInt(low));
};

before(async () => {
  await cluster.start();
  [opaque, web] = cluster.copies.api.map((copy) => `http://127.0.0.1:${copy.httpPort}`);
  const rest = new Rest([opaque]);
  [owner, member, other] = [await newPerson(rest, 'owner'), await newPerson(rest, 'member'), await newPerson(rest, 'other')];
  team = JSON.parse(cluster.ctl('team', 'create', 'crust', '--owner', owner.username, '--template', 'crust', '--json'));
  const ofFirst = { GUILDHALL_RPC_API: cluster.address(cluster.copies.api[0], 'rpc') };
  for (const person of [owner, member, other]) person.crust = tokenOf(person, ofFirst);
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

test('a fresh installation has two channels, and who comes to the open team joins it', async () => {
  assert.equal(team.joining, 'open');
  const channels = await ok('GET', '/crust/channels/', { token: member.crust.token });
  assert.deepEqual(channels.map((c) => [c.name, c.type]), [['General', 'public'], ['Random', 'public']]);
  await ok('GET', '/crust/channels/', { token: other.crust.token });
  const members = await owner.rest.ok('GET', `/v1/teams/${team.id}/members`);
  assert.deepEqual(new Set(members.items.map((m) => m.user.id)), new Set([owner.id, member.id, other.id]));
});

test('tokens are long enough for the client, are taken from three places, and end with their session', async () => {
  const { token, session_id, expires_at } = tokenOf(member, { GUILDHALL_RPC_API: cluster.address(cluster.copies.api[0], 'rpc') });
  assert.ok(token.length > 100, token);
  const life = Date.parse(expires_at) - Date.now();
  assert.ok(life > 29 * 86400000 && life <= 30 * 86400000, expires_at);
  const check = '/crust/system/auth/check';
  for (const how of [{ query: { jwt: token } }, { token }, { headers: { cookie: `a=b; jwt=${token}` } }])
    assert.equal((await ok('GET', check, how)).user.username, member.username);
  /* a cookie comes with whatever a page asks, so it counts for the host's own pages only */
  for (const headers of [{ origin: 'https://elsewhere.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }])
    await refused('not authenticated', 'GET', check, { headers: { cookie: `jwt=${token}`, ...headers } });
  for (const headers of [{ origin: 'http://127.0.0.1:1' }, { 'sec-fetch-site': 'same-origin' }])
    await ok('GET', check, { headers: { cookie: `jwt=${token}`, ...headers } });
  await ok('GET', check, { token, headers: { origin: 'https://elsewhere.example' } });
  const socket = (headers, query = '') => new Promise((resolve) => {
    const ws = new WebSocket(`${cluster.ws(0).replace(/\/v1\/ws.*/, '')}/crust/websocket/${query}`, { headers });
    ws.once('open', () => resolve('open') || ws.terminate()).once('unexpected-response', (rq, rs) => resolve(rs.statusCode)).on('error', () => {});
  });
  assert.equal(await socket({ cookie: `jwt=${token}`, origin: 'https://elsewhere.example' }), 200);
  assert.equal(await socket({ cookie: `jwt=${token}`, origin: 'http://127.0.0.1' }), 'open');
  assert.equal(await socket({ origin: 'https://elsewhere.example' }, `?jwt=${token}`), 'open');
  /* the first that is there counts */
  assert.equal((await ok('GET', check, { query: { jwt: token }, token: other.crust.token })).user.username, member.username);
  const listed = (await member.rest.ok('GET', '/v1/sessions')).items.map((s) => s.session_id);
  assert.ok(listed.includes(session_id) && listed.includes(member.crust.session_id));
  await member.rest.ok('DELETE', `/v1/sessions/${session_id}`);
  await refused('not authenticated', 'GET', check, { token });
  await refused('Unauthorized', 'GET', '/crust/channels/', { token });
  await refused('not authenticated', 'GET', check);
});

test('a web token is verified, lives with its session, and says nothing about rights', async () => {
  const { token, session_id } = tokenOf(member, { GUILDHALL_RPC_API: cluster.address(cluster.copies.api[1], 'rpc') });
  const [head, claims, signature] = token.split('.');
  assert.deepEqual(JSON.parse(Buffer.from(head, 'base64url')), { alg: 'HS256', typ: 'JWT' });
  const said = JSON.parse(Buffer.from(claims, 'base64url'));
  assert.equal(said.userID, id64(member.id));
  assert.ok(said.exp > Date.now() / 1000 + 29 * 86400);
  await ok('GET', '/crust/channels/', { token, base: web });
  /* other rights are had at once, with the token as it was */
  const everyone = (await ok('GET', '/crust/permissions/effective', { token, base: web })).find((e) => e.operation === 'grant');
  assert.equal(everyone.allow, false);
  const { createHmac } = await import('node:crypto');
  const sign = (h, c) => `${h}.${c}.${createHmac('sha256', SECRET).update(`${h}.${c}`).digest('base64url')}`;
  const encode = (object) => Buffer.from(JSON.stringify(object)).toString('base64url');
  for (const forged of [
    `${head}.${claims}.${signature.slice(0, -2)}AA`,
    sign(head, encode({ ...said, memberOf: '2' })),
    sign(encode({ alg: 'none', typ: 'JWT' }), claims),
    `${encode({ alg: 'none', typ: 'JWT' })}.${claims}.`,
    `${head}.${encode({ ...said, userID: id64(owner.id) })}.${signature}`,
  ]) await refused('Unauthorized', 'GET', '/crust/channels/', { token: forged, base: web });
  /* who does not know the secret does not know the token */
  await refused('Unauthorized', 'GET', '/crust/channels/', { token, base: opaque });
  await member.rest.ok('DELETE', `/v1/sessions/${session_id}`);
  await until('the session has ended', async () => (await call('GET', '/crust/channels/', { token, base: web })).json?.error?.message === 'Unauthorized');
});

test('rules are read back as they were set, and obeyed in every dialect', async () => {
  const crew = await owner.rest.ok('POST', `/v1/teams/${team.id}/roles`, { name: 'crew' });
  await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${member.id}/roles/${crew.id}`, {});
  const role = id64(crew.id);
  const rules = `/crust/permissions/${role}/rules`;
  const [general] = await ok('GET', '/crust/channels/', { token: owner.crust.token });
  const uuid = (await owner.rest.ok('GET', `/v1/channels?team=${team.id}`)).items.find((c) => c.name === 'General').id;
  const set = [
    { resource: 'messaging', operation: 'webhook.create', access: 'allow' },
    { resource: 'messaging:channel:*', operation: 'message.update.all', access: 'deny' },
    { resource: `messaging:channel:${general.channelID}`, operation: 'message.send', access: 'deny' },
  ];
  await ok('PATCH', rules, { token: owner.crust.token, body: { rules: set } });
  const read = await ok('GET', rules, { token: owner.crust.token });
  assert.deepEqual(read.map(({ resource, operation, access }) => ({ resource, operation, access })), set);
  assert.ok(read.every((r) => r.roleID === role));
  assert.equal((await member.rest.call('POST', `/v1/channels/${uuid}/messages`, { content: 'no' })).status, 403);
  await refused('messaging.service.NoPermissions', 'POST', `/crust/channels/${general.channelID}/messages/`, { token: member.crust.token, body: { message: 'no' } });
  const overrides = await owner.rest.ok('GET', `/v1/channels/${uuid}/overrides`);
  assert.deepEqual(overrides.items.map((o) => [o.role_id, o.deny]), [[crew.id, ['send_messages']]]);
  await refused("invalid rule: 'fly' on 'messaging'", 'PATCH', rules, { token: owner.crust.token, body: { rules: [
    { resource: 'messaging', operation: 'access', access: 'deny' }, { resource: 'messaging', operation: 'fly', access: 'allow' }] } });
  assert.equal((await ok('GET', rules, { token: owner.crust.token })).length, 3);
  for (const [method, body] of [['GET'], ['DELETE'], ['PATCH', { rules: set }]])
    await refused('messaging.service.NoGrantPermissions', method, rules, { token: other.crust.token, body });
  await ok('PATCH', rules, { token: owner.crust.token, body: { rules: [{ ...set[2], access: 'inherit' }] } });
  assert.equal((await ok('GET', rules, { token: owner.crust.token })).length, 2);
  await ok('DELETE', rules, { token: owner.crust.token });
  assert.deepEqual(await ok('GET', rules, { token: owner.crust.token }), []);
  await member.rest.ok('POST', `/v1/channels/${uuid}/messages`, { content: 'again' });
});

test('a view that is denied team-wide closes every channel to who has the role, at once', async () => {
  const barred = await owner.rest.ok('POST', `/v1/teams/${team.id}/roles`, { name: 'barred' });
  await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${other.id}/roles/${barred.id}`, {});
  const uuid = (await owner.rest.ok('GET', `/v1/channels?team=${team.id}`)).items.find((c) => c.name === 'Random').id;
  const sockets = {};
  for (const person of [member, other]) {
    const s = (sockets[person.username] = new Socket(cluster.ws(0), { token: person.token }));
    await s.frame('hello');
    s.send({ op: 'subscribe', topics: [`team:${team.id}`], ref: 1 });
    await s.frame('subscribed');
  }
  await owner.rest.ok('POST', `/v1/channels/${uuid}/messages`, { content: 'before' });
  const [hears, barredSocket] = [sockets[member.username], sockets[other.username]];
  await barredSocket.frame((f) => f.type === 'channel_message' && f.data.content === 'before');
  await ok('PATCH', `/crust/permissions/${id64(barred.id)}/rules`, { token: owner.crust.token, body: { rules: [
    { resource: 'messaging:channel:*', operation: 'read', access: 'deny' }] } });
  await owner.rest.ok('POST', `/v1/channels/${uuid}/messages`, { content: 'after' });
  await owner.rest.ok('PATCH', `/v1/teams/${team.id}`, { description: 'a mark behind it' });
  await hears.frame((f) => f.type === 'channel_message' && f.data.content === 'after');
  await barredSocket.frame((f) => f.type === 'team_updated');
  assert.ok(!barredSocket.frames.some((f) => f.type === 'channel_message' && f.data.content === 'after'));
  assert.deepEqual(await ok('GET', '/crust/channels/', { token: other.crust.token }), []);
  await ok('DELETE', `/crust/permissions/${id64(barred.id)}/rules`, { token: owner.crust.token });
  assert.equal((await ok('GET', '/crust/channels/', { token: other.crust.token })).length, 2);
  for (const s of Object.values(sockets)) s.end();
});

test('who lacks access or is banned is kept out of everything', async () => {
  const rules = '/crust/permissions/1/rules';
  const access = (word) => ok('PATCH', rules, { token: owner.crust.token, body: { rules: [{ resource: 'messaging', operation: 'access', access: word }] } });
  const listener = (person) => new Promise((resolve, reject) => {
    const socket = new WebSocket(`${cluster.ws(0).replace(/\/v1\/ws.*/, '')}/crust/websocket/?jwt=${person.crust.token}`);
    const heard = { socket, messages: [], closed: undefined };
    socket.on('message', (frame) => heard.messages.push(JSON.parse(frame).message?.message));
    socket.once('close', (code) => (heard.closed = code)).once('open', () => resolve(heard)).once('error', reject);
  });
  const out = async (person) => {
    await until(`${person.username} is kept out`, async () => (await call('GET', '/crust/channels/', { token: person.crust.token })).status === 403);
    const answer = await call('GET', '/crust/status/', { token: person.crust.token });
    assert.deepEqual([answer.status, answer.text], [403, 'Forbidden']);
  };
  const [general] = await ok('GET', '/crust/channels/', { token: owner.crust.token });
  const post = (message) => ok('POST', `/crust/channels/${general.channelID}/messages/`, { token: owner.crust.token, body: { message } });
  const [gone, stays] = [await listener(member), await listener(owner)];
  await access('deny');
  await post('behind closed doors');
  await until('who stays hears it', () => stays.messages.includes('behind closed doors'));
  await until('the socket of who is kept out is closed', () => gone.closed !== undefined);
  assert.deepEqual([gone.closed, gone.messages.includes('behind closed doors'), stays.closed], [1008, false, undefined]);
  stays.socket.terminate();
  await out(member);
  assert.equal((await call('GET', '/crust/channels/', { token: owner.crust.token })).status, 200);
  await access('allow');
  await ok('GET', '/crust/channels/', { token: member.crust.token });
  const quiet = await listener(member);
  await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${member.id}/timeout`, { until: new Date(Date.now() + 600000).toISOString() });
  await post('to who may listen');
  await until('a timeout leaves listening alone', () => quiet.messages.includes('to who may listen'));
  await owner.rest.ok('DELETE', `/v1/teams/${team.id}/members/${member.id}/timeout`);
  quiet.socket.terminate();
  await owner.rest.ok('PUT', `/v1/teams/${team.id}/bans/${member.id}`, {});
  await out(member);
  await owner.rest.ok('DELETE', `/v1/teams/${team.id}/bans/${member.id}`);
  await ok('GET', '/crust/channels/', { token: member.crust.token });
});

test('settings are read by everybody, set by who may, and the template of the web page by nobody', async () => {
  const current = () => ok('GET', '/crust/settings/current', { token: member.crust.token });
  const provisioned = await current();
  assert.equal(provisioned.UI.Emoji.Enabled, true);
  assert.equal(provisioned.UI.BrowserNotifications.MessageTrim, 200);
  assert.deepEqual(provisioned.Message.Attachments.Mimetypes, []);
  assert.equal(provisioned.Message.Attachments.Source.Gallery.Enabled, true);
  const set = (values, person = owner) => ['PATCH', '/crust/settings/', { token: person.crust.token, body: { values } }];
  await ok(...set([{ name: 'ui.browser-notifications.message-trim', value: 50 }]));
  assert.equal((await current()).UI.BrowserNotifications.MessageTrim, 50);
  const one = await ok('GET', '/crust/settings/ui.browser-notifications.message-trim', { token: owner.crust.token });
  assert.equal(one.value, 50);
  await ok(...set([{ name: 'ui.browser-notifications.message-trim' }]));
  assert.equal((await current()).UI.BrowserNotifications.MessageTrim, 200);
  await refused('this setting cannot be changed', ...set([{ name: 'ui.browser-notifications.header', value: 'x' }]));
  for (const value of ['200', true, [200], { trim: 200 }])
    await refused('invalid setting value', ...set([{ name: 'ui.browser-notifications.message-trim', value }]));
  await refused('invalid setting name', ...set([{ name: 'our.own', value: 1 }, { name: 'Not Kebab', value: 1 }]));
  assert.deepEqual((await call('GET', '/crust/settings/our.own', { token: owner.crust.token })).json, { response: null });
  await refused('error parsing http request body: values must be a list of name and value', ...set({ name: 'our.own', value: 1 }));
  assert.equal((await current()).UI.BrowserNotifications.Header, provisioned.UI.BrowserNotifications.Header);
  await refused('not allowed to manage settings', ...set([{ name: 'a', value: 1 }], member));
  await refused('not allowed to read settings', 'GET', '/crust/settings/', { token: member.crust.token });
});

test('the neighbour signs people in and knows who they are', async () => {
  const signedIn = await ok('POST', '/crust/system/auth/internal/login', { body: { email: member.username, password: member.password } });
  assert.ok(signedIn.jwt.length > 100);
  assert.equal(signedIn.user.userID, id64(member.id));
  await ok('GET', '/crust/channels/', { token: signedIn.jwt });
  await refused('invalid username and password combination', 'POST', '/crust/system/auth/internal/login', { body: { email: member.username, password: 'something else' } });
  const users = async (query) => (await ok('GET', '/crust/system/users/', { token: member.crust.token, query })).set;
  assert.deepEqual(new Set((await users({})).map((u) => u.userID)), new Set([owner, member, other].map((p) => id64(p.id))));
  const [one] = await users({ 'userID[]': id64(owner.id) });
  assert.deepEqual([one.username, one.handle, one.kind], [owner.username, owner.username, '']);
  assert.match(one.email, /^#+/);
  assert.deepEqual((await users({ query: other.username })).map((u) => u.username), [other.username]);
  assert.equal((await users({ limit: '1' })).length, 1);
  const twice = `/crust/system/users/?userID[]=${id64(owner.id)}&userID[]=${id64(owner.id)}&userID[]=0`;
  assert.deepEqual((await ok('GET', twice, { token: member.crust.token })).set.map((u) => u.username), [owner.username]);
  assert.deepEqual(await users({ 'userID[]': 'undefined' }), []);
});

test('at a host of its own crust lives at the root, with its neighbour and nothing else', async () => {
  const at = { headers: { host: `${HOST}:8080` }, token: member.crust.token };
  assert.equal((await ok('GET', '/channels/', at)).length, 2);
  assert.equal((await ok('GET', '/system/auth/check', at)).user.username, member.username);
  assert.equal((await call('GET', '/v1/me', at)).status, 404);
  assert.equal((await call('GET', '/channels/', { token: member.crust.token })).status, 404);
  const socket = new WebSocket(`${cluster.ws(0).replace(/\/v1\/ws.*/, '')}/websocket/?jwt=${member.crust.token}`, { headers: { host: HOST } });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  socket.terminate();
});
