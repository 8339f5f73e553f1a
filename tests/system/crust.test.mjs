// Crust over real processes: every method of the client that its makers published, unedited, by two people, and what it does not send.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket } from './lib/client.mjs';
import { answered, client, crustPerson, crustTeam, idOf, methods, plain, refusal, rows, used } from './lib/crust.mjs';
import { photographed, png as coloured, turnedOnly } from './lib/images.mjs';
import { until } from './lib/wait.mjs';

const cluster = new Cluster({ copies: { gateway: 1, messaging: 2 } });
let rest, ann, bob, team;
const none = '0';
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  ann = await crustPerson(cluster, rest, 'ann');
  bob = await crustPerson(cluster, rest, 'bob');
  team = crustTeam(cluster, ann, 'harbour');
  await bob.api.commandsList(); // who calls comes in
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

let names = 0;
const newChannel = (person = ann, fields = {}) => person.api.channelCreate({ name: `room ${++names}`, type: 'public', ...fields });
const say = (person, channel, message) => person.api.messageCreate({ channelID: channel.channelID, message });
const history = (person, channel, filter = {}) => person.api.searchMessages({ channelID: channel.channelID, ...filter });
const isTime = (value) => assert.match(value, time);
/** Everything but what only the clock knows. */
function without(object, ...keys) {
  const rest_ = { ...object };
  for (const key of keys) delete rest_[key];
  return rest_;
}

describe('the transport', () => {
  test('is open to pages of any origin, and answers before they call', async () => {
    const before_ = await plain(cluster.api, 'OPTIONS', '/channels/1/attach', { headers: {
      origin: 'https://chat.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,content-type' } });
    assert.equal(before_.status, 204);
    assert.equal(before_.headers.get('access-control-allow-origin'), 'https://chat.example');
    assert.equal(before_.headers.get('access-control-allow-credentials'), 'true');
    assert.match(before_.headers.get('access-control-allow-methods'), /PATCH/);
    for (const header of ['Authorization', 'Content-Type', 'Idempotency-Key', 'X-CSRF-Token']) {
      assert.ok(before_.headers.get('access-control-allow-headers').split(', ').includes(header), header);
    }
    assert.equal(before_.headers.get('access-control-max-age'), '300');
    const answer = await ann.call('GET', '/commands/', { headers: { origin: 'https://chat.example' } });
    assert.equal(answer.headers.get('access-control-allow-origin'), 'https://chat.example');
    assert.match(answer.headers.get('x-request-id'), /^[0-9a-f]{32}$/);
    for (const header of ['Retry-After', 'X-Request-Id']) { // without it only pages of this host may read them
      assert.ok(answer.headers.get('access-control-expose-headers').split(', ').includes(header), header);
    }
    assert.equal(answer.headers.get('content-type'), 'application/json');
  });

  test('takes a trailing slash or leaves it, and knows what it has not', async () => {
    for (const path of ['/channels', '/channels/', '/permissions/effective', '/permissions/effective/']) await ann.ok('GET', path);
    const nothing = await ann.call('GET', '/nothing');
    assert.deepEqual([nothing.status, nothing.text.trim()], [404, '404 page not found']);
    const wrong = await ann.call('PATCH', '/channels/');
    assert.deepEqual([wrong.status, wrong.text], [405, '']);
  });

  test('takes a token in the query, a header or a cookie, and says no with 200', async () => {
    for (const options of [{ headers: { authorization: `Bearer ${ann.token}` } }, { headers: { cookie: `a=b; jwt=${ann.token}` } }]) {
      assert.equal((await plain(cluster.api, 'GET', '/commands/', options)).json.response.length, 4);
    }
    assert.equal((await plain(cluster.api, 'GET', `/commands/?jwt=${ann.token}`)).json.response.length, 4);
    for (const token of [undefined, 'x'.repeat(120)]) {
      const answer = await plain(cluster.api, 'GET', '/channels/', { token });
      assert.deepEqual([answer.status, answer.json], [200, { error: { message: 'Unauthorized' } }]);
    }
  });

  test('reads JSON, forms, multipart and the query alike', async () => {
    const name = () => `said ${++names}`;
    const form = (fields) => {
      const data = new FormData();
      for (const [key, value] of Object.entries(fields)) data.append(key, value);
      return data;
    };
    for (const body of [{ NAME: name(), Type: 'public' }, new URLSearchParams({ name: name(), type: 'public' }), form({ name: name(), type: 'public' })]) {
      const made = (await ann.call('POST', '/channels/', { body })).json.response;
      assert.equal(made.type, 'public');
      assert.match(made.name, /^said \d+$/);
    }
    const merged = (await ann.call('POST', '/channels/?type=private', { body: { name: name() } })).json.response;
    assert.equal(merged.type, 'private');
    const broken = (await ann.call('POST', '/channels/', { body: '{' })).json;
    assert.match(broken.error.message, /^error parsing http request body: /);
  });

  test('escapes what a page would read as HTML', async () => {
    const channel = await newChannel();
    const { text } = await ann.call('POST', `/channels/${channel.channelID}/messages/`, { body: { message: '<b> & c' } });
    assert.ok(text.includes('"message":"\\u003cb\\u003e \\u0026 c"'), text);
  });
});

