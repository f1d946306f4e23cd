"""What the released pyasic and pyasic_rs make of a running agent, held against what it says itself."""

import asyncio
import json
import sys
import tempfile
import time
import warnings

import pyasic
import pyasic_rs
from pyasic.config import FanModeConfig
from pyasic.config.pools import Pool, PoolConfig, PoolGroup
from pyasic_rs.factory import MinerFactory

import strict
from stage import Agent, Failed, Process, near, next_address, proof, until

warnings.filterwarnings("ignore")

GAMMA = 'profile = "bitaxe-gamma"\nuart = "sim"\nsim = { seed = 1 }'
# Ideal chains: what matters of these boards is what they are called.
ANTMINER = 'profile = "s19j-pro"\nuart = "sim"\ncontrol = "external"'
NERD = 'profile = "nerdqaxe-pp"\nuart = "sim"\ncontrol = "external"'
TRIES = 20
FORBIDDEN = [
    "Braiins OS", "Luxor Firmware", "AnthillOS", "Miner Web Dashboard", "Avalon", "Nerd", "Proto OS", "ForgeOS",
    "VolcMiner", "amazeui", "/cgi-bin/luci",
]


def compare(client, pairs):
    """Each field: name, what the client read, what the agent says, allowed part and margin."""
    for name, found, wanted, part, margin in pairs:
        same = near(found, wanted, part, margin) if isinstance(wanted, float) else found == wanted
        if not same:
            raise Failed(f"{client} reads {name} as {found!r}, but it is {wanted!r}")
    print(f"ok: {client} reads as the agent says: {', '.join(pair[0] for pair in pairs)}", flush=True)


class Truth:
    """What the agent says."""

    def __init__(self, agent):
        self.system, self.miner = agent.rpc("system.info"), agent.rpc("miner.status")
        self.boards, self.pools = agent.rpc("board.list"), agent.rpc("pool.list")
        (station,) = agent.rpc("station.list")
        self.fan = station["status"]["fans"][0]
        readings = {one["name"]: one["value"] for one in station["status"]["readings"]}
        self.chip_c, self.regulator_c, self.input_mv = (readings.get(key) for key in ["chip", "regulator", "input"])
        self.rate = self.miner["hashrate"]["m1"]["hps"] / 1e12


async def identify(agent, label):
    names = set()
    for _ in range(TRIES):
        miner = await pyasic.get_miner(agent.address)
        names.add(type(miner).__name__ if miner else None)
    proof(None not in names and len(names) == 1, f"pyasic {label}: {TRIES} of {TRIES} tries find {names}", names)
    factory, names = MinerFactory(), set()
    for _ in range(TRIES):
        found = await factory.get_miner(agent.address)
        names.add(f"{found.make} {found.model}" if found else None)
    proof(None not in names and len(names) == 1, f"pyasic_rs {label}: {TRIES} of {TRIES} tries find {names}", names)


async def read_pyasic(agent):
    miner = await pyasic.get_miner(agent.address)
    data, truth = await miner.get_data(), Truth(agent)
    board, group = data.hashboards[0], data.config.pools.groups[0]
    url = truth.pools[0]["url"]
    compare("pyasic", [
        ("hashrate", float(data.hashrate), truth.rate, 0.15, 0.02),
        ("expected hashrate", float(data.expected_hashrate), truth.miner["expected_hps"] / 1e12, 0.01, 0.0),
        ("power", data.wattage, float(truth.miner["power_w"]), 0.1, 1.0),
        ("efficiency", float(data.efficiency), truth.miner["power_w"] / truth.rate, 0.25, 2.0),
        ("chip temperature", board.chip_temp, float(truth.chip_c), 0.0, 3.0),
        ("regulator temperature", board.temp, float(truth.regulator_c), 0.0, 3.0),
        ("input voltage", board.voltage, float(truth.input_mv), 0.03, 0.0),
        ("chips", board.chips, truth.boards[0]["chips_found"], 0, 0),
        ("fan", data.fans[0].speed, float(truth.fan["rpm"]), 0.15, 200.0),
        ("uptime", data.uptime, truth.system["uptime_s"], 0.0, 5.0),
        ("mac", data.mac, truth.system["mac"] and truth.system["mac"].upper(), 0, 0),
        ("hostname", data.hostname, truth.system["hostname"], 0, 0),
        ("firmware version", data.fw_ver, truth.system["version"], 0, 0),
        ("pool", group.pools[0].url, url, 0, 0),
        ("user", group.pools[0].user, truth.pools[0]["user"], 0, 0),
        ("fan mode", data.config.fan_mode.mode, "normal", 0, 0),
        ("model", data.device_info.model, "Gamma", 0, 0),
    ])
    return miner


