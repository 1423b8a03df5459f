// Fills a server as clients of MLflow do, through the public REST API, and uses the pages of what they logged.
import { readFile } from 'node:fs/promises';

/** The API of a server, and MLflow's. */
function api(base) {
  const send = async (method, path, body, type = 'application/json') => {
    const answer = await fetch(`${base}${path}`, { method, headers: { 'content-type': type }, body: type === 'application/json' ? JSON.stringify(body) : body });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json().catch(() => ({}));
  };
  return { send, mlflow: (path, body) => send('POST', `/api/2.0/mlflow/${path}`, body) };
}

/** What the pages show, by name, and its path; and the experiment with many runs. */
export async function fill(base, runs) {
  const { send, mlflow } = api(base);
  const { experiment_id: churn } = await mlflow('experiments/create', { name: 'churn-baseline', tags: [{ key: 'team', value: 'growth' }] });
  const { experiment_id: sweep } = await mlflow('experiments/create', { name: 'sweep' });
  await mlflow('experiments/create', { name: 'nothing-yet' });
  const begun = Date.now() - 3_600_000;
  const make = async (experiment, name, tags = []) => (await mlflow('runs/create', { experiment_id: experiment, run_name: name, start_time: begun, tags })).run.info.run_id;
  const ids = [];
  for (let k = 0; k < 6; k++) {
    const id = await make(churn, `net-${k}`, [{ key: 'mlflow.user', value: 'ana' }, { key: 'team', value: k % 2 ? 'risk' : 'growth' }, ...(k === 5 ? [{ key: 'mlflow.parentRunId', value: ids[0] }] : [])]);
    ids.push(id);
    const curve = Array.from({ length: 990 }, (_, s) => ({ key: 'loss', value: s > 400 && s < 450 ? 'NaN' : (1 + k / 5) * Math.exp(-s / 300) + 0.02 * Math.sin(s * (k + 1)), step: s, timestamp: begun + s * 1000 }));
    await mlflow('runs/log-batch', { run_id: id, params: [{ key: 'depth', value: String(2 + k) }, { key: 'rate', value: String(0.1 / (k + 1)) }], metrics: [...curve, { key: 'val_auc', value: 0.7 + k / 50, step: 0, timestamp: begun }, { key: 'system/cpu_utilization_percentage', value: 40 + k, step: 0, timestamp: begun }, { key: 'system/cpu_utilization_percentage', value: 60, step: 1, timestamp: begun + 10_000 }] });
    if (k !== 4) await mlflow('runs/update', { run_id: id, status: k === 3 ? 'FAILED' : 'FINISHED', end_time: begun + 990_000 });
  }
  const file = (path, text) => send('PUT', `/api/v1/runs/${ids[0]}/artifacts/files/${path}`, text, 'application/octet-stream');
  await file('tables/scores.csv', 'name,score\n"a, b",0.5\nc,0.25\n');
  await file('notes.txt', 'what was tried\n');
  await file('report.html', '<h1>Report</h1><p>No script.</p>');
  await file('model/MLmodel', "flavors:\n  sklearn:\n    pickled_model: model.pkl\nsignature:\n  inputs: '[{\"type\": \"double\", \"name\": \"age\", \"required\": true}]'\n");
  await mlflow('registered-models/create', { name: 'churn' });
  for (const k of [1, 2]) await mlflow('model-versions/create', { name: 'churn', source: `runs:/${ids[0]}/model`, run_id: ids[0], tags: [{ key: 'try', value: String(k) }] });
  await mlflow('registered-models/alias', { name: 'churn', alias: 'challenger', version: '2' });
  let next = 0;
  const some = async () => {
    while (next < runs) {
      const k = next++;
      await make(sweep, `trial-${k}`, [{ key: 'batch', value: String(k % 7) }]);
    }
  };
  await Promise.all(Array.from({ length: 12 }, some));
  const run = `/runs/${ids[0]}`;
  return {
    sweep: `/experiments/${sweep}`, churn: `/experiments/${churn}`,
    pages: [
      ['experiments', '/experiments'], ['experiment', `/experiments/${churn}`], ['experiment-charts', `/experiments/${churn}?look=charts`], ['experiment-scatter', `/experiments/${churn}?look=scatter`], ['experiment-parallel', `/experiments/${churn}?look=parallel`], ['compare', `/compare?runs=${ids.slice(0, 3).join(',')}`],
      ['tracked-overview', `${run}/overview`], ['tracked-metrics', `${run}/metrics`], ['tracked-system', `${run}/system`], ['tracked-table', `${run}/artifacts?file=tables%2Fscores.csv`], ['tracked-model', `${run}/artifacts?file=model%2FMLmodel`], ['tracked-page', `${run}/artifacts?file=report.html`],
      ['models-registered', '/models'], ['model-registered', '/models/churn'], ['version-registered', '/models/churn/2/evaluation'],
    ],
  };
}

