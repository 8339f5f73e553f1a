// A websocket of crust with the frames that it got.
import { once } from 'node:events';
import WebSocket from 'ws';
import { until } from './wait.mjs';

export const address = (cluster, gateway = 0) => new URL('/crust/websocket/', cluster.ws(gateway)).href;

export class CrustSocket {
  constructor(cluster, person, { gateway = 0 } = {}) {
    this.frames = [];
    this.ws = new WebSocket(`${address(cluster, gateway)}?jwt=${person.token}`, { perMessageDeflate: true });
    this.ws.on('message', (data) => this.frames.push(JSON.parse(data.toString())));
    this.ws.on('error', () => {});
    this.opened = once(this.ws, 'open');
    this.opened.catch(() => {});
    this.closed = new Promise((done) => this.ws.once('close', (code) => { this.code = code; done(code); }));
  }

  /** data: an object is sent as JSON, a string or a Buffer as it is. */
  say(data) {
    this.ws.send(typeof data === 'string' || Buffer.isBuffer(data) ? data : JSON.stringify(data));
  }

  all(key, fits = () => true) {
    return this.frames.filter((frame) => key in frame && fits(frame[key])).map((frame) => frame[key]);
  }

  async one(key, fits = () => true) {
    return until(`a frame ${key} among ${JSON.stringify(this.frames).slice(-1500)}`, () => this.all(key, fits)[0]);
  }

  forget() {
    this.frames.length = 0;
  }
}
