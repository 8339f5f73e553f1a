// Moderation over real processes: invites, timeouts, bans and kicks, what ends by the clock, and the audit log of all of it, which
// nobody alters unnoticed and which has everything once, whatever dies in between.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { sleep, until } from './lib/wait.mjs';

const cluster = new Cluster({ copies: { gateway: 1, messaging: 2, moderation: 2 }, supervise: true });
let rest, owner, member, other, team, room;

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  [owner, member, other] = [await newPerson(rest, 'owner'), await newPerson(rest, 'member'), await newPerson(rest, 'other')];
  ({ team, room } = await newTeam([member, other]));
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

/** A team with an open channel and these people. */
async function newTeam(people = [], fields = {}) {
  const made = await owner.rest.ok('POST', '/v1/teams', { name: 'order', joining: 'open', ...fields });
  for (const person of people) await person.rest.ok('PUT', `/v1/teams/${made.id}/members/${person.id}`, {});
  return { team: made, room: await owner.rest.ok('POST', '/v1/channels', { name: 'room', team_id: made.id }) };
}
async function socket(person, topics, query = '') {
  const s = new Socket(cluster.ws() + query, { token: person.token });
  await s.opened;
  await s.frame('hello');
  s.send({ op: 'subscribe', topics, ref: 1 });
  assert.deepEqual((await s.frame('subscribed')).data.topics, topics);
  return s;
}
async function refused(call, status, { why, field, code } = {}) {
  const answer = await call;
  assert.equal(answer.status, status, answer.text);
  if (why !== undefined) assert.equal(answer.json.why, why, answer.text);
  if (field !== undefined) assert.equal(answer.json.field, field, answer.text);
  if (code !== undefined) assert.equal(answer.json.code, code, answer.text);
}
const post = (person, content = 'a word', channel = room) => person.rest.call('POST', `/v1/channels/${channel.id}/messages`, { content });
const soon = (ms) => new Date(Date.now() + ms).toISOString();
/** All entries of a team's log, newest first, page by page. */
async function audit(teamId, query = '', limit = 100) {
  const items = [];
  let url = `/v1/teams/${teamId}/audit?limit=${limit}${query}`;
  while (url) {
    const { status, json: page, text } = await owner.rest.sure('GET', url); // moderation may have been killed a moment ago
    assert.equal(status, 200, text);
    assert.ok(page.items.length <= limit);
    items.push(...page.items);
    url = page.next;
  }
  return items;
}
const verify = (teamId) => JSON.parse(cluster.ctl('audit', 'verify', '--team', teamId, '--json'));
/** What messaging did, as the log has it, oldest first, once it is all there. */
async function recorded(teamId, wanted, ms) {
  const end = Date.now() + ms;
  let log;
  do log = (await audit(teamId)).filter((entry) => entry.cause_seq !== 0).reverse();
  while (log.length < wanted.length && Date.now() < end);
  assert.deepEqual(log.map(said), wanted);
}
const said = (entry) => `${entry.action} ${entry.target.kind} ${entry.target.id}`;

