// Records what a running server answers (TRIMTAB_URL, best after `trimtab demo`) as fixtures.json for the mock server:
//   TRIMTAB_URL=http://127.0.0.1:7070 node test/record.mjs
import { writeFile } from 'node:fs/promises';

const base = (process.env.TRIMTAB_URL ?? 'http://127.0.0.1:7070').replace(/\/$/, '');
const kept = {};
const keep = async (path, change = (body) => body) => {
  const answer = await fetch(`${base}/api/v1/${path}`);
  if (!answer.ok) return undefined;
  const body = change(await answer.json());
  kept[path.split('?')[0]] = body;
  return body;
};
const first = (n) => (body) => ({ ...body, items: body.items.slice(0, n) });
// What no page reads, and what would make the file large.
const lean = (v) => ({ ...v, parts: v.parts?.slice(0, 12).map((p) => ({ ...p, schema: [], columns: {} })) });

const { items: projects } = await keep('projects');
for (const { name: p } of projects) {
  await keep(`projects/${p}`);
  await keep(`projects/${p}/retrain`);
  const { items: runs } = await keep(`projects/${p}/runs?limit=20`);
  for (const r of runs) {
    await keep(`runs/${r.id}`);
    if (r === runs[0]) await keep(`runs/${r.id}/metrics`);
  }
  const { items: datasets } = await keep(`projects/${p}/datasets`, (b) => ({ items: b.items.map(lean) }));
  for (const { dataset: d, number: n } of datasets) {
    const path = `projects/${p}/datasets/${d}`;
    await keep(`${path}/versions`, (b) => ({ items: b.items.map(lean) }));
    await keep(`${path}/versions/${n}/profile`);
    await keep(`${path}/versions/${n}/quarantine?limit=20`);
    if (n > 1) await keep(`${path}/diff?from=${n - 1}&to=${n}`, (b) => ({ ...b, parts_added: b.parts_added?.map((x) => ({ rows: x.rows, source: x.source })), parts_removed: b.parts_removed?.map((x) => ({ rows: x.rows, source: x.source })) }));
  }
}
const { items: models } = await keep('models');
for (const { name: m } of models) {
  await keep(`models/${m}`);
  await keep(`models/${m}/history`);
  const { items: versions } = await keep(`models/${m}/versions`, (b) => ({ items: b.items.map((v) => ({ ...v, signature: { ...v.signature, inputs: [] }, files: [], importance: [] })) }));
  for (const { version: v } of versions.slice(0, 2)) {
    const thin = (curve) => curve && { ...curve, points: curve.points.filter((_, i) => i % 4 === 0 || i === curve.points.length - 1) };
    await keep(`models/${m}/versions/${v}`, (b) => ({ ...b, evaluation: b.evaluation && { ...b.evaluation, roc: thin(b.evaluation.roc), pr: thin(b.evaluation.pr) } }));
    if (v === versions[0].version) await keep(`models/${m}/versions/${v}/files/reference.json`, (b) => ({ rows: b.rows, columns: b.columns.map((c) => ({ name: c.name, kind: c.kind, center: c.center, words: c.words?.slice(0, 20), counts: { cells: c.counts.cells?.slice(0, 23) } })) }));
  }
}
const { items: deployments } = await keep('deployments');
for (const { name: d } of deployments) {
  await keep(`deployments/${d}`);
  await keep(`deployments/${d}/rollouts`);
  await keep(`deployments/${d}/rollout`);
  await keep(`deployments/${d}/log?limit=80`);
  await keep(`monitors/${d}`);
  await keep(`monitors/${d}/performance?limit=200`);
  await keep(`monitors/${d}/drift`, (b) => ({ ...b, columns: b.columns.map((c) => ({ ...c, history: c.history.slice(-20) })) }));
  await keep(`monitors/${d}/verdicts?kind=quality&limit=60`, (b) => ({ items: b.items.slice(0, 20).map((v) => ({ ...v, columns: [] })) }));
}
await keep('monitors');
await keep('alerts?limit=200');
await keep('jobs?limit=100', (b) => ({ items: b.items.slice(0, 20).map((j) => ({ ...j, args: {}, result: undefined })) }));
await keep('events?limit=500', first(60));
const text = JSON.stringify(kept).replaceAll(/"dir":"[^"]*"/g, '"dir":"/srv/flights"');
await writeFile(new URL('fixtures.json', import.meta.url), text + '\n');
console.log(`${Object.keys(kept).length} answers, ${text.length} bytes`);
