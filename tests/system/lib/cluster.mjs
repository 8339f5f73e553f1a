// Real processes over a real PostgreSQL: which copies run is told by `copies`. Kills by pid, and only its own children.
import { spawn, execFileSync } from 'node:child_process';
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Postgres } from './postgres.mjs';
import { sleep, until } from './wait.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
export const build = resolve(root, process.env.GUILDHALL_BUILD ?? 'build');

/* Ports come from ranges of a hundred, each claimed by listening at its first port for as long as this process lives: no other test file, of
 * which several run at once, is given one of them, and the kernel gives none of them to somebody who connects. */
const RANGE = 100, LOWEST = 10000, RANGES = 220;
const claimed = { next: 0, end: 0 };

const listens = (server, port) => new Promise((done) => {
  server.once('error', () => done(false));
  server.listen(port, '127.0.0.1', () => done(true));
});

async function claimRange() {
  for (let i = 0; i < RANGES; i++) {
    const first = LOWEST + ((process.pid + i) % RANGES) * RANGE;
    const claim = createServer().unref();
    if (await listens(claim, first)) return Object.assign(claimed, { next: first + 1, end: first + RANGE });
  }
  throw new Error('every range of ports is taken');
}

export async function freePort() {
  for (;;) {
    if (claimed.next === claimed.end) await claimRange();
    const port = claimed.next++;
    const server = createServer();
    if (!await listens(server, port)) continue;
    await new Promise((done) => server.close(done));
    return port;
  }
}

class Copy {
  constructor(cluster, service, number) {
    Object.assign(this, { cluster, service, number, name: `${service}-${number}`, child: null, kills: 0, wanted: false });
    this.logFile = join(cluster.folder, `${this.name}.log`);
  }

  async ports() {
    this.opsPort ??= await freePort();
    if (this.service === 'api') this.httpPort ??= await freePort();
    if (this.service === 'gateway') this.wsPort ??= await freePort();
  }

  spawn() {
    const { cluster } = this;
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, ...sanitizers(), ...cluster.environment(this) };
    this.wanted = true;
    const log = createWriteStream(this.logFile, { flags: 'a' });
    const command = [...cluster.prefix(this), join(build, 'services', this.service, `guildhall-${this.service}`)];
    const child = spawn(command[0], command.slice(1), { env, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    this.child = child;
    this.exited = new Promise((done) => child.once('exit', (code, signal) => {
      this.child = null;
      this.last = { code, signal };
      done(this.last);
      // A supervisor as an operator would have one: what dies unasked comes back.
      if (this.wanted && cluster.supervise) setTimeout(() => this.wanted && !this.child && this.spawn(), 100);
      else if (this.wanted && signal !== 'SIGKILL') cluster.unexpected.push({ name: this.name, code, signal });
      if (code !== 0 && signal !== 'SIGKILL' && this.wanted) cluster.unexpected.push({ name: this.name, code, signal });
    }));
  }

  async ready(ms = 120000) {
    await until(`${this.name} is ready`, () => {
      // What answers at its port once it ended is not it.
      if (!this.child && !this.cluster.supervise) throw new Error(`${this.name} ended with ${JSON.stringify(this.last)}: ${this.log().slice(-2000)}`);
      return this.child && this.isReady();
    }, ms);
  }

  async isReady() {
    try {
      return (await fetch(`http://127.0.0.1:${this.opsPort}/readyz`, { signal: AbortSignal.timeout(2000) })).status === 200;
    } catch {
      return false;
    }
  }

  async metrics() {
    const text = await (await fetch(`http://127.0.0.1:${this.opsPort}/metrics`)).text();
    return Object.fromEntries(text.split('\n').filter((l) => l && !l.startsWith('#')).map((l) => {
      const at = l.lastIndexOf(' ');
      return [l.slice(0, at), Number(l.slice(at + 1))];
    }));
  }

  kill9() {
    this.kills++;
    this.child?.kill('SIGKILL');
  }

  async stop(signal = 'SIGTERM') {
    this.wanted = false;
    if (!this.child) return this.last;
    this.child.kill(signal);
    const timer = setTimeout(() => this.child?.kill('SIGKILL'), 90000);
    const last = await this.exited;
    clearTimeout(timer);
    return last;
  }

  /** Seconds of processor time that its threads used up to now. */
  cpuSeconds() {
    const fields = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100; // utime and stime, in USER_HZ, which is 100 on every Linux
  }

  log() {
    return readFileSync(this.logFile, 'utf8');
  }
}

function sanitizers() {
  const keep = {};
  for (const name of ['ASAN_OPTIONS', 'UBSAN_OPTIONS', 'TSAN_OPTIONS', 'LSAN_OPTIONS']) if (process.env[name]) keep[name] = process.env[name];
  return keep;
}

export class Cluster {
  /** copies: how many of each service; environment: extra settings of every process, or a function of the copy (null: guildhallctl)
   *  and the cluster; prefix: words in front of a copy's command line; servers: of PostgreSQL, of which the first is created with the
   *  cluster and the others are the test's to make standbys of. */
  constructor({ copies = {}, environment = {}, prefix = () => [], supervise = false, servers = 1 } = {}) {
    this.folder = mkdtempSync(join(tmpdir(), 'guildhall-test-'));
    this.run = join(this.folder, 'run');
    mkdirSync(this.run, { mode: 0o700 });
    this.extra = typeof environment === 'function' ? environment : () => environment;
    this.prefix = prefix;
    this.supervise = supervise;
    this.unexpected = [];
    this.servers = Array.from({ length: servers }, () => new Postgres());
    this.pg = this.servers[0]; // the primary
    this.copies = {};
    for (const service of ['moderation', 'messaging', 'presence', 'api', 'gateway']) {
      this.copies[service] = Array.from({ length: copies[service] ?? 1 }, (_, i) => new Copy(this, service, i + 1));
    }
  }

