"use strict";

const HISTORY_S = 300;
const COLOURS = {
  anger: "#ef5a5a", happiness: "#f2bd3a", surprise: "#ee83cf", fear: "#a98bf0", sadness: "#58a6f0",
  disgust: "#7cc262", boredom: "#58b3ab", calm: "#4fc6d8", neutral: "#b4bcc6",
};
const QUIET = "#77808c";
const NO_SPEECH = "no speech";

const byId = (id) => document.getElementById(id);
const canvas = byId("timeline");
let windows = [];
let notes = [];
let rows = new Map();
let labels = [];
let pointedAt = null;

function colour(label) {
  if (label in COLOURS) return COLOURS[label];
  const at = labels.indexOf(label);
  return at < 0 ? QUIET : `hsl(${(at * 137) % 360} 65% 62%)`;
}

function clock(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function hello(about) {
  labels = about.labels;
  windows = about.windows;
  notes = about.notes;
  document.title = about.name;
  byId("name").textContent = about.name;
  byId("model").textContent = about.model;
  byId("banner").textContent = about.banner;
  byId("banner").hidden = !about.banner;
  rows = new Map(labels.map((label) => {
    const row = element("div", "score");
    const track = element("div", "track");
    const fill = element("div", "fill");
    const share = element("span", "share", "–");
    fill.style.background = colour(label);
    track.append(fill);
    row.append(element("span", "", label), track, share);
    return [label, { row, fill, share }];
  }));
  byId("scores").replaceChildren(...[...rows.values()].map((r) => r.row));
  if (about.status) status(about.status);
  const microphone = notes.filter((n) => n.type === "microphone").at(-1);
  if (microphone) showMicrophone(microphone.state, microphone.device);
  if (windows.length) showNow(windows.at(-1));
  showNotes();
  draw();
}

function showNow(w) {
  const speaking = Object.keys(w.scores).length > 0;
  document.documentElement.style.setProperty("--label", colour(w.label));
  const loudness = Math.min(1, Math.max(0, (w.level_db + 60) / 50));
  byId("orb").style.setProperty("--size", (0.72 + 0.28 * loudness).toFixed(2));
  byId("orb").style.opacity = w.label === NO_SPEECH ? 0.35 : 1;
  if (byId("label").textContent !== w.label) byId("label").textContent = w.label;
  const level = `${w.level_db.toFixed(0)} dB`;
  byId("detail").textContent = speaking ? `${Math.round(100 * w.probability)} % · ${level}` : level;
  const top = Math.max(...Object.values(w.scores), 0);
  for (const [label, { row, fill, share }] of rows) {
    const p = w.scores[label];
    fill.style.width = `${100 * (p || 0)}%`;
    share.textContent = p === undefined ? "–" : `${Math.round(100 * p)} %`;
    row.classList.toggle("top", p !== undefined && p === top);
  }
}

function showMicrophone(state, device) {
  byId("microphone").dataset.state = state;
  byId("microphone").textContent = state === "listening" ? device : `${state} · ${device}`;
}

function status(s) {
  showMicrophone(s.microphone, s.device);
  const c = s.counters;
  const shown = {
    "running": clock(c.uptime_s), "windows": c.windows, "with speech": c.scored, "changes": c.changes,
    "overruns": c.overruns, "recoveries": c.recoveries, "hop": `${s.hop_s} s`,
  };
  byId("counters").replaceChildren(...Object.entries(shown).map(([key, value]) => {
    const pair = element("div");
    pair.append(element("dt", "", key), element("dd", "", value));
    return pair;
  }));
}

function noteText(n) {
  if (n.type === "change") return n.label;
  if (n.type === "microphone") return `microphone ${n.state}${n.reason ? ": " + n.reason : ""}`;
  if (n.type === "overrun") return `overrun ${n.count}, about ${n.lost_s} s lost`;
  return `hop ${n.hop_s} s, ${n.backlog_s} s behind`;
}

function showNotes() {
  byId("notes").replaceChildren(...notes.slice(-50).reverse().map((n) => {
    const line = element("li");
    const what = element("span", "dot", noteText(n));
    what.style.setProperty("--dot", n.type === "change" ? colour(n.label) : "#e3a62f");
    const share = n.type === "change" && n.probability ? `${Math.round(100 * n.probability)} %` : "";
    line.append(element("time", "", clock(n.time_s)), what, element("span", "share", share));
    return line;
  }));
}

function draw() {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const g = canvas.getContext("2d");
  g.scale(scale, scale);
  const style = getComputedStyle(document.documentElement);
  const soft = style.getPropertyValue("--soft");
  const line = style.getPropertyValue("--line");
  const end = windows.length ? windows.at(-1).time_s : 0;
  const base = height - 42;
  const x = (t) => width - ((end - t) / HISTORY_S) * width;
  const y = (db) => base - Math.min(1, Math.max(0.015, (db + 65) / 60)) * (base - 6);

  g.font = `12px ${style.fontFamily}`;
  g.fillStyle = soft;
  g.strokeStyle = line;
  g.textAlign = "center";
  for (let ago = 60; ago < HISTORY_S; ago += 60) {
    const at = x(end - ago);
    g.beginPath();
    g.moveTo(at + .5, 4);
    g.lineTo(at + .5, height - 18);
    g.stroke();
    g.fillText(`${ago / 60} min`, at, height - 3);
  }
  g.textAlign = "right";
  g.fillText("now", width, height - 3);

  for (const w of windows) {
    const right = x(w.time_s);
    const left = x(w.time_s - w.hop_s);
    if (right < 0) continue;
    const silent = w.label === NO_SPEECH;
    g.fillStyle = colour(w.label);
    g.globalAlpha = silent ? 0.45 : 0.95;
    const wide = Math.max(right - left - (right - left > 3 ? 1 : 0), 0.7);
    g.fillRect(left, y(w.level_db), wide, base - y(w.level_db));
    if (!silent) g.fillRect(left, base + 6, right - left + .5, 10);
    if (w.affected) {
      g.globalAlpha = 1;
      g.fillStyle = "#e3a62f";
      g.fillRect(left, base + 18, wide, 2);
    }
  }
  g.globalAlpha = 1;
  if (pointedAt !== null) point(x, end, width, height, g, soft);
}

function point(x, end, width, height, g, soft) {
  const t = end - (1 - pointedAt / width) * HISTORY_S;
  const w = windows.find((candidate) => candidate.time_s >= t);
  const tip = byId("pointed");
  tip.style.opacity = w ? 1 : 0;
  if (!w) return;
  g.strokeStyle = soft;
  g.beginPath();
  g.moveTo(x(w.time_s - w.hop_s / 2), 0);
  g.lineTo(x(w.time_s - w.hop_s / 2), height - 18);
  g.stroke();
  const share = w.probability ? ` ${Math.round(100 * w.probability)} %` : "";
  tip.textContent = `${clock(w.time_s)} · ${w.label}${share} · ${w.level_db.toFixed(0)} dB`;
  tip.style.left = `${Math.min(Math.max(8, canvas.offsetLeft + pointedAt - tip.offsetWidth / 2), width - tip.offsetWidth + 16)}px`;
}

function take(record) {
  if (record.type === "hello") return hello(record);
  if (record.type === "window") {
    windows.push(record);
    while (windows[0].time_s < record.time_s - HISTORY_S) windows.shift();
    showNow(record);
    return draw();
  }
  if (record.type === "status") return status(record);
  notes.push(record);
  if (record.type === "microphone") showMicrophone(record.state, record.device);
  showNotes();
}

canvas.addEventListener("pointermove", (event) => { pointedAt = event.offsetX; draw(); });
canvas.addEventListener("pointerleave", () => { pointedAt = null; byId("pointed").style.opacity = 0; draw(); });
window.addEventListener("resize", draw);

function connect() {
  const stream = new EventSource("events");
  stream.onmessage = (message) => take(JSON.parse(message.data));
  stream.onerror = () => { // some browsers give up when the daemon is away for long: never rely on their retry
    stream.close();
    showMicrophone("lost", "connection, trying again");
    setTimeout(connect, 2000);
  };
}
connect();
