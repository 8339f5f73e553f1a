// Bad input at every door: the answer that the house dialect names, and the process lives.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';

const cluster = new Cluster({ environment: { GUILDHALL_WS_AUTH_MS: '2000', GUILDHALL_WS_HEARTBEAT_MS: '3000', GUILDHALL_LIMIT_REQUESTS_PER_S: '0' } });
let rest, owner, member, outsider, team, channel, message;

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  [owner, member, outsider] = [await newPerson(rest, 'owner'), await newPerson(rest, 'member'), await newPerson(rest, 'outsider')];
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'bad input', joining: 'open' });
  await member.rest.ok('PUT', `/v1/teams/${team.id}/members/${member.id}`, {});
  channel = await owner.rest.ok('POST', '/v1/channels', { name: 'general', team_id: team.id });
  message = await owner.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { content: 'here' });
}, { timeout: 120000 });
after(async () => {
  assert.deepEqual(cluster.unexpected, [], 'no process ended');
  await cluster.destroy();
}, { timeout: 60000 });

function problem(answer, status, code, field) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/);
  assert.equal(answer.json.code, code, answer.text);
  assert.equal(answer.json.status, status);
  for (const key of ['type', 'title', 'detail', 'trace_id']) assert.ok(key in answer.json, `${key} in ${answer.text}`);
  if (field) assert.equal(answer.json.field, field, answer.text);
}

