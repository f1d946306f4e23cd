"""Mining on the reference pool over Stratum V2, and through the reference translator over V1. The pool's monitoring and
Core's chain are the judges."""

import time

from agent import HASHRATE, Agent, reject_texts
from processes import check, listens, wait_until
from servers import OTHER_KEY, EmbeddedPool, TlsTerminator, Translator
from stage import SHARES_PER_MINUTE, case


def v2_shares(stage, user, shares, seconds, **options):
    """Mines on the signet pool until the pool has counted that many shares; the pool's channel and the agent's view."""
    pool = stage.pool("signet")
    with stage.agent([{"url": pool.url(), "user": user, **options}]) as agent:
        told = agent.wait_accepted(shares, seconds, others=[pool.process])

        def counted():
            channels = pool.channels(user)
            return channels if channels and channels[0]["shares_accepted"] >= told["accepted"] else None

        channels = wait_until("count in the pool's monitoring", 15, counted)
        check(len(channels) == 1, f"the pool sees {len(channels)} channels")
        # The agent goes on meanwhile: its view is read again after the pool's.
        told = agent.pool()
    return channels[0], told


def judge_channel(channel, told, kind):
    check(channel["kind"] == kind, f"the pool sees a {channel['kind']} channel")
    check(channel["shares_rejected"] == 0, f"the pool rejected {channel['shares_rejected_by_reason']}")
    check(told["rejected"] == 0, f"the agent counts rejects: {reject_texts(told)}")
    ratio = channel["nominal_hashrate"] / HASHRATE
    check(
        0.5 < ratio < 2, f"the pool was told {channel['nominal_hashrate']:.3g} H/s; the board makes {HASHRATE:.3g} H/s"
    )
    return (
        f"{channel['shares_accepted']} shares accepted by the pool, 0 rejected; "
        f"told {channel['nominal_hashrate'] / 1e6:.2f} MH/s, {channel['blocks_found']} of the shares were blocks"
    )


POOL_JUDGES = "pool_sv2: its monitoring"


@case("v2-extended", "Stratum V2, extended channel", "pool_sv2 on Core, signet", POOL_JUDGES)
def _(stage):
    channel, told = v2_shares(stage, "e2e-extended", 30, 180)
    return judge_channel(channel, told, "extended")


@case("v2-standard", "Stratum V2, standard channel", "pool_sv2 on Core, signet", POOL_JUDGES)
def _(stage):
    channel, told = v2_shares(stage, "e2e-standard", 20, 180, channel="standard")
    return judge_channel(channel, told, "standard")


@case(
    "v2-blocks",
    "Stratum V2, blocks with transactions",
    "pool_sv2 on Core, regtest",
    "Core: height, coinbases; pool_sv2: its monitoring",
)
def _(stage):
    pool = stage.pool("regtest")
    return blocks_through(stage, pool, {"url": pool.url(), "user": "e2e-blocks"})


def blocks_through(stage, pool, upstream):
    """Blocks that go through a pool: Core's chain must grow by them, paid to the pool. A second share may be on its way
    when the first has become a block; only such stale ones may be refused."""
    core, coins = stage.regtest(), stage.coins()
    before = core.height()
    with stage.agent([upstream]) as agent:

        def grown():
            coins.stir()
            return core.height() >= before + 8

        agent.wait("8 blocks", 180, grown, every=0.5, others=[pool.process])
        told = agent.wait_accepted(8, 20)
    mined = core.blocks(before + 1, core.height())
    for block in mined:
        payee = block["tx"][0]["vout"][0]["scriptPubKey"].get("address")
        check(payee == pool.address, f"block {block['height']} pays {payee}")
    others = [each for each in told["reject_reasons"] if each["reason"] != "stale"]
    check(not others, f"rejected: {reject_texts(told)}")
    transactions = sum(len(block["tx"]) - 1 for block in mined)
    check(transactions > 0, "no transactions in the blocks")
    versions = {f"{block['version'] & 0xFFFFFFFF:08x}" for block in mined}
    stale = (
        f"; {told['rejected']} shares came after a block ({reject_texts(told)})" if told["rejected"] else ", 0 rejected"
    )
    return f"{len(mined)} blocks with {transactions} transactions, {len(versions)} different versions{stale}"


@case(
    "v2-wrong-key",
    "Stratum V2, wrong authority key; the next pool carries on",
    "pool_sv2 on Core, signet",
    "the agent: its message; pool_sv2: its monitoring",
)
def _(stage):
    pool = stage.pool("signet")
    user = "e2e-second-pool"
    wrong = {"url": pool.url(OTHER_KEY), "user": "e2e-wrong-key"}
    with stage.agent([wrong, {"url": pool.url(), "user": user}]) as agent:
        problem = agent.wait_problem(["key"], 60)
        agent.wait_accepted(5, 120, index=1)
        wait_until("shares in the pool's monitoring", 15, lambda: pool.accepted(user) >= 5)
        check(not pool.channels("e2e-wrong-key"), "a channel was opened in spite of the wrong key")
        check(agent.pool()["accepted"] == 0, "shares accepted in spite of the wrong key")
    return "no channel opened; mining on the second pool", [("wrong authority key", problem)]


