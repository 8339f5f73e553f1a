// Webhooks with real receivers: posting by a token, words that ask somebody, what is tried again and what is given up, whom nobody may make us
// call, and what a killed process leaves behind.
import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { idOf } from './lib/crust.mjs';
import { until } from './lib/wait.mjs';

/* The receivers listen on an address that is allowed; every other address of this machine is not. */
const HOST = '127.0.0.2';
const cluster = new Cluster({
  copies: { messaging: 2 },
  environment: { GUILDHALL_WEBHOOK_ALLOW: HOST, GUILDHALL_WEBHOOK_TIMEOUT_MS: '1500', GUILDHALL_WEBHOOK_RETRY_MS: '100' },
});
const asked = []; // {path, headers, body}
const answers = new Map(); // path -> (times asked, response) => void
let rest, owner, member, outsider, team, channel, port, inward;
const receiver = createServer((request, response) => {
  let body = '';
  request.on('data', (part) => (body += part));
  request.on('end', () => {
    const [path] = request.url.split('?');
    asked.push({ path, url: request.url, headers: request.headers, body });
    (answers.get(path) ?? ((n, r) => r.writeHead(404).end()))(asked.filter((a) => a.path === path).length, response);
  });
});
const loopback = createServer((request, response) => {
  inward.push(request.url);
  response.end('{"text":"inside"}');
});

before(async () => {
  inward = [];
  await new Promise((done) => receiver.listen(0, HOST, done));
  ({ port } = receiver.address());
  await new Promise((done) => loopback.listen(port, '127.0.0.1', done));
  await cluster.start();
  rest = new Rest([cluster.api]);
  [owner, member, outsider] = [await newPerson(rest, 'owner'), await newPerson(rest, 'member'), await newPerson(rest, 'outsider')];
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'hooks', joining: 'open' });
  await member.rest.ok('PUT', `/v1/teams/${team.id}/members/${member.id}`);
  channel = await newChannel();
}, { timeout: 120000 });
after(async () => {
  receiver.closeAllConnections();
  receiver.close();
  loopback.close();
  await cluster.destroy();
}, { timeout: 60000 });

const newChannel = (extra = {}) => owner.rest.ok('POST', '/v1/channels', { name: 'hooks', team_id: team.id, ...extra });
const newHook = (extra = {}, where = channel) => owner.rest.ok('POST', `/v1/channels/${where.id}/webhooks`, { name: 'builds', ...extra });
const messages = async (where = channel) => (await owner.rest.ok('GET', `/v1/channels/${where.id}/messages`)).items;
const json = (value, code = 200) => (n, response) => response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(value));
/* A word of a channel of its own, and what its receiver answers. */
async function word(name, answer, { url = `http://${HOST}:${port}/${name}`, ...extra } = {}) {
  const where = await newChannel();
  const hook = await newHook({ kind: 'outgoing', trigger: name, url, ...extra }, where);
  answers.set(`/${name}`, answer);
  const say = (input = '', by = owner, more = {}) => by.rest.call('POST', `/v1/channels/${where.id}/commands/${encodeURIComponent(name)}`, { input, ...more });
  return { where, hook, say };
}
const row = (hook) => cluster.pg.rows(`SELECT state, tries, coalesce(why, '') FROM messaging.webhook_deliveries d JOIN messaging.webhooks w ON w.id = d.webhook_id
  WHERE w.trigger = '${hook.trigger}' ORDER BY d.id DESC LIMIT 1`)[0];

