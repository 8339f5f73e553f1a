// Who hears what: every event of the description against everybody, with a socket each. A row says what is done and whose sockets hear of
// it; on every other socket nothing of it may arrive. Rows about channels hold in an open channel, a private one and a conversation.
// An event without a row fails, and so does a row without an event.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { Personas, personas } from './lib/personas.mjs';

const cluster = new Cluster();
const p = new Personas(new Rest([cluster.api ?? 'http://127.0.0.1:1']));
const sockets = {};
let hall, description;
const places = {};

const present = ['member', 'denied', 'silenced', 'timedout', 'moderator', 'owner', 'bot', 'reader'];
const without = (list, ...who) => list.filter((name) => !who.includes(name));
const inChannel = without(present, 'denied');
const signedIn = without(personas, 'anonymous');

before(async () => {
  await cluster.start();
  p.root = new Rest([cluster.api]);
  await p.create();
  hall = await p.owner.rest.ok('POST', '/v1/channels', { name: 'hall', team_id: p.team.id });
  const quiet = await p.owner.rest.ok('POST', '/v1/channels', { name: 'quiet', team_id: p.team.id, private: true, members: [p.id.member] });
  const direct = await p.owner.rest.ok('POST', '/v1/direct', { user_ids: [p.id.member] });
  places.open = { id: p.channel.id, hears: inChannel };
  places.private = { id: quiet.id, hears: ['owner', 'member'] };
  places.conversation = { id: direct.id, hears: ['owner', 'member'] };
  description = await p.root.ok('GET', '/v1/asyncapi.json');
  for (const name of signedIn) {
    const socket = (sockets[name] = new Socket(`${cluster.ws(0)}?resume=1&detail=1`, { token: p.token[name] }));
    await socket.frame('hello');
    for (const topic of [`team:${p.team.id}`, `user:${p.id[name]}`, 'global', `channel:${p.channel.id}`, `channel:${quiet.id}`, `channel:${direct.id}`]) {
      socket.send({ op: 'subscribe', topics: [topic], ref: topic });
      const answer = await socket.frame((f) => f.data?.ref === topic);
      if (topic.startsWith('team')) assert.equal(answer.type, present.includes(name) ? 'subscribed' : 'error', `${name} on his team`);
      for (const place of Object.values(places))
        if (topic === `channel:${place.id}`) assert.equal(answer.type, place.hears.includes(name) ? 'subscribed' : 'error', `${name} on ${topic}`);
    }
  }
}, { timeout: 120000 });
after(async () => {
  for (const socket of Object.values(sockets)) socket.end();
  await cluster.destroy();
}, { timeout: 60000 });

/* Everything that was committed up to now and that a socket is to hear has arrived on it: a team's by a message behind it, everybody's
 * own by a change of his own behind it. */
let marks = 0;
async function settled() {
  const from = Object.fromEntries(signedIn.map((name) => [name, sockets[name].frames.length]));
  const mark = (await p.owner.rest.ok('POST', `/v1/channels/${hall.id}/messages`, { content: `mark ${++marks}` })).id;
  for (const name of present) await sockets[name].frame((f) => f.data.message_id === mark, { ms: 20000, from: Math.max(0, from[name] - 200) });
  const read = (await p.owner.rest.ok('POST', `/v1/channels/${hall.id}/messages`, { content: `mark ${++marks}` })).id;
  for (const name of signedIn) {
    if (name === 'reader' || name === 'bot') continue;
    const message = `mark ${++marks}`;
    await p.rest[name].ok('PUT', '/v1/me/status', { message });
    await sockets[name].frame((f) => f.type === 'status_updated' && f.data.message === message, { ms: 20000 });
  }
  for (const name of present) await sockets[name].frame((f) => f.data.message_id === read, { ms: 20000 });
}

/* ---- the table: type -> what is done, what recognises the frames, who hears it. `in`: rows about a channel, done in each place. */

