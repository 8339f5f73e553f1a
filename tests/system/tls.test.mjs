// TLS by the gateway itself: who may speak it, what a connection survives, and what one that misbehaves costs the others. Keys and
// certificates are made here and now.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { until } from './lib/wait.mjs';

const folder = mkdtempSync(join(tmpdir(), 'guildhall-tls-'));
const [certificate, key] = ['certificate.pem', 'key.pem'].map((name) => join(folder, name));
/** A key and a certificate that signs itself, as files in the folder. */
function makeCertificate(name, algorithm = ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']) {
  const files = { key: join(folder, `${name}.key`), certificate: join(folder, `${name}.crt`) };
  execFileSync('openssl', ['req', '-x509', '-newkey', ...algorithm, '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1',
    '-keyout', files.key, '-out', files.certificate], { stdio: 'pipe' });
  return files;
}
function install(files) {
  copyFileSync(files.certificate, certificate);
  copyFileSync(files.key, key);
}

const first = makeCertificate('first');
const second = makeCertificate('second', ['rsa:2048']);
const ca = [first, second].map((files) => readFileSync(files.certificate));
install(first);
const cluster = new Cluster({
  environment: (copy) => copy?.service !== 'gateway' ? {} : {
    GUILDHALL_WS_TLS_CERT: certificate, GUILDHALL_WS_TLS_KEY: key, GUILDHALL_WS_HANDSHAKE_MS: '2000', GUILDHALL_WS_OPS_PER_MIN: '0',
    GUILDHALL_WS_TLS_HANDSHAKES: '20', GUILDHALL_GATEWAY_LOOPS: '1',
    GUILDHALL_WS_QUEUE_BYTES: '65536', GUILDHALL_WS_QUEUE_MS: '60000', GUILDHALL_WS_SNDBUF_BYTES: '16384',
  },
});
let owner, channel, gateway;
const open = (query = '') => new Socket(cluster.ws().replace('ws:', 'wss:') + query, { token: owner.token, ca });
const where = () => ({ host: '127.0.0.1', port: gateway.wsPort });
const metric = async (name) => (await gateway.metrics())[name] ?? 0;
/** Its certificate's name, its version and its protocol, or the error's code. */
const greeted = (options = {}) => new Promise((done) => {
  const socket = connectTls({ ...where(), ca, ALPNProtocols: ['http/1.1'], ...options }, () => {
    const said = { name: socket.getPeerCertificate().subject.CN, version: socket.getProtocol(), protocol: socket.alpnProtocol, reused: socket.isSessionReused() };
    socket.destroy();
    done(said);
  });
  socket.once('error', (error) => done(error.code ?? error.message));
});
const alive = async (socket) => {
  const ref = `alive-${Math.random()}`;
  socket.send({ op: 'ping', ref });
  await socket.frame((f) => f.type === 'pong' && f.data.ref === ref, { ms: 30000 });
};

before(async () => {
  await cluster.start();
  [gateway] = cluster.copies.gateway;
  owner = await newPerson(new Rest([cluster.api]), 'owner');
  const team = await owner.rest.ok('POST', '/v1/teams', { name: 'secure' });
  channel = await owner.rest.ok('POST', '/v1/channels', { name: 'general', team_id: team.id });
}, { timeout: 120000 });
after(async () => {
  assert.deepEqual(cluster.unexpected, [], 'no process ended');
  await cluster.destroy();
  rmSync(folder, { recursive: true });
}, { timeout: 60000 });

test('a websocket over TLS is a websocket', async () => {
  const socket = open(`?topics=channel:${channel.id}`);
  await socket.frame('subscribed', { ms: 30000 });
  const posted = await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'said in secret' });
  assert.equal((await socket.frame('channel_message')).data.message_id, posted.id);
  socket.end();
});

test('messages of several records and many in one record are all read, and answered', async () => {
  const socket = open();
  await socket.frame('hello', { ms: 30000 });
  socket.send({ op: 'nonsense', ref: 'long', padding: 'x'.repeat(60000) });
  await socket.frame((f) => f.type === 'error' && f.data.ref === 'long', { ms: 30000 });
  for (let i = 0; i < 600; i++) socket.send({ op: 'ping', ref: i });
  await socket.frame((f) => f.type === 'pong' && f.data.ref === 599, { ms: 30000 });
  assert.deepEqual(socket.frames.filter((f) => f.type === 'pong').map((f) => f.data.ref), Array.from({ length: 600 }, (_, i) => i));
  socket.end();
});

