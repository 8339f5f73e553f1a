// What crust's own web page (corteza-webapp-messaging 2020.6) does in a day, by two people, in its order and in its words: one whose page is
// served by the edge and calls paths of its own address, one whose page is elsewhere and lives under a browser's rules for other origins.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { Rest, newPerson } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';
import { idOf, plain } from './lib/crust.mjs';
import { Edge } from './lib/edge.mjs';
import { png } from './lib/images.mjs';
import { Channel, Page, User, inOrder, socketURL } from './lib/page.mjs';
import { until } from './lib/wait.mjs';

const cluster = new Cluster();
const edge = new Edge(cluster);
const people = {};
let ann, bob, general; // pages, and the channel that they meet in
const pages = () => [ann, bob];

before(async () => {
  await cluster.start();
  const rest = new Rest([cluster.api]);
  for (const name of ['ann', 'bob', 'cat', 'dan']) people[name] = await newPerson(rest, name);
  cluster.ctl('team', 'create', 'harbour', '--owner', people.ann.username, '--template', 'crust');
  mkdirSync(join(edge.page, 'messaging/js'), { recursive: true });
  writeFileSync(join(edge.page, 'messaging/index.html'), '<script src="/messaging/config.js"></script>');
  writeFileSync(join(edge.page, 'messaging/js/app.js'), 'start()');
  writeFileSync(join(edge.page, 'messaging/app.css'), 'b {}');
  const ours = new URL('../../deploy/edge/page/', import.meta.url);
  writeFileSync(join(edge.page, 'config.js'), readFileSync(new URL('config.js', ours)));
  mkdirSync(join(edge.page, 'auth'));
  writeFileSync(join(edge.page, 'auth/index.html'), readFileSync(new URL('auth/index.html', ours)));
  await edge.start();
  assert.equal((await plain(cluster.api, 'GET', '/commands/', { token: people.cat.token })).status, 200); // who calls comes in
  ann = new Page({ location: `${edge.url}/messaging/`, messagingAPI: '/crust', systemAPI: '/crust/system' });
  bob = new Page({ location: 'https://pages.example/messaging/', messagingAPI: `${edge.url}/crust`, systemAPI: `${edge.url}/crust/system` });
}, { timeout: 120000 });
after(async () => {
  for (const page of pages()) page?.close();
  await edge.stop();
  await cluster.destroy();
}, { timeout: 60000 });

const say = (page, channelID, message) => page.messaging.messageCreate({ channelID, message });
const heard = (page, key, fits) => until(`a frame ${key} among ${JSON.stringify(page.frames).slice(-1500)}`, () => page.heard(key, fits)[0]);
const is = (message) => (m) => m.messageID === message.messageID;
async function refusal(call) {
  return call.then(() => assert.fail('it was not refused'), (error) => error.message);
}

describe('the edge', () => {
  const get = async (path) => {
    const answer = await fetch(edge.url + path, { redirect: 'manual' });
    return { status: answer.status, type: answer.headers.get('content-type')?.split(';')[0], text: await answer.text() };
  };

  test('serves the files of the page, with the types without which browsers do not use them', async () => {
    assert.deepEqual(await get('/messaging/js/app.js'), { status: 200, type: 'application/javascript', text: 'start()' });
    assert.deepEqual(await get('/messaging/app.css'), { status: 200, type: 'text/css', text: 'b {}' });
  });

  test('serves its index for what the page routes to by itself', async () => {
    for (const path of ['/messaging', '/messaging/', '/messaging/channel/123', '/messaging/channel/new/public', '/messaging/threads?a=b']) {
      const { status, type, text } = await get(path);
      assert.deepEqual([status, type], [200, 'text/html'], path);
      assert.match(text, /config\.js/);
    }
  });

  test('says where the APIs are, unless the page has a config.js of its own', async () => {
    const { text, type } = await get('/messaging/config.js');
    const window = {};
    runInNewContext(text, { window });
    assert.deepEqual([type, window.MessagingAPI, window.SystemAPI], ['application/javascript', ann.messagingAPI, ann.systemAPI]);
    const own = join(edge.page, 'messaging/config.js');
    writeFileSync(own, 'its own');
    assert.equal((await get('/messaging/config.js')).text, 'its own');
    rmSync(own);
  });

  test('leaves everything else to the services', async () => {
    assert.equal((await get('/messagingX')).status, 404);
    assert.equal((await get('/authors')).status, 404);
    assert.match((await get('/crust/version')).text, /"version"/);
  });
});

