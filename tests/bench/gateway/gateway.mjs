// tests/bench/gateway/run without the building: our gateway and those of others, one after the other, in each run.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { faultsOf } from '../lib/benches.mjs';
import { load, program } from '../lib/load.mjs';
import { machine, median, printTable, say, verdict, versions as versionsOf } from '../lib/report.mjs';
import { Guildhall } from './ours.mjs';
import { peers, planOf } from './peers.mjs';

// What is measured is the server, not the client's look at every answer.
process.env.GUILDHALL_CONFORMANCE = 'off';

const names = ['raw', 'guildhall', ...Object.keys(peers)];
const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: names },
    sockets: { type: 'string', default: '1000' },
    runs: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '6' },
  },
});
const [sockets, runs, seconds] = [options.sockets, options.runs, options.seconds].map(Number);
if (options.only.some((name) => !names.includes(name)) || !(sockets >= 10) || !(runs >= 1) || !(seconds > 0)) {
  console.error(`usage: tests/bench/gateway/run [--only ${names.join('|')}]... [--sockets N] [--runs N] [--seconds S]`);
  process.exit(2);
}
const frameBytes = 300;
const many = Math.min(10 * sockets, 10000);

/** One peer under the load client; what a world is for ours. */
class Peer {
  constructor(name) {
    Object.assign(this, { name, peer: peers[name] });
  }

  async start() {
    this.folder = mkdtempSync(join(tmpdir(), 'guildhall-peer-'));
    mkdirSync(join(this.folder, 'logs'));
    this.started = await this.peer.start(this.folder);
  }

  async load(count, senders, wanted) {
    const report = await load(planOf(this.peer, this.started, count, senders),
      { protocol: this.peer.protocol, 'content-bytes': Math.max(48, frameBytes - this.peer.envelope), ...wanted });
    return { report, server: report.processes.server, detail: {} };
  }

  async stop() {
    await this.started?.server.stop();
    this.started = null;
    if (this.folder) rmSync(this.folder, { recursive: true, force: true });
    this.folder = null;
  }
}

/* In this order: memory is measured on a server that is new, ours too. */
const measures = {
  many: {
    sockets: many, senders: 1, options: { mode: 'window', warmup: 1, seconds, settle: 2 },
    values: ({ report, server }, count) => ({
      per_cpu_s: report.deliveries / server.cpu_s,
      kib_per_socket: (server.rss_ready_kib - server.rss_begin_kib) / count,
      ready_per_s: report.ready_per_s,
      ready_per_cpu_s: count / server.cpu_connect_s,
    }),
  },
  gathered: {
    sockets, senders: 8, options: { mode: 'window', warmup: 1, seconds },
    values: ({ report, server }) => ({ per_s: report.deliveries_per_s, per_cpu_s: report.deliveries / server.cpu_s, bytes: report.bytes_per_delivery }),
  },
  single: {
    sockets, senders: 1, options: { mode: 'window', warmup: 1, seconds },
    values: ({ report, server }) => ({ per_cpu_s: report.deliveries / server.cpu_s }),
  },
  paced: {
    sockets, senders: 8, options: { mode: 'rate', rate: 30, warmup: 1, seconds },
    values: ({ report }, count, ours) => ({
      p50_ms: report.delivery_ms.p50, p99_ms: report.delivery_ms.p99, p999_ms: report.delivery_ms['p99.9'], last_p99_ms: report.last_ms.p99,
      ...(ours ? { commit_p50_ms: report.logged_ms.p50, commit_p99_ms: report.logged_ms.p99, commit_p999_ms: report.logged_ms['p99.9'] } : {}),
    }),
  },
};

const results = {}; // server -> what -> [{values, faults, detail}]
const left = {}; // server -> why it, or the rest of it, was not measured
let failed = false;

function note(name, what, result) {
  ((results[name] ??= {})[what] ??= []).push(result);
  console.error(`${name} ${what}: ${JSON.stringify(result.values)}${Object.values(result.faults).some((n) => n > 0) ? ` FAULTS ${JSON.stringify(result.faults)}` : ''}`);
}

/** One that still cleans up behind a thousand sockets would be measured at that. A peer may try twice: ejabberd has lost one socket of
 * a thousand on the way. */
async function anew(server, count, one, again = true) {
  await server.stop();
  await server.start();
  try {
    return await server.load(count, one.senders, one.options);
  } catch (error) {
    if (!again) throw error;
    return anew(server, count, one, false);
  }
}

async function measure(name, server) {
  const most = peers[name]?.most ?? Infinity;
  for (const [what, one] of Object.entries(measures)) {
    const count = Math.min(one.sockets, most);
    const got = server === ours ? await ours.load(count, one.senders, one.options) : await anew(server, count, one);
    const values = one.values(got, count, name === 'guildhall');
    if (count < one.sockets) delete values.per_cpu_s;
    note(name, what, { values, faults: faultsOf(got.report), refused: got.report.refused, detail: { sockets: count, ...got.detail } });
  }
}

async function limit() {
  for (const [what, count, inFlight] of [['many', many, 1], ['gathered', sockets, 8], ['single', sockets, 1]]) {
    const raw = await program('guildhall-raw', ['--sockets', count, '--in-flight', inFlight, '--frame-bytes', frameBytes, '--seconds', Math.min(seconds, 4)].map(String));
    note('raw', what, { values: { per_cpu_s: raw.deliveries_per_cpu_s, ...(what === 'gathered' ? { per_s: raw.deliveries_per_s, bytes: frameBytes } : {}) }, faults: {} });
  }
}

