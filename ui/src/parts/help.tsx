// The keys, in a dialog.
import { Modal } from '@mantine/core';
import { places, platform } from './shell';

export default function Help({ onClose }: { onClose: () => void }) {
  const keys: [string, string][] = [
    ['⌘K or Ctrl K', 'Search or run'],
    ...[...places, ...platform].map((p): [string, string] => [`g ${p.key}`, p.label]),
    ['j, k', 'Next and previous row; Enter opens'],
    ['[, ]', 'Previous and next tab'],
    ['/', 'Filter'],
    ['t', 'Charts as tables and back'],
    ['?', 'This list'],
  ];
  return (
    <Modal opened onClose={onClose} title="Keys" size={400} closeButtonProps={{ 'aria-label': 'Close' }}>
      <dl style={{ display: 'grid', gridTemplateColumns: '128px 1fr', gap: '6px 12px' }}>
        {keys.map(([key, what]) => (
          <div key={key} style={{ display: 'contents' }}>
            <dt>{key.split(' or ').map((k, i) => <span key={k}>{i > 0 && ' or '}<kbd>{k}</kbd></span>)}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