describe('signing in', () => {
  test('who has no token is sent to /auth, where a form gives him one', async () => {
    for (const path of ['/auth', '/auth/', '/messaging/channels/1']) { // the page opens it without a slash
      const { status, headers } = await fetch(`${edge.url}${path}`);
      assert.deepEqual([status, headers.get('content-security-policy')], [200, "frame-ancestors 'self'"], path);
    }
    const html = await (await fetch(`${edge.url}/auth/`)).text();
    const script = /<script>(.*?)<\/script>/s.exec(html)[1];
    const error = {}, form = { elements: { email: { value: people.ann.username }, password: { value: 'something else' } },
      addEventListener: (event, run) => { form[event] = run; } };
    let went;
    const window = { SystemAPI: ann.systemAPI, location: { replace: (to) => { went = to; } } };
    let ask;
    runInNewContext(script, { window, fetch: (url, init) => ask(url, init), JSON,
      localStorage: { setItem: (key, value) => ann.storage.set(key, value) },
      document: { getElementById: (id) => ({ form, error })[id] } });
    // What an edge says whose api is away is no JSON, and what browsers say of a lost network is for nobody's eyes.
    for (ask of [async () => new Response('<html>502 Bad Gateway</html>', { status: 502 }), async () => { throw new TypeError('Failed to fetch'); }]) {
      await form.submit({ preventDefault() {} });
      assert.deepEqual([went, error.textContent], [undefined, 'The server does not answer. Please try again later.']);
    }
    ask = (url, init) => ann.browser.request(url, init);
    await form.submit({ preventDefault() {} });
    assert.deepEqual([went, error.textContent, ann.token], [undefined, 'invalid username and password combination', undefined]);
    form.elements.password.value = people.ann.password;
    await form.submit({ preventDefault() {} });
    assert.deepEqual([went, error.textContent], ['/messaging/', '']);
    // The page makes its user of this at once, before it has asked anything.
    assert.equal(new User(JSON.parse(ann.storage.get('auth.user'))).username, people.ann.username);
  });

  test('its own sign-in page asks what is possible, and signs in from another origin', async () => {
    const settings = await bob.system.authSettings();
    assert.deepEqual(settings, { internalEnabled: true, externalEnabled: false, internalPasswordResetEnabled: false,
      internalSignUpEmailConfirmationRequired: false, internalSignUpEnabled: false, externalProviders: [] }); // it sorts the list
    const { username: email, password } = people.bob;
    assert.match(await refusal(bob.system.authInternalLogin({ email, password: 'x' })), /^invalid username/); // shown as it is
    const { jwt, user } = await bob.system.authInternalLogin({ email, password });
    assert.ok(jwt.length > 100, 'its clients take no shorter token'); // setJWT throws
    assert.equal(user.username, email);
    assert.ok(user.roles.every((id) => typeof id === 'string'));
    bob.storage.set('auth.jwt', jwt);
  });
});

