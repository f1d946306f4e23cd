"""The real servers: Bitcoin Core, the Stratum V2 reference pool and translator, and a TLS terminator on OpenSSL."""

import hashlib
import hmac
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading

import wire
from processes import Process, check, free_ports, listens, wait_until

# The published example pair of the reference pool, good for loopback only, and another valid key.
AUTHORITY_KEY = "9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72"
AUTHORITY_SECRET = "mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n"
OTHER_KEY = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh"

SATOSHI = 100_000_000
# Below this height the template of some Core versions is odd, and pools wait.
FIRST_BLOCKS = 16


class Core:
    """A Bitcoin Core node on a chain of its own, with nobody to talk to."""

    USER, PASSWORD = "miner", "pass:word with ünicode"

    def __init__(self, program, folder, chain, extra=(), port=None):
        self.chain, self.folder = chain, folder
        self.port = port or free_ports(1)[0]
        os.makedirs(folder, exist_ok=True)
        salt = "5a17"
        digest = hmac.new(salt.encode(), self.PASSWORD.encode(), hashlib.sha256).hexdigest()
        command = [program, f"-datadir={folder}", "-server", "-printtoconsole=0", "-dbcache=64", "-ipcbind=unix"]
        command += [f"-rpcport={self.port}", "-rpcbind=127.0.0.1", "-rpcallowip=127.0.0.1"]
        command += [f"-rpcauth={self.USER}:{salt}${digest}"]
        command += ["-dnsseed=0", "-fixedseeds=0", "-natpmp=0", "-listenonion=0"]
        # Chains that wait for nobody: an old tip is no reason to think that the node is behind.
        command += ["-maxtipage=3153600000"] if chain != "main" else []
        command += {
            "regtest": ["-regtest"],
            # A signet whose challenge is OP_TRUE: blocks need proof of work, but nobody's signature.
            "signet": ["-signet", "-signetchallenge=51"],
            "main": [],
        }[chain]
        command += extra or ["-listen=0", "-connect=0"]
        self.home = folder if chain == "main" else os.path.join(folder, chain)
        self.cookie = os.path.join(self.home, ".cookie")
        self.process = Process(f"Core ({chain})", command, os.path.join(folder, "output.log"))
        self.url = f"http://127.0.0.1:{self.port}"
        wait_until("answer of Bitcoin Core", 90, self.ready, alive=[self.process])

    def ready(self):
        try:
            self.rpc("getblockcount")
            return True
        except (OSError, wire.RpcError):
            return False

    def rpc(self, method, *params, timeout=60):
        return wire.json_rpc(self.url, method, list(params), f"{self.USER}:{self.PASSWORD}", timeout)

    def height(self):
        return self.rpc("getblockcount")

    def blocks(self, first, last):
        """The blocks of these heights with their transactions, as Core decodes them."""
        return [self.rpc("getblock", self.rpc("getblockhash", height), 2) for height in range(first, last + 1)]

    def mine(self, count, address):
        """Core's own miner, for the first blocks."""
        for _ in range(count):
            mined = self.rpc("generatetoaddress", 1, address, 2_000_000_000, timeout=3600)
            check(mined, "Core mined no block by itself")

    def stop(self):
        if self.process.running():
            self.rpc("stop")
            self.process.child.wait(60)


class Coins:
    """Coins that anybody may spend, moved about to fill the mempool."""

    def __init__(self, core, count, address):
        descriptor = core.rpc("getdescriptorinfo", f"raw({wire.P2WSH_OP_TRUE.hex()})")["descriptor"]
        blocks = [core.rpc("getblock", block, 2) for block in core.rpc("generatetodescriptor", count, descriptor)]
        core.rpc("generatetoaddress", 100, address)
        self.core = core
        self.coins = [
            (block["tx"][0]["txid"], 0, round(block["tx"][0]["vout"][0]["value"] * SATOSHI)) for block in blocks
        ]
        self.round = 0

    def stir(self):
        """Spends every coin into the next; a coin whose chain of unconfirmed ancestors is full waits for a block. To be
        called all the time: only what comes after a template is left for the next one."""
        self.round += 1
        for at, (txid, vout, value) in enumerate(self.coins):
            value -= 500 + 10 * at + self.round % 7
            raw, new_id = wire.spend_op_true(txid, vout, [(value, wire.P2WSH_OP_TRUE)])
            try:
                check(self.core.rpc("sendrawtransaction", raw) == new_id, "Core sees another transaction id")
            except wire.RpcError as error:
                check("chain" in str(error), f"Core refuses a transaction made by hand: {error}")
                continue
            self.coins[at] = (new_id, 0, value)