test('a token posts as the installation, and sockets, lists and search have the name that is shown', async () => {
  const socket = new Socket(`${cluster.ws()}?detail=1&topics=channel:${channel.id}`, { token: member.token });
  await socket.frame('subscribed');
  const hook = await newHook();
  assert.match(hook.token, /^[A-Za-z0-9_-]{43}$/);
  assert.equal(hook.secret, null);
  assert.equal((await socket.frame('webhook_created')).data.webhook_id, hook.id);
  const first = await rest.as(null).call('POST', `/v1/webhooks/${hook.id}/${hook.token}`, { content: 'it builds' });
  assert.equal(first.status, 201, first.text);
  const { message } = (await socket.frame((f) => f.data?.message_id === first.json.id)).data;
  for (const shown of [first.json, message, (await messages())[0], await owner.rest.ok('GET', `/v1/channels/${channel.id}/messages/${first.json.id}`)]) {
    assert.equal(shown.content, 'it builds');
    assert.equal(shown.webhook_id, hook.id);
    assert.equal(shown.shown_name, 'builds');
    assert.equal(shown.author.username, 'guildhall');
  }
  const other = await rest.as(null).ok('POST', `/v1/webhooks/${hook.id}/${hook.token}`, { content: 'with a face', name: 'Nora', avatar_url: 'https://example.org/n.png' });
  assert.deepEqual([other.shown_name, other.shown_avatar_url], ['Nora', 'https://example.org/n.png']);
  assert.equal((await owner.rest.ok('GET', `/v1/users/${other.author.id}`)).system, true);
  for (const list of [await owner.rest.ok('GET', `/v1/channels/${channel.id}/webhooks`), { items: [await owner.rest.ok('GET', `/v1/webhooks/${hook.id}`)] }])
    for (const item of list.items) assert.equal('token' in item || 'secret' in item, false);
  socket.end();
});

test('a repeat by nonce or key is the first post, and another body under it is refused', async () => {
  const hook = await newHook();
  const path = `/v1/webhooks/${hook.id}/${hook.token}`, anyone = rest.as(null);
  const before = (await messages()).length;
  const nonce = await anyone.ok('POST', path, { content: 'once', nonce: 'n1' });
  assert.equal((await anyone.ok('POST', path, { content: 'once', nonce: 'n1' })).id, nonce.id);
  assert.equal((await anyone.call('POST', path, { content: 'other', nonce: 'n1' })).json.field, 'nonce');
  const key = { 'idempotency-key': randomUUID() };
  const keyed = await anyone.call('POST', path, { content: 'twice' }, key);
  assert.equal((await anyone.call('POST', path, { content: 'twice' }, key)).json.id, keyed.json.id);
  assert.equal((await anyone.call('POST', path, { content: 'other' }, key)).json.field, 'Idempotency-Key');
  assert.equal((await messages()).length, before + 2);
});

test('a wrong token is not found and changes nothing, the right one ends it', async () => {
  const hook = await newHook();
  const anyone = rest.as(null);
  for (const path of [`/v1/webhooks/${hook.id}/wrong`, `/v1/webhooks/${team.id}/${hook.token}`]) {
    assert.equal((await anyone.call('POST', path, { content: 'x' })).status, 404);
    assert.equal((await anyone.call('DELETE', path)).status, 404);
  }
  assert.equal((await owner.rest.ok('GET', `/v1/webhooks/${hook.id}`)).id, hook.id);
  assert.equal((await anyone.call('DELETE', `/v1/webhooks/${hook.id}/${hook.token}`)).status, 204);
  assert.equal((await owner.rest.call('GET', `/v1/webhooks/${hook.id}`)).status, 404);
});

test('posts through one webhook are limited, and another has its own', async () => {
  const [hook, other] = [await newHook(), await newHook()];
  const anyone = rest.as(null);
  const run = (which, i) => anyone.call('POST', `/v1/webhooks/${which.id}/${which.token}`, { content: `n${i}` });
  const codes = (await Promise.all(Array.from({ length: 40 }, (_, i) => run(hook, i)))).map((answer) => answer.status);
  assert.ok(codes.includes(201) && codes.includes(429), String(codes));
  assert.equal((await run(other, 0)).status, 201);
});

