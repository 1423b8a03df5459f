import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

const api = process.env.TRIMTAB_URL ?? 'http://127.0.0.1:7070';

/** Writes a .gz beside each text file of the build, so that the server sends compressed bytes without compressing. */
function compress(): Plugin {
  return {
    name: 'compress',
    apply: 'build',
    closeBundle() {
      for (const folder of ['dist', 'dist/assets']) {
        for (const name of readdirSync(folder)) {
          if (/\.(html|js|css|svg)$/.test(name)) writeFileSync(join(folder, `${name}.gz`), gzipSync(readFileSync(join(folder, name)), { level: 9 }));
        }
      }
    },
  };
}

// The app lives under /ui/ of the server; in development Vite serves the page and passes the API on.
export default defineConfig({
  base: '/ui/',
  plugins: [react(), compress()],
  server: { port: 7071, proxy: { '/api': api, '/ajax-api': api, '/health': api, '/v2': api } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // the content security policy allows no data: URLs
    emptyOutDir: true, // dist/.gitkeep, which lets `go build` work before the first build, comes back from public/
    reportCompressedSize: false,
    manifest: 'manifest.json',
  },
});
