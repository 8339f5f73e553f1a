// Every call of crust as everybody: who has no token, who is not in the team, who is banned from it, whom a rule keeps out of the channel, a
// member, and the one who made it all.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest } from './lib/client.mjs';
import { until } from './lib/wait.mjs';
import { crustPerson, crustTeam, idOf, plain, rowOf, rows } from './lib/crust.mjs';

const cluster = new Cluster({ copies: {} });
const people = {};
let team, role;

before(async () => {
  await cluster.start();
  const rest = new Rest([cluster.api]);
  for (const name of ['owner', 'member', 'denied', 'banned', 'outsider']) people[name] = await crustPerson(cluster, rest, name);
  const { owner } = people;
  team = crustTeam(cluster, owner, 'walls');
  for (const name of ['member', 'denied', 'banned']) await people[name].api.commandsList();
  await owner.rest.ok('PATCH', `/v1/teams/${team.id}`, { joining: 'invite' });
  await owner.rest.ok('PUT', `/v1/teams/${team.id}/bans/${people.banned.uuid}`, { motive: 'walls' });
  await until('that he is banned is known', async () => (await people.banned.call('GET', '/commands/')).status === 403);
  role = await owner.rest.ok('POST', `/v1/teams/${team.id}/roles`, { name: 'kept out', permissions: [] });
  await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${people.denied.uuid}/roles/${role.id}`, {});
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

/** A channel with a message, which a rule keeps `denied` out of. */
async function scene() {
  const { owner } = people;
  const channel = await owner.api.channelCreate({ name: 'scene', type: 'public' });
  await owner.api.permissionsUpdate({ roleID: idOf(role.id), rules: [
    { resource: `messaging:channel:${channel.channelID}`, operation: 'read', access: 'deny' }] });
  const message = await owner.api.messageCreate({ channelID: channel.channelID, message: 'scene' });
  const webhook = await owner.api.webhooksCreate({ channelID: channel.channelID, kind: 'incoming', userID: '0', username: 'scene' });
  return { channelID: channel.channelID, messageID: message.messageID, webhookID: webhook.webhookID, token: webhook.token };
}

const no = 'messaging.service.NoPermissions', noGrant = 'messaging.service.NoGrantPermissions';
const noWebhook = 'messaging.repository.WebhookNotFound';
const noChannel = 'messaging.repository.ChannelNotFound', noMessage = 'messaging.repository.MessageNotFound';
const flag = 'can not flag/un-flag message: ';
const c = '/channels/{channelID}', m = `${c}/messages/{messageID}`;

/** What each call says to denied, member and owner; "" is no error. body may be a function of who calls. */
const calls = [
  ['POST /activity/', (s) => ({ channelID: s.channelID, kind: 'x' }), [noChannel, '', '']],
  ['GET /channels/', undefined, ['', '', '']],
  ['POST /channels/', () => ({ name: 'mine', type: 'public' }), ['', '', '']],
  [`PUT ${c}`, () => ({ name: 'other' }), [noChannel, no, '']],
  [`PUT ${c}/state`, () => ({ state: 'archive' }), [noChannel, no, '']],
  [`PUT ${c}/flag`, () => ({ flag: 'pinned' }), [noChannel, 'not a member', '']],
  [`DELETE ${c}/flag`, undefined, [noChannel, 'not a member', '']],
  [`GET ${c}`, undefined, [noChannel, '', '']],
  [`GET ${c}/members`, undefined, [noChannel, '', '']],
  [`PUT ${c}/members/{me}`, undefined, [noChannel, '', '']],
  [`DELETE ${c}/members/{me}`, undefined, [noChannel, '', '']],
  [`PUT ${c}/members/{member}`, undefined, [noChannel, '', '']],
  [`POST ${c}/invite`, () => ({ userID: [people.member.id] }), [noChannel, no, '']],
  [`POST ${c}/attach`, () => file(), [noChannel, '', '']],
  ['GET /commands/', undefined, ['', '', '']],
  [`POST ${c}/messages/`, () => ({ message: 'x' }), [noChannel, '', '']],
  [`POST ${c}/messages/command/shrug/exec`, () => ({ input: 'x' }), [noChannel, '', '']],
  [`GET ${c}/messages/mark-as-read`, undefined, ['unable to mark as read: invalid channel', '', '']],
  [`PUT ${m}`, () => ({ message: 'y' }), [noMessage, no, '']],
  [`DELETE ${m}`, undefined, [noMessage, no, '']],
  [`POST ${m}/replies`, () => ({ message: 'y' }), [noMessage, '', '']],
  [`POST ${m}/pin`, undefined, [flag + noMessage, '', '']],
  [`DELETE ${m}/pin`, undefined, [flag + noMessage, '', '']],
  [`POST ${m}/bookmark`, undefined, [flag + noMessage, '', '']],
  [`DELETE ${m}/bookmark`, undefined, [flag + noMessage, '', '']],
  [`POST ${m}/reaction/fine`, undefined, [flag + noMessage, '', '']],
  [`DELETE ${m}/reaction/fine`, undefined, [flag + noMessage, '', '']],
  ['GET /permissions/', undefined, ['', '', '']],
  ['GET /permissions/effective', undefined, ['', '', '']],
  ['GET /permissions/1/rules', undefined, [noGrant, noGrant, '']],
  ['PATCH /permissions/1/rules', () => ({ rules: [] }), [noGrant, noGrant, '']],
  ['DELETE /permissions/{role}/rules', undefined, [noGrant, noGrant, '']],
  ['GET /search/messages?channelID={channelID}', undefined, [no, '', '']],
  ['GET /search/threads?channelID={channelID}', undefined, [no, '', '']],
  ['GET /settings/', undefined, ['not allowed to read settings', 'not allowed to read settings', '']],
  ['PATCH /settings/', () => ({ values: [] }), ['not allowed to manage settings', 'not allowed to manage settings', '']],
  ['GET /settings/current', undefined, ['', '', '']],
  ['GET /status/', undefined, ['', '', '']],
  ['POST /status/', () => ({ message: 'x' }), ['', '', '']],
  ['DELETE /status/', undefined, ['', '', '']],
  ['GET /webhooks/', undefined, ['', '', '']],
  ['POST /webhooks/', (s) => ({ channelID: s.channelID, kind: 'incoming', userID: '0', username: 'x' }), [noChannel, no, '']],
  ['GET /webhooks/{webhookID}', undefined, [noWebhook, no, '']],
  ['POST /webhooks/{webhookID}', (s) => ({ channelID: s.channelID, kind: 'incoming', userID: '0', username: 'y' }), [noWebhook, no, '']],
  ['DELETE /webhooks/{webhookID}', undefined, [noWebhook, no, '']],
];

function file() {
  const body = new FormData();
  body.append('upload', new Blob(['x']), 'x.txt');
  return body;
}

/** "": no error. */
async function said(name, row, body, s) {
  const [method, template] = row.split(' ');
  const person = people[name];
  const path = template.replaceAll('{channelID}', s.channelID).replaceAll('{messageID}', s.messageID).replaceAll('{webhookID}', s.webhookID).replaceAll('{member}', people.member.id)
    .replaceAll('{me}', person?.id ?? people.member.id).replaceAll('{role}', idOf(role.id));
  const answer = await plain(cluster.api, method, path, { token: person?.token, body: body?.(s) });
  if (answer.status !== 200) return `${answer.status} ${answer.text}`;
  return answer.json.error?.message ?? '';
}

describe('who calls', () => {
  for (const [row, body, [denied, member, owner]] of calls) {
    test(row, async () => {
      const s = await scene();
      assert.equal(await said('anonymous', row, body, s), 'Unauthorized', 'anonymous');
      assert.equal(await said('outsider', row, body, s), '403 Forbidden', 'outsider');
      assert.equal(await said('banned', row, body, s), '403 Forbidden', 'banned');
      assert.equal(await said('denied', row, body, s), denied, 'denied');
      assert.equal(await said('member', row, body, s), member, 'member');
      assert.equal(await said('owner', row, body, await scene()), owner, 'owner');
    });
  }
});

/** The rows whose key is in the URL: who shows it is asked nothing else, and who does not is refused, whoever he is. */
const keyed = ['GET /attachment/{attachmentID}/original/{name}', 'GET /attachment/{attachmentID}/preview.{ext}',
  'POST /webhooks/{webhookID}/{webhookToken}', 'DELETE /webhooks/{webhookID}/{webhookToken}'];
/* A picture of 2 by 1 pixels. */
const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAADklEQVR4nGP4z8AARAAHAAH/AcR4gAAAAABJRU5ErkJggg==', 'base64');

describe('who shows a key', () => {
  for (const name of ['anonymous', 'outsider', 'banned', 'denied', 'member', 'owner']) {
    test(name, async () => {
      const s = await scene(), body = new FormData();
      body.append('upload', new Blob([png], { type: 'image/png' }), 'x.png');
      const file = (await people.owner.call('POST', `/channels/${s.channelID}/attach`, { body })).json.response;
      const say = async (method, path) => {
        const answer = await plain(cluster.api, method, path, { token: people[name]?.token });
        return answer.json?.error?.message ?? answer.status;
      };
      const wrong = (url) => url.replace(/.(?=&userID)/, (c) => (c === '0' ? '1' : '0'));
      for (const url of [file.url, file.previewUrl]) {
        assert.equal(await say('GET', url.split('?')[0]), 'Unauthorized');
        assert.equal(await say('GET', `${url.split('?')[0]}?sign=x&userID=u`), 'missing or invalid user ID');
        assert.equal(await say('GET', wrong(url)), 'missing or invalid signature');
        assert.equal(await say('GET', url), 200);
      }
      for (const method of ['POST', 'DELETE']) {
        assert.equal(await say(method, `/webhooks/${s.webhookID}/${'x'.repeat(43)}?content=x`), 'Invalid Webhook Token');
        assert.equal(await say(method, `/webhooks/${s.webhookID}/${s.token}?content=x`), 200);
      }
    });
  }
});

test('who may not come in by a rule is told so, and comes in again when it is taken back', async () => {
  const { owner, denied } = people;
  const rule = (access) => owner.api.permissionsUpdate({ roleID: idOf(role.id), rules: [{ resource: 'messaging', operation: 'access', access }] });
  const status = async () => (await denied.call('GET', '/commands/')).status;
  assert.equal(await status(), 200);
  await rule('deny');
  await until('the rule holds', async () => await status() === 403);
  assert.equal((await denied.call('GET', '/channels/')).text, 'Forbidden');
  await rule('inherit');
  await until('the rule is gone', async () => await status() === 200);
});

test('every row of the reference is here', () => {
  const here = new Set(calls.map(([row]) => rowOf(row.split(' ')[0], row.split(' ')[1].replace('shrug', 'x'))));
  assert.deepEqual(rows.filter((row) => !here.has(row) && !keyed.includes(row)), []);
});
