// The websocket of a real gateway against RFC 6455 and RFC 7692, on raw TCP sockets.
//   node tests/conformance/run.mjs [--verbose] [PART OF A NAME...]      GUILDHALL_BUILD=folder of the build
// Each case says some bytes and lists what has to be heard, in order and nothing else. The house dialect does not echo, so what became of
// bytes is seen by what it answers: a ping by its payload, an operation (padded with blanks to its size) by its ref, text that is no operation
// by 4400, binary by 1003; and a socket that should live on answers a ping. Ends with "N cases run, N passed" and "N passed, N failed".
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster } from '../system/lib/cluster.mjs';
import * as framing from './cases/framing.mjs';
import * as control from './cases/control.mjs';
import * as fragmentation from './cases/fragmentation.mjs';
import * as utf8 from './cases/utf8.mjs';
import * as close from './cases/close.mjs';
import * as limits from './cases/limits.mjs';
import * as deflate from './cases/deflate.mjs';
import * as handshake from './cases/handshake.mjs';
import * as frames from './frames.mjs';
import { Peer, acceptOf, request } from './peer.mjs';

const AT_ONCE = 8;
const words = process.argv.slice(2);
const verbose = words[0] === '--verbose' && words.shift() !== undefined;

const folder = mkdtempSync(join(tmpdir(), 'guildhall-conformance-'));
const [key, certificate] = ['key.pem', 'certificate.pem'].map((name) => join(folder, name));
execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=conformance',
  '-keyout', key, '-out', certificate], { stdio: 'pipe' });

const cluster = new Cluster({
  copies: { gateway: 3 },
  environment: (copy) => (copy?.service !== 'gateway' ? {} : {
    GUILDHALL_WS_OPS_PER_MIN: '0',
    GUILDHALL_WS_SOCKETS_PER_ACCOUNT: '0',
    GUILDHALL_WS_HANDSHAKES_PER_S: '0',
    GUILDHALL_WS_HANDSHAKES_PER_S_ADDRESS: '0',
    GUILDHALL_WS_QUEUE_BYTES: '4194304', // a thousand answers at once are no slow reader, nor is a busy machine
    GUILDHALL_WS_QUEUE_MS: '60000',
    GUILDHALL_WS_HANDSHAKE_MS: '60000',
    GUILDHALL_WS_AUTH_MS: '60000',
    GUILDHALL_WS_ORIGINS: 'https://chat.example,https://*.apps.example',
    ...(copy.number !== 2 ? { GUILDHALL_WS_MAX_FRAME_BYTES: String(16 << 20) } : {}),
    ...(copy.number === 3 ? { GUILDHALL_WS_TLS_CERT: certificate, GUILDHALL_WS_TLS_KEY: key } : {}),
  }),
});
const gateways = { wide: 0, narrow: 1, tls: 2 };
let token;

