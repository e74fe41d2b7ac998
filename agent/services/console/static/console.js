// The page: logs in, listens to the stream, shows the chosen cluster, gives orders. Pictures are in draw.js.
import { chart, duration, move, ring, share, size } from "./draw.js";

const $ = (id) => document.getElementById(id);
const STAGES = ["Destination brokers registered", "Replicas moving", "Sources hold nothing", "Sources may be shut down"];
const TONES = {
  paused: "warn", awaiting_approval: "warn", stopping: "warn", cancelled: "warn", blocked: "bad",
  drained: "good", completed: "good", rolled_back: "good",
};
const RATE_POINTS_MAX = 600;
const EVENTS_SHOWN = 120;

let me = null; // {name, role, csrf, valid_in}
let chosen = null;
let statuses = {};
let events = {};
let rates = {};
let plans = {}; // the last plan of each cluster, shown while nothing has begun

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") node.className = value;
    else if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

async function call(path, body) {
  const headers = body ? { "Content-Type": "application/json", "X-CSRF-Token": me?.csrf ?? "" } : {};
  const response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  const content = await response.json().catch(() => ({ error: `HTTP ${response.status}` }));
  if (response.status === 401 && path !== "/api/login") logIn();
  if (!response.ok) throw new Error(content.error ?? `HTTP ${response.status}`);
  return content;
}

// ── who is there ────────────────────────────────────────────────────────────────────────────────────────────────
function logIn() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) $("login-token").value = token;
  $("login-name").value = localStorage.getItem("name") ?? "";
  if (!$("login").open) $("login").showModal();
}

$("login").addEventListener("cancel", (event) => event.preventDefault());
$("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = $("login-name").value.trim();
  try {
    me = await call("/api/login", { token: $("login-token").value.trim(), name });
  } catch (error) {
    $("login-wrong").textContent = error.message;
    return;
  }
  localStorage.setItem("name", name);
  history.replaceState(null, "", location.pathname); // the token leaves the address line
  $("login").close();
  begin();
});

function begin() {
  $("who").textContent = `${me.name}, ${me.role === "operator" ? "may order" : "may look"}`;
  listen();
}

// ── the stream ──────────────────────────────────────────────────────────────────────────────────────────────────
function listen() {
  const stream = new EventSource("/api/stream");
  const on = (kind, take) => stream.addEventListener(kind, (event) => { take(JSON.parse(event.data)); show(); });
  on("everything", (all) => {
    statuses = all.statuses;
    events = all.events;
    link(all.trouble);
    Object.values(statuses).forEach(noteRate);
    chosen ??= Object.keys(statuses).sort()[0] ?? null;
  });
  on("status", (status) => {
    statuses[status.cluster] = status;
    noteRate(status);
    chosen ??= status.cluster;
  });
  on("event", (event) => {
    (events[event.cluster] ??= []).push(event);
    events[event.cluster].splice(0, events[event.cluster].length - 300);
  });
  on("link", (content) => link(content.trouble));
  stream.onerror = async () => {
    link("the console does not answer: what is shown may be old");
    if (stream.readyState === EventSource.CLOSED) { // refused: perhaps the session is over
      stream.close();
      await call("/api/me").then(() => setTimeout(listen, 2000), () => {});
    }
  };
}

function link(trouble) { $("link").textContent = trouble; }

function noteRate(status) {
  const points = (rates[status.cluster] ??= []);
  const rate = status.phase === "moving" ? status.rate_bytes_per_second : 0;
  points.push({ at: status.updated_at, rate });
  points.splice(0, points.length - RATE_POINTS_MAX);
}

// ── what is shown ───────────────────────────────────────────────────────────────────────────────────────────────
function show() {
  const names = Object.keys(statuses).sort();
  $("clusters").replaceChildren(...names.map((name) => {
    const button = el("button", { onclick: () => { chosen = name; show(); } }, el("i"), name);
    button.setAttribute("aria-current", name === chosen);
    button.firstChild.style.background = `var(--${{ good: "goal", warn: "warn", bad: "bad" }[TONES[statuses[name].phase]] ?? "calm"})`;
    return button;
  }));
  const status = withPlan(statuses[chosen]);
  $("main").hidden = !status;
  $("empty").hidden = Boolean(status);
  if (!status) return;
  document.title = `${chosen}: ${words(status.phase)} - Kafka-Migration`;
  $("stages").replaceChildren(...STAGES.map((stage, n) => el("li", {
    class: n + 1 < status.stage || status.phase === "completed" ? "done" : n + 1 === status.stage ? "now" : "",
  }, stage)));
  $("phase").textContent = words(status.phase);
  $("phase").className = `phase ${TONES[status.phase] ?? ""}`;
  $("sentence").textContent = sentence(status);
  $("detail").textContent = detail(status);
  ring($("ring"), share(status));
  move($("move"), status);
  $("move").style.display = status.waves.length ? "" : "none";
  $("nothing").hidden = status.waves.length > 0;
  $("nothing").textContent = "No wave is planned: order a plan to see what would move.";
  why(status);
  const points = rates[chosen] ?? [];
  $("rate").textContent = status.phase === "moving" ? `${size(status.rate_bytes_per_second)}/s` : "";
  chart($("chart"), points, status.throttle_bytes_per_second);
  orders(status);
  timeline();
}

