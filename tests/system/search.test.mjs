// Search over real processes: what the index follows, who may find what, and what a crash of the indexer leaves behind.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { Rest, newPerson } from './lib/client.mjs';
import { until } from './lib/wait.mjs';

const cluster = new Cluster({ copies: { messaging: 2 }, supervise: true });
let rest, owner, member, outsider, team, channel;

before(async () => {
  await cluster.start();
  rest = new Rest([cluster.api]);
  [owner, member, outsider] = [await newPerson(rest, 'owner'), await newPerson(rest, 'member'), await newPerson(rest, 'outsider')];
  team = await owner.rest.ok('POST', '/v1/teams', { name: 'search', joining: 'open' });
  await member.rest.ok('PUT', `/v1/teams/${team.id}/members/${member.id}`, {});
  channel = await owner.rest.ok('POST', '/v1/channels', { name: 'general', team_id: team.id });
}, { timeout: 120000 });
after(() => cluster.destroy(), { timeout: 60000 });

const query = (filters) => `/v1/search/messages?${new URLSearchParams(filters)}`;
const search = (person, filters) => person.rest.ok('GET', query(filters));
const contents = (answer) => answer.items.map((i) => i.message.content);
const post = (person, where, content, more = {}) => person.rest.ok('POST', `/v1/channels/${where.id}/messages`, { content, ...more });
/** The index follows behind the commit: asks until the answer is right. */
const found = (person, filters, wanted) => until(`${JSON.stringify(filters)} finds ${JSON.stringify(wanted)}`, async () => {
  const answer = await search(person, filters);
  return JSON.stringify(contents(answer)) === JSON.stringify(wanted) && answer;
}, 30000);

describe('what is found', () => {
  test('a post is found soon, with its words marked and the rest escaped', async () => {
    await post(owner, channel, 'The <b>Crème brûlée</b> is ready & waiting');
    const answer = await found(member, { query: 'creme BRULEE' }, ['The <b>Crème brûlée</b> is ready & waiting']);
    assert.deepEqual(Object.keys(answer).sort(), ['complete', 'items', 'next', 'total', 'total_exact']);
    assert.deepEqual([answer.total, answer.total_exact, answer.complete, answer.next], [1, true, true, null]);
    assert.deepEqual(Object.keys(answer.items[0]).sort(), ['message', 'rank', 'snippet']);
    assert.equal(answer.items[0].snippet, 'The &lt;b&gt;<mark>Crème</mark> <mark>brûlée</mark>&lt;/b&gt; is ready &amp; waiting');
    assert.ok(answer.items[0].rank > 0);
    assert.equal(answer.items[0].message.channel_id, channel.id);
    assert.equal(answer.items[0].message.author.id, owner.id);
  });

  test('a mention in a snippet is spelled as in the content, and marks stay around the words', async () => {
    const text = `gherkin for <@${member.id}> in <#${channel.id}>, not <@5> or \`<@${member.id}>\``;
    await post(owner, channel, text);
    const answer = await found(member, { query: 'gherkin' }, [text]);
    const escaped = text.replaceAll('<', '&lt;').replaceAll('>', '&gt;');
    assert.equal(answer.items[0].snippet, escaped.replace('gherkin', '<mark>gherkin</mark>'));
  });

  test('an edit changes what finds a message, a deletion makes it disappear', async () => {
    const message = await post(owner, channel, 'walrus on the beach');
    await found(member, { query: 'walrus' }, ['walrus on the beach']);
    await owner.rest.ok('PATCH', `/v1/channels/${channel.id}/messages/${message.id}`, { content: 'penguin on the beach' });
    await found(member, { query: 'penguin' }, ['penguin on the beach']);
    await found(member, { query: 'walrus' }, []);
    assert.equal((await owner.rest.call('DELETE', `/v1/channels/${channel.id}/messages/${message.id}`)).status, 204);
    assert.deepEqual(contents(await search(member, { query: 'penguin' })), []);
    await until('the total forgets it too', async () => (await search(member, { query: 'penguin' })).total === 0);
  });

  test('phrases, absence, authors, channels, edges and pages', async () => {
    const other = await owner.rest.ok('POST', '/v1/channels', { name: 'other', team_id: team.id });
    const texts = Array.from({ length: 9 }, (_, i) => `mango number ${i}${i % 2 ? ' odd one' : ''}`);
    const messages = [];
    for (const [i, text] of texts.entries()) messages.push(await post(i < 6 ? owner : member, i % 3 ? channel : other, text));
    const newest = [...texts].reverse();
    await found(member, { query: 'mango', sort: 'new' }, newest);
    await found(member, { query: '"odd one"', sort: 'new' }, newest.filter((t) => t.includes('odd')));
    await found(member, { query: 'mango -odd', sort: 'new' }, newest.filter((t) => !t.includes('odd')));
    await found(member, { query: 'mango', author: member.id, sort: 'new' }, newest.slice(0, 3));
    await found(member, { query: 'mango', channel: other.id, sort: 'new' }, [texts[6], texts[3], texts[0]]);
    await found(member, { query: 'mango', kind: 'text', channel: other.id, sort: 'new' }, [texts[6], texts[3], texts[0]]);
    await found(member, { query: 'mango', kind: 'me,system' }, []);
    await found(member, { query: 'mango', team: team.id, after: messages[6].id, sort: 'new' }, newest.slice(0, 2));
    await found(member, { query: 'mango', before: messages[2].created_at, after: messages[0].id, sort: 'new' }, [texts[1]]);
    for (const sort of ['new', 'rank']) {
      const seen = [];
      for (let url = query({ query: 'mango', sort, limit: 4 }); url;) {
        const page = await member.rest.ok('GET', url);
        assert.equal(page.total, 9);
        seen.push(...contents(page));
        url = page.next;
      }
      assert.equal(seen.length, 9, sort);
      assert.deepEqual([...new Set(seen)].sort(), [...texts].sort());
    }
  });

  test('replies, pins and bookmarks narrow a search', async () => {
    const a = await post(owner, channel, 'quince jam'), b = await post(owner, channel, 'quince jelly'), c = await post(owner, channel, 'quince tart');
    const at = (m) => `/v1/channels/${channel.id}/messages/${m.id}`;
    await owner.rest.ok('POST', `${at(a)}/replies`, { content: 'sounds good' });
    await found(member, { query: 'quince', sort: 'new' }, ['quince tart', 'quince jelly', 'quince jam']);
    await found(member, { query: 'quince', has_replies: 1 }, ['quince jam']);
    await owner.rest.ok('PUT', `${at(b)}/pin`);
    await found(member, { query: 'quince', pinned: 1 }, ['quince jelly']);
    await member.rest.ok('PUT', `${at(c)}/bookmark`);
    const mine = await found(member, { bookmarked: 1 }, ['quince tart']);
    assert.equal(mine.items[0].message.bookmarked, true);
    await found(owner, { bookmarked: 1 }, []);
  });
});