describe('starting', () => {
  test('everything that the page waits for is answered, and the websocket opens', async () => {
    for (const page of pages()) await page.start();
    assert.ok(bob.browser.asked > 5); // each call was asked for beforehand: it carries Authorization
    assert.equal(ann.browser.asked, 0);
    for (const page of pages()) {
      // Of settings it reads single values by path; an absent one takes the page's default, a wrong type does not.
      const { UI, Message } = page.settings;
      assert.deepEqual([typeof UI.Emoji.Enabled, typeof UI.BrowserNotifications.Enabled, typeof UI.BrowserNotifications.MessageTrim,
        typeof Message.Attachments.Enabled, typeof Message.Attachments.MaxSize], ['boolean', 'boolean', 'number', 'boolean', 'number']);
      // Its session store finds these by name; without them nothing can be made.
      assert.deepEqual([page.may.access, page.may['channel.group.create'], page.may['channel.public.create'], page.may['channel.private.create']],
        [true, true, true, true]);
      // Slash commands that are not listed are sent as text.
      assert.deepEqual(page.commands.map((c) => c.name), ['me', 'shrug', 'tableflip', 'unflip']);
      // It lists a channel only if one of these holds.
      assert.equal(page.channels.size, 2);
      for (const channel of page.channels.values()) assert.ok(channel.canJoin || channel.canObserve);
    }
    assert.deepEqual([ann.may.grant, bob.may.grant], [true, false]);
    general = [...ann.channels.values()].find((c) => c.name.toLowerCase() === 'general');
  });

  test('the forms in which config.js may name the API lead to one websocket', () => {
    const host = new URL(edge.url).host;
    for (const api of ['/crust', `//${host}/crust`, `${edge.url}/crust`]) {
      assert.equal(socketURL(api, ann.location, 'x'), `ws://${host}/crust/websocket/?jwt=x`);
    }
  });

  test('who comes is online to the others, by the list of statuses or by what he does', async () => {
    await until('they see each other', () => ann.online.get(bob.user.userID) && (bob.online.get(ann.user.userID) || bob.heard('activity').length > 0));
    const statuses = await ann.messaging.statusList();
    // "present" is tested for truth, and joined with people by userID.
    for (const page of pages()) assert.ok(statuses.find((s) => s.userID === page.user.userID)?.present);
  });

  test('people are asked for by all ids of a channel at once, and by the digits of one id', async () => {
    const { set } = await bob.system.userList({ userID: [ann.user.userID, bob.user.userID] });
    assert.deepEqual(set.map((u) => new User(u).userID), [ann.user.userID, bob.user.userID]);
    for (const u of set) assert.ok(u.name && u.handle && u.email && u.username); // labels and the search of mentions are made of these
    const crowd = Array.from({ length: 999 }, (_, i) => String(9000000000000000000n + BigInt(i)));
    assert.equal((await bob.system.userList({ userID: [...crowd, ann.user.userID] })).set.length, 1);
    // On activity of somebody unknown the page hands over one id where a list is meant: each of its digits is asked for.
    assert.deepEqual((await bob.system.userList({ userID: [...new Set(ann.user.userID)] })).set, []);
    assert.deepEqual((await bob.system.userList({ query: people.ann.username.slice(0, 4), perPage: 10 })).set.map((u) => u.userID), [ann.user.userID]);
    // People are known by the names that they are shown by, and only those of the team can be added to anything.
    await people.ann.rest.ok('PATCH', '/v1/me', { display_name: 'Ann of the Harbour' });
    await until('she is found by it', async () => (await bob.system.userList({ query: 'harbour', limit: 15 })).set[0]?.name === 'Ann of the Harbour');
    assert.deepEqual((await bob.system.userList({ query: people.dan.username, limit: 15 })).set, []);
  });
});