describe('invites', () => {
  test('an invite is used as often as it says, and what is left is shown', async () => {
    const { team: closed } = await newTeam([], { joining: 'invite' });
    const guests = [];
    for (let i = 0; i < 3; i++) guests.push(await newPerson(rest, 'guest'));
    await refused(guests[0].rest.call('PUT', `/v1/teams/${closed.id}/members/${guests[0].id}`, {}), 403, { why: 'joining' });
    const invite = await owner.rest.ok('POST', `/v1/teams/${closed.id}/invites`, { max_uses: 2 });
    assert.match(invite.code, /^[0-9A-Za-z_-]{22}$/);
    assert.deepEqual([invite.uses, invite.max_uses, invite.expires_at], [0, 2, null]);
    assert.equal((await guests[0].rest.ok('GET', `/v1/invites/${invite.code}`)).team.name, 'order');
    assert.equal((await guests[0].rest.call('POST', `/v1/invites/${invite.code}/accept`, {})).status, 201);
    assert.equal((await guests[0].rest.call('POST', `/v1/invites/${invite.code}/accept`, {})).status, 200, 'a member uses nothing up');
    assert.equal((await owner.rest.ok('GET', `/v1/invites/${invite.code}`)).uses, 1);
    assert.equal((await guests[1].rest.call('POST', `/v1/invites/${invite.code}/accept`, {})).status, 201);
    await refused(guests[2].rest.call('POST', `/v1/invites/${invite.code}/accept`, {}), 404);
    await refused(guests[2].rest.call('GET', `/v1/invites/${invite.code}`), 404);
    assert.equal((await owner.rest.ok('GET', `/v1/teams/${closed.id}`)).member_count, 3);
  });

  test('of twenty who race for the last uses exactly so many come in', async () => {
    const { team: closed } = await newTeam([], { joining: 'invite' });
    const guests = await Promise.all(Array.from({ length: 20 }, () => newPerson(rest, 'racer')));
    const invite = await owner.rest.ok('POST', `/v1/teams/${closed.id}/invites`, { max_uses: 5 });
    const answers = await Promise.all(guests.map((guest) => guest.rest.call('POST', `/v1/invites/${invite.code}/accept`, {})));
    const statuses = answers.map((answer) => answer.status);
    assert.equal(statuses.filter((status) => status === 201).length, 5, String(statuses));
    assert.equal(statuses.filter((status) => status === 404).length, 15, String(statuses));
    for (const [i, guest] of guests.entries())
      assert.equal((await guest.rest.call('GET', `/v1/teams/${closed.id}`)).status, statuses[i] === 201 ? 200 : 404);
    assert.equal((await owner.rest.ok('GET', `/v1/teams/${closed.id}`)).member_count, 6);
  });

  test('a revoked invite and one whose time is over let nobody in, and the end of both is told', async () => {
    const { team: closed } = await newTeam([], { joining: 'invite' });
    const s = await socket(owner, [`team:${closed.id}`]);
    const guest = await newPerson(rest, 'late');
    const revoked = await owner.rest.ok('POST', `/v1/teams/${closed.id}/invites`, {});
    const short = await owner.rest.ok('POST', `/v1/teams/${closed.id}/invites`, { expires_at: soon(1500) });
    assert.equal((await s.frame('invite_created')).data.by, owner.id);
    await refused(guest.rest.call('DELETE', `/v1/invites/${revoked.code}`), 404);
    assert.equal((await owner.rest.call('DELETE', `/v1/invites/${revoked.code}`)).status, 204);
    await refused(guest.rest.call('POST', `/v1/invites/${revoked.code}/accept`, {}), 404);
    assert.equal((await s.frame((f) => f.type === 'invite_deleted' && f.data.code === revoked.code)).data.by, owner.id);
    const ended = await s.frame((f) => f.type === 'invite_deleted' && f.data.code === short.code, { ms: 30000 });
    assert.equal(ended.data.by, null, 'nobody did it');
    assert.ok(Date.now() >= Date.parse(short.expires_at));
    await refused(guest.rest.call('POST', `/v1/invites/${short.code}/accept`, {}), 404);
    assert.deepEqual((await owner.rest.ok('GET', `/v1/teams/${closed.id}/invites`)).items, []);
    await refused(owner.rest.call('POST', `/v1/teams/${closed.id}/invites`, { expires_at: soon(-1000) }), 422, { field: 'expires_at' });
    await refused(owner.rest.call('POST', `/v1/teams/${closed.id}/invites`, { max_uses: 0 }), 422, { field: 'max_uses' });
    s.end();
  });
});

