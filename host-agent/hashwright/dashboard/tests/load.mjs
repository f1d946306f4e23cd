// As many open dashboards as one wants, without the browsers: subscribes as the page does, applies every patch, and tells
// what that took on the line. What it takes in the agent is for the caller to look at.
//
// usage: node --experimental-websocket load.mjs URL [CLIENTS [SECONDS]]      (Node.js 20.10; from 22 on without the option)
import { apply } from "../ui/patch.js";

const [url, clients = "50", seconds = "60"] = process.argv.slice(2);
const socketUrl = `${url.replace(/^http/, "ws")}/rpc`;
const FEEDS = ["telemetry.subscribe", "events.subscribe", "shares.subscribe"];
const sums = { bytes: 0, messages: 0, full: 0, misfits: 0, closed: 0 };
const late = [];

function client() {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(socketUrl);
    let state;
    let answered = 0;
    let heard;
    socket.onopen = () => FEEDS.forEach((method, id) => socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params: {} })));
    socket.onerror = (event) => reject(new Error(event.message ?? "the agent does not answer"));
    socket.onclose = () => (sums.closed += 1);
    socket.onmessage = ({ data }) => {
      sums.bytes += data.length;
      sums.messages += 1;
      const { id, method, params, error } = JSON.parse(data);
      if (error) reject(new Error(`${FEEDS[id]}: ${error.message} ${JSON.stringify(error.data)}`));
      if (id !== undefined && ++answered === FEEDS.length) resolve(socket);
      if (method !== "telemetry") return;
      const now = performance.now();
      if (heard) late.push(now - heard);
      heard = now;
      const { state: whole, changes } = params.result;
      if (whole) sums.full += 1;
      try {
        state = whole ?? apply(state, changes);
      } catch {
        sums.misfits += 1;
      }
    };
  });
}

const sockets = [];
for (let i = 0; i < Number(clients); i++) sockets.push(await client());
const before = { ...sums };
late.length = 0;
await new Promise((done) => setTimeout(done, Number(seconds) * 1000));
const closed = sums.closed;
const took = (key) => (sums[key] - before[key]) / Number(seconds);
late.sort((a, b) => a - b);
console.log(JSON.stringify({
  clients: sockets.length,
  seconds: Number(seconds),
  bytes_per_second_and_client: Math.round(took("bytes") / sockets.length),
  messages_per_second: Math.round(took("messages") * 10) / 10,
  telemetry_interval_ms: { median: Math.round(late[late.length >> 1]), p99: Math.round(late[Math.floor(late.length * 0.99)]) },
  full_states: sums.full,
  misfits: sums.misfits,
  closed,
}));
sockets.forEach((socket) => socket.close());
process.exit(sums.misfits || closed ? 1 : 0);
