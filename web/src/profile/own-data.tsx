import { useState, type FormEvent } from 'react';
import { useMutation } from 'urql';
import { graphql } from '../graphql/graphql.ts';
import { describeFailure } from '../text/errors.ts';

/** What the server wants to be told before it deletes anything. */
const CONFIRMATION = 'delete my account';

const RequestDataExport = graphql(`
  mutation RequestDataExport($input: RequestDataExportInput!) {
    requestDataExport(input: $input) {
      json
      userErrors {
        message
      }
    }
  }
`);

const DeleteAccount = graphql(`
  mutation DeleteAccount($input: DeleteAccountInput!) {
    deleteAccount(input: $input) {
      id
      userErrors {
        message
      }
    }
  }
`);

/** What is kept about the reader: to take along, and to delete. */
export function OwnData() {
  return (
    <section aria-labelledby="own-data">
      <h2 id="own-data">Your data</h2>
      <Export />
      <Deletion />
    </section>
  );
}

function Export() {
  const [state, execute] = useMutation(RequestDataExport);
  const [said, setSaid] = useState('');
  const [problem, setProblem] = useState('');
  const download = async () => {
    setSaid('');
    setProblem('');
    const result = await execute({ input: {} });
    const answer = result.data?.requestDataExport;
    if (result.error) {
      const failure = describeFailure(result.error);
      setProblem(`${failure.title}. ${failure.advice}`);
    } else if (answer?.json) {
      save('councilsense-data.json', indented(answer.json));
      setSaid('Saved as councilsense-data.json.');
    } else setProblem(answer?.userErrors[0]?.message ?? 'Nothing came. Try again.');
  };
  return (
    <>
      <p>
        Your account, what you follow and searched for, how you want to be told, and the newest of what you were told,
        in one file.
      </p>
      <p className="row">
        <button type="button" className="button" disabled={state.fetching} onClick={() => void download()}>
          Download what is kept about you
        </button>
        <span className="fine" role="status">
          {said}
        </span>
      </p>
      <p className="problem" role="alert">
        {problem}
      </p>
    </>
  );
}

function Deletion() {
  const [state, execute] = useMutation(DeleteAccount);
  const [words, setWords] = useState('');
  const [problem, setProblem] = useState('');
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setProblem('');
    const result = await execute({ input: { confirmation: words.trim() } });
    const answer = result.data?.deleteAccount;
    if (answer?.id) {
      // Nothing that this page remembers is true any more.
      window.location.assign('/');
      return;
    }
    if (result.error) {
      const failure = describeFailure(result.error);
      setProblem(`Not deleted. ${failure.title}. ${failure.advice}`);
    } else setProblem(answer?.userErrors[0]?.message ?? 'Not deleted. Try again.');
  };
  return (
    <details>
      <summary>Delete this account</summary>
      <form onSubmit={(event) => void submit(event)} className="stack">
        <p id="deletion-meaning">
          Everything of yours is deleted for good: follows, searches, notifications and where you are reached. You are
          signed out everywhere. Nobody can bring it back.
        </p>
        <label className="field">
          <span>To go on, write: {CONFIRMATION}</span>
          <input
            value={words}
            onChange={(event) => setWords(event.target.value)}
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
            required
            aria-invalid={problem !== ''}
            aria-describedby="deletion-meaning deletion-problem"
          />
        </label>
        <p className="row">
          <button type="submit" className="button" disabled={state.fetching || words.trim() !== CONFIRMATION}>
            Delete my account
          </button>
        </p>
        <p id="deletion-problem" className="problem" role="alert">
          {problem}
        </p>
      </form>
    </details>
  );
}

function indented(json: string): string {
  return JSON.stringify(JSON.parse(json), null, 2);
}

/** Hands a text to the browser's downloads. */
function save(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  // The download has begun by the next turn.
  setTimeout(() => URL.revokeObjectURL(address), 0);
}
