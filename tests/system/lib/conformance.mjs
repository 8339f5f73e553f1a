// Every answer and every frame that a system test sees is held against the descriptions that the server gives of itself: a status that
// is not described, a key that is missing or unknown, a wrong type end the test. GUILDHALL_CONFORMANCE=off (benches) looks at nothing.
// (No package 'ajv'? Run `npm ci` in tests/system; tests/run does.)
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import Ajv from 'ajv/dist/2020.js';
import formats from 'ajv-formats';

export class NotAsDescribed extends Error {}

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const build = resolve(root, process.env.GUILDHALL_BUILD ?? 'build');
const load = (name) => JSON.parse(readFileSync(join(build, 'services/api', `${name}.json`), 'utf8'));

const off = () => process.env.GUILDHALL_CONFORMANCE === 'off';

/** The described keys and no others: the page says that more may come, so what comes has to be in the page. */
function strict(schema) {
  if (Array.isArray(schema)) return schema.map(strict);
  if (schema === null || typeof schema !== 'object') return schema;
  const out = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, key === 'const' || key === 'enum' ? value : strict(value)]));
  if (out.type === 'object' && out.properties && out.additionalProperties === undefined) out.additionalProperties = false;
  return out;
}

function compiler(id, document) {
  const ajv = new Ajv({ strict: false, allErrors: true });
  formats(ajv);
  ajv.addSchema({ $id: id, ...document });
  const known = new Map();
  return (pointer) => {
    if (!known.has(pointer)) known.set(pointer, ajv.compile({ $ref: `${id}#${pointer}` }));
    return known.get(pointer);
  };
}

const escape = (step) => step.replaceAll('~', '~0').replaceAll('/', '~1');
const faults = (check) => check.errors.map((e) => `${e.instancePath || '/'} ${e.message} ${JSON.stringify(e.params)}`).join('; ');

// ---- REST

class Rest {
  constructor() {
    this.api = load('openapi');
    this.check = compiler('https://guildhall/openapi', strict(this.api));
    this.routes = Object.entries(this.api.paths).map(([path, methods]) => ({
      path, methods, literal: !path.includes('{'), pattern: new RegExp(`^${path.split(/\{\w+\}/).map((s) => s.replace(/[.*+?^$()|[\]\\]/g, '\\$&')).join('[^/]+')}$`),
    }));
  }

  route(path) {
    const fits = this.routes.filter((route) => route.pattern.test(path));
    // As the router does: the most literal template.
    return fits.sort((a, b) => (a.path.match(/\{/g) ?? []).length - (b.path.match(/\{/g) ?? []).length)[0];
  }

  answer(method, url, sent, { status, headers, text, json }) {
    const wrong = (what) => {
      throw new NotAsDescribed(`${method} ${url} ${status}: ${what}\n${text.slice(0, 1000)}`);
    };
    const path = url.replace(/[?#].*$/, '');
    if (!path.startsWith('/v1/')) return;
    const route = this.route(path.slice('/v1'.length));
    const operation = route?.methods[(method === 'HEAD' ? 'GET' : method).toLowerCase()];
    if (!/^[0-9a-f]{32}$/.test(headers.get('x-request-id') ?? '')) wrong('no X-Request-Id');
    if (status === 429 || status === 503) if (!(Number(headers.get('retry-after')) >= 1)) wrong('no Retry-After');
    if (status >= 400) {
      if (method === 'HEAD') return;
      if (!(headers.get('content-type') ?? '').startsWith('application/problem+json')) wrong('not a problem');
      const check = this.check('/components/schemas/Problem');
      if (!check(json)) wrong(faults(check));
      if (json.status !== status) wrong('the problem has another status');
    }
    if (!operation) {
      if (status === 204 && method === 'OPTIONS') return;
      if (![400, 404, 405, 429].includes(status)) wrong('no such operation is described');
      return;
    }
    if (status >= 500) return;
    const described = operation.responses[status];
    if (!described) wrong('this status is not described');
    if (status >= 400) return;
    if (status === 201 && !(headers.get('location') ?? '').startsWith('/v1/')) wrong('no Location');
    if (method === 'HEAD') return;
    const at = `/paths/${escape(route.path)}/${method.toLowerCase()}`;
    if (!described.content) {
      if (text !== '') wrong('a body, though none is described');
      return;
    }
    if (!described.content['application/json']) return; // a file
    const check = this.check(`${at}/responses/${status}/content/application~1json/schema`);
    if (!check(json)) wrong(faults(check));
    if (sent !== null && typeof sent === 'object' && !(sent instanceof Uint8Array) && Object.keys(sent).length > 0) {
      if (!operation.requestBody) wrong('it took a body, though none is described');
      const takes = this.check(`${at}/requestBody/content/application~1json/schema`);
      if (!takes(sent)) wrong(`it took a body that is not as described: ${faults(takes)}`);
    }
  }
}

let rest, events;

/** sent: the body as an object, or undefined. */
export function checkAnswer(method, url, sent, answer) {
  if (off()) return;
  rest ??= new Rest();
  rest.answer(method, url, sent, answer);
}

// ---- the socket

class Socket {
  constructor() {
    const api = load('asyncapi');
    this.messages = api.components.messages;
    // Of an allOf neither part knows the other's keys: the parts are made one object first.
    for (const message of Object.values(this.messages)) {
      const [shared, own] = message.payload.allOf;
      const base = api.components.schemas[shared.$ref.replace(/.*\//, '')];
      message.payload = { type: 'object', required: [...base.required, ...(own.required ?? [])], properties: { ...base.properties, ...own.properties } };
    }
    this.check = compiler('https://guildhall/asyncapi', strict(api));
  }

  frame(frame) {
    const wrong = (what) => {
      throw new NotAsDescribed(`frame: ${what}\n${JSON.stringify(frame).slice(0, 1000)}`);
    };
    if (!Object.hasOwn(this.messages, frame?.type)) wrong('this type is not described');
    const check = this.check(`/components/messages/${frame.type}/payload`);
    if (!check(frame)) wrong(faults(check));
  }
}

export function checkFrame(frame) {
  if (off()) return;
  events ??= new Socket();
  events.frame(frame);
}
