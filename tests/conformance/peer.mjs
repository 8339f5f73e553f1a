// A client on a raw TCP socket: says bytes, and writes down what comes back as a list of short words, so that a case is a row of
// what is said and what has to be heard.
import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { inflateRawSync, constants } from 'node:zlib';
import * as frames from './frames.mjs';

const TAIL = Buffer.from([0, 0, 0xff, 0xff]);

/** The upgrade request of a client; headers: name -> value, a list of values, or null to leave one out. */
export function request({ path = '/v1/ws', token, headers = {}, line, key = randomBytes(16).toString('base64') } = {}) {
  const all = { Host: 'conformance', Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': key,
    Authorization: token ? `Bearer ${token}` : null, ...headers };
  const rows = Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [value].flat().map((v) => `${name}: ${v}\r\n`)));
  return `${line ?? `GET ${path} HTTP/1.1`}\r\n${rows.join('')}\r\n`;
}

export const acceptOf = (key) => createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

export class Peer {
  /** mute: a close of the server is not answered. */
  constructor(port, { tls = false, mute = false } = {}) {
    this.mute = mute;
    this.bytes = Buffer.alloc(0);
    this.heard = [];
    this.waiting = [];
    this.response = null; // {status, headers, body}
    this.extensions = null;
    const where = { port, host: '127.0.0.1' };
    this.socket = tls ? connectTls({ ...where, rejectUnauthorized: false }) : connect(where);
    this.socket.setNoDelay(true);
    this.socket.on('data', (bytes) => this.take(bytes));
    this.socket.on('end', () => this.ends('end'));
    this.socket.on('error', (error) => this.ends(error.code));
    this.socket.on('close', () => this.ends('end'));
  }

  ends(word) {
    // What else we were saying may meet a connection that is gone; that is an end like another once its last word was heard.
    const last = /^(close|http [45])/.test(this.heard.at(-1) ?? '');
    if (!this.ended) this.heard.push(last ? 'end' : word);
    this.ended = true;
    this.socket.end();
    this.wake();
  }

  wake() {
    for (const look of this.waiting.splice(0)) look();
  }

  /** Until `done` says so; an error that tells what was heard after ms. */
  async until(what, done, ms = 30000) {
    const end = Date.now() + ms;
    while (!done()) {
      if (Date.now() > end) throw new Error(`${what} did not come in ${ms} ms; heard ${this.told()}`);
      await new Promise((look) => {
        const timer = setTimeout(look, Math.max(1, end - Date.now()));
        this.waiting.push(() => {
          clearTimeout(timer);
          look();
        });
      });
    }
  }

  told() {
    const words = this.heard.map((word) => (word.length > 120 ? `${word.slice(0, 100)}... (${word.length})` : word));
    return JSON.stringify(words.length > 20 ? [...words.slice(0, 18), '...', ...words.slice(-2)] : words);
  }

  take(bytes) {
    this.bytes = this.bytes.length === 0 ? bytes : Buffer.concat([this.bytes, bytes]);
    if (!this.response) this.takeResponse();
    if (this.response?.status === 101) this.takeFrames();
    this.wake();
  }

  takeResponse() {
    const end = this.bytes.indexOf('\r\n\r\n');
    if (end < 0) return;
    const [line, ...rows] = this.bytes.subarray(0, end).toString('latin1').split('\r\n');
    const headers = {};
    for (const row of rows) {
      const [, name, value] = /^([^:]+): ?(.*)$/.exec(row);
      headers[name.toLowerCase()] = headers[name.toLowerCase()] === undefined ? value : `${headers[name.toLowerCase()]}, ${value}`;
    }
    this.response = { status: Number(line.split(' ')[1]), headers };
    this.bytes = this.bytes.subarray(end + 4);
    const agreed = headers['sec-websocket-extensions'];
    if (agreed !== undefined) this.extensions = agreed;
    this.bits = agreed === undefined ? 0 : Number(/server_max_window_bits=(\d+)/.exec(agreed)?.[1] ?? 15);
    this.heard.push(`http ${this.response.status}`);
  }

  takeFrames() {
    let found, used;
    try {
      [found, used] = frames.read(this.bytes);
      for (const one of found) this.takeFrame(one);
    } catch (error) {
      this.heard.push(`broken: ${error.message}`);
      this.socket.destroy();
      return;
    }
    this.bytes = this.bytes.subarray(used);
  }

  takeFrame({ fin, rsv, opcode, payload }) {
    if (opcode === frames.PING) return; // its heartbeat
    if (opcode === frames.PONG && rsv === 0) {
      this.heard.push(`pong ${payload.toString('latin1')}`);
      return;
    }
    if (opcode === frames.CLOSE && rsv === 0) {
      if (payload.length === 1) throw new Error('a close of one byte');
      new TextDecoder('utf-8', { fatal: true }).decode(payload.subarray(2));
      this.heard.push(payload.length === 0 ? 'close' : `close ${payload.readUInt16BE(0)}`);
      if (!this.mute) this.say(frames.frame(frames.CLOSE, payload.subarray(0, 2)));
      return;
    }
    if (opcode !== frames.TEXT || !fin || (rsv !== 0 && !(rsv === frames.RSV1 && this.bits))) throw new Error(`an unexpected frame ${opcode} ${rsv}`);
    // With the window that was agreed upon and in small portions, so that the inflater has nothing but its window to look back into.
    const whole = rsv ? inflateRawSync(Buffer.concat([payload, TAIL]), { windowBits: this.bits, finishFlush: constants.Z_SYNC_FLUSH, chunkSize: 64 }) : payload;
    const said = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(whole));
    if (said.type === 'hello') this.hello = said.data;
    else if (said.type === 'pong') this.heard.push(`answer ${said.data.ref}`);
    else if (said.type === 'channel_message') this.heard.push(`message ${rsv ? 'compressed' : 'plain'} ${said.data.content}`);
    else this.heard.push(said.type);
  }

  /** Bytes, in pieces of `chop` that leave one by one. */
  async say(bytes, chop = 0) {
    const all = Buffer.from(bytes);
    if (this.socket.destroyed || this.socket.writableEnded) return;
    if (!chop) {
      this.socket.write(all);
      return;
    }
    for (let at = 0; at < all.length && !this.ended; at += chop) {
      this.socket.write(all.subarray(at, at + chop));
      await new Promise((next) => setImmediate(next));
    }
  }

  async open({ token, path, headers, chop } = {}) {
    await this.say(request({ token, path, headers }), chop);
    await this.until('an answer to the upgrade', () => this.response || this.ended);
    if (this.response?.status !== 101) throw new Error(`the upgrade was refused: ${this.told()}`);
    await this.until('hello', () => this.hello || this.ended);
    this.heard.length = 0;
  }

  destroy() {
    this.socket.destroy();
  }
}
