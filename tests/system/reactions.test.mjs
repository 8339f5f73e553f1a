// Reactions, pins, bookmarks and earlier versions end to end: what REST answers, and who hears of it on which topic.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';

const cluster = new Cluster({ copies: { gateway: 2, messaging: 2 } });
let rest, owner, member, other, team, channel, path;
const boat = '⛵', family = '👩‍👩‍👧‍👦', heart = '❤️';

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  [owner, member, other] = [await newPerson(rest, 'owner'), await newPerson(rest, 'member'), await newPerson(rest, 'other')];
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'marks', joining: 'open' });
  for (const person of [member, other]) await person.rest.ok('PUT', `/v1/teams/${team.id}/members/${person.id}`, {});
  channel = await owner.rest.ok('POST', '/v1/channels', { name: 'general', team_id: team.id });
  path = `/v1/channels/${channel.id}/messages`;
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

async function socket(person, topics, { gateway = 0, query = '' } = {}) {
  const s = new Socket(cluster.ws(gateway) + query, { token: person.token });
  await s.opened;
  await s.frame('hello');
  s.send({ op: 'subscribe', topics, ref: 1 });
  assert.deepEqual((await s.frame('subscribed')).data.topics, topics);
  return s;
}
const post = (person, content, to = path) => person.rest.ok('POST', to, { content });
const to = (message, emoji, in_ = path) => `${in_}/${message.id}/reactions/${encodeURIComponent(emoji)}`;
async function refused(promise, status, code) {
  const answer = await promise;
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.json.code, code);
  return answer.json;
}

describe('reactions', () => {
  test('are told on the channel with their count, shown with every message, and listed by person', async () => {
    const message = await post(member, 'react to me');
    const s = await socket(other, [`channel:${channel.id}`], { gateway: 1 });
    assert.deepEqual(await owner.rest.ok('PUT', to(message, boat)), { emoji: boat, count: 1, me: true });
    const added = await s.frame('reaction_added');
    assert.deepEqual(Object.keys(added).sort(), ['data', 'timestamp', 'type']);
    assert.deepEqual(added.data, { channel_id: channel.id, message_id: message.id, user_id: owner.id, username: owner.username, emoji: boat, count: 1 });
    assert.deepEqual(await member.rest.ok('PUT', to(message, boat)), { emoji: boat, count: 2, me: true });
    for (const emoji of [family, heart, 'thumbsup', 'a/b']) await member.rest.ok('PUT', to(message, emoji));
    const expected = [[boat, 2, true], [family, 1, false], [heart, 1, false], ['thumbsup', 1, false], ['a/b', 1, false]]
      .map(([emoji, count, me]) => ({ emoji, count, me }));
    assert.deepEqual((await owner.rest.ok('GET', `${path}/${message.id}`)).reactions, expected);
    const listed = (await other.rest.ok('GET', path)).items.find((m) => m.id === message.id);
    assert.deepEqual(listed.reactions, expected.map((r) => ({ ...r, me: false })));
    const who = await other.rest.ok('GET', `${to(message, boat)}?limit=1`);
    assert.equal(who.items.length, 1);
    const others = await other.rest.ok('GET', who.next);
    assert.equal(others.next, null);
    assert.deepEqual([...who.items, ...others.items].map((r) => r.user.id).sort(), [owner.id, member.id].sort());
    assert.ok(who.items[0].created_at);
    s.end();
  });

  test('are harmless to repeat, and taken back by oneself or by who may delete any message', async () => {
    const message = await post(member, 'once');
    const s = await socket(other, [`channel:${channel.id}`]);
    for (let i = 0; i < 3; i++) await member.rest.ok('PUT', to(message, boat));
    await other.rest.ok('PUT', to(message, boat));
    await refused(other.rest.call('DELETE', `${to(message, boat)}?user=${member.id}`), 403, 'forbidden');
    assert.equal((await owner.rest.call('DELETE', `${to(message, boat)}?user=${member.id}`)).status, 204);
    assert.equal((await other.rest.call('DELETE', to(message, boat))).status, 204);
    assert.equal((await other.rest.call('DELETE', to(message, boat))).status, 204);
    await post(member, 'end of it');
    await s.frame((f) => f.type === 'channel_message' && f.data.content === 'end of it');
    assert.deepEqual(s.frames.filter((f) => f.data?.message_id === message.id).map((f) => [f.type, f.data.user_id, f.data.count]), [
      ['reaction_added', member.id, 1], ['reaction_added', other.id, 2], ['reaction_removed', member.id, 1], ['reaction_removed', other.id, 0]]);
    assert.deepEqual((await owner.rest.ok('GET', `${path}/${message.id}`)).reactions, []);
    s.end();
  });

  test('have bounds: what is an emoji, and twenty kinds', async () => {
    const message = await post(member, 'bounds');
    for (const bad of ['%20', 'a%20b', '%0A', 'x'.repeat(33), '%E2%80%8B']) {
      assert.equal((await refused(member.rest.call('PUT', `${path}/${message.id}/reactions/${bad}`), 422, 'field_invalid')).field, 'emoji');
    }
    for (const bad of ['%FF', '%ZZ', '%00']) await refused(member.rest.call('PUT', `${path}/${message.id}/reactions/${bad}`), 404, 'not_found');
    await refused(member.rest.call('PUT', to(message, boat), { unknown: 1 }), 422, 'field_invalid');
    await refused(member.rest.call('DELETE', `${to(message, boat)}?user=nobody`), 422, 'field_invalid');
    for (let i = 0; i < 20; i++) await member.rest.ok('PUT', to(message, `kind${i}`));
    await refused(owner.rest.call('PUT', to(message, 'kind20')), 409, 'at_limit');
    assert.equal((await owner.rest.ok('PUT', to(message, 'kind19'))).count, 2);
    const gone = await post(member, 'gone');
    await member.rest.call('DELETE', `${path}/${gone.id}`);
    await refused(member.rest.call('PUT', to(gone, boat)), 404, 'not_found');
  });

  test('in a channel that somebody may not read are not heard of and answer 404', async () => {
    const secret = await owner.rest.ok('POST', '/v1/channels', { name: 'secret', team_id: team.id, private: true, members: [member.id] });
    const inside = `/v1/channels/${secret.id}/messages`;
    const message = await post(member, 'secret', inside);
    const outside = await socket(other, [`team:${team.id}`]);
    const within = await socket(owner, [`team:${team.id}`]);
    await member.rest.ok('PUT', to(message, boat, inside));
    await owner.rest.call('PUT', `${inside}/${message.id}/pin`);
    for (const [method, url] of [['PUT', to(message, boat, inside)], ['DELETE', to(message, boat, inside)], ['GET', to(message, boat, inside)],
      ['PUT', `${inside}/${message.id}/pin`], ['PUT', `${inside}/${message.id}/bookmark`], ['GET', `/v1/channels/${secret.id}/pins`]]) {
      await refused(other.rest.call(method, url), 404, 'not_found');
    }
    await post(member, 'marker');
    for (const s of [outside, within]) await s.frame((f) => f.type === 'channel_message' && f.data.content === 'marker');
    assert.deepEqual(within.frames.filter((f) => f.data?.message_id === message.id).map((f) => f.type), ['reaction_added', 'message_pinned']);
    assert.equal(outside.frames.some((f) => f.data?.channel_id === secret.id), false);
    for (const s of [outside, within]) s.end();
  });
});

