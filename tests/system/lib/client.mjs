// A REST caller and a websocket watcher as a careful client would write them: repeats with the same nonce, resumes.
import { randomUUID } from 'node:crypto';
import WebSocket from 'ws';
import { NotAsDescribed, checkAnswer, checkFrame } from './conformance.mjs';
import { sleep } from './wait.mjs';

export class Rest {
  /** bases: one or several API addresses; calls go round. */
  constructor(bases, token = null, headers = {}) {
    this.bases = Array.isArray(bases) ? bases : [bases];
    this.token = token;
    this.headers = headers; // of every call
    this.turn = 0;
  }

  as(token) {
    return new Rest(this.bases, token, this.headers);
  }

  /** The same caller behind a proxy that says he comes from there. */
  from(address) {
    return new Rest(this.bases, this.token, { ...this.headers, 'x-forwarded-for': address });
  }

  async call(method, path, body, headers = {}) {
    const init = { method, headers: { ...this.headers, ...headers }, signal: AbortSignal.timeout(15000) };
    if (this.token) init.headers.authorization = `Bearer ${this.token}`;
    if (body !== undefined) {
      init.headers['content-type'] ??= 'application/json';
      init.body = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
    }
    const response = await fetch(this.bases[this.turn++ % this.bases.length] + path, init);
    const text = await response.text();
    let json = null;
    try {
      json = text ? JSON.parse(text) : null;
    } catch {
      json = undefined;
    }
    const answer = { status: response.status, headers: response.headers, text, json };
    checkAnswer(method, path, body, answer);
    return answer;
  }

  /** The same, and an error unless the status is 2xx. */
  async ok(method, path, body, headers) {
    const answer = await this.call(method, path, body, headers);
    if (answer.status < 200 || answer.status > 299) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.json;
  }

  /** Repeats until the server says something definite: for calls under faults. Safe with a nonce or an Idempotency-Key. */
  async sure(method, path, body, { ms = 60000, headers = {} } = {}) {
    const end = Date.now() + ms;
    if (method === 'POST' && body?.nonce === undefined) headers = { 'idempotency-key': randomUUID(), ...headers };
    for (;;) {
      try {
        const answer = await this.call(method, path, body, headers);
        if (answer.status < 500) return answer;
        if (answer.status === 500) this.internal = (this.internal ?? 0) + 1;
      } catch (error) {
        if (error instanceof NotAsDescribed) throw error;
        // the connection died: the outcome is unknown, which is what repeating is for
      }
      if (Date.now() > end) throw new Error(`${method} ${path}: no definite answer in ${ms} ms`);
      await sleep(20 + Math.random() * 60);
    }
  }
}

let people = 0;
export async function newPerson(rest, name = 'user') {
  const username = `${name}${++people}_${Date.now().toString(36)}`;
  const password = randomUUID();
  const made = async (path) => {
    const answer = await rest.sure('POST', path, { username, password }); // the queue of passwords refuses what would wait too long
    if (answer.status > 299) throw new Error(`POST ${path}: ${answer.status} ${answer.text}`);
    return answer.json;
  };
  const account = await made('/v1/accounts');
  const session = await made('/v1/sessions');
  return { id: account.id, username, password, token: session.token, session, rest: rest.as(session.token) };
}

/** A raw socket with the frames it got, for tests of single rules. */
export class Socket {
  /** options: what else the WebSocket is made with. */
  constructor(url, { token, protocols, headers = {}, compress = false, ...options } = {}) {
    this.frames = [];
    this.waiters = [];
    if (token) headers = { authorization: `Bearer ${token}`, ...headers };
    this.ws = new WebSocket(url, protocols, { headers, perMessageDeflate: compress, ...options });
    this.ws.on('message', (data, binary) => {
      this.frames.push(binary ? data : JSON.parse(data.toString()));
      if (!binary) checkFrame(this.frames.at(-1));
      this.wake();
    });
    this.opened = new Promise((resolve, reject) => {
      this.ws.once('open', resolve);
      this.ws.once('error', reject);
      this.ws.once('unexpected-response', (_rq, rs) => reject(Object.assign(new Error(`HTTP ${rs.statusCode}`), { status: rs.statusCode })));
    });
    this.opened.catch(() => {});
    this.ws.on('error', () => {});
    this.closed = new Promise((resolve) => this.ws.once('close', (code, reason) => {
      this.close = { code, reason: reason.toString() };
      resolve(this.close);
      this.wake();
    }));
  }

  wake() {
    const waiting = this.waiters;
    this.waiters = [];
    for (const waiter of waiting) waiter();
  }

  send(frame) {
    this.ws.send(typeof frame === 'string' || frame instanceof Uint8Array ? frame : JSON.stringify(frame));
  }