  all() {
    return Object.values(this.copies).flat();
  }

  address(copy, kind) {
    return `ipc://${this.run}/${copy.name}.${kind}`;
  }

  addresses(service, kind) {
    return this.copies[service].map((copy) => this.address(copy, kind)).join(',');
  }

  get url() {
    return `host=${this.servers.map((server) => server.folder).join(',')} user=guildhall dbname=guildhall`;
  }

  environment(copy) {
    const publishers = ['api', 'messaging', 'moderation', 'presence'];
    const env = {
      GUILDHALL_DB_URL: this.url,
      GUILDHALL_INSTANCE: copy?.name ?? 'ctl',
      GUILDHALL_RPC_API: this.addresses('api', 'rpc'),
      GUILDHALL_RPC_MESSAGING: this.addresses('messaging', 'rpc'),
      GUILDHALL_RPC_MODERATION: this.addresses('moderation', 'rpc'),
      GUILDHALL_RPC_PRESENCE: this.addresses('presence', 'rpc'),
      GUILDHALL_PUB_PEERS: publishers.map((service) => this.addresses(service, 'pub')).join(','),
      GUILDHALL_LIMIT_REQUESTS_PER_S: '0',
      GUILDHALL_LIMIT_POSTS_PER_5S: '0',
      GUILDHALL_LIMIT_LOGINS_PER_MIN: '0',
      GUILDHALL_LIMIT_GUESSES_PER_MIN: '0',
      GUILDHALL_LIMIT_REGISTRATIONS_PER_H: '0',
      GUILDHALL_LIMIT_STRANGERS_PER_S: '0',
      GUILDHALL_WS_SOCKETS_PER_ADDRESS: '0',
      GUILDHALL_WS_SOCKETS_PER_ACCOUNT: '0',
      GUILDHALL_WS_HANDSHAKES_PER_S: '0',
      GUILDHALL_WS_HANDSHAKES_PER_S_ADDRESS: '0',
    };
    if (!copy) return { ...env, ...this.extra(null, this) };
    env.GUILDHALL_OPS_LISTEN = `127.0.0.1:${copy.opsPort}`;
    if (publishers.includes(copy.service)) {
      env.GUILDHALL_RPC_LISTEN = this.address(copy, 'rpc');
      env.GUILDHALL_PUB_LISTEN = this.address(copy, 'pub');
    }
    if (copy.service === 'api') env.GUILDHALL_HTTP_LISTEN = `127.0.0.1:${copy.httpPort}`;
    if (copy.service === 'messaging') {
      env.GUILDHALL_FILES_DIR = join(this.folder, 'files');
      env.GUILDHALL_PREVIEWER = join(build, 'services/preview/guildhall-preview');
    }
    if (copy.service === 'gateway') env.GUILDHALL_WS_LISTEN = `127.0.0.1:${copy.wsPort}`;
    return { ...env, ...this.extra(copy, this) };
  }

  ctl(...args) {
    return this.ctlWith({}, ...args);
  }

  ctlWith(environment, ...args) {
    return execFileSync(join(build, 'services/ctl/guildhallctl'), args, {
      env: { PATH: process.env.PATH, ...sanitizers(), ...this.environment(null), GUILDHALL_MIGRATIONS: join(root, 'migrations'), ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    }).toString();
  }

  async start() {
    await this.pg.create();
    this.ctl('migrate', 'up');
    for (const copy of this.all()) await copy.ports();
    for (const copy of this.all()) copy.spawn();
    await Promise.all(this.all().map((copy) => copy.ready()));
  }

  get api() {
    return `http://127.0.0.1:${this.copies.api[0].httpPort}`;
  }

  ws(number = 0) {
    return `ws://127.0.0.1:${this.copies.gateway[number].wsPort}/v1/ws`;
  }

  async stop() {
    const results = [];
    for (const service of ['gateway', 'api', 'presence', 'messaging', 'moderation'])
      results.push(...await Promise.all(this.copies[service].map(async (copy) => ({ name: copy.name, ...(await copy.stop()) }))));
    return results;
  }

  async destroy() {
    for (const copy of this.all()) copy.wanted = false;
    await this.stop();
    await Promise.all(this.servers.map((server) => server.destroy()));
    if (!process.env.GUILDHALL_KEEP_LOGS) rmSync(this.folder, { recursive: true, force: true });
    else console.error(`logs kept in ${this.folder}`);
    await sleep(10);
  }
}
