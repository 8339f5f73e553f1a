// Guildhall as a browser sees it: two people with Debian's Chromium, the edge with its form, and pages of other origins that use crust's own
// clients. What Chromium warns of or cannot load fails the test in which it happens.
import assert from 'node:assert/strict';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test as run } from 'node:test';
import { Rest, newPerson } from '../system/lib/client.mjs';
import { Cluster } from '../system/lib/cluster.mjs';
import { Edge } from '../system/lib/edge.mjs';
import { png } from '../system/lib/images.mjs';
import { until } from '../system/lib/wait.mjs';
import { Person, launch } from './lib/chromium.mjs';
import { Site, bundle, install } from './lib/pages.mjs';

let origins = ''; // that may open a websocket
const cluster = new Cluster({ environment: (copy) => (copy?.service === 'gateway' ? { GUILDHALL_WS_ORIGINS: origins } : {}) });
const edge = new Edge(cluster), site = new Site();
const accounts = {};
let browser, ann, bob, general;
const everybody = () => [ann, bob];

before(async () => {
  const client = await bundle();
  await Promise.all([cluster.start(), site.start(client)]);
  const rest = new Rest([cluster.api]);
  for (const name of ['ann', 'bob', 'cat']) accounts[name] = await newPerson(rest, name);
  cluster.ctl('team', 'create', 'harbour', '--owner', accounts.ann.username, '--template', 'crust');
  cpSync(new URL('../../deploy/edge/page', import.meta.url), edge.page, { recursive: true });
  install(join(edge.page, 'messaging'), client);
  await edge.start();
  browser = await launch();
  ann = await Person.open(browser, 'ann', { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true }); // a phone
  bob = await Person.open(browser, 'bob');
}, { timeout: 120000 });
after(async () => {
  await browser?.close();
  site.stop();
  await edge.stop();
  await cluster.destroy();
}, { timeout: 60000 });

/** A test in which no browser complains of anything but what it expects. */
const test = (name, body) => run(name, { timeout: 120000 }, async () => {
  await body();
  assert.deepEqual(everybody().flatMap((person) => person.unexpected()), []);
});

const crust = () => `${edge.url}/crust`;
const socketOf = (token) => `${crust().replace('http', 'ws')}/websocket/?jwt=${token}`;
const call = (person, method, fields = {}) => person.at.evaluate(([m, f]) => window.page.messaging[m](f), [method, fields]);
const refused = (person, method, fields) => person.at.evaluate(([m, f]) => window.page.messaging[m](f).then(() => 'it was not refused', (e) => e.message), [method, fields]);
const ask = (person, url, init) => person.at.evaluate(([u, i]) => window.page.ask(u, i), [url, init]);
const say = (person, channelID, message) => call(person, 'messageCreate', { channelID, message });
const frames = (person) => person.at.evaluate(() => window.page.frames);
const heard = (person, key, fits = () => true) => until(`${person.name} hears ${key}`,
  async () => (await frames(person)).find((frame) => frame.key === key && fits(frame.body))?.body);
const is = (message) => (m) => m.messageID === message.messageID;

