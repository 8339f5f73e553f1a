// Runs the load client (load.c) with a plan and reads what it found.
import { spawn } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
export const build = resolve(root, process.env.GUILDHALL_BUILD ?? 'build');

const at = (name) => join(build, 'tests/bench', name);

/** One of our programs; what it printed, with its exit code. */
export const program = (name, args, input) => output(name, at(name), args, input);
/** The same over a PostgreSQL of its own, fsync on. */
export const databaseProgram = (name, args) => output(name, join(root, 'tests/with-postgres'), ['--fsync', at(name), ...args]);

function output(name, command, args, input = '') {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk) => (text += chunk));
    child.once('error', fail);
    child.once('close', (code) => (code === 2 || !text ? fail(new Error(`${name} ended with ${code}`)) : done({ code, ...JSON.parse(text) })));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

/** Bytes of content that make a channel_message of `bytes` on the wire, websocket header and all. */
export function contentBytes(bytes, username) {
  const id = '-'.repeat(36);
  const data = { channel_id: id, message_id: id, user_id: id, username, content: '' };
  return Math.max(48, bytes - 4 - JSON.stringify({ type: 'channel_message', timestamp: '-'.repeat(24), data }).length);
}

/**
 * plan: {gateway: {port, path}, api: {port}, people: [{id, token}], groups: [{topic, sockets, first, users}],
 * senders: [{user, channel, group}], processes: [lines]}; options: of the load client, by name.
 */
export function load(plan, options) {
  const lines = [
    `gateway 127.0.0.1 ${plan.gateway.port} ${plan.gateway.path}`,
    `api 127.0.0.1 ${plan.api.port}`,
    ...(plan.since ? [`since ${JSON.stringify(plan.since)}`] : []),
    ...plan.people.map((p) => `user ${p.token} ${p.id}`),
    ...plan.groups.map((g) => `group ${g.topic} ${g.sockets} ${g.first ?? 0} ${g.users ?? plan.people.length}`),
    ...(plan.senders ?? []).map((s) => `sender ${s.user} ${s.channel} ${s.group}`),
    ...(plan.processes ?? []),
  ];
  if (process.env.GUILDHALL_BENCH_COMPRESS) options = { compress: 1, ...options };
  return program('guildhall-load', Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]), `${lines.join('\n')}\n`);
}