const owner = () => p.owner.rest;
const team = () => `/v1/teams/${p.team.id}`;
const of = (data) => (f) => Object.entries(data).every(([key, value]) => f.data[key] === value);
const post = async (place, body = { content: 'x' }) => (await owner().ok('POST', `/v1/channels/${place.id}/messages`, body)).id;
const by = (method, suffix, body) => async (place) => {
  const id = await post(place);
  await owner().ok(method, `/v1/channels/${place.id}/messages/${id}${suffix}`, body);
  return of({ message_id: id });
};
const afterBoth = (first, second, body) => async (place) => {
  const id = await post(place), path = `/v1/channels/${place.id}/messages/${id}`;
  await owner().ok(first, `${path}${second}`, body);
  await owner().ok('DELETE', `${path}${second}`);
  return of({ message_id: id });
};
const newWebhook = () => owner().ok('POST', `/v1/channels/${p.channel.id}/webhooks`, { name: 'w' });
const role = async () => owner().ok('POST', `${team()}/roles`, { name: 'r' });
const spareChannel = (extra = {}) => owner().ok('POST', '/v1/channels', { name: 'spare', team_id: p.team.id, ...extra });
const channelState = (...steps) => async () => {
  const channel = await spareChannel();
  for (const [method, suffix, body] of steps) await owner().ok(method, `/v1/channels/${channel.id}${suffix}`, body);
  return of({ channel_id: channel.id });
};
const newcomer = async () => {
  const person = await p.freshMember();
  return { id: person.id, rest: person.rest, path: `${team()}/members/${person.id}` };
};
/* Somebody who comes to the open channel, and what then happens to him. */
const channelMember = (...steps) => async () => {
  const { id } = await newcomer(), path = `/v1/channels/${p.channel.id}`;
  await owner().ok('PUT', `${path}/members/${id}`, {});
  for (const [method, suffix, body] of steps) await owner().ok(method, path + suffix(id), body);
  return of({ channel_id: p.channel.id, user_id: id });
};
const aboutMember = (...steps) => async () => {
  const { id, path } = await newcomer();
  for (const [method, where, body] of steps) await owner().ok(method, where(path, id), body);
  return of({ user_id: id });
};
const self = (path) => path;

