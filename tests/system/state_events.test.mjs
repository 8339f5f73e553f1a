// State and events agree: whatever people do, what was fetched before plus the events is what is fetched after, for the owner and for
// a plain member, who sees less. Sequences of calls are random and repeatable: GUILDHALL_TEST_SEED names one, GUILDHALL_ROUNDS how many.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { Mirror } from './lib/mirror.mjs';
import { random as generator, seed } from './lib/wait.mjs';

const cluster = new Cluster({ copies: { api: 2, messaging: 2, gateway: 2 } });
const rounds = Number(process.env.GUILDHALL_ROUNDS ?? 40);
const callsOfRound = 8;
let rest, people, owner, watcher, team, hall;

before(async () => {
  await cluster.start();
  rest = new Rest(cluster.copies.api.map((copy) => `http://127.0.0.1:${copy.httpPort}`));
  people = [];
  for (const name of ['owner', 'watcher', 'ann', 'ben', 'cem']) people.push(await newPerson(rest, name));
  [owner, watcher] = people;
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'state', joining: 'open' });
  for (const person of people.slice(1)) await person.rest.ok('PUT', `/v1/teams/${team.id}/members/${person.id}`, {});
  hall = await owner.rest.ok('POST', '/v1/channels', { name: 'hall', team_id: team.id });
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

function randomOf(number) {
  const next = generator(number);
  return { below: (n) => Math.floor(next() * n), of: (list) => list[Math.floor(next() * list.length)] };
}

/* ---- the calls. Each gets the world as the owner sees it and gives a request, or null when there is nothing to do it to. */
const words = ['apple', 'brook', 'cedar', 'dawn'];
const emoji = ['👍', '🎉', 'ok'];
const liveChannels = (w) => [...w.mirror.channels.values()].filter((c) => c.archived_at === null);
const channelOf = (w) => w.random.of(liveChannels(w));
const messageOf = (w, channel, mine) => {
  const list = [...(w.mirror.messages.get(channel?.id)?.values() ?? [])].filter((m) => !mine || m.author === w.actor.id);
  return list.length ? w.random.of(list) : null;
};
const at = (channel, rest_ = '') => `/v1/channels/${channel.id}${rest_}`;
const onMessage = (w, method, suffix, body, { mine = false } = {}) => {
  const channel = channelOf(w), message = messageOf(w, channel, mine);
  return message ? [method, at(channel, `/messages/${message.id}${suffix}`), body] : null;
};
const someone = (w) => w.random.of(people.slice(2)); /* never those who watch */
/* The same, in the team if anybody is. */
const member = (w) => w.random.of(people.slice(2).filter((p) => w.mirror.members.has(p.id))) ?? someone(w);
/* Where nobody is in an open channel, the owner puts somebody there. */
const putInto = (w) => (w.as = 'joinChannel') && ['PUT', at(channelOf(w), `/members/${member(w).id}`), {}];
/* Somebody who is in an open channel, as [channel, person]. */
const joined = (w) => w.random.of([...w.mirror.channelMembers].filter(([id]) => !w.mirror.channels.get(id).archived_at)
  .flatMap(([id, members]) => people.slice(2).filter((p) => members.has(p.id)).map((p) => [id, p.id])));
const aRole = (w) => w.random.of([...w.mirror.roles.values()].filter((r) => r.position > 0));

