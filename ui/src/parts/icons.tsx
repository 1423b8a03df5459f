// The drawn signs: 16 × 16, one stroke, the colour of the text beside them. Always beside a word, so hidden from screen readers.

const paths = {
  home: 'M2.5 7 8 2.5 13.5 7v6.5h-4v-4h-3v4h-4z',
  data: 'M13 4c0 1.1-2.2 2-5 2S3 5.1 3 4s2.2-2 5-2 5 .9 5 2ZM3 4v8c0 1.1 2.2 2 5 2s5-.9 5-2V4M3 8c0 1.1 2.2 2 5 2s5-.9 5-2',
  experiments: 'M6 2.5h4M6.5 2.5v4l-3.6 6a.7.7 0 0 0 .6 1h9a.7.7 0 0 0 .6-1l-3.6-6v-4M4.8 9.5h6.4',
  plus: 'M8 3v10M3 8h10',
  runs: 'M2.5 12.5 6 8l3 2.5 4.5-6.5',
  models: 'm8 2 5.5 3v6L8 14l-5.5-3V5zM2.5 5 8 8l5.5-3M8 8v6',
  deployments: 'M2.5 8h5m0 0 3-4h3m-6 4 3 4h3',
  monitors: 'M2 8h2.5L6.5 3.5 9.5 12.5 11.5 8H14',
  alerts: 'M8 2.5 14 13H2zM8 6.5v3M8 11.3v.2',
  jobs: 'M2.5 4.5h6M5 8h6M7.5 11.5h6',
  events: 'M4 2.5h8v11H4zM6 6h4M6 8.5h4M6 11h2',
  search: 'M11 7a4 4 0 1 1-8 0 4 4 0 0 1 8 0ZM10 10l3.5 3.5',
  down: 'm5 6.5 3 3 3-3',
  next: 'm6.5 5 3 3-3 3',
  copy: 'M5.5 5.5h8v8h-8zM3.5 10.5h-1v-8h8v1',
  check: 'm3.5 8.5 3 3 6-7',
  close: 'M4 4l8 8M12 4l-8 8',
  download: 'M8 2.5v8M4.5 7.5 8 11l3.5-3.5M3 13.5h10',
  table: 'M2.5 3h11v10h-11zM2.5 6.5h11M2.5 9.8h11M6.5 6.5V13',
  chart: 'M2.5 2.5v11h11M5 10l2.5-3 2 1.5L13 5',
  terminal: 'M2.5 3h11v10h-11zM5 6.5 7 8l-2 1.5M8.5 10H11',
  pause: 'M6 4v8M10 4v8',
  play: 'M5.5 3.5v9l7-4.5z',
  up: 'M8 13V3.5M4 7l4-4 4 4',
  back: 'M3 6.5h6.5a3.5 3.5 0 0 1 0 7H6M3 6.5l3-3M3 6.5l3 3',
  refresh: 'M13 5.5A5.5 5.5 0 1 0 13.5 8M13.5 2.5v3h-3',
  sun: 'M10.75 8a2.75 2.75 0 1 1-5.5 0 2.75 2.75 0 0 1 5.5 0ZM8 1.5V3M8 13v1.5M1.5 8H3M13 8h1.5M3.4 3.4l1 1M11.6 11.6l1 1M3.4 12.6l1-1M11.6 4.4l1-1',
  moon: 'M13 9.5A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.5Z',
  screen: 'M2.5 3h11v8h-11zM6 13.5h4M8 11v2.5',
  branch: 'M6 4a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0ZM6 12a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0ZM13 6a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0ZM4.5 5.5v5M11.5 7.5c0 2-3 2.5-5.5 3.2',
  features: 'M2.5 4h11M2.5 8h7M2.5 12h9',
  arrow: 'M1 8h13M10 4l4 4-4 4',
  // states: the shape says it as well as the colour
  pass: 'M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0ZM5.3 8.2l1.9 1.9 3.6-4',
  attention: 'M8 2.2 14.2 13H1.8zM8 6.4v3.2M8 11.2v.2',
  failed: 'M5.5 2h5L14 5.5v5L10.5 14h-5L2 10.5v-5zM6 6l4 4M10 6l-4 4',
  waiting: 'M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z',
  info: 'M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0ZM8 7.4v3.4M8 5.2v.2',
} as const;

export type IconName = keyof typeof paths | 'undecided' | 'running' | 'tab';

export function Icon({ name, className = '' }: { name: IconName; className?: string }) {
  const shared = {
    className: `icon ${className}`, viewBox: '0 0 16 16', fill: 'none', stroke: 'currentColor', strokeWidth: 1.4,
    strokeLinecap: 'round' as const, strokeLinejoin: 'round' as const, 'aria-hidden': true,
  };
  if (name === 'running') {
    return (
      <svg {...shared}>
        <circle cx="8" cy="8" r="6" strokeOpacity=".35" />
        <path d="M8 2a6 6 0 0 1 6 6" />
      </svg>
    );
  }
  if (name === 'undecided') {
    return (
      <svg {...shared}>
        <circle cx="8" cy="8" r="6" strokeDasharray="3.2 2.1" />
        <path d="M5.5 8h5" />
      </svg>
    );
  }
  if (name === 'tab') {
    return (
      <svg {...shared}>
        <path d="M2 8.2h7" />
        <path d="m10.5 8.2 3.5 3.3" strokeWidth="2.6" />
      </svg>
    );
  }
  return (
    <svg {...shared}>
      <path d={paths[name]} />
    </svg>
  );
}

export function Logo() {
  return (
    <svg viewBox="0 0 16 16" fill="currentColor" aria-hidden="true">
      <path d="M2 1.5h12a1 1 0 0 1 1 1v2.9a1 1 0 0 1-1 1H2a1 1 0 0 1-1-1V2.5a1 1 0 0 1 1-1Z" />
      <path d="M5.4 7.9h5.2l1.6 6a.6.6 0 0 1-.4.7l-3.7 1a.6.6 0 0 1-.7-.4Z" />
    </svg>
  );
}
