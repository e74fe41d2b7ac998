// The page: signs in, listens to the stream, shows the chosen cluster and sends commands. Pictures are in draw.js.
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

// ── signing in ────────────────────────────────────────────────────────────────────────────────────────────────
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
  $("who").textContent = `${me.name}, ${me.role === "operator" ? "operator" : "viewer"}`;
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
    link("The console does not answer: this page may be out of date.");
    if (stream.readyState === EventSource.CLOSED) { // refused: the session may have ended
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
  $("nothing").textContent = "No wave is planned. Make a plan to see what would move.";
  why(status);
  const points = rates[chosen] ?? [];
  $("rate").textContent = status.phase === "moving" ? `${size(status.rate_bytes_per_second)}/s` : "";
  chart($("chart"), points, status.throttle_bytes_per_second);
  actions(status);
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
    case "none": return plans[status.cluster] ? "These replicas would move." : "No migration has started yet.";
    case "drained": return "The source brokers hold no replicas.";
    case "completed": return "Every replica has moved, and the source brokers have been shut down.";
    case "rolled_back": return "Every replica is where it was before the start.";
    case "cancelled": return "The migration was cancelled. What was moved stays where it is.";
    case "awaiting_approval": return "The migration waits for an operator's approval.";
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
    const asked = status.kraft.node_asked === null ? "" : `, waiting for node ${status.kraft.node_asked} to restart`;
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

// ── commands ──────────────────────────────────────────────────────────────────────────────────────────────────────
const RATE_FIELD = { name: "throttle_bytes_per_second", label: "Throttle in MB/s for each broker (empty: no throttle)", factor: 1e6 };
const ACTIONS = [
  { word: "plan", label: "Plan", text: "Dry run: shows what would move, how long it would take, and what prevents a start.", options: [RATE_FIELD] },
  { word: "start", label: "Start", text: "Moves every replica from the source to the destination brokers, AZ by AZ. The agent refuses when the cluster is not fit.", options: [RATE_FIELD] },
  { word: "pause", label: "Pause", text: "Stops what moves. Replicas that are being copied are discarded and copied again later." },
  { word: "pause", label: "Slow down", text: "Lowers the throttle to its minimum. Copied bytes are kept.", fixed: { slow: true } },
  { word: "resume", label: "Resume", text: "Ends the operators' pause and continues with what is left." },
  { word: "tune", label: "Tune", text: "Changes the throttle, also while partitions move. 0 removes it.", fields: [RATE_FIELD] },
  { word: "approve", label: "Approve", text: "Lets the next AZ or wave begin." },
  { word: "retry", label: "Retry", text: "Tries the blocked wave again, or moves what has arrived on a drained source." },
  { word: "skip", label: "Skip", text: "Leaves the blocked wave as it is and goes on with the next.", danger: true },
  { word: "rollback", label: "Roll back", text: "Moves back everything that was moved, last wave first.", danger: true },
  { word: "cancel", label: "Cancel migration", text: "Ends the migration. What was moved stays where it is.", danger: true },
];

function actions(status) {
  const key = `${me.role} ${chosen} ${status.phase}`;
  if ($("actions").dataset.key === key) return;
  $("actions").dataset.key = key;
  const valid = ACTIONS.filter((action) => me.valid_in[action.word]?.includes(status.phase));
  $("actions").replaceChildren(...valid.map((action) => el("button", {
    class: action.danger ? "danger" : "", disabled: me.role !== "operator", onclick: () => ask(action), title: action.text,
  }, action.label)));
}

let asked = null;

function ask(action) {
  asked = action;
  $("ask-title").textContent = `${action.label}: ${chosen}`;
  $("ask-text").textContent = action.text;
  $("ask-yes").textContent = action.label;
  $("ask-wrong").textContent = "";
  $("ask-reason").value = "";
  const inputs = [...(action.fields ?? []), ...(action.options ?? [])].map((field) =>
    el("label", {}, field.label, el("input", { name: field.name, type: "number", min: "0", step: "any" })));
  if (action.danger) inputs.push(el("label", {}, `Type ${chosen} to confirm`, el("input", { name: "sure", autocomplete: "off" })));
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
  const action = asked;
  if (action.danger && $("ask-fields").querySelector("[name=sure]").value !== chosen) {
    $("ask-wrong").textContent = `Type the cluster's name, ${chosen}, to confirm.`;
    return;
  }
  const command = { type: action.word, cluster: chosen, reason: $("ask-reason").value, ...action.fixed };
  for (const field of action.fields ?? []) command[field.name] = value(field);
  if (action.options) command.options = Object.fromEntries(action.options.map((field) => [field.name, value(field)]));
  $("ask").close();
  send(command, action.label);
});

async function send(command, label) {
  say(`${label}: waiting for the agent's answer.`, "");
  try {
    const { type, data } = await call("/api/commands", command);
    const reasons = (data.reasons ?? []).map((r) => `${r.code}: ${r.seen}`).join("\n");
    if (type === "CommandRefused") say(`Refused.\n${reasons}`, "bad");
    else if (type === "PlanMade") {
      say(planned(data, reasons), reasons ? "bad" : "");
      plans[command.cluster] = data.plan;
      show();
    }
    else say(`${label}: accepted.`, "");
  } catch (error) {
    say(error.message, "bad");
  }
}

function planned({ plan }, reasons) {
  const gist = plan
    ? `${plan.waves.length} waves, ${plan.replicas.toLocaleString()} replicas, ${size(plan.size_bytes)}` +
      (plan.estimate ? `, ${duration(plan.estimate.low_seconds)} to ${duration(plan.estimate.high_seconds)}` : "")
    : "No plan can be made.";
  return reasons ? `${gist}\nA start would be refused:\n${reasons}` : `${gist}\nNothing prevents a start.`;
}

function say(text, tone) {
  $("answer").textContent = text;
  $("answer").className = tone;
}

addEventListener("hashchange", () => { if (!me) logIn(); });
addEventListener("resize", () => { if (statuses[chosen]) show(); });
call("/api/me").then((found) => { me = found; begin(); }, logIn);