test('who may, makes and changes them: bots of one\'s own, rights of a role, the outsider learns nothing', async () => {
  const bot = await owner.rest.ok('POST', '/v1/bots', { username: `hook_bot_${Date.now().toString(36)}` });
  await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${bot.id}`, {});
  const hook = await newHook({ bot_id: bot.id });
  assert.equal((await rest.as(null).ok('POST', `/v1/webhooks/${hook.id}/${hook.token}`, { content: 'beep' })).author.id, bot.id);
  assert.equal((await owner.rest.call('POST', `/v1/channels/${channel.id}/webhooks`, { name: 'x', bot_id: member.id })).json.field, 'bot_id');
  assert.equal((await member.rest.call('POST', `/v1/channels/${channel.id}/webhooks`, { name: 'x' })).json.why, 'create_webhooks');
  assert.equal((await outsider.rest.call('POST', `/v1/channels/${channel.id}/webhooks`, { name: 'x' })).status, 404);
  assert.equal((await outsider.rest.call('GET', `/v1/webhooks/${hook.id}`)).status, 404);
  const role = await owner.rest.ok('POST', `/v1/teams/${team.id}/roles`, { name: 'makers', permissions: ['create_webhooks', 'manage_own_webhooks'] });
  await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${member.id}/roles/${role.id}`, {});
  const own = await member.rest.ok('POST', `/v1/channels/${channel.id}/webhooks`, { name: 'mine' });
  assert.deepEqual((await member.rest.ok('GET', `/v1/channels/${channel.id}/webhooks`)).items.map((h) => h.id), [own.id]);
  assert.equal((await member.rest.call('PATCH', `/v1/webhooks/${hook.id}`, { name: 'taken' })).status, 403);
  assert.equal((await member.rest.call('POST', `/v1/channels/${channel.id}/webhooks`, { name: 'x', bot_id: bot.id })).json.why, 'manage_bots');
  const renewed = await member.rest.ok('PATCH', `/v1/webhooks/${own.id}`, { renew_token: true, name: 'still mine' });
  assert.notEqual(renewed.token, own.token);
  assert.equal((await rest.as(null).call('POST', `/v1/webhooks/${own.id}/${own.token}`, { content: 'x' })).status, 404);
  await owner.rest.ok('DELETE', `/v1/bots/${bot.id}`);
  await until('the webhook of a bot that is gone has ended', async () => (await owner.rest.call('GET', `/v1/webhooks/${hook.id}`)).status === 404, 20000);
  assert.equal((await rest.as(null).call('POST', `/v1/webhooks/${hook.id}/${hook.token}`, { content: 'x' })).status, 404);
});

