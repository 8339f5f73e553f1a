// Single sockets that the load client does not have: some that never read, and one that only asks where a stream is.
import { connect } from 'node:net';
import { Socket } from '../../system/lib/client.mjs';
import { sleep } from '../../system/lib/wait.mjs';

/** Sockets that subscribe to the first channel and then take nothing more from the kernel. */
export async function stuckSockets(world, count) {
  await world.team(count, 1);
  const [channel] = world.channels;
  const { wsPort } = world.cluster.copies.gateway[0];
  const waiting = [];
  for (let i = 0; i < count; i++) {
    const socket = connect(wsPort, '127.0.0.1');
    socket.write(`GET /v1/ws?topics=channel:${channel.id} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n`
      + `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer ${world.people[i].token}\r\n\r\n`);
    socket.on('error', () => {});
    await new Promise((done, fail) => {
      let got = '';
      const read = (bytes) => {
        got += bytes.toString('latin1');
        if (!got.includes('"subscribed"')) return;
        socket.off('data', read);
        socket.pause();
        done();
      };
      socket.on('data', read);
      socket.once('close', () => fail(new Error(`a socket was closed before it was stuck: ${got}`)));
    });
    waiting.push(socket);
  }
  return {
    /* Whether it was closed is asked of the gateway: who does not read does not see it. */
    async allClosed() {
      const copy = world.cluster.copies.gateway[0];
      for (;;) {
        const metrics = await copy.metrics();
        if (metrics.guildhall_gateway_slow_readers_total >= count) break;
        await new Promise((done) => setTimeout(done, 50));
      }
      for (const socket of waiting) socket.destroy();
    },
  };
}

/** Where the bench's team stands now, as a client that resumes would name it. A gateway that has just come up and heard nothing from
 * messaging yet says no generation, and such a position cannot be resumed from: it is asked again. */
export async function positionOf(world) {
  for (;;) {
    const socket = new Socket(`ws://127.0.0.1:${world.cluster.copies.gateway[0].wsPort}/v1/ws?resume=1`, { token: world.people[0].token });
    await socket.frame('hello');
    socket.send({ op: 'subscribe', topics: [`channel:${world.channels[0].id}`] });
    const { data } = await socket.frame('subscribed');
    socket.end();
    if (data.generation !== '')
      return { generation: data.generation, streams: Object.fromEntries(Object.entries(data.streams).map(([stream, at]) => [stream, at.seq])) };
    await sleep(50);
  }
}
