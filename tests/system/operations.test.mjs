// What operators rely on: PostgreSQL away, draining, logs that follow a request and never tell secrets, limits, unknown settings.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { execFileSync, spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { sleep, until } from './lib/wait.mjs';

const cluster = new Cluster({ copies: { gateway: 2, messaging: 2 }, environment: { GUILDHALL_LOG_LEVEL: 'debug' } });
let rest, owner, team, channel;
const secrets = [];

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  owner = await newPerson(rest, 'owner');
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'operations', joining: 'open' });
  channel = await owner.rest.ok('POST', '/v1/channels', { name: 'general', team_id: team.id });
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

test('PostgreSQL away: 503 at once with Retry-After, sockets stay open, and everything heals by itself', { timeout: 120000 }, async () => {
  const s = new Socket(cluster.ws(), { token: owner.token });
  await s.frame('hello');
  s.send({ op: 'subscribe', topics: [`channel:${channel.id}`] });
  await s.frame('subscribed');
  await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'before' });
  await cluster.pg.stop('SIGINT');
  await until('a post is answered 503', async () => (await owner.rest.call('POST', `/v1/channels/${channel.id}/messages`, { content: 'meanwhile', nonce: randomUUID() })).status === 503, 10000);
  const began = Date.now();
  const answer = await owner.rest.call('POST', `/v1/channels/${channel.id}/messages`, { content: 'meanwhile', nonce: randomUUID() });
  assert.equal(answer.status, 503);
  assert.ok(answer.headers.get('retry-after'), 'Retry-After');
  assert.ok(['busy', 'late'].includes(answer.json.code));
  assert.ok(Date.now() - began < 4000, 'at once, not at the deadline of the request');
  for (const gateway of cluster.copies.gateway) assert.equal(await gateway.isReady(), true, 'a gateway stays ready');
  for (const messaging of cluster.copies.messaging) await until('messaging is not ready', async () => !(await messaging.isReady()));
  s.send({ op: 'ping' });
  await s.frame('pong');
  await cluster.pg.start();
  const m = await owner.rest.sure('POST', `/v1/channels/${channel.id}/messages`, { content: 'afterwards', nonce: randomUUID() });
  assert.equal(m.status, 201);
  await s.frame((f) => f.data?.message_id === m.json.id, { ms: 20000 });
  assert.equal(s.close, undefined, 'the socket never closed');
  await Promise.all(cluster.all().map((copy) => copy.ready()));
  s.end();
});

test('one trace id follows a request through the processes, and no log has a token, a password or a message', async () => {
  const marker = `marker-${randomUUID()}`;
  const password = `password-${randomUUID()}`;
  const username = `logs_${Date.now().toString(36)}`;
  await rest.ok('POST', '/v1/accounts', { username, password });
  const session = await rest.ok('POST', '/v1/sessions', { username, password });
  await rest.call('POST', '/v1/sessions', { username, password: `${password}wrong` });
  secrets.push(password, session.token, marker, owner.token);
  const answer = await owner.rest.call('POST', `/v1/channels/${channel.id}/messages`, { content: marker });
  assert.equal(answer.status, 201);
  await owner.rest.call('POST', `/v1/channels/${channel.id}/messages`, { content: marker, wrong: marker });
  await owner.rest.call('GET', `/v1/users?query=${marker}`);
  const s = new Socket(`${cluster.ws()}?token=${session.token}`);
  await s.frame('hello');
  s.send({ op: marker });
  s.send(`{"op":"${marker}"`);
  await s.closed;
  const trace = answer.headers.get('x-request-id') ?? answer.headers.get('x-trace-id');
  assert.ok(trace, 'the answer names its trace');
  const withTrace = () => cluster.all().filter((copy) => copy.log().includes(trace)).map((copy) => copy.service);
  await until('api and messaging logged the trace', () => withTrace().includes('api') && withTrace().includes('messaging'));
  for (const copy of cluster.all()) {
    const log = copy.log();
    for (const secret of secrets) assert.equal(log.includes(secret), false, `${copy.name} logged a secret`);
    for (const line of log.split('\n').filter(Boolean)) {
      const entry = JSON.parse(line);
      for (const key of ['time', 'level', 'service', 'event']) assert.ok(key in entry, `${key} in ${line}`);
      assert.equal(entry.service, copy.service);
    }
  }
});

test('a client that loses one gateway by drain is told when to come back and resumes on the other', { timeout: 60000 }, async () => {
  const s = new Socket(`${cluster.ws(1)}?resume=1`, { token: owner.token });
  await s.frame('hello');
  s.send({ op: 'subscribe', topics: [`channel:${channel.id}`] });
  const subscribed = await s.frame('subscribed');
  const first = await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'first' });
  const event = await s.frame((f) => f.data?.message_id === first.id);
  const stopping = cluster.copies.gateway[1].stop('SIGTERM');
  const reconnect = await s.frame('reconnect');
  assert.equal(typeof reconnect.data.after_ms, 'number');
  const close = await s.closed;
  assert.ok([1001, 1012].includes(close.code), String(close.code));
  const missed = await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'missed' });
  const again = new Socket(`${cluster.ws(0)}?resume=1`, { token: owner.token });
  await again.frame('hello');
  again.send({ op: 'subscribe', topics: [`channel:${channel.id}`], since: { generation: subscribed.data.generation, streams: { [event.stream]: event.seq } } });
  await again.frame((f) => f.data?.message_id === missed.id);
  again.end();
  assert.deepEqual(await stopping, { code: 0, signal: null });
  cluster.copies.gateway[1].spawn();
  await cluster.copies.gateway[1].ready();
});

