import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { BrowserRouter } from 'react-router';
import { Provider } from 'urql';
import { App } from './app.tsx';
import { createGraphqlClient } from './graphql/client.ts';
import './styles/base.css';
import './styles/frame.css';
import './styles/parts.css';
import './styles/screens.css';

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no element with the id "root"');

createRoot(root).render(
  <StrictMode>
    <Provider value={createGraphqlClient()}>
      {/* Filters live in the address: as a transition, a radio button would spring back before it moved. */}
      <BrowserRouter useTransitions={false}>
        <App />
      </BrowserRouter>
    </Provider>
  </StrictMode>,
);
