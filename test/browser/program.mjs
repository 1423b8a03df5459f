// Runs bin/trimtab in a folder of its own and stops it as Ctrl-C does.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

const program = process.env.TRIMTAB_BIN ?? fileURLToPath(new URL('../../bin/trimtab', import.meta.url));
const patience = 180_000; // milliseconds until it must be ready, on a machine that does much else

/** A folder for a program, removed by its `clear`. */
export async function folder() {
  const dir = await mkdtemp(join(tmpdir(), 'trimtab-browser-'));
  return { dir, clear: () => rm(dir, { recursive: true, force: true }) };
}

/** Starts the program; resolves when what it says on standard error matches `ready`, whose first group is its address. */
export function start(dir, ready, ...args) {
  const child = spawn(program, [...args, '--dir', dir], { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, TRIMTAB_SERVER: '', TRIMTAB_DIR: '', NO_COLOR: '1' } });
  const orphan = () => child.kill('SIGINT');
  process.once('exit', orphan);
  let said = '';
  const gone = new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ?? code));
  });
  const stop = async () => {
    child.kill('SIGINT');
    const late = setTimeout(() => child.kill('SIGKILL'), 30_000);
    const end = await gone;
    clearTimeout(late);
    process.off('exit', orphan);
    return end; // 0 when it ended in order
  };
  return new Promise((resolve, reject) => {
    const fail = async (why) => reject(new Error(`${program} ${args.join(' ')}: ${why}\n${said.slice(-2000)}\n${await readFile(join(dir, 'server.log'), 'utf8').catch(() => '')}`.slice(0, 6000)));
    const late = setTimeout(() => void stop().then(() => fail(`not ready after ${patience / 1000} s`)), patience);
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said += text;
      const found = ready.exec(said);
      if (!found) return;
      clearTimeout(late);
      resolve({ url: found[1], stop, said: () => said });
    });
    void gone.then((end) => {
      clearTimeout(late);
      void fail(`ended with ${end}`);
    });
  });
}

/** Runs the program to its end in a folder. */
export function once(dir, ...args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args, '--dir', dir], { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, TRIMTAB_SERVER: '', TRIMTAB_DIR: '', NO_COLOR: '1' } });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text) => { said += text; });
    child.once('error', reject);
    child.once('exit', (code) => (code === 0 ? resolve(said) : reject(new Error(`${program} ${args.join(' ')}: ended with ${code}\n${said.slice(-2000)}`))));
  });
}
