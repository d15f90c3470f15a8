import type { ArtifactKind, PassageKind, SearchMode, VariablesOf } from '../graphql/graphql.ts';
import { ARTIFACT_KINDS, PASSAGE_KINDS, SEARCH_MODES } from '../text/words.ts';
import type { SearchQuery } from './search-query.ts';

export type SearchInput = VariablesOf<typeof SearchQuery>['input'];
type SearchFilter = NonNullable<SearchInput['filter']>;

/** The filters that the address carries, each once or several times. */
export const LIST_FILTERS = ['city', 'body', 'document', 'kind'] as const;
export type ListFilter = (typeof LIST_FILTERS)[number];

/** How many hits a page shows. */
const PAGE_SIZE = 10;

/** The search that an address asks for. What it spells wrongly is left out, so that an old link still works. */
export function searchInputOf(params: URLSearchParams): SearchInput {
  const filter: SearchFilter = {};
  const cities = params.getAll('city').filter(Boolean);
  const bodies = params.getAll('body').filter(Boolean);
  const documents = params
    .getAll('document')
    .filter((each): each is ArtifactKind => Object.hasOwn(ARTIFACT_KINDS, each));
  const kinds = params.getAll('kind').filter((each): each is PassageKind => Object.hasOwn(PASSAGE_KINDS, each));
  const from = dayOf(params.get('from'));
  const to = dayOf(params.get('to'));
  if (cities.length > 0) filter.cityIds = cities;
  if (bodies.length > 0) filter.bodyIds = bodies;
  if (documents.length > 0) filter.artifactKinds = documents;
  if (kinds.length > 0) filter.kinds = kinds;
  if (from) filter.from = from;
  if (to) filter.to = to;
  const after = params.get('after');
  return {
    query: (params.get('q') ?? '').trim(),
    mode: modeOf(params),
    filter,
    first: PAGE_SIZE,
    ...(after ? { after } : {}),
  };
}

/** What of a search is kept when it is saved: its words and places. Dates are left out, for what comes is new. */
export interface KeptSearch {
  query: string;
  cityIds: string[];
  bodyIds: string[];
  /** As the server keeps them: in small letters. */
  artifactKinds: string[];
}

export function keptSearchOf(params: URLSearchParams): KeptSearch {
  const { query, filter } = searchInputOf(params);
  return {
    query,
    cityIds: [filter?.cityIds ?? []].flat(),
    bodyIds: [filter?.bodyIds ?? []].flat(),
    artifactKinds: [filter?.artifactKinds ?? []].flat().map((kind) => kind.toLowerCase()),
  };
}

/** The address of a saved search. */
export function addressOf(saved: KeptSearch): string {
  const params = new URLSearchParams({ q: saved.query });
  for (const id of saved.cityIds) params.append('city', id);
  for (const id of saved.bodyIds) params.append('body', id);
  for (const kind of saved.artifactKinds) params.append('document', kind.toUpperCase());
  return `/search?${params.toString()}`;
}

export function modeOf(params: URLSearchParams): SearchMode {
  const mode = params.get('mode');
  return mode && Object.hasOwn(SEARCH_MODES, mode) ? (mode as SearchMode) : 'HYBRID';
}

/** The same search with one value of a filter added or taken away; paging starts over. */
export function toggleFilter(params: URLSearchParams, name: ListFilter, value: string): URLSearchParams {
  const next = startOver(params);
  const present = params.getAll(name);
  next.delete(name);
  const kept = present.includes(value) ? present.filter((each) => each !== value) : [...present, value];
  for (const each of kept) next.append(name, each);
  return next;
}

/** The same search with a single parameter set, or removed when empty; paging starts over. */
export function withParam(params: URLSearchParams, name: string, value: string): URLSearchParams {
  const next = startOver(params);
  if (value) next.set(name, value);
  else next.delete(name);
  return next;
}

/** The same search limited to a year, or freed of it when it was limited to just that year. */
export function toggleYear(params: URLSearchParams, year: string): URLSearchParams {
  const next = startOver(params);
  const chosen = yearOf(params) === year;
  next.delete('from');
  next.delete('to');
  if (!chosen) {
    next.set('from', `${year}-01-01`);
    next.set('to', `${year}-12-31`);
  }
  return next;
}

/** The year that the dates of an address span exactly. */
export function yearOf(params: URLSearchParams): string | null {
  const year = /^(\d{4})-01-01$/.exec(params.get('from') ?? '')?.[1];
  return year && params.get('to') === `${year}-12-31` ? year : null;
}

/** Which filter a facet of the answer stands for, however the server spells its name. */
export function filterOfFacet(name: string): ListFilter | 'year' | null {
  const letters = name.toLowerCase().replace(/[^a-z]/g, '');
  if (letters.startsWith('cit')) return 'city';
  if (letters.startsWith('bod')) return 'body';
  if (letters.startsWith('year')) return 'year';
  if (letters.startsWith('artifact') || letters.startsWith('document')) return 'document';
  if (letters.startsWith('kind') || letters.startsWith('passage')) return 'kind';
  return null;
}

function startOver(params: URLSearchParams): URLSearchParams {
  const next = new URLSearchParams(params);
  next.delete('after');
  return next;
}

function dayOf(value: string | null): string | null {
  return value && /^\d{4}-\d{2}-\d{2}$/.test(value) ? value : null;
}
