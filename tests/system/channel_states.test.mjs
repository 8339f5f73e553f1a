// Channels archived, restored, deleted, brought back: what REST answers, who hears of it on which topic, and what a socket that
// was away is told when it resumes.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';

const cluster = new Cluster({ copies: { gateway: 2, messaging: 2 } });
let rest, owner, member, other, team;

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  [owner, member, other] = [await newPerson(rest, 'owner'), await newPerson(rest, 'member'), await newPerson(rest, 'other')];
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'states', joining: 'open' });
  for (const person of [member, other]) await person.rest.ok('PUT', `/v1/teams/${team.id}/members/${person.id}`, {});
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

async function socket(person, topics, { gateway = 0, query = '', since } = {}) {
  const s = new Socket(cluster.ws(gateway) + query, { token: person.token });
  await s.opened;
  await s.frame('hello');
  s.send({ op: 'subscribe', topics, since, ref: 1 });
  s.subscribed = (await s.frame('subscribed')).data;
  assert.deepEqual(s.subscribed.topics, topics);
  return s;
}
const make = (fields) => owner.rest.ok('POST', '/v1/channels', { team_id: team.id, ...fields });
const of = (channel, type) => (f) => f.type === type && f.data.channel_id === channel.id;
async function refused(promise, status, code) {
  const answer = await promise;
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.json.code, code);
  return answer.json;
}
/** An event that comes later than everything that was asked for before it, on every topic of the team. */
async function marker(sockets) {
  const last = await make({ name: 'marker' });
  for (const s of sockets) await s.frame(of(last, 'channel_created'));
}

describe('archiving', () => {
  test('an archived channel is read only, is listed on request, and comes back', async () => {
    const channel = await make({ name: 'archive me' });
    const path = `/v1/channels/${channel.id}`;
    const message = await member.rest.ok('POST', `${path}/messages`, { content: 'before' });
    const s = await socket(member, [`channel:${channel.id}`]);
    const detailed = await socket(member, [`team:${team.id}`], { gateway: 1, query: '?detail=1' });

    await refused(member.rest.call('POST', `${path}/archive`), 403, 'forbidden');
    const archived = await owner.rest.call('POST', `${path}/archive`);
    assert.equal(archived.status, 200);
    assert.ok(archived.json.archived_at);
    const event = await s.frame('channel_archived');
    assert.deepEqual(event.data, { channel_id: channel.id, archived_at: archived.json.archived_at });
    assert.equal((await detailed.frame(of(channel, 'channel_archived'))).data.channel.name, 'archive me');

    await refused(owner.rest.call('POST', `${path}/archive`), 409, 'conflict');
    await refused(member.rest.call('POST', `${path}/messages`, { content: 'no' }), 409, 'archived');
    await refused(member.rest.call('PATCH', `${path}/messages/${message.id}`, { content: 'no' }), 409, 'archived');
    await refused(owner.rest.call('PATCH', path, { topic: 'no' }), 409, 'archived');
    assert.equal((await member.rest.ok('GET', `${path}/messages`)).items.length, 1);
    const listed = async (query) => (await member.rest.ok('GET', `/v1/channels?team=${team.id}&limit=100${query}`)).items.find((c) => c.id === channel.id);
    assert.equal(await listed(''), undefined);
    assert.equal((await listed('&archived=1')).archived_at, archived.json.archived_at);
    assert.equal((await refused(member.rest.call('GET', `/v1/channels?team=${team.id}&archived=perhaps`), 422, 'field_invalid')).field, 'archived');

    await refused(member.rest.call('POST', `${path}/restore`), 403, 'forbidden');
    assert.equal((await owner.rest.ok('POST', `${path}/restore`)).archived_at, null);
    assert.deepEqual((await s.frame('channel_restored')).data, { channel_id: channel.id });
    await refused(owner.rest.call('POST', `${path}/restore`), 409, 'conflict');
    await member.rest.ok('POST', `${path}/messages`, { content: 'after' });
    assert.equal((await s.frame('channel_message')).data.content, 'after');
    for (const x of [s, detailed]) x.end();
  });

  test('who may not read a channel hears nothing of its states and gets 404', async () => {
    const secret = await make({ name: 'secret', private: true });
    const outside = await socket(other, [`team:${team.id}`, 'global']);
    const inside = await socket(owner, [`team:${team.id}`, 'global'], { gateway: 1 });
    const path = `/v1/channels/${secret.id}`;
    for (const step of ['archive', 'restore']) {
      await refused(other.rest.call('POST', `${path}/${step}`), 404, 'not_found');
      await owner.rest.ok('POST', `${path}/${step}`);
    }
    await owner.rest.call('DELETE', path);
    await refused(other.rest.call('POST', `${path}/restore`), 404, 'not_found');
    await owner.rest.ok('POST', `${path}/restore`);
    await marker([outside, inside]);
    for (const type of ['channel_archived', 'channel_restored', 'channel_deleted', 'channel_created']) {
      assert.ok(inside.frames.some(of(secret, type)), `the owner hears ${type}`);
    }
    assert.equal(outside.frames.some((f) => f.data?.channel_id === secret.id), false);
    for (const x of [outside, inside]) x.end();
  });

  test('a socket that was away resumes across archiving and restoring without a gap', async () => {
    const channel = await make({ name: 'resumed' });
    const path = `/v1/channels/${channel.id}`;
    const s = await socket(member, [`channel:${channel.id}`], { query: '?resume=1' });
    await member.rest.ok('POST', `${path}/messages`, { content: 'one' });
    const one = await s.frame('channel_message');
    s.end();
    await owner.rest.ok('POST', `${path}/archive`);
    await owner.rest.ok('POST', `${path}/restore`);
    await member.rest.ok('POST', `${path}/messages`, { content: 'two' });
    const since = { generation: s.subscribed.generation, streams: { [one.stream]: one.seq } };
    const again = await socket(member, [`channel:${channel.id}`], { gateway: 1, query: '?resume=1', since });
    assert.equal(again.subscribed.streams[one.stream].recovered, true);
    await again.frame((f) => f.type === 'channel_message' && f.data.content === 'two');
    assert.deepEqual(again.frames.filter((f) => f.data?.channel_id === channel.id).map((f) => f.type),
      ['channel_archived', 'channel_restored', 'channel_message']);
    again.end();
  });
});

