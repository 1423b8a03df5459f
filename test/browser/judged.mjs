// Projects whose files ask for everything that a version is judged by: folds, fairness, a preset beside its baselines, a
// champion to test against, a column that knows the label, and several classes. Written as files and applied by bin/trimtab.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { once } from './program.mjs';

/** The same numbers in every run. */
function numbers(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296; // Numerical Recipes' generator
    return state / 4294967296;
  };
}

const regions = ['north', 'south', 'east', 'west', 'isle'];
const plans = ['basic', 'plus', 'pro'];

/** Customers by day: churn follows use and price, another way round in the south; `ticket` is known only after they left. */
function customers(rows) {
  const random = numbers(7);
  const lines = ['id,seen_at,region,plan,age,use,price,ticket,churned'];
  const begun = Date.UTC(2026, 0, 1);
  for (let i = 0; i < rows; i++) {
    const region = random() < 0.01 ? 'isle' : regions[Math.floor(random() * 4)];
    const plan = plans[Math.floor(random() * 3)];
    const age = 18 + Math.floor(random() * 60);
    const use = Math.round(random() * 1000) / 10;
    const price = 5 + Math.round(random() * 400) / 10;
    const margin = (price - 25) / 8 - (use - 50) / 20 + (plan === 'pro' ? -0.8 : 0);
    const churned = random() < 1 / (1 + Math.exp(region === 'south' && age > 40 ? margin : -margin)) ? 0 : 1;
    const at = new Date(begun + i * 3_600_000).toISOString().slice(0, 19);
    lines.push([i, at, region, plan, age, random() < 0.05 ? '' : use, price, churned ? 900 + Math.floor(random() * 90) : Math.floor(random() * 90), churned].join(','));
  }
  return lines.join('\n') + '\n';
}

/** Fruit of three kinds by size and weight; apples and pears are alike. */
function fruit(rows) {
  const random = numbers(11);
  const lines = ['id,size,weight,farm,kind'];
  for (let i = 0; i < rows; i++) {
    const kind = ['apple', 'pear', 'plum'][i % 3];
    const size = (kind === 'plum' ? 4 : 7) + 2 * random();
    lines.push([i, size.toFixed(2), ((kind === 'plum' ? 60 : kind === 'pear' ? 170 : 150) + 50 * random()).toFixed(1), ['hill', 'valley'][Math.floor(random() * 2)], kind].join(','));
  }
  return lines.join('\n') + '\n';
}

const churnFile = (name, train, leak) => `project: ${name}
data:
  customers: {files: customers.csv, key: [id], time: {column: seen_at, zone: UTC}}
model:
  name: ${name}
  from: customers
  label: {churned: churned = 1}
  inputs: [region, plan, age, use, price${leak}]
  split: {by: time, test: 30%}
  prepare: [{one_hot: [region, plan]}]
  train: ${train}
evaluate:
  gates: ['auc >= 0.6']
  slices: [region, plan]
  cv: stratified k=4 shuffle=true seed=1
  fairness: {groups: [region, plan], cross: true, min_size: 60}
deploy: {name: ${name}}
`;

const fruitFile = `project: fruit
data:
  fruit: {files: fruit.csv, key: [id]}
model:
  name: fruit
  from: fruit
  label: {kind: kind}
  inputs: [size, weight, farm]
  split: {by: random, test: 30%}
  prepare: [{one_hot: [farm]}]
  train: {learner: gbdt, rounds: 30, leaves: 7, min_leaf: 20}
evaluate: {gates: ['accuracy >= 0.5'], slices: [farm], cv: kfold k=3 shuffle=true seed=2}
`;

