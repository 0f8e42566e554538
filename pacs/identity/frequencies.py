"""How common parts of names are: agreement on a rare name says more than agreement on 张伟.

Families: rounded by us after the published rankings of Chinese surnames (survey of the Chinese Academy of Sciences of
2006; reports of names by the Ministry of Public Security, 2018 to 2020). Characters of given names: our own coarse
classes; the order in a class means nothing. What is in no table is taken for as rare as the tail.
"""

from __future__ import annotations

from functools import cache

_FAMILIES = (
    "王72 李74 张68 刘54 陈46 杨31 黄23 赵22 吴21 周21 徐17 孙15 马13 朱13 胡13 郭12 何12 林12 高12 罗9 "
    "郑9 梁9 谢8 宋8 唐8 许7 韩7 邓7 冯6 曹6 彭6 曾6 肖6 田6 董6 潘5 袁5 蔡5 蒋5 余5 "
    "于5 杜5 叶5 程5 魏5 苏5 吕5 丁5 任4 卢4 姚4 沈4 钟4 姜4 崔4 谭4 陆4 范4 汪4 廖4 "
    "石4 金4 韦3 贾3 夏3 傅3 方3 邹3 熊3 白3 孟3 秦3 邱3 侯3 江3 尹3 薛3 闫3 段3 雷3 "
    "龙3 黎3 史2 陶2 贺2 毛2 郝2 顾2 龚2 邵2 万2 覃2 武2 钱2 戴2 严2 莫2 孔2 向2 常2 "
    "汤2 康2"
)  # in thousandths
_COMMON = "英华文明玉秀丽建国军平红霞芳敏静强磊洋艳勇杰娟涛超伟燕桂兰凤梅志海春金小云莲珍荣晓永林俊宇佳子浩欣梓涵轩怡"
_USUAL = (
    "刚飞鹏辉波斌龙庆福生成龄琴玲萍红花香月清爱淑惠雪琳颖婷倩雅诗梦思语嘉一博泽睿晨阳辰天安新立东学德光世昌义"
    "宝忠祥贵发良荷菊素贞巧翠美慧洁琪瑶瑞峰健凯旭鑫亮利民宏正家大中元振兴树仁长江山川胜维卫国爱乐心若晴可萱馨沐"
    "皓然奕辰铭煜航彤悦蕊蓉莉珊丹妮娜璐蕾薇菲鸣松柏庭康宁远达承启朝阳"
)
COMMON, USUAL, RARE = 0.012, 0.004, 0.0004  # shares of a character among those of given names
FAMILY_RARE = 0.0005
_COMPOUND = "欧阳 司马 上官 诸葛 东方 皇甫 尉迟 公孙 慕容 令狐 司徒 夏侯 独孤 南宫 端木 百里 呼延 东郭"
COMPOUND = frozenset(_COMPOUND.split())
COMMON, USUAL, RARE = 0.012, 0.004, 0.0004  # shares of a character among those of given names
FAMILY_RARE = 0.0005
COMPOUND = frozenset(
    [
        "欧阳",
        "司马",
        "上官",
        "诸葛",
        "东方",
        "皇甫",
        "尉迟",
        "公孙",
        "慕容",
        "令狐",
        "司徒",
        "夏侯",
        "独孤",
        "南宫",
        "端木",
        "百里",
        "呼延",
        "东郭",
    ]
)
# What a syllable of a given name stands for: about four usual characters.
SYLLABLE = 0.015
# Families that pinyin dictionaries read as words.
FAMILY_READINGS = {
    "单": "shan", "解": "xie", "曾": "zeng", "仇": "qiu", "区": "ou", "朴": "piao", "查": "zha", "盖": "ge",
    "任": "ren",
    "尉": "wei", "冼": "xian", "缪": "miao", "乐": "yue", "翟": "zhai", "褚": "chu", "覃": "qin", "晁": "chao",
    "华": "hua", "吕": "lv", "闫": "yan", "曲": "qu", "黑": "he", "员": "yun", "么": "yao", "令狐": "linghu",
    "尉迟": "yuchi",
}  # fmt: skip


@cache
def _families() -> dict[str, float]:
    return {entry[0]: int(entry[1:]) / 1000 for entry in _FAMILIES.split()}


@cache
def _given() -> dict[str, float]:
    return {**dict.fromkeys(_USUAL, USUAL), **dict.fromkeys(_COMMON, COMMON)}


def family_share(family: str) -> float:
    """The share of a family name, in characters."""
    return _families().get(family, FAMILY_RARE)


def given_share(character: str) -> float:
    """The share of a character of given names."""
    return _given().get(character, RARE)


@cache
def family_sounds() -> dict[str, float]:
    """The shares of families as they sound: pinyin without tones, ü as v."""
    from pacs.identity.names import sound_of_family  # here: it loads pypinyin, and names need this module

    sounds: dict[str, float] = {}
    for family, share in _families().items():
        sound = sound_of_family(family)
        sounds[sound] = sounds.get(sound, 0.0) + share
    for family in COMPOUND:
        sounds.setdefault(sound_of_family(family), FAMILY_RARE)
    return sounds