const table = {
  user_updated: { hears: [...present], act: async () => {
    await p.rest.member.ok('PATCH', '/v1/me', { tagline: `t${++marks}` });
    return of({ user_id: p.id.member, tagline: `t${marks}` });
  } },
  session_opened: { hears: ['moderator'], act: async () => {
    const again = await newSession('moderator');
    return of({ session_id: again.session_id });
  } },
  session_revoked: { hears: ['moderator'], act: async () => {
    const again = await newSession('moderator');
    await p.rest.moderator.ok('DELETE', `/v1/sessions/${again.session_id}`);
    return of({ session_id: again.session_id });
  } },
  team_created: { hears: ['member'], act: async () => of({ team_id: (await p.rest.member.ok('POST', '/v1/teams', { name: 'other' })).id }) },
  team_updated: { hears: present, act: async () => {
    await owner().ok('PATCH', team(), { description: `d${++marks}` });
    return of({ description: `d${marks}` });
  } },
  team_deleted: { hears: [], act: async () => { /* of another team, which nobody here watches */
    const { id } = await owner().ok('POST', '/v1/teams', { name: 'short' });
    await owner().ok('DELETE', `/v1/teams/${id}`);
    return of({ team_id: id });
  } },
  team_member_joined: { hears: present, act: aboutMember() },
  team_member_left: { hears: present, act: aboutMember(['DELETE', self]) },
  team_member_updated: { hears: present, act: aboutMember(['PATCH', self, { nickname: 'nick' }]) },
  user_timed_out: { hears: present, act: aboutMember(['PUT', (path) => `${path}/timeout`, { seconds: 600 }]) },
  team_member_roles_updated: { hears: present, act: async () => {
    const { id, path } = await newcomer();
    await owner().ok('PUT', `${path}/roles/${(await role()).id}`, {});
    return of({ user_id: id });
  } },
  team_user_banned: { hears: ['owner', 'moderator'], act: aboutMember(['PUT', (_path, id) => `${team()}/bans/${id}`, {}]) },
  team_user_unbanned: { hears: ['owner', 'moderator'], act: aboutMember(['PUT', (_path, id) => `${team()}/bans/${id}`, {}], ['DELETE', (_path, id) => `${team()}/bans/${id}`]) },
  audit_recorded: { hears: ['owner', 'moderator'], act: async () => {
    const { id } = await role();
    return (f) => f.data.target.id === id;
  } },
  role_created: { hears: present, act: async () => of({ role_id: (await role()).id }) },
  role_updated: { hears: present, act: async () => {
    const { id } = await role();
    await owner().ok('PATCH', `/v1/roles/${id}`, { color: 5 });
    return of({ role_id: id });
  } },
  role_deleted: { hears: present, act: async () => {
    const { id } = await role();
    await owner().ok('DELETE', `/v1/roles/${id}`);
    return of({ role_id: id });
  } },
  roles_reordered: { hears: present, act: async () => {
    await role();
    const ids = (await owner().ok('GET', `${team()}/roles`)).items.filter((r) => !r.base).map((r) => r.id).reverse();
    await owner().ok('PUT', `${team()}/roles/order`, { role_ids: ids });
    return (f) => f.data.role_ids[0] === ids[0];
  } },
  channel_permissions_updated: { hears: inChannel, act: async () => {
    const { id } = await role();
    await owner().ok('PUT', `/v1/channels/${p.channel.id}/overrides/${id}`, { allow: ['embed_links'], deny: [] });
    return of({ role_id: id });
  } },
  member_joined: { hears: inChannel, act: channelMember() },
  member_left: { hears: inChannel, act: channelMember(['DELETE', (id) => `/members/${id}`]) },
  user_kicked: { hears: inChannel, act: channelMember(['POST', (id) => `/members/${id}/kick`, {}]) },
  member_role_updated: { hears: inChannel, act: channelMember(['PATCH', (id) => `/members/${id}`, { role: 'moderator' }]) },
  user_banned: { hears: inChannel, act: channelMember(['PUT', (id) => `/bans/${id}`, {}]) },
  user_unbanned: { hears: inChannel, act: channelMember(['PUT', (id) => `/bans/${id}`, {}], ['DELETE', (id) => `/bans/${id}`]) },
  invite_created: { hears: without(present, 'timedout'), act: async () => of({ code: (await owner().ok('POST', `${team()}/invites`, {})).code }) },
  invite_deleted: { hears: without(present, 'timedout'), act: async () => {
    const { code } = await owner().ok('POST', `${team()}/invites`, {});
    await owner().ok('DELETE', `/v1/invites/${code}`);
    return of({ code });
  } },
  channel_created: { hears: present, act: channelState() },
  channel_updated: { hears: present, act: channelState(['PATCH', '', { topic: 'new' }]) },
  channel_deleted: { hears: present, act: channelState(['DELETE', '']) },
  channel_archived: { hears: present, act: channelState(['POST', '/archive', {}]) },
  channel_restored: { hears: present, act: channelState(['POST', '/archive', {}], ['POST', '/restore', {}]) },
  conversation_created: { hears: ['owner', 'moderator'], act: async () => of({ channel_id: (await owner().ok('POST', '/v1/direct', { user_ids: [p.id.moderator, (await newPerson(p.root, 'third')).id] })).id }) },
  channel_message: { in: true, act: async (place) => of({ message_id: await post(place) }) },
  message_reply: { in: true, act: async (place) => {
    const parent = await post(place);
    return of({ message_id: (await owner().ok('POST', `/v1/channels/${place.id}/messages/${parent}/replies`, { content: 're' })).id });
  } },
  message_updated: { in: true, act: by('PATCH', '', { content: 'edited' }) },
  message_deleted: { in: true, act: by('DELETE', '') },
  reaction_added: { in: true, act: by('PUT', '/reactions/%F0%9F%91%8D') },
  reaction_removed: { in: true, act: afterBoth('PUT', '/reactions/%F0%9F%91%8D') },
  webhook_created: { hears: inChannel, act: async () => of({ webhook_id: (await newWebhook()).id }) },
  webhook_updated: { hears: inChannel, act: async () => {
    const { id } = await newWebhook();
    await owner().ok('PATCH', `/v1/webhooks/${id}`, { name: 'renamed' });
    return of({ webhook_id: id });
  } },
  webhook_deleted: { hears: inChannel, act: async () => {
    const { id } = await newWebhook();
    await owner().ok('DELETE', `/v1/webhooks/${id}`);
    return of({ webhook_id: id });
  } },
  message_pinned: { in: true, act: by('PUT', '/pin', {}) },
  message_unpinned: { in: true, act: afterBoth('PUT', '/pin', {}) },
  user_typing: { in: true, act: async (place) => {
    await owner().ok('POST', `/v1/channels/${place.id}/typing`, {});
    return of({ channel_id: place.id, user_id: p.owner.id });
  } },
  bookmark_updated: { only: ['owner'], in: true, act: by('PUT', '/bookmark') },
  channel_pref_updated: { only: ['owner'], in: true, act: async (place) => {
    const notify = (await owner().ok('GET', `/v1/channels/${place.id}/preferences`)).notify === 'all' ? 'mentions' : 'all';
    await owner().ok('PUT', `/v1/channels/${place.id}/preferences`, { notify });
    return of({ channel_id: place.id, notify });
  } },
  unread_updated: { only: ['owner'], in: true, act: async (place) => {
    const { id } = await p.rest.member.ok('POST', `/v1/channels/${place.id}/messages`, { content: 'unread' });
    await owner().ok('PUT', `/v1/channels/${place.id}/read`, { message_id: id });
    return of({ channel_id: place.id, last_read_id: id });
  } },
  user_mentioned: { only: ['member'], in: true, act: async (place) => of({ message_id: await post(place, { content: `<@${p.id.member}> <@${p.id.denied}> <@${p.id.outsider}>` }) }) },
  /* Settings are set in crust, which shows the oldest team: this one. */
  team_setting_updated: { hears: ['owner'], act: async () => {
    const value = `v${++marks}`;
    const answer = await fetch(`${cluster.api}/crust/settings/`, { method: 'PATCH', body: JSON.stringify({ values: [{ name: 'matrix.mark', value }] }),
      headers: { authorization: `Bearer ${p.token.owner}`, 'content-type': 'application/json' } });
    assert.equal((await answer.json()).response, true);
    return of({ name: 'matrix.mark', value });
  } },
  operator_announcement: { hears: signedIn, act: async () => of({ announcement_id: JSON.parse(cluster.ctl('announce', '--title', 'matrix', '--text', 'to everybody', '--json')).id }) },
  status_updated: { hears: present, act: async () => {
    await p.rest.member.ok('PUT', '/v1/me/status', { message: `s${++marks}` });
    return of({ user_id: p.id.member, message: `s${marks}` });
  } },
  presence_updated: { hears: present, act: async () => {
    await p.rest.member.ok('PUT', '/v1/me/presence', { status: 'dnd' });
    return of({ user_id: p.id.member, status: 'dnd' });
  } },
};
/* What has no call in this dialect: events other dialects cause. */
const foreign = ['member_nickname_updated'];