describe('REST', () => {
  const path = () => `/v1/channels/${channel.id}/messages`;
  test('malformed JSON is 400', async () => {
    for (const body of ['{', '[]', '"x"', '{"content":"a"} x', '{"content":"a","content":"b"}', 'null', '{"content":"\\ud800"}', `${'['.repeat(5000)}`])
      problem(await member.rest.call('POST', path(), body), 400, 'malformed');
  });
  test('invalid UTF-8 and NUL are refused', async () => {
    problem(await member.rest.call('POST', path(), new Uint8Array([...Buffer.from('{"content":"'), 0xc3, 0x28, ...Buffer.from('"}')])), 400, 'malformed');
    const nul = await member.rest.call('POST', path(), '{"content":"a\\u0000b"}');
    assert.ok([400, 422].includes(nul.status), nul.text);
    const raw = await member.rest.call('POST', path(), new Uint8Array([...Buffer.from('{"content":"a'), 0, ...Buffer.from('"}')]));
    assert.equal(raw.status, 400);
  });
  test('wrong types and fields out of bounds are 422 and name the field', async () => {
    for (const content of [1, null, {}, [], true, '', 'x'.repeat(4001)]) problem(await member.rest.call('POST', path(), { content }), 422, 'field_invalid', 'content');
    problem(await member.rest.call('POST', path(), {}), 422, 'field_invalid', 'content');
    problem(await member.rest.call('POST', path(), { content: 'a', nonce: 5 }), 422, 'field_invalid', 'nonce');
    problem(await member.rest.call('POST', path(), { content: 'a', nonce: 'n'.repeat(65) }), 422, 'field_invalid', 'nonce');
    problem(await rest.call('POST', '/v1/accounts', { username: 'x', password: 'long enough' }), 422, 'field_invalid', 'username');
    problem(await rest.call('POST', '/v1/accounts', { username: 'with blank', password: 'long enough' }), 422, 'field_invalid', 'username');
    problem(await rest.call('POST', '/v1/accounts', { username: 'fine_name', password: 'short' }), 422, 'field_invalid', 'password');
    problem(await owner.rest.call('POST', '/v1/teams', { name: '' }), 422, 'field_invalid', 'name');
    problem(await owner.rest.call('POST', '/v1/channels', { name: 'x', team_id: 'nonsense' }), 422, 'field_invalid', 'team_id');
    problem(await owner.rest.call('POST', '/v1/channels', { name: 'x', team_id: team.id, kind: 'nonsense' }), 422, 'field_invalid', 'kind');
    problem(await owner.rest.call('PATCH', `/v1/channels/${channel.id}/members/${member.id}`, { role: 'king' }), 422, 'field_invalid', 'role');
  });
  test('4000 code points are allowed, however many bytes they take', async () => {
    const answer = await member.rest.call('POST', path(), { content: '🔨'.repeat(4000) });
    assert.equal(answer.status, 201, answer.text.slice(0, 300));
    assert.equal([...answer.json.content].length, 4000);
    problem(await member.rest.call('POST', path(), { content: '🔨'.repeat(4001) }), 422, 'field_invalid', 'content');
  });
  test('an unknown field is 422 and named', async () => {
    problem(await member.rest.call('POST', path(), { content: 'a', contnet: 'b' }), 422, 'field_invalid', 'contnet');
  });
  test('a body over 256 KiB is 413, another media type 415', async () => {
    problem(await member.rest.call('POST', path(), JSON.stringify({ content: 'x'.repeat(300 * 1024) })), 413, 'too_large');
    problem(await member.rest.call('POST', path(), 'content=a', { 'content-type': 'application/x-www-form-urlencoded' }), 415, 'bad_media');
  });
  test('no token, an unknown and a broken one are 401', async () => {
    for (const token of [null, 'nonsense', 'ghs_' + 'A'.repeat(43), '\u00e9', 'x'.repeat(5000)]) {
      const answer = await rest.as(token).call('GET', '/v1/me').catch((error) => ({ error }));
      if (answer.error) continue; // not even sendable as a header
      assert.ok([401, 431].includes(answer.status), String(answer.status));
      if (answer.status === 401) problem(answer, 401, 'unauthenticated');
    }
  });
  test('wrong credentials are 401 and do not tell whether the account exists', async () => {
    const known = await rest.call('POST', '/v1/sessions', { username: member.username, password: 'wrong password' });
    const unknown = await rest.call('POST', '/v1/sessions', { username: 'nobody_at_all', password: 'wrong password' });
    problem(known, 401, 'wrong_credentials');
    problem(unknown, 401, 'wrong_credentials');
    assert.deepEqual({ ...known.json, trace_id: '' }, { ...unknown.json, trace_id: '' });
  });
  test('unknown and foreign ids are 404, whatever they look like', async () => {
    for (const id of ['nonsense', '%00', '%ff', '..', '00000000-0000-8000-8000-000000000000', '01234567-89ab-4def-8123-456789abcdef', team.id, member.id, `${channel.id}0`, channel.id.toUpperCase().replace(/8/, '9')]) {
      const answer = await member.rest.call('GET', `/v1/channels/${id}/messages`);
      assert.ok([404, 400].includes(answer.status), `${id}: ${answer.status} ${answer.text}`);
    }
    problem(await outsider.rest.call('GET', `/v1/channels/${channel.id}/messages`), 404, 'not_found');
    problem(await outsider.rest.call('POST', path(), { content: 'in' }), 404, 'not_found');
    problem(await member.rest.call('GET', `${path()}/${channel.id}`), 404, 'not_found');
    const second = await owner.rest.ok('POST', '/v1/channels', { name: 'second', team_id: team.id });
    problem(await owner.rest.call('GET', `/v1/channels/${second.id}/messages/${message.id}`), 404, 'not_found');
    problem(await owner.rest.call('POST', `/v1/channels/${second.id}/messages/${message.id}/replies`, { content: 'a' }), 404, 'not_found');
  });
  test('unknown paths are 404 and wrong methods 405 with Allow', async () => {
    problem(await member.rest.call('GET', '/v1/nothing'), 404, 'no_route');
    problem(await member.rest.call('GET', '/elsewhere'), 404, 'no_route');
    const answer = await member.rest.call('DELETE', '/v1/teams');
    problem(answer, 405, 'wrong_method');
    assert.match(answer.headers.get('allow') ?? '', /GET/);
  });
  test('list bounds are checked', async () => {
    for (const query of ['limit=0', 'limit=101', 'limit=x', 'before=nonsense', 'after=x']) {
      const answer = await member.rest.call('GET', `${path()}?${query}`);
      problem(answer, 422, 'field_invalid', query.split('=')[0]);
    }
  });
  test('garbage instead of HTTP does no harm', async () => {
    const { httpPort } = cluster.copies.api[0];
    for (const bytes of ['\0\0\0\0\r\n\r\n', 'GET\r\n\r\n', `GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(500)}\r\n`, 'POST /v1/me HTTP/1.1\r\nContent-Length: -5\r\n\r\n', 'POST /v1/me HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', `GET /${'a'.repeat(100000)} HTTP/1.1\r\n\r\n`]) {
      await new Promise((done) => {
        const s = connect(httpPort, '127.0.0.1', () => s.write(bytes, 'latin1'));
        s.on('data', () => s.destroy());
        s.on('close', done);
        s.on('error', done);
        setTimeout(() => s.destroy(), 1500);
      });
    }
    assert.equal((await member.rest.call('GET', '/v1/me')).status, 200);
  });
});

