// The browser test: visits every page in both themes with Debian's Chromium, fails on console errors, failed requests, content
// security violations and axe findings (WCAG 2.0 to 2.2, A and AA), tries the keys and the form, and measures the first load.
// It starts bin/trimtab: on an empty directory, for the pages that have nothing to show and for a server that stops and comes back;
// as one that MLflow's clients have logged to; with small projects that ask for all there is to judge a version by, and models of other
// programs that it serves; and as the demo up to a day on which every page has something. TRIMTAB_URL names a running server to visit instead.
//
//   node test/browser/run.mjs [--shots [FOLDER]] [--only monitors] [--part empty|tracking|judged|demo] [--width 1440]
//
// --shots alone keeps the pages of the documentation in docs/images (they show a whole demo: TRIMTAB_URL); with a folder it keeps
// every page.
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { join, resolve } from 'node:path';
import { folder, start } from './program.mjs';
import { build, pages as judgedPages, use as useJudged } from './judged.mjs';
import { build as buildEndpoint, pages as endpointPages, use as useEndpoint } from './endpoint.mjs';
import { change, fill, use as useTracking } from './tracking.mjs';

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
const part = option('part');
const width = Number(option('width') ?? 1440);
const budget = 320 * 1024; // bytes of the first load, compressed
const themes = ['light', 'dark'];

// Up to this day of the replay the model has been off course, was trained again, and its canary has taken the second step.
const until = '2013-04-24';
const visited = process.env.TRIMTAB_URL?.replace(/\/$/, '');
let base = visited;

/** The items of a list of the API. */
async function list(path) {
  const answer = await fetch(`${base}/api/v1/${path}`);
  return answer.ok ? ((await answer.json()).items ?? []) : [];
}

const lists = ['home', 'data', 'runs', 'models', 'deployments', 'monitors', 'alerts', 'jobs', 'events'].map((name) => [name, name === 'home' ? '/' : `/${name}`]);