describe('the sign-in form of the edge', () => {
  let page;
  const text = () => page.locator('#error').textContent();
  const submit = async (name, password) => {
    await page.fill('[name=email]', name);
    await page.fill('[name=password]', password);
    await page.click('button');
  };

  test('is where the page sends who has no token, and it fits a phone', async () => {
    page = await ann.page();
    await page.goto(`${edge.url}/messaging/`);
    await page.waitForURL('**/auth');
    await page.locator('#form').waitFor();
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), 'nothing is beside the screen');
    for (const part of ['[name=email]', '[name=password]', 'button']) {
      const { x, y, width, height } = await page.locator(part).boundingBox();
      assert.ok(x >= 0 && x + width <= 360 && y >= 0 && y + height <= 640, `${part} is on the screen`);
      assert.ok(height >= 40, `${part} is large enough for a thumb`);
      assert.ok(parseFloat(await page.locator(part).evaluate((e) => getComputedStyle(e).fontSize)) >= 16, 'phones zoom into less');
    }
    // A phone would begin a name with a capital letter.
    assert.equal(await page.locator('[name=email]').evaluate((e) => e.autocapitalize), 'none');
    assert.equal(await page.locator('[name=email]').evaluate((e) => document.activeElement === e), true);
  });

  test('says what is wrong with a password, and keeps nothing', async () => {
    await submit(accounts.ann.username, 'something else');
    await until('it says so', async () => await text() === 'invalid username and password combination');
    assert.equal(new URL(page.url()).pathname, '/auth');
    assert.equal(await page.evaluate(() => localStorage.length), 0);
  });

  test('says in words of its own that nobody answers', async () => {
    ann.expect(/status of 502/);
    await cluster.copies.api[0].stop();
    await submit(accounts.ann.username, accounts.ann.password);
    await until('it says so', async () => /server/.test(await text()));
    assert.equal(await text(), 'The server does not answer. Please try again later.');
    cluster.copies.api[0].spawn();
    await cluster.copies.api[0].ready();
  });

  test('signs in, and leaves a token for the page and no cookie', async () => {
    await submit(accounts.ann.username, accounts.ann.password);
    await page.waitForURL('**/messaging/');
    const kept = await page.evaluate(() => [localStorage.getItem('auth.jwt'), JSON.parse(localStorage.getItem('auth.user'))]);
    assert.ok(kept[0].length > 100);
    assert.equal(kept[1].username, accounts.ann.username);
    assert.deepEqual(await ann.context.cookies(), []);
    // The page finds its APIs by config.js, and the token opens them.
    const user = await page.evaluate(async (jwt) => {
      window.page.use(window.MessagingAPI, window.SystemAPI, jwt);
      return (await window.page.system.authCheck()).user;
    }, kept[0]);
    assert.equal(user.username, accounts.ann.username);
  });

  test('is needed again by who signed out', async () => {
    assert.equal(await page.evaluate(() => window.page.system.authLogout()), undefined);
    assert.equal(await page.evaluate(() => window.page.system.authCheck().catch((error) => error.message)), 'not authenticated');
    await page.evaluate(() => localStorage.clear());
    await page.reload();
    await page.waitForURL('**/auth');
    await submit(accounts.ann.username, accounts.ann.password);
    await page.waitForURL('**/messaging/');
    await page.close();
  });
});