describe('bringing back', () => {
  test('a deleted channel comes back with its messages, as a new one to those who look on global', async () => {
    const channel = await make({ name: 'lost and found' });
    const path = `/v1/channels/${channel.id}`;
    await owner.rest.ok('PATCH', `/v1/teams/${team.id}`, { default_channel_id: channel.id });
    const message = await member.rest.ok('POST', `${path}/messages`, { content: 'kept' });
    const s = await socket(member, ['global', `channel:${channel.id}`]);
    await owner.rest.call('DELETE', path);
    await s.frame(of(channel, 'channel_deleted'));
    assert.equal((await member.rest.ok('GET', `/v1/teams/${team.id}`)).default_channel_id, null);
    await refused(member.rest.call('GET', path), 404, 'not_found');
    await refused(member.rest.call('POST', `${path}/restore`), 404, 'not_found');
    await refused(owner.rest.call('POST', `${path}/archive`), 404, 'not_found');
    const back = await owner.rest.ok('POST', `${path}/restore`);
    assert.equal(back.last_message_id, message.id);
    assert.deepEqual((await s.frame(of(channel, 'channel_created'))).data, { channel_id: channel.id, channel_name: 'lost and found' });
    assert.equal((await member.rest.ok('GET', `${path}/messages`)).items[0].content, 'kept');
    assert.equal((await member.rest.ok('GET', `/v1/teams/${team.id}`)).default_channel_id, channel.id);
    await member.rest.ok('POST', `${path}/messages`, { content: 'and on' });
    await s.frame((f) => f.type === 'channel_message' && f.data.content === 'and on');
    s.end();
  });

  test('a private channel that comes back reaches its members, old sockets and new ones, and nobody else', async () => {
    const secret = await make({ name: 'private again', private: true, members: [member.id] });
    const path = `/v1/channels/${secret.id}`;
    const old = await socket(member, [`channel:${secret.id}`]);
    const outside = await socket(other, [`team:${team.id}`, 'global'], { gateway: 1 });
    await owner.rest.call('DELETE', path);
    await old.frame('channel_deleted');
    const fresh = await socket(member, [`team:${team.id}`, 'global'], { gateway: 1 });
    await owner.rest.ok('POST', `${path}/restore`);
    await fresh.frame(of(secret, 'channel_created'));
    await owner.rest.ok('POST', `${path}/messages`, { content: 'still private' });
    await old.frame((f) => f.type === 'channel_message' && f.data.content === 'still private');
    await fresh.frame((f) => f.type === 'channel_message' && f.data.content === 'still private');
    await marker([outside]);
    assert.equal(outside.frames.some((f) => f.data?.channel_id === secret.id), false);
    for (const x of [old, outside, fresh]) x.end();
  });

  test('a resume across a private channel that went and came is told plainly that it cannot be recovered', async () => {
    const secret = await make({ name: 'away', private: true, members: [member.id] });
    const path = `/v1/channels/${secret.id}`;
    const s = await socket(member, [`channel:${secret.id}`], { query: '?resume=1' });
    await owner.rest.ok('POST', `${path}/messages`, { content: 'one' });
    const one = await s.frame('channel_message');
    s.end();
    await owner.rest.call('DELETE', path);
    await owner.rest.ok('POST', `${path}/restore`);
    const since = { generation: s.subscribed.generation, streams: { [one.stream]: one.seq } };
    const again = await socket(member, [`channel:${secret.id}`], { gateway: 1, query: '?resume=1', since });
    assert.equal(again.subscribed.streams[one.stream].recovered, false);
    await owner.rest.ok('POST', `${path}/messages`, { content: 'two' });
    await again.frame((f) => f.type === 'channel_message' && f.data.content === 'two');
    again.end();
  });
});

