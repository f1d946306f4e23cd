"""The servers that cases share, and the list of cases."""

import os

import wire
from agent import HASHRATE, Agent
from servers import Coins, Core, Pool, Translator, first_signet

# What pools are told to expect of a miner.
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