describe('channels', () => {
  test('are made, listed, read and changed, each to its reader', async () => {
    const made = await newChannel(ann, { topic: 'ships', membershipPolicy: '', members: [bob.id, bob.id] });
    assert.deepEqual(without(made, 'channelID', 'name', 'createdAt', 'updatedAt', 'lastMessageID', 'members'), {
      topic: 'ships', type: 'public', membershipPolicy: '', membershipFlag: '', canJoin: true, canPart: true, canObserve: true,
      canSendMessages: true, canDeleteMessages: true, canChangeMembers: true, canChangeMembershipPolicy: true, canUpdate: true,
      canArchive: true, canDelete: true });
    assert.match(made.channelID, /^\d+$/);
    assert.deepEqual([...made.members].sort(), [ann.id, bob.id].sort());
    isTime(made.createdAt);
    const bobs = await bob.api.channelRead({ channelID: made.channelID });
    assert.deepEqual([bobs.canUpdate, bobs.canDelete, bobs.canChangeMembers, bobs.canSendMessages, bobs.canJoin], [false, false, false, true, true]);
    const listed = await bob.api.channelList({ query: made.name.toUpperCase() });
    assert.deepEqual(listed.map((c) => c.channelID), [made.channelID]);
    const all = await bob.api.channelList();
    assert.deepEqual(all.map((c) => c.name), all.map((c) => c.name).sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1)));
    const changed = await ann.api.channelUpdate({ channelID: made.channelID, name: `${made.name}!`, topic: 'boats', type: 'private', organisationID: '7' });
    assert.deepEqual([changed.name, changed.topic, changed.type, changed.createdAt], [`${made.name}!`, 'boats', 'private', made.createdAt]);
    const kept = await ann.api.channelUpdate({ channelID: made.channelID, topic: 'fish' });
    assert.deepEqual([kept.name, kept.topic, kept.type], [`${made.name}!`, 'fish', 'private']);
    const own = await newChannel(bob);
    const all_ = { channelID: own.channelID, name: own.name, topic: 'nets', type: 'public' }; // as the web page sends it
    assert.equal((await bob.api.channelUpdate({ ...all_, membershipPolicy: '' })).topic, 'nets');
    assert.equal(await refusal(bob.api.channelUpdate({ ...all_, membershipPolicy: 'featured' })), 'messaging.service.NoGrantPermissions');
    assert.equal((await ann.api.channelUpdate({ ...all_, membershipPolicy: 'featured' })).membershipPolicy, 'featured');
  });

  test('want a type and a name within bounds', async () => {
    assert.equal(await refusal(ann.api.channelCreate({ name: 'a' })), 'invalid channel type');
    assert.equal(await refusal(ann.api.channelCreate({ name: 'a', type: 'other' })), 'invalid channel type');
    assert.equal(await refusal(ann.api.channelCreate({ type: 'public' })), 'channel name not provided');
    assert.equal(await refusal(newChannel(ann, { name: 'x'.repeat(101) })), 'channel name (101 characters) too long (max: 100)');
    assert.equal(await refusal(newChannel(ann, { topic: 'x'.repeat(1001) })), 'channel topic (1001 characters) too long (max: 1000)');
  });

  test('of people are one for each set of them', async () => {
    const direct = await ann.api.channelCreate({ type: 'group', members: [bob.id, ann.id] });
    assert.deepEqual([direct.type, direct.name, [...direct.members].sort()], ['group', '', [ann.id, bob.id].sort()]);
    assert.equal((await bob.api.channelCreate({ type: 'group', members: [ann.id] })).channelID, direct.channelID);
    assert.ok((await bob.api.channelList()).some((c) => c.channelID === direct.channelID));
    assert.equal(await refusal(bob.api.channelJoin({ channelID: direct.channelID, userID: ann.id })), 'adding members to a group is not currently supported');
  });

  test('are archived, deleted and brought back', async () => {
    const { channelID } = await newChannel();
    const state = (value) => ann.api.channelState({ channelID, state: value });
    isTime((await state('archive')).archivedAt);
    assert.equal(await refusal(state('archive')), 'channel already archived');
    assert.equal((await ann.api.channelList()).some((c) => c.channelID === channelID), false);
    assert.equal(await refusal(say(ann, { channelID }, 'x')), 'messaging.service.NoPermissions');
    assert.equal((await state('unarchive')).archivedAt, undefined);
    assert.equal(await refusal(state('unarchive')), 'channel not archived');
    isTime((await state('delete')).deletedAt);
    assert.equal(await refusal(ann.api.channelRead({ channelID })), 'messaging.repository.ChannelNotFound');
    assert.equal((await state('undelete')).deletedAt, undefined);
    assert.equal(await refusal(state('undelete')), 'channel not deleted');
    assert.equal(await state('other'), false);
    assert.equal(await refusal(bob.api.channelState({ channelID, state: 'delete' })), 'messaging.service.NoPermissions');
  });

  test('carry a flag of each member alone', async () => {
    const { channelID } = await newChannel(ann, { members: [bob.id] });
    for (const flag of ['pinned', 'hidden', 'ignored']) assert.equal((await bob.api.channelSetFlag({ channelID, flag })).membershipFlag, flag);
    assert.equal((await ann.api.channelRead({ channelID })).membershipFlag, '');
    assert.equal((await bob.api.channelList()).find((c) => c.channelID === channelID).membershipFlag, 'ignored');
    assert.equal((await bob.api.channelRemoveFlag({ channelID })).membershipFlag, '');
    assert.equal(await bob.api.channelSetFlag({ channelID, flag: 'other' }), false);
    const others = await newChannel();
    assert.equal(await refusal(bob.api.channelSetFlag({ channelID: others.channelID, flag: 'pinned' })), 'not a member');
  });

  test('are joined, left, and people are invited into them', async () => {
    const open = await newChannel(), closed = await newChannel(ann, { type: 'private' });
    const [joined] = await bob.api.channelJoin({ channelID: open.channelID, userID: bob.id });
    assert.deepEqual([joined.userID, joined.type], [bob.id, 'member']);
    isTime(joined.createdAt);
    assert.deepEqual((await ann.api.channelMembers({ channelID: open.channelID })).map((m) => [m.userID, m.type]).sort(),
      [[ann.id, 'owner'], [bob.id, 'member']].sort());
    assert.equal(await bob.api.channelPart({ channelID: open.channelID, userID: bob.id }), undefined);
    assert.equal(await bob.api.channelPart({ channelID: open.channelID, userID: bob.id }), undefined, 'who is no member has left');
    assert.equal(await refusal(bob.api.channelJoin({ channelID: closed.channelID, userID: bob.id })), 'messaging.repository.ChannelNotFound');
    const [invited] = await ann.api.channelInvite({ channelID: closed.channelID, userID: [bob.id] });
    assert.deepEqual([invited.userID, invited.type], [bob.id, 'invitee']);
    assert.equal((await bob.api.channelRead({ channelID: closed.channelID })).canJoin, true);
    const [promoted] = await bob.api.channelJoin({ channelID: closed.channelID, userID: bob.id });
    assert.deepEqual([promoted.userID, promoted.type], [bob.id, 'member']);
    assert.equal(await refusal(bob.api.channelPart({ channelID: closed.channelID, userID: ann.id })), 'messaging.service.NoPermissions');
    assert.equal(await ann.api.channelPart({ channelID: closed.channelID, userID: bob.id }), undefined);
    assert.equal(await refusal(bob.api.channelRead({ channelID: closed.channelID })), 'messaging.repository.ChannelNotFound');
  });

  test('tell what happened to them in lines of the system', async () => {
    const channel = await newChannel(ann, { name: 'told', topic: 'tales' });
    await bob.api.channelJoin({ channelID: channel.channelID, userID: bob.id });
    await ann.api.channelUpdate({ channelID: channel.channelID, name: 'retold', topic: 'stories' });
    await ann.api.channelState({ channelID: channel.channelID, state: 'archive' });
    await ann.api.channelState({ channelID: channel.channelID, state: 'unarchive' });
    await ann.api.channelPart({ channelID: channel.channelID, userID: bob.id });
    let lines = [];
    await until('all is told', async () => {
      lines = (await history(ann, channel, { type: ['channelEvent'] })).reverse();
      return lines.length >= 7;
    });
    assert.deepEqual(lines.map((m) => m.message), [
      `<@${ann.id}> created public channel **told**, topic: tales`, `<@${bob.id}> joined`, `<@${ann.id}> renamed channel **retold** (was: told)`,
      `<@${ann.id}> changed channel topic: stories (was: tales)`, `<@${ann.id}> archived this channel`, `<@${ann.id}> unarchived this channel`,
      `<@${bob.id}> removed from the channel`]);
    for (const line of lines) assert.deepEqual([line.type, line.userID, line.canReply, line.canEdit], ['channelEvent', none, false, false]);
  });

  test('of house that crust has not are not there', async () => {
    const voice = await ann.rest.ok('POST', '/v1/channels', { name: 'voice', team_id: team.id, kind: 'voice' });
    const elsewhere = await ann.rest.ok('POST', '/v1/teams', { name: 'elsewhere', joining: 'open' });
    const other = await ann.rest.ok('POST', '/v1/channels', { name: 'other', team_id: elsewhere.id });
    for (const { id } of [voice, other]) {
      assert.equal(await refusal(ann.api.channelRead({ channelID: idOf(id) })), 'messaging.repository.ChannelNotFound');
      assert.equal(await refusal(say(ann, { channelID: idOf(id) }, 'x')), 'messaging.repository.ChannelNotFound');
      assert.equal(await refusal(ann.api.channelMembers({ channelID: idOf(id) })), 'messaging.repository.ChannelNotFound');
      assert.equal((await ann.api.channelList()).some((c) => c.channelID === idOf(id)), false);
    }
  });
});

