// The benches: what each measures, against which numbers, and how one run of it goes. A run returns its values by name, and the
// faults that the load client saw. All sockets and posts go straight to the gateway and the api, not through the edge.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep } from '../../system/lib/wait.mjs';
import { killed } from './kills.mjs';
import { contentBytes, databaseProgram, load, program } from './load.mjs';
import { positionOf, stuckSockets } from './sockets.mjs';

const frameBytes = 300;
const peers = join(dirname(fileURLToPath(import.meta.url)), '../peers');
// Half of api's workers at most wait for one owner; 256 posters must not be refused for that.
const manyWorkers = { GUILDHALL_HTTP_WORKERS: '1024' };

function planOf(world, people, groups, senders) {
  const { api, gateway } = world.cluster.copies;
  return { api: { port: api[0].httpPort }, gateway: { port: gateway[0].wsPort, path: '/v1/ws' }, people, groups, senders, processes: world.processes() };
}

/** n senders, one person each, spread over the channels; groups: the index of each channel's group of sockets. */
const senders = (n, channels, groupOf = (i) => i) =>
  Array.from({ length: n }, (_, i) => ({ user: i, channel: channels[i % channels.length].id, group: groupOf(i % channels.length) }));

export function faultsOf(report) {
  const { lost, doubled, reordered, corrupt, closed } = report;
  return { lost, doubled, reordered, corrupt, closed };
}

/** CPU seconds of each process over the measured time, and of everything else that ran on this machine. */
export function cpuOf(report) {
  const cpu = Object.fromEntries([...Object.entries(report.processes).map(([name, p]) => [name, p.cpu_s]), ['load', report.load_cpu_s]]);
  cpu.others = Math.max(0, report.machine_cpu_s - Object.values(cpu).reduce((sum, s) => sum + s, 0));
  return cpu;
}

