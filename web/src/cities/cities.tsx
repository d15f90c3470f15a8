import { useLoaded } from '../graphql/use-loaded.ts';
import { Empty, Failed, Loading } from '../ui/states.tsx';
import { CitiesQuery, CityPicker } from './city-choice.tsx';

/** All cities, loaded; used wherever one is chosen. */
export function Cities() {
  const loaded = useLoaded(CitiesQuery, {}, { dependsOn: ['City'] });
  if (loaded.status === 'loading') return <Loading what="cities" lines={3} />;
  if (loaded.status === 'failed') return <Failed error={loaded.error} onRetry={loaded.refresh} />;
  const { nodes, pageInfo } = loaded.data.cities;
  if (nodes.length === 0) {
    return (
      <Empty title="No city is followed yet">
        <p>
          An operator adds one with <code>councilsense city add</code>.
        </p>
      </Empty>
    );
  }
  return (
    <>
      <CityPicker cities={nodes} />
      {pageInfo.hasNextPage ? (
        <p className="fine">There are more than a hundred cities; search finds the others.</p>
      ) : null}
    </>
  );
}
