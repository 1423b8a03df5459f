// The files of a run: a tree, and a viewer for what can be looked at. What somebody logged is shown in a sandbox.
import { useEffect, useMemo, useState } from 'react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { get, request, seg } from '../api/client';
import { useList } from '../api/queries';
import type { TrackedRun } from '../api/tracking';
import { bytes, count } from '../format/number';
import { Snippet } from './command';
import { Confirm } from './confirm';
import { Icon } from './icons';
import { Panel } from './page';
import { Await, Empty, Failure, Loading } from './states';

export interface ArtifactItem {
  path: string;
  dir?: boolean;
  size: number;
  blob?: string;
  modified_at: string;
}

const each = (path: string) => path.split('/').map(encodeURIComponent).join('/');
/** A file that belongs to a model which the run logged, as this page's address writes it: models:/ID/PATH. */
const inModel = (path: string) => /^models:\/([^/]+)\/?(.*)$/.exec(path);
const modelFiles = (id: string) => `/ajax-api/2.0/mlflow/logged-models/${seg(id)}/artifacts`;
export const fileURL = (run: string, path: string) => {
  const model = inModel(path);
  return model ? `${modelFiles(model[1] ?? '')}/files?artifact_file_path=${encodeURIComponent(model[2] ?? '')}` : `/api/v1/runs/${seg(run)}/artifacts/files/${each(path)}`;
};
const downloadURL = (run: string, path: string) => `${fileURL(run, path)}${inModel(path) ? '' : '?download'}`;

/** What a folder holds, of the run or of a model that it logged. */
function useFolder(run: string, path: string) {
  const model = inModel(path);
  const own = useList<ArtifactItem>(`runs/${seg(run)}/artifacts${path ? `?path=${encodeURIComponent(path)}` : ''}`, { enabled: !model });
  const logged = useQuery({
    queryKey: ['get', 'model-files', path], enabled: !!model,
    queryFn: async ({ signal }) => {
      const answer = await fetch(`${modelFiles(model?.[1] ?? '')}/directories?artifact_directory_path=${encodeURIComponent(model?.[2] ?? '')}`, { signal });
      if (!answer.ok) throw new Error(`The server answered ${answer.status}`);
      const { files = [] } = (await answer.json()) as { files?: { path: string; is_dir?: boolean; file_size?: number }[] };
      return files.map((f): ArtifactItem => ({ path: `models:/${model?.[1]}/${f.path}`, dir: f.is_dir, size: f.file_size ?? 0, modified_at: '' }));
    },
  });
  return model ? { of: logged, items: logged.data ?? [] } : { of: own, items: own.items };
}

const extension = (path: string) => (/\.([a-z0-9]+)$/i.exec(path)?.[1] ?? '').toLowerCase();
const largest = 1_000_000; // bytes of a text that is shown whole

export type Look = 'image' | 'table' | 'json' | 'html' | 'pdf' | 'media' | 'text' | 'none';

/** How a file is shown, by its name. */
export function lookOf(path: string): Look {
  const e = extension(path);
  const name = path.split('/').pop() ?? '';
  if (['png', 'jpg', 'jpeg', 'gif', 'webp', 'svg', 'bmp'].includes(e)) return 'image';
  if (['csv', 'tsv'].includes(e)) return 'table';
  if (e === 'json') return 'json';
  if (e === 'html' || e === 'htm') return 'html';
  if (e === 'pdf') return 'pdf';
  if (['mp4', 'webm', 'mp3', 'wav', 'ogg'].includes(e)) return 'media';
  if (['txt', 'log', 'md', 'py', 'r', 'yaml', 'yml', 'toml', 'ini', 'cfg', 'sh', 'sql', 'js', 'ts', 'go', 'java', 'c', 'h', 'cpp', 'xml', 'diff', 'patch', 'lock', 'jsonl', 'ndjson', 'requirements'].includes(e) || ['MLmodel', 'Dockerfile', 'Makefile', 'requirements', 'conda'].includes(name)) return 'text';
  return 'none';
}