async def read_pyasic_rs(agent):
    miner = await MinerFactory().get_miner(agent.address)
    data, truth = await miner.get_data(), Truth(agent)
    board, fan = data.hashboards[0], data.fans[0]
    (first, *_) = [pool for group in data.pools for pool in group.pools]
    tera = lambda rate: rate.as_unit(pyasic_rs.data.HashRateUnit.TH).value if rate else None
    host, port = truth.pools[0]["url"].split("://")[1].rsplit(":", 1)
    compare("pyasic_rs", [
        ("hashrate", tera(data.hashrate), truth.rate, 0.15, 0.02),
        ("expected hashrate", tera(data.expected_hashrate), truth.miner["expected_hps"] / 1e12, 0.01, 0.0),
        ("power", data.wattage, float(truth.miner["power_w"]), 0.1, 1.0),
        ("efficiency", data.efficiency, truth.miner["power_w"] / truth.rate, 0.25, 2.0),
        ("chip temperature", board.inlet_chip_temperature, float(truth.chip_c), 0.0, 3.0),
        ("regulator temperature", board.board_temperature, float(truth.regulator_c), 0.0, 3.0),
        ("voltage", board.voltage, truth.input_mv / 1e3, 0.03, 0.0),
        ("frequency", board.frequency, float(truth.boards[0]["frequency_mhz"]), 0.01, 0.0),
        ("chips", board.working_chips, truth.boards[0]["chips_found"], 0, 0),
        ("fan", fan.rpm, float(truth.fan["rpm"]), 0.15, 200.0),
        ("uptime", data.uptime.total_seconds(), truth.system["uptime_s"], 0.0, 5.0),
        ("mac", data.mac and str(data.mac).upper(), truth.system["mac"] and truth.system["mac"].upper(), 0, 0),
        ("hostname", data.hostname, truth.system["hostname"], 0, 0),
        ("firmware version", data.firmware_version, truth.system["version"], 0, 0),
        ("best share", data.best_share, float(truth.miner["best_difficulty"]), 0.2, 1.0),
        ("pool host", first.url.host, host, 0, 0),
        ("pool port", first.url.port, int(port), 0, 0),
        ("user", first.user, truth.pools[0]["user"], 0, 0),
        ("accepted", first.accepted_shares, float(truth.miner["accepted"]), 0.0, 5.0),
        ("rejected", first.rejected_shares, float(truth.miner["rejected"]), 0.0, 5.0),
    ])
    proof(
        not miner.supports_pause and not miner.supports_restart,
        "pyasic_rs offers no pause to versions below 2.14.0 of AxeOS, and no restart to any",
    )
    return miner


async def write_pyasic(agent, miner, second):
    cooling = lambda: agent.rpc("cooling.get")[0]["cooling"]["mode"]
    config = await miner.get_config()
    config.fan_mode = FanModeConfig.manual(speed=83)
    await miner.send_config(config)
    until("manual fans", 10, lambda: cooling() == {"mode": "manual", "percent": 83})
    read = await miner.get_config()
    proof(read.fan_mode.mode == "manual" and read.fan_mode.speed == 83, "pyasic sets fans to 83 % and reads it back")
    config.fan_mode = FanModeConfig.normal()
    await miner.send_config(config)
    until("automatic fans", 10, lambda: cooling() == {"mode": "auto"})
    proof(True, "pyasic sets fans to automatic again")
    before = agent.rpc("pool.list")[0]
    await miner.send_config(await miner.get_config())
    after = agent.rpc("pool.list")[0]
    proof(
        (before["url"], before["user"], before["connects"]) == (after["url"], after["user"], after["connects"]),
        "pyasic writing back what it has read changes nothing",
    )
    pools = [Pool(url=second, user="interop.two", password="x")]
    config.pools = PoolConfig(groups=[PoolGroup(pools=pools)])
    await miner.send_config(config)
    moved = lambda: (pool := agent.rpc("pool.list")[0])["url"] == second and pool["user"] == "interop.two" and pool["active"]
    until("work from the second pool", 30, moved)
    proof(True, "pyasic changes the first pool, and the agent mines there")


def plain_http(agent, reader):
    status, headers, page = agent.http("GET", "/")
    page = page.decode()
    proof(status == 200 and "AxeOS" in page and not any(word in page for word in FORBIDDEN), "the page at / has AxeOS and no other name")
    proof(not any(key.lower().startswith("access-control-") for key in headers), "no page of another site may read it")
    post = {"Content-Type": "application/json"}
    for path, state in [("pause", True), ("resume", False)]:
        status, _, body = agent.http("POST", f"/api/system/{path}", b"")
        proof(status == 200 and "message" in json.loads(body), f"POST /api/system/{path} answers JSON", body)
        until(f"effect of {path}", 20, lambda: agent.rpc("miner.status")["paused"] is state)
    for command, state in [("pause", True), ("resume", False)]:
        reply = agent.json(command)
        proof(reply.get(command.upper()) == [True], f"{command} on port 4028", reply)
        until(f"effect of {command}", 20, lambda: agent.rpc("miner.status")["paused"] is state)
    for method, path, headers, wanted in [
        ("POST", "/api/system/pause", {"Origin": "http://evil.example"}, 403),
        ("GET", "/api/system/info", {"Host": "evil.example"}, 403),
        ("PATCH", "/api/system", post, 400),
        ("POST", "/api/system/OTA", {}, 501),
        ("GET", "/nothing", {}, 404),
    ]:
        status, _, body = agent.http(method, path, b"nonsense" if method != "GET" else None, headers)
        proof(status == wanted, f"{method} {path} {headers or ''} gets {wanted}", f"{status} {body}")
    status, _, body = reader.http("POST", "/api/system/restart", b"{}", post)
    proof(status == 403 and b"write_from" in body, "nobody may write by default", body)