describe('duplicating', () => {
  test('copies what the channel is and none of its messages, behind it, and is told on global', async () => {
    const channel = await make({ name: 'original', topic: 'about' });
    const path = `/v1/channels/${channel.id}`;
    await owner.rest.ok('PATCH', path, { slow_mode_s: 5 });
    await member.rest.ok('POST', `${path}/messages`, { content: 'stays' });
    const s = await socket(member, ['global']);
    const detailed = await socket(member, ['global'], { gateway: 1, query: '?detail=1' });
    await refused(member.rest.call('POST', `${path}/duplicate`), 403, 'forbidden');
    await refused(owner.rest.call('POST', `${path}/duplicate`, { name: '' }), 422, 'field_invalid');
    await refused(owner.rest.call('POST', `${path}/duplicate`, { title: 'x' }), 422, 'field_invalid');
    const key = { 'idempotency-key': 'the same clone' };
    const answer = await owner.rest.call('POST', `${path}/duplicate`, { name: 'copy' }, key);
    assert.equal(answer.status, 201, answer.text);
    const copy = answer.json;
    assert.equal(answer.headers.get('location'), `/v1/channels/${copy.id}`);
    assert.equal(copy.slow_mode_s, 5);
    for (const field of ['kind', 'topic', 'category_id', 'position', 'private', 'team_id']) assert.equal(copy[field], channel[field], field);
    assert.equal(copy.name, 'copy');
    assert.equal(copy.last_message_id, null);
    const again = await owner.rest.call('POST', `${path}/duplicate`, { name: 'copy' }, key);
    assert.equal(again.json.id, copy.id, 'a repeat is the same copy');
    assert.deepEqual((await s.frame(of(copy, 'channel_created'))).data, { channel_id: copy.id, channel_name: 'copy' });
    assert.equal((await detailed.frame(of(copy, 'channel_created'))).data.cloned_from, channel.id);
    assert.deepEqual((await member.rest.ok('GET', `/v1/channels/${copy.id}/messages`)).items, []);
    const members = (await owner.rest.ok('GET', `/v1/channels/${copy.id}/members`)).items;
    assert.deepEqual(members.map((m) => [m.user.id, m.role]), [[owner.id, 'owner']]);
    assert.equal((await owner.rest.ok('POST', `${path}/duplicate`)).name, 'original');
    await refused(owner.rest.call('POST', '/v1/channels/00000000-0000-8000-8000-000000000000/duplicate'), 404, 'not_found');
    for (const x of [s, detailed]) x.end();
  });

  test('a private channel with its members, and nobody else hears of the copy', async () => {
    const secret = await make({ name: 'private original', private: true, members: [member.id] });
    const [inside, outside] = [await socket(member, [`team:${team.id}`, 'global']), await socket(other, [`team:${team.id}`, 'global'], { gateway: 1 })];
    const copy = await owner.rest.ok('POST', `/v1/channels/${secret.id}/duplicate`, { name: 'private copy' });
    assert.equal(copy.private, true);
    await inside.frame(of(copy, 'member_joined'));
    await member.rest.ok('POST', `/v1/channels/${copy.id}/messages`, { content: 'in the copy' });
    await inside.frame((f) => f.type === 'channel_message' && f.data.channel_id === copy.id);
    await refused(other.rest.call('GET', `/v1/channels/${copy.id}`), 404, 'not_found');
    await refused(other.rest.call('POST', `/v1/channels/${secret.id}/duplicate`), 404, 'not_found');
    await marker([outside]);
    assert.equal(outside.frames.some((f) => f.data?.channel_id === copy.id), false);
    for (const x of [inside, outside]) x.end();
  });

  test('a channel that overrides hide is not shown by its copy for a moment either', async () => {
    const hidden = await make({ name: 'hidden by overrides' });
    const roles = (await owner.rest.ok('GET', `/v1/teams/${team.id}/roles`)).items;
    const base = roles.find((r) => r.base);
    await owner.rest.ok('PUT', `/v1/channels/${hidden.id}/overrides/${base.id}`, { deny: ['view_text'] });
    const outside = await socket(other, [`team:${team.id}`, 'global']);
    const copy = await owner.rest.ok('POST', `/v1/channels/${hidden.id}/duplicate`);
    await refused(other.rest.call('GET', `/v1/channels/${copy.id}`), 404, 'not_found');
    const overrides = (await owner.rest.ok('GET', `/v1/channels/${copy.id}/overrides`)).items;
    assert.deepEqual(overrides.map((o) => [o.role_id, o.deny]), [[base.id, ['view_text']]]);
    await marker([outside]);
    assert.equal(outside.frames.some((f) => f.data?.channel_id === copy.id), false);
    outside.end();
  });
});