function Branch({ run, path, depth, chosen, onChoose, models = [] }: { run: string; path: string; depth: number; chosen: string; onChoose: (path: string) => void; models?: string[] }) {
  const { of: list, items: found } = useFolder(run, path);
  const [open, setOpen] = useState<Set<string>>(() => new Set(chosen ? chosen.split('/').slice(0, -1).map((_, i, all) => all.slice(0, i + 1).join('/')) : []));
  const items = [...models.map((id): ArtifactItem => ({ path: `models:/${id}`, dir: true, size: 0, modified_at: '' })), ...found].sort((a, b) => Number(!!b.dir) - Number(!!a.dir) || a.path.localeCompare(b.path, 'en', { numeric: true }));
  return (
    <Await of={list} what="The files" rows={depth ? 1 : 5}>
      {items.length === 0 && depth === 0 ? <Empty title="This run has no file">What a script logs with <code className="mono">mlflow.log_artifact</code> appears here.</Empty> : (
        <ul className="tree" role={depth === 0 ? 'tree' : 'group'} aria-label={depth === 0 ? 'Artifacts' : undefined}>
          {items.map((item) => {
            const name = models.includes(item.path.slice(8)) && depth === 0 ? `model ${item.path.slice(8)}` : (item.path.split('/').pop() ?? item.path);
            const unfolded = open.has(item.path);
            return (
              <li key={item.path} role="treeitem" aria-expanded={item.dir ? unfolded : undefined} aria-selected={chosen === item.path}>
                <button type="button" data-row style={{ paddingLeft: 8 + depth * 16 }} className={chosen === item.path ? 'chosen' : ''} onClick={() => (item.dir ? setOpen((old) => { const next = new Set(old); if (!next.delete(item.path)) next.add(item.path); return next; }) : onChoose(item.path))}>
                  {item.dir ? <Icon name={unfolded ? 'down' : 'next'} /> : <span style={{ width: 16 }} />}
                  <span className="clip">{name}</span>
                  <span className="third tiny push">{item.dir ? '' : bytes(item.size)}</span>
                </button>
                {item.dir && unfolded && <Branch run={run} path={item.path} depth={depth + 1} chosen={chosen} onChoose={onChoose} />}
              </li>
            );
          })}
        </ul>
      )}
    </Await>
  );
}

export function Artifacts({ run }: { run: TrackedRun }) {
  const { file = '' } = useSearch({ strict: false }) as { file?: string };
  const navigate = useNavigate();
  const client = useQueryClient();
  const [failed, setFailed] = useState<Error | null>(null);
  const choose = (path: string) => void navigate({ search: (old: Record<string, unknown>) => ({ ...old, file: path || undefined }), replace: true } as never);
  const upload = async (files: FileList | null) => {
    setFailed(null);
    try {
      for (const f of files ?? []) {
        const answer = await fetch(fileURL(run.id, f.name), { method: 'PUT', body: f });
        if (!answer.ok) throw new Error(`${f.name}: the server answered ${answer.status}`);
      }
      await client.invalidateQueries({ queryKey: ['get'] });
    } catch (cause) {
      setFailed(cause instanceof Error ? cause : new Error(String(cause)));
    }
  };
  const remove = async () => {
    setFailed(null);
    try {
      await request('DELETE', `runs/${seg(run.id)}/artifacts/files/${each(file)}`);
      choose('');
      await client.invalidateQueries({ queryKey: ['get'] });
    } catch (cause) {
      setFailed(cause instanceof Error ? cause : new Error(String(cause)));
    }
  };
  return (
    <div className="grid">
      <div className="s4 col">
        <Panel title="Files" tools={<label className="btn small">Upload<input type="file" multiple className="hidden" onChange={(e) => void upload(e.target.files)} /></label>} foot={<span className="mono wrapped">{run.artifact_uri}</span>}>
          {failed && <Failure error={failed} what="It did not happen" />}
          <Branch run={run.id} path="" depth={0} chosen={file} onChoose={choose} models={(run.model_outputs ?? []).map((m) => m.model_id)} />
        </Panel>
      </div>
      <div className="s8 col">
        {file ? (
          <Panel title={<span className="mono">{file}</span>} tools={<><a className="btn small" href={downloadURL(run.id, file)}><Icon name="download" /> Download</a>{!inModel(file) && <Confirm label="Delete" title={`Delete ${file}?`} act={remove}>The file is gone from this run; nothing brings it back. Registered versions keep the files they hold.</Confirm>}</>}>
            <Viewer run={run} path={file} key={file} />
          </Panel>
        ) : (
          <Panel label="No file chosen"><Empty title="Choose a file">Text, tables, images, pages, PDF and models can be looked at here; everything can be downloaded.</Empty></Panel>
        )}
      </div>
    </div>
  );
}

