import { useSearchParams } from 'react-router';
import { graphql, type MeetingStatus, type VariablesOf } from '../graphql/graphql.ts';
import { useLoaded } from '../graphql/use-loaded.ts';
import { MEETING_STATUSES } from '../text/words.ts';
import { Page } from '../ui/page.tsx';
import { Pager, pagingOf } from '../ui/pager.tsx';
import { Empty, Failed, Loading, PartlyFailed } from '../ui/states.tsx';
import { MeetingCardFields, MeetingList } from './meeting-list.tsx';

const MeetingsQuery = graphql(
  `
    query Meetings($filter: MeetingFilter, $first: Int, $after: String, $last: Int, $before: String) {
      meetings(filter: $filter, order: DATE_DESC, first: $first, after: $after, last: $last, before: $before) {
        nodes {
          ...MeetingCardFields
        }
        pageInfo {
          hasNextPage
          hasPreviousPage
          startCursor
          endCursor
        }
      }
    }
  `,
  [MeetingCardFields],
);

/** What the filters offer. The bodies are those that meet: they are read off the city's latest meetings. */
const ChoicesQuery = graphql(`
  query MeetingFilterChoices($filter: MeetingFilter) {
    cities(first: 100) {
      nodes {
        id
        name
      }
    }
    meetings(filter: $filter, order: DATE_DESC, first: 100) {
      nodes {
        id
        body {
          id
          name
        }
      }
    }
  }
`);

type Filter = NonNullable<VariablesOf<typeof MeetingsQuery>['filter']>;

export default function MeetingsPage() {
  const [params, setParams] = useSearchParams();
  const filter = filterOf(params);
  const loaded = useLoaded(
    MeetingsQuery,
    { filter, ...pagingOf(params) },
    { keepPrevious: true, live: true, dependsOn: ['Meeting'] },
  );
  const filtered = Object.keys(filter).length > 0;

  const change = (name: string, value: string) => {
    setParams((current) => {
      const next = new URLSearchParams(current);
      if (value) next.set(name, value);
      else next.delete(name);
      if (name === 'city') next.delete('body');
      next.delete('after');
      next.delete('before');
      return next;
    });
  };

  return (
    <Page title="Meetings" width="wide" lead={<p>Every meeting we know of, the latest first.</p>}>
      <MeetingFilters params={params} onChange={change} onClear={() => setParams({})} />
      {loaded.status === 'loading' ? <Loading what="meetings" lines={10} /> : null}
      {loaded.status === 'failed' ? <Failed error={loaded.error} onRetry={loaded.refresh} /> : null}
      {loaded.status === 'ready' ? (
        <section aria-labelledby="meetings-heading" aria-busy={loaded.refreshing}>
          <h2 id="meetings-heading" className="visually-hidden">
            Results
          </h2>
          <PartlyFailed error={loaded.error} />
          {loaded.data.meetings.nodes.length > 0 ? (
            <MeetingList meetings={loaded.data.meetings.nodes} withCity={!filter.cityId} />
          ) : (
            <Empty title={filtered ? 'No meeting matches these filters' : 'There are no meetings yet'}>
              {filtered ? (
                <p>Widen the dates or clear the filters.</p>
              ) : (
                <p>They appear here once a city’s documents have been read.</p>
              )}
            </Empty>
          )}
          <Pager
            label="More meetings"
            pageInfo={loaded.data.meetings.pageInfo}
            words={{ previous: 'Newer meetings', next: 'Older meetings' }}
          />
        </section>
      ) : null}
    </Page>
  );
}

interface MeetingFiltersProps {
  params: URLSearchParams;
  onChange: (name: string, value: string) => void;
  onClear: () => void;
}

function MeetingFilters({ params, onChange, onClear }: MeetingFiltersProps) {
  const cityId = params.get('city');
  const choices = useLoaded(ChoicesQuery, { filter: cityId ? { cityId } : {} }, { keepPrevious: true });
  const cities = choices.status === 'ready' ? choices.data.cities.nodes : [];
  const bodies = choices.status === 'ready' ? distinct(choices.data.meetings.nodes.map(({ body }) => body)) : [];
  const select = (name: string, label: string, any: string, options: readonly { id: string; name: string }[]) => (
    <label>
      <span>{label}</span>
      <select value={params.get(name) ?? ''} onChange={(event) => onChange(name, event.target.value)}>
        <option value="">{any}</option>
        {options.map((option) => (
          <option key={option.id} value={option.id}>
            {option.name}
          </option>
        ))}
      </select>
    </label>
  );
  const date = (name: string, label: string) => (
    <label>
      <span>{label}</span>
      <input type="date" value={params.get(name) ?? ''} onChange={(event) => onChange(name, event.target.value)} />
    </label>
  );
  const statuses = Object.entries(MEETING_STATUSES).map(([id, name]) => ({ id, name }));
  const published = [{ id: 'yes', name: 'With a summary' }];
  return (
    <form className="filters" aria-label="Filter meetings" onSubmit={(event) => event.preventDefault()}>
      {select('city', 'City', 'Any city', cities)}
      {select('body', 'Body', 'Any body', bodies)}
      {date('from', 'From')}
      {date('to', 'To')}
      {select('published', 'Summary', 'With or without', published)}
      {select('status', 'Status', 'Any status', statuses)}
      <button type="button" className="button" disabled={params.size === 0} onClick={onClear}>
        Clear
      </button>
    </form>
  );
}

/** The filter that an address asks for; what it spells wrongly is left out. */
export function filterOf(params: URLSearchParams): Filter {
  const filter: Filter = {};
  const [city, body, status, published] = ['city', 'body', 'status', 'published'].map((name) => params.get(name));
  const from = dayOf(params.get('from'));
  const to = dayOf(params.get('to'));
  if (city) filter.cityId = city;
  if (body) filter.bodyId = body;
  if (from) filter.from = from;
  if (to) filter.to = to;
  if (status && Object.hasOwn(MEETING_STATUSES, status)) filter.status = status as MeetingStatus;
  // The API knows no filter for the opposite: `published: false` is as good as none.
  if (published === 'yes') filter.published = true;
  return filter;
}

function dayOf(value: string | null): string | null {
  return value && /^\d{4}-\d{2}-\d{2}$/.test(value) ? value : null;
}

function distinct<Item extends { id: string; name: string }>(items: readonly Item[]): Item[] {
  return [...new Map(items.map((item) => [item.id, item])).values()].sort((a, b) => a.name.localeCompare(b.name));
}
