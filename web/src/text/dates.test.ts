import { describe, expect, it } from 'vitest';
import { formatClock, formatDay, formatOffset } from './dates.ts';

describe('dates', () => {
  it('keeps a calendar day whatever the reader’s zone', () => {
    expect(formatDay('2023-03-09')).toBe('Thursday, March 9, 2023');
    expect(formatDay('2023-01-01', 'short')).toBe('Jan 1, 2023');
    expect(formatDay('soon')).toBe('soon');
  });

  it('tells a meeting’s start in its city’s zone, and survives a zone it does not know', () => {
    expect(formatClock('2023-03-09T16:00:00Z', 'America/Chicago')).toMatch(/^10:00\sAM CST$/);
    expect(() => formatClock('2023-03-09T16:00:00Z', 'Mars/Olympus')).not.toThrow();
  });

  it('writes a place in a recording', () => {
    expect(formatOffset(62_900)).toBe('1:02');
    expect(formatOffset(3_723_000)).toBe('1:02:03');
  });
});
