"""Several pools at once: failover, quota, refused work, and mistakes that must not hold up the good pool."""

import time

import wire
from agent import HASHRATE, reject_texts
from processes import check, free_ports, wait_until
from servers import AUTHORITY_KEY, Core, Translator, v2_url
from solo import by_password, judge_blocks, solo_pool
from stage import SHARES_PER_MINUTE, case


@case(
    "failover",
    "Translator killed while mining; back to it when it returns",
    "translator_sv2 and pool_sv2 on Core, signet",
    "a clock; pool_sv2: its monitoring",
)
def _(stage):
    pool = stage.pool("signet")
    folder, port = stage.path("translator-failover"), free_ports(1)[0]
    user = "e2e-failover"

    def start():
        return Translator(stage.programs["translator_sv2"], folder, pool, HASHRATE, SHARES_PER_MINUTE, port)

    translator = start()
    pools = [{"url": translator.url(), "user": "e2e-v1.failover"}, {"url": pool.url(), "user": user}]
    try:
        with stage.agent(pools, upstream={"return_after_s": 5}) as agent:
            agent.wait_accepted(5, 120, others=[translator.process])
            death = time.monotonic()
            translator.process.kill()

            def moved():
                second = agent.pool(1)
                return second if second["active"] and second["state"] == "mining" else None

            agent.wait("work of the second pool", 120, moved, every=0.02)
            mining = time.monotonic() - death
            # Shares are acknowledged in batches, so the pool is asked and not the agent.
            agent.wait("share at the second pool", 120, lambda: pool.accepted(user), every=0.1)
            share = time.monotonic() - death
            left = agent.pool(0)

            back = time.monotonic()
            translator = start()
            agent.wait("return to the first pool", 120, lambda: agent.pool(0)["active"], every=0.05)
            returned = time.monotonic() - back
            accepted = agent.pool(0)["accepted"]
            agent.wait_accepted(accepted + 3, 120)
            first, second = agent.pools()
            check(first["rejected"] == 0, f"the first pool rejected {reject_texts(first)}")
            check(second["rejected"] == 0, f"the second pool rejected {reject_texts(second)}")
            lost = sum(board["shares_lost"] for board in agent.rpc("board.list"))
            check(lost == 0, f"{lost} shares found no way to a pool")
    finally:
        translator.process.stop()
    return (
        f"mining on the second pool {mining:.1f} s after the death, first share there after {share:.1f} s; "
        f"{left['unconfirmed']} shares never answered; back on the first {returned:.1f} s after its new start"
    )


@case(
    "quota",
    "Two pools at 70 and 30 %, V2 and V1",
    "pool_sv2 and translator_sv2 on Core, signet",
    "pool_sv2: number of shares; the agent: their difficulty",
)
def _(stage):
    pool = stage.pool("signet")
    # So many boards that every share is harder than what their chips report: the work of a share is then what it took.
    user, seconds, boards = "e2e-quota", 120, 4
    program, folder = stage.programs["translator_sv2"], stage.path("translator-quota")
    translator = Translator(program, folder, pool, boards * HASHRATE * 0.3, SHARES_PER_MINUTE)

    pools = [
        {"url": pool.url(), "user": user, "quota": 70},
        {"url": translator.url(), "user": "e2e-v1.quota", "quota": 30},
    ]
    try:
        with stage.agent(pools, boards=boards, upstream={"strategy": "quota"}) as agent:
            agent.wait("shares at both pools", 120, lambda: all(each["accepted"] > 0 for each in agent.pools()))
            before = agent.pools()
            time.sleep(seconds)
            after = agent.pools()
            for each, name in zip(after, (user, translator.USER)):
                check(each["rejected"] == 0, f"{each['url']} rejected {reject_texts(each)}")
                # What the agent counts, the pool has counted too; how hard each share was, only the agent knows, because
                # the pool changes the difficulty between jobs.
                counted = lambda: pool.accepted(name) >= each["accepted"]
                agent.wait(f"{each['accepted']} shares of {name} in the pool's monitoring", 15, counted)
    finally:
        translator.process.stop()
    (v2_work, v2_shares), (v1_work, v1_shares) = (
        [now[key] - then[key] for key in ("accepted_difficulty", "accepted")] for then, now in zip(before, after)
    )
    check(v1_shares and v2_shares, f"{v2_shares} and {v1_shares} shares in {seconds} s")
    part = 100 * v2_work / (v2_work + v1_work)
    # Shares are luck: a pool's work is only as sure as the number of its shares allows.
    sigma = 100 * 0.7 * 0.3 * (1 / v2_shares + 1 / v1_shares) ** 0.5
    check(abs(part - 70) < 4 * sigma, f"{part:.1f} % of the work at the pool of 70 %, expected within {4 * sigma:.1f}")
    shares = f"{v2_shares} and {v1_shares} shares in {seconds} s"
    return f"{part:.0f} : {100 - part:.0f} of the work ({shares}; one standard deviation is {sigma:.0f})"