def v2_url(port, key):
    return f"stratum2+tcp://127.0.0.1:{port}/{key}"


class Pool:
    """The reference pool, on templates that Core gives it through IPC."""

    BATCH = 5
    key = AUTHORITY_KEY

    def __init__(self, program, folder, core, address, shares_per_minute):
        self.core, self.address = core, address
        self.port, self.monitoring = free_ports(2)
        os.makedirs(folder, exist_ok=True)
        config = os.path.join(folder, "pool.toml")
        with open(config, "w") as file:
            file.write(
                f"""\
authority_public_key = "{AUTHORITY_KEY}"
authority_secret_key = "{AUTHORITY_SECRET}"
cert_validity_sec = 3600
listen_address = "127.0.0.1:{self.port}"
coinbase_reward_script = "addr({address})"
server_id = 1
pool_signature = "e2e reference pool"
shares_per_minute = {shares_per_minute:.1f}
share_batch_size = {self.BATCH}
monitoring_address = "127.0.0.1:{self.monitoring}"
monitoring_cache_refresh_secs = 1

[template_provider_type.BitcoinCoreIpc]
version = 31
network = "{core.chain}"
data_dir = {json.dumps(core.folder)}
fee_threshold = 100
min_interval = 1
"""
            )
        self.process = Process(f"pool_sv2 ({core.chain})", [program, "-c", config], os.path.join(folder, "output.log"))
        wait_until("port of pool_sv2", 60, lambda: listens(self.port), alive=[self.process])

    def url(self, key=AUTHORITY_KEY):
        return v2_url(self.port, key)

    def channels(self, user):
        """Every open channel of that user or its workers, as the pool's monitoring tells: its counts and its kind."""
        base = f"http://127.0.0.1:{self.monitoring}/api/v1/clients"
        found = []
        for client in wire.http_json(base)["items"]:
            try:
                channels = wire.http_json(f"{base}/{client['client_id']}/channels")
            except OSError:
                continue  # it left meanwhile
            for kind in ("extended", "standard"):
                for channel in channels[f"{kind}_channels"]:
                    if channel["user_identity"].split(".")[0] == user:
                        found.append({**channel, "kind": kind})
        return found

    def accepted(self, user):
        """Shares that the pool has accepted on open channels of that user."""
        return sum(channel["shares_accepted"] for channel in self.channels(user))


class EmbeddedPool:
    """The agent's own Stratum V2 pool, on a made-up chain: here a foreign program is its client."""

    def __init__(self, program, folder, shares_per_minute):
        (self.port,) = free_ports(1)
        os.makedirs(folder, exist_ok=True)
        command = [program, "pool", "--v2", "--json", "--listen", f"127.0.0.1:{self.port}"]
        command += ["--shares-per-minute", shares_per_minute, "--share-batch", 1]
        self.process = Process("hashwright pool", command, os.path.join(folder, "output.log"))
        wait_until("port of hashwright pool", 60, lambda: listens(self.port), alive=[self.process])
        (listening,) = self.events("listening")
        self.key = listening["url"].rsplit("/", 1)[1]

    def events(self, kind):
        told = [json.loads(line) for line in self.process.text().splitlines() if line.endswith("}")]
        return [event for event in told if event["event"] == kind]