def pools_on_4028(agent, third):
    before = len(agent.rpc("pool.list"))
    reply = agent.json("addpool", f"{third},a\\,b,x")
    proof(strict.status(reply) == ("S", 55), "addpool", reply)
    pools = until("the pool", 10, lambda: (pools := agent.rpc("pool.list"))[before:] and pools)
    proof(pools[before]["user"] == "a,b", "addpool takes escaped commas", pools[before])
    proof(strict.status(agent.json("switchpool", before)) == ("S", 27), "switchpool")
    until("work from it", 30, lambda: (pool := agent.rpc("pool.list")[0])["url"] == third and pool["active"])
    proof(strict.status(agent.json("removepool", 0)) == ("E", 67), "removepool refuses the pool at work")
    proof(strict.status(agent.json("poolpriority", "1")) == ("S", 73), "poolpriority")
    until("the old order", 30, lambda: agent.rpc("pool.list")[1]["url"] == third and agent.rpc("pool.list")[0]["active"])
    proof(strict.status(agent.json("removepool", 1)) == ("S", 68), "removepool")
    until("one pool less", 10, lambda: len(agent.rpc("pool.list")) == before)


def clock_on_4028(agent):
    reply = agent.json("ascset", "0,freq,490")
    proof(strict.status(reply) == ("S", 119), "ascset freq", reply)
    # The clock generator has steps.
    until("the clock", 60, lambda: near(agent.rpc("board.list")[0]["frequency_mhz"], 490.0, margin=4.0))
    reply = agent.json("ascset", "0,freq,5000")
    proof(strict.status(reply)[0] == "E", "ascset beyond the profile's limit is refused", reply)


async def restart(agent, miner):
    # As long as it just started nobody could tell.
    until("some uptime", 30, lambda: agent.rpc("system.info")["uptime_s"] > 10)
    proof(await miner.reboot(), "pyasic's reboot is answered")
    fresh = until("a new start", 60, lambda: (info := agent.rpc("system.info"))["uptime_s"] < 10 and info)
    proof(fresh["uptime_s"] < 10, "and the agent starts anew")
    until("mining after it", 60, lambda: agent.rpc("miner.status")["state"] == "mining")


async def run(program, address, folder):
    processes = []
    try:
        pools = [f"stratum+tcp://{address}:{port}" for port in [3333, 3334, 3335]]
        for url in pools:
            listen = ["pool", "--listen", url.split("//")[1]]
            processes.append(Process([program, *listen], f"{folder}/pool-{url[-4:]}.log"))
        time.sleep(1)
        own = lambda user: [(pools[0], user)]
        writer = Agent(
            program, f"{folder}/writer", address, [GAMMA], own("interop.one"),
            'allow = ["W:127.0.0.0/8"]', 'write_from = ["127.0.0.0/8"]',
        )
        processes.append(writer.process)
        reader = Agent(
            program, f"{folder}/reader", next_address(address), [ANTMINER, NERD], own("interop.three"),
            name="Antminer-Avalon-1",
        )
        processes.append(reader.process)
        for agent in [writer, reader]:
            until("answer of the agent", 60, lambda: agent.rpc("system.info"))
        until("mining", 90, lambda: writer.rpc("miner.status")["state"] == "mining")
        await identify(writer, "with both faces on")
        await identify(reader, "with boards of other makes and an agent of their name")
        for command in ["version", "devdetails", "stats"]:
            text = json.dumps(reader.json(command)).upper()
            proof("ANTMINER" not in text and "AVALON" not in text, f"{command} names no other make")
        strict.reads(writer)
        strict.forms(writer)
        strict.rights(writer, reader)
        strict.garbage(reader)
        clock_on_4028(writer)
        # A minute of work, so that the rates of a minute are there.
        until("a minute of mining", 120, lambda: writer.rpc("system.info")["uptime_s"] > 75)
        miner = await read_pyasic(writer)
        await read_pyasic_rs(writer)
        await write_pyasic(writer, miner, pools[1])
        plain_http(writer, reader)
        until("mining again", 90, lambda: writer.rpc("miner.status")["state"] == "mining")
        pools_on_4028(writer, pools[2])
        await restart(writer, miner)
    except Exception:
        for process in processes:
            print(f"--- {process.log}\n{process.tail()}", file=sys.stderr)
        raise
    finally:
        for process in reversed(processes):
            process.stop()


def main():
    program, address = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        try:
            asyncio.run(run(program, address, folder))
        except Failed as failed:
            print(f"FAILED: {failed}", file=sys.stderr)
            sys.exit(1)
    print("interop: all proofs hold")


if __name__ == "__main__":
    main()
