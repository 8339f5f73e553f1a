// The benches: what each measures, against which numbers, and how one run of it goes. A run returns its values by name, and the
// faults that the load client saw. All sockets and posts go straight to the gateway and the api, not through the edge.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep } from '../../system/lib/wait.mjs';
import { contentBytes, load, program } from './load.mjs';

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

function faultsOf(report) {
  const { lost, doubled, reordered, corrupt, closed } = report;
  return { lost, doubled, reordered, corrupt, closed };
}

/** CPU seconds of each process over the measured time, and of everything else that ran on this machine. */
function cpuOf(report) {
  const cpu = Object.fromEntries([...Object.entries(report.processes).map(([name, p]) => [name, p.cpu_s]), ['load', report.load_cpu_s]]);
  cpu.others = Math.max(0, report.machine_cpu_s - Object.values(cpu).reduce((sum, s) => sum + s, 0));
  return cpu;
}

function memoryOf(pid) {
  const field = (file, name) => Number(readFileSync(`/proc/${pid}/${file}`, 'utf8').match(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm'))[1]);
  return { rss: field('status', 'VmRSS'), pss: field('smaps_rollup', 'Pss') };
}

async function oneChannel(world, sockets, options) {
  await world.team(sockets, 1);
  const people = world.people.slice(0, sockets);
  const [channel] = world.channels;
  const groups = [{ topic: `channel:${channel.id}`, sockets }];
  return load(planOf(world, people, groups, senders(8, [channel])), { 'content-bytes': contentBytes(frameBytes, people[0].name), settle: 1, ...options });
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
};
