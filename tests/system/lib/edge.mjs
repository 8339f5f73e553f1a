// The edge in front of a cluster as deploy/ has it: nginx with the template, serving a folder of pages.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from './cluster.mjs';
import { until } from './wait.mjs';

export class Edge {
  constructor(cluster) {
    this.cluster = cluster;
    this.folder = join(cluster.folder, 'edge');
    this.page = join(this.folder, 'page');
    mkdirSync(join(this.folder, 'tmp'), { recursive: true });
    mkdirSync(this.page);
  }

  async start() {
    this.port = await freePort();
    const { api, gateway } = this.cluster.copies;
    const settings = { EDGE_LISTEN: `127.0.0.1:${this.port}`, API_UPSTREAM: `127.0.0.1:${api[0].httpPort}`,
      GATEWAY_UPSTREAMS: gateway.map((copy) => `server 127.0.0.1:${copy.wsPort};`).join(' '), PAGE_ROOT: 'page' };
    const template = readFileSync(new URL('../../../deploy/edge/guildhall.conf.template', import.meta.url), 'utf8');
    writeFileSync(join(this.folder, 'guildhall.conf'), template.replace(/\$\{(\w+)\}/g, (all, name) => settings[name] ?? all));
    // The cluster's folder is its owner's alone: a root's nginx would look into it as somebody else.
    const user = process.getuid() === 0 ? 'user root;\n' : '';
    writeFileSync(join(this.folder, 'nginx.conf'), `${user}daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\n`
      + ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path tmp/${kind};\n`).join('') + 'include guildhall.conf;\n}\n');
    this.child = spawn('/usr/sbin/nginx', ['-p', this.folder, '-e', 'stderr', '-c', 'nginx.conf'], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.errors = '';
    this.child.stderr.on('data', (data) => { this.errors += data; });
    this.exited = new Promise((done) => this.child.once('exit', done));
    await until(`nginx serves ${this.errors}`, async () => {
      if (this.child.exitCode !== null) throw new Error(`nginx: ${this.errors}`);
      return fetch(`${this.url}/version`).then(() => true, () => false);
    });
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async stop() {
    this.child?.kill('SIGTERM');
    await this.exited;
  }
}