def translated(stage, url, shares, seconds, **options):
    """Mines through the translator on the signet; what the pool behind it counted for this miner, and the agent's view."""
    translator = stage.translator("signet")
    with stage.agent([{"url": url(translator), "user": "e2e-v1.worker", **options}]) as agent:
        told = agent.wait_accepted(shares, seconds, others=[translator.process, translator.pool.process])
        # The V1 answer does not wait for the pool: its judgement is read a little later.
        time.sleep(3)
        # The translator opens a channel for each miner, and names them one after the other.
        channel = max(
            translator.pool.channels(translator.USER), key=lambda each: int(each["user_identity"].split("miner")[1])
        )
        told = agent.pool()
    check(listens(translator.port), "the translator is gone")
    check(told["rejected"] == 0, f"the translator rejected: {reject_texts(told)}")
    check(told["connects"] == 1, f"{told['connects']} connections: the translator hung up")
    return told, channel


@case(
    "v1-translator",
    "Stratum V1, strict server",
    "translator_sv2, pool_sv2 and Core, signet",
    "translator_sv2: its answers; pool_sv2: its monitoring",
)
def _(stage):
    told, channel = translated(stage, lambda translator: translator.url(), 40, 240)
    refused = channel["shares_rejected"]
    check(refused == 0, f"the pool behind the translator rejected {channel['shares_rejected_by_reason']}")
    behind = channel["shares_accepted"]
    check(behind > 0, "no share reached the pool behind the translator")
    return f"{told['accepted']} shares accepted, 0 rejected, 1 connection; {behind} counted by the pool behind it"


@case(
    "v1-blocks",
    "Stratum V1, blocks with transactions and rolled versions",
    "translator_sv2, pool_sv2 and Core, regtest",
    "Core: height, coinbases",
)
def _(stage):
    translator = stage.translator("regtest")
    try:
        return blocks_through(stage, translator.pool, {"url": translator.url(), "user": "e2e-v1.blocks"})
    finally:
        stage.forget("translator-regtest")


@case(
    "v2-embedded",
    "The embedded V2 pool serves a foreign client",
    "hashwright pool --v2, translator_sv2",
    "translator_sv2: acknowledgements it received",
)
def _(stage):
    pool = EmbeddedPool(Agent.program, stage.path("embedded-pool"), SHARES_PER_MINUTE)
    program, folder = stage.programs["translator_sv2"], stage.path("translator-embedded")
    translator = Translator(program, folder, pool, HASHRATE, SHARES_PER_MINUTE)
    try:
        with stage.agent([{"url": translator.url(), "user": "e2e-v1.embedded"}]) as agent:
            told = agent.wait_accepted(20, 180, others=[translator.process, pool.process])
            wait_until(
                "shares at the embedded pool", 10, lambda: len(pool.events("share_accepted")) >= told["accepted"]
            )
            told = agent.pool()
        acknowledged = translator.process.text().count("SubmitSharesSuccess(")
        refused = translator.process.text().count("SubmitSharesError(")
    finally:
        translator.process.stop()
        pool.process.stop()
    check(refused == 0 and told["rejected"] == 0, f"{refused} shares refused to the translator: {reject_texts(told)}")
    check(acknowledged >= told["accepted"] - 1, f"only {acknowledged} acknowledgements reached the translator")
    return f"{told['accepted']} shares sent on by the translator, {acknowledged} acknowledged to it, 0 refused"


@case(
    "v1-tls",
    "Stratum V1 in TLS: own authority, pinned certificate, and neither",
    "translator_sv2 behind OpenSSL",
    "OpenSSL; translator_sv2: its answers",
)
def _(stage):
    translator = stage.translator("signet")
    tls = TlsTerminator(stage.path("tls"), translator.port)
    url = f"stratum+tls://localhost:{tls.port}"
    try:
        told, _ = translated(stage, lambda _: url, 5, 120, tls={"ca": tls.ca})
        pinned, _ = translated(stage, lambda _: url, 5, 120, tls={"fingerprint": tls.fingerprint})
        with stage.agent([{"url": url, "user": "e2e-untrusted"}]) as agent:
            problem = agent.wait_problem(["certificate"], 60)
        versions = "/".join(sorted(version for version in tls.versions if version))
        figures = f"{versions}; {told['accepted']} shares with the authority, {pinned['accepted']} with the pinned certificate"
        return figures, [("certificate of an unknown authority", problem)]
    finally:
        tls.close()