async function rest(method, path, body) {
  const headers = { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(cluster.api + path, { method, headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

const peerOf = (one) => new Peer(cluster.copies.gateway[gateways[one.on ?? 'wide']].wsPort, { tls: one.on === 'tls', mute: one.mute });
/* What depends on how bytes come and go is played over TLS as well. */
const overTls = ({ family, cases }) => ({ family: `${family}, over TLS`, cases: cases.filter((one) => one.on === undefined).map((one) => ({ ...one, on: 'tls' })) });

function same(what, got, expected) {
  if (JSON.stringify(got) !== JSON.stringify(expected)) throw new Error(`${what}: ${JSON.stringify(got)?.slice(0, 600)} instead of ${JSON.stringify(expected)?.slice(0, 600)}`);
}

/** Says everything, waits for the end, or for a last pong where there should be none, and compares. */
async function talk(peer, send, hear) {
  for (const step of typeof send === 'function' ? send() : send) {
    if (step.pause) await peer.until(step.pause, () => peer.heard.includes(step.pause) || peer.ended);
    else if (step.end) peer.socket.end();
    else if (step.bytes) await peer.say(step.bytes, step.chop);
    else await peer.say(step);
  }
  if (hear.at(-1) === 'end') {
    await peer.until('the end', () => peer.ended);
    if (JSON.stringify(peer.heard) !== JSON.stringify(hear)) throw new Error(`heard ${peer.told()} instead of ${JSON.stringify(hear).slice(0, 600)}`);
    return;
  }
  await peer.say(frames.ping('still here'));
  await peer.until('the last pong', () => peer.ended || peer.heard.at(-1) === 'pong still here');
  if (JSON.stringify(peer.heard) !== JSON.stringify([...hear, 'pong still here'])) throw new Error(`heard ${peer.told()} instead of ${JSON.stringify(hear).slice(0, 600)}`);
}

async function open(peer, one) {
  await peer.open({ token, path: one.path, headers: one.offer ? { 'Sec-WebSocket-Extensions': one.offer } : {} });
  if (one.agreed !== undefined) same('agreed upon', peer.extensions, one.agreed);
}

async function messageCase(one) {
  const peer = peerOf(one);
  try {
    await open(peer, one);
    await talk(peer, one.send, one.hear);
  } finally {
    peer.destroy();
  }
}

async function handshakeCase(one) {
  const peer = peerOf(one);
  try {
    const raw = Buffer.isBuffer(one.request);
    const key = one.request.key ?? 'AAAAAAAAAAAAAAAAAAAAAA==';
    const bytes = raw ? one.request : Buffer.from(request({ token, key, ...one.request }), 'latin1');
    await peer.say(one.then ? Buffer.concat([bytes, one.then]) : bytes, one.chop);
    await peer.until('an answer', () => peer.response || peer.ended);
    same('status', peer.response?.status, one.status);
    for (const [name, value] of Object.entries(one.has ?? {})) same(name, peer.response.headers[name], value);
    for (const name of one.hasNot ?? []) same(name, peer.response.headers[name], undefined);
    if (one.status === 101) {
      same('Sec-WebSocket-Accept', peer.response.headers['sec-websocket-accept'], acceptOf(key));
      await talk(peer, [], ['http 101', ...(one.hear ?? [])]);
    } else {
      same('Connection', peer.response.headers.connection, 'close');
      await peer.until('the end', () => peer.ended);
      same('length of the body', peer.bytes.length, Number(peer.response.headers['content-length']));
      same('heard', peer.heard, [`http ${one.status}`, 'end']);
    }
  } finally {
    peer.destroy();
  }
}

/** What is broadcast: sockets of every combination of parameters, and some without, get the same messages, each readable with its window. */
async function broadcastCases() {
  const team = await rest('POST', '/v1/teams', { name: 'conformance' });
  const channel = await rest('POST', '/v1/channels', { name: 'conformance', team_id: team.id });
  const offers = [...deflate.combinations, { offer: null, agreed: null }, { offer: 'permessage-deflate', agreed: null, path: '/v1/ws?compress=0' }];
  const contents = ['brief', 'Hello, wörld! '.repeat(40).trim(), Array.from({ length: 1900 }, (_, i) => String.fromCharCode(97 + ((i * i) % 26))).join('')];
  const cases = offers.map((one) => ({ ...one, name: `an event: ${one.path ?? ''} ${one.offer ?? 'nothing offered'}` }));
  const listen = async (one) => {
    const peer = peerOf(one);
    try {
      await open(peer, one);
      await peer.say(frames.text(JSON.stringify({ op: 'subscribe', topics: [`channel:${channel.id}`] })));
      await peer.until('subscribed', () => peer.heard.includes('subscribed') || peer.ended);
      return { peer, one };
    } catch (error) {
      peer.destroy();
      throw error;
    }
  };
  return { family: 'compression, events', cases, together: async (chosen, passed, failed) => {
    // The messages are posted when everybody listens.
    const there = await Promise.all(chosen.map((one) => listen(one).catch((error) => failed(one, error))));
    for (const content of contents) await rest('POST', `/v1/channels/${channel.id}/messages`, { content });
    for (const found of there.filter(Boolean)) {
      try {
        const messages = () => found.peer.heard.filter((word) => word.startsWith('message '));
        await found.peer.until('all messages', () => messages().length >= contents.length || found.peer.ended);
        const form = found.one.agreed === null ? 'plain' : 'compressed';
        same('messages', messages(), contents.map((content) => `message ${form} ${content}`));
        passed(found.one);
      } catch (error) {
        failed(found.one, error);
      } finally {
        found.peer.destroy();
      }
    }
  } };
}

let run = 0, good = 0;
async function play({ family, cases, together }, runOne) {
  const chosen = cases.filter((one) => words.length === 0 || words.some((word) => `${family}: ${one.name}`.includes(word)));
  if (chosen.length === 0) return;
  const begin = Date.now();
  const before = good;
  const passed = (one) => {
    good++;
    if (verbose) console.log(`ok ${family}: ${one.name}`);
  };
  const failed = (one, error) => console.log(`FAIL ${family}: ${one.name}\n     ${error.message}`);
  run += chosen.length;
  if (together) {
    await together(chosen, passed, failed);
  } else {
    const rows = chosen[Symbol.iterator]();
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      for (const one of rows) {
        try {
          await runOne(one);
          passed(one);
        } catch (error) {
          failed(one, error);
        }
      }
    }));
  }
  console.log(`${good - before === chosen.length ? 'PASS' : 'FAIL'} ${family} (${good - before} of ${chosen.length}, ${((Date.now() - begin) / 1000).toFixed(1)} s)`);
}

let code = 1;
try {
  await cluster.start();
  const person = { username: `conformance_${Date.now().toString(36)}`, password: randomUUID() };
  await rest('POST', '/v1/accounts', person);
  token = (await rest('POST', '/v1/sessions', person)).token;
  const families = [framing, ...control.families, fragmentation, ...utf8.families, close, ...limits.families, ...deflate.families];
  await play(handshake, handshakeCase);
  for (const family of families) await play(family, messageCase);
  await play(overTls(handshake), handshakeCase);
  for (const family of [framing, fragmentation, close, ...limits.families]) await play(overTls(family), messageCase);
  await play(await broadcastCases());
  code = run > 0 && good === run ? 0 : 1;
} catch (error) {
  console.log(`FAIL ${error.stack}`);
} finally {
  const ends = await cluster.stop();
  // Sanitizers speak by the exit code; of the others, what nng has under way when it is closed is theirs to say.
  const bad = [...cluster.unexpected, ...ends.filter((end) => end.name.startsWith('gateway') && end.code !== 0)];
  for (const one of bad) {
    code = 1;
    console.log(`FAIL ${one.name} ended with ${one.code ?? one.signal}`);
    console.log(cluster.all().find((copy) => copy.name === one.name).log().split('\n').filter((line) => !line.startsWith('{')).slice(0, 60).join('\n'));
  }
  await cluster.destroy();
  rmSync(folder, { recursive: true });
  console.log(`${run} cases run, ${good} passed`);
  console.log(`${good} passed, ${Math.max(run - good, code === 0 ? 0 : good === run ? 1 : 0)} failed`);
}
process.exit(code);
