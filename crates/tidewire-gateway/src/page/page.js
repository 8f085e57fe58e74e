"use strict";

// Everything that comes from the gateway is put into the page as text, never as markup.
const byId = (id) => document.getElementById(id);
const opened = new Set();
let failures = 0;

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = String(text);
  if (className) made.className = className;
  return made;
}

function rows(table, all) {
  const body = byId(table).tBodies[0];
  body.replaceChildren(...all.map((cells) => {
    const row = document.createElement("tr");
    for (const cell of cells) row.append(cell instanceof Node ? cell : element("td", cell));
    return row;
  }));
}

const number = (value) => element("td", value === null || value === undefined ? "" : value.toLocaleString("en"), "number");
const when = (ms) => new Date(ms).toISOString().replace("T", " ").slice(0, 19);

function age(secs) {
  if (secs === null || secs === undefined) return "";
  if (secs < 120) return `${secs} s`;
  if (secs < 7200) return `${Math.round(secs / 60)} min`;
  return `${(secs / 3600).toFixed(1)} h`;
}

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (count >= 1024 && at < units.length - 1) { count /= 1024; at += 1; }
  return `${count.toFixed(at ? 1 : 0)} ${units[at]}`;
}

async function get(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function act(path) {
  const answer = await fetch(path, { method: "POST", headers: { "x-tidewire": "1" } });
  if (!answer.ok) say(await answer.text(), "bad");
  await refresh();
}

function say(text, className) {
  const place = byId("summary");
  place.textContent = text;
  place.className = className || "";
}

function showStatus(status) {
  byId("gateway").textContent = status.gateway;
  document.title = `${status.gateway} - Tidewire gateway`;
  const waiting = status.uplinks.reduce((sum, uplink) => sum + uplink.waiting_points, 0);
  say(`${status.devices} devices, ${status.counters.values.toLocaleString("en")} values, ${waiting.toLocaleString("en")} points waiting; running for ${age(status.uptime_secs)}`);
  rows("uplinks", status.uplinks.map((uplink) => [
    uplink.name, uplink.url,
    element("td", uplink.connected ? (uplink.backfilling ? "connected, back-fill" : "connected") : "not connected", uplink.connected ? "good" : "bad"),
    number(uplink.waiting_points), age(uplink.oldest_secs), number(uplink.sent_points), number(uplink.lost_points), uplink.problem,
  ]));
  const store = status.store;
  const left = store.hours_left === null ? "" : `; ${store.hours_left.toLocaleString("en")} hours left without a connection`;
  const dropped = store.dropped_points ? `; ${store.dropped_points.toLocaleString("en")} points were dropped` : "";
  byId("store").textContent = `Data log: ${bytes(store.used_bytes)} of ${bytes(store.max_bytes)}${left}${dropped}`;
}

function showApps(apps) {
  rows("apps", apps.map((app) => {
    const control = element("td");
    for (const verb of app.state === "stopped" ? ["start"] : ["restart", "stop"]) {
      const button = element("button", verb);
      button.addEventListener("click", () => act(`api/apps/${encodeURIComponent(app.name)}/${verb}`));
      control.append(button);
    }
    const className = { running: "good", failed: "bad" }[app.state] || "idle";
    return [app.name, element("td", app.state, className), number(app.starts), app.problem, control];
  }));
}

function showDevices(answer) {
  const wanted = byId("search").value.toLowerCase();
  const shown = answer.devices.filter((device) => device.sn.toLowerCase().includes(wanted));
  byId("count").textContent = `${shown.length} of ${answer.total}${answer.more ? " (the first 500 are searched)" : ""}`;
  byId("devices").replaceChildren(...shown.map((device) => {
    const details = document.createElement("details");
    details.open = opened.has(device.sn) || shown.length === 1;
    details.addEventListener("toggle", () => details.open ? opened.add(device.sn) : opened.delete(device.sn));
    const bad = device.values.filter((value) => value.quality !== 0).length;
    const heading = element("summary", `${device.sn} (${device.app}), ${device.values.length} inputs`, bad ? "bad" : "good");
    const table = document.createElement("table");
    const body = table.createTBody();
    for (const value of device.values) {
      const row = body.insertRow();
      row.dataset.input = value.input;
      const name = value.prop === "value" ? value.input : `${value.input}.${value.prop}`;
      row.append(element("td", name), element("td", `${value.value} ${value.unit || ""}`, "number"),
        element("td", value.quality === 0 ? "good" : `quality ${value.quality}`, value.quality === 0 ? "good" : "bad"),
        element("td", when(value.source_ms)));
    }
    details.append(heading, table);
    return details;
  }));
}

function showEvents(events) {
  const words = { 0: "debug", 1: "info", 2: "warning", 3: "error", 99: "fatal" };
  rows("events", events.slice(0, 50).map((event) => [
    when(event.timestamp_ms), words[event.level] || event.level, event.type, event.sn, event.info,
  ]));
}

async function refresh() {
  try {
    const [status, apps, devices, events] = await Promise.all(
      ["api/status", "api/apps", "api/devices", "api/events"].map(get));
    showStatus(status);
    showApps(apps);
    showDevices(devices);
    showEvents(events);
    failures = 0;
  } catch (error) {
    failures += 1;
    say(`The gateway does not answer (${error.message})`, "bad");
  }
}

async function forever() {
  await refresh();
  setTimeout(forever, Math.min(1000 * (failures + 1), 10000));
}

byId("search").addEventListener("input", refresh);
forever();