describe('who finds what', () => {
  test('nothing of a private channel shows to others: items, totals, ranks', async () => {
    const secret = await owner.rest.ok('POST', '/v1/channels', { name: 'secret', team_id: team.id, private: true });
    await post(owner, channel, 'the papaya is public');
    const before = await found(member, { query: 'papaya' }, ['the papaya is public']);
    for (let i = 0; i < 5; i++) await post(owner, secret, `papaya papaya hidden ${i}`);
    await until('the owner finds all', async () => (await search(owner, { query: 'papaya' })).total === 6);
    assert.deepEqual(await search(member, { query: 'papaya' }), before);
    assert.deepEqual(contents(await search(member, { query: 'hidden' })), []);
    assert.equal((await member.rest.call('GET', query({ channel: secret.id }))).status, 404);
    assert.equal((await search(outsider, { query: 'papaya' })).total, 0);
    assert.equal((await search(outsider, { team: team.id })).total, 0);
    await owner.rest.ok('PUT', `/v1/channels/${secret.id}/members/${member.id}`, {});
    assert.equal((await search(member, { query: 'papaya' })).total, 6);
  });

  test('who is banned finds nothing any more, at once', async () => {
    const banned = await newPerson(rest, 'banned');
    await banned.rest.ok('PUT', `/v1/teams/${team.id}/members/${banned.id}`, {});
    assert.ok((await search(banned, { query: 'mango' })).total > 0);
    await owner.rest.ok('PUT', `/v1/channels/${channel.id}/bans/${banned.id}`, { motive: 'test' });
    assert.ok((await search(banned, { query: 'mango' })).items.every((i) => i.message.channel_id !== channel.id));
    await owner.rest.ok('PUT', `/v1/teams/${team.id}/bans/${banned.id}`, { motive: 'test' });
    assert.equal((await search(banned, { query: 'mango' })).total, 0);
  });

  test('an override that denies viewing or reading the history takes a channel out of the search, and gives it back', async () => {
    const narrow = await owner.rest.ok('POST', '/v1/channels', { name: 'narrow', team_id: team.id });
    await post(owner, narrow, 'lychee in the narrow channel');
    await post(owner, channel, 'lychee in general');
    const override = `/v1/channels/${narrow.id}/overrides/${member.id}`;
    for (const [permission, status] of [['view_text', 404], ['read_history', 403]]) {
      await found(member, { query: 'lychee', sort: 'new' }, ['lychee in general', 'lychee in the narrow channel']);
      await owner.rest.ok('PUT', override, { allow: [], deny: [permission] });
      const answer = await search(member, { query: 'lychee' });
      assert.deepEqual([contents(answer), answer.total], [['lychee in general'], 1], permission);
      assert.equal((await search(member, { query: 'narrow' })).total, 0);
      assert.equal((await member.rest.call('GET', query({ channel: narrow.id }))).status, status);
      assert.equal((await search(owner, { query: 'lychee' })).total, 2);
      await owner.rest.ok('DELETE', override);
    }
  });

  test('conversations are searched by those who are in them and by nobody else', async () => {
    const direct = await owner.rest.ok('POST', '/v1/direct', { user_ids: [member.id] });
    await post(member, direct, 'rambutan between us');
    await post(owner, channel, 'rambutan for all');
    for (const person of [owner, member]) {
      await found(person, { query: 'rambutan', sort: 'new' }, ['rambutan for all', 'rambutan between us']);
      await found(person, { query: 'rambutan', team: team.id }, ['rambutan for all']);
      await found(person, { query: 'rambutan', channel: direct.id }, ['rambutan between us']);
    }
    const third = await newPerson(rest, 'third');
    await third.rest.ok('PUT', `/v1/teams/${team.id}/members/${third.id}`, {});
    const answer = await search(third, { query: 'rambutan' });
    assert.deepEqual([contents(answer), answer.total], [['rambutan for all'], 1]);
    assert.equal((await search(outsider, { query: 'rambutan' })).total, 0);
    assert.equal((await third.rest.call('GET', query({ channel: direct.id }))).status, 404);
    assert.equal((await third.rest.call('GET', query({ channel: `${channel.id},${direct.id}` }))).status, 404);
  });

  test('an archived channel is found in, a deleted one is not until it is brought back', async () => {
    const place = await owner.rest.ok('POST', '/v1/channels', { name: 'place', team_id: team.id });
    await post(owner, place, 'durian smells');
    await found(member, { query: 'durian' }, ['durian smells']);
    await owner.rest.ok('POST', `/v1/channels/${place.id}/archive`);
    await found(member, { query: 'durian' }, ['durian smells']);
    await owner.rest.call('DELETE', `/v1/channels/${place.id}`);
    assert.equal((await search(member, { query: 'durian' })).total, 0);
    assert.equal((await owner.rest.call('GET', query({ channel: place.id }))).status, 404);
    await owner.rest.ok('POST', `/v1/channels/${place.id}/restore`);
    await found(member, { query: 'durian' }, ['durian smells']);
  });

  test('who left the team, and whose token is gone, finds nothing there', async () => {
    const leaver = await newPerson(rest, 'leaver');
    await leaver.rest.ok('PUT', `/v1/teams/${team.id}/members/${leaver.id}`, {});
    assert.ok((await search(leaver, { query: 'mango' })).total > 0);
    await leaver.rest.call('DELETE', `/v1/teams/${team.id}/members/${leaver.id}`);
    assert.equal((await search(leaver, { query: 'mango' })).total, 0);
    await leaver.rest.call('DELETE', '/v1/sessions/current');
    assert.equal((await leaver.rest.call('GET', query({ query: 'mango' }))).status, 401);
  });
});