const newSession = (name) => p.root.ok('POST', '/v1/sessions', { username: p.people[name].username, password: p.people[name].password });

test('every event has a row, and every row an event', () => {
  const described = Object.values(description.components.messages).filter((m) => m['x-topics']).map((m) => m.payload.allOf[1].properties.type.const);
  assert.deepEqual([...new Set(described)].filter((type) => !table[type] && !foreign.includes(type)), [], 'events without a row');
  assert.deepEqual(Object.keys(table).filter((type) => !described.includes(type)), [], 'rows without an event');
});

test('nobody connects without a token', async () => {
  const socket = new Socket(`${cluster.ws(0)}?token=nonsense`, {});
  const answer = await Promise.race([socket.opened.then(() => socket.closed, (error) => error), socket.closed]);
  assert.ok(answer.status === 401 || answer.code === 4401, JSON.stringify(answer));
});

for (const [type, row] of Object.entries(table))
  for (const name of row.in ? ['open', 'private', 'conversation'] : ['']) {
    test(`${type}${name && ` in ${name === 'open' ? 'an open channel' : name === 'private' ? 'a private channel' : 'a conversation'}`}`, async () => {
      const from = Object.fromEntries(signedIn.map((who) => [who, sockets[who].frames.length]));
      const isIt = await row.act(places[name]);
      await settled();
      const hears = row.only ?? row.hears ?? places[name].hears;
      const mine = (f) => f.type === type && isIt(f);
      for (const who of hears) await sockets[who].frame(mine, { ms: 20000, from: from[who] }).catch(() => assert.fail(`${who} hears nothing`));
      for (const who of signedIn) {
        const got = sockets[who].frames.slice(from[who]).filter(mine);
        assert.equal(got.length, hears.includes(who) ? 1 : 0, `${who}: ${JSON.stringify(got)}`);
      }
    });
  }

test('nobody heard of a place that he may not read, in any event', () => {
  for (const who of signedIn)
    for (const place of Object.values(places))
      if (!place.hears.includes(who))
        /* The audit log is the whole team's, for who may read it: it says where something was done, never what was said there. */
        assert.deepEqual(sockets[who].frames.filter((f) => f.type !== 'error' && f.type !== 'audit_recorded' && JSON.stringify(f.data).includes(place.id)), [], `${who} on ${place.id}`);
});