describe('messages', () => {
  test('are written, changed, deleted and read as history', async () => {
    const channel = await newChannel(ann, { members: [bob.id] });
    await until('its making is told', async () => (await history(ann, channel)).length === 1);
    const first = await say(ann, channel, `  hello <@${bob.id} Bob> and <#${channel.channelID} here>  `);
    assert.deepEqual(without(first, 'messageID', 'createdAt'), { type: '', message: `hello <@${bob.id}> and <#${channel.channelID}>`,
      channelID: channel.channelID, userID: ann.id, mentions: [bob.id], isBookmarked: false, isPinned: false, canReply: true, canEdit: true, canDelete: true });
    isTime(first.createdAt);
    const [bobs] = (await history(bob, channel)).filter((m) => m.type === '');
    assert.deepEqual([bobs.messageID, bobs.canEdit, bobs.canDelete, bobs.canReply], [first.messageID, false, false, true]);
    const edited = await ann.api.messageEdit({ channelID: channel.channelID, messageID: first.messageID, message: 'hi' });
    assert.deepEqual([edited.message, edited.mentions], ['hi', undefined]);
    isTime(edited.updatedAt);
    assert.equal(await refusal(bob.api.messageEdit({ channelID: channel.channelID, messageID: first.messageID, message: 'x' })), 'messaging.service.NoPermissions');
    const second = await say(bob, channel, 'second');
    const third = await say(bob, channel, 'third');
    const ids = async (filter) => (await history(ann, channel, filter)).filter((m) => m.type === '').map((m) => m.messageID);
    assert.deepEqual(await ids({}), [third.messageID, second.messageID, first.messageID]);
    assert.deepEqual(await ids({ limit: 2 }), [third.messageID, second.messageID]);
    assert.deepEqual(await ids({ beforeMessageID: third.messageID }), [second.messageID, first.messageID]);
    assert.deepEqual(await ids({ toMessageID: second.messageID }), [second.messageID, first.messageID]);
    assert.deepEqual(await ids({ afterMessageID: first.messageID }), [second.messageID, third.messageID]);
    assert.deepEqual(await ids({ fromMessageID: first.messageID }), [first.messageID, second.messageID, third.messageID]);
    assert.deepEqual(await ids({ userID: [bob.id] }), [third.messageID, second.messageID]);
    assert.deepEqual(await ids({ query: 'ECON' }), [second.messageID]);
    assert.equal(await bob.api.messageDelete({ channelID: channel.channelID, messageID: second.messageID }), undefined);
    assert.deepEqual(await ids({}), [third.messageID, first.messageID]);
    assert.equal(await refusal(bob.api.messageDelete({ channelID: channel.channelID, messageID: second.messageID })), 'messaging.repository.MessageNotFound');
  });

  test('need a text that is not too long', async () => {
    const channel = await newChannel();
    assert.equal((await ann.call('POST', `/channels/${channel.channelID}/messages/`, { body: { message: ' \n ' } })).json.error.message,
      'refusing to create message without contents');
    const message = await say(ann, channel, 'x'.repeat(4000));
    assert.equal((await ann.call('PUT', `/channels/${channel.channelID}/messages/${message.messageID}`, { body: {} })).json.error.message,
      'refusing to update message without contents');
    assert.match(await refusal(say(ann, channel, 'x'.repeat(4001))), /too long/);
    assert.equal((await ann.call('POST', '/channels/undefined/messages/', { body: { message: 'x' } })).json.error.message, 'messaging.service.InvalidID');
  });

  test('are answered in threads of one level, which count for who follows them', async () => {
    const channel = await newChannel(ann, { members: [bob.id] });
    const root = await say(ann, channel, 'root');
    const answer = (person, messageID, message) => person.api.messageReplyCreate({ channelID: channel.channelID, messageID, message });
    const first = await answer(bob, root.messageID, 'one');
    assert.deepEqual([first.replyTo, first.canReply], [root.messageID, false]);
    const second = await answer(ann, first.messageID, 'two');
    assert.equal(second.replyTo, root.messageID, 'a reply to a reply is one to the root');
    await answer(bob, root.messageID, 'three');
    const [shown] = (await history(ann, channel)).filter((m) => m.type === '');
    assert.deepEqual([shown.messageID, shown.replies, shown.repliesFrom, shown.unread.count], [root.messageID, 3, [bob.id, ann.id, bob.id], 1]);
    assert.deepEqual((await history(ann, channel, { threadID: [root.messageID], afterMessageID: root.messageID })).map((m) => m.message), ['one', 'two', 'three']);
    const threads = await bob.api.searchThreads({ channelID: [channel.channelID], limit: 10 });
    assert.deepEqual(threads.map((m) => m.message).sort(), ['one', 'root', 'three', 'two']);
    assert.deepEqual((await bob.api.searchThreads({ channelID: [channel.channelID], query: 'TWO' })).map((m) => m.message), ['two']);
  });

  test('are not answered in a thread whose first message is deleted', async () => {
    const channel = await newChannel(ann, { members: [bob.id] });
    const root = await say(ann, channel, 'root');
    const answer = (messageID) => bob.api.messageReplyCreate({ channelID: channel.channelID, messageID, message: 'late' });
    const first = await answer(root.messageID);
    await ann.api.messageDelete({ channelID: channel.channelID, messageID: root.messageID });
    for (const { messageID } of [root, first]) assert.equal(await refusal(answer(messageID)), 'messaging.repository.MessageNotFound');
  });

  test('are marked as read, and as unread', async () => {
    const channel = await newChannel(ann, { members: [bob.id] });
    const { channelID } = channel;
    const posted = [];
    for (const text of ['a', 'b', 'c']) posted.push(await say(ann, channel, text));
    await ann.api.messageReplyCreate({ channelID, messageID: (await say(bob, channel, 'mine')).messageID, message: 'reply' });
    const unread = async () => (await bob.api.channelRead({ channelID })).unread;
    assert.deepEqual(without(await unread(), 'lastMessageID'), { count: 0, threadCount: 1, threadTotal: 1 });
    const back = await bob.api.messageMarkAsRead({ channelID, lastReadMessageID: posted[0].messageID });
    assert.deepEqual(back, { lastMessageID: posted[0].messageID, count: 3, threadCount: 1 });
    const read = await bob.api.messageMarkAsRead({ channelID });
    assert.deepEqual([read.count, await unread()], [0, undefined]);
    const post = await bob.call('POST', `/channels/${channelID}/messages/mark-as-read`, { body: { lastReadMessageID: posted[1].messageID } });
    assert.equal(post.json.response.count, 2);
    assert.match(post.headers.get('cache-control'), /no-store/);
    const elsewhere = await say(ann, await newChannel(), 'x');
    assert.equal(await refusal(bob.api.messageMarkAsRead({ channelID, lastReadMessageID: elsewhere.messageID })),
      'unable to mark as read: last read message not in the same channel');
    assert.equal(await refusal(bob.api.messageMarkAsRead({ channelID, threadID: '12345' })), 'unable to mark as read: invalid thread');
    assert.equal(await refusal(bob.api.messageMarkAsRead({ channelID: '12345' })), 'unable to mark as read: invalid channel');
  });

  test('are pinned, bookmarked and reacted to', async () => {
    const channel = await newChannel(ann, { members: [bob.id] });
    const message = await say(ann, channel, 'marked');
    const at = { channelID: channel.channelID, messageID: message.messageID };
    for (let i = 0; i < 2; i++) {
      assert.equal(await bob.api.messagePinCreate(at), undefined);
      assert.equal(await bob.api.messageBookmarkCreate(at), undefined);
      for (const reaction of [':+1:', 'fine']) assert.equal(await bob.api.messageReactionCreate({ ...at, reaction }), undefined);
    }
    await ann.api.messageReactionCreate({ ...at, reaction: ':+1:' });
    const shown = async (person, filter) => (await history(person, channel, filter)).find((m) => m.messageID === message.messageID);
    const bobs = await shown(bob, { bookmarkedOnly: true });
    assert.deepEqual([bobs.isPinned, bobs.isBookmarked], [true, true]);
    assert.deepEqual(bobs.reactions.map((r) => [r.reaction, r.count, [...r.userIDs].sort()]), [[':+1:', 2, [ann.id, bob.id].sort()], ['fine', 1, [bob.id]]]);
    assert.equal(await shown(ann, { bookmarkedOnly: true }), undefined, 'a bookmark is its owner\'s');
    assert.equal((await shown(ann, { pinnedOnly: true })).isBookmarked, false);
    for (let i = 0; i < 2; i++) {
      assert.equal(await ann.api.messagePinRemove(at), undefined);
      assert.equal(await bob.api.messageBookmarkRemove(at), undefined);
      assert.equal(await bob.api.messageReactionRemove({ ...at, reaction: ':+1:' }), undefined);
    }
    const after_ = await shown(bob);
    assert.deepEqual([after_.isPinned, after_.isBookmarked, after_.reactions.map((r) => [r.reaction, r.count])], [false, false, [[':+1:', 1], ['fine', 1]]]);
    for (const reaction of ['pin', 'bookmark', '%20']) {
      assert.equal(await refusal(bob.api.messageReactionCreate({ ...at, reaction })), 'can not flag/un-flag message: invalid reaction');
    }
  });

  test('come from commands', async () => {
    assert.deepEqual(await ann.api.commandsList(), [
      { name: 'me', params: null, description: 'Illeism' },
      { name: 'shrug', params: null, description: 'It does exactly what it says on the tin' },
      { name: 'tableflip', params: null, description: 'Flatten a table in anger' },
      { name: 'unflip', params: null, description: 'Put the table back from a flip' }]);
    const channel = await newChannel();
    const exec = (command, input) => ann.api.messageExecuteCommand({ channelID: channel.channelID, command, input, params: input?.split(' ') ?? [] });
    const me = await exec('me', 'waves');
    assert.deepEqual([me.type, me.message, me.canReply, me.canEdit], ['illeism', 'waves', false, false]);
    assert.deepEqual([(await exec('shrug', 'well')).message, (await exec('shrug')).message], ['well ¯\\\\_(ツ)_/¯', '¯\\\\_(ツ)_/¯']);
    assert.equal((await exec('tableflip')).message, '(╯°□°）╯︵ ┻━┻');
    assert.equal((await exec('unflip')).message, '┬─┬ ノ( ゜-゜ノ)');
    assert.equal(await exec('me'), null);
    assert.equal(await exec('nothing', 'x'), null);
    assert.deepEqual((await history(ann, channel, { type: ['illeism'] })).map((m) => m.messageID), [me.messageID]);
    assert.match(await refusal(ann.api.messageReplyCreate({ channelID: channel.channelID, messageID: me.messageID, message: 'x' })), /^unable to reply on this message/);
  });
});