/** Builds two versions of churn, the second a preset, one with the column that knows the label, and one of fruit. */
export async function build(dir) {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'customers.csv'), customers(4_000));
  await writeFile(join(dir, 'fruit.csv'), fruit(900));
  for (const file of [churnFile('churn', '{learner: logistic}', ''), churnFile('churn', '{preset: fast}', ''), churnFile('tickets', '{learner: gbdt, rounds: 20, leaves: 7}', ', ticket')]) {
    await writeFile(join(dir, 'trimtab.yaml'), file);
    await once(dir, 'apply');
  }
  await writeFile(join(dir, 'fruit.yaml'), fruitFile);
  await once(dir, 'apply', '-f', 'fruit.yaml');
}

/** The pages of what was built, by name. */
export async function pages(base) {
  const version = await (await fetch(`${base}/api/v1/models/churn/versions/2`)).json();
  return [
    ['judged-baseline', '/models/churn/1/evaluation'], ['judged-evaluation', '/models/churn/2/evaluation'], ['judged-fairness', '/models/churn/2/fairness'], ['judged-explanations', '/models/churn/1/explanations'],
    ['judged-leak', '/models/tickets/1/evaluation'], ['judged-leak-explanations', '/models/tickets/1/explanations'], ['judged-classes', '/models/fruit/1/evaluation'], ['judged-classes-explanations', '/models/fruit/1/explanations?output=plum&row=3'],
    ['judged-run', `/runs/${version.run_id}/overview`], ['judged-importance', `/runs/${version.run_id}/artifacts?file=importance.json`],
  ];
}

/** What a version was judged by is on its pages, and a row is explained: one of the sample, and one that is typed. */
export async function use(page, base, settle, expect) {
  const sections = async (path, what, names) => {
    await page.goto(`${base}/ui${path}`);
    await settle(page);
    await page.evaluate((list) => { document.documentElement.dataset.wanted = list.join('|'); }, names);
    await expect(page, what, () => document.documentElement.dataset.wanted.split('|').every((name) => document.querySelector(`main section[aria-label="${name}"]`)));
  };
  await sections('/models/churn/2/evaluation', 'the version shows what it was judged by', ['ROC curve', 'Precision and recall', 'Calibration', 'Tests', 'Folds', 'Slices', 'Weak slices', 'Members', 'Importance']);
  await expect(page, 'the tests show all of their columns', () => {
    const box = document.querySelector('section[aria-label="Tests"] .scroll');
    return window.innerWidth < 1180 || box.scrollWidth <= box.clientWidth;
  });
  await sections('/models/churn/1/evaluation', 'a weak slice is listed', ['Weak slices']);
  await expect(page, 'it is the one that was made', () => [...document.querySelectorAll('section[aria-label="Weak slices"] tbody tr')].some((row) => /region\s*south/.test(row.textContent)));
  await sections('/models/tickets/1/evaluation', 'a column that knows the label is told', ['Leak alarms']);
  await sections('/models/fruit/1/evaluation', 'several classes have their decisions', ['Decisions', 'Calibration']);
  await sections('/models/churn/2/fairness', 'groups and gaps are compared', ['Groups', 'Gaps']);
  await page.getByRole('button', { name: 'region and plan', exact: true }).click();
  await expect(page, 'combinations of groups are compared', () => [...document.querySelectorAll('section[aria-label="Groups"] tbody td')].some((cell) => cell.textContent.includes('region=')));

  await sections('/models/churn/1/explanations', 'the explanations show influence, contributions and one row', ['Influence', 'Contributions of held-out rows', 'Waterfall of one row', 'By value']);
  await expect(page, 'the contributions are drawn', () => {
    const canvas = document.querySelector('section[aria-label="Contributions of held-out rows"] canvas');
    return new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer).some((pixel) => pixel !== 0);
  });
  await page.getByRole('button', { name: 'Next row' }).focus();
  await page.keyboard.press('Enter');
  await expect(page, 'the next row is opened by its key and is in the address', () => location.search.includes('row=2'));
  await page.getByRole('button', { name: 'Typed', exact: true }).click();
  await page.getByRole('button', { name: 'Explain', exact: true }).click();
  await expect(page, 'a typed row is explained', () => !!document.querySelector('section[aria-label="Waterfall of one row"] svg[role=img]'), 15_000);
}
