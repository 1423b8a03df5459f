// A stand-in for the server while the app is developed: the built app and answers from fixtures.json.
// Used by tests and by `npm run mock`; it is no part of the product.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const dist = join(here, '..', 'dist');
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json' };
const policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/** Times written as "@-8" in a fixture are that many seconds from now. */
const fresh = (text) => text.replace(/"@(-?\d+)"/g, (_, s) => JSON.stringify(new Date(Date.now() + Number(s) * 1000).toISOString()));

export async function start({ port = 0, mode = 'full' } = {}) {
  const fixtures = JSON.parse(await readFile(join(here, 'fixtures.json'), 'utf8'));
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://localhost');
    const send = (status, type, body, headers = {}) => {
      response.writeHead(status, { 'content-type': type, 'content-security-policy': policy, ...headers });
      response.end(body);
    };
    if (url.pathname === '/') return send(302, 'text/plain', '', { location: '/ui/' });
    if (url.pathname.startsWith('/api/v1/')) {
      const path = decodeURIComponent(url.pathname.slice('/api/v1/'.length));
      if (path === 'events/stream') {
        response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
        response.write(': open\n\n');
        return;
      }
      if (mode === 'failing') return send(503, 'application/problem+json', JSON.stringify({ status: 503, code: 'unavailable', detail: 'The catalog does not answer.', hint: 'run trimtab doctor' }), { 'x-request-id': '018c7a' });
      if (request.method === 'POST') {
        if (path.endsWith('/predict')) return send(200, 'application/json', JSON.stringify({ predictions: [{ id: '018c7a00000000000000000000001f2e', version: 10, arm: 'canary', score: 0.18543, champion_scores: [0.2112], champion_version: 9, label: 'no' }] }));
        return send(200, 'application/json', '{}');
      }
      const found = mode === 'empty' ? (/^(projects|models|deployments|alerts|jobs|events)$/.test(path) ? { items: [] } : undefined) : fixtures[path];
      if (!found) return send(404, 'application/problem+json', JSON.stringify({ status: 404, code: 'not_found', detail: `there is no ${path}`, hint: 'look at the list' }));
      let body = found;
      const state = url.searchParams.get('state');
      if (state && found.items) body = { items: found.items.filter((i) => i.state === state) };
      return send(200, 'application/json', fresh(JSON.stringify(body)));
    }
    const file = normalize(url.pathname.replace(/^\/ui\//, '')).replace(/^(\.\.[/\\])+/, '');
    try {
      const body = await readFile(join(dist, file || 'index.html'));
      return send(200, types[extname(file || 'index.html')] ?? 'application/octet-stream', body);
    } catch {
      return send(200, 'text/html', await readFile(join(dist, 'index.html')));
    }
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); }) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await start({ port: Number(process.env.PORT ?? 7072), mode: process.env.MODE ?? 'full' });
  console.log(`${url}/ui/`);
}