const ours = options.only.includes('guildhall') ? new Guildhall() : null;
const versions = versionsOf(ours?.world.cluster.pg);
for (const name of options.only) {
  const version = peers[name]?.version();
  if (version) versions[name] = version;
  else if (peers[name]) left[name] = 'not installed';
}
try {
  await ours?.create();
  for (let run = 0; run < runs; run++)
    for (const name of options.only.filter((n) => left[n] === undefined)) {
      const server = name === 'guildhall' ? ours : name === 'raw' ? null : new Peer(name);
      try {
        if (name === 'guildhall') {
          await ours.start();
          await measure(name, ours);
          note(name, 'stuck', await ours.stuck(seconds));
          note(name, 'resumed', await ours.resumed());
        } else if (name === 'raw') await limit();
        else await measure(name, server);
      } catch (error) {
        // What a peer cannot do is a result; ours must.
        if (name === 'guildhall') failed = true;
        left[name] = `run ${run + 1}: ${error.message.split('\n')[0].slice(0, 600)}`;
      } finally {
        await server?.stop();
      }
    }
} finally {
  await ours?.destroy();
}

const middle = {};
const wrong = {};
for (const [name, whats] of Object.entries(results)) {
  middle[name] = {};
  for (const [what, list] of Object.entries(whats)) {
    const values = Object.fromEntries(Object.keys(list[0].values).map((key) => [key, median(list.map((r) => r.values[key]))]));
    const faults = {};
    for (const result of list) for (const [kind, count] of Object.entries(result.faults)) if (count > 0) faults[kind] = (faults[kind] ?? 0) + count;
    for (const [kind, count] of Object.entries(faults)) (wrong[name] ??= {})[kind] = (wrong[name][kind] ?? 0) + count;
    middle[name][what] = values;
    console.log(JSON.stringify({ bench: 'gateway', server: name, measure: what, machine, versions, runs: list.length, seconds, sockets, median: values, faults,
      all: list.map((r) => ({ ...r.values, refused: r.refused, ...r.detail })) }));
  }
}

const of = (name, what, key) => say(middle[name]?.[what]?.[key]);
const table = [['server', `${say(sockets)} sockets, 8 under way: /s`, 'per CPU-s', `1 under way: per CPU-s`, `${say(many)} sockets: per CPU-s`,
  '30 a second: p50 ms', 'p99', 'p99.9', 'KiB a socket', 'ready/s', 'ready per CPU-s', 'bytes', 'wrong']];
for (const name of options.only.filter((n) => middle[n]))
  table.push([name, of(name, 'gathered', 'per_s'), of(name, 'gathered', 'per_cpu_s'), of(name, 'single', 'per_cpu_s'), of(name, 'many', 'per_cpu_s'),
    of(name, 'paced', 'p50_ms'), of(name, 'paced', 'p99_ms'), of(name, 'paced', 'p999_ms'), of(name, 'many', 'kib_per_socket'), of(name, 'many', 'ready_per_s'),
    of(name, 'many', 'ready_per_cpu_s'), of(name, 'gathered', 'bytes'), wrong[name] ? Object.entries(wrong[name]).map(([kind, count]) => `${count} ${kind}`).join(', ') : name === 'raw' ? '' : 'nothing']);
console.log(`\nMedian of ${runs}, ${seconds} s each, ${machine.cores} cores that everything shares, the load client included. CPU is the server's own; ours is the gateway's.
Milliseconds are from the start of the POST (ours: through the commit; ws, socket.io, nchan: to the server itself) or of the publishing frame.\n`);
printTable(table, table[0].map((_, column) => column).slice(1, -1));
for (const [name, why] of Object.entries(left)) console.log(`\n${name} left out: ${why}`);

if (middle.guildhall?.paced) {
  const { gathered, single, many: big, stuck, resumed, paced } = middle.guildhall;
  const targets = [
    { id: 'B1', what: `${say(sockets)} sockets, 8 under way: deliveries per gateway CPU-second`, least: 600e3, want: 1e6, value: gathered.per_cpu_s },
    { id: 'B2', what: `1 under way, ${say(sockets)} sockets`, least: 250e3, want: 300e3, value: single.per_cpu_s },
    { id: '', what: `1 under way, ${say(many)} sockets`, least: 150e3, want: 180e3, value: big.per_cpu_s },
    { id: 'B5', what: `${say(many)} sockets: KiB RSS each`, least: 6, want: 2, less: true, value: big.kib_per_socket },
    { id: '', what: 'ready sockets a second', least: 5000, want: 10000, value: big.ready_per_s },
    { id: 'B6', what: "the others' rate beside 5 stuck of 205, % of alone", least: 90, want: 99, value: stuck?.of_alone },
    { id: '', what: 's until the stuck ones are closed', least: 10, want: 10, less: true, value: stuck?.closed_s },
    { id: 'B11', what: '10,000 resuming, 20 messages behind: sockets a second', least: 1000, want: 3333, value: resumed?.per_s },
  ];
  console.log();
  printTable([['', 'Guildhall', 'at least', 'we want', 'median', 'verdict'], ...targets.map((row) => [row.id, row.what, say(row.least), say(row.want), say(row.value), verdict(row, row.value)])], [2, 3, 4]);
  console.log(`\nFrom the commit, as the message itself tells it in whole ms, to a socket: p50 ${say(paced.commit_p50_ms)} ms, p99 ${say(paced.commit_p99_ms)}, p99.9 ${say(paced.commit_p999_ms)}.`);
}
if (wrong.guildhall) console.log('\nFAILED: deliveries of ours were lost, doubled, reordered or corrupt');
else console.log(failed ? '\nFAILED: ours was not measured to the end' : '\nEvery delivery was checked.');
process.exit(wrong.guildhall || failed ? 1 : 0);
