// Threads, settings of a channel and lines of the system, as house shows them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { until } from './lib/wait.mjs';

const cluster = new Cluster();
let owner, ann, team, channel;

before(async () => {
  await cluster.start();
  const rest = new Rest([cluster.api]);
  [owner, ann] = await Promise.all(['owner', 'ann'].map((name) => newPerson(rest, name)));
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'threads', joining: 'open' });
  await ann.rest.ok('PUT', `/v1/teams/${team.id}/members/${ann.id}`, {});
  channel = await owner.rest.ok('POST', '/v1/channels', { team_id: team.id, name: 'general' });
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

const path = () => `/v1/channels/${channel.id}`;
const unread = async (person) => (await person.rest.ok('GET', '/v1/unread')).items.find((item) => item.channel_id === channel.id);
const lines = async () => (await owner.rest.ok('GET', `${path()}/messages?system=1&limit=100`)).items.filter((m) => m.kind === 'system');

test('replies are unread in threads that one follows, until the channel is read', async () => {
  const root = await owner.rest.ok('POST', `${path()}/messages`, { content: 'root' });
  await ann.rest.ok('POST', `${path()}/messages/${root.id}/replies`, { content: 'one' });
  await ann.rest.ok('POST', `${path()}/messages/${root.id}/replies`, { content: 'two' });
  assert.deepEqual((({ unread, thread_unread, threads }) => ({ unread, thread_unread, threads }))(await unread(owner)), { unread: 2, thread_unread: 2, threads: 1 });
  assert.equal((await unread(ann)).thread_unread, 0);
  await owner.rest.ok('PUT', `${path()}/read`, {});
  assert.equal((await unread(owner)).thread_unread, 0);
});

test('what one sets for a channel is kept and told to oneself alone', async () => {
  const open = async (person) => {
    const socket = new Socket(cluster.ws(0), { token: person.token });
    await socket.opened;
    await socket.frame('hello');
    socket.send({ op: 'subscribe', topics: [`user:${person.id}`] });
    await socket.frame('subscribed');
    return socket;
  };
  const [mine, other] = [await open(owner), await open(ann)];
  assert.deepEqual(await owner.rest.ok('PUT', `${path()}/preferences`, { flag: 'pinned' }), { channel_id: channel.id, flag: 'pinned', notify: 'all' });
  const event = await mine.frame('channel_pref_updated');
  assert.deepEqual(event.data, { channel_id: channel.id, flag: 'pinned', notify: 'all' });
  assert.deepEqual(await owner.rest.ok('GET', `${path()}/preferences`), { channel_id: channel.id, flag: 'pinned', notify: 'all' });
  assert.equal((await ann.rest.ok('GET', `${path()}/preferences`)).flag, 'none');
  const wrong = await owner.rest.call('PUT', `${path()}/preferences`, { flag: 'red' });
  assert.deepEqual([wrong.status, wrong.json.field], [422, 'flag']);
  await ann.rest.ok('PUT', `${path()}/preferences`, { notify: 'none' });
  await other.frame('channel_pref_updated');
  assert.equal(other.frames.filter((f) => f.type === 'channel_pref_updated').length, 1);
  for (const socket of [mine, other]) socket.end();
});

test('what happens to the channel is in its history for who asks for it', async () => {
  await ann.rest.ok('PUT', `${path()}/members/${ann.id}`, {});
  await owner.rest.ok('PATCH', path(), { name: 'harbour' });
  await until('the lines are written', async () => (await lines()).length >= 3);
  const [renamed, joined, created] = (await lines()).map((m) => m.line);
  assert.deepEqual(created, { template: 'created', args: [owner.id, 'public', 'general', ''] });
  assert.deepEqual(joined, { template: 'joined', args: [ann.id] });
  assert.deepEqual(renamed, { template: 'renamed', args: [owner.id, 'harbour', 'general'] });
  assert.deepEqual((await owner.rest.ok('GET', `${path()}/messages?limit=100`)).items.filter((m) => m.kind === 'system'), []);
  assert.equal((await unread(ann)).unread, 0);
});