describe('a channel', () => {
  test('is watched before it is joined, and joined by a button', async () => {
    const { channelID } = general;
    assert.equal(bob.channels.get(channelID).isMember(bob.user.userID), false); // no input line, but a button
    await bob.messaging.channelJoin({ channelID, userID: bob.user.userID });
    for (const page of pages()) {
      await heard(page, 'channelJoin', (j) => j.channelID === channelID && j.userID === bob.user.userID);
      await heard(page, 'channel', (c) => c.channelID === channelID);
      assert.ok(page.channels.get(channelID).isMember(bob.user.userID));
      await heard(page, 'message', (m) => m.type === 'channelEvent' && m.message === `<@${bob.user.userID}> joined`);
    }
  });

  test('is read by the height of the window, upwards in steps, and around a message', async () => {
    const { channelID } = general;
    const posted = [];
    for (let i = 0; i < 12; i++) posted.push(await say(ann, channelID, `line ${i}`));
    const ids = (messages) => inOrder(messages).map((m) => m.messageID);
    const all = posted.map((m) => m.messageID);
    const search = (filter) => bob.messaging.searchMessages({ channelID, ...filter });
    const opened = await search({ fromMessageID: undefined, limit: 5 }); // what is undefined must be as good as absent
    assert.deepEqual(ids(opened), all.slice(-5));
    assert.deepEqual(ids(await search({ beforeMessageID: all[7], limit: 3 })), all.slice(4, 7)); // the nearest above, not the first
    assert.deepEqual(ids(await search({ toMessageID: all[5], limit: 3 })), all.slice(3, 6)); // going to a message: it and some before
    assert.deepEqual(ids(await search({ afterMessageID: all[5], limit: 3 })), all.slice(6, 9)); // and the nearest after it
    assert.deepEqual(ids(await search({ afterMessageID: all[9] })), all.slice(10)); // after sleep: what was missed
  });

  test('shows what is written to everybody, as each may see it', async () => {
    const { channelID } = general;
    const message = await say(bob, channelID, `look <@${ann.user.userID} Ann>`);
    const [mine, theirs] = [await heard(bob, 'message', is(message)), await heard(ann, 'message', is(message))];
    assert.deepEqual([mine.canEdit, theirs.canEdit, theirs.canReply], [true, false, true]); // buttons
    assert.deepEqual(theirs.mentions, [ann.user.userID]); // a notification, and labels for the text
    assert.equal(theirs.updatedAt, undefined); // an edited message notifies nobody
    // Who writes has read; the others have one more. A counter without numbers would make the sum of the window's icon NaN.
    await until('it is counted', () => ann.count(channelID).count === 1);
    assert.equal(bob.count(channelID).count, 0);
    assert.deepEqual([ann.badge, bob.badge], [1, 0]);
    const edited = await bob.messaging.messageEdit({ ...mine, message: 'never mind' }); // it spreads the whole message over the call
    assert.equal(edited.message, 'never mind');
    assert.ok((await heard(ann, 'message', (m) => is(message)(m) && m.updatedAt)).message === 'never mind');
    await bob.messaging.messageDelete(mine);
    await heard(ann, 'message', (m) => is(message)(m) && m.deletedAt); // only this takes it off the screen
    await until('the counter is taken back', () => ann.badge === 0);
  });

  test('runs commands, whose answer the page does not read', async () => {
    const { channelID } = general;
    await bob.messaging.messageExecuteCommand({ channelID, command: 'me', input: 'waves', params: ['waves'] });
    assert.equal((await heard(ann, 'message', (m) => m.type === 'illeism')).message, 'waves');
  });

  test('tells who is typing, to who looks at it', async () => {
    const { channelID } = general;
    await bob.messaging.activitySend({ channelID, kind: 'typing' });
    const activity = await heard(ann, 'activity', (a) => a.kind === 'typing');
    assert.deepEqual([activity.channelID, activity.userID], [channelID, bob.user.userID]);
  });

  test('carries a flag, for which it answers with the channel', async () => {
    const { channelID } = general;
    assert.equal(bob.keepChannel(await bob.messaging.channelSetFlag({ channelID, flag: 'pinned' })).isPinned(), true);
    assert.equal(bob.keepChannel(await bob.messaging.channelRemoveFlag({ channelID })).membershipFlag, '');
    assert.ok(bob.channels.get(channelID).isMember(bob.user.userID)); // it replaces what the page has
  });
});

