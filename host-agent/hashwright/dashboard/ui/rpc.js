// JSON-RPC 2.0 over one WebSocket, which comes back by itself: calls with promises, subscriptions that are
// made again after a loss, and the token presented first. Knows nothing of mining.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const CALL_TIMEOUT_MS = 20_000;
/** Silence of a subscription that is never silent: after the first it is shown, after the second the line is given up. */
const QUIET_MS = 5_000;
const DEAD_MS = 15_000;

export class RpcError extends Error {
  constructor({ code, message, data }) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

export class Client {
  /** `url`: ws(s) address. `onState(state)`: connecting, open, quiet, lost; with `retryAt` (ms) when lost. */
  constructor(url, { onOpen, onState }) {
    this.url = url;
    this.onOpen = onOpen;
    this.onState = onState;
    this.next = 1;
    this.calls = new Map();
    this.feeds = new Map();
    this.attempt = 0;
    this.wanted = true;
    this.heardAt = 0;
    this.watches = false;
    this.state = {};
    setInterval(() => this.#lookAtSilence(), 1000);
    addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.retryNow());
    this.#connect();
  }

  /** The reply to a call; rejects with an RpcError, or an Error if the line went away. */
  call(method, params) {
    const socket = this.socket;
    if (socket?.readyState !== WebSocket.OPEN) {
      return Promise.reject(new Error("There is no connection to the miner."));
    }
    const id = this.next++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.calls.delete(id);
        reject(new Error(`The miner did not answer ${method} in time.`));
      }, CALL_TIMEOUT_MS);
      this.calls.set(id, { resolve, reject, timer });
      socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, ...(params && { params }) }));
    });
  }

  /** Subscribes on the present line; `listen(result)` gets what comes. Returns a function that ends it. */
  async subscribe(method, params, listen, { alive = false } = {}) {
    const socket = this.socket;
    const id = await this.call(method, params);
    if (socket !== this.socket) throw new Error("The connection was lost.");
    this.feeds.set(id, listen);
    for (const result of this.early?.get(id) ?? []) listen(result);
    this.early?.delete(id);
    if (alive) {
      this.watches = true;
      this.heardAt = Date.now();
    }
    return () => {
      if (!this.feeds.delete(id) || socket !== this.socket) return;
      this.call(method.replace(/\.subscribe$/, ".unsubscribe"), [id]).catch(() => {});
    };
  }

  /** Tries at once instead of when the wait is over. */
  retryNow() {
    if (this.state.name !== "lost") return;
    clearTimeout(this.timer);
    this.#connect();
  }

  /** Drops the line and takes a new one, as another user for example. */
  restart() {
    this.attempt = 0;
    if (this.socket) this.#lost(this.socket, "restart");
    this.retryNow();
  }

  #connect() {
    this.#say("connecting");
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.early = new Map();
    socket.onopen = async () => {
      this.heardAt = Date.now();
      try {
        await this.onOpen();
        if (socket !== this.socket) return;
        this.attempt = 0;
        this.#say("open");
      } catch (error) {
        this.#lost(socket, error.message);
      }
    };
    socket.onmessage = ({ data }) => this.#heard(data);
    socket.onclose = () => this.#lost(socket, "closed");
  }

  #heard(data) {
    this.heardAt = Date.now();
    if (this.state.name === "quiet") this.#say("open");
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (message.method) {
      const { subscription, result } = message.params ?? {};
      const listen = this.feeds.get(subscription);
      // A first notification may overtake the reply that names its subscription.
      if (listen) listen(result);
      else this.early.set(subscription, [...(this.early.get(subscription) ?? []), result].slice(-4));
      return;
    }
    const call = this.calls.get(message.id);
    if (!call) return;
    this.calls.delete(message.id);
    clearTimeout(call.timer);
    if (message.error) call.reject(new RpcError(message.error));
    else call.resolve(message.result);
  }

  #lost(socket, reason) {
    if (socket !== this.socket) return;
    this.socket = undefined;
    socket.onclose = null;
    socket.close();
    this.watches = false;
    this.feeds.clear();
    for (const { reject, timer } of this.calls.values()) {
      clearTimeout(timer);
      reject(new Error("The connection was lost before the miner answered."));
    }
    this.calls.clear();
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.attempt++);
    const wait = longest * (0.7 + 0.3 * Math.random());
    this.timer = setTimeout(() => this.#connect(), wait);
    this.#say("lost", { reason, retryAt: Date.now() + wait });
  }

  #lookAtSilence() {
    if (!this.watches || !this.socket) return;
    const silent = Date.now() - this.heardAt;
    if (silent > DEAD_MS) this.#lost(this.socket, "silent");
    else if (silent > QUIET_MS && this.state.name === "open") this.#say("quiet");
  }

  #say(name, more) {
    this.state = { name, since: Date.now(), ...more };
    this.onState(this.state);
  }
}