describe('pins', () => {
  test('are told with who did it, listed newest first, and taken by those only who may', async () => {
    const [a, b] = [await post(member, 'pin a'), await post(member, 'pin b')];
    const s = await socket(other, [`channel:${channel.id}`]);
    const detailed = await socket(other, [`channel:${channel.id}`], { gateway: 1, query: '?detail=1' });
    await member.rest.ok('PUT', to(a, boat));
    await refused(member.rest.call('PUT', `${path}/${a.id}/pin`), 403, 'forbidden');
    for (const m of [a, b, b]) assert.equal((await owner.rest.call('PUT', `${path}/${m.id}/pin`)).status, 204);
    assert.deepEqual((await s.frame('message_pinned')).data, { channel_id: channel.id, message_id: a.id, user_id: owner.id, username: owner.username });
    const told = (await detailed.frame('message_pinned')).data.message;
    assert.equal(told.content, 'pin a');
    assert.equal(told.pinned, true);
    assert.deepEqual(told.reactions, [{ emoji: boat, count: 1 }], 'what is the reader\'s own is not in an event');
    assert.equal('bookmarked' in told, false);
    const pins = await member.rest.ok('GET', `/v1/channels/${channel.id}/pins?limit=1`);
    assert.deepEqual(pins.items.map((m) => m.id), [b.id]);
    const more = await member.rest.ok('GET', pins.next);
    assert.deepEqual(more.items.map((m) => m.id), [a.id]);
    assert.equal(more.items[0].pinned_by, owner.id);
    assert.equal(more.next, null);
    assert.equal((await owner.rest.call('DELETE', `${path}/${a.id}/pin`)).status, 204);
    assert.deepEqual((await s.frame('message_unpinned')).data, { channel_id: channel.id, message_id: a.id, user_id: owner.id, username: owner.username });
    const after_ = await member.rest.ok('GET', `${path}/${a.id}`);
    assert.deepEqual([after_.pinned, after_.pinned_at, after_.pinned_by], [false, null, null]);
    assert.equal(s.frames.filter((f) => f.type === 'message_pinned').length, 2);
    await refused(member.rest.call('GET', `/v1/channels/${channel.id}/pins?before=${a.id}`), 422, 'field_invalid');
    for (const x of [s, detailed]) x.end();
  });
});