function withPlan(status) {
  const plan = status?.phase === "none" && plans[status.cluster];
  const left = (wave) => ({ replicas_left: wave.replicas, bytes_left: wave.size_bytes });
  return plan ? { ...status, waves: plan.waves.map((w) => ({ ...w, ...left(w) })) } : status;
}

function words(phase) { return phase === "none" ? "not started" : phase.replaceAll("_", " "); }

function sentence(status) {
  const active = status.waves.find((w) => w.state === "active");
  const way = active && `${active.source_broker_ids.join(", ")} → ${active.destination_broker_ids.join(", ")}`;
  switch (status.phase) {
    case "none": return plans[status.cluster] ? "This would move." : "Nothing was ever moved.";
    case "drained": return "The source brokers hold no replica.";
    case "completed": return "Every replica has moved, and the source brokers are gone.";
    case "rolled_back": return "Everything is where it was before the start.";
    case "cancelled": return "Stopped for good; what was moved stays where it is.";
    case "awaiting_approval": return "Waits for somebody's approval to go on.";
    default: return active ? `${active.az}: ${way}, ${size(status.bytes_left)} left in all` : status.stage_words;
  }
}

function detail(status) {
  const ended = status.waves.filter((w) => w.state === "done").length;
  const parts = [status.migration_id, status.waves.length ? `${ended} of ${status.waves.length} waves verified` : ""];
  if (status.phase === "moving") parts.push(`ETA ${duration(status.eta_seconds)}`);
  parts.push(status.throttle_bytes_per_second ? `throttle ${size(status.throttle_bytes_per_second)}/s` : "");
  if (status.phase_since) parts.push(`since ${new Date(status.phase_since * 1000).toLocaleTimeString()}`);
  if (status.kraft) {
    const asked = status.kraft.node_asked === null ? "" : `, node ${status.kraft.node_asked} is awaited`;
    parts.push(`to KRaft: ${words(status.kraft.phase)}${status.kraft.ready ? ", every signal holds" : ""}${asked}`);
    const seen = status.kraft.controllers;
    if (seen) parts.push(`controller ${seen.leader_id} leads, ${seen.brokers_active} brokers registered, ${seen.brokers_fenced} fenced`);
  }
  const free = status.sources.filter((s) => s.may_be_shut_down && !s.left).map((s) => s.broker_id);
  if (free.length) parts.push(`may be shut down: ${free.join(", ")}`);
  return parts.filter(Boolean).join(" · ");
}

function why(status) {
  const found = [
    ...status.blocked.map((r) => [r.code, r.seen, r.needed, r.do]),
    ...status.waiting.map((r) => [r.code, r.seen, r.needed, r.do]),
    ...(status.kraft?.waiting ?? []).map((r) => [r.code, r.seen, r.needed, r.do]),
    ...status.pause_causes.map((c) => [c.name, c.seen || "paused", "", ""]),
    ...status.slow_causes.map((c) => [c.name, `slowed: ${c.seen}`, "", ""]),
  ];
  $("why").hidden = !found.length;
  $("why").className = `why ${status.phase === "blocked" ? "bad" : ""}`;
  $("why").replaceChildren(...found.map(([code, seen, needed, todo]) => el("article", {},
    el("p", {}, el("code", {}, code), ` ${seen}`, needed ? ` (needed: ${needed})` : ""),
    ...(todo ? [el("p", { class: "do" }, todo)] : []),
  )));
}

function timeline() {
  const shown = (events[chosen] ?? []).slice(-EVENTS_SHOWN).reverse();
  const key = `${chosen} ${shown[0]?.id} ${shown.length}`;
  if ($("events").dataset.key === key) return;
  $("events").dataset.key = key;
  $("events").replaceChildren(...shown.map((event) => el("li", { class: tone(event.type) },
    el("time", { dateTime: event.time }, new Date(event.time).toLocaleTimeString()),
    el("b", {}, event.type), el("br"), event.summary)));
}

function tone(type) {
  if (/Refused|Blocked|Refilled|FellShort|Failed/.test(type)) return "bad";
  if (/Pause|Slow|Stop|Cancel|Await|Rollback/.test(type)) return "warn";
  return /Verified|Drained|Completed|MayBeShutDown|Accepted|Resumed/.test(type) ? "good" : "";
}

