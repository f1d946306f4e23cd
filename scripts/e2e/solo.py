"""Solo from the node. Core is the judge: it takes the blocks or not, and says what they pay to whom."""

import os
import time

import wire
from processes import check
from agent import reject_texts
from servers import SATOSHI, Core
from stage import case

TAG = "/hashwright e2e/"


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
        paid = sum(
            round(out["value"] * SATOSHI) for out in coinbase["vout"] if out["scriptPubKey"].get("address") == address
        )
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
            if coins:
                coins.stir()
            return core.height() >= before + blocks

        agent.wait(f"{blocks} blocks on top of {before}", seconds, grown, every=0.5, others=[core.process])
        took = time.monotonic() - start
        agent.wait("last answer", 10, lambda: agent.pool()["blocks"] >= blocks)
        told = agent.pool()
        check(told["rejected"] == 0, f"the agent counts {told['rejected']} rejected: {reject_texts(told)}")
        check_saved_block(core, agent, before + 1)
    mined = judge_blocks(core, before + 1, address)
    # One more may have been found since the agent was asked.
    counted = told["blocks"]
    check(counted <= len(mined) <= counted + 1, f"the agent counts {counted} blocks, Core has {len(mined)}")
    transactions = sum(len(block["tx"]) - 1 for block in mined)
    versions = sorted({f"{block['version'] & 0xFFFFFFFF:08x}" for block in mined})
    return mined, transactions, versions, took


def check_saved_block(core, agent, height):
    """A found block is on the agent's disk, byte by byte as Core has it."""
    folder = os.path.join(agent.folder, "state", "blocks")
    block = core.rpc("getblockhash", height)
    path = os.path.join(folder, f"{height}-{block}.hex")
    check(os.path.exists(path), f"no saved copy of block {block} in {folder}")
    with open(path) as file:
        check(file.read().strip() == core.rpc("getblock", block, 0), "the saved copy is not the block that Core has")


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
    busy = sum(len(block["tx"]) > 1 for block in result[0])
    check(busy >= 5, f"only {busy} of {len(result[0])} blocks have transactions, beside a full mempool")
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


@case(
    "solo-node-restart", "Solo, node restarted while mining: a new cookie, no block lost", "Core, regtest", CORE_JUDGES
)
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
    others = [each for each in told["reject_reasons"] if each["reason"] != "stale"]
    check(not others, f"rejected: {reject_texts(told)}")
    return f"{len(mined)} blocks, {height - before} of them before the restart; 3 more {seconds:.1f} s after the node was back"