test('what is asked wrongly is refused by name', async () => {
  for (const [filters, field] of [
    [{ query: 'x'.repeat(257) }, 'query'], [{ channel: 'nonsense' }, 'channel'], [{ author: `${owner.id},x` }, 'author'],
    [{ channel: ',' }, 'channel'], [{ team: '7' }, 'team'], [{ kind: 'song' }, 'kind'], [{ pinned: 'maybe' }, 'pinned'],
    [{ after: 'yesterday' }, 'after'], [{ before: '1969-01-01T00:00:00Z' }, 'before'], [{ sort: 'best' }, 'sort'],
    [{ limit: 0 }, 'limit'], [{ limit: 101 }, 'limit'], [{ cursor: 'zz' }, 'cursor'], [{ cursor: '0.0.0.0' }, 'cursor'],
    [{ cursor: 'ffffffffffffffff.1.1.0' }, 'cursor'],
  ]) {
    const answer = await member.rest.call('GET', query(filters));
    assert.deepEqual([answer.status, answer.json.field], [422, field], JSON.stringify(filters));
  }
  assert.equal((await rest.call('GET', query({ query: 'x' }))).status, 401);
  for (const odd of ["'", '"', '\\', "') | ('", '!!', '& |', ':*', '%', '\u0001', '😀', '-', 'or or or', '"unclosed', '((((', 'a\u0301'])
    assert.equal((await member.rest.call('GET', query({ query: odd }))).status, 200, JSON.stringify(odd));
});