test('1.3 and 1.2 are spoken, nothing older, and no other protocol', async () => {
  assert.deepEqual(await greeted(), { name: 'first', version: 'TLSv1.3', protocol: 'http/1.1', reused: false });
  assert.deepEqual(await greeted({ maxVersion: 'TLSv1.2' }), { name: 'first', version: 'TLSv1.2', protocol: 'http/1.1', reused: false });
  assert.match(await greeted({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' }), /PROTOCOL_VERSION/);
  assert.match(await greeted({ maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' }), /HANDSHAKE_FAILURE/);
  assert.match(await greeted({ ALPNProtocols: ['h2'] }), /NO_APPLICATION_PROTOCOL/);
  assert.equal((await greeted({ ALPNProtocols: undefined })).name, 'first');
});

test('who comes back with a ticket is known', async () => {
  const upgrade = `GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
  const visit = (session) => new Promise((done, failed) => {
    let ticket;
    const socket = connectTls({ ...where(), ca, session }, () => socket.write(upgrade));
    socket.on('session', (s) => (ticket = s));
    socket.once('error', failed);
    socket.once('data', () => (done({ reused: socket.isSessionReused(), ticket }), socket.destroy()));
  });
  const before = await visit();
  assert.equal(before.reused, false);
  assert.equal((await visit(before.ticket)).reused, true);
});

test('garbage, plain HTTP and half a handshake are cut, each by itself, and counted', async () => {
  const socket = open();
  await socket.frame('hello', { ms: 30000 });
  const failed = await metric('guildhall_gateway_tls_handshakes_total{result="failed"}');
  const slow = await metric('guildhall_gateway_refused_total{cause="slow_handshake"}');
  const cut = (bytes) => new Promise((done) => {
    const peer = connectPlain(where(), () => peer.write(bytes));
    peer.on('error', () => {});
    peer.on('data', () => {});
    peer.once('close', done);
  });
  const hello = Buffer.concat([Buffer.from('16030102000100 01fc 0303'.replaceAll(' ', ''), 'hex'), Buffer.alloc(100, 7)]); // of 512 bytes
  await Promise.all([cut(Buffer.alloc(2000, 0xee)), cut('GET /v1/ws HTTP/1.1\r\nHost: x\r\n\r\n'), cut(hello), cut(hello.subarray(0, 3))]);
  await until('all four are counted', async () => await metric('guildhall_gateway_tls_handshakes_total{result="failed"}') === failed + 4);
  assert.equal(await metric('guildhall_gateway_refused_total{cause="slow_handshake"}'), slow + 2);
  await alive(socket);
  socket.end();
});

test('more handshakes at once than allowed are closed, who is there goes on, and there is room again when they are cut', async () => {
  const socket = open();
  await socket.frame('hello', { ms: 30000 });
  const stalled = Array.from({ length: 30 }, () => connectPlain(where()));
  for (const peer of stalled) peer.on('error', () => {}).on('data', () => {});
  const gone = stalled.map((peer) => new Promise((done) => peer.once('close', done)));
  await until('some are closed', async () => await metric('guildhall_gateway_refused_total{cause="tls_handshakes"}') >= 10);
  await alive(socket);
  await Promise.all(gone);
  assert.equal((await greeted()).name, 'first');
  socket.end();
});

test('SIGHUP brings the new certificate to who comes, and takes nothing from who is there; a bad one changes nothing', async () => {
  const there = open();
  await there.frame('hello', { ms: 30000 });
  install(second);
  gateway.child.kill('SIGHUP');
  await until('the new certificate is shown', async () => (await greeted()).name === 'second');
  await alive(there);
  const complaints = () => gateway.log().split('\n').filter((line) => line.includes('"tls_certificate_bad"'));
  copyFileSync(first.certificate, certificate); // not of this key
  gateway.child.kill('SIGHUP');
  await until('the pair that does not match is refused', () => complaints().length === 1);
  writeFileSync(certificate, 'no certificate');
  gateway.child.kill('SIGHUP');
  await until('what is no certificate is refused', () => complaints().length === 2);
  rmSync(certificate);
  gateway.child.kill('SIGHUP');
  await until('a file that is gone is refused', () => complaints().length === 3);
  assert.deepEqual(complaints().map((line) => JSON.parse(line)).map(({ level, file }) => ({ level, file })),
    [key, certificate, certificate].map((file) => ({ level: 'error', file })));
  assert.equal((await greeted()).name, 'second');
  await alive(there);
  there.end();
});

test('a client that does not read is closed as a slow reader, and the others get everything', async () => {
  const query = `?topics=channel:${channel.id}`;
  const [stuck, reader] = [open(query), open(query)];
  await Promise.all([stuck, reader].map((socket) => socket.frame('subscribed', { ms: 30000 })));
  const slow = await metric('guildhall_gateway_slow_readers_total');
  stuck.ws.pause();
  const posted = [];
  while (await metric('guildhall_gateway_slow_readers_total') === slow) {
    assert.ok(posted.length < 5000, 'it is never closed');
    const batch = Array.from({ length: 4 }, (_, i) => owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: `${posted.length + i} `.padEnd(3900, 'x') }));
    posted.push(...(await Promise.all(batch)).map((message) => message.id));
  }
  assert.equal(reader.close, undefined);
  await until('the reader has all', () => reader.frames.filter((f) => f.type === 'channel_message').length >= posted.length, 60000);
  assert.deepEqual(reader.frames.filter((f) => f.type === 'channel_message').map((f) => f.data.message_id).sort(), posted.sort());
  stuck.ws.resume();
  const { code } = await stuck.closed;
  assert.ok([4409, 1006].includes(code), `${code}`); // 1006: it began to read when the word had been waited for long enough
  await alive(reader);
  reader.end();
});

test('who is sent away when the gateway stops hears it', async () => {
  const socket = open();
  await socket.frame('hello', { ms: 30000 });
  const stopping = gateway.stop();
  await socket.frame('reconnect', { ms: 30000 });
  assert.equal((await socket.closed).code, 1012);
  assert.equal((await stopping).code, 0);
});