describe('what people are doing', () => {
  test('is told by activity', async () => {
    const { channelID } = await newChannel();
    assert.equal(await ann.api.activitySend({ channelID, kind: 'typing' }), true);
    assert.equal(await ann.api.activitySend({ channelID, messageID: '77', kind: 'replying' }), true);
    assert.equal(await ann.api.activitySend({ kind: 'dancing' }), true);
    assert.equal(await refusal(ann.api.activitySend({ kind: 'connected' })), 'can not use reserved values for activity kind');
    assert.equal(await refusal(ann.api.activitySend({ kind: 'x', messageID: '77' })), 'can not send activity on message without channel ID');
    assert.equal((await ann.call('POST', '/activity/', { body: {} })).json.error.message, 'missing value for activity kind');
    const secret = await newChannel(ann, { type: 'private' });
    assert.equal(await refusal(bob.api.activitySend({ channelID: secret.channelID, kind: 'typing' })), 'messaging.repository.ChannelNotFound');
  });

  test('is shown as a status while they are there', async () => {
    const socket = new Socket(cluster.ws(), { token: ann.person.token });
    await socket.opened;
    await socket.frame('hello');
    let mine;
    const seen = async () => {
      mine = (await bob.api.statusList()).find((s) => s.userID === ann.id);
      return mine !== undefined;
    };
    await until('ann is there', seen);
    assert.deepEqual(mine, { userID: ann.id, present: 'online', icon: '', message: '' });
    const set = await ann.api.statusSet({ icon: ':boat:', message: 'at sea', expires: '30m' });
    assert.deepEqual(set, { userID: ann.id, present: 'online', icon: ':boat:', message: 'at sea' });
    await until('it is shown', async () => await seen() && mine.message === 'at sea');
    for (const expires of ['when-active', 'tomorrow 1h', 'afternoon', '1 PM', '2999-05-20'.replace('2999', String(new Date().getUTCFullYear() + 1))]) {
      await ann.api.statusSet({ message: 'at sea', expires });
    }
    assert.equal(await refusal(ann.api.statusSet({ message: 'x', expires: 'soon' })), 'invalid status expiry');
    const away = () => ann.api.statusSet({ message: 'away', expires: 'when-active' });
    const shown = async (message) => await seen() && mine.message === message;
    const { channelID } = await newChannel();
    for (const act of [() => ann.api.activitySend({ channelID, kind: 'typing' }), () => say(ann, { channelID }, 'back again')]) {
      await away();
      await until('he is away', () => shown('away'));
      await act();
      await until('what he does ends it', () => shown(''));
    }
    await ann.api.statusSet({ message: 'at sea' });
    assert.equal(await ann.api.statusDelete(), undefined);
    await until('it is gone', async () => await seen() && mine.message === '');
    socket.end();
  });
});

