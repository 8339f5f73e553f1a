// A long run with churn: sockets are cut, leave, come and change what they listen to, while posts go on. Memory and descriptors of
// every process must be flat, and every frame right. See tests/soak/run.
import { readFileSync, readdirSync } from 'node:fs';
import { Cluster } from '../system/lib/cluster.mjs';
import { Crowd, assertRight, unlimited } from '../system/lib/crowd.mjs';
import { Fire } from '../system/lib/fire.mjs';
import { sleep } from '../system/lib/wait.mjs';

const number = (name, otherwise) => Number(process.env[name] ?? otherwise);
const minutes = number('MINUTES', 30), sockets = number('SOCKETS', 1500), churn = number('CHURN', 50), everyS = number('EVERY_S', 10);
/* What the last third of the run may have more than the middle third, on average. */
const moreShare = 0.05, moreKib = 4096, moreFiles = 16;

function look(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return { rss: Number(status.match(/^VmRSS:\s+(\d+) kB/m)[1]), files: readdirSync(`/proc/${pid}/fd`).length };
}

const mean = (samples, what) => samples.reduce((sum, sample) => sum + sample[what], 0) / samples.length;

/** The middle and the last third of what one process used; what grew. */
function judge(name, samples) {
  const third = Math.floor(samples.length / 3);
  const middle = samples.slice(third, 2 * third), last = samples.slice(2 * third);
  const row = { name, rss_middle_kib: Math.round(mean(middle, 'rss')), rss_last_kib: Math.round(mean(last, 'rss')),
    files_middle: Math.round(mean(middle, 'files')), files_last: Math.round(mean(last, 'files')) };
  row.grew = [
    ...(row.rss_last_kib > row.rss_middle_kib * (1 + moreShare) + moreKib ? ['memory'] : []),
    ...(row.files_last > row.files_middle + moreFiles ? ['descriptors'] : []),
  ];
  return row;
}

const cluster = new Cluster({ copies: { gateway: 2, messaging: 2 }, environment: { ...unlimited, GUILDHALL_LOG_LEVEL: 'warn' } });
let failed = false;
try {
  await cluster.start();
  const fire = await Fire.light(cluster, { people: 5, channels: 4, gateways: [] });
  const crowd = await Crowd.gather(fire, sockets);
  const samples = Object.fromEntries(cluster.all().map((copy) => [copy.name, []]));
  crowd.churn(churn);
  const stop = fire.load({ pause: 2000 });
  const end = Date.now() + minutes * 60000;
  while (Date.now() < end) {
    await sleep(Math.min(everyS * 1000, Math.max(0, end - Date.now())));
    for (const copy of cluster.all()) samples[copy.name].push(look(copy.child.pid));
  }
  await stop();
  const report = await crowd.settle();
  const rows = Object.entries(samples).map(([name, all]) => judge(name, all));
  console.log(JSON.stringify({ minutes, sockets, churn, samples: samples['gateway-1'].length, report, processes: rows }));
  console.table(rows.map(({ grew, ...row }) => ({ ...row, grew: grew.join(' ') || 'nothing' })));
  assertRight(report);
  await fire.judge();
  failed = rows.some((row) => row.grew.length > 0);
} finally {
  await cluster.destroy();
}
process.exit(failed ? 1 : 0);
