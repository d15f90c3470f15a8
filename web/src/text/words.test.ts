import { describe, expect, it } from 'vitest';
import { formatBytes, formatShare, humanize, plural } from './words.ts';

describe('words', () => {
  it('spells machine words out and leaves sentences alone', () => {
    expect(humanize('no_readable_text')).toBe('No readable text');
    expect(humanize('vector.unavailable')).toBe('Vector unavailable');
    expect(humanize('The PDF is encrypted.')).toBe('The PDF is encrypted.');
  });

  it('never rounds a share up to all', () => {
    expect(formatShare(0.9991)).toBe('99%');
    expect(formatShare(1)).toBe('100%');
  });

  it('counts', () => {
    expect(plural(1, 'passage')).toBe('1 passage');
    expect(plural(1234, 'match', 'matches')).toBe('1,234 matches');
    expect(formatBytes(2_400_000)).toBe('2.4 MB');
  });
});