/** Every page of the app, with the names that this server has; of datasets those with the most to show. */
async function pages() {
  const found = [...lists];
  const project = (await list('projects'))[0]?.name;
  const datasets = await list(`projects/${project}/datasets`);
  const best = (number) => datasets.reduce((a, b) => (number(b) > number(a) ? b : a), datasets[0])?.dataset;
  const grown = best((d) => d.number);
  if (grown) {
    for (const tab of ['profile', 'versions', 'diff']) found.push([`dataset-${tab}`, `/data/${grown}/${tab}`]);
    found.push(['dataset-quarantine', `/data/${best((d) => d.quarantined)}/quarantine`]);
  }
  const run = (await list(`projects/${project}/runs`))[0]?.id;
  if (run) found.push(['run', `/runs/${run}`]);
  const model = (await list(`models?project=${project}`))[0];
  if (model) {
    found.push(['model', `/models/${model.name}`]);
    for (const tab of ['evaluation', 'explanations', 'inputs', 'package', 'history']) found.push([`version-${tab}`, `/models/${model.name}/${model.last_version}/${tab}`]);
  }
  const deployment = (await list(`deployments?project=${project}`))[0]?.name;
  if (deployment) {
    for (const tab of ['rollout', 'endpoint', 'log', 'outcomes', 'history']) found.push([`deployment-${tab}`, `/deployments/${deployment}/${tab}`]);
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

const inTheme = (theme) => browser.newContext({ viewport: { width, height: width < 720 ? 1840 : 900 }, colorScheme: theme, reducedMotion: 'reduce' });

/** A page has come when nothing loads any more. */
async function settle(page) {
  await page.waitForFunction(() => document.querySelector('main h1, main .empty') && !document.querySelector('main [role=status][aria-label^="Loading"]') && [...document.querySelectorAll('main .plot')].every((plot) => plot.querySelector('canvas')) && document.fonts.status === 'loaded', undefined, { timeout: 30_000 });
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

/** What a page of this state must show, or must not. */
const states = {
  full: (name) => (name === 'not-found' ? true : !document.querySelector('main .empty')),
  empty: () => !!document.querySelector('main .empty:not(.failure) .snippet, main .empty:not(.failure) p') && !document.querySelector('main .failure'),
  failing: () => !!document.querySelector('main .failure')?.textContent.includes('hint: run trimtab doctor'),
};

/** Looks for what keeps people out of a page as it is now. */
async function look(page, where) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const result = await globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], resultTypes: ['violations'] });
    return result.violations.map((v) => `${v.id} (${v.impact}): ${v.help}: ${v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')} ${n.any[0]?.message ?? ''}`).join(' | ')}`);
  });
  for (const violation of found) note(where, `axe ${violation}`);
}

/** Looks at pages in one theme. Every one must be in this state; without one, in any. */
async function visit(theme, all, state) {
  const context = await inTheme(theme);
  if (state === 'failing') await context.route('**/api/v1/**', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: JSON.stringify({ status: 503, code: 'unavailable', detail: 'The catalog does not answer.', hint: 'run trimtab doctor' }) }));
  const page = await context.newPage();
  let where = '';
  page.on('pageerror', (error) => note(where, `error: ${error.message}`));
  if (state !== 'failing') {
    page.on('console', (message) => message.type() === 'error' && note(where, `console: ${message.text()}`));
    page.on('requestfailed', (request) => {
      const why = request.failure()?.errorText ?? '';
      if (!/ABORTED/.test(why)) note(where, `request failed: ${request.url()} ${why}`);
    });
    page.on('response', (response) => response.status() >= 400 && note(where, `${response.status()} ${response.url()}`));
  }
  for (const [name, path] of all) {
    where = [theme, state === 'full' ? '' : state, name].filter(Boolean).join(' ');
    try {
      await page.goto(`${base}/ui${path}`);
      await settle(page);
    } catch (error) {
      note(where, `did not settle: ${error.message.split('\n')[0]}`);
    }
    if (state && !(await page.evaluate(states[state], name))) note(where, `is not ${state}: ${(await page.locator('main').innerText()).replace(/\s+/g, ' ').slice(0, 300)}`);
    if (shots !== undefined && state !== 'empty' && state !== 'failing' && (!shown || shown.includes(name))) await page.screenshot({ path: join(resolve(root, shots), `${name}-${theme}.png`) });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (overflow > 1) note(where, `the page is ${overflow} px wider than its window`);
    await look(page, where);
    console.log(`  ${where}`);
  }
  await context.close();
}

/** Waits for a condition on the page, which is told what is given; a problem when it does not come. */
async function expect(page, what, condition, timeout = 5_000, given = undefined) {
  try {
    await page.waitForFunction(condition, given, { timeout });
    console.log(`  ${what}`);
  } catch {
    note('use', what);
  }
}

/** The keys, the search, a chart's table and the form do what they say. */
async function use() {
  const context = await inTheme('light');
  const page = await context.newPage();
  await page.goto(`${base}/ui/`);
  await settle(page);
  await page.keyboard.press('Tab');
  await expect(page, 'the first Tab reaches the skip link', () => document.activeElement?.classList.contains('skip'));
  await page.keyboard.press('g');
  await page.keyboard.press('m');
  await expect(page, 'g m opens Models', () => location.pathname === '/ui/models');
  await page.keyboard.press('g');
  await page.keyboard.press('h');
  await expect(page, 'g h opens Home', () => /^\/ui\/?$/.test(location.pathname));
  await settle(page);
  await page.keyboard.press('t');
  await expect(page, 't turns charts into tables', () => document.querySelectorAll('.twin table').length > 0 || !document.querySelector('.chart'));
  await page.keyboard.press('t');
  await page.keyboard.press('Control+k');
  await expect(page, 'Ctrl K opens the search', () => document.activeElement?.getAttribute('aria-label') === 'Search or run');
  await page.keyboard.type('jobs');
  await page.keyboard.press('Enter');
  await expect(page, 'the search goes to what was typed', () => location.pathname === '/ui/jobs');
  await page.keyboard.press('?');
  await expect(page, '? lists the keys', () => !!document.querySelector('[role=dialog]'));
  await page.keyboard.press('Escape');
  const deployment = (await list('deployments'))[0];
  if (deployment) {
    await page.goto(`${base}/ui/deployments/${deployment.name}/rollout`);
    await settle(page);
    const predict = page.getByRole('button', { name: 'Predict', exact: true });
    if (await predict.count()) {
      await predict.click();
      await expect(page, 'the form answers', () => !!document.querySelector('main .figure.large'));
    } else note('use', 'the deployment has no form');
  }
  await context.close();
}

/** Bytes on the wire until Home stands, without the API. */
async function weigh() {
  const context = await inTheme('light');
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
  if (bytes > budget) note('first load', `${bytes} bytes, budget ${budget}`);
  await context.close();
}

const inOrder = async (what, program) => {
  const end = await program.stop();
  if (end !== 0) note(what, `ended with ${end}: ${program.said().slice(-500)}`);
};

/** A server with nothing in it; then the page stays while it is away, says so, and comes back by itself. */
async function beginning(dir) {
  const server = (...more) => start(dir, /Trimtab at (http:\S+)/, 'server', ...more);
  let running = await server('--listen', '127.0.0.1:0');
  base = running.url;
  await Promise.all([visit('light', lists, 'empty'), visit('dark', lists.slice(0, 2), 'empty')]);
  const context = await inTheme('light');
  try {
    const page = await context.newPage();
    await page.goto(`${base}/ui/`);
    await expect(page, 'the page is live', () => !!document.querySelector('[aria-label="Updates: live"]'));
    await inOrder('server', running);
    await expect(page, 'the page says that the server is away', () => !!document.querySelector('[aria-label^="Updates: polling"]') && document.body.innerText.includes('The server does not answer.'), 20_000);
    running = await server('--listen', new URL(base).host);
    await expect(page, 'the page comes back with the server', () => !!document.querySelector('[aria-label="Updates: live"]') && !document.querySelector('.failure'), 20_000);
  } finally {
    await context.close();
    await inOrder('server', running);
  }
}

/** A server that clients logged to: its pages, and a table of many runs. */
async function tracking(dir) {
  const many = 5_000;
  const running = await start(dir, /Trimtab at (http:\S+)/, 'server', '--listen', '127.0.0.1:0');
  base = running.url;
  try {
    const begun = Date.now();
    const filled = await fill(base, many);
    console.log(`logged ${many} runs in ${((Date.now() - begun) / 1000).toFixed(1)} s`);
    const wanted = filled.pages.filter(([name]) => !only || name.includes(only));
    await Promise.all(themes.map((theme) => visit(theme, wanted, 'full')));
    if (only) return;
    const [using, changing] = await Promise.all([inTheme('light'), inTheme('dark')]);
    try {
      const page = await changing.newPage();
      page.on('pageerror', (error) => note('change', `error: ${error.message}`));
      page.on('console', (message) => message.type() === 'error' && note('change', `console: ${message.text()}`));
      const check = (what, holds) => (holds ? console.log(`  ${what}`) : note('change', what));
      await Promise.all([
        useTracking(await using.newPage(), base, filled, many, settle, expect),
        change(page, base, { settle, expect, check, look }),
      ]);
    } finally {
      await Promise.all([using.close(), changing.close()]);
    }
  } finally {
    await inOrder('tracking', running);
  }
}

/** Small projects whose files ask for everything that versions are judged by, and models in workers: their pages, the explanation of a row,
 * and what is done at an endpoint. */
async function judged(dir) {
  await build(dir);
  await buildEndpoint(dir);
  const running = await start(dir, /Trimtab at (http:\S+)/, 'server', '--listen', '127.0.0.1:0');
  base = running.url;
  try {
    const wanted = [...(await judgedPages(base)), ...(await endpointPages(base))].filter(([name]) => !only || name.includes(only));
    await Promise.all(themes.map((theme) => visit(theme, wanted, 'full')));
    if (only) return;
    const [judging, serving] = await Promise.all([inTheme('dark'), inTheme('light')]);
    try {
      await Promise.all([useJudged(await judging.newPage(), base, settle, expect), useEndpoint(await serving.newPage(), base, settle, expect)]);
    } finally {
      await Promise.all([judging.close(), serving.close()]);
    }
  } finally {
    await inOrder('judged', running);
  }
}

/** Everything that is looked at on a server with content. */
async function life(state) {
  const all = await pages();
  await Promise.all(themes.map((theme) => visit(theme, all, state)));
  if (only) return;
  const deployment = all.find(([name]) => name === 'deployment-rollout');
  await Promise.all([use(), visit('light', [lists[0]], 'failing'), visit('dark', [lists[0], deployment].filter(Boolean), 'failing')]);
  await weigh();
}

if (shots !== undefined) await mkdir(resolve(root, shots), { recursive: true });
const [empty, tracked, small, demo] = [await folder(), await folder(), await folder(), await folder()];
try {
  if (visited) {
    await life();
  } else if (part === 'empty' || part === 'tracking' || part === 'judged') {
    await (part === 'empty' ? beginning(empty.dir) : part === 'tracking' ? tracking(tracked.dir) : judged(small.dir));
  } else {
    const replay = start(demo.dir, /The page stays at (http:.+)\/ui\//, 'demo', '--until', until, '--listen', '127.0.0.1:0');
    replay.catch(() => undefined); // it is awaited below
    const begun = Date.now();
    if (part !== 'demo') { // while the demo replays
      if (!only) await beginning(empty.dir).catch((error) => note('beginning', error.stack));
      await tracking(tracked.dir).catch((error) => note('tracking', error.stack));
      await judged(small.dir).catch((error) => note('judged', error.stack));
    }
    const running = await replay;
    console.log(`the demo replayed to ${until}; waited ${((Date.now() - begun) / 1000).toFixed(0)} s`);
    base = running.url;
    try {
      await life('full');
    } finally {
      await inOrder('demo', running);
    }
  }
} catch (error) {
  note('test', error.stack);
} finally {
  await browser.close();
  await Promise.all([empty.clear(), tracked.clear(), small.clear(), demo.clear()]);
}
if (problems.length) {
  console.error(`${problems.length} problems`);
  process.exit(1);
}
console.log('every page is in order');
