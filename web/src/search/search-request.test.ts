import { describe, expect, it } from 'vitest';
import {
  addressOf,
  filterOfFacet,
  keptSearchOf,
  searchInputOf,
  toggleFilter,
  toggleYear,
  withParam,
  yearOf,
} from './search-request.ts';

const search = (query: string) => new URLSearchParams(query);

describe('searchInputOf', () => {
  it('reads everything the address carries', () => {
    expect(
      searchInputOf(
        search('q=+rent+&mode=KEYWORD&city=c1&city=c2&document=MINUTES&kind=DECISION&from=2023-01-01&after=x'),
      ),
    ).toEqual({
      query: 'rent',
      mode: 'KEYWORD',
      filter: { cityIds: ['c1', 'c2'], artifactKinds: ['MINUTES'], kinds: ['DECISION'], from: '2023-01-01' },
      first: 10,
      after: 'x',
    });
  });

  it('leaves out what it does not know', () => {
    expect(searchInputOf(search('q=rent&mode=MAGIC&document=NAPKIN&from=yesterday'))).toEqual({
      query: 'rent',
      mode: 'HYBRID',
      filter: {},
      first: 10,
    });
  });
});

describe('a saved search', () => {
  it('leads back to where it was searched', () => {
    const kept = keptSearchOf(search('q=+rent+&city=c1&city=c2&body=b1&document=MINUTES&from=2023-01-01&after=x'));
    expect(kept).toEqual({ query: 'rent', cityIds: ['c1', 'c2'], bodyIds: ['b1'], artifactKinds: ['minutes'] });
    const address = addressOf(kept);
    expect(address).toBe('/search?q=rent&city=c1&city=c2&body=b1&document=MINUTES');
    expect(keptSearchOf(search(address.slice(address.indexOf('?'))))).toEqual(kept);
  });
});

describe('filters', () => {
  it('adds and takes away one value, and starts paging over', () => {
    const once = toggleFilter(search('q=a&city=c1&after=x'), 'city', 'c2');
    expect(once.toString()).toBe('q=a&city=c1&city=c2');
    expect(toggleFilter(once, 'city', 'c1').toString()).toBe('q=a&city=c2');
    expect(withParam(once, 'mode', '').has('mode')).toBe(false);
  });

  it('knows a year by its first and last day', () => {
    const year = toggleYear(search('q=a'), '2023');
    expect(yearOf(year)).toBe('2023');
    expect(toggleYear(year, '2023').toString()).toBe('q=a');
    expect(yearOf(search('from=2023-01-01&to=2024-12-31'))).toBeNull();
  });

  it('recognizes a facet by its name', () => {
    expect(
      ['city', 'cityId', 'BODY', 'year', 'artifact_kind', 'artifactKind', 'kind', 'other'].map(filterOfFacet),
    ).toEqual(['city', 'city', 'body', 'year', 'document', 'document', 'kind', null]);
  });
});
