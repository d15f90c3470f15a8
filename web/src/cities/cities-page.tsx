import { Page } from '../ui/page.tsx';
import { Cities } from './cities.tsx';

export default function CitiesPage() {
  return (
    <Page title="Cities" lead={<p>The councils that are followed here.</p>}>
      <Cities />
    </Page>
  );
}
