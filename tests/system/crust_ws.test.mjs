// The websocket of crust: every kind of frame, what is each receiver's own in it, the order beside house sockets, rights that go, what
// frames of clients ask, and who is refused at the door.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { idOf, plain } from './lib/crust.mjs';
import { CrustSocket, address } from './lib/crust_socket.mjs';
import { until } from './lib/wait.mjs';

const cluster = new Cluster({ copies: { gateway: 2 }, supervise: true, environment: { GUILDHALL_WS_HEARTBEAT_MS: '20000', GUILDHALL_CRUST_BEAT_MS: '2000' } });
let rest, owner, ann, bob, team, general;

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  owner = await newPerson(rest, 'owner');
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'the oldest', joining: 'open' });
  [ann, bob] = await Promise.all([newPerson(rest, 'ann'), newPerson(rest, 'bob')]);
  general = await owner.rest.ok('POST', '/v1/channels', { team_id: team.id, name: 'general' });
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

const open = [];
async function inside(person, options) {
  const c = new CrustSocket(cluster, person, options);
  open.push(c);
  await c.opened;
  return c;
}
after(() => open.forEach((c) => c.ws.terminate()));

const post = (person, channel, content) => person.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content });
const is = (message) => (m) => m.messageID === idOf(message.id);
const keys = (object) => Object.keys(object).sort();

describe('the door', { timeout: 120000 }, () => {
  async function answer(query, headers = '') {
    const url = new URL(address(cluster));
    const socket = connect(Number(url.port), url.hostname);
    let text = '', ended = false;
    socket.on('data', (data) => { text += data; });
    socket.on('end', () => { ended = true; });
    socket.write(`GET ${url.pathname}${query} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n`
      + `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${headers}\r\n`);
    await until('an answer', () => text.includes('\r\n\r\n') && (ended || text.startsWith('HTTP/1.1 101')));
    socket.destroy();
    return { status: Number(text.split(' ')[1]), head: text.split('\r\n\r\n')[0], body: text.split('\r\n\r\n')[1] };
  }

  test('who is not logged in hears so with status 200 and is not upgraded', async () => {
    for (const [query, headers] of [['', ''], ['?jwt=nonsense', ''], ['?jwt=', ''], ['', 'Authorization: Bearer nonsense\r\n']]) {
      const { status, head, body } = await answer(query, headers);
      assert.equal(status, 200);
      assert.match(head, /Content-Type: application\/json/);
      assert.deepEqual(JSON.parse(body), { error: { message: 'Unauthorized' } });
    }
  });

  test('the token may come in the query, in a header or in a cookie, from any page', async () => {
    for (const [query, headers] of [[`?jwt=${ann.token}`, 'Origin: https://elsewhere.example\r\n'], ['', `Authorization: Bearer ${ann.token}\r\n`],
      ['', `Cookie: a=b; jwt=${ann.token}\r\n`]]) {
      const { status, head } = await answer(query, `${headers}Sec-WebSocket-Extensions: permessage-deflate\r\n`);
      assert.equal(status, 101);
      assert.doesNotMatch(head, /Sec-WebSocket-Extensions/i);
    }
  });

  test('who was banned from the team has no access', async () => {
    const eve = await newPerson(rest, 'eve');
    const c = await inside(eve);
    await owner.rest.ok('PUT', `/v1/teams/${team.id}/bans/${eve.id}`, { motive: 'out' });
    assert.equal(await c.closed, 1008);
    const { status, head, body } = await answer(`?jwt=${eve.token}`);
    assert.equal(status, 403);
    assert.match(head, /text\/plain/);
    assert.equal(body, 'Forbidden');
  });

  test('a revoked session is closed', async () => {
    const eve = await newPerson(rest, 'eve');
    const c = await inside(eve);
    await eve.rest.ok('DELETE', '/v1/sessions/current');
    assert.equal(await c.closed, 1008);
  });
});

