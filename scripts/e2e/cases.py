"""What is proved, case by case. Figures come from the servers wherever they know them; what the agent says about itself
is only compared with that."""

import os
import time

import wire
from agent import HASHRATE, SCALE_BITS, Agent, reject_texts
from processes import check, free_ports, listens, wait_until
from servers import AUTHORITY_KEY, OTHER_KEY, SATOSHI, Coins, Core, Pool, TlsTerminator, Translator, first_signet

TAG = "/hashwright e2e/"
SHARES_PER_MINUTE = 60


class Stage:
    """The servers that cases share; each is started by the first case that needs it."""

    def __init__(self, programs, cache, folder):
        self.programs, self.cache, self.folder = programs, cache, folder
        self._kept, self._agents = {}, 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def _once(self, name, make):
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def regtest(self):
        return self._once("regtest", lambda: Core(self.programs["bitcoin-node"], self.path("regtest"), "regtest"))

    def coins(self):
        burial = wire.addresses("regtest", "burial")["P2WPKH"]
        return self._once("coins", lambda: Coins(self.regtest(), 12, burial))

    def signet(self):
        return self._once("signet", lambda: first_signet(self.programs, self.cache, self.path("signet")))

    def pool(self, chain):
        def make():
            # A chain with some blocks: neither Core's templates nor the pool are at ease on the first few.
            core = self.signet() if chain == "signet" else (self.coins(), self.regtest())[1]
            address = wire.addresses(chain, f"pool on {chain}")["P2WPKH"]
            program = self.programs["pool_sv2"]
            return Pool(program, self.path(f"pool-{chain}"), core, address, SHARES_PER_MINUTE)

        return self._once(f"pool-{chain}", make)

    def translator(self, chain):
        def make():
            folder = self.path(f"translator-{chain}")
            return Translator(self.programs["translator_sv2"], folder, self.pool(chain), HASHRATE, SHARES_PER_MINUTE)

        return self._once(f"translator-{chain}", make)

    def forget(self, name):
        """Stops a server and lets the next case start a new one."""
        self._kept.pop(name).process.stop()

    def agent(self, pools, **options):
        self._agents += 1
        return Agent(self.path(f"agent-{self._agents}"), pools, **options)


CASES = []


def case(name, title, servers, judges):
    """Adds a case: `judges` says who made the figures. A case returns its figures as text."""

    def add(run):
        CASES.append({"name": name, "title": title, "servers": servers, "judges": judges, "run": run})
        return run

    return add


# Solo from the node.


def solo_pool(core, address, **more):
    return {"url": core.url, "payout_address": address, "coinbase_tag": TAG, **more}


def by_password(core):
    return {"user": core.USER, "password": core.PASSWORD}


def judge_blocks(core, first, address):
    """The blocks from that height on, which must all be ours: Core has accepted them, and by its own account the whole
    reward, with all fees, goes to our address."""
    tip = core.height()
    blocks = core.blocks(first, tip)
    for block in blocks:
        coinbase, height = block["tx"][0], block["height"]
        check(block["confirmations"] > 0, f"block {height} is not on Core's best chain")
        stats = core.rpc("getblockstats", height, ["subsidy", "totalfee"])
        due = stats["subsidy"] + stats["totalfee"]
        paid = sum(round(out["value"] * SATOSHI) for out in coinbase["vout"] if out["scriptPubKey"].get("address") == address)
        check(paid == due, f"block {height} pays {paid} sat to {address}, and the reward is {due} sat")
        check(TAG.encode().hex() in coinbase["vin"][0]["coinbase"], f"the coinbase of block {height} lacks the tag")
    total = sum(out["value"] for block in blocks for out in block["tx"][0]["vout"])
    unspent = core.rpc("scantxoutset", "start", [f"addr({address})"])
    check(unspent["height"] == tip and abs(float(unspent["total_amount"]) - total) < 1e-8, "Core's UTXO set disagrees")
    return blocks


