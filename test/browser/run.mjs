// The browser test: visits every page of a running server in both themes with Debian's Chromium, fails on console errors,
// failed requests, content security violations and axe findings (WCAG 2.0 to 2.2, A and AA), tries the keys and the form,
// and measures the first load. The server's address is TRIMTAB_URL; without it the app is tested against ui/test/mock-server.mjs.
//
//   node test/browser/run.mjs [--shots [FOLDER]] [--only monitors] [--width 1440]
//
// --shots alone keeps the pages of the documentation in docs/images; with a folder it keeps every page.
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { join, resolve } from 'node:path';

const root = fileURLToPath(new URL('../..', import.meta.url));
const need = createRequire(join(root, 'ui', 'package.json'));
const { chromium } = need('playwright-core');
const axe = await readFile(need.resolve('axe-core/axe.min.js'), 'utf8');

const option = (name) => {
  const i = process.argv.indexOf(`--${name}`);
  return i < 0 ? undefined : process.argv[i + 1]?.startsWith('--') || process.argv[i + 1] === undefined ? '' : process.argv[i + 1];
};
const shots = option('shots') === '' ? 'docs/images' : option('shots');
const shown = option('shots') === '' ? ['home', 'dataset-profile', 'run', 'version-evaluation', 'deployment-rollout', 'monitor-overview'] : undefined;
const only = option('only');
const width = Number(option('width') ?? 1440);
const budget = 320 * 1024; // bytes of the first load, compressed

let mock;
let base = process.env.TRIMTAB_URL?.replace(/\/$/, '');
if (!base) {
  mock = await (await import(join(root, 'ui', 'test', 'mock-server.mjs'))).start();
  base = mock.url;
}

const list = async (path) => {
  const answer = await fetch(`${base}/api/v1/${path}`);
  return answer.ok ? ((await answer.json()).items ?? []) : [];
};

/** Every page of the app, with the names that this server has. */
async function pages() {
  const project = (await list('projects'))[0]?.name;
  const found = [['home', '/'], ['data', '/data'], ['runs', '/runs'], ['models', '/models'], ['deployments', '/deployments'], ['monitors', '/monitors'], ['alerts', '/alerts'], ['jobs', '/jobs'], ['events', '/events']];
  const dataset = (await list(`projects/${project}/datasets`))[0]?.dataset;
  if (dataset) for (const tab of ['profile', 'versions', 'quarantine', 'diff']) found.push([`dataset-${tab}`, `/data/${dataset}/${tab}`]);
  const run = (await list(`projects/${project}/runs`))[0]?.id;
  if (run) found.push(['run', `/runs/${run}`]);
  const model = (await list(`models?project=${project}`))[0];
  if (model) {
    found.push(['model', `/models/${model.name}`]);
    const version = (await list(`models/${model.name}/versions`)).map((v) => v.version ?? v.number).sort((a, b) => b - a)[0];
    if (version) for (const tab of ['evaluation', 'inputs', 'package', 'history']) found.push([`version-${tab}`, `/models/${model.name}/${version}/${tab}`]);
  }
  const deployment = (await list(`deployments?project=${project}`))[0]?.name;
  if (deployment) {
    for (const tab of ['rollout', 'log', 'outcomes', 'history']) found.push([`deployment-${tab}`, `/deployments/${deployment}/${tab}`]);
    for (const tab of ['overview', 'performance', 'drift', 'quality', 'alerts', 'policy']) found.push([`monitor-${tab}`, `/monitors/${deployment}/${tab}`]);
  }
  found.push(['not-found', '/no/such/page']);
  return found.filter(([name]) => !only || name.includes(only));
}