function memoryOf(pid) {
  const field = (file, name) => Number(readFileSync(`/proc/${pid}/${file}`, 'utf8').match(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm'))[1]);
  return { rss: field('status', 'VmRSS'), pss: field('smaps_rollup', 'Pss') };
}

function sumOfFaults(...reports) {
  const sum = {};
  for (const report of reports) for (const [name, count] of Object.entries(faultsOf(report))) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}

export async function oneChannel(world, sockets, options, posters = 8) {
  await world.team(sockets, 1);
  const people = world.people.slice(0, sockets);
  const [channel] = world.channels;
  const groups = [{ topic: `channel:${channel.id}`, sockets }];
  return load(planOf(world, people, groups, senders(posters, [channel])), { 'content-bytes': contentBytes(frameBytes, people[0].name), settle: 1, ...options });
}

async function broadcastPeer(sockets, seconds) {
  const child = spawn(process.execPath, [join(peers, 'ws.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const port = Number(await new Promise((done) => child.stdout.once('data', done)));
    const people = Array.from({ length: 8 }, (_, i) => ({ id: `u${i}`, token: `user-u${i}` }));
    const channel = { id: '00000000-0000-4000-8000-000000000000' };
    const report = await load({ gateway: { port, path: '/v1/ws' }, api: { port }, people, groups: [{ topic: `channel:${channel.id}`, sockets }],
      senders: senders(8, [channel]), processes: [`process peer ${child.pid}`] },
    { mode: 'window', warmup: 1, seconds, 'content-bytes': contentBytes(frameBytes, 'peer') + 34 });
    return report.deliveries / report.processes.peer.cpu_s;
  } finally {
    child.kill();
  }
}

/** Clients that ask for themselves again and again. */
async function closedReaders(world, clients, seconds) {
  world.addPeople(clients);
  const people = world.people.slice(0, clients);
  return load(planOf(world, people, [{ topic: 'global', sockets: 0 }], people.map((_, i) => ({ user: i, channel: '-', group: 0 }))),
    { mode: 'get', get: '/v1/me', warmup: 1, seconds });
}

async function closedPosters(world, posters, seconds) {
  await world.team(posters, 8);
  const people = world.people.slice(0, posters);
  // One group of two sockets on the whole team: everything that is posted must reach both, in one order.
  const groups = [{ topic: `team:${world.teamMade.id}`, sockets: 2 }];
  return load(planOf(world, people, groups, senders(posters, world.channels.slice(0, 8), () => 0)),
    { mode: 'closed', warmup: 2, seconds, 'content-bytes': contentBytes(frameBytes, people[0].name) });
}

export const benches = {
  B10: {
    what: 'cold start after PostgreSQL is up; memory of the five idle processes',
    rows: [
      { key: 'start_ms', what: 'ms until all five are ready', least: 2000, want: 500, less: true },
      { key: 'rss_mib', what: 'MiB RSS of the five together', least: 60, want: 30, less: true },
      { key: 'pss_mib', what: 'the same as PSS (shared pages once)', less: true },
    ],
    async run(world) {
      const startMs = await world.start();
      await sleep(2000);
      const each = Object.fromEntries(world.cluster.all().map((copy) => [copy.service, memoryOf(copy.child.pid)]));
      const sum = (name) => Object.values(each).reduce((total, memory) => total + memory[name], 0) / 1024;
      return { values: { start_ms: startMs, rss_mib: sum('rss'), pss_mib: sum('pss') }, detail: { kib: each } };
    },
  },
  B5: {
    what: '10,000 idle authenticated sockets of 10,000 people',
    people: 10000,
    rows: [
      { key: 'kib_per_socket', what: 'KiB RSS of the gateway per socket', least: 6, want: 2, less: true },
      { key: 'ready_per_s', what: 'ready sockets per second (hello and subscribed)', least: 5000, want: 10000 },
    ],
    async run(world) {
      const sockets = 10000;
      await world.start();
      await world.team(sockets, 10);
      const groups = world.channels.slice(0, 10).map((channel, i) => ({ topic: `channel:${channel.id}`, sockets: sockets / 10, first: (i * sockets) / 10, users: sockets / 10 }));
      const report = await load(planOf(world, world.people.slice(0, sockets), groups, []), { mode: 'idle', settle: 3 });
      const { rss_begin_kib: before, rss_ready_kib: after } = report.processes.gateway;
      return { values: { kib_per_socket: (after - before) / sockets, ready_per_s: report.ready_per_s }, faults: faultsOf(report), detail: { ready_ms: report.ready_ms, busy: report.busy, cpu_s: cpuOf(report) } };
    },
  },
  B3: {
    what: '30 posts/s to 1,000 sockets of one channel, from the start of the POST to a socket',
    rows: [
      { key: 'p50_ms', what: 'p50 ms to a socket', least: 4, want: 2.5, less: true },
      { key: 'p99_ms', what: 'p99 ms to a socket', least: 15, want: 8, less: true },
      { key: 'last_p99_ms', what: 'p99 ms to the last socket', least: 20, want: 10, less: true },
    ],
    async run(world, seconds) {
      await world.start();
      const report = await oneChannel(world, 1000, { mode: 'rate', rate: 30, warmup: 2, seconds });
      return {
        values: { p50_ms: report.delivery_ms.p50, p99_ms: report.delivery_ms.p99, last_p99_ms: report.last_ms.p99 },
        faults: faultsOf(report),
        refused: report.refused,
        detail: { post_ms: report.post_ms, delivery_ms: report.delivery_ms, last_ms: report.last_ms, late: report.late, cpu_s: cpuOf(report) },
      };
    },
  },
  B2: {
    what: '1 message in flight until the last socket has it, 1,000 and 10,000 sockets of one channel',
    rows: [
      { key: 'per_cpu_s', what: '1,000 sockets: deliveries per gateway CPU-second', least: 250e3, want: 300e3 },
      { key: 'per_cpu_s_10000', what: '10,000 sockets: the same', least: 150e3, want: 180e3 },
    ],
    async run(world, seconds) {
      await world.start();
      const few = await oneChannel(world, 1000, { mode: 'window', warmup: 1, seconds }, 1);
      const many = await oneChannel(world, 10000, { mode: 'window', warmup: 2, seconds }, 1);
      return {
        values: { per_cpu_s: few.deliveries / few.processes.gateway.cpu_s, per_cpu_s_10000: many.deliveries / many.processes.gateway.cpu_s },
        faults: sumOfFaults(few, many),
        refused: few.refused + many.refused,
        detail: { last_ms: few.last_ms, last_ms_10000: many.last_ms, cpu_s: cpuOf(few), cpu_s_10000: cpuOf(many) },
      };
    },
  },
  B4: {
    what: '2,000 posts/s into 500 channels with ten sockets each',
    rows: [
      { key: 'p50_ms', what: 'POST p50 ms', least: 2, want: 1, less: true },
      { key: 'p99_ms', what: 'POST p99 ms', least: 10, want: 5, less: true },
      { key: 'delivery_p99_ms', what: 'delivery p99 ms', least: 20, want: 10, less: true },
    ],
    async run(world, seconds) {
      await world.start(manyWorkers);
      await world.team(1000, 500);
      const people = world.people.slice(0, 1000);
      const channels = world.channels.slice(0, 500);
      const groups = channels.map((channel, i) => ({ topic: `channel:${channel.id}`, sockets: 10, first: (i * 2) % 990, users: 10 }));
      const report = await load(planOf(world, people, groups, senders(500, channels)),
        { mode: 'rate', rate: 2000, warmup: 2, seconds, settle: 1, 'content-bytes': contentBytes(frameBytes, people[0].name) });
      return {
        values: { p50_ms: report.post_ms.p50, p99_ms: report.post_ms.p99, delivery_p99_ms: report.delivery_ms.p99 },
        faults: faultsOf(report),
        refused: report.refused,
        detail: { posts_per_s: report.posts_per_s, late: report.late, post_ms: report.post_ms, delivery_ms: report.delivery_ms, cpu_s: cpuOf(report) },
      };
    },
  },
  B6: {
    what: '200 sockets of one channel, 8 messages in flight, beside 5 that never read',
    rows: [
      { key: 'of_alone', what: "the others' rate against none stuck, %", least: 90, want: 99 },
      { key: 'closed_s', what: 's until the last stuck one was closed', least: 10, want: 10, less: true },
    ],
    async run(world, seconds) {
      await world.start();
      const alone = await oneChannel(world, 200, { mode: 'window', warmup: 1, seconds });
      const stuck = await stuckSockets(world, 5);
      const begun = performance.now();
      const [report, closedS] = await Promise.all([
        oneChannel(world, 200, { mode: 'window', warmup: 1, seconds: Math.max(seconds, 8) }),
        stuck.allClosed().then(() => (performance.now() - begun) / 1000),
      ]);
      return {
        values: { of_alone: (100 * report.deliveries_per_s) / alone.deliveries_per_s, closed_s: closedS },
        faults: sumOfFaults(alone, report),
        refused: alone.refused + report.refused,
        detail: { alone_per_s: alone.deliveries_per_s, beside_per_s: report.deliveries_per_s, delivery_ms: report.delivery_ms, alone_delivery_ms: alone.delivery_ms },
      };
    },
  },
  B7: {
    what: 'kill -9 of each process in turn under 500 posts/s, two copies of api, messaging and gateway',
    rows: [
      { key: 'lost', what: 'acknowledged messages lost', least: 0, want: 0, less: true },
      { key: 'doubled', what: 'delivered twice', least: 0, want: 0, less: true },
      { key: 'reordered', what: "delivered out of the log's order", least: 0, want: 0, less: true },
      { key: 'gap_s', what: 's until all watchers have what was posted after a kill, the slowest', least: 2, want: 1, less: true },
    ],
    run: (world, seconds) => killed(seconds),
  },
  B9: {
    what: 'GET /v1/me, answered from what api holds, by 64 and 256 keep-alive clients',
    rows: [
      { key: 'per_s', what: '64 clients: requests per second', least: 40e3, want: 60e3 },
      { key: 'spread', what: '64 clients: best / worst served', least: 3, want: 1.5, less: true },
      { key: 'per_s_256', what: '256 clients: requests per second', least: 40e3, want: 60e3 },
      { key: 'spread_256', what: '256 clients: best / worst served', least: 3, want: 1.5, less: true },
    ],
    async run(world, seconds) {
      await world.start(manyWorkers);
      const few = await closedReaders(world, 64, seconds);
      const many = await closedReaders(world, 256, seconds);
      const spread = (report) => report.most_served / Math.max(1, report.least_served);
      return {
        values: { per_s: few.posts_per_s, spread: spread(few), per_s_256: many.posts_per_s, spread_256: spread(many) },
        refused: few.refused + many.refused,
        detail: { ms: few.post_ms, ms_256: many.post_ms, cpu_s: cpuOf(few), cpu_s_256: cpuOf(many) },
      };
    },
  },
  B11: {
    what: 'the gateway is new: 10,000 sockets come back at once, each 20 messages behind',
    rows: [{ key: 'all_s', what: 's until all are back and caught up', least: 10, want: 3, less: true }],
    async run(world) {
      const sockets = 10000, missed = 20;
      await world.start();
      await world.team(sockets, 1);
      const since = await positionOf(world);
      const [channel] = world.channels;
      for (let i = 0; i < missed; i++)
        await world.call('POST', `/v1/channels/${channel.id}/messages`, world.people[i].token, { content: `missed ${i}` });
      await world.restart('gateway');
      const plan = planOf(world, world.people.slice(0, sockets), [{ topic: `channel:${channel.id}`, sockets }], []);
      const report = await load({ ...plan, since }, { mode: 'idle', missed, connecting: 4096 });
      return { values: { all_s: report.connect_s }, faults: faultsOf(report), detail: { ready_ms: report.ready_ms, busy: report.busy, cpu_s: cpuOf(report) } };
    },
  },
  B1: {
    what: '1,000 sockets of one channel, 8 messages in flight until the last socket has them',
    rows: [
      { key: 'per_cpu_s', what: 'deliveries per gateway CPU-second', least: 600e3, want: 1e6 },
      { key: 'per_s', what: 'deliveries per second, all processes on this machine' },
      { key: 'raw_per_cpu_s', what: 'limit beside it: raw sendmsg, 8 messages a call, per CPU-second' },
      { key: 'ws_per_cpu_s', what: 'peer beside it: `ws` broadcast server, per CPU-second' },
      { key: 'of_raw', what: 'ours / limit' },
      { key: 'of_ws', what: 'ours / peer' },
    ],
    async run(world, seconds) {
      const raw = await program('guildhall-raw', ['--sockets', '1000', '--in-flight', '8', '--frame-bytes', String(frameBytes), '--seconds', '3']);
      const ws = await broadcastPeer(1000, 3);
      await world.start();
      const report = await oneChannel(world, 1000, { mode: 'window', warmup: 2, seconds });
      const perCpu = report.deliveries / report.processes.gateway.cpu_s;
      return {
        values: { per_cpu_s: perCpu, per_s: report.deliveries_per_s, raw_per_cpu_s: raw.deliveries_per_cpu_s, ws_per_cpu_s: ws,
          of_raw: perCpu / raw.deliveries_per_cpu_s, of_ws: perCpu / ws },
        faults: faultsOf(report),
        refused: report.refused,
        detail: { posts_per_s: report.posts_per_s, delivery_ms: report.delivery_ms, cpu_s: cpuOf(report) },
      };
    },
  },
  B8: {
    what: 'closed-loop posters, durable, 8 channels of one team',
    rows: [
      { key: 'posts_per_s', what: '64 posters: posts per second', least: 20e3, want: 40e3 },
      { key: 'p50_ms', what: '64 posters: p50 ms', less: true },
      { key: 'p99_ms', what: '64 posters: p99 ms', least: 10, want: 5, less: true },
      { key: 'posts_per_s_256', what: '256 posters: posts per second' },
      { key: 'p99_ms_256', what: '256 posters: p99 ms', less: true },
    ],
    async run(world, seconds) {
      await world.start(manyWorkers);
      const few = await closedPosters(world, 64, seconds);
      const many = await closedPosters(world, 256, seconds);
      const faults = faultsOf(few);
      for (const [name, count] of Object.entries(faultsOf(many))) faults[name] += count;
      return {
        values: { posts_per_s: few.posts_per_s, p50_ms: few.post_ms.p50, p99_ms: few.post_ms.p99, posts_per_s_256: many.posts_per_s, p99_ms_256: many.post_ms.p99 },
        faults,
        refused: few.refused + many.refused,
        detail: { post_ms: few.post_ms, post_ms_256: many.post_ms, delivery_ms: few.delivery_ms, cpu_s: cpuOf(few), cpu_s_256: cpuOf(many) },
      };
    },
  },
  B12: {
    what: 'a page of history among 10 M messages, a search among 1 M: messaging asked as api asks it, over a PostgreSQL of its own',
    rows: [
      { key: 'history_p99_ms', what: 'page of 50 messages: p99 ms', least: 5, want: 2, less: true },
      { key: 'search_p99_ms', what: 'search, twelve kinds of queries in turns: p99 ms', least: 100, want: 30, less: true },
      { key: 'search_p50_ms', what: 'search: p50 ms', less: true },
      { key: 'index_per_s', what: 'messages per second that the index takes' },
    ],
    async all(runs) {
      const { rounds, failed, index_messages_per_s, index_mib, messages_mib } = await databaseProgram('search_bench', ['1000000', '200', '10000000', String(runs)]);
      return rounds.map((round, i) => ({
        values: { history_p99_ms: round.history_p99_ms, search_p99_ms: round.p99_ms, search_p50_ms: round.p50_ms, index_per_s: index_messages_per_s },
        faults: i === 0 ? { 'wrong answers': failed } : {},
        detail: { index_mib, messages_mib, search_max_ms: round.max_ms, history_p50_ms: round.history_p50_ms, queries: round.queries },
      }));
    },
  },
};