describe('websocket', () => {
  test('a wrong token closes with 4401, silence with 4408', async () => {
    assert.equal((await new Socket(cluster.ws(), { token: 'nonsense' }).closed).code, 4401);
    assert.equal((await new Socket(`${cluster.ws()}?token=ghs_nothing`).closed).code, 4401);
    const late = new Socket(cluster.ws());
    await late.opened;
    late.send({ op: 'authenticate', token: 'wrong' });
    assert.equal((await late.closed).code, 4401);
    assert.equal((await new Socket(cluster.ws()).closed).code, 4408);
  });
  test('not JSON closes with 4400, binary with 1003, too big with 1009', async () => {
    const open = async () => {
      const s = new Socket(cluster.ws(), { token: member.token });
      await s.frame('hello');
      return s;
    };
    for (const [bytes, code] of [['{', 4400], ['nonsense', 4400], [new Uint8Array([1, 2, 3]), 1003], [JSON.stringify({ op: 'ping', ref: 'x'.repeat(70000) }), 1009]]) {
      const s = await open();
      s.send(bytes);
      assert.equal((await s.closed).code, code, String(bytes).slice(0, 40));
    }
  });
  test('an unknown operation, a wrong type, a missing field: an error frame with the ref, and the socket stays', async () => {
    const s = new Socket(cluster.ws(), { token: member.token });
    await s.frame('hello');
    const bad = [{ op: 'dance' }, {}, { op: 5 }, { op: 'subscribe' }, { op: 'subscribe', topics: 'global' }, { op: 'subscribe', topics: [5] }, { op: 'typing', channel_id: 'x', is_typing: true }, { op: 'typing', channel_id: channel.id, is_typing: 'yes' }, { op: 'presence', status: 'asleep' }, { op: 'subscribe', topics: ['global'], since: 5 }, { op: 'authenticate', token: member.token }];
    for (const [i, frame] of bad.entries()) {
      s.send({ ...frame, ref: i });
      const error = await s.frame((f) => f.type === 'error' && f.data.ref === i);
      assert.deepEqual(Object.keys(error.data).sort(), ['code', 'message', 'ref'], JSON.stringify(frame));
    }
    s.send({ op: 'ping', ref: 'end' });
    await s.frame('pong');
    s.end();
  });
  test('more than 120 operations a minute are answered with rate_limited, and going on closes with 4429', async () => {
    const s = new Socket(cluster.ws(), { token: member.token });
    await s.frame('hello');
    for (let i = 0; i < 130; i++) s.send({ op: 'ping' });
    await s.frame((f) => f.type === 'error' && f.data.code === 'rate_limited');
    for (let i = 0; i < 400 && !s.close; i++) s.send({ op: 'ping' });
    assert.equal((await s.closed).code, 4429);
  });
  test('a client that answers no ping is closed with 4408', async () => {
    const s = new Socket(cluster.ws(), { token: member.token });
    await s.frame('hello');
    s.ws._receiver.removeAllListeners('ping'); // the library would answer by itself
    assert.equal((await s.closed).code, 4408);
  });
  test('handshakes that are none are answered in HTTP', async () => {
    const { wsPort } = cluster.copies.gateway[0];
    const ask = (text) => new Promise((done) => {
      let got = '';
      const s = connect(wsPort, '127.0.0.1', () => s.write(text, 'latin1'));
      s.on('data', (d) => (got += d.toString('latin1')));
      s.on('close', () => done(got));
      s.on('error', () => done(got));
      setTimeout(() => s.destroy(), 4000);
    });
    const head = 'Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n';
    assert.match(await ask('GET /v1/ws HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1\.1 (400|426)/);
    assert.match(await ask(`GET /v1/ws HTTP/1.1\r\n${head}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 7\r\n\r\n`), /^HTTP\/1\.1 426/);
    assert.match(await ask(`GET /v1/ws HTTP/1.1\r\n${head}Sec-WebSocket-Version: 13\r\n\r\n`), /^HTTP\/1\.1 400/);
    assert.match(await ask(`GET /nowhere HTTP/1.1\r\n${head}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`), /^HTTP\/1\.1 404/);
    assert.match(await ask(`POST /v1/ws HTTP/1.1\r\n${head}\r\n`), /^HTTP\/1\.1 405/);
    assert.match(await ask('\0\0\0\0\0\r\n\r\n'), /^HTTP\/1\.1 400|^$/);
    assert.match(await ask(`GET /v1/ws HTTP/1.1\r\n${'X-Long: '.padEnd(30000, 'x')}\r\n\r\n`), /^HTTP\/1\.1 431/);
  });
  test('garbage after the handshake closes with a protocol error and hurts nobody else', async () => {
    const bystander = new Socket(cluster.ws(), { token: owner.token });
    await bystander.frame('hello');
    const { wsPort } = cluster.copies.gateway[0];
    for (const bytes of [[0xff, 0xff, 0xff, 0xff], [0x81, 0x05, 1, 2, 3, 4, 5], [0x88, 0x81, 0, 0, 0, 0, 1], [0x89, 0xfe, 0, 200], [0x80, 0x80, 0, 0, 0, 0], [0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28]]) {
      await new Promise((done) => {
        const s = connect(wsPort, '127.0.0.1', () => s.write(`GET /v1/ws HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${member.token}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`));
        let sent = false;
        s.on('data', () => {
          if (!sent) s.write(Buffer.from(bytes));
          sent = true;
        });
        s.on('close', done);
        s.on('error', done);
        setTimeout(() => s.destroy(), 4000);
      });
    }
    bystander.send({ op: 'ping' });
    await bystander.frame('pong');
    bystander.end();
  });
});
