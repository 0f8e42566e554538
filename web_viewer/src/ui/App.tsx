import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import {
  createRootRoute,
  createRoute,
  createRouter,
  Navigate,
  Outlet,
  RouterProvider,
  useRouterState,
} from '@tanstack/react-router'
import {
  type ComponentType,
  lazy,
  type ReactElement,
  Suspense,
  useEffect,
  useState,
  useSyncExternalStore,
} from 'react'
import { ApiError } from '../api/http'
import { getSession, isOfLink, subscribeSession } from '../api/session'
import { heldLink, subscribeLink } from '../api/shareLinks'
import { forgetMetadata } from '../data/metadata'
import { forgetPreviews } from '../data/previews'
import { manifestQuery } from '../data/studies'
import { forgetThumbnails } from '../data/thumbnails'
import { tabOf } from './admin/tabs'
import { Loading } from './Loading'
import { searchOf } from './list/filter'
import { StudyListPage } from './list/StudyListPage'
import { PageError } from './PageError'
import { SignIn } from './SignIn'
import { OpenLink } from './share/OpenLink'
import { Opening } from './viewer/Opening'

const RETRIES_MAX = 2

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // Only what may pass by itself is tried again.
      retry: (count, error) =>
        count < RETRIES_MAX && (!(error instanceof ApiError) || error.status === 0 || error.status >= 500),
      retryDelay: attempt => 500 * 2 ** attempt,
    },
  },
})

const loadViewer = () => import('./viewer/ViewerPage')
/** Evaluating the viewer's code holds the page still: what can be shown before it is shown first. */
const VIEWER_WAITS_MS_MAX = 1000
let mayLoadViewer = (): void => {}
const ViewerPage = lazy(async () => {
  await new Promise<void>(resolve => {
    mayLoadViewer = resolve
    setTimeout(resolve, VIEWER_WAITS_MS_MAX)
  })
  return { default: (await loadViewer()).ViewerPage }
})
const opened = (): void => mayLoadViewer()

/** The next person at this browser must not find the pictures of the last one. */
async function forget(): Promise<void> {
  queries.clear()
  forgetMetadata()
  forgetThumbnails()
  forgetPreviews()
  if (viewerLoaded) (await loadViewer()).forgetImages()
}
let viewerLoaded = false

function Root(): ReactElement {
  const session = useSyncExternalStore(subscribeSession, getSession)
  useEffect(() => {
    if (!session.token) void forget()
  }, [session.token])
  const path = useRouterState({ select: state => state.location.pathname })
  const held = useSyncExternalStore(subscribeLink, heldLink)
  const ofLink = isOfLink()
  if (held || (ofLink && !session.token) || (!session.token && path === '/shared'))
    return <OpenLink key={held?.secret ?? ''} held={held} />
  if (!session.token) return <SignIn expired={session.expired} />
  const open = path === '/shared' || path.startsWith('/study/')
  if (ofLink && !open) return <Navigate to="/shared" replace />
  return <Outlet />
}

function Study({ studyUid }: { studyUid: string }): ReactElement {
  const [chosen, setChosen] = useState<string | null>(null)
  return (
    <Suspense
      fallback={<Opening studyUid={studyUid} chosen={chosen} onChoose={setChosen} onSettled={opened} />}
    >
      <ViewerPage studyUid={studyUid} chosen={chosen} />
    </Suspense>
  )
}

const AdminPage = lazy(async () => ({ default: (await import('./admin/AdminPage')).AdminPage }))
const AuditPage = lazy(async () => ({ default: (await import('./audit/AuditPage')).AuditPage }))
const SharedPage = lazy(async () => ({ default: (await import('./share/SharedPage')).SharedPage }))
const ReviewsPage = lazy(async () => ({ default: (await import('./persons/ReviewsPage')).ReviewsPage }))

const rootRoute = createRootRoute({ component: Root, errorComponent: PageError })

const listRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/',
  validateSearch: searchOf,
  component: StudyListPage,
})

const studyRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/study/$studyUid',
  loader: ({ params }) => {
    viewerLoaded = true
    if (getSession().token) void queries.prefetchQuery(manifestQuery(params.studyUid))
  },
  component: function StudyPage() {
    const { studyUid } = studyRoute.useParams()
    return <Study key={studyUid} studyUid={studyUid} />
  },
})

/** A page of its own piece of code, which few need. */
const apart = (Page: ComponentType) => (): ReactElement => (
  <Suspense fallback={<Loading />}>
    <Page />
  </Suspense>
)

const adminRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/admin',
  validateSearch: tabOf,
  component: apart(AdminPage),
})

const auditRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/audit',
  component: apart(AuditPage),
})

const personsRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/persons',
  component: apart(ReviewsPage),
})

const sharedRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/shared',
  component: apart(() => (isOfLink() ? <SharedPage /> : <Navigate to="/" replace />)),
})

const router = createRouter({
  routeTree: rootRoute.addChildren([
    listRoute,
    studyRoute,
    adminRoute,
    auditRoute,
    personsRoute,
    sharedRoute,
  ]),
  defaultErrorComponent: PageError,
  defaultNotFoundComponent: () => <PageError error={new ApiError(404, 'not found')} />,
  scrollRestoration: true,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}

export function App(): ReactElement {
  return (
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  )
}