def solo(stage, core, address, pool, blocks, seconds, coins=None, chips_only=True):
    """Mines that many blocks and has Core judge them."""
    check(core.rpc("validateaddress", address)["isvalid"], f"Core does not take {address} for an address")
    before, start = core.height(), time.monotonic()
    with stage.agent([pool], chips_only=chips_only) as agent:

        def grown():
            if coins and core.rpc("getmempoolinfo")["size"] < len(coins.coins):
                coins.stir()
            return core.height() >= before + blocks

        agent.wait(f"{blocks} blocks on top of {before}", seconds, grown, every=0.1, others=[core.process])
        took = time.monotonic() - start
        agent.wait("last answer", 10, lambda: agent.pool()["accepted"] >= blocks)
        told = agent.pool()
        check(told["rejected"] == 0, f"the agent counts {told['rejected']} rejected: {reject_texts(told)}")
        check_saved_blocks(core, agent, before + 1)
    mined = judge_blocks(core, before + 1, address)
    check(len(mined) >= told["accepted"], f"the agent counts {told['accepted']} accepted, Core has {len(mined)} blocks")
    transactions = sum(len(block["tx"]) - 1 for block in mined)
    versions = sorted({f"{block['version'] & 0xFFFFFFFF:08x}" for block in mined})
    return mined, transactions, versions, took


def check_saved_blocks(core, agent, height):
    """Every found block is on the agent's disk, byte by byte as Core has it."""
    folder = os.path.join(agent.folder, "state", "blocks")
    block = core.rpc("getblockhash", height)
    names = [name for name in os.listdir(folder) if block in name] if os.path.isdir(folder) else []
    check(names, f"no saved copy of block {block} in {folder}")
    with open(os.path.join(folder, names[0])) as file:
        check(core.rpc("getblock", block, 0) in file.read(), "the saved copy is not the block that Core has")


def solo_figures(result):
    mined, transactions, versions, _ = result
    reward = sum(out["value"] for block in mined for out in block["tx"][0]["vout"])
    text = f"{len(mined)} blocks (heights {mined[0]['height']}–{mined[-1]['height']}), {reward:.8f} BTC to our address"
    return text + (f", {transactions} transactions in them" if transactions else "")


CORE_JUDGES = "Core: height, decoded coinbases, fees, UTXO set"


@case("solo-regtest", "Solo, cookie file, P2WPKH, busy mempool, whole simulated board", "Core, regtest", CORE_JUDGES)
def _(stage):
    core, coins = stage.regtest(), stage.coins()
    address = wire.addresses("regtest", "solo cookie")["P2WPKH"]
    pool = solo_pool(core, address, cookie_file=core.cookie)
    result = solo(stage, core, address, pool, 10, 180, coins, chips_only=False)
    check(result[1] >= 40, f"only {result[1]} transactions were mined")
    check(all(len(block["tx"]) > 1 for block in result[0][2:]), "blocks without transactions beside a full mempool")
    return solo_figures(result)


@case("solo-address-types", "Solo, user and password, every type of address", "Core, regtest", CORE_JUDGES)
def _(stage):
    core, coins = stage.regtest(), stage.coins()
    told = []
    for kind, address in wire.addresses("regtest", "solo types").items():
        # Of these the network does not show in the address.
        network = {"network": "regtest"} if kind in ("P2PKH", "P2SH") else {}
        pool = solo_pool(core, address, **by_password(core), **network)
        told.append(f"{kind} {len(solo(stage, core, address, pool, 3, 120, coins)[0])}")
    return "blocks: " + ", ".join(told)


@case("solo-signet", "Solo, P2TR", "Core, signet with challenge 51", CORE_JUDGES)
def _(stage):
    core = stage.signet()
    address = wire.addresses("signet", "solo signet")["P2TR"]
    pool = solo_pool(core, address, **by_password(core), network="signet")
    result = solo(stage, core, address, pool, 3, 240)
    return solo_figures(result) + f", difficulty {core.rpc('getblockchaininfo')['difficulty']:.5f}"


