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
  "tuner.status": "read", "tuner.steps": "read", "tuner.explain": "read", "tuner.curve": "read", "tuner.predict": "read", "tuner.curtail": "operate",
  "tuner.set": "tune", "board.set": "tune", "pool.add": "admin", "pool.update": "admin", "pool.remove": "admin", "config.set": "admin", "auth.list": "admin",
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
      "tuner.curve": ({ points = 12 }) => this.state.tuner.stations.map(({ station, boards }) => ({ station, points: curve(this.state, boards, points) })),
      "tuner.predict": ({ aim }) => this.state.tuner.stations.map(({ station, boards }) => ({ station, prediction: { ...curve(this.state, boards, 3)[1], reach: aim.watts > 5000 ? "too_much_power" : "reached" } })),
      "tuner.steps": ({ limit = 50 }) => STEPS.slice(-limit),
      "tuner.explain": ({ board, chip }) => ({ mhz: 531.2, board_mhz: 525, offset_mv: [-6.2, 1.4], margin: 2.31, delivered: 0.9987, words: `Chip ${chip} of board ${board} needs 6 mV less than its neighbours, so it runs 6 MHz faster.` }),
    };
    this.first = { "telemetry.subscribe": () => ({ seq: 0, state: this.state }), "events.subscribe": () => ({ entries: [] }), "shares.subscribe": () => ({ shares: [], missed: 0 }), "log.subscribe": () => ({ lines: [], missed: 0 }) };
    this.accepts = true;
  }

  /** Has the page find this miner at ORIGIN. */
  async serve(page) {
    await page.route(`${ORIGIN}/**`, (route) => {
      const path = new URL(route.request().url()).pathname;
      if (path === "/rpc") {
        const { id, method, params } = route.request().postDataJSON();
        this.calls.push({ method, params });
        return route.fulfill({ json: { jsonrpc: "2.0", id, ...this.#reply(method, params) } });
      }
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
    send({ id, ...this.#reply(method, params) });
  }

  #reply(method, params) {
    try {
      const answer = this.answers[method];
      if (!answer) throw { code: -32601, message: "Method not found" };
      return { result: answer(params ?? {}) };
    } catch (error) {
      return { error };
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

/** The same with every board tuned, and all that a tuner can tell. */
export function tuned() {
  const state = recorded();
  const caps = { chip_c: 80, board_c: null, fan_percent: null, watts: 1300, mv: null };
  state.tuner = {
    aim: { watts: 1150 }, caps,
    demand: {
      aim: { watts: 1150 }, caps: { ...caps, watts: 980 }, asleep: false, reasons: [{ code: "curtailment", text: "curtailed to 980 W until 18:30" }], next_change_unix_s: 1_795_003_600,
      price_per_kwh: 0.2873, price_age_s: 41, revenue_per_ths_day: 0.052, surplus_w: 640, surplus_age_s: 8, curtailed_to_w: 980,
    },
    stations: [
      { station: 0, boards: [0], activity: "keeping", because: null, reach: "reached", rounds: 6, mv: 1131, mhz: 538.3, ths: 1.098, watts: 15.61, regret_percent: 0.08, progress_percent: null, remaining_s: null, silent: [], trouble: null, last: STEPS.at(-2) },
      { station: 1, boards: [1], activity: "measuring", because: null, reach: "reached", rounds: 3, mv: 13810, mhz: 471.6, ths: 65.12, watts: 1054.2, regret_percent: 0.61, progress_percent: 42, remaining_s: 312, silent: [{ board: 1, chip: 77 }], trouble: null, last: STEPS.at(-1) },
    ],
  };
  for (const [i, chip] of state.chips.entries()) {
    const offset = 9 * Math.sin(i * 2.4) + 4 * Math.sin(i * 0.7);
    chip.quality = { offset_mv: offset, sd_mv: 1.2, grade: offset > 9 ? "weak" : offset < -9 ? "strong" : "normal" };
    if (chip.board === 1) chip.frequency_mhz = 471.6 - Math.round(offset) * 0.625;
  }
  Object.assign(state.chips.find((chip) => chip.board === 1 && chip.index === 77).quality, { grade: "silent" });
  return state;
}

/** The same with one board only. */
export function tunedAlone() {
  const state = tuned();
  for (const list of ["boards", "stations"]) state[list] = state[list].slice(0, 1);
  state.chips = state.chips.filter((chip) => chip.board === 0);
  const { tuner } = state;
  Object.assign(tuner, { aim: "efficiency", stations: tuner.stations.slice(0, 1) });
  Object.assign(tuner.demand, { aim: "efficiency", reasons: [], curtailed_to_w: null, next_change_unix_s: null });
  tuner.caps.watts = tuner.demand.caps.watts = 22;
  return state;
}

const step = (station, unix_s, hypothesis, evidence, confidence, decision) => ({ station, unix_s, hypothesis, evidence, confidence, decision });
const STEPS = [
  step(0, 1_794_998_700, "the stored model of board 8A31 still holds", "15 s of counts agree with it, deviation 0.7", 0.93, "back at 1140 mV, 530 MHz at once"),
  step(1, 1_794_998_760, "nothing is known of this board but its profile", "no model is stored", 1, "begin at 13 900 mV, 470 MHz"),
  step(1, 1_794_998_920, "threshold 11 402 ± 190 mV", "2 741 nonces in 41 s, 3 wrong", 0.8, "measure at 13 720 mV, 480 MHz"),
  step(0, 1_794_999_000, "0.9 % more work at the same power", "fit of 6 settings", 0.91, "go to 1131 mV, 538 MHz"),
  step(1, 1_794_999_160, "chip 77 delivers half of what was promised", "0 nonces where 38 were expected", 0.99999999, "chip 77 is silent: hold the last good setting"),
  step(0, 1_794_999_300, "this is the best setting", "expected loss 0.08 %", 0.97, "keep it, and watch"),
  step(1, 1_794_999_400, "the cap moved to 980 W", "curtailed", 1, "plan anew below 965 W"),
  step(1, 1_794_999_520, "1.4 % less power for the same work", "3 settings, 8 140 nonces", 0.88, "measure at 13 810 mV, 471.6 MHz"),
];

/** Predictions along the power of some boards, as an S-shaped supply of work. */
function curve(state, boards, points) {
  const { expected_hps: hps, power_w: watts } = boards.reduce((sum, i) => ({ expected_hps: sum.expected_hps + state.boards[i].expected_hps, power_w: sum.power_w + state.boards[i].power_w }), { expected_hps: 0, power_w: 0 });
  return Array.from({ length: points }, (_, i) => {
    const share = 0.5 + (0.75 * i) / (points - 1);
    const power = watts * (0.06 + 0.84 * share ** 2.1 + 0.02 / share);
    const work = (hps / 1e12) * share * 1.02;
    const three = (value, by) => [value, value * (1 - by), value * (1 + by)];
    return { mv: 1000 + 200 * share, mhz: 525 * share, ths: three(work, 0.004 + 0.02 * Math.abs(share - 1)), watts: three(power, 0.006), j_per_th: three(power / work, 0.006 + 0.03 * Math.abs(share - 1)), chip_c: 40 + 25 * share, reach: "reached" };
  });
}
