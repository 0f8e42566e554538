"""A synthetic population of a region, and what its facilities wrote down of it, with the errors they make.

Drawn from a seed. Families, characters and weights are this bench's own tables, not those that the comparison weighs
with: the order of families follows the published rankings of surnames, that of characters is ours, and both fall off
as 1/(rank + 4), which puts 王 and 李 at about 7 % and leaves thousands of namesakes in a hundred thousand.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import accumulate

from pacs.identity import Record, keyed_hash, read_name, read_resident_number
from pacs.identity.names import sound_of_family
from pacs.identity.resident import check_character

KEY = b"the key of this bench alone"
FAMILIES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴"
    "夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段漕钱汤尹黎易常武乔贺赖龚文庞樊兰殷施陶洪翟"
    "安颜倪严牛温芦季俞章鲁葛伍韦申尤毕聂丛焦向柳邢路岳齐沿梅莫庄辛管祝左涂谷祁时舒耿牟卜路詹关苗凌费纪靳盛童欧甄"
)
COMPOUND = ("欧阳", "上官", "司马", "诸葛", "皇甫")
MEN = (
    "伟强磊军洋勇杰涛超明刚平辉鹏华飞鑫波斌宇浩凯健俊帆帅旭宁龙林欢佳阳建国志文海峰东亮永成康庆小金新民红生德春祥"
    "子轩梓涵博一泽昊天睿晨奕辰铭毅宏光荣清云江山川福才贵发根水火木土玉良松柏栋梁家豪世荣华昌盛义礼智信忠孝诚恒远"
    "致嘉瑞霖熙皓翔鸿达啸钧锋锐炜烨煜焱淼垚珂琛瑜璟昱晟晏昕朗航舟渊潇沛泓浚彦彬哲翰墨书言语诺谦逊恺悦怿"
)
WOMEN = (
    "芳娜敏静秀丽艳娟霞燕玲桂英华玉兰红梅莉萍丹雪琳颖婷倩洁琴云凤珍香月莺媛珠翠雅芝佳嘉琼勤贞爱妹花巧美慧淑惠菊春"
    "晓小文思梦诗雨欣怡涵梓萱语晨露瑶怡婵雁蓓纨仪荷丹蓉眉君琦毓柔竹霭凝瑾薇馨璐舒影荔枝思菲寒伊亚宜可姬曼婕彤茜"
    "妍姝婉娅姣嫣妮妤娴嬿珊琪玥琬瑄璇玟珺瑛璟蕾蕊莹菁苒芷若兮芸茹荟菡萌沁汐滢湘漪淇溪洛冰凌霜晴曦昀旻晗"
)
SHUFFLED_DIGITS = "0123456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How often facilities write something else than is true, or nothing: shares of records, if not said otherwise."""

    records_more: float = 0.55  # after each record of a person the chance of one more, at another facility
    facilities: int = 208
    twin_births: float = 0.012  # of births: twice as many of persons
    twin_name_shares: float = 0.5  # of twins: the given names share a character
    twin_same_phone: float = 0.8  # of twins: a parent's
    family_phone: float = 0.3  # of persons: the number of somebody of the same family name
    number_there: float = 0.4
    number_of_parent: float = 0.01  # of numbers: another's
    number_typed_wrong: float = 0.005  # of numbers: the check finds most
    phone_there: float = 0.6
    phone_changed: float = 0.15  # of telephones
    pinyin_only: float = 0.25
    pinyin_in_one: float = 0.3  # of pinyin names: without a space or a caret
    name_swapped: float = 0.02
    name_homophone: float = 0.012  # of names in characters: another of the same sound
    name_typed_wrong: float = 0.006  # of names: another character, or a letter
    date_missing: float = 0.01
    date_digit: float = 0.007
    date_swapped: float = 0.004  # where that is a date
    date_new_year: float = 0.01
    sex_missing: float = 0.01
    sex_wrong: float = 0.003
    reused: float = 0.003  # the ID belonged to somebody else before


