// The types of the API are written by hand in src/api/types.ts and serving.ts; here each is held against the schema that the server publishes in
// docs/openapi.json, through everything it is made of: a field that the server does not know, or may leave out, is a mistake.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

interface Schema {
  $ref?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: boolean | Schema;
}

const files = ['types', 'serving'].map((name) => fileURLToPath(new URL(`../../src/api/${name}.ts`, import.meta.url)));
const openapi = JSON.parse(readFileSync(new URL('../../../docs/openapi.json', import.meta.url), 'utf8')) as { components: { schemas: Record<string, Schema> } };
const schemas = openapi.components.schemas;

/** The schema of each type that a page reads; the types within them are reached from there. */
const roots: Record<string, string> = {
  Project: 'ProjectView', DatasetVersion: 'DataVersion', DatasetProfile: 'DataProfile', QuarantineView: 'QuarantineOutputBody', DatasetDiff: 'DataDiff',
  Run: 'TrackRun', Point: 'TrackPoint', AliasMove: 'RegistryMove', ModelVersion: 'RegistryVersion', VersionDetail: 'VersionDetail', Model: 'RegistryModel',
  Deployment: 'Deployment', EnginesView: 'EnginesOutputBody', ShadowStats: 'ServeShadowStats', RouteChange: 'ChangeInputBody', Rollout: 'Rollout', LogRow: 'LogRow', PredictAnswer: 'PredictAnswer',
  RowExplanations: 'RowExplanations', ExplanationSummary: 'ExplainSummary',
  Verdict: 'MonitorVerdict', DriftView: 'MonitorDriftView', Monitor: 'MonitorState', PerformanceView: 'MonitorPerformanceView', Alert: 'MonitorAlert',
  Trigger: 'RetrainTrigger', RetrainView: 'RetrainOutputBody', Event: 'GovernEvent', Job: 'QueueJob', Problem: 'Problem',
};

/** Types of no schema: the wrapper of lists, and files whose own formats are described elsewhere. */
const without = ['Items', 'File', 'Step', 'ContractCheck', 'ReferenceFile'];

const program = ts.createProgram(files, { strict: true, noEmit: true, skipLibCheck: true, target: ts.ScriptTarget.ES2022 });
const checker = program.getTypeChecker();
const declared = new Map<string, ts.Type>();
for (const file of files) {
  ts.forEachChild(program.getSourceFile(file) as ts.SourceFile, (node) => {
    if (ts.isInterfaceDeclaration(node)) declared.set(node.name.text, checker.getTypeAtLocation(node));
  });
}

const resolve = (schema: Schema | undefined): Schema | undefined => (schema?.$ref ? resolve(schemas[schema.$ref.replace('#/components/schemas/', '')]) : schema);

const seen = new Set<string>();
const wrong: string[] = [];

function compare(type: ts.Type, given: Schema | undefined, where: string) {
  const plain = checker.getNonNullableType(type);
  const schema = resolve(given);
  if (!schema || !(plain.flags & ts.TypeFlags.Object)) return; // a word or a number, or a value that the server describes no further
  if (checker.isArrayType(plain) || checker.isTupleType(plain)) {
    for (const element of checker.getTypeArguments(plain as ts.TypeReference)) compare(element, schema.items, `${where}[]`);
    return;
  }
  const values = checker.getIndexTypeOfType(plain, ts.IndexKind.String);
  if (values) {
    compare(values, typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined, `${where}{}`);
    return;
  }
  if (!schema.properties) return;
  const name = plain.symbol?.name ?? '';
  if (declared.has(name)) {
    const pair = `${name} ${given?.$ref ?? where}`;
    if (seen.has(pair)) return;
    seen.add(pair).add(name);
    for (const base of plain.getBaseTypes() ?? []) seen.add(base.symbol.name); // its fields are among these
  }
  for (const property of checker.getPropertiesOfType(plain)) {
    const place = `${where}.${property.name}`;
    const field = schema.properties[property.name];
    if (!field) {
      wrong.push(`${place}: the server has no such field`);
      continue;
    }
    if (!(property.flags & ts.SymbolFlags.Optional) && !schema.required?.includes(property.name)) wrong.push(`${place}: the server may leave it out`);
    compare(checker.getTypeOfSymbol(property), field, place);
  }
}

test('the types of the API are those of docs/openapi.json', () => {
  for (const [name, schema] of Object.entries(roots)) {
    expect(declared.has(name), `there is a type ${name}`).toBe(true);
    expect(schemas[schema], `docs/openapi.json has ${schema}`).toBeDefined();
    compare(declared.get(name) as ts.Type, { $ref: `#/components/schemas/${schema}` }, name);
  }
  expect(wrong).toEqual([]);
  expect([...declared.keys()].filter((name) => !seen.has(name) && !without.includes(name)), 'types that no schema was found for').toEqual([]);
});
