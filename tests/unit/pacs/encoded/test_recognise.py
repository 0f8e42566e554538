"""Undeclared Chinese is recognised; European names under Latin-1 are left alone."""

from itertools import product

import pytest

from pacs.encoded import Instance, read_instance
from pacs.encoded.recognise import recognise

from .samples import element, part10

EUROPEAN_NAMES = """
Müller Größe Jäger Schäfer Böhm Köhler Krüger Groß Weiß Strauß Öztürk Ünal Götz Hübner Jürgen Jörg Günther
Käthe Süß Löwe Zoë Chloë Citroën Åsa Åström Björk Björn Sjögren Söderström Håkansson Lindström Öberg Östlund
Ängström Hällström Mäkelä Hämäläinen Pääkkönen Sääski Väinämöinen Räikkönen Hyvönen Järvinen Yrjö Sørensen
Jørgensen Kjær Ærø Skårup Bråten Øystein Ødegård Løvås Þór Guðrún Sigurðsson Ásgeirsdóttir Jóhannsdóttir
Ólafur Æsa Ísold Örn Þórður François Françoise Hélène Chloé Zoé Anaïs Loïc Noël Jérôme Gaël Rémi Renée André
Désirée Béatrice Léa Éléonore Étienne Ève Agnès Thérèse Geneviève Côme Benoît Maîté Garçon Lefèvre Duchêne
Hervé Aimée Née Orléans Élysée Dû Où À Déjà Ñúñez Muñoz Peña Núñez Ibáñez Yáñez Zúñiga María José Jesús
Ángel Íñigo Óscar Úrsula Álvarez Fernández Gómez González Gutiérrez Hernández Jiménez López Martínez Pérez
Ramírez Rodríguez Sánchez Suárez Vázquez Belén Inés Mónica Verónica Raúl Begoña Güell João Conceição
Magalhães Gonçalves Simões Guimarães Antônio Inês Luís Assunção Falcão Leão Brandão Araújo Patrícia Estêvão
Irmã Avó Avô Açores Nicolò Forlì Carità Perché Cantù D'Alò Papà È Più Città MÜLLER GRÖßE SCHÄFER BJÖRK
FRANÇOIS HÉLÈNE MUÑOZ NÚÑEZ PEÑA CONCEIÇÃO MAGALHÃES ÅSTRÖM ØSTERGÅRD HÄMÄLÄINEN PÄÄKKÖNEN SÖDERSTRÖM
ÉLÉONORE ÞÓRÐUR SØRENSEN KJÆR ÑÚÑEZ MARÍA ÍÑIGO
"""
EUROPEAN_TEXTS = [
    "Buc^Jérôme",
    "Äneas^Rüdiger",
    "Schädel nativ",
    "Röntgen Klinik Zürich",
    "45° oblique",
    "10 µm",
    "Épaule droite",
    "Crâne sans injection",
    "Hôpital Européen Georges-Pompidou",
    "«Tête»",
    "Größe 180 ±5",
    "¿Qué?",
    "Södersjukhuset Läkare Åsa Öberg",
]
SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜程苏魏"
GIVEN = """
伟 芳 娜 秀英 敏 静 丽 强 磊 军 洋 勇 艳 杰 娟 涛 明 超 霞 平 刚 桂英 建国 小红 志强 雪梅 子轩 梓涵 浩宇 欣怡
"""
CHINESE_TEXTS = [
    "Zhang^San=张^三",
    "CT平扫",
    "胸部CT平扫+增强",
    "T2加权",
    "宁波市第一医院",
    "5mm层厚",
    "腹部（平扫）",
    "张",
    "陶喆",
    "歐陽",
    "張學友",
    "陳誠功",
    "司馬誠",
    "ZHANG SAN 张三",
]


@pytest.mark.parametrize("text", EUROPEAN_NAMES.split() + EUROPEAN_TEXTS)
def test_european_text(text: str) -> None:
    assert text.isascii() or recognise([text.encode("latin-1")]) is None
    assert text.isascii() or recognise([text.encode("utf-8")]) == "ISO_IR 192"


