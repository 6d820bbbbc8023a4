"""What NVFlare's server and a site say beside its tasks, over auxiliary messages.

A site asks for its next task every two seconds, and an auxiliary message reaches it at once: whatever of a round is not training goes so.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply

from secagg.adapters.nvflare_party import BAG, answer_as
from secagg.adapters.relay import Bags
from secagg.errors import SecAggError

TOPIC = "secagg"
_AT_ONCE = 32


def ask(component: FLComponent, bags: Bags, seconds: float, fl_ctx: FLContext) -> list[bytes]:
    """Each site's answer, if it comes in time. `component` writes the log.

    `seconds` is how long NVFlare waits without progress: a long vector that is on its way has longer.
    """
    there = {site.name for site in fl_ctx.get_engine().get_clients()}
    if missing := sorted(bags.keys() - there):
        component.log_warning(fl_ctx, f"no site speaks for {', '.join(missing)}")
    asked = sorted(bags.keys() & there)
    if not asked:
        return []

    def one(site: str) -> Shareable | None:
        request = Shareable({BAG: bags[site]})  # type: ignore[index]  # names of the roster
        replies = fl_ctx.get_engine().send_aux_request([site], TOPIC, request, seconds, fl_ctx, optional=True)
        return replies.get(site) if replies else None

    back = []
    with ThreadPoolExecutor(min(len(asked), _AT_ONCE)) as pool:
        for site, reply in zip(asked, pool.map(one, asked), strict=True):
            if reply is not None and isinstance(reply.get(BAG), bytes):
                back.append(reply[BAG])
            else:
                code = "no connection" if reply is None else reply.get_return_code()
                component.log_warning(fl_ctx, f"{site} has dropped out, it gave no answer: {code}")
    return back


class AtASite:
    """Answers what the server asks beside the workflow, for the party of this site."""

    identity: str

    def listen(self, fl_ctx: FLContext) -> None:
        fl_ctx.get_engine().register_aux_message_handler(TOPIC, self._asked)

    def _asked(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        try:
            back = answer_as(fl_ctx.get_identity_name(), self.identity, request[BAG])
        except SecAggError as refused:
            # The reason stays here.
            self.log_error(fl_ctx, f"out of this round: {refused}")  # type: ignore[attr-defined]  # of the component it is mixed into
            return make_reply(ReturnCode.EXECUTION_EXCEPTION)
        reply = make_reply(ReturnCode.OK)
        reply[BAG] = back
        return reply