describe('bookmarks', () => {
  test('are told to their owner alone, and list what he may read now', async () => {
    const secret = await owner.rest.ok('POST', '/v1/channels', { name: 'marked', team_id: team.id, private: true, members: [member.id] });
    const hidden = await post(owner, 'hidden later', `/v1/channels/${secret.id}/messages`);
    const open = await post(owner, 'open');
    const [mine, theirs] = [await socket(member, [`user:${member.id}`]), await socket(owner, [`user:${owner.id}`, `team:${team.id}`])];
    for (const [c, m] of [[secret, hidden], [channel, open], [channel, open]])
      assert.equal((await member.rest.call('PUT', `/v1/channels/${c.id}/messages/${m.id}/bookmark`)).status, 204);
    assert.deepEqual((await mine.frame('bookmark_updated')).data, { channel_id: secret.id, message_id: hidden.id, bookmarked: true });
    assert.equal((await member.rest.ok('GET', `${path}/${open.id}`)).bookmarked, true);
    assert.equal((await owner.rest.ok('GET', `${path}/${open.id}`)).bookmarked, false);
    const ids = async () => (await member.rest.ok('GET', '/v1/bookmarks')).items.map((m) => m.id);
    assert.deepEqual(await ids(), [open.id, hidden.id]);
    assert.deepEqual((await owner.rest.ok('GET', '/v1/bookmarks')).items, []);
    await owner.rest.ok('PUT', `/v1/channels/${secret.id}/bans/${member.id}`, {});
    assert.deepEqual(await ids(), [open.id]);
    await owner.rest.call('DELETE', `/v1/channels/${secret.id}/bans/${member.id}`);
    await owner.rest.ok('PUT', `/v1/channels/${secret.id}/members/${member.id}`, {});
    assert.deepEqual(await ids(), [open.id, hidden.id]);
    assert.equal((await member.rest.call('DELETE', `${path}/${open.id}/bookmark`)).status, 204);
    await mine.frame((f) => f.type === 'bookmark_updated' && f.data.bookmarked === false);
    assert.deepEqual(await ids(), [hidden.id]);
    await post(owner, 'marker');
    await theirs.frame((f) => f.type === 'channel_message' && f.data.content === 'marker');
    assert.equal(theirs.frames.some((f) => f.type === 'bookmark_updated'), false);
    assert.equal(mine.frames.filter((f) => f.type === 'bookmark_updated').length, 3);
    for (const x of [mine, theirs]) x.end();
  });
});

describe('what a message was', () => {
  test('is for its author and for who may edit or delete any message', async () => {
    const message = await post(member, 'first words');
    const s = await socket(other, [`channel:${channel.id}`], { query: '?detail=1' });
    await member.rest.ok('PATCH', `${path}/${message.id}`, { content: 'second words' });
    const updated = await s.frame('message_updated');
    assert.ok(updated.data.message.edited_at);
    for (const person of [member, owner]) {
      const history = await person.rest.ok('GET', `${path}/${message.id}/history`);
      assert.deepEqual(history.items.map((e) => e.content), ['first words']);
    }
    await refused(other.rest.call('GET', `${path}/${message.id}/history`), 403, 'forbidden');
    s.end();
  });

  test('a reply names the top of its chain, which counts all of it', async () => {
    const root = await post(member, 'root');
    const reply = await post(other, 'reply', `${path}/${root.id}/replies`);
    const answer = await post(member, 'answer', `${path}/${reply.id}/replies`);
    assert.deepEqual([root.root_message_id, reply.root_message_id, answer.root_message_id], [null, root.id, root.id]);
    const counts = async () => Promise.all([root, reply, answer].map(async (m) => (await owner.rest.ok('GET', `${path}/${m.id}`)).reply_count));
    assert.deepEqual(await counts(), [2, 1, 0]);
    assert.deepEqual((await owner.rest.ok('GET', `${path}/${root.id}/replies`)).items.map((m) => m.id), [answer.id, reply.id]);
    assert.deepEqual((await owner.rest.ok('GET', `${path}/${reply.id}/replies`)).items.map((m) => m.id), [answer.id]);
    await member.rest.call('DELETE', `${path}/${answer.id}`);
    const seen = await Promise.all([root, reply].map(async (m) => (await owner.rest.ok('GET', `${path}/${m.id}`)).reply_count));
    assert.deepEqual(seen, [1, 0]);
  });
});