test('messaging killed again and again while it indexes: afterwards nothing is missing and nothing is doubled', async () => {
  const busy = await owner.rest.ok('POST', '/v1/channels', { name: 'busy', team_id: team.id });
  const posted = [];
  let posting = true;
  const poster = (async () => {
    for (let i = 0; posting; i++) {
      const answer = await owner.rest.sure('POST', `/v1/channels/${busy.id}/messages`, { content: `kumquat ${i}`, nonce: `k${i}` });
      assert.equal(answer.status, 201);
      posted.push(answer.json);
      if (i % 5 === 4) {
        const gone = posted.splice(Math.floor(posted.length / 2), 1)[0];
        const deleted = await owner.rest.sure('DELETE', `/v1/channels/${busy.id}/messages/${gone.id}`, undefined);
        assert.ok([204, 404].includes(deleted.status));
      }
    }
  })();
  for (let round = 0; round < 4; round++) {
    const before = posted.length;
    await until('some more are posted', () => posted.length > before + 20, 60000);
    cluster.copies.messaging[round % 2].kill9();
  }
  posting = false;
  await poster;
  await Promise.all(cluster.copies.messaging.map((copy) => copy.ready()));
  await until('the total is right', async () => (await search(owner, { query: 'kumquat', channel: busy.id })).total === posted.length, 60000);
  const seen = [];
  for (let url = query({ query: 'kumquat', channel: busy.id, sort: 'new', limit: 100 }); url;) {
    const page = await owner.rest.ok('GET', url);
    seen.push(...page.items.map((i) => i.message.id));
    url = page.next;
  }
  assert.deepEqual(seen.sort(), posted.map((m) => m.id).sort());
});

test('an index that is made anew, under posts and with its maker killed, is complete and exact', async () => {
  /* So many that it takes a while: as old as the team, without events in the log. */
  const old = 12000;
  const pile = await owner.rest.ok('POST', '/v1/channels', { name: 'pile', team_id: team.id });
  const first = await post(owner, pile, 'medlar first');
  cluster.pg.psql(`INSERT INTO messaging.messages (id, channel_id, seq, author_id, content, created_at_ms)
    SELECT m.id - ${old} - 1 + g, m.channel_id, m.seq * 100000 + g, m.author_id, 'medlar old ' || g, m.created_at_ms
    FROM messaging.messages m, generate_series(1, ${old}) g WHERE m.content = 'medlar first'`);
  const state = () => {
    try {
      return JSON.parse(cluster.ctl('search', 'status', '--json'));
    } catch (error) {
      return JSON.parse(error.stdout); /* exit code 1: being made */
    }
  };
  assert.match(cluster.ctl('search', 'status'), /^the search index is complete/);
  cluster.ctl('search', 'rebuild');
  let posted = 0, posting = true;
  const poster = (async () => {
    for (; posting; posted++) {
      const answer = await member.rest.sure('POST', `/v1/channels/${pile.id}/messages`, { content: 'medlar new', nonce: `m${posted}` });
      assert.equal(answer.status, 201, answer.text);
    }
  })();
  await until('some of it is made', () => ((now) => now.made_with !== '' && now.messages > 0)(state()), 60000, 20);
  for (const copy of cluster.copies.messaging) copy.kill9();
  await Promise.all(cluster.copies.messaging.map((copy) => copy.ready()));
  await until('it is complete again', () => state().complete, 120000, 250);
  posting = false;
  await poster;
  const living = () => Number(cluster.pg.rows('SELECT count(*) FROM messaging.messages WHERE deleted_at_ms IS NULL')[0]);
  await until('it holds every message once', () => state().messages === living(), 60000, 250);
  assert.equal(Number(cluster.pg.rows('SELECT count(*) FROM messaging.search')[0]), living());
  const answer = await search(owner, { query: 'medlar new', channel: pile.id });
  assert.deepEqual([answer.total, answer.complete], [posted, true]);
  assert.equal((await search(owner, { query: '"medlar old 1"', channel: pile.id })).total, 1);
  assert.equal((await search(owner, { query: 'medlar', channel: pile.id, after: first.id })).total, posted);
  const metrics = await Promise.all(cluster.copies.messaging.map((copy) => copy.metrics()));
  assert.ok(metrics.some((m) => m['guildhall_follower_events_total{follower="search"}'] > 0));
  assert.ok(metrics.every((m) => m['guildhall_follower_skipped_total{follower="search"}'] === 0));
});