test('a webhook is as unknown and a word asks nobody while its owner may not post there, and they come back with him', { timeout: 60000 }, async () => {
  const maker = await newPerson(rest, 'maker'), where = await newChannel();
  const role = await owner.rest.ok('POST', `/v1/teams/${team.id}/roles`, { name: 'with webhooks', permissions: ['create_webhooks'] });
  const comes = async () => {
    await maker.rest.ok('PUT', `/v1/teams/${team.id}/members/${maker.id}`);
    await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${maker.id}/roles/${role.id}`, {});
  };
  await comes();
  const hooks = `/v1/channels/${where.id}/webhooks`;
  let hook; // another for each story: posts through one are limited
  await maker.rest.ok('POST', hooks, { name: 'out', kind: 'outgoing', trigger: 'owned', url: `http://${HOST}:${port}/owned` });
  answers.set('/owned', json({ text: 'asked' }));
  const shown = (answer) => JSON.stringify([answer.status, answer.text.replaceAll(answer.headers.get('x-request-id'), '')]);
  const post = (token) => until('it may be tried', async () => {
    const answer = await rest.as(null).call('POST', `/v1/webhooks/${hook.id}/${token}`, { content: 'in' });
    return answer.status !== 429 && answer;
  }, 20000, 500);
  const crust = (token) => until('it may be tried', async () => {
    const answer = await fetch(`${cluster.api}/crust/webhooks/${idOf(hook.id)}/${token}?content=in`, { method: 'POST' });
    return answer.status !== 429 && ((await answer.json()).error?.message ?? 'posted');
  }, 20000, 500);
  const say = async () => (await owner.rest.ok('POST', `/v1/channels/${where.id}/commands/owned`, { input: '' })).message?.content;
  const works = async (what) => {
    await until(`it works: ${what}`, async () => (await post(hook.token)).status === 201);
    assert.equal(await crust(hook.token), 'posted');
    assert.equal(await say(), 'asked');
  };
  const rests = async (what) => {
    await until(`it does not: ${what}`, async () => (await post(hook.token)).status !== 201);
    assert.equal(shown(await post(hook.token)), shown(await post('x'.repeat(43))), what);
    assert.equal(await crust(hook.token), 'Invalid Webhook Token');
    const had = asked.filter((a) => a.path === '/owned').length;
    assert.equal(await say(), undefined, what);
    assert.equal(asked.filter((a) => a.path === '/owned').length, had, what);
  };
  for (const [what, goes, returns] of [
    ['banned', () => owner.rest.ok('PUT', `/v1/teams/${team.id}/bans/${maker.id}`, { motive: 'x' }),
      () => owner.rest.ok('DELETE', `/v1/teams/${team.id}/bans/${maker.id}`).then(comes)],
    ['gone', () => maker.rest.ok('DELETE', `/v1/teams/${team.id}/members/${maker.id}`), comes],
    ['muted', () => owner.rest.ok('PUT', `/v1/channels/${where.id}/overrides/${maker.id}`, { allow: [], deny: ['send_messages'] }),
      () => owner.rest.ok('DELETE', `/v1/channels/${where.id}/overrides/${maker.id}`)],
    ['disabled', () => cluster.ctl('user', 'disable', maker.username), () => cluster.ctl('user', 'disable', maker.username, '--enable')],
  ]) {
    hook = await maker.rest.ok('POST', hooks, { name: what });
    await works(`not yet ${what}`);
    await goes();
    await rests(what);
    await returns();
    await works(`no longer ${what}`);
  }
  // Who has the token may end it all the same.
  await owner.rest.ok('PUT', `/v1/teams/${team.id}/bans/${maker.id}`, { motive: 'x' });
  assert.equal((await rest.as(null).call('DELETE', `/v1/webhooks/${hook.id}/${hook.token}`)).status, 204);
});

test('a word asks its receiver, signed, and the answer is in the call', async () => {
  const { where, hook, say } = await word('rain', json({ text: 'it rains', username: 'Weather', avatar: 'https://example.org/w.png', more: 1 }), { url: `http://${HOST}:${port}/rain?q=%s` });
  assert.match(hook.secret, /^[A-Za-z0-9_-]{43}$/);
  const answer = await say('to day & "night"', member);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.waiting, false);
  const { message } = answer.json;
  assert.deepEqual([message.content, message.shown_name, message.shown_avatar_url, message.webhook_id], ['it rains', 'Weather', 'https://example.org/w.png', hook.id]);
  const got = asked.find((a) => a.path === '/rain');
  assert.equal(got.url, '/rain?q=to+day+%26+%22night%22');
  assert.deepEqual(JSON.parse(got.body), { text: 'to day & "night"' });
  assert.equal(got.headers['guildhall-webhook'], hook.id);
  const signature = createHmac('sha256', hook.secret).update(`${got.headers['guildhall-timestamp']}.${got.body}`).digest('hex');
  assert.equal(got.headers['guildhall-signature'], `v1=${signature}`);
  assert.ok(Math.abs(Number(got.headers['guildhall-timestamp']) * 1000 - Date.now()) < 60000);
  assert.deepEqual((await messages(where)).map((m) => m.id), [message.id]);
  assert.deepEqual((await member.rest.ok('GET', `/v1/channels/${where.id}/commands`)).items.map((c) => c.word), ['me', 'shrug', 'tableflip', 'unflip', 'rain']);
  assert.equal((await say('x', outsider)).status, 404);
});

test('a word made by crust asks its receiver as well, which can tell that it is us', async () => {
  answers.set('/tide', json({ text: 'high' }));
  const crust = async (method, path, body) => (await fetch(`${cluster.api}/crust${path}`, {
    method, headers: { authorization: `Bearer ${owner.token}`, 'content-type': 'application/json' }, body: JSON.stringify(body) })).json();
  const [{ channelID }] = (await crust('GET', '/channels/')).response;
  const { response: made } = await crust('POST', '/webhooks/', { channelID, kind: 'outgoing', userID: '0', trigger: 'tide', url: `http://${HOST}:${port}/tide?q=%s`, username: 'pier' });
  assert.match(made.secret, /^[A-Za-z0-9_-]{43}$/);
  const run = (await crust('POST', `/channels/${channelID}/messages/command/tide/exec`, { input: 'to day', params: ['to', 'day'] })).response;
  assert.deepEqual([run.message, run.channelID, run.type], ['high', channelID, '']);
  const got = asked.find((a) => a.path === '/tide');
  assert.deepEqual([got.url, got.body], ['/tide?q=to+day', '{"text":"to day"}']);
  assert.equal(got.headers['guildhall-signature'],
    `v1=${createHmac('sha256', made.secret).update(`${got.headers['guildhall-timestamp']}.${got.body}`).digest('hex')}`);
  const { response: shown } = await crust('GET', `/webhooks/${made.webhookID}`);
  assert.equal('secret' in shown || 'token' in shown, false);
  assert.equal((await crust('POST', `/webhooks/${made.webhookID}`, { username: 'x'.repeat(33) })).error.message, 'invalid webhook username');
  assert.equal((await crust('POST', '/webhooks/', { channelID, kind: 'incoming', username: 'x'.repeat(33) })).error.message, 'invalid webhook username');
});