function Viewer({ run, path }: { run: TrackedRun; path: string }) {
  const look = lookOf(path);
  const url = fileURL(run.id, path);
  const name = path.split('/').pop() ?? path;
  const textual = look === 'text' || look === 'json' || look === 'table';
  const text = useQuery({
    queryKey: ['get', url, 'text'], enabled: textual,
    queryFn: async ({ signal }) => {
      const answer = await fetch(url, { signal, headers: { range: `bytes=0-${largest - 1}` } });
      if (!answer.ok) throw new Error(`The server answered ${answer.status}`);
      const total = Number(/\/(\d+)$/.exec(answer.headers.get('content-range') ?? '')?.[1] ?? answer.headers.get('content-length') ?? 0);
      return { text: await answer.text(), total };
    },
  });
  if (look === 'image') return <div className="body"><img src={url} alt={name} style={{ maxWidth: '100%', background: 'var(--sunken)' }} /></div>;
  if (look === 'pdf') return <iframe title={name} src={url} style={{ width: '100%', height: 'calc(100vh - 260px)', border: 0 }} />;
  if (look === 'html') return <iframe title={name} src={url} sandbox="" style={{ width: '100%', height: 'calc(100vh - 260px)', border: 0, background: '#fff' }} />;
  if (look === 'media') return /\.(mp3|wav|ogg)$/.test(path) ? <audio controls src={url} style={{ width: '100%', padding: 16 }} aria-label={name} /> : <video controls src={url} style={{ maxWidth: '100%' }} aria-label={name} />;
  if (!textual) return <Empty title="This file has no picture">Download it to open it.</Empty>;
  if (text.error) return <Failure error={text.error} what="The file cannot be shown" />;
  if (!text.data) return <Loading rows={8} />;
  const cut = text.data.total > largest;
  return (
    <>
      {name === 'MLmodel' && <ModelCard run={run} path={path} text={text.data.text} />}
      {look === 'table' && !cut ? <CSVTable text={text.data.text} separator={extension(path) === 'tsv' ? '\t' : ','} /> : <pre className="code view" tabIndex={0} aria-label={name}>{look === 'json' && !cut ? pretty(text.data.text) : text.data.text}</pre>}
      {cut && <p className="third tiny body">The first {bytes(largest)} of {bytes(text.data.total)}.</p>}
    </>
  );
}

const pretty = (text: string) => {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // bare NaN, comments: shown as it is
  }
};

/** Rows of a CSV text, with quotes. */
export function parseCSV(text: string, separator = ',', limit = 1001): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = '';
  let quoted = false;
  for (let i = 0; i < text.length && rows.length < limit; i++) {
    const c = text[i] as string;
    if (quoted) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') { cell += '"'; i++; }
      else quoted = false;
    } else if (c === '"' && cell === '') quoted = true;
    else if (c === separator) { row.push(cell); cell = ''; }
    else if (c === '\n' || c === '\r') {
      if (c === '\r' && text[i + 1] === '\n') i++;
      row.push(cell);
      if (row.length > 1 || row[0] !== '') rows.push(row);
      row = [];
      cell = '';
    } else cell += c;
  }
  if ((cell !== '' || row.length > 0) && rows.length < limit) rows.push([...row, cell]);
  return rows;
}

function CSVTable({ text, separator }: { text: string; separator: string }) {
  const rows = useMemo(() => parseCSV(text, separator), [text, separator]);
  const [head = [], ...body] = rows;
  return (
    <>
      <div className="scroll" tabIndex={0} role="region" aria-label="Table" style={{ maxHeight: 'calc(100vh - 280px)', overflow: 'auto' }}>
        <table className="dense"><thead><tr>{head.map((h, i) => <th key={i} scope="col" className={body[0]?.[i] && Number.isFinite(Number(body[0][i])) ? 'right' : ''}>{h}</th>)}</tr></thead><tbody>{body.map((r, i) => <tr key={i}>{r.map((c, j) => <td key={j} className={c !== '' && Number.isFinite(Number(c)) ? 'right' : ''}>{c}</td>)}</tr>)}</tbody></table>
      </div>
      <p className="third tiny body">{count(body.length)} rows{rows.length > 1000 ? ', the first of more' : ''}</p>
    </>
  );
}