class Translator:
    """The reference translator: Stratum V1 towards miners, V2 towards a pool."""

    USER = "e2e-translator"

    def __init__(self, program, folder, pool, hashrate, shares_per_minute, port=None):
        self.pool = pool
        self.port, self.monitoring = free_ports(2)
        self.port = port or self.port
        os.makedirs(folder, exist_ok=True)
        config = os.path.join(folder, "translator.toml")
        # Without [miner_telemetry] it does not look for miners on the network.
        with open(config, "w") as file:
            file.write(
                f"""\
downstream_address = "127.0.0.1"
downstream_port = {self.port}
max_supported_version = 2
min_supported_version = 2
downstream_extranonce2_size = 4
verify_payout = false
aggregate_channels = false
supported_extensions = [2]
monitoring_address = "127.0.0.1:{self.monitoring}"
monitoring_cache_refresh_secs = 1

[downstream_difficulty_config]
min_individual_miner_hashrate = {hashrate:.1f}
shares_per_minute = {shares_per_minute:.1f}
enable_vardiff = true
job_keepalive_interval_secs = 60

[[upstreams]]
address = "127.0.0.1"
port = {pool.port}
authority_pubkey = "{pool.key}"
user_identity = "{self.USER}"
"""
            )
        command = [program, "-c", config]
        self.process = Process("translator_sv2", command, os.path.join(folder, "output.log"))
        wait_until("port of translator_sv2", 60, lambda: listens(self.port), alive=[self.process])

    def url(self):
        return f"stratum+tcp://127.0.0.1:{self.port}"


class TlsTerminator:
    """OpenSSL in front of a plain port, with a certificate that its own authority signed."""

    def __init__(self, folder, target_port):
        os.makedirs(folder, exist_ok=True)
        self.ca, key, certificate = (os.path.join(folder, name) for name in ("ca.pem", "key.pem", "certificate.pem"))
        ca_key, request, extensions = (os.path.join(folder, name) for name in ("ca.key", "request.pem", "extensions"))
        with open(extensions, "w") as file:
            file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")

        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True)

        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        openssl("req", "-x509", *curve, "-keyout", ca_key, "-out", self.ca, "-subj", "/CN=e2e authority", "-days", "2")
        openssl("req", *curve, "-keyout", key, "-out", request, "-subj", "/CN=localhost")
        openssl(
            *["x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial"],
            *["-out", certificate, "-days", "2", "-extfile", extensions],
        )
        with open(certificate) as file:
            self.fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.target_port, self.versions = target_port, set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw):
        try:
            with self.context.wrap_socket(raw, server_side=True) as outside:
                self.versions.add(outside.version())
                with socket.create_connection(("127.0.0.1", self.target_port)) as inside:
                    self._relay(outside, inside)
        except OSError:
            pass

    @staticmethod
    def _relay(outside, inside):
        # One thread for both directions: a TLS object is not to be read and written at the same time.
        outside.settimeout(0.02)
        inside.settimeout(0.02)
        while True:
            for source, sink in ((outside, inside), (inside, outside)):
                try:
                    data = source.recv(65536)
                except TimeoutError:
                    continue
                if not data:
                    return
                sink.sendall(data)


def first_signet(programs, cache, folder):
    """A signet node whose first blocks come from the cache: they cost minutes of hashing."""
    kept = os.path.join(cache, "signet-chain")
    address = wire.addresses("signet", "first blocks")["P2WPKH"]
    if not os.path.isdir(kept):
        print(f"mining the first {FIRST_BLOCKS} blocks of the signet, once; this takes minutes", flush=True)
        making = kept + ".new"
        shutil.rmtree(making, ignore_errors=True)
        core = Core(programs["bitcoin-node"], making, "signet")
        core.mine(FIRST_BLOCKS, address)
        core.stop()
        os.replace(making, kept)
    shutil.copytree(kept, folder, ignore=shutil.ignore_patterns("node.sock", ".cookie", "debug.log", "output.log"))
    return Core(programs["bitcoin-node"], folder, "signet")