describe('what keeps people from writing', () => {
  test('who has a timeout reads and writes nothing, until the clock or a moderator ends it', async () => {
    const s = await socket(member, [`user:${member.id}`]);
    const message = (await post(owner)).json;
    const place = `/v1/teams/${team.id}/members/${member.id}`;
    await refused(member.rest.call('PUT', `/v1/teams/${team.id}/members/${other.id}/timeout`, { seconds: 9 }), 403, { why: 'moderate_members' });
    const shown = await owner.rest.ok('PUT', `${place}/timeout`, { seconds: 3, reason: 'calm down' });
    const begun = await s.frame('user_timed_out');
    assert.deepEqual([begun.data.until, begun.data.reason], [shown.timeout_until, 'calm down']);
    await refused(post(member), 403, { code: 'timed_out' });
    await refused(member.rest.call('POST', `/v1/channels/${room.id}/messages/${message.id}/replies`, { content: 'but' }), 403, { code: 'timed_out' });
    await refused(member.rest.call('PUT', `/v1/channels/${room.id}/messages/${message.id}/reactions/%F0%9F%91%8D`), 403, { code: 'timed_out' });
    assert.equal((await member.rest.ok('GET', `/v1/channels/${room.id}/messages/${message.id}`)).id, message.id);
    const ended = await s.frame((f) => f.type === 'user_timed_out' && f.data.until === null, { ms: 30000 });
    assert.ok(Date.parse(ended.timestamp) >= Date.parse(shown.timeout_until), 'not before its time');
    assert.equal((await post(member)).status, 201);
    assert.equal((await member.rest.ok('GET', place)).timeout_until, null);

    await owner.rest.ok('PUT', `${place}/timeout`, { until: soon(3600000) });
    await refused(post(member), 403, { code: 'timed_out' });
    assert.equal((await owner.rest.call('DELETE', `${place}/timeout?reason=enough`)).status, 204);
    assert.equal((await post(member)).status, 201);
    await refused(owner.rest.call('PUT', `${place}/timeout`, {}), 422, { field: 'until' });
    await refused(owner.rest.call('PUT', `${place}/timeout`, { seconds: 2419201 }), 422, { field: 'seconds' });
    await refused(owner.rest.call('PUT', `/v1/teams/${team.id}/members/${owner.id}/timeout`, { seconds: 9 }), 403, { why: 'owner' });
    s.end();
  });

  test('a ban from a team has a motive and an end, and keeps out until then', async () => {
    const person = await newPerson(rest, 'rude');
    await person.rest.ok('PUT', `/v1/teams/${team.id}/members/${person.id}`, {});
    const s = await socket(person, [`user:${person.id}`, `team:${team.id}`]);
    const ban = await owner.rest.ok('PUT', `/v1/teams/${team.id}/bans/${person.id}`, { motive: 'rude', expires_at: soon(2500) });
    assert.deepEqual([ban.motive, ban.by.id, ban.user.id], ['rude', owner.id, person.id]);
    const told = await s.frame('team_user_banned');
    assert.deepEqual([told.data.motive, told.data.expires_at], ['rude', ban.expires_at]);
    for (const path of [`/v1/teams/${team.id}`, `/v1/channels/${room.id}`, `/v1/channels/${room.id}/messages`])
      await refused(person.rest.call('GET', path), 404);
    await refused(person.rest.call('PUT', `/v1/teams/${team.id}/members/${person.id}`, {}), 403, { why: 'ban' });
    const invite = await owner.rest.ok('POST', `/v1/teams/${team.id}/invites`, {});
    await refused(person.rest.call('POST', `/v1/invites/${invite.code}/accept`, {}), 403, { why: 'ban' });
    assert.equal((await owner.rest.ok('GET', `/v1/teams/${team.id}/bans/${person.id}`)).motive, 'rude');
    const lifted = await s.frame('team_user_unbanned', { ms: 30000 });
    assert.ok(Date.parse(lifted.timestamp) >= Date.parse(ban.expires_at), 'not before its time');
    await refused(owner.rest.call('GET', `/v1/teams/${team.id}/bans/${person.id}`), 404);
    assert.equal((await person.rest.call('POST', `/v1/invites/${invite.code}/accept`, {})).status, 201);
    const kept = s.frames.filter((f) => f.type === 'channel_message');
    assert.deepEqual(kept, []);
    s.end();
  });

  test('a ban from a channel has a motive and an end, and leaves the rest of the team open', async () => {
    const side = await owner.rest.ok('POST', '/v1/channels', { name: 'side', team_id: team.id });
    await other.rest.ok('PUT', `/v1/channels/${side.id}/members/${other.id}`, {});
    const s = await socket(other, [`user:${other.id}`]);
    const witness = await socket(member, [`channel:${side.id}`]);
    const ban = await owner.rest.ok('PUT', `/v1/channels/${side.id}/bans/${other.id}`, { motive: 'off topic', expires_at: soon(2500) });
    assert.deepEqual((await s.frame('user_banned')).data, { channel_id: side.id, motive: 'off topic' });
    assert.deepEqual((await witness.frame('user_banned')).data, { channel_id: side.id, user_id: other.id, motive: 'off topic' });
    assert.notEqual((await post(other, 'still', side)).status, 201);
    assert.notEqual((await other.rest.call('PUT', `/v1/channels/${side.id}/members/${other.id}`, {})).status, 201);
    assert.equal((await post(other)).status, 201);
    assert.equal((await owner.rest.ok('GET', `/v1/channels/${side.id}/bans`)).items[0].motive, 'off topic');
    const lifted = await s.frame('user_unbanned', { ms: 30000 });
    assert.ok(Date.parse(lifted.timestamp) >= Date.parse(ban.expires_at), 'not before its time');
    assert.equal((await post(other, 'back', side)).status, 201);
    for (const x of [s, witness]) x.end();
  });

  test('a kick is told and lets come back', async () => {
    const person = await newPerson(rest, 'loud');
    await person.rest.ok('PUT', `/v1/teams/${team.id}/members/${person.id}`, {});
    await person.rest.ok('PUT', `/v1/channels/${room.id}/members/${person.id}`, {});
    const s = await socket(person, [`user:${person.id}`]);
    const watching = await socket(member, [`team:${team.id}`]);
    await refused(member.rest.call('POST', `/v1/channels/${room.id}/members/${person.id}/kick`, {}), 403, { why: 'moderate_channel' });
    assert.equal((await owner.rest.call('POST', `/v1/channels/${room.id}/members/${person.id}/kick`, {})).status, 204);
    assert.deepEqual((await s.frame('user_kicked')).data, { channel_id: room.id });
    assert.equal((await person.rest.call('PUT', `/v1/channels/${room.id}/members/${person.id}`, {})).status, 201);
    assert.equal((await owner.rest.call('DELETE', `/v1/teams/${team.id}/members/${person.id}`)).status, 204);
    const left = await watching.frame((f) => f.type === 'team_member_left' && f.data.user_id === person.id);
    assert.equal(left.data.reason, 'kicked');
    await refused(person.rest.call('GET', `/v1/channels/${room.id}`), 404);
    assert.equal((await person.rest.call('PUT', `/v1/teams/${team.id}/members/${person.id}`, {})).status, 201);
    for (const x of [s, watching]) x.end();
  });
});