test('plain text is posted as it is, and a nonce asks once', async () => {
  const { where, hook, say } = await word('plain', (n, response) => response.writeHead(201, { 'content-type': 'text/plain; charset=utf-8' }).end('größe\n'));
  const first = await say('', owner, { nonce: 'p' });
  assert.equal(first.json.message.content, 'größe\n');
  assert.equal(first.json.message.shown_name, hook.name);
  assert.equal((await say('', owner, { nonce: 'p' })).json.message.id, first.json.message.id);
  assert.equal((await messages(where)).length, 1);
  assert.equal(asked.filter((a) => a.path === '/plain').length, 1);
});

test('what fails for now is tried again and posted once: 500, no answer in time', { timeout: 60000 }, async () => {
  const failing = await word('failing', (n, response) => (n < 3 ? response.writeHead(500).end() : json({ text: 'third time' })(n, response)));
  const slow = await word('slow', (n, response) => (n === 1 ? undefined : json({ text: 'at last' })(n, response)));
  const socket = new Socket(`${cluster.ws()}?topics=channel:${failing.where.id},channel:${slow.where.id}`, { token: owner.token });
  await socket.frame('subscribed');
  const [first, second] = await Promise.all([failing.say(), slow.say()]);
  for (const answer of [first, second]) assert.deepEqual([answer.status, answer.json.message, answer.json.waiting], [200, null, true]);
  await socket.frame((f) => f.data?.content === 'third time', { ms: 20000 });
  await socket.frame((f) => f.data?.content === 'at last', { ms: 20000 });
  const tries = asked.filter((a) => a.path === '/failing');
  assert.equal(tries.length, 3);
  assert.equal(new Set(tries.map((a) => a.headers['guildhall-delivery'])).size, 1);
  await until('both are marked as done', () => row(failing.hook)[0] === '2' && row(slow.hook)[0] === '2', 10000);
  assert.equal((await messages(failing.where)).length, 1);
  socket.end();
});

/* What comes of a word in the end: within two seconds or, told `waiting`, when it is said again under its nonce. */
const outcome = (say, nonce) => until('the delivery is done', async () => {
  const said = await say('', owner, { nonce });
  return said.json.waiting ? null : said;
});

test('what fails for good says why and is not tried again', async () => {
  const cases = [
    ['gone', (n, response) => response.writeHead(410).end(), 'status_410'],
    ['empty', json({ text: '' }), 'empty'],
    ['nothing', json({}), 'not_json'],
    ['big', (n, response) => response.writeHead(200, { 'content-type': 'text/plain' }).end('x'.repeat(70000)), 'too_large'],
    ['long', (n, response) => response.writeHead(200, { 'content-type': 'text/plain' }).end('x'.repeat(4001)), 'too_long'],
    ['elsewhere', (n, response) => response.writeHead(302, { location: `http://127.0.0.1:${port}/inside` }).end(), 'status_302'],
  ];
  for (const [name, answer, why] of cases) {
    const { where, hook, say } = await word(name, answer);
    const said = await outcome(say, name);
    for (const answered of [said, await say('', owner, { nonce: name })]) {
      assert.deepEqual([answered.status, answered.json.code, answered.json.why], [409, 'conflict', why], answered.text);
      assert.equal(answered.json.detail, said.json.detail);
    }
    if (name === 'empty') assert.equal(said.json.detail, 'Empty webhook response');
    assert.deepEqual(row(hook), ['3', '1', why]);
    assert.deepEqual(await messages(where), []);
  }
  assert.deepEqual(inward, []);
});

test('no address of this machine is called that is not allowed, whatever name leads to it', async () => {
  const hosts = ['127.0.0.1', 'localhost', '127.1', '0x7f000001', '2130706433', '0.0.0.0', '[::1]', '[::ffff:127.0.0.1]', '169.254.169.254', '10.0.0.1'];
  for (const [i, host] of hosts.entries()) {
    const { hook, say } = await word(`inside${i}`, json({ text: 'x' }), { url: `http://${host}:${port}/inside` });
    const said = await outcome(say, `inside${i}`);
    assert.deepEqual([said.status, said.json.why], [409, 'address_refused'], `${host}: ${said.text}`);
    assert.deepEqual(row(hook), ['3', '1', 'address_refused']);
  }
  assert.deepEqual(inward, []);
});

