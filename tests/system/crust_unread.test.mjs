// What crust pushes of what is unread, step by step beside what it answers: `unread` of channels and threads, and those inside of
// `message` and `channel`. A client that adds up what is pushed has to come to what a client reads that asks.
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, newPerson } from './lib/client.mjs';
import { idOf, plain } from './lib/crust.mjs';
import { CrustSocket } from './lib/crust_socket.mjs';
import { until } from './lib/wait.mjs';

const cluster = new Cluster({ copies: { gateway: 2 } });
const open = [];
let owner, ann, bob, cy, team, side;

async function call(person, method, path, body) {
  const answer = await plain(cluster.api, method, path, { token: person.token, body });
  assert.equal(answer.json?.error, undefined, `${method} ${path}: ${answer.text}`);
  return answer.json.response;
}

before(async () => {
  await cluster.start();
  const rest = new Rest([cluster.api]);
  owner = await newPerson(rest, 'owner');
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'the oldest', joining: 'open' });
  [ann, bob, cy] = await Promise.all(['ann', 'bob', 'cy'].map((name) => newPerson(rest, name)));
  await Promise.all([ann, bob, cy].map((person) => call(person, 'GET', '/channels/')));
  side = idOf((await owner.rest.ok('POST', '/v1/channels', { team_id: team.id, name: 'side' })).id);
}, { timeout: 120000 });
after(async () => {
  open.forEach((mirror) => mirror.socket.ws.terminate());
  await cluster.destroy();
}, { timeout: 60000 });

const nothing = { count: 0, threadCount: 0, threadTotal: 0 };
const counts = ({ count = 0, threadCount = 0, threadTotal = 0 } = {}) => ({ count, threadCount, threadTotal });

/** What a client of a person knows of one channel: read once, then from frames alone. */
class Mirror {
  constructor(person, channel, gateway) {
    this.person = person;
    this.channel = channel;
    this.socket = new CrustSocket(cluster, person, { gateway });
    open.push(this);
  }

  async begin() {
    await this.socket.opened;
    this.start = await this.read();
    this.socket.forget();
    return this;
  }

  /** What REST answers now: the channel's counts, and those of each thread with its last message. */
  async read() {
    const channel = await call(this.person, 'GET', `/channels/${this.channel}`);
    const messages = await call(this.person, 'GET', `/search/messages?channelID=${this.channel}&limit=100`);
    const threads = Object.fromEntries(messages.filter((m) => m.unread).map((m) => [m.messageID, m.unread]));
    return { counts: counts(channel.unread), threads, messages };
  }

  /** The same from the frames. */
  told() {
    let state = this.start.counts;
    const threads = { ...this.start.threads };
    const put = (id, unread) => {
      if (unread?.count) threads[id] = { ...(unread.lastMessageID && { lastMessageID: unread.lastMessageID }), count: unread.count, threadCount: 0 };
      else delete threads[id];
    };
    for (const frame of this.socket.frames) {
      const { unread, message, channel } = frame;
      if (unread?.channelID === this.channel && unread.threadID) put(unread.threadID, unread);
      else if (unread?.channelID === this.channel) state = counts(unread);
      if (unread?.channelID === this.channel && !unread.threadID && unread.threadCount === 0) for (const id of Object.keys(threads)) delete threads[id];
      if (channel?.channelID === this.channel) state = counts(channel.unread);
      if (message?.channelID === this.channel && !message.replyTo) put(message.messageID, message.deletedAt ? undefined : message.unread);
    }
    return { counts: state, threads };
  }

  /** Everything that happened has been told, and is what REST answers. */
  async agrees() {
    const { messageID } = await call(owner, 'POST', `/channels/${side}/messages/`, { message: 'so far' });
    await this.socket.one('message', (m) => m.messageID === messageID);
    const { messages, ...wanted } = await this.read();
    await until(`frames that say ${JSON.stringify(wanted)} and not ${JSON.stringify(this.told())}: ${JSON.stringify(this.socket.frames).slice(-3000)}`,
      () => isDeepStrictEqual(this.told(), wanted), 5000).catch((error) => { assert.deepEqual(this.told(), wanted, error.message); });
    // The newest frame of a message is what an answer shows of it.
    const newest = new Map(this.socket.all('message', (m) => m.channelID === this.channel && !m.deletedAt).map((m) => [m.messageID, m]));
    for (const message of messages)
      if (newest.has(message.messageID)) {
        const pushed = newest.get(message.messageID);
        if (this.settled?.has(message.messageID)) continue; // something that has no `message` frame (a mark, a pin, a reaction) came after it
        assert.deepEqual(pushed.unread, message.unread, message.message);
      }
    return wanted;
  }
}