const calls = {
  post: (w) => ['POST', at(channelOf(w), '/messages'), { content: `${w.random.of(words)} ${w.count}` }],
  reply: (w) => onMessage(w, 'POST', '/replies', { content: `re ${w.count}` }),
  mention: (w) => ['POST', at(channelOf(w), '/messages'), { content: `hey <@${w.random.of(people).id}> and <@${watcher.id}>` }],
  edit: (w) => onMessage(w, 'PATCH', '', { content: `edited ${w.count}` }, { mine: true }),
  delete: (w) => onMessage(w, 'DELETE', '', undefined, { mine: true }),
  react: (w) => onMessage(w, 'PUT', `/reactions/${encodeURIComponent(w.random.of(emoji))}`),
  unreact: (w) => onMessage(w, 'DELETE', `/reactions/${encodeURIComponent(w.random.of(emoji))}`),
  pin: (w) => (w.actor = owner) && onMessage(w, 'PUT', '/pin'),
  unpin: (w) => (w.actor = owner) && onMessage(w, 'DELETE', '/pin'),
  bookmark: (w) => (w.actor = w.random.of([owner, watcher])) && onMessage(w, 'PUT', '/bookmark'),
  unbookmark: (w) => (w.actor = w.random.of([owner, watcher])) && onMessage(w, 'DELETE', '/bookmark'),
  read: (w) => (w.actor = w.random.of([owner, watcher])) && ['PUT', at(channelOf(w), '/read'), {}],
  readSome: (w) => {
    w.actor = w.random.of([owner, watcher]);
    const channel = channelOf(w), message = messageOf(w, channel);
    return message && ['PUT', at(channel, '/read'), { message_id: message.id }];
  },
  createChannel: (w) => (w.actor = owner) && liveChannels(w).length < 6 && ['POST', '/v1/channels', { name: `room ${w.count}`, team_id: team.id }],
  createPrivate: (w) => (w.actor = owner) && liveChannels(w).length < 6 && ['POST', '/v1/channels', { name: `quiet ${w.count}`, team_id: team.id, private: true }],
  updateChannel: (w) => (w.actor = owner) && ['PATCH', at(channelOf(w)), { topic: `topic ${w.count}`, position: w.random.below(9) }],
  archive: (w) => {
    w.actor = owner;
    const channel = channelOf(w);
    return channel.id !== hall.id && ['POST', at(channel, '/archive'), {}];
  },
  restore: (w) => {
    w.actor = owner;
    const archived = [...w.mirror.channels.values()].filter((c) => c.archived_at !== null);
    return archived.length ? ['POST', at(w.random.of(archived), '/restore'), {}] : null;
  },
  duplicate: (w) => (w.actor = owner) && liveChannels(w).length < 6 && ['POST', at(channelOf(w), '/duplicate'), { name: `copy ${w.count}` }],
  deleteChannel: (w) => {
    w.actor = owner;
    const channel = channelOf(w);
    return channel.id !== hall.id && ['DELETE', at(channel)];
  },
  joinChannel: (w) => ['PUT', at(channelOf(w), `/members/${(w.actor = member(w)).id}`), {}],
  leaveChannel: (w) => ['DELETE', at(channelOf(w), `/members/${(w.actor = someone(w)).id}`)],
  channelRole: (w) => {
    w.actor = owner;
    const [channel, person] = joined(w) ?? [];
    return !channel ? putInto(w) : ['PATCH', `/v1/channels/${channel}/members/${person}`, { role: w.random.of(['moderator', 'member']) }];
  },
  kick: (w) => {
    w.actor = owner;
    const [channel, person] = joined(w) ?? [];
    return !channel ? putInto(w) : ['POST', `/v1/channels/${channel}/members/${person}/kick`, {}];
  },
  ban: (w) => {
    w.actor = owner;
    const channel = channelOf(w);
    return w.mirror.bans.get(channel.id).size < 2 && ['PUT', at(channel, `/bans/${someone(w).id}`), { motive: `m${w.count}` }];
  },
  unban: (w) => (w.actor = owner) && ['DELETE', at(channelOf(w), `/bans/${someone(w).id}`)],
  teamName: (w) => (w.actor = owner) && ['PATCH', `/v1/teams/${team.id}`, { description: `d${w.count}` }],
  nickname: (w) => (w.actor = someone(w)) && ['PATCH', `/v1/teams/${team.id}/members/${w.actor.id}`, { nickname: `n${w.count}` }],
  leaveTeam: (w) => (w.actor = someone(w)) && ['DELETE', `/v1/teams/${team.id}/members/${w.actor.id}`],
  joinTeam: (w) => (w.actor = someone(w)) && ['PUT', `/v1/teams/${team.id}/members/${w.actor.id}`, {}],
  timeout: (w) => (w.actor = owner) && ['PUT', `/v1/teams/${team.id}/members/${someone(w).id}/timeout`, { seconds: 3600 }],
  untimeout: (w) => (w.actor = owner) && ['DELETE', `/v1/teams/${team.id}/members/${someone(w).id}/timeout`],
  createRole: (w) => (w.actor = owner) && w.mirror.roles.size < 6 && ['POST', `/v1/teams/${team.id}/roles`, { name: `role ${w.count}`, permissions: ['pin_messages'], mentionable: true }],
  updateRole: (w) => (w.actor = owner) && aRole(w) && ['PATCH', `/v1/roles/${aRole(w).id}`, { name: `r${w.count}`, color: w.random.below(1 << 24) }],
  deleteRole: (w) => (w.actor = owner) && aRole(w) && ['DELETE', `/v1/roles/${aRole(w).id}`],
  giveRole: (w) => (w.actor = owner) && aRole(w) && ['PUT', `/v1/teams/${team.id}/members/${someone(w).id}/roles/${aRole(w).id}`, {}],
  takeRole: (w) => (w.actor = owner) && aRole(w) && ['DELETE', `/v1/teams/${team.id}/members/${someone(w).id}/roles/${aRole(w).id}`],
  invite: (w) => (w.actor = owner) && ['POST', `/v1/teams/${team.id}/invites`, { max_uses: 1 + w.random.below(5) }],
  useInvite: (w) => {
    w.actor = someone(w);
    const codes = [...w.mirror.invites.keys()];
    return codes.length ? ['POST', `/v1/invites/${w.random.of(codes)}/accept`, {}] : null;
  },
  teamBan: (w) => (w.actor = owner) && w.mirror.teamBans.size < 1 && ['PUT', `/v1/teams/${team.id}/bans/${someone(w).id}`, { motive: `t${w.count}` }],
  teamUnban: (w) => (w.actor = owner) && ['DELETE', `/v1/teams/${team.id}/bans/${someone(w).id}`],
  orderRoles: (w) => {
    w.actor = owner;
    const ids = [...w.mirror.roles.values()].filter((r) => r.position > 0).sort((a, b) => b.position - a.position).map((r) => r.id);
    return ids.length > 1 && ['PUT', `/v1/teams/${team.id}/roles/order`, { role_ids: ids.reverse() }];
  },
  override: (w) => (w.actor = owner) && ['PUT', at(channelOf(w), `/overrides/${(aRole(w) ?? someone(w)).id}`), { allow: ['pin_messages'], deny: w.random.of([[], ['add_reactions']]) }],
  overrideOne: (w) => (w.actor = owner) && ['PUT', at(channelOf(w), `/overrides/${someone(w).id}`), { deny: ['send_messages'] }],
  unoverride: (w) => {
    w.actor = owner;
    const set = [...w.mirror.overrides].filter(([id, of]) => of?.size && !w.mirror.channels.get(id).archived_at);
    if (!set.length) return null;
    const [channel, of] = w.random.of(set);
    return ['DELETE', `/v1/channels/${channel}/overrides/${w.random.of([...of.keys()])}`];
  },
  uninvite: (w) => {
    w.actor = owner;
    const codes = [...w.mirror.invites.keys()];
    return codes.length ? ['DELETE', `/v1/invites/${w.random.of(codes)}`] : null;
  },
};