describe('a page of another origin', () => {
  test('signs in with the clients as they are, and is asked about only once in a while', async () => {
    for (const [person, account] of [[ann, accounts.ann], [bob, accounts.bob]]) {
      person.at = await person.page(site.elsewhere);
      await person.at.evaluate(([api, system]) => window.page.use(api, system), [crust(), `${crust()}/system`]);
      assert.match(await person.at.evaluate((email) => window.page.signIn(email, 'x').catch((e) => e.message), account.username), /^invalid username/);
      const { username, userID } = await person.at.evaluate(([n, p]) => window.page.signIn(n, p), [account.username, account.password]);
      assert.equal(username, account.username);
      Object.assign(person, { id: userID, token: await person.at.evaluate(() => window.page.jwt) });
    }
    const devtools = await ann.context.newCDPSession(ann.at);
    const asked = [];
    devtools.on('Network.requestWillBeSent', ({ request }) => request.method === 'OPTIONS' && asked.push(request.method));
    await devtools.send('Network.enable');
    for (let i = 0; i < 3; i++) assert.equal((await call(ann, 'commandsList')).length, 4);
    assert.deepEqual(asked, ['OPTIONS'], 'the answer is kept for a while');
    await devtools.detach();
  });

  test('lists, makes, changes and joins channels', async () => {
    const channels = await call(ann, 'channelList');
    assert.deepEqual(channels.map((c) => c.name.toLowerCase()), ['general', 'random']);
    assert.equal(await ann.at.evaluate((c) => window.page.channel(c).channelID, channels[0]), channels[0].channelID);
    const made = await call(ann, 'channelCreate', { name: 'pier', topic: 'boats', type: 'public', members: [] });
    assert.equal((await call(ann, 'channelUpdate', { ...made, topic: 'ships' })).topic, 'ships'); // PUT
    [general] = channels;
    for (const person of everybody()) await call(person, 'channelJoin', { channelID: general.channelID, userID: person.id });
    assert.ok((await call(bob, 'channelMembers', { channelID: general.channelID })).some((m) => m.userID === bob.id));
  });

  test('posts, edits, answers, marks, finds and deletes', async () => {
    const { channelID } = general;
    const posted = await say(ann, channelID, 'a boat, ein Boot, <b>船</b> & 🛶');
    const edited = await call(ann, 'messageEdit', { ...posted, message: 'a lighthouse, <b>灯台</b> & 🗼' });
    assert.equal(edited.message, 'a lighthouse, <b>灯台</b> & 🗼');
    const reply = await call(bob, 'messageReplyCreate', { channelID, messageID: posted.messageID, message: 'where?' });
    assert.equal(reply.replyTo, posted.messageID);
    for (const reaction of [':+1:', '😀']) await call(bob, 'messageReactionCreate', { ...posted, reaction });
    await call(bob, 'messageReactionRemove', { ...posted, reaction: '😀' }); // DELETE
    await call(bob, 'messagePinCreate', posted);
    const [found] = await call(bob, 'searchMessages', { channelID, query: 'lighthouse' });
    assert.deepEqual([found.messageID, found.message, found.replies, found.isPinned, found.reactions],
      [posted.messageID, edited.message, 1, true, [{ userIDs: [bob.id], reaction: ':+1:', count: 1 }]]);
    assert.deepEqual((await call(bob, 'searchMessages', { channelID: [channelID], pinnedOnly: true })).map((m) => m.messageID), [posted.messageID]);
    assert.deepEqual((await call(bob, 'searchThreads', { channelID })).map((m) => m.messageID).sort(), [posted.messageID, reply.messageID].sort());
    await call(bob, 'messageDelete', reply);
    assert.deepEqual(await call(bob, 'searchMessages', { channelID, threadID: posted.messageID }), []);
  });

  test('changes rules, for which browsers ask too', async () => {
    const rule = { resource: `messaging:channel:${general.channelID}`, operation: 'message.attach', access: 'deny' };
    await call(ann, 'permissionsUpdate', { roleID: '1', rules: [rule] }); // PATCH
    const { body } = await bob.at.evaluate((id) => window.page.upload(id, 'x.txt', 'text/plain', btoa('x')), general.channelID);
    assert.match(body.error.message, /NoPermissions/);
    await call(ann, 'permissionsUpdate', { roleID: '1', rules: [{ ...rule, access: 'inherit' }] });
  });

  test('can read every refusal, with the status that it has', async () => {
    const { channelID } = general;
    assert.equal(await refused(ann, 'channelRead', { channelID: '1' }), 'messaging.repository.ChannelNotFound');
    assert.equal(await refused(bob, 'channelState', { channelID, state: 'delete' }), 'messaging.service.NoPermissions');
    assert.match(await refused(bob, 'messageEdit', { ...await say(ann, channelID, 'mine'), message: 'yours' }), /NoPermissions/);
    const anonymous = await ask(ann, `${crust()}/channels/`);
    assert.deepEqual([anonymous.status, JSON.parse(anonymous.text)], [200, { error: { message: 'Unauthorized' } }]);
    ann.expect(/status of 40[3-5]/);
    const headers = { Authorization: `Bearer ${ann.token}` };
    const nowhere = await ask(ann, `${crust()}/nowhere`, { headers });
    assert.deepEqual([nowhere.status, nowhere.text.trim()], [404, '404 page not found']);
    assert.equal((await ask(ann, `${crust()}/commands/`, { method: 'DELETE', headers })).status, 405);
    // Who may not come in at all.
    await accounts.ann.rest.ok('PUT', `/v1/teams/${(await accounts.ann.rest.ok('GET', '/v1/teams')).items[0].id}/bans/${accounts.cat.id}`, { motive: 'noise' });
    const banned = await ask(ann, `${crust()}/channels/`, { headers: { Authorization: `Bearer ${accounts.cat.token}` } });
    assert.deepEqual([banned.status, banned.text.trim()], [403, 'Forbidden']);
  });

  test('may name its calls, so that a repeat does nothing, and sees which request it was', async () => {
    const headers = { Authorization: `Bearer ${ann.token}`, 'Content-Type': 'application/json', 'Idempotency-Key': 'once' };
    const post = () => ask(ann, `${crust()}/channels/${general.channelID}/messages/`, { method: 'POST', headers, body: '{"message":"once"}' });
    const [first, second] = [await post(), await post()];
    assert.equal(JSON.parse(second.text).response.messageID, JSON.parse(first.text).response.messageID);
    assert.match(first.headers['x-request-id'], /^\S+$/);
  });
});

