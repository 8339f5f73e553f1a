// What the benches say of themselves: machine and versions, medians, verdicts, tables.
import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';

function line(command, ...args) {
  try {
    return execFileSync(command, args, { stdio: ['ignore', 'pipe', 'ignore'] }).toString().trim().split('\n')[0];
  } catch {
    return null;
  }
}

export const machine = { cpu: cpus()[0].model, cores: cpus().length, memory_mib: Math.round(totalmem() / 2 ** 20), kernel: release() };

export const versions = (postgres) => ({
  guildhall: line('git', 'describe', '--always', '--dirty'),
  ...(postgres ? { postgresql: line(`${postgres.bin}/postgres`, '--version')?.split(' ')[2] } : {}),
  compiler: line('cc', '-dumpfullversion'),
  node: process.version,
});

export function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function say(number) {
  if (number === undefined || number === null || Number.isNaN(number)) return '';
  const size = Math.abs(number);
  return number.toLocaleString('en-US', { maximumFractionDigits: size >= 100 ? 0 : size >= 10 ? 1 : 2 });
}

/** row: {least, want, less: true where less is better}. */
export function verdict(row, value) {
  if (row.least === undefined || value === undefined) return '';
  const reached = (target) => (row.less ? value <= target : value >= target);
  return reached(row.want) ? 'as wanted' : reached(row.least) ? 'reached' : 'missed';
}

/** rows of cells, the first the heading; `numbers`: the columns that stand right. */
export function printTable(rows, numbers) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const right = (column) => numbers.includes(column);
  rows.forEach((row, i) => {
    console.log(`| ${row.map((cell, column) => (right(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column]))).join(' | ')} |`);
    if (i === 0) console.log(`|${widths.map((width, column) => '-'.repeat(width + 1) + (right(column) ? ':' : '-')).join('|')}|`);
  });
}