/* Calls that change nothing of a team's state; what they tell is tested where they are. */
const elsewhere = /^(POST \/accounts|POST \/sessions|DELETE \/sessions|(PATCH|DELETE) \/me$|(PUT|DELETE) \/me\/|POST \/bots|(PATCH|DELETE) \/bots\/|POST \/teams$|DELETE \/teams\/\{team\}$|POST \/direct$|POST \/channels\/\{channel\}\/(typing$|webhooks$|commands\/|attachments$)|PUT \/channels\/\{channel\}\/preferences$|(POST|PATCH|DELETE) \/webhooks\/)/;

/** Mutating calls of the description that no request of `made` ("PUT /v1/...") was. */
const unmade = (description, made) => Object.entries(description.paths).flatMap(([path, operations]) => {
  const pattern = new RegExp(`^/v1${path.replace(/\{[^}]+\}/g, '[^/]+')}$`);
  return ['post', 'put', 'patch', 'delete'].filter((method) => operations[method]).map((method) => [method.toUpperCase(), path, pattern]);
}).filter(([method, path, pattern]) => !elsewhere.test(`${method} ${path}`) && !made.some((one) => one[0] === method && pattern.test(one[1])))
  .map(([method, path]) => `${method} ${path}`);

/* One who watches: his sockets on both gateways tell the same, so one is read. */
class Watching {
  constructor(person, gateway) {
    Object.assign(this, { person, mirror: new Mirror(person.id, team.id), done: 0 });
    this.socket = new Socket(`${cluster.ws(gateway)}?detail=1&resume=1`, { token: person.token });
  }