// ── orders ──────────────────────────────────────────────────────────────────────────────────────────────────────
const RATE_FIELD = { name: "throttle_bytes_per_second", label: "Throttle, MB/s for each broker; empty: none", factor: 1e6 };
const ORDERS = [
  { word: "plan", label: "Plan", text: "A dry run: what would move, how long, what stands in the way.", options: [RATE_FIELD] },
  { word: "start", label: "Start", text: "Moves every replica from the source to the destination brokers, AZ by AZ; refused unless the cluster is fit.", options: [RATE_FIELD] },
  { word: "pause", label: "Pause", text: "Stops the execution; replicas in flight go back and are copied again later." },
  { word: "pause", label: "Slow down", text: "Lowers the throttle to the floor and keeps the copied bytes.", fixed: { slow: true } },
  { word: "resume", label: "Resume", text: "Lifts the operators' pause; goes on from what is left." },
  { word: "tune", label: "Tune", text: "Changes the throttle while it moves; 0: none.", fields: [RATE_FIELD] },
  { word: "approve", label: "Approve", text: "Opens the gate before the next wave." },
  { word: "retry", label: "Retry", text: "Tries the blocked wave, or the sweep of a refilled source, again." },
  { word: "skip", label: "Skip", text: "Leaves the blocked wave as it is.", danger: true },
  { word: "rollback", label: "Roll back", text: "Moves everything back, last wave first.", danger: true },
  { word: "cancel", label: "Cancel", text: "Stops for good; what was moved stays.", danger: true },
];

function orders(status) {
  const key = `${me.role} ${chosen} ${status.phase}`;
  if ($("orders").dataset.key === key) return;
  $("orders").dataset.key = key;
  const valid = ORDERS.filter((order) => me.valid_in[order.word]?.includes(status.phase));
  $("orders").replaceChildren(...valid.map((order) => el("button", {
    class: order.danger ? "danger" : "", disabled: me.role !== "operator", onclick: () => ask(order), title: order.text,
  }, order.label)));
}

let asked = null;

function ask(order) {
  asked = order;
  $("ask-title").textContent = `${order.label}: ${chosen}`;
  $("ask-text").textContent = order.text;
  $("ask-yes").textContent = order.label;
  $("ask-wrong").textContent = "";
  $("ask-reason").value = "";
  const inputs = [...(order.fields ?? []), ...(order.options ?? [])].map((field) =>
    el("label", {}, field.label, el("input", { name: field.name, type: "number", min: "0", step: "any" })));
  if (order.danger) inputs.push(el("label", {}, `Type ${chosen} to be sure`, el("input", { name: "sure", autocomplete: "off" })));
  $("ask-fields").replaceChildren(...inputs);
  $("ask").showModal();
}

function value(field) {
  const given = $("ask-fields").querySelector(`[name=${field.name}]`).value;
  return given === "" ? null : Math.round(Number(given) * field.factor);
}

$("ask-no").addEventListener("click", () => $("ask").close());
$("ask-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const order = asked;
  if (order.danger && $("ask-fields").querySelector("[name=sure]").value !== chosen) {
    $("ask-wrong").textContent = `Type ${chosen}, the cluster's name`;
    return;
  }
  const command = { type: order.word, cluster: chosen, reason: $("ask-reason").value, ...order.fixed };
  for (const field of order.fields ?? []) command[field.name] = value(field);
  if (order.options) command.options = Object.fromEntries(order.options.map((field) => [field.name, value(field)]));
  $("ask").close();
  give(command, order.label);
});

async function give(command, label) {
  say(`${label}: waiting for the agent's answer`, "");
  try {
    const { type, data } = await call("/api/commands", command);
    const reasons = (data.reasons ?? []).map((r) => `${r.code}: ${r.seen}`).join("\n");
    if (type === "CommandRefused") say(`Refused.\n${reasons}`, "bad");
    else if (type === "PlanMade") {
      say(planned(data, reasons), reasons ? "bad" : "");
      plans[command.cluster] = data.plan;
      show();
    }
    else say(`${label}: accepted`, "");
  } catch (error) {
    say(error.message, "bad");
  }
}

function planned({ plan }, reasons) {
  const gist = plan
    ? `${plan.waves.length} waves, ${plan.replicas.toLocaleString()} replicas, ${size(plan.size_bytes)}` +
      (plan.estimate ? `, ${duration(plan.estimate.low_seconds)} to ${duration(plan.estimate.high_seconds)}` : "")
    : "No plan can be made.";
  return reasons ? `${gist}\nIn the way:\n${reasons}` : `${gist}\nNothing stands in the way.`;
}

function say(text, tone) {
  $("answer").textContent = text;
  $("answer").className = tone;
}

addEventListener("hashchange", () => { if (!me) logIn(); });
addEventListener("resize", () => { if (statuses[chosen]) show(); });
call("/api/me").then((found) => { me = found; begin(); }, logIn);
