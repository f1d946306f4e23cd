// What the page knows, in one place: the miner's state as it comes, who we are, and what the page itself chose.
// Sections read `state` and are drawn again after `set`; everything that is asked of the miner goes through here.
import { useEffect, useState } from "./lib.js";
import { Client, RpcError } from "./rpc.js";
import { apply } from "./patch.js";
import { record, forget } from "./trail.js";

const { kept } = globalThis;
const TOKEN = "hashwright-token";
const ROLES = ["read", "operate", "tune", "admin"];
const KEPT_EVENTS = 512;
const KEPT_SHARES = 200;

export const state = {
  line: { name: "connecting" },
  /** The state tree of the miner; null before it came. */
  miner: null,
  /** When it last came, by this browser's clock, ms. */
  heardAt: 0,
  /** Answer of auth.info and auth.whoami. */
  auth: null,
  me: { name: null, role: null },
  /** Methods by name, each with the role that it needs. */
  methods: new Map(),
  constraints: [],
  /** Answer of history.info. */
  history: null,
  events: [],
  shares: [],
  pending: [],
  /** Why the token that this browser had is not taken. */
  refused: null,
  toasts: [],
};

const watchers = new Set();
let due = false;

/** Changes what the page knows and has it drawn with the next frame. */
export function set(change) {
  Object.assign(state, change);
  if (due) return;
  due = true;
  // A hidden page draws nothing, but must not pile up frames either.
  const draw = () => {
    due = false;
    for (const watcher of watchers) watcher();
  };
  if (document.hidden) setTimeout(draw, 1000);
  else requestAnimationFrame(draw);
}

/** Has the component drawn after every change. */
export function useStore() {
  const [, draw] = useState(0);
  useEffect(() => {
    const watcher = () => draw((n) => n + 1);
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  }, []);
  return state;
}

const url = new URL("rpc", location.href);
url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
url.search = url.hash = "";

const client = new Client(url.href, {
  onOpen: greet,
  onState: (line) => set({ line }),
});

export const call = (method, params) => client.call(method, params);

/** Asks what the miner has to think about, beside the line: nothing that a person does waits for it. */
export async function ponder(method, params) {
  const token = state.me.by?.endsWith("token") ? kept.get(TOKEN) : null;
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const reply = await fetch("rpc", { method: "POST", headers, body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }) });
  const { result, error } = await reply.json();
  if (error) throw new RpcError(error);
  return result;
}

export const subscribe = (method, params, listen) => client.subscribe(method, params, listen);
export const retryNow = () => client.retryNow();

/** Whether the miner has the method and we may use it. */
export function may(method) {
  if (!state.methods.has(method)) return false;
  const role = state.methods.get(method);
  return role === null || ROLES.indexOf(state.me.role) >= ROLES.indexOf(role);
}

/** The limits of a setting, if the miner tells them. */
export const constraint = (path) => state.constraints.find((one) => one.path === path);

/** Presents the code of a pairing; keeps the token and starts again with it. */
export async function pair(code, name) {
  const reply = await call("auth.pair", { code, name });
  use(reply.token);
}

/** Takes a token that a person has, or none any more. */
export function use(token) {
  kept.set(TOKEN, token);
  set({ refused: null, miner: token ? state.miner : null });
  client.restart();
}

export const hasToken = () => kept.get(TOKEN) !== null;

/** Shows a line for some seconds. */
export function toast(text, kind = "good") {
  const one = { text, kind, id: Math.random() };
  set({ toasts: [...state.toasts.slice(-3), one] });
  setTimeout(() => set({ toasts: state.toasts.filter((other) => other !== one) }), kind === "bad" ? 9000 : 5000);
}

/** What to tell a person of an error of the miner. */
export function words({ message, data }) {
  if (typeof data === "string") return data;
  return typeof data?.text === "string" ? data.text : message;
}

/** On every new line: who are we, what is there, and then everything that changes. */
async function greet() {
  const auth = await call("auth.info");
  const token = kept.get(TOKEN);
  let refused = null;
  if (token) {
    try {
      await call("auth.login", { token });
    } catch (error) {
      if (error.code === undefined) throw error;
      refused = words(error);
      // Locked out is no verdict about the token.
      if (error.code === -32001) kept.set(TOKEN, null);
    }
  }
  const me = await call("auth.whoami");
  // It is long, and does not change while the program is the same.
  const { methods } = state.methods.size ? state : { methods: new Map((await call("rpc.discover")).methods.map((method) => [method.name, method["x-role"] ?? null])) };
  set({ auth, me, methods, refused });
  if (!may("telemetry.subscribe")) {
    forget();
    set({ miner: null, events: [], shares: [], pending: [] });
    return;
  }
  await client.subscribe("telemetry.subscribe", { interval_ms: 1000 }, onTelemetry, { alive: true });
  set({ events: [], shares: [] });
  await Promise.all([
    optional("events.subscribe", () => client.subscribe("events.subscribe", {}, onEvents)),
    optional("shares.subscribe", () => client.subscribe("shares.subscribe", {}, onShares)),
    optional("history.info", async () => set({ history: await call("history.info") })),
    optional("config.constraints", async () => set({ constraints: await call("config.constraints") })),
    refreshPending(),
  ]);
}

/** A part of the page may be missing without the rest. */
async function optional(method, run) {
  if (!may(method)) return;
  try {
    await run();
  } catch (error) {
    if (error.code === undefined) throw error;
    console.warn(method, error.message, error.data);
  }
}

export async function refreshPending() {
  await optional("config.pending", async () => {
    const now = Date.now();
    const list = await call("config.pending");
    set({ pending: list.map((one) => ({ ...one, until: now + one.rolls_back_in_s * 1000 })) });
  });
}

export async function refreshConstraints() {
  await optional("config.constraints", async () => set({ constraints: await call("config.constraints") }));
}

function onTelemetry(message) {
  let miner;
  if (message.state) {
    miner = message.state;
  } else {
    try {
      miner = apply(state.miner, message.changes);
    } catch {
      // Never show a state that nobody was in.
      client.restart();
      return;
    }
  }
  // Another program than this page came from has other pages.
  if (state.miner && state.miner.system.version !== miner.system.version) location.reload();
  record(miner);
  set({ miner, heardAt: Date.now() });
}

function onEvents({ entries }) {
  const byNumber = new Map(state.events.map((entry) => [entry.number, entry]));
  for (const entry of entries) byNumber.set(entry.number, entry);
  set({ events: [...byNumber.values()].sort((a, b) => a.number - b.number).slice(-KEPT_EVENTS) });
}

function onShares({ shares }) {
  set({ shares: [...state.shares, ...shares].slice(-KEPT_SHARES) });
}
