// The peer of B1: a broadcast server on `ws`, as one would write it in an afternoon. It speaks as much of the house dialect as the
// load client needs: hello, subscribe, POST /v1/channels/{id}/messages. Nothing is stored, nobody is checked.
// A sender's user id is taken from his token ("user-<id>"), so that the load client's checks hold here too.
import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
const { WebSocketServer } = createRequire(new URL('../../system/package.json', import.meta.url))('ws');

const topics = new Map();
const now = () => new Date().toISOString();

const server = createServer((request, response) => {
  const [, channel] = request.url.match(/^\/v1\/channels\/([^/]+)\/messages$/) ?? [];
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const { content } = JSON.parse(Buffer.concat(chunks).toString());
    const user = request.headers.authorization.slice('Bearer user-'.length);
    const data = { channel_id: channel, message_id: randomUUID(), user_id: user, username: 'peer', content };
    const frame = JSON.stringify({ type: 'channel_message', timestamp: now(), data });
    for (const socket of topics.get(`channel:${channel}`) ?? []) socket.send(frame);
    const answer = JSON.stringify({ id: data.message_id, ...data });
    response.writeHead(201, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) });
    response.end(answer);
  });
});

new WebSocketServer({ server, path: '/v1/ws', perMessageDeflate: false }).on('connection', (socket) => {
  const mine = new Set();
  socket.send(JSON.stringify({ type: 'hello', timestamp: now(), data: { heartbeat_ms: 25000 } }));
  socket.on('message', (bytes) => {
    const frame = JSON.parse(bytes.toString());
    if (frame.op !== 'subscribe') return;
    for (const topic of frame.topics) {
      if (!topics.has(topic)) topics.set(topic, new Set());
      topics.get(topic).add(socket);
      mine.add(topic);
    }
    socket.send(JSON.stringify({ type: 'subscribed', timestamp: now(), data: { topics: frame.topics, streams: {}, ref: frame.ref } }));
  });
  socket.on('close', () => mine.forEach((topic) => topics.get(topic).delete(socket)));
});

server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
