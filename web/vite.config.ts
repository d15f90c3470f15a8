import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// The server that `npm run dev` talks to: a running `councilsense up`.
const backend = 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2022',
    // The content security policy admits files of our own origin only, so nothing is inlined as data.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      '/graphql': { target: backend, ws: true },
      '/auth': backend,
      '/artifacts': backend,
      '/unsubscribe': backend,
    },
  },
});
