import { useState } from 'react';
import { Link, useLocation } from 'react-router';
import { useMutation } from 'urql';
import { graphql, type ResultOf } from '../graphql/graphql.ts';
import { useToast } from '../live/toasts.tsx';
import { describeFailure } from '../text/errors.ts';
import { cityPath, signInPath } from '../text/links.ts';
import { useViewer } from '../viewer/viewer.tsx';

export const CityFields = graphql(`
  fragment CityFields on City {
    id
    slug
    name
    timeZone
    language
  }
`);

export const CitiesQuery = graphql(
  `
    query Cities($after: String) {
      cities(first: 100, after: $after) {
        nodes {
          ...CityFields
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  `,
  [CityFields],
);

type City = ResultOf<typeof CityFields>;

const SetHomeCity = graphql(`
  mutation SetHomeCity($input: SetHomeCityInput!) {
    setHomeCity(input: $input) {
      viewer {
        id
        homeCity {
          id
          name
          slug
        }
      }
      userErrors {
        message
      }
    }
  }
`);

/** Sets the home city and tells the outcome, whichever it is. */
export function useSetHomeCity(): { setHomeCity: (city: City) => Promise<void>; busy: boolean } {
  const [state, execute] = useMutation(SetHomeCity);
  const showToast = useToast();
  const { refresh } = useViewer();
  const setHomeCity = async (city: City) => {
    const result = await execute({ input: { cityId: city.id } });
    const refusal = result.data?.setHomeCity.userErrors[0];
    if (result.error) {
      const failure = describeFailure(result.error);
      showToast({ title: failure.title, body: failure.advice });
    } else if (refusal) {
      showToast({ title: 'Your home city was not changed', body: refusal.message });
    } else {
      showToast({
        title: `${city.name} is your home city`,
        body: 'You will hear of what its council decides.',
        passing: true,
      });
      refresh();
    }
  };
  return { setHomeCity, busy: state.fetching };
}

/** The home-city button of a city: a way to sign in for those who have not. */
export function HomeCityButton({ city }: { city: City }) {
  const { viewer, known } = useViewer();
  const { pathname } = useLocation();
  const { setHomeCity, busy } = useSetHomeCity();
  if (!known) return <span className="button button-placeholder" aria-hidden="true" />;
  if (!viewer) {
    return (
      <a className="button" href={signInPath(pathname)}>
        Sign in to follow {city.name}
      </a>
    );
  }
  if (viewer.homeCity?.id === city.id) return <span className="badge badge-good">Your home city</span>;
  return (
    <button type="button" className="button button-primary" disabled={busy} onClick={() => void setHomeCity(city)}>
      Make {city.name} my home city
    </button>
  );
}

/** A list of cities is searched by typing once it is longer than a glance. */
const FILTER_FROM = 9;

/** The cities to choose from. Signed in, each can become the home city; anybody may just look. */
export function CityPicker({ cities }: { cities: readonly City[] }) {
  const [words, setWords] = useState('');
  const { viewer } = useViewer();
  const { setHomeCity, busy } = useSetHomeCity();
  const wanted = words.trim().toLowerCase();
  const shown = cities.filter(({ name }) => name.toLowerCase().includes(wanted));
  return (
    <div className="city-picker">
      {cities.length >= FILTER_FROM ? (
        <label className="field">
          <span>Find your city</span>
          <input type="search" value={words} onChange={(event) => setWords(event.target.value)} autoComplete="off" />
        </label>
      ) : null}
      <ul className="city-list">
        {shown.map((city) => (
          <li key={city.id} className="city-card">
            <Link to={cityPath(city.slug)}>{city.name}</Link>
            {viewer ? (
              viewer.homeCity?.id === city.id ? (
                <span className="badge badge-good">Your home city</span>
              ) : (
                <button
                  type="button"
                  className="button"
                  disabled={busy}
                  aria-label={`Choose ${city.name} as home city`}
                  onClick={() => void setHomeCity(city)}
                >
                  Choose
                </button>
              )
            ) : null}
          </li>
        ))}
      </ul>
      {shown.length === 0 ? <p role="status">No city of that name. An operator can add one.</p> : null}
    </div>
  );
}
