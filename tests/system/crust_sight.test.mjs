// Which channels somebody has on his list, by the frames alone: what comes into his sight and what goes, by whatever change of rights.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { idOf, plain } from './lib/crust.mjs';
import { CrustSocket } from './lib/crust_socket.mjs';
import { random as generator, seed, until } from './lib/wait.mjs';

const cluster = new Cluster({ copies: { gateway: 2 }, environment: { GUILDHALL_LIMIT_REQUESTS_PER_S: '0', GUILDHALL_LIMIT_POSTS_PER_5S: '0' } });
let owner, ann, bob, cat, team, general;
const roles = {};

before(async () => {
  await cluster.start();
  const rest = new Rest([cluster.api]);
  owner = await newPerson(rest, 'owner');
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'the oldest', joining: 'open' });
  [ann, bob, cat] = await Promise.all(['ann', 'bob', 'cat'].map((name) => newPerson(rest, name)));
  for (const person of [ann, bob, cat]) await person.rest.ok('PUT', `/v1/teams/${team.id}/members/${person.id}`, {});
  general = await owner.rest.ok('POST', '/v1/channels', { team_id: team.id, name: 'general' });
  roles.crew = await owner.rest.ok('POST', `/v1/teams/${team.id}/roles`, { name: 'crew' });
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

/* Somebody's list as his page keeps it: what it can join or observe and is not archived or deleted. Sent away, it comes back and reads it
 * again. */
class List {
  constructor(person, gateway) {
    Object.assign(this, { person, gateway, away: 0 });
  }

  async open() {
    this.socket = new CrustSocket(cluster, this.person, { gateway: this.gateway });
    this.at = 0;
    await this.socket.opened;
    this.channels = new Map((await this.rest()).map((c) => [c.channelID, c]));
    return this;
  }

  async rest() {
    return (await plain(cluster.api, 'GET', '/channels/', { token: this.person.token })).json.response;
  }

  /** Returns what was told to be gone, by frames that say nothing else, and all that was ever had before. */
  apply() {
    const told = [], had = new Set([...this.ever ?? [], ...this.channels.keys()]);
    for (const { channel } of this.socket.frames.slice(this.at).filter((f) => f.channel)) {
      if ((channel.canJoin || channel.canObserve) && !channel.archivedAt && !channel.deletedAt) {
        this.channels.set(channel.channelID, channel);
        had.add(channel.channelID);
      } else {
        this.channels.delete(channel.channelID);
        if (channel.name === '') told.push(channel.channelID);
      }
    }
    this.at = this.socket.frames.length;
    this.ever = had;
    return { told, had };
  }

  /** Everything up to this message in the open channel has arrived, or the socket was sent away and is back. */
  async reach(message) {
    await until('the mark, or the end', () => this.socket.code || this.socket.all('message', (m) => m.messageID === idOf(message.id))[0]);
    if (!this.socket.code) return;
    assert.equal(this.socket.code, 1012);
    this.away++;
    await this.open();
  }

  of(channel) {
    return this.socket.all('channel', (c) => c.channelID === idOf(channel.id));
  }

  close() {
    this.socket?.ws.terminate();
  }
}

const lists = [];
async function listOf(person, gateway = 0) {
  const list = new List(person, gateway);
  lists.push(list);
  return list.open();
}
after(() => lists.forEach((list) => list.close()));

const mark = () => owner.rest.ok('POST', `/v1/channels/${general.id}/messages`, { content: 'mark' });
const makeChannel = (fields) => owner.rest.ok('POST', '/v1/channels', { team_id: team.id, name: 'harbour', ...fields });
const gone = (c) => !c.canJoin && !c.canObserve;