describe('the audit log', () => {
  test('has all of it once, in the order of its numbers, and is filtered and paged', async () => {
    const person = await newPerson(rest, 'seen');
    const { team: t, room: r } = await newTeam([member, person]);
    const s = await socket(owner, [`team:${t.id}`], '?detail=1');
    const role = await owner.rest.ok('POST', `/v1/teams/${t.id}/roles`, { name: 'watch', permissions: ['delete_any_message', 'pin_messages', 'view_audit_log'] });
    await owner.rest.ok('PUT', `/v1/teams/${t.id}/members/${member.id}/roles/${role.id}`, {});
    const invite = await owner.rest.ok('POST', `/v1/teams/${t.id}/invites`, {});
    await owner.rest.ok('DELETE', `/v1/invites/${invite.code}`);
    await owner.rest.ok('PUT', `/v1/teams/${t.id}/members/${person.id}/timeout`, { seconds: 600, reason: 'rest' });
    await owner.rest.ok('DELETE', `/v1/teams/${t.id}/members/${person.id}/timeout`);
    const message = (await post(person, 'delete me', r)).json;
    const own = (await post(person, 'my own', r)).json;
    await member.rest.ok('PUT', `/v1/channels/${r.id}/messages/${message.id}/pin`, {});
    await member.rest.ok('DELETE', `/v1/channels/${r.id}/messages/${message.id}/pin`);
    await member.rest.ok('DELETE', `/v1/channels/${r.id}/messages/${message.id}`);
    await person.rest.ok('DELETE', `/v1/channels/${r.id}/messages/${own.id}`);
    await owner.rest.ok('PATCH', `/v1/channels/${r.id}`, { topic: 'here', slow_mode_s: 5 });
    const copy = await owner.rest.ok('POST', `/v1/channels/${r.id}/duplicate`, { name: 'copy' });
    await owner.rest.ok('POST', `/v1/channels/${copy.id}/archive`, {});
    await owner.rest.ok('POST', `/v1/channels/${copy.id}/restore`, {});
    await owner.rest.ok('DELETE', `/v1/channels/${copy.id}`);
    await owner.rest.ok('POST', `/v1/channels/${copy.id}/restore`, {});
    const hook = await owner.rest.ok('POST', `/v1/channels/${r.id}/webhooks`, { name: 'builds' });
    await owner.rest.ok('PATCH', `/v1/webhooks/${hook.id}`, { name: 'nightly' });
    await owner.rest.ok('DELETE', `/v1/webhooks/${hook.id}/${hook.token}`);
    await owner.rest.ok('PUT', `/v1/channels/${r.id}/bans/${person.id}`, { motive: 'no' });
    await owner.rest.ok('DELETE', `/v1/channels/${r.id}/bans/${person.id}?motive=yes`);
    await owner.rest.ok('PUT', `/v1/teams/${t.id}/bans/${person.id}`, { motive: 'out' });
    await owner.rest.ok('DELETE', `/v1/teams/${t.id}/bans/${person.id}`);

    const fromMessaging = [
      `channel_created channel ${r.id}`, `message_pinned message ${message.id}`, `message_unpinned message ${message.id}`,
      `message_deleted message ${message.id}`, `channel_updated channel ${r.id}`, `channel_created channel ${copy.id}`,
      `channel_archived channel ${copy.id}`, `channel_restored channel ${copy.id}`, `channel_deleted channel ${copy.id}`,
      `channel_undeleted channel ${copy.id}`, `webhook_created webhook ${hook.id}`, `webhook_updated webhook ${hook.id}`,
      `webhook_deleted webhook ${hook.id}`,
    ];
    await recorded(t.id, fromMessaging, 20000);
    const log = await audit(t.id);
    assert.deepEqual(log.map((entry) => entry.no), log.map((_, i) => log.length - i), 'without gaps, newest first');
    const at = (action) => log.filter((entry) => entry.action === action);
    assert.deepEqual(at('message_deleted')[0].changes, { author_id: person.id, channel_id: r.id });
    assert.equal(at('message_deleted')[0].actor.id, member.id);
    assert.deepEqual(at('channel_updated')[0].changes, { slow_mode_s: 5, topic: 'here' });
    assert.deepEqual(at('channel_created').find((entry) => entry.target.id === copy.id).changes, { cloned_from: r.id, kind: 'text', name: 'copy', private: false });
    assert.deepEqual(at('webhook_created')[0].changes, { channel_id: r.id, kind: 'incoming', name: 'builds' });
    assert.deepEqual(at('webhook_updated')[0].changes, { channel_id: r.id, name: 'nightly' });
    assert.equal(at('webhook_deleted')[0].actor, null, 'its token did it');
    assert.ok(!JSON.stringify(log).includes(hook.token), 'nothing to post with');
    assert.ok(!JSON.stringify(log).includes('delete me'), 'no word of a message');
    assert.ok(!JSON.stringify(log).includes(invite.code), 'nothing to come in with');
    for (const action of ['role_created', 'member_role_added', 'invite_created', 'invite_deleted', 'member_timed_out', 'channel_user_banned', 'channel_user_unbanned', 'member_banned', 'member_unbanned'])
      assert.ok(at(action).length >= 1, `${action} in ${log.map((entry) => entry.action)}`);
    assert.deepEqual(at('member_banned')[0].why, 'out');
    assert.deepEqual(at('member_banned')[0].target, { kind: 'user', id: person.id });
    assert.deepEqual(verify(t.id), { team_id: t.id, checked: log.length, last_no: log.length, last_hash: log[0].hash, broken: null });
    for (let i = 0; i + 1 < log.length; i++) assert.equal(log[i].prev_hash, log[i + 1].hash);
    const told = s.frames.filter((f) => f.type === 'audit_recorded' && f.data.no > 1);
    const last = await s.frame((f) => f.type === 'audit_recorded' && f.data.no === log.length);
    assert.deepEqual(last.data.entry, log[0]);
    assert.ok(told.length > 0);

    for (const [query, holds] of [
      [`&actor=${member.id}`, (entry) => entry.actor_id === member.id],
      [`&actor=${owner.id}`, (entry) => entry.actor_id === owner.id],
      [`&target=${person.id}`, (entry) => entry.target.id === person.id],
      [`&target=${copy.id}`, (entry) => entry.target.id === copy.id],
      ['&action=channel_created', (entry) => entry.action === 'channel_created'],
      [`&actor=${member.id}&action=message_pinned`, (entry) => entry.actor_id === member.id && entry.action === 'message_pinned'],
      [`&actor=${person.id}`, () => false],
    ]) {
      const wanted = log.filter(holds).map((entry) => entry.id);
      assert.deepEqual((await audit(t.id, query)).map((entry) => entry.id), wanted, query);
      assert.deepEqual((await audit(t.id, query, 2)).map((entry) => entry.id), wanted, `${query} by twos`);
    }
    const first = log.at(-1);
    const up = await owner.rest.ok('GET', `/v1/teams/${t.id}/audit?after=${first.id}&limit=3`);
    assert.deepEqual(up.items.map((entry) => entry.no), [first.no + 1, first.no + 2, first.no + 3]);
    await refused(owner.rest.call('GET', `/v1/teams/${t.id}/audit?action=whatever`), 422, { field: 'action' });
    await refused(owner.rest.call('GET', `/v1/teams/${t.id}/audit?actor=me`), 422, { field: 'actor' });
    await refused(other.rest.call('GET', `/v1/teams/${t.id}/audit`), 404);
    assert.equal((await member.rest.ok('GET', `/v1/teams/${t.id}/audit?limit=1`)).items[0].id, log[0].id);
    await owner.rest.ok('DELETE', `/v1/teams/${t.id}/members/${member.id}/roles/${role.id}`);
    await refused(member.rest.call('GET', `/v1/teams/${t.id}/audit`), 403, { why: 'view_audit_log' });
    s.end();
  });

  test('the end of a ban and of a timeout by the clock are entries of the system', async () => {
    const person = await newPerson(rest, 'brief');
    const { team: t } = await newTeam([member, person]);
    await owner.rest.ok('PUT', `/v1/teams/${t.id}/members/${member.id}/timeout`, { seconds: 1 });
    await owner.rest.ok('PUT', `/v1/teams/${t.id}/bans/${person.id}`, { expires_at: soon(1200) });
    const ended = await until('both have ended', async () => {
      const entries = (await audit(t.id)).filter((entry) => entry.actor_id === null);
      return entries.length >= 2 && entries;
    }, 30000);
    assert.deepEqual(ended.map((entry) => entry.target.id).sort(), [member.id, person.id].sort());
    assert.equal(verify(t.id).broken, null);
  });

  test('a row that somebody altered, took out or cut off is found by verify', async () => {
    const { team: t, room: r } = await newTeam();
    await recorded(t.id, [`channel_created channel ${r.id}`], 20000);
    for (let i = 0; i < 5; i++) await owner.rest.ok('POST', `/v1/teams/${t.id}/roles`, { name: `r${i}`, permissions: [] });
    const length = verify(t.id).checked;
    assert.ok(length >= 5);
    const where = `team_id = (SELECT team_id FROM moderation.audit WHERE id = (SELECT max(id) FROM moderation.audit WHERE action = 'role_created')) AND no`;
    assert.throws(() => cluster.pg.psql(`UPDATE moderation.audit SET why = 'x' WHERE ${where} = 2`), /append only/);
    const tamper = (change) => cluster.pg.psql(`ALTER TABLE moderation.audit DISABLE TRIGGER ALL; ${change}; ALTER TABLE moderation.audit ENABLE ALWAYS TRIGGER audit_append_only, ENABLE ALWAYS TRIGGER audit_never_emptied`);
    const broken = () => {
      try {
        verify(t.id);
      } catch (error) {
        assert.equal(error.status, 1);
        return JSON.parse(error.stdout.toString()).broken;
      }
      return null;
    };
    tamper(`UPDATE moderation.audit SET why = 'I never did that' WHERE ${where} = 2`);
    assert.deepEqual(broken(), { no: 2, why: 'hash' });
    tamper(`UPDATE moderation.audit SET why = NULL WHERE ${where} = 2`);
    assert.equal(broken(), null);
    tamper(`CREATE TABLE public.kept AS SELECT * FROM moderation.audit WHERE ${where} IN (3, ${length}); DELETE FROM moderation.audit WHERE ${where} = 3`);
    assert.equal(broken().no, 3);
    tamper(`INSERT INTO moderation.audit SELECT * FROM public.kept WHERE no = 3`);
    assert.equal(broken(), null);
    tamper(`DELETE FROM moderation.audit WHERE ${where} = ${length}`);
    assert.deepEqual(broken(), { no: length, why: 'end' });
    tamper(`INSERT INTO moderation.audit SELECT * FROM public.kept WHERE no = ${length}; DROP TABLE public.kept`);
    assert.equal(broken(), null);
  });

  test('what messaging did is recorded once, also when moderation is killed again and again', { timeout: 180000 }, async () => {
    const { team: t, room: r } = await newTeam([member]);
    const expected = [`channel_created channel ${r.id}`];
    let running = true;
    const worker = (async () => {
      for (let i = 0; running || i < 30; i++) {
        const posted = await member.rest.sure('POST', `/v1/channels/${r.id}/messages`, { content: `n ${i}`, nonce: `n-${i}` });
        assert.equal(posted.status, 201, posted.text);
        const path = `/v1/channels/${r.id}/messages/${posted.json.id}`;
        assert.equal((await owner.rest.sure('PUT', `${path}/pin`, {})).status, 204);
        expected.push(`message_pinned message ${posted.json.id}`);
        const gone = await owner.rest.sure('DELETE', path);
        assert.ok(gone.status === 204 || gone.status === 404, gone.text); // 404: a repeat of one whose answer was lost
        expected.push(`message_deleted message ${posted.json.id}`);
        await sleep(10);
      }
    })();
    for (let k = 0; k < 6; k++) {
      await sleep(400);
      const copy = cluster.copies.moderation[k % 2];
      copy.kill9();
      await until(`${copy.name} is back`, () => copy.isReady(), 60000);
    }
    running = false;
    await worker;
    await recorded(t.id, expected, 60000);
    assert.equal(verify(t.id).broken, null);
  });
});