@case("solo-node-restart", "Solo, node restarted while mining: a new cookie, no block lost", "Core, regtest", CORE_JUDGES)
def _(stage):
    folder = stage.path("restarted")
    program = stage.programs["bitcoin-node"]
    core = Core(program, folder, "regtest")
    core.mine(2, wire.addresses("regtest", "burial")["P2WPKH"])
    address = wire.addresses("regtest", "solo restart")["P2WPKH"]
    before = core.height()
    with stage.agent([solo_pool(core, address, cookie_file=core.cookie)]) as agent:
        agent.wait("3 blocks", 120, lambda: core.height() >= before + 3)
        core.stop()
        agent.wait("a problem", 60, lambda: agent.pool()["problem"] or agent.pool()["state"] != "mining")
        core = Core(program, folder, "regtest", port=core.port)
        back, height = time.monotonic(), core.height()
        agent.wait("3 blocks after the restart", 180, lambda: core.height() >= height + 3)
        seconds = time.monotonic() - back
        told = agent.pool()
    mined = judge_blocks(core, before + 1, address)
    core.stop()
    check(told["rejected"] == 0, f"rejected: {reject_texts(told)}")
    return f"{len(mined)} blocks, {height - before} of them before the restart; 3 more {seconds:.1f} s after the node was back"


# Stratum V2.


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
    check(0.5 < ratio < 2, f"the pool was told {channel['nominal_hashrate']:.3g} H/s; the board makes {HASHRATE:.3g} H/s")
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


@case("v2-blocks", "Stratum V2, blocks with transactions", "pool_sv2 on Core, regtest", "Core: height, coinbases; pool_sv2: its monitoring")
def _(stage):
    return blocks_through(stage, stage.pool("regtest"), lambda pool: {"url": pool.url(), "user": "e2e-blocks"})


def blocks_through(stage, pool, to, rejects=()):
    """Blocks that go through a pool: Core's chain must grow by them, paid to the pool."""
    core, coins = stage.regtest(), stage.coins()
    before = core.height()
    with stage.agent([to(pool)]) as agent:

        def grown():
            if core.rpc("getmempoolinfo")["size"] < len(coins.coins):
                coins.stir()
            return core.height() >= before + 8

        agent.wait("8 blocks", 180, grown, every=0.1, others=[pool.process])
        told = agent.wait_accepted(8, 20)
    mined = core.blocks(before + 1, core.height())
    for block in mined:
        payee = block["tx"][0]["vout"][0]["scriptPubKey"].get("address")
        check(payee == pool.address, f"block {block['height']} pays {payee}")
    others = [each for each in told["reject_reasons"] if each["reason"] not in rejects]
    check(not others, f"rejected: {reject_texts(told)}")
    transactions = sum(len(block["tx"]) - 1 for block in mined)
    check(transactions > 0, "no transactions in the blocks")
    versions = {f"{block['version'] & 0xFFFFFFFF:08x}" for block in mined}
    stale = f"; {told['rejected']} shares came after a block ({reject_texts(told)})" if told["rejected"] else ", 0 rejected"
    return f"{len(mined)} blocks with {transactions} transactions, {len(versions)} different versions{stale}"


@case("v2-wrong-key", "Stratum V2, wrong authority key; the next pool carries on", "pool_sv2 on Core, signet", "the agent: its message; pool_sv2: its monitoring")
def _(stage):
    pool = stage.pool("signet")
    user = "e2e-second-pool"
    wrong = {"url": pool.url(OTHER_KEY), "user": "e2e-wrong-key"}
    with stage.agent([wrong, {"url": pool.url(), "user": user}]) as agent:
        problem = agent.wait_problem(["key"], 60)
        agent.wait_accepted(5, 120, index=1)
        wait_until("shares in the pool's monitoring", 15, lambda: any(c["shares_accepted"] >= 5 for c in pool.channels(user)))
        check(not pool.channels("e2e-wrong-key"), "a channel was opened in spite of the wrong key")
        check(agent.pool()["accepted"] == 0, "shares accepted in spite of the wrong key")
    return f"“{problem}”"


# Stratum V1.


