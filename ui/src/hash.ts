// The addresses that MLflow's clients print, such as /#/experiments/1/runs/abc, as addresses of this app.

/** The path below /ui of an address by hash; undefined when it is none of MLflow's. */
export function pathOfHash(hash: string): string | undefined {
  const part = '([^/?]+)';
  const run = new RegExp(`^#/experiments/${part}/runs/${part}`).exec(hash);
  if (run) return `/runs/${run[2]}/overview`;
  const experiment = new RegExp(`^#/experiments/${part}`).exec(hash);
  if (experiment) return `/experiments/${experiment[1]}`;
  const version = new RegExp(`^#/models/${part}/versions/(\\d+)`).exec(hash);
  if (version) return `/models/${version[1]}/${version[2]}/evaluation`;
  const model = new RegExp(`^#/models/${part}`).exec(hash);
  if (model) return `/models/${model[1]}`;
  return hash.startsWith('#/experiments') ? '/experiments' : hash.startsWith('#/models') ? '/models' : undefined;
}
