import { ARTIFACT_KINDS, PASSAGE_KINDS } from '../text/words.ts';
import type { ArtifactKind, PassageKind } from '../graphql/graphql.ts';
import { filterOfFacet, toggleFilter, toggleYear, withParam, yearOf } from './search-request.ts';
import type { Facet } from './search-query.ts';

const TITLES = { city: 'City', body: 'Body', year: 'Year', document: 'Document', kind: 'Kind' } as const;

interface FacetsProps {
  facets: readonly Facet[];
  params: URLSearchParams;
  onChange: (params: URLSearchParams) => void;
}

/** The filters of a search, with how many hits each would leave. */
export function Facets({ facets, params, onChange }: FacetsProps) {
  return (
    <div className="facets">
      {facets.map((facet) => (
        <FacetGroup key={facet.name} facet={facet} params={params} onChange={onChange} />
      ))}
      <fieldset>
        <legend>Dates</legend>
        {(['from', 'to'] as const).map((name) => (
          <label key={name} className="field">
            <span>{name === 'from' ? 'From' : 'To'}</span>
            <input
              type="date"
              value={params.get(name) ?? ''}
              onChange={(event) => onChange(withParam(params, name, event.target.value))}
            />
          </label>
        ))}
      </fieldset>
    </div>
  );
}

function FacetGroup({ facet, params, onChange }: { facet: Facet } & Omit<FacetsProps, 'facets'>) {
  const filter = filterOfFacet(facet.name);
  if (!filter || facet.values.length === 0) return null;
  const chosen = filter === 'year' ? [yearOf(params)] : params.getAll(filter);
  const toggle = (value: string) =>
    onChange(filter === 'year' ? toggleYear(params, value) : toggleFilter(params, filter, value));
  return (
    <fieldset>
      <legend>{TITLES[filter]}</legend>
      {facet.values.map((each) => {
        const value = filter === 'document' || filter === 'kind' ? each.value.toUpperCase() : each.value;
        return (
          <label key={value} className="check">
            <input type="checkbox" checked={chosen.includes(value)} onChange={() => toggle(value)} />
            <span>{labelOf(filter, value, each.label)}</span>
            <span className="count">{each.count}</span>
          </label>
        );
      })}
    </fieldset>
  );
}

function labelOf(filter: ReturnType<typeof filterOfFacet>, value: string, label: string): string {
  if (filter === 'document') return ARTIFACT_KINDS[value as ArtifactKind] ?? label;
  if (filter === 'kind') return PASSAGE_KINDS[value as PassageKind] ?? label;
  return label;
}
