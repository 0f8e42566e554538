"""Who looked at a patient's studies, as people are told it: entries of the audit trail by day, in CSV or on a page."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from pacs.audit import Action, Entry, Outcome, Subject
from pacs.identity import shown_id

LOOKING = (Action.VIEW, Action.EXPORT, Action.GRANT)
SMALL = "/thumbnail"  # behind the path of what is a small picture in a list


class Kind(StrEnum):
    """What was done."""

    LIST = "list"  # a small picture and the name, in a list
    VIEW = "view"
    EXPORT = "export"
    GRANT = "grant"  # somebody else may look, or they themselves in an emergency


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What somebody did with a patient's studies on one day, from `first` to `last`."""

    first: datetime
    last: datetime
    times: int
    who: str
    role: str
    facility: str
    purpose: str
    kind: Kind
    subjects: tuple[Subject, ...]
    studies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """All that is told: of whom, what, and the names of facilities by their codes, in Chinese and English. `whole`:
    whether it is all that there is."""

    subjects: tuple[Subject, ...]
    looks: tuple[Look, ...]
    names: Mapping[str, tuple[str, str]]
    whole: bool = True


def gather(
    entries: Iterable[Entry], subjects: frozenset[Subject], studies: frozenset[str] | None = None
) -> tuple[Look, ...]:
    """What entries tell of these patients, and of these studies where they are said; the last first. Days are those of
    this machine."""
    found: dict[tuple[object, ...], Look] = {}
    for entry in entries:
        mine = tuple(s for s in entry.subjects if s in subjects)
        named = tuple(uid for uid in entry.studies if studies is None or uid in studies)
        if not mine or entry.outcome is not Outcome.SUCCESS or (studies is not None and not named):
            continue
        look = Look(
            first=entry.at, last=entry.at, times=1, who=entry.who, role=entry.role, facility=entry.facility,
            purpose=entry.purpose, kind=_kind(entry), subjects=mine, studies=named,
        )  # fmt: skip
        key = (*_whose(look), look.kind)
        found[key] = _joined(found[key], look) if key in found else look
    looks = found.values()
    viewed = {_whose(look) for look in looks if look.kind is Kind.VIEW}
    told = (look for look in looks if look.kind is not Kind.LIST or _whose(look) not in viewed)
    return tuple(sorted(told, key=lambda look: look.last, reverse=True))


def _whose(look: Look) -> tuple[object, ...]:
    day = look.first.astimezone().date()
    return (day, look.who, look.role, look.facility, look.purpose, look.subjects, look.studies)


def _joined(one: Look, other: Look) -> Look:
    first, last = min(one.first, other.first), max(one.last, other.last)
    return replace(one, first=first, last=last, times=one.times + other.times)


def _kind(entry: Entry) -> Kind:
    if entry.action is Action.VIEW:
        path = entry.asked.partition(" ")[2].partition("?")[0].partition(" ")[0]
        return Kind.LIST if path.endswith(SMALL) else Kind.VIEW
    return Kind(entry.action.value)


# As it is read.

HEADINGS = {
    "en": ("From", "To", "Times", "Facility", "Role", "Name", "What", "Purpose", "Patient", "Studies"),
    "zh": ("起", "止", "次数", "机构", "角色", "姓名", "操作", "目的", "患者", "检查"),
}
WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Who looked at the images", "of": "Patient", "made": "Made on {}", "none": "Nobody did.",
        "region": "Regional archive", "cut": "Only the last entries are shown.",
        "list": "Saw in a list", "view": "Looked", "export": "Took a copy", "grant": "Opened access",
        "administrator": "Administrator", "clinician": "Clinician", "radiologist": "Radiologist",
        "technologist": "Technologist", "auditor": "Auditor", "device": "Device", "system": "Other system",
        "link": "Patient’s link", "operator": "Operator", "treatment": "Treatment", "referral": "Referral",
        "consultation": "Consultation", "emergency": "Emergency", "quality": "Quality", "audit": "Audit",
    },
    "zh": {
        "title": "影像查阅记录", "of": "患者", "made": "打印时间：{}", "none": "无查阅记录。",
        "region": "区域影像中心", "cut": "仅显示最近的记录。",
        "list": "在列表中看到", "view": "查看", "export": "获取副本", "grant": "开放权限",
        "administrator": "管理员", "clinician": "临床医生", "radiologist": "放射科医生", "technologist": "技师",
        "auditor": "审计员", "device": "设备", "system": "其他系统", "link": "患者链接", "operator": "运维人员",
        "treatment": "诊疗", "referral": "转诊", "consultation": "会诊", "emergency": "急诊", "quality": "质控",
        "audit": "审计",
    },
}  # fmt: skip
STYLE = (
    "body{font:14px sans-serif;margin:24px}table{border-collapse:collapse;width:100%}"
    "th,td{border-top:1px solid #999;padding:4px 8px 4px 0;text-align:left;vertical-align:top}"
    "td:last-child{font-size:10px;word-break:break-all}"
)
NAME = 5  # the place of the name in a row


def as_csv(looked: Looked, language: str = "en", *, names: bool = True) -> str:
    """With a byte order mark, without which spreadsheets do not read Chinese. What a spreadsheet would calculate is
    text."""
    file = io.StringIO()
    writer = csv.writer(file)
    for row in _rows(looked, language, names=names):
        writer.writerow(
            ["'" + cell if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell for cell in row]
        )
    return "\N{ZERO WIDTH NO-BREAK SPACE}" + file.getvalue()


def as_page(looked: Looked, language: str = "en", *, names: bool = True) -> str:
    """A page of HTML that stands alone, to print."""
    words, said = WORDS[language], html.escape
    heading, *rows = (
        "".join(f"<td>{said(cell)}</td>" for cell in row) for row in _rows(looked, language, names=names)
    )
    of = "; ".join(_patient(s) for s in looked.subjects)
    made = words["made"].format(f"{datetime.now().astimezone():%Y-%m-%d %H:%M}")
    notes = [made, *(() if looked.whole else (words["cut"],)), *(() if rows else (words["none"],))]
    return (
        f"<!doctype html><html lang={language}><meta charset=utf-8><title>{said(words['title'])}</title>"
        f"<style>{STYLE}</style><h1>{said(words['title'])}</h1><p>{said(words['of'])}: {said(of)}</p>"
        f"<p>{said(' '.join(notes))}</p><table><thead><tr>{heading.replace('td>', 'th>')}</tr></thead><tbody>"
        + "".join(f"<tr>{row}</tr>" for row in rows)
        + "</tbody></table></html>\n"
    )


def _rows(looked: Looked, language: str, *, names: bool) -> list[tuple[str, ...]]:
    rows = [HEADINGS[language], *(_row(look, looked.names, language) for look in looked.looks)]
    return rows if names else [(*row[:NAME], *row[NAME + 1 :]) for row in rows]


def _row(look: Look, facilities: Mapping[str, tuple[str, str]], language: str) -> tuple[str, ...]:
    words = WORDS[language]
    chinese, english = facilities.get(look.facility, (look.facility, ""))
    facility = (english or chinese if language == "en" else chinese) or look.facility
    return (
        f"{look.first.astimezone():%Y-%m-%d %H:%M}", f"{look.last.astimezone():%H:%M}", str(look.times),
        facility or words["region"], words.get(look.role, look.role), look.who, words[look.kind],
        words.get(look.purpose, look.purpose), "; ".join(map(_patient, look.subjects)), " ".join(look.studies),
    )  # fmt: skip


def _patient(subject: Subject) -> str:
    return " / ".join(filter(None, (subject.facility, subject.issuer, shown_id(subject.patient_id))))