describe('permissions', () => {
  test('are known, effective, and ruled by who may grant them', async () => {
    const known = await ann.api.permissionsList();
    assert.equal(known.length, 30);
    assert.deepEqual(known.slice(0, 3), ['access', 'grant', 'settings.read'].map((operation) => ({ resource: 'messaging', operation })));
    assert.deepEqual(known[10], { resource: 'messaging:channel:', operation: 'update' });
    const effective = (list) => Object.fromEntries(list.map((e) => [e.operation, e.allow]));
    assert.deepEqual(effective(await bob.api.permissionsEffective({})), { access: true, grant: false, 'settings.read': false, 'settings.manage': false,
      'channel.public.create': true, 'channel.private.create': true, 'channel.group.create': true });
    assert.deepEqual(effective(await ann.api.permissionsEffective({ resource: 'messaging' })).grant, true);
    const { channelID } = await newChannel();
    const resource = `messaging:channel:${channelID}`;
    assert.equal(effective(await bob.api.permissionsEffective({ resource }))['message.send'], true);
    const rules = async () => (await ann.api.permissionsRead({ roleID: '1' })).filter((r) => r.resource === resource);
    assert.equal(await ann.api.permissionsUpdate({ roleID: '1', rules: [{ resource, operation: 'message.send', access: 'deny' }] }), undefined);
    assert.deepEqual(await rules(), [{ roleID: '1', resource, operation: 'message.send', access: 'deny' }]);
    assert.equal(await refusal(say(bob, { channelID }, 'x')), 'messaging.service.NoPermissions');
    assert.equal((await bob.api.channelRead({ channelID })).canSendMessages, false);
    await ann.api.permissionsUpdate({ roleID: '1', rules: [{ resource, operation: 'message.send', access: 'inherit' }] });
    assert.deepEqual(await rules(), []);
    await say(bob, { channelID }, 'again');
    assert.equal(await refusal(ann.api.permissionsUpdate({ roleID: '1', rules: [{ resource: 'messaging', operation: 'dance', access: 'allow' }] })),
      "invalid rule: 'dance' on 'messaging'");
    for (const call of [() => bob.api.permissionsRead({ roleID: '1' }), () => bob.api.permissionsUpdate({ roleID: '1', rules: [] }),
      () => bob.api.permissionsDelete({ roleID: '1' })]) {
      assert.equal(await refusal(call()), 'messaging.service.NoGrantPermissions');
    }
    const role = await ann.rest.ok('POST', `/v1/teams/${team.id}/roles`, { name: 'sailors', permissions: [] });
    await ann.api.permissionsUpdate({ roleID: idOf(role.id), rules: [{ resource: 'messaging', operation: 'settings.read', access: 'allow' }] });
    assert.equal((await ann.api.permissionsRead({ roleID: idOf(role.id) })).length, 1);
    assert.equal(await ann.api.permissionsDelete({ roleID: idOf(role.id) }), undefined);
    assert.deepEqual(await ann.api.permissionsRead({ roleID: idOf(role.id) }), []);
  });
});

