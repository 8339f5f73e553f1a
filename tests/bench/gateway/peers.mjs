// The servers of others: how each is started on loopback with a configuration of its own, and what the load client has to know of it.
// Each is set up for this one thing as its documentation advises: no log, no persistence, no limits, one worker process.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../system/lib/cluster.mjs';
import { sleep } from '../../system/lib/wait.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const channel = '00000000-0000-4000-8000-000000000000';
const modules = '/usr/lib/nginx/modules/ngx_nchan_module.so';
const versionOf = (folder, name) => {
  try {
    return JSON.parse(readFileSync(join(here, folder, 'node_modules', name, 'package.json'), 'utf8')).version;
  } catch {
    return null;
  }
};
const packageVersion = (name) => {
  try {
    return execFileSync('dpkg-query', ['-W', '-f=${Version}', name], { stdio: ['ignore', 'pipe', 'ignore'] }).toString() || null;
  } catch {
    return null;
  }
};
const program = (...places) => places.find((place) => existsSync(place));

// Nothing outlives the run, however it ends.
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** A started server: ends with `stop`, by pid. What it says goes to `log`, of which the end is shown when it does not start. */
class Server {
  constructor(command, args, { env = {}, cwd } = {}) {
    this.text = '';
    this.child = spawn(command, args, { env: { ...process.env, ...env }, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (chunk) => (this.text = (this.text + chunk).slice(-4000)));
    this.exited = new Promise((done) => {
      this.child.once('exit', done);
      this.child.once('error', (error) => done((this.text += error.message)));
    });
    running.add(this.child);
    this.exited.then(() => (this.gone = running.delete(this.child)));
  }

  async listens(port) {
    const end = performance.now() + 60000;
    for (;;) {
      const there = await new Promise((done) => {
        const socket = connect(port, '127.0.0.1', () => done(true) ?? socket.destroy());
        socket.on('error', () => done(false));
      });
      if (there) return;
      if (this.gone || performance.now() > end) throw new Error(`it does not listen: ${this.text}`);
      await sleep(50);
    }
  }

  /** The port that it prints first. */
  async says() {
    const end = performance.now() + 60000;
    while (!/^\d+\n/.test(this.text)) {
      if (this.gone || performance.now() > end) throw new Error(`it says no port: ${this.text}`);
      await sleep(20);
    }
    return Number(this.text.split('\n')[0]);
  }

  async stop() {
    this.child.kill('SIGTERM');
    const late = setTimeout(() => this.child.kill('SIGKILL'), 10000);
    await this.exited;
    clearTimeout(late);
  }
}

const posting = (server, port, rest) => ({ server, pid: server.child.pid, gateway: { port, path: '/' }, api: { port }, ...rest });

async function node(file, rest) {
  const server = new Server(process.execPath, [join(here, file)]);
  try {
    return posting(server, await server.says(), rest);
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function listening(server, port, rest) {
  try {
    await server.listens(port);
    return posting(server, port, rest);
  } catch (error) {
    await server.stop();
    throw error;
  }
}

const workerOf = (pid) => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);

/**
 * name -> {protocol, topic, envelope: bytes on the wire beside the content, version(): null when it is not installed,
 * start(folder): {server, pid, gateway, api}}
 */
export const peers = {
  ws: {
    protocol: 'house',
    topic: `channel:${channel}`,
    envelope: 228,
    version: () => versionOf('../../system', 'ws'),
    start: async () => {
      const started = await node('../peers/ws.mjs');
      return { ...started, gateway: { ...started.gateway, path: '/v1/ws' } };
    },
  },
  'socket.io': {
    protocol: 'socketio',
    topic: `channel:${channel}`,
    envelope: 236,
    version: () => versionOf('.', 'socket.io'),
    start: async () => {
      const started = await node('servers/socketio.mjs');
      return { ...started, gateway: { ...started.gateway, path: '/socket.io/?EIO=4&transport=websocket' } };
    },
  },
  mosquitto: {
    protocol: 'mqtt',
    topic: 'bench',
    envelope: 130,
    version: () => program('/usr/sbin/mosquitto') && packageVersion('mosquitto'),
    async start(folder) {
      const port = await freePort();
      const file = join(folder, 'mosquitto.conf');
      // Debian's libwebsockets has no external polling: mosquitto 2.0 then listens for websockets only beside another listener
      // (eclipse-mosquitto/mosquitto issue 2284).
      writeFileSync(file, `listener 0 ${folder}/mosquitto.sock\nlistener ${port} 127.0.0.1\nprotocol websockets\nsocket_domain ipv4\nallow_anonymous true\npersistence false\nmax_queued_messages 0
set_tcp_nodelay true\nlog_type error\nlog_dest stderr\n${process.getuid() === 0 ? 'user root\n' : ''}`);
      return listening(new Server('/usr/sbin/mosquitto', ['-c', file]), port);
    },
  },
  nchan: {
    protocol: 'nchan',
    topic: 'bench',
    envelope: 121,
    version: () => program(modules) && `${packageVersion('libnginx-mod-nchan')}, nginx ${packageVersion('nginx')}`,
    async start(folder) {
      const port = await freePort();
      const file = join(folder, 'nginx.conf');
      const own = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ');
      writeFileSync(file, `load_module ${modules};
daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid ${folder}/nginx.pid; error_log ${folder}/error.log warn;
${process.getuid() === 0 ? 'user root;' : ''}
events { worker_connections 19000; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; tcp_nodelay on; ${own}
  nchan_shared_memory_size 256M; nchan_message_buffer_length 1000; nchan_message_timeout 30s;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /bench { nchan_subscriber websocket; nchan_channel_id bench; nchan_subscriber_first_message newest; }
    location ~ ^/v1/channels/[^/]+/messages$ { nchan_publisher http; nchan_channel_id bench; }
  }
}
`);
      const server = new Server('/usr/sbin/nginx', ['-c', file, '-e', `${folder}/error.log`, '-p', folder]);
      const started = await listening(server, port);
      return { ...started, pid: workerOf(server.child.pid), gateway: { port, path: '/bench' } };
    },
  },
  ejabberd: {
    protocol: 'xmpp',
    topic: 'bench@conference.localhost',
    envelope: 190,
    // Ten thousand that enter one room take minutes.
    most: 1000,
    version: () => program('/usr/sbin/ejabberdctl') && packageVersion('ejabberd'),
    async start(folder) {
      const port = await freePort();
      const file = join(folder, 'ejabberd.yml');
      // Who comes and goes is not told to the others: ten thousand occupants would hear of each other fifty million times.
      writeFileSync(file, `hosts: [localhost]
loglevel: error
auth_method: [anonymous]
anonymous_protocol: sasl_anon
allow_multiple_connections: true
listen:
  -
    port: ${port}
    ip: "127.0.0.1"
    backlog: 4096
    module: ejabberd_http
    request_handlers:
      /ws: ejabberd_http_ws
websocket_ping_interval: 3600
websocket_timeout: 3600
modules:
  mod_muc:
    access: all
    access_create: all
    history_size: 0
    max_users: 20000
    max_users_presence: 1
    min_message_interval: 0
    default_room_options:
      presence_broadcast: []
      max_users: 20000
      persistent: false
      logging: false
`);
      const server = new Server(program('/usr/bin/erl'), ['-noinput', '+K', 'true', '+P', '250000', '+Q', '65536', '-mnesia', 'dir', `"${folder}/mnesia"`, '-s', 'ejabberd'],
        { cwd: folder, env: { ERL_LIBS: execFileSync('sh', ['-c', "sed -n \"s/^ERL_LIBS='\\(.*\\)'/\\1/p\" /usr/sbin/ejabberdctl"]).toString().trim(),
          EJABBERD_CONFIG_PATH: file, EJABBERD_LOG_PATH: join(folder, 'ejabberd.log'), ERL_CRASH_DUMP_SECONDS: '0', HOME: folder } });
      return { ...await listening(server, port), gateway: { port, path: '/ws' } };
    },
  },
};

/** The plan's part that is alike for all: one group of sockets, and its senders. */
export function planOf(peer, started, sockets, senders) {
  const people = Array.from({ length: Math.max(1, senders) }, (_, i) => ({ id: `u${i}`, token: `user-u${i}` }));
  return {
    gateway: started.gateway, api: started.api, people,
    groups: [{ topic: peer.topic, sockets }],
    senders: people.map((_, i) => ({ user: i, channel, group: 0 })),
    processes: [`process server ${started.pid}`],
  };
}
