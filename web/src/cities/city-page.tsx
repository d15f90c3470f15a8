import { Link, useParams } from 'react-router';
import { useLoaded } from '../graphql/use-loaded.ts';
import { NotFound } from '../ui/not-found.tsx';
import { Page } from '../ui/page.tsx';
import { SearchBox } from '../search/search-box.tsx';
import { Failed, Loading, PartlyFailed } from '../ui/states.tsx';
import { HomeCityButton } from './city-choice.tsx';
import { CityQuery, RecentMeetings } from './recent-meetings.tsx';

export default function CityPage() {
  const { slug = '' } = useParams();
  const loaded = useLoaded(CityQuery, { slug }, { live: true });
  if (loaded.status === 'loading') return <Loading what="the city" lines={10} />;
  if (loaded.status === 'failed') {
    return (
      <Page title="City">
        <Failed error={loaded.error} onRetry={loaded.refresh} />
      </Page>
    );
  }
  const { city } = loaded.data;
  if (!city) return <NotFound what="city" />;
  return (
    <Page
      title={city.name}
      width="wide"
      eyebrow={<Link to="/cities">Cities</Link>}
      lead={<HomeCityButton city={city} />}
    >
      <PartlyFailed error={loaded.error} />
      <SearchBox label={`Search ${city.name}`} cityId={city.id} />
      <RecentMeetings
        meetings={city.meetings.nodes}
        hasMore={city.meetings.pageInfo.hasNextPage}
        allPath={`/meetings?city=${encodeURIComponent(city.id)}`}
      />
    </Page>
  );
}
