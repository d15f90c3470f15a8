import { describe, expect, it } from 'vitest';
import type { ClaimItem } from '../evidence/fragments.ts';
import { filterClaims } from './claim-section.tsx';
import { voteLines } from './claim.tsx';
import { filterOf } from './meetings-page.tsx';

const claim = (id: string, text: string, outcome: 'ADOPTED' | 'FAILED', fileNumber: string): ClaimItem => ({
  id,
  kind: 'DECISION',
  text,
  topicSlugs: [],
  decision: { outcome, fileNumber, title: null, mover: 'Moreno', seconder: null, votes: null },
  evidence: [],
});

describe('filterClaims', () => {
  const claims = [
    claim('1', 'Amends the short-term rental rules', 'ADOPTED', '33,977'),
    claim('2', 'Rent', 'FAILED', '34,001'),
  ];
  const ids = (outcome: 'ADOPTED' | 'FAILED' | '', words: string) =>
    filterClaims(claims, outcome, words).map(({ id }) => id);

  it('wants every word, in the text or the record', () => {
    expect(ids('', 'rent')).toEqual(['1', '2']);
    expect(ids('', 'RENTAL moreno 33,977')).toEqual(['1']);
    expect(ids('FAILED', 'rental')).toEqual([]);
  });
});

describe('voteLines', () => {
  const none = { yeas: [], nays: [], abstain: [], absent: [], recused: [], yeaCount: null, nayCount: null };

  it('shows a count without names, and a recorded zero', () => {
    expect(voteLines({ ...none, yeaCount: 7, nayCount: 0 })).toEqual([
      { label: 'Yeas', count: 7, names: '' },
      { label: 'Nays', count: 0, names: '' },
    ]);
  });

  it('counts names where no count is recorded, and leaves out what nobody did', () => {
    expect(voteLines({ ...none, yeas: ['Green', 'King'], absent: ['Harris'] })).toEqual([
      { label: 'Yeas', count: 2, names: 'Green, King' },
      { label: 'Absent', count: 1, names: 'Harris' },
    ]);
  });
});

describe('the filter of the meeting list', () => {
  it('is what the address says, without what it misspells', () => {
    expect(filterOf(new URLSearchParams('city=c&published=yes&status=HELD&from=2023-02-30x&to=2023-03-01'))).toEqual({
      cityId: 'c',
      published: true,
      status: 'HELD',
      to: '2023-03-01',
    });
    expect(filterOf(new URLSearchParams('status=BORING&published=no'))).toEqual({});
  });
});
