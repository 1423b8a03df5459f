// Fills a server as clients of MLflow do, through the public REST API, and uses the pages of what they logged.

/** What the pages show, by name, and its path; and the experiment with many runs. */
export async function fill(base, runs) {
  const send = async (method, path, body, type = 'application/json') => {
    const answer = await fetch(`${base}${path}`, { method, headers: { 'content-type': type }, body: type === 'application/json' ? JSON.stringify(body) : body });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json().catch(() => ({}));
  };
  const mlflow = (path, body) => send('POST', `/api/2.0/mlflow/${path}`, body);
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
