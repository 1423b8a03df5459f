// "Show me the command": what a page shows, as CLI, API and Python, ready to copy.
import { useState } from 'react';
import { Popover } from '@mantine/core';
import { Icon } from './icons';

export function CopyButton({ text, label = 'Copy' }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setDone(true);
      setTimeout(() => setDone(false), 1500);
    } catch {
      setDone(false); // no permission: the text is there to select
    }
  };
  return (
    <button type="button" className="btn small square quiet" onClick={() => void copy()} aria-label={done ? 'Copied' : label} title={done ? 'Copied' : label}>
      <Icon name={done ? 'check' : 'copy'} />
    </button>
  );
}

export function Snippet({ text }: { text: string }) {
  return (
    <div className="snippet-frame" style={{ alignSelf: 'stretch' }}>
      <pre className="snippet copyable" tabIndex={0} aria-label="Command">{text}</pre>
      <CopyButton text={text} label="Copy command" />
    </div>
  );
}

export interface Shown {
  cli: string;
  api: string; // path below /api/v1
  body?: unknown; // then it is a POST
}

export function snippets({ cli, api, body }: Shown, origin: string): Record<'CLI' | 'API' | 'Python', string> {
  const url = `${origin}/api/v1/${api}`;
  if (body === undefined) {
    return {
      CLI: cli,
      API: `curl -s ${url}`,
      Python: `import json, urllib.request\n\nwith urllib.request.urlopen("${url}") as answer:\n    print(json.load(answer))`,
    };
  }
  const text = JSON.stringify(body);
  return {
    CLI: cli,
    API: `curl -s ${url} \\\n  -H 'content-type: application/json' \\\n  -d '${text.replace(/'/g, `'\\''`)}'`,
    Python: `import json, urllib.request\n\nbody = json.loads(r'''${text}''')\nrequest = urllib.request.Request("${url}", json.dumps(body).encode(), {"content-type": "application/json"})\nwith urllib.request.urlopen(request) as answer:\n    print(json.load(answer))`,
  };
}

export function Command({ show, label = 'CLI' }: { show: Shown; label?: string }) {
  const [kind, setKind] = useState<'CLI' | 'API' | 'Python'>('CLI');
  const texts = snippets(show, location.origin);
  return (
    <Popover position="bottom-end" width={520} shadow="md" trapFocus returnFocus transitionProps={{ duration: 120 }}>
      <Popover.Target>
        <button type="button" className="btn quiet" title="Show me the command">
          <Icon name="terminal" /> {label}
        </button>
      </Popover.Target>
      <Popover.Dropdown aria-label="The same from the command line">
        <div className="row" style={{ marginBottom: 8 }}>
          <div className="segments" role="group" aria-label="Language">
            {(['CLI', 'API', 'Python'] as const).map((k) => (
              <button key={k} type="button" aria-pressed={kind === k} onClick={() => setKind(k)}>{k}</button>
            ))}
          </div>
          <span className="third small">what this page shows</span>
        </div>
        <Snippet text={texts[kind]} />
      </Popover.Dropdown>
    </Popover>
  );
}