describe('marks of a message', () => {
  test('reactions are shown when their frame comes; pins and bookmarks when the call succeeds', async () => {
    const message = await say(ann, general.channelID, 'mark me');
    const shown = await heard(bob, 'message', is(message));
    const reactions = [':+1:', ':wave::skin-tone-3:', '😀'];
    for (const reaction of reactions) {
      await bob.messaging.messageReactionCreate({ ...shown, reaction }); // colons and plus as they are
      for (const page of pages()) {
        const frame = await heard(page, 'messageReaction', (r) => is(message)(r) && r.reaction === reaction);
        assert.equal(frame.userID, bob.user.userID);
      }
    }
    const [read] = await ann.messaging.searchMessages({ channelID: general.channelID, limit: 1 });
    assert.deepEqual(read.reactions, reactions.map((reaction) => ({ userIDs: [bob.user.userID], reaction, count: 1 })));
    await bob.messaging.messageReactionRemove({ ...shown, reaction: ':+1:' });
    await heard(ann, 'messageReactionRemoved', (r) => is(message)(r) && r.reaction === ':+1:');
    await bob.messaging.messagePinCreate(shown);
    assert.equal((await heard(ann, 'messagePin', is(message))).channelID, general.channelID); // the page looks for it
    await bob.messaging.messageBookmarkCreate(shown);
    const panel = async (page, filter) => (await page.messaging.searchMessages(filter)).filter((m) => m.channelID === general.channelID).map((m) => m.messageID);
    for (const page of pages()) assert.deepEqual(await panel(page, { channelID: general.channelID, pinnedOnly: true }), [message.messageID]);
    assert.deepEqual(await panel(bob, { bookmarkedOnly: true }), [message.messageID]);
    assert.deepEqual(await panel(ann, { bookmarkedOnly: true }), []);
    await bob.messaging.messagePinRemove(shown);
    await heard(ann, 'messagePinRemoved', is(message));
    await bob.messaging.messageBookmarkRemove(shown);
    assert.deepEqual(await panel(bob, { bookmarkedOnly: true }), []);
  });

  test('the whole team is searched, and results are put below their channels', async () => {
    const found = await bob.messaging.searchMessages({ query: 'mark me' });
    assert.deepEqual(found.map((m) => bob.channels.get(m.channelID).channelID), [general.channelID]);
  });
});

describe('counters', () => {
  test('are set back by reading, and forward by marking as unread', async () => {
    const { channelID } = general;
    await ann.messaging.messageMarkAsRead({ channelID });
    const posted = [];
    for (const text of ['a', 'b', 'c']) posted.push(await say(bob, channelID, text));
    await until('three are counted', () => ann.count(channelID).count === 3);
    // What comes back is merged over what was asked: keys that it does not name stay, so it must name the counters.
    const mark = async (page, request) => page.keepUnread({ ...request, ...await page.messaging.messageMarkAsRead(request) });
    await mark(ann, { channelID });
    assert.equal(ann.badge, 0);
    await mark(ann, { channelID, lastReadMessageID: posted[0].messageID });
    assert.deepEqual([ann.count(channelID).count, ann.count(channelID).lastMessageID], [2, posted[0].messageID]); // where the line "new" is drawn
    // The page of unread messages begins with what was read last.
    const unread = await ann.messaging.searchMessages({ channelID, fromMessageID: ann.count(channelID).lastMessageID });
    assert.deepEqual(inOrder(unread).map((m) => m.message), ['a', 'b', 'c']);
    const again = (await ann.messaging.channelList()).find((c) => c.channelID === channelID); // after sleep the counters come with the list
    assert.equal(again.unread.count, 2);
    await mark(ann, { channelID });
    assert.equal((await ann.messaging.channelRead({ channelID })).unread, undefined);
  });
});

describe('a thread', () => {
  test('is opened beside its channel, answered, counted and read', async () => {
    const { channelID } = general;
    const root = await say(ann, channelID, 'a question');
    await bob.messaging.activitySend({ channelID, messageID: root.messageID, kind: 'replying' });
    const reply = await bob.messaging.messageReplyCreate({ channelID, messageID: root.messageID, message: 'an answer' });
    const told = await heard(ann, 'message', is(reply));
    assert.deepEqual([told.replyTo, told.canReply], [root.messageID, false]); // by replyTo it is kept out of the channel
    const counted = await heard(ann, 'message', (m) => is(root)(m) && m.replies === 1); // the footnote below the first message
    assert.deepEqual(counted.repliesFrom, [bob.user.userID]); // with their faces
    await until('the thread is counted', () => ann.count(channelID, root.messageID).count === 1 && ann.count(channelID).threadCount === 1);
    // The panel asks either so, or for all threads of the channel, and keeps those whose replyTo fits.
    for (const messages of [await ann.messaging.searchMessages({ channelID, threadID: root.messageID }), await ann.messaging.searchThreads({ channelID })]) {
      assert.deepEqual(messages.filter((m) => m.replyTo === root.messageID).map((m) => m.messageID), [reply.messageID]);
    }
    const mine = await ann.messaging.searchThreads({ limit: 100 }); // "My threads": first messages with replies, and these
    assert.deepEqual(inOrder(mine).map((m) => [m.messageID, m.replies ?? 0]), [[root.messageID, 1], [reply.messageID, 0]]);
    const request = { channelID, threadID: root.messageID };
    const marked = await ann.messaging.messageMarkAsRead(request);
    assert.deepEqual(marked, { lastMessageID: reply.messageID, count: 0, threadCount: 0 }); // it becomes the thread's row, and rows are added up
    ann.keepUnread({ ...request, ...marked });
    await until('the channel knows it', () => ann.count(channelID).threadCount === 0);
    assert.equal(ann.badge, 0);
  });
});