/** What MLmodel says about a model: its flavours, its inputs and outputs, and how to load it. */
function ModelCard({ run, path, text }: { run: TrackedRun; path: string; text: string }) {
  const folder = path.split('/').slice(0, -1).join('/');
  const flavours = [...text.matchAll(/^ {2}([a-z_]+):\s*$/gm)].map((m) => m[1]).filter((f) => f !== 'inputs' && f !== 'outputs');
  const columns = (part: string) => {
    const found = new RegExp(`^  ${part}: '((?:[^']|'')*)'`, 'm').exec(text)?.[1]?.replace(/\n\s*/g, ' '); // YAML folds long lines
    try {
      return found ? (JSON.parse(found.replace(/''/g, "'")) as { name?: string; type: string; required?: boolean; 'tensor-spec'?: { dtype: string; shape: number[] } }[]) : [];
    } catch {
      return [];
    }
  };
  const inputs = columns('inputs');
  const outputs = columns('outputs');
  const rows = [...inputs.map((c) => ({ ...c, side: 'input' })), ...outputs.map((c) => ({ ...c, side: 'output' }))];
  return (
    <div className="body">
      <p><b>Model</b> <span className="second">{flavours.join(', ')}</span></p>
      {rows.length > 0 && (
        <table className="dense" style={{ margin: '8px 0' }}>
          <caption className="hidden">Signature</caption>
          <thead><tr><th scope="col">Side</th><th scope="col">Name</th><th scope="col">Type</th><th scope="col">Required</th></tr></thead>
          <tbody>{rows.slice(0, 200).map((c, i) => <tr key={i}><td>{c.side}</td><td className="mono">{c.name ?? '–'}</td><td>{c['tensor-spec'] ? `${c['tensor-spec'].dtype} [${c['tensor-spec'].shape.join(', ')}]` : c.type}</td><td>{c.required === false ? 'no' : 'yes'}</td></tr>)}</tbody>
        </table>
      )}
      <Snippet text={`import mlflow\n\nmodel = mlflow.pyfunc.load_model(\n    "${inModel(path) ? folder : `runs:/${run.id}/${folder}`}"\n)`} />
    </div>
  );
}

/** What the program printed: logs/output.log of the run, followed while it goes on. */
export function Log({ run, live }: { run: TrackedRun; live: boolean }) {
  const [text, setText] = useState<string | null | undefined>();
  const [error, setError] = useState<Error | null>(null);
  useEffect(() => {
    let stopped = false;
    const read = async () => {
      try {
        // Whether there is one is asked by name: that a run printed nothing is no error.
        const { items } = await get<{ items: ArtifactItem[] | null }>(`runs/${seg(run.id)}/artifacts?path=logs`);
        if (stopped) return;
        if (!items?.some((f) => f.path === 'logs/output.log')) {
          setText(null);
          return;
        }
        const answer = await fetch(fileURL(run.id, 'logs/output.log'), { headers: { range: 'bytes=-1000000' } });
        if (stopped) return;
        if (answer.status === 404) setText(null);
        else if (answer.status === 416) setText('');
        else if (!answer.ok) throw new Error(`The server answered ${answer.status}`);
        else setText(await answer.text());
      } catch (cause) {
        if (!stopped) setError(cause instanceof Error ? cause : new Error(String(cause)));
      }
    };
    void read();
    const timer = live ? setInterval(() => void read(), 2_000) : undefined;
    return () => { stopped = true; clearInterval(timer); };
  }, [run.id, live]);
  return (
    <Panel title="Output" sub={live ? 'followed every 2 s' : undefined} tools={text ? <a className="btn small" href={`${fileURL(run.id, 'logs/output.log')}?download`}><Icon name="download" /> Download</a> : undefined}>
      {error ? <Failure error={error} what="The output cannot be shown" /> : text === undefined ? <Loading rows={8} /> : text === null ? <Empty title="Nothing was captured" command="trimtab run -- python train.py">What a program prints is kept when Trimtab starts it.</Empty> : <pre className="code view" tabIndex={0} aria-label="Output">{text || '(nothing printed yet)'}</pre>}
    </Panel>
  );
}
