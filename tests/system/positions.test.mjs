// Old, foreign and impossible positions: each is answered once and plainly, none with silence, none with a word about what is not
// the asker's. The socket stays open, and what comes afterwards reaches it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { numberOf, teamStream, userStream } from './lib/story.mjs';
import { until } from './lib/wait.mjs';

const cluster = new Cluster({ copies: { gateway: 2 } });
let owner, member, stranger, team, channel, secret, other, generation, stream, head;
const socketOf = async (person, gateway = 0) => {
  const socket = new Socket(`${cluster.ws(gateway)}?resume=1`, { token: person.token });
  await socket.frame('hello', { ms: 30000 });
  return socket;
};
const numbers = []; // numbers of the first messages
/** The audit log's job has told of the channel: it adds to the stream whenever it gets to it. */
const recorded = (of, place) => until('the channel is in the audit log', async () => (await owner.rest.ok('GET', `/v1/teams/${of.id}/audit?target=${place.id}`)).items.length > 0, 30000);
let refs = 0;
/** The answer to one subscribe with `since`: the subscribed frame's data, or the error's. */
async function asked(socket, topics, since) {
  const ref = `ref-${++refs}`;
  socket.send(JSON.stringify({ op: 'subscribe', topics, since: since && 'SINCE', ref }).replace('"SINCE"', typeof since === 'string' ? since : JSON.stringify(since)));
  const frame = await socket.frame((f) => f.data?.ref === ref, { ms: 20000 });
  return { type: frame.type, ...frame.data };
}
/** Positions of a new socket: nothing but `recovered:false` for each stream named, and live afterwards. */
async function refused(person, topics, since, { gateway = 0 } = {}) {
  const socket = await socketOf(person, gateway);
  const said = await asked(socket, topics, since);
  assert.equal(said.type, 'subscribed', JSON.stringify(said));
  for (const name of Object.keys(since.streams)) assert.equal(said.streams[name]?.recovered, false, `${name}: ${JSON.stringify(said)}`);
  const posted = await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'live' });
  await socket.frame((f) => f.data?.message_id === posted.id);
  assert.deepEqual(socket.frames.filter((f) => f.type === 'channel_message').map((f) => f.data.message_id), [posted.id], 'nothing is replayed');
  socket.end();
  return said;
}

before(async () => {
  await cluster.start();
  const rest = new Rest([cluster.api]);
  [owner, member, stranger] = [await newPerson(rest, 'owner'), await newPerson(rest, 'member'), await newPerson(rest, 'stranger')];
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'positions', joining: 'open' });
  other = await stranger.rest.ok('POST', '/v1/teams', { name: 'another', joining: 'invite' });
  await member.rest.ok('PUT', `/v1/teams/${team.id}/members/${member.id}`, {});
  channel = await owner.rest.ok('POST', '/v1/channels', { name: 'general', team_id: team.id });
  secret = await owner.rest.ok('POST', '/v1/channels', { name: 'secret', team_id: team.id, private: true });
  for (const place of [channel, secret]) await recorded(team, place);
  for (let i = 0; i < 30; i++) numbers.push((await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: `message ${i}` })).seq);
  stream = teamStream(team.id);
  const socket = await socketOf(owner);
  const said = await asked(socket, [`team:${team.id}`], undefined);
  generation = said.generation;
  head = said.streams[stream].seq;
  socket.end();
}, { timeout: 120000 });
after(async () => {
  assert.deepEqual(cluster.unexpected, [], 'no process ended');
  await cluster.destroy();
}, { timeout: 60000 });

test('a position that the log still reaches is recovered, on either gateway', async () => {
  for (let gateway = 0; gateway < 2; gateway++) {
    const socket = await socketOf(owner, gateway);
    const said = await asked(socket, [`channel:${channel.id}`], { generation, streams: { [stream]: numbers.at(-6) } });
    assert.equal(said.streams[stream].recovered, true);
    const last = await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'live' });
    await socket.frame((f) => f.data?.message_id === last.id);
    const seqs = socket.frames.filter((f) => f.seq !== undefined).map((f) => f.seq);
    assert.deepEqual(seqs.slice(0, 5), numbers.slice(-5));
    socket.end();
  }
});

test('a position of another generation, or of none', async () => {
  for (const name of ['7312222222222222222-00000001-1', `${generation}0`, generation.slice(0, -1), '', ' ', 'x'.repeat(300), '"'])
    await refused(owner, [`team:${team.id}`], { generation: name, streams: { [stream]: head - 1 } });
});

test('a position beyond the head', async () => {
  for (const seq of [head + 100000, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER]) await refused(owner, [`team:${team.id}`], { generation, streams: { [stream]: seq } }, { gateway: 1 });
  const socket = await socketOf(owner);
  const said = await asked(socket, [`team:${team.id}`], `{"generation":"${generation}","streams":{"${stream}":9223372036854775807}}`);
  assert.equal(said.streams[stream].recovered, false);
  socket.end();
});

