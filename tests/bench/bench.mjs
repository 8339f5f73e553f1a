// tests/bench/run without the building: runs the benches asked for, prints a JSON line each and one table.
import { parseArgs } from 'node:util';
import { benches } from './lib/benches.mjs';
import { machine, median, printTable, say, verdict, versions as versionsOf } from './lib/report.mjs';
import { World } from './lib/world.mjs';

// What is measured is the server, not the client's look at every answer.
process.env.GUILDHALL_CONFORMANCE = 'off';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: 'string', default: '3' }, seconds: { type: 'string', default: '8' } },
});
const names = positionals.length ? positionals.map((name) => name.toUpperCase()) : Object.keys(benches);
const runs = Number(options.runs);
const seconds = Number(options.seconds);
if (names.some((name) => !benches[name]) || !(runs >= 1) || !(seconds > 0)) {
  console.error(`usage: tests/bench/run [${Object.keys(benches).join(' ')}] [--runs N] [--seconds S]`);
  process.exit(2);
}

const world = new World();
const versions = versionsOf(world.cluster.pg);

const table = [['', 'what', 'at least', 'we want', `median of ${runs}`, 'verdict']];
let wrong = 0;
try {
  await world.create();
  // As people and rows of every bench stay for the next, memory and start come first and the writing of millions last.
  for (const name of Object.keys(benches).filter((n) => names.includes(n))) {
    const bench = benches[name];
    // A bench that fills millions of rows does so once and measures all its runs over them.
    const results = bench.all ? await bench.all(runs) : [];
    for (let i = 0; i < runs; i++) {
      try {
        if (!bench.all) results.push(await bench.run(world, seconds));
        console.error(`${name} run ${i + 1}: ${JSON.stringify(results[i].values)}`);
      } finally {
        await world.stop();
      }
    }
    const values = Object.fromEntries(bench.rows.map(({ key }) => [key, median(results.map((r) => r.values[key]))]));
    const faults = {};
    for (const result of results) for (const [kind, count] of Object.entries(result.faults ?? {})) faults[kind] = (faults[kind] ?? 0) + count;
    const refused = results.reduce((sum, r) => sum + (r.refused ?? 0), 0);
    console.log(JSON.stringify({ bench: name, machine, versions, runs, seconds, median: values, faults, refused, all: results.map((r) => ({ ...r.values, ...r.detail })) }));
    bench.rows.forEach((row, i) => table.push([i === 0 ? name : '', row.what, say(row.least), say(row.want), say(values[row.key]), verdict(row, values[row.key])]));
    const bad = Object.entries(faults).filter(([, count]) => count > 0);
    if (bad.length) table.push(['', `WRONG: ${bad.map(([kind, count]) => `${count} ${kind}`).join(', ')}`, '', '', '', 'FAILED']);
    if (refused) table.push(['', `${refused} posts were not answered 201`, '', '', '', '']);
    wrong += bad.length;
  }
} finally {
  await world.destroy();
}

console.log(`\nStraight to the gateway and the api, without the edge; limits off, log level warn, PostgreSQL with fsync on; ${machine.cores} cores that
everything shares, the load client included.\n`);
printTable(table, [2, 3, 4]);
console.log(wrong ? '\nFAILED: deliveries were lost, doubled, reordered or corrupt, or an answer was wrong' : '\nEvery delivery was checked: none lost, doubled, reordered or corrupt');
process.exit(wrong ? 1 : 0);
