"""How common parts of names are: agreement on a rare name says more than agreement on 张伟.

Families: rounded by us after the published rankings of Chinese surnames (survey of the Chinese Academy of Sciences of
2006; reports of names by the Ministry of Public Security, 2018 to 2020). Characters of given names: our own coarse
classes; the order in a class means nothing. What is in no table is taken for as rare as the tail.
"""

from __future__ import annotations

import re
from functools import cache

_FAMILIES = (
    "王wang72 李li74 张zhang68 刘liu54 陈chen46 杨yang31 黄huang23 赵zhao22 吴wu21 周zhou21 徐xu17 孙sun15 "
    "马ma13 朱zhu13 胡hu13 郭guo12 何he12 林lin12 高gao12 罗luo9 郑zheng9 梁liang9 谢xie8 宋song8 唐tang8 "
    "许xu7 韩han7 邓deng7 冯feng6 曹cao6 彭peng6 曾zeng6 肖xiao6 田tian6 董dong6 潘pan5 袁yuan5 蔡cai5 "
    "蒋jiang5 余yu5 于yu5 杜du5 叶ye5 程cheng5 魏wei5 苏su5 吕lv5 丁ding5 任ren4 卢lu4 姚yao4 沈shen4 "
    "钟zhong4 姜jiang4 崔cui4 谭tan4 陆lu4 范fan4 汪wang4 廖liao4 石shi4 金jin4 韦wei3 贾jia3 夏xia3 傅fu3 "
    "方fang3 邹zou3 熊xiong3 白bai3 孟meng3 秦qin3 邱qiu3 侯hou3 江jiang3 尹yin3 薛xue3 闫yan3 段duan3 雷lei3 "
    "龙long3 黎li3 史shi2 陶tao2 贺he2 毛mao2 郝hao2 顾gu2 龚gong2 邵shao2 万wan2 覃qin2 武wu2 钱qian2 戴dai2 "
    "严yan2 莫mo2 孔kong2 向xiang2 常chang2 汤tang2 康kang2"
)  # as pinyin without tones (ü as v), in thousandths
_COMMON = "英华文明玉秀丽建国军平红霞芳敏静强磊洋艳勇杰娟涛超伟燕桂兰凤梅志海春金小云莲珍荣晓永林俊宇佳子浩欣梓涵轩怡"
_USUAL = (
    "刚飞鹏辉波斌龙庆福生成龄琴玲萍红花香月清爱淑惠雪琳颖婷倩雅诗梦思语嘉一博泽睿晨阳辰天安新立东学德光世昌义"
    "宝忠祥贵发良荷菊素贞巧翠美慧洁琪瑶瑞峰健凯旭鑫亮利民宏正家大中元振兴树仁长江山川胜维卫国爱乐心若晴可萱馨沐"
    "皓然奕辰铭煜航彤悦蕊蓉莉珊丹妮娜璐蕾薇菲鸣松柏庭康宁远达承启朝阳"
)
COMMON, USUAL, RARE = 0.012, 0.004, 0.0004  # shares of a character among those of given names
FAMILY_RARE = 0.0005
_COMPOUND = (
    "欧阳ouyang 司马sima 上官shangguan 诸葛zhuge 东方dongfang 皇甫huangfu 尉迟yuchi 公孙gongsun 慕容murong "
    "令狐linghu 司徒situ 夏侯xiahou 独孤dugu 南宫nangong 端木duanmu 百里baili 呼延huyan 东郭dongguo"
)
# What a syllable of a given name stands for: about four usual characters.
SYLLABLE = 0.015
# Others that pinyin dictionaries read as words.
_READINGS = (
    "单shan 解xie 仇qiu 区ou 朴piao 查zha 盖ge 尉wei 冼xian 缪miao 乐yue 翟zhai 褚chu 晁chao 华hua 曲qu 黑he "
    "员yun 么yao"
)
_ENTRY = re.compile(r"([^a-z0-9]+)([a-z]+)([0-9]*)")


@cache
def _table(entries: str) -> dict[str, tuple[str, float]]:
    """By the family: its sound, and its share."""
    read = (_ENTRY.fullmatch(entry) for entry in entries.split())
    return {m[1]: (m[2], int(m[3] or 0) / 1000) for m in read if m}


COMPOUND = frozenset(_table(_COMPOUND))
# How families are read, so that names in letters need no dictionary of characters.
FAMILY_READINGS = {
    family: sound for t in (_FAMILIES, _COMPOUND, _READINGS) for family, (sound, _) in _table(t).items()
}


@cache
def _families() -> dict[str, float]:
    return {family: share for family, (_, share) in _table(_FAMILIES).items()}


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
    sounds: dict[str, float] = {}
    for family, share in _families().items():
        sound = FAMILY_READINGS[family]
        sounds[sound] = sounds.get(sound, 0.0) + share
    for family in COMPOUND:
        sounds.setdefault(FAMILY_READINGS[family], FAMILY_RARE)
    return sounds