  /** The first frame (from `from` on) that `match` accepts. match: a type name or a function. */
  async frame(match, { ms = 10000, from = 0 } = {}) {
    const accepts = typeof match === 'string' ? (f) => f.type === match : match;
    const end = Date.now() + ms;
    for (;;) {
      const found = this.frames.slice(from).find(accepts);
      if (found) return found;
      const left = end - Date.now();
      if (left <= 0 || this.close) throw new Error(`no frame ${typeof match === 'string' ? match : match.toString()} (closed: ${JSON.stringify(this.close)}), got ${JSON.stringify(this.frames).slice(0, 2000)}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.waiters.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  end() {
    this.ws.terminate();
  }
}

/** Watches topics for good: reconnects on whichever gateway answers and resumes; keeps a record of all it saw. */
export class Watcher {
  constructor(urls, token, topics, { name = '', compress = false } = {}) {
    Object.assign(this, { urls, token, topics, name, compress, turn: Math.floor(Math.random() * urls.length), running: true });
    this.events = [];        // {stream, seq, type, data, timestamp} of logged events, in order of arrival
    this.ephemeral = [];
    this.positions = {};     // stream -> seq
    this.generation = null;
    this.notRecovered = [];  // {stream, at, since}
    this.story = [];         // in order of arrival: {event}, {answer, since, streams, generation}, {reconnect}, {close}
    this.connects = 0;
    this.closes = [];
    this.errors = [];
    this.ready = new Promise((resolve) => (this.becameReady = resolve));
    this.live = false;
    this.connect();
  }

  connect() {
    if (!this.running) return;
    const url = `${this.urls[this.turn++ % this.urls.length]}?resume=1`;
    const ws = new WebSocket(url, { headers: { authorization: `Bearer ${this.token}` }, perMessageDeflate: this.compress && { threshold: 0 }, handshakeTimeout: 5000 });
    this.ws = ws;
    this.live = false;
    const subscribe = () => {
      const since = this.generation ? { generation: this.generation, streams: { ...this.positions } } : undefined;
      this.asked = since;
      ws.send(JSON.stringify({ op: 'subscribe', topics: this.topics, since, ref: 'watch' }));
    };
    ws.on('open', () => this.connects++);
    ws.on('message', (data) => this.frame(JSON.parse(data.toString()), subscribe));
    ws.on('error', () => {});
    ws.on('unexpected-response', (_rq, rs) => {
      this.errors.push({ http: rs.statusCode });
      ws.terminate();
    });
    ws.on('close', (code) => {
      this.live = false;
      this.closes.push(code);
      this.story.push({ close: code });
      if (this.running && code !== 4401 && code !== 4403) setTimeout(() => this.connect(), 20 + Math.random() * 100);
    });
  }

  frame(f, subscribe) {
    checkFrame(f);
    if (f.type === 'hello') return subscribe();
    if (f.type === 'reconnect') {
      this.story.push({ reconnect: f.data.after_ms });
      return undefined;
    }
    if (f.type === 'subscribed') {
      this.story.push({ answer: f.data, since: this.asked });
      const before = this.positions;
      if (this.generation !== f.data.generation) this.positions = {}; // numbers of another log mean nothing
      for (const [stream, s] of Object.entries(f.data.streams)) {
        const had = this.positions[stream];
        if (this.generation !== null && s.recovered === false && before[stream] !== undefined)
          this.notRecovered.push({ stream, since: had, at: s.seq });
        if (s.seq === undefined) delete this.positions[stream]; // not open on this socket
        else if (!(s.recovered && had !== undefined)) this.positions[stream] = s.seq;
      }
      this.generation = f.data.generation;
      this.live = true;
      this.becameReady();
      return undefined;
    }
    if (f.type === 'position') {
      if (f.data.generation !== this.generation) this.errors.push({ code: 'position_of_another_generation', ...f.data });
      for (const [stream, seq] of Object.entries(f.data.streams)) this.positions[stream] = Math.max(this.positions[stream] ?? 0, seq);
      return undefined;
    }
    if (f.type === 'error') {
      this.errors.push(f.data);
      // A subscription that could not be judged now is asked for again by starting over.
      if (f.data.ref === 'watch' && f.data.code === 'busy') this.ws.terminate();
      return undefined;
    }
    if (f.stream === undefined) {
      this.ephemeral.push(f);
      return undefined;
    }
    const before = this.positions[f.stream];
    if (before !== undefined && f.seq <= before) this.errors.push({ code: 'not_growing', stream: f.stream, before, seq: f.seq, type: f.type });
    this.positions[f.stream] = f.seq;
    this.events.push(f);
    this.story.push({ event: f });
    return undefined;
  }

  /** Drops the connection as a network would; the next one goes to the other gateway. */
  drop() {
    this.ws?.terminate();
  }

  stop() {
    this.running = false;
    this.ws?.terminate();
  }
}
