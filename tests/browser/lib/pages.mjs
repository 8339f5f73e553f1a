// Pages that are no part of Guildhall: crust's own clients, bundled for a browser, at addresses of their own.
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/* What is node's alone is empty in a browser, as in the bundle of the makers' own page. */
const withoutNode = { name: 'without-node', setup(bundle) {
  bundle.onResolve({ filter: /^fs$/ }, ({ path }) => ({ path, namespace: 'nodes' }));
  bundle.onLoad({ filter: /.*/, namespace: 'nodes' }, () => ({ contents: '' }));
} };

export async function bundle() {
  const made = await build({ entryPoints: [fileURLToPath(new URL('../client.js', import.meta.url))], bundle: true, write: false, platform: 'browser',
    define: { global: 'window' }, logLevel: 'error', plugins: [withoutNode] });
  return made.outputFiles[0].contents;
}

/* The makers' own page sends who has no token to /auth when it starts. */
const guard = "if (!localStorage.getItem('auth.jwt')) location.replace('/auth')";
const html = (...scripts) => `<!DOCTYPE html><meta charset="utf-8"><title>page</title><link rel="icon" href="data:,"><body>${scripts.join('')}`;

/** Puts the page where the edge serves it at /messaging. */
export function install(folder, client) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'client.js'), client);
  writeFileSync(join(folder, 'index.html'),
    html('<script src="/messaging/config.js"></script>', '<script src="/messaging/client.js"></script>', `<script>${guard}</script>`));
}

/** Serves it as a site of its own: `elsewhere` is of another site than a server at 127.0.0.1, `sibling` another port of the same host. */
export class Site {
  async start(client) {
    this.server = createServer((request, response) => {
      const script = request.url === '/client.js';
      response.setHeader('Content-Type', script ? 'application/javascript' : 'text/html');
      response.end(script ? client : html('<script src="/client.js"></script>'));
    });
    await new Promise((ready) => this.server.listen(0, '127.0.0.1', ready));
    const { port } = this.server.address();
    this.elsewhere = `http://localhost:${port}`;
    this.sibling = `http://127.0.0.1:${port}`;
  }

  stop() {
    this.server?.closeAllConnections?.();
    this.server?.close();
  }
}