def translated(stage, url, shares, seconds, **options):
    """Mines through the translator on the signet; what the pool behind it counted for this miner, and the agent's view."""
    translator = stage.translator("signet")
    with stage.agent([{"url": url(translator), "user": "e2e-v1.worker", **options}]) as agent:
        told = agent.wait_accepted(shares, seconds, others=[translator.process, translator.pool.process])
        # The V1 answer does not wait for the pool: its judgement is read a little later.
        time.sleep(3)
        # The translator opens a channel for each miner, and names them one after the other.
        channel = max(translator.pool.channels(translator.USER), key=lambda each: int(each["user_identity"].split("miner")[1]))
        told = agent.pool()
    check(listens(translator.port), "the translator is gone")
    check(told["rejected"] == 0, f"the translator rejected: {reject_texts(told)}")
    check(told["connects"] == 1, f"{told['connects']} connections: the translator hung up")
    return told, channel


@case("v1-translator", "Stratum V1, strict server", "translator_sv2, pool_sv2 and Core, signet", "translator_sv2: its answers; pool_sv2: its monitoring")
def _(stage):
    told, channel = translated(stage, lambda translator: translator.url(), 40, 240)
    refused = channel["shares_rejected"]
    check(refused == 0, f"the pool behind the translator rejected {channel['shares_rejected_by_reason']}")
    behind = channel["shares_accepted"]
    check(behind > 0, "no share reached the pool behind the translator")
    return f"{told['accepted']} shares accepted, 0 rejected, 1 connection; {behind} counted by the pool behind it"


@case("v1-blocks", "Stratum V1, blocks with transactions and rolled versions", "translator_sv2, pool_sv2 and Core, regtest", "Core: height, coinbases")
def _(stage):
    translator = stage.translator("regtest")
    try:
        to = lambda pool: {"url": translator.url(), "user": "e2e-v1.blocks"}  # noqa: E731
        return blocks_through(stage, translator.pool, to, rejects=("stale",))
    finally:
        stage.forget("translator-regtest")


@case("v1-tls", "Stratum V1 in TLS: own authority, pinned certificate, and neither", "translator_sv2 behind OpenSSL", "OpenSSL; translator_sv2: its answers")
def _(stage):
    translator = stage.translator("signet")
    tls = TlsTerminator(stage.path("tls"), translator.port)
    url = f"stratum+tls://localhost:{tls.port}"
    try:
        told, _ = translated(stage, lambda _: url, 5, 120, tls={"ca": tls.ca})
        pinned, _ = translated(stage, lambda _: url, 5, 120, tls={"fingerprint": tls.fingerprint})
        with stage.agent([{"url": url, "user": "e2e-untrusted"}]) as agent:
            problem = agent.wait_problem(["certificate"], 60)
        return (
            f"{'/'.join(sorted(v for v in tls.versions if v))}; {told['accepted']} shares with the authority, "
            f"{pinned['accepted']} with the pinned certificate; with neither: “{problem}”"
        )
    finally:
        tls.close()


# Several pools.


@case("failover", "Translator killed while mining; back to it when it returns", "translator_sv2 and pool_sv2 on Core, signet", "a clock; pool_sv2: its monitoring")
def _(stage):
    pool = stage.pool("signet")
    folder, port = stage.path("translator-failover"), free_ports(1)[0]
    start = lambda: Translator(stage.programs["translator_sv2"], folder, pool, HASHRATE, SHARES_PER_MINUTE, port)  # noqa: E731
    translator, user = start(), "e2e-failover"
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
            # Shares of the pool are acknowledged in batches, so the pool is asked.
            shares = lambda: sum(c["shares_accepted"] for c in pool.channels(user))  # noqa: E731
            agent.wait("share at the second pool", 120, shares, every=0.1)
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


