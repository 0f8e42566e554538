"""One Orthanc, followed: its change log, page by page; a full comparison beside it where the log cannot tell all.

Order is what makes it safe: an instance is durable in our spool before the place in the log is written past it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import replace
from functools import partial

from dicom_node.orthanc_client import Change, EdgeAway, EdgeError, EdgeMissing, Orthanc, There
from pacs.encoded import EncodedError
from pacs.errors import InvalidUID, TooLarge
from pacs.logs import get
from storage import edges, presence
from storage.archive import Archive
from storage.edges import Edge, Progress
from storage.importing import take_in
from storage.reception import Reception
from storage.records import Origin
from storage.spool import Spool

log = get("orthanc")
PAGE = 200  # changes, or instances of a full comparison, from one saving of the place to the next
OVERLAP = 50  # instances of a page that the page before had, too: they tell whether the list moved
DOWNLOADS = 4  # at once, from one Orthanc
TRIES = 3  # of one instance, at once; then it waits in a row of its own
NEWS = "NewInstance"


class _Downloads:
    """Threads that the process does not wait for when it ends, as it would for an executor's: one may hang on a
    socket, and what is not durable is pulled again."""

    def __init__(self, count: int, name: str) -> None:
        self._queue: queue.SimpleQueue[tuple[Future[bool], Callable[[], bool]] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], bool]) -> Future[bool]:
        future: Future[bool] = Future()
        self._queue.put((future, work))
        return future

    def close(self) -> None:
        """Ends when the work under way has."""
        for _ in self._threads:
            self._queue.put(None)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            future, work = item
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)


class Follower:
    """Follows one Orthanc. `step` is called by one thread; it downloads with several."""

    def __init__(self, archive: Archive, spool: Spool, edge: Edge, progress: Progress) -> None:
        self._archive, self._spool, self.edge, self.progress = archive, spool, edge, progress
        self._orthanc = Orthanc(edge, connections=DOWNLOADS + 1)
        self._origin = Origin(edge.facility, "ORTHANC", archive.settings.ae_title, self._orthanc.host)
        self._downloads = _Downloads(DOWNLOADS, f"orthanc-{edge.name}")
        self._own = threading.local()
        self._receptions: list[Reception] = []
        self._greeted = False

    def step(self) -> bool:
        """One page of changes, and one of the full comparison if that is under way; whether there may be more.

        Raises EdgeAway, EdgeRefused, EdgeError, OutOfResources, and what the database raises: then nothing was
        saved of the page, and the same step comes again.
        """
        if not self._greeted:
            self._orthanc.version()
            if self.progress.change == 0 and self.progress.listed == 0:
                self._begin(self._orthanc.last_change())
            self._greeted = True
        more = self._follow() or self._retry()
        if self.progress.listed is not None:
            more = self._compare(self.progress.listed) or more
        return more

    def lost(self) -> None:
        """It went away: ask who it is before going on."""
        self._greeted = False

    def halt(self) -> None:
        """Called by another thread: what is under way ends soon, by an EdgeAway."""
        self._orthanc.halt()

    def close(self) -> None:
        """Give everything back; not while `step` runs."""
        self._downloads.close()
        for reception in self._receptions:
            reception.close()
        self._orthanc.close()

    # --- the change log ---------------------------------------------------------------------------------------

    def _follow(self) -> bool:
        here = self.progress
        # The entry that we know is asked for again: it tells whether this is still the same log.
        page = self._orthanc.changes(max(here.change - 1, 0), PAGE + 1)
        known = next((c for c in page.changes if c.seq == here.change), None)
        if page.last < here.change or (known and here.mark and known.mark != here.mark):
            log.warning("orthanc_replaced", edge=self.edge.name, change=here.change, last=page.last)
            self._begin(self._orthanc.last_change())
            return True
        news = [c for c in page.changes if c.seq > here.change]
        if not news and (known or page.last == here.change):
            return False
        emptied = bool(here.change) and not known and self._emptied(here.change)
        there = self._described(news)
        edges.clear_failures(self._archive, self.edge, [one.id for one in there])
        pulled = self._pull(there, news=True)
        last = news[-1] if news else Change(page.last, "", "", "")
        listed = 0 if emptied and here.listed is None else here.listed
        self._save(replace(here, change=last.seq, mark=last.mark, listed=listed), pulled)
        return not page.done

    def _emptied(self, change: int) -> bool:
        """Whether nothing up to this entry is left in the log: somebody emptied it, perhaps before we read it all.
        Single entries vanish with the resources that they told of; then older ones remain."""
        oldest = self._orthanc.changes(0, 1).changes
        found = not oldest or oldest[0].seq > change
        if found:
            log.warning("orthanc_log_emptied", edge=self.edge.name, change=change)
        return found

    def _begin(self, last: Change) -> None:
        """Compare everything, and follow from here on."""
        start = Progress(last.seq, last.mark, listed=0, pulled=self.progress.pulled)
        self._save(start, 0)

    def _described(self, changes: list[Change]) -> list[There]:
        ids = list(dict.fromkeys(c.resource for c in changes if c.kind == NEWS))
        return self._orthanc.described(ids) if ids else []

    def _retry(self) -> bool:
        ids = edges.due_failures(self._archive, self.edge, PAGE)
        if ids:
            pulled = self._pull(self._orthanc.described(ids), news=True)
            edges.clear_due_failures(self._archive, self.edge, ids)  # those that failed again are due later
            self._save(self.progress, pulled)
        return len(ids) == PAGE

    # --- the full comparison ----------------------------------------------------------------------------------

    def _compare(self, listed: int) -> bool:
        """A page of all instances there. The list moves when something is deleted; then we step back."""
        start = max(listed - OVERLAP, 0)
        page = self._orthanc.instances(start, PAGE + OVERLAP)
        places = [one.id for one in page]
        if self.progress.anchor and self.progress.anchor not in places:
            if start:
                self._save(replace(self.progress, listed=max(start - PAGE, 0), anchor=""), 0)
                return True
            new = page
        else:
            first = places.index(self.progress.anchor) + 1 if self.progress.anchor else 0
            new = page[first:]
        if not new:
            self._save(replace(self.progress, listed=None, anchor=""), 0)
            log.info("orthanc_compared", edge=self.edge.name, instances=listed)
            return False
        pulled = self._pull(new, news=False)
        end = start + len(page)
        self._save(replace(self.progress, listed=end, anchor=new[-1].id), pulled)
        return True

    def _save(self, progress: Progress, pulled: int) -> None:
        progress = replace(progress, pulled=progress.pulled + pulled)
        if progress != self.progress:
            edges.save_progress(self._archive, self.edge, progress)
            self.progress = progress

    # --- pulling ----------------------------------------------------------------------------------------------

    def _pull(self, there: list[There], *, news: bool) -> int:
        """Make these instances durable here; how many were stored. Those that we have are passed over; in the news
        they may have other content, so there the file decides."""
        uids = [one.sop_instance for one in there]
        known = presence.known_uids(self._archive, self.edge.facility_id, uids)
        wanted = [o for o in there if news or o.sop_instance not in known]
        futures = [
            self._downloads.submit(partial(self._take, one, one.sop_instance in known)) for one in wanted
        ]
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            future.cancel()  # once one failed for all
        wait(futures)
        return sum(future.result() for future in sorted(futures, key=Future.cancelled))

    def _take(self, one: There, known: bool) -> bool:
        """One instance; whether it was stored. What is wrong with it alone is noted and does not stop the rest."""
        try:
            if known and self._same(one):
                return False
            stored = self._download(one)
        except EdgeMissing:
            return False  # deleted since
        except (EdgeError, EncodedError, InvalidUID, TooLarge) as error:
            self._failed(one, str(error))
            return False
        if not stored:
            self._failed(one, "it is no DICOM file")
        return stored

    def _same(self, one: There) -> bool:
        md5 = self._orthanc.md5(one.id)
        return bool(md5) and presence.has_file(self._archive, self.edge.facility_id, one.sop_instance, md5)

    def _download(self, one: There) -> bool:
        for _ in range(TRIES):
            try:
                with self._orthanc.file(one.id) as body:
                    return take_in(self._reception(), self._origin, body)
            except EdgeAway as error:
                why = str(error)
                self._orthanc.version()  # raises EdgeAway where it is the Orthanc, and not this instance
        raise EdgeError(why)

    def _failed(self, one: There, why: str) -> None:
        log.warning("orthanc_instance_failed", edge=self.edge.name, instance=one.id, reason=why)
        edges.add_failure(self._archive, self.edge, one.id, why)

    def _reception(self) -> Reception:
        """One for each thread."""
        found: Reception | None = getattr(self._own, "reception", None)
        if found is None:
            found = self._own.reception = Reception(self._spool)
            self._receptions.append(found)
        return found
