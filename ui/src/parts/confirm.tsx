// A button that removes something: it says what goes and what stays, and asks once.
import { useState, type ReactNode } from 'react';
import { Modal } from '@mantine/core';
import { Failure } from './states';

interface ConfirmProps {
  /** What stands on the button, and on the one that does it. */
  label: string;
  title: string;
  /** What goes and what stays. */
  children: ReactNode;
  act: () => Promise<unknown>;
  className?: string;
}

export function Confirm({ label, title, children, act, className = 'btn small danger' }: ConfirmProps) {
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const close = () => {
    setOpen(false);
    setError(null);
  };
  const submit = async () => {
    setBusy(true);
    setError(null);
    try {
      await act();
      close();
    } catch (cause) {
      setError(cause instanceof Error ? cause : new Error(String(cause)));
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <button type="button" className={className} onClick={() => setOpen(true)}>{label}</button>
      <Modal opened={open} onClose={close} title={title} size={440} closeButtonProps={{ 'aria-label': 'Close' }}>
        <div className="second">{children}</div>
        {error && <Failure error={error} what="It did not happen" />}
        <div className="row" style={{ justifyContent: 'flex-end', marginTop: 16 }}>
          <button type="button" className="btn" onClick={close} data-autofocus>Keep it</button>
          <button type="button" className="btn danger" disabled={busy} onClick={() => void submit()}>{busy ? 'Working' : label}</button>
        </div>
      </Modal>
    </>
  );
}
