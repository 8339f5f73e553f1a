// People who speak crust: with the client that its makers published, unedited, and with plain requests beside it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { newPerson } from './client.mjs';

const require = createRequire(import.meta.url);
const axios = require('axios');
const { Messaging } = require('@cortezaproject/corteza-js').apiClients;

/** The 45 calls of the reference, as "METHOD /path/{parameter}". */
export const rows = readFileSync(new URL('./crust-rest.tsv', import.meta.url), 'utf8').trim().split('\n').slice(1)
  .map((line) => line.split('\t').slice(0, 2).join(' '));

const patterns = rows.map((row) => {
  const [method, path] = row.split(' ');
  return { row, method, literal: path.replaceAll(/{\w+}/g, '').length, pattern: new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/{\w+}/g, '[^/]+')}$`) };
}).sort((a, b) => b.literal - a.literal);

/** Which of the rows a request is of; undefined: none. */
export function rowOf(method, path) {
  return patterns.find((p) => p.method === method.toUpperCase() && p.pattern.test(path.split('?')[0]))?.row;
}

/** Rows that were answered, with anything but an error, by whatever client. */
export const answered = new Set();
function note(method, url, status, data) {
  const at = url.indexOf('/crust');
  const row = rowOf(method, at < 0 ? url : url.slice(at + '/crust'.length));
  if (row && status === 200 && !(data && typeof data === 'object' && data.error)) answered.add(row);
}

/* The client makes an instance of axios for each call, from these defaults. */
const adapter = axios.defaults.adapter;
axios.defaults.adapter = async (config) => {
  const response = await adapter(config);
  note(config.method, config.url.startsWith('http') ? new URL(config.url).pathname : config.url, response.status,
    typeof response.data === 'string' && response.data.startsWith('{') ? JSON.parse(response.data) : response.data);
  return response;
};

/** The decimal id that crust shows of what house shows as a UUID. */
export function idOf(uuid) {
  const hex = uuid.replaceAll('-', '');
  const id = (BigInt(`0x${hex.slice(0, 12)}`) << 16n) | (BigInt(`0x${hex.slice(13, 16)}`) << 4n) | ((BigInt(`0x${hex.slice(16, 20)}`) >> 10n) & 15n);
  return id.toString();
}

/** A plain request below /crust. body: an object is sent as JSON, URLSearchParams as a form, FormData as multipart. */
export async function plain(base, method, path, { token, body, headers = {} } = {}) {
  const init = { method, headers: { ...headers }, signal: AbortSignal.timeout(15000) };
  if (token) init.headers.authorization = `Bearer ${token}`;
  if (body !== undefined && (typeof body === 'string' || Object.getPrototypeOf(body) === Object.prototype)) {
    init.headers['content-type'] ??= 'application/json';
    init.body = typeof body === 'string' ? body : JSON.stringify(body);
  } else if (body !== undefined) {
    init.body = body;
  }
  const response = await fetch(`${base}/crust${path}`, init);
  const bytes = Buffer.from(await response.arrayBuffer());
  const text = bytes.toString();
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  note(method, path, response.status, json);
  return { status: response.status, headers: response.headers, bytes, text, json };
}

/** The client as it is; which of its methods are used is noted. */
export const used = new Set();
export function client(baseURL, jwt) {
  return new Proxy(new Messaging({ baseURL, jwt }), { get(target, name, receiver) {
    used.add(name);
    return Reflect.get(target, name, receiver);
  } });
}
export const methods = Object.getOwnPropertyNames(Messaging.prototype)
  .filter((name) => !/Endpoint$/.test(name) && !['constructor', 'setJWT', 'setHeaders', 'isValidJWT', 'api'].includes(name));

export class CrustPerson {
  constructor(cluster, person, token) {
    Object.assign(this, { cluster, person, token, username: person.username, rest: person.rest, uuid: person.id, id: idOf(person.id) });
    this.api = client(`${cluster.api}/crust`, token);
  }

  call(method, path, options = {}) {
    return plain(this.cluster.api, method, path, { token: this.token, ...options });
  }

  /** What is in the envelope; an error otherwise. */
  async ok(method, path, body) {
    const answer = await this.call(method, path, { body });
    assert.equal(answer.status, 200, `${method} ${path}: ${answer.text}`);
    assert.equal(answer.json?.error, undefined, `${method} ${path}: ${answer.text}`);
    return answer.json.response;
  }
}

/** An account, and a token of crust for it as an operator makes one. */
export async function crustPerson(cluster, rest, name) {
  const person = await newPerson(rest, name);
  return new CrustPerson(cluster, person, crustToken(cluster, person.username));
}

export function crustToken(cluster, username) {
  const made = JSON.parse(cluster.ctl('token', 'create', '--dialect', 'crust', '--user', username, '--json'));
  assert.ok(made.token.length > 100, 'clients of crust take no shorter token');
  return made.token;
}

/** The team that crust shows, made as an operator makes it. */
export function crustTeam(cluster, owner, name) {
  return JSON.parse(cluster.ctl('team', 'create', name, '--owner', owner.username, '--template', 'crust', '--json'));
}

/** The text of the error that a call of the client was refused with. */
export async function refusal(call) {
  try {
    await call;
  } catch (error) {
    return error.message;
  }
  throw new assert.AssertionError({ message: 'the call was not refused' });
}