@dataclass(frozen=True, slots=True)
class Person:
    """As they are."""

    family: str
    given: str
    birth_date: date
    sex: str
    phone: str
    number: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A patient of one facility: whose it is, and what came under its ID later, if that was somebody else."""

    person: int
    record: Record
    later: tuple[Record, ...] = field(default=())


class Population:
    """Draws persons, then what is written of them."""

    def __init__(self, persons: int, seed: int, noise: Noise) -> None:
        self._random = random.Random(seed)
        self._noise = noise
        self._families = _falling(len(FAMILIES))
        self._men, self._women = _falling(len(MEN)), _falling(len(WOMEN))
        self._alike = _homophones()
        self.persons = list(self._people(persons))

    def entries(self) -> list[Entry]:
        """All patients, in the order in which they come."""
        found = [
            self._entry(number, person)
            for number, person in enumerate(self.persons)
            for _ in range(self._times())
        ]
        self._random.shuffle(found)
        return found

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _times(self) -> int:
        times = 1
        while self._chance(self._noise.records_more) and times < 12:
            times += 1
        return times

    def _people(self, persons: int) -> Iterator[Person]:
        made, before = 0, None
        while made < persons:
            one = self._person(before)
            yield one
            made, before = made + 1, one
            if made < persons and self._chance(self._noise.twin_births):
                yield self._twin(one)
                made += 1

    def _person(self, before: Person | None) -> Person:
        family = (
            self._one(FAMILIES, self._families) if not self._chance(0.002) else self._random.choice(COMPOUND)
        )
        sex = self._random.choice("MF")
        age = self._random.choices((10, 30, 50, 70, 88), (10, 20, 30, 32, 8))[0] * 365
        birth = date(2026, 6, 1) - timedelta(days=max(0, age + self._random.randrange(-3650, 3650)))
        phone = "1" + self._random.choice("35789") + self._digits(9)
        if before is not None and self._chance(self._noise.family_phone):
            family, phone = before.family, before.phone  # parent and child, brother and sister
        return Person(family, self._given(sex, birth), birth, sex, phone, self._number(birth, sex))

    def _twin(self, one: Person) -> Person:
        sex = one.sex if self._chance(0.65) else ("F" if one.sex == "M" else "M")
        given = self._given(sex, one.birth_date)
        if self._chance(self._noise.twin_name_shares) and len(one.given) == 2:
            given = one.given[0] + given[-1] if self._chance(0.5) else given[0] + one.given[-1]
        if given == one.given:
            given += self._one(WOMEN, self._women)
        phone = one.phone if self._chance(self._noise.twin_same_phone) else "13" + self._digits(9)
        number = self._number(one.birth_date, sex)
        return replace(one, given=given, sex=sex, phone=phone, number=number)

    def _given(self, sex: str, birth: date) -> str:
        single = self._chance(0.35 if 1970 < birth.year < 1995 else 0.12)
        table, weights = (MEN, self._men) if sex == "M" else (WOMEN, self._women)
        return "".join(self._one(table, weights) for _ in range(1 if single else 2))

    def _one(self, table: str, weights: list[float]) -> str:
        return self._random.choices(table, cum_weights=weights)[0]

    def _digits(self, count: int) -> str:
        return "".join(self._random.choices(SHUFFLED_DIGITS, k=count))

    def _number(self, birth: date, sex: str) -> str:
        region = "3302" + self._random.choice(("03", "05", "06", "11", "12", "13", "25", "26", "81", "82"))
        last = self._random.randrange(5) * 2 + (sex == "M")
        first17 = f"{region}{birth:%Y%m%d}{self._digits(2)}{last}"
        return first17 + check_character(first17)

    # --- What is written ---

    def _entry(self, number: int, person: Person) -> Entry:
        record = self._written(person)
        if self._chance(self._noise.reused):
            return Entry(number, record, (self._written(self._random.choice(self.persons)),))
        return Entry(number, record)

    def _written(self, person: Person) -> Record:
        noise, chance = self._noise, self._chance
        sex = "" if chance(noise.sex_missing) else person.sex
        if sex and chance(noise.sex_wrong):
            sex = "F" if sex == "M" else "M"
        phone = person.phone if chance(noise.phone_there) else ""
        if phone and chance(noise.phone_changed):
            phone = "15" + self._digits(9)
        birth = self._birth(person.birth_date)
        return Record(read_name(self._name(person)), birth, sex, phone, self._hash(person, birth, sex))

    def _hash(self, person: Person, birth: date | None, sex: str) -> bytes:
        if not self._chance(self._noise.number_there):
            return b""
        digits = person.number
        if self._chance(self._noise.number_of_parent):
            digits = self._random.choice(self.persons).number
        if self._chance(self._noise.number_typed_wrong):
            place = self._random.randrange(6, 18)
            digits = digits[:place] + self._random.choice(SHUFFLED_DIGITS) + digits[place + 1 :]
        number = read_resident_number(digits)
        if number is None or number.agreement(birth, sex) != "confirmed":
            return b""
        return keyed_hash(KEY, "resident", number.digits)

    def _birth(self, birth: date) -> date | None:
        noise = self._noise
        if self._chance(noise.date_missing):
            return None
        if self._chance(noise.date_new_year):
            return date(birth.year, 1, 1)
        if self._chance(noise.date_swapped) and birth.day <= 12:
            return date(birth.year, birth.day, birth.month)
        return self._other_digit(birth) if self._chance(noise.date_digit) else birth

    def _other_digit(self, birth: date) -> date:
        text = birth.isoformat()
        place = self._random.choice((2, 3, 6, 8, 9))
        try:
            return date.fromisoformat(text[:place] + self._random.choice(SHUFFLED_DIGITS) + text[place + 1 :])
        except ValueError:
            return birth

    def _name(self, person: Person) -> str:
        noise, given = self._noise, person.given
        wrong = self._chance(noise.name_typed_wrong)
        if self._chance(noise.pinyin_only):
            return self._pinyin(person, wrong)
        if self._chance(noise.name_homophone):
            given = self._random.choice(self._alike[sound_of_family(given[0])]) + given[1:]
        if wrong:
            given = given[:-1] + self._random.choice(MEN + WOMEN)
        if self._chance(noise.name_swapped):
            return f"{given}^{person.family}"
        return person.family + given

    def _pinyin(self, person: Person, wrong: bool) -> str:
        name = read_name(person.family + person.given)
        family, given = name.family, name.given
        if wrong:
            place = self._random.randrange(len(given))
            given = given[:place] + self._random.choice("aeioungh") + given[place + 1 :]
        if self._chance(self._noise.pinyin_in_one):
            return (family + given).upper()
        if self._chance(self._noise.name_swapped):
            family, given = given, family
        return f"{family}^{given}".upper()


def _falling(length: int) -> list[float]:
    return list(accumulate(1 / (rank + 4) for rank in range(length)))


def _homophones() -> dict[str, str]:
    alike: dict[str, str] = {}
    for character in dict.fromkeys(MEN + WOMEN):
        sound = sound_of_family(character)
        alike[sound] = alike.get(sound, "") + character
    return alike
