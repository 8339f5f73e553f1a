// A cluster for measuring and the people in it. Everything is made by REST except accounts and sessions, which are written as rows:
// ten thousand argon2id hashes would take longer than all benches together.
import { execFileSync } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { Cluster } from '../../system/lib/cluster.mjs';
import { sleep } from '../../system/lib/wait.mjs';

const settings = { GUILDHALL_LOG_LEVEL: 'warn', GUILDHALL_WS_OPS_PER_MIN: '0' };
const services = ['moderation', 'messaging', 'presence', 'api', 'gateway'];

/** An id as house spells it: a version 8 UUID around the 64 bits. */
export function uuidOf(id) {
  const hex = BigInt(id).toString(16).padStart(16, '0');
  const variant = (0x80 | (parseInt(hex[15], 16) << 2)).toString(16).padStart(2, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(12, 15)}-${variant}00-000000000000`;
}

/** Tokens as api makes them, with the BLAKE2b-256 that it looks them up by (services/api/tokens.h). */
function makeTokens(count) {
  const program = `
import base64, hashlib, os
for _ in range(${count}):
    token = "ghs_" + base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    print(token, hashlib.blake2b(token.encode(), digest_size=32).hexdigest())`;
  return execFileSync('python3', ['-c', program], { maxBuffer: 1 << 28 }).toString().trim().split('\n').map((line) => line.split(' '));
}

export class World {
  constructor() {
    this.cluster = new Cluster({});
    this.people = [];
    this.agent = new Agent({ keepAlive: true, maxSockets: 32 });
  }

  /** PostgreSQL and the schema; no process of ours yet. */
  async create() {
    await this.cluster.pg.create();
    this.cluster.ctl('migrate', 'up');
    for (const copy of this.cluster.all()) await copy.ports();
  }

  /** Starts all five; returns the ms from the first spawn until every /readyz said 200. */
  async start(environment = {}) {
    this.cluster.extra = () => ({ ...settings, ...environment });
    const begun = performance.now();
    for (const copy of this.cluster.all()) copy.spawn();
    await Promise.all(this.cluster.all().map((copy) => this.ready(copy)));
    return performance.now() - begun;
  }

  async ready(copy) {
    const end = performance.now() + 60000;
    while (!(await this.status(copy.opsPort)))
      if (performance.now() > end) throw new Error(`${copy.name} is not ready after 60 s:\n${copy.log().slice(-2000)}`);
      else await sleep(5);
  }

  status(port) {
    return new Promise((done) => {
      const rq = request({ host: '127.0.0.1', port, path: '/readyz' }, (rs) => {
        rs.resume();
        rs.on('end', () => done(rs.statusCode === 200));
      });
      rq.on('error', () => done(false));
      rq.end();
    });
  }

  /** A service anew: all of its copies. */
  async restart(service) {
    for (const copy of this.cluster.copies[service]) {
      await copy.stop();
      copy.spawn();
      await this.ready(copy);
    }
  }

  async stop() {
    this.agent.destroy();
    this.agent = new Agent({ keepAlive: true, maxSockets: 32 });
    await this.cluster.stop();
    const died = this.cluster.unexpected.splice(0);
    if (died.length) throw new Error(`processes died: ${JSON.stringify(died)}`);
  }

  async destroy() {
    this.agent.destroy();
    await this.cluster.destroy();
  }

  /** The processes as lines of a load client's plan. */
  processes() {
    return [...this.cluster.all().map((copy) => `process ${copy.service} ${copy.child.pid}`), `process postgresql ${this.postgresPid()}`];
  }

  /** The postmaster: as root it is started through setpriv, which becomes it. */
  postgresPid() {
    return this.cluster.pg.child.pid;
  }

  call(method, path, token, body) {
    const text = body === undefined ? '' : JSON.stringify(body);
    const { httpPort } = this.cluster.copies.api[0];
    return new Promise((done, fail) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
      const rq = request({ host: '127.0.0.1', port: httpPort, method, path, headers, agent: this.agent }, (rs) => {
        const chunks = [];
        rs.on('data', (chunk) => chunks.push(chunk));
        rs.on('end', () => {
          const answer = Buffer.concat(chunks).toString();
          if (rs.statusCode < 200 || rs.statusCode > 299) fail(new Error(`${method} ${path}: ${rs.statusCode} ${answer}`));
          else done(answer ? JSON.parse(answer) : null);
        });
      });
      rq.on('error', fail);
      rq.end(text);
    });
  }

  /** At least `count` people with a session each. Can be called while processes run. */
  addPeople(count) {
    const missing = count - this.people.length;
    if (missing <= 0) return;
    const now = Date.now();
    const sessionBase = (BigInt(now - 1704067200000) << 22n) | (1023n << 12n);
    const rows = makeTokens(missing).map(([token, hash], i) => {
      const id = (BigInt(randomInt(1, 1 << 15)) << 32n) | BigInt(randomInt(2 ** 32)); // class R: 2^32 to 2^47
      const session = sessionBase + ((BigInt(this.people.length + i) >> 12n) << 22n) + (BigInt(this.people.length + i) & 4095n);
      return { id, uuid: uuidOf(id), session, token, hash, name: `p${this.people.length + i}_${randomBytes(3).toString('hex')}` };
    });
    const sql = ['BEGIN;', 'COPY auth.accounts (id, username, created_at_ms) FROM stdin;', ...rows.map((r) => `${r.id}\t${r.name}\t${now}`), '\\.',
      'COPY auth.sessions (id, account_id, token_hash, created_at_ms, last_used_at_ms) FROM stdin;',
      ...rows.map((r) => `${r.session}\t${r.id}\t\\\\x${r.hash}\t${now}\t${now}`), '\\.',
      'COPY log.streams (rank, id) FROM stdin;', ...rows.map((r) => `2\t${r.id}`), '\\.', 'COMMIT;', 'ANALYZE auth.accounts, auth.sessions;'];
    const { pg } = this.cluster;
    const file = join(this.cluster.folder, 'people.sql');
    writeFileSync(file, sql.join('\n') + '\n');
    execFileSync(join(pg.bin, 'psql'), ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', pg.folder, '-U', 'guildhall', '-d', 'guildhall', '-f', file],
      { stdio: ['ignore', 'ignore', 'inherit'] });
    this.people.push(...rows.map(({ uuid, token, name }) => ({ id: uuid, token, name, teams: new Set() })));
  }

  /** A team of the first `members` people with `channels` channels that all of them can read. */
  async team(members, channels) {
    this.addPeople(members);
    const owner = this.people[0];
    this.teamMade ??= await this.call('POST', '/v1/teams', owner.token, { name: 'bench', joining: 'open' });
    this.channels ??= [];
    while (this.channels.length < channels)
      this.channels.push(await this.call('POST', '/v1/channels', owner.token, { name: `channel ${this.channels.length}`, team_id: this.teamMade.id }));
    owner.member = true;
    const waiting = this.people.slice(0, members).filter((person) => !person.member);
    await Promise.all(Array.from({ length: 32 }, async () => {
      for (let person; (person = waiting.pop()); person.member = true)
        await this.call('PUT', `/v1/teams/${this.teamMade.id}/members/${person.id}`, person.token, {});
    }));
  }
}
