// The descriptions that the server gives of itself: served as built, well formed by others' judgement, and true.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Parser } from '@asyncapi/parser';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { NotAsDescribed, checkAnswer, checkFrame } from './lib/conformance.mjs';

const cluster = new Cluster();
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
let rest, person;

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  person = await newPerson(rest, 'reader');
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

const built = (name) => readFileSync(resolve(root, process.env.GUILDHALL_BUILD ?? 'build', 'services/api', `${name}.json`), 'utf8');
const served = (name) => rest.call('GET', `/v1/${name}.json`);

test('both are served as JSON to anybody', async () => {
  for (const name of ['openapi', 'asyncapi']) {
    const answer = await served(name);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('content-type'), /^application\/json/);
    assert.equal(answer.text, built(name));
    assert.equal((await rest.call('HEAD', `/v1/${name}.json`)).status, 200);
  }
});

test('the description of the calls is valid OpenAPI 3.1', async () => {
  const { json } = await served('openapi');
  assert.equal(json.openapi, '3.1.0');
  const { valid, errors } = await new Validator().validate(structuredClone(json));
  assert.ok(valid, JSON.stringify(errors, null, 1));
  const ids = Object.values(json.paths).flatMap((methods) => Object.values(methods).map((operation) => operation.operationId));
  assert.equal(new Set(ids).size, ids.length, 'an operationId is given once');
  for (const [path, methods] of Object.entries(json.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map((m) => m[1]);
      assert.deepEqual(operation.parameters?.filter((p) => p.in === 'path').map((p) => p.name) ?? [], named, `${method} ${path}`);
      assert.ok(operation.summary.length > 3, `${method} ${path}`);
      assert.ok(operation.responses[429], `${method} ${path}`);
    }
  }
});

test('every schema and parameter that is there is used', async () => {
  const { text, json } = await served('openapi');
  const told = [...readFileSync(join(root, 'docs/asyncapi/house.yaml'), 'utf8').matchAll(/x-rest: (\w+)/g)].map((m) => m[1]);
  for (const kind of ['schemas', 'parameters', 'headers', 'responses'])
    for (const name of Object.keys(json.components[kind])) assert.ok(text.includes(`"#/components/${kind}/${name}"`) || (kind === 'schemas' && told.includes(name)), `${kind} ${name}`);
});

test('the description of the socket is valid AsyncAPI 3, in the repository and as it is served', async () => {
  for (const text of [readFileSync(join(root, 'docs/asyncapi/house.yaml'), 'utf8'), (await served('asyncapi')).text]) {
    const { document, diagnostics } = await new Parser().parse(text);
    // 0 error, 1 warning, 2 information (that there is a later version of AsyncAPI).
    assert.deepEqual(diagnostics.filter((d) => d.severity < 2).map((d) => `${d.path.join('.')}: ${d.message}`), []);
    assert.equal(document.version(), '3.0.0');
  }
});

test('every sample of an event is as described, and every event has a sample', () => {
  const folder = join(root, 'tests/golden/house');
  const seen = new Set();
  for (const file of readdirSync(folder)) {
    const frame = JSON.parse(readFileSync(join(folder, file), 'utf8'));
    checkFrame(frame);
    seen.add(frame.type);
  }
  const { messages } = JSON.parse(built('asyncapi')).components;
  assert.deepEqual(Object.keys(messages).filter((type) => messages[type]['x-events'] && !seen.has(type)), []);
});

test('what is not as described is noticed', async () => {
  const headers = new Headers({ 'x-request-id': '0'.repeat(32), location: '/v1/teams/x' });
  const me = await person.rest.ok('GET', '/v1/me');
  const answer = (status, json) => ({ status, headers, json, text: JSON.stringify(json) });
  checkAnswer('GET', '/v1/me', undefined, answer(200, me));
  const { email, ...less } = me;
  for (const bad of [answer(200, less), answer(200, { ...me, extra: 1 }), answer(200, { ...me, bot: 'no' }), answer(200, { ...me, id: '1' }),
    answer(201, me), answer(418, me), answer(404, {}), { ...answer(200, me), headers: new Headers() }])
    assert.throws(() => checkAnswer('GET', '/v1/me', undefined, bad), NotAsDescribed);
  assert.throws(() => checkAnswer('GET', '/v1/nowhere', undefined, answer(200, {})), NotAsDescribed);
  const team = await person.rest.ok('POST', '/v1/teams', { name: 'described' });
  assert.throws(() => checkAnswer('POST', '/v1/teams', { name: 'described', undescribed: 1 }, answer(201, team)), NotAsDescribed);
  const frame = { type: 'pong', timestamp: '2025-01-15T10:30:00.000Z', data: {} };
  checkFrame(frame);
  for (const bad of [{ ...frame, type: 'pang' }, { ...frame, data: { x: 1 } }, { ...frame, seq: 1 }, { ...frame, timestamp: 'now' }])
    assert.throws(() => checkFrame(bad), NotAsDescribed);
});

test('a client that knows nothing but the description can work with it', async () => {
  const { json } = await served('openapi');
  const base = json.servers[0].url;
  const find = (id) => {
    for (const [path, methods] of Object.entries(json.paths))
      for (const [method, operation] of Object.entries(methods)) if (operation.operationId === id) return { path: base + path, method: method.toUpperCase(), operation };
    throw new Error(id);
  };
  const make = find('teams_create');
  assert.deepEqual(make.operation.security, [{ bearer: [] }]);
  const team = await person.rest.ok(make.method, make.path, { name: 'from the page' });
  const read = find('teams_get');
  assert.equal((await person.rest.ok(read.method, read.path.replace('{team}', team.id))).name, 'from the page');
  const socket = (await served('asyncapi')).json.channels.socket;
  const ws = new Socket(cluster.ws().replace('/v1/ws', socket.address), { token: person.token });
  await ws.frame('hello');
  ws.end();
});