describe('files in a browser', () => {
  const boat = png(640, 320), name = 'ein Boot – 船 (1).png';
  let att;

  test('are uploaded with their progress', async () => {
    const answer = await bob.at.evaluate(([id, n, b]) => window.page.upload(id, n, 'image/png', b), [general.channelID, name, boat.toString('base64')]);
    att = answer.body.response;
    assert.equal(att.name, name);
    const [loaded, total] = answer.progress.at(-1);
    assert.ok(loaded === total && total > boat.length, 'the whole body');
  });

  test('are shown in the page, original and preview, and may be looked at', async () => {
    const show = (url, mode) => ann.at.evaluate(([u, m]) => window.page.picture(u, m), [url, mode]);
    assert.deepEqual(await show(att.url), { width: 640, height: 320 });
    assert.deepEqual(await show(att.previewUrl), { width: 320, height: 160 });
    // What is in the browser's cache by now was asked for without an origin.
    assert.deepEqual(await show(att.url, 'anonymous'), { width: 640, height: 320, pixel: [64, 64, 64, 255] });
  });

  test('are saved under their names', async () => {
    await ann.at.evaluate((url) => window.page.link(url), `${crust()}${att.url}&download=1`);
    ann.expect(/failed: GET .*download=1.*ERR_ABORTED/); // a navigation that became a download
    const [download] = await Promise.all([ann.at.waitForEvent('download'), ann.at.click('#link')]);
    assert.equal(download.suggestedFilename(), name);
    assert.deepEqual(readFileSync(await download.path()), boat);
  });

  test('that could run are shown as what they are made of, wherever they are opened', async () => {
    const harm = '<script>document.title = "harm"; fetch("/crust/channels/")</script>';
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" onload="top.document.title='harm'">${harm}</svg>`;
    for (const [file, type, text] of [['evil.html', 'text/html', harm], ['evil.svg', 'image/svg+xml', svg]]) {
      const { body } = await bob.at.evaluate(([id, n, t, b]) => window.page.upload(id, n, t, b), [general.channelID, file, type, btoa(text)]);
      const page = await ann.page(crust() + body.response.url);
      assert.equal(await page.locator('body').innerText(), text);
      assert.notEqual(await page.title(), 'harm');
      await page.close();
      ann.expect(/failed: GET .*\/original\/evil.*ERR_BLOCKED_BY_ORB/);
      assert.match(await ann.at.evaluate((u) => window.page.picture(u).catch((e) => e.message), body.response.url), /cannot be decoded/);
    }
  });

  test('are not opened by another signature, nor when their message is gone', async () => {
    const forged = await ask(ann, crust() + att.url.replace(/sign=[^&]*/, 'sign=x'));
    assert.deepEqual([forged.status, JSON.parse(forged.text)], [200, { error: { message: 'missing or invalid signature' } }]);
    const { channelID } = general;
    const { body } = await bob.at.evaluate((id) => window.page.upload(id, 'gone.txt', 'text/plain', btoa('gone')), channelID);
    const [message] = await call(bob, 'searchMessages', { channelID, query: 'gone.txt' });
    await call(bob, 'messageDelete', message);
    ann.expect(/status of 404/);
    assert.equal((await ask(ann, crust() + body.response.url)).status, 404);
  });

  test('that are too large are refused in words that the page can read', async () => {
    const { status, body } = await bob.at.evaluate((id) => window.page.uploadOf(id, 'large', 27 << 20), general.channelID);
    assert.equal(status, 200);
    assert.match(body.error.message, /too large/);
  });
});

