// Roles, overrides and explained permissions end to end, and what a change of rights means for sockets: from its place in the
// log on nobody sees what he may not, and who is not concerned loses nothing.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, Watcher, newPerson } from './lib/client.mjs';
import { until } from './lib/wait.mjs';

const cluster = new Cluster({ copies: { gateway: 2, messaging: 2, moderation: 2 } });
let rest, owner, member, other, team;

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  [owner, member, other] = [await newPerson(rest, 'owner'), await newPerson(rest, 'member'), await newPerson(rest, 'other')];
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'ranks', joining: 'open' });
  for (const person of [member, other]) await person.rest.ok('PUT', `/v1/teams/${team.id}/members/${person.id}`, {});
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

async function socket(person, topics, { gateway = 0, query = '' } = {}) {
  const s = new Socket(cluster.ws(gateway) + query, { token: person.token });
  await s.opened;
  await s.frame('hello');
  s.send({ op: 'subscribe', topics, ref: 1 });
  const subscribed = await s.frame('subscribed');
  assert.deepEqual(subscribed.data.topics, topics);
  return s;
}
const keys = (object) => Object.keys(object).sort();
function exactly(event, type, wanted) {
  assert.equal(event.type, type);
  assert.deepEqual(keys(event), ['data', 'timestamp', 'type']);
  assert.deepEqual(keys(event.data), [...wanted].sort(), `${type} has exactly its keys`);
}
async function refused(call, status, { why, field } = {}) {
  const answer = await call;
  assert.equal(answer.status, status, answer.text);
  if (why !== undefined) assert.equal(answer.json.why, why);
  if (field !== undefined) assert.equal(answer.json.field, field);
}
/** The 64-bit id in a UUID of ours. */
function id64(uuid) {
  const h = uuid.replaceAll('-', '');
  const low = ((parseInt(h[16], 16) & 3) << 2) | (parseInt(h[17], 16) >> 2);
  return (BigInt(`0x${h.slice(0, 12)}`) << 16n) | (BigInt(`0x${h.slice(13, 16)}`) << 4n) | BigInt(low);
}
/** The team's stream as the log has it, without the lines of the system, which this dialect does not show. */
function logOfTeam() {
  const rows = cluster.pg.psql(`SELECT seq, kind, audience FROM log.events WHERE rank = 1 AND id = ${id64(team.id)}
    AND NOT (kind = 134 AND actor = 0) ORDER BY seq`);
  return rows.split('\n').filter(Boolean).map((line) => {
    const [seq, kind, audience] = line.split('|');
    return { seq: Number(seq), kind: Number(kind), audience };
  });
}
const [AUDIENCE_RECHECK, MESSAGE_POSTED] = [41, 134];
const role = (fields, as = owner) => as.rest.ok('POST', `/v1/teams/${team.id}/roles`, fields);
const give = (person, r, as = owner) => as.rest.ok('PUT', `/v1/teams/${team.id}/members/${person.id}/roles/${r.id}`, {});
const take = (person, r, as = owner) => as.rest.ok('DELETE', `/v1/teams/${team.id}/members/${person.id}/roles/${r.id}`);
const channel = (fields, as = owner) => as.rest.ok('POST', '/v1/channels', { team_id: team.id, ...fields });

