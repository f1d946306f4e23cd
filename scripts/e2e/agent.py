"""Hashwright with simulated boards, watched over its own JSON-RPC."""

import json
import os

import wire
from processes import Process, check, free_ports, wait_until

# Simulated boards hash at 2^-SCALE_BITS of the silicon's rate, and their nonces are that much easier: whatever the scale,
# a Bitaxe Gamma finds one per second.
SCALE_BITS = 22
# What such a board is told to make, hashes per second.
HASHRATE = 1.07e12 / 2**SCALE_BITS


class Agent:
    """One agent. `pools` are tables of the config, as dictionaries."""

    program = None

    def __init__(self, folder, pools, boards=1, upstream=None, chips_only=True):
        self.folder = folder
        os.makedirs(os.path.join(folder, "state"))
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}/rpc"
        config = [f"[agent]\nstate_dir = {toml(os.path.join(folder, 'state'))}\n[api]\nlisten = \"127.0.0.1:{port}\"\n"]
        if upstream:
            config.append(table("[upstream]", upstream))
        config += [table("[[pool]]", pool) for pool in pools]
        for seed in range(boards):
            board = {"profile": "bitaxe-gamma", "uart": "sim", "sim": {"scale_bits": SCALE_BITS, "seed": seed}}
            # Chips alone start at once; a whole board is powered and cooled first.
            if chips_only:
                board["control"] = "external"
            config.append(table("[[board]]", board))
        path = os.path.join(folder, "hashwright.toml")
        with open(path, "w") as file:
            file.write("\n".join(config))
        # The journal's defaults; a home directory of its own so that no cookie of this machine is found.
        env = {"HASHWRIGHT_LOG": os.environ.get("HASHWRIGHT_LOG", "info"), "HOME": folder}
        self.process = Process(
            "the agent", [self.program, "run", "--config", path], os.path.join(folder, "agent.log"), env
        )
        wait_until("answer of the agent", 60, self.answers, alive=[self.process])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def answers(self):
        try:
            return self.rpc("system.info")
        except OSError:
            return None

    def rpc(self, method, **params):
        return wire.json_rpc(self.url, method, params)

    def pools(self):
        return self.rpc("pool.list")

    def pool(self, index=0):
        return self.pools()[index]

    def state(self):
        return self.rpc("miner.status")["state"]

    def events(self):
        return self.rpc("event.list")

    def wait(self, what, seconds, probe, every=0.25, others=()):
        """As wait_until; says how the pools stand if it takes too long."""
        try:
            return wait_until(what, seconds, probe, every, alive=[self.process, *others])
        except Exception as error:
            try:
                told = [{key: pool.get(key) for key in TOLD} for pool in self.pools()]
                error.args = (f"{error.args[0]}; the agent's pools: {json.dumps(told)}",)
            except OSError:
                pass
            raise

    def wait_accepted(self, count, seconds, index=0, others=()):
        """Waits for that many accepted shares at a pool; the pool's statistics then."""

        def enough():
            pool = self.pool(index)
            return pool if pool["accepted"] >= count else None

        return self.wait(f"{count} accepted shares", seconds, enough, others=others)

    def wait_problem(self, words, seconds, index=0):
        """Waits for a problem of a pool that holds all the words; its text."""

        def told():
            problem = self.pool(index)["problem"]
            return problem if problem and all(word.lower() in problem.lower() for word in words) else None

        return self.wait(f"problem that says {' and '.join(words)}", seconds, told)

    def stop(self):
        """Ends it as a service manager would."""
        running = self.process.running()
        self.process.stop()
        if running:
            code = self.process.child.returncode
            check(code in (0, -15), f"the agent ended with status {code}; {self.process.last_words()}")


TOLD = [
    "url",
    "state",
    "problem",
    "jobs",
    "submitted",
    "accepted",
    "rejected",
    "reject_reasons",
    "unconfirmed",
    "dropped",
]


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def table(head, values):
    return head + "\n" + "".join(f"{key} = {toml(value)}\n" for key, value in values.items())


def reject_texts(pool):
    return ", ".join(f"{each['count']} × {each['reason']} ({each['text']})" for each in pool["reject_reasons"])