@case("quota", "Two pools at 70 and 30 %, V2 and V1", "pool_sv2 and translator_sv2 on Core, signet", "pool_sv2: its monitoring")
def _(stage):
    pool = stage.pool("signet")
    folder = stage.path("translator-quota")
    translator = Translator(stage.programs["translator_sv2"], folder, pool, HASHRATE * 0.3, SHARES_PER_MINUTE)
    user, seconds = "e2e-quota", 120
    pools = [
        {"url": pool.url(), "user": user, "quota": 70},
        {"url": translator.url(), "user": "e2e-v1.quota", "quota": 30},
    ]
    try:
        with stage.agent(pools, upstream={"strategy": "quota"}) as agent:
            both = lambda: all(each["accepted"] > 0 for each in agent.pools())  # noqa: E731
            agent.wait("shares at both pools", 120, both)
            work = lambda name: sum(c["share_work_sum"] for c in pool.channels(name))  # noqa: E731
            before = work(user), sum(c["share_work_sum"] for c in pool.channels(translator.USER))
            time.sleep(seconds)
            gained = [now - then for now, then in zip((work(user), work(translator.USER)), before)]
            told = agent.pools()
            for each in told:
                check(each["rejected"] == 0, f"{each['url']} rejected {reject_texts(each)}")
    finally:
        translator.process.stop()
    share = 100 * gained[0] / sum(gained)
    # One share more or less is luck: of n shares in all, the part of one pool has this standard deviation.
    count = sum(each["accepted"] for each in told)
    sigma = 100 * (0.7 * 0.3 / count) ** 0.5
    check(abs(share - 70) < 4 * sigma, f"{share:.1f} % of the work at the pool of 70 %, expected within {4 * sigma:.0f}")
    return f"{share:.0f} : {100 - share:.0f} of the work in {seconds} s ({count} shares, one standard deviation {sigma:.0f})"


@case("payout", "Work that pays somebody else is refused; work that pays us is mined", "pool_sv2 on Core, signet", "the agent: its message; pool_sv2: its monitoring")
def _(stage):
    pool = stage.pool("signet")
    other = wire.addresses("signet", "not paid")["P2WPKH"]
    rule = {"min_payout_percent": 99, "network": "signet"}
    pools = [
        {"url": pool.url(), "user": "e2e-robbed", "payout_address": other, **rule},
        {"url": pool.url(), "user": "e2e-paid", "payout_address": pool.address, **rule},
    ]
    with stage.agent(pools) as agent:
        problem = agent.wait_problem([other[:8]], 60)
        agent.wait_accepted(5, 120, index=1)
        wait_until("shares in the pool's monitoring", 15, lambda: any(c["shares_accepted"] >= 5 for c in pool.channels("e2e-paid")))
        check(agent.pool()["submitted"] == 0, "shares were sent to the pool that does not pay us")
    return f"“{problem}”"


# Mistakes.


@case("mistakes", "One agent with many mistakes and one good pool", "Core (regtest and main), pool_sv2, translator_sv2", "the agent: its messages; Core: height")
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
    mistakes = [
        ("V1 URL, V2 pool", {"url": f"stratum+tcp://127.0.0.1:{pool.port}", "user": "e2e"}, []),
        ("V2 URL, V1 server", {"url": f"stratum2+tcp://127.0.0.1:{translator.port}/{AUTHORITY_KEY}", "user": "e2e"}, []),
        ("nobody listens", {"url": f"stratum+tcp://127.0.0.1:{nobody}", "user": "e2e"}, ["refused"]),
        ("wrong RPC password", solo_pool(regtest, good, user=regtest.USER, password="wrong"), ["password"]),
        ("no such cookie file", solo_pool(regtest, good, cookie_file="/nonexistent/.cookie"), ["cookie"]),
        ("address of another network", solo_pool(regtest, main, **by_password(regtest)), ["main"]),
        ("a Stratum server as node", solo_pool(regtest, good, **by_password(regtest)) | {"url": f"http://127.0.0.1:{translator.port}"}, []),
        ("node without its chain", solo_pool(behind, main, **by_password(behind)), ["sync"]),
    ]
    try:
        wait_until("second node of the main chain", 30, lambda: behind.rpc("getconnectioncount"))
        before = regtest.height()
        pools = [config for _, config, _ in mistakes] + [solo_pool(regtest, good, **by_password(regtest))]
        with stage.agent(pools) as agent:
            told = []
            for at, (name, _, words) in enumerate(mistakes):
                told.append((name, agent.wait_problem(words or [""], 180, index=at)))
            agent.wait("3 blocks from the good pool", 180, lambda: regtest.height() >= before + 3)
        judge_blocks(regtest, before + 1, good)
    finally:
        behind.process.stop()
        peer.process.stop()
    return "the good pool mined on; " + "; ".join(f"{name}: “{text}”" for name, text in told)


def simulated_rate():
    return f"Bitaxe Gamma at 2^-{SCALE_BITS} of its rate: {HASHRATE / 1e6:.2f} MH/s"