/** The table of many runs, the completion, a chart's zoom and the comparison do what they say. */
export async function use(page, base, filled, runs, settle, expect) {
  await page.goto(`${base}/ui${filled.sweep}`);
  await settle(page);
  // Conditions are functions: the content security policy lets no text be evaluated again.
  await page.evaluate((n) => { document.documentElement.dataset.rows = String(n + 1); }, runs);
  await expect(page, `the table counts ${runs} runs`, () => document.querySelector('.vgrid').getAttribute('aria-rowcount') === document.documentElement.dataset.rows);
  await page.evaluate(() => { const grid = document.querySelector('.vgrid'); grid.scrollTop = grid.scrollHeight; });
  await expect(page, 'the table shows its end', () => !!document.querySelector(`.vrow[aria-rowindex="${document.documentElement.dataset.rows}"] a`), 15_000);
  await expect(page, 'only rows near the screen exist', () => document.querySelectorAll('.vrow').length < 80);

  await page.goto(`${base}/ui${filled.churn}`);
  await settle(page);
  const filter = page.getByRole('combobox', { name: 'Filter runs' });
  await filter.click();
  await filter.pressSequentially('metrics.val');
  await expect(page, 'the filter completes a metric', () => [...document.querySelectorAll('.suggestions [role=option]')].some((o) => o.textContent.includes('val_auc')), 15_000);
  await filter.fill('metrics.val_auc > 0.75');
  await filter.press('Enter');
  await expect(page, 'the filter is in the address and the table follows', () => location.search.includes('val_auc') && document.querySelectorAll('.vrow a').length === 3, 15_000);

  await page.goto(`${base}/ui${filled.churn}?look=charts`);
  await settle(page);
  const chart = page.locator('.card:has(canvas) .u-over').first();
  await chart.waitFor({ timeout: 15_000 });
  await chart.scrollIntoViewIfNeeded();
  const box = await chart.boundingBox();
  await page.mouse.move(box.x + box.width * 0.5, box.y + box.height / 2);
  await expect(page, 'a chart says the values under the pointer', () => !!document.querySelector('.plot .tip b'));
  await page.mouse.move(box.x + box.width * 0.25, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.75, box.y + box.height / 2, { steps: 4 });
  await page.mouse.up();
  await expect(page, 'a drag over a chart looks closer', () => [...document.querySelectorAll('button')].some((b) => b.textContent === 'Whole range'));

  await page.goto(`${base}/ui${filled.churn}`);
  await settle(page);
  for (const k of [0, 1]) await page.getByRole('checkbox', { name: `Select net-${k}` }).check();
  await page.getByRole('button', { name: 'Compare', exact: true }).click();
  await expect(page, 'chosen runs are compared', () => location.pathname === '/ui/compare' && [...document.querySelectorAll('table.compare th')].some((h) => h.textContent === 'depth'), 15_000);
}