@pytest.mark.parametrize("text", CHINESE_TEXTS)
def test_chinese_text(text: str) -> None:
    assert recognise([text.encode("gb18030")]) == "GB18030"
    assert recognise([text.encode("utf-8")]) == "ISO_IR 192"


def test_chinese_names() -> None:
    """A name alone, without any other text: all in UTF-8, nearly all in GB18030."""
    names = [surname + given for surname, given in product(SURNAMES, GIVEN.split())]
    assert all(recognise([name.encode("utf-8")]) == "ISO_IR 192" for name in names)
    missed = [name for name in names if recognise([name.encode("gb18030")]) != "GB18030"]
    assert len(missed) < len(names) / 200


def test_one_accented_text_speaks_for_latin() -> None:
    assert recognise(["张三".encode("gb18030"), "Schädel".encode("latin-1")]) is None


def _read(name: bytes, *others: bytes, charset: bytes | None = None, override: str | None = None) -> Instance:
    data = part10(*others, element(0x00100010, "PN", name), charset=charset)
    return read_instance(data, charset=override)


def _name(instance: Instance) -> str:
    return str(instance.attributes["00100010"]["Value"][0]["Alphabetic"])


@pytest.mark.parametrize(
    ("charset", "label"),
    [(None, "undeclared"), (b"ISO_IR 6", "ISO_IR 6"), (b"ISO_IR 100", "ISO_IR 100")],
)
def test_chinese_without_declaration_is_repaired_and_noted(charset: bytes | None, label: str) -> None:
    instance = _read("王^诚".encode("gb18030"), charset=charset)
    assert _name(instance) == "王^诚"
    assert instance.notes == (f"charset:{label}->GB18030",)
    instance = _read("王^诚".encode(), charset=charset)
    assert _name(instance) == "王^诚"
    assert instance.notes == (f"charset:{label}->ISO_IR 192",)


def test_half_a_character_is_no_delimiter() -> None:
    """誠 is D5 5C in GB18030: the second byte is a backslash."""
    raw = "王志誠\\李強".encode("gb18030")
    assert b"\x5c" in "誠".encode("gb18030")
    for charset in (b"GB18030", b"GBK", None, b"ISO_IR 100"):
        values = _read(raw, charset=charset).attributes["00100010"]["Value"]
        assert values == [{"Alphabetic": "王志誠"}, {"Alphabetic": "李強"}]


def test_latin_stays_latin() -> None:
    instance = _read("Müller^Jörg".encode("latin-1"), charset=b"ISO_IR 100")
    assert (_name(instance), instance.notes) == ("Müller^Jörg", ())
    assert _name(_read("Müller^Jörg".encode("latin-1"))) == "Müller^Jörg"


def test_signs_of_the_scanner_do_not_hide_the_chinese() -> None:
    instance = _read("王伟".encode("gb18030"), element(0x0008103E, "LO", "FLIP 30°".encode("latin-1")))
    assert _name(instance) == "王伟"
    assert instance.attributes["0008103E"]["Value"] == ["FLIP 30°"]


def test_utf8_declared_but_gb18030() -> None:
    instance = _read("王伟^小明".encode("gb18030"), charset=b"ISO_IR 192")
    assert _name(instance) == "王伟^小明"
    assert instance.notes == ("charset:ISO_IR 192->GB18030",)


def test_a_device_known_to_declare_wrongly() -> None:
    raw = "Żółć".encode("iso8859-2")
    instance = _read(raw, charset=b"ISO_IR 100", override="ISO_IR 101")
    assert (_name(instance), instance.notes) == ("Żółć", ("charset:ISO_IR 100->ISO_IR 101 (device)",))


def test_what_is_known_of_a_device_is_not_doubted() -> None:
    """张 alone is ÕÅ in Latin-1: a device that is known to write Latin-1 is never taken for a Chinese one."""
    raw = "张三".encode("gb18030")
    assert _name(_read(raw, override="ISO_IR 100")) == raw.decode("latin-1")
    assert _read(raw, charset=b"GB18030", override="GB18030").notes == ()


def test_bytes_that_are_nothing() -> None:
    instance = _read(b"A\xff\xfeB", charset=b"ISO_IR 192")
    assert _name(instance) == "A\ufffd\ufffdB"
    assert "undecoded:00100010" in instance.notes