describe('settings', () => {
  test('are a tree for everybody, and by name for who may read or manage them', async () => {
    const current = await bob.api.settingsCurrent();
    assert.equal(current.UI.Emoji.Enabled, true);
    assert.equal(current.UI.BrowserNotifications.MessageTrim, 200);
    assert.deepEqual([current.Message.Attachments.Enabled, current.Message.Attachments.MaxSize, current.Message.Attachments.Mimetypes,
      current.Message.Attachments.Source.Gallery.Enabled], [true, 10, [], true]);
    assert.equal(await refusal(bob.api.settingsList({})), 'not allowed to read settings');
    assert.equal(await refusal(bob.api.settingsUpdate({ values: [{ name: 'a.b', value: 1 }] })), 'not allowed to manage settings');
    assert.equal(await ann.api.settingsUpdate({ values: [{ name: 'ui.emoji.enabled', value: false }, { name: 'test.a', value: { b: 'c' } }] }), true);
    assert.equal((await bob.api.settingsCurrent()).UI.Emoji.Enabled, false);
    const [listed] = await ann.api.settingsList({ prefix: 'test.' });
    assert.deepEqual([listed.name, listed.value, typeof listed.updatedBy], ['test.a', { b: 'c' }, 'number']);
    isTime(listed.updatedAt);
    assert.deepEqual((await ann.api.settingsGet({ key: 'test.a', ownerID: '0' })).value, { b: 'c' });
    await ann.api.settingsUpdate({ values: [{ name: 'test.a' }, { name: 'ui.emoji.enabled' }] });
    assert.equal(await ann.api.settingsGet({ key: 'test.a' }), null);
    assert.match((await plain(cluster.api, 'GET', '/version')).json.response.version, /^\d/);
  });
});

describe('webhooks', () => {
  test('are made by members and used by whoever has a token', async () => {
    const { channelID } = await newChannel();
    const bot = await ann.rest.ok('POST', '/v1/bots', { username: `crust_bot_${Date.now().toString(36)}` });
    await ann.rest.ok('PUT', `/v1/teams/${team.id}/members/${bot.id}`, {});
    const made = await ann.api.webhooksCreate({ channelID, kind: 'incoming', userID: idOf(bot.id), username: 'pier' });
    assert.deepEqual(without(made, 'webhookID', 'token', 'createdAt'), { channelID, userID: idOf(bot.id), ownerUserID: ann.id, kind: 'incoming',
      trigger: '', url: '', username: 'pier', avatarURL: '' });
    assert.ok(made.token.length >= 32);
    const { webhookID } = made, shown = without(made, 'token');
    assert.deepEqual(await ann.api.webhooksGet({ webhookID }), shown);
    assert.deepEqual(await ann.api.webhooksList({ channelID, userID: ann.id }), [shown]);
    const updated = await ann.api.webhooksUpdate({ webhookID, channelID, kind: 'incoming', userID: idOf(bot.id), username: 'quay' });
    assert.equal(updated.username, 'quay');
    const message = await client(`${cluster.api}/crust`)
      .webhooksPublicCreate({ webhookID, webhookToken: made.token, username: 'tide', content: 'high' });
    assert.deepEqual([message.message, message.userID, message.channelID], ['high', idOf(bot.id), channelID]);
    for (const body of [{ content: 'json' }, new URLSearchParams({ content: 'form' })]) {
      assert.equal((await plain(cluster.api, 'POST', `/webhooks/${webhookID}/${made.token}`, { body })).json.response.userID, idOf(bot.id));
    }
    assert.equal((await plain(cluster.api, 'POST', `/webhooks/${webhookID}/${'x'.repeat(43)}?content=x`)).json.error.message, 'Invalid Webhook Token');
    assert.equal(await ann.api.webhooksPublicDelete({ webhookID, webhookToken: made.token }), undefined);
    assert.equal(await refusal(ann.api.webhooksGet({ webhookID })), 'messaging.repository.WebhookNotFound');
    const other = await ann.api.webhooksCreate({ channelID, kind: 'incoming', userID: idOf(bot.id) });
    assert.equal(await ann.api.webhooksDelete({ webhookID: other.webhookID }), undefined);
    assert.equal(await refusal(bob.api.webhooksCreate({ channelID, kind: 'incoming', userID: idOf(bot.id) })), 'messaging.service.NoPermissions');
    assert.equal(await refusal(ann.api.webhooksCreate({ channelID, kind: 'other', userID: idOf(bot.id) })), 'Unsupported webhook type: other');
  });
});