describe('events', { timeout: 120000 }, () => {
  let a, b;
  before(async () => {
    [a, b] = await Promise.all([inside(ann, { gateway: 0 }), inside(bob, { gateway: 1 })]);
  });

  test('a message, with what is each one\'s own', async () => {
    const message = await post(ann, general, 'hello <b> & all');
    const mine = await a.one('message', is(message));
    const his = await b.one('message', is(message));
    assert.deepEqual(keys(his), ['canDelete', 'canEdit', 'canReply', 'channelID', 'createdAt', 'isBookmarked', 'isPinned', 'message', 'messageID',
      'type', 'userID']);
    assert.deepEqual([his.channelID, his.userID, his.message, his.type, his.canReply], [idOf(general.id), idOf(ann.id), 'hello <b> & all', '', true]);
    assert.match(his.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.deepEqual([mine.canEdit, mine.canDelete, his.canEdit, his.canDelete], [true, true, false, false]);
    assert.equal((await a.one('unread', (u) => u.channelID === idOf(general.id))).count, 0);
  });

  test('what is unread is counted for who has been there, and told before the message', async () => {
    await post(bob, general, 'bob was here');
    await b.one('unread', (u) => u.count === 0);
    b.forget();
    const message = await post(ann, general, 'one more');
    await b.one('message', is(message));
    assert.deepEqual(b.frames.map((frame) => Object.keys(frame)[0]).filter((key) => key !== 'activity'), ['unread', 'message']);
    assert.equal(b.all('unread')[0].count, 1);
    await bob.rest.ok('PUT', `/v1/channels/${general.id}/read`, {});
    assert.equal((await b.one('unread', (u) => u.count === 0)).lastMessageID, idOf(message.id));
  });

  test('an edit; only who bookmarked it sees it bookmarked', async () => {
    const message = await post(ann, general, 'before');
    await bob.rest.ok('PUT', `/v1/channels/${general.id}/messages/${message.id}/bookmark`);
    await ann.rest.ok('PATCH', `/v1/channels/${general.id}/messages/${message.id}`, { content: 'after' });
    const edited = (m) => is(message)(m) && m.message === 'after';
    const [mine, his] = await Promise.all([a.one('message', edited), b.one('message', edited)]);
    assert.ok(his.updatedAt);
    assert.deepEqual([mine.isBookmarked, his.isBookmarked, mine.canEdit, his.canEdit], [false, true, true, false]);
  });

  test('a reply: the counter of the first message, what is unread of the thread, the reply', async () => {
    const root = await post(bob, general, 'who?');
    await b.one('message', is(root));
    b.forget();
    const reply = await ann.rest.ok('POST', `/v1/channels/${general.id}/messages/${root.id}/replies`, { content: 'me' });
    const got = await b.one('message', is(reply));
    assert.equal(got.replyTo, idOf(root.id));
    const first = b.all('message', is(root))[0];
    assert.equal(first.replies, 1);
    assert.deepEqual(first.repliesFrom, [idOf(ann.id)]);
    assert.equal(b.all('unread', (u) => u.threadID === idOf(root.id))[0].count, 1);
    assert.equal(first.unread.count, 1);
    assert.equal(first.canEdit, true);
  });

  test('a deletion has deletedAt', async () => {
    const message = await post(ann, general, 'gone soon');
    await ann.rest.ok('DELETE', `/v1/channels/${general.id}/messages/${message.id}`);
    const gone = await b.one('message', (m) => is(message)(m) && m.deletedAt !== undefined);
    assert.equal(gone.message, '');
  });

  test('reactions and pins', async () => {
    const message = await post(ann, general, 'look');
    const path = `/v1/channels/${general.id}/messages/${message.id}`;
    const emoji = encodeURIComponent('⛵');
    await bob.rest.ok('PUT', `${path}/reactions/${emoji}`);
    const body = { messageID: idOf(message.id), userID: idOf(bob.id), reaction: '⛵' };
    assert.deepEqual(await a.one('messageReaction', (r) => r.messageID === body.messageID), body);
    await bob.rest.ok('DELETE', `${path}/reactions/${emoji}`);
    assert.deepEqual(await a.one('messageReactionRemoved', (r) => r.messageID === body.messageID), body);
    await owner.rest.ok('PUT', `${path}/pin`);
    const pin = { messageID: body.messageID, userID: idOf(owner.id), channelID: idOf(general.id) };
    assert.deepEqual(await a.one('messagePin'), pin);
    await owner.rest.ok('DELETE', `${path}/pin`);
    assert.deepEqual(await a.one('messagePinRemoved'), pin);
  });

  test('channels come with each one\'s own rights, joins and parts', async () => {
    const made = await ann.rest.ok('POST', '/v1/channels', { team_id: team.id, name: 'made', topic: 'why' }).catch(() => null)
      ?? await owner.rest.ok('POST', '/v1/channels', { team_id: team.id, name: 'made', topic: 'why' });
    const here = (c) => c.channelID === idOf(made.id);
    const his = await b.one('channel', here);
    for (const key of ['canJoin', 'canPart', 'canObserve', 'canSendMessages', 'canDeleteMessages', 'canChangeMembers',
      'canChangeMembershipPolicy', 'canUpdate', 'canArchive', 'canDelete']) assert.equal(typeof his[key], 'boolean', key);
    assert.deepEqual([his.name, his.topic, his.type, his.membershipFlag], ['made', 'why', 'public', '']);
    assert.equal(his.canObserve, true);
    assert.equal(his.canUpdate, false);
    b.forget();
    await bob.rest.ok('PUT', `/v1/channels/${made.id}/members/${bob.id}`, {});
    const bobs = (j) => here(j) && j.userID === idOf(bob.id);
    assert.deepEqual(await a.one('channelJoin', bobs), { channelID: idOf(made.id), userID: idOf(bob.id) });
    const joined = await a.one('channel', (c) => here(c) && c.members?.includes(idOf(bob.id)));
    assert.ok(joined);
    await bob.rest.ok('DELETE', `/v1/channels/${made.id}/members/${bob.id}`);
    assert.deepEqual(await a.one('channelPart', bobs), { channelID: idOf(made.id), userID: idOf(bob.id) });
    // Parting does not stop its messages: rights alone decide what is seen.
    const message = await post(owner, made, 'still');
    await b.one('message', is(message));
    await owner.rest.ok('PATCH', `/v1/channels/${made.id}`, { name: 'made anew' });
    await b.one('channel', (c) => here(c) && c.name === 'made anew');
    await owner.rest.ok('DELETE', `/v1/channels/${made.id}`);
    assert.ok((await b.one('channel', (c) => here(c) && c.deletedAt !== undefined)).deletedAt);
  });

  test('a conversation that is opened comes by itself, and only to its people', async () => {
    const talk = await ann.rest.ok('POST', '/v1/direct', { user_ids: [bob.id] });
    const mine = await b.one('channel', (c) => c.channelID === idOf(talk.id));
    assert.equal(mine.type, 'group');
    const message = await post(ann, talk, 'psst');
    await b.one('message', is(message));
    const third = await inside(owner);
    await post(ann, talk, 'again');
    const marker = await post(ann, general, 'for all');
    await third.one('message', is(marker));
    assert.deepEqual(third.all('message', (m) => m.channelID === idOf(talk.id)), []);
  });

  test('who comes, goes and types', async () => {
    const cy = await newPerson(rest, 'cy');
    const c = await inside(cy);
    const of = (kind) => (x) => x.userID === idOf(cy.id) && x.kind === kind;
    assert.equal((await a.one('activity', of('connected'))).present, true);
    const second = await inside(cy, { gateway: 1 });
    assert.equal((await c.one('activity', of('connected'))).present, true);
    const house = new Socket(`${cluster.ws(0)}`, { token: cy.token });
    await house.opened;
    await house.frame('hello');
    house.send({ op: 'typing', channel_id: general.id, is_typing: true });
    assert.deepEqual(await a.one('activity', of('typing')), { userID: idOf(cy.id), kind: 'typing', channelID: idOf(general.id), present: false });
    c.ws.close();
    house.ws.close();
    await Promise.all([c.closed, house.closed]);
    const marker = await post(bob, general, 'cy is still there by another socket');
    await a.one('message', is(marker));
    assert.deepEqual([...a.all('activity', of('disconnected')), ...second.all('activity', of('disconnected'))], []);
    second.ws.close();
    assert.equal((await a.one('activity', of('disconnected'))).present, false);
    // Once each, also to himself.
    for (const [socket, kind, times] of [[a, 'connected', 1], [b, 'connected', 1], [c, 'connected', 1], [second, 'connected', 0], [a, 'disconnected', 1],
      [b, 'disconnected', 1]]) {
      if (times > 0) await socket.one('activity', of(kind));
      assert.equal(socket.all('activity', of(kind)).length, times, kind);
    }
  });

  test('from time to time everybody is told of who is there, but for who is invisible', async () => {
    const [dan, eve] = [await newPerson(rest, 'dan'), await newPerson(rest, 'eve')];
    await eve.rest.ok('PUT', '/v1/me/presence', { status: 'invisible' });
    const [d, e] = await Promise.all([inside(dan, { gateway: 1 }), inside(eve)]);
    const beat = (person) => (x) => x.userID === idOf(person.id) && x.kind === undefined;
    for (const socket of [a, d, e])
      for (const person of [ann, bob, dan]) assert.deepEqual(await socket.one('activity', beat(person)), { userID: idOf(person.id), present: true });
    assert.deepEqual([a, d, e].flatMap((socket) => socket.all('activity', (x) => x.userID === idOf(eve.id))), []);
    d.ws.close();
    await a.one('activity', (x) => x.userID === idOf(dan.id) && x.kind === 'disconnected');
    a.forget();
    await until('two more beats', () => a.all('activity', beat(bob)).length === 2);
    assert.deepEqual(a.all('activity', (x) => x.userID === idOf(dan.id)), []);
  });

  test('house and crust see the same order', async () => {
    const house = new Socket(cluster.ws(1), { token: bob.token });
    await house.opened;
    await house.frame('hello');
    house.send({ op: 'subscribe', topics: [`channel:${general.id}`], ref: 1 });
    await house.frame('subscribed');
    await Promise.all([ann, bob, owner].map(async (person) => {
      for (let i = 0; i < 15; i++) await post(person, general, `order ${i}`);
    }));
    const order = (frames) => frames.filter((text) => text.startsWith('order ')).length;
    const seen = () => house.frames.filter((f) => f.type === 'channel_message' && f.data.content.startsWith('order ')).map((f) => idOf(f.data.message_id));
    const crust = () => b.all('message', (m) => m.message.startsWith('order ')).map((m) => m.messageID);
    await until('all of them', () => seen().length === 45 && crust().length === 45);
    assert.deepEqual(crust(), seen());
    assert.equal(order(b.all('message').map((m) => m.message)), 45);
    house.ws.close();
  });
});

describe('events of calls by REST', { timeout: 120000 }, () => {
  let a, b, channel;
  async function call(person, method, path, body) {
    const answer = (await plain(cluster.api, method, path, { token: person.token, body })).json;
    assert.equal(answer.error, undefined, JSON.stringify(answer));
    return answer.response;
  }
  before(async () => {
    [a, b] = await Promise.all([inside(ann), inside(bob, { gateway: 1 })]);
    const made = await owner.rest.ok('POST', '/v1/channels', { team_id: team.id, name: 'by rest' });
    channel = await call(owner, 'GET', `/channels/${idOf(made.id)}`);
  });
  const here = (x) => x.channelID === channel.channelID;

  test('a message is in an event what it is in an answer, for each who looks', async () => {
    const { messageID } = await call(ann, 'POST', `/channels/${channel.channelID}/messages/`, { message: 'to compare <@1 nobody>' });
    for (const [person, c] of [[ann, a], [bob, b]]) {
      const [answer] = await call(person, 'GET', `/search/messages?channelID=${channel.channelID}&fromMessageID=${messageID}`);
      assert.deepEqual(await c.one('message', (m) => m.messageID === messageID), answer);
    }
  });

  test('a channel is in an event what it is in an answer, for each who looks', async () => {
    await call(owner, 'PUT', `/channels/${channel.channelID}`, { name: 'by rest 2', topic: 'new' });
    for (const [person, c] of [[ann, a], [bob, b]]) {
      const pushed = await c.one('channel', (x) => here(x) && x.topic === 'new');
      assert.deepEqual(pushed, await call(person, 'GET', `/channels/${channel.channelID}`));
    }
    await b.one('message', (m) => here(m) && m.type === 'channelEvent' && m.userID === '0' && m.message.includes('renamed channel'));
  });

  test('an illeism, a reaction by its text, activity', async () => {
    await call(ann, 'POST', `/channels/${channel.channelID}/messages/command/me/exec`, { input: 'waves', params: ['waves'] });
    const { messageID } = await b.one('message', (m) => here(m) && m.type === 'illeism' && m.message === 'waves');
    await call(bob, 'POST', `/channels/${channel.channelID}/messages/${messageID}/reaction/:+1:`);
    assert.deepEqual(await a.one('messageReaction', (r) => r.messageID === messageID), { messageID, userID: idOf(bob.id), reaction: ':+1:' });
    await call(ann, 'POST', '/activity/', { channelID: channel.channelID, messageID, kind: 'looking' });
    assert.deepEqual(await b.one('activity', (x) => x.kind === 'looking'),
      { userID: idOf(ann.id), kind: 'looking', messageID, channelID: channel.channelID, present: false });
  });

  test('a mark is told on one\'s own sessions with what is unread behind it, and counted on from', async () => {
    const first = await call(ann, 'POST', `/channels/${channel.channelID}/messages/`, { message: 'one' });
    await call(ann, 'POST', `/channels/${channel.channelID}/messages/`, { message: 'two' });
    const other = await inside(bob);
    b.forget();
    await call(bob, 'GET', `/channels/${channel.channelID}/messages/mark-as-read?lastReadMessageID=${first.messageID}`);
    for (const c of [b, other]) {
      const unread = await c.one('unread', here);
      assert.deepEqual([unread.count, unread.lastMessageID, unread.threadCount], [1, first.messageID, 0]);
    }
    await call(ann, 'POST', `/channels/${channel.channelID}/messages/`, { message: 'three' });
    await b.one('unread', (u) => here(u) && u.count === 2);
    await other.one('unread', (u) => here(u) && u.count === 2);
    assert.deepEqual(a.all('unread', (u) => here(u) && u.count > 0), []);
  });

  test('a flag is in the channel that is told next, on the sessions of who set it', async () => {
    await call(bob, 'PUT', `/channels/${channel.channelID}/members/${idOf(bob.id)}`);
    await call(bob, 'PUT', `/channels/${channel.channelID}/flag`, { flag: 'pinned' });
    // The flag comes in his own stream, which has no order with the channel's: told anew until it has come.
    let topic;
    await until('the flag is told', async () => {
      topic = `newer ${randomUUID()}`;
      await call(owner, 'PUT', `/channels/${channel.channelID}`, { name: 'by rest 2', topic });
      return (await b.one('channel', (x) => here(x) && x.topic === topic)).membershipFlag === 'pinned';
    });
    assert.equal((await a.one('channel', (x) => here(x) && x.topic === topic)).membershipFlag, '');
  });
});

describe('rights', { timeout: 120000 }, () => {
  test('a private channel is for its members, and for them only as long as they are', async () => {
    const hidden = await owner.rest.ok('POST', '/v1/channels', { team_id: team.id, name: 'hidden', private: true });
    const [a, b] = await Promise.all([inside(ann), inside(bob, { gateway: 1 })]);
    await owner.rest.ok('PUT', `/v1/channels/${hidden.id}/members/${bob.id}`, {});
    await b.one('channelJoin', (j) => j.channelID === idOf(hidden.id));
    const first = await post(owner, hidden, 'for bob');
    await b.one('message', is(first));
    assert.equal((await b.one('channel', (c) => c.channelID === idOf(hidden.id))).type, 'private');
    await owner.rest.ok('POST', `/v1/channels/${hidden.id}/members/${bob.id}/kick`, {});
    await b.one('channelPart', (p) => p.channelID === idOf(hidden.id));
    const second = await post(owner, hidden, 'for nobody');
    const marker = await post(owner, general, 'after that');
    await Promise.all([a.one('message', is(marker)), b.one('message', is(marker))]);
    assert.deepEqual(b.all('message', is(second)), []);
    for (const key of ['message', 'channel']) assert.deepEqual(a.all(key, (x) => x.channelID === idOf(hidden.id)), []);
  });
});

describe('what frames ask', { timeout: 120000 }, () => {
  let a, b;
  before(async () => {
    [a, b] = await Promise.all([inside(ann), inside(bob, { gateway: 1 })]);
  });

  test('messages are made, changed and deleted', async () => {
    a.say({ createMessage: { channelID: idOf(general.id), message: ' said by frame ' } });
    const made = await b.one('message', (m) => m.message === 'said by frame');
    a.say({ updateMessage: { messageID: made.messageID, message: 'changed by frame' } });
    await b.one('message', (m) => m.messageID === made.messageID && m.message === 'changed by frame');
    a.say({ createMessage: { channelID: idOf(general.id), replyTo: made.messageID, message: 'answered by frame' } });
    assert.equal((await b.one('message', (m) => m.message === 'answered by frame')).replyTo, made.messageID);
    a.say({ deleteMessage: { messageID: made.messageID } });
    await b.one('message', (m) => m.messageID === made.messageID && m.deletedAt);
    b.say({ updateMessage: { messageID: made.messageID, message: 'not there' } });
    assert.deepEqual(await b.one('error'), { m: 'messaging.repository.MessageNotFound' });
    assert.deepEqual(a.all('error'), []);
    const waved = await plain(cluster.api, 'POST', `/channels/${idOf(general.id)}/messages/command/me/exec`, { token: ann.token, body: { input: 'waves' } });
    const { messageID } = waved.json.response;
    for (const [frame, text] of [[{ createMessage: { replyTo: messageID, message: 'x' } }, 'unable to reply on this message (type = illeism)'],
      [{ createMessage: { channelID: idOf(general.id), message: 'x'.repeat(4001) } }, 'message too long (max: 4000)'],
      [{ createChannel: { name: 'x'.repeat(101) } }, 'channel name (101 characters) too long (max: 100)']]) {
      a.forget();
      a.say(frame);
      assert.deepEqual(await a.one('error'), { m: text });
    }
    a.forget();
    a.say(Buffer.from(JSON.stringify({ createmessage: { channelid: idOf(general.id), message: 'in a binary frame' } })));
    await a.one('message', (m) => m.message === 'in a binary frame');
  });

  test('channels are listed, made, changed, joined and parted from', async () => {
    b.say({ channels: {} });
    const listed = (await b.one('channels')).find((c) => c.channelID === idOf(general.id));
    assert.deepEqual([listed.name, listed.canObserve, listed.type], ['general', true, 'public']);
    for (const name of ['aft', 'Anchor', 'ZOO', 'anchor', 'bow']) await owner.rest.ok('POST', '/v1/channels', { team_id: team.id, name });
    b.forget();
    b.say({ channels: {} });
    const byRest = (await plain(cluster.api, 'GET', '/channels/', { token: bob.token })).json.response;
    assert.deepEqual((await b.one('channels')).map((c) => c.channelID), byRest.map((c) => c.channelID), 'REST has the same order');
    const o = await inside(owner);
    o.say({ createChannel: { name: 'by frame', topic: 'x', type: 'private' } });
    const made = await o.one('channel', (c) => c.name === 'by frame');
    assert.deepEqual([made.type, made.topic], ['private', 'x']);
    o.say({ updateChannel: { id: made.channelID, name: 'by frame 2' } });
    await o.one('channel', (c) => c.channelID === made.channelID && c.name === 'by frame 2');
    b.forget();
    b.say({ joinChannel: { id: made.channelID } });
    assert.deepEqual(await b.one('error'), { m: 'messaging.repository.ChannelNotFound' });
    b.say({ joinChannel: { id: idOf(general.id) } });
    await a.one('channelJoin', (j) => j.channelID === idOf(general.id) && j.userID === idOf(bob.id));
    b.say({ partChannel: { id: idOf(general.id) } });
    await a.one('channelPart', (j) => j.channelID === idOf(general.id) && j.userID === idOf(bob.id));
  });

  test('what is not understood is told, and the connection stays', async () => {
    b.forget();
    b.say('this is no JSON');
    assert.match((await b.one('error')).m, /^Session\.incoming: payload malformed/);
    b.say({ recordChannelView: {}, getUsers: {} });
    const marker = await post(ann, general, 'still there');
    await b.one('message', is(marker));
    assert.equal(b.all('error').length, 1);
  });
});

test('a gap closes the socket: there is no resume here', { timeout: 60000 }, async () => {
  const c = await inside(ann, { gateway: 1 });
  await cluster.copies.gateway[1].stop();
  const code = await c.closed;
  assert.ok([1012, 1006].includes(code), String(code));
  cluster.copies.gateway[1].spawn();
  await cluster.copies.gateway[1].ready();
  const again = await inside(ann, { gateway: 1 });
  const message = await post(bob, general, 'and on it goes');
  await again.one('message', is(message));
});