const problems = [];
const note = (where, what) => {
  problems.push(`${where}: ${what}`);
  console.error(`  ✗ ${where}: ${what}`);
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

/** A page has come when nothing loads any more. */
async function settle(page) {
  await page.waitForFunction(() => document.querySelector('main h1, main .empty') && !document.querySelector('main [role=status][aria-label^="Loading"]') && document.fonts.status === 'loaded', undefined, { timeout: 15_000 });
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

async function visit(context, theme, all) {
  const page = await context.newPage();
  let where = '';
  page.on('console', (message) => message.type() === 'error' && note(where, `console: ${message.text()}`));
  page.on('pageerror', (error) => note(where, `error: ${error.message}`));
  page.on('requestfailed', (request) => {
    const why = request.failure()?.errorText ?? '';
    if (!/ABORTED/.test(why)) note(where, `request failed: ${request.url()} ${why}`);
  });
  page.on('response', (response) => response.status() >= 400 && note(where, `${response.status()} ${response.url()}`));
  for (const [name, path] of all) {
    where = `${theme} ${name}`;
    try {
      await page.goto(`${base}/ui${path}`);
      await settle(page);
    } catch (error) {
      note(where, `did not settle: ${error.message.split('\n')[0]}`);
    }
    if (shots !== undefined && (!shown || shown.includes(name))) await page.screenshot({ path: join(resolve(root, shots), `${name}-${theme}.png`) });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (overflow > 1) note(where, `the page is ${overflow} px wider than its window`);
    await page.evaluate(axe);
    const found = await page.evaluate(async () => {
      const result = await globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] });
      return result.violations.map((v) => `${v.id} (${v.impact}): ${v.help}: ${v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')} ${n.any[0]?.message ?? ''}`).join(' | ')}`);
    });
    for (const violation of found) note(where, `axe ${violation}`);
    console.log(`  ${where}`);
  }
  await page.close();
}

/** The keys, the search, a chart's table and the form do what they say. */
async function use(context) {
  const page = await context.newPage();
  const expect = async (what, condition) => {
    try {
      await page.waitForFunction(condition, undefined, { timeout: 5_000 });
      console.log(`  ${what}`);
    } catch {
      note('use', what);
    }
  };
  await page.goto(`${base}/ui/`);
  await settle(page);
  await page.keyboard.press('Tab');
  await expect('the first Tab reaches the skip link', () => document.activeElement?.classList.contains('skip'));
  await page.keyboard.press('g');
  await page.keyboard.press('m');
  await expect('g m opens Models', () => location.pathname === '/ui/models');
  await page.keyboard.press('g');
  await page.keyboard.press('h');
  await expect('g h opens Home', () => /^\/ui\/?$/.test(location.pathname));
  await settle(page);
  await page.keyboard.press('t');
  await expect('t turns charts into tables', () => document.querySelectorAll('.twin table').length > 0 || !document.querySelector('.chart'));
  await page.keyboard.press('t');
  await page.keyboard.press('Control+k');
  await expect('Ctrl K opens the search', () => document.activeElement?.getAttribute('aria-label') === 'Search or run');
  await page.keyboard.type('jobs');
  await page.keyboard.press('Enter');
  await expect('the search goes to what was typed', () => location.pathname === '/ui/jobs');
  await page.keyboard.press('?');
  await expect('? lists the keys', () => !!document.querySelector('[role=dialog]'));
  await page.keyboard.press('Escape');
  const deployment = (await list('deployments'))[0];
  if (deployment) {
    await page.goto(`${base}/ui/deployments/${deployment.name}/rollout`);
    await settle(page);
    const predict = page.getByRole('button', { name: 'Predict', exact: true });
    if (await predict.count()) {
      await predict.click();
      await expect('the form answers', () => !!document.querySelector('main .figure.large'));
    } else note('use', 'the deployment has no form');
  }
  await page.close();
}

/** Bytes on the wire until Home stands, without the API. */
async function weigh() {
  const context = await browser.newContext({ viewport: { width, height: 900 } });
  const page = await context.newPage();
  const client = await context.newCDPSession(page);
  await client.send('Network.enable');
  const asked = new Map();
  let bytes = 0;
  client.on('Network.requestWillBeSent', (e) => asked.set(e.requestId, e.request.url));
  client.on('Network.loadingFinished', (e) => {
    if (!asked.get(e.requestId)?.includes('/api/')) bytes += e.encodedDataLength;
  });
  const started = Date.now();
  await page.goto(`${base}/ui/`);
  await settle(page);
  console.log(`first load ${(bytes / 1024).toFixed(0)} KB, ${Date.now() - started} ms`);
  if (process.env.TRIMTAB_URL && bytes > budget) note('first load', `${bytes} bytes, budget ${budget}`);
  await context.close();
}

if (shots !== undefined) await mkdir(resolve(root, shots), { recursive: true });
try {
  const all = await pages();
  for (const theme of ['light', 'dark']) {
    const context = await browser.newContext({ viewport: { width, height: width < 720 ? 1840 : 900 }, colorScheme: theme, reducedMotion: 'reduce' });
    await visit(context, theme, all);
    if (theme === 'light' && !only) await use(context);
    await context.close();
  }
  await weigh();
} finally {
  await browser.close();
  await mock?.close();
}
if (problems.length) {
  console.error(`${problems.length} problems`);
  process.exit(1);
}
console.log('every page is in order');
