// Files: sent up in one request, named by a message, fetched by their signed URLs; previews of real images, made here.
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, Socket, newPerson } from './lib/client.mjs';
import { idOf } from './lib/crust.mjs';
import { gif, photographed, png, turnedOnly } from './lib/images.mjs';
import { until } from './lib/wait.mjs';

const cluster = new Cluster({
  copies: { messaging: 2 },
  environment: { GUILDHALL_FILES_MAX_MB: '2', GUILDHALL_UPLOADS_PER_ACCOUNT: '2' },
});
let rest, owner, member, outsider, team, channel;

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  [owner, member, outsider] = [await newPerson(rest, 'owner'), await newPerson(rest, 'member'), await newPerson(rest, 'outsider')];
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'files', joining: 'open' });
  await member.rest.ok('PUT', `/v1/teams/${team.id}/members/${member.id}`);
  channel = await owner.rest.ok('POST', '/v1/channels', { name: 'files', team_id: team.id });
}, { timeout: 240000 });
after(() => cluster.destroy(), { timeout: 60000 });

// ---- calls

function form(fields, boundary = 'b0undary') {
  const parts = fields.map(({ name, filename, bytes }) => Buffer.concat([
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}\r\n\r\n`),
    Buffer.from(bytes), Buffer.from('\r\n')]));
  return { body: Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)]), type: `multipart/form-data; boundary=${boundary}` };
}

function upload(person, bytes, { filename = 'a.bin', to = channel.id, headers = {}, fields } = {}) {
  const { body, type } = form(fields ?? [{ name: 'file', filename, bytes }]);
  return person.rest.call('POST', `/v1/channels/${to}/attachments`, new Uint8Array(body), { 'content-type': type, ...headers });
}

async function uploaded(person, bytes, options) {
  const answer = await upload(person, bytes, options);
  assert.equal(answer.status, 201, answer.text);
  return answer.json;
}

async function fetched(url, headers = {}, method = 'GET') {
  const response = await fetch(cluster.api + url, { headers, method, signal: AbortSignal.timeout(15000) });
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) };
}

const post = (person, body, to = channel.id) => person.rest.call('POST', `/v1/channels/${to}/messages`, body);

// ---- tests

test('a file comes back as it went up, whole and in parts, without a token', async () => {
  const bytes = randomBytes(700000);
  const file = await uploaded(member, bytes, { filename: 'r\u00e9sum\u00e9 1.bin' });
  assert.deepEqual({ ...file, id: 0, url: 0, created_at: 0 }, {
    id: 0, user_id: member.id, name: 'r\u00e9sum\u00e9 1.bin', bytes: 700000, media_type: 'application/octet-stream',
    width: null, height: null, animated: false, url: 0, preview: null, created_at: 0,
  });
  const whole = await fetched(file.url);
  assert.equal(whole.status, 200);
  assert.ok(whole.bytes.equals(bytes));
  assert.equal(whole.headers.get('content-type'), 'application/octet-stream');
  assert.equal(whole.headers.get('x-content-type-options'), 'nosniff');
  assert.match(whole.headers.get('content-disposition'), /^attachment; filename="r_sum_ 1\.bin"; filename\*=UTF-8''r%C3%A9sum%C3%A9%201\.bin$/);
  const part = await fetched(file.url, { range: 'bytes=300000-300999' });
  assert.equal(part.status, 206);
  assert.equal(part.headers.get('content-range'), 'bytes 300000-300999/700000');
  assert.ok(part.bytes.equals(bytes.subarray(300000, 301000)));
  assert.ok((await fetched(file.url, { range: 'bytes=-5' })).bytes.equals(bytes.subarray(-5)));
  assert.equal((await fetched(file.url, { range: 'bytes=700000-' })).status, 416);
  const head = await fetched(file.url, {}, 'HEAD');
  assert.equal(head.status, 200);
  assert.equal(head.headers.get('content-length'), '700000');
  assert.equal((await fetched(file.url, { 'if-none-match': whole.headers.get('etag') })).status, 304);
  assert.equal((await fetched(file.url, { 'if-modified-since': whole.headers.get('last-modified') })).status, 304);
});

test('an image has its size and a preview, which is upright, small and nothing but an image', async () => {
  const file = await uploaded(member, png(1000, 500), { filename: 'wide.png' });
  assert.deepEqual([file.media_type, file.width, file.height, file.animated], ['image/png', 1000, 500, false]);
  assert.deepEqual([file.preview.media_type, file.preview.width, file.preview.height], ['image/jpeg', 320, 160]);
  const preview = await fetched(file.preview.url);
  assert.equal(preview.status, 200);
  assert.equal(preview.headers.get('content-type'), 'image/jpeg');
  assert.equal(preview.bytes.length, file.preview.bytes);
  assert.deepEqual([...preview.bytes.subarray(0, 3)], [0xFF, 0xD8, 0xFF]);
  assert.match(preview.headers.get('content-disposition'), /^inline; filename="wide\.jpg"/);
  assert.ok(!preview.bytes.includes('Exif'));
  const tall = await uploaded(member, png(300, 600));
  assert.deepEqual([tall.preview.width, tall.preview.height], [90, 180]);
  const small = await uploaded(member, png(30, 20));
  assert.deepEqual([small.preview.width, small.preview.height], [30, 20]);
});

test('of a moving picture the preview is its first frame', async () => {
  const file = await uploaded(member, gif(40, 200), { filename: 'x.gif' });
  assert.deepEqual([file.media_type, file.width, file.height, file.animated], ['image/gif', 40, 200, true]);
  assert.deepEqual([file.preview.media_type, file.preview.width, file.preview.height], ['image/gif', 36, 180]);
  assert.equal((await fetched(file.preview.url)).bytes.subarray(0, 4).toString(), 'GIF8');
});

test('a photograph is kept and shown as its camera was held, and where it was taken is forgotten', async () => {
  // The preview of a PNG is a JPEG.
  const plain = (await fetched((await uploaded(member, png(640, 320))).preview.url)).bytes;
  const taken = photographed(plain);
  const file = await uploaded(member, taken, { filename: 'x.jpeg' });
  assert.deepEqual([file.media_type, file.width, file.height], ['image/jpeg', 160, 320]);
  assert.deepEqual([file.preview.width, file.preview.height], [90, 180]);
  const original = await fetched(file.url);
  assert.ok(taken.includes('SECRET') && !original.bytes.includes('SECRET'));
  assert.ok(original.bytes.equals(turnedOnly(plain)), 'every other byte is as it was');
  assert.equal(file.bytes, original.bytes.length);
  assert.ok((await fetched(file.url, { range: 'bytes=-100' })).bytes.equals(plain.subarray(-100)));
  const preview = (await fetched(file.preview.url)).bytes;
  assert.ok(!preview.includes('Exif') && !preview.includes('SECRET'));
  // What is taken from here and sent again is the same content.
  assert.ok((await fetched((await uploaded(owner, original.bytes)).url)).bytes.equals(original.bytes));
});

test('what is no picture after all, or one of gigabytes, is a file without a preview', async () => {
  const broken = png(400, 400);
  randomBytes(200).copy(broken, 45);
  const cut = png(800, 800).subarray(0, 300);
  // Whose parts cannot be told from each other, so that nothing can be taken out, is not called an image.
  const [noGif, noJpeg] = [Buffer.concat([Buffer.from('GIF89a'), Buffer.alloc(3000, 'x')]), Buffer.concat([Buffer.from([0xFF, 0xD8, 0xFF]), Buffer.alloc(3000, 'x')])];
  for (const [bytes, type] of [[broken, 'image/png'], [cut, 'image/png'], [noGif, 'application/octet-stream'], [noJpeg, 'application/octet-stream']]) {
    const file = await uploaded(member, bytes, { filename: 'x.png' });
    assert.deepEqual([file.bytes, file.media_type], [bytes.length, type]);
    assert.ok((await fetched(file.url)).bytes.equals(bytes));
  }
  const bomb = await uploaded(member, png(60000, 60000, { honest: false }), { filename: 'bomb.png' });
  assert.deepEqual([bomb.width, bomb.height, bomb.preview], [60000, 60000, null]);
  assert.equal((await fetched(bomb.url.replace('?', '/preview?'))).status, 404);
});

test('a page is never a page here', async () => {
  const file = await uploaded(member, '<html><script>alert(1)</script>', { filename: 'x.html' });
  assert.equal(file.media_type, 'text/plain; charset=utf-8');
  const shown = await fetched(file.url);
  assert.match(shown.headers.get('content-security-policy'), /default-src 'none'.*sandbox/);
  assert.match(shown.headers.get('content-disposition'), /^inline/);
  assert.match((await fetched(`${file.url}&download=1`)).headers.get('content-disposition'), /^attachment/);
});

test('a message shows its files to everybody and in events, and takes them along', async () => {
  const watching = new Socket(`ws://127.0.0.1:${cluster.copies.gateway[0].wsPort}/v1/ws?detail=1&topics=channel:${channel.id}`, { token: owner.token });
  await watching.frame('subscribed');
  const files = [await uploaded(member, 'one', { filename: '1.txt' }), await uploaded(member, png(10, 10), { filename: '2.png' })];
  const answer = await post(member, { content: 'look', attachments: files.map((file) => file.id) });
  assert.equal(answer.status, 201, answer.text);
  assert.deepEqual(answer.json.attachments.map((file) => file.name), ['1.txt', '2.png']);
  const path = `/v1/channels/${channel.id}/messages/${answer.json.id}`;
  for (const shown of [await owner.rest.ok('GET', path), (await owner.rest.ok('GET', `/v1/channels/${channel.id}/messages`)).items[0]])
    assert.deepEqual(shown.attachments.map((file) => file.id), files.map((file) => file.id));
  const told = (await watching.frame((f) => f.type === 'channel_message' && f.data.message_id === answer.json.id)).data.message;
  assert.deepEqual(told.attachments.map((file) => file.name), ['1.txt', '2.png']);
  watching.ws.terminate();
  for (const { attachments } of [answer.json, told]) assert.equal((await fetched(attachments[0].url)).bytes.toString(), 'one');
  assert.equal((await post(member, { content: 'again', attachments: [files[0].id] })).status, 422);
  await member.rest.ok('DELETE', path);
  assert.equal((await fetched(files[0].url)).status, 404);
  assert.equal((await fetched(files[1].preview.url)).status, 404);
});

test('files alone are a message, others’ files are nobody’s', async () => {
  const file = await uploaded(member, 'mine');
  const stolen = await post(owner, { content: 'x', attachments: [file.id] });
  assert.equal(stolen.status, 422, stolen.text);
  assert.equal(stolen.json.field, 'attachments');
  assert.equal((await post(member, { content: '' })).status, 422);
  const alone = await post(member, { attachments: [file.id] });
  assert.equal(alone.status, 201, alone.text);
  assert.equal(alone.json.content, '');
});

test('a URL that was changed, or belongs to another, opens nothing', async () => {
  const [a, b] = [await uploaded(member, 'a'), await uploaded(member, 'b')];
  const sign = (file) => new URL(file.url, 'http://x').searchParams.get('sign');
  assert.equal((await fetched(`/v1/attachments/${a.id}`)).status, 403);
  assert.equal((await fetched(`/v1/attachments/${a.id}?sign=${sign(b)}`)).status, 403);
  assert.equal((await fetched(`/v1/attachments/${a.id}?sign=${sign(a).replace(/.$/, (c) => (c === '0' ? '1' : '0'))}`)).status, 403);
  assert.equal((await fetched(`/v1/attachments/${a.id}?sign=0000000001${sign(a).slice(10)}`)).status, 403);
});

test('without a right signature nobody is told which files there are, in no dialect and by no route', async () => {
  const [picture, plain, gone] = [await uploaded(member, png(40, 20), { filename: 'x.png' }), await uploaded(member, 'a'), await uploaded(member, 'b')];
  const message = await member.rest.ok('POST', `/v1/channels/${channel.id}/messages`, { attachments: [gone.id] });
  await member.rest.ok('DELETE', `/v1/channels/${channel.id}/messages/${message.id}`);
  assert.equal((await fetched(gone.url)).status, 404, 'who has its URL is told that it is gone');
  const unknown = plain.id.replace(/.(?=-)/, (c) => (c === '0' ? '1' : '0'));
  const sign = new URL(plain.url, 'http://x').searchParams.get('sign');
  const other = sign.replace(/.$/, (c) => (c === '0' ? '1' : '0'));
  const routes = [(id) => `/v1/attachments/${id}?`, (id) => `/v1/attachments/${id}/preview?`,
    (id) => `/crust/attachment/${idOf(id)}/original/x.png?userID=${idOf(member.id)}&`, (id) => `/crust/attachment/${idOf(id)}/preview.jpg?userID=${idOf(member.id)}&`];
  // Byte for byte, but for what is the request's own.
  const said = async (url, method) => {
    const { status, headers, bytes } = await fetched(url, {}, method);
    const own = headers.get('x-request-id');
    const heads = [...headers].filter(([name]) => !['date', 'x-request-id'].includes(name) && !name.startsWith('ratelimit-'));
    return JSON.stringify([status, heads, bytes.toString().replaceAll(own, 'its own')]);
  };
  for (const route of routes)
    for (const query of ['', 'download=1', 'sign=', 'sign=x', `sign=${other}`, `sign=${other}&download=1`, `sign=0000000001${sign.slice(10)}`])
      for (const method of query.startsWith(`sign=${other}`) ? ['GET', 'HEAD'] : ['GET']) {
        const first = await said(route(unknown) + query, method);
        for (const id of [picture.id, plain.id, gone.id])
          assert.equal(await said(route(id) + query, method), first, `${method} ${route(id)}${query}`);
      }
});

test('an Idempotency-Key makes one file of a repeated upload, and of no other', async () => {
  const headers = { 'idempotency-key': randomUUID() };
  const first = await upload(member, 'once', { headers });
  const again = await upload(member, 'once', { headers });
  assert.deepEqual([first.status, again.status], [201, 201]);
  assert.equal(again.json.id, first.json.id);
  for (const other of [await upload(member, 'twice', { headers }), await upload(member, 'once', { headers, filename: 'other' })]) {
    assert.equal(other.status, 422, other.text);
    assert.equal(other.json.field, 'Idempotency-Key');
  }
});

test('uploads are refused for their size, form and sender', async () => {
  assert.equal((await upload(member, Buffer.alloc(3 << 20))).status, 413);
  assert.equal((await upload(member, Buffer.alloc(2 << 20))).status, 201);
  assert.equal((await upload(member, '')).status, 422);
  assert.equal((await upload(member, 'x', { filename: 'folder/' })).status, 422);
  for (const fields of [[], [{ name: 'other', filename: 'x', bytes: 'x' }], [{ name: 'file', bytes: 'x' }],
    [{ name: 'file', filename: 'x', bytes: 'x' }, { name: 'file', filename: 'y', bytes: 'y' }]])
    assert.equal((await upload(member, '', { fields })).status, 422, JSON.stringify(fields));
  const raw = (body, type) => member.rest.call('POST', `/v1/channels/${channel.id}/attachments`, body, { 'content-type': type });
  assert.equal((await raw('{}', 'application/json')).status, 415);
  assert.equal((await raw('--b\r\nnothing', 'multipart/form-data; boundary=b')).status, 400);
  assert.equal((await upload({ rest }, 'x')).status, 401);
  assert.equal((await upload(outsider, 'x')).status, 404);
  await owner.rest.ok('PUT', `/v1/channels/${channel.id}/overrides/${member.id}`, { allow: [], deny: ['attach_files'] });
  const denied = await upload(member, 'x');
  assert.equal(denied.status, 403);
  await owner.rest.ok('DELETE', `/v1/channels/${channel.id}/overrides/${member.id}`);
});

test('one account may send so many at once, and who goes away leaves nothing behind', async () => {
  const { hostname, port } = new URL(cluster.api);
  // One that came while the asking below had its place is answered, and comes again.
  const hanging = [0, 1];
  const hang = (i) => {
    const socket = hanging[i] = connect(Number(port), hostname);
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.destroy();
      hang(i);
    });
    socket.write(`POST /v1/channels/${channel.id}/attachments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${member.token}\r\n`
      + 'Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n--b\r\n');
  };
  hanging.forEach((_, i) => hang(i));
  await until('a third one is refused', async () => (await upload(member, 'x')).status === 429, 20000);
  assert.equal((await upload(owner, 'x')).status, 201);
  for (const socket of hanging) socket.removeAllListeners('data').destroy();
  await until('there is room again', async () => (await upload(member, 'x')).status === 201, 30000);
});
