// The live link of the page, known to the crumb row, and the live region that tells screen readers of changes of state.
import { createContext, use, useCallback, useState, type ReactNode } from 'react';
import { useLive, type Link } from '../api/events';
import type { Event } from '../api/types';

const Context = createContext<Link>('connecting');

export function LiveProvider({ children }: { children: ReactNode }) {
  const [said, setSaid] = useState('');
  const tell = useCallback((event: Event) => {
    if (event.level !== 'info') setSaid(event.message); // changes of state only, not every figure
  }, []);
  const link = useLive(tell);
  return (
    <Context value={link}>
      {children}
      <div className="hidden" role="status" aria-live="polite">{said}</div>
    </Context>
  );
}

export const useLink = () => use(Context);
