import { Link } from 'react-router';
import { Page } from './page.tsx';

/** The answer for an address that names nothing, or nothing that this reader may see. */
export function NotFound({ what = 'page' }: { what?: string }) {
  return (
    <Page title={`No such ${what}`}>
      <p>The address may be mistyped, or the {what} is not public. If you have an account, signing in may show it.</p>
      <p className="row">
        <Link className="button" to="/meetings">
          All meetings
        </Link>
        <Link className="button" to="/search">
          Search
        </Link>
      </p>
    </Page>
  );
}
