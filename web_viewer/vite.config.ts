import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

const server = process.env.TONGYING_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [react()],
  resolve: {
    // vtk.js reaches xmlbuilder2 through its XML readers, which the viewer never calls;
    // the stub saves 0.3 MB and the Node built-ins that would blank the page.
    alias: { xmlbuilder2: new URL('./src/render/noXml.ts', import.meta.url).pathname },
  },
  worker: { format: 'es' },
  optimizeDeps: {
    // Pre-bundling would lose the loader's `new URL(worker)`; its CommonJS codecs still need it.
    exclude: ['@cornerstonejs/dicom-image-loader'],
    include: [
      'dicom-parser',
      '@cornerstonejs/codec-charls/decodewasmjs',
      '@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs',
      '@cornerstonejs/codec-openjpeg/decodewasmjs',
      '@cornerstonejs/codec-openjph/wasmjs',
    ],
  },
  build: { target: 'es2022', chunkSizeWarningLimit: 5000, assetsInlineLimit: 0 },
  server: {
    proxy: { '/api': server, '/dicom-web': server },
  },
  test: { include: ['src/**/*.test.ts'], setupFiles: ['src/test/setup.ts'] },
} as Parameters<typeof defineConfig>[0])