describe('REST and events', () => {
  test('roles are made, read, changed, ordered and deleted, and the team is told', async () => {
    const s = await socket(member, [`team:${team.id}`]);
    const detailed = await socket(member, [`team:${team.id}`], { gateway: 1, query: '?detail=1' });
    const answer = await owner.rest.call('POST', `/v1/teams/${team.id}/roles`, {
      name: 'mates', permissions: ['kick_members', 'voice_mute'], color: 0x112233, mentionable: true,
    });
    assert.equal(answer.status, 201);
    const mates = answer.json;
    assert.equal(answer.headers.get('location'), `/v1/roles/${mates.id}`);
    assert.deepEqual(keys(mates), ['base', 'color', 'created_at', 'id', 'mentionable', 'name', 'permissions', 'position', 'self_assignable', 'separate', 'team_id']);
    assert.deepEqual([mates.position, mates.color, mates.base, mates.mentionable, mates.separate], [1, 0x112233, false, true, false]);
    assert.deepEqual(mates.permissions, ['kick_members', 'voice_mute']);
    const created = await s.frame('role_created');
    exactly(created, 'role_created', ['team_id', 'role_id', 'role_name', 'role_ids']);
    assert.deepEqual(created.data.role_ids, [mates.id, team.base_role_id]);
    assert.deepEqual((await detailed.frame('role_created')).data.role, mates);
    assert.deepEqual(await member.rest.ok('GET', `/v1/roles/${mates.id}`), mates);

    const guests = await role({ name: 'guests' });
    const list = await member.rest.ok('GET', `/v1/teams/${team.id}/roles`);
    assert.deepEqual(list.items.map((r) => r.name), ['mates', 'guests', 'everyone']);
    assert.equal(list.next, null);
    assert.equal(list.items[2].base, true);

    const changed = await owner.rest.ok('PATCH', `/v1/roles/${guests.id}`, { name: 'visitors', color: null, position: 2 });
    assert.equal(changed.position, 2);
    const updated = await s.frame('role_updated');
    exactly(updated, 'role_updated', ['team_id', 'role_id', 'name', 'role_ids']);
    assert.deepEqual(updated.data.role_ids, [guests.id, mates.id, team.base_role_id]);
    const order = await owner.rest.ok('PUT', `/v1/teams/${team.id}/roles/order`, { role_ids: [mates.id, guests.id] });
    assert.deepEqual(order.items.map((r) => r.id), [mates.id, guests.id, team.base_role_id]);
    exactly(await s.frame('roles_reordered'), 'roles_reordered', ['team_id', 'role_ids']);
    assert.deepEqual((await detailed.frame('roles_reordered')).data.roles, order.items);

    assert.equal((await owner.rest.call('DELETE', `/v1/roles/${guests.id}`)).status, 204);
    exactly(await s.frame('role_deleted'), 'role_deleted', ['team_id', 'role_id', 'role_ids']);
    assert.equal((await owner.rest.call('GET', `/v1/roles/${guests.id}`)).status, 404);
    assert.equal((await owner.rest.call('DELETE', `/v1/roles/${mates.id}`)).status, 204);
    for (const x of [s, detailed]) x.end();
  });

  test('what is wrong with a role is named, and who may not is told why', async () => {
    const path = `/v1/teams/${team.id}/roles`;
    await refused(owner.rest.call('POST', path, {}), 422, { field: 'name' });
    await refused(owner.rest.call('POST', path, { name: 'x'.repeat(33) }), 422, { field: 'name' });
    await refused(owner.rest.call('POST', path, { name: 'x', permissions: ['fly'] }), 422, { field: 'permissions' });
    await refused(owner.rest.call('POST', path, { name: 'x', permissions: 'kick_members' }), 422, { field: 'permissions' });
    await refused(owner.rest.call('POST', path, { name: 'x', permissions: [7] }), 422, { field: 'permissions' });
    await refused(owner.rest.call('POST', path, { name: 'x', color: 0x1000000 }), 422, { field: 'color' });
    await refused(owner.rest.call('POST', path, { name: 'x', position: 0 }), 422, { field: 'position' });
    await refused(owner.rest.call('POST', path, { name: 'x', priority: 1 }), 422, { field: 'priority' });
    await refused(owner.rest.call('PUT', `${path}/order`, {}), 422, { field: 'role_ids' });
    await refused(owner.rest.call('PUT', `${path}/order`, { role_ids: [team.base_role_id, team.base_role_id] }), 422, { field: 'role_ids' });
    await refused(owner.rest.call('DELETE', `/v1/roles/${team.base_role_id}`), 403, { why: 'base_role' });
    await refused(owner.rest.call('DELETE', '/v1/roles/not-an-id'), 404);
    await refused(member.rest.call('POST', path, { name: 'x' }), 403, { why: 'manage_roles' });
    await refused(member.rest.call('PATCH', `/v1/roles/${team.base_role_id}`, { name: 'x' }), 403, { why: 'manage_roles' });
    const stranger = await newPerson(rest, 'stranger');
    await refused(stranger.rest.call('GET', path), 404);
    await refused(stranger.rest.call('PATCH', `/v1/roles/${team.base_role_id}`, { name: 'x' }), 404);
    const low = await role({ name: 'low' });
    const deputy = await role({ name: 'deputy', permissions: ['manage_roles'], position: 2 });
    await give(member, deputy);
    await refused(member.rest.call('PATCH', `/v1/roles/${low.id}`, { permissions: ['ban_members'] }), 403, { why: 'ban_members' });
    await refused(member.rest.call('PATCH', `/v1/roles/${deputy.id}`, { name: 'boss' }), 403, { why: 'rank' });
    await refused(member.rest.call('PUT', `/v1/teams/${team.id}/members/${other.id}/roles/${deputy.id}`, {}), 403, { why: 'rank' });
    await give(other, low, member);
    for (const r of [low, deputy]) await owner.rest.ok('DELETE', `/v1/roles/${r.id}`);
  });

  test('a role is given and taken, on the team topic and on the own one', async () => {
    const crew = await role({ name: 'crew', permissions: ['pin_messages'], self_assignable: true });
    const watching = await socket(other, [`team:${team.id}`], { gateway: 1 });
    const own = await socket(member, [`user:${member.id}`]);
    const shown = await give(member, crew);
    assert.deepEqual(shown.roles, [crew.id]);
    assert.ok(shown.permissions.includes('pin_messages'));
    for (const s of [watching, own]) {
      const event = await s.frame('team_member_roles_updated');
      exactly(event, 'team_member_roles_updated', ['team_id', 'user_id', 'username', 'roles', 'added', 'removed']);
      assert.deepEqual(event.data, { team_id: team.id, user_id: member.id, username: member.username, roles: [crew.id], added: [crew.id], removed: [] });
    }
    assert.deepEqual((await other.rest.ok('GET', `/v1/teams/${team.id}/members/${member.id}`)).roles, [crew.id]);
    await take(member, crew, member);
    await watching.frame((f) => f.type === 'team_member_roles_updated' && f.data.removed.includes(crew.id));
    await give(member, crew, member);
    await refused(member.rest.call('PUT', `/v1/teams/${team.id}/members/${other.id}/roles/${crew.id}`, {}), 403, { why: 'manage_roles' });
    await owner.rest.ok('DELETE', `/v1/roles/${crew.id}`);
    assert.deepEqual((await other.rest.ok('GET', `/v1/teams/${team.id}/members/${member.id}`)).roles, []);
    for (const x of [watching, own]) x.end();
  });

  test('overrides of a channel are set, read and removed, and permissions explained by them', async () => {
    const room = await channel({ name: 'quiet' });
    const path = `/v1/channels/${room.id}`;
    const s = await socket(member, [`channel:${room.id}`]);
    const set = await owner.rest.ok('PUT', `${path}/overrides/${team.base_role_id}`, { deny: ['send_messages'], allow: ['mention_everyone'] });
    assert.deepEqual(set, {
      scope: 'channel', channel_id: room.id, category_id: null, role_id: team.base_role_id, user_id: null,
      allow: ['mention_everyone'], deny: ['send_messages'],
    });
    const event = await s.frame('channel_permissions_updated');
    exactly(event, 'channel_permissions_updated', ['team_id', 'scope', 'channel_id', 'category_id', 'role_id', 'user_id', 'allow', 'deny']);
    assert.deepEqual(event.data, { team_id: team.id, ...set });
    await refused(member.rest.call('POST', `${path}/messages`, { content: 'hush' }), 403, { why: 'send_messages' });
    await owner.rest.ok('PUT', `${path}/overrides/${member.id}`, { allow: ['send_messages'] });
    await member.rest.ok('POST', `${path}/messages`, { content: 'now I may' });
    assert.equal((await member.rest.ok('GET', `${path}/overrides`)).items.length, 2);
    assert.deepEqual((await member.rest.ok('GET', `${path}/overrides/${member.id}`)).allow, ['send_messages']);

    const mine = await member.rest.ok('GET', `${path}/permissions?explain=1`);
    assert.deepEqual(keys(mine), ['channel_id', 'permissions', 'rules', 'user_id', 'why']);
    assert.equal(mine.user_id, member.id);
    assert.ok(mine.permissions.includes('send_messages'));
    assert.deepEqual(mine.rules.send_messages, { allowed: true, rule: 'override:user', subject: member.id });
    assert.deepEqual(mine.rules.mention_everyone, { allowed: true, rule: 'override:role', subject: team.base_role_id });
    assert.deepEqual(mine.rules.ban_members, { allowed: false, rule: 'role', subject: null });
    const theirs = await owner.rest.ok('GET', `${path}/permissions?user=${other.id}`);
    assert.equal(theirs.rules, undefined);
    assert.equal(theirs.permissions.includes('send_messages'), false);
    await refused(member.rest.call('GET', `${path}/permissions?user=${other.id}`), 403, { why: 'manage_roles' });
    await refused(member.rest.call('GET', `${path}/permissions?explain=yes`), 422, { field: 'explain' });

    await refused(owner.rest.call('PUT', `${path}/overrides/${team.base_role_id}`, { deny: ['kick_members'] }), 422, { field: 'deny' });
    await refused(owner.rest.call('PUT', `${path}/overrides/${team.base_role_id}`, { deny: ['x'] }), 422, { field: 'deny' });
    await refused(owner.rest.call('PUT', `${path}/overrides/${team.base_role_id}`, { deny: ['add_reactions'], allow: ['add_reactions'] }), 422, { field: 'deny' });
    await refused(member.rest.call('PUT', `${path}/overrides/${member.id}`, { allow: ['pin_messages'] }), 403, { why: 'manage_overrides' });
    assert.equal((await owner.rest.call('DELETE', `${path}/overrides/${member.id}`)).status, 204);
    assert.equal((await owner.rest.call('DELETE', `${path}/overrides/${member.id}`)).status, 204);
    assert.equal((await owner.rest.call('GET', `${path}/overrides/${member.id}`)).status, 404);
    await owner.rest.ok('PUT', `${path}/overrides/${team.base_role_id}`, {});
    assert.deepEqual((await owner.rest.ok('GET', `${path}/overrides`)).items, []);
    s.end();
  });

  test('a banned person is explained to moderators and to nobody else', async () => {
    const room = await channel({ name: 'explained' });
    const guest = await newPerson(rest, 'guest');
    await guest.rest.ok('PUT', `/v1/teams/${team.id}/members/${guest.id}`, {});
    await owner.rest.ok('PUT', `/v1/teams/${team.id}/bans/${guest.id}`, { motive: 'noise' });
    await refused(guest.rest.call('GET', `/v1/channels/${room.id}/permissions`), 404);
    const seen = await owner.rest.ok('GET', `/v1/channels/${room.id}/permissions?user=${guest.id}&explain=1`);
    assert.deepEqual([seen.permissions, seen.why], [[], 'ban']);
    assert.deepEqual(seen.rules.view_text, { allowed: false, rule: 'ban', subject: null });
  });

  test('a new channel of a kind that the team hides is told to those who see it', async () => {
    const [everyone, crew] = [await owner.rest.ok('GET', `/v1/roles/${team.base_role_id}`), await role({ name: 'forum crew', permissions: ['view_forum'] })];
    await give(member, crew);
    await owner.rest.ok('PATCH', `/v1/roles/${team.base_role_id}`, { permissions: everyone.permissions.filter((p) => p !== 'view_forum') });
    const [sees, blind] = [await socket(member, ['global']), await socket(other, ['global'], { gateway: 1 })];
    const hidden = await channel({ name: 'hidden forum', kind: 'forum' });
    const marker = await channel({ name: 'marker' });
    await sees.frame((f) => f.type === 'channel_created' && f.data.channel_id === hidden.id);
    await blind.frame((f) => f.type === 'channel_created' && f.data.channel_id === marker.id);
    assert.equal(blind.frames.some((f) => f.data?.channel_id === hidden.id), false);
    assert.equal((await other.rest.call('GET', `/v1/channels/${hidden.id}`)).status, 404);
    await owner.rest.ok('PATCH', `/v1/roles/${team.base_role_id}`, { permissions: everyone.permissions });
    await owner.rest.ok('DELETE', `/v1/roles/${crew.id}`);
    for (const x of [sees, blind]) x.end();
  });
});

