// The look of the n-th of many: eight colours that stay apart for everyone, then the same with dashes.
const dashes: (number[] | undefined)[] = [undefined, [6, 3], [2, 2], [8, 3, 2, 3]];

export function hue(index: number): { token: string; dash: number[] | undefined } {
  const i = Math.max(0, index);
  return { token: `--c${(i % 8) + 1}`, dash: dashes[Math.floor(i / 8) % dashes.length] };
}