@case(
    "payout",
    "Work that pays somebody else is refused; work that pays us is mined",
    "pool_sv2 on Core, signet",
    "the agent: its message; pool_sv2: its monitoring",
)
def _(stage):
    pool = stage.pool("signet")
    other = wire.addresses("signet", "not paid")["P2WPKH"]
    rule = {"min_payout_percent": 99, "network": "signet"}
    pools = [
        {"url": pool.url(), "user": "e2e-robbed", "payout_address": other, **rule},
        {"url": pool.url(), "user": "e2e-paid", "payout_address": pool.address, **rule},
    ]
    with stage.agent(pools) as agent:
        problem = agent.wait_problem(["refused", pool.address], 60)
        agent.wait_accepted(5, 120, index=1)
        wait_until("shares in the pool's monitoring", 15, lambda: pool.accepted("e2e-paid") >= 5)
        check(agent.pool()["submitted"] == 0, "shares were sent to the pool that does not pay us")
    return "no share sent to the first pool; mining on the second", [("work that pays somebody else", problem)]


@case(
    "mistakes",
    "One agent with many mistakes and one good pool",
    "Core (regtest and main), pool_sv2, translator_sv2",
    "the agent: its messages; Core: height",
)
def _(stage):
    regtest, pool, translator = stage.regtest(), stage.pool("signet"), stage.translator("signet")
    good = wire.addresses("regtest", "after mistakes")["P2WPKH"]
    folder = stage.path("main")
    (port,) = free_ports(1)
    program = stage.programs["bitcoin-node"]
    # Two nodes of the main chain that know nobody but each other: at the first block they know that they are behind.
    peer = Core(program, folder + "-peer", "main", extra=["-connect=0", f"-bind=127.0.0.1:{port}"])
    behind = Core(program, folder, "main", extra=["-listen=0", f"-connect=127.0.0.1:{port}"])
    main = wire.addresses("main", "nobody")["P2WPKH"]
    (nobody,) = free_ports(1)
    pool_as_v1 = {"url": f"stratum+tcp://127.0.0.1:{pool.port}", "user": "e2e"}
    translator_as_v2 = {"url": v2_url(translator.port, AUTHORITY_KEY), "user": "e2e"}
    translator_as_node = solo_pool(regtest, good, **by_password(regtest)) | {
        "url": f"http://127.0.0.1:{translator.port}"
    }
    # Each with words that the agent's message must have.
    mistakes = [
        ("a V1 URL for a V2 pool", pool_as_v1, "stratum2+tcp://"),
        ("a V2 URL for a V1 server", translator_as_v2, "V1"),
        ("a port where nobody listens", {"url": f"stratum+tcp://127.0.0.1:{nobody}", "user": "e2e"}, "nothing listens"),
        ("a wrong RPC password", solo_pool(regtest, good, user=regtest.USER, password="wrong"), "user and password"),
        ("no cookie file", solo_pool(regtest, good, cookie_file="/nonexistent/.cookie"), "cookie file"),
        ("an address of another network", solo_pool(regtest, main, **by_password(regtest)), "network regtest"),
        ("a Stratum server for a node", translator_as_node, ""),
        ("a node that is not in sync", solo_pool(behind, main, **by_password(behind)), "sync"),
    ]
    try:
        wait_until("second node of the main chain", 30, lambda: behind.rpc("getconnectioncount"))
        before = regtest.height()
        pools = [config for _, config, _ in mistakes] + [solo_pool(regtest, good, **by_password(regtest))]
        with stage.agent(pools) as agent:
            told = []
            for at, (name, _, words) in enumerate(mistakes):
                told.append((name, agent.wait_problem([words], 180, index=at)))
            agent.wait("3 blocks from the good pool", 180, lambda: regtest.height() >= before + 3)
        mined = judge_blocks(regtest, before + 1, good)
    finally:
        behind.process.stop()
        peer.process.stop()
    return f"{len(told)} mistakes named while the good pool mined {len(mined)} blocks", told
