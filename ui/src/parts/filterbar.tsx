// A filter in the words of MLflow's grammar: completed as it is typed, checked before it is sent.
import { useEffect, useId, useRef, useState } from 'react';
import { complete, type Suggestion } from '../api/tracking';
import { Icon } from './icons';

interface FilterBarProps {
  noun: 'runs' | 'experiments' | 'registered_models' | 'model_versions' | 'logged_models';
  value: string;
  onChange: (filter: string) => void;
  experiments?: string[];
  label: string;
  placeholder: string;
}

export function FilterBar({ noun, value, onChange, experiments = [], label, placeholder }: FilterBarProps) {
  const [text, setText] = useState(value);
  const [items, setItems] = useState<Suggestion[]>([]);
  const [wrong, setWrong] = useState('');
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const list = useId();
  const asked = useRef(0);
  useEffect(() => setText(value), [value]);

  const ask = (next: string, cursor: number) => {
    const mine = ++asked.current;
    setTimeout(() => {
      if (mine !== asked.current) return;
      complete(noun, next, cursor, experiments).then(
        (answer) => {
          if (mine !== asked.current) return;
          setItems((answer.items ?? []).slice(0, 50));
          setWrong(next.trim() ? (answer.error ?? '') : '');
          setAt(-1);
        },
        () => setItems([]), // completion is a courtesy; the filter itself reports its errors
      );
    }, 120);
  };
  const take = (s: Suggestion) => {
    const from = s.from;
    const next = text.slice(0, from) + s.text + text.slice(s.to);
    const cursor = from + s.text.length;
    setText(next);
    requestAnimationFrame(() => {
      input.current?.focus();
      input.current?.setSelectionRange(cursor, cursor);
    });
    ask(next, cursor);
  };
  const send = () => {
    setOpen(false);
    if (text.trim() !== value) onChange(text.trim());
  };
  const shown = open && items.length > 0;
  return (
    <div className="filterbar">
      <span className={`search full ${wrong && !open ? 'wrong' : ''}`}>
        <Icon name="search" />
        <input
          ref={input} type="search" role="combobox" aria-label={label} aria-expanded={shown} aria-controls={list} aria-autocomplete="list" aria-activedescendant={shown && at >= 0 ? `${list}-${at}` : undefined}
          spellCheck={false} value={text} placeholder={placeholder}
          onChange={(e) => {
            setText(e.target.value);
            setOpen(true);
            ask(e.target.value, e.target.selectionStart ?? e.target.value.length);
            if (e.target.value === '') onChange('');
          }}
          onFocus={(e) => { setOpen(true); ask(text, e.target.selectionStart ?? text.length); }}
          onBlur={() => setTimeout(() => setOpen(false), 150)}
          onKeyDown={(e) => {
            if (e.key === 'ArrowDown' && shown) { e.preventDefault(); setAt((i) => Math.min(items.length - 1, i + 1)); }
            else if (e.key === 'ArrowUp' && shown) { e.preventDefault(); setAt((i) => Math.max(-1, i - 1)); }
            else if ((e.key === 'Enter' || e.key === 'Tab') && shown && at >= 0) { e.preventDefault(); take(items[at] as Suggestion); }
            else if (e.key === 'Enter') { e.preventDefault(); send(); }
            else if (e.key === 'Escape') setOpen(false);
          }}
        />
      </span>
      {shown && (
        <ul className="suggestions" id={list} role="listbox" aria-label="Completions">
          {items.map((s, i) => (
            <li key={`${s.text}-${i}`} id={`${list}-${i}`} role="option" aria-selected={i === at} onMouseDown={(e) => { e.preventDefault(); take(s); }}>
              <span className="mono">{s.text}</span>
              <span className="third tiny">{s.kind}</span>
            </li>
          ))}
        </ul>
      )}
      {wrong && !open && <p className="bad tiny" role="status">{wrong}</p>}
    </div>
  );
}
