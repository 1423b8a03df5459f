// The split of a cross-validation, as the file writes it, in words.

export function splitWords(line: string, count: number): string {
  const [kind = '', ...settings] = line.trim().split(/\s+/);
  const at = new Map(settings.map((s) => s.split('=', 2) as [string, string]));
  const by = (key: string, lead: string) => (at.has(key) ? `${lead}${at.get(key)}` : '');
  const whole: Record<string, string> = {
    kfold: 'every row judged in turn by a fit on the other pieces',
    stratified: 'every row judged in turn, the classes in their shares in each piece',
    group: `no value of ${at.get('groups') ?? 'the group'} on both sides`,
    stratified_group: `no value of ${at.get('groups') ?? 'the group'} on both sides, the classes in their shares as far as that allows`,
    shuffle: 'random draws',
    stratified_shuffle: 'random draws with the classes in their shares',
    group_shuffle: `random draws of whole values of ${at.get('groups') ?? 'the group'}`,
    leave_one_out: 'each row judged by a fit on all others',
    leave_p_out: `every choice of ${at.get('p') ?? 'p'} rows judged by a fit on all others`,
    leave_one_group_out: `each value of ${at.get('groups') ?? 'the group'} judged by a fit on all others`,
    leave_p_groups_out: `every choice of ${at.get('p') ?? 'p'} values of ${at.get('groups') ?? 'the group'} judged by a fit on all others`,
    time_series: 'each piece of time judged by a fit on what came before',
    purged: 'each piece of time judged by a fit on rows that do not overlap it',
    combinatorial: `every choice of ${at.get('p') ?? 'p'} pieces of time judged by a fit on rows that do not overlap them`,
    predefined: `the fold of each row is in ${at.get('fold') ?? 'a column'}`,
  };
  const repeats = Number(at.get('repeats') ?? 1);
  const parts = [
    `${count} ${count === 1 ? 'fit' : 'fits'}: ${whole[kind] ?? (/^\d+$/.test(kind) ? whole.kfold : kind)}`,
    repeats > 1 ? `cut ${repeats} times` : '',
    by('gap', 'gap '), by('purge', 'purge '), by('embargo', 'embargo '), by('seed', 'seed '),
  ];
  return parts.filter(Boolean).join(', ');
}
