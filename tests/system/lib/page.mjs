// Crust's web page (corteza-webapp-messaging 2020.6) as the servers see it: its clients and its websocket as their makers published them,
// under the rules that a browser has for a page of its origin, and what it keeps of answers and frames.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import WebSocket from 'ws';

const require = createRequire(import.meta.url);
const axios = require('axios');
const corteza = require('@cortezaproject/corteza-js');
const ReconnectingWebSocket = require('reconnecting-websocket');

/* ---- a browser */

const simpleMethods = ['GET', 'HEAD', 'POST'];
const simpleTypes = ['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain'];
const words = (header) => (header ?? '').toLowerCase().split(/\s*,\s*/);

/** What a browser shows to a page of that origin. Fetch standard, "CORS protocol": with credentials nothing may be "*". */
export class Browser {
  constructor(origin) {
    this.origin = origin;
    this.asked = 0; // how often it asked beforehand
  }

  open(response) {
    if (response.headers.get('access-control-allow-origin') !== this.origin) throw new Error('CORS: another origin is allowed');
    if (response.headers.get('access-control-allow-credentials') !== 'true') throw new Error('CORS: no credentials are allowed');
  }

  async request(url, { method, headers, body }) {
    const address = new URL(url, this.origin), crosses = address.origin !== this.origin;
    const init = { method, headers: { ...headers }, body, signal: AbortSignal.timeout(15000) };
    if (crosses) {
      init.headers.origin = this.origin;
      const beyond = Object.keys(headers).map((name) => name.toLowerCase())
        .filter((name) => name !== 'accept' && !(name === 'content-type' && simpleTypes.includes(headers[name]))).sort();
      if (beyond.length > 0 || !simpleMethods.includes(method)) await this.ask(address, method, beyond);
    }
    const response = await fetch(address, init);
    if (crosses) this.open(response);
    return response;
  }

  async ask(address, method, beyond) {
    this.asked++;
    const answer = await fetch(address, { method: 'OPTIONS', headers: { origin: this.origin, 'access-control-request-method': method,
      'access-control-request-headers': beyond.join(',') } });
    this.open(answer);
    if (!answer.ok) throw new Error(`CORS: ${answer.status} to the question beforehand`);
    if (!simpleMethods.includes(method) && !words(answer.headers.get('access-control-allow-methods')).includes(method.toLowerCase())) {
      throw new Error(`CORS: ${method} is not allowed`);
    }
    const allowed = words(answer.headers.get('access-control-allow-headers'));
    for (const name of beyond) if (!allowed.includes(name)) throw new Error(`CORS: ${name} is not allowed`);
  }

  /** Makes the clients' requests: what axios' own adapter for browsers does. */
  adapter() {
    return async (config) => {
      const headers = { ...config.headers };
      if (config.data === undefined) for (const name of Object.keys(headers)) if (name.toLowerCase() === 'content-type') delete headers[name];
      assert.equal(config.withCredentials, true);
      const url = (config.url.startsWith('http') ? '' : config.baseURL) + axios.getUri({ url: config.url, params: config.params });
      const response = await this.request(url, { method: config.method.toUpperCase(), headers, body: config.data });
      const text = await response.text();
      const answer = { data: text, status: response.status, statusText: '', headers: Object.fromEntries(response.headers), config };
      if (response.ok) return answer;
      throw Object.assign(new Error(`Request failed with status code ${response.status}`), { response: answer });
    };
  }
}

/* ---- the page */

export const { Channel } = corteza.messaging;
export const { User } = corteza.system;

/** Ids are numbers of different lengths, sorted as text. */
export const inOrder = (messages) => [...messages].sort((a, b) => (a.messageID.padStart(20, '0') < b.messageID.padStart(20, '0') ? -1 : 1));

/** Where the websocket is, from what config.js says: with a scheme, without it, or a path of the page's own origin. */
export function socketURL(api, location, token) {
  const { protocol, host } = new URL(location);
  const full = api.startsWith('//') ? protocol + api : api.startsWith('/') ? `${protocol}//${host}${api}` : api;
  return `${full.replace(/^http/, 'ws')}/websocket/?jwt=${token}`;
}

export class Page {
  /** location: of the page; messagingAPI, systemAPI: as config.js says. */
  constructor({ location, messagingAPI, systemAPI }) {
    Object.assign(this, { location, messagingAPI, systemAPI });
    this.browser = new Browser(new URL(location).origin);
    this.storage = new Map();
    this.system = this.use(new corteza.apiClients.System({ baseURL: systemAPI }));
    this.channels = new Map(); // by id
    this.unread = new Map(); // by channel and thread
    this.online = new Map(); // people
    this.frames = [];
  }

