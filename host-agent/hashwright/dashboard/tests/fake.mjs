// A miner that only exists in the browser under test: it answers the page's WebSocket with what a test puts into it.
// For what a real agent cannot be made to say quickly: hostile pools, hundreds of chips, lost lines, roles.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const TYPES = { html: "text/html", js: "text/javascript", css: "text/css", svg: "image/svg+xml", webmanifest: "application/manifest+json", txt: "text/plain" };
const POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
export const ORIGIN = "http://miner.test";

/** Methods with the role that each needs, as rpc.discover tells them. */
export const METHODS = {
  "telemetry.subscribe": "read", "events.subscribe": "read", "shares.subscribe": "read", "log.subscribe": "operate", "config.constraints": "read",
  "config.pending": "read", "config.get": "read", "history.query": "read", "history.info": "read", "cooling.set": "operate", "board.clear_fault": "operate", "miner.pause": "operate",
  "miner.resume": "operate", "pool.order": "operate", "system.restart": "operate", "config.confirm": "operate", "config.rollback": "operate",
  "board.set": "tune", "pool.add": "admin", "pool.update": "admin", "pool.remove": "admin", "config.set": "admin", "auth.list": "admin",
  "auth.add": "admin", "auth.revoke": "admin", "auth.pairing_start": "admin", "auth.audit": "admin",
};

export class Miner {
  constructor(state, role = "admin") {
    this.state = state;
    this.role = role;
    this.calls = [];
    this.lines = new Set();
    this.answers = {
      "auth.info": () => ({ name: state.system.name, without_token: this.role, pairing_open: true, local_token_file: null, tls: false, fingerprint: null }),
      "auth.whoami": () => ({ name: null, role: this.role, by: "local", expires_unix_s: null }),
      "rpc.discover": () => ({ openrpc: "1.3.2", methods: Object.entries(METHODS).map(([name, role]) => ({ name, "x-role": role })) }),
      "config.constraints": () => [],
      "config.pending": () => [],
      "auth.list": () => [],
      "history.info": () => ({ enabled: true, file: null, problem: null, bytes: 0, levels: [], series: [] }),
      "history.query": () => ({ from: 0, to: 0, step_s: 1, covered_s: [], metrics: [], marks: [], notes: [] }),
    };
    this.first = { "telemetry.subscribe": () => ({ seq: 0, state: this.state }), "events.subscribe": () => ({ entries: [] }), "shares.subscribe": () => ({ shares: [], missed: 0 }), "log.subscribe": () => ({ lines: [], missed: 0 }) };
    this.accepts = true;
  }

  /** Has the page find this miner at ORIGIN. */
  async serve(page) {
    await page.route(`${ORIGIN}/**`, (route) => {
      const path = new URL(route.request().url()).pathname;
      const file = path === "/" ? "index.html" : path.slice(1);
      try {
        const body = readFileSync(join(root, file));
        route.fulfill({ body, contentType: TYPES[file.split(".").pop()], headers: { "content-security-policy": POLICY } });
      } catch {
        route.fulfill({ status: 404 });
      }
    });
    await page.routeWebSocket(/\/rpc$/, (socket) => {
      if (!this.accepts) return void socket.close({ code: 1001 });
      const line = { socket, feeds: {} };
      this.lines.add(line);
      socket.onMessage((text) => this.#answer(line, JSON.parse(text)));
      socket.onClose(() => this.lines.delete(line));
    });
  }

  #answer(line, { id, method, params }) {
    this.calls.push({ method, params });
    const send = (message) => line.socket.send(JSON.stringify({ jsonrpc: "2.0", ...message }));
    if (this.first[method]) {
      line.feeds[method] = id;
      send({ id, result: id });
      send({ method: method.split(".")[0], params: { subscription: id, result: this.first[method](params) } });
      return;
    }
    try {
      const answer = this.answers[method];
      if (!answer) throw { code: -32601, message: "Method not found" };
      send({ id, result: answer(params ?? {}) });
    } catch (error) {
      send({ id, error });
    }
  }

  /** Sends a notification on every line that subscribed to it. */
  tell(method, result) {
    for (const { socket, feeds } of this.lines) {
      if (feeds[method] !== undefined) socket.send(JSON.stringify({ jsonrpc: "2.0", method: method.split(".")[0], params: { subscription: feeds[method], result } }));
    }
  }

  /** Cuts all lines; takes new ones or not. */
  cut(accepts) {
    this.accepts = accepts;
    for (const { socket } of this.lines) socket.close({ code: 1001 });
    this.lines.clear();
  }
}

/** The state of a running agent with two boards, as recorded; a fresh copy. */
export const recorded = () => JSON.parse(readFileSync(join(root, "tests/data/state.json"), "utf8"));
