// The only modal: it says what will happen and what is kept, and asks for a reason. The safe choice is named by what it does.
import { useState, type ReactNode } from 'react';
import { Modal, Textarea } from '@mantine/core';
import { Failure } from './states';

interface AskProps {
  open: boolean;
  onClose: () => void;
  title: string;
  happens: ReactNode;
  kept?: ReactNode;
  /** The word on the button that does it, and on the one that does not. */
  act: string;
  stay: string;
  danger?: boolean;
  run: (reason: string) => Promise<unknown>;
  children?: ReactNode;
}

export function Ask({ open, onClose, title, happens, kept, act, stay, danger = false, run, children }: AskProps) {
  const [reason, setReason] = useState('');
  const [busy, setBusy] = useState(false);
  const [missing, setMissing] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const close = () => {
    setReason('');
    setMissing(false);
    setError(null);
    onClose();
  };
  const submit = async () => {
    if (!reason.trim()) {
      setMissing(true);
      return;
    }
    setBusy(true);
    setError(null);
    try {
      await run(reason.trim());
      close();
    } catch (cause) {
      setError(cause instanceof Error ? cause : new Error(String(cause)));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal opened={open} onClose={close} title={title} size={480} closeButtonProps={{ 'aria-label': 'Close' }}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <p>{happens}</p>
        {kept && <p className="second" style={{ marginTop: 8 }}>{kept}</p>}
        {children}
        <Textarea
          label="Reason" description="Kept in the history and the audit log" value={reason} onChange={(event) => setReason(event.currentTarget.value)}
          error={missing && !reason.trim() ? 'Say why: whoever reads the history will ask' : undefined} autosize minRows={2} data-autofocus mt={16}
        />
        {error && <Failure error={error} what={`${act} did not happen`} />}
        <div className="row" style={{ justifyContent: 'flex-end', marginTop: 16 }}>
          <button type="button" className="btn" onClick={close}>{stay}</button>
          <button type="submit" className={`btn ${danger ? 'danger' : 'primary'}`} disabled={busy}>{busy ? 'Working' : act}</button>
        </div>
      </form>
    </Modal>
  );
}
