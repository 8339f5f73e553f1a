// What the pages of the tests are made of: crust's own clients as their makers published them, and what a page does with them.
// It runs in the browser: bundled, unedited, by lib/pages.mjs.
import { apiClients, messaging, system } from '@cortezaproject/corteza-js';
import ReconnectingWebSocket from 'reconnecting-websocket';

const frames = []; // of crust's websocket, {key, body}
const socket = (url, options) => new Promise((opened, failed) => {
  const ws = new ReconnectingWebSocket(url, undefined, { minReconnectionDelay: 50, maxReconnectionDelay: 500, ...options });
  ws.addEventListener('open', opened, { once: true });
  if (options?.maxRetries === 0) ws.addEventListener('error', () => failed(new Error('it did not open')), { once: true });
  ws.addEventListener('message', ({ data }) => {
    for (const [key, body] of Object.entries(JSON.parse(data))) frames.push({ key, body });
  });
  window.page.socket = ws;
});

window.page = {
  frames,

  /** api, systemAPI: where they are; a token is kept when there is one. */
  use(api, systemAPI, jwt) {
    this.api = api;
    this.system = new apiClients.System({ baseURL: systemAPI, jwt });
    this.messaging = new apiClients.Messaging({ baseURL: api, jwt });
    this.jwt = jwt;
  },

  async signIn(email, password) {
    const { jwt, user } = await this.system.authInternalLogin({ email, password });
    this.system.setJWT(jwt);
    this.messaging.setJWT(jwt);
    this.jwt = jwt;
    return new system.User(user);
  },

  channel: (payload) => new messaging.Channel(payload),

  listen: (url) => socket(url),
  tries: (url) => socket(url, { maxRetries: 0 }),

  /** As a drop area uploads: multipart with its progress, to which a browser asks first. */
  upload(channelID, name, type, bytes) {
    const body = new FormData();
    body.append('upload', new Blob([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], { type }), name);
    return this.send(channelID, body);
  },

  uploadOf(channelID, name, size) {
    const body = new FormData();
    body.append('upload', new Blob([new Uint8Array(size)]), name);
    return this.send(channelID, body);
  },

  send(channelID, body) {
    return new Promise((done, failed) => {
      const xhr = new XMLHttpRequest();
      const progress = [];
      xhr.open('POST', `${this.api}/channels/${channelID}/attach`);
      xhr.setRequestHeader('Accept', 'application/json');
      xhr.setRequestHeader('Authorization', `Bearer ${this.jwt}`);
      xhr.responseType = 'json';
      xhr.upload.onprogress = ({ loaded, total }) => progress.push([loaded, total]);
      xhr.onload = () => done({ status: xhr.status, body: xhr.response, progress });
      xhr.onerror = () => failed(new Error('the upload failed'));
      xhr.send(body);
    });
  },

  /** Shows a picture; crossOrigin: so that the page may look at its pixels. */
  async picture(url, crossOrigin) {
    const img = new Image();
    if (crossOrigin) img.crossOrigin = crossOrigin;
    img.src = this.api + url;
    document.body.append(img);
    await img.decode();
    const { naturalWidth: width, naturalHeight: height } = img;
    if (!crossOrigin) return { width, height };
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const context = canvas.getContext('2d');
    context.drawImage(img, 0, 0);
    return { width, height, pixel: [...context.getImageData(0, 0, 1, 1).data] };
  },

  /** A link that a person clicks on. */
  link(url) {
    const a = Object.assign(document.createElement('a'), { href: url, textContent: url, id: 'link' });
    document.getElementById('link')?.remove();
    document.body.prepend(a);
  },

  async ask(url, init) {
    const answer = await fetch(url, init);
    return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text(),
      headers: Object.fromEntries(answer.headers) };
  },

  /** House's websocket; first: what is sent once it is open, then: once it said hello. The first frame of that type, or the code of the end. */
  house(url, first, type, then) {
    return new Promise((done) => {
      const ws = new WebSocket(url);
      ws.onopen = () => { for (const frame of first) ws.send(JSON.stringify(frame)); };
      ws.onmessage = ({ data }) => {
        const frame = JSON.parse(data);
        if (frame.type === 'hello' && then) ws.send(JSON.stringify(then));
        if (frame.type !== type) return;
        done(frame);
        ws.close();
      };
      ws.onclose = ({ code }) => done({ closed: code });
    });
  },
};
