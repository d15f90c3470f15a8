import { Link } from 'react-router';
import { Cities } from '../cities/cities.tsx';
import { CityQuery, RecentMeetings } from '../cities/recent-meetings.tsx';
import { graphql } from '../graphql/graphql.ts';
import { useLoaded } from '../graphql/use-loaded.ts';
import { MeetingCardFields, MeetingList } from '../meetings/meeting-list.tsx';
import { SearchBox } from '../search/search-box.tsx';
import { cityPath } from '../text/links.ts';
import { Page } from '../ui/page.tsx';
import { Failed, Loading, PartlyFailed } from '../ui/states.tsx';
import { useViewer, type Viewer } from '../viewer/viewer.tsx';

const LatestQuery = graphql(
  `
    query LatestPublished {
      meetings(filter: { published: true }, order: DATE_DESC, first: 4) {
        nodes {
          ...MeetingCardFields
        }
      }
    }
  `,
  [MeetingCardFields],
);

export default function HomePage() {
  const { viewer, known, error, refresh } = useViewer();
  if (error) {
    return (
      <Page title="CouncilSense">
        <Failed error={error} onRetry={refresh} />
      </Page>
    );
  }
  if (!known) return <Loading what="your page" lines={10} />;
  if (viewer?.homeCity) return <HomeCity city={viewer.homeCity} />;
  return <Newcomer viewer={viewer} />;
}

function HomeCity({ city }: { city: NonNullable<Viewer['homeCity']> }) {
  const loaded = useLoaded(CityQuery, { slug: city.slug }, { live: true });
  return (
    <Page
      title={city.name}
      width="wide"
      eyebrow="Your home city"
      lead={
        <p>
          <Link to={cityPath(city.slug)}>City page</Link> · <Link to="/cities">Other cities</Link>
        </p>
      }
    >
      <SearchBox label={`Search ${city.name}`} cityId={city.id} />
      {loaded.status === 'loading' ? <Loading what="recent meetings" lines={10} /> : null}
      {loaded.status === 'failed' ? <Failed error={loaded.error} onRetry={loaded.refresh} /> : null}
      {loaded.status === 'ready' ? (
        <>
          <PartlyFailed error={loaded.error} />
          <RecentMeetings
            meetings={loaded.data.city?.meetings.nodes ?? []}
            hasMore={loaded.data.city?.meetings.pageInfo.hasNextPage ?? false}
            allPath={`/meetings?city=${encodeURIComponent(city.id)}`}
          />
        </>
      ) : null}
    </Page>
  );
}

function Newcomer({ viewer }: { viewer: Viewer | null }) {
  return (
    <Page
      title="CouncilSense"
      heading={
        <>
          Follow your council; <span className="marked">check every claim.</span>
        </>
      }
      width="wide"
      lead={
        <p>
          We read the agendas, minutes and packets that city councils publish. Every statement in a summary opens the
          sentence it came from.
        </p>
      }
    >
      <SearchBox label="Search what councils have said and decided" />
      <section aria-labelledby="choose-city">
        <h2 id="choose-city">{viewer ? 'Choose your home city' : 'Choose a city'}</h2>
        {viewer ? <p>You will be told when its council decides something.</p> : null}
        <Cities />
      </section>
      <Latest />
    </Page>
  );
}

function Latest() {
  const loaded = useLoaded(LatestQuery, {}, { live: true, dependsOn: ['Meeting'] });
  if (loaded.status === 'ready' && loaded.data.meetings.nodes.length === 0) return null;
  return (
    <section aria-labelledby="latest">
      <h2 id="latest">Latest summaries</h2>
      {loaded.status === 'loading' ? <Loading what="the latest summaries" lines={8} /> : null}
      {loaded.status === 'failed' ? <Failed error={loaded.error} onRetry={loaded.refresh} /> : null}
      {loaded.status === 'ready' ? <MeetingList meetings={loaded.data.meetings.nodes} withCity /> : null}
    </section>
  );
}
