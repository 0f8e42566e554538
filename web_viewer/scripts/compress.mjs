// Compresses the built assets once, beside themselves, so that the server need not for each request.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const assets = join(import.meta.dirname ?? '.', '..', 'dist', 'assets')
for (const name of readdirSync(assets)) {
  if (/\.(js|css|wasm|svg)$/.test(name)) {
    writeFileSync(join(assets, `${name}.gz`), gzipSync(readFileSync(join(assets, name)), { level: 9 }))
  }
}
