"""Keys, tokens and passwords: by the prefix that issuers give them, and behind a word that announces one."""

from __future__ import annotations

import math
from collections import Counter

from secagg.filters.recogniser import Recogniser

_PREFIXED = (
    r"(?<![a-z0-9])(?:sk-[a-z0-9_\-]{16,200}|[srp]k_(?:live|test)_[a-z0-9]{10,100}|gh[pousr]_[a-z0-9]{20,100}|github_pat_[a-z0-9_]{20,100}|"
    r"glpat-[a-z0-9_\-]{16,60}|(?:akia|asia|ltai)[a-z0-9]{12,32}|akid[a-z0-9]{13,48}|aiza[a-z0-9_\-]{30,45}|ya29\.[a-z0-9_\-]{20,200}|xox[abprs]-[a-z0-9\-]{10,120}|"
    r"eyj[a-z0-9_\-]{8,2000}\.[a-z0-9_\-]{8,4000}(?:\.[a-z0-9_\-]{0,2000})?|hf_[a-z0-9]{20,60}|npm_[a-z0-9]{20,60}|pypi-[a-z0-9_\-]{20,250}|sg\.[a-z0-9_\-]{10,40}\.[a-z0-9_\-]{10,80}|"
    r"dop_v1_[a-f0-9]{40,70}|shp(?:at|ss)_[a-f0-9]{20,40}|bearer [a-z0-9._\-]{16,400})"
)
_WORDS = (
    r"(?:password|passwd|passphrase|passcode|pwd|(?:开机|登录|登陆|支付|门禁|门锁|wifi|初始|银行卡?|开锁|交易)?密码|口令|密钥|秘钥|令牌|验证码|"
    r"(?<![a-z])pin(?: code)?|secret(?:[ _\-]?(?:key|token))?|(?:api|access|auth|private|secret|app|client)[ _\-]?(?:key|token|secret)|token|credentials?|appkey|appsecret)"
)
_FILLER = r"(?:[ ]?[:：=]{1,2}[ ]?|[ ]?(?:is|was|为|是|设为|改成|叫)[ :：]{0,2}|[ ](?=[^ ]{0,40}[0-9]))[\"'“「(]{0,1}"


def entropy(value: str) -> float:
    """Shannon entropy of the characters, in bits a character."""
    return -sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values()) if value else 0.0


def _plain_word(value: str) -> bool:
    """Words and stars are no password: it has a digit or a sign among letters, or is six digits and more."""
    plain = value.strip("*x.,;!?。，；！")
    return len(plain) < 4 or plain.isalpha() or not plain.isascii()


RECOGNISERS = (
    Recogniser("CREDENTIAL", _PREFIXED, 0.95, name="prefix"),
    Recogniser(
        "CREDENTIAL",
        rf"{_WORDS}{_FILLER}(?P<value>[!-~]{{3,128}}[0-9a-z!@#$%^&*_+=?~])",
        0.8,
        value="value",
        veto=_plain_word,
        name="named",
    ),
    Recogniser(
        "CREDENTIAL",
        r"-----begin [a-z ]{0,30}private key-----[a-z0-9+/=\s]{0,8000}(?:-----end [a-z ]{0,30}private key-----)?",
        0.99,
        name="private key",
    ),
    Recogniser(
        "CREDENTIAL",
        r"(?<![a-z0-9/_\-+=.])(?=[a-z/+_\-]{0,40}[0-9])(?=[0-9]{0,40}[a-z])[a-z0-9+/_\-]{24,200}={0,2}(?![a-z0-9/_\-])",
        0.3,
        cues=_WORDS + "|key|bearer|auth|凭证|凭据|证书",
        with_cue=0.8,
        validate=lambda value: 0.55 if len(value) >= 32 and entropy(value) > 3.4 else None,
        name="entropy",
    ),
    Recogniser("CREDENTIAL", r"(?<=://)[^\s:@/]{1,64}:(?P<value>[^\s:@/]{3,128})(?=@)", 0.9, value="value", name="in a url"),
)