test('streams that one may not see, or that are not there: the same answer, which does not tell where they stand', async () => {
  const streams = { [teamStream(other.id)]: 1, [userStream(stranger.id)]: 1, '1-00000000deadbeef': 1, '3-00000000deadbeef': 1, [userStream(member.id)]: 1 };
  const said = await refused(member, [`team:${team.id}`], { generation, streams });
  for (const name of Object.keys(streams)) assert.deepEqual(said.streams[name], { recovered: false }, name);
  assert.deepEqual(Object.keys(said.streams).sort(), [stream, ...Object.keys(streams)].sort());

  // A topic that is not his is refused by name; the rest of the wish is served.
  const socket = await socketOf(member);
  const ref = 'mixed';
  socket.send({ op: 'subscribe', topics: [`team:${team.id}`, `channel:${secret.id}`, `team:${other.id}`, `user:${stranger.id}`], since: { generation, streams }, ref });
  const answer = await socket.frame((f) => f.type === 'subscribed');
  assert.deepEqual(answer.data.topics, [`team:${team.id}`]);
  for (const name of Object.keys(streams)) assert.deepEqual(answer.data.streams[name], { recovered: false }, name);
  const errors = socket.frames.filter((f) => f.type === 'error');
  assert.equal(errors.length, 3, JSON.stringify(errors));
  for (const error of errors) assert.ok(['not_found', 'forbidden'].includes(error.data.code), JSON.stringify(error));
  socket.end();
});

test('a right that changed in between', async () => {
  const before = (await asked(await socketOf(member), [`team:${team.id}`], undefined)).streams[stream].seq;
  await owner.rest.ok('PUT', `/v1/channels/${secret.id}/members/${member.id}`, {});
  await refused(member, [`team:${team.id}`], { generation, streams: { [stream]: before } });
});

test('garbage is an error by name, and the socket lives', async () => {
  const socket = await socketOf(owner);
  for (const since of ['[]', '1', '"x"', 'true', '{}', '{"generation":1,"streams":{}}', `{"generation":"${generation}"}`, `{"generation":"${generation}","streams":[]}`,
    ...['-1', '1.5', '"5"', 'null', '[]', '{}', 'true', '1e3', '-9223372036854775808'].map((seq) => `{"generation":"${generation}","streams":{"${stream}":${seq}}}`)]) {
    const said = await asked(socket, [`team:${team.id}`], since);
    assert.equal(said.type, 'error', `${since}: ${JSON.stringify(said)}`);
    assert.ok(['field_invalid', 'malformed'].includes(said.code), `${since}: ${JSON.stringify(said)}`);
  }
  socket.end();
  // Names that are none: told back as they came.
  const names = ['', 'x', '0-0000000000000001', '4-0000000000000001', '1-00000000000000010', '1-000000000000000G', '1-', '-', '1', 'user:1', '\u2028', '{"a":1}', 'é'.repeat(100)];
  const said = await refused(owner, [`team:${team.id}`], { generation, streams: Object.fromEntries(names.map((name) => [name, 1])) });
  for (const name of names) assert.deepEqual(said.streams[name], { recovered: false }, name);
  // As many as fit into a frame.
  const many = Object.fromEntries(Array.from({ length: 1500 }, (_, i) => [`1-${(i + 1).toString(16).padStart(16, '0')}`, 1]));
  const all = await refused(owner, [`team:${team.id}`], { generation, streams: many });
  assert.equal(Object.keys(all.streams).length, 1501);
});

// A team that nobody resumed before: a gateway holds pages that it read a while ago, and is right to go on from them.
test('a position older than what the log has kept', async () => {
  const forgotten = await owner.rest.ok('POST', '/v1/teams', { name: 'forgotten', joining: 'open' });
  const hall = await owner.rest.ok('POST', '/v1/channels', { name: 'hall', team_id: forgotten.id });
  await recorded(forgotten, hall);
  const posted = [];
  for (let i = 0; i < 20; i++) posted.push(await owner.rest.ok('POST', `/v1/channels/${hall.id}/messages`, { content: `old ${i}` }));
  const [kept, last] = [posted[9].seq, posted[19].seq];
  cluster.pg.psql(`DELETE FROM log.events WHERE rank = 1 AND id = ${numberOf(forgotten.id)} AND seq <= ${kept}`);
  for (const gateway of [0, 1]) {
    for (const seq of [0, 1, kept - 1, kept, last]) {
      const socket = await socketOf(owner, gateway);
      const said = await asked(socket, [`team:${forgotten.id}`], { generation, streams: { [teamStream(forgotten.id)]: seq } });
      assert.equal(said.streams[teamStream(forgotten.id)].recovered, seq >= kept, `since ${seq}, kept from ${kept + 1}`);
      assert.equal(said.streams[teamStream(forgotten.id)].seq, seq === kept ? kept : last, 'what follows comes after this');
      if (seq === kept) await socket.frame((f) => f.seq === last);
      assert.deepEqual(socket.frames.filter((f) => f.seq !== undefined).map((f) => f.seq), seq === kept ? posted.slice(10).map((m) => m.seq) : []);
      socket.end();
    }
  }
});
