// A private PostgreSQL cluster in a temporary folder: unix socket only, never the system's own cluster.
// PostgreSQL does not run as root, so as root it runs as the user `postgres`.
import { spawn, execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep, until } from './wait.mjs';

function binFolder() {
  const base = '/usr/lib/postgresql';
  const versions = existsSync(base) ? readdirSync(base).map(Number).filter(Boolean).sort((a, b) => b - a) : [];
  for (const version of versions) if (existsSync(join(base, String(version), 'bin/initdb'))) return join(base, String(version), 'bin');
  throw new Error('no PostgreSQL server found: apt-get install postgresql');
}

function asPostgres() {
  if (process.getuid() !== 0) return { prefix: [], uid: null };
  const uid = Number(execFileSync('id', ['-u', 'postgres']));
  const gid = Number(execFileSync('id', ['-g', 'postgres']));
  return { prefix: ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'], uid, gid };
}

export class Postgres {
  constructor() {
    this.bin = binFolder();
    this.as = asPostgres();
    this.folder = mkdtempSync(join(tmpdir(), 'guildhall-pg-'));
    if (this.as.uid !== null) chownSync(this.folder, this.as.uid, this.as.gid);
    this.data = join(this.folder, 'data');
    this.socket = this.folder;
    this.child = null;
    this.environment = {}; // of the server, beside this process's own
    this.mounts = [];
    this.initdb = []; // more words for initdb
    this.settings = []; // more words for the server
    this.kept = false; // what ends unasked is started again, as a service manager would
  }

  run(program, args) {
    const command = [...this.as.prefix, join(this.bin, program), ...args];
    return execFileSync(command[0], command.slice(1), { cwd: this.folder, maxBuffer: 1 << 30, stdio: ['ignore', 'pipe', 'pipe'] }).toString();
  }

  async create() {
    this.run('initdb', ['-D', this.data, '-U', 'guildhall', '-A', 'trust', '--no-sync', '-E', 'UTF8', '--locale=C.UTF-8', ...this.initdb]);
    await this.start();
    this.psql('CREATE DATABASE guildhall', 'postgres');
  }

  get url() {
    return `host=${this.folder} user=guildhall dbname=guildhall`;
  }

  /** A server that follows `primary`, from a fresh copy of it. Its primary_conninfo names it `name`. */
  async follow(primary, name = 'standby') {
    this.run('pg_basebackup', ['-h', primary.folder, '-U', 'guildhall', '-D', this.data, '-R', '-X', 'stream', '-c', 'fast', '--no-sync',
      '-d', `application_name=${name}`]);
    await this.start();
  }

  /** A backup to put back later with `restore`. The folder is this server's own. */
  backup() {
    const folder = join(this.folder, `backup-${Date.now()}`);
    this.run('pg_basebackup', ['-h', this.folder, '-U', 'guildhall', '-D', folder, '-X', 'stream', '-c', 'fast', '--no-sync']);
    return folder;
  }

  /** The server is stopped. */
  restore(backup) {
    rmSync(this.data, { recursive: true });
    renameSync(backup, this.data);
  }

  /** A standby stops receiving: it lacks what is committed from now on. */
  async cutOff() {
    this.psql("ALTER SYSTEM SET primary_conninfo = ''");
    this.psql('SELECT pg_reload_conf()');
    await until('the standby receives no more', () => this.psql('SELECT count(*) FROM pg_stat_wal_receiver') === '0');
  }

  promote() {
    this.psql('SELECT pg_promote(true, 60)');
  }

  /** Until the standby `other` has replayed all that this server has written. */
  async caughtUp(other) {
    const at = this.psql('SELECT pg_current_wal_flush_lsn()');
    await until('the standby has caught up', () => other.psql(`SELECT coalesce(pg_last_wal_replay_lsn() >= '${at}', false)`) === 't');
  }

  /** Rows as arrays of text; no value may hold the separator. */
  rows(sql) {
    const text = this.psql(sql);
    return text === '' ? [] : text.split('\n').map((line) => line.split('|'));
  }

  /** A folder of this server on a file system of its own, of so many MiB. Throws where that may not be made. */
  mount(name, mib) {
    const path = join(this.folder, name);
    mkdirSync(path);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', path], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.mounts.push(path);
    if (this.as.uid !== null) chownSync(path, this.as.uid, this.as.gid);
    return path;
  }

  async start({ socket = this.folder } = {}) {
    this.socket = socket;
    this.spawn(socket);
    await until('PostgreSQL answers', () => {
      try {
        this.psql('SELECT 1', 'postgres');
        return true;
      } catch {
        return false;
      }
    }, 60000);
  }

  spawn(socket) {
    const settings = Object.entries(this.environment).map(([name, value]) => `${name}=${value}`);
    const command = [...this.as.prefix, 'env', ...settings, join(this.bin, 'postgres'), '-D', this.data, '-k', socket,
      '-c', 'listen_addresses=', '-c', 'max_connections=200', '-c', 'shared_buffers=128MB', '-c', 'fsync=on', ...this.settings];
    const log = openSync(join(this.folder, 'log'), 'a');
    this.child = spawn(command[0], command.slice(1), { cwd: this.folder, stdio: ['ignore', log, log] });
    this.wanted = true;
    this.exited = new Promise((resolve) => this.child.once('exit', (code) => {
      resolve(code);
      if (!this.wanted || !this.kept) return;
      this.ends = (this.ends ?? 0) + 1;
      setTimeout(() => this.wanted && this.spawn(socket), 200);
    }));
  }

  /** 'SIGINT' is a fast shutdown, 'SIGQUIT' a crash: recovery from the WAL at the next start. */
  async stop(signal = 'SIGINT') {
    if (!this.child) return;
    this.wanted = false;
    this.child.kill(signal);
    await this.exited;
    this.child = null;
    await sleep(50);
  }

  psql(sql, database = 'guildhall') {
    return this.run('psql', ['-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-h', this.socket, '-U', 'guildhall', '-d', database, '-c', sql]).trim();
  }

  /** Another folder for the socket: who knows only the usual one does not reach the server. */
  hiddenSocket() {
    const folder = join(this.folder, 'hidden');
    if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 });
    if (this.as.uid !== null) chownSync(folder, this.as.uid, this.as.gid);
    return folder;
  }

  async destroy() {
    await this.stop('SIGQUIT');
    for (const path of this.mounts) execFileSync('umount', [path]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