test('metrics are Prometheus text and count', async () => {
  const metrics = await cluster.copies.messaging[0].metrics();
  const second = await cluster.copies.messaging[1].metrics();
  assert.ok(metrics.guildhall_commit_ops_total + second.guildhall_commit_ops_total > 0);
  assert.ok(metrics.process_resident_memory_bytes > 0);
  assert.equal((await fetch(`http://127.0.0.1:${cluster.copies.api[0].opsPort}/healthz`)).status, 200);
});

test('an unknown setting is an error that says so, --check-config masks secrets', () => {
  const program = join(resolve(process.env.GUILDHALL_BUILD ?? 'build'), 'services/api/guildhall-api');
  const root = resolve(new URL('../..', import.meta.url).pathname);
  const path = resolve(root, process.env.GUILDHALL_BUILD ?? 'build', 'services/api/guildhall-api');
  const wrong = spawnSync(path, ['--check-config'], { env: { GUILDHALL_NONSENSE: '1' }, encoding: 'utf8' });
  assert.notEqual(wrong.status, 0, program);
  assert.match(wrong.stderr, /GUILDHALL_NONSENSE/);
  const right = spawnSync(path, ['--check-config'], { env: { GUILDHALL_DB_URL: 'postgresql://u:sesame@h/d' }, encoding: 'utf8' });
  assert.equal(right.status, 0, right.stderr);
  assert.equal(right.stdout.includes('sesame'), false);
  assert.match(right.stdout, /GUILDHALL_LIMIT_REQUESTS_PER_S=50/);
});

test('a schema that a process does not know is refused with the command to run', () => {
  const root = resolve(new URL('../..', import.meta.url).pathname);
  const path = resolve(root, process.env.GUILDHALL_BUILD ?? 'build', 'services/moderation/guildhall-moderation');
  cluster.pg.psql('CREATE DATABASE empty', 'postgres');
  const copy = cluster.copies.moderation[0];
  const run = spawnSync(path, [], {
    env: { ...cluster.environment(copy), GUILDHALL_DB_URL: cluster.pg.url.replace('dbname=guildhall', 'dbname=empty'), GUILDHALL_OPS_LISTEN: '127.0.0.1:0', GUILDHALL_RPC_LISTEN: `ipc://${cluster.run}/none.rpc`, GUILDHALL_PUB_LISTEN: `ipc://${cluster.run}/none.pub` },
    encoding: 'utf8', timeout: 20000,
  });
  assert.equal(run.status, 3, run.stderr);
  assert.match(run.stderr, /guildhallctl migrate up/);
});

test('guildhallctl: users, tokens, teams, tail, doctor, migrations down and up', { timeout: 60000 }, async () => {
  const user = JSON.parse(execCtl(['user', 'create', 'ctl_user', '--password-stdin', '--json'], 'a good password\n'));
  assert.equal(user.username ?? user.account?.username, 'ctl_user');
  const token = JSON.parse(cluster.ctl('token', 'create', '--user', 'ctl_user', '--json'));
  assert.equal((await rest.as(token.token).ok('GET', '/v1/me')).username, 'ctl_user');
  const made = JSON.parse(cluster.ctl('team', 'create', 'by ctl', '--owner', 'ctl_user', '--json'));
  assert.ok((await rest.as(token.token).ok('GET', '/v1/teams')).items.some((t) => t.id === made.id));
  const [found, sick] = doctor();
  assert.deepEqual(found.findings.filter((f) => f.kind === 'broken'), []);
  assert.deepEqual([found.ok, sick], [true, 0]);
  const tail = cluster.ctl('tail', `team:${team.id}`, '--from', '0', '--count', '3');
  assert.match(tail, /team_created/);
  const status = cluster.ctl('migrate', 'status', '--json');
  assert.doesNotThrow(() => JSON.parse(status));
  cluster.ctl('user', 'disable', 'ctl_user');
  await until('the token of a disabled account is refused', async () => (await rest.as(token.token).call('GET', '/v1/me')).status === 401);
  assert.match(cluster.ctl('user', 'disable', 'ctl_user', '--enable'), /its sessions and tokens did not come back/);
  assert.equal((await rest.as(token.token).call('GET', '/v1/me')).status, 401);
});

/* What doctor says of this cluster's own processes, and its exit code, which is not 0 when something is broken. */
function doctor() {
  const ops = cluster.all().map((copy) => `127.0.0.1:${copy.opsPort}`).join(',');
  try {
    return [JSON.parse(cluster.ctl('doctor', '--ops', ops, '--json')), 0];
  } catch (e) {
    if (!e.stdout?.length) throw e;
    return [JSON.parse(e.stdout), e.status];
  }
}

function execCtl(args, input) {
  const root = resolve(new URL('../..', import.meta.url).pathname);
  const path = resolve(root, process.env.GUILDHALL_BUILD ?? 'build', 'services/ctl/guildhallctl');
  return execFileSync(path, args, { env: { PATH: process.env.PATH, ...cluster.environment(null) }, input, stdio: ['pipe', 'pipe', 'pipe'] }).toString();
}

test('SIGTERM ends every process with 0', { timeout: 120000 }, async () => {
  const results = await cluster.stop();
  for (const { name, code, signal } of results) assert.deepEqual({ code, signal }, { code: 0, signal: null }, name);
  await sleep(1);
});
