// What is taken of OHIF's dist, and each change to it. A change that does not find its place stops the build.

/** Not: source maps, ONNX (models from elsewhere), whole slides, service workers, foreign sign-ins, icons of an app. */
const KEPT =
  /^([\w-]+\.bundle\.[0-9a-f]+\.js|[\w.]+\.css|[0-9a-f]+\.(wasm|woff2)|assets\/images\/[\w-]+\.png|assets\/favicon\.ico)$/
/** Chunks of the modes and extensions that are left out below, and of those that OHIF has for its own tests. */
const UNREACHED = /^(1180|2779|4556|4683|5731|8423|8832|9290|9437)\./
export const kept = name => KEPT.test(name) && !UNREACHED.test(name)

/** Ways of working that need what is left out, or what no hospital here has. */
const MODES_LEFT_OUT = ['microscopy', 'preclinical-4d', 'ultrasound-pleura-bline']

const TILTED = '  let missingFrames = 0;\n  let averageSpacingBetweenFrames;'
const DECODER = 8097 // the chunk of the worker that decodes frames

/** Where a file goes. The decoder's JPEG 2000 needs `eval`, so the server allows it in this folder, and only there. */
export const place = name => (name.startsWith(`${DECODER}.bundle.`) ? `decoder/${name}` : name)

/** [files, what is there, what shall be there, how often it stands in them]. */
const changes = base => [
  // The folder that it is served from, in the page and in its workers.
  [/\.js$/, '__webpack_require__.p = "/"', `__webpack_require__.p = "${base}"`, 8],
  [/\.css$/, 'url(/', `url(${base}`, 5],
  [
    /^app\.bundle/,
    `__webpack_require__.p + __webpack_require__.u(${DECODER})`,
    `__webpack_require__.p + "decoder/" + __webpack_require__.u(${DECODER})`,
    1,
  ],
  // A link with a token would read the studies under somebody else's name, and tokens do not belong in URLs.
  [/^app\.bundle/, "const token = lowerCaseSearchParams.get('token');", 'const token = null;', 1],
  // Slices that are shifted against each other (a tilted gantry) would be laid out as if they were not, and not a word said.
  [/^app\.bundle/, TILTED, `if (window.tongying.tilted(instances)) return { value: false };\n${TILTED}`, 1],
  ...MODES_LEFT_OUT.map(mode => [/^app\.bundle/, `pluginImports_modes.push("@ohif/mode-${mode}");`, '', 1]),
  [/^app\.bundle/, 'pluginImports_extensions.push("@ohif/extension-ultrasound-pleura-bline");', '', 1],
]

/** Changes one file after the other, and counts. */
export function changed(base) {
  const all = changes(base).map(([files, from, to, times]) => ({ files, from, to, times, seen: 0 }))
  return {
    file(name, content) {
      const mine = all.filter(change => change.files.test(name))
      if (mine.length === 0) return content
      let text = content.toString('utf8')
      for (const change of mine) {
        change.seen += text.split(change.from).length - 1
        text = text.replaceAll(change.from, change.to)
      }
      return text
    },
    finish() {
      for (const { from, times, seen } of all) {
        if (seen !== times) throw new Error(`OHIF has ${JSON.stringify(from)} ${seen} times, not ${times}`)
      }
    },
  }
}
