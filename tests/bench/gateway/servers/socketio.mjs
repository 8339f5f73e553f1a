// A broadcast server on socket.io, as one would write it in an afternoon: `join` enters a room, what is posted to a channel goes to
// its room as the event `m`. Nothing is stored, nobody is checked. Sender and channel are those of tests/bench/peers/ws.mjs.
import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { Server } from 'socket.io';

const server = createServer((request, response) => {
  const [, channel] = request.url.match(/^\/v1\/channels\/([^/]+)\/messages$/) ?? [];
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const { content } = JSON.parse(Buffer.concat(chunks).toString());
    const user = request.headers.authorization.slice('Bearer user-'.length);
    const data = { channel_id: channel, message_id: randomUUID(), user_id: user, username: 'peer', content };
    io.to(`channel:${channel}`).emit('m', { type: 'channel_message', timestamp: new Date().toISOString(), data });
    const answer = JSON.stringify({ id: data.message_id, ...data });
    response.writeHead(201, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) });
    response.end(answer);
  });
});
const io = new Server(server, { transports: ['websocket'], perMessageDeflate: false, serveClient: false });
io.on('connection', (socket) => {
  socket.on('join', (room) => {
    socket.join(room);
    socket.emit('joined');
  });
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