  async start() {
    await this.socket.frame('hello');
    this.socket.send({ op: 'subscribe', topics: [`team:${team.id}`, `user:${this.person.id}`, 'global'], ref: 1 });
    await this.socket.frame('subscribed');
    this.done = this.socket.frames.length;
    await this.mirror.fetch(this.person.rest);
  }

  /* Everything up to the last message of the hall, and then up to having read `mark`, which another wrote: both streams have an end,
   * and as streams have no order between them, what was read is not told before what there is to read. */
  async catchUp(mark, last) {
    await this.socket.frame((f) => f.type === 'channel_message' && f.data.message_id === last, { ms: 30000 });
    await this.person.rest.ok('PUT', `/v1/channels/${hall.id}/read`, { message_id: mark });
    await this.socket.frame((f) => f.type === 'unread_updated' && f.data.last_read_id === mark, { ms: 30000 });
    for (; this.done < this.socket.frames.length; this.done++) {
      const frame = this.socket.frames[this.done];
      if (frame.data && frame.type !== 'position' && frame.type !== 'pong') this.mirror.apply(frame);
    }
  }
}

test(`${rounds} rounds of random calls, seed ${seed}`, { timeout: 3600000 }, async () => {
  const random = randomOf(seed);
  const watching = [new Watching(owner, 0), new Watching(watcher, 1)];
  const done = {};
  const history = [], made = [];
  for (const one of watching) await one.start();
  const never = () => Object.keys(calls).filter((name) => !done[name]);
  for (let round = 0; round < rounds || (never().length > 0 && round < 5 * rounds); round++) {
    for (let i = 0; i < callsOfRound; i++) {
      /* Every second one is of those that succeeded least so far; the rest is chance. */
      const names = Object.keys(calls);
      const least = Math.min(...names.map((n) => done[n] ?? 0));
      const name = random.of(random.below(2) === 0 ? names.filter((n) => (done[n] ?? 0) === least) : names);
      const w = { mirror: watching[0].mirror, random, actor: random.of(people), count: round * callsOfRound + i };
      const request = calls[name](w);
      if (!request) continue;
      const answer = await w.actor.rest.call(...request);
      history.push(`${round}.${i} ${name} ${w.actor.username} ${request[0]} ${request[1]} -> ${answer.status}`);
      assert.ok(answer.status < 500, `${history.at(-1)} ${answer.text}`);
      if (answer.status >= 300) continue;
      done[w.as ?? name] = (done[w.as ?? name] ?? 0) + 1;
      made.push(request);
    }
    const mark = async (person) => (await person.rest.ok('POST', `/v1/channels/${hall.id}/messages`, { content: `mark ${round}` })).id;
    const ofOwner = await mark(owner);
    const ofWatcher = await mark(watcher);
    for (const one of watching) {
      await one.catchUp(one.person === owner ? ofWatcher : ofOwner, ofWatcher);
      const fetched = await new Mirror(one.person.id, team.id).fetch(one.person.rest);
      assert.deepEqual(one.mirror.unknown, [], 'an event that changes nothing known');
      assert.deepEqual(one.mirror.state(), fetched.state(one.mirror), `${one.person.username} after\n${history.slice(-callsOfRound * 2).join('\n')}`);
    }
  }
  assert.deepEqual(never(), [], `calls that never succeeded: more rounds are needed (${JSON.stringify(done)})`);
  assert.deepEqual(unmade(await owner.rest.ok('GET', '/v1/openapi.json'), made), [], 'every call that changes a team is among them');
  for (const one of watching) one.socket.end();
});
