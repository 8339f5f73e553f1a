// The wire of crust sentence by sentence: headers of every answer, ways to say a thing, texts of refusals, what a call does to whom, and the
// frames that both of two people get, in their order.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { Cluster } from './lib/cluster.mjs';
import { Rest } from './lib/client.mjs';
import { crustPerson, crustTeam, plain } from './lib/crust.mjs';
import { until } from './lib/wait.mjs';

const origin = 'https://page.example';
const no = 'messaging.service.NoPermissions', noId = 'messaging.service.InvalidID';
const noChannel = 'messaging.repository.ChannelNotFound', noMessage = 'messaging.repository.MessageNotFound';
const noGroup = 'adding members to a group is not currently supported';
const flag = 'can not flag/un-flag message: ', mark = 'unable to mark as read: ';
/* The second copies have the bounds of the first server. */
const cluster = new Cluster({ copies: { api: 2, gateway: 2 },
  environment: (copy) => (copy?.number === 2 ? { GUILDHALL_CRUST_STRICT: '1' } : {}) });
let ann, bob, cat, dan;

before(async () => {
  await cluster.start();
  const rest = new Rest([cluster.api]);
  [ann, bob, cat, dan] = await Promise.all(['ann', 'bob', 'cat', 'dan'].map((name) => crustPerson(cluster, rest, name)));
  crustTeam(cluster, ann, 'wire');
  for (const person of [bob, cat]) await person.api.commandsList(); // who calls comes in
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

let names = 0;
const newChannel = (fields = {}, person = ann) => person.api.channelCreate({ name: `wire ${++names}`, type: 'public', ...fields });
const say = (person, { channelID }, message) => person.api.messageCreate({ channelID, message });
const answer = (person, { channelID, messageID }, message) => person.api.messageReplyCreate({ channelID, messageID, message });
/** What a plain call answers: what is in the envelope, or the text of the error. */
async function said(person, method, path, body) {
  const { json, status, text } = await person.call(method, path, { body });
  assert.equal(status, 200, text);
  return json.error ? json.error.message : json.success ? json.success.message : json.response;
}
const lines = async (channel) => (await ann.api.searchMessages({ channelID: channel.channelID, type: ['channelEvent'] })).reverse().map((m) => m.message);

describe('every answer', () => {
  test('has a request id, echoes the origin and is not stored, whatever it says', async () => {
    const cases = [['GET', '/commands/', 200, /^\{"response":\[/], ['POST', '/status/', 200, /./], ['GET', '/channels/undefined', 200, /InvalidID/],
      ['GET', '/channels/', 200, /Unauthorized/, true], ['GET', '/nothing', 404, /^404 page not found\n$/], ['GET', '/nothing', 404, /^404 page not found\n$/, true],
      ['GET', '', 404, /^404 page not found\n$/], ['GET', '/attachment/7/original/x?sign=x&userID=7', 200, /missing or invalid signature/],
      ['DELETE', '/channels/', 405, /^$/], ['PATCH', '/commands/', 405, /^$/, true], ['GET', '/version', 200, /"buildTime"/, true]];
    const ids = new Set();
    for (const [method, path, status, body, anonymous] of cases) {
      const a = await plain(cluster.api, method, path, { token: anonymous ? undefined : ann.token, headers: { origin } });
      const what = `${method} ${path}`;
      assert.equal(a.status, status, what);
      assert.match(a.text, body, what);
      assert.equal(a.headers.get('access-control-allow-origin'), origin, what);
      assert.equal(a.headers.get('access-control-allow-credentials'), 'true', what);
      assert.match(a.headers.get('vary'), /Origin/, what);
      assert.match(a.headers.get('cache-control'), /no-store/, what);
      ids.add(a.headers.get('x-request-id'));
    }
    assert.equal(ids.size, cases.length, 'each has its own');
    assert.equal((await plain(cluster.api, 'GET', '/commands/', { token: ann.token })).headers.get('access-control-allow-origin'), null);
  });

  test('takes the first token that is not empty: of the query, the header, the cookie', async () => {
    const bad = 'x'.repeat(110), bearer = (token) => ({ authorization: `Bearer ${token}` }), cookie = (token) => ({ cookie: `other=1; jwt=${token}` });
    const cases = [[`?jwt=${ann.token}`, bearer(bad), true], [`?jwt=${bad}`, bearer(ann.token), false], ['?jwt=', bearer(ann.token), true],
      ['', { ...bearer(bad), ...cookie(ann.token) }, false], ['', { authorization: 'Basic eDp5', ...cookie(ann.token) }, true], ['', cookie(''), false]];
    for (const [query, headers, good] of cases) {
      const { json } = await plain(cluster.api, 'GET', `/commands/${query}`, { headers });
      assert.equal(json.error?.message, good ? undefined : 'Unauthorized', `${query.slice(0, 10)} ${JSON.stringify(headers).slice(0, 40)}`);
    }
  });

  test('of a path whose id is none says so', async () => {
    for (const id of ['undefined', '0', '-1', '+1', '1x', '%20', '99999999999999999999999', 'a%2Fb']) assert.equal(await said(ann, 'GET', `/channels/${id}`), noId, id);
    for (const id of ['1', '%31', '9007199254740993', '9223372036854775807']) assert.equal(await said(ann, 'GET', `/channels/${id}`), noChannel, id);
  });
});

describe('what is said', () => {
  test('in JSON may be nothing, has keys of any case and ids that are not rounded', async () => {
    const refused = async (body) => said(ann, 'POST', '/channels/', body);
    for (const body of ['', ' \n', 'null', '{}', '{"Type":null}']) assert.equal(await refused(body), 'invalid channel type', body);
    for (const body of ['{', '[]', '1', '{} {}', '{"name":1,"type":"public"}', '{"name":"x","type":"public","members":[1.5]}', '{"name":"x","type":"public","members":{}}']) {
      assert.match(await refused(body), /^error parsing http request body: /, body);
    }
    const made = await said(ann, 'POST', '/channels/', `{"NAME":"of any case","tYPE":"group","Members":[${bob.id},"${cat.id}"],"more":{"a":[1]}}`);
    assert.deepEqual([made.name, [...made.members].sort()], ['of any case', [ann.id, bob.id, cat.id].sort()]);
  });

  test('in a form, in the query and in JSON counts in that order', async () => {
    const { channelID } = await newChannel(), path = `/channels/${channelID}/messages/`;
    const form = (fields) => new URLSearchParams(fields);
    assert.equal((await said(ann, 'POST', `${path}?message=the+query`, form({ message: 'the form + 1' }))).message, 'the form + 1');
    assert.equal((await said(ann, 'POST', `${path}?message=the+query`, { message: 'JSON' })).message, 'the query');
    assert.equal((await said(ann, 'POST', `${path}?message=%F0%9F%90%B3`)).message, '🐳');
    assert.match(await said(ann, 'POST', path, { message: ['x'] }), /^error parsing/);
    const { channelID: other } = await newChannel();
    const found = async (query) => [...new Set((await said(ann, 'GET', `/search/messages?${query}`)).map((m) => m.channelID))].sort();
    await until('the line of the other channel', async () => (await found(`channelID=${other}`)).length === 1);
    for (const query of [`channelID=${channelID}&channelID=${other}`, `channelID[]=${channelID}&channelID[]=${other}`, `channelID%5B%5D=${channelID}&channelID%5B%5D=${other}`]) {
      assert.deepEqual(await found(query), [channelID, other].sort(), query);
    }
    assert.deepEqual(await found(`channelID=${channelID}&channelID[]=${other}`), [other], 'what has brackets wins');
  });
});

describe('channels', () => {
  test('have names and topics within bounds, of characters or, strictly, of bytes', async () => {
    const strictly = async (path, method, body) => (await plain(`http://127.0.0.1:${cluster.copies.api[1].httpPort}`, method, path, { token: ann.token, body })).json;
    const make = (fields) => ({ name: `wire ${++names}`, type: 'public', ...fields });
    assert.equal(await said(ann, 'POST', '/channels/', make({ name: 'ö'.repeat(101) })), 'channel name (101 characters) too long (max: 100)');
    assert.equal(await said(ann, 'POST', '/channels/', make({ topic: 'ö'.repeat(1001) })), 'channel topic (1001 characters) too long (max: 1000)');
    const made = await said(ann, 'POST', '/channels/', make({ name: 'ö'.repeat(100), topic: 'ö'.repeat(1000) }));
    assert.deepEqual([made.name.length, made.topic.length], [100, 1000]);
    for (const [method, path] of [['POST', '/channels/'], ['PUT', `/channels/${made.channelID}`]]) {
      assert.equal((await strictly(path, method, make({ name: 'ö'.repeat(21) }))).error.message, 'channel name (42 characters) too long (max: 40)');
      assert.equal((await strictly(path, method, make({ topic: 'x'.repeat(201) }))).error.message, 'channel topic (201 characters) too long (max: 200)');
      assert.equal((await strictly(path, method, make({ name: 'ö'.repeat(20), topic: 'x'.repeat(200) }))).response.topic.length, 200);
    }
    for (const [gateway, most] of [[0, 100], [1, 40]]) {
      const ws = await new Listener(ann, gateway).opened;
      ws.say({ createChannel: { name: 'x'.repeat(101) } });
      await ws.until((f) => f.error?.m === `channel name (101 characters) too long (max: ${most})`);
    }
  });

  test('are found by what is in their names, letter by letter', async () => {
    const mine = `tide ${Date.now()}`;
    await newChannel({ name: `${mine} 100%_Ä` });
    await newChannel({ name: `${mine} plain` });
    const count = async (query) => (await bob.api.channelList({ query })).filter((c) => c.name.startsWith(mine)).length;
    for (const [query, found] of [[mine.toUpperCase(), 2], ['100%_', 1], ['0%Ä', 0], ['%', 1], ['_ä', 1], ['\\', 0], [`${mine} p`, 1]]) assert.equal(await count(query), found, query);
  });

  test('of a team are no groups, and a group\'s people are those it was made of', async () => {
    const group = await newChannel({ type: 'group', members: [bob.id, cat.id] }), direct = await newChannel({ type: 'group', members: [bob.id] }), open = await newChannel();
    for (const { channelID } of [group, direct]) {
      for (const [person, method, user] of [[ann, 'PUT', cat], [bob, 'PUT', bob], [bob, 'DELETE', bob], [ann, 'DELETE', bob]]) {
        assert.equal(await said(person, method, `/channels/${channelID}/members/${user.id}`), noGroup);
      }
      for (const person of [ann, bob]) assert.equal(await said(person, 'POST', `/channels/${channelID}/invite`, { userID: [cat.id] }), noGroup);
    }
    assert.equal(await said(ann, 'PUT', `/channels/${open.channelID}`, { type: 'group' }), 'invalid channel type');
    assert.equal(await said(ann, 'PUT', `/channels/${group.channelID}`, { type: 'public' }), 'invalid channel type');
    assert.equal((await said(ann, 'PUT', `/channels/${group.channelID}`, { type: 'group', topic: 'us' })).topic, 'us');
    assert.equal(await said(ann, 'PUT', `/channels/${open.channelID}/members/12345`), 'messaging.repository.UserNotFound');
    assert.equal(await said(ann, 'DELETE', `/channels/${open.channelID}/members/12345`), 'OK');
  });

  test('change their state once', async () => {
    const { channelID } = await newChannel({ members: [bob.id] });
    const state = async (word, person = ann) => {
      const got = await said(person, 'PUT', `/channels/${channelID}/state`, { state: word });
      return typeof got === 'object' ? [got.archivedAt !== undefined, got.deletedAt !== undefined] : got;
    };
    const steps = [['unarchive', 'channel not archived'], ['undelete', 'channel not deleted'], ['archive', [true, false]], ['archive', 'channel already archived'],
      ['delete', [true, true]], ['delete', 'channel already deleted'], ['undelete', [true, false]], ['unarchive', [false, false]], ['Archive', false], ['', false]];
    for (const [word, expected] of steps) assert.deepEqual(await state(word), expected, word);
    for (const word of ['archive', 'delete']) assert.equal(await state(word, bob), no);
    assert.equal(await said(ann, 'PUT', '/channels/12345/state', { state: 'archive' }), noChannel);
  });

  test('tell in lines what happened, each in its words', async () => {
    const open = await newChannel({ name: 'lined' }), secret = await newChannel({ type: 'private', name: 'hid', topic: 'why' });
    const group = await newChannel({ type: 'group', name: '', members: [bob.id, dan.id] });
    const [a, b, c] = [ann, bob, cat].map((p) => `<@${p.id}>`), at = { channelID: open.channelID };
    await ann.api.channelUpdate({ ...at, topic: 'first' });
    await ann.api.channelUpdate({ ...at, topic: 'second' });
    await bob.api.channelJoin({ ...at, userID: bob.id });
    await ann.api.channelJoin({ ...at, userID: cat.id });
    await ann.api.channelPart({ ...at, userID: cat.id });
    await bob.api.channelPart({ ...at, userID: bob.id });
    for (const state of ['archive', 'unarchive', 'delete', 'undelete']) await ann.api.channelState({ ...at, state });
    await ann.api.channelInvite({ channelID: secret.channelID, userID: [bob.id, cat.id] });
    await bob.api.channelJoin({ channelID: secret.channelID, userID: bob.id }); // is promoted, of which no line tells
    await cat.api.channelPart({ channelID: secret.channelID, userID: cat.id });
    await ann.api.channelUpdate({ channelID: group.channelID, name: 'we', type: 'group' });
    await ann.api.channelUpdate({ channelID: group.channelID, name: 'us', type: 'group' });
    const told = (channel, expected) => until(`${channel.name} is told`, async () => (await lines(channel)).length >= expected.length)
      .then(async () => assert.deepEqual(await lines(channel), expected));
    await told(open, [`${a} created public channel **lined**`, `${a} set channel topic to first`, `${a} changed channel topic: second (was: first)`, `${b} joined`,
      `${a} added ${c} to the channel`, `${c} removed from the channel`, `${b} left the channel`, `${a} archived this channel`, `${a} unarchived this channel`,
      `${a} deleted this channel`, `${a} undeleted this channel`]);
    await told(secret, [`${a} created private channel **hid**, topic: why`, `${a} invited ${b} to the channel`, `${a} invited ${c} to the channel`, `${c} left the channel`]);
    await told(group, [`${a} created group channel`, `${a} set channel name to **we**`, `${a} renamed channel **us** (was: we)`]);
  });
});

/** What comes on a websocket, but for who is there. */
class Listener {
  constructor(person, gateway = 0) {
    this.frames = [];
    this.ws = new WebSocket(`${new URL('/crust/websocket/', cluster.ws(gateway)).href}?jwt=${person.token}`);
    this.ws.on('message', (data) => this.frames.push(JSON.parse(data.toString())));
    Listener.all.push(this);
    this.opened = once(this.ws, 'open').then(() => this);
  }

  static all = [];

  say(frame) {
    this.ws.send(JSON.stringify(frame));
  }

  until(fits) {
    return until(`a frame among ${JSON.stringify(this.frames).slice(-800)}`, () => this.frames.find(fits));
  }

  /** The frames of a channel up to the one that fits, each in a word, and forgets them. */
  async told(channelID, fits) {
    const end = await until(`a frame among ${JSON.stringify(this.here(channelID)).slice(-800)}`, () => this.here(channelID).findIndex(fits) + 1);
    const told = this.here(channelID).slice(0, end).map(word);
    this.frames = [];
    return told;
  }

  here(channelID) {
    return this.frames.filter((f) => Object.values(f)[0].channelID === channelID && !f.activity);
  }
}
after(() => Listener.all.forEach((listener) => listener.ws.terminate()));

function word(f) {
  const [key, value] = Object.entries(f)[0];
  if (key === 'message') return `message ${value.type}${value.deletedAt ? 'deleted' : value.message.replaceAll(/<@\d+>/g, '@')}${value.replies ? ` (${value.replies})` : ''}`;
  if (key === 'unread') return `unread ${value.threadID ? 'thread ' : ''}${value.count} ${value.threadCount}`;
  return key;
}

describe('on the websockets of both', () => {
  const last = (text) => (f) => f.message?.message.includes(text);

  test('a channel comes with its people, changes and goes, in this order', async () => {
    const [a, b] = await Promise.all([new Listener(ann).opened, new Listener(bob).opened]);
    const channel = await newChannel({ topic: 'x' }), { channelID } = channel;
    const both = async (fits, expected) => {
      for (const listener of [a, b]) assert.deepEqual(await listener.told(channelID, fits), expected);
    };
    for (const listener of [a, b]) { // its people and its line are told behind it, each on its own
      await listener.until((f) => f.channelJoin?.channelID === channelID);
      await listener.until((f) => f.message?.channelID === channelID);
      assert.deepEqual([...new Set(listener.here(channelID).map(word))].sort(),
        ['channel', 'channelJoin', `message channelEvent@ created public channel **${channel.name}**, topic: x`]);
      listener.frames = [];
    }
    await bob.api.channelJoin({ channelID, userID: bob.id });
    await both(last('joined'), ['channelJoin', 'channel', 'message channelEvent@ joined']);
    await ann.api.channelUpdate({ channelID, name: `${channel.name}!`, topic: 'y' });
    await both(last('topic'), ['channel', `message channelEvent@ renamed channel **${channel.name}!** (was: ${channel.name})`, 'message channelEvent@ changed channel topic: y (was: x)']);
    for (const [state, done] of [['archive', 'archived'], ['unarchive', 'unarchived'], ['delete', 'deleted'], ['undelete', 'undeleted']]) {
      await ann.api.channelState({ channelID, state });
      await both(last(`${done} this`), ['channel', `message channelEvent@ ${done} this channel`]);
    }
    await ann.api.channelPart({ channelID, userID: bob.id });
    await both(last('removed'), ['channelPart', 'message channelEvent@ removed from the channel']);
    await ann.api.channelInvite({ channelID, userID: [bob.id] });
    await both(last('invited'), ['message channelEvent@ invited @ to the channel']);
    await bob.api.channelJoin({ channelID, userID: bob.id });
    await both((f) => f.channel, ['channelJoin', 'channel']);
    for (const nothing of [() => bob.api.channelJoin({ channelID, userID: bob.id }), () => bob.api.channelSetFlag({ channelID, flag: 'pinned' }),
      () => ann.api.channelUpdate({ channelID, topic: 'y' })]) await nothing();
    await ann.api.channelPart({ channelID, userID: bob.id });
    await both((f) => f.channelPart, ['channelPart']);
  });

  test('a message comes with what is unread, of a thread and of the channel', async () => {
    const [a, b] = await Promise.all([new Listener(ann).opened, new Listener(bob).opened]);
    const channel = await newChannel({ members: [bob.id] }), { channelID } = channel;
    await until('all of its making is told', () => [a, b].every((l) => l.frames.some((f) => f.message?.channelID === channelID)
      && l.frames.filter((f) => f.channelJoin?.channelID === channelID).length === 2));
    [a.frames, b.frames] = [[], []];
    const first = await say(ann, channel, 'one');
    assert.deepEqual([await a.told(channelID, last('one')), await b.told(channelID, last('one'))], [['unread 0 0', 'message one'], ['unread 1 0', 'message one']]);
    const reply = await answer(bob, first, 'two');
    assert.deepEqual(await a.told(channelID, last('two')), ['unread thread 1 0', 'unread 0 1', 'message one (1)', 'message two']);
    assert.deepEqual(await b.told(channelID, last('two')), ['unread thread 0 0', 'unread 1 0', 'message one (1)', 'message two'], 'a first reply reads the thread and no more');
    assert.deepEqual((await bob.api.channelRead({ channelID })).unread, { count: 1, threadCount: 0 });
    await ann.api.messageEdit({ ...first, message: ' one ' }); // the same
    await ann.api.messageEdit({ ...first, message: 'uno' });
    assert.deepEqual([await a.told(channelID, last('uno')), await b.told(channelID, last('uno'))], [['message uno (1)'], ['message uno (1)']]);
    await bob.api.messageDelete({ channelID, messageID: reply.messageID });
    assert.deepEqual(await a.told(channelID, (f) => f.message?.deletedAt), ['unread thread 0 0', 'unread 0 0', 'message uno', 'message deleted']);
    await b.told(channelID, (f) => f.message?.deletedAt);
    await say(bob, channel, 'three');
    await bob.api.messageMarkAsRead({ channelID, lastReadMessageID: first.messageID });
    await bob.api.messageMarkAsRead({ channelID });
    await a.told(channelID, last('three'));
    await until('both marks', () => b.here(channelID).length >= 4);
    assert.deepEqual(b.here(channelID).map(word), ['unread 0 0', 'message three', 'unread 1 0', 'unread 0 0']);
    assert.deepEqual(a.here(channelID), [], 'a mark is told to who set it');
  });
});

describe('messages', () => {
  test('are answered and marked by their id, whatever channel the path names', async () => {
    const home = await newChannel({ members: [bob.id] }), other = await newChannel(), secret = await newChannel({ type: 'private' });
    const root = await say(ann, home, 'root'), hidden = await say(ann, secret, 'hidden');
    await ann.api.channelState({ channelID: other.channelID, state: 'archive' });
    for (const channelID of [home.channelID, other.channelID, secret.channelID, '12345', 'undefined']) {
      const reply = await said(bob, 'POST', `/channels/${channelID}/messages/${root.messageID}/replies`, { message: 'reply' });
      assert.deepEqual([reply.channelID, reply.replyTo], [home.channelID, root.messageID]);
      for (const what of ['pin', 'bookmark', 'reaction/:+1:']) {
        for (const method of ['POST', 'POST', 'DELETE', 'DELETE']) assert.equal(await said(bob, method, `/channels/${channelID}/messages/${root.messageID}/${what}`), 'OK');
        assert.equal(await said(bob, 'POST', `/channels/${channelID}/messages/${hidden.messageID}/${what}`), flag + noMessage);
        assert.equal(await said(bob, 'POST', `/channels/${channelID}/messages/undefined/${what}`), flag + noId);
      }
      assert.equal(await said(bob, 'POST', `/channels/${channelID}/messages/${hidden.messageID}/replies`, { message: 'x' }), noMessage);
      if (channelID === home.channelID) continue;
      const wrong = channelID === 'undefined' ? noId : channelID === other.channelID ? no : noMessage;
      assert.equal(await said(ann, 'PUT', `/channels/${channelID}/messages/${root.messageID}`, { message: 'x' }), wrong);
      assert.equal(await said(ann, 'DELETE', `/channels/${channelID}/messages/${root.messageID}`), wrong);
    }
  });

  test('of the system and of what people do are not answered, and lines are nobody\'s to change', async () => {
    const channel = await newChannel(), elsewhere = await newChannel(), path = `/channels/${channel.channelID}/messages`;
    const me = await bob.api.messageExecuteCommand({ channelID: channel.channelID, command: 'me', input: 'waves', params: ['waves'] });
    await bob.api.channelJoin({ channelID: channel.channelID, userID: bob.id });
    let line;
    await until('that he joined is told', async () => {
      line = (await ann.api.searchMessages({ channelID: channel.channelID, type: ['channelEvent'] })).find((m) => m.message.endsWith('joined'));
      return line;
    });
    for (const at of [channel.channelID, elsewhere.channelID]) {
      assert.equal(await said(ann, 'POST', `/channels/${at}/messages/${line.messageID}/replies`, { message: 'x' }), 'unable to reply on this message (type = channelEvent)');
      assert.equal(await said(ann, 'POST', `/channels/${at}/messages/${me.messageID}/replies`, { message: 'x' }), 'unable to reply on this message (type = illeism)');
    }
    for (const person of [ann, bob]) assert.equal(await said(person, 'PUT', `${path}/${line.messageID}`, { message: 'x' }), no);
    assert.equal(await said(bob, 'DELETE', `${path}/${line.messageID}`), no, 'whom it tells of did not write it');
    assert.equal(await said(ann, 'DELETE', `${path}/${line.messageID}`), 'OK');
    assert.equal((await said(bob, 'PUT', `${path}/${me.messageID}`, { message: 'sings' })).message, 'sings');
    assert.equal(await said(ann, 'POST', `${path}/${me.messageID}/replies`, { message: ' ' }), 'refusing to create message without contents');
  });

  test('mention whom they name, in that order and once, with or without a label', async () => {
    const channel = await newChannel();
    const text = `<@${cat.id} the cat> <@${bob.id}> <@${cat.id}> <@12345> <#${channel.channelID} here> <@${ann.id}x> <@> <@${ann.id}\tI>`;
    const message = await say(ann, channel, text);
    assert.deepEqual(message.mentions, [cat.id, bob.id, ann.id]);
    assert.equal(message.message, `<@${cat.id}> <@${bob.id}> <@${cat.id}> <@12345> <#${channel.channelID}> <@${ann.id}x> <@> <@${ann.id}>`);
  });
});

describe('a mark', () => {
  test('stands in the main stream, says what it does not find, and is not set where nothing can be read', async () => {
    const channel = await newChannel({ members: [bob.id] }), { channelID } = channel, elsewhere = await say(ann, await newChannel(), 'x');
    const first = await say(ann, channel, 'first'), root = await say(ann, channel, 'root'), reply = await answer(ann, root, 'reply');
    const set = (query) => said(bob, 'GET', `/channels/${channelID}/messages/mark-as-read${query}`);
    assert.deepEqual(await set(''), { lastMessageID: root.messageID, count: 0, threadCount: 0 }, 'not the reply, which is newer');
    assert.deepEqual(await set(`?lastReadMessageID=${first.messageID}`), { lastMessageID: first.messageID, count: 1, threadCount: 0 });
    assert.deepEqual((await bob.api.channelRead({ channelID })).unread, { lastMessageID: first.messageID, count: 1, threadCount: 0 });
    assert.deepEqual(await set(`?threadID=${root.messageID}`), { lastMessageID: reply.messageID, count: 0, threadCount: 0 });
    assert.deepEqual(await set('?threadID=undefined&lastReadMessageID=undefined'), { lastMessageID: root.messageID, count: 0, threadCount: 0 });
    for (const [query, text] of [[`?threadID=${reply.messageID}`, 'invalid thread'], ['?threadID=12345', 'invalid thread'],
      [`?threadID=${root.messageID}&lastReadMessageID=${first.messageID}`, 'last read message not in the same thread'],
      [`?lastReadMessageID=${elsewhere.messageID}`, 'last read message not in the same channel'], ['?lastReadMessageID=12345', 'last read message not in the same channel']]) {
      assert.equal(await set(query), mark + text, query);
    }
    assert.equal(await said(bob, 'GET', '/channels/12345/messages/mark-as-read'), `${mark}invalid channel`);
    await ann.api.channelState({ channelID, state: 'archive' });
    for (const query of ['', `?threadID=${root.messageID}`]) assert.equal(await set(query), `${mark}invalid channel`);
  });

  test('is a member\'s from the beginning, and another\'s from what he does there', async () => {
    const channel = await newChannel({ members: [bob.id] }), { channelID } = channel;
    const unread = async (person) => (await person.api.channelRead({ channelID })).unread?.count ?? 0;
    await say(ann, channel, 'one');
    await say(ann, channel, 'two');
    assert.deepEqual([await unread(ann), await unread(bob), await unread(cat)], [0, 2, 0]);
    const posted = await say(cat, channel, 'here');
    await say(ann, channel, 'three');
    assert.deepEqual([await unread(bob), await unread(cat)], [4, 1]);
    await cat.api.messageDelete({ channelID, messageID: posted.messageID });
    assert.deepEqual([await unread(bob), await unread(cat)], [3, 0], 'of who wrote it nothing is left');
  });
});

describe('search', () => {
  test('takes every filter, alone and together, and orders by which end it begins at', async () => {
    const channel = await newChannel({ members: [bob.id] }), { channelID } = channel, secret = await newChannel({ type: 'private' });
    const [one, two, three, four] = [await say(ann, channel, 'one 100%'), await say(bob, channel, 'two'), await say(ann, channel, 'THREE_x'), await say(bob, channel, 'four')];
    const reply = await answer(bob, one, 'reply one');
    await answer(ann, two, 'reply two');
    await ann.api.messageExecuteCommand({ channelID, command: 'me', input: 'me', params: ['me'] });
    await until('its making is told', async () => (await lines(channel)).length === 1);
    for (const { messageID } of [three, reply]) await ann.api.messagePinCreate({ channelID, messageID });
    await bob.api.messageBookmarkCreate({ channelID, messageID: four.messageID });
    await ann.api.messageBookmarkCreate({ channelID, messageID: one.messageID });
    const find = async (query, person = bob) => {
      const found = await said(person, 'GET', `/search/messages?${query}`);
      return typeof found === 'string' ? found : found.filter((m) => m.type !== 'channelEvent').map((m) => m.message).join();
    };
    const here = `channelID=${channelID}`, all = 'me,four,THREE_x,two,one 100%';
    for (const [query, found] of [['', all], ['&limit=2', 'me,four'], ['&limit=0', all], ['&limit=x', all], ['&limit=undefined', all], [`&threadID=${one.messageID}`, 'reply one'],
      [`&threadID[]=${one.messageID}&threadID[]=${two.messageID}`, 'reply two,reply one'], [`&userID=${bob.id}`, 'four,two'], ['&userID=12345', ''],
      ['&type=illeism', 'me'], ['&type=nothing', ''], ['&type[]=nothing&type[]=illeism', 'me'], ['&type=', all], ['&query=%25', 'one 100%'], ['&query=_', 'THREE_x'],
      ['&query=three', 'THREE_x'], ['&query=%5C', ''], [`&beforeMessageID=${three.messageID}`, 'two,one 100%'], [`&toMessageID=${three.messageID}`, 'THREE_x,two,one 100%'],
      [`&afterMessageID=${two.messageID}`, 'THREE_x,four,me'], [`&fromMessageID=${two.messageID}`, 'two,THREE_x,four,me'], [`&afterMessageID=${one.messageID}&limit=1`, 'two'],
      [`&fromMessageID=${two.messageID}&toMessageID=${three.messageID}`, 'two,THREE_x'], [`&afterMessageID=${one.messageID}&beforeMessageID=${four.messageID}`, 'two,THREE_x'],
      ['&afterMessageID=undefined', all], ['&pinnedOnly=true', 'THREE_x'], [`&pinnedOnly=1&threadID=${one.messageID}`, 'reply one'], ['&bookmarkedOnly=1', 'four'],
      ['&pinnedOnly=1&bookmarkedOnly=1', 'THREE_x'], ...['t', 'TRUE', '+y+', 'Yes', '1'].map((yes) => [`&pinnedOnly=${yes}`, 'THREE_x']),
      ...['on', '2', '', 'undefined', 'false'].map((not) => [`&pinnedOnly=${not}`, all])]) assert.equal(await find(here + query), found, query);
    assert.equal(await find(`${here}&bookmarkedOnly=1`, ann), 'one 100%');
    assert.equal(await find(`threadID=${one.messageID}`), 'reply one', 'in all channels');
    assert.equal(await find(`${here}&channelID=${secret.channelID}`), all, 'what he may not read is left out');
    for (const query of [`channelID=${secret.channelID}`, 'channelID=12345', 'channelID=undefined']) assert.equal(await find(query), no, query);
    const threads = async (query, person = bob) => {
      const found = await said(person, 'GET', `/search/threads?${query}`);
      return typeof found === 'string' ? found : found.map((m) => m.message).sort().join();
    };
    assert.equal(await threads(here), 'one 100%,reply one,reply two,two');
    assert.equal(await threads(here, cat), '', 'which he neither began nor answered');
    assert.equal(await threads(`${here}&limit=1`), 'reply two,two', 'the newest root with all of its replies');
    assert.equal(await threads(`${here}&query=ONE`), 'one 100%,reply one', 'message by message');
    assert.equal(await threads(`channelID=${secret.channelID}`), no);
  });
});
