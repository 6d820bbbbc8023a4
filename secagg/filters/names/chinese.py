"""Features of Chinese text for the names model: characters around, surnames, characters that given names are made of."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

COMPOUND = frozenset(
    [
        "欧阳",
        "太史",
        "端木",
        "上官",
        "司马",
        "东方",
        "独孤",
        "南宫",
        "万俟",
        "闻人",
        "夏侯",
        "诸葛",
        "尉迟",
        "公羊",
        "赫连",
        "澹台",
        "皇甫",
        "宗政",
        "濮阳",
        "公冶",
        "太叔",
        "申屠",
        "公孙",
        "慕容",
        "仲孙",
        "钟离",
        "长孙",
        "宇文",
        "司徒",
        "鲜于",
        "司空",
        "闾丘",
        "子车",
        "令狐",
        "百里",
        "呼延",
        "东郭",
        "西门",
        "轩辕",
        "拓跋",
        "纳兰",
        "完颜",
        "叶赫",
        "爱新",
        "达奚",
        "第五",
    ]
)
"""Surnames of two characters."""
SURNAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖萧田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金贾夏韦付傅方邹熊白孟秦邱丘侯江尹薛闫段雷龙黎史陶贺毛郝顾"
    "龚邵万覃武钱戴严莫孔向常汤康易乔赖樊兰殷施洪翟安颜倪牛温芦季俞章鲁葛伍申尤毕聂焦齐阎梅庄辛管祝左涂谷祁时舒耿卜路詹关苗凌费纪靳盛童欧甄项曲成游阳裴席卫查屈鲍位覃霍翁隋植甘景薄单包司柏宁"
    "柯阮桂闵解强柴华车冉房边净阴连骆滕花苑饶牟宫臧穆米岳巩蓝简沙尚冷车娄邢应晏窦迟麻占池楼褚吉敖原党宗戚巫晋冀储竺鄂鞠巴苟步钮蒲邬麦艾匡丛宣邸晁卓修仇栾扬于岑皮封桑练刁荆郎邝练蔺农蓟喻柳凤湛"
    "庞习虞缪嵇荀郗邰阚蒯瞿宦茹庾暨訾逄璩扈郏濮郦雍胥屠卞狄昝裘贲谈茅危奚酆廉杭诸芮羿汲邴糜隗宓仲伊厉戎符幸韶郜宿佟佘仝冼卿佐宛尧戢栗楚权渠漆眭粟缑苌茆莘菅蔚虢衡谌谯赫郐鄢钦锺阙雒鹿尉肇代初昌滑亓揭郇桓盖逯"
)
"""Surnames of one character; whoever writes one may also write `白色` or `石头`, so a surname alone says little."""
TITLES = re.compile(
    r"先生|女士|小姐|师傅|老师|医生|经理|同志|主任|阿姨|大爷|大妈|奶奶|爷爷|警官|队长|书记|工$|总$|太太|夫人|同学|教授|护士|律师|局长|站长|班长"
)
_GIVEN_CHARACTERS = (
    "伟芳娜敏静丽强磊洋艳勇杰娟涛明超秀霞平刚桂英华玉兰红梅建国志军文博宇浩然子轩梓涵欣怡佳雨思远晨辉鹏飞玲彬丹萍宁昊雪莉婷婉琳琪瑶瑾萱诺依一可心语彤悦馨慧颖蕾薇倩楠帆航凯翔龙虎峰山海波江河"
    "林森木春夏秋冬阳光亮旭东升荣富贵福禄寿喜庆祥瑞康健安泰宏伟业胜利兴旺发达德仁义礼智信忠孝诚善良美珍珠宝金银翠凤云月星辰天乐爱民生家成立新永长青松柏竹菊莲清淑贤惠素贞芝兰香菲蓉蓓茜嘉懿俊豪"
    "泽睿哲铭铮斌武威毅坚卫洪振邦世昌宗耀祖继承学礼雄才启润源沛淼鑫焱垚煜烨晟皓皎洁冰凌寒霜露若曦熙奕辰茗墨书琴画诗韵歌舒畅恩惠晓小大元亨利和谐友朋群众建设"
    "雅瑜璐碧珊卓奇君尔亚维彦昭显亦麟鹤丰谦柱秉儒烈甫奎济宪勋扬臻骏峻铠钧锋锐钢铁锦锡铃钰铎镇娅莎婵娥媛妍姗姝姣娇婧婕嫣玮玥珂珏琛琨琰瑛瑗璇璟璞怀恒恺惟愉忆慈峥嵘嵩崇岚岩岳川州洲津浚渊湘溪滢滨漫潇潮澄澜瀚灿炎炜炫烁焕煊熠燕昂昆"
    "昕昱晏晖晗晔暄曜曼朔朗杉果栋楷榕槿樱欢歆毓沁泓泊祎祺禹禾竞章笑筠纯绍绮绪缘羽翎翊翰耘聪胤舟芊芙芮苒茂荃荔莘菁萌蔓蕊蕴裕誉谊谨豫逸遥郁隽雁霆霏靖韬颂驰骁骥鸣鸿鹃鹭麒默齐坤帅晶杨柳花莹雷奋"
)
GIVEN = frozenset(_GIVEN_CHARACTERS)
_AFTER_ONE = frozenset("诺帆鸣凡然涵宁心依可菲航博轩晗铭丹楠萌琳笑飞")
"""What makes a given name of 一 and not a quantity: 一诺, 一帆."""


@cache
def ordinary() -> frozenset[str]:
    """Words of two characters that begin like a name: 白天, 阳光, 高大."""
    text = resources.files("secagg.filters.names").joinpath("ordinary.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


def is_ordinary(name: str) -> bool:
    """Whether what looks like a name is a word, or a word and what follows it."""
    if "一" in name[1:] and not name.endswith("一") and not (name[1] == "一" and name[2:3] in _AFTER_ONE):
        return True
    return name[:2] in ordinary() and (len(name) == 2 or name[2] not in GIVEN or name[2] == "一")


def features(text: str, surnames: frozenset[str] = SURNAMES) -> list[list[str]]:
    """One list of features a character."""
    padded = f"\x02\x02{text}\x03\x03\x03"
    kinds = [_kind(character, surnames) for character in padded]
    rows = []
    for index in range(2, len(text) + 2):
        before2, before, here, after, after2 = tuple(padded[index - 2 : index + 3])
        k = kinds[index - 1 : index + 3]
        rows.append(
            [
                "c" + here,
                "b" + before,
                "a" + after,
                "B" + before2 + before,
                "A" + after + after2,
                "x" + before + here,
                "y" + here + after,
                "z" + before2,
                "w" + after2,
                "k" + k[1],
                "K" + k[0] + k[1] + k[2],
                "L" + k[1] + k[2] + k[3],
                "m" + kinds[index - 2] + k[0] + k[1],
            ]
            + (["D"] if here + after in COMPOUND else [])
            + (["E"] if before + here in COMPOUND else [])
        )
    return rows


def _kind(character: str, surnames: frozenset[str]) -> str:
    if character in surnames:
        return "S" if character in GIVEN else "s"
    if character in GIVEN:
        return "g"
    if "\u4e00" <= character <= "\u9fff":
        return "h"
    if character.isdigit():
        return "0"
    return "l" if character.isalpha() else character if character in "\x02\x03" else "."
