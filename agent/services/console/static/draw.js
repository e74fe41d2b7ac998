// Pictures of a status: plain functions from data to SVG. No state, no requests.
const NS = "http://www.w3.org/2000/svg";

export function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

export function size(bytes) {
  if (bytes == null) return "?";
  for (const [unit, at] of [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]])
    if (bytes >= at) return `${(bytes / at).toFixed(bytes >= 100 * at ? 0 : 1)} ${unit}`;
  return `${Math.round(bytes)} B`;
}

export function duration(seconds) {
  if (seconds == null) return "unknown";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  const hours = seconds / 3600;
  return hours < 48 ? `${hours.toFixed(1)} h` : `${(hours / 24).toFixed(1)} days`;
}

const ENDED = new Set(["done", "skipped"]);

// How much has moved, 0 to 1, of a wave or in all, as the agent says. A plan and an older agent do not say.
export function share(part) { return part.share ?? (part.state === "done" ? 1 : 0); }

export function ring(root, part) {
  const around = 2 * Math.PI * 50;
  if (!root.firstChild)
    root.append(
      svg("circle", { class: "track", cx: 60, cy: 60, r: 50 }),
      svg("circle", { class: "arc", cx: 60, cy: 60, r: 50, "stroke-dasharray": around }),
      svg("text", { x: 60, y: 60 }),
    );
  root.querySelector(".arc").setAttribute("stroke-dashoffset", around * (1 - part));
  const percent = part > 0.99 && part < 1 ? 99 : Math.round(part * 100);
  root.querySelector("text").textContent = `${percent}%`;
  root.setAttribute("aria-label", `${percent} percent moved`);
}

// One lane a wave: the left tank drains, the right one fills, drops run while it moves.
const LANE = 48, LEFT = 60, TANK = 190; // a tank is TANK - LEFT wide

export function move(root, status) {
  const width = Math.max(root.clientWidth, 560);
  const goesBack = status.waves.some((w) => w.direction === "back");
  const waves = status.waves.filter((w) => w.state !== "abandoned" || !goesBack || w.direction === "back");
  const key = `${status.migration_id} ${width} ${waves.map((w) => w.number)}`;
  if (root.dataset.key !== key) {
    root.dataset.key = key;
    root.replaceChildren(...waves.map((wave, n) => lane(wave, n, width, n === 0 || waves[n - 1].az !== wave.az)));
    root.setAttribute("viewBox", `0 0 ${width} ${waves.length * LANE + 8}`);
  }
  waves.forEach((wave, n) => fill(root.children[n], wave, status, width));
}

function lane(wave, n, width, isFirstOfAz) {
  const y = 8 + n * LANE;
  const right = width - (TANK - LEFT);
  return svg("g", { transform: `translate(0 ${y})` },
    svg("text", { class: "az", x: 0, y: 18 }, isFirstOfAz ? wave.az : ""),
    svg("rect", { class: "tank", x: LEFT, y: 0, width: TANK - LEFT, height: 28, rx: 5 }),
    svg("rect", { class: "level left", x: LEFT, y: 0, width: 0, height: 28, rx: 5 }),
    svg("rect", { class: "tank", x: right, y: 0, width: TANK - LEFT, height: 28, rx: 5 }),
    svg("rect", { class: "level right", x: right, y: 0, width: 0, height: 28, rx: 5 }),
    svg("text", { class: "ids", x: LEFT + 8, y: 19 }),
    svg("text", { class: "ids", x: right + 8, y: 19 }),
    svg("path", { class: "pipe", id: `pipe${n}`, d: `M${TANK + 8} 21H${right - 8}` }),
    svg("text", { class: "small words", x: (TANK + right) / 2, y: 12, "text-anchor": "middle" }),
    svg("g", { class: "drops" }),
  );
}

function fill(group, wave, status, width) {
  const back = wave.direction === "back"; // a rollback's lane is drawn the other way round: its source is on the right
  const part = share(wave);
  const [left, right] = back ? [part, 1 - part] : [1 - part, part];
  const inner = TANK - LEFT;
  const [leftIds, rightIds] = back
    ? [wave.destination_broker_ids, wave.source_broker_ids] : [wave.source_broker_ids, wave.destination_broker_ids];
  const [, , leftLevel, , rightLevel] = group.children;
  leftLevel.setAttribute("width", inner * left);
  rightLevel.setAttribute("width", inner * right);
  leftLevel.setAttribute("class", "level left from");
  rightLevel.setAttribute("class", "level right to");
  const texts = group.querySelectorAll("text.ids");
  texts[0].textContent = leftIds.join(", ");
  texts[1].textContent = rightIds.join(", ");
  const moves = wave.state === "active" && status.phase === "moving";
  group.classList.toggle("idle", wave.state === "pending");
  group.querySelector(".pipe").classList.toggle("done", ENDED.has(wave.state));
  group.querySelector(".words").textContent = words(wave, status, moves);
  drops(group.querySelector(".drops"), moves, back, width);
}

function words(wave, status, moves) {
  const planned = `${wave.replicas.toLocaleString()} replicas, ${size(wave.size_bytes)}`;
  if (wave.state === "done") return `${planned}, verified`;
  if (wave.state === "pending" && !share(wave)) return planned;
  const left = `${wave.replicas_left.toLocaleString()} replicas, ${size(wave.bytes_left)} left`;
  if (wave.state === "skipped" || wave.state === "abandoned") return `${left}, ${wave.state}`;
  return moves ? `${left}, ${size(status.rate_bytes_per_second)}/s` : left;
}

function drops(root, wanted, back, width) {
  if (Boolean(root.firstChild) === wanted) return;
  root.replaceChildren();
  if (!wanted) return;
  const ends = [TANK + 8, width - (TANK - LEFT) - 8];
  const [from, to] = back ? ends.reverse() : ends;
  for (let n = 0; n < 6; n++) {
    const drop = svg("circle", { class: "drop", cy: 21, r: 3.5, cx: from });
    drop.append(svg("animate", {
      attributeName: "cx", from, to, dur: "2.4s", begin: `${(n * 0.4).toFixed(1)}s`, repeatCount: "indefinite",
    }));
    root.append(drop);
  }
}

// Rate over time; the throttle as a dashed line.
export function chart(root, points, throttle) {
  const [w, h] = [300, 80];
  root.replaceChildren();
  if (points.length < 2) return;
  const top = Math.max(...points.map((p) => p.rate), throttle ?? 0, 1) * 1.1;
  const [first, last] = [points[0].at, points.at(-1).at];
  const x = (at) => (w * (at - first)) / Math.max(last - first, 1);
  const y = (rate) => h - (h * rate) / top;
  const line = points.map((p, n) => `${n ? "L" : "M"}${x(p.at).toFixed(1)} ${y(p.rate).toFixed(1)}`).join("");
  root.append(svg("path", { class: "area", d: `${line}L${w} ${h}L0 ${h}Z` }), svg("path", { d: line }));
  if (throttle) root.append(svg("line", { x1: 0, x2: w, y1: y(throttle), y2: y(throttle) }));
}