describe('attachments', () => {
  /* A picture of 2 by 1 pixels. */
  const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAADklEQVR4nGP4z8AARAAHAAH/AcR4gAAAAABJRU5ErkJggg==', 'base64');
  const attach = (person, channel, name, bytes, type, fields = {}) => {
    const body = new FormData();
    for (const [key, value] of Object.entries(fields)) body.append(key, value);
    body.append('upload', new Blob([bytes], { type }), name);
    return person.call('POST', `/channels/${channel.channelID}/attach`, { body });
  };

  test('are uploaded, shown with the message, and fetched by their signed URLs', async () => {
    const channel = await newChannel(ann, { members: [bob.id] });
    const made = (await attach(ann, channel, 'the log.txt', 'all is well', 'text/plain', { replyTo: 'undefined' })).json.response;
    assert.deepEqual([made.userID, made.name, made.meta.original.size, made.meta.original.ext, made.meta.original.mimetype],
      [ann.id, 'the log.txt', 11, 'txt', 'text/plain; charset=utf-8']);
    assert.match(made.url, new RegExp(`^/attachment/${made.attachmentID}/original/the%20log\\.txt\\?sign=[0-9a-f]+&userID=${ann.id}$`));
    assert.match(made.previewUrl, new RegExp(`^\\?sign=[0-9a-f]+&userID=${ann.id}$`));
    const [message] = await history(bob, channel, { type: ['attachment'] });
    assert.deepEqual([message.type, message.message, message.att.attachmentID, message.canReply], ['attachment', 'the log.txt', made.attachmentID, true]);
    // What is shown as its text is found as its text; what is in the file is not.
    const found = async (query) => (await history(bob, channel, { query })).map((m) => m.messageID);
    assert.deepEqual([await found('LOG.t'), await found('all is well')], [[message.messageID], []]);
    const got = await plain(cluster.api, 'GET', message.att.url);
    assert.deepEqual([got.status, got.text], [200, 'all is well']);
    assert.match(got.headers.get('content-disposition'), /the log\.txt/);
    assert.match((await plain(cluster.api, 'GET', `${message.att.url}&download=1`)).headers.get('content-disposition'), /^attachment/);
    assert.equal((await plain(cluster.api, 'GET', message.att.url, { headers: { range: 'bytes=4-5' } })).text, 'is');
    const url = new URL(message.att.url, 'http://x');
    const as = (query) => plain(cluster.api, 'GET', `${url.pathname}?${new URLSearchParams(query)}`);
    const sign = url.searchParams.get('sign');
    for (const [query, text] of [[{ userID: bob.id }, 'Unauthorized'], [{ sign }, 'missing or invalid user ID'],
      [{ sign: sign.replace(/.$/, (c) => (c === '0' ? '1' : '0')), userID: bob.id }, 'missing or invalid signature'], [{ sign, userID: ann.id }, 'missing or invalid signature']]) {
      assert.equal((await as(query)).json.error.message, text);
    }
    assert.equal((await plain(cluster.api, 'GET', `/attachment/0/original/x?sign=${sign}&userID=${bob.id}`)).json.error.message, 'missing or invalid attachment ID');
    assert.equal((await plain(cluster.api, 'GET', `/attachment/12345/original/x?sign=${sign}&userID=${bob.id}`)).json.error.message, 'missing or invalid signature');
    assert.match((await ann.call('POST', `/channels/${channel.channelID}/attach`, { body: { upload: 'x' } })).json.error.message, /multipart/);
  });

  test('that are pictures have a preview, and can answer a message', async () => {
    const channel = await newChannel();
    const root = await say(ann, channel, 'show me');
    const made = (await attach(ann, channel, 'boat.png', png, 'image/png', { replyTo: root.messageID })).json.response;
    assert.deepEqual([made.meta.original.mimetype, made.meta.original.image.width, made.meta.original.image.height], ['image/png', 2, 1]);
    const [reply] = await history(ann, channel, { threadID: [root.messageID] });
    assert.deepEqual([reply.type, reply.replyTo, reply.att.attachmentID], ['inlineImage', root.messageID, made.attachmentID]);
    const preview = await plain(cluster.api, 'GET', made.previewUrl);
    assert.deepEqual([preview.status, preview.headers.get('content-type')], [200, 'image/jpeg']);
    assert.deepEqual([(await ann.api.attachmentOriginal({ attachmentID: made.attachmentID, name: 'boat.png', sign: 'x', userID: ann.id }).catch((e) => e.message))],
      ['missing or invalid signature']);
    assert.equal(await ann.api.attachmentPreview({ attachmentID: made.attachmentID, ext: 'jpg', sign: 'x', userID: ann.id }).catch((e) => e.message),
      'missing or invalid signature');
    assert.match(await refusal(ann.api.channelAttach({ channelID: channel.channelID, upload: {} })), /multipart/);
  });

  test('are called as they were, by names that a URL and a header can carry', async () => {
    const channel = await newChannel();
    for (const [name, kept, ext] of [['a b;c\'d?e#f&g=h+i.txt', undefined, 'txt'], ['\u65e5\u672c\u8a9e.tar.gz', undefined, 'gz'], ['../../etc/passwd', 'passwd', ''],
      ['C:\\dir\\f.txt', 'f.txt', 'txt'], ['\u202egnp.exe', 'gnp.exe', 'exe'], [' x .md ', 'x .md', 'md'], ['\u00e9'.repeat(255), undefined, '']]) {
      const made = (await attach(ann, channel, name, 'hello', 'text/plain')).json.response;
      assert.deepEqual([made.name, made.meta.original.ext], [kept ?? name, ext]);
      const got = await plain(cluster.api, 'GET', made.url);
      assert.deepEqual([got.status, got.text], [200, 'hello'], name);
      assert.equal(decodeURIComponent(got.headers.get('content-disposition').split("filename*=UTF-8''")[1]), kept ?? name);
    }
    for (const name of ['x'.repeat(300), '..', '.', 'folder/', '\u2028', ' '])
      assert.match((await attach(ann, channel, name, 'hello', 'text/plain')).json.error.message, /a file's name of at most 255 characters/, name);
    assert.match((await attach(ann, channel, 'x', '', 'text/plain')).json.error.message, /empty/);
    assert.equal((await attach(ann, channel, 'x', 'hello', 'text/plain', { replyTo: '12345' })).json.error.message, 'messaging.repository.MessageNotFound');
  });

  test('whose bytes are lost say so before they begin', async () => {
    const channel = await newChannel();
    const made = (await attach(ann, channel, 'x', 'about to be lost', 'text/plain')).json.response;
    const hash = createHash('sha256').update('about to be lost').digest('hex');
    rmSync(`${cluster.folder}/files/${hash.slice(0, 2)}/${hash.slice(2, 4)}/${hash}`);
    const got = await plain(cluster.api, 'GET', made.url);
    assert.deepEqual([got.status, got.text, got.headers.get('content-disposition')], [500, 'the file cannot be read\n', null]);
  });

  test('that are photographs are kept as the camera was held, without where they were taken', async () => {
    const channel = await newChannel();
    const bytesAt = async (url) => Buffer.from(await (await fetch(`${cluster.api}/crust${url}`)).arrayBuffer());
    const jpeg = await bytesAt((await attach(ann, channel, 'sea.png', coloured(640, 320), 'image/png')).json.response.previewUrl);
    const made = (await attach(ann, channel, 'sea.jpg', photographed(jpeg), 'image/jpeg')).json.response;
    const { size, mimetype, image } = made.meta.original;
    assert.deepEqual([size, mimetype, image], [turnedOnly(jpeg).length, 'image/jpeg', { width: 160, height: 320, animated: false }]);
    assert.ok((await bytesAt(made.url)).equals(turnedOnly(jpeg)));
    assert.deepEqual([made.meta.preview.image.width, made.meta.preview.image.height], [90, 180]);
    assert.ok(!(await bytesAt(made.previewUrl)).includes('SECRET'));
  });
});

describe('other dialects', () => {
  test('hear what crust does, and crust what they do, in the same order', async () => {
    const channel = await newChannel(ann, { members: [bob.id] });
    const uuid = (await ann.rest.ok('GET', '/v1/channels?limit=100')).items.find((c) => idOf(c.id) === channel.channelID).id;
    const socket = new Socket(cluster.ws(), { token: bob.person.token });
    await socket.opened;
    await socket.frame('hello');
    socket.send({ op: 'subscribe', topics: [`channel:${uuid}`], ref: 1 });
    await socket.frame('subscribed');
    const texts = [];
    for (let i = 0; i < 6; i++) {
      texts.push(`message ${i}`);
      if (i % 2) await bob.rest.ok('POST', `/v1/channels/${uuid}/messages`, { content: texts[i] });
      else await say(ann, channel, texts[i]);
    }
    await socket.frame((f) => f.data?.content === texts.at(-1));
    assert.deepEqual(socket.frames.filter((f) => f.type === 'channel_message').map((f) => f.data.content), texts);
    assert.deepEqual((await history(ann, channel)).filter((m) => m.type === '').map((m) => m.message).reverse(), texts);
    socket.end();
  });
});

test('what is done to a message and a channel in crust is told on house sockets in that order', async () => {
  const socket = new Socket(cluster.ws(), { token: bob.person.token });
  await socket.opened;
  await socket.frame('hello');
  socket.send({ op: 'subscribe', topics: [`team:${team.id}`], ref: 1 });
  await socket.frame('subscribed');
  const channel = await newChannel();
  const message = await say(ann, channel, 'one');
  const at = { channelID: channel.channelID, messageID: message.messageID };
  await ann.api.messageEdit({ ...at, message: 'two' });
  await ann.api.messageReactionCreate({ ...at, reaction: ':+1:' });
  await ann.api.messagePinCreate(at);
  const reply = await ann.api.messageReplyCreate({ ...at, message: 'three' });
  await ann.api.messageDelete({ ...at, messageID: reply.messageID });
  await ann.api.messageReactionRemove({ ...at, reaction: ':+1:' });
  await ann.api.messagePinRemove(at);
  await ann.api.channelUpdate({ channelID: channel.channelID, topic: 'told' });
  await ann.api.channelState({ channelID: channel.channelID, state: 'archive' });
  const here = (f) => [f.data?.channel_id, f.data?.id].some((id) => id && idOf(id) === channel.channelID);
  await socket.frame((f) => here(f) && f.type === 'channel_archived');
  assert.deepEqual(socket.frames.filter(here).map((f) => f.type).filter((type) => !/member|unread|typing/.test(type)), ['channel_created', 'channel_message',
    'message_updated', 'reaction_added', 'message_pinned', 'message_reply', 'message_deleted', 'reaction_removed', 'message_unpinned', 'channel_updated',
    'channel_archived']);
  const edited = socket.frames.find((f) => here(f) && f.type === 'message_updated');
  assert.equal(edited.data.content, 'two');
  socket.end();
});

test('a call that is repeated under its key is done once', async () => {
  const channel = await newChannel();
  const post = () => ann.call('POST', `/channels/${channel.channelID}/messages/`, { body: { message: 'once' }, headers: { 'idempotency-key': channel.channelID } });
  const [first, second] = [(await post()).json.response, (await post()).json.response];
  assert.equal(first.messageID, second.messageID);
  assert.equal((await history(ann, channel, { query: 'once' })).length, 1);
});

test('every row of the reference was answered', () => {
  assert.equal(rows.length, 45);
  assert.deepEqual(rows.filter((row) => !answered.has(row)), []);
});

test('every method of the client was called', () => {
  assert.equal(methods.length, 49);
  assert.deepEqual(methods.filter((name) => !used.has(name)), []);
});