test('a messaging that is killed while it asks leaves the delivery to the other, and it is posted once', { timeout: 60000 }, async () => {
  let hold;
  const { where, hook, say } = await word('killed', (n, response) => {
    if (n === 1) hold = response;
    else json({ text: 'by the other' })(n, response);
  });
  const said = say('', owner, { nonce: 'k' });
  await until('the receiver is asked', () => hold !== undefined, 20000);
  for (const copy of cluster.copies.messaging) copy.kill9();
  hold.destroy();
  await said.catch(() => null);
  for (const copy of cluster.copies.messaging) await until('it is gone', () => copy.child === null, 10000);
  assert.deepEqual(row(hook).slice(0, 2), ['1', '1']);
  for (const copy of cluster.copies.messaging) copy.spawn();
  await Promise.all(cluster.copies.messaging.map((copy) => copy.ready()));
  cluster.pg.psql("UPDATE messaging.webhook_deliveries SET running_until = now() WHERE running_until IS NOT NULL"); // its lease ends
  await until('it was posted', async () => (await owner.rest.call('GET', `/v1/channels/${where.id}/messages`)).json?.items?.length === 1, 20000);
  await until('and marked', () => row(hook)[0] === '2', 10000);
  assert.equal((await messages(where))[0].content, 'by the other');
  const again = await owner.rest.sure('POST', `/v1/channels/${where.id}/commands/killed`, { input: '', nonce: 'k' });
  assert.equal(again.json.message.content, 'by the other');
  assert.equal((await messages(where)).length, 1);
});

test('a channel takes its webhooks with it, a message of one is deleted like any other, metrics count', async () => {
  const where = await newChannel();
  const hook = await newHook({}, where);
  const message = await rest.as(null).ok('POST', `/v1/webhooks/${hook.id}/${hook.token}`, { content: 'short' });
  await owner.rest.ok('DELETE', `/v1/channels/${where.id}/messages/${message.id}`);
  await owner.rest.ok('DELETE', `/v1/channels/${where.id}`);
  assert.equal((await rest.as(null).call('POST', `/v1/webhooks/${hook.id}/${hook.token}`, { content: 'x' })).status, 404);
  await owner.rest.ok('POST', `/v1/channels/${where.id}/restore`);
  assert.equal((await rest.as(null).call('POST', `/v1/webhooks/${hook.id}/${hook.token}`, { content: 'x' })).status, 404);
  const still = await newChannel();
  const quiet = await newHook({}, still);
  await owner.rest.ok('POST', `/v1/channels/${still.id}/archive`);
  assert.deepEqual((({ status, json: { code } }) => [status, code])(await rest.as(null).call('POST', `/v1/webhooks/${quiet.id}/${quiet.token}`, { content: 'x' })), [409, 'archived']);
  for (const path of [`/v1/webhooks/${quiet.id}`, `/v1/channels/${still.id}/webhooks`]) {
    const { status, json } = await owner.rest.call('GET', path); // of rights there only those to read messages and to bring it back remain
    assert.deepEqual([status, json.code, json.why], [409, 'archived', 'archived'], path);
  }
  const short = await owner.rest.ok('POST', '/v1/teams', { name: 'short' });
  const last = await newHook({}, await newChannel({ team_id: short.id }));
  await owner.rest.ok('DELETE', `/v1/teams/${short.id}`);
  for (const method of ['POST', 'DELETE']) {
    const answer = await rest.as(null).call(method, `/v1/webhooks/${last.id}/${last.token}`, method === 'POST' ? { content: 'x' } : undefined);
    assert.equal(answer.status, 404, `${method}: ${answer.text}`);
  }
  const metrics = await cluster.copies.messaging[0].metrics();
  assert.ok('guildhall_webhook_deliveries_waiting' in metrics);
  for (const copy of cluster.all()) for (const secret of [hook.token]) assert.equal(copy.log().includes(secret), false, `${copy.name} logged a token`);
});