const mirror = (person, channel, gateway = 0) => new Mirror(person, channel, gateway).begin();
async function channelOf(...people) {
  const made = await owner.rest.ok('POST', '/v1/channels', { team_id: team.id, name: `c${Math.random().toString(36).slice(2, 10)}` });
  for (const person of people) await call(person, 'PUT', `/channels/${idOf(made.id)}/members/${idOf(person.id)}`);
  return idOf(made.id);
}
const post = (person, channel, message) => call(person, 'POST', `/channels/${channel}/messages/`, { message });
const reply = (person, channel, root, message) => call(person, 'POST', `/channels/${channel}/messages/${root.messageID}/replies`, { message });
const mark = (person, channel, query = '') => call(person, 'GET', `/channels/${channel}/messages/mark-as-read${query}`);

describe('what is pushed of what is unread is what is answered', { timeout: 120000 }, () => {
  test('of channels: posts of others and one\'s own, marks, deletions', async () => {
    const channel = await channelOf(ann, bob);
    const [a, b, b2] = await Promise.all([mirror(ann, channel), mirror(bob, channel, 1), mirror(bob, channel)]);
    const all = () => Promise.all([a, b, b2].map((m) => m.agrees()));
    const first = await post(ann, channel, 'one');
    await post(ann, channel, 'two');
    const last = await post(ann, channel, 'three');
    assert.deepEqual((await all())[1].counts, { ...nothing, count: 3 });
    await mark(bob, channel, `?lastReadMessageID=${first.messageID}`);
    assert.deepEqual((await all())[2].counts, { ...nothing, count: 2 });
    await call(ann, 'DELETE', `/channels/${channel}/messages/${last.messageID}`);
    assert.deepEqual((await all())[1].counts, { ...nothing, count: 1 });
    await post(bob, channel, 'four');
    assert.deepEqual((await all())[1].counts, nothing);
  });

  test('of threads that one follows and does not, with edits, pins, marks and deletions', async () => {
    const channel = await channelOf(ann, bob, cy);
    const [a, b, c] = await Promise.all([mirror(ann, channel), mirror(bob, channel, 1), mirror(cy, channel)]);
    const all = () => Promise.all([a, b, c].map((m) => m.agrees()));
    const roots = [await post(bob, channel, 'first'), await post(bob, channel, 'second'), await post(ann, channel, 'third')];
    await all();
    const inFirst = [await reply(ann, channel, roots[0], 'a'), await reply(ann, channel, roots[0], 'b')];
    await reply(ann, channel, roots[1], 'c');
    await reply(cy, channel, roots[2], 'd');
    let [, his, hers] = await all();
    assert.deepEqual([his.counts.threadCount, his.counts.threadTotal], [3, 2]);
    assert.equal(his.threads[roots[0].messageID].count, 2);
    assert.deepEqual(hers.threads, {});

    // An edit of a first message says what is unread below it, to who follows the thread.
    b.socket.forget();
    c.socket.forget();
    [b.start, c.start] = [await b.read(), await c.read()];
    await call(bob, 'PUT', `/channels/${channel}/messages/${roots[0].messageID}`, { message: 'first, corrected' });
    await all();
    const edited = (m) => m.messageID === roots[0].messageID && m.message === 'first, corrected';
    assert.deepEqual((await b.socket.one('message', edited)).unread, { count: 2, threadCount: 0 });
    assert.equal((await c.socket.one('message', edited)).unread, undefined);
    await call(ann, 'PUT', `/channels/${channel}/messages/${inFirst[1].messageID}`, { message: 'b, corrected' });
    for (const method of ['POST', 'DELETE']) await call(owner, method, `/channels/${channel}/messages/${roots[0].messageID}/pin`);
    await all();

    // A mark of a thread: up to a reply, then all of it.
    await mark(bob, channel, `?threadID=${roots[0].messageID}&lastReadMessageID=${inFirst[0].messageID}`);
    b.settled = new Set([roots[0].messageID]);
    [, his] = await all();
    assert.deepEqual(his.threads[roots[0].messageID], { lastMessageID: inFirst[0].messageID, count: 1, threadCount: 0 });
    await reply(cy, channel, roots[0], 'e');
    b.settled.clear();
    [, his] = await all();
    assert.equal(his.threads[roots[0].messageID].count, 2);
    await mark(bob, channel, `?threadID=${roots[0].messageID}`);
    b.settled.add(roots[0].messageID);
    [, his] = await all();
    assert.deepEqual([his.counts.threadCount, his.counts.threadTotal], [1, 1]);

    // Replies that go take what is unread of them along; a first message takes its thread, and one of what is unread in the channel.
    const more = [await reply(ann, channel, roots[0], 'f'), await reply(ann, channel, roots[0], 'g')];
    b.settled.clear();
    await call(ann, 'DELETE', `/channels/${channel}/messages/${more[0].messageID}`);
    [, his, hers] = await all();
    assert.equal(his.threads[roots[0].messageID].count, 1);
    assert.equal(hers.threads[roots[0].messageID].count, 1);
    await call(bob, 'DELETE', `/channels/${channel}/messages/${roots[1].messageID}`);
    [, his] = await all();
    assert.deepEqual(his.counts, { count: 0, threadCount: 1, threadTotal: 1 });

    // Who replies has read the thread, and the main stream no more than before.
    await post(ann, channel, 'something else');
    await reply(bob, channel, roots[0], 'h');
    [, his] = await all();
    assert.deepEqual(his.counts, { ...nothing, count: 1 });

    // The channel's mark takes everything.
    await reply(ann, channel, roots[0], 'i');
    await all();
    b.socket.forget();
    b.start = await b.read();
    const answered = await mark(bob, channel);
    b.settled.add(roots[0].messageID);
    [, his] = await all();
    assert.deepEqual(his, { counts: nothing, threads: {} });
    const newest = (await b.read()).messages.find((m) => m.message === 'something else').messageID;
    assert.deepEqual(answered, { lastMessageID: newest, count: 0, threadCount: 1 });
    assert.deepEqual(b.socket.all('unread'), [{ channelID: channel, lastMessageID: newest, count: 0, threadCount: 0 }]);
  });

  test('of a thread that one is named in; of who is no member; of who just became one', async () => {
    const channel = await channelOf(ann);
    const [b, c] = await Promise.all([mirror(bob, channel), mirror(cy, channel, 1)]);
    const both = () => Promise.all([b, c].map((m) => m.agrees()));
    const root = await post(ann, channel, 'who?');
    await reply(ann, channel, root, `<@${idOf(bob.id)}> is`);
    let [his] = await both();
    assert.deepEqual(his.counts, { count: 0, threadCount: 1, threadTotal: 1 });
    await post(ann, channel, 'not counted for strangers');
    await both();
    await call(cy, 'PUT', `/channels/${channel}/members/${idOf(cy.id)}`);
    await post(ann, channel, 'counted from now on');
    const [, hers] = await both();
    assert.deepEqual(hers.counts, { ...nothing, count: 1 });
    // A reply makes somebody counted too, who has then read what was there.
    await reply(bob, channel, root, 'I am');
    await post(ann, channel, 'and on');
    [his] = await both();
    assert.deepEqual(his.counts, { ...nothing, count: 1 });
  });

  test('of a conversation from its first message on', async () => {
    const talk = idOf((await ann.rest.ok('POST', '/v1/direct', { user_ids: [cy.id] })).id);
    const c = await mirror(cy, talk, 1);
    await post(ann, talk, 'psst');
    assert.deepEqual((await c.agrees()).counts, { ...nothing, count: 1 });
  });

  test('of a channel that is changed, and again for who comes back', async () => {
    const channel = await channelOf(ann, bob);
    const b = await mirror(bob, channel);
    const root = await post(bob, channel, 'root');
    await reply(ann, channel, root, 'one');
    await post(ann, channel, 'two');
    await b.agrees();
    await call(owner, 'PUT', `/channels/${channel}`, { name: 'changed', topic: 'by its owner' });
    const pushed = await b.socket.one('channel', (x) => x.topic === 'by its owner');
    assert.deepEqual(pushed, await call(bob, 'GET', `/channels/${channel}`));
    assert.deepEqual(counts(pushed.unread), { count: 1, threadCount: 1, threadTotal: 1 });
    b.socket.ws.terminate();
    await reply(ann, channel, root, 'three, while he was away');
    const again = await mirror(bob, channel, 1);
    await reply(ann, channel, root, 'four');
    assert.deepEqual((await again.agrees()).counts, { count: 1, threadCount: 3, threadTotal: 1 });
    const [listed] = await (async () => {
      again.socket.say({ channels: {} });
      return (await again.socket.one('channels')).filter((x) => x.channelID === channel);
    })();
    assert.deepEqual(listed.unread, (await call(bob, 'GET', `/channels/${channel}`)).unread);
  });
});