  /* Each client makes an instance of axios for each call. */
  use(api) {
    const make = api.api.bind(api);
    api.api = () => {
      const instance = make();
      instance.defaults.adapter = this.browser.adapter();
      return instance;
    };
    return api;
  }

  get token() {
    return this.storage.get('auth.jwt');
  }

  /** As every page does before anything else; without a good token it would go to /auth. */
  async check() {
    const { jwt, user } = await this.system.setJWT(this.token).authCheck();
    this.storage.set('auth.jwt', jwt);
    this.user = new User(user);
    this.messaging = this.use(new corteza.apiClients.Messaging({ baseURL: this.messagingAPI, jwt: this.token }));
  }

  keepChannel(payload) {
    const channel = new Channel(payload); // throws when the id is no number
    this.channels.set(channel.channelID, channel);
    if (payload.unread) this.keepUnread({ channelID: channel.channelID, ...payload.unread });
    return channel;
  }

  /** It merges counters over what it has, and adds all of them up in the icon of the window. */
  keepUnread(unread) {
    assert.ok(unread.channelID, 'the page throws when it is not told whose counter it is');
    const key = `${unread.channelID} ${unread.threadID ?? ''}`;
    this.unread.set(key, { ...this.unread.get(key), ...unread });
  }

  get badge() {
    return [...this.unread.values()].reduce((sum, u) => sum + u.count + u.threadCount, 0);
  }

  count(channelID, threadID = '') {
    return this.unread.get(`${channelID} ${threadID}`) ?? { count: 0, threadCount: 0 };
  }

  async start() {
    await this.check();
    this.settings = await this.messaging.settingsCurrent();
    const channels = await this.messaging.channelList();
    for (const channel of channels) this.keepChannel(channel);
    this.commands = await this.messaging.commandsList();
    this.may = Object.fromEntries((await this.messaging.permissionsEffective()).map((p) => [p.operation, p.allow]));
    for (const status of await this.messaging.statusList()) if (status.present) this.online.set(status.userID, true);
    return this.connect();
  }

  connect() {
    const { browser } = this;
    class Socket extends WebSocket {
      constructor(url) {
        super(url, { origin: browser.origin });
      }
    }
    this.socket = new ReconnectingWebSocket(socketURL(this.messagingAPI, this.location, this.token), undefined,
      { WebSocket: Socket, minReconnectionDelay: 50, maxReconnectionDelay: 500 });
    this.socket.addEventListener('message', ({ data }) => {
      for (const [key, body] of Object.entries(JSON.parse(data))) this.hear(key, body);
    });
    return new Promise((open) => this.socket.addEventListener('open', open, { once: true }));
  }

  hear(key, body) {
    this.frames.push({ key, body });
    const members = this.channels.get(body.channelID)?.members;
    if (key === 'channel') this.keepChannel(body);
    if (key === 'unread') this.keepUnread(body);
    if (key === 'channelJoin' && members && !members.includes(body.userID)) members.push(body.userID);
    if (key === 'channelPart') this.channels.get(body.channelID)?.removeMember(body.userID);
    if (key === 'activity' && (body.present || body.kind === 'connected')) this.online.set(body.userID, true);
    if (key === 'activity' && body.kind === 'disconnected') this.online.set(body.userID, false);
  }

  heard(key, fits = () => true) {
    return this.frames.filter((frame) => frame.key === key && fits(frame.body)).map((frame) => frame.body);
  }

  /** vue2-dropzone's upload: Accept and Authorization, nothing else, the fields before the file; "undefined" where it answers nothing. */
  async upload(channelID, name, bytes, type, replyTo) {
    const body = new FormData();
    body.append('replyTo', String(replyTo));
    body.append('upload', new Blob([bytes], { type }), name);
    const response = await this.browser.request(`${this.messagingAPI}/channels/${channelID}/attach`,
      { method: 'POST', headers: { Accept: 'application/json', Authorization: `Bearer ${this.token}` }, body });
    assert.match(response.headers.get('content-type'), /^application\/json/); // otherwise it is not parsed
    return response.json();
  }

  /** An <img> or a link to what is attached: the base of the API and the URL as it came. */
  file(url) {
    return this.browser.request(this.messagingAPI + url, { method: 'GET', headers: {} });
  }

  close() {
    this.socket?.close();
  }
}
