// OHIF's configuration for this server. The token is the one of our own page: kept for this tab, sent in the
// Authorization header only. Who has none, or whose has ended, signs in at our page and comes back.
;(() => {
  const TOKEN = 'tongying.token' // as web_viewer/src/api/session.ts has it
  const RETURN = 'tongying.return'
  const UNAUTHORIZED = 401
  const SHIFT_MM_MAX = 1

  const token = () => sessionStorage.getItem(TOKEN)

  function signIn() {
    sessionStorage.removeItem(TOKEN)
    sessionStorage.setItem(RETURN, location.pathname + location.search)
    location.replace('/')
  }

  // The access token is short: as on our own page it is renewed before it expires, one page of the tab after the other.
  const [EXPIRES, LASTS, LOCK] = ['tongying.expires', 'tongying.lasts', 'tongying.renewal']
  const [LEFT, LOOK_MS] = [0.34, 10_000]

  function old() {
    const lasts = Number(sessionStorage.getItem(LASTS))
    return lasts > 0 && (Number(sessionStorage.getItem(EXPIRES)) - Date.now()) / lasts < LEFT
  }

  async function renew() {
    if (!token() || !old()) return
    const body = new URLSearchParams({ grant_type: 'refresh_token', cookie: 'true' })
    const headers = { Authorization: `Bearer ${token()}` }
    const response = await fetch('/api/auth/token', { method: 'POST', body, headers })
    if (!response.ok) return // whoever uses the token next is told
    const next = await response.json()
    sessionStorage.setItem(TOKEN, next.access_token)
    sessionStorage.setItem(EXPIRES, String(Date.now() + next.expires_in * 1000))
    sessionStorage.setItem(LASTS, String(next.expires_in * 1000))
  }

  const renewAlone = () => (navigator.locks ? navigator.locks.request(LOCK, renew) : renew()).catch(() => {})
  void renewAlone()
  setInterval(renewAlone, LOOK_MS)

  window.PUBLIC_URL = '/ohif/'
  // OHIF would import any address here; all that we serve is in its own bundles.
  window.browserImportFunction = name => Promise.reject(new Error(`not part of this viewer: ${name}`))

  /** Whether the slices are shifted within their plane, from the first to the last, by more than SHIFT_MM_MAX. */
  function tilted(instances) {
    const first = instances[0].ImagePositionPatient?.map(Number)
    const last = instances.at(-1).ImagePositionPatient?.map(Number)
    const axes = instances[0].ImageOrientationPatient?.map(Number)
    if (!first || !last || axes?.length !== 6) return false
    const way = last.map((value, axis) => value - first[axis])
    const along = from => way.reduce((sum, value, axis) => sum + value * axes[from + axis], 0)
    return Math.hypot(along(0), along(3)) > SHIFT_MM_MAX
  }

  window.tongying = { tilted }
  // Back from another page, which may have signed out: nothing is shown as it was left.
  addEventListener('pageshow', event => event.persisted && location.reload())

  const session = {
    id: 'tongying.session',
    preRegistration({ servicesManager }) {
      servicesManager.services.userAuthenticationService.setServiceImplementation({
        getAuthorizationHeader: () => ({ Authorization: `Bearer ${token()}` }),
        handleUnauthenticated: signIn,
      })
    },
  }

  window.config = {
    name: 'tongying',
    routerBasename: '/ohif/',
    extensions: [session],
    modes: [],
    customizationService: [{ 'ohif.tours': { $set: [] } }],
    whiteLabeling: {
      createLogoComponentFn: React =>
        React.createElement('a', { href: '/', className: 'text-white' }, '通影 Tongying'),
    },
    showStudyList: true,
    maxNumberOfWebWorkers: 3,
    showCPUFallbackMessage: true,
    showLoadingIndicator: true,
    // Slices whose distances differ, or a tilted gantry, are not shown as an orthogonal volume.
    strictZSpacingForVolumeViewport: true,
    maxNumRequests: { interaction: 20, thumbnail: 5, prefetch: 10 },
    showErrorDetails: 'production',
    httpErrorHandler: error => {
      if (error.status === UNAUTHORIZED || error.request?.status === UNAUTHORIZED) signIn()
    },
    defaultDataSourceName: 'tongying',
    dataSources: [
      {
        namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
        sourceName: 'tongying',
        configuration: {
          friendlyName: '通影 Tongying',
          name: 'tongying',
          wadoUriRoot: '/wado',
          qidoRoot: '/dicom-web',
          wadoRoot: '/dicom-web',
          qidoSupportsIncludeField: true,
          imageRendering: 'wadors',
          thumbnailRendering: 'thumbnail',
          thumbnailRequestStrategy: 'fetch',
          enableStudyLazyLoad: true,
          supportsFuzzyMatching: true,
          supportsWildcard: true,
          dicomUploadEnabled: false,
          singlepart: 'bulkdata,pdf,video',
          bulkDataURI: { enabled: true },
          omitQuotationForMultipartRequest: false,
        },
      },
    ],
  }

  if (!token()) signIn()
})()
