import { useState, type FormEvent } from 'react';
import { useMutation } from 'urql';
import { Cities } from '../cities/cities.tsx';
import { graphql } from '../graphql/graphql.ts';
import { describeFailure } from '../text/errors.ts';
import { humanize } from '../text/words.ts';
import { Page } from '../ui/page.tsx';
import { ForViewer } from '../viewer/for-viewer.tsx';
import type { Viewer } from '../viewer/viewer.tsx';
import { OwnData } from './own-data.tsx';
import { Sessions } from './sessions.tsx';

const UpdateProfile = graphql(`
  mutation UpdateProfile($input: UpdateProfileInput!) {
    updateProfile(input: $input) {
      viewer {
        id
        displayName
      }
      userErrors {
        field
        message
      }
    }
  }
`);

export default function ProfilePage() {
  return (
    <ForViewer title="Profile" invitation="Your name, your home city and your sessions are kept here.">
      {(viewer) => <Profile viewer={viewer} />}
    </ForViewer>
  );
}

function Profile({ viewer }: { viewer: Viewer }) {
  return (
    <Page title="Profile" lead={viewer.email ? <p>{viewer.email}</p> : null}>
      <NameForm key={viewer.id} viewer={viewer} />
      <section aria-labelledby="home-city">
        <h2 id="home-city">Home city</h2>
        <p>
          {viewer.homeCity ? `${viewer.homeCity.name}.` : 'None chosen yet.'} You are told what its council decides.
        </p>
        <Cities />
      </section>
      <Sessions />
      <section aria-labelledby="roles">
        <h2 id="roles">Roles</h2>
        <p>{viewer.roles.map(humanize).join(', ') || 'None'}</p>
      </section>
      <OwnData />
    </Page>
  );
}

function NameForm({ viewer }: { viewer: Viewer }) {
  const [name, setName] = useState(viewer.displayName);
  const [said, setSaid] = useState('');
  const [problem, setProblem] = useState('');
  const [state, execute] = useMutation(UpdateProfile);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setSaid('');
    setProblem('');
    const result = await execute({ input: { displayName: name.trim() } });
    const refusal = result.data?.updateProfile.userErrors[0];
    if (result.error) {
      const failure = describeFailure(result.error);
      setProblem(`Not saved. ${failure.title}. ${failure.advice}`);
    } else if (refusal) setProblem(refusal.message);
    else setSaid('Saved.');
  };
  return (
    <form onSubmit={(event) => void submit(event)} className="stack">
      <label className="field">
        <span>Name</span>
        <input
          value={name}
          onChange={(event) => setName(event.target.value)}
          autoComplete="name"
          required
          maxLength={200}
          aria-invalid={problem !== ''}
          aria-describedby="name-problem"
        />
      </label>
      <p className="row">
        <button type="submit" className="button" disabled={state.fetching || name.trim() === viewer.displayName}>
          Save name
        </button>
        <span className="fine" role="status">
          {said}
        </span>
      </p>
      <p id="name-problem" className="problem" role="alert">
        {problem}
      </p>
    </form>
  );
}