/** Columns, pins, groups, nested runs, many runs at once, the download and two experiments followed: each does what it says, and what must be remembered is. */
export async function change(page, base, { settle, expect, check, look }) {
  const { mlflow } = api(base);
  const [first, second] = await Promise.all(['by-hand', 'by-hand-too'].map(async (name) => (await mlflow('experiments/create', { name })).experiment_id));
  const begun = Date.now() - 60_000;
  const make = async (experiment, name, k, tags = {}) => {
    const id = (await mlflow('runs/create', { experiment_id: experiment, run_name: name, start_time: begun + k * 1000, tags: Object.entries(tags).map(([key, value]) => ({ key, value })) })).run.info.run_id;
    await mlflow('runs/log-batch', { run_id: id, params: [{ key: 'depth', value: String(k) }], metrics: [{ key: 'auc', value: 0.7 + k / 50, step: 0, timestamp: begun }] });
    return id;
  };
  const ids = [];
  const parent = { 1: 0, 2: 0, 3: 1 }; // 3 is nested in 1, which is nested in 0 beside 2
  for (let k = 0; k < 8; k++) ids.push(await make(first, `hand-${k}`, k, { ...(k > 0 && { team: k % 2 ? "o'hara" : 'risk' }), ...(k in parent && { 'mlflow.parentRunId': ids[parent[k]] }) }));
  const run = async (k) => {
    const answer = await fetch(`${base}/api/v1/runs/${ids[k]}`);
    return answer.ok ? answer.json() : answer.status;
  };

  const open = async (path = first) => {
    await page.goto(`${base}/ui/experiments/${path}`);
    await settle(page);
  };
  const again = async () => {
    await page.reload();
    await settle(page);
  };
  const button = (name) => page.getByRole('button', { name, exact: true });
  const select = async (...runs) => {
    for (const k of runs) await page.getByRole('checkbox', { name: `Select hand-${k}` }).check();
  };
  const view = async (role, name) => {
    await button('View').click();
    await page.getByRole(role, { name, exact: true }).click();
    await page.keyboard.press('Escape');
    await page.getByRole('menu').waitFor({ state: 'detached' });
  };
  const shows = (what, runs) => expect(page, what, (want) => [...document.querySelectorAll('.vrow a')].map((a) => a.textContent.replace('hand-', '')).join(' ') === want, 15_000, runs);
  const heads = (what, columns) => expect(page, what, (want) => [...document.querySelectorAll('[role=columnheader][title]')].map((c) => c.title).join(' ') === want, 15_000, columns);
  const unpicked = (what) => expect(page, what, () => !document.querySelector('.toolbar.picked'), 15_000);

  await open();
  await shows('the newest run is first', '7 6 5 4 3 2 1 0');
  await page.getByRole('button', { name: /^Columns/ }).click();
  const find = page.getByRole('textbox', { name: 'Find a column' });
  const toggle = async (column) => {
    await find.fill(column);
    await page.getByRole('dialog').locator('li', { hasText: column }).getByRole('checkbox').click();
  };
  await toggle('team');
  await heads('a column is chosen', 'metrics.auc params.depth tags.team');
  await toggle('depth');
  await heads('a column is taken away', 'metrics.auc tags.team');
  await find.fill('');
  await look(page, 'the choice of columns');
  await open();
  await heads('an address without columns has those that were chosen last', 'metrics.auc tags.team');

  await button('Pin hand-2').click();
  await shows('a pinned run stands first', '2 7 6 5 4 3 2 1 0');
  await again();
  await shows('a pinned run stands first after a reload', '2 7 6 5 4 3 2 1 0');
  await button('Pin hand-2').first().click();
  await shows('a run is no longer pinned', '7 6 5 4 3 2 1 0');

  await button('View').click();
  await page.getByRole('menuitemradio', { name: 'team', exact: true }).click();
  const grouped = (what) => expect(page, what, () => [...document.querySelectorAll('.groups [role=listitem]')].map((g) => g.textContent).join() === "o'hara4,risk3,none1", 15_000);
  await grouped('runs are counted by their tag');
  await look(page, 'the groups and the menu');
  await again();
  await grouped('runs are counted by their tag after a reload');
  await page.locator('.groups').getByRole('button', { name: /hara/ }).click();
  await shows('a group is chosen', '7 5 3 1');
  await expect(page, 'a group is a filter of the address', () => location.search.includes('hara') && !location.search.includes('group='));

  await open();
  await view('menuitemcheckbox', 'Nest child runs');
  await shows('nested runs are not rows of their own', '7 6 5 4 0');
  await button('Runs nested in hand-0').click();
  await shows('nested runs are below their run', '7 6 5 4 0 2 1');
  await button('Runs nested in hand-1').click();
  await shows('runs nested in a nested run are below it', '7 6 5 4 0 2 1 3');
  await button('Runs nested in hand-0').click();
  await shows('nested runs are hidden', '7 6 5 4 0');
  await again();
  await shows('runs are nested after a reload', '7 6 5 4 0');

  await open();
  await select(4, 5);
  await button('Tag').click();
  await page.getByRole('textbox', { name: 'Tag' }).fill('team');
  await page.getByRole('textbox', { name: 'Value' }).fill('night shift');
  await page.keyboard.press('Enter');
  await unpicked('many runs are tagged');
  check('the tag is kept', (await Promise.all([3, 4, 5].map(run))).map((r) => r.tags.team).join() === "o'hara,night shift,night shift");
  await expect(page, 'the table shows the tag', () => [...document.querySelectorAll('.vrow .cell')].filter((c) => c.textContent === 'night shift').length === 2, 15_000);

  await select(6, 7);
  await button('Delete').click();
  await shows('deleted runs leave the table', '5 4 3 2 1 0');
  check('deleted runs are kept as deleted', (await Promise.all([5, 6, 7].map(run))).map((r) => r.stage).join() === 'active,deleted,deleted');
  await view('menuitemradio', 'Deleted runs');
  await shows('deleted runs are shown', '7 6');
  await select(6);
  await button('Restore').click();
  await shows('a restored run is no longer deleted', '7');
  check('a restored run is active', (await run(6)).stage === 'active');
  await select(7);
  await button('Remove for good').click();
  const dialog = page.getByRole('dialog', { name: 'Remove 1 run for good?' });
  await dialog.waitFor();
  await look(page, 'the question before a run is removed');
  await dialog.getByRole('button', { name: 'Keep it' }).click();
  await dialog.waitFor({ state: 'detached' });
  check('a run stays when the answer is no', (await run(7)).stage === 'deleted');
  await button('Remove for good').click();
  await dialog.getByRole('button', { name: 'Remove for good' }).click();
  await expect(page, 'a removed run is not shown', () => document.querySelector('main .empty')?.textContent.includes('No run is deleted'), 15_000);
  await expect(page, 'the question is gone with it', () => !document.querySelector('[role=dialog]'));
  check('a removed run is gone', (await run(7)) === 404);

  await open(`${first}?nest=true`);
  await select(6);
  const [file] = await Promise.all([page.waitForEvent('download'), view('menuitem', 'Download as CSV')]);
  const lines = (await readFile(await file.path(), 'utf8')).trim().split('\n');
  check('the file has all runs, nested ones too', file.suggestedFilename() === 'runs.csv' && lines.length === 8 && ids.slice(0, 7).every((id) => lines.some((line) => line.startsWith(id))));
  check('the file has the chosen columns', lines[0].startsWith('run_id,attributes.name,') && lines[0].includes('tags.team') && !lines[0].includes('params.depth') && lines.some((line) => line.includes('hand-4,') && line.includes('night shift')));
  check('chosen runs stay chosen', await page.getByRole('checkbox', { name: 'Select hand-6' }).isChecked());

  const following = page.waitForResponse((answer) => answer.url().endsWith(`/experiments/${first},${second}/stream`));
  await open(`${first},${second}`);
  check('two experiments are followed in one stream', (await following).status() === 200);
  await make(second, 'hand-8', 8);
  await shows('a new run of the second experiment appears by itself', '8 6 5 4 3 2 1 0');
  await make(first, 'hand-9', 9);
  await shows('a new run of the first experiment appears by itself', '9 8 6 5 4 3 2 1 0');
}
