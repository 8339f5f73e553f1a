// What TLS by the gateway itself costs: memory of an idle socket, processor time to get one ready. One JSON line a case.
//   GUILDHALL_BUILD=build-bench node tests/bench/tls.mjs [SOCKETS]
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { Cluster } from '../system/lib/cluster.mjs';
import { Rest, newPerson } from '../system/lib/client.mjs';
import { sleep } from '../system/lib/wait.mjs';

const count = Number(process.argv[2] ?? 3000);
const keys = { 'ECDSA P-256': ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'], 'RSA 2048': ['rsa:2048'] };

async function measure({ key, version }) {
  const folder = mkdtempSync(join(tmpdir(), 'guildhall-tls-'));
  const settings = { GUILDHALL_LOG_LEVEL: 'warn' };
  if (key) {
    Object.assign(settings, { GUILDHALL_WS_TLS_CERT: join(folder, 'certificate'), GUILDHALL_WS_TLS_KEY: join(folder, 'key') });
    execFileSync('openssl', ['req', '-x509', '-newkey', ...keys[key], '-nodes', '-days', '2', '-subj', '/CN=bench',
      '-keyout', settings.GUILDHALL_WS_TLS_KEY, '-out', settings.GUILDHALL_WS_TLS_CERT], { stdio: 'pipe' });
  }
  const cluster = new Cluster({ environment: settings });
  const sockets = [];
  try {
    await cluster.start();
    const [gateway] = cluster.copies.gateway;
    const { token } = await newPerson(new Rest([cluster.api]), 'bench');
    const request = 'GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
      + `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer ${token}\r\n\r\n`;
    const where = { host: '127.0.0.1', port: gateway.wsPort };
    const ready = () => new Promise((done, failed) => {
      let got = '';
      const socket = key ? connectTls({ ...where, rejectUnauthorized: false, minVersion: version, maxVersion: version }) : connect(where);
      socket.once(key ? 'secureConnect' : 'connect', () => socket.write(request));
      socket.on('data', (bytes) => (got += bytes.toString('latin1')).includes('"hello"') && done());
      socket.once('error', failed);
      sockets.push(socket);
    });
    const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${gateway.child.pid}/status`, 'utf8'))[1]);
    await Promise.all(Array.from({ length: 100 }, ready));
    const [rssBefore, cpuBefore] = [rss(), gateway.cpuSeconds()];
    for (let i = 0; i < count; i += 50) await Promise.all(Array.from({ length: 50 }, ready));
    const cpu = gateway.cpuSeconds() - cpuBefore;
    await sleep(2000);
    console.log(JSON.stringify({ bench: 'tls', version: version ?? 'plain', key, sockets: count, rss_kib_each: +((rss() - rssBefore) / count).toFixed(1), cpu_ms_each: +(cpu * 1000 / count).toFixed(2) }));
  } finally {
    for (const socket of sockets) socket.destroy();
    await cluster.destroy();
    rmSync(folder, { recursive: true });
  }
}

for (const what of [{}, { key: 'ECDSA P-256', version: 'TLSv1.3' }, { key: 'ECDSA P-256', version: 'TLSv1.2' }, { key: 'RSA 2048', version: 'TLSv1.3' }]) await measure(what);