describe('a channel goes, and comes back', { timeout: 120000 }, () => {
  let a, b;
  before(async () => {
    [a, b] = await Promise.all([listOf(ann, 0), listOf(bob, 1)]);
  });
  const settle = async (...some) => {
    const message = await mark();
    await Promise.all(some.map((list) => list.reach(message)));
  };

  /* [what is done, how it takes the channel from ann, how it gives it back] */
  const at = (channel, suffix = '') => `/v1/channels/${channel.id}${suffix}`;
  const deny = { allow: [], deny: ['view_text'] };
  const ways = {
    'a channel that is made private': [(c) => owner.rest.ok('PATCH', at(c), { private: true }), (c) => owner.rest.ok('PATCH', at(c), { private: false }), true],
    'a ban from it': [(c) => owner.rest.ok('PUT', at(c, `/bans/${ann.id}`), { motive: 'x' }), (c) => owner.rest.ok('DELETE', at(c, `/bans/${ann.id}`))],
    'an override of one person': [(c) => owner.rest.ok('PUT', at(c, `/overrides/${ann.id}`), deny), (c) => owner.rest.ok('DELETE', at(c, `/overrides/${ann.id}`))],
    'an override of a role': [async (c) => {
      await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${ann.id}/roles/${roles.crew.id}`, {});
      await owner.rest.ok('PUT', at(c, `/overrides/${roles.crew.id}`), deny);
    }, (c) => owner.rest.ok('DELETE', at(c, `/overrides/${roles.crew.id}`))],
    'a role that is denied it, taken and given': [async (c) => {
      await owner.rest.ok('DELETE', `/v1/teams/${team.id}/members/${ann.id}/roles/${roles.crew.id}`);
      await owner.rest.ok('PUT', at(c, `/overrides/${roles.crew.id}`), deny);
      await owner.rest.ok('PUT', `/v1/teams/${team.id}/members/${ann.id}/roles/${roles.crew.id}`, {});
    }, () => owner.rest.ok('DELETE', `/v1/teams/${team.id}/members/${ann.id}/roles/${roles.crew.id}`)],
  };
  for (const [name, [take, give, everybody]] of Object.entries(ways)) {
    test(name, async () => {
      const channel = await makeChannel({ name: `for ${name}`.slice(0, 40), topic: 'ships' });
      await settle(a, b);
      assert.equal(gone(a.of(channel).at(-1)), false);
      for (const list of [a, b]) list.socket.forget(), list.at = 0;
      await take(channel);
      await owner.rest.ok('PATCH', at(channel), { name: 'secret now', topic: 'hush' });
      await settle(a, b);
      const told = a.of(channel);
      assert.deepEqual(told.map(gone).at(-1), true, 'he is told that it is gone');
      assert.equal(told.filter(gone).length, 1, 'once');
      assert.deepEqual([told.at(-1).name, told.at(-1).topic, told.at(-1).members], ['', '', undefined]);
      assert.deepEqual(a.socket.frames.filter((f) => /secret|hush/.test(JSON.stringify(f))), []);
      assert.equal(b.of(channel).some(gone), Boolean(everybody), 'nobody else is');
      for (const list of [a, b]) list.socket.forget(), list.at = 0;
      await give(channel);
      await settle(a, b);
      assert.deepEqual(a.of(channel).map((c) => [c.name, c.canObserve]), [['secret now', true]], 'he is shown it as it is, once');
      assert.equal(b.of(channel).some(gone), false);
      assert.deepEqual([a.away, b.away], [0, 0]);
    });
  }

  test('of a private channel that he never saw he is told nothing', async () => {
    for (const list of [a, b]) list.socket.forget(), list.at = 0;
    const channel = await makeChannel({ name: 'cabinet', private: true });
    await owner.rest.ok('PATCH', at(channel), { topic: 'x' });
    await owner.rest.ok('DELETE', at(channel));
    await owner.rest.ok('POST', at(channel, '/restore'), {});
    await settle(a, b);
    assert.deepEqual([a.of(channel), b.of(channel)], [[], []]);
  });

  test('who loses the view of all channels reads his list again', async () => {
    const everyone = (await owner.rest.ok('GET', `/v1/teams/${team.id}/roles`)).items.at(-1);
    const { permissions } = everyone;
    await owner.rest.ok('PATCH', `/v1/roles/${everyone.id}`, { permissions: permissions.filter((p) => p !== 'view_text') });
    for (const list of [a, b]) assert.equal(await list.socket.closed, 1012);
    await owner.rest.ok('PATCH', `/v1/roles/${everyone.id}`, { permissions });
    for (const list of [a, b]) await list.open();
  });
});

const steps = Number(process.env.GUILDHALL_SIGHTS ?? 40);
describe('whatever happens to channels and rights', { timeout: 300000 }, () => {
  const pick = (next, list) => list[Math.floor(next() * list.length)];
  const everyone = (next) => pick(next, [ann, bob, cat]);

  const byHouse = async (person) => (await person.rest.ok('GET', `/v1/channels?team=${team.id}&limit=100`)).items.map((c) => idOf(c.id)).sort();

  /* One change by the owner: some are refused, as things stand, which is as good. */
  const acts = {
    async flip(next, c) { await owner.rest.call('PATCH', c.path, { private: next() < 0.5 }); },
    async rename(next, c) { await owner.rest.call('PATCH', c.path, { name: `n${Math.floor(next() * 1e6)}` }); },
    async archive(next, c) { await owner.rest.call('POST', `${c.path}/archive`, {}); },
    async restore(next, c) { await owner.rest.call('POST', `${c.path}/restore`, {}); },
    async remove(next, c) { await owner.rest.call('DELETE', c.path); },
    async part(next, c) { await owner.rest.call('DELETE', `${c.path}/members/${everyone(next).id}`); },
    async add(next, c) { await owner.rest.call('PUT', `${c.path}/members/${everyone(next).id}`, {}); },
    async ban(next, c) { await owner.rest.call('PUT', `${c.path}/bans/${everyone(next).id}`, { motive: 'x' }); },
    async unban(next, c) { await owner.rest.call('DELETE', `${c.path}/bans/${everyone(next).id}`); },
    async person(next, c) {
      const rule = pick(next, [{ allow: ['view_text'], deny: [] }, { allow: [], deny: ['view_text'] }, { allow: [], deny: [] }]);
      await owner.rest.call('PUT', `${c.path}/overrides/${everyone(next).id}`, rule);
    },
    async crew(next, c) {
      const rule = pick(next, [{ allow: ['view_text'], deny: [] }, { allow: [], deny: ['view_text'] }, { allow: [], deny: [] }]);
      await owner.rest.call('PUT', `${c.path}/overrides/${roles.crew.id}`, rule);
    },
    async sailor(next) {
      await owner.rest.call(next() < 0.5 ? 'PUT' : 'DELETE', `/v1/teams/${team.id}/members/${everyone(next).id}/roles/${roles.crew.id}`);
    },
    async make(next, c, all) {
      if (all.length >= 12) return;
      const made = await makeChannel({ name: `m${Math.floor(next() * 1e6)}`, private: next() < 0.5, members: next() < 0.5 ? [everyone(next).id] : [] });
      all.push({ ...made, path: `/v1/channels/${made.id}` });
    },
  };

  test(`${steps} changes: every list is at each step what REST says, seed ${seed}`, async (t) => {
    const next = generator(seed), all = [];
    for (let i = 0; i < 4; i++) await acts.make(next, null, all);
    const watching = await Promise.all([ann, bob, cat].map((person, i) => listOf(person, i % 2)));
    const house = async (person, i) => {
      const socket = new Socket(cluster.ws((i + 1) % 2), { token: person.token });
      await socket.frame('hello');
      socket.send({ op: 'subscribe', topics: [`team:${team.id}`] });
      await socket.frame('subscribed');
      return { person, socket };
    };
    const houses = await Promise.all([ann, bob, cat].map(house));
    const trail = [];
    for (let i = 0; i < steps; i++) {
      /* One after the other, or all at once: then a gateway may hear of a change when the next is made already. */
      const together = next() < 0.5, running = [];
      for (let burst = 1 + Math.floor(next() * 4); burst > 0; burst--) {
        const name = pick(next, Object.keys(acts)), c = pick(next, all);
        trail.push(`${name} ${idOf(c.id)}${together ? ' at once' : ''}`);
        running.push(acts[name](next, c, all));
        if (!together) await running.at(-1);
      }
      await Promise.all(running);
      const where = `step ${i}, seed ${seed}, after ${trail.slice(-6).join(', ')}`;
      const spoken = pick(next, all);
      const said = await owner.rest.call('POST', `${spoken.path}/messages`, { content: 'who hears this?' }); // nobody, if it is archived or deleted
      const message = await mark();
      for (const list of watching) {
        await list.reach(message);
        const { told, had } = list.apply(), rest = (await list.rest()).map((c) => c.channelID).sort();
        assert.deepEqual([...list.channels.keys()].sort(), rest, `${list.person.username}, ${where}`);
        assert.deepEqual(told.filter((id) => !had.has(id)), [], `${list.person.username} is told that it is gone what he never had, ${where}`);
        assert.deepEqual(await byHouse(list.person), rest, where);
      }
      for (const [k, { person, socket }] of houses.entries()) {
        const marked = () => socket.frames.some((f) => f.data?.message_id === message.id);
        await until('the mark, or the end', () => socket.close || marked());
        if (!marked()) { // what it may be shown was not known in time: it is told, and comes back
          assert.equal(socket.close.code, 1012, where);
          houses[k] = await house(person, k);
          continue;
        }
        const heard = socket.frames.some((f) => f.type === 'channel_message' && f.data.message_id === said.json.id);
        assert.equal(heard, said.status === 201 && (await byHouse(person)).includes(idOf(spoken.id)), `${person.username}, ${where}`);
        socket.frames.length = 0;
      }
    }
    for (const { socket } of houses) socket.end();
    const away = watching.reduce((sum, list) => sum + list.away, 0);
    t.diagnostic(`sent away ${away} times in ${steps} steps`);
  });
});
