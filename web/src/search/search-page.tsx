import { useSearchParams } from 'react-router';
import type { SearchMode } from '../graphql/graphql.ts';
import { useLoaded } from '../graphql/use-loaded.ts';
import { DEGRADATIONS, humanize, plural, SEARCH_MODES } from '../text/words.ts';
import { Page } from '../ui/page.tsx';
import { Pager } from '../ui/pager.tsx';
import { Empty, Failed, Loading, PartlyFailed } from '../ui/states.tsx';
import { Facets } from './facets.tsx';
import { Hit } from './hit.tsx';
import { SearchBox } from './search-box.tsx';
import { keptSearchOf, LIST_FILTERS, modeOf, searchInputOf, withParam } from './search-request.ts';
import { SearchQuery, type SearchAnswer } from './search-query.ts';
import { SaveThisSearch } from './save-search.tsx';

export default function SearchPage() {
  const [params, setParams] = useSearchParams();
  const input = searchInputOf(params);
  const asked = input.query !== '';
  return (
    <Page title={asked ? `Search: ${input.query}` : 'Search'} heading="Search" width="wide">
      <SearchBox
        label="Search agendas, minutes, packets and transcripts"
        value={input.query}
        onSearch={(query) => setParams(withParam(params, 'q', query))}
      />
      <ModeChoice mode={modeOf(params)} onChange={(mode) => setParams(withParam(params, 'mode', mode))} />
      {asked ? (
        <Results params={params} setParams={setParams} />
      ) : (
        <p>Type a question, a name or a file number. You get the passage and its place in the document.</p>
      )}
    </Page>
  );
}

function ModeChoice({ mode, onChange }: { mode: SearchMode; onChange: (mode: SearchMode) => void }) {
  return (
    <fieldset className="modes">
      <legend className="visually-hidden">Search by</legend>
      {(Object.keys(SEARCH_MODES) as SearchMode[]).map((each) => (
        <label key={each}>
          <input type="radio" name="mode" value={each} checked={mode === each} onChange={() => onChange(each)} />
          <span>
            {SEARCH_MODES[each].label} <span className="fine">{SEARCH_MODES[each].hint}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}

interface ResultsProps {
  params: URLSearchParams;
  setParams: (params: URLSearchParams) => void;
}

function Results({ params, setParams }: ResultsProps) {
  const loaded = useLoaded(SearchQuery, { input: searchInputOf(params) }, { keepPrevious: true });
  if (loaded.status === 'loading') return <Loading what="results" lines={12} />;
  if (loaded.status === 'failed') return <Failed error={loaded.error} onRetry={loaded.refresh} />;
  const answer = loaded.data.search;
  return (
    <div className="search-layout" aria-busy={loaded.refreshing}>
      <FilterPanel answer={answer} params={params} setParams={setParams} />
      <section aria-labelledby="results" className="results">
        <h2 id="results" aria-live="polite">
          {answer.totalCount === 0 ? 'Nothing found' : plural(answer.totalCount, 'passage')}
        </h2>
        <SaveThisSearch key={params.toString()} search={keptSearchOf(params)} />
        <PartlyFailed error={loaded.error} />
        <Cautions answer={answer} />
        {answer.nodes.length > 0 ? (
          <ol className="hits">
            {answer.nodes.map((hit) => (
              <Hit key={hit.passage.id} hit={hit} />
            ))}
          </ol>
        ) : (
          <NothingFound params={params} setParams={setParams} />
        )}
        <Pager
          label="More results"
          pageInfo={answer.pageInfo}
          forwardOnly
          words={{ previous: '', next: 'More results' }}
        />
      </section>
    </div>
  );
}

/** Beside the results where there is room; folded above them on a phone. */
function FilterPanel({ answer, params, setParams }: ResultsProps & { answer: SearchAnswer }) {
  const active = countFilters(params);
  return (
    <aside className="search-aside" aria-label="Filters">
      <details open={window.matchMedia('(min-width: 56rem)').matches || active > 0}>
        <summary>Filters{active > 0 ? ` (${active} on)` : ''}</summary>
        <Facets facets={answer.facets} params={params} onChange={setParams} />
        {active > 0 ? (
          <button type="button" className="button" onClick={() => setParams(withoutFilters(params))}>
            Clear filters
          </button>
        ) : null}
      </details>
    </aside>
  );
}

/** What the answer lacks: parts of the search that were down, and how the question was read. */
function Cautions({ answer }: { answer: SearchAnswer }) {
  if (answer.degraded.length === 0 && answer.notes.length === 0) return null;
  return (
    <div className={answer.degraded.length > 0 ? 'notice notice-partial' : 'notice'}>
      {answer.degraded.length > 0 ? (
        <p>
          <strong>These results may be incomplete.</strong>{' '}
          {answer.degraded.map((each) => DEGRADATIONS[each] ?? humanize(each)).join('. ')}.
        </p>
      ) : null}
      {answer.notes.map((note) => (
        <p key={note}>{humanize(note)}</p>
      ))}
    </div>
  );
}

function NothingFound({ params, setParams }: ResultsProps) {
  const filtered = countFilters(params) > 0;
  const byWords = modeOf(params) === 'KEYWORD';
  return (
    <Empty title="No passage matches">
      <p>The search worked; there is nothing like it in the documents we have read.</p>
      <p className="row">
        {filtered ? (
          <button type="button" className="button" onClick={() => setParams(withoutFilters(params))}>
            Search without filters
          </button>
        ) : null}
        {byWords ? (
          <button type="button" className="button" onClick={() => setParams(withParam(params, 'mode', 'HYBRID'))}>
            Search by meaning too
          </button>
        ) : null}
      </p>
      {!filtered && !byWords ? <p>Try fewer or other words.</p> : null}
    </Empty>
  );
}

function countFilters(params: URLSearchParams): number {
  const dates = params.has('from') || params.has('to') ? 1 : 0;
  return LIST_FILTERS.reduce((count, name) => count + params.getAll(name).length, dates);
}

function withoutFilters(params: URLSearchParams): URLSearchParams {
  const kept = new URLSearchParams();
  for (const name of ['q', 'mode']) {
    const value = params.get(name);
    if (value) kept.set(name, value);
  }
  return kept;
}