/** Posts one after the other until it is told to stop; answers how many. */
function posting(path, as = owner) {
  let running = true;
  const done = (async () => {
    let count = 0;
    for (; running; count++) await as.rest.ok('POST', path, { content: `post ${count}` });
    return count;
  })();
  return async () => {
    running = false;
    return done;
  };
}
/** Waits until the socket's position has reached this seq. */
const caughtUp = (watcher, stream, seq) =>
  until(`${watcher.name} has come to ${seq}`, () => watcher.live && (watcher.positions[stream] ?? 0) >= seq, 90000, 100);
const inGap = (watcher, seq) => watcher.notRecovered.some((g) => (g.since ?? 0) < seq && seq <= g.at);

describe('changes of rights under posts', () => {
  test('who lost a role sees nothing that was committed after it, who got it everything', async () => {
    const secret = await channel({ name: 'cabin', private: true });
    const open = await channel({ name: 'deck' });
    const crew = await role({ name: 'cabin crew' });
    await owner.rest.ok('PUT', `/v1/channels/${secret.id}/overrides/${crew.id}`, { allow: ['view_text'] });
    const topics = [`team:${team.id}`];
    const concerned = [0, 1].map((g) => new Watcher([cluster.ws(g)], member.token, topics, { name: `member ${g}` }));
    const others = [0, 1].map((g) => new Watcher([cluster.ws(g), cluster.ws(1 - g)], other.token, topics, { name: `other ${g}` }));
    await Promise.all([...concerned, ...others].map((w) => w.ready));
    const [stream] = Object.keys(concerned[0].positions);
    const from = logOfTeam().at(-1).seq;

    const stops = [posting(`/v1/channels/${secret.id}/messages`), posting(`/v1/channels/${open.id}/messages`)];
    for (let i = 0; i < 6; i++) {
      await give(member, crew);
      const given = await owner.rest.ok('POST', `/v1/channels/${secret.id}/messages`, { content: `given ${i}` });
      await member.rest.ok('GET', `/v1/channels/${secret.id}/messages/${given.id}`);
      if (i % 2 === 0) others[i % 4 / 2].drop();
      await take(member, crew);
      await refused(member.rest.call('GET', `/v1/channels/${secret.id}/messages`), 404);
      await owner.rest.ok('POST', `/v1/channels/${secret.id}/messages`, { content: `taken ${i}` });
    }
    for (const stop of stops) assert.ok(await stop() > 0);
    const log = logOfTeam().filter((e) => e.seq > from);
    const last = log.at(-1).seq;
    await owner.rest.ok('POST', `/v1/channels/${open.id}/messages`, { content: 'the last' });
    for (const w of [...concerned, ...others]) await caughtUp(w, stream, last + 1);

    let held = false;
    const may = new Map(); // seq of a message in the secret channel -> member held the key
    for (const e of log) {
      if (e.kind === AUDIENCE_RECHECK) held = !held;
      else if (e.kind === MESSAGE_POSTED && e.audience === `channel:${id64(secret.id)}`) may.set(e.seq, held);
    }
    assert.equal(log.filter((e) => e.kind === AUDIENCE_RECHECK).length, 12);
    assert.ok([...may.values()].includes(true) && [...may.values()].includes(false));
    for (const w of concerned) {
      const got = new Set(w.events.filter((e) => e.type === 'channel_message' && e.data.channel_id === secret.id).map((e) => e.seq));
      for (const [seq, allowed] of may) {
        if (!allowed) assert.equal(got.has(seq), false, `${w.name} saw ${seq} after the role was taken`);
        else assert.ok(got.has(seq) || inGap(w, seq), `${w.name} missed ${seq} without being told`);
      }
      assert.deepEqual(w.errors, []);
    }
    const open64 = `team:${id64(team.id)}`;
    const deck = log.filter((e) => e.kind === MESSAGE_POSTED && e.audience === open64).map((e) => e.seq);
    for (const w of others) {
      const got = w.events.filter((e) => e.type === 'channel_message' && e.data.channel_id === open.id && e.seq > from && e.seq <= last).map((e) => e.seq);
      assert.deepEqual(got, deck, `${w.name} was not concerned and has everything, once`);
      assert.deepEqual(w.notRecovered, []);
      assert.equal(w.events.some((e) => e.data.channel_id === secret.id), false);
    }
    for (const w of [...concerned, ...others]) w.stop();
    await owner.rest.ok('DELETE', `/v1/roles/${crew.id}`);
  }, { timeout: 300000 });

  test('a right given shows from its place on, a right taken ends there, on a socket that stays', async () => {
    const [secret, open] = [await channel({ name: 'galley', private: true }), await channel({ name: 'mess' })];
    const cooks = await role({ name: 'cooks' });
    const s = await socket(member, [`team:${team.id}`], { gateway: 1 });
    const post = async (room, content) => (await owner.rest.ok('POST', `/v1/channels/${room.id}/messages`, { content })).id;
    const sees = (id) => s.frame((f) => f.type === 'channel_message' && f.data.message_id === id);
    const ways = [
      ['a role with an override', () => give(member, cooks), () => take(member, cooks)],
      ['an override of his own', () => owner.rest.ok('PUT', `/v1/channels/${secret.id}/overrides/${member.id}`, { allow: ['view_text'] }),
        () => owner.rest.ok('DELETE', `/v1/channels/${secret.id}/overrides/${member.id}`)],
      ['an override of everybody', () => owner.rest.ok('PUT', `/v1/channels/${secret.id}/overrides/${team.base_role_id}`, { allow: ['view_text'] }),
        () => owner.rest.ok('DELETE', `/v1/channels/${secret.id}/overrides/${team.base_role_id}`)],
    ];
    await owner.rest.ok('PUT', `/v1/channels/${secret.id}/overrides/${cooks.id}`, { allow: ['view_text'] });
    for (const [what, opens, closes] of ways) {
      const early = await post(secret, 'too early');
      await sees(await post(open, 'nothing so far'));
      await opens();
      await sees(await post(secret, what));
      await closes();
      const late = await post(secret, 'too late');
      await sees(await post(open, 'nothing any more'));
      for (const id of [early, late]) assert.equal(s.frames.some((f) => f.data?.message_id === id), false, what);
    }
    assert.equal(s.close, undefined);
    s.end();
  });

  test('a channel that is hidden and shown by an override under posts is seen in between by nobody', async () => {
    const room = await channel({ name: 'now and then' });
    const watchers = [member, other].flatMap((person) => [0, 1].map((g) =>
      new Watcher([cluster.ws(g)], person.token, [`team:${team.id}`], { name: `${person.username} ${g}` })));
    await Promise.all(watchers.map((w) => w.ready));
    const [stream] = Object.keys(watchers[0].positions);
    const from = logOfTeam().at(-1).seq;
    const stop = posting(`/v1/channels/${room.id}/messages`);
    for (let i = 0; i < 5; i++) {
      const shown = await owner.rest.ok('POST', `/v1/channels/${room.id}/messages`, { content: `shown ${i}` });
      await other.rest.ok('GET', `/v1/channels/${room.id}/messages/${shown.id}`);
      await owner.rest.ok('PUT', `/v1/channels/${room.id}/overrides/${team.base_role_id}`, { deny: ['view_text'] });
      await owner.rest.ok('POST', `/v1/channels/${room.id}/messages`, { content: `hidden ${i}` });
      await refused(other.rest.call('GET', `/v1/channels/${room.id}/messages`), 404);
      await owner.rest.ok('DELETE', `/v1/channels/${room.id}/overrides/${team.base_role_id}`);
    }
    assert.ok(await stop() > 0);
    const log = logOfTeam().filter((e) => e.seq > from);
    await owner.rest.ok('POST', `/v1/channels/${room.id}/messages`, { content: 'the last' });
    for (const w of watchers) await caughtUp(w, stream, log.at(-1).seq + 1);

    let hidden = false;
    let both = new Set();
    for (const e of log) {
      if (e.kind === AUDIENCE_RECHECK) hidden = !hidden;
      if (e.kind !== MESSAGE_POSTED) continue;
      both.add(hidden);
      assert.equal(e.audience, hidden ? `channel:${id64(room.id)}` : `team:${id64(team.id)}`, `the key of ${e.seq}`);
      for (const w of watchers) {
        const got = w.events.some((m) => m.seq === e.seq);
        if (hidden) assert.equal(got, false, `${w.name} saw ${e.seq} in the hidden channel`);
        else assert.ok(got || inGap(w, e.seq), `${w.name} missed ${e.seq} without being told`);
      }
    }
    assert.equal(both.size, 2);
    for (const w of watchers) w.stop();
  }, { timeout: 300000 });

  test('a resume across a change is refused to those whom it concerns and granted to the others', async () => {
    const secret = await channel({ name: 'hold', private: true });
    const open = await channel({ name: 'bridge' });
    const crew = await role({ name: 'hold crew' });
    const path = `/v1/channels/${open.id}/messages`;
    async function position(person, gateway) {
      const s = await socket(person, [`team:${team.id}`], { gateway, query: '?resume=1' });
      const { generation, streams } = (await s.frame('subscribed')).data;
      const event = await (async () => {
        const posted = await owner.rest.ok('POST', path, { content: 'a position' });
        return s.frame((f) => f.type === 'channel_message' && f.data.message_id === posted.id);
      })();
      s.end();
      return { generation, streams: { ...Object.fromEntries(Object.keys(streams).map((k) => [k, streams[k].seq])), [event.stream]: event.seq }, stream: event.stream };
    }
    async function resumed(person, gateway, { generation, streams, stream }, missed) {
      const s = new Socket(cluster.ws(gateway), { token: person.token });
      await s.frame('hello');
      s.send({ op: 'subscribe', topics: [`team:${team.id}`], since: { generation, streams }, ref: 2 });
      const { recovered } = (await s.frame('subscribed')).data.streams[stream];
      if (recovered) await s.frame((f) => f.type === 'channel_message' && f.data.message_id === missed.id);
      s.end();
      return recovered;
    }
    async function across(change) {
      const [hers, theirs] = [await position(member, 0), await position(other, 1)];
      await change();
      const missed = await owner.rest.ok('POST', path, { content: 'missed' });
      return [await resumed(member, 1, hers, missed), await resumed(other, 0, theirs, missed)];
    }
    assert.deepEqual(await across(() => give(member, crew)), [false, true], 'a role given');
    const roles = `/v1/roles/${crew.id}`;
    assert.deepEqual(await across(() => owner.rest.ok('PATCH', roles, { permissions: ['view_audit_log'] })), [false, true], 'keys of her role');
    assert.deepEqual(await across(() => owner.rest.ok('PATCH', roles, { permissions: ['view_audit_log', 'pin_messages'] })), [true, true], 'rights without keys');
    const overrides = `/v1/channels/${secret.id}/overrides`;
    assert.deepEqual(await across(() => owner.rest.ok('PUT', `${overrides}/${crew.id}`, { allow: ['view_text'] })), [false, true], 'an override of her role');
    assert.deepEqual(await across(() => owner.rest.ok('PUT', `${overrides}/${member.id}`, { deny: ['view_text'] })), [false, true], 'an override of her own');
    assert.deepEqual(await across(() => owner.rest.ok('DELETE', `${overrides}/${member.id}`)), [false, true], 'its end');
    assert.deepEqual(await across(() => owner.rest.ok('PUT', `/v1/channels/${open.id}/overrides/${crew.id}`, { deny: ['add_reactions'] })), [true, true], 'an override without keys');
    assert.deepEqual(await across(() => take(member, crew)), [false, true], 'a role taken');
    assert.deepEqual(await across(() => role({ name: 'nobody has it' })), [true, true], 'a role that nobody has');
    const everyone = await owner.rest.ok('GET', `/v1/roles/${team.base_role_id}`);
    assert.deepEqual(await across(() => owner.rest.ok('PATCH', `/v1/roles/${team.base_role_id}`, { permissions: everyone.permissions.filter((p) => p !== 'view_media') })), [false, false], 'a view of everybody');
    await owner.rest.ok('PATCH', `/v1/roles/${team.base_role_id}`, { permissions: everyone.permissions });
  }, { timeout: 300000 });

  test('two roles changed at once and a role deleted while it is given leave the team as the log says', async () => {
    const crew = await role({ name: 'crowd' });
    const people = await Promise.all(Array.from({ length: 6 }, (_, i) => newPerson(rest, `crowd${i}`)));
    await Promise.all(people.map((p) => p.rest.ok('PUT', `/v1/teams/${team.id}/members/${p.id}`, {})));
    const answers = await Promise.all([
      ...people.map((p) => owner.rest.call('PUT', `/v1/teams/${team.id}/members/${p.id}/roles/${crew.id}`, {})),
      owner.rest.call('DELETE', `/v1/roles/${crew.id}`),
      owner.rest.call('PATCH', `/v1/roles/${crew.id}`, { permissions: ['ban_members'] }),
    ]);
    for (const answer of answers) assert.ok([200, 204, 404, 503].includes(answer.status), answer.text);
    await until('the role is gone', async () => [204, 404].includes((await owner.rest.call('DELETE', `/v1/roles/${crew.id}`)).status));
    const members = await owner.rest.ok('GET', `/v1/teams/${team.id}/members?limit=100`);
    assert.equal(members.items.some((m) => m.roles.includes(crew.id)), false);
    assert.equal(cluster.pg.psql(`SELECT count(*) FROM moderation.member_roles mr WHERE NOT EXISTS (SELECT FROM moderation.roles r WHERE r.id = mr.role_id)`), '0');
  }, { timeout: 120000 });

  test('nothing died meanwhile', () => {
    assert.deepEqual(cluster.unexpected, []);
  });
});