describe('files', () => {
  test('are uploaded by the drop area, and shown by URLs behind the base', async () => {
    const { channelID } = general;
    const boat = png(40, 20);
    const { response: made } = await bob.upload(channelID, 'a boat.png', boat, 'image/png', undefined);
    for (const page of pages()) {
      const { att, type, message } = await heard(page, 'message', (m) => m.att?.attachmentID === made.attachmentID);
      assert.deepEqual([type, message], ['inlineImage', 'a boat.png']);
      // The size of the picture is reserved before it is there.
      assert.deepEqual([att.meta.original.image.width, att.meta.preview.image.width], [40, 40]);
      for (const url of [att.url, att.previewUrl]) {
        assert.match(url, /^\/.*\?/); // a base goes before it, "&download=1" behind it
        const picture = await page.file(url);
        assert.match(picture.headers.get('content-type'), /^image\//);
      }
      const download = await page.file(`${att.url}&download=1`);
      assert.match(download.headers.get('content-disposition'), /^attachment/);
      assert.deepEqual(Buffer.from(await download.arrayBuffer()), boat);
    }
  });

  test('belong to a thread when they are dropped there', async () => {
    const { channelID } = general;
    const root = await say(ann, channelID, 'the log, please');
    await bob.upload(channelID, 'log.txt', 'all is well', 'text/plain', root.messageID);
    const told = await heard(ann, 'message', (m) => m.replyTo === root.messageID);
    assert.deepEqual([told.type, told.att.name, told.att.meta.original.ext], ['attachment', 'log.txt', 'txt']);
  });
});

describe('making and changing channels', () => {
  /* The form sends a whole Channel; the client picks what the call knows. */
  const form = (fields) => Object.assign(new Channel(), fields);

  test('a channel is made, and comes to the others by itself', async () => {
    const made = await bob.messaging.channelCreate(form({ name: 'pier', topic: 'boats', members: [idOf(people.cat.id)] }));
    assert.ok(made.members.includes(bob.user.userID)); // the page puts this answer into its list as it is, where members have to be
    const told = await heard(ann, 'channel', (c) => c.channelID === made.channelID);
    assert.deepEqual([told.name, told.canObserve], ['pier', true]);
    const loaded = bob.keepChannel(await bob.messaging.channelRead({ channelID: made.channelID }));
    await bob.messaging.channelPart({ channelID: loaded.channelID, userID: idOf(people.cat.id) }); // members first, one by one
    await heard(ann, 'channelPart', (p) => p.channelID === loaded.channelID && p.userID === idOf(people.cat.id));
    loaded.topic = 'ships';
    const changed = await bob.messaging.channelUpdate(loaded);
    assert.deepEqual([changed.name, changed.topic, changed.type, changed.members], ['pier', 'ships', 'public', [bob.user.userID]]);
    assert.equal((await heard(ann, 'message', (m) => m.type === 'channelEvent' && /topic: ships/.test(m.message))).userID, '0');
  });

  test('whoever changes a featured channel sends that too, and is not taken to have set it', async () => {
    const { channelID } = [...bob.channels.values()].find((c) => c.name === 'pier');
    await ann.messaging.channelUpdate(Object.assign(ann.keepChannel(await ann.messaging.channelRead({ channelID })), { membershipPolicy: 'featured' }));
    const loaded = bob.keepChannel(await bob.messaging.channelRead({ channelID }));
    assert.ok(loaded.isFeatured());
    assert.equal((await bob.messaging.channelUpdate(Object.assign(loaded, { topic: 'tugs' }))).topic, 'tugs');
  });

  test('a private one shows itself when one is added, and goes when one is put out', async () => {
    const { channelID } = await ann.messaging.channelCreate(form({ name: 'office', type: 'private' }));
    await ann.messaging.channelJoin({ channelID, userID: bob.user.userID }); // from the panel of members
    await heard(bob, 'channel', (c) => c.channelID === channelID);
    assert.ok(bob.channels.get(channelID).isMember(bob.user.userID)); // otherwise there is no input line
    await say(ann, channelID, 'welcome');
    await heard(bob, 'message', (m) => m.channelID === channelID && m.message === 'welcome');
    await ann.messaging.channelPart({ channelID, userID: bob.user.userID });
    await heard(bob, 'channelPart', (p) => p.channelID === channelID && p.userID === bob.user.userID); // only this takes it off his list
  });

  test('archived or deleted, it is told to all, and can be brought back by who did it', async () => {
    const { channelID } = [...bob.channels.values()].find((c) => c.name === 'pier');
    const states = { archive: (c) => c.archivedAt, unarchive: (c) => !c.archivedAt, delete: (c) => c.deletedAt, undelete: (c) => !c.deletedAt };
    for (const [state, fits] of Object.entries(states)) {
      ann.frames.length = 0;
      const shown = bob.keepChannel(await bob.messaging.channelState({ channelID, state }));
      assert.equal(shown.isValid(), state.startsWith('un'));
      assert.ok(shown.canArchive || shown.deletedAt, state); // without it there is no button "unarchive"
      assert.ok(shown.canDelete, state); // nor "undelete"
      const told = await heard(ann, 'channel', (c) => c.channelID === channelID && fits(c));
      assert.equal(told.canJoin || told.canObserve, state !== 'delete'); // the page lists what it can join or observe
    }
  });

  test('in a crowd that is not listed whole everybody finds himself', async () => {
    const { channelID } = await bob.messaging.channelCreate(form({ name: 'market' }));
    cluster.pg.psql(`INSERT INTO moderation.channel_members (channel_id, user_id, rank, stream_id, team_id, role, joined_at_ms)
      SELECT channel_id, n, rank, stream_id, team_id, role, joined_at_ms FROM moderation.channel_members, generate_series(1, 600) n
      WHERE channel_id = ${channelID} AND user_id = ${bob.user.userID}`);
    // Who does not find himself among the members is shown a button instead of the input line.
    const read = bob.keepChannel(await bob.messaging.channelRead({ channelID }));
    assert.deepEqual([read.members.length, read.isMember(bob.user.userID)], [500, true]);
    for (const page of pages()) page.frames.length = 0;
    await bob.messaging.channelUpdate(Object.assign(read, { topic: 'fish' }));
    const [bobs, anns] = await Promise.all(pages().reverse().map((page) => heard(page, 'channel', (c) => c.channelID === channelID)));
    assert.deepEqual([bobs.members.includes(bob.user.userID), anns.members.includes(bob.user.userID)], [true, false]);
    await ann.messaging.channelJoin({ channelID, userID: ann.user.userID });
    await heard(ann, 'channel', (c) => c.channelID === channelID && c.members.includes(ann.user.userID));
    await heard(bob, 'channelJoin', (j) => j.channelID === channelID && j.userID === ann.user.userID);
    bob.socket.send(JSON.stringify({ channels: {} })); // what the page never asks
    const [listed] = await heard(bob, 'channels').then((list) => list.filter((c) => c.channelID === channelID));
    assert.ok(listed.members.includes(bob.user.userID));
  });

  test('a click on somebody opens the conversation with him, old or new', async () => {
    const opened = await bob.messaging.channelCreate({ type: 'group', members: [ann.user.userID] });
    const channel = ann.keepChannel(await heard(ann, 'channel', (c) => c.channelID === opened.channelID));
    assert.ok(channel.isDirectMessage()); // "group", no name, two members: it is shown by the other's name
    assert.equal((await ann.messaging.channelCreate({ type: 'group', members: [bob.user.userID] })).channelID, opened.channelID);
    await say(bob, opened.channelID, 'psst');
    await heard(ann, 'message', (m) => m.channelID === opened.channelID && m.message === 'psst');
  });
});

describe('the panel of permissions', () => {
  test('begins with the roles, and saves what was changed for one', async () => {
    const { set } = await ann.system.roleList();
    const byNumber = [...set].sort((a, b) => a.roleID.localeCompare(b.roleID));
    assert.deepEqual(byNumber.slice(0, 2).map((r) => [r.roleID, r.handle]), [['1', 'everyone'], ['2', 'admins']]);
    assert.ok(byNumber.every((r) => r.name));
    const resource = `messaging:channel:${general.channelID}`;
    // Of what is known it shows what begins like its channel, and puts the channel in.
    const known = (await ann.messaging.permissionsList()).filter((p) => p.resource === 'messaging:channel:');
    assert.ok(known.some((p) => p.operation === 'message.attach'));
    const access = async () => (await ann.messaging.permissionsRead({ roleID: '1' }))
      .find((r) => r.resource === resource && r.operation === 'message.attach')?.access ?? 'inherit';
    assert.equal(await access(), 'inherit');
    bob.frames.length = 0;
    await ann.messaging.permissionsUpdate({ roleID: '1', rules: [{ resource, operation: 'message.attach', access: 'deny' }] });
    assert.equal(await access(), 'deny');
    await heard(bob, 'channel', (c) => c.channelID === general.channelID); // what he may has changed
    assert.match((await bob.upload(general.channelID, 'x.txt', 'x', 'text/plain', undefined)).error.message, /NoPermissions/);
    await ann.messaging.permissionsUpdate({ roleID: '1', rules: [{ resource, operation: 'message.attach', access: 'inherit' }] });
    assert.equal(await access(), 'inherit');
    assert.match(await refusal(bob.messaging.permissionsRead({ roleID: '1' })), /NoGrantPermissions/);
  });
});

describe('staying', () => {
  test('the token is looked at every fifteen minutes, and later pages read their settings beside it', async () => {
    const before_ = bob.token;
    await bob.check();
    assert.equal(bob.token, before_);
    assert.deepEqual(await bob.system.settingsCurrent(), bob.settings);
  });

  test('who signs out is offline to the others, and his token is worth nothing', async () => {
    const { token } = bob;
    bob.close();
    assert.equal(await bob.system.authLogout(), undefined);
    await heard(ann, 'activity', (a) => a.kind === 'disconnected' && a.userID === bob.user.userID);
    assert.equal(ann.online.get(bob.user.userID), false);
    bob.storage.set('auth.jwt', token);
    assert.equal(await refusal(bob.check()), 'not authenticated'); // which sends the page to /auth
    assert.equal(await refusal(bob.messaging.channelList()), 'Unauthorized');
    assert.equal(await refusal(bob.system.authLogout()), 'not authenticated');
    // Another's session lives on.
    await ann.check();
  });

  test('a lost socket is opened again by itself, and what was missed is in the lists', async () => {
    await cluster.copies.gateway[0].stop();
    const missed = await say(ann, general.channelID, 'while you were away');
    cluster.copies.gateway[0].spawn();
    await until('it is open again', () => ann.socket.readyState === 1, 60000);
    const { messageID } = await say(ann, general.channelID, 'back again');
    await heard(ann, 'message', (m) => m.messageID === messageID);
    assert.equal(ann.heard('message', is(missed)).length, 0);
    const lately = await ann.messaging.searchMessages({ channelID: general.channelID, afterMessageID: (BigInt(missed.messageID) - 1n).toString() });
    assert.deepEqual(inOrder(lately).map((m) => m.message), ['while you were away', 'back again']);
  });
});