describe('the websocket', () => {
  test('opens by the token in its URL, to pages of any origin, and brings both the same in the same order', async () => {
    const { channelID } = general;
    for (const person of everybody()) await person.at.evaluate((url) => window.page.listen(url), socketOf(person.token));
    await call(bob, 'messageMarkAsRead', { channelID });
    const posted = [];
    for (let i = 0; i < 5; i++) posted.push(await Promise.all(everybody().map((person) => say(person, channelID, `${person.name} ${i}`))));
    const ids = posted.flat().map((m) => m.messageID);
    const history = (await call(ann, 'searchMessages', { channelID, limit: ids.length })).reverse().map((m) => m.messageID);
    for (const person of everybody()) {
      for (const messageID of ids) await heard(person, 'message', is({ messageID }));
      const told = (await frames(person)).filter((f) => f.key === 'message' && ids.includes(f.body.messageID)).map((f) => f.body);
      assert.deepEqual(told.map((m) => m.messageID), history, person.name);
      assert.ok(told.every((m) => m.canEdit === (m.userID === person.id)), 'as each may see it');
    }
  });

  test('counts what is unread for who has not read it', async () => {
    const { channelID } = general;
    await call(ann, 'messageMarkAsRead', { channelID });
    await ann.at.evaluate(() => { window.page.frames.length = 0; });
    for (const text of ['one', 'two', 'three']) await say(bob, channelID, text);
    await heard(ann, 'unread', (u) => u.channelID === channelID && u.count === 3);
    await call(ann, 'messageMarkAsRead', { channelID });
    await heard(ann, 'unread', (u) => u.channelID === channelID && u.count === 0);
    assert.equal((await call(ann, 'channelRead', { channelID })).unread, undefined);
  });

  test('takes what pages say in frames', async () => {
    await ann.at.evaluate((id) => window.page.socket.send(JSON.stringify({ createMessage: { channelID: id, message: 'by a frame' } })), general.channelID);
    await heard(bob, 'message', (m) => m.message === 'by a frame');
    await ann.at.evaluate(() => window.page.socket.send('{'));
    await heard(ann, 'error', (e) => /^Session.incoming: payload malformed/.test(e.m));
  });

  test('does not open without a good token', async () => {
    ann.expect(/WebSocket connection to .* failed/);
    assert.match(await ann.at.evaluate((url) => window.page.tries(url).catch((e) => e.message), socketOf('x')), /did not open/);
    // That try is the page's socket now: the good one takes its place.
    await ann.at.evaluate((url) => window.page.listen(url), socketOf(ann.token));
  });

  test('opens by the cookie to a page of this host, and never to a page of another one', async () => {
    const person = await Person.withCookies('cookie');
    const url = `${crust().replace('http', 'ws')}/websocket/`;
    const answers = {};
    try {
      // The only kind of cookie that is sent along for pages of other sites.
      await person.context.addCookies([{ name: 'jwt', value: ann.token, domain: '127.0.0.1', path: '/', secure: true, sameSite: 'None' }]);
      for (const [whose, address] of [['own', `${edge.url}/auth`], ['sibling', site.sibling], ['elsewhere', site.elsewhere]]) {
        const page = await person.page(address);
        const sent = [];
        const devtools = await person.context.newCDPSession(page);
        devtools.on('Network.requestWillBeSentExtraInfo', ({ headers }) => sent.push(/jwt=/.test(headers.Cookie ?? headers.cookie)));
        await devtools.send('Network.enable');
        const rest = await page.evaluate((api) => fetch(`${api}/commands/`, { credentials: 'include' }).then((a) => a.json()), crust());
        assert.ok(sent.includes(true), `${whose}: the browser sent it`);
        const opened = await page.evaluate((to) => new Promise((done) => {
          const ws = new WebSocket(to);
          ws.onopen = () => done('open');
          ws.onerror = () => done('refused');
        }), url);
        answers[whose] = [rest.error?.message ?? rest.response.length, opened];
      }
    } finally {
      await person.leave();
    }
    assert.deepEqual(answers, { own: [4, 'open'], sibling: [4, 'open'], elsewhere: ['Unauthorized', 'refused'] });
    person.expect(/WebSocket connection to .* failed/);
    assert.deepEqual(person.unexpected(), []);
  });

  test('comes back by itself after the gateway was restarted, and brings what is said from then on', async () => {
    for (const person of everybody()) person.expect(/WebSocket connection to .* failed/);
    const [gateway] = cluster.copies.gateway;
    await gateway.stop();
    await until('both are gone', async () => (await Promise.all(everybody().map((p) => p.at.evaluate(() => window.page.socket.readyState)))).every((s) => s !== 1));
    const missed = await say(ann, general.channelID, 'while you were away');
    gateway.spawn();
    await until('both are back', async () => (await Promise.all(everybody().map((p) => p.at.evaluate(() => window.page.socket.readyState)))).every((s) => s === 1), 60000);
    const back = await say(ann, general.channelID, 'back again');
    for (const person of everybody()) await heard(person, 'message', is(back));
    assert.deepEqual((await call(bob, 'searchMessages', { channelID: general.channelID, fromMessageID: missed.messageID })).map((m) => m.message),
      ['while you were away', 'back again']);
  });
});

