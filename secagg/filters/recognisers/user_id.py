"""User names and numbers of accounts, staff and members, behind the words that announce them; other shapes come from the policy file."""

from __future__ import annotations

from secagg.filters.recogniser import Recogniser

_FILLER = r"(?:[ :：=#\"'(（\[【@]|is|was|为|是|叫|no\.?|id|号|名|码|as)"
_ZH = (
    r"(?:(?:用户|会员|员工|客户|学生|工作人员|巡检员|网格员|账户|登录|登陆)(?:id|编号|号码|号|名|账号|工号)|工号|学号|警号|胸牌号|工牌号?|"
    r"微信号?|qq号?|微博|抖音号?|昵称)"
)
_EN = (
    r"(?<![a-z])(?:(?:user|member|employee|staff|customer|account|login|player|student|worker|operator|inspector|badge|profile|subscriber|client)"
    r"[ _\-]?(?:ids?|names?|no|number|handle|#)|uid|userid|username|login|wechat|weixin|qq|handle|screen ?name|telegram|twitter|instagram|"
    r"github|badge|employee|user)"
)
_CUE = rf"(?:{_ZH}{_FILLER}{{0,6}}|{_EN}{_FILLER}{{1,6}})"
_MIXED = r"(?P<value>(?<![a-z0-9])(?=[a-z_.\-]{0,24}[0-9])[a-z0-9](?:[a-z0-9]|[_.\-](?=[a-z0-9])){2,31})(?![a-z0-9])"
_WORD = r"(?P<value>(?<![a-z0-9])[a-z][a-z0-9]{1,20}(?:[_.][a-z0-9]{1,20}){1,3})(?![a-z0-9])"

RECOGNISERS = (
    Recogniser("USER_ID", rf"{_CUE}{_MIXED}", 0.75, value="value", name="named"),
    Recogniser("USER_ID", rf"{_CUE}{_WORD}", 0.6, value="value", name="named word"),
    Recogniser(
        "USER_ID",
        r"(?<![a-z0-9])(?:uid|usr|user|u|emp|cust|mbr|member|wxid)[_\-#:]{1,2}(?=[a-z]{0,12}[0-9])[a-z0-9]{4,32}(?![a-z0-9])",
        0.7,
        name="prefix",
    ),
    Recogniser("USER_ID", r"(?<![a-z0-9._%+\-@])@(?=[a-z._]{0,20}[0-9_])[a-z][a-z0-9_.]{2,30}[a-z0-9](?![a-z0-9@])", 0.55, name="handle"),
)
