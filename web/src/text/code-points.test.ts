import { describe, expect, it } from 'vitest';
import { segmentByCodePoints } from './code-points.ts';

const marked = (text: string, ranges: { start: number; end: number }[]) =>
  segmentByCodePoints(text, ranges)
    .map(({ text: part, marked: isMarked }) => (isMarked ? `[${part}]` : part))
    .join('');

describe('segmentByCodePoints', () => {
  it('marks a range in plain text', () => {
    expect(marked('The motion carried.', [{ start: 4, end: 10 }])).toBe('The [motion] carried.');
  });

  it('counts code points, not UTF-16 units', () => {
    expect(marked('🏛️𝐕ote: yes', [{ start: 8, end: 11 }])).toBe('🏛️𝐕ote: [yes]');
  });

  it('never cuts a surrogate pair in two', () => {
    for (const { text } of segmentByCodePoints('a🏛b', [{ start: 1, end: 2 }]))
      expect(text).not.toMatch(/^[\uDC00-\uDFFF]/);
    expect(marked('a🏛b', [{ start: 1, end: 2 }])).toBe('a[🏛]b');
  });

  it('joins ranges that overlap or touch, whatever their order', () => {
    expect(
      marked('abcdefgh', [
        { start: 4, end: 6 },
        { start: 1, end: 3 },
        { start: 2, end: 4 },
      ]),
    ).toBe('a[bcdef]gh');
  });

  it('marks nothing for empty and inverted ranges and stops at the end', () => {
    expect(
      marked('abc', [
        { start: 1, end: 1 },
        { start: 2, end: 1 },
      ]),
    ).toBe('abc');
    expect(marked('abc', [{ start: 2, end: 99 }])).toBe('ab[c]');
    expect(marked('', [{ start: 0, end: 4 }])).toBe('');
  });
});