describe('house', () => {
  const socket = () => `${edge.url.replace('http', 'ws')}/v1/ws`;
  const authenticate = () => ({ op: 'authenticate', token: accounts.bob.token });

  test('answers a page of its own address, by REST and websocket', async () => {
    const page = await bob.page(`${edge.url}/messaging/`);
    bob.at = page;
    await page.evaluate((jwt) => localStorage.setItem('auth.jwt', jwt), bob.token);
    await page.goto(`${edge.url}/messaging/`);
    const headers = { Authorization: `Bearer ${accounts.bob.token}` };
    const me = await ask(bob, `${edge.url}/v1/me`, { headers });
    assert.deepEqual([me.status, JSON.parse(me.text).username], [200, accounts.bob.username]);
    bob.expect(/status of 401/);
    const stranger = await ask(bob, `${edge.url}/v1/me`);
    assert.deepEqual([stranger.status, stranger.type], [401, 'application/problem+json']);
    const hello = await page.evaluate(([u, f]) => window.page.house(u, [f], 'hello'), [socket(), authenticate()]);
    assert.equal(hello.data.user_id, accounts.bob.id);
  });

  test('tells pages of other origins nothing by REST', async () => {
    ann.expect(/blocked by CORS policy/, /failed: GET .*\/v1\/me/, /net::ERR_FAILED/);
    const answer = await ann.at.evaluate(([url, token]) => window.page.ask(url, { headers: { Authorization: `Bearer ${token}` } })
      .then(() => 'it was answered', (error) => error.message), [`${edge.url}/v1/me`, accounts.ann.token]);
    assert.equal(answer, 'Failed to fetch');
  });

  test('lets them open its websocket, which takes the token in a first frame or in its URL', async () => {
    const { id } = accounts.ann;
    const first = { op: 'authenticate', token: accounts.ann.token };
    assert.equal((await ann.at.evaluate(([u, f]) => window.page.house(u, [f], 'hello'), [socket(), first])).data.user_id, id);
    assert.equal((await ann.at.evaluate((u) => window.page.house(u, [], 'hello'), `${socket()}?token=${accounts.ann.token}`)).data.user_id, id);
    assert.deepEqual(await ann.at.evaluate(([u, f]) => window.page.house(u, [f], 'hello'), [socket(), { ...first, token: 'x' }]), { closed: 4401 });
    const topics = [`user:${id}`];
    const subscribed = await ann.at.evaluate(([u, f, t]) => window.page.house(u, [f], 'subscribed', { op: 'subscribe', topics: t }), [socket(), first, topics]);
    assert.deepEqual(subscribed.data.topics, topics);
  });

  test('opens it to nobody but the pages that the operator names', async () => {
    for (const person of everybody()) person.expect(/WebSocket connection to .* failed/);
    const [gateway] = cluster.copies.gateway;
    await gateway.stop();
    origins = site.sibling;
    gateway.spawn();
    await gateway.ready();
    const named = await bob.page(site.sibling);
    assert.equal((await named.evaluate(([u, f]) => window.page.house(u, [f], 'hello'), [socket(), authenticate()])).data.user_id, accounts.bob.id);
    assert.deepEqual(await ann.at.evaluate(([u, f]) => window.page.house(u, [f], 'hello'), [socket(), { op: 'authenticate', token: accounts.ann.token }]), { closed: 1006 });
    assert.match(await ann.at.evaluate((u) => window.page.tries(u).catch((e) => e.message), socketOf(ann.token)), /did not open/);
  });
});
