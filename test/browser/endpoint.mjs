// A served model as its page shows it: a canary and a shadow with traffic, a model in a worker process, and one that takes tensors.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { once } from './program.mjs';

const words = `INPUTS = [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
OUTPUTS = [{"name": "length", "datatype": "INT64", "shape": [-1]}]


def load(path):
    print("ready to count")


def predict(model, inputs):
    return {"length": [len(t) for t in inputs["text"]]}
`;

const pairs = `INPUTS = [{"name": "a", "datatype": "FP32", "shape": [-1, 3]}, {"name": "b", "datatype": "FP32", "shape": [-1, 3]}]
OUTPUTS = [{"name": "sum", "datatype": "FP32", "shape": [-1, 3]}, {"name": "dot", "datatype": "FP32", "shape": [-1]}]


def predict(model, inputs):
    both = list(zip(inputs["a"], inputs["b"]))
    return {"sum": [[x + y for x, y in zip(u, v)] for u, v in both], "dot": [sum(x * y for x, y in zip(u, v)) for u, v in both]}
`;

/** Registers and deploys the two models of a program, the first in two versions. */
export async function build(dir) {
  for (const [name, text] of [['words', words], ['pairs', pairs]]) {
    await mkdir(join(dir, name), { recursive: true });
    await writeFile(join(dir, name, 'predict.py'), text);
    await once(dir, 'models', 'import', join(dir, name), '--name', name, '--deploy');
  }
  await once(dir, 'models', 'import', join(dir, 'words'), '--name', 'words');
}

async function post(base, path, body) {
  const answer = await fetch(`${base}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`POST ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** Gives churn's champion a shadow and traffic; the pages that show it. */
export async function pages(base) {
  await post(base, '/api/v1/deployments/churn/route', { shadow: 2, reason: 'see what it would say' });
  for (let i = 0; i < 40; i++) {
    const rows = [0, 1, 2].map((k) => ({ region: ['north', 'south', 'east'][k], plan: ['basic', 'plus', 'pro'][(i + k) % 3], age: 20 + i, use: (7 * i + 30 * k) % 100, price: 5 + ((i * 3) % 40) }));
    await post(base, '/api/v1/deployments/churn/predict', { rows });
  }
  await post(base, '/v2/models/pairs/infer', { inputs: ['a', 'b'].map((name) => ({ name, shape: [1, 3], datatype: 'FP32', data: [1, 2, 3] })) });
  await post(base, '/api/v1/deployments/words/route', { standby: 2, labels: { next: 2 }, rules: [{ header: 'x-team', value: 'blue', version: 2 }], reason: 'ready to swap' });
  return [
    ['endpoint-churn', '/deployments/churn/endpoint'], ['endpoint-words', '/deployments/words/endpoint'], ['endpoint-pairs', '/deployments/pairs/endpoint'],
    ['endpoint-certificate', '/models/words/1/evaluation'], ['endpoint-list', '/deployments'],
  ];
}

/** A request is tried and counted, the route is changed and changed back, and what computes a version is told. */
export async function use(page, base, settle, expect) {
  const open = async (name) => {
    await page.goto(`${base}/ui/deployments/${name}/endpoint`);
    await settle(page);
  };
  const facts = () => Number(/([\d,]+) predictions/.exec(document.querySelector('.facts').textContent)[1].replace(/,/g, ''));

  await open('churn');
  await expect(page, 'the endpoint shows its versions', () => ['Route', 'Traffic by version', 'Latency p99 per version', 'Shadow', 'Engine of v1', 'Engine of v2'].every((name) => document.querySelector(`main section[aria-label="${name}"]`)));
  await expect(page, 'the shadow is compared with the champion', () => /\d+ of \d+ rows/.test(document.querySelector('section[aria-label="Shadow"]').textContent), 15_000);
  const before = await page.evaluate(facts);
  await page.getByLabel('Who is asked', { exact: true }).selectOption('1');
  await page.getByRole('button', { name: 'Predict', exact: true }).click();
  await expect(page, 'a tried request is answered', () => /^0\.\d{3}$/.test(document.querySelector('section[aria-label="Try it"] .figure.large')?.textContent ?? ''), 15_000);
  await expect(page, 'it is counted', (was) => Number(/([\d,]+) predictions/.exec(document.querySelector('.facts').textContent)[1].replace(/,/g, '')) > was, 15_000, before);
  await page.getByRole('button', { name: 'Copy as', exact: true }).click();
  for (const [language, sign] of [['curl', 'curl -s'], ['Python', 'urllib.request'], ['Go', 'package main'], ['Java', 'java.net.http']]) {
    await page.getByRole('button', { name: language, exact: true }).click();
    await expect(page, `the request is shown for ${language}`, (text) => { const said = document.querySelector('.program')?.textContent ?? ''; return said.includes(text) && said.includes('/v2/models/churn/versions/1/infer'); }, 5_000, sign);
  }
  await page.keyboard.press('Escape');

  await open('words');
  await expect(page, 'a worker shows its process, its sandbox and its log', () => {
    const panel = document.querySelector('section[aria-label="Engine of v1"]');
    return panel.querySelector('[aria-label="Processes of v1"] tbody tr') && panel.querySelectorAll('.rungs li').length > 3 && panel.querySelector('pre').textContent.includes('ready to count');
  }, 15_000);
  await page.getByLabel('text', { exact: true }).fill('trimtab');
  await page.getByRole('button', { name: 'Predict', exact: true }).click();
  await expect(page, 'the worker answers', () => document.querySelector('section[aria-label="Try it"] .figure.large')?.textContent === '7', 15_000);
  await page.getByRole('button', { name: 'Swap…', exact: true }).click();
  await page.getByLabel('Reason', { exact: true }).fill('try the next version');
  await page.getByRole('button', { name: 'Swap', exact: true }).click();
  await expect(page, 'a swap lets the standby answer', () => document.querySelector('section[aria-label="Route"] .split').getAttribute('aria-label').startsWith('champion v2'), 15_000);
  await page.getByRole('button', { name: 'Back…', exact: true }).click();
  await page.getByLabel('Reason', { exact: true }).fill('and back');
  await page.getByRole('button', { name: 'Go back', exact: true }).click();
  await expect(page, 'and back', () => document.querySelector('section[aria-label="Route"] .split').getAttribute('aria-label').startsWith('champion v1'), 15_000);
  await page.getByRole('button', { name: 'Change…', exact: true }).click();
  await page.getByLabel('Part', { exact: true }).selectOption('shadow');
  await page.getByLabel('Reason', { exact: true }).fill('compare them');
  await page.getByRole('button', { name: 'Change', exact: true }).click();
  await expect(page, 'a shadow is set by hand', () => [...document.querySelectorAll('section[aria-label="Route"] tbody tr')].some((row) => /Shadow\s*v2/.test(row.textContent)), 15_000);

  await open('pairs');
  await page.getByLabel('Request', { exact: true }).fill('{"inputs": [{"name": "a", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]');
  await expect(page, 'what is no JSON is not sent', () => document.querySelector('section[aria-label="Try it"] button[type=submit]').disabled);
  await page.getByLabel('Request', { exact: true }).fill(JSON.stringify({ inputs: ['a', 'b'].map((name) => ({ name, shape: [1, 3], datatype: 'FP32', data: [1, 2, 3] })) }));
  await page.getByRole('button', { name: 'Predict', exact: true }).click();
  await expect(page, 'tensors are answered with tensors', () => /dot\s*FP\d\d 1\s*14/.test(document.querySelector('section[aria-label="Try it"]').textContent), 15_000);
}
