// What a client saw, held against the log. The truth is read with psql: nothing that Guildhall says of itself.
import assert from 'node:assert/strict';
import { until } from './wait.mjs';

const uuidOf = (id) => {
  const n = BigInt(id);
  const high = ((n >> 16n) << 16n) | 0x8000n | ((n >> 4n) & 0xfffn);
  const low = 0x8000000000000000n | ((n & 0xfn) << 58n);
  const hex = high.toString(16).padStart(16, '0') + low.toString(16).padStart(16, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
};
/** The 64 bits behind one of our UUIDs, as PostgreSQL's signed decimal. */
export const numberOf = (uuid) => {
  const hex = uuid.replaceAll('-', '');
  const high = BigInt(`0x${hex.slice(0, 16)}`);
  const low = BigInt(`0x${hex.slice(16)}`);
  return BigInt.asIntN(64, ((high >> 16n) << 16n) | ((high & 0xfffn) << 4n) | ((low >> 58n) & 0xfn)).toString();
};
export const teamStream = (uuid) => `1-${BigInt(numberOf(uuid)).toString(16).padStart(16, '0')}`;
export const userStream = (uuid) => `2-${BigInt(numberOf(uuid)).toString(16).padStart(16, '0')}`;

/** Every message of people (not the lines of the system) of a server in the order of its stream: {id, channel, seq, nonce, author, content, stream}. */
export function messagesOf(pg, where = 'true') {
  return pg.rows(`SELECT m.id, m.channel_id, m.seq, coalesce(m.nonce, ''), m.author_id, c.rank || '-' || lpad(to_hex(c.stream_id), 16, '0')
    FROM messaging.messages m JOIN messaging.channels c ON c.id = m.channel_id WHERE m.deleted_at_ms IS NULL AND m.kind <> 3 AND ${where}
    ORDER BY c.rank, c.stream_id, m.seq`).map(([id, channel, seq, nonce, author, stream]) => ({ id: uuidOf(id), channel: uuidOf(channel), seq: Number(seq), nonce, author: uuidOf(author), stream }));
}

/** Every stream's numbers are 1 to its head without a gap, and the head is what log.streams says. */
export function assertLogWhole(pg) {
  const broken = pg.rows(`SELECT s.rank, s.id, s.seq, count(e.seq), coalesce(min(e.seq), 1), coalesce(max(e.seq), 0) FROM log.streams s
    LEFT JOIN log.events e ON e.rank = s.rank AND e.id = s.id GROUP BY s.rank, s.id, s.seq
    HAVING count(e.seq) <> s.seq OR coalesce(max(e.seq), 0) <> s.seq OR count(DISTINCT e.seq) <> count(e.seq)`);
  assert.deepEqual(broken, [], 'streams (rank, id, head, events, least, greatest) whose numbers have gaps or doubles');
  const disordered = pg.rows(`SELECT rank, id, seq FROM (SELECT rank, id, seq, created_at < lag(created_at) OVER (PARTITION BY rank, id ORDER BY seq) AS earlier
    FROM log.events) e WHERE earlier LIMIT 5`);
  assert.deepEqual(disordered, [], 'events whose time goes back within their stream');
  const silent = pg.rows(`SELECT m.id FROM messaging.messages m JOIN messaging.channels c ON c.id = m.channel_id
    LEFT JOIN log.events e ON e.rank = c.rank AND e.id = c.stream_id AND e.seq = m.seq WHERE e.seq IS NULL LIMIT 5`);
  assert.deepEqual(silent, [], 'messages without their event');
}

/** Acknowledged messages that a server does not have, or has more than once. acked: {id, ...}. */
export function missingOf(pg, acked) {
  const there = new Map();
  for (const m of messagesOf(pg)) there.set(m.id, (there.get(m.id) ?? 0) + 1);
  return acked.filter((ack) => there.get(ack.id) !== 1);
}
export function assertNonceOnce(pg) {
  assert.deepEqual(pg.rows('SELECT channel_id, author_id, nonce, count(*) FROM messaging.messages WHERE nonce IS NOT NULL GROUP BY 1, 2, 3 HAVING count(*) > 1 LIMIT 5'), [], 'messages that were written twice');
}

/**
 * Within what one socket was told belongs together, numbers grow; a number that comes again, whatever it stands for, has the
 * plain word (recovered:false of its stream) before it. Every stream that was asked about in `since` got an answer.
 */
export function assertPlain(watcher) {
  const last = new Map();
  for (const entry of watcher.story) {
    if (entry.event) {
      const { stream, seq } = entry.event;
      const before = last.get(stream);
      assert.ok(before === undefined || seq > before, `${watcher.name}: ${stream} went from ${before} to ${seq} without a word`);
      last.set(stream, seq);
    } else if (entry.answer) {
      const { streams, generation } = entry.answer;
      for (const [stream, since] of Object.entries(entry.since?.streams ?? {})) {
        const said = streams[stream];
        if (said === undefined) { // the topic is not his any more: its refusal is the answer
          last.delete(stream);
          continue;
        }
        assert.equal(typeof said.recovered, 'boolean', `${watcher.name}: recovered of ${stream}`);
        if (generation !== entry.since.generation) assert.equal(said.recovered, false, `${watcher.name}: ${stream} of another generation was called recovered`);
        if (said.recovered) assert.ok(said.seq >= since || said.seq === since, `${watcher.name}: ${stream} recovered to ${said.seq}, before ${since}`);
        else last.delete(stream);
      }
    }
  }
  assert.deepEqual(watcher.errors.filter((e) => ['not_growing', 'position_of_another_generation'].includes(e.code)), [], watcher.name);
}

/**
 * From the last plain word on (or from the beginning) the watcher saw exactly what the log has of these channels, in its order.
 * entitled: channel ids whose messages are his.
 */
export async function assertSawAll(watcher, pg, entitled, { ms = 60000 } = {}) {
  const from = new Map(); // stream -> the number behind which everything has to be there
  let begin = 0;
  watcher.story.forEach((entry, i) => {
    for (const [stream, said] of Object.entries(entry.answer?.streams ?? {})) {
      if (said.recovered && from.has(stream)) continue;
      if (said.seq === undefined) { // not open any more
        from.delete(stream);
        continue;
      }
      from.set(stream, said.seq);
      begin = i;
    }
  });
  assert.ok(from.size > 0, `${watcher.name} never subscribed`);
  const wanted = messagesOf(pg).filter((m) => entitled.has(m.channel) && from.has(m.stream) && m.seq > from.get(m.stream));
  const seen = () => watcher.story.slice(begin).filter((e) => e.event && ['channel_message', 'message_reply'].includes(e.event.type)
    && e.event.seq > from.get(e.event.stream)).map((e) => e.event.data.message_id);
  const byStream = (ids) => {
    const stream = new Map(wanted.map((m) => [m.id, m.stream]));
    const out = {};
    for (const id of ids) (out[stream.get(id) ?? 'not in the log'] ??= []).push(id);
    return out;
  };
  await until(`${watcher.name} saw ${wanted.length} messages (saw ${seen().length})`, () => seen().length >= wanted.length, ms).catch((error) => {
    const got = new Set(seen());
    throw new Error(`${error.message}; missing ${JSON.stringify(wanted.filter((m) => !got.has(m.id)).slice(0, 5))}, errors ${JSON.stringify(watcher.errors.slice(0, 5))}`);
  });
  assert.deepEqual(byStream(seen()), byStream(wanted.map((m) => m.id)), `${watcher.name} saw exactly the log's messages in its order`);
  return wanted.length;
}
